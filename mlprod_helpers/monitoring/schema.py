"""What a column should look like: how a missing value is written, the range, the known categories."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlprod_helpers.monitoring.windows import true_where
from mlprod_helpers.names import nearest_name
from mlprod_helpers.requestlog.numbers import as_floats


@dataclass(frozen=True)
class Field:
    """What is agreed about one column.

    Parameters
    ----------
    missing : tuple of values that mean "nothing here", besides NaN and None: (-999,), ("",)
    low, high : float or None. The smallest and the largest value that can be true.
    known : tuple of categories or None. What the model has seen in training.

    >>> Field(missing=(-999,), low=1, high=5)
    Field(missing=(-999,), low=1, high=5, known=None)
    """

    missing: tuple = ()
    low: float | None = None
    high: float | None = None
    known: tuple | None = None


def missing_cells(frame: pd.DataFrame, name, field=None):
    """Bool array (n,): is this column's value missing, by NaN or by one of the schema's sentinels?

    >>> missing_cells(pd.DataFrame({"rating": [4.0, -999.0, None]}), "rating", Field(missing=(-999,))).tolist()
    [False, True, True]
    """
    column = _column(frame, name)
    missing = column.isna().to_numpy()
    for sentinel in field.missing if field else ():
        missing = missing | true_where(column == sentinel)[0]
    return missing


def missing_rows(frame: pd.DataFrame, schema):
    """Bool array (n,): has the row a missing value in any column of the schema?

    Two holes in one row count once; the share of rows is the mean of this.

    Parameters
    ----------
    frame : DataFrame
    schema : mapping of column name to `Field`, or a sequence of names (then only NaN and None are missing)

    >>> frame = pd.DataFrame({"query": ["red shoe", "", "bag"], "rating": [4.0, -999.0, 3.0]})
    >>> missing_rows(frame, {"query": Field(missing=("",)), "rating": Field(missing=(-999,))}).tolist()
    [False, True, False]
    """
    fields = schema if isinstance(schema, Mapping) else dict.fromkeys(schema)
    missing = np.zeros(len(frame), dtype=bool)
    for name, field in fields.items():
        missing |= missing_cells(frame, name, field)
    return missing


def out_of_range_rows(frame: pd.DataFrame, schema):
    """Bool array (n,): has the row a value below `low` or above `high` in any column? Missing values are neither.

    >>> schema = {"rating": Field(missing=(-999,), low=1, high=5)}
    >>> out_of_range_rows(pd.DataFrame({"rating": [4.0, -999.0, 45.0]}), schema).tolist()
    [False, False, True]
    """
    outside = np.zeros(len(frame), dtype=bool)
    for name, field in schema.items():
        if field.low is None and field.high is None:
            continue
        values = as_floats(_column(frame, name), f"the column {name!r}")
        wrong = np.zeros(len(frame), dtype=bool)
        if field.low is not None:
            wrong |= values < field.low
        if field.high is not None:
            wrong |= values > field.high
        if wrong.any():
            wrong &= ~missing_cells(frame, name, field)
        outside |= wrong
    return outside


def new_category_rows(frame: pd.DataFrame, schema):
    """Bool array (n,): has the row a category that is not among the known ones? Missing values are not new.

    >>> schema = {"category": Field(known=("bags", "shoes"))}
    >>> new_category_rows(pd.DataFrame({"category": ["bags", "skis", None]}), schema).tolist()
    [False, True, False]
    """
    new = np.zeros(len(frame), dtype=bool)
    for name, field in schema.items():
        if field.known is not None:
            column = _column(frame, name)
            new |= ~column.isin(field.known).to_numpy() & ~missing_cells(frame, name, field)
    return new


def _column(frame: pd.DataFrame, name):
    if name not in frame.columns:
        raise KeyError(f"no column {name!r}: {nearest_name(name, frame.columns)}")
    if not frame.columns.is_unique:
        raise ValueError("The frame has several columns of one name: rename them.")
    return frame[name]
