"""What several exercises of lesson 08 share."""

import numpy as np
import pandas as pd

from mlprod_helpers.faults import ClickDrop, DarkCamera, FeedOutage, apply
from mlprod_helpers.monitoring import Rule, evaluate, grouped, judge
from mlprod_helpers.monitoring.metrics import METRICS, measure
from mlprod_helpers.monitoring.quiet import service_log

HOURS_OF_WEEK = 168

NOISE = 0.12


def usual_latency(rng):
    """The usual p99 (ms) of each hour of a week, Monday 0:00 first: busy days, quiet nights, quieter weekends."""
    hour = np.arange(HOURS_OF_WEEK)
    of_day, day = hour % 24, hour // 24
    busy = np.clip(np.sin((of_day - rng.uniform(8, 9)) / 24 * 2 * np.pi), 0, None)
    busy = busy * np.where(day >= 5, 0.35, 1) * rng.uniform(0.95, 1.05, 7)[day]
    return rng.uniform(80, 120) * (1 + rng.uniform(3.0, 4.0) * busy)


def quiet_weeks(rng, usual, weeks):
    """Values (weeks, 168): the usual ones with noise."""
    return usual * np.exp(NOISE * rng.normal(size=(weeks, HOURS_OF_WEEK)))


RIGHT_CAUSES = {
    "A": "slow dependency",
    "B": "other visitors",
    "C": "broken feed",
    "D": "other photos",
    "E": "nothing",
    "F": "worse model",
    "G": "more visitors",
    "H": "dark camera",
}


def draw_boards(random_state=0, days=6, rate=0.15):
    """One measured log (3-hour windows) for each of the eight dashboards: letter -> DataFrame. The trouble, if any, comes on day 4."""
    rng = np.random.default_rng(random_state)
    start = pd.Timestamp("2024-01-02 00:00Z")  # a Tuesday: the last two days are a weekend
    trouble = start + pd.Timedelta(days=3, hours=9)
    faults_of = {
        # results without a price are clicked less
        "broken feed": [
            FeedOutage("price", start=trouble, share=0.7),
            ClickDrop(start=trouble, share=0.15),
        ],
        "worse model": [ClickDrop(start=trouble, share=0.45)],
        "dark camera": [DarkCamera("brightness", 0.62, start=trouble)],
    }
    changes = {
        "slow dependency": slow_dependency,
        "other visitors": other_visitors,
        "other photos": other_photos,
        "more visitors": more_visitors,
    }
    boards = {}
    for letter, cause in RIGHT_CAUSES.items():
        log = service_log(days, rate=rate, start=start, random_state=rng)
        log, _ = apply(log, faults_of.get(cause, ()), random_state=rng)
        if cause in changes:
            log = changes[cause](log, log["time"] >= trouble, rng)
        boards[letter] = measure(log, panels(), "3h").iloc[: 8 * days]
    return boards


def panels():
    ready = METRICS
    kinds = [ready["brightness"].only("prediction", name) for name in ("shirts", "coats")]
    ctrs = [ready["ctr"].only("device", name) for name in ("phone", "desktop")]
    names = ("throughput", "missing_rows", "latency_p95", "error_rate", "brightness", "ctr")
    return [*(ready[name] for name in names), *kinds, *ctrs]


def hours_since(log, late):
    since = (log["time"] - log["time"][late].min()).dt.total_seconds() / 3600
    return since.clip(lower=0).where(late, 0).to_numpy()


def slow_dependency(log, late, rng):
    """Waits grow for twelve hours; from 1.5 s on clients send again and again, and some time out."""
    hours = hours_since(log, late)
    wait = np.where(late, 60 + 45 * np.minimum(hours, 18), 0) * rng.lognormal(0, 0.6, len(log))
    latency = log["latency_ms"] + wait
    again = np.where(latency > 900, rng.integers(2, 5, len(log)), 1)
    failed = latency > 1900
    return log.assign(
        latency_ms=latency.clip(upper=2000),
        attempts=np.maximum(log["attempts"], again),
        status=log["status"].where(~failed, 504),
        clicked=log["clicked"] & ~failed,
    )


def other_visitors(log, late, rng):
    """A campaign on desktops: their part grows, each device clicks as before, even a little more."""
    move = (late & (log["device"] == "phone")).to_numpy() & (rng.random(len(log)) < 0.75)
    device = log["device"].mask(move, "desktop")
    clicked = log["clicked"] & ~(move & (rng.random(len(log)) < 0.48))
    return log.assign(device=device, clicked=clicked)


def other_photos(log, late, rng):
    """Winter comes: more photos of coats, which are darker. Each class looks as before."""
    move = late.to_numpy() & (log["prediction"] == "shirts").to_numpy() & (rng.random(len(log)) < 0.8)
    move |= late.to_numpy() & (log["prediction"] == "dresses").to_numpy() & (rng.random(len(log)) < 0.8)
    darker = np.where(log["prediction"] == "shirts", 52, 40)
    return log.assign(
        brightness=np.where(move, log["brightness"] - darker, log["brightness"]),
        category=log["category"].mask(move, "coats"),
        prediction=log["prediction"].mask(move, "coats"),
    )


def more_visitors(log, late, rng):
    """A campaign brings three times the visitors; the servers queue some hours later, and then fail."""
    copies = [log]
    for number in range(1, 3):
        more = log[late].copy()
        more["request_id"] = more["request_id"] + number * 10_000_000
        more["time"] = more["time"] + pd.to_timedelta(rng.uniform(0, 600, len(more)).round(), unit="s")
        copies.append(more)
    log = pd.concat(copies).sort_values("time", kind="stable", ignore_index=True)
    late = log["time"] >= log["time"].iloc[0].normalize() + pd.Timedelta(days=3, hours=9)
    hours = hours_since(log, late)
    wait = 22 * np.clip(hours - 9, 0, 24) * rng.lognormal(0, 0.7, len(log))
    latency = log["latency_ms"] + wait
    failed = latency > 1900
    return log.assign(
        latency_ms=latency.clip(upper=2000),
        status=log["status"].where(~failed, 504),
        clicked=log["clicked"] & ~failed,
    )


WATCHED = (
    *("throughput", "latency_p95", "error_rate", "memory_mb", "cpu"),
    *("missing_rows", "brightness", "input_length"),
    *("missing_outputs", "redo_rate", "ctr", "score_mean"),
)

KINDS = {
    "slow answers": "software",
    "errors": "software",
    "feed outage": "input",
    "dark camera": "input",
    "empty answers": "output",
    "bad results": "output",
}

DEADLINE = "5h"

AGAIN = 12  # hours after which an open page wakes somebody again

START = pd.Timestamp("2024-01-01 00:00Z")

BY_WEEKDAY = np.array([0.92, 0.90, 0.90, 0.92, 1.00, 1.20, 1.16])  # traffic, Monday first

# What is usual in one shop, and what is usual in another: a limit that fits both does not exist.
LEVELS = {
    "latency_p95": (140.0, 1100.0),
    "brightness": (70.0, 190.0),
    "error_rate": (0.002, 0.03),
    "missing_rows": (0.005, 0.15),
    "missing_outputs": (0.002, 0.06),
    "redo_rate": (0.03, 0.14),
    "ctr": (0.05, 0.16),
    "input_length": (12.0, 40.0),
    "score_mean": (0.6, 0.8),
    "memory_mb": (400.0, 3000.0),
}


def draw_shops(rng):
    """Two shops: metric -> its usual level, where one has a low level the other has a high one; and `rate`, searches a second."""
    first, second = {"rate": rng.uniform(0.03, 0.06)}, {"rate": rng.uniform(0.03, 0.06)}
    for name, levels in LEVELS.items():
        low, high = levels * rng.uniform(0.9, 1.1, 2)
        first[name], second[name] = (low, high) if rng.random() < 0.5 else (high, low)
    return first, second


def draw_month(rng, shop=None, *, incidents=True, days=28):
    """(measured, table of incidents): a month of a shop's search by the hour, with one-hour blips that pass by themselves."""
    shop = draw_shops(rng)[0] if shop is None else shop
    hours = np.arange(24 * days)
    of_day = hours % 24
    load = (1 + 0.67 * np.cos(2 * np.pi * (of_day - 20) / 24)) * BY_WEEKDAY[hours // 24 % 7]
    n = rng.poisson(3600 * shop["rate"] * load)
    share = {name: np.full(len(hours), level) for name, level in shop.items()}
    share["brightness"] *= 1 + 0.1 * np.cos(2 * np.pi * (of_day - 13) / 24)
    share["latency_p95"] *= 0.79 / (1 - 0.6 * (0.1 + 0.25 * load))  # waiting grows with the load
    begins = rng.choice(days - 2, 20, replace=False) * 24 + rng.integers(0, 24, 20)
    share["latency_p95"][begins] *= 4
    share["error_rate"][begins] += 0.5
    rows = []
    slots = np.arange(1, days - 3, 4)[: len(KINDS)] if incidents else []
    for day, kind in zip(slots, rng.permutation(list(KINDS)), strict=bool(incidents)):
        begin = int(day) * 24 + int(rng.integers(0, 48))
        end = begin + int(rng.integers(16, 30))
        _break(share, str(kind), slice(begin, end), rng)
        rows.append((str(kind), *(START + pd.Timedelta(hours=hour) for hour in (begin, end))))
    measured = pd.DataFrame(_measured(share, n, load, rng), START + pd.to_timedelta(hours, unit="h"))
    return measured[list(WATCHED)], pd.DataFrame(rows, columns=["kind", "start", "end"])


def _break(share, kind, hit, rng):
    """One incident: what it changes is far from usual in each of its hours."""
    if kind == "slow answers":
        share["latency_p95"][hit] *= rng.uniform(2.5, 4)
    elif kind == "errors":
        share["error_rate"][hit] += rng.uniform(0.25, 0.45)
    elif kind == "feed outage":
        share["missing_rows"][hit] += rng.uniform(0.5, 0.8)
    elif kind == "dark camera":
        share["brightness"][hit] *= rng.uniform(0.45, 0.6)
    elif kind == "empty answers":
        share["missing_outputs"][hit] += rng.uniform(0.3, 0.6)
    else:  # bad results: people search again
        share["redo_rate"][hit] += rng.uniform(0.3, 0.4)
        share["ctr"][hit] *= 0.6


def _measured(share, n, load, rng):
    """The metrics of each hour, as `n` requests show them."""
    some = np.maximum(n, 1)
    luck = {name: rng.normal(size=len(n)) / np.sqrt(some) for name in WATCHED}
    counted = ("error_rate", "missing_rows", "missing_outputs", "redo_rate", "ctr")
    return {
        **{name: rng.binomial(some, np.minimum(share[name], 1)) / some for name in counted},
        "throughput": n / 3600,
        "latency_p95": share["latency_p95"] * np.exp(0.95 * luck["latency_p95"]),
        "memory_mb": share["memory_mb"] * (1 + 0.05 * load + 0.1 * luck["memory_mb"]),
        "cpu": 0.13 + 0.2 * load + 0.07 * luck["cpu"],
        "brightness": share["brightness"] * (1 + 0.3 * luck["brightness"]),
        "input_length": share["input_length"] * (1 + 0.5 * luck["input_length"]),
        "score_mean": share["score_mean"] * (1 + 0.25 * luck["score_mean"]),
    }


def rules_of(plan):
    """The learner's dicts as rules; all page, all are owned by the same rota."""
    return [
        Rule.from_dict(
            {"owner": "search on-call"} | dict(each) | {"severity": "page", "name": f"rule {number}"}
        )
        for number, each in enumerate(plan, 1)
    ]


def score(plan, measured, incidents):
    """(caught, late, missed, false pages a week, table of the incidents) of a list of rules, as dicts, over one month."""
    alerts = evaluate(rules_of(plan), measured)
    verdict = judge(alerts, incidents, measured, deadline=DEADLINE, grace="1h")
    pages = judge(grouped(alerts), incidents, measured, deadline=DEADLINE, grace="1h")
    false = (pages.false_pages + woken_again(pages.alerts, incidents, measured.index)) / pages.weeks
    return verdict.caught, verdict.late, verdict.missed, false, verdict.incidents


def woken_again(pages, incidents, hours):
    """How often a page that stays open outside of every incident wakes somebody once more: each twelve hours."""
    quiet = np.ones(len(hours), dtype=bool)
    for start, end in zip(incidents["start"], incidents["end"], strict=True):
        begin, stop = hours.searchsorted([start, end + pd.Timedelta("2h")])
        quiet[begin:stop] = False
    so_far = np.append(0, np.cumsum(quiet))
    ends = pages["end"].fillna(hours[-1])
    begin, stop = hours.searchsorted(pages["start"]), hours.searchsorted(ends)
    return int(((so_far[stop] - so_far[np.minimum(begin, stop)]) // AGAIN).sum())
