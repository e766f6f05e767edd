"""Exercise 2.5, A p-value that holds."""

import math

import numpy as np

from mlprod_helpers.drift.distances import rank_auc
from mlprod_helpers.lesson.contract import Function, Number, exercise


def _quick_scores(X, s):
    """The lesson's `quick_scores`: fits on all rows and scores the same rows."""
    return X @ (X[s == 1].mean(axis=0) - X[s == 0].mean(axis=0))


def _whole_procedure(X, s, n_permutations, rng):
    """AUC of the data, and the AUC after each shuffle of the labels; the whole procedure for all shuffles at once."""
    labels = np.vstack([s, rng.permuted(np.tile(s, (n_permutations, 1)), axis=1)])
    n_current, n_reference = s.sum(), (1 - s).sum()
    scores = (labels @ X / n_current - (1 - labels) @ X / n_reference) @ X.T
    ranks = 1 + scores.argsort(axis=1).argsort(axis=1)
    aucs = ((ranks * labels).sum(axis=1) - n_current * (n_current + 1) / 2) / (n_current * n_reference)
    return aucs[0], aucs[1:]


@exercise(
    "2.5",
    "A p-value that holds",
    answers=("pvalue",),
    seconds=20,
    points=3,
    minutes=8,
    edition=2,
    objective="2.c",
    kind=Function("X", "s", "n_permutations", "seed", returns=Number(low=0, high=1)),
    hints=(
        "If nothing has changed, the labels 0 and 1 are arbitrary. So shuffle `s`, and repeat everything that was done with the true `s`.",
        "The whole procedure has two steps, `scores = quick_scores(X, s)` and `auc_of(s, scores)`. Both need the shuffled labels.",
        "Count how often a shuffle gave at least the observed AUC. The observed order counts as one of `n_permutations + 1` orders, so the result is (1 + count) / (1 + n_permutations).",
    ),
)
def pvalue(answer, rng, expect):
    """`pvalue(X, s, n_permutations, seed)`: permutation test of the whole procedure."""
    n_permutations = int(rng.integers(55, 65))
    sizes = ((20, 20), (26, 14), (12, 30))
    for number, (n, m) in enumerate(sizes, 1):
        s = rng.permutation(np.repeat([0, 1], [n, m]))
        while True:  # until the noise is typical
            X = rng.normal(size=(n + m, 10))
            if number == 3:  # nearly the same column ten times: less to learn by heart
                X = 0.1 * X + rng.normal(size=(n + m, 1))
            observed, null = _whole_procedure(X, s, 300, rng)
            want = (1 + (null >= observed).sum()) / 301
            if 0.2 < want < (0.4 if number == 3 else 0.8):
                break
        seeds = [int(seed) for seed in rng.choice(10_000, 5 if number == 2 else 1, replace=False)]
        got = [answer(X, s, n_permutations, seed) for seed in seeds]
        orders = n_permutations + 1
        slack = 4.5 * math.sqrt(want * (1 - want) * (1 / n_permutations / len(seeds) + 1 / 300)) + 0.01
        with expect.defining():
            expect.within(
                np.mean(got),
                want - slack,
                want + slack,
                f"nothing differs, {n} against {m} rows{', correlated columns' if number == 3 else ''}: the p-value is close to the expected one",
            )
            expect.true(
                all(_counts(p, orders) for p in got),
                f"{n} against {m} rows: the p-value is a whole number divided by {orders}, the number of orders",
                f"times {orders}, it is {float(got[0]) * orders:.3f}",
            )
        if number == 2:
            again = [answer(X, s, n_permutations, seed) for seed in seeds[:3]]
            expect.true(
                again == got[:3], "the same seed gives the same p-value", "second calls give other ones"
            )
            expect.true(len(set(got)) > 1, "another seed gives other shuffles", "five seeds give one p-value")
    # six rows, one column: one shuffle in three gives exactly the observed AUC of 1, and it counts
    order = rng.permutation(6)
    X = (np.array([0.0, 1, 2, 7, 8, 9]) + rng.uniform(0, 0.5, 6))[order, None]
    got = answer(X, np.repeat([0, 1], [5, 1])[order], 400, int(rng.integers(1000)))
    with expect.defining():
        expect.within(got, 0.23, 0.44, "5 against 1 row, AUC 1: some shuffles do exactly as well")
        expect.true(
            _counts(got, 401),
            "5 against 1 row: orders that come twice count twice",
            f"times 401, it is {float(got) * 401:.3f}",
        )
    got = answer(rng.normal(size=(2, 3)), np.array([1, 0]), 19, int(rng.integers(1000)))
    with expect.defining():
        expect.close(got, 1.0, "1 against 1 row, AUC 1: all 19 shuffles do exactly as well")
    X, s, want = _far_below_a_half(rng)
    got = answer(X, s, 120, int(rng.integers(1000)))
    with expect.defining():
        expect.within(
            got, want - 0.12, 1, "one extreme row, and an AUC far below 0.5: nearly all shuffles do better"
        )
    s = np.tile([0, 1], 20)  # labels that are moved in a circle, not shuffled, do as well each time
    X = rng.normal(size=(40, 10))
    X[s == 1, 5:] += 2.2
    for few in (n_permutations, 19):
        got = answer(X, s, few, int(rng.integers(1000)))
        with expect.defining():
            expect.close(got, 1 / (few + 1), f"everything differs: none of {few} shuffles comes near")


def _counts(p, orders):
    """Whether p is a whole number of these orders, divided by their number."""
    return abs(float(p) * orders - np.round(float(p) * orders)) < 1e-4


def _far_below_a_half(rng):
    """One current row is extreme and the others are low: an AUC that few shuffles go below, and few exceed its distance from 0.5."""
    while True:
        X = rng.normal(size=(14, 1))
        s = rng.permutation(np.repeat([0, 1], [8, 6]))
        current = np.flatnonzero(s)
        X[current[1:]] -= 0.8
        X[current[0]] = 40
        observed, null = _whole_procedure(X, s, 300, rng)
        far = (np.abs(null - 0.5) >= abs(observed - 0.5)).mean()
        want = (1 + (null >= observed).sum()) / 301
        if observed < 0.4 and want > 0.85 and far < 0.5:
            return X, s, want


@pvalue.acceptable
def _is_a_permutation_p(answer, rng):
    """Close to many shuffles of the whole procedure, in steps of 1/(n + 1), never 0, and fixed by its seed."""
    for n, m, columns, shift in ((20, 20, 10, 0), (30, 10, 4, 0), (15, 25, 6, 0.3), (20, 20, 10, 2)):
        s = rng.permutation(np.repeat([0, 1], [n, m]))
        X = rng.normal(size=(n + m, columns)) + shift * s[:, None]
        if columns == 6:
            X[:, 1:] = X[:, :1] + 0.1 * X[:, 1:]
        observed, null = _whole_procedure(X, s, 2_000, rng)
        want = (1 + (null >= observed).sum()) / 2_001
        got = [answer(X.copy(), s.copy(), 60, seed) for seed in (1, 2, 3, 4, 4)]
        if got[3] != got[4] or (0.2 < want < 0.8 and len(set(got)) == 1):
            return False
        if not all(p > 0 and math.isclose(p * 61, round(p * 61), abs_tol=1e-6) for p in got):
            return False
        if abs(np.mean(got[:4]) - want) > 4 * math.sqrt(want * (1 - want) / 240) + 0.015:
            return False
    return True


def _pvalues_seen(seen):
    """p-values where nothing differs, and where everything does."""
    outputs = [float(output) for output in seen.outputs]
    return outputs[:10], outputs[-1]


def _shuffles_labels_alone(seen):
    """Whether the p-values are those of scores that stay while the labels are shuffled."""
    for call in seen.calls[:-2]:
        X, s, n, _ = call.given
        scores, rng = _quick_scores(X, s), np.random.default_rng(0)
        null = np.array([rank_auc(rng.permutation(s), scores) for _ in range(200)])
        want = (1 + (null >= rank_auc(s, scores)).sum()) / 201
        if abs(call.output - want) > 4 * math.sqrt(want * (1 - want) * (1 / n + 1 / 200)) + 0.02:
            return False
    return _varies(seen)


def _varies(seen):
    """Whether calls that differ in nothing but the seed gave different p-values."""
    return (
        len({call.output for call in seen.calls if len(call.given[1]) == 40 and call.given[1].sum() == 14})
        > 1
    )


@pvalue.misconception(
    "you shuffled only the labels and kept the scores that were fitted to the true labels. Then the shuffles do not show how "
    "well the procedure learns rows by heart. Compute the scores again after each shuffle.",
    when=_shuffles_labels_alone,
)
def scores_stay(X, s, n_permutations, seed):
    rng = np.random.default_rng(seed)
    scores = _quick_scores(X, s)
    null = np.array([rank_auc(rng.permutation(s), scores) for _ in range(n_permutations)])
    return (1 + (null >= rank_auc(s, scores)).sum()) / (1 + n_permutations)


@pvalue.misconception(
    "you counted only the shuffles. A p-value of 0 claims more certainty than a few shuffles can give. The observed order "
    "is possible by chance too, so it belongs in the count as well as in the number of orders.",
    when=lambda seen: _pvalues_seen(seen)[1] == 0 and min(_pvalues_seen(seen)[0]) > 0,
)
def without_the_observed(X, s, n_permutations, seed):
    observed, null = _whole_procedure(X, s, n_permutations, np.random.default_rng(seed))
    return (null >= observed).mean()


@pvalue.misconception(
    "you counted the wrong tail. Two tables that differ have a large AUC. Count the shuffles with an AUC at least as large.",
    when=lambda seen: (
        min(seen.outputs[-2:]) > 0.9 > max(seen.outputs[:10]) and seen.outputs[-3] < 0.5 and _varies(seen)
    ),
)
def the_wrong_tail(X, s, n_permutations, seed):
    observed, null = _whole_procedure(X, s, n_permutations, np.random.default_rng(seed))
    return (1 + (null <= observed).sum()) / (1 + n_permutations)


@pvalue.alternative
def shuffling_rows(X, s, n_permutations, seed):
    rng = np.random.default_rng([seed, 7])
    at_least = 1
    for _ in range(n_permutations):
        rows = X[rng.permutation(len(X))]  # moving the rows under the labels is the same thing
        at_least += rank_auc(s, _quick_scores(rows, s)) >= rank_auc(s, _quick_scores(X, s))
    return at_least / (n_permutations + 1)


@pvalue.alternative
def by_ranks(X, s, n_permutations, seed):
    observed, null = _whole_procedure(X, s, n_permutations, np.random.default_rng(seed + 1))
    everything = np.sort(np.append(null, observed))
    return float(1 - np.searchsorted(everything, observed) / len(everything))
