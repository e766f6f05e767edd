"""The PSI of week after week against one reference, fast enough for a year of many columns."""

import numpy as np
import pandas as pd

from mlprod_helpers.drift.columns import as_table, common_kind, numbers_of
from mlprod_helpers.drift.distances import CATEGORICAL, N_BINS, SMOOTHING, n_distinct, quantile_edges


def psi_over_time(reference, current, by):
    """The PSI of each batch of rows, for each column: `psi` many times, with the bins cut once.

    Parameters
    ----------
    reference : pandas.DataFrame, shape (n, k). Its columns are compared.
    current : pandas.DataFrame, shape (m, >= k). The rows of all batches.
    by : array-like, shape (m,). The batch of each row: a number, a week, a day.

    Returns
    -------
    pandas.DataFrame
        One row a batch, in ascending order; the columns of the reference. The index has no unit: it is 0 for equal
        shares, and larger the further rows have moved.

    >>> rng = np.random.default_rng(0)
    >>> before = pd.DataFrame({"wind": rng.normal(10, 4, 5_000)})
    >>> weeks = pd.DataFrame({"wind": np.append(rng.normal(10, 4, 500), rng.normal(13, 4, 500))})
    >>> psi_over_time(before, weeks, by=np.repeat(["week 1", "week 2"], 500)).round(2)
            wind
    week 1  0.02
    week 2  0.63
    """
    reference, current = as_table(reference, "reference"), as_table(current, "current")
    missing = [name for name in reference if name not in current]
    if missing:
        raise ValueError(f"current has no column {missing[0]!r}")
    batch, names = _batches(by)
    if len(batch) != len(current) or (batch < 0).any():
        raise ValueError(
            f"by names the batch of each of the {len(current)} rows: got {len(batch)}, none may be missing"
        )
    values = {
        name: _psi_of_batches(*_bins(reference[name], current[name]), batch, len(names)) for name in reference
    }
    return pd.DataFrame(values, index=pd.Index(names)).set_axis(reference.columns, axis=1)


def _batches(by):
    # a Series keeps what an array would lose: the zone of times, missing values beside numbers
    by = by if hasattr(by, "dtype") else pd.Series(by)
    if np.ndim(by) != 1:
        raise ValueError(f"by must be one name a row, got {np.ndim(by)} dimensions")
    try:
        return pd.factorize(by, sort=True)
    except TypeError:
        raise TypeError(
            "by holds names of different types, which have no order: convert them to text"
        ) from None


def _psi_of_batches(bins, bins_now, n_labels, batch, n_batches):
    a = np.bincount(bins, minlength=n_labels)
    b = np.bincount(batch * n_labels + bins_now, minlength=n_batches * n_labels).reshape(n_batches, n_labels)
    used = (a + b) > 0  # bins that are empty in both samples vanish, as in `psi`
    extra = SMOOTHING * used.sum(axis=1, keepdims=True)
    p = np.where(used, (a + SMOOTHING) / (a.sum() + extra), 1.0)
    q = np.where(used, (b + SMOOTHING) / (b.sum(axis=1, keepdims=True) + extra), 1.0)
    return ((q - p) * np.log(q / p)).sum(axis=1)


def _bins(reference, current):
    """The bin of each row of both samples, and how many bins there are; the last one holds missing values."""
    kind = common_kind(reference, current)
    if kind in (*CATEGORICAL, "missing"):
        try:
            codes, labels = pd.factorize(pd.concat([reference.astype(object), current.astype(object)]))
        except TypeError:
            raise TypeError(
                f"column {reference.name!r} holds lists or other values that are no categories: take it apart first"
            ) from None
        codes = np.where(codes < 0, len(labels), codes)
        return codes[: len(reference)], codes[len(reference) :], len(labels) + 1
    *both, _ = numbers_of(reference, current, kind)
    ordered = np.sort(both[0][~np.isnan(both[0])])
    few = n_distinct(ordered) <= N_BINS
    limits = np.unique(ordered) if few else quantile_edges(ordered)

    def numbered(x):
        at = np.searchsorted(limits, x, "left")
        if few and len(limits):  # a value that the reference never showed
            at = np.where(limits[np.minimum(at, len(limits) - 1)] == x, at, len(limits))
        return np.where(np.isnan(x), len(limits) + 1, at)

    return *map(numbered, both), len(limits) + 2
