"""Logs of three weeks with one sealed incident each, for writing post-mortems (exercise 11.8)."""

from __future__ import annotations

import numpy as np
import pandas as pd

DAYS, FLIGHTS = 21, 36  # days of a log, flights a day
FAR = 700  # miles; farther flights lose their labels in a label outage
#: cause -> the metric with an alarm that would have told it first
ALARMS = {
    "feed outage": "missing_share",
    "unit change": "distance_off_share",
    "stuck feature": "wind_unchanged_days",
    "label outage": "labels_share",
    "retry storm": "attempts",
    "slow dependency": "latency_p95",
}
ROUTES = {  # destination -> miles, about, from New York
    "BOS": 190,
    "DCA": 210,
    "BUF": 300,
    "CLT": 540,
    "ATL": 760,
    "ORD": 730,
    "MCO": 940,
    "MIA": 1090,
    "DEN": 1610,
    "LAX": 2470,
    "SFO": 2570,
}


def draw_case(rng, cause=None, onset=None):
    """A log of three weeks, and what happened in it.

    Parameters
    ----------
    rng : numpy Generator
    cause : one of `ALARMS`, or None for any
    onset : the first day with the fault, 7 to 16, or None for any

    Returns
    -------
    log : DataFrame, one row a flight: day (from 0), origin, dest, usual_distance and distance (miles), wind (of the day's
        forecast), attempts, latency_ms, prediction and label (minutes; NaN if missing)
    truth : (cause, onset, alarm); `onset` is the first day with the fault

    >>> log, truth = draw_case(np.random.default_rng(1), "unit change")
    >>> len(log), truth[0], truth[2]
    (756, 'unit change', 'distance_off_share')
    """
    cause = str(rng.choice(list(ALARMS))) if cause is None else cause
    log = _quiet(rng)
    onset = int(rng.integers(7, DAYS - 4)) if onset is None else onset
    at = log["day"] >= onset
    here = at & (log["origin"] == str(rng.choice(["EWR", "JFK", "LGA"])))
    _FAULTS[cause](log, at, here, onset, rng)
    _gaps(log, onset, rng)
    return pd.DataFrame(log), (cause, onset, ALARMS[cause])


def _quiet(rng):
    """Three weeks without an incident: but with noise, a few gaps, and one bad day that means nothing."""
    n = DAYS * FLIGHTS
    # a clear share of long flights on each day, so that no rule depends on the luck of one
    far = [name for name, miles in ROUTES.items() if miles > FAR]
    near = [name for name in ROUTES if name not in far]
    dest = np.concatenate(
        [
            rng.permutation(np.append(rng.choice(far, k), rng.choice(near, FLIGHTS - k)))
            for k in rng.integers(20, 27, DAYS)
        ]
    )
    miles = np.array([ROUTES[name] for name in dest], dtype=float)
    forecast = np.round(np.cumsum(rng.choice([-1, 1], DAYS) * rng.uniform(0.4, 3.0, DAYS)), 1)
    day = np.repeat(np.arange(DAYS), FLIGHTS)
    label = np.round(18 + 0.118 * miles * (1 + 0.004 * forecast[day]) + rng.normal(0, 6, n))
    log = {  # arrays until the end: setting rows of a DataFrame takes ten times as long
        "day": day,
        "origin": np.array(["EWR", "JFK", "LGA"] * (n // 3), dtype=object),
        "dest": dest,
        "usual_distance": miles,
        "distance": miles.copy(),
        "wind": forecast[day],
        "attempts": np.ones(n, dtype=int),
        "latency_ms": np.round(rng.gamma(9, 12, n)),
        "prediction": np.round(18 + 0.118 * miles * (1 + 0.004 * forecast[day])),
        "label": label,
    }
    busy = int(rng.integers(1, 6))  # before any onset
    log["label"][day == busy] += 9
    for column, gap, days in (("label", np.nan, 6), ("attempts", 2, 4)):  # one a day
        rows = rng.choice(DAYS, days, replace=False) * FLIGHTS + rng.integers(0, FLIGHTS, days)
        log[column][rows] = gap
    log["distance"][busy * FLIGHTS + 3] = np.nan
    return log


def _gaps(log, onset, rng):
    """Several gaps on one day before the onset, so that neither the first gap nor the first two tell the onset."""
    day = int(rng.integers(min(7, onset - 1), onset))
    rows = day * FLIGHTS + rng.choice(FLIGHTS, 11, replace=False)
    log["distance"][rows[:3]] = np.nan
    gap = (log["day"] == day) & np.isnan(log["label"])
    log["label"][gap] = log["prediction"][gap]
    log["label"][rows[3:8]] = np.nan  # 14% of the day, and no more
    log["attempts"][rows[8:]] = [2, 2, 3]
    log["latency_ms"][rows[10]] = 330  # three times what is usual


def _outage(log, at, here, onset, rng):
    log["prediction"][here] -= np.round(0.04 * log["usual_distance"][here])
    log["distance"][here] = np.nan


def _units(log, at, here, onset, rng):
    # on the first day, no flight is so far that its kilometers could not be miles
    far, today = log["usual_distance"] > 2000, log["day"] == onset
    out = np.flatnonzero(here & today & far)
    into = np.flatnonzero(~here & today & ~far)[: len(out)]
    for column in (log["origin"], here):
        column[out], column[into] = column[into], column[out]
    log["prediction"][here] += np.round(0.07 * log["usual_distance"][here])
    log["distance"][here] = np.round(1.609 * log["usual_distance"][here])


def _stuck(log, at, here, onset, rng):
    wind, before = log["wind"], log["wind"][(onset - 1) * FLIGHTS]
    almost = before + (0.1 if before < round(before) else -0.1)  # and the same when rounded
    earlier = log["day"] < onset - 1
    wind[earlier] = np.round(wind[earlier] + almost - wind[(onset - 2) * FLIGHTS], 1)
    wind[at] = before


def _no_labels(log, at, here, onset, rng):
    log["label"][at & (log["usual_distance"] > FAR)] = np.nan


def _storm(log, at, here, onset, rng):
    of_a_day = np.repeat([1, 2, 3], [13, 18, 5])
    log["attempts"][at] = np.concatenate([rng.permutation(of_a_day) for _ in range(DAYS - onset)])
    log["latency_ms"][at] *= 3


def _slow(log, at, here, onset, rng):
    log["latency_ms"][at] *= 3


_FAULTS = {
    "feed outage": _outage,
    "unit change": _units,
    "stuck feature": _stuck,
    "label outage": _no_labels,
    "retry storm": _storm,
    "slow dependency": _slow,
}
