"""How many servers does a service need, and why not one fewer?"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from mlprod_helpers.queueing.arrivals import poisson
from mlprod_helpers.queueing.laws import Exponential, as_law
from mlprod_helpers.queueing.simulation import simulate
from mlprod_helpers.queueing.theory import mmc_percentile
from mlprod_helpers.requestlog.numbers import as_floats

_ENOUGH = 10_000  # servers; who needs more has mixed up seconds and milliseconds
_REQUESTS, _RUNS = 20_000, 5  # of a simulation
_FILLING = _REQUESTS // 10  # so many requests meet a queue that is still filling: they do not count


@dataclass(frozen=True)
class CapacityPlan:
    """The answer of `plan_capacity`: `servers` is None when no number of servers is enough.

    `p99` (s) and `utilization` are those of the plan; `reason` says in words why it is no server fewer.
    """

    servers: int | None
    p99: float
    p99_target: float
    utilization: float
    reason: str


def plan_capacity(rate, service, p99_target):
    """The fewest servers whose p99 latency meets a target.

    Exponential service times are answered by the closed form of M/M/c. Everything else is simulated, with the same
    requests for each number of servers: the p99 is that of five runs of 20,000 requests together. It is a long-run
    figure; single hours are better or worse.

    Parameters
    ----------
    rate : float, requests a second: that of the busiest hour, not the day's mean
    service : a law or a number of seconds
    p99_target : float, seconds from arrival to answer

    >>> from mlprod_helpers.queueing import Exponential
    >>> plan = plan_capacity(rate=40.0, service=Exponential(0.1), p99_target=0.5)
    >>> plan.servers, round(plan.p99, 3)
    (6, 0.485)
    >>> print(plan.reason)
    6 servers answer 99% within 0.485 s (target 0.5 s); with 5 it would be 0.608 s. They work 67% of the time.
    """
    service, rate = as_law(service), float(rate)
    if not 0 < p99_target < np.inf:
        raise ValueError(f"p99_target is {p99_target}, but it is a number of seconds above 0.")
    if not 0 <= rate < np.inf:
        raise ValueError(f"rate is {rate}, but it is a finite number of requests a second, 0 or more.")
    p99, alone = (_exact if isinstance(service, Exponential) or rate == 0 else _simulated)(rate, service)
    enough = p99_target * (1 + 1e-9)
    if alone > enough:
        reason = (
            f"No number of servers reaches {p99_target:g} s: 99% take up to {alone:.3g} s even if nobody waits. "
            "Make the service itself faster (a smaller model, a cache, a faster machine) or relax the target."
        )
        return CapacityPlan(None, alone, p99_target, np.nan, reason)
    lowest = int(np.floor(rate * service.mean + 1e-9)) + 1  # fewer could not keep up
    if lowest > _ENOUGH:
        raise ValueError(f"{lowest} servers would be busy. Are rate and service time both in seconds?")
    servers = lowest
    while p99(servers) > enough:
        servers += 1
    utilization = rate * service.mean / servers
    reason = _reason(p99, servers, lowest, utilization, p99_target)
    return CapacityPlan(servers, p99(servers), p99_target, utilization, reason)


def _exact(rate, service):
    """The p99 as a function of the number of servers, by the closed form of M/M/c, and that of requests that never wait."""
    alone = float(service.percentile(99))
    return (lambda servers: mmc_percentile(99, rate, service.mean, servers) if rate else alone), alone


def _simulated(rate, service):
    """As `_exact` for any law, with the same requests for each number of servers."""
    rng = np.random.default_rng(0)
    draws = [
        (poisson(rate, n=_REQUESTS, random_state=rng), service.sample(_REQUESTS, rng)) for _ in range(_RUNS)
    ]

    @cache
    def p99(servers):
        runs = [simulate(arrivals, seconds, servers) for arrivals, seconds in draws]
        return float(np.percentile([run.latency[_FILLING:] for run in runs], 99))

    return p99, float(np.percentile([seconds[_FILLING:] for _, seconds in draws], 99))


def _reason(p99, servers, lowest, utilization, target):
    who = f"{servers} servers answer" if servers > 1 else "1 server answers"
    text = f"{who} 99% within {p99(servers):.3g} s (target {target:g} s)"
    if servers > lowest:
        text += f"; with {servers - 1} it would be {p99(servers - 1):.3g} s"
    elif servers > 1:
        text += f"; {servers - 1} could not keep up: the queue would grow without end"
    busy = f"{100 * utilization:.0f}" if utilization < 0.99 else f"{100 * utilization:.2f}"
    return f"{text}. {'They work' if servers > 1 else 'It works'} {busy}% of the time."


def capacity_curve(rates, service, n_servers=1, *, random_state=0):
    """Latency and throughput while the load rises: where does the curve turn up?

    Parameters
    ----------
    rates : sequence of requests a second
    service, n_servers : as in `simulate`
    random_state : int, Generator or None

    Returns
    -------
    DataFrame : index `rate`; `utilization`, `throughput` (answers a second), `mean`, `p50`, `p99` latency (s) of 20,000
        requests, without the first tenth. In overload the latencies have no steady value.

    >>> capacity_curve([5, 9, 12], Exponential(0.1)).round(2)
          utilization  throughput    mean     p50     p99
    rate
    5.0           0.5        5.02    0.20    0.14    0.92
    9.0           0.9        9.03    1.04    0.74    4.49
    12.0          1.0        9.98  185.11  182.84  341.13
    """
    seed = np.random.default_rng(random_state).integers(2**63)
    table = {}
    for rate in as_floats(rates, "rates"):
        rng = np.random.default_rng(seed)  # the same gaps and services at every rate
        run = simulate(poisson(rate, n=_REQUESTS, random_state=rng), service, n_servers, random_state=rng)
        latency = run.latency[_FILLING:]
        table[rate] = {
            "utilization": run.utilization,
            "throughput": _REQUESTS / (run.end - run.arrival[0]),
            "mean": latency.mean(),
            "p50": np.percentile(latency, 50),
            "p99": np.percentile(latency, 99),
        }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("rate")
