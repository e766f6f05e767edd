"""What exercises 9.1, 9.7 and 9.8 are played on: recorded runs of real services (`serving.lab.recorded`), each time another part.

Nothing is made up but who is looked at, where the clock begins, how fast it runs, and when labels come.
"""

import functools
import itertools
import math

import numpy as np
import pandas as pd

# ------------------------------------------------------------------ 9.1: load tables

PAUSED = (45.0, 55.0)  # seconds in which the recorded service was stopped
CALM = ((0.0, 44.0), (58.0, 100.0))


@functools.cache
def _load(case):
    from mlprod_helpers.serving.lab.recorded import load_recorded

    return load_recorded("pause", case)


def _part(case, begin, end, speed):
    """(due, sent, finish) of the requests that were due in a part of a recording, at another speed; NaN: no answer."""
    table = _load(case)
    table = table[table["due"].between(begin, end, inclusive="left")]
    due, sent, finish = ((table[name].to_numpy() - begin) / speed for name in ("due", "sent", "finish"))
    return due, sent, np.where(table["status"] == 200, finish, np.nan)


def scheduled_tester(rng):
    """(due, sent, finish) of a tester with a schedule, around the pause."""
    return _part("scheduled", rng.uniform(0, 25), rng.uniform(70, 80), rng.uniform(0.7, 1.4))


def users_around_the_pause(rng):
    """(due, sent, finish) of users on their own, around the pause."""
    return _part("open", rng.uniform(0, 25), rng.uniform(75, 100), rng.uniform(0.7, 1.4))


def users_in_peace(rng):
    """(due, sent, finish) of users on their own, before the pause or after it."""
    begin, end = CALM[int(rng.integers(2))]
    return _part("open", begin + rng.uniform(0, 4), end, rng.uniform(0.7, 1.4))


# ------------------------------------------------------------------ 9.7: logs of a router

LOOKS, WEIGHT = 10, 20  # ten looks at a canary of 20 %
WATCH_S = 75.0
KEPT = 0.4  # of the users are looked at
OUTAGE = (30.0, 42.0)  # seconds in which the recorded network was down


@functools.cache
def _watched(case):
    """A router's log as seconds, users and the columns that a learner gets."""
    from mlprod_helpers.serving.lab.recorded import START, load_recorded

    log = load_recorded("canary_fails", case)
    seconds = (log["time"] - pd.Timestamp(START)).dt.total_seconds().to_numpy()
    names, users = np.unique(log["user_id"], return_inverse=True)
    return seconds, names, users, log[["version", "served", "status", "attempts"]]


def draw_log(case, rng, *, failures=(0, math.inf), begin=None, stable=1.0, fair=None):
    """A rollout as ten windows: some of the recorded users, the clock begun anywhere.

    Parameters
    ----------
    case : a case of the recording "canary_fails"
    rng : Generator
    failures : (least, most) tries of v2 that fail: luck alone shall not decide
    begin : (earliest, latest) second at which the outage begins
    stable : share of v1's users that are looked at; with fewer of them v2 has most of the traffic
    fair : (failures, tries) -> bool, each (version is v2: sums up to each look): whether the draw decides what it should

    Returns
    -------
    list of 10 DataFrames with `version`, `served`, `status`, `attempts`
    """
    seconds, names, users, log = _watched(case)
    failed, is_v2 = (log["status"] >= 500).to_numpy(), (log["version"] == "v2").to_numpy()
    for _ in range(500):
        start = rng.uniform(0, WATCH_S) if begin is None else OUTAGE[0] - rng.uniform(*begin)
        clock = (seconds - start) % WATCH_S
        look = np.minimum((clock * LOOKS / WATCH_S).astype(int), LOOKS - 1)
        kept = (rng.random(len(names)) < KEPT)[users]
        kept &= is_v2 | (rng.random(len(names)) < stable)[users]
        sums = _sums(look, kept, failed, is_v2)
        if (fair is None or fair(*sums)) and failures[0] <= (kept & failed & is_v2).sum() <= failures[1]:
            break
    rows = np.flatnonzero(kept)
    rows = rows[np.argsort(clock[rows], kind="stable")]
    cuts = np.searchsorted(look[rows], np.arange(1, LOOKS))
    edges, part = [0, *cuts, len(rows)], log.take(rows)
    return [part.iloc[a:b].reset_index(drop=True) for a, b in itertools.pairwise(edges)]


def _sums(look, kept, failed, is_v2):
    """(failures, tries) up to each look: dicts of arrays (LOOKS,), True for v2 and False for v1."""
    counted = []
    for rows in (kept & failed, kept):
        of = {mine: np.bincount(look[rows & (is_v2 == mine)], minlength=LOOKS) for mine in (True, False)}
        counted.append({mine: np.cumsum(each) for mine, each in of.items()})
    return tuple(counted)


def hit_alike(failures, tries):
    """Has v2 failed no more often than v1, at each look at which it has failed more than twice?"""
    rate, usual = (failures[mine] / np.maximum(tries[mine], 1) for mine in (True, False))
    return bool((rate <= usual)[failures[True] > 2].all())


def more_but_not_worse(failures, tries):
    """The same, and has v2 more than twice as many failures as v1 in the end, having more users?"""
    return hit_alike(failures, tries) and failures[True][-1] > 2.5 * failures[False][-1]


def clearly_worse(failures, tries):
    """Can it be told by the tenth failure of v2 or so: at five times v1's rate, before fifteen have failed?"""
    at = int(np.argmax(failures[True] >= 9))
    rate, usual = (failures[mine][at] / max(tries[mine][at], 1) for mine in (True, False))
    return 9 <= failures[True][at] <= 13 and rate >= max(0.036, 5 * usual)


def fails_early(failures, tries):
    """Does v2 fail at one of the first two looks?"""
    return failures[True][1] > 0


# ------------------------------------------------------------------ 9.8: both answers to each request

SHIFT_S = 90.0
LATE_MS, OFF_MIN = 150.0, 20.0  # an answer is no good when it is later, or further off


@functools.cache
def both_answers(case):
    """One row a request of a recorded afternoon: `second`, `user_id`, and for v1 and v2 `failed_`, `latency_` (ms), `error_` (minutes off)."""
    from mlprod_helpers.serving.lab.recorded import START, load_recorded

    log = load_recorded("shift", case)
    log["second"] = (log["time"] - pd.Timestamp(START)).dt.total_seconds()
    of = {v: log[log["version"] == v].set_index("request_id") for v in ("v1", "v2")}
    shared = of["v1"].index.intersection(of["v2"].index)  # a copy may have been dropped
    both = of["v1"].loc[shared, ["second", "user_id"]]
    for version, rows in of.items():
        rows = rows.loc[shared]
        both[f"failed_{version}"] = rows["status"] >= 500
        both[f"latency_{version}"] = rows["latency_ms"]
        both[f"error_{version}"] = (rows["prediction"] - rows["label"]).abs()  # NaN where none was given
    return both.reset_index(drop=True)


def draw_afternoon(case, rng):
    """`both_answers` with the clock begun anywhere, who has which place on the router's line (`place`), and `label_second`.

    A canary that fails is dealt so that it meets its failures: luck alone shall not decide.
    """
    both, users = both_answers(case), _users(case)
    start = rng.uniform(-10, 10) if case == "burst" else rng.uniform(0, SHIFT_S)
    second = (both["second"].to_numpy() - start) % SHIFT_S
    order = np.argsort(second, kind="stable")
    both, users, second = both.take(order).reset_index(drop=True), users[order], second[order]
    failed = both["failed_v2"].to_numpy() & (second < 42)  # before labels could decide
    for _ in range(500):
        place = rng.random(users.max() + 1)[users]
        flat, ramp = place < 0.2, place < np.where(second < 12, 0.1, 0.3)
        if case != "fails" or ((failed & flat).sum() >= 8 and (failed & ramp).sum() >= 12):
            break
    return both.assign(second=second, place=place, label_second=second + rng.uniform(10, 25, len(both)))


@functools.cache
def _users(case):
    """A number for each row of `both_answers`: the same for the same user."""
    return np.unique(both_answers(case)["user_id"], return_inverse=True)[1]
