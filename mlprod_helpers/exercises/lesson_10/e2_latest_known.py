"""Exercise 10.2, The latest value that was known."""

import numpy as np

from mlprod_helpers.lesson.contract import Array, Function, exercise

JUST = 2**-20  # of a minute, and exact


def _latest_known(asked, known_at, values):
    """The reference: a loop over the requests and the reports."""
    found = []
    for moment in asked:
        best, value = -np.inf, np.nan
        for known, new in zip(known_at, values, strict=True):
            if best <= known <= moment:
                best, value = known, new
        found.append(value)
    return np.array(found, dtype=float)


def _draw(rng, n=12, m=18, *, ordered=False, ends=False, early=False):
    """(asked, known_at, values): whole minutes; every value occurs once."""
    known_at = rng.permutation(np.arange(60, 400))[:m].astype(float)
    asked = rng.permutation(np.arange(60, 460))[:n].astype(float) + 0.5
    asked[0] = 459.5
    if ends:
        known_at += 0.25
        asked[::2] = rng.choice(known_at, len(asked[::2]))
        asked[1] = known_at[0] - JUST  # in the minute of a report, but before it
    if early:
        asked[1::3] = rng.integers(0, 60, len(asked[1::3]))
    values = rng.permutation(np.arange(10, 10 + 4 * m))[:m] / 2
    if ordered:
        asked, known_at = np.sort(asked), np.sort(known_at)
    return asked, known_at, values


def _tied(rng):
    """Twenty reports at each of six minutes, enough to show a sort that is not stable; some requests come twice.

    The first and the last value of each minute are neither its largest nor its smallest one.
    """
    minutes = rng.permutation(np.arange(60, 400))[:6].astype(float)
    values = np.sort(rng.permutation(120).reshape(20, 6) / 2, axis=0)
    values = values[[3, *rng.permutation([0, 1, 2, 4, *range(6, 20)]), 5]]
    asked = rng.permutation(np.concatenate([minutes, minutes, minutes + 0.5]))
    return asked, np.tile(minutes, 20), values.ravel()


@exercise(
    "10.2",
    "The latest value that was known",
    answers=("latest_known",),
    points=4,
    minutes=7,
    objective="10.a",
    kind=Function("asked", "known_at", "values", returns=Array(ndim=1)),
    hints=(
        "For one request: keep the reports with `known_at <= asked`, and of these take the one with the largest `known_at`.",
        'Sort the reports with `np.argsort(known_at, kind="stable")`. In sorted times, `np.searchsorted(times, asked, side="right")` counts how many were known.',
        "Position k then means that report k - 1 is the latest. Where k is 0, nothing was known: put NaN there.",
    ),
)
def latest_known(answer, rng, expect):
    """`latest_known(asked, known_at, values)`: the value that became known last, NaN where none."""
    _ask(expect, answer, _draw(rng, ordered=True), "all times in order")
    with expect.defining():
        asked, known_at, values = _draw(rng, ordered=True)
        order = rng.permutation(len(known_at))
        _ask(expect, answer, (asked, known_at[order], values[order]), "reports in another order")
        asked, known_at, values = _draw(rng, ordered=True)
        _ask(expect, answer, (rng.permutation(asked), known_at, values), "requests in another order")
        _ask(expect, answer, _draw(rng, ends=True), "requests at the very minute of a report")
        _ask(expect, answer, _draw(rng, early=True), "requests before the first report")
        _ask(expect, answer, _tied(rng), "several reports at the same minute")
    few = _draw(rng, m=1, early=True)
    few[0][2] = 1e6
    _ask(expect, answer, few, "a single report, and a request long after it")
    _ask(expect, answer, (few[0][:1], np.array([]), np.array([])), "one request, and no report at all")
    below = _draw(rng, early=True)
    _ask(expect, answer, (below[0] - 1e6, below[1] - 1e6, -below[2]), "times and values below 0")
    asked, known_at, values = _draw(rng, ordered=True)
    asked[1], values[-1] = known_at[-1], 0.0
    zero = asked - known_at[-1], np.roll(known_at, 1) - known_at[-1], np.roll(values, 1)
    _ask(expect, answer, zero, "a report with the value 0, known at minute 0")
    asked, known_at, values = _draw(rng, early=True)
    _ask(expect, answer, (asked.astype(int), known_at.astype(int), values), "times that are whole numbers")


def _ask(expect, answer, case, what):
    expect.close(answer(*case), _latest_known(*case), what)


@latest_known.inputs
def _reports(rng):
    yield np.array([30.0, 5.0]), np.array([20.0, 10.0, 20.0]), np.array([7.0, 6.0, 8.0])
    for _ in range(25):
        m = int(rng.integers(0, 9))
        yield (
            rng.integers(-2, 10, int(rng.integers(1, 9))).astype(float),
            rng.integers(-2, 10, m).astype(float),
            rng.integers(-5, 5, m) / 2,
        )


@latest_known.misconception(
    "you used reports that came after the request. The service did not have them yet, even if they came only a minute later. Keep only the reports with `known_at` at or before `asked`.",
)
def nearest(asked, known_at, values):
    if not len(known_at):
        return np.full(len(asked), np.nan)
    return np.array([values[np.abs(known_at - moment).argmin()] for moment in asked])


@latest_known.misconception(
    "you left out a report that became known exactly at the time of the request. Such a report counts. Check `<` and `<=`, or `side` of `searchsorted`.",
)
def strictly_before(asked, known_at, values):
    order = np.argsort(known_at, kind="stable")
    position = np.searchsorted(known_at[order], asked, side="left")
    return np.append(np.nan, values[order])[position]


@latest_known.misconception(
    "you returned the last report's value where nothing was known yet. `searchsorted` gives 0 there, and index -1 is the end of the array. Put NaN there.",
)
def from_the_end(asked, known_at, values):
    order = np.argsort(known_at, kind="stable")
    if not len(order):
        return np.full(len(asked), np.nan)
    return values[order][np.searchsorted(known_at[order], asked, side="right") - 1]


@latest_known.misconception(
    "you took the first report's value for requests that came before it. Nobody knew that value then. Put NaN there.",
)
def first_value_fills(asked, known_at, values):
    order = np.argsort(known_at, kind="stable")
    if not len(order):
        return np.full(len(asked), np.nan)
    position = np.searchsorted(known_at[order], asked, side="right") - 1
    return values[order][np.maximum(position, 0)]


@latest_known.misconception(
    "you filled in 0 where nothing was known. A model cannot tell this from a real 0. Put NaN there, as the statement says.",
)
def zero_fills(asked, known_at, values):
    return np.nan_to_num(_latest_known(asked, known_at, values))


@latest_known.misconception(
    "you relied on the order of the reports in the array. The reports can be in any order. Sort them by `known_at` first.",
)
def unsorted_reports(asked, known_at, values):
    found = [np.flatnonzero(known_at <= moment) for moment in asked]
    return np.array([values[known[-1]] if len(known) else np.nan for known in found], dtype=float)


@latest_known.misconception(
    "you took the first of several reports that became known at the same time. The last one in the array counts. Use a stable sort, and take the last one.",
)
def first_of_a_tie(asked, known_at, values):
    return _latest_known(asked, known_at[::-1], values[::-1])


@latest_known.misconception(
    "you returned the values in the order of the sorted requests. Entry i belongs to request i of `asked`, so put them back into that order.",
)
def order_of_requests_lost(asked, known_at, values):
    return _latest_known(np.sort(asked), known_at, values)


@latest_known.misconception(
    "you took the largest value that was known, not the latest one. Look for the largest `known_at`, and return the value that belongs to it.",
)
def largest_value(asked, known_at, values):
    found = [values[known_at <= moment] for moment in asked]
    return np.array([known.max() if len(known) else np.nan for known in found], dtype=float)


@latest_known.alternative
def with_merge_asof(asked, known_at, values):
    import pandas as pd

    reports = pd.DataFrame({"known": np.asarray(known_at, float), "value": np.asarray(values, float)})
    requests = pd.DataFrame({"at": np.asarray(asked, float), "row": range(len(asked))}).sort_values("at")
    joined = pd.merge_asof(
        requests, reports.sort_values("known", kind="stable"), left_on="at", right_on="known"
    )
    return joined.sort_values("row")["value"].to_numpy()


@latest_known.alternative
def by_a_table(asked, known_at, values):
    if not len(known_at):
        return np.full(len(asked), np.nan)
    known = known_at[None, :] <= asked[:, None]
    when = np.where(known, known_at, -np.inf)
    last = len(known_at) - 1 - when[:, ::-1].argmax(axis=1)
    return np.where(known.any(axis=1), values[last], np.nan)


@latest_known.alternative
def with_a_dict(asked, known_at, values):
    newest = dict(
        zip(known_at.tolist(), values.tolist(), strict=True)
    )  # a later report replaces an earlier one
    found = []
    for moment in asked:
        times = [time for time in newest if time <= moment]
        found.append(newest[max(times)] if times else np.nan)
    return np.array(found)
