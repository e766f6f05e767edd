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
    "queue": "wait for a free place, or refuse with 503",
    "plausible": "check that the answer is finite and in range",
    "validate": "check fields, types and ranges",
    "id": "give the request an id, or use the caller's",
}

RIGHT_ORDER = [
    *("clock", "id", "size", "parse", "validate"),
    *("queue", "predict", "plausible", "respond", "record"),
]

NAMED, SMALL, VALID, TIMED, LOOKED_AT, KNOWN, LET_IN = (
    "a request that is refused has an id",
    "a body that is too large is not read as JSON first",
    "the model sees only what was read and validated",
    "the clock runs while a request is read, checked and queued",
    "users get only answers that were checked",
    "the log line is written when the answer is known",
    "a request without a free place does not reach the model",
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
        "Which steps does every request need, even one that is refused at once? Begin with them.",
        "Refuse a request before you spend time on it, and send the model only requests that have passed all checks.",
        "Write the log line only when everything in it is known. Check the answer before a user gets it.",
    ),
)
def life(answer, rng, expect):
    """The ten steps of a request; several orders are right."""
    first = min(answer.index(step) for step in ("size", "parse", "validate", "queue"))
    expect.true(answer.index("id") < first, NAMED, "a step may refuse the request before it has an id")
    expect.true(_before(answer, "size", "parse"), SMALL, "the body is in memory before its size is checked")
    expect.true(answer.index("clock") < first, TIMED, "a part of the time is missing from the metrics")
    expect.true(_before(answer, "queue", "predict"), LET_IN, "the model is asked before a place is free")
    with expect.defining():
        expect.true(
            _before(answer, "parse", "validate", "predict"),
            VALID,
            "a request can reach the model without all checks"
            if _unchecked(answer)
            else "fields are checked before the body is read",
        )
        expect.true(
            _before(answer, "predict", "plausible", "respond"),
            LOOKED_AT,
            "the answer is sent before it is checked"
            if _before(answer, "respond", "plausible")
            else "there is no answer yet when it is checked",
        )
        early = _before(answer, "record", "predict") or _before(answer, "record", "plausible")
        expect.true(not early, KNOWN, "the line is written too early")


def _unchecked(order):
    """Does the model get a request before it is parsed or before it is validated?"""
    return not (_before(order, "parse", "predict") and _before(order, "validate", "predict"))


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
    "you sent the model a request that was not checked. The model then makes a prediction even for a flight of -5 miles. Put the checks of the input before `predict`.",
    when=lambda seen: _unchecked(seen.values["life"]),
)
def predicts_before_it_validates():
    return ["clock", "id", "size", "parse", "queue", "predict", "validate", "plausible", "respond", "record"]


@life.misconception(
    "you measure only part of the time. Users also wait in the queue and while the body is read, so the measured latency is too short. Start the clock before anything can be refused.",
    when=lambda seen: not held(seen)[TIMED],
)
def clock_around_the_model():
    return ["id", "size", "parse", "validate", "queue", "clock", "predict", "plausible", "respond", "record"]


@life.misconception(
    "you write the log line before the answer is checked. The line cannot say how the request ended, because its status is not known yet. Move `record` toward the end.",
    when=lambda seen: not held(seen)[KNOWN],
)
def logs_on_arrival():
    return _moved("record", 4)


@life.misconception(
    "you gave an id to only some of the requests. Users ask about refused requests, and without an id you cannot find these in the log. Give the id before anything can be refused.",
    when=lambda seen: not held(seen)[NAMED],
)
def names_the_answer_only():
    return _moved("id", 7)


@life.misconception(
    "you check the answer after it is sent. You cannot take back an answer that a user has seen. Put `plausible` between `predict` and `respond`.",
    when=lambda seen: _before(seen.values["life"], "respond", "plausible"),
)
def looks_afterwards():
    return ["clock", "id", "size", "parse", "validate", "queue", "predict", "respond", "plausible", "record"]


@life.misconception(
    "you read a body before you know that it is too large. By then, two gigabytes may be in memory. The header states the length, and you can count the bytes as they arrive, so check the size first.",
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
