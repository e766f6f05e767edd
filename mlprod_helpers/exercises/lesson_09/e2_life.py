"""Exercise 9.2, The life of a request."""

from mlprod_helpers.exercises.lesson_09.support import held
from mlprod_helpers.lesson.contract import Order, exercise

STEPS = {
    "predict": "ask the model",
    "record": "write id, status and latency to the log",
    "size": "refuse a body that is too large",
    "respond": "send status and answer",
    "parse": "read the body as JSON",
    "clock": "start the clock",
    "queue": "wait for a place, or refuse with 503",
    "plausible": "is the answer finite and in range?",
    "validate": "check fields, types and ranges",
    "id": "give it an id, or take the caller's",
}

RIGHT_ORDER = [
    *("clock", "id", "size", "parse", "validate"),
    *("queue", "predict", "plausible", "respond", "record"),
]

NAMED, SMALL, VALID, TIMED, LOOKED_AT, KNOWN, LET_IN = (
    "whatever is refused has an id",
    "a body that is too large is not read as JSON first",
    "the model sees only what was read and validated",
    "the clock runs while a request is read, checked and waits",
    "nobody gets an answer that was not checked",
    "what the record says is already known",
    "a request that finds no place does not reach the model",
)


def _before(order, *chain):
    places = [order.index(step) for step in chain]
    return places == sorted(places)


@exercise(
    "9.2",
    "The life of a request",
    answers=("life",),
    points=3,
    minutes=4,
    objective="9.a",
    edition=2,
    kind=Order(tuple(STEPS)),
    hints=(
        "Begin with what even a request needs that is refused at the very next step.",
        "Cheap refusals come before expensive work, and nothing reaches the model that a check could have stopped.",
        "When the record is written, everything in it must be known. An answer must be checked before a user gets it.",
    ),
)
def life(answer, rng, expect):
    """The ten steps of a request; several orders are right."""
    first = min(answer.index(step) for step in ("size", "parse", "validate", "queue"))
    expect.true(answer.index("id") < first, NAMED, "some step may refuse it before it has one")
    expect.true(_before(answer, "size", "parse"), SMALL, "it is in memory before its size is checked")
    expect.true(answer.index("clock") < first, TIMED, "a part of the time would be missing from the metrics")
    expect.true(_before(answer, "queue", "predict"), LET_IN, "the model works before a place was free")
    with expect.defining():
        expect.true(_before(answer, "parse", "validate", "predict"), VALID, "something gets past the checks")
        expect.true(
            _before(answer, "predict", "plausible", "respond"), LOOKED_AT, "it is sent before it was checked"
        )
        expect.true(_before(answer, "predict", "plausible", "record"), KNOWN, "it is written too early")


def _moved(step, place):
    order = [each for each in RIGHT_ORDER if each != step]
    order.insert(place, step)
    return order


@life.acceptable
def _can_be_defended(answer, rng):
    """Pairs of steps, the first of which must come before the second."""
    pairs = [(early, late) for early in ("id", "clock") for late in ("size", "parse", "validate", "queue")]
    pairs += [("size", "parse"), ("parse", "validate"), ("validate", "predict"), ("queue", "predict")]
    pairs += [("predict", "plausible"), ("plausible", "respond"), ("plausible", "record")]
    order = list(answer)
    return sorted(order) == sorted(STEPS) and all(order.index(a) < order.index(b) for a, b in pairs)


@life.misconception(
    "you let the model see what was not checked. It then answers for a flight of -5 miles, and you pay for it. Put the checks of the input before `predict`.",
    when=lambda seen: not held(seen)[VALID],
)
def predicts_before_it_validates():
    return ["clock", "id", "size", "parse", "queue", "predict", "validate", "plausible", "respond", "record"]


@life.misconception(
    "you measure only a part of the time. Users also wait in the queue and while the body is read, so a late clock shows a fast service to people who wait. Start it before anything can be refused.",
    when=lambda seen: not held(seen)[TIMED],
)
def clock_around_the_model():
    return ["id", "size", "parse", "validate", "queue", "clock", "predict", "plausible", "respond", "record"]


@life.misconception(
    "you write the log line before the answer is known. The line cannot say how the request ended, because status and prediction do not exist yet. Move `record` towards the end.",
    when=lambda seen: not held(seen)[KNOWN],
)
def logs_on_arrival():
    return _moved("record", 4)


@life.misconception(
    "you gave an id only to some requests. People ask about the refused ones, and without an id you cannot find them among a million. Give the id before anything can be refused.",
    when=lambda seen: not held(seen)[NAMED],
)
def names_the_answer_only():
    return _moved("id", 7)


@life.misconception(
    "you check the answer after it was sent. You cannot take back what a user has seen. Put `plausible` between `predict` and `respond`.",
    when=lambda seen: not held(seen)[LOOKED_AT],
)
def looks_afterwards():
    return ["clock", "id", "size", "parse", "validate", "queue", "predict", "respond", "plausible", "record"]


@life.misconception(
    "you read a body before you know that it is too large. By then two gigabytes may be in memory. Its length is announced and can be counted on arrival, so check the size first.",
    when=lambda seen: not held(seen)[SMALL],
)
def reads_everything():
    return ["clock", "id", "parse", "size", "validate", "queue", "predict", "plausible", "respond", "record"]


@life.alternative
def named_first_logged_first():
    return ["id", "clock", "size", "parse", "validate", "queue", "predict", "plausible", "record", "respond"]


@life.alternative
def door_before_the_form():
    return ("id", "clock", "queue", "size", "parse", "validate", "predict", "plausible", "respond", "record")
