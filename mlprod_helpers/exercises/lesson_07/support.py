"""What several exercises of lesson 07 share."""

import numpy as np
import pandas as pd

from mlprod_helpers.automation import Costs, Reviewers, from_name, simulate_triage
from mlprod_helpers.queueing import Exponential, diurnal

NAMES = ("human only", "shadow", "assistance", "partial", "full")


def overconfident(rng, n, worse=1.0, levels=None):
    """(confidence, correct): uniform from 0.5 to 1; wrong `worse` times as often as the confidence says."""
    confidence = rng.uniform(0.5, 1.0, n)
    if levels:
        confidence = np.round(confidence * levels) / levels
    return confidence, rng.random(n) >= np.minimum(worse * (1 - confidence), 0.95)


def by_threshold(confidence, correct):
    """[(threshold, coverage, risk)] from the strictest threshold on; equal confidences together."""
    rows = []
    for threshold in np.unique(confidence)[::-1]:
        taken = confidence >= threshold
        rows.append((float(threshold), float(taken.mean()), float((~correct[taken]).mean())))
    return rows


GRID = np.round(np.arange(0.5, 1.015, 0.01), 2)


def draw_shadow(rng, n=400):
    """(log, mix): a shadow run in which some people saw the score, easy cases are too many, and truth comes late."""
    kind = rng.choice(["easy", "hard", "new"], n, p=[0.7, 0.2, 0.1])
    label = rng.integers(0, 5, n)
    right_model = rng.random(n) < pd.Series(kind).map({"easy": 0.98, "hard": 0.7, "new": 0.5}).to_numpy()
    right_human = rng.random(n) < pd.Series(kind).map({"easy": 0.97, "hard": 0.85, "new": 0.85}).to_numpy()
    prediction = np.where(right_model, label, (label + 1) % 5)
    human = np.where(right_human, label, (label + 1) % 5)  # the same trap for both: wrong together
    saw = rng.random(n) < np.where(kind == "easy", 0.6, 0.2)
    human = np.where(saw & (rng.random(n) < 0.9), prediction, human)
    late = rng.random(n) < 0.25
    log = pd.DataFrame(
        {
            "kind": kind,
            "human": human,
            "prediction": prediction,
            "saw": saw,
            "label": np.where(late, np.nan, label),
        }
    )
    shares = rng.dirichlet([20, 15, 10])
    return log, dict(zip(["easy", "hard", "new"], (float(x) for x in shares), strict=True))


HOUR = 3600.0

WEEK = 168 * HOUR

TICK = 2 * HOUR

WEEKS = ("dying lamp", "dark season", "new range")

WEEK_COSTS = Costs(error=20, review=1, delay=0.5)


def week_reviewers():
    """Three people, 60 seconds a case, wrong in 5 %, in up to 10 % when they never rest."""
    return Reviewers(3, Exponential(60.0), error=0.05, fatigue=0.05, follow_right=0.5, follow_wrong=0.95)


def draw_week(rng, kind):
    """Cases of a week, 150 an hour: "dying lamp" (dark and wrong), "dark season" (dark, right), "new range" (bright, wrong)."""
    seconds = diurnal(150 / HOUR, WEEK, amplitude=0.4, peak=14 * HOUR, random_state=rng)
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
    elif kind == "dark season":
        brightness = brightness * (1 - float(rng.uniform(0.3, 0.4)) * broken)
    else:  # a new kind of article, on which the model is sure and wrong
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
    """TriageResult of a policy `(observation, memory) -> ((degree, threshold, audit share), memory)`, asked every two hours."""

    def asked(told, memory):
        (name, threshold, share), memory = policy(told, {} if memory is None else memory)
        return from_name(name, threshold, audit_share=share), memory

    return simulate_triage(
        cases, asked, week_reviewers(), WEEK_COSTS, seed, tick=TICK, signals=["brightness"]
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
