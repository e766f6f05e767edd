"""Exercise 3.3, Twenty columns."""

import math

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Array, Function, exercise


@exercise(
    "3.3",
    "Twenty columns",
    answers=("flag",),
    points=4,
    minutes=6,
    edition=2,
    objective="3.a",
    kind=Function("pvalues", "alpha", returns=Array(ndim=1, dtype="bool")),
    hints=(
        "Twenty chances of 5% add up to a large chance. How small must each one be to keep the total below 5%?",
        "Bonferroni: compare each p-value with `alpha / len(pvalues)`. That is enough here.",
        "Holm finds a little more. Compare the smallest with alpha/20 and the next with alpha/19, and so on. Stop at the first that fails.",
    ),
)
def flag(answer, rng, expect):
    """`flag(pvalues, alpha)`: True for the columns to flag; the chance of any false flag stays below alpha."""

    def asked(pvalues, alpha):
        mask = answer(pvalues, alpha)
        return mask.copy() if len(mask) == len(pvalues) else np.ones(len(pvalues), dtype=bool)

    def among(small, n, low=0.5, high=1.0):
        """n p-values: `small` at random places among unsuspicious ones; and where they are."""
        pvalues, places = rng.uniform(low, high, n), rng.permutation(n)[: len(small)]
        pvalues[rng.permutation(n)[: n // 2]] = high  # 1.0 as where a test finds two columns alike
        pvalues[places] = small
        return pvalues, places

    columns = int(rng.integers(15, 30))
    got = answer(rng.random(columns), 0.05)
    expect.equal(len(got), columns, "one True or False for each p-value", show=True)
    noisy = np.mean([asked(rng.random(20), 0.05).any() for _ in range(100)])
    expect.within(noisy, 0, 0.14, "100 quiet weeks at alpha 0.05: few have any flag")
    sizes = (int(rng.integers(4, 7)), 20, int(rng.integers(150, 300)))
    with expect.defining():
        for n, alpha in zip(sizes, (0.05, float(rng.choice([0.001, 0.002])), 0.3), strict=True):
            pvalues, places = among([0.97 * alpha / n], n)
            mask = asked(pvalues, alpha)
            ok = mask.sum() == 1 and mask[places[0]]
            what = (
                f"one p-value of {pvalues[places[0]]:.3g} among {n}, alpha {alpha:g}: it is flagged, no other"
            )
            expect.true(ok, what, f"{int(mask.sum())} flagged")
            # alone, this one would break the promise even where the columns are independent
            pvalues, places = among([1.03 * _sidak(alpha, n)], n)
            what = f"one p-value of {pvalues[places[0]]:.3g} among {n}, alpha {alpha:g}: no flag"
            expect.equal(int(asked(pvalues, alpha).sum()), 0, what, show=True)
        n, found = int(rng.integers(20, 30)), int(rng.integers(8, 12))
        tiny = rng.uniform(0, 0.9, found) * 0.2 / n
        tiny[:2], tiny[-1] = tiny[0], 0.98 * 0.2 / n
        pvalues, places = among([*tiny, 1.03 * _sidak(0.2, n - found)], n)
        mask = asked(pvalues, 0.2)
        what = f"{found} of {n} columns drifted, two of them alike, alpha 0.2: all are found"
        expect.true(mask[places[:found]].all(), what, f"{int((~mask[places[:found]]).sum())} left out")
        what = f"{found} of {n} columns drifted, alpha 0.2: none of the others is flagged"
        mask[places[:found]] = False
        expect.true(not mask.any(), what, f"{int(mask.sum())} flagged")
        # how many columns are quiet cannot be told from their p-values
        pvalues, places = among([*tiny, 1.03 * _sidak(0.2, n - found)], n, low=0.25, high=0.45)
        mask = asked(pvalues, 0.2)
        mask[places[:found]] = False
        what = f"{found} of {n} columns drifted, the others have p-values below 0.45, alpha 0.2: none of the others is flagged"
        expect.true(not mask.any(), what, f"{int(mask.sum())} flagged")
        n = int(rng.integers(10, 14))
        pvalues, _ = among([0.1 * 1.5 / n, *rng.uniform(0.07, 0.099, n // 2)], n)
        what = f"{n // 2 + 1} of {n} p-values are below alpha 0.1, none by much: no flag"
        expect.equal(int(asked(pvalues, 0.1).sum()), 0, what, show=True)
        n = int(rng.integers(3, 8))
        mask = asked(np.r_[0, rng.uniform(0.2, 0.9, n)] * 0.1 / (n + 1), 0.1)
        what = f"all {n + 1} columns drifted, alpha 0.1: all are flagged"
        expect.true(mask.all(), what, f"{int((~mask).sum())} left out")
        mask = asked(np.array([0.04]), 0.05)
        expect.true(bool(mask[0]), "a single p-value of 0.04, alpha 0.05: it is flagged", "it is left out")
        mask = asked(np.array([0.06]), 0.05)
        expect.true(not mask[0], "a single p-value of 0.06, alpha 0.05: no flag", "it is flagged")
        few, more, most = (int(rng.integers(low, high)) for low, high in ((4, 7), (20, 30), (8, 13)))
        for n, found in ((3, 1), (few, 1), (more, 1), (most, most - 2)):
            pvalues, places = among([*np.full(found, 1e-5), 1.03 * _sidak(0.1, n - found)], n)
            mask = asked(pvalues, 0.1)
            what = f"{found} of {n} columns drifted, alpha 0.1: none of the others is flagged"
            expect.true(
                mask.sum() == found and mask[places[:found]].all(), what, f"{int(mask.sum())} flagged"
            )
    pvalues, places = among([1.1 * 0.05 / 5, 1.2 * 0.05 / 5], 5)
    mask = asked(pvalues, 0.05)[places]
    expect.true(
        mask[0] or not mask[1],
        "no column is flagged while one with a smaller p-value is not",
        "a smaller one is left out",
    )


def _sidak(alpha, n):
    """The largest limit for each of n independent columns that keeps the chance of any false flag at alpha."""
    return -np.expm1(math.log1p(-alpha) / n)


@flag.acceptable
def _keeps_the_promise(answer, rng):
    """Flags what is below alpha/n, nothing that no rule with this promise would flag, and smaller ones first."""
    tables = [rng.random(20), np.full(6, 0.5), np.full(3, 1e-9), np.array([0.04]), np.array([0.06])]
    for n in (2, 5, 20, 100):
        for found in (0, 1, n // 2, n):
            tables.append(rng.permutation(np.r_[rng.uniform(0, 1, found) / n**2 / 10, rng.random(n - found)]))
            tables.append(
                rng.permutation(np.r_[np.full(found, 1e-8), rng.uniform(0.5, 3, n - found) / n / 10])
            )
    for pvalues in tables:
        for alpha in (0.01, 0.05, 0.2):
            mask = np.asarray(answer(pvalues.copy(), alpha))
            if mask.shape != pvalues.shape or mask.dtype != bool:
                return False
            if not mask[pvalues < alpha / len(pvalues) * (1 - 1e-9)].all():
                return False
            if mask.any() and not mask[pvalues < pvalues[mask].max()].all():
                return False
            # the most that a step-up rule may flag where columns are independent
            limits = _sidak(alpha, np.arange(len(pvalues), 0, -1))
            passed = np.flatnonzero(np.sort(pvalues) <= limits * (1 + 1e-9))
            if mask.sum() > (passed[-1] + 1 if len(passed) else 0):
                return False
    return True


@flag.misconception(
    "you judged each column as if it were alone. With twenty quiet columns and a limit of 5% each, 64% of the weeks have a "
    "false flag. Divide the limit by the number of columns.",
    atol=0,
)
def each_alone(pvalues, alpha):
    return pvalues < alpha


@flag.misconception(
    "you used the Benjamini-Hochberg rule. It limits the share of false flags among all flags, and the more columns have "
    "really drifted, the more false flags it allows. Here you have to limit the chance of any false flag.",
    atol=0,
)
def share_of_false_flags(pvalues, alpha):
    order = np.argsort(pvalues)
    below = np.flatnonzero(pvalues[order] <= alpha * np.arange(1, len(order) + 1) / len(order))
    mask = np.zeros(len(order), dtype=bool)
    mask[order[: below[-1] + 1 if len(below) else 0]] = True
    return mask


@flag.misconception(
    "you began the steps from the wrong end. The strictest limit, alpha divided by the number of columns, belongs to the "
    "smallest p-value, not to the largest.",
    atol=0,
)
def from_the_wrong_end(pvalues, alpha):
    rank = np.argsort(np.argsort(pvalues)) + 1
    return pvalues <= alpha / rank


@flag.misconception(
    "you flagged either all columns of a week or none. People want to know where to look, so decide for each column.",
    when=lambda seen: (
        {(bool(out.all()), bool(out.any())) for out in map(np.asarray, seen.outputs)}
        == {(True, True), (False, False)}
        and any(np.all(call.output) and max(call.given[0]) > call.given[1] for call in seen.calls)
    ),
)
def the_whole_week(pvalues, alpha):
    return np.full(len(pvalues), pvalues.min() < alpha / len(pvalues))


@flag.alternative
def bonferroni(pvalues, alpha):
    return [bool(p * len(pvalues) <= alpha) for p in pvalues]


@flag.alternative
def sidak(pvalues, alpha):
    return pd.Series(pvalues) < 1 - (1 - alpha) ** (1 / len(pvalues))


@flag.alternative
def holm_in_a_loop(pvalues, alpha):
    mask = np.zeros(len(pvalues), dtype=bool)
    for step, place in enumerate(np.argsort(pvalues)):
        if pvalues[place] > alpha / (len(pvalues) - step):
            break
        mask[place] = True
    return mask
