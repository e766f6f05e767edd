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
    objective="1.a",
    kind=Choice(
        {
            "airport": "flights to a new, distant airport; on the known routes the error is as before",
            "jet stream": "same routes, same hours; each flight to the west takes longer than predicted",
            "flu": "three times as many people are ill; among the ill, and among the healthy, symptoms are as before",
            "kilometers": "since Tuesday's release all distances are 1.609 times as long, and their spread grew by the same factor",
            "campaign": "younger users come; users of the same age behave as before",
            "fraud": "payments look as before; some kinds of payment that used to be honest now turn out to be fraud",
            "december": "same days of the week, same prices, but three weeks of higher sales; last December it was the same",
            "forty rows": "a holiday week with 40 requests instead of 4,000; the error is 12% higher",
            "chatbot": "since noon the field 'age' is empty in a third of the rows; the other rows look as before",
        },
        options=("concept", "covariate", "prior", "fault", "nothing"),
    ),
    hints=(
        "Ask in this order: is the data feed broken? Are there enough rows to say anything? Which of P(x), P(y | x) and P(x | y) stayed the same?",
        "'Users of the same age behave as before' says that P(y | x) stayed the same. 'Among the ill, symptoms are as before' says that P(x | y) did.",
        "Something that comes back each year is still a change in one of the three, as long as no input of the model records it.",
    ),
)
def tickets(answer, rng, expect):
    """Nine incident tickets, five diagnoses."""
    expect.cases(answer, NINE)


@tickets.misconception(
    "you took a change of units for a covariate shift. The numbers changed, but no route became longer. The data feed is "
    "broken. Repair it, because a model that is retrained now learns the bug.",
)
def unit_is_covariate():
    return NINE | {"kilometers": "covariate"}


@tickets.misconception(
    "you took an empty field for a change in the users. But the other rows look as before. At noon, a sender "
    "stopped filling in the field, so look at the data feed."
)
def gap_is_covariate():
    return NINE | {"chatbot": "covariate"}


@tickets.misconception(
    "you took the flu season for a changed relation. Ask whether the ill have the same symptoms as before. If P(x | y) "
    "stayed the same, only the mix of ill and healthy changed."
)
def flu_is_concept():
    return NINE | {"flu": "concept"}


@tickets.misconception(
    "you took the flu season for a change in the inputs alone. The symptoms did change on average, but only because there "
    "are more ill people. P(y) changed, and P(x) changed with it."
)
def flu_is_covariate():
    return NINE | {"flu": "covariate"}


@tickets.misconception(
    "you decided that nothing changed because the same thing happens every year. But for three weeks the same inputs "
    "get different answers. This is a recurring drift, and a model with a calendar column can learn it."
)
def december_is_nothing():
    return NINE | {"december": "nothing"}


@tickets.misconception(
    "you took a higher error as proof of a drift. With 40 rows, the mean error of a healthy model is 12% too high or too "
    "low in many weeks. Count the rows before you look for a cause."
)
def small_week_is_drift():
    return NINE | {"forty rows": "concept"}


@tickets.misconception(
    "you took new kinds of rows for a new relation. The same x still gets the same answer, so P(y | x) stayed the same. "
    "There are only more rows in a region that the model hardly knows."
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
