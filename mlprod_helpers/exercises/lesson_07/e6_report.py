"""Exercise 7.6, Repair a shadow report."""

import numpy as np
import pandas as pd

from mlprod_helpers.automation.shadow_log import draw_shadow
from mlprod_helpers.lesson.contract import Function, Mapping, Number, exercise


def _honest(log, mix, blind=True, known=True, against="label", own="prediction"):
    rows = log[~log["saw"]] if blind else log
    rows = rows[rows["label"].notna()] if known else rows
    right = rows[own] == rows[against]
    each = right.groupby(rows["kind"]).mean()
    return {str(name): float(value) for name, value in each.items()} | {
        "all": float(sum(mix[name] * each[name] for name in each.index))
    }


@exercise(
    "7.6",
    "Repair a shadow report",
    answers=("report",),
    points=5,
    minutes=8,
    objective="7.e",
    edition=2,
    kind=Function("log", "mix", returns=Mapping(keys=("easy", "hard", "new", "all"), values=Number())),
    hints=(
        "What does it mean to agree with somebody who has seen the answer? And to agree with somebody who is wrong?",
        'Keep the rows with `~log["saw"]` that have a label. Then find how often the prediction is the label, for each kind.',
        'For `"all"`, weight each kind by its share in production: `sum(mix[kind] * accuracy[kind])`.',
    ),
)
def report(answer, rng, expect):
    """`report(log, mix)`: how often the model is right on blind cases, by kind, and weighted by production's mix."""
    for what, n in (
        ("a first shadow run", 400),
        ("another one", 900),
        ("one new case is blind and labeled", 250),
    ):
        log, mix = draw_shadow(rng, n)
        ends = [0, len(log) - 1]  # the first and the last row count like any other
        log.loc[ends, "saw"] = False
        log.loc[ends, "label"] = log.loc[ends, "label"].fillna(log.loc[ends, "prediction"])
        if n == 250:
            known = log.index[~log["saw"] & log["label"].notna() & log["kind"].eq("new")]
            log.loc[known[1:], "saw"] = True
            log.loc[known[:1], "label"] = log.loc[known[:1], "prediction"]
            log.index = rng.permutation(log.index)  # it says nothing
        if n == 900:  # production may have no easy case at all
            mix = {"easy": 0.0, "hard": mix["hard"] + mix["easy"], "new": mix["new"]}
        want = _honest(log, mix)
        mix = {kind: mix[kind] for kind in rng.permutation(list(mix)).tolist()}
        got = answer(log.copy(), dict(mix))
        for name in ("easy", "hard", "new"):
            expect.close(got[name], want[name], f"{what}: {name} cases")
        with expect.defining():
            expect.close(got["all"], want["all"], f"{what}: all of production")


@report.inputs
def report_inputs(rng):
    yield draw_shadow(np.random.default_rng(3), n=4000)
    for n in (150, 400, 900):
        log, mix = draw_shadow(rng, n)
        yield log, mix
        log.index = log.index[::-1]  # the index says nothing
        yield log, dict(reversed(mix.items()))
        yield log.sort_values("kind"), {"easy": 0.0, "hard": 0.5, "new": 0.5}


@report.misconception(
    "you took agreement for accuracy. Both may be wrong together, and where they differ the model may be right. Compare the prediction with `label`.",
)
def agreement(log, mix):
    return _honest(log, mix, against="human")


@report.misconception(
    "you used the easy cases for the total. Production has hard and new cases, too. Weight all three kinds by `mix`.",
)
def without_the_hard_ones(log, mix):
    found = _honest(log, mix)
    return found | {"all": found["easy"]}


@report.misconception(
    "you gave each kind the same weight. Production has more of one kind than of another. Weight each by its share in `mix`.",
)
def unweighted(log, mix):
    found = _honest(log, mix)
    return found | {"all": (found["easy"] + found["hard"] + found["new"]) / 3}


@report.misconception(
    "you took the mix of the run for that of production. The run has too many easy cases, so the total is too good. Weight each kind by `mix`.",
)
def mix_of_the_run(log, mix):
    rows = log[~log["saw"] & log["label"].notna()]
    return _honest(log, mix) | {"all": float((rows["prediction"] == rows["label"]).mean())}


@report.misconception(
    "you counted a missing label as a mistake. Nobody knows yet whether the model is right there. Leave out the rows without a label.",
)
def unknown_is_wrong(log, mix):
    return _honest(log, mix, known=False)


@report.misconception(
    "you counted the rows where people saw the model's answer. These are a different sample, with different cases. Keep only the blind ones.",
)
def not_only_blind(log, mix):
    return _honest(log, mix, blind=False)


@report.misconception(
    "you judged the person. The question is whether the model may decide more, so find out how often its prediction is right. Compare `prediction` with `label`.",
)
def of_the_person(log, mix):
    return _honest(log, mix, own="human")


@report.alternative
def with_masks(log, mix):
    asked = ~log["saw"].to_numpy(dtype=bool) & log["label"].notna().to_numpy()
    right = log["prediction"].eq(log["label"]).to_numpy()
    shares = {kind: float(right[asked & log["kind"].eq(kind).to_numpy()].mean()) for kind in mix}
    return shares | {"all": float(np.dot(list(shares.values()), list(mix.values())))}


@report.alternative
def by_counting(log, mix):
    hits, seen = dict.fromkeys(mix, 0), dict.fromkeys(mix, 0)
    for row in log.to_dict("records"):
        if row["saw"] or pd.isna(row["label"]):
            continue
        seen[row["kind"]] += 1
        hits[row["kind"]] += row["prediction"] == row["label"]
    shares = {name: hits[name] / seen[name] for name in mix}
    return {**shares, "all": sum(shares[name] * mix[name] for name in mix)}
