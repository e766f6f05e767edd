"""When requests arrive: sorted arrays of times in seconds."""

import numpy as np

DAY = 86_400.0


def poisson(rate, duration=None, *, n=None, random_state=None):
    """Users who arrive on their own, independent of each other: sorted times in seconds from 0, with exponential gaps.

    Parameters
    ----------
    rate : float, requests a second, 0 or more
    duration : float, seconds to simulate; the number of requests is random
    n : int, instead of `duration`: exactly so many requests
    random_state : int, Generator or None

    >>> poisson(2.0, n=3, random_state=0).round(2)
    array([0.34, 0.85, 0.86])
    """
    rate = _not_negative(rate, "rate")
    if (duration is None) == (n is None):
        raise ValueError("Say how long (duration, in seconds) or how many (n), and only one of them.")
    rng = np.random.default_rng(random_state)
    if n is not None:
        if rate == 0 and n > 0:
            raise ValueError(f"At rate 0 there will never be {n} requests. Give a duration instead of n.")
        return np.cumsum(rng.exponential(1 / rate if rate else 1.0, size=n))
    duration = _not_negative(duration, "duration")
    return _from_cumulative([0.0, duration], [0.0, rate * duration], rng)


def diurnal(mean_rate, duration=DAY, *, amplitude=0.8, peak=20 * 3600, random_state=None):
    """Traffic that follows the day: rate(t) = mean_rate (1 + amplitude cos(2 pi (t - peak) / 86,400)), sorted, in s.

    Parameters
    ----------
    mean_rate : float, requests a second, mean over a whole day
    duration : float, seconds
    amplitude : float from 0 (steady) to 1 (nobody at the quietest hour): the peak has `1 + amplitude` times the
        mean rate
    peak : float, seconds after the start: when most arrive
    random_state : int, Generator or None

    >>> times = diurnal(1.0, random_state=0)
    >>> counts = np.histogram(times, bins=24, range=(0, 86400))[0]
    >>> int(counts[19:21].sum()), int(counts[7:9].sum())  # 19-21 h and 7-9 h, 7200 s each
    (13162, 1465)
    """
    mean_rate, duration = _not_negative(mean_rate, "mean_rate"), _not_negative(duration, "duration")
    if not 0 <= amplitude <= 1:
        raise ValueError(f"amplitude is {amplitude}, but a rate cannot fall below 0: choose it from 0 to 1.")
    # the integral of the rate, exact at 256 points a day and straight in between
    times = np.linspace(0.0, duration, max(2, int(256 * duration / DAY) + 1))
    turn = 2 * np.pi / DAY
    swing = (np.sin(turn * (times - peak)) + np.sin(turn * peak)) / turn
    return _from_cumulative(
        times, mean_rate * (times + amplitude * swing), np.random.default_rng(random_state)
    )


def _from_cumulative(times, expected, rng):
    """A Poisson process with a changing rate, from its expected counts (non-decreasing) up to given times."""
    count = rng.poisson(expected[-1])
    return np.interp(np.sort(rng.uniform(0.0, expected[-1], size=count)), expected, times)


def _not_negative(value, name):
    value = float(value)
    if not 0 <= value < np.inf:
        raise ValueError(f"{name} is {value}, but it is a finite number, 0 or more.")
    return value
