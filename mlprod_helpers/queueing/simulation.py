"""One queue, first come first served, in front of some servers: who waits, who is served, who is turned away."""

import heapq
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from mlprod_helpers.queueing.laws import Law, as_law
from mlprod_helpers.queueing.theory import check_servers
from mlprod_helpers.requestlog.numbers import as_floats


@dataclass(frozen=True)
class Batch:
    """Dynamic batching: a free server takes several waiting requests at once.

    It starts as soon as `max_size` requests wait, or the oldest has waited for `max_wait` seconds. A batch takes the
    service time of its first request plus `marginal` times that of each other one: 0 if further rows cost nothing, 1 if
    batching saves nothing. With `max_size` 1 nothing is batched.

    >>> Batch(max_size=16, max_wait=0.005, marginal=0.02)
    Batch(max_size=16, max_wait=0.005, marginal=0.02)
    """

    max_size: int
    max_wait: float = 0.0
    marginal: float = 0.0

    def __post_init__(self):
        if int(self.max_size) != self.max_size or self.max_size < 1:
            raise ValueError(f"A batch holds max_size={self.max_size} requests, but it holds at least one.")
        for name in ("max_wait", "marginal"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} is {getattr(self, name)}, but it is a finite number, 0 or more.")


def simulate(
    arrivals, service, n_servers=1, *, batch=None, timeout=None, queue_limit=None, random_state=None
):
    """Send requests through one queue to `n_servers` equal servers, first come first served.

    The service times are drawn in the order of arrival, before anything else: with the same seed, every number of
    servers, batch, timeout and queue limit meets the same requests.

    Parameters
    ----------
    arrivals : array of n times in seconds, sorted
    service : a law (`Constant`, `Exponential`, `Lognormal`, `Measured`), a number of seconds, or an array of n
        seconds
    n_servers : int
    batch : Batch or None. Serve several requests at once.
    timeout : float or None. A request that has waited so many seconds gives up and costs no server time; once its
        service has begun it stays.
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
    arrival = _arrival_times(arrivals)
    service = _service_times(service, len(arrival), random_state)
    n_servers = check_servers(n_servers)
    _check_options(batch, timeout, queue_limit)
    if batch is not None and batch.max_size > 1:
        return _simulate_batches(arrival, service, n_servers, batch, timeout, queue_limit)
    if timeout is not None or queue_limit is not None:
        left, dropped = _with_limits(arrival, service, n_servers, timeout, queue_limit)
    else:
        left = _lindley(arrival, service) if n_servers == 1 else _heap(arrival, service, n_servers)
        dropped = np.zeros(len(arrival), dtype=bool)
    service = np.where(dropped, 0.0, service)
    work = left[~dropped], (left + service)[~dropped]
    return QueueResult(arrival, left, service, dropped, n_servers, work)


@dataclass(frozen=True, repr=False, eq=False)
class QueueResult:
    """What happened to each request of a simulation. Arrays have one entry a request, in the order of arrival.

    `arrival`, `wait`, `service`, `latency` are seconds; `dropped` is True for requests that got no answer. Their wait and
    latency end when they left.

    >>> run = simulate([0.0, 1.0, 2.0], service=3.0, timeout=2.5)
    >>> run
    QueueResult(3 requests, 1 server: 100% busy, mean wait 1 s, p50 5 s, p99 never answered, 33.3% dropped)
    >>> run.latency.tolist(), run.dropped.tolist()
    ([3.0, 5.0, 2.5], [False, False, True])
    """

    arrival: np.ndarray
    left_queue: np.ndarray  # when service began, or when a dropped request left
    service: np.ndarray
    dropped: np.ndarray  # True for requests without an answer: they found the queue full, or gave up waiting
    n_servers: int
    _work: tuple = field(repr=False)  # begin and end of each piece of work; a batch is one piece

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
        """The latency in seconds that `q` percent of the requests stay below.

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
        begin, end = self._work
        return float((end - begin).sum() / (span * self.n_servers)) if span > 0 else 0.0

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


def _with_limits(arrival, service, n_servers, timeout, queue_limit):
    """As `_heap`, with requests that are refused or give up: when each left the queue, and who did."""
    timeout = np.inf if timeout is None else timeout
    queue_limit = np.inf if queue_limit is None else queue_limit
    free = [-np.inf] * n_servers
    waiting = deque()  # when those in the queue will leave it: sorted, since nobody overtakes
    left, dropped = [], []
    for at, seconds in zip(arrival.tolist(), service.tolist(), strict=True):
        while waiting and waiting[0] <= at:
            waiting.popleft()
        begin = max(free[0], at)
        if begin > at and len(waiting) >= queue_limit:
            left.append(at)
            dropped.append(True)
            continue
        if begin > at + timeout:
            begin = at + timeout
            dropped.append(True)
        else:
            heapq.heapreplace(free, begin + seconds)
            dropped.append(False)
        left.append(begin)
        if begin > at:
            waiting.append(begin)
    return np.array(left, dtype=float), np.array(dropped, dtype=bool)


def _simulate_batches(arrival, service, n_servers, batch, timeout, queue_limit):
    """Serve batches: before each arrival, launch every batch that is due."""
    queue_limit = np.inf if queue_limit is None else queue_limit
    timeout = np.inf if timeout is None else timeout
    at, seconds = arrival.tolist(), service.tolist()
    free = [-np.inf] * n_servers
    queue = deque()
    left, dropped = [0.0] * len(at), [False] * len(at)
    took, begins, ends = [0.0] * len(at), [], []

    def launch(now):
        """Every batch that begins before `now`, and everyone who gives up until then."""
        while queue:
            oldest = at[queue[0]]
            if free[0] > oldest + timeout:
                if oldest + timeout > now:
                    return
                index = queue.popleft()
                left[index], dropped[index] = oldest + timeout, True
                continue
            full = len(queue) >= batch.max_size  # then nobody who arrives this very moment can join
            due = oldest + batch.max_wait
            begin = max(free[0], min(due, at[queue[batch.max_size - 1]]) if full else due)
            if begin > now or (begin == now and not full):
                return
            members = [queue.popleft() for _ in range(min(len(queue), batch.max_size))]
            length = seconds[members[0]] + batch.marginal * sum(seconds[index] for index in members[1:])
            for index in members:
                left[index], took[index] = begin, length
            heapq.heapreplace(free, begin + length)
            begins.append(begin)
            ends.append(begin + length)

    for index, now in enumerate(at):
        launch(now)
        if len(queue) >= queue_limit:
            left[index], dropped[index] = now, True
        else:
            queue.append(index)
    launch(np.inf)
    work = (np.array(begins, dtype=float), np.array(ends, dtype=float))
    return QueueResult(
        arrival, np.array(left), np.array(took), np.array(dropped, dtype=bool), n_servers, work
    )


# --------------------------------------------------------------------------------------------- the door


def _arrival_times(arrivals):
    arrival = as_floats(arrivals, "arrivals")
    if arrival.ndim != 1:
        raise ValueError(f"arrivals has shape {arrival.shape}, but it is a plain list of times in seconds.")
    if not np.isfinite(arrival).all():
        raise ValueError("An arrival time is missing or infinite: drop it first.")
    if (np.diff(arrival) < 0).any():
        raise ValueError("Arrivals run backwards in time: sort them first, np.sort(arrivals).")
    return arrival


def _service_times(service, n, random_state):
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


def _check_options(batch, timeout, queue_limit):
    if batch is not None and not isinstance(batch, Batch):
        raise TypeError(f"batch is {batch!r}, but it is a Batch(max_size, max_wait, marginal) or None.")
    if timeout is not None and not timeout >= 0:
        raise ValueError(f"timeout is {timeout}, but it is a number of seconds, 0 or more, or None.")
    if queue_limit is not None and (queue_limit < 0 or int(queue_limit) != queue_limit):
        raise ValueError(
            f"queue_limit is {queue_limit}, but it is a whole number of requests, 0 or more, or None."
        )
    if batch is not None and timeout is not None and batch.max_wait > timeout:
        raise ValueError("The batch waits longer than the users: choose max_wait below timeout.")
    if batch is not None and queue_limit is not None and queue_limit < batch.max_size:
        raise ValueError("Batches are formed in the queue: choose queue_limit at least max_size.")
