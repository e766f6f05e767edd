"""Exercise 5.1, Three scenarios."""

from mlprod_helpers.lesson.contract import Choice, exercise

PROJECTS = {
    "timetable": "the display shows the flight time of the timetable; a model's estimate will replace it",
    "last_call": "agents decide when to call the last passengers; a model will suggest the minute",
    "walk": "the app will say how long the walk to the gate takes; nobody has ever told the passengers",
    "refunds": "clerks approve refunds by hand; clear cases will be approved without them",
    "rules": "400 written rules flag stolen tickets; a classifier will do it from now on",
    "archive": "two million photos that nobody had the time to tag will become searchable",
    "old_model": "a model with other inputs takes over from last year's model",
}

SCENARIOS = ("new capability", "automate or assist", "replace")

SCENARIO_OF = {
    "timetable": "replace",
    "last_call": "automate or assist",
    "walk": "new capability",
    "refunds": "automate or assist",
    "rules": "replace",
    "archive": "new capability",
    "old_model": "replace",
}


@exercise(
    "5.1",
    "Three scenarios",
    answers=("scenarios",),
    points=3,
    minutes=4,
    objective="5.a",
    kind=Choice(PROJECTS, options=SCENARIOS),
    hints=(
        "Ask about each project: who or what gives this answer today?",
        "The answer is nobody, a person, or a system. A table or a set of rules is a system too.",
    ),
)
def scenarios(answer, rng, expect):
    """Seven projects, three scenarios."""
    expect.cases(answer, SCENARIO_OF)


@scenarios.misconception(
    "you counted only a model as an old system. A timetable and a set of rules give answers today as well. "
    "You can compare the model with them and go back to them."
)
def only_models_are_systems():
    return SCENARIO_OF | {"timetable": "new capability", "rules": "new capability"}


@scenarios.misconception(
    "you took work that people do today for something new. Their decisions are your labels and your baseline, and you can fall "
    "back on the people when the model fails. Who gives the answer today?"
)
def people_are_nothing():
    return SCENARIO_OF | {"last_call": "new capability", "refunds": "new capability"}


@scenarios.misconception(
    "you treated people like a system that is switched off. Somebody still handles the unclear cases and overrules bad suggestions. "
    "Look for the projects in which people hand over a part of their work."
)
def people_are_replaced():
    return SCENARIO_OF | {"last_call": "replace", "refunds": "replace"}


@scenarios.misconception(
    "you looked at what the model does, and not at who does it today. Nobody has ever done two of these tasks, so there is no figure to beat "
    "and nothing to fall back on. Which two need a simple baseline first?"
)
def every_task_is_assistance():
    return SCENARIO_OF | {"walk": "automate or assist", "archive": "automate or assist"}


@scenarios.alternative
def other_way_round():
    return dict(reversed(SCENARIO_OF.items()))


@scenarios.alternative
def by_who_answers_today():
    today = {"nobody": ["walk", "archive"], "people": ["last_call", "refunds"]}
    found = dict.fromkeys(PROJECTS, "replace")
    found |= dict.fromkeys(today["nobody"], "new capability")
    return found | dict.fromkeys(today["people"], "automate or assist")
