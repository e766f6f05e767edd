"""Eight incidents of a photo shop, as a dashboard shows them."""

import numpy as np
import pandas as pd

from mlprod_helpers.faults import ClickDrop, DarkCamera, FeedOutage, apply
from mlprod_helpers.monitoring.metrics import METRICS, measure
from mlprod_helpers.monitoring.quiet import service_log

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


def draw_boards():
    """One measured log (3-hour windows) for each of the eight dashboards: letter -> DataFrame. The trouble, if any, comes on day 4."""
    rng, days = np.random.default_rng(0), 6
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
        log = service_log(days, rate=0.15, start=start, random_state=rng)
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
