"""Faults of one of two paths for the same feature: training computes it one way, the service another.

A unit that differs is a `UnitChange`, a default in place of a missing value a `FeedOutage` with a `fill`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from mlprod_helpers.faults.frames import ColumnFault


@dataclass(frozen=True)
class OtherZone(ColumnFault):
    """Hours of the day in another time zone.

    Parameters
    ----------
    columns : str or tuple of str. Whole hours from 0 to 23.
    hours : int. How far the other zone is ahead: 5 turns New York's winter time into UTC.

    >>> from mlprod_helpers.faults import apply
    >>> apply(pd.DataFrame({"hour": [8, 21]}), OtherZone("hour", 5))[0]["hour"].tolist()
    [13, 2]
    """

    kind: ClassVar[str] = "zone"
    hours: int = 5

    def __post_init__(self):
        super().__post_init__()
        if self.hours % 24 == 0:
            raise ValueError(f"hours={self.hours!r} is the same time of day: give hours such as 5 or -4")

    def change_column(self, column, hit):
        if not pd.api.types.is_numeric_dtype(column) or not column.dropna().between(0, 23).all():
            raise TypeError(f"column {column.name!r} holds no hours of the day, 0 to 23")
        return ((column + self.hours) % 24).where(hit, column)


@dataclass(frozen=True)
class OtherCodes(ColumnFault):
    """The same categories under other numbers, as when each batch numbers what it finds.

    Parameters
    ----------
    columns : str or tuple of str. Whole numbers that stand for categories; each gets the next one's number.

    >>> from mlprod_helpers.faults import apply
    >>> apply(pd.DataFrame({"origin": [0, 1, 2, 0]}), OtherCodes("origin"))[0]["origin"].tolist()
    [1, 2, 0, 1]
    """

    kind: ClassVar[str] = "codes"

    def change_column(self, column, hit):
        codes = np.sort(column.dropna().unique())
        if len(codes) < 2:
            raise ValueError(f"column {column.name!r} has fewer than two codes: nothing to exchange")
        return column.map(dict(zip(codes, np.roll(codes, -1), strict=True))).where(hit, column)


@dataclass(frozen=True)
class StaleFeature(ColumnFault):
    """A feature that is read from a store which is refreshed only now and then.

    Parameters
    ----------
    columns : str or tuple of str
    every : int. Rows from one refresh to the next; the rows between repeat the value of the refresh.

    >>> from mlprod_helpers.faults import apply
    >>> apply(pd.DataFrame({"wind": [1, 2, 3, 4, 5]}), StaleFeature("wind", 3))[0]["wind"].tolist()
    [1, 1, 1, 4, 4]
    """

    kind: ClassVar[str] = "stale"
    every: int = 100

    def __post_init__(self):
        super().__post_init__()
        if self.every < 2:
            raise ValueError(f"every={self.every!r} refreshes each row: give at least 2 rows")

    def change_column(self, column, hit):
        rows = np.arange(len(column))
        rows[hit] -= rows[hit] % self.every
        return pd.Series(column.array.take(rows), index=column.index, name=column.name)


@dataclass(frozen=True)
class FutureLeak(ColumnFault):
    """A feature that already holds some of what comes after it: the mean of this row and the next ones.

    Parameters
    ----------
    columns : str or tuple of str. Numbers.
    rows : int. How many later rows it knows.

    >>> from mlprod_helpers.faults import apply
    >>> apply(pd.DataFrame({"late": [0.0, 10.0, 20.0]}), FutureLeak("late", 1))[0]["late"].tolist()
    [5.0, 15.0, 20.0]
    """

    kind: ClassVar[str] = "leak"
    rows: int = 5

    def __post_init__(self):
        super().__post_init__()
        if self.rows < 1:
            raise ValueError(f"rows={self.rows!r} knows nothing of the future: give at least 1")

    def change_column(self, column, hit):
        if not pd.api.types.is_numeric_dtype(column):
            raise TypeError(f"column {column.name!r} is {column.dtype}: only numbers have a mean")
        later = column[::-1].rolling(self.rows + 1, min_periods=1).mean()[::-1]
        return later.where(hit, column)
