"""Exercise 7.5, The cheapest threshold."""

import math

import numpy as np

from mlprod_helpers.automation import Costs, Reviewers, cost_curve
from mlprod_helpers.exercises.lesson_07.support import GRID, overconfident
from mlprod_helpers.lesson.contract import Function, Number, drawn_once, exercise
from mlprod_helpers.queueing import Exponential, mgc

PRICES = Costs(error=20, review=1, delay=3)


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
    return overconfident(rng, n, worse=4.0)


def _sure_of_its_errors(rng, n):
    """Wrong in three of ten cases, whatever it says, and in a third of them it says 1: it should decide nothing."""
    confidence = np.where(rng.random(n) < 1 / 3, 1.0, rng.uniform(0.5, 1.0, n))
    return confidence, rng.random(n) >= 0.3


def _two_crowds(rng, n):
    """Two kinds of cases and nothing between them: four of ten wrong, and two of ten."""
    half = n // 2
    confidence = np.repeat([0.6137, 0.8063], half)  # on no grid
    wrong = np.concatenate([np.arange(half) < 0.4 * half, np.arange(half) < 0.2 * half])
    order = rng.permutation(2 * half)
    return confidence[order], ~wrong[order]


def _sure_crowd(rng, n):
    """Four of five cases are nearly always right; of the others, one half is wrong in four of ten cases, one in two of ten."""
    parts = np.array([n // 10, n // 10, n - 2 * (n // 10)])
    wrong = np.concatenate(
        [np.arange(n) < share for n, share in zip(parts, parts * [0.4, 0.2, 0.01], strict=True)]
    )
    order = rng.permutation(n)
    return np.repeat([0.6137, 0.8063, 0.8437], parts)[order], ~wrong[order]


# (reviewers, load if people looked at everything, what it is, how the cases are drawn); with 20 for an error and 1 for a
# look, asking pays below 0.90: two of the crowds of cases lie just above that and just below
_TEAMS = (
    (3, (0.25, 0.35), "people with time", overconfident),
    (2, (1.35, 1.5), "two people, too many cases for them", overconfident),
    (1, (1.8, 2.4), "one person, twice as many cases as they can review", overconfident),
    # only confidences below about 0.53 are left to them
    (1, (14, 18), "one person, many more cases than they can review", overconfident),
    (4, (0.3, 0.4), "people with time, most confidences from 0.90 to 0.92", _mostly(0.905, 0.92)),
    # near the load of the lesson's day, when these people get tired and an hour of delay costs a third
    (12, (0.7, 0.8), "twelve people, most confidences from 0.85 to 0.88", _mostly(0.85, 0.88)),
    # nearly all of their time: for one person the delay is dearer than the errors of the better crowd, for two it is not
    (1, (0.961, 0.965), "one person with hardly a free minute, two kinds of cases", _two_crowds),
    # a review that always takes a minute would move the border further than two thirds of the price of delay, and less
    # far than a third of it: these lie between
    (1, (0.971, 0.973), "one person who is nearly always busy, two kinds of cases", _two_crowds),
    (1, (0.979, 0.981), "one person without a free minute, two kinds of cases", _two_crowds),
    (2, (0.96, 0.965), "two people with hardly a free minute, two kinds of cases", _two_crowds),
    # the few that are left wait long, but only they wait; the best thresholds lie between 0.81 and 0.84
    (1, (4.3, 4.5), "one person, most cases sure", _sure_crowd),
    (1, (40, 50), "one person, too many cases even if only the least sure ones are reviewed", _two_crowds),
    (3, (0.5, 0.6), "a model that is wrong more often than it says", _boastful),
    (4, (0.3, 0.4), "a model that is often wrong at a confidence of 1", _sure_of_its_errors),
)


@drawn_once()
def _days(rng):
    """(reviewers, what it is, confidence, correct, rate, lowest cost) of each team."""
    days = []
    for count, load, what, draw in _TEAMS:
        confidence, correct = draw(rng, 3000)
        rate = float(rng.uniform(*load)) * count / 60
        costs = cost_curve(confidence, correct, rate, Reviewers(count, Exponential(60.0)), PRICES)["cost"]
        days.append((count, what, confidence, correct, rate, float(costs.min())))
    return days


@exercise(
    "7.5",
    "The cheapest threshold",
    answers=("cheapest",),
    points=5,
    minutes=8,
    objective="7.d",
    edition=2,
    kind=Function("confidence", "correct", "rate", "count", returns=Number()),
    hints=(
        "For one threshold, what share of the cases is left to people, and at what rate do these arrive?",
        "A case costs 20 x (wrong and automated + 0.05 x left) + 1 x left + 3 x left x (wait + 60 s, in hours). At a load of 1 or more, the wait is infinite.",
        "`cost_curve(confidence, correct, rate, Reviewers(count, Exponential(60)), Costs(error=20, review=1, delay=3))` tries all thresholds at once. Which has the lowest cost?",
    ),
)
def cheapest(answer, rng, expect):
    """`cheapest(confidence, correct, rate, count)`: the threshold that costs least once the queue has settled."""
    for count, what, confidence, correct, rate, best in _days(rng):
        got = answer(confidence.copy(), correct.copy(), rate, count)
        cost = _cost_at(got, confidence, correct, rate, count) if not math.isnan(got) else math.inf
        told = "the backlog grows without end" if math.isinf(cost) else f"a case costs {cost:.2f}"
        with expect.defining():
            expect.true(
                cost <= 1.05 * best,
                f"{what}: within 5% of the cheapest",
                f"at {got:.3g} {told}, the best is {best:.2f}",
            )


@cheapest.acceptable
def cheapest_by_hand(answer, rng):
    """Within 5% of the best of a fine grid, by the formula of the statement and not by the course's curve."""
    for count, load, _, draw in _TEAMS:
        for _ in range(3):
            confidence, correct = draw(rng, 2500)
            rate = float(rng.uniform(*load)) * count / 60
            best = min(_settled(each, confidence, correct, rate, count) for each in GRID)
            got = answer(confidence, correct, rate, count)
            if not _settled(got, confidence, correct, rate, count) <= 1.051 * best:
                return False
    return True


@cheapest.misconception(
    "you used Chow's threshold, which assumes that people are always free. Your people cannot review all the cases that it leaves to them. Count what the queue costs.",
)
def chow_without_queue(confidence, correct, rate, count):
    return 0.9


@cheapest.misconception(
    "you left out one cost of the cases that people decide. Each costs a review, and in 5% an error of theirs. Add 20 x 0.05 to the cost of the review, which is 1.",
    when=lambda seen: _same_thresholds(seen, people_never_err),
)
def people_never_err(confidence, correct, rate, count):
    people = Reviewers(count, Exponential(60.0), error=0.0)
    return float(cost_curve(confidence, correct, rate, people, PRICES)["cost"].idxmin())


@cheapest.misconception(
    "you trusted the confidence. Where the model is wrong more often than it says, the threshold must be higher. Count the errors in `correct`.",
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
        for each in GRID
    ]
    return float(GRID[int(np.argmin(costs))])


def _same_thresholds(seen, wrong):
    """Whether every threshold takes the same cases as that of `wrong`, or is close to it and costs the same."""
    return len(seen.calls) == len(_TEAMS) and all(
        _same(call.output, wrong(*call.given), *call.given) for call in seen.calls
    )


def _same(one, other, confidence, correct, rate, count):
    if abs(np.mean(confidence >= one) - np.mean(confidence >= other)) < 0.03:
        return True
    costs = [_cost_at(each, confidence, correct, rate, count) for each in (one, other)]
    return abs(one - other) < 0.021 and bool(np.isclose(*costs, rtol=0.03))


@cheapest.misconception(
    "you let each review take exactly a minute. Reviews that vary like these make cases wait about twice as long, which matters near a full load. Use `Exponential(60)`.",
    when=lambda seen: _same_thresholds(seen, always_a_minute),
)
def always_a_minute(confidence, correct, rate, count):
    return float(cost_curve(confidence, correct, rate, Reviewers(count, 60.0), PRICES)["cost"].idxmin())


@cheapest.misconception(
    "you kept people busy all the time. At a load near 1, each burst of cases becomes a backlog that hardly shrinks again. Add what the delay costs.",
)
def load_of_one(confidence, correct, rate, count):
    fits = [each for each in GRID if rate * float((confidence < each).mean()) * 60 / count < 1]
    return float(max(fits))


@cheapest.misconception(
    "you automated all cases. Nobody waits, but the model also decides where it is unsure and often wrong. Compare the cost of these errors with that of a review.",
)
def automate_all(confidence, correct, rate, count):
    return 0.5


@cheapest.alternative
def by_hand(confidence, correct, rate, count):
    costs = [_settled(each, confidence, correct, rate, count) for each in GRID]
    return float(GRID[int(np.argmin(costs))])


@cheapest.alternative
def by_the_curve(confidence, correct, rate, count):
    people = Reviewers(count, Exponential(60.0))
    grid = np.arange(0.5, 1.01, 0.005)
    return cost_curve(confidence, correct, rate, people, PRICES, thresholds=grid)["cost"].idxmin()
