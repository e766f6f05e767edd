"""Exercise 4.2, Will forgetting help?"""

from mlprod_helpers.lesson.contract import Choice, exercise

RECENT, ALL = "recency", "all history"

SITUATIONS = {
    "riders": RECENT,
    "air_time": RECENT,
    "late": ALL,
    "stable": ALL,
    "inputs": ALL,
    "fault": ALL,
    "winter": ALL,
}


@exercise(
    "4.2",
    "Will forgetting help?",
    answers=("forecast",),
    points=3,
    minutes=4,
    objective="4.a",
    kind=Choice(
        {
            "riders": "riders per day at the station; ridership has grown over the years",
            "air_time": "minutes in the air; winds change with the seasons",
            "late": "whether a flight is more than 15 minutes late, predicted by a tree over ten months",
            "stable": "the relation between inputs and label never changes; the labels are noisy",
            "inputs": "the inputs change, the relation does not, and the model has the right form",
            "fault": "there was a drift long ago; the labels of the last three days are in the wrong unit",
            "winter": "the second winter begins tomorrow, and no input shows the season",
        },
        options=(RECENT, ALL),
    ),
    hints=(
        "Ask two questions about each situation. Does the relation in old rows still hold? Can you trust the recent rows?",
        "Forgetting leaves fewer rows to learn from. Where old rows are still right, this has no benefit.",
        "In which two situations do the newest rows differ most from the rows to predict?",
    ),
)
def forecast(answer, rng, expect):
    """Seven situations: recency weights or all history?"""
    expect.cases(answer, SITUATIONS)


@forecast.misconception(
    "you expected forgetting to help everywhere. It leaves fewer rows to learn from, and where nothing drifts, this has no benefit. Look for the situations in which old rows are still right."
)
def always_forget():
    return dict.fromkeys(SITUATIONS, RECENT)


@forecast.misconception(
    "you forgot last winter just before the next one. When an old relation comes back, old rows are the most useful. Which rows are most like tomorrow?"
)
def forget_last_winter():
    return SITUATIONS | {"winter": RECENT}


@forecast.misconception(
    "you trusted the newest rows because they are new. After a fault, the newest rows are wrong. Which rows are in the wrong unit?"
)
def trust_the_newest():
    return SITUATIONS | {"fault": RECENT}


@forecast.misconception(
    "you treated a change of the inputs as a change of the relation. A model of the right form can learn the relation from old rows, too. Does the label change for a given input?"
)
def inputs_are_the_law():
    return SITUATIONS | {"inputs": RECENT}


@forecast.misconception(
    "you kept old rows to be safe. Where the relation changes, old rows teach the model something that is no longer true. In which situations does it change?"
)
def never_forget():
    return dict.fromkeys(SITUATIONS, ALL)


@forecast.alternative
def from_the_few():
    return {case: RECENT if case in ("riders", "air_time") else ALL for case in SITUATIONS}


@forecast.alternative
def backwards():
    return dict(reversed(SITUATIONS.items()))
