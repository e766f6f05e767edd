"""What a lab needs from the machine: ports on 127.0.0.1, processes, and a folder that goes away."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

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
    if os.environ.get("NBGRADER_EXECUTION"):
        return f"A grader runs this notebook: no service is started. {ending}"
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
        if owner.isdigit() and not _is_alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
