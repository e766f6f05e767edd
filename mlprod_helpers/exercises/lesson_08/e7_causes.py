"""Exercise 8.7, Read eight dashboards."""

from mlprod_helpers.lesson.contract import Choice, exercise
from mlprod_helpers.monitoring.boards import RIGHT_CAUSES

CAUSES = (
    "nothing",
    "broken feed",
    "dark camera",
    "slow dependency",
    "more visitors",
    "worse model",
    "other visitors",
    "other photos",
)

BOARDS = {letter: f"dashboard {letter}" for letter in "ABCDEFGH"}


@exercise(
    "8.7",
    "Read eight dashboards",
    answers=("causes",),
    points=4,
    minutes=7,
    objective="8.d",
    kind=Choice(BOARDS, options=CAUSES),
    hints=(
        "Do not look for the loudest panel. Which one moved first?",
        "Where a total moved, look at its parts. If no part moved, the mix did.",
        "Each of the eight causes occurs once. Begin with the one in which nothing moves but the weekend.",
    ),
)
def causes(answer, rng, expect):
    """Eight dashboards of the shop's search, and what happened on each."""
    expect.cases(answer, RIGHT_CAUSES)


@causes.misconception(
    "the loudest panel were the cause. Requests went up *after* the answers had become slow: clients that wait too long send again. Put the panels in the order of time.",
)
def loudest_panel():
    return RIGHT_CAUSES | {"A": "more visitors"}


@causes.misconception(
    "fewer clicks meant a worse model. Look at the devices: where each part clicks as before and only the whole falls, the parts have changed their size.",
)
def ctr_is_the_model():
    return RIGHT_CAUSES | {"B": "worse model"}


@causes.misconception(
    "darker photos meant a darker camera. Look at the classes: where each is as bright as before, people send photos of something else.",
)
def brightness_is_the_camera():
    return RIGHT_CAUSES | {"D": "dark camera"}


@causes.misconception(
    "every movement were an incident. Weekends come every week.",
)
def weekend_as_incident():
    return RIGHT_CAUSES | {"E": "more visitors"}


@causes.misconception(
    "clicks told the cause. Here an input broke in the same hour, and clicks followed.",
)
def clicks_before_inputs():
    return RIGHT_CAUSES | {"C": "worse model"}


@causes.misconception(
    "slow answers came first. Here the visitors came, and hours later the servers no longer kept up: the order is the other way round in a dashboard nearby.",
)
def queue_as_dependency():
    return RIGHT_CAUSES | {"G": "slow dependency"}


@causes.alternative
def from_h_to_a():
    return dict(reversed(RIGHT_CAUSES.items()))


@causes.alternative
def cause_by_cause():
    shows = {cause: letter for letter, cause in RIGHT_CAUSES.items()}
    return {shows[cause]: cause for cause in CAUSES}
