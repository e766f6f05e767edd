"""A week of a service that sorts photos, for policies that choose the degree of automation."""

import numpy as np
import pandas as pd

from mlprod_helpers.automation import Costs, Reviewers, from_name, simulate_triage
from mlprod_helpers.queueing import Exponential, diurnal

HOUR = 3600.0
WEEK = 168 * HOUR
TICK = 2 * HOUR
WEEKS = ("dying lamp", "dark season", "new range")
WEEK_COSTS = Costs(error=20, review=1, delay=0.5)


def week_reviewers():
    """Three people, 60 seconds a case, wrong in 5%, in up to 10% when they never rest."""
    return Reviewers(3, Exponential(60.0), error=0.05, fatigue=0.05, follow_right=0.5, follow_wrong=0.95)


def draw_week(rng, kind):
    """The cases of a week, about 150 an hour (110 with the dying lamp): `seconds`, `confidence`, `model_right`, `brightness`.

    `kind` is "dying lamp" (photos get dark, answers wrong), "dark season" (a little darker, and right) or "new range"
    (as dark as in the dark season, and wrong). Only audits tell the last two apart.

    >>> list(draw_week(np.random.default_rng(0), "dying lamp"))
    ['seconds', 'confidence', 'model_right', 'brightness']
    """
    an_hour = 110 if kind == "dying lamp" else 150
    seconds = diurnal(an_hour / HOUR, WEEK, amplitude=0.4, peak=14 * HOUR, random_state=rng)
    n = len(seconds)
    begins = float(rng.uniform(40, 70))
    takes = float(rng.uniform(24, 48)) if kind == "dying lamp" else 8.0
    broken = np.clip((seconds / HOUR - begins) / takes, 0, 1)
    unsure = 0.5 * rng.random(n) ** 1.5
    wrong = unsure.copy()
    brightness = 73 + rng.normal(0, 35, n)
    if kind == "dying lamp":
        unsure = np.minimum(unsure * (1 + 0.6 * broken), 0.6)
        wrong = np.minimum(unsure + 0.45 * broken**2, 0.9)
        brightness = brightness * (1 - 0.65 * broken)
    else:
        brightness = brightness * (1 - float(rng.uniform(0.3, 0.4)) * broken)
    if kind == "new range":  # new kinds of articles, on which the model is sure and wrong
        wrong = np.where(rng.random(n) < 0.3 * broken, 0.9, unsure)
    return pd.DataFrame(
        {
            "seconds": seconds,
            "confidence": 1 - unsure,
            "model_right": rng.random(n) >= wrong,
            "brightness": brightness,
        }
    )


def run_week(policy, cases, seed=0):
    """The `TriageResult` of one week of `draw_week` under a policy that is asked every two hours.

    The policy takes (observation, memory) and returns ((degree, threshold, audit share), memory).
    """

    def degree_of(observation, memory):
        (name, threshold, share), memory = policy(observation, {} if memory is None else memory)
        return from_name(name, threshold, audit_share=share), memory

    return simulate_triage(
        cases, degree_of, week_reviewers(), WEEK_COSTS, seed, tick=TICK, signals=["brightness"]
    )


def score_week(result):
    """What counts: `wrong` decisions of the model, `wrong_late` (their share among its last 36 hours), `cost`, `backlog` (most)."""
    taken = result.cases[result.cases["automated"]]
    late = taken[taken["seconds"] >= WEEK - 36 * HOUR]
    return {
        "wrong": int((~taken["right"]).sum()),
        "wrong_late": float(1 - late["right"].mean()) if len(late) else 0.0,
        "cost": round(result.cost, 3),
        "backlog": round(float(result.over_time()["backlog"].max()), 1),
    }
