"""The dashboard of a monitoring plan, and a tuner for one alert rule: threshold and `for` (lesson 08)."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd

from mlprod_helpers import plots
from mlprod_helpers.explore.controls import Slider, explore

_FAMILIES = ("software", "input", "output", "other")
_COLUMNS = 3  # panels beside each other
_USUAL = (0.01, 0.99)  # quantiles of the reference at that hour of the day and its two neighbors
_WEEK = pd.Timedelta(7, "D")

# --- what is known ------------------------------------------------------------------------------------------------------


def _metrics_of(plan):
    """Names of the plan's metrics, each once, family by family."""
    from mlprod_helpers.monitoring.rules import as_rules

    names = list(dict.fromkeys(rule.metric for rule in as_rules(plan)))
    if not names:
        raise ValueError("The plan has no rule: a dashboard shows the metrics that its rules watch.")
    return sorted(names, key=lambda name: _FAMILIES.index(_about(name)[0]))


def _about(name):
    """(family, unit) of a metric; "ctr[device=phone]" is what "ctr" is."""
    from mlprod_helpers.monitoring import METRICS

    ready = METRICS.get(name.split("[")[0])
    return (ready.family, ready.unit) if ready else ("other", "")


def _to_measure(name):
    from mlprod_helpers.monitoring import METRICS

    base, bracket, segment = name.partition("[")
    if not bracket or base not in METRICS:
        return name
    return METRICS[base].only(*segment.removesuffix("]").split("=", 1))


def _known(given, names, every, now=None):
    """(measured windows that had passed at `now`, their length): nothing later is looked at."""
    from mlprod_helpers.monitoring import measure
    from mlprod_helpers.monitoring.rules import on_grid
    from mlprod_helpers.requestlog import as_of

    now = None if now is None else _moment(now)
    if "time" not in given.columns:
        measured, length = on_grid(given)
    else:
        log = given if now is None else as_of(given, now)
        measured = measure(log, [_to_measure(name) for name in names], every, end=now)
        length = pd.Timedelta(every)
    if now is not None:
        measured = measured[measured.index + length <= now]
    if len(measured) < 2:
        raise ValueError("Fewer than two windows are known by then: choose a later now, or shorter windows.")
    return measured, length


def _moment(now):
    now = pd.Timestamp(now)
    if now.tzinfo is None:
        raise ValueError(f"The time {now} has no time zone. Write '{now}Z' for UTC.")
    return now.tz_convert("UTC")


def _usual(reference, name):
    """Lowest and highest usual value at each hour of the day: array of shape (2, 24), NaN for hours never seen."""
    from mlprod_helpers.monitoring.rules import values_of

    values, hour = pd.Series(values_of(reference, name)), np.asarray(reference.index.hour)
    near = pd.concat([values.set_axis((hour + step) % 24) for step in (-1, 0, 1)]).groupby(level=0)
    return np.array([near.quantile(q).reindex(range(24)).to_numpy() for q in _USUAL])


# --- the page -----------------------------------------------------------------------------------------------------------


def _days(moments):
    """Days since 1970, as matplotlib counts them."""
    return pd.DatetimeIndex(moments).as_unit("us").asi8 / 86_400e6


def _spans(verts, low, high):
    return [[(left, low), (left, high), (right, high), (right, low)] for left, right in verts]


class _Board:
    """The standing part: a panel a metric with its usual range and its thresholds; `picture` puts a moment's facts in."""

    def __init__(self, plan, reference, begin, end, every, scale=None):
        from mlprod_helpers.monitoring.rules import as_rules

        self.plan, self.rules, self.every, self.begin = plan, as_rules(plan), every, begin
        self.names = _metrics_of(plan)
        self.usual = {name: _usual(reference, name) for name in self.names}
        windows = pd.date_range(begin, end - every, freq=every)
        families = [[n for n in self.names if _about(n)[0] == family] for family in _FAMILIES]
        rows = [names[i : i + _COLUMNS] for names in families for i in range(0, len(names), _COLUMNS)]
        columns = max(map(len, rows))
        height = 1.45 * len(rows) + 0.75
        self.fig, axes = plots.figure(columns, len(rows), size=(9.2, height), layout=None, squeeze=False)
        self.fig.subplots_adjust(*(0.085, 0.36 / height, 0.985, 1 - 0.78 / height), wspace=0.22, hspace=0.62)
        self.headline = self.fig.text(
            0.012, 1 - 0.22 / height, "", fontweight="bold", fontsize=12, va="center"
        )
        self.moving, self.panels = [self.headline], {}
        for line, names in zip(axes, rows, strict=True):
            for ax in line[len(names) :]:
                ax.remove()
            for ax, name in zip(line, names, strict=False):
                self.panels[name] = self._panel(ax, name, windows, scale)
            line[0].set_ylabel(_about(names[0])[0], fontweight="bold")
        self.still = plots.Still(self.fig, self.moving)

    def _panel(self, ax, name, windows, scale):
        from matplotlib.collections import PolyCollection
        from matplotlib.ticker import MaxNLocator

        from mlprod_helpers.monitoring.rules import limits

        at = _days(windows + self.every)
        low, high = self.usual[name][:, windows.hour]
        drawn = [low, high, *([scale[name]] if scale is not None else [])]
        ax.fill_between(at, low, high, color=plots.BLUE, alpha=0.15, linewidth=0)
        for rule in self.rules:
            for threshold in (rule.above, rule.below) if rule.metric == name else ():
                if threshold is not None:
                    limit = limits(threshold, windows)
                    drawn.append(limit)
                    ax.plot(at, limit, color=plots.INK, linewidth=0.9, linestyle=(0, (4, 3)))
        drawn = np.concatenate([np.asarray(values, dtype=float) for values in drawn])
        drawn = drawn[np.isfinite(drawn)]
        bottom, top = (drawn.min(), drawn.max()) if len(drawn) else (0.0, 1.0)
        room = (top - bottom or abs(top) or 1) * (0.12 if scale is not None else 0.5)
        bottom = max(bottom - room, 0) if bottom >= 0 else bottom - room
        top += 1.4 * room
        ax.set(xlim=(_days([self.begin])[0], at[-1]), ylim=(bottom, top))
        unit = " (%)" if _about(name)[1] == "share" else ""
        ax.set_title(name + unit, fontsize=9.5, pad=5)
        days = pd.date_range(windows[0].ceil("D"), windows[-1] + self.every, freq="D")
        shown = days[:: max(1, -(-len(days) // 5))]
        ax.set_xticks(_days(shown), [f"{day.day} {day:%b}" for day in shown], fontsize=8)
        ticks = MaxNLocator(2).tick_values(bottom, top)
        ticks = [tick for tick in ticks if bottom <= tick <= top]
        ax.set_yticks(ticks, [_told(name, tick).split()[0] for tick in ticks], fontsize=8)
        shade = PolyCollection([], facecolor=plots.GREY, alpha=0.25, linewidth=0)
        ax.add_collection(shade, autolim=False)
        alerts = {}
        for severity, color in (("ticket", plots.ORANGE), ("page", plots.RED)):
            alerts[severity] = PolyCollection([], facecolor=color, linewidth=0)
            ax.add_collection(alerts[severity], autolim=False)
        [line] = ax.plot([], [], color=plots.BLUE, linewidth=1.1)
        [out] = ax.plot([], [], ".", color=plots.ORANGE, markersize=3)
        [now] = ax.plot([], [], color=plots.INK, linewidth=0.9)
        words = ax.text(1, 1.07, "", transform=ax.transAxes, ha="right", fontsize=9, color=plots.SOFT_INK)
        self.moving += [shade, line, out, *alerts.values(), now, words]
        return shade, alerts, line, out, now, words, (bottom, top)

    def picture(self, measured, incidents, now=None):
        from mlprod_helpers.monitoring import evaluate
        from mlprod_helpers.monitoring.evaluation import incident_table
        from mlprod_helpers.monitoring.rules import values_of

        until = measured.index[-1] + self.every
        now = until if now is None else _moment(now)
        alerts = evaluate(self.plan, measured)
        broken = incident_table([] if incidents is None else incidents)
        broken = broken[broken["start"] <= now]
        broken = broken.assign(end=broken["end"].where(broken["end"] <= now, now))
        shaded = list(zip(_days(broken["start"]), _days(broken["end"]), strict=True))
        at, edge = _days(measured.index + self.every), _days([now])[0]
        outside, missing = [], []
        for name, (shade, bars, line, out, mark, words, (bottom, top)) in self.panels.items():
            values = values_of(measured, name)
            low, high = self.usual[name][:, measured.index.hour]
            strange = (values < low) | (values > high)
            height = np.clip(values, bottom, top)
            line.set_data(at, height)
            out.set_data(at[strange], height[strange])
            shade.set_verts(_spans(shaded, bottom, top))
            for severity, bar in bars.items():
                rung = alerts[(alerts["metric"] == name) & (alerts["severity"] == severity)]
                spans = zip(_days(rung["start"]), _days(rung["end"].fillna(now)), strict=True)
                bar.set_verts(_spans(spans, top - 0.07 * (top - bottom), top))
            mark.set_data([edge, edge], [bottom, top])
            told = _told(name, values[-1])
            words.set_text(told)
            words.set_color(plots.ink(plots.RED) if strange[-1] else plots.SOFT_INK)
            if np.isnan(values[-1]):
                missing.append(name)
            elif strange[-1]:
                outside.append(f"{name} {told} (usual {_told(name, low[-1])} to {_told(name, high[-1])})")
        firing = alerts[alerts["end"].isna()]
        service = getattr(self.plan, "service", "") or "service"
        self.headline.set_text(
            f"{service}, {now:%Y-%m-%d %H:%M} UTC: {len(firing) or 'no'} alert{'s' * (len(firing) != 1)} firing"
        )
        return self.still.picture(
            f"Dashboard of {service} at {now:%Y-%m-%d %H:%M} UTC, {len(self.panels)} metric{'s' * (len(self.panels) > 1)}. "
            + (
                f"Out of the usual range: {', '.join(outside)}. "
                if outside
                else "None is out of its usual range. "
            )
            + (f"Missing: {', '.join(missing)}. " if missing else "")
            + _alerts_in_words(alerts, firing)
            + _incidents_in_words(broken)
        )


def _told(name, value):
    unit = _about(name)[1]
    if np.isnan(value):
        return "missing"
    if unit == "share":
        return plots.percent(value)
    return f"{plots.say(value)} {unit}".strip() if unit in ("ms", "MB", "requests/s") else plots.say(value)


def _alerts_in_words(alerts, firing):
    if alerts.empty:
        return "No alert so far."
    now = [f"{row.rule} ({row.severity}, since {row.start:%d %b %H:%M})" for row in firing.itertuples()]
    many = f"{len(alerts)} alert{'s' * (len(alerts) > 1)} so far, {(alerts['severity'] == 'page').sum()} of them pages"
    return f"{many}. Firing: {', '.join(now) or 'none'}."


def _incidents_in_words(broken):
    if broken.empty:
        return ""
    told = [f"{row.kind} from {row.start:%d %b %H:%M}" for row in broken.itertuples()]
    return f" Incidents marked: {', '.join(told)}."


def _board(given, plan, now, reference, every, fit=True):
    """(board, what is measured by `now`): the reference is that given, or the first week of what is known."""
    names = _metrics_of(plan)
    measured, length = _known(given, names, every, now)
    if reference is None:
        reference = measured[measured.index < measured.index[0] + _WEEK]
    else:
        reference, _ = _known(reference, names, every)
    end = measured.index[-1] + length
    board = _Board(plan, reference, measured.index[0], end, length, measured if fit else None)
    return board, measured


def dashboard(log_or_measured, plan, incidents=None, now=None, *, reference=None, every="1h"):
    """How does the service do? One page, one panel a metric of the plan: software, input, output.

    Light blue is the usual range (the middle 98 % of the reference at that hour of the day, one hour more on either side), orange dots
    are windows outside of it, dashed lines the thresholds; a bar on top is an alert (red: page, orange: ticket), grey an incident.
    Each value stands at the end of its window, when it is known.

    Parameters
    ----------
    log_or_measured : DataFrame: a request log, or what `monitoring.measure` made of one
    plan : MonitoringPlan, or rules
    incidents : Seal, incidents or DataFrame with `kind, start, end`, optional. To mark; a seal is opened.
    now : moment, optional. Only what was known then is looked at; the end if not given.
    reference : DataFrame, optional. Quiet days, as a log or measured; the first week of what is shown if not given.
    every : str, length of a window of a log

    Returns
    -------
    plots.Figure

    Raises
    ------
    ValueError, KeyError
        For a plan without rules, fewer than two windows known, a metric that nobody measured.

    Examples
    --------
    >>> from mlprod_helpers.monitoring import MonitoringPlan, Row, Rule
    >>> index = pd.date_range("2024-01-01", periods=240, freq="1h", tz="UTC")
    >>> measured = pd.DataFrame({"error_rate": 0.002 + 0.001 * (np.arange(240) % 3)}, index)
    >>> measured.iloc[237:, 0] = 0.2
    >>> plan = MonitoringPlan("search", [Row("answers fail", Rule("error_rate", above=0.05, for_="1h"))])
    >>> dashboard(measured, plan)
    Figure: Dashboard of search at 2024-01-11 00:00 UTC, 1 metric. Out of the usual range: error_rate 20 % (usual 0.2 % to 0.4 %).
    1 alert so far, 1 of them pages. Firing: ErrorRateHigh (page, since 10 Jan 23:00).
    """
    board, measured = _board(log_or_measured, plan, now, reference, every)
    return board.picture(measured, incidents, now)


def dashboard_explorer(log_or_measured, plan, incidents=None, *, reference=None, every="1h"):
    """`dashboard` with a slider over now: the page as it stood then, without later rows and later clicks.

    The scales come from the reference and the thresholds alone, so they do not give away what is to come; what is beyond them is
    drawn at the edge, its value in words. Without a reference the first week is the reference, and now begins after it.

    Parameters
    ----------
    log_or_measured, plan, incidents, reference, every : see `dashboard`

    Returns
    -------
    Explorer

    Examples
    --------
    >>> from mlprod_helpers.monitoring import Rule
    >>> index = pd.date_range("2024-01-01", periods=240, freq="1h", tz="UTC")
    >>> dashboard_explorer(pd.DataFrame({"ctr": 0.1}, index), Rule("ctr", below=0.05)).values
    {'hours': 240}
    """
    board, measured = _board(log_or_measured, plan, None, reference, every, fit=False)
    hours = board.every / pd.Timedelta(1, "h")
    step = int(hours) if hours == int(hours) else hours
    first = 2 if reference is not None else min(len(measured) - 1, max(2, int(_WEEK / board.every)))

    def page(hours):
        now = board.begin + pd.Timedelta(hours=hours)
        known, _ = _known(log_or_measured, board.names, every, now)
        return board.picture(known, incidents, now)

    if len(measured) < 3:
        raise ValueError("A slider over now needs three windows at least: give a longer log.")
    n = len(measured)
    return explore(
        page, hours=Slider(first * step, n * step, step, n * step, label="now", unit="hours after the start")
    )


# --- one rule, tuned ----------------------------------------------------------------------------------------------------

_START = pd.Timestamp("2024-01-01 00:00Z")
_DEADLINE, _GRACE = "4h", "1h"
_MOST = 13  # what the right panel shows; more is said in words
_LIMITS = np.arange(250, 1501, 25)
# day, hour, length in hours, mean extra wait in ms, share of requests
_REAL = (
    *((3, 9, 20, 700, 0.5), (8, 14, 16, 300, 0.35), (13, 2, 12, 900, 0.3)),
    *((18, 19, 24, 220, 0.5), (24, 11, 18, 500, 0.25)),
)
_BLIPS = (
    1,
    2,
    5,
    6,
    10,
    11,
    15,
    16,
    20,
    21,
    22,
    26,
)  # days with one to three slow hours that pass by themselves


@functools.cache
def alert_month():
    """The month of the tuner: (p95 of the latency by the hour, its five incidents).

    A simulated product search (`monitoring.service_log`) whose dependency is slow for half a day or more five times. Twelve
    times it is slow for one to three hours; that passes by itself, so a page for it is false.

    Returns
    -------
    (DataFrame, DataFrame) : measured, one column `latency_p95` in ms; `kind, start, end`

    Examples
    --------
    >>> measured, incidents = alert_month()
    >>> measured.shape, len(incidents)
    ((672, 1), 5)
    """
    from mlprod_helpers import faults
    from mlprod_helpers.monitoring import incident_table, measure, service_log

    def slow(day, hour, hours, extra_ms, share):
        begin = _START + pd.Timedelta(days=day, hours=hour)
        return faults.SlowDependency(
            extra_ms, share=share, start=begin, end=begin + pd.Timedelta(hours=hours)
        )

    rng = np.random.default_rng(8)
    blips = [
        slow(day, int(rng.integers(24)), int(rng.integers(1, 4)), float(rng.uniform(300, 900)), 0.4)
        for day in _BLIPS
    ]
    log = service_log(28, rate=0.02, start=_START, random_state=8)
    log, _ = faults.apply(log, blips, random_state=1)
    log, seal = faults.apply(log, [slow(*each) for each in _REAL], random_state=2)
    measured = measure(log, ["latency_p95"], start=_START, end=_START + 4 * _WEEK)
    return measured[["latency_p95"]], incident_table(seal)


@functools.cache
def _tuner_still():
    from matplotlib.collections import PolyCollection

    measured, incidents = alert_month()
    fig, (ax, right) = plots.figure(2, size=(9.2, 3.7), layout=None, width_ratios=(1.7, 1))
    fig.subplots_adjust(left=0.065, right=0.985, bottom=0.15, top=0.82, wspace=0.17)
    top = 2300
    days = pd.date_range(_START, periods=5, freq="7D")
    ax.set(xlim=_days([_START, _START + 4 * _WEEK]), ylim=(0, top))
    ax.set_xticks(_days(days), [f"{day.day} {day:%b}" for day in days])
    ax.set_title("p95 of the latency, ms")
    spans = _spans(zip(_days(incidents["start"]), _days(incidents["end"]), strict=True), 0, top)
    ax.add_collection(PolyCollection(spans, facecolor=plots.GREY, alpha=0.25, linewidth=0), autolim=False)
    ax.plot(
        _days(measured.index + pd.Timedelta("1h")), measured["latency_p95"], color=plots.BLUE, linewidth=0.8
    )
    [limit] = ax.plot([], [], color=plots.INK, linewidth=1, linestyle=(0, (4, 3)))
    [true] = ax.plot([], [], "v", color=plots.GREEN, markersize=7)
    [false] = ax.plot([], [], "X", color=plots.RED, markersize=7)
    words = fig.text(0.012, 0.955, "", fontweight="bold", fontsize=11, va="center")
    right.set(xlim=(_LIMITS[0], _LIMITS[-1]), ylim=(-0.4, _MOST + 0.4), xlabel="threshold, ms")
    right.set_yticks([0, 5, 10])
    plots.name_colors(right, {"caught": plots.GREEN, "late": plots.ORANGE, "false pages": plots.RED})
    curves, dots = {}, {}
    for name, color in (("false_pages", plots.RED), ("late", plots.ORANGE), ("caught", plots.GREEN)):
        [curves[name]] = right.plot([], [], color=color)
        [dots[name]] = right.plot([], [], "o", color=color, markersize=7)
    moving = [limit, true, false, words, *curves.values(), *dots.values()]
    return plots.Still(fig, moving), limit, true, false, words, curves, dots


def alert_picture(threshold=500, hold=1):
    """What would this rule on the p95 of the latency have caught in a month, how late, and how often for nothing?

    The month is `alert_month`: incidents are grey; a green triangle is a true page, a red cross a false one. To the right the same figures
    for all thresholds at this `for`. A page within four hours of the start is in time; a page up to an hour after an incident
    is still true. (`alarm_picture` is another: the weekly PSI alarm of lesson 03, by a formula.)

    Parameters
    ----------
    threshold : float, ms
    hold : int, hours: the rule's `for_`

    Returns
    -------
    plots.Figure

    Examples
    --------
    >>> alert_picture(500, hold=3)
    Figure: Page when the p95 is above 500 ms for 3 h: 3 of 5 incidents caught within 4 hours, 2 late, 0 missed; 0 of 7 pages false.
    """
    from mlprod_helpers.monitoring import Rule, evaluate, judge, tradeoff

    measured, incidents = alert_month()
    settings = {"deadline": _DEADLINE, "grace": _GRACE}
    rule = Rule("latency_p95", above=threshold, for_=f"{hold}h", owner="search on-call")
    verdict = judge(evaluate(rule, measured), incidents, measured, **settings)
    table = tradeoff(measured, "latency_p95", incidents, _LIMITS, for_=f"{hold}h", **settings)
    still, limit, true, false, words, curves, dots = _tuner_still()
    limit.set_data(_days([_START, _START + 4 * _WEEK]), [threshold, threshold])
    for mark, chosen in ((true, verdict.alerts["true"]), (false, ~verdict.alerts["true"])):
        at = _days(verdict.alerts.loc[chosen, "start"])
        mark.set_data(at, np.full(len(at), 2150))
    for name, curve in curves.items():
        curve.set_data(_LIMITS, table[name])
        dots[name].set_data([threshold], [min(getattr(verdict, name), _MOST)])
    many = len(verdict.incidents)
    words.set_text(
        f"Above {threshold:g} ms for {hold} h: {verdict.caught} of {many} caught, {verdict.late} late, "
        f"{verdict.missed} missed, {verdict.false_pages} false page{'s' * (verdict.false_pages != 1)}"
    )
    return still.picture(
        f"Page when the p95 is above {threshold:g} ms for {hold} h: {verdict.caught} of {many} incidents caught within 4 hours, "
        f"{verdict.late} late, {verdict.missed} missed; {verdict.false_pages} of {len(verdict.alerts)} pages false."
    )


def alert_tuner():
    """Threshold and `for` of one rule above `alert_picture`.

    Returns
    -------
    Explorer

    Examples
    --------
    >>> alert_tuner().values
    {'threshold': 500, 'hold': 0}
    """
    return explore(
        alert_picture,
        threshold=Slider(int(_LIMITS[0]), int(_LIMITS[-1]), 25, 500, label="pages above", unit="ms"),
        hold=Slider(0, 6, 1, 0, label="for", unit="hours"),
    )
