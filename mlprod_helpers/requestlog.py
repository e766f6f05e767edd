"""The request log: the one table that every service writes, simulated or real.

One row is one request, answered by one version of the model. The key is `(request_id, version)`: a shadow copy of a
request is a second row with `served` False. Times are UTC. Columns that a service does not have are absent, and every
column that is not in `COLUMNS` is a feature. A label is missing until its `label_time`; `as_of` hides what was not
yet known at some moment, so that nobody judges a model by answers from the future.

In memory the log is a plain DataFrame. On disk it is a file of JSON lines that only grows: an event when a request was
answered (`request`), when its truth arrived (`label`), when the user clicked (`click`). `read` joins them.

>>> log = RequestLog()  # RequestLog("requests.jsonl") keeps the lines in a file instead
>>> log.request("r1", time="2013-01-01 10:15Z", version="v1", features={"distance": 1400}, prediction=200.0, latency_ms=12)
>>> log.request("r2", time="2013-01-01 10:20Z", version="v1", features={"distance": 187}, prediction=40.0, latency_ms=9)
>>> log.label("r1", 227.0, time="2013-01-01 14:22Z")
>>> table = log.read()
>>> table[["request_id", "distance", "prediction", "status", "latency_ms", "label"]]
  request_id  distance  prediction  status  latency_ms  label
0         r1      1400       200.0     200        12.0  227.0
1         r2       187        40.0     200         9.0    NaN
>>> as_of(table, "2013-01-01 12:00Z")["label"].isna().all()  # at noon the plane was in the air
np.True_
"""

import json
import math
import os
import threading
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

UTC = "datetime64[us, UTC]"


class Column(NamedTuple):
    """What one column of the log holds: its dtype, and its meaning with the unit."""

    dtype: str
    meaning: str


COLUMNS = {
    "time": Column(UTC, "when the request arrived, UTC"),
    "request_id": Column("str or int", "names the request; a shadow copy has the same one"),
    "user_id": Column("str or int", "who asked; missing when unknown"),
    "version": Column("str", "the version of the model that answered this row"),
    "served": Column("bool", "True: the user got this answer; False: a shadow copy that nobody saw"),
    "score": Column("float", "the model's score or probability, before any threshold"),
    "prediction": Column("any", "the answer; missing when the model gave none"),
    "status": Column("int", "HTTP status: 200 answered, 4xx the sender's fault, 5xx the service's"),
    "latency_ms": Column("float", "milliseconds from arrival to answer, waiting in the queue included"),
    "attempts": Column("int", "how often the client sent the request, retries included"),
    "label": Column("any", "the truth; missing until label_time"),
    "label_time": Column(UTC, "when the truth became known, UTC"),
    "clicked": Column("bool", "True: the user clicked; False: not so far, or nobody saw it"),
    "click_time": Column(UTC, "when the user clicked first, UTC"),
    "redo_of": Column("str or int", "request_id of the earlier request that the user repeated"),
}
REQUIRED = ("time", "request_id", "version")
KEY = ("request_id", "version")
_TIMES = ("time", "label_time", "click_time")
_WHOLE = ("status", "attempts")


class LogError(ValueError):
    """A log that breaks the rules. The message names the row and column, and what to do."""


class LogWarning(UserWarning):
    """A line of a log file that could not be used, and was left out."""


# --------------------------------------------------------------------------------------------- the table


def columns():
    """What may stand in a log: one row a column, with dtype and meaning.

    >>> columns().loc["latency_ms", "meaning"]
    'milliseconds from arrival to answer, waiting in the queue included'
    """
    return pd.DataFrame(COLUMNS.values(), index=pd.Index(COLUMNS, name="column"))


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
        offset or time-zone aware dates. Whole-number and boolean labels become floats, since a label may be missing.

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
    log = pd.DataFrame(frame).reset_index(drop=True)
    _need_columns(log)
    for name in _TIMES:
        if name in log:
            log[name] = _utc_column(log[name])
    if "served" not in log:
        log["served"] = True
    for name in ("score", "latency_ms"):
        if name in log:
            log[name] = _number_column(log[name])
    if "label" in log and pd.api.types.is_numeric_dtype(log["label"]):
        log["label"] = log["label"].astype("float64")
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
    mlprod_helpers.requestlog.LogError: Request log, column 'latency_ms', row 0 (request r1): -12.0 is negative.
    Latency is answer minus arrival: were they swapped?
    """
    _need_columns(log)
    for name in _TIMES:
        if name in log and not _is_utc(log[name]):
            raise LogError(
                f"Request log, column {name!r}: dtype {log[name].dtype} is not a UTC time. Convert it: "
                f"pd.to_datetime(log[{name!r}], utc=True), after tz_localize when it is local time."
            )
    for name in REQUIRED:
        _refuse(
            log, name, log[name].isna(), "is missing", "Every request needs it; drop the row or fill it in."
        )
    repeated = log.duplicated(list(KEY)) if not log["request_id"].is_unique else None
    if repeated is not None:
        todo = "One row a request and version: count retries in 'attempts', give a new request a new id."
        _refuse(log, "request_id", repeated, "stands twice for the same version", todo)
    _check_served(log, shared=repeated is not None)
    _check_numbers(log)
    _check_labels(log)
    _check_clicks(log)
    if "redo_of" in log:
        todo = "Name the earlier request that the user repeated, or leave it missing."
        _refuse(log, "redo_of", log["redo_of"] == log["request_id"], "is the request itself", todo)
    return log


def served(log):
    """The rows whose answer reached a user: shadow copies left out.

    >>> log = {"time": ["2013-01-01 05:00Z"] * 2, "request_id": [7, 7], "version": ["v1", "v2"], "served": [True, False]}
    >>> served(as_log(log))["version"].tolist()
    ['v1']
    """
    return log[log["served"]] if "served" in log else log


def as_of(log, now, *, since=None):
    """The log as it stood at a moment: what was not yet known is hidden.

    A row is there once its answer has left (`time` plus `latency_ms`): a request that still waits in the queue is in no
    log. A label is missing before its `label_time`, a click False before its `click_time` (without that column a click
    counts as known at once).

    Parameters
    ----------
    log : DataFrame
    now : time-zone aware date or text with an offset ("2013-01-01 12:00Z")
    since : the same, or None. Leave out requests that arrived before; cheap on a log sorted by time.

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
    now = _utc(now)
    since = None if since is None else _utc(since)
    log = _arrived(log, since, now)
    if "latency_ms" in log:
        waited = pd.to_timedelta((log["latency_ms"].fillna(0.0) * 1000).round(), unit="us")
        log = log[log["time"] + waited <= now]
    log = log.copy()
    if "label_time" in log:
        known = log["label_time"] <= now
        if pd.api.types.is_numeric_dtype(log["label"]):  # whole numbers cannot be missing
            log["label"] = log["label"].astype("float64")
        log["label"] = log["label"].where(known)
        log["label_time"] = log["label_time"].where(known)
    if "click_time" in log:
        known = log["click_time"] <= now
        log["clicked"] = log["clicked"] & known
        log["click_time"] = log["click_time"].where(known)
    return log


def _arrived(log, since, now):
    """Rows with since <= time <= now; a slice when the log is sorted by time."""
    time = log["time"]
    if time.is_monotonic_increasing:
        first = 0 if since is None else time.searchsorted(since, side="left")
        return log.iloc[first : time.searchsorted(now, side="right")]
    inside = time <= now
    return log[inside if since is None else inside & (time >= since)]


# ------------------------------------------------------------------------------------------- its file


class RequestLog:
    """An append-only log of events, one JSON line each, in a file or in memory.

    Each event is written at once, as one whole line, so several threads and processes may share a file, and a crash
    costs at most its last line. A wrong event is refused before anything is written.

    Parameters
    ----------
    path : str, Path or None. The file to append to (made when there is none); None keeps the lines in memory.
    durable : bool. True waits until the disk has each line: safe against a power cut, but milliseconds slower a line.

    >>> log = RequestLog()
    >>> log.request("r1", time="2013-01-01 05:15Z", version="v1", prediction=200.0, latency_ms=12.0)
    >>> log.click("r1", time="2013-01-01 05:16Z")
    >>> print(log.lines()[1])
    {"event": "click", "time": "2013-01-01T05:16:00Z", "request_id": "r1"}
    >>> log.read()["clicked"].tolist()
    [True]
    """

    def __init__(self, path=None, *, durable=False):
        self.path = None if path is None else Path(path)
        self._durable = durable
        self._memory = []
        self._lock = threading.Lock()
        self._file = None
        if self.path is not None:
            self._file = os.open(
                self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644
            )
            self._finish_broken_line()

    def request(self, request_id, *, version, time=None, features=None, status=200, served=True, **answer):
        """Write that a request was answered.

        Parameters
        ----------
        request_id : str or int
        version : str, which version of the model answered
        time : when the request arrived (None: now)
        features : mapping of name to value, the model's inputs
        status : int, the HTTP status
        served : bool, False for a shadow copy
        answer : further columns of the log: `prediction`, `latency_ms`, `score`, `user_id`, `redo_of`; `clicked=False`
            says that this answer can be clicked.
        """
        features = dict(features or {})
        known = set(COLUMNS) - {"label", "label_time", "click_time"}
        if unknown := sorted(set(answer) - known):
            raise LogError(
                f"{unknown[0]!r} is no column of a request. Inputs of the model belong into features={{...}}."
            )
        if taken := sorted(set(features) & set(COLUMNS)):
            raise LogError(
                f"A feature cannot be called {taken[0]!r}: the log has a column of this name. Rename it."
            )
        row = {
            "request_id": request_id,
            "version": version,
            "served": bool(served),
            "status": status,
            **answer,
        }
        latency = row.get("latency_ms", 0)
        if not (isinstance(latency, (int, float, np.number)) and math.isfinite(latency) and latency >= 0):
            raise LogError(f"latency_ms is {latency!r}, but it is a number of milliseconds, 0 or more.")
        self._write("request", time, row | ({"features": features} if features else {}))

    def label(self, request_id, label, *, time=None):
        """Write that the truth about a request became known at `time` (None: now)."""
        if _is_missing(label):
            raise LogError(f"The label of request {request_id} is missing. Write it when it is known.")
        self._write("label", time, {"request_id": request_id, "label": label})

    def click(self, request_id, *, time=None):
        """Write that the user clicked on the answer to a request at `time` (None: now)."""
        self._write("click", time, {"request_id": request_id})

    def lines(self):
        """The events so far: a list of JSON texts."""
        if self.path is None:
            return list(self._memory)
        return _lines(self.path)

    def read(self):
        """The log as a table (see `read`)."""
        return _join(self.lines(), "the log")

    def close(self):
        """Close the file. Later events are refused."""
        if self._file is not None:
            os.close(self._file)
            self._file = -1

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def _write(self, event, time, fields):
        if _is_missing(fields["request_id"]) or _is_missing(fields.get("version", "")):
            raise LogError(f"A {event} needs a request_id, and a request needs a version.")
        time = pd.Timestamp.now("UTC") if time is None else _utc(time)
        line = json.dumps({"event": event, "time": time, **fields}, default=_plain, ensure_ascii=False)
        if "NaN" in line or "Infinity" in line:  # rare, so looked for only then: JSON has no such numbers
            line = json.dumps(_without_nan(json.loads(line)), ensure_ascii=False, allow_nan=False)
        with self._lock:
            self._append(line)

    def _append(self, line):
        if self._file is None:
            self._memory.append(line)
            return
        if self._file < 0:
            raise LogError(f"The log {self.path} is closed. Open it again: RequestLog({str(self.path)!r}).")
        data = (line + "\n").encode()
        while data:  # one call nearly always; the system may take less when the disk is full
            data = data[os.write(self._file, data) :]
        if self._durable:
            os.fsync(self._file)

    def _finish_broken_line(self):
        """A line that a crash cut short gets its end, so that the next event does not stick to it."""
        size = os.lseek(self._file, 0, os.SEEK_END)
        if size:
            os.lseek(self._file, size - 1, os.SEEK_SET)
            if os.read(self._file, 1) != b"\n":
                os.write(self._file, b"\n")


def read(path):
    """Read a log file: events joined to one row a request, validated, in the order of arrival.

    A label goes to every version that answered the request, a click to the served one; the last label wins, the first
    click counts. A request sent again under its old id is one row: the last answer, with `attempts` saying how many.
    A line that cannot be used (cut short by a crash, or about a request that is not there) is left out and reported:
    as a `LogWarning`, and in `log.attrs["problems"]`.

    Parameters
    ----------
    path : str or Path

    Returns
    -------
    DataFrame

    Raises
    ------
    LogError : the joined log breaks a rule.
    FileNotFoundError : no such file.
    """
    return _join(_lines(path), Path(path).name)


def write(log, path):
    """Append a table to a log file, each event at its time, as the service would have written them.

    >>> import tempfile
    >>> log = as_log({"time": ["2013-01-01 05:00Z"], "request_id": ["r1"], "version": ["v1"], "distance": [1400]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(log, f"{folder}/requests.jsonl")
    ...     list(read(f"{folder}/requests.jsonl").columns)
    ['time', 'request_id', 'version', 'served', 'distance']
    """
    validate(log)
    inputs = features(log)
    events = []  # (written when, kind, its time, its fields)
    for row in log.to_dict("records"):
        row = {name: value for name, value in row.items() if not _is_missing(value)}
        about = {"request_id": row["request_id"]}
        time, label, label_time, click_time = (row.pop(name, None) for name in ("time", "label", *_TIMES[1:]))
        if label_time is not None:
            events.append((label_time, "label", label_time, about | {"label": label}))
        if click_time is not None:
            events.append((click_time, "click", click_time, about))
            row["clicked"] = False  # the click is an event of its own
        if given := {name: row.pop(name) for name in inputs if name in row}:
            row["features"] = given
        events.append((time + pd.Timedelta(milliseconds=row.get("latency_ms", 0.0)), "request", time, row))
    events.sort(key=lambda event: event[0])
    with RequestLog(path) as file:
        for _, kind, time, fields in events:
            file._write(kind, time, fields)


def _lines(path):
    # not str.splitlines, which also splits at characters that a text inside an event may hold
    return [line.decode(errors="replace") for line in Path(path).read_bytes().rstrip(b"\n").split(b"\n")]


def _join(lines, where):
    """Events to a table: a label and a click find their request, whatever the order of the lines."""
    events, problems = _parse(lines, where)
    requests = {}
    for event in events["request"]:
        row = event | event.pop("features", {})
        key = (row["request_id"], row["version"])
        row["attempts"] = row.get("attempts", 1) + requests.pop(key, {}).get("attempts", 0)
        requests[key] = row
    log = pd.DataFrame(list(requests.values()), columns=None if requests else list(REQUIRED))
    if "attempts" in log and (log["attempts"] == 1).all():
        del log["attempts"]
    known = set(log["request_id"])
    for kind in ("label", "click"):
        problems += [
            f"{where}: a {kind} for request {event['request_id']}, which is not in the log. Is a file missing?"
            for event in events[kind]
            if event["request_id"] not in known
        ]
    _join_labels(log, events["label"])
    _join_clicks(log, events["click"])
    log = as_log(log)
    order = log["time"].argsort(kind="stable")
    log = log.iloc[order].reset_index(drop=True)
    for problem in problems:
        warnings.warn(problem, LogWarning, stacklevel=3)
    log.attrs["problems"] = problems
    return log


def _parse(lines, where):
    """Lines to events by kind, and what is wrong with the lines that are none."""
    events, problems = {"request": [], "label": [], "click": []}, []
    needed = {"request": REQUIRED, "label": ("time", "request_id", "label"), "click": ("time", "request_id")}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            event = json.loads(line)
            kind = event.pop("event")
            if missing := [name for name in needed[kind] if event.get(name) is None]:
                raise KeyError(missing[0])
            if not isinstance(event["request_id"], str | int):
                raise TypeError("a name is text or a number")
        except (ValueError, KeyError, AttributeError, TypeError):
            last = number == len(lines)
            hint = " It is the last one: was the writer stopped, or is it still writing?" if last else ""
            problems.append(f"{where}, line {number}: not a whole event, left out.{hint}")
            continue
        events[kind].append(event)
    return events, problems


def _join_labels(log, labels):
    if not labels:
        return
    last = {event["request_id"]: event for event in labels}
    log["label"] = [last.get(name, {}).get("label") for name in log["request_id"]]
    log["label_time"] = [last.get(name, {}).get("time") for name in log["request_id"]]


def _join_clicks(log, clicks):
    if "clicked" in log:  # the service said which answers can be clicked
        log["clicked"] = [value is True for value in log["clicked"]]
    if not clicks:
        return
    first = {event["request_id"]: event["time"] for event in reversed(clicks)}
    seen = log["served"] if "served" in log else [True] * len(log)
    pairs = zip(log["request_id"], seen, strict=True)
    log["click_time"] = [first.get(name) if shown else None for name, shown in pairs]
    log["clicked"] = log["click_time"].notna() | log.get("clicked", False)


# ------------------------------------------------------------------------------------------ the rules


def _need_columns(log):
    if missing := [name for name in REQUIRED if name not in log]:
        raise LogError(
            f"Request log: column {missing[0]!r} is absent. Every log needs {', '.join(REQUIRED)}; "
            "see requestlog.columns() for what each holds."
        )


def _refuse(log, name, wrong, what, todo):
    """Raise about the first row where `wrong` holds."""
    wrong = np.asarray(wrong, dtype=bool)
    if not wrong.any():
        return
    row = int(wrong.argmax())
    value = log[name].iloc[row]
    value = value if np.isscalar(value) and not _is_missing(value) else str(value)
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
    for name in _WHOLE:
        if name in log and not pd.api.types.is_integer_dtype(log[name]):
            raise LogError(
                f"Request log, column {name!r}: dtype {log[name].dtype}, but it counts: whole numbers, none missing."
            )
    for name in ("latency_ms", "score"):
        if name in log and (not pd.api.types.is_numeric_dtype(log[name]) or log[name].dtype == bool):
            raise LogError(
                f"Request log, column {name!r}: dtype {log[name].dtype}, but it is a number: pd.to_numeric."
            )
    if "status" in log:
        todo = (
            "Use HTTP's numbers: 200 for answered, 400 for a bad request, 500 for a fault, 504 for a timeout."
        )
        _refuse(log, "status", (log["status"] < 100) | (log["status"] > 599), "is no HTTP status", todo)
    if "attempts" in log:
        _refuse(log, "attempts", log["attempts"] < 1, "is less than one", "The first try counts too.")
    if "latency_ms" in log:
        todo = "A request that got no answer counts with the time after which it was given up."
        absent = log["latency_ms"].isna() & log.get("served", True)  # of a shadow copy it may be unknown
        _refuse(log, "latency_ms", absent | np.isinf(log["latency_ms"]), "is no latency", todo)
        todo = "Latency is answer minus arrival: were they swapped?"
        _refuse(log, "latency_ms", log["latency_ms"] < 0, "is negative", todo)


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
    except (ValueError, TypeError) as error:
        raise LogError(f"Request log, column {column.name!r}: not a time ({error}).") from None


def _number_column(column):
    try:
        return pd.to_numeric(column).astype("float64")
    except (ValueError, TypeError) as error:
        raise LogError(f"Request log, column {column.name!r}: not a number ({error}).") from None


def _utc(time):
    """One moment as a UTC Timestamp; a time without a zone is refused."""
    try:
        time = pd.Timestamp(time)
    except (ValueError, TypeError):
        raise LogError(f"{time!r} is not a time. Write it like '2013-01-01 12:00Z'.") from None
    if time is pd.NaT or time.tzinfo is None:
        raise LogError(f"The time {time} has no time zone. Write '{time}Z' for UTC.")
    return time.tz_convert("UTC").as_unit("us")


def _is_missing(value):
    return value is None or (np.isscalar(value) and value != value) or value is pd.NaT or value is pd.NA


def _plain(value):
    """What json cannot write itself: times and numpy's scalars."""
    if isinstance(value, pd.Timestamp):
        return value.isoformat().replace("+00:00", "Z")
    if value is pd.NaT or value is pd.NA:
        return None
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise LogError(
        f"{value!r} ({type(value).__name__}) cannot stand in a log: use numbers, text, True or False."
    )


def _without_nan(value):
    """Missing numbers as JSON's null."""
    if isinstance(value, dict):
        return {name: _without_nan(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
