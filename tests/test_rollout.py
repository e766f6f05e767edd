"""Plans and the controller: Flagger's rows, Argo's phases, and every halt with its reason."""

import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers.rollout import BigBang, BlueGreen, Canary, Controller, Judgment, Plan, Shadow, route


def echo(metrics):
    """A judge that returns what it is given."""
    return metrics


def run(plan, verdicts):
    """[(minute, canary's weight, phase)] with one verdict a check (the last one repeated), at every interval."""
    controller = Controller(plan, echo, "v1", "v2")
    history, verdicts = [], iter(verdicts)
    last = None
    for tick in range(60):
        last = next(verdicts, last) if tick else last
        decision = controller.step(tick * plan.interval, last)
        history.append((tick, decision.weights["v2"], decision.phase))
    return history, controller


# ------------------------------------------------------------------------------------------ Flagger's rows


@pytest.mark.parametrize(
    ("plan", "verdicts", "weights"),
    [
        pytest.param(
            Canary(interval=60, step_weight=2, max_weight=50),
            ["pass"],
            [*range(2, 51, 2), 100],
            id="interval 1 min, step 2, max 50 promotes after 25 minutes",
        ),
        pytest.param(
            Canary(step_weights=[1, 2, 10, 80]), ["pass"], [1, 2, 10, 80, 100], id="steps as they are given"
        ),
        pytest.param(
            Canary(step_weight=20, max_weight=50), ["pass"], [20, 40, 60, 100], id="past max_weight"
        ),
        pytest.param(
            Canary(step_weight=60, max_weight=80), ["pass"], [60, 100, 100], id="never past all users"
        ),
        pytest.param(
            Canary(step_weight=5, threshold=3),
            ["fail"],
            [5, 5, 5, 5, 0, 0],
            id="back on the tick after the threshold was reached",
        ),
        pytest.param(
            Canary(step_weight=10, max_weight=90, threshold=3),
            ["fail", "pass"] * 3,
            [10, 10, 20, 20, 30, 30, 0],
            id="failed checks add up and hold the weight",
        ),
        pytest.param(
            Canary(step_weight=25, max_weight=50, threshold=3),
            ["fail", "fail", "pass"],
            [25, 25, 25, 50, 100],
            id="a failure less than the threshold only delays",
        ),
        pytest.param(
            Canary(step_weight=50, max_weight=50),
            ["nodata", "nodata", "pass"],
            [50, 50, 50, 100],
            id="a pause for data ends when there is data",
        ),
        pytest.param(
            Canary(step_weight=10, threshold=5),
            ["pass", Judgment("fail", "bar crossed", critical=True)],
            [10, 20, 0],
            id="a critical failure does not wait",
        ),
        # Flagger, scheduler_svc_test.go and scheduler_deployment_test.go
        pytest.param(
            Canary(step_weight=50, max_weight=100), ["pass"], [50, 100, 100], id="ServicePromotionMaxWeight"
        ),
        pytest.param(
            Canary(step_weight=100, max_weight=100), ["pass"], [100, 100], id="DeploymentAnalysisPhases"
        ),
        # Argo Rollouts, analysis_test.go, TestAssessMetricStatusFailureLimit: limits of 0, 2 and 3, one less than here
        pytest.param(Canary(threshold=1), ["fail"], [10, 10, 0], id="1 failure, limit 0"),
        pytest.param(Canary(threshold=3), ["fail"] * 3, [10, 10, 10, 10, 0], id="3 failures, limit 2"),
        pytest.param(Canary(threshold=4), ["fail"] * 3 + ["pass"], [10] * 4 + [20], id="3 failures, limit 3"),
        pytest.param(
            BlueGreen(keep_old=600, redeploy=900, threshold=2),
            ["pass", "fail", "fail"],
            [100, 100, 100, 100, 0, 0],
            id="blue-green is back at once while blue is kept",
        ),
        pytest.param(
            BlueGreen(keep_old=120, redeploy=600, threshold=1, watch=3000),
            ["pass"] * 4 + ["fail"],
            [100] * 16
            + [0],  # the check at 5 fails, the rollback begins at 6, blue is back ten minutes later
            id="blue-green needs a redeploy once blue is gone",
        ),
        pytest.param(
            BlueGreen(preview=300, copies=50, threshold=2),
            ["fail"],
            [0] * 60,
            id="copies fail before the switch",
        ),
        pytest.param(
            BlueGreen(preview=300, copies=50), ["pass"], [0] * 5 + [100], id="copies pass before the switch"
        ),
    ],
)
def test_weights_follow_flaggers_rules(plan, verdicts, weights):
    history, _ = run(plan, verdicts)
    assert [weight for _, weight, _ in history[: len(weights)]] == weights


def test_schedule_and_controller_agree():
    for plan in (
        Canary(),
        Canary(step_weight=7, max_weight=33),
        Canary(step_weights=[1, 50]),
        BigBang(),
        BlueGreen(preview=120),
    ):
        history, _ = run(plan, ["pass"])
        steps = plan.schedule()
        assert [
            dict((m * plan.interval, w) for m, w, _ in history)[at] for at in steps.index
        ] == steps.tolist()


# ------------------------------------------------------------------------------------- no evidence, no pass


def test_too_little_traffic_pauses_and_is_neither_pass_nor_failure():
    history, controller = run(
        Canary(step_weight=10, threshold=2), [("nodata", "3 requests of v2, 50 needed")]
    )
    assert {weight for _, weight, _ in history} == {10}
    assert {phase for minute, _, phase in history if minute} == {"Paused"}
    assert controller.state.failed == 0
    assert "3 requests of v2, 50 needed" in controller.decision.reason


def test_the_window_of_the_judge_grows_until_a_check_had_enough_data():
    class Seen:
        def at(self, now, since, start):
            windows.append((since, now, start))
            return "nodata" if len(windows) < 3 else "pass"

    windows = []
    controller = Controller(Canary(interval=10), echo)
    for now in (0, 10, 20, 30, 40):
        controller.step(now, Seen())
    assert windows == [(0, 10, 0), (0, 20, 0), (0, 30, 0), (30, 40, 0)]


def test_an_unclear_answer_of_a_judge_is_refused():
    controller = Controller(Canary(), echo)
    controller.step(0)
    with pytest.raises(TypeError, match="no pass"):
        controller.step(60, None)
    with pytest.raises(ValueError, match="'pass', 'fail' or 'nodata'"):
        controller.step(60, "ok")


# ----------------------------------------------------------------------------- blue-green, big bang, shadow


def test_big_bang_has_nothing_to_switch_back_to():
    controller = Controller(BigBang(threshold=1, redeploy=300), echo)
    assert controller.step(0).weights["canary"] == 100
    assert controller.capacity == {"stable": 0.0, "canary": 1.0}
    controller.step(60, "fail")
    decision = controller.step(120, "fail")
    assert decision.weights["canary"] == 100 and "5 min" in decision.reason
    assert controller.next_event == 420
    assert controller.step(420).weights["canary"] == 0


def test_a_watch_that_passes_ends_healthy():
    history, _ = run(BigBang(watch=300), ["pass"])
    assert [phase for *_, phase in history[:7]] == ["Progressing"] * 5 + ["Healthy"] * 2


def test_a_watch_without_data_never_ends_healthy():
    history, _ = run(BigBang(watch=120), ["nodata"])
    assert history[-1][1:] == (100, "Paused")


def test_shadow_never_gives_a_user_to_the_new_version_and_waits_for_a_human_at_the_end():
    history, controller = run(Shadow(duration=300, share=20), ["pass"])
    assert {weight for _, weight, _ in history} == {0}
    assert history[-1][2] == "Paused" and controller.over
    assert controller.promote(4000).weights["v2"] == 100


def test_a_failing_shadow_is_ended():
    history, controller = run(Shadow(threshold=1), ["fail"])
    assert history[-1][2] == "Degraded"
    assert controller.state.mirror == 0


def test_capacity_says_who_runs_a_fleet():
    controller = Controller(BlueGreen(preview=60, keep_old=300), echo)
    controller.step(0)
    assert controller.capacity == {"stable": 1.0, "canary": 1.0}
    controller.step(60)
    assert controller.decision.weights["canary"] == 100 and controller.capacity["stable"] == 1.0
    assert controller.next_event == 120
    controller.step(360, "pass")
    assert controller.capacity == {"stable": 0.0, "canary": 1.0}
    canary = Controller(Canary(step_weight=20), echo)
    canary.step(0)
    assert canary.capacity == {"stable": 1.0, "canary": 0.2}


# ------------------------------------------------------------------------------------------------ an operator


def test_an_operator_promotes_and_aborts():
    controller = Controller(Canary(step_weight=10), echo)
    controller.step(0)
    assert controller.promote(130).weights["canary"] == 100
    controller = Controller(Canary(step_weight=10), echo)
    controller.step(0)
    decision = controller.abort(10)
    assert decision.weights["canary"] == 0 and decision.phase == "Degraded"
    assert decision.reason == "Rolled back to stable at once: an operator asked for it."


def test_an_aborted_or_finished_rollout_says_so_when_asked_again():
    controller = Controller(Canary(), echo)
    with pytest.raises(ValueError, match="nothing to abort"):
        controller.abort(0)
    controller.step(0)
    controller.abort(1)
    for action in (controller.promote, controller.abort):
        with pytest.raises(ValueError, match="nothing to"):
            action(2)


def test_nothing_happens_between_checks_and_time_does_not_run_backwards():
    controller = Controller(Canary(step_weight=10), echo)
    first = controller.step(0)
    assert controller.step(59.9, "fail") == first  # the judge was not even asked
    with pytest.raises(ValueError, match="backwards"):
        controller.step(30, "pass")


def test_every_decision_says_why_in_words():
    rng = np.random.default_rng(0)
    plans = [
        BigBang(threshold=2),
        BlueGreen(preview=60),
        Shadow(duration=600),
        Canary(threshold=2),
        Canary(step_weights=[5, 50]),
    ]
    for plan in plans:
        for _ in range(20):
            controller = Controller(plan, echo, "v1", "v2")
            for tick in range(30):
                weights, phase, reason = controller.step(
                    tick * 60, str(rng.choice(["pass", "fail", "nodata"]))
                )
                assert sum(weights.values()) == 100
                assert phase in {"Progressing", "Paused", "Degraded", "Healthy"}
                assert len(reason) > 15 and reason.endswith(".") and ".." not in reason


# ------------------------------------------------------------------------------------------------- plans


@pytest.mark.parametrize(
    "plan",
    [
        BigBang(watch=60),
        Shadow(share=10),
        Canary(),
        Canary(step_weights=[1, 2, 10, 80], keep_old=60),
        BlueGreen(copies=5),
    ],
    ids=lambda plan: plan.strategy,
)
def test_plans_travel_as_json(plan):
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Canary(step_weights=[10, 5]), "rises"),
        (lambda: Canary(step_weights=[50, 150]), "at most 100"),
        (lambda: Canary(step_weight=5, step_weights=[5]), "step_weights alone"),
        (lambda: Canary(step_weight=0), "above 0"),
        *(
            (lambda bad=bad: Canary(step_weight=bad), "percentage above 0")
            for bad in (-5, np.nan, "5", True, [5])
        ),
        *(
            (lambda bad=bad: Canary(max_weight=bad), "percentage above 0")
            for bad in (-5, 101, np.inf, "50", False)
        ),
        *(
            (lambda bad=bad: Canary(step_weights=bad), "rises|list of percent")
            for bad in ([], [1, np.nan], ["1"], "159", 5, [0, 5])
        ),
        *(
            (lambda bad=bad: Shadow(share=bad), "percentage, from 0 to 100")
            for bad in (-1, np.nan, "all", True)
        ),
        *(
            (lambda bad=bad: BlueGreen(preview=bad), "finite number of seconds")
            for bad in (-1, np.nan, np.inf, "60")
        ),
        *((lambda bad=bad: Canary(interval=bad), "more than 0") for bad in (np.nan, np.inf, "60")),
        *((lambda bad=bad: Canary(threshold=bad), "whole number from 1") for bad in (1.5, np.nan, "3", True)),
        (lambda: Canary(step_weight=1e-9), "more than 10000 steps"),
        (lambda: Canary(interval=0), "more than 0"),
        (lambda: Canary(threshold=0), "from 1"),
        (lambda: BigBang(keep_old=60), "BlueGreen"),
        (lambda: Shadow(share=0), "shows nothing"),
        (lambda: Plan.from_dict({"strategy": "canari"}), "did you mean 'canary'"),
        (lambda: Plan.from_dict({"strategy": "canary", "step_wieght": 5}), "did you mean 'step_weight'"),
        (lambda: Controller(Canary(), echo, "v1", "v1"), "Both versions"),
    ],
)
def test_a_wrong_plan_says_what_to_do(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize(
    ("step", "top", "steps"),
    [
        (0.1, 0.8, 8),
        (0.1, 1, 10),
        (0.7, 7, 10),
        (0.3, 0.9, 3),
        (2.5, 50, 20),
        (0.01, 0.29, 29),
        (Decimal("0.1"), 0.3, 3),
    ],
)
def test_steps_that_are_no_whole_numbers_end_where_decimals_end(step, top, steps):
    plan = Canary(step_weight=step, max_weight=top)
    assert plan.schedule().tolist() == [*_decimals(step, steps), 100]
    history, _ = run(plan, ["pass"])
    assert [weight for _, weight, _ in history].index(100) == steps
    assert json.loads(json.dumps(plan.to_dict()))["step_weight"] == float(step)


def _decimals(step, steps):
    return [float(Decimal(str(step)) * k) for k in range(1, steps + 1)]


def test_weights_of_both_versions_add_up_to_100_as_decimals_do():
    controller = Controller(Canary(step_weights=[0.1, 0.3, 0.7, 2.1]), echo)
    for tick, weight in enumerate((0.1, 0.3, 0.7, 2.1)):
        weights = controller.step(60 * tick, "pass").weights
        assert weights == {"stable": float(100 - Decimal(str(weight))), "canary": weight}


def test_intervals_that_are_no_whole_numbers_add_up_as_decimals_do():
    assert Canary(step_weight=10, interval=0.1).schedule().index.tolist() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]


@pytest.mark.parametrize("weight", [-1, 101, np.nan, "50", None, pd.NA])
def test_a_weight_that_is_no_percentage_routes_nobody(weight):
    with pytest.raises(ValueError, match="percentage of the users"):
        route("ana", weight)


def test_a_missing_user_of_any_kind_stays_with_the_stable_version():
    for nobody in (None, np.nan, pd.NA, pd.NaT):
        assert route(nobody, 100) is False
    assert route(pd.array(["ana", None], dtype="string"), 100).tolist() == [True, False]


def test_a_controller_wants_a_judge_before_the_rollout_begins():
    with pytest.raises(TypeError, match="no judge"):
        Controller(Canary(), "pass")
