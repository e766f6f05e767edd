"""Load and servers against latency (lesson 05)."""

from __future__ import annotations

import functools

import numpy as np

from mlprod_helpers import plots
from mlprod_helpers.explore.controls import Slider, explore

_SERVICE_MS = 50  # mean service time of the explorer
_LOADS = np.arange(2, 98)  # %
_LATENCIES_MS = 20, 10_000  # of the axis: every setting of the sliders is on it


@functools.cache
def _latencies(servers):
    """p50 and p99 in ms at each of `_LOADS`."""
    from mlprod_helpers.queueing import mmc_percentile

    return [
        [_SERVICE_MS * mmc_percentile(q, load / 100 * servers, 1.0, servers) for load in _LOADS]
        for q in (50, 99)
    ]


@functools.cache
def _load_still():
    """The part of the picture that stays, and the artists that move."""
    fig, ax = plots.figure(layout=None)
    fig.subplots_adjust(left=0.09, right=0.98, bottom=0.15, top=0.9)
    ax.set(xlim=(0, 100), xlabel="load of each server, %", ylabel="latency, ms")
    ax.set(yscale="log", ylim=_LATENCIES_MS)
    ticks = (20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000)
    ax.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.minorticks_off()
    moving = []
    for name, color in (("p50", plots.BLUE), ("p99", plots.ORANGE)):
        [curve] = ax.plot([], [], color=color, label=name)
        [dot] = ax.plot([], [], "o", color=color, markersize=8)
        moving += [curve, dot]
    ax.legend(loc="upper left")
    words = ax.text(1, 1.03, "", transform=ax.transAxes, ha="right", fontweight="bold")
    return plots.Still(fig, [*moving, words]), moving, words


def load_picture(load, servers):
    """p50 and p99 of the latency against the load, exact for exponential service times of 50 ms (M/M/c).

    `load` is the share of the time in which each of the servers works, in percent, 2 to 97.

    >>> load_picture(80, servers=1)
    Figure: 1 server at 80% load, 16 requests a second: p50 173 ms, p99 1,151 ms.
    """
    still, moving, words = _load_still()
    now = [values[load - _LOADS[0]] for values in _latencies(servers)]
    for (curve, dot), values, at in zip((moving[:2], moving[2:]), _latencies(servers), now, strict=True):
        curve.set_data(_LOADS, values)
        dot.set_data([load], [at])
    many = f"{servers} server{'s' if servers > 1 else ''} at {load}% load"
    rate = load / 100 * servers * 1000 / _SERVICE_MS
    p50, p99 = (f"{value:,.0f} ms" for value in now)
    words.set_text(f"p50 {p50}, p99 {p99}")
    return still.picture(f"{many}, {rate:g} requests a second: p50 {p50}, p99 {p99}.")


def load_explorer():
    """Load and number of servers above `load_picture`.

    >>> load_explorer().values
    {'load': 80, 'servers': 1}
    """
    return explore(
        load_picture,
        load=Slider(5, 97, 1, 80, label="load", unit="%"),
        servers=Slider(1, 16, 1, 1, label="servers"),
    )
