"""A server as a process: how a notebook starts, ends and kills it, and how it ends by itself, whatever happens to the notebook."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from mlprod_helpers.files import write_json
from mlprod_helpers.serving.processes import LabError, WatchedProcess

EXIT = {0: "drained", 2: "wrong config", 3: "no model", 4: "its parent is gone", 5: "its lifetime is over"}
_LOOK_S = 0.5


class ServerProcess:
    """`python -m module --config FILE`, until the block ends, or this process does.

    Parameters
    ----------
    module : str
    config : `settings.ServerSettings`
    timeout : float, seconds until it must listen

    Attributes: `process` (Popen), `config`, and what it announced, such as `pid`, `port` and `url`.

    Raises
    ------
    LabError : it did not start; the message says why.
    """

    def __init__(self, module, config, timeout=30.0):
        parent = os.getpid() if config.parent_pid is None else config.parent_pid
        self.config = config.replace(watch_stdin=True, parent_pid=parent)
        # a file, not a pipe: a process that fills a pipe nobody reads is blocked
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            announced = self._spawn(module, timeout)
        except BaseException:
            self._errors.close()
            raise
        if announced is None:
            self.process.wait()
            reason = self.reason()
            self.kill()
            raise LabError(f"The {module.split('.')[-1]} did not start: {reason}")
        vars(self).update(announced)

    def _spawn(self, module, timeout):
        """Start it and wait for its first line, the JSON that says where it listens; None when it ended without one."""
        # beside the log if there is one: a killed process cannot remove the file, but the folder of a lab is cleared
        folder = os.path.dirname(self.config.log or "")
        handle, path = tempfile.mkstemp(suffix=".json", dir=folder if os.path.isdir(folder) else None)
        os.close(handle)
        try:
            write_json(path, self.config.model_dump(mode="json"))
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, "--config", path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,  # an interrupted cell does not interrupt the process
            )
            watch = threading.Timer(timeout, self.process.kill)
            watch.daemon = True
            watch.start()
            try:
                line = self.process.stdout.readline()
            except BaseException:  # an interrupted cell
                self.kill()
                raise
            finally:
                watch.cancel()
        finally:
            Path(path).unlink(missing_ok=True)
        return json.loads(line) if line else None

    @property
    def exit_code(self):
        """None while it runs; 0 after a drain."""
        return self.process.poll()

    def reason(self):
        """The end of what it wrote to standard error, and its exit code."""
        self._errors.seek(0)
        text = self._errors.read()[-2000:].decode(errors="replace").strip()
        code = self.process.returncode
        return f"{text or 'no message'} (exit code {code}{': ' + EXIT[code] if code in EXIT else ''})"

    def end(self, timeout):
        """Ask it to end well, wait, and kill it after `timeout` seconds. Returns the exit code, 0 if all went well."""
        if self.exit_code is None:
            with contextlib.suppress(OSError, ValueError):
                self.process.stdin.write(b"drain\n")
                self.process.stdin.flush()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout)
        return self.kill()

    def stop(self):
        """End it within two seconds. Returns the exit code."""
        return self.end(timeout=2.0)

    def kill(self):
        """End it now (SIGKILL) and wait until it is gone. Returns the exit code."""
        if self.process.poll() is None:
            self.process.kill()
        code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self._errors):
            with contextlib.suppress(OSError):
                pipe.close()
        return code

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()


# --------------------------------------------------------------------------------------- inside of it


def run_server(room, config_type, serve, arguments=None):
    """`python -m mlprod_helpers.serving.ROOM --config FILE`; returns the exit code: 2 for a wrong config, or that of `serve(config)`."""
    parser = argparse.ArgumentParser(prog=f"python -m mlprod_helpers.serving.{room}")
    parser.add_argument(
        "--config", required=True, help=f"JSON file with the fields of {config_type.__name__}"
    )
    path = parser.parse_args(arguments).config
    try:
        config = config_type.model_validate_json(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 2
    return serve(config)


def announce(**facts):
    """Say where this process listens, on one line of standard output, and write nothing more there."""
    print(json.dumps({"pid": os.getpid(), **facts}), flush=True)
    os.dup2(2, 1)  # nobody reads on: what a model prints would fill the pipe and block the process


def end_with_parent(config, drain):
    """End this process with its parent (exit code 4), after its lifetime (5), and on the order `drain` on standard input, which
    calls `drain()`. Threads do it, because the event loop may be blocked: a model that hangs must not outlive its parent."""
    pid = os.getppid() if config.parent_pid is None else config.parent_pid
    parent, end = WatchedProcess(pid) if pid else None, time.monotonic() + config.lifetime_s

    def watch_parent():
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(_LOOK_S, left))
            if parent is not None and not parent.is_alive():
                os._exit(4)
        os._exit(5)

    def read_orders():
        # the raw descriptor: a buffered reader would hold a lock that the end of the process waits for
        rest = b""
        while part := os.read(0, 1024):
            *lines, rest = (rest + part).split(b"\n")
            if any(line.strip() == b"drain" for line in lines):
                drain()
            rest = rest[-64:]
        os._exit(4)

    threading.Thread(target=watch_parent, daemon=True).start()
    if config.watch_stdin:
        threading.Thread(target=read_orders, daemon=True).start()


def on_signals(loop, end):
    """Call `end` on SIGTERM and on Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, end)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(end))
