"""What a lab needs from the machine: ports on 127.0.0.1, an event loop of its own, a folder that goes away."""

import asyncio
import contextlib
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures import wait
from pathlib import Path

HOST = "127.0.0.1"
_PREFIX = "mlprod-lab-"


class LabError(RuntimeError):
    """The lab cannot do what is asked. The message says why, and what to do."""


def refusal():
    """Why there can be no lab here, or None: can this process listen on 127.0.0.1, reach itself, and start a process?

    >>> refusal() is None or "scored" in refusal()
    True
    """
    if os.environ.get("MLPROD_LIVE", "").lower() in ("0", "no", "off"):
        return "MLPROD_LIVE says no: no service is started. Nothing that is scored needs a live service."
    ending = "Nothing that is scored needs a live service."
    try:
        with socket.create_server((HOST, 0)) as door:
            door.settimeout(2.0)
            with socket.create_connection(door.getsockname(), timeout=2.0):
                door.accept()[0].close()
    except OSError as error:
        return f"This machine lets nobody listen on {HOST} ({error.strerror or error}): a sandbox or a firewall. {ending}"
    try:
        subprocess.run([sys.executable, "-S", "-c", ""], check=True, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        return f"This machine starts no process ({type(error).__name__}): a limit, or no memory. {ending}"
    return None


def in_use(port):
    """Does anybody listen on this port of 127.0.0.1?"""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0


class LoopThread:
    """An event loop in a thread of its own, so that plain code can wait for coroutines where a loop already runs, as in a
    notebook's kernel.

    >>> with LoopThread() as loop:
    ...     loop.run(asyncio.sleep(0, result="done"))
    'done'
    """

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._work, name="mlprod-lab", daemon=True)
        self._thread.start()

    def _work(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def run(self, coroutine, timeout=None):
        """The coroutine's result. When the caller is interrupted, or `timeout` seconds are over, it is cancelled."""
        if self._loop.is_closed():
            coroutine.close()
            raise LabError("This lab is closed. Start another one: with Lab() as lab: ...")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        end = math.inf if timeout is None else time.monotonic() + timeout
        try:
            while not future.done():
                if (left := end - time.monotonic()) <= 0:
                    raise LabError(f"Nothing has happened for {timeout:g} seconds: given up.")
                wait(
                    [future], timeout=min(left, 0.2)
                )  # an interrupt may be heard only between two waits (Windows)
            return future.result()
        finally:
            future.cancel()

    def close(self):
        """Cancel what still runs, end the thread."""
        if self._loop.is_closed():
            return

        async def cancel_all():
            others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in others:
                task.cancel()
            await asyncio.wait(others, timeout=2.0) if others else None

        # the thread is a daemon: it ends with the process at the latest
        with contextlib.suppress(FutureTimeout, RuntimeError):
            asyncio.run_coroutine_threadsafe(cancel_all(), self._loop).result(5.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5.0)
        if not self._thread.is_alive():
            self._loop.close()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()


def new_folder():
    """A folder for one lab. Its name holds the pid, so that a later lab can clear what a killed kernel left behind."""
    clear_old_folders()
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))


def clear_old_folders():
    """Remove the folders of labs whose process is gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).split("-")[0]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid):
    import psutil

    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
