"""What goes wrong with data on its way: one place for the whole course.

A fault is not drift. The world stays as it was, only the pipe that carries its data breaks. So the remedy is
to repair the pipe; a model that is retrained on broken rows learns the bug.

Each fault is a small frozen dataclass that says what breaks, where and when. `apply` breaks a copy and hands
the truth over in a closed `Seal`; opened, it is one `Incident` for each fault, in the order given.

>>> import pandas as pd
>>> from mlprod_helpers import faults
>>> frame = pd.DataFrame({"km": [100.0, 200.0, 300.0, 400.0]})
>>> broken, seal = faults.apply(frame, [faults.UnitChange("km", 0.621, start=2)])
>>> broken["km"].round(1).tolist()
[100.0, 200.0, 186.3, 248.4]
>>> seal
Seal(closed; reveal() opens it)
>>> seal.reveal()
(Incident(unit_change of km, rows 2 to 4, 2 rows hit, factor 0.621, offset 0.0),)

A new fault subclasses `Fault`: its own settings, a `kind`, and `change(data, hit, rng)`. `hit` marks the rows
inside the window; `change` gets a copy, returns the broken data, and may add or drop rows. Window, share,
filter, seal and errors come with the base class. Faults of a request log (outage, retry storm, slow
dependency) follow `ImageGain`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field, fields
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd

__all__ = [
    "Fault",
    "ImageGain",
    "Incident",
    "MisalignedJoin",
    "MissingValues",
    "Seal",
    "StuckSensor",
    "UnitChange",
    "apply",
    "nearest_name",
]


def nearest_name(word, names):
    """The end of an error message: which of `names` was probably meant, or all of them.

    >>> nearest_name("graduel", ["sudden", "gradual"])
    "did you mean 'gradual'?"
    >>> nearest_name("soon", ["sudden", "gradual"])
    "use one of 'sudden', 'gradual'"
    """
    near = difflib.get_close_matches(str(word).lower(), [str(name) for name in names], n=1)
    return f"did you mean {near[0]!r}?" if near else "use one of " + ", ".join(repr(name) for name in names)


class Seal:
    """Holds a truth out of sight until somebody asks for it.

    Neither `repr` nor `vars` nor a debugger's list of public names shows what is inside.

    Parameters
    ----------
    truth : object
        What to hold.

    Examples
    --------
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
        """The truth. Look for yourself before you call this."""
        return self.__truth


@dataclass(frozen=True, eq=False)
class Incident:
    """What a fault did: the answer to "what broke, when, and how much of it?".

    Attributes
    ----------
    kind : str
        Name of the fault, such as ``"unit_change"``.
    columns : tuple of str
        The columns it broke; empty where the whole row or image is hit.
    start, end : int
        First row of the window and the row after its last, counted from 0.
    start_time, end_time : object or None
        Time of the first and of the last row in the window, where the data has a ``time``.
    rows : array of int
        The rows that were really hit, in order.
    details : dict
        The fault's own settings, such as ``{"factor": 0.621}``.
    """

    kind: str
    columns: tuple[str, ...]
    start: int
    end: int
    start_time: Any
    end_time: Any
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
        the column ``time`` (or a DatetimeIndex). None: from the first row, to the last.
    share : float in (0, 1]
        Share of the window's rows that are hit, drawn row by row. A hit row is hit in all the fault's
        columns.
    where : dict or None
        Only rows in which these columns have these values, such as ``{"origin": "LGA"}``.
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
                "For 5 % write 0.05; for no fault leave it out."
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


@dataclass(frozen=True)
class _ColumnFault(Fault):
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
            _need_column(data, name)
            data[name] = self.change_column(data[name], hit)
        return data

    def change_column(self, column, hit):
        """Return the broken Series."""
        raise NotImplementedError


@dataclass(frozen=True)
class MissingValues(_ColumnFault):
    """Values are lost: a field that a new version of the sender no longer fills.

    Parameters
    ----------
    columns : str or tuple of str
    start, end, share, where
        See `Fault`.

    Examples
    --------
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
class UnitChange(_ColumnFault):
    """The same quantity arrives in another unit: value x factor + offset.

    Parameters
    ----------
    columns : str or tuple of str
    factor : float
        0.621371 turns kilometers into miles, 1000 seconds into milliseconds.
    offset : float
        Added after the factor, in the new unit: Celsius to Fahrenheit is 1.8 and 32.
    start, end, share, where
        See `Fault`.

    Examples
    --------
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
class StuckSensor(_ColumnFault):
    """A sensor repeats the last value that it read before the window.

    Where the window begins with the first row, that row's value is repeated.

    Parameters
    ----------
    columns : str or tuple of str
    start, end, share, where
        See `Fault`. A share below 1 is a loose contact.

    Examples
    --------
    >>> frame = pd.DataFrame({"x": [1, 2, 3, 4]})
    >>> broken, _ = apply(frame, [StuckSensor("x", start=2)])
    >>> broken["x"].tolist()
    [1, 2, 2, 2]
    """

    kind: ClassVar[str] = "stuck_sensor"

    def change_column(self, column, hit):
        first = int(np.argmax(hit))
        before = column.iloc[:first].dropna()
        return column.mask(hit, before.iloc[-1] if len(before) else column.iloc[first])


@dataclass(frozen=True)
class MisalignedJoin(_ColumnFault):
    """Columns from another table are joined some rows too late: every value is true, but of another row.

    Each column keeps exactly its values, so no monitor of single columns can see it.

    Parameters
    ----------
    columns : str or tuple of str
        The joined columns; they move together.
    rows : int
        How far they slide among the hit rows; those that fall off the end come back at the front.
    start, end, share, where
        See `Fault`.

    Examples
    --------
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
class ImageGain(Fault):
    """A camera's gain falls (or rises): every pixel x gain, cut off at white.

    Parameters
    ----------
    gain : float
        1 is the healthy camera, 0.25 a dark one.
    start, end, share
        See `Fault`. Rows are images: the first axis of the array, shape (n, ...).

    Notes
    -----
    Whole-number pixels are rounded down, as a camera's converter does, and cut at the largest value of the
    dtype (255 for uint8). Floats are not cut: their white is not known.

    Examples
    --------
    >>> images = np.full((3, 2, 2), 101, dtype=np.uint8)
    >>> broken, _ = apply(images, [ImageGain(0.5, start=1)])
    >>> broken.mean(axis=(1, 2)).tolist()
    [101.0, 50.0, 50.0]
    """

    kind: ClassVar[str] = "image_gain"
    gain: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        if not (np.isfinite(self.gain) and self.gain >= 0) or self.gain == 1:
            raise ValueError(f"gain={self.gain!r}: 0 is black, 1 changes nothing; give a number such as 0.4")
        if self.where is not None:
            raise ValueError("images have no columns to filter by: drop `where`, use start and end")

    def change(self, data, hit, rng):
        if not isinstance(data, np.ndarray):
            raise TypeError(
                f"image_gain dims an array of images, shape (n, ...), not a {type(data).__name__}"
            )
        dimmed = data[hit] * float(self.gain)
        if np.issubdtype(data.dtype, np.integer):
            dimmed = np.minimum(dimmed, np.iinfo(data.dtype).max)
        data[hit] = dimmed.astype(data.dtype)
        return data


def apply(data, faults: Fault | Iterable[Fault], random_state=None):
    """Break a copy of `data`, one fault after the other, and seal what was done.

    Parameters
    ----------
    data : DataFrame or array of images, shape (n, ...)
        Is not changed.
    faults : Fault or iterable of Fault
        Each works on what the one before it left. One more fault at the end leaves the others as they were.
    random_state : int, Generator or None
        Decides which rows are hit where `share` is below 1.

    Returns
    -------
    broken : same type as `data`
    seal : Seal
        ``seal.reveal()`` is a tuple of `Incident`, one a fault. Rows are counted in the data that the fault
        met.

    Raises
    ------
    KeyError
        For a column that is not there, with the nearest name.
    ValueError
        For a window that is empty or lies outside of the data.

    Examples
    --------
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
        incidents.append(_incident(broken, fault, window, hit))
        if hit.any():
            broken = fault.change(broken, hit, rng)
    return broken, Seal(tuple(incidents))


def _need_column(frame, name):
    if name not in frame.columns:
        raise KeyError(f"no column {name!r}: {nearest_name(name, frame.columns)}")


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
            limit, position = _moment(data, bound, label), _times(data, label)
        inside &= position >= limit if edge == "start" else position < limit
    if not inside.any():
        raise ValueError(
            f"{label} has no row between start={fault.start!r} and end={fault.end!r}: `end` is not included"
        )
    for name, value in (fault.where or {}).items():
        _need_column(data, name)
        inside &= (data[name] == value).fillna(False).to_numpy(dtype=bool)
    if not inside.any():
        raise ValueError(f"{label}: no row of the window has {dict(fault.where)}")
    return inside


def _times(data, label=None):
    """The times of the rows as a Series or an Index; None, or an error for `label`, where there are none."""
    if isinstance(data, pd.DataFrame):
        if "time" in data.columns:
            return data["time"]
        if isinstance(data.index, pd.DatetimeIndex):
            return data.index
    if label is None:
        return None
    raise ValueError(
        f"{label} starts or ends at a moment, but the data has no `time` column: give row numbers"
    )


def _moment(data, bound, label):
    if isinstance(bound, Real):
        raise ValueError(f"{label}: {bound!r} is neither a row number (a whole number) nor a moment")
    times = _times(data, label)
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


def _incident(data, fault, window, hit):
    inside = np.flatnonzero(window)
    times = _times(data)
    first, last = int(inside[0]), int(inside[-1])
    moments = (None, None) if times is None else (pd.Series(times).iloc[first], pd.Series(times).iloc[last])
    return Incident(
        fault.kind,
        getattr(fault, "columns", ()),
        first,
        last + 1,
        *moments,
        np.flatnonzero(hit),
        fault.details(),
    )
