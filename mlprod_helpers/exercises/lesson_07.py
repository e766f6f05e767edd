"""Exercises of lesson 07, degrees of automation: who decides, how far a model may be trusted, and when to step down."""

import contextlib
import math

import numpy as np
import pandas as pd

from mlprod_helpers.automation import Costs, Reviewers, cost_curve, from_name, simulate_triage, upper_bound
from mlprod_helpers.lesson.contract import (
    Array,
    Choice,
    Function,
    Mapping,
    Number,
    Several,
    Text,
    exercise,
)
from mlprod_helpers.queueing import Exponential, diurnal, mgc

EDITION = 2

# ------------------------------------------------------------------ 7.1 which degree?

NAMES = ("human only", "shadow", "assistance", "partial", "full")
SERVICES = {
    "silent": "a model answers each loan request; its answers go to a log that the clerks cannot open",
    "spam": "a filter moves mail to the spam folder; nobody looks at a single one",
    "xray": "a radiologist sees the image with the model's mark on it, then writes the finding",
    "sorting": "parcels with a clearly read address go straight to the belt, the others to a person",
    "button": "a model proposes each refund; a clerk reads it and presses confirm or change",
    "rules": "an inspector judges each coat against a printed list",
    "audited": "a model sets every price; on Fridays a person looks at 2 % of them",
    "blind": "moderators judge all posts; in a month their answers are compared with those of a new model, "
    "which they have not seen",
}
RIGHT_DEGREES = {
    "silent": "shadow",
    "spam": "full",
    "xray": "assistance",
    "sorting": "partial",
    "button": "assistance",
    "rules": "human only",
    "audited": "full",
    "blind": "shadow",
}


@exercise(
    "7.1",
    "Which degree?",
    answers=("degrees",),
    points=4,
    minutes=5,
    core=True,
    objective="7.a",
    kind=Choice(SERVICES, options=NAMES),
    hints=(
        "Two questions part the five: who decides a case, and does that person see the prediction before?",
        "A model that runs and that nobody sees is a shadow. A look at some cases afterwards changes no decision.",
        "Two are shadow, two assistance, two full; one each is left for the other degrees.",
    ),
)
def degrees(answer, rng, expect):
    """Eight services, and the degree of automation of each."""
    expect.cases(answer, RIGHT_DEGREES)


@degrees.misconception(
    "a model that runs beside people helps them. In shadow nobody sees the prediction: that is what makes it an honest comparison.",
)
def shadow_as_assistance():
    return RIGHT_DEGREES | {"silent": "assistance", "blind": "assistance"}


@degrees.misconception(
    "sorting cases were helping with them. In partial automation some cases never reach a person.",
)
def partial_as_assistance():
    return RIGHT_DEGREES | {"sorting": "assistance"}


@degrees.misconception(
    "a confirmed proposal were an automatic one. A person still decides, if only on paper: measure how often they say no.",
)
def button_as_full():
    return RIGHT_DEGREES | {"button": "full"}


@degrees.misconception(
    "an audit were a decision. Looking at 2 % afterwards changes none of the others: the model has decided all of them.",
)
def audit_as_partial():
    return RIGHT_DEGREES | {"audited": "partial"}


@degrees.misconception(
    "a model nobody sees were no model. It costs nothing to be wrong in the dark, and that is how it earns the next degree.",
)
def shadow_as_human_only():
    return RIGHT_DEGREES | {"silent": "human only", "blind": "human only"}


@degrees.alternative
def from_the_last():
    return dict(reversed(RIGHT_DEGREES.items()))


@degrees.alternative
def degree_by_degree():
    of = {
        "human only": ["rules"],
        "shadow": ["silent", "blind"],
        "assistance": ["xray", "button"],
        "partial": ["sorting"],
        "full": ["spam", "audited"],
    }
    return {case: degree for degree, cases in of.items() for case in cases}


# ------------------------------------------------------------------ 7.2 joint accuracy


@exercise(
    "7.2",
    "Better together?",
    answers=("joint",),
    points=3,
    minutes=6,
    objective="7.b",
    edition=2,
    kind=Function("both", "model_only", "human_only", "follow_right", "follow_wrong", returns=Number()),
    hints=(
        "Three kinds of cases can end well: both are right, only the model is, only the person is.",
        "Where only the model is right it takes following; where only the person is right it takes *not* following.",
        "The third part is `human_only * (1 - follow_wrong)`.",
    ),
)
def joint(answer, rng, expect):
    """`joint(...)`: how often a person who sees the suggestion is right."""
    with expect.defining():
        for what in ("errors persuade", "wary of errors", "another team"):
            shares = rng.dirichlet([8, 2, 2, 1])[:3]
            low, high = float(rng.uniform(0.1, 0.35)), float(rng.uniform(0.6, 0.95))
            right, wrong = (low, high) if what == "errors persuade" else (high, low)
            both, model_only, human_only = (float(x) for x in shares)
            want = both + model_only * right + human_only * (1 - wrong)
            expect.close(answer(both, model_only, human_only, right, wrong), want, what)
    both, model_only, human_only = (float(x) for x in rng.dirichlet([8, 2, 2, 1])[:3])
    expect.close(answer(both, model_only, human_only, 0.0, 0.0), both + human_only, "nobody ever follows")
    expect.close(
        answer(both, model_only, human_only, 1.0, 1.0), both + model_only, "everybody always follows"
    )
    expect.close(answer(0.0, 0.0, 0.0, 0.5, 0.5), 0.0, "neither is ever right")


@joint.inputs
def joint_inputs(rng):
    yield 0.765, 0.135, 0.085, 0.7, 0.7
    yield 0.765, 0.135, 0.085, 0.5, 0.95
    yield 0.0, 0.0, 0.0, 1.0, 1.0
    yield 1.0, 0.0, 0.0, 0.3, 0.6
    for _ in range(20):
        yield (*(float(x) for x in rng.dirichlet([2, 1, 1, 1])[:3]), *(float(x) for x in rng.random(2)))


@joint.misconception(
    "together they were as good as the better of the two. Only if people knew when to follow.",
)
def as_the_better(both, model_only, human_only, follow_right, follow_wrong):
    return both + max(model_only, human_only)


@joint.misconception(
    "together they were the mean of the two. It depends on whom they follow when they differ.",
)
def as_the_mean(both, model_only, human_only, follow_right, follow_wrong):
    return both + (model_only + human_only) / 2


@joint.misconception(
    "good and bad advice were followed alike. Persuasive errors pull harder: that is what the second number is for.",
)
def one_way_of_following(both, model_only, human_only, follow_right, follow_wrong):
    return both + model_only * follow_right + human_only * (1 - follow_right)


@joint.misconception(
    "following a wrong suggestion made it right. Where only the person is right, it is *not* following that saves the case.",
)
def following_always_helps(both, model_only, human_only, follow_right, follow_wrong):
    return both + model_only * follow_right + human_only * follow_wrong


@joint.alternative
def from_what_goes_wrong(both, model_only, human_only, follow_right, follow_wrong):
    neither = 1 - both - model_only - human_only
    return 1 - neither - model_only * (1 - follow_right) - human_only * follow_wrong


@joint.alternative
def from_the_person(both, model_only, human_only, follow_right, follow_wrong):
    alone = both + human_only
    return alone + follow_right * model_only - follow_wrong * human_only


# ------------------------------------------------------------------ 7.3 coverage at a risk


def _overconfident(rng, n, worse=1.0, levels=None):
    """(confidence, correct): uniform from 0.5 to 1; wrong `worse` times as often as the confidence says."""
    confidence = rng.uniform(0.5, 1.0, n)
    if levels:
        confidence = np.round(confidence * levels) / levels
    return confidence, rng.random(n) >= np.minimum(worse * (1 - confidence), 0.95)


def _by_threshold(confidence, correct):
    """[(threshold, coverage, risk)] from the strictest threshold on; equal confidences together."""
    rows = []
    for threshold in np.unique(confidence)[::-1]:
        taken = confidence >= threshold
        rows.append((float(threshold), float(taken.mean()), float((~correct[taken]).mean())))
    return rows


def _coverage(confidence, correct, max_risk):
    return max(
        (cover for _, cover, risk in _by_threshold(confidence, correct) if risk <= max_risk), default=0.0
    )


@exercise(
    "7.3",
    "How many can it take?",
    answers=("coverage_at",),
    points=4,
    minutes=7,
    objective="7.c",
    edition=2,
    kind=Function("confidence", "correct", "max_risk", returns=Number()),
    hints=(
        "Try each confidence that occurs as the threshold: who is at least as confident is automated.",
        "For each threshold two numbers: the share of *all* cases that is automated, and the share of wrong ones *among the automated*.",
        "Of all thresholds whose risk is at most `max_risk` take the largest coverage, even if a stricter one was above. If there is none: 0.",
    ),
)
def coverage_at(answer, rng, expect):
    """`coverage_at(confidence, correct, max_risk)`: the largest share automated with a measured risk of at most that."""
    n = int(rng.integers(150, 250))
    usual = _overconfident(rng, n)
    lucky = _overconfident(rng, n)
    lucky[1][np.argmax(lucky[0])] = False  # the most confident answer of all is wrong
    lucky[1][np.argsort(-lucky[0])[1:60]] = True
    ties = _overconfident(rng, n, levels=20)
    modest = _overconfident(rng, n)
    # 10 of the first 40 are wrong and nearly all later ones: a risk of exactly a quarter, and of more for all others
    exact = np.sort(rng.uniform(0.3, 0.9, n))[::-1], np.zeros(n, bool)
    exact[1][rng.choice(39, 30, replace=False)] = True
    order = rng.permutation(n)
    one = np.full(12, 0.75), np.arange(12) < 9
    cases = (
        (*usual, 0.0913, "a risk of at most 9.13 %"),
        (*lucky, 0.0513, "the single most confident answer is wrong"),
        (*ties, 0.1013, "equal confidences: no threshold parts them"),
        (modest[0] / 2 - 0.2, modest[1], 0.1213, "confidences from 0.05 to 0.3"),
        (0.9 + usual[0] / 1000, usual[1], 0.0913, "confidences that differ in the fourth digit"),
        (exact[0][order], exact[1][order], 0.25, "a risk of exactly max_risk is allowed"),
        (*one, 0.25, "all cases equally sure, as many wrong as allowed"),
        (*one, 0.2, "all cases equally sure, too many wrong"),
        (usual[0], np.zeros(n, bool), 0.05, "a model that is always wrong"),
        (usual[0], np.ones(n, bool), 0.0, "a model that is always right, and a risk of 0"),
    )
    for i, (confidence, correct, max_risk, what) in enumerate(cases):
        with expect.defining() if i < 3 else contextlib.nullcontext():
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
    "the threshold was asked for. Coverage is a share of cases: how many are at least that confident?",
)
def the_threshold(confidence, correct, max_risk):
    rows = [row for row in _by_threshold(confidence, correct) if row[2] <= max_risk]
    return max(rows, key=lambda row: row[1])[0] if rows else 0.0


@coverage_at.misconception(
    "risk were the share of wrong ones among all cases. It counts the automated ones only: that is what a customer of theirs meets.",
)
def risk_of_all(confidence, correct, max_risk):
    rows = _by_threshold(confidence, correct)
    return max((cover for _, cover, risk in rows if cover * risk <= max_risk), default=0.0)


@coverage_at.misconception(
    "the curve only rises. Where few cases are automated it is noisy, and one early error ends your search: look at all thresholds.",
)
def until_it_first_fails(confidence, correct, max_risk):
    best = 0.0
    for _, cover, risk in _by_threshold(confidence, correct):
        if risk > max_risk:
            break
        best = cover
    return best


@coverage_at.misconception(
    "a confidence were a promise. You chose a threshold by what the model says of itself; count what it got wrong.",
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


# ------------------------------------------------------------------ 7.4 Chow's rule


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
    core=True,
    objective="7.c",
    edition=2,
    kind=Function("p", "cost_error", "cost_human", returns=Array(ndim=1, dtype="text")),
    hints=(
        "What does it cost on average to say yes to a case with p = 0.7? And to ask?",
        "How sure the model is: `np.maximum(p, 1 - p)`. How wrong it will be: 1 minus that.",
        '`np.where(expected_loss > cost_human, "ask", np.where(p >= 0.5, "yes", "no"))`',
    ),
)
def decide(answer, rng, expect):
    """`decide(p, cost_error, cost_human)` -> "yes", "no" or "ask" for each p, at the least expected cost."""
    cases = (
        (20.0, float(rng.uniform(1.5, 4)), "an error costs several times a look"),
        (float(rng.uniform(90, 110)), float(rng.uniform(2, 4)), "errors are very expensive"),
        (float(rng.uniform(3, 5)), 1.0, "errors cost little more than a look"),
        (2.0, float(rng.uniform(1.2, 3)), "a look costs more than any doubt"),
    )
    for cost_error, cost_human, what in cases:
        p = np.append(rng.uniform(0.001, 0.999, 60), [0.0, 0.46, 0.49, 0.51, 0.54, 1.0])
        loss = np.minimum(p, 1 - p)
        p = p[(np.abs(loss - cost_human / cost_error) > 0.005) & (np.abs(p - 0.5) > 0.005)]
        got = answer(p, cost_error, cost_human)
        want = _decide(p, cost_error, cost_human)
        ok = len(got) == len(want) and bool((np.asarray(got) == want).all())
        why = f"{len(got)} answers to {len(want)} probabilities"
        if not ok and len(got) == len(want):
            i = int(np.argmax(np.asarray(got) != want))
            why = f'"{got[i]}" for p = {p[i]:.3f} is not the cheapest'
        with expect.defining() if cost_error > 2 else contextlib.nullcontext():
            expect.true(ok, f"{what}: {cost_error:.4g} and {cost_human:.3g}", why)


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
    "the model had to say something each time. With 0.5 alone nobody ever asks a person.",
)
def never_ask(p, cost_error, cost_human):
    return np.where(np.asarray(p) >= 0.5, "yes", "no")


@decide.misconception(
    "a low p were an unsure one. 0.02 is very sure, too: of no.",
)
def low_is_unsure(p, cost_error, cost_human):
    p = np.asarray(p)
    return np.where((1 - p) * cost_error > cost_human, "ask", np.where(p >= 0.5, "yes", "no"))


@decide.misconception(
    "people should see the sure cases. You automate the hard ones and ask about the easy ones.",
)
def the_wrong_way_round(p, cost_error, cost_human):
    p = np.asarray(p)
    loss = np.minimum(p, 1 - p) * cost_error
    return np.where(loss < cost_human, "ask", np.where(p >= 0.5, "yes", "no"))


@decide.misconception(
    "0.9 were sure enough for everybody. What is sure enough depends on what an error costs, and what a look costs.",
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


# ------------------------------------------------------------------ 7.5 the queue answers

PRICES = Costs(error=20, review=1, delay=3)
_GRID = np.round(np.arange(0.5, 1.015, 0.01), 2)


def _cost_at(threshold, confidence, correct, rate, count):
    people = Reviewers(count, Exponential(60.0))
    curve = cost_curve(confidence, correct, rate, people, PRICES, thresholds=[threshold])
    return float(curve["cost"].iloc[0])


def _measured(taken, correct):
    return float((taken & ~correct).mean())


def _settled(threshold, confidence, correct, rate, count, wrong=_measured):
    """Cost of a case by hand: errors of the model and of people, looks, delay."""
    taken = confidence >= threshold
    left = float(1 - taken.mean())
    wrong = wrong(taken, correct)
    delay = 0.0
    if left > 0:
        if rate * left * 60 / count >= 1:
            return math.inf
        delay = left * (mgc(rate * left, 60.0, 1.0, count).wait + 60) / 3600
    return 20 * (wrong + 0.05 * left) + left + 3 * delay


def _mostly(low, high):
    """Cases of which most have a confidence from low to high, and are as often right."""

    def draw(rng, n):
        usual = rng.random(n) < 0.85
        confidence = np.where(usual, rng.uniform(low, high, n), rng.uniform(0.5, 1.0, n))
        return confidence, rng.random(n) < confidence

    return draw


def _boastful(rng, n):
    """Wrong four times as often as it says."""
    return _overconfident(rng, n, worse=4.0)


# (reviewers, load if people looked at everything, what it is, how the cases are drawn); with 20 for an error and 1 for a
# look, asking pays below 0.90: two of the crowds of cases lie just above that and just below
_TEAMS = (
    (3, (0.25, 0.35), "people with time", _overconfident),
    (2, (1.35, 1.5), "two people, too many cases for them", _overconfident),
    (1, (1.8, 2.4), "one person, twice as many cases as they can look at", _overconfident),
    (4, (0.3, 0.4), "people with time, most confidences from 0.90 to 0.92", _mostly(0.905, 0.92)),
    (4, (0.3, 0.4), "people with time, most confidences from 0.85 to 0.88", _mostly(0.85, 0.88)),
    (3, (0.5, 0.6), "a model that is wrong more often than it says", _boastful),
)


@exercise(
    "7.5",
    "The queue answers",
    answers=("cheapest",),
    points=5,
    minutes=8,
    objective="7.d",
    edition=2,
    kind=Function("confidence", "correct", "rate", "count", returns=Number()),
    hints=(
        "For one threshold: which share is left to people, and at which rate do those cases arrive?",
        "A case costs 20 x (wrong and automated + 0.05 x left) + 1 x left + 3 x left x (wait + 60 s) in hours. The wait is infinite from a load of 1 on.",
        "`cost_curve(confidence, correct, rate, Reviewers(count, Exponential(60)), Costs(error=20, review=1, delay=3))` tries all thresholds at once; whose cost is least?",
    ),
)
def cheapest(answer, rng, expect):
    """`cheapest(confidence, correct, rate, count)`: the threshold that costs least once the queue has settled."""
    for count, load, what, draw in _TEAMS:
        confidence, correct = draw(rng, 3000)
        rate = float(rng.uniform(*load)) * count / 60
        best = float(
            cost_curve(confidence, correct, rate, Reviewers(count, Exponential(60.0)), PRICES)["cost"].min()
        )
        got = answer(confidence.copy(), correct.copy(), rate, count)
        cost = _cost_at(got, confidence, correct, rate, count) if math.isfinite(got) else math.inf
        told = "the backlog grows without end" if math.isinf(cost) else f"a case costs {cost:.2f}"
        with expect.defining():
            expect.true(
                cost <= 1.05 * best,
                f"{what}: within 5 % of the cheapest",
                f"at {got:.3g} {told}, the best is {best:.2f}",
            )


@cheapest.acceptable
def cheapest_by_hand(answer, rng):
    """Within 5 % of the best of a fine grid, by the formula of the statement and not by the course's curve."""
    for count, load, _, draw in _TEAMS:
        for _ in range(3):
            confidence, correct = draw(rng, 2500)
            rate = float(rng.uniform(*load)) * count / 60
            best = min(_settled(each, confidence, correct, rate, count) for each in _GRID)
            got = answer(confidence, correct, rate, count)
            if not _settled(got, confidence, correct, rate, count) <= 1.051 * best:
                return False
    return True


@cheapest.misconception(
    "people were always free. Chow's threshold is right for them; yours cannot look at all that it leaves.",
)
def chow_without_queue(confidence, correct, rate, count):
    return 0.9


@cheapest.misconception(
    "a case that is left to people cost only one of two things. It costs the look, 1, and in 5 % an error of theirs, 20 x 0.05: count both.",
    when=lambda seen: _same_thresholds(seen, people_never_err),
)
def people_never_err(confidence, correct, rate, count):
    people = Reviewers(count, Exponential(60.0), error=0.0)
    return float(cost_curve(confidence, correct, rate, people, PRICES)["cost"].idxmin())


@cheapest.misconception(
    "a confidence were a promise. Where the model is wrong more often than it says, the threshold must be higher: count the errors in `correct`.",
    when=lambda seen: _same_thresholds(seen, believes_the_model),
)
def believes_the_model(confidence, correct, rate, count):
    # what each threshold would cost if the confidence were true
    costs = [
        _settled(
            each,
            confidence,
            1 - confidence,
            rate,
            count,
            wrong=lambda taken, doubt: doubt[taken].sum() / len(doubt),
        )
        for each in _GRID
    ]
    return float(_GRID[int(np.argmin(costs))])


def _same_thresholds(seen, wrong):
    """Whether every threshold is that of `wrong`, to 0.02."""
    return len(seen.calls) == len(_TEAMS) and all(
        abs(call.output - wrong(*call.given)) < 0.021 for call in seen.calls
    )


@cheapest.misconception(
    "people had to be busy all the time. At a load near 1 each burst of cases becomes a backlog that hardly ever returns.",
)
def load_of_one(confidence, correct, rate, count):
    fits = [each for each in _GRID if rate * float((confidence < each).mean()) * 60 / count < 1]
    return float(max(fits))


@cheapest.misconception(
    "an empty queue were the aim. Nobody waits, and each unsure case is decided by the one who is unsure.",
)
def automate_all(confidence, correct, rate, count):
    return 0.5


@cheapest.alternative
def by_hand(confidence, correct, rate, count):
    costs = [_settled(each, confidence, correct, rate, count) for each in _GRID]
    return float(_GRID[int(np.argmin(costs))])


@cheapest.alternative
def by_the_curve(confidence, correct, rate, count):
    people = Reviewers(count, Exponential(60.0))
    grid = np.arange(0.5, 1.005, 0.005)
    return cost_curve(confidence, correct, rate, people, PRICES, thresholds=grid)["cost"].idxmin()


cheapest.survives(
    "alternative by_the_curve: `60.0` -> `66.0`",
    "A look of 66 seconds moves the cheapest threshold so little that the cost stays near the 5 % that the statement allows.",
)

# ------------------------------------------------------------------ 7.6 debug a shadow report


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


def _honest(log, mix, blind=True, known=True, against="label", own="prediction"):
    rows = log[~log["saw"]] if blind else log
    rows = rows[rows["label"].notna()] if known else rows
    right = rows[own] == rows[against]
    each = right.groupby(rows["kind"]).mean()
    return {str(name): float(value) for name, value in each.items()} | {
        "all": float(sum(mix[name] * each[name] for name in each.index))
    }


@exercise(
    "7.6",
    "Repair a shadow report",
    answers=("report",),
    points=5,
    minutes=8,
    objective="7.e",
    edition=2,
    kind=Function("log", "mix", returns=Mapping(keys=("easy", "hard", "new", "all"), values=Number())),
    hints=(
        "What does agreement with somebody who has seen the answer tell? And agreement with somebody who is wrong?",
        'Keep the rows with `~log["saw"]` whose label is there. Then ask how often the prediction is the label, for each kind.',
        "For all together, each kind counts by its share in production: `sum(mix[kind] * accuracy[kind])`.",
    ),
)
def report(answer, rng, expect):
    """`report(log, mix)`: how often the model is right on blind cases, by kind, and weighted by production's mix."""
    for what in ("a first shadow run", "another one"):
        log, mix = draw_shadow(rng)
        ends = [0, len(log) - 1]  # the first and the last row count like any other
        log.loc[ends, "saw"] = False
        log.loc[ends, "label"] = log.loc[ends, "label"].fillna(log.loc[ends, "prediction"])
        want = _honest(log, mix)
        mix = {kind: mix[kind] for kind in rng.permutation(list(mix)).tolist()}
        got = answer(log.copy(), dict(mix))
        for name in ("easy", "hard", "new"):
            expect.close(got[name], want[name], f"{what}: {name} cases")
        with expect.defining():
            expect.close(got["all"], want["all"], f"{what}: all of production")


@report.inputs
def report_inputs(rng):
    yield draw_shadow(np.random.default_rng(3), n=4000)
    for n in (150, 400, 900):
        log, mix = draw_shadow(rng, n)
        yield log, mix
        log.index = log.index[::-1]  # the index says nothing
        yield log, dict(reversed(mix.items()))
        yield log.sort_values("kind"), {"easy": 0.0, "hard": 0.5, "new": 0.5}


@report.misconception(
    "agreement were accuracy. Both may be wrong together, and where they differ the model may be the one that is right: ask the late truth.",
)
def agreement(log, mix):
    return _honest(log, mix, against="human")


@report.misconception(
    "easy cases told enough. You left out the hard ones; they are why you ask.",
)
def without_the_hard_ones(log, mix):
    found = _honest(log, mix)
    return found | {"all": found["easy"]}


@report.misconception(
    "each kind counted alike. State the mix of production: a plain mean is that of no stream at all.",
)
def unweighted(log, mix):
    found = _honest(log, mix)
    return found | {"all": (found["easy"] + found["hard"] + found["new"]) / 3}


@report.misconception(
    "the run's own mix were that of production. Here easy cases came first and were many.",
)
def mix_of_the_run(log, mix):
    rows = log[~log["saw"] & log["label"].notna()]
    return _honest(log, mix) | {"all": float((rows["prediction"] == rows["label"]).mean())}


@report.misconception(
    "a truth that has not come yet were a mistake. Nobody knows yet: such a row counts neither way.",
)
def unknown_is_wrong(log, mix):
    return _honest(log, mix, known=False)


@report.misconception(
    "all rows counted. The task is about blind cases: those of the people who had seen the prediction are another sample, chosen by who looked.",
)
def not_only_blind(log, mix):
    return _honest(log, mix, blind=False)


@report.misconception(
    "the person was to be judged. They are right or wrong, too, but it is the model that wants the next degree.",
)
def of_the_person(log, mix):
    return _honest(log, mix, own="human")


@report.alternative
def by_shadow_report(log, mix):
    from mlprod_helpers.automation import shadow_report

    found = shadow_report(log, by="kind")
    return found.table["model"].to_dict() | {"all": float(found.weighted(mix)["model"])}


@report.alternative
def by_counting(log, mix):
    hits, seen = dict.fromkeys(mix, 0), dict.fromkeys(mix, 0)
    for row in log.to_dict("records"):
        if row["saw"] or pd.isna(row["label"]):
            continue
        seen[row["kind"]] += 1
        hits[row["kind"]] += row["prediction"] == row["label"]
    shares = {name: hits[name] / seen[name] for name in mix}
    return {**shares, "all": sum(shares[name] * mix[name] for name in mix)}


# ------------------------------------------------------------------ 7.7 is it really safe?

FLOOR = 0.1
_LEVELS = np.round(
    np.arange(0.5, 1.0, 0.02), 2
)  # few different confidences: to try all of them takes no time


def _draw_levels(rng, n, worse):
    """(confidence, correct): each level as often as any other; wrong `worse` times as often as the confidence says."""
    confidence = rng.choice(_LEVELS, n)
    return confidence, rng.random(n) >= np.minimum(worse * (1 - confidence), 0.95)


def _truth(threshold, worse):
    """(coverage, risk) of a threshold on fresh cases of that kind."""
    taken = np.extract(np.greater_equal(_LEVELS, threshold), _LEVELS)
    risk = float(np.minimum(worse * (1 - taken), 0.95).mean()) if len(taken) else 0.0
    return len(taken) / len(_LEVELS), risk


@exercise(
    "7.7",
    "Safe, or lucky?",
    answers=("safe_threshold",),
    points=5,
    minutes=9,
    objective="7.c",
    edition=2,
    kind=Function("confidence", "correct", "max_risk", returns=Number()),
    hints=(
        "At each threshold there are n automated cases and k errors. How large may the true error rate be? `upper_bound(k, n)`.",
        "0 errors of 12 allow for an error rate of 22 %. Take thresholds of a fixed grid whose *bound* is at most `max_risk`.",
        "`safe_points(confidence, correct, max_risk)` tries the grid so that all of it holds together; its column `safe` says where. If nothing is safe, return 2.0.",
    ),
)
def safe_threshold(answer, rng, expect):
    """`safe_threshold(confidence, correct, max_risk)`: as low as is safe beyond luck; above 1 if nothing is."""
    few = np.sort(rng.uniform(0.6, 0.99, 12))
    got = answer(few, np.ones(12, bool), FLOOR)
    with expect.defining():
        what = "12 cases, all of them right: too few to trust any"
        expect.true(got > few[-1], what, f"you return {got:.3g}; 0 of 12 is not 0 %")
    cases = (
        (12, float(rng.uniform(0.85, 1.0)), FLOOR, 0.08, "an honest model, at most 10 % wrong"),
        (12, float(rng.uniform(0.9, 1.1)), 0.2, 0.35, "an honest model, at most 20 % wrong"),
        (10, 2.5, 0.05, 0.0, "after a change, wrong 2.5 times as often as it says, at most 5 % wrong"),
    )
    for draws, worse, max_risk, least, what in cases:
        chosen = [
            answer(*_draw_levels(rng, int(rng.integers(900, 1100)), worse), max_risk) for _ in range(draws)
        ]
        covers, risks = zip(*(_truth(each, worse) for each in chosen), strict=True)
        broken = sum(risk > max_risk + 1e-9 for risk in risks)
        with expect.defining():
            expect.true(
                broken <= draws / 4,
                f"{what}: {broken} of {draws} thresholds break the floor on fresh cases (at most a quarter)",
                f"their risk there is {100 * np.mean(risks):.0f} % on average",
            )
            if least:
                expect.true(
                    np.mean(covers) >= least - 1e-9,
                    f"{what}: they automate {100 * np.mean(covers):.0f} % on average (at least {100 * least:.0f} %)",
                    "too timid",
                )


@safe_threshold.acceptable
def safe_threshold_by_the_statement(answer, rng):
    """Few cases are not trusted; on many samples the floor is nearly always kept, and enough is automated."""
    for n in (0, 1, 12):
        few = rng.uniform(0.6, 0.99, n)
        if n and not answer(few, np.ones(n, bool), FLOOR) > few.max():
            return False
    for worse, max_risk, least in (
        (0.9, 0.1, 0.08),
        (1.0, 0.2, 0.35),
        (2.5, 0.05, 0.0),
        (1.6, 0.1, 0.0),
        (1.2, 0.3, 0.4),
    ):
        found = [_truth(answer(*_draw_levels(rng, 1000, worse), max_risk), worse) for _ in range(40)]
        covers, risks = np.array(found).T
        if (risks > max_risk + 1e-9).mean() > 0.25 or covers.mean() < least - 1e-9:
            return False
    return True


@safe_threshold.misconception(
    "what was measured were what is. 0 errors of 12 is not 0 %, and of many thresholds the luckiest looks best: ask how large the error rate may still be.",
)
def point_estimate(confidence, correct, max_risk):
    good = [
        each
        for each, _, risk in _by_threshold(np.asarray(confidence), np.asarray(correct))
        if risk <= max_risk
    ]
    return min(good) if good else 2.0


@safe_threshold.misconception(
    "a confidence were a promise. It may keep its number and lose its meaning: count the errors of these cases.",
)
def the_model_says_so(confidence, correct, max_risk):
    return 1 - 2 * max_risk


@safe_threshold.misconception(
    "safe meant never. A threshold that lets nothing through breaks no floor, and helps nobody.",
)
def nothing_at_all(confidence, correct, max_risk):
    return 2.0


@safe_threshold.misconception(
    "a bound had to be below the risk at *some* end. The lower one is easy to keep: it is the upper one that says how bad it may be.",
)
def lower_bound(confidence, correct, max_risk):
    confidence, correct = np.asarray(confidence), np.asarray(correct)
    for each in _GRID[:-2]:
        taken = confidence >= each
        n, k = int(taken.sum()), int((~correct[taken]).sum())
        if n and 1 - upper_bound(n - k, n) <= max_risk:
            return float(each)
    return 2.0


@safe_threshold.alternative
def by_fixed_sequence(confidence, correct, max_risk):
    from mlprod_helpers.automation import safe_points

    table = safe_points(confidence, correct, max_risk)
    safe = table.index[table["safe"]]
    return float(safe.min()) if len(safe) else 2.0


@safe_threshold.alternative
def by_bonferroni(confidence, correct, max_risk):
    from scipy.special import betaincinv

    grid = np.linspace(0.76, 0.92, 5)
    taken = np.asarray(confidence)[:, None] >= grid
    n = taken.sum(axis=0)
    k = (taken & ~np.asarray(correct)[:, None]).sum(axis=0)
    with np.errstate(invalid="ignore"):
        bound = np.where(n > k, betaincinv(k + 1, np.maximum(n - k, 1), 1 - 0.1 / len(grid)), 1.0)
    good = grid[bound <= max_risk]
    return good.min() if len(good) else math.inf


# ------------------------------------------------------------------ 7.8 a week with a dying lamp

_HOUR = 3600.0
_WEEK = 168 * _HOUR
_TICK = 2 * _HOUR
WEEKS = ("dying lamp", "dark season", "new range")
WEEK_COSTS = Costs(error=20, review=1, delay=0.5)


def week_reviewers():
    """Three people, 60 seconds a case, wrong in 5 %, in up to 10 % when they never rest."""
    return Reviewers(3, Exponential(60.0), error=0.05, fatigue=0.05, follow_right=0.5, follow_wrong=0.95)


def draw_week(rng, kind):
    """Cases of a week, 150 an hour: "dying lamp" (dark and wrong), "dark season" (dark, right), "new range" (bright, wrong)."""
    seconds = diurnal(150 / _HOUR, _WEEK, amplitude=0.4, peak=14 * _HOUR, random_state=rng)
    n = len(seconds)
    begins = float(rng.uniform(40, 70))
    takes = float(rng.uniform(24, 48)) if kind == "dying lamp" else 8.0
    broken = np.clip((seconds / _HOUR - begins) / takes, 0, 1)
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
        cases, asked, week_reviewers(), WEEK_COSTS, seed, tick=_TICK, signals=["brightness"]
    )


def score_week(result):
    """What counts: `wrong` decisions of the model, `wrong_late` (their share among its last 36 hours), `cost`, `backlog` (most)."""
    taken = result.cases[result.cases["automated"]]
    late = taken[taken["seconds"] >= _WEEK - 36 * _HOUR]
    return {
        "wrong": int((~taken["right"]).sum()),
        "wrong_late": float(1 - late["right"].mean()) if len(late) else 0.0,
        "cost": round(result.cost, 3),
        "backlog": round(float(result.over_time()["backlog"].max()), 1),
    }


@exercise(
    "7.8",
    "A week with a dying lamp",
    answers=("policy",),
    points=8,
    minutes=15,
    core=True,
    objective="7.e",
    edition=2,
    kind=Function(
        "observation",
        "memory",
        may_change=("memory",),
        returns=Several(
            Several(
                Text(options=NAMES),
                Number(low=0, high=2),
                Number(low=0, high=1),
                names=("degree", "threshold", "audit share"),
            ),
            Mapping(),
            names=("action", "memory"),
        ),
    ),
    hints=(
        "Brightness tells that something is different, not that the model is wrong. Who could tell you that, without waiting for the truth?",
        "Let people judge a tenth of the automated cases, blind, and add up audits and disagreements of the last half day or so in `memory`.",
        "A healthy week has 10 to 15 % disagreements (people err, too). Beyond about 25 % of at least 40 audits: human only, and stay there.",
    ),
)
def policy(answer, rng, expect):
    """`policy(observation, memory)` -> ((degree, threshold, audit share), memory), asked every two hours in three drawn weeks."""
    found = {}
    for kind in WEEKS:
        found[kind] = score_week(run_week(answer, draw_week(rng, kind), int(rng.integers(1 << 30))))
    for kind in ("dying lamp", "new range"):
        week = found[kind]
        with expect.defining():
            expect.true(
                week["wrong"] <= 800 and week["wrong_late"] <= 0.15,
                f"{kind}: {week['wrong']} wrong decisions of the model (at most 800), {100 * week['wrong_late']:.0f} % of its last 36 hours (at most 15 %)",
                "it was trusted for too long",
            )
    calm = found["dark season"]
    with expect.defining():
        expect.within(
            calm["cost"],
            0,
            2.4,
            f"dark season: a case costs {calm['cost']:.2f} (at most 2.40; the model is as good as ever)",
        )
    expect.within(
        calm["backlog"], 0, 150, f"dark season: up to {calm['backlog']:.0f} cases wait (at most 150)"
    )


@policy.acceptable
def right_in_most_weeks(answer, rng):
    """Within the limits of the statement in at least two of three sets of weeks."""
    kept = 0
    for seed in range(3):
        lamp, calm, new = (score_week(run_week(answer, draw_week(rng, kind), seed)) for kind in WEEKS)
        trusted = all(week["wrong"] <= 800 and week["wrong_late"] <= 0.15 for week in (lamp, new))
        kept += trusted and calm["cost"] <= 2.4 and calm["backlog"] <= 150
    return kept >= 2


def _ok(seen):
    return [ok for _, ok, *_ in seen.verdicts]


def _actions(seen):
    return [call.output[0] for call in seen.calls if isinstance(call.output, tuple)]


def _follows_brightness(seen):
    """Whether the model lost its cases in the dark hours, and nobody was asked to judge what it had decided."""
    told = [(call.given[0]["brightness"], *call.output[0]) for call in seen.calls]
    dark = [name for light, name, *_ in told if light is not None and light < 55]
    return all(share == 0 for *_, share in told) and bool(dark) and dark.count("human only") > 0.8 * len(dark)


@policy.misconception(
    "a threshold were chosen once and for all. The floor was broken from the middle of the week on, and your policy did the same in every hour: what would tell it, soon enough?",
    when=lambda seen: _ok(seen) == [False, False, True, True] and len(set(_actions(seen))) == 1,
)
def fixed(observation, memory):
    return ("partial", 0.9, 0.0), memory


@policy.misconception(
    "people were free and many. No floor is ever broken, and by noon hundreds of cases wait for three tired people, in a week in which the model did its work well.",
    when=lambda seen: (
        _ok(seen)[:3] == [True, True, False] and all(name == "human only" for name, *_ in _actions(seen))
    ),
)
def never_trust(observation, memory):
    return ("human only", 1.0, 0.0), memory


@policy.misconception(
    "darker were worse. In one of the weeks only the season was dark, and in another the pictures were bright and the model wrong: brightness is a reason to look, not a verdict.",
    when=lambda seen: _ok(seen)[:3] == [True, False, False] and _follows_brightness(seen),
)
def first_flicker(observation, memory):
    if observation["brightness"] is not None and observation["brightness"] < 60:
        memory = {"down": True}
    return (("human only", 1.0, 0.0) if memory.get("down") else ("partial", 0.9, 0.0)), memory


@policy.misconception(
    "what breaks a model shows in its inputs. You had no label where you trusted it most: let people judge a share of the automated cases.",
    when=lambda seen: (
        _ok(seen)[:3] == [True, False, True] and all(share == 0 for *_, share in _actions(seen))
    ),
)
def never_audits(observation, memory):
    if observation["brightness"] is not None and observation["brightness"] < 38:
        memory = {"down": True}
    return (("human only", 1.0, 0.0) if memory.get("down") else ("partial", 0.9, 0.0)), memory


@policy.misconception(
    "an audit cost nothing. Who checks everything that was automated has automated nothing: the same people look at the same cases. A share is enough.",
    when=lambda seen: (
        _ok(seen)[:3] == [True, True, False]
        and any(name == "partial" and share > 0.5 for name, _, share in _actions(seen))
    ),
)
def audits_everything(observation, memory):
    action, memory = _stepping(observation, memory, share=1.0)
    return action, memory


@policy.misconception(
    "full automation were the aim. It decides what it does not know as quickly as what it does.",
    when=lambda seen: (
        _ok(seen)[:3] == [False, False, False] and all(name == "full" for name, *_ in _actions(seen))
    ),
)
def always_full(observation, memory):
    return ("full", 0.0, 0.0), memory


def _stepping(observation, memory, share=0.12, most=0.26, enough=40, ticks=8, threshold=0.9):
    recent = [*memory.get("recent", []), [observation["audits"], observation["disagreements"]]][-ticks:]
    audits, against = (sum(each) for each in zip(*recent, strict=True))
    down = memory.get("down", False) or (audits >= enough and against > most * audits)
    action = ("human only", 1.0, 0.0) if down else ("partial", threshold, share)
    return action, {"recent": recent, "down": down}


@policy.alternative
def by_the_last_hours(observation, memory):
    return _stepping(observation, memory, share=0.12, most=0.26, enough=40, ticks=8)


@policy.alternative
def by_an_average_that_forgets(observation, memory):
    kept = 0.85
    audits = kept * memory.get("audits", 0.0) + observation["audits"]
    against = kept * memory.get("against", 0.0) + observation["disagreements"]
    down = memory.get("down", False) or (audits > 35 and against / audits > 0.25)
    action = ("human only", 1.0, 0.0) if down else ("partial", 0.9, 0.15)
    return action, {"audits": audits, "against": against, "down": down}


@policy.alternative
def by_sums_of_surprise(observation, memory):
    surplus = observation["disagreements"] - 0.19 * observation["audits"]
    total = max(0.0, memory.get("total", 0.0) + surplus)
    down = memory.get("down", False) or total > 9
    return (("human only", 1.0, 0.0) if down else ("partial", 0.9, 0.15)), {"total": total, "down": down}
