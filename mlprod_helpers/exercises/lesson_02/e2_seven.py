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
    core=True,
    objective="2.b",
    kind=Choice(
        {
            "halves": "the flights of May, dealt at random into two tables",
            "copy": "one of these halves against an exact copy of itself",
            "number": "the two halves, with a running number: 1 to 1440 in one, 1441 to 2879 in the other",
            "slipped": "the flights of May against themselves, three columns slipped by one row",
            "weather": "January and February against July and August, with the hour's weather",
            "airports": "flights from LaGuardia against Kennedy: distance in hundreds of miles, and hour",
            "digits": "8 x 8 pictures of digits: first half of the file against the second half",
        },
        options=(LOW, GUESS, MIDDLE, HIGH),
    ),
    hints=(
        "Ask of each pair: given one row, what would let you say which table it came from?",
        "Below 0.5 means worse than guessing. When would a classifier learn the wrong table for a row that it has not seen?",
        "Who wrote the digits at the beginning of the file, and who those at its end?",
    ),
)
def seven(answer, rng, expect):
    """Seven pairs of tables, four ranges."""
    expect.cases(answer, SEVEN)


@seven.misconception(
    "a slipped join could not be seen, since every column keeps exactly its values. It is the pairs that are wrong: "
    "a carrier beside a city that it does not serve. A monitor that looks at one column at a time is blind to it."
)
def slip_unseen():
    return SEVEN | {"slipped": GUESS}


@seven.misconception(
    "the two halves of a file were random halves. Files have an order: here a few writers follow each other, and each has a hand of their own."
)
def file_order_is_random():
    return SEVEN | {"digits": GUESS}


@seven.misconception(
    "a copy gave an AUC of 0.5. Each row's twin is in the other table, and when the row is left out its twin is still there to learn "
    "from, with the other label. So every row is taken for the wrong table."
)
def copy_is_even():
    return SEVEN | {"copy": GUESS}


@seven.misconception(
    "winter and summer were hard to tell apart once the weather is there. Temperature alone tells January from July. Whether that matters "
    "for the model is another question, and a better one."
)
def seasons_overlap():
    return SEVEN | {"weather": MIDDLE}


@seven.misconception(
    "a running number said nothing because the world did not change. The classifier is not asked about the world, only about the table: "
    "any number above 1440 gives it away."
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
