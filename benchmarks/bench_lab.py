"""Does a lab leave anything behind, and how long does it take to start?

    python benchmarks/bench_lab.py [--times 50]

Labs with two real services and a router are started, asked once, and ended, in turn

- by the end of the block, by an exception in it, by being forgotten,
- after a service, or the router, was killed with SIGKILL,
- in a process of their own that is killed with SIGKILL or SIGTERM, or that ends without closing its lab,
- in a process of their own that is killed while the lab starts.

After each one: every process that there was (children and their children), every port that one of them listened on, and the
folder (that of a killed process is cleared by the next lab, so that is done here too). What is still there after ten seconds is
left; at the end, also every file in the folder for temporary ones. Ends with status 1 when anything is left or a lab did not answer.
"""

import argparse
import contextlib
import gc
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy

import signal
import socket
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import psutil
from measured import record

from mlprod_helpers.serving import Deployment, Lab
from mlprod_helpers.serving.processes import HOST, clear_old_folders

SECONDS = 10.0
HERE = ("end", "exception", "forgotten", "service killed", "router killed")
CHILD = ("SIGKILL", "SIGTERM", "not closed", "SIGKILL at start")
CODE = """
import sys
sys.path.insert(0, sys.argv[2])
import bench_lab
lab = bench_lab.lab_of(sys.argv[1])
print("starting", flush=True)
lab.start()
print(lab.ask({"distance": 1400}).status, lab.folder, flush=True)
sys.stdin.readline()
"""


def lab_of(folder):
    """Two versions of one small model that was saved before."""
    return Lab({"v1": Deployment(folder), "v2": Deployment(folder)}, show=None, lifetime_s=120)


def save(folder):
    """A model of one feature."""
    from sklearn.linear_model import Ridge

    from mlprod_helpers.serving import Feature, save_model

    model = Ridge().fit([[100.0], [2000.0]], [20.0, 280.0])
    save_model(model, folder, version="v1", features=[Feature("distance", low=0, high=6000)])
    return str(folder)


def traces(process):
    """(all that has come of a process, the ports on which they listen)."""
    family = process.children(recursive=True)
    ports = set()
    for one in family:
        try:
            started = one.net_connections(kind="tcp")
        except psutil.Error:
            continue
        ports |= {place.laddr.port for place in started if place.status == psutil.CONN_LISTEN}
    return family, ports


def is_in_use(port):
    """Does anybody listen on this port?"""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0


def left(family, ports, place):
    """What is still there after some seconds: (processes, ports, folders)."""
    end = time.monotonic() + SECONDS
    while True:
        alive = [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
        busy = [port for port in ports if is_in_use(port)]
        if not alive:
            clear_old_folders()  # as the next lab does; it leaves alone what belongs to a living process
        there = place is not None and Path(place).exists()
        if not (alive or busy or there) or time.monotonic() > end:
            return len(alive), len(busy), int(there)
        time.sleep(0.1)


def here(how, folder):
    """One lab in this process: (seconds to start, was it answered?, traces, its folder)."""
    begin = time.perf_counter()
    lab = lab_of(folder).start()
    seconds = time.perf_counter() - begin
    answered, started, place = lab.ask({"distance": 1400}).status == 200, traces(psutil.Process()), lab.folder
    if how == "service killed":
        lab.kill("v2")
    if how == "router killed":
        os.kill(lab.router.pid, signal.SIGKILL)
    if how == "forgotten":
        del lab
        gc.collect()
        return seconds, answered, started, place
    with contextlib.suppress(ZeroDivisionError), contextlib.closing(lab):
        if how == "exception":
            raise ZeroDivisionError
    return seconds, answered, started, place


def in_a_child(how, folder):
    """One lab in a process that does not close it: the same, without seconds."""
    child = subprocess.Popen(
        [sys.executable, "-c", CODE, folder, str(Path(__file__).parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    process, place, answered = psutil.Process(child.pid), None, True
    child.stdout.readline()
    if how == "SIGKILL at start":
        end = time.monotonic() + SECONDS
        while len(process.children()) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        process.suspend()  # no further process comes while they are counted
    else:
        status, place = child.stdout.readline().split()
        answered = status == "200"
    started = traces(process)
    if how.startswith("SIG"):
        child.send_signal(getattr(signal, how.split()[0]))
    child.communicate("\n")
    return None, answered, started, place


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=50)
    times = parser.parse_args().times
    if not 1 <= times <= 500:
        parser.error("1 to 500 times")
    starts, counts, lost = [], {}, {"processes": 0, "ports": 0, "folders": 0, "without an answer": 0}
    with tempfile.TemporaryDirectory() as folder:
        model = save(Path(folder, "model"))
        tempfile.tempdir = os.environ["TMPDIR"] = str(Path(folder, "temporary"))
        Path(tempfile.tempdir).mkdir()
        for how in islice(cycle([*HERE, *CHILD]), times):
            run = here if how in HERE else in_a_child
            seconds, answered, started, place = run(how, model)
            processes, ports, folders = left(*started, place)
            counts[how] = counts.get(how, 0) + 1
            lost["processes"] += processes
            lost["ports"] += ports
            lost["folders"] += folders
            lost["without an answer"] += not answered
            if seconds is not None:
                starts.append(seconds)
        lost["files"] = len(list(Path(tempfile.tempdir).iterdir()))
    print("labs:", ", ".join(f"{n} {how}" for how, n in counts.items()))
    print(
        f"start of two services and a router: median {np.median(starts):.2f} s, longest {max(starts):.2f} s"
    )
    record("labs ended, forgotten, killed, or killed while they start", times, left=sum(lost.values()))
    for what, n in lost.items():
        print(f"{what:20} left {n:3d}   target 0   {'met' if not n else 'MISSED'}")
    return 1 if any(lost.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
