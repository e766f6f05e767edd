"""Making evidence: from simulations over many seeds, measured models, and counts."""

import json
import pickle
import time
import tracemalloc
from numbers import Real

import numpy as np
import pandas as pd

from mlprod_helpers.checklist.fields import RecordError, as_list, as_whole
from mlprod_helpers.checklist.measures import METRICS
from mlprod_helpers.checklist.parts import Evidence, figure_of


def measured(figure, unit, how, *, source="measurement", **conditions):
    """Evidence from a figure that you took yourself.

    Parameters
    ----------
    figure : float
    unit : str
    how : str, one sentence: what was run
    source : "measurement", "calculation", "log" or "simulation"
    **conditions : load, machine, number of rows, ...

    >>> measured(0.013, "s", "predict of 1,000 rows", rows=1000, machine="laptop")
    Evidence(0.013 s, measurement, rows 1000, machine laptop: predict of 1,000 rows)
    """
    return Evidence(figure, unit, source, how, conditions)


def from_sizing(sizing, metric="p99", *, seeds=20):
    """Evidence from the traffic that a service is sized for: the worst of one simulated window a seed.

    Parameters
    ----------
    sizing : Sizing
    metric : str, one of `SIMULATED` in `checklist.measures`, or any percentile such as "p75"
    seeds : int (that many, from 0) or a sequence of int

    Raises
    ------
    RecordError : no seed, a seed twice, a number of seeds that is not whole, or a window in which no request says
        anything about the metric.

    >>> from mlprod_helpers.checklist import Sizing
    >>> from mlprod_helpers.queueing import Lognormal
    >>> sizing = Sizing(rate=40.0, servers=3, service=Lognormal(0.05, cv=1.0), seconds=60)
    >>> one, many = from_sizing(sizing, seeds=1), from_sizing(sizing, seeds=20)
    >>> round(one.figure, 2), round(many.figure, 2)  # one seed says little of the worst minute
    (0.3, 0.43)
    """
    return from_same_runs(sizing, (metric,), seeds)[0]


def from_same_runs(sizing, metrics, seeds):
    """The evidence of `from_sizing` for each of several metrics, in a list; the traffic is drawn only once."""
    seeds = _seeds(seeds)
    if not seeds:
        raise RecordError("There is no seed: one draw of the traffic at least.")
    if len(set(seeds)) < len(seeds):
        raise RecordError("A seed stands twice: it draws the same traffic again and proves nothing new.")
    runs = [sizing.run(seed) for seed in seeds]
    return [_worst_of(runs, metric, sizing, seeds) for metric in metrics]


def _worst_of(runs, metric, sizing, seeds):
    draws = tuple(figure_of(run, metric) for run in runs)
    if np.isnan(draws).any():
        raise RecordError(f"A run without an answered request says nothing about {metric}: leave it out.")
    conditions = {
        "rate": sizing.rate,
        "servers": sizing.servers,
        "seconds": sizing.seconds,
        "seeds": seeds,
        "requests": sum(map(len, runs)),
    }
    measure = METRICS.get(metric, METRICS["p99"])
    worst = max(draws) if measure.better == "low" else min(draws)
    return Evidence(worst, measure.unit, "simulation", f"{metric} of simulated traffic", conditions, draws)


def _seeds(seeds):
    """The list of seeds; a single number says how many, from 0."""
    seeds = as_whole(as_list(seeds))
    if isinstance(seeds, Real):
        if isinstance(seeds, bool | float):
            raise RecordError(f"seeds is {seeds}, but it is a whole number of seeds, or a list of them.")
        return list(range(seeds))
    return list(seeds)


# ------------------------------------------------------------------------------------------- a measured model


def model_bytes(model):
    """The bytes of a model (any fitted estimator, or plain data) on disk or on the wire, by format.

    `pickle` is what Python writes; reading one runs its code, so never load a stranger's. `json` is the same state
    as text, about what a browser or a program in another language would load. It is a size, not a format that
    anything reads back.

    >>> sizes = model_bytes({"coefficients": np.zeros(1000)})
    >>> sizes["pickle"] > 8000, sizes["json"]
    (True, 4018)
    """
    text = json.dumps(model, default=_state, skipkeys=True, separators=(",", ":"))
    return {"pickle": len(pickle.dumps(model, protocol=pickle.HIGHEST_PROTOCOL)), "json": len(text.encode())}


def _state(value):
    """What JSON cannot write itself: arrays as lists, other objects as their state, functions by their name."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if callable(value) and hasattr(value, "__qualname__"):
        return value.__qualname__
    state = value.__getstate__()
    return str(value) if state is None else {"class": type(value).__name__, "state": state}


def from_model(model):
    """Evidence for the size of a model: the bytes of its pickle.

    >>> from sklearn.linear_model import LinearRegression
    >>> from_model(LinearRegression().fit([[0], [1]], [0, 1])).unit
    'B'
    """
    conditions = {"model": type(model).__name__, "form": "pickle"}
    size = model_bytes(model)["pickle"]
    return Evidence(size, "B", "measurement", "bytes of the fitted model as pickle", conditions)


def peak_memory(call):
    """The bytes that a call without arguments takes at its peak, above what was there before.

    This is an estimate: it sees what Python and numpy ask for, but not memory that compiled code takes on its own,
    and not the interpreter with its libraries (some 100 MB).

    >>> peak_memory(lambda: np.ones(1_000_000)) // 1_000_000
    8
    """
    tracemalloc.start()
    try:
        result = call()
        peak = tracemalloc.get_traced_memory()[1]
        del result
    finally:
        tracemalloc.stop()
    return peak


def batch_timing(predict, rows, sizes=(1, 10, 100, 1000), *, repeats=5):
    """How long a call takes with so many rows, and what one row costs in it.

    Parameters
    ----------
    predict : callable that takes a frame or array of rows
    rows : DataFrame or array, repeated from its start when a size needs more
    sizes : rows a request
    repeats : int; the median counts, after one call to warm up

    Returns
    -------
    DataFrame : index `rows`; `seconds` a call, `seconds_per_row`. Timings differ from machine to machine: print their
        order of magnitude.

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


def from_trials(passed, how):
    """Evidence from trials that pass or fail (bools), such as wrong inputs or restores: the share that passed.

    >>> from_trials([True, True, False, True], "wrong payloads that were refused").figure
    0.75
    """
    passed = np.asarray(list(passed))
    if not len(passed) or passed.dtype != bool:
        raise RecordError("passed is a list of True and False, at least one.")
    return Evidence(passed.mean(), "share", "measurement", how, {"trials": len(passed)})
