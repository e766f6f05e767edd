"""Figures of a season: what moved on a morning, and what a season cost day by day."""

from __future__ import annotations

import numpy as np

from mlprod_helpers.oncall.costs import COSTS
from mlprod_helpers.oncall.metrics import METRICS
from mlprod_helpers.oncall.season.script import DAYS

_SHOWN = 28  # days of history in a picture


def most_moved(morning, most=4):
    """The metrics farthest from their usual range on a morning: [(name, distance)], the farthest first.

    Parameters
    ----------
    morning : dict, an observation of `Season`
    most : int, how many

    Returns
    -------
    list of (str, float). The distance counts from the middle of the usual range, in halves of its width, so beyond 1 is
    outside. Only the side counts on which a metric is bad.

    >>> from mlprod_helpers.oncall import Season
    >>> len(most_moved(Season(0).morning))
    4
    """
    moved = []
    for name, metric in METRICS.items():
        value, (low, high) = morning["metrics"][name], morning["usual"][name]
        if value is None or not metric.bad:
            continue
        half = max((high - low) / 2, metric.margin / 2, 1e-9)
        distance = (value - (low + high) / 2) / half
        moved.append((name, round({"up": distance, "down": -distance, "both": abs(distance)}[metric.bad], 2)))
    return sorted(moved, key=lambda one: -one[1])[:most]


def in_unit(name, value):
    """A metric's value with its unit, for a sentence.

    >>> in_unit("failed_share", 0.0312), in_unit("late_reviews", 9.0)
    ('3.1%', '9 flights')
    """
    from mlprod_helpers import plots

    if value is None:
        return "unknown"
    unit = METRICS[name].unit
    return plots.percent(value) if unit == "share" else f"{plots.say(value)} {unit}"


def words(name):
    """A metric's name as words.

    >>> words("latency_p95"), words("error_ewr")
    ('latency p95', 'error EWR')
    """
    first, *rest = name.split("_")
    return " ".join([first, *(part.upper() if part in ("ewr", "jfk", "lga") else part for part in rest)])


def moved_picture(morning):
    """Draw the last days of the four metrics that moved most, each over the band of its usual range.

    >>> from mlprod_helpers.oncall import Season
    >>> "usual range" in moved_picture(Season(0).morning).alt
    True
    """
    from mlprod_helpers import plots

    moved = most_moved(morning)
    fig, axes = plots.figure(4, size=(9.6, 2.3))
    facts = []
    for ax, (name, distance) in zip(axes, moved, strict=True):
        share = METRICS[name].unit == "share"
        scale = 100 if share else 1
        history = morning["history"][name][-_SHOWN:]
        values = scale * np.array([np.nan if value is None else value for value in history], dtype=float)
        days = np.arange(morning["day"] - len(values) + 1, morning["day"] + 1)
        low, high = (scale * edge for edge in morning["usual"][name])
        outside = distance > 1
        color = plots.RED if outside else plots.BLUE
        ax.axhspan(
            max(low, 0) if name != "error_bias" else low, high, color=plots.GREY, alpha=0.18, linewidth=0
        )
        ax.plot(days, values, color=color, linewidth=1.4)
        ax.plot(days[-1:], values[-1:], "o", color=color, markersize=5)
        ax.set_title(words(name), fontsize=10, color=plots.ink(color))
        ax.set_ylabel("%" if share else METRICS[name].unit)
        ax.set_xlabel("day")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.margins(y=0.15)
        facts.append(
            f"{words(name)} is {in_unit(name, morning['metrics'][name])}, {'outside' if outside else 'within'} its usual range"
        )
    return plots.show(
        fig,
        alt=f"Day {morning['day']}: the four metrics that are farthest from usual, each over its last {_SHOWN} days. "
        f"{'; '.join(facts)}.",
    )


def season_picture(report):
    """Draw the dollars of each day of a season, with its incidents as bars and the actions as marks.

    Parameters
    ----------
    report : Report

    >>> from mlprod_helpers.oncall import Season
    >>> season = Season(0)
    >>> _ = season.step()
    >>> season_picture(season.report()).alt[:22]
    'Dollars of each of the'
    """
    from mlprod_helpers import plots

    total = np.array([sum(day.values()) for day in report.by_day])
    incidents = report.incidents
    rows = max(len(incidents), 1)
    fig, (top, below) = plots.figure(
        1, 2, size=(9.2, 3.2 + 0.26 * rows), sharex=True, height_ratios=(2.2, 0.6 + 0.26 * rows)
    )
    days = np.arange(len(total))
    top.bar(days, total, width=0.9, color=plots.BLUE)
    top.set(ylabel="dollars a day", xlim=(-0.5, DAYS - 0.5))
    worst = int(np.argmax(total)) if len(total) else 0
    top.set_title(
        f"{report.cost:,.0f} dollars in {report.days} days, most on day {worst}"
        if len(total)
        else "No day is played yet"
    )
    for row, one in enumerate(incidents):
        below.barh(row, one["ended"] - one["start"], left=one["start"] - 0.5, height=0.55, color=plots.ORANGE)
        for key, mark, color in (("noticed", "|", plots.INK), ("answered", "o", plots.GREEN)):
            if one[key] is not None:
                below.plot(one[key], row, mark, color=color, markersize=7, markeredgewidth=2)
    below.set_yticks(range(len(incidents)), [one["kind"].replace("_", " ") for one in incidents])
    below.set_ylim(rows - 0.4, -0.6)
    below.set_xlabel("day")
    below.set_title("bar: incident; line: first alert; dot: first action that helps", fontsize=9.5)
    below.grid(False)
    answered = sum(one["answered"] is not None for one in incidents)
    return plots.show(
        fig,
        alt=f"Dollars of each of the {report.days} days, {report.cost:,.0f} in all, with {len(incidents)} incidents below, of "
        f"which {answered} were answered. "
        + " ".join(
            f"{one['title']}: day {one['start']} to {one['ended']}, "
            + (f"answered on day {one['answered']}." if one["answered"] is not None else "not answered.")
            for one in incidents
        ),
    )


def _plural(cause):
    """A cost's name as words, in the plural where it has one: "error minutes", "training"."""
    return cause.replace("_", " ") + ("" if cause == "training" else "s")


def cost_picture(costs):
    """Draw what some policies cost on the same season or seasons, by cause.

    Parameters
    ----------
    costs : DataFrame, index the policies, columns the causes (`COSTS`), dollars

    >>> import pandas as pd
    >>> cost_picture(pd.DataFrame({"page": [400.0], "review": [90.0]}, index=["do nothing"]))
    Figure: Dollars by cause. do nothing: 490 in all, and the largest part is pages.
    """
    from mlprod_helpers import plots

    dollars = costs[[name for name in COSTS if name in costs and costs[name].sum() > 0]]
    total = dollars.sum(axis=1)
    title = (
        f"From {total.max():,.0f} dollars ({total.idxmax()}) down to {total.min():,.0f} ({total.idxmin()})"
    )
    fig, ax = plots.figure(size=(8.6, 1.5 + 0.42 * len(costs)), title=title)
    left = np.zeros(len(costs))
    for color, (name, values) in zip(np.resize(plots.COLORS, dollars.shape[1]), dollars.items(), strict=True):
        ax.barh(costs.index, values, left=left, color=str(color), height=0.6, label=name.replace("_", " "))
        left = left + values.to_numpy()
    for row, total in enumerate(left):
        ax.annotate(f" {total:,.0f}", (total, row), va="center")
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set_xlabel("dollars")
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=4, frameon=False, fontsize=9)
    parts = [
        f"{name}: {row.sum():,.0f} in all, and the largest part is {_plural(row.idxmax())}."
        for name, row in dollars.iterrows()
    ]
    return plots.show(fig, alt=f"Dollars by cause. {' '.join(parts)}")
