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
            "riders": "riders at the station; ridership has grown over the years",
            "air_time": "minutes in the air; winds change with the seasons",
            "late": "is this flight more than 15 minutes late? a tree, tested weekly for ten months",
            "stable": "inputs and label are always related in the same way; noisy labels",
            "inputs": "the inputs move, the relation stays the same, the model has the right form",
            "fault": "a drift long ago; the labels of the last three days are in the wrong unit",
            "winter": "tomorrow the second winter begins; there is no input for the season",
        },
        options=(RECENT, ALL),
    ),
    hints=(
        "Ask two questions about each situation. Is an old row still right? Is a recent row at least as right?",
        "Forgetting costs rows. Where old rows are still right, you get nothing for them.",
        "In which two situations are the newest rows the least like what comes next?",
    ),
)
def forecast(answer, rng, expect):
    """Seven situations: recency weights or all history?"""
    expect.cases(answer, SITUATIONS)


@forecast.misconception(
    "you expected forgetting to help everywhere. It costs rows, and where nothing drifts you get nothing for them. Look for the situations in which old rows are still right."
)
def always_forget():
    return dict.fromkeys(SITUATIONS, RECENT)


@forecast.misconception(
    "you forgot last winter just before the next one. When an old relation comes back, the old rows are the ones that fit. Which rows are most like tomorrow?"
)
def forget_last_winter():
    return SITUATIONS | {"winter": RECENT}


@forecast.misconception(
    "you trusted the newest rows because they are new. After a fault they are the wrong ones. Which rows has the wrong unit reached?"
)
def trust_the_newest():
    return SITUATIONS | {"fault": RECENT}


@forecast.misconception(
    "you took a change of the inputs for a change of the relation. A model of the right form learns the relation from old rows as well as from new ones. What has changed for a given input?"
)
def inputs_are_the_law():
    return SITUATIONS | {"inputs": RECENT}


@forecast.misconception(
    "you kept old rows to be safe. Where the relation itself moves, old rows teach the model something that is no longer true. In which situations does it move?"
)
def never_forget():
    return dict.fromkeys(SITUATIONS, ALL)


@forecast.alternative
def from_the_few():
    return {case: RECENT if case in ("riders", "air_time") else ALL for case in SITUATIONS}


@forecast.alternative
def backwards():
    return dict(reversed(SITUATIONS.items()))
