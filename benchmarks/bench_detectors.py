"""What our face costs over river's bare loop, and how ADWIN does against its published delay.

    .venv/bin/python benchmarks/bench_detectors.py [--rows 1000000] [--repeats 5] [--seeds 200]

CPU seconds of `detect` on an array of errors against the loop that one would write with river on a list; rounds of the
two alternate; medians. Slow detectors read fewer rows. Targets: at most 1.3 times the bare loop for every detector;
ADWIN (error rate 0.1 -> 0.2 after 10,000 rows, delta 0.002, clock 1) alarms within 15% of 280 rows on average,
and never before. Ends with status 1 where one is missed.
"""

import argparse
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import sys
import time

import river
from measured import record

from mlprod_helpers.detectors import DETECTORS, detect, detection_delay, draw_errors, make_detector

SLOW = {"HDDM_A": 0.1, "HDDM_W": 0.1, "KSWIN": 0.002}  # share of the rows they read


def bare_loop(name, errors):
    """River as its documentation uses it."""
    detector, alarms = make_detector(name), []
    for i, error in enumerate(errors):
        detector.update(error)
        if detector.drift_detected:
            alarms.append(i)
    return alarms


def cpu_seconds(run):
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=200)
    args = parser.parse_args()
    missed = 0
    print(f"CPU seconds, medians of {args.repeats}; river {river.__version__}")
    print(f"{'detector':14}{'rows':>12}{'detect':>10}{'bare loop':>12}{'times':>8}   target 1.3")
    for name in DETECTORS:
        n = int(args.rows * SLOW.get(name, 1))
        errors = draw_errors(n, before=0.1, after=0.2, onset=n // 2, random_state=0).errors
        as_list = errors.tolist()
        rounds = []
        for _ in range(args.repeats):
            ours, result = cpu_seconds(lambda e=errors, d=name: detect(e, d))
            bare, alarms = cpu_seconds(lambda e=as_list, d=name: bare_loop(d, e))
            if result.alarms["index"].tolist() != alarms:
                sys.exit(f"{name}: our alarms are not river's")
            rounds.append((ours, bare))
        a, b = (statistics.median(column) for column in zip(*rounds, strict=True))
        missed += a / b > 1.3
        record(f"{name}, against river's bare loop", n, a, of_its_CPU_time=a / b)
        print(f"{name:14}{n:12,}{a:10.3f}{b:12.3f}{a / b:8.2f}")

    result = detection_delay(
        "ADWIN", before=0.1, after=0.2, onset=10_000, horizon=5_000, n_seeds=args.seeds, delta=0.002, clock=1
    )
    missed += not 0.85 * 280 <= result["mean_delay"] <= 1.15 * 280
    missed += result["false_alarms"] > 0
    record("ADWIN, rate 0.1 to 0.2", mean_delay=result["mean_delay"], false_alarms=result["false_alarms"])
    print(f"\nADWIN, {args.seeds} seeds: {result}; published bound about 280 rows")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
