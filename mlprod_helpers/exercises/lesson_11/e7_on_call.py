"""Exercise 11.7, Ten weeks on call."""

from mlprod_helpers.lesson.contract import Function, Mapping, Sequence, Several, exercise
from mlprod_helpers.oncall import SEEDS, Season, reference, retrain_daily, scale

SHARE = 0.7  # of the way from doing nothing to the oracle
N_SEASONS = 5


class Memory(Mapping):
    """What a policy remembers: a dict, or None."""

    def take(self, value, name):
        return None if value is None else super().take(value, name)


def _cost(policy, seed):
    """The dollars of a season. The policy's exceptions are for the check to tell."""
    season, memory = Season(seed), None
    while not season.over:
        actions, memory = policy(season.morning, memory)
        season.step(actions)
    return season.report().cost


@exercise(
    "11.7",
    "Ten weeks on call",
    answers=("on_call",),
    points=10,
    minutes=15,
    objective="11.d",
    seconds=20,
    kind=Function(
        "observation",
        "memory",
        returns=Several(Sequence(Mapping(keys=("do",))), Memory(), names=("actions", "memory")),
        may_change=("memory",),
    ),
    hints=(
        "Begin with `runbook`: for each alert that fires, carry out its actions, unless you did so in the last four days. Remember the day of each answer in `memory`.",
        "Then use the time between incidents. Start each candidate as a canary, abort it if it gets fewer requests than planned, and retrain about once a week on labels that you can trust.",
        "Finally undo: three days after the last answer, restore what was rolled back, allow three attempts again, and go back to partial automation. On long weekends, do not answer alerts that the calendar explains.",
    ),
)
def on_call(answer, rng, expect):
    """`on_call(observation, memory)`: (actions, memory), each morning of five seasons."""
    seeds = rng.choice(SEEDS, N_SEASONS, replace=False).tolist()
    cost = sum(_cost(answer, seed) for seed in seeds)
    nothing, naive, oracle = (sum(ends) for ends in zip(*map(scale, seeds), strict=True))
    limit = nothing - SHARE * (nothing - oracle)
    told = (
        f"the costs in dollars: you {cost:,.0f}, do nothing {nothing:,.0f}, naive runbook {naive:,.0f}, "
        f"oracle {oracle:,.0f}"
    )
    expect.true(cost < nothing, "five seasons: cheaper than doing nothing", told)
    with expect.defining():
        expect.true(cost < naive, "cheaper than the naive runbook", told if cost < nothing else "")
        expect.true(
            cost <= limit,
            f"at least {SHARE:.0%} of the way from doing nothing to the oracle: at most {limit:,.0f} dollars",
            told if cost < naive else "",
        )


@on_call.acceptable
def _pays(answer, rng):
    """By the statement alone, on six seasons that the check never draws; luck may take ten points of the share."""
    seeds = rng.permutation(range(300, 316))[:6].tolist()
    cost = sum(_cost(answer, seed) for seed in seeds)
    nothing, _, oracle = (sum(ends) for ends in zip(*map(scale, seeds), strict=True))
    return (nothing - cost) / (nothing - oracle) >= SHARE - 0.1


RUNBOOK = {
    "missing_share": [{"do": "roll_back", "what": "distance"}, {"do": "page", "team": "data"}],
    "distance_off_share": [{"do": "roll_back", "what": "distance"}, {"do": "page", "team": "data"}],
    "wind_unchanged_days": [{"do": "roll_back", "what": "wind"}, {"do": "page", "team": "data"}],
    "mismatch_share": [{"do": "roll_back", "what": "code"}],
    "attempts": [{"do": "limit_retries", "most": 2}, {"do": "page", "team": "platform"}],
    "latency_p95": [{"do": "roll_back", "what": "wind"}, {"do": "page", "team": "platform"}],
    "labels_share": [{"do": "page", "team": "airlines"}],
    "late_reviews": [{"do": "automation", "degree": "full"}, {"do": "page", "team": "staffing"}],
    "personal_in_sample": [{"do": "page", "team": "privacy"}],
}
BIG_BANG = {"strategy": "big_bang"}


def _weekly(observation):
    due = observation["day"] % 7 == 0 and observation["rollout"] is None
    return [{"do": "retrain", "days": 28}] if due else []


def _started(observation, plan=None):
    if observation["rollout"] is not None or not observation["candidates"]:
        return []
    action = {"do": "start", "version": observation["candidates"][0]["version"]}
    return [action | ({"plan": plan} if plan else {})]


def _pages(observation, memory, wait):
    """Pages of the runbook for what fires, each at most every `wait` days."""
    day, answered, actions = observation["day"], dict(memory or {}), []
    for one in observation["alerts"]:
        if one["metric"] in RUNBOOK and day - answered.get(one["metric"], -99) >= wait:
            answered[one["metric"]] = day
            actions += [action for action in RUNBOOK[one["metric"]] if action["do"] == "page"]
    return actions, answered


def _each(seen):
    """(observation, actions) of each morning."""
    return [(call.given[0], call.output[0]) for call in seen.calls if isinstance(call.output, tuple | list)]


def _share_with(seen, fits, among=lambda observation: True):
    mornings = [actions for observation, actions in _each(seen) if among(observation)]
    return sum(any(fits(action) for action in actions) for actions in mornings) / max(len(mornings), 1)


def _does(name):
    return lambda action: action["do"] == name


@on_call.misconception(
    "you retrain nearly every morning. A new model does not repair a feed, a unit or a deploy, and it learns from the broken days. Find out what has happened before you retrain.",
    when=lambda seen: _share_with(seen, _does("retrain")) > 0.6,
)
def daily(observation, memory):
    return retrain_daily(observation, memory)


@on_call.misconception(
    "you call the same teams morning after morning. The alert goes on while they work, and each call costs 200 dollars. Remember in `memory` whom you have called, and stop the harm yourself.",
    when=lambda seen: (
        _share_with(seen, _does("page"), among=lambda observation: observation["alerts"]) > 0.35
    ),
)
def calls_every_morning(observation, memory):
    actions, memory = _pages(observation, None, 1)
    return actions + _weekly(observation), memory


@on_call.misconception(
    "you do not react to the alerts. Training and new versions go on as planned, and the incidents last as long as they can. Carry out what the runbook says for an alert.",
    when=lambda seen: (
        not any(
            action["do"] in ("page", "roll_back", "limit_retries", "automation", "gate")
            for _, actions in _each(seen)
            for action in actions
        )
        and _share_with(seen, _does("retrain")) <= 0.6
        and any(actions for _, actions in _each(seen))
    ),
)
def ignores_alerts(observation, memory):
    return _started(observation) or _weekly(observation), memory


@on_call.misconception(
    "you give each candidate to all users at once. The reports look good for every candidate, but one or two of four are worse, slow, or fail at one airport. Start them as canaries.",
    when=lambda seen: any(
        action["do"] == "promote" or (action.get("plan") or {}).get("strategy") == "big_bang"
        for _, actions in _each(seen)
        for action in actions
    ),
)
def everybody_at_once(observation, memory):
    actions, memory = _pages(observation, memory, 4)
    return actions + (_started(observation, BIG_BANG) or _weekly(observation)), memory


@on_call.misconception(
    "you never improve the model. You answer the alerts, but the first model gets older every day, and the candidates are not used. Retrain about once a week, and start candidates as canaries.",
    when=lambda seen: (
        not any(action["do"] in ("retrain", "start") for _, actions in _each(seen) for action in actions)
        and any(action["do"] == "page" for _, actions in _each(seen) for action in actions)
    ),
)
def never_improves(observation, memory):
    return _pages(observation, memory, 4)


@on_call.alternative
def in_five_steps(observation, memory):
    return reference(observation, memory)


@on_call.alternative
def by_runbook(observation, memory):
    day, config, answered = observation["day"], observation["config"], dict(memory or {})
    firing = {one["metric"] for one in observation["alerts"]}
    actions = []
    for metric, answers in RUNBOOK.items():
        if metric in firing and day >= answered.get(metric, -9) + 4:
            answered[metric] = day
            actions += [action for action in answers if action not in actions]
    recent = {metric for metric, last in answered.items() if day - last < 3}
    if "distance" in config["rolled_back"] and not recent & {"missing_share", "distance_off_share"}:
        actions.append({"do": "restore", "what": "distance"})
    if "wind" in config["rolled_back"] and not recent & {"wind_unchanged_days", "latency_p95"}:
        actions.append({"do": "restore", "what": "wind"})
    if config["degree"] == "full" and "late_reviews" not in recent:
        actions.append({"do": "automation", "degree": "partial"})
    start = (
        _started(observation) if not firing & {"labels_share", "missing_share", "distance_off_share"} else []
    )
    old = day - observation["serving"]["trained_until"] >= 7 and "labels_share" not in firing
    if not start and old and observation["rollout"] is None:
        actions.append({"do": "retrain", "days": 28, "half_life": 10.0})
    return actions + start, answered
