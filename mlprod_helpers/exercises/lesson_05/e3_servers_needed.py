"""Exercise 5.3, How many servers?"""

import functools
import math

import numpy as np

from mlprod_helpers.lesson.contract import Function, Number, exercise
from mlprod_helpers.queueing import Exponential as ExponentialLaw
from mlprod_helpers.queueing import mmc, mmc_percentile, plan_capacity


def draw_day(rng, busiest, hour=None):
    """24 hourly rates with a quiet night and one busiest hour, any one if not given."""
    hours = np.arange(24)
    shape = 0.5 + 0.3 * np.cos(2 * np.pi * (hours - 18) / 24)
    rates = shape * busiest * rng.uniform(0.9, 1.05, 24)
    rates = np.minimum(np.roll(rates, int(rng.integers(24))), 0.97 * busiest)
    rates[int(rng.integers(24)) if hour is None else hour] = busiest
    return [round(float(rate), 1) for rate in rates]


@functools.cache
def _sizings():
    """Two lists of (rate, service, target) in which no common wrong way of counting hits the right number.

    In those of the second list even the mean latency needs more servers than those that just keep up.
    """
    found, tight = [], []
    for rate in range(31, 250, 2):
        for service in (0.04, 0.05, 0.08, 0.1):
            load = rate * service
            barely = math.floor(load) + 1
            late = mmc(rate, service, barely).latency
            if rate % 3 and late < 6 * service:
                continue
            for stretch in (4.75, 4.9):
                target = round(stretch * service, 3)
                servers = _fewest_servers(rate, service, target)
                p99 = mmc_percentile(99, rate, service, servers)
                before = mmc_percentile(99, rate, service, servers - 1)
                rules = (load + 1, load / 0.7, load / 0.8, load + math.sqrt(load))
                by_rule = {math.ceil(rule) for rule in rules} | {barely, barely + 1, round(load / 0.75)}
                clear = p99 < 0.99 * target and before > 1.01 * target
                if (
                    clear
                    and servers not in by_rule
                    and servers > _fewest_servers(0.75 * rate, service, target)
                ):
                    (tight if late > 6 * service else found).append((rate, service, target))
    return found, tight


MOST_SERVERS = 100


def _large(rng):
    """(rate, service, target) that takes some 60 to 90 servers and does not lie near the target."""
    while True:
        rate, service, target = int(rng.integers(570, 850)), 0.1, 0.6
        servers = _fewest_servers(rate, service, target)
        p99, before = (mmc_percentile(99, rate, service, n) for n in (servers, servers - 1))
        if p99 < 0.99 * target and before > 1.01 * target:
            return rate, service, target


def _fewest_servers(rate, service_s, target_s):
    """By the closed form of M/M/c; 0 when no number is enough."""
    if -service_s * math.log(0.01) > target_s:
        return 0
    servers = max(1, math.floor(rate * service_s) + 1)
    while mmc_percentile(99, rate, service_s, servers) > target_s:
        servers += 1
    return servers


@exercise(
    "5.3",
    "How many servers?",
    answers=("servers_needed",),
    points=5,
    minutes=9,
    objective="5.b",
    edition=2,
    kind=Function("hourly_rates", "service_s", "target_s", returns=Number(low=0, integer=True)),
    hints=(
        "Which of the 24 hours decides? How many servers does it take until the queue stops growing?",
        "Try 1, 2, 3, ... up to 100 servers: return the first number for which `mmc_percentile(99, rate, service_s, servers)` meets the target.",
        "If the loop ends without such a number, the service itself is too slow. Return 0 after the loop.",
    ),
)
def servers_needed(answer, rng, expect):
    """`servers_needed(hourly_rates, service_s, target_s)`: the fewest servers whose p99 meets the target in the busiest hour."""
    usual, tight = _sizings()

    def compare(rates, service, target, what):
        got, want = answer(rates, service, target), _fewest_servers(max(rates), service, target)
        want = want if want <= MOST_SERVERS else 0
        told = "" if got == want else _wrong_servers(got, max(rates), service, target)
        expect.true(got == want, what, told)

    with expect.defining():
        drawn = [usual[int(at)] for at in rng.choice(len(usual), size=4, replace=False)]
        drawn.append(tight[int(rng.integers(len(tight)))])
        hours = [0, 23, *(int(hour) for hour in rng.integers(24, size=3))]
        for (rate, service, target), hour in zip(drawn, hours, strict=True):
            words = f"busiest hour {rate} a second, {1000 * service:.0f} ms each, p99 within {1000 * target:.0f} ms"
            compare(draw_day(rng, float(rate), hour), service, target, words)
    compare([0.2] * 24, 0.05, 1.0, "a service with hardly any requests")
    few = draw_day(rng, 0.6)  # rounded to 0 or 1 a second, it would take fewer or more servers
    for target in (10.0, 16.0):
        compare(few, 2.0, target, f"busiest hour 0.6 a second, 2 s each, p99 within {target:g} s")
    rate, service, target = _large(rng)
    words = f"busiest hour {rate} a second, {1000 * service:.0f} ms each, p99 within {1000 * target:.0f} ms"
    compare(draw_day(rng, float(rate)), service, target, words)
    service = float(rng.choice([0.04, 0.05, 0.08, 0.1]))  # 98 busy servers need two more, and 99 as well
    for servers, words in (
        (100, "100 servers are just enough"),
        (101, "101 servers are needed, too many: 0"),
    ):
        rate, target = round((servers - 2) / service, 1), 6 * service
        told = f"busiest hour {rate:g} a second, {1000 * service:.0f} ms each, p99 within {1000 * target:.0f} ms: {words}"
        compare(draw_day(rng, rate), service, target, told)
    slow = round(float(rng.uniform(0.08, 0.12)), 3)
    words = f"{1000 * slow:.0f} ms on average, p99 within {4000 * slow:.0f} ms: 0"
    compare(draw_day(rng, 40.0), slow, 4 * slow, words)


def _wrong_servers(got, rate, service, target):
    if not got:
        return "some number of servers meets the target"
    if math.isnan(got):
        return "NaN is not a number of servers"
    if got > MOST_SERVERS:
        return f"more than {MOST_SERVERS} servers are too many"
    p99 = mmc_percentile(99, rate, service, got)
    if p99 <= target:
        return "fewer are enough"
    return f"with {got}, p99 is {1000 * p99:.0f} ms" if p99 < math.inf else f"{got} cannot keep up"


@servers_needed.inputs
def days(rng):
    yield [80.0] * 24, 0.05, 0.3
    yield [0.2] * 24, 0.05, 1.0
    yield [50.0] * 24, 0.1, 0.46
    for _ in range(30):
        service = float(rng.uniform(0.01, 0.2))
        rates = rng.uniform(0, 30 / service, 24).round(1).tolist()
        yield rates, service, round(float(rng.uniform(4, 9)) * service, 3)


@servers_needed.misconception(
    "you took just enough servers for the work, with none to spare. They are busy nearly all the time, so they hardly ever "
    "clear the queue after a rush. Compare the p99 with the target."
)
def rate_times_service(hourly_rates, service_s, target_s):
    return math.ceil(max(hourly_rates) * service_s)


@servers_needed.misconception(
    "you used the rate of an average hour. In the busiest hour there are more requests, and the service is slow just then. Look at the largest of the 24 rates."
)
def mean_of_the_day(hourly_rates, service_s, target_s):
    return _fewest_servers(float(np.mean(hourly_rates)), service_s, target_s)


@servers_needed.misconception(
    "you compared the mean or the median with the target. The promise covers 99 of 100 answers, and the slowest of them take several times as long. Use `mmc_percentile(99, ...)`."
)
def mean_latency(hourly_rates, service_s, target_s):
    rate = max(hourly_rates)
    servers = math.floor(rate * service_s) + 1
    while mmc(rate, service_s, servers).latency > target_s and servers < MOST_SERVERS:
        servers += 1
    return servers


@servers_needed.misconception(
    "you took one server more than needed to keep up. That may be too few or too many. Compare the p99 of each number of servers with the target."
)
def one_spare(hourly_rates, service_s, target_s):
    return math.ceil(max(hourly_rates) * service_s) + 1


@servers_needed.alternative
def with_the_planner(hourly_rates, service_s, target_s):
    plan = plan_capacity(max(hourly_rates), ExponentialLaw(service_s), target_s)
    return plan.servers if plan.servers and plan.servers <= MOST_SERVERS else 0


@servers_needed.alternative
def try_them_all(hourly_rates, service_s, target_s):
    rate = np.max(hourly_rates)
    for servers in range(1, MOST_SERVERS + 1):
        if rate * service_s < servers and mmc_percentile(99, rate, service_s, servers) <= target_s:
            return servers
    return 0
