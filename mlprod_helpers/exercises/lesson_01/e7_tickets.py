"""Exercise 1.7, Nine tickets."""

from mlprod_helpers.lesson.contract import Choice, exercise

NINE = {
    "airport": "covariate",
    "jet stream": "concept",
    "flu": "prior",
    "kilometers": "fault",
    "campaign": "covariate",
    "fraud": "concept",
    "december": "concept",
    "forty rows": "nothing",
    "chatbot": "fault",
}


@exercise(
    "1.7",
    "Nine tickets",
    answers=("tickets",),
    points=4,
    minutes=5,
    core=True,
    objective="1.a",
    kind=Choice(
        {
            "airport": "flights to a new, far airport; on the known routes the error is as before",
            "jet stream": "same routes, same hours; each flight west takes longer than predicted",
            "flu": "three times as many are ill; among the ill, and among the healthy, symptoms are as ever",
            "kilometers": "since Tuesday's release all distances are 1.609 times as long, and so is their spread",
            "campaign": "younger users come; users of the same age behave as before",
            "fraud": "payments look as ever; those that used to be honest now turn out to be stolen",
            "december": "same weekdays, same prices, three weeks of higher sales; last December it was the same",
            "forty rows": "a holiday week with 40 requests instead of 4,000; the error is 12 % up",
            "chatbot": "since noon the field 'age' is empty in a third of the rows; in the others all is as before",
        },
        options=("concept", "covariate", "prior", "fault", "nothing"),
    ),
    hints=(
        "Ask in this order: is the pipe broken? Are there enough rows to say anything? Which of P(x), P(y | x), P(x | y) stands?",
        "'Users of the same age behave as before' says that P(y | x) stands. 'Among the ill, symptoms are as ever' says that P(x | y) does.",
        "Something that comes back each year is still a change of one of the three, as long as the model has no input for it.",
    ),
)
def tickets(answer, rng, expect):
    """Nine incident tickets, five diagnoses."""
    expect.cases(answer, NINE)


@tickets.misconception(
    "a change of units were a covariate shift. The numbers moved, the world did not: the pipe is broken. Repair it; a model that is retrained now learns the bug.",
)
def unit_is_covariate():
    return NINE | {"kilometers": "covariate"}


@tickets.misconception(
    "an empty field were a change of the people behind it. Nobody's age became unknown at noon: a sender stopped filling it in."
)
def gap_is_covariate():
    return NINE | {"chatbot": "covariate"}


@tickets.misconception(
    "the flu season were a new law. Ask: among the ill, do symptoms look as before? If P(x | y) stands, only the mix of ill and healthy moved."
)
def flu_is_concept():
    return NINE | {"flu": "concept"}


@tickets.misconception(
    "more ill people were a plain change of the inputs. They come with other symptoms on average, but not at random: the mix of y moved, and drew x along."
)
def flu_is_covariate():
    return NINE | {"flu": "covariate"}


@tickets.misconception(
    "what comes back each year were nothing. For three weeks the same inputs have other answers; that it will return tells you the pattern, recurring, and that a calendar column can learn it."
)
def december_is_nothing():
    return NINE | {"december": "nothing"}


@tickets.misconception(
    "an error that went up were a proof by itself. With 40 rows the mean error of a healthy model is 12 % up or down in many weeks: count the rows before you look for a cause."
)
def small_week_is_drift():
    return NINE | {"forty rows": "concept"}


@tickets.misconception(
    "new rows meant a new law. Where the same x has the same answer as before, the law stands; there is only more of a region that the model hardly knows."
)
def new_rows_new_law():
    return NINE | {"airport": "concept", "campaign": "concept"}


@tickets.alternative
def from_groups():
    groups = {
        "concept": ["jet stream", "fraud", "december"],
        "covariate": ["airport", "campaign"],
        "prior": ["flu"],
        "fault": ["kilometers", "chatbot"],
        "nothing": ["forty rows"],
    }
    return {ticket: word for word, some in groups.items() for ticket in some}


@tickets.alternative
def in_alphabetical_order():
    return dict(sorted(NINE.items()))
