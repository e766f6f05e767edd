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
        "Do not look for the panel that moved most. Which one moved first?",
        "If a total moved, look at its parts. If no part moved, the mix changed.",
        "Each of the eight causes occurs once. Begin with the dashboard in which only the weekend differs.",
    ),
)
def causes(answer, rng, expect):
    """Eight dashboards of the shop's search, and what happened on each."""
    expect.cases(answer, RIGHT_CAUSES)


@causes.misconception(
    "you took the panel that moved most for the cause. In this dashboard requests rose *after* the answers had become slow, because clients that wait too long resend their requests. Ask which panel moved first.",
)
def loudest_panel():
    return RIGHT_CAUSES | {"A": "more visitors"}


@causes.misconception(
    "you blamed the model for fewer clicks. Here each device clicks as before, and only the total falls. Look at the lines of the devices: their shares have changed.",
)
def ctr_is_the_model():
    return RIGHT_CAUSES | {"B": "worse model"}


@causes.misconception(
    "you blamed the camera for darker photos. Here each class is as bright as before. Look at the lines of the classes: people send photos of something else.",
)
def brightness_is_the_camera():
    return RIGHT_CAUSES | {"D": "dark camera"}


@causes.misconception(
    "you took the weekend for an incident. On weekends traffic rises by a fifth every week. Check whether anything moved on Friday.",
)
def weekend_as_incident():
    return RIGHT_CAUSES | {"E": "more visitors"}


@causes.misconception(
    "you looked at the clicks first. Here an input broke at the same time, and fewer clicks were the result. Look at the panel of missing rows.",
)
def clicks_before_inputs():
    return RIGHT_CAUSES | {"C": "worse model"}


@causes.misconception(
    "you took slow answers for the cause. Here the visitors came first, and hours later the servers could not keep up. Compare it with the dashboard in which the order is reversed.",
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
