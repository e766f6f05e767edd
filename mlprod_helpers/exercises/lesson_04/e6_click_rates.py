"""Exercise 4.6, A recommender with quick labels."""

import numpy as np
import pandas as pd

from mlprod_helpers.exercises.lesson_04.support import agree, first_odd, lengths
from mlprod_helpers.lesson.contract import Array, Function, exercise


def _views(rng, n_items, now, n=150):
    """Views of items before `now`, in no order; `click_time` is missing where no click has come by then."""
    time = rng.uniform(0, now, n).round(1)
    item = rng.integers(0, n_items - 1, n)  # the last item was never shown
    click = time + rng.exponential(15, n).round(1) + 0.1
    click[(rng.random(n) > 0.3) | (click > now)] = np.nan
    index = rng.permutation(2 * n)[:n]  # as in a log from which rows were left out
    return pd.DataFrame({"item": item, "time": time, "click_time": click}, index=index)


def _rates(batch, views, now, window, strength, at_once=False):
    decided = views["click_time"].notna() | (views["time"] <= now - window) | at_once
    n = len(batch)
    counted = np.bincount(views.loc[decided, "item"], minlength=n)
    clicks = np.bincount(views.loc[views["click_time"].notna(), "item"], minlength=n)
    return (clicks + strength * np.asarray(batch)) / (counted + strength)


@exercise(
    "4.6",
    "A recommender with quick labels",
    answers=("click_rates",),
    points=3,
    minutes=9,
    objective="4.c",
    edition=2,
    kind=Function("batch", "views", "now", "window", "strength", returns=Array(ndim=1)),
    hints=(
        "You need two counts for each item: its clicks, and its views that count.",
        "A view counts when it has a click, or when it is at least `window` minutes old.",
        "`np.bincount(views[counted]['item'], minlength=len(batch))` gives the number of views of each item. Then add `strength` more views with the batch rate.",
    ),
)
def click_rates(answer, rng, expect):
    """`click_rates(batch, views, now, window, strength)`: each item's click rate, shrunk towards the batch rate."""
    n_items, now, window = (
        int(rng.integers(5, 12)),
        float(rng.integers(310, 500)),
        float(rng.integers(20, 90)) + 0.5,
    )
    batch = rng.uniform(0.02, 0.3, n_items).round(3)
    views, strength = _views(rng, n_items, now), round(float(rng.uniform(10, 40)), 2)

    def compare(views, what):
        got, want = answer(batch, views, now, window, strength), _rates(batch, views, now, window, strength)
        expect.true(agree(got, want), what, _wrong_item(views, now, window, got, want))

    def views_of_one(*rows):
        return pd.DataFrame(
            [(1, now - age, click) for age, click in rows], columns=["item", "time", "click_time"]
        )

    compare(views.iloc[:0], "nothing shown yet: the batch rates")
    with expect.defining():
        nan = np.nan
        compare(views_of_one((5.0, now - 4.0)), "one view with a click, four minutes ago")
        late = views_of_one((window + 30, now - 5.0), (window + 40, nan))
        compare(late, "a click that came after the window counts as well")
        compare(
            views_of_one((5.0, nan), (window + 9, nan)), "two views without a click, one of them too recent"
        )
        compare(
            views_of_one((window, nan), (window - 0.01, nan)),
            "a view without a click counts as soon as it is `window` minutes old",
        )
        compare(views_of_one((now, nan), (now, 0.0)), "a view and a click at minute 0 count like any other")
        compare(views_of_one((5.0, now)), "a click at `now` counts")
        twice = views_of_one((window + 9, nan), (window + 9, nan))
        compare(twice, "two views of an item in the same minute are two views")
        compare(views, "150 views of a catalogue")


def _wrong_item(views, now, window, got, want):
    """An item whose rate is off, and what is known of it."""
    at = first_odd(got, want)
    if at is None:
        return lengths(got, want)
    own = views[views["item"] == at]
    clicked, old = own["click_time"].notna(), own["time"] <= now - window
    side = "too low" if got[at] < want[at] else "too high" if got[at] > want[at] else "not a rate"
    return (
        f"item {at} got {got[at]:.4g}, which is {side}. Its views with a click: {clicked.sum()}. Its views without a click: "
        f"{(old & ~clicked).sum()} at least {window:g} minutes old, {(~old & ~clicked).sum()} more recent"
    )


@click_rates.inputs
def catalogues(rng):
    seen = pd.DataFrame({"item": [0, 0, 1], "time": [10.0, 95.0, 55.0], "click_time": [12.0, np.nan, np.nan]})
    yield np.array([0.1, 0.1, 0.2]), seen, 100.0, 45.0, 20.0
    yield np.array([0.1, 0.1, 0.2]), seen.iloc[:0], 100.0, 45.0, 20.0
    for n in (1, 5, 100):
        time = rng.integers(0, 100, n).astype(float)
        click = np.where(rng.random(n) < 0.4, np.minimum(time + rng.integers(1, 30, n), 100), np.nan)
        views = pd.DataFrame({"item": rng.integers(0, 6, n), "time": time, "click_time": click})
        yield rng.uniform(0.01, 0.4, 7), views, 100.0, float(rng.integers(1, 60)), float(rng.uniform(0.5, 50))


@click_rates.misconception(
    "you divided clicks by views without shrinking. Then an item with one click in one view ranks first, and an item that was never shown has no rate. "
    "Add `strength` more views with the batch rate."
)
def raw_rate(batch, views, now, window, strength):
    return _rates(batch, views, now, window, 1e-12)


@click_rates.misconception(
    "you counted every view without a click immediately. People who saw an item a minute ago may still click. Count such a view only when it is `window` minutes old."
)
def no_at_once(batch, views, now, window, strength):
    return _rates(batch, views, now, window, strength, at_once=True)


@click_rates.misconception(
    "you left out recent views together with their clicks. A click is final, so only views without a click have to wait. Keep every view that has a click."
)
def clicks_wait_too(batch, views, now, window, strength):
    old = views[views["time"] <= now - window]
    return _rates(batch, old, now, window, strength)


@click_rates.misconception(
    "you took the mean of the stream's rate and the batch rate. An item with many views should depend less on the batch rate. Add `strength` more views with the batch rate instead."
)
def half_and_half(batch, views, now, window, strength):
    seen = np.bincount(views["item"], minlength=len(batch)) > 0
    return np.where(seen, (_rates(batch, views, now, window, 1e-12) + batch) / 2, batch)


@click_rates.alternative
def with_groupby(batch, views, now, window, strength):
    views = views.assign(click=views["click_time"].notna())
    views = views[views["click"] | (now - views["time"] >= window)]
    counts = views.groupby("item")["click"].agg(["sum", "size"]).reindex(range(len(batch)), fill_value=0)
    return (counts["sum"] + strength * np.asarray(batch)) / (counts["size"] + strength)


@click_rates.alternative
def view_by_view(batch, views, now, window, strength):
    yes, no = [0] * len(batch), [0] * len(batch)
    for item, time, click_time in views.to_numpy():
        if click_time == click_time:
            yes[int(item)] += 1
        elif time + window <= now:
            no[int(item)] += 1
    return [(y + strength * b) / (y + n + strength) for b, y, n in zip(batch, yes, no, strict=True)]
