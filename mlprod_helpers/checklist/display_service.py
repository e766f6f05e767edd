"""The display service of lesson 05: what was written in a hurry, the course's own parts, its record and its costs."""

import dataclasses
from numbers import Real

from mlprod_helpers.checklist import (
    Alert,
    Claim,
    Decision,
    Record,
    Rollback,
    Rollout,
    Sizing,
    redact,
    replay_record,
)
from mlprod_helpers.checklist.evidence import from_same_runs
from mlprod_helpers.queueing import Lognormal, mmc_percentile

FIRST = ("Amara", "Bogdan", "Chiara", "Dilnoza", "Eirik", "Farida", "Goran", "Hanna")
LAST = ("Okafor", "Petrescu", "Lombardi", "Karimova", "Nordahl", "Haddad", "Kovac", "Virtanen")
UNLISTED = ("seat", "loyalty", "trip", "kin", "wallet", "visa", "meal", "lounge", "bag", "booking")


def draw_entry(rng, number=0):
    """A log entry that tells too much in many places, and the names of the passenger that are in it.

    Entries of different `number` hide their secrets in different ways.

    >>> import numpy as np
    >>> entry, names = draw_entry(np.random.default_rng(0))
    >>> names[0] in entry["comment"]
    True
    """
    first, last = str(rng.choice(FIRST)), str(rng.choice(LAST))
    handle = (f"{first}.{last}", f"{first[:2]}{last[:3]}{rng.integers(10, 99)}")[number % 2]
    mail = f"{handle.lower()}@example.{('org', 'net')[number % 2]}"
    phone = f"+{(49, rng.choice([31, 33, 44]))[number % 2]} 151 {rng.integers(1000000, 9999999)}"
    ip = ".".join(str(part) for part in rng.integers(11, 250, 4))
    spoken = str(rng.choice(["called from", "left a number:", "asked to be called at"]))
    revealing = [f"{first} {spoken} {phone}", f"wrote from {mail.upper()}", f"seen by {last}"]
    remarks = rng.permutation([f"display frozen at {first}ville", *revealing[: 3 - number % 2]])
    if not number:  # whoever masks the first of each kind alone leaves these
        remarks = [*remarks, f"{last} and {first} wait: {phone} or {mail}"]
    secret = {"note": [f"{last}, born {rng.integers(1, 28)}.04.1971", phone]}
    unlisted = [str(rng.choice(UNLISTED)), *(_made_up(rng) for _ in range(2))]
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
        "comment": ", ".join(str(part) for part in remarks) if number != 2 else "gate display frozen at B7",
        "headers": {"agent": "display/2", "forwarded": [ip]},
        unlisted[1]: secret,
        f"{unlisted[2]}_id": int(rng.integers(10, 99)),
    }
    return entry, [first, last]


def _made_up(rng):
    """The name of a field that nobody can have listed."""
    return "".join(str(rng.choice(list(letters))) for letters in ("bdfgklmnprst", "aeiou") * 3)


def leaky_door(payload):
    """The status and the message for a payload by a validation that lets through what it should not.

    >>> leaky_door({"rows": [{"distance": -3, "hour": 5}]})
    (400, 'distance or hour out of range')
    """
    try:
        for row in payload["rows"]:
            if row["distance"] < 0 or row["hour"] > 23:
                return 400, "distance or hour out of range"
        return 200, "ok"
    except Exception:
        return 500, "something went wrong"


def servers_needed(hourly_rates, service_s, target_s):
    """The fewest servers whose p99 meets the target in the busiest hour, for exponential times; 0 if 100 are not enough.

    >>> servers_needed([20, 80, 40], 0.05, 0.3)
    6
    """
    rate = max(hourly_rates)
    meets = (n for n in range(1, 101) if mmc_percentile(99, rate, service_s, n) <= target_s)
    return next(meets, 0)


def safe_entry(entry, key, names):
    """What the log keeps of an entry: enough to find a slow request, and no person. Long flights share one group."""
    kept = redact(
        entry,
        keep=("request_id", "version", "status", "latency_ms"),
        pseudonyms=("user_id",),
        free_text=("comment",),
        key=key,
        names=names,
    )
    return kept | {"features": {"distance": min(entry["features"]["distance"] // 500 * 500, 2000)}}


def door(payload):
    """The status and the reason for what a stranger sent.

    >>> door({"rows": [{"distance": float("nan"), "hour": 9}]})
    (400, 'distance is a number from 50 to 5000')
    """
    rows = payload.get("rows") if isinstance(payload, dict) else None
    if not isinstance(rows, list):
        return 400, "rows is a list"
    if len(rows) > 100:
        return 413, "at most 100 rows"
    for row in rows:
        if not isinstance(row, dict) or set(row) != {"distance", "hour"}:
            return 400, "a row has a distance and an hour, nothing else"
        for name, low, high in (("distance", 50, 5000), ("hour", 0, 23)):
            number = isinstance(row[name], Real) and not isinstance(row[name], bool)
            if not number or not low <= row[name] <= high:
                return 400, f"{name} is a number from {low} to {high}"
    return 200, "ok"


RATE, SERVICE = 80.0, Lognormal(0.05, cv=1.0)
NEED_MS = 300.0
WORST_SEGMENT = 15.0  # minutes of mean error that the display accepts for any airline
OWNER, BACK = "eta-oncall rota", "set the router's weight of the old version to 100%"
SERVER_MONTH, MISSED_MINUTE, MINUTES = 60.0, 2.0, 1800


def month_of(servers, *, random_state=None):
    """What a month costs: `servers`, `missed` (share of the busy minutes with p99 above the need), `cost` (EUR).

    `servers` is a number, or a `Sizing` where other options count too.
    """
    sizing = servers if isinstance(servers, Sizing) else Sizing(RATE, servers, SERVICE)
    record = Record(
        sizing=dataclasses.replace(sizing, seconds=60.0),
        latency=[Claim(metric="p99", at_most=NEED_MS, unit="ms")],
    )
    replay = replay_record(record, rate=RATE, service=SERVICE, runs=30, random_state=random_state)
    missed = 1 - float(replay.claims["kept"].iloc[0])
    cost = SERVER_MONTH * sizing.servers + MISSED_MINUTE * MINUTES * missed
    return {"servers": sizing.servers, "missed": round(missed, 3), "cost": round(cost)}


def eta_record(
    evidence,
    *,
    baseline=...,
    servers=...,
    draws=...,
    p99_ms=...,
    qps=...,
    refused_percent=...,
    smallest_group=...,
    alert_ms=...,
    back_within=...,
):
    """The record of the display service: the decisions are made, and a row whose value is still `...` stays empty.

    Parameters
    ----------
    evidence : dict of Evidence
        `model_bytes`, `leaks`, `refused`, `k_anonymity` and `segment_error`. The simulated figures are drawn here.
    baseline : str
    servers, draws : int
        Servers of the busiest hour; minutes of traffic that prove the promises.
    p99_ms, qps, refused_percent, smallest_group : float
        Thresholds of the promises; `qps` is what all servers together can answer in a second while they are busy.
    alert_ms, back_within : float
        The p99 (ms) above which the alert fires; minutes until the old version answers again.

    Returns
    -------
    Record
    """
    record = Record(
        service="Air time of each departing flight, for the airport display",
        owner=OWNER,
        scenario=Decision("replace", "The display shows the timetable's time today."),
        baseline="" if baseline is ... else baseline,
        automation=Decision("full automation", "A wrong minute harms nobody, and people see the plane."),
        training=Decision("batch", "Labels come after hours, winds change within weeks: each Sunday."),
        serving=Decision("realtime", "The inputs are known when the plane leaves the gate."),
        place=Decision("cloud", "The display has a line, and all logs have to be in one place."),
        compute=Decision(
            "CPU", "A row takes 50 ms on one core.", [_proven(evidence, "model_bytes", at_most=10, unit="MB")]
        ),
        logging=[_proven(evidence, "leaks", at_most=0)],
        fairness=[_proven(evidence, "segment_error", at_most=WORST_SEGMENT, unit="min")],
        rollout=Rollout("canary", steps=(0.05, 0.25, 1.0), minutes=30),
    )
    if refused_percent is not ...:
        record.security = [_proven(evidence, "refused", at_least=refused_percent, unit="%")]
    if smallest_group is not ...:
        record.privacy = [_proven(evidence, "k_anonymity", at_least=smallest_group)]
    if servers is not ...:
        record.sizing = Sizing(RATE, servers, SERVICE, seconds=60.0)
        p99, throughput = _drawn(record.sizing, draws)
        if p99_ms is not ...:
            record.latency = [Claim(metric="p99", at_most=p99_ms, unit="ms", evidence=p99)]
        if qps is not ...:
            record.throughput = [Claim(metric="throughput", at_least=qps, unit="QPS", evidence=throughput)]
    if alert_ms is not ...:
        record.monitoring = [Alert("p99", above=alert_ms, unit="ms", minutes=5, tells=OWNER)]
    if ... not in (alert_ms, back_within):
        record.rollback = Rollback(record.monitoring, back_within, OWNER, BACK)
    return record


def _proven(evidence, metric, **threshold):
    return Claim(metric=metric, evidence=evidence[metric], **threshold)


def _drawn(sizing, draws):
    """The evidence for p99 and for the throughput; None for each while nobody says how many minutes to draw."""
    return (None, None) if draws is ... else from_same_runs(sizing, ("p99", "throughput"), draws)
