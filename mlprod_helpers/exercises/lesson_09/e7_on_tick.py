"""Exercise 9.7, Close the loop."""

import contextlib
import math

import numpy as np
import pandas as pd

from mlprod_helpers.exercises.lesson_09.support import held
from mlprod_helpers.lesson.contract import Function, Mapping, Raised, Several, Text, drawn_once, exercise
from mlprod_helpers.serving.lab import recorded_runs
from mlprod_helpers.serving.lab.watch import (
    AS_GOOD,
    COPIES,
    FAILING,
    LATE_OUTAGE,
    OUTAGE,
    RETRIED,
    draw_watch,
    watch,
)

MISSING, BAD_INPUT, BESIDE = (
    "at the first look v2 has no users yet, and at the second one v1 has none: v2 stays",
    "v2 is good, and one in twelve of its users sends bad requests, which get a 422: v2 stays",
    "one in twenty tries of v2 fails, and v3, which only gets copies, fails half of the time: v2 is rolled back all the same",
)
MOST_FAILED = 14  # tries of the canary that may fail before it is rolled back


@exercise(
    "9.7",
    "Close the loop",
    answers=("on_tick",),
    points=5,
    minutes=10,
    objective="9.e",
    edition=2,
    kind=Function(
        "window",
        "memory",
        may_change=("memory",),
        returns=Several(Text(options=("continue", "rollback")), Mapping(), names=("action", "memory")),
    ),
    hints=(
        "Which rows show how well v2 works? A failed try of v2 counts, even if v1 then served the user. A copy that another version gets is not served either, but it does not count.",
        "Each look covers about forty tries of v2. Keep counts in `memory`: tries and failures of v1 and of v2 since the beginning.",
        "Roll back when v2 has at least six failures and its failure rate is more than three times that of v1. An outage raises both rates, so the second condition is not met.",
    ),
)
def on_tick(answer, rng, expect):
    """`on_tick(window, memory)` -> (action, memory), over six recorded rollouts and three that are made of one of them."""
    for title, windows in _drawn(rng).items():
        with expect.defining() if title in (FAILING, RETRIED, AS_GOOD, OUTAGE) else contextlib.nullcontext():
            try:
                look, failed = watch(answer, windows)
            except Raised as raised:
                if title != MISSING:
                    raise
                expect.true(False, title, f"stops with a {type(raised.error).__name__}")
                continue
            _ask_watch(expect, title, windows, look, failed)


@drawn_once()
def _drawn(rng):
    """Title -> the windows of a rollout."""
    drawn = draw_watch(rng)
    good = [_without(window, "v3") for window in drawn[COPIES]]
    drawn[MISSING] = [_without(good[0], "v2"), _without(good[1], "v1"), *good[2:]]
    drawn[BAD_INPUT] = [_some_refused(window, rng) for window in _failing_once(good)]
    drawn[BESIDE] = list(_failing_evenly(drawn[COPIES], rng))
    return drawn


def _without(window, version):
    return window[window["version"] != version].reset_index(drop=True)


def _failing_once(windows):
    """The same, but all of v2's failed tries after the first one get an answer."""
    before = 0
    for window in windows:
        failed = (window["version"] == "v2") & (window["status"] >= 500)
        yield window.assign(status=window["status"].mask(failed & (before + failed.cumsum() > 1), 200))
        before += failed.sum()


def _failing_evenly(windows, rng):
    """The same, but every twentieth try of v2 fails, so that no single look shows that it is bad."""
    before = int(rng.integers(0, 20))
    for window in windows:
        mine = window["version"] == "v2"
        failed = mine & ((before + mine.cumsum()) % 20 == 0)
        yield window.assign(status=window["status"].mask(mine, 200).mask(failed, 500))
        before += mine.sum()


def _some_refused(window, rng):
    """Every twelfth answer of v2 is a 422: its sender made a mistake."""
    fine = np.flatnonzero((window["version"] == "v2") & (window["status"] == 200))
    status = window["status"].copy()
    status.iloc[fine[int(rng.integers(0, 6)) :: 12]] = 422
    return window.assign(status=status)


def _ask_watch(expect, title, windows, look, failed):
    if title in (FAILING, RETRIED, BESIDE):
        still = f"{failed} of its tries have failed, and it is still there"
        why = still if look is None else f"{failed} had failed when it was rolled back at look {look}"
        expect.true(look is not None and failed <= MOST_FAILED, title, why)
        return
    tries = pd.concat(windows[:look])
    counts = {
        v: (tries["version"] == v, (tries["version"] == v) & (tries["status"] >= 500)) for v in ("v1", "v2")
    }
    said = " and ".join(f"{bad.sum()} of {mine.sum()} tries of {v}" for v, (mine, bad) in counts.items())
    expect.true(look is None, title, f"rolled back at look {look}; until then {said} had failed")


@on_tick.acceptable
def _guards(answer, rng):
    """On made-up logs: a v2 at ten times v1's rate goes, one at v1's rate stays, with any share of the users."""
    for share, rate, usual, stays in (
        (0.2, 0.05, 0.005, False),
        (0.2, 0.003, 0.005, True),
        (0.7, 0.003, 0.005, True),
        (0.6, 0.05, 0.06, True),
    ):
        memory, action, ends = {}, "continue", False
        for _ in range(10):
            n = int(rng.integers(150, 200))
            version = np.where(rng.random(n) < share, "v2", "v1")
            is_v2 = version == "v2"
            order = np.arange(n) + int(rng.integers(1000))
            every = np.where(is_v2, 1 / rate, 1 / usual)
            failed = order % np.maximum(every.astype(int), 1) == 0
            window = pd.DataFrame(
                {"version": version, "served": True, "status": np.where(failed, 500, 200), "attempts": 1}
            )
            action, memory = answer(window, memory)
            ends = ends or action == "rollback"
        if ends == stays:
            return False
    return True


def _counted(window, memory, rows, least=6, times=3.0, absolute=None):
    """The sound policy, on the rows that somebody thinks are the right ones."""
    seen = {"n1": 0, "e1": 0, "n2": 0, "e2": 0, **memory}
    window = window[rows(window)]
    for version, name in (("v1", "1"), ("v2", "2")):
        mine = window["version"] == version
        seen["n" + name] += int(mine.sum())
        seen["e" + name] += int((mine & (window["status"] >= 500)).sum())
    usual = seen["e1"] / max(seen["n1"], 1) if absolute is None else absolute / times
    rate = seen["e2"] / max(seen["n2"], 1)
    bad = seen["e2"] >= least and rate > times * usual
    return ("rollback" if bad else "continue"), seen


def _played(seen):
    """title -> the calls of this rollout: it ends with a rollback, or after the last look."""
    games, calls = [], []
    for call in seen.calls:
        calls.append(call)
        if call.error or call.output[0] == "rollback" or len(calls) == recorded_runs.LOOKS:
            games.append(calls)
            calls = []
    titles = (FAILING, RETRIED, AS_GOOD, COPIES, OUTAGE, LATE_OUTAGE, MISSING, BAD_INPUT, BESIDE)
    return dict(zip(titles, games, strict=True))


def _stays(seen, title):
    last = _played(seen)[title][-1]
    return not last.error and last.output[0] == "continue"


def _failures(calls):
    """v2's failed tries at each look of a rollout."""
    windows = [call.given[0] for call in calls]
    return [int(((rows["version"] == "v2") & (rows["status"] >= 500)).sum()) for rows in windows]


def _at_the_first_failure(seen):
    """Was v2 rolled back in each rollout at the very look at which it first failed, and once for a single failure?"""
    games = [_failures(calls) for calls in _played(seen).values()]
    ends = [_stays(seen, title) for title in _played(seen)]
    at_once = all(
        not any(failed) if stays else failed[-1] > 0 and not any(failed[:-1])
        for failed, stays in zip(games, ends, strict=True)
    )
    return at_once and any(failed[-1] == 1 for failed, stays in zip(games, ends, strict=True) if not stays)


@on_tick.misconception(
    "you missed the failed tries after which the router asked v1. Users saw no error, but v2 failed each time. Count all tries of v2 with a status of 500 or more, including those that were not served.",
    when=lambda seen: (
        _stays(seen, RETRIED) and all(ok is (title != RETRIED) for title, ok in held(seen).items())
    ),
)
def only_what_was_served(window, memory):
    return _counted(window, memory, lambda rows: rows["served"])


@on_tick.misconception(
    "you blamed v2 for failures of another version. Copies go to v3, and no user gets its answers. Look at `version` to see which version failed.",
    when=lambda seen: not held(seen)[COPIES] and held(seen)[AS_GOOD] and held(seen)[OUTAGE],
)
def all_but_v1(window, memory):
    renamed = window.assign(version=window["version"].replace("v3", "v2"))
    return _counted(renamed, memory, lambda rows: rows["version"] != "")


@on_tick.misconception(
    "you roll back at the first failure. Both versions fail now and then, so this also rolls back a good one. Wait for more failures than you would expect from v1's rate.",
    when=lambda seen: not held(seen)[AS_GOOD] and _at_the_first_failure(seen),
)
def at_the_first_failure(window, memory):
    failed = ((window["version"] == "v2") & (window["status"] >= 500)).sum()
    return ("rollback" if failed else "continue"), memory


@on_tick.misconception(
    "you rolled v2 back in the outage. v1 failed about as often then, so going back to it helps nobody. A fixed threshold cannot show this. Compare the failure rates of v2 and v1 over the same looks.",
    when=lambda seen: not held(seen)[OUTAGE] and not held(seen)[LATE_OUTAGE] and held(seen)[AS_GOOD],
)
def by_a_fixed_limit(window, memory):
    return _counted(window, memory, lambda rows: rows["version"] != "", absolute=0.025)


@on_tick.misconception(
    "you rolled v2 back in none of these rollouts, although one in twenty of its tries fails in three of them. You need no labels to see this, because the status is known at once. Add up the failed tries of all looks.",
    when=lambda seen: all(_stays(seen, title) for title in _played(seen)),
)
def waits_for_labels(window, memory):
    bad = "label" in window and window["label"].isna().mean() > 0.5
    return ("rollback" if bad else "continue"), memory


@on_tick.misconception(
    "you rolled v2 back although v1 fails as often. v2 has more failures here because it has more users. Compare the shares of failed tries, over all looks so far.",
    when=lambda seen: (
        not held(seen)[LATE_OUTAGE] and all(ok for title, ok in held(seen).items() if title != LATE_OUTAGE)
    ),
)
def counts_in_place_of_rates(window, memory):
    for version in ("v1", "v2"):
        mine = window.loc[window["version"] == version, "status"]
        memory[version] = memory.get(version, 0) + int((mine >= 500).sum())
    return ("rollback" if memory["v2"] >= 6 and memory["v2"] > memory["v1"] else "continue"), memory


@on_tick.alternative
def in_place(window, memory):
    for version in ("v1", "v2"):
        mine = window[window["version"] == version]
        memory.setdefault(version, []).extend((mine["status"] >= 500).tolist())
    rate = {version: np.mean(failed) if failed else 0 for version, failed in memory.items()}
    worse = sum(memory["v2"]) > 6 and rate["v2"] > 2.5 * rate["v1"]
    return ("rollback" if worse else "continue"), memory


@on_tick.alternative
def by_counting(window, memory):
    memory = dict(memory)
    for version, status in zip(window["version"], window["status"], strict=True):
        key = f"{version} {'bad' if status >= 500 else 'good'}"
        memory[key] = memory.get(key, 0) + 1
    bad, good, bad1, good1 = (memory.get(k, 0) for k in ("v2 bad", "v2 good", "v1 bad", "v1 good"))
    expected = (bad + good) * (bad1 + 1) / (bad1 + good1 + 1)
    return ("rollback" if bad > 5 and bad > 2.5 * expected else "continue"), memory


@on_tick.alternative
def by_a_test(window, memory):
    counts = list(memory.get("counts", [0, 0, 0, 0]))
    for i, version in enumerate(("v1", "v2")):
        status = window.loc[window["version"] == version, "status"].to_numpy()
        counts[2 * i] += len(status)
        counts[2 * i + 1] += int((status >= 500).sum())
    n, a, m, b = counts
    pooled = (a + b + 1) / (n + m + 2)
    z = (b / max(m, 1) - a / max(n, 1)) / math.sqrt(pooled * (1 - pooled) * (1 / max(n, 1) + 1 / max(m, 1)))
    return ("rollback" if z > 3.0 and b > 4 else "continue"), {"counts": counts}
