"""For whom is a model worse? The error of each segment, such as each airline, with an interval where there are enough rows."""

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from mlprod_helpers.checklist.fields import RecordError
from mlprod_helpers.checklist.parts import Evidence
from mlprod_helpers.requestlog.numbers import as_floats

FEWEST_ROWS = 30  # with fewer, a segment gets no interval


def segment_errors(errors, segments, days):
    """The mean error of each segment, the largest first, with its 95% interval.

    Rows of one day share its weather, so the interval takes the days as independent, not the rows (a cluster-robust
    standard error with Student's t).

    Parameters
    ----------
    errors : array-like of shape (rows,), such as absolute errors in minutes
    segments : array-like of shape (rows,), such as the airline of each flight
    days : array-like of shape (rows,), the day of each row, or another group of rows that belong together

    Returns
    -------
    DataFrame : index: the segments; `rows`, `error` (the mean), `low` and `high` (NaN with fewer than `FEWEST_ROWS`
        rows or two days).

    Raises
    ------
    RecordError : different lengths, no row, or a missing value.

    Source: C. Cameron and D. Miller, "A practitioner's guide to cluster-robust inference" (2015).

    >>> errors = np.tile([3.0, 5.0, 4.0], 20)
    >>> segment_errors(errors, ["UA"] * 45 + ["AS"] * 15, np.arange(60) // 5).round(1)
        rows  error  low  high
    AS    15    4.0  NaN   NaN
    UA    45    4.0  3.9   4.1
    """
    if not len(errors) == len(segments) == len(days):
        raise RecordError(
            f"There are {len(errors)} errors, {len(segments)} segments and {len(days)} days: one of each for a row."
        )
    parts = {"error": as_floats(errors, "errors"), "segment": np.asarray(segments), "day": np.asarray(days)}
    frame = pd.DataFrame(parts)
    if frame.empty or frame.isna().any(axis=None):
        raise RecordError(
            "Every row needs its error, its segment and its day: leave out rows without a label."
        )
    by_segment = frame.groupby("segment")["error"]
    table = by_segment.agg(rows="size", error="mean").rename_axis(None)
    frame["off"] = frame["error"] - by_segment.transform("mean")
    of_days = frame.groupby(["segment", "day"])["off"].sum().groupby("segment")
    n_days = of_days.size()
    is_known = (table["rows"] >= FEWEST_ROWS) & (n_days > 1)
    more = (n_days - 1).where(is_known)
    variance = of_days.agg(lambda sums: (sums**2).sum()) * n_days / more
    half = stdtrit(more, 0.975) * np.sqrt(variance) / table["rows"]
    table = table.assign(low=table["error"] - half, high=table["error"] + half)
    return table.sort_values("error", ascending=False, kind="stable")


def from_segments(table, unit):
    """Evidence for an error that no segment exceeds: the highest upper end of the intervals.

    Parameters
    ----------
    table : DataFrame, from `segment_errors`
    unit : str, of the errors

    Raises
    ------
    RecordError : no segment has enough rows.

    >>> from_segments(segment_errors(np.tile([3.0, 5.0, 4.0], 20), ["UA"] * 45 + ["AS"] * 15, np.arange(60) // 5), "min")
    Evidence(4.13 min, log, rows 60, worst UA, too few rows AS: upper end of the 95% interval of the worst segment's mean error)
    """
    known = table.dropna()
    if known.empty:
        raise RecordError(f"No segment has {FEWEST_ROWS} rows on two days or more: collect more labels.")
    few = table.index.difference(known.index)
    conditions = {"rows": int(table["rows"].sum()), "worst": str(known["high"].idxmax())}
    if len(few):
        conditions["too few rows"] = [str(name) for name in few]
    how = "upper end of the 95% interval of the worst segment's mean error"
    return Evidence(float(known["high"].max()), unit, "log", how, conditions)
