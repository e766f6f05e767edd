"""The end of a request log that grows, read once a second without reading it again (lesson 09)."""

from __future__ import annotations

import json
import math
import time
from datetime import datetime

import pandas as pd

from mlprod_helpers import plots

_LINES = 6  # of the log that are shown
_USUAL = {"served": True, "status": 200, "latency_ms": 0.0, "attempts": 1}  # where an event does not say


class Recent:
    """The requests of the last seconds in a log that grows: each look reads only what is new.

    Parameters
    ----------
    path : Path of a file of JSON lines, see `requestlog`; it need not be there yet
    seconds : float, how long a request is kept
    """

    _AT_ONCE = 4_000_000  # bytes

    def __init__(self, path, seconds):
        self._path, self._keep = path, seconds
        self._at, self._rest = max(0, self._size() - self._AT_ONCE), b""
        self._rows, self.lines = [], []

    def _size(self):
        return self._path.stat().st_size if self._path.exists() else 0

    def read(self):
        """A request log: `time, request_id, version, served, status, latency_ms, attempts`."""
        from mlprod_helpers.requestlog import RequestLog, as_log

        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._at)
                new = file.read(self._AT_ONCE)
            self._at += len(new)
            *whole, self._rest = (self._rest + new).split(b"\n")
            events = [event for line in whole if (event := _request(line)) is not None]
            self.lines = [*self.lines, *map(_in_words, events[-_LINES:])][-_LINES:]
            self._rows += [_row(event) for event in events]
            oldest = time.time() - self._keep
            self._rows = [row for row in self._rows if row[0] + row[5] / 1000 >= oldest]
        if not self._rows:
            return RequestLog().read()
        log = pd.DataFrame(self._rows, columns=["time", "request_id", "version", *_USUAL])
        log["time"] = pd.to_datetime((log["time"] * 1e6).round().astype("int64"), unit="us", utc=True)
        return as_log(log.drop_duplicates(["request_id", "version"], keep="last").sort_values("time"))


def _request(line):
    """The request that a line tells of; None if it is about something else, not whole, or odd: one odd row would hide all others."""
    try:
        event = json.loads(line)
        if event["event"] != "request":
            return None
        event["time"] = datetime.fromisoformat(event["time"])
        event = {**_USUAL, **event}
        whole = all(isinstance(event[name], int) and event[name] >= 1 for name in ("status", "attempts"))
        named = (
            isinstance(event["request_id"], str | int)
            and event["version"]
            and isinstance(event["version"], str)
        )
        good = whole and named and 100 <= event["status"] < 600 and isinstance(event["served"], bool)
        return event if good and event["time"].tzinfo and 0 <= event["latency_ms"] < math.inf else None
    except (ValueError, KeyError, TypeError):
        return None


def _row(event):
    names = ("request_id", "version", *_USUAL)
    return event["time"].timestamp(), *(event[name] for name in names)


def _in_words(event):
    when, answer = event["time"], event.get("prediction")
    parts = [f"{when:%H:%M:%S}.{when.microsecond // 1000:03d}", f"{event['version']:8}", str(event["status"])]
    parts.append(f"{event['latency_ms']:8.1f} ms")
    if "user_id" in event:
        parts.append(f"user {event['user_id']}")
    if answer is not None:
        parts.append(f"answer {plots.say(answer) if isinstance(answer, float) else answer}")
    if event["attempts"] > 1:
        parts.append(f"try {event['attempts']}")
    if not event["served"]:
        parts.append("(failed)" if event["status"] >= 500 else "(shadow copy)")
    return "  ".join(parts)
