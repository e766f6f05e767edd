"""What a service and its canary did in the last seconds: a small table and a picture of any request log (lesson 09)."""

from __future__ import annotations

import functools
import html
import threading

import numpy as np
import pandas as pd

from mlprod_helpers import plots
from mlprod_helpers.explore.controls import Explorer, Slider

STATE_S, PICTURE_S = 10.0, 60.0  # seconds that the table and the picture cover
_BINS = 30  # of the picture
_FASTEST, _SLOWEST = 0.5, 20_000  # ms: the scale stands still, what is beyond it is drawn at the edge
_DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))  # color is not the only mark
_COLORS = (plots.BLUE, plots.ORANGE, plots.GREEN)
_ROUTER = "router"  # who refused what no version saw
_MOST = len(_COLORS)
_ONE_AT_A_TIME = threading.Lock()  # a live cockpit draws in a thread of its own

# --- what is known ------------------------------------------------------------------------------------------------------


def _known(log, now, seconds):
    """The rows answered in the `seconds` up to now; column `ago` says how many seconds before now, 0 or less."""
    done = _done(log)
    inside = (done <= now) & (done > now - pd.Timedelta(seconds=seconds))
    rows = log[inside]
    served, attempts, failed = rows["served"], rows["attempts"], rows["status"] >= 500
    again = set(rows["request_id"][served & (attempts > 1)])
    tried = ~served & failed & rows["request_id"].isin(again)  # a version failed it, another one answered
    stood_in = served & (attempts > 1) & ~rows["request_id"].isin(set(rows["request_id"][tried]))
    return pd.DataFrame(
        {
            "ago": (done[inside] - now).dt.total_seconds(),
            "version": rows["version"],
            "latency_ms": rows["latency_ms"],
            "served": served,
            "failed": failed,
            "retried": tried | stood_in,
            "copy": ~served & ~tried,
        }
    )


def _done(log):
    """When each answer left."""
    return log["time"] + (log["latency_ms"] * 1000).round().astype("timedelta64[us]")


def cockpit_state(log, now, versions=()):
    """Count what each version did in the last 10 seconds.

    Only what was answered by now counts, so a recorded log looks as the live one did.

    Parameters
    ----------
    log : DataFrame
        A router's request log, with `served`, `status`, `latency_ms` and `attempts`.
    now : Timestamp, UTC
    versions : sequence of str
        Listed first and in this order, even without a request.

    Returns
    -------
    DataFrame, one row a version (what the router itself refused is the version "router"):
        `rate` answers a second that went to clients; `share` of all these answers, 0 to 1; `p50`, `p99` of the latency in ms, copies
        included; `failed` requests that this version failed (status 500 and above), `lost` those of them that a client saw, `retried`
        those that were tried again because this version did not answer; `copies` a second (shadow).

    >>> from mlprod_helpers.requestlog import as_log
    >>> log = as_log({"time": ["2024-01-01 10:00:00Z"] * 4, "request_id": [1, 2, 3, 3], "version": ["v1", "v2", "v1", "v2"],
    ...     "served": [True, True, True, False], "status": [200, 200, 200, 502], "latency_ms": [4, 6, 5, 1], "attempts": [1, 1, 2, 1]})
    >>> cockpit_state(log, pd.Timestamp("2024-01-01 10:00:01Z"))[["rate", "p50", "failed", "lost", "retried"]]
             rate  p50  failed  lost  retried
    version
    v1        0.2  4.5       0     0        0
    v2        0.1  6.0       1     0        1
    """
    return _state(_known(log, now, STATE_S), STATE_S, versions)


def _state(rows, seconds, versions):
    names = list(dict.fromkeys([*versions, *sorted(set(rows["version"]))]))
    all_served = int(rows["served"].sum())
    table = []
    for name in names:
        own = rows[rows["version"] == name]
        served = int(own["served"].sum())
        p50, p99 = _percentiles(own.loc[own["served"] | own["copy"], "latency_ms"].to_numpy())
        table.append(
            {
                "rate": served / seconds,
                "share": served / all_served if all_served else np.nan,
                "p50": float(p50),
                "p99": float(p99),
                "failed": int(own["failed"].sum()),
                "lost": int((own["failed"] & own["served"]).sum()),
                "retried": int(own["retried"].sum()),
                "copies": int(own["copy"].sum()) / seconds,
            }
        )
    columns = ["rate", "share", "p50", "p99", "failed", "lost", "retried", "copies"]
    return pd.DataFrame(table, pd.Index(names, name="version", dtype=object), columns)


# --- the picture --------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=8)
def _still(versions):
    """The standing part for these versions, and what moves: lines of each version, bars of failures, words."""
    from matplotlib.collections import PolyCollection
    from matplotlib.lines import Line2D

    fig, ((left, shares), (spare, failures)) = plots.figure(2, 2, size=(9.2, 3.7), layout=None)
    spare.remove()
    for ax, place in (
        (left, (0.07, 0.13, 0.41, 0.71)),
        (shares, (0.56, 0.58, 0.425, 0.32)),
        (failures, (0.56, 0.13, 0.425, 0.24)),
    ):
        ax.set_position(place)
        ax.set_xlim(-PICTURE_S, 0)
    for ax in (left, failures):
        ax.set_xlabel("seconds before now")
    left.set(ylim=(_FASTEST, _SLOWEST), yscale="log")
    left.set_yticks([1, 10, 100, 1000, 10_000], ["1 ms", "10 ms", "100 ms", "1 s", "10 s"])
    left.minorticks_off()
    left.set_title("latency: p50 thick, p99 thin", pad=24)
    shares.set(ylim=(0, 105), yticks=[0, 50, 100])
    shares.tick_params(labelbottom=False)
    shares.set_title("answers by version, % of all")
    shown = np.array([0, 2, 10, 50, 100])
    failures.set_ylim(0, _height(100))
    failures.set_yticks(_height(shown), list(map(str, shown)))
    failures.set_title("failures, % of the requests", pad=24)
    lines, handles = {}, []
    for name, color, dashes in zip(versions, _COLORS, _DASHES, strict=False):
        style = {"color": plots.ink(color), "linestyle": dashes}
        [p50] = left.plot([], [], linewidth=2.2, marker=".", markersize=4, **style)
        [p99] = left.plot([], [], linewidth=0.9, **style)
        [share] = shares.plot([], [], linewidth=2.0, marker=".", markersize=4, **style)
        lines[name] = p50, p99, share
        handles.append(Line2D([], [], label=name, linewidth=2.2, **style))
    caught = PolyCollection([], facecolor=plots.GREY, alpha=0.5, linewidth=0)
    lost = PolyCollection([], facecolor=plots.RED, linewidth=0)
    for bars in (caught, lost):
        failures.add_collection(bars, autolim=False)
    place = {"loc": "lower left", "bbox_to_anchor": (-0.01, 0.98), "ncols": _MOST, "borderpad": 0.1}
    if handles:
        left.legend(handles=handles, handlelength=2.6, columnspacing=1.4, **place)
    plots.name_colors(failures, {"failed for a client": plots.RED, "caught by a second try": plots.GREY})
    words = left.text(0.5, 0.5, "", transform=left.transAxes, ha="center", color=plots.SOFT_INK)
    still = plots.Still(fig, [caught, lost, *(line for three in lines.values() for line in three), words])
    still.lines, still.caught, still.lost, still.words = lines, caught, lost, words
    return still


def cockpit_picture(log, now, versions=()):
    """Draw latency by version, share of the answers, and failures over the last minute.

    The parameters are those of `cockpit_state`; at most three versions are drawn.

    >>> from mlprod_helpers.requestlog import as_log
    >>> log = as_log({"time": ["2024-01-01 10:00:00Z"] * 2, "request_id": [1, 2], "version": ["v1", "v2"],
    ...     "served": True, "status": [200, 500], "latency_ms": [4.0, 6.0], "attempts": 1})
    >>> cockpit_picture(log, pd.Timestamp("2024-01-01 10:00:01Z"))
    Figure: The last 60 s before 10:00:01 UTC. v1: 1 answer, 50% of all, p50 4 ms, p99 4 ms, none failed. v2: 1 answer, 50% of all,
    p50 6 ms, p99 6 ms, 1 failed, 1 of them seen by a client.
    """
    rows = _known(log, now, PICTURE_S)
    state = _state(rows, PICTURE_S, versions)
    drawn = tuple(name for name in state.index if name != _ROUTER)[:_MOST]
    with _ONE_AT_A_TIME:
        still = _still(drawn)
        _draw(still, rows, now.timestamp())
        return still.picture(_in_words(state, rows, now))


def _draw(still, rows, now):
    """Put these rows into the artists that move."""
    step = PICTURE_S / _BINS
    phase = now % step  # bins stand still in time while now moves on
    begin = np.arange(-_BINS, 1) * step - phase
    number = np.floor((rows["ago"].to_numpy() + phase) / step).astype(int) + _BINS
    served, failed, retried = (rows[name].to_numpy() for name in ("served", "failed", "retried"))
    answered, latency = served | rows["copy"].to_numpy(), rows["latency_ms"].to_numpy()
    version = rows["version"].to_numpy()

    def count(which):
        return np.bincount(number[which], minlength=_BINS + 1)

    total = count(served)
    middle = np.minimum(begin + step / 2, 0.0)
    for name, (p50, p99, share) in still.lines.items():
        own = version == name
        times = [latency[own & answered & (number == each)] for each in range(_BINS + 1)]
        for line, values in zip((p50, p99), np.array([_percentiles(each) for each in times]).T, strict=True):
            line.set_data(middle, np.clip(values, _FASTEST, _SLOWEST))
        share.set_data(middle, np.where(total > 0, 100 * count(own & served) / np.maximum(total, 1), np.nan))
    seen, hidden = (
        100 * count(which) / np.maximum(total, 1) for which in (served & failed, retried & ~served)
    )
    still.lost.set_verts(_bars(begin, step, 0 * seen, seen))
    still.caught.set_verts(_bars(begin, step, seen, seen + hidden))
    still.words.set_text("" if len(rows) else "no request in this time")


def _percentiles(latency):
    """p50 and p99, NaN without any."""
    return np.percentile(latency, [50, 99]) if len(latency) else (np.nan, np.nan)


def _bars(left, width, low, high):
    """One bar a bin, from `low` to `high` percent."""
    low, high = _height(low), _height(np.minimum(high, 100))
    return [
        [(x, y), (x, top), (min(x + width, 0), top), (min(x + width, 0), y)]
        for x, y, top in zip(left, low, high, strict=True)
        if top > y
    ]


def _height(percent):
    """A scale on which one failure in a hundred can be seen."""
    return np.sqrt(percent)


def _in_words(state, rows, now):
    sentences = [f"The last {PICTURE_S:g} s before {now:%H:%M:%S} UTC."]
    if not len(rows):
        return f"{sentences[0]} No request was answered in this time."
    for row in state.itertuples():
        many = round(row.rate * PICTURE_S)
        facts = [f"{many:,} answer{'s' * (many != 1)}"]
        if many:
            facts[0] += f", {plots.percent(row.share)} of all"
        if row.copies:
            facts.append(f"{round(row.copies * PICTURE_S):,} shadow copies")
        if not np.isnan(row.p50):
            facts.append(f"p50 {plots.say(row.p50)} ms, p99 {plots.say(row.p99)} ms")
        if row.failed:
            facts.append(f"{row.failed:,} failed, {row.lost or 'none'} of them seen by a client")
        elif many or row.copies:
            facts.append("none failed")
        if row.retried:
            facts.append(f"{row.retried:,} tried again")
        sentences.append(f"{row.Index}: {', '.join(facts)}.")
    return " ".join(sentences)


# --- a recorded run -----------------------------------------------------------------------------------------------------


class RecordedCockpit(Explorer):
    """A recorded run with a slider over now; `cockpit` shows it where no lab runs.

    Parameters
    ----------
    log : DataFrame
        A request log with at least one row.
    why : str
        Why there is no lab; it stands above the picture.
    """

    def __init__(self, log, why):
        self._why = why
        begin = log["time"].min().floor("s")
        length = max(2, int(np.ceil((_done(log).max() - begin).total_seconds())))
        versions = tuple(sorted(set(log["version"]) - {_ROUTER}))

        def picture(seconds):
            return cockpit_picture(log, begin + pd.Timedelta(seconds=seconds), versions=versions)

        now = Slider(1, length, 1, length, label="now", unit="seconds after the start")
        super().__init__(picture, {"seconds": now})

    def _shown(self):
        return f"<p><em>A recorded run. {html.escape(self._why)}</em></p>{super()._shown()}"
