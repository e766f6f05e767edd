"""Exercise 7.1, Which degree?"""

from mlprod_helpers.exercises.lesson_07.support import NAMES
from mlprod_helpers.lesson.contract import Choice, exercise

SERVICES = {
    "silent": "a model answers each loan request; its answers go to a log that the clerks cannot open",
    "spam": "a filter moves mail to the spam folder; nobody checks what it does",
    "xray": "a radiologist sees the image with the model's mark on it, then writes the finding",
    "sorting": "parcels with a clearly read address go straight to the belt, the others to a person",
    "button": "a model proposes each refund; a clerk reads it and presses confirm or change",
    "rules": "an inspector judges each coat against a printed list",
    "audited": "a model sets every price; on Fridays a person looks at 2% of them",
    "blind": "moderators judge all posts; in a month their answers are compared with those of a new model, "
    "which they have not seen",
}

RIGHT_DEGREES = {
    "silent": "shadow",
    "spam": "full",
    "xray": "assistance",
    "sorting": "partial",
    "button": "assistance",
    "rules": "human only",
    "audited": "full",
    "blind": "shadow",
}


@exercise(
    "7.1",
    "Which degree?",
    answers=("degrees",),
    points=4,
    minutes=5,
    objective="7.a",
    kind=Choice(SERVICES, options=NAMES),
    hints=(
        "Ask two questions. Who decides a case? And does that person see the prediction first?",
        "A model that runs while nobody sees its answers is in shadow mode. Checking some cases afterwards changes no decision.",
        "Two are shadow, two are assistance and two are full. The other two degrees have one service each.",
    ),
)
def degrees(answer, rng, expect):
    """Eight services, and the degree of automation of each."""
    expect.cases(answer, RIGHT_DEGREES)


@degrees.misconception(
    "you took shadow mode for assistance. In these services nobody sees the prediction before they decide, so it cannot help or influence them. Ask what the person sees.",
)
def shadow_as_assistance():
    return RIGHT_DEGREES | {"silent": "assistance", "blind": "assistance"}


@degrees.misconception(
    "you took partial automation for assistance. Here some cases never reach a person. Ask who decides a clearly read address.",
)
def partial_as_assistance():
    return RIGHT_DEGREES | {"sorting": "assistance"}


@degrees.misconception(
    "you took a confirmed suggestion for full automation. A person still decides each case, even if they nearly always confirm. Ask who presses the button.",
)
def button_as_full():
    return RIGHT_DEGREES | {"button": "full"}


@degrees.misconception(
    "you took an audit for a decision. Checking 2% of the prices afterwards does not decide the others. Ask who sets the price.",
)
def audit_as_partial():
    return RIGHT_DEGREES | {"audited": "partial"}


@degrees.misconception(
    "you left the model out because nobody sees its answers. It runs and its answers are compared later, which shows whether it may decide more. Look for a degree where people decide and a model answers, too.",
)
def shadow_as_human_only():
    return RIGHT_DEGREES | {"silent": "human only", "blind": "human only"}


@degrees.alternative
def from_the_last():
    return dict(reversed(RIGHT_DEGREES.items()))


@degrees.alternative
def degree_by_degree():
    of = {
        "human only": ["rules"],
        "shadow": ["silent", "blind"],
        "assistance": ["xray", "button"],
        "partial": ["sorting"],
        "full": ["spam", "audited"],
    }
    return {case: degree for degree, cases in of.items() for case in cases}
