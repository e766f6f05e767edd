"""Recorded runs of services, router and load on a real machine, for those who cannot run a lab, and for exercises that are scored.

They are made by `datasets/record_serving.py`, checked by their checksums like all data, and read here as the tables that a lab gives.
"""

import io

import numpy as np
import pandas as pd

from mlprod_helpers.datasets import load_checked
from mlprod_helpers.names import nearest_name
from mlprod_helpers.queueing import mgc
from mlprod_helpers.requestlog import as_log

START = "2013-07-01 12:00Z"
TICKS = 20_000  # a second, in the files of load tables
RECORDINGS = {
    # a service that was stopped for ten seconds, under three kinds of load
    "pause": ("closed", "open", "scheduled"),
    # v2 at 20% of the users, never rolled back
    "canary_fails": ("fails", "retried", "good", "copies", "outage"),
    # v1 answers, v2 gets a copy of each request
    "shift": ("good", "slow", "fails", "wrong", "burst"),
    # latency at six loads, beside what `queueing` says
    "latency": ("constant", "exponential"),
    # 1.3 times what the service can do
    "overload": ("no_limit", "limit"),
}


def load_recorded(name, case=None):
    """One case of a recorded run.

    Parameters
    ----------
    name : "pause", "canary_fails", "shift", "latency" or "overload"
    case : str, one of `RECORDINGS[name]`; None: all of them, in a dict

    Returns
    -------
    DataFrame (with `case` None: dict of case -> DataFrame)
        pause, overload : load tables, one row a request: `due`, `sent`, `finish` (seconds since the start), `latency_ms` (finish
            minus due), `status`; times in steps of 0.05 ms
        canary_fails, shift : request logs, one row a try: `time` (the start is noon of 1 July 2013, UTC), `request_id`, `version`,
            `served`, `user_id`, `status`, `latency_ms`, `attempts`; shift also `prediction`, `label` (the true air time) and
            `label_time` (10 to 25 seconds later: drawn)
        latency : one row a load: `load`, `rate` (1/s), `requests`, `service_ms` and `service_sd_ms` (the worker's own time: gaps
            between two answers while there is always somebody next), `alone_ms` (mean latency of one tester alone), `mean_ms`,
            `p50_ms`, `p90_ms`, `p95_ms`, `p99_ms`, and `predicted_ms`, the mean by Pollaczek and Khinchine

    Raises
    ------
    DatasetError : the file is missing or was changed.

    >>> load_recorded("canary_fails", "copies").groupby("version")["served"].mean().to_dict()
    {'v1': 1.0, 'v2': 1.0, 'v3': 0.0}
    """
    if name not in RECORDINGS:
        raise ValueError(f"There is no recording {name!r}: {nearest_name(str(name), RECORDINGS)}.")
    known = RECORDINGS[name]
    if case is not None and case not in known:
        raise ValueError(f"{name} has no case {case!r}: {nearest_name(str(case), known)}.")
    table = load_checked(f"serving_{name}.csv.gz", _read)
    wanted = known if case is None else (case,)
    tables = {one: _READERS[name](table[table["case"] == one].drop(columns="case"), one) for one in wanted}
    return tables if case is None else tables[case]


def _read(content):
    return pd.read_csv(io.BytesIO(content), compression="gzip", dtype={"case": str, "version": str})


def _load_table(rows, case):
    gap, late, took = (rows[name].to_numpy() for name in ("gap", "late", "took"))
    # in a closed loop a gap begins when the last answer is there
    due = np.cumsum(gap + (np.concatenate([[0], took[:-1]]) if case == "closed" else 0))
    table = pd.DataFrame({"due": due, "sent": due + late, "finish": due + late + took}) / TICKS
    table["latency_ms"] = 1000 * (table["finish"] - table["due"])
    return table.assign(status=rows["status"].to_numpy())


def _log(rows, case):
    request = rows["step"].cumsum()
    frame = pd.DataFrame(
        {
            "time": pd.Timestamp(START) + pd.to_timedelta(10 * rows["gap"].cumsum(), unit="ms"),
            "request_id": "r" + request.astype(str),
            "version": rows["version"],
            "served": rows["served"] == 1,
            "user_id": "u" + rows["user"].astype(str),
        }
    )
    rest = [name for name in rows if name in ("status", "latency_ms", "attempts", "prediction", "label")]
    frame[rest] = rows[rest]
    if "label" in frame:  # known 10 to 25 seconds later: drawn, since in a recording no plane lands
        late = np.random.default_rng(0).uniform(10, 25, int(request.max()) + 1)[request]
        frame["label_time"] = frame["time"] + pd.to_timedelta(late.round(3), unit="s")
    return as_log(frame.reset_index(drop=True))


def _latency(rows, case):
    table = rows.reset_index(drop=True)
    table["predicted_ms"] = [
        1000 * mgc(row.rate, row.service_ms / 1000, row.service_sd_ms / row.service_ms).latency
        for row in table.itertuples()
    ]
    return table


_READERS = {
    "pause": _load_table,
    "overload": _load_table,
    "canary_fails": _log,
    "shift": _log,
    "latency": _latency,
}
