"""Exercise 9.3, The handler."""

import contextlib
import json
import math
from unittest import mock

from mlprod_helpers.exercises.lesson_09.support import held
from mlprod_helpers.lesson.contract import Function, Mapping, Number, Raised, Several, exercise
from mlprod_helpers.serving.lab.eta_handlers import eta_model

LONGEST_BODY = 2000

AIRPORTS = ("EWR", "JFK", "LGA")

FINE, NO_JSON, NO_OBJECT, MISSING, UNKNOWN, RANGE, INFINITE, TYPES, LARGE, PARSED, NO_ANSWER, SILENT, TOLD = (
    "a valid request: 200, and its eta",
    "a text that is not JSON: 4xx",
    "JSON that is not an object: 4xx",
    "a field is missing: 4xx",
    "an unknown field: 4xx",
    "a value out of range, or an unknown airport: 4xx",
    "NaN and Infinity, which Python's json reads: 4xx",
    "a value of the wrong type, or a fractional hour: 4xx",
    "a body that is too long: 4xx",
    "a body that is too long is not parsed first",
    "a valid request for which the model has no answer: 5xx, and no eta",
    "no refusal repeats a value that was sent",
    "each refusal has an error that is not empty",
)

RAISED = "raised"  # key of the reply that stands for an exception


@contextlib.contextmanager
def _parsed():
    """The texts that are parsed as JSON meanwhile, in a list."""
    texts, decode = [], json.JSONDecoder.decode

    def noted(self, text, *args, **kwargs):
        texts.append(text)
        return decode(self, text, *args, **kwargs)

    with mock.patch.object(json.JSONDecoder, "decode", noted):
        yield texts


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
        "Check one thing after another, and return at the first mistake. Is the body short enough, is it JSON, and is it an object? Does it have exactly the three names, and is each value valid?",
        "`json.loads` accepts NaN, and Python treats `True` as a whole number. `type(value) in (int, float)` and `math.isfinite(value)` help. In the error, name the field, not the value.",
        "Check the model's answer with `math.isfinite(eta)`. If it is not finite, this is not the sender's mistake, so return a 5xx.",
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
    texts[1] = f"\n  {texts[1]} "  # JSON may have white space around it
    lost = None
    for text, row in zip(texts, good, strict=True):
        status, reply = ask(text)
        eta = reply.get("eta")
        if status != 200 or type(eta) not in (int, float) or not abs(eta - eta_model(**row)) < 0.51:
            other = f" and the eta {eta!r:.20}, not {eta_model(**row):g}" if status == 200 else ""
            lost = lost or _said(text, status, reply) + other
    with expect.defining():
        expect.true(lost is None, FINE, lost or "")
    cut = body(passport=secret)
    wrong(
        NO_JSON,
        *("", "distance=200", "[" * 1900, '{"distance": ' + "[" * 1900, "Zürich ✈"),
        *(
            cut[: len(cut) - 2],
            f"{{'passport': '{secret}'}}",
            f"{secret} wants a window",
            f"passport={secret}",
        ),
    )
    wrong(NO_OBJECT, "[1, 2]", f"[{body()}]", "1400", "null", f'"{secret}"', '["distance", "origin", "hour"]')
    lacking = {name: _without(_valid(rng), name) for name in ("distance", "origin", "hour")}
    misspelled = [row | {name.upper(): 8} for name, row in lacking.items()]
    wrong(MISSING, "{}", *(json.dumps(row) for row in [*lacking.values(), *misspelled]))
    wrong(
        UNKNOWN,
        *(body(passport=secret), body(is_admin=True), json.dumps({"Hour": 7} | _valid(rng))),
        json.dumps({"größe": 7} | _valid(rng), ensure_ascii=False),
    )
    outside = [
        {"distance": miles} for miles in (-int(rng.integers(51, 2000)), 49, 49.9, 5000.5, 5001, far_off)
    ]
    outside += [{"hour": hour} for hour in (-1, 24, far_off)]
    outside += [{"origin": origin} for origin in (secret, "", "jfk", "BOS", " JFK", "JFK ")]
    wrong(RANGE, *(body(**changes) for changes in outside))
    endless = (math.nan, math.inf, -math.inf)
    wrong(
        INFINITE,
        *(body(distance=value) for value in endless),
        *(body(hour=value) for value in endless),
        body(distance=1234567).replace("1234567", "1e999"),
    )
    kinds = [{"distance": value} for value in (str(far_off % 4000 + 60), [500], True, None, {"miles": 500})]
    kinds += [{"hour": value} for value in (half, 23.5, "8", True, False, None, [8])]
    kinds += [{"origin": value} for value in (None, ["JFK"], {"JFK": 1}, 1, True, [secret])]
    wrong(TYPES, *(body(**changes) for changes in kinds))
    with _parsed() as parsed:
        wrong(LARGE, body().ljust(2001), body() + " " * 5000, f"{secret} ".ljust(2500), "[" * 4000)
    first = next((text for text in parsed if len(text) > LONGEST_BODY), "")
    expect.true(not first, PARSED, f"`{_shown(first)}` is parsed before its length is checked")
    with expect.defining():
        text = body(origin="LGA", distance=1620.5)  # 1620 is known
        status, reply = ask(text)
        expect.true(
            status // 100 == 5 and "eta" not in reply and RAISED not in reply,
            NO_ANSWER,
            _said(text, status, reply) + (" with an eta" if "eta" in reply else ""),
        )
    parrots = [sent for sent, _, reply in refused if _repeats(reply, (secret, str(far_off), str(half)), sent)]
    with expect.defining():
        expect.true(not parrots, SILENT, f"a part of `{_shown(parrots[0])}` came back" if parrots else "")
    told = [
        each
        for each in [*refused, (text, status, reply)]
        if each[1] // 100 in (4, 5) and RAISED not in each[2]
    ]
    dumb = [sent for sent, code, reply in told if _is_dumb(code, reply)]
    why = f"the reply to `{_shown(dumb[0])}` has none" if dumb else "nothing is refused"
    expect.true(told and not dumb, TOLD, why)


def _said(body, status, reply):
    if RAISED in reply:
        return f"`{_shown(body)}` raises {reply[RAISED]}, which reaches the sender as a 500"
    return f"`{_shown(body)}` gets {status}"


def _without(row, name):
    return {key: value for key, value in row.items() if key != name}


def _repeats(reply, values, sent):
    """Does the reply hold a part of one of these values, if it was in what was sent?"""
    text = json.dumps(reply, default=str).replace(",", "")
    parts = [value[at : at + 6] for value in values if value in sent for at in range(max(len(value) - 5, 1))]
    return any(part in text for part in parts)


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
    yield (json.dumps(_without(flight, "hour") | {"hours": 8}),)
    yield (json.dumps([flight]),)
    for distance in (1620, 1620.5, 2400):
        yield (json.dumps(flight | {"origin": "LGA", "distance": distance}),)
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
    "you let `handle` raise exceptions. A framework turns each of them into a 500, so your team is paged for somebody else's typo. Catch them and return a 4xx.",
    when=lambda seen: sum(bool(call.error) for call in seen.calls) > 5,
)
def lets_it_crash(body):
    given = json.loads(body)
    return 200, {"eta": eta_model(given["distance"], given["origin"], given["hour"])}


@handle.misconception(
    "you answered a bad request with a 5xx. That says that the service failed, so clients send the same request again and your team is paged for their typo. Return a 4xx, which says that trying again will not help.",
    when=lambda seen: not held(seen)[MISSING] and not held(seen)[RANGE] and _refused_as_500(seen),
)
def everything_is_500(body):
    return _handled(body, bad=500)


@handle.misconception(
    "you returned 200 with an empty answer. It does not count as an error, and the airport display stays empty. Return a 5xx, so that the status shows that there is no answer.",
    when=lambda seen: (
        not held(seen)[NO_ANSWER]
        and held(seen)[FINE]
        and not seen.calls[-1].error
        and seen.calls[-1].output[0] == 200
        and seen.calls[-1].output[1].get("eta") in (None, "", "NaN")
    ),
)
def answers_with_null(body):
    return _handled(body, broken=200)


@handle.misconception(
    "you repeated the input in the error. It may be private or contain a script, and it ends up in logs and on other people's screens. Name the field, not its value.",
    when=lambda seen: not held(seen)[SILENT],
)
def repeats_the_input(body):
    return _handled(body, echo=". You sent: {}")


@handle.misconception(
    "you accepted `true` or NaN as a number. In Python, `True` equals 1, and with NaN the test `distance < 50 or distance > 5000` is False. Check the exact type, and test whether the value is inside the range.",
    when=lambda seen: held(seen)[RANGE] and held(seen)[FINE] and _lets_in(seen, "NaN", "true"),
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
    "you ignored unknown fields. A misspelled field then has no effect on the prediction, and nobody notices. Refuse every field that you do not know.",
    when=lambda seen: (
        held(seen)[FINE] and not held(seen)[UNKNOWN] and _lets_in(seen, '"passport"', "is_admin")
    ),
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
    "you parsed a body of more than 2,000 characters. Parsing costs memory and time before the first check. Check the length of the whole body first.",
    when=lambda seen: not held(seen)[PARSED],
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
