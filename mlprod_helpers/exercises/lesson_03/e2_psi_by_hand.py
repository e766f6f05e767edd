"""Exercise 3.2, PSI by hand."""

import itertools
import math

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Function, Number, exercise


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
        "There are three steps: find the edges, compute the shares, and add up. Which sample decides where the edges are?",
        "`np.quantile(reference, np.arange(1, bins) / bins)` gives the inner edges. The outer bins are open, so no row is lost. "
        "`np.searchsorted(edges, sample)` numbers the bins.",
        "Let `p` and `q` be the shares after you add half a row to each bin. Then the PSI is `((q - p) * np.log(q / p)).sum()`.",
    ),
)
def psi_by_hand(answer, rng, expect):
    """`psi(reference, current, bins)`: the index on quantile bins of the reference, half a row added to each bin."""
    # with these sizes no usual quantile falls exactly on a row, where the rounding of `i / bins` would move the row
    far = float(rng.uniform(0.6, 0.9))
    delays = np.maximum(rng.normal(-3, 20, 397).round(), 0)
    late = np.maximum(rng.normal(6, 24, 500).round(), 0)
    draws = (
        (
            rng.normal(size=599),
            rng.normal(far, 0.5, size=400),
            11,
            "the current values lie higher and closer together, 11 bins",
        ),
        (rng.gamma(2, size=502), rng.gamma(2, size=500), 5, "nothing has changed, 5 bins"),
        (delays, late, 10, "delays: more than half of the reference is exactly 0"),
    )
    telling = (
        (rng.gamma(2, size=46), rng.gamma(3, size=31), 7, "few rows, 46 against 31, 7 bins"),
        (rng.normal(size=497), np.abs(rng.normal(size=300)) + 0.3, 10, "some bins are empty now"),
        (
            1e6 * rng.uniform(0, 10, 399),
            1e6 * (6 + rng.lognormal(1, 2, 400)),
            8,
            "values in the millions, many above the whole reference, some of them far above, 8 bins",
        ),
        (
            rng.uniform(0, 10, 299),
            4 - rng.lognormal(1, 2, 350),
            2,
            "many values below the whole reference, some of them far below, 2 bins",
        ),
        (1e-4 * rng.normal(size=1080), 1e-4 * rng.normal(size=700), 53, "values below 0.001, 53 bins"),
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
    "you cut the bins from the current rows. Then the bins change together with the data that you want to measure. Cut them from the "
    "reference, once, and use these edges for both samples.",
    when=_is(_cut_by_current),
)
def cut_by_current(reference, current, bins):
    return _cut_by_current(reference, current, bins, "left")


@psi_by_hand.misconception(
    "you cut the bins from both samples together. Next week the edges would be different, and you could not compare two "
    "weeks. Only the reference decides where the edges are.",
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
    "you put an empty bin into the logarithm. A single empty bin makes the index infinite. The task says how much to add to "
    "each bin first.",
    when=_infinite_where_empty,
)
def without_smoothing(reference, current, bins):
    p, q = (_counts(sample, _inner_edges(reference, bins)) / len(sample) for sample in (reference, current))
    with np.errstate(all="ignore"):
        return _index(p, q)


@psi_by_hand.misconception(
    "you added up only one direction, as in the Kullback-Leibler divergence. In the PSI the logarithm is multiplied by the difference of the shares, so both directions count.",
    when=lambda seen: _is(_from_current)(seen) or _is(_from_reference)(seen),
)
def one_direction(reference, current, bins):
    return _from_current(reference, current, bins, "left")


@psi_by_hand.misconception(
    "you lost the rows outside the range of the reference. They are the most unusual rows of all. Leave the first and the last "
    "bin open."
)
def rows_lost(reference, current, bins):
    edges = np.unique(np.quantile(reference, np.arange(bins + 1) / bins))
    p, q = (np.histogram(sample, edges)[0] + 0.5 for sample in (reference, current))
    return _index(p / p.sum(), q / q.sum())


@psi_by_hand.misconception(
    "you made the bins equally wide. Then a single extreme value decides their width, and most rows end up in a few bins. "
    "Use quantiles of the reference.",
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
    "you gave empty bins something other than half a row. Where a bin is empty, this number largely determines the index. Add half a "
    "row to each bin of both samples.",
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
