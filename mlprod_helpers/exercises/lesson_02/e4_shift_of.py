"""Exercise 2.4, What is 0.8 in plain units?"""

import math

import numpy as np
from scipy.special import ndtr
from scipy.stats import norm

from mlprod_helpers.lesson.contract import Function, Number, exercise


@exercise(
    "2.4",
    "What is 0.8 in plain units?",
    answers=("shift_of",),
    points=2,
    minutes=4,
    edition=2,
    objective="2.b",
    kind=Function("auc", returns=Number()),
    hints=(
        "Draw a row from each table and look at their difference. What is the variance of a difference?",
        "AUC = Phi(d / sqrt(2)), where Phi is `norm.cdf`. Solve for d; `norm.ppf` undoes `norm.cdf`.",
    ),
)
def shift_of(answer, rng, expect):
    """`shift_of(auc)`: distance of two normal columns in standard deviations."""
    aucs = [*rng.choice(np.arange(0.55, 0.96, 0.01), size=4, replace=False).round(2), 0.501, 0.999, 0.99999]
    for auc in aucs:
        expect.close(answer(float(auc)), math.sqrt(2) * norm.ppf(auc), f"shift_of({auc:g})", rtol=1e-5)
    expect.close(answer(0.5), 0.0, "an AUC of 0.5 is no shift at all", atol=1e-6)
    with expect.defining():
        for low in (round(float(rng.uniform(0.1, 0.45)), 2), 0.49999, 0.0):
            expect.nan(answer(low), f"shift_of({low:g}): below 0.5 there is no distance, so NaN")


@shift_of.inputs
def _aucs(rng):
    for auc in (0.8, 0.5, 0.49, 0.0, 0.501, 0.56, 0.999, *rng.random(10)):
        yield (float(auc),)


@shift_of.misconception(
    "you left out sqrt(2). The AUC compares two rows, and their difference has variance 2, not 1. Look at the "
    "formula of this section again."
)
def without_root_two(auc):
    return float(norm.ppf(auc)) if auc >= 0.5 else math.nan


@shift_of.misconception(
    "you stretched the AUC so that it runs from 0 to 1. That is the Gini coefficient, which is not a distance and never "
    "exceeds 1. Solve the formula of this section for d."
)
def gini(auc):
    return 2 * auc - 1 if auc >= 0.5 else math.nan


@shift_of.misconception(
    "you took an AUC below 0.5 for a shift in the other direction. But a classifier learns the direction itself, so even "
    "a shift to the left gives an AUC above 0.5. Return NaN there. (Then look for rows that occur in both tables, and check the folds.)"
)
def negative_shift(auc):
    return math.sqrt(2) * float(norm.ppf(auc))


@shift_of.misconception(
    "you solved AUC = Phi(d * sqrt(2)). The difference of two rows varies more than one row, and that hides part of the shift. "
    "Inside Phi, d is divided by sqrt(2)."
)
def root_two_upside_down(auc):
    return float(norm.ppf(auc)) / math.sqrt(2) if auc >= 0.5 else math.nan


@shift_of.alternative
def by_bisection(auc):
    if auc < 0.5:
        return float("nan")
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if ndtr(middle / 2**0.5) < auc else (low, middle)
    return low


@shift_of.alternative
def with_another_sd(auc):
    return norm(scale=np.sqrt(2)).ppf(auc) if auc >= 0.5 else np.nan
