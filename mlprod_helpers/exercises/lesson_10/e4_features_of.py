"""Exercise 10.4, Repair the service's features."""

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Frame, Function, exercise

COLUMNS = ("miles", "hour", "origin")
AIRPORTS = ("EWR", "JFK", "LGA", "BOS", "ORD", "MIA")
ZONE = "America/New_York"
TURNS = (  # in UTC, near clock changes: neither month nor day of the year tells the hour; two are alike
    "2013-03-05 15:20",
    "2013-03-10 06:30",
    "2013-03-10 07:30",
    "2013-11-02 15:40",
    "2013-11-03 06:30",
    "2013-11-20 15:10",
    "2014-03-09 15:10",
    "2014-07-01 04:10",  # soon after midnight
    "2014-07-01 04:10",
)


def _features(requests, origins, *, miles=None, hour=None, origin=None):
    """The reference; a wrong answer gives another column."""
    codes = {name: position for position, name in enumerate(origins)}
    local = requests["asked"].dt.tz_convert(ZONE)
    return pd.DataFrame(
        {
            "miles": requests["km"] / 1.609 if miles is None else miles,
            "hour": local.dt.hour if hour is None else hour,
            "origin": [codes.get(name, -1) for name in requests["origin"]] if origin is None else origin,
        }
    )


def _batch(rng, origins, *, n=12, season="all", hours=(15, 24)):
    """Requests of one season, in UTC hours in which New York has the same day where possible."""
    days = {"winter": (0, 60), "summer": (120, 250), "all": (0, 365)}[season]
    minutes = 1440 * rng.integers(*days, n) + 60 * rng.integers(*hours, n) + rng.integers(0, 60, n)
    asked = pd.Timestamp("2013-01-01", tz="UTC") + pd.to_timedelta(minutes, unit="min")
    return pd.DataFrame(
        {"asked": asked, "km": rng.integers(300, 4000, n) / 2, "origin": rng.choice(origins, n)}
    )


@exercise(
    "10.4",
    "Repair the service's features",
    answers=("features_of",),
    points=4,
    minutes=8,
    objective="10.b",
    kind=Function("requests", "origins", returns=Frame(columns=COLUMNS)),
    hints=(
        "There is one mistake in each column: a unit, a zone and codes that depend on the batch. How many miles are 1,609 kilometers?",
        '`requests["asked"].dt.tz_convert("America/New_York").dt.hour` also handles daylight saving time.',
        'The codes must come from `origins` only: `pd.Categorical(requests["origin"], categories=origins).codes`.',
    ),
)
def features_of(answer, rng, expect):
    """`features_of(requests, origins)`: miles, hour in New York and the code that training used for the airport."""
    airports = [str(name) for name in rng.permutation(AIRPORTS)[:4]]
    with expect.defining():
        winter = _batch(rng, airports, season="winter", n=20)
        winter.loc[:1, "km"] = 0.5, 15_345.0  # so short that rounded miles are too far off; from JFK to SIN
        _ask(expect, answer, winter, airports, ("miles", "hour"), "a batch of the winter")
        summer = _batch(rng, airports, season="summer", n=20)
        _ask(expect, answer, summer, airports, ("hour",), "a batch of the summer")
        turns = pd.DataFrame({"asked": pd.to_datetime(TURNS, utc=True), "km": 1200.5, "origin": airports[0]})
        _ask(expect, answer, turns, airports, ("hour",), "days near a clock change")
        night = _batch(rng, airports, n=60, hours=(0, 10))
        _ask(expect, answer, night, airports, ("hour",), "a batch of the night, when UTC has the next day")
        some = _batch(rng, airports[1:3], n=12)
        _ask(expect, answer, some, airports, ("origin",), "a batch with two of the airports")
        one = _batch(rng, airports[2:3], n=1)
        _ask(expect, answer, one, airports, ("origin",), "a batch of one request")
    others = [name for name in AIRPORTS if name not in airports]
    new = _batch(rng, airports + others, n=25)
    _ask(expect, answer, new, airports, ("origin",), "some airports are new")
    a, b, c, d = airports
    like = _batch(rng, airports, n=10).assign(
        origin=[a.lower(), a, b + "2", b, c[:2], c, f" {d}", d, "", "?"]
    )
    _ask(expect, answer, like, airports, ("origin",), "texts that only look like an airport of the list")
    turned = _batch(rng, airports, n=12).assign(origin=[*airports, *others] * 2).iloc[rng.permutation(12)]
    _ask(expect, answer, turned, [*others, *airports], COLUMNS, "rows with an index of their own")


def _ask(expect, answer, requests, origins, columns, what):
    got, want = answer(requests, origins), _features(requests, origins)
    for column in columns:
        name, found = f"`{column}`: {what}", got[column]
        if len(found) != len(want):
            expect.true(False, name, f"{len(found)} rows for {len(want)} requests")
        elif not all(isinstance(value, (int, float, np.number)) for value in found):
            expect.true(False, name, "the column does not hold numbers")
        else:
            expect.close(found.to_numpy(dtype=float), want[column].to_numpy(dtype=float), name, rtol=3e-4)


@features_of.inputs
def _batches(rng):
    yield (
        pd.DataFrame({"asked": pd.to_datetime(["2013-07-01 12:30Z"]), "km": [1609.0], "origin": ["JFK"]}),
        ["EWR", "JFK", "LGA"],
    )
    for _ in range(20):
        origins = [str(name) for name in rng.permutation(AIRPORTS)[: int(rng.integers(1, 6))]]
        yield _batch(rng, AIRPORTS, n=int(rng.integers(1, 9)), hours=(0, 24)), origins


@features_of.misconception(
    "you left the distance in kilometers. The model was trained on miles, so each flight looks 1.6 times as long to it. Divide by 1.609.",
)
def still_kilometers(requests, origins):
    return _features(requests, origins, miles=requests["km"])


@features_of.misconception(
    "you multiplied by 1.609, which turns miles into kilometers. A distance has fewer miles than kilometers, so divide.",
)
def wrong_way(requests, origins):
    return _features(requests, origins, miles=requests["km"] * 1.609)


@features_of.misconception(
    "you took the hour in UTC. In New York it is four or five hours earlier. Convert the zone first.",
)
def hour_in_utc(requests, origins):
    return _features(requests, origins, hour=requests["asked"].dt.hour)


@features_of.misconception(
    "you subtracted five hours all year. In summer, New York is only four hours behind UTC. Let `tz_convert` do it.",
)
def always_five(requests, origins):
    return _features(requests, origins, hour=(requests["asked"].dt.hour - 5) % 24)


@features_of.misconception(
    "you subtracted hours without wrapping around midnight. At 2:00 in UTC it is 21:00 or 22:00 in New York, not -3. Convert the time first, and then take its hour.",
)
def negative_hours(requests, origins):
    local = requests["asked"].dt.tz_convert(ZONE)
    behind = (requests["asked"].dt.hour - local.dt.hour) % 24
    return _features(requests, origins, hour=requests["asked"].dt.hour - behind)


@features_of.misconception(
    "you numbered only the airports in this batch. The same airport can then have another code in the next batch. Take the position in `origins`.",
)
def codes_of_the_batch(requests, origins):
    found = sorted(requests["origin"].unique())
    return _features(requests, origins, origin=[found.index(name) for name in requests["origin"]])


@features_of.misconception(
    "you sorted the airports. The list `origins` has an order of its own, and the model was trained with these positions. Use it as it is.",
)
def sorted_origins(requests, origins):
    return _features(requests, sorted(origins))


@features_of.misconception(
    "you gave an airport that is not in `origins` the code of another airport. Return -1, so that nobody mistakes it for a known airport.",
)
def new_is_the_first(requests, origins):
    return _features(requests, origins, origin=[max(c, 0) for c in _features(requests, origins)["origin"]])


@features_of.alternative
def row_by_row(requests, origins):
    rows = []
    for row in requests.itertuples(index=False):
        place = list(origins).index(row.origin) if row.origin in origins else -1
        rows.append((row.km / 1.609, row.asked.tz_convert(ZONE).hour, place))
    return pd.DataFrame(rows, columns=list(COLUMNS))


@features_of.alternative
def with_a_map(requests, origins):
    made = requests.assign(miles=requests["km"] * 0.62137)
    made["hour"] = made["asked"].dt.tz_convert(ZONE).dt.strftime("%H").astype(int)
    made["origin"] = made["origin"].map({name: i for i, name in enumerate(origins)}).fillna(-1)
    return made[["origin", "hour", "miles"]]


@features_of.alternative
def with_get_indexer(requests, origins):
    codes = pd.Index(origins).get_indexer(requests["origin"])
    local = pd.DatetimeIndex(requests["asked"]).tz_convert(ZONE)
    return pd.DataFrame({"miles": np.asarray(requests["km"]) / 1.609344, "hour": local.hour, "origin": codes})


features_of.survives(
    "alternative with_a_map: `['origin', 'hour', 'miles']` -> `['hour', 'origin', 'miles']`",
    "The statement names the three columns and asks for no order, so each order is right.",
)
