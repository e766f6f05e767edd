"""Exercise 1.2, Same inputs, different answers?"""

from itertools import pairwise

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Function, Number, exercise


def _binned(rng, edges, shares, means, n):
    """A frame with x inside the bins, never on an edge, and y around the mean of its bin."""
    shares = np.asarray(shares, float)
    wanted = np.flatnonzero(
        shares
    )  # a bin with a share has a row at least, and not many more where that is tiny
    bins = np.concatenate([wanted, rng.choice(len(shares), size=n - len(wanted), p=shares / shares.sum())])
    low, width = np.asarray(edges[:-1])[bins], np.diff(edges)[bins]
    x = low + width * rng.uniform(0.02, 0.98, n)
    return pd.DataFrame({"x": x, "y": np.asarray(means)[bins] + rng.normal(0, 1, n)})


def _inside_bins(reference, current, edges):
    """Reference implementation: (sum of weights x changes) / sum of weights over shared bins."""
    total = rows = 0.0
    for low, high in pairwise(edges):
        old = reference["y"][(reference["x"] > low) & (reference["x"] <= high)]
        new = current["y"][(current["x"] > low) & (current["x"] <= high)]
        if len(old) and len(new):
            total, rows = total + len(new) * (new.mean() - old.mean()), rows + len(new)
    return total / rows if rows else float("nan")


@exercise(
    "1.2",
    "Same inputs, different answers?",
    answers=("conditional_change",),
    points=4,
    minutes=8,
    objective="1.a",
    edition=2,
    kind=Function("reference", "current", "edges", returns=Number(), may_change=("reference", "current")),
    hints=(
        "Use `by_bin` once for each table. It gives the size and the mean of y for each bin. Which difference do you want, and which sizes are the weights?",
        "In a bin with rows in only one of the tables there is nothing to compare. Keep the bins in which both sizes are above 0.",
        "Take `change = new['mean'] - old['mean']` over these bins, and average it with the weights `new['size']`. Return NaN if no bin is left.",
    ),
)
def conditional_change(answer, rng, expect):
    """`conditional_change(reference, current, edges)`: how much y changed at the same x, on average over the current rows."""
    bins = int(rng.integers(5, 9))
    edges = np.cumsum(rng.uniform(30, 150, bins + 1)).round(1).tolist()
    old = rng.permutation(np.linspace(1, 3, bins))
    new = np.roll(old, 1) * rng.uniform(0.8, 1.2, bins)
    law = rng.permutation(np.linspace(20, 60, bins))
    bent = law + rng.permutation(np.linspace(-8, 14, bins))
    new[new.argmin()] = 1e-6  # a bin with a single row counts as well, in either table
    once = old.copy()
    once[old.argmax()] = 1e-6
    here, there = np.ones(bins), np.ones(bins)
    here[-1] = there[0] = 0
    worlds = (
        ("only the mix of x changed", (old, law, 400), (new, law, 300)),
        ("the relation changed, the mix did not", (old, law, 400), (old, law - 6, 300)),
        ("both changed, the relation more in some bins than in others", (once, law, 400), (new, bent, 250)),
        ("a region where the reference has no rows", (old * here, law, 400), (new, bent, 300)),
        ("a region where the current table has no rows", (old, law, 400), (new * there, bent, 300)),
    )
    with expect.defining():
        for what, then, now in worlds[:3]:
            reference, current = _binned(rng, edges, *then), _binned(rng, edges, *now)
            expect.close(answer(reference, current, edges), _inside_bins(reference, current, edges), what)
    for what, then, now in worlds[3:]:
        reference, current = _binned(rng, edges, *then), _binned(rng, edges, *now)
        expect.close(answer(reference, current, edges), _inside_bins(reference, current, edges), what)
    twice = pd.DataFrame({"x": [-1.6, -1.6, -0.4], "y": [1, 1, 4]})
    now = pd.DataFrame({"x": [-0.4, -0.4, -0.3], "y": [7, 7, 1]})
    expect.close(answer(twice, now, [-1.75, -0.25]), 3.0, "one bin, x below 0, and rows that occur twice")
    # each table has every second bin, so neither lies on one side of the other
    then, now = (_binned(rng, edges, np.arange(bins) % 2 == side, law, 200) for side in (0, 1))
    expect.nan(answer(then, now, edges), "no bin has rows in both tables: the change is unknown, so NaN")


@conditional_change.inputs
def _tables_of_x_and_y(rng):
    usual = list(range(0, 1001, 250))
    shares, law = np.array([0.4, 0.3, 0.2, 0.1]), np.array([40.0, 90.0, 130.0, 160.0])
    yield (
        _binned(rng, usual, shares, law, 60),
        _binned(rng, usual, shares[::-1], law - 9, 80),
        usual,
    )
    for empty_then, empty_now in (((), ()), ((0,), ()), ((), (3,)), ((1,), (2,)), ((0, 1), (2, 3))):
        then, now = shares.copy(), shares[::-1].copy()
        then[list(empty_then)] = now[list(empty_now)] = 0
        yield (
            _binned(rng, usual, then, law, 50),
            _binned(rng, usual, now, law + np.array([0, 5, -9, 30]), 90),
            usual,
        )
    yield _binned(rng, [0.0, 1.0], [1], [5], 7), _binned(rng, [0.0, 1.0], [1], [9], 3), [0.0, 1.0]
    many = np.cumsum(rng.uniform(1, 9, 31)).tolist()
    yield (
        _binned(rng, many, rng.uniform(1, 2, 30), rng.normal(0, 9, 30), 40),
        _binned(rng, many, rng.uniform(1, 2, 30), rng.normal(0, 9, 30), 70),
        many,
    )


@conditional_change.misconception(
    "you compared the two overall means (bins cut at each table's own quantiles give the same result). These means also "
    "move when only the mix of x changes and the relation stays the same. Compare the means inside each bin first.",
    atol=0.5,
)
def overall(reference, current, edges):
    return current["y"].mean() - reference["y"].mean()


def _by_bin(frame, edges):
    return frame.groupby(pd.cut(frame["x"], edges), observed=False)["y"].agg(["size", "mean"])


@conditional_change.misconception(
    "you counted a bin without rows in one of the tables as no change. Where nothing can be compared, the change is "
    "unknown, not zero. Leave such a bin out, and do not count its rows in the weights."
)
def empty_is_unchanged(reference, current, edges):
    old, new = _by_bin(reference, edges), _by_bin(current, edges)
    change = (new["mean"] - old["mean"]).fillna(0)
    return float((change * new["size"]).sum() / new["size"].sum())


@conditional_change.misconception(
    "you gave full bins and nearly empty bins the same weight. The question is how much y changed for the current rows. "
    "Weight each bin by its number of rows in the current table."
)
def unweighted(reference, current, edges):
    return float((_by_bin(current, edges)["mean"] - _by_bin(reference, edges)["mean"]).mean())


@conditional_change.misconception(
    "you weighted the bins by the reference rows. This tells you how much y changed for the old mix of x. The question is "
    "about the current rows, so use the sizes of the current table."
)
def weighted_by_the_past(reference, current, edges):
    old, new = _by_bin(reference, edges), _by_bin(current, edges)
    shared = (old["size"] > 0) & (new["size"] > 0)
    change, size = (new["mean"] - old["mean"])[shared], old["size"][shared]
    return float((change * size).sum() / size.sum()) if shared.any() else float("nan")


@conditional_change.misconception(
    "you subtracted the current mean from the reference mean, so the sign is reversed. A change is the current value minus the reference."
)
def backwards(reference, current, edges):
    return -_inside_bins(reference, current, edges)


@conditional_change.alternative
def row_by_row(reference, current, edges):
    """Each current row minus the reference mean of its bin, then the mean of all."""
    bins = pd.cut(reference["x"], edges, labels=False)
    known = reference["y"].groupby(bins).mean()
    expected = pd.cut(current["x"], edges, labels=False).map(known)
    return float((current["y"] - expected).mean())


@conditional_change.alternative
def with_numpy(reference, current, edges):
    k = len(edges) - 1
    sums = []
    for frame in (reference, current):
        at = np.digitize(frame["x"], edges) - 1
        sums.append((np.bincount(at, minlength=k), np.bincount(at, frame["y"], minlength=k)))
    (n_old, y_old), (n_new, y_new) = sums
    both = (n_old > 0) & (n_new > 0)
    if not both.any():
        return float("nan")
    change = y_new[both] / n_new[both] - y_old[both] / n_old[both]
    return np.average(change, weights=n_new[both])
