"""Exercise 2.2, Predict seven AUCs."""

from mlprod_helpers.lesson.contract import Choice, exercise

LOW, GUESS, MIDDLE, HIGH = "below 0.4", "about 0.5", "0.6 to 0.9", "above 0.95"

SEVEN = {
    "halves": GUESS,
    "copy": LOW,
    "number": HIGH,
    "slipped": HIGH,
    "weather": HIGH,
    "airports": MIDDLE,
    "digits": MIDDLE,
}


@exercise(
    "2.2",
    "Predict seven AUCs",
    answers=("guesses",),
    points=3,
    minutes=4,
    objective="2.b",
    kind=Choice(
        {
            "halves": "the flights of May, divided at random into two tables",
            "copy": "one of these halves against an exact copy of itself",
            "number": "the two halves, with a row number as an extra column: 1 to 1440 in one, 1441 to 2879 in the other",
            "slipped": "the flights of May against themselves, three columns slipped by one row",
            "weather": "the flights of January and February against those of July and August, with the weather of the hour as extra columns",
            "airports": "flights from LaGuardia against flights from Kennedy; the columns are the distance in hundreds of miles and the hour",
            "digits": "8 x 8 pictures of handwritten digits: the first half of the file against the second half",
        },
        options=(LOW, GUESS, MIDDLE, HIGH),
    ),
    hints=(
        "Ask this about each pair: if you see one row, what would tell you which table it came from?",
        "Below 0.5 is worse than guessing. When does a classifier learn the wrong table for a row that is held out?",
        "Who wrote the digits at the beginning of the file, and who wrote those at its end?",
    ),
)
def seven(answer, rng, expect):
    """Seven pairs of tables, four ranges."""
    expect.cases(answer, SEVEN)


@seven.misconception(
    "you expected that a slipped join cannot be seen because every column keeps its values. But the combinations are wrong, "
    "for example a carrier paired with a city that it does not serve. A classifier looks at whole rows, so it sees this."
)
def slip_unseen():
    return SEVEN | {"slipped": GUESS}


@seven.misconception(
    "you treated the two halves of a file as random halves. But files have an order. Here the people who wrote the first "
    "digits are not those who wrote the last, and their handwriting differs."
)
def file_order_is_random():
    return SEVEN | {"digits": GUESS}


@seven.misconception(
    "you expected an AUC of 0.5 for a copy. When a row is held out, the model has learned from its twin in the other table, "
    "which has the other label. So it tends to choose the wrong table."
)
def copy_is_even():
    return SEVEN | {"copy": GUESS}


@seven.misconception(
    "you expected that winter and summer are hard to tell apart even with the weather among the columns. The temperature "
    "alone nearly separates January from July. Whether this matters to the model is a different question."
)
def seasons_overlap():
    return SEVEN | {"weather": MIDDLE}


@seven.misconception(
    "you expected that a row number does no harm because nothing about the flights changed. But the classifier only has "
    "to name the table, and every number above 1440 comes from the second one."
)
def number_is_harmless():
    return SEVEN | {"number": GUESS}


@seven.alternative
def from_groups():
    groups = {
        LOW: ["copy"],
        GUESS: ["halves"],
        MIDDLE: ["airports", "digits"],
        HIGH: ["number", "slipped", "weather"],
    }
    return {case: word for word, cases in groups.items() for case in cases}


@seven.alternative
def backwards():
    return dict(reversed(SEVEN.items()))
