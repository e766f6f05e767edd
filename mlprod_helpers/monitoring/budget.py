"""Error budgets: how much may go wrong, how fast is it being used up, and when is that worth waking somebody?

Source: B. Beyer et al., "The site reliability workbook" (2018), chapter 5, "Alerting on SLOs".
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlprod_helpers.monitoring.rules import (
    SEVERITIES,
    as_alerts,
    duration,
    duration_text,
    on_grid,
    run_lengths,
)
from mlprod_helpers.requestlog.numbers import as_floats

PERIOD = pd.Timedelta(30, "D")  # for which an objective is promised


@dataclass(frozen=True)
class ErrorBudget:
    """What an objective allows to go wrong in 30 days.

    Parameters
    ----------
    objective : float, strictly between 0 and 1. The share of requests that has to be good, such as 0.999 (SLO).

    >>> budget = ErrorBudget(0.999)
    >>> round(budget.share, 6), round(budget.burn_rate(0.0144), 6)
    (0.001, 14.4)
    """

    objective: float

    def __post_init__(self):
        if not 0 < self.objective < 1:
            raise ValueError(
                f"objective is {self.objective!r}, but it is the share of good requests, between 0 and 1: write 0.999. "
                "An objective of 1 allows no error at all."
            )

    @property
    def share(self):
        """The share of requests that may be bad."""
        return 1 - self.objective

    def burn_rate(self, bad_share):
        """How many times faster than allowed the budget is used up; at 1 it is empty after 30 days."""
        return bad_share / self.share


@dataclass(frozen=True)
class BurnRule:
    """Rings while the budget burns too fast both over a long window and over a short one.

    The long window says that it matters (`consumed` of the budget is gone), the short one that it still goes on:
    without it the alert would ring for nearly the long window after the repair.

    Parameters
    ----------
    burn_rate : float
    long, short : str or timedelta
    severity : {"page", "ticket"}
    owner : str

    >>> rule = BurnRule(14.4, "1h", "5m")
    >>> print(rule, round(rule.consumed, 4))
    burn rate above 14.4 over 1h and 5m, page 0.02
    """

    burn_rate: float
    long: pd.Timedelta
    short: pd.Timedelta
    severity: str = "page"
    owner: str = ""

    def __post_init__(self):
        for name in ("long", "short"):
            object.__setattr__(self, name, duration(getattr(self, name), name))
        if not pd.Timedelta(0) < self.short <= self.long:
            raise ValueError(
                f"short is {self.short} and long {self.long}, but the short window is the shorter one."
            )
        if not 0 < self.burn_rate < np.inf:
            raise ValueError(f"burn_rate is {self.burn_rate!r}, but it is a finite number above 0.")
        if self.severity not in SEVERITIES:
            raise ValueError(f"severity is {self.severity!r}: say 'page' or 'ticket'.")

    @property
    def name(self):
        return f"BudgetBurn{duration_text(self.long)}"

    @property
    def consumed(self):
        """The share of a budget that is gone when the long window is full at this burn rate."""
        return self.burn_rate * (self.long / PERIOD)

    def detection_time(self, budget, bad_share):
        """How long until the alert rings after all was well: NaT when it never does.

        >>> BurnRule(14.4, "1h", "5m").detection_time(ErrorBudget(0.999), bad_share=1.0)
        Timedelta('0 days 00:00:51.840000')
        """
        if bad_share <= self.burn_rate * budget.share * (1 + 1e-12):
            return pd.NaT
        return (self.long * (self.burn_rate * budget.share / bad_share)).round("ms")

    def __str__(self):
        windows = f"{duration_text(self.long)} and {duration_text(self.short)}"
        return f"burn rate above {self.burn_rate:g} over {windows}, {self.severity}"


# 2% of a month's budget in an hour, 5% in six hours, 10% in three days; the short window is a twelfth of the long one
SRE_WORKBOOK = (
    BurnRule(14.4, "1h", "5m"),
    BurnRule(6.0, "6h", "30m"),
    BurnRule(1.0, "3d", "6h", severity="ticket"),
)


def burn_rates(bad, total, budget, windows):
    """The burn rate over the last while, at the end of each measured window: a DataFrame with one column a window.

    Columns are named as Prometheus writes durations; NaN where there were no requests.

    Parameters
    ----------
    bad, total : Series of shape (windows,), index: start of the window, UTC
        Bad requests and all requests of each window; missing ones count 0.
    budget : ErrorBudget
    windows : sequence of str or timedelta
        Over how long; whole multiples of a measured window. At the beginning a window holds what there is.

    >>> index = pd.date_range("2024-01-01", periods=4, freq="1h", tz="UTC")
    >>> bad, total = pd.Series([0, 4, 0, 0], index), pd.Series([100, 100, 100, 100], index)
    >>> burn_rates(bad, total, ErrorBudget(0.99), ["1h", "2h"]).round(9).values.tolist()
    [[0.0, 0.0], [4.0, 2.0], [0.0, 2.0], [0.0, 0.0]]
    """
    counts, every = on_grid(pd.DataFrame({"bad": bad, "total": total}))
    counts = counts.apply(lambda column: pd.Series(as_floats(column, column.name), counts.index))
    if np.isinf(counts).any(axis=None):
        raise ValueError("Some window has infinitely many requests: count them again.")
    sums = np.vstack([np.zeros(2), counts.fillna(0.0).cumsum().to_numpy()])
    if (counts["bad"].fillna(0) > counts["total"].fillna(0)).any() or (counts.min() < 0).any():
        raise ValueError(
            "Some window has more bad requests than requests, or fewer than none: were the two swapped?"
        )
    rates = {}
    for window in windows:
        length = duration(window, "window")
        many, rest = divmod(length, every)
        if rest or not many:
            raise ValueError(
                f"A window of {duration_text(length)} needs measured windows that divide it, not {duration_text(every)}: "
                f"measure(..., every={duration_text(min(length, every))!r}) or shorter."
            )
        ends = np.arange(1, len(sums))
        last = sums[ends] - sums[np.maximum(ends - many, 0)]
        with np.errstate(invalid="ignore", divide="ignore"):
            rates[duration_text(length)] = budget.burn_rate(last[:, 0] / last[:, 1])
    return pd.DataFrame(rates, index=counts.index)


def evaluate_burn(bad, total, budget, rules=SRE_WORKBOOK):
    """Which burn rules ring? The same frame of alerts that `evaluate` returns, so `judge` takes it.

    Parameters
    ----------
    bad, total, budget : see `burn_rates`
    rules : sequence of BurnRule

    >>> index = pd.date_range("2024-01-01", periods=24, freq="5min", tz="UTC")
    >>> total = pd.Series(1000, index)
    >>> bad = pd.Series(0, index)
    >>> bad.iloc[12:18] = 100
    >>> alerts = evaluate_burn(bad, total, ErrorBudget(0.999), SRE_WORKBOOK[:1])
    >>> [f"{moment:%H:%M}" for moment in alerts.loc[0, ["start", "end"]]], alerts.loc[0, "reason"]
    (['01:10', '01:35'], 'budget burns 50 times too fast over 1h at worst (limit 14.4)')
    """
    rules = (rules,) if isinstance(rules, BurnRule) else tuple(rules)
    windows = sorted({length for rule in rules for length in (rule.long, rule.short)})
    rates = burn_rates(bad, total, budget, windows)
    every = on_grid(rates)[1]
    rows = []
    for rule in rules:
        long, short = (rates[duration_text(length)].to_numpy() for length in (rule.long, rule.short))
        rings = (long > rule.burn_rate) & (short > rule.burn_rate)
        ends = np.flatnonzero(rings & ~np.append(rings[1:], False))
        for first, last in zip(ends - run_lengths(rings)[ends] + 1, ends, strict=True):
            start = rates.index[first] + every
            end = pd.NaT if last + 1 == len(rates) else rates.index[last] + 2 * every
            worst = float(np.max(long[first : last + 1]))
            reason = f"budget burns {worst:.4g} times too fast over {duration_text(rule.long)} at worst (limit {rule.burn_rate:g})"
            rows.append(
                (
                    rule.name,
                    "burn_rate",
                    rule.severity,
                    rule.owner,
                    start,
                    start,
                    end,
                    worst,
                    rule.burn_rate,
                    reason,
                )
            )
    return as_alerts(rows)
