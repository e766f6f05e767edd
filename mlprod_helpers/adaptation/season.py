"""Seasons of drift for retraining policies: 12 weeks of history and 44 live ones."""

import math

import numpy as np

KINDS = ("quiet", "slow", "sudden", "recurring", "fault")
N_HISTORY, N_WEEKS, N_BANDS = 12, 44, 10
SIGMA, ROWS = 8.0, 60  # minutes of noise in a label; labels a week
FAULT = 30.0  # minutes that a broken label is off
PRICE = 1.0  # one training costs as much as one minute of error for a week


def draw_season(rng, kind):
    """One season of 12 weeks of history and 44 live weeks.

    Parameters
    ----------
    rng : numpy Generator
    kind : str. One of `KINDS`.

    Returns
    -------
    dict
        `level` (true minutes to add, a week and a band), `mean` (what a week's labels say), `broken` and `repaired`
        (the fault's weeks and when they were put right), `held_back`, `noise` (of the measured error).

    >>> season = draw_season(np.random.default_rng(0), "sudden")
    >>> season["level"].shape
    (56, 10)
    """
    n = N_HISTORY + N_WEEKS
    week = np.arange(n)
    start = N_HISTORY + int(rng.integers(6, 13))
    shape = np.zeros(n)
    if kind == "slow":
        shape = rng.uniform(14, 18) * np.clip((week - N_HISTORY) / N_WEEKS, 0, 1)
    elif kind == "sudden":
        shape = rng.uniform(9, 12) * (week >= start)
    elif kind == "recurring":
        shape = rng.uniform(9, 12) * ((week >= start) & (week < start + int(rng.integers(12, 17))))
    direction = rng.choice([-1.0, 1.0], N_BANDS) * rng.uniform(0.8, 1.2, N_BANDS)
    level = shape[:, None] * direction / np.sqrt(np.square(direction).mean())
    broken = (week >= start) & (week < start + 4) & (kind == "fault")
    held_back = rng.uniform(0.0, 0.03, n)
    held_back[broken] = rng.uniform(0.3, 0.6, broken.sum())
    return {
        "kind": kind,
        "level": level,
        "mean": level + rng.normal(0, SIGMA / math.sqrt(ROWS / N_BANDS), level.shape),
        "broken": broken,
        "repaired": start + 5,
        "held_back": held_back.round(3),
        "noise": np.sqrt(rng.chisquare(ROWS, n) / ROWS),
    }


def _labels(season, now):
    """What the labels say that are there at week `now`: all but the last week's; broken ones until they are repaired."""
    known = season["mean"][: now - 1]
    if season["kind"] == "fault" and now < season["repaired"]:
        known = known + FAULT * season["broken"][: now - 1, None]
    return known


def trained(season, now, action):
    """The model of a training in week `now`: minutes to add in each band. `action` is "retrain all" or "retrain N"."""
    known = _labels(season, now)
    weeks = action.removeprefix("retrain ")
    newest = known if weeks == "all" else known[-int(weeks) :]
    return newest.sum(axis=0) / len(newest)


def excess(level, model):
    """Minutes of error above what a perfect model would have."""
    gap = level - model
    if gap.ndim == 1:  # many small calls: several times as fast
        return math.sqrt(SIGMA**2 + gap.dot(gap) / len(gap)) - SIGMA
    return np.sqrt(SIGMA**2 + np.square(gap).mean(axis=-1)) - SIGMA


def play(policy, season):
    """The cost of one season under a policy, in minutes: error above the unavoidable, week by week, plus trainings.

    A policy takes an observation (`week`, `errors` of the last six known weeks, `held_back`, `age` of the model in
    weeks) and its memory, and returns (action, memory). Actions are "keep", "rollback", "retrain all" and "retrain
    N", N weeks.

    >>> quiet = draw_season(np.random.default_rng(0), "quiet")
    >>> play(lambda observation, memory: ("keep", memory), quiet) < 5
    True
    """
    model = previous = trained(season, N_HISTORY, "retrain all")
    trained_at, memory, cost, errors = N_HISTORY, {}, 0.0, []
    for past in range(N_HISTORY - 6, N_HISTORY):
        errors.append(measured(season, past, model))
    for now in range(N_HISTORY, N_HISTORY + N_WEEKS):
        observation = {
            "week": now - N_HISTORY,
            "errors": errors[-7:-1],
            "held_back": season["held_back"][now - 7 : now - 1].tolist(),
            "age": now - trained_at,
        }
        action, memory = policy(observation, memory)
        if action == "rollback":
            model, previous = previous, model
        elif action != "keep":
            model, previous = trained(season, now, action), model
            trained_at, cost = now, cost + PRICE
        errors.append(measured(season, now, model))
        cost += excess(season["level"][now], model)
    return float(cost)


def measured(season, week, model):
    """The week's error as its labels show it, in minutes."""
    reported = season["level"][week] + FAULT * season["broken"][week]
    return round(float((SIGMA + excess(reported, model)) * season["noise"][week]), 2)
