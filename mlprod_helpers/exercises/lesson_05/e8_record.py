"""Exercise 5.8, The record."""

import functools
import math

from mlprod_helpers.checklist import RecordError, from_leaks, from_trials, measured, replay_record
from mlprod_helpers.checklist.display_service import (
    MINUTES,
    MISSED_MINUTE,
    NEED_MS,
    RATE,
    SERVER_MONTH,
    SERVICE,
    eta_record,
    month_of,
)
from mlprod_helpers.lesson.contract import Number, Text, exercise
from mlprod_helpers.queueing import poisson, simulate

CHEAP = 620.0

KINDS = {
    "baseline": Text(),
    "servers": Number(low=1, high=100, integer=True),
    "draws": Number(low=1, high=100, integer=True),
    "p99_ms": Number(),
    "qps": Number(),
    "refused_percent": Number(),
    "smallest_group": Number(),
    "alert_ms": Number(),
    "back_within": Number(),
}

EVIDENCE = {
    "model_bytes": measured(0.5, "MB", "pickle of the fitted model", model="HistGradientBoostingRegressor"),
    "leaks": from_leaks([{"request_id": "r1", "comment": "gate display frozen"}], names=["Amara"]),
    "refused": from_trials([True] * 5, "wrong payloads that were refused"),
    "segment_error": measured(12.5, "min", "worst airline of two weeks", rows=1242, source="log"),
    "k_anonymity": measured(78, "", "smallest group by distance", columns=["distance"], source="log"),
}


def _record(values):
    """The record that an answer's values (name -> value) make."""
    return _filled(*(values[name] for name in KINDS))


# The check and each note ask for the same record, and drawing its minutes takes long.
@functools.lru_cache(maxsize=4)
def _filled(*values):
    return eta_record(EVIDENCE, **dict(zip(KINDS, values, strict=True)))


@exercise(
    "5.8",
    "The record",
    answers=tuple(KINDS),
    points=8,
    minutes=16,
    objective="5.e",
    edition=3,
    kind=tuple(KINDS.values()),
    hints=(
        "Fill in some values and run the cell. `lint` checks each row and says what to do about each finding.",
        "Start with the servers: the formula gave a first number. Is the worst of 20 drawn minutes below 300 ms with five servers? With six?",
        "Promise no more than what holds in the drawn minutes. Set the alert to a value that none of these minutes reaches, at most 10 times the promise.",
        "You are done when `lint` has no findings and a month costs at most 620 EUR. Each server costs 60 EUR.",
    ),
)
def record(answer, rng, expect):
    """The values of the deployment record of the display service."""
    try:
        held = _record({name: getattr(answer, name) for name in KINDS})
    except (RecordError, ValueError, TypeError) as error:
        expect.true(False, "the values make a deployment record", str(error)[:200])
        return
    findings = held.lint()
    with expect.defining():
        expect.true(not findings, "lint has no findings", _told(findings))
    replay = replay_record(held, rate=RATE, service=SERVICE, runs=30, random_state=rng)
    month = _month(held.sizing, replay)
    promise = held.latency[0]
    with expect.defining():
        expect.true(
            promise.at_most <= NEED_MS,
            "it promises a p99 of 300 ms or less",
            f"`p99_ms` is {promise.at_most:g}",
        )
        expect.true(replay.met, "its promises hold for new random traffic", replay.reason)
        cheap = month["cost"] <= CHEAP
        expect.true(cheap, f"a month costs at most {CHEAP:.0f} EUR", "" if cheap else _bill(month))


def _told(findings):
    """How many findings there are, and the first of them."""
    return f"{len(findings)} left, see `record.lint()`. The first: {findings[0]}" if findings else ""


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
    rows = [month, _baseline(4), _baseline(12)]
    names = ("yours", "with 4 servers", "with 12")
    return "; ".join(
        f"{name}: {row['servers']} servers {SERVER_MONTH * row['servers']:,.0f} EUR + "
        f"{row['missed']:.0%} of the busy minutes above 300 ms {MISSED_MINUTE * MINUTES * row['missed']:,.0f} EUR "
        f"= {row['cost']:,.0f} EUR"
        for name, row in zip(names, rows, strict=True)
    )


@record.acceptable
def keeps_the_promise(answer, rng):
    """By the statement alone: no findings, p99 of 300 ms promised, both promises kept by drawn minutes, a month within 620 EUR."""
    held = _record({name: getattr(answer, name) for name in KINDS})
    if held.lint() or answer.p99_ms > 300 or answer.qps < 80 or not 0 < answer.back_within <= 60:
        return False
    late = slow = too_few = 0
    for _ in range(60):
        arrivals = poisson(RATE * rng.uniform(0.95, 1.05), 60.0, random_state=rng)
        run = simulate(arrivals, SERVICE, answer.servers, random_state=rng)
        late += run.p99 * 1000 > NEED_MS
        slow += run.p99 * 1000 > answer.p99_ms
        too_few += answer.servers / run.service.mean() < answer.qps
    cost = SERVER_MONTH * answer.servers + MISSED_MINUTE * MINUTES * late / 60
    return max(slow, too_few) / 60 <= 0.05 and cost <= CHEAP


def right_values(**change):
    """Values with which everything is right, or those of `change` are not."""
    right = {
        "baseline": "Median air time of the route, off by 8 minutes; it answers when the model cannot.",
        "servers": 6,
        "draws": 20,
        "p99_ms": 300.0,
        "qps": 80.0,
        "refused_percent": 100.0,
        "smallest_group": 5,
        "alert_ms": 2000.0,
        "back_within": 5,
    }
    return right | change


def _problems(seen):
    return set(_findings(seen).problems)


def _findings(seen):
    return _record(seen.values).lint()


def _failed(seen):
    return {what for what, ok, *_ in seen.verdicts if not ok}


@record.misconception(
    "you relied on too few minutes of traffic. The next minute has other arrivals, and its p99 may be much larger. Draw at least ten, and promise only what holds in the worst one.",
    when=lambda seen: "one seed" in _problems(seen),
)
def one_minute():
    return right_values(draws=1)


@record.misconception(
    "you chose a threshold that even a bad service meets, so the promise or the alert is meaningless. Read the findings called weak, and compare each threshold with its evidence.",
    when=lambda seen: "weak" in _problems(seen) and "contradicted" not in _problems(seen),
)
def weak_thresholds():
    return right_values(refused_percent=50, smallest_group=1)


@record.misconception(
    "your alert fires in minutes in which nothing is wrong. People soon ignore such an alert, and here it starts a rollback as well. Move it above the worst drawn minute.",
    when=lambda seen: any("fires in" in finding.message for finding in _findings(seen)),
)
def nervous_alert():
    return right_values(alert_ms=200.0)


@record.misconception(
    "you sized the service so that every server is nearly always busy. Then a queue builds up whenever many requests arrive at once, and p99 is above 300 ms in too many minutes. Add a server and draw again.",
    when=lambda seen: (
        seen.values["servers"] <= 5
        and (
            bool({"contradicted", "inconsistent"} & _problems(seen))
            or any(what.startswith("a month") for what in _failed(seen))
        )
    ),
)
def too_tight():
    return right_values(servers=5)


@record.misconception(
    "you bought more servers than the promise needs. Each costs 60 EUR a month, and beyond a certain number p99 hardly changes, because only the service time is left. Take servers away until the month is cheap enough.",
    when=lambda seen: seen.values["servers"] >= 11 and not _problems(seen),
)
def twice_as_many():
    return right_values(servers=12)


@record.misconception(
    "you promised more than 300 ms. The display shows a new flight within 300 ms, so a slower answer comes too late. Lower `p99_ms`, and add servers if the drawn minutes break the new promise.",
    when=lambda seen: seen.values["p99_ms"] > NEED_MS and not _problems(seen),
)
def too_slow_a_promise():
    return right_values(p99_ms=500.0)


@record.misconception(
    "you promised to answer fewer requests per second than arrive in the busiest hour. `qps` does not say how many arrive in a quiet minute, but how many the servers can answer.",
    when=lambda seen: -math.inf < seen.values["qps"] < RATE,
)
def quiet_minute():
    return right_values(qps=76.0)


@record.misconception(
    "you promised more answers per second than the servers can give. A request takes 50 ms on average, so a server that is always busy answers about 20 requests a second.",
    when=lambda seen: 1.05 * seen.values["servers"] / SERVICE.mean < seen.values["qps"] < math.inf,
)
def beyond_all_servers():
    return right_values(qps=150.0)


@record.misconception(
    "you gave the error of today's solution, but no fallback. When the model fails, the display still has to show something. Add to `baseline` what it shows.",
    when=lambda seen: any("names no fallback" in finding.message for finding in _findings(seen)),
)
def no_fallback():
    return right_values(baseline="Median air time of the route, off by 8 minutes.")


@record.misconception(
    "you promised that the old version answers again at once. Switching back takes time, so nobody can keep a promise of 0 minutes. Say how long it takes at most.",
    when=lambda seen: seen.values["back_within"] == 0,
)
def back_at_once():
    return right_values(back_within=0)


@record.alternative
def with_a_spare():
    return right_values(servers=7, p99_ms=295, draws=30, alert_ms=1000, smallest_group=20, back_within=15)


@record.alternative
def more_is_promised():
    fallback = "The timetable's air time, off by 14 minutes. Fallback: the timetable."
    return right_values(servers=7, qps=100, draws=12, baseline=fallback, back_within=0.5)
