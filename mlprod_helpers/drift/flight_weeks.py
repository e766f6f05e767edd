"""Weeks of a small flight service in which something drifted: what a report says, and what each action costs."""

import math

import numpy as np
import pandas as pd
from scipy.special import ndtr

from mlprod_helpers.drift.distances import rank_auc

ACTIONS = ("ignore", "repair", "reweight", "retrain", "gate")
EFFORT = {
    "ignore": 0.0,
    "repair": 1.5,
    "reweight": 0.2,
    "retrain": 1.5,
    "gate": 1.0,
}  # minutes of error that it is worth


BY_HAND = 20.0  # a flight that a person answers costs as much as 20 minutes of error
N_ROWS = 400
SITUATIONS = {
    "quiet": "nothing changed",
    "number": "nothing changed, but a column names its table",
    "nearby": "the inputs moved a little",
    "far": "the inputs moved far, no labels yet",
    "far_labeled": "the inputs moved far, labels are there",
    "answers": "the relation changed, the inputs did not",
    "slipped": "a join slipped",
    "slipped_labeled": "a join slipped, labels are there",
}


NOISY = ("quiet", "number", "nearby", "far")  # drawn more often: in these luck could decide


def _air_time(distance, wind, by_distance=1.0, detour=0.0):
    """The law of the small world, minutes: it curves, so a line through it is right only where it was fitted."""
    return 150 + 60 * by_distance * distance + 9 * distance**2 - 40 * wind + detour


def _inputs(rng, n, shift):
    """Distance and head wind, standardized; they go together."""
    distance = rng.normal(shift, 1, n)
    return np.column_stack([distance, 0.85 * distance + math.sqrt(1 - 0.85**2) * rng.normal(size=n)])


def line(rows, y, weight=None):
    """Least squares with a constant; returns a function of rows."""
    design = np.column_stack([np.ones(len(rows)), rows])
    root = np.ones(len(rows)) if weight is None else np.sqrt(weight)
    coefficients = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
    return lambda new: np.column_stack([np.ones(len(new)), new]) @ coefficients


def log_ratio(reference, current):
    """Two normal distributions fitted; returns log density of current over that of reference, a function of rows."""
    fits = [
        (rows.mean(axis=0), np.linalg.inv(np.cov(rows.T)), np.linalg.slogdet(np.cov(rows.T))[1])
        for rows in (reference, current)
    ]

    def ratio(new):
        (m0, p0, d0), (m1, p1, d1) = fits
        return 0.5 * (
            ((new - m0) @ p0 * (new - m0)).sum(axis=1) - ((new - m1) @ p1 * (new - m1)).sum(axis=1) + d0 - d1
        )

    return ratio


def draw_week(rng, kind, labeled=None):
    """One situation: (report, cost of each action). The world is drawn, the report measured, the costs counted.

    `labeled` says whether labels have come in a week of which the kind does not tell; drawn if not given.
    """
    shift = {
        "nearby": rng.uniform(0.7, 0.95),
        "far": rng.uniform(4.0, 4.8),
        "far_labeled": rng.uniform(4.0, 4.8),
    }.get(kind, 0.0)
    law = {"by_distance": rng.uniform(1.3, 1.4), "detour": rng.uniform(25, 28)} if kind == "answers" else {}
    labels = (
        int(rng.integers(150, 300))
        if kind in ("far_labeled", "answers", "slipped_labeled")
        else int(rng.integers(0, 5))
    )
    if kind in ("quiet", "number") and (rng.random() < 0.5 if labeled is None else labeled):
        labels = int(rng.integers(150, 300))
    reference = _inputs(rng, N_ROWS, 0)
    y_reference = _air_time(*reference.T) + rng.normal(0, 6, N_ROWS)
    true_rows = _inputs(rng, 2 * N_ROWS, shift)
    y = _air_time(*true_rows.T, **law) + rng.normal(0, 6, 2 * N_ROWS)
    seen_rows = true_rows
    if kind.startswith("slipped"):
        seen_rows = np.column_stack([true_rows[:, 0], np.roll(true_rows[:, 1], 1)])
    # the first half is what the report sees, the second half is what comes next
    current, following = seen_rows[:N_ROWS], seen_rows[N_ROWS:]
    y_current, y_following = y[:N_ROWS], y[N_ROWS:]

    model = line(reference, y_reference)
    own_error = np.abs(model(reference) - y_reference).mean()
    half = N_ROWS // 2
    ratio = log_ratio(reference[:half], current[:half])
    s = np.repeat([0, 1], half)
    auc = rank_auc(s, np.append(ratio(reference[half:]), ratio(current[half:])))
    weight = np.exp(np.minimum(log_ratio(reference, current)(reference), 7))
    late_error = np.abs(model(current[:labels]) - y_current[:labels]).mean() if labels >= 30 else math.nan
    report = {
        "auc": 1.0 if kind == "number" else round(auc, 3),
        "auc_clean": round(auc, 3),
        "pvalue": round(float(ndtr(-(auc - 0.5) / math.sqrt((2 * half + 1) / (12 * half**2)))), 4),
        "largest_shift": round(float(np.abs(current.mean(axis=0) - reference.mean(axis=0)).max()), 2),
        "ess": round(float(weight.sum() ** 2 / (weight**2).sum() / N_ROWS), 3),
        "labels": labels,
        "late_error": round(float(late_error / own_error), 2),
    }

    def error(predict, rows=following):
        return float(np.abs(predict(rows) - y_following).mean())

    strange = (
        (following - reference.mean(axis=0))
        @ np.linalg.inv(np.cov(reference.T))
        * (following - reference.mean(axis=0))
    ).sum(axis=1) > 9.2
    left = np.abs(model(following) - y_following)[~strange].sum()
    costs = {
        "ignore": error(model),
        "repair": error(model, true_rows[N_ROWS:]),
        "reweight": error(line(reference, y_reference, weight)),
        "retrain": error(line(current[:labels], y_current[:labels])) if labels >= 30 else error(model),
        "gate": (BY_HAND * strange.sum() + left) / len(strange),
    }
    return report, {action: costs[action] + EFFORT[action] for action in ACTIONS}


def draw_weeks(rng):
    """Weeks of the small flight world, in random order.

    Each is a dict: `kind` (a key of `SITUATIONS`), `report` (what `decide` gets) and `costs` (of each action,
    minutes).

    >>> week = draw_weeks(np.random.default_rng(0))[0]
    >>> sorted(week)
    ['costs', 'kind', 'report']
    """
    kinds = rng.permutation([kind for kind in SITUATIONS for _ in range(6 if kind in NOISY else 3)])
    weeks = []
    for kind in kinds.tolist():
        # all but the first of a kind: who trains whenever there are labels pays for it in each draw
        labeled = any(week["kind"] == kind for week in weeks)
        report, costs = draw_week(rng, kind, labeled)
        weeks.append({"kind": kind, "report": report, "costs": costs})
    return weeks


def cost_table(decide, weeks):
    """Mean cost (minutes) of a week by kind: `yours`, by the actions of `decide`, `ignore`, and `best`."""
    rows = {}
    for kind, situation in SITUATIONS.items():
        of_kind = [week for week in weeks if week["kind"] == kind]
        costs = pd.DataFrame([week["costs"] for week in of_kind])
        own = np.mean([week["costs"][decide(dict(week["report"]))] for week in of_kind])
        rows[situation] = {"yours": own, "ignore": costs["ignore"].mean(), "best": costs.mean().min()}
    return pd.DataFrame(rows).T.round(1)
