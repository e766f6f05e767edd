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

import psutil

from mlprod_helpers.serving.processes import LabError

EXIT = {0: "drained", 2: "wrong config", 3: "no model", 4: "its parent is gone", 5: "its lifetime is over"}
START_S = 30.0  # within which a process must listen
LOOK_S = 0.5


class ServerProcess:
    """`python -m module`, until the block ends, or this process does.

    Parameters
    ----------
    module : str
    config : `settings.ServerSettings`

    Attributes: `process` (Popen), `config`, and what it announced, such as `pid`, `port` and `url`.

    Raises
    ------
    LabError : it did not start; the message says why.
    """

    def __init__(self, module, config):
        self.config = config
        # a file, not a pipe: a process that fills a pipe nobody reads is blocked
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            announced = self._spawn(module)
        except BaseException:
            self._errors.close()
            raise
        if announced is None:
            self.process.wait()
            reason = self.reason()
            self.kill()
            raise LabError(f"The {module.split('.')[-1]} did not start: {reason}")
        vars(self).update(announced)

    def _spawn(self, module):
        """Start it, hand it its config, and wait for its first line, the JSON that says where it listens; None: it ended without one."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,  # an interrupted cell does not interrupt the process
        )
        watch = threading.Timer(START_S, self.process.kill)
        watch.daemon = True
        watch.start()
        try:
            self._write(self.config.model_dump_json())
            line = self.process.stdout.readline()
        except BaseException:  # an interrupted cell
            self.kill()
            raise
        finally:
            watch.cancel()
        return json.loads(line) if line else None

    def _write(self, line):
        with contextlib.suppress(OSError, ValueError):  # it has ended
            self.process.stdin.write(f"{line}\n".encode())
            self.process.stdin.flush()

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
            self._write("drain")
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


def run_server(config_type, serve):
    """Read a config, a line of JSON on standard input, and `serve(config)`; returns the exit code: its own, or 2 for a wrong config."""
    try:
        # raw: a buffer would hold back the orders that follow
        config = config_type.model_validate_json(sys.stdin.buffer.raw.readline())
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return serve(config)


def announce(**facts):
    """Say where this process listens, on one line of standard output, and write nothing more there."""
    print(json.dumps({"pid": os.getpid(), **facts}), flush=True)
    os.dup2(2, 1)  # nobody reads on: what a model prints would fill the pipe and block the process


def end_with_parent(lifetime_s, drain):
    """End this process with its parent or with standard input (exit code 4), and after its lifetime (5); the line `drain` on standard
    input calls `drain()`. Threads do it, because the event loop may be blocked: a model that hangs must not outlive its parent."""
    process, end = psutil.Process(), time.monotonic() + lifetime_s
    parent = process.parent()

    def watch_parent():
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(LOOK_S, left))
            if process.parent() != parent:  # an orphan gets another one, or none
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

    for watch in (watch_parent, read_orders):
        threading.Thread(target=watch, daemon=True).start()


def on_signals(loop, end):
    """Call `end` on SIGTERM and on Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, end)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(end))
