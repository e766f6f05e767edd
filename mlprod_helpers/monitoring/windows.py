"""A log cut into windows of time, and what can be counted in each of them in one pass over the rows."""

import copy

import numpy as np
import pandas as pd

from mlprod_helpers.names import nearest_name
from mlprod_helpers.requestlog import served
from mlprod_helpers.requestlog.numbers import as_floats

MOST_WINDOWS = 10_000_000
_LARGEST, _NEARLY_INFINITE = 1e200, 1e300


class Windows:
    """A log cut into windows of equal length, without gaps between them: what a metric's `compute` gets.

    Rows are sorted by time once; shadow copies, which no user saw, are left out.

    Parameters
    ----------
    log : DataFrame with a column `time`: a request log (UTC), or any frame with dates
    every : length of a window, as pandas writes it: "1h", "5min", "1D"

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

    def __init__(self, log, every="1h"):
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
        if not len(time):
            raise ValueError("The log is empty: there are no windows.")
        first = time[0] // width
        count = time[-1] // width - first + 1
        if count > MOST_WINDOWS:
            raise ValueError(f"These are {count:,} windows, most of them empty: choose a longer `every`.")
        self.log, self.seconds = log, width / 1e6
        self.which = time // width - first
        self.rows = np.bincount(self.which, minlength=count)
        starts = pd.DatetimeIndex((width * (first + np.arange(count))).view("datetime64[us]"), name="time")
        zone = getattr(log["time"].dtype, "tz", None)
        self.index = starts if zone is None else starts.tz_localize("UTC").tz_convert(zone)

    def __len__(self):
        return len(self.index)

    def only(self, column, value):
        """The same windows with the rows of one segment: `windows.only("device", "phone")`; None for those without."""
        column = self._series(column)
        keep = column.isna().to_numpy() if pd.isna(value) else true_where(column == value)[0]
        part = copy.copy(self)
        part.log, part.which = self.log[keep], self.which[keep]
        part.rows = np.bincount(part.which, minlength=len(self))
        return part

    def values(self, column):
        """A column's numbers as floats (n_rows,), missing ones as NaN. An array is taken as it is."""
        if not isinstance(column, str):
            return np.asarray(column, dtype=float)
        return as_floats(self._series(column), f"the column {column!r}")

    def count(self, mask):
        """How many rows of each window hold: array of int (n_windows,). A missing True or False does not hold."""
        return np.bincount(self.which[true_where(mask)[0]], minlength=len(self))

    def share(self, mask, among=None):
        """The share of rows that hold, among all rows of a window, or among those where `among` holds; NaN of none.

        Rows of which it is not known (a missing True or False) do not count, neither above nor below the line.
        """
        holds, known = true_where(mask)
        if among is not None:
            known = known & true_where(among)[0]
        return _divide(self.count(holds & known), self.count(known))

    def sum(self, column):
        """Sum in each window; missing values count 0, an empty window has sum 0, infinite ones stay infinite."""
        values = self.values(column)
        return np.bincount(self.which, np.where(np.isnan(values), 0.0, values), minlength=len(self))

    def mean(self, column):
        """Mean in each window over the values that are there; NaN where there are none, or infinite ones of both signs."""
        values = self.values(column)
        return _divide(self.sum(values), self.count(~np.isnan(values)))

    def max(self, column):
        """Largest value in each window; NaN where there are none."""
        return self.quantile(column, 1.0)

    def quantile(self, column, q):
        """The q-quantile in each window, between neighbors by straight lines as numpy does; NaN where there is no value.

        Between a finite and an infinite neighbor it is infinite. Missing values are left out; to Prometheus they are the
        smallest ones.

        Parameters
        ----------
        column : name, or array (n_rows,)
        q : float from 0 to 1
        """
        if not 0 <= q <= 1:
            raise ValueError(f"q is {q}, but a quantile is a share from 0 to 1: the 99th percentile is 0.99.")
        values = np.clip(self.values(column), -_NEARLY_INFINITE, _NEARLY_INFINITE)  # inf minus inf is NaN
        found = pd.Series(values).groupby(self.which).quantile(q).reindex(range(len(self))).to_numpy()
        return np.where(np.abs(found) > _LARGEST, np.copysign(np.inf, found), found)

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
