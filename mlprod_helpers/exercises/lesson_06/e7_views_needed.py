"""Exercise 6.7, How long must it run?"""

import math

from mlprod_helpers.exercises.lesson_06.support import Z
from mlprod_helpers.lesson.contract import Function, Number, exercise
from mlprod_helpers.rollout import requests_needed as _requests_needed


@exercise(
    "6.7",
    "How long must it run?",
    answers=("views_needed", "hours_needed"),
    points=4,
    minutes=6,
    objective="6.d",
    edition=2,
    kind=(
        Function("p", "lift", "power", returns=Number()),
        Function("views", "rate", "percent", returns=Number()),
    ),
    hints=(
        "What is the second rate? `lift` is relative: a lift of 0.2 raises a rate of 0.43% by 0.09 percentage points.",
        "`NormalDist().inv_cdf(0.975)` is 1.96. For the power, take `inv_cdf(power)`.",
        "For the hours, how many views does the canary get in a second, and how many in an hour?",
    ),
)
def views_needed(answer, rng, expect):
    """`views_needed(p, lift, power)`: views an arm; `hours_needed(views, rate, percent)`: until a canary has them."""
    draws = [
        (round(float(rng.uniform(0.003, 0.006)), 4), 0.2, 0.8),
        (round(float(rng.uniform(0.02, 0.05)), 3), 0.1, 0.98),
        (round(float(rng.uniform(0.0003, 0.0006)), 5), 0.01, 0.8),
        (round(float(rng.uniform(0.05, 0.2)), 2), -0.1, 0.8),
        # a pooled variance would not do here; the arcsine and `requests_needed`, which pools it for the bar alone, would
        (0.6, round(float(rng.uniform(0.37, 0.39)), 3), 0.95),
        (round(float(rng.uniform(0.4, 0.6)), 2), round(float(rng.uniform(0.08, 0.15)), 2), 0.3),
        # a lift of more than 1 is no percentage; of more than 1.3, the arcsine would not do
        (0.01, round(float(rng.uniform(1.1, 1.3)), 2), 0.8),
    ]
    with expect.defining():
        for p, lift, power in draws:
            want = _views(p, lift, power)
            what = f"rate {p:g}, {lift:+g} of it, power {power:g}"
            expect.close(answer.views_needed(p, lift, power), want, what, rtol=0.05)
    hours = (
        (90_000, 20, 5),
        (int(rng.integers(1000, 9000)), int(rng.integers(30, 90)), int(rng.integers(2, 20))),
        (int(rng.integers(1000, 9000)), int(rng.integers(30, 90)), int(rng.integers(60, 95))),
        (int(rng.integers(10**6, 10**7)), 0.5, 100),
        (int(rng.integers(10, 90)) + 0.4, int(rng.integers(30, 90)), 0.5),
    )
    for views, rate, percent in hours:
        what = f"hours for {views:,} views at {percent}% of {rate:g} a second"
        expect.close(answer.hours_needed(views, rate, percent), _hours(views, rate, percent), what)


@views_needed.acceptable
def views_needed_by_the_statement(answer, rng):
    """Views within 5% of the formula where lifts are not huge, hours without rounding."""
    for _ in range(30):
        p, lift = float(10 ** rng.uniform(-3, -0.6)), float(rng.choice([-1, 1]) * rng.uniform(0.02, 0.3))
        power = float(rng.uniform(0.3, 0.95))
        if not math.isclose(answer.views_needed(p, lift, power), _views(p, lift, power), rel_tol=0.06):
            return False
        views, rate, percent = int(rng.integers(1, 10**7)), rng.uniform(0.1, 500), rng.uniform(0.1, 100)
        if not math.isclose(
            answer.hours_needed(views, float(rate), float(percent)),
            _hours(views, rate, percent),
            rel_tol=1e-6,
        ):
            return False
    return True


def _views(p, lift, power, alpha=0.05):
    q = p * (1 + lift)
    return (Z(1 - alpha / 2) + Z(power)) ** 2 * (p * (1 - p) + q * (1 - q)) / (q - p) ** 2


def _hours(views, rate, percent):
    return views / (rate * percent / 100) / 3600


def _views_by(formula):
    """Whether all numbers of views are those of another formula, to a few percent, and not the right ones."""

    def when(seen):
        calls = [call for call in seen.calls if call.name == "views_needed"]
        return len(calls) == 7 and all(
            math.isclose(call.output, formula(*call.given), rel_tol=0.03) for call in calls
        )

    return when


def _absolute(p, lift, power):
    q = p + lift
    return (Z(0.975) + Z(power)) ** 2 * (p * (1 - p) + q * (1 - q)) / lift**2


@views_needed.misconception(
    "you read the lift as percentage points. It is relative, so 21% more than 0.43% is 0.52%. The second rate is `p * (1 + lift)`.",
    when=lambda seen: (
        _views_by(_absolute)(seen) or _views_by(lambda p, lift, power: _absolute(p, abs(lift), power))(seen)
    ),
)
def lift_as_points():
    return {"views_needed": _absolute, "hours_needed": _hours}


@views_needed.misconception(
    "you left out the power. With so few views you miss half of the bad versions, because chance puts z below the bar half of the time. Add `inv_cdf(power)` to 1.96.",
    when=_views_by(lambda p, lift, power: _views(p, lift, 0.5)),
)
def power_of_a_half():
    return {"views_needed": lambda p, lift, power: _views(p, lift, 0.5), "hours_needed": _hours}


@views_needed.misconception(
    "you counted both arms together. The question is about one arm, because the canary takes longer to get its views. Divide by two.",
    when=_views_by(lambda p, lift, power: 2 * _views(p, lift, power)),
)
def both_arms():
    return {"views_needed": lambda p, lift, power: 2 * _views(p, lift, power), "hours_needed": _hours}


def _one_arm(p, lift, power):
    return (Z(0.975) + Z(power)) ** 2 * p * (1 - p) / (p * lift) ** 2


@views_needed.misconception(
    "you used the variance of one arm only. The other rate is measured on equally few views, so it varies by chance, too. Add `q * (1 - q)`.",
    when=_views_by(_one_arm),
)
def one_variance():
    return {"views_needed": _one_arm, "hours_needed": _hours}


@views_needed.misconception(
    "you used the one-sided bar of 1.645. A two-sided test at 5% leaves 2.5% on each side. The bar is `inv_cdf(0.975)`.",
    when=_views_by(lambda p, lift, power: _views(p, lift, power, alpha=0.1)),
)
def one_sided():
    return {"views_needed": lambda p, lift, power: _views(p, lift, power, alpha=0.1), "hours_needed": _hours}


def _all_traffic(seen):
    calls = [call for call in seen.calls if call.name == "hours_needed"]
    return len(calls) == 5 and all(
        math.isclose(call.output, call.given[0] / call.given[1] / 3600, rel_tol=1e-3) for call in calls
    )


@views_needed.misconception(
    "you gave all of the traffic to the canary. It gets only `percent` percent of it, so it needs longer. The views are right.",
    when=lambda seen: _all_traffic(seen) and _views_by(_views)(seen),
)
def all_of_the_traffic():
    return {"views_needed": _views, "hours_needed": lambda views, rate, percent: views / rate / 3600}


@views_needed.alternative
def by_the_course():
    def hours(views, rate, percent):
        return views * 100 / percent / rate / 60 / 60

    return {
        "views_needed": lambda p, lift, power: _requests_needed(p, p * (1 + lift), power=power),
        "hours_needed": hours,
    }


@views_needed.alternative
def by_arcsine():
    def views(p, lift, power):
        gap = 2 * math.asin(math.sqrt(p * (1 + lift))) - 2 * math.asin(math.sqrt(p))
        return round(2 * ((Z(0.975) + Z(power)) / gap) ** 2)

    return {"views_needed": views, "hours_needed": _hours}
