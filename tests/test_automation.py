"""Degrees of automation: closed forms of Chow and Erlang, queues that agree with `queueing`, and what each degree changes."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, binom

from mlprod_helpers import automation as au
from mlprod_helpers.automation import (
    Assistance,
    Costs,
    Full,
    HumanOnly,
    Partial,
    Reviewers,
    Shadow,
    risk_coverage,
    safe_points,
    simulate_triage,
    uniform_cases,
)
from mlprod_helpers.queueing import Exponential, Lognormal, mgc, mmc, simulate


@pytest.fixture(scope="module")
def million():
    return uniform_cases(1 / 30, n=1_000_000, random_state=0)


# ------------------------------------------------------------------ selective prediction


@pytest.mark.parametrize("d", [0.05, 0.1, 0.25])
def test_chows_rule_on_uniform_probabilities(million, d):
    """Reject cost d: 1 - 2d of the cases are rejected, d^2 of all are wrong (people never are), d/2 of the accepted."""
    threshold = au.chow_threshold(1.0, d)
    run = simulate_triage(
        million, Partial(threshold), Reviewers(10, error=0.0), Costs(1.0, d), random_state=1
    )
    assert 1 - run.coverage == pytest.approx(1 - 2 * d, abs=0.002)
    assert run.error_rate == pytest.approx(d**2, abs=0.0005)
    assert run.automated_risk == pytest.approx(d / 2, abs=0.0015)
    assert run.cost == pytest.approx(d - d**2, abs=0.001)  # d (1 - 2d) + d^2


def test_chows_threshold_is_the_cheapest_one(million):
    costs = Costs(error=20, review=1)
    part = million.iloc[:200_000]
    curve = au.cost_curve(part["confidence"], part["model_right"], 1e-6, Reviewers(1, error=0.0), costs)
    assert curve["cost"].idxmin() == pytest.approx(au.chow_threshold(20, 1), abs=0.011)


def test_aurc_of_the_uniform_case_is_an_eighth(million):
    assert au.risk_coverage(million["confidence"], million["model_right"]).aurc == pytest.approx(
        1 / 8, abs=0.001
    )


@pytest.mark.parametrize(
    ("confidence", "correct"),
    [
        (np.linspace(0, 1, 200), np.random.default_rng(3).random(200) < 0.7),
        ([0.9] * 3, np.array([1, 1, 0]) > 0),
    ],
    ids=["all different", "all equal"],
)
def test_aurc_is_the_mean_of_the_running_risk_and_over_all_orders_of_equal_confidences(confidence, correct):
    running = lambda order: np.mean(np.cumsum(~correct[order]) / np.arange(1, len(order) + 1))  # noqa: E731
    orders = [[0, 1, 2], [0, 2, 1], [2, 0, 1]] if len(correct) == 3 else [np.argsort(-np.asarray(confidence))]
    curve = au.risk_coverage(confidence, correct)
    assert curve.aurc == pytest.approx(np.mean([running(order) for order in orders]))


def test_aurc_and_upper_bound_have_published_values():
    confidence = [0.9, 0.8, 0.7, 0.6, 0.8]  # torch-uncertainty, TestAURC
    assert [au.risk_coverage(confidence, [right] * 5).aurc for right in (False, True)] == [1, 0]
    # R, binom.test(alternative="less"), in statsmodels, test_proportion.py, and in scipy, test_morestats.py
    assert au.upper_bound([51, 0], [235, 10]) == pytest.approx([0.2659460862574313, 0.2588656], abs=5e-8)


def test_upper_bound_is_clopper_and_pearsons():
    errors, n = np.array([0, 1, 3, 17]), np.array([12, 40, 300, 200])
    assert au.upper_bound(errors, n) == pytest.approx(beta.ppf(0.95, errors + 1, n - errors))
    # at the bound, as few errors have probability 5%
    assert binom.cdf(errors, n, au.upper_bound(errors, n)) == pytest.approx(0.05)
    assert au.upper_bound(0, 0) == 1 and au.upper_bound(5, 5) == 1
    assert au.upper_bound(0, 12) == pytest.approx(1 - 0.05 ** (1 / 12))


def test_safe_points_hold_on_fresh_data_and_lucky_ones_do_not():
    """Uniform and calibrated: the risk at threshold t is (1 - t) / 2, so 0.9 is where 5% is reached."""
    broken = {"safe": 0, "lucky": 0}
    for seed in range(200):
        cases = uniform_cases(1, n=600, random_state=seed)
        table = au.safe_points(cases["confidence"], cases["model_right"], 0.05)
        safe = table.index[table["safe"]].min() if table["safe"].any() else 1.0
        lucky = table.index[table["risk"] <= 0.05].min()
        broken["safe"] += (1 - safe) / 2 > 0.05 + 1e-9
        broken["lucky"] += (1 - lucky) / 2 > 0.05 + 1e-9
    assert broken["safe"] <= 16  # 5% of 200, and three standard errors
    assert broken["lucky"] >= 70


def test_safe_points_are_found_when_there_is_enough_data():
    cases = uniform_cases(1, n=20_000, random_state=0)
    table = au.safe_points(cases["confidence"], cases["model_right"], 0.05)
    assert 0.9 <= table.index[table["safe"]].min() <= 0.93


def test_operating_point_counts():
    point = au.operating_point([0.9, 0.8, 0.7, 0.6], [True, False, True, True], 0.75)
    assert point.coverage == 0.5 and point.risk == 0.5
    assert point.bound == au.upper_bound(1, 2)


# ------------------------------------------------------------------ joint decisions


def test_joint_decision_of_the_facts():
    assert au.joint_accuracy(0.85, 0.90, 0.7) == pytest.approx(0.885)
    assert au.joint_accuracy(0.85, 0.90, 0.5, 0.95) == pytest.approx(0.837, abs=0.0005)


@pytest.mark.parametrize("follow, want", [((0.7, 0.7), 0.885), ((0.5, 0.95), 0.83675)])
def test_assistance_in_the_simulator_is_the_joint_decision(follow, want):
    rng = np.random.default_rng(0)
    cases = pd.DataFrame(
        {"seconds": np.arange(400_000.0), "confidence": 0.9, "model_right": rng.random(400_000) < 0.9}
    )
    people = Reviewers(100, error=0.15, follow_right=follow[0], follow_wrong=follow[1])
    accuracy = {
        degree.name: 1 - simulate_triage(cases, degree, people, random_state=1).error_rate
        for degree in (HumanOnly(), Shadow(), Assistance(), Full())
    }
    assert accuracy["assistance"] == pytest.approx(want, abs=0.002)
    assert accuracy["human only"] == accuracy["shadow"] == pytest.approx(0.85, abs=0.002)
    assert accuracy["full"] == pytest.approx(0.90, abs=0.002)


# ------------------------------------------------------------------ the queue


@pytest.mark.parametrize("threshold, count", [(0.9, 2), (0.75, 1), (0.8, 3)])
def test_backlog_is_erlangs_at_the_load_that_is_left(million, threshold, count):
    rate = 1 / 30
    run = simulate_triage(million, Partial(threshold), Reviewers(count, Exponential(45.0)), random_state=2)
    steady = mmc(rate * (1 - run.coverage), 45.0, count)
    assert run.load == pytest.approx(steady.utilization, rel=0.01)
    assert run.mean_backlog == pytest.approx(rate * (1 - run.coverage) * steady.wait, rel=0.06)
    assert run.cases["wait"].mean() == pytest.approx(steady.wait, rel=0.06)


def test_waits_are_those_of_queueing(million):
    cases = million.iloc[:5000]
    run = simulate_triage(cases, Partial(0.8), Reviewers(2, 70.0), random_state=0)
    left = cases.loc[cases["confidence"] < 0.8, "seconds"].to_numpy()
    alone = simulate(left, 70.0, 2)
    assert run.cases["wait"].dropna().to_numpy() == pytest.approx(alone.wait)
    assert run.cases.loc[~run.cases["automated"], "delay"].to_numpy() == pytest.approx(alone.latency)


def test_cost_curve_is_what_the_simulator_finds(million):
    people, costs = Reviewers(2, Lognormal(50.0, cv=0.6), error=0.04, fatigue=0.1), Costs(20, 1, delay=6)
    confidence, right = million["confidence"].iloc[:300_000], million["model_right"].iloc[:300_000]
    curve = au.cost_curve(confidence, right, 1 / 30, people, costs, thresholds=[0.7, 0.9])
    for threshold, expected in curve.iterrows():
        run = simulate_triage(million.iloc[:300_000], Partial(threshold), people, costs, random_state=0)
        assert run.cost == pytest.approx(expected["cost"], rel=0.02)
        assert run.parts["errors"] == pytest.approx(expected["errors"], rel=0.03)
        assert run.load == pytest.approx(expected["load"], rel=0.02)
    steady = mgc(1 / 30 * (1 - curve.loc[0.9, "coverage"]), 50.0, 0.6, 2)
    assert curve.loc[0.9, "wait"] == pytest.approx(steady.wait)


def test_overload_costs_without_end(million):
    some = million.iloc[:20_000]
    curve = au.cost_curve(some["confidence"], some["model_right"], 1 / 30, Reviewers(1, 60.0), Costs())
    assert np.isinf(curve.loc[curve["load"] >= 1, "cost"]).all() and np.isfinite(curve["cost"].min())
    assert np.isinf(curve.loc[1.01, "cost"]) and curve.loc[1.01, "coverage"] == 0


# ------------------------------------------------------------------ fatigue, audits, luck


def test_fatigue_follows_the_load(million):
    some = million.iloc[:100_000]
    run = simulate_triage(some, Partial(0.9), Reviewers(2, 60.0, error=0.05, fatigue=0.3), random_state=0)
    assert run.human_error_rate == pytest.approx(0.05 + 0.3 * run.load, abs=0.01)
    rested = simulate_triage(some, Partial(0.9), Reviewers(20, 60.0, error=0.05, fatigue=0.3), random_state=0)
    assert rested.human_error_rate < run.human_error_rate - 0.1


def test_fatigue_by_hand():
    """One reviewer, cases of half an hour back to back from 0 on: after two hours they have worked all of the time."""
    cases = pd.DataFrame({"seconds": np.zeros(8), "confidence": 0.0, "model_right": True})
    people = Reviewers(1, 1800.0, error=0.0, fatigue=1.0)
    run = simulate_triage(cases, HumanOnly(), people, random_state=0)
    assert run.cases["wait"].to_list() == [1800.0 * i for i in range(8)]
    luck = np.random.default_rng(0).random((3, 8))[0]
    busy = np.minimum(np.arange(8) / 4, 1)
    assert run.cases["right"].to_list() == (luck >= busy).tolist()
    assert not run.cases["right"].iloc[4:].any()


def test_audits_are_blind_keep_the_decision_and_take_time(million):
    some = million.iloc[:50_000]
    people = Reviewers(3, error=0.1, follow_wrong=1.0, follow_right=1.0)
    run = simulate_triage(some, Full(audit_share=0.2), people, Costs(20, 1), random_state=0)
    table = run.cases
    assert table["audited"].mean() == pytest.approx(0.2, abs=0.01)
    assert (table["right"] == table["model_right"]).all() and (table["delay"] == 0).all()
    seen = table[table["audited"]]
    assert 1 - seen["human_right"].mean() == pytest.approx(0.1, abs=0.01)  # they saw no suggestion
    assert table.loc[~table["audited"], "human_right"].isna().all()
    assert run.parts["reviews"] == pytest.approx(0.2, abs=0.01) and run.load > 0


def test_each_case_brings_its_luck_along(million):
    some = million.iloc[:20_000]
    alone = simulate_triage(some, HumanOnly(), Reviewers(50), random_state=5).cases
    shared = simulate_triage(some, Partial(0.8), Reviewers(7), random_state=5).cases
    left = ~shared["automated"]
    assert (alone.loc[left, "right"] == shared.loc[left, "right"]).all()


# ------------------------------------------------------------------ a policy that is asked again and again


def test_a_constant_function_is_the_degree_itself(million):
    cases = million.iloc[:6000]
    people = Reviewers(2, Exponential(70.0), fatigue=0.2)
    degree = Partial(0.85, audit_share=0.1)
    whole = simulate_triage(cases, degree, people, random_state=4)
    ticks = simulate_triage(cases, lambda observation, memory: (degree, memory), people, random_state=4)
    pd.testing.assert_frame_equal(whole.cases, ticks.cases)
    assert whole.summary.equals(ticks.summary) and len(ticks.steps) == 51


def test_a_policy_observes_what_was_known():
    cases = pd.DataFrame(
        {
            "seconds": [0.0, 10, 3500, 3590, 7300],
            "confidence": [0.9, 0.9, 0.2, 0.9, 0.9],
            "model_right": [True, False, True, True, True],
            "brightness": [70.0, 50, 60, 20, 10],
        }
    )
    seen = []

    def policy(observation, memory):
        seen.append(observation)
        return Partial(0.5, audit_share=1.0), (memory or 0) + 1

    run = simulate_triage(
        cases, policy, Reviewers(1, 300.0, error=0.0), random_state=0, signals=["brightness"]
    )
    assert [each["hour"] for each in seen] == [0, 1, 2]
    assert seen[0] | {"brightness": 0} == dict.fromkeys(seen[0], 0) and seen[0]["brightness"] is None
    # in the first hour: two audits are done by then, one disagrees; of the other two cases one is looked at, one waits
    assert (seen[1]["cases"], seen[1]["automated"], seen[1]["backlog"]) == (4, 3, 1)
    assert (seen[1]["audits"], seen[1]["disagreements"], seen[1]["brightness"]) == (2, 1, 50.0)
    assert (seen[2]["audits"], seen[2]["disagreements"], seen[2]["cases"]) == (1, 0, 0)
    assert run.steps["threshold"].to_list() == [0.5] * 3


def test_stepping_down_moves_cases_to_people():
    cases = uniform_cases(1 / 60, duration=10 * 3600, random_state=0)
    run = simulate_triage(
        cases,
        lambda observation, memory: ((Full() if observation["hour"] < 5 else Shadow()), None),
        Reviewers(2),
        random_state=0,
    )
    by_hour = run.over_time()["coverage"]
    assert (by_hour.iloc[:5] == 1).all() and (by_hour.iloc[5:] == 0).all()


def test_over_time_adds_up(million):
    cases = million.iloc[:3000]
    run = simulate_triage(cases, Partial(0.8, audit_share=0.1), Reviewers(2), Costs(20, 1, 2), random_state=0)
    table = run.over_time(6 * 3600)
    weight = table["cases"] / table["cases"].sum()
    for name in ("coverage", "error_rate", "cost"):
        assert (table[name] * weight).sum() == pytest.approx(getattr(run, name))


# ------------------------------------------------------------------ the ladder, words


def test_the_ladder_compares_with_equal_luck(million):
    compared = au.compare_degrees(million.iloc[:3000], au.ladder(0.8), Reviewers(3), Costs(), random_state=0)
    table = compared.table
    assert list(table.index) == ["human only", "shadow", "assistance", "partial", "full"]
    assert (table.loc["human only", "error_rate"], table.loc["human only", "cost"]) == tuple(
        table.loc["shadow", ["error_rate", "cost"]]
    )
    assert table.loc["full", "load"] == 0 and table.loc["partial", "load"] < table.loc["shadow", "load"]
    assert list(au.who_does_what().index) == list(table.index)


@pytest.mark.parametrize(
    "call, word",
    [
        (lambda: Partial(threshold=-1), "threshold"),
        (lambda: Full(audit_share=2), "audit_share"),
        (lambda: Reviewers(0), "reviewers"),
        (lambda: Reviewers(1, error=1.2), "error"),
        (lambda: Reviewers(1, service=-5), "service"),
        (lambda: Costs(error=-1), "error"),
        (lambda: au.chow_threshold(0, 1), "cost_error"),
        (lambda: au.upper_bound(5, 3), "errors"),
        (lambda: au.risk_coverage([0.5, np.nan], [True, False]), "missing"),
        (lambda: au.risk_coverage([0.5], [True, False]), "shape"),
        (lambda: au.safe_points([0.5], [True], 0), "max_risk"),
        (lambda: au.from_name("ful"), "did you mean 'full'"),
        (lambda: simulate_triage(uniform_cases(1, n=5).iloc[::-1], Full()), "backwards"),
        (lambda: simulate_triage(uniform_cases(1, n=5).drop(columns="model_right"), Full()), "model_right"),
        (lambda: simulate_triage(uniform_cases(1, n=5).iloc[:0], Full()), "no cases"),
        (lambda: au.cost_curve([0.5], [True], 0), "rate"),
    ],
)
def test_bad_input_says_what_is_wrong(call, word):
    with pytest.raises(ValueError, match=word):
        call()


def test_a_policy_that_answers_nonsense():
    cases = uniform_cases(1 / 60, n=5, random_state=0)
    for policy, word in (
        ("partial", "degree"),
        (lambda observation, memory: 0.9, "returns"),
        (lambda t, m: (0.9, m), "chose"),
    ):
        with pytest.raises(TypeError, match=word):
            simulate_triage(cases, policy)


def test_plots_say_what_they_show(million):
    some = million.iloc[:3000]
    run = simulate_triage(some, Partial(0.8), Reviewers(3), random_state=0)
    assert "waiting" in run.plot(max_risk=0.05).alt
    assert (
        "how the risk depends on the coverage"
        in au.risk_coverage(some["confidence"], some["model_right"]).plot(max_risk=0.02).alt
    )


# ---------------------------------------------------------------- missing values


@pytest.mark.parametrize("function", [risk_coverage, lambda c, r: safe_points(c, r, 0.1)])
def test_a_curve_needs_the_truth_of_every_case(function):
    for truth in (pd.array([True, None], dtype="boolean"), [True, None], [1.0, np.nan], np.array([1, pd.NA])):
        with pytest.raises(ValueError, match="truth of 1 cases is missing"):
            function([0.9, 0.8], truth)
    with pytest.raises(ValueError, match="confidence is missing"):
        function(pd.array([0.9, None], dtype="Float64"), [True, True])
    assert function(pd.array([0.9, 0.8], dtype="Float64"), pd.array([1, 0], dtype="Int64")) is not None


def test_cases_say_what_is_missing_or_stands_twice():
    cases = pd.DataFrame({"seconds": [0.0, 1], "confidence": [0.9, 0.8], "model_right": [True, False]})
    with pytest.raises(ValueError, match="confidence is missing"):
        simulate_triage(cases.assign(confidence=pd.array([0.9, None], dtype="Float64")), Full())
    with pytest.raises(ValueError, match="lack one"):
        simulate_triage(cases.assign(seconds=[0.0, np.nan]), Full())
    with pytest.raises(ValueError, match="one name"):
        simulate_triage(pd.concat([cases] * 2, axis=1), Full())
