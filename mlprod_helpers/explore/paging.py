"""One alert rule over two weeks: which incidents does it notice, and how often does it page for nothing? (lesson 08)"""

from __future__ import annotations

import functools

import numpy as np

from mlprod_helpers import plots
from mlprod_helpers.explore.controls import Choice, Slider, explore

_BEGINS, _LASTS = np.array([40, 152, 263]), 10  # hours at which p95 doubles, and for how long
_BLIPS = [15, 70, 95, 121, 190, 201, 240, 300]
_HOURS, _TOP = 2 * 168, 1500
ONE_LIMIT, EACH_HOUR = "one for all hours", "one for each hour"


@functools.cache
def _weeks():
    """(usual p95 of each hour of the week, measured table, incidents): three slow spells and eight blips of one hour."""
    import pandas as pd

    from mlprod_helpers.monitoring.quiet_latency import quiet_weeks, usual_latency

    rng = np.random.default_rng(5)
    usual = usual_latency(rng)
    at = pd.date_range("2025-01-06", periods=_HOURS, freq="h", tz="UTC")
    p95 = quiet_weeks(rng, usual, 2).ravel()
    for begin in _BEGINS:
        p95[begin : begin + _LASTS] *= 2
    p95[_BLIPS] *= 2.5
    incidents = pd.DataFrame({"kind": "slow", "start": at[_BEGINS], "end": at[_BEGINS + _LASTS]})
    return usual, pd.DataFrame({"p95": p95}, index=at), incidents


@functools.cache
def _still():
    """The part of the picture that stays, and the artists that move."""
    _, measured, _ = _weeks()
    fig, ax = plots.figure(size=(7.4, 3.2), layout=None)
    fig.subplots_adjust(left=0.09, right=0.98, top=0.8, bottom=0.16)
    for begin in _BEGINS:
        ax.axvspan(begin / 24, (begin + _LASTS) / 24, color=plots.SKY, alpha=0.35, linewidth=0)
        ax.annotate("incident", ((begin + _LASTS) / 24, 1340), fontsize=8, ha="right", va="top")
    ax.plot(np.arange(_HOURS) / 24, measured["p95"], color=plots.GREY, linewidth=0.9)
    ax.set(xlim=(0, 14), ylim=(0, _TOP), ylabel="p95 (ms)")
    names = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    ax.set_xticks(np.arange(14) + 0.5, names * 2, fontsize=8)
    [line] = ax.plot([], [], color=plots.INK, linestyle="--", linewidth=1.2, label="threshold")
    [true] = ax.plot([], [], "v", color=plots.GREEN, markersize=8, label="page in an incident")
    [false] = ax.plot([], [], "v", color=plots.RED, markersize=8, fillstyle="none", label="false page")
    ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.99), ncols=3, borderpad=0.1, fontsize=8.5)
    title = fig.text(0.09, 0.93, "", fontweight="bold", color=plots.INK)
    return plots.Still(fig, [line, true, false, title]), line, true, false, title


def paging_picture(threshold, hold, limits):
    """Draw two weeks of p95 with three incidents, and the pages of one rule.

    p95 doubles for ten hours at three moments, and eight blips of one hour pass by themselves.

    Parameters
    ----------
    threshold : float. The threshold for all hours, in ms; with one for each hour it is not used.
    hold : int. Hours for which p95 has to stay above the threshold.
    limits : {"one for all hours", "one for each hour"}
        The threshold of each hour is one and a half times what is usual at this hour of the week.

    >>> paging_picture(450, 1, "one for each hour")
    Figure: The rule pages when p95 has been above 1.5 times the usual p95 of the hour for 1 hour.
    3 of 3 incidents caught, 0 late, 0 missed; 0 of 3 pages false, 1.5 pages a week.
    """
    from mlprod_helpers.monitoring import Rule, evaluate, judge

    usual, measured, incidents = _weeks()
    above = float(threshold) if limits == ONE_LIMIT else tuple(1.5 * usual)
    verdict = judge(
        evaluate(Rule("p95", above=above, for_=f"{hold}h"), measured), incidents, measured, grace="1h"
    )
    still, line, true, false, title = _still()
    line.set_data(np.arange(_HOURS) / 24, np.resize(above, _HOURS))
    alerts = verdict.alerts
    when = ((alerts["start"] - measured.index[0]).dt.total_seconds() / 86_400).to_numpy()
    ok = alerts["true"].to_numpy(dtype=bool)
    for artist, chosen in ((true, ok), (false, ~ok)):
        artist.set_data(when[chosen], np.full(chosen.sum(), 0.95 * _TOP))
    title.set_text(f"{verdict.caught} of 3 caught, {verdict.late} late, {verdict.false_pages} false pages")
    limit = f"{threshold} ms" if limits == ONE_LIMIT else "1.5 times the usual p95 of the hour"
    condition = (
        f"has been above {limit} for {hold} hour{'' if hold == 1 else 's'}" if hold else f"is above {limit}"
    )
    return still.picture(f"The rule pages when p95 {condition}. {verdict}.")


def paging_explorer():
    """Threshold and duration of one alert rule above `paging_picture`.

    >>> paging_explorer().values
    {'threshold': 450, 'hold': 0, 'limits': 'one for all hours'}
    """
    return explore(
        paging_picture,
        threshold=Slider(200, 1200, 50, 450, label="threshold for all hours", unit="ms"),
        hold=Slider(0, 6, 1, 0, label="for", unit="hours"),
        limits=Choice([ONE_LIMIT, EACH_HOUR], label="thresholds"),
    )
