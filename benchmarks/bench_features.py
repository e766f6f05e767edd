"""Point-in-time joins and parity reports against their targets.

    .venv/bin/python benchmarks/bench_features.py [--repeats 5]

CPU seconds, medians of the repeats; the rounds of our join and pandas' alternate. Targets: `as_of` of 300,000 requests
costs at most twice `pandas.merge_asof` itself on sorted frames, and `parity` of 10^6 rows and 20 features at most 2 s,
all of them different. Ends with status 1 where one is missed.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy

import statistics
import sys
import time

import numpy as np
import pandas as pd
from measured import record

from mlprod_helpers.features import as_of, mean_before, parity

FEATURES = 20


def seconds(work):
    start = time.process_time()
    work()
    return time.process_time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--requests", type=int, default=300_000, help="and as many events")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the log for the parity report")
    options = parser.parse_args()
    repeats, n_requests, n_rows = options.repeats, options.requests, options.rows
    rng = np.random.default_rng(0)
    start = pd.Timestamp("2013-01-01")

    def frame(time, **more):
        times = start + pd.to_timedelta(np.sort(rng.integers(0, 365 * 86_400, n_requests)), unit="s")
        return pd.DataFrame({time: times, "origin": rng.choice(["EWR", "JFK", "LGA"], n_requests), **more})

    requests, events = frame("at"), frame("known", value=rng.normal(size=n_requests))
    events["happened"] = events["known"] - pd.to_timedelta(rng.integers(0, 7200, n_requests), unit="s")
    missed = 0
    for by in (None, "origin"):
        added = events[["known", "value"] + ([by] if by else [])]
        work = {
            "ours": lambda by=by: as_of(
                requests, events, at="at", known_at="known", by=by, columns=["value"]
            ),
            "pandas": lambda by=by, added=added: pd.merge_asof(
                requests, added, left_on="at", right_on="known", by=by
            ),
        }
        took = {name: [] for name in work}
        for _ in range(repeats):
            for name, run in work.items():
                took[name].append(seconds(run))
        ours, theirs = (statistics.median(took[name]) for name in work)
        missed += ours > 2 * theirs
        groups = "with groups" if by else "without groups"
        record(f"as_of {groups}, against pandas.merge_asof", n_requests, ours, of_its_CPU_time=ours / theirs)
        print(f"as_of, {n_requests:,} requests and events, by {by}: {ours:.3f} s, merge_asof {theirs:.3f} s")
        print(f"  {ours / theirs:.2f} of it (target at most 2)")
    names = {"at": "at", "happened": "happened", "known_at": "known", "value": "value", "window": "2h"}
    mean = [seconds(lambda: mean_before(requests, events, by="origin", **names)) for _ in range(repeats)]
    print(f"mean_before, {n_requests:,} requests and events, by origin: {statistics.median(mean):.3f} s")

    features = [f"x{i}" for i in range(FEATURES)]
    replayed = pd.DataFrame(rng.normal(10, 3, (n_rows, FEATURES)), columns=features)
    replayed.insert(0, "request_id", np.arange(n_rows))
    for title, served in {
        "equal, in another order": replayed.sample(frac=1, random_state=0),
        "all of them different, in another order": (replayed * rng.uniform(1, 2, FEATURES + 1))
        .assign(request_id=replayed["request_id"])
        .sample(frac=1, random_state=0),
        "all of them different without a pattern": replayed[features]
        .add(rng.normal(size=(n_rows, FEATURES)))
        .assign(request_id=replayed["request_id"]),
    }.items():
        took = statistics.median(
            seconds(lambda s=served: parity(s, replayed, features)) for _ in range(repeats)
        )
        missed += took > 2
        record(f"parity, {title}", n_rows, took)
        print(f"parity, {n_rows:,} rows, {FEATURES} features, {title}: {took:.2f} s (target at most 2)")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
