"""Alert rules over a measured frame: when is whom to alert, and why?

The measured frame has one row a window (index: its start, UTC), one column a metric, NaN where a window was empty. A rule's
`for_` means what Prometheus documents for `for`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from datetime import timedelta
from numbers import Real

import numpy as np
import pandas as pd

from mlprod_helpers.names import nearest_name
from mlprod_helpers.requestlog.numbers import as_floats

SEVERITIES = ("page", "ticket")  # wakes somebody now, waits for the working day
HOURS_OF_DAY, HOURS_OF_WEEK = 24, 168
ALERT_COLUMNS = (
    "rule",
    "metric",
    "severity",
    "owner",
    "since",
    "start",
    "end",
    "value",
    "threshold",
    "reason",
)
_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}


@dataclass(frozen=True)
class Rule:
    """A threshold for a metric, how long it has to be crossed, and whom that alerts.

    The condition is an "or" of what is given: above a threshold, below one. It is looked at once at the end of each
    window and has to hold at every look for the duration `for_`. So on hourly windows `for_="0h"` fires at the end
    of the first bad window and `for_="2h"` at the end of the third. A missing window says nothing: a pending alert
    begins anew, and a firing one ends, as in Prometheus for a series without a sample and without `keep_firing_for`.

    Parameters
    ----------
    metric : str. Column of the measured frame.
    above, below : float or sequence of 24 or 168 floats, optional
        Threshold, not itself out of bounds; an infinite value is beyond any. A sequence has one threshold for each
        hour of the day or of the week (UTC, from Monday 0 h; the hour in which a window begins).
    for_ : str or timedelta. How long the condition has to hold before the alert fires: "2h", "90m", "1d12h".
    severity : {"page", "ticket"}
    owner : str. The person or rota that is alerted.
    name : str. Name of the alert; "LatencyP99High" for a `latency_p99` above its threshold if not given.

    Source: Prometheus, "Alerting rules" and "Recording rules" (prometheus.io/docs, version 2.42).

    >>> rule = Rule("error_rate", above=0.05, for_="2h", owner="eta-oncall")
    >>> print(rule)
    ErrorRateHigh: error_rate above 0.05 for 2h, page to eta-oncall
    """

    metric: str
    above: float | tuple | None = None
    below: float | tuple | None = None
    for_: pd.Timedelta = pd.Timedelta(0)  # noqa: RUF009 (immutable)
    severity: str = "page"
    owner: str = ""
    name: str = ""

    def __post_init__(self):
        put = object.__setattr__
        for name in ("metric", "owner", "name"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} is {getattr(self, name)!r}, but it is a text.")
        if not self.metric:
            raise ValueError("A rule watches a metric: name the column of the measured frame.")
        for name in ("above", "below"):
            put(self, name, _threshold(getattr(self, name), name))
        put(self, "for_", duration(self.for_, "for_"))
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity is {self.severity!r}: {nearest_name(self.severity, SEVERITIES)}")
        if self.above is None and self.below is None:
            raise ValueError(f"The rule on {self.metric!r} can never fire: give above= or below=.")
        put(self, "name", self.name or self._default_name())

    def _default_name(self):
        words = "".join(part[:1].upper() + part[1:] for part in self.metric.replace(".", "_").split("_"))
        if self.above is not None and self.below is not None:
            return f"{words}OutOfRange"
        return f"{words}High" if self.below is None else f"{words}Low"

    @property
    def condition(self):
        """The condition in words.

        >>> Rule("requests", below=10).condition
        'requests below 10'
        """
        parts = [
            f"{side} {in_words(getattr(self, side))}"
            for side in ("above", "below")
            if getattr(self, side) is not None
        ]
        return f"{self.metric} {' or '.join(parts)}"

    def __str__(self):
        held = f" for {duration_text(self.for_)}" if self.for_ else ""
        return f"{self.name}: {self.condition}{held}, {self.severity} to {self.owner or 'nobody'}"

    @staticmethod
    def from_dict(plain):
        """The rule with these settings.

        >>> Rule.from_dict({"metric": "requests", "above_": 10})
        Traceback (most recent call last):
        ValueError: A rule has no setting 'above_': did you mean 'above'?
        """
        names = [field.name for field in fields(Rule)]
        for name in plain:
            if name not in names:
                raise ValueError(f"A rule has no setting {name!r}: {nearest_name(name, names)}")
        return Rule(**plain)


# --- small words ------------------------------------------------------------------------------------------------------


def duration(value, name="duration"):
    """A length of time as a Timedelta: from "2h", "90m", "1d12h", a timedelta, or 0.

    The spellings of pandas are read as well ("5min"), but no years, which Prometheus knows.

    Raises
    ------
    ValueError : for a negative one, a bare number, and what is finer than a millisecond (Prometheus' own limit).

    >>> duration("1h30m")
    Timedelta('0 days 01:30:00')
    """
    if isinstance(value, Real) and not isinstance(value, bool) and value == 0:
        value = timedelta(0)
    if not isinstance(value, str | timedelta | np.timedelta64):
        raise ValueError(f"{name} is {value!r}, but a duration needs its unit: '2h', '90m', '1d'.")
    try:
        # pandas writes days and weeks with a capital, Prometheus does not
        if isinstance(value, str):
            value = re.sub(r"(?<=\d)[dw]", lambda unit: unit[0].upper(), value)
        length = pd.Timedelta(value)
    except ValueError:
        raise ValueError(
            f"{name} is {value!r}, which is no duration: write '2h', '90m' or '1d12h'."
        ) from None
    if pd.isna(length) or length < pd.Timedelta(0):
        raise ValueError(f"{name} is {value!r}, but a duration is 0 or more.")
    if length % pd.Timedelta(1, "ms"):
        raise ValueError(f"{name} is {value!r}, but durations count whole milliseconds.")
    return length


def duration_text(length):
    """A duration as Prometheus reads it; its largest unit is the day, where Prometheus writes weeks and years.

    >>> duration_text(pd.Timedelta("36h")), duration_text(pd.Timedelta(0))
    ('1d12h', '0s')
    """
    rest = round(pd.Timedelta(length) / pd.Timedelta(1, "ms"))
    text = ""
    for unit, size in _UNITS.items():
        many, rest = divmod(rest, size)
        text += f"{many}{unit}" if many else ""
    return text or "0s"


def in_words(threshold):
    """A threshold for a sentence.

    >>> in_words(0.05), in_words((1.0,) * 24)
    ('0.05', '1 to 1 by hour of day')
    """
    if not isinstance(threshold, tuple):
        return f"{threshold:g}"
    span = "day" if len(threshold) == HOURS_OF_DAY else "week"
    return f"{min(threshold):g} to {max(threshold):g} by hour of {span}"


def _number(value, name):
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}, but a threshold is a finite number.")
    return float(value)


def _threshold(value, name):
    """None, a float, or a tuple of 24 or 168 floats."""
    if value is None or isinstance(value, Real):
        return None if value is None else _number(value, name)
    try:
        values = tuple(_number(each, name) for each in value)
    except TypeError:
        raise ValueError(f"{name} is {value!r}, but a threshold is a number, or one an hour.") from None
    if len(values) not in (HOURS_OF_DAY, HOURS_OF_WEEK):
        raise ValueError(
            f"{name} has {len(values)} thresholds: give one, 24 (hours of the day) or 168 (of the week)."
        )
    return values


# --- the frame and its clock ------------------------------------------------------------------------------------------


def hour_of_week(index):
    """0 (Monday 0 h UTC) to 167 for each window, by its start.

    >>> hour_of_week(pd.DatetimeIndex(["2024-01-01 05:00Z", "2024-01-07 23:30Z"])).tolist()
    [5, 167]
    """
    return np.asarray(index.tz_convert("UTC").day_of_week) * HOURS_OF_DAY + hour_of_day(index)


def hour_of_day(index):
    """0 to 23 (UTC) for each window, by its start."""
    return np.asarray(index.tz_convert("UTC").hour)


def limits(threshold, index):
    """The threshold in force in each window: array of shape (windows,)."""
    if not isinstance(threshold, tuple):
        return np.full(len(index), float(threshold))
    at = hour_of_week(index) if len(threshold) == HOURS_OF_WEEK else hour_of_day(index)
    return np.asarray(threshold)[at]


def on_grid(measured):
    """The frame with every window in its place and the windows' length: a window that was left out is a missing one.

    Raises
    ------
    ValueError : for a frame whose index is no rising UTC time, has fewer than two windows, or windows of unequal length.

    >>> index = pd.DatetimeIndex(["2024-01-01 00:00Z", "2024-01-01 01:00Z", "2024-01-01 03:00Z"])
    >>> on_grid(pd.DataFrame({"x": [1.0, 2.0, 4.0]}, index))[0]["x"].tolist()
    [1.0, 2.0, nan, 4.0]
    """
    index = measured.index
    if not isinstance(index, pd.DatetimeIndex) or index.tz is None:
        raise ValueError(
            "A measured frame has the start of each window (UTC) as its index: see monitoring.measure."
        )
    if len(index) < 2:
        raise ValueError("Rules need at least two windows: measure a longer log, or shorter windows.")
    if not (index.is_monotonic_increasing and index.is_unique):
        raise ValueError(
            "The windows of a measured frame follow one another: sort its index and drop repeats."
        )
    every = (index[1:] - index[:-1]).min()
    if ((index - index[0]) % every).any():
        raise ValueError(
            f"The windows of a measured frame are equally long: this one has steps other than {every}."
        )
    full = pd.date_range(index[0], index[-1], freq=every)
    return (measured if len(full) == len(index) else measured.reindex(full)), every


# --- evaluation -------------------------------------------------------------------------------------------------------


def evaluate(rules, measured):
    """Which alerts do these rules raise over a measured frame (windows x metrics)?

    Returns
    -------
    DataFrame, one row an alert, in the order in which they fire
        `rule, metric, severity, owner`; `since`, when the condition began to hold; `start`, when the alert fired;
        `end`, when it ended (NaT: it still fires); `value`, the worst while it held; `threshold` in force when it
        fired; `reason` in words. A window is known when it has passed, so all times are ends of windows.

    >>> index = pd.date_range("2024-01-01", periods=6, freq="1h", tz="UTC")
    >>> measured = pd.DataFrame({"error_rate": [0.01, 0.2, 0.3, 0.2, 0.01, 0.01]}, index)
    >>> alerts = evaluate(Rule("error_rate", above=0.05, for_="1h", owner="eta-oncall"), measured)
    >>> alerts[["since", "start", "end"]].map(lambda t: t.hour).values.tolist(), alerts.loc[0, "reason"]
    ([[2, 3, 5]], 'error_rate above 0.05 for 1h: 0.3 at worst')
    """
    measured, every = on_grid(measured)
    return as_alerts([row for rule in as_rules(rules) for row in _alerts_of(rule, measured, every)])


def states(rules, measured):
    """Which rules fire at the end of each window? A frame of True and False, windows x names of rules.

    >>> index = pd.date_range("2024-01-01", periods=4, freq="1h", tz="UTC")
    >>> measured = pd.DataFrame({"requests": [50.0, 3.0, 2.0, 60.0]}, index)
    >>> states(Rule("requests", below=10), measured)["RequestsLow"].tolist()
    [False, True, True, False]
    """
    measured, every = on_grid(measured)
    return pd.DataFrame(
        {rule.name: firing(rule, measured, every)[0] for rule in as_rules(rules)}, index=measured.index
    )


def as_rules(rules):
    """A tuple of rules, from one rule or several."""
    rules = (rules,) if isinstance(rules, Rule) else tuple(rules)
    for rule in rules:
        if not isinstance(rule, Rule):
            raise ValueError(f"{rule!r} is no rule: write Rule(metric, above=...).")
    return rules


def firing(rule, measured, every):
    """(fires, out of bounds): bool arrays of shape (windows,) for one rule over a frame without gaps."""
    values = values_of(measured, rule.metric)
    breach = np.zeros(len(values), dtype=bool)
    if rule.above is not None:  # NaN compares false
        breach |= values > limits(rule.above, measured.index)
    if rule.below is not None:
        breach |= values < limits(rule.below, measured.index)
    return run_lengths(breach) > looks(rule.for_, every), breach


def values_of(measured, metric):
    """One metric as floats, or a ValueError with the nearest name."""
    if metric not in measured.columns:
        raise ValueError(
            f"The measured frame has no metric {metric!r}: {nearest_name(metric, measured.columns)}"
        )
    if not measured.columns.is_unique:
        raise ValueError("The measured frame has several columns of one name: rename them.")
    return as_floats(measured[metric], f"the metric {metric!r}")


def run_lengths(mask):
    """How many True in a row end here, 0 where False; along the last axis.

    >>> run_lengths(np.array([True, True, False, True])).tolist()
    [1, 2, 0, 1]
    """
    at = np.broadcast_to(np.arange(1, mask.shape[-1] + 1), mask.shape)
    return at - np.maximum.accumulate(np.where(mask, 0, at), axis=-1)


def looks(length, every):
    """How many looks after the first one a duration has passed."""
    return -(-length // every)


def _alerts_of(rule, measured, every):
    fires, breach = firing(rule, measured, every)
    edges = np.diff(fires.astype(np.int8), prepend=0)
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    if len(ends) < len(starts):  # the last one still fires
        ends = np.append(ends, len(fires))
    known = [*(measured.index + every), pd.NaT] if len(starts) else []
    values = values_of(measured, rule.metric)
    first = starts - run_lengths(breach)[starts] + 1
    for since, start, end in zip(first, starts, ends, strict=True):
        value, threshold = _worst(rule, values[since:end], measured.index[since:end])
        yield (
            *(rule.name, rule.metric, rule.severity, rule.owner),
            *(known[since], known[start], known[end]),
            *(value, threshold, _reason(rule, value, threshold)),
        )


def _worst(rule, values, index):
    """(value farthest beyond its threshold, that threshold)."""
    farthest = 0.0
    for threshold, sign in ((rule.above, 1), (rule.below, -1)):
        if threshold is None:
            continue
        limit = limits(threshold, index)
        beyond = np.where(np.isnan(values), -np.inf, sign * (values - limit))
        at = int(beyond.argmax())
        if beyond[at] > farthest:
            farthest, worst = beyond[at], (float(values[at]), float(limit[at]))
    return worst


def _reason(rule, value, threshold):
    held = f" for {duration_text(rule.for_)}" if rule.for_ else ""
    side = "above" if value > threshold else "below"
    return f"{rule.metric} {side} {threshold:.4g}{held}: {value:.4g} at worst"


def as_alerts(rows):
    """The frame of alerts, in the order in which they fire, from tuples in the order of `ALERT_COLUMNS`.

    >>> as_alerts([]).columns.tolist()[:3], len(as_alerts([]))
    (['rule', 'metric', 'severity'], 0)
    """
    alerts = pd.DataFrame(rows, columns=list(ALERT_COLUMNS))
    for name in ("since", "start", "end"):
        alerts[name] = pd.to_datetime(alerts[name], utc=True).astype("datetime64[us, UTC]")
    for name in ("value", "threshold"):
        alerts[name] = alerts[name].astype(float)
    for name in ("rule", "metric", "severity", "owner", "reason"):
        alerts[name] = alerts[name].astype("str")
    return alerts.sort_values(["start", "rule"], kind="stable", ignore_index=True)
