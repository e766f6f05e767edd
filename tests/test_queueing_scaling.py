"""The autoscaler against the simulator with a fixed number of servers, a rewrite tick by tick, and what lesson 09 says."""

import numpy as np
import pytest

from mlprod_helpers.queueing import Exponential, autoscale, poisson, simulate
from mlprod_helpers.queueing.scaling import KEEP_S


def requests(seed, rate=8.0, n=3_000):
    rng = np.random.default_rng(seed)
    return poisson(rate, n=n, random_state=rng), rng.exponential(0.5, n)


@pytest.mark.parametrize("seed", range(3))
def test_where_most_is_least_it_is_the_simulator(seed):
    arrival, service = requests(seed)
    run, fixed = autoscale(arrival, service, 5, most=5), simulate(arrival, service, 5)
    assert run.wait == pytest.approx(fixed.wait, abs=1e-9)
    assert run.latency == pytest.approx(fixed.latency, abs=1e-9)
    assert run.server_s == pytest.approx(5 * (fixed.end - arrival[0]))


@pytest.mark.parametrize(
    ("servers", "requests", "target", "published"),
    [
        (3, 86, 29, 3),  # Kubernetes, replica_calculator_test.go, TolerancePerPodCMExternal
        (2, 20, 2, 10),  # H. Saito et al., DevOps with Kubernetes (2019): 2 pods at 1000 m, target 200 m
    ],
)
def test_as_many_servers_are_wanted_as_published_examples_say(servers, requests, target, published):
    looks = autoscale([0.0] * requests, 20.0, servers, target=target, delay=0).looks
    assert looks["servers"].iloc[0] == published


def test_within_kubernetes_tolerance_servers_are_added_all_the_same():
    # TolerancePerPodCMObject: 4 pods stay 4 at a load of 4.03 targets
    assert autoscale([0.0] * 202, 20.0, 4, target=50, delay=0).looks["servers"].iloc[0] == 5


def test_servers_go_only_when_no_look_of_five_minutes_wanted_them():
    arrival = np.concatenate([np.zeros(20), np.arange(1.0, 1000.0)])
    looks = autoscale(arrival, 0.5, 2, most=10, delay=0).looks
    assert looks["servers"].max() == 2  # the twenty are gone at the first look, 15 s later
    looks = autoscale(arrival, [10.0] * 20 + [0.5] * 999, 2, most=10, delay=0).looks
    many = looks[looks["servers"] == 10]["time"]
    assert many.min() == 15.0 and looks["servers"].iloc[-1] == 2
    last_wish = looks[looks["open"] >= 10]["time"].max()
    assert many.max() == last_wish + KEEP_S


def ticking(arrival, service, servers, most, target, every, delay):
    """The same rules, tick by tick, for whole numbers: waits, servers at each look, paid ticks."""
    pool = [{"ready": 0, "busy_until": 0} for _ in range(servers)]
    waiting, begin, looks, wanted, paid, at = [], {}, [], [], 0, 0

    def assign(tick):
        for server in sorted(pool, key=lambda s: max(s["ready"], s["busy_until"])):
            if waiting and server["ready"] <= tick and server["busy_until"] <= tick:
                index = waiting.pop(0)
                begin[index], server["busy_until"] = tick, tick + service[index]

    for tick in range(100_000):
        assign(tick)
        while at < len(arrival) and arrival[at] == tick:
            waiting.append(at)
            at += 1
            assign(tick)
        if tick and tick % every == 0:
            is_open = len(waiting) + sum(begin[i] + service[i] > tick for i in begin)
            wanted.append(min(max(-(-is_open // target), servers), most))
            while len(pool) < wanted[-1]:
                pool.append({"ready": tick + delay, "busy_until": 0})
                paid -= tick
            while len(pool) > max(wanted[-(300 // every) - 1 :]):
                first = min(pool, key=lambda s: max(s["ready"], s["busy_until"]))
                pool.remove(first)
                paid += max(first["ready"], first["busy_until"], tick)
            looks.append(len(pool))
        if len(begin) == len(arrival):
            if tick % every == 0 and tick:
                break
            continue
        assign(tick)
    end = max(begin[i] + service[i] for i in begin)
    return [begin[i] - arrival[i] for i in range(len(arrival))], looks, paid + len(pool) * end


@pytest.mark.parametrize("seed", range(20))
def test_every_request_fares_as_tick_by_tick(seed):
    rng = np.random.default_rng(seed)
    arrival = np.concatenate([[0], np.sort(rng.integers(1, 900, 120)), np.sort(rng.integers(900, 2000, 20))])
    service = rng.integers(1, 40, len(arrival))
    settings = {
        "most": int(rng.integers(4, 9)),
        "target": int(rng.integers(1, 4)),
        "every": int(rng.choice([10, 25])),
        "delay": int(rng.choice([0, 7, 60])),
    }
    run = autoscale(arrival, service, 2, **settings)
    waits, servers, paid = ticking(arrival.tolist(), service.tolist(), 2, **settings)
    assert run.wait.tolist() == waits
    assert run.looks["servers"].tolist() == servers[: len(run.looks)]
    assert run.server_s == paid


def test_no_requests_are_no_error():
    run = autoscale([], 0.5)
    assert len(run.wait) == len(run.looks) == run.server_s == 0


def test_it_does_not_depend_on_when_the_clock_began():
    arrival, service = requests(0)
    early, late = autoscale(arrival, service, 3), autoscale(arrival + 1.7e9, service, 3)
    assert late.wait == pytest.approx(early.wait, abs=1e-4)
    assert late.server_s == pytest.approx(early.server_s, rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"servers": 0}, "1 or more"),
        ({"servers": 3, "most": 2}, "not above"),
        ({"target": 0}, "target"),
        ({"every": 0}, "every"),
        ({"delay": -1}, "delay"),
    ],
)
def test_bad_input_is_refused_with_what_to_do(settings, message):
    with pytest.raises(ValueError, match=message):
        autoscale([0.0], 1.0, **settings)


def test_the_delay_costs_what_lesson_09_says():
    """An hour with a rush, on ten seeds: minutes of servers do not depend on the delay, and the p99 does."""
    rates = [10] * 20 + [16, 22, 28, 34] + [40] * 11 + [10] * 25
    found = {"fixed": [], 0: [], 60: [], 300: []}
    for seed in range(10):
        rng = np.random.default_rng(seed)
        rush = np.concatenate([60 * i + poisson(rate, 60, random_state=rng) for i, rate in enumerate(rates)])
        fixed = simulate(rush, 0.5, 24)
        found["fixed"].append((fixed.p99, 24 * fixed.end / 60))
        for delay in (0, 60, 300):
            run = autoscale(rush, 0.5, servers=8, most=30, delay=delay)
            found[delay].append((np.quantile(run.latency, 0.99), run.server_s / 60))
    p99 = {name: np.array(values)[:, 0] for name, values in found.items()}
    minutes = {name: np.mean(np.array(values)[:, 1]) for name, values in found.items()}
    assert p99["fixed"].max() < 0.8 and p99[0].max() < 0.9
    assert 1 < p99[60].min() < p99[60].max() < 10
    assert 80 < p99[300].min() < p99[300].max() < 120
    assert minutes["fixed"] == pytest.approx(1440, abs=2)
    assert all(900 < minutes[delay] < 970 for delay in (0, 60, 300))


def test_exponential_service_times_are_drawn_as_in_the_simulator():
    arrival = poisson(8, n=500, random_state=1)
    run, fixed = (
        autoscale(arrival, Exponential(0.5), 4, most=4, random_state=1),
        simulate(arrival, Exponential(0.5), 4, random_state=1),
    )
    assert run.latency == pytest.approx(fixed.latency, abs=1e-9)
