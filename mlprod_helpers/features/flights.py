"""The recent error of the planned flight times as a feature: what the notebook promises, what the service reaches.

The label is the air time of a flight. A plan (the median of its route in the training months) predicts it; the feature
is by how much the flights that left New York lately took longer than planned. Their air times are known once they
have landed.
"""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd

from mlprod_helpers.features.asof import mean_before

#: Minutes from the gate to the runway, assumed, as the data do not say them.
TAXI = 15
#: The test months; each has the two months before it for training.
MONTHS = tuple(range(3, 13))


def flown():
    """Flights of the shipped tenth of 2013 that have an air time, with the moments that matter.

    Returns
    -------
    DataFrame : `time` (scheduled departure, when the service is asked), `month`, `origin`, `dest`, `air_time`, `left`
        (actual departure) and `landed`: `left`, plus 15 minutes on the ground, plus the time in the air.

    >>> len(flown())
    32729
    """
    from mlprod_helpers import datasets

    flights = datasets.load_flights().dropna(subset=["air_time", "dep_delay"]).reset_index(drop=True)
    left = flights["time"] + pd.to_timedelta(flights["dep_delay"], unit="min")
    landed = left + pd.to_timedelta(TAXI + flights["air_time"], unit="min")
    return flights[["time", "month", "origin", "dest", "air_time"]].assign(left=left, landed=landed)


def split(flights, month):
    """(training, test) for one month: flights of the two months before, and of the month, with planned minutes.

    `planned` is the median air time of the route in training; flights on routes that training does not have are left
    out. `slower` is how much longer than planned the flight took, as a share.

    >>> train, test = split(flown(), 3)
    >>> len(train), len(test)
    (5001, 2762)
    """
    training = flights[flights["month"].between(month - 2, month - 1)]
    medians = training.groupby(["origin", "dest"], observed=True)["air_time"].median().rename("planned")
    both = flights[flights["month"].between(month - 2, month)].join(medians, on=["origin", "dest"])
    both = both.dropna(subset=["planned"])
    both["slower"] = both["air_time"] / both["planned"] - 1
    return both[both["month"] < month], both[both["month"] == month]


def recent(flights, known_at, hours=2):
    """How much longer than planned the flights of the last hours took, of which `known_at` says when that was known.

    Returns a Series, 0 where no flight counts.
    """
    window = pd.Timedelta(hours=hours)
    names = {"at": "time", "happened": "left", "value": "slower", "window": window}
    return mean_before(flights, flights, known_at=known_at, **names).fillna(0.0)


def scores(hours=2, wait=0):
    """Mean absolute errors, month by month, of one model in the notebook and in the service.

    Parameters
    ----------
    hours : float. The window of the feature.
    wait : float. Minutes from landing until the service hears of it.

    Returns
    -------
    DataFrame : index month; minutes of error on its flights
        ``plan``: without the feature. ``notebook``: trained and tested with what the finished table says. ``service``:
        the same model, given what was known. ``as_of``: trained and tested with what was known.

    >>> scores().loc[3].round(1).to_dict()
    {'plan': 9.6, 'notebook': 7.7, 'service': 9.6, 'as_of': 9.5}
    """
    rows = {}
    for month in MONTHS:
        both, _ = _month(month)
        heard = both["landed"] + pd.Timedelta(minutes=wait)
        known = recent(both[["time", "left", "slower"]].assign(heard=heard), "heard", hours).to_numpy()
        weights, notebook = _promised(month, hours)
        rows[month] = {
            "plan": _error_of_plan(month),
            "notebook": notebook,
            "service": _error(month, weights, known),
            "as_of": _error(month, _fitted(month, known), known),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("month")


def _design(month, feature):
    """(inputs, air times, which rows are for training); the feature works in proportion to the plan."""
    both, learning = _month(month)
    planned = both["planned"].to_numpy()
    columns = [np.ones(len(both)), planned] + ([] if feature is None else [planned * feature])
    return np.column_stack(columns), both["air_time"].to_numpy(), learning


def _fitted(month, feature):
    """The weights of a line fitted by least squares to the two months before."""
    inputs, truth, learning = _design(month, feature)
    return np.linalg.lstsq(inputs[learning], truth[learning], rcond=None)[0]


def _error(month, weights, feature):
    """Mean absolute error on the month."""
    inputs, truth, learning = _design(month, feature)
    return np.abs(truth - inputs @ weights)[~learning].mean()


@functools.cache
def _error_of_plan(month):
    return _error(month, _fitted(month, None), None)


@functools.lru_cache(maxsize=200)
def _promised(month, hours):
    """(weights, error on the month) where training and test both take the feature from the finished table."""
    feature = recent(_month(month)[0], "left", hours).to_numpy()
    weights = _fitted(month, feature)
    return weights, _error(month, weights, feature)


@functools.cache
def _month(month):
    """Training and test rows of a month in one frame, and which of them are for training."""
    train, test = split(_flown(), month)
    return pd.concat([train, test]), np.arange(len(train) + len(test)) < len(train)


@functools.cache
def _flown():
    return flown()
