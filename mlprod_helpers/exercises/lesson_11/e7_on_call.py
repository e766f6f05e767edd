"""Exercise 11.7, Ten weeks on call."""

import functools

from mlprod_helpers.lesson.contract import Function, Mapping, Sequence, Several, exercise
from mlprod_helpers.oncall import (
    ACTIONS,
    FIVES,
    Season,
    policy_of,
    read,
    reference,
    retrain_daily,
    scale,
    verify,
)

HALF, MORE, SHARE = 0.5, 0.6, 0.7  # of the way from doing nothing to the oracle


class Memory(Mapping):
    """What a policy remembers: a dict, or None."""

    def take(self, value, name):
        return None if value is None else super().take(value, name)


def _play(policy, seed, refused=None):
    """(report, whether this is the reference) of a season; a refused action goes to `refused` as (is_readable, day, message).

    The policy's exceptions are for the check to tell.
    """
    season, memory, copied = Season(seed), None, True
    while not season.over:
        day, given = season.day, season.morning
        known = reference(given, memory) if copied else None
        actions, memory = policy(given, memory)
        copied = copied and (actions, memory) == known
        told = season.step(actions)["messages"]
        if refused is not None:
            unread = len(read(actions)[1])  # these messages come first
            refused += [(False, day, text) for text in told[:unread]]
            refused += [(True, day, text) for text in told[unread:] if _is_refusal(text)]
    return season.report(), copied


def _is_refusal(message):
    """Whether a message says why an action could not be done; others begin with a team or a whole sentence."""
    return message.partition(":")[0] in ACTIONS


@functools.lru_cache(64)
def _cost(policy, seed):
    """The dollars of a season."""
    return _play(policy, seed)[0].cost


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
        may_change=("observation", "memory"),
    ),
    hints=(
        "Begin with `runbook`: for each alert that fires, carry out its actions, unless you did so in the last four days. Remember the day of each answer in `memory`.",
        "Then use the time between incidents. Start each candidate as a canary, abort it if it gets fewer requests than planned, and retrain about once a week, unless `labels_share` is among the alerts.",
        "Finally undo: three days after the last answer, restore what was rolled back, allow three attempts again, and go back to partial automation. On long weekends, do not answer alerts that the calendar explains.",
    ),
)
def on_call(answer, rng, expect):
    """`on_call(observation, memory)`: (actions, memory), each morning of five seasons."""
    seeds = rng.choice(FIVES).tolist()
    refused = []
    reports, copies = zip(*(_play(answer, seed, refused) for seed in seeds), strict=True)
    cost = sum(round(report.cost) for report in reports)  # in whole dollars, like `scale`
    nothing, naive, oracle = (sum(ends) for ends in zip(*map(scale, seeds), strict=True))
    limits = {share: nothing - share * (nothing - oracle) for share in (HALF, MORE, SHARE)}
    told = (
        f"{_refusals(refused)}the costs in dollars: you {cost:,.0f} ({_largest(reports)}), do nothing {nothing:,.0f}, "
        f"naive runbook {naive:,.0f}, oracle {oracle:,.0f}"
    )
    if all(copies):
        with expect.defining():
            expect.true(
                False,
                "a policy of your own",
                "this one does what `oncall.reference` does; the task is to write one",
            )
    ladder = [
        ("five seasons: cheaper than doing nothing", cost < nothing),
        ("cheaper than the naive runbook", cost < naive),
    ]
    ladder += [
        (
            f"at least {share:.0%} of the way from doing nothing to the oracle: at most {limit:,.0f} dollars",
            cost <= limit,
        )
        for share, limit in limits.items()
    ]
    for number, (what, holds) in enumerate(ladder):
        why = told if all(line.ok for line in expect.lines) else ""
        if number in (1, 2):
            with expect.defining():
                expect.true(holds, what, why)
        else:
            expect.true(holds, what, why)


def _refusals(refused):
    if not refused:
        return ""
    _, day, text = min(refused, key=lambda one: one[0])  # what cannot be read comes first
    many = (
        f"{len(refused)} actions were refused, for example" if len(refused) > 1 else "one action was refused,"
    )
    return f'{many} on day {day}: "{text[:120]}"; '


def _largest(reports, most=3):
    """The largest costs, by their names in `oncall.cost_table()`."""
    total = {name: sum(report.by_cause[name] for report in reports) for name in reports[0].by_cause}
    largest = sorted(total, key=total.get, reverse=True)[:most]
    return ", ".join(f"{name} {total[name]:,.0f}" for name in largest)


@on_call.acceptable
def _pays(answer, rng):
    """By the statement alone, on seasons that the check never draws: few where the share is clear. Luck may take five points of it."""
    least = SHARE - 0.05
    for seasons, clear in ((range(300, 306), 0.12), (range(300, 312), 0.08), (range(300, 340), 0)):
        cost = sum(_cost(answer, seed) for seed in seasons)
        nothing, _, oracle = (sum(ends) for ends in zip(*map(scale, seasons), strict=True))
        share = (nothing - cost) / (nothing - oracle)
        if abs(share - least) > clear:
            break
    return share >= least


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


def _actions(seen):
    """The actions of each morning."""
    return [call.output[0] for call in seen.calls if isinstance(call.output, tuple | list)]


def _all(seen):
    return [action for actions in _actions(seen) for action in actions]


def _share_with(mornings, fits):
    return sum(any(fits(action) for action in actions) for actions in mornings) / max(len(mornings), 1)


def _is_daily(seen):
    return _share_with(_actions(seen), _does("retrain")) > 0.6


def _calls_often(seen):
    given = [(call.given[0]["alerts"], call.output[0]) for call in seen.calls]
    return _share_with([actions for alerts, actions in given if alerts], _does("page")) > 0.35


def _gives_to_all(action):
    return action["do"] == "promote" or (action.get("plan") or {}).get("strategy") == "big_bang"


def _mitigates(action):
    return action["do"] == "roll_back" or action.get("degree") == "full"


def _undoes(action):
    return (
        action["do"] == "restore"
        or action.get("degree") == "partial"
        or (action["do"] == "limit_retries" and action.get("most") == 3)
    )


def _is_refused(seen):
    """Whether actions are misspelt, or most cannot be done. Then what the code wants is not what was seen."""
    if any(read(actions)[1] for actions in _actions(seen)):
        return True
    told = sum(_is_refusal(text) for call in seen.calls for text in call.given[0]["messages"])
    return 2 * told >= len(_all(seen))


def _does(name):
    return lambda action: action["do"] == name


@on_call.misconception(
    "you retrain nearly every morning. A new model does not repair a feed, a unit or a deploy, and it learns from the broken days. Find out what has happened before you retrain.",
    when=lambda seen: _is_daily(seen) and not _is_refused(seen),
)
def daily(observation, memory):
    return retrain_daily(observation, memory)


@on_call.misconception(
    "you call the same teams morning after morning. The alert goes on while they work, and each call costs 200 dollars. Remember in `memory` whom you have called, and stop the harm yourself.",
    when=lambda seen: _calls_often(seen) and not _is_refused(seen),
)
def calls_every_morning(observation, memory):
    actions, memory = _pages(observation, None, 1)
    return actions + _weekly(observation), memory


@on_call.misconception(
    "you do not react to the alerts. The incidents then last as long as they can, and a new model does not repair them. Carry out what the runbook says for an alert.",
    when=lambda seen: (
        bool(_all(seen))
        and not any(
            action["do"] in ("page", "roll_back", "limit_retries", "automation", "gate")
            for action in _all(seen)
        )
        and not _is_daily(seen)
        and not _is_refused(seen)
    ),
)
def ignores_alerts(observation, memory):
    return _started(observation) or _weekly(observation), memory


@on_call.misconception(
    "you give each candidate to all users at once. The reports look good for every candidate, but one or two of four are worse, slow, or fail at one airport. Start them as canaries.",
    when=lambda seen: any(map(_gives_to_all, _all(seen))) and not _is_refused(seen),
)
def everybody_at_once(observation, memory):
    actions, memory = _pages(observation, memory, 4)
    return actions + (_started(observation, BIG_BANG) or _weekly(observation)), memory


@on_call.misconception(
    "you never improve the model. You answer the alerts, but the first model gets older every day, and the candidates are not used. Retrain about once a week, and start candidates as canaries.",
    when=lambda seen: (
        not any(action["do"] in ("retrain", "start") for action in _all(seen))
        and any(action["do"] == "page" for action in _all(seen))
        and not _is_refused(seen)
    ),
)
def never_improves(observation, memory):
    return _pages(observation, memory, 4)


@on_call.misconception(
    "you never undo a fix. Long after the incident, the model still works without the wind or the distance, or nobody checks the doubtful flights. See what `config` shows, and undo it.",
    when=lambda seen: (
        any(map(_mitigates, _all(seen)))
        and not any(map(_undoes, _all(seen)))
        and any(action["do"] in ("retrain", "start") for action in _all(seen))
        and not any(map(_gives_to_all, _all(seen)))
        and not _is_daily(seen)
        and not _calls_often(seen)
        and not _is_refused(seen)
    ),
)
def never_undoes(observation, memory):
    day, answered, actions = observation["day"], dict(memory or {}), []
    for one in observation["alerts"]:
        if one["metric"] in RUNBOOK and day - answered.get(one["metric"], -99) >= 4:
            answered[one["metric"]] = day
            actions += [action for action in RUNBOOK[one["metric"]] if action not in actions]
    return actions + (_started(observation) or _weekly(observation)), answered


def _a_day_later(state):
    """What `verify` would undo, but not on the day after an answer."""
    last = max(state["memory"]["answered"].values(), default=-9)
    return verify(state) if state["day"] - last >= 2 else []


_STEPS = policy_of(verify=_a_day_later)


@on_call.alternative
def in_five_steps(observation, memory):
    return _STEPS(observation, memory)


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


on_call.survives(
    "alternative by_runbook: `for ... in RUNBOOK.items()` skips the first",
    "without an answer to missing distances it avoids 67% over all 200 seasons, so luck gives it all points on one group of five in six",
)
