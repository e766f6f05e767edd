"""Exercise 11.1, Read eight mornings."""

from mlprod_helpers.lesson.contract import Choice, exercise

CAUSES = (
    "feed outage",
    "unit change",
    "stuck feature",
    "skew",
    "slow dependency",
    "retry storm",
    "label outage",
    "drift",
    "holiday",
)
MORNINGS = {letter: f"morning {letter}" for letter in "ABCDEFGH"}
RIGHT = {
    "A": "label outage",
    "B": "unit change",
    "C": "slow dependency",
    "D": "holiday",
    "E": "drift",
    "F": "retry storm",
    "G": "skew",
    "H": "stuck feature",
}


@exercise(
    "11.1",
    "Read eight mornings",
    answers=("mornings",),
    points=4,
    minutes=5,
    objective="11.a",
    kind=Choice(MORNINGS, options=CAUSES),
    hints=(
        "Errors are symptoms, and they arrive two days late. Look first at the metrics of the inputs and of the labels.",
        "A lower error can mean that the difficult flights have no labels. Slow answers with one attempt for each request have another cause than slow answers with many.",
        "Each cause occurs at most once, and the feed outage does not occur. Drift is what remains when inputs, code and labels are as usual.",
    ),
)
def mornings(answer, rng, expect):
    """Eight mornings of the ETA service, and the cause of each."""
    expect.cases(answer, RIGHT)


@mornings.misconception(
    "you took every rise of the error for drift. Broken inputs and code raise the error too, and retraining does not repair them. Check the metrics of the inputs first.",
)
def all_errors_are_drift():
    return RIGHT | {"B": "drift", "G": "drift"}


@mornings.misconception(
    "you called a wrong distance an outage. On this morning, no value is missing. All values arrive, but those of one airport are too large by the same factor.",
)
def wrong_is_missing():
    return RIGHT | {"B": "feed outage"}


@mornings.misconception(
    "you did not separate the two slow mornings. Compare the attempts: in one case each request is sent once, and in the other the displays themselves create most of the load.",
)
def slow_is_slow():
    return RIGHT | {"C": "retry storm", "F": "slow dependency"}


@mornings.misconception(
    "you read a lower error as good news, or at least as a change of the model. Half of the labels are missing, so this error describes the other flights only.",
)
def lower_is_better():
    return RIGHT | {"A": "drift"}


@mornings.misconception(
    "you took a long weekend for an incident. Requests and distances are unusual, the errors are not, and the calendar says why.",
)
def weekend_as_incident():
    return RIGHT | {"D": "drift"}


@mornings.alternative
def from_h_to_a():
    return dict(reversed(RIGHT.items()))


@mornings.alternative
def cause_by_cause():
    shows = {cause: letter for letter, cause in RIGHT.items()}
    return {shows[cause]: cause for cause in CAUSES if cause in shows}
