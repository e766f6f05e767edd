"""A drift, composed, and what four monitors see of it (lesson 01)."""

from __future__ import annotations

import functools

import numpy as np

from mlprod_helpers import plots
from mlprod_helpers.explore.controls import Choice, Slider, explore

_STREAM_ROWS, _ONSET, _WIDTH, _STREAM_SEED = 6000, 2400, 1200, 4
_A_POINT = 150  # rows that make one point of a line
_LARGEST = {"concept": 0.4, "covariate": 2.0, "prior": 0.35}
_PANELS = {  # title -> (limits, words for the horizontal axis)
    "Inputs: means, sd": ((-0.75, 2.35), "tick of the row, thousands"),
    "Predictions: share of 1": ((0, 1), "tick of the row, thousands"),
    "Labels: share of 1": ((0, 1), "tick at which the label arrived, thousands"),
    "Error rate": ((0, 0.6), "tick at which the label arrived, thousands"),
}


@functools.cache
def _drifting(kind, pattern, size):
    """The stream, the drift, and the predictions of a model that was fitted on the first 2,000 rows."""
    from mlprod_helpers.streams import Drift, make_stream

    drift = Drift(
        kind,
        pattern,
        _ONSET,
        0 if pattern == "sudden" else _WIDTH,
        size,
        features=0 if kind == "covariate" else None,
    )
    stream = make_stream(_STREAM_ROWS, drifts=drift, random_state=_STREAM_SEED)
    rows = np.column_stack([np.ones(_STREAM_ROWS), stream.X])
    weights = np.linalg.lstsq(rows[:2000], stream.y[:2000].astype(float), rcond=None)[0]
    return stream, drift, (rows @ weights > 0.5).astype(float)


@functools.cache
def _monitors_still():
    """The part of the picture that stays, and its lines, panel by panel."""
    fig, axes = plots.figure(ncols=2, nrows=2, size=(8.6, 4.9), layout=None)
    fig.subplots_adjust(left=0.055, right=0.975, bottom=0.1, top=0.93, hspace=0.5, wspace=0.13)
    lines = []
    for ax, (title, (limits, xlabel)) in zip(axes.flat, _PANELS.items(), strict=True):
        ax.set_title(title)
        ax.set(xlim=(0, _STREAM_ROWS + 2000), ylim=limits, xlabel=xlabel)
        ax.set_xticks(range(0, 8001, 1000), [str(k) for k in range(9)])
        ax.axvline(_ONSET, color=plots.GREY, linewidth=1.2, linestyle=(0, (2, 3)))
        ax.text(_ONSET + 60, limits[1], "onset", va="top", color=plots.ink(plots.GREY))
        colors = (
            (plots.ORANGE, plots.BLUE, plots.GREEN, plots.PURPLE, plots.SKY)
            if "Inputs" in title
            else (plots.RED if "Error" in title else plots.BLUE,)
        )
        lines.append([ax.plot([], [], color=color)[0] for color in colors])
        if "Inputs" in title:
            ax.legend(lines[-1], ["x0", "x1", "x2", "x3", "x4"], ncols=5, loc="lower right", handlelength=1)
    return plots.Still(fig, [line for panel in lines for line in panel]), lines


def drift_picture(kind, pattern, strength, delay):
    """What do the four monitors see of a drift: inputs, predictions, labels, error?

    A stream of 6,000 rows from `make_stream`, a frozen linear model fitted on the first 2,000, and a drift from row 2,400 on.

    Parameters
    ----------
    kind : {"concept", "covariate", "prior"}
    pattern : {"sudden", "gradual", "incremental", "recurring"}. The change, or a season, takes 1,200 rows.
    strength : float. Percent of the largest size on offer: concept 0.4, covariate 2 sd (of x0), prior 0.35.
    delay : int. Ticks until a label is known: labels and errors are drawn where they are known.

    >>> drift_picture("concept", "sudden", 100, 0)
    Figure: concept drift, sudden: row 2,400, size 0.4 (share of rows whose label changes). The inputs
    moved by 0.06 sd at most. Before the drift and under the new regime: share of positive predictions 0.52 and 0.50, share of positive labels 0.51 and 0.49, error rate 0.10 and 0.44.
    """
    stream, drift, predicted = _drifting(kind, pattern, round(_LARGEST[kind] * strength / 100, 4))
    y = stream.y.astype(float)
    wrong = (predicted != y).astype(float)
    still, lines = _monitors_still()
    at = np.arange(_A_POINT / 2, _STREAM_ROWS, _A_POINT)
    for panel, (values, late) in enumerate(((stream.X, 0), (predicted, 0), (y, delay), (wrong, delay))):
        means = values.reshape(len(at), _A_POINT, -1).mean(axis=1)
        for line, column in zip(lines[panel], means.T, strict=True):
            line.set_data(at + late, column)
    new = drift.new_share(stream.time) == 1
    old = stream.time < _ONSET
    farthest = np.abs(stream.X[new].mean(axis=0) - stream.X[old].mean(axis=0)).max()
    compared = ", ".join(
        f"{name} {values[old].mean():.2f} and {values[new].mean():.2f}"
        for name, values in (
            ("share of positive predictions", predicted),
            ("share of positive labels", y),
            ("error rate", wrong),
        )
    )
    late = f" Labels come {delay:,} ticks late." if delay else ""
    return still.picture(
        f"{drift}. The inputs moved by {farthest:.2f} sd at most. "
        f"Before the drift and under the new regime: {compared}.{late}"
    )


def drift_explorer():
    """Compose a drift above `drift_picture`.

    >>> drift_explorer().values
    {'kind': 'concept', 'pattern': 'sudden', 'strength': 80, 'delay': 0}
    """
    from mlprod_helpers.streams import KINDS, PATTERNS

    return explore(
        drift_picture,
        kind=Choice(tuple(KINDS)),
        pattern=Choice(PATTERNS),
        strength=Slider(10, 100, 10, 80, unit="percent of the largest"),
        delay=Slider(0, 2000, 250, 0, label="label delay", unit="ticks"),
    )
