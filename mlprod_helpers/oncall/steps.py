"""The reference policy in five steps: observe, alert, diagnose, act, verify. Each is a function of plain data.

It uses the observation alone. `reference` puts the steps together and remembers from morning to morning what it has to:
which days it does not want to train on, and which causes it has answered already.
"""

from __future__ import annotations

AGE = 5  # days without training after which it retrains
CANARY = {"strategy": "canary", "step_weights": [10, 50], "threshold": 1}
OF_INPUTS = {"feed_outage", "unit_change", "stuck_feature", "skew"}
AWAY = 4  # days for which the same cause is not answered again
# a metric out of its usual range on so many of the last three mornings is a signal
MORNINGS = {"error_mean": 2, "error_bias": 2, "big_error_share": 2}


def observe(observation, memory):
    """What matters this morning, in a few numbers.

    Parameters
    ----------
    observation : dict, what a season shows in the morning
    memory : dict or None, what `reference` remembered

    Returns
    -------
    dict
        "day"; "values", this morning's metrics; "out", metric -> "high" or "low" for those outside of their usual range;
        "often", metric -> on how many of the last three mornings; "age", days since the last day of training;
        "candidate", the one that serves, or ""; "candidates", those that may be started; "dests", destinations in the log;
        "calendar", "rollout", "config", "pages", "deploys" as in the observation; "memory", with "bad_days", "answered",
        "seen" and "rejected"
    """
    usual, history = observation["usual"], observation["history"]
    sides = {name: [_side(value, *usual[name]) for value in values[-3:]] for name, values in history.items()}
    memory = {"bad_days": [], "answered": {}, "seen": [], "rejected": []} | (memory or {})
    return {
        "day": observation["day"],
        "values": observation["metrics"],
        "out": {name: last[-1] for name, last in sides.items() if last and last[-1]},
        "often": {name: sum(bool(side) for side in last) for name, last in sides.items()},
        "age": observation["day"] - observation["serving"]["trained_until"],
        "calendar": observation["calendar"],
        "candidate": observation["serving"]["candidate"],
        "rollout": observation["rollout"],
        "candidates": [
            candidate["version"]
            for candidate in observation["candidates"]
            if candidate["version"] not in memory["rejected"]
        ],
        "config": observation["config"],
        "pages": observation["pages"],
        "deploys": observation["deploys"],
        "dests": sorted(set(observation["log"]["dest"].tolist())),
        "memory": memory,
    }


def _side(value, low, high):
    if value is None:
        return ""
    return "high" if value > high else "low" if value < low else ""


def alert(state):
    """Which metrics deserve attention: out of their range, often enough, and not explained by the calendar.

    Returns
    -------
    list of names of metrics
    """
    explained = {"requests", "distance_mean", "late_reviews"} if state["calendar"] else set()
    bad_low = {"labels_share", "requests", "distance_mean", "error_bias"}
    return [
        name
        for name, side in state["out"].items()
        if name not in explained
        and (side == "high" or name in bad_low)
        and state["often"][name] >= MORNINGS.get(name, 1)
    ]


# metric -> the cause that alone explains it
SIGNS = {
    "missing_share": "feed_outage",
    "distance_off_share": "unit_change",
    "wind_unchanged_days": "stuck_feature",
    "mismatch_share": "skew",
    "attempts": "retry_storm",
    "latency_p95": "slow_dependency",
    "labels_share": "label_outage",
    "late_reviews": "reviewers",
    "personal_in_sample": "leak",
    "new_route_share": "new_route",
    "requests": "traffic",
}


def diagnose(signals, state):
    """Which causes explain the signals? Causes that have a sign of their own first, then those that are left over.

    Parameters
    ----------
    signals : list of names of metrics
    state : dict, what `observe` returned

    Returns
    -------
    list of kinds of `KINDS`, and of
        "traffic", requests are unusual and nobody knows why; "bad_candidate", the candidate that serves should not; "drift", the
        truth has moved

    >>> diagnose(["missing_share", "error_mean"], {"rollout": None, "candidate": ""})
    ['feed_outage']
    """
    causes = [cause for metric, cause in SIGNS.items() if metric in signals]
    if "retry_storm" in causes and "slow_dependency" in causes:
        causes.remove("slow_dependency")  # repeated requests are slow by themselves
    if state["rollout"] and _loses_users(state["rollout"]):
        causes.append("router")
    explained = {*OF_INPUTS, "new_route", "retry_storm", "slow_dependency"} & set(causes)
    if {"big_error_share", "failed_share"} & set(signals) and state["candidate"] and not explained:
        causes.append("bad_candidate")
    if {"error_mean", "error_bias"} & set(signals) and not OF_INPUTS & set(causes):
        causes.append("drift")
    return causes


def _loses_users(rollout):
    """Whether the new version got clearly fewer requests than its weight says."""
    seen, planned = (rollout["canary_metrics"][name] for name in ("requests", "planned"))
    return planned >= 200 and seen < 0.9 * planned


def act(causes, state):
    """What to do about the causes, and about the candidates and the model's age.

    Returns
    -------
    list of actions
    """
    actions, answered = [], state["memory"]["answered"]
    for cause in causes:
        if state["day"] - answered.get(cause, -AWAY) >= AWAY:
            actions += ANSWERS[cause](state)
    return actions + _of_rollout(causes, state) + _of_age(causes, state)


def _rolled_back(feature, team):
    def answer(state):
        back = [] if feature in state["config"]["rolled_back"] else [{"do": "roll_back", "what": feature}]
        return [*back, {"do": "page", "team": team}]

    return answer


def _review_new(state):
    known = set(state["memory"]["seen"])
    new = [dest for dest in state["dests"] if dest not in known]
    if not new:
        return []
    return [{"do": "automation", "degree": "partial", "threshold": 12.5, "always": new}]


ANSWERS = {
    "feed_outage": _rolled_back("distance", "data"),
    "unit_change": _rolled_back("distance", "data"),
    "stuck_feature": _rolled_back("wind", "data"),
    "skew": lambda state: [{"do": "roll_back", "what": "code"}],
    "slow_dependency": _rolled_back("distance", "platform"),
    "retry_storm": lambda state: [{"do": "limit_retries", "most": 1}, {"do": "page", "team": "platform"}],
    "router": lambda state: [{"do": "abort"}, {"do": "page", "team": "platform"}],
    "label_outage": lambda state: [{"do": "page", "team": "airlines"}],
    "reviewers": lambda state: [{"do": "automation", "degree": "full"}, {"do": "page", "team": "staffing"}],
    "leak": lambda state: [{"do": "page", "team": "privacy"}],
    "new_route": _review_new,
    "bad_candidate": lambda state: [{"do": "roll_back", "what": "candidate"}],
    "traffic": lambda state: [{"do": "page", "team": "platform"}],
    "drift": lambda state: [],
}


def _of_rollout(causes, state):
    """Start a candidate when all is quiet; abort one that is worse where it matters."""
    rollout = state["rollout"]
    if rollout is None:
        if state["day"] - state["memory"]["answered"].get("router", -AWAY) < 2:
            return []
        blocked = {"label_outage", "feed_outage", "unit_change", "skew", "retry_storm", "slow_dependency"}
        if state["candidates"] and not blocked & set(causes):
            return [{"do": "start", "version": state["candidates"][0], "plan": CANARY, "judge": "by airport"}]
        return []
    if "router" in causes:
        return []
    return [{"do": "abort"}] if _is_worse(rollout) else []


def _is_worse(rollout):
    stable, canary = rollout["stable_metrics"], rollout["canary_metrics"]
    if canary["labels"] < 300 or canary["mean_abs_error"] is None or stable["mean_abs_error"] is None:
        return False
    return canary["big_error_share"] - stable["big_error_share"] > 0.01


def _of_age(causes, state):
    """Retrain when the model is old or the truth has moved, on labels that can be trusted."""
    busy = state["rollout"] is not None or state["candidates"]
    labels = state["values"]["labels_share"]
    if busy or "label_outage" in causes or (labels is not None and labels < 0.9):
        return []
    wait = 3 if {"drift", "new_route"} & set(causes) else AGE
    if state["age"] - 2 < wait:
        return []
    return [{"do": "retrain", "days": 28, "half_life": 10.0, "skip": _pairs(state["memory"]["bad_days"])}]


def _pairs(days):
    return [(day, day) for day in days]


# feature -> metrics that have to be usual, causes for which it was rolled back, teams that have to be ready
_BACK = {
    "distance": (
        {"missing_share", "distance_off_share"},
        ("feed_outage", "unit_change", "slow_dependency"),
        {"data", "platform"},
    ),
    "wind": ({"wind_unchanged_days"}, ("stuck_feature",), {"data"}),
}


def verify(state):
    """Undo what is no longer needed: the metric is back in its range, or the team says that it is repaired.

    Returns
    -------
    list of actions
    """
    actions, config = [], state["config"]
    repaired = {page["team"] for page in state["pages"] if page["status"] == "repaired"}
    working = {page["team"] for page in state["pages"] if page["status"] == "working"}
    for feature, (metrics, causes, teams) in _BACK.items():
        waits = min(state["day"] - state["memory"]["answered"].get(cause, -AWAY) for cause in causes) < 2
        broken = metrics & set(state["out"]) or teams & working
        if feature in config["rolled_back"] and not broken and not waits:
            actions.append({"do": "restore", "what": feature})
    if config["retries"] < 3 and "platform" in repaired and "platform" not in working:
        actions.append({"do": "limit_retries", "most": 3})
    if config["degree"] == "full" and "staffing" not in working:
        actions.append({"do": "automation", "degree": "partial"})
    return actions


def remember(causes, state):
    """The memory for tomorrow: days that should not be trained on, causes that were answered, destinations seen."""
    memory = state["memory"]
    bad = set(memory["bad_days"])
    if {"missing_share", "distance_off_share", "wind_unchanged_days"} & set(state["out"]):
        bad.add(state["day"] - 1)
    fresh = [cause for cause in causes if state["day"] - memory["answered"].get(cause, -AWAY) >= AWAY]
    seen = memory["seen"]
    if "new_route" not in causes:
        seen = sorted(set(seen) | set(state["dests"]))
    return {
        "bad_days": sorted(bad),
        "answered": memory["answered"] | dict.fromkeys(fresh, state["day"]),
        "seen": seen,
        "rejected": memory["rejected"] + _rejected(state),
    }


def _rejected(state):
    rollout = state["rollout"]
    return [rollout["version"]] if rollout and _is_worse(rollout) else []


def policy_of(*, observe=observe, alert=alert, diagnose=diagnose, act=act, verify=verify):
    """A policy made of five steps; those that are not given are the reference's.

    >>> blind = policy_of(alert=lambda state: [])  # never sees an alert
    """

    def policy(observation, memory):
        state = observe(observation, memory)
        causes = diagnose(alert(state), state)
        actions = [*act(causes, state), *verify(state)]
        return actions, remember(causes, state)

    return policy


def reference(observation, memory):
    """The reference policy: (actions, memory) for a morning.

    >>> from mlprod_helpers.oncall import Season
    >>> [action["do"] for action in reference(Season(0).morning, None)[0]]  # the first model is 22 days old
    ['retrain']
    """
    return _REFERENCE(observation, memory)


_REFERENCE = policy_of()
