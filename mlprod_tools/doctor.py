"""`mlprod doctor`: is this machine ready for the course? Each check says what it found, and what to do where something is wrong."""

import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import webbrowser
from dataclasses import dataclass
from pathlib import Path

from mlprod_helpers.datasets import checksums, data_folder

ROOT = Path(__file__).resolve().parents[1]
LEAST_DISK = 2**30  # bytes: the environment takes most of it
MANY_CORES = 8  # from here on, each kernel's threads get in each other's way on a shared machine
KERNEL_SECONDS = 60


@dataclass(frozen=True)
class Finding:
    """What one check found. `advice` is empty where all is well; `is_fault` where the course would not work."""

    what: str
    found: str
    advice: str = ""
    is_fault: bool = False

    def __str__(self):
        mark = "ok" if not self.advice else "FAULT" if self.is_fault else "note"
        return f"  {mark:<6}{self.what}: {self.found}" + (f"\n        {self.advice}" if self.advice else "")


def add_options(parser):
    """The options of `mlprod doctor`."""
    parser.add_argument(
        "--dry-run", action="store_true", help="also execute every solution; print minutes and memory"
    )


def main(options):
    """Run all checks. Exit status 1 if the course would not work here."""
    is_fine = True
    for check in CHECKS:
        for finding in check():
            print(finding, flush=True)
            is_fine = is_fine and not finding.is_fault
    if options.dry_run:
        is_fine = dry_run() and is_fine
    print("This machine is ready." if is_fine else "This machine is not ready: see the lines marked FAULT.")
    return 0 if is_fine else 1


def check_python():
    """Is this a Python that the course is tested with?"""
    version = sys.version.split()[0]
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    advice = "" if good else "Install Python 3.11, 3.12 or 3.13, and make the environment with it."
    yield Finding("Python", version, advice, not good)


def check_packages(pins=None):
    """Are the versions installed that the outputs were made with?"""
    lock = ROOT / "constraints.txt"
    if pins is None:
        pins = _pins(lock.read_text(encoding="utf-8")) if lock.exists() else {}
    missing, other = [], []
    for name in _needed():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
            continue
        if name in pins and version != pins[name]:
            other.append(f"{name} {version} instead of {pins[name]}")
    if missing:
        yield Finding(
            "packages", f"{', '.join(missing)} missing", "Run `make env` in the course's folder.", True
        )
    elif other:
        advice = "Printed numbers may differ in the last digit. `make env` installs the pinned versions."
        yield Finding("packages", "; ".join(other), advice)
    elif pins:
        yield Finding("packages", "all in their pinned versions")
    else:  # installed from a wheel, which has no pins
        yield Finding(
            "packages", "all there; without a checkout there are no pinned versions to compare with"
        )


def _pins(text):
    """Name -> version of the pins that hold for this Python and system."""
    from packaging.requirements import Requirement

    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found = [Requirement(line) for line in lines]
    return {each.name: str(each.specifier)[2:] for each in found if not each.marker or each.marker.evaluate()}


def _needed():
    """Names of the packages that lessons need."""
    needs = importlib.metadata.requires("mlprod") or []
    return [re.match(r"[A-Za-z0-9._-]+", each)[0] for each in needs if "extra ==" not in each]


def check_kernel():
    """Does a kernel start and answer?"""
    from jupyter_client.manager import start_new_kernel

    begin = time.monotonic()
    try:
        # a kernel's own warnings are no findings
        manager, client = start_new_kernel(
            kernel_name="python3", startup_timeout=KERNEL_SECONDS, stderr=subprocess.DEVNULL
        )
        try:
            reply = client.execute_interactive(
                "6 * 7", timeout=KERNEL_SECONDS, output_hook=lambda message: None
            )
            status = reply["content"]["status"]
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    except Exception as error:
        advice = "Run `python -m ipykernel install --sys-prefix` in the environment, and see whether a firewall blocks 127.0.0.1."
        yield Finding("kernel", f"none answers ({type(error).__name__}: {error})", advice, True)
        return
    seconds = time.monotonic() - begin
    yield Finding("kernel", f"answers after {seconds:.0f} s" if status == "ok" else status)


def check_disk(folder=ROOT, least=LEAST_DISK):
    """Is there room?"""
    free = shutil.disk_usage(folder).free
    advice = (
        "" if free >= least else "Free at least 1 GB: saving notebooks and progress fails on a full disk."
    )
    yield Finding("disk", f"{free / 2**30:.1f} GB free", advice, bool(advice))


def check_home():
    """Is there a home folder, where Jupyter keeps its settings and the address of each kernel?"""
    from jupyter_core.paths import jupyter_runtime_dir

    home = os.path.expanduser("~")
    advice = "Set HOME to a folder that you can write."
    try:
        os.makedirs(jupyter_runtime_dir(), mode=0o700, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=jupyter_runtime_dir()):
            pass
    except OSError as error:
        found = f"{home} cannot be used ({error.strerror})"
        yield Finding("home folder", found, f"{advice} JupyterLab does not start without one.", True)
        return
    if os.access(home, os.W_OK):
        yield Finding("home folder", "Jupyter can keep its settings there")
    else:
        advice += " Without one, IPython and Matplotlib warn in the first cell, and Matplotlib loads slowly."
        yield Finding("home folder", f"{home} cannot be written", advice)


def check_writing(folder=None):
    """Can notebooks and progress be saved?"""
    if folder is None:  # without a checkout, notebooks are where one works
        folder = ROOT / "notebooks" if (ROOT / "notebooks").is_dir() else Path.cwd()
    try:
        with tempfile.NamedTemporaryFile(dir=folder):
            pass
    except OSError as error:
        advice = "Copy the course to a folder of your own. Progress would be kept for one session only."
        yield Finding("write access", f"not in {folder} ({error.strerror})", advice, True)
        return
    yield Finding("write access", "notebooks and progress can be saved")


def check_threads(environment=os.environ, cores=None):
    """Will many kernels on one machine wait for each other's threads?"""
    cores = cores or os.cpu_count() or 1
    limit = environment.get("OMP_NUM_THREADS")
    advice = ""
    if cores >= MANY_CORES and not limit:
        advice = "On a hub, set OMP_NUM_THREADS=1 for every kernel: otherwise each starts a thread a core."
    yield Finding("threads", f"{cores} cores, OMP_NUM_THREADS {limit or 'not set'}", advice)


def check_ports():
    """Can lesson 09 start its services?"""
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname(), 5),
        ):
            pass
    except OSError as error:
        advice = "The live cells of lessons 09 and 10 say so and are left out; set MLPROD_LIVE=no to leave them out on purpose."
        yield Finding("ports", f"no connection to 127.0.0.1 ({error.strerror})", advice)
        return
    yield Finding("ports", "services can listen on 127.0.0.1")


def check_browser():
    """Is there a browser to open JupyterLab in?"""
    try:
        webbrowser.get()
    except webbrowser.Error:
        advice = "Open the address that JupyterLab prints in any browser; on a server, use the hub's."
        yield Finding("browser", "none found", advice)
        return
    yield Finding("browser", "found")


def check_offline(folder=None):
    """Is everything here that lessons read, so that no network is needed later?"""
    folder = data_folder() if folder is None else folder
    sums, broken = checksums(folder), []
    for name, digest in sums.items():
        path = folder / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            broken.append(path.name)
    if broken:
        advice = "Get these files again: `git checkout datasets`, or a new copy of the course."
        yield Finding("offline", f"missing or changed: {', '.join(broken)}", advice, True)
        return
    yield Finding("offline", f"all {len(sums)} data files are here; lessons need no network")


CHECKS = (
    check_python,
    check_packages,
    check_kernel,
    check_disk,
    check_home,
    check_writing,
    check_threads,
    check_ports,
    check_browser,
    check_offline,
)

_EXECUTE = """
import sys, nbformat, resource
from nbclient import NotebookClient
NotebookClient(nbformat.read(sys.argv[1], 4), timeout=300).execute()
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def dry_run(folder=ROOT / "solutions"):
    """Execute every solution and print its minutes and memory. Returns whether all ran to the end."""
    paths = sorted(folder.glob("*.ipynb"))
    is_fine = bool(paths)
    for path in paths:
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as work:  # nothing of the course's folder is changed
            environment = os.environ | {"MLPROD_PROGRESS": "memory", "MPLBACKEND": "agg"}
            command = [sys.executable, "-c", _EXECUTE, str(path.resolve())]
            done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True)
        took = (time.monotonic() - begin) / 60
        if done.returncode:
            is_fine = False
            title = json.loads(path.read_text(encoding="utf-8"))["metadata"]["mlprod"]["title"]
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            print(f"  FAULT {path.stem}: {title} does not run to the end: {last}", flush=True)
        else:
            memory = int(done.stdout.split()[-1]) / 1024
            print(f"  ok    {path.stem}: {took:.1f} minutes, {memory:.0f} MB", flush=True)
    return is_fine
