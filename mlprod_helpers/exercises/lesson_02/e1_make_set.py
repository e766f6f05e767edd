"""Exercise 2.1, The feature "Set"."""

import contextlib

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Array, Frame, Function, Several, exercise


def _requests(rng, n, start):
    """A few requests of the display with their air time, under an index that begins at `start`."""
    distance = rng.integers(90, 2600, n)
    return pd.DataFrame(
        {
            "distance": distance,
            "carrier": rng.choice(["AA", "B6", "DL", "UA"], n),
            "time": rng.integers(5, 23, n),
            "air_time": (distance / 7.5 + rng.normal(20, 6, n)).round(),
        },
        index=np.arange(start, start + n),
    )


@exercise(
    "2.1",
    'The feature "Set"',
    answers=("make_set",),
    points=2,
    minutes=4,
    edition=2,
    objective="2.a",
    kind=Function(
        "reference", "current", "target", returns=Several(Frame(), Array(ndim=1), names=("X", "s"))
    ),
    hints=(
        "You return two things: a table with the rows of both, and an array that says where each row came from.",
        "`pd.concat` stacks tables, `drop(columns=...)` removes a column, and `np.repeat([0, 1], [n, m])` makes the labels.",
    ),
)
def make_set(answer, rng, expect):
    """`make_set(reference, current, target)`: the rows of both without the target, and 0 or 1 for each."""
    for told, target, labeled in (
        ("labels in both tables, but one label is missing", "air_time", True),
        ("no labels yet in the current table", "air_time", False),
        (
            "rows that repeat, missing values and labels, another target, columns in another order",
            "delay",
            False,
        ),
    ):
        n, m = (int(k) for k in rng.choice(np.arange(8, 30), size=2, replace=False))
        reference, current = _requests(rng, n, 0), _requests(rng, m, int(rng.integers(0, n)))
        if target == "delay":  # here the air time is an input
            for table in (reference, current):
                table.insert(0, "delay", rng.normal(8, 20, len(table)).round())
                table.insert(2, "delay_before", rng.normal(8, 20, len(table)))
                table.loc[table.index[3:][rng.random(len(table) - 3) < 0.2], "air_time"] = np.nan
                table.loc[table.index[3], "carrier"] = None
                table.iloc[-3:] = table.iloc[[0, 1, 1]].to_numpy()  # one of them twice in a row
                # a row without a single input, and rows without a label: all stay
                table.loc[table.index[4], table.columns != "delay"] = None
                table.loc[table.index[5:7], "delay"] = np.nan
            current.iloc[2] = reference.iloc[2].to_numpy()  # a row that is in both tables
            current = current[current.columns[::-1]]
        if labeled:
            current.loc[current.index[1], target] = np.nan
        else:
            current = current.drop(columns=target)
        X, s = answer(reference, current, target)
        inputs = [name for name in reference.columns if name != target]
        with expect.defining():
            expect.true(
                set(X.columns) == set(inputs),
                f"`X` has the inputs as its columns ({told})",
                f"its columns are {', '.join(str(name) for name in X.columns)}"[:200],
            )
        with expect.defining() if target == "delay" else contextlib.nullcontext():
            expect.true(
                set(inputs) <= set(X.columns)
                and len(X) == n + m
                and _cells(X, inputs) == [*_cells(reference, inputs), *_cells(current, inputs)],
                f"`X` holds every row, reference first ({told})",
                f"it has {len(X)} rows, {n + m} came in"
                if len(X) != n + m
                else "values or their order differ",
            )
        with expect.defining() if labeled else contextlib.nullcontext():
            expect.equal(
                s.astype(float), np.repeat([0.0, 1.0], [n, m]), f"`s` says where each row came from ({told})"
            )


def _cells(table, names):
    """The rows as tuples; None where a value is missing."""
    rows = table[names].astype(object)
    return [tuple(row) for row in rows.where(rows.notna(), None).to_numpy().tolist()]


@make_set.acceptable
def _keeps_every_row(answer, rng):
    """All rows of both tables in their order, all columns but the target, and a label for each."""
    for n, m, target, labeled in ((3, 2, "air_time", True), (1, 40, "time", False), (60, 1, "y", False)):
        reference, current = _requests(rng, n, 5), _requests(rng, m, 5)
        for table in (reference, current):
            table["y"] = np.nan
            table.iloc[-1] = table.iloc[0]
        current = current[current.columns[::-1]]
        current = current if labeled else current.drop(columns=target)
        X, s = answer(reference.copy(), current.copy(), target)
        names = [name for name in reference.columns if name != target]
        if set(X.columns) != set(names) or _cells(X, names) != [
            *_cells(reference, names),
            *_cells(current, names),
        ]:
            return False
        if np.asarray(s, dtype=float).tolist() != [0.0] * n + [1.0] * m:
            return False
    return True


def _columns_added(seen):
    """Columns of X that neither table has, as (column, s, row numbers)."""
    for (reference, current, _), (X, s) in zip(seen.arguments, seen.outputs, strict=True):
        for name in X.columns:
            if name not in reference.columns and name not in current.columns:
                yield X[name], np.asarray(s), [*reference.index, *current.index]


def _is_the_set(column, s):
    return column.nunique() == 2 and abs(np.corrcoef(column.astype(float), s)[0, 1]) > 0.999


@make_set.misconception(
    "you left the label *Set* itself in `X`. A classifier would read the answer from that column, and the AUC would be 1.0 "
    "for any two tables, even for identical ones. Look at the columns of your `X`.",
    when=lambda seen: any(_is_the_set(column, s) for column, s, _ in _columns_added(seen)),
)
def set_left_in(reference, current, target):
    both = pd.concat([reference.assign(Set=0), current.assign(Set=1)]).drop(columns=target)
    return both, both["Set"].to_numpy()


@make_set.misconception(
    "you turned the old row numbers into a column. They show which table a row was in, but nothing about the row itself. Drop the "
    "index when you stack the tables.",
    when=lambda seen: any(column.tolist() == rows for column, _, rows in _columns_added(seen)),
)
def index_kept(reference, current, target):
    both = pd.concat([reference, current]).drop(columns=target).reset_index()
    return both, np.repeat([0, 1], [len(reference), len(current)])


@make_set.misconception(
    "you left the target in `X`. New requests have no label yet, so a missing label alone would give the current table "
    "away. Drop the column named by `target`.",
    when=lambda seen: any(
        target in X.columns and set(reference.columns) <= set(X.columns)
        for (reference, _, target), (X, _) in zip(seen.arguments, seen.outputs, strict=True)
    ),
)
def target_kept(reference, current, target):
    return pd.concat([reference, current], ignore_index=True), np.repeat(
        [0, 1], [len(reference), len(current)]
    )


@make_set.misconception(
    "you swapped 0 and 1. We look for the current rows, so they are the positive class. Give them a 1, and the reference "
    "rows a 0.",
    when=lambda seen: (
        bool(seen.outputs)
        and all(
            np.array_equal(np.asarray(s, dtype=float), np.repeat([1.0, 0.0], [len(a), len(b)]))
            for (a, b, _), (_, s) in zip(seen.arguments, seen.outputs, strict=True)
        )
    ),
)
def swapped(reference, current, target):
    X = pd.concat([reference, current], ignore_index=True).drop(columns=target)
    return X, np.repeat([1, 0], [len(reference), len(current)])


@make_set.alternative
def by_a_column(reference, current, target):
    both = pd.concat([reference.assign(Set=False), current.assign(Set=True)])
    s = both.pop("Set")
    return both[[name for name in both if name != target]], s


@make_set.alternative
def with_numpy(reference, current, target):
    names = [name for name in reference.columns if name != target]
    rows = {name: np.concatenate([reference[name], current[name]]) for name in names}
    return pd.DataFrame(rows), np.r_[np.zeros(len(reference)), np.ones(len(current))]
