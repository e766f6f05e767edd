"""What every fault has: window, share, filter; and the seal that hides what was done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from mlprod_helpers.names import need_columns


class Seal:
    """A box around the truth, which neither `repr` nor `vars` nor a debugger shows: only those who ask see it.

    >>> seal = Seal("it began at row 700")
    >>> seal
    Seal(closed; reveal() opens it)
    >>> seal.reveal()
    'it began at row 700'
    """

    __slots__ = ("__truth",)

    def __init__(self, truth):
        self.__truth = truth

    def __repr__(self):
        return "Seal(closed; reveal() opens it)"

    def reveal(self):
        """Return the truth. Look for yourself before you call this."""
        return self.__truth


@dataclass(frozen=True, eq=False)
class Incident:
    """What a fault did: what broke, when, and how much of it.

    Attributes
    ----------
    kind : str. Name of the fault, such as ``"unit_change"``.
    columns : tuple of str. The columns it broke; empty where the whole row or image is hit.
    start, end : int. First row of the window and the row after its last, counted from 0.
    rows : array of int. The rows that were really hit, in order.
    details : dict. The fault's own settings, such as ``{"factor": 0.621}``.
    """

    kind: str
    columns: tuple[str, ...]
    start: int
    end: int
    rows: np.ndarray
    details: Mapping[str, Any]

    @property
    def n_rows(self):
        """How many rows were hit."""
        return len(self.rows)

    def __str__(self):
        what = f"{self.kind} of {', '.join(self.columns)}" if self.columns else self.kind
        details = "".join(f", {name} {value}" for name, value in self.details.items())
        return f"{what}, rows {self.start:,} to {self.end:,}, {self.n_rows:,} rows hit{details}"

    def __repr__(self):
        return f"Incident({self})"


@dataclass(frozen=True)
class Fault:
    """Base of all faults: where and when something breaks.

    Parameters
    ----------
    start, end : int, str, datetime or None
        The window, `end` not included. An int counts rows from 0; anything else is a moment, compared with
        the column ``time``. None: from the first row, to the last.
    share : float in (0, 1]
        Share of the window's rows that are hit, drawn row by row. A hit row is hit in all the fault's
        columns.
    where : dict or None. Only rows in which these columns have these values, such as ``{"origin": "LGA"}``.
    """

    kind: ClassVar[str] = "fault"
    _: KW_ONLY
    start: Any = None
    end: Any = None
    share: float = 1.0
    where: Mapping[str, Any] | None = field(default=None, hash=False)

    def __post_init__(self):
        if not 0 < self.share <= 1:
            raise ValueError(
                f"share={self.share!r} is the part of the rows that is hit: above 0, at most 1. "
                "For 5% write 0.05; for no fault leave it out."
            )

    def change(self, data, hit, rng):
        """Return the broken data. `data` is a copy, `hit` a bool array (n_rows,), `rng` a Generator."""
        raise NotImplementedError(
            f"{type(self).__name__} has to say what it changes: write change(data, hit, rng)"
        )

    def details(self):
        """The fault's own settings: everything but columns, window, share and filter."""
        own = [f.name for f in fields(self) if f.name not in {"columns", "start", "end", "share", "where"}]
        return {name: getattr(self, name) for name in own}


def apply(data, faults: Fault | Iterable[Fault], random_state=None):
    """Break a copy of `data`, one fault after the other, and seal what was done.

    Parameters
    ----------
    data : DataFrame or array of images, shape (n, ...). Is not changed.
    faults : Fault or iterable of Fault
        Each works on what the one before it left. One more fault at the end leaves the others as they were.
    random_state : int, Generator or None. Decides which rows are hit where `share` is below 1.

    Returns
    -------
    broken : same type as `data`
    seal : Seal. ``seal.reveal()`` is a tuple of `Incident`, one a fault. Rows are counted in the data that the
        fault met.

    Raises
    ------
    KeyError : for a column that is not there, with the nearest name.
    ValueError : for a window that is empty or lies outside of the data.

    >>> from mlprod_helpers.faults import MissingValues
    >>> frame = pd.DataFrame({"x": range(1000)})
    >>> broken, seal = apply(frame, [MissingValues("x", start=500, share=0.1)], random_state=0)
    >>> int(broken["x"].isna().sum()), seal.reveal()[0].n_rows
    (62, 62)
    """
    faults = (faults,) if isinstance(faults, Fault) else tuple(faults)
    broken = data.copy()
    incidents = []
    for fault, rng in zip(faults, np.random.default_rng(random_state).spawn(len(faults)), strict=True):
        window = _window(broken, fault)
        # drawn for every row: a longer window keeps the hits of the shorter one
        hit = window if fault.share == 1 else window & (rng.random(len(window)) < fault.share)
        incidents.append(_incident(fault, window, hit))
        if hit.any():
            broken = fault.change(broken, hit, rng)
    return broken, Seal(tuple(incidents))


def need_column(frame, name):
    need_columns(frame, [name])
    if not frame.columns.is_unique:
        raise ValueError("the frame has several columns of one name: rename them")


def _window(data, fault):
    """Bool array (n,): rows between start and end that pass the filter."""
    n, label = len(data), type(fault).__name__
    inside = np.ones(n, dtype=bool)
    for edge, bound in (("start", fault.start), ("end", fault.end)):
        if bound is None:
            continue
        if isinstance(bound, (int, np.integer)) and not isinstance(bound, bool):
            if edge == "start" and not 0 <= bound < n:
                raise ValueError(
                    f"{label} starts at row {bound:,}, but the data has rows 0 to {n - 1:,}: start earlier"
                )
            position, limit = np.arange(n), bound
        else:
            limit, position = _moment(data, bound, label), data["time"]
        inside &= position >= limit if edge == "start" else position < limit
    if not inside.any():
        raise ValueError(
            f"{label} has no row between start={fault.start!r} and end={fault.end!r}: `end` is not included"
        )
    for name, value in (fault.where or {}).items():
        need_column(data, name)
        inside &= (data[name] == value).fillna(False).to_numpy(dtype=bool)
    if not inside.any():
        raise ValueError(f"{label}: no row of the window has {dict(fault.where)}")
    return inside


def _moment(data, bound, label):
    if isinstance(bound, Real):
        raise ValueError(f"{label}: {bound!r} is neither a row number (a whole number) nor a moment")
    if not isinstance(data, pd.DataFrame) or "time" not in data:
        raise ValueError(
            f"{label} starts or ends at a moment, but the data has no `time` column: give row numbers"
        )
    times = data["time"]
    if not pd.api.types.is_datetime64_any_dtype(times.dtype):
        raise ValueError(
            f"{label}: {bound!r} is no row number, and `time` holds {times.dtype}, no dates: give row numbers"
        )
    try:
        moment = pd.Timestamp(bound)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{label}: {bound!r} is neither a row number nor a moment such as '2025-03-01'"
        ) from error
    zone = getattr(times.dtype, "tz", None)
    return moment.tz_localize(zone) if zone is not None and moment.tzinfo is None else moment


def _incident(fault, window, hit):
    inside = np.flatnonzero(window)
    columns, rows = getattr(fault, "columns", ()), np.flatnonzero(hit)
    return Incident(fault.kind, columns, int(inside[0]), int(inside[-1]) + 1, rows, fault.details())
