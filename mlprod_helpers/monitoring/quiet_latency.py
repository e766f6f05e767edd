"""Quiet weeks of one service's p99, to set a threshold from."""

import numpy as np

HOURS_OF_WEEK = 168
NOISE = 0.12


def usual_latency(rng):
    """The usual p99 (ms) of each hour of a week, Monday 0:00 first: busy days, quiet nights, quieter weekends."""
    hour = np.arange(HOURS_OF_WEEK)
    of_day, day = hour % 24, hour // 24
    busy = np.clip(np.sin((of_day - rng.uniform(8, 9)) / 24 * 2 * np.pi), 0, None)
    busy = busy * np.where(day >= 5, 0.35, 1) * rng.uniform(0.95, 1.05, 7)[day]
    return rng.uniform(80, 120) * (1 + rng.uniform(3.0, 4.0) * busy)


def quiet_weeks(rng, usual, weeks):
    """Values (weeks, 168): the usual ones with noise."""
    return usual * np.exp(NOISE * rng.normal(size=(weeks, HOURS_OF_WEEK)))
