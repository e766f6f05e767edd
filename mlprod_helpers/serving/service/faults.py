"""A model with faults on purpose: what a lesson shows, and what a test needs to see whether anybody notices."""

import math
import numbers
import threading
from time import monotonic

import numpy as np

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
        self._lock, self._end = threading.Lock(), threading.Event()
        self._first, self._paused_until, self._next_pause = None, -math.inf, math.inf

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
        return _shifted(answers, faults.bias) if faults.bias else answers

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
        every = self.faults.pause_every_s
        with self._lock:
            now = monotonic()
            if self._first is None:
                self._first, self._next_pause = now, now + every
            if now >= self._next_pause:
                self._paused_until = now + self.faults.pause_s
                self._next_pause = self._first + every * (math.floor((now - self._first) / every) + 1)
            left = self._paused_until - now
        if left > 0:
            self._end.wait(left)


def _shifted(answers, bias):
    if isinstance(answers, np.ndarray):
        return answers + bias if np.issubdtype(answers.dtype, np.number) else answers
    is_number = [isinstance(one, numbers.Real) and not isinstance(one, bool) for one in answers]
    return [one + bias if shifts else one for one, shifts in zip(answers, is_number, strict=True)]
