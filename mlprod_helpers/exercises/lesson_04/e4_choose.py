"""Exercise 4.4, Choose the half-life."""

import math

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Function, Number, exercise

CANDIDATES = (0.5, 3, 16, 64, 256)

N_PAST, N_NEXT, STREAMS = 100, 400, 5


def _level(rng, speed, n):
    """Daily labels: a level that wanders by `speed` a day, in units of the noise."""
    return rng.normal(0, speed, n).cumsum() + rng.normal(0, 1, n)


def _wakes_up(rng, n, quiet=30):
    """A level that stands still at first, and then wanders fast."""
    steps = rng.normal(0, rng.uniform(2, 3), n)
    steps[:quiet] = 0
    return steps.cumsum() + rng.normal(0, 1, n)


def _walk(y, half_life, first):
    """Mean absolute error from day `first` on, each day predicted by the weighted mean of the days before."""
    keep, top, bottom, errors = 0.5 ** (1 / half_life), 0.0, 0.0, []
    for day, value in enumerate(y):
        if day >= first:
            errors.append(abs(value - top / bottom))
        top, bottom = keep * top + value, keep * bottom + 1
    return float(np.mean(errors))


def _telling(draw, short, factor):
    """A stream whose past days tell that a `short` half-life predicts it better than a long one: not all that wander do."""
    for _ in range(100):
        y = draw()
        if _walk(y[:N_PAST], CANDIDATES[-1], 20) > factor * _walk(y[:N_PAST], short, 20):
            break
    return y


@exercise(
    "4.4",
    "Choose the half-life",
    answers=("choose",),
    points=4,
    minutes=9,
    objective="4.b",
    edition=2,
    kind=Function("y", "candidates", returns=Number()),
    hints=(
        "For each candidate, find out how large its daily errors would have been in the past.",
        "Predict day 20 from days 0 to 19, day 21 from days 0 to 20, and so on. The mean absolute error of these predictions is the candidate's score.",
        "`level(y[:day], half_life)` predicts day `day`. Return the candidate with the smallest mean of `abs(y[day] - level(...))`.",
    ),
)
def choose(answer, rng, expect):
    """`choose(y, candidates)`: the half-life that would have predicted the past best, walking forward."""
    n = N_PAST + N_NEXT
    worlds = (
        (
            "a level that wanders fast",
            lambda: _telling(lambda: _level(rng, rng.uniform(2, 3), n), 0.5, 2.0),
            20,
        ),
        (
            "a level that wanders a little",
            lambda: _telling(lambda: _level(rng, rng.uniform(0.5, 0.8), n), 3, 1.3),
            25,
        ),
        ("a level that does not move", lambda: _level(rng, 0.0, n), 7),
        (
            "a level that wanders fast from day 30 on",
            lambda: _telling(lambda: _wakes_up(rng, n), 0.5, 2.0),
            25,
        ),
    )
    with expect.defining():
        for what, draw, percent in worlds:
            chosen, best, picked = [], [], []
            for _ in range(STREAMS):
                y = draw()
                candidates = [round(c * rng.uniform(0.9, 1.1), 2) for c in rng.permutation(CANDIDATES)]
                half_life = answer(y[:N_PAST].round(3), candidates)
                if half_life not in candidates:
                    told = f"you returned {half_life:g} for the candidates {candidates}"
                    expect.true(False, f"{what}: the answer is one of `candidates`", told)
                    break
                errors = {c: _walk(y, c, N_PAST) for c in candidates}
                chosen.append(errors[half_life])
                best.append(min(errors.values()))
                picked.append(f"{half_life:g}")
            else:
                regret = sum(chosen) / sum(best) - 1
                expect.true(
                    regret <= percent / 100,
                    f"{what}: on the {N_NEXT} days after, the error is at most {percent}% above the best candidate's",
                    f"it is {100 * regret:.0f}% above; you chose {', '.join(picked)} days",
                )


@choose.acceptable
def predicts_well(answer, rng):
    """By the statement alone: what it chooses loses little on the days that follow, in worlds of each kind."""
    for speed, quiet, most in ((2.5, 0, 1.3), (0.65, 0, 1.4), (0.0, 0, 1.1), (2.5, 30, 1.4)):
        lost = []
        for _ in range(8):
            steps = rng.normal(0, speed, 500)
            steps[:quiet] = 0
            y = steps.cumsum() + rng.normal(0, 1, 500)
            picked = answer(y[:100], [0.5, 3, 16, 64, 256])
            ahead = {
                h: (pd.Series(y).ewm(halflife=h).mean().shift() - y)[100:].abs().mean()
                for h in (0.5, 3, 16, 64, 256)
            }
            lost.append(ahead.get(picked, math.inf) / min(ahead.values()))
        if np.mean(lost) > most:
            return False
    return True


def _picks(pick):
    """Recognizes an answer that ignores the data: each time the candidate that `pick` takes."""
    return lambda seen: (
        len(seen.calls) > STREAMS and all(float(call.output) == pick(call.given[1]) for call in seen.calls)
    )


@choose.misconception(
    "you chose the shortest half-life each time. It follows every change of the labels, and most changes are noise. "
    "Check that you do not use the label of a day to predict the same day.",
    when=_picks(min),
)
def the_shortest(y, candidates):
    return min(candidates)


@choose.misconception(
    "you chose the longest half-life each time. It cannot follow a level that moves. Check that you predict each day only from the days before it, in their order.",
    when=_picks(max),
)
def the_longest(y, candidates):
    return max(candidates)


@choose.misconception(
    "you chose the middle half-life for every series. The best half-life depends on how fast the level moves. Compute the error of each candidate on the past days of `y`.",
    when=_picks(lambda candidates: sorted(candidates)[len(candidates) // 2]),
)
def the_middle_one(y, candidates):
    return sorted(candidates)[len(candidates) // 2]


@choose.alternative
def running_sums(y, candidates):
    return min(candidates, key=lambda half_life: _walk(y, half_life, 20))


@choose.alternative
def squared_errors_with_pandas(y, candidates):
    series = pd.Series(y)
    scores = {
        half_life: ((series.ewm(halflife=half_life).mean().shift() - series)[20:] ** 2).mean()
        for half_life in candidates
    }
    return float(pd.Series(scores).idxmin())


@choose.alternative
def with_matrices(y, candidates):
    day = np.arange(len(y))
    age = day[:, None] - day[None, :]
    errors = []
    for half_life in candidates:
        weights = np.where(age > 0, 0.5 ** (np.maximum(age, 1) / half_life), 0.0)[10:]
        errors.append(np.abs(weights @ y / weights.sum(axis=1) - y[10:]).mean())
    return candidates[int(np.argmin(errors))]


choose.survives(
    "alternative with_matrices: `weights.sum(axis=1)` -> `weights.sum()`",
    "Only the choice is checked: the shortest half-life wins wherever the level moves, and luck decides where it does not move.",
)
