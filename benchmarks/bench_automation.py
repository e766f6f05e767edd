"""How long does a triage take? CPU seconds for a million cases, and for a policy that is asked every hour of a week.

    python benchmarks/bench_automation.py

Report: CPU seconds of each, and the ratio of the simulator to the queue alone on the same cases.
"""

import argparse
import time

from measured import record

from mlprod_helpers.automation import (
    Costs,
    Partial,
    Reviewers,
    cost_curve,
    risk_coverage,
    simulate_triage,
    uniform_cases,
)
from mlprod_helpers.queueing import Exponential, simulate


def seconds(call, times=3):
    """The quickest of some runs, in CPU seconds."""
    best = float("inf")
    for _ in range(times):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=1_000_000)
    n = parser.parse_args().cases
    cases = uniform_cases(1 / 30, n=n, random_state=0)
    people = Reviewers(2, Exponential(45.0), fatigue=0.1)
    confidence, right = cases["confidence"], cases["model_right"]
    left = cases.loc[confidence < 0.9, "seconds"].to_numpy()
    queue = seconds(lambda: simulate(left, Exponential(45.0), 2, random_state=0))
    static = seconds(lambda: simulate_triage(cases, Partial(0.9), people, Costs(), 0))
    print(f"queue alone, {len(left):,} cases    {queue:.3f} s")
    record("triage, against its queue alone", n, static, of_its_CPU_time=static / queue)
    print(f"triage, {n:,} cases      {static:.3f} s, {static / queue:.1f} times the queue alone")
    print(f"AURC of {n:,} cases      {seconds(lambda: risk_coverage(confidence, right).aurc):.3f} s")
    print(f"cost curve, {n:,} cases  {seconds(lambda: cost_curve(confidence, right, 1 / 30, people)):.3f} s")
    week = uniform_cases(1 / 30, duration=7 * 86_400, random_state=0)
    asked = seconds(
        lambda: simulate_triage(week, lambda observation, memory: (Partial(0.9), memory), people, Costs(), 0)
    )
    print(f"week of {len(week):,} cases, asked 168 times  {asked:.3f} s")


if __name__ == "__main__":
    main()
