"""HAProxy as the router, where it is installed: the same plans, users, log and driver, and another proxy's engine.

`HAProxy` starts `haproxy` as a child process with a config of its own in a private folder, and changes its plan over the runtime
socket. It has the face of `router_process.RouterProcess`, so `driver.Driver` and `Lab` do not see the difference.

- Sticky, with the buckets of `rollout.route`: a few lines of Lua in HAProxy compute the same hash of the user's name. A
  ramp from 5 to 10 % moves the users between the two and nobody else, a roll-back moves them home, and a change from the own
  router to this one moves nobody. HAProxy's own means come close: server weights with `hash-type consistent` also keep who is in
  during a ramp, but these are other users, and 23 % of them at a weight of 20 (4,000 users measured; the ring has few points); a
  stick table keeps users at the canary after a roll-back.
- The plan is one value of one map (`set map plan.map plan ...`): a request sees the old one or the new one. With server weights two
  commands are needed, and if the falling one comes first there is a moment in which all weights are 0 and every request fails.
- A version that is not there: `GET /readyz` twice a second says so; until then, a try that found nobody is made again at the other
  version. In the log stands a row of the missing version with `served` False for each request that the other one answered.
- The log is HAProxy's own log line, with both bodies, over a bounded ring in memory: rows come a moment after the
  answer, not before it. Bodies above 16,000 bytes are one row without features.
- No shadow copies (`mirror`): HAProxy hands a copy only to a separate agent (SPOE). The own router makes them.
- A label goes to the version that answered its request: the id says which one it was.
"""

import base64
import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

from mlprod_helpers.requestlog import LogError, RequestLog
from mlprod_helpers.serving.bodies import as_object, write_rows
from mlprod_helpers.serving.eventlog import Redaction
from mlprod_helpers.serving.haproxy_config import as_value, port_of, settings
from mlprod_helpers.serving.processes import HOST, LabError, new_folder
from mlprod_helpers.serving.routes import RoutePlan, RouterConfig


def find_haproxy():
    """The program's path, or None; it is often outside of the users' own PATH.

    >>> find_haproxy() is None or find_haproxy().endswith("haproxy")
    True
    """
    places = [os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"]
    return shutil.which("haproxy", path=os.pathsep.join(places))


class HAProxy:
    """A running HAProxy; gone when the block ends, when this process ends, and after `lifetime_s`.

    Parameters
    ----------
    config : RouterConfig, or a RoutePlan. Not used: `control_port`, `token`, `answer_bytes`, `copies`, `copy_s`, `parent_pid`,
        `random_state`
    timeout : float, seconds that the start may take

    Attributes: `url`, `control_url` (`GET /metrics`), `port`, `pid`, `plan`, `process`.

    Raises
    ------
    LabError : it is not installed, was built without Lua, or did not start.
    ValueError : a plan that HAProxy cannot carry out; or users are to be hashed in the log, and `MLPROD_LOG_KEY` is no key.

    >>> plan = RoutePlan(upstreams={"v1": "http://127.0.0.1:8001", "v2": "http://127.0.0.1:8002"}, stable="v1", canary="v2")
    >>> if find_haproxy():
    ...     with HAProxy(plan) as router:
    ...         assert router.set_weights({"v1": 90, "v2": 10}).generation == 1
    """

    def __init__(self, config, *, timeout=20.0):
        if isinstance(config, RoutePlan):
            config = RouterConfig(plan=config)
        _check(config.plan)
        program = _program()
        self.config, self._plan = config, config.plan
        self._redaction = Redaction(share=config.features_share, redact=config.redact)
        self._log = None if config.log is None else RequestLog(config.log)
        self._read, self.process, self._threads, self._open = 0, None, [], []
        self._changes = threading.RLock()  # a driver's thread and a learner's cell may both change the plan
        self.folder = new_folder()
        try:
            self._start(program, timeout)
        except BaseException:
            self.kill()
            raise

    # --------------------------------------------------------------------------------- start and end

    def _start(self, program, timeout):
        config, end = self.config, time.monotonic() + timeout
        doors = [self._keep(socket.create_server((HOST, port))) for port in (config.port, 0)]
        self.port, control = (door.getsockname()[1] for door in doors)
        self.url, self.control_url = f"http://{HOST}:{self.port}", f"http://{HOST}:{control}"
        parent, lines = (self._keep(_unix_server(self.folder / name)) for name in ("parent.sock", "log.sock"))
        (self.folder / "plan.map").write_text(f"plan {as_value(config.plan)}\n")
        shutil.copyfile(Path(__file__).with_name("haproxy_route.lua"), self.folder / "route.lua")
        (self.folder / "haproxy.cfg").write_text(settings(config, *(door.fileno() for door in doors)))
        with (self.folder / "errors.txt").open("wb") as errors:
            self.process = subprocess.Popen(
                [program, "-db", "-f", "haproxy.cfg"],
                cwd=self.folder,
                env=os.environ
                | {
                    "MLPROD_VERSIONS": " ".join(config.plan.upstreams),
                    "MLPROD_LIFETIME_S": str(config.lifetime_s),
                },
                pass_fds=[door.fileno() for door in doors],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,  # an interrupted cell does not interrupt the router
            )
        self.pid = self.process.pid
        self._keep(self._accept(parent, end))
        if self._log is not None:
            thread = threading.Thread(
                target=self._write_log, args=(lines,), name="mlprod-haproxy-log", daemon=True
            )
            thread.start()
            self._threads.append(thread)
        while not (self.folder / "control.sock").exists():
            self._still_starting(end)
        self._ask("show info")
        for door in doors:  # from now on these are HAProxy's alone
            door.close()

    def _keep(self, one):
        self._open.append(one)
        return one

    def _accept(self, door, end):
        door.settimeout(0.1)
        while True:
            try:
                return door.accept()[0]
            except TimeoutError:
                self._still_starting(end)

    def _still_starting(self, end):
        time.sleep(0.01)
        if self.process.poll() is not None or time.monotonic() > end:
            told = (self.folder / "errors.txt").read_text(errors="replace").strip()[-500:]
            raise LabError(
                f"HAProxy did not start (exit code {self.process.poll()}): {told or 'no reason given'}"
            )

    def stop(self, timeout=5.0):
        """End it: requests in flight get their answer within 2 s, and the log its last rows."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(OSError, ValueError, KeyError):
                self._ask("shutdown frontend router")
                self._wait(lambda: not self._statistics()["BACKEND"]["scur"], 2.0)
                self._wait(self._log_is_whole, 1.0)
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout)
        self.kill()

    def kill(self):
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits on it
            one.close()
        for thread in self._threads:
            thread.join(5.0)
        if self._log is not None:
            self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _wait(is_so, seconds):
        end = time.monotonic() + seconds
        while not is_so() and time.monotonic() < end:
            time.sleep(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()

    # ------------------------------------------------------------------------------------- the plan

    @property
    def plan(self):
        """The plan in force."""
        return self._plan

    def apply(self, plan):
        """Take over another plan, whole. Returns it with its generation; requests that are under way keep theirs.

        The versions are those of the first plan; their addresses may change.
        """
        _check(plan)
        with self._changes:
            return self._change(plan, self._plan)

    def _change(self, plan, old):
        if set(plan.upstreams) != set(old.upstreams):
            raise ValueError(
                f"HAProxy was started with the versions {', '.join(old.upstreams)}: start another one for other versions."
            )
        plan = replace(plan, generation=old.generation + 1)
        commands = []
        for name, url in plan.upstreams.items():
            server = f"set server models/{name}"
            if url != old.upstreams[name]:
                commands += [f"{server} addr {HOST} port {port_of(url)}", f"{server} health up"]
            if (name in plan.draining) != (name in old.draining):
                commands.append(f"{server} state {'drain' if name in plan.draining else 'ready'}")
        commands.append(f"set map plan.map plan {as_value(plan)}")
        for command in commands:
            told = self._ask(command)
            if told and not told.startswith(
                ("IP changed", "no need to change", "nothing changed", "port changed")
            ):
                raise ValueError(f"HAProxy refused {command!r}: {told}")
        self._plan = plan
        return plan

    def set_weights(self, weights, mirror=0.0):
        """What a driver calls: {version: percent of the users}. `mirror` is 0: HAProxy copies no requests."""
        with self._changes:
            return self.apply(self._plan.weighted(weights, mirror))

    def drain(self, version, timeout=10.0):
        """Send a version no new requests, wait until it has answered those it has. Returns how many are left: 0, or more
        after `timeout` seconds."""
        with self._changes:
            self.apply(replace(self._plan, draining=(*self._plan.draining, version)))
        end = time.monotonic() + min(timeout, 600.0)
        while (left := self._statistics()[version]["scur"]) and time.monotonic() < end:
            time.sleep(0.02)
        return left

    def metrics(self):
        """HAProxy's own metrics, Prometheus text."""
        import http.client

        door = http.client.HTTPConnection(HOST, port_of(self.control_url), timeout=10.0)
        try:
            door.request("GET", "/metrics")
            answer = door.getresponse()
            text = answer.read().decode()
        finally:
            door.close()
        if answer.status != 200:
            raise ValueError(f"HAProxy gives no metrics: status {answer.status}.")
        return text

    def _statistics(self):
        """Of the entry ("FRONTEND") and of each version: requests at present (scur), requests so far (req_tot), ..."""
        head, *rows = self._ask("show stat").removeprefix("# ").splitlines()
        names = head.split(",")
        table = [dict(zip(names, row.split(","), strict=False)) for row in rows if row]
        return {
            row["svname"]: {key: int(row[key] or 0) for key in ("scur", "req_tot")}
            for row in table
            if row["pxname"] in ("router", "models")
        }

    def _ask(self, command):
        """What the runtime socket says to a command, without its last line ends."""
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(10.0)
            door.connect(str(self.folder / "control.sock"))
            door.sendall(command.encode() + b"\n")
            parts = []
            while part := door.recv(65_536):
                parts.append(part)
        return b"".join(parts).decode().strip()

    # -------------------------------------------------------------------------------------- the log

    def _log_is_whole(self):
        return self._log is None or self._read >= self._statistics()["FRONTEND"]["req_tot"]

    def _write_log(self, door):
        """HAProxy connects, and sends a line a request."""
        while True:
            try:
                door.settimeout(None)
                connection = door.accept()[0]
            except OSError:  # closed: the end
                return
            with connection, connection.makefile("rb") as lines:
                for line in lines:
                    self._read += 1
                    with contextlib.suppress(LogError, OSError, ValueError, IndexError):
                        self._write_line(line.decode("latin-1").split())

    def _write_line(self, parts):
        name, begin, end, status, chosen, server, tries, user, path, *bodies = parts
        if name == "-":
            return  # no HTTP
        asked, said = (b"" if body == "-" else base64.b64decode(body) for body in bodies)
        status = int(status) if status.isdigit() and int(status) else 499  # the client did not wait
        if path == "/label":
            told = as_object(asked)
            if status < 300 and {"request_id", "label"} <= set(told):
                self._log.label(told["request_id"], told["label"])
            return
        if path != "/predict":
            return
        retries = int(tries.lstrip("+"))
        fields = {
            "time": int(begin) / 1e6,
            "user": None if user == "-" else user,
            "redaction": self._redaction,
            "latency_ms": max(0, int(end) - int(begin)) / 1000,
        }
        answered = server if server in self._plan.upstreams else chosen
        if answered != chosen:  # the judge shall see what the client did not
            lost = {"version": chosen, "served": False, "attempts": max(retries, 1)}
            write_rows(self._log, name, asked, 502 if retries else 503, b"", **fields, **lost)
        told = {"version": answered, "served": True, "attempts": retries + 1}
        write_rows(self._log, name, asked, status, said, **fields, **told)


def _check(plan):
    if plan.mirror:
        raise ValueError(
            f"mirror={plan.mirror:g}: HAProxy sends no shadow copies. Take the own router (router='own'), or a rollout without a shadow."
        )


def _program():
    program = find_haproxy()
    if program is None:
        raise LabError(
            "HAProxy is not installed here (Debian, Ubuntu: apt install haproxy). Nothing needs it: the own router does the same."
        )
    built = subprocess.run([program, "-vv"], capture_output=True, text=True, timeout=20).stdout
    if "+LUA" not in built:
        raise LabError(
            f"{program} was built without Lua, which finds the users' buckets. Take the own router."
        )
    return program


def _unix_server(path):
    door = socket.socket(socket.AF_UNIX)
    try:
        door.bind(str(path))
    except OSError as error:
        door.close()
        raise LabError(f"No socket can be made at {path}: {error}. Set TMPDIR to a short path.") from None
    door.listen(4)
    return door
