"""Exercise 5.8, The record."""

import dataclasses
import functools
import math

from mlprod_helpers.checklist import (
    Alert,
    Claim,
    Decision,
    Record,
    RecordError,
    Rollback,
    Rollout,
    Sizing,
    from_leaks,
    from_sizing,
    from_trials,
    measured,
    replay_record,
)
from mlprod_helpers.checklist.display_service import (
    MINUTES,
    MISSED_MINUTE,
    NEED_MS,
    RATE,
    SERVER_MONTH,
    SERVICE,
    month_of,
)
from mlprod_helpers.lesson.contract import Mapping, exercise
from mlprod_helpers.queueing import poisson, simulate


def _failed(seen):
    return {what for what, ok, *_ in seen.verdicts if not ok}


CHEAP = 620.0


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


def _refused():
    return from_trials([True] * 12, "wrong payloads that were refused")


def _group():
    return measured(366, "", "smallest group by origin", columns=["origin"], source="log")


def _problems(seen):
    return set(_findings(seen).problems)


def _without_trigger(seen):
    return not Record.from_dict(seen.values["record"]).rollback.triggers


def _findings(seen):
    return Record.from_dict(seen.values["record"]).lint()


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
    when=lambda seen: _without_trigger(seen) and len(_findings(seen)) < 6,
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


def _leaks():
    return from_leaks([{"request_id": "r1", "comment": "gate display frozen"}], names=["Amara"])
