"""Exercise 8.5, Thresholds from quiet weeks."""

import math
import statistics

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Array, Function, exercise
from mlprod_helpers.monitoring.quiet_latency import HOURS_OF_WEEK, NOISE, quiet_weeks, usual_latency

WEEKS = 12

MOST_PAGES = 1.5  # a week: "about once"

_NORMAL = statistics.NormalDist()  # log(value / usual) is normal, with sd `NOISE`


def draw_history(rng, week):
    """(usual, history, hours of the incident): twelve weeks with one incident of 30 hours, in the week of this number.

    The first hour is Monday at 0:00 in week 0, and any other hour of the week otherwise.
    """
    usual = usual_latency(rng)
    first = int(rng.integers(5, HOURS_OF_WEEK - 5)) if week else 0
    values = np.roll(quiet_weeks(rng, usual, WEEKS), -first, axis=1).ravel()
    begin = week * HOURS_OF_WEEK + int(rng.integers(0, 120))
    values[begin : begin + 30] *= 6
    monday = pd.Timestamp("2025-01-06", tz="UTC")
    time = pd.date_range(monday + pd.Timedelta(first, "h"), periods=len(values), freq="h", unit="us")
    hours = np.arange(len(values))
    hit = (hours >= begin) & (hours < begin + 30)
    history = pd.DataFrame({"time": time, "p99_ms": values.round(1), "incident": hit})
    return usual, history, np.unique((first + hours[hit]) % HOURS_OF_WEEK)


@exercise(
    "8.5",
    "Thresholds from quiet weeks",
    answers=("thresholds",),
    points=5,
    minutes=9,
    objective="8.c",
    edition=2,
    kind=Function("history", returns=Array(ndim=1, length=HOURS_OF_WEEK)),
    hints=(
        "Ask what is usual on a Tuesday at 10, not what is usual in general. Leave the hours of the incident out.",
        "Twelve values give a good estimate of what is usual, but a poor one of the spread. As a percentage of the usual value, the spread is about the same at all hours, so estimate it from all hours together.",
        "`usual` = median of each hour of the week; `spread` = standard deviation of `np.log(value / usual)` over all quiet hours; the threshold is `usual * np.exp(4 * spread)`.",
    ),
)
def thresholds(answer, rng, expect):
    """`thresholds(history)`: for each hour of the week, the p99 above which somebody is called."""
    pages, noticed = [], []
    services = ((1.0, 0), (float(rng.uniform(3, 5)), WEEKS - 1))  # the second one is slower
    for factor, week in services:
        usual, history, incident = draw_history(rng, week)
        limits = np.asarray(answer(history.assign(p99_ms=(factor * history["p99_ms"]).round(1))), float)
        if not np.isfinite(limits).all():
            expect.true(False, "168 thresholds, each a number", "some are missing or infinite")
            return
        of_quiet, of_doubled = _chances(limits, factor * usual)
        pages.append(of_quiet.sum())
        night = usual <= np.quantile(usual, 0.4)
        noticed.append([float(of_doubled[hours].mean()) for hours in (~night, night, incident)])
    day, quiet, again = np.min(noticed, axis=0)
    with expect.defining():
        weekly = float(np.mean(pages))
        what = (
            f"two services, new quiet weeks: {weekly:.1f} pages a week on average (wanted: about 1 at most)"
        )
        expect.true(weekly <= MOST_PAGES, what, "too many")
        _ask_doubled(expect, day, "by day and evening")
        _ask_doubled(expect, quiet, "at night and in the quiet hours")
    _ask_doubled(expect, again, "in the hours of the week in which the incident happened")


def _chances(limits, usual):
    """For each hour of the week, the chance to page when all is as usual, and when p99 doubles. Chances do not depend on which weeks are drawn."""
    above = np.log(np.maximum(limits, 1e-9) / usual)
    return tuple(
        np.array([_NORMAL.cdf((more - each) / NOISE) for each in above]) for more in (0, math.log(2))
    )


def _ask_doubled(expect, share, what):
    percent = math.floor(1000 * share) / 10  # 79.96% is not 80%
    expect.true(
        share >= 0.8,
        f"p99 doubles {what}: noticed in {percent:g}% of the hours (wanted: at least 80%)",
        "too few",
    )


@thresholds.acceptable
def _calls_seldom_and_notices(answer, rng):
    """Judged by the chances in six services."""
    pages, noticed = [], []
    for week in range(0, WEEKS, 2):
        usual, history, incident = draw_history(rng, week)
        limits = np.asarray(answer(history), float)
        if limits.shape != (HOURS_OF_WEEK,) or not (np.isfinite(limits) & (limits > 0)).all():
            return False
        of_quiet, caught = _chances(limits, usual)
        pages.append(of_quiet.sum())
        night = usual <= np.quantile(usual, 0.4)
        noticed.append([caught[~night].mean(), caught[night].mean(), caught[incident].mean()])
    return np.mean(pages) <= MOST_PAGES and np.mean(noticed, axis=0).min() >= 0.8


def _of_week(history):
    return history["time"].dt.day_of_week * 24 + history["time"].dt.hour


def _by_hour(history, fn):
    return history.groupby(_of_week(history))["p99_ms"].apply(fn).to_numpy()


@thresholds.misconception(
    "you used one threshold for all hours. Then either the busiest hours exceed it every week, or a night with twice the usual p99 stays below it. Compute one for each hour of the week.",
    when=lambda seen: np.ptp(np.asarray(seen.outputs[0], float)) < 1e-6,
)
def one_for_all(history):
    quiet = history.loc[~history["incident"], "p99_ms"]
    return np.full(HOURS_OF_WEEK, quiet.mean() + 3 * quiet.std())


@thresholds.misconception(
    "you used the highest value of twelve weeks as the threshold. In a new week, one hour in thirteen exceeds it by chance alone. Start from the usual value and add several times the spread.",
    when=lambda seen: _is_the_record(seen),
)
def the_record(history):
    return _by_hour(history[~history["incident"]], np.max)


@thresholds.misconception(
    "you used the same thresholds every day. On some days p99 is usually lower, so even a doubled p99 stays below them. Group by the hour of the week, which has 168 values.",
    when=lambda seen: _repeats_daily(seen),
)
def by_hour_of_day(history):
    quiet = history[~history["incident"]]
    of_day = quiet.groupby(quiet["time"].dt.hour)["p99_ms"]
    return np.tile((of_day.mean() + 3 * of_day.std()).to_numpy(), 7)


@thresholds.misconception(
    "you left the incident in the history. It raises the thresholds of the hours in which it happened, so nobody would notice the next incident in these hours. Leave the rows with `incident` out, or use a median.",
    when=lambda seen: not seen.verdicts[3][1] and _stretched_by_the_incident(seen),
)
def incident_left_in(history):
    return _by_hour(history, lambda x: x.mean() + 4.5 * x.std())


@thresholds.misconception(
    "you estimated the spread of each hour from its own twelve values. Such estimates are often too small. Even with 2.7 times this spread, one new hour in 80 exceeds its threshold, which means two pages a week. Estimate the spread from all hours together, or leave more room.",
    when=lambda seen: (
        not seen.verdicts[0][1]
        and all(ok for _, ok, *_ in seen.verdicts[1:])
        and _is_a_multiple_of_each_spread(seen)
    ),
)
def three_sd_of_each(history):
    return _by_hour(history[~history["incident"]], lambda x: x.mean() + 2.7 * x.std())


def _is_the_record(seen):
    history, limits = seen.calls[0].given[0], np.asarray(seen.outputs[0], float)
    return any(
        np.allclose(limits, _by_hour(rows, np.max)) for rows in (history, history[~history["incident"]])
    )


def _above_usual(seen):
    """How far each limit is above what is usual at its hour, as a logarithm: (168,)."""
    history, limits = seen.calls[0].given[0], np.asarray(seen.outputs[0], float)
    return np.log(limits / _by_hour(history[~history["incident"]], np.median))


def _stretched_by_the_incident(seen):
    """Are the limits of the incident's hours, and of no others, a quarter higher than the rest, measured by what is usual?"""
    history, above = seen.calls[0].given[0], _above_usual(seen)
    hit = np.isin(np.arange(HOURS_OF_WEEK), _of_week(history[history["incident"]]))
    high = above > np.median(above[~hit]) + math.log(1.25)
    return high[hit].mean() > 0.9 and high[~hit].mean() < 0.1


def _is_a_multiple_of_each_spread(seen):
    """Is each limit the usual value of its hour plus one and the same multiple of that hour's own spread?"""
    history, limits = seen.calls[0].given[0], np.asarray(seen.outputs[0], float)
    quiet = history[~history["incident"]]
    for rows, limit in (
        (quiet, limits),
        (quiet.assign(p99_ms=np.log(quiet["p99_ms"])), np.log(np.maximum(limits, 1e-9))),
    ):
        middles = [_by_hour(rows, fn) for fn in (np.mean, np.median)]
        for spread in (np.std, lambda x: x.std(ddof=1), lambda x: (x - x.median()).abs().median()):
            for middle in middles:
                times = (limit - middle) / _by_hour(rows, spread)
                if np.ptp(times) < 0.05 * abs(np.median(times)):
                    return True
    return False


def _repeats_daily(seen):
    limits = np.asarray(seen.outputs[0], float).reshape(7, 24)
    return np.ptp(limits) > 1e-6 and np.allclose(limits, limits[0])


@thresholds.alternative
def four_sd_of_each(history):
    quiet = history[~history["incident"]]
    return _by_hour(quiet, lambda x: x.mean() + 4.2 * x.std())


@thresholds.alternative
def half_as_much_again(history):
    quiet = history[~history["incident"]].assign(hour=_of_week)
    return quiet.pivot_table(index="hour", values="p99_ms", aggfunc="median")["p99_ms"].mul(1.55).tolist()


@thresholds.alternative
def robust_with_the_incident(history):
    values = np.log(history["p99_ms"].to_numpy().reshape(-1, HOURS_OF_WEEK))
    usual = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - usual))
    first = int(_of_week(history).iloc[0])
    return np.roll(np.exp(usual + 4 * spread), first)
