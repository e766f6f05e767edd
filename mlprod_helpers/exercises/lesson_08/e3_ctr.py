"""Exercise 8.3, An honest CTR."""

import math
import statistics

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Function, Number, Several, exercise

Z95 = statistics.NormalDist().inv_cdf(0.975)


def _wilson(hits, n, z=Z95):
    p = hits / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(max(p * (1 - p) / n + z * z / (4 * n * n), 0))
    return middle - half, middle + half


def _clicks(rng, n, rate, twice=0.0, other=0, other_twice=0.0):
    """Views (one row a request) and click events of a day, some of them doubled, some of another list."""
    ids = rng.choice(90_000, n + other, replace=False) + 10_000
    views = pd.DataFrame({"request_id": ids[:n], "user_id": rng.integers(0, max(n // 3, 1), n)})
    hit = rng.choice(ids[:n], min(n, round(rate * n)), replace=False)
    again = rng.choice(hit, round(twice * len(hit)), replace=True) if len(hit) else hit
    events = np.concatenate([hit, again, ids[n:], ids[n : n + round(other_twice * other)]])
    return views, pd.DataFrame({"request_id": rng.permutation(events)})


@exercise(
    "8.3",
    "An honest CTR",
    answers=("ctr",),
    points=4,
    minutes=7,
    objective="8.b",
    edition=2,
    kind=Function(
        "views", "clicks", returns=Several(Number(), Number(), Number(), names=("rate", "low", "high"))
    ),
    hints=(
        "Which views were clicked at least once? `views` has one row for each view. `clicks` may have several rows for one view, and some rows for other views.",
        '`views["request_id"].isin(clicks["request_id"])` is True once for each clicked view.',
        "Wilson's formula needs only the hits and the views. With 0 hits its lower end is 0, but its upper end is not.",
    ),
)
def ctr(answer, rng, expect):
    """`ctr(views, clicks)` -> (rate, low, high): clicked views by views, with Wilson's 95% interval."""
    n = int(rng.integers(300, 500))
    rate = float(rng.uniform(0.03, 0.08))
    few = int(rng.integers(15, 60))
    months = _clicks(rng, n, rate)
    months[0].index %= n // 2
    cases = (
        (months, "the tables of two months put together, so the index of `views` repeats"),
        (_clicks(rng, n, 2 * rate, twice=0.6), "some views were clicked twice"),
        (_clicks(rng, n, rate, other=int(rng.integers(10, 30))), "clicks on other views in the same log"),
        (
            _clicks(rng, n, rate, twice=0.5, other=int(rng.integers(20, 40)), other_twice=0.5),
            "clicks on other views, and some of all views clicked twice",
        ),
        (_clicks(rng, few, 0), f"0 clicks of {few} views"),
        (_clicks(rng, 3, 1.0), "3 clicks of 3 views"),
    )
    with expect.defining():
        for (views, clicks), what in cases[1:5]:
            _ask_ctr(expect, answer, views, clicks, what)
    for (views, clicks), what in (cases[0], cases[5]):
        _ask_ctr(expect, answer, views, clicks, what)


def _ask_ctr(expect, answer, views, clicks, what):
    hits = views["request_id"].isin(clicks["request_id"]).sum()
    got_rate, *got = answer(views, clicks)
    counts = f"{len(views)} views of {views['user_id'].nunique()} people, {len(clicks)} click events"
    expect.close(got_rate, float(hits / len(views)), f"{what}: the rate ({counts})")
    for got_end, want_end, side in zip(got, _wilson(hits, len(views)), ("low", "high"), strict=True):
        expect.close(got_end, want_end, f"{what}: the interval's {side} end", rtol=2e-3, atol=1e-4)


@ctr.inputs(atol=1e-4)
def _days(rng):
    views = pd.DataFrame({"request_id": [11, 12, 13, 14], "user_id": [1, 1, 2, 3]})
    yield views, pd.DataFrame({"request_id": [12, 12, 14, 99]})
    yield views, pd.DataFrame({"request_id": np.array([], dtype=int)})
    yield views.head(1), pd.DataFrame({"request_id": [11, 11, 11]})
    yield views, pd.DataFrame({"request_id": [98, 99]})
    yield views.set_axis([0, 1, 1, 7]), pd.DataFrame({"request_id": [12, 14]})
    for _ in range(20):
        n = int(rng.integers(1, 300))
        ids = rng.permutation(3 * n)
        views = pd.DataFrame({"request_id": ids[:n], "user_id": rng.integers(0, max(n // 4, 1), n)})
        yield views, pd.DataFrame({"request_id": rng.choice(ids, int(rng.integers(0, 2 * n)))})


def _rated(hits, n, interval=_wilson):
    return (float(hits / n), *(float(end) for end in interval(hits, n)))


@ctr.misconception(
    "you divided by the number of users. A click-through rate is a share of views, and a user can have several views. Divide by the number of rows in `views`.",
)
def by_users(views, clicks):
    hits = int(views["request_id"].isin(clicks["request_id"]).sum())
    return _rated(min(hits, views["user_id"].nunique()), views["user_id"].nunique())


@ctr.misconception(
    "you counted every click event. A view that was clicked twice then counts twice, and the rate can exceed 100%. Count the views that were clicked at least once.",
)
def each_event(views, clicks):
    hits = int(clicks["request_id"].isin(views["request_id"]).sum())
    return _rated(hits, len(views))


@ctr.misconception(
    "you counted all clicks in the log. Some of them belong to other views, so the rate becomes too high. Count only clicks with a `request_id` that is in `views`.",
)
def of_any_list(views, clicks):
    return _rated(int(clicks["request_id"].nunique()), len(views))


def _normal(hits, n):
    p = hits / n
    half = Z95 * math.sqrt(p * (1 - p) / n)
    return p - half, p + half


@ctr.misconception(
    "you used the usual interval, p ± 1.96 standard errors. With 0 clicks in 40 views, this interval has no width at all, although the true rate may be several percent. Use `wilson`.",
)
def normal_interval(views, clicks):
    return _rated(int(views["request_id"].isin(clicks["request_id"]).sum()), len(views), _normal)


@ctr.misconception(
    "you returned the middle of the interval as the rate. Wilson's interval is shifted towards 1/2, so its middle is not the rate. The rate is hits divided by views.",
)
def middle_as_rate(views, clicks):
    low, high = _wilson(int(views["request_id"].isin(clicks["request_id"]).sum()), len(views))
    return (low + high) / 2, low, high


@ctr.alternative
def by_merging(views, clicks):
    once = clicks.drop_duplicates("request_id").assign(hit=1)
    hit = views.merge(once, on="request_id", how="left")["hit"].fillna(0)
    n, hits = len(hit), float(hit.sum())
    z2 = 1.96**2
    middle = (hits + z2 / 2) / (n + z2)
    half = 1.96 / (n + z2) * math.sqrt(hits * (n - hits) / n + z2 / 4)
    return hits / n, middle - half, middle + half


@ctr.alternative
def by_the_quadratic(views, clicks):
    hits, n = len(set(views["request_id"]) & set(clicks["request_id"])), len(views)
    rate, z2 = hits / n, 1.96**2
    # both ends p solve (rate - p)^2 = z^2 p (1 - p) / n
    low, high = sorted(np.roots([1 + z2 / n, -(2 * rate + z2 / n), rate * rate]).real)
    return rate, low, high
