"""Queues in closed form: what the simulator must agree with.

One queue, first come first served, Poisson arrivals, nobody gives up. Sources: A. K. Erlang (1917); L. Kleinrock,
Queueing Systems I (1975), chapters 3 and 5; A. O. Allen, Probability, Statistics, and Queueing Theory (1990), section 5.3.
"""

from typing import NamedTuple

import numpy as np


class Steady(NamedTuple):
    """A queue that has run for long. Times are means in seconds; infinite in overload, when no steady state exists."""

    utilization: float  # share of the time that a server works; 1 and more: overload
    p_wait: float  # share of the requests that find every server busy
    wait: float  # in the queue
    latency: float  # wait plus service


def erlang_c(servers, load):
    """The probability that a request has to wait because all servers are busy (Erlang's C formula); 1 in overload.

    `load` is in erlangs, the mean number of busy servers: rate (1/s) times mean service time (s).

    >>> round(erlang_c(1, 0.8), 3), round(erlang_c(2, 0.8), 3)
    (0.8, 0.229)
    """
    servers = check_servers(servers)
    if not load >= 0:
        raise ValueError(f"load is {load}, but it is rate times service time: 0 or more.")
    if load >= servers:
        return 1.0
    blocked = 1.0  # Erlang's B formula, from no server up: stable for thousands of servers
    for busy in range(1, servers + 1):
        blocked = load * blocked / (busy + load * blocked)
    return float(blocked / (1 - load / servers * (1 - blocked)))


def mmc(rate, mean_service, servers=1):
    """The steady state of M/M/c, exact: exponential service times (mean in seconds), `rate` requests a second.

    >>> one = mmc(rate=0.8, mean_service=1.0)
    >>> round(one.utilization, 3), round(one.p_wait, 3), round(one.wait, 3)
    (0.8, 0.8, 4.0)
    >>> round(mmc(rate=0.8, mean_service=1.0, servers=2).wait, 4)  # one more server: not half the wait, but a 21st
    0.1905
    """
    return mgc(rate, mean_service, 1.0, servers)


def mgc(rate, mean_service, cv, servers=1):
    """The steady state of M/G/c: of the service times only mean (s) and `cv` (standard deviation / mean) are known.

    Exact with one server (Pollaczek and Khinchine) and for cv = 1; else the approximation of Lee and Longton
    (1959): (1 + cv^2) / 2 times the wait of M/M/c.

    >>> round(mgc(rate=0.8, mean_service=1.0, cv=3.0).wait, 3), round(mgc(rate=0.8, mean_service=1.0, cv=0.0).wait, 3)
    (20.0, 2.0)
    """
    servers = check_servers(servers)
    for name, value in (("rate", rate), ("mean_service", mean_service), ("cv", cv)):
        if not 0 <= value < np.inf:
            raise ValueError(f"{name} is {value}, but it is a finite number, 0 or more.")
    load = rate * mean_service
    p_wait = erlang_c(servers, load)
    if load >= servers:
        return Steady(load / servers, p_wait, np.inf, np.inf)
    wait = (1 + cv**2) / 2 * p_wait * mean_service / (servers - load)
    return Steady(load / servers, p_wait, wait, wait + mean_service)


def mmc_percentile(q, rate, mean_service, servers=1):
    """The latency (wait plus service, in seconds) that `q` percent of the requests of an M/M/c do not exceed. Exact.

    >>> round(mmc_percentile(99, rate=0.8, mean_service=1.0), 2)  # five times the mean's 5.0, nearly
    23.03
    >>> mmc_percentile(99, rate=1.0, mean_service=1.0)
    inf
    """
    if not 0 <= q < 100:
        raise ValueError(f"q is {q}, but a percentile is from 0 to below 100.")
    from scipy.optimize import brentq  # slow to import, and needed only here

    state = mmc(rate, mean_service, servers)
    if state.utilization >= 1:
        return np.inf

    def too_many(latency):
        return _mmc_survival(latency / mean_service, state.p_wait, servers, rate * mean_service) - (
            1 - q / 100
        )

    high = mean_service
    while too_many(high) > 0:
        high *= 2
    return float(brentq(too_many, 0.0, high, xtol=1e-12 * mean_service))


def md1_percentile(q, rate, service):
    """The latency (wait plus service, in seconds) that `q` percent of the requests of an M/D/1 do not exceed. Exact.

    Source: G. J. Franx, "A simple solution for the M/D/c waiting time distribution" (2001): sums of positive terms only.

    >>> round(md1_percentile(99, rate=0.8, service=1.0), 2)  # half of M/M/1's 23.03
    11.36
    >>> md1_percentile(99, rate=1.0, service=1.0)
    inf
    """
    if not 0 <= q < 100:
        raise ValueError(f"q is {q}, but a percentile is from 0 to below 100.")
    load = mgc(rate, service, cv=0.0).utilization
    if load >= 1:
        return np.inf
    if q / 100 <= 1 - load:  # so many do not wait at all
        return float(service)
    from scipy.optimize import brentq  # slow to import, and needed only here
    from scipy.stats import poisson

    waiting = [(1 - load) * np.exp(load)]  # P(at most n wait), n = 0, 1, ...
    inside = [1 - load, waiting[0] - (1 - load)]  # P(n are inside)

    def share(wait):
        """P(a request waits at most so many service times)."""
        whole = int(wait) + 1
        while len(waiting) < whole:
            n = len(inside)
            more = poisson.sf(np.arange(n), load)  # P(more than k come during one service)
            inside.append(
                (inside[0] * more[n - 1] + np.dot(inside[1:], more[n - 1 : 0 : -1])) / np.exp(-load)
            )
            waiting.append(waiting[-1] + inside[-1])
        come = poisson.pmf(np.arange(whole), load * (whole - wait))
        return float(np.dot(come, waiting[whole - 1 :: -1]))

    high = 1.0
    while share(high) < q / 100:
        high *= 2
    return service * (1 + float(brentq(lambda wait: share(wait) - q / 100, 0.0, high, xtol=1e-12)))


def _mmc_survival(time, p_wait, servers, load):
    """P(latency > time) of an M/M/c, time in mean service times: no wait, or a wait with an exponential tail."""
    drain = servers - load  # requests that leave a full system in one mean service time
    if abs(drain - 1) < 1e-9:
        return np.exp(-time) * (1 + p_wait * time)
    return np.exp(-time) + p_wait * (np.exp(-time) - np.exp(-drain * time)) / (drain - 1)


def check_servers(servers):
    """A whole number of servers, 1 or more, or an error that says so."""
    if isinstance(servers, bool) or int(servers) != servers or servers < 1:
        raise ValueError(f"There are {servers} servers, but there is a whole number of them, 1 or more.")
    return int(servers)
