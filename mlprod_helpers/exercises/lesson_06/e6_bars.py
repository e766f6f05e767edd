"""Exercise 6.6, The impatient judge."""

import functools
import math

import numpy as np

from mlprod_helpers.exercises.lesson_06.support import Z
from mlprod_helpers.lesson.contract import Array, Function, exercise
from mlprod_helpers.rollout import crossing, obrien_fleming, pocock


@functools.cache
def _solved(shape, looks):
    return (obrien_fleming if shape == "obrien_fleming" else pocock)(looks, 0.05)


@exercise(
    "6.6",
    "The impatient judge",
    answers=("bars",),
    points=4,
    minutes=9,
    objective="6.d",
    edition=2,
    kind=Function("looks", returns=Array(ndim=1)),
    hints=(
        "1.96 is right for one look. With several looks, the largest |z| must stay below the bar in 95% of the rollouts of equal versions.",
        "Simulate thousands of rollouts of equal versions, as above. Take the largest |z| of each rollout. Which value do 95% of them stay below?",
        "`z = rng.normal(size=(20_000, looks)).cumsum(axis=1) / np.sqrt(np.arange(1, looks + 1))`, then `np.quantile(abs(z).max(axis=1), 0.95)` for every look.",
    ),
)
def bars(answer, rng, expect):
    """`bars(looks)`: the bar of |z| at each look, such that all looks together are wrong in about 5% of the rollouts of equal versions."""
    for looks in (1, 2, 3, int(rng.integers(4, 7)), int(rng.integers(9, 14)), int(rng.integers(19, 24))):
        got = answer(looks).astype(float)
        if len(got) != looks or not (got > 0).all():
            why = (
                f"you return {len(got)}"
                if len(got) != looks
                else f"{got[~(got > 0)][0]:g} cannot be a bar: |z| is always beyond it, or never"
            )
            with expect.defining():
                expect.true(False, f"{looks} looks need {looks} bars above 0", why)
            continue
        got = np.minimum(got, 50.0)
        errs, found = (max(crossing(got, drift=drift)[-1], 0.0) for drift in (0.0, 3.0))
        what = f"{looks} look{'s' * (looks > 1)}"
        with expect.defining():
            expect.true(
                0.03 <= errs <= 0.06,
                f"{what}: 3 to 6% of the equal versions are stopped",
                f"{errs:.1%} are: the bars are too {'high' if errs < 0.03 else 'low'}",
            )
        least = 0.9 * crossing(_solved("pocock", looks), drift=3.0)[-1]
        expect.true(
            found >= least, f"{what}: at least {least:.0%} of the bad versions are found", f"{found:.0%} are"
        )
        early = math.ceil(0.6 * looks)
        if early == looks:
            continue
        half = max(crossing(got, drift=6.0)[early - 1], 0.0)
        with expect.defining():
            expect.true(
                half >= 0.6,
                f"{what}: at least 60% of the very bad ones are stopped by look {early}",
                f"{half:.0%} are",
            )


@bars.acceptable
def bars_by_simulation(answer, rng):
    for looks in (1, 2, 3, 5, 8, 16):
        got = np.asarray(answer(looks), dtype=float)
        if got.shape != (looks,) or not (got > 0).all():
            return False
        z = rng.normal(size=(40_000, looks)).cumsum(axis=1) / np.sqrt(np.arange(1, looks + 1))
        share = np.sqrt(np.arange(1, looks + 1) / looks)
        if not 0.028 <= (np.abs(z) > got).any(axis=1).mean() <= 0.062:
            return False
        bad, fair = (np.abs(z + 3 * share) > bar for bar in (got, _solved("pocock", looks)))
        if bad.any(axis=1).mean() < 0.89 * fair.any(axis=1).mean():
            return False
        early = math.ceil(0.6 * looks)
        if early < looks and (np.abs(z + 6 * share) > got)[:, :early].any(axis=1).mean() < 0.59:
            return False
    return True


def _each(seen, holds):
    """Whether there were as many bars as looks for three numbers of looks above 1, and this holds for all of them."""
    outputs = [
        (call.given[0], np.asarray(call.output, dtype=float)) for call in seen.calls if call.given[0] > 1
    ]
    return len(outputs) > 2 and all(len(bars) == looks and holds(bars) for looks, bars in outputs)


@bars.misconception(
    "you used the bar of a single look at each look. Each look is another chance of a false alarm, so equal versions are stopped too often. Find the value that the largest |z| of all looks stays below in 95% of the rollouts.",
    when=lambda seen: _each(seen, lambda bars: np.ptp(bars) < 1e-6 and 1.9 < bars[0] < 2.01),
)
def the_same_bar(looks):
    return np.full(looks, 1.96)


@bars.misconception(
    "you look only once, at the end. The share of false alarms is right, but a bad version harms users until the end. Give the early looks a bar that a very bad version crosses.",
    when=lambda seen: _each(seen, lambda bars: bars[:-1].min() > 4.9 and 1.9 < bars[-1] < 2.1),
)
def one_look_at_the_end(looks):
    return np.append(np.full(looks - 1, np.inf), 1.96)


@bars.misconception(
    "you divided the 5% among the looks, or simulated them, as if each look used only new data. The looks share most of their data, so the bar is "
    "higher than it needs to be. Simulate one growing sample to find a lower one.",
    when=lambda seen: _each(seen, lambda bars: np.allclose(bars, Z(1 - 0.025 / len(bars)), atol=0.02)),
)
def shared_out(looks):
    return np.full(looks, Z(1 - 0.025 / looks))


@bars.misconception(
    "you let the bar fall to 1.96 at the last look, and the bars of the early looks are not high enough to make up for it. All looks together stop too many equal versions. Simulate all looks together.",
    when=lambda seen: _each(
        seen, lambda bars: bars[0] > bars[-1] + 0.2 and 1.9 < bars[-1] < 2.0 and crossing(bars)[-1] > 0.06
    ),
)
def falling_to_the_single_bar(looks):
    return np.linspace(2.6, 1.96, looks)


@bars.alternative
def by_simulation(looks):
    z = np.random.default_rng(3).normal(size=(4000, looks)).cumsum(axis=1) / np.sqrt(np.arange(1, looks + 1))
    return [float(np.quantile(np.abs(z).max(axis=1), 0.95))] * looks


@bars.alternative
def falling(looks):
    return _solved("obrien_fleming", looks)


@bars.alternative
def same_at_each(looks):
    return _solved("pocock", looks)
