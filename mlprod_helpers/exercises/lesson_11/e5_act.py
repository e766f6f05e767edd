"""Exercise 11.5, Act once, and in the right order."""

import copy

from mlprod_helpers.lesson.contract import Function, Mapping, Sequence, Several, exercise

SHOWN = 3  # lines that fail and tell their input; more would be a wall of text

PLAYBOOK = {
    "feed outage": [{"do": "roll_back", "what": "distance"}, {"do": "page", "team": "data"}],
    "unit change": [{"do": "roll_back", "what": "distance"}, {"do": "page", "team": "data"}],
    "stuck feature": [{"do": "roll_back", "what": "wind"}, {"do": "page", "team": "data"}],
    "slow dependency": [{"do": "roll_back", "what": "wind"}, {"do": "page", "team": "platform"}],
    "retry storm": [{"do": "limit_retries", "most": 2}, {"do": "page", "team": "platform"}],
    "label outage": [{"do": "page", "team": "airlines"}],
    "drift": [{"do": "retrain", "days": 28}],
    "holiday": [],
}
MIXED = {  # actions that differ in one setting, repeated ones, and two retrainings between others
    "flood": [
        {"do": "limit_retries", "most": 2},
        {"do": "page", "team": "ml"},
        {"do": "page", "team": "ml"},
        {"do": "retrain"},
        {"do": "restore", "what": "wind"},
    ],
    "ebb": [
        {"do": "limit_retries", "most": 1},
        {"do": "retrain", "days": 14},
        {"do": "retrain", "half_life": 14},
        {"do": "start", "version": "retrain 2", "days": 14},
        {"do": "roll_back", "what": "wind"},
        {"do": "page", "team": "ml"},
        {"do": "page", "team": "privacy"},
        {"do": "page", "team": "privacy"},
    ],
}


def _truth(causes, playbook, answered, day, trusted, days=4):
    actions, answered = [], dict(answered)
    for cause in causes:
        if day - answered.get(cause, -days) < days:
            continue
        for action in playbook[cause]:
            blocked = action["do"] == "retrain" and not trusted
            if not blocked and action not in actions:
                actions.append(action)
        answered[cause] = day
    return actions, answered


@exercise(
    "11.5",
    "Act once, and in the right order",
    answers=("act",),
    points=5,
    minutes=8,
    objective="11.c",
    kind=Function(
        "causes",
        "playbook",
        "answered",
        "day",
        "trusted",
        returns=Several(Sequence(Mapping(keys=("do",))), Mapping(), names=("actions", "answered")),
    ),
    hints=(
        "Go through the causes in their order. First decide whether a cause is answered today at all.",
        "A cause that is not in `answered` is always answered. Otherwise compare `day - answered[cause]` with 4.",
        "Before you append an action, test that the list does not have it, and that it is not a `retrain` on labels that cannot be trusted. Write the day into a copy: `answered = dict(answered)`.",
    ),
)
def act(answer, rng, expect):
    """`act(causes, playbook, answered, day, trusted)`: (actions, answered)."""
    day = int(rng.integers(10, 60))
    names = {cause: f"{cause} {rng.integers(10, 99)}" for cause in PLAYBOOK | MIXED}
    renamed = {names[cause]: actions for cause, actions in PLAYBOOK.items()}
    mixed = {names[cause]: actions for cause, actions in MIXED.items()}
    slow, storm = rng.permutation(["slow dependency", "retry storm"]).tolist()
    cases = (
        (([slow], PLAYBOOK, {}, day, True), "one cause, for the first time"),
        (
            ([storm, "label outage"], PLAYBOOK, {storm: day - 1}, day, True),
            "a team works on one of two causes",
        ),
        (([slow, storm], PLAYBOOK, {}, day, True), "two causes for the same team"),
        ((["feed outage", "drift"], PLAYBOOK, {}, day, False), "the labels cannot be trusted"),
        ((["slow dependency", "feed outage"], PLAYBOOK, {}, day, True), "two causes for two teams"),
        ((["drift"], PLAYBOOK, {"drift": day - 9}, day, True), "drift again, after nine days"),
        (([slow], PLAYBOOK, {slow: day - 4}, day, True), "answered exactly four days ago"),
        (([slow], PLAYBOOK, {slow: day - 3, "holiday": 2}, day, True), "answered three days ago"),
        (
            ([storm, slow, "label outage"], PLAYBOOK, {storm: day, slow: day - 1}, day, True),
            "one cause was answered this morning, another one yesterday",
        ),
        (([slow], PLAYBOOK, {slow: 0}, int(rng.integers(1, 4)), True), "answered on day 0"),
        (
            ([names[cause] for cause in ("unit change", "feed outage", "drift")], renamed, {}, 0, True),
            "day 0, with other names",
        ),
        (
            ([names[cause] for cause in rng.permutation(list(MIXED))], mixed, {}, day, False),
            "another playbook; the labels cannot be trusted",
        ),
        (([names[cause] for cause in MIXED], mixed, {}, day, True), "another playbook"),
        ((["holiday"], PLAYBOOK, {}, day, True), "a cause without actions"),
        (
            (rng.permutation(list(PLAYBOOK)).tolist(), PLAYBOOK, {"drift": day + 90}, day + 100, True),
            "all causes on one morning",
        ),
        (([], PLAYBOOK, {"drift": 3}, day, True), "no causes"),
    )
    results = [answer(*copy.deepcopy(given)) for given, _ in cases]
    for number, ((given, what), (actions, answered)) in enumerate(zip(cases, results, strict=True)):
        want, noted = _truth(*given)
        if number in (1, 2, 3, 4):
            with expect.defining():
                _line(expect, actions, want, f"{what}: the actions", given)
        else:
            _line(expect, actions, want, f"{what}: the actions", given)
        _line(expect, answered, noted, f"{what}: the days", given)


def _line(expect, got, want, what, given):
    """One line of the check; the first ones that fail tell their input and what came back."""
    fails = sum(not line.ok for line in expect.lines)
    told = f"{_input(*given)}; you returned {_short(got)}" if fails < SHOWN else ""
    expect.true(got == want, what, told)


def _input(causes, playbook, answered, day, trusted):
    book = "; ".join(f"{cause}: {_short(playbook[cause])}" for cause in causes)
    return f"`causes` {causes}, `answered` {answered}, `day` {day}, `trusted` {trusted}, playbook ({book or '...'})"


def _short(value):
    """Actions with their settings, `[page team=data, retrain days=28]`, and days as they are."""
    if isinstance(value, list):
        told = [[f"{key}={one}" for key, one in action.items() if key != "do"] for action in value]
        return f"[{', '.join(' '.join([str(action['do']), *rest]) for action, rest in zip(value, told, strict=True))}]"
    return str(value)


@act.inputs
def _statement(rng):
    yield ["feed outage", "stuck feature"], PLAYBOOK, {"stuck feature": 18}, 20, True
    yield [], {}, {}, 0, True
    for _ in range(80):
        day = int(rng.integers(0, 70))
        causes = rng.permutation(list(PLAYBOOK))[: int(rng.integers(0, 6))].tolist()
        before = rng.permutation(list(PLAYBOOK))[: int(rng.integers(0, 6))].tolist()
        answered = {cause: int(max(0, day - rng.integers(1, 8))) for cause in before} if day else {}
        yield causes, PLAYBOOK, answered, day, bool(rng.random() < 0.6)
    for trusted in (True, False):
        yield list(MIXED), MIXED, {}, 5, trusted


@act.misconception(
    "you answered a cause again although somebody is working on it. An incident can last for days, and the team is then called every morning. Look into `answered` first.",
)
def every_morning(causes, playbook, answered, day, trusted):
    actions, _ = _truth(causes, playbook, {}, day, trusted)
    return actions, answered | dict.fromkeys(causes, day)


@act.misconception(
    "you listed the same action twice on one morning. Two causes can need the same team or the same rollback, and a second call costs money without helping.",
)
def twice_the_same(causes, playbook, answered, day, trusted):
    due = [cause for cause in causes if day - answered.get(cause, -4) >= 4]
    actions = [action for cause in due for action in playbook[cause]]
    kept = [action for action in actions if trusted or action["do"] != "retrain"]
    return kept, answered | dict.fromkeys(due, day)


@act.misconception(
    "you kept one action of each kind. A call to another team, or the rollback of another feature, is another action, and without it one of the two incidents goes on.",
)
def one_of_a_kind(causes, playbook, answered, day, trusted):
    actions, days = _truth(causes, playbook, answered, day, trusted)
    first = {}
    for action in actions:
        first.setdefault(action["do"], action)
    return list(first.values()), days


@act.misconception(
    "you retrained on labels that cannot be trusted. The new model learns the fault, and stays wrong after the data are repaired.",
)
def trains_on_anything(causes, playbook, answered, day, trusted):
    return _truth(causes, playbook, answered, day, True)


@act.misconception(
    "you wrote today's day for a cause that you did not answer today. Its clock then starts again every morning, and a long incident is never answered a second time.",
)
def clock_restarts(causes, playbook, answered, day, trusted):
    actions, _ = _truth(causes, playbook, answered, day, trusted)
    return actions, answered | dict.fromkeys(causes, day)


@act.misconception(
    "you did nothing at all on a morning without trusted labels. Only training needs them. A rollback or a call helps the users today.",
)
def waits_for_labels(causes, playbook, answered, day, trusted):
    return _truth(causes, playbook, answered, day, True) if trusted else ([], dict(answered))


@act.alternative
def with_two_lists(causes, playbook, answered, day, trusted):
    due = [cause for cause in causes if cause not in answered or day - answered[cause] > 3]
    actions = []
    for action in (action for cause in due for action in playbook[cause]):
        if action["do"] == "retrain" and not trusted:
            continue
        if all(action != other for other in actions):
            actions = [*actions, action]
    return actions, {**answered, **{cause: day for cause in due}}


@act.alternative
def by_items(causes, playbook, answered, day, trusted):
    chosen, days = {}, answered.copy()
    for cause in causes:
        if cause in answered and day < answered[cause] + 4:
            continue
        days[cause] = day
        for action in playbook[cause]:
            if trusted or action["do"] != "retrain":
                chosen.setdefault(tuple(action.items()), action)
    return list(chosen.values()), days
