"""Parts of recorded runs of real services (`recorded`) for exercises: load tests, rollouts and afternoons, each time another part.

Only these are drawn: which users and seconds are looked at, the speed of the clock, when labels arrive, and some failures of both versions.
In two afternoons the new version is made a little slower for some seconds, and in one of them it gives some of the old version's answers.
"""

import functools
import itertools
import math

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from mlprod_helpers.serving.lab.recorded import START, load_recorded

_load = functools.cache(load_recorded)

# ------------------------------------------------------------------ 9.1: load tables

PAUSED = (45.0, 55.0)  # seconds in which the recorded service was stopped
CALM = ((0.0, 44.0), (58.0, 100.0))


def _part(case, begin, end, speed):
    """(due, sent, finish) of the requests that were due in a part of a recording, at another speed; NaN: no answer."""
    table = _load("pause", case)
    table = table[table["due"].between(begin, end, inclusive="left")]
    due, sent, finish = ((table[name].to_numpy() - begin) / speed for name in ("due", "sent", "finish"))
    return due, sent, np.where(table["status"] == 200, finish, np.nan)


def scheduled_tester(rng):
    """(due, sent, finish), arrays in seconds, of a tester with a schedule, around the pause.

    >>> due, sent, finish = scheduled_tester(np.random.default_rng(1))
    >>> bool((sent >= due).all() and np.nanmax(finish - due) > 1)
    True
    """
    return _part("scheduled", rng.uniform(0, 25), rng.uniform(70, 80), rng.uniform(0.7, 1.4))


def users_around_the_pause(rng):
    """The same of independent users, around the pause."""
    return _part("open", rng.uniform(0, 25), rng.uniform(75, 100), rng.uniform(0.7, 1.4))


def users_in_peace(rng):
    """The same of independent users, before or after the pause."""
    begin, end = CALM[int(rng.integers(2))]
    return _part("open", begin + rng.uniform(0, 4), end, rng.uniform(0.7, 1.4))


# ------------------------------------------------------------------ 9.7: logs of a router

LOOKS, WEIGHT = 10, 20  # ten looks at a canary of 20%
WATCH_S = 75.0
KEPT = 0.4  # of the users are looked at
OUTAGE = 30.0  # second at which the recorded network goes down, for twelve
TWICE = 7.5  # second at which the v2 of the recording with copies, which is a good one, fails twice


@functools.cache
def _watched(case):
    """A router's log as seconds, users and the columns that a learner gets."""
    log = _load("canary_fails", case)
    seconds = (log["time"] - pd.Timestamp(START)).dt.total_seconds().to_numpy()
    names, users = np.unique(log["user_id"], return_inverse=True)
    return seconds, names, users, log[["version", "served", "status", "attempts"]]


def draw_log(case, rng, *, failures=(0, math.inf), begin=None, stable=1.0, copies=True, fair=None):
    """A rollout as ten windows, with some of the recorded users and another start of the clock.

    Parameters
    ----------
    case : a case of the recording "canary_fails"
    rng : Generator
    failures : (least, most) tries of v2 that fail, so that luck alone does not decide
    begin : (moment of the recording, earliest and latest second at which it comes)
    stable : share of v1's users that are kept; with few of them v2 has most of the traffic
    copies : keep the tries of v3?
    fair : (failures, tries) -> bool, both dicts of version -> sums up to each look: is the draw clear enough?

    Returns
    -------
    list of 10 DataFrames with `version`, `served`, `status`, `attempts`
    """
    seconds, names, users, log = _watched(case)
    failed, version = (log["status"] >= 500).to_numpy(), log["version"].to_numpy()
    is_v1, is_v2 = version == "v1", version == "v2"
    for _ in range(500):
        start = rng.uniform(0, WATCH_S) if begin is None else begin[0] - rng.uniform(*begin[1:])
        clock = (seconds - start) % WATCH_S
        look = np.minimum((clock * LOOKS / WATCH_S).astype(int), LOOKS - 1)
        kept = (rng.random(len(names)) < KEPT)[users]
        kept &= is_v2 | (rng.random(len(names)) < stable)[users]
        if not copies:
            kept &= is_v1 | is_v2
        sums = _sums(look, kept, failed, {"v2": is_v2, "v1": is_v1})
        if (fair is None or fair(*sums)) and failures[0] <= (kept & failed & is_v2).sum() <= failures[1]:
            break
    rows = np.flatnonzero(kept)
    rows = rows[np.argsort(clock[rows], kind="stable")]
    cuts = np.searchsorted(look[rows], np.arange(1, LOOKS))
    edges, part = [0, *cuts, len(rows)], log.take(rows)
    return [part.iloc[a:b].reset_index(drop=True) for a, b in itertools.pairwise(edges)]


def _sums(look, kept, failed, of_version):
    """(failures, tries) up to each look: dicts of version -> array (LOOKS,)."""
    counted = []
    for rows in (kept & failed, kept):
        counts = {name: np.bincount(look[rows & each], minlength=LOOKS) for name, each in of_version.items()}
        counted.append({name: np.cumsum(each) for name, each in counts.items()})
    return tuple(counted)


def hit_alike(failures, tries):
    """Has v2 failed no more often than v1, at each look at which it has failed more than twice?"""
    rate, usual = (failures[name] / np.maximum(tries[name], 1) for name in ("v2", "v1"))
    return bool((rate <= usual)[failures["v2"] > 2].all())


def more_but_not_worse(failures, tries):
    """The same, and has v2 more than three times as many failures as v1 in the end, having more users?"""
    return hit_alike(failures, tries) and failures["v2"][-1] > 3 * failures["v1"][-1]


def clearly_worse(failures, tries):
    """Is it clear by about the tenth failure of v2, at five times v1's rate and before fifteen have failed?"""
    at = int(np.argmax(failures["v2"] >= 9))
    rate, usual = (failures[name][at] / max(tries[name][at], 1) for name in ("v2", "v1"))
    return 9 <= failures["v2"][at] <= 13 and rate >= max(0.036, 5 * usual)


def by_luck_twice(failures, tries):
    """Does v2 fail twice at one of the first two looks, and by then at more than three times v1's rate?"""
    twice = np.diff(failures["v2"], prepend=0)[:2] == 2
    usual = 3 * (failures["v1"] + 0.5) / np.maximum(tries["v1"], 1)
    return bool((twice & (failures["v2"] / np.maximum(tries["v2"], 1) > usual)[:2]).any())


def a_little_worse(failures, tries):
    """In an outage: does luck make v2 look worse, but never by as much as a bad version is worse?"""
    rate, usual = (failures[name] / np.maximum(tries[name], 1) for name in ("v2", "v1"))
    ratio = rate / np.maximum(usual, 1e-9)
    return bool((ratio[failures["v2"] >= 6] > 1.35).any() and (ratio[failures["v2"] > 2] < 1.6).all())


# ------------------------------------------------------------------ 9.8: both answers to each request

SHIFT_S = 90.0
LATE_MS, OFF_MIN = 150.0, 20.0  # an answer is no good when it is later, or further off
BAD_NEWS_S = 9.0  # seconds, at the beginning, of which the bad labels come first
SOON_S = 6.0  # seconds in which v1 fails once where v2 fails often
TROUBLE_S = (0.0, 21.0)  # seconds between which some requests of both versions fail
EVERY = 6  # so many requests: one of them fails then
HICCUP_MS = 200.0  # by which a good canary is slower in one look: as slow as a bad one
SLOWER_MS = 45.0  # by which v2 is slower where v1 is too late
SAME = 0.4  # of the answers in the burst are as before


@functools.cache
def both_answers(case):
    """One row a request of a recorded afternoon: `second`, `user` (a number), and for v1 and v2 `failed_`, `latency_` (ms), `error_` (minutes off)."""
    log = _load("shift", case).copy()
    log["second"] = (log["time"] - pd.Timestamp(START)).dt.total_seconds()
    of = {v: log[log["version"] == v].set_index("request_id") for v in ("v1", "v2")}
    shared = of["v1"].index.intersection(of["v2"].index)  # a copy may have been dropped
    both = of["v1"].loc[shared, ["second", "user_id"]]
    for version, rows in of.items():
        rows = rows.loc[shared]
        both[f"failed_{version}"] = rows["status"] >= 500
        both[f"latency_{version}"] = rows["latency_ms"]
        both[f"error_{version}"] = (rows["prediction"] - rows["label"]).abs()  # NaN where none was given
    both["user"] = np.unique(both.pop("user_id"), return_inverse=True)[1]
    return both.reset_index(drop=True)


def draw_afternoon(case, rng):
    """`both_answers` with the clock begun anywhere, who has which place on the router's line (`place`), and `label_second`.

    Luck alone shall not decide: a canary that fails is dealt so that it meets its failures, and to users for whom its answers look better;
    where a better canary is as fast, its first labels say the opposite, from the sixtieth on they are right, and in one look it is slower;
    before the burst both versions fail for some seconds, in it both are slow alike, and the canary is better by less.
    """
    both = both_answers(case)
    users = both["user"].to_numpy()
    start = rng.uniform(-10, 10) if case == "burst" else rng.uniform(0, SHIFT_S)
    if case == "fails":  # v1 fails too, once in a while: the clock begins shortly before it does
        start = rng.choice(both["second"].to_numpy()[both["failed_v1"]]) - rng.uniform(3, SOON_S)
    second = (both["second"].to_numpy() - start) % SHIFT_S
    order = np.argsort(second, kind="stable")
    both, users, second = both.take(order).reset_index(drop=True), users[order], second[order]
    if case == "burst":
        _answer_alike(both, rng)
    wrong = {v: both[f"error_{v}"].to_numpy() > OFF_MIN for v in ("v1", "v2")}
    delay = rng.uniform(10, 25, len(both))
    if case == "good":
        early = np.flatnonzero(second < BAD_NEWS_S)  # what went wrong is known first
        delay[early[np.argsort(~wrong["v2"][early], kind="stable")]] = np.sort(delay[early])
        both.loc[second // 3 == rng.integers(4, 9), "latency_v2"] += HICCUP_MS
    label_second = second + delay
    failed, usual = both["failed_v2"].to_numpy(), both["failed_v1"].to_numpy() & (second < SOON_S)
    flattered = (
        np.bincount(users, wrong["v2"]) / np.maximum(np.bincount(users), 1) if case == "fails" else 0.0
    )
    for _ in range(3000):
        ranks = rankdata(rng.random(users.max() + 1) + flattered)
        place = ((ranks - 0.5) / len(ranks))[users]
        if case == "fails" and not (_meets_failures(second, place, failed) and (usual & (place > 0.3)).any()):
            continue
        hit = _both_fail(second, place) if case == "burst" else np.zeros(len(both), dtype=bool)
        given = {v: ~np.isnan(both[f"error_{v}"].to_numpy()) & ~hit for v in ("v1", "v2")}
        off = {v: wrong[v] & ~hit for v in wrong}
        fair = case not in _FAIR or all(
            _FAIR[case](*_labels_at_looks(second, place, label_second, off, given, weight))
            for weight in (0.2, 0.1, 0.15, 0.25, 0.3)
        )
        if fair and (case != "burst" or _slow_alike(second, place, both)):
            break
    for version in ("v1", "v2"):
        both[f"failed_{version}"] |= hit
        both[f"error_{version}"] = both[f"error_{version}"].mask(hit)
    return both.assign(second=second, place=place, label_second=label_second)


def _answer_alike(both, rng):
    """Let v2 give some of v1's answers, and be a little slower than v1 wherever one of them is too late."""
    same = rng.random(len(both)) < SAME
    both["error_v2"] = both["error_v2"].where(~same, both["error_v1"])
    late = (both["latency_v1"] > LATE_MS) | (both["latency_v2"] > LATE_MS)
    waited = both["latency_v1"] + np.where(both["latency_v1"] > LATE_MS, SLOWER_MS, 0.0)
    both["latency_v2"] = both["latency_v2"].where(~late, waited)


def _meets_failures(second, place, failed):
    """Does a canary of 20%, and one that grows from 10 to 30%, fail often enough before labels could decide?"""
    flat, ramp = place < 0.2, place < np.where(second < 12, 0.1, 0.3)
    soon, later = failed & (second > 3) & (second < 27), failed & (second > 3) & (second < 42)
    return (soon & flat).sum() >= 5 and (later & flat).sum() >= 8 and (later & ramp).sum() >= 12


def _both_fail(second, place):
    """One request in six for some seconds, v2's not sooner than v1's, whatever the canary's weight."""
    hit = np.zeros(len(second), dtype=bool)
    trouble = (second > TROUBLE_S[0]) & (second < TROUBLE_S[1])
    for low, high, first in ((0, 0.15, EVERY - 1), (0.15, 0.3, EVERY - 1), (0.3, 1, 0)):
        hit[np.flatnonzero(trouble & (place >= low) & (place < high))[first::EVERY]] = True
    return hit


def _slow_alike(second, place, both):
    """Is v2 slower than v1 by a little in three looks, but never in two running by a good part of what a slow version is?"""
    look = (second // 3).astype(int)
    latency = {version: both[f"latency_{version}"].to_numpy() for version in ("v1", "v2")}
    for weight in (0.15, 0.2, 0.3):
        behind = []
        for each in np.unique(look[latency["v1"] > LATE_MS]):
            is_canary, now = place < weight, look == each
            new, old = latency["v2"][is_canary & now], latency["v1"][~is_canary & now]
            behind.append(np.median(new) - np.median(old) if len(new) else 0.0)
        pairs = list(itertools.pairwise(behind))
        if any(min(pair) > 100 for pair in pairs) or not any(min(pair) > 22 for pair in pairs):
            return False
        if sum(each > 22 for each in behind) < 3:
            return False
    return True


def _labels_at_looks(second, place, label_second, off, given, weight):
    """What is known at each look about a canary of one weight from the second look on: (labels, off) of v2 and of v1."""
    is_canary = (place < weight) & (second >= 3)
    look = np.ceil(label_second / 3).astype(int)
    sums = []
    for rows, version in ((is_canary, "v2"), (~is_canary, "v1")):
        for counted in (rows & given[version], rows & off[version]):
            sums.append(np.cumsum(np.bincount(look[counted], minlength=30)[:30]))
    return tuple(sums)


def _ahead(labels, off, labels1, off1):
    """By how much v2 is off less often than v1, at each look."""
    return off1 / np.maximum(labels1, 1) - off / np.maximum(labels, 1)


def _better_in_the_end(labels, off, labels1, off1):
    return bool((_ahead(labels, off, labels1, off1)[labels >= 60] > 0.03).all())


def _worse_at_first(labels, off, labels1, off1):
    """At the first looks with five and with ten labels it seems worse; from sixty on it is better."""
    ahead = _ahead(labels, off, labels1, off1)
    first = [ahead[np.argmax(labels >= least)] for least in (1, 5, 10)]
    return max(first) < 0 and _better_in_the_end(labels, off, labels1, off1)


def _a_little_better(labels, off, labels1, off1):
    """Once it can be told, it is better, but not by half."""
    enough = labels >= 80
    new, old = off[enough] / labels[enough], off1[enough] / np.maximum(labels1[enough], 1)
    return bool((old - new > 0.055).all() and (new > 0.45 * old).all())


def _seems_better(labels, off, labels1, off1):
    """Do the labels alone say that it is better, and by far?"""
    enough = (labels >= 50) & (labels <= 230)
    new, old = off[enough] / labels[enough], off1[enough] / np.maximum(labels1[enough], 1)
    return bool((old - new > 0.06).all() and (new < 0.75 * old).all())


_FAIR = {"good": _worse_at_first, "burst": _a_little_better, "fails": _seems_better}
