"""A model with faults on purpose: what a lesson shows, and what a test needs to see whether anybody notices."""

import math
import threading
from datetime import UTC, datetime
from time import monotonic
from zoneinfo import ZoneInfo

from mlprod_helpers.features.eta import ZONE
from mlprod_helpers.rollout.routing import bucket


class InjectedError(RuntimeError):
    """The model failed because `Faults.error_rate` says so."""


class Faulty:
    """A model's call with the faults of `config.Faults`.

    Which rows fail is drawn from their ids alone (`rollout.bucket`), so the same rows fail in every process and in every run.
    The order is: a pause, the delay, the error, the model. All waiting ends at once with `close`.

    >>> from mlprod_helpers.serving import Faults
    >>> faulty = Faulty(lambda rows, ids: [row["x"] for row in rows], Faults(bias=10, error_rate=0.5))
    >>> faulty([{"x": 1.0}], ["r1"])
    [11.0]
    """

    def __init__(self, call, faults):
        self.faults = faults
        self._call = call
        self._first, self._end = None, threading.Event()

    def __call__(self, rows, ids):
        """The answers to these rows, or an `InjectedError`."""
        faults = self.faults
        if faults.pause_every_s is not None:
            self._pause()
        if faults.delay_ms:
            self._end.wait(self._delay(ids[0]))
        if faults.error_rate and (bucket(ids, f"{faults.random_state}:error") < faults.error_rate).any():
            raise InjectedError("This version fails on purpose (error_rate).")
        answers = self._call(rows, ids)
        return [None if one is None else one + faults.bias for one in answers] if faults.bias else answers

    def load(self):
        """What loading takes longer: wait `start_s` seconds."""
        self._end.wait(self.faults.start_s)

    def close(self):
        """End all waiting, now and from now on; errors and bias stay."""
        self._end.set()

    def _delay(self, request_id):
        mean = self.faults.delay_ms / 1000
        if self.faults.delay_law == "constant":
            return mean
        return -mean * math.log1p(-bucket([request_id], f"{self.faults.random_state}:delay")[0])

    def _pause(self):
        self._first = monotonic() if self._first is None else self._first
        since, every = monotonic() - self._first, self.faults.pause_every_s
        if since >= every and (left := self.faults.pause_s - since % every) > 0:
            self._end.wait(left)


def skewed(rows, skew):
    """A copy of `features.eta.flight_features`, written anew without pandas because that is faster, and wrong as `Faults.skew` says.

    >>> skewed([{"distance": 1400.0, "departure": 1372681800}], "zone")
    [{'distance': 1400.0, 'hour': 12, 'zone': 2}]
    """
    zone = UTC if skew == "zone" else ZoneInfo(ZONE)
    factor = 1.609 if skew == "unit" else 1.0
    return [
        {
            "distance": row["distance"] * factor,
            "hour": datetime.fromtimestamp(row["departure"], zone).hour,
            "zone": int(row["distance"] * factor // 500),
        }
        for row in rows
    ]
