"""The features of the service that predicts flight times: one function for training and for `/predict`."""

from __future__ import annotations

import pandas as pd

from mlprod_helpers.names import need_columns

ZONE = "America/New_York"


def flight_requests(flights):
    """What a request about each flight says: the fields that the service gets, before it computes features from them.

    Parameters
    ----------
    flights : DataFrame with `time`, the scheduled departure in New York, and `distance` in miles

    Returns
    -------
    DataFrame : `distance`, miles; `departure`, the scheduled departure in whole seconds since 1970 (UTC). The index is
        that of the flights.

    >>> flights = pd.DataFrame({"time": pd.to_datetime(["2013-07-01 08:30"]), "distance": [1400]})
    >>> flight_requests(flights).to_dict("records")
    [{'distance': 1400.0, 'departure': 1372681800}]
    """
    need_columns(flights, ["time", "distance"])
    departure = flights["time"].dt.tz_localize(ZONE).dt.tz_convert("UTC").dt.tz_localize(None)
    return pd.DataFrame(
        {
            "distance": flights["distance"].astype(float),
            "departure": departure.astype("datetime64[s]").astype("int64"),
        }
    )


def flight_features(requests):
    """The features of the models of flight times. Training and service both call this function.

    Parameters
    ----------
    requests : DataFrame with the columns that `flight_requests` returns

    Returns
    -------
    DataFrame : `distance`, miles; `hour` of the scheduled departure in New York, 0 to 23; `zone`, the whole 500 miles of
        the distance. The index is that of the requests.

    >>> flight_features(pd.DataFrame({"distance": [1400.0], "departure": [1372681800]})).to_dict("records")
    [{'distance': 1400.0, 'hour': 8, 'zone': 2}]
    """
    need_columns(requests, ["distance", "departure"])
    local = pd.to_datetime(requests["departure"], unit="s", utc=True).dt.tz_convert(ZONE)
    return pd.DataFrame(
        {
            "distance": requests["distance"].astype(float),
            "hour": local.dt.hour.astype("int64"),
            "zone": (requests["distance"] // 500).astype("int64"),
        }
    )
