"""A service on ordinary days: the log of a product search in which nothing is broken."""

import numpy as np
import pandas as pd

from mlprod_helpers.monitoring.schema import Field
from mlprod_helpers.requestlog import validate
from mlprod_helpers.requestlog.table import UTC, utc

CLASSES = ("bags", "coats", "dresses", "shirts", "shoes")
TIMEOUT_MS = 2000.0
SERVICE_SCHEMA = {
    "query": Field(missing=("",)),
    "category": Field(known=CLASSES),
    "brightness": Field(low=0, high=255),
    "price": Field(low=1, high=1000),
    "rating": Field(missing=(-999,), low=1, high=5),
}

_WORDS = {
    "bags": "bag|sac à main|Tasche|Handtasche für Mädchen|mochila de niño|clutch|sac à dos été",
    "coats": "coat|manteau léger|Mäntel für Männer|parka|abrigo de otoño|trench coat|Übergangsjacke",
    "dresses": "dress|robe d'été brodée|Kleid grün|vestido de señora|robe de soirée|summer dress|Trägerkleid",
    "shirts": "shirt|chemise rayée|Hemd größe 42|camisa pequeña|t-shirt|blouse imprimée|Rüschenbluse",
    "shoes": "shoes|chaussures à lacets|Schuhe für Büro|zapatos de tacón|sneakers|bottes fourrées|Stöckelschuhe",
}
_EXTRAS = "|white|black|élégant|günstig|rojo|size 38|très léger|blau|café crème|for children|en promoción"
_SHARE = np.array([0.20, 0.10, 0.15, 0.25, 0.30])  # of the classes, in their order
_LIGHT = np.array([100.0, 80.0, 120.0, 132.0, 92.0])  # mean brightness of each class's photos
_DAY = np.array([0.92, 0.90, 0.90, 0.92, 1.00, 1.20, 1.16])  # traffic, Monday first; mean 1
_SERVERS, _SERVER_SHARE, _SERVER_SPEED = list("abcd"), [0.30, 0.30, 0.30, 0.10], np.array([1, 1, 1.05, 1.5])
_DEVICES, _CTR = ["desktop", "phone"], np.array([0.08, 0.16])


def service_log(days=28, *, rate=0.1, start="2024-01-01 00:00Z", random_state=None):
    """A quiet log of a product search: people write a query and send a photo, the model answers with a class of products.

    One row is one request. Nothing is broken, and still nothing stands still: traffic has a daily rhythm (peak at 20:00,
    a fifth of it at 8 in the morning) and a weekly one (weekends are busier), evenings have more phones, photos are
    darker at night. The same seed gives the same log.

    Parameters
    ----------
    days : int, whole days
    rate : float, searches a second, mean over a week. Further pages and repeated searches come on top, about 20%.
    start : moment of the first second, time-zone aware; 1 January 2024 is a Monday
    random_state : int, Generator or None

    Returns
    -------
    DataFrame : a valid request log, sorted by time, with `score`, `prediction` (one of `CLASSES`), `status`,
        `latency_ms`, `attempts`, `clicked`, `click_time`, `redo_of`, and the features

        ==========  ========  =================================================================================
        column      dtype     meaning
        ==========  ========  =================================================================================
        query       category  what was typed, in five languages; empty ("") in 0.4%
        category    category  the part of the shop in which was searched: one of `CLASSES`
        brightness  float     mean brightness of the photo, 0 black to 255; each class has its own
        price       float     euro, of the best offer, from the price feed; NaN in 0.5%
        rating      float     stars 1 to 5 of that offer; -999 means none yet, 1%
        device      category  phone (clicks 16%) or desktop (8%)
        page        int       1 is a search, 2 is its second page
        server      category  a, b, c, d; d is slower and gets a tenth of the traffic
        busy        float     share of the server's workers that were busy when the request came
        memory_mb   float     memory of the server's process at that moment
        cpu         float     share of the server's processor in use
        ==========  ========  =================================================================================

    >>> log = service_log(days=1, rate=0.01, random_state=0)
    >>> log[["time", "device", "page", "prediction", "status"]].head(2)
                                  time   device  page prediction  status
    0 2024-01-01 00:00:52.942697+00:00  desktop     1      shoes     200
    1 2024-01-01 00:03:07.276683+00:00    phone     1       bags     200
    """
    if int(days) != days or days < 1:
        raise ValueError(f"days is {days}, but a log has whole days, at least one.")
    if not 0 < rate < np.inf:
        raise ValueError(f"rate is {rate}, but it is searches a second, above 0.")
    rng, start = np.random.default_rng(random_state), utc(start)
    seconds, expected = _arrivals(int(days), rate, start, rng)
    n = len(seconds)
    user = rng.integers(max(200, n // 12), size=n)  # one person seldom has two wishes within minutes
    searches = _searches(seconds, start, rng)
    clicked = rng.random(n) < _CTR[searches["device"]]
    rows, seconds, page, redo_of = _follow_up(seconds, clicked, rng)
    n = len(rows)
    log = {name: column[rows] for name, column in searches.items()}
    log |= _answers(log, expected(seconds), rng)
    answered = log["status"] == 200
    fresh = redo_of >= 0  # what was searched again gets its own chance of a click
    clicked = np.where(fresh, rng.random(n) < _CTR[log["device"]], clicked[rows] & (page == 1)) & answered
    time = start + pd.to_timedelta((seconds * 1e6).astype("int64"), unit="us")
    time = pd.Series(time).astype(UTC)
    wait = (log["latency_ms"] * 1000 + rng.exponential(2e7, n)).astype("timedelta64[us]")
    frame = pd.DataFrame(
        {
            "time": time,
            "request_id": np.arange(n),
            "user_id": user[rows],
            "version": pd.Categorical.from_codes(np.zeros(n, dtype="int8"), ["v1"]),
            "served": True,
            "query": pd.Categorical.from_codes(log["query"], _queries()),
            "category": pd.Categorical.from_codes(log["category"], list(CLASSES)),
            "brightness": log["brightness"],
            "price": log["price"],
            "rating": log["rating"],
            "device": pd.Categorical.from_codes(log["device"], _DEVICES),
            "page": page,
            "server": pd.Categorical.from_codes(log["server"], _SERVERS),
            "busy": log["busy"],
            "memory_mb": log["memory_mb"],
            "cpu": log["cpu"],
            "score": np.where(answered, log["score"], np.nan),
            "prediction": pd.Categorical.from_codes(np.where(answered, log["prediction"], -1), list(CLASSES)),
            "status": log["status"],
            "latency_ms": log["latency_ms"],
            "attempts": log["attempts"],
            "clicked": clicked,
            "click_time": (time + wait).where(clicked).astype(UTC),
            "redo_of": np.where(redo_of >= 0, redo_of, np.nan),
        }
    )
    over = np.searchsorted(seconds, 86_400 * days)  # follow-ups after the last midnight: another day's log
    return validate(frame.iloc[:over])


def _arrivals(days, rate, start, rng):
    """Sorted seconds since the start, and a function: the expected load (1 = mean) at some second."""
    hour = np.arange(24 * days + 1)
    moments = start + pd.to_timedelta(hour, unit="h")
    of_day, weekday = moments.hour.to_numpy(), moments.day_of_week.to_numpy()
    relative = (1 + 0.67 * np.cos(2 * np.pi * (of_day - 20) / 24)) * _DAY[weekday]
    counts = rng.poisson(3600 * rate * relative[:-1])
    seconds = 3600 * (np.repeat(hour[:-1], counts) + rng.random(counts.sum()))
    seconds.sort()
    return seconds, lambda second: np.interp(second / 3600, hour, relative)


def _searches(seconds, start, rng):
    """Who asks for what: one value a search, categories as codes."""
    n = len(seconds)
    clock = (seconds / 3600 + start.hour + start.minute / 60) % 24
    evening = np.cos(2 * np.pi * (clock - 21) / 24)
    category = np.searchsorted(np.cumsum(_SHARE)[:-1], rng.random(n), side="right").astype("int8")
    per_class = (len(_queries()) - 1) // len(CLASSES)
    popular = np.minimum(
        rng.exponential(per_class / 3, n).astype(int), per_class - 1
    )  # some queries are common
    query = 1 + category.astype("int64") * per_class + popular
    query[rng.random(n) < 0.004] = 0  # the empty one
    daylight = np.cos(2 * np.pi * (clock - 13) / 24)
    brightness = np.clip(_LIGHT[category] + 10 * daylight + 28 * rng.standard_normal(n), 2, 253)
    price = np.clip(np.exp(3.7 + 0.7 * rng.standard_normal(n)), 1, 1000).round(2)
    price[rng.random(n) < 0.005] = np.nan
    rating = np.clip(4.1 + 0.5 * rng.standard_normal(n), 1, 5).round(1)
    rating[rng.random(n) < 0.01] = -999
    device = (rng.random(n) < 0.55 + 0.15 * evening).astype("int8")
    return {
        "query": query,
        "category": category,
        "brightness": brightness,
        "price": price,
        "rating": rating,
        "device": device,
    }


def _follow_up(seconds, clicked, rng):
    """Second pages (15%) and repeated searches (6% of those without a click), within two minutes.

    Returns the search that each row belongs to, its second, its page, and the row that it repeats or -1.
    """
    n = len(seconds)
    next_page = np.flatnonzero(rng.random(n) < 0.15)
    again = np.flatnonzero((rng.random(n) < 0.06) & ~clicked)
    rows = np.concatenate([np.arange(n), next_page, again])
    later = [rng.uniform(10, 90, len(next_page)), rng.uniform(8, 100, len(again))]
    seconds = np.concatenate([seconds, seconds[next_page] + later[0], seconds[again] + later[1]])
    page = np.ones(len(rows), dtype="int64")
    page[n : n + len(next_page)] = 2
    redo = np.full(len(rows), -1)
    redo[n + len(next_page) :] = again
    order = np.argsort(seconds, kind="stable")
    place = np.empty(len(rows), dtype="int64")
    place[order] = np.arange(len(rows))
    redo = redo[order]
    return rows[order], seconds[order], page[order], np.where(redo >= 0, place[redo], -1)


def _answers(search, load, rng):
    """How the servers did: each row's server, its load, and the answer with status and latency."""
    n = len(load)
    server = np.searchsorted(np.cumsum(_SERVER_SHARE)[:-1], rng.random(n), side="right").astype("int8")
    busy = np.clip(0.10 + 0.25 * load + 0.06 * rng.standard_normal(n), 0, 1)
    work = 70 * _SERVER_SPEED[server] * np.exp(0.45 * rng.standard_normal(n))
    latency = work / (1 - 0.6 * busy)  # waiting grows with the load
    slow = rng.random(n)
    latency = np.where(slow < 0.0005, TIMEOUT_MS, np.minimum(latency, TIMEOUT_MS))
    failed = rng.random(n) < 0.002
    status = np.where(latency >= TIMEOUT_MS, 504, np.where(failed, 500, 200))
    right = rng.random(n) < 0.92
    other = np.searchsorted(np.cumsum(_SHARE)[:-1], rng.random(n), side="right")
    return {
        "server": server,
        "busy": busy,
        "memory_mb": 900 + 120 * busy + 15 * rng.standard_normal(n),
        "cpu": np.clip(0.05 + 0.8 * busy + 0.05 * rng.standard_normal(n), 0, 1),
        "latency_ms": latency,
        "status": status,
        "attempts": 1 + (rng.random(n) < 0.003).astype("int64"),
        "prediction": np.where(right, search["category"], other).astype("int8"),
        "score": np.where(right, rng.beta(8, 2, n), rng.beta(4, 4, n)),
    }


def _queries():
    """All texts that are typed: the empty one, then as many of each class."""
    extras = _EXTRAS.split("|")
    return [
        "",
        *(
            f"{noun} {extra}".strip()
            for name in CLASSES
            for extra in extras
            for noun in _WORDS[name].split("|")
        ),
    ]
