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
    "attempts": {"bad": "up", "severity": "ticket"},
    "new_route_share": {"bad": "up", "severity": "ticket"},
    "mismatch_share": {"bad": "up", "severity": "ticket"},
    "distance_off_share": {"bad": "up", "severity": "ticket"},
    "wind_unchanged_days": {"bad": "up", "severity": "ticket"},
    "big_error_share": {"bad": "up", "severity": "ticket"},
    "error_jfk": {"bad": "up", "severity": "ticket"},
}
OTHERS = [name for name in RULES if name not in EXPLAINED]
EVENTS = ("Thanksgiving", "air show", "city marathon", "trade fair", "snow day")


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


def _other(severity):
    return "ticket" if severity == "page" else "page"


def _of_each_severity(rng, rules, names, n):
    """`n` of `names` that are pages and `n` that are tickets, in any order."""
    kinds = [[name for name in names if rules[name]["severity"] == each] for each in ("page", "ticket")]
    return rng.permutation([name for kind in kinds for name in rng.permutation(kind)[:n]]).tolist()


def _turned(rng):
    """(rules, out): each direction with each side and either severity, whatever the names suggest."""
    names = rng.permutation(OTHERS).tolist()
    kinds = [(bad, side) for bad in ("up", "down", "both", "") for side in ("high", "low")]
    severities = rng.permutation(["page", "ticket"] * 4).tolist()
    rules = {
        name: {"bad": bad, "severity": severity}
        for name, (bad, _), severity in zip(names, kinds, severities, strict=False)
    }
    out = {name: side for name, (_, side) in zip(names, kinds, strict=False)}
    return rules, _shuffled(rng, out)


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
    changed = _of_each_severity(rng, rules, OTHERS, 1)
    for name in changed:  # the severity is read, not known by heart
        rules[name] = rules[name] | {"severity": _other(rules[name]["severity"])}
    high = _shuffled(rng, {"failed_share": "high", "error_mean": "high", "missing_share": "high"})
    low = _shuffled(
        rng, {"failed_share": "low", "labels_share": "low", "error_bias": "low", "latency_p95": "low"}
    )
    harmless = {"labels_share": "high", "wind": "high", "error_mean": "low", "late_reviews": "high"}
    weekend = _shuffled(rng, dict.fromkeys(EXPLAINED, "high") | {"error_mean": "high", "labels_share": "low"})
    event = str(rng.choice(EVENTS))
    turned, sides = _turned(rng)
    reversed_ = {name: rule | {"severity": _other(rule["severity"])} for name, rule in turned.items()}
    similar = [f"{name}_jfk" for name in sides]  # other metrics, whose names contain those of `out`
    at_jfk = {f"{name}_jfk": {"bad": "up", "severity": "ticket"} for name in EXPLAINED}
    everything = _shuffled(rng, {name: "low" if name == "labels_share" else "high" for name in RULES})
    some = _of_each_severity(rng, rules, ["failed_share", "error_mean", "missing_share", "attempts"], 1)
    again = _of_each_severity(rng, rules, [name for name in OTHERS if name != "wind"], 2)
    cases = (
        ((high, rules, [], ""), "three metrics are too high"),
        ((low, rules, [], ""), "low values are bad for some metrics only"),
        ((harmless | {"wind": "low"}, rules, [], ""), "unusual on the good side, or good on both"),
        ((weekend, rules, [], "long weekend"), "a long weekend explains three metrics, not the others"),
        ((weekend, rules, [], ""), "the same values on an ordinary day"),
        ((high | {"attempts": "high"}, rules, some, ""), "two of four alerts are open already"),
        ((dict.fromkeys(EXPLAINED, "low"), rules, ["error_mean"], "long weekend"), "everything is explained"),
        (({}, rules, [], ""), "nothing is unusual"),
        ((sides, turned, [], ""), "rules of another team"),
        ((sides, reversed_, similar, ""), "the severities are swapped; alerts about other metrics are open"),
        ((weekend, rules, [], event), "another text in the calendar"),
        ((everything, rules, [], event), "all metrics are unusual, and the calendar explains three"),
        ((everything, rules, again, ""), "all metrics are unusual, and some alerts are open"),
        ((everything, rules, again, event), "open alerts on a day in the calendar"),
        (
            (harmless | {"wind": "low", "mismatch_share": "low"}, rules, [], event),
            "good values on such a day",
        ),
        (
            (dict.fromkeys(at_jfk, "high"), at_jfk, list(EXPLAINED), event),
            "other metrics, whose names begin like those that are explained or open",
        ),
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
        yield out, rules, already, str(rng.choice(["", "", "long weekend", "school holidays", *EVENTS]))


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
    "you looked for certain words in the calendar. It has other entries too, such as a trade fair. Any text that is not empty explains the three metrics.",
)
def long_weekend_only(out, rules, open_alerts, calendar):
    return _truth(out, rules, open_alerts, calendar if calendar == "long weekend" else "")


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
