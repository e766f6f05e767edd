"""Our streams against river's generators, side by side in one run: CPU seconds for a million rows.

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
from river.datasets import synth

from mlprod_helpers.streams import SEA, Drift, Hyperplane, make_stream


def cases(n):
    """(name, ours, river's, how many times faster ours has to be)."""
    middle, width = n // 2, n // 5
    gradual = Drift("concept", "gradual", n // 4, n // 2, 0.3)
    incremental = Drift("concept", "incremental", n // 4, n // 2, 0.3)
    onward = Drift("concept", "gradual", middle - width // 2, width, SEA.size_between(0, 1))

    def hyperplane():  # its weights move at every row
        return synth.Hyperplane(seed=1, n_features=10, n_drift_features=2, mag_change=0.001)

    def mixture():
        return synth.ConceptDriftStream(
            synth.SEA(0, seed=1), synth.SEA(1, seed=2), seed=1, position=middle, width=width
        )

    def ours(concept, drifts=(), frame=False):
        def run():
            stream = make_stream(n, concept=concept, drifts=drifts, random_state=1)
            return stream.frame() if frame else stream

        return run

    return [
        ("SEA", ours("sea"), lambda: synth.SEA(0, seed=1), 30),
        ("SEA as a DataFrame", ours("sea", frame=True), lambda: synth.SEA(0, seed=1), None),
        ("SEA, 10 % noise", ours(SEA(noise=0.1)), lambda: synth.SEA(0, noise=0.1, seed=1), 30),
        ("SEA, gradual drift", ours("sea", onward), mixture, 30),
        ("hyperplane of 10", ours("hyperplane"), lambda: synth.Hyperplane(seed=1, n_features=10), 15),
        ("hyperplane of 10, gradual", ours(Hyperplane(2), gradual), hyperplane, 15),
        ("hyperplane of 10, incremental", ours(Hyperplane(2), incremental), hyperplane, 15),
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
        print(f"{name:31}{a:9.4f}{b:9.3f}{b / a:8.0f}{target or '':>8}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
