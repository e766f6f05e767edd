"""Are the features that a service used those that training would compute?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from mlprod_helpers.names import need_columns

_MOST, _LOOK = 0.9, 20_000  # share of rows that must follow a pattern; rows looked at for it


def parity(served, replayed, features, *, atol=1e-9):
    """Compare features as served with the same features replayed from raw data, request by request.

    Parameters
    ----------
    served, replayed : DataFrame
        One row a request, named once by `request_id`, by which rows are matched; a request that only one frame has is
        left out. The order of `served` should be that of time: it shows whether values are stale.
    features : list of str. Columns of both frames.
    atol : float. Numbers that differ by more are different. Two missing values are equal.

    Returns
    -------
    DataFrame : one row a feature, those that differ most first.
        ================  ======================================================================
        column            meaning
        ================  ======================================================================
        feature           its name
        rows              requests that both frames have
        share_different   share of them with different values
        served_missing    share missing in the service
        replayed_missing  share missing in the replay
        ratio             median of served / replayed among the different numbers
        difference        median of served - replayed among them
        likely_cause      what the pattern looks like, in words; a suspicion, not a proof
        ================  ======================================================================

    Raises
    ------
    KeyError : for a column that is not there, with the nearest name.
    ValueError : for a request that stands twice.

    >>> replayed = pd.DataFrame({"request_id": [1, 2, 3, 4], "miles": [200.0, 350.0, 1400.0, 700.0]})
    >>> served = replayed.assign(miles=[321.9, 563.3, 2253.1, 1126.5])
    >>> parity(served, replayed, ["miles"], atol=0.1)[["feature", "share_different", "likely_cause"]]
      feature  share_different likely_cause
    0   miles              1.0  factor 1.61
    """
    for frame in (served, replayed):
        need_columns(frame, ["request_id", *features])
    here, there = _matched(served["request_id"], replayed["request_id"])
    rows = [
        {"feature": name, "rows": len(here), **_compare(served[name], replayed[name], here, there, atol)}
        for name in features
    ]
    table = pd.DataFrame(rows).sort_values("share_different", ascending=False, kind="stable")
    return table.reset_index(drop=True)


def replay(log, compute):
    """Compute the features of logged requests again, from the fields that the requests had.

    Parameters
    ----------
    log : DataFrame. A request log with the column `raw` (see `requestlog.COLUMNS`).
    compute : function that training uses: DataFrame of these fields -> DataFrame of features, row by row in the same order

    Returns
    -------
    DataFrame : `request_id` and the features, one row for each request whose fields are in the log, with the log's index.

    Raises
    ------
    ValueError : for a log without any such request.

    >>> log = pd.DataFrame({"request_id": ["r1", "r2"], "miles": [321.9, 200.0], "raw": [{"miles": 200.0}, {"miles": 200.0}]})
    >>> parity(log, replay(log, lambda fields: fields), ["miles"])[["feature", "share_different"]]
      feature  share_different
    0   miles              0.5
    """
    known = log[log["raw"].notna()] if "raw" in log else log.iloc[:0]
    if not len(known):
        raise ValueError("no request of this log has its fields in 'raw': only its features were logged")
    replayed = compute(pd.DataFrame(known["raw"].tolist(), index=known.index))
    return replayed.assign(request_id=known["request_id"])[["request_id", *replayed.columns]]


def _matched(served, replayed):
    """Positions of the common requests in both frames."""
    index = pd.Index(replayed)
    if not (index.is_unique and served.is_unique):
        raise ValueError("a request stands twice: one row a request")
    at = index.get_indexer(pd.Index(served))
    return np.flatnonzero(at >= 0), at[at >= 0]


def _compare(served, replayed, here, there, atol):
    numbers = all(
        pd.api.types.is_numeric_dtype(column.dtype) and not isinstance(column.dtype, pd.CategoricalDtype)
        for column in (served, replayed)
    )
    if numbers:
        a = served.to_numpy(dtype=float, na_value=np.nan)[here]
        b = replayed.to_numpy(dtype=float, na_value=np.nan)[there]
        no_a, no_b = np.isnan(a), np.isnan(b)
        unlike = ~(np.abs(a - b) <= atol)
        unlike &= a != b  # infinities
    else:
        a, b = served.to_numpy(dtype=object)[here], replayed.to_numpy(dtype=object)[there]
        no_a, no_b = pd.isna(a), pd.isna(b)
        unlike = (a != b) & ~(no_a & no_b)
    unlike &= ~(no_a & no_b)
    both = np.flatnonzero(unlike & ~no_a & ~no_b)
    looked = both if len(both) <= _LOOK else both[:: len(both) // _LOOK]
    ratio = difference = np.nan
    if numbers and len(both):
        x, y = a[both], b[both]
        difference = float(np.median(x - y))
        nonzero = y != 0
        ratio = float(np.median(x[nonzero] / y[nonzero])) if nonzero.any() else np.nan
    only_served_missing = int((no_a & ~no_b).sum())
    cause = ""
    if unlike.any():
        cause = _cause(a, b, looked, ratio, difference, only_served_missing, int(unlike.sum()), numbers)
    return {
        "share_different": float(unlike.mean()) if len(unlike) else np.nan,
        "served_missing": float(no_a.mean()) if len(unlike) else np.nan,
        "replayed_missing": float(no_b.mean()) if len(unlike) else np.nan,
        "ratio": ratio,
        "difference": difference,
        "likely_cause": cause,
    }


def _cause(a, b, looked, ratio, difference, lost, different, numbers):
    """What the pattern of the rows that differ looks like."""
    if lost > _MOST * different:
        return "missing in the service"
    x, y = a[looked], b[looked]
    if len(x) >= 3 and (one := _one_value(x)) is not None and _one_value(y) is None:
        return f"default {one:g}" if numbers else f"default {one}"
    if numbers:
        if len(np.unique(y)) > 1 and _is_factor(x, y, ratio):
            return f"factor {ratio:.3g}"
        if words := _shift(x, y, difference):
            return words
    if _is_code(x, y):
        return "other codes"
    if _repeats(a) > _repeats(b) + 0.2:
        return "stale"
    if lost > 0.05 * different:
        return "leak? the service knows less than the replay"
    return "no simple pattern"


def _is_factor(x, y, ratio):
    return ratio != 0 and np.mean(np.abs(x - ratio * y) <= 0.005 * np.abs(x)) > _MOST


def _one_value(values):
    """The value that nearly all rows have, or None."""
    found, counts = np.unique(values.astype(str) if values.dtype == object else values, return_counts=True)
    return found[counts.argmax()] if counts.max() > _MOST * len(values) else None


def _shift(x, y, difference):
    gap = x - y
    if np.mean(np.abs(gap - difference) <= 0.005 * np.abs(difference)) > _MOST:
        return f"shifted by {difference:.3g}"
    if np.all((x >= 0) & (x < 24) & (y >= 0) & (y < 24)) and np.all(gap == np.round(gap)):
        hours = np.unique(gap % 24)
        # two where summer time begins or ends
        if len(hours) == 1 or (len(hours) == 2 and np.diff(hours) in (1, 23)):
            return "shifted by " + " or ".join(f"{hour:g}" for hour in hours) + " hours (modulo 24)"
    return ""


def _is_code(x, y):
    """Whether each value of one side stands for one value of the other, among few."""
    pairs = pd.DataFrame({"x": x, "y": y}).value_counts()
    if len(x) < 3 * len(pairs) and len(pairs) > 1:
        return False
    for level in ("x", "y"):
        if pairs.groupby(level=level).max().sum() <= _MOST * len(x):
            return False
    return len(pairs) > 1


def _repeats(values):
    """Share of rows that repeat the value of the row before, missing ones left out."""
    there = values[~pd.isna(values)]
    return float(np.mean(there[1:] == there[:-1])) if len(there) > 1 else 0.0
