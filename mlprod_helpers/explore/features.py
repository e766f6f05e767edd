"""What a feature from the finished table promises, and what the service reaches (lesson 10)."""

from __future__ import annotations

import functools

import numpy as np

from mlprod_helpers import plots
from mlprod_helpers.explore.controls import Choice, Slider, explore

TABLE, KNOWN = "the finished table", "what was known"
_TOP = 15


@functools.lru_cache(maxsize=500)
def _scores(hours, wait):
    from mlprod_helpers.features.flights import scores

    return scores(hours, wait)


@functools.cache
def _still():
    """The part of the picture that stays, and the artists that move."""
    fig, ax = plots.figure(size=(7.4, 3.2), layout=None)
    fig.subplots_adjust(left=0.09, right=0.98, top=0.8, bottom=0.16)
    names = ("Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    ax.plot(
        np.arange(10), _scores(2, 0)["plan"], color=plots.GREY, linestyle="--", label="without the feature"
    )
    [before] = ax.plot([], [], "o-", color=plots.BLUE, label="in the notebook")
    [after] = ax.plot([], [], "s-", color=plots.RED, label="in the service")
    ax.set(xlim=(-0.3, 9.3), ylim=(0, _TOP), ylabel="mean error (minutes)")
    ax.set_xticks(np.arange(10), names)
    ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.99), ncols=3, borderpad=0.1, fontsize=8.5)
    title = fig.text(0.09, 0.93, "", fontweight="bold", color=plots.INK)
    return plots.Still(fig, [before, after, title]), before, after, title


def skew_picture(hours, wait, trained):
    """Draw the error of one model in ten months: as its notebook measures it, and as the service has it.

    Parameters
    ----------
    hours : int. The feature is the mean over the flights that left in so many hours before the request.
    wait : int. Minutes from a landing until the service hears of it.
    trained : {"the finished table", "what was known"}. Where training and notebook take the feature from.

    >>> skew_picture(2, 0, "the finished table")
    Figure: Flights of the last 2 hours, reported 0 minutes after landing, model trained on the finished table:
    mean error over ten months 8.5 minutes without the feature, 7.0 in the notebook, 9.2 in the service. The service is
    worse than without the feature in 9 of 10 months.
    """
    table = _scores(hours, wait)
    notebook, service = (
        (table["notebook"], table["service"]) if trained == TABLE else (table["as_of"], table["as_of"])
    )
    still, before, after, title = _still()
    for artist, values in ((before, notebook), (after, service)):
        artist.set_data(np.arange(10), values.clip(upper=_TOP))
    means = [table["plan"].mean(), notebook.mean(), service.mean()]
    title.set_text(
        f"notebook {means[1]:.1f}, service {means[2]:.1f}, without the feature {means[0]:.1f} minutes"
    )
    worse = int((service > table["plan"]).sum())
    return still.picture(
        f"Flights of the last {hours} hour{'' if hours == 1 else 's'}, reported {wait} minutes after landing, model trained on "
        f"{trained}: mean error over ten months {means[0]:.1f} minutes without the feature, {means[1]:.1f} in the notebook, "
        f"{means[2]:.1f} in the service. The service is worse than without the feature in {worse} of 10 months."
    )


def skew_explorer():
    """Window, delay of the reports and source of the training data above `skew_picture`.

    >>> skew_explorer().values
    {'hours': 2, 'wait': 0, 'trained': 'the finished table'}
    """
    return explore(
        skew_picture,
        hours=Slider(1, 12, 1, 2, label="flights that left in the last", unit="hours"),
        wait=Slider(0, 240, 30, 0, label="reporting delay", unit="minutes"),
        trained=Choice([TABLE, KNOWN], label="trained on"),
    )
