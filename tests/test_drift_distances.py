"""Distances of two samples: known answers, scipy as oracle, and what real columns do to them."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlprod_helpers.drift import distances, psi_over_time
from mlprod_helpers.drift.distances import (
    auc_of_shift,
    chi_square,
    equivalents,
    false_alarm_rate,
    ks,
    psi,
    psi_null,
    psi_of_shift,
    psi_under_no_drift,
    rank_auc,
    shift_of_auc,
    shift_of_ks,
    shift_of_psi,
)

EVERY = [psi, chi_square, ks]
OF_SHARES = [psi, chi_square]


@pytest.fixture
def rng():
    return np.random.default_rng(7)


# ---------------------------------------------------------------- known answers


@pytest.mark.parametrize(("shift", "published"), [(0.5, 0.23775), (1.0, 0.92614)])
def test_psi_of_shifted_normals(shift, published, rng):
    assert psi_of_shift(shift) == pytest.approx(published, abs=5e-6)
    drawn = psi(rng.normal(size=400_000), rng.normal(shift, 1, size=400_000))
    assert drawn.statistic == pytest.approx(published, rel=0.02)
    assert drawn.effect_size == pytest.approx(shift, rel=0.01)


def test_thresholds_contradict_each_other():
    same = equivalents(auc=0.8)
    assert same["shift"] == pytest.approx(1.19, abs=0.005)
    assert same["psi"] == pytest.approx(1.29, abs=0.005)
    assert same["shift"] ** 2 == pytest.approx(1.42, abs=0.005)  # the PSI of infinitely many bins
    assert equivalents(psi=0.25)["auc"] == pytest.approx(0.64, abs=0.005)


@pytest.mark.parametrize("name", ["auc", "psi", "ks"])
def test_equivalents_lead_back_to_where_they_started(name):
    there = equivalents(ks=0.27)
    assert equivalents(**{name: there[name]}) == pytest.approx(there, rel=2e-3)


@pytest.mark.parametrize("shift", [0.0, 0.2, 0.7, 2.0])
def test_the_auc_of_a_shift_is_phi_of_the_shift_over_root_two_and_back(shift):
    assert auc_of_shift(shift) == pytest.approx(stats.norm.cdf(shift / np.sqrt(2)))
    assert shift_of_auc(auc_of_shift(shift)) == pytest.approx(shift)
    assert np.isnan(shift_of_auc([0.49, 0.1])).all() and shift_of_auc(1) == np.inf


def test_null_law_of_psi():
    law = psi_null(100, 100)
    assert law.mean() == pytest.approx(9 * 0.02)
    assert law.ppf(0.95) == pytest.approx(0.338, abs=5e-4)
    assert law.sf(0.1) == pytest.approx(stats.chi2.sf(0.1 / 0.02, 9))


def test_null_law_is_somewhat_low_at_a_hundred_rows():
    smoothed, bare = (
        psi_under_no_drift(100, 100, n_repeats=40_000, smoothing=s, random_state=1) for s in (0.35, 0.01)
    )
    assert np.mean(smoothed > 0.1) == pytest.approx(0.81, abs=0.01)
    assert np.mean(bare > 0.1) == pytest.approx(0.845, abs=0.01)
    assert bare.mean() == pytest.approx(0.19, abs=0.005)
    assert np.quantile(bare, 0.95) == pytest.approx(0.363, abs=0.01)
    assert np.quantile(bare, 0.95) > psi_null(100, 100).ppf(0.95)


def test_twenty_quiet_columns_of_a_hundred_rows_alarm_nearly_each_week():
    one = np.mean(psi_under_no_drift(10_000, 100, n_repeats=100_000, random_state=2) > 0.1)
    assert 0.31 < one < 0.33
    assert 1 - (1 - one) ** 20 == pytest.approx(0.9996, abs=2e-4)
    assert false_alarm_rate(10_000, 100) == pytest.approx(0.36, abs=0.01)
    assert false_alarm_rate(10_000, 1_000) < 1e-10


@pytest.mark.parametrize(("n", "m"), [(100, 100), (1_000, 60), (57, 300)])
def test_drawn_bin_shares_follow_the_same_law_as_drawn_rows(n, m, rng):
    from_rows = [psi(rng.normal(size=n), rng.normal(size=m)).statistic for _ in range(250)]
    from_shares = psi_under_no_drift(n, m, n_repeats=20_000, random_state=3)
    assert stats.ks_2samp(from_rows, from_shares).pvalue > 0.001


def test_psi_pvalue_is_uniform_when_nothing_changes(rng):
    pvalues = [psi(rng.exponential(size=2_000), rng.exponential(size=1_000)).pvalue for _ in range(300)]
    assert stats.kstest(pvalues, "uniform").pvalue > 0.001


def test_a_crumb_is_significant_at_a_million_rows_and_the_effect_size_stays(rng):
    few = [ks(rng.normal(size=10_000), rng.normal(0.02, 1, 10_000)).pvalue for _ in range(40)]
    assert 0.05 < np.median(few) < 0.5
    many = ks(rng.normal(size=1_000_000), rng.normal(0.02, 1, 1_000_000))
    assert 1e-50 < many.pvalue < 1e-20
    assert many.effect_size == pytest.approx(0.02, abs=0.006)


# ---------------------------------------------------------------- scipy as oracle


@pytest.mark.parametrize(("n", "m"), [(30, 50), (1_000, 999), (20_000, 15_000), (12_000, 400)])
@pytest.mark.parametrize("ties", [False, True])
def test_ks_is_scipys_to_seven_digits(n, m, ties, rng):
    a, b = rng.normal(size=n), rng.normal(0.1, 1.1, size=m)
    if ties:
        a, b = a.round(1), b.round(1)
    result, expected = ks(a, b), stats.ks_2samp(a, b)
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-9)
    assert result.pvalue == pytest.approx(expected.pvalue, rel=1e-7)


def test_chi_square_is_scipys(rng):
    a, b = rng.choice(list("abcd"), 500), rng.choice(list("abcd"), 800, p=[0.4, 0.3, 0.2, 0.1])
    counts = [[np.sum(side == c) for c in "abcd"] for side in (a, b)]
    expected = stats.chi2_contingency(counts, correction=False)
    result = chi_square(a, b)
    assert (result.statistic, result.pvalue) == pytest.approx((expected.statistic, expected.pvalue))


# ---------------------------------------------------------------- published values


FEW, HUNDRED, TIED = np.arange(1.0, 4), np.linspace(1, 100, 100), np.repeat([2, 3, 5, 6], [3, 4, 5, 4])


@pytest.mark.parametrize(
    ("a", "b", "statistic", "pvalue"),
    [  # scipy, test_stats.py, TestKSTwoSamples
        ([0], [1], 1, 1),
        (FEW[:2] + 0.01, FEW, 1 / 3, 1),
        (FEW[:2] - 0.01, FEW, 2 / 3, 0.6),
        (FEW[:2] + 0.01, [1, 2, 3, 4], 1 / 2, 14 / 15),
        (FEW[:2] - 0.01, [1, 2, 3, 4], 3 / 4, 6 / 15),
        (FEW, FEW + 1, 1 / 3, 1),
        (FEW, FEW - 0.5, 1 / 3, 1),
        (HUNDRED, HUNDRED + 2.1, 3 / 100, 0.999999999996206),
        (HUNDRED, HUNDRED + 1.9, 2 / 100, 1),
        (HUNDRED, np.linspace(1, 100, 110) + 20.1, 232 / 1100, 0.015739183865607353),
        (HUNDRED, np.linspace(1, 100, 110) + 19.9, 229 / 1100, 0.017803803861026313),
        (TIED, TIED + 1, 5 / 16, 0.4262934613454952),
        (
            np.repeat([2, 3, 5, 6], [3, 4, 10, 4]),
            np.repeat([3, 4, 6, 7], [10, 2, 10, 4]),
            190 / 546,
            0.0919245790168125,
        ),
        (np.linspace(1, 200, 500) - 1e-6, np.linspace(2, 200, 600), 2000 / 500 / 600, 1),
        (
            np.linspace(1, 200, 10_000) - 2e-7,
            np.linspace(2, 100, 110),
            55275 / 110_000,
            4.2188474935755949e-15,
        ),
        (np.linspace(1, 200, 10_000) - 2e-9, np.linspace(2, 200, 11_000), 563 / 110_000, 0.9990660108966576),
    ],
)
def test_ks_has_the_values_of_scipys_own_suite(a, b, statistic, pvalue):
    result = ks(np.asarray(a, dtype=float), np.asarray(b, dtype=float))
    assert result.statistic == pytest.approx(statistic, rel=1e-9)
    assert result.pvalue == pytest.approx(pvalue, rel=1e-9, abs=1e-14)


def chi_square_of(reference, current):
    names = [f"c{i}" for i in range(len(reference))]
    return chi_square(np.repeat(names, reference), np.repeat(names, current))


@pytest.mark.parametrize(
    ("reference", "current", "statistic", "pvalue"),
    [
        ([762, 327, 468], [484, 239, 477], 30.07, 2.954e-07),  # R, chisq.test: party by gender (Agresti)
        ([83, 90, 129, 70], [3, 3, 7, 12], 12.60, 0.005585),  # R, prop.test: smokers (Fleiss)
        (
            [73, 90, 114, 75],
            [13, 3, 22, 7],
            11.11938768628861,
            0.011097511366581344,
        ),  # statsmodels, test_proportion.py
        ([73, 13], [90, 3], None, 0.00533824886503131),  # and its pairs, from R's pairwise.prop.test
        ([73, 13], [114, 22], None, 0.8327574849753566),
        ([73, 13], [75, 7], None, 0.1880573726722516),
        ([90, 3], [114, 22], None, 0.002026764254350234),
        ([114, 22], [75, 7], None, 0.1076118730631731),
        ([3, 3], [6, 0], None, 0.181818),  # Evidently, test_stattests.py: Fisher's test of few rows
        ([6, 0], [0, 6], None, 0.0021645),
        ([2, 4], [2, 4], None, 1),
    ],
)
def test_chi_square_has_published_values(reference, current, statistic, pvalue):
    result = chi_square_of(reference, current)
    assert result.pvalue == pytest.approx(pvalue, rel=2e-4)
    assert statistic is None or result.statistic == pytest.approx(statistic, rel=1e-4)


def test_published_p_values_that_differ_by_choice_do_so_as_the_docstrings_say():
    # R, ks.test: exact with ties (Schröer and Trenkler 1995)
    assert ks([1.0, 2, 2, 3, 3], [1.0, 2, 3, 3, 4, 5, 6]).pvalue > 8 / 33
    # R, chisq.test: Yates's correction for continuity; R, fisher.test: exact whatever the size (Convictions)
    assert chi_square_of([12, 5], [7, 7]).pvalue < 0.4233054
    assert chi_square_of([2, 10], [15, 3]).pvalue < 0.0005367
    # Evidently, test_stattests.py: goodness of fit
    assert chi_square_of([16, 18, 16, 14, 12, 12], [16, 16, 16, 16, 16, 8]).pvalue > 0.67309


def test_psi_auc_and_effect_sizes_have_published_values():
    # strappy, test_psi.py; a thousand times the rows, so that half a row is nothing
    moved = psi(["a"] * 6000 + ["b"] * 5000, ["a"] * 5000 + ["b"] * 4000)
    assert moved.statistic == pytest.approx(0.00041, abs=5e-6)
    assert rank_auc(np.array([0, 0, 1, 1]), [0.1, 0.4, 0.35, 0.8]) == 0.75  # scikit-learn, roc_auc_score
    # McGraw and Wong (1992): a man is taller than a woman in 92% of the pairs
    assert auc_of_shift((69.7 - 64.3) / np.sqrt((2.8**2 + 2.6**2) / 2)) == pytest.approx(0.92, abs=5e-3)


# ---------------------------------------------------------------- one unit of effect


@pytest.mark.parametrize("measure", EVERY)
def test_effect_size_is_the_shift_of_a_normal_column(measure, rng):
    a, b = rng.normal(10, 3, size=200_000), rng.normal(10 + 3 * 0.4, 3, size=150_000)
    assert measure(a, b).effect_size == pytest.approx(0.4, abs=0.015)
    assert measure(a[:100_000], a[100_000:]).effect_size < 0.03


@pytest.mark.parametrize("measure", OF_SHARES)
def test_effect_size_of_categories_does_not_depend_on_the_number_of_rows(measure):
    before, after = ["a"] * 6 + ["b"] * 4, ["a"] * 4 + ["b"] * 5 + ["new"]
    small = measure(before * 2_000, after * 100).effect_size
    large = measure(before * 2_000, after * 2_000).effect_size
    assert small == pytest.approx(large, rel=0.1)


@pytest.mark.parametrize("measure", EVERY)
def test_samples_that_are_apart_have_a_finite_effect(measure):
    result = measure(np.arange(1_000.0), np.arange(5_000.0, 6_000.0))
    assert 1.9 < result.effect_size <= distances.LARGEST_SHIFT
    assert result.pvalue < 1e-50


# ---------------------------------------------------------------- what real columns look like


def test_bins_are_cut_by_the_reference_and_smoothing_is_half_a_row():
    reference, current = np.arange(100.0), np.full(50, 1_000.0)
    result = psi(reference, current)
    p, q = np.full(10, 10.5 / 105), np.full(10, 0.5 / 55)
    q[-1] = 50.5 / 55
    assert result.statistic == pytest.approx(np.sum((q - p) * np.log(q / p)))


def test_ties_keep_a_value_in_one_bin(rng):
    waits = np.where(rng.random(5_000) < 0.6, 0.0, rng.exponential(size=5_000))
    result = psi(waits, waits)
    assert result.statistic == 0
    assert len(result.table) == 5  # the zeros, and four tenths of the rows above them
    assert result.table["reference"].iloc[0] == np.mean(waits == 0)


@pytest.mark.parametrize("n", [11, 57, 101, 1_000, 1_001])
def test_bins_are_those_of_numpy_quantile(n, rng):
    x = np.sort(rng.normal(size=n))
    assert distances.quantile_edges(x).tolist() == np.quantile(x, np.arange(1, 10) / 10).tolist()


def test_values_below_a_heavy_smallest_value_are_noticed(rng):
    waits = np.where(rng.random(5_000) < 0.6, 0.0, rng.exponential(size=5_000))
    broken = np.where(waits == 0, -1.0, waits)
    assert psi(waits, broken).statistic > 1


def test_a_column_of_few_values_has_one_bin_a_value():
    result = psi([0, 1, 2] * 100, [0, 1, 2, 3] * 100)
    assert result.table.index.tolist() == ["0", "1", "2", "(other)"]


def test_a_constant_that_changes_is_drift():
    assert psi([5.0] * 200, [3.0] * 200).effect_size > 2
    assert psi([5.0] * 200, [5.0] * 200).pvalue == 1


@pytest.mark.parametrize("measure", OF_SHARES)
def test_unseen_categories_are_drift(measure):
    result = measure(["a", "b"] * 500, ["a", "b", "a", "new"] * 250)
    assert result.table.loc["new", "reference"] == 0
    assert result.pvalue < 1e-10 and np.isfinite(result.statistic)


def test_rare_categories_are_counted_together_in_the_test(rng):
    ids = [f"row {i}" for i in range(300)]
    result = chi_square(["a", "b"] * 500 + ids, ["a", "b"] * 500 + ids[::-1])
    assert result.table.index.tolist() == ["a", "b", "(rare)"]
    assert result.pvalue == pytest.approx(1)


@pytest.mark.parametrize("measure", EVERY)
def test_plot_says_what_to_notice(measure, rng):
    figure = measure(rng.normal(size=200), rng.normal(1, 1, size=200)).plot()
    assert "like a shift of" in figure.alt
    assert ("largest difference" if measure in OF_SHARES else "furthest apart") in figure.alt


# ---------------------------------------------------------------- bad input


def test_ks_refuses_categories_and_nothing():
    with pytest.raises(ValueError, match="needs numbers or times"):
        ks(["a", "b"], ["a", "b"])
    with pytest.raises(ValueError, match="current has only missing values"):
        ks([1.0, 2.0], [np.nan, np.nan])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: psi(pd.DataFrame({"a": [1]}), [1]), "whole table"),
        (lambda: psi(np.ones((2, 2)), [1]), "2 dimensions"),
        (lambda: psi_null(0, 10), "need rows"),
        (lambda: psi_under_no_drift(5, 10), "do not fill"),
        (lambda: equivalents(), "exactly one"),
        (lambda: equivalents(auc=0.8, psi=0.1), "exactly one"),
        (lambda: equivalents(auc=0.4), "at least 0.5"),
        (lambda: shift_of_psi(-0.1), "never negative"),
        (lambda: shift_of_auc(1.2), "between 0 and 1"),
        (lambda: shift_of_ks(1.2), "between 0 and 1"),
    ],
)
def test_errors_say_what_is_wrong(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


# ---------------------------------------------------------------- week after week


def columns(rng, n):
    frame = pd.DataFrame(
        {
            "normal": rng.normal(size=n),
            "many zeros": np.maximum(rng.normal(-0.5, 1, n), 0).round(1),
            "weekday": rng.integers(0, 7, n),
            "constant": np.ones(n),
            "gate": rng.choice(list("ABCDE"), n),
            "time": pd.Timestamp("2013-01-01") + pd.to_timedelta(rng.integers(0, 500, n), unit="h"),
            "flag": rng.random(n) < 0.3,
        }
    )
    frame["holes"] = frame["normal"].where(rng.random(n) < 0.8)
    frame["category"] = frame["gate"].where(rng.random(n) < 0.9).astype("category")
    frame["empty"] = np.nan
    return frame


def test_psi_over_time_is_the_psi_of_each_batch():
    rng = np.random.default_rng(1)
    reference, current = columns(rng, 400), columns(rng, 300)
    reference = reference[reference["gate"] != "E"]  # a category that the reference never showed
    current.loc[:60, "weekday"] += 5  # and values
    by = rng.choice(["c", "a", "b"], 300)
    table = psi_over_time(reference, current, by)
    assert table.index.tolist() == ["a", "b", "c"]
    for name in reference:
        for batch in "abc":
            want = psi(reference[name], current[name][by == batch]).statistic
            assert table.loc[batch, name] == pytest.approx(want, abs=1e-12), (name, batch)


def test_psi_over_time_names_what_is_wrong():
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match="no column 'b'"):
        psi_over_time(frame.assign(b=1), frame, [0, 0, 1])
    with pytest.raises(ValueError, match="batch of each"):
        psi_over_time(frame, frame, [0, 1])
    with pytest.raises(ValueError, match="none may be missing"):
        psi_over_time(frame, frame, [0, 1, np.nan])
    with pytest.raises(ValueError, match="category"):
        psi_over_time(frame, frame.astype(str), [0, 0, 1])
