"""Small models of flight times to serve: for lessons, tests and benchmarks."""

from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from mlprod_helpers.serving.lab.deployment import Deployment
from mlprod_helpers.serving.service.schema import Feature

FEATURES = (
    Feature("distance", low=0, high=6000),
    Feature("hour", "integer", low=0, high=23),
    Feature("zone", "integer", low=0, high=12),
)


class DemoModel(NamedTuple):
    """A fitted model and the features it takes."""

    model: object
    features: tuple


class EtaModels(NamedTuple):
    """See `eta_models`."""

    v1: DemoModel
    v2: DemoModel
    hybrid: Deployment
    rows: pd.DataFrame
    labels: pd.Series


def eta_models():
    """New models of the air time of a flight in minutes, and flights to ask about.

    In winter, planes that leave New York for the west fly against a strong jet stream: a model of January and February predicts
    air times that are too long for the rest of the year.

    Returns
    -------
    EtaModels
        v1 : scaler and Ridge, trained on January and February
        v2 : the same, trained on March to August: better in autumn
        hybrid : v1 in a `HybridModel` that learns a correction for each zone, deployed to take labels of up to a day of minutes, so that
            no single label moves it far
        rows : DataFrame (n, 3) of flights in September and October, in the order of departure: `distance` in miles, `hour`
            of the scheduled departure, `zone`, the whole 500 miles of the distance
        labels : Series (n,) of their air times in minutes

    >>> eta = eta_models()
    >>> for version in (eta.v1, eta.v2):
    ...     round(float(np.abs(version.model.predict(eta.rows) - eta.labels).mean()))
    13
    8
    """
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from mlprod_helpers.adaptation import HybridModel

    X, y, month = _flights()
    winter, summer, autumn = month <= 2, (month >= 3) & (month <= 8), (month >= 9) & (month <= 10)
    linear = make_pipeline(StandardScaler(), Ridge())
    models = (
        make_pipeline(StandardScaler(), Ridge()).fit(X[winter], y[winter]),
        make_pipeline(StandardScaler(), Ridge()).fit(X[summer], y[summer]),
        HybridModel(linear, band="zone", half_life=50).fit(X[winter], y[winter]),
    )
    rows, labels = X[autumn].reset_index(drop=True), y[autumn].reset_index(drop=True)
    v1, v2 = (DemoModel(model, FEATURES) for model in models[:2])
    hybrid = Deployment(models[2], FEATURES, label_low=0, label_high=1440)
    return EtaModels(v1, v2, hybrid, rows, labels)


@cache
def _flights():
    from mlprod_helpers.datasets import load_flights
    from mlprod_helpers.features.eta import flight_features, flight_requests

    flights = load_flights().dropna(subset=["air_time"])
    X = flight_features(flight_requests(flights))
    return X, flights["air_time"].astype(float), np.asarray(flights["month"])
