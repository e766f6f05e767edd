"""What actions do, and what comes by itself with a new morning: repairs, candidates, deploys, the end of a rollout."""

from __future__ import annotations

import numpy as np

from mlprod_helpers.oncall.actions import CANARY, DAY, in_words
from mlprod_helpers.oncall.catalog import KINDS, RELEASES
from mlprod_helpers.oncall.metrics import METRICS
from mlprod_helpers.oncall.season.rollouts import Rollout, Version
from mlprod_helpers.oncall.season.script import DAYS
from mlprod_helpers.oncall.season.state import LABELS, put_day
from mlprod_helpers.oncall.season.world import BEFORE
from mlprod_helpers.oncall.season.year import day_weights

CODE_MINUTES = 5.0  # of downtime while the serving code is exchanged
OPTIMISM = 0.9  # the report that comes with a candidate is about days that it was chosen on


def carry_out(state, action):
    """Carry out a complete action; a reason why it cannot be done goes to the messages."""
    problem = _DO[action["do"]](state, action)
    if problem:
        state.messages.append(f"{action['do']}: {problem}")
    elif action["do"] != "nothing":
        state.note("action", in_words(action))


def _do_retrain(state, action):
    if state.rollout is not None:
        return f"the rollout of {state.rollout.version.name} is going on. Promote or abort it first."
    weights = _trained(state, action["days"], action["half_life"], action["skip"])
    state.pay("training", 1)
    if weights is None:
        return "there are not enough labels to train on."
    name = f"m{state.day}"
    while any(version.name == name for version in state.stack):  # the second training of this morning
        name += "+"
    serving = state.serving
    version = Version(name, weights, serving.release, state.day - LABELS, serving.code)
    if action["plan"] is None:
        state.stack.append(version)
    else:
        _begin(state, version, action)
    return None


def _do_start(state, action):
    name = action["version"]
    if state.rollout is not None:
        return f"the rollout of {state.rollout.version.name} is going on. Promote or abort it first."
    if name not in state.candidates:
        there = ", ".join(state.candidates) or "none"
        return f"there is no candidate {name!r}. Candidates: {there}."
    _begin(state, state.candidates[name]["version"], action)
    return None


def _do_pause(state, action):
    if state.rollout is None:
        return "no rollout is going on."
    state.rollout.paused = True
    return None


def _do_resume(state, action):
    if state.rollout is None:
        return "no rollout is going on."
    state.rollout.paused = False
    return None


def _do_promote(state, action):
    return _by_hand(state, "promote")


def _do_abort(state, action):
    return _by_hand(state, "abort")


def _do_roll_back(state, action):
    what = action["what"]
    if what == "model":
        if state.rollout is not None:
            return "abort the rollout first."
        if len(state.stack) < 2:
            return "there is no model before this one."
        state.stack.pop()
    elif what == "candidate":
        code = state.serving.code
        if not code or state.rollout is not None:
            return "no candidate serves." if not code else "abort the rollout first."
        while state.serving.code == code:
            state.stack.pop()
    elif what == "code":
        state.pay("downtime_minute", CODE_MINUTES)
        if state.is_on("skew"):
            state.ends["skew"] = state.day
    else:
        state.off.add(what)
    return None


def _do_restore(state, action):
    if action["what"] not in state.off:
        return f"{action['what']} is not rolled back."
    state.off.remove(action["what"])
    return None


def _do_automation(state, action):
    state.automation = {name: action[name] for name in ("degree", "threshold", "always")}


def _do_gate(state, action):
    if action["low"] is None and action["high"] is None:
        state.gates.pop(action["field"], None)
    else:
        state.gates[action["field"]] = (action["low"], action["high"])


def _do_limit_retries(state, action):
    state.retries = action["most"]


def _do_threshold(state, action):
    if action["metric"] not in METRICS:
        return f"there is no metric {action['metric']!r}."
    try:
        state.alerts.set(action["metric"], action["above"], action["below"])
    except ValueError as error:
        return str(error)
    return None


def _do_page(state, action):
    team = action["team"]
    state.pay("page", 1)
    mine = [
        event
        for event in state.world.script.events
        if KINDS[event.kind].team == team and state.is_on(event.kind) and event.start < state.day
    ]
    if not mine:
        state.pages.append(_page(state.day, team, "nothing found", state.day, "Nothing is wrong here"))
        state.messages.append(f"{team}: nothing is wrong here.")
        return None
    for event in mine:
        kind = KINDS[event.kind]
        end = min(state.ends[event.kind], state.day + kind.repair)
        state.ends[event.kind] = end
        if event.kind == "label_outage":
            _labels_come_back(state, end)
        state.pages.append(_page(state.day, team, "working", end, kind.title))
        state.messages.append(f"{team}: found. {kind.title}. Repaired by day {end}.")
    return None


def _by_hand(state, what):
    if state.rollout is None:
        return "no rollout is going on."
    try:
        getattr(state.rollout.controller, what)(state.day * DAY)
    except ValueError as error:
        return str(error)
    settle(state, by_hand=True)
    return None


def _begin(state, version, action):
    plan = action["plan"] or CANARY
    state.rollout = Rollout(version, state.serving.name, plan, action["judge"], state.day)
    settle(state)


def settle(state, by_hand=False):
    """A rollout that has reached everybody, or nobody, is over. A candidate that was aborted by hand may be started again."""
    rollout = state.rollout
    if rollout.weight >= 100:
        state.stack.append(rollout.version)
    elif rollout.controller.state.stage != "over":
        return
    state.note("rollout", rollout.controller.state.reason)
    state.messages.append(rollout.controller.state.reason)
    if rollout.weight >= 100 or not by_hand:
        state.candidates.pop(rollout.version.name, None)
    state.rollout = None


def _trained(state, days, half_life, skip):
    """A model trained on the labels that are known this morning."""
    _backfill(state)
    last = state.day - LABELS + BEFORE
    pairs = [(first + BEFORE, final + BEFORE) for first, final in skip]
    weights = day_weights(BEFORE + DAYS, last, window=days, half_life=half_life, skip=pairs)
    return state.sums.train(weights)


def _backfill(state):
    """Flights whose label is not there yet are left out of the sums; those whose label came late are put in."""
    for day in range(max(state.day - 28, 0), state.day):
        record = state.records[day]
        late = record["known"] > day + LABELS
        if late.any():
            put_day(state, day, ~record["refused"] & (record["known"] <= state.day))


def _labels_come_back(state, end):
    """Labels that were held back are there when the reports are."""
    for record in state.records.values():
        record["known"] = np.minimum(record["known"], np.maximum(end + 1, record["known"].min()))


def arrive(state):
    """What comes with a new morning: pages that are answered, labels, candidates, deploys."""
    for page in state.pages:
        if page["status"] == "working" and state.day >= page["until"]:
            page["status"] = "repaired"
            state.messages.append(f"{page['team']}: repaired. {page['found']}.")
    for offer in state.world.script.offers:
        if offer.day == state.day:
            _offer(state, offer)
    for event in state.world.script.events:
        if event.kind == "skew" and event.start == state.day - 1:
            state.deploys.append({"day": event.start, "what": "serving code"})
    if (state.day - 1) % 14 == 6:
        state.deploys.append({"day": state.day - 1, "what": "serving code"})


def _offer(state, offer):
    """A candidate: trained by the team on recent days, with the report that they send along."""
    weights = _trained(state, 28, 10.0, ())
    version = Version(
        offer.version,
        weights or state.world.first,
        RELEASES[offer.kind],
        state.day - LABELS,
        code=offer.version,
    )
    recent = [day for day in range(state.day - 9, state.day - LABELS + 1) if day in state.records]
    flights = state.world.flights
    rows = np.concatenate(
        [np.arange(*state.records[day]["part"].indices(len(flights.day))[:2]) for day in recent]
    )
    inputs = flights.distance[rows], flights.wind[rows], flights.dest[rows]
    serving, own = (
        np.abs(v.weights.predict(*inputs) - flights.air_time[rows]).mean() for v in (state.serving, version)
    )
    state.candidates[offer.version] = {
        "version": version,
        "shown": {
            "version": offer.version,
            "offered": state.day,
            "offline_error": round(float(own) * OPTIMISM, 2),
            "serving_error": round(float(serving), 2),
        },
    }
    state.messages.append(f"The team offers a candidate, {offer.version}.")


def _page(day, team, status, until, found):
    return {"day": day, "team": team, "status": status, "until": until, "found": found}


_DO = {
    "nothing": lambda state, action: None,
    "retrain": _do_retrain,
    "start": _do_start,
    "pause": _do_pause,
    "resume": _do_resume,
    "promote": _do_promote,
    "abort": _do_abort,
    "roll_back": _do_roll_back,
    "restore": _do_restore,
    "automation": _do_automation,
    "gate": _do_gate,
    "limit_retries": _do_limit_retries,
    "threshold": _do_threshold,
    "page": _do_page,
}
