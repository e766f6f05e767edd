"""Thresholds from a reference period: what is normal at this hour, and how far from it is worth a page?"""

import numpy as np
import pandas as pd

from mlprod_helpers.monitoring.rules import duration, hour_of_day, hour_of_week, looks, on_grid
from mlprod_helpers.requestlog.numbers import as_floats

WEEK = pd.Timedelta(7, "D")


def choose_threshold(
    reference, side="above", *, per="hour_of_week", pages_per_week=1.0, for_="0h", margin=0.0
):
    """The threshold of a `Rule` that would have paged so often on quiet weeks, for each hour its own.

    What is normal at an hour is the median of the reference at that hour, its spread the median absolute deviation
    at that hour of the day; both shrug off an incident that was left in. The threshold is so many spreads from
    normal. How many, is found on weeks that the medians have not seen (each week in turn is held out), so that it
    holds on the next quiet week too.

    Parameters
    ----------
    reference : Series. One metric over whole quiet weeks (index: start of window, UTC): two at least, better four.
    side : {"above", "below"}
    per : {"hour_of_week", "hour_of_day"}. For what normal is learned: 168 hours, or 24.
    pages_per_week : float
        How many alerts a week may be false. Below one page in the whole reference the largest one is beaten.
    for_ : str or timedelta. The rule's `for_`: a longer one needs a lower threshold for as many pages.
    margin : float
        The threshold keeps at least this distance from normal, in the metric's unit: for a metric that hardly ever
        moves.

    Source: leave-one-out calibration as in cross-conformal prediction (Vovk 2015); MAD times 1.4826 estimates a
        normal's sd.

    >>> index = pd.date_range("2024-01-01", periods=4 * 168, freq="1h", tz="UTC")
    >>> load = pd.Series(100 + 50 * (index.hour > 7) + np.random.default_rng(0).normal(0, 5, len(index)), index)
    >>> above = choose_threshold(load, pages_per_week=0.5)
    >>> len(above), round(above[3]), round(above[12])
    (168, 114, 167)
    """
    if side not in ("above", "below"):
        raise ValueError(f"side is {side!r}: say 'above' or 'below'.")
    sign = 1 if side == "above" else -1
    measured, every = on_grid(reference.to_frame("metric"))
    slot, count = _slots(measured.index, per)
    week = (measured.index - measured.index[0]) // WEEK
    weeks = len(measured) * every / WEEK
    if weeks < 2 - 1e-9:
        raise ValueError(
            f"The reference has {weeks:.1f} weeks: a threshold needs two at least, to learn and to hold out."
        )
    values = sign * as_floats(measured["metric"], "the reference")
    hour = hour_of_day(measured.index)
    off = np.full(len(values), np.nan)  # from what the other weeks say is normal
    for held_out in range(int(week.max()) + 1):
        rows = np.asarray(week == held_out)
        off[rows] = values[rows] - _center(np.where(rows, np.nan, values), slot, count)[slot[rows]]
    spread = _spread(off, hour)
    allowed = int(np.floor(pages_per_week * weeks + 1e-9))
    many = _level(off / spread[hour], looks(duration(for_, "for_"), every), allowed)
    center = _center(values, slot, count)
    if np.isnan(center).any():
        lacking = int(np.isnan(center).sum())
        raise ValueError(f"The reference has no value at {lacking} of {count} hours: use longer windows.")
    limits = sign * (center + np.maximum(many * spread[np.arange(count) % 24], margin))
    return tuple(limits.tolist())


def _slots(index, per):
    if per == "hour_of_day":
        return hour_of_day(index), 24
    if per == "hour_of_week":
        return hour_of_week(index), 168
    raise ValueError(f"per is {per!r}: say 'hour_of_week' or 'hour_of_day'.")


def _center(values, slot, count):
    """Median of each slot: array of shape (count,), NaN for a slot without a value."""
    # with a group-by, a whole `choose_threshold` takes twice as long
    known = ~np.isnan(values)
    values, slot = values[known], slot[known]
    values = values[np.lexsort((values, slot))]
    size = np.bincount(slot, minlength=count)
    first = np.cumsum(size) - size
    there = size > 0
    low, high = (first + (size - 1) // 2)[there], (first + size // 2)[there]
    center = np.full(count, np.nan)
    center[there] = (values[low] + values[high]) / 2
    return center


def _spread(off, hour):
    """MAD (as an sd) at each hour of the day, its two neighbors included; at least a tenth of the usual one."""
    size = np.abs(off)
    near = np.concatenate([(hour + step) % 24 for step in (-1, 0, 1)])
    spread = 1.4826 * _center(np.tile(size, 3), near, 24)
    usual = 1.4826 * np.nanmedian(size) if not np.isnan(size).all() else np.nan
    if not usual > 0:  # a metric that hardly ever moves: count in its own unit
        return np.ones(24)
    return np.fmax(spread, 0.1 * usual)  # fmax: an hour without a value takes the floor


def _level(score, more, allowed):
    """The lowest level that at most `allowed` runs of more than `more` windows exceed, just above the next run's."""
    score = np.where(np.isnan(score), -np.inf, score)
    padded = np.concatenate([np.full(more, -np.inf), score])
    held = np.lib.stride_tricks.sliding_window_view(padded, more + 1).min(axis=1)
    previous = np.concatenate([[-np.inf], held[:-1]])
    rises = held > previous
    levels = np.unique(held[np.isfinite(held)])
    if not len(levels):
        return 0.0
    low, high = np.sort(previous[rises]), np.sort(held[rises])
    # an alert starts at level v where previous <= v < held
    starts = np.searchsorted(low, levels, side="right") - np.searchsorted(high, levels, side="right")
    peak = int(starts.argmax())  # below it alerts merge until one rings all the time
    too_many = np.maximum.accumulate((starts > allowed)[::-1])[::-1]
    too_many[:peak] = True
    if too_many.all():
        raise ValueError(
            "The reference has more infinite values than may page: find out what they are first."
        )
    return float(max(levels[~too_many][0], 0.0))
