"""Exercise 8.4, Two windows, two tiers."""

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Array, Function, exercise

TIERS = ((14.4, 60, 5), (6, 360, 30))  # burn rate, minutes of the long window, minutes of the short one

NEARBY = {  # tiers that differ a little: bursts are drawn until each of them pages at another minute
    "fast": [(14.4 + a, 60 + b, 5 + c) for a, b, c in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))],
    "slow": [(6 + a, 360 + b, 30 + c) for a, b, c in ((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1))],
}  # fmt: skip


def _in_window(counts, minutes):
    """For each minute, the sum over so many minutes up to it."""
    total = np.cumsum(counts)
    return total - np.concatenate([np.zeros(minutes), total])[: len(total)]


def _burn_rate(bad, requests, slo, minutes):
    failed, of_all = _in_window(bad, minutes), _in_window(requests, minutes)
    return failed / np.maximum(of_all, 1) / (1 - slo)


def _page_open(bad, requests, slo, tiers=TIERS):
    """For each minute, whether some tier burns too fast over all of its windows."""
    rings = np.zeros(len(bad), bool)
    for limit, *windows in tiers:
        rings |= np.all(
            [_burn_rate(bad, requests, slo, minutes) > limit for minutes in windows],
            axis=0,
        )
    return rings


def _is_clear(bad, requests, slo):
    """Whether no burn rate is so close to a threshold that rounding would decide."""
    rates = [(limit, _burn_rate(bad, requests, slo, m)) for limit, *windows in TIERS for m in windows]
    return all((np.abs(rate / limit - 1) > 1e-6).all() for limit, rate in rates)


def _traffic(rng, slo, *spells):
    """(bad, requests) of spells, each so many minutes, with a mean number of requests a minute and a burn rate."""
    while True:
        minutes, level, burn = (np.array(each) for each in zip(*spells, strict=True))
        requests = rng.poisson(np.repeat(level, minutes))
        bad = rng.binomial(requests, np.minimum(np.repeat(burn, minutes) * (1 - slo), 1))
        if _is_clear(bad, requests, slo):
            return bad, requests


def _bursts(rng, slo, tier):
    """Many hours with bursts of errors that only one tier pages for, and every nearby tier at another minute."""
    while True:
        spells = []
        for _ in range(3):
            spells += [] if tier == "slow" else [(300, 900, 0.0)]  # for the long window of the other tier
            ends, burns = ((5, 40), (0, 5, 13)) if tier == "slow" else ((2, 9), (0, 15, 45))
            spells += [(int(rng.integers(*ends)), 900, rng.choice(burns)) for _ in range(14)]
        bad, requests = _traffic(rng, slo, *spells)
        right = _page_open(bad, requests, slo)
        first, second = TIERS
        others = [(first, near) if tier == "slow" else (near, second) for near in NEARBY[tier]]
        if all((_page_open(bad, requests, slo, tiers) != right).any() for tiers in others):
            return bad, requests


def _ticking(rng, slo, busy):
    """A short outage, then one bad minute in six: the page closes every six minutes, and for good while the short window is still hot."""
    outage, pause = (10, busy, rng.uniform(92, 96)), (int(rng.integers(2, 5)), busy, 0.1)
    ticks = ((5, busy, 0.1), (1, busy, rng.uniform(79, 82))) * 12
    while True:
        bad, requests = _traffic(rng, slo, (370, busy, 0.1), outage, pause, *ticks)
        right, hot = _page_open(bad, requests, slo), _burn_rate(bad, requests, slo, 5) > TIERS[0][0]
        has_gap = (right[:-2] & ~right[1:-1] & right[2:]).any()
        if has_gap and (right[:-1] & ~right[1:] & hot[1:]).any():
            return bad, requests


def _few_requests(rng, slo):
    """A service with a request now and then, from its first hour on; its first request fails and opens a page."""
    while True:
        bad, requests = _traffic(rng, slo, (15, 0.4, 60), (60, 0.4, 0), (25, 0.4, 60), (120, 0.4, 0))
        first = np.argmax(requests > 0)
        if bad[first] == requests[first] == 1:
            return bad, requests


@exercise(
    "8.4",
    "Two windows, two tiers",
    answers=("page_open",),
    points=4,
    minutes=8,
    objective="8.c",
    edition=3,
    kind=Function("bad", "requests", "slo", returns=Array(ndim=1, dtype="bool")),
    hints=(
        "Begin with one window: how many requests failed in the 60 minutes up to each minute, and how many requests were there?",
        "`pd.Series(bad).rolling(60, min_periods=1).sum()` adds up the last 60 minutes, or the minutes so far. Divide the share that failed by `1 - slo`.",
        "A tier fires while its long and its short window are both above its threshold (`&`). A page is open while the first or the second tier fires (`|`).",
    ),
)
def page_open(answer, rng, expect):
    """`page_open(bad, requests, slo)`: for each minute, whether a page is open."""
    first, second = float(rng.choice([0.995, 0.998, 0.999])), float(rng.choice([0.98, 0.985]))
    busy = int(rng.integers(3000, 6000))  # requests a minute
    before = (int(rng.integers(380, 480)), busy, 0.2)
    fast, big, few = (int(rng.integers(*ends)) for ends in ((22, 27), (40, 50), (20, 27)))
    slow = int(rng.integers(290, 340))
    outage = (fast, busy, rng.uniform(46, 58))
    _ask(expect, answer, rng, first, f"a fast outage of {fast} minutes", before, outage, (120, busy, 0.2))
    defining = {
        "a blip of 3 minutes": ((3, busy, rng.uniform(70, 95)), (120, busy, 0.2)),
        "one bad minute in twenty": ((1, busy, rng.uniform(85, 95)), (19, busy, 0.1)) * 8,
        f"a slow burn of {slow} minutes": ((slow, busy, rng.uniform(8.5, 11)), (90, busy, 0.2)),
        f"a very large outage of {big} minutes": ((big, busy, rng.uniform(75, 95)), (420, busy, 0.2)),
        f"many errors among very few requests, for {few} minutes": (
            (few, busy // 100, rng.uniform(75, 95)),
            (30, busy // 100, 0.0),
        ),
    }
    with expect.defining():
        for what, spells in defining.items():
            _ask(expect, answer, rng, first, what, before, *spells)
    # at first all windows are alike; only the first tier pages for the short outage
    hour = ((18, busy, rng.uniform(42, 48)), (28, busy, 0.2), (5, busy, rng.uniform(26, 30)), (6, busy, 0.2))
    what = "a service's first hour: an outage from its first minute on, and later a short one"
    _ask(expect, answer, rng, second, what, *hour)
    minutes = (1, busy, rng.uniform(8, 11)), (1, busy, 0.2)  # the burn rate halves, so the page closes
    what = "the first two minutes of a service: a bad one and a good one"
    _ask(expect, answer, rng, second, what, *minutes)
    what = "a request now and then, and some of the first ones fail"
    _compare(expect, answer, *_few_requests(rng, second), second, what)
    what = "an outage of 10 minutes, then one bad minute in six"
    _compare(expect, answer, *_ticking(rng, first, busy), first, what)
    outage = (15, busy, rng.uniform(35, 50))
    night, morning = (int(rng.integers(380, 420)), 0, 0), (12, busy, 0.2)
    _ask(expect, answer, rng, second, "no request at night, an outage by day", night, morning, outage, night)
    for tier, what in {
        "fast": "a few hours with short bursts of errors",
        "slow": "long bursts of few errors",
    }.items():
        _compare(expect, answer, *_bursts(rng, second, tier), second, what)


def _ask(expect, answer, rng, slo, what, *spells):
    _compare(expect, answer, *_traffic(rng, slo, *spells), slo, what)


def _compare(expect, answer, bad, requests, slo, what):
    want, got = _page_open(bad, requests, slo), answer(bad, requests, slo)
    what = f"{what} (SLO {100 * slo:g}%, {len(bad)} minute{'s' if len(bad) > 1 else ''})"
    expect.true(np.array_equal(got, want), what, _in_words(got, want))


def _in_words(got, want):
    """How the open pages differ, without the minutes that would be right."""
    if len(got) != len(want):
        return f"the result has {len(got)} values"
    if not want.any():
        return f"a page is open in {int(got.sum())} of the minutes, but nobody should be paged"
    if not got.any():
        return "nobody is paged"
    (opens, closes), (right, last) = (np.flatnonzero(each)[[0, -1]] for each in (got, want))
    parts = []
    if opens != right:
        parts.append(f"a page opens too {'late' if opens > right else 'early'}")
    if closes != last:
        parts.append("a page stays open too long" if closes > last else "the last page ends too early")
    wrong = int((got != want).sum())
    return " and ".join(parts) or f"wrong in {wrong} minute{'s' if wrong > 1 else ''}"


@page_open.inputs
def _counts(rng):
    yield np.array([0, 0, 0, 50, 0, 0, 0, 0, 0, 0]), np.full(10, 100), 0.99
    yield np.array([40]), np.array([60]), 0.995
    yield np.array([0, 0, 7, 0]), np.array([0, 0, 7, 0]), 0.9
    for n in (1, 2, 10, 70, 400, 900) * 4:
        slo = float(rng.choice([0.9, 0.97, 0.99, 0.995, 0.999, 0.9999]))
        while True:
            length = int(rng.choice([1, 4, 25, 120]))
            level, burn = (
                np.repeat(rng.choice(each, n), length)[:n] for each in ([0, 3, 90, 2000], [0, 1, 8, 20, 90])
            )
            requests = rng.poisson(level)
            bad = rng.binomial(requests, np.minimum(burn * (1 - slo), 1))
            if _is_clear(bad, requests, slo):
                break
        yield bad, requests, slo


@page_open.misconception(
    "you let the long windows alone decide when a page ends. The failures stay in them long after the repair, so the page stays open, too. Let the short window end it.",
)
def long_windows(bad, requests, slo):
    return _page_open(bad, requests, slo, [(limit, long) for limit, long, _ in TIERS])


@page_open.misconception(
    "you looked only at the short windows. A blip of three minutes fills most of five minutes, so it pages somebody although little of the budget is gone. Let the long window decide whether it matters.",
)
def short_windows(bad, requests, slo):
    return _page_open(bad, requests, slo, [(limit, short) for limit, _, short in TIERS])


@page_open.misconception(
    "one window above its threshold is enough for your page. Then a blip pages through the short window, and a repaired outage through the long one. A tier needs both of its windows at the same time.",
)
def either_window(bad, requests, slo):
    return _page_open(bad, requests, slo, [(limit, m) for limit, *windows in TIERS for m in windows])


@page_open.misconception(
    "you used only the fast tier. A slow burn never reaches 14.4, so nobody is paged while it uses up the budget in a few days. Add the second tier.",
)
def fast_tier(bad, requests, slo):
    return _page_open(bad, requests, slo, TIERS[:1])


@page_open.misconception(
    "you page only while both tiers fire. A fast outage is repaired long before the six-hour window is above its threshold. One tier is enough for a page.",
)
def both_tiers(bad, requests, slo):
    first, second = (_page_open(bad, requests, slo, [tier]) for tier in TIERS)
    return first & second


@page_open.misconception(
    "you averaged the shares of the minutes. A minute with ten requests then counts as much as one with thousands. Add up the failed requests and the requests of a window, then divide.",
)
def mean_of_shares(bad, requests, slo):
    share = pd.Series(bad / np.maximum(requests, 1)) / (1 - slo)
    rates = {m: share.rolling(m, min_periods=1).mean() for _, *windows in TIERS for m in windows}
    tiers = [(rates[long] > limit) & (rates[short] > limit) for limit, long, short in TIERS]
    return (tiers[0] | tiers[1]).to_numpy()


@page_open.misconception(
    "you waited until a window is full. A service that has an outage in its first minutes then pages nobody for an hour or more. At the beginning, a window contains the minutes so far.",
)
def full_windows(bad, requests, slo):
    failed, of_all = pd.Series(bad), pd.Series(requests)

    def rate(minutes):
        return failed.rolling(minutes).sum() / of_all.rolling(minutes).sum().clip(lower=1) / (1 - slo)

    tiers = [(rate(long) > limit) & (rate(short) > limit) for limit, long, short in TIERS]
    return (tiers[0] | tiers[1]).to_numpy()


@page_open.misconception(
    "your page never opens, not even in a long outage. If your burn rates stay far below the thresholds, look at what you divide by. A burn rate compares the share that failed with the share that *may* fail, and `slo` is the share that has to be good.",
)
def divided_by_the_objective(bad, requests, slo):
    return _page_open(bad, requests, 1 - slo)


@page_open.misconception(
    "your page opens at the same share of failed requests, whatever `slo` is. At an SLO of 99.9%, the budget is used up twenty times too fast even if only 2% of the requests fail. Divide the share that failed by the share that may fail.",
)
def percentages(bad, requests, slo):
    return _page_open(bad, requests, 0.99)


@page_open.alternative
def minute_by_minute(bad, requests, slo):
    bad, requests = list(map(int, bad)), list(map(int, requests))

    def rate(now, minutes):
        begin = max(0, now + 1 - minutes)
        of_all = sum(requests[begin : now + 1])
        return sum(bad[begin : now + 1]) / of_all / (1 - slo) if of_all else 0.0

    return [
        (rate(now, 60) > 14.4 and rate(now, 5) > 14.4) or (rate(now, 360) > 6 and rate(now, 30) > 6)
        for now in range(len(bad))
    ]


@page_open.alternative
def by_cumulative_sums(bad, requests, slo):
    both = np.pad(np.cumsum([bad, requests], axis=1), ((0, 0), (1, 0)))
    now = np.arange(1, len(bad) + 1)
    tiers = []
    for limit, long, short in ((14.4, 60, 5), (6, 360, 30)):
        (failed, of_all), (failed_now, of_all_now) = (
            both[:, now] - both[:, np.maximum(now - minutes, 0)] for minutes in (long, short)
        )
        allowed = limit * (1 - slo)
        tiers.append((failed > allowed * of_all) & (failed_now > allowed * of_all_now))
    return np.any(tiers, axis=0)
