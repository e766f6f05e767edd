"""The PSI of week after week against one reference, fast enough for a year of many columns."""

import numpy as np
import pandas as pd

from mlprod_helpers.drift.distances import check_bins, kinds_of, n_distinct, quantile_edges, sorted_numbers


def psi_over_time(reference, current, by, *, n_bins=10, smoothing=0.5):
    """The PSI of each batch of rows, for each column: `psi` many times, with the bins cut once.

    Parameters
    ----------
    reference : pandas.DataFrame, shape (n, k)
        Its columns are compared.
    current : pandas.DataFrame, shape (m, >= k)
        The rows of all batches.
    by : array-like, shape (m,)
        The batch of each row: a number, a week, a day.
    n_bins, smoothing
        As for `psi`.

    Returns
    -------
    pandas.DataFrame
        One row a batch, in ascending order; the columns of the reference.

    Raises
    ------
    ValueError
        For a missing column, a column of another kind, or batches without a name.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> before = pd.DataFrame({"wind": rng.normal(10, 4, 5_000)})
    >>> weeks = pd.DataFrame({"wind": np.append(rng.normal(10, 4, 500), rng.normal(13, 4, 500))})
    >>> psi_over_time(before, weeks, by=np.repeat(["week 1", "week 2"], 500)).round(2)
            wind
    week 1  0.02
    week 2  0.63
    """
    n_bins = check_bins(n_bins)
    if not smoothing > 0:
        raise ValueError(f"smoothing must be above 0 (an empty bin has no logarithm), got {smoothing}")
    missing = [name for name in reference if name not in current]
    if missing:
        raise ValueError(f"current has no column {missing[0]!r}")
    batch, names = pd.factorize(np.asarray(by), sort=True)
    if len(batch) != len(current) or (batch < 0).any():
        raise ValueError(
            f"by names the batch of each of the {len(current)} rows: got {len(batch)}, none may be missing"
        )
    values = {
        name: _psi_of_batches(*_bins(reference[name], current[name], n_bins), batch, len(names), smoothing)
        for name in reference
    }
    return pd.DataFrame(values, index=pd.Index(names))


def _psi_of_batches(bins, bins_now, n_labels, batch, n_batches, smoothing):
    a = np.bincount(bins, minlength=n_labels)
    b = np.bincount(batch * n_labels + bins_now, minlength=n_batches * n_labels).reshape(n_batches, n_labels)
    used = (a + b) > 0  # bins that are empty in both samples vanish, as in `psi`
    extra = smoothing * used.sum(axis=1, keepdims=True)
    p = np.where(used, (a + smoothing) / (a.sum() + extra), 1.0)
    q = np.where(used, (b + smoothing) / (b.sum(axis=1, keepdims=True) + extra), 1.0)
    return ((q - p) * np.log(q / p)).sum(axis=1)


def _bins(reference, current, n_bins):
    """The bin of each row of both samples, and how many bins there are; the last one holds missing values."""
    ours, theirs = kinds_of(reference, current)
    if ours != theirs:
        raise ValueError(f"{reference.name!r} holds {ours} values in reference, {theirs} values in current")
    if ours == "category":
        codes, labels = pd.factorize(pd.concat([reference, current]).astype(object))
        codes = np.where(codes < 0, len(labels), codes)
        return codes[: len(reference)], codes[len(reference) :], len(labels) + 1
    ordered, _ = sorted_numbers(reference)
    few = n_distinct(ordered) <= n_bins
    limits = np.unique(ordered) if few else quantile_edges(ordered, n_bins)

    def numbered(series):
        x = _numbers(series)
        at = np.searchsorted(limits, x, "left")
        if few and len(limits):  # a value that the reference never showed
            at = np.where(limits[np.minimum(at, len(limits) - 1)] == x, at, len(limits))
        return np.where(np.isnan(x), len(limits) + 1, at)

    return numbered(reference), numbered(current), len(limits) + 2


def _numbers(series):
    """Values as float64 in the order of the rows; times become days."""
    if pd.api.types.is_datetime64_any_dtype(series.dtype):
        series = series - pd.Timestamp(0, tz=series.dt.tz)
    if pd.api.types.is_timedelta64_dtype(series.dtype):
        series = series / pd.Timedelta(days=1)
    return series.to_numpy(dtype=float, na_value=np.nan)
