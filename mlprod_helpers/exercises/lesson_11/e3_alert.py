"""Exercise 11.3, Decide what deserves attention."""

from mlprod_helpers.lesson.contract import Function, Mapping, Text, exercise

EXPLAINED = ("requests", "distance_mean", "late_reviews")
RULES = {
    "requests": {"bad": "both", "severity": "page"},
    "failed_share": {"bad": "up", "severity": "page"},
    "latency_p95": {"bad": "up", "severity": "page"},
    "error_mean": {"bad": "up", "severity": "page"},
    "distance_mean": {"bad": "both", "severity": "ticket"},
    "late_reviews": {"bad": "up", "severity": "ticket"},
    "labels_share": {"bad": "down", "severity": "ticket"},
    "error_bias": {"bad": "both", "severity": "ticket"},
    "missing_share": {"bad": "up", "severity": "ticket"},
    "wind": {"bad": "", "severity": "ticket"},
}


def _truth(out, rules, open_alerts, calendar):
    explained = EXPLAINED if calendar else ()
    return {
        name: rules[name]["severity"]
        for name, side in out.items()
        if name not in explained
        and name not in open_alerts
        and rules[name]["bad"] in ("both", "up" if side == "high" else "down")
    }


def _shuffled(rng, mapping):
    names = list(mapping)
    return {names[i]: mapping[names[i]] for i in rng.permutation(len(names))}


@exercise(
    "11.3",
    "Decide what deserves attention",
    answers=("alert",),
    points=4,
    minutes=6,
    objective="11.b",
    kind=Function(
        "out",
        "rules",
        "open_alerts",
        "calendar",
        returns=Mapping(values=Text(options=("page", "ticket"))),
    ),
    hints=(
        "Begin with all metrics of `out`, and remove those that one of the rules excludes.",
        'For a side of "high", the metric must be bad in the direction "up" or "both".',
        'The calendar explains three metrics only, and only if it is not "". All other metrics are reported on a long weekend too.',
    ),
)
def alert(answer, rng, expect):
    """`alert(out, rules, open_alerts, calendar)`: metric -> "page" or "ticket"."""
    rules = _shuffled(rng, RULES)
    for name in rng.permutation(list(RULES))[:3].tolist():  # the severity is read, not known by heart
        rules[name] = rules[name] | {"severity": str(rng.choice(["page", "ticket"]))}
    high = _shuffled(rng, {"failed_share": "high", "error_mean": "high", "missing_share": "high"})
    low = _shuffled(
        rng, {"failed_share": "low", "labels_share": "low", "error_bias": "low", "latency_p95": "low"}
    )
    harmless = {"labels_share": "high", "wind": "high", "error_mean": "low", "late_reviews": "high"}
    weekend = _shuffled(rng, dict.fromkeys(EXPLAINED, "high") | {"error_mean": "high", "labels_share": "low"})
    some = rng.permutation(list(high))[:2].tolist()
    cases = (
        ((high, rules, [], ""), "three metrics are too high"),
        ((low, rules, [], ""), "low values are bad for some metrics only"),
        ((harmless | {"wind": "low"}, rules, [], ""), "unusual on the good side, or good on both"),
        ((weekend, rules, [], "long weekend"), "a long weekend explains three metrics, not the others"),
        ((weekend, rules, [], ""), "the same values on an ordinary day"),
        ((high, rules, some, ""), "two of three alerts are open already"),
        ((dict.fromkeys(EXPLAINED, "low"), rules, ["error_mean"], "long weekend"), "everything is explained"),
        (({}, rules, [], ""), "nothing is unusual"),
    )
    for number, (given, what) in enumerate(cases):
        if number in (1, 3, 5):
            with expect.defining():
                expect.equal(answer(*given), _truth(*given), what)
        else:
            expect.equal(answer(*given), _truth(*given), what)


@alert.inputs
def _statement(rng):
    yield {"requests": "high", "labels_share": "low"}, RULES, [], "long weekend"
    yield {}, {}, [], ""
    names = list(RULES)
    for _ in range(80):
        chosen = rng.permutation(names)[: int(rng.integers(0, len(names) + 1))].tolist()
        out = {name: str(rng.choice(["high", "low"])) for name in chosen}
        rules = {
            name: {
                "bad": str(rng.choice(["up", "down", "both", ""])),
                "severity": str(rng.choice(["page", "ticket"])),
            }
            for name in names
        }
        already = rng.permutation(names)[: int(rng.integers(0, 4))].tolist()
        yield out, rules, already, str(rng.choice(["", "long weekend", "school holidays"]))


@alert.misconception(
    "you reported every unusual metric, whatever its direction. Fewer failures and faster answers are good news. Compare the side with `bad`.",
)
def any_direction(out, rules, open_alerts, calendar):
    every = {name: rule | {"bad": "both"} for name, rule in rules.items()}
    return _truth(out, every, open_alerts, calendar)


@alert.misconception(
    "you did not use the calendar. More requests on a long weekend are expected, and a page for them wakes somebody who can do nothing.",
)
def without_calendar(out, rules, open_alerts, calendar):
    return _truth(out, rules, open_alerts, "")


@alert.misconception(
    "you silenced everything on a long weekend. The calendar explains requests, distances and late reviews. It does not explain errors or missing labels.",
)
def weekend_off(out, rules, open_alerts, calendar):
    return {} if calendar else _truth(out, rules, open_alerts, calendar)


@alert.misconception(
    "you reported alerts that are open already. Somebody is working on them, and the same page every morning teaches a team to ignore pages.",
)
def every_morning_again(out, rules, open_alerts, calendar):
    return _truth(out, rules, [], calendar)


@alert.misconception(
    "you only looked for values that are too high. For the share of labels, low is bad, and a bias is bad on both sides.",
)
def only_high(out, rules, open_alerts, calendar):
    high = {name: side for name, side in out.items() if side == "high"}
    return _truth(high, rules, open_alerts, calendar)


@alert.alternative
def with_a_loop(out, rules, open_alerts, calendar):
    found = {}
    for name in out:
        if name in open_alerts or (calendar != "" and name in EXPLAINED):
            continue
        bad = rules[name]["bad"]
        if bad == "both" or (bad == "up" and out[name] == "high") or (bad == "down" and out[name] == "low"):
            found[name] = rules[name]["severity"]
    return found


@alert.alternative
def by_sets(out, rules, open_alerts, calendar):
    sides = {"up": {"high"}, "down": {"low"}, "both": {"high", "low"}, "": set()}
    names = set(out) - set(open_alerts)
    if calendar:
        names -= set(EXPLAINED)
    return {name: rules[name]["severity"] for name in sorted(names) if out[name] in sides[rules[name]["bad"]]}
