"""Our streams against river's hyperplane, side by side in one run: CPU seconds for a million rows.

    python benchmarks/bench_streams.py [--rows 1000000] [--river-rows 100000] [--repeats 7]

river yields one row at a time as a dict, ours are arrays. river's cost a row does not depend on the row, so
it is measured on fewer rows and scaled; with ``--river-rows 1000000`` it is not scaled. Medians of the
repeats. Rounds of the two alternate, so that a busy machine slows down both. Ends with status 1 where a
target is missed.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: one core for both

import statistics
import sys
import time

import river
from measured import record
from river.datasets import synth

from mlprod_helpers.streams import Drift, Linear, make_stream


def cases(n):
    """(name, ours, river's, how many times faster ours has to be): ten columns, labels by a plane, some of them off it."""
    gradual = Drift("concept", "gradual", n // 4, n // 2, 0.3)
    incremental = Drift("concept", "incremental", n // 4, n // 2, 0.3)

    def ours(drifts=(), frame=False):
        def run():
            stream = make_stream(n, n_features=10, concept=Linear(noise=0.05), drifts=drifts, random_state=1)
            return stream.frame() if frame else stream

        return run

    def still():
        return synth.Hyperplane(seed=1, n_features=10)

    def moving():  # its weights move at every row
        return synth.Hyperplane(seed=1, n_features=10, n_drift_features=2, mag_change=0.001)

    return [
        ("nothing drifts", ours(), still, 8),
        ("nothing drifts, as a DataFrame", ours(frame=True), still, None),
        ("gradual drift", ours(gradual), moving, 8),
        ("incremental drift", ours(incremental), moving, 8),
    ]


def cpu_seconds(run):
    """CPU seconds of one call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def drain(generator, rows):
    """Read so many rows and keep none."""
    for _ in generator.take(rows):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--river-rows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()

    scale = args.rows / args.river_rows
    scaled = "" if scale == 1 else f", measured on {args.river_rows:,} and scaled by {scale:g}"
    print(
        f"CPU seconds for {args.rows:,} rows, medians of {args.repeats}; river {river.__version__}{scaled}\n"
    )
    print(f"{'stream':31}{'ours':>9}{'river':>9}{'times':>8}{'target':>8}")
    missed = 0
    for name, ours, theirs, target in cases(args.rows):
        ours()  # warm up
        rounds = [
            (cpu_seconds(ours), cpu_seconds(lambda make=theirs: drain(make(), args.river_rows)) * scale)
            for _ in range(args.repeats)
        ]
        a, b = (statistics.median(column) for column in zip(*rounds, strict=True))
        missed += target is not None and b / a < target
        record(f"stream, {name}, against river's hyperplane", args.rows, a, times_as_fast=b / a)
        print(f"{name:31}{a:9.4f}{b:9.3f}{b / a:8.0f}{target or '':>8}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
