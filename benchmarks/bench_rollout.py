"""How fast is a replay, and do the sequential tests keep their word?

    python benchmarks/bench_rollout.py [--requests 100000] [--runs 20000]

Replays one trace under each plan and judge (CPU seconds, the log included), then simulates the tests: false alarms, power,
and how much of the data they needed. Ends with status 1 when a replay takes a second, or when a sequential test errs more
than half a point beside 5% (the mSPRT: above 5%).
"""

import argparse
import gc
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy

import sys
import time

from measured import record

from mlprod_helpers.queueing import poisson
from mlprod_helpers.rollout import (
    BigBang,
    BlueGreen,
    BySegment,
    Canary,
    GroupSequentialJudge,
    MannWhitneyJudge,
    MSPRTJudge,
    Shadow,
    ThresholdJudge,
    Version,
    operating_characteristics,
    replay,
    traffic,
)

SECONDS = 1.0
ALLOWED = 0.005


def cpu_seconds(call):
    """Result and CPU seconds of one call."""
    gc.collect()
    begin = time.process_time()
    result = call()
    return result, time.process_time() - begin


def replays(n):
    """Slowest replay of a good version (it runs to the end) under each plan, then each judge."""
    trace = traffic(
        poisson(n / 3600, n=n, random_state=0),
        users=n // 5,
        segments={"origin": {"EWR": 0.4, "JFK": 0.3, "LGA": 0.3}},
        random_state=0,
    )
    versions = Version("v1"), Version("v2")
    threshold = ThresholdJudge({"error_rate": (None, 0.02), "latency_p99": (None, 500)})
    ramp = Canary(step_weight=1, max_weight=50)  # 50 checks
    cases = {
        "big bang": (BigBang(), threshold),
        "shadow": (Shadow(), threshold),
        "blue-green": (BlueGreen(), threshold),
        "canary": (ramp, threshold),
        "canary, by segment": (ramp, BySegment("origin", threshold)),
        "canary, Mann-Whitney": (ramp, MannWhitneyJudge()),
        "canary, O'Brien-Fleming": (ramp, GroupSequentialJudge(total=20_000)),
        "canary, mSPRT": (ramp, MSPRTJudge()),
    }
    print(f"{n} requests, CPU seconds: replay, log")
    slowest = 0.0
    for name, (plan, judge) in cases.items():
        result, seconds = cpu_seconds(
            lambda plan=plan, judge=judge: replay(trace, versions, plan, judge, random_state=0)
        )
        _, log = cpu_seconds(lambda result=result: result.log)
        checks = int(result.timeline["verdict"].notna().sum())
        print(f"  {name:24} {seconds:.3f}  {log:.3f}   {checks} checks, {result.phase}")
        record(f"replay of a release, {name}", n, seconds + log)
        slowest = max(slowest, seconds + log)
    return slowest


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=20_000)
    options = parser.parse_args()
    slowest = replays(options.requests)
    table = operating_characteristics(runs=options.runs, random_state=0)
    print(f"\n{options.runs} simulated runs")
    print(table.round(4).to_string())
    wrong = table["false_positives"]
    honest = all(
        abs(wrong[name] - 0.05) <= ALLOWED for name in wrong.index if "Pocock" in name or "O'Brien" in name
    )
    below = all(wrong[name] < 0.05 for name in wrong.index if "mSPRT" in name)
    return 0 if slowest < SECONDS and honest and below else 1


if __name__ == "__main__":
    sys.exit(main())
