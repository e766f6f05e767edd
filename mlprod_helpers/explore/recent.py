"""The end of a request log that grows, read once a second without reading it again (lesson 09)."""

from __future__ import annotations

import time
from typing import Literal

import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from mlprod_helpers import plots

_LINES = 6  # of the log that are shown
_AT_ONCE = 4_000_000  # bytes
_DTYPES = {
    "time": "datetime64[us, UTC]",
    "request_id": object,
    "version": object,
    "served": bool,
    "status": int,
    "latency_ms": float,
    "attempts": int,
}


class Request(BaseModel):
    """An event of the log about a request."""

    model_config = ConfigDict(strict=True)

    event: Literal["request"]
    time: AwareDatetime
    request_id: str | int
    version: str = Field(min_length=1)
    served: bool = True
    status: int = Field(200, ge=100, lt=600)
    latency_ms: FiniteFloat = Field(0.0, ge=0)
    attempts: int = Field(1, ge=1)
    user_id: object = None
    prediction: object = None

    def __str__(self):
        answer = self.prediction
        parts = [
            f"{self.time:%H:%M:%S}.{self.time.microsecond // 1000:03d}",
            f"{self.version:8}",
            str(self.status),
            f"{self.latency_ms:8.1f} ms",
        ]
        if self.user_id is not None:
            parts.append(f"user {self.user_id}")
        if answer is not None:
            parts.append(f"answer {plots.say(answer) if isinstance(answer, float) else answer}")
        if self.attempts > 1:
            parts.append(f"try {self.attempts}")
        if not self.served:
            parts.append("(failed)" if self.status >= 500 else "(shadow copy)")
        return "  ".join(parts)


class Recent:
    """The requests of the last seconds in a log that grows: each look reads only what is new.

    Parameters
    ----------
    path : Path of a file of JSON lines, see `requestlog`; it need not be there yet
    seconds : float, how long a request is kept
    """

    def __init__(self, path, seconds):
        self._path, self._keep = path, seconds
        size = path.stat().st_size if path.exists() else 0
        self._at, self._rest = max(0, size - _AT_ONCE), b""
        self._requests, self.lines = [], []

    def read(self):
        """A request log: `time, request_id, version, served, status, latency_ms, attempts`."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._at)
                new = file.read(_AT_ONCE)
            self._at += len(new)
            *whole, self._rest = (self._rest + new).split(b"\n")
            requests = [request for line in whole if (request := _read(line)) is not None]
            self.lines = [*self.lines, *map(str, requests[-_LINES:])][-_LINES:]
            oldest = time.time() - self._keep
            self._requests += requests
            self._requests = [
                each for each in self._requests if each.time.timestamp() + each.latency_ms / 1000 >= oldest
            ]
        rows = [[getattr(each, name) for name in _DTYPES] for each in self._requests]
        log = pd.DataFrame(rows, columns=list(_DTYPES)).astype(_DTYPES)
        return log.drop_duplicates(["request_id", "version"], keep="last")


def _read(line):
    """The request that a line tells of; None if it is about something else, not whole, or odd: one odd row would hide all others."""
    try:
        return Request.model_validate_json(line)
    except ValidationError:
        return None
