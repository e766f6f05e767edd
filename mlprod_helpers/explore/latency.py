"""Latency that was measured on the real service, beside what the queue's formula says from its service time (lesson 09)."""

from __future__ import annotations

import functools

import numpy as np

from mlprod_helpers import plots
from mlprod_helpers.explore.controls import Choice, Slider, explore

_LAWS = {"constant": "every request takes equally long", "exponential": "many short, few long"}
_COLUMNS = ("load", "service_ms", "service_sd_ms", "mean_ms", "p99_ms", "requests")
_LOADS = np.arange(5, 96) / 100  # of the curves


def predicted_latency(load, law, service_ms=1.0, service_sd_ms=None, around_ms=0.0):
    """(mean, p99) of the latency in ms that one server gives at this load, by its service time alone.

    `around_ms` is what each request takes besides, while the server is free for the next one: network, HTTP, JSON.

    The mean is exact for every law: the formula of Pollaczek and Khinchine (`queueing.mgc`), from mean and standard deviation of the
    service time. The p99 is that of exactly constant or exponential service times with this mean.

    >>> [round(value, 1) for value in predicted_latency(0.8, "exponential", 10.0)]
    [50.0, 230.3]
    >>> [round(value, 1) for value in predicted_latency(0.8, "constant", 10.0, service_sd_ms=1.0)]
    [30.2, 113.6]
    """
    from mlprod_helpers.queueing import md1_percentile, mgc, mmc_percentile

    _check_law(law)
    spread, percentile = (0.0, md1_percentile) if law == "constant" else (1.0, mmc_percentile)
    if service_sd_ms is not None:
        spread = service_sd_ms / service_ms
    mean, p99 = mgc(load, 1.0, spread).latency, percentile(99, load, 1.0)
    return around_ms + service_ms * mean, around_ms + service_ms * p99


@functools.lru_cache(maxsize=8)
def _curves(law, *about):
    """(mean, p99) in ms at each of `_LOADS`."""
    return np.array([predicted_latency(load, law, *about) for load in _LOADS]).T


def _check_law(law):
    if law not in _LAWS:
        raise ValueError(f"law is {law!r}, but the recorded service has {' or '.join(map(repr, _LAWS))}.")


def _recorded(measured):
    if measured is None:
        from mlprod_helpers.serving.recorded import load_recorded

        measured = load_recorded("latency")
    if not isinstance(measured, dict):
        raise ValueError('measured is a dict of law -> table, such as load_recorded("latency").')
    for law, runs in measured.items():
        if missing := [name for name in _COLUMNS if name not in runs]:
            raise ValueError(
                f"The table of {law} has no column {missing[0]!r}; it needs {', '.join(_COLUMNS)}."
            )
    return measured


@functools.lru_cache(maxsize=8)
def _still(law, points):
    """The standing part for one law: `points` are the columns of each recorded run."""
    at, service, spread, mean, p99, _, around = np.array(points).T
    curves = _curves(law, *(float(np.median(each)) for each in (service, spread, around)))
    fig, ax = plots.figure(layout=None, size=(7.4, 4.1))
    fig.subplots_adjust(left=0.09, right=0.98, bottom=0.29, top=0.845)
    low, high = 0.6 * min(service), 1.6 * max(*p99, *curves[1][:-5])
    ax.set(
        xlim=(0, 100), ylim=(low, high), yscale="log", xlabel="load of the service, %", ylabel="latency, ms"
    )
    ticks = [n * 10**power for power in range(-1, 6) for n in (1, 2, 5) if low <= n * 10**power <= high]
    ax.set_yticks(ticks, [plots.say(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set_title(f"{law} service times: {_LAWS[law]}", pad=24)
    styles = ((plots.BLUE, "o", mean, "mean"), (plots.ORANGE, "^", p99, "p99"))
    for (color, mark, values, name), curve in zip(styles, curves, strict=True):
        ax.plot(100 * _LOADS, curve, color=color, linewidth=1.6, label=f"{name} predicted")
        ax.plot(100 * at, values, mark, color=plots.ink(color), markersize=6, label=f"{name} measured")
    ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.98), ncols=4, borderpad=0.1, columnspacing=1.2)
    [here] = ax.plot([], [], color=plots.INK, linewidth=0.9, linestyle=(0, (4, 3)))
    words = fig.text(0.012, 0.025, "", va="bottom", linespacing=1.45)
    return plots.Still(fig, [here, words]), here, words, (low, high)


def measured_latency_picture(load=80, law="constant", measured=None):
    """What a real service was measured to take, beside what queueing theory says from its service time alone.

    The prediction knows nothing of the service but how long a request keeps it busy, and what it takes around that (see
    `predicted_latency`): not its threads, not the load generator on the same machine.

    Parameters
    ----------
    load : float, percent of the time in which the service works; the nearest load that was recorded is told
    law : "constant" or "exponential", of the service times
    measured : dict of law -> DataFrame, optional: one row a run, columns `load` (a share), `service_ms`, `service_sd_ms`, `mean_ms`,
        `p99_ms`, `requests`, and `around_ms` where it was measured; `serving.recorded.load_recorded("latency")` if not given

    Returns
    -------
    plots.Figure

    Raises
    ------
    ValueError : a law without a recorded run, or a table without these columns.

    Examples
    --------
    >>> import pandas as pd
    >>> run = {"load": [0.8], "service_ms": [10.0], "service_sd_ms": [1.0], "mean_ms": [32.0], "p99_ms": [120.0], "requests": [4000]}
    >>> measured_latency_picture(78, measured={"constant": pd.DataFrame(run)})
    Figure: At load 80 %, constant service times of 10 ms, 4,000 requests: mean 32 ms measured, 30.2 ms predicted (6 % above);
    p99 120 ms measured, 114 ms predicted (6 % above).
    """
    _check_law(law)
    runs = _recorded(measured).get(law)
    if runs is None or not len(runs):
        raise ValueError(f"No run with {law} service times was recorded.")
    runs = runs if "around_ms" in runs else runs.assign(around_ms=0.0)
    points = runs[[*_COLUMNS, "around_ms"]].sort_values("load")
    points = tuple(points.itertuples(index=False, name=None))
    still, here, words, span = _still(law, points)
    at, service, spread, mean, p99, requests, around = min(
        points, key=lambda point: (abs(100 * point[0] - load), point[0])
    )
    here.set_data([100 * at, 100 * at], span)
    told = [
        f"{name} {plots.say(value)} ms measured, {plots.say(expected)} ms predicted ({_gap(value, expected)})"
        for name, value, expected in zip(
            ("mean", "p99"), (mean, p99), predicted_latency(at, law, service, spread, around), strict=True
        )
    ]
    times = f"{plots.say(service)} ms" + (f" and {plots.say(around)} ms around them" if around else "")
    begin = f"At load {100 * at:.3g} %, {law} service times of {times}, {requests:,.0f} requests:"
    words.set_text("\n".join([begin, *told]))
    return still.picture(f"{begin} {'; '.join(told)}.")


def _gap(value, expected):
    off = round(100 * (value / expected - 1))
    return "the same" if off == 0 else f"{abs(off)} % {'above' if off > 0 else 'below'}"


def measured_latency_explorer(measured=None):
    """Load and law of the service times above `measured_latency_picture`.

    Parameters
    ----------
    measured : see `measured_latency_picture`

    Returns
    -------
    Explorer
    """

    def picture(load, law):
        return measured_latency_picture(load, law, measured)

    measured = _recorded(measured)
    laws = [law for law in _LAWS if law in measured]
    return explore(
        picture,
        load=Slider(20, 90, 5, 80, label="load", unit="%"),
        law=Choice(laws, label="service times"),
    )
