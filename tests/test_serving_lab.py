"""The lab: what it needs from the machine, what it starts, and that nothing of it is left, however it ends."""

import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from stand_in_service import StandInLab, is_alive, left, traces, until

from mlprod_helpers.requestlog import RequestLog
from mlprod_helpers.rollout import Canary, Controller, MSPRTJudge, ThresholdJudge
from mlprod_helpers.serving import Deployment, Lab, LabError, processes
from mlprod_helpers.serving.lab import demo
from mlprod_helpers.serving.lab.driver import Driver

ROWS = [{"distance": float(d)} for d in range(100, 200)]


@pytest.mark.parametrize(
    ("module", "name", "error", "says"),
    [
        (socket, "create_server", PermissionError(13, "Permission denied"), "Permission denied.*scored"),
        (subprocess, "run", BlockingIOError(11, "unavailable"), "starts no process.*scored"),
    ],
)
def test_ports_and_processes_that_are_not_to_be_had_are_named(monkeypatch, module, name, error, says):
    def blocked(*_, **__):
        raise error

    monkeypatch.delenv("MLPROD_LIVE", raising=False)
    monkeypatch.setattr(module, name, blocked)
    with pytest.raises(LabError, match=says):
        StandInLab().start()


def test_no_lab_where_the_environment_says_so(monkeypatch):
    monkeypatch.setenv("MLPROD_LIVE", "no")
    with pytest.raises(LabError, match="MLPROD_LIVE"), StandInLab():
        pass


def test_the_folder_of_a_killed_process_is_cleared_by_the_next_lab(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = "import sys, time; from mlprod_helpers.serving.processes import new_folder; print(new_folder(), flush=True); time.sleep(60)"
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)
    try:
        old = Path(child.stdout.readline().strip())
    finally:
        child.kill()
        child.communicate()
    assert list(tmp_path.iterdir()) == [old]
    new = processes.new_folder()
    assert list(tmp_path.iterdir()) == [new]
    processes.clear_old_folders()
    assert new.is_dir()  # its process is alive


# ------------------------------------------------------------------------- the lab, with services that have no model


def test_a_lab_says_what_is_ready_answers_and_leaves_nothing():
    progress = []
    with StandInLab(show=progress.append) as lab:
        assert progress == ["v1 is ready", "v2 is ready", "the router is ready"]
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
        with pytest.raises(ValueError, match="v4"):
            lab.ask({"distance": 8}, to="v4")
        started = traces(lab)
        assert all(is_alive(pid) for pid in started[0])
    assert left(*started) == [] and not lab.running
    with pytest.raises(LabError, match="closed"):
        lab.ask({"distance": 800})


def test_a_lab_works_where_a_loop_is_already_running():
    async def cell():  # as in a notebook
        with StandInLab() as lab:
            table = lab.open_loop(ROWS, rate=100, n=20, random_state=0)
            return table, lab.closed_loop(ROWS, n=5), lab.late_labels(table, [1.0] * 100)

    table, closed, labels = asyncio.run(cell())
    assert (table["status"] == 200).all() and len(table) == 20 and len(closed) == 5
    assert labels == {"sent": 20, "taken": 20, "learned": 0}


def test_the_routers_log_hides_what_is_redacted(monkeypatch):
    lab = StandInLab(redact=["hour", "zone", "user_id"])
    monkeypatch.setenv("MLPROD_LOG_KEY", "sixteen characters at least")
    with lab:
        assert lab.ask({"distance": 800, "zone": 1, "hour": 9}, user="ana-maria").status == 200
        event = lab.tail(1)[0]
        assert event["features"] == {"distance": 800} and event["user_id"] not in (None, "ana-maria")


@pytest.mark.parametrize("problem", [RuntimeError, KeyboardInterrupt])
def test_whatever_ends_the_block_nothing_is_left(problem):
    with pytest.raises(problem), StandInLab() as lab:
        started = traces(lab)
        raise problem
    assert left(*started) == []


def test_an_interrupt_while_it_starts_leaves_nothing():
    def interrupt(line):
        started.append(lab.folder)
        pids.extend(process.pid for process in lab.services.values())
        raise KeyboardInterrupt

    started, pids = [], []
    lab = StandInLab(show=interrupt)
    with pytest.raises(KeyboardInterrupt):
        lab.start()
    assert pids and left(pids, [], started[0]) == [] and not lab.running


def test_a_forgotten_lab_is_closed():
    lab = StandInLab().start()
    started = traces(lab)
    del lab
    gc.collect()
    assert left(*started) == []


def test_labs_can_be_closed_twice_live_side_by_side_and_start_again_as_the_first_time():
    lab = StandInLab()
    with lab:
        with pytest.raises(LabError, match="runs already"):
            lab.start()
        first, other = traces(lab), StandInLab(("v1",)).start()
        second = traces(other)
        assert other.ask({"distance": 8}).status == lab.ask({"distance": 8}).status == 200
        other.close()
        other.close()
        assert left(*second) == [] and lab.ask({"distance": 8}).status == 200
        lab.set_weights({"v1": 20, "v2": 80}, mirror=5)
        lab.roles("v2", "v1")
        lab.drain("v1")
    assert left(*first) == []
    with lab:
        plan = lab.plan
        assert (plan.stable, plan.canary, plan.weight, plan.mirror, plan.draining) == ("v1", "v2", 0, 0, ())
        assert lab.stable == lab.ask({"distance": 8}).headers["x-version"] == "v1"


def test_a_service_that_does_not_start_says_why(monkeypatch):
    with pytest.raises(LabError, match="v2: its model has another checksum"):
        StandInLab(stand_ins={"v2": {"words": "its model has another checksum"}}).start()
    begin = time.monotonic()
    with pytest.raises(LabError, match="v2"):  # never ready: given up
        StandInLab(stand_ins={"v2": {"start_s": 600}}, timeout=1.5).start()
    assert time.monotonic() - begin < 60
    lab, no_more = StandInLab(("v1",)), BlockingIOError(11, "Resource temporarily unavailable")
    monkeypatch.setattr(lab, "_start_service", lambda config: (_ for _ in ()).throw(no_more))
    with pytest.raises(LabError, match="v1.*Resource temporarily unavailable"):
        lab.start()
    assert not lab.running


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Lab({}), "versions"),
        (lambda: Lab({"my model": Deployment("m")}), "called"),
        (lambda: Lab({"v1": {"features": []}}), "A version is Deployment"),
        (lambda: Deployment(object()), "features"),
        (lambda: Deployment("m", redact=["zone"]), "set by the lab"),
        (lambda: Deployment("m", worker=2), "worker"),
    ],
)
def test_wrong_settings_are_refused_before_anything_starts(make, says):
    with pytest.raises(ValueError, match=says):
        make()


# --------------------------------------------------------------------------------- rollouts and repairs


def test_a_canary_that_fails_is_rolled_back_and_its_harm_counted():
    with StandInLab(stand_ins={"v2": {"share": 0.3}}) as lab:
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
    assert 0 <= live.time_to_roll_back <= live.rollback
    summary = live.summary()
    assert summary.loc["v2", "failed"] == failed and summary["requests"].sum() == len(live.table)
    assert "rolled back" in str(live) and "failed" in live.plot().alt


def test_a_killed_canary_costs_clients_nothing_and_is_rolled_back_within_two_checks():
    def judge(metrics):  # only a verdict against the canary counts here
        checks.append(time.time())
        judgment = msprt(metrics)
        return judgment if judgment.outcome == "fail" else "nodata"

    def kill():
        until(lambda: sum(event["version"] == "v2" for event in lab.tail(200)) > 20)
        lab.kill("v2")
        killed.append(time.time())

    msprt, checks, killed = MSPRTJudge(tau=0.2, min_requests=5), [], []
    with StandInLab() as lab:
        plan = Canary(step_weights=[30], interval=0.5, threshold=1)
        threading.Thread(target=kill).start()
        live = lab.rollout(plan, judge, ROWS, rate=150, duration=4, users=300, random_state=0)
        assert lab.plan.weight == 0
        retries = lab.metrics().set_index("name").loc["router_retries_total", "value"]
    assert retries > 0 and live.answered["v2"] > 0
    assert (live.table["status"] != 200).sum() <= 0.001 * len(live.table)
    assert live.rolled_back and sum(check > killed[0] for check in checks) <= 2


def test_a_good_canary_is_promoted_and_an_interrupt_ends_the_rollout():
    judge = ThresholdJudge({"error_rate": (None, 0.1)}, min_requests=5)
    with StandInLab() as lab:
        plan = Canary(step_weights=[50], interval=0.3)
        live = lab.rollout(plan, judge, ROWS, rate=200, duration=2, random_state=0)
        assert live.promoted and not live.rolled_back and live.harmed == 0 and live.rollback is None
        # from the judge: where a signal meets a callback of compiled code, that may swallow it
        interrupted = lambda metrics: signal.raise_signal(signal.SIGINT) or "pass"  # noqa: E731
        with pytest.raises(KeyboardInterrupt):
            lab.rollout(plan, interrupted, ROWS, rate=50, duration=60)
        before = len(lab.log())
        time.sleep(0.5)
        assert len(lab.log()) == before  # the load has ended too


def test_a_judge_that_raises_ends_the_rollout_and_its_error_is_raised():
    plan = Canary(step_weights=[30], interval=0.2, threshold=1)
    with StandInLab() as lab:
        with pytest.raises(ZeroDivisionError):
            lab.rollout(plan, lambda metrics: 1 / 0, ROWS, rate=50, duration=300)
        assert lab.rollout(plan, lambda metrics: "pass", ROWS, rate=50, duration=1).rolled_back is False


def test_kill_restart_drain_and_a_change_of_roles_under_load_fail_nobody():
    with StandInLab() as lab:
        results, over, settings = [], threading.Event(), {"rate": 100, "duration": 60, "random_state": 0}
        load = threading.Thread(target=lambda: results.append(lab.open_loop(ROWS, stop=over, **settings)))
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
        over.set()
        load.join()
        started = traces(lab)
    assert (results[0]["status"] == 200).all() and set(results[0]["version"]) == {"v1", "v2"}
    assert left(*started) == []


def test_no_change_of_the_plan_is_lost_while_others_change_it():
    """A driver sets weights while a cell changes the plan: the last weight stays, and every change was counted."""
    with StandInLab() as lab:
        before = lab.plan.generation

        def set_weights():
            for weight in range(1, 41):
                lab.set_weights({"v1": 100 - weight, "v2": weight})

        driver = threading.Thread(target=set_weights)
        driver.start()
        for i in range(40):
            lab._change(lambda plan, i=i: plan.replace(salt=str(i)))
        driver.join()
        assert (lab.plan.weight, lab.plan.salt) == (40, "39")
        assert lab.plan.generation == before + 80


V2 = {"event": "request", "version": "v2", "served": True, "status": 200}
ODD = {
    "a label from before its request": {"event": "label", "time": "2020-01-01T00:00:00Z", "label": 1.0},
    "a text as label": {"event": "label", "time": "2100-01-01T00:00:00Z", "label": "late"},
    "a status that is none": V2 | {"status": 7},
    "a latency below 0": V2 | {"latency_ms": -5.0},
    "an id that is a fraction": V2 | {"request_id": 7.5},
    "an id that is a list": V2 | {"request_id": ["r"]},
    "a prediction that is text": V2 | {"prediction": "?"},
    "no status": {"event": "request", "version": "v2", "served": True},
    "no served": {"event": "request", "version": "v2", "status": 200},
    "another request of the same name": V2,
}


@pytest.mark.filterwarnings("ignore::mlprod_helpers.requestlog.LogWarning")
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_a_rollout_keeps_its_sight_when_the_log_has_one_odd_event(odd, tmp_path):
    import pandas as pd

    class Backend:
        def set_weights(self, weights, mirror):
            pass

    def judge(metrics):
        seen.append({role: counts["requests"] for role, counts in metrics.summary().items()})
        return ("fail", "bad") if seen[-1]["canary"] else "nodata"

    def at(seconds):
        return pd.Timestamp(begin + seconds, unit="s", tz="UTC")

    seen, begin = [], time.time()
    driver = Driver(
        Controller(Canary(step_weights=[50], interval=60, threshold=1), judge, "v1", "v2"),
        Backend(),
        tmp_path / "log",
    )
    driver.tick(begin)
    with RequestLog(tmp_path / "log") as log:
        for i in range(20):
            log.request(f"r{i}", version=f"v{1 + i % 2}", time=at(1 + i), latency_ms=5.0, prediction=1.0)
            log.label(f"r{i}", 1.0, time=at(2 + i))
        with (tmp_path / "log").open("a") as file:
            event = {"time": str(at(3)), "request_id": "r3", "latency_ms": 5.0} | odd
            file.write(json.dumps(event) + "\n")
        driver.tick(begin + 61)
        assert driver.controller.state.failed == 1
        assert seen[0]["stable"] == 10 and 9 <= seen[0]["canary"] <= 10


# ------------------------------------------------------------------------------------ nothing is left

CHILD = f"""
import json, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from stand_in_service import StandInLab, traces
lab = StandInLab(("v1",)).start()
pids, ports, folder = traces(lab)
print(json.dumps([pids, ports, str(folder)]), flush=True)
end = sys.stdin.readline().strip()
sys.exit(end) if end == "exit" else None
"""


@pytest.mark.parametrize("end", ["end of the program", "exit", "SIGTERM", "SIGKILL"])
def test_the_end_of_the_process_ends_its_lab(end):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    child = subprocess.Popen([sys.executable, "-c", CHILD], text=True, **pipes)
    pids, ports, folder = json.loads(child.stdout.readline())
    is_killed = end.startswith("SIG")
    if is_killed:
        os.kill(child.pid, getattr(signal, end))
    child.communicate(f"{end}\n")
    assert left(pids, ports, None if is_killed else folder) == []
    processes.clear_old_folders()  # as the next lab does
    assert not Path(folder).exists()


@pytest.mark.parametrize("who", ["v1", "the router"])
def test_a_lab_whose_service_or_router_was_killed_leaves_nothing(who):
    with StandInLab(("v1",)) as lab:
        started = traces(lab)
        os.kill((lab.router if who == "the router" else lab.services[who]).pid, signal.SIGKILL)
    assert left(*started) == []


# ------------------------------------------------------------------------------------- with the real service


def test_the_real_service_a_hybrid_learns_from_late_labels_while_it_serves():
    eta = demo.eta_models()
    rows, truth = eta.rows[:300], eta.labels[:300].to_numpy()
    with Lab({"hybrid": eta.hybrid, "v1": eta.v1}, show=None) as lab:
        assert lab.get("/version", to="v1").body["version"] == "v1"
        before = lab.open_loop(rows, rate=150, n=300, random_state=0)
        labels = lab.late_labels(before, truth)
        after = lab.open_loop(rows, rate=150, n=300, random_state=1)
        assert lab.ask({"distance": -1, "hour": 8, "zone": 2}).status == 422
        assert len(lab.ask(rows[:3]).body["predictions"]) == 3
        learned = lab.log("hybrid")["label"].notna().sum()
        started = traces(lab)
    assert labels == {"sent": 300, "taken": 300, "learned": 300} and learned == 300
    errors = [float(abs(table["prediction"] - truth).mean()) for table in (before, after)]
    assert errors[1] < 0.9 * errors[0]
    assert left(*started) == []


def test_the_real_service_says_why_it_does_not_start(tmp_path):
    with pytest.raises(LabError, match="v1: The service did not start.*no model"):
        Lab({"v1": Deployment(tmp_path)}, show=None).start()
