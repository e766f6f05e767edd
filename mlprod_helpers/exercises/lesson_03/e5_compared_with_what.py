"""Exercise 3.5, Compared with what?"""

from mlprod_helpers.lesson.contract import Choice, exercise

TRAINING, BEFORE, LAST_YEAR, SAME_HOURS = (
    "training data",
    "just before",
    "same weeks last year",
    "same hours of other weeks",
)

_SERVICES = {
    "creep": "a sensor in a cold room, always at 4 degrees; its calibration may creep by a little each month",
    "applicants": "loan applicants; the model of 2019 is still in use, and the town grows older year by year",
    "release": "at noon a new version of the data feed went live; did it change the columns?",
    "heating": "demand for heating, trained on eight years of winters and summers; this week is the first cold one",
    "weekend": "orders of a web shop; it is Sunday, 3 in the morning, and there are half as many as at noon yesterday",
    "holidays": "traffic around the school holidays, which come at about the same date each year",
    "lunch": "a canteen's till; from 12 to 1 it is busy each day, and the monitor looks at one hour at a time",
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
        "Ask of each: which change do I want to see, and which change is ordinary? The reference must share the ordinary one and not the other.",
        "What moves a little each month is invisible to a reference that moves along. What comes back each year, or each day, is ordinary.",
    ),
)
def compared_with_what(answer, rng, expect):
    """Seven services, four references."""
    expect.cases(answer, _REFERENCES)


@compared_with_what.misconception(
    "the days just before were right for slow changes. They move along with the drift: each week looks like the last one, and after five years nothing of "
    "the old world is left."
)
def rolling_for_slow():
    return _REFERENCES | {"creep": BEFORE, "applicants": BEFORE}


@compared_with_what.misconception(
    "the training data were right for what has seasons. All its winters and summers together are a wide mixture, and each cold week looks strange against it: an alarm "
    "each December."
)
def training_for_seasons():
    return _REFERENCES | {"heating": TRAINING, "holidays": TRAINING}


@compared_with_what.misconception(
    "the hours just before were a fair comparison at night or at noon. Within a day the ordinary change is larger than most drift: compare like hours with like."
)
def before_for_rhythm():
    return _REFERENCES | {"weekend": BEFORE, "lunch": BEFORE}


@compared_with_what.misconception(
    "a release had to be compared with the distant past. Everything else has changed since then, too; only the hours on both sides of noon differ by nothing but the release."
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
