"""What a lab needs from the machine: ports, an event loop where one already runs, folders that go away."""

import asyncio
import socket
import subprocess
import sys
import threading

import pytest

from mlprod_helpers.serving import processes
from mlprod_helpers.serving.processes import LabError, LoopThread


def test_coroutines_run_where_a_loop_is_already_running():
    async def notebook():  # as in a kernel: asyncio.run would refuse here
        with LoopThread() as loop:
            return loop.run(asyncio.sleep(0, result=7))

    assert asyncio.run(notebook()) == 7


def test_what_takes_too_long_is_cancelled():
    cancelled = threading.Event()

    async def for_ever():
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    with LoopThread() as loop:
        with pytest.raises(LabError, match="given up"):
            loop.run(for_ever(), timeout=0.05)
        assert cancelled.wait(2)


def test_an_error_of_the_coroutine_reaches_the_caller():
    async def fails():
        raise TimeoutError("its own")

    with LoopThread() as loop, pytest.raises(TimeoutError, match="its own"):
        loop.run(fails(), timeout=5)


def test_a_closed_loop_cancels_what_runs_and_leaves_no_thread():
    cancelled = threading.Event()

    async def for_ever():
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    loop = LoopThread()
    loop.spawn(for_ever())
    loop.run(asyncio.sleep(0))
    loop.close()
    loop.close()
    assert cancelled.is_set()
    assert "mlprod-lab" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(LabError, match="closed"):
        loop.run(asyncio.sleep(0))


def test_blocked_ports_are_told_with_what_to_do(monkeypatch):
    def blocked(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.delenv("MLPROD_LIVE", raising=False)
    monkeypatch.setattr(socket, "create_server", blocked)
    assert "Permission denied" in processes.refusal()
    assert "scored" in processes.refusal()


def test_processes_that_cannot_be_had_are_told(monkeypatch):
    def none_left(*_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.delenv("MLPROD_LIVE", raising=False)
    monkeypatch.setattr(subprocess, "run", none_left)
    assert "starts no process" in processes.refusal()


def test_no_lab_where_the_environment_says_so(monkeypatch):
    monkeypatch.setenv("MLPROD_LIVE", "no")
    assert "MLPROD_LIVE" in processes.refusal()


def test_a_port_is_in_use_while_somebody_listens():
    with socket.create_server((processes.HOST, 0)) as door:
        port = door.getsockname()[1]
        assert processes.in_use(port)
    assert not processes.in_use(port)


def test_the_folder_of_a_killed_process_is_cleared_by_the_next_lab(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = "import sys, time; from mlprod_helpers.serving.processes import new_folder; print(new_folder(), flush=True); time.sleep(60)"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env={"TMPDIR": str(tmp_path)}
    )
    try:
        left = child.stdout.readline().strip()
    finally:
        child.kill()
        child.communicate()
    assert left and list(tmp_path.iterdir()) == [tmp_path / left.rsplit("/", 1)[-1]]
    mine = processes.new_folder()
    assert list(tmp_path.iterdir()) == [mine]
    processes.clear_old_folders()
    assert mine.is_dir()  # its process is alive
