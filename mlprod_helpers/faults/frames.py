"""Faults of a table: values that are lost, in another unit, stuck, or of another row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from mlprod_helpers.faults.base import Fault, need_column


@dataclass(frozen=True)
class ColumnFault(Fault):
    """A fault that rewrites some columns of a frame, each on its own."""

    columns: str | tuple[str, ...] = ()

    def __post_init__(self):
        super().__post_init__()
        names = (self.columns,) if isinstance(self.columns, str) else tuple(self.columns)
        if not names:
            raise ValueError(f"{type(self).__name__} breaks columns: name at least one")
        object.__setattr__(self, "columns", names)

    def change(self, data, hit, rng):
        if not isinstance(data, pd.DataFrame):
            raise TypeError(f"{self.kind} breaks columns of a DataFrame, not a {type(data).__name__}")
        for name in self.columns:
            need_column(data, name)
            data[name] = self.change_column(data[name], hit)
        return data

    def change_column(self, column, hit):
        """Return the broken Series."""
        raise NotImplementedError


@dataclass(frozen=True)
class MissingValues(ColumnFault):
    """Values are lost: a field that a new version of the sender no longer fills.

    >>> from mlprod_helpers.faults import apply
    >>> frame = pd.DataFrame({"x": [1, 2, 3], "y": ["a", "b", "c"]})
    >>> broken, _ = apply(frame, [MissingValues("x", end=1)])
    >>> broken["x"].tolist()
    [nan, 2.0, 3.0]
    """

    kind: ClassVar[str] = "missing_values"

    def change_column(self, column, hit):
        if column.dtype == bool:  # keeps True and False apart from missing
            column = column.astype("boolean")
        return column.mask(hit)


@dataclass(frozen=True)
class UnitChange(ColumnFault):
    """The same quantity arrives in another unit: value x factor + offset.

    Parameters
    ----------
    columns : str or tuple of str
    factor : float. 0.621371 turns kilometers into miles, 1000 seconds into milliseconds.
    offset : float. Added after the factor, in the new unit: Celsius to Fahrenheit is 1.8 and 32.

    >>> from mlprod_helpers.faults import apply
    >>> frame = pd.DataFrame({"celsius": [0, 10, 20]})
    >>> broken, _ = apply(frame, [UnitChange("celsius", 1.8, 32, start=1)])
    >>> broken["celsius"].tolist()
    [0.0, 50.0, 68.0]
    """

    kind: ClassVar[str] = "unit_change"
    factor: float = 1.0
    offset: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        if not (np.isfinite(self.factor) and np.isfinite(self.offset)) or (
            self.factor == 1 and not self.offset
        ):
            raise ValueError(
                f"factor={self.factor!r} and offset={self.offset!r} change nothing or are no "
                "numbers: give a factor such as 0.621"
            )

    def change_column(self, column, hit):
        if not pd.api.types.is_numeric_dtype(column):
            raise TypeError(f"column {column.name!r} is {column.dtype}: only numbers have a unit to change")
        return (column * float(self.factor) + self.offset).where(hit, column)


@dataclass(frozen=True)
class StuckSensor(ColumnFault):
    """A sensor repeats the last value that it read before the window.

    Where the window begins with the first row, that row's value is repeated.

    Parameters
    ----------
    columns : str or tuple of str
    start, end, share, where : See `Fault`. A share below 1 is a loose contact.

    >>> from mlprod_helpers.faults import apply
    >>> frame = pd.DataFrame({"x": [1, 2, 3, 4]})
    >>> broken, _ = apply(frame, [StuckSensor("x", start=2)])
    >>> broken["x"].tolist()
    [1, 2, 2, 2]
    """

    kind: ClassVar[str] = "stuck_sensor"

    def change_column(self, column, hit):
        first = int(np.argmax(hit))
        before = np.flatnonzero(column.notna() & (np.arange(len(column)) < first))
        rows = np.arange(len(column))
        rows[hit] = before[-1] if len(before) else first
        return pd.Series(column.array.take(rows), index=column.index, name=column.name)


@dataclass(frozen=True)
class MisalignedJoin(ColumnFault):
    """Columns from another table are joined some rows too late: every value is true, but of another row.

    Each column keeps exactly its values, so no monitor of single columns can see it.

    Parameters
    ----------
    columns : str or tuple of str. The joined columns; they move together.
    rows : int. How far they slide among the hit rows; those that fall off the end come back at the front.

    >>> from mlprod_helpers.faults import apply
    >>> frame = pd.DataFrame({"user": [1, 2, 3], "city": ["Rome", "Oslo", "Lima"]})
    >>> broken, _ = apply(frame, [MisalignedJoin("city")])
    >>> broken["city"].tolist()
    ['Lima', 'Rome', 'Oslo']
    """

    kind: ClassVar[str] = "misaligned_join"
    rows: int = 1

    def change_column(self, column, hit):
        order = np.arange(len(column))
        order[hit] = np.roll(order[hit], self.rows)
        return pd.Series(column.array.take(order), index=column.index, name=column.name)


@dataclass(frozen=True)
class NewCategory(ColumnFault):
    """A category that nobody has seen in training: a new airline, a new part of the shop.

    Parameters
    ----------
    columns : str or tuple of str
    value : object, the new category

    >>> from mlprod_helpers.faults import apply
    >>> frame = pd.DataFrame({"carrier": pd.Categorical(["AA", "UA", "AA"])})
    >>> apply(frame, NewCategory("carrier", "ZZ", start=1))[0]["carrier"].tolist()
    ['AA', 'ZZ', 'ZZ']
    """

    kind: ClassVar[str] = "new_category"
    value: object = "new"

    def change_column(self, column, hit):
        if isinstance(column.dtype, pd.CategoricalDtype) and self.value not in column.cat.categories:
            column = column.cat.add_categories([self.value])
        elif pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
            column = column.astype(object)  # text among numbers
        return column.mask(hit, self.value)
