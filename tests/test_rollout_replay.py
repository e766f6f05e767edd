"""The replay: same requests and luck for every plan, harm counted exactly, sticky routing, a log that validates."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers import requestlog
from mlprod_helpers.queueing import poisson
from mlprod_helpers.rollout import (
    Behavior,
    BigBang,
    BlueGreen,
    BySegment,
    Canary,
    GroupSequentialJudge,
    MannWhitneyJudge,
    Metrics,
    MSPRTJudge,
    Shadow,
    Symptom,
    ThresholdJudge,
    Version,
    bucket,
    compare,
    replay,
    route,
    traffic,
)

ERRORS = ThresholdJudge({"error_rate": (None, 0.03)}, min_requests=30)
PLANS = {
    "big bang": BigBang(redeploy=300),
    "shadow": Shadow(share=50),
    "canary": Canary(step_weight=5, max_weight=50),
    "blue-green": BlueGreen(),
}
STABLE = Version("v1")
BAD = Version("v2", Behavior(error_rate=0.10))


def always_passes(metrics):
    return "pass"


@pytest.fixture(scope="module")
def trace():
    arrivals = poisson(10, duration=3600, random_state=1)
    shares = {"origin": {"EWR": 0.5, "JFK": 0.1, "LGA": 0.4}}
    return traffic(arrivals, users=3000, segments=shares, random_state=2)


@pytest.fixture(scope="module")
def four(trace):
    return compare(trace, (STABLE, BAD), PLANS, ERRORS, random_state=3)


def as_floats(log):
    return log.set_index(["request_id", "version"]).sort_index()[["latency_ms", "status"]]


# ---------------------------------------------------------------------------------- common random numbers


def test_traffic_and_outcomes_are_equal_across_plans(trace, four):
    logs = {name: result.log for name, result in four.results.items()}
    for name, log in logs.items():
        served = requestlog.served(log)
        assert served["request_id"].tolist() == trace["request_id"].tolist(), name
        for column in ("time", "user_id", "origin"):
            assert served[column].tolist() == trace[column].tolist(), (name, column)
    # whoever answers a request, this version's answer to it is the same under each plan
    tables = {name: as_floats(log) for name, log in logs.items()}
    reference = pd.concat(tables.values()).groupby(level=[0, 1]).first()
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, reference.loc[table.index], obj=name)
    assert reference.index.get_level_values(1).nunique() == 2


def test_the_same_seed_gives_the_same_harm_and_another_does_not(trace):
    def harm(seed):
        result = replay(trace, (STABLE, BAD), PLANS["canary"], ERRORS, random_state=seed)
        return result.users_harmed, result.requests_harmed, result.time_to_detect, result.server_hours

    assert harm(3) == harm(3) == harm(np.random.default_rng(3))
    assert harm(3) != harm(4)


def test_compare_and_replay_agree(trace, four):
    for name, plan in PLANS.items():
        alone = replay(trace, (STABLE, BAD), plan, ERRORS, random_state=3)
        pd.testing.assert_frame_equal(alone.timeline, four.results[name].timeline)
        assert alone.users_harmed == four.results[name].users_harmed


def test_two_equal_versions_harm_nobody(trace):
    result = replay(trace, (STABLE, Version("v2")), BigBang(), ERRORS, random_state=0, slow_ms=200)
    assert (result.users_harmed, result.requests_helped) == (0, 0)
    assert np.isnan(result.time_to_detect) and result.phase == "Healthy"


# ------------------------------------------------------------------------------------------------ the harm


def test_fewer_users_are_harmed_the_more_careful_the_plan(four):
    harmed = four.table["users_harmed"]
    assert harmed["big bang"] > harmed["blue-green"] > harmed["canary"] > harmed["shadow"] == 0
    assert (four.table["phase"] == "Degraded").all()


def test_harm_is_the_exposure_times_the_excess_error(trace):
    plan = Canary(step_weights=[10, 50], interval=600)
    result = replay(trace, (STABLE, BAD), plan, always_passes, random_state=0)
    exposed = 10 * (0.1 * 600 + 0.5 * 600 + 2400)  # requests a second; two steps, then everybody
    assert result.requests_harmed == pytest.approx(exposed * (0.10 - 0.002), rel=0.08)
    assert result.requests_exposed == pytest.approx(exposed, rel=0.05)


def test_all_users_for_2_minutes_are_as_many_requests_as_5_percent_for_40(trace):
    def exposed(plan, until):
        return replay(
            trace, (STABLE, BAD), plan, always_passes, random_state=0, operator={until: "abort"}
        ).requests_exposed

    assert exposed(BlueGreen(), 120) == pytest.approx(1200, rel=0.06)
    assert exposed(Canary(step_weights=[5], interval=3600), 2400) == pytest.approx(1200, rel=0.15)


def test_what_the_old_version_would_have_failed_too_is_no_harm(trace):
    outage = Symptom(error_rate=0.9, after=300, until=600)
    versions = (Version(name, Behavior(symptoms=[outage])) for name in ("v1", "v2"))
    result = replay(trace, tuple(versions), BigBang(), always_passes, random_state=0)
    assert (result.log["status"] == 500).sum() > 1000 and result.users_harmed == 0


def test_a_better_version_helps_and_waiting_costs(trace):
    versions = Version("v1", Behavior(error_rate=0.10)), Version("v2", Behavior(error_rate=0.002))
    table = compare(
        trace, versions, {"big bang": BigBang(), "slow": Canary(step_weight=1)}, ERRORS, random_state=0
    ).table
    assert table["requests_helped"]["big bang"] > 2 * table["requests_helped"]["slow"] > 0
    assert (table["requests_harmed"] == 0).all()


def test_a_slow_version_harms_where_a_limit_says_so(trace):
    versions = Version("v1"), Version("v2", Behavior(latency_ms=300))
    judge = ThresholdJudge({"latency_p99": (None, 300)})
    result = replay(trace, versions, PLANS["canary"], judge, random_state=0, slow_ms=250)
    assert result.users_harmed > 10 and result.rolled_back and "latency_p99" in result.reason
    assert replay(trace, versions, PLANS["canary"], judge, random_state=0).users_harmed == 0


# -------------------------------------------------------------------------------- late, hidden and costly faults


def test_a_fault_that_shows_after_minutes_is_missed_by_a_fast_ramp_and_seen_by_a_slow_one(trace):
    versions = Version("v1"), Version("v2", Behavior(symptoms=[Symptom(error_rate=0.3, after=1200)]))
    fast, slow = (
        Canary(step_weights=[10, 50], interval=60),
        Canary(step_weights=[10, 50], interval=900, threshold=1),
    )
    results = compare(trace, versions, {"fast": fast, "slow": slow}, ERRORS, random_state=0).results
    assert results["fast"].phase == "Healthy" and np.isnan(results["fast"].time_to_detect)
    assert results["slow"].rolled_back
    assert results["fast"].users_harmed > results["slow"].users_harmed
    assert results["slow"].started_to_hurt >= 1200


def test_blue_green_pays_for_a_late_fault_with_a_redeploy(trace):
    versions = Version("v1"), Version("v2", Behavior(symptoms=[Symptom(error_rate=0.3, after=900)]))
    results = compare(
        trace,
        versions,
        {
            "kept": BlueGreen(keep_old=1800, threshold=1),
            "gone": BlueGreen(keep_old=300, threshold=1, redeploy=600),
        },
        ERRORS,
        random_state=0,
    ).results
    assert results["gone"].time_to_roll_back == pytest.approx(results["kept"].time_to_roll_back + 600)
    assert results["gone"].users_harmed > 2 * results["kept"].users_harmed
    assert results["kept"].server_hours > results["gone"].server_hours


def test_a_fault_of_one_segment_is_found_by_a_judge_that_looks_there(trace):
    versions = (
        Version("v1"),
        Version("v2", Behavior(symptoms=[Symptom(error_rate=0.25, where={"origin": "JFK"})])),
    )
    plan = Canary(step_weights=[20], interval=300, threshold=1)
    judge = ThresholdJudge({"error_rate": (None, 0.06)}, min_requests=30)
    overall = replay(trace, versions, plan, judge, random_state=0)
    by_origin = replay(trace, versions, plan, BySegment("origin", judge), random_state=0)
    assert overall.phase == "Healthy" and by_origin.rolled_back
    assert "origin JFK" in by_origin.reason
    assert by_origin.users_harmed < overall.users_harmed


def test_costs_of_two_fleets_are_counted(four):
    extra = four.table["extra_server_hours"]
    assert extra["blue-green"] == pytest.approx(
        10 * 360 / 3600, rel=0.02
    )  # both fleets until the rollback at 6 min
    assert extra["shadow"] == pytest.approx(5 * 360 / 3600, rel=0.02)
    assert 0 < extra["canary"] < extra["shadow"]


# --------------------------------------------------------------------------------------- too little traffic


def test_without_traffic_the_canary_waits_and_never_passes():
    quiet = traffic(poisson(0.05, duration=7200, random_state=0), users=500, random_state=0)
    result = replay(quiet, (Version("v1"), Version("v2")), PLANS["canary"], ERRORS, random_state=0)
    assert result.phase == "Paused" and set(result.timeline["weight"]) == {5.0}
    assert "30 needed" in result.reason
    assert (result.timeline["verdict"].dropna() == "nodata").all()


# ---------------------------------------------------------------------------------------- the log, real judges


def test_the_log_of_every_plan_validates_and_keeps_its_shadow_copies_apart(four):
    for name, result in four.results.items():
        log = requestlog.validate(result.log)
        copies = log[~log["served"]]
        assert (len(copies) > 0) == (name == "shadow"), name
    assert set(four.results["canary"].log["version"]) == {"v1", "v2"}


def test_a_judge_sees_the_same_in_the_replay_and_in_its_log(trace):
    seen = []

    def judge(metrics):
        seen.append((metrics.now, metrics.summary(), metrics.only("origin", "JFK").summary()))
        return "pass"

    result = replay(trace, (STABLE, BAD), Canary(step_weight=10, interval=300), judge, random_state=0)
    metrics = Metrics.from_log(result.log, "v1", "v2", origin=trace["time"].iloc[0])
    before = 0.0
    for now, summary, of_jfk in seen:
        view = metrics.at(now, since=before, start=0.0)
        assert (view.summary(), view.only("origin", "JFK").summary()) == (summary, of_jfk)
        before = now
    assert len(seen) == 5


@pytest.mark.parametrize(
    "judge",
    [
        GroupSequentialJudge(total=300),
        MSPRTJudge(tau=0.05),
        ThresholdJudge({"error_rate": (None, 0.03)}, relative="difference", min_requests=30),
        MannWhitneyJudge("error", direction="increase"),
    ],
    ids=lambda judge: type(judge).__name__,
)
def test_every_kind_of_judge_stops_a_bad_canary_and_lets_a_good_one_pass(trace, judge):
    plan = Canary(step_weights=[20, 50], interval=120, threshold=2)
    good, bad = Version("v2"), Version("v2", Behavior(error_rate=0.25))
    assert replay(trace, (STABLE, bad), plan, judge, random_state=5).rolled_back
    assert replay(trace, (STABLE, good), plan, judge, random_state=5).phase == "Healthy"


@pytest.mark.parametrize(
    "make",
    [
        lambda: Behavior(latency_ms=np.inf),
        lambda: Symptom(until=np.nan),
        lambda: traffic([0.0, np.nan]),
        lambda: traffic([0.0, np.inf]),
    ],
)
def test_a_behavior_or_a_trace_of_no_numbers_is_refused(make):
    with pytest.raises(ValueError, match="finite|none missing|before it begins"):
        make()


# --------------------------------------------------------------------------------------------------- routing


def test_routing_is_sticky_and_independent_of_the_order_of_requests(trace, four):
    log = four.results["canary"].log
    steady = replay(
        trace, (STABLE, BAD), Canary(step_weights=[20], interval=7200), ERRORS, random_state=0
    ).log
    assert (steady.groupby("user_id")["version"].nunique() == 1).all()
    users = log["user_id"].to_numpy()
    order = np.random.default_rng(0).permutation(len(users))
    assert (bucket(users)[order] == bucket(users[order])).all()
    assert route(users[0], 50) == route(users, 50)[0]


def test_a_ramp_only_adds_users():
    users = np.arange(5000)
    last = np.zeros(5000, dtype=bool)
    for weight in (0, 1, 2, 10, 50, 80, 100):
        now = route(users, weight)
        assert (now >= last).all()
        assert now.mean() == pytest.approx(weight / 100, abs=3 * np.sqrt(0.25 / 5000))
        last = now
    assert last.all()


def test_routing_is_stable_across_processes_and_types():
    code = "from mlprod_helpers.rollout.routing import bucket; print(bucket(['ana', 7], 's').tolist())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout == f"{bucket(['ana', '7'], 's').tolist()}\n"
    assert bucket([7.0, None], "s")[0] == bucket([np.int64(7)], "s")[0]
    assert not route([None, np.nan], 100).any()  # nobody we know: the stable version
    assert bucket(["ana"], "s") != bucket(["ana"], "t")


# ------------------------------------------------------------------------------------------- tables, pictures, errors


def test_over_time_adds_up(four):
    result = four.results["canary"]
    table = result.over_time(60)
    assert table["users_harmed"].iloc[-1] == result.users_harmed
    assert table["requests_harmed"].iloc[-1] == result.requests_harmed
    assert table["weight"].iloc[0] == 5 and table["weight"].iloc[-1] == 0
    assert table["canary_bad"].iloc[20:].isna().all() and table["stable_bad"].notna().all()


def test_pictures_say_what_to_notice(four):
    figure = four.results["canary"].plot()
    assert "users harmed" in figure.alt and "failed checks" in figure.alt and len(figure.png) > 5000
    figure = four.plot()
    assert "big bang" in figure.alt and len(figure.png) > 5000


@pytest.mark.parametrize("operator", [{5: "stop"}, {-5: "abort"}])
def test_an_operator_promotes_or_aborts_after_the_start(trace, operator):
    with pytest.raises(ValueError, match="An operator (cannot 'stop'|acts after the start)"):
        replay(trace, (STABLE, BAD), Canary(), ERRORS, operator=operator)


def test_what_is_no_plan_and_a_symptom_of_an_unknown_feature_are_refused(trace):
    with pytest.raises(TypeError, match="A plan is"):
        replay(trace, (STABLE, BAD), "canary", ERRORS)
    elsewhere = Version("v2", Behavior(symptoms=[Symptom(where={"orig": "JFK"})]))
    with pytest.raises(KeyError, match="did you mean 'origin'"):
        replay(trace, (STABLE, elsewhere), Canary(), ERRORS)


def test_the_gain_is_what_everybody_wins_or_loses_with_the_new_version(trace):
    everybody = replay(trace, (STABLE, BAD), BigBang(watch=0), always_passes, 3)
    assert everybody.final_weight == 100
    assert everybody.gain == everybody.requests_helped - everybody.requests_harmed < 0
