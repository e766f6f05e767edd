"""Exercise 6.3, What can a shadow see?"""

from mlprod_helpers.lesson.contract import Choice, exercise

SIGHTS = ("visible", "hidden", "harms users")

FAULTS = {
    "crash": "it crashes on flights of one carrier",
    "leak": "it needs 10 MB more memory after each thousand requests",
    "units": "it reads kilometers as miles, so that its answers are too high",
    "clicks": "its list is liked less: fewer people click",
    "loop": "it learns from what its own list made people click, and narrows down",
    "database": "it asks the database that both share five times a request",
    "message": "each answer also sends the passenger a text message",
    "wording": "passengers misread its new wording",
}

RIGHT_SIGHTS = {
    "crash": "visible",
    "leak": "visible",
    "units": "visible",
    "clicks": "hidden",
    "loop": "hidden",
    "database": "harms users",
    "message": "harms users",
    "wording": "hidden",
}


@exercise(
    "6.3",
    "What can a shadow see?",
    answers=("sights",),
    points=4,
    minutes=4,
    objective="6.a",
    kind=Choice(FAULTS, options=SIGHTS),
    hints=(
        "Real code on a real machine answers a copy of a real request. Only what happens after the answer is missing.",
        "One thing is real although it should not be: everything that the copy does to the world outside.",
    ),
)
def sights(answer, rng, expect):
    """Eight faults: shown by a shadow, hidden from it, or hurting users through it."""
    expect.cases(answer, RIGHT_SIGHTS)


@sights.misconception(
    "you expected users to react to a shadow. Nobody saw its list, so nobody clicked, and it had nothing of its own to learn from. Ask for each fault whether somebody must see the answer first."
)
def the_world_answers():
    return RIGHT_SIGHTS | {"clicks": "visible", "loop": "visible"}


@sights.misconception(
    "you took copies to be free. A database that both versions share gets the load of both, so the users of the old version wait. Ask what the two versions have in common."
)
def copies_are_free():
    return RIGHT_SIGHTS | {"database": "visible"}


@sights.misconception(
    "you expected a slow fault to stay hidden. The shadow is a real process under the same traffic, and after some hours its memory has grown. Think of what you can measure without users."
)
def leaks_are_hidden():
    return RIGHT_SIGHTS | {"leak": "hidden"}


@sights.misconception(
    "you took a shadow to have no side effects. Its answer is dropped, but a message that it sent on the way has been sent. Ask what the new code writes, pays or sends."
)
def side_effects_vanish():
    return RIGHT_SIGHTS | {"message": "hidden"}


@sights.misconception(
    "you thought that only users can find wrong numbers. The log has both answers to the same request. Compare them."
)
def numbers_need_users():
    return RIGHT_SIGHTS | {"units": "hidden"}


@sights.alternative
def read_backwards():
    return dict(reversed(RIGHT_SIGHTS.items()))


@sights.alternative
def from_groups():
    groups = {
        "visible": "crash leak units",
        "hidden": "clicks loop wording",
        "harms users": "database message",
    }
    return {fault: sight for sight, faults in groups.items() for fault in faults.split()}
