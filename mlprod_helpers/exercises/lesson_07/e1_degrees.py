"""Exercise 7.1, Which degree?"""

from mlprod_helpers.exercises.lesson_07.support import NAMES
from mlprod_helpers.lesson.contract import Choice, exercise

SERVICES = {
    "silent": "a model answers each loan request; its answers go to a log that the clerks cannot open",
    "spam": "a filter moves mail to the spam folder; nobody looks at a single one",
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
    core=True,
    objective="7.a",
    kind=Choice(SERVICES, options=NAMES),
    hints=(
        "Two questions part the five: who decides a case, and does that person see the prediction before?",
        "A model that runs and that nobody sees is a shadow. A look at some cases afterwards changes no decision.",
        "Two are shadow, two assistance, two full; one each is left for the other degrees.",
    ),
)
def degrees(answer, rng, expect):
    """Eight services, and the degree of automation of each."""
    expect.cases(answer, RIGHT_DEGREES)


@degrees.misconception(
    "a model that runs beside people helps them. In shadow nobody sees the prediction: that is what makes it an honest comparison.",
)
def shadow_as_assistance():
    return RIGHT_DEGREES | {"silent": "assistance", "blind": "assistance"}


@degrees.misconception(
    "sorting cases were helping with them. In partial automation some cases never reach a person.",
)
def partial_as_assistance():
    return RIGHT_DEGREES | {"sorting": "assistance"}


@degrees.misconception(
    "a confirmed proposal were an automatic one. A person still decides, if only on paper: measure how often they say no.",
)
def button_as_full():
    return RIGHT_DEGREES | {"button": "full"}


@degrees.misconception(
    "an audit were a decision. Looking at 2% afterwards changes none of the others: the model has decided all of them.",
)
def audit_as_partial():
    return RIGHT_DEGREES | {"audited": "partial"}


@degrees.misconception(
    "a model nobody sees were no model. It costs nothing to be wrong in the dark, and that is how it earns the next degree.",
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
