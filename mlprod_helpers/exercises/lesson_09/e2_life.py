"""Exercise 9.2, The life of a request."""

from mlprod_helpers.exercises.lesson_09.support import held
from mlprod_helpers.lesson.contract import Order, exercise

STEPS = {
    "predict": "compute the features and ask the model",
    "record": "write id, version, status and latency to log and metrics",
    "size": "refuse a body that is too large",
    "respond": "send the status and the answer",
    "parse": "read the body as JSON",
    "clock": "start the clock, one more request in flight",
    "queue": "wait for a free place, or refuse with 503",
    "plausible": "is the answer a finite number in range?",
    "validate": "check fields, types and ranges",
    "id": "give the request an id, or take the caller's",
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
    "nobody gets an answer that was not looked at",
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
    core=True,
    objective="9.a",
    edition=2,
    kind=Order(tuple(STEPS)),
    hints=(
        "Begin with what must be there even for a request that is refused at the very next step.",
        "Cheap refusals come before expensive work, and nothing reaches the model that a check could have stopped.",
        "What the record says must be known when it is written; and what a user gets must have been looked at before.",
    ),
)
def life(answer, rng, expect):
    """The ten steps of a request; several orders are right."""
    first = min(answer.index(step) for step in ("size", "parse", "validate", "queue"))
    expect.true(answer.index("id") < first, NAMED, "some step may refuse it before it has one")
    expect.true(_before(answer, "size", "parse"), SMALL, "it is in memory before its size is looked at")
    expect.true(answer.index("clock") < first, TIMED, "a part of the time would be in no metric")
    expect.true(_before(answer, "queue", "predict"), LET_IN, "the model works before anybody counts")
    with expect.defining():
        expect.true(_before(answer, "parse", "validate", "predict"), VALID, "something gets past the checks")
        expect.true(_before(answer, "predict", "plausible", "respond"), LOOKED_AT, "it is sent unseen")
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
    "the model could be asked first and the input checked later. It has then answered for a flight of -5 miles, and you have paid for it.",
    when=lambda seen: not held(seen)[VALID],
)
def predicts_before_it_validates():
    return ["clock", "id", "size", "parse", "queue", "predict", "validate", "plausible", "respond", "record"]


@life.misconception(
    "latency were the model's time. Users also wait in the queue and while the body is read: a clock that starts late shows a fast service to people who wait.",
    when=lambda seen: not held(seen)[TIMED],
)
def clock_around_the_model():
    return ["id", "size", "parse", "validate", "queue", "clock", "predict", "plausible", "respond", "record"]


@life.misconception(
    "the log were a diary of what comes in. A line written before the answer cannot say how it ended: status, latency and prediction are not known yet.",
    when=lambda seen: not held(seen)[KNOWN],
)
def logs_on_arrival():
    return _moved("record", 4)


@life.misconception(
    "only requests that go well needed a name. Those that are refused are the ones somebody will ask about: which of a million was it?",
    when=lambda seen: not held(seen)[NAMED],
)
def names_the_answer_only():
    return _moved("id", 7)


@life.misconception(
    "the answer could be checked once it is out. What a user has seen cannot be taken back.",
    when=lambda seen: not held(seen)[LOOKED_AT],
)
def looks_afterwards():
    return ["clock", "id", "size", "parse", "validate", "queue", "predict", "respond", "plausible", "record"]


@life.misconception(
    "a body had to be read to know that it is too large. By then two gigabytes are in memory: its length is announced, and can be counted while it comes.",
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
