"""Exercise 4.8, When to retrain, and on what."""

import numpy as np

from mlprod_helpers.adaptation.season import (
    KINDS,
    N_HISTORY,
    N_WEEKS,
    PRICE,
    draw_season,
    excess,
    play,
    trained,
)
from mlprod_helpers.lesson.contract import Function, Mapping, Several, Text, exercise

ACTIONS = ("keep", "retrain 1", "retrain 4", "retrain 12", "retrain all", "rollback")

HELD_BACK = 0.2  # of the newest week: from here on there is nothing good to learn


def draw_seasons(rng):
    """Two seasons of each kind."""
    return [draw_season(rng, kind) for kind in KINDS for _ in range(2)]


def behind_the_gate(rng):
    """A season in which training always looks worthwhile; in some weeks, alone or in a row, the gate holds back a fifth of the rows."""
    season = draw_season(rng, "quiet")
    season["level"] = (
        season["level"] + 8.0
    )  # the labels to train on do not show it, so the errors stay at 11 minutes
    season["held_back"][[12, 19, 27, 34, *range(42, 48)]] = HELD_BACK
    return season


def frozen(observation, memory):
    """The baseline that never trains again."""
    return "keep", memory


def all_history(observation, memory):
    """The baseline that trains on everything, every week."""
    return "retrain all", memory


def oracle_cost(season, ahead=6):
    """The cost of someone who knows the truth of the next six weeks, and picks each week's best action."""
    model = previous = trained(season, N_HISTORY, "retrain all")
    cost = 0.0
    for now in range(N_HISTORY, N_HISTORY + N_WEEKS):
        choices = [(0.0, model, previous), (0.0, previous, model)]
        choices += [(PRICE, trained(season, now, action), model) for action in ACTIONS[1:5]]
        future = season["level"][now : now + ahead]
        models = np.array([candidate for _, candidate, _ in choices])
        totals = excess(future[None], models[:, None]).sum(axis=1) + [price for price, *_ in choices]
        price, model, previous = choices[int(totals.argmin())]
        cost += price + excess(season["level"][now], model)
    return float(cost)


def cost_by_kind(policy, seasons):
    """The cost of a policy in minutes, summed over the seasons of each kind."""
    costs = dict.fromkeys(KINDS, 0.0)
    for season in seasons:
        costs[season["kind"]] += play(policy, season)
    return costs


@exercise(
    "4.8",
    "When to retrain, and on what",
    answers=("policy",),
    points=6,
    minutes=14,
    objective="4.e",
    edition=2,
    kind=Function(
        "observation",
        "memory",
        returns=Several(Text(options=ACTIONS), Mapping(), names=("action", "memory")),
        may_change=("memory",),
    ),
    hints=(
        "Ask three questions each week. Are the newest rows right? Has the error been high more than once? How many weeks of labels have arrived since the change?",
        "If 8 minutes is normal, two errors of 9.5 or more in a row are rarely due to chance. After training, wait until the first errors of the new model are known.",
        "Training on 1 week gives a noisy model, and training on all weeks adapts slowly. While `held_back` is high, do not train at all.",
    ),
)
def policy(answer, rng, expect):
    """`policy(observation, memory)`: keep, retrain or roll back, week by week, in ten seasons."""
    seasons = draw_seasons(rng)
    on_the_fault = []

    def watched(observation, memory):
        action, memory = answer(observation, memory)
        if action.startswith("retrain") and observation["held_back"][-1] >= HELD_BACK:
            on_the_fault.append((action, observation["week"], observation["held_back"][-1]))
        return action, memory

    costs = cost_by_kind(watched, seasons)
    play(watched, behind_the_gate(rng))
    cold, warm = cost_by_kind(frozen, seasons), cost_by_kind(all_history, seasons)
    best = dict.fromkeys(KINDS, 0.0)
    for season in seasons:
        best[season["kind"]] += oracle_cost(season)
    total, low, high, oracle = (sum(found.values()) for found in (costs, cold, warm, best))
    better = min(low, high)
    limit = oracle + 0.5 * (better - oracle)
    rows = {"you": costs, "frozen": cold, "all history, weekly": warm, "oracle": best}
    table = "; ".join(
        f"{name} {sum(found.values()):.0f} (" + ", ".join(f"{kind} {found[kind]:.0f}" for kind in KINDS) + ")"
        for name, found in rows.items()
    )
    with expect.defining():
        expect.true(
            total < better,
            f"cheaper than `never` and `always`: below {better:.0f} minutes",
            f"the costs: {table}",
        )
        expect.true(
            total <= limit,
            f"at least half of the way from the cheaper of `never` and `always` to the oracle: at most {limit:.0f} minutes",
            f"it costs {total:.0f}" if total >= better else f"the costs: {table}",
        )
        expect.true(
            costs["quiet"] <= 0.42 * warm["quiet"],
            "quiet seasons: at most 42% of what weekly training costs",
            f"it costs {costs['quiet']:.0f} of {warm['quiet']:.0f} minutes",
        )
        expect.true(
            costs["fault"] <= cold["fault"] + 36,
            "fault seasons: at most 36 minutes more than leaving the model alone",
            f"it costs {costs['fault']:.0f} against {cold['fault']:.0f} minutes",
        )
        told = ""
        if on_the_fault:
            action, week, share = on_the_fault[0]
            told = f'"{action}" in week {week}, when {share:.0%} of the newest rows were held back'
        expect.true(
            not on_the_fault, "no training while the gate holds back a fifth of the newest rows or more", told
        )


@policy.acceptable
def pays(answer, rng):
    """By the statement alone, on twenty seasons of its own."""
    sound = []

    def watched(observation, memory):
        action, memory = answer(observation, memory)
        sound.append(observation["held_back"][-1] < 0.2 or not action.startswith("retrain"))
        return action, memory

    costs, cold, warm, best = ({kind: 0.0 for kind in KINDS} for _ in range(4))
    for kind in KINDS * 4:
        season = draw_season(rng, kind)
        for found, player in ((costs, watched), (cold, frozen), (warm, all_history)):
            found[kind] += play(player, season)
        best[kind] += oracle_cost(season)
    play(watched, behind_the_gate(rng))
    total, oracle = sum(costs.values()), sum(best.values())
    half = 0.5 * (min(sum(cold.values()), sum(warm.values())) + oracle)
    return (
        all(sound)
        and total <= half
        and costs["quiet"] <= 0.42 * warm["quiet"]
        and costs["fault"] <= cold["fault"] + 72
    )


def _steps(seen):
    """(observation, action) of each call."""
    return [(call.given[0], call.output[0]) for call in seen.calls if call.output]


def _share(seen, fits):
    steps = _steps(seen)
    return sum(fits(observation, action) for observation, action in steps) / max(len(steps), 1)


@policy.misconception(
    "you never retrain. This is cheap while nothing changes, but by far the most expensive choice after a change. Look at `errors`: when are they too high to be noise?",
    when=lambda seen: _share(seen, lambda _, action: action == "keep") == 1,
)
def keep_for_ever(observation, memory):
    return "keep", memory


@policy.misconception(
    "you train on all history again and again. In quiet seasons, this costs minutes without a benefit. After a change, there are more old weeks than new ones for half a year. Train on recent weeks, and only when `errors` are high.",
    when=lambda seen: _share(seen, lambda _, action: action == "retrain all") > 0.1,
)
def all_history_each_week(observation, memory):
    return "retrain all", memory


@policy.misconception(
    "you train only on the newest week. It has only 60 rows for ten bands, so the new model is noisy. Use more weeks.",
    when=lambda seen: (
        sum(action == "retrain 1" for _, action in _steps(seen))
        > 0.7 * sum(action.startswith("retrain") for _, action in _steps(seen))
        > 0
    ),
)
def newest_week_only(observation, memory):
    errors, gate = observation["errors"], observation["held_back"]
    return ("retrain 1" if errors[-1] > 8.4 and gate[-1] < 0.2 else "keep"), memory


@policy.misconception(
    "you train nearly every week, with or without a reason. Each training costs a minute, and a new model is not always better. Train only when `errors` are high twice in a row.",
    when=lambda seen: _share(seen, lambda _, action: action.startswith("retrain")) > 0.6,
)
def four_weeks_each_week(observation, memory):
    return "retrain 4", memory


@policy.misconception(
    "you trained while the gate was holding back many rows. The model learned the fault and stays wrong after the feed is repaired. Check the last entry of `held_back` before you train.",
    when=lambda seen: any(
        action.startswith("retrain") and observation["held_back"][-1] >= 0.2
        for observation, action in _steps(seen)
    ),
)
def trains_on_the_fault(observation, memory):
    errors = observation["errors"]
    high = min(errors[-2:]) > 9.4 and observation["age"] >= 4
    return ("retrain 4" if high else "keep"), memory


@policy.alternative
def every_four_weeks_behind_the_gate(observation, memory):
    due = observation["age"] >= 5 and max(observation["held_back"][-1:]) < 0.1
    return ("retrain 4" if due else "keep"), memory


@policy.alternative
def two_high_weeks(observation, memory):
    sound = observation["held_back"][-1] < 0.2 and max(observation["held_back"][-2:]) < 0.2
    high = np.mean(observation["errors"][-2:]) > 9.3
    return ("retrain 4" if sound and high and observation["age"] >= 3 else "keep"), memory


@policy.alternative
def evidence_that_adds_up(observation, memory):
    gate, errors = observation["held_back"], observation["errors"]
    total = memory.get("total", 0.0)
    total = 0.0 if gate[-1] > 0.1 else max(0.0, total + errors[-1] - 8.7)
    if total > 2.2 and observation["age"] >= 3:
        return "retrain 4", {"total": 0.0}
    return "keep", {"total": total}
