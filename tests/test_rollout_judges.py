"""Judges and their statistics: what peeking costs, honest looks, Kayenta's semantics, and "no data"."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlprod_helpers.requestlog import as_log
from mlprod_helpers.rollout import (
    AllOf,
    BySegment,
    EffectSize,
    GroupSequentialJudge,
    MannWhitneyJudge,
    Metrics,
    MSPRTJudge,
    PlainJudge,
    ThresholdJudge,
    ZTestJudge,
    crossing,
    msprt,
    obrien_fleming,
    operating_characteristics,
    peeking,
    pocock,
    requests_needed,
    shift,
    z_score,
)

ORIGIN = "2013-01-01 05:00Z"


def log_of(stable, canary, **features):
    """A log of alternating arms, one request of each a second; values are error flags (0, 1)."""
    rows = []
    for version, values in (("v1", stable), ("v2", canary)):
        n = len(values)
        rows.append(
            pd.DataFrame(
                {
                    "time": pd.Timestamp(ORIGIN) + pd.to_timedelta(np.arange(n), unit="s"),
                    "request_id": [f"{version}-{i}" for i in range(n)],
                    "version": version,
                    "status": np.where(np.asarray(values) > 0, 500, 200),
                    "latency_ms": 100.0,
                    **{name: np.asarray(of[version]) for name, of in features.items()},
                }
            )
        )
    return as_log(pd.concat(rows))


def metrics_of(stable, canary, **features):
    return Metrics.from_log(log_of(stable, canary, **features), "v1", "v2", origin=ORIGIN)


def test_without_an_origin_times_are_seconds_since_1970():
    log = log_of([0, 1], [1, 0])
    values, when = Metrics.from_log(log, "v1", "v2").timed("error", "stable", "all")
    shifted, later = Metrics.from_log(log, "v1", "v2", origin=ORIGIN).timed("error", "stable", "all")
    assert values.tolist() == shifted.tolist() == [0, 1]
    assert when == pytest.approx(later + 1_357_016_400)  # date -u -d "2013-01-01 05:00" +%s


def flags(n, share, seed):
    return (np.random.default_rng(seed).random(n) < share).astype(int)


# ----------------------------------------------------------------------------------------- what peeking costs


def test_peeking_five_times_at_a_5_percent_test_errs_in_14_2_percent():
    # Armitage, McPherson and Rowe (1969), table 2
    published = {1: 0.050, 2: 0.083, 3: 0.107, 4: 0.126, 5: 0.142, 10: 0.193, 20: 0.248}
    assert {looks: round(peeking(looks), 3) for looks in published} == published


def test_boundaries_are_the_published_ones():
    # Jennison and Turnbull (2000), tables 2.1 and 2.3, alpha 0.05
    assert {k: round(pocock(k)[0], 3) for k in (2, 5, 10)} == {2: 2.178, 5: 2.413, 10: 2.555}
    assert {k: round(obrien_fleming(k)[-1], 3) for k in (2, 5, 10)} == {2: 1.977, 5: 2.040, 10: 2.087}
    assert crossing(obrien_fleming(5))[-1] == pytest.approx(0.05, abs=1e-6)
    assert obrien_fleming(1)[0] == pytest.approx(stats.norm.ppf(0.975), abs=1e-6)


def test_crossing_agrees_with_a_simulated_random_walk():
    information = np.array([1.0, 1.5, 4.0])
    walk = np.random.default_rng(0).standard_normal((200_000, 3)) * np.sqrt(np.diff(information, prepend=0))
    z = (walk.cumsum(axis=1) + 1.5 * information / np.sqrt(information[-1])) / np.sqrt(information)
    left = (np.abs(z) >= [2.2, 2.0, 1.9]).cumsum(axis=1) > 0
    assert crossing([2.2, 2.0, 1.9], information, drift=1.5) == pytest.approx(left.mean(axis=0), abs=0.004)


def test_sequential_tests_keep_their_false_positive_rate():
    # a fast slice of benchmarks/bench_rollout.py, which does 20,000 runs
    table = operating_characteristics(p=0.1, effect=0.02, runs=6000, random_state=1)
    rate, power = table["false_positives"], table["power"]
    within = 3 * np.sqrt(0.05 * 0.95 / 6000)
    for name in ("one look at the end", "Pocock, 5 looks", "O'Brien-Fleming, 5 looks"):
        assert rate[name] == pytest.approx(0.05, abs=within)
    assert rate["peeking, 5 looks"] == pytest.approx(0.142, abs=0.015)
    assert rate["mSPRT, 100 checks"] < 0.05
    assert power["one look at the end"] == pytest.approx(0.80, abs=0.02)
    assert power["O'Brien-Fleming, 5 looks"] > power["one look at the end"] - 0.03
    assert power["O'Brien-Fleming, 5 looks"] > power["Pocock, 5 looks"] > power["mSPRT, 100 checks"]


def test_power_of_group_sequential_tests_in_closed_form():
    drift = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)
    assert crossing([stats.norm.ppf(0.975)], drift=drift)[-1] == pytest.approx(0.8, abs=1e-4)
    assert crossing(obrien_fleming(5), drift=drift)[-1] == pytest.approx(0.789, abs=0.003)
    assert crossing(pocock(5), drift=drift)[-1] == pytest.approx(0.705, abs=0.01)


def test_the_clicks_need_92_000_views_an_arm():
    needed = requests_needed(0.0043, 0.0052)
    assert needed == pytest.approx(92_000, rel=0.02)
    # a canary of 5 % at 20 QPS: its arm fills with 1 request a second
    assert needed / (0.05 * 20) / 3600 == pytest.approx(26, abs=1)
    z, *_ = z_score(np.repeat([1, 0], [130, 29_870]), np.repeat([1, 0], [157, 29_843]))
    assert 2 * stats.norm.sf(z) == pytest.approx(0.11, abs=0.01)


def test_msprt_grows_with_evidence_and_starts_below_one():
    ratios = msprt(0.02, 0.5 / np.array([10.0, 1e3, 1e4, 1e5]), tau=0.02)
    assert ratios[0] < 1 and (np.diff(ratios[1:]) > 0).all() and ratios[-1] > 1e5
    none = msprt(0.0, 0.5 / np.array([10.0, 1e3, 1e5]), tau=0.02)
    assert (np.diff(none) < 0).all()  # no difference: less and less
    assert msprt(0.0, 0.0, 0.1) == 0 and np.isfinite(msprt(5.0, 1e-9, 1.0))
    with pytest.raises(ValueError, match="tau"):
        msprt(0.1, 0.1, 0.0)


# -------------------------------------------------------------------------------------------- sequential judges


def test_group_sequential_judge_decides_as_the_formula_does_at_each_look():
    judge = GroupSequentialJudge(total=500, looks=5)
    for seed, share in ((0, 0.10), (1, 0.16), (2, 0.22), (3, 0.30)):
        stable, canary = flags(1000, 0.1, seed), flags(1000, share, seed + 100)
        at = (np.arange(1, 6) * 200).tolist()  # 200 of each are 100 effective requests
        crossed = [z_score(stable[:n], canary[:n])[0] >= bar for n, bar in zip(at, judge.bounds, strict=True)]
        # a value is known 0.1 s after its request
        outcomes = [judge(metrics_of(stable, canary).at(now=n, since=-np.inf)).outcome for n in at]
        first = crossed.index(True) if True in crossed else 5
        assert outcomes == ["pass"] * first + ["fail"] * (5 - first)


def test_group_sequential_judge_says_nothing_between_looks():
    judge = GroupSequentialJudge(total=500, looks=5)
    metrics = metrics_of(flags(1000, 0.1, 0), flags(1000, 0.1, 1))
    assert judge(metrics.at(now=100)).outcome == "nodata"
    assert judge(metrics.at(now=210, since=150)).outcome == "pass"
    assert judge(metrics.at(now=250, since=210)).outcome == "nodata"
    assert judge(metrics.at(now=1000, since=999)).outcome == "pass"  # the test is over


def test_sequential_judges_are_critical_and_know_the_direction():
    worse = metrics_of(flags(3000, 0.02, 0), flags(3000, 0.10, 1))
    better = metrics_of(flags(3000, 0.10, 0), flags(3000, 0.02, 1))
    for judge in (GroupSequentialJudge(total=1000), MSPRTJudge(tau=0.05)):
        verdict = judge(worse)
        assert (verdict.outcome, verdict.critical) == ("fail", True)
        assert "error of v2 minus that of v1" in verdict.reason
        assert judge(better).outcome == "pass"
    assert ZTestJudge()(worse).outcome == "fail" and ZTestJudge()(better).outcome == "pass"


# ----------------------------------------------------------------------------------------------------- Kayenta


def samples(seed, loc, n=30):
    return np.random.default_rng(seed).normal(loc, 2, size=n)


def test_kayenta_classifies_pass_high_and_low():
    judge = MannWhitneyJudge(tolerance=0.10, confidence=0.95)
    low, high = samples(0, 10), samples(1, 20)
    assert judge.classify(samples(2, 10), low).label == "Pass"
    assert judge.classify(low, high).label == "High"
    assert judge.classify(high, low).label == "Low"
    assert judge.classify(low, low[::-1]).label == "Pass"  # the same values
    assert judge.classify([], low).label == judge.classify(low, [np.nan]).label == "Nodata"


def test_kayenta_only_the_asked_direction_counts():
    low, high = samples(0, 10), samples(1, 20)
    assert MannWhitneyJudge(direction="increase").classify(high, low).label == "Pass"
    assert MannWhitneyJudge(direction="decrease").classify(low, high).label == "Pass"
    assert MannWhitneyJudge(direction="increase").classify(low, high).label == "High"


def test_kayenta_tolerance_is_a_fraction_of_the_hodges_lehmann_estimate():
    stable, canary = samples(0, 10), samples(1, 11.5)
    estimate, low, _ = shift(stable, canary)
    fraction = low / abs(estimate)
    assert 0 < fraction < 1
    assert MannWhitneyJudge(tolerance=fraction * 0.99).classify(stable, canary).label == "High"
    assert MannWhitneyJudge(tolerance=fraction * 1.01).classify(stable, canary).label == "Pass"
    # in other units nothing changes: it asks how certain the shift is, not how large
    assert MannWhitneyJudge(tolerance=fraction * 0.99).classify(stable * 1e-6, canary * 1e-6).label == "High"


def test_kayenta_effect_size_is_a_second_gate_and_critical_a_third():
    stable, canary = samples(0, 10), samples(1, 13)
    ratio = canary.mean() / stable.mean()

    def answer(**settings):
        return MannWhitneyJudge(**settings).classify(stable, canary)

    assert answer(effect_size={"allowed_increase": ratio + 0.01}).label == "Pass"
    assert answer(effect_size={"allowed_increase": ratio - 0.01}).label == "High"
    assert not answer().critical and answer(critical=True).critical
    assert not answer(critical=True, effect_size={"critical_increase": ratio + 0.01}).critical
    # a mean of zero has no ratio: only the test counts
    answer = MannWhitneyJudge(critical=True, effect_size={"allowed_increase": 9.0}).classify(
        np.zeros(30), samples(0, 9)
    )
    assert np.isnan(answer.effect) and answer.label == "High" and answer.critical
    assert EffectSize(measure="cles").of(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == 0.875


def test_shift_is_the_median_of_all_differences_and_inverts_the_test():
    for seed, n, m in ((0, 12, 9), (1, 40, 25), (2, 7, 60)):
        stable, canary = samples(seed, 10, n), samples(seed + 50, 11, m)
        estimate, low, high = shift(stable, canary, confidence=0.95)
        assert estimate == pytest.approx(np.median(canary[:, None] - stable), abs=1e-9)
        for at, inside in ((low, 1e-7), (high, -1e-7)):
            p_in, p_out = (
                stats.mannwhitneyu(canary - (at + step), stable, method="asymptotic").pvalue
                for step in (inside, -inside)
            )
            assert p_out < 0.05 <= p_in


def test_shift_of_few_different_values():
    assert shift([0, 0, 0, 1], [0, 0, 1, 1, 1])[0] == 0.0
    assert shift([5.0] * 9, [7.0] * 9) == (2.0, 2.0, 2.0)
    zeros = np.repeat([0, 1], [950, 50])
    assert (
        MannWhitneyJudge().classify(zeros, np.repeat([0, 1], [800, 200])).label == "Pass"
    )  # blind: use `per`
    stable, canary = flags(3000, 0.02, 0), flags(3000, 0.10, 1)
    assert MannWhitneyJudge("error", window="all")(metrics_of(stable, canary)).outcome == "pass"
    assert MannWhitneyJudge("error", window="all", per=60)(metrics_of(stable, canary)).outcome == "fail"


# ------------------------------------------------------------------------------------- thresholds, segments, nodata


def test_threshold_ranges_on_log_metrics():
    metrics = metrics_of(flags(500, 0.0, 0), np.repeat([0, 1], [450, 50]))
    assert ThresholdJudge({"error_rate": (None, 0.2)})(metrics).outcome == "pass"
    verdict = ThresholdJudge({"error_rate": (None, 0.05)})(metrics)
    assert verdict.outcome == "fail" and verdict.reason == "error_rate of v2 is 0.1, above 0.05"
    assert ThresholdJudge({"success_rate": (0.99, None)})(metrics).outcome == "fail"
    assert ThresholdJudge({"error_rate": (None, 0.2)}, relative="difference")(metrics).outcome == "pass"
    assert ThresholdJudge({"error_rate": (None, 2)}, relative="ratio")(metrics).outcome == "fail"
    assert ThresholdJudge({"latency_p99": (None, 1.1)}, relative="ratio")(metrics).outcome == "pass"


def test_an_outage_of_everything_is_not_the_canarys_fault():
    both = metrics_of(flags(500, 0.5, 0), flags(500, 0.5, 1))
    assert ThresholdJudge({"error_rate": (None, 0.02)})(both).outcome == "fail"
    assert ThresholdJudge({"error_rate": (None, 0.2)}, relative="difference")(both).outcome == "pass"


def test_too_few_requests_are_nodata_for_every_judge():
    few = metrics_of(flags(500, 0.0, 0), [1] * 20)
    judges = [
        ThresholdJudge({"error_rate": (None, 0.01)}),
        ZTestJudge(),
        MannWhitneyJudge(),
        GroupSequentialJudge(),
        MSPRTJudge(),
        BySegment("origin", ThresholdJudge({"error_rate": (None, 0.01)})),
    ]
    for judge in judges[:-1]:
        verdict = judge(few)
        assert verdict.outcome == "nodata" and verdict.reason[:2] in ("20", "19"), judge
    nobody = metrics_of([], [], origin={"v1": [], "v2": []})
    for judge in judges:
        assert judge(nobody).outcome == "nodata", judge


def test_labels_that_are_not_yet_known_are_no_data():
    log = log_of(flags(200, 0, 0), flags(200, 0, 1))
    log = as_log(
        log.assign(
            prediction=10.0,
            label=np.where(log["version"] == "v2", 50.0, 12.0),
            label_time=log["time"] + pd.Timedelta("1h"),
        )
    )
    metrics = Metrics.from_log(log, "v1", "v2", origin=ORIGIN)
    judge = ThresholdJudge({"mean_abs_error": (None, 5.0)})
    assert judge(metrics.at(now=300)).reason == "0 labels of v2, 50 needed"
    assert judge(metrics.at(now=3600 + 300)).outcome == "fail"


def test_a_segment_that_fails_alone_is_found():
    origin = np.where(np.arange(2000) % 12 == 0, "JFK", "LGA")
    canary = flags(2000, 0.01, 1)
    canary[origin == "JFK"] = flags(int((origin == "JFK").sum()), 0.3, 2)
    metrics = metrics_of(flags(2000, 0.01, 0), canary, origin={"v1": origin, "v2": origin})
    judge = ThresholdJudge({"error_rate": (None, 0.05)})
    assert judge(metrics).outcome == "pass"  # 8 % of the rows drown in the mean
    verdict = BySegment("origin", judge)(metrics)
    assert verdict.outcome == "fail" and verdict.reason.startswith("origin JFK: ")
    with pytest.raises(KeyError, match="did you mean 'origin'"):
        BySegment("orig", judge)(metrics)


def test_all_of_needs_every_judge():
    def passing(metrics):
        return "pass"

    assert AllOf(passing, passing)(None).outcome == "pass"
    assert AllOf(passing, lambda metrics: ("nodata", "late labels"))(None).reason == "late labels"
    assert AllOf(lambda metrics: "nodata", lambda metrics: ("fail", "slow"))(None).reason == "slow"


def test_a_plain_function_judges_plain_data():
    metrics = metrics_of(flags(100, 0, 0), [1] * 100, origin={"v1": ["JFK"] * 100, "v2": ["JFK"] * 100})
    seen = []

    def judge(stable, canary):
        seen.append((stable, canary))
        return ("fail", "errors") if canary["error_rate"] > stable["error_rate"] else "pass"

    assert PlainJudge(judge)(metrics).reason == "errors"
    assert seen[0][1]["requests"] == seen[0][1]["errors"] == 100 and seen[0][1]["ctr"] is None
    assert (
        PlainJudge(lambda stable, canary: "pass" if set(canary) == {"JFK"} else "fail", by="origin")(
            metrics
        ).outcome
        == "pass"
    )


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ThresholdJudge({}), "nothing can fail"),
        (lambda: ThresholdJudge({"error_rat": (0, 1)}), "did you mean 'error_rate'"),
        (lambda: ThresholdJudge({"error_rate": 0.1}), "give \\(lowest, highest\\)"),
        (lambda: ZTestJudge("errors"), "did you mean 'error'"),
        (lambda: ZTestJudge(direction="up"), "direction"),
        (lambda: ZTestJudge(min_requests=0), "at least 1"),
        (lambda: GroupSequentialJudge(boundary="o'brien"), "boundary"),
        (lambda: MannWhitneyJudge(confidence=98), "0.98"),
        (lambda: AllOf(), "everything would pass"),
    ],
)
def test_a_wrong_judge_says_what_to_do(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_judges_refuse_what_is_no_metrics():
    with pytest.raises(TypeError, match="from_log"):
        ZTestJudge()({"error_rate": 0.1})
