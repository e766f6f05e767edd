"""How far are two samples of one column apart, and is it more than chance?

Each distance takes `(reference, current)` and returns a `DriftTest`. Its effect size is the shift, in standard deviations,
of a normal column that would give the same statistic, less what chance adds to it: 0.2 is small, 0.5 medium, 0.8 large, as
with Cohen's d. Rows without a value are a bin of their own where shares are compared; elsewhere the result counts them.
"""

import warnings
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import special, stats

from mlprod_helpers.drift.columns import as_series, common_kind, numbers_of
from mlprod_helpers.requestlog.numbers import as_floats

LARGEST_SHIFT = 8.0  # effect sizes read off a curve end here: the samples are simply apart
MANY_BINS = 500  # stand for infinitely many
N_BINS = 10  # quantile bins of the reference, unless one says otherwise
SMOOTHING = 0.5  # rows added to each bin of each sample by the PSI
MISSING = "(missing)"
OTHER = "(other)"
RARE = "(rare)"
CATEGORICAL = ("boolean", "category")  # kinds that are counted, not measured


@dataclass(frozen=True, eq=False)
class DriftTest:
    """The result of one comparison of two samples.

    Attributes
    ----------
    name : str. Which distance.
    statistic : float. The distance itself, which has no unit: 0 for equal samples, larger for more distant ones.
    pvalue : float
        How often chance alone would give at least this much if nothing had changed; NaN if not computed.
    effect_size : float. The shift of a normal column, in standard deviations, that would give the same distance.
    n_reference, n_current : int. Rows, those without a value included.
    missing_reference, missing_current : int. Rows without a value.
    table : pandas.DataFrame. What was compared: the share of each bin, or both cumulative curves.
    """

    name: str
    statistic: float
    pvalue: float
    effect_size: float
    n_reference: int
    n_current: int
    missing_reference: int
    missing_current: int
    table: pd.DataFrame = field(repr=False)

    def plot(self):
        """Both samples, drawn as they were compared: shares of bins, or cumulative curves."""
        from mlprod_helpers import plots

        fig, ax = plots.figure()
        title = f"{self.name}: {self.statistic:.3g}, like a shift of {self.effect_size:.2g} sd"
        if self.table.index.name == "bin":
            at = np.arange(len(self.table))
            ax.bar(at - 0.2, self.table["reference"], 0.4, color=plots.BLUE, label="reference")
            ax.bar(at + 0.2, self.table["current"], 0.4, color=plots.ORANGE, label="current")
            ax.set_xticks(at, [str(label) for label in self.table.index], rotation=45, ha="right")
            ax.set_ylabel("share of rows")
            gap = (self.table["current"] - self.table["reference"]).abs()
            notice = f"The largest difference of shares is {gap.max():.3f}, in the bin {gap.idxmax()}."
        else:
            for side, color in (("reference", plots.BLUE), ("current", plots.ORANGE)):
                ax.step(self.table.index, self.table[side], where="post", color=color, label=side)
            ax.set_ylabel("share of values up to here")
            gap = (self.table["current"] - self.table["reference"]).abs()
            notice = f"The curves are furthest apart near {gap.idxmax():.4g}, by {gap.max():.3f}."
        ax.set_title(title)
        ax.legend()
        return plots.Figure(fig, f"{title}. {notice}")


# ---------------------------------------------------------------- which values


def sorted_numbers(reference, current, kind):
    """Of both columns the observed values in ascending order and the number of rows without one; and their origin.

    Times and durations are in days. For the origin see `columns.numbers_of`.
    """
    *both, origin = numbers_of(reference, current, kind)
    if kind in ("datetime", "timedelta"):
        both = [values / 86_400 for values in both]
    samples = []
    for values in both:
        ordered = np.sort(values)  # NaN goes to the end
        missing = int(np.isnan(values).sum())
        samples.append((ordered[: len(values) - missing], missing))
    return *samples, origin


def n_distinct(ordered):
    """How many different values an ascending array holds."""
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + 1 if len(ordered) else 0


# ---------------------------------------------------------------- bins and their counts


@dataclass(frozen=True, eq=False)
class CountTable:
    """Rows of both samples in the same bins. `quantile_bins` is None where bins are values or categories."""

    labels: list
    reference: np.ndarray
    current: np.ndarray
    quantile_bins: int | None
    missing_reference: int
    missing_current: int
    unseen: dict = field(default_factory=dict)  # categories that the reference never showed: rows now

    @property
    def sizes(self):
        return int(self.reference.sum()), int(self.current.sum())

    def shares(self, smoothing=0.0):
        """Share of rows in each bin, after `smoothing` rows were added to each bin of each sample."""
        return tuple(
            (counts + smoothing) / (counts.sum() + smoothing * len(counts))
            for counts in (self.reference, self.current)
        )

    def observed(self):
        """The same table without the rows that have no value."""
        if self.missing_reference + self.missing_current == 0:
            return self
        inner = slice(None, -1)  # the bin of the missing rows is the last one
        return replace(
            self,
            labels=self.labels[inner],
            reference=self.reference[inner],
            current=self.current[inner],
            missing_reference=0,
            missing_current=0,
        )

    def frame(self):
        p, q = self.shares()
        index = pd.Index(self.labels, name="bin", dtype=object)
        return pd.DataFrame({"reference": p, "current": q}, index=index)


def count_table(reference, current, pool_rare=False):
    """Count both samples in the same bins, which the reference alone decides.

    Numbers and times: quantile bins of the reference, closed on the right; a column with at most `N_BINS`
    different values has one bin a value and one for all others. Categories: one bin each; with `pool_rare`
    those expected fewer than five times in the smaller sample are counted together, as tests need it.
    Rows without a value are a bin. Bins that are empty in both samples vanish.
    """
    reference, current = as_series(reference, "reference"), as_series(current, "current")
    kind = common_kind(reference, current)
    if kind in (*CATEGORICAL, "missing"):
        return count_categories(reference, current, pool_rare)
    (a, missing_a), (b, missing_b), origin = sorted_numbers(reference, current, kind)
    return count_numbers(a, b, missing_a, missing_b, origin)


def count_numbers(a, b, missing_a, missing_b, origin=0):
    """`count_table` for two ascending arrays without NaN, whose values count from `origin`."""
    if n_distinct(a) <= N_BINS:
        values = np.unique(a)
        counts = [np.searchsorted(x, values, "right") - np.searchsorted(x, values, "left") for x in (a, b)]
        counts = [np.append(c, len(x) - c.sum()) for c, x in zip(counts, (a, b), strict=True)]
        labels, quantile_bins = [*in_words(values, 6, origin), OTHER], None
    else:
        edges = quantile_edges(a)
        counts = [np.diff(np.searchsorted(x, edges, "right"), prepend=0, append=len(x)) for x in (a, b)]
        labels = _interval_labels(in_words(edges, 4, origin))
        quantile_bins = N_BINS if len(edges) == N_BINS - 1 else None
    counts = [np.append(c, m) for c, m in zip(counts, (missing_a, missing_b), strict=True)]
    return _without_empty_bins([*labels, MISSING], *counts, quantile_bins, missing_a, missing_b)


def quantile_edges(ordered):
    """Inner edges of the quantile bins of an ascending array; edges that coincide become one.

    Where many values equal the smallest, what lies below them gets a bin of its own. Where fewer than half of the bins
    are left, as in a column that is mostly zeros, each value that fills a whole bin stays alone and half of the bins
    are cut from the others: else nobody would see them move.
    """
    edges, times = np.unique(_quantiles_of_sorted(ordered, N_BINS), return_counts=True)
    if edges[0] == ordered[0]:
        edges = np.insert(edges, 0, np.nextafter(edges[0], -np.inf))
    if 2 * len(np.unique(edges)) < N_BINS and times.max() > 1:
        alone = edges[-len(times) :][times > 1]
        others = ordered[~np.isin(ordered, alone)]
        if len(others):
            inner = _quantiles_of_sorted(others, N_BINS // 2)
            edges = np.unique(np.concatenate([edges, alone, np.nextafter(alone, -np.inf), inner]))
    return edges


def _quantiles_of_sorted(ordered, n_bins):
    # as numpy.quantile to the last digit, but between two infinite values it is infinite, not NaN
    position = (len(ordered) - 1) * (np.arange(1, n_bins) / n_bins)
    below = np.floor(position).astype(int)
    weight = position - below
    low, high = ordered[below], ordered[np.minimum(below + 1, len(ordered) - 1)]
    with np.errstate(invalid="ignore"):  # between two infinite values
        step = high - low
        between = np.where(weight < 0.5, low + step * weight, high - step * (1 - weight))
    return np.where(low == high, low, between)


def in_words(values, digits, origin=0):
    """Numbers as text that differs where they differ."""
    if origin:
        return [str(origin + int(value)) for value in values]
    for n in range(digits, 18):
        names = [f"{value:.{n}g}" for value in values]
        if len(set(names)) == len(set(values)):
            break
    return names


def _interval_labels(names):
    inner = [f"({low}, {high}]" for low, high in pairwise(names)]
    return [f"<= {names[0]}", *inner, f"> {names[-1]}"]


def count_categories(reference, current, pool_rare):
    """`count_table` for two Series of categories."""
    a, b = _category_counts(reference), _category_counts(current)
    missing_a, missing_b = len(reference) - sum(a.values()), len(current) - sum(b.values())
    labels = sorted(a.keys() | b.keys(), key=str)
    unseen = {label: rows for label, rows in b.items() if label not in a}
    counts = np.array([[a.get(label, 0), b.get(label, 0)] for label in labels], dtype=np.int64).reshape(-1, 2)
    if pool_rare:
        smaller = min(len(reference), len(current)) / (len(reference) + len(current))
        labels, counts = _pool_rare(labels, counts, smaller)
    counts = np.vstack([counts, [missing_a, missing_b]])
    return _without_empty_bins([*labels, MISSING], *counts.T, None, missing_a, missing_b, unseen)


def _pool_rare(labels, counts, smaller):
    """Count categories together until each bin is expected five times in the smaller sample, a share of all rows.

    Only the rows of both samples together decide, so that a test of the bins keeps its level.
    """
    total = counts.sum(axis=1)
    rare = np.flatnonzero(total * smaller < 5)
    if len(rare) < 2:
        return labels, counts
    groups = [rare[total[rare] < 5]]  # names: hardly any comes back
    for i in rare[np.argsort(total[rare], kind="stable")][len(groups[0]) :]:
        if len(groups[-1]) and total[groups[-1]].sum() * smaller >= 5:
            groups.append([])
        groups[-1] = np.append(groups[-1], i).astype(int)
    if len(groups) > 1 and total[groups[-1]].sum() * smaller < 5:
        groups[-2:] = [np.concatenate(groups[-2:])]
    kept = np.setdiff1d(np.arange(len(labels)), rare)
    largest = rare[total[rare].argmax()]
    if len(groups) == 1 and not len(kept) and total[largest] >= 5:  # one bin would tell nothing
        kept, groups = [largest], [np.setdiff1d(rare, largest)]
    names = [RARE] if len(groups) == 1 else [f"(rare {i})" for i in range(1, len(groups) + 1)]
    rows = [counts[kept], [counts[group].sum(axis=0) for group in groups]]
    return [labels[i] for i in kept] + names, np.vstack(rows)


def _category_counts(series):
    """Category -> rows, without the missing ones."""
    try:
        counts = series.value_counts()
    except TypeError:
        raise TypeError(
            f"column {series.name!r} holds lists, dicts or other values that are no categories: take it apart first"
        ) from None
    counts = counts[counts > 0]  # a categorical dtype counts its unused categories too
    return dict(zip(counts.index.tolist(), counts.to_numpy().tolist(), strict=True))


def _without_empty_bins(labels, a, b, quantile_bins, missing_a, missing_b, unseen=None):
    used = (a + b) > 0
    labels = [label for label, keep in zip(labels, used, strict=True) if keep]
    return CountTable(labels, a[used], b[used], quantile_bins, missing_a, missing_b, unseen or {})


# ---------------------------------------------------------------- one unit for every effect


def _psi_of_shares(p, q):
    return np.sum((q - p) * np.log(q / p), axis=-1)


def _triangle_of_shares(p, q):
    # the chi-square statistic of two equally large samples, per row
    total = p + q
    return np.sum(np.divide(2 * (p - q) ** 2, total, out=np.zeros_like(total), where=total > 0), axis=-1)


def _normal_shares(shift, n_bins):
    """Shares of `n_bins` quantile bins of N(0, 1), and the shares of N(shift, 1) in them."""
    edges = special.ndtri(np.arange(1, n_bins) / n_bins)
    cumulative = special.ndtr(edges - np.asarray(shift, dtype=float)[..., None])
    q = np.diff(cumulative, prepend=0.0, append=1.0, axis=-1)
    return np.full_like(q, 1 / n_bins), q


@lru_cache(maxsize=64)
def _shift_curve(divergence, n_bins):
    shifts = np.linspace(0, LARGEST_SHIFT, 161)
    p, q = _normal_shares(shifts, n_bins or MANY_BINS)
    values = divergence(p, np.maximum(q, 1e-300))
    return np.maximum.accumulate(values), shifts


def _shift_of(divergence, value, n_bins):
    values, shifts = _shift_curve(divergence, n_bins)
    # near zero a divergence grows with the square of the shift: interpolate its root
    return float(np.interp(np.sqrt(max(value, 0.0)), np.sqrt(values), shifts))


def psi_of_shift(shift):
    """The PSI of N(0, 1) against N(shift, 1) on ten quantile bins, without sampling noise.

    With infinitely many bins it is the square of the shift, which is in standard deviations.

    >>> round(psi_of_shift(0.5), 5), round(psi_of_shift(1), 5)
    (0.23775, 0.92614)
    """
    return float(_psi_of_shares(*_normal_shares(float(shift), N_BINS)))


def shift_of_psi(value, n_bins=N_BINS):
    """The shift of a normal column, in standard deviations, that gives this PSI: `psi_of_shift` undone.

    `n_bins` is the number of quantile bins of the reference; None means infinitely many.

    >>> round(shift_of_psi(0.25), 2)
    0.51
    """
    if not value >= 0:
        raise ValueError(f"a PSI is a number that is never negative, got {value}")
    if n_bins is None:
        return float(np.sqrt(value))
    return _shift_of(_psi_of_shares, value, n_bins)


def shift_of_ks(statistic):
    """The shift of a normal column, in standard deviations, that gives this KS statistic.

    Two normal curves a shift d apart differ most half-way between them, by 2 Phi(d / 2) - 1. At 8 they are simply
    apart, so more is never returned.

    >>> round(shift_of_ks(0.1), 3)
    0.251
    """
    if not 0 <= statistic <= 1:
        raise ValueError(f"a KS statistic lies between 0 and 1, got {statistic}")
    return float(min(2 * special.ndtri((1 + statistic) / 2), LARGEST_SHIFT))


def auc_of_shift(shift):
    """The AUC of the best classifier between N(0, 1) and N(shift, 1): Phi(shift / sqrt 2).

    A current row minus a reference row is normal around `shift` with variance 1 + 1. For several independent
    columns the shift is the length of the vector of their shifts.

    Parameters
    ----------
    shift : float. Distance of the means, in standard deviations.

    Returns
    -------
    float : 0.5 for no shift, towards 1 for a large one.

    Source: Green and Swets, "Signal detection theory and psychophysics" (1966), d' and the area under the ROC.

    >>> round(auc_of_shift(1.19), 2), round(auc_of_shift(0.2 * 5**0.5), 4)  # the second: 0.2 in each of five columns
    (0.8, 0.6241)
    """
    return float(special.ndtr(shift / np.sqrt(2)))


def shift_of_auc(auc):
    """The shift of a normal column, in standard deviations, that gives this AUC: `auc_of_shift` undone.

    Parameters
    ----------
    auc : float or array. Between 0 and 1.

    Returns
    -------
    float or array
        In standard deviations: 0 for an AUC of 0.5, larger for a larger one, infinite at 1. NaN below 0.5: that is no
        distance, but a sign of repeated rows.

    >>> round(shift_of_auc(0.8), 2), shift_of_auc(0.5), shift_of_auc(0.3)
    (1.19, 0.0, nan)
    """
    auc = as_floats(auc, "auc")
    if (auc < 0).any() or (auc > 1).any():
        raise ValueError("An AUC lies between 0 and 1.")
    shift = np.where(auc < 0.5, np.nan, np.sqrt(2) * special.ndtri(auc))
    return shift.item() if shift.ndim == 0 else shift


def rank_auc(labels, scores):
    """The ROC-AUC of scores by ranks, for labels of 0 and 1 that both occur; equal scores share their rank.

    scikit-learn's own takes most of the time where a cheap classifier meets a small table a thousand times.

    >>> rank_auc(np.array([0, 1, 0, 1]), [0.1, 0.4, 0.4, 0.9])
    0.875
    """
    n_current = labels.sum()
    above = stats.rankdata(scores)[labels == 1].sum() - n_current * (n_current + 1) / 2
    return float(above / (n_current * (len(labels) - n_current)))


def equivalents(*, auc=None, psi=None, ks=None):
    """Translate one threshold (exactly one of the three) into all the others: the same shift of one normal column.

    Parameters
    ----------
    auc : float. AUC of the best classifier between the two samples, 0.5 to 1.
    psi : float. Population stability index on ten quantile bins.
    ks : float. Kolmogorov-Smirnov statistic, 0 to 1.

    Returns
    -------
    dict : `shift` (in standard deviations), `auc`, `psi` and `ks`.

    >>> {name: round(value, 2) for name, value in equivalents(auc=0.8).items()}
    {'shift': 1.19, 'auc': 0.8, 'psi': 1.29, 'ks': 0.45}
    """
    given = {name: value for name, value in {"auc": auc, "psi": psi, "ks": ks}.items() if value is not None}
    if len(given) != 1:
        raise ValueError("give exactly one of auc, psi, ks")
    name, value = given.popitem()
    low, high = {"auc": (0.5, 1.0), "ks": (0.0, 1.0), "psi": (0.0, np.inf)}[name]
    if not low <= value < high:
        raise ValueError(f"{name} must be at least {low:g} and below {high:g}, got {value}")
    shift = {"auc": shift_of_auc, "psi": shift_of_psi, "ks": shift_of_ks}[name](value)
    return {
        "shift": shift,
        "auc": auc_of_shift(shift),
        "psi": psi_of_shift(shift),
        "ks": float(2 * special.ndtr(shift / 2) - 1),
    }


# ---------------------------------------------------------------- the distances


def psi(reference, current):
    """Population stability index: how much rows have moved between the bins of the reference.

    PSI = sum over bins of (q - p) ln(q / p), with p and q the shares of reference and current. Half a row is added to each
    bin of each sample, so that an empty bin does not make the index infinite.

    Parameters
    ----------
    reference, current : array-like, shape (n,) and (m,)
        Numbers, times or categories. Missing values are a bin of their own. Numbers are cut into ten quantile bins of the
        reference, closed on the right; a column with at most ten different values gets one bin a value, and one for all
        values the reference never showed.

    Returns
    -------
    DriftTest
        The index has no unit: it is 0 for equal shares, and larger the further rows have moved. The p-value is from
        `psi_null`; the effect size is corrected for what chance adds to the index.

    The customary limits 0.1 and 0.25 know nothing of the number of rows: see `psi_null`. Source: Yurdakul,
    "Statistical properties of population stability index" (2018), Western Michigan University.

    >>> rng = np.random.default_rng(0)
    >>> result = psi(rng.normal(size=50_000), rng.normal(0.5, 1, size=50_000))
    >>> round(result.statistic, 2), round(result.effect_size, 2)
    (0.24, 0.5)
    """
    table = count_table(reference, current)
    n, m = table.sizes
    value = psi_value(table)
    df = len(table.labels) - 1
    if df == 0:
        return _of_table("PSI", table, 0.0, 1.0, 0.0)
    per_degree = 1 / n + 1 / m  # the law of psi_null, in these units
    shift = shift_of_psi(max(value - df * per_degree, 0.0), table.quantile_bins)
    return _of_table("PSI", table, value, float(special.chdtrc(df, value / per_degree)), shift)


def psi_value(table):
    """The PSI of a `CountTable`, nothing else."""
    return float(_psi_of_shares(*table.shares(SMOOTHING)))


def psi_null(n_reference, n_current, n_bins=N_BINS):
    """The law of the PSI if nothing changed, a frozen scipy distribution: chi-square(n_bins - 1) times (1/n + 1/m).

    It is exact for many rows; at 100 against 100 its upper points are somewhat low, see `psi_under_no_drift`.
    Source: Yurdakul (2018).

    >>> law = psi_null(100, 100)
    >>> print(round(law.mean(), 2), round(law.ppf(0.95), 3))
    0.18 0.338
    """
    if min(n_reference, n_current) < 1:
        raise ValueError(f"both samples need rows, got {n_reference} and {n_current}")
    return stats.chi2(n_bins - 1, scale=1 / n_reference + 1 / n_current)


def false_alarm_rate(n_reference, n_current):
    """How often the PSI of ten bins is above the customary limit of 0.1 when nothing has changed.

    Parameters
    ----------
    n_reference, n_current : int. Rows of each sample.

    Returns
    -------
    float : a probability, from `psi_null`.

    >>> round(false_alarm_rate(10_000, 100), 2), false_alarm_rate(10_000, 1_000) < 1e-12
    (0.36, True)
    """
    return float(psi_null(n_reference, n_current).sf(0.1))


def psi_under_no_drift(
    n_reference, n_current, *, n_bins=N_BINS, n_repeats=10_000, smoothing=SMOOTHING, random_state=None
):
    """Draw `n_repeats` PSI values of a continuous column that has not changed.

    The column's law does not matter, since the bins are quantiles; so only bin shares are drawn, not rows.
    `smoothing` rows are added to each bin of each sample.

    >>> values = psi_under_no_drift(100, 100, n_repeats=100_000, random_state=0)
    >>> print(round((values > 0.1).mean(), 2))
    0.8
    """
    rng = np.random.default_rng(random_state)
    if n_reference <= n_bins:
        raise ValueError(f"{n_reference} reference rows do not fill {n_bins} quantile bins")
    if n_current < 1:
        raise ValueError("current has no rows")
    # an edge lies between two neighbors of the sorted reference, as numpy.quantile puts it
    position = (n_reference - 1) * np.arange(1, n_bins) / n_bins
    below = np.floor(position).astype(int)
    weight = position - below
    ranks = np.unique(np.concatenate([below, below + 1]))
    # sorted uniforms: partial sums of exponentials, so sums over many rows are gammas
    steps = np.diff(ranks + 1, prepend=0, append=n_reference + 1)
    sums = np.cumsum(rng.standard_gamma(steps, size=(n_repeats, len(steps))), axis=1)
    ordered = sums[:, :-1] / sums[:, -1:]
    low = ordered[:, np.searchsorted(ranks, below)]
    high = ordered[:, np.searchsorted(ranks, below + 1)]
    edges = low + weight * (high - low)
    mass = np.diff(edges, prepend=0.0, append=1.0, axis=1)
    in_current = rng.multinomial(n_current, mass / mass.sum(axis=1, keepdims=True))
    in_reference = np.diff(below + 1, prepend=0, append=n_reference)
    p = (in_reference + smoothing) / (n_reference + smoothing * n_bins)
    q = (in_current + smoothing) / (n_current + smoothing * n_bins)
    return _psi_of_shares(p, q)


def chi_square(reference, current):
    """Pearson's chi-square test: do both samples have the same shares?

    Parameters
    ----------
    reference, current : array-like, shape (n,) and (m,)
        Categories; numbers and times are cut into ten quantile bins of the reference. Missing is a category.
        Categories expected fewer than five times in the smaller sample are counted together until they are
        expected that often; those with fewer than five rows in both samples together are one bin.

    Returns
    -------
    DriftTest
        The statistic has no unit: it is 0 for equal shares, and larger the less they agree. No continuity correction,
        as `scipy.stats.chi2_contingency(correction=False)`. Where no two bins are expected five times, the p-value is
        Fisher's for the most frequent category against all others; NaN, and with it the effect size, where no
        category has five rows (names, or too few rows). For equally large samples half the effect size is about
        Cramér's V. Both samples are draws; a test of goodness of fit, such as Evidently's, takes the reference for
        the truth and has smaller p-values.

    Raises
    ------
    ValueError : for an empty sample, or samples of different kinds.

    >>> result = chi_square(["a"] * 50 + ["b"] * 50, ["a"] * 30 + ["b"] * 70)
    >>> round(result.statistic, 2), round(result.pvalue, 4)
    (8.33, 0.0039)
    """
    return chi_square_of_table(count_table(reference, current, pool_rare=True))


def chi_square_of_table(table):
    """`chi_square` for a `CountTable`."""
    n, m = table.sizes
    df = len(table.labels) - 1
    if table.labels == [RARE]:
        return _of_table("chi-square", table, np.nan, np.nan, np.nan)
    if df <= 0:
        return _of_table("chi-square", table, 0.0, 1.0, 0.0)
    total = table.reference + table.current
    expected = total * (n / (n + m))
    # both rows of the 2 x k table at once: their deviations are equal, their expectations n : m
    statistic = float(np.sum((table.reference - expected) ** 2 / expected) * (1 + n / m))
    excess = float(_triangle_of_shares(*table.shares())) - df * (1 / n + 1 / m)
    shift = _shift_of(_triangle_of_shares, excess, table.quantile_bins)
    pvalue = float(special.chdtrc(df, statistic))
    if RARE in table.labels and df == 1 and min(expected.min(), (total - expected).min()) < 5:
        pvalue = float(stats.fisher_exact([table.reference, table.current]).pvalue)
    return _of_table("chi-square", table, statistic, pvalue, shift)


def _of_table(name, table, statistic, pvalue, effect_size):
    return DriftTest(
        name,
        statistic,
        pvalue,
        effect_size,
        *table.sizes,
        table.missing_reference,
        table.missing_current,
        table.frame(),
    )


def ks(reference, current):
    """Two-sample Kolmogorov-Smirnov test: the largest gap between the two cumulative curves.

    Parameters
    ----------
    reference, current : array-like, shape (n,) and (m,)
        Numbers or times. Missing values are left out of the curves and counted in the result.

    Returns
    -------
    DriftTest
        The statistic has no unit: it is 0 for equal samples and 1 for samples that are apart. It and the p-value are
        those of `scipy.stats.ks_2samp` (exact up to 10,000 rows, asymptotic above). Ties make this p-value too large;
        R's `ks.test` allows for them. The effect size is corrected for what chance adds to the statistic, see `ks_effect`.

    Raises
    ------
    ValueError : for categories, or a sample without any value.

    Notes
    -----
    With many rows every crumb is significant: read the effect size.

    >>> rng = np.random.default_rng(0)
    >>> result = ks(rng.normal(size=200_000), rng.normal(0.05, 1, size=200_000))
    >>> result.pvalue < 1e-20, round(result.effect_size, 2)
    (True, 0.05)
    """
    reference, current = as_series(reference, "reference"), as_series(current, "current")
    kind = common_kind(reference, current)
    if kind in CATEGORICAL:
        raise ValueError("ks needs numbers or times: use chi_square or psi for categories")
    for role, column in (("reference", reference), ("current", current)):
        if column.isna().all():
            raise ValueError(f"{role} has only missing values: compare the missing share instead")
    (a, missing_a), (b, missing_b), _ = sorted_numbers(reference, current, kind)
    statistic, _ = ks_statistic(a, b)
    sizes = len(a) + missing_a, len(b) + missing_b
    effect = ks_effect(statistic, len(a), len(b))
    curves = _cumulative_curves(a, b)
    pvalue = ks_pvalue(a, b, statistic)
    return DriftTest("KS", statistic, pvalue, effect, *sizes, missing_a, missing_b, curves)


def ks_statistic(a, b):
    """The KS statistic of two ascending arrays, and the value where the curves are furthest apart."""
    # the gap can only peak at a value of the sample that is ahead there
    return max(_furthest_ahead(a, b), _furthest_ahead(b, a))


def ks_effect(statistic, n, m):
    """The shift behind a KS statistic of n and m values, less what chance adds to it.

    If nothing has changed the square of the statistic is pi^2 / 12 * (1/n + 1/m) on average (Kolmogorov's law), so that
    `shift_of_ks` alone would read 0.3 sd at 100 against 100 rows. Half of all quiet samples now have an effect of 0;
    the mean is 0.08 there.
    """
    by_chance = np.pi**2 / 12 * (1 / n + 1 / m)
    return shift_of_ks(np.sqrt(max(statistic**2 - by_chance, 0.0)))


def _furthest_ahead(a, b):
    # at ties only the last one of `a` counts, and it has the largest value
    ahead = np.arange(1, len(a) + 1) / len(a)
    ahead -= np.searchsorted(b, a, "right") / len(b)
    i = int(ahead.argmax())
    return float(ahead[i]), float(a[i])


def ks_pvalue(a, b, statistic):
    """Two-sided p-value as scipy's `ks_2samp(method="auto")` has it, for ascending arrays."""
    n, m = len(a), len(b)
    if max(n, m) <= 10_000:
        # "exact calculation unsuccessful": scipy then takes the asymptotic one
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return float(stats.ks_2samp(a, b).pvalue)
    return float(stats.kstwo.sf(statistic, np.round(n * m / (n + m))))


def _cumulative_curves(a, b):
    # 200 values of each that occur, so that infinite ones do no harm
    at = np.unique(np.concatenate([x[np.linspace(0, len(x) - 1, 200).astype(int)] for x in (a, b)]))
    curves = {
        name: np.searchsorted(x, at, "right") / len(x) for name, x in (("reference", a), ("current", b))
    }
    return pd.DataFrame(curves, index=pd.Index(at, name="value"))
