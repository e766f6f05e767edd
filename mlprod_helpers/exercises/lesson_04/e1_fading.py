"""Exercise 4.1, Half-life."""

import math

import numpy as np
import pandas as pd

from mlprod_helpers.exercises.lesson_04.support import agree, first_odd, lengths
from mlprod_helpers.lesson.contract import Array, Function, exercise


def _fading(times, half_life, now):
    age = now - np.asarray(times, dtype=float)
    return np.where(age >= 0, 0.5 ** (np.maximum(age, 0) / half_life), 0.0)


@exercise(
    "4.1",
    "Half-life",
    answers=("fading",),
    points=2,
    minutes=5,
    objective="4.b",
    edition=2,
    kind=Function("times", "half_life", "now", returns=Array(ndim=1)),
    hints=(
        "Compute the age of each row first. How much weight is left after one half-life? After two?",
        "Use `0.5 ** (age / half_life)`. Rows after `now` have a negative age. What weight should they get?",
        "`np.where(age >= 0, ..., 0)` gives weight 0 to rows that did not exist yet.",
    ),
)
def fading(answer, rng, expect):
    """`fading(times, half_life, now)`: weights that halve with each half-life of age, 0 for rows after now."""
    # fractional, and so long that a row older than a year still counts
    half_life, now = float(rng.integers(35, 60)) + 0.5, float(rng.integers(1000, 1100))

    def compare(times, what):
        got, want = answer(times, half_life, now), _fading(times, half_life, now)
        at = first_odd(got, want)
        told = f"a row of age {now - times[at]:.2f} days got {got[at]:.4g}" if at is not None else ""
        expect.true(agree(got, want), what, told or lengths(got, want))

    with expect.defining():
        whole = (now - half_life * np.array([6, 4, 2, 0])).astype(
            int
        )  # weights must not be cut to whole numbers
        compare(whole, "rows of age 6, 4, 2 and 0 half-lives")
        busy = np.sort(np.r_[rng.uniform(0, now, 6), np.full(5, now - half_life), now - 12 * half_life])
        compare(busy, "a busy day among quiet ones")
        mixed = rng.permutation(np.r_[rng.uniform(0, now, 8), rng.uniform(now, now + 30, 2), now])
        compare(mixed, "rows that are not in order")
        compare(
            np.r_[now - half_life, now + 0.01, now + rng.uniform(1, 30, 3)], "rows after `now` get no weight"
        )


@fading.inputs
def moments(rng):
    yield np.array([0.0, 40, 300, 380, 400]), 365.0, 400.0
    yield np.array([400, 0, 380, 401, 40]), 30, 400
    yield np.array([5.0]), 2.0, 5.0
    yield np.array([5.0, 5.0, 5.001]), 0.5, 5.0
    for n in (1, 2, 7, 50):
        yield rng.uniform(-50, 150, n), float(rng.uniform(0.2, 80)), float(rng.uniform(0, 100))
        yield rng.integers(0, 20, n), 3, 10


@fading.misconception(
    "you used exp(-age / half_life). After one half-life, that gives 0.37, but it should give 0.5. Use 0.5 as the base instead of 1/e."
)
def natural_decay(times, half_life, now):
    age = now - np.asarray(times)
    return np.where(age >= 0, np.exp(-np.maximum(age, 0) / half_life), 0.0)


@fading.misconception(
    "you counted rows instead of days. Then one busy day makes all earlier rows look old. Compute the age from `times` and `now`."
)
def by_row_number(times, half_life, now):
    n = len(times)
    return 0.5 ** ((n - 1 - np.arange(n)) / half_life)


@fading.misconception(
    "you gave rows after `now` weights above 1. A model trained at `now` cannot use them. Give weight 0 to rows with a negative age."
)
def future_rows_count_most(times, half_life, now):
    return 0.5 ** ((now - np.asarray(times)) / half_life)


@fading.misconception(
    "you used the half-life as a window, so all weights are 1 or 0. A recency weight falls gradually. Which weight should a row have after two half-lives?"
)
def as_a_window(times, half_life, now):
    age = now - np.asarray(times)
    return ((age >= 0) & (age <= half_life)).astype(float)


@fading.alternative
def by_a_loop(times, half_life, now):
    weights = []
    for time in times:
        weights.append(0.0 if time > now else 2 ** ((time - now) / half_life))
    return weights


@fading.alternative
def with_pandas(times, half_life, now):
    age = now - pd.Series(times)
    return np.exp(-math.log(2) * age / half_life).where(age >= 0, 0.0).to_numpy()
