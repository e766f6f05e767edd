"""What a lab needs from the machine: ports on 127.0.0.1, processes, and a folder that goes away."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

HOST = "127.0.0.1"
_PREFIX = "mlprod-lab-"


class LabError(RuntimeError):
    """The lab cannot do what is asked. The message says why, and what to do."""


def refusal():
    """Why no lab can run here, or None: can this process listen on 127.0.0.1, reach itself, and start a process?

    >>> refusal() is None or "scored" in refusal()
    True
    """
    ending = "Nothing that is scored needs a live service."
    if os.environ.get("MLPROD_LIVE", "").lower() in ("0", "no", "off"):
        return f"MLPROD_LIVE says no: no service is started. {ending}"
    try:
        with socket.create_server((HOST, 0)) as listener:
            listener.settimeout(2.0)
            with socket.create_connection(listener.getsockname(), timeout=2.0):
                listener.accept()[0].close()
    except OSError as error:
        return f"This machine lets nobody listen on {HOST} ({error.strerror or error}): a sandbox or a firewall. {ending}"
    try:
        subprocess.run([sys.executable, "-S", "-c", ""], check=True, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        return f"This machine starts no process ({type(error).__name__}): a limit, or no memory. {ending}"
    return None


def new_folder():
    """A folder for one lab. Its name holds the pid, so that a later lab can clear what a killed kernel left behind."""
    clear_old_folders()
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))


def clear_old_folders():
    """Remove the folders of labs whose process is gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        owner = folder.name.removeprefix(_PREFIX).split("-")[0]
        if owner.isdigit() and not WatchedProcess(int(owner)).is_alive():
            shutil.rmtree(folder, ignore_errors=True)


class WatchedProcess:
    """A process that somebody else ends.

    >>> WatchedProcess(os.getpid()).is_alive()
    True
    """

    def __init__(self, pid):
        import psutil

        self._pid, self._is_parent = pid, os.getppid() == pid
        try:
            self._process = psutil.Process(pid)
        except psutil.NoSuchProcess:
            self._process = None

    def is_alive(self):
        import psutil

        if self._is_parent and os.name != "nt" and os.getppid() != self._pid:
            return False  # an orphan gets another parent at once, even while the dead one is still a zombie
        try:
            # is_running tells it from a later process with the same number
            process = self._process
            return process is not None and process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return True
