"""Shops of different size over a month with incidents, for monitoring plans."""

import numpy as np
import pandas as pd

from mlprod_helpers.monitoring import Rule, evaluate, grouped, judge

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


# An alert on another metric is open in an incident by luck only: it does not notice it.
SHOWN_BY = {
    "slow answers": ("latency_p95",),
    "errors": ("error_rate",),
    "feed outage": ("missing_rows",),
    "dark camera": ("brightness",),
    "empty answers": ("missing_outputs",),
    "bad results": ("redo_rate", "ctr"),
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


def draw_month(rng, shop=None, *, incidents=True):
    """(measured, table of incidents): a month of a shop's search by the hour, with one-hour blips that pass by themselves."""
    shop = draw_shops(rng)[0] if shop is None else shop
    days = 28
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
    verdict = judge(_related(alerts, incidents), incidents, measured, deadline=DEADLINE, grace="1h")
    pages = judge(grouped(alerts), incidents, measured, deadline=DEADLINE, grace="1h")
    false = (pages.false_pages + woken_again(pages.alerts, incidents, measured.index)) / pages.weeks
    return verdict.caught, verdict.late, verdict.missed, false, verdict.incidents


def _related(alerts, incidents):
    """The alerts that begin in no incident, or in one that changes their metric."""
    begins = incidents["start"].searchsorted(alerts["start"], side="right") - 1
    kinds, ends = incidents["kind"].to_numpy(), (incidents["end"] + pd.Timedelta("1h")).array
    kept = [
        which < 0 or start > ends[which] or metric in SHOWN_BY[kinds[which]]
        for which, start, metric in zip(begins, alerts["start"], alerts["metric"], strict=True)
    ]
    return alerts[np.array(kept, dtype=bool)]


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
