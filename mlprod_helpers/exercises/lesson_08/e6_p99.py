"""Exercise 8.6, The dashboard's p99."""

import contextlib
import math

import numpy as np

from mlprod_helpers.lesson.contract import Function, Number, exercise

EDGES = [50.0, 100.0, 200.0, 300.0, 500.0, 800.0, 1200.0, 2000.0, 5000.0]

COARSE = [80.0, 250.0, 1000.0, 9000.0]


def _counts(rng, sizes, medians, timeouts, edges=EDGES):
    """Requests of each server by bucket of latency, and how many had no answer."""
    rows = []
    for n, median in zip(sizes, medians, strict=True):
        times = np.minimum(median * np.exp(0.5 * rng.normal(size=n)), edges[-1] - 1)
        rows.append(np.histogram(times, np.array([0, *edges]))[0])
    return np.array(rows), np.array(timeouts)


def _exactly(rng, without=False):
    """Three servers, 1,000 or 2,000 requests, of which exactly 99% are within an edge that is not the last."""
    total = 1000 * int(rng.integers(1, 3))
    reached = int(rng.integers(2, 6))
    slow = total // 100
    counts = np.zeros((3, len(EDGES)), dtype=int)
    parts = rng.multinomial(
        total - slow - 3 * (reached + 1), np.full(3 * (reached + 1), 1 / (3 * (reached + 1)))
    )
    counts[:, : reached + 1] = 1 + parts.reshape(3, reached + 1)
    if without:
        return counts, np.array([0, slow, 0])
    counts[1, reached + 1 + int(rng.integers(0, 3))] = slow
    return counts, np.zeros(3, dtype=int)


def _one_short(rng):
    """Two servers; one edge misses 99% by one request, and by so little that each way of rounding would reach it."""
    total = 100 * int(rng.integers(30, 60)) + int(rng.integers(90, 96))
    need = -(-99 * total // 100)
    counts = np.zeros((2, len(EDGES)), dtype=int)
    counts[:, 2] = 200, need - 1 - 200
    counts[0, 5] = total - need + 1
    return counts, np.zeros(2, dtype=int)


def _smallest_edge(counts, none=0, edges=EDGES):
    total = counts.sum() + none
    reached = np.flatnonzero(100 * np.cumsum(counts) >= 99 * total)
    return edges[reached[0]] if len(reached) else math.inf


@exercise(
    "8.6",
    "The dashboard's p99",
    answers=("p99",),
    points=3,
    minutes=6,
    objective="8.d",
    edition=2,
    kind=Function("counts", "edges", "timeouts", returns=Number()),
    hints=(
        "You need 99% of all requests, no matter which server answered them. Which can you add up: percentiles or counts?",
        "Add the servers' counts bucket by bucket. `np.cumsum` then gives the number of requests answered within each edge.",
        "The total contains the requests without an answer. If no edge reaches 99% of the total, the answer is `np.inf`.",
    ),
)
def p99(answer, rng, expect):
    """`p99(counts, edges, timeouts)`: the smallest edge below which 99% of all requests were answered."""
    busy = int(rng.integers(6000, 9000))
    calm = [busy, busy, busy // 2, busy // 2]
    cases = [
        (*_counts(rng, calm, [60, 65, 60, 62], [0, 0, 0, 0]), EDGES, "four similar servers"),
        (
            *_counts(rng, [*calm[:3], 40], [60, 60, 60, 1300], [0, 0, 0, 0]),
            EDGES,
            "an idle server is slow",
        ),
        (*_counts(rng, calm, [60, 60, 700, 60], [0, 0, 0, 0]), EDGES, "one of the busy servers is slow"),
        (
            *_counts(rng, calm, [60, 60, 60, 60], [0, 0, busy // 2, 0]),
            EDGES,
            "one server often gives no answer at all",
        ),
        (*_late_edge(rng, calm, [busy // 80, 0, 0, busy // 80]), EDGES, "a few requests have no answer"),
        (
            *_late_edge(rng, [*calm[:3], 0], [0, 0, 0, busy // 50]),
            EDGES,
            "one server, with few requests, answers none",
        ),
        (
            *_counts(rng, [busy // 4] * 6, [60, 60, 60, 60, 60, 600], [0, 3, 0, 0, 0, busy // 250], COARSE),
            COARSE,
            "six servers and four other edges",
        ),
        (*_exactly(rng), EDGES, "exactly 99% of the requests are within one edge"),
        (*_one_short(rng), EDGES, "one edge is a single request short of 99%"),
        (
            *_exactly(rng, without=True),
            EDGES,
            "exactly 99% are within one edge, and the others have no answer",
        ),
    ]
    for number, (counts, timeouts, edges, what) in enumerate(cases):
        with expect.defining() if number in (1, 2, 3) else contextlib.nullcontext():
            _ask_p99(expect, answer, counts, timeouts, edges, what)


def _ask_p99(expect, answer, counts, timeouts, edges, what):
    want = _smallest_edge(counts.sum(axis=0), timeouts.sum(), edges)
    got = answer(counts, list(edges), timeouts)
    servers = f"{counts.sum(axis=1).tolist()} answered, {timeouts.tolist()} not"
    side = "is NaN" if got != got else f"too {'large' if got > want else 'small'}"
    expect.true(got == want, f"{what}: {servers}", side)


def _late_edge(rng, sizes, timeouts):
    """Four servers; if the requests without an answer count, 99% is reached one edge later."""
    while True:
        medians = [60, float(rng.uniform(200, 300)), 60, 60]
        counts, none = _counts(rng, sizes, medians, timeouts)
        total = counts.sum(axis=0)
        if _smallest_edge(total) < _smallest_edge(total, none.sum()) < math.inf:
            return counts, none


@p99.inputs
def _histograms(rng):
    yield np.array([[900, 90, 10], [10, 20, 70]]), [50, 100, 500], [0, 0]
    yield np.array([[99, 1]]), [10, 20], [0]
    yield np.array([[99, 0]]), [10, 20], [1]
    yield np.array([[98, 0], [0, 1]]), [10, 20], [0, 1]
    yield np.array([[0, 0], [0, 5]]), [10, 20], [0, 0]
    yield np.array([[5, 0], [0, 0]]), [10, 20], [400, 0]
    yield np.array([[5, 0], [0, 0]]), [10, 20], [0, 1]
    yield np.array([[2069, 21]]), [10, 20], [0]
    for _ in range(40):
        servers, buckets = int(rng.integers(1, 5)), int(rng.integers(1, 7))
        counts = rng.integers(0, 40, (servers, buckets)) * rng.choice([1, 5, 100], buckets)
        counts[0, 0] += 1
        none = rng.integers(0, 3, servers) * int(rng.choice([0, 1, 20]))
        yield counts, np.cumsum(rng.integers(1, 300, buckets)).tolist(), none


@p99.misconception(
    "you averaged percentiles. The mean of the servers' p99 is not the p99 of all requests. Add up the counts first, then read off the percentile.",
)
def mean_of_p99(counts, edges, timeouts):
    return float(np.mean([_smallest_edge(row, edges=edges) for row in counts]))


@p99.misconception(
    "you averaged percentiles with weights. Weights do not help, because the slowest requests of all servers may be on one server. Add up the counts first.",
)
def weighted_mean(counts, edges, timeouts):
    each = [_smallest_edge(row, edges=edges) for row in counts]
    return float(np.average(each, weights=counts.sum(axis=1)))


@p99.misconception(
    "you took the p99 of the worst server. That is only an upper bound, and it may come from a server with forty requests out of thousands. Add up the counts of all servers.",
)
def worst_server(counts, edges, timeouts):
    return float(max(_smallest_edge(row, none, edges) for row, none in zip(counts, timeouts, strict=True)))


@p99.misconception(
    "the requests without an answer do not raise your p99 as they should. Their users waited the longest, so the service looks better than it is. All of `timeouts` belong in the total, and none of them in a bucket.",
)
def answered_only(counts, edges, timeouts):
    return float(_smallest_edge(counts.sum(axis=0), edges=edges))


@p99.alternative
def by_counting_up(counts, edges, timeouts):
    total = int(np.sum(counts)) + int(np.sum(timeouts))
    so_far = 0
    for edge, column in zip(edges, np.asarray(counts).T, strict=True):
        so_far += int(column.sum())
        if so_far >= 0.99 * total:
            return edge
    return float("inf")


@p99.alternative
def by_sorting(counts, edges, timeouts):
    column = np.concatenate([np.sum(counts, axis=0), [np.sum(timeouts)]])
    values = np.repeat([*edges, np.inf], column)
    return float(values[math.ceil(0.99 * len(values)) - 1])
