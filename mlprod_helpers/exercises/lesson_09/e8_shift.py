"""Exercise 9.8, Your shift."""

import contextlib

import numpy as np

from mlprod_helpers.lesson.contract import Function, Mapping, Number, Several, drawn_once, exercise
from mlprod_helpers.serving.lab.shift import AFTERNOONS, draw_shift


def _limit_of(bang, never):
    return max(0.05 * bang, 0.35 * never)


@drawn_once()
def _drawn(rng):
    """(afternoon, what a big bang and no release cost) of each."""
    return [(afternoon, *afternoon.baselines()) for afternoon in draw_shift(rng)]


@exercise(
    "9.8",
    "Your shift",
    answers=("shift",),
    points=7,
    minutes=14,
    objective="9.e",
    edition=2,
    kind=Function(
        "observation",
        "memory",
        may_change=("memory",),
        returns=Several(Number(low=0, high=100), Mapping(), names=("weight", "memory")),
    ),
    hints=(
        "Status and latency are known at once, and labels arrive late. How large a share of users can v2 have while you wait for the labels?",
        "A look covers only about a dozen requests of the canary, so keep sums in `memory`. Compare each figure with that of `stable` in the same observation, because a burst slows both.",
        "Return 0 until the end if v2's failure rate is several times that of `stable`, or if its p50 is more than twice as high in two looks in a row. Return 100 when more than a hundred labels favor v2. Until then, return about 20.",
    ),
)
def shift(answer, rng, expect):
    """`shift(observation, memory)` -> (weight, memory), over five recorded afternoons."""
    for afternoon, bang, never in _drawn(rng):
        limit = _limit_of(bang, never)
        played = afternoon.play(answer)
        weights = ", ".join(f"{weight:.3g}" for weight in played.weights[1::5])
        with expect.defining() if afternoon.name in ("good", "slow", "wrong") else contextlib.nullcontext():
            expect.true(
                played.cost <= limit,
                f"{afternoon.name}: {AFTERNOONS[afternoon.name]}. Your cost is {played.cost} bad answers, "
                f"and at most {limit:.0f} are allowed (big bang: {bang}, no release: {never})",
                f"your weight at looks 1, 6, 11, ...: {weights}",
            )


@shift.acceptable
def _cheap(answer, rng):
    """By the statement's limits on fresh afternoons; luck may take one of them over its limit, not to twice, and not all together."""
    costs = []
    for afternoon, bang, never in _drawn(rng):
        costs.append((afternoon.play(answer).cost, max(bang / 20, 0.35 * never)))
    return all(cost <= 2 * limit for cost, limit in costs) and sum(c for c, _ in costs) <= sum(
        m for _, m in costs
    )


def _lost(seen):
    """The afternoons that went wrong."""
    return {what.split(":")[0] for what, ok, *_ in seen.verdicts if not ok}


def _calls_of(seen, name):
    """The calls of one afternoon."""
    names = [what.split(":")[0] for what, *_ in seen.verdicts]
    looks = len(seen.calls) // len(names)
    return seen.calls[names.index(name) * looks :][:looks]


def _when_it_went(seen, name):
    """What was observed when this afternoon's weight first fell to 0, and v2's failures until then; or None."""
    failures = 0
    for call in _calls_of(seen, name):
        observation = call.given[0]
        failures += observation["canary"]["errors"]
        if call.output[0] == 0 and observation["weight"] > 0:
            return observation, failures
    return None


def _promoted_early(seen):
    """Did most users get the v2 that predicts worse when it had fewer than a hundred labels?"""
    return any(
        call.output[0] > 50 and call.given[0]["canary"]["labels"] < 100 for call in _calls_of(seen, "wrong")
    )


def _never_lowered(seen, name):
    """Did v2 keep its share or get a larger one at each look of an afternoon?"""
    return all(call.output[0] >= call.given[0]["weight"] for call in _calls_of(seen, name))


def _is_slow(observation):
    return (observation["canary"]["p50"] or 0) > 80


def _went_while_slow(seen):
    went = _when_it_went(seen, "burst")
    return went is not None and _is_slow(went[0])


def _went_for_failures(seen):
    went = _when_it_went(seen, "burst")
    return went is not None and went[1] > 0 and not _is_slow(went[0]) and went[0]["canary"]["labels"] < 30


def _went_for_few_labels(seen):
    went = _when_it_went(seen, "good")
    if went is None or _is_slow(went[0]):
        return False
    new, old = went[0]["canary"], went[0]["stable"]
    return 0 < new["labels"] < 30 and new["off"] > (old["off"] or 0)


def _weights(seen):
    return [float(call.output[0]) for call in seen.calls]


def _are_shares(seen):
    """Are all weights from 0 to 1, and some between them?"""
    weights = _weights(seen)
    return max(weights) <= 1 and any(0 < weight < 1 for weight in weights)


def _shifted(observation, memory, *, weight=20, slow=True, failed=True, labels=150, fixed=None):
    """The sound policy, and what becomes of it without one of its parts."""
    seen = {"n": 0, "bad": 0, "n1": 0, "bad1": 0, "slow": 0, "final": None, **memory}
    if seen["final"] is not None:
        return seen["final"], seen
    new, old = observation["canary"], observation["stable"]
    seen["n"] += new["requests"]
    seen["bad"] += new["errors"]
    seen["n1"] += old["requests"]
    seen["bad1"] += old["errors"]
    if new["p50"] is not None and old["p50"] is not None:
        late = new["p50"] > (2 * old["p50"] + 20 if fixed is None else fixed)
        seen["slow"] = seen["slow"] + 1 if late else 0
    rate, usual = seen["bad"] / max(seen["n"], 1), seen["bad1"] / max(seen["n1"], 1)
    if (failed and seen["bad"] >= 5 and rate > 3 * usual) or (slow and seen["slow"] >= 2):
        seen["final"] = 0
    elif labels is not None and new["labels"] >= labels and old["labels"]:
        seen["final"] = 100 if new["off"] < old["off"] - 0.05 else 0
    return (weight if seen["final"] is None else seen["final"]), seen


@shift.misconception(
    "you looked only at how good the predictions are. Here v2's predictions came too late to be useful. Compare the `p50` of canary and stable, too.",
    when=lambda seen: _lost(seen) == {"slow"} and _never_lowered(seen, "slow"),
)
def promotes_on_accuracy(observation, memory):
    return _shifted(observation, memory, slow=False)


@shift.misconception(
    "you took v2 away from its users in the burst. Both versions were slow then, so going back helps nobody. Compare with `stable` in the same observation, as a ratio.",
    when=lambda seen: _lost(seen) == {"burst"} and _went_while_slow(seen),
)
def goes_back_in_the_burst(observation, memory):
    return _shifted(observation, memory, fixed=100)


@shift.misconception(
    "you took v2 away from its users after a few failures. For some seconds, v1 failed just as often. Divide the errors of each by its requests, and go back only if v2's rate is clearly higher.",
    when=lambda seen: _lost(seen) == {"burst"} and _went_for_failures(seen),
)
def counts_failures_alone(observation, memory):
    weight, memory = _shifted(observation, memory, failed=False)
    if memory["final"] is None and memory["bad"] >= 3:
        memory["final"] = weight = 0
    return weight, memory


@shift.misconception(
    "you decided on the first labels. A dozen labels can mislead you, and here the first ones made the good v2 look bad. Wait for more, and keep the weight small until then.",
    when=lambda seen: "good" in _lost(seen) and _went_for_few_labels(seen),
)
def decides_on_few_labels(observation, memory):
    return _shifted(observation, memory, labels=5)


@shift.misconception(
    "you gave v2 to most users before enough of its labels had arrived. Status and latency do not show whether predictions are right. Wait for labels, and keep the weight small until then.",
    when=lambda seen: (
        "wrong" in _lost(seen) <= {"wrong", "fails"} and _weights(seen)[0] < 50 and _promoted_early(seen)
    ),
)
def promotes_before_the_labels(observation, memory):
    weight, memory = _shifted(observation, memory, labels=None)
    if observation["tick"] >= 14 and memory["final"] is None:
        memory["final"] = weight = 100
    return weight, memory


@shift.misconception(
    "you never gave v2 to all users. Meanwhile, users of v1 get bad answers that the better v2 would have avoided. Give v2 to all users when enough labels favor it.",
    when=lambda seen: "good" in _lost(seen) and 0 < max(_weights(seen)) < 100 and not _are_shares(seen),
)
def never_decides(observation, memory):
    return _shifted(observation, memory, weight=5, labels=None)


@shift.misconception(
    "you returned a share between 0 and 1. The weight is a percentage, so a weight of 1 gives v2 to only one user in a hundred. Return 100 for all users.",
    when=lambda seen: "good" in _lost(seen) and _are_shares(seen),
)
def shares_for_percentages(observation, memory):
    weight, memory = _shifted(observation, memory)
    return weight / 100, memory


@shift.misconception(
    "you did not look at failed requests. Labels and latency do not show them, but `errors` does. Compare the error rates of both versions.",
    when=lambda seen: _lost(seen) == {"fails"} and _never_lowered(seen, "fails"),
)
def passes_over_failures(observation, memory):
    weight, memory = _shifted(observation, memory, failed=False)
    if memory["final"] == 0 and observation["canary"]["labels"] >= 100 and memory["slow"] < 2:
        off = observation["canary"]["off"] - observation["stable"]["off"]
        if off < 0.1:  # as good as before: why not?
            memory["final"] = weight = 100
    return weight, memory


@shift.misconception(
    "you gave v2 to all users and only looked afterward. By then, its faults had affected all of them. A small share of users is enough to find out.",
    when=lambda seen: bool({"slow", "wrong"} & _lost(seen)) and _weights(seen)[0] >= 50,
)
def everybody_first(observation, memory):
    return _shifted(observation, memory, weight=100)


@shift.alternative
def careful_ramp(observation, memory):
    memory = dict(memory)
    if "end" in memory:
        return memory["end"], memory
    new, old = observation["canary"], observation["stable"]
    for role, told in (("c", new), ("s", old)):
        memory[role + "n"] = memory.get(role + "n", 0) + told["requests"]
        memory[role + "e"] = memory.get(role + "e", 0) + told["errors"]
    slow = new["requests"] >= 5 and new["p50"] > 2 * old["p50"] + 20
    memory["late"] = memory.get("late", 0) + slow
    expected = memory["cn"] * (memory["se"] + 1) / (memory["sn"] + 1)
    if memory["late"] >= 3 or memory["ce"] > 4 + 3 * expected:
        memory["end"] = 0
    elif new["labels"] >= 200:
        memory["end"] = 100 if new["off"] <= 0.8 * old["off"] else 0
    return memory.get("end", 10 if observation["tick"] < 4 else 30), memory


@shift.alternative
def sums_of_everything(observation, memory):
    history = [
        *memory.get("history", []),
        [observation[r][k] for r in ("stable", "canary") for k in ("requests", "errors")],
    ]
    memory = {"history": history, "over": memory.get("over", -1), "slow": memory.get("slow", 0)}
    if memory["over"] >= 0:
        return memory["over"], memory
    n, a, m, b = np.sum(history, axis=0).tolist()
    if observation["canary"]["p50"] and observation["stable"]["p50"]:
        memory["slow"] += observation["canary"]["p50"] > 3 * observation["stable"]["p50"]
    new, old = observation["canary"], observation["stable"]
    if memory["slow"] > 2 or (b >= 6 and b / m > 0.02 + 1.5 * a / n):
        memory["over"] = 0
    elif new["labels"] > 90 and old["labels"] > 90:
        memory["over"] = 100 if new["off"] < 0.85 * old["off"] else 0
    return (memory["over"] if memory["over"] >= 0 else 25), memory
