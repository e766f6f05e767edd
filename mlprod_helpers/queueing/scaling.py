"""Servers that are added when the queue gets long, and what the delay until they can work costs."""

import heapq
from typing import NamedTuple

import numpy as np
import pandas as pd

from mlprod_helpers.queueing.simulation import arrival_times, service_times
from mlprod_helpers.queueing.theory import check_servers

KEEP_S = 300.0  # seconds for which the autoscaler keeps the servers that it has once asked for


class Scaled(NamedTuple):
    """What happened while the number of servers changed (see `autoscale`)."""

    wait: np.ndarray  # seconds in the queue, one a request, in the order of arrival
    latency: np.ndarray  # seconds from arrival to answer
    # one row a look: `time` (s), `open` requests, and then `servers`, with those that still start
    looks: pd.DataFrame
    server_s: float  # seconds of all servers, as they are paid: from the order to the end


def autoscale(
    arrivals, service, servers=1, *, most=None, target=1.0, every=15.0, delay=60.0, random_state=None
):
    """Send requests through one queue, first come first served, to servers whose number follows the queue.

    At each look, the autoscaler counts the open requests, which wait or are being served. It wants one server for each
    `target` of them, and orders the missing ones at once. It removes servers only down to the largest number that it
    wanted at any look of the last 300 s. A busy server finishes its request before it is removed.

    Parameters
    ----------
    arrivals, service, random_state : as in `simulate`
    servers : int, how many there are at the beginning and at least
    most : int or None, how many there are at most; None: no limit
    target : float, open requests for each server, above 0
    every : float, seconds between two looks; the first comes so long after the first request
    delay : float, seconds from the order of a server until it can work, 0 or more

    Returns
    -------
    Scaled : wait and latency of each request, the looks, and the seconds of all servers.

    Source: Kubernetes documentation, Horizontal Pod Autoscaling: the rule for a metric with a target for each replica,
    the 15 s between two looks, and the 300 s; without its limit of how many are added at once, and without its tolerance
    of 10%.

    >>> run = autoscale([0.0] * 4, service=10.0, every=5.0, delay=2.0)  # at 5 s it orders three more, for 7 s
    >>> run.wait.tolist(), run.looks["servers"].tolist(), run.server_s
    ([0.0, 7.0, 7.0, 7.0], [4, 4], 53.0)
    """
    arrival = arrival_times(arrivals)
    seconds = service_times(service, len(arrival), random_state)
    servers, most = _check(servers, most, target, every, delay)
    origin = float(arrival[0]) if len(arrival) else 0.0
    at, took = (arrival - origin).tolist(), seconds.tolist()
    free, ends = [0.0] * servers, []  # when each server is free, and when each request in service ends
    start, wanted, looks, paid = [], [], [], 0.0
    while len(start) < len(at):
        look = (len(looks) + 1) * every
        while len(start) < len(at) and (begin := max(free[0], at[len(start)])) <= look:
            end = begin + took[len(start)]
            heapq.heapreplace(free, end)
            heapq.heappush(ends, end)
            start.append(begin)
        while ends and ends[0] <= look:
            heapq.heappop(ends)
        in_queue = int(np.searchsorted(arrival, origin + look, side="right")) - len(start)
        is_open = in_queue + len(ends)
        wanted.append(min(max(int(np.ceil(is_open / target)), servers), most))
        for _ in range(wanted[-1] - len(free)):
            heapq.heappush(free, look + delay)
            paid -= look
        for _ in range(len(free) - max(wanted[-int(KEEP_S // every) - 1 :])):
            paid += max(heapq.heappop(free), look)  # the one that is free first
        looks.append((origin + look, is_open, len(free)))
    wait = np.array(start) - np.array(at)
    paid += len(free) * float(np.max(wait + seconds + at, initial=0.0))
    return Scaled(wait, wait + seconds, pd.DataFrame(looks, columns=["time", "open", "servers"]), paid)


def _check(servers, most, target, every, delay):
    """The fewest and the most servers, or an error that says what is wrong."""
    servers, most = check_servers(servers), np.inf if most is None else check_servers(most)
    if most < servers:
        raise ValueError(f"servers is {servers} and most is {most}, but at least is not above at most.")
    for name, value in (("target", target), ("every", every)):
        if not 0 < value < np.inf:
            raise ValueError(f"{name} is {value}, but it is a finite number above 0.")
    if not 0 <= delay < np.inf:
        raise ValueError(f"delay is {delay}, but it is a finite number of seconds, 0 or more.")
    return servers, most
