"""Numbers out of whatever holds them: the one way in for functions that compute with plain floats."""

import numpy as np
import pandas as pd
from pandas.api import types


def as_floats(values, name="values"):
    """An array of floats, missing values as NaN, from numbers, booleans and missing values in any dtype.

    `name` is what an error calls them: text, dates and complex numbers are refused.

    >>> as_floats(pd.array([1, None], dtype="Int64")).tolist()
    [1.0, nan]
    >>> as_floats(["late"], "delays")
    Traceback (most recent call last):
    ValueError: delays must be numbers, but 'late' is none: convert it or leave it out.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        return np.asarray(values, dtype=float)
    odd = f"of type {getattr(values, 'dtype', type(values).__name__)}"
    try:
        if np.ndim(values) != 1:
            return np.asarray(values, dtype=float)
        column = pd.Series(values)
        kind = types.infer_dtype(column, skipna=True) if column.dtype == object else ""
        dates = types.is_datetime64_any_dtype(column) or types.is_timedelta64_dtype(column)
        if not (dates or types.is_complex_dtype(column) or "date" in kind or "timedelta" in kind):
            return column.to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError):
        odd = next(
            (
                repr(value)
                for value in np.asarray(values, dtype=object).ravel().tolist()
                if not _is_number(value)
            ),
            odd,
        )
    raise ValueError(f"{name} must be numbers, but {odd} is none: convert it or leave it out.")


def _is_number(value):
    try:
        float(value)
    except (TypeError, ValueError):
        return value is None or value is pd.NA
    return True
