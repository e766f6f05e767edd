"""Answers given and labels known during one day (lesson 00)."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mlprod_helpers import plots
from mlprod_helpers.explore.controls import Slider, explore

_FIRST, _LAST = 5, 27  # hours of the day; after 24 the labels of the evening arrive
_NAMES = {"answers given": plots.BLUE, "labels known": plots.ORANGE}


def _hours(day, column):
    """Hours since midnight of one column of times."""
    return ((day[column] - day["time"].min().normalize()) / pd.Timedelta(hours=1)).to_numpy()


def _clock(hour):
    """Name an hour, also one of the next night.

    >>> _clock(12), _clock(26)
    ('12:00', '2:00 in the next night')
    """
    return f"{hour}:00" if hour < 24 else f"{hour - 24}:00 in the next night"


def _still(n_flights):
    """The part of the picture that stays, and the artists that move."""
    fig, ax = plots.figure(layout=None)
    fig.subplots_adjust(left=0.09, right=0.965, bottom=0.15, top=0.9)
    ax.set(xlim=(_FIRST, _LAST), ylim=(0, n_flights * 1.08), xlabel="hour of the day", ylabel="flights")
    ax.set_xticks(range(6, _LAST + 1, 3), [f"{hour % 24}:00" for hour in range(6, _LAST + 1, 3)])
    lines = [ax.step([], [], where="post", color=color, label=name)[0] for name, color in _NAMES.items()]
    ax.legend(loc="upper left")
    title = ax.text(0, 1.04, "", transform=ax.transAxes, fontweight="bold", fontsize=10.5)
    return plots.Still(fig, [*lines, title]), lines, title


def arrivals_explorer(day):
    """How far labels lag behind answers at each hour of a day.

    Parameters
    ----------
    day : DataFrame. One day of requests with `time`, `label_time` and the absolute `error` in minutes.

    >>> times = pd.to_datetime(["2013-02-12 08:00", "2013-02-12 11:00"])
    >>> day = pd.DataFrame({"time": times, "label_time": times + pd.Timedelta(hours=2), "error": [3.0, 9.0]})
    >>> arrivals_explorer(day)
    Explorer with hour of the day: 12. At 12:00: 2 answers given, 1 label known. The mean absolute error so far is 3.0 minutes.
    """
    still, lines, title = _still(len(day))
    events = [_hours(day, column) for column in ("time", "label_time")]
    error = day["error"].to_numpy()

    def picture(hour):
        for line, event in zip(lines, events, strict=True):
            happened = np.sort(event[event <= hour])
            line.set_data([_FIRST, *happened, hour], [*range(len(happened) + 1), len(happened)])
        given, known = (int((event <= hour).sum()) for event in events)
        counts = f"{given} answers given, {known} label{'s' * (known != 1)} known"
        so_far = f"{error[events[1] <= hour].mean():.1f} minutes" if known else "unknown"
        title.set_text(f"{_clock(hour)}: {counts}, mean error so far {so_far}")
        return still.picture(f"At {_clock(hour)}: {counts}. The mean absolute error so far is {so_far}.")

    return explore(picture, hour=Slider(6, _LAST, 1, 12, label="hour of the day"))
