"""What the team sees each morning: metrics of the days before, alerts, the log, and the state of everything it may change."""

from __future__ import annotations

import numpy as np

from mlprod_helpers.oncall.metrics import METRICS
from mlprod_helpers.oncall.season.blame import MOST_ERROR
from mlprod_helpers.oncall.season.world import BEFORE

NEW = 5  # flights in training below which a destination is new to the model
OBJECTIVE = 0.99  # share of the requests that shall get a usable answer
SHOWN = 28  # mornings of the history


def measure(state):
    """Add this morning's metrics to the history: yesterday's, and the errors of the newest day with labels."""
    new = _new_dests(state)
    values = _of_yesterday(state, state.day - 1, new) | _of_labels(state, state.day - 2, state.day, new)
    for name, value in values.items():
        state.history[name].append(None if value is None else round(float(value), 4))


def _of_yesterday(state, day, new):
    record, world = state.records[day], state.world
    part, requests = record["part"], record["requests"]
    total = max(requests.sum(), 1)
    p95, attempts = record["service"]
    ratio = record["distance"] / world.usual_distance[part]
    off = np.abs(ratio - 1) > 0.1
    wind = float(record["wind"][0])
    winds = [float(state.records[d]["wind"][0]) for d in range(day, day - 15, -1) if d in state.records]
    same = next((i for i, other in enumerate(winds) if other != wind), len(winds)) - 1
    missing = np.isnan(record["distance"])
    return {
        "requests": requests.sum(),
        "failed_share": record["failed"].sum() / total,
        "latency_p95": p95,
        "attempts": attempts,
        "missing_share": requests @ missing / total,
        "distance_off_share": requests @ off / total,
        "distance_ratio": np.median(ratio[off]) if off.any() else 1.0,
        "distance_mean": (np.where(missing, 0, record["distance"]) * requests).sum()
        / max(requests @ ~missing, 1),
        "wind": wind,
        "wind_unchanged_days": same,
        "new_route_share": requests @ new[world.flights.dest[part]] / total,
        "mismatch_share": requests @ (record["served_wind"] != record["wind"]) / total,
        "rejected_share": requests @ record["refused"] / total,
        "late_reviews": record["late"].sum(),
        "personal_in_sample": record["found"],
    }


def _new_dests(state):
    """Which destinations hardly anybody flew to before the model's last day of training."""
    until = state.serving.trained_until + BEFORE
    return state.sums.by_dest[: until + 1, 0].sum(axis=0) < NEW


def _of_labels(state, day, morning, new):
    names = [name for name in METRICS if name.startswith(("labels", "error", "big"))]
    record = state.records.get(day)
    if record is None:
        return dict.fromkeys(names)
    flights, part = state.world.flights, record["part"]
    there = record["known"] <= morning
    model = there & ~record["reviewed"] & ~record["late"] & ~record["refused"]
    bias = record["prediction"] - flights.air_time[part]
    error, requests, origin = np.abs(bias), record["requests"], flights.origin[part]

    def mean(values, rows=True):
        rows = model & rows
        total = requests @ rows
        return (values * requests)[rows].sum() / total if total else None

    values = {
        "labels_share": there.mean(),
        "error_mean": mean(error),
        "error_bias": mean(bias),
        "big_error_share": mean(error > MOST_ERROR),
        "error_new_routes": mean(error, new[flights.dest[part]]),
    }
    for code, name in enumerate(flights.origins):
        values[f"error_{name.lower()}"] = mean(error, origin == code)
    return values


def look(state):
    """The observation of this morning, made of new objects."""
    metrics = {name: values[-1] for name, values in state.history.items()}
    alerts, pages = state.alerts.look(state.day, metrics)
    state.pay("page", pages)
    for alert in alerts:
        if alert["since"] == state.day:
            state.note("alert", alert["text"])
    serving = state.serving
    return {
        "day": state.day,
        "date": state.world.date(state.day),
        "calendar": _calendar(state),
        "metrics": metrics,
        "usual": {name: list(limits) for name, limits in state.usual.items()},
        "history": {name: list(values[-SHOWN:]) for name, values in state.history.items()},
        "alerts": alerts,
        "log": _log(state),
        "rollout": None if state.rollout is None else state.rollout.shown(state.day),
        "candidates": [dict(one["shown"]) for one in state.candidates.values()],
        "serving": {
            "version": serving.name,
            "trained_until": serving.trained_until,
            "candidate": serving.code,
            "previous": state.stack[-2].name if len(state.stack) > 1 else "",
        },
        "config": {
            "rolled_back": sorted(state.off),
            "gates": {field: list(limits) for field, limits in state.gates.items()},
            "retries": state.retries,
            "degree": state.automation["degree"],
            "threshold": state.automation["threshold"],
            "always": list(state.automation["always"]),
        },
        "pages": [dict(page) for page in state.pages[-8:]],
        "messages": list(state.messages),
        "deploys": [dict(one) for one in state.deploys[-4:]],
        "budget": {
            "objective": OBJECTIVE,
            "usable_share": round(state.good / state.total, 4) if state.total else 1.0,
        },
    }


def _calendar(state):
    """What is known beforehand about yesterday and today."""
    for event in state.world.script.events:
        if event.kind == "holiday" and event.start <= state.day <= event.end:
            return "long weekend"
    return ""


def _log(state):
    """The flights of the last three days as columns: a dict of arrays, for `pd.DataFrame(...)`."""
    days = [day for day in range(state.day - 3, state.day) if day in state.records]
    flights, records = state.world.flights, [state.records[day] for day in days]
    rows = slice(records[0]["part"].start, records[-1]["part"].stop)  # one day after the other
    known = np.concatenate([record["known"] for record in records]) <= state.day
    columns = {
        "day": np.repeat(days, [len(record["known"]) for record in records]),
        "origin": np.array(flights.origins)[flights.origin[rows]],
        "dest": np.array(flights.dests)[flights.dest[rows]],
    }
    for name in ("distance", "wind", "prediction", "requests", "failed", "reviewed", "late"):
        columns[name] = np.concatenate([record[name] for record in records])
    columns["label"] = np.where(known, flights.air_time[rows], np.nan)
    return columns
