"""One queue, first come first served, in front of some servers: who waits, who is served, who is turned away."""

import heapq
from collections import deque
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlprod_helpers.queueing.laws import Law, as_law
from mlprod_helpers.queueing.theory import check_servers
from mlprod_helpers.requestlog.numbers import as_floats


def simulate(arrivals, service, n_servers=1, *, queue_limit=None, random_state=None):
    """Send requests through one queue to `n_servers` equal servers, first come first served.

    The service times are drawn in the order of arrival, before anything else: with the same seed, every number of
    servers and every queue limit meets the same requests.

    Parameters
    ----------
    arrivals : array of n times in seconds, sorted
    service : a law (`Constant`, `Exponential`, `Lognormal`, `Measured`), a number of seconds, or an array of n
        seconds
    n_servers : int
    queue_limit : int or None. A request that finds so many waiting is refused at once; 0 means nobody waits.
    random_state : int, Generator or None

    Returns
    -------
    QueueResult : wait and latency of each request, whether it was dropped, and the utilization.

    Source: the recursion of D. V. Lindley (1952) for one server; of J. Kiefer and J. Wolfowitz (1955) for several.

    >>> run = simulate([0.0, 1.0, 2.0], service=3.0, n_servers=1)
    >>> run.wait.tolist(), run.latency.tolist()
    ([0.0, 2.0, 4.0], [3.0, 5.0, 7.0])
    >>> simulate([0.0, 1.0, 2.0], service=3.0, queue_limit=1).dropped.tolist()
    [False, False, True]
    """
    arrival = arrival_times(arrivals)
    service = service_times(service, len(arrival), random_state)
    n_servers = check_servers(n_servers)
    if queue_limit is None:
        left = _lindley(arrival, service) if n_servers == 1 else _heap(arrival, service, n_servers)
        dropped = np.zeros(len(arrival), dtype=bool)
    elif queue_limit < 0 or int(queue_limit) != queue_limit:
        raise ValueError(
            f"queue_limit is {queue_limit}, but it is a whole number of requests, 0 or more, or None."
        )
    else:
        left, dropped = _with_limit(arrival, service, n_servers, queue_limit)
    return QueueResult(arrival, left, np.where(dropped, 0.0, service), dropped, n_servers)


@dataclass(frozen=True, repr=False, eq=False)
class QueueResult:
    """What happened to each request of a simulation. Arrays have one entry a request, in the order of arrival.

    `arrival`, `wait`, `service`, `latency` are seconds; `dropped` is True for requests that got no answer.

    >>> run = simulate([0.0, 1.0, 2.0], service=3.0, queue_limit=1)
    >>> run
    QueueResult(3 requests, 1 server: 100% busy, mean wait 1 s, p50 5 s, p99 never answered, 33.3% dropped)
    >>> run.latency.tolist(), run.dropped.tolist()
    ([3.0, 5.0, 0.0], [False, False, True])
    """

    arrival: np.ndarray
    left_queue: np.ndarray  # when service began, or when a dropped request left
    service: np.ndarray  # 0 for dropped requests
    dropped: np.ndarray  # True for requests without an answer: they found the queue full
    n_servers: int

    def __len__(self):
        return len(self.arrival)

    @cached_property
    def wait(self):
        """Seconds in the queue."""
        return self.left_queue - self.arrival

    @cached_property
    def latency(self):
        """Seconds from arrival to answer: wait plus service."""
        return self.wait + self.service

    @property
    def drop_rate(self):
        """Share of the requests that got no answer; NaN if there was no request."""
        return float(self.dropped.mean()) if len(self) else np.nan

    @property
    def mean_wait(self):
        """Mean seconds in the queue of the answered requests."""
        return float(self.wait[~self.dropped].mean()) if (~self.dropped).any() else np.nan

    @property
    def mean_latency(self):
        """Mean seconds from arrival to answer of the answered requests."""
        return float(self.latency[~self.dropped].mean()) if (~self.dropped).any() else np.nan

    def percentile(self, q):
        """The latency in seconds that `q` percent of the requests do not exceed.

        All requests count, and a dropped one was never answered: its latency is infinite. Nothing is interpolated between
        a finite and an infinite one. NaN if there was no request.
        """
        latency = np.where(self.dropped, np.inf, self.latency)
        return float(np.percentile(latency, q, method="inverted_cdf")) if len(self) else np.nan

    @property
    def p50(self):
        """Median latency in seconds of all requests (see `percentile`)."""
        return self.percentile(50)

    @property
    def p99(self):
        """99th percentile of the latency in seconds of all requests (see `percentile`)."""
        return self.percentile(99)

    @property
    def end(self):
        """When the last request was answered or left, in seconds."""
        return float((self.left_queue + self.service).max()) if len(self) else 0.0

    @property
    def utilization(self):
        """Share of the server time spent working, from the first arrival to the end; 0 without requests."""
        span = self.end - self.arrival[0] if len(self) else 0.0
        return float(self.service.sum() / (span * self.n_servers)) if span > 0 else 0.0

    def __repr__(self):
        servers = f"{self.n_servers} server{'s' if self.n_servers > 1 else ''}"
        if not len(self):
            return f"QueueResult(no requests, {servers}: idle)"
        p99 = "never answered" if np.isinf(self.p99) else f"{self.p99:.3g} s"
        p50 = "never answered" if np.isinf(self.p50) else f"{self.p50:.3g} s"
        drops = f", {self.drop_rate:.1%} dropped" if self.dropped.any() else ""
        return (
            f"QueueResult({len(self)} request{'s' if len(self) > 1 else ''}, {servers}: {100 * self.utilization:.0f}% busy, "
            f"mean wait {self.mean_wait:.3g} s, p50 {p50}, p99 {p99}{drops})"
        )


def mean_level(begin, end, edges):
    """How many intervals [begin, end) are open, on average, between each two edges?

    >>> mean_level([0.0, 1.0], [2.0, 2.0], [0.0, 1.0, 2.0, 4.0])
    array([1., 2., 0.])
    """
    begin, end, edges = (as_floats(x, "begin, end and edges") for x in (begin, end, edges))
    origin = edges[0] if len(edges) else 0.0  # sums of seconds since 1970 would swallow the differences
    opened = _sum_since(begin - origin, edges - origin) - _sum_since(end - origin, edges - origin)
    return np.diff(opened) / np.diff(edges)


def _sum_since(times, edges):
    """For each edge: the sum of max(edge - time, 0) over all times."""
    times = np.sort(times)
    before = np.searchsorted(times, edges)
    return edges * before - np.append(0.0, np.cumsum(times))[before]


# -------------------------------------------------------------------------------------- the disciplines


def _lindley(arrival, service):
    """When service begins, one server: the wait is the highest backlog since it was last empty. Vectorised."""
    work_before = np.cumsum(service) - service
    slack = arrival - work_before
    latest = np.maximum.accumulate(slack)
    # who sets the maximum finds the server idle: begin exactly at the arrival, free of rounding
    return np.where(latest == slack, arrival, np.maximum(latest + work_before, arrival))


def _heap(arrival, service, n_servers):
    """When service begins: the server that is free first takes the next request."""
    free = [-np.inf] * n_servers
    replace = heapq.heapreplace
    start = []
    push = start.append
    for at, seconds in zip(arrival.tolist(), service.tolist(), strict=True):
        begin = free[0]
        if begin < at:
            begin = at
        replace(free, begin + seconds)
        push(begin)
    return np.array(start, dtype=float)


def _with_limit(arrival, service, n_servers, queue_limit):
    """As `_heap`, with requests that are refused: when each left the queue, and who was refused."""
    free = [-np.inf] * n_servers
    waiting = deque()  # when those in the queue will leave it: sorted, since nobody overtakes
    left, dropped = [], []
    for at, seconds in zip(arrival.tolist(), service.tolist(), strict=True):
        while waiting and waiting[0] <= at:
            waiting.popleft()
        begin = max(free[0], at)
        refused = begin > at and len(waiting) >= queue_limit
        dropped.append(refused)
        left.append(at if refused else begin)
        if not refused:
            heapq.heapreplace(free, begin + seconds)
            if begin > at:
                waiting.append(begin)
    return np.array(left, dtype=float), np.array(dropped, dtype=bool)


# --------------------------------------------------------------------------------------------- the door


def arrival_times(arrivals):
    arrival = as_floats(arrivals, "arrivals")
    if arrival.ndim != 1:
        raise ValueError(f"arrivals has shape {arrival.shape}, but it is a plain list of times in seconds.")
    if not np.isfinite(arrival).all():
        raise ValueError("An arrival time is missing or infinite: drop it first.")
    if (np.diff(arrival) < 0).any():
        raise ValueError("Arrivals run backwards in time: sort them first, np.sort(arrivals).")
    return arrival


def service_times(service, n, random_state):
    if isinstance(service, Law) or np.isscalar(service):
        if isinstance(random_state, int | np.integer):
            # a seed that also drew the arrivals must not draw the same numbers again
            random_state = np.random.default_rng([random_state, 1])
        return as_law(service).sample(n, random_state)
    service = as_floats(service, "service")
    if service.shape != (n,):
        raise ValueError(
            f"{n} requests arrive, but service has shape {service.shape}: one time a request, or a law."
        )
    if not (np.isfinite(service).all() and (service >= 0).all()):
        raise ValueError("Service times are finite seconds, 0 or more.")
    return service
