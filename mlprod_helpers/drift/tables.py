"""Two tables as one table of numbers: what adversarial validation trains on, and what is odd about it beforehand.

Without any model: are the two tables comparable at all, which columns only name their table (`suspects_of`), and do the
same rows come back (`repeats_of`)?
"""

import re
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from pandas.api import types

from mlprod_helpers.drift.columns import as_table, common_kind, numbers_of

#: A text column with more levels than this is ranked in alphabetical order instead of split level by level.
MANY_LEVELS = 250
#: So many equal rows, in a table of fine columns, are taken for copies of one; more are a coarse value.
MOST_COPIES = 10
_KEY_NAME = re.compile(r"(^|[_\s.])(id|uuid|guid|rowid|row_?number|index|timestamp)$|^unnamed: \d+$", re.I)


# ---------------------------------------------------------------- one table out of two


@dataclass(frozen=True, eq=False)
class Stacked:
    """Reference rows and below them current rows, as numbers.

    Attributes
    ----------
    values : array of shape (rows, columns), float64
        Categories as codes, times as seconds since 1970 (UTC), booleans as 0 and 1, missing as NaN.
    labels : array of shape (rows,). 0 for a row of the reference, 1 for a current row.
    kinds : dict. Column -> "number", "category", "text" (more than `MANY_LEVELS` levels) or "datetime".
    levels : dict. Column of kind "category" -> number of levels.
    from_frames : bool. Whether DataFrames were given, so that names and categories mean something.
    """

    values: np.ndarray
    labels: np.ndarray
    kinds: dict
    levels: dict = field(default_factory=dict)
    from_frames: bool = False

    @property
    def columns(self):
        return list(self.kinds)

    def frame(self):
        """The same table as a DataFrame whose categories have dtype `category`, and whose names are text.

        scikit-learn refuses other names. Names whose text is the same become x0, x1, ...
        """
        names = [str(name) for name in self.columns]
        names = names if len(set(names)) == len(names) else [f"x{i}" for i in range(len(names))]
        frame = pd.DataFrame(self.values, columns=names)
        for i, name in enumerate(self.columns):
            if name in self.levels:
                codes = frame[names[i]].fillna(-1).astype(int)
                frame[names[i]] = pd.Categorical.from_codes(codes, categories=range(self.levels[name]))
        return frame


def stack(reference, current):
    """Make one numeric table out of two with the same columns (in any order if they have names)."""
    if isinstance(reference, pd.DataFrame) != isinstance(current, pd.DataFrame):
        raise ValueError(
            "reference and current must both be DataFrames or both be arrays: convert one of them."
        )
    from_frames = isinstance(reference, pd.DataFrame)
    reference, current = _as_frame(reference, "reference"), _as_frame(current, "current")
    _same_columns(reference, current, from_frames)
    labels = np.repeat([0, 1], [len(reference), len(current)])
    values = np.empty((len(labels), reference.shape[1]))
    kinds, levels = {}, {}
    for i, name in enumerate(reference.columns):
        values[:, i], kinds[name] = _encode(reference[name], current[name])
        if kinds[name] == "category":
            levels[name] = int(np.nanmax(values[:, i], initial=-1)) + 1
    return Stacked(values, labels, kinds, levels, from_frames)


def _as_frame(table, role):
    if not isinstance(table, pd.DataFrame):
        table = np.asarray(table)
        if table.ndim not in (1, 2):
            raise ValueError(f"{role} must be a table of rows and columns, got {table.ndim} dimensions.")
        table = pd.DataFrame(table[:, None] if table.ndim == 1 else table)
        table.columns = [f"x{i}" for i in range(table.shape[1])]
    return as_table(table, role)


def _same_columns(reference, current, from_frames):
    if not from_frames and reference.shape[1] != current.shape[1]:
        raise ValueError(
            f"reference has {reference.shape[1]} columns, current has {current.shape[1]}: compare the same columns."
        )
    unmatched = [
        f"only in {role}: {', '.join(str(name) for name in names)}"
        for role, names in {
            "reference": [name for name in reference if name not in current],
            "current": [name for name in current if name not in reference],
        }.items()
        if names
    ]
    if unmatched:
        raise ValueError(
            f"The two tables have different columns ({'; '.join(unmatched)}). Leave those out of both."
        )


def _encode(reference, current):
    """The values of one column in both tables as floats, and its kind."""
    kind = common_kind(reference, current)
    if kind == "category":
        return _codes(reference, current)
    values = np.full(len(reference) + len(current), np.nan)
    if kind != "missing":
        values = np.concatenate(numbers_of(reference, current, kind)[:2])
    return values, "datetime" if kind == "datetime" else "number"


def _codes(reference, current):
    both = pd.concat([reference.astype(object), current.astype(object)], ignore_index=True)
    if any(isinstance(value, list | dict | set | tuple | np.ndarray) for value in both):
        raise ValueError(
            f"Column {reference.name!r} holds lists, dicts or other values that are no categories: take it apart first."
        )
    mixed = types.infer_dtype(both, skipna=True).startswith("mixed")
    codes, labels = pd.factorize(both, sort=not mixed)
    if mixed:  # 1 and "1" are two categories, in the order of their text
        rank = np.argsort(sorted(range(len(labels)), key=lambda i: (str(labels[i]), str(type(labels[i])))))
        codes = np.where(codes < 0, -1, rank[codes])
    return np.where(codes < 0, np.nan, codes), "category" if len(labels) <= MANY_LEVELS else "text"


# ---------------------------------------------------------------- rows that come back


@dataclass(frozen=True, eq=False)
class Repeats:
    """Which rows are identical, and what that does to folds.

    Attributes
    ----------
    group : array of shape (rows,). Identical rows have the same number.
    keep_together : bool. Whether the rows of a group have to be in one fold.
    why : str. A sentence about it.
    """

    group: np.ndarray
    keep_together: bool = False
    why: str = ""


def repeats_of(table):
    """Find identical rows of a `Stacked` table and decide whether folds have to keep them together.

    Rows that are equal by chance, as in a table of a few coarse columns, do no harm. Two things are no chance.
    **Copies across the tables** (a table against itself, overlapping windows, a balanced calendar): the twin of a
    held-out row was learned with the other label, so the AUC falls below 0.5. They show as pairs of equal rows that
    stand in different tables more often than shuffled labels would put them there. **Copies inside a table**
    (retries, rows drawn with replacement): the twin was learned with the same label, so the AUC rises above 0.5
    where nothing differs. They are looked for in tables fine enough that rows are not equal by chance: at least two
    columns that are no categories have about as many values as there are different rows. There, up to `MOST_COPIES`
    equal rows are taken for copies.
    """
    hashed = np.zeros(len(table.labels), dtype=np.uint64)
    for column in table.values.T:
        # + 0.0 makes the two zeros one
        hashed = hashed * np.uint64(0x9E3779B97F4A7C15) + pd.util.hash_array(column + 0.0)
    group = np.unique(hashed, return_inverse=True)[1]
    total = np.bincount(group)
    if len(total) == len(group):
        return Repeats(group)
    in_current = np.bincount(group, weights=table.labels)
    in_reference = total - in_current
    if _z_of_pairs_across(in_reference, in_current) > 3:
        share = in_current[in_reference > 0].sum() / in_current.sum()
        why = (
            f"{share:.0%} of the current rows also stand in reference, more than chance would put there: copies, "
            "overlapping windows, or a calendar in both."
        )
        return Repeats(group, True, why)
    few = total[group] <= MOST_COPIES
    share = 1 - len(np.unique(group[few])) / max(few.sum(), 1)
    if share > 0 and _is_fine(table, few, group):
        why = f"{share:.0%} of the rows are copies of others."
        # more equal rows than copies make are a coarse value, such as all zeros
        alone = np.where(few, group, len(total) + np.arange(len(group)))
        return Repeats(np.unique(alone, return_inverse=True)[1], True, why)
    return Repeats(group)


def _z_of_pairs_across(a, b):
    """By how many standard deviations are there more pairs across the tables than under shuffled labels?

    A group of k equal rows has a * b such pairs; the count of current rows in it is close to binomial. Dividing by
    k - 1 keeps one large group from drowning many small ones.
    """
    n_a, n_b = a.sum(), b.sum()
    a, b = (counts[a + b > 1] for counts in (a, b))
    k = a + b
    excess = a * b / (k - 1) - k * n_a * n_b / ((n_a + n_b) * (n_a + n_b - 1))
    pq = n_a * n_b / (n_a + n_b) ** 2
    pairs = k * (k - 1)
    second_moment = pairs * ((k - 2) * (k - 3) * pq**2 + (k - 1) * pq)
    variance = (second_moment - (pairs * pq) ** 2) / (k - 1) ** 2
    return excess.sum() / np.sqrt(variance.sum())


def _is_fine(table, rows, group):
    """Do rows hardly ever agree by chance: have two columns about as many values as there are different rows?"""
    n_different = len(np.unique(group[rows]))
    fine = [i for i, kind in enumerate(table.kinds.values()) if kind != "category"]
    n_fine = sum(len(np.unique(table.values[rows, i])) >= 0.5 * n_different for i in fine)
    return n_fine >= 2 and n_different >= rows.sum() / 3


# ---------------------------------------------------------------- columns that name their table


def suspects_of(table):
    """Columns of a `Stacked` table that may name their table instead of describing the world, found without a model.

    A dict of column to reason. A suspect is not convicted: look at it before you leave it out.
    """
    suspects = {}
    for i, (name, kind) in enumerate(table.kinds.items()):
        why = _suspicion(table.values[:, i], table.labels, str(name), kind)
        if why:
            suspects[name] = why
    return suspects


def _suspicion(column, labels, name, kind):
    if kind == "datetime":
        return "a time stamp: it says when, not what"
    present = ~np.isnan(column)
    column, labels = column[present], labels[present]
    n_current = int(labels.sum())
    if n_current == 0 or n_current == len(labels):
        return ""
    if _KEY_NAME.search(name):
        return "its name says that it is a key or a time stamp"
    order = np.argsort(column, kind="stable")
    ordered = column[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    total = np.diff(np.append(starts, len(ordered)))
    current = np.add.reduceat(labels[order], starts)
    is_category = kind in ("category", "text")
    # whole numbers, or text: what keys are made of
    countable = is_category or bool((column == np.floor(column)).all())
    return (
        _one_value_each(total, current)
        or _runs_along(column, len(total), is_category)
        or (_near_unique(total) if countable else "")
        or _unix_time(ordered, len(total), is_category)
        or _names_a_group(total, current, n_current, is_category)
        or (_apart(total, current) if countable and not is_category else "")
    )


def _one_value_each(total, current):
    # at least ten rows: two rows with two values are no pattern
    if len(total) == 2 and total.sum() >= 10 and sorted(current / total) == [0, 1]:
        return "one value in reference and another one in current: it is the name of the table"
    return ""


def _runs_along(column, n_values, is_category):
    """A counter or a clock: it only rises (or only falls) through reference and on through current."""
    if n_values < 10 or (is_category and n_values < 0.5 * len(column)):
        return ""
    steps = np.diff(column)
    if (steps >= 0).all() or (steps <= 0).all():
        return "it keeps increasing from the first row of reference to the last of current, like a counter or a clock"
    return ""


def _near_unique(total):
    if total.sum() >= 50 and len(total) >= 0.95 * total.sum():
        return f"{len(total) / total.sum():.0%} of its values are different: a key"
    return ""


def _unix_time(ordered, n_values, is_category):
    for unit, one in {"seconds": 1, "milliseconds": 1e3}.items():
        if not is_category and n_values > 10 and ordered[0] >= 1e9 * one and ordered[-1] < 2.4e9 * one:
            return f"all its values read as times, in {unit} since 1970"
    return ""


def _names_a_group(total, current, n_current, is_category):
    """Values repeat, and yet hardly any occurs in both tables: a key in disguise, such as the exact mileage of a route."""
    n_rows, n_values = total.sum(), len(total)
    if n_values < 5 or n_rows < 2 * n_values:
        return ""
    alone = (current == 0) | (current == total)
    share = total[alone].sum() / n_rows
    p = n_current / n_rows
    by_chance = (total * (p**total + (1 - p) ** total)).sum() / n_rows
    if share < 0.9 or by_chance > 0.5:
        return ""
    if not is_category:
        # a plain shift puts one table below the other: few changes of hands along the axis
        changes = np.count_nonzero(np.diff((2 * current > total).astype(int)))
        if changes < max(5, 0.2 * n_values):
            return ""
    return (
        f"its values repeat, yet {share:.0%} of the rows have one that occurs in one table only: "
        "the name of a group (a route, a site, a user)"
    )


def _apart(total, current):
    """All current values above all of the reference, or below: a clock, more often than a feature."""
    changes = np.flatnonzero(np.diff(np.sign(2 * current - total)))
    if len(total) >= 3 and len(changes) == 1 and ((current == 0) | (current == total)).all():
        return "all its values in one table lie above all those in the other: a clock, a counter, or a complete change"
    return ""
