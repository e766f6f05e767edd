"""What a column should look like: how a missing value is written, the range, the known categories."""

from dataclasses import dataclass

import pandas as pd

from mlprod_helpers.monitoring.windows import true_where
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


def is_missing(column: pd.Series, field):
    """Bool array (n,): is the value missing, by NaN or by one of the field's sentinels?

    >>> is_missing(pd.Series([4.0, -999.0, None]), Field(missing=(-999,))).tolist()
    [False, True, True]
    """
    missing = column.isna().to_numpy()
    for sentinel in field.missing:
        missing = missing | true_where(column == sentinel)[0]
    return missing


def is_out_of_range(column: pd.Series, field):
    """Bool array (n,): is the value below `low` or above `high`? Missing values are neither.

    >>> is_out_of_range(pd.Series([4.0, -999.0, 45.0]), Field(missing=(-999,), low=1, high=5)).tolist()
    [False, False, True]
    """
    values = as_floats(column, f"the column {column.name!r}")
    return ((values < field.low) | (values > field.high)) & ~is_missing(column, field)


def is_new_category(column: pd.Series, field):
    """Bool array (n,): is the category not among the known ones? Missing values are not new.

    >>> is_new_category(pd.Series(["bags", "skis", None]), Field(known=("bags", "shoes"))).tolist()
    [False, True, False]
    """
    return ~column.isin(field.known).to_numpy() & ~is_missing(column, field)
