"""One rollout: a fault, a plan, and how many requests the judge wants to see before it speaks (lesson 06)."""

from __future__ import annotations

import functools

import numpy as np

from mlprod_helpers import plots
from mlprod_helpers.explore.controls import Choice, Slider, explore

FAULTS = ("one airport", "none", "6 points more errors", "slow", "after 20 minutes")
PLANS = ("canary 5, 10, 25, 50%", "canary 1% steps", "blue-green, watched", "big bang, watched", "shadow")
_AIRPORTS = {"EWR": 0.5, "JFK": 0.38, "LGA": 0.12}
_INTERVAL, _MINUTES, _MOST = 120, 50, 2000  # seconds between checks, of the trace, users in it


@functools.cache
def _traffic():
    """50 minutes of requests, 8 a second."""
    from mlprod_helpers.queueing import poisson
    from mlprod_helpers.rollout import traffic

    arrivals = poisson(8, duration=60 * _MINUTES, random_state=4)
    return traffic(arrivals, users=_MOST, segments={"origin": _AIRPORTS}, random_state=4)


def _behavior(fault):
    """What the new version does."""
    from mlprod_helpers.rollout import Behavior, Symptom

    at_lga = Symptom(error_rate=0.5, where={"origin": "LGA"})
    return {
        "none": Behavior(error_rate=0.01),
        "6 points more errors": Behavior(error_rate=0.07),
        "slow": Behavior(error_rate=0.01, latency_ms=250),
        "one airport": Behavior(error_rate=0.01, symptoms=at_lga),
        "after 20 minutes": Behavior(error_rate=0.01, symptoms=Symptom(error_rate=0.1, after=1200)),
    }[fault]


def _plan(name):
    from mlprod_helpers.rollout import BigBang, BlueGreen, Canary, Shadow

    often = {"interval": _INTERVAL, "threshold": 2}
    return {
        "canary 5, 10, 25, 50%": Canary(step_weights=[5, 10, 25, 50], **often),
        "canary 1% steps": Canary(step_weight=1, max_weight=50, **often),
        "blue-green, watched": BlueGreen(keep_old=900, watch=2400, **often),
        "big bang, watched": BigBang(redeploy=600, watch=2400, **often),
        "shadow": Shadow(duration=1800, **often),
    }[name]


@functools.cache
def _rollout(fault, plan, wanted):
    """One rollout; where nobody has the old version, error rates are judged by a fixed limit."""
    from mlprod_helpers.rollout import AllOf, Behavior, BySegment, ThresholdJudge, Version, replay

    compared = plan.startswith("canary") or plan == "shadow"
    limit = {"error_rate": (None, 0.03 if compared else 0.04)}
    errors = ThresholdJudge(limit, relative="difference" if compared else None, min_requests=wanted)
    latency = ThresholdJudge({"latency_p99": (None, 400)}, min_requests=wanted)
    judge = AllOf(BySegment("origin", errors), latency)
    versions = Version("v1", Behavior(error_rate=0.01)), Version("v2", _behavior(fault))
    return replay(_traffic(), versions, _plan(plan), judge, 1, slow_ms=500)


@functools.cache
def _still():
    """The part of the picture that stays, and the artists that move."""
    fig, panels = plots.figure(nrows=3, sharex=True, size=(7.4, 5.4), layout=None)
    fig.subplots_adjust(left=0.11, right=0.98, top=0.93, bottom=0.1, hspace=0.24)
    tops = {"new version (%)": 104, "failed (%)": 50, "users harmed": _MOST}
    for panel, (name, top) in zip(panels, tops.items(), strict=True):
        panel.set(ylabel=name, ylim=(-top / 25, top), xlim=(0, _MINUTES))
    weight, failed, harm = panels
    failed.set_ylim(-0.5, 50)
    failed.set_yscale("symlog", linthresh=10)  # 1% and 40% in one picture
    failed.set_yticks([0, 5, 10, 20, 50], ["0", "5", "10", "20", "50"])
    harm.set_ylim(-0.5, _MOST)
    harm.set_yscale("symlog", linthresh=10)  # 20 and 1,000 in one picture
    harm.set_yticks([0, 10, 100, 1000], ["0", "10", "100", "1,000"])
    harm.set_xlabel("minutes since the start of the rollout")
    plots.name_colors(failed, {"old version": plots.BLUE, "new version": plots.ORANGE})
    lines = [
        *weight.plot([], [], color=plots.ORANGE, drawstyle="steps-post"),
        *failed.plot([], [], color=plots.BLUE),
        *failed.plot([], [], color=plots.ORANGE),
        *harm.plot([], [], color=plots.RED),
    ]
    title = fig.text(0.11, 0.96, "", fontweight="bold", color=plots.INK)
    return plots.Still(fig, [*lines, title]), lines, title


def rollout_picture(fault, plan, wanted):
    """Draw the weight of the new version, failures of both versions and the users harmed over 50 minutes.

    The judge compares error rates with the old version, airport by airport, and wants a p99 below 400 ms. It looks every two
    minutes; an airport of which it has heard too little does not stop it.

    Parameters
    ----------
    fault : str. One of `FAULTS`.
    plan : str. One of `PLANS`.
    wanted : int. Requests of the new version that the judge wants to see, at one airport, since it last had enough.

    >>> rollout_picture("none", "canary 5, 10, 25, 50%", 100).alt.split(". ")[0]
    'Canary: Healthy, 0 users harmed, promoted after 18.0 min'
    """
    run = _rollout(fault, plan, wanted)
    table, weights = run.over_time(_INTERVAL), run.timeline["weight"]
    minutes = table.index / 60
    still, (weight, failed_old, failed_new, harmed), title = _still()
    weight.set_data(np.append(weights.index / 60, _MINUTES), np.append(weights, weights.iloc[-1]))
    failed_old.set_data(minutes + 1, 100 * table["stable_bad"])
    failed_new.set_data(minutes + 1, 100 * table["canary_bad"])
    harmed.set_data(np.append(0, minutes + 2), np.append(0, table["users_harmed"]))
    title.set_text(f"{run.phase}: {run.users_harmed} users harmed")
    return still.picture(f"{run} At the end: {run.reason}")


def rollout_explorer():
    """Fault, plan and patience of the judge above `rollout_picture`.

    >>> rollout_explorer().values
    {'fault': 'one airport', 'plan': 'canary 5, 10, 25, 50%', 'wanted': 40}
    """
    return explore(
        rollout_picture,
        fault=Choice(FAULTS, label="fault of the new version"),
        plan=Choice(PLANS, label="plan"),
        wanted=Slider(20, 300, 20, 40, label="requests wanted by the judge"),
    )
