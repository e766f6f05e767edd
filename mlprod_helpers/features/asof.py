"""Joins that know only what was known when a request came."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mlprod_helpers.names import need_columns


def as_of(requests, events, *, at, known_at, by=None, columns=None, max_age=None):
    """Give each request the newest event that was known when it came: a point-in-time join.

    Parameters
    ----------
    requests : DataFrame. One row a request, in any order.
    events : DataFrame. One row a reported value, in any order; events that never became known (NaT) are left out.
    at : str. Column of `requests`: the moment of the request.
    known_at : str. Column of `events`: the moment from which the values were known, not the one that they describe.
    by : str, list of str or None. Columns of both frames that must agree, such as ``"origin"``.
    columns : list of str or None. Columns of `events` to add; all but `by` where None.
    max_age : Timedelta, str or None. Older events are not used, such as ``"2h"``.

    Returns
    -------
    DataFrame : the requests in their own order and with their own index, with the added columns; missing where nothing
        was known. Where two events became known at once, the later one in the frame counts.

    Raises
    ------
    KeyError : for a column that is not there, with the nearest name.
    ValueError : for a request without time, times of different zones, or an added column that `requests` already has.

    Notes
    -----
    This is `pandas.merge_asof` on the time of knowledge, without its demands on order.

    >>> asked = pd.DataFrame({"at": pd.to_datetime(["2013-01-01 10:00", "2013-01-01 09:00"])})
    >>> reports = pd.DataFrame({"known_at": pd.to_datetime(["2013-01-01 09:30", "2013-01-01 08:00"]), "wind": [25, 10]})
    >>> as_of(asked, reports, at="at", known_at="known_at", columns=["wind"])["wind"].tolist()
    [25, 10]
    """
    by = _listed(by)
    need_columns(requests, [at, *by])
    need_columns(events, [known_at, *by, *(columns or [])])
    columns = [name for name in (events if columns is None else columns) if name not in by]
    if both := [name for name in columns if name in requests]:
        raise ValueError(f"both frames have a column {both[0]!r}: rename one, or name the `columns` to add")
    left_at, right_at = _times(requests, at, events, known_at)
    added = pd.DataFrame({"_known": right_at, **{name: events[name] for name in [*by, *columns]}}, copy=False)
    left = pd.DataFrame({"_at": left_at, **{name: requests[name] for name in by}}, copy=False)
    if right_at.isna().any():
        added = added[right_at.notna()]
    if not added["_known"].is_monotonic_increasing:
        added = added.sort_values("_known", kind="stable")
    order = None
    if not left_at.is_monotonic_increasing:
        order = np.argsort(left_at.to_numpy(), kind="stable")
        left = left.iloc[order]
    joined = pd.merge_asof(
        left,
        added,
        left_on="_at",
        right_on="_known",
        by=by or None,
        tolerance=None if max_age is None else pd.Timedelta(max_age),
    )[columns]
    if order is not None:
        back = np.empty(len(order), dtype=np.intp)
        back[order] = np.arange(len(order))
        joined = joined.take(back)
    joined.index = requests.index
    return pd.concat([requests, joined], axis=1)


def mean_before(requests, events, *, at, happened, known_at, value, window, by=None):
    """Mean over the events that happened in a window before each request and were known when it came.

    Parameters
    ----------
    requests, events : DataFrame. In any order.
    at : str. Column of `requests`: the moment of the request.
    happened, known_at : str
        Columns of `events`. An event counts if it happened after ``at - window`` and at the latest at `at`, and was
        known at the latest at `at`. With ``known_at=happened``, one computes what the finished table says.
    value : str. Column of `events` to average; missing values are left out.
    window : Timedelta or str, such as ``"2h"``
    by : str, list of str or None. Columns of both frames that must agree.

    Returns
    -------
    Series of float, with the index of `requests`; NaN where no event counts.

    Raises
    ------
    KeyError : for a column that is not there, with the nearest name.
    ValueError : for a request without time, or a window that is not positive.

    Notes
    -----
    An event counts for the requests from ``max(happened, known_at)`` to ``happened + window``. Differences of two
    cumulative sums add up these intervals: n log n, whatever the window.

    >>> flights = pd.DataFrame({"left": pd.to_datetime(["2013-01-01 08:00", "2013-01-01 08:30"]),
    ...                         "landed": pd.to_datetime(["2013-01-01 09:00", "2013-01-01 12:00"]), "late": [4.0, 90.0]})
    >>> asked = pd.DataFrame({"at": pd.to_datetime(["2013-01-01 09:30"])})
    >>> names = {"at": "at", "happened": "left", "value": "late", "window": "2h"}
    >>> mean_before(asked, flights, known_at="landed", **names).tolist()  # as a service
    [4.0]
    >>> mean_before(asked, flights, known_at="left", **names).tolist()  # from the finished table
    [47.0]
    """
    by = _listed(by)
    need_columns(requests, [at, *by])
    need_columns(events, [happened, known_at, value, *by])
    window = pd.Timedelta(window)
    if not window > pd.Timedelta(0):
        raise ValueError(f"window={window} is no time span before the request: write '2h'")
    asked, begin = _times(requests, at, events, happened)
    known = _times(requests, at, events, known_at)[1]
    there = (events[value].notna() & begin.notna() & known.notna()).to_numpy()
    begin, known = begin.to_numpy()[there], known.to_numpy()[there]
    first, last = np.maximum(begin, known), begin + window.to_numpy()
    values = events[value].to_numpy(dtype="float64", na_value=np.nan)[there]
    moments = asked.to_numpy()
    groups, group = _codes(requests, events, by)
    group, counts = group[there], first < last
    first, last, group, values = first[counts], last[counts], group[counts], values[counts]
    if not len(values):
        return pd.Series(np.nan, index=requests.index, name=value)
    centre = values.mean()  # small sums lose fewer digits
    # times as ranks, so that group and time fit into one whole number
    _, rank = np.unique(np.concatenate([moments, first, last]), return_inverse=True)
    span, n = rank.max() + 1, len(moments)
    key = groups * span + rank[:n]
    total, number = np.zeros(n), np.zeros(n, dtype=np.int64)
    for sign, ranks in ((1, rank[n : n + len(values)]), (-1, rank[n + len(values) :])):
        edge = group * span + ranks
        order = np.argsort(edge, kind="stable")
        edge = edge[order]
        upto = np.searchsorted(edge, key, side="right")
        before = np.searchsorted(edge, groups * span, side="left")
        sums = np.concatenate([[0.0], np.cumsum((values - centre)[order])])
        total += sign * (sums[upto] - sums[before])
        number += sign * (upto - before)
    mean = np.full(n, np.nan)
    some = number > 0
    mean[some] = centre + total[some] / number[some]
    return pd.Series(mean, index=requests.index, name=value)


def _listed(by):
    return [] if by is None else [by] if isinstance(by, str) else list(by)


def _times(requests, at, events, known_at):
    """Both columns of times in one unit; each request has one, and times with and without zone are not comparable."""
    left, right = requests[at], events[known_at]
    for name, column in ((at, left), (known_at, right)):
        if not pd.api.types.is_datetime64_any_dtype(column.dtype):
            raise ValueError(f"column {name!r} is {column.dtype}, no time: pd.to_datetime")
    if left.isna().any():
        raise ValueError(f"a request has no time in {at!r}: nobody knows what was known then")
    if (left.dt.tz is None) != (right.dt.tz is None):
        raise ValueError(f"only one of {at!r} and {known_at!r} has a time zone: tz_localize the other")
    if left.dt.tz is not None:
        left, right = left.dt.tz_convert("UTC"), right.dt.tz_convert("UTC")
        left, right = left.dt.tz_localize(None), right.dt.tz_localize(None)
    unit = "ns" if "ns" in (left.dt.unit, right.dt.unit) else "us"
    return left.dt.as_unit(unit), right.dt.as_unit(unit)


def _codes(requests, events, by):
    """A whole number for each group of requests and of events; zeros without groups."""
    if not by:
        return np.zeros(len(requests), dtype=np.int64), np.zeros(len(events), dtype=np.int64)
    both = pd.concat([requests[by].astype(object), events[by].astype(object)], ignore_index=True)
    codes = both.groupby(by, sort=False, dropna=False).ngroup().to_numpy().astype(np.int64)
    return codes[: len(requests)], codes[len(requests) :]
