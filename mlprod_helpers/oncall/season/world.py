"""The world of a season: real flights, drawn displays, and what the script breaks. It never changes while one plays.

Day 0 is the season's first day; the 62 days before it are the history from which the first model was trained.
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
from typing import NamedTuple

import numpy as np
import pandas as pd

from mlprod_helpers import faults
from mlprod_helpers.oncall.season.script import DAYS, Script, draw_script
from mlprod_helpers.oncall.season.year import DaySums, day_weights, year

BEFORE = 62  # days of history
TRAINED_UNTIL = -22  # the last day whose labels the first model knew
USUAL = 20  # days before the season that say what is usual
REQUESTS = 55  # a flight has, on average
CARIBBEAN = ("SJU", "STT", "BQN", "PSE")
CROWD = 6  # times as many displays as other flights have ask for those of the new terminal
HUMAN_ERROR = 5.0  # minutes, scale of a person's error
STRONG = 12.0  # minutes per 1,000 miles: the wind forecast is stuck at a value at least as strong
TIMEOUT = 2000.0  # milliseconds
SAMPLED = 400  # requests of a day that are simulated one by one when the service is in trouble
NOTES = 40  # log entries that are searched for personal data each day
LEAKING = 0.08  # share of the requests that bring a mail address
WORLDS = 32  # kept: more than exercise 11.7 plays on three seeds, and its judge, in turn; 3 MB each with their first morning


class World(NamedTuple):
    """Arrays over the flights of a season and its history, and arrays over its days (index day + BEFORE)."""

    seed: int
    script: Script
    flights: object  # year.Flights, `day` counted from the season's first
    rows: tuple  # a slice of the flights for each day
    requests: np.ndarray
    luck: np.ndarray  # (flights, 4), uniform: routing, failures, lost requests, who is answered wrongly
    caribbean: np.ndarray  # which flights go to the new terminal's destinations
    person: np.ndarray  # what a person would answer
    usual_distance: np.ndarray  # of the route, NaN where it was never flown in the history
    broken: dict  # kind -> array over flights; see `_broken`
    service: (
        dict  # "latency_p95", "failed", "attempts" -> array over days; and the same of a service fault's kind
    )
    found: np.ndarray  # mail addresses found in each day's sample while they leak
    noise: np.ndarray  # (flights,) normal, for candidates
    clean: DaySums  # what models would be trained on if nothing were broken
    fresh: np.ndarray  # from day 0, what a model would predict that is retrained each day on 28 clean days
    first: object  # Weights of the first model

    def day(self, day):
        """The slice of a day's flights."""
        return self.rows[day + BEFORE]

    def date(self, day):
        """The calendar date of a day, as text."""
        return str(dt.date(2013, 1, 1) + dt.timedelta(days=self.script.first_day + day))


@functools.lru_cache(maxsize=WORLDS)
def world(seed):
    """The world of a seed.

    >>> world(3).date(0)[:4]
    '2013'
    """
    script = script_of(seed)
    streams = _streams(seed)
    flights = _flights(script)
    n = len(flights.day)
    edges = np.searchsorted(flights.day, np.arange(-BEFORE, DAYS + 1))
    rows = tuple(slice(a, b) for a, b in itertools.pairwise(edges))
    clean = _sums(flights, rows)
    first = clean.train(day_weights(BEFORE + DAYS, TRAINED_UNTIL + BEFORE, window=BEFORE))
    noise = streams[3].laplace(0, HUMAN_ERROR, n)
    return World(
        seed,
        script,
        flights,
        rows,
        _requests(script, flights, streams[1]),
        streams[2].random((n, 4)),
        caribbean(flights),
        np.round(flights.air_time + noise),
        _usual_distance(flights),
        _broken(script, flights),
        _service(script, streams[4]),
        _found(script, streams[4]),
        streams[3].standard_normal(n),
        clean,
        _fresh(flights, rows, clean),
        first,
    )


def script_of(seed):
    """The script of a season alone, which takes no time.

    >>> script_of(3) == world(3).script
    True
    """
    return draw_script(_streams(seed)[0])


def _streams(seed):
    return [np.random.default_rng(each) for each in np.random.SeedSequence(seed).spawn(5)]


# --- flights and who asks for them ----------------------------------------------------------------------------------


def _flights(script):
    """The flights of season and history; those of a terminal that is not yet open are taken out."""
    flights = year()
    day = flights.day - script.first_day
    keep = (day >= -BEFORE) & (day < DAYS)
    for event in script.events:
        if event.kind == "new_route":
            keep &= ~(caribbean(flights) & (day < event.start))
    return flights._replace(day=day).rows(keep)


def caribbean(flights):
    """Which flights go to the new terminal's destinations."""
    return np.isin(flights.dest, [flights.dests.index(dest) for dest in CARIBBEAN])


def _requests(script, flights, rng):
    """How many displays ask for each flight."""
    mean = REQUESTS * rng.gamma(4.0, 0.25, len(flights.day))
    for event in script.events:
        now = (flights.day >= event.start) & (flights.day < event.end)
        if event.kind == "new_route":
            mean = np.where(now & caribbean(flights), CROWD * mean, mean)
        if event.kind == "holiday":
            mean = np.where(now, mean * np.where(flights.distance > 900, 2.4, 1.4), mean)
    return rng.poisson(mean)


def _usual_distance(flights):
    """The distance that each flight's route had in the history, NaN where there was none."""
    route = flights.origin * len(flights.dests) + flights.dest
    size = len(flights.origins) * len(flights.dests)
    old = flights.day < 0
    count = np.bincount(route[old], minlength=size).astype(float)
    count[count == 0] = np.nan
    return np.round(np.bincount(route[old], flights.distance[old], size) / count, 1)[route]


# --- what the model could know -----------------------------------------------------------------------------------------


def _sums(flights, rows):
    sums = DaySums(len(rows), len(flights.dests))
    for day, part in enumerate(rows):
        sums.put(day, flights.dest[part], flights.distance[part], flights.wind[part], flights.air_time[part])
    return sums


def _fresh(flights, rows, clean):
    answers = np.zeros(len(flights.day))
    for day, part in enumerate(rows[BEFORE:], start=BEFORE):
        weights = clean.train(day_weights(len(rows), day - 2, window=28))
        answers[part] = weights.predict(flights.distance[part], flights.wind[part], flights.dest[part])
    return answers


# --- what breaks --------------------------------------------------------------------------------------------------------


def _broken(script, flights):
    """kind -> what the log has instead of the true distance or wind; "skew" -> what the service multiplies the wind by."""
    broken = {}
    for event in script.events:
        first, last = (int(row) for row in np.searchsorted(flights.day, [event.start, event.end]))
        window = {"start": first, "end": last}
        there = {"where": {"origin": flights.origins.index(event.origin)}}
        values = {"distance": flights.distance, "wind": flights.wind, "sign": np.ones(len(flights.day))}
        if event.kind == "feed_outage":
            fault = faults.FeedOutage("distance", **window, **there)
        elif event.kind == "unit_change":
            fault = faults.UnitChange("distance", 1.609344, **window, **there)
        elif event.kind == "stuck_feature":
            fault = faults.StuckSensor("wind", **window)
            values["wind"] = _windy_at(flights, first)
        elif event.kind == "skew":
            fault = faults.UnitChange("sign", -1.0, **window)
        else:
            continue
        column = fault.columns[0]
        frame = pd.DataFrame({column: values[column], "origin": flights.origin})
        broken[event.kind] = faults.apply(frame, fault)[0][column].to_numpy()
    return broken


def _windy_at(flights, row):
    """The forecasts, the one before a row being the last strong one: a day at which it matters to be stuck."""
    wind = flights.wind.copy()
    strong = np.flatnonzero(np.abs(wind[:row]) >= STRONG)
    wind[row - 1] = wind[strong[-1]] if len(strong) else STRONG
    return wind


def _service(script, rng):
    """Latency, failures and attempts of each day: as usual, and under each fault of the service on its days."""
    days = BEFORE + DAYS
    service = {
        "latency_p95": np.round(180 * np.exp(0.04 * rng.standard_normal(days)), 1),
        "failed": np.full(days, 0.002),
        "attempts": np.full(days, 1.01),
    }
    for event in script.events:
        if event.kind == "slow_dependency":
            fault = faults.SlowDependency(900.0, TIMEOUT)
        elif event.kind == "retry_storm":
            fault = faults.RetryStorm(0.62, 4)
        else:
            continue
        service[event.kind] = _in_trouble(fault, event.end - event.start, rng)
    return service


def _in_trouble(fault, days, rng):
    """(latency_p95, failed, attempts) of each day of a fault, from a simulated sample of its requests."""
    n = days * SAMPLED
    log = pd.DataFrame(
        {
            "time": pd.date_range("2013-01-01", periods=n, freq="1min", tz="UTC"),
            "status": 200,
            "latency_ms": 100 * np.exp(0.36 * rng.standard_normal(n)),
            "attempts": 1,
        }
    )
    log, _ = faults.apply(log, fault, rng)
    latency, status, attempts = (
        log[name].to_numpy().reshape(days, SAMPLED) for name in ("latency_ms", "status", "attempts")
    )
    return np.stack(
        [np.percentile(latency, 95, axis=1), (status >= 500).mean(axis=1), attempts.mean(axis=1)], axis=1
    ).round(3)


def _found(script, rng):
    """How many mail addresses a search finds in the sample of each day on which they leak."""
    found = np.zeros(BEFORE + DAYS, dtype=int)
    for event in script.events:
        if event.kind == "leak":
            for day in range(event.start, event.end):
                found[day + BEFORE] = _search(rng.random(NOTES) < LEAKING)
    return found


def _search(leaks):
    """How many of these notes `checklist.find_personal` recognizes."""
    from mlprod_helpers.checklist.privacy import find_personal  # heavy, and only some seasons need it

    notes = [
        f"display {i}: call back ana{i}@example.org" if leak else f"display {i}: gate changed"
        for i, leak in enumerate(leaks)
    ]
    return sum(bool(find_personal({"note": note})) for note in notes)
