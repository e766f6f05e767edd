"""A service as a process: started, watched, drained, killed; and what runs inside of it."""

import asyncio
import contextlib
import gc
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from mlprod_helpers.serving.processes import HOST, LabError, Parent, kill_and_wait, spawn

EXIT = {0: "drained", 2: "wrong config", 3: "no model", 4: "its parent is gone", 5: "its lifetime is over"}
_LOOK_S = 0.5


def start(config, *, environment=None, timeout=30.0):
    """Start a service in a process of its own and wait until it listens (not until its model is loaded: `ready`).

    Parameters
    ----------
    config : ServiceConfig
    environment : dict or None, variables to set in the process, such as MLPROD_API_KEY
    timeout : float, seconds until it must listen

    Returns
    -------
    ServiceProcess

    Raises
    ------
    LabError : it did not start; the message says why.
    """
    return ServiceProcess(config, environment=environment, timeout=timeout)


class ServiceProcess:
    """A running service. `url`, `port`, `pid` and `version` say where and which; as a context manager it ends with the block.

    It ends with this process, whatever happens to it, since its standard input closes then.
    """

    def __init__(self, config, *, environment=None, timeout=30.0):
        self.config = config.replace(
            watch_stdin=True,
            parent_pid=os.getpid() if config.parent_pid is None else config.parent_pid,
        )
        # a file, not a pipe: who fills a pipe that nobody reads stands still
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self.process, told = spawn(
                "mlprod_helpers.serving.service",
                self.config.model_dump(mode="json"),
                log=config.log,
                timeout=timeout,
                stdin=subprocess.PIPE,
                stderr=self._errors,
                env=os.environ | dict(environment or {}),
            )
        except BaseException:
            self._errors.close()
            raise
        if told is None:
            self.process.wait()
            reason = self._reason()
            self.kill()
            raise LabError(f"The service did not start: {reason}")
        self.pid, self.port, self.url, self.version = (told[k] for k in ("pid", "port", "url", "version"))

    @property
    def exit_code(self):
        """None while it runs; 0 after a drain."""
        return self.process.poll()

    def ready(self, timeout=60.0):
        """Wait until it takes requests; returns the ServiceProcess. LabError when it ends before, or after `timeout` seconds."""
        end = time.monotonic() + timeout
        while self.state() != "ready":
            if self.exit_code is not None:
                raise LabError(f"The service {self.version} is gone: {self._reason()}")
            if time.monotonic() >= end:
                raise LabError(f"The service {self.version} is not ready after {timeout:g} seconds.")
            time.sleep(0.02)
        return self

    def state(self):
        """What `/readyz` says: "starting", "ready", "draining"; "gone" when nobody answers."""
        door = http.client.HTTPConnection(HOST, self.port, timeout=5.0)
        try:
            door.request("GET", "/readyz")
            return json.loads(door.getresponse().read())["state"]
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            return "gone"
        finally:
            door.close()

    def drain(self, timeout=None):
        """Ask it to end well and wait for it: no request is lost. Returns the exit code, 0 if all went well.

        `timeout` is in seconds, by default what the config allows; after it the service is killed.
        """
        if timeout is None:
            timeout = self.config.drain_s + self.config.drain_timeout_s + 5.0
        if self.exit_code is None:
            with contextlib.suppress(OSError, ValueError):
                self.process.stdin.write(b"drain\n")
                self.process.stdin.flush()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout)
        return self.kill()

    def stop(self):
        """End it soon: by a drain of at most two seconds, then by force. Returns the exit code."""
        return self.drain(timeout=2.0)

    def kill(self):
        """End it now (SIGKILL) and wait until it is gone. Returns the exit code."""
        code = kill_and_wait(self.process)
        self._errors.close()
        return code

    def _reason(self):
        self._errors.seek(0)
        text = self._errors.read()[-2000:].decode(errors="replace").strip()
        code = self.process.returncode
        return f"{text or 'it said nothing'} (exit code {code}{': ' + EXIT[code] if code in EXIT else ''})"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()


# --------------------------------------------------------------------------------------- inside of it


def serve(config):
    """Run a service in this process until it ends; returns the exit code."""
    import uvicorn

    from mlprod_helpers.serving.service.app import create_app
    from mlprod_helpers.serving.service.models import ModelError

    try:
        app = create_app(config)
    except (ModelError, ValueError, OSError) as error:  # OSError: a log that cannot be opened
        print(error, file=sys.stderr)
        return 3 if isinstance(error, ModelError) else 2

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self):
            yield  # uvicorn raises them again at the end, and the exit code would not be 0

    settings = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        http="h11",
        ws="none",
        loop="asyncio",
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=config.drain_timeout_s,
    )
    return asyncio.run(_Running(config, app, Server(settings)).until_it_ends())


class _Running:
    """One service in this process: what starts and ends it."""

    def __init__(self, config, app, server):
        self.config, self.app, self.server = config, app, server
        self.service = app.state.service
        self._draining = None

    async def until_it_ends(self):
        self._loop = asyncio.get_running_loop()
        try:
            listener = _listen(self.config.port)
        except OSError as error:
            print(
                f"Port {self.config.port} is not to be had ({error.strerror}): 0 takes a free one.",
                file=sys.stderr,
            )
            return 2
        self._end_with_parent()
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                self._loop.add_signal_handler(number, self.drain)
            except NotImplementedError:  # Windows
                signal.signal(number, lambda *_: self._loop.call_soon_threadsafe(self.drain))
        serving = asyncio.ensure_future(self.server.serve(sockets=[listener]))
        while not self.server.started:
            await asyncio.sleep(0.005)
        self._announce(listener.getsockname()[1])
        code = await self._loaded()
        await serving
        return code

    async def _loaded(self):
        """0, or 3 when the model could not be loaded."""
        try:
            await self.app.state.loading
        except asyncio.CancelledError:
            return 0
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            self.server.should_exit = True
            return 3
        gc.collect()
        gc.freeze()  # libraries and model stay: no collection needs to look at them again
        return 0

    def drain(self):
        """Twice: without the grace for the router."""
        self.service.drain()
        if self._draining is None:
            self._draining = self._loop.call_later(self.config.drain_s, self._shut)
        else:
            self._shut()

    def _shut(self):
        self.server.should_exit = True

    def _announce(self, port):
        told = {
            "pid": os.getpid(),
            "port": port,
            "url": f"http://{HOST}:{port}",
            "version": self.service.version,
        }
        print(json.dumps(told), flush=True)
        # nobody reads on: what a model prints would fill the pipe, and then it would stand still
        os.dup2(2, 1)

    def _end_with_parent(self):
        """Threads, since the event loop may stand still: a model that hangs must not outlive its parent."""
        pid = os.getppid() if self.config.parent_pid is None else self.config.parent_pid
        threading.Thread(target=self._watch, args=(Parent(pid) if pid else None,), daemon=True).start()
        if self.config.watch_stdin:
            threading.Thread(target=self._read_orders, daemon=True).start()

    def _watch(self, parent):
        end = time.monotonic() + self.config.lifetime_s
        while True:
            left = end - time.monotonic()
            if left <= 0:
                os._exit(5)
            time.sleep(min(_LOOK_S, left))
            if parent is not None and not parent.is_there():
                os._exit(4)

    def _read_orders(self):
        # the raw descriptor: a buffered reader would hold a lock that the end of the process waits for
        rest = b""
        while part := os.read(0, 1024):
            *lines, rest = (rest + part).split(b"\n")
            if any(line.strip() == b"drain" for line in lines):
                self._loop.call_soon_threadsafe(self.drain)
            rest = rest[-64:]
        os._exit(4)


def _listen(port):
    # asyncio sends small packets at once (TCP_NODELAY) only if the socket names its protocol, as that of create_server does
    # not; an answer, sent as head and body, would then wait 40 ms for the client's delayed acknowledgement
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":  # elsewhere this would let two services share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(2048)
    except BaseException:
        listener.close()
        raise
    return listener
