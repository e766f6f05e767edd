"""The automation explorer: one threshold, few people, and what a case costs (lesson 07)."""

from __future__ import annotations

import functools

import numpy as np

from mlprod_helpers import plots
from mlprod_helpers.explore.controls import Slider, explore

_HIGHEST = 4.0  # cost of a case; what is more expensive leaves the picture and stands in the words
_PARTS = {"errors": plots.RED, "reviews": plots.ORANGE, "delay": plots.PURPLE, "cost": plots.BLUE}
_SECONDS = 60.0  # a person's look at one case, mean of an exponential law
_RATE = 150 / 3600  # cases a second


@functools.cache
def _constructed():
    """A calibrated model whose confidence is uniform from 0.5 to 1, as (confidence, correct)."""
    from mlprod_helpers.automation import uniform_cases

    cases = uniform_cases(1.0, n=10_000, random_state=0)
    return cases["confidence"].to_numpy(), cases["model_right"].to_numpy()


@functools.cache
def _still():
    """The part of the picture that stays, and the artists that move."""
    fig, ax = plots.figure(layout=None, size=(7.4, 3.7))
    fig.subplots_adjust(left=0.08, right=0.98, bottom=0.14, top=0.82)
    ax.set(xlim=(49, 102), ylim=(0, _HIGHEST), xlabel="threshold: automate from this confidence on (%)")
    ax.set_ylabel("cost of a case")
    lines = {}
    for name, color in _PARTS.items():
        [lines[name]] = ax.plot([], [], color=color, linewidth=2.6 if name == "cost" else 1.5)
    [best] = ax.plot([], [], "o", markersize=11, markerfacecolor="none", markeredgecolor=plots.INK)
    [dot] = ax.plot([], [], "o", color=plots.BLUE, markersize=8)
    named = {
        "errors": plots.RED,
        "reviews": plots.ORANGE,
        "delay": plots.PURPLE,
        "all together": plots.BLUE,
    }
    plots.name_colors(ax, named)
    names = [
        ax.text(0, 0, "", fontsize=9, color=plots.INK, ha=where, va=side)
        for where, side in (("left", "bottom"), ("center", "top"))
    ]
    words = ax.text(0, 1.14, "", transform=ax.transAxes, fontweight="bold")
    return plots.Still(fig, [*lines.values(), best, dot, *names, words]), lines, best, dot, names, words


def automation_picture(threshold, reviewers, fatigue, costs):
    """Draw what a case costs at each threshold: errors, reviews and the wait in the queue; a dot marks the chosen one.

    The closed form of `automation.cost_curve` for a calibrated model with uniform confidence and 150 cases an hour.
    A review takes 60 seconds on average (exponential), and rested reviewers are wrong in 5% of the cases.

    Parameters
    ----------
    threshold : int. In percent: the model decides from this confidence on. Above 100 people decide everything.
    reviewers : int
    fatigue : int. Percentage points of error that a reviewer who never rests has more.
    costs : automation.Costs

    >>> from mlprod_helpers.automation import Costs
    >>> automation_picture(90, reviewers=3, fatigue=0, costs=Costs(error=20, review=1, delay=1))
    Figure: 3 reviewers, threshold 90%: 20% automated, 4.9% wrong, reviewers 67% busy, a case costs 1.81. The cheapest threshold is 89%, at 1.80.
    """
    from mlprod_helpers.automation import Reviewers, cost_curve
    from mlprod_helpers.queueing import Exponential

    still, lines, best, dot, names, words = _still()
    people = Reviewers(reviewers, Exponential(_SECONDS), error=0.05, fatigue=fatigue / 100)
    curve = cost_curve(*_constructed(), _RATE, people, costs)
    at = 100 * curve.index.to_numpy()
    for name, line in lines.items():
        line.set_data(at, np.where(np.isfinite(curve["cost"]), curve[name], np.nan))
    cheapest = curve["cost"].idxmin()
    best.set_data([100 * cheapest], [curve.loc[cheapest, "cost"]])
    now = curve.iloc[int(np.argmin(np.abs(at - threshold)))]
    endless = not np.isfinite(now["cost"])
    dot.set_data([threshold], [_HIGHEST if endless else min(now["cost"], _HIGHEST)])
    least = min(curve.loc[cheapest, "cost"], _HIGHEST)
    names[0].set(x=100 * cheapest, y=least + 0.12, text=f"cheapest: {100 * cheapest:.0f}%")
    names[1].set(x=threshold, y=dot.get_ydata()[0] - 0.18, text=f"yours: {threshold}%")
    wrong = (now["errors"] / costs.error) if costs.error else np.nan
    result = f"{now['coverage']:.0%} automated, " + (
        f"reviewers {now['load']:.0%} busy: the backlog grows without end"
        if endless
        else f"{100 * wrong:.1f}% wrong, reviewers {now['load']:.0%} busy, a case costs {now['cost']:.2f}"
    )
    words.set_text(result)
    many = f"{reviewers} reviewer{'s' if reviewers > 1 else ''}"
    return still.picture(
        f"{many}, threshold {threshold}%: {result}. The cheapest threshold is {100 * cheapest:.0f}%, at {curve.loc[cheapest, 'cost']:.2f}."
    )


def automation_explorer(costs):
    """Put threshold, reviewers and fatigue above `automation_picture`.

    Parameters
    ----------
    costs : automation.Costs

    >>> from mlprod_helpers.automation import Costs
    >>> automation_explorer(Costs(error=20, review=1, delay=1)).values
    {'threshold': 90, 'reviewers': 3, 'fatigue': 0}
    """
    return explore(
        functools.partial(automation_picture, costs=costs),
        threshold=Slider(50, 101, 1, 90, label="threshold", unit="%"),
        reviewers=Slider(1, 6, 1, 3, label="reviewers"),
        fatigue=Slider(0, 30, 1, 0, label="fatigue", unit="points"),
    )
