"""The lab: what it needs from the machine, what it starts, and that nothing of it is left, however it ends."""

import asyncio
import gc
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from mlprod_helpers.rollout import Canary, MSPRTJudge, ThresholdJudge
from mlprod_helpers.serving import Deployment, Lab, processes
from mlprod_helpers.serving.lab import demo
from mlprod_helpers.serving.processes import LabError, LoopThread

ROWS = [{"distance": float(d)} for d in range(100, 200)]
SPEC = importlib.util.spec_from_file_location(
    "stand_in_service", Path(__file__).with_name("stand_in_service.py")
)
stand_in = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(stand_in)


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
    asyncio.run_coroutine_threadsafe(for_ever(), loop._loop)
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


# ------------------------------------------------------------------------- the lab, with services that have no model


def lab_of(show=None, versions=("v1", "v2"), **by_version):
    settings = {name: by_version.pop(name) for name in versions if name in by_version}
    served = {name: Deployment("no model") for name in versions}
    return Lab(served, show=show, start=stand_in.starts(**settings), **by_version)


def traces(lab):
    """(processes, ports, folder) of a running lab."""
    processes = [*lab.services.values(), lab.router]
    ports = [one.port for one in processes] + [int(lab.router.control_url.rsplit(":", 1)[1])]
    return [one.pid for one in processes], ports, lab.folder


def left(traces, seconds=60.0):
    """What is still there after at most so many seconds: processes, ports, the folder."""
    pids, ports, folder = traces
    end = time.monotonic() + seconds
    while True:
        found = [pid for pid in pids if is_alive(pid)], [port for port in ports if processes.in_use(port)]
        found = *found, [folder] if folder is not None and Path(folder).exists() else []
        if not any(found) or time.monotonic() > end:
            return [one for kind in found for one in kind]
        time.sleep(0.05)


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_lab_says_what_is_ready_answers_and_leaves_nothing():
    told = []
    with lab_of(told.append) as lab:
        assert told == ["v1 is ready", "v2 is ready", "the router is ready"]
        assert lab.log().empty and lab.running
        answer = lab.ask({"distance": 800}, user="ben")
        assert (answer.status, answer.body["prediction"], answer.headers["x-version"]) == (200, 100.0, "v1")
        assert lab.ask({"distance": 800}, to="v2").body["version"] == "v2"
        assert lab.ask([{"distance": 8}, {"distance": 16}]).body["predictions"] == [1.0, 2.0]
        assert lab.get("/readyz", to="v1").body == {"state": "ready"}
        assert lab.metrics("v1")["value"].tolist() == [7.0]
        assert "router_requests_total" in set(lab.metrics()["name"])
        log = lab.log()
        assert log["version"].tolist() == ["v1"] * 3 and log["user_id"].iloc[0] not in (None, "ben")
        assert [event["features"]["distance"] for event in lab.tail(2)] == [8, 16]
        found = traces(lab)
        assert all(is_alive(pid) for pid in found[0])
    assert left(found) == [] and not lab.running
    with pytest.raises(LabError, match="closed"):
        lab.ask({"distance": 800})


def test_a_lab_works_where_a_loop_is_already_running():
    async def cell():  # as in a notebook
        with lab_of() as lab:
            table = lab.open_loop(ROWS, rate=100, n=20, random_state=0)
            return table, lab.closed_loop(ROWS, n=5), lab.late_labels(table, [1.0] * 100, share=0.5)

    table, closed, labels = asyncio.run(cell())
    assert (table["status"] == 200).all() and len(table) == 20 and len(closed) == 5
    assert labels == {"sent": 10, "taken": 10, "learned": 0}


def test_the_routers_log_hides_what_any_version_redacts(monkeypatch):
    monkeypatch.delenv("MLPROD_LOG_KEY", raising=False)
    served = {"v1": Deployment("no model", redact=["zone"]), "v2": Deployment("no model", redact=["user_id"])}
    lab = Lab(served, show=None, start=stand_in.starts(), redact=["hour"])
    with pytest.raises(ValueError, match="set MLPROD_LOG_KEY in the environment: 16"):
        lab.start()
    monkeypatch.setenv("MLPROD_LOG_KEY", "sixteen characters at least")
    with lab:
        assert lab.ask({"distance": 800, "zone": 1, "hour": 9}, user="ana-maria").status == 200
        event = lab.tail(1)[0]
        assert event["features"] == {"distance": 800} and event["user_id"] not in (None, "ana-maria")


@pytest.mark.parametrize("problem", [RuntimeError, KeyboardInterrupt])
def test_whatever_ends_the_block_nothing_is_left(problem):
    with pytest.raises(problem), lab_of() as lab:
        found = traces(lab)
        raise problem
    assert left(found) == []


def test_an_interrupt_while_it_starts_leaves_nothing():
    def interrupt(line):
        found.append(lab.folder)
        pids.extend(process.pid for process in lab.services.values())
        raise KeyboardInterrupt

    found, pids = [], []
    lab = lab_of(interrupt)
    with pytest.raises(KeyboardInterrupt):
        lab.start()
    assert pids and left((pids, [], found[0])) == [] and not lab.running


def test_a_forgotten_lab_is_closed():
    lab = lab_of().start()
    found = traces(lab)
    del lab
    gc.collect()
    assert left(found) == []


def test_closed_twice_started_twice():
    lab = lab_of(versions=("v1",))
    with lab:
        with pytest.raises(LabError, match="runs already"):
            lab.start()
        first, other = traces(lab), lab_of(versions=("v1",)).start()
        second = traces(other)
        assert other.ask({"distance": 8}).status == lab.ask({"distance": 8}).status == 200
        other.close()
        other.close()
        assert left(second) == [] and lab.ask({"distance": 8}).status == 200
    assert left(first) == []
    with lab:  # a closed one may be started again
        assert lab.ask({"distance": 8}).status == 200


def test_a_service_that_dies_at_its_start_says_why():
    with pytest.raises(LabError, match=r"v2 did not start: its model has another checksum"):
        lab_of(v2={"words": "its model has another checksum"}).start()


def test_a_process_that_is_not_to_be_had_is_told():
    def none_left(config):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    lab = Lab({"v1": Deployment("no model")}, show=None, start=none_left)
    with pytest.raises(LabError, match="v1 could not be started: Resource temporarily unavailable"):
        lab.start()
    assert not lab.running


def test_a_service_that_is_never_ready_is_given_up():
    begin = time.monotonic()
    with pytest.raises(LabError, match="v2"):
        lab_of(v2={"start_s": 600}, timeout=1.5).start()
    assert time.monotonic() - begin < 60


def test_where_no_port_is_to_be_had_the_lab_says_so(monkeypatch):
    monkeypatch.setenv("MLPROD_LIVE", "no")
    with pytest.raises(LabError, match="MLPROD_LIVE"), lab_of():
        pass


def test_wrong_settings_are_refused_before_anything_starts():
    with pytest.raises(ValueError, match="versions"):
        Lab({})
    with pytest.raises(ValueError, match="v1"):
        Lab({"v1": Deployment("m")}, stable="v3")
    with pytest.raises(ValueError, match="called"):
        Lab({"my model": Deployment("m")})
    with pytest.raises(ValueError, match="features"):
        Deployment(object())
    with pytest.raises(ValueError, match="own business"):
        Deployment("m", port=80)
    with pytest.raises(ValueError, match="workers"):
        Lab({"v1": {"model": "m", "worker": 2}})


# --------------------------------------------------------------------------------- rollouts and repairs


def test_a_canary_that_fails_is_rolled_back_and_its_harm_counted():
    with lab_of(v2={"share": 0.3}) as lab:
        plan = Canary(step_weights=[40, 50, 60], interval=0.5, threshold=1)
        judge = MSPRTJudge(tau=0.2, min_requests=10)
        live = lab.rollout(plan, judge, ROWS, rate=150, duration=3, users=400, random_state=0)
        assert lab.plan.weight == 0
        log = lab.log()
    assert live.rolled_back and not live.promoted and live.decision.phase == "Degraded"
    failed = ((live.table["version"] == "v2") & (live.table["status"] == 500)).sum()
    assert live.failed == {"v1": 0, "v2": failed} and live.failed_tries["v2"] == failed > 0
    assert live.harmed == failed  # v1 has not failed: all of it is v2's
    assert live.answered["v1"] + live.answered["v2"] == len(live.table) == len(log)
    assert 0 <= live.first_failure <= live.rollback and live.time_to_roll_back <= live.rollback
    summary = live.summary()
    assert summary.loc["v2", "failed"] == failed and summary["requests"].sum() == len(live.table)
    assert "rolled back" in str(live) and "failed" in live.plot().alt


def test_a_good_canary_is_promoted_and_an_interrupt_ends_the_rollout():
    judge = ThresholdJudge({"error_rate": (None, 0.1)}, min_requests=5)
    with lab_of() as lab:
        plan = Canary(step_weights=[50], interval=0.3)
        live = lab.rollout(plan, judge, ROWS, rate=200, duration=2, random_state=0)
        assert live.promoted and not live.rolled_back and live.harmed == 0 and live.rollback is None
        running = lab.rollout(plan, judge, ROWS, rate=50, duration=60, wait=False)
        with pytest.raises(LabError, match="still running"):
            lab.rollout(plan, judge, ROWS, rate=50, duration=1)
        threading.Timer(0.5, signal.raise_signal, [signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            running.wait()
        assert running._error is None
        assert not running.running and 0 < len(running.table) < 3000
        found = traces(lab)
        lab.rollout(plan, judge, ROWS, rate=50, duration=60, wait=False)  # the end of the block ends it
    assert left(found) == []


def test_a_judge_that_raises_ends_the_rollout_and_is_told():
    plan = Canary(step_weights=[30], interval=0.2, threshold=1)
    with lab_of() as lab:
        with pytest.raises(ZeroDivisionError):
            lab.rollout(plan, lambda metrics: 1 / 0, ROWS, rate=50, duration=300)
        assert lab.rollout(plan, lambda metrics: "pass", ROWS, rate=50, duration=1).rolled_back is False


def test_kill_restart_drain_and_a_change_of_roles_under_load_fail_nobody():
    with lab_of() as lab:
        results = []
        load = threading.Thread(
            target=lambda: results.append(lab.open_loop(ROWS, rate=100, duration=4, random_state=0))
        )
        load.start()
        assert lab.roles("v2", "v1").stable == lab.stable == "v2"
        lab.kill("v1")
        assert lab.get("/healthz", to="v1").status == 0
        lab.restart("v1")
        lab.roles("v1", "v2")
        assert lab.drain("v2") == 0 and lab.plan.draining == ("v2",)
        with pytest.raises(ValueError, match="draining"):
            lab.drain("v1")
        lab.restart("v2")
        assert lab.plan.draining == ()
        load.join()
        found = traces(lab)
    assert (results[0]["status"] == 200).all() and set(results[0]["version"]) == {"v1", "v2"}
    assert left(found) == []


def test_no_change_of_the_plan_is_lost_while_others_change_it():
    """A driver sets weights while a cell changes the plan: in the end there is the last weight, and every change was counted."""
    with lab_of() as lab:
        resources, before = lab._resources, lab.plan.generation

        def set_weights():
            for weight in range(1, 41):
                resources.set_weights({"v1": 100 - weight, "v2": weight})

        driver = threading.Thread(target=set_weights)
        driver.start()
        for i in range(40):
            lab._change(lambda plan, i=i: plan.replace(salt=str(i)))
        driver.join()
        assert (lab.plan.weight, lab.plan.salt) == (40, "39")
        assert lab.plan.generation == before + 80


def test_a_lab_that_is_started_again_begins_as_the_first_time():
    lab = lab_of()
    with lab:
        lab.set_weights({"v1": 20, "v2": 80}, mirror=5)
        lab.roles("v2", "v1")
        lab.drain("v1")
    with lab:
        plan = lab.plan
        assert (plan.stable, plan.canary, plan.weight, plan.mirror, plan.draining) == ("v1", "v2", 0, 0, ())
        assert lab.stable == lab.ask({"distance": 8}).headers["x-version"] == "v1"


def test_three_versions_change_their_roles():
    with lab_of(versions=("v1", "v2", "v3")) as lab:
        lab.roles("v1", "v3")
        lab.set_weights({"v1": 0, "v3": 100})
        assert lab.ask({"distance": 8}, user="ben").headers["x-version"] == "v3"
        with pytest.raises(ValueError, match="v4"):
            lab.ask({"distance": 8}, to="v4")


# ------------------------------------------------------------------------------------ nothing is left

CHILD = """
import importlib.util, json, os, sys
sys.path.insert(0, {folder!r})
import test_serving_lab as tests
lab = tests.lab_of(versions=("v1",)).start()
pids, ports, folder = tests.traces(lab)
print(json.dumps([pids, ports, str(folder)]), flush=True)
end = sys.stdin.readline().strip()
sys.exit(end) if end == "exit" else None
"""


def child_lab():
    """A lab in another process, which waits for a word: (that process, traces)."""
    import json

    code = CHILD.format(folder=str(Path(__file__).parent))
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    pids, ports, folder = json.loads(child.stdout.readline())
    return child, (pids, ports, folder)


@pytest.mark.parametrize("end", ["end of the program", "exit", "SIGTERM", "SIGKILL"])
def test_the_end_of_the_process_ends_its_lab(end):
    child, found = child_lab()
    if end.startswith("SIG"):
        os.kill(child.pid, getattr(signal, end))
    child.communicate(f"{end}\n")
    killed = end.startswith("SIG")
    pids, ports, folder = found
    assert left((pids, ports, None if killed else folder)) == []
    processes.clear_old_folders()  # as the next lab does
    assert not Path(folder).exists()


def test_starts_and_stops_leave_nothing():
    for round_ in range(3):
        with lab_of(versions=("v1",)) as lab:
            found = traces(lab)
            if round_ == 1:
                lab.kill("v1")
            if round_ == 2:
                os.kill(lab.router.pid, signal.SIGKILL)
        assert left(found) == []


# ------------------------------------------------------------------------------------- with the real service


def test_the_real_service_a_hybrid_learns_from_late_labels_while_it_serves():
    eta = demo.eta_models()
    rows, truth = eta.rows[:300], eta.labels[:300].to_numpy()
    with Lab({"v1": eta.v1, "hybrid": Deployment(*eta.hybrid, workers=1)}, stable="hybrid", show=None) as lab:
        assert lab.get("/version", to="v1").body["version"] == "v1"
        before = lab.open_loop(rows, rate=150, n=300, random_state=0)
        labels = lab.late_labels(before, truth)
        after = lab.open_loop(rows, rate=150, n=300, random_state=1)
        assert lab.ask({"distance": -1, "hour": 8, "zone": 2}).status == 422
        assert len(lab.ask(rows[:3]).body["predictions"]) == 3
        learned = lab.log("hybrid")["label"].notna().sum()
        found = traces(lab)
    assert labels == {"sent": 300, "taken": 300, "learned": 300} and learned == 300
    errors = [float(abs(table["prediction"] - truth).mean()) for table in (before, after)]
    assert errors[1] < 0.9 * errors[0]
    assert left(found) == []


def test_the_real_service_says_why_it_does_not_start(tmp_path):
    with pytest.raises(LabError, match="v1: The service did not start.*no model"):
        Lab({"v1": Deployment(tmp_path)}, show=None).start()


def test_a_version_may_be_given_in_several_ways():
    assert Deployment.of({"model": "folder", "workers": 2}).settings == {"workers": 2}
    with pytest.raises(ValueError, match="mapping with a model"):
        Deployment.of({"features": []})
