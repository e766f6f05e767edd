"""One day of the service: its requests are answered, and what they cost is counted."""

from __future__ import annotations

import numpy as np

from mlprod_helpers.oncall.season import blame
from mlprod_helpers.oncall.season.rollouts import SLOW_FAILURES
from mlprod_helpers.oncall.season.state import label_mornings, put_day
from mlprod_helpers.oncall.season.world import BEFORE, LEAKING
from mlprod_helpers.oncall.season.year import DEFAULT_DISTANCE

HUMANS = 18  # flights that people can answer in a day, and how many when most are ill
ILL = 3
LOST = 0.6  # share of the requests for a second version that a broken router loses
STORM_MINUTES = 20.0  # of downtime each day of a retry storm
COPIES = 4  # requests of a flight that are copied to a version in the shadow


def run_day(state):
    """Let a day pass: answer its requests, charge what it costs, and record what was logged."""
    world, part = state.world, state.world.day(state.day)
    luck, requests = world.luck[part], world.requests[part]
    distance, wind, served_wind = _inputs(state, part)
    refused = _refused(state, distance, wind)
    given = _served_inputs(state, part, distance, served_wind)
    reviewed, late = _reviewed(state, part)
    answers = _answers(state, part, given, reviewed)
    p95, failing, attempts, behind = _troubles(state)
    took, lost, extra = _of_rollout(state, part, requests, luck)
    kept = requests - took
    failed = np.floor(requests * failing + luck[:, 1]).astype(int).clip(max=requests)
    failed = np.where(state.serving.is_silent(world, part), np.maximum(failed, kept), failed)
    silent = late | (refused & ~reviewed)  # nobody is told anything
    usable = _price_of_errors(state, answers["stable"], part, np.maximum(kept - failed, 0), silent)
    if state.rollout is not None:
        state.pay("fleet_day", 1)
        usable += _price_of_errors(state, answers["canary"], part, np.maximum(took - lost - extra, 0), silent)
        blame.candidate(state, part, answers, took, extra)
        _remember_rollout(state, part, answers, kept, took - lost, failed, extra)
    failed = failed + extra
    state.pay("harmed_user", failed.sum() + lost.sum() + requests[silent].sum())
    state.pay("review", (reviewed | late).sum())
    state.pay("downtime_minute", STORM_MINUTES if behind == "retry_storm" else 0)
    state.pay("leaked_record", LEAKING * requests.sum() if state.is_on("leak") else 0)
    blame.inputs_and_age(state, part, answers["stable"], reviewed, silent & ~late)
    blame.silence(state, part, kept)
    blame.service(state, requests, late, failed, lost, behind, STORM_MINUTES)
    state.good, state.total = state.good + usable, state.total + int(requests.sum())
    state.records[state.day] = {
        "part": part,
        "distance": distance,
        "wind": wind,
        "served_wind": served_wind,
        "prediction": answers["stable"],
        "requests": requests - lost,
        "failed": failed,
        "reviewed": reviewed,
        "late": late,
        "refused": refused,
        "service": (p95, attempts),
        "found": int(world.found[state.day + BEFORE]) if state.is_on("leak") else 0,
        "known": label_mornings(state, part),
    }
    put_day(state, state.day, ~refused)
    state.ledger.append(state.today)
    state.today = {}


def _of_rollout(state, part, requests, luck):
    """How many requests of each flight go to the new version, how many of these are lost, and how many more of them fail."""
    nothing = np.zeros(len(requests), dtype=int)
    if state.rollout is None or not state.rollout.weight:
        return nothing, nothing, nothing
    share = state.rollout.weight / 100
    took = np.minimum(np.floor(requests * share + luck[:, 0]).astype(int), requests)
    lost, extra = nothing, nothing
    if state.is_on("router"):
        lost = np.minimum(np.floor(took * LOST + luck[:, 2]).astype(int), took)
    if state.rollout.version.release.slow_ms:
        extra = np.floor((took - lost) * SLOW_FAILURES + luck[:, 2]).astype(int)
    silent = state.rollout.version.is_silent(state.world, part)
    return took, lost, np.where(silent, took - lost, extra)


def _answers(state, part, given, reviewed):
    """What users are told about each flight: by "stable" and, in a rollout, by "canary"."""
    versions = {"stable": state.serving}
    if state.rollout is not None:
        versions["canary"] = state.rollout.version
    return {
        role: np.where(reviewed, state.world.person[part], version.predict(state.world, part, *given))
        for role, version in versions.items()
    }


def _inputs(state, part):
    """(distance, wind) of a day's flights as the log has them, and the wind as the service understands it."""
    flights, broken = state.world.flights, state.world.broken
    distance, wind = flights.distance[part], flights.wind[part]
    for kind in ("feed_outage", "unit_change"):
        if state.is_on(kind):  # where both are on, the later one is only seen at its own airport
            values = broken[kind][part]
            distance = np.where(values == flights.distance[part], distance, values)
    if state.is_on("stuck_feature"):
        wind = broken["stuck_feature"][part]
    return distance, wind, wind * broken["skew"][part] if state.is_on("skew") else wind


def _refused(state, distance, wind):
    refused = np.zeros(len(distance), dtype=bool)
    for field, (low, high) in state.gates.items():
        values = {"distance": distance, "wind": wind}[field]
        refused |= np.isnan(values)
        refused |= values < low if low is not None else False
        refused |= values > high if high is not None else False
    return refused


def _served_inputs(state, part, distance, wind):
    """What the model is given: rolled-back features replaced, missing values filled in."""
    if "distance" in state.off:
        distance = state.world.usual_distance[part]
    distance = np.where(np.isnan(distance), DEFAULT_DISTANCE, distance)
    wind = np.zeros(len(wind)) if "wind" in state.off else np.where(np.isnan(wind), 0.0, wind)
    return distance, wind, state.world.flights.dest[part]


def _reviewed(state, part):
    """(which flights people answer, which they answer too late)."""
    degree = state.automation["degree"]
    wanted = np.full(part.stop - part.start, degree == "human only")
    if degree == "partial":
        wanted = doubt(state.world.flights.distance[part]) >= state.automation["threshold"]
        for name in set(state.automation["always"]) & set(state.world.flights.dests):
            wanted |= state.world.flights.dest[part] == state.world.flights.dests.index(name)
    most = ILL if state.is_on("reviewers") else HUMANS
    turn = np.cumsum(wanted)
    return wanted & (turn <= most), wanted & (turn > most)


def _troubles(state):
    """(latency p95, share that fails, attempts) of the service on this day, and the incident behind it."""
    world, place = state.world, state.day + BEFORE
    p95, failed, attempts = (world.service[name][place] for name in ("latency_p95", "failed", "attempts"))
    failed = {1: 0.01, 2: 0.004}.get(state.retries, failed)
    attempts = 1.0 if state.retries == 1 else attempts
    behind = ""
    for event in world.script.events:
        if event.kind in world.service and state.is_on(event.kind):
            row = world.service[event.kind][state.day - event.start]
            if event.kind == "slow_dependency" and "distance" in state.off:
                continue
            if event.kind == "retry_storm" and state.retries == 1:
                continue
            p95, failed = max(p95, row[0]), max(failed, row[1])
            attempts, behind = max(attempts, row[2]), event.kind
    slow = state.serving.release.slow_ms
    return p95 + slow, failed + (SLOW_FAILURES if slow else 0.0), attempts, behind


def _price_of_errors(state, answer, part, requests, silent):
    """Charge the errors of so many answers; returns how many were usable."""
    off = np.abs(answer - state.world.flights.air_time[part])
    requests = np.where(silent, 0, requests)
    state.pay("error_minute", (np.minimum(off, blame.MOST_ERROR) * requests).sum())
    hopeless = requests[off > blame.MOST_ERROR].sum()
    state.pay("harmed_user", hopeless)
    return int(requests.sum() - hopeless)


def _remember_rollout(state, part, answers, kept, took, failed, extra):
    """What the judges and the observation may know of both versions."""
    flights, rollout, requests = state.world.flights, state.rollout, state.world.requests[part]
    shadow = not rollout.weight
    copies = np.minimum(requests, COPIES) if rollout.copies else np.zeros_like(took)
    own = np.minimum(np.floor(failed * kept / np.maximum(requests, 1) + 0.5).astype(int), kept)
    planned = float(requests.sum()) * rollout.weight / 100
    rollout.record(
        day=state.day,
        flights=np.arange(part.start, part.stop),
        origin=np.array(flights.origins)[flights.origin[part]],
        label=flights.air_time[part],
        known=label_mornings(state, part),
        stable={
            "requests": kept,
            "prediction": answers["stable"],
            "failed": own,
            "slow_ms": state.serving.release.slow_ms,
            "planned": float(requests.sum()) - planned,
        },
        canary={
            "requests": copies if shadow else took,
            "prediction": answers["canary"],
            "failed": np.minimum(np.maximum(failed - own, 0) + extra, took),
            "slow_ms": rollout.version.release.slow_ms,
            "planned": float(copies.sum()) if shadow else planned,
        },
    )


def doubt(distance):
    """The error that the model expects of itself, in minutes: it knows that long flights are hard, and nothing else.

    >>> doubt(2475.0)
    12.375
    """
    return distance / 200
