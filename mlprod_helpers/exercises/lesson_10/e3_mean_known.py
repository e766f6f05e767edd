"""Exercise 10.3, A mean of what was known."""

import numpy as np

from mlprod_helpers.lesson.contract import Array, Function, exercise

JUST = 2**-20  # of a minute, and exact


def _mean_known(asked, happened, known_at, delays, hours, *, low=None, up=None, known=None):
    """The reference; a wrong answer gives another rule for one of the three edges."""
    low = low or (lambda moment: happened > moment - 60 * hours)
    up = up or (lambda moment: happened <= moment)
    known = known or (lambda moment: known_at <= moment)
    means = []
    for moment in asked:
        counts = low(moment) & up(moment) & known(moment)
        means.append(delays[counts].mean() if counts.any() else np.nan)
    return np.array(means, dtype=float)


def _draw(rng, hours, n=8, m=60, *, late=(20, 90), sparse=False):
    """(asked, happened, known_at, delays, hours): whole minutes, requests half a minute later; some reports before the event."""
    happened = rng.integers(0, 900, 6 if sparse else m).astype(float)
    known_at = happened + rng.integers(*late, len(happened))
    asked = rng.permutation(np.arange(200, 880))[:n] + 0.5
    delays = rng.integers(-10, 120, len(happened)).astype(float)
    return asked, happened, known_at, delays, hours


def _on_edges(rng, hours, edge):
    """Each request has an event exactly on one edge of the window, one just after the edge, and two that count anyway."""
    asked = 300.75 + 500 * np.arange(6)[rng.permutation(6)]
    inside = np.concatenate([asked - rng.integers(5, 15, 6), asked - 60 * hours + rng.integers(5, 15, 6)])
    at = {"begin": asked - 60 * hours, "end": asked, "known": asked - 20}[edge]
    happened = np.concatenate([inside, at, at + JUST])
    known = [asked, asked + JUST] if edge == "known" else [asked - 1, asked - 1]
    known_at = np.concatenate([inside + 1, *known])
    return asked, happened, known_at, rng.permutation(np.arange(24)) * 7.0, hours


def _integers(rng, hours):
    """Departures around minute 0 and one a month before; means above, at and below 0, two of them for identical requests."""
    happened = np.array([-30, 0, 20, 555, 570, 1150, 1160, -43_200])
    delays = np.array([41, 30, 60, 8, -8, -15, -5, 90])
    order = rng.permutation(len(happened))
    asked = rng.permutation([60, 600, 600, 1200])
    return asked, happened[order], happened[order] + 5, delays[order], hours


def _alike(rng, hours):
    """One request, and departures of which some have the same times, and two the same delay as well."""
    order = rng.permutation(4)
    happened = np.array([40.0, 40.0, 40.0, 50.0])[order]
    return np.array([90.0]), happened, happened + 10, np.array([20.0, 20.0, 950.0, 5.25])[order], hours


@exercise(
    "10.3",
    "A mean of what was known",
    answers=("mean_known",),
    points=5,
    minutes=10,
    objective="10.a",
    kind=Function("asked", "happened", "known_at", "delays", "hours", returns=Array(ndim=1)),
    hints=(
        "Take one request first. Which three conditions must a departure meet? Write each as a comparison of arrays.",
        "`counts = (happened > moment - 60 * hours) & (happened <= moment) & (known_at <= moment)` for one `moment` of `asked`.",
        "`delays[counts].mean()` raises a warning if the selection is empty. Test `counts.any()` first, and use `np.nan` otherwise.",
    ),
)
def mean_known(answer, rng, expect):
    """`mean_known(asked, happened, known_at, delays, hours)`: mean over what happened in the window and was known."""
    hours = int(rng.integers(2, 4))
    _ask(expect, answer, _draw(rng, hours, n=5, late=(0, 1)), "every departure is known at once")
    with expect.defining():
        _ask(expect, answer, _draw(rng, hours), "reports arrive 20 to 90 minutes later")
        _ask(expect, answer, _draw(rng, hours, late=(60, 300)), "many reports arrive after the window")
        _ask(expect, answer, _draw(rng, 0.2, n=5, m=300, late=(1, 20)), "a window of 12 minutes")
        _ask(
            expect,
            answer,
            _draw(rng, hours, late=(-60, 30)),
            "some delays are announced before the departure",
        )
    _ask(expect, answer, _on_edges(rng, hours, "begin"), "departures exactly `hours` before the request")
    _ask(expect, answer, _on_edges(rng, 40.25, "begin"), "a window of more than a day")
    _ask(expect, answer, _on_edges(rng, hours, "end"), "departures at the very minute of the request")
    _ask(expect, answer, _on_edges(rng, hours, "known"), "reports at the very minute of the request")
    _ask(expect, answer, _draw(rng, 1, sparse=True), "few departures, so that often none counts")
    _ask(expect, answer, _integers(rng, hours), "integers, times below 0, and a mean of 0")
    _ask(expect, answer, _alike(rng, hours), "one request, and two departures that are alike")
    asked = _draw(rng, hours)[0]
    _ask(expect, answer, (asked, *[np.array([])] * 3, hours), "no departure at all")


def _ask(expect, answer, case, what):
    expect.close(answer(*case), _mean_known(*case), what)


@mean_known.inputs
def _departures(rng):
    yield (
        np.array([200.0]),
        np.array([80.0, 90.0, 150.0]),
        np.array([100.0, 100.0, 210.0]),
        np.array([9.0, 5.0, 40.0]),
        2,
    )
    for _ in range(25):
        m = int(rng.integers(0, 14))
        happened = rng.integers(0, 16, m) * 15.0
        yield (
            rng.integers(0, 18, int(rng.integers(1, 7))) * 15.0,
            happened,
            happened + rng.integers(-2, 6, m) * 15.0,
            rng.integers(-10, 60, m).astype(float),
            [0.5, 1, 2][int(rng.integers(3))],
        )


@mean_known.misconception(
    "you counted departures that were not yet known. They happened before the request, but were reported after it. Compare `known_at` with `asked`, too.",
)
def known_too_early(asked, happened, known_at, delays, hours):
    return _mean_known(asked, happened, known_at, delays, hours, known=lambda moment: True)


@mean_known.misconception(
    "you applied the window to the reports. A report of the last hours can be about an older departure. The window is for `happened`. `known_at` only has to be at or before the request.",
)
def window_of_reports(asked, happened, known_at, delays, hours):
    return _mean_known(
        asked, happened, known_at, delays, hours, low=lambda moment: known_at > moment - 60 * hours
    )


@mean_known.misconception(
    "you treated `hours` as minutes. The times are in minutes, so the window is 60 times `hours` minutes long.",
)
def hours_for_minutes(asked, happened, known_at, delays, hours):
    return _mean_known(asked, happened, known_at, delays, hours / 60)


@mean_known.misconception(
    "you averaged everything that was known, however old. Leave out what happened before the window.",
)
def no_window(asked, happened, known_at, delays, hours):
    return _mean_known(asked, happened, known_at, delays, hours, low=lambda moment: True)


@mean_known.misconception(
    "you counted departures that were announced but had not happened yet. A delay can be known before the plane leaves. Here, `happened` must be at or before `asked`.",
)
def announced_counts(asked, happened, known_at, delays, hours):
    return _mean_known(asked, happened, known_at, delays, hours, up=lambda moment: True)


@mean_known.misconception(
    "you returned 0 where no departure counts. To the model, this looks like a punctual airport. Return NaN, so that nobody mistakes it for a measurement.",
)
def zero_for_none(asked, happened, known_at, delays, hours):
    return np.nan_to_num(_mean_known(asked, happened, known_at, delays, hours))


@mean_known.misconception(
    "you counted a departure that happened exactly `hours` before the request. The window begins after that moment.",
)
def begin_included(asked, happened, known_at, delays, hours):
    return _mean_known(
        asked, happened, known_at, delays, hours, low=lambda moment: happened >= moment - 60 * hours
    )


@mean_known.misconception(
    "you left out what happened, or was reported, exactly at the minute of the request. Both count. Check `<` and `<=`.",
)
def end_left_out(asked, happened, known_at, delays, hours):
    return _mean_known(
        asked,
        happened,
        known_at,
        delays,
        hours,
        up=lambda moment: happened < moment,
        known=lambda moment: known_at < moment,
    )


@mean_known.misconception(
    "you divided by all departures in the window, known or not. Divide by the number of those that count.",
)
def divided_by_all(asked, happened, known_at, delays, hours):
    means = []
    for moment in asked:
        recent = (happened > moment - 60 * hours) & (happened <= moment)
        counts = recent & (known_at <= moment)
        means.append(delays[counts].sum() / recent.sum() if counts.any() else np.nan)
    return np.array(means, dtype=float)


@mean_known.alternative
def as_a_table(asked, happened, known_at, delays, hours):
    moments = asked[:, None]
    counts = (happened > moments - 60 * hours) & (happened <= moments) & (known_at <= moments)
    number = counts.sum(axis=1)
    return np.where(number, (counts * delays).sum(axis=1) / np.maximum(number, 1), np.nan)


@mean_known.alternative
def in_plain_python(asked, happened, known_at, delays, hours):
    means = []
    for moment in asked.tolist():
        found = [
            delay
            for begin, known, delay in zip(happened.tolist(), known_at.tolist(), delays.tolist(), strict=True)
            if moment - 60 * hours < begin <= moment and known <= moment
        ]
        means.append(sum(found) / len(found) if found else float("nan"))
    return means


@mean_known.alternative
def with_pandas(asked, happened, known_at, delays, hours):
    import pandas as pd

    events = pd.DataFrame({"happened": happened, "known_at": known_at, "delay": delays})
    means = []
    for moment in asked:
        known = events[events[["happened", "known_at"]].max(axis=1) <= moment]
        means.append(known.loc[moment - known["happened"] < 60 * hours, "delay"].mean())
    return np.array(means, dtype=float)
