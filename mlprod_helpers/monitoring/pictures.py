"""Figures of metrics (lesson 08): a day that stands out, rates with intervals, the rhythm of a week, dashboards."""

from __future__ import annotations

import numpy as np
import pandas as pd

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# panel: (top of the axis, factor, {column: name of its line})
_PANELS = {
    "requests/s": (1.2, 1, {"throughput": ""}),
    "missing rows": (1, 1, {"missing_rows": ""}),
    "p95, s": (2.05, 1e-3, {"latency_p95": ""}),
    "error rate": (0.2, 1, {"error_rate": ""}),
    "brightness": (
        170,
        1,
        {
            "brightness": "all",
            "brightness[prediction=shirts]": "shirts",
            "brightness[prediction=coats]": "coats",
        },
    ),
    "CTR": (0.25, 1, {"ctr": "all", "ctr[device=phone]": "phones", "ctr[device=desktop]": "desktops"}),
}
_BEFORE = 27  # windows of three hours until Friday, 9:00


def one_day(share, moved):
    """Draw a share (Series over dates), and how far one day is from similar days in each metric.

    `moved` holds for each metric the standard deviations between that day and the mean of similar days.
    """
    from mlprod_helpers import plots

    fig, (left, right) = plots.figure(ncols=2, size=(8.6, 3.7))
    left.plot(share.index, 100 * share, color=plots.BLUE, linewidth=1.2)
    months = pd.date_range(share.index[0], share.index[-1], freq="MS")[::2]
    left.set_xticks(months, months.strftime("%b"))
    left.set(ylabel="rows without departure time (%)", ylim=(0, 62))
    worst = share.idxmax()
    left.annotate(
        f"{worst.day} {worst:%B}",
        (worst, 100 * share.max()),
        xytext=(6, -4),
        textcoords="offset points",
        va="center",
    )
    left.set_title("One day of the year stands out")
    named = moved.rename(lambda name: name.removeprefix("mean_").replace("_", " "))
    named = named.rename({"flights": "number of rows", "missing": "missing dep time"}).sort_values(key=abs)
    right.barh(named.index, named, color=[plots.ORANGE if abs(z) > 3 else plots.GREY for z in named])
    right.set(xlabel="distance from the other Saturdays (sd)", xlim=(-4, 27))
    for y, z in enumerate(named):
        right.annotate(f" {z:.1f}", (max(z, 0), y), va="center", fontsize=8)
    right.grid(False)
    far = named[named.abs() > 3]
    right.set_title(f"{len(far)} of {len(named)} metrics moved by more than 3 sd")
    listed = ", ".join(f"{name} {z:.1f}" for name, z in far[::-1].items())
    return plots.show(
        fig,
        alt=f"The left panel shows the share of rows without departure time for each day. It is mostly near 1%, with one peak of "
        f"{100 * share.max():.1f}% on {worst.day} {worst:%B}. The right panel shows how many sd this day is from the other Saturdays: "
        f"{listed}. All other metrics are within {named[named.abs() <= 3].abs().max():.1f} sd.",
    )


def rates(events, trials, low, high):
    """Draw a rate for each day with its interval (`low` to `high`), and the rate of all days as a dashed line.

    `events` and `trials` are Series of counts over the names of the days.
    """
    from mlprod_helpers import plots

    overall, each = events.sum() / trials.sum(), events / trials
    inside = int(((low <= overall) & (overall <= high)).sum())
    fig, ax = plots.figure(size=(7.4, 2.9))
    for day, (a, b, rate) in enumerate(zip(low, high, each, strict=True)):
        ax.plot([day, day], [100 * a, 100 * b], color=plots.BLUE, linewidth=5, alpha=0.35)
        ax.plot(day, 100 * rate, "o", color=plots.BLUE)
    ax.axhline(100 * overall, color=plots.INK, linewidth=1, linestyle="--")
    ax.annotate(
        f"whole week {100 * overall:.3f}%",
        (0.995, 100 * overall),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        ha="right",
    )
    ax.set_xticks(range(len(each)), each.index)
    ax.set(ylabel="CTR (%)", ylim=(0, 1), xlim=(-0.5, len(each) + 0.9))
    ax.set_title(f"The week's rate lies in the interval of {inside} of {len(each)} days")
    return plots.show(
        fig,
        alt=f"The click-through rate of {len(each)} days with Wilson's 95% intervals, which reach from {100 * low.min():.2f}% to "
        f"{100 * high.max():.2f}%. The dashed line shows the rate of the whole week, {100 * overall:.3f}%. It passes through {inside} of the "
        f"{len(each)} intervals.",
    )


def rhythm(measured):
    """Draw requests, p95 and click-through rate by the hour, one panel below the other.

    Parameters
    ----------
    measured : DataFrame. A table of `measure` by the hour, with `throughput`, `latency_p95` and `ctr`.
    """
    from mlprod_helpers import plots

    fig, axes = plots.figure(nrows=3, sharex=True, size=(7.4, 4.6))
    shown = {
        "throughput": (3600, "requests an hour"),
        "latency_p95": (1, "p95 (ms)"),
        "ctr": (100, "CTR (%)"),
    }
    for ax, (name, (factor, label)) in zip(axes, shown.items(), strict=True):
        ax.plot(measured.index, factor * measured[name], color=plots.BLUE, linewidth=1.1)
        ax.set(ylabel=label, ylim=(0, None))
    days = measured.index[measured.index.hour == 0][::2]
    axes[-1].set_xticks(days, [f"{_DAYS[day.day_of_week]} {day.day} {day:%b}" for day in days], fontsize=8)
    axes[0].set_title("What is normal depends on the hour")
    busy = measured["throughput"].groupby(measured.index.hour).mean()
    return plots.show(
        fig,
        alt=f"Three panels show two weeks, hour by hour. Requests have a peak each evening at {busy.idxmax()}:00 UTC, "
        f"{busy.max() / busy.min():.0f} times as high as the low at {busy.idxmin()}:00. The p95 of the latency follows the traffic. "
        "The click-through rate varies most in the hours with the fewest views, because chance has more influence there.",
    )


def dashboards(boards, letters):
    """Draw dashboards beside each other, six panels each over the same time axis.

    Parameters
    ----------
    boards : dict of DataFrame
        Letter -> measured log in windows of three hours from a Tuesday on, see `boards.draw_boards`.
    letters : str. Which of them, for example "AB".
    """
    from mlprod_helpers import plots

    fig, axes = plots.figure(len(letters), 6, size=(8.8, 5.6), layout=None, squeeze=False)
    fig.subplots_adjust(left=0.085, right=0.93, top=0.94, bottom=0.045, wspace=0.32, hspace=0.16)
    for column, letter in zip(axes.T, letters, strict=True):
        board = boards[letter]
        for ax, (title, panel) in zip(column, _PANELS.items(), strict=True):
            _draw_panel(ax, board, *panel)
            ax.set_ylabel(title, fontsize=8)
        days = [_DAYS[day.day_of_week] for day in board.index[::8]]
        column[-1].set_xticks(np.arange(len(days)) + 0.5, days, fontsize=8)
        column[0].set_title(f"Dashboard {letter}")
        column[0].annotate(
            "Friday 9:00", (3.4, 1.12), fontsize=7, va="top", xytext=(3, 0), textcoords="offset points"
        )
    return plots.show(fig, alt=" ".join(_in_words(boards[letter], letter) for letter in letters))


def _draw_panel(ax, board, top, factor, lines):
    """One panel: a grey band for the range before Friday, 9:00, a bar at that moment, and a line for each part."""
    from mlprod_helpers import plots

    whole = factor * board[next(iter(lines))].iloc[:_BEFORE]
    ax.axhspan(whole.min(), whole.max(), color=plots.GREY, alpha=0.22, linewidth=0)
    ax.axvline(_BEFORE / 8, color=plots.GREY, linewidth=1.2, linestyle=(0, (2, 2)))
    ends = {}
    for (name, words), color in zip(lines.items(), (plots.INK, plots.ORANGE, plots.BLUE), strict=False):
        values = factor * board[name].to_numpy()
        ax.plot(np.arange(len(values)) / 8, values, color=color, linewidth=1.1)
        ends[words] = values[-8:].mean(), plots.ink(color)
    lowest = -top
    for words, (height, color) in sorted(ends.items(), key=lambda end: end[1]):
        lowest = max(height, lowest + 0.17 * top)  # names that would overlap are pushed up
        ax.annotate(
            words,
            (1, lowest),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            color=color,
            fontsize=7,
            va="center",
        )
    ax.set(ylim=(0, top), xlim=(0, len(board) / 8))
    ax.set_yticks([0, top / 2], ["0", f"{top / 2:.2g}"], fontsize=7)
    ax.set_xticks(np.arange(len(board) // 8) + 0.5, [])
    ax.grid(axis="x", visible=False)


def _in_words(board, letter):
    """What a dashboard shows: the level before and after Friday, 9:00, and when it left its earlier range."""
    words = []
    for name in [name for _, _, lines in _PANELS.values() for name in lines]:
        before, after = board[name].iloc[:_BEFORE], board[name].iloc[_BEFORE:]
        left = (after > 1.25 * before.max()) | (after < 0.8 * before.min())
        when = f", outside its earlier range after {3 * int(left.argmax()) + 3} hours" if left.any() else ""
        words.append(f"{name} {before.mean():.3g} before and {after.mean():.3g} after{when}")
    return f"Dashboard {letter}, around Friday 9:00: {'; '.join(words)}."
