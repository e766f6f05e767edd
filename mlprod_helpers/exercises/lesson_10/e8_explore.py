"""Exercise 10.8, Loans that never get a label."""

import math

from mlprod_helpers.features.credit import N_WEEKS, cost_by_kind, draw_banks
from mlprod_helpers.lesson.contract import (
    Boolean,
    Function,
    Mapping,
    Number,
    Refused,
    Several,
    drawn_once,
    exercise,
)

CHEAPER, CHANGED, QUIET = (
    "all eight banks: at most 45% of never exploring",
    "late banks: at most half of never exploring",
    "steady banks: at most twice as much as never exploring",
)


def never(observation, memory):
    """The baseline that approves nobody at random."""
    return 0, observation["week"] % 4 == 3, memory


def always(observation, memory):
    """The baseline that approves everybody."""
    return 1, observation["week"] % 4 == 3, memory


@drawn_once()
def _drawn(rng):
    """Eight banks, and what never and always exploring cost there."""
    banks = draw_banks(rng)
    return banks, cost_by_kind(never, banks), cost_by_kind(always, banks)


@exercise(
    "10.8",
    "Loans that never get a label",
    answers=("explore",),
    points=8,
    minutes=13,
    objective="10.e",
    kind=Function(
        "observation",
        "memory",
        returns=Several(
            Number(low=0, high=1), Boolean(), Mapping(), names=("share", "whether to retrain", "memory")
        ),
        may_change=("memory",),
    ),
    hints=(
        "Without exploration, a refused band has no labels, and the bank never finds out that it has become profitable. How few random loans are enough to find out within weeks?",
        "With 5%, a refused band gets two loans a week, so about 24 labels in the window. A training run costs 4: retrain only when the labels contradict the model.",
        "For each band with at least 15 labels, compute `lost / labels`. Retrain if it is above 0.2 where the model approves, or below 0.15 where it refuses. Explore 5% in all weeks, not only in the first ones.",
    ),
)
def explore(answer, rng, expect):
    """`explore(observation, memory)`: (share of the refused to approve, whether to retrain, memory), at eight banks."""
    banks, low, high = _drawn(rng)
    yours = cost_by_kind(_numbers(answer), banks)
    told = "; ".join(
        f"{name} {cost['all']:.0f} ("
        + ", ".join(f"{kind} {cost[kind]:.0f}" for kind in list(cost)[:-1])
        + ")"
        for name, cost in {"you": yours, "never": low, "always": high}.items()
    )
    with expect.defining():
        expect.true(yours["all"] <= 0.45 * low["all"], CHEAPER, f"the costs: {told}")
        expect.true(
            yours["late"] <= 0.5 * low["late"],
            CHANGED,
            f"it costs {yours['late']:.0f}, and never exploring {low['late']:.0f}",
        )
    expect.true(
        yours["steady"] <= 2 * low["steady"],
        QUIET,
        f"it costs {yours['steady']:.0f}, and never exploring {low['steady']:.0f}",
    )


def _numbers(policy):
    """The policy, refused in the learner's words where its share is NaN."""

    def asked(observation, memory):
        share, retrain, memory = policy(observation, memory)
        if math.isnan(share):
            raise Refused(
                f"share of `explore` is NaN in week {observation['week']}, but a number from 0 to 1 is expected. "
                "Is a share of labels 0 / 0 there?"
            )
        return share, retrain, memory

    return asked


@explore.acceptable
def _pays(answer, rng):
    """By the statement alone, on four sets of fresh banks; luck may take a set over its limits, not their sum."""
    totals = {}
    for _ in range(4):
        banks, low, _ = _drawn(rng)
        for name, costs in (("you", cost_by_kind(answer, banks)), ("never", low)):
            for kind, cost in costs.items():
                totals[name, kind] = totals.get((name, kind), 0.0) + cost
    limits = {"all": 0.45, "late": 0.5, "steady": 2.0}
    return all(totals["you", kind] <= limit * totals["never", kind] for kind, limit in limits.items())


def _contradicted(observation, need=15, low=0.15, high=0.2):
    """Whether the labels of a band contradict what the model does with it."""
    bands = zip(observation["approves"], observation["labels"], observation["lost"], strict=True)
    return any(n >= need and (bad / n > high if yes else bad / n < low) for yes, n, bad in bands)


def _played(seen):
    """(observation, share, whether it retrained) of each week of the learner's policy."""
    return [
        (call.given[0], float(call.output[0]), bool(call.output[1]))
        for call in seen.calls
        if isinstance(call.output, tuple | list) and len(call.output) == 3
    ]


def _shares(seen, first=0, end=N_WEEKS):
    weeks = [share for observation, share, _ in _played(seen) if first <= observation["week"] < end]
    return sum(weeks) / max(len(weeks), 1)


def _trainings(seen):
    """The share of the weeks with a training."""
    weeks = _played(seen)
    return sum(retrain for *_, retrain in weeks) / max(len(weeks), 1)


@explore.misconception(
    "you never approve a refused applicant. These bands get no labels, so no training run can find out that they have become profitable. Approve a small share of them at random.",
    when=lambda seen: _shares(seen) == 0,
)
def waits_for_labels(observation, memory):
    return 0, _contradicted(observation), memory


@explore.misconception(
    "you explore only at the beginning. A band that becomes profitable later stays refused, because nobody looks again. Explore a small share in all weeks.",
    when=lambda seen: _shares(seen, 0, 10) > 0.01 and 0.1 * _shares(seen, 0, 10) >= _shares(seen, 25),
)
def only_at_first(observation, memory):
    return (0.1 if observation["week"] < 12 else 0), _contradicted(observation), memory


@explore.misconception(
    "you approve many of the refused applicants, week after week. Most of them are refused for a good reason, and each lost loan costs as much as four others earn. A few percent are enough.",
    when=lambda seen: _shares(seen) > 0.14 or (_shares(seen) > 0.08 and 0 < _trainings(seen) < 0.1),
)
def explores_far_too_much(observation, memory):
    return 0.4, _contradicted(observation), memory


@explore.misconception(
    "you never retrain. The labels of the random loans are there, but the model does not use them, so the bank pays for them and goes on as before. Retrain when they contradict the model.",
    when=lambda seen: _trainings(seen) == 0 and 0 < _shares(seen) <= 0.14,
)
def labels_for_nothing(observation, memory):
    return 0.05, False, memory


@explore.misconception(
    "you retrain nearly every week. A training run costs 4, and with few labels it may approve a bad band by chance. Retrain when the labels contradict the model.",
    when=lambda seen: _trainings(seen) > 0.4 and 0 < _shares(seen) <= 0.14,
)
def trains_each_week(observation, memory):
    return 0.05, True, memory


@explore.misconception(
    "you explore so little that a band never has the 15 labels that a training run needs. The few random loans cost money, and the model learns nothing from them. Work out how many loans your share gives in 12 weeks.",
    when=lambda seen: 0 < _shares(seen) < 0.025 and _shares(seen, 25) > 0.5 * _shares(seen, 0, 10),
)
def too_few_to_learn(observation, memory):
    return 0.015, _contradicted(observation), memory


@explore.misconception(
    "you explore only while an approved band loses too many loans. Such losses say nothing about the applicants that you refused. A refused band can become profitable while all others stay the same.",
    when=lambda seen: _only_after_losses(seen),
)
def explores_when_it_hurts(observation, memory):
    hurts = _hurts(observation)
    return (0.1 if hurts else 0), _contradicted(observation), memory


def _hurts(observation):
    """Whether an approved band loses more than a fifth of its loans."""
    bands = zip(observation["approves"], observation["labels"], observation["lost"], strict=True)
    return any(yes and n >= 15 and bad > 0.2 * n for yes, n, bad in bands)


def _only_after_losses(seen):
    weeks = _played(seen)
    quiet = [share for observation, share, _ in weeks if not _hurts(observation)]
    hurt = [share for observation, share, _ in weeks if _hurts(observation)]
    return bool(hurt) and max(hurt) > 0 and bool(quiet) and max(quiet) == 0


@explore.alternative
def little_and_sure(observation, memory):
    return 0.04, _contradicted(observation, low=0.1), memory


@explore.alternative
def more_until_enough_is_known(observation, memory):
    known = [n for yes, n in zip(observation["approves"], observation["labels"], strict=True) if not yes]
    return (0.08 if any(n < 20 for n in known) else 0.04), _contradicted(observation, need=20), memory


@explore.alternative
def twice_in_a_row(observation, memory):
    memory["odd"] = memory.get("odd", 0) + 1 if _contradicted(observation) else 0
    retrain = memory["odd"] >= 2
    if retrain:
        memory["odd"] = 0
    return 0.05, retrain, memory
