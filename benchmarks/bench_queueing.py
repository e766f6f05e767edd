"""How fast is `queueing.simulate`, and how much faster than SimPy on the same requests?

    python benchmarks/bench_queueing.py [--requests 1000000] [--servers 4]

Both get the same arrivals and service times, and every wait is compared. Ends with status 1 when it is not TARGET
times faster, or when a wait differs. The peer is in benchmarks/requirements.txt.
"""

import argparse
import gc
import sys
import time

import numpy as np
import simpy
from measured import record

from mlprod_helpers.queueing import Exponential, poisson, simulate

TARGET = 25


def simpy_waits(arrival, service, servers):
    """The leanest program that SimPy's own bank example suggests: one process a request, one resource."""
    env = simpy.Environment()
    pool = simpy.Resource(env, capacity=servers)
    waits = [0.0] * len(arrival)

    def request(index, seconds):
        arrived = env.now
        with pool.request() as turn:
            yield turn
            waits[index] = env.now - arrived
            yield env.timeout(seconds)

    def source():
        now = 0.0
        for index, (at, seconds) in enumerate(zip(arrival, service, strict=True)):
            yield env.timeout(at - now)
            now = at
            env.process(request(index, seconds))

    env.process(source())
    env.run()
    return np.array(waits)


def cpu_seconds(call):
    """Result and CPU seconds of one call."""
    gc.collect()
    begin = time.process_time()
    result = call()
    return result, time.process_time() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--servers", type=int, default=4)
    options = parser.parse_args()
    n, servers = options.requests, options.servers
    arrival = poisson(0.8 * servers, n=n, random_state=0)
    service = Exponential(1.0).sample(n, random_state=1)

    run, ours = cpu_seconds(lambda: simulate(arrival, service, servers))
    waits, theirs = cpu_seconds(lambda: simpy_waits(arrival.tolist(), service.tolist(), servers))
    apart = np.abs(waits - run.wait).max()
    record(f"queue with {servers} servers, against SimPy", n, ours, times_as_fast=theirs / ours)
    print(f"{n} requests, {servers} servers, load 0.8 (CPU seconds)")
    print(
        f"  simulate {ours:.3f}   SimPy {theirs:.2f}   ratio {theirs / ours:.1f}   waits differ by at most {apart:.1e} s"
    )
    for name, count, extra in (
        ("one server", 1, {}),
        ("queue limit", servers, {"queue_limit": 5}),
    ):
        times = arrival * servers if count == 1 else arrival  # load 0.8 for the one server too
        _, seconds = cpu_seconds(
            lambda times=times, count=count, extra=extra: simulate(times, service, count, **extra)
        )
        print(f"  {name:12} {seconds:.3f}")
    return 0 if theirs >= TARGET * ours and apart < 1e-6 else 1


if __name__ == "__main__":
    sys.exit(main())
