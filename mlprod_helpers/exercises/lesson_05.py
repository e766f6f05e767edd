"""Exercises of lesson 05, deployment checklist: from a queue to a record whose promises are replayed."""

import dataclasses
import functools
import hashlib
import hmac
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
from mlprod_helpers.queueing import Lognormal, mmc, mmc_percentile, plan_capacity

EDITION = 1


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
    """(curve, target): a measured capacity curve with noise, which crosses the target and dips below it once more."""
    capacity = float(rng.uniform(60, 160))
    rate = np.round(np.linspace(0.1, 1.15, 16) * capacity, 1)
    load = np.minimum(rate / capacity, 0.985)
    mean = 0.03 / (1 - load**3) * rng.uniform(0.97, 1.03, len(rate))
    p99 = 4.6 * mean * rng.uniform(0.9, 1.1, len(rate))
    p99 = np.maximum.accumulate(p99)
    at = int(rng.integers(9, 12))  # the first rate that misses the target
    target = round(float((p99[at - 1] + p99[at]) / 2), 4)
    p99[at] = target * 1.1
    p99[at + 1] = target * 0.93  # a lucky run
    p99[at + 2 :] = np.maximum(p99[at + 2 :], target * 1.3)
    curve = pd.DataFrame(
        {"rate": rate, "throughput": np.minimum(rate, capacity).round(1), "mean": mean, "p99": p99}
    )
    return curve, target


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
    kind=Function("curve", "target", returns=Number(low=0)),
    hints=(
        "Walk along the curve from the left. Where does it go above the target for the first time?",
        "The rate before that is the answer. What lies further right may look fine again: one lucky run.",
        "`missed = curve['p99'] > target`, and `missed.cummax()` stays True from the first miss on.",
    ),
)
def safe_rate(answer, rng, expect):
    """`safe_rate(curve, target)`: the highest rate up to which every p99 meets the target."""
    for number in range(3):
        curve, target = draw_curve(rng)
        expect.close(
            answer(curve, target), highest_safe(curve, target), f"curve {number + 1}, target {target:.3f} s"
        )
    calm = curve.iloc[:6].reset_index(drop=True)
    expect.close(
        answer(calm, 10.0), float(calm["rate"].iloc[-1]), "a curve that stays below the target to its end"
    )
    expect.equal(answer(curve, float(curve["p99"].min()) / 2), 0.0, "a target that no rate meets: 0")


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


def draw_day(rng, busiest):
    """24 hourly rates with a quiet night and one busiest hour."""
    hours = np.arange(24)
    shape = 0.5 + 0.3 * np.cos(2 * np.pi * (hours - 18) / 24)
    rates = shape * busiest * rng.uniform(0.9, 1.05, 24)
    rates[int(rng.integers(15, 21))] = busiest
    return [round(float(rate), 1) for rate in rates]


@functools.cache
def _sizings():
    """(rate, service, target, servers) in which no wrong way of counting hits the right number."""
    found = []
    for rate in range(30, 130, 7):
        for service in (0.04, 0.05, 0.08, 0.1):
            for stretch in (4.8, 5.2, 5.8, 6.5):
                servers = fewest_servers(rate, service, round(stretch * service, 3))
                target = round(stretch * service, 3)
                p99 = mmc_percentile(99, rate, service, servers)
                before = mmc_percentile(99, rate, service, servers - 1)
                mean = math.ceil(rate * service) + 1
                clear = p99 < 0.96 * target and before > 1.06 * target
                if clear and servers > mean and servers > fewest_servers(0.75 * rate, service, target):
                    found.append((rate, service, target))
    return found


@exercise(
    "5.3",
    "How many servers?",
    answers=("servers_needed",),
    points=5,
    minutes=9,
    core=True,
    objective="5.b",
    kind=Function("hourly_rates", "service_s", "target_s", returns=Number(low=0, integer=True)),
    hints=(
        "Which of the 24 hours decides? And from how many servers on does the queue not grow for ever?",
        "Begin with the fewest servers that keep up, and add one until `mmc_percentile(99, rate, service_s, servers)` meets the target.",
        "No wait at all is the best that servers can buy: what is p99 then? `mmc_percentile(99, rate, service_s, 1000)` tells. Above the target: 0.",
    ),
)
def servers_needed(answer, rng, expect):
    """`servers_needed(hourly_rates, service_s, target_s)`: the fewest servers whose p99 meets the target in the busiest hour."""
    cases = _sizings()
    for at in rng.choice(len(cases), size=4, replace=False):
        rate, service, target = cases[int(at)]
        expect.equal(
            answer(draw_day(rng, float(rate)), service, target),
            fewest_servers(rate, service, target),
            f"busiest hour {rate} a second, {1000 * service:.0f} ms each, p99 within {1000 * target:.0f} ms",
        )
    expect.equal(answer([0.2] * 24, 0.05, 1.0), 1, "a service that hardly anybody asks")
    expect.equal(answer(draw_day(rng, 40.0), 0.1, 0.4), 0, "100 ms on average, p99 within 400 ms: 0")


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
    "the mean latency was held against the target. It was promised to 99 of 100, and the slow ones are several times slower than the mean."
)
def mean_latency(hourly_rates, service_s, target_s):
    rate = max(hourly_rates)
    servers = math.floor(rate * service_s) + 1
    while mmc(rate, service_s, servers).latency > target_s:
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
    for servers in range(1, 60):
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

CASE = (
    "devices",
    "requests_per_s",
    "peak_per_s",
    "seconds_per_request",
    "busy",
    "machine_hour",
    "payload_kb",
    "gb_price",
    "model_mb",
    "updates_per_month",
    "line_mbit_s",
)


def draw_case(rng):
    """Prices, traffic and a model; the number of machines is not near a step."""
    rate = float(rng.integers(5, 40))
    machines = int(rng.integers(3, 9))
    seconds = round(float(rng.uniform(0.02, 0.06)), 3)
    peak = round((machines - 0.5) * 0.7 / seconds, 1)
    return dict(
        zip(
            CASE,
            (
                float(rng.integers(20, 400) * 1000),
                min(rate, round(0.4 * peak, 1)),
                peak,
                seconds,
                0.7,
                round(float(rng.uniform(0.1, 0.9)), 2),
                float(rng.integers(2, 40)),
                round(float(rng.uniform(0.05, 0.12)), 2),
                float(rng.integers(5, 120)),
                float(rng.integers(1, 5)),
                float(rng.choice([8, 16, 20, 50, 100])),
            ),
            strict=True,
        )
    )


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
    for number in range(3):
        case = draw_case(rng)
        cloud, edge, load = answer(dict(case))
        want = costs(case)
        for got, right, what in zip((cloud, edge, load), want, ("cloud", "edge", "first load"), strict=True):
            expect.close(got, right, f"case {number + 1}: {what}")


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
_UNLISTED = ("seat_neighbor", "loyalty", "trip", "kin")


def draw_entry(rng, number=0):
    """(entry, names): a log entry that tells too much, in many places."""
    first, last = str(rng.choice(_FIRST)), str(rng.choice(_LAST))
    mail = f"{first.lower()}.{last.lower()}@example.org"
    phone = f"+49 151 {rng.integers(1000000, 9999999)}"
    ip = ".".join(str(part) for part in rng.integers(11, 250, 4))
    spoken = ["called from", "left a number:", "asked to be called at"][int(rng.integers(3))]
    entry = {
        "request_id": f"r{rng.integers(10_000, 99_999)}",
        "version": f"v{rng.integers(1, 9)}",
        "status": 200,
        "latency_ms": round(float(rng.uniform(5, 400)), 1),
        "user_id": int(rng.integers(100_000, 999_999)),
        "features": {
            "distance": int(rng.integers(100, 4900)),
            "carrier": str(rng.choice(["UA", "DL", "B6"])),
            "passenger": {"name": f"{first} {last}", "mail": mail},
        },
        "comment": f"gate display frozen, {first} {spoken} {phone}, wrote from {mail.upper()}",
        "headers": {"agent": "display/2", "forwarded": [ip]},
        str(rng.choice(_UNLISTED)): {"note": [f"{last}, born {rng.integers(1, 28)}.04.1971", phone]},
    }
    return entry, [first, last]


def entry_key(rng):
    """A key for this check."""
    return rng.bytes(32)


def _text_of(entry):
    return json.dumps(entry, default=str)


@exercise(
    "5.6",
    "A log without people",
    answers=("safe_entry",),
    points=5,
    minutes=10,
    objective="5.d",
    kind=Function("entry", "key", "names", returns=Mapping()),
    hints=(
        "Begin with an empty dict and put in what is allowed. Who begins with the entry and takes things out forgets the field that comes next month.",
        "`pseudonym(user_id, key)` for the user, `coarse(distance, 100)` for the distance, `mask(comment, names=names)` for the comment.",
        "Inside `features` only distance and carrier are allowed: build that inner dict anew as well.",
    ),
)
def safe_entry(answer, rng, expect):
    """`safe_entry(entry, key, names)`: what the log may keep."""
    key, other_key = entry_key(rng), entry_key(rng)
    leaks, kept, coarsened, words, plain = [], True, True, True, False
    for number in range(3):
        entry, names = draw_entry(rng, number)
        got = answer(entry, key, names)
        hunted = [*names, str(entry["user_id"])]
        leaks += [trace.kind for trace in find_personal(got, names=hunted)]
        leaks += ["unlisted field" for name in (*_UNLISTED, "headers") if name in got]
        kept &= all(
            got.get(name) == entry[name] for name in ("request_id", "version", "status", "latency_ms")
        )
        features = got.get("features")
        features = features if isinstance(features, dict) else {}
        coarsened &= features.get("distance") == entry["features"]["distance"] // 100 * 100
        coarsened &= features.get("carrier") == entry["features"]["carrier"]
        words &= "gate display frozen" in str(got.get("comment"))
        plain |= _reversible(got, entry["user_id"])
    again = dict(draw_entry(rng)[0], user_id=entry["user_id"])
    same = answer(again, key, names).get("user_id")
    stranger = answer(dict(entry, user_id=entry["user_id"] - 1), key, names).get("user_id")
    elsewhere = answer(entry, other_key, names).get("user_id")
    kinds = ", ".join(sorted(set(leaks)))
    told = f"{len(leaks)} place{'s' if len(leaks) != 1 else ''} where a person can be found ({kinds})"
    expect.true(not leaks, "no name, mail, phone, address, user id or unlisted field is left", told)
    expect.true(kept, "request_id, version, status and latency_ms are as they were")
    expect.true(coarsened, "features has the distance in hundreds, and the carrier")
    expect.true(words, "the harmless words of the comment are still there")
    expect.true(
        got.get("user_id") is not None and same == got["user_id"] != stranger,
        "one user has one stand-in, another user another",
    )
    expect.true(
        not plain and got.get("user_id") is not None and elsewhere != got["user_id"],
        "nobody without the key can find the user id from the stand-in",
        "there is none" if got.get("user_id") is None else "it can be computed from the id alone",
    )


def _reversible(got, user_id):
    """Whether a plain hash of the id stands in the entry."""
    text = _text_of(got)
    return any(
        hashlib.new(name, str(user_id).encode()).hexdigest()[:8] in text
        for name in ("md5", "sha1", "sha256", "sha512")
    )


def _failed(seen):
    return {what for what, ok, *_ in seen.verdicts if not ok}


def _leak_lines(seen):
    return any(what.startswith("no name") for what in _failed(seen))


def _only_outputs(seen):
    return [output for output in seen.outputs if isinstance(output, dict)]


def _comment_kept(seen):
    return (
        _leak_lines(seen)
        and bool(_only_outputs(seen))
        and all("@" in str(output.get("comment", "")) for output in _only_outputs(seen))
    )


@safe_entry.misconception(
    "nearly everything was dropped. Nobody can find the slow request in an empty log: keep what a colleague needs at night, and nothing else.",
    when=lambda seen: len(_failed(seen)) >= 3 and not _leak_lines(seen),
)
def empty_log(entry, key, names):
    return {"request_id": entry["request_id"]}


@safe_entry.misconception(
    "keys were looked at, and texts were not. The mail address and the phone number stood inside the comment, where no key announces them.",
    when=_comment_kept,
)
def key_list(entry, key, names):
    personal = {"name", "mail", "passenger", "headers", "kin", "seat_neighbor", "loyalty", "trip"}
    kept = {name: value for name, value in entry.items() if name not in personal}
    features = {name: entry["features"][name] for name in ("distance", "carrier")}
    features["distance"] = coarse(features["distance"], 100)
    return kept | {"features": features, "user_id": pseudonym(entry["user_id"], key)}


@safe_entry.misconception(
    "fields were taken out by name. The next release adds a field that is not on your list, and it leaks from the first day: list what may stay instead.",
    when=lambda seen: (
        _leak_lines(seen) and any(set(output) & {*_UNLISTED, "headers"} for output in _only_outputs(seen))
    ),
)
def block_list(entry, key, names):
    kept = {name: value for name, value in entry.items() if name != "headers"}
    features = {
        "distance": coarse(entry["features"]["distance"], 100),
        "carrier": entry["features"]["carrier"],
    }
    comment = mask(entry["comment"], names=names)
    return kept | {"features": features, "comment": comment, "user_id": pseudonym(entry["user_id"], key)}


@safe_entry.misconception(
    "the user id was hashed without the key. There are a million ids: whoever has the log hashes them all in a second and looks yours up. A keyed hash, or nothing.",
    when=lambda seen: (
        any(what.startswith("nobody without") for what in _failed(seen))
        and any(output.get("user_id") is not None for output in _only_outputs(seen))
    ),
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
        {"distance": round(float(rng.uniform(80, 4900)), 1), "hour": int(rng.integers(0, 24))}
        for _ in range(n)
    ]


def draw_payloads(rng):
    """what -> (payload, status, text that the reason names)."""
    cases = {"three good rows": (_rows(rng), 200, ""), "no row at all": ([], 200, "")}

    def broken(what, status=400, names="", **change):
        rows = _rows(rng)
        rows[int(rng.integers(len(rows)))].update(change)
        cases[what] = (rows, status, names)

    broken("a distance below 0", names="distance", distance=-float(rng.integers(1, 900)))
    broken("a distance that is NaN", names="distance", distance=float("nan"))
    broken("an infinite distance", names="distance", distance=float("inf"))
    broken("a distance of True", names="distance", distance=True)
    broken("a distance that is a text", names="distance", distance=str(rng.integers(200, 900)))
    broken("hour 24", names="hour", hour=24)
    broken("hour -1", names="hour", hour=-1)
    broken("a field nobody knows", carrier_code="UA")
    rows = _rows(rng)
    del rows[-1]["hour"]
    cases["a row without its hour"] = (rows, 400, "")
    cases["one row too many"] = ([{"distance": 700.0, "hour": 9}] * (LIMIT + 1), 413, "")
    cases = {what: ({"rows": rows}, *rest) for what, (rows, *rest) in cases.items()}
    cases["a payload without rows"] = ({"flights": _rows(rng)}, 400, "")
    cases["a payload that is a list"] = ([1, 2], 400, "")
    return cases


@exercise(
    "5.7",
    "Debug the door",
    answers=("door",),
    points=4,
    minutes=8,
    objective="5.d",
    kind=Function("payload", returns=Several(Number(integer=True), Text(), names=("status", "reason"))),
    hints=(
        "Send the five payloads of the cell above through `leaky_door` by hand, and ask of each 200: what would the model have answered?",
        "NaN is neither below 50 nor above 5000: ask for what is right, `50 <= value <= 5000`, and refuse the rest.",
        "`isinstance(True, int)` is True in Python: ask for `bool` first. And count the rows before you look at the first one.",
    ),
)
def door(answer, rng, expect):
    """`door(payload)`: (status, reason)."""
    for what, (payload, status, names) in draw_payloads(rng).items():
        got, reason = answer(payload)
        told = "the reason names the field" if got == status else _status_words(got, status)
        expect.true(got == status and names in reason, f"{what}: {status}", told)


def _status_words(got, want):
    if got == want:
        return ""
    if want != 200 and got == 200:
        return "it is let in"
    return f"the status is {got}"


def _statuses(seen):
    return [output[0] for output in seen.outputs if isinstance(output, tuple | list) and len(output) == 2]


@door.misconception(
    "the service blames itself for what the sender sent. 5xx means that we are broken: it wakes somebody up and starts rollbacks. The sender's fault is a 4xx, with a reason that helps to repair it.",
    when=lambda seen: 500 in _statuses(seen),
)
def our_own_fault(payload):
    status, reason = right_door(payload)
    return (500, "something went wrong") if status == 400 else (status, reason)


@door.misconception(
    "wrong values were replaced by plausible ones. Someone then gets a confident answer to a question that nobody asked, and the sender's bug stays hidden: refuse, and say why.",
    when=lambda seen: len(_statuses(seen)) > 10 and all(status in (200, 413) for status in _statuses(seen)),
)
def default_instead(payload):
    status, reason = right_door(payload)
    return (status, reason) if status == 413 else (200, "ok, with defaults")


@door.misconception(
    "comparisons with NaN were trusted. NaN is never below and never above anything, so it slips through each test for what is wrong: test for what is right.",
    when=lambda seen: (
        any("NaN" in what and not ok for what, ok, *_ in seen.verdicts) and not _true_passes(seen)
    ),
)
def nan_slips_through(payload):
    if isinstance(payload, dict) and isinstance(payload.get("rows"), list) and len(payload["rows"]) <= LIMIT:
        for row in payload["rows"]:
            if isinstance(row, dict) and row.get("distance") != row.get("distance"):
                return 200, "ok"
    return right_door(payload)


def _true_passes(seen):
    return any("True" in what and not ok for what, ok, *_ in seen.verdicts)


@door.misconception(
    "True went through as the number 1. In Python True is an int, so a switch that a sender mixed up with a distance looks like one mile: ask for bool first.",
    when=_true_passes,
)
def true_is_one(payload):
    if isinstance(payload, dict) and isinstance(payload.get("rows"), list) and len(payload["rows"]) <= LIMIT:
        for row in payload["rows"]:
            if isinstance(row, dict) and row.get("distance") is True:
                return 200, "ok"
    return right_door(payload)


@door.alternative
def with_exceptions(payload):
    try:
        rows = payload["rows"]
        if len(rows) > LIMIT:
            return 413, "too many rows"
        for row in rows:
            if sorted(row) != sorted(FIELDS):
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
    expect.true(not findings, "lint has no findings", f"{len(findings)} left: {rows}")
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
        real, "it is sized for the traffic that was measured", "80 requests a second of 50 ms on average"
    )
    promised = any(
        claim.metric == "p99"
        and claim.at_most is not None
        and claim.unit in ("ms", "s")
        and claim.share >= 0.95
        and claim.meets(1.0, "s") is not None
        and claim.at_most * (1 if claim.unit == "ms" else 1000) <= NEED_MS
        for claim in held.latency
    )
    expect.true(promised, "it promises the display's p99, 300 ms in 95 % of the minutes or better")
    held.sizing = dataclasses.replace(sizing, seconds=60.0)
    replay = replay_record(held, rate=RATE, service=SERVICE, runs=30, random_state=rng)
    expect.true(replay.met, "drawn traffic keeps its promises", replay.reason)
    month = _month(held.sizing, replay)
    low, high = _baseline(4), _baseline(12)
    expect.true(
        month <= CHEAP,
        f"a month costs at most {CHEAP:.0f} EUR (4 servers: {low:,}, 12 servers: {high:,})",
        f"it costs {month:,.0f}" if month < math.inf else "without a claim on p99 nobody can say",
    )


def _month(sizing, replay):
    if "p99" not in replay.draws:
        return math.inf
    missed = float((replay.draws["p99"] * 1000 > NEED_MS).mean())
    return SERVER_MONTH * sizing.servers + MISSED_MINUTE * MINUTES * missed


@functools.cache
def _baseline(servers):
    return month_of(servers, random_state=0)["cost"]


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
    when=lambda seen: bool(_findings_of(seen, "rollback")) and len(_findings_of(seen, None)) < 6,
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
