"""When requests arrive: sorted arrays of times in seconds."""

import numpy as np

DAY = 86_400.0


def poisson(rate, duration=None, *, n=None, random_state=None):
    """Users who arrive on their own, independent of each other: exponential gaps.

    Parameters
    ----------
    rate : float, requests a second, 0 or more
    duration : float, seconds to simulate; the number of requests is random
    n : int, instead of `duration`: exactly so many requests
    random_state : int, Generator or None

    Returns
    -------
    array of sorted times in seconds, from 0

    >>> poisson(2.0, n=3, random_state=0).round(2)
    array([0.34, 0.85, 0.86])
    >>> len(poisson(100.0, duration=60.0, random_state=0))
    6031
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


def diurnal(mean_rate, duration=DAY, *, amplitude=0.8, peak=20 * 3600, period=DAY, random_state=None):
    """Traffic that follows the day: rate(t) = mean_rate (1 + amplitude cos(2 pi (t - peak) / period)).

    Parameters
    ----------
    mean_rate : float, requests a second, mean over a whole period
    duration : float, seconds
    amplitude : float from 0 (steady) to 1 (nobody at the quietest hour): the peak has `1 + amplitude` times the mean rate
    peak : float, seconds after the start: when most arrive
    period : float, seconds
    random_state : int, Generator or None

    Returns
    -------
    array of sorted times in seconds

    >>> times = diurnal(1.0, random_state=0)
    >>> counts = np.histogram(times, bins=24, range=(0, 86400))[0]
    >>> int(counts[19:21].sum()), int(counts[7:9].sum())  # 19-21 h and 7-9 h, 7200 s each
    (13162, 1465)
    """
    mean_rate, duration = _not_negative(mean_rate, "mean_rate"), _not_negative(duration, "duration")
    if not 0 <= amplitude <= 1:
        raise ValueError(f"amplitude is {amplitude}, but a rate cannot fall below 0: choose it from 0 to 1.")
    if not period > 0:
        raise ValueError(f"period is {period}, but a day has a positive length in seconds.")
    # the integral of the rate, exact at 256 points a period and straight in between
    times = np.linspace(0.0, duration, max(2, int(256 * duration / period) + 1))
    turn = 2 * np.pi / period
    swing = (np.sin(turn * (times - peak)) + np.sin(turn * peak)) / turn
    return _from_cumulative(
        times, mean_rate * (times + amplitude * swing), np.random.default_rng(random_state)
    )


def burst(rate, duration, *, start, length, factor, random_state=None):
    """Steady traffic with one burst: `factor` times the rate from `start` on, for `length` seconds.

    >>> times = burst(10.0, 300.0, start=100.0, length=50.0, factor=4.0, random_state=0)
    >>> np.histogram(times, bins=[0, 100, 150, 300])[0]
    array([1010, 2002, 1514])
    """
    rate, duration = _not_negative(rate, "rate"), _not_negative(duration, "duration")
    factor, length = _not_negative(factor, "factor"), _not_negative(length, "length")
    if not 0 <= start <= duration:
        raise ValueError(f"The burst starts at {start} s, outside of the {duration} s that are simulated.")
    end = min(start + length, duration)
    steps = np.array([start, (end - start) * factor, duration - end]) * rate
    return _from_cumulative(
        [0.0, start, end, duration], np.append(0.0, steps.cumsum()), np.random.default_rng(random_state)
    )


def replay(log, *, speed=1.0):
    """The arrivals of a request log, in seconds since its first request.

    Parameters
    ----------
    log : DataFrame with a column `time`. Shadow copies are rows too: leave them out with `requestlog.served`.
    speed : float; 2 replays the log in half the time, at twice the rate

    Returns
    -------
    array of sorted times in seconds

    >>> import pandas as pd
    >>> replay(pd.DataFrame({"time": pd.to_datetime(["2013-01-01 05:00:03Z", "2013-01-01 05:00:00Z"])})).tolist()
    [0.0, 3.0]
    """
    if not speed > 0:
        raise ValueError(f"speed is {speed}, but time cannot stand still or run backwards.")
    times = log["time"].sort_values()
    if times.empty:
        return np.array([])
    return (times - times.iloc[0]).dt.total_seconds().to_numpy() / speed


def _from_cumulative(times, expected, rng):
    """A Poisson process with a changing rate, from its expected counts (non-decreasing) up to given times."""
    count = rng.poisson(expected[-1])
    return np.interp(np.sort(rng.uniform(0.0, expected[-1], size=count)), expected, times)


def _not_negative(value, name):
    value = float(value)
    if not 0 <= value < np.inf:
        raise ValueError(f"{name} is {value}, but it is a finite number, 0 or more.")
    return value
