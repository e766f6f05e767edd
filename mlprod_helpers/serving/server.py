"""A server as a process: how a notebook starts, ends and kills it, and how it ends by itself, whatever happens to the notebook."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

from mlprod_helpers.files import write_json
from mlprod_helpers.serving.processes import LabError

EXIT = {0: "drained", 2: "wrong config", 3: "no model", 4: "its parent is gone", 5: "its lifetime is over"}
_LOOK_S = 0.5


class ServerProcess:
    """`python -m module --config FILE`, until the block ends, or this process does.

    Parameters
    ----------
    module : str
    config : `settings.Settings` with `log`, `parent_pid` and `watch_stdin`
    environment : dict or None, variables to set in the process
    timeout : float, seconds until it must listen

    Attributes: `process` (Popen), `config`, and what it announced, such as `pid`, `port` and `url`.

    Raises
    ------
    LabError : it did not start; the message says why.
    """

    def __init__(self, module, config, *, environment=None, timeout=30.0):
        parent = os.getpid() if config.parent_pid is None else config.parent_pid
        self.config = config.replace(watch_stdin=True, parent_pid=parent)
        # a file, not a pipe: who fills a pipe that nobody reads stands still
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            announced = self._spawn(module, os.environ | dict(environment or {}), timeout)
        except BaseException:
            self._errors.close()
            raise
        if announced is None:
            self.process.wait()
            reason = self.reason()
            self.kill()
            raise LabError(f"The {module.split('.')[-1]} did not start: {reason}")
        vars(self).update(announced)

    def _spawn(self, module, environment, timeout):
        """Start it and wait for its first line, the JSON that says where it listens; None when it ended without one."""
        handle, path = _private_file(self.config.log)
        os.close(handle)
        try:
            write_json(path, self.config.model_dump(mode="json"))
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, "--config", path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environment,
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
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        return json.loads(line) if line else None

    @property
    def exit_code(self):
        """None while it runs; 0 after a drain."""
        return self.process.poll()

    def reason(self):
        """Why it ended, as far as it said."""
        self._errors.seek(0)
        text = self._errors.read()[-2000:].decode(errors="replace").strip()
        code = self.process.returncode
        return f"{text or 'it said nothing'} (exit code {code}{': ' + EXIT[code] if code in EXIT else ''})"

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
        """End it soon: well within two seconds, then by force. Returns the exit code."""
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


def _private_file(log=None):
    """(descriptor, path) of a new file that only this user can read; beside the log if there is one, since a process that is killed
    cannot remove it, and the folder of a lab is cleared.
    """
    folder = os.path.dirname(log or "")
    return tempfile.mkstemp(suffix=".json", dir=folder if os.path.isdir(folder) else None)


# --------------------------------------------------------------------------------------- inside of it


def announce(**facts):
    """Say where this process listens, on one line of standard output, and say nothing more there."""
    print(json.dumps({"pid": os.getpid(), **facts}), flush=True)
    # nobody reads on: what a model prints would fill the pipe, and then it would stand still
    os.dup2(2, 1)


def end_with_parent(config, drain):
    """End this process with its parent (exit code 4), after its lifetime (5), and on the order `drain` on standard input, which
    calls `drain()`. Threads do it, since the event loop may stand still: a model that hangs must not outlive its parent."""
    pid = os.getppid() if config.parent_pid is None else config.parent_pid
    parent, end = Parent(pid) if pid else None, time.monotonic() + config.lifetime_s

    def look():
        while True:
            left = end - time.monotonic()
            if left <= 0:
                os._exit(5)
            time.sleep(min(_LOOK_S, left))
            if parent is not None and not parent.is_there():
                os._exit(4)

    def read_orders():
        # the raw descriptor: a buffered reader would hold a lock that the end of the process waits for
        rest = b""
        while part := os.read(0, 1024):
            *lines, rest = (rest + part).split(b"\n")
            if any(line.strip() == b"drain" for line in lines):
                drain()
            rest = rest[-64:]
        os._exit(4)

    threading.Thread(target=look, daemon=True).start()
    if config.watch_stdin:
        threading.Thread(target=read_orders, daemon=True).start()


def on_signals(loop, end):
    """Call `end` on SIGTERM and on Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, end)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(end))


class Parent:
    """The process whose end ends this one: its parent, or any other.

    >>> Parent(os.getpid()).is_there()
    True
    """

    def __init__(self, pid):
        import psutil

        self._pid, self._is_direct = pid, os.getppid() == pid
        try:
            self._process = psutil.Process(pid)
        except psutil.NoSuchProcess:
            self._process = None

    def is_there(self):
        """Does it still run?"""
        import psutil

        if self._is_direct and os.name != "nt" and os.getppid() != self._pid:
            return False  # who loses its parent gets another one, also while the dead one waits to be buried
        try:
            # is_running tells it from a later process with the same number
            return (
                self._process is not None
                and self._process.is_running()
                and self._process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True
