"""Figures of load tests (lesson 09)."""

from __future__ import annotations

import numpy as np

from mlprod_helpers.serving.lab.recorded_runs import PAUSED

_BEGIN, _END = 40, 60  # seconds that are shown


def loops(tested, lived):
    """Draw the latency around a pause as a closed loop and as an open loop find it.

    Parameters
    ----------
    tested, lived : DataFrame
        A row for each request of the closed and of the open loop, with `due` (s) and `latency_ms`.

    Returns
    -------
    plots.Figure
    """
    from mlprod_helpers import plots

    fig, axes = plots.figure(ncols=2, size=(8.6, 2.9), sharey=True)
    slow = []
    for ax, requests, color in zip(axes, (tested, lived), (plots.BLUE, plots.ORANGE), strict=True):
        near = requests[requests["due"].between(_BEGIN, _END)]
        waits = near["latency_ms"] / 1000
        slow.append(int((requests["latency_ms"] > 100).sum()))
        ax.axvspan(*PAUSED, color=plots.GREY, alpha=0.15, linewidth=0)
        ax.annotate("pause", (PAUSED[1], 10.3), ha="right", va="top", fontsize=8)
        ax.scatter(near["due"], waits, s=np.where(waits > 0.1, 15, 3), color=color)
        ax.set(xlabel="time at which it was due (s)", xlim=(_BEGIN, _END), ylim=(-0.3, 10.7))
        ax.set_xticks(range(_BEGIN, _END + 1, 5))
    axes[0].set(ylabel="latency (s)", title=f"Closed loop: {slow[0]} slow request of {len(tested):,}")
    axes[1].set(title=f"Open loop: {slow[1]:,} slow requests of {len(lived):,}")
    return plots.show(
        fig,
        alt="Two panels show the latency of each request against the time at which it was due, from second 40 to 60. The closed loop has "
        "a single request of 10 seconds, and all others are near 0. In the open loop, users who arrive at the start of the pause wait "
        "10 seconds, and those who arrive later wait less. Soon after the pause all are near 0 again.",
    )
