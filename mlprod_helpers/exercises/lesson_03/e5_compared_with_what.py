"""Exercise 3.5, Compared with what?"""

from mlprod_helpers.lesson.contract import Choice, exercise

TRAINING, BEFORE, LAST_YEAR, SAME_HOURS = (
    "training data",
    "just before",
    "same weeks last year",
    "same hours of other weeks",
)

_SERVICES = {
    "creep": "a sensor in a cold room that is always at 4 degrees; its calibration may change a little each month",
    "applicants": "loan applicants; the model of 2019 is still in use, and the town's average age rises every year",
    "release": "at noon a new version of the data feed went live; did it change the columns?",
    "heating": "demand for heating; the model was trained on eight years of winters and summers, and this is the first cold week",
    "weekend": "orders of a web shop; it is Sunday, 3 in the morning, and there are half as many orders as at noon yesterday",
    "holidays": "traffic around the school holidays, which come at about the same date each year",
    "lunch": "the till of a canteen; from 12 to 1 it is busy each day, and the monitor looks at one hour at a time",
}

_REFERENCES = {
    "creep": TRAINING,
    "applicants": TRAINING,
    "release": BEFORE,
    "heating": LAST_YEAR,
    "weekend": SAME_HOURS,
    "holidays": LAST_YEAR,
    "lunch": SAME_HOURS,
}


@exercise(
    "3.5",
    "Compared with what?",
    answers=("references_of",),
    points=3,
    minutes=4,
    objective="3.c",
    kind=Choice(_SERVICES, options=(TRAINING, BEFORE, LAST_YEAR, SAME_HOURS)),
    hints=(
        "Ask for each service: which change do I want to see, and which change is ordinary? The reference must contain the ordinary change and not the other one.",
        "A reference that changes along with the data cannot show a change that is a little larger each month. A pattern that comes back each year, or each day, is ordinary.",
    ),
)
def compared_with_what(answer, rng, expect):
    """Seven services, four references."""
    expect.cases(answer, _REFERENCES)


@compared_with_what.misconception(
    "you chose the days just before for slow changes. They change along with the drift. Each week looks like the last one, "
    "and after five years the reference has changed completely. Use a fixed reference."
)
def rolling_for_slow():
    return _REFERENCES | {"creep": BEFORE, "applicants": BEFORE}


@compared_with_what.misconception(
    "you chose the training data for something with seasons. They mix all winters and summers, so each cold week looks strange. You would get an alarm each December."
)
def training_for_seasons():
    return _REFERENCES | {"heating": TRAINING, "holidays": TRAINING}


@compared_with_what.misconception(
    "you chose the hours just before for a service with a daily rhythm. Within a day the ordinary change is larger than "
    "most drift. Compare an hour with the same hour of other weeks."
)
def before_for_rhythm():
    return _REFERENCES | {"weekend": BEFORE, "lunch": BEFORE}


@compared_with_what.misconception(
    "you compared a release with the distant past. Many other things have changed since then. Compare the hour just before noon with the hour just after it: almost nothing but the release has changed."
)
def training_for_release():
    return _REFERENCES | {"release": TRAINING}


@compared_with_what.alternative
def in_groups():
    groups = {
        TRAINING: ("creep", "applicants"),
        LAST_YEAR: ("heating", "holidays"),
        SAME_HOURS: ("weekend", "lunch"),
        BEFORE: ("release",),
    }
    return {case: word for word, cases in groups.items() for case in cases}


@compared_with_what.alternative
def backwards():
    return dict(reversed(_REFERENCES.items()))
