"""The display service of lesson 05: a log entry that tells too much, a door that lets too much in, a month of servers."""

import dataclasses

from mlprod_helpers.checklist import Claim, Record, Sizing, replay_record
from mlprod_helpers.queueing import Lognormal

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
    mail = f"{first.lower()}.{last.lower()}@example.org"
    phone = f"+49 151 {rng.integers(1000000, 9999999)}"
    ip = ".".join(str(part) for part in rng.integers(11, 250, 4))
    spoken = str(rng.choice(["called from", "left a number:", "asked to be called at"]))
    revealing = [f"{first} {spoken} {phone}", f"wrote from {mail.upper()}", f"seen by {last} at once"]
    remarks = rng.permutation(["gate display frozen at B7", *revealing[: 3 - number % 2]])
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


RATE, SERVICE = 80.0, Lognormal(0.05, cv=1.0)
NEED_MS = 300.0
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
