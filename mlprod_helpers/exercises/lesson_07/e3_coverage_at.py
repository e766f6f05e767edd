"""Exercise 7.3, How many cases can the model decide?"""

import contextlib

import numpy as np
import pandas as pd

from mlprod_helpers.exercises.lesson_07.support import by_threshold, overconfident
from mlprod_helpers.lesson.contract import Function, Number, exercise


def _coverage(confidence, correct, max_risk):
    return max(
        (cover for _, cover, risk in by_threshold(confidence, correct) if risk <= max_risk), default=0.0
    )


@exercise(
    "7.3",
    "How many cases can the model decide?",
    answers=("coverage_at",),
    points=4,
    minutes=7,
    objective="7.c",
    edition=2,
    kind=Function("confidence", "correct", "max_risk", returns=Number()),
    hints=(
        "Try each confidence that occurs as the threshold. All cases with at least this confidence are automated.",
        "Compute two numbers for each threshold: the share of *all* cases that is automated, and the share of wrong ones *among the automated*.",
        "Take the largest coverage of all thresholds with a risk of at most `max_risk`, even if a stricter threshold has a higher risk. If there is none, return 0.",
    ),
)
def coverage_at(answer, rng, expect):
    """`coverage_at(confidence, correct, max_risk)`: the largest share automated with a measured risk of at most that."""
    n = int(rng.choice([151, 167, 191, 211, 239]))  # no share of these has two digits
    usual = overconfident(rng, n)
    lucky = overconfident(rng, n)
    lucky[1][np.argmax(lucky[0])] = False  # the most confident answer of all is wrong
    lucky[1][np.argsort(-lucky[0])[1:60]] = True
    ties = overconfident(rng, n, levels=20)
    modest = overconfident(rng, 97)
    # 10 of the first 40 are wrong and nearly all later ones: a risk of exactly a quarter, and of more for all others
    exact = np.sort(rng.uniform(0.3, 0.9, n))[::-1], np.zeros(n, bool)
    exact[1][rng.choice(39, 30, replace=False)] = True
    order = rng.permutation(n)
    one = np.full(4, 0.75), np.array([True, True, False, True])
    # the sure half of the cases is too risky, and more of them are not: a search that halves the thresholds misses that
    again = overconfident(rng, 61)
    again[1][np.argsort(-again[0])] = np.repeat([True, False, True, False], [12, 13, 31, 5])
    ends = np.round([1.0, rng.uniform(0.7, 0.9), rng.uniform(0.3, 0.6), 0.0], 2)
    # nine that are right, then four of 0.7: one of these could be taken without the others, whichever comes first
    equal = (
        np.concatenate([rng.uniform(0.8, 0.99, 9), np.full(4, 0.7), rng.uniform(0.5, 0.6, 4)]),
        np.ones(17, bool),
    )
    equal[1][[9, 10, 12, 13, 14, 15, 16]] = False
    mixed = rng.permutation(17)
    cases = (
        (*usual, 0.0913, "a risk of at most 9.13%"),
        (*lucky, 0.0513, "the single most confident answer is wrong"),
        (*ties, 0.1013, "equal confidences: no threshold separates them"),
        (*again, 0.2513, "a risk that rises and falls again"),
        (equal[0][mixed], equal[1][mixed], 0.15, "four cases equally sure, three of them wrong"),
        (modest[0] / 2 - 0.2, modest[1], 0.1213, "confidences from 0.05 to 0.3"),
        (0.9 + usual[0] / 1e6, usual[1], 0.0913, "confidences that differ in the seventh digit"),
        (exact[0][order], exact[1][order], 0.25, "a risk of exactly max_risk is allowed"),
        (*one, 0.25, "all cases equally sure, as many wrong as allowed"),
        (one[0][1:], one[1][1:], 0.3333, "all cases equally sure, too many wrong"),
        (ends, ends == 1, 0.1, "only the case with a confidence of 1 is right"),
        (ends[::-1], ends <= 1, 0.0, "a confidence of 0, and no answer is wrong"),
        (ends[1:2], np.array([True]), 0.1, "a single case"),
        (usual[0][:40], np.zeros(40, bool), 0.05, "a model that is always wrong"),
        (usual[0][:40], np.zeros(40, bool), 1.0, "a model that is always wrong, and a risk of 1"),
        (usual[0][:40], np.ones(40, bool), 0.0, "a model that is always right, and a risk of 0"),
    )
    for i, (confidence, correct, max_risk, what) in enumerate(cases):
        with expect.defining() if i < 5 else contextlib.nullcontext():
            got = answer(confidence.copy(), correct.copy(), max_risk)
            expect.close(got, _coverage(confidence, correct, max_risk), what)


@coverage_at.inputs
def coverage_at_inputs(rng):
    yield np.array([0.9, 0.8, 0.8, 0.6]), np.array([True, True, False, False]), 0.34
    yield np.array([0.5]), np.array([False]), 0.5
    yield np.array([0.5]), np.array([True]), 0.0
    yield np.array([0.2, 0.9, 0.2, 0.9]), np.array([False, True, True, False]), 0.5
    yield np.linspace(0.0, 1.0, 8), np.arange(8) > 1, 0.25
    for _ in range(30):
        n = int(rng.integers(1, 80))
        confidence = np.round(rng.random(n), int(rng.integers(1, 6)))
        yield confidence, rng.random(n) < confidence, float(rng.choice([0.0, 0.1, 0.25, 0.5, 1.0]))


@coverage_at.misconception(
    "you returned the threshold. Coverage is a share of cases. How many cases have at least that confidence?",
)
def the_threshold(confidence, correct, max_risk):
    rows = [row for row in by_threshold(confidence, correct) if row[2] <= max_risk]
    return max(rows, key=lambda row: row[1])[0] if rows else 0.0


@coverage_at.misconception(
    "you divided the wrong cases by all cases. Risk is the share of wrong ones among the automated cases only. Divide by the number of automated cases.",
)
def risk_of_all(confidence, correct, max_risk):
    rows = by_threshold(confidence, correct)
    return max((cover for _, cover, risk in rows if cover * risk <= max_risk), default=0.0)


@coverage_at.misconception(
    "you stopped at the first threshold with a risk above `max_risk`. The curve is noisy where few cases are automated, so one early error ends your search. Look at all thresholds.",
)
def until_it_first_fails(confidence, correct, max_risk):
    best = 0.0
    for _, cover, risk in by_threshold(confidence, correct):
        if risk > max_risk:
            break
        best = cover
    return best


@coverage_at.misconception(
    "you trusted the confidence. The model may be wrong more often than it says. Count the wrong cases in `correct`.",
)
def believe_it(confidence, correct, max_risk):
    return float((confidence >= 1 - max_risk).mean())


@coverage_at.alternative
def by_sorting(confidence, correct, max_risk):
    order = np.argsort(-confidence)
    sure, wrong = confidence[order], np.cumsum(~correct[order])
    count = np.arange(1, len(sure) + 1)
    last = np.append(sure[1:] != sure[:-1], True)
    good = last & (wrong / count <= max_risk)
    return count[good].max() / len(sure) if good.any() else 0


@coverage_at.alternative
def by_grouping(confidence, correct, max_risk):
    frame = pd.DataFrame({"sure": confidence, "wrong": ~np.asarray(correct)})
    table = frame.groupby("sure")["wrong"].agg(["size", "sum"]).iloc[::-1].cumsum()
    good = table[table["sum"] / table["size"] <= max_risk]
    return float(good["size"].max() / len(frame)) if len(good) else 0.0
