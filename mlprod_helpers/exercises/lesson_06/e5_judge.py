"""Exercise 6.5, Write the judge."""

import numpy as np

from mlprod_helpers.exercises.lesson_06.support import OUTCOMES
from mlprod_helpers.lesson.contract import Function, Several, Text, exercise
from mlprod_helpers.rollout.rehearsal import AIRPORTS


def _told(requests, errors=0, p99=200.0):
    """The summary of one airport."""
    return {"requests": requests, "errors": errors, "latency_p99": p99 if requests else None}


def _near(rng, requests, error=0.02, p99=200.0):
    """A summary whose error rate and p99 are near what is said."""
    errors = round(requests * error * rng.uniform(0.985, 1.015))
    return _told(requests, errors, round(p99 * float(rng.uniform(0.95, 1.05)), 1))


def _pair(rng, odd=None, *, airports=AIRPORTS, n=1200, old=(0.02, 200.0), new=None, first=None):
    """(stable, canary) of these airports, each in an order of its own; `odd` is airport -> (summary of stable or None, of canary)."""
    odd, new = odd or {}, new or old
    names = sorted(rng.permutation(airports).tolist(), key=lambda airport: airport == first)
    stable, canary = {}, {}
    for airport in names:
        before, after = odd.get(airport, (None, None))
        stable[airport] = before or _near(rng, 10 * n, *old)
        canary[airport] = after or _near(rng, n, *new)
    order = sorted(rng.permutation(names).tolist(), key=lambda airport: airport != first)
    return stable, {airport: canary[airport] for airport in order}


@exercise(
    "6.5",
    "Write the judge",
    answers=("judge",),
    points=5,
    minutes=9,
    objective="6.c",
    edition=2,
    kind=Function(
        "stable", "canary", returns=Several(Text(options=OUTCOMES), Text(), names=("outcome", "reason"))
    ),
    hints=(
        "Go through the airports one by one. What do you want to know before you compare two rates?",
        "The three outcomes have an order. If any airport fails, the version fails. Otherwise, if any airport has too little data, the judge waits. The version passes only if neither is the case.",
        "Compare `canary[airport]` with `stable[airport]`, not with a fixed number. In an outage both error rates are high.",
    ),
)
def judge(answer, rng, expect):
    """`judge(stable, canary)` -> (outcome, reason), from summaries by airport."""
    one, other, third = rng.permutation(AIRPORTS).tolist()
    few = int(rng.integers(20, 60))
    outage = float(rng.uniform(0.3, 0.45))
    big, small = _near(rng, 40_000), _near(rng, 6000)  # a small airport: the mean of all does not show it
    fails = small, _told(150, int(rng.integers(9, 14)))
    slow = small, _told(150, 0, round(float(rng.uniform(550, 900)), 1))  # beyond 2.5 times the old one, too
    best = {"old": (0.05, 200.0), "new": (0.004, 150.0)}
    more = ["ATL", "Den Haag", "SFO-2", "Boston", "lhr", "GIG", "Oslo"][: int(rng.integers(6, 8))]
    p99 = 2.0 * int(rng.integers(40, 80))  # even, so that 1.5 times is whole

    with expect.defining():
        told = _pair(rng, {one: fails, other: (big, _near(rng, 9000))})
        _says(expect, answer, told, "fail", "it fails at one small airport alone", names=[one])
        told = _pair(rng, {one: (small, _told(few, 1))})
        _says(expect, answer, told, "nodata", f"one airport has {few} requests, the others are fine")
        _says(expect, answer, _pair(rng), "pass", "as good as the old version")
        told = _pair(rng, old=(outage, 200.0))
        _says(expect, answer, told, "pass", "an outage that hits both versions equally")
    _says(expect, answer, _pair(rng, **best), "pass", "better than the old version")
    told = _pair(rng, airports=more, new=(float(rng.uniform(0.07, 0.1)), 200.0))
    _says(expect, answer, told, "fail", f"worse at each of {len(more)} airports", names=more)
    told = _pair(rng, {one: slow, other: (big, _near(rng, 9000))})
    _says(expect, answer, told, "fail", "slow at one small airport, without an error", names=[one])
    told = _pair(rng, {one: fails, other: slow}, first=third)
    _says(expect, answer, told, "fail", "two of three airports fail", names=(one, other))
    told = _pair(rng, {one: (small, _told(150, 12, 600.0)), other: (big, _near(rng, 9000))})
    _says(expect, answer, told, "fail", "more errors and slow at one small airport", names=[one])
    told = _pair(rng, {one: (small, _told(150, 3, 80.0))})
    _says(expect, answer, told, "pass", "less than half the old p99 at one small airport")
    nobody = {airport: (None, _told(0)) for airport in AIRPORTS}
    _says(expect, answer, _pair(rng, nobody), "nodata", "no request of the new version at all")
    for first, when in ((one, "after"), (other, "before")):
        told = _pair(rng, {one: (small, _told(few, few // 2, 900.0)), other: fails}, first=first)
        what = f"one airport fails and comes {when} another where half of {few} requests fail"
        _says(expect, answer, told, "fail", what, names=[other])
    told = _pair(rng, {one: (small, _told(few, few // 2, 900.0))})
    _says(expect, answer, told, "nodata", f"half of the {few} requests of one airport fail")
    told = _pair(rng, {one: (small, _told(few, few, 900.0))})
    _says(expect, answer, told, "nodata", f"all {few} requests of one airport fail")
    told = _pair(rng, {one: (_told(1000, 0), _told(100, 3))})
    _says(expect, answer, told, "fail", "3 errors of 100, before none", names=[one])
    stable, canary = _pair(rng, {more[1]: fails}, airports=[*more, one])
    canary[more[1]] = canary.pop(more[1])
    what = f"{len(more) + 1} airports, and the last one fails"
    _says(expect, answer, (stable, canary), "fail", what, names=[more[1]])
    # the new version meets the bad airport more often than the old one: each is as before, their mean is not
    mixed = {one: (_told(20_000, 200), _told(200, 2)), other: (_told(2_000, 200), _told(2_000, 200))}
    _says(
        expect,
        answer,
        _pair(rng, mixed, first=other),
        "pass",
        "another mix of airports, and each is as before",
    )
    told = _pair(rng, {one: (_told(1000, 0), _told(100, 2)), other: (_told(1000, 0), _told(1000, 20))})
    _says(expect, answer, told, "pass", "100 requests, exactly 2 points more errors")
    told = _pair(rng, {one: (_told(20_000, 200), _told(2000, 61))})
    _says(expect, answer, told, "fail", "2.05 points more errors", names=[one])
    told = _pair(rng, {one: (_told(20_000, 200), _told(2000, 59))})
    _says(expect, answer, told, "pass", "1.95 points more errors")
    many = int(rng.integers(360, 440))  # 2% of the errors, or of the other requests, are no 2 points
    told = _pair(rng, {one: (_told(1000, many), _told(1000, many + 17))}, old=(outage, 200.0))
    _says(expect, answer, told, "pass", "an outage, and 1.7 points more errors")
    told = _pair(rng, {one: (_told(1000, many), _told(1000, many + 23))}, old=(outage, 200.0))
    _says(expect, answer, told, "fail", "an outage, and 2.3 points more errors", names=[one])
    exact = _told(1000, 20, p99), _told(100, 2, 1.5 * p99)
    _says(expect, answer, _pair(rng, {one: exact}), "pass", "p99 exactly 1.5 times the old one")
    # neither rounded ms nor a rounded ratio will do
    after = _told(1000, 20, 1.5 * p99 + 1.2)
    told = _pair(rng, {one: (_told(1000, 20, p99 + 0.9), after)})
    _says(expect, answer, told, "pass", "p99 a little less than 1.5 times the old one")
    told = _pair(rng, {one: (_told(1000, 20, p99 + 0.6), after)})
    _says(expect, answer, told, "fail", "p99 a little more than 1.5 times the old one", names=[one])
    told = _pair(rng, {one: (_told(1000, 20), _told(99, 30, 999.0)), third: (small, _told(100, 1))})
    _says(expect, answer, told, "nodata", "99 requests are too few, 100 are enough")


def _says(expect, answer, told, want, what, names=()):
    """One verdict; the reason of a failure names at least one airport that fails, and no other."""
    outcome, reason = answer(*told)
    named = [airport for airport in told[0] if airport in reason]
    ok = outcome == want and (want != "fail" or set() < set(named) <= set(names))
    why = f'your judge says "{outcome}"'
    if outcome == want:
        why = (
            f"the reason names {', '.join(named) or 'no airport'}: name at least one that fails, and no other"
        )
    expect.true(ok, what, f"{why}. {_summary_of(*told)}")


def _summary_of(stable, canary):
    """Both summaries in a line, for the feedback."""
    return "; ".join(
        f"{airport}: {_in_words(stable[airport])} before, {_in_words(new)} now"
        for airport, new in canary.items()
    )


def _in_words(each):
    n, p99 = each["requests"], each["latency_p99"]
    return f"{each['errors']} errors of {n}, p99 {p99:g} ms" if n else "no requests"


def _judge_cases(rng):
    """Summaries that the statement allows, the smallest and the ties first."""
    visible = {"JFK": _told(360, 7, 212.0)}
    yield visible, visible
    yield visible, {"JFK": _told(0)}
    yield {"A": _told(1000, 0), "B": _told(1000, 0)}, {"B": _told(100, 2), "A": _told(99, 99)}
    yield {"A": _told(1000, 0), "B": _told(1000, 0)}, {"B": _told(100, 3), "A": _told(99, 99)}
    for p99 in (150.0, 150.5):
        yield {"A": _told(400, 40, 100.0)}, {"A": _told(400, 40, p99)}
    yield {"A": _told(100, 100)}, {"A": _told(100, 100)}
    for _ in range(60):
        names = [f"{letter}XX" for letter in "ABCDEFG"[: rng.integers(1, 8)]]
        usual = float(rng.uniform(0, 0.4))
        canary, stable = {}, {}
        for name in rng.permutation(names).tolist():
            stable[name] = _near(rng, int(rng.integers(100, 20_000)), usual)
            n = int(rng.choice([0, 50, 99, 100, 101, 400, 2000], p=[0.03, 0.04, 0.03, 0.1, 0.1, 0.4, 0.3]))
            worse = min(usual + rng.choice([0.0, 0.01, 0.03, 0.3], p=[0.7, 0.1, 0.1, 0.1]), 1.0)
            slower = 200 * rng.choice([0.5, 1.0, 1.4, 1.7, 3.0], p=[0.2, 0.5, 0.2, 0.05, 0.05])
            canary[name] = _near(rng, n, worse, slower) if n else _told(0)
        yield {name: stable[name] for name in names}, canary


@judge.acceptable
def judge_by_the_statement(answer, rng):
    for stable, canary in _judge_cases(rng):
        heard = [airport for airport, new in canary.items() if new["requests"] >= 100]
        fails = [
            airport
            for airport in heard
            if canary[airport]["errors"] / canary[airport]["requests"]
            > stable[airport]["errors"] / stable[airport]["requests"] + 0.02
            or canary[airport]["latency_p99"] > 1.5 * stable[airport]["latency_p99"]
        ]
        outcome, reason = answer(stable, canary)
        want = "fail" if fails else "nodata" if len(heard) < len(canary) else "pass"
        named = [airport for airport in canary if airport in reason]
        if outcome != want or (fails and not (named and set(named) <= set(fails))):
            return False
    return True


def _verdict(stable, canary, *, needed=100, margin=0.02, ratio=1.5, empty="nodata", absolute=None):
    waiting = ""
    for airport in canary:
        old, new = stable[airport], canary[airport]
        if new["requests"] < needed:
            waiting = waiting or f"{airport}: {new['requests']} requests, {needed} needed"
            continue
        rate = new["errors"] / new["requests"]
        usual = old["errors"] / old["requests"] + margin if absolute is None else absolute
        if rate > usual:
            return "fail", f"{airport}: {rate:.1%} of the requests fail, the limit is {usual:.1%}"
        if ratio and new["latency_p99"] > ratio * old["latency_p99"]:
            return "fail", f"{airport}: p99 {new['latency_p99']} ms, before {old['latency_p99']} ms"
    return (empty, waiting) if waiting else ("pass", "all airports within limits")


def _explained(seen, wrong, least=0.6):
    """Whether what this answer got wrong is what `wrong` gets wrong, and at least this share of that."""
    mine = theirs = 0
    for call in seen.calls:
        right, said, mistake = _verdict(*call.given)[0], call.output[0], wrong(*call.given)[0]
        if said not in (right, mistake):
            return False
        mine += said != right
        theirs += mistake != right
    return mine > 0 and mine >= least * theirs


def _blamed_for_an_outage(call):
    stable, _ = call.given
    return call.output[0] == "fail" and all(old["errors"] > 0.25 * old["requests"] for old in stable.values())


@judge.misconception(
    'you counted missing data as a pass. An airport without traffic gives no evidence, so a version that nobody has judged is promoted. Return "nodata" while an airport has fewer than 100 requests.',
    when=lambda seen: _explained(seen, empty_passes),
)
def empty_passes(stable, canary):
    return _verdict(stable, canary, empty="pass")


@judge.misconception(
    "you added up all airports. A fault at one small airport hardly changes the overall rate. Compare the two versions at each airport.",
    when=lambda seen: _explained(seen, overall_mean, least=0.9),
)
def overall_mean(stable, canary):
    def whole(told):
        n = sum(each["requests"] for each in told.values())
        slow = [each["latency_p99"] for each in told.values() if each["requests"]]
        return {
            "all": {
                "requests": n,
                "errors": sum(each["errors"] for each in told.values()),
                "latency_p99": float(np.median(slow)) if slow else None,
            }
        }

    return _verdict(whole(stable), whole(canary))


@judge.misconception(
    "you used a fixed limit. When the network is down, both versions fail equally often, and the release is not the cause. Compare with the old version at the same airport.",
    when=lambda seen: _explained(seen, by_a_fixed_limit) and any(map(_blamed_for_an_outage, seen.calls)),
)
def by_a_fixed_limit(stable, canary):
    return _verdict(stable, canary, absolute=0.05)


@judge.misconception(
    "you looked only at errors. A version can be slow without a single failure. Compare `latency_p99` as well.",
    when=lambda seen: _explained(seen, errors_only),
)
def errors_only(stable, canary):
    return _verdict(stable, canary, ratio=None)


@judge.misconception(
    'you stopped at the first airport with too few requests. Another airport may have failed already, and that is enough. Look at all airports before you return "nodata".',
    when=lambda seen: _explained(seen, waits_first),
)
def waits_first(stable, canary):
    if any(each["requests"] < 100 for each in canary.values()):
        return "nodata", "some airport has too few requests"
    return _verdict(stable, canary)


@judge.misconception(
    "you waited only while no airport had enough data. Then a version passes although it was not judged at some airports. If none fails, wait as long as any airport has fewer than 100 requests.",
    when=lambda seen: _explained(seen, any_data_will_do),
)
def any_data_will_do(stable, canary):
    if all(each["requests"] < 100 for each in canary.values()):
        return "nodata", "too few requests"
    outcome, reason = _verdict(stable, canary)
    return ("pass" if outcome == "nodata" else outcome), reason or "fine"


@judge.misconception(
    "you failed a version because of an airport with few requests. With so few requests, a high error rate can be chance. An airport with fewer than 100 requests does not count yet, whatever it shows.",
    when=lambda seen: _explained(seen, convicts_on_few),
)
def convicts_on_few(stable, canary):
    failing = {
        airport: new for airport, new in canary.items() if new["requests"] and _worse(stable[airport], new)
    }
    if failing:
        return "fail", next(iter(failing))
    return _verdict(stable, canary)


def _worse(old, new):
    return (
        new["errors"] / new["requests"] - old["errors"] / old["requests"] > 0.02
        or new["latency_p99"] > 1.5 * old["latency_p99"]
    )


@judge.alternative
def by_outcomes(stable, canary):
    found = {}
    for airport, new in canary.items():
        old = stable[airport]
        if new["requests"] < 100:
            found[airport] = "nodata"
        else:
            worse = new["errors"] / new["requests"] - old["errors"] / old["requests"] > 0.02
            found[airport] = "fail" if worse or new["latency_p99"] / old["latency_p99"] > 1.5 else "pass"
    outcome = next(each for each in ("fail", "nodata", "pass") if each in found.values())
    return outcome, outcome + " at " + " and ".join(a for a, each in found.items() if each == outcome)


@judge.alternative
def with_pandas(stable, canary):
    import pandas as pd

    old = pd.DataFrame(stable).T.astype(float)
    new = pd.DataFrame(canary).T.astype(float).loc[old.index]
    enough = new["requests"] >= 100
    worse = (new["errors"] / new["requests"]) > (old["errors"] / old["requests"]) + 0.02
    slow = new["latency_p99"] > 1.5 * old["latency_p99"]
    failed = list(new.index[enough & (worse | slow)])
    if failed:
        return "fail", ", ".join(failed)
    return ("pass", "fine") if enough.all() else ("nodata", "waiting for " + ", ".join(new.index[~enough]))
