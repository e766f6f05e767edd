"""Calls of a policy that may raise, never end, or return nonsense."""

from __future__ import annotations

import ctypes
import threading
import time


class TooLong(BaseException):
    """Raised inside a policy that takes too long. No `Exception`, so that few handlers catch it."""


class Calls:
    """Calls a policy and says what went wrong, in words. One thread watches the clock for all calls.

    A call is stopped after `seconds` at its next line of Python; one long call into C is stopped when it returns.

    >>> with Calls(lambda observation, memory: 1 / 0, 2.0) as calls:
    ...     calls({"day": 3}, None)
    (None, None, 'Day 3: the policy raised ZeroDivisionError: division by zero. Nothing was done on this day.')
    """

    def __init__(self, policy, seconds):
        if not callable(policy):
            raise TypeError(
                f"A policy is a function of (observation, memory), not a {type(policy).__name__}: give its name, "
                "without calling it."
            )
        self.policy, self.seconds = policy, seconds
        self._thread = ctypes.c_ulong(threading.get_ident())
        self._lock, self._over, self._began = threading.Lock(), threading.Event(), None

    def __enter__(self):
        threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(self, *error):
        self._over.set()

    def __call__(self, observation, memory):
        """(actions, memory, problem): the problem is empty, or says why there are no actions."""
        try:
            answer = self._within_time(observation, memory)
        except TooLong:
            return self._lost(observation, memory, f"the policy took longer than {self.seconds:g} seconds")
        except (Exception, SystemExit) as error:
            return self._lost(observation, memory, f"the policy raised {type(error).__name__}: {error}")
        if not isinstance(answer, tuple) or len(answer) != 2:
            what = f"a {type(answer).__name__}, not a pair (actions, memory)"
            return self._lost(observation, memory, f"the policy returned {what}")
        return *answer, ""

    def _lost(self, observation, memory, why):
        return None, memory, f"Day {observation['day']}: {why}. Nothing was done on this day."

    def _within_time(self, observation, memory):
        self._began = time.monotonic()
        try:
            return self.policy(observation, memory)
        finally:
            with self._lock:
                self._began = None
            for _ in range(10):  # an exception that is already on its way arrives here, not later
                pass

    def _watch(self):
        while not self._over.wait(min(0.25, self.seconds / 4)):
            with self._lock:
                if self._began is not None and time.monotonic() - self._began > self.seconds:
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, ctypes.py_object(TooLong))
