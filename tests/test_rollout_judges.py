"""Judges and their statistics: what peeking costs, honest looks, Kayenta's semantics, and "no data"."""

import numpy as np
import pandas as pd
import pytest
import stand_in_rollout
from scipy import optimize, stats
from stand_in_rollout import ORIGIN, log_of, metrics_of

from mlprod_helpers.requestlog import as_log
from mlprod_helpers.rollout import (
    AllOf,
    BySegment,
    GroupSequentialJudge,
    Judgment,
    MannWhitneyJudge,
    Metrics,
    MSPRTJudge,
    ThresholdJudge,
    ZTestJudge,
    crossing,
    design_effect,
    judges,
    msprt,
    obrien_fleming,
    operating_characteristics,
    peeking,
    pocock,
    requests_needed,
    shift,
    z_score,
)


def test_without_an_origin_times_are_seconds_since_1970():
    log = log_of([0, 1], [1, 0])
    values, when, _ = Metrics.from_log(log, "v1", "v2").sample("error", "stable", "all")
    shifted, later, _ = Metrics.from_log(log, "v1", "v2", origin=ORIGIN).sample("error", "stable", "all")
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
    # Jennison and Turnbull (2000), tables 2.1 and 2.3, for 1 to 10 looks
    tables = {
        0.01: [2.576, 2.772, 2.873, 2.939, 2.986, 3.023, 3.053, 3.078, 3.099, 3.117],
        0.05: [1.960, 2.178, 2.289, 2.361, 2.413, 2.453, 2.485, 2.512, 2.535, 2.555],
        0.1: [1.645, 1.875, 1.992, 2.067, 2.122, 2.164, 2.197, 2.225, 2.249, 2.270],
    }
    for alpha, table in tables.items():
        assert [round(pocock(k, alpha)[0], 3) for k in range(1, 11)] == table
    table = [1.960, 1.977, 2.004, 2.024, 2.040, 2.053, 2.063, 2.072, 2.080, 2.087]
    assert [round(obrien_fleming(k)[-1], 3) for k in range(1, 11)] == table
    # gsDesign, test-outputs.R; rpact, test-rpact.R (one-sided, 2.5%)
    assert obrien_fleming(4).round(2).tolist() == [4.05, 2.86, 2.34, 2.02]
    assert obrien_fleming(3) == pytest.approx([3.4710914, 2.4544323, 2.0040356], abs=2e-7)
    assert crossing(obrien_fleming(5))[-1] == pytest.approx(0.05, abs=1e-6)
    assert obrien_fleming(1)[0] == pytest.approx(stats.norm.ppf(0.975), abs=1e-6)


def test_sequential_tests_keep_their_false_positive_rate():
    # a fast slice of benchmarks/bench_rollout.py, which does 20,000 runs
    table = operating_characteristics(runs=6000, random_state=1)
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


@pytest.mark.parametrize(
    (
        "bounds",
        "power",
        "most",
        "mean",
    ),  # percent of a single test's data; the mean by multiples of its effect
    [  # gsDesign, test-outputs.R, test.JT.OFss and test.JT.Pocock
        (obrien_fleming(5), 0.8, 102.8, {0: 102.1}),
        (obrien_fleming(20), 0.9, 104.5, {0: 103.4}),
        (pocock(4), 0.8, 120.2, {0: 117.5, 0.5: 108.8, 1: 80.5, 1.5: 52.2}),
        (pocock(15), 0.9, 130.5, {0: 126.4, 0.5: 111.2, 1: 66.4, 1.5: 35.4}),
    ],
    ids=["O'Brien-Fleming, 5 looks", "O'Brien-Fleming, 20 looks", "Pocock, 4 looks", "Pocock, 15 looks"],
)
def test_group_sequential_tests_need_the_published_data(bounds, power, most, mean):
    drift = optimize.brentq(lambda drift: crossing(bounds, drift=drift)[-1] - power, 1, 8)
    needed = 100 * (drift / (stats.norm.ppf(0.975) + stats.norm.ppf(power))) ** 2
    looks = {times: len(bounds) - crossing(bounds, drift=times * drift)[:-1].sum() for times in mean}
    # up to 0.15 too little, since the wrong bound counts as well
    assert needed == pytest.approx(most, abs=0.15)
    assert {times: needed * n / len(bounds) for times, n in looks.items()} == pytest.approx(mean, abs=0.15)


@pytest.mark.parametrize(
    ("p", "q", "power", "published", "within"),
    [
        (0.5, 0.75, 0.9, 77, 0),  # R, power.prop.test: 76.7
        (0.5, 0.75, 0.7401659, 50, 0),  # R
        (0.34, 0.343, 0.85, 897_348 / 2, 2),  # G*Power, in spotify/confidence, test_samplesizecalculator.py
        (0.34, 0.44, 0.85, 852 / 2, 0),  # G*Power
    ],
)
def test_sample_sizes_are_the_published_ones(p, q, power, published, within):
    assert requests_needed(p, q, power=power) == pytest.approx(published, abs=within)


def test_a_z_test_of_two_shares_is_that_of_statsmodels():
    # test_proportion.py, test_default_values
    z, *_ = z_score(np.repeat([1, 0], [12, 87]), np.repeat([1, 0], [5, 78]))
    assert (z, 2 * stats.norm.sf(-z)) == pytest.approx((-1.4078304151258787, 0.15918129181156992))


def test_the_clicks_need_92_000_views_an_arm():
    needed = requests_needed(0.0043, 0.0052)
    assert needed == pytest.approx(92_000, rel=0.02)
    # a canary of 5% at 20 QPS: its arm fills with 1 request a second
    assert needed / (0.05 * 20) / 3600 == pytest.approx(26, abs=1)
    z, *_ = z_score(np.repeat([1, 0], [130, 29_870]), np.repeat([1, 0], [157, 29_843]))
    assert 2 * stats.norm.sf(z) == pytest.approx(0.11, abs=0.01)


def test_msprt_stops_the_example_of_its_r_package_at_the_fifth_pair():
    # the package msprt, test_core.py, after R's mixtureSPRT: sigma 1, tau for ten pairs
    b = 2 * np.log(20) / np.sqrt(10)
    tau = np.sqrt(stats.norm.sf(b) / (stats.norm.pdf(b) / b - stats.norm.sf(b)))
    canary = np.array([3.1, 2.8, 3.3, 2.9, 3.0, 3.2, 2.7, 3.4, 3.1, 2.8])
    stable = np.array([0.9, 1.0, 0.8, 1.1, 0.7, 1.0, 0.9, 0.8, 1.1, 0.7])
    n = np.arange(1, 11)
    ratios = msprt(np.cumsum(canary - stable) / n, 2 / n, tau)
    assert (ratios > 20).tolist() == [False] * 4 + [True] * 6


def test_msprt_grows_with_evidence_and_starts_below_one():
    ratios = msprt(0.02, 0.5 / np.array([10.0, 1e3, 1e4, 1e5]), tau=0.02)
    assert ratios[0] < 1 and (np.diff(ratios[1:]) > 0).all() and ratios[-1] > 1e5
    none = msprt(0.0, 0.5 / np.array([10.0, 1e3, 1e5]), tau=0.02)
    assert (np.diff(none) < 0).all()  # no difference: less and less
    assert msprt(0.0, 0.0, 0.1) == 0 and np.isfinite(msprt(5.0, 1e-9, 1.0))
    with pytest.raises(ValueError, match="tau"):
        msprt(0.1, 0.1, 0.0)


# ------------------------------------------------------------------------------------ requests of the same user


def requests_of_users(rng, users, each=20, correlation=0.05):
    """(values, user of each value): two values of one user have this correlation."""
    who = np.repeat(np.arange(users), each)
    shared = rng.normal(0, correlation**0.5, users)
    return rng.normal(0, (1 - correlation) ** 0.5, users * each) + shared[who], who


def test_20_requests_a_user_make_a_5_percent_test_err_in_16_percent_unless_it_counts_users():
    runs = 500
    for seed in range(3):
        rng, z = np.random.default_rng(seed), []
        for _ in range(runs):
            values, who = requests_of_users(rng, 150)
            arms = np.split(values, [2000]), np.split(who, [2000])  # 100 users stay, 50 get the canary
            z.append((z_score(*arms[0])[0], z_score(*arms[0], users=arms[1])[0]))
        by_request, by_user = (np.abs(z) >= 1.96).mean(axis=0)
        # sd of z is the root of 1 + 19 * 0.05
        expected = 2 * stats.norm.sf(1.96 / 1.95**0.5)
        assert expected == pytest.approx(0.16, abs=0.001)
        assert by_request == pytest.approx(expected, abs=3 * np.sqrt(expected * (1 - expected) / runs))
        assert by_user == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / runs))


def test_a_rank_test_that_counts_users_keeps_its_level_for_skewed_values():
    rng, runs, alarms = np.random.default_rng(3), 300, []
    for _ in range(runs):
        values, who = requests_of_users(rng, 45, correlation=0.1)
        values, arms = np.split(np.exp(values), [600]), np.split(who, [600])
        effect = judges._effect_on_ranks(*values, arms)
        intervals = [shift(*values, 0.95, of)[1:] for of in (1.0, effect)]
        alarms.append([low > 0 or high < 0 for low, high in intervals])
    by_request, by_user = np.mean(alarms, axis=0)
    assert by_request > 0.11 and by_user == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / runs))


def test_looks_at_a_ramp_of_sticky_users_err_in_5_percent_together():
    # users move from stable to canary: 10%, 20% ... 50%; each sends 6 requests a step
    bars, rng, runs, crossed = obrien_fleming(5), np.random.default_rng(4), 400, []
    for _ in range(runs):
        values, who = requests_of_users(rng, 200, each=30, correlation=0.1)
        step, z = np.tile(np.arange(30) // 6, 200), []
        canary = who < 20 * (step + 1)
        for look in range(5):
            old, new = ~canary & (step <= look), canary & (step <= look)
            z.append([z_score(values[old], values[new], of)[0] for of in (None, (who[old], who[new]))])
        crossed.append((np.abs(z) >= bars[:, None]).any(axis=0))
    by_request, by_user = np.mean(crossed, axis=0)
    assert by_request > 0.18 and by_user == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / runs))


def test_the_variance_by_user_is_that_of_a_bootstrap_of_users():
    rng = np.random.default_rng(5)
    stable, canary = (
        requests_of_users(rng, 300, correlation=0.2),
        requests_of_users(rng, 200, correlation=0.2),
    )
    means = [values.reshape(-1, 20).mean(axis=1) for values, _ in (stable, canary)]
    drawn = [rng.choice(of, size=(4000, len(of))).mean(axis=1) for of in means]
    *_, variance = z_score(stable[0], canary[0], users=(stable[1], 1000 + canary[1]))
    assert variance == pytest.approx((drawn[1] - drawn[0]).var(), rel=0.1)
    assert design_effect(stable[0], canary[0], (stable[1], 1000 + canary[1])) == pytest.approx(4.8, rel=0.1)


def test_one_request_a_user_changes_nothing_and_users_met_by_both_versions_are_compared_with_themselves():
    stable, canary = flags(900, 0.1, 0), flags(100, 0.2, 1)
    assert z_score(stable, canary, users=(np.arange(900), np.arange(900, 1000))) == z_score(stable, canary)
    assert z_score(stable, canary, users=([None] * 900, [np.nan] * 100)) == z_score(stable, canary)
    rng = np.random.default_rng(6)
    values, who = requests_of_users(rng, 100, correlation=0.5)
    copies = values + rng.normal(0, 0.1, len(values))  # a shadow: who is slow here is slow there
    effect = design_effect(values, copies, (who, who))
    assert effect == pytest.approx(0.5, abs=0.1)


def test_an_error_of_one_user_alone_convinces_no_judge_that_counts_users():
    rng = np.random.default_rng(7)
    stable, canary = flags(2000, 0.02, 0), flags(1000, 0.02, 1)
    canary[:40] = 1  # one user's requests fail
    names = {"v1": [f"a{i // 40}" for i in range(2000)], "v2": [f"b{i // 40}" for i in range(1000)]}
    metrics = metrics_of(stable, canary, user_id=names)
    for judge in (ZTestJudge(), MSPRTJudge(tau=0.02), GroupSequentialJudge(total=600)):
        assert judge(metrics).outcome == "pass", judge
        assert judge(metrics_of(stable, canary)).outcome == "fail", judge  # nobody says who asked
    names = {name: rng.permutation(of) for name, of in names.items()}  # the same errors of many users
    assert ZTestJudge()(metrics_of(stable, canary, user_id=names)).outcome == "fail"


@pytest.mark.parametrize("users", [(["a"], ["b", "c"]), ([], []), (["a", "b"], ["c"])])
def test_users_are_named_for_every_request(users):
    with pytest.raises(ValueError, match="one name a request"):
        z_score([0.0, 1.0], [1.0, 0.0], users)


@pytest.mark.parametrize("values", [[], [np.nan, 1.0], [np.inf, 1.0]])
def test_a_z_score_of_what_cannot_be_read_is_refused(values):
    with pytest.raises(ValueError, match="stable has no values|of stable are missing or infinite"):
        z_score(values, [1.0, 2.0])


def test_an_offset_of_1e9_and_equal_values_cost_no_digits():
    stable, canary = samples(0, 10), samples(1, 12)
    assert z_score(stable + 1e9, canary + 1e9)[0] == pytest.approx(z_score(stable, canary)[0], rel=1e-5)
    assert z_score([0.1] * 7, [0.1] * 12) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("bounds", [[2, np.nan], [2, -1]])
def test_bounds_that_are_no_positive_numbers_are_refused(bounds):
    with pytest.raises(ValueError, match="above 0"):
        crossing(bounds)


def test_a_likelihood_ratio_of_what_is_no_number_is_none():
    assert np.isnan(msprt([0.1, np.nan, np.nan], [np.nan, 0.0, 1.0], tau=0.1)).all()


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


def label(stable, canary, **settings):
    return MannWhitneyJudge(**settings)._classify(stable, canary, 1.0)[0]


def test_kayenta_classifies_pass_high_and_low():
    low, high = samples(0, 10), samples(1, 20)
    assert label(samples(2, 10), low) == "Pass"
    assert label(low, high) == "High"
    assert label(high, low) == "Low"
    assert label(low, low[::-1]) == "Pass"  # the same values
    assert label(low * 1e-6, high * 1e-6) == "High"  # it asks how certain the shift is, not how large
    assert label(low - 20, high - 20) == "High"


def test_kayenta_only_the_asked_direction_counts():
    low, high = samples(0, 10), samples(1, 20)
    assert label(high, low, direction="increase") == label(low, high, direction="decrease") == "Pass"
    assert label(low, high, direction="increase") == "High"


@pytest.mark.parametrize(
    ("stable", "canary", "direction", "published"),
    [  # Kayenta, ClassifierSuite.scala
        ([1, 2.2, 1.1, 2.5, 3], [20, 22, 21, 25, 30], "either", "High"),
        ([10, 20.2, 10.1, 20.5, 30], [2, 2, 2, 2, 3], "either", "Low"),
        ([1, 1], [1, 1, 1], "decrease", "Pass"),
        ([5, 4, 3, 2, 1], [1, 2, 3, 4, 5], "decrease", "Pass"),
        ([1, 1, 1, 1, 1], [0, 1, 1, 1, 1], "decrease", "Pass"),
        ([1, 1, 1, 1, 1], [1, 1, 1, 1, 10], "either", "Pass"),
        ([1, 1, 1, 1, 1], [10, 10, 10, 10, 10], "either", "High"),
        ([0, 0, 0, 0, 0], [10, 10, 10, 10, 10], "either", "High"),
        ([0, 0, 0, 0, 0], [54.9, 54.5, 55.1, 55.6, 57.4], "either", "High"),
        ([54.9, 54.5, 55.1, 55.6, 57.4], [0, 0, 0, 0, 0], "either", "Low"),
        ([0, 0, 0, 0, 0], [0, 0, 0, 0, 0], "either", "Pass"),
    ],
)
def test_labels_are_those_of_kayentas_own_suite(stable, canary, direction, published):
    assert (
        label(np.array(stable, dtype=float), np.array(canary, dtype=float), direction=direction) == published
    )


@pytest.mark.parametrize(
    ("stable", "canary", "published"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 40], (22.5, 6, 39)),  # Kayenta, MannWhitneySuite.scala
        (  # R, wilcox.test of Hollander, Wolfe and Chicken's example, in CAMIS (psiaims.github.io)
            [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29],
            [1.83, 0.5, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.3],
            (0.5600562, -0.3699774, 1.1829708),
        ),
    ],
)
def test_shift_and_interval_are_those_of_r(stable, canary, published):
    assert shift(stable, canary, confidence=0.95) == pytest.approx(published, abs=1e-4)


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
    stable, canary = flags(3000, 0.02, 0), flags(3000, 0.10, 1)
    assert MannWhitneyJudge("error")(metrics_of(stable, canary)).outcome == "fail"


def test_where_most_values_are_zero_the_rank_test_decides_and_keeps_its_level():
    rng = np.random.default_rng(0)

    def delays(n, share):  # mostly on time
        return np.where(rng.random(n) < share, rng.exponential(20, n), 0.0)

    stable, canary = delays(600, 0.1), delays(300, 0.3)
    kind, reason = MannWhitneyJudge()._classify(stable, canary, 1.0)
    larger = 0.5 + 0.5 * np.sign(canary[:, None] - stable).mean()
    assert (
        kind == "High" and "shift 0, " in reason and f"larger in {100 * larger:.0f}% of the pairs" in reason
    )
    assert label(canary, stable) == "Low"
    assert label(stable, canary, direction="decrease") == "Pass"
    z = judges._rank_test(stable, canary, 1.0)
    p = stats.mannwhitneyu(canary, stable, method="asymptotic", use_continuity=True).pvalue
    assert 2 * stats.norm.sf(abs(z)) == pytest.approx(p, rel=1e-9)
    wrong = np.mean([label(delays(300, 0.2), delays(100, 0.2)) != "Pass" for _ in range(400)])
    assert wrong == pytest.approx(0.02, abs=3 * np.sqrt(0.02 * 0.98 / 400))


# ------------------------------------------------------------------------------------- thresholds, segments, nodata


def test_threshold_ranges_on_log_metrics():
    metrics = metrics_of(flags(500, 0.0, 0), np.repeat([0, 1], [450, 50]))
    assert ThresholdJudge({"error_rate": (None, 0.2)})(metrics).outcome == "pass"
    verdict = ThresholdJudge({"error_rate": (None, 0.05)})(metrics)
    assert verdict.outcome == "fail" and verdict.reason == "error_rate of v2 is 0.1, above 0.05"
    assert ThresholdJudge({"error_rate": (None, 0.2)}, relative="difference")(metrics).outcome == "pass"
    assert (
        ThresholdJudge({"latency_p50": (101, None)})(metrics).reason == "latency_p50 of v2 is 100, below 101"
    )


@pytest.mark.parametrize("limits", [(None, 0.1), (0.1, None), (0.1, 0.1)])
def test_a_value_at_a_limit_is_inside(limits):
    metrics = metrics_of(flags(500, 0.0, 0), np.repeat([0, 1], [450, 50]))
    assert ThresholdJudge({"error_rate": limits})(metrics).outcome == "pass"


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
    assert judge(metrics).outcome == "pass"  # 8% of the rows drown in the mean
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


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ThresholdJudge({}), "nothing can fail"),
        (lambda: ThresholdJudge({"error_rat": (0, 1)}), "did you mean 'error_rate'"),
        (lambda: ThresholdJudge({"error_rate": 0.1}), "give \\(lowest, highest\\)"),
        (lambda: ZTestJudge("errors"), "did you mean 'error'"),
        (lambda: MannWhitneyJudge(direction="up"), "direction"),
        (lambda: AllOf(), "everything would pass"),
        (lambda: ThresholdJudge({"error_rate": (None, np.nan)}), "two numbers"),
        (lambda: ThresholdJudge({"error_rate": (None, "0.1")}), "two numbers"),
        (lambda: ThresholdJudge({"error_rate": (0.2, 0.1)}), "lowest, highest"),
        (lambda: ThresholdJudge({"error_rate": (None, 2)}, relative="ratio"), "'difference'"),
        (lambda: MSPRTJudge(min_requests=np.nan), "at least 1"),
        (lambda: MSPRTJudge(min_requests=2.5), "at least 1"),
        (lambda: ThresholdJudge({"error_rate": (None, 1)}, min_requests=0), "at least 1"),
        (lambda: GroupSequentialJudge(looks=2.5), "whole number"),
        (lambda: GroupSequentialJudge(total=np.nan), "one request a look"),
        (lambda: MSPRTJudge(tau=np.inf), "finite"),
    ],
)
def test_a_wrong_judge_says_what_to_do(make, says):
    with pytest.raises(ValueError, match=says):
        make()


@pytest.mark.parametrize("make", [lambda: AllOf("pass"), lambda: BySegment("origin", None)])
def test_what_cannot_be_called_is_no_judge(make):
    with pytest.raises(TypeError, match="no judge"):
        make()


# ------------------------------------------------------------------------------------------- what cannot be read

PREDICTING = [
    ZTestJudge("abs_error"),
    GroupSequentialJudge("abs_error", total=100, looks=2),
    MSPRTJudge("abs_error", tau=1.0),
    MannWhitneyJudge("abs_error", direction="increase"),
    ThresholdJudge({"mean_abs_error": (None, 1)}),
    ThresholdJudge({"mean_abs_error": (None, 1)}, relative="difference"),
]


def predicted(stable, canary, label=1.0):
    return Metrics.from_log(stand_in_rollout.predicted(stable, canary, label), "v1", "v2", origin=ORIGIN)


def answers(seed, **places):
    """Good predictions; `odd=value, at=slice` puts something else among them."""
    values = stand_in_rollout.answers(seed)
    if places:
        values = values.astype(object)
        values[places["at"]] = places["odd"]
    return values


@pytest.mark.parametrize("judge", PREDICTING, ids=repr)
def test_no_judge_passes_on_what_it_could_not_read(judge):
    good, some = answers(0), slice(0, 30)
    for odd in (np.nan, None, "no answer"):
        verdict = judge(predicted(good, answers(1, odd=odd, at=some)))
        assert verdict == Judgment("fail", "predictions missing: 30 of 200 of v2, 0 of 200 of v1")
    # as many are missing with both, or one is: the rest is judged, and the reason says so
    for stable, canary, counts in (
        (
            answers(0, odd=np.nan, at=some),
            answers(1, odd=np.nan, at=some),
            "30 of 200 of v2, 30 of 200 of v1",
        ),
        (good, answers(1, odd=np.nan, at=slice(3, 4)), "1 of 200 of v2, 0 of 200 of v1"),
        (answers(0, odd=-np.inf, at=slice(3, 4)), answers(1), "0 of 200 of v2, 1 of 200 of v1"),
    ):
        verdict = judge(predicted(stable, canary))
        assert verdict.outcome == "pass" and verdict.reason.endswith(f"predictions missing: {counts}")
        assert judge(predicted(stable, canary + 5)).outcome == "fail" if canary.dtype != object else True


def test_one_infinite_prediction_hides_no_canary_that_is_off():
    off = answers(1) + 5
    for stable, canary in ((answers(0), [np.inf, *off]), ([-np.inf, *answers(0)], off)):
        for judge in PREDICTING:
            assert judge(predicted(stable, canary)).outcome == "fail", judge


def test_missing_predictions_stand_in_the_summary_and_may_have_a_range_of_their_own():
    metrics = predicted(answers(0), answers(1, odd=None, at=slice(0, 140)))
    summary = metrics.summary()
    assert (summary["canary"]["missing"], summary["stable"]["missing"], summary["canary"]["labels"]) == (
        140,
        0,
        60,
    )
    assert ThresholdJudge({"error_rate": (None, 0.01)})(metrics).outcome == "fail"
    assert (
        ThresholdJudge({"missing_rate": (None, 0.1)})(metrics).reason
        == "missing_rate of v2 is 0.7, above 0.1"
    )
    wide = ThresholdJudge({"mean_abs_error": (None, 1), "missing_rate": (None, 0.8)})
    assert wide(metrics).outcome == "pass"
    assert predicted(answers(0), [np.inf, -np.inf, 1.0]).summary()["canary"]["mean_abs_error"] == np.inf


def test_without_an_answer_of_stable_missing_predictions_are_no_pass():
    alone = predicted([], answers(1, odd=np.nan, at=slice(0, 5)))
    verdict = ThresholdJudge({"mean_abs_error": (None, 1)})(alone)
    assert (verdict.outcome, verdict.reason) == (
        "nodata",
        "predictions missing: 5 of 200 of v2, 0 of 0 of v1",
    )


@pytest.mark.parametrize("dtype", [object, "Float64", "string", "category", "float32"])
def test_numbers_are_judged_by_their_values_however_they_are_stored(dtype):
    good, bad = (pd.Series(values).astype(dtype) for values in (answers(0).round(3), answers(1).round(3) + 5))
    for judge in PREDICTING:
        assert judge(predicted(good, bad)).outcome == "fail"
        assert judge(predicted(good, pd.Series(answers(2).round(3)).astype(dtype))).outcome == "pass"


def test_names_as_predictions_have_no_error_and_are_not_missing():
    metrics = predicted(np.full(60, "late"), np.full(60, "on time"), label="late")
    assert metrics.summary()["canary"]["missing"] == 0
    assert ZTestJudge("abs_error")(metrics).reason == "0 labels of v2, 50 needed"


def test_labels_that_are_infinite_or_text_are_no_labels():
    metrics = predicted(answers(0), answers(1), label=pd.Series([1.0, np.inf, "?", 1] * 50, dtype=object))
    assert (
        metrics.summary()["canary"]["labels"] == 100 and metrics.summary()["canary"]["mean_abs_error"] < 0.1
    )


def test_values_too_large_for_their_squares_are_judged_or_no_data_but_never_pass():
    for judge in PREDICTING:
        assert judge(predicted(answers(0), np.full(200, 1e300))).outcome in ("fail", "nodata"), judge
    assert z_score(np.arange(9) * 1e-200, np.arange(9) * 3e-200)[0] == pytest.approx(
        z_score(range(9), range(0, 27, 3))[0]
    )


@pytest.mark.parametrize(
    ("values", "segments"),
    [
        (pd.Series(["a", None] * 100, dtype=object), ["a", "missing"]),
        (pd.Series(["a", None] * 100, dtype="string"), ["a", "missing"]),
        (pd.Series(["a", 3] * 100, dtype=object), ["3", "a"]),
        (pd.Series([3, pd.NA] * 100, dtype=object), ["3", "missing"]),
        (pd.Series([np.nan] * 200), ["missing"]),
        (pd.Series([True, False] * 100), ["False", "True"]),
        (pd.Series(["a", "b"] * 100, dtype="category"), ["a", "b"]),
    ],
)
def test_a_segment_without_a_value_is_one_more_segment(values, segments):
    judge = BySegment("kind", ThresholdJudge({"error_rate": (None, 0.05)}))
    of = {"v1": values, "v2": values}
    assert (
        judge(metrics_of([0] * 200, [0] * 200, kind=of)).reason == f"kind {', '.join(segments)} within limits"
    )
    last = pd.isna(values) if "missing" in segments else values.astype(str) == segments[-1]
    verdict = judge(metrics_of([0] * 200, last.astype(int), kind=of))
    assert verdict.outcome == "fail" and verdict.reason.startswith(f"kind {segments[-1]}: ")


def test_segments_that_are_no_names_are_refused_clearly():
    lists = pd.Series([["a"]] * 60, dtype=object)
    with pytest.raises(ValueError, match="number or a name"):
        BySegment("kind", ZTestJudge())(metrics_of([0] * 60, [0] * 60, kind={"v1": lists, "v2": lists}))


def test_a_log_without_any_request_is_no_data_for_a_judge_by_segment():
    empty = Metrics.from_log(as_log({"time": [], "request_id": [], "version": []}), "v1", "v2")
    assert BySegment("origin", ZTestJudge())(empty).outcome == "nodata"


def test_names_that_are_not_unique_are_refused():
    log = log_of([0, 1], [1, 0], a={"v1": [1, 2], "v2": [3, 4]}, b={"v1": [1, 2], "v2": [3, 4]})
    with pytest.raises(ValueError, match="two columns 'a'"):
        Metrics.from_log(log.rename(columns={"b": "a"}), "v1", "v2")
    with pytest.raises(ValueError, match="Both versions"):
        Metrics.from_log(log, "v1", "v1")


def test_judges_refuse_what_is_no_metrics():
    with pytest.raises(TypeError, match="from_log"):
        ZTestJudge()({"error_rate": 0.1})
