"""Exercise 2.8, Act or leave it?"""

import contextlib

import numpy as np

from mlprod_helpers.drift.flight_weeks import ACTIONS, SITUATIONS, draw_week, draw_weeks
from mlprod_helpers.lesson.contract import Function, Text, drawn_once, exercise

_week, _weeks = drawn_once(1000)(draw_week), drawn_once()(draw_weeks)

SLACK = 0.1  # a share of the best action's cost, for luck and for an action that does no harm


def _rule(report):
    """The order matters: a broken table first, then what labels say, then what the inputs say."""
    if report["auc_clean"] > 0.65 and report["largest_shift"] < 0.4:
        return "repair"
    if report["labels"] >= 30 and report["late_error"] > 1.3:
        return "retrain"
    if report["pvalue"] > 0.01:
        return "ignore"
    return "reweight" if report["ess"] > 0.1 else "gate"


@exercise(
    "2.8",
    "Act or leave it?",
    answers=("decide",),
    points=5,
    minutes=12,
    edition=2,
    objective="2.e",
    kind=Function("report", returns=Text(options=ACTIONS)),
    hints=(
        "Begin with what would make every other number meaningless. Which entries of the report show that the rows of a table were joined incorrectly?",
        "`late_error` shows what adversarial validation cannot see: that the labels no longer follow from the inputs as before. It is NaN while there are few labels, and a comparison with NaN is False.",
        "This order works: first a slipped join, then the late error, then whether anything differs at all. At the end, choose weights if `ess` is large enough, else the gate.",
        "After a slipped join `auc_clean` is high and `largest_shift` is small. For weights, an `ess` above 0.1 is enough.",
    ),
)
def decide(answer, rng, expect):
    """`decide(report)`: one action for each report, scored by the errors that follow."""
    weeks = _weeks(rng)
    chosen = {id(week): answer(week["report"]) for week in weeks}
    for kind, told in SITUATIONS.items():
        of_kind = [week for week in weeks if week["kind"] == kind]
        actions = [chosen[id(week)] for week in of_kind]
        own = np.mean([week["costs"][action] for week, action in zip(of_kind, actions, strict=True)])
        mean = {action: np.mean([week["costs"][action] for week in of_kind]) for action in ACTIONS}
        limit = (1 + SLACK) * min(mean.values())
        said = ", ".join(f"{action} {actions.count(action)} times" for action in ACTIONS if action in actions)
        with expect.defining() if kind not in ("quiet", "nearby") else contextlib.nullcontext():
            expect.true(
                own <= limit,
                f"cost when {told}",
                f"{own:.1f} a week, at most {limit:.1f} is allowed, and ignoring it costs {mean['ignore']:.1f}; you chose {said}",
            )


@decide.acceptable
def _near_the_best(answer, rng):
    """Within the stated slack of the best single action, for each kind of week, over twelve weeks each."""
    for kind in SITUATIONS:
        weeks = [_week(rng, kind) for _ in range(12)]
        own = np.mean([costs[answer(dict(report))] for report, costs in weeks])
        if own > (1 + SLACK) * min(np.mean([costs[action] for _, costs in weeks]) for action in ACTIONS):
            return False
    return True


def _decisions(seen):
    return [(given[0], output) for given, output in zip(seen.arguments, seen.outputs, strict=True)]


def _slip(report):
    return report["auc_clean"] > 0.65 and report["largest_shift"] < 0.4


def _moved_a_little(report):
    return (
        report["ess"] > 0.2 and report["pvalue"] < 0.001 and not _slip(report) and not report["labels"] >= 30
    )


def _often(seen, which, actions):
    """Whether most of the reports of one sort got one of these actions."""
    chosen = [action in actions for report, action in _decisions(seen) if which(report)]
    return bool(chosen) and np.mean(chosen) > 0.5 and len({action for _, action in _decisions(seen)}) > 1


@decide.misconception(
    "you chose the same action every week. Each action is the best one in some kind of week. Look at the entries of the "
    "report that tell the kinds apart.",
    when=lambda seen: len({action for _, action in _decisions(seen)}) == 1,
)
def always_the_same(report):
    return "retrain"


@decide.misconception(
    "you acted on a high AUC in weeks when nothing had changed. A column that only names its table raises `auc`. Compare `auc` "
    "with `auc_clean`, which leaves such columns out.",
    when=lambda seen: (
        _often(
            seen,
            lambda r: r["auc"] > 0.9 and r["auc_clean"] < 0.62 and r["late_error"] <= 1,
            ("repair", "retrain", "gate", "reweight"),
        )
        and _often(seen, lambda r: r["auc"] < 0.62 and r["late_error"] <= 1, ("ignore",))
    ),
)
def alarmed_by_a_number(report):
    if report["auc"] > 0.95 and report["auc_clean"] < 0.65:
        return "retrain"
    return _rule(report)


@decide.misconception(
    "you ignored most weeks with a low AUC and a high `late_error`. The AUC covers only the inputs. If only the relation to the labels changes, the AUC stays near "
    "0.5 while the error grows, and `late_error` is the only entry that shows it.",
    when=lambda seen: _often(seen, lambda r: r["late_error"] > 1.3 and r["auc_clean"] < 0.62, ("ignore",)),
)
def quiet_is_good(report):
    return "ignore" if report["auc"] < 0.65 else _rule(report)


@decide.misconception(
    "you trained on a broken table. No column moved, yet the classifier can tell the tables apart, so the combinations are wrong. A "
    "model that is trained on them learns the error. Repair the join first.",
    when=lambda seen: (
        _often(seen, _slip, ("retrain", "reweight"))
        or _often(seen, lambda r: _slip(r) and r["labels"] >= 30, ("retrain",))
    ),
)
def trains_on_a_broken_join(report):
    if report["late_error"] > 1.3:
        return "retrain"
    rule = _rule(report)
    return "reweight" if rule == "repair" else rule


@decide.misconception(
    "you used weights without looking at `ess`. At 1%, the whole fit depends on a handful of reference rows, and the result is a matter of luck. If too few reference rows resemble the week, use the gate.",
    when=lambda seen: (
        _often(seen, lambda r: r["ess"] < 0.05 and not _slip(r) and not r["labels"] >= 30, ("reweight",))
        and _often(seen, _moved_a_little, ("reweight",))
    ),
)
def weights_whatever(report):
    rule = _rule(report)
    return "reweight" if rule == "gate" else rule


@decide.misconception(
    "you chose an expensive action for every drift. Here the inputs moved a little and many reference rows still resemble the week, so "
    "weights are enough and cost almost nothing. Look at `ess` in these weeks.",
    when=lambda seen: (
        _often(seen, _moved_a_little, ("gate",))
        and all(action != "reweight" for _, action in _decisions(seen))
    ),
)
def always_with_force(report):
    rule = _rule(report)
    return "gate" if rule == "reweight" else rule


@decide.alternative
def from_another_side(report):
    if report["pvalue"] < 0.001 and report["auc_clean"] >= 0.62:
        if report["largest_shift"] <= 0.35:
            return "repair"
        if report["labels"] > 50:
            return "retrain"
        return "gate" if report["ess"] < 0.08 else "reweight"
    return "retrain" if np.nan_to_num(report["late_error"], nan=1.0) > 1.25 else "ignore"


@decide.alternative
def as_a_table(report):
    checks = (
        ("repair", report["auc_clean"] > 0.64 and report["largest_shift"] < 0.5),
        ("retrain", report["late_error"] >= 1.4),
        ("gate", report["ess"] < 0.1),
        ("reweight", report["largest_shift"] > 0.4),
        ("ignore", True),
    )
    return next(action for action, holds in checks if holds)


for _mutant in (
    "solution: `0.4` -> `0.2`",
    "alternative from_another_side: `0.62` -> `0.682`",
    "alternative from_another_side: `0.35` -> `0.175`",
):
    decide.survives(
        _mutant,
        "Answers are scored by their cost. Weeks with slipped joins and weeks with moved inputs lie on opposite sides of this limit, and hardly any week lies between it and the changed one.",
    )
