"""How good are alerts? They are compared with known incidents: caught, late, missed, and false pages."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlprod_helpers.monitoring.rules import duration, on_grid

WEEK = pd.Timedelta(7, "D")


@dataclass(frozen=True)
class Verdict:
    """What a set of pages was worth over some weeks.

    Attributes
    ----------
    incidents : DataFrame
        One row an incident: `kind, start, end`, `alert` (start of the first true alert, NaT if none), `delay` (Timedelta),
        `rule` (of that alert), `outcome` ("caught", "late" or "missed").
    alerts : DataFrame. The pages with a column `true`: did it begin in an incident?
    weeks : float
    """

    incidents: pd.DataFrame
    alerts: pd.DataFrame
    weeks: float

    @property
    def caught(self):
        """Incidents with a page in time."""
        return int((self.incidents["outcome"] == "caught").sum())

    @property
    def late(self):
        """Incidents with a page after the deadline."""
        return int((self.incidents["outcome"] == "late").sum())

    @property
    def missed(self):
        """Incidents without a page."""
        return int((self.incidents["outcome"] == "missed").sum())

    @property
    def false_pages(self):
        """Alerts that began outside of every incident."""
        return int((~self.alerts["true"]).sum())

    def __str__(self):
        what = (
            f"{self.caught} of {len(self.incidents)} incidents caught, {self.late} late, {self.missed} missed"
        )
        a_week = len(self.alerts) / self.weeks
        return f"{what}; {self.false_pages} of {len(self.alerts)} pages false, {a_week:.1f} pages a week"

    __repr__ = __str__


def judge(alerts, incidents, measured, *, deadline="4h", grace="0h"):
    """Find which incidents these alerts caught, which they caught late, and which alerts were false.

    An alert is true if it fires between the start of an incident and its end plus `grace`. The first true alert
    that is open in that time catches the incident; an alert that already rang for an overlapping incident counts,
    with delay 0. Tickets do not count. Every alert is a page of its own: call `grouped` first if one page stands
    for all that fires at a time.

    Parameters
    ----------
    alerts : DataFrame. From `evaluate`.
    incidents : DataFrame with `kind, start, end` (UTC). `end` is the last moment of the incident.
    measured : DataFrame. The measured frame that was watched: it says for how many weeks.
    deadline : str or timedelta. A page later than this after the start is late.
    grace : str or timedelta
        How long after its end an incident still explains an alert: with windows of an hour, "1h".

    >>> from mlprod_helpers.monitoring.rules import Rule, evaluate
    >>> index = pd.date_range("2024-01-01", periods=168, freq="1h", tz="UTC")
    >>> measured = pd.DataFrame({"error_rate": 0.01}, index)
    >>> measured.iloc[[20, 50, 51, 52], 0] = 0.3
    >>> broken = pd.DataFrame({"kind": ["slow dependency"], "start": [index[50]], "end": [index[53]]})
    >>> judge(evaluate(Rule("error_rate", above=0.1), measured), broken, measured)
    1 of 1 incidents caught, 0 late, 0 missed; 1 of 2 pages false, 2.0 pages a week
    """
    deadline, grace = duration(deadline, "deadline"), duration(grace, "grace")
    table = incidents[["kind", "start", "end"]].sort_values("start", kind="stable", ignore_index=True)
    alerts = alerts[alerts["severity"] == "page"].reset_index(drop=True)
    start, end = _microseconds(alerts["start"]), _microseconds(alerts["end"])
    first, last = _microseconds(table["start"])[:, None], _microseconds(table["end"] + grace)[:, None]
    inside = (start >= first) & (start <= last)  # incidents x alerts
    true = inside.any(axis=0)
    answers = inside | (true & (start < first) & (end >= first))
    table["alert"], table["rule"] = pd.Series(pd.NaT, table.index, dtype=table["start"].dtype), ""
    for row in np.flatnonzero(answers.any(axis=1)):
        begins = np.where(answers[row], start, np.iinfo(np.int64).max)
        table.loc[row, "alert"] = alerts["start"].iloc[begins.argmin()]
        table.loc[row, "rule"] = alerts["rule"].iloc[begins.argmin()]
    table["delay"] = (table["alert"] - table["start"]).clip(lower=pd.Timedelta(0))
    in_time = table["delay"] <= deadline
    table["outcome"] = np.select([in_time, table["alert"].notna()], ["caught", "late"], "missed")
    windows, every = on_grid(measured)
    return Verdict(table, alerts.assign(true=true), len(windows) * every / WEEK)


def grouped(alerts):
    """Merge alerts (from `evaluate`) that overlap into one page each: somebody who is awake is not woken again.

    Alerts of one owner and one severity form a group. The first of them opens the page and later ones join it until
    none is open (Alertmanager: `group_by`). A page is a row like its first alert, with the `end` of the last one to
    end.

    >>> from mlprod_helpers.monitoring.rules import Rule, evaluate
    >>> index = pd.date_range("2024-01-01", periods=6, freq="1h", tz="UTC")
    >>> measured = pd.DataFrame({"a": [0, 1, 1, 0, 0, 1], "b": [0, 0, 1, 1, 0, 0]}, index)
    >>> alerts = evaluate([Rule("a", above=0.5), Rule("b", above=0.5)], measured)
    >>> len(alerts), grouped(alerts)["rule"].tolist()
    (3, ['AHigh', 'AHigh'])
    """
    pages = []
    for _, group in alerts.groupby(["owner", "severity"], sort=False):
        group = group.sort_values("start", kind="stable")
        ends = pd.Series(_microseconds(group["end"]), group.index)
        latest = ends.cummax().shift(fill_value=np.iinfo(np.int64).min)
        page = (_microseconds(group["start"]) >= latest.to_numpy()).cumsum()
        opened = group.groupby(page).head(1).copy()
        rings = group["end"].isna().groupby(page).any()
        opened["end"] = group.groupby(page)["end"].max().mask(rings).set_axis(opened.index)
        pages.append(opened)
    if not pages:
        return alerts.copy()
    return pd.concat(pages).sort_values("start", kind="stable", ignore_index=True)


def _microseconds(times):
    """Times as whole microseconds since 1970, the largest number for NaT: array of int64."""
    times = pd.Series(times)
    whole = times.astype("datetime64[us, UTC]").astype("int64").to_numpy().copy()
    whole[times.isna().to_numpy()] = np.iinfo(np.int64).max
    return whole
