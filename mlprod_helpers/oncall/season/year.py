"""The real flights of 2013 as arrays, and the model of flight times: fast enough to be trained on each day of a season.

The model is a line over the distance and the wind, plus one correction for each destination that shrinks towards 0
where flights are few. It needs only sums over days, so a training with any weights of the days takes microseconds. On these
data it is as good as gradient boosting.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

SHRINKAGE = 8.0  # flights that a destination's correction is held back by
DEFAULT_DISTANCE = 1000.0  # what the service assumes where the distance is missing, in miles
LATELY = 28  # days that say what the wind is like lately


class Flights(NamedTuple):
    """Flights with an air time, one entry each, in the order of departure. Places are codes into `origins` and `dests`."""

    day: np.ndarray  # 0 is 1 January 2013
    origin: np.ndarray
    dest: np.ndarray
    hour: np.ndarray
    distance: np.ndarray  # miles
    wind: np.ndarray  # of the day; see `forecast`
    air_time: np.ndarray  # minutes
    origins: tuple
    dests: tuple

    def rows(self, keep):
        """The flights of a mask or an array of positions."""
        return self._replace(**{name: getattr(self, name)[keep] for name in self._fields[:7]})


@functools.cache
def year():
    """All flights of the shipped tenth of 2013 that have an air time.

    >>> len(year().day)
    32729
    """
    from mlprod_helpers import datasets

    frame = datasets.load_flights().dropna(subset=["air_time"])
    day = (frame["date"].dt.day_of_year - 1).to_numpy()
    codes = {name: frame[name].cat.codes.to_numpy().astype(np.int64) for name in ("origin", "dest")}
    distance, air_time = (frame[name].to_numpy(dtype=float) for name in ("distance", "air_time"))
    wind = forecast(day, codes["dest"], distance, air_time)[day]
    names = (tuple(frame[name].cat.categories) for name in ("origin", "dest"))
    return Flights(
        day, codes["origin"], codes["dest"], frame["hour"].to_numpy(), distance, wind, air_time, *names
    )


def forecast(day, dest, distance, air_time):
    """A simulated forecast of each day's wind: by how many minutes per 1,000 miles flights will take longer than lately.

    What really happened on the day, against the 28 days before, plus an error of the forecast that is drawn once and for
    all.
    """
    usual = np.bincount(dest, air_time) / np.maximum(np.bincount(dest), 1)
    slower = (air_time - usual[dest]) / distance * 1000
    daily = np.bincount(day, slower) / np.maximum(np.bincount(day), 1)
    lately = np.array([daily[max(0, d - LATELY) : d].mean() if d else daily[0] for d in range(len(daily))])
    error = np.random.default_rng(2013).normal(0, 1.0, len(daily))
    return np.round(daily - lately + error, 1)


class Weights(NamedTuple):
    """A trained model: the line's three weights, and a correction for each destination in minutes."""

    line: np.ndarray
    correction: np.ndarray

    def predict(self, distance, wind, dest):
        """Predicted minutes in the air, rounded to a tenth, so that no processor's last digit matters."""
        one, miles, blown = self.line
        return np.round(one + distance * (miles + blown * wind / 1000) + self.correction[dest], 1)


_PAIRS = np.triu_indices(4)


class DaySums:
    """Sums over each day from which a model can be trained with any weights of the days: `put` a day, then `train`."""

    def __init__(self, days, dests):
        self.by_dest = np.zeros((days, 4, dests))
        self.products = np.zeros((days, 9))

    def put(self, day, dest, distance, wind, air_time):
        """Set a day to these flights, as the log has them (NaN where an input is missing); arrays of shape (flights,)."""
        distance = np.where(np.isnan(distance), DEFAULT_DISTANCE, distance)
        wind = np.where(np.isnan(wind), 0.0, wind)
        rows = np.stack([np.ones(len(dest)), distance, wind * distance / 1000, air_time])
        dests = self.by_dest.shape[2]
        for i, row in enumerate(rows):
            self.by_dest[day, i] = np.bincount(dest, row, dests)
        self.products[day] = (rows @ rows.T)[_PAIRS][:9]

    def train(self, weights):
        """The model trained with these weights of the days, or None if there are too few flights."""
        used = np.flatnonzero(weights)
        if not len(used):
            return None
        weights = np.asarray(weights, dtype=float)[used]
        p = weights @ self.products[used]
        sums = (weights @ self.by_dest[used].reshape(len(used), -1)).reshape(4, -1)  # inputs and air time
        if sums[0].sum() < 50:
            return None
        gram = np.array([[p[0], p[1], p[2]], [p[1], p[4], p[5]], [p[2], p[5], p[7]]])
        gram += np.diag([1e-6, 1.0, 1e-3])  # a window in which the wind never changed is no reason to fail
        line = np.linalg.solve(gram, np.array([p[3], p[6], p[8]]))
        correction = (sums[3] - line @ sums[:3]) / (sums[0] + SHRINKAGE)
        return Weights(np.round(line, 6), np.round(correction, 3))


def day_weights(days, last, *, window=None, half_life=None, skip=()):
    """Weights of `days` days for a training on the days up to `last`.

    Parameters
    ----------
    window : int or None, how many days; None: all
    half_life : float or None, days after which a flight counts half
    skip : pairs (first, last) of days that are left out, both included

    >>> day_weights(5, 3, window=3, skip=[(2, 2)]).tolist()
    [0.0, 1.0, 0.0, 1.0, 0.0]
    """
    day = np.arange(days)
    weights = (day <= last).astype(float)
    if window is not None:
        weights[day <= last - window] = 0
    if half_life is not None:
        weights *= 0.5 ** (np.maximum(last - day, 0) / half_life)
    for first, final in skip:
        weights[(day >= first) & (day <= final)] = 0
    return weights
