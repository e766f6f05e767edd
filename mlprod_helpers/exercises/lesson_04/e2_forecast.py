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
    core=True,
    objective="4.a",
    kind=Choice(
        {
            "riders": "riders at the station; year after year, more people ride",
            "air_time": "minutes in the air; the winds turn with the seasons",
            "late": "is this flight more than 15 minutes late? a tree, weekly for ten months",
            "stable": "a law that never changes, with noisy labels",
            "inputs": "the inputs wander, the law stays, the model has the right form",
            "fault": "a drift long ago; the labels of the last three days are in the wrong unit",
            "winter": "tomorrow the second winter begins; there is no input for the season",
        },
        options=(RECENT, ALL),
    ),
    hints=(
        "Ask two questions of each: is an old row still true? And is a recent row at least as true?",
        "Forgetting is paid for in rows. Where old rows are still true, it buys nothing.",
        "In which two cases are the newest rows the least like what comes next?",
    ),
)
def forecast(answer, rng, expect):
    """Seven situations: recency weights or all history?"""
    expect.cases(answer, SITUATIONS)


@forecast.misconception(
    "forgetting was expected to help always, or do no harm. It costs rows: where nothing drifts, you pay and get nothing."
)
def always_forget():
    return dict.fromkeys(SITUATIONS, RECENT)


@forecast.misconception(
    "last winter was forgotten just before winter. When a concept comes back, the old rows are the ones that fit."
)
def forget_last_winter():
    return SITUATIONS | {"winter": RECENT}


@forecast.misconception(
    "the newest rows were trusted because they are new. After a fault they are the broken ones."
)
def trust_the_newest():
    return SITUATIONS | {"fault": RECENT}


@forecast.misconception(
    "a change of the inputs was taken for a change of the law. A model of the right form has learned the law from old rows as well as from new ones."
)
def inputs_are_the_law():
    return SITUATIONS | {"inputs": RECENT}


@forecast.misconception(
    "old rows were kept to be safe. Where the law itself moves, they are not more data, they are data about another world."
)
def never_forget():
    return dict.fromkeys(SITUATIONS, ALL)


@forecast.alternative
def from_the_few():
    return {case: RECENT if case in ("riders", "air_time") else ALL for case in SITUATIONS}


@forecast.alternative
def backwards():
    return dict(reversed(SITUATIONS.items()))
