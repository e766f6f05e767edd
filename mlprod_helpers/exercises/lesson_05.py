"""Exercises of lesson 05, deployment checklist: from a queue to a record whose promises are replayed."""

import base64
import contextlib
import dataclasses
import functools
import hashlib
import hmac
import itertools
import json
import math
import re
from numbers import Real

import numpy as np
import pandas as pd

from mlprod_helpers.checklist import (
    Alert,
    Claim,
    Decision,
    Record,
    RecordError,
    Rollback,
    Rollout,
    Sizing,
    coarse,
    find_personal,
    from_leaks,
    from_sizing,
    from_trials,
    mask,
    measured,
    pseudonym,
    redact,
    replay_record,
)
from mlprod_helpers.lesson.contract import Choice, Function, Mapping, Number, Several, Text, exercise
from mlprod_helpers.queueing import Exponential as ExponentialLaw
from mlprod_helpers.queueing import Lognormal, mmc, mmc_percentile, plan_capacity, poisson, simulate

EDITION = 2


# ------------------------------------------------------------------------------ 5.1 three scenarios

PROJECTS = {
    "timetable": "the display shows the timetable's flight time; the model's estimate shall stand there instead",
    "last_call": "agents decide when to call the last passengers; a model shall suggest the minute",
    "walk": "the app shall say how long the walk to the gate takes; nobody has ever told the passengers",
    "refunds": "clerks approve refunds by hand; clear cases shall be approved without them",
    "rules": "400 written rules flag stolen tickets; a classifier shall do it from now on",
    "archive": "two million photos that nobody had the time to tag shall become searchable",
    "old_model": "last year's model gives way to one with other inputs",
}
SCENARIOS = ("new capability", "automate or assist", "replace")
SCENARIO_OF = {
    "timetable": "replace",
    "last_call": "automate or assist",
    "walk": "new capability",
    "refunds": "automate or assist",
    "rules": "replace",
    "archive": "new capability",
    "old_model": "replace",
}


@exercise(
    "5.1",
    "Three scenarios",
    answers=("scenarios",),
    points=3,
    minutes=4,
    objective="5.a",
    kind=Choice(PROJECTS, options=SCENARIOS),
    hints=(
        "Ask of each project: who or what gives this answer today?",
        "Nobody, a person, or a system: that is all there is to decide. A table or a set of rules is a system too.",
    ),
)
def scenarios(answer, rng, expect):
    """Seven projects, three scenarios."""
    expect.cases(answer, SCENARIO_OF)


@scenarios.misconception(
    "only a model counted as an old system. A timetable and a set of rules answer today as well: you can compare "
    "with them, and go back to them."
)
def only_models_are_systems():
    return SCENARIO_OF | {"timetable": "new capability", "rules": "new capability"}


@scenarios.misconception(
    "work that people do today was taken for something new. Their decisions are your labels and your baseline, and they are "
    "the way back when the model fails."
)
def people_are_nothing():
    return SCENARIO_OF | {"last_call": "new capability", "refunds": "new capability"}


@scenarios.misconception(
    "people were treated like a system that is switched off. They stay: somebody handles the unclear cases and overrules a "
    "bad suggestion, so the first question is how much they hand over."
)
def people_are_replaced():
    return SCENARIO_OF | {"last_call": "replace", "refunds": "replace"}


@scenarios.misconception(
    "the model was asked what it does, not what stands there today. Nobody has ever done these two: there is no figure of "
    "today to beat and nothing to fall back on, so a simple baseline has to be built first."
)
def every_task_is_assistance():
    return SCENARIO_OF | {"walk": "automate or assist", "archive": "automate or assist"}


@scenarios.alternative
def other_way_round():
    return dict(reversed(SCENARIO_OF.items()))


@scenarios.alternative
def by_who_answers_today():
    today = {"nobody": ["walk", "archive"], "people": ["last_call", "refunds"]}
    found = dict.fromkeys(PROJECTS, "replace")
    found |= dict.fromkeys(today["nobody"], "new capability")
    return found | dict.fromkeys(today["people"], "automate or assist")


# ------------------------------------------------------------------------ 5.2 read a capacity curve


def draw_curve(rng):
    """(curve, target): a measured capacity curve that misses its target, and then meets it again in a lucky run or two."""
    capacity, rows = float(rng.uniform(60, 160)), int(rng.integers(10, 22))
    rate = np.round(np.linspace(0.1, 1.15, rows) * capacity, 1)
    load = np.minimum(rate / capacity, 0.985)
    mean = 0.03 / (1 - load**3) * rng.uniform(0.97, 1.03, rows)
    p99 = 4.6 * mean * rng.uniform(0.9, 1.1, rows)
    at, lucky = int(rng.integers(rows // 2, rows - 4)), int(rng.integers(1, 3))  # at: the first miss
    target = round(float(p99[:at].max() * rng.uniform(1.02, 1.1)), 4)
    p99[at] = target * rng.uniform(1.02, 1.3)
    p99[at + 1 : at + 1 + lucky] = target * rng.uniform(0.85, 0.98, lucky)
    p99[at + 1 + lucky :] = np.maximum(p99[at + 1 + lucky :], target * 1.3)
    done = (np.minimum(rate, capacity) * rng.uniform(0.97, 0.995, rows)).round(2)
    return pd.DataFrame({"rate": rate, "throughput": done, "mean": mean, "p99": p99}), target


def highest_safe(curve, target):
    """The highest rate up to which each measured p99 meets the target; 0 if not even the first does."""
    misses = np.flatnonzero(curve["p99"].to_numpy() > target)
    end = misses[0] if len(misses) else len(curve)
    return float(curve["rate"].iloc[end - 1]) if end else 0.0


@exercise(
    "5.2",
    "Read a capacity curve",
    answers=("safe_rate",),
    points=3,
    minutes=5,
    core=True,
    objective="5.b",
    edition=2,
    kind=Function("curve", "target", returns=Number(low=0)),
    hints=(
        "Walk along the curve from the left. Where does it go above the target for the first time?",
        "The rate before that is the answer. What lies further right may look fine again: one lucky run.",
        "`missed = curve['p99'] > target`, and `missed.cummax()` stays True from the first miss on.",
    ),
)
def safe_rate(answer, rng, expect):
    """`safe_rate(curve, target)`: the highest rate up to which every p99 meets the target."""

    def compare(curve, target, what):
        got, want = answer(curve, target), highest_safe(curve, target)
        expect.true(math.isclose(got, want, abs_tol=1e-9), what, _wrong_rate(curve, target, got, want))

    with expect.defining():
        for number in range(4):
            curve, target = draw_curve(rng)
            compare(curve, target, f"curve {number + 1}, target {1000 * target:.0f} ms")
        first = int(np.flatnonzero(curve["p99"].to_numpy() > target)[0])
        curve.loc[first - 1, "p99"] = target
        compare(curve, target, "a p99 that is exactly the target meets it")
    curve, target = draw_curve(rng)
    compare(curve.iloc[2:], target, "a curve whose first two rates are cut off: its index begins at 2")
    calm = curve.iloc[: int(rng.integers(3, 6))]
    compare(calm, 10.0, "a curve that stays below the target to its end")
    curve.loc[0, "p99"] = 1.2 * target
    compare(curve, target, "the first rate misses the target, later ones meet it: 0")
    compare(curve, float(curve["p99"].min()) / 2, "a target that no rate meets: 0")


def _wrong_rate(curve, target, got, want):
    """What a reader of the curve would say of the answer `got`."""
    if got != 0 and not np.isclose(curve["rate"], got).any():
        return "that is no rate of this curve"
    if got > want:
        miss = curve[(curve["p99"] > target)].iloc[0]
        return f"p99 is {1000 * miss['p99']:.0f} ms already at a rate of {miss['rate']:g}"
    return "every p99 up to a higher rate meets the target" if got < want else ""


@safe_rate.inputs
def curves(rng):
    seen = pd.DataFrame({"rate": [10.0, 20, 30, 40], "throughput": [10.0, 20, 30, 33]})
    seen["mean"], seen["p99"] = [0.05, 0.06, 0.08, 0.2], [0.2, 0.25, 0.3, 0.29]
    for target in (0.1, 0.2, 0.25, 0.28, 0.295, 0.3, 0.31):
        yield seen, target
        yield seen.iloc[:1], target
    for _ in range(30):
        rows = int(rng.integers(1, 30))
        p99 = rng.choice([0.1, 0.2, 0.3, 0.4, 0.5], rows)
        rate = np.cumsum(rng.uniform(1, 9, rows))
        yield (
            pd.DataFrame({"rate": rate, "throughput": rate, "mean": p99 / 5, "p99": p99}),
            float(rng.choice([0.05, 0.2, 0.3, 0.45])),
        )


@safe_rate.misconception(
    "the mean was held against the target. Most users are then fine and one in a hundred waits several times as long: the target is a p99."
)
def by_the_mean(curve, target):
    return float(curve["rate"][curve["mean"] <= target].max()) if (curve["mean"] <= target).any() else 0.0


@safe_rate.misconception(
    "the last point below the target was taken, wherever it lies. The curve had been above already: a point that dips "
    "is a lucky run, and the queue is less kind tomorrow."
)
def last_point_below(curve, target):
    good = curve["p99"] <= target
    return float(curve["rate"][good].max()) if good.any() else 0.0


@safe_rate.misconception(
    "the highest throughput was looked for. It is reached when all servers work all the time, and there the queue has no end."
)
def saturation(curve, target):
    return float(curve["rate"][curve["throughput"].idxmax()])


@safe_rate.misconception(
    "the first rate that misses the target was returned. You found the right place: the service is safe one step before it."
)
def one_step_too_far(curve, target):
    missed = curve["p99"] > target
    return float(curve["rate"][missed].min() if missed.any() else curve["rate"].max())


@safe_rate.alternative
def step_by_step(curve, target):
    best = 0.0
    for row in curve.itertuples():
        if row.p99 > target:
            break
        best = row.rate
    return best


@safe_rate.alternative
def with_cummax(curve, target):
    good = curve["rate"][curve["p99"].cummax() <= target]
    return float(good.max()) if len(good) else 0


# ------------------------------------------------------------------------------ 5.3 how many servers?


def fewest_servers(rate, service_s, target_s):
    """By the closed form of M/M/c; 0 when no number is enough."""
    if -service_s * math.log(0.01) > target_s:
        return 0
    servers = max(1, math.floor(rate * service_s) + 1)
    while mmc_percentile(99, rate, service_s, servers) > target_s:
        servers += 1
    return servers


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
                servers = fewest_servers(rate, service, target)
                p99 = mmc_percentile(99, rate, service, servers)
                before = mmc_percentile(99, rate, service, servers - 1)
                rules = (load + 1, load / 0.7, load / 0.8, load + math.sqrt(load))
                by_rule = {math.ceil(rule) for rule in rules} | {barely, barely + 1, round(load / 0.75)}
                clear = p99 < 0.99 * target and before > 1.01 * target
                if (
                    clear
                    and servers not in by_rule
                    and servers > fewest_servers(0.75 * rate, service, target)
                ):
                    (tight if late > 6 * service else found).append((rate, service, target))
    return found, tight


MOST_SERVERS = 100


def _large(rng):
    """(rate, service, target) that takes some 60 to 90 servers and does not lie near the target."""
    while True:
        rate, service, target = int(rng.integers(570, 850)), 0.1, 0.6
        servers = fewest_servers(rate, service, target)
        p99, before = (mmc_percentile(99, rate, service, n) for n in (servers, servers - 1))
        if p99 < 0.99 * target and before > 1.01 * target:
            return rate, service, target


@exercise(
    "5.3",
    "How many servers?",
    answers=("servers_needed",),
    points=5,
    minutes=9,
    core=True,
    objective="5.b",
    edition=2,
    kind=Function("hourly_rates", "service_s", "target_s", returns=Number(low=0, integer=True)),
    hints=(
        "Which of the 24 hours decides? And from how many servers on does the queue not grow for ever?",
        "Try 1, 2, 3, ... up to 100 servers: return the first number for which `mmc_percentile(99, rate, service_s, servers)` meets the target.",
        "When the loop ends without such a number, the service itself is too slow: return 0 after the loop.",
    ),
)
def servers_needed(answer, rng, expect):
    """`servers_needed(hourly_rates, service_s, target_s)`: the fewest servers whose p99 meets the target in the busiest hour."""
    usual, tight = _sizings()

    def compare(rates, service, target, what):
        got, want = answer(rates, service, target), fewest_servers(max(rates), service, target)
        told = "" if got == want else _wrong_servers(got, max(rates), service, target)
        expect.true(got == want, what, told)

    with expect.defining():
        drawn = [usual[int(at)] for at in rng.choice(len(usual), size=4, replace=False)]
        drawn.append(tight[int(rng.integers(len(tight)))])
        hours = [0, 23, *(int(hour) for hour in rng.integers(24, size=3))]
        for (rate, service, target), hour in zip(drawn, hours, strict=True):
            words = f"busiest hour {rate} a second, {1000 * service:.0f} ms each, p99 within {1000 * target:.0f} ms"
            compare(draw_day(rng, float(rate), hour), service, target, words)
    compare([0.2] * 24, 0.05, 1.0, "a service that hardly anybody asks")
    rate, service, target = _large(rng)
    words = f"busiest hour {rate} a second, {1000 * service:.0f} ms each, p99 within {1000 * target:.0f} ms"
    compare(draw_day(rng, float(rate)), service, target, words)
    slow = round(float(rng.uniform(0.08, 0.12)), 3)
    words = f"{1000 * slow:.0f} ms on average, p99 within {4000 * slow:.0f} ms: 0"
    compare(draw_day(rng, 40.0), slow, 4 * slow, words)


def _wrong_servers(got, rate, service, target):
    if not got:
        return "some number of servers meets the target"
    if math.isnan(got):
        return "NaN is no number of servers"
    p99 = mmc_percentile(99, rate, service, min(got, 2000))  # a formula for a million servers takes long
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


def _with_rate(rate_of):
    def count(hourly_rates, service_s, target_s):
        return fewest_servers(rate_of(hourly_rates), service_s, target_s)

    return count


@servers_needed.misconception(
    "servers were counted so that they are busy all the time. At 100 % the queue never empties: what comes late by chance "
    "is lost, what comes early waits, and the wait grows without end."
)
def rate_times_service(hourly_rates, service_s, target_s):
    return math.ceil(max(hourly_rates) * service_s)


@servers_needed.misconception(
    "the day's mean rate was used. Users do not come on average: size for the busiest hour, or it is slow each evening."
)
def mean_of_the_day(hourly_rates, service_s, target_s):
    return fewest_servers(float(np.mean(hourly_rates)), service_s, target_s)


@servers_needed.misconception(
    "a mean or another middle value was held against the target. It was promised to 99 of 100, and the slow ones take several times as long."
)
def mean_latency(hourly_rates, service_s, target_s):
    rate = max(hourly_rates)
    servers = math.floor(rate * service_s) + 1
    while mmc(rate, service_s, servers).latency > target_s and servers < MOST_SERVERS:
        servers += 1
    return servers


@servers_needed.misconception(
    "one server more than needed to keep up was taken as a rule. It may be too few or too many: let the p99 decide."
)
def one_spare(hourly_rates, service_s, target_s):
    return math.ceil(max(hourly_rates) * service_s) + 1


@servers_needed.alternative
def with_the_planner(hourly_rates, service_s, target_s):
    plan = plan_capacity(max(hourly_rates), ExponentialLaw(service_s), target_s)
    return plan.servers if plan.feasible else 0


@servers_needed.alternative
def try_them_all(hourly_rates, service_s, target_s):
    rate = np.max(hourly_rates)
    for servers in range(1, MOST_SERVERS + 1):
        if rate * service_s < servers and mmc_percentile(99, rate, service_s, servers) <= target_s:
            return servers
    return 0


# ----------------------------------------------------------------------------- 5.4 realtime or batch, twice

SERVICES = {
    "eta": "asked when the plane leaves the gate; labels after hours; winds change within weeks",
    "letter": "three destinations for each subscriber, mailed on Monday at 6; bookings follow within months",
    "fraud": "each card payment waits for it; charge-backs are known after 60 days",
    "security": "minutes at security, shown when the app opens; sensors give the label ten minutes later, habits last an hour",
    "banners": "picks a banner for each page view; clicks come within seconds, the news change by the hour",
    "roster": "staff for tomorrow, printed at 22:00; who was missing is reported at the end of the month",
    "fares": "tomorrow's fares are printed at midnight; each booking is a label, may not be stored, and counts for days",
}
WAYS = ("batch+batch", "batch+realtime", "realtime+batch", "realtime+realtime")
WAY_OF = {
    "eta": "batch+realtime",
    "letter": "batch+batch",
    "fraud": "batch+realtime",
    "security": "realtime+realtime",
    "banners": "realtime+realtime",
    "roster": "batch+batch",
    "fares": "realtime+batch",
}


@exercise(
    "5.4",
    "Realtime or batch, twice",
    answers=("ways",),
    points=3,
    minutes=5,
    objective="5.a",
    kind=Choice(SERVICES, options=WAYS),
    hints=(
        "Two questions each. Serving: does somebody wait, with inputs that were not known before? Training: when does the label come, and for how long is it worth something?",
        "Each label at once pays where labels come fast and age fast, or cannot be kept. Else retrain from stored rows.",
    ),
)
def ways(answer, rng, expect):
    """Seven services: training, then serving."""
    expect.cases(answer, WAY_OF)


@ways.misconception(
    "both questions got the same answer. A service that answers at once may well be trained once a month, and one that prints at midnight may learn all day: decide twice."
)
def one_decision():
    return WAY_OF | {"eta": "realtime+realtime", "fraud": "realtime+realtime", "fares": "batch+batch"}


@ways.misconception(
    "a model is to learn from labels that are not there. After 60 days a label tells what was true two months ago, and it can wait for the next retraining."
)
def learning_from_nothing():
    return WAY_OF | {"fraud": "realtime+realtime"}


@ways.misconception(
    "a service answers at once although nobody waits. A thousand rows in one call cost about what one costs alone: where the "
    "inputs are known the evening before, predict them all together."
)
def realtime_for_a_letter():
    return WAY_OF | {"letter": "batch+realtime", "roster": "batch+realtime"}


@ways.misconception(
    "predictions are made ahead although their inputs are not known yet. The gate, the payment and the page view exist only at the moment of the question."
)
def ahead_of_the_question():
    return WAY_OF | {"eta": "batch+batch", "fraud": "batch+batch"}


@ways.alternative
def from_two_sets():
    learns_at_once, somebody_waits = (
        {"security", "banners", "fares"},
        {"eta", "fraud", "security", "banners"},
    )
    name = {True: "realtime", False: "batch"}
    return {key: f"{name[key in learns_at_once]}+{name[key in somebody_waits]}" for key in SERVICES}


@ways.alternative
def other_order():
    return dict(sorted(WAY_OF.items()))


# -------------------------------------------------------------------------------- 5.5 cloud or edge


def draw_case(rng, part=0.5):
    """Prices, traffic and a model; at the peak the traffic fills some whole machines, and `part` of one more."""
    machines = int(rng.integers(4, 10))
    seconds, busy = round(float(rng.uniform(0.02, 0.06)), 3), round(float(rng.uniform(0.5, 0.9)), 2)
    if part == 0:  # powers of two: the quotient is exact in every order of operations
        seconds, busy = 0.03125, 0.5
    peak = (machines - 1 + part) * busy / seconds
    return {
        "devices": float(rng.integers(20, 400) * 1000),
        "requests_per_s": round(float(rng.uniform(0.4, 0.6)) * peak, 1),
        "peak_per_s": peak if part == 0 else round(peak, 2),
        "seconds_per_request": seconds,
        "busy": busy,
        "machine_hour": round(float(rng.uniform(0.1, 0.9)), 2),
        "payload_kb": float(rng.integers(2, 40)),
        "gb_price": round(float(rng.uniform(0.05, 0.12)), 2),
        "model_mb": float(rng.integers(5, 120)),
        "updates_per_month": float(rng.integers(2, 6)),
        "line_mbit_s": float(rng.choice([6, 16, 20, 50, 100])),
    }


def costs(case, *, machines=None, months_updates=True, bits=8):
    """(cloud, edge, first load)."""
    if machines is None:
        machines = math.ceil(case["peak_per_s"] * case["seconds_per_request"] / case["busy"])
    sent_gb = case["requests_per_s"] * 3600 * 730 * case["payload_kb"] / 1e6
    cloud = machines * 730 * case["machine_hour"] + sent_gb * case["gb_price"]
    loaded_gb = case["devices"] * case["updates_per_month"] * case["model_mb"] / 1000
    edge = loaded_gb * case["gb_price"] if months_updates else 0.0
    return cloud, edge, bits * case["model_mb"] / case["line_mbit_s"]


@exercise(
    "5.5",
    "Cloud or edge",
    answers=("cloud_and_edge",),
    points=4,
    minutes=8,
    objective="5.c",
    edition=2,
    kind=Function(
        "case", returns=Several(Number(), Number(), Number(), names=("cloud", "edge", "first load"))
    ),
    hints=(
        "Cloud: how many machines stand ready at the peak, if each may be `busy` for that share of the time? They are paid for all 730 hours. Then add the bytes that leave.",
        "A month has 730 * 3600 seconds. 1 GB is 1,000 MB or 1,000,000 kB. Round machines up: there is no half machine.",
        "A file is counted in bytes and a line in bits: 8 bits are a byte.",
    ),
)
def cloud_and_edge(answer, rng, expect):
    """`cloud_and_edge(case)`: cost of a month in the cloud, on the devices, and the seconds of the first load."""
    parts = {"a little of one more": 0.2, "most of one more": 0.8, "and nothing over": 0.0}
    with expect.defining():
        for words, part in parts.items():
            case = draw_case(rng, part)
            machines = case["peak_per_s"] * case["seconds_per_request"] / case["busy"]
            told = f"the peak fills {int(machines + 1e-9)} machines, {words}"
            for got, right, what in zip(
                answer(dict(case)), costs(case), ("cloud", "edge", "first load"), strict=True
            ):
                expect.close(
                    got, right, f"{what} ({told})" if what == "cloud" else f"{what} ({_brief(case)})"
                )


def _brief(case):
    return f"{case['devices']:,.0f} devices, model of {case['model_mb']:g} MB, line of {case['line_mbit_s']:g} Mbit/s"


@cloud_and_edge.inputs
def months(rng):
    yield (
        {
            "devices": 50_000.0,
            "requests_per_s": 10.0,
            "peak_per_s": 65.0,
            "seconds_per_request": 0.04,
            "busy": 0.7,
            "machine_hour": 0.4,
            "payload_kb": 8.0,
            "gb_price": 0.09,
            "model_mb": 20.0,
            "updates_per_month": 2.0,
            "line_mbit_s": 16.0,
        },
    )
    for part in (0.0, 0.1, 0.4, 0.6, 0.9, *rng.uniform(0.05, 0.95, 10)):
        yield (draw_case(rng, part),)


@cloud_and_edge.misconception(
    "the line was taken for bytes. Its provider counts bits: the first load takes eight times as long."
)
def bytes_for_bits(case):
    return costs(case, bits=1)


@cloud_and_edge.misconception(
    "machines were paid by the request. A machine that works 3 % of the time costs as much as a busy one: you pay its hour."
)
def paid_by_the_request(case):
    return costs(case, machines=case["requests_per_s"] * case["seconds_per_request"])


@cloud_and_edge.misconception(
    "the mean traffic decided how many machines there are. In the busiest hour they would not do, and somebody has to have paid for those that stand ready."
)
def sized_for_the_mean(case):
    busy = case["requests_per_s"] * case["seconds_per_request"] / case["busy"]
    return costs(case, machines=math.ceil(busy))


@cloud_and_edge.misconception(
    "the devices were free. Each of them loads the model, and loads it again with each update."
)
def free_edge(case):
    return costs(case, months_updates=False)


@cloud_and_edge.alternative
def with_the_calculators(case):
    from mlprod_helpers.checklist import cloud_cost, edge_cost, transfer_seconds

    cloud = cloud_cost(
        case["requests_per_s"],
        case["seconds_per_request"],
        case["machine_hour"],
        peak=case["peak_per_s"],
        busy=case["busy"],
        payload_bytes=1000 * case["payload_kb"],
        price_per_gb=case["gb_price"],
    )
    edge = edge_cost(
        case["devices"],
        1e6 * case["model_mb"],
        updates_per_month=case["updates_per_month"],
        price_per_gb=case["gb_price"],
    )
    return cloud["month"], edge["month"], transfer_seconds(1e6 * case["model_mb"], case["line_mbit_s"])


@cloud_and_edge.alternative
def in_plain_steps(case):
    machines = -int(-(case["peak_per_s"] * case["seconds_per_request"]) // case["busy"])
    hours = 730
    requests = case["requests_per_s"] * 60 * 60 * hours
    traffic = requests * case["payload_kb"] * 1000 / 1e9 * case["gb_price"]
    downloads = case["devices"] * case["updates_per_month"] * case["model_mb"] * 1e6 / 1e9
    return [
        machines * hours * case["machine_hour"] + traffic,
        downloads * case["gb_price"],
        case["model_mb"] * 1e6 * 8 / (case["line_mbit_s"] * 1e6),
    ]


# -------------------------------------------------------------------------- 5.6 a log without people

_FIRST = ("Amara", "Bogdan", "Chiara", "Dilnoza", "Eirik", "Farida", "Goran", "Hanna")
_LAST = ("Okafor", "Petrescu", "Lombardi", "Karimova", "Nordahl", "Haddad", "Kovac", "Virtanen")
_UNLISTED = ("seat", "loyalty", "trip", "kin", "wallet", "visa", "meal", "lounge", "bag", "booking")
_AS_THEY_ARE = ("request_id", "version", "status", "latency_ms")
_KEPT = {*_AS_THEY_ARE, "user_id", "features", "comment"}


def draw_entry(rng, number=0):
    """(entry, names): a log entry that tells too much, in many places."""
    first, last = str(rng.choice(_FIRST)), str(rng.choice(_LAST))
    mail = f"{first.lower()}.{last.lower()}@example.org"
    phone = f"+49 151 {rng.integers(1000000, 9999999)}"
    ip = ".".join(str(part) for part in rng.integers(11, 250, 4))
    spoken = str(rng.choice(["called from", "left a number:", "asked to be called at"]))
    told = [f"{first} {spoken} {phone}", f"wrote from {mail.upper()}", f"seen by {last} at once"]
    said = rng.permutation(["gate display frozen at B7", *told[: 3 - number % 2]])
    if not number:  # whoever masks the first of each kind alone leaves these
        said = [*said, f"{last} and {first} wait: {phone} or {mail}"]
    secret = {"note": [f"{last}, born {rng.integers(1, 28)}.04.1971", phone]}
    unlisted = [str(rng.choice(_UNLISTED)), *(_made_up(rng) for _ in range(2))]
    unlisted = [str(name) for name in rng.permutation(unlisted)]
    entry = {
        "request_id": f"r{rng.integers(10_000, 99_999)}",
        "version": f"v{rng.integers(1, 9)}",
        "status": (200, 503, 400)[number % 3],
        "latency_ms": round(float(rng.uniform(5, 400)), 1),
        "user_id": int(rng.integers(100_000, 999_000)),
        "features": {
            "distance": int(rng.integers(1, 49) * 100 + (51, 99, 0)[number % 3]),
            "carrier": str(rng.choice(["UA", "DL", "B6"])),
            "passenger": {"name": f"{first} {last}", "mail": mail},
            unlisted[0]: f"{rng.integers(1, 40)}{rng.choice(list('ABCDEF'))}",
        },
        "comment": ", ".join(str(part) for part in said) if number != 2 else "gate display frozen at B7",
        "headers": {"agent": "display/2", "forwarded": [ip]},
        unlisted[1]: secret,
        f"{unlisted[2]}_id": int(rng.integers(10, 99)),
    }
    return entry, [first, last]


def _made_up(rng):
    """The name of a field that nobody can have listed."""
    return "".join(str(rng.choice(list(letters))) for letters in ("bdfgklmnprst", "aeiou") * 3)


def entry_key(rng):
    """A key for this check."""
    return rng.bytes(32)


@exercise(
    "5.6",
    "A log without people",
    answers=("safe_entry",),
    points=5,
    minutes=10,
    objective="5.d",
    edition=2,
    kind=Function("entry", "key", "names", returns=Mapping()),
    hints=(
        "Begin with an empty dict and put in what is allowed. Who begins with the entry and takes things out forgets the field that comes next month.",
        "`pseudonym(user_id, key)` for the user, `coarse(distance, 100)` for the distance, `mask(comment, names=names)` for the comment.",
        "Inside `features` only distance and carrier are allowed: build that inner dict anew as well.",
    ),
)
def safe_entry(answer, rng, expect):
    """`safe_entry(entry, key, names)`: what the log may keep."""
    key = entry_key(rng)
    entries = [draw_entry(rng, number) for number in range(3)]
    kept = [(entry, names, answer(entry, key, names)) for entry, names in entries]
    faults = {
        what: next(filter(None, (find(*one) for one in kept)), "") for what, find in _IN_AN_ENTRY.items()
    }
    with expect.defining():
        for what in ("no name, mail, phone number or user id is left", "only the listed fields are there"):
            expect.true(not faults[what], what, faults.pop(what))
        what = "request_id, version, status and latency_ms are as they were"
        expect.true(not faults[what], what, faults.pop(what))
        what = "nobody without the key can find the user id from the stand-in"
        fault = _found_without_key(answer, kept, key)
        expect.true(not fault, what, fault)
        fault = _not_one_each(answer, kept, key, rng)
        expect.true(not fault, "one user has one stand-in in every process, another user another", fault)
    for what, fault in faults.items():
        expect.true(not fault, what, fault)


def _leaks(entry, names, got):
    person = entry["features"]["passenger"]
    phone = next(
        iter(value["note"][1] for value in entry.values() if isinstance(value, dict) and "note" in value)
    )
    kinds = {person["mail"]: "mail", str(entry["user_id"]): "user id", phone.split()[-1]: "phone"}
    found = find_personal(got, names=[*names, *kinds])
    if not found:
        return ""
    kind = kinds.get(found[0].text.lower(), found[0].kind)
    return f"{found[0].path} holds {found[0].text!r} ({kind})"


def _not_listed(entry, names, got):
    more = [str(name) for name in got if name not in _KEPT]
    features = got.get("features")
    more += (
        [f"features.{name}" for name in features if name not in ("distance", "carrier")]
        if isinstance(features, dict)
        else []
    )
    return f"there is also {more[0]}" if more else ""


def _changed(entry, names, got):
    for name in _AS_THEY_ARE:
        if name not in got:
            return f"{name} is missing"
        if got[name] != entry[name]:
            return f"{name} was {entry[name]!r} and is {got[name]!r}"
    return ""


def _finer(entry, names, got):
    features, want = got.get("features"), entry["features"]["distance"] // 100 * 100
    if not isinstance(features, dict):
        return "features is no dict"
    if features.get("carrier") != entry["features"]["carrier"]:
        return f"carrier was {entry['features']['carrier']!r} and is {features.get('carrier')!r}"
    distance = features.get("distance")
    return "" if distance == want else f"{entry['features']['distance']} miles became {distance!r}"


def _lost_words(entry, names, got):
    if not isinstance(got.get("comment"), str):
        return "there is no comment"
    harmless = mask(entry["comment"], names=names)
    words = iter(re.findall(r"\w+", got["comment"]))
    for word in re.findall(r"\w+", re.sub(r"\[\w+\]", " ", harmless)):
        if word not in words:
            return f"{entry['comment']!r} became {got['comment']!r}: {word!r} is lost"
    return ""


_IN_AN_ENTRY = {
    "no name, mail, phone number or user id is left": _leaks,
    "only the listed fields are there": _not_listed,
    "request_id, version, status and latency_ms are as they were": _changed,
    "features has the distance in hundreds, and the carrier": _finer,
    "the harmless words of the comment are still there": _lost_words,
}


def _stand_in(answer, entry, key, names, **change):
    return answer(dict(entry, **change), key, names).get("user_id")


def _not_one_each(answer, kept, key, rng):
    """What is wrong with the stand-ins of many users, or ""."""
    entry, names, got = kept[2]
    other, others = draw_entry(rng, 2)
    mine = got.get("user_id")
    if mine is None:
        return "there is none"
    if _stand_in(answer, other, key, others, user_id=entry["user_id"]) != mine:
        return "two requests of one user have two stand-ins"
    elsewhere = answer.in_another_process(entry, key, names).get("user_id")
    if elsewhere != mine:
        return f"this process gives {mine!r}, and another one {elsewhere!r} for the same user"
    users = range(entry["user_id"], entry["user_id"] + 240)
    found = [str(_stand_in(answer, entry, key, names, user_id=user)) for user in users]
    if len(set(found)) < len(found):
        return f"{len(found)} users have only {len(set(found))} stand-ins"
    room = math.prod(len(set(signs)) for signs in itertools.zip_longest(*found))
    if room < 0.9e6:
        return f"there is room for {room:,} different stand-ins at most, and a million users may come"
    return ""


def _found_without_key(answer, kept, key):
    """How the id can be told from the stand-in, or ""."""
    entry, names, got = kept[0]
    user, mine, text = entry["user_id"], got.get("user_id"), json.dumps(got, default=str)
    if mine is None:
        return "there is no stand-in"
    if _stand_in(answer, entry, bytes(255 - byte for byte in key), names) == mine:
        return "another key gives the same stand-in"
    for at in (0, 15, -1):
        other = bytearray(key)
        other[at] ^= 1
        if _stand_in(answer, entry, bytes(other), names) == mine:
            return "a part of the key is not used"
    plain = [
        hashlib.new(name, str(user).encode()).hexdigest() for name in ("md5", "sha1", "sha256", "sha512")
    ]
    if any(one[:8] in text for one in plain):
        return "a hash of the id alone stands in the entry"
    if key.hex() in text or repr(key)[2:-1] in text or base64.b64encode(key).decode() in text:
        return "the key itself stands in the entry"
    near = [str(_stand_in(answer, entry, key, names, user_id=one)) for one in range(user, user + 12)]
    alike = [
        sum(map(str.__eq__, one, two)) / max(len(one), len(two), 1) for one, two in itertools.pairwise(near)
    ]
    others = [(user + 73_001 * i) % 1_000_000 for i in range(8)]
    twice = [
        [str(_stand_in(answer, entry, one, names, user_id=who)) for who in others]
        for one in (key, bytes(255 - byte for byte in key))
    ]
    if _shown_in_both(*twice):
        return "a part of the stand-in is the same with any key, and differs from user to user"
    if _by_arithmetic(near):
        return "from one user to the next the stand-ins go up in equal steps: two known users give away all others"
    if np.mean(alike) > 0.6:
        return f"the stand-ins of neighbors are alike ({near[0]} and {near[1]}): one known user gives away the others"
    return ""


def _shown_in_both(one, two):
    """Whether some place of the stand-ins, from the left or the right, tells users apart and does not depend on the key."""
    for step in (1, -1):
        places = zip(
            *(zip(a[::step], b[::step], strict=False) for a, b in zip(one, two, strict=True)), strict=False
        )
        for pairs in places:
            if all(a == b for a, b in pairs) and len(set(pairs)) > 1:
                return True
    return False


def _by_arithmetic(stand_ins):
    """Whether numbers (decimal or hexadecimal) go up in equal steps where the ids do."""
    for base in (10, 16):
        try:
            numbers = [int(one, base) for one in stand_ins]
        except ValueError:
            continue
        if len({two - one for one, two in itertools.pairwise(numbers)}) <= 3:
            return True
    return False


@safe_entry.acceptable
def keeps_people_out(answer, rng):
    """By the statement alone, on an entry of its own."""
    entry = {name: f"{name} {rng.integers(99)}" for name in _AS_THEY_ARE} | {
        "user_id": int(rng.integers(9e5))
    }
    entry |= {
        "features": {"distance": int(rng.integers(5000)), "carrier": "HA", "seat": "12A"},
        "crew": "Ada",
    }
    entry["comment"] = "Ada froze, ada@example.org or +49 151 2345678 knows"
    keys = [rng.bytes(32) for _ in range(3)]
    one, two, three = (answer(dict(entry), key, ["Ada"]) for key in keys)
    others = [answer(entry | {"user_id": user}, keys[0], ["Ada"])["user_id"] for user in range(1000, 1400)]
    words = re.findall(r"\w+", re.sub(r"\[\w+\]", "", one["comment"]))
    return (
        {name: value for name, value in one.items() if name not in ("user_id", "comment")}
        == {name: entry[name] for name in _AS_THEY_ARE}
        | {"features": {"distance": entry["features"]["distance"] // 100 * 100, "carrier": "HA"}}
        and words == ["froze", "or", "knows"]
        and len({str(got["user_id"]) for got in (one, two, three)}) == 3
        and len(set(map(str, others))) == 400
        and answer(entry | {"status": 0}, keys[0], ["Ada"])["user_id"] == one["user_id"]
        and all(
            answer(dict(entry), keys[0][:at] + b"?" + keys[0][at + 1 :], ["Ada"])["user_id"] != one["user_id"]
            for at in range(32)
            if keys[0][at : at + 1] != b"?"
        )
        and not {
            hashlib.new(way, str(entry["user_id"]).encode()).hexdigest() for way in ("md5", "sha1", "sha256")
        }
        & {str(one["user_id"])}
    )


def _failed(seen):
    return {what for what, ok, *_ in seen.verdicts if not ok}


def _entries(seen):
    """(the entry that was given, what came back) of each call that gave a dict."""
    return [(call.given[0], call.output) for call in seen.calls if isinstance(call.output, dict)]


def _user_calls(seen):
    return [
        (call.given[0]["user_id"], call.given[1], call.output["user_id"])
        for call in seen.calls
        if isinstance(call.output, dict) and call.output.get("user_id") is not None
    ]


def _comment_kept(seen):
    pairs = [(entry, got) for entry, got in _entries(seen) if "@" in entry["comment"]]
    return bool(pairs) and all(
        got.get("comment") == entry["comment"] and set(entry) - _KEPT <= set(entry) - set(got)
        for entry, got in pairs
    )


def _fields_let_through(seen):
    """Whether some fields of the entry were taken out, and others that are not listed were not."""
    pairs = _entries(seen)
    return any(set(got) & set(entry) - _KEPT for entry, got in pairs) and any(
        (set(entry) - _KEPT) - set(got) for entry, got in pairs
    )


def _next_to_nothing(seen):
    """Whether hardly anything of what was asked for is left, but something is."""
    pairs = _entries(seen)
    some = any(got.get(name) == entry[name] for entry, got in pairs for name in _AS_THEY_ARE)
    return some and all(len(set(_AS_THEY_ARE) - set(got)) >= 2 for _, got in pairs)


def _key_not_needed(seen):
    """Whether the stand-in follows the user, but a wholly different key changes nothing."""
    calls = _user_calls(seen)
    by_key = {(user, key): str(stand_in) for user, key, stand_in in calls}
    pairs = [(one, two) for one, two in itertools.combinations(by_key, 2) if one[0] == two[0]]
    other_keys = [(one, two) for one, two in pairs if sum(map(int.__ne__, one[1], two[1])) > 16]
    return (
        bool(other_keys)
        and all(by_key[one] == by_key[two] for one, two in other_keys)
        and len(set(by_key.values())) > 2
        and not any(str(user) == str(stand_in) for user, _, stand_in in calls)
    )


@safe_entry.misconception(
    "nearly everything was dropped. Nobody can find the slow request in an empty log: keep what a colleague needs at night, and nothing else.",
    when=_next_to_nothing,
)
def empty_log(entry, key, names):
    return {"request_id": entry["request_id"]}


@safe_entry.misconception(
    "keys were looked at, and texts were not. The mail address and the phone number stood inside the comment, where no key announces them.",
    when=_comment_kept,
)
def key_list(entry, key, names):
    return right_entry(entry, key, names) | {"comment": entry["comment"]}


@safe_entry.misconception(
    "fields were taken out by name. The next release adds a field that is not on your list, and it leaks from the first day: list what may stay instead.",
    when=_fields_let_through,
)
def block_list(entry, key, names):
    kept = {name: value for name, value in entry.items() if name not in ("headers", *_UNLISTED)}
    features = {
        "distance": coarse(entry["features"]["distance"], 100),
        "carrier": entry["features"]["carrier"],
    }
    comment = mask(entry["comment"], names=names)
    return kept | {"features": features, "comment": comment, "user_id": pseudonym(entry["user_id"], key)}


@safe_entry.misconception(
    "the stand-in is made without the key. There are a million ids: whoever has the log tries them all in a second and finds yours. A keyed hash, or nothing.",
    when=_key_not_needed,
)
def plain_hash(entry, key, names):
    return right_entry(entry, key, names) | {
        "user_id": hashlib.sha256(str(entry["user_id"]).encode()).hexdigest()[:16]
    }


def right_entry(entry, key, names):
    return redact(
        entry,
        keep=("request_id", "version", "status", "latency_ms", "features.carrier"),
        coarsen={"features.distance": 100},
        pseudonyms=("user_id",),
        free_text=("comment",),
        key=key,
        names=names,
    )


safe_entry.alternative(right_entry)


@safe_entry.alternative
def by_hand(entry, key, names):
    comment = re.sub(r"[^\s,]+@[^\s,]+", "[mail]", entry["comment"])
    comment = re.sub(r"\+?\d[\d ]{6,}\d", "[phone]", comment)
    for name in names:
        comment = re.sub(name, "[name]", comment, flags=re.IGNORECASE)
    kept = {name: entry[name] for name in ("request_id", "version", "status", "latency_ms")}
    kept["features"] = {
        "distance": round(entry["features"]["distance"] // 100) * 100,
        "carrier": entry["features"]["carrier"],
    }
    digest = hmac.new(key, str(entry["user_id"]).encode(), "sha256").hexdigest()
    return kept | {"comment": comment, "user_id": digest}


# ----------------------------------------------------------------------------------- 5.7 debug the door

FIELDS = ("distance", "hour")
LIMIT = 100


def leaky_door(payload):
    """The door as it stands: it lets through what it should not."""
    try:
        for row in payload["rows"]:
            if row["distance"] < 0 or row["hour"] > 23:
                return 400, "distance or hour out of range"
        return 200, "ok"
    except Exception:
        return 500, "something went wrong"


def right_door(payload):
    """The door as it should be."""
    rows = payload.get("rows") if isinstance(payload, dict) else None
    if not isinstance(rows, list):
        return 400, "rows is a list of flights"
    if len(rows) > LIMIT:
        return 413, f"at most {LIMIT} rows"
    for row in rows:
        fault = _fault(row)
        if fault:
            return 400, fault
    return 200, "ok"


def _fault(row):
    if not isinstance(row, dict) or set(row) != set(FIELDS):
        return "a row has distance and hour, nothing else"
    for name, low, high in (("distance", 50, 5000), ("hour", 0, 23)):
        value = row[name]
        if isinstance(value, bool) or not isinstance(value, Real) or not low <= value <= high:
            return f"{name} is a number from {low} to {high}"
    return ""


def _rows(rng, n=3):
    return [
        {"distance": round(float(rng.uniform(80, 4900)), 1), "hour": int(rng.integers(1, 23))}
        for _ in range(n)
    ]


def _with(rng, n=3, **change):
    """Good rows, one of them changed; a field that is set to `...` is taken out."""
    rows = _rows(rng, n)
    row = rows[int(rng.integers(n))]
    row |= change
    for name in [name for name, value in row.items() if value is ...]:
        del row[name]
    return {"rows": rows}


def draw_payloads(rng):
    """rule -> list of (what was sent, payload, status, text that the reason names)."""
    nan, inf, some = float("nan"), float("inf"), float(rng.integers(1, 900))
    good = {
        "three good rows": {"rows": [row | {"distance": int(row["distance"])} for row in _rows(rng)]},
        "a distance of 612.5": {"rows": [{"distance": 612.5, "hour": 9}]},
        "an hour of 8.5": {"rows": [{"distance": 700, "hour": 8.5}]},
        "no row at all": {"rows": []},
        "100 rows": {"rows": _rows(rng, LIMIT)},
        "distances of 50 and 5000": {"rows": [{"distance": 50, "hour": 9}, {"distance": 5000, "hour": 9}]},
        "hours 0 and 23": {"rows": [{"distance": 700, "hour": 0}, {"distance": 700.0, "hour": 23}]},
        "one row whose fields are in another order": {"rows": [{"hour": 7, "distance": 800}]},
    }

    def wrong(name, *values):
        return [(f"{name} = {value!r}", _with(rng, **{name: value}), 400, name) for value in values]

    outside = wrong("distance", -some, 0, 49.9, 5000.5, 1e9, -inf) + wrong("hour", 24, -1, 23.5, -0.5)
    last = _rows(rng, LIMIT)
    last[-1]["distance"] = 12
    fields = {
        "a field that nobody knows": _with(rng, carrier_code="UA"),
        "a row without its hour": _with(rng, hour=...),
        "a row without its distance": _with(rng, distance=...),
        "an empty row": {"rows": [*_rows(rng), {}]},
    }
    shapes = {
        "a payload without rows": {"flights": _rows(rng)},
        "a payload that is a list": _rows(rng),
        "a payload that is None": None,
        "a payload that is a text": "rows",
        "rows that are None": {"rows": None},
        "rows that are a dict": {"rows": {}},
        "rows that are one row, without a list": {"rows": _rows(rng)[0]},
        "rows that are an empty text": {"rows": ""},
        "rows that are a number": {"rows": 3},
        "a row that is a list": {"rows": [*_rows(rng), [700, 9]]},
        "a row that is a text": {"rows": ["distance", *_rows(rng)]},
        "a row that is None": {"rows": [None]},
    }
    many = {
        "101 rows": {"rows": _rows(rng, LIMIT + 1)},
        "101 rows, one of them wrong": _with(rng, LIMIT + 1, hour=99),
        "300 rows": {"rows": _rows(rng, 1) * 300},
    }
    return {
        "what is right is let in: 200": [(what, payload, 200, "") for what, payload in good.items()],
        "NaN and infinity are refused: 400": wrong("distance", nan, inf) + wrong("hour", nan, inf),
        "True is no number: 400": wrong("hour", True, False) + wrong("distance", True),
        "numbers out of range are refused: 400": [
            *outside,
            ("100 rows, the last one wrong", {"rows": last}, 400, "distance"),
        ],
        "texts and None are no numbers: 400": wrong("distance", "700", None, [700])
        + wrong("hour", "9", None),
        "unknown and missing fields are refused: 400": [
            (what, payload, 400, "") for what, payload in fields.items()
        ],
        "anything else than a list of dicts is refused: 400": [
            (what, payload, 400, "") for what, payload in shapes.items()
        ],
        "more than 100 rows are too many: 413": [(what, payload, 413, "") for what, payload in many.items()],
    }


@exercise(
    "5.7",
    "Debug the door",
    answers=("door",),
    points=4,
    minutes=8,
    objective="5.d",
    edition=2,
    kind=Function("payload", returns=Several(Number(integer=True), Text(), names=("status", "reason"))),
    hints=(
        "Send the five payloads of the cell above through `leaky_door` by hand, and ask of each 200: what would the model have answered?",
        "NaN is neither below 50 nor above 5000: ask for what is right, `50 <= value <= 5000`, and refuse the rest.",
        "`isinstance(True, int)` is True in Python: ask for `bool` first. And count the rows before you look at the first one.",
    ),
)
def door(answer, rng, expect):
    """`door(payload)`: (status, reason)."""
    silent = ""
    for rule, sent in draw_payloads(rng).items():
        told = ""
        for what, payload, status, name in sent:
            got, reason = answer(payload)
            if got != status and not told:
                told = f"{what}: the status is {got}"
            elif got == status and name and not silent and _named(reason) != {name}:
                silent = f"for {what} it is {reason!r}"
        with expect.defining() if rule in _DEFINING else contextlib.nullcontext():
            expect.true(not told, rule, told)
    expect.true(not silent, "the reason names the field whose value is wrong, and not the other", silent)


def _named(reason):
    return {name for name in FIELDS if name in reason}


_DEFINING = ("what is right is let in: 200", "NaN and infinity are refused: 400", "True is no number: 400")


@door.inputs
def payloads(rng):
    def row(distance=700, hour=9, **more):
        return {"distance": distance, "hour": hour, **more}

    nan, inf = float("nan"), float("inf")
    values = (
        nan,
        inf,
        -inf,
        True,
        False,
        None,
        "9",
        [9],
        8.5,
        -0.5,
        0,
        23,
        23.5,
        24,
        49,
        50,
        50.0,
        5000,
        5001,
    )
    yield ({"rows": [row(distance=nan)]},)
    for value in values:
        for name in FIELDS:
            yield ({"rows": [row(), row(**{name: value}), row()]},)
    for n in (0, 1, 99, 100, 101, 102, 5000):
        yield ({"rows": [row()] * n},)
        yield ({"rows": [row()] * n + [row(hour=99)]},)
    for rows in (
        None,
        "",
        "ab",
        3,
        {},
        row(),
        [None],
        [[700, 9]],
        [{}],
        ["ab"],
        [row(more=1)],
        [{"hour": 3}],
        [{"distance": 300}],
    ):
        yield ({"rows": rows},)
    for payload in (None, [], [row()], "rows", 7, {}, {"flights": [row()]}):
        yield (payload,)


def _sent(seen):
    """(payload, status given, status that is right) of each call that gave a pair."""
    return [
        (call.given[0], call.output[0], right_door(call.given[0])[0])
        for call in seen.calls
        if isinstance(call.output, tuple | list) and len(call.output) == 2
    ]


def _values(payload):
    """All values of a payload's rows, where it has such."""
    rows = payload.get("rows") if isinstance(payload, dict) else None
    return (
        [value for row in rows if isinstance(row, dict) for value in row.values()]
        if isinstance(rows, list)
        else []
    )


def _let_in(seen, odd):
    """Whether all wrong payloads of this odd kind were let in, and there were some."""
    found = [
        got == 200 for payload, got, want in _sent(seen) if want == 400 and any(map(odd, _values(payload)))
    ]
    return bool(found) and all(found)


def _is_nan(value):
    return isinstance(value, float) and value != value


def _far_off(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and (value < -1 or value > 1e6)


def _no_hour(value):
    return isinstance(value, int) and not isinstance(value, bool) and value in (-1, 24)


@door.misconception(
    "the service blames itself for what the sender sent. 5xx means that we are broken: it wakes somebody up and starts rollbacks. The sender's fault is a 4xx, with a reason that helps to repair it.",
    when=lambda seen: any(isinstance(got, int | float) and 500 <= got < 600 for _, got, _ in _sent(seen)),
)
def our_own_fault(payload):
    status, reason = right_door(payload)
    return (500, "something went wrong") if status == 400 else (status, reason)


@door.misconception(
    "every wrong value was let in, as it was or replaced by a plausible one. Someone then gets a confident answer to a question that nobody asked, and the sender's bug stays hidden: refuse, and say why.",
    when=lambda seen: (
        len(_sent(seen)) > 10 and all(got == 200 for _, got, want in _sent(seen) if want == 400)
    ),
)
def default_instead(payload):
    status, reason = right_door(payload)
    return (status, reason) if status == 413 else (200, "ok, with defaults")


@door.misconception(
    "comparisons with NaN were trusted. NaN is never below and never above anything, so it slips through each test for what is wrong: test for what is right.",
    when=lambda seen: _let_in(seen, _is_nan) and not _let_in(seen, _far_off),
)
def nan_slips_through(payload):
    status, reason = right_door(payload)
    return (200, "ok") if status == 400 and any(map(_is_nan, _values(payload))) else (status, reason)


@door.misconception(
    "True went through as the number 1. In Python True is an int, so a switch that a sender mixed up with an hour looks like one o'clock: ask for bool first.",
    when=lambda seen: (
        _bool_hours_let_in(seen) and not any(_let_in(seen, odd) for odd in (_is_nan, _far_off, _no_hour))
    ),
)
def true_is_one(payload):
    status, reason = right_door(payload)
    return (200, "ok") if _bool_hour(payload) else (status, reason)


def _bool_hour(payload):
    rows = payload.get("rows") if isinstance(payload, dict) else None
    return isinstance(rows, list) and any(
        isinstance(row, dict) and isinstance(row.get("hour"), bool) for row in rows
    )


def _bool_hours_let_in(seen):
    found = [got == 200 for payload, got, _ in _sent(seen) if _bool_hour(payload)]
    return bool(found) and all(found)


@door.misconception(
    "the limits themselves were refused. From 50 to 5000 and from 0 to 23 includes both ends, and at most 100 rows includes 100.",
    when=lambda seen: (
        any(got != 200 and _at_a_limit(payload) for payload, got, want in _sent(seen) if want == 200)
        and any(got == 200 and want == 200 for _, got, want in _sent(seen))
        and all(got == 200 or _at_a_limit(payload) for payload, got, want in _sent(seen) if want == 200)
    ),
)
def limits_refused(payload):
    status, reason = right_door(payload)
    return (
        (400, "distance or hour at its limit") if status == 200 and _at_a_limit(payload) else (status, reason)
    )


def _at_a_limit(payload):
    return len(payload["rows"]) == LIMIT or any(
        row["distance"] in (50, 5000) or row["hour"] in (0, 23) for row in payload["rows"]
    )


@door.alternative
def with_exceptions(payload):
    try:
        rows = payload["rows"]
        if type(rows) is not list:
            raise TypeError("rows is no list")
        if len(rows) > LIMIT:
            return 413, "too many rows"
        for row in rows:
            if sorted(row.keys()) != sorted(FIELDS):
                raise ValueError("unknown or missing field")
            for name, low, high in (("distance", 50, 5000), ("hour", 0, 23)):
                if type(row[name]) not in (int, float):
                    raise ValueError(f"{name} is no number")
                if not low <= row[name] <= high:
                    raise ValueError(f"{name} is out of range")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return 400, str(error)
    return 200, "welcome"


door.alternative(right_door)


# -------------------------------------------------------------------------------------- 5.8 the record

RATE, SERVICE = 80.0, Lognormal(0.05, cv=1.0)
NEED_MS = 300.0
SERVER_MONTH, MISSED_MINUTE, MINUTES = 60.0, 2.0, 1800
CHEAP = 620.0


def month_of(servers, runs=30, random_state=None):
    """What a month costs: servers, and the busy minutes in which p99 was above the need.

    Parameters
    ----------
    servers : int, or a Sizing with other options too
    runs : int, minutes of traffic that are drawn around the busiest hour's rate
    random_state : int, Generator or None

    Returns
    -------
    dict : `servers`, `missed` (share of the minutes), `cost` (EUR)
    """
    sizing = servers if isinstance(servers, Sizing) else Sizing(RATE, servers, SERVICE)
    record = Record(
        sizing=dataclasses.replace(sizing, seconds=60.0),
        latency=[Claim(metric="p99", at_most=NEED_MS, unit="ms")],
    )
    replay = replay_record(record, rate=RATE, service=SERVICE, runs=runs, random_state=random_state)
    missed = 1 - float(replay.claims["kept"].iloc[0])
    cost = SERVER_MONTH * sizing.servers + MISSED_MINUTE * MINUTES * missed
    return {"servers": sizing.servers, "missed": round(missed, 3), "cost": round(cost)}


@exercise(
    "5.8",
    "The record",
    answers=("record",),
    points=8,
    minutes=16,
    core=True,
    objective="5.e",
    edition=2,
    kind=Mapping(),
    hints=(
        "Let `draft.lint()` lead you: it goes through the rows and says of each finding what to do. Fill the decisions first, each with a why.",
        "Start with the sizing. `from_sizing(sizing, 'p99', seeds=20)` draws twenty minutes: is the worst of them below 300 ms? With five servers? With six?",
        "The claims of the worked record are a pattern: a metric, a threshold, a unit, evidence. An alert belongs at a value that no quiet minute reaches.",
        "End with `record = draft.to_dict()`, when `draft.lint()` has no findings.",
    ),
)
def record(answer, rng, expect):
    """`record`: the deployment record of the ETA service, as a dict."""
    try:
        held = Record.from_dict(answer)
    except (RecordError, ValueError, TypeError) as error:
        expect.true(False, "it is a deployment record", str(error)[:200])
        return
    findings = held.lint()
    rows = ", ".join(dict.fromkeys(finding.row for finding in findings))
    with expect.defining():
        expect.true(not findings, "lint has no findings", f"{len(findings)} left, see `draft.lint()`: {rows}")
    sizing = held.sizing
    if sizing is None or not 1 <= sizing.servers <= 100 or sizing.batch is not None:
        expect.true(
            False,
            "it is sized for the busiest hour",
            "there is no sizing of 1 to 100 servers, without batches",
        )
        return
    real = sizing.rate >= 0.95 * RATE and abs(sizing.service.mean / SERVICE.mean - 1) < 0.1
    expect.true(
        real,
        "it is sized for the traffic that was measured: 80 requests a second of 50 ms on average",
        f"the sizing says {sizing.rate:g} a second of {1000 * sizing.service.mean:.0f} ms",
    )
    held.sizing = dataclasses.replace(sizing, seconds=60.0)
    replay = replay_record(held, rate=RATE, service=SERVICE, runs=30, random_state=rng)
    month = _month(held.sizing, replay)
    with expect.defining():
        expect.true(
            any(map(_promises_p99, held.latency)),
            "it promises the display's p99, 300 ms in 95 % of the minutes or better",
            "; ".join(f'"{claim}", share {claim.share:g}' for claim in held.latency)
            or "there is no claim on latency",
        )
        expect.true(replay.met, "drawn traffic keeps its promises", replay.reason)
        expect.true(month["cost"] <= CHEAP, f"a month costs at most {CHEAP:.0f} EUR", _bill(month))


def _promises_p99(claim):
    return (
        claim.metric == "p99"
        and claim.at_most is not None
        and claim.unit in ("ms", "s")
        and claim.share >= 0.95
        and claim.at_most * (1 if claim.unit == "ms" else 1000) <= NEED_MS
    )


def _month(sizing, replay):
    """What the drawn minutes say of a month's cost."""
    missed = float((replay.draws["p99"] * 1000 > NEED_MS).mean()) if "p99" in replay.draws else math.inf
    cost = SERVER_MONTH * sizing.servers + MISSED_MINUTE * MINUTES * missed
    return {"servers": sizing.servers, "missed": missed, "cost": cost}


@functools.cache
def _baseline(servers):
    return month_of(servers, random_state=0)


def _bill(month):
    """The costs of a record and of both baselines, in words."""
    if month["cost"] == math.inf:
        return "without a claim on p99 nobody can say what it costs"
    rows = [month, _baseline(4), _baseline(12)]
    names = ("yours", "with 4 servers", "with 12")
    return "; ".join(
        f"{name}: {row['servers']} servers {SERVER_MONTH * row['servers']:,.0f} EUR + "
        f"{row['missed']:.0%} of the busy minutes above 300 ms {MISSED_MINUTE * MINUTES * row['missed']:,.0f} EUR "
        f"= {row['cost']:,.0f} EUR"
        for name, row in zip(names, rows, strict=True)
    ).replace("%", " %")


@record.acceptable
def keeps_the_promise(answer, rng):
    """By the statement alone: no findings, p99 of 300 ms promised, kept by drawn minutes, and the month within 620 EUR."""
    held = Record.from_dict(answer)
    in_ms = {"ms": 1, "s": 1000}
    promised = any(
        claim.metric == "p99"
        and claim.share >= 0.95
        and claim.at_most * in_ms.get(claim.unit, math.inf) <= 300
        for claim in held.latency
        if claim.at_most
    )
    if held.lint() or held.sizing is None or held.sizing.batch or not promised:
        return False
    late = 0
    for _ in range(60):
        arrivals = poisson(RATE * rng.uniform(0.95, 1.05), 60.0, random_state=rng)
        run = simulate(arrivals, SERVICE, held.sizing.servers, random_state=rng)
        late += run.p99 * 1000 > NEED_MS
    return (
        late / 60 <= 0.05
        and SERVER_MONTH * held.sizing.servers + MISSED_MINUTE * MINUTES * late / 60 <= CHEAP
    )


def complete_record(servers=6, *, seeds=20, evidence=True, trigger=True, at_most=295.0, within=5):
    """A record in which everything is right, or one thing is not."""
    sizing = Sizing(RATE, servers, SERVICE, seconds=60)
    proof = _proof(servers, seeds) if evidence else None
    late = Alert("p99", above=2000, unit="ms", minutes=5, tells="eta-oncall rota")
    return Record(
        service="Air time of each departing flight, for the airport display",
        owner="eta-oncall rota",
        scenario=Decision("replace", "The display shows the timetable's time today."),
        baseline="Median air time of the route, off by 8 minutes; it answers when the model cannot.",
        automation=Decision("full automation", "A wrong minute harms nobody; a person sees the display."),
        training=Decision("batch", "Labels come hours later and winds change within weeks: each Sunday."),
        serving=Decision("realtime", "The inputs are known when the plane leaves the gate."),
        place=Decision("cloud", "The display has a line, and the log has to be in one place."),
        compute=Decision("CPU", "A row takes 50 ms.", [_size_claim()]),
        sizing=sizing,
        latency=[Claim(metric="p99", at_most=at_most, unit="ms", evidence=proof)],
        throughput=[Claim(metric="throughput", at_least=RATE, unit="QPS", evidence=_throughput(servers))],
        logging=[Claim(metric="leaks", at_most=0, evidence=_leaks())],
        security=[Claim(metric="refused", at_least=100, unit="%", evidence=_refused())],
        privacy=[Claim(metric="k_anonymity", at_least=5, evidence=_group())],
        rollout=Rollout("canary", steps=(0.05, 0.25, 1.0), minutes=30),
        rollback=Rollback(
            triggers=[late] if trigger else (),
            within=within,
            owner="eta-oncall rota",
            how="set the router's weight of the old version to 100 %",
        ),
        monitoring=[late],
    )


@functools.cache
def _proof(servers, seeds):
    return from_sizing(Sizing(RATE, servers, SERVICE, seconds=60), "p99", seeds=seeds)


@functools.cache
def _throughput(servers):
    return from_sizing(Sizing(RATE, servers, SERVICE, seconds=60), "throughput", seeds=10)


def _size_claim():
    proof = measured(0.5, "MB", "pickle of the fitted model", model="HistGradientBoostingRegressor")
    return Claim(metric="model_bytes", at_most=5, unit="MB", evidence=proof)


def _leaks():
    return from_leaks([{"request_id": "r1", "comment": "gate display frozen"}], names=["Amara"])


def _refused():
    return from_trials([True] * 12, "wrong payloads that were refused")


def _group():
    return measured(366, "", "smallest group by origin", columns=["origin"], source="log")


def _problems(seen):
    return set(Record.from_dict(seen.values["record"]).lint().problems)


def _without_trigger(seen):
    return not Record.from_dict(seen.values["record"]).rollback.triggers


def _findings_of(seen, row):
    return Record.from_dict(seen.values["record"]).lint().of(row)


@record.misconception(
    "a claim stands there without its evidence. 'Fast enough' can be said of anything: simulate, measure or count, and let the claim carry the figure.",
    when=lambda seen: "no evidence" in _problems(seen) or _vague_claim(seen),
)
def without_evidence():
    return complete_record(evidence=False).to_dict()


def _vague_claim(seen):
    held = Record.from_dict(seen.values["record"])
    return bool(held.claims()) and any(claim.threshold is None for _, claim in held.claims())


@record.misconception(
    "nothing starts the way back. Somebody has to notice, at a value that was fixed before the night it happens, and the old version answers again within a stated time.",
    when=lambda seen: _without_trigger(seen) and len(_findings_of(seen, None)) < 6,
)
def no_trigger():
    return complete_record(trigger=False).to_dict()


@record.misconception(
    "one draw of the traffic was believed. The next minute has other arrivals: draw at least ten, and promise what the bad ones keep.",
    when=lambda seen: "one seed" in _problems(seen),
)
def one_seed():
    return complete_record(5, seeds=1, at_most=300.0).to_dict()


@record.misconception(
    "the service was sized for the mean. In too many minutes p99 is above what the display needs: where every server is nearly always busy, chance makes the queue.",
    when=lambda seen: (
        1 <= _servers(seen) <= 5
        and (
            bool({"contradicted", "inconsistent"} & _problems(seen))
            or any(what.startswith("a month") for what in _failed(seen))
        )
    ),
)
def too_tight():
    return complete_record(5, at_most=300.0).to_dict()


@record.misconception(
    "safety was bought by the dozen. Each server costs the whole month, and beyond a certain number p99 does not move: what is left is the service time itself.",
    when=lambda seen: _servers(seen) >= 11 and not _problems(seen),
)
def twice_as_many():
    return complete_record(12).to_dict()


def _servers(seen):
    sizing = Record.from_dict(seen.values["record"]).sizing
    return sizing.servers if sizing else 0


@record.alternative
def with_a_spare():
    return complete_record(7, at_most=300.0).to_dict()


@record.alternative
def in_seconds():
    held = complete_record(6)
    proof = _proof(6, 20)
    held.latency = [
        Claim("99 of 100 within 295 milliseconds", "p99", at_most=0.295, unit="s", evidence=proof),
        Claim(metric="p50", at_most=100, unit="ms", evidence=from_sizing(held.sizing, "p50", seeds=12)),
    ]
    late = held.monitoring[0]
    held.monitoring = [late, Alert("p50", above=400, unit="ms", minutes=10, tells="eta-oncall rota")]
    return held.to_dict()
