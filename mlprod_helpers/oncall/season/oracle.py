"""The policy that knows the script, and the scale that it ends: from doing nothing to knowing everything."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mlprod_helpers.oncall.policies import do_nothing, naive_runbook
from mlprod_helpers.oncall.season.season import Season


def _table(name):
    """A table that `python benchmarks/bench_oncall.py tables` made."""
    return np.loadtxt(Path(__file__).with_name(name), dtype=int)


SCALES = _table("scales.txt")  # a row a season; see `Scale`
FIVES = _table("fives.txt")  # rows of five seasons that together are about as hard as all 200


def oracle(season):
    """A policy that knows the script of this season: it acts on the morning on which something begins.

    No policy that sees the observation alone can do as well: it shows what could be reached at most, roughly.
    """
    script = season.script.reveal()
    offers = {offer.version: offer.kind for offer in script.offers}
    return functools.partial(_act_by_script, {event.kind: event for event in script.events}, offers)


def _act_by_script(events, offers, observation, memory):
    day, actions = observation["day"], []
    pages = {page["team"]: page for page in observation["pages"]}
    for kind, event in events.items():
        if day == event.start:
            actions += _FIRST.get(kind, [])
        if day == event.start + 1 and kind in _TEAM:
            actions.append({"do": "page", "team": _TEAM[kind]})
    actions += _undo(events, day, pages, observation["config"])
    return actions + _improve(events, offers, observation), memory


_FIRST = {
    "feed_outage": [{"do": "roll_back", "what": "distance"}],
    "unit_change": [{"do": "roll_back", "what": "distance"}],
    "stuck_feature": [{"do": "roll_back", "what": "wind"}],
    "skew": [{"do": "roll_back", "what": "code"}],
    "slow_dependency": [{"do": "roll_back", "what": "distance"}],
    "retry_storm": [{"do": "limit_retries", "most": 1}],
    "reviewers": [{"do": "automation", "degree": "full"}],
    "new_route": [
        {"do": "automation", "degree": "partial", "threshold": 12.5, "always": ["SJU", "STT", "BQN", "PSE"]}
    ],
}
_TEAM = {
    "feed_outage": "data",
    "unit_change": "data",
    "stuck_feature": "data",
    "slow_dependency": "platform",
    "retry_storm": "platform",
    "router": "platform",
    "label_outage": "airlines",
    "reviewers": "staffing",
    "leak": "privacy",
}
_LASTS = {"reviewers": 4}  # days from the onset until a called team has repaired it; elsewhere 2


def _undo(events, day, pages, config):
    actions = []
    for kind, event in events.items():
        if kind not in _FIRST or kind not in _TEAM or day != event.start + _LASTS.get(kind, 2):
            continue
        for action in _FIRST[kind]:
            if action["do"] == "roll_back":
                actions.append({"do": "restore", "what": action["what"]})
            elif action["do"] == "limit_retries":
                actions.append({"do": "limit_retries", "most": 3})
            else:
                actions.append({"do": "automation", "degree": "partial"})
    return actions


def _improve(events, offers, observation):
    """Take the good candidates at once, and retrain on days that are not broken."""
    day = observation["day"]
    good = [one["version"] for one in observation["candidates"] if offers[one["version"]] == "good"]
    if good:
        return [{"do": "start", "version": good[0], "plan": {"strategy": "big_bang"}}]
    broken = [
        (event.start, event.start + 1)
        for kind, event in events.items()
        if kind in ("feed_outage", "unit_change", "stuck_feature")
    ]
    out = events.get("label_outage")
    blind = out is not None and out.start + 2 <= day <= out.start + 5
    if day % 3 == 0 and not blind:
        return [{"do": "retrain", "days": 28, "half_life": 10.0, "skip": broken}]
    return []


def cost_of(policy, seed):
    """What a season costs under a policy, in dollars; `policy` may be the function `oracle` itself."""
    season = Season(seed)
    return season.play(oracle(season) if policy is oracle else policy).cost


class Scale(NamedTuple):
    """What a season costs under three policies, in whole dollars."""

    nothing: int
    naive: int
    oracle: int


@functools.lru_cache(maxsize=256)
def scale(seed):
    """The `Scale` of a season: `do_nothing`, `naive_runbook` and the oracle; known without playing for the first 200."""
    if seed in range(len(SCALES)):
        return Scale(*SCALES[seed].tolist())
    return Scale(*(round(cost_of(policy, seed)) for policy in (do_nothing, naive_runbook, oracle)))


def closed(cost, seed):
    """The share of the gap between doing nothing (0) and the oracle (1) that a cost closes; below 0: worse than nothing.

    >>> closed(scale(3).nothing, 3), closed(scale(3).oracle, 3)
    (0.0, 1.0)
    """
    ends = scale(seed)
    return round((ends.nothing - cost) / (ends.nothing - ends.oracle), 3)
