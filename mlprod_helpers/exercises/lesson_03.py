"""Exercises of lesson 03, detecting drift: from the law of a quiet week to an alarm that a team will still read."""

import contextlib
import itertools
import math

import numpy as np
import pandas as pd
from scipy.special import gammaincc, ndtr, ndtri
from scipy.stats import chi2

from mlprod_helpers.drift import psi_null, psi_under_no_drift
from mlprod_helpers.lesson.contract import (
    Array,
    Boolean,
    Choice,
    Function,
    Mapping,
    Names,
    Number,
    Sequence,
    Several,
    exercise,
)

EDITION = 2


# ------------------------------------------------------------------ 3.1 how often will it cry wolf?


@exercise(
    "3.1",
    "How often will it cry wolf?",
    answers=("false_alarm_rate",),
    points=3,
    minutes=5,
    core=True,
    edition=2,
    objective="3.a",
    kind=Function("n_reference", "n_current", "bins", "threshold", returns=Number(low=0, high=1)),
    hints=(
        "The PSI of a quiet week is a chi-square number times `1/n_reference + 1/n_current`. How large must the chi-square number be for an alarm?",
        "The shares of the bins add up to one. If all but one are known, so is the last: how many are free?",
        "`chi2.sf(x, df)` from scipy.stats is the chance of a value above x. Which x, which df?",
    ),
)
def false_alarm_rate(answer, rng, expect):
    """`false_alarm_rate(n_reference, n_current, bins, threshold)`: chance of a PSI above the threshold when nothing changed."""
    sizes = (
        (int(rng.integers(300, 500)), int(rng.integers(300, 500)), int(rng.integers(4, 6))),
        (10_000, int(rng.integers(250, 500)), int(rng.integers(8, 10))),
        (int(rng.integers(800, 1500)), int(rng.integers(300, 600)), int(rng.integers(4, 7))),
        (int(rng.integers(400, 600)), int(rng.integers(4000, 6000)), int(rng.integers(5, 9))),
        (int(rng.integers(600, 900)), int(rng.integers(2000, 4000)), 3),
        (int(rng.integers(2000, 3000)), int(rng.integers(2000, 3000)), int(rng.integers(18, 25))),
    )
    with expect.defining():
        for n, m, bins in sizes:
            law = psi_null(n, m, bins)
            threshold = round(float(law.isf(rng.uniform(0.35, 0.65))), 4)
            want = float(law.sf(threshold))
            expect.within(
                answer(n, m, bins, threshold),
                want - 0.06,
                want + 0.06,
                f"{n:,} against {m:,} rows, {bins} bins, PSI above {threshold:g}",
            )
    expect.within(
        answer(10_000, 1_000, 10, 0.1), 0, 0.001, "10,000 against 1,000 rows, 10 bins, PSI above 0.1"
    )
    n = int(rng.integers(80, 130))
    want = float(psi_null(n, n).sf(0.1))
    expect.within(
        answer(n, n, 10, 0.1), want - 0.08, want + 0.05, f"{n} against {n} rows, 10 bins, PSI above 0.1"
    )


@false_alarm_rate.inputs(atol=0.06)
def _rows_bins_and_limits(rng):
    yield 10_000, 100, 10, 0.1
    yield 10_000, 300, 10, 0.1
    yield 10_000, 1_000, 10, 0.1
    yield 150, 20_000, 10, 0.1
    for bins in (2, 5, 20, 40):
        for usual in (0.3, 0.8, 1.0, 1.3, 3.0):
            n, m = (int(k) for k in rng.integers(500, 20_000, 2))
            yield n, m, bins, usual * (bins - 1) * (1 / n + 1 / m)


@false_alarm_rate.misconception(
    "a limit meant the same whatever the number of rows. With few rows the shares of the bins jump about by themselves, and the index with them.",
    when=lambda seen: (
        len(seen.outputs) > 2 and max(seen.outputs) - min(seen.outputs) < 1e-9 and 0 < max(seen.outputs) < 1
    ),
)
def a_constant(n_reference, n_current, bins, threshold):
    return 0.05


def _one_sample_only(seen):
    """Whether one of the samples, the current or the smaller one, was taken to be without noise."""
    given = [call.given for call in seen.calls]
    return any(
        np.allclose([chi2.sf(t * rows(n, m), bins - 1) for n, m, bins, t in given], seen.outputs, atol=1e-6)
        for rows in (lambda n, m: m, min)
    )


@false_alarm_rate.misconception(
    "only one of the samples were uncertain. The reference is a sample, too, and so is this week: both noises add up.",
    when=_one_sample_only,
)
def reference_taken_for_truth(n_reference, n_current, bins, threshold):
    return chi2.sf(threshold * n_current, bins - 1)


@false_alarm_rate.misconception(
    "the rows of both samples were added up, as if together they made one larger and quieter sample. They are compared with each other: it is the noise that adds up, "
    "1/n and 1/m."
)
def rows_added_up(n_reference, n_current, bins, threshold):
    return chi2.sf(threshold * (n_reference + n_current), bins - 1)


@false_alarm_rate.misconception(
    "every bin were free to move. The shares sum to one, so the last bin follows from the others.",
)
def as_many_degrees_as_bins(n_reference, n_current, bins, threshold):
    return chi2.sf(threshold / (1 / n_reference + 1 / n_current), bins)


@false_alarm_rate.misconception(
    "the quiet weeks that stay quiet were counted. The false alarms are the other weeks."
)
def the_other_tail(n_reference, n_current, bins, threshold):
    return chi2.cdf(threshold / (1 / n_reference + 1 / n_current), bins - 1)


@false_alarm_rate.misconception(
    "the limit was compared with the chi-square law as it stands. The index is that number times 1/n + 1/m, so bring the limit "
    "to the same scale first.",
)
def without_the_scale(n_reference, n_current, bins, threshold):
    return chi2.sf(threshold, bins - 1)


@false_alarm_rate.alternative
def by_the_gamma_function(n_reference, n_current, bins, threshold):
    n = n_reference * n_current / (n_reference + n_current)
    return float(gammaincc((bins - 1) / 2, threshold * n / 2))


@false_alarm_rate.alternative
def by_drawing_shares(n_reference, n_current, bins, threshold):
    rng = np.random.default_rng(1)
    p, q = (
        (rng.multinomial(n, np.full(bins, 1 / bins), size=4000) + 0.5) / (n + 0.5 * bins)
        for n in (n_reference, n_current)
    )
    return ((q - p) * np.log(q / p)).sum(axis=1).__gt__(threshold).mean()


@false_alarm_rate.alternative
def by_the_course_simulation(n_reference, n_current, bins, threshold):
    drawn = psi_under_no_drift(n_reference, n_current, n_bins=bins, n_repeats=4000, random_state=2)
    return sum(value > threshold for value in drawn) / len(drawn)


# ------------------------------------------------------------------ 3.2 PSI by hand


def _index(p, q):
    return float(np.sum((q - p) * np.log(q / p)))


def _counts(sample, edges, side="left"):
    """Rows in each bin between the inner edges; closed on the right with side="left"."""
    return np.bincount(np.searchsorted(edges, sample, side), minlength=len(edges) + 1)


def _psi_from(edges, reference, current, side="left", smoothing=0.5):
    p, q = (
        (_counts(sample, edges, side) + smoothing) / (len(sample) + smoothing * (len(edges) + 1))
        for sample in (reference, current)
    )
    return _index(p, q)


def _inner_edges(sample, bins):
    return np.quantile(sample, np.arange(1, bins) / bins)


_QUANTILES = (
    *("linear", "hazen", "weibull", "median_unbiased", "normal_unbiased", "interpolated_inverted_cdf"),
    *("inverted_cdf", "averaged_inverted_cdf", "closest_observation"),
    *("lower", "higher", "nearest", "midpoint"),
)


def _honest_psi(reference, current, bins):
    """What fair implementations give: any usual quantile, edges closed on either side, equal edges one or several."""
    found = []
    for method in _QUANTILES:
        edges = np.quantile(reference, np.arange(1, bins) / bins, method=method)
        one_each = np.unique(edges)
        inside = one_each[(one_each > reference.min()) & (one_each < reference.max())]
        tried = [edges] if len(inside) == len(edges) else [edges, one_each, inside]  # `inside` as pandas.qcut
        found += [_psi_from(each, reference, current, side) for each in tried for side in ("left", "right")]
    return found


@exercise(
    "3.2",
    "PSI by hand",
    answers=("psi",),
    points=4,
    minutes=8,
    edition=2,
    objective="3.a",
    kind=Function("reference", "current", "bins", returns=Number()),
    hints=(
        "Three steps: edges, shares, sum. Who decides where the edges are?",
        "`np.quantile(reference, np.arange(1, bins) / bins)` gives the inner edges; the outer bins are open, so that no row is lost. "
        "`np.searchsorted(edges, sample)` numbers the bins.",
        "With `p` and `q` the shares after half a row was added to each bin: `((q - p) * np.log(q / p)).sum()`.",
    ),
)
def psi_by_hand(answer, rng, expect):
    """`psi(reference, current, bins)`: the index on quantile bins of the reference, half a row added to each bin."""
    far = float(rng.uniform(0.6, 0.9))
    delays = np.maximum(rng.normal(-3, 20, 500).round(), 0)
    late = np.maximum(rng.normal(6, 24, 400).round(), 0)
    draws = (
        (
            rng.normal(size=600),
            rng.normal(far, 0.5, size=400),
            12,
            "the current values lie higher and closer together, 12 bins",
        ),
        (rng.gamma(2, size=500), rng.gamma(2, size=500), 5, "nothing has changed, 5 bins"),
        (delays, late, 10, "delays: more than half of the reference is exactly 0"),
    )
    telling = (
        (rng.gamma(2, size=48), rng.gamma(3, size=31), 6, "few rows, 48 against 31, 6 bins"),
        (rng.normal(size=500), np.abs(rng.normal(size=300)) + 0.3, 10, "some bins are empty now"),
        (
            rng.uniform(0, 10, 400),
            rng.uniform(6, 16, 400),
            8,
            "many values above all of the reference, 8 bins",
        ),
        (
            rng.uniform(0, 10, 400),
            rng.uniform(-7, 4, 350),
            4,
            "many values below all of the reference, 4 bins",
        ),
    )

    def judge(reference, current, bins, what):
        got = answer(reference, current, bins)
        fair = _honest_psi(reference, current, bins)
        nearest = min(fair, key=lambda want: abs(want - got) if math.isfinite(got) else 0)
        expect.close(got, nearest, what, rtol=1e-4, atol=1e-6)

    for draw in draws:
        judge(*draw)
    with expect.defining():
        for draw in telling:
            judge(*draw)


@psi_by_hand.acceptable
def _is_a_fair_psi(answer, rng):
    """Any usual quantile and either side of an edge; shares that sum to one with half a row more in each bin."""
    samples = [
        (rng.normal(41, 9, 10_000), rng.normal(41, 9, 100), 10),
        (rng.normal(size=36), rng.normal(2, 1, size=24), 4),
        (rng.normal(size=200), rng.normal(-3, 3, size=150), 2),
        (rng.poisson(0.7, 300).astype(float), rng.poisson(1.5, 200).astype(float), 10),
        (np.full(40, 5.0), np.array([5.0, 5.0, 6.0, 7.0]), 5),
        (rng.normal(size=3_000), np.full(50, 99.0), 20),
        (rng.normal(size=3_000), np.full(1, -99.0), 20),
        (rng.integers(0, 50, 500), rng.integers(20, 70, 300), 7),
    ]
    for reference, current, bins in samples:
        got, fair = float(answer(reference, current, bins)), _honest_psi(reference, current, bins)
        if not min(abs(got - want) for want in fair) <= 1e-4 * max(1, abs(got)):
            return False
    return True


def _is(rule):
    """Whether all results are those of `rule(reference, current, bins, side)`, for either side of an edge."""
    return lambda seen: any(
        all(
            math.isclose(rule(*call.given, side), call.output, rel_tol=1e-6, abs_tol=1e-9)
            for call in seen.calls
        )
        for side in ("left", "right")
    )


def _cut_by_current(reference, current, bins, side):
    return _psi_from(_inner_edges(current, bins), reference, current, side)


def _cut_by_both(reference, current, bins, side):
    return _psi_from(_inner_edges(np.concatenate([reference, current]), bins), reference, current, side)


def _equally_wide(reference, current, bins, side):
    return _psi_from(np.linspace(reference.min(), reference.max(), bins + 1)[1:-1], reference, current, side)


def _shares(reference, current, bins, side):
    edges = _inner_edges(reference, bins)
    return [(_counts(each, edges, side) + 0.5) / (len(each) + 0.5 * bins) for each in (reference, current)]


def _from_reference(reference, current, bins, side):
    p, q = _shares(reference, current, bins, side)
    return float(np.sum(p * np.log(p / q)))


def _from_current(reference, current, bins, side):
    p, q = _shares(reference, current, bins, side)
    return float(np.sum(q * np.log(q / p)))


@psi_by_hand.misconception(
    "the bins were cut from the current rows. Then the ruler moves with what it measures: cut by the reference, once, and use these edges for both.",
    when=_is(_cut_by_current),
)
def cut_by_current(reference, current, bins):
    return _cut_by_current(reference, current, bins, "left")


@psi_by_hand.misconception(
    "the bins were cut from both samples together. Next week the edges would be elsewhere, and two weeks could not be compared: the reference alone decides.",
    when=_is(_cut_by_both),
)
def cut_by_both(reference, current, bins):
    return _cut_by_both(reference, current, bins, "left")


def _infinite_where_empty(seen):
    """Whether just those calls have no finite result in which a bin is empty."""
    empty = []
    for call in seen.calls:
        reference, current, bins = call.given
        edges = _inner_edges(reference, bins)
        empty.append(any((_counts(sample, edges) == 0).any() for sample in (reference, current)))
    return any(empty) and empty == [not math.isfinite(got) for got in seen.outputs]


@psi_by_hand.misconception(
    "an empty bin went into the logarithm as it is. One empty bin makes the index infinite; the task says how much to add to each bin first.",
    when=_infinite_where_empty,
)
def without_smoothing(reference, current, bins):
    p, q = (_counts(sample, _inner_edges(reference, bins)) / len(sample) for sample in (reference, current))
    with np.errstate(all="ignore"):
        return _index(p, q)


@psi_by_hand.misconception(
    "only one direction was added up, as in the Kullback-Leibler divergence. In the PSI it is the difference of the shares that stands before the logarithm, "
    "so both directions count.",
    when=lambda seen: _is(_from_current)(seen) or _is(_from_reference)(seen),
)
def one_direction(reference, current, bins):
    return _from_current(reference, current, bins, "left")


@psi_by_hand.misconception(
    "rows outside the range of the reference fell out of all bins. They are the most foreign rows of all: leave the first and the last bin open."
)
def rows_lost(reference, current, bins):
    edges = np.unique(np.quantile(reference, np.arange(bins + 1) / bins))
    p, q = (np.histogram(sample, edges)[0] + 0.5 for sample in (reference, current))
    return _index(p / p.sum(), q / q.sum())


@psi_by_hand.misconception(
    "the bins were made equally wide. A single far value then decides how wide, and most rows end up in a few bins: use quantiles of the reference.",
    when=_is(_equally_wide),
)
def equally_wide(reference, current, bins):
    return _equally_wide(reference, current, bins, "left")


def _filled(reference, current, bins, style, amount, side="left"):
    """The index where empty bins are kept from zero in another way than by half a row."""
    edges = _inner_edges(reference, bins)
    shares = []
    for sample in (reference, current):
        counts = _counts(sample, edges, side)
        share = counts / len(sample)
        shares.append(
            {
                "rows": (counts + amount) / (len(sample) + amount * bins),
                "at least": np.maximum(share, amount),
                "instead of zero": np.where(counts == 0, amount, share),
                "on top": share + amount,
            }[style]
        )
    return _index(*shares)


def _something_else_in_empty_bins(seen):
    tried = [("rows", amount) for amount in (1, 0.1, 0.05)]
    tried += [
        (style, 10.0**-power)
        for style in ("rows", "at least", "instead of zero", "on top")
        for power in range(2, 13)
    ]
    return any(
        all(
            math.isclose(_filled(*call.given, style, amount, side), call.output, rel_tol=1e-6, abs_tol=1e-9)
            for call in seen.calls
        )
        for style, amount in tried
        for side in ("left", "right")
    )


@psi_by_hand.misconception(
    "empty bins got something else than half a row. Where a bin is empty, that number decides the index: ten times smaller, and the index grows again. Half a row, added to each "
    "bin of both samples, is a number with a meaning.",
    when=_something_else_in_empty_bins,
)
def tiny_for_empty(reference, current, bins):
    edges = _inner_edges(reference, bins)
    p, q = (np.maximum(_counts(sample, edges) / len(sample), 1e-6) for sample in (reference, current))
    return _index(p, q)


@psi_by_hand.alternative
def in_a_loop(reference, current, bins):
    edges = [-math.inf, *_inner_edges(reference, bins), math.inf]
    total = 0.0
    for low, high in itertools.pairwise(edges):
        p = (sum(low < x <= high for x in reference) + 0.5) / (len(reference) + 0.5 * bins)
        q = (sum(low < x <= high for x in current) + 0.5) / (len(current) + 0.5 * bins)
        total += (q - p) * math.log(q / p)
    return total


@psi_by_hand.alternative
def with_pandas(reference, current, bins):
    inner = pd.Series(reference).quantile(np.arange(1, bins) / bins).unique()
    edges = [-np.inf, *inner, np.inf]
    counts = [pd.cut(pd.Series(x), edges).value_counts(sort=False) + 0.5 for x in (reference, current)]
    p, q = (c / c.sum() for c in counts)
    return ((q - p) * np.log(q / p)).sum()


@psi_by_hand.alternative
def with_histograms(reference, current, bins):
    edges = np.concatenate([[-1e12], _inner_edges(reference, bins), [1e12]])
    p, q = (np.histogram(x, edges)[0] + 0.5 for x in (reference, current))
    p, q = p / p.sum(), q / q.sum()
    return np.dot(q - p, np.log(q) - np.log(p))


# ------------------------------------------------------------------ 3.3 twenty columns


@exercise(
    "3.3",
    "Twenty columns",
    answers=("flag",),
    points=4,
    minutes=6,
    edition=2,
    objective="3.a",
    kind=Function("pvalues", "alpha", returns=Array(ndim=1, dtype="bool")),
    hints=(
        "Twenty chances of 5 % each make a large one. How small must each be, so that all together stay below 5 %?",
        "Bonferroni: compare each p-value with `alpha / len(pvalues)`. That is enough here.",
        "Holm finds a little more: the smallest against alpha/20, the next against alpha/19 ..., and stop at the first that fails.",
    ),
)
def flag(answer, rng, expect):
    """`flag(pvalues, alpha)`: True for the columns to flag; the chance of any false flag stays below alpha."""

    def asked(pvalues, alpha):
        mask = answer(pvalues, alpha)
        return mask.copy() if len(mask) == len(pvalues) else np.ones(len(pvalues), dtype=bool)

    def among(small, n, low=0.5):
        """n p-values: `small` at random places among unsuspicious ones; and where they are."""
        pvalues, places = rng.uniform(low, 1, n), rng.permutation(n)[: len(small)]
        pvalues[rng.permutation(n)[: n // 2]] = 1.0  # as where a test finds two columns alike
        pvalues[places] = small
        return pvalues, places

    columns = int(rng.integers(15, 30))
    got = answer(rng.random(columns), 0.05)
    expect.equal(len(got), columns, "one True or False for each p-value", show=True)
    noisy = np.mean([asked(rng.random(20), 0.05).any() for _ in range(100)])
    expect.within(noisy, 0, 0.14, "100 quiet weeks at alpha 0.05: few have any flag")
    sizes = (int(rng.integers(4, 7)), 20, int(rng.integers(40, 80)))
    with expect.defining():
        for n, alpha in zip(sizes, (0.05, float(rng.choice([0.01, 0.1])), 0.2), strict=True):
            pvalues, places = among([0.97 * alpha / n], n)
            mask = asked(pvalues, alpha)
            ok = mask.sum() == 1 and mask[places[0]]
            what = (
                f"one p-value of {pvalues[places[0]]:.3g} among {n}, alpha {alpha:g}: it is flagged, no other"
            )
            expect.true(ok, what, f"{int(mask.sum())} flagged")
            # alone, this one would break the promise even where the columns are independent
            pvalues, places = among([1.03 * _sidak(alpha, n)], n)
            what = f"one p-value of {pvalues[places[0]]:.3g} among {n}, alpha {alpha:g}: no flag"
            expect.equal(int(asked(pvalues, alpha).sum()), 0, what, show=True)
        n, found = int(rng.integers(20, 30)), int(rng.integers(8, 12))
        tiny = rng.uniform(0, 0.9, found) * 0.2 / n
        tiny[:2], tiny[-1] = tiny[0], 0.98 * 0.2 / n
        pvalues, places = among([*tiny, 1.03 * _sidak(0.2, n - found)], n)
        mask = asked(pvalues, 0.2)
        what = f"{found} of {n} columns drifted, two of them alike, alpha 0.2: all are found"
        expect.true(mask[places[:found]].all(), what, f"{int((~mask[places[:found]]).sum())} left out")
        what = f"{found} of {n} columns drifted, alpha 0.2: none of the others is flagged"
        mask[places[:found]] = False
        expect.true(not mask.any(), what, f"{int(mask.sum())} flagged")
        n = int(rng.integers(10, 14))
        pvalues, _ = among([0.1 * 1.5 / n, *rng.uniform(0.07, 0.099, n // 2)], n)
        what = f"{n // 2 + 1} of {n} p-values are below alpha 0.1, none by much: no flag"
        expect.equal(int(asked(pvalues, 0.1).sum()), 0, what, show=True)
        n = int(rng.integers(3, 8))
        mask = asked(rng.uniform(0.2, 0.9, n) * 0.1 / n, 0.1)
        what = f"all {n} columns drifted, alpha 0.1: all are flagged"
        expect.true(mask.all(), what, f"{int((~mask).sum())} left out")
        mask = asked(np.array([0.04]), 0.05)
        expect.true(bool(mask[0]), "a single p-value of 0.04, alpha 0.05: it is flagged", "it is left out")
    pvalues, places = among([1.1 * 0.05 / 5, 1.2 * 0.05 / 5], 5)
    mask = asked(pvalues, 0.05)[places]
    expect.true(
        mask[0] or not mask[1],
        "no column is flagged while one with a smaller p-value is not",
        "a smaller one is left out",
    )


def _sidak(alpha, n):
    """The largest limit for each of n independent columns that keeps the chance of any false flag at alpha."""
    return -np.expm1(math.log1p(-alpha) / n)


@flag.acceptable
def _keeps_the_promise(answer, rng):
    """Flags what is below alpha/n, nothing that no rule with this promise would flag, and smaller ones first."""
    tables = [rng.random(20), np.full(6, 0.5), np.full(3, 1e-9), np.array([0.04]), np.array([0.06])]
    for n in (2, 5, 20, 100):
        for found in (0, 1, n // 2, n):
            tables.append(rng.permutation(np.r_[rng.uniform(0, 1, found) / n**2 / 10, rng.random(n - found)]))
            tables.append(
                rng.permutation(np.r_[np.full(found, 1e-8), rng.uniform(0.5, 3, n - found) / n / 10])
            )
    for pvalues in tables:
        for alpha in (0.01, 0.05, 0.2):
            mask = np.asarray(answer(pvalues.copy(), alpha))
            if mask.shape != pvalues.shape or mask.dtype != bool:
                return False
            if not mask[pvalues < alpha / len(pvalues) * (1 - 1e-9)].all():
                return False
            if mask.any() and not mask[pvalues < pvalues[mask].max()].all():
                return False
            # the most that a step-up rule may flag where columns are independent
            limits = _sidak(alpha, np.arange(len(pvalues), 0, -1))
            passed = np.flatnonzero(np.sort(pvalues) <= limits * (1 + 1e-9))
            if mask.sum() > (passed[-1] + 1 if len(passed) else 0):
                return False
    return True


@flag.misconception(
    "each column was judged as if it were alone. With twenty quiet columns and a limit of 5 % each, 64 % of the weeks have an alarm.",
    atol=0,
)
def each_alone(pvalues, alpha):
    return pvalues < alpha


@flag.misconception(
    "the Benjamini-Hochberg rule was used. It bounds the share of false ones among the flags, and the more columns really drifted, the more false ones it "
    "lets in. A good rule with another promise: here the chance of any false flag was asked for.",
    atol=0,
)
def share_of_false_flags(pvalues, alpha):
    order = np.argsort(pvalues)
    below = np.flatnonzero(pvalues[order] <= alpha * np.arange(1, len(order) + 1) / len(order))
    mask = np.zeros(len(order), dtype=bool)
    mask[order[: below[-1] + 1 if len(below) else 0]] = True
    return mask


@flag.misconception(
    "the steps were begun from the wrong end. The strictest limit, alpha divided by all columns, belongs to the smallest p-value, not to the largest.",
    atol=0,
)
def from_the_wrong_end(pvalues, alpha):
    rank = np.argsort(np.argsort(pvalues)) + 1
    return pvalues <= alpha / rank


@flag.misconception(
    "the whole week was flagged when one column is. The question is which columns: a person wants to know where to look.",
    when=lambda seen: (
        {(bool(out.all()), bool(out.any())) for out in map(np.asarray, seen.outputs)}
        == {(True, True), (False, False)}
        and any(np.all(call.output) and max(call.given[0]) > call.given[1] for call in seen.calls)
    ),
)
def the_whole_week(pvalues, alpha):
    return np.full(len(pvalues), pvalues.min() < alpha / len(pvalues))


@flag.alternative
def bonferroni(pvalues, alpha):
    return [bool(p * len(pvalues) <= alpha) for p in pvalues]


@flag.alternative
def sidak(pvalues, alpha):
    return pd.Series(pvalues) < 1 - (1 - alpha) ** (1 / len(pvalues))


@flag.alternative
def holm_in_a_loop(pvalues, alpha):
    mask = np.zeros(len(pvalues), dtype=bool)
    for step, place in enumerate(np.argsort(pvalues)):
        if pvalues[place] > alpha / (len(pvalues) - step):
            break
        mask[place] = True
    return mask


# ------------------------------------------------------------------ 3.4 read the report

_BUSY = {  # column -> shift in standard deviations; categories: share that moves; minutes of error when shuffled
    "distance": (0.03, 31.0),
    "wind": (0.45, 4.2),
    "temperature": (0.12, 0.3),
    "hour": (0.03, 0.8),
    "carrier": (0.02, 0.6),
    "origin": (0.015, 0.4),
    "seats": (0.05, 0.1),
    "aircraft_age": (0.08, 0.2),
    "pressure": (0.04, 0.1),
    "fuel_price": (1.5, 0.0),
    "taxi_queue": (0.0, 2.1),
    "humidity": (0.06, 0.0),
}


def busy_quarter(n_rows=100_000, random_state=0):
    """Two quarters of a busy service with twelve columns, and what each column is worth to its model.

    Returns
    -------
    (DataFrame, DataFrame, Series)
        Reference, current, and minutes of error that shuffling a column adds.
    """
    rng = np.random.default_rng(random_state)
    frames = []
    for moved in (0, 1):
        columns = {}
        for name, (size, _) in _BUSY.items():
            if name in ("carrier", "origin"):
                share = np.array([0.4, 0.3, 0.2, 0.1]) + moved * size * np.array([-1, 0, 0, 1])
                columns[name] = rng.choice(list("ABCD"), n_rows, p=share)
            else:
                columns[name] = rng.normal(10 + 2 * moved * size, 2, n_rows)
        hidden = rng.random(n_rows) < (0.11 if moved else 0.015)
        columns["taxi_queue"] = np.where(hidden, np.nan, columns["taxi_queue"])
        frames.append(pd.DataFrame(columns))
    worth = pd.Series({name: minutes for name, (_, minutes) in _BUSY.items()}, name="worth")
    return *frames, worth


_DESERVE = ["wind", "taxi_queue"]


@exercise(
    "3.4",
    "Read the report",
    answers=("for_a_person",),
    points=2,
    minutes=4,
    core=True,
    edition=2,
    objective="3.b",
    kind=Names(options=tuple(_BUSY)),
    hints=(
        "Three questions to each row: more than chance? Large enough? And would the model notice?",
        "Read the column `worth`: a column that the model hardly uses can go where it likes.",
        "A column can drift without any of its values changing.",
    ),
)
def read_the_report(answer, rng, expect):
    """The columns of the report that deserve a person's time today."""
    can_wait, left_out = set(answer) - set(_DESERVE), set(_DESERVE) - set(answer)
    with expect.defining():
        expect.true(
            bool(answer) and not can_wait,
            "every column on the list is worth a person's time",
            f"{len(can_wait)} of {len(answer)} can wait" if answer else "the list is empty",
        )
    expect.true(
        not left_out, "every column that is worth a person's time is on the list", "something is left out"
    )


@read_the_report.misconception(
    "significant were taken for important. At 100,000 rows all twelve columns are significant; p says that something moved, not how far.",
    when=lambda seen: len(set(seen.values["for_a_person"])) >= 7,
)
def all_that_is_significant():
    return list(_BUSY)


@read_the_report.misconception(
    "the largest effect were the most important. The model does not use that column: it may go where it likes, and a smaller effect in a column that carries "
    "the prediction is worse.",
    when=lambda seen: "fuel_price" in seen.values["for_a_person"] and len(seen.values["for_a_person"]) < 7,
)
def largest_effect():
    return ["fuel_price"]


@read_the_report.misconception(
    "only the values were looked at. One column's values are as before, where it has any: seven times as many rows have none. That is probably a fault, and "
    "somebody can repair it.",
    when=lambda seen: (
        "taxi_queue" not in seen.values["for_a_person"] and "wind" in seen.values["for_a_person"]
    ),
)
def values_only():
    return ["wind"]


@read_the_report.misconception(
    "a column that matters to the model were a column that has changed. What carries most of the prediction moved by three hundredths of a standard deviation.",
    when=lambda seen: "distance" in seen.values["for_a_person"] and len(seen.values["for_a_person"]) < 7,
)
def most_important_column():
    return ["distance", "wind", "taxi_queue"]


@read_the_report.misconception(
    'no column deserved a look. Drift without a consequence can wait, but look again at the column `worth` where the verdict is "drift".',
)
def none_at_all():
    return []


@read_the_report.alternative
def the_other_way_round():
    return tuple(reversed(_DESERVE))


@read_the_report.alternative
def by_rule():
    moved = {name for name, (size, _) in _BUSY.items() if size >= 0.2 or name == "taxi_queue"}
    return [name for name in moved if _BUSY[name][1] > 0]


# ------------------------------------------------------------------ 3.5 compared with what?

TRAINING, BEFORE, LAST_YEAR, SAME_HOURS = (
    "training data",
    "just before",
    "same weeks last year",
    "same hours of other weeks",
)
_SERVICES = {
    "creep": "a sensor in a cold room, always at 4 degrees; its calibration may creep by a little each month",
    "applicants": "loan applicants; the model of 2019 is still in use, and the town grows older year by year",
    "release": "at noon a new version of the data feed went live; did it change the columns?",
    "heating": "demand for heating, trained on eight years of winters and summers; this week is the first cold one",
    "weekend": "orders of a web shop; it is Sunday, 3 in the morning, and there are half as many as at noon yesterday",
    "holidays": "traffic around the school holidays, which come at about the same date each year",
    "lunch": "a canteen's till; from 12 to 1 it is busy each day, and the monitor looks at one hour at a time",
}
_REFERENCES = {
    "creep": TRAINING,
    "applicants": TRAINING,
    "release": BEFORE,
    "heating": LAST_YEAR,
    "weekend": SAME_HOURS,
    "holidays": LAST_YEAR,
    "lunch": SAME_HOURS,
}


@exercise(
    "3.5",
    "Compared with what?",
    answers=("references_of",),
    points=3,
    minutes=4,
    objective="3.c",
    kind=Choice(_SERVICES, options=(TRAINING, BEFORE, LAST_YEAR, SAME_HOURS)),
    hints=(
        "Ask of each: which change do I want to see, and which change is ordinary? The reference must share the ordinary one and not the other.",
        "What moves a little each month is invisible to a reference that moves along. What comes back each year, or each day, is ordinary.",
    ),
)
def compared_with_what(answer, rng, expect):
    """Seven services, four references."""
    expect.cases(answer, _REFERENCES)


@compared_with_what.misconception(
    "the days just before were right for slow changes. They move along with the drift: each week looks like the last one, and after five years nothing of "
    "the old world is left."
)
def rolling_for_slow():
    return _REFERENCES | {"creep": BEFORE, "applicants": BEFORE}


@compared_with_what.misconception(
    "the training data were right for what has seasons. All its winters and summers together are a wide mixture, and each cold week looks strange against it: an alarm "
    "each December."
)
def training_for_seasons():
    return _REFERENCES | {"heating": TRAINING, "holidays": TRAINING}


@compared_with_what.misconception(
    "the hours just before were a fair comparison at night or at noon. Within a day the ordinary change is larger than most drift: compare like hours with like."
)
def before_for_rhythm():
    return _REFERENCES | {"weekend": BEFORE, "lunch": BEFORE}


@compared_with_what.misconception(
    "a release had to be compared with the distant past. Everything else has changed since then, too; only the hours on both sides of noon differ by nothing but the release."
)
def training_for_release():
    return _REFERENCES | {"release": TRAINING}


@compared_with_what.alternative
def in_groups():
    groups = {
        TRAINING: ("creep", "applicants"),
        LAST_YEAR: ("heating", "holidays"),
        SAME_HOURS: ("weekend", "lunch"),
        BEFORE: ("release",),
    }
    return {case: word for word, cases in groups.items() for case in cases}


@compared_with_what.alternative
def backwards():
    return dict(reversed(_REFERENCES.items()))


# ------------------------------------------------------------------ 3.6 repair a detector's feed


def _late_log(rng, n, before, after, unlabeled):
    """A log of n answers whose error rate goes from `before` to `after` in the middle; a share of the labels is not there yet."""
    wrong = rng.random(n) < np.where(np.arange(n) < n // 2, before, after)
    label = rng.integers(0, 2, n).astype(float)
    waited = rng.lognormal(4.2, 0.9, n) + 60 * wrong  # what is hard to judge takes longer
    frame = pd.DataFrame(
        {
            "time": np.arange(n),
            "prediction": np.where(wrong, 1 - label, label).astype(int),
            "label": label,
            "label_time": np.arange(n) + waited,
        }
    )
    frame.loc[rng.choice(n, round(unlabeled * n), replace=False), ["label", "label_time"]] = np.nan
    return frame


def _feed(
    log,
    allowed,
    limit,
    *,
    by="label_time",
    polarity=True,
    reset=True,
    stamp="label_time",
    fill=False,
    at_limit=False,
    floor=True,
    skip=0,
    again=0.0,
):
    """The detector of the exercise with its possible faults.

    `fill`: a missing label counts as different. `at_limit`: a sum that is just the limit rings. `floor`: never below
    zero. `skip`: rows left out at the beginning. `again`: where the sum begins anew.
    """
    order = np.argsort(log[by].to_numpy(), kind="stable")  # NaN goes to the end
    label = log["label"].to_numpy()[order]
    wrong = log["prediction"].to_numpy()[order] != label
    stamps = log[stamp].to_numpy()[order]
    if not fill:
        known = ~np.isnan(label)
        wrong, stamps = wrong[known], stamps[known]
    steps = np.where(wrong == polarity, 1 - allowed, -allowed)
    found, total = [], 0.0
    for step, when in zip(steps[skip:].tolist(), stamps[skip:].tolist(), strict=True):
        total += step
        if floor and total < 0:
            total = 0.0
        if total > limit or (at_limit and total == limit):
            found.append(when)
            if reset:
                total = again
    return found


def _as_hits(log):
    """The log with each missing label filled as if the prediction had been right, known at once."""
    return log.fillna({"label": log["prediction"], "label_time": log["time"]})


@exercise(
    "3.6",
    "Repair a detector's feed",
    answers=("alarms",),
    points=4,
    minutes=7,
    edition=2,
    objective="3.d",
    kind=Function("log", "allowed", "limit", returns=Sequence(Number())),
    hints=(
        "What does the detector add up when a prediction is right? It should grow when the model fails.",
        "On which day can an error be known? Put the rows in that order, and leave out those whose label has not come.",
        "After an alarm the story is told: begin anew at zero. And an alarm is raised when the label arrives, not when the request came.",
    ),
)
def detectors_feed(answer, rng, expect):
    """`alarms(log, allowed, limit)`: the times at which the detector alarms."""
    draws = (
        (0.08, 0.08, 0, "a quiet log"),
        (0.08, float(rng.uniform(0.4, 0.5)), 0, "the error rate jumps in the middle, every label has come"),
        (0.08, float(rng.uniform(0.3, 0.4)), 0.3, "three rows in ten still have no label"),
        (1, 1, 0, "every answer is wrong"),
        (0.4, 0.4, 1, "no label has come yet"),
    )
    settings = zip(rng.permutation([0.125, 0.1875, 0.25]), rng.permutation([5, 6, 7]), strict=True)
    for (before, after, unlabeled, what), (allowed, limit) in zip(draws, itertools.cycle(settings)):
        allowed, limit = float(allowed), float(limit)
        while True:
            log = _late_log(rng, int(rng.integers(400, 600)), before, after, unlabeled)
            want = _feed(log, allowed, limit)
            if _decides(log, allowed, limit, want, what):
                break
        got = [float(t) for t in answer(log, allowed, limit)]
        expect.equal(len(got), len(want), f"{what}: the number of alarms", show=len(want) == 0)
        if want:
            with expect.defining():
                expect.true(
                    len(got) == len(want) and np.allclose(got, want, equal_nan=True),
                    f"{what}: the times of the alarms",
                    _first_difference(got, want),
                )


def _decides(log, allowed, limit, want, what):
    """Whether no fault gives the right times by luck; a quiet log is to be quiet."""
    if what == "a quiet log" or not log["label"].notna().any():
        return not want
    faults = [{"at_limit": True}, {"by": "time"}, {"floor": False}, {"again": allowed}]
    if what == "every answer is wrong":
        faults = [{"skip": 1}]
    if any(_feed(log, allowed, limit, **fault) == want for fault in faults):
        return False
    return not log["label"].isna().any() or _feed(_as_hits(log), allowed, limit) != want


def _first_difference(got, want):
    """Where two lists of times part, without the time that is right."""
    pairs = itertools.zip_longest(got, want)
    first = next((i for i, (a, b) in enumerate(pairs) if a is None or b is None or not np.isclose(a, b)), 0)
    said = f"yours is at {got[first]:.1f}" if first < len(got) else "yours end before it"
    when = (
        ""
        if first >= len(want) or first >= len(got)
        else (", too early" if got[first] < want[first] else ", too late")
    )
    return f"they differ from alarm {first + 1} on: {said}{when}"


@detectors_feed.inputs
def _logs_and_limits(rng):
    def log_of(rows):
        return pd.DataFrame(rows, columns=["time", "prediction", "label", "label_time"]).astype(
            {"label": float, "label_time": float}
        )

    # four errors, the last one known first; then a hit; one row is still open
    few = [(0, 1, 0, 20), (1, 0, 1, 21), (2, 1, 0, 22), (3, 0, 1, 5), (4, 1, 1, 6), (5, 1, np.nan, np.nan)]
    yield log_of(few), 0.25, 1.25
    yield log_of(few), 0.25, 1.5  # the sum is just the limit once
    yield log_of(few), 0.0, 1.0
    yield log_of(few), 0.5, 100.0
    yield log_of(few[-1:]), 0.25, 1.0
    yield log_of([]), 0.25, 1.0
    for n in (40, 400, 2_000):
        rate = rng.uniform(0, 0.9, 4)[np.arange(n) * 4 // n]
        wrong, waited = rng.random(n) < rate, rng.permutation(n) + rng.uniform(0, 0.5)
        label = rng.integers(0, 2, n).astype(float)
        arrives = np.arange(n) + waited * np.pi
        open_ = rng.random(n) < 0.2
        prediction = np.where(wrong, 1 - label, label).astype(int)
        yield (
            log_of(
                list(
                    zip(
                        np.arange(n),
                        prediction,
                        np.where(open_, np.nan, label),
                        np.where(open_, np.nan, arrives),
                        strict=True,
                    )
                )
            ),
            0.25,
            3.0,
        )


def _many_alarms(seen):
    """A quiet log that is right, and several times too many alarms after the change."""
    count = {
        what: (ok, got, want) for what, ok, got, want in seen.verdicts if what.endswith("number of alarms")
    }
    (quiet, *_), (_, got, want), *_ = count.values()
    return quiet and got > 3 * want


@detectors_feed.misconception(
    "the colleague's code has not been changed yet. Begin with what the detector adds up: it grows while the model is right."
)
def as_found(log, allowed, limit):
    return _feed(log, allowed, limit, by="time", polarity=False, reset=False, stamp="time", fill=True)


@detectors_feed.misconception(
    "errors are added up now, and the rest is as it was. It reacts to rising errors, but in the order of the requests, with labels that nobody had yet, and it never begins anew."
)
def polarity_only(log, allowed, limit):
    return _feed(log, allowed, limit, by="time", reset=False, stamp="time", fill=True)


@detectors_feed.misconception(
    "the detector were still fed with right answers. It adds up what it is given, so it grows fastest while all is well: give it 1 for an error, 0 for a hit."
)
def fed_with_hits(log, allowed, limit):
    return _feed(log, allowed, limit, polarity=False)


@detectors_feed.misconception(
    "the detector read the rows in the order of the requests. It then reacts to rising errors, but with labels that nobody had yet: sort by the time at which the label came."
)
def in_order_of_requests(log, allowed, limit):
    return _feed(log, allowed, limit, by="time")


@detectors_feed.misconception(
    "the detector read the rows in the order of the requests, and dated its alarms by the request. In a back-test that looks wonderfully fast; in production these labels "
    "are still on their way."
)
def dated_by_request(log, allowed, limit):
    return _feed(log, allowed, limit, by="time", stamp="time")


@detectors_feed.misconception(
    "the sum went on after an alarm. It stays above the limit, and one change rings hundreds of times: after an alarm begin anew at zero.",
    when=_many_alarms,
)
def never_reset(log, allowed, limit):
    return _feed(log, allowed, limit, reset=False)


@detectors_feed.misconception(
    "the alarm was dated by the request that completed it. Nobody could know then: it rings when that request's label arrives."
)
def stamped_with_request(log, allowed, limit):
    return _feed(log, allowed, limit, stamp="time")


@detectors_feed.misconception(
    "a row without a label counted as an error. In pandas a missing label differs from every prediction. It is unknown, not wrong: leave it out."
)
def missing_is_wrong(log, allowed, limit):
    return _feed(log, allowed, limit, fill=True)


@detectors_feed.alternative
def with_numpy(log, allowed, limit):
    known = log[log["label"].notna()].sort_values("label_time")
    steps = (known["prediction"] != known["label"]).to_numpy().astype(float) - allowed
    found, start = [], 0
    while start < len(steps):
        sums = np.cumsum(steps[start:])
        above = sums - np.minimum(np.minimum.accumulate(sums), 0)
        over = np.flatnonzero(above > limit)
        if not len(over):
            break
        found.append(known["label_time"].iloc[start + over[0]])
        start += over[0] + 1
    return found


@detectors_feed.alternative
def as_events(log, allowed, limit):
    events = sorted(
        (when, p != y)
        for when, p, y in zip(log["label_time"], log["prediction"], log["label"], strict=True)
        if not math.isnan(when)
    )
    found, total = [], 0.0
    for when, wrong in events:
        total += wrong - allowed
        if total < 0:
            total = 0.0
        elif total > limit:
            found, total = [*found, when], 0.0
    return np.array(found)


# ------------------------------------------------------------------ 3.7 score a detector


@exercise(
    "3.7",
    "Score a detector",
    answers=("score",),
    points=3,
    minutes=6,
    edition=2,
    objective="3.d",
    kind=Function(
        "alarms",
        "onset",
        returns=Several(Number(), Number(integer=True), Boolean(), names=("delay", "false_alarms", "missed")),
    ),
    hints=(
        "Part the alarms at the onset. What are those before it, whatever they meant?",
        "The first alarm from the onset on is the detection; those after it repeat what is known.",
        "Without an onset there is nothing to find, so nothing is missed; and where there is no detection there is no delay: NaN.",
    ),
)
def score_a_detector(answer, rng, expect):
    """`score(alarms, onset)`: (delay, false_alarms, missed)."""
    onset = int(rng.integers(900, 1200))
    early = sorted(rng.choice(np.arange(100, onset - 20), 3, replace=False).tolist())
    just = onset - int(rng.integers(2, 9))
    late = sorted(rng.choice(np.arange(onset + 30, onset + 900), 4, replace=False).tolist())
    draws = (
        (late, onset, late[0] - onset, 0, False, "four alarms after the onset"),
        (
            [*early, *late[:1]],
            onset,
            late[0] - onset,
            3,
            False,
            "three alarms before the onset, one after it",
        ),
        (
            [just, late[0]],
            onset,
            late[0] - onset,
            1,
            False,
            "one alarm a few rows before the onset, one after it",
        ),
        ([onset], onset, 0, 0, False, "an alarm at the onset itself"),
        (early, onset, math.nan, 3, True, "three alarms, all before the onset"),
        ([], onset, math.nan, 0, True, "no alarm at all"),
        (early, None, math.nan, 3, False, "three alarms, and nothing ever changed"),
        ([], None, math.nan, 0, False, "no alarm, and nothing ever changed"),
        (late, 0, late[0], 0, False, "the change is there from row 0 on, four alarms"),
    )
    for number, (alarms, when, delay, false_alarms, missed, what) in enumerate(draws):
        got = answer(list(alarms), when)
        right = (
            got[0] == delay or (math.isnan(got[0]) and math.isnan(delay)),
            got[1] == false_alarms,
            got[2] == missed,
        )
        wrong = [name for name, ok in zip(("delay", "false_alarms", "missed"), right, strict=True) if not ok]
        # what counts as a detection is what the exercise is about: early alarms, none at all, nothing to find
        with expect.defining() if number in (2, 5, 6) else contextlib.nullcontext():
            expect.true(not wrong, what, f"look at {' and '.join(wrong)}")


@score_a_detector.inputs
def _alarms_and_onsets(rng):
    yield [700, 1_040, 1_300], 1_000
    for alarms in ([], [0], [10], [9, 10, 11], [3, 4, 5], [11], [0, 10, 20, 30], [1_000_000]):
        for onset in (None, 0, 1, 10, 31, 1_000_000):
            yield list(alarms), onset
    for _ in range(20):
        alarms = sorted(rng.choice(3_000, int(rng.integers(0, 9)), replace=False).tolist())
        yield alarms, int(rng.integers(0, 3_000))


def _score(alarms, onset, *, early_counts=False, repeats_false=False, miss_is_zero=False, after_only=False):
    if onset is None:
        return (0.0 if miss_is_zero else math.nan), len(alarms), False
    hits = [a for a in alarms if (a > onset if after_only else a >= onset)]
    false = [a for a in alarms if a not in hits]
    if early_counts and alarms:
        return float(abs(alarms[0] - onset)), 0, False
    if not hits:
        return (0.0 if miss_is_zero else math.nan), len(false), not miss_is_zero
    return float(hits[0] - onset), len(false) + (len(hits) - 1 if repeats_false else 0), False


@score_a_detector.misconception(
    "an alarm before the onset could be a detection. It was right by luck: before the onset there was nothing to detect, so it is false, even if it is only just too early."
)
def lucky(alarms, onset):
    return _score(alarms, onset, early_counts=True)


@score_a_detector.misconception(
    "alarms after the first hit were called false. The change is still there, so they are true, only not new: repeats, neither a merit nor a fault."
)
def repeats_are_false(alarms, onset):
    return _score(alarms, onset, repeats_false=True)


@score_a_detector.misconception(
    "a change that is never noticed had a delay of zero. Then the best detector would be the one that is switched off: where there is no detection the delay is NaN."
)
def never_is_at_once(alarms, onset):
    return _score(alarms, onset, miss_is_zero=True)


@score_a_detector.misconception(
    "an alarm in the very row of the onset came too early. That row is the first of the new world: nobody can be faster, and the delay is zero."
)
def not_in_the_row_itself(alarms, onset):
    return _score(alarms, onset, after_only=True)


@score_a_detector.misconception(
    "something were missed where nothing had happened. Without an onset there is nothing to find.",
    when=lambda seen: all(
        call.output[2] is (call.given[1] is None or not any(a >= call.given[1] for a in call.given[0]))
        for call in seen.calls
    ),
)
def missed_nothing(alarms, onset):
    delay, false_alarms, missed = _score(alarms, onset)
    return delay, false_alarms, missed or onset is None


@score_a_detector.alternative
def with_arrays(alarms, onset):
    alarms = np.array(alarms, dtype=float)
    onset = np.inf if onset is None else onset
    hits = alarms[alarms >= onset]
    delay = hits.min() - onset if hits.size else np.nan
    return delay, int((alarms < onset).sum()), bool(np.isfinite(onset) and hits.size == 0)


@score_a_detector.alternative
def one_after_the_other(alarms, onset):
    delay, false_alarms = float("nan"), 0
    for alarm in alarms:
        if onset is None or alarm < onset:
            false_alarms += 1
        elif math.isnan(delay):
            delay = alarm - onset
    return delay, false_alarms, onset is not None and math.isnan(delay)


@score_a_detector.alternative
def with_the_library(alarms, onset):
    from mlprod_helpers.detectors import score_alarms

    found = score_alarms(alarms, [] if onset is None else [onset])
    return (found.delays[0] if len(found.delays) else float("nan")), found.false_alarms, found.missed > 0


# ------------------------------------------------------------------ 3.8 the alarm they still read

N_REFERENCE, N_COLUMNS, N_WEEKS = 10_000, 10, 26
PAGE, WEEK, PATIENCE = 1, 5, 3
SIZES = {"few": (70, 130), "some": (600, 1_500), "many": (12_000, 30_000)}  # rows a week
QUIET, CRUMB, DRIFT = 0, 1, 2


def _spread(rng, k):
    """k numbers between 0 and 1, one in each k-th, in random order: no draw has only easy services."""
    return (rng.permutation(k) + rng.random(k)) / k


def draw_services(rng):
    """Twelve services, four of each size: rows a week, the weeks of the crumb and of the drift, and PSI[state, week, column].

    The services with many rows also move by a crumb, 0.06 to 0.1 sd in three columns, that harms nobody.
    """
    services = []
    for size, (low, high) in SIZES.items():
        rows = low * (high / low) ** _spread(rng, 4)
        size_of_drift = (0.6 + 0.3 * _spread(rng, 4)) if size == "few" else (0.36 + 0.14 * _spread(rng, 4))
        onsets = (5 + 8 * _spread(rng, 3)).astype(int).tolist()
        for n, sd, onset in zip(rows.astype(int).tolist(), size_of_drift, [*onsets, N_WEEKS], strict=True):
            shift = np.zeros((3, N_COLUMNS))
            if size == "many":
                shift[CRUMB:, rng.permutation(N_COLUMNS)[:3]] = rng.uniform(0.06, 0.1)
            shift[DRIFT, rng.permutation(N_COLUMNS)[:3]] = sd
            edges = ndtri(
                np.cumsum(rng.dirichlet(np.full(10, N_REFERENCE / 10), size=N_COLUMNS), axis=1)[:, :-1]
            )
            mass = np.diff(ndtr(edges - shift[..., None]), prepend=0.0, append=1.0, axis=-1)
            mass /= mass.sum(axis=-1, keepdims=True)
            share = (rng.multinomial(n, mass[:, None], size=(3, N_WEEKS, N_COLUMNS)) + 0.5) / (n + 5)
            services.append(
                {
                    "size": size,
                    "n": n,
                    "crumb": int(rng.integers(2, 6)) if size == "many" else N_WEEKS,
                    "onset": onset,
                    "psi": ((share - 0.1) * np.log(share / 0.1)).sum(axis=-1).round(5),
                }
            )
    return services


def watch(policy, service):
    """Play one service's half year; returns its cost. After three false pages nobody reads its pages any more."""
    memory, false_pages, repaired, cost = {}, 0, False, 0
    for week in range(N_WEEKS):
        drift = week >= service["onset"] and not repaired
        state = DRIFT if drift else CRUMB if week >= service["crumb"] else QUIET
        observation = {
            "week": week,
            "n_reference": N_REFERENCE,
            "n_current": service["n"],
            "psi": service["psi"][state, week],
        }
        page, memory = policy(observation, memory)
        cost += PAGE * page + WEEK * drift
        if page and drift and false_pages < PATIENCE:
            repaired = True
        elif page and not drift:
            false_pages += 1
    return cost


def cost_by_size(policy, services):
    """The cost of a policy for the services with few, some and many rows."""
    costs = dict.fromkeys(SIZES, 0)
    for service in services:
        costs[service["size"]] += watch(policy, service)
    return costs


def never(observation, memory):
    """The baseline that never pages."""
    return False, memory


def usual_limit(observation, memory):
    """The baseline "PSI above 0.1"."""
    return max(observation["psi"]) > 0.1, memory


@exercise(
    "3.8",
    "The alarm they still read",
    answers=("alarm",),
    points=6,
    minutes=14,
    core=True,
    objective="3.e",
    kind=Function(
        "observation",
        "memory",
        returns=Several(Boolean(), Mapping(), names=("page", "memory")),
        may_change=("memory",),
    ),
    edition=2,
    hints=(
        "Two questions before a page: could a quiet week do this, with ten columns and this many rows? And is it large enough to cost anything?",
        "For the first: the law of the quiet PSI, with a limit so strict that half a year of ten columns seldom reaches it. For the second: what chance adds to the PSI, "
        "9 x (1/n + 1/m), is no effect; a shift of 0.2 sd adds 0.04.",
        "`memory` can hold which columns were high last week: the same column two weeks in a row is seldom chance. It costs a week of delay.",
    ),
)
def alarm_policy(answer, rng, expect):
    """`alarm(observation, memory)`: page or not, week after week, for twelve services."""
    services = draw_services(rng)
    costs = cost_by_size(answer, services)
    silent, usual = cost_by_size(never, services), cost_by_size(usual_limit, services)
    for size in SIZES:
        expect.within(
            costs[size],
            0,
            0.35 * silent[size],
            f"{size} rows a week: costs {costs[size]} (never paging {silent[size]}, PSI above 0.1 {usual[size]}; "
            f"wanted at most {0.35 * silent[size]:.0f})",
        )
    total, limit = sum(costs.values()), 0.2 * sum(silent.values())
    with expect.defining():
        expect.within(
            total,
            0,
            limit,
            f"all twelve services: costs {total} (never paging {sum(silent.values())}, PSI above 0.1 {sum(usual.values())}; "
            f"wanted at most {limit:.0f})",
        )


@alarm_policy.acceptable
def _pays_on_average(answer, rng):
    """The statement's two bounds, on the mean of eight draws of twelve services."""
    costs, silent = dict.fromkeys(SIZES, 0), dict.fromkeys(SIZES, 0)
    for _ in range(8):
        services = draw_services(rng)
        for size, cost in cost_by_size(answer, services).items():
            costs[size] += cost
        for size, cost in cost_by_size(never, services).items():
            silent[size] += cost
    within = all(costs[size] <= 0.35 * silent[size] for size in SIZES)
    return within and sum(costs.values()) <= 0.2 * sum(silent.values())


def _unit(observation):
    return 1 / observation["n_reference"] + 1 / observation["n_current"]


def _complete(seen):
    return len(seen.calls) == 12 * N_WEEKS


def _paged(seen):
    """(rows, largest PSI, chance of one column, page) of each call."""
    rows = []
    for call in seen.calls:
        (observation, _), (page, _) = call.given, call.output
        largest = max(observation["psi"])
        chance = float(gammaincc(4.5, largest / _unit(observation) / 2))
        rows.append((observation["n_current"], largest, chance, bool(page)))
    return rows


def _one_limit_for_all(seen):
    rows = _paged(seen)
    paged, silent = ([x for _, x, _, page in rows if page is wanted] for wanted in (True, False))
    return bool(paged) and bool(silent) and min(paged) >= max(silent)


def _any_small_p(seen):
    """Whether each service with few rows has a limit that chance alone reaches now and then."""
    rows = [(n, largest, chance, page) for n, largest, chance, page in _paged(seen) if n < 10_000]
    for service in {n for n, *_ in rows}:
        paged, silent = (
            [largest for n, largest, _, page in rows if n == service and page is wanted]
            for wanted in (True, False)
        )
        if paged and silent and min(paged) < max(silent):
            return False
    chances = [chance for *_, chance, page in rows if page]
    return len(chances) > 15 and np.mean([chance > 0.006 for chance in chances]) > 0.1


def _pages_for_crumbs(seen):
    many = [(largest, page) for n, largest, _, page in _paged(seen) if n > 10_000]
    paged, silent = ([largest for largest, page in many if page is wanted] for wanted in (True, False))
    # what was paged is larger than what was not: no page by the calendar, or by the reverse of a rule
    return sum(largest < 0.05 for largest in paged) > 20 and (not silent or np.mean(paged) > np.mean(silent))


@alarm_policy.misconception(
    "the phone never rang. Quiet, and wrong for months: every week of drift costs five times a page.",
    when=lambda seen: _complete(seen) and not any(page for *_, page in _paged(seen)),
)
def never_page(observation, memory):
    return False, memory


@alarm_policy.misconception(
    "there was a page each week. After the third false one nobody looks any more, and the fourth was true.",
    when=lambda seen: _complete(seen) and all(page for *_, page in _paged(seen)),
)
def always_page(observation, memory):
    return True, memory


@alarm_policy.misconception(
    "one limit served all services. Where rows are few, chance alone goes above a low one, and after three false pages nobody looks; where rows are many, a high one sees late or never. "
    "How high a quiet week goes depends on the rows.",
    when=_one_limit_for_all,
)
def psi_above_a_tenth(observation, memory):
    return max(observation["psi"]) > 0.1, memory


@alarm_policy.misconception(
    "what chance does now and then rang the bell. Ten columns in 26 weeks are 260 tests: at 5 % each that makes thirteen false flags a service, and three false pages are too "
    "many. Ask for more: a stricter limit, or the same column twice.",
    when=_any_small_p,
)
def five_percent(observation, memory):
    return bool((chi2.sf(np.array(observation["psi"]) / _unit(observation), 9) < 0.05).any()), memory


@alarm_policy.misconception(
    "whatever is more than chance was paged. Where rows are many, crumbs of less than a tenth of a standard deviation are more than chance, every week. Ask also "
    "whether it is large enough to cost anything.",
    when=_pages_for_crumbs,
)
def more_than_chance(observation, memory):
    return bool(gammaincc(4.5, max(observation["psi"]) / _unit(observation) / 2) < 1e-5), memory


def _few_and_late(seen):
    paged = [(largest, chance) for _, largest, chance, page in _paged(seen) if page]
    late = sum(largest > 0.05 and chance < 1e-4 for _, largest, chance, page in _paged(seen) if not page)
    return (
        _complete(seen)
        and 0 < len(paged) <= 15
        and late > 30
        and all(largest > 0.05 and chance < 1e-3 for largest, chance in paged)
        and not any(ok for _, ok, *_ in seen.verdicts)
    )


@alarm_policy.misconception(
    "the alarm was too cautious. Its pages are few and true, but weeks with clear drift pass without one: each costs as much as five pages.",
    when=_few_and_late,
)
def ten_weeks_in_a_row(observation, memory):
    high = max(observation["psi"]) > 0.05 + 28 * _unit(observation)
    weeks = memory.get("weeks", 0) + 1 if high else 0
    return weeks >= 10, {"weeks": weeks}


@alarm_policy.alternative
def a_limit_that_knows_the_rows(observation, memory):
    unit = 1 / observation["n_reference"] + 1 / observation["n_current"]
    return max(observation["psi"]) > 0.05 + 28 * unit, memory


@alarm_policy.alternative
def same_column_twice(observation, memory):
    unit = 1 / observation["n_reference"] + 1 / observation["n_current"]
    high = [i for i, value in enumerate(observation["psi"]) if value > 21.7 * unit and value > 0.05]
    again = set(high) & set(memory.get("high", []))
    return bool(again), {"high": high}


@alarm_policy.alternative
def mean_of_the_columns(observation, memory):
    unit = 1 / observation["n_reference"] + 1 / observation["n_current"]
    excess = np.mean(observation["psi"]) - 9 * unit
    return bool(excess > 0.015 + 4.5 * unit * math.sqrt(18 / 10)), memory


@alarm_policy.alternative
def evidence_that_adds_up(observation, memory):
    unit = 1 / observation["n_reference"] + 1 / observation["n_current"]
    excess = np.array(observation["psi"]) / unit - 9 - max(8, 0.035 / unit)
    total = np.maximum(0, np.array(memory.get("total", [0] * len(excess))) + excess)
    return bool((total > 24).any()), {"total": total.tolist()}
