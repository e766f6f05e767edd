"""What somebody on call can do: plain dicts with the key "do", checked before anything happens.

`ACTIONS` names every action with its settings, their defaults and what it does, in words. `read` turns what a policy
returned into complete actions and a list of messages about the rest: an action that cannot be read is not carried
out, the others are.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import NamedTuple

from mlprod_helpers.names import nearest_name
from mlprod_helpers.rollout import Plan

DAY = 86_400.0  # seconds
MOST_ACTIONS = 12  # in one morning
#: team -> what it can repair
TEAMS = {
    "data": "the feeds of distance and wind",
    "platform": "servers, dependencies, the router",
    "ml": "the serving code",
    "airlines": "the reports from which labels are made",
    "staffing": "the people who review",
    "privacy": "what is written to the log",
}
#: What a rollout's judge looks at; see `judges.judge_named`.
JUDGES = ("none", "errors", "errors and latency", "by airport")
DEGREES = ("full", "partial", "human only")
FEATURES = ("distance", "wind")
#: The canary that is meant when a rollout is started without a plan.
CANARY = {"strategy": "canary", "step_weights": [5, 25, 50], "interval": DAY, "threshold": 1}


class Action(NamedTuple):
    """One thing to do: what it does, and its settings with their defaults (`...`: has to be given)."""

    meaning: str
    settings: dict


ACTIONS = {
    "nothing": Action("Wait and see.", {}),
    "retrain": Action(
        "Train a model on the labels that are known: the last `days` (None: all), recent ones counting more (`half_life` "
        "in days), without the days in `skip` (pairs of first and last day of the season). It serves at once, or goes "
        "through a rollout if there is a `plan`.",
        {"days": 28, "half_life": None, "skip": (), "plan": None, "judge": "by airport"},
    ),
    "start": Action(
        "Start the rollout of a candidate, by a plan as `rollout.Plan.to_dict` writes it.",
        {"version": ..., "plan": CANARY, "judge": "by airport"},
    ),
    "pause": Action("Keep the rollout where it is.", {}),
    "resume": Action("Let a paused rollout go on.", {}),
    "promote": Action("Give everybody the new version now.", {}),
    "abort": Action("Take all users back to the old version. A candidate may be started again.", {}),
    "roll_back": Action(
        'Undo a change: "model" returns to the model before this one, "candidate" to the model that served before the candidate, "code" to the serving code before the last deploy (five minutes '
        'of downtime), "wind" to a model without wind, "distance" to the route\'s usual distance.',
        {"what": ...},
    ),
    "restore": Action("Use a feature that was rolled back again.", {"what": ...}),
    "automation": Action(
        'Who predicts: "full" is the model alone; "partial" sends flights whose doubt (minutes) reaches the threshold, and '
        'the destinations in `always`, to people; "human only" sends all.',
        {"degree": ..., "threshold": 12.0, "always": ()},
    ),
    "gate": Action(
        "Refuse inputs of a field that are missing or outside of a range: such requests get no answer, which harms less than "
        "a wild one. Without a range the gate opens.",
        {"field": ..., "low": None, "high": None},
    ),
    "limit_retries": Action("How often a display may send a failed request in all: 1 to 4.", {"most": ...}),
    "threshold": Action(
        "Change the limits of an alert; None for no limit on that side.",
        {"metric": ..., "above": None, "below": None},
    ),
    "page": Action("Call a team. It looks for what it can repair, and says what it found.", {"team": ...}),
}


def read(answer):
    """(complete actions, messages) of what a policy returned: an action, its name, a list of these, or None.

    >>> read([{"do": "page", "team": "data"}, {"do": "page", "team": "dta"}])[1]
    ["page: there is no team 'dta': did you mean 'data'?"]
    >>> read("nothing")
    ([{'do': 'nothing'}], [])
    """
    if answer is None:
        return [], []
    listed = list(answer) if isinstance(answer, list | tuple) else [answer]
    messages = []
    if len(listed) > MOST_ACTIONS:
        messages.append(
            f"{len(listed)} actions in one morning: only the first {MOST_ACTIONS} were carried out."
        )
    actions = []
    for one in listed[:MOST_ACTIONS]:
        try:
            actions.append(_complete({"do": one} if isinstance(one, str) else one))
        except ValueError as error:
            messages.append(str(error))
        except Exception as error:  # an object whose own methods fail
            messages.append(f"An action cannot be read: {type(error).__name__}.")
    return actions, messages


def in_words(action):
    """An action as a short text.

    >>> in_words({"do": "page", "team": "data"})
    'page data'
    """
    shown = [
        f"{value}" if name in ("team", "what", "version", "degree", "field", "metric") else f"{name} {value}"
        for name, value in action.items()
        if name not in ("do", "plan", "judge") and value not in (None, (), [])
    ]
    plan = action.get("plan")
    return " ".join([action["do"].replace("_", " "), *shown, *([plan["strategy"]] if plan else [])])


def _complete(action):
    """The action with all its settings, or a ValueError that says what is wrong."""
    if not isinstance(action, dict) or not isinstance(action.get("do"), str):
        raise ValueError(
            f"An action is a dict such as {{'do': 'page', 'team': 'data'}}, not {_short(action)}."
        )
    do = action["do"]
    if do not in ACTIONS:
        raise ValueError(f"There is no action {do!r}: {nearest_name(do, ACTIONS)}")
    settings = ACTIONS[do].settings
    for name in action:
        if name != "do" and name not in settings:
            known = nearest_name(str(name), settings) if settings else "it takes none"
            raise ValueError(f"{do} has no setting {name!r}: {known}")
    whole = {"do": do} | settings | {name: value for name, value in action.items() if name != "do"}
    for name, value in whole.items():
        if value is ...:
            raise ValueError(f"{do} needs {name!r}: {ACTIONS[do].meaning}")
    try:
        return whole | {name: _CHECKS[name](value) for name, value in whole.items() if name in _CHECKS}
    except (ValueError, TypeError) as error:
        raise ValueError(f"{do}: {error}") from None


def _short(value):
    text = repr(value) if isinstance(value, str | int | float | list | tuple | dict) else type(value).__name__
    return text if len(text) <= 60 else text[:57] + "..."


# --- settings, one check each -------------------------------------------------------------------------------------


def _one_of(words, what):
    def check(value):
        if not isinstance(value, str) or value not in words:
            near = nearest_name(value, words) if isinstance(value, str) else f"one of {', '.join(words)}"
            raise ValueError(f"there is no {what} {_short(value)}: {near}")
        return value

    return check


def _number(value, name, low, high):
    if isinstance(value, bool) or not isinstance(value, Real) or not low <= value <= high:
        raise ValueError(f"{name} is {_short(value)}, but it is a number from {low:g} to {high:g}")
    return float(value)


def _maybe(name, low, high):
    return lambda value: None if value is None else _number(value, name, low, high)


def _days(value):
    return None if value is None else int(_number(value, "days", 3, 365))


def _skip(value):
    pairs = [tuple(int(_number(day, "a day", -365, 365)) for day in pair) for pair in value]
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError("skip is a list of pairs, the first and the last day to leave out")
    return tuple(pairs)


def _texts(value):
    if isinstance(value, str) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"always is {_short(value)}, but it is a list of destinations such as ['SJU']")
    return tuple(value)


def _plan(value):
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValueError(f"plan is {_short(value)}, but it is a dict such as {CANARY}")
    plan = {"interval": DAY} | {name: setting for name, setting in value.items() if setting is not None}
    if plan.get("step_weights") is not None:  # a plan's own dict holds both
        plan = {k: v for k, v in plan.items() if k not in ("step_weight", "max_weight")}
    if not math.isfinite(plan["interval"]) or plan["interval"] < DAY:
        raise ValueError("a check comes each morning: interval is a day, 86400 seconds, or more")
    return Plan.from_dict(plan).to_dict()


def _version(value):
    if not isinstance(value, str):
        raise ValueError(f"version is {_short(value)}, but it is the name of a candidate")
    return value


def _most(value):
    return int(_number(value, "most", 1, 4))


_CHECKS = {
    "days": _days,
    "half_life": _maybe("half_life", 1, 365),
    "skip": _skip,
    "plan": _plan,
    "judge": _one_of(JUDGES, "judge"),
    "version": _version,
    "what": _one_of(("model", "candidate", "code", *FEATURES), "such thing as"),
    "degree": _one_of(DEGREES, "degree"),
    "threshold": lambda value: _number(value, "threshold", 0, 1000),
    "always": _texts,
    "field": _one_of(FEATURES, "field"),
    "low": _maybe("low", -1e6, 1e6),
    "high": _maybe("high", -1e6, 1e6),
    "most": _most,
    "metric": _version,
    "above": _maybe("above", -1e9, 1e9),
    "below": _maybe("below", -1e9, 1e9),
    "team": _one_of(tuple(TEAMS), "team"),
}
