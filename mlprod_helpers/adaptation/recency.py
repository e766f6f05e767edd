"""Time as numbers, and weights that fade with age."""

import numpy as np
import pandas as pd

from mlprod_helpers.requestlog.numbers import as_floats

NEVER = np.iinfo(np.int64).max  # a date that does not come: later than all others


class Clock:
    """Turns the times of one data set into numbers that can be compared and subtracted.

    Dates become nanoseconds (UTC when they carry a time zone), numbers stay as they are. Mixing the two, or
    dates with and without a time zone, is an error: a silent shift of some hours lets labels travel in time.

    Parameters
    ----------
    times : array-like of dates or numbers, shape (n,). The times that set the kind; none may be missing.

    >>> clock = Clock(["2013-01-01", "2013-01-02"])
    >>> bool(clock.span("1D") == clock.times[1] - clock.times[0])
    True
    """

    def __init__(self, times, what="times"):
        series = _series(times, what)
        self.dated = pd.api.types.is_datetime64_any_dtype(series)
        self.aware = self.dated and series.dt.tz is not None
        self.never = NEVER if self.dated else np.inf
        self.times = self.numbers(series, what)

    def numbers(self, values, what, missing_is_never=False):
        """`values` on this clock, shape (n,); int64 nanoseconds for dates, float64 for numbers."""
        series = _series(values, what)
        dated = pd.api.types.is_datetime64_any_dtype(series)
        missing = series.isna().to_numpy()
        if missing.all() and len(series) and missing_is_never:
            return np.full(len(series), self.never)
        if dated != self.dated:
            kinds = ("numbers", "dates")
            raise ValueError(
                f"{what} are {kinds[dated]} but the rows' times are {kinds[self.dated]}: use one kind."
            )
        if missing.any() and not missing_is_never:
            raise ValueError(
                f"{what}: {missing.sum()} of {len(series)} are missing. Drop or fill them first."
            )
        if not dated:
            numbers = series.to_numpy(dtype=float, na_value=np.inf)
            if not missing_is_never and np.isinf(numbers).any():
                raise ValueError(f"{what}: some are infinite. Drop those rows first.")
            return numbers
        if (series.dt.tz is not None) != self.aware:
            raise ValueError(f"{what} and the rows' times must both have a time zone, or neither.")
        if self.aware:
            series = series.dt.tz_convert("UTC").dt.tz_localize(None)
        try:
            numbers = series.dt.as_unit("ns").to_numpy().astype(np.int64)
        except pd.errors.OutOfBoundsDatetime:
            raise ValueError(
                f"{what}: a date lies outside the years 1678 to 2262. If it stands for 'never', leave it missing."
            ) from None
        return np.where(missing, NEVER, numbers)

    def moment(self, value, what):
        """One time on this clock."""
        return self.numbers([value], what)[0]

    def span(self, value, what="span"):
        """A length of time on this clock: '14D' or a timedelta for dates, a number for numbers."""
        if not self.dated:
            try:
                return float(value)
            except (TypeError, ValueError):
                raise ValueError(f"{what}={value!r}: the times are numbers, so give a number.") from None
        if isinstance(value, int | float | np.number):
            raise ValueError(
                f"{what}={value!r} has no unit: the times are dates, so write for example '14D'."
            )
        try:
            return pd.Timedelta(value).value
        except (TypeError, ValueError):
            raise ValueError(
                f"{what}={value!r} is no length of time: write for example '14D' or '6h'."
            ) from None


def _series(values, what):
    """Dates or numbers as a Series with a plain index; anything else is an error."""
    if isinstance(values, pd.Series | pd.Index):
        series = pd.Series(values.array)
    else:
        values = np.asarray(values) if not isinstance(values, list | tuple) else list(values)
        series = pd.Series(values)
    if pd.api.types.infer_dtype(series, skipna=True) in (
        "integer",
        "floating",
        "mixed-integer-float",
        "decimal",
    ):
        series = pd.Series(series.to_numpy(dtype=float, na_value=np.nan))
    if series.dtype == object or pd.api.types.is_string_dtype(series):
        try:
            series = pd.Series(
                pd.to_datetime(series, format="ISO8601")
            )  # 2013-02-11: 11/2/2013 has two meanings
        except (TypeError, ValueError):
            raise ValueError(f"{what} must be dates (such as 2013-02-11) or numbers.") from None
    numeric = pd.api.types.is_numeric_dtype(series) and not pd.api.types.is_bool_dtype(series)
    if not numeric and not pd.api.types.is_datetime64_any_dtype(series):
        raise ValueError(f"{what} must be dates or numbers, not {series.dtype}.")
    return series


def recency_weights(times, half_life, *, now=None):
    """How much each row should count when old rows fade: half as much for every half-life of age.

    The weight is `0.5 ** (age / half_life)` with `age = now - time`, so 1 for a row of this moment. It depends on
    time alone: a busy day does not push the past away faster. Pass it as `sample_weight` to a model's `fit`.

    Parameters
    ----------
    times : array-like of dates or numbers, shape (n,). When each row happened.
    half_life : str, timedelta or number
        The age at which a row counts half: '14D' for dates, a number in the unit of `times` for numbers.
    now : date or number, optional. The moment of training. Default: the latest of `times`. Later rows are refused.

    Source: Klinkenberg, "Learning drifting concepts: example selection vs. example weighting", Intelligent Data
        Analysis 8 (2004).

    >>> recency_weights(["2013-01-01", "2013-01-15", "2013-01-29"], "14D")
    array([0.25, 0.5 , 1.  ])
    """
    clock = Clock(times)
    half_life_span = clock.span(half_life, "half_life")
    if not half_life_span > 0:
        raise ValueError(f"half_life={half_life!r} must be longer than nothing.")
    if not len(clock.times):
        return np.empty(0)
    moment = clock.times.max() if now is None else clock.moment(now, "now")
    age = moment - clock.times
    if (age < 0).any():
        raise ValueError(
            f"{(age < 0).sum()} of {len(age)} rows are later than now: a model trained now cannot have seen them. "
            "Leave them out, or set `now`."
        )
    return 0.5 ** (age / half_life_span)


def effective_rows(weights):
    """How many equally weighted rows carry as much information as these weighted ones: 0 when no weight is positive.

    Kish's formula, `sum(w)**2 / sum(w**2)` (Survey Sampling, 1965): the price of forgetting, in rows.

    >>> round(effective_rows(recency_weights(range(1000), 30)), 1)
    86.6
    """
    weights = as_floats(weights, "weights")
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise ValueError("weights must not be negative, infinite or missing.")
    if not weights.any():
        return 0.0
    weights = weights / weights.max()  # so that squares neither overflow nor vanish
    return float(weights.sum() ** 2 / np.square(weights).sum())
