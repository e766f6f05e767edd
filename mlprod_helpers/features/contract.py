"""What a row must look like before a model may see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

_KINDS = ("number", "whole", "text", "time")


@dataclass(frozen=True)
class Column:
    """What one column may hold.

    Parameters
    ----------
    kind : {"number", "whole", "text", "time"}
    low, high : float or None. Ends of the range, both allowed; only for numbers.
    allowed : tuple or None. The values that training knows, such as ``("EWR", "JFK", "LGA")``.
    missing : bool. Whether the value may be missing.
    max_age : str or None. Oldest time that may stand in a column of kind "time", such as ``"30min"``.

    >>> Column("number", low=0, high=5000)
    Column(kind='number', low=0, high=5000, allowed=None, missing=False, max_age=None)
    """

    kind: str
    low: float | None = None
    high: float | None = None
    allowed: tuple | None = None
    missing: bool = False
    max_age: str | None = None

    def __post_init__(self):
        if self.kind not in _KINDS:
            raise ValueError(f"kind={self.kind!r}: a column is one of {', '.join(_KINDS)}")
        if (self.low is not None or self.high is not None) and self.kind not in ("number", "whole"):
            raise ValueError(f"only numbers have a range, and this column is {self.kind}")
        if self.max_age is not None and self.kind != "time":
            raise ValueError(f"only times have an age, and this column is {self.kind}")


@dataclass(frozen=True)
class Contract:
    """What a table must look like: a `Column` for each name.

    Parameters
    ----------
    columns : dict of str to Column. Other columns of a table do not matter.

    >>> contract = Contract({"miles": Column("number", low=0, high=5000), "origin": Column("text", allowed=("EWR", "JFK"))})
    >>> contract.broken(pd.DataFrame({"miles": [200.0, -1.0, None], "origin": ["JFK", "EWR", "XXX"]}))
       row  column     rule
    0    1   miles    range
    1    2   miles  missing
    2    2  origin  unknown
    """

    columns: Mapping[str, Column]

    def broken(self, frame, now=None):
        """Which rows break which rules.

        Parameters
        ----------
        frame : DataFrame
        now : Timestamp or None. The moment from which ages count; needed where a column has a `max_age`.

        Returns
        -------
        DataFrame : columns row (label of the frame's index), column and rule: "absent", "kind", "missing", "range",
            "unknown" or "stale". One line a row and column, the first rule that it breaks; sorted by row, then by column.
        """
        found = []
        for place, (name, column) in enumerate(self.columns.items()):
            rules = _rules(frame, name, column, now)
            hit = np.flatnonzero(rules != "")
            found.append(pd.DataFrame({"at": hit, "place": place, "column": name, "rule": rules[hit]}))
        table = pd.concat(found, ignore_index=True).sort_values(["at", "place"], kind="stable")
        table.insert(0, "row", frame.index.take(table["at"].to_numpy()))
        return table.drop(columns=["at", "place"]).reset_index(drop=True)


def _rules(frame, name, column, now):
    """Text array: the first rule that each row breaks, "" where none."""
    if name not in frame:
        return np.full(len(frame), "absent", dtype=object)
    values, rules = frame[name], np.full(len(frame), "", dtype=object)

    def mark(wrong, rule):
        rules[np.asarray(wrong, dtype=bool) & (rules == "")] = rule

    absent = values.isna().to_numpy()
    if not column.missing:
        mark(absent, "missing")
    fits = _of_kind(values, column.kind)
    mark(~fits & ~absent, "kind")
    good = fits & ~absent
    if column.low is not None or column.high is not None:
        numbers = pd.to_numeric(values.where(good), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        low = -np.inf if column.low is None else column.low
        high = np.inf if column.high is None else column.high
        mark(good & ~((numbers >= low) & (numbers <= high)), "range")
    if column.allowed is not None:
        mark(good & ~values.isin(column.allowed).to_numpy(), "unknown")
    if column.max_age is not None:
        if now is None:
            raise ValueError(f"column {name!r} has a max_age: say from which moment (now=...) ages count")
        times = pd.to_datetime(values.where(good))
        mark(good & (pd.Timestamp(now) - times > pd.Timedelta(column.max_age)).to_numpy(), "stale")
    return rules


def _of_kind(values, kind):
    """Bool array: which values are of this kind. A bool is no number, and infinity no measurement."""
    dtype = values.dtype
    if pd.api.types.is_object_dtype(dtype):
        return np.array([_is(value, kind) for value in values], dtype=bool)
    if pd.api.types.is_bool_dtype(dtype):
        return np.zeros(len(values), dtype=bool)
    if pd.api.types.is_numeric_dtype(dtype):
        numbers = values.to_numpy(dtype=float, na_value=np.nan)
        if kind == "whole":
            return np.isfinite(numbers) & (np.floor(numbers) == numbers)
        return np.isfinite(numbers) & (kind == "number")
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return np.full(len(values), kind == "time")
    return np.full(len(values), kind == "text")


def _is(value, kind):
    if isinstance(value, bool | np.bool_):
        return False
    if isinstance(value, int | float | np.number):
        return np.isfinite(value) and (kind == "number" or (kind == "whole" and value == int(value)))
    if isinstance(value, str):
        return kind == "text"
    return kind == "time" and isinstance(value, pd.Timestamp)
