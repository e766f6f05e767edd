"""The log as a file: one JSON line an event, written whole, joined to a table by the reader."""

import json
import math
import os
import threading
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from mlprod_helpers.requestlog.table import (
    COLUMNS,
    KEY,
    REQUIRED,
    WHOLE,
    LogError,
    as_log,
    as_number,
    is_missing,
    row_rules,
    utc,
)


class LogWarning(UserWarning):
    """A line of a log file that could not be used, and was left out."""


class RequestLog:
    """An append-only log of events, one JSON line each, in a file or in memory.

    Each event is written at once, as one whole line, so several threads and processes may share a file, and a crash
    costs at most its last line. A wrong event is refused before anything is written.

    Parameters
    ----------
    path : str, Path or None. The file to append to (made when there is none); None keeps the lines in memory.

    >>> log = RequestLog()
    >>> log.request("r1", time="2013-01-01 05:15Z", version="v1", prediction=200.0, latency_ms=12.0)
    >>> log.click("r1", time="2013-01-01 05:16Z")
    >>> print(log.lines()[1])
    {"event": "click", "time": "2013-01-01T05:16:00Z", "request_id": "r1"}
    >>> log.read()["clicked"].tolist()
    [True]
    """

    def __init__(self, path=None):
        self.path = None if path is None else Path(path)
        self._memory = []
        self._lock = threading.Lock()
        self._file = None
        if self.path is not None:
            self._file = os.open(
                self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644
            )
            self._finish_broken_line()

    @classmethod
    def from_lines(cls, lines):
        """A log in memory that holds these events already: lines that somebody else has read."""
        log = cls()
        log._memory = list(lines)
        return log

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
        answer : further columns of the log: `prediction`, `latency_ms`, `score`, `user_id`, `redo_of`; `raw`, a dict of the
            fields that the features were computed from;
            `clicked=False` says that this answer can be clicked.
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
        if not (isinstance(status, (int, np.integer)) and 100 <= status <= 599):
            raise LogError(f"status is {status!r}, but it is a number of HTTP's: 200 answered, 500 failed.")
        self._write("request", time, row | ({"features": features} if features else {}))

    def label(self, request_id, label, *, time=None):
        """Write that the truth about a request became known at `time` (None: now)."""
        if is_missing(label):
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
        if is_missing(fields["request_id"]) or is_missing(fields.get("version", "")):
            raise LogError(f"A {event} needs a request_id, and a request needs a version.")
        time = pd.Timestamp.now("UTC") if time is None else utc(time)
        line = json.dumps({"event": event, "time": time, **fields}, default=_plain)
        if "NaN" in line or "Infinity" in line:  # rare, so looked for only then: JSON has no such numbers
            line = json.dumps(_without_nan(json.loads(line)), allow_nan=False)
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

    def _finish_broken_line(self):
        """A line that a crash cut short gets its end, so that the next event does not stick to it."""
        size = os.lseek(self._file, 0, os.SEEK_END)
        if size:
            os.lseek(self._file, size - 1, os.SEEK_SET)
            if os.read(self._file, 1) != b"\n":
                os.write(self._file, b"\n")


def read(path):
    """Read a log file: events joined to one row a request, validated, in the order of arrival.

    A label goes to every version that answered the request, a click to the served one; the last label wins, the
    first click counts. A request sent again under its old id is one row: the last answer before its label or click
    came (the last of all without one), with `attempts` saying how many. Ids that are whole numbers in one event and
    text in another are the same: 7, 7.0 and "7".

    What cannot be used is left out and reported, as a `LogWarning` and in `log.attrs["problems"]`: a line cut short
    by a crash, an event without a time in a known zone, a request whose status, latency or another field breaks a
    rule, a label or click about a request that is not there or from before it arrived, a label or prediction that
    is text among numbers (or the other way round).
    """
    return _join(_lines(path), Path(path).name)


def _lines(path):
    # not str.splitlines, which also splits at characters that a text inside an event may hold
    return [line.decode(errors="replace") for line in Path(path).read_bytes().rstrip(b"\n").split(b"\n")]


def _join(lines, where):
    """Events to a table: a label and a click find their request, whatever the order of the lines."""
    events, problems = _parse(lines, where)

    def report(what, request_id):
        problems.append(f"{where}: {what} of request {request_id}, left out.")

    events = {kind: _timed(of_kind, kind, report) for kind, of_kind in events.items()}
    _unify_ids(events)
    tries = _usable(events["request"], report)
    known = set(tries["request_id"])
    for kind in ("label", "click"):
        problems += [
            f"{where}: a {kind} for request {event['request_id']}, which is not in the log. Is a file missing?"
            for event in events[kind]
            if event["request_id"] not in known
        ]
    labels = {event["request_id"]: event for event in events["label"]}
    clicks = {event["request_id"]: event for event in reversed(events["click"])}
    log = _one_row_a_request(tries, labels, clicks)
    _join_labels(log, labels, report)
    _join_clicks(log, clicks, report)
    _leave_out_the_odd(log, "prediction", report)
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
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        event = _event(line)
        if event is None:
            event = _event(line[max(line.rfind('{"event": '), 1) :])
            if event is not None:
                hint = " The one that another process wrote behind it is kept."
            elif number == len(lines):
                hint = " It is the last one: was the writer stopped, or is it still writing?"
            else:
                hint = ""
            problems.append(f"{where}, line {number}: not a whole event, left out.{hint}")
        if event is not None:
            kind, entries = event
            events[kind].append(entries)
    return events, problems


_NEEDED = {
    "request": REQUIRED,
    "label": ("time", "request_id", "label"),
    "click": ("time", "request_id"),
}


def _event(line):
    """(kind, fields) of a line, or None."""
    try:
        event = json.loads(line)
        kind = event.pop("event")
        whole = all(event.get(name) is not None for name in _NEEDED[kind])
        name, inputs = event["request_id"], event.get("features", {})
        if isinstance(name, float) and name.is_integer():
            event["request_id"] = int(name)
        elif not isinstance(name, str | int) or isinstance(name, bool):
            return None
        return (kind, event) if whole and not set(inputs.keys()) & set(COLUMNS) else None
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return None


# what an event may not say of a request: it is an event of its own
_LATER = ("label", "label_time", "click_time")


def _timed(events, kind, report):
    """The events whose time is one, now as a Timestamp."""
    texts = pd.Series(
        [event["time"] if isinstance(event["time"], str) else "" for event in events], dtype=object
    )
    zoned = texts.str.contains(r"(?:Z|[+-]\d{2}:?\d{2})$") if len(texts) else texts
    times = pd.to_datetime(texts.where(zoned), utc=True, errors="coerce", format="ISO8601").dt.as_unit("us")
    kept = []
    for event, time, good in zip(events, times, times.notna(), strict=True):
        if good:
            event["time"] = time
            kept.append(event)
        else:
            report(f"no time in a known zone ({event['time']!r}) in a {kind}", event["request_id"])
    return kept


def _unify_ids(events):
    """Where some events name requests by numbers and others by text, all do by text."""
    every = [event for of_kind in events.values() for event in of_kind]
    if len({isinstance(event["request_id"], str) for event in every}) > 1:
        for event in every:
            event["request_id"] = str(event["request_id"])


def _usable(events, report):
    """All answers that keep the rules, one row each, in the order of their lines."""
    rows = [event | event.pop("features", {}) for event in events]
    log = pd.DataFrame(rows, columns=None if rows else list(REQUIRED))
    for name in ("user_id", "redo_of"):  # a frame would make floats of whole numbers where some are missing
        if name in log and pd.api.types.is_float_dtype(log[name]):
            log[name] = pd.Series([row.get(name) for row in rows], dtype=object)
    given, wrong = log.copy(), {}
    log["version"] = given["version"].map(str)
    log["served"] = ~given["served"].eq(False) if "served" in given else True
    for name, default in (("status", 200), ("attempts", 1), ("latency_ms", np.nan), ("score", np.nan)):
        if name in given:
            number = given[name] if given[name].dtype.kind in "if" else given[name].map(_number)
            wrong[name] = number.isna() & given[name].notna()
            log[name] = number.where(given[name].notna(), default)
            if name in WHOLE:
                wrong[name] |= log[name] % 1 != 0
    for name in ("served", "clicked"):
        if name in given:
            wrong[name] = ~given[name].map(lambda value: isinstance(value, bool) or is_missing(value))
    if "redo_of" in given:
        wrong["redo_of"] = given["redo_of"].map(str) == given["request_id"].map(str)
    for name in _LATER:
        if name in given:
            wrong[name] = given[name].notna()
    for name, broken, *_ in row_rules(log):
        wrong[name] = wrong.get(name, False) | broken
    keep = pd.Series(True, log.index)
    for name, bad in wrong.items():
        for row in np.flatnonzero(bad & keep):
            value = rows[row].get(name)
            report(
                f"{'no ' + name if value is None else f'{name} {value!r}'} in an answer",
                log["request_id"][row],
            )
        keep &= ~bad
    log = log[keep].drop(columns=[name for name in _LATER if name in log])
    whole = [name for name in WHOLE if name in log]
    return log.astype(dict.fromkeys(whole, "int64")).reset_index(drop=True)


def _number(value):
    if isinstance(value, str | bool | int | float):
        return as_number(value)
    return np.nan


def _one_row_a_request(tries, labels, clicks):
    """Of requests that were sent again one answer, and how many attempts it took."""
    again = tries["request_id"].duplicated(keep=False) & tries["served"]
    again &= tries["request_id"].where(again).duplicated(keep=False)
    twice = tries.duplicated(["request_id", "version", "served"], keep=False)
    if not (again | twice).any() and not tries.duplicated(list(KEY)).any():
        return _without_plain(tries, "attempts", 1)
    kept = {}
    attempts = tries["attempts"].tolist() if "attempts" in tries else [1] * len(tries)
    for row, (name, version, seen, time) in enumerate(
        zip(*(tries[c] for c in ("request_id", "version", "served", "time")), strict=True)
    ):
        # the user got one answer, whichever version gave it; each version has one copy in the shadow
        key = (name, None if seen else version)
        before, n = kept.get(key, (None, 0))
        outcomes = [event[name]["time"] for event in (labels, clicks) if name in event]
        late = before is not None and outcomes and time > min(outcomes) >= tries["time"][before]
        kept.pop(key, None)
        kept[key] = (before if late else row), n + attempts[row]
    rows = [
        (row, n)
        for (name, version), (row, n) in kept.items()
        if version is None or (name, None) not in kept or tries["version"][kept[name, None][0]] != version
    ]
    log = tries.iloc[[row for row, _ in rows]].reset_index(drop=True)
    log["attempts"] = [n for _, n in rows]
    return _without_plain(log, "attempts", 1)


def _without_plain(log, name, value):
    return log.drop(columns=name) if name in log and (log[name] == value).all() else log


def _join_labels(log, labels, report):
    if not labels:
        return
    known = [labels.get(name, {}) for name in log["request_id"]]
    log["label"] = pd.Series([event.get("label") for event in known], dtype=object)
    log["label_time"] = pd.to_datetime(pd.Series([event.get("time") for event in known]), utc=True)
    for row in np.flatnonzero(log["label_time"] < log["time"]):
        report("a label from before it arrived", log["request_id"][row])
        log.loc[row, ["label", "label_time"]] = None, pd.NaT
    _leave_out_the_odd(log, "label", report)
    log["label_time"] = log["label_time"].where(log["label"].notna())


def _leave_out_the_odd(log, name, report):
    """One kind of values: text among numbers, or numbers among text, whichever are fewer, become missing."""
    if name not in log or log[name].dtype != object:
        return
    there = log[name].notna()
    is_text = log[name].map(lambda value: isinstance(value, str)) & there
    if (is_text == there).all():
        return
    numbers = log[name].map(_number, na_action="ignore")
    many_numbers = is_text.sum() * 2 < there.sum()
    odd = there & (numbers.isna() if many_numbers else ~is_text)
    for row in np.flatnonzero(odd):
        report(f"the {name} {log[name][row]!r} among others of another kind", log["request_id"][row])
    log[name] = (numbers if many_numbers else log[name]).where(~odd, None)


def _join_clicks(log, clicks, report):
    if "clicked" in log:  # the service said which answers can be clicked
        log["clicked"] = [value is True for value in log["clicked"]]
    if not clicks:
        return
    pairs = zip(log["request_id"], log["served"], strict=True)
    times = pd.Series([clicks.get(name, {}).get("time") if shown else None for name, shown in pairs])
    log["click_time"] = pd.to_datetime(times, utc=True)
    for row in np.flatnonzero(log["click_time"] < log["time"]):
        report("a click from before it arrived", log["request_id"][row])
        log.loc[row, "click_time"] = pd.NaT
    log["clicked"] = log["click_time"].notna() | log.get("clicked", False)


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
