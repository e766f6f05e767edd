"""Exercise 1.8, Which remedy?"""

import contextlib

import numpy as np

from mlprod_helpers.drift.weekly_reports import DELAY, FEW, ROWS, WEEKS, draw_service
from mlprod_helpers.lesson.contract import Function, Mapping, Several, Text, drawn_once, exercise

ACTIONS = ("wait", "repair", "reweight", "retrain")

CURES = {"fault": ("repair",), "concept": ("retrain",), "prior": ("reweight", "retrain")}

PRICE = {"wait": 0, "repair": 1, "reweight": 1, "retrain": 10}

HARM, WRONG_REWEIGHT, LEARNED_THE_BUG = 3, 4, 6


def _cost(policy, kind, reports, onset):
    """What a policy costs on one stream; an effective remedy ends it."""
    total, memory = 0, {}
    for report in reports:
        action, memory = policy(report, memory)
        total += PRICE[action]
        trouble = kind in CURES and report["week"] >= onset
        # a retrained model needs labels of the new regime
        informed = action != "retrain" or report["week"] >= onset + DELAY
        if trouble:
            total += HARM
            if action in CURES[kind] and informed:
                break
        if action == "reweight":
            total += WRONG_REWEIGHT
        if action == "retrain" and trouble and kind == "fault":
            total += LEARNED_THE_BUG
    return total


def _knowing(kind, onset):
    """The policy that has seen the truth."""

    def policy(report, memory):
        late = {"fault": 0, "prior": DELAY, "concept": DELAY}
        due = kind in CURES and report["week"] == onset + late[kind]
        return (CURES[kind][0] if due else "wait"), memory

    return policy


def _waiting(report, memory):
    return "wait", memory


@drawn_once(1000)
def _drawn(rng, kind, lost, sign):
    """(reports, onset) of one drawn service."""
    # where nothing needs a remedy, only weeks with few rows mislead: let them be misleading ones
    reports, onset = draw_service(rng, kind, lost, sign, weeks_to_shorten=2 if kind in CURES else 6)
    reports = list(reports)
    labels = [report["labels"] for report in reports[onset + DELAY :]]
    if kind == "covariate" and abs(np.mean(labels)) < 0.18:
        # draw until the labels move, or nothing would reveal an answer that takes this for a prior shift
        return _drawn(rng, kind, lost, sign)
    return reports, onset


def _costs(answer, kind, reports, onset):
    """What the answer, always waiting and the one who knows the truth cost on one service."""
    weeks = [{"week": week} for week in range(WEEKS)]  # all that the last two read
    return (
        _cost(answer, kind, reports, onset),
        _cost(_waiting, kind, weeks, onset),
        _cost(_knowing(kind, onset), kind, weeks, onset),
    )


@exercise(
    "1.8",
    "Which remedy?",
    answers=("triage",),
    points=6,
    minutes=12,
    objective="1.d",
    edition=2,
    kind=Function(
        "report",
        "memory",
        returns=Several(Text(options=ACTIONS), Mapping(), names=("the action", "the memory")),
        may_change=("report", "memory"),
    ),
    hints=(
        "Go through the questions of the tickets in order: a broken data feed, too few rows, and then which of P(x), P(y | x) and P(x | y) stayed the same.",
        "`missing` and `spread` need no label. The values that need labels are None in the first two weeks, so check this before you compare.",
        "Read the thresholds off the tables above. How large is `law` in quiet weeks, and how large after a change? Does `within` move in a prior shift?",
        "If `law` moved and `within` did not, the mix of labels changed. If both moved, the relation changed. If `law` did not move, nothing needs a remedy, even if inputs and labels moved.",
    ),
)
def triage(answer, rng, expect):
    """`triage(report, memory)` on 16 drawn streams, in drawn order; each cure is needed in some of them."""
    bills = {name: [0, 0, 0] for name in (*MORE, "quiet")}
    for i in rng.permutation(len(STREAMS)):
        name, kind, lost, sign = STREAMS[i]
        costs = _costs(answer, kind, *_drawn(rng, kind, lost, sign))
        bills[name] = [sum(pair) for pair in zip(bills[name], costs, strict=True)]
    told = {
        "lost": "2 services that lose values",
        "unit": "2 services with a changed unit",
        "concept": "3 services with a concept drift",
        "prior": "4 services with a prior shift",
    }
    for name, what in told.items():
        yours, waiting, knowing = bills[name]
        limit = knowing + MORE[name] * SERVICES[name]
        with expect.defining() if name in ("concept", "prior") else contextlib.nullcontext():
            expect.true(
                yours <= limit,
                f"{what}: at most {limit}",
                f"you {yours}, always waiting {waiting}, knowing the truth {knowing}",
            )
    with expect.defining():
        expect.true(
            bills["quiet"][0] <= QUIET_LIMIT,
            f"5 services that need no remedy: at most {QUIET_LIMIT}",
            f"you {bills['quiet'][0]}, always waiting 0, knowing the truth 0",
        )


SERVICES = {"lost": 2, "unit": 2, "concept": 3, "prior": 4}

MORE = {"lost": 12, "unit": 12, "concept": 10, "prior": 7}

QUIET_LIMIT = 14

STREAMS = (
    *[("lost", "fault", True, 1)] * 2,
    *[("unit", "fault", False, 1)] * 2,
    *[("concept", "concept", True, 1)] * 3,
    *[("prior", "prior", True, 1), ("prior", "prior", True, -1)] * 2,
    *[("quiet", "nothing", True, 1)] * 2,
    *[("quiet", "covariate", True, 1)] * 3,
)


@triage.acceptable
def _cheap_enough(answer, rng):
    """Whether the answer costs, over many services, no more than the statement allows, kind by kind."""
    bills = {}
    for name, *service in STREAMS * 4:
        reports, onset = _drawn(rng, *service)
        bills[name] = np.add(bills.get(name, 0), _costs(answer, service[0], map(dict, reports), onset))
    near = all(bills[name][0] <= bills[name][2] + 4 * SERVICES[name] * more for name, more in MORE.items())
    return bool(near and bills["quiet"][0] <= 4 * QUIET_LIMIT)


def _decisions(seen):
    """(report, action) of each call."""
    return [(call.given[0], call.output[0]) for call in seen.calls if not call.error]


def _taken(seen):
    return {action for _, action in _decisions(seen)}


def _pipe_broken(report):
    return report["missing"] > 0.1 or (report["rows"] == ROWS and report["spread"] > 1.5)


def _law_moved(report):
    return report["labeled_rows"] == ROWS and report["law"] > 0.08


def _needless(seen):
    """How often a model was retrained or reweighted, by what spoke against it."""
    found = dict.fromkeys(("pipe", "few rows", "inputs", "nothing"), 0)
    for report, action in _decisions(seen):
        if action not in ("reweight", "retrain"):
            continue
        if _pipe_broken(report):
            found["pipe"] += 1
        elif report["labeled_rows"] == FEW:
            found["few rows"] += 1
        elif report["labeled_rows"] is None or report["law"] < 0.07:
            found["inputs" if report["inputs"] > 0.3 and report["rows"] == ROWS else "nothing"] += 1
    return found


def _answers(seen, action, asks):
    """The share of the full reports for which `asks` that drew this action; 0 where there is none."""
    drawn = [taken == action for report, taken in _decisions(seen) if report["rows"] == ROWS and asks(report)]
    return sum(drawn) / max(len(drawn), 1)


def _calm(report):
    """A full report that gives nothing to do."""
    quiet = report["labeled_rows"] is None or (
        report["labeled_rows"] == ROWS and report["law"] < 0.07 and report["error"] < 1.3
    )
    return not _pipe_broken(report) and report["inputs"] < 0.2 and quiet


def _acts_on_inputs_alone(seen):
    """Whether inputs that moved were treated although nothing was wrong with the labels that were known."""
    return any(
        action in ("reweight", "retrain") and report["inputs"] > 0.3 and abs(report["labels"] or 0) < 0.1
        for report, action in _decisions(seen)
        if report["rows"] == ROWS and not _pipe_broken(report)
    )


def _treats_a_quiet_law(seen):
    """Whether a law that moved under inputs that stand was ever answered by a retraining or reweighting."""
    return any(
        action in ("reweight", "retrain") and _law_moved(report) and report["inputs"] < 0.25
        for report, action in _decisions(seen)
    )


@triage.misconception(
    "you always wait. Waiting is free only while nothing is wrong. Each real problem then costs 3 a week until the end. "
    "Start with the faults, which need no label.",
    when=lambda seen: _taken(seen) == {"wait"},
)
def never(report, memory):
    return "wait", memory


@triage.misconception(
    "you answer every alarm by retraining. In a fault the model learns the bug. If only the inputs moved, it learns "
    "nothing new, and before labels of the new regime arrive it cannot learn anything. Look at `missing`, `spread` and "
    "`law` first.",
    when=lambda seen: (
        _taken(seen) == {"wait", "retrain"}
        and _acts_on_inputs_alone(seen)
        and _answers(seen, "retrain", _pipe_broken) > 0.6
        and _answers(seen, "retrain", _calm) < 0.1
    ),
)
def always_retrain(report, memory):
    alarm = report["inputs"] > 0.3 or report["missing"] > 0.1 or (report["error"] or 0) > 1.5
    return ("retrain" if alarm and report["rows"] > 100 else "wait"), memory


@triage.misconception(
    "you only look at the inputs. A concept drift leaves them as they are, so these services stay untreated, while you "
    "treat harmless shifts of the inputs. Look at `law`, too.",
    when=lambda seen: (
        not _treats_a_quiet_law(seen) and _acts_on_inputs_alone(seen) and "repair" in _taken(seen)
    ),
)
def inputs_only(report, memory):
    if report["missing"] > 0.1 or report["spread"] > 1.5:
        return "repair", memory
    return ("reweight" if report["inputs"] > 0.3 and report["rows"] > 100 else "wait"), memory


@triage.misconception(
    "you act on weeks with twenty rows. In such a week, every value can jump by chance. Look at `rows` and `labeled_rows` "
    "before you act.",
    when=lambda seen: (
        _needless(seen)["few rows"] >= 2 and _most(seen) == "few rows" and _treats_a_quiet_law(seen)
    ),
)
def believes_twenty_rows(report, memory):
    if report["missing"] > 0.1 or report["spread"] > 1.5:
        return "repair", memory
    if report["law"] is not None and report["law"] > 0.08:
        return ("retrain" if report["within"] > 0.21 else "reweight"), memory
    return "wait", memory


def _most(seen):
    """What spoke against more than half of the needless work, "" where nothing did."""
    found = _needless(seen)
    return next((why for why, n in found.items() if 2 * n > sum(found.values())), "")


@triage.misconception(
    "you treat inputs that moved. If the relation stayed the same and the model has learned it, moved inputs do no harm. "
    "Check whether `law` moved as well.",
    when=lambda seen: (
        _most(seen) == "inputs"
        and _acts_on_inputs_alone(seen)
        and _treats_a_quiet_law(seen)
        and "repair" in _taken(seen)
    ),
)
def treats_every_shift(report, memory):
    if report["missing"] > 0.1 or report["spread"] > 1.5:
        return "repair", memory
    if report["rows"] < 100 or report["law"] is None or report["labeled_rows"] < 100:
        return "wait", memory
    if report["inputs"] > 0.5:
        return "retrain", memory
    if report["law"] > 0.08:
        return ("retrain" if report["within"] > 0.21 else "reweight"), memory
    return "wait", memory


@triage.misconception(
    "you never repair the data feed. You can see missing values and a changed spread without labels. Check `missing` and "
    "`spread` before the model learns from these rows.",
    when=lambda seen: (
        "repair" not in _taken(seen) and _treats_a_quiet_law(seen) and not _needless(seen)["inputs"]
    ),
)
def forgets_the_pipe(report, memory):
    if report["law"] is None or report["labeled_rows"] < 100:
        return "wait", memory
    if report["law"] > 0.08:
        return ("retrain" if report["within"] > 0.21 else "reweight"), memory
    return "wait", memory


@triage.misconception(
    "you answer a new mix of labels by retraining. That works, but at ten times the price. If `within` stays low, each "
    "class looks the same as before, and it is enough to correct the odds.",
    when=lambda seen: (
        _taken(seen) == {"wait", "repair", "retrain"}
        and sum(_needless(seen).values()) <= 1
        and any(
            action == "retrain" and _law_moved(report) and report["within"] < 0.15
            for report, action in _decisions(seen)
        )
    ),
)
def retrains_a_new_mix(report, memory):
    if report["missing"] > 0.1 or report["spread"] > 1.5:
        return "repair", memory
    if report["labeled_rows"] is None or report["labeled_rows"] < 100:
        return "wait", memory
    return ("retrain" if report["law"] > 0.08 else "wait"), memory


@triage.alternative
def with_a_second_look(report, memory):
    """Acts when two full reports in a row say the same."""
    if ROWS not in (report["rows"], report["labeled_rows"]):
        return "wait", memory
    finding = "wait"
    if report["rows"] == ROWS and (report["missing"] > 0.05 or not 0.7 < report["spread"] < 1.45):
        finding = "repair"
    elif report["labeled_rows"] != ROWS:
        return "wait", memory
    elif report["law"] > 0.065:
        moved = abs(report["labels"]) > 0.15
        finding = "reweight" if moved and report["within"] < 0.27 else "retrain"
    last = memory.get("last", "wait")
    return (finding if finding == last else "wait"), {"last": finding}


@triage.alternative
def by_the_error(report, memory):
    """The error, not the law, tells a concept drift; labels tell a prior shift."""
    known = report["labeled_rows"] is not None and report["labeled_rows"] == ROWS
    if report["rows"] == ROWS and (report["missing"] > 0 or abs(np.log(report["spread"])) > 0.4):
        return "repair", memory
    if known and report["error"] > 1.6:
        return "retrain", memory
    if known and abs(report["labels"]) > 0.15 and report["within"] < 0.27 and report["law"] > 0.065:
        return "reweight", memory
    return "wait", memory


triage.survives(
    "alternative by_the_error: `report['rows'] == ROWS` -> `report['rows'] != ROWS`",
    "It repairs only in weeks with few rows. In 2 draws of 50 such a week comes early enough.",
)
