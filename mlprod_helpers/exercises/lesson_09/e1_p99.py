"""Exercise 9.1, How long did users wait?"""

import contextlib
import math

import numpy as np

from mlprod_helpers.exercises.lesson_09.support import held
from mlprod_helpers.lesson.contract import Function, Number, exercise
from mlprod_helpers.serving.lab import recorded_runs

SCHEDULED, QUIET, GAVE_UP, FEW_LOST, LOST, SENT_LATE, HANDFUL, SINGLE = (
    "a tester with a schedule, and a pause of the service",
    "independent users, no pause",
    "independent users, who give up during a pause",
    "independent users, a pause, and one request in 200 that was never answered",
    "some requests that were never answered",
    "a tester with a schedule, and no answer to half of the late requests",
    "a handful of requests, like those of the example",
    "a single request",
)


def _handful(rng, n):
    """(due, sent, finish) of a few requests, one of which is answered late, so that the tester sends the next one late."""
    due = int(rng.integers(5, 50)) + np.arange(float(n))
    finish = due + rng.uniform(0.05, 0.15, n)
    slow = int(rng.integers(0, n))
    finish[slow] = due[slow] + rng.uniform(3, 9)
    sent = due.copy()
    sent[slow + 1 :] = np.maximum(due[slow + 1 :], finish[slow])
    finish[slow + 1 :] = sent[slow + 1 :] + 0.1
    return due, sent, finish


def _given_up(due, finish, timeout):
    return np.where(finish - due > timeout, np.nan, finish)


@exercise(
    "9.1",
    "How long did users wait?",
    answers=("p99",),
    points=4,
    minutes=7,
    objective="9.b",
    edition=2,
    kind=Function("due", "sent", "finish", "timeout", returns=Number()),
    hints=(
        "When does a user start to wait: when the request is due, or when the tester sends it?",
        "A request without an answer has no `finish`. Its user waited for `timeout` seconds, and this wait counts.",
        "`np.isnan(finish)` finds these requests, and `np.where` puts another number in their place. `np.quantile(..., 0.99)` gives the result.",
    ),
)
def p99(answer, rng, expect):
    """`p99(due, sent, finish, timeout)` in seconds: arrays of times, finish NaN where nobody answered in time."""
    cases = [(SCHEDULED, *recorded_runs.scheduled_tester(rng), 60.0)]
    cases.append((QUIET, *recorded_runs.users_in_peace(rng), 5.0))
    timeout = float(rng.integers(2, 5))
    due, sent, finish = recorded_runs.users_around_the_pause(rng)
    cases.append((GAVE_UP, due, sent, _given_up(due, finish, timeout), timeout))
    due, sent, finish = recorded_runs.users_around_the_pause(rng)
    lost = rng.permutation(len(due)) < len(due) // 200
    cases.append((FEW_LOST, due, sent, np.where(lost, np.nan, finish), 60.0))
    due, sent, finish = recorded_runs.users_in_peace(rng)
    lost = rng.random(len(due)) < rng.uniform(0.02, 0.05)
    cases.append((LOST, due, sent, np.where(lost, np.nan, finish), 1.0))
    due, sent, finish = recorded_runs.scheduled_tester(rng)
    lost = (sent - due > 2) & (rng.random(len(due)) < 0.5)
    cases.append((SENT_LATE, due, sent, np.where(lost, np.nan, finish), 20.0))
    cases.append((HANDFUL, *_handful(rng, int(rng.integers(3, 6))), 30.0))
    cases.append((SINGLE, *_handful(rng, 1), 40.0))
    for what, due, sent, finish, timeout in cases:
        got = answer(due, sent, finish, timeout)
        # in a thin tail the conventions of a quantile differ
        rtol = 0.1 if what == QUIET else 0.06 if what == HANDFUL else 0.03
        defining = what in (SCHEDULED, LOST, GAVE_UP)
        n = len(due)
        counts = (
            f"{n} request{'s' * (n > 1)}, {np.isnan(finish).sum()} without an answer, timeout {timeout:g} s"
        )
        with expect.defining() if defining else contextlib.nullcontext():
            expect.close(got, _p99(due, finish, timeout), f"{what} ({counts})", rtol=rtol)


@p99.acceptable
def _near_the_99th(answer, rng):
    """Between the 98.9th and the 99.1st of 100 by counting, on logs that are made up; of a few requests, near the slowest."""
    for n in (1, 2, 3, 4):
        due, sent, finish = _handful(rng, n)
        if (
            not _p99(due, finish, 20.0) * 0.97
            <= float(answer(due, sent, finish, 20.0))
            <= max(finish - due) + 1e-9
        ):
            return False
    for lost in (0.0, 0.004, 0.03):
        n = int(rng.integers(3000, 5000))
        due = np.sort(rng.uniform(0, 100, n))
        stop = rng.uniform(30, 60)
        finish = np.maximum(due, np.where((due > stop) & (due < stop + 8), stop + 8, 0)) + 0.001
        sent = np.where((due > stop) & (due < stop + 8), finish - 0.001, due)
        finish = np.where(rng.random(n) < lost, np.nan, finish)
        waited = np.sort(np.where(np.isnan(finish), 20.0, finish - due))
        low, high = waited[int(0.988 * n)], waited[min(int(0.992 * n) + 1, n - 1)]
        if not low - 1e-9 <= float(answer(due, sent, finish, 20.0)) <= high + 1e-9:
            return False
    return True


def _is_about(seen, case, wrong):
    """Whether the output of a case is what `wrong(due, sent, finish, timeout)` gives, up to the kind of quantile."""
    call = seen.calls[case]
    return abs(call.output / wrong(*call.given) - 1) < 0.1


def _p99(since, finish, timeout):
    return float(np.quantile(np.where(np.isnan(finish), timeout, finish - since), 0.99))


@p99.misconception(
    "you counted the wait from the moment of sending. During the pause, this tester waited for an answer and sent nothing, so these times are too short. Count from `due`.",
    when=lambda seen: not held(seen)[SCHEDULED] and _is_about(seen, 0, lambda d, s, f, t: _p99(s, f, t)),
)
def from_the_moment_of_sending(due, sent, finish, timeout):
    return _p99(sent, finish, timeout)


@p99.misconception(
    "you counted a request without an answer as 0 seconds. It is one of the slowest, because its user waited until the timeout. Put `timeout` in its place."
)
def given_up_is_zero(due, sent, finish, timeout):
    return float(np.quantile(np.nan_to_num(finish - due), 0.99))


@p99.misconception(
    "you left out the requests without an answer. They are the slowest of all, so your p99 is too small. Count each of them as `timeout` seconds.",
    when=lambda seen: (
        not held(seen)[LOST] and all(_is_about(seen, case, answered_only) for case in (2, 3, 4))
    ),
)
def answered_only(due, sent, finish, timeout):
    answered = ~np.isnan(finish)
    return float(np.quantile((finish - due)[answered], 0.99))


@p99.misconception(
    "you treated `timeout` as the time of the answer. It says how long the user waited. Subtract `due` first, and then put `timeout` in place of each NaN.",
)
def timeout_as_a_time(due, sent, finish, timeout):
    return float(np.quantile(np.nan_to_num(finish, nan=timeout) - due, 0.99))


@p99.misconception(
    "you left NaN among the values. A single request without an answer then makes the whole result NaN. Replace the NaN first, for example with `np.where`.",
    when=lambda seen: all(call.output != call.output for call in seen.calls if np.isnan(call.given[2]).any()),
)
def nan_spreads(due, sent, finish, timeout):
    return float(np.quantile(finish - due, 0.99))


@p99.misconception(
    "you took the mean. It hides the few users who waited ten seconds among the thousands who did not. Take the value that 99 of 100 do not exceed.",
)
def the_mean(due, sent, finish, timeout):
    return float(np.mean(np.where(np.isnan(finish), timeout, finish - due)))


@p99.alternative
def sorted_list(due, sent, finish, timeout):
    waits = sorted(timeout if math.isnan(f) else f - d for d, f in zip(due, finish, strict=True))
    return waits[math.ceil(0.99 * len(waits)) - 1]


@p99.alternative
def with_pandas(due, sent, finish, timeout):
    import pandas as pd

    return pd.Series(finish - due).fillna(timeout).quantile(0.99)
