"""Latency that was measured on the real service, beside what the queue's formula says from its service time (lesson 09)."""

from __future__ import annotations

import functools

import numpy as np

from mlprod_helpers import plots
from mlprod_helpers.explore.controls import Choice, explore

_LAWS = {"constant": "every request takes equally long", "exponential": "many short, few long"}
_LOADS = np.arange(5, 96) / 100  # of the curves


def predicted_latency(load, law, service_ms, service_sd_ms):
    """Mean and p99 (ms) of the latency of one server at a `load` (share of the time), from its service time.

    The mean is exact for every law: the formula of Pollaczek and Khinchine (`queueing.mgc`), from mean and standard
    deviation of the service time. The p99 is that of exactly constant or exponential service times with this mean.

    >>> [round(value, 1) for value in predicted_latency(0.8, "exponential", 10.0, 10.0)]
    [50.0, 230.3]
    >>> [round(value, 1) for value in predicted_latency(0.8, "constant", 10.0, 1.0)]
    [30.2, 113.6]
    """
    from mlprod_helpers.queueing import md1_percentile, mgc, mmc_percentile

    percentile = md1_percentile if law == "constant" else mmc_percentile
    mean = mgc(load, 1.0, service_sd_ms / service_ms).latency
    return service_ms * mean, service_ms * percentile(99, load, 1.0)


@functools.cache
def _runs(law):
    """The recorded runs under one law of service times, by load."""
    from mlprod_helpers.serving import load_recorded

    return load_recorded("latency")[law].sort_values("load")


@functools.cache
def _still(law):
    """The part of the picture that stays, the artists that move, and the limits of the latency axis."""
    runs = _runs(law)
    about = runs["service_ms"].median(), runs["service_sd_ms"].median()
    curves = np.array([predicted_latency(load, law, *about) for load in _LOADS]).T
    fig, ax = plots.figure(layout=None, size=(7.4, 4.1))
    fig.subplots_adjust(left=0.09, right=0.98, bottom=0.29, top=0.845)
    low, high = 0.6 * runs["service_ms"].min(), 1.2 * max(runs["p99_ms"].max(), curves[1].max())
    ax.set(
        xlim=(0, 100), ylim=(low, high), yscale="log", xlabel="load of the service, %", ylabel="latency, ms"
    )
    ticks = [n * 10**power for power in range(-1, 6) for n in (1, 2, 5) if low <= n * 10**power <= high]
    ax.set_yticks(ticks, [plots.say(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set_title(f"{law} service times: {_LAWS[law]}", pad=24)
    for name, color, marker, curve in zip(
        ("mean", "p99"), (plots.BLUE, plots.ORANGE), "o^", curves, strict=True
    ):
        ax.plot(100 * _LOADS, curve, color=color, linewidth=1.6, label=f"{name} predicted")
        measured = 100 * runs["load"], runs[f"{name}_ms"]
        ax.plot(*measured, marker, color=plots.ink(color), markersize=6, label=f"{name} measured")
    ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.98), ncols=4, borderpad=0.1, columnspacing=1.2)
    [here] = ax.plot([], [], color=plots.INK, linewidth=0.9, linestyle=(0, (4, 3)))
    words = fig.text(0.012, 0.025, "", va="bottom", linespacing=1.45)
    return plots.Still(fig, [here, words]), here, words, (low, high)


def measured_latency_picture(load, law):
    """Draw what a real service was measured to take, beside what queueing theory says from its service time alone.

    The prediction knows nothing of the service but how long a request keeps it busy: not its threads, and not the
    load generator on the same machine. `load` is one of the recorded loads (percent of the time); `law` is that of the
    service times, "constant" or "exponential".
    """
    runs = _runs(law)
    run = runs.iloc[int(np.argmin(np.abs(100 * runs["load"] - load)))]
    still, here, words, limits = _still(law)
    here.set_data([100 * run["load"]] * 2, limits)
    predicted = predicted_latency(run["load"], law, run["service_ms"], run["service_sd_ms"])
    compared = [
        f"{name} {plots.say(value)} ms measured, {plots.say(expected)} ms predicted ({_gap(value, expected)})"
        for name, value, expected in zip(("mean", "p99"), run[["mean_ms", "p99_ms"]], predicted, strict=True)
    ]
    case = f"At load {100 * run['load']:.3g}%, {law} service times of {plots.say(run['service_ms'])} ms"
    requests = f"{run['requests']:,.0f} requests"
    words.set_text("\n".join([f"{case}, {requests}:", *compared]))
    return still.picture(f"{case} result in these latencies ({requests}): {'; '.join(compared)}.")


def _measured_loads():
    """The loads (%) at which each law was measured."""
    loads = (set((100 * _runs(law)["load"]).round().astype(int).tolist()) for law in _LAWS)
    return sorted(set.intersection(*loads))


def _gap(value, expected):
    off = round(100 * (value / expected - 1))
    return "the same" if off == 0 else f"{abs(off)}% {'above' if off > 0 else 'below'}"


def measured_latency_explorer():
    """Put load and law of the service times above `measured_latency_picture`.

    >>> measured_latency_explorer().values
    {'load': 80, 'law': 'constant'}
    """
    return explore(
        measured_latency_picture,
        load=Choice(_measured_loads(), 80, label="load", unit="%"),
        law=Choice(_LAWS, label="service times"),
    )
