"""A log cut into windows of time, and what can be counted in each of them in one pass over the rows."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from mlprod_helpers.names import nearest_name
from mlprod_helpers.requestlog import served
from mlprod_helpers.requestlog.numbers import as_floats

MOST_WINDOWS = 10_000_000


class Share(NamedTuple):
    """A share in every window: so many of so many. Knows its sample size, so an interval can be given."""

    hits: np.ndarray
    trials: np.ndarray

    @property
    def value(self):
        """hits / trials, NaN where there was nothing to count."""
        return _divide(self.hits, self.trials)


class Windows:
    """A log cut into windows of equal length, without gaps between them: what a metric's `compute` gets.

    Rows are sorted by time once; shadow copies, which no user saw, are left out.

    Parameters
    ----------
    log : DataFrame with a column `time`: a request log (UTC), or any frame with dates
    every : length of a window, as pandas writes it: "1h", "5min", "1D"
    end : moment, optional
        The windows go from the first row's to the one before `end`; to the last row's if it is not given. Give it
        where the log may have gone silent: nobody sends a row to say that there are no rows.

    Attributes
    ----------
    log : DataFrame, the rows inside, sorted by time
    index : DatetimeIndex (n_windows,), start of each window, in the zone of `time`
    rows : array of int (n_windows,)
    which : array of int (n_rows,), the window of each row
    seconds : float, the length of a window

    >>> log = pd.DataFrame({"time": pd.to_datetime(["2024-01-01 00:10Z", "2024-01-01 00:50Z", "2024-01-01 02:05Z"]),
    ...                     "latency_ms": [20.0, 40.0, 90.0]})
    >>> Windows(log, "1h").mean("latency_ms").tolist()
    [30.0, nan, 90.0]
    """

    def __init__(self, log, every="1h", *, end=None):
        if log.columns.nlevels > 1 or not log.columns.is_unique:
            raise ValueError(
                "The log has several columns of one name, or names of several levels: rename them."
            )
        if "time" not in log.columns:
            raise KeyError("The log has no column 'time': windows are cut out of time.")
        width = _microseconds(every)
        log = served(log)
        time = _epoch(log["time"])
        if (np.diff(time) < 0).any():
            order = np.argsort(time, kind="stable")
            log, time = log.iloc[order], time[order]
        first, last = _span(time, end, width, log["time"].dtype)
        inside = slice(*np.searchsorted(time, [first, last]))
        self.log, self.seconds, self._cache = log.iloc[inside], width / 1e6, {}
        count = (last - first) // width
        self.edges = np.searchsorted(time[inside], first + width * np.arange(count + 1))
        self.rows = np.diff(self.edges)
        self.which = np.repeat(np.arange(count), self.rows)
        starts = pd.DatetimeIndex((first + width * np.arange(count)).view("datetime64[us]"), name="time")
        zone = getattr(log["time"].dtype, "tz", None)
        self.index = starts if zone is None else starts.tz_localize("UTC").tz_convert(zone)

    def __len__(self):
        return len(self.index)

    def only(self, column, value):
        """The same windows with the rows of one segment: `windows.only("device", "phone")`; None for those without."""
        column = self._series(column)
        keep = column.isna().to_numpy() if pd.isna(value) else true_where(column == value)[0]
        part = object.__new__(Windows)
        part.log, part.seconds, part.index, part._cache = self.log[keep], self.seconds, self.index, {}
        part.which = self.which[keep]
        part.rows = np.bincount(part.which, minlength=len(self))
        part.edges = np.append(0, np.cumsum(part.rows))
        return part

    def values(self, column):
        """A column's numbers as floats (n_rows,), missing ones as NaN. An array is taken as it is."""
        if not isinstance(column, str):
            return np.asarray(column, dtype=float)
        if column not in self._cache:
            self._cache[column] = as_floats(self._series(column), f"the column {column!r}")
        return self._cache[column]

    def count(self, mask):
        """How many rows of each window hold: array of int (n_windows,). A missing True or False does not hold."""
        return np.bincount(self.which[true_where(mask)[0]], minlength=len(self))

    def share(self, mask, among=None):
        """The `Share` of rows that hold, among all rows of a window, or among those where `among` holds.

        Rows of which it is not known (a missing True or False) do not count, neither as hits nor as trials.
        """
        holds, known = true_where(mask)
        if among is not None:
            known = known & true_where(among)[0]
        return Share(self.count(holds & known), self.rows if known.all() else self.count(known))

    def sum(self, column):
        """Sum in each window; missing values count 0, an empty window has sum 0, infinite ones stay infinite."""
        values = self.values(column)
        return np.bincount(self.which, np.where(np.isnan(values), 0.0, values), minlength=len(self))

    def mean(self, column):
        """Mean in each window over the values that are there; NaN where there are none, or infinite ones of both signs."""
        values = self.values(column)
        there = ~np.isnan(values)
        return _divide(self.sum(values), self.rows if there.all() else self.count(there))

    def max(self, column):
        """Largest value in each window; NaN where there are none."""
        return self.quantile(column, 1.0)

    def quantile(self, column, q):
        """The q-quantile in each window, between neighbors by straight lines as numpy does; NaN where there is no value.

        Between a finite and an infinite neighbor it is infinite.

        Parameters
        ----------
        column : name, or array (n_rows,)
        q : float from 0 to 1
        """
        if not 0 <= q <= 1:
            raise ValueError(f"q is {q}, but a quantile is a share from 0 to 1: the 99th percentile is 0.99.")
        ordered, there = self._sorted(column)
        at = self.edges[:-1] + q * np.maximum(there - 1, 0)
        low = np.floor(at).astype(int)
        if not len(ordered):
            return np.full(len(self), np.nan)
        low = np.minimum(low, len(ordered) - 1)  # an empty last window points behind the end
        high = np.minimum(low + (at > low), len(ordered) - 1)
        below, above = ordered[low], ordered[high]
        with np.errstate(invalid="ignore"):  # infinite values
            values = below + (at - low) * (above - below)
        values = np.where((below == above) | (np.isinf(below) & np.isfinite(above)), below, values)
        return np.where(there > 0, values, np.nan)

    def _sorted(self, column):
        """The values, sorted inside each window (NaN last), and how many are there; kept for the next quantile."""
        key = ("sorted", column) if isinstance(column, str) else None
        if key not in self._cache:
            values = self.values(column).copy()
            there = self.count(~np.isnan(values))
            for begin, end in zip(self.edges[:-1].tolist(), self.edges[1:].tolist(), strict=True):
                values[begin:end].sort()
            if key is None:
                return values, there
            self._cache[key] = values, there
        return self._cache[key]

    def _series(self, column):
        if column not in self.log.columns:
            raise KeyError(f"The log has no column {column!r}: {nearest_name(column, self.log.columns)}.")
        return self.log[column]


def true_where(mask):
    """(True?, known at all?) of each row of a mask, whatever holds it; a ValueError for what is no True or False."""
    if (
        isinstance(mask, np.ndarray | pd.Series)
        and mask.dtype.kind == "b"
        and isinstance(mask.dtype, np.dtype)
    ):
        mask = np.asarray(mask)
        return mask, np.ones(len(mask), dtype=bool)
    try:
        mask = pd.array(mask, dtype="boolean")
    except (TypeError, ValueError):
        name = getattr(mask, "name", None)
        what = "A mask" if name is None else f"The column {name!r}"
        raise ValueError(f"{what} holds values that are neither True nor False: compare it first.") from None
    return mask.to_numpy(dtype=bool, na_value=False), ~mask.isna()


def _divide(part, whole):
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(whole) > 0, np.true_divide(part, whole), np.nan)


def _microseconds(every):
    try:
        width = pd.Timedelta(every) // pd.Timedelta(microseconds=1)
    except (ValueError, TypeError) as error:
        raise ValueError(f"every={every!r} is no length of time: write '1h', '5min' or '1D'.") from error
    if width <= 0:
        raise ValueError(f"every={every!r}: a window is longer than nothing.")
    return width


def _epoch(time):
    """Microseconds since 1970: of the UTC time, or of the clock on the wall where there is no zone."""
    if not pd.api.types.is_datetime64_any_dtype(time.dtype):
        raise ValueError(f"The column 'time' holds {time.dtype}, no dates: convert it with pd.to_datetime.")
    if time.isna().any():
        raise ValueError("The column 'time' has missing values: a row without a time is in no window.")
    return time.dt.as_unit("us").astype("int64").to_numpy()


def _span(time, end, width, dtype):
    """First and last edge in microseconds, on multiples of the width."""
    if not len(time):
        raise ValueError("The log is empty: there are no windows.")
    first, last = time[0], time[-1] + 1 if end is None else _edge(end, dtype)
    if last <= first:
        raise ValueError(f"There is no window before end={end!r}: the log begins later.")
    first, last = first // width * width, -(-last // width) * width
    if (last - first) // width > MOST_WINDOWS:
        raise ValueError(
            f"These are {(last - first) // width:,} windows, most of them empty: choose a longer `every`."
        )
    return first, last


def _edge(moment, dtype):
    moment, zone = pd.Timestamp(moment), getattr(dtype, "tz", None)
    if (zone is None) != (moment.tzinfo is None):
        if zone is None:
            raise ValueError(f"{moment} has a time zone, but the log's times have none: leave it out.")
        raise ValueError(f"The time {moment} has no time zone. Write '{moment}Z' for UTC.")
    return moment.value // 1000  # value is in nanoseconds, whatever the unit
