"""Exercise 5.1, Three scenarios."""

from mlprod_helpers.lesson.contract import Choice, exercise

PROJECTS = {
    "timetable": "the display shows the timetable's flight time; the model's estimate shall stand there instead",
    "last_call": "agents decide when to call the last passengers; a model shall suggest the minute",
    "walk": "the app shall say how long the walk to the gate takes; nobody has ever told the passengers",
    "refunds": "clerks approve refunds by hand; clear cases shall be approved without them",
    "rules": "400 written rules flag stolen tickets; a classifier shall do it from now on",
    "archive": "two million photos that nobody had the time to tag shall become searchable",
    "old_model": "last year's model gives way to one with other inputs",
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
        "Ask of each project: who or what gives this answer today?",
        "Nobody, a person, or a system: that is all there is to decide. A table or a set of rules is a system too.",
    ),
)
def scenarios(answer, rng, expect):
    """Seven projects, three scenarios."""
    expect.cases(answer, SCENARIO_OF)


@scenarios.misconception(
    "only a model counted as an old system. A timetable and a set of rules answer today as well: you can compare "
    "with them, and go back to them."
)
def only_models_are_systems():
    return SCENARIO_OF | {"timetable": "new capability", "rules": "new capability"}


@scenarios.misconception(
    "work that people do today was taken for something new. Their decisions are your labels and your baseline, and they are "
    "the way back when the model fails."
)
def people_are_nothing():
    return SCENARIO_OF | {"last_call": "new capability", "refunds": "new capability"}


@scenarios.misconception(
    "people were treated like a system that is switched off. They stay: somebody handles the unclear cases and overrules a "
    "bad suggestion, so the first question is how much they hand over."
)
def people_are_replaced():
    return SCENARIO_OF | {"last_call": "replace", "refunds": "replace"}


@scenarios.misconception(
    "the model was asked what it does, not what stands there today. Nobody has ever done these two: there is no figure of "
    "today to beat and nothing to fall back on, so a simple baseline has to be built first."
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
