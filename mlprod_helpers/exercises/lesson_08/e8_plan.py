"""Exercise 8.8, The plan."""

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Function, Mapping, Sequence, drawn_once, exercise
from mlprod_helpers.monitoring import choose_threshold, duration, evaluate, judge
from mlprod_helpers.monitoring.shops import KINDS, WATCHED, draw_month, draw_shops, rules_of, score

MOST_FALSE = 3  # pages a week


@drawn_once()
def _months(rng):
    """(a quiet month, a month with incidents, its incidents) of each of two shops."""
    return [(draw_month(rng, shop, incidents=False)[0], *draw_month(rng, shop)) for shop in draw_shops(rng)]


@exercise(
    "8.8",
    "The plan",
    answers=("plan",),
    points=8,
    minutes=15,
    objective="8.e",
    edition=2,
    kind=Function("reference", returns=Sequence(items=Mapping(keys=("metric",)))),
    hints=(
        "Write one rule for each problem. Which metric shows a dark camera, and does it rise or fall? Which one shows that people did not find what they wanted?",
        "Blips end on their own after an hour. With `for_`, a rule pages only if the condition still holds after that time.",
        '`choose_threshold(reference["latency_p95"], "above", per="hour_of_day", pages_per_week=0.2, for_="2h")` returns 24 thresholds. Use them as `"above"`, with the same `for_`. A `margin`, such as half of the usual value, prevents pages by chance.',
    ),
)
def plan(answer, rng, expect):
    """`plan(reference)` -> a list of rules, as dicts; judged on a month with six incidents in each of two shops."""
    tables, false, by_rule = [], [], pd.Series(dtype=int)
    for number, (reference, month, incidents) in enumerate(_months(rng), 1):
        rules = answer(reference)
        if why := _unreadable(rules):
            expect.true(False, "the rules can be read", why)
            return
        *_, of_month, table = score(rules, month, incidents)
        tables.append(table.assign(shop=number))
        false.append(of_month)
        if of_month > MOST_FALSE / 2:
            by_rule = by_rule.add(_false_alerts(rules, month, incidents), fill_value=0)
    table = pd.concat(tables, ignore_index=True)
    for family in ("software", "input", "output"):
        own = table[table["kind"].map(KINDS) == family]
        kinds = ", ".join(kind for kind, name in KINDS.items() if name == family)
        rung = int((own["outcome"] != "missed").sum())
        expect.true(
            rung >= len(own) - 1 if family == "output" else rung == len(own),
            f"{family} ({kinds}): {rung} of {len(own)} noticed",
            _in_words(own[own["outcome"] == "missed"]),
        )
    in_time, weekly = int((table["outcome"] == "caught").sum()), float(np.mean(false))
    with expect.defining():
        expect.true(
            in_time >= 10,
            f"{in_time} of 12 noticed within 5 hours (wanted: at least 10)",
            _in_words(table[table["outcome"] == "late"]),
        )
        loudest = by_rule.sort_values(ascending=False).head(3)
        expect.true(
            weekly <= MOST_FALSE,
            f"{weekly:.1f} false pages a week, mean of the two shops (wanted: at most {MOST_FALSE})",
            "most of its false alerts: "
            + ", ".join(f"{name} ({count:.0f})" for name, count in loudest.items()),
        )


def _unreadable(rules):
    """Why these rules cannot be read, or ""."""
    try:
        readable = rules_of(rules)
    except Exception as error:
        return str(error).strip("'\"") or type(error).__name__
    unknown = [rule.metric for rule in readable if rule.metric not in WATCHED]
    if unknown:
        return f"there is no metric {unknown[0]!r}"
    return "" if 1 <= len(readable) <= 40 else f"it has {len(readable)} rules, but a plan needs 1 to 40"


def _false_alerts(rules, measured, incidents):
    """Alerts outside of every incident, by metric."""
    alerts = judge(evaluate(rules_of(rules), measured), incidents, measured, grace="1h").alerts
    return alerts.loc[~alerts["true"], "metric"].value_counts()


def _in_words(table):
    """Incidents that were missed or late, for the feedback."""
    said = []
    for row in table.itertuples():
        when = "missed" if row.outcome == "missed" else f"after {row.delay / pd.Timedelta('1h'):.0f} hours"
        said.append(f"{row.kind} in shop {row.shop} {when}")
    return ", ".join(said)


@plan.acceptable
def _wakes_for_incidents(answer, rng):
    """Six shops, each with its own month; the statement's limits with a little room for the luck of single months."""
    noticed, in_time, false = [], [], []
    for _ in range(3):
        for reference, month, incidents in _months(rng):
            rules = answer(reference.copy())
            if _unreadable(rules):
                return False
            caught, late, _, of_month, _ = score(rules, month, incidents)
            noticed.append((caught + late) / len(incidents))
            in_time.append(caught / len(incidents))
            false.append(of_month)
    return np.mean(noticed) > 11 / 12 - 0.02 and np.mean(in_time) > 10 / 12 and np.mean(false) <= MOST_FALSE


def _metrics(seen):
    return {rule.get("metric") for rule in _rules(seen)}


def _rules(seen):
    return next(call.output for call in seen.calls)


def _kept(seen):
    return [ok for _, ok, *_ in seen.verdicts]


def _for(rule):
    return duration(rule.get("for_", 0))


_OF_FAMILY = {
    "software": {"throughput", "latency_p95", "error_rate", "memory_mb", "cpu"},
    "input": {"missing_rows", "brightness", "input_length"},
    "output": {"missing_outputs", "redo_rate", "ctr", "score_mean"},
}


def _three_sd(reference, names, for_="0h", k=3):
    rules = []
    for name in names:
        values = reference[name]
        low, high = values.mean() - k * values.std(), values.mean() + k * values.std()
        rules.append({"metric": name, "above": float(high), "below": float(low), "for_": for_})
    return rules


def _good(reference, for_="2h", per_week=0.2, per="hour_of_day"):
    """One rule for each problem; the margin is a part of the usual level, or of the share that may still get worse."""
    sides = dict.fromkeys(
        ("latency_p95", "error_rate", "missing_rows", "missing_outputs", "redo_rate"), "above"
    )
    rules = []
    for name, side in (sides | {"brightness": "below"}).items():
        usual = float(reference[name].median())
        margin = {"latency_p95": 0.5 * usual, "brightness": 0.25 * usual}.get(name, 0.1)
        limit = choose_threshold(
            reference[name], side, per=per, pages_per_week=per_week, for_=for_, margin=margin
        )
        rules.append({"metric": name, side: limit, "for_": for_})
    return rules


@plan.misconception(
    "your rules never fire. Nobody was woken, so customers noticed the incidents first. Take each threshold from what is usual in `reference`.",
    when=lambda seen: (
        len(_kept(seen)) == 5
        and all("0 of 4 noticed" in what for what, *_ in seen.verdicts[:3])
        and "0.0 false" in seen.verdicts[4][0]
    ),
)
def never(reference):
    return _three_sd(reference, ["cpu"], k=40)


@plan.misconception(
    "you made a rule for almost everything that is measured. With so many rules, chance alone triggers page after page, and people miss the real incidents. Begin with the problems, and choose one metric for each.",
    when=lambda seen: len(_kept(seen)) == 5 and len(_metrics(seen)) > 9 and not _kept(seen)[4],
)
def every_metric(reference):
    return _three_sd(reference, WATCHED, k=2)


@plan.misconception(
    "you watch only the inputs. Answers can be empty or bad even if the inputs are perfect. Add rules for the outputs and for how people react.",
    when=lambda seen: (
        len(_kept(seen)) == 5
        and _kept(seen)[1]
        and not _kept(seen)[2]
        and not _metrics(seen) & _OF_FAMILY["output"]
    ),
)
def inputs_only(reference):
    return [rule for rule in _good(reference) if rule["metric"] in ("missing_rows", "brightness")]


@plan.misconception(
    "you watch only whether the service runs. It can run well and still get bad inputs or give bad answers. Add rules for the inputs and the outputs.",
    when=lambda seen: len(_kept(seen)) == 5 and _kept(seen)[0] and _metrics(seen) <= _OF_FAMILY["software"],
)
def software_only(reference):
    return [rule for rule in _good(reference) if rule["metric"] in ("latency_p95", "error_rate")]


@plan.misconception(
    "you wait very long before you page. With such a long `for_`, each page is real, but it comes too late. Try one to three hours.",
    when=lambda seen: (
        len(_kept(seen)) == 5
        and not _kept(seen)[3]
        and min(_for(rule) for rule in _rules(seen)) >= pd.Timedelta("5h")
    ),
)
def too_patient(reference):
    return _good(reference, for_="8h")


@plan.misconception(
    "you page for each bad hour. Blips end on their own, so the person you wake finds nothing to repair. Require that the condition holds for a while (`for_`).",
    when=lambda seen: (
        len(_kept(seen)) == 5
        and not _kept(seen)[4]
        and len(_metrics(seen)) <= 9
        and any(
            _for(rule) < pd.Timedelta("1h")
            for rule in _rules(seen)
            if rule.get("metric") in ("latency_p95", "error_rate")
        )
    ),
)
def without_for(reference):
    return [rule | {"for_": "0h"} for rule in _good(reference)]


@plan.misconception(
    "you used the same thresholds for both shops. The shops differ by a factor of eight in latency, and one has brighter photos. Take each threshold from `reference`.",
    when=lambda seen: (
        len(_kept(seen)) == 5
        and len(seen.outputs) == 2
        and seen.outputs[0] == seen.outputs[1]
        and len(_metrics(seen)) >= 4
    ),
)
def numbers_by_heart(reference):
    shares = ("error_rate", "missing_rows", "missing_outputs", "redo_rate")
    limits = {"latency_p95": 600.0} | dict.fromkeys(shares, 0.2)
    rules = [{"metric": name, "above": limit, "for_": "2h"} for name, limit in limits.items()]
    return [*rules, {"metric": "brightness", "below": 80.0, "for_": "2h"}]


@plan.alternative
def by_the_hour_of_day(reference):
    return _good(reference, for_="2h", per_week=0.25)


@plan.alternative
def by_the_course_alone(reference):
    sides = {"brightness": "below"}
    rules = []
    for name in ("latency_p95", "error_rate", "missing_rows", "brightness", "missing_outputs", "redo_rate"):
        side = sides.get(name, "above")
        limit = choose_threshold(reference[name], side, per="hour_of_day", pages_per_week=0.2, for_="2h")
        rules.append({"metric": name, side: limit, "for_": "2h"})
    return rules


@plan.alternative
def by_hand(reference):
    usual = reference.median()
    rules = [{"metric": "latency_p95", "above": 1.9 * float(usual["latency_p95"]), "for_": "2h"}]
    rules += [{"metric": "brightness", "below": 0.72 * float(usual["brightness"]), "for_": "2h"}]
    for name in ("error_rate", "missing_rows", "missing_outputs", "redo_rate"):
        rules.append({"metric": name, "above": float(usual[name]) + 0.15, "for_": "2h"})
    return rules


@plan.alternative
def by_quantiles(reference):
    rules = []
    for name in ("error_rate", "missing_rows", "missing_outputs", "redo_rate"):
        rules.append({"metric": name, "above": 0.08 + float(reference[name].quantile(0.95)), "for_": "2h"})
    top = float(reference["latency_p95"].quantile(0.95))
    low = float(reference["brightness"].quantile(0.005))
    rules.append({"metric": "latency_p95", "above": 1.2 * top, "for_": "2h"})
    return [*rules, {"metric": "brightness", "below": 0.95 * low, "for_": "2h"}]
