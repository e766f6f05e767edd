"""The honest experiment: counts of users against the planned split."""

import numpy as np
import pytest
from scipy import stats

from mlprod_helpers.rollout import sample_ratio

HALF = {"control": 50, "treatment": 50}


@pytest.mark.parametrize(
    "control, treatment, p_value",
    [
        (
            821_588,
            815_482,
            1.8e-6,
        ),  # R. Kohavi, D. Tang, Y. Xu, Trustworthy Online Controlled Experiments, 2020
        (44_000, 45_000, 8e-4),  # the example of an SRM calculator on the web (srm.osc.garden)
        (600, 400, 2.54e-10),  # Wikipedia, Sample ratio mismatch
    ],
)
def test_published_mismatches_have_their_published_p_values(control, treatment, p_value):
    found = sample_ratio({"control": control, "treatment": treatment}, HALF)
    assert found.p_value == pytest.approx(p_value, rel=0.02)


@pytest.mark.parametrize(
    ("counts", "weights", "chi_square", "p_value"),
    [
        ((20, 15, 25), (1, 1, 1), 2.5, 0.2865),  # R, chisq.test
        ((89, 37, 30, 28, 2), (40, 20, 20, 15, 5), 9.9901, 0.04059),  # R
        ((89, 37, 30, 28, 2), (40, 20, 20, 19, 1), 5.7947, 0.215),  # R
        ((52, 48), (1, 1), 0.16, 0.6892),  # R, prop.test without correction for continuity
        ((73, 13), (9, 1), 2.501291989664086, 0.113752943640092),  # statsmodels, test_proportion.py
        ((16, 18, 16, 14, 12, 12), (1, 1, 1, 1, 1, 1), 2.0, 0.84914503608460956),  # scipy, chisquare
        ((16, 18, 16, 14, 12, 12), (16, 16, 16, 16, 16, 8), 3.5, 0.62338762774958223),  # scipy
    ],
)
def test_goodness_of_fit_has_published_values(counts, weights, chi_square, p_value):
    found = sample_ratio(dict(enumerate(counts)), dict(enumerate(weights)))
    assert (found.chi_square, found.p_value) == pytest.approx((chi_square, p_value), rel=2e-4)


def test_mendels_peas_fit_nine_to_three_to_three_to_one():
    peas = dict(zip("abcd", (315, 108, 101, 32), strict=True))
    found = sample_ratio(peas, dict(zip("dcba", (1, 3, 3, 9), strict=True)))
    assert (found.chi_square, found.p_value) == pytest.approx((0.470, 0.925), abs=5e-4)


@pytest.mark.parametrize("weights", [(50, 50), (95, 5), (50, 30, 20)], ids=str)
def test_a_fair_split_raises_a_false_alarm_in_5_percent(weights):
    draws, runs = np.random.default_rng(sum(weights[:1])), 8000
    names = [f"v{i}" for i in range(len(weights))]
    plan = dict(zip(names, weights, strict=True))
    counts = draws.multinomial(100_000, np.array(weights) / 100, size=runs)
    p = np.array([sample_ratio(dict(zip(names, row, strict=True)), plan).p_value for row in counts])
    for level in (0.05, 0.001):
        assert (p < level).mean() == pytest.approx(level, abs=3 * np.sqrt(level * (1 - level) / runs))


@pytest.mark.parametrize(
    "users, share, level, power",
    [
        (100_000, 0.51, 0.05, 1.0),
        (100_000, 0.51, 0.001, 0.999),  # one percentage point too many, at the usual strict threshold
        (200_000, 0.505, 0.05, 0.994),  # 50.5 to 49.5, 100,000 users a version
        (100_000, 0.505, 0.05, 0.885),  # 50.5 to 49.5, 100,000 users in all
    ],
)
def test_a_mismatch_of_one_percent_is_found_as_often_as_the_closed_form_says(users, share, level, power):
    exact = stats.ncx2.sf(stats.chi2.isf(level, 1), 1, users * (2 * share - 1) ** 2)
    assert exact == pytest.approx(power, abs=6e-4)
    counts = np.random.default_rng(users).binomial(users, share, size=4000)
    p = [sample_ratio({"control": n, "treatment": users - n}, HALF).p_value for n in counts.tolist()]
    assert (np.array(p) < level).mean() == pytest.approx(
        exact, abs=3 * np.sqrt(exact * (1 - exact) / 4000) + 1e-3
    )


@pytest.mark.parametrize(
    "counts, weights, message",
    [
        ({"a": 5}, {"a": 1}, "at least two"),
        ({"a": 5}, {"a": 1, "b": 1}, "the count 0"),
        ({"a": 0.5, "b": 0.5}, {"a": 1, "b": 1}, "whole numbers"),
        ({"a": -1, "b": 5}, {"a": 1, "b": 1}, "whole numbers"),
        ({"a": np.nan, "b": 5}, {"a": 1, "b": 1}, "whole numbers"),
        ({"a": 0, "b": 0}, {"a": 1, "b": 1}, "above 0"),
        ({"a": 5, "b": 5}, {"a": 1, "b": 0}, "above 0"),
    ],
)
def test_counts_that_are_none_are_refused(counts, weights, message):
    with pytest.raises(ValueError, match=message):
        sample_ratio(counts, weights)


def test_a_version_without_any_user_is_a_mismatch():
    found = sample_ratio({"old": 1000, "new": 0}, {"old": 95, "new": 5})
    assert found.p_value < 1e-9 and found.of_planned["new"] == 0
