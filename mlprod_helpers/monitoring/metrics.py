"""What to measure: metrics with family, unit and bad direction, and the table that they make of a log."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from mlprod_helpers.monitoring.quiet import CLASSES, SERVICE_SCHEMA
from mlprod_helpers.monitoring.schema import is_missing, is_new_category, is_out_of_range
from mlprod_helpers.monitoring.windows import Windows, _divide, true_where
from mlprod_helpers.names import nearest_name
from mlprod_helpers.requestlog.numbers import as_floats


@dataclass(frozen=True)
class Metric:
    """One figure a window: a small pure function with a name, a family, a unit, and the direction that is bad.

    Parameters
    ----------
    name : str
    family : "software" (does it run?), "input" (what comes in?) or "output" (what goes out, what do users do with it?)
    unit : str, such as "ms", "share", "requests/s"
    direction : "up", "down" or "both": where bad is
    compute : function of a `Windows`, returns an array (n_windows,), NaN where there is nothing to measure
    needs : tuple of columns that it reads
    meaning : str, one sentence: what is counted, and what is not

    >>> longest = Metric("longest_wait", "software", "ms", "up", lambda windows: windows.max("latency_ms"), ("latency_ms",))
    >>> log = pd.DataFrame({"time": pd.to_datetime(["2024-01-01 00:10Z", "2024-01-01 00:20Z"]), "latency_ms": [20.0, 90.0]})
    >>> measure(log, [longest])["longest_wait"].tolist()
    [90.0]
    """

    name: str
    family: str
    unit: str
    direction: str
    compute: Callable
    needs: tuple[str, ...] = ()
    meaning: str = ""

    def only(self, column, value):
        """The same metric for one segment, called such as "ctr[device=phone]"."""
        return replace(
            self,
            name=f"{self.name}[{column}={value}]",
            compute=lambda windows: self.compute(windows.only(column, value)),
            needs=(*self.needs, column),
        )


def measure(log, metrics=None, every="1h"):
    """Compute every metric in every window of time: the table that thresholds, alerts and dashboards read.

    Parameters
    ----------
    log : DataFrame with a column `time`
        Shadow copies (`served` False) are left out. To measure what was known at some moment, without later clicks, pass
        `requestlog.as_of(log, now)`.
    metrics : sequence of `Metric` or names out of `METRICS`, optional
        All of `METRICS` whose columns the log has if not given.
    every : str. Length of a window: "1h", "5min", "1D".

    Returns
    -------
    DataFrame
        Its index `time` is the start of each window (UTC for a request log), without gaps. It has the column `rows`, then
        one column a metric. A metric is NaN in a window where it has nothing to count; `throughput` is then 0, because
        silence is a measurement. Missing values count neither for nor against; of infinite ones the mean is infinite.

    Raises
    ------
    KeyError : for a metric that does not exist, or one that reads a column that the log lacks.
    ValueError : for two metrics of one name, and for a metric that does not return one number a window.

    >>> from mlprod_helpers.monitoring import service_log
    >>> measure(service_log(days=1, random_state=0), ["throughput", "ctr"], "6h").round(3)
                               rows  throughput    ctr
    time
    2024-01-01 00:00:00+00:00  2213       0.103  0.121
    2024-01-01 06:00:00+00:00   991       0.046  0.111
    2024-01-01 12:00:00+00:00  2640       0.123  0.098
    2024-01-01 18:00:00+00:00  3842       0.178  0.121
    """
    windows = Windows(log, every)
    table = {"rows": windows.rows}
    for metric in _chosen(metrics, windows.log):
        values = np.asarray(metric.compute(windows), dtype=float)
        if values.shape != (len(windows),):
            raise ValueError(
                f"compute of {metric.name!r} gave shape {values.shape}, but there are {len(windows)} windows: "
                "one number a window."
            )
        if metric.name in table:
            raise ValueError(f"Two metrics are called {metric.name!r}: give each its own name.")
        table[metric.name] = values
    return pd.DataFrame(table, index=windows.index)


def wilson(hits, trials):
    """Wilson's 95% interval (low, high) of a share: honest for few trials, and never below 0 or above 1.

    Both are numbers or arrays; where there were no trials the interval is NaN. There is no correction for continuity.

    Source: E. B. Wilson (1927), Probable inference, the law of succession, and statistical inference.

    >>> low, high = wilson(0, 40)  # no click in forty is not "zero plus or minus zero"
    >>> float(low), round(float(high), 4)
    (0.0, 0.0876)
    """
    from scipy.special import ndtri

    hits, trials = as_floats(hits, "hits"), as_floats(trials, "trials")
    if (hits < 0).any() or (hits > trials).any():
        raise ValueError(
            "Each share needs 0 <= hits <= trials. Were clicks counted twice, or the two swapped?"
        )
    z2 = ndtri(0.975) ** 2
    half = np.sqrt(z2 * (hits * _divide(trials - hits, trials) + z2 / 4))
    low, high = (_divide(hits + z2 / 2 + sign * half, trials + z2) for sign in (-1, 1))
    nothing = trials == 0
    low, high = np.where(hits == 0, 0.0, low), np.where(hits == trials, 1.0, high)  # exact at the edges
    return np.where(nothing, np.nan, low)[()], np.where(nothing, np.nan, high)[()]


# --- metrics to choose from -------------------------------------------------------------------------------------------

_SOON = pd.Timedelta("2min")  # a search so soon after the last one by the same user repeats it


def latency(q):
    """The q-quantile of the latency of all requests; those that failed or timed out are included."""
    return Metric(
        f"latency_p{100 * q:g}",
        *("software", "ms", "up"),
        lambda windows: windows.quantile("latency_ms", q),
        ("latency_ms",),
        f"{q:.0%} of all answers came within this time; failed and timed-out requests included",
    )


def mean_of(column, name=None, *, family="input", unit="", direction="both", meaning=""):
    """The mean of a column of numbers."""
    return Metric(
        name or f"mean_{column}",
        *(family, unit, direction),
        lambda windows: windows.mean(column),
        (column,),
        meaning or f"mean of {column}",
    )


def quantile_of(column, q, *, unit="", meaning=""):
    """The q-quantile of a column of numbers, a metric of the output."""
    return Metric(
        f"{column}_p{100 * q:g}",
        *("output", unit, "both"),
        lambda windows: windows.quantile(column, q),
        (column,),
        meaning or f"{q:.0%} of {column} are below",
    )


def class_share(value):
    """The share of one class among the predictions that were given."""
    return Metric(
        f"share_{value}",
        *("output", "share", "both"),
        lambda windows: windows.share(
            windows.log["prediction"] == value, among=windows.log["prediction"].notna()
        ),
        ("prediction",),
        f"share of {value} among the answers that were given",
    )


def _redo_rate(windows):
    """The share of searches that the same user repeats within two minutes.

    Further pages (`page` above 1) are interest, not a redo. A row with a request_id that was there before is the client that
    tries again, which is a matter of software. Tomorrow's search is a new wish.
    """
    log = windows.log.reset_index(drop=True)
    is_search = log["user_id"].notna()
    if "page" in log:
        is_search &= true_where(log["page"] == 1)[0]
    try:
        is_search &= ~log["request_id"].duplicated()
        following = log[is_search].groupby("user_id", sort=False, observed=True)["time"].shift(-1)
    except TypeError:
        raise TypeError(
            "The columns 'request_id' and 'user_id' hold lists or the like: a name is a number or text."
        ) from None
    return windows.share(following.reindex(log.index) - log["time"] <= _SOON, among=is_search)


def _share_of_rows(is_odd, name, what, columns):
    """The share of rows in which at least one of these columns of the service's schema is not as agreed."""

    def compute(windows):
        odd = [is_odd(windows.log[column], SERVICE_SCHEMA[column]) for column in columns]
        return windows.share(np.any(odd, axis=0))

    meaning = f"share of rows with a {what}: {', '.join(columns)}"
    return Metric(name, "input", "share", "up", compute, tuple(columns), meaning)


def _repeated_prices(windows):
    price = windows.values("price")
    there = ~np.isnan(price)
    there[np.append(True, np.diff(windows.which) > 0)] = False  # the first row of a window has none before it
    return windows.share(np.append(False, price[1:] == price[:-1]), among=there)


def _lengths(column):
    """Characters of each text."""
    try:
        return column.str.len().to_numpy(dtype=float, na_value=np.nan)
    except AttributeError:
        raise ValueError(
            f"The column {column.name!r} holds {column.dtype}, no text: its length says nothing."
        ) from None


def _throughput(windows):
    sent = windows.sum("attempts") if "attempts" in windows.log else windows.rows
    return sent / windows.seconds


def _status(low, high):
    def compute(windows):
        status = windows.values("status")
        return windows.share((status >= low) & (status <= high), among=~np.isnan(status))

    return compute


def _missing_outputs(windows):
    return windows.share(windows.log["prediction"].isna(), among=windows.values("status") < 400)


def _ctr(windows):
    shown = windows.values("status") < 400 if "status" in windows.log else None
    return windows.share(windows.log["clicked"], among=shown)


def _chosen(metrics, log):
    if metrics is None:
        return [metric for metric in METRICS.values() if set(metric.needs) <= set(log.columns)]
    chosen = []
    for metric in (metrics,) if isinstance(metrics, str | Metric) else metrics:
        if not isinstance(metric, Metric):
            if metric not in METRICS:
                raise KeyError(f"There is no ready metric {metric!r}: {nearest_name(metric, METRICS)}.")
            metric = METRICS[metric]
        if missing := [name for name in metric.needs if name not in log.columns]:
            raise KeyError(
                f"The metric {metric.name!r} reads the column {missing[0]!r}, which the log has not: "
                f"{nearest_name(missing[0], log.columns)}."
            )
        chosen.append(metric)
    return chosen


_READY = (
    *(latency(0.5), latency(0.95), latency(0.99)),
    Metric(
        "throughput",
        *("software", "requests/s", "both"),
        _throughput,
        (),
        "requests a second, every attempt of a client counted; 0 in silence",
    ),
    Metric(
        "error_rate",
        *("software", "share", "up"),
        _status(500, 599),
        ("status",),
        "share of requests that the service failed (status 500 and above); the sender's faults (4xx) are not its own",
    ),
    Metric(
        "retry_rate",
        *("software", "share", "up"),
        lambda windows: windows.share(
            windows.values("attempts") > 1, among=~np.isnan(windows.values("attempts"))
        ),
        ("attempts",),
        "share of requests that the client had to send more than once",
    ),
    mean_of(
        "busy",
        "server_load",
        family="software",
        unit="share",
        direction="up",
        meaning="utilization: mean share of busy workers, as the requests found it",
    ),
    Metric(
        "memory_mb",
        *("software", "MB", "up"),
        lambda windows: windows.max("memory_mb"),
        ("memory_mb",),
        "highest memory of a server's process: a leak begins in one of them, and a mean would hide it",
    ),
    mean_of(
        "cpu",
        family="software",
        name="cpu",
        unit="share",
        direction="up",
        meaning="mean share of the processor in use",
    ),
    Metric(
        "input_length",
        *("input", "characters", "both"),
        lambda windows: windows.mean(_lengths(windows.log["query"])),
        ("query",),
        "mean number of characters of query; missing texts are left out, empty ones count 0",
    ),
    _share_of_rows(is_missing, "missing_rows", "missing value, sentinels included", tuple(SERVICE_SCHEMA)),
    mean_of("brightness", "brightness", unit="0-255", meaning="mean brightness of the photos, 0 is black"),
    _share_of_rows(
        is_out_of_range,
        "out_of_range",
        "value outside of its range",
        ("brightness", "price", "rating"),
    ),
    _share_of_rows(is_new_category, "new_categories", "category that training never saw", ("category",)),
    Metric(
        "repeated_values",
        *("input", "share", "up"),
        _repeated_prices,
        ("price",),
        "share of rows that repeat the price before: a feed that is stuck repeats itself",
    ),
    Metric(
        "missing_outputs",
        *("output", "share", "up"),
        _missing_outputs,
        ("prediction", "status"),
        "share of requests with status below 400 and still no answer: fast, idle and useless",
    ),
    Metric(
        "redo_rate",
        *("output", "share", "up"),
        _redo_rate,
        ("user_id", "request_id"),
        "share of searches that the same user repeats within 2min; next pages and client retries are none",
    ),
    Metric(
        "ctr",
        *("output", "share", "down"),
        _ctr,
        ("clicked",),
        "click-through rate: share of the answers shown that were clicked",
    ),
    *(class_share(name) for name in CLASSES),
    mean_of("score", "score_mean", family="output", unit="0-1", meaning="mean score of the answers"),
    *(
        quantile_of(
            "score",
            q,
            unit="0-1",
            meaning=f"{q:.0%} of the scores are below: the shape of their distribution",
        )
        for q in (0.1, 0.5, 0.9)
    ),
)
METRICS = {metric.name: metric for metric in _READY}
