"""Figures of lesson 06: what luck alone shows, and what looking often does to it."""

from __future__ import annotations

import numpy as np


def shuffled_gaps(gaps, seen):
    """Draw the gaps that shuffles of the data show, and mark the real one on both sides.

    Parameters
    ----------
    gaps : array of float. Gap between two click rates after each shuffle, in percentage points.
    seen : float. The real gap, above 0.

    Returns
    -------
    plots.Figure
    """
    from mlprod_helpers import plots

    gaps = np.asarray(gaps)
    as_large = np.abs(gaps) >= seen - 1e-9
    step = np.diff(np.unique(gaps)).min()  # one click more or less
    begin, farthest = seen - step / 2, np.abs(gaps).max() + 2 * step
    outer = np.arange(
        begin, farthest + 2 * step, 2 * step
    )  # two possible gaps a bar, and the real one begins a bar
    inner = np.linspace(-begin, begin, round(begin / step) + 1)
    edges = np.concatenate([-outer[:0:-1], inner, outer[1:]])
    fig, ax = plots.figure()
    ax.hist(gaps[~as_large], bins=edges, color=plots.GREY)
    ax.hist(gaps[as_large], bins=edges, color=plots.ORANGE)
    for side in (-seen, seen):
        ax.axvline(side, color=plots.INK, linewidth=1.2, linestyle="--")
    ax.annotate("the real gap", (seen, 0.95), (5, 0), ("data", "axes fraction"), "offset points", va="top")
    ax.set(xlabel="gap between the click rates after a shuffle (percentage points)", ylabel="shuffles")
    ax.yaxis.set_major_formatter("{x:,.0f}")
    ax.set_title(f"Luck alone shows a gap this large in {as_large.mean():.0%} of the shuffles")
    plots.name_colors(ax, {"smaller gaps": plots.GREY, "at least as large": plots.ORANGE})
    return plots.show(
        fig,
        alt=f"A histogram of the gaps after {len(gaps):,} shuffles. It is highest at 0 and falls off on both sides. The real gap of {seen:.2f} "
        f"points is marked on the slope. In {as_large.mean():.0%} of the shuffles the gap is at least as large, on one side or the other.",
    )


def looks(z, bar=1.96):
    """Draw growing evidence about versions that are equal, and how often a bar is crossed with more and more looks.

    Parameters
    ----------
    z : array of float, n x looks. The z-score of each rollout at each look.
    bar : float. The judge rolls back at the first look with |z| above it.

    Returns
    -------
    plots.Figure
    """
    from mlprod_helpers import plots
    from mlprod_helpers.rollout.sequential import peeking

    shown = z[:60]
    stopped = (np.abs(shown) > bar).any(axis=1)
    looks = np.arange(1, z.shape[1] + 1)
    fig, (left, right) = plots.figure(ncols=2, size=(8.6, 3.7))
    for chosen, color, alpha in ((~stopped, plots.GREY, 0.35), (stopped, plots.RED, 0.8)):
        left.plot(looks, shown[chosen].T, color=color, alpha=alpha, linewidth=1)
    for side in (-bar, bar):
        left.axhline(side, color=plots.INK, linewidth=1, linestyle="--")
    left.set(xlabel="look", ylabel="z-score", xticks=looks)
    left.set_title(f"{stopped.sum()} of {len(shown)} equal versions cross the bar")
    plots.name_colors(left, {"rolled back": plots.RED, "never beyond the bar": plots.GREY})
    often = [1, 2, 5, 10, 20, 50]
    share = [100 * peeking(count) for count in often]
    right.plot(often, share, "o-", color=plots.BLUE)
    for count, y in zip(often, share, strict=True):
        right.annotate(f"{y:.0f}%", (count, y), (0, 6), textcoords="offset points", ha="center")
    right.set(xlabel="looks", ylabel="false rollbacks (%)", ylim=(0, 40), xscale="log", xlim=(0.8, 70))
    right.set_xticks(often, often)
    right.minorticks_off()
    right.set_title("More looks, more false rollbacks")
    return plots.show(
        fig,
        alt=f"The left panel shows the z-scores of {len(shown)} rollouts of equal versions over {len(looks)} looks. {stopped.sum()} of them go beyond "
        f"{bar} at some look and are rolled back. The right panel shows the share of false rollbacks, which rises from {share[0]:.0f}% with one "
        f"look to {share[2]:.1f}% with five and {share[-1]:.0f}% with fifty.",
    )
