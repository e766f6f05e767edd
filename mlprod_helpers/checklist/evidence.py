"""Making evidence: from simulations over many seeds, request logs, measured models, and counts."""

import json
import pickle
import time
import tracemalloc
from numbers import Integral

import numpy as np
import pandas as pd

from mlprod_helpers.checklist.measures import METRICS, PERCENTILES
from mlprod_helpers.checklist.parts import Evidence, RecordError, figure_of
from mlprod_helpers.names import nearest_name
from mlprod_helpers.queueing import CapacityPlan, QueueResult
from mlprod_helpers.requestlog import served
from mlprod_helpers.requestlog.numbers import as_floats


def measured(figure, unit, how, *, source="measurement", **conditions):
    """Evidence from a figure, or several, that you took yourself.

    Parameters
    ----------
    figure : float, or a sequence with one figure a repetition; the highest one counts. Where high is good, give a
        single figure, or use `Evidence` itself
    unit : str
    how : str, one sentence: what was run
    source : "measurement", "calculation", "log" or "simulation"
    **conditions : load, machine, number of rows, ...

    Returns
    -------
    Evidence

    >>> measured([0.011, 0.013, 0.012], "s", "predict of 1,000 rows", rows=1000, machine="laptop")
    Evidence(0.013 s, worst of 3 draws, measurement, rows 1000, machine laptop: predict of 1,000 rows)
    """
    draws = () if np.ndim(figure) == 0 else tuple(as_floats(figure, "figure"))
    if np.ndim(figure) and not draws:
        raise RecordError("There is no figure: measure at least once.")
    return Evidence(max(draws) if draws else figure, unit, source, how, conditions, draws)


def from_sizing(sizing, metric="p99", *, seeds=20, **conditions):
    """Evidence from the traffic that a service is sized for: one simulated window a seed.

    Parameters
    ----------
    sizing : Sizing
    metric : str: a percentile ("p50", "p99", ...), "mean_latency", "mean_wait", "drop_rate", "utilization" or
        "throughput" (answers a second while all servers work)
    seeds : int (that many, from 0) or a sequence of int
    **conditions : more to note

    Returns
    -------
    Evidence : the worst figure, and that of each seed as `draws`

    >>> from mlprod_helpers.checklist import Sizing
    >>> from mlprod_helpers.queueing import Lognormal
    >>> sizing = Sizing(rate=40.0, servers=3, service=Lognormal(0.05, cv=1.0), seconds=60)
    >>> one, many = from_sizing(sizing, seeds=1), from_sizing(sizing, seeds=20)
    >>> round(one.figure, 2), round(many.figure, 2)  # one seed says little of the worst minute
    (0.3, 0.43)
    """
    seeds = _seeds(seeds)
    runs = [sizing.run(seed) for seed in seeds]
    conditions = {
        "rate": sizing.rate,
        "servers": sizing.servers,
        "seconds": sizing.seconds,
        "seeds": seeds,
    } | conditions
    return from_runs(runs, metric, **conditions)


def from_runs(runs, metric="p99", **conditions):
    """Evidence from results of `queueing.simulate`, one a seed.

    Parameters
    ----------
    runs : QueueResult, or a list of them
    metric : as in `from_sizing`
    **conditions : at least the `seeds`; `rate` (mean of the runs) and `servers` are noted when not given

    Returns
    -------
    Evidence : the worst figure, and that of each run as `draws`

    Raises
    ------
    RecordError : runs without a request.

    >>> from mlprod_helpers.queueing import poisson, simulate
    >>> runs = [simulate(poisson(10, n=500, random_state=s), 0.05, random_state=s) for s in range(3)]
    >>> evidence = from_runs(runs, "p99", seeds=range(3))
    >>> len(evidence.draws), evidence.conditions["servers"], evidence.unit
    (3, 1, 's')
    """
    runs = [runs] if isinstance(runs, QueueResult) else list(runs)
    if not runs or not all(isinstance(run, QueueResult) for run in runs):
        raise RecordError("runs is a QueueResult of queueing.simulate, or a list of them, one a seed.")
    draws = tuple(float(figure_of(run, metric)) for run in runs)
    if np.isnan(draws).any():
        raise RecordError(f"A run without an answered request says nothing about {metric}: leave it out.")
    spans = [np.ptp(run.arrival) for run in runs]
    if "rate" not in conditions and all(spans):
        rates = [len(run) / span for run, span in zip(runs, spans, strict=True)]
        conditions["rate"] = float(f"{np.mean(rates):.4g}")
    conditions.setdefault("servers", max(run.n_servers for run in runs))
    conditions.setdefault("requests", sum(map(len, runs)))
    known = METRICS.get(metric, METRICS["p99"])
    worst = max if known.better == "low" else min
    return Evidence(
        worst(draws), known.unit, "simulation", f"{metric} of simulated traffic", conditions, draws
    )


def from_plan(plan, **conditions):
    """Evidence from `queueing.plan_capacity`: its long-run p99.

    It is one figure for all its runs together, so `lint` asks for more draws: a plan says how many servers to try,
    `from_sizing` shows what single windows of traffic do to them.

    Parameters
    ----------
    plan : CapacityPlan
    **conditions : `rate` above all, since a plan does not keep it

    Returns
    -------
    Evidence : of a plan that no number of servers fulfils, the best p99 there is

    >>> from mlprod_helpers.queueing import Exponential, plan_capacity
    >>> from_plan(plan_capacity(40.0, Exponential(0.1), 0.5), rate=40.0).conditions
    {'servers': 6, 'rate': 40.0}
    """
    if not isinstance(plan, CapacityPlan):
        raise RecordError(f"plan is {type(plan).__name__}, but it is what queueing.plan_capacity returns.")
    servers = {"servers": plan.servers} if plan.feasible else {}
    return Evidence(plan.p99, "s", "simulation", plan.reason, servers | conditions, (plan.p99,))


def from_log(log, metric="p99", *, every=None, **conditions):
    """Evidence from a request log.

    Requests that the service failed (status 5xx) were never answered: for a percentile their latency is infinite, as in
    `queueing`. Otherwise a service that refuses at once would look fast. Shadow copies do not count.

    Parameters
    ----------
    log : DataFrame with `time`, and `latency_ms` or `status`, or both
    metric : a percentile such as "p99", "mean_latency" (of the answered requests) or "error_rate"
    every : pandas offset such as "1h": the figure of each such window with a request becomes a draw
    **conditions : more to note

    Returns
    -------
    Evidence : latencies in ms, the error rate as a share

    Raises
    ------
    RecordError, ValueError : an empty log, a missing column, time, status or latency.

    >>> log = pd.DataFrame({"time": pd.date_range("2013-01-01", periods=200, freq="min", tz="UTC"),
    ...                     "latency_ms": [10.0] * 199 + [900.0], "status": [200] * 198 + [503, 200]})
    >>> from_log(log, "error_rate").figure, from_log(log, "p99").figure, from_log(log, "p99.9").figure
    (0.005, 10.0, inf)
    >>> from_log(log, "p99", every="1h").draws
    (10.0, 10.0, 10.0, inf)
    """
    log = served(log)
    need = "status" if metric == "error_rate" else "latency_ms"
    if missing := [name for name in ("time", need) if name not in log]:
        raise RecordError(f"The log has no column {missing[0]!r}, which {metric} needs.")
    if log.empty:
        raise RecordError("The log is empty: it proves nothing.")
    known = (*PERCENTILES, "mean_latency", "error_rate")
    if metric not in known:
        raise RecordError(f"A log does not say {metric!r}: {nearest_name(metric, known)}.")
    if not pd.api.types.is_datetime64_any_dtype(log["time"]) or log["time"].isna().any():
        raise RecordError(
            "The column 'time' holds dates, none missing: convert it, leave out rows without one."
        )
    for name in ("status", "latency_ms"):
        if name in log and (gaps := int(np.isnan(as_floats(log[name], f"the column {name!r}")).sum())):
            raise RecordError(f"{gaps} requests have no {name}: say what became of them, or leave them out.")
    groups = [log] if every is None else [part for _, part in log.groupby(log["time"].dt.floor(every))]
    draws = tuple(_figure_of_log(part, metric) for part in groups)
    first, last = log["time"].min(), log["time"].max()
    about = {"requests": len(log), "from": first.isoformat(), "to": last.isoformat()}
    if (span := (last - first).total_seconds()) > 0:
        about["rate"] = float(f"{len(log) / span:.4g}")
    how = f"{metric} of the request log" + (f", one figure every {every}" if every is not None else "")
    unit = "share" if metric == "error_rate" else "ms"
    return Evidence(max(draws), unit, "log", how, about | conditions, draws if every is not None else ())


def _figure_of_log(log, metric):
    failed = as_floats(log["status"]) >= 500 if "status" in log else np.zeros(len(log), dtype=bool)
    if metric == "error_rate":
        return float(failed.mean())
    latency = as_floats(log["latency_ms"])
    if metric == "mean_latency":
        return float(latency[~failed].mean()) if not failed.all() else np.inf
    latency = np.where(failed, np.inf, latency)
    return float(np.percentile(latency, PERCENTILES[metric], method="inverted_cdf"))


# ------------------------------------------------------------------------------------------- a measured model


def model_bytes(model):
    """How large is a model on disk or on the wire?

    `pickle` is what Python writes; it runs code when it is read, so never load one that a stranger made. `json` is the
    same state written as text, arrays as lists of numbers: about what a browser or a program in another language would
    load. It is a size, not a format: nothing reads it back.

    Parameters
    ----------
    model : any fitted estimator, or plain data

    Returns
    -------
    dict : format ("pickle", "json") -> bytes

    >>> sizes = model_bytes({"coefficients": np.zeros(1000)})
    >>> sizes["pickle"] > 8000, sizes["json"]
    (True, 4018)
    """
    text = json.dumps(_as_json(model, ()), separators=(",", ":"))
    return {"pickle": len(pickle.dumps(model, protocol=pickle.HIGHEST_PROTOCOL)), "json": len(text.encode())}


def _as_json(value, above):
    """The state of an object as JSON data; what stands above itself is only named."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, np.generic):
        return _as_json(value.item(), above)
    if any(value is one for one in above):
        return type(value).__name__
    above = (*above, value)
    if isinstance(value, np.ndarray):
        return _as_json(value.tolist(), above)
    if isinstance(value, dict):
        return {str(key): _as_json(item, above) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_as_json(item, above) for item in value]
    if isinstance(value, type) or (callable(value) and hasattr(value, "__qualname__")):
        return value.__qualname__
    state = value.__getstate__() if hasattr(value, "__getstate__") else None
    return (
        {"class": type(value).__name__, "state": _as_json(state, above)} if state is not None else str(value)
    )


def from_model(model, *, form="pickle", **conditions):
    """Evidence for the size of a model.

    Parameters
    ----------
    model : fitted estimator
    form : "pickle" or "json", see `model_bytes`

    Returns
    -------
    Evidence : in bytes

    >>> from sklearn.linear_model import LinearRegression
    >>> from_model(LinearRegression().fit([[0], [1]], [0, 1]), form="json").unit
    'B'
    """
    sizes = model_bytes(model)
    if form not in sizes:
        raise RecordError(f"form is {form!r}: {nearest_name(form, sizes)}.")
    about = {"model": type(model).__name__, "form": form} | conditions
    return Evidence(sizes[form], "B", "measurement", f"bytes of the fitted model as {form}", about)


def peak_memory(call):
    """How much memory does a call take at its peak, above what was there before?

    An estimate: what Python and numpy ask for. Memory that compiled code takes on its own is not seen, and the
    interpreter with its libraries (some 100 MB) comes on top.

    Parameters
    ----------
    call : callable without arguments, such as `lambda: model.predict(rows)`

    Returns
    -------
    int : bytes

    >>> peak_memory(lambda: np.ones(1_000_000)) // 1_000_000
    8
    """
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        result = call()
        peak = tracemalloc.get_traced_memory()[1]
        del result
    finally:
        if not was_tracing:
            tracemalloc.stop()
    return max(0, peak - before)


def batch_timing(predict, rows, sizes=(1, 10, 100, 1000), *, repeats=5):
    """How long does a call take with so many rows, and what does one row cost in it?

    Parameters
    ----------
    predict : callable that takes a frame or array of rows
    rows : DataFrame or array; repeated from its start when a size needs more
    sizes : rows a request
    repeats : int; the median counts, after one call to warm up

    Returns
    -------
    DataFrame : index `rows`; `seconds` a call, `seconds_per_row`. Timings differ from machine to machine and from run
        to run: print their order of magnitude.

    >>> batch_timing(lambda rows: rows.sum(), np.ones((10, 3)), sizes=(1, 100)).index.tolist()
    [1, 100]
    """
    if len(rows) == 0:
        raise RecordError("There is no row to predict.")
    table = {}
    for size in sizes:
        take = np.arange(size) % len(rows)
        some = rows.iloc[take] if hasattr(rows, "iloc") else np.asarray(rows)[take]
        predict(some)
        taken = []
        for _ in range(repeats):
            start = time.perf_counter()
            predict(some)
            taken.append(time.perf_counter() - start)
        table[size] = {"seconds": float(np.median(taken)), "seconds_per_row": float(np.median(taken)) / size}
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("rows")


# ------------------------------------------------------------------------------------------------- trials


def from_trials(passed, how, **conditions):
    """Evidence from trials that pass or fail: wrong inputs sent to the door, restores tried, backups read.

    Parameters
    ----------
    passed : sequence of bool, one a trial
    how : str, what was tried
    **conditions : more to note

    Returns
    -------
    Evidence : the share that passed

    >>> from_trials([True, True, False, True], "wrong payloads that were refused").figure
    0.75
    """
    passed = np.asarray(list(passed))
    if not len(passed) or passed.dtype != bool:
        raise RecordError("passed is a list of True and False, at least one.")
    return Evidence(passed.mean(), "share", "measurement", how, {"trials": len(passed)} | conditions)


def _seeds(seeds):
    if isinstance(seeds, Integral) and not isinstance(seeds, bool):
        seeds = range(seeds)
    seeds = [int(seed) for seed in seeds]
    if not seeds:
        raise RecordError("There is no seed: one draw of the traffic at least.")
    if len(set(seeds)) < len(seeds):
        raise RecordError("A seed stands twice: it draws the same traffic again and proves nothing new.")
    return seeds
