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
        "Do not look for the panel that changed most. Which one changed first?",
        "If a total changed, look at its parts. If no part changed, the mix did.",
        "Each of the eight causes occurs once. Begin with the dashboard on which only the weekend is different.",
    ),
)
def causes(answer, rng, expect):
    """Eight dashboards of the shop's search, and what happened on each."""
    expect.cases(answer, RIGHT_CAUSES)


@causes.misconception(
    "you took the panel that changed most for the cause. On this dashboard, requests rose *after* the answers had become slow, because clients that wait too long send their requests again. Ask which panel changed first.",
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
    "you took the weekend for an incident. Traffic rises by a fifth every weekend. Check whether anything changed on Friday.",
)
def weekend_as_incident():
    return RIGHT_CAUSES | {"E": "more visitors"}


@causes.misconception(
    "you looked at the clicks first. Here an input went missing at the same time, and fewer clicks were the result. Look at the panel of missing rows.",
)
def clicks_before_inputs():
    return RIGHT_CAUSES | {"C": "worse model"}


@causes.misconception(
    "you took slow answers for the cause. Here more visitors came first, and hours later the servers could not keep up. Compare this with the dashboard on which answers became slow first.",
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
