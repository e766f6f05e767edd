"""Exercise 5.2, Read a capacity curve."""

import math

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Function, Number, exercise


def draw_curve(rng):
    """(curve, target): a measured capacity curve that misses its target, and then meets it again in a lucky run or two."""
    capacity, rows = float(rng.uniform(60, 160)), int(rng.integers(10, 22))
    steps = rng.uniform(0.6, 1.4, rows)  # uneven: the rate before a miss is not one step below it
    rate = np.round(1.15 * capacity * np.cumsum(steps) / steps.sum(), 1)
    load = np.minimum(rate / capacity, 0.985)
    mean = 0.03 / (1 - load**3) * rng.uniform(0.97, 1.03, rows)
    p99 = 4.6 * mean * rng.uniform(0.9, 1.1, rows)
    at, lucky = int(rng.integers(rows // 2, rows - 4)), int(rng.integers(1, 3))  # at: the first miss
    target = round(float(p99[:at].max() * rng.uniform(1.02, 1.1)), 4)
    p99[at] = target * rng.uniform(1.02, 1.3)
    p99[at + 1 : at + 1 + lucky] = target * rng.uniform(0.85, 0.98, lucky)
    p99[at + 1 + lucky :] = np.maximum(p99[at + 1 + lucky :], target * 1.3)
    done = (np.minimum(rate, capacity) * rng.uniform(0.97, 0.995, rows)).round(2)
    return pd.DataFrame({"rate": rate, "throughput": done, "mean": mean, "p99": p99}), target


def _misses(curve, target):
    """The rows whose p99 is above the target, by their position."""
    return np.flatnonzero(curve["p99"].to_numpy() > target)


def highest_safe(curve, target):
    """The highest rate up to which each measured p99 meets the target; 0 if not even the first does."""
    misses = _misses(curve, target)
    end = misses[0] if len(misses) else len(curve)
    return float(curve["rate"].iloc[end - 1]) if end else 0.0


@exercise(
    "5.2",
    "Read a capacity curve",
    answers=("safe_rate",),
    points=3,
    minutes=5,
    objective="5.b",
    edition=2,
    kind=Function("curve", "target", returns=Number(low=0)),
    hints=(
        "Walk along the curve from the left. Where does it go above the target for the first time?",
        "The rate before that is the answer. A later point may look fine again, but only by luck.",
        "`missed = curve['p99'] > target`, and `missed.cummax()` stays True from the first miss on.",
    ),
)
def safe_rate(answer, rng, expect):
    """`safe_rate(curve, target)`: the highest rate up to which every p99 meets the target."""

    def compare(curve, target, what):
        got, want = answer(curve, target), highest_safe(curve, target)
        expect.true(math.isclose(got, want, abs_tol=1e-9), what, _wrong_rate(curve, target, got, want))

    with expect.defining():
        for number in range(4):
            curve, target = draw_curve(rng)
            compare(curve, target, f"curve {number + 1}, target {1000 * target:.0f} ms")
        first = _misses(curve, target)[0]
        curve["p99"] *= 0.203 / target  # rounded to 10 ms, both would meet the target
        curve.loc[first - 1 : first, "p99"] = 0.203, 0.2032
        compare(curve, 0.203, "a p99 that is exactly the target meets it, and one just above does not")
        curve, target = draw_curve(rng)
        first = _misses(curve, target)[0]
        curve.loc[first : first + 2, "p99"] = 1.1 * target
        curve.loc[first + 3 :, "p99"] = 0.9 * target
        compare(curve, target, "a curve that meets the target again at its end")
    curve, target = draw_curve(rng)
    cut = curve.iloc[2:].set_axis(range(7, 7 + 3 * (len(curve) - 2), 3))
    compare(cut, target, "a curve whose index is 7, 10, 13, ...")
    first = _misses(curve, target)[0]
    compare(curve.iloc[: first + 1], target, "a curve whose last rate is the only one that misses the target")
    compare(curve.iloc[first - 1 :], target, "a curve whose second rate misses the target")
    calm = curve.iloc[: int(rng.integers(3, 6))]
    compare(calm, 10.0, "a curve that stays below the target to its end")
    compare(curve.iloc[:1], 10.0, "a curve with a single rate, which meets the target")
    curve.loc[0, "p99"] = 1.2 * target
    compare(curve, target, "the first rate misses the target, later ones meet it: 0")
    compare(curve.iloc[-1:], target, "a curve with a single rate, which misses the target: 0")


def _wrong_rate(curve, target, got, want):
    """What a reader of the curve would say of the answer `got`."""
    if got != 0 and not np.isclose(curve["rate"], got).any():
        return "this is not a rate of the curve"
    if got > want:
        miss = curve[(curve["p99"] > target)].iloc[0]
        return f"p99 is {1000 * miss['p99']:.0f} ms already at a rate of {miss['rate']:g}"
    return "every p99 up to a higher rate meets the target" if got < want else ""


@safe_rate.inputs
def curves(rng):
    seen = pd.DataFrame({"rate": [10.0, 20, 30, 40], "throughput": [10.0, 20, 30, 33]})
    seen["mean"], seen["p99"] = [0.05, 0.06, 0.08, 0.2], [0.2, 0.25, 0.3, 0.29]
    for target in (0.1, 0.2, 0.25, 0.28, 0.295, 0.3, 0.31):
        yield seen, target
        yield seen.iloc[:1], target
    for _ in range(30):
        rows = int(rng.integers(1, 30))
        p99 = rng.choice([0.1, 0.2, 0.3, 0.4, 0.5], rows)
        rate = np.cumsum(rng.uniform(1, 9, rows))
        yield (
            pd.DataFrame({"rate": rate, "throughput": rate, "mean": p99 / 5, "p99": p99}),
            float(rng.choice([0.05, 0.2, 0.3, 0.45])),
        )


def _wherever_there_is_a_rate(seen, wrong):
    """Whether an answer is `wrong` on each curve with a safe rate: many who make this mistake forget the curves without one."""
    got = [
        (call.output, wrong(*call.given), highest_safe(*call.given))
        for call in seen.calls
        if not call.error and highest_safe(*call.given) > 0
    ]
    return all(out == told for out, told, _ in got) and any(told != right for _, told, right in got)


@safe_rate.misconception(
    "you compared the mean with the target. Then most users are fine, but one in a hundred waits several times as long. Use the column `p99`.",
    when=lambda seen: _wherever_there_is_a_rate(seen, by_the_mean),
)
def by_the_mean(curve, target):
    return float(curve["rate"][curve["mean"] <= target].max()) if (curve["mean"] <= target).any() else 0.0


@safe_rate.misconception(
    "you took the last point below the target. The curve has missed the target before, so a later point below it "
    "is a lucky run. Stop at the first miss.",
    when=lambda seen: _wherever_there_is_a_rate(seen, last_point_below),
)
def last_point_below(curve, target):
    good = curve["p99"] <= target
    return float(curve["rate"][good].max()) if good.any() else 0.0


@safe_rate.misconception(
    "you looked for the highest throughput. It is reached when all servers are busy all the time, and then the queue keeps growing. Compare `p99` with the target."
)
def saturation(curve, target):
    return float(curve["rate"][curve["throughput"].idxmax()])


@safe_rate.misconception(
    "you returned the first rate that misses the target. You found the right place, but the last safe rate is one step earlier. Return that rate."
)
def one_step_too_far(curve, target):
    missed = curve["p99"] > target
    return float(curve["rate"][missed].min() if missed.any() else curve["rate"].max())


@safe_rate.alternative
def step_by_step(curve, target):
    best = 0.0
    for row in curve.itertuples():
        if row.p99 > target:
            break
        best = row.rate
    return best


@safe_rate.alternative
def with_cummax(curve, target):
    good = curve["rate"][curve["p99"].cummax() <= target]
    return float(good.max()) if len(good) else 0
