"""Exercise 9.6, Alive or ready?"""

from mlprod_helpers.lesson.contract import Choice, exercise

ACTIONS = ("restart", "out_of_rotation", "leave")

STATES = {
    "loading": "started 20 s ago and is loading its model, which usually takes 40 s",
    "stuck": "has answered nothing for a minute, not even /healthz, and uses no CPU",
    "draining": "was asked to stop and is finishing its last 12 requests",
    "database": "answers 503, because the database that all replicas share is down",
    "overload": "is full, like all other replicas, and refuses one request in five with 503",
    "checksum": "refuses its model file because of a wrong checksum; the others are fine",
    "pause": "took 2 s for one answer, but 1 ms for those before and after it",
    "leak": "uses 96% of its memory limit, 1% more each hour; the others are fine",
}

RIGHT_STATES = {
    "loading": "out_of_rotation",
    "stuck": "restart",
    "draining": "out_of_rotation",
    "database": "leave",
    "overload": "leave",
    "checksum": "out_of_rotation",
    "pause": "leave",
    "leak": "restart",
}


@exercise(
    "9.6",
    "Alive or ready?",
    answers=("care",),
    points=4,
    minutes=4,
    objective="9.d",
    kind=Choice(STATES, options=ACTIONS),
    hints=(
        "Ask two questions for each state. Would a new process be any better? Should this one get requests now?",
        "Then ask a third one. What happens if all replicas are in this state and all get the same treatment?",
    ),
)
def care(answer, rng, expect):
    """Eight states of one replica: restart it, take it out of rotation, or leave it."""
    right = dict(RIGHT_STATES)
    if answer["database"] == "out_of_rotation":  # both are done, with good reasons; killing it is not
        right["database"] = "out_of_rotation"
    if answer["leak"] == "out_of_rotation":  # first out, then a new one: the order in which it is done
        right["leak"] = "out_of_rotation"
    expect.cases(answer, right)


@care.acceptable
def _does_no_harm(answer, rng):
    """Two of the states are treated in two ways, both with good reasons."""
    also = {"database": "out_of_rotation", "leak": "out_of_rotation"}
    return set(answer) == set(RIGHT_STATES) and all(
        action in (RIGHT_STATES[state], also.get(state)) for state, action in answer.items()
    )


@care.misconception(
    "you restarted a process that is not ready yet. If it is restarted after 20 of 40 seconds, it will never finish loading. For now, it should just not get any requests.",
)
def restarts_the_loading():
    return RIGHT_STATES | {"loading": "restart"}


@care.misconception(
    "you restarted a process because of a fault outside it. The database stays down, and now all replicas restart together. Ask whether a new process would be any better.",
)
def restarts_for_the_database():
    return RIGHT_STATES | {"database": "restart"}


@care.misconception(
    "you restarted a replica that is draining. It is still serving twelve requests, and those users would get an error. Let it finish without new requests.",
)
def restarts_the_draining():
    return RIGHT_STATES | {"draining": "restart"}


@care.misconception(
    "you took a replica out of rotation because it refuses some requests. A full replica should do this. Its users would move to the others, which are full too, so leave it alone.",
)
def takes_the_full_away():
    return RIGHT_STATES | {"overload": "out_of_rotation"}


@care.misconception(
    "you restarted a process to repair a file. The new process reads the same bytes and refuses them again. Take it out of rotation until somebody has repaired the file.",
)
def restarts_for_a_file():
    return RIGHT_STATES | {"checksum": "restart"}


@care.misconception(
    "you expected a stuck process to recover by itself. It answers nothing at all, and it stays stuck even if it gets no requests. Only a new process helps here.",
)
def waits_for_the_stuck():
    return RIGHT_STATES | {"stuck": "out_of_rotation"}


@care.misconception(
    "you restarted a process because of one slow answer. Such a pause ends by itself. Act only when probes fail several times in a row.",
)
def restarts_for_a_pause():
    return RIGHT_STATES | {"pause": "restart"}


@care.alternative
def read_backwards():
    return dict(reversed(RIGHT_STATES.items()))


@care.alternative
def with_the_other_school():
    return RIGHT_STATES | {"database": "out_of_rotation", "leak": "out_of_rotation"}
