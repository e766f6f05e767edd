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
        "A copy of a real request is computed by real code on a real machine. What is missing is what happens after the answer.",
        "And one thing is real although it should not be: everything that the copy does to the world outside.",
    ),
)
def sights(answer, rng, expect):
    """Eight faults: shown by a shadow, hidden from it, or hurting users through it."""
    expect.cases(answer, RIGHT_SIGHTS)


@sights.misconception(
    "a shadow's choice had consequences. Its list changed nothing in the world: nobody saw it, nobody clicked, and there was nothing of its own to learn from."
)
def the_world_answers():
    return RIGHT_SIGHTS | {"clicks": "visible", "loop": "visible"}


@sights.misconception(
    "copies cost users nothing. What both versions share gets the load of both: the old version's users wait, too."
)
def copies_are_free():
    return RIGHT_SIGHTS | {"database": "visible"}


@sights.misconception(
    "what grows slowly stayed hidden. It is the same process under the same traffic: after some hours the memory shows it."
)
def leaks_are_hidden():
    return RIGHT_SIGHTS | {"leak": "hidden"}


@sights.misconception(
    "an answer that nobody sees could do nothing. The answer is dropped, but what was sent on the way is sent: a copy must not write, pay or send."
)
def side_effects_vanish():
    return RIGHT_SIGHTS | {"message": "hidden"}


@sights.misconception(
    "one needed users to see wrong numbers. Both answers to the same request are in the log: lay them side by side."
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
