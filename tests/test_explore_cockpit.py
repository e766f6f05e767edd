"""The live cockpit over a lab: what it shows, what its buttons do, and how it ends. Nothing is raised into the notebook."""

import json
import re
import threading
import time
from types import SimpleNamespace

import ipywidgets
import matplotlib
import pandas as pd
import pytest
from stand_in_service import until

from mlprod_helpers import serving
from mlprod_helpers.explore import cockpit, live
from mlprod_helpers.explore.panel import AGAIN, MAX_RATE
from mlprod_helpers.explore.recent import Recent
from mlprod_helpers.requestlog import RequestLog, as_log
from mlprod_helpers.serving import Lab
from mlprod_helpers.serving.client import Answer
from mlprod_helpers.serving.processes import LabError, refusal
from mlprod_helpers.serving.router.plan import RoutePlan

VIEW = "application/vnd.jupyter.widget-view+json"
ROWS = [{"distance": 1400}]
NO_LAB = refusal()


class FakeLab:
    """A lab without processes: it notes what it is asked to do, and its services are as they were made."""

    def __init__(self, folder):
        self.folder, self.running, self.calls = folder, True, []
        self.stable, self.canary, self.services = "v1", "v2", {"v1": None, "v2": None}
        self.plan = RoutePlan(
            upstreams=dict.fromkeys(("v1", "v2"), "http://127.0.0.1:9"), stable="v1", canary="v2"
        )
        self.states = {"v1": Answer(200, {"state": "ready"}, {}), "v2": Answer(200, {"state": "ready"}, {})}
        self.log = RequestLog(folder / "log-router.jsonl")
        self.breaks = None

    def answered(self, name, **row):
        """One more row of the router's log, about a request that came half a second ago."""
        self.log.request(name, time=pd.Timestamp.now("UTC") - pd.Timedelta("500ms"), **row)

    def set_weights(self, weights, mirror=0):
        if self.breaks:
            raise self.breaks
        self.plan = self.plan.weighted(weights, mirror)
        self.calls.append(("weights", weights["v2"], mirror))
        return self.plan

    def get(self, path, *, to, timeout):
        assert path == "/readyz" and timeout < 1
        return self.states[to]

    def metrics(self):
        labels = [{"version": name} for name in self.services]
        return pd.DataFrame({"name": "router_in_flight", "labels": labels, "value": 7.0})

    def kill(self, name):
        self.states[name] = Answer(0, {"error": "ConnectionRefusedError"}, {})

    def drain(self, name):
        self.calls.append(("drain", name))
        return 0

    def restart(self, name):
        self.states[name] = Answer(200, {"state": "ready"}, {})
        return SimpleNamespace(url="")

    def close(self):
        self.running = False
        self.calls.append("closed")

    def open_loop(self, rows, *, rate, duration, timeout, stop):
        self.calls.append(("load", rate))
        assert rows == ROWS and duration <= 600
        stop.wait(20)


@pytest.fixture
def lab(tmp_path):
    made = FakeLab(tmp_path)
    yield made
    made.running = False
    made.log.close()


@pytest.fixture
def shown(lab):
    made = live.Cockpit(lab, ROWS)
    yield made
    made.close()


def all_of(box, kind):
    own = [box] if isinstance(box, kind) else []
    return own + [w for child in getattr(box, "children", ()) for w in all_of(child, kind)]


def control(shown, title):
    [one] = [w for w in all_of(shown.widget, ipywidgets.Widget) if getattr(w, "description", "") == title]
    return one


def page(shown):
    return "".join(made.value for made in all_of(shown.widget, ipywidgets.HTML))


def no_thread(name):
    return not any(thread.name == name for thread in threading.enumerate())


# --- what it shows --------------------------------------------------------------------------------------------------------


def test_numbers_picture_and_last_lines_come_from_the_log(lab, shown):
    for i in range(20):
        lab.answered(
            f"r{i}", version="v1" if i % 2 else "v2", latency_ms=4.0, prediction=201.25, user_id="ben"
        )
    lab.answered("r20", version="v2", status=502, served=False, latency_ms=1.0)
    lab.answered("r20", version="v1", latency_ms=6.0, attempts=2)
    lab.log.label("r3", 210.0)
    shown.refresh()
    assert shown.state["rate"].tolist() == [1.1, 1.0]
    assert shown.state.loc["v2", ["failed", "lost", "retried"]].tolist() == [1, 0, 1]
    assert "v2: 10 answers, 48% of all" in page(shown) and "tried again" in shown.figure.alt
    assert "(failed)" in page(shown) and "try 2" in page(shown) and "answer 201" in page(shown)
    assert len(shown.lines) == 6
    heads, _, second = re.findall("<tr>(.*?)</tr>", page(shown))
    names, values = (re.findall(r"<t[hd] [^>]*>(.*?)</t[hd]>", row) for row in (heads, second))
    assert (names[2], names[6]) == ("waiting<br>now", "failed")
    assert [values[0], *values[2:]] == ["v2", "7", "1", "4", "4", "1", "0", "1", "0"]


def test_the_state_of_a_service_is_said_in_words(lab, shown):
    assert "</span> ready</span></span><br>stable, 100% of the users" in page(shown)
    states = {
        "starting": Answer(503, {"state": "starting"}, {}),
        "draining": Answer(503, {"state": "draining"}, {}),
        "alive, not ready": Answer(500, "oops", {}),
        "does not answer": Answer(0, {"error": "TimeoutError"}, {}),
        "dead": Answer(0, {"error": "ConnectionRefusedError"}, {}),
    }
    for words, answer in states.items():
        lab.states["v2"] = answer
        shown.refresh()
        assert shown.lights == {"v1": "ready", "v2": words}
        assert f"{words}</span></span><br>canary, 0% of the users" in page(shown)


def test_static_forms_carry_picture_table_and_lines(lab, shown):
    lab.answered("r1", version="v1", latency_ms=4.0)
    shown.refresh()
    bundle = shown._repr_mimebundle_()
    assert set(bundle) == {VIEW, "text/html", "text/plain"}
    assert bundle["text/plain"].startswith("Cockpit: v1 ready (stable, 100% of the users); v2 ready")
    assert "v1: 1 answer" in bundle["text/plain"]
    assert (
        '<img alt="The last 60 s before' in bundle["text/html"]
        and "The last lines of the log" in bundle["text/html"]
    )


def test_what_a_service_wrote_into_the_log_is_escaped(lab, shown):
    lab.answered("r1", version="<b>v3</b>", latency_ms=4.0, prediction="<script>")
    shown.refresh()
    assert "<script>" not in page(shown) and "<b>v3" not in page(shown)
    assert "&lt;script&gt;" in page(shown)


def test_every_control_has_a_name_and_sliders_their_unit(shown):
    inputs = all_of(shown.widget, (ipywidgets.FloatSlider, ipywidgets.IntSlider, ipywidgets.Button))
    assert len(inputs) >= 8 and all(made.description and made.tooltip for made in inputs)
    sliders = all_of(shown.widget, (ipywidgets.FloatSlider, ipywidgets.IntSlider))
    assert all(re.search(r"\((%|requests/s)\)$", made.description) for made in sliders)


def test_drawing_leaves_matplotlibs_settings_alone(lab, shown, monkeypatch):
    monkeypatch.setitem(matplotlib.rcParams, "lines.linewidth", 9)
    before = dict(matplotlib.rcParams)
    lab.answered("r1", version="v2", latency_ms=4.0)
    shown.refresh()
    assert dict(matplotlib.rcParams) == before
    assert "v2: 1 answer" in shown.figure.alt


# --- what its buttons do --------------------------------------------------------------------------------------------------


def test_sliders_move_weight_and_mirror_and_roll_back_takes_both_back(lab, shown):
    control(shown, "users of v2 (%)").value = 50
    control(shown, "copied to v2 (%)").value = 20
    assert lab.calls == [("weights", 50, 0), ("weights", 50, 20)]
    assert "v2 has 50% of the users" in shown.message
    control(shown, "Roll back").click()
    assert lab.calls[-1] == ("weights", 0, 0) and len(lab.calls) == 3
    assert control(shown, "users of v2 (%)").value == control(shown, "copied to v2 (%)").value == 0


def test_sliders_follow_what_somebody_else_has_set_and_tell_nobody(lab, shown):
    lab.plan = lab.plan.weighted({"v1": 97.5, "v2": 2.5}, 10)
    shown.refresh()
    assert control(shown, "users of v2 (%)").value == 2.5
    assert lab.calls == [] and "canary, 2.5% of the users" in page(shown)


def test_after_a_switch_the_sliders_name_the_other_version(lab, shown):
    control(shown, "users of v2 (%)")
    lab.plan = lab.plan.replace(stable="v2", canary="v1", weight=0.0, generation=1)
    shown.refresh()
    assert "canary, 0% of the users" in page(shown) and "v2 ready (stable, 100% of" in repr(shown)
    lab.set_weights = lambda weights, mirror: lab.calls.append(weights) or lab.plan
    control(shown, "users of v1 (%)").value = 20
    assert lab.calls == [{"v2": 80, "v1": 20}]


def test_a_lab_with_one_version_has_nothing_to_weigh(tmp_path):
    lab = FakeLab(tmp_path)
    lab.canary, lab.services = None, {"v1": None}
    lab.plan = lab.plan.replace(canary=None)
    shown = live.Cockpit(lab, ROWS)
    assert control(shown, "users of the canary (%)").disabled and control(shown, "Roll back").disabled
    shown.refresh()
    assert shown.lights == {"v1": "ready"} and "could not" not in shown.message
    lab.log.close()


def test_kill_drain_and_restart_the_chosen_service(lab, shown):
    assert control(shown, "service").value == "v2"
    control(shown, "Kill service").click()
    assert shown.message == "v2 was killed (SIGKILL)."
    shown.refresh()
    assert shown.lights["v2"] == "dead"
    control(shown, "Restart service").click()
    until(lambda: shown.message == "v2 is ready again.")
    control(shown, "service").value = "v1"
    control(shown, "Drain service").click()
    until(lambda: "v1 was drained" in shown.message)
    assert lab.calls == [("drain", "v1")]


def test_load_starts_changes_its_rate_and_stops(lab, shown):
    button, rate = control(shown, "Start load"), control(shown, "load (requests/s)")
    button.click()
    until(lambda: lab.calls == [("load", 40)])
    assert button.description == "Stop load" and "40 requests a second" in shown.message
    rate.value = 100
    until(lambda: lab.calls == [("load", 40), ("load", 100)])
    button.click()
    until(lambda: no_thread("mlprod-load"))
    assert button.description == "Start load" and not shown.loading
    rate.value = 20  # no load: the next one will have it
    assert len(lab.calls) == 2 and rate.max == MAX_RATE


def test_a_load_that_ends_by_itself_says_so(lab, shown):
    lab.open_loop = lambda *_, **__: None
    control(shown, "Start load").click()
    until(lambda: "The load has ended after" in shown.message)
    assert control(shown, "Start load").description == "Start load"
    lab.open_loop = lambda rows, **_: rows[7]
    control(shown, "Start load").click()
    until(lambda: "list index out of range" in shown.message)


def test_without_rows_there_is_no_load(lab):
    lab.states["v1"] = Answer(200, {"features": [{"name": "age"}]}, {})
    lab.get = lambda path, *, to, timeout=1: lab.states[to]
    shown = cockpit(lab)
    assert control(shown, "Start load").disabled
    shown.start_load(10)
    assert "do not take flights" in shown.message and not shown.loading


@pytest.mark.parametrize("error", [LabError("no such luck"), OSError("gone"), ValueError("<refused>")])
def test_what_does_not_work_is_said_and_not_raised(lab, shown, error):
    lab.breaks = error
    control(shown, "users of v2 (%)").value = 30
    assert shown.message.startswith("The weights did not work:") and "<refused>" not in page(shown)
    assert control(shown, "users of v2 (%)").value == 0  # as the plan in force says
    control(shown, "Roll back").click()
    assert shown.message.startswith("The rollback did not work:")


def test_a_look_that_fails_is_said_and_the_next_one_works(lab, shown):
    get, lab.get = lab.get, None
    shown.refresh()
    assert "The cockpit could not look: TypeError" in shown.message
    lab.get = get
    lab.answered("r1", version="v1", latency_ms=4.0)
    shown.refresh()
    assert "v1: 1 answer" in shown.figure.alt


def test_a_router_that_does_not_answer_is_said_and_the_rest_is_shown(tmp_path):
    class Lost(FakeLab):
        plan = property(lambda self: self.ask(), lambda self, plan: setattr(self, "ask", lambda: plan))

    lab = Lost(tmp_path)
    shown = live.Cockpit(lab, ROWS)
    assert "The router does not answer" not in page(shown)

    def refuse():
        raise ConnectionRefusedError

    lab.ask = refuse
    lab.answered("r1", version="v1", latency_ms=4.0)
    shown.refresh()
    assert "The router does not answer" in page(shown) and "v1: 1 answer" in shown.figure.alt
    lab.log.close()


def test_an_old_plan_that_is_read_late_is_not_shown(lab, shown):
    old = lab.plan
    lab.plan = old.replace(weight=50.0, generation=7)
    shown.refresh()
    lab.plan = old
    shown.refresh()
    assert control(shown, "users of v2 (%)").value == 50


# --- how it ends ----------------------------------------------------------------------------------------------------------


def test_it_looks_by_itself_and_ends_with_the_lab(lab):
    shown = live.Cockpit(lab, ROWS)
    shown.every = 0.01
    control(shown, "Start load").click()
    shown._repr_mimebundle_()
    lab.answered("r1", version="v2", latency_ms=4.0)
    until(lambda: "v2: 1 answer" in page(shown))
    assert shown.watching
    lab.running = False
    until(lambda: not shown.watching and no_thread("mlprod-cockpit") and no_thread("mlprod-load"))
    assert "The lab has ended. The picture stands still." in shown.message
    assert shown.lights == {"v1": "ended", "v2": "ended"} and "</span> ready" not in page(shown)
    buttons = all_of(shown.widget, ipywidgets.Button)
    assert [made.description for made in buttons if not made.disabled] == [
        "Close"
    ]  # it says how to begin again
    control(shown, "users of v2 (%)").value = 10  # a press that was under way
    assert "did not work: the lab has ended" in shown.message


@pytest.mark.parametrize("how", ["minutes", "widget", "button"])
def test_it_ends_by_itself_with_its_widget_or_its_button(lab, how):
    shown = live.Cockpit(lab, ROWS)
    shown.every, shown.minutes = 0.01, 1e-4 if how == "minutes" else 10
    shown.widget  # noqa: B018
    shown.watch()
    if how == "widget":
        shown.widget.close()
    elif how == "button":
        control(shown, "Close").click()
        until(lambda: lab.calls == ["closed"])
    until(lambda: no_thread("mlprod-cockpit"))
    assert "stands still" in shown.message and not shown.watching
    shown.watch()
    assert no_thread("mlprod-cockpit")


def test_a_second_cockpit_takes_over(lab, shown):
    shown.watch()
    second = live.Cockpit(lab, ROWS)
    assert "Another cockpit has taken over" in shown.message
    until(lambda: not shown.watching)
    second.close()


def test_pause_stands_still(lab, shown):
    control(shown, "Pause").value = True
    shown.every = 0.01
    shown.watch()
    lab.answered("r1", version="v2", latency_ms=4.0)
    time.sleep(0.1)
    assert "v2: 1 answer" not in page(shown)
    assert shown.message.startswith("Paused. Table and picture stand still; load and services go on.")
    control(shown, "Go on").value = False
    assert shown.message == "Looking again, once a second."
    until(lambda: "v2: 1 answer" in page(shown))


def test_close_says_how_to_open_again_keeps_the_focus_and_shows_no_ended_service_as_ready(lab, shown):
    button = control(shown, "Close")
    for _ in range(2):
        button.click()
        assert "its lab has ended" in shown.message and shown.message.endswith(AGAIN)
        assert not button.disabled and shown.lights == {"v1": "ended", "v2": "ended"}
    assert "</span> ready" not in page(shown) and "</span> ended" in page(shown)
    until(lambda: lab.calls == ["closed"])


def test_a_page_without_its_kernel_can_take_each_light_away(shown):
    lights = re.findall('<span class="mlprod-light"><span>(.*?)</span></span>', page(shown))
    assert len(lights) == 2 and all(light.endswith("</span> ready") for light in lights)


def test_a_cockpit_keeps_no_lab_alive(tmp_path):
    lab = FakeLab(tmp_path)
    shown = live.Cockpit(lab, ROWS)
    lab.log.close()
    del lab
    shown.refresh()
    assert "The lab has ended" in shown.message


# --- without a lab --------------------------------------------------------------------------------------------------------


def test_no_lab_shows_a_recorded_run_and_says_why(monkeypatch):
    times = pd.date_range("2024-01-01 10:00:00Z", periods=20, freq="1s")
    log = as_log(
        {"time": times, "request_id": range(20), "version": ["v1"] * 15 + ["v2"] * 5, "latency_ms": 5.0}
    ).assign(served=True, status=200, attempts=1)
    monkeypatch.setenv("MLPROD_LIVE", "no")
    monkeypatch.setattr(serving, "load_recorded", lambda case, table: log)
    shown = cockpit()
    assert shown.values == {"seconds": 20}
    assert "MLPROD_LIVE" in shown._repr_mimebundle_()["text/html"]
    assert "v2: 5 answers" in shown.figure.alt
    shown.set(seconds=15)
    assert "v1: 15 answers" in shown.figure.alt and "v2: 0 answers" in shown.figure.alt
    assert "A recorded run." in all_of(shown.widget, ipywidgets.HTML)[-1].value


def test_a_lab_that_does_not_run_is_refused(lab):
    lab.running = False
    with pytest.raises(LabError, match="Start it first"):
        cockpit(lab)


# --- the end of a growing log ---------------------------------------------------------------------------------------------


def test_only_new_whole_lines_are_read(tmp_path):
    path = tmp_path / "log.jsonl"
    recent = Recent(path, 60)
    assert recent.read().empty
    with RequestLog(path) as log:
        log.request("r1", version="v1", latency_ms=4.0)
        assert recent.read()["request_id"].tolist() == ["r1"]
        log.request("r0", version="v1", latency_ms=4.0, time=pd.Timestamp.now("UTC") - pd.Timedelta("2min"))
        log.request("r2", version="v2", latency_ms=4.0)
        line = log.lines()[-1].replace("r2", "r3")
    with path.open("a") as file:
        file.write("no JSON\n[]\n" + line[:20])
        file.flush()
        assert recent.read()["request_id"].tolist() == ["r1", "r2"]  # r0 is too old
        file.write(line[20:] + "\n")
    assert recent.read()["request_id"].tolist() == ["r1", "r2", "r3"]
    assert Recent(path, 60).read()["request_id"].tolist() == ["r1", "r2", "r3"]
    assert Recent(path, 3600).read()["request_id"].tolist() == ["r1", "r0", "r2", "r3"]


# --- a real lab -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(bool(NO_LAB), reason=str(NO_LAB))
def test_a_real_canary_is_ramped_killed_and_rolled_back():
    with Lab(show=None, lifetime_s=120, timeout=100) as lab:
        shown = cockpit(lab)
        shown.every = 0.2
        shown._repr_mimebundle_()
        control(shown, "load (requests/s)").value = 60
        control(shown, "Start load").click()
        until(lambda: shown.state.loc["v1", "rate"] > 2)
        control(shown, "users of v2 (%)").value = 50
        until(lambda: shown.state.loc["v2", "rate"] > 1)
        assert lab.plan.weight == 50 and shown.lights == {"v1": "ready", "v2": "ready"}
        control(shown, "Kill service").click()
        until(lambda: shown.lights["v2"] == "dead" and shown.state.loc["v2", "retried"] > 5)
        assert shown.state["lost"].sum() <= 2  # what was under way when it died
        control(shown, "Roll back").click()
        assert lab.plan.weight == 0 and "Rolled back" in shown.message
        control(shown, "Restart service").click()
        until(lambda: shown.lights["v2"] == "ready" and shown.message == "v2 is ready again.")
        assert "v2: " in shown.figure.alt and "tried again" in page(shown)
    until(lambda: no_thread("mlprod-cockpit") and no_thread("mlprod-load"))
    assert "The lab has ended" in shown.message


ODD = [
    *(
        {"status": 7},
        {"status": "500"},
        {"latency_ms": -1},
        {"latency_ms": None},
        {"latency_ms": "5"},
        {"served": "yes"},
    ),
    *(
        {"attempts": 0},
        {"request_id": 7.5},
        {"request_id": ["r"]},
        {"version": 2},
        {"time": "2024-01-01T00:00:00"},
    ),
]


@pytest.mark.parametrize("odd", ODD, ids=str)
def test_one_odd_event_does_not_hide_the_others(lab, shown, odd):
    lab.answered("r1", version="v1", latency_ms=4.0)
    event = {
        "event": "request",
        "time": pd.Timestamp.now("UTC").isoformat(),
        "request_id": "r2",
        "version": "v1",
    }
    with (lab.folder / "log-router.jsonl").open("a") as file:
        file.write(json.dumps(event | {"status": 200, "latency_ms": 4.0} | odd) + "\n")
    lab.answered("r3", version="v1", latency_ms=4.0)
    shown.refresh()
    assert "v1: 2 answers" in shown.figure.alt and "could not look" not in shown.message
