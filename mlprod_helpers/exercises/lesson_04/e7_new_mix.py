"""Exercise 4.7, Correct probabilities for a new mix."""

import numpy as np

from mlprod_helpers.exercises.lesson_04.support import agree, first_odd, lengths
from mlprod_helpers.lesson.contract import Array, Function, exercise


def _reweighed(p, old, new):
    p = np.asarray(p, dtype=float)
    yes, no = p * new / old, (1 - p) * (1 - new) / (1 - old)
    return yes / (yes + no)


@exercise(
    "4.7",
    "Correct probabilities for a new mix",
    answers=("new_mix",),
    points=3,
    minutes=6,
    objective="4.d",
    edition=2,
    kind=Function("p", "prior_old", "prior_new", returns=Array(ndim=1)),
    hints=(
        "Odds are p / (1 - p). First turn each p into odds.",
        "Multiply the odds of p by the new prior odds, and divide by the old prior odds.",
        "Turn the odds back into a probability: p = odds / (1 + odds).",
    ),
)
def new_mix(answer, rng, expect):
    """`new_mix(p, prior_old, prior_new)`: probabilities corrected for another share of class 1, by odds."""
    old, new = round(rng.uniform(0.05, 0.3), 2), round(rng.uniform(0.4, 0.8), 2)
    p = rng.permutation(np.r_[rng.uniform(0.05, 0.95, 5).round(3), 0.95, 0.004, 0.0001, 0.9999])
    expect.close(answer(p, old, old), p, "the same mix: nothing changes")
    expect.close(
        answer(np.array([old]), old, new),
        [new],
        "a p equal to the old share becomes the new share",
    )
    with expect.defining():
        for before, after, what in (
            (old, new, "more of class 1 than before"),
            (new, old, "less of class 1 than before"),
        ):
            got, want = answer(p, before, after), _reweighed(p, before, after)
            at = first_odd(got, want)
            told = f"p = {p[at]:g} became {got[at]:.4g}" if at is not None else lengths(got, want)
            expect.true(agree(got, want), f"{what}: from {before:g} to {after:g}", told)


@new_mix.inputs
def mixes(rng):
    yield np.array([0.1, 0.2, 0.5]), 0.2, 0.5
    yield np.array([0.5]), 0.5, 0.01
    yield np.array([1e-6, 1 - 1e-6]), 0.3, 0.6
    for n in (1, 4, 30):
        yield rng.uniform(0.001, 0.999, n), float(rng.uniform(0.01, 0.99)), float(rng.uniform(0.01, 0.99))


@new_mix.misconception(
    "you multiplied the probability itself. That can give 1.4, which is not a probability, and it ignores that the share of the other class changes, too. Multiply the odds."
)
def probability_times_ratio(p, prior_old, prior_new):
    return np.asarray(p) * prior_new / prior_old


@new_mix.misconception(
    "you multiplied the probability itself and replaced results above 1 by 1. Then likely rows get a probability of 1. Multiply the odds instead, which always gives a probability below 1."
)
def multiplied_and_cut(p, prior_old, prior_new):
    return np.clip(np.asarray(p) * prior_new / prior_old, 0, 1)


@new_mix.misconception(
    "you swapped the old and the new share. With your answer, each flight is less likely to be late when more flights are late. Check which prior odds you divide by."
)
def upside_down(p, prior_old, prior_new):
    return _reweighed(p, prior_new, prior_old)


@new_mix.misconception(
    "you added the difference of the shares. A probability near 0 or 1 can then fall outside the range from 0 to 1. Multiply the odds, which cannot leave this range."
)
def added(p, prior_old, prior_new):
    return np.asarray(p) + prior_new - prior_old


@new_mix.misconception(
    "you left the probabilities as they were. The ranking is still right, but 0.3 no longer means that 30 of 100 such flights are late. Correct the odds for the new share."
)
def unchanged(p, prior_old, prior_new):
    return np.asarray(p, dtype=float)


@new_mix.alternative
def by_log_odds(p, prior_old, prior_new):
    def logit(share):
        return np.log(share) - np.log1p(-share)

    return 1 / (1 + np.exp(-(logit(np.asarray(p)) + logit(prior_new) - logit(prior_old))))


@new_mix.alternative
def one_by_one(p, prior_old, prior_new):
    factor = prior_new / (1 - prior_new) / (prior_old / (1 - prior_old))
    return [share * factor / (1 + share * (factor - 1)) for share in p]
