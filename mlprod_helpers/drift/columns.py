"""What kind of values does a column hold, and which numbers are they? Decided by the values, not by how they are stored.

Whatever compares two samples asks here, so that a report, a distance and a classifier never disagree about a column.
"""

import re
from decimal import Decimal
from numbers import Real

import numpy as np
import pandas as pd
from pandas.api import types

LARGEST_EXACT = 2.0**53  # beyond it a float cannot tell neighboring integers apart
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}.*)?")
_INFERRED = {
    **dict.fromkeys(("date", "datetime", "datetime64", "period"), "datetime"),
    **dict.fromkeys(("integer", "floating", "mixed-integer-float", "decimal"), "number"),
    **dict.fromkeys(("timedelta", "timedelta64"), "timedelta"),
    "boolean": "boolean",
}


def as_series(values, role):
    """One column as a pandas Series; a clear error for anything else."""
    if isinstance(values, pd.DataFrame):
        raise TypeError(f"{role} is a whole table: pass one column, or use drift_report for all of them")
    series = values if isinstance(values, pd.Series) else _from_array(values, role)
    if len(series) == 0:
        raise ValueError(f"{role} has no rows: nothing to compare")
    return series


def _from_array(values, role):
    array = values if hasattr(values, "dtype") else list(values)
    if np.ndim(array) != 1:
        raise ValueError(f"{role} must be one column, got {np.ndim(array)} dimensions")
    return pd.Series(array)


def as_table(data, role):
    """A DataFrame with rows, columns and different names; a clear error for anything else."""
    if isinstance(data, pd.Series):
        data = data.to_frame()
    if not isinstance(data, pd.DataFrame):
        raise TypeError(f"{role} must be a pandas DataFrame, got {type(data).__name__}")
    if data.empty:
        raise ValueError(f"{role} is empty: nothing to compare")
    if not data.columns.is_unique:
        twice = sorted(set(map(str, data.columns[data.columns.duplicated()])))
        raise ValueError(f"{role} has several columns called {twice}: rename them first")
    return data


# ---------------------------------------------------------------- kinds


def kinds_of(reference, current):
    """The kinds of two columns; equal if they can be compared.

    A kind is "number", "timedelta", "datetime", "boolean", "category" (text and anything else) or "missing". A
    column without any value takes the kind of the other one. Objects are looked at one by one: numbers from a
    database are numbers. Booleans beside numbers are 0 and 1. Text is a date if all of it is written as 2013-02-09
    in both columns. A pandas category stays one, unless the other column holds its values plainly.

    >>> kinds_of(pd.Series([1, 2.5], dtype=object), pd.Series([3, None], dtype="Int64"))
    ('number', 'number')
    """
    kinds = [_kind_of(column) for column in (reference, current)]
    levels = [isinstance(column.dtype, pd.CategoricalDtype) for column in (reference, current)]
    if sum(levels) == 1:
        i = levels.index(True)
        of_levels = _kind_of(_without_levels((reference, current)[i]))
        kinds[i] = of_levels if of_levels == kinds[1 - i] else kinds[i]
    observed = set(kinds) - {"missing"}
    if "date text" in observed:
        kind = "datetime" if observed <= {"date text", "datetime"} else "category"
        kinds = [kind if k == "date text" else k for k in kinds]
    elif observed == {"boolean", "number"}:
        kinds = ["number" if k == "boolean" else k for k in kinds]
    if "missing" in kinds:
        kinds = [max(kinds, key=lambda k: k != "missing")] * 2
    return tuple(kinds)


def common_kind(reference, current):
    """The one kind of two columns, as `kinds_of` decides it; an error names the column and both kinds."""
    kind, kind_now = kinds_of(reference, current)
    if kind != kind_now:
        column = "" if reference.name is None else f"column {reference.name!r}: "
        raise ValueError(
            f"{column}reference holds {kind} values, current {kind_now} values: convert one of them"
        )
    return kind


def _kind_of(series):
    """As in `kinds_of`, or "date text"."""
    dtype = series.dtype
    if series.isna().all():
        return "missing"
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if types.is_datetime64_any_dtype(dtype) or isinstance(dtype, pd.PeriodDtype):
        return "datetime"
    if types.is_timedelta64_dtype(dtype):
        return "timedelta"
    if types.is_bool_dtype(dtype):
        return "boolean"
    if types.is_complex_dtype(dtype):
        raise ValueError(f"Column {series.name!r} holds complex numbers: split them into two columns.")
    if types.is_numeric_dtype(dtype):
        return "number"
    inferred = types.infer_dtype(series, skipna=True)
    if inferred.startswith("mixed") and all(
        isinstance(value, Real | Decimal) for value in series[series.notna()]
    ):
        return "number"
    return _INFERRED.get(inferred) or ("date text" if _reads_as_date(series) else "category")


def _reads_as_date(series):
    present = series[series.notna()]
    # a few hundred rows tell in most cases, and all of them decide
    for some in (present.iloc[:: max(1, len(present) // 200)], present):
        if not all(isinstance(value, str) and _ISO_DATE.fullmatch(value) for value in some):
            return False
    return bool(pd.to_datetime(present, utc=True, errors="coerce", format="mixed").notna().all())


def _without_levels(series):
    if not isinstance(series.dtype, pd.CategoricalDtype):
        return series
    return pd.Series(np.asarray(series), index=series.index, name=series.name)


# ---------------------------------------------------------------- values


def numbers_of(reference, current, kind):
    """The values of two columns of one kind (not "category") as float64, row by row; missing ones are NaN.

    Times are seconds since 1970 (UTC), durations seconds. Where one column holds 32-bit floats both are rounded to
    them, since 0.1 is not the same number in both. Integers beyond 2**53 are given as differences from the third
    value that is returned, the smallest one of the reference; it is 0 otherwise.
    """
    both = [_without_levels(column) for column in (reference, current)]
    # of a column without a value the dtype means nothing
    both = [column.astype(object) if column.isna().all() else column for column in both]
    if kind == "datetime":
        return *map(_seconds, moments_of(*both)), 0
    if kind == "timedelta":
        return *(_seconds(pd.to_timedelta(column)) for column in both), 0
    exact = _exact_differences(both)
    if exact is not None:
        return exact
    values = [column.to_numpy(dtype=float, na_value=np.nan) for column in both]
    precision = min((_precision(column) for column in both), key=lambda dtype: dtype.itemsize)
    if precision.itemsize < 8:
        with np.errstate(over="ignore"):
            values = [column.astype(precision).astype(float) for column in values]
    return *values, 0


def _precision(series):
    dtype = getattr(series.dtype, "numpy_dtype", series.dtype)
    if isinstance(dtype, np.dtype) and dtype.kind == "f":
        return dtype
    if dtype.kind == "O":
        dtypes = {value.dtype for value in series if isinstance(value, np.floating)}
        return min(dtypes, key=lambda dtype: dtype.itemsize, default=np.dtype(float))
    return np.dtype(float)


def _exact_differences(both):
    """As `numbers_of` returns it where there are integers that no float holds, None elsewhere."""
    for column in both:
        if not types.is_integer_dtype(column.dtype) and (
            column.dtype != object or types.infer_dtype(column, skipna=True) != "integer"
        ):
            return None
    present = [column.notna().to_numpy() for column in both]
    observed = [column[rows] for column, rows in zip(both, present, strict=True)]
    limits = [int(limit) for column in observed if len(column) for limit in (column.min(), column.max())]
    if max(map(abs, limits), default=0) <= LARGEST_EXACT:
        return None
    origin = min(limits)
    differences = [np.full(len(rows), np.nan) for rows in present]
    for values, rows, column in zip(differences, present, observed, strict=True):
        values[rows] = [int(value) - origin for value in column]
    return *differences, origin


def moments_of(reference, current):
    """Two columns of times as datetime64: with their zone where they share it, in UTC otherwise.

    Times without a zone are taken for UTC where the other column has one.
    """
    both = [_as_moments(column) for column in (reference, current)]
    zones = [column.dt.tz for column in both]
    if str(zones[0]) != str(zones[1]):
        both = [
            column.dt.tz_localize("UTC") if zone is None else column.dt.tz_convert("UTC")
            for column, zone in zip(both, zones, strict=True)
        ]
    return both


def _as_moments(series):
    if types.is_datetime64_any_dtype(series.dtype):
        return series
    series = _without_levels(series)
    if isinstance(series.dtype, pd.PeriodDtype):
        return series.dt.to_timestamp()
    if types.infer_dtype(series, skipna=True) == "period":
        series = series.map(lambda period: period.to_timestamp(), na_action="ignore")
    times = pd.to_datetime(series, utc=True, format=None if series.isna().all() else "mixed")
    # what says nothing of a zone must not look as if it did
    aware = (
        getattr(value, "tzinfo", None) or re.search(r"(Z|[+-]\d\d:?\d\d)$", str(value)[10:])
        for value in series
    )
    return times if any(aware) else times.dt.tz_localize(None)


def _seconds(series):
    """Moments or durations as seconds."""
    unit = "timedelta64" if types.is_timedelta64_dtype(series.dtype) else "datetime64"
    if unit == "datetime64" and series.dt.tz is not None:
        series = series.dt.tz_convert("UTC").dt.tz_localize(None)
    values = series.to_numpy(dtype=f"{unit}[ns]" if series.dt.unit == "ns" else f"{unit}[us]")
    per_second = 1e9 if series.dt.unit == "ns" else 1e6
    return np.where(np.isnat(values), np.nan, values.view("int64") / per_second)
