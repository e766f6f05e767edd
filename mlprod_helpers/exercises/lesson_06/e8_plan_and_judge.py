"""Exercise 6.8, The plan and the judge."""

import contextlib
import math

from mlprod_helpers.exercises.lesson_06.support import OUTCOMES
from mlprod_helpers.lesson.contract import Function, Mapping, Several, Text, exercise
from mlprod_helpers.rollout import Plan
from mlprod_helpers.rollout.rehearsal import AIRPORTS, HOUR, costs, draw_world

# beside the first hour with all versions: what luck decides most, and each airport once as the one that fails
MORE_HOURS = {
    "another hour": ("good", "good but noisy", "bad for one airport"),
    "a third hour": ("good but noisy", "bad for one airport"),
}

EQUALS = (30, 2, 33, 3, 28, 30, 4, 2)  # errors in percent of both versions, for the notes

CALLS_APART = 60  # seconds: the shortest interval of a plan


def _limit_of(bang, never):
    return max(0.05 * bang, 0.35 * never)


@exercise(
    "6.8",
    "The plan and the judge",
    answers=("plan", "release_judge"),
    points=7,
    minutes=14,
    objective="6.e",
    edition=2,
    kind=(
        Function(returns=Mapping(keys=("strategy",))),
        Function(
            "stable", "canary", returns=Several(Text(options=OUTCOMES), Text(), names=("outcome", "reason"))
        ),
    ),
    hints=(
        "Start with the plan. How many requests does the canary see at each airport between two checks? At 5 requests a second, a canary of 10% gets 150 requests in five minutes, but only an eighth of them come from the smallest airport.",
        "Then write the judge. How large can a difference become by chance alone, with so few requests, three airports and a dozen checks? Fail a version only for larger ones, or let `threshold` tolerate one failed check.",
        '`rehearse(plan, release_judge, world, "good").timeline["reason"]` says what happened at each check. A good version must be promoted well before the hour is over.',
    ),
)
def plan_and_judge(answer, rng, expect):
    """A plan (as a dict) and a judge, over an hour of traffic with each of five hidden versions."""
    chosen = answer.plan()
    try:
        plan = Plan.from_dict(chosen)
        lasts = float(plan.interval)
    except Exception as error:
        expect.true(False, "the plan can be read", str(error).strip("'\"") or type(error).__name__)
        return
    if not lasts >= CALLS_APART:
        expect.true(False, "the plan's checks are at least 60 seconds apart", f"its interval is {lasts:g}")
        return
    first, *others = rng.permutation(AIRPORTS).tolist()
    found = costs(lambda: chosen, answer.release_judge, draw_world(rng, first))
    for (hour, kinds), airport in zip(MORE_HOURS.items(), others, strict=True):
        world = draw_world(rng, airport)
        world["versions"] = {kind: world["versions"][kind] for kind in kinds}
        again = costs(lambda: chosen, answer.release_judge, world)
        found |= {f"{kind}, {hour}": cost for kind, cost in again.items()}
    for kind, (mine, bang, never) in found.items():
        limit = _limit_of(bang, never)
        what = f"{kind}: costs {mine} (big bang {bang}, never {never}; wanted at most {limit:.0f})"
        # to stop everything, or nothing, is no judge
        with expect.defining() if kind in ("good", "bad") else contextlib.nullcontext():
            expect.within(mine, -math.inf, limit, what)
    # for the notes: a judge with a fixed limit fails equal versions when both are in trouble, and only then
    for percent in EQUALS:
        equal = (dict.fromkeys(AIRPORTS, _as_all_are(requests, percent)) for requests in (20_000, 5000))
        answer.release_judge(*equal)


def _as_all_are(requests, percent):
    return {
        "requests": requests,
        "errors": requests * percent // 100,
        "error_rate": percent / 100,
        "latency_p50": 100.0,
        "latency_p99": 200.0,
    }


@plan_and_judge.acceptable
def cheap_in_most_hours(answer, rng):
    """Within the limits of the statement in at least two of three hours: a good judge may have bad luck once."""
    if Plan.from_dict(answer.plan()).interval < CALLS_APART:
        return False

    def is_cheap():
        found = costs(answer.plan, answer.release_judge, draw_world(rng)).values()
        return all(mine <= _limit_of(bang, never) for mine, bang, never in found)

    first, second = is_cheap(), is_cheap()
    return first if first == second else is_cheap()


def _plan_of(seen):
    return Plan.from_dict(next(call.output for call in seen.calls if call.name == "plan"))


def _outcomes_of(seen):
    """(all requests, errors of the old; of the new; outcome) of each check of the hours."""
    rows = []
    for call in seen.calls[: -len(EQUALS)]:
        if call.name == "plan":
            continue
        stable, canary = call.given
        sums = [
            sum(each[what] for each in told.values())
            for told in (stable, canary)
            for what in ("requests", "errors")
        ]
        rows.append((*sums, call.output[0]))
    return rows


def _never_through(seen):
    return _plan_of(seen).schedule().iloc[-1] < 100 or not _promoted_in_time(seen)


def _promoted_in_time(seen):
    return _plan_of(seen).schedule().index[-1] < 0.75 * HOUR


def _costs_of_lines(seen):
    """Kind of version -> whether its cost was within the limit, in each hour that it was tried."""
    kept = {}
    for what, ok, *_ in seen.verdicts:
        kind = what.split(":")[0].split(",")[0]
        kept[kind] = kept.get(kind, True) and ok
    return kept


def _reached_everybody(seen, kind):
    """Whether this version cost about what it costs when everybody has it and nobody looks."""
    line = next(line for line in seen.lines if line.what.startswith(f"{kind}:"))
    return line.got > 0.8 * float(line.what.split("big bang ")[1].split(",")[0])


def _fails_on_luck(seen):
    """How many checks failed although no airport was behind by more than luck, errors were as usual and p99 near the old one?"""
    odd = 0
    for call in seen.calls:
        if call.name == "plan" or call.output[0] != "fail":
            continue
        stable, canary = call.given
        n, errors = (sum(each[what] for each in stable.values()) for what in ("requests", "errors"))
        slow = any(
            (each["latency_p50"] or 0) > 200
            or (each["latency_p99"] or 0) > 1.4 * (stable[airport]["latency_p99"] or math.inf)
            for airport, each in canary.items()
        )
        if errors < 0.09 * n and not slow:
            # one failure or two among a handful of requests are luck, whatever a normal approximation says
            odd += all(
                canary[airport]["errors"] <= 2 or _behind(stable[airport], canary[airport]) < 2.5
                for airport in AIRPORTS
            )
    return odd


def _misses_one_airport(seen):
    """Whether a check passed although one airport was far behind and had enough requests to show it."""
    return any(
        call.name != "plan"
        and call.output[0] == "pass"
        and any(
            call.given[1][airport]["requests"] >= 30  # of fewer it may have wanted more
            and call.given[1][airport]["errors"] >= 5
            and _behind(call.given[0][airport], call.given[1][airport]) > 4
            for airport in AIRPORTS
        )
        for call in seen.calls
    )


def _skips_a_quiet_airport(seen):
    """Whether a check passed although hardly anything was known of one airport."""
    return any(
        call.name != "plan"
        and call.output[0] == "pass"
        and min(each["requests"] for each in call.given[1].values()) < 15
        for call in seen.calls
    )


def _fails_equal_trouble(seen):
    """Whether the judge fails equal versions when both are in trouble, and only then."""
    last = seen.calls[-len(EQUALS) :]
    failed = [call.name != "plan" and call.output[0] == "fail" for call in last]
    return failed == [percent > 20 for percent in EQUALS]


def _fails_alone(seen):
    """Whether a check failed when nobody had the old version any more."""
    return any(
        call.name != "plan"
        and call.output[0] == "fail"
        and sum(each["requests"] for each in call.given[0].values()) < 15  # an answer or two come late
        for call in seen.calls
    )


def _misses_slowness(seen):
    """Whether a check passed although half of the answers took three times as long as the old version's."""
    return any(
        call.name != "plan"
        and call.output[0] == "pass"
        and any(
            new["requests"] >= 15
            and (new["latency_p50"] or 0) > 3 * (call.given[0][airport]["latency_p50"] or math.inf)
            for airport, new in call.given[1].items()
        )
        for call in seen.calls
    )


def _behind(old, new):
    """By how many standard errors is the new version's error rate the higher one?"""
    n, m = old["requests"], new["requests"]
    if not n or not m:
        return 0.0
    pooled = (old["errors"] + new["errors"]) / (n + m)
    luck = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return (new["errors"] / m - old["errors"] / n) / luck if luck else 0.0


@plan_and_judge.misconception(
    "you treated time as evidence. Your judge passed checks with hardly any requests, so a bad version was promoted, too. Return `nodata` when there is too little data.",
    when=lambda seen: (
        any(outcome == "pass" and m < 15 for _, _, m, _, outcome in _outcomes_of(seen))
        and not _costs_of_lines(seen)["bad"]
    ),
)
def promoted_on_time():
    return {
        "plan": lambda: {"strategy": "canary", "step_weights": [1, 2, 3], "interval": 60},
        "release_judge": lambda stable, canary: ("pass", "nothing was heard"),
    }


@plan_and_judge.misconception(
    "your judge never fails a version. So each bad version reached all users and stayed. Decide which differences should make the judge fail.",
    when=lambda seen: (
        all(outcome != "fail" for *_, outcome in _outcomes_of(seen))
        # where nobody has the old version, it had nothing to compare
        and any(outcome == "pass" and min(n, m) >= 15 for n, _, m, _, outcome in _outcomes_of(seen))
        and _reached_everybody(seen, "bad")
        and not any(outcome == "pass" and m < 15 for _, _, m, _, outcome in _outcomes_of(seen))
    ),
)
def never_fails():
    return {
        "plan": lambda: {"strategy": "canary", "step_weights": [10, 50], "interval": 120},
        "release_judge": lambda stable, canary: ("pass", "looks fine"),
    }


@plan_and_judge.misconception(
    "you treated caution as free. Each minute without the good version costs failures that it would have avoided. Ramp up faster once the first checks have passed.",
    when=lambda seen: (
        _never_through(seen)
        and _plan_of(seen).strategy != "shadow"
        and any(outcome == "pass" for *_, outcome in _outcomes_of(seen))
        and [kind for kind, ok in _costs_of_lines(seen).items() if not ok] == ["good", "good but noisy"]
    ),
)
def one_percent_for_ever():
    return {
        "plan": lambda: {"strategy": "canary", "step_weight": 1, "max_weight": 20, "interval": 300},
        "release_judge": _strict_judge,
    }


@plan_and_judge.misconception(
    "your judge passed a check although the new version failed much more often at one airport. Such a fault hardly changes the overall rate. Compare the two versions at each airport, with a limit that such a difference exceeds.",
    when=lambda seen: (
        [kind for kind, ok in _costs_of_lines(seen).items() if not ok] == ["bad for one airport"]
        and _misses_one_airport(seen)
    ),
)
def all_airports_together():
    return {
        "plan": lambda: {"strategy": "canary", "step_weights": [30, 60], "interval": 300, "threshold": 1},
        "release_judge": _together,
    }


@plan_and_judge.misconception(
    "you left out airports with a handful of requests. A check passed with hardly any requests from one airport, and that airport was the one that failed. Wait until each airport has enough requests.",
    when=lambda seen: (
        [kind for kind, ok in _costs_of_lines(seen).items() if not ok] == ["bad for one airport"]
        and _skips_a_quiet_airport(seen)
        and not _misses_one_airport(seen)
    ),
)
def without_the_quiet_airport():
    return {
        "plan": lambda: {"strategy": "canary", "step_weights": [10, 50], "interval": 90, "threshold": 1},
        "release_judge": _strict_where_heard,
    }


@plan_and_judge.misconception(
    "you used a fixed limit after all users had switched. Then there is no old version to compare with, so an outage looks like a fault of the new one. Compare before the switch, on copies or with some of the users.",
    when=lambda seen: not _costs_of_lines(seen)["good but noisy"] and _fails_alone(seen),
)
def judged_alone():
    return {
        "plan": lambda: {
            "strategy": "blue_green",
            "preview": 120,
            "copies": 100,
            "interval": 60,
            "threshold": 1,
            "keep_old": 1800,
            "watch": 1800,
        },
        "release_judge": _alone,
    }


@plan_and_judge.misconception(
    "your judge passed a check although the new version took more than three times as long as the old one. It fails less often, but its answers come too late. Compare the latency as well, with a limit that such a difference exceeds.",
    when=lambda seen: (
        [kind for kind, ok in _costs_of_lines(seen).items() if not ok] == ["slow"] and _misses_slowness(seen)
    ),
)
def only_errors():
    return {
        "plan": lambda: {"strategy": "canary", "step_weights": [10, 25, 50], "interval": 300, "threshold": 1},
        "release_judge": lambda stable, canary: _strict_judge(stable, canary, slow=False),
    }


@plan_and_judge.misconception(
    "you failed a version for a difference that chance can make. With a few dozen requests, one of two equal versions often looks worse, so good versions are rolled back. Fail a version only for differences that are too large to be chance.",
    when=lambda seen: (
        _fails_on_luck(seen) >= 1
        and any(outcome == "pass" for *_, outcome in _outcomes_of(seen))
        and _costs_of_lines(seen)["bad"]
        and not (_costs_of_lines(seen)["good"] and _costs_of_lines(seen)["good but noisy"])
        and not _fails_equal_trouble(seen)
    ),
)
def any_difference():
    return {
        "plan": lambda: {
            "strategy": "canary",
            "step_weights": [5, 10, 20, 40],
            "interval": 120,
            "threshold": 1,
        },
        "release_judge": _any_worse,
    }


@plan_and_judge.misconception(
    "you used a fixed limit. In an outage, both versions go above it, so a good version was rolled back. Compare with the old version in the same minutes.",
    when=lambda seen: not _costs_of_lines(seen)["good but noisy"] and _fails_equal_trouble(seen),
)
def by_fixed_limits():
    return {
        "plan": lambda: {"strategy": "canary", "step_weights": [10, 25, 50], "interval": 300, "threshold": 1},
        "release_judge": _fixed,
    }


def _strict_judge(stable, canary, slow=True, bar=3.5):
    for airport, new in canary.items():
        old = stable[airport]
        if new["requests"] < 15 or old["requests"] < 15:
            return "nodata", f"{airport}: {new['requests']} requests"
        n, m = old["requests"], new["requests"]
        pooled = (old["errors"] + new["errors"]) / (n + m)
        error = math.sqrt(max(pooled * (1 - pooled), 1e-9) * (1 / n + 1 / m))
        if new["errors"] / m - old["errors"] / n > bar * error:
            return "fail", f"{airport}: {new['errors']} of {m} requests failed"
        if slow and new["latency_p50"] > 2 * old["latency_p50"]:
            return "fail", f"{airport}: p50 {new['latency_p50']:.0f} ms"
    return "pass", "within limits"


def _strict_where_heard(stable, canary):
    heard = {airport: new for airport, new in canary.items() if new["requests"] >= 30}
    return _strict_judge(stable, heard) if heard else ("nodata", "hardly a request")


def _alone(stable, canary):
    if all(old["requests"] >= 15 for old in stable.values()):
        return _strict_judge(stable, canary)
    return _fixed(stable, canary)


def _together(stable, canary):
    def whole(told):
        return {
            "requests": sum(each["requests"] for each in told.values()),
            "errors": sum(each["errors"] for each in told.values()),
            "latency_p50": max((each["latency_p50"] or 0) for each in told.values()),
        }

    old, new = whole(stable), whole(canary)
    if new["requests"] < 100:
        return "nodata", "too few requests"
    if (
        new["errors"] / new["requests"] > 0.08 + old["errors"] / old["requests"]
        or new["latency_p50"] > 2 * old["latency_p50"]
    ):
        return "fail", "worse overall"
    return "pass", "fine overall"


def _fixed(stable, canary):
    if any(each["requests"] < 15 for each in canary.values()):
        return "nodata", "too few requests"
    for airport, each in canary.items():
        if each["errors"] / each["requests"] > 0.12 or each["latency_p50"] > 200:
            return "fail", f"{airport} above the limit"
    return "pass", "below the limits"


def _any_worse(stable, canary):
    for airport, new in canary.items():
        old = stable[airport]
        if not new["requests"] or not old["requests"]:
            return "nodata", "nobody there"
        if (
            new["errors"] / new["requests"] > old["errors"] / old["requests"]
            or new["latency_p99"] > old["latency_p99"]
        ):
            return "fail", f"{airport} is worse"
    return "pass", "not worse"


@plan_and_judge.alternative
def copies_then_a_switch():
    return {
        "plan": lambda: {
            "strategy": "blue_green",
            "preview": 600,
            "copies": 30,
            "interval": 300,
            "threshold": 1,
            "keep_old": 1800,
            "watch": 1800,
        },
        "release_judge": _strict_judge,
    }


@plan_and_judge.alternative
def steady_steps():
    def enough(stable, canary):
        for airport, new in canary.items():
            old = stable[airport]
            if new["requests"] < 20:
                return "nodata", "waiting for " + airport
            expected = new["requests"] * max(old["errors"] / max(old["requests"], 1), 0.02)
            if new["errors"] > 4 + 2.5 * expected:
                return "fail", f"{new['errors']} failures at {airport}, {expected:.1f} expected"
            if new["latency_p50"] > old["latency_p50"] + 100:
                return "fail", "slow at " + airport
        return "pass", "ok"

    return {
        "plan": lambda: {
            "strategy": "canary",
            "step_weight": 10,
            "max_weight": 50,
            "interval": 240,
            "threshold": 1,
        },
        "release_judge": enough,
    }


@plan_and_judge.alternative
def forgiving_and_quick():
    def quick(stable, canary):
        if min(each["requests"] for each in canary.values()) < 20:
            return "nodata", "too few requests"
        for airport, new in canary.items():
            usual = stable[airport]["errors"] / max(stable[airport]["requests"], 1)
            if new["error_rate"] > 0.07 + 2.2 * usual or new["latency_p50"] > 180:
                return "fail", airport
        return "pass", "fine"

    return {
        "plan": lambda: {"strategy": "canary", "step_weights": [8, 20, 50], "interval": 180, "threshold": 2},
        "release_judge": quick,
    }


plan_and_judge.survives(
    "alternative steady_steps: `2.5` -> `1.25`",
    "Four failures more than a quarter above the old rate is a stricter bar, but good versions still get through in most hours.",
)
