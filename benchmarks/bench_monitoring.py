"""How long does `monitoring.measure` take on a long log, and what does one more metric cost?

    python benchmarks/bench_monitoring.py [--rows 1000000]

Ends with status 1 when 12 metrics in hourly windows take longer than TARGET CPU seconds, or when one metric costs more than
WIDEST passes over the rows (a pass: one sum and one sort inside the windows), measured in the same run.
"""

import argparse
import gc
import statistics
import sys
import time

from measured import record

from mlprod_helpers.monitoring import METRICS, Windows, measure, service_log

TARGET, WIDEST = 2.0, 5.0
TWELVE = (
    *("latency_p50", "latency_p95", "latency_p99", "throughput", "error_rate", "memory_mb"),
    *("input_length", "missing_rows", "brightness", "missing_outputs", "redo_rate", "ctr"),
)


def cpu_seconds(call, repeats=5):
    """Median CPU seconds of a call."""
    found = []
    for _ in range(repeats):
        gc.collect()
        begin = time.process_time()
        call()
        found.append(time.process_time() - begin)
    return statistics.median(found)


def one_pass(log):
    """What any exact quantile needs: cut the log, sort a column inside the windows, add one up."""
    windows = Windows(log)
    windows.quantile("latency_ms", 0.5)
    windows.sum("latency_ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    days = 28
    log = service_log(days, rate=1.03 * options.rows / (days * 86_400 * 1.2), random_state=0).head(
        options.rows
    )
    span = f"{log['time'].iloc[0]:%d %b} to {log['time'].iloc[-1]:%d %b %Y}"
    twelve, reference = cpu_seconds(lambda: measure(log, TWELVE)), cpu_seconds(lambda: one_pass(log))
    print(f"{len(log)} rows, {span}, hourly windows (CPU seconds, median of 5)")
    print(
        f"  12 metrics together {twelve:.3f}   all {len(METRICS)} ready ones {cpu_seconds(lambda: measure(log)):.3f}"
    )
    print(f"  one pass {reference:.3f}; each metric alone, with cutting the log:")
    record("twelve metrics in hourly windows, against one pass", len(log), twelve, passes=twelve / reference)
    worst = 0.0
    for name in METRICS:
        alone = cpu_seconds(lambda name=name: measure(log, [name]), repeats=3)
        worst = max(worst, alone / reference)
        print(f"    {name:16} {alone:.3f}   {alone / reference:.1f} passes")
    return 0 if len(log) == options.rows and twelve <= TARGET and worst <= WIDEST else 1


if __name__ == "__main__":
    sys.exit(main())
