"""Exercise 7.7, Safe, or lucky?"""

import numpy as np

from mlprod_helpers.automation import upper_bound
from mlprod_helpers.exercises.lesson_07.support import GRID, by_threshold
from mlprod_helpers.lesson.contract import Function, Number, exercise

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


def _just_above(floor, count):
    """How wrong a model is whose `count` highest levels together have a risk just above the floor."""
    return (floor + 0.0005) / float(1 - _LEVELS[-count:].mean())


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
        "At each threshold there are n automated cases and k errors. `upper_bound(k, n)` says how large the true error rate may be.",
        "0 errors of 12 leave room for an error rate of up to 22%. Take thresholds of a fixed grid, and keep those with a *bound* of at most `max_risk`.",
        "`safe_points(confidence, correct, max_risk)` tries a grid so that all its bounds hold together, and its column `safe` says which are safe. If nothing is safe, return 2.0.",
    ),
)
def safe_threshold(answer, rng, expect):
    """`safe_threshold(confidence, correct, max_risk)`: as low as is safe beyond luck; 2.0 if nothing is."""
    for n, max_risk in ((12, FLOOR), (int(rng.integers(55, 76)), 0.02)):
        few = rng.permutation(np.resize(np.append(rng.uniform(0.6, 0.99, 11), 1.0), n))
        got = answer(few, np.ones(n, bool), max_risk)
        with expect.defining():
            what = f"{n} cases, all of them right: too few to trust any at a risk of {max_risk:.0%}"
            expect.true(got > 1, what, f"you return {got:.3g}; 0 errors of {n} do not mean 0%")
    expect.true(got == 2, "if nothing is safe, return 2.0", f"you return {got:.3g}")
    # only the sure cases are safe: who counts those above a threshold, and not those at it, takes the others as well
    low, high = float(rng.uniform(0.55, 0.7)), float(rng.uniform(0.9, 0.94))
    confidence = np.append(np.repeat(np.linspace(high, 0.98, 24), 21), np.full(496, low))
    order = rng.permutation(1000)
    got = answer(confidence[order], (np.arange(1000) < 752)[order], FLOOR)
    with expect.defining():
        what = f"504 cases of at least {high:.3f}, all right, and 496 of {low:.3f}, half of them wrong: take all of the first"
        expect.true(low < got <= high, what)
    # the risk of the best so many levels is a hair above the floor: without a bound every second draw takes them
    barely, wider = _just_above(FLOOR, rng.integers(10, 12)), _just_above(0.2, rng.integers(20, 22))
    cases = (
        (24, barely, FLOOR, 0.05, "a calibrated model, at most 10% wrong"),
        (24, wider, 0.2, 0.35, "a calibrated model, at most 20% wrong"),
        (10, 2.5, 0.05, 0.0, "after a change, wrong 2.5 times as often as it says, at most 5% wrong"),
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
                f"{what}: {broken} of {draws} thresholds break the limit on fresh cases (at most a quarter)",
                f"their risk there is {100 * np.mean(risks):.0f}% on average",
            )
            if least:
                expect.true(
                    np.mean(covers) >= least - 1e-9,
                    f"{what}: they automate {100 * np.mean(covers):.0f}% on average (at least {100 * least:.0f}%)",
                    "too timid",
                )


@safe_threshold.acceptable
def safe_threshold_by_the_statement(answer, rng):
    """Few cases are not trusted; on many samples the floor is nearly always kept, and enough is automated."""
    for n, max_risk in ((1, FLOOR), (12, FLOOR), (60, 0.02), (75, 0.02)):
        few = rng.uniform(0.6, 0.99, n)
        if answer(few, np.ones(n, bool), max_risk) != 2:
            return False
    for worse, max_risk, least in (
        (0.85, 0.1, 0.05),
        (0.95, 0.2, 0.35),
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
    "you used the measured risk. 0 errors of 12 do not mean 0%, and among many thresholds the luckiest one looks best. Ask how large the true error rate may still be.",
)
def point_estimate(confidence, correct, max_risk):
    good = [
        each
        for each, _, risk in by_threshold(np.asarray(confidence), np.asarray(correct))
        if risk <= max_risk
    ]
    return min(good) if good else 2.0


@safe_threshold.misconception(
    "you trusted the confidence. In one kind of sample the model is wrong far more often than it says. Count the errors of these cases.",
)
def the_model_says_so(confidence, correct, max_risk):
    return 1 - 2 * max_risk


@safe_threshold.misconception(
    "you automate nothing. That breaks no limit, but helps nobody. Find the thresholds with a bound of at most `max_risk`.",
)
def nothing_at_all(confidence, correct, max_risk):
    return 2.0


@safe_threshold.misconception(
    "you used the lower end of the interval. It says how good the model may be, so it is nearly always below `max_risk`. The upper end says how bad it may be.",
)
def lower_bound(confidence, correct, max_risk):
    confidence, correct = np.asarray(confidence), np.asarray(correct)
    for each in GRID[:-2]:
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
    return good.min() if len(good) else 2
