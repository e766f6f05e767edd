"""A weekly alarm: false pages against delay (lesson 03)."""

from __future__ import annotations

import functools

import numpy as np

from mlprod_helpers import plots
from mlprod_helpers.explore.controls import Choice, Slider, explore

_LARGE_REFERENCE = 10_000  # rows
_LIMITS = np.round(np.geomspace(0.01, 1, 81), 4)  # the curves run over these
_FEWEST, _LONGEST = 0.01, 104.0  # false pages a year, weeks: what the axes show


def alarm_tradeoff(threshold, rows=100, columns=20, weeks_in_a_row=1, shift=0.5):
    """How often does a weekly PSI alarm cry wolf, and how long does it take to see a shift?

    A column alarms in a week in which its PSI (ten bins) is above the threshold. A page goes out when the same
    column has alarmed so many weeks in a row; its count then begins anew. Columns are independent, the reference
    has 10,000 rows. A PSI without drift is chi-square times (1/n + 1/m) (`drift.psi_null`), with drift non-central
    chi-square. The mean wait for k alarming weeks in a row is the sum of p^-i for i = 1 ... k (Feller, "An
    Introduction to Probability Theory", XIII.7).

    Parameters
    ----------
    threshold : float or array. Limit of the PSI.
    rows, columns : int. Rows a week, columns watched.
    weeks_in_a_row : int. Alarming weeks of one column that make a page.
    shift : float. How far one normal column moves, in standard deviations.

    Returns
    -------
    (float or array, float or array)
        Weeks with a false page in a year in which nothing changes; mean weeks from the onset to the page about the
        column that moved, the week of the onset included.

    >>> pages, weeks = alarm_tradeoff(0.1)
    >>> print(round(pages), round(weeks, 2))
    52 1.0
    """
    from scipy.stats import ncx2

    from mlprod_helpers.drift import psi_null, psi_of_shift

    unit = 1 / _LARGE_REFERENCE + 1 / rows
    quiet = psi_null(_LARGE_REFERENCE, rows).sf(threshold)
    moved = ncx2.sf(np.asarray(threshold) / unit, 9, psi_of_shift(shift) / unit)

    def wait(p):
        p = np.maximum(p, 1e-60)
        return sum(p**-i for i in range(1, weeks_in_a_row + 1))

    return -52 * np.expm1(columns * np.log1p(-1 / wait(quiet))), wait(moved)


@functools.cache
def _alarm_still():
    """The part of the picture that stays, and the artists that move."""
    fig, axes = plots.figure(ncols=2, size=(8.6, 3.6), layout=None)
    fig.subplots_adjust(left=0.075, right=0.985, bottom=0.15, top=0.86, wspace=0.2)
    titles = ("False pages in a quiet year", "Weeks until it is seen")
    ranges = ((_FEWEST * 0.8, 80), (0.8, _LONGEST * 1.3))
    ticks = ((0.01, 0.1, 1, 10, 52), (1, 2, 4, 12, 52, 104))
    moving = []
    beside = {"rotation": 90, "ha": "right", "va": "center", "fontsize": 8.5, "color": plots.SOFT_INK}
    for ax, title, limits, marks, color in zip(
        axes, titles, ranges, ticks, (plots.RED, plots.BLUE), strict=True
    ):
        ax.set_title(title)
        ax.set(xscale="log", yscale="log", xlim=(0.01, 1), ylim=limits, xlabel="limit of the PSI")
        ax.set_xticks([0.01, 0.03, 0.1, 0.25, 1], ["0.01", "0.03", "0.1", "0.25", "1"])
        ax.set_yticks(marks, [f"{mark:g}" for mark in marks])
        ax.minorticks_off()
        for usual in (0.1, 0.25):
            ax.axvline(usual, color=plots.GREY, linewidth=0.9, linestyle=(0, (2, 3)))
            ax.text(usual * 0.97, 0.5, "usual limit", transform=ax.get_xaxis_transform(), **beside)
        [curve] = ax.plot([], [], color=color)
        [dot] = ax.plot([], [], "o", color=plots.INK, markersize=8)
        words = ax.text(
            1, 1.035, "", transform=ax.transAxes, ha="right", fontweight="bold", color=plots.ink(color)
        )
        moving += [curve, dot, words]
    return plots.Still(fig, moving), moving


def alarm_picture(threshold, rows, columns, weeks_in_a_row, shift):
    """False pages and delay of a weekly PSI alarm side by side, over the threshold; a dot marks the chosen one.

    The arguments are those of `alarm_tradeoff`.

    >>> alarm_picture(threshold=0.3, rows=200, columns=20, weeks_in_a_row=1, shift=0.5)
    Figure: A page is sent when a column has been above a PSI of 0.3 for 1 week. There are 200 rows a week and 20 columns.
    A quiet year has fewer than 0.01 false pages. A shift of 0.5 sd in one column is seen after 2.6 weeks on average.
    """
    settings = {"rows": rows, "columns": columns, "weeks_in_a_row": weeks_in_a_row, "shift": shift}
    still, (left, pages_dot, pages_words, right, weeks_dot, weeks_words) = _alarm_still()
    pages, weeks = alarm_tradeoff(_LIMITS, **settings)
    left.set_data(_LIMITS, np.maximum(pages, _FEWEST))
    right.set_data(_LIMITS, np.minimum(weeks, _LONGEST))
    pages, weeks = (float(number) for number in alarm_tradeoff(threshold, **settings))
    pages_dot.set_data([threshold], [max(pages, _FEWEST)])
    weeks_dot.set_data([threshold], [min(weeks, _LONGEST)])
    few = f"fewer than {_FEWEST:g}" if pages < _FEWEST else f"{pages:.2g}" if pages < 10 else f"{pages:.0f}"
    late = "more than two years" if weeks > _LONGEST else f"{weeks:.1f} weeks"
    pages_words.set_text(f"{few} a year")
    weeks_words.set_text(late)
    return still.picture(
        f"A page is sent when a column has been above a PSI of {threshold:g} for {weeks_in_a_row} "
        f"week{'' if weeks_in_a_row == 1 else 's in a row'}. There are {rows:,} rows a week and "
        f"{columns} column{'' if columns == 1 else 's'}. A quiet year has {few} false pages. A shift of {shift:g} sd in one "
        f"column is seen after {late}{'' if weeks > _LONGEST else ' on average'}."
    )


def alarm_explorer():
    """Threshold, rows, columns, weeks in a row and the size of the shift above `alarm_picture`.

    >>> alarm_explorer().values["threshold"]
    0.1
    """
    return explore(
        alarm_picture,
        threshold=Slider(0.02, 0.6, 0.02, 0.1, label="limit of the PSI"),
        rows=Choice([100, 200, 500, 1_000, 5_000], label="rows a week"),
        columns=Slider(1, 50, 1, 20, label="columns watched"),
        weeks_in_a_row=Slider(1, 4, 1, 1, label="weeks in a row until a page"),
        shift=Slider(0.1, 1.5, 0.1, 0.5, label="shift of one column", unit="sd"),
    )
