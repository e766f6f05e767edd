"""The log as a table: its columns, its rules, and what was known of it at a moment."""

import numpy as np
import pandas as pd

UTC = "datetime64[us, UTC]"


#: what each column of the log holds: its dtype and its meaning, with the unit
COLUMNS = {
    "time": "UTC date: when the request arrived",
    "request_id": "str or int: names the request; a shadow copy has the same one",
    "user_id": "str or int: who asked; missing when unknown",
    "version": "str: the version of the model that answered this row",
    "served": "bool: True: the user got this answer; False: a shadow copy that nobody saw",
    "raw": "dict: the fields of the request, where the service computed its features from them",
    "score": "float: the model's score or probability, before any threshold",
    "prediction": "any: the answer; missing when the model gave none",
    "status": "int: HTTP status: 200 answered, 4xx the sender's fault, 5xx the service's",
    "latency_ms": "float: milliseconds from arrival to answer, waiting in the queue included",
    "attempts": "int: how often the client sent the request, retries included",
    "label": "any: the truth; missing until label_time",
    "label_time": "UTC date: when the truth became known",
    "clicked": "bool: True: the user clicked; False: not so far, or nobody saw it",
    "click_time": "UTC date: when the user clicked first",
    "redo_of": "str or int: request_id of the earlier request that the user repeated",
}
REQUIRED = ("time", "request_id", "version")
KEY = ("request_id", "version")
_TIMES = ("time", "label_time", "click_time")
WHOLE = ("status", "attempts")


class LogError(ValueError):
    """A log that breaks the rules. The message names the row and column, and what to do."""


def features(log):
    """The names of the feature columns: those that the log itself does not define.

    >>> features(pd.DataFrame(columns=["time", "request_id", "version", "distance", "label"]))
    ['distance']
    """
    return [name for name in log.columns if name not in COLUMNS]


def as_log(frame):
    """Make a valid log of a frame: canonical dtypes and order of columns, `served` added, then validated.

    Parameters
    ----------
    frame : DataFrame or mapping of columns, at least `time`, `request_id`, `version`. Times may be text with an
        offset or time-zone aware dates. Numbers among labels and predictions are numbers, whatever dtype holds them:
        labels become floats, since one may be missing. Ids that pandas made floats, as some are missing, are whole again.

    Returns
    -------
    DataFrame : a new frame with a fresh index, in the order of the rows given.

    Raises
    ------
    LogError : what `validate` says.

    >>> log = as_log({"time": ["2013-01-01 05:00Z"], "request_id": [7], "version": ["v1"], "distance": [1400]})
    >>> list(log.columns)
    ['time', 'request_id', 'version', 'served', 'distance']
    """
    log = pd.DataFrame(frame)
    _need_columns(log)
    log = log.reset_index(drop=True)
    for name in _TIMES:
        if name in log:
            log[name] = _utc_column(log[name])
    if "served" not in log:
        log["served"] = True
    for name in ("score", "latency_ms"):
        if name in log:
            log[name] = _number_column(log[name])
    if "label" in log and _holds_numbers(log["label"], booleans=True):
        log["label"] = _number_column(log["label"])
    if "prediction" in log and log["prediction"].dtype == object and _holds_numbers(log["prediction"]):
        log["prediction"] = _number_column(log["prediction"])
    for name in ("request_id", "user_id", "redo_of"):
        if name in log and pd.api.types.is_float_dtype(log[name]):
            log[name] = _whole_ids(log[name])
    for name in (*WHOLE, "served", "clicked"):
        dtype = log[name].dtype if name in log else None
        if isinstance(dtype, pd.api.extensions.ExtensionDtype) and not log[name].isna().any():
            log[name] = log[name].astype({"b": bool, "i": "int64", "u": "int64"}.get(dtype.kind, dtype))
    head = [name for name in COLUMNS if name in log.columns]
    at = head.index("served") + 1  # features stand between the request and its answer
    return validate(log[head[:at] + features(log) + head[at:]])


def validate(log):
    """Check a log and return it unchanged, or say which row and column break it and what to do.

    Parameters
    ----------
    log : DataFrame

    Returns
    -------
    DataFrame : the same object, so that calls can be chained.

    Raises
    ------
    LogError : at the first rule that does not hold.

    >>> log = as_log({"time": ["2013-01-01 05:00Z"], "request_id": ["r1"], "version": ["v1"], "latency_ms": [12.0]})
    >>> validate(log.assign(latency_ms=-12.0))
    Traceback (most recent call last):
    mlprod_helpers.requestlog.table.LogError: Request log, column 'latency_ms', row 0 (request r1): -12.0 is negative.
    Latency is answer minus arrival: were they swapped?
    """
    _need_columns(log)
    for name in _TIMES:
        if name in log:
            _need_utc(log, name)
    for name in REQUIRED:
        _refuse(
            log, name, log[name].isna(), "is missing", "Every request needs it; drop the row or fill it in."
        )
    try:
        repeated = log.duplicated(list(KEY)) if not log["request_id"].is_unique else None
    except TypeError:
        raise LogError(
            "Request log, column 'request_id': an id is text or a whole number, no list."
        ) from None
    if repeated is not None:
        todo = "One row a request and version: count retries in 'attempts', give a new request a new id."
        _refuse(log, "request_id", repeated, "stands twice for the same version", todo)
    _check_served(log, shared=repeated is not None)
    _check_numbers(log)
    for rule in row_rules(log):
        _refuse(log, *rule)
    _check_labels(log)
    _check_clicks(log)
    return log


def served(log):
    """The rows whose answer reached a user: shadow copies left out.

    >>> log = {"time": ["2013-01-01 05:00Z"] * 2, "request_id": [7, 7], "version": ["v1", "v2"], "served": [True, False]}
    >>> served(as_log(log))["version"].tolist()
    ['v1']
    """
    return log[log["served"].eq(True).to_numpy(dtype=bool, na_value=False)] if "served" in log else log


def as_of(log, now):
    """The log as it stood at a moment: what was not yet known is hidden.

    A row is there once its answer has left (`time` plus `latency_ms`): a request that still waits in the queue is in no
    log. A label is missing before its `label_time`, a click False before its `click_time` (without that column a click
    counts as known at once).

    Parameters
    ----------
    log : DataFrame
    now : time-zone aware date or text with an offset ("2013-01-01 12:00Z")

    Returns
    -------
    DataFrame : a new frame; the index is that of the log.

    >>> log = as_log({"time": ["2013-01-01 05:00Z"] * 2, "request_id": [1, 2], "version": "v1", "latency_ms": [20, 9000],
    ...               "label": [227, 40], "label_time": ["2013-01-01 09:07Z", "2013-01-01 05:45Z"]})
    >>> as_of(log, "2013-01-01 05:00:05Z")[["request_id", "label"]]
       request_id  label
    0           1    NaN
    >>> as_of(log, "2013-01-01 06:00Z")["label"].tolist()
    [nan, 40.0]
    """
    _need_columns(log)
    _need_utc(log, "time")
    now = utc(now)
    time = log["time"]
    if time.is_monotonic_increasing:  # a slice is cheap
        log = log.iloc[: time.searchsorted(now, side="right")]
    else:
        log = log[time <= now]
    if "latency_ms" in log:
        waited = (log["latency_ms"].fillna(0.0).to_numpy() * 1000).round().astype("timedelta64[us]")
        log = log[log["time"] + waited <= now]
    log = log.copy()
    if "label_time" in log:
        known = log["label_time"] <= now
        if pd.api.types.is_numeric_dtype(log["label"]):  # whole numbers cannot be missing
            log["label"] = _number_column(log["label"])
        log["label"] = log["label"].where(known)
        log["label_time"] = log["label_time"].where(known)
    if "click_time" in log:
        known = log["click_time"] <= now
        log["clicked"] = log["clicked"] & known
        log["click_time"] = log["click_time"].where(known)
    return log


# ------------------------------------------------------------------------------------------ the rules


def _need_columns(log):
    if log.columns.nlevels > 1:
        raise LogError("Request log: its columns have several levels. Give each column one name.")
    if not log.columns.is_unique:
        twice = log.columns[log.columns.duplicated()][0]
        raise LogError(f"Request log: there are several columns {twice!r}. Rename or drop all but one.")
    if missing := [name for name in REQUIRED if name not in log]:
        raise LogError(
            f"Request log: column {missing[0]!r} is absent. Every log needs {', '.join(REQUIRED)}; "
            "see requestlog.COLUMNS for what each holds."
        )


def _need_utc(log, name):
    if not _is_utc(log[name]):
        raise LogError(
            f"Request log, column {name!r}: dtype {log[name].dtype} is not a UTC time. Convert it: "
            f"pd.to_datetime(log[{name!r}], utc=True), after tz_localize when it is local time."
        )


def _refuse(log, name, wrong, what, todo):
    """Raise about the first row where `wrong` holds; where nobody knows it does not."""
    wrong = pd.Series(wrong).to_numpy(dtype=bool, na_value=False)
    if not wrong.any():
        return
    row = int(wrong.argmax())
    value = log[name].iloc[row]
    value = value if np.isscalar(value) and not is_missing(value) else str(value)
    more = f" ({int(wrong.sum())} such rows)" if wrong.sum() > 1 else ""
    raise LogError(
        f"Request log, column {name!r}, row {log.index[row]} (request {log['request_id'].iloc[row]}): "
        f"{value} {what}{more}. {todo}"
    )


def _check_served(log, *, shared):
    if "served" not in log:
        return
    if log["served"].dtype != bool:
        raise LogError(
            f"Request log, column 'served': dtype {log['served'].dtype}, but it is True or False: astype(bool)."
        )
    if shared:
        twice = log["served"] & log["request_id"].duplicated(keep=False)
        twice &= twice.groupby(log["request_id"]).transform("sum") > 1
        _refuse(
            log,
            "request_id",
            twice,
            "was served by two versions",
            "One answers the user; its copies have served=False.",
        )


def _check_numbers(log):
    for name in WHOLE:
        if name in log and (not pd.api.types.is_integer_dtype(log[name]) or log[name].isna().any()):
            raise LogError(
                f"Request log, column {name!r}: dtype {log[name].dtype}, but it counts: whole numbers, none missing."
            )
    for name in ("latency_ms", "score"):
        if name in log and (not pd.api.types.is_numeric_dtype(log[name]) or log[name].dtype == bool):
            raise LogError(
                f"Request log, column {name!r}: dtype {log[name].dtype}, but it is a number: pd.to_numeric."
            )


def row_rules(log):
    """What must hold in each row, where columns of numbers hold numbers: (column, where it is broken, what is wrong, what to do)."""
    if "status" in log:
        todo = (
            "Use HTTP's numbers: 200 for answered, 400 for a bad request, 500 for a fault, 504 for a timeout."
        )
        yield "status", (log["status"] < 100) | (log["status"] > 599), "is no HTTP status", todo
    if "attempts" in log:
        yield "attempts", log["attempts"] < 1, "is less than one", "The first try counts too."
    if "latency_ms" in log:
        todo = "A request that got no answer counts with the time after which it was given up."
        absent = log["latency_ms"].isna() & log.get("served", True)  # of a shadow copy it may be unknown
        yield "latency_ms", absent | np.isinf(log["latency_ms"]), "is no latency", todo
        todo = "Latency is answer minus arrival: were they swapped?"
        yield "latency_ms", log["latency_ms"] < 0, "is negative", todo
    if "raw" in log:
        odd = log["raw"].notna() & ~log["raw"].map(lambda value: isinstance(value, dict))
        yield "raw", odd, "is no dict", "It holds the fields of the request, by name."
    if "redo_of" in log:
        todo = "Name the earlier request that the user repeated, or leave it missing."
        yield "redo_of", log["redo_of"] == log["request_id"], "is the request itself", todo


def _check_labels(log):
    if ("label" in log) != ("label_time" in log):
        raise LogError("Request log: 'label' and 'label_time' come together: when was the truth known?")
    if "label" not in log:
        return
    labeled, timed = log["label"].notna(), log["label_time"].notna()
    _refuse(
        log,
        "label",
        labeled & ~timed,
        "has no label_time",
        "Say when it became known, or as_of cannot hide it before.",
    )
    _refuse(
        log, "label_time", timed & ~labeled, "has no label", "A label that is not there has no time either."
    )
    todo = "A label is known after the request; were the columns swapped?"
    _refuse(log, "label_time", log["label_time"] < log["time"], "is before the request", todo)


def _check_clicks(log):
    if "click_time" in log and "clicked" not in log:
        raise LogError(
            "Request log: 'click_time' without 'clicked'. Add log['clicked'] = log['click_time'].notna()."
        )
    if "clicked" not in log:
        return
    if log["clicked"].dtype != bool:
        raise LogError(
            f"Request log, column 'clicked': dtype {log['clicked'].dtype}, but it is True or False: astype(bool)."
        )
    if "served" in log:
        _refuse(
            log, "clicked", log["clicked"] & ~log["served"], "on a shadow copy", "Nobody saw that answer."
        )
    if "click_time" in log:
        unlike = log["clicked"] != log["click_time"].notna()
        _refuse(
            log, "clicked", unlike, "contradicts click_time", "A click has a time, and no click has none."
        )
        todo = "A click follows the answer; were the columns swapped?"
        _refuse(log, "click_time", log["click_time"] < log["time"], "is before the request", todo)


# ---------------------------------------------------------------------------------------- small things


def _is_utc(column):
    return isinstance(column.dtype, pd.DatetimeTZDtype) and str(column.dtype.tz) == "UTC"


def _utc_column(column):
    """A column of times as UTC; local times without a zone are refused, not guessed."""
    if _is_utc(column):
        return column.dt.as_unit("us")
    naive = LogError(
        f"Request log, column {column.name!r}: a time without a time zone. Say which one it is: "
        f"frame[{column.name!r}].dt.tz_localize('UTC'), or 'America/New_York'."
    )
    if pd.api.types.is_datetime64_dtype(column):
        raise naive
    if not isinstance(column.dtype, pd.DatetimeTZDtype):
        texts = column.dropna().astype(str)
        # an offset stands at the end: Z, +00:00, -0500
        if not texts.str.contains(r"(?:Z|[+-]\d{2}:?\d{2})$").all():
            raise naive
    try:
        return pd.to_datetime(
            column, utc=True, format="ISO8601" if column.dtype != object else None
        ).dt.as_unit("us")
    except (ValueError, TypeError):
        raise LogError(
            f"Request log, column {column.name!r}: some value is no time. Write it like '2013-01-01 12:00Z'."
        ) from None


def _holds_numbers(column, *, booleans=False):
    if column.dtype != object:
        return pd.api.types.is_numeric_dtype(column) and (booleans or not pd.api.types.is_bool_dtype(column))
    kinds = ("integer", "floating", "mixed-integer-float", "decimal", *(["boolean"] if booleans else []))
    return pd.api.types.infer_dtype(column, skipna=True) in kinds


def _whole_ids(column):
    there = column.notna()
    if (column[there] % 1 != 0).any():
        raise LogError(f"Request log, column {column.name!r}: an id is text or a whole number, no fraction.")
    if there.all():
        return column.astype("int64")
    return pd.Series(
        [int(value) if is_id else None for value, is_id in zip(column, there, strict=True)], dtype=object
    )


def _number_column(column):
    try:
        numbers = column if column.dtype != object else pd.to_numeric(column.where(column.notna(), np.nan))
        return pd.Series(
            numbers.to_numpy(dtype="float64", na_value=np.nan), index=column.index, name=column.name
        )
    except (ValueError, TypeError):
        odd = next(value for value in column if not is_missing(value) and pd.isna(as_number(value)))
        raise LogError(
            f"Request log, column {column.name!r}: {odd!r} is not a number. Convert it or leave it missing."
        ) from None


def as_number(value):
    """A float of a number or a text that reads as one, NaN of anything else."""
    try:
        return float(value)
    except (ValueError, TypeError, OverflowError):
        return np.nan


def utc(time):
    """One moment as a UTC Timestamp; a time without a zone is refused."""
    try:
        time = pd.Timestamp(time)
    except (ValueError, TypeError):
        raise LogError(f"{time!r} is not a time. Write it like '2013-01-01 12:00Z'.") from None
    if time is pd.NaT or time.tzinfo is None:
        raise LogError(f"The time {time} has no time zone. Write '{time}Z' for UTC.")
    return time.tz_convert("UTC").as_unit("us")


def is_missing(value):
    return value is None or (np.isscalar(value) and value != value) or value is pd.NaT or value is pd.NA
