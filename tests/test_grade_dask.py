"""A class on an existing Dask cluster: the same marks as on one machine, also where a worker dies and another takes its place."""

import json
import os
import subprocess
import sys
import threading
import time

import grade_class
import pytest

from mlprod_tools.grade import ledger, run, sandbox

pytest.importorskip("distributed", reason="distributed comes with the extra `cluster`")
ISOLATED = not sandbox.why_not()
COUNT = 8


@pytest.fixture
def cluster(tmp_path):
    """(address of the scheduler, function that starts a worker); all of it ends with the test."""
    environment = os.environ | {"PYTHONPATH": str(grade_class.ROOT), "OMP_NUM_THREADS": "1"}
    started = []

    def start(*words):
        with open(tmp_path / f"log{len(started)}.txt", "w") as log:
            command = [sys.executable, "-m", "dask", *words, "--no-dashboard", "--host", "127.0.0.1"]
            started.append(subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log))
        return started[-1]

    about = tmp_path / "scheduler.json"
    start("scheduler", "--port", "0", "--scheduler-file", str(about))
    wait_for(about.exists)
    address = json.loads(about.read_text())["address"]

    def worker():
        return start("worker", address, "--nthreads", "1", "--no-nanny")

    yield address, worker
    for process in started:
        process.kill()
        process.wait()


def wait_for(happened, seconds=90):
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def marks(out):
    return {each.learner: each.to_dict() for each in ledger.read(out / "grades.jsonl")[1]}


def test_a_worker_that_dies_is_replaced_and_the_marks_are_those_of_one_machine(tmp_path, cluster):
    folder = tmp_path / "in"
    for k in range(COUNT):
        (folder / f"learner{k}").mkdir(parents=True)
        text = grade_class.notebook("00", (1, 0.5, 0)[k % 3]).replace("Parameters", f"Parameters {k}")
        (folder / f"learner{k}" / "start.ipynb").write_text(text)
    run.grade(folder, tmp_path / "here", run.Options(seed=3, isolated=ISOLATED, jobs=1))

    address, worker = cluster
    first, _ = worker(), worker()
    path = tmp_path / "there" / "grades.jsonl"

    def kill_one():
        wait_for(lambda: path.exists() and path.read_bytes().count(b"\n") > 2, 240)
        first.kill()
        worker()

    killer = threading.Thread(target=kill_one)
    killer.start()
    failed = run.grade(folder, tmp_path / "there", run.Options(seed=3, isolated=ISOLATED, scheduler=address))
    killer.join()
    assert failed == [] and first.wait() != 0
    assert len(path.read_text().splitlines()) == COUNT + 1
    assert marks(tmp_path / "there") == marks(tmp_path / "here")
    assert (tmp_path / "there" / "grades.csv").read_bytes() == (tmp_path / "here" / "grades.csv").read_bytes()
