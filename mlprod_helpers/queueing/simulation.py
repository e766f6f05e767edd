"""One queue, first come first served, in front of some servers: who waits, who is served, who is turned away."""

import heapq
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd

from mlprod_helpers.queueing.laws import Law, as_law
from mlprod_helpers.queueing.theory import check_servers
from mlprod_helpers.requestlog.numbers import as_floats

SERVED, REFUSED, GAVE_UP = 0, 1, 2


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
    service : a law (`Constant`, `Exponential`, `Lognormal`, `Measured`), a number of seconds, or an array of n seconds
    n_servers : int
    batch : Batch or None. Serve several requests at once.
    timeout : float or None. A request that has waited so many seconds gives up and costs no server time; once its
        service has begun it stays.
    queue_limit : int or None. A request that finds so many waiting is refused at once; 0 means nobody waits.
    random_state : int, Generator or None

    Returns
    -------
    QueueResult : wait, latency and fate of each request; utilization and queue over time.

    Raises
    ------
    ValueError : arrivals that are unsorted or missing, negative service times, contradicting options.

    Source: the recursion of D. V. Lindley (1952) for one server; of J. Kiefer and J. Wolfowitz (1955) for several.

    >>> run = simulate([0.0, 1.0, 2.0], service=3.0, n_servers=1)
    >>> run.wait.tolist(), run.latency.tolist()
    ([0.0, 2.0, 4.0], [3.0, 5.0, 7.0])
    >>> simulate([0.0, 1.0, 2.0], service=3.0, n_servers=2).wait.tolist()
    [0.0, 0.0, 1.0]
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
        left, fate = _with_limits(arrival, service, n_servers, timeout, queue_limit)
    else:
        left = _lindley(arrival, service) if n_servers == 1 else _heap(arrival, service, n_servers)
        fate = np.zeros(len(arrival), dtype=np.int8)
    service = np.where(fate == SERVED, service, 0.0)
    work = fate == SERVED
    return QueueResult(arrival, left, service, fate, n_servers, (left[work], (left + service)[work]))


@dataclass(frozen=True, repr=False, eq=False)
class QueueResult:
    """What happened to each request of a simulation. Arrays have one entry a request, in the order of arrival.

    `arrival`, `wait`, `service`, `latency` are seconds; `dropped` is True for requests that got no answer, `refused` and
    `timed_out` say why. A dropped request's wait and latency end when it left.

    >>> run = simulate([0.0, 1.0, 2.0], service=3.0, timeout=2.5)
    >>> run
    QueueResult(3 requests, 1 server: 100 % busy, mean wait 1 s, p50 5 s, p99 never answered, 33.3 % dropped)
    >>> run.requests
       arrival  wait  service  latency  dropped
    0      0.0   0.0      3.0      3.0    False
    1      1.0   2.0      3.0      5.0    False
    2      2.0   2.5      0.0      2.5     True
    """

    arrival: np.ndarray
    left_queue: np.ndarray  # when service began, or when a dropped request left
    service: np.ndarray
    fate: np.ndarray
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

    @cached_property
    def dropped(self):
        """True for requests without an answer, refused or timed out."""
        return self.fate != SERVED

    @property
    def refused(self):
        """True for requests that found the queue full."""
        return self.fate == REFUSED

    @property
    def timed_out(self):
        """True for requests that gave up waiting."""
        return self.fate == GAVE_UP

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

    def percentile(self, q, *, answered=False):
        """The latency in seconds that `q` percent of the requests stay below.

        All requests count, and a dropped one was never answered: its latency is infinite. `answered=True` looks at the
        answered ones alone: the half of the truth to be read beside `drop_rate`. NaN if there was no request.
        """
        latency = self.latency[~self.dropped] if answered else np.where(self.dropped, np.inf, self.latency)
        return _percentile(latency, q)

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

    def over_time(self, window=1.0):
        """Utilization, waiting requests, p99 latency and dropped share in windows of `window` seconds.

        Latency and drops belong to the window in which a request arrived.

        Returns
        -------
        DataFrame : index `time` (begin of the window, s); columns `utilization`, `waiting`, `p99`, `dropped`

        >>> simulate([0.0, 1.0, 2.0], service=3.0).over_time(3.0)[["utilization", "waiting"]].round(2)
              utilization  waiting
        time
        0.0           1.0      1.0
        3.0           1.0      1.0
        6.0           1.0      0.0
        """
        if not window > 0:
            raise ValueError(f"window is {window}, but it is a number of seconds above 0.")
        count = int(np.ceil(self.end / window - 1e-9)) if len(self) else 0
        edges = np.arange(count + 1) * window
        table = pd.DataFrame(index=pd.Index(edges[:-1], name="time"))
        table["utilization"] = mean_level(*self._work, edges) / self.n_servers
        table["waiting"] = mean_level(self.arrival, self.left_queue, edges)
        asked = np.where(self.dropped, np.inf, self.latency)
        first = np.searchsorted(self.arrival, edges)
        windows = [slice(low, high) for low, high in pairwise(first)]
        table["p99"] = [_percentile(asked[window], 99) for window in windows]
        table["dropped"] = [self.dropped[w].mean() if w.stop > w.start else np.nan for w in windows]
        return table

    @property
    def requests(self):
        """One row a request: arrival, wait, service, latency (seconds) and dropped."""
        names = ("arrival", "wait", "service", "latency", "dropped")
        return pd.DataFrame({name: getattr(self, name) for name in names})

    def to_log(self, start, *, version="v1"):
        """The run as a request log: status 200 (answered), 503 (refused) or 504 (timed out).

        Parameters
        ----------
        start : time-zone aware date or text with an offset: the moment of second 0
        version : str

        >>> simulate([0.0, 1.0], service=3.0).to_log("2013-01-01 05:00Z")[["request_id", "status", "latency_ms"]]
           request_id  status  latency_ms
        0           0     200      3000.0
        1           1     200      5000.0
        """
        from mlprod_helpers.requestlog import as_log

        return as_log(
            {
                "time": pd.Timestamp(start) + pd.to_timedelta((self.arrival * 1e6).round(), unit="us"),
                "request_id": np.arange(len(self)),
                "version": version,
                "status": np.array([200, 503, 504])[self.fate],
                "latency_ms": self.latency * 1000,
            }
        )

    def plot(self, window=None):
        """Utilization and waiting requests over time."""
        from mlprod_helpers import plots

        table = self.over_time(window or max(self.end / 100, 1e-9))
        fig, (above, below) = plots.figure(nrows=2, sharex=True, size=(7.4, 4.5))
        plots.over_time(table["utilization"], ylabel="busy servers (share)", ax=above)
        plots.over_time(table["waiting"], ylabel="waiting requests", xlabel="seconds", ax=below)
        return plots.show(
            fig,
            alt=f"{self!r}. Most requests waiting at once, mean of a window: {table['waiting'].max():.3g}.",
        )

    def __repr__(self):
        servers = f"{self.n_servers} server{'s' if self.n_servers > 1 else ''}"
        if not len(self):
            return f"QueueResult(no requests, {servers}: idle)"
        p99 = "never answered" if np.isinf(self.p99) else f"{self.p99:.3g} s"
        p50 = "never answered" if np.isinf(self.p50) else f"{self.p50:.3g} s"
        drops = f", {self.drop_rate:.1%} dropped".replace("%", " %") if self.dropped.any() else ""
        return (
            f"QueueResult({len(self)} request{'s' if len(self) > 1 else ''}, {servers}: {100 * self.utilization:.0f} % busy, "
            f"mean wait {self.mean_wait:.3g} s, p50 {p50}, p99 {p99}{drops})"
        )


def _percentile(values, q):
    """The smallest value that q percent do not exceed: nothing is interpolated between a finite and an infinite one."""
    return float(np.percentile(values, q, method="inverted_cdf")) if len(values) else np.nan


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
    """As `_heap`, with requests that are refused or give up: when each left the queue, and how."""
    timeout = np.inf if timeout is None else timeout
    queue_limit = np.inf if queue_limit is None else queue_limit
    free = [-np.inf] * n_servers
    waiting = deque()  # when those in the queue will leave it: sorted, since nobody overtakes
    left, fate = [], []
    for at, seconds in zip(arrival.tolist(), service.tolist(), strict=True):
        while waiting and waiting[0] <= at:
            waiting.popleft()
        begin = max(free[0], at)
        if begin > at and len(waiting) >= queue_limit:
            left.append(at)
            fate.append(REFUSED)
            continue
        if begin > at + timeout:
            begin = at + timeout
            fate.append(GAVE_UP)
        else:
            heapq.heapreplace(free, begin + seconds)
            fate.append(SERVED)
        left.append(begin)
        if begin > at:
            waiting.append(begin)
    return np.array(left, dtype=float), np.array(fate, dtype=np.int8)


def _simulate_batches(arrival, service, n_servers, batch, timeout, queue_limit):
    """Serve batches: before each arrival, launch every batch that is due."""
    queue_limit = np.inf if queue_limit is None else queue_limit
    timeout = np.inf if timeout is None else timeout
    at, seconds = arrival.tolist(), service.tolist()
    free = [-np.inf] * n_servers
    queue = deque()
    left, fate = [0.0] * len(at), [SERVED] * len(at)
    took, begins, ends = [0.0] * len(at), [], []

    def launch(now):
        """Every batch that begins before `now`, and everyone who gives up until then."""
        while queue:
            oldest = at[queue[0]]
            if free[0] > oldest + timeout:
                if oldest + timeout > now:
                    return
                index = queue.popleft()
                left[index], fate[index] = oldest + timeout, GAVE_UP
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
            left[index], fate[index] = now, REFUSED
        else:
            queue.append(index)
    launch(np.inf)
    work = (np.array(begins, dtype=float), np.array(ends, dtype=float))
    return QueueResult(
        arrival, np.array(left), np.array(took), np.array(fate, dtype=np.int8), n_servers, work
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
