"""Exercise 9.5, When to say no."""

import math

import numpy as np

from mlprod_helpers.lesson.contract import Function, Number, exercise
from mlprod_helpers.queueing import simulate


def _limit(service, servers, target):
    """All servers may have begun a request just now: they finish in rounds of `servers`, and whole rounds fit into the target."""
    return max(servers * math.floor(target / service - 1 + 1e-9), 0)


@exercise(
    "9.5",
    "When to say no",
    answers=("queue_limit",),
    points=4,
    minutes=7,
    objective="9.c",
    edition=2,
    kind=Function("service", "servers", "target", returns=Number(low=0, integer=True)),
    hints=(
        "All servers have just begun a request, and the queue is full. When is the last request in the queue served?",
        "The servers begin and finish together, so the queue moves in rounds of `service` seconds. Nobody leaves it until the current round ends. Then `servers` requests are served in each round.",
        "How many whole rounds fit into `target`? The first one has already begun. Each of the others serves `servers` waiting requests: `servers * floor(target / service - 1)`.",
    ),
)
def queue_limit(answer, rng, expect):
    """`queue_limit(service, servers, target)`: how many may wait, so that nobody who is let in is ever late?"""
    with expect.defining():
        _ask_limit(expect, answer, 1, *_rounds(rng, 6, 7))
        _ask_limit(expect, answer, int(rng.integers(3, 7)), *_rounds(rng, 4, 7))
        _ask_limit(expect, answer, int(rng.integers(8, 20)), *_rounds(rng, 2, 5))
    # fractions that a computer holds exactly
    service = float(rng.choice([0.03125, 0.0625, 0.125]))
    for rounds in (2, int(rng.integers(3, 7))):
        _ask_limit(
            expect,
            answer,
            int(rng.integers(2, 6)),
            service,
            service * rounds,
            "; the last answer is just in time",
        )
    _ask_limit(
        expect, answer, int(rng.integers(2, 6)), *_just_late(rng), "; one more round would be just late"
    )
    _ask_limit(expect, answer, int(rng.integers(2, 6)), *_rounds(rng, 1, 2), "; only one round fits")
    service, _ = _rounds(rng, 1, 2)
    _ask_limit(expect, answer, int(rng.integers(2, 6)), service, 0.6 * service, "; nobody can be in time")


def _rounds(rng, low, high):
    """(service, target): a target of so many rounds and a part of one more."""
    service = int(rng.integers(20, 60)) / 1000
    rounds = int(rng.integers(low, high)) + float(rng.uniform(0.55, 0.9))
    return service, round(service * rounds, 4)


def _just_late(rng):
    """(service, target): a target that is short of a whole number of rounds by a four-hundredth of one; in whole milliseconds, it is not."""
    service = int(rng.integers(20, 60)) / 1000 + 0.0004
    return service, round(service * (int(rng.integers(3, 7)) - 0.0025), 6)


def _ask_limit(expect, answer, servers, service, target, more=""):
    """One promise: the limit is the largest that keeps it, whatever the servers are doing when the queue fills."""
    limit, best = answer(service, servers, target), _limit(service, servers, target)
    name = f"{servers} server{'s' if servers > 1 else ''} of {1000 * service:g} ms, target {1000 * target:g} ms{more}"
    if limit != limit:
        expect.true(False, name, "the limit is NaN")
        return
    why = ""
    if limit > best:
        crowd = servers + int(min(limit, best + 3 * servers))
        last = simulate(np.zeros(crowd), service, servers).latency.max()
        why = f"{crowd} requests arrive together and are let in, and the last one is answered after {1000 * last:.5g} ms"
    elif limit < best:
        why = f"a queue of {limit + 1:.0f} would be served in time, too, but one of its requests is refused"
    expect.true(limit == best, name, why)


@queue_limit.inputs
def _promises(rng):
    yield 0.010, 1, 0.25
    yield 0.047, 4, 0.26
    yield 0.5, 3, 0.4
    yield 0.5, 3, 0.5
    yield 0.5, 3, 1.0
    yield 0.25, 1, 0.5
    for _ in range(60):
        service = int(rng.integers(1, 64)) / 64
        yield (
            service,
            int(rng.integers(1, 30)),
            int(rng.integers(0, 40)) / 4 * service + int(rng.integers(0, 2)) / 128,
        )


def _pairs(seen):
    """(limit that was returned, service, servers, target) of each call."""
    return [(float(call.output), *call.given) for call in seen.calls]


@queue_limit.misconception(
    "you refused nobody. All requests are served, but too late, because the queue grows as long as the overload lasts. Compute how many can be served within `target`.",
    when=lambda seen: all(limit > 1000 for limit, *_ in _pairs(seen)),
)
def no_limit(service, servers, target):
    return 1_000_000


@queue_limit.misconception(
    "you gave each server one place in the queue. How many may wait also depends on `target` and on `service`. Count the rounds that fit into `target`.",
)
def one_place_a_server(service, servers, target):
    return servers


@queue_limit.misconception(
    "you counted only one server. All servers take requests from the queue, so more may wait if there are more servers. Multiply the rounds by `servers`.",
)
def forgets_the_servers(service, servers, target):
    return max(int(target / service - 1 + 1e-9), 0)


@queue_limit.misconception(
    "you counted only the wait. The last request in the queue also has to be served. Wait and service together must fit into `target`.",
)
def forgets_the_service(service, servers, target):
    return servers * math.floor(target / service + 1e-9)


@queue_limit.misconception(
    "you let requests leave the queue evenly, one at a time. Servers that begin together also finish together, so the queue moves in rounds. Count only whole rounds.",
)
def in_parts_of_a_round(service, servers, target):
    return max(int((target - service) * servers / service + 1e-9), 0)


@queue_limit.misconception(
    "you counted the requests in service as waiting. They have left the queue already. Subtract one round.",
)
def counts_those_in_service(service, servers, target):
    return servers * max(math.floor(target / service + 1e-9), 0) + servers


@queue_limit.alternative
def count_up(service, servers, target):
    rounds = 0
    while (rounds + 2) * service <= target * (1 + 1e-9):
        rounds += 1
    return rounds * servers


@queue_limit.alternative
def round_by_round(service, servers, target):
    limit = 0
    # the next one in the queue would be served in round number 2, 3, ...
    while (limit // servers + 2) * service <= target + 1e-9:
        limit += 1
    return limit


@queue_limit.alternative
def with_divmod(service, servers, target):
    rounds = int(round(target / service, 6) // 1)
    return servers * (rounds - 1) if rounds > 0 else 0
