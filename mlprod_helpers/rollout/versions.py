"""Versions of a model, described by how they behave, and the traffic that asks them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from mlprod_helpers.names import nearest_name
from mlprod_helpers.requestlog.table import UTC, features, utc


def _rate(value, name):
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value}, but it is a share of the requests, from 0 to 1 (5% is 0.05).")


def _not_negative(value, name):
    if not 0 <= value < np.inf:
        raise ValueError(f"{name} is {value}, but it is a finite number, 0 or more.")


@dataclass(frozen=True, kw_only=True)
class Symptom:
    """Something that is wrong with a version: for some time, for some requests.

    Parameters
    ----------
    error_rate : float, added to the share of failed requests
    after : float, seconds from the start of the rollout to its begin: a leak, a cache that runs full, a certificate
    until : float or None, seconds: when it ends
    where : dict or None, only requests whose features have these values: {"origin": "JFK"}

    >>> Symptom(error_rate=0.2, after=600, until=900).is_there(np.array([599.0, 600.0, 900.0])).tolist()
    [False, True, False]
    """

    error_rate: float = 0.0
    after: float = 0.0
    until: float | None = None
    where: Mapping | None = field(default=None, hash=False)

    def __post_init__(self):
        _rate(self.error_rate, "error_rate")
        _not_negative(self.after, "after")
        if self.until is not None and not self.until > self.after:
            raise ValueError(f"The symptom ends ({self.until} s) before it begins ({self.after} s).")

    def is_there(self, seconds):
        """Is it there at each of some moments, in seconds after the start of the rollout?"""
        return (seconds >= self.after) & (seconds < (np.inf if self.until is None else self.until))


@dataclass(frozen=True, kw_only=True)
class Behavior:
    """How a version behaves.

    Parameters
    ----------
    latency_ms : float, the median latency
    spread : float, the standard deviation of its logarithm; 0.4 makes p99 2.5 times the median
    error_rate : float, share of failed requests
    symptoms : sequence of Symptom
    """

    latency_ms: float = 80.0
    spread: float = 0.4
    error_rate: float = 0.002
    symptoms: tuple = ()

    def __post_init__(self):
        _rate(self.error_rate, "error_rate")
        _not_negative(self.spread, "spread")
        if not 0 < self.latency_ms < np.inf:
            raise ValueError(f"latency_ms is {self.latency_ms}, but an answer takes time: above 0, finite.")
        symptoms = (self.symptoms,) if isinstance(self.symptoms, Symptom) else tuple(self.symptoms)
        object.__setattr__(self, "symptoms", symptoms)


@dataclass(frozen=True)
class Version:
    """One version of the service.

    Parameters
    ----------
    name : str
    behavior : Behavior

    >>> slow = Version("v2", Behavior(latency_ms=200))
    """

    name: str
    behavior: Behavior = Behavior()


_START = utc("2013-01-01 05:00Z")


def traffic(arrivals, *, users=1000, segments=None, random_state=None):
    """Requests that any version can answer: who asks when, with which features.

    Parameters
    ----------
    arrivals : array of n times in seconds, sorted; see `queueing.poisson` and its like
    users : int, how many different users there are; each request is one of them, at random
    segments : dict or None, features: {"origin": {"EWR": 0.4, "JFK": 0.6}} draws each value with its share
    random_state : int, Generator or None

    Returns
    -------
    DataFrame : `time` (second 0 is 2013-01-01 05:00 UTC), `request_id`, `user_id` and the features

    >>> trace = traffic([0.0, 1.5, 4.0], users=2, segments={"origin": {"JFK": 1.0}}, random_state=0)
    >>> list(trace.columns)
    ['time', 'request_id', 'user_id', 'origin']
    """
    arrivals = np.asarray(arrivals, dtype=float)
    if (
        arrivals.ndim != 1
        or not len(arrivals)
        or not np.isfinite(arrivals).all()
        or (np.diff(arrivals) < 0).any()
    ):
        raise ValueError(
            "arrivals are sorted times in seconds, at least one, none missing: sort them first, np.sort(arrivals)."
        )
    if int(users) != users or users < 1:
        raise ValueError(f"users is {users}, but somebody has to ask: a whole number from 1.")
    n, rng = len(arrivals), np.random.default_rng(random_state)
    names = np.array([f"user {i}" for i in range(users)], dtype=object)
    since = pd.to_timedelta((arrivals * 1e6).round().astype("int64"), unit="us")
    trace = pd.DataFrame(
        {
            "time": (_START + since).astype(UTC),
            "request_id": np.arange(n),
            "user_id": names[rng.integers(users, size=n)],
        }
    )
    for name, shares in (segments or {}).items():
        weights = np.array(list(shares.values()), dtype=float)
        trace[name] = np.array(list(shares), dtype=object)[
            rng.choice(len(weights), size=n, p=weights / weights.sum())
        ]
    return trace


def luck(n, rng):
    """The chance of each request, drawn once and used by every version and plan: common random numbers."""
    error, _, copy = rng.random(
        (3, n)
    )  # the second row keeps the figures of the lessons as they were printed
    return {"error": error, "copy": copy, "latency": rng.standard_normal(n)}


def outcomes(version, trace, seconds, chance):
    """What this version would answer to every request of the trace, whether it gets it or not.

    Parameters
    ----------
    version : Version
    trace : DataFrame of n requests
    seconds : array (n,), since the start of the rollout
    chance : what `luck` drew

    Returns
    -------
    dict of arrays (n,): `status` and `latency_ms`
    """
    behavior = version.behavior
    share = np.full(len(trace), behavior.error_rate)
    for symptom in behavior.symptoms:
        share += symptom.error_rate * (symptom.is_there(seconds) & _matches(trace, symptom.where))
    return {
        "status": np.where(chance["error"] < share, 500, 200),
        "latency_ms": behavior.latency_ms * np.exp(behavior.spread * chance["latency"]),
    }


def _matches(trace, where):
    matches = np.ones(len(trace), dtype=bool)
    for column, value in (where or {}).items():
        if column not in trace:
            raise KeyError(
                f"A symptom looks at {column!r}, which no request has: {nearest_name(column, features(trace))}."
            )
        matches &= (trace[column] == value).to_numpy()
    return matches
