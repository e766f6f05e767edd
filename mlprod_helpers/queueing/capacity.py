"""How many servers does a service need, what do they cost, and why not one fewer?"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from mlprod_helpers.queueing.arrivals import poisson
from mlprod_helpers.queueing.laws import Exponential, as_law
from mlprod_helpers.queueing.simulation import simulate
from mlprod_helpers.queueing.theory import mmc_percentile
from mlprod_helpers.requestlog.numbers import as_floats

_ENOUGH = 1_000_000  # servers; who needs more has mixed up seconds and milliseconds


@dataclass(frozen=True, eq=False)
class CapacityPlan:
    """The answer of `plan_capacity`: `servers` and `cost_per_hour` are None when no number of servers is enough.

    `p99` (s) and `utilization` are those of the plan; `table` has one row a number of servers that was looked at.
    """

    servers: int | None
    p99: float
    p99_target: float
    utilization: float
    cost_per_hour: float | None
    reason: str
    table: pd.DataFrame

    @property
    def feasible(self):
        """True when some number of servers meets the target."""
        return self.servers is not None

    def plot(self):
        """p99 latency against the number of servers."""
        from mlprod_helpers import plots

        near = self.table[np.isfinite(self.table["p99"])].head(12)
        latency = {f"{n} server{'s' if n > 1 else ''}": p99 for n, p99 in near["p99"].items()}
        latency = latency or {"nobody waits": self.p99}
        missed = [name for name, p99 in latency.items() if p99 > self.p99_target * (1 + 1e-9)]
        title = f"p99 latency, target {self.p99_target:g} s"
        alt = f"{title}. {self.reason}"
        return plots.bars(latency, highlight=missed, sort=False, unit=" s", title=title, alt=alt)


def plan_capacity(
    rate, service, p99_target, *, cost_per_server_hour=1.0, batch=None, n=20_000, runs=5, random_state=0
):
    """The fewest servers whose p99 latency meets a target.

    Exponential service times at a steady rate are answered by the closed form of M/M/c; everything else is simulated,
    with the same requests for each number of servers, and the p99 is that of all runs together (without each run's
    first tenth, when the queue is still filling). It is a long-run figure: single hours are better or worse, so look at
    the column `p99_worst`, the worst of the runs.

    Parameters
    ----------
    rate : float, requests a second: that of the busiest hour, not the day's mean; or an array of arrival times in
        seconds, taken as they are
    service : a law or a number of seconds
    p99_target : float, seconds from arrival to answer
    cost_per_server_hour : float, in any currency
    batch : Batch or None
    n : int, requests a simulated run
    runs : int
    random_state : int, Generator or None. The default makes the same plan each time.

    Returns
    -------
    CapacityPlan

    >>> from mlprod_helpers.queueing import Exponential
    >>> plan = plan_capacity(rate=40.0, service=Exponential(0.1), p99_target=0.5)
    >>> plan.servers, round(plan.p99, 3), plan.cost_per_hour
    (6, 0.485, 6.0)
    >>> print(plan.reason)
    6 servers answer 99 % within 0.485 s (target 0.5 s); with 5 it would be 0.608 s. They work 67 % of the time.
    >>> print(plan_capacity(rate=40.0, service=Exponential(0.1), p99_target=0.4).reason)
    No number of servers reaches 0.4 s: 99 % take up to 0.461 s even if nobody waits. Make the service itself
    faster (a smaller model, a cache, a faster machine) or relax the target.
    """
    service = as_law(service)
    if not 0 < p99_target < np.inf:
        raise ValueError(f"p99_target is {p99_target}, but it is a number of seconds above 0.")
    if not cost_per_server_hour >= 0:
        raise ValueError(f"cost_per_server_hour is {cost_per_server_hour}, but it is 0 or more.")
    look = _Looks(rate, service, p99_target, batch, n, runs, random_state)
    if look.rate == 0:
        return _idle(look, cost_per_server_hour)
    if not look.meets_with_all:
        return _impossible(look)
    if look.lowest > _ENOUGH:
        raise ValueError(f"{look.lowest} servers would be busy. Are rate and service time both in seconds?")
    servers = _fewest(look)
    for near in range(max(look.lowest, servers - 3), servers + 4):
        look(near)
    return CapacityPlan(
        servers=servers,
        p99=look(servers)["p99"],
        p99_target=p99_target,
        utilization=look(servers)["utilization"],
        cost_per_hour=servers * cost_per_server_hour,
        reason=_reason(look, servers),
        table=look.table(cost_per_server_hour),
    )


def capacity_curve(rates, service, n_servers=1, *, n=20_000, batch=None, runs=1, random_state=0):
    """Latency and throughput while the load rises: where does the curve turn up?

    Parameters
    ----------
    rates : sequence of requests a second
    service, n_servers, batch : as in `simulate`
    n : int, requests a rate; the first tenth is left out
    runs : int, how often; one run says little near the limit, where a few long queues make the p99
    random_state : int, Generator or None

    Returns
    -------
    DataFrame : index `rate`; `utilization`, `throughput` (answers a second), `mean`, `p50`, `p99` latency (s). In
        overload the latencies grow with `n`: they have no steady value. Of several runs the figures are means, and
        `p99_low` and `p99_high` are the least and the largest p99.

    >>> capacity_curve([5, 9, 12], Exponential(0.1)).round(2)
          utilization  throughput    mean     p50     p99
    rate
    5.0           0.5        5.02    0.20    0.14    0.92
    9.0           0.9        9.03    1.04    0.74    4.49
    12.0          1.0        9.98  185.11  182.84  341.13
    """
    if int(runs) != runs or runs < 1:
        raise ValueError(f"runs is {runs}, but it is a whole number of at least 1.")
    rows = []
    seeds = np.random.default_rng(random_state).integers(2**63, size=int(runs))
    for rate, seed in product(as_floats(rates, "rates"), seeds):
        rng = np.random.default_rng(seed)  # the same gaps and services at every rate
        run = simulate(
            poisson(rate, n=n, random_state=rng), service, n_servers, batch=batch, random_state=rng
        )
        latency = run.latency[n // 10 :]
        rows.append(
            {
                "rate": rate,
                "utilization": run.utilization,
                "throughput": n / (run.end - run.arrival[0]),
                "mean": latency.mean(),
                "p50": np.percentile(latency, 50),
                "p99": np.percentile(latency, 99),
            }
        )
    by_rate = pd.DataFrame(rows).groupby("rate", sort=False)
    table = by_rate.mean()
    if runs > 1:
        table["p99_low"], table["p99_high"] = by_rate["p99"].min(), by_rate["p99"].max()
    return table


class _Looks:
    """p99 and utilization for a number of servers, each looked up once."""

    def __init__(self, rate, service, target, batch, n, runs, random_state):
        self.service, self.target, self.batch = service, target, batch
        trace = None if np.ndim(rate) == 0 else as_floats(rate, "rate")
        if trace is None:
            self.rate = float(rate)
            if not 0 <= self.rate < np.inf:
                raise ValueError(
                    f"rate is {rate}, but it is a finite number of requests a second, 0 or more."
                )
        else:
            span = np.ptp(trace) if len(trace) else 0.0
            self.rate = len(trace) / span if span > 0 else float(len(trace))
        self.exact = trace is None and batch is None and isinstance(service, Exponential)
        # a batch may do the work of many: then even few servers can be enough
        share = 1.0 if batch is None else (1 + batch.marginal * (batch.max_size - 1)) / batch.max_size
        self.lowest = 1 if trace is not None else int(np.floor(self.rate * service.mean * share + 1e-9)) + 1
        self._seen = {}
        self._draws = []
        if self.rate > 0 and not self.exact:
            rng = np.random.default_rng(random_state)
            for _ in range(runs):
                arrivals = poisson(self.rate, n=n, random_state=rng) if trace is None else trace
                self._draws.append((arrivals, service.sample(len(arrivals), rng)))
        self._skip = 0 if trace is not None else n // 10

    @property
    def meets_with_all(self):
        """Does the target hold if nobody ever waits for a server?"""
        if self.exact:
            self.floor = float(self.service.percentile(99))
        elif self.batch is None:
            self.floor = float(np.percentile(np.concatenate([s[self._skip :] for _, s in self._draws]), 99))
        else:
            self.floor = self._simulated(max(len(arrivals) for arrivals, _ in self._draws))["p99"]
        return self._ok(self.floor)

    def _ok(self, p99):
        return p99 <= self.target * (1 + 1e-9)

    def __call__(self, servers):
        if servers not in self._seen:
            found = self._exactly(servers) if self.exact else self._simulated(servers)
            self._seen[servers] = found | {"meets": self._ok(found["p99"])}
        return self._seen[servers]

    def _exactly(self, servers):
        p99 = mmc_percentile(99, self.rate, self.service.mean, servers)
        return {"utilization": self.rate * self.service.mean / servers, "p99": p99}

    def _simulated(self, servers):
        runs = [simulate(arrivals, service, servers, batch=self.batch) for arrivals, service in self._draws]
        latencies = [run.latency[self._skip :] for run in runs]
        return {
            "utilization": float(np.mean([run.utilization for run in runs])),
            "p99": float(np.percentile(np.concatenate(latencies), 99)),
            "p99_worst": float(max(np.percentile(latency, 99) for latency in latencies)),
        }

    def table(self, cost):
        table = pd.DataFrame(
            list(self._seen.values()), index=pd.Index(self._seen, name="servers", dtype="int64")
        )
        table = table.reindex(
            columns=table.columns if len(table) else ["utilization", "p99", "meets"]
        ).sort_index()
        table["cost_per_hour"] = table.index * float(cost)
        return table


def _fewest(look):
    """Double the steps up to a number that is enough, then halve: more servers never make anybody wait longer."""
    low, high, step = look.lowest - 1, look.lowest, 1
    while not look(high)["meets"]:
        low, high, step = high, high + step, 2 * step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if look(middle)["meets"] else (middle, high)
    return high


def _reason(look, servers):
    found = look(servers)
    many = f"{servers} servers answer" if servers > 1 else "1 server answers"
    text = f"{many} 99 % within {found['p99']:.3g} s (target {look.target:g} s)"
    if servers > look.lowest:
        text += f"; with {servers - 1} it would be {look(servers - 1)['p99']:.3g} s"
    elif servers > 1:
        text += f"; {servers - 1} could not keep up: the queue would grow without end"
    busy = 100 * found["utilization"]
    busy = f"{busy:.0f}" if busy < 99 else f"{busy:.2f}"
    return f"{text}. {'They work' if servers > 1 else 'It works'} {busy} % of the time."


def _idle(look, cost):
    p99 = float(look.service.percentile(99))
    if not look._ok(p99):
        look.floor = p99
        return _impossible(look)
    reason = "Nobody asks, so one server is enough: it is kept so that a first request finds somebody."
    table = pd.DataFrame(
        {"utilization": [0.0], "p99": [p99], "meets": [True], "cost_per_hour": [float(cost)]},
        index=pd.Index([1], name="servers"),
    )
    return CapacityPlan(1, p99, look.target, 0.0, float(cost), reason, table)


def _impossible(look):
    reason = (
        f"No number of servers reaches {look.target:g} s: 99 % take up to {look.floor:.3g} s even if nobody waits. "
        "Make the service itself faster (a smaller model, a cache, a faster machine) or relax the target."
    )
    if look.batch is not None:
        reason += f" Batches are part of it: max_wait is {look.batch.max_wait:g} s."
    return CapacityPlan(None, look.floor, look.target, np.nan, None, reason, look.table(0.0))
