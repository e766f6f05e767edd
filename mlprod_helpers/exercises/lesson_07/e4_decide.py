"""Exercise 7.4, Chow's rule."""

import contextlib

import numpy as np

from mlprod_helpers.lesson.contract import Array, Function, exercise

WORDS = ("yes", "no", "ask")


def _decide(p, cost_error, cost_human):
    p = np.asarray(p)
    own = np.where(p >= 0.5, "yes", "no")
    return np.where(np.minimum(p, 1 - p) * cost_error > cost_human, "ask", own)


@exercise(
    "7.4",
    "Chow's rule",
    answers=("decide",),
    points=4,
    minutes=6,
    objective="7.c",
    edition=2,
    kind=Function("p", "cost_error", "cost_human", returns=Array(ndim=1, dtype="text")),
    hints=(
        "What does it cost on average to say yes to a case with p = 0.7? And to ask?",
        "The model's confidence is `np.maximum(p, 1 - p)`. Its chance of being wrong is 1 minus that.",
        '`np.where(expected_loss > cost_human, "ask", np.where(p >= 0.5, "yes", "no"))`',
    ),
)
def decide(answer, rng, expect):
    """`decide(p, cost_error, cost_human)` -> "yes", "no" or "ask" for each p, at the least expected cost."""
    dear = float(rng.uniform(90, 110))
    cases = (
        (20.0, float(rng.uniform(1.5, 4)), "an error costs several times as much as a review"),
        (dear, dear * float(rng.choice([0.024, 0.026, 0.034, 0.036])), "errors are very expensive"),
        (float(rng.uniform(3, 5)), 1.0, "an error costs little more than a review"),
        (dear * 50, float(rng.uniform(1.5, 2.5)), "an error costs thousands of times as much as a review"),
        (2.0, float(rng.uniform(1.2, 1.9)), "a review costs over half as much as an error"),
        (2.0, float(rng.uniform(4.2, 6)), "a review costs more than twice as much as an error"),
    )
    for cost_error, cost_human, what in cases:
        p = np.append(rng.uniform(0.001, 0.999, 60), [0.0, 0.46, 0.493, 0.507, 0.54, 1.0])
        share = cost_human / cost_error
        # close to where asking begins, on both sides of it, and closer than a p of three digits
        if share < 0.49:
            near = share + np.array([-min(0.002, share / 2), -4e-5, 4e-5, 0.002])
            p = np.concatenate([p, near, 1 - near])
        loss = np.minimum(p, 1 - p)
        p = p[(np.abs(loss - share) > 1e-5) & (np.abs(p - 0.5) > 0.005)]
        got = answer(p, cost_error, cost_human)
        want = _decide(p, cost_error, cost_human)
        ok = len(got) == len(want) and bool((np.asarray(got) == want).all())
        why = f"{len(got)} answers to {len(want)} probabilities"
        if not ok and len(got) == len(want):
            i = int(np.argmax(np.asarray(got) != want))
            why = f'"{got[i]}" for p = {p[i]:.6g} is not the cheapest'
            if got[i] not in WORDS:
                why = f'"{got[i]}" for p = {p[i]:.6g} is none of "yes", "no" and "ask"'
        with expect.defining() if cost_error > 2 else contextlib.nullcontext():
            expect.true(ok, f"{what}: {cost_error:.4g} and {cost_human:.3g}", why)
    got = list(answer(np.array([0.98]), 20.0, 1.0))
    expect.true(got == ["yes"], "a single case", f"you return {got} for p = 0.98 and the costs 20 and 1")


@decide.inputs
def decide_inputs(rng):
    yield np.array([0.03, 0.3, 0.7, 0.98]), 20.0, 1.0
    yield np.array([0.0, 1.0]), 20.0, 1.0
    yield np.array([0.01, 0.4, 0.6, 0.99]), 2.0, 1.5
    for _ in range(30):
        cost_error, cost_human = float(rng.uniform(1, 200)), float(rng.uniform(0.01, 20))
        p = rng.random(40)
        tie = (np.abs(np.minimum(p, 1 - p) - cost_human / cost_error) < 1e-9) | (p == 0.5)
        yield p[~tie], cost_error, cost_human


@decide.misconception(
    "you never ask a person. For p near 0.5 an answer costs half an error on average, which can be more than a review. Compare the two costs.",
)
def never_ask(p, cost_error, cost_human):
    return np.where(np.asarray(p) >= 0.5, "yes", "no")


@decide.misconception(
    'you took a low p for an unsure case. A model with p = 0.02 is sure, too: of "no". Its chance of being wrong is `min(p, 1 - p)`.',
)
def low_is_unsure(p, cost_error, cost_human):
    p = np.asarray(p)
    return np.where((1 - p) * cost_error > cost_human, "ask", np.where(p >= 0.5, "yes", "no"))


@decide.misconception(
    "you ask a person about the sure cases. Then the model decides where it is most often wrong. Ask where the expected cost of an error is *above* the cost of a review.",
)
def the_wrong_way_round(p, cost_error, cost_human):
    p = np.asarray(p)
    loss = np.minimum(p, 1 - p) * cost_error
    return np.where(loss < cost_human, "ask", np.where(p >= 0.5, "yes", "no"))


@decide.misconception(
    "you used a fixed threshold of 0.9. What is sure enough depends on the two costs. Compute the threshold from `cost_error` and `cost_human`.",
)
def always_ninety(p, cost_error, cost_human):
    p = np.asarray(p)
    return np.where(np.maximum(p, 1 - p) < 0.9, "ask", np.where(p >= 0.5, "yes", "no"))


@decide.alternative
def cheapest_of_three(p, cost_error, cost_human):
    costs = np.stack([(1 - p) * cost_error, p * cost_error, np.full(len(p), cost_human)])
    return np.array(["yes", "no", "ask"])[costs.argmin(axis=0)]


@decide.alternative
def case_by_case(p, cost_error, cost_human):
    sure = 1 - cost_human / cost_error
    said = []
    for each in p:
        if max(each, 1 - each) < sure:
            said.append("ask")
        else:
            said.append("yes" if each > 0.5 else "no")
    return said
