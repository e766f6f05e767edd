"""Who is to blame for what a day cost: the difference to the same day without an incident, as far as it can be told apart."""

from __future__ import annotations

import numpy as np

from mlprod_helpers.oncall.costs import COSTS
from mlprod_helpers.oncall.season.world import LEAKING

MOST_ERROR = 60.0  # minutes; beyond that nobody believes the answer
OF_INPUTS = ("feed_outage", "unit_change", "stuck_feature", "skew")


def dollars(answer, truth, requests):
    """What each flight's answers cost, given to so many requests."""
    off = np.abs(answer - truth)
    each = np.minimum(off, MOST_ERROR) * COSTS["error_minute"].dollars
    return requests * (each + (off > MOST_ERROR) * COSTS["harmed_user"].dollars)


def inputs_and_age(state, part, answer, reviewed, refused):
    """Blame broken inputs, the code of a candidate that serves, and the age of the model ("drift") for today's errors."""
    world, flights, version = state.world, state.world.flights, state.serving
    inputs = flights.distance[part], flights.wind[part], flights.dest[part]

    def cost(prediction):
        told = np.where(reviewed, world.person[part], prediction)
        return dollars(told, flights.air_time[part], world.requests[part])

    plain = cost(version.weights.predict(*inputs))
    clean = cost(version.predict(world, part, *inputs)) if version.code else plain
    kinds = [kind for kind in OF_INPUTS if state.is_on(kind)]
    kinds = kinds or (["gates and rolled-back features"] if state.off or state.gates else [])
    if kinds:
        real = dollars(answer, flights.air_time[part], world.requests[part])
        real = np.where(refused, world.requests[part] * COSTS["harmed_user"].dollars, real)
    for kind in kinds:
        state.blame(kind, (real - clean).sum() / len(kinds))
    if version.code:
        state.blame(f"candidate {version.code}", (clean - plain).sum())
    stale = plain - cost(world.fresh[part])
    new = world.caribbean[part] & state.is_on("new_route")
    if state.is_on("new_route"):
        state.blame("new_route", stale[new].sum())
    state.blame("drift", stale[~new].sum())


def silence(state, part, requests):
    """Blame the candidate that serves for the flights that it does not answer."""
    silent = state.serving.is_silent(state.world, part)
    if silent.any():
        state.blame(f"candidate {state.serving.code}", requests[silent].sum())


def service(state, requests, late, failed, lost, behind, minutes):
    """Blame what made requests fail, get lost or be answered late, and what leaked; `behind` is the fault of the service."""
    if behind:
        state.blame(behind, failed.sum())
    if behind == "retry_storm":
        state.blame(behind, minutes * COSTS["downtime_minute"].dollars)
    if lost.sum():
        state.blame("router", lost.sum())
    if late.sum():
        state.blame("reviewers" if state.is_on("reviewers") else "too many reviews", requests[late].sum())
    if state.is_on("leak"):
        state.blame("leak", LEAKING * requests.sum() * COSTS["leaked_record"].dollars)


def candidate(state, part, answers, took, extra):
    """Blame a candidate for what its users got instead of what they would have got."""
    truth = state.world.flights.air_time[part]
    harm = dollars(answers["canary"], truth, took) - dollars(answers["stable"], truth, took)
    state.blame(f"candidate {state.rollout.version.name}", harm.sum() + extra.sum())
