"""Exercises of lesson 09, model serving: what a request meets between the door and the log, and who decides when it goes wrong."""

import contextlib
import itertools
import json
import math

import numpy as np
import pandas as pd

from mlprod_helpers.exercises import serving_runs
from mlprod_helpers.exercises.serving_runs import LATE_MS, OFF_MIN, SHIFT_S
from mlprod_helpers.lesson.contract import (
    Choice,
    Function,
    Mapping,
    Number,
    Order,
    Raised,
    Sequence,
    Several,
    Text,
    exercise,
)
from mlprod_helpers.queueing import simulate

EDITION = 2


def _held(seen):
    """What each expectation asked, without the counts in brackets -> whether it holds."""
    return {what.split(" (")[0]: ok for what, ok, *_ in seen.verdicts}


# ------------------------------------------------------------------ 9.1 open or closed loop

SCHEDULED, QUIET, GAVE_UP, FEW_LOST, LOST = (
    "a tester with a schedule, and a pause of the server",
    "users on their own, no pause",
    "users on their own, who give up during a pause",
    "users on their own, a pause, and one request in 200 that was never answered",
    "some requests that were never answered",
)


def _given_up(due, finish, timeout):
    return np.where(finish - due > timeout, np.nan, finish)


@exercise(
    "9.1",
    "What did users wait?",
    answers=("p99",),
    points=4,
    minutes=7,
    core=True,
    objective="9.b",
    edition=2,
    kind=Function("due", "sent", "finish", "timeout", returns=Number()),
    hints=(
        "When does a user begin to wait: when the request was due, or when the tester got round to sending it?",
        "A request that was given up has no `finish`. Its user waited for at least `timeout` seconds, and that counts.",
        "`np.isnan(finish)` finds those; `np.where` puts another number in their place; `np.quantile(..., 0.99)` does the rest.",
    ),
)
def p99(answer, rng, expect):
    """`p99(due, sent, finish, timeout)` in seconds: arrays of times, finish NaN where nobody answered in time."""
    cases = [(SCHEDULED, *serving_runs.scheduled_tester(rng), 60.0)]
    cases.append((QUIET, *serving_runs.users_in_peace(rng), 5.0))
    timeout = float(rng.integers(2, 5))
    due, sent, finish = serving_runs.users_around_the_pause(rng)
    cases.append((GAVE_UP, due, sent, _given_up(due, finish, timeout), timeout))
    due, sent, finish = serving_runs.users_around_the_pause(rng)
    lost = rng.permutation(len(due)) < len(due) // 200
    cases.append((FEW_LOST, due, sent, np.where(lost, np.nan, finish), 60.0))
    due, sent, finish = serving_runs.users_in_peace(rng)
    lost = rng.random(len(due)) < rng.uniform(0.02, 0.05)
    cases.append((LOST, due, sent, np.where(lost, np.nan, finish), 1.0))
    for what, due, sent, finish, timeout in cases:
        got = answer(due, sent, finish, timeout)
        rtol = 0.1 if what == QUIET else 0.03  # in a thin tail the conventions of a quantile differ
        defining = what in (SCHEDULED, LOST, GAVE_UP)
        counts = f"{len(due)} requests, {np.isnan(finish).sum()} without an answer, timeout {timeout:g} s"
        with expect.defining() if defining else contextlib.nullcontext():
            expect.close(got, _p99(due, finish, timeout), f"{what} ({counts})", rtol=rtol)


@p99.acceptable
def _near_the_99th(answer, rng):
    """Between the 98.9th and the 99.1st of 100 by counting, on logs that are made up."""
    for lost in (0.0, 0.004, 0.03):
        n = int(rng.integers(3000, 5000))
        due = np.sort(rng.uniform(0, 100, n))
        stop = rng.uniform(30, 60)
        finish = np.maximum(due, np.where((due > stop) & (due < stop + 8), stop + 8, 0)) + 0.001
        sent = np.where((due > stop) & (due < stop + 8), finish - 0.001, due)
        finish = np.where(rng.random(n) < lost, np.nan, finish)
        waited = np.sort(np.where(np.isnan(finish), 20.0, finish - due))
        low, high = waited[int(0.988 * n)], waited[min(int(0.992 * n) + 1, n - 1)]
        if not low - 1e-9 <= float(answer(due, sent, finish, 20.0)) <= high + 1e-9:
            return False
    return True


def _is_about(seen, case, wrong):
    """Whether the output of a case is what `wrong(due, sent, finish, timeout)` gives, up to the kind of quantile."""
    call = seen.calls[case]
    return abs(call.output / wrong(*call.given) - 1) < 0.1


def _p99(since, finish, timeout):
    return float(np.quantile(np.where(np.isnan(finish), timeout, finish - since), 0.99))


@p99.misconception(
    "the wait began when the request was sent. During the pause this tester did not send anything: it waited with the server, and its users waited longer than it says. Count from the moment a request was due.",
    when=lambda seen: not _held(seen)[SCHEDULED] and _is_about(seen, 0, lambda d, s, f, t: _p99(s, f, t)),
)
def from_the_moment_of_sending(due, sent, finish, timeout):
    return _p99(sent, finish, timeout)


@p99.misconception(
    "no answer meant no wait. A request that was given up counts as 0 seconds or hardly more here; it is one of the slowest."
)
def given_up_is_zero(due, sent, finish, timeout):
    return float(np.quantile(np.nan_to_num(finish - due), 0.99))


@p99.misconception(
    "requests without an answer could be left out. They are the slowest of all: count each with at least the time after which its user gave up.",
    when=lambda seen: (
        not _held(seen)[LOST] and all(_is_about(seen, case, answered_only) for case in (2, 3, 4))
    ),
)
def answered_only(due, sent, finish, timeout):
    answered = ~np.isnan(finish)
    return float(np.quantile((finish - due)[answered], 0.99))


@p99.misconception(
    "a number could be computed with missing ones among them. NaN spreads: one request without an answer, and nothing is known about the others.",
    when=lambda seen: any(output != output for output in seen.outputs),
)
def nan_spreads(due, sent, finish, timeout):
    return float(np.quantile(finish - due, 0.99))


@p99.misconception(
    "the mean told how long users wait. It hides the few who waited ten seconds among the thousands who did not: ask for the time that 99 of 100 stay below.",
)
def the_mean(due, sent, finish, timeout):
    return float(np.mean(np.where(np.isnan(finish), timeout, finish - due)))


@p99.alternative
def sorted_list(due, sent, finish, timeout):
    waits = sorted(timeout if math.isnan(f) else f - d for d, f in zip(due, finish, strict=True))
    return waits[math.ceil(0.99 * len(waits)) - 1]


@p99.alternative
def with_pandas(due, sent, finish, timeout):
    import pandas as pd

    return pd.Series(finish - due).fillna(timeout).quantile(0.99)


# ------------------------------------------------------------------ 9.2 the life of a request

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
    when=lambda seen: not _held(seen)[VALID],
)
def predicts_before_it_validates():
    return ["clock", "id", "size", "parse", "queue", "predict", "validate", "plausible", "respond", "record"]


@life.misconception(
    "latency were the model's time. Users also wait in the queue and while the body is read: a clock that starts late shows a fast service to people who wait.",
    when=lambda seen: not _held(seen)[TIMED],
)
def clock_around_the_model():
    return ["id", "size", "parse", "validate", "queue", "clock", "predict", "plausible", "respond", "record"]


@life.misconception(
    "the log were a diary of what comes in. A line written before the answer cannot say how it ended: status, latency and prediction are not known yet.",
    when=lambda seen: not _held(seen)[KNOWN],
)
def logs_on_arrival():
    return _moved("record", 4)


@life.misconception(
    "only requests that go well needed a name. Those that are refused are the ones somebody will ask about: which of a million was it?",
    when=lambda seen: not _held(seen)[NAMED],
)
def names_the_answer_only():
    return _moved("id", 7)


@life.misconception(
    "the answer could be checked once it is out. What a user has seen cannot be taken back.",
    when=lambda seen: not _held(seen)[LOOKED_AT],
)
def looks_afterwards():
    return ["clock", "id", "size", "parse", "validate", "queue", "predict", "respond", "plausible", "record"]


@life.misconception(
    "a body had to be read to know that it is too large. By then two gigabytes are in memory: its length is announced, and can be counted while it comes.",
    when=lambda seen: not _held(seen)[SMALL],
)
def reads_everything():
    return ["clock", "id", "parse", "size", "validate", "queue", "predict", "plausible", "respond", "record"]


@life.alternative
def named_first_logged_first():
    return ["id", "clock", "size", "parse", "validate", "queue", "predict", "plausible", "record", "respond"]


@life.alternative
def door_before_the_form():
    return ("id", "clock", "queue", "size", "parse", "validate", "predict", "plausible", "respond", "record")


# ------------------------------------------------------------------ 9.3 the handler

LONGEST_BODY = 2000
AIRPORTS = ("EWR", "JFK", "LGA")


def eta_model(distance, origin, hour):
    """The model of this exercise: minutes in the air, or NaN where it has never seen such a flight.

    >>> eta_model(1400, "JFK", 8)
    195.0
    >>> eta_model(2400, "LGA", 8)  # no flight from LGA is longer than 1,620 miles
    nan
    """
    if origin == "LGA" and distance > 1620:
        return math.nan
    return 20 + distance / 8 + (5.0 if 16 <= hour <= 19 else 0.0)


FINE, NO_JSON, NO_OBJECT, MISSING, UNKNOWN, RANGE, INFINITE, TYPES, LARGE, NO_ANSWER, SILENT, TOLD = (
    "a valid request: 200, and its eta",
    "a text that is no JSON: 4xx",
    "JSON that is no object: 4xx",
    "a field is missing: 4xx",
    "a field that nobody knows: 4xx",
    "a value out of range, an unknown airport: 4xx",
    "NaN and Infinity, which Python's json reads: 4xx",
    "a value of the wrong type, or half an hour: 4xx",
    "a body that is too long: 4xx",
    "valid, but the model has no answer: 5xx, and no eta",
    "no refusal repeats a value that was sent",
    "each refusal has an error that says something",
)


RAISED = "raised"  # key of the reply that stands for an exception


def _valid(rng):
    origin = str(rng.choice(("EWR", "JFK")))
    return {"distance": int(rng.integers(100, 2500)), "origin": origin, "hour": int(rng.integers(0, 24))}


@exercise(
    "9.3",
    "The handler",
    answers=("handle",),
    points=5,
    minutes=9,
    objective="9.a",
    edition=2,
    kind=Function(
        "body",
        returns=Several(Number(low=100, high=599, integer=True), Mapping(), names=("status", "reply")),
    ),
    hints=(
        "One thing after the other, and each may end the story: length, JSON, an object, exactly these three names, each value.",
        "`json.loads` reads NaN, and `True` is a whole number for Python. `type(value) in (int, float)` and `math.isfinite(value)` help. Say in the error which field, not which value.",
        "After the model: `if not math.isfinite(eta)`, this is no fault of the sender, and `null` is no answer.",
    ),
)
def handle(answer, rng, expect):
    """`handle(body)` -> (status, reply): a text comes in, hostile or not."""
    secret = f"K{int(rng.integers(10**8, 10**9))}"  # a passport number, say
    far_off, half = int(rng.integers(10**6, 10**7)), int(rng.integers(1, 22)) + 0.5
    refused = []

    def ask(body):
        try:
            return answer(body)
        except Raised as raised:  # what a framework makes of it
            return 500, {RAISED: type(raised.error).__name__}

    def wrong(what, *bodies):
        replies = [(body, *ask(body)) for body in bodies]
        refused.extend(replies)
        bad = [_said(*each) for each in replies if each[1] // 100 != 4]
        expect.true(not bad, what, bad[0] if bad else "")

    def body(**changes):
        return json.dumps(changes | {key: value for key, value in _valid(rng).items() if key not in changes})

    good = [_valid(rng) for _ in range(3)] + [_valid(rng) | {"distance": float(rng.integers(400, 900)) + 0.5}]
    good.append({"hour": 0, "origin": "LGA", "distance": int(rng.integers(100, 1600))})
    good += [_valid(rng) | {"hour": hour} for hour in (17, 23)]
    good += [_valid(rng) | {"distance": 50}, {"distance": 5000, "origin": "EWR", "hour": 16}]
    texts = [json.dumps(row) for row in good]
    texts[0] = texts[0].ljust(2000)  # exactly as long as a body may be
    lost = None
    for text, row in zip(texts, good, strict=True):
        status, reply = ask(text)
        eta = reply.get("eta")
        if status != 200 or type(eta) not in (int, float) or not abs(eta - eta_model(**row)) < 0.51:
            lost = lost or _said(text, status, reply) + (" and another eta" if status == 200 else "")
    with expect.defining():
        expect.true(lost is None, FINE, lost or "")
    cut = body(passport=secret)
    wrong(NO_JSON, "", "distance=200", cut[: len(cut) - 2], f"{{'passport': '{secret}'}}")
    wrong(NO_OBJECT, "[1, 2, 3]", "1400", "null", f'"{secret}"', '["distance", "origin", "hour"]')
    wrong(
        MISSING, "{}", *(json.dumps(_without(_valid(rng), name)) for name in ("distance", "origin", "hour"))
    )
    wrong(UNKNOWN, body(passport=secret), body(is_admin=True), json.dumps({"Hour": 7} | _valid(rng)))
    outside = [
        {"distance": miles} for miles in (-int(rng.integers(51, 2000)), 49, 49.9, 5000.5, 5001, far_off)
    ]
    outside += [{"hour": hour} for hour in (-1, 24, far_off)]
    outside += [{"origin": origin} for origin in (secret, "", "jfk", "BOS")]
    wrong(RANGE, *(body(**changes) for changes in outside))
    endless = (math.nan, math.inf, -math.inf)
    wrong(
        INFINITE,
        *(body(distance=value) for value in endless),
        *(body(hour=value) for value in endless),
        body(distance=1234567).replace("1234567", "1e999"),
    )
    kinds = [{"distance": value} for value in (str(far_off % 4000 + 60), [500], True, None, {"miles": 500})]
    kinds += [{"hour": value} for value in (half, "8", True, False, None, [8])]
    kinds += [{"origin": value} for value in (None, ["JFK"], {"JFK": 1}, 1, True)]
    wrong(TYPES, *(body(**changes) for changes in kinds))
    wrong(LARGE, body().ljust(2001), body() + " " * 5000, "[" * 4000)
    with expect.defining():
        far = int(rng.integers(1700, 2500))
        text = body(origin="LGA", distance=far)
        status, reply = ask(text)
        expect.true(
            status // 100 == 5 and "eta" not in reply and RAISED not in reply,
            NO_ANSWER,
            _said(text, status, reply) + (" with an eta" if "eta" in reply else ""),
        )
    parrots = [sent for sent, _, reply in refused if _repeats(reply, (secret, str(far_off), str(half)), sent)]
    with expect.defining():
        expect.true(not parrots, SILENT, f"a part of `{_shown(parrots[0])}` came back" if parrots else "")
    dumb = [sent for sent, code, reply in [*refused, (text, status, reply)] if _is_dumb(code, reply)]
    expect.true(not dumb, TOLD, f"the reply to `{_shown(dumb[0])}` has none" if dumb else "")


def _said(body, status, reply):
    if RAISED in reply:
        return f"`{_shown(body)}` raises {reply[RAISED]}, which reaches the sender as a 500"
    return f"`{_shown(body)}` gets {status}"


def _without(row, name):
    return {key: value for key, value in row.items() if key != name}


def _repeats(reply, values, sent):
    """Does the reply hold one of these values, if it was in what was sent?"""
    text = json.dumps(reply, default=str)
    return any(value in sent and value in text for value in values)


def _is_dumb(status, reply):
    error = reply.get("error")
    return status // 100 not in (4, 5) or not isinstance(error, str) or not error.strip()


def _shown(body):
    return body if len(body) <= 90 else f"{body[:40]} ... ({len(body)} characters)"


@handle.inputs
def _bodies(rng):
    flight = {"distance": 1400, "origin": "JFK", "hour": 8}
    yield (json.dumps(flight),)
    odd = [
        None,
        True,
        False,
        "8",
        "",
        8,
        8.5,
        49,
        50,
        49.99,
        5000,
        5000.01,
        24,
        23,
        0,
        -1,
        [],
        {},
        "JFK",
        "jfk",
    ]
    odd += ["LGA", math.nan, math.inf, -math.inf, 16, 19, 2400]
    for name in flight:
        yield (json.dumps(_without(flight, name)),)
        for value in odd:
            if not (name == "hour" and value == 8 and type(value) is float):
                yield (json.dumps(flight | {name: value}),)
    for text in (
        "",
        " ",
        "null",
        "[]",
        "{}",
        "1",
        '"JFK"',
        "{",
        "nonsense",
        '["distance", "origin", "hour"]',
    ):
        yield (text,)
    yield (json.dumps(flight | {"password": "x"}),)
    yield (json.dumps(flight | {"origin": "LGA", "distance": 2400}),)
    for length in (1999, 2000, 2001, 9000):
        yield (json.dumps(flight).ljust(length),)
    yield ("[" * 9000,)


@handle.acceptable
def _serves_and_refuses(answer, rng):
    """By the first digit of the status, the eta, and an error; several statuses and wordings are right."""
    for (text,) in _bodies(rng):
        try:
            given = json.loads(text) if len(text) <= LONGEST_BODY else None
        except (ValueError, RecursionError):
            given = None
        try:
            status, reply = answer(text)
        except Exception:
            return False
        if given is None or _problem(given):
            if status // 100 != 4 or _is_dumb(status, reply):
                return False
            continue
        eta = eta_model(**given)
        if math.isnan(eta):
            if status // 100 != 5 or "eta" in reply or _is_dumb(status, reply):
                return False
        elif status != 200 or type(reply.get("eta")) not in (int, float) or abs(reply["eta"] - eta) > 0.51:
            return False
    marked = json.dumps({"password": "K7", "distance": 918273, "origin": "Q8Q", "hour": 4.25})
    said = json.dumps(answer(marked)[1], default=str)
    return not any(value in said for value in ("K7", "918273", "Q8Q", "4.25"))


def _problem(given):
    """What is wrong with the values, as (field, what), or None."""
    if not isinstance(given, dict):
        return "an object is expected"
    if sorted(given) != ["distance", "hour", "origin"]:
        return "exactly distance, origin and hour are expected"
    distance, hour = given["distance"], given["hour"]
    if type(distance) not in (int, float) or not (50 <= distance <= 5000):
        return "distance: a number of miles from 50 to 5000 is expected"
    if type(hour) is not int or not 0 <= hour <= 23:
        return "hour: a whole number from 0 to 23 is expected"
    if not isinstance(given["origin"], str) or given["origin"] not in AIRPORTS:
        return "origin: EWR, JFK or LGA is expected"
    return None


def _lets_in(seen, *parts):
    """Does a body with one of these parts get a 200?"""
    return any(
        call.output[0] == 200
        for call in seen.calls
        if not call.error and any(part in call.given[0] for part in parts)
    )


def _refused_as_500(seen):
    """Are all bodies that cannot be read or lack a field answered, and with a 5xx?"""
    found = [call for call in seen.calls if call.given[0] in ("", "{}", "null", "distance=200")]
    bad = [500 if call.error else call.output[0] for call in found]
    return not any(call.error for call in found) and all(status // 100 == 5 for status in bad)


def _handled(body, problem=_problem, *, longest=LONGEST_BODY, bad=422, echo="", broken=500):
    if len(body) > longest:
        return 413, {"error": "the body is too long"}
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return bad, {"error": "this is no JSON" + echo.format(body)}
    wrong = problem(given)
    if wrong:
        return bad, {"error": wrong + echo.format(body)}
    eta = eta_model(**given)
    if not math.isfinite(eta):
        return broken, {"error": "no answer for this flight"} if broken != 200 else {"eta": None}
    return 200, {"eta": round(eta, 1)}


@handle.misconception(
    "an exception were an answer. Whatever your code does not catch reaches the caller as a 500: your pager rings for their typo.",
    when=lambda seen: sum(bool(call.error) for call in seen.calls) > 5,
)
def lets_it_crash(body):
    given = json.loads(body)
    return 200, {"eta": eta_model(given["distance"], given["origin"], given["hour"])}


@handle.misconception(
    "a bad request were the server's fault. 5xx means *we* failed: clients send it again, and your pager rings for their typo. 4xx means that it will not work however often they try.",
    when=lambda seen: not _held(seen)[MISSING] and not _held(seen)[RANGE] and _refused_as_500(seen),
)
def everything_is_500(body):
    return _handled(body, bad=500)


@handle.misconception(
    "200 with an empty answer were harmless. Nobody counts it as an error, and the display shows a blank: the caller must see from the status that there is none.",
    when=lambda seen: (
        not _held(seen)[NO_ANSWER]
        and _held(seen)[FINE]
        and not seen.calls[-1].error
        and seen.calls[-1].output[0] == 200
        and seen.calls[-1].output[1].get("eta") in (None, "", "NaN")
    ),
)
def answers_with_null(body):
    return _handled(body, broken=200)


@handle.misconception(
    "the sender's words belonged into the error. What came in may be private, or a script: it ends up in logs and on other people's screens. Name the field, not its value.",
    when=lambda seen: not _held(seen)[SILENT],
)
def repeats_the_input(body):
    return _handled(body, echo=". You sent: {}")


@handle.misconception(
    "a comparison stopped everything that is no proper number. `True` is 1 for Python, and NaN fails each comparison, so that `distance < 50 or distance > 5000` is False for it: ask for the type, and whether it lies inside.",
    when=lambda seen: _held(seen)[RANGE] and _held(seen)[FINE] and _lets_in(seen, "NaN", "true"),
)
def compares_only(body):
    def problem(given):
        if not isinstance(given, dict) or sorted(given) != ["distance", "hour", "origin"]:
            return "three fields are expected"
        distance, hour = given["distance"], given["hour"]
        if not isinstance(distance, int | float) or distance < 50 or distance > 5000:
            return "distance is out of range"
        if not isinstance(hour, int | float) or hour < 0 or hour > 23:
            return "hour is out of range"
        return None if given["origin"] in AIRPORTS else "origin is unknown"

    return _handled(body, problem)


@handle.misconception(
    "unknown fields could be passed over. A misspelled name then silently takes no part in the prediction, and whoever sends `is_admin` may try: refuse what you do not know.",
    when=lambda seen: not _held(seen)[UNKNOWN] and _lets_in(seen, '"passport"', "is_admin"),
)
def passes_over_the_unknown(body):
    def problem(given):
        known = {name: given[name] for name in ("distance", "origin", "hour") if name in given}
        return _problem(known)

    def handled(given):
        return _problem(given) if not isinstance(given, dict) else problem(given)

    if len(body) > LONGEST_BODY:
        return 413, {"error": "the body is too long"}
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return 400, {"error": "this is no JSON"}
    if wrong := handled(given):
        return 422, {"error": wrong}
    eta = eta_model(given["distance"], given["origin"], given["hour"])
    return (200, {"eta": eta}) if math.isfinite(eta) else (503, {"error": "no answer"})


@handle.misconception(
    "a body could be as long as it likes. Reading it costs memory and time before the first check: look at its length first.",
    when=lambda seen: (
        not _held(seen)[LARGE]
        and any(
            call.output[0] == 200
            for call in seen.calls
            if not call.error and len(call.given[0]) > 2 * LONGEST_BODY
        )
    ),
)
def any_length(body):
    try:
        return _handled(body, longest=math.inf)
    except RecursionError:
        return 422, {"error": "too deeply nested"}


@handle.alternative
def with_pydantic(body):
    from typing import Annotated, Literal

    from pydantic import BaseModel, ConfigDict, Field, ValidationError

    class Flight(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        distance: Annotated[float, Field(ge=50, le=5000, allow_inf_nan=False)]
        origin: Literal["EWR", "JFK", "LGA"]
        hour: Annotated[int, Field(ge=0, le=23)]

    if len(body) > LONGEST_BODY:
        return 413, {"error": "too long"}
    try:
        flight = Flight.model_validate_json(body)
    except ValidationError as error:
        return 422, {
            "error": "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in error.errors())
        }
    eta = eta_model(flight.distance, flight.origin, flight.hour)
    return (200, {"eta": eta, "unit": "minutes"}) if eta == eta else (503, {"error": "no answer"})


@handle.alternative
def one_try_around_all(body):
    try:
        assert len(body) <= LONGEST_BODY
        given = json.loads(body, parse_constant=lambda name: "no number")
        assert type(given) is dict and set(given) == {"distance", "origin", "hour"}
        assert type(given["distance"]) in (int, float) and 50 <= given["distance"] <= 5000
        assert type(given["hour"]) is int and given["hour"] in range(24)
        assert given["origin"] in ("EWR", "JFK", "LGA")
    except (AssertionError, ValueError, TypeError, RecursionError):
        return 400, {"error": "not a valid request"}
    eta = eta_model(**given)
    if math.isnan(eta):
        return 500, {"error": "the model has no answer"}
    return 200, {"eta": eta}


# ------------------------------------------------------------------ 9.4 the micro-batcher

ALL_ANSWERED, OWN_ANSWER, BAD_ROW, OTHERS, FULL_BATCH, LONELY, STEADY, ON_TIME, NOBODY = (
    "each request is answered once",
    "each gets its own eta",
    "a bad row gets 422, at once",
    "a bad row does not fail the others of its batch",
    "a full batch goes at once",
    "a lonely request waits for max_wait, not longer",
    "a steady trickle does not put off the batch",
    "who comes exactly `max_wait` after the first still joins its batch",
    "no requests, no answers; batches of one",
)


def eta_batch(distances):
    """The model of this exercise: minutes for a list of miles, all at once; one bad value fails them all.

    >>> eta_batch([800, 1600])
    [120.0, 220.0]
    """
    for distance in distances:
        if type(distance) not in (int, float) or not 50 <= distance <= 5000:
            raise ValueError("a distance out of range")
    return [20 + distance / 8 for distance in distances]


def _bad(distance):
    return type(distance) not in (int, float) or not 50 <= distance <= 5000


def _batched(requests, max_size, max_wait):
    """The reference: id -> (status, eta, time)."""
    answers, batch = {}, []

    def close(time):
        etas = eta_batch([request["distance"] for request in batch])
        for request, eta in zip(batch, etas, strict=True):
            answers[request["id"]] = (200, eta, time)
        batch.clear()

    for request in requests:
        if batch and request["time"] > batch[0]["time"] + max_wait:
            close(batch[0]["time"] + max_wait)
        if _bad(request["distance"]):
            answers[request["id"]] = (422, None, request["time"])
            continue
        batch.append(request)
        if len(batch) == max_size:
            close(request["time"])
    if batch:
        close(batch[0]["time"] + max_wait)
    return answers


def _requests(rng, times, bad=()):
    ids = rng.permutation(900)[: len(times)] + 100
    distances = (
        rng.choice(np.arange(60, 2600), len(times), replace=False) + 0.5 * (rng.random() < 0.5)
    ).tolist()
    for place, value in zip(rng.permutation(len(times))[:2], (50, 5000), strict=False):  # both are allowed
        distances[place] = value
    for place, value in zip(bad, itertools.cycle((-5, None, "800", True, 49, 5001)), strict=False):
        distances[place] = value
    rows = zip(ids.tolist(), np.round(times, 4).tolist(), distances, strict=True)
    return [{"id": f"r{name}", "time": time, "distance": miles} for name, time, miles in rows]


@exercise(
    "9.4",
    "Debug the micro-batcher",
    answers=("serve_in_batches",),
    points=5,
    minutes=9,
    objective="9.c",
    edition=2,
    kind=Function(
        "requests",
        "max_size",
        "max_wait",
        returns=Sequence(Mapping(keys=("id", "status", "eta", "time"))),
    ),
    hints=(
        "Three faults: which of them makes a request wait for ever, which gives it somebody else's answer, which makes it fail for somebody else's mistake?",
        "A batch ends when it is full, or `max_wait` seconds after its first request came. You notice the second when the next request comes later than that, and at the end.",
        "Look at each row before it joins a batch: a bad one is answered on the spot, and takes no place. Keep requests and etas in the same order and go through both with `zip`.",
    ),
)
def serve_in_batches(answer, rng, expect):
    """`serve_in_batches(requests, max_size, max_wait)`: one dict a request, id, status, eta, time."""
    size, wait = int(rng.integers(3, 6)), float(rng.integers(5, 20))
    burst = np.sort(rng.uniform(0, 0.8, 3 * size)) + rng.integers(1, 50)
    alone = np.array([0.0, 5.5, 11.2]) * wait + rng.integers(1, 50)
    trickle = np.arange(5) * 0.7 * wait + rng.integers(1, 50)  # each comes before the last has waited
    mixed = np.sort(rng.uniform(0, 6 * wait, 5 * size))
    whole = int(rng.integers(1, 50)) + wait * np.array([0, 1, 3, 3.5, 4, 6])  # two come in the last moment
    cases = {
        "burst": (_requests(rng, burst), size, wait),
        "alone": (_requests(rng, alone), size, wait),
        "trickle": (_requests(rng, np.append(trickle, trickle[-1] + wait * np.array([4.3, 4.6]))), 6, wait),
        "mixed": (_requests(rng, mixed), size, wait),
        # good rows and bad ones, close together; and a bad one while a good one waits
        "bad": (_requests(rng, np.sort(rng.uniform(0, 0.5, 6 * size)) + 3, _bad_places(size)), size, wait),
        "bad and late": (_requests(rng, np.array([1, 1 + 0.5 * wait, 1 + 3 * wait]), bad=(1,)), size, wait),
        "in time": (_requests(rng, whole), 3, wait),
        "ones": (_requests(rng, burst[:4]), 1, wait),
        "nobody": ([], size, wait),
    }
    got = {name: answer(*each) for name, each in cases.items()}
    want = {name: _batched(*each) for name, each in cases.items()}
    seen = _Compared(got, want)
    good = {name: [key for key, (status, *_) in want[name].items() if status == 200] for name in cases}
    bad = {name: [key for key in want[name] if key not in good[name]] for name in cases}
    with expect.defining():
        count = [
            f"{len(got[name])} answers to {len(want[name])} requests ({name})"
            for name in cases
            if sorted(str(row["id"]) for row in got[name]) != sorted(want[name])
        ]
        expect.true(not count, ALL_ANSWERED, count[0] if count else "")
        off = seen.first_off({name: seen.answered(name, good[name]) for name in cases}, "eta")
        expect.true(not off and seen.answered("burst", good["burst"]), OWN_ANSWER, off or "nobody gets one")
        off = seen.first_off({name: good[name] for name in ("bad", "bad and late")}, "status")
        expect.true(not off, OTHERS, off)
    off = seen.first_off({name: bad[name] for name in ("bad", "bad and late")}, "status", "time", "eta")
    expect.true(not off, BAD_ROW, off)
    for what, names in (
        (FULL_BATCH, ("burst", "bad")),
        (LONELY, ("alone", "bad and late")),
        (STEADY, ("trickle", "mixed")),
        (ON_TIME, ("in time",)),
        (NOBODY, ("ones", "nobody")),
    ):
        off = seen.first_off({name: good[name] for name in names}, "status", "time")
        extra = any(len(got[name]) != len(want[name]) for name in names) and what == NOBODY
        expect.true(not off and not extra, what, off or ("an answer too many" if extra else ""))


def _bad_places(size):
    return (2, size + 1, 3 * size - 1, 3 * size, 4 * size + 1, 5 * size)


class _Compared:
    """Answers of a batcher beside those that are right, by case and id."""

    def __init__(self, got, want):
        self.want = want
        self.got = {name: {row["id"]: row for row in rows} for name, rows in got.items()}

    def answered(self, name, keys):
        """Those of the requests that got a 200."""
        return [key for key in keys if self.got[name].get(key, {}).get("status") == 200]

    def first_off(self, keys_of, *parts):
        """The first request whose status, eta or time is another, in words; "" if there is none."""
        for name, keys in keys_of.items():
            for key in keys:
                right = dict(zip(("status", "eta", "time"), self.want[name][key], strict=True))
                row = self.got[name].get(key)
                if row is None:
                    return f"{key} ({name}) has no answer"
                for part in parts:
                    if not _same(row[part], right[part]):
                        return f"{part} of {key} ({name}) is {row[part]!r}"
        return ""


def _same(got, want):
    return got is None if want is None else _near(got, want)


@serve_in_batches.inputs
def _evenings(rng):
    evening = [("r7", 0.0, 800), ("r2", 0.01, 1600), ("r5", 0.02, 400), ("r9", 0.03, -5), ("r1", 9.0, 240)]
    evening = [dict(zip(("id", "time", "distance"), row, strict=True)) for row in evening]
    yield evening, 2, 0.05
    yield [], 3, 1.0
    yield evening, 1, 1.0
    yield evening, 3, 8.97
    for _ in range(40):
        n = int(rng.integers(1, 15))
        times = np.sort(rng.integers(0, 40, n) / 2.0)
        names = rng.permutation(100)[:n]
        miles = rng.choice(np.array([100, 200.5, 5000, 50, 49, None, "800", True, -1], dtype=object), n)
        rows = [
            {"id": f"q{name}", "time": float(time), "distance": each}
            for name, time, each in zip(names, times, miles, strict=True)
        ]
        yield rows, int(rng.integers(1, 5)), float(rng.integers(1, 6)) / 2


@serve_in_batches.acceptable
def _each_once(answer, rng):
    """By id, in any order."""
    for given in _evenings(rng):
        want, got = _batched(*given), answer(*given)
        if len(got) != len(want) or {row["id"] for row in got} != set(want):
            return False
        for row in got:
            if not all(
                _same(row[part], each)
                for part, each in zip(("status", "eta", "time"), want[row["id"]], strict=True)
            ):
                return False
    return True


def _near(got, want):
    return type(got) in (int, float) and abs(got - want) < 1e-3


def _kept_waiting(seen, case):
    """Does the first request of a case get its answer later than `max_wait` after it came, or never?"""
    requests, _, wait = seen.calls[case].given
    times = [row["time"] for row in seen.outputs[case] if row["id"] == requests[0]["id"]]
    return not times or times[0] > requests[0]["time"] + wait + 1e-6


def _waits_for_company(seen):
    """Is a lonely request answered only when the next one has come, or never?"""
    first, second = seen.calls[1].given[0][:2]
    times = [row["time"] for row in seen.outputs[1] if row["id"] == first["id"]]
    return not times or times[0] >= second["time"]


def _swapped(seen):
    """Does some request of the burst get an eta that belongs to another one?"""
    etas = {row["id"]: eta_batch([row["distance"]])[0] for row in seen.calls[0].given[0]}
    got = {row["id"]: row["eta"] for row in seen.outputs[0] if row["status"] == 200}
    return any(eta != etas[name] and eta in etas.values() for name, eta in got.items())


def _punished(seen):
    """Is some good request refused where there are bad ones, and none where there are not?"""
    peace = all(row["status"] == 200 for row in seen.outputs[0])
    bad = {row["id"] for row in seen.calls[4].given[0] if _bad(row["distance"])}
    return peace and any(row["status"] != 200 for row in seen.outputs[4] if row["id"] not in bad)


def _rows(answers):
    return [{"id": key, "status": s, "eta": eta, "time": time} for key, (s, eta, time) in answers.items()]


def colleagues_batches(requests, max_size, max_wait):
    """The batcher that is to be repaired."""
    answers, batch = [], []
    for request in requests:
        batch.append(request)
        if len(batch) == max_size:
            try:
                etas = eta_batch([each["distance"] for each in batch])
                status = 200
            except ValueError:
                etas, status = [None] * len(batch), 500
            by_name = sorted(batch, key=lambda each: each["id"])
            for each, eta in zip(by_name, etas, strict=True):
                answers.append({"id": each["id"], "status": status, "eta": eta, "time": request["time"]})
            batch = []
    return answers


@serve_in_batches.misconception(
    "nothing had been repaired yet: all three faults are still there. Begin with the one that leaves requests without an answer.",
)
def as_it_was(requests, max_size, max_wait):
    return colleagues_batches(requests, max_size, max_wait)


@serve_in_batches.misconception(
    "a batch had to be full. A lonely request at night then waits for company until the morning: its time is up `max_wait` after it came.",
    when=lambda seen: _held(seen)[OWN_ANSWER] and _held(seen)[OTHERS] and _waits_for_company(seen),
)
def waits_until_full(requests, max_size, max_wait):
    answers, batch = {}, []
    for request in requests:
        if _bad(request["distance"]):
            answers[request["id"]] = (422, None, request["time"])
            continue
        batch.append(request)
        if len(batch) == max_size:
            etas = eta_batch([each["distance"] for each in batch])
            answers |= {
                each["id"]: (200, eta, request["time"]) for each, eta in zip(batch, etas, strict=True)
            }
            batch = []
    if batch:
        etas = eta_batch([each["distance"] for each in batch])
        answers |= {
            each["id"]: (200, eta, requests[-1]["time"]) for each, eta in zip(batch, etas, strict=True)
        }
    return _rows(answers)


@serve_in_batches.misconception(
    "answers came back in some order of their own. The model answers row by row, in the order in which it was asked: carry the id with each row.",
    when=lambda seen: not _held(seen)[OWN_ANSWER] and _held(seen)[OTHERS] and _swapped(seen),
)
def mixes_up_the_answers(requests, max_size, max_wait):
    answers = _batched(requests, max_size, max_wait)
    groups = {}
    for key, (status, eta, time) in answers.items():
        if status == 200:
            groups.setdefault(time, []).append((key, eta))
    for time, group in groups.items():
        names = sorted(key for key, _ in group)
        for name, (_, eta) in zip(names, sorted(group, key=lambda pair: pair[1]), strict=True):
            answers[name] = (200, eta, time)
    return _rows(answers)


@serve_in_batches.misconception(
    "one bad row were everybody's bad luck. The others in its batch have done nothing wrong: look at each row before it joins.",
    when=lambda seen: not _held(seen)[OTHERS] and _held(seen)[OWN_ANSWER] and _punished(seen),
)
def fails_the_whole_batch(requests, max_size, max_wait):
    stand_in = {row["id"]: (100 if _bad(row["distance"]) else row["distance"]) for row in requests}
    wrong = {row["id"] for row in requests if _bad(row["distance"])}
    answers = _batched(
        [row | {"distance": stand_in[row["id"]]} for row in requests],
        max_size,
        max_wait,
    )
    groups = {}
    for key, (*_, time) in answers.items():
        groups.setdefault(time, []).append(key)
    for time, keys in groups.items():
        if wrong & set(keys):
            answers |= {key: (500, None, time) for key in keys}
    return _rows(answers)


@serve_in_batches.misconception(
    "each newcomer started the clock again. With one every few milliseconds the first one waits as long as they keep coming: the time counts from the first of the batch.",
    when=lambda seen: _held(seen)[LONELY] and _kept_waiting(seen, 2),
)
def starts_the_clock_again(requests, max_size, max_wait):
    answers, batch = {}, []

    def close(time):
        etas = eta_batch([each["distance"] for each in batch])
        answers.update({each["id"]: (200, eta, time) for each, eta in zip(batch, etas, strict=True)})
        batch.clear()

    for request in requests:
        if batch and request["time"] > batch[-1]["time"] + max_wait:
            close(batch[-1]["time"] + max_wait)
        if _bad(request["distance"]):
            answers[request["id"]] = (422, None, request["time"])
            continue
        batch.append(request)
        if len(batch) == max_size:
            close(request["time"])
    if batch:
        close(batch[-1]["time"] + max_wait)
    return _rows(answers)


@serve_in_batches.alternative
def good_rows_first(requests, max_size, max_wait):
    good = [row for row in requests if not _bad(row["distance"])]
    found = [
        {"id": row["id"], "status": 400, "eta": None, "time": row["time"]} | {"status": 422}
        for row in requests
        if _bad(row["distance"])
    ]
    while good:
        end = good[0]["time"] + max_wait
        batch = [row for row in good[:max_size] if row["time"] <= end]
        time = batch[-1]["time"] if len(batch) == max_size else end
        etas = eta_batch([row["distance"] for row in batch])
        found += [
            {"id": row["id"], "status": 200, "eta": eta, "time": time}
            for row, eta in zip(batch, etas, strict=True)
        ]
        good = good[len(batch) :]
    return found


@serve_in_batches.alternative
def one_row_at_a_time(requests, max_size, max_wait):
    answers, first, members = [], None, []
    for row in [*requests, None]:
        late = row is None or (members and row["time"] > first + max_wait)
        if members and late:
            answers += [{**each, "time": first + max_wait} for each in members]
            members = []
        if row is None:
            break
        if not isinstance(row["distance"], int | float) or not 50 <= row["distance"] <= 5000:
            answers.append({"id": row["id"], "status": 422, "eta": None, "time": row["time"]})
            continue
        if not members:
            first = row["time"]
        members.append({"id": row["id"], "status": 200, "eta": eta_batch([row["distance"]])[0]})
        if len(members) == max_size:
            answers += [{**each, "time": row["time"]} for each in members]
            members = []
    return answers


# ------------------------------------------------------------------ 9.5 when to say no


def _limit(service, servers, target):
    """All servers may have begun a request just now: they finish in rounds of `servers`, and whole rounds fit into the target."""
    return max(servers * math.floor(target / service - 1 + 1e-9), 0)


@exercise(
    "9.5",
    "When to say no",
    answers=("queue_limit",),
    points=4,
    minutes=7,
    core=True,
    objective="9.c",
    edition=2,
    kind=Function("service", "servers", "target", returns=Number(low=0, integer=True)),
    hints=(
        "All servers have begun a request at this very moment, and the queue is full. In which round is its last one served?",
        "Everybody waits for the round that runs now. Then `servers` of them are served in each round of `service` seconds.",
        "How many whole rounds fit into `target`? One of them runs already. The others have `servers` places each: `servers * floor(target / service - 1)`.",
    ),
)
def queue_limit(answer, rng, expect):
    """`queue_limit(service, servers, target)`: how many may wait, so that nobody who is let in is ever late?"""
    with expect.defining():
        _ask_limit(expect, answer, 1, *_rounds(rng, 6, 7))
        _ask_limit(expect, answer, int(rng.integers(3, 7)), *_rounds(rng, 4, 7))
        _ask_limit(expect, answer, int(rng.integers(8, 20)), *_rounds(rng, 2, 5))
    # fractions that a computer holds exactly
    service = float(rng.choice([0.03125, 0.0625, 0.125]))
    rounds = int(rng.integers(3, 7))
    _ask_limit(
        expect, answer, int(rng.integers(2, 6)), service, service * rounds, "; to end just in time is in time"
    )
    _ask_limit(expect, answer, int(rng.integers(2, 6)), *_rounds(rng, 1, 2), "; one round and no more")
    service, _ = _rounds(rng, 1, 2)
    _ask_limit(expect, answer, int(rng.integers(2, 6)), service, 0.6 * service, "; nobody can be in time")


def _rounds(rng, low, high):
    """(service, target): a target of so many rounds and a part of one more."""
    service = int(rng.integers(20, 60)) / 1000
    rounds = int(rng.integers(low, high)) + float(rng.uniform(0.55, 0.9))
    return service, round(service * rounds, 4)


def _ask_limit(expect, answer, servers, service, target, more=""):
    """One promise: the limit is the largest that keeps it, whatever the servers are doing when the queue fills."""
    limit, best = answer(service, servers, target), _limit(service, servers, target)
    name = f"{servers} server{'s' if servers > 1 else ''} of {1000 * service:g} ms, target {1000 * target:g} ms{more}"
    if limit != limit:
        expect.true(False, name, "the limit is NaN")
        return
    why = ""
    if limit > best:
        crowd = servers + int(min(limit, best + 3 * servers))
        last = simulate(np.zeros(crowd), service, servers).latency.max()
        why = f"{crowd} requests in one moment are let in, and the last has its answer after {1000 * last:.0f} ms"
    elif limit < best:
        why = f"a queue of {limit + 1:.0f} would be served in time, too, and one of them is sent away"
    expect.true(limit == best, name, why)


@queue_limit.inputs
def _promises(rng):
    yield 0.010, 1, 0.25
    yield 0.047, 4, 0.26
    yield 0.5, 3, 0.4
    yield 0.5, 3, 0.5
    yield 0.5, 3, 1.0
    yield 0.25, 1, 0.5
    for _ in range(60):
        service = int(rng.integers(1, 64)) / 64
        yield (
            service,
            int(rng.integers(1, 30)),
            int(rng.integers(0, 40)) / 4 * service + int(rng.integers(0, 2)) / 128,
        )


def _pairs(seen):
    """(limit that was returned, service, servers, target) of each call."""
    return [(float(call.output), *call.given) for call in seen.calls]


@queue_limit.misconception(
    "everybody could be served. They are, one after the other, and all too late: in overload a queue without an end only decides how long each of them waits.",
    when=lambda seen: all(limit > 1000 for limit, *_ in _pairs(seen)),
)
def no_limit(service, servers, target):
    return 1_000_000


@queue_limit.misconception(
    "each server had one place in the queue. How many may wait depends on how much time the promise leaves, and on how fast the servers are.",
)
def one_place_a_server(service, servers, target):
    return servers


@queue_limit.misconception(
    "one server emptied the queue. All of them do: the more there are, the more may wait.",
)
def forgets_the_servers(service, servers, target):
    return max(int(target / service - 1 + 1e-9), 0)


@queue_limit.misconception(
    "the answer were there when the wait is over. The last in the queue also has to be served: wait and service together must fit into the target.",
)
def forgets_the_service(service, servers, target):
    return servers * math.floor(target / service + 1e-9)


@queue_limit.misconception(
    "requests left the queue one at a time, evenly. When all servers have begun in the same moment they finish together: the queue moves in rounds of `servers`, and the last ones of a part of a round are late.",
)
def in_parts_of_a_round(service, servers, target):
    return max(int((target - service) * servers / service + 1e-9), 0)


@queue_limit.misconception(
    "the servers' own requests were a part of the queue. They do not count as waiting.",
)
def counts_those_in_service(service, servers, target):
    return servers * max(math.floor(target / service + 1e-9), 0) + servers


@queue_limit.alternative
def count_up(service, servers, target):
    rounds = 0
    while (rounds + 2) * service <= target * (1 + 1e-9):
        rounds += 1
    return rounds * servers


@queue_limit.alternative
def round_by_round(service, servers, target):
    limit = 0
    # the next one in the queue would be served in round number 2, 3, ...
    while (limit // servers + 2) * service <= target + 1e-9:
        limit += 1
    return limit


@queue_limit.alternative
def with_divmod(service, servers, target):
    rounds = int(round(target / service, 6) // 1)
    return servers * (rounds - 1) if rounds > 0 else 0


# ------------------------------------------------------------------ 9.6 alive or ready

ACTIONS = ("restart", "out_of_rotation", "leave")
STATES = {
    "loading": "started 20 s ago, reads its model; that usually takes 40 s",
    "stuck": "answers nothing for a minute, not even /healthz; no CPU is used",
    "draining": "was told to stop, finishes its last 12 requests",
    "database": "the database that all replicas share is down; this one says so with 503",
    "overload": "all replicas are full, each refuses a fifth of the requests with 503",
    "checksum": "up for an hour, but refuses its model file: wrong checksum; others are fine",
    "pause": "one answer took 2 s, those before and after it 1 ms",
    "leak": "memory at 96 % of its limit, 1 % more each hour; others are fine",
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
    core=True,
    objective="9.d",
    kind=Choice(STATES, options=ACTIONS),
    hints=(
        "Two questions for each state: would a new process be any better? And should this one get requests now?",
        "Then a third: what if all replicas are in this state at once, and all get the same treatment?",
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
    "what is not ready yet were dead. Restarted after 20 of 40 seconds, it will never finish: loading means no requests for now, not a new beginning.",
)
def restarts_the_loading():
    return RIGHT_STATES | {"loading": "restart"}


@care.misconception(
    "a restart helped against what is outside. The database stays down, and now all replicas die together and start together: liveness must ask about the process alone.",
)
def restarts_for_the_database():
    return RIGHT_STATES | {"database": "restart"}


@care.misconception(
    "a replica that drains were broken. Those twelve requests were being served; killed now, twelve users get an error.",
)
def restarts_the_draining():
    return RIGHT_STATES | {"draining": "restart"}


@care.misconception(
    "a replica that refuses some requests were ill. It does what it should: taken away, its share falls on the others, which are full too, and they follow one by one.",
)
def takes_the_full_away():
    return RIGHT_STATES | {"overload": "out_of_rotation"}


@care.misconception(
    "a restart repaired a file. The new process reads the same bytes and refuses them again, for ever: no requests for this one, and somebody has to look.",
)
def restarts_for_a_file():
    return RIGHT_STATES | {"checksum": "restart"}


@care.misconception(
    "a process that hangs came back by itself. Without requests it hangs just as well: here nothing but a new process helps.",
)
def waits_for_the_stuck():
    return RIGHT_STATES | {"stuck": "out_of_rotation"}


@care.misconception(
    "one slow answer were a symptom. Probes should fail a few times in a row before anybody acts on them.",
)
def restarts_for_a_pause():
    return RIGHT_STATES | {"pause": "restart"}


@care.alternative
def read_backwards():
    return dict(reversed(RIGHT_STATES.items()))


@care.alternative
def with_the_other_school():
    return RIGHT_STATES | {"database": "out_of_rotation", "leak": "out_of_rotation"}


# ------------------------------------------------------------------ 9.7 close the loop

MOST_FAILED = 14  # tries of the canary that may fail before it is rolled back
FAILING, RETRIED, AS_GOOD, COPIES, OUTAGE, LATE_OUTAGE = (
    "v2 fails for one request in twenty: rolled back before 15 of its tries have failed",
    "the same, and the router tries again elsewhere, so that users see no error: rolled back as well",
    "v2 is as good as v1, and both fail now and then: it stays",
    "copies go to a v3 that fails half of the time; v2 is fine: it stays",
    "the network is down for both for a while: it stays",
    "the same when v2 has more users than v1: it stays",
)


def draw_watch(rng):
    """Six recorded rollouts: what it is -> a list of windows, each the tries since the last look.

    Returns
    -------
    dict : title -> list of 10 DataFrames with `version`, `served`, `status`, `attempts`
    """
    draw = serving_runs.draw_log
    return {
        FAILING: draw("fails", rng, failures=(15, 32), fair=serving_runs.clearly_worse),
        RETRIED: draw("retried", rng, failures=(15, 32), fair=serving_runs.clearly_worse),
        AS_GOOD: draw("good", rng, failures=(2, 3), fair=serving_runs.fails_early),
        COPIES: draw("copies", rng, failures=(1, 3)),
        OUTAGE: draw("outage", rng, begin=(20, 45), fair=serving_runs.hit_alike),
        LATE_OUTAGE: draw("outage", rng, begin=(20, 45), stable=0.06, fair=serving_runs.more_but_not_worse),
    }


def watch(on_tick, windows):
    """Play one recorded rollout: (the look at which it was rolled back, or None; tries of v2 that failed until then)."""
    memory, failed = {}, 0
    for look, window in enumerate(windows, start=1):
        failed += int(((window["version"] == "v2") & (window["status"] >= 500)).sum())
        action, memory = on_tick(window, memory)
        if action == "rollback":
            return look, failed
    return None, failed


@exercise(
    "9.7",
    "Close the loop",
    answers=("on_tick",),
    points=5,
    minutes=10,
    core=True,
    objective="9.e",
    edition=2,
    kind=Function(
        "window",
        "memory",
        may_change=("memory",),
        returns=Several(Text(options=("continue", "rollback")), Mapping(), names=("action", "memory")),
    ),
    hints=(
        "Which rows say how v2 does? Not all that are served: a try that failed and was made up for elsewhere is not. Not all that are not served: copies of something else are there too.",
        "One look has some thirty tries of v2. Keep counts in `memory`: tries and failures of v1 and of v2 since the beginning, and in each look.",
        "Roll back when v2 has failed at least five or six times more often than v1's rate explains, and at least three times as often as v1. An outage raises both rates, so that the second condition does not hold.",
    ),
)
def on_tick(answer, rng, expect):
    """`on_tick(window, memory)` -> (action, memory), over six recorded rollouts."""
    for title, windows in draw_watch(rng).items():
        with expect.defining() if title not in (COPIES, LATE_OUTAGE) else contextlib.nullcontext():
            _ask_watch(expect, title, windows, *watch(answer, windows))


def _ask_watch(expect, title, windows, look, failed):
    if title in (FAILING, RETRIED):
        still = f"{failed} of its tries have failed, and it is still there"
        why = still if look is None else f"{failed} had failed when it was rolled back at look {look}"
        expect.true(look is not None and failed <= MOST_FAILED, title, why)
        return
    tries = pd.concat(windows[:look])
    counts = {
        v: (tries["version"] == v, (tries["version"] == v) & (tries["status"] >= 500)) for v in ("v1", "v2")
    }
    said = " and ".join(f"{bad.sum()} of {mine.sum()} tries of {v}" for v, (mine, bad) in counts.items())
    expect.true(look is None, title, f"rolled back at look {look}; until then {said} had failed")


@on_tick.acceptable
def _guards(answer, rng):
    """On made-up logs: a v2 at ten times v1's rate goes, one at v1's rate stays, with any share of the users."""
    for share, rate, usual, stays in (
        (0.2, 0.05, 0.005, False),
        (0.2, 0.003, 0.005, True),
        (0.7, 0.003, 0.005, True),
        (0.6, 0.05, 0.06, True),
    ):
        memory, action, ends = {}, "continue", False
        for _ in range(10):
            n = int(rng.integers(150, 200))
            version = np.where(rng.random(n) < share, "v2", "v1")
            is_v2 = version == "v2"
            order = np.arange(n) + int(rng.integers(1000))
            every = np.where(is_v2, 1 / rate, 1 / usual)
            failed = order % np.maximum(every.astype(int), 1) == 0
            window = pd.DataFrame(
                {"version": version, "served": True, "status": np.where(failed, 500, 200), "attempts": 1}
            )
            action, memory = answer(window, memory)
            ends = ends or action == "rollback"
        if ends == stays:
            return False
    return True


def _counted(window, memory, rows, least=6, times=3.0, absolute=None):
    """The sound policy, on the rows that somebody thinks are the right ones."""
    seen = {"n1": 0, "e1": 0, "n2": 0, "e2": 0, **memory}
    window = window[rows(window)]
    for version, name in (("v1", "1"), ("v2", "2")):
        mine = window["version"] == version
        seen["n" + name] += int(mine.sum())
        seen["e" + name] += int((mine & (window["status"] >= 500)).sum())
    usual = seen["e1"] / max(seen["n1"], 1) if absolute is None else absolute / times
    rate = seen["e2"] / max(seen["n2"], 1)
    bad = seen["e2"] >= least and rate > times * usual
    return ("rollback" if bad else "continue"), seen


def _played(seen):
    """title -> the calls of this rollout: it ends with a rollback, or after the last look."""
    games, calls = [], []
    for call in seen.calls:
        calls.append(call)
        if call.output[0] == "rollback" or len(calls) == serving_runs.LOOKS:
            games.append(calls)
            calls = []
    return dict(zip((FAILING, RETRIED, AS_GOOD, COPIES, OUTAGE, LATE_OUTAGE), games, strict=True))


def _stays(seen, title):
    return _played(seen)[title][-1].output[0] == "continue"


def _at_the_first_failure(seen, title):
    """Was v2 rolled back at the very look at which it first failed?"""
    failures = []
    for call in _played(seen)[title]:
        window = call.given[0]
        failures.append(int(((window["version"] == "v2") & (window["status"] >= 500)).sum()))
    return failures[-1] > 0 and not any(failures[:-1])


@on_tick.misconception(
    "what users saw were all. The router has made up for the failed tries elsewhere, so nobody saw an error: v2 fails as before, each failure costs a second try, and one day there is nobody to try. Count tries, also those that were not served.",
    when=lambda seen: _held(seen)[FAILING] and not _held(seen)[RETRIED] and _stays(seen, RETRIED),
)
def only_what_was_served(window, memory):
    return _counted(window, memory, lambda rows: rows["served"])


@on_tick.misconception(
    "every failed row were v2's. Copies go to another version, whose answers no user gets: `version` says whose failure it is.",
    when=lambda seen: not _held(seen)[COPIES] and _held(seen)[AS_GOOD] and _held(seen)[OUTAGE],
)
def all_but_v1(window, memory):
    renamed = window.assign(version=window["version"].replace("v3", "v2"))
    return _counted(renamed, memory, lambda rows: rows["version"] != "")


@on_tick.misconception(
    "a failure proved something. Both versions fail now and then, and the first failure of a good one sends it home: ask for more failures than v1's rate explains.",
    when=lambda seen: not _held(seen)[AS_GOOD] and _at_the_first_failure(seen, AS_GOOD),
)
def at_the_first_failure(window, memory):
    failed = ((window["version"] == "v2") & (window["status"] >= 500)).sum()
    return ("rollback" if failed else "continue"), memory


@on_tick.misconception(
    "a fixed limit could judge. In the outage v1 fails alike, and going back to it helps nobody: compare with v1 in the same minutes.",
    when=lambda seen: not _held(seen)[OUTAGE] and not _held(seen)[LATE_OUTAGE] and _held(seen)[AS_GOOD],
)
def by_a_fixed_limit(window, memory):
    return _counted(window, memory, lambda rows: rows["version"] != "", absolute=0.025)


@on_tick.misconception(
    "one could wait and see. Nobody has rolled back while one try in twenty failed: labels come hours later, but the status is there at once.",
    when=lambda seen: all(_stays(seen, title) for title in _played(seen)),
)
def waits_for_labels(window, memory):
    bad = "label" in window and window["label"].isna().mean() > 0.5
    return ("rollback" if bad else "continue"), memory


@on_tick.misconception(
    "the version with more failures were the worse one. It may just have more requests: divide the failures of each version by its tries.",
    when=lambda seen: (
        not _held(seen)[LATE_OUTAGE] and all(ok for title, ok in _held(seen).items() if title != LATE_OUTAGE)
    ),
)
def counts_in_place_of_rates(window, memory):
    for version in ("v1", "v2"):
        mine = window.loc[window["version"] == version, "status"]
        memory[version] = memory.get(version, 0) + int((mine >= 500).sum())
    return ("rollback" if memory["v2"] >= 6 and memory["v2"] > memory["v1"] else "continue"), memory


@on_tick.alternative
def in_place(window, memory):
    for version in ("v1", "v2"):
        mine = window[window["version"] == version]
        memory.setdefault(version, []).extend((mine["status"] >= 500).tolist())
    rate = {version: np.mean(failed) if failed else 0 for version, failed in memory.items()}
    worse = sum(memory["v2"]) > 6 and rate["v2"] > 2.5 * rate["v1"]
    return ("rollback" if worse else "continue"), memory


@on_tick.alternative
def by_counting(window, memory):
    memory = dict(memory)
    for version, status in zip(window["version"], window["status"], strict=True):
        key = f"{version} {'bad' if status >= 500 else 'good'}"
        memory[key] = memory.get(key, 0) + 1
    bad, good, bad1, good1 = (memory.get(k, 0) for k in ("v2 bad", "v2 good", "v1 bad", "v1 good"))
    expected = (bad + good) * (bad1 + 1) / (bad1 + good1 + 1)
    return ("rollback" if bad > 5 and bad > 2.5 * expected else "continue"), memory


@on_tick.alternative
def by_a_test(window, memory):
    counts = list(memory.get("counts", [0, 0, 0, 0]))
    for i, version in enumerate(("v1", "v2")):
        status = window.loc[window["version"] == version, "status"].to_numpy()
        counts[2 * i] += len(status)
        counts[2 * i + 1] += int((status >= 500).sum())
    n, a, m, b = counts
    pooled = (a + b + 1) / (n + m + 2)
    z = (b / max(m, 1) - a / max(n, 1)) / math.sqrt(pooled * (1 - pooled) * (1 / max(n, 1) + 1 / max(m, 1)))
    return ("rollback" if z > 3.0 and b > 4 else "continue"), {"counts": counts}


# ------------------------------------------------------------------ 9.8 your shift

TICK = 3.0  # seconds between two looks
AFTERWARDS = 3  # how often as long as the trace users keep what they have at its end
AFTERNOONS = {
    "good": "answers better, as fast",
    "slow": "answers better, but late",
    "fails": "answers as before, fails for 5 %",
    "wrong": "as fast, but answers worse: the labels tell, and they come late",
    "burst": "answers better; for some minutes both versions are slow",
}


class _Afternoon:
    """A recorded afternoon, dealt to two versions by a policy's weights."""

    def __init__(self, name, rng):
        both = serving_runs.draw_afternoon(name, rng)
        self.name, self.both = name, both
        self.place = both["place"].to_numpy()
        self.second = both["second"].to_numpy()
        self.label_second = both["label_second"].to_numpy()
        self.of = {}
        for role, version in (("stable", "v1"), ("canary", "v2")):
            failed, latency, error = (
                both[f"{what}_{version}"].to_numpy() for what in ("failed", "latency", "error")
            )
            bad = failed | (latency > LATE_MS) | (np.nan_to_num(error, nan=0.0) > OFF_MIN)
            self.of[role] = {"failed": failed, "latency": latency, "error": error, "bad": bad}
        bad = self.of["canary"]["bad"].astype(int) - self.of["stable"]["bad"].astype(int)
        self.harm = bad  # +1: went wrong because of v2; -1: would go wrong with v1 only
        self.ticks = int(SHIFT_S // TICK) - 1

    def play(self, policy):
        """The weights of each tick, and what the policy saw."""
        weight, memory, weights, seen = 0.0, {}, [], []
        mine = np.zeros(len(self.second), dtype=bool)
        for tick in range(1, self.ticks + 1):
            window = slice(*np.searchsorted(self.second, ((tick - 1) * TICK, tick * TICK)))
            mine[window] = self.place[window] < weight / 100
            weights.append(weight)
            observation = self._observed(tick, window, mine, weight)
            weight, memory = policy(observation, memory)
            seen.append((observation, weight))
        rest = slice(int(np.searchsorted(self.second, self.ticks * TICK)), None)
        mine[rest] = self.place[rest] < weight / 100
        return _Shift(self, np.array([*weights, weight]), mine, seen)

    def _observed(self, tick, window, mine, weight):
        observation = {"tick": tick, "weight": weight}
        known = np.flatnonzero(self.label_second[: window.stop] <= tick * TICK)  # NaN: never
        for role, of in self.of.items():
            got = mine if role == "canary" else ~mine
            here = np.flatnonzero(got[window]) + window.start
            errors = of["error"][known[got[known]]]
            errors = errors[~np.isnan(errors)]
            observation[role] = {
                "requests": len(here),
                "errors": int(of["failed"][here].sum()),
                "p50": round(_median(of["latency"][here]), 1) if len(here) else None,
                "labels": len(errors),
                "off": round(float(np.mean(errors > OFF_MIN)), 3) if len(errors) else None,
            }
        return observation

    def cost(self, shift):
        """Requests that went wrong and need not, during the trace and after it."""
        return self._regret(shift.mine, shift.weights[-1])

    def _regret(self, mine, last):
        gain = -self.harm.sum()  # of v2 over v1, everybody
        best = max(gain, 0)
        return round(best + self.harm[mine].sum() + AFTERWARDS * (best - last / 100 * gain))

    def baselines(self):
        """(everybody gets v2 at once and keeps it, nobody ever gets it)."""
        everybody = np.ones(len(self.harm), dtype=bool)
        return self._regret(everybody, 100), self._regret(~everybody, 0)


def _median(values):
    """As `numpy.median`, in a tenth of its time for a dozen values."""
    values = np.sort(values)
    return float((values[(len(values) - 1) // 2] + values[len(values) // 2]) / 2)


class _Shift:
    """What one policy did on one afternoon."""

    def __init__(self, afternoon, weights, mine, seen):
        self.afternoon, self.weights, self.mine, self.seen = afternoon, weights, mine, seen

    @property
    def cost(self):
        return self.afternoon.cost(self)


def draw_shift(rng):
    """Five recorded afternoons, in a drawn order, with users dealt anew."""
    return [_Afternoon(name, rng) for name in rng.permutation(list(AFTERNOONS))]


def costs(policy, afternoons):
    """What a policy costs, by afternoon: (mine, big bang and nobody looks, never release).

    Parameters
    ----------
    policy : (observation, memory) -> (weight, memory)
    afternoons : what `draw_shift` drew

    Returns
    -------
    dict : name -> (cost, cost of the big bang, cost of never releasing), in requests
    """
    return {one.name: (one.play(policy).cost, *one.baselines()) for one in afternoons}


def _limit_of(bang, never):
    return max(0.05 * bang, 0.35 * never)


@exercise(
    "9.8",
    "Your shift",
    answers=("shift",),
    points=7,
    minutes=14,
    objective="9.e",
    edition=2,
    kind=Function(
        "observation",
        "memory",
        may_change=("memory",),
        returns=Several(Number(low=0, high=100), Mapping(), names=("weight", "memory")),
    ),
    hints=(
        "Three questions have three clocks: status and latency are known at once, labels late. What weight can you afford while you wait for the labels?",
        "Sums belong into `memory`: one look has a dozen tries of the canary. Compare each figure with that of `stable` in the same observation: a burst slows both.",
        "Roll back for good (0) at several times stable's failures, or twice its p50 in two looks running. Promote (100) when some hundred labels say that v2 is off less often. Until then: some 20 %.",
    ),
)
def shift(answer, rng, expect):
    """`shift(observation, memory)` -> (weight, memory), over five recorded afternoons."""
    for afternoon in draw_shift(rng):
        bang, never = afternoon.baselines()
        limit = _limit_of(bang, never)
        played = afternoon.play(answer)
        weights = ", ".join(f"{weight:.0f}" for weight in played.weights[1::5])
        with expect.defining() if afternoon.name in ("good", "slow", "wrong") else contextlib.nullcontext():
            expect.true(
                played.cost <= limit,
                f"{afternoon.name}: {AFTERNOONS[afternoon.name]}. It costs {played.cost} requests "
                f"(big bang {bang}, never {never}; wanted at most {limit:.0f})",
                f"your weight at looks 1, 6, 11, ...: {weights}",
            )


@shift.acceptable
def _cheap(answer, rng):
    """By the statement's limits on fresh afternoons; luck may take one of them over its limit, not to twice, and not all together."""
    costs = []
    for afternoon in draw_shift(rng):
        bang, never = afternoon.baselines()
        costs.append((afternoon.play(answer).cost, max(bang / 20, 0.35 * never)))
    return all(cost <= 2 * limit for cost, limit in costs) and sum(c for c, _ in costs) <= sum(
        m for _, m in costs
    )


def _lost(seen):
    """The afternoons that went wrong."""
    return {what.split(":")[0] for what, ok, *_ in seen.verdicts if not ok}


def _weights(seen):
    return [float(call.output[0]) for call in seen.calls]


def _shifted(observation, memory, *, weight=20, slow=True, failed=True, labels=150, fixed=None):
    """The sound policy, and what becomes of it without one of its parts."""
    seen = {"n": 0, "bad": 0, "n1": 0, "bad1": 0, "slow": 0, "final": None, **memory}
    if seen["final"] is not None:
        return seen["final"], seen
    new, old = observation["canary"], observation["stable"]
    seen["n"] += new["requests"]
    seen["bad"] += new["errors"]
    seen["n1"] += old["requests"]
    seen["bad1"] += old["errors"]
    if new["p50"] is not None and old["p50"] is not None:
        late = new["p50"] > (2 * old["p50"] + 20 if fixed is None else fixed)
        seen["slow"] = seen["slow"] + 1 if late else 0
    rate, usual = seen["bad"] / max(seen["n"], 1), seen["bad1"] / max(seen["n1"], 1)
    if (failed and seen["bad"] >= 5 and rate > 3 * usual) or (slow and seen["slow"] >= 2):
        seen["final"] = 0
    elif labels is not None and new["labels"] >= labels and old["labels"]:
        seen["final"] = 100 if new["off"] < old["off"] - 0.05 else 0
    return (weight if seen["final"] is None else seen["final"]), seen


@shift.misconception(
    "better answers were all that counts. They came after the user had left: an answer that is late is no answer.",
    when=lambda seen: _lost(seen) == {"slow"},
)
def promotes_on_accuracy(observation, memory):
    return _shifted(observation, memory, slow=False)


@shift.misconception(
    "slowness were the release's fault. In the burst both versions were slow: that is overload, and going back helps nobody. Compare with stable in the same minutes.",
    when=lambda seen: _lost(seen) == {"burst"},
)
def goes_back_in_the_burst(observation, memory):
    return _shifted(observation, memory, fixed=100)


@shift.misconception(
    "silence meant that the answers are right. Status and latency say nothing about them, and the labels had not come yet when everybody got the worse version: wait for labels, at a weight that you can afford.",
    when=lambda seen: "wrong" in _lost(seen) <= {"wrong", "fails"} and _weights(seen)[0] < 50,
)
def promotes_before_the_labels(observation, memory):
    weight, memory = _shifted(observation, memory, labels=None)
    if observation["tick"] >= 14 and memory["final"] is None:
        memory["final"] = weight = 100
    return weight, memory


@shift.misconception(
    "caution were free. Each minute without a better version costs answers that it would have got right: decide when you know enough.",
    when=lambda seen: "good" in _lost(seen) and 0 < max(_weights(seen)) < 100,
)
def never_decides(observation, memory):
    return _shifted(observation, memory, weight=5, labels=None)


@shift.misconception(
    "a failed request were nothing to look at. Its answer has no label and no latency that matters, so nothing else shows it: count the status.",
    when=lambda seen: _lost(seen) == {"fails"},
)
def passes_over_failures(observation, memory):
    weight, memory = _shifted(observation, memory, failed=False)
    if memory["final"] == 0 and observation["canary"]["labels"] >= 100 and memory["slow"] < 2:
        off = observation["canary"]["off"] - observation["stable"]["off"]
        if off < 0.1:  # as good as before: why not?
            memory["final"] = weight = 100
    return weight, memory


@shift.misconception(
    "one could give it to everybody and look afterwards. Whatever is found then, everybody has met it: a few are enough to find out.",
    when=lambda seen: bool({"slow", "wrong"} & _lost(seen)) and _weights(seen)[0] >= 50,
)
def everybody_first(observation, memory):
    return _shifted(observation, memory, weight=100)


@shift.alternative
def careful_ramp(observation, memory):
    memory = dict(memory)
    if "end" in memory:
        return memory["end"], memory
    new, old = observation["canary"], observation["stable"]
    for role, told in (("c", new), ("s", old)):
        memory[role + "n"] = memory.get(role + "n", 0) + told["requests"]
        memory[role + "e"] = memory.get(role + "e", 0) + told["errors"]
    slow = new["requests"] >= 5 and new["p50"] > 2 * old["p50"] + 20
    memory["late"] = memory.get("late", 0) + slow
    expected = memory["cn"] * (memory["se"] + 1) / (memory["sn"] + 1)
    if memory["late"] >= 3 or memory["ce"] > 4 + 3 * expected:
        memory["end"] = 0
    elif new["labels"] >= 200:
        memory["end"] = 100 if new["off"] <= 0.8 * old["off"] else 0
    return memory.get("end", 10 if observation["tick"] < 4 else 30), memory


@shift.alternative
def sums_of_everything(observation, memory):
    history = [
        *memory.get("history", []),
        [observation[r][k] or 0 for r in ("stable", "canary") for k in ("requests", "errors")],
    ]
    memory = {"history": history, "over": memory.get("over", -1), "slow": memory.get("slow", 0)}
    if memory["over"] >= 0:
        return memory["over"], memory
    n, a, m, b = np.sum(history, axis=0).tolist()
    if observation["canary"]["p50"] and observation["stable"]["p50"]:
        memory["slow"] += observation["canary"]["p50"] > 3 * observation["stable"]["p50"]
    new, old = observation["canary"], observation["stable"]
    if memory["slow"] > 2 or (b >= 6 and b / m > 0.02 + 1.5 * a / n):
        memory["over"] = 0
    elif new["labels"] > 90 and old["labels"] > 90:
        memory["over"] = 100 if new["off"] < 0.85 * old["off"] else 0
    return (memory["over"] if memory["over"] >= 0 else 25), memory
