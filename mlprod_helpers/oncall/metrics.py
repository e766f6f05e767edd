"""What the team measures of each day, what is usual, and the alerts that follow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mlprod_helpers.monitoring.rules import Rule

QUIET = 3  # mornings within limits after which an alert ends


class Metric(NamedTuple):
    """One number a morning: its unit, where bad is ("up", "down", "both", "" for nowhere), and what it says."""

    unit: str
    bad: str
    severity: str
    margin: float  # the least distance from the usual value to a limit
    meaning: str


METRICS = {
    "requests": Metric("requests", "both", "page", 2000, "requests of yesterday"),
    "failed_share": Metric("share", "up", "page", 0.01, "of yesterday's requests that got no answer"),
    "latency_p95": Metric("ms", "up", "page", 90, "95% of yesterday's answers came within this time"),
    "attempts": Metric("attempts", "up", "ticket", 0.2, "how often a display sent a request, on average"),
    "missing_share": Metric("share", "up", "ticket", 0.02, "of yesterday's requests without a distance"),
    "distance_off_share": Metric(
        "share", "up", "ticket", 0.05, "with a distance that is off the route's usual one by more than 10%"
    ),
    "distance_ratio": Metric(
        "ratio", "", "ticket", 0, "distance over the route's usual one, median where it is off"
    ),
    "distance_mean": Metric("miles", "both", "ticket", 120, "mean distance in yesterday's requests"),
    "wind": Metric("min / 1,000 mi", "", "ticket", 0, "yesterday's wind forecast"),
    "wind_unchanged_days": Metric(
        "days", "up", "ticket", 1.5, "days for which the wind forecast has been the same"
    ),
    "new_route_share": Metric(
        "share",
        "up",
        "ticket",
        0.03,
        "of yesterday's requests for destinations with under 5 flights before the model's last training",
    ),
    "mismatch_share": Metric(
        "share", "up", "ticket", 0.05, "of yesterday's logged inputs that training would compute differently"
    ),
    "rejected_share": Metric("share", "", "ticket", 0, "of yesterday's requests that the gates refused"),
    "late_reviews": Metric("flights", "up", "ticket", 1.5, "that people predicted too late"),
    "personal_in_sample": Metric(
        "entries", "up", "ticket", 0.5, "with personal data, of 40 log entries searched"
    ),
    "labels_share": Metric(
        "share", "down", "ticket", 0.1, "of the day before yesterday's flights with a label by now"
    ),
    "error_mean": Metric(
        "minutes", "up", "page", 1.5, "mean absolute error of the model's answers of the day before yesterday"
    ),
    "error_bias": Metric("minutes", "both", "ticket", 4.0, "mean of prediction minus label on that day"),
    "big_error_share": Metric(
        "share", "up", "ticket", 0.02, "of that day's answers that were off by over an hour"
    ),
    "error_ewr": Metric("minutes", "up", "ticket", 3.0, "mean absolute error of flights from Newark"),
    "error_jfk": Metric("minutes", "up", "ticket", 3.0, "mean absolute error of flights from Kennedy"),
    "error_lga": Metric("minutes", "up", "ticket", 3.0, "mean absolute error of flights from LaGuardia"),
    "error_new_routes": Metric("minutes", "", "ticket", 0, "mean absolute error of the new destinations"),
}


def usual(history):
    """The usual range of each metric, from quiet mornings: (low, high), median and spread of `history` (name -> list)."""
    ranges = {}
    for name, values in history.items():
        known = np.array([value for value in values if value is not None], dtype=float)
        if not len(known):
            ranges[name] = (0.0, 0.0)
            continue
        middle = float(np.median(known))
        spread = max(4.0 * 1.4826 * float(np.median(np.abs(known - middle))), METRICS[name].margin)
        ranges[name] = (round(middle - spread, 3), round(middle + spread, 3))
    return ranges


def rules(ranges):
    """metric -> alert `Rule` with the usual range as its limits, on the side where the metric is bad."""
    made = {}
    for name, metric in METRICS.items():
        low, high = ranges[name]
        if metric.bad:
            made[name] = Rule(
                name,
                above=high if metric.bad in ("up", "both") else None,
                below=low if metric.bad in ("down", "both") else None,
                severity=metric.severity,
                owner="on call",
            )
    return made


class Alerts:
    """The alerts that fire: one begins when its metric is out of bounds, and ends after three mornings within."""

    def __init__(self, made):
        self.rules = dict(made)
        self._since, self._quiet = {}, {}

    def set(self, metric, above, below):
        """Change the limits of a metric, or take its alert away."""
        if above is None and below is None:
            self.rules.pop(metric, None)
            self._since.pop(metric, None)
            return
        severity = METRICS[metric].severity
        self.rules[metric] = Rule(metric, above=above, below=below, severity=severity, owner="on call")

    def look(self, day, values):
        """(alerts that fire on this morning, how many pages began)."""
        pages = 0
        for name, rule in self.rules.items():
            if _out_of_bounds(rule, values[name]):
                if name not in self._since:
                    self._since[name] = day
                    pages += rule.severity == "page"
                self._quiet[name] = 0
            elif name in self._since:
                self._quiet[name] += 1
                if self._quiet[name] >= QUIET:
                    del self._since[name]
        return [self._told(name, values[name]) for name in self.rules if name in self._since], pages

    def _told(self, name, value):
        rule = self.rules[name]
        return {
            "metric": name,
            "value": value,
            "above": rule.above,
            "below": rule.below,
            "severity": rule.severity,
            "since": self._since[name],
            "text": f"{name} is {_in_unit(name, value)}; the limit is {_limits(rule)}.",
        }


def _in_unit(name, value):
    """A value with its unit, for a sentence."""
    if value is None:
        return "unknown"
    unit = METRICS[name].unit
    return f"{100 * value:.3g}%" if unit == "share" else f"{value:.4g} {unit}"


def _limits(rule):
    sides = (("above", rule.above), ("below", rule.below))
    return " or ".join(f"{side} {_in_unit(rule.metric, limit)}" for side, limit in sides if limit is not None)


def _out_of_bounds(rule, value):
    if value is None:
        return False
    return (rule.above is not None and value > rule.above) or (rule.below is not None and value < rule.below)
