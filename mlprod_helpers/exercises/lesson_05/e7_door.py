"""Exercise 5.7, Debug the door."""

import contextlib
import math

from mlprod_helpers.lesson.contract import Function, Number, Several, Text, exercise

FIELDS = ("distance", "hour")

LIMIT = 100


def right_door(payload):
    """The door as it should be."""
    rows = payload.get("rows") if isinstance(payload, dict) else None
    if not isinstance(rows, list):
        return 400, "rows is a list of flights"
    if len(rows) > LIMIT:
        return 413, f"at most {LIMIT} rows"
    for row in rows:
        fault = _fault(row)
        if fault:
            return 400, fault
    return 200, "ok"


def _fault(row):
    if not isinstance(row, dict) or set(row) != set(FIELDS):
        return "a row has distance and hour, nothing else"
    for name, low, high in (("distance", 50, 5000), ("hour", 0, 23)):
        value = row[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            return f"{name} is a number from {low} to {high}"
    return ""


def _rows(rng, n=3):
    return [
        {"distance": round(float(rng.uniform(80, 4900)), 1), "hour": int(rng.integers(1, 23))}
        for _ in range(n)
    ]


def _with(rng, n=5, **change):
    """Good rows, one of them changed; a field that is set to `...` is taken out."""
    rows = _rows(rng, n)
    row = rows[int(rng.integers(n))]
    row |= change
    for name in [name for name, value in row.items() if value is ...]:
        del row[name]
    return {"rows": rows}


def draw_payloads(rng):
    """rule -> list of (what was sent, payload, status, text that the reason names)."""
    nan, inf, some = float("nan"), float("inf"), float(rng.integers(1, 900))
    good = {
        "three good rows": {"rows": [row | {"distance": int(row["distance"])} for row in _rows(rng)]},
        "a distance of 612.5": {"rows": [{"distance": 612.5, "hour": 9}]},
        "an hour of 8.5": {"rows": [{"distance": 700, "hour": 8.5}]},
        "no row at all": {"rows": []},
        "100 rows": {"rows": _rows(rng, LIMIT)},
        "distances of 50 and 5000": {"rows": [{"distance": 50, "hour": 9}, {"distance": 5000, "hour": 9}]},
        "hours 0 and 23": {"rows": [{"distance": 700, "hour": 0}, {"distance": 700.0, "hour": 23}]},
        "a payload with rows and another field": {"rows": _rows(rng), "sender": "gate B7"},
        "one row whose fields are in another order": {"rows": [{"hour": 7, "distance": 800}]},
    }

    def wrong(name, *values):
        return [(f"{name} = {value!r}", _with(rng, **{name: value}), 400, name) for value in values]

    outside = wrong("distance", -some, 0, 49.9, 5000.5, 1e9, -inf) + wrong("hour", 24, -1, 23.5, -0.5)
    outside += wrong("distance", *map(math.nextafter, (50, 5000), (0, inf)))
    outside += wrong("hour", *map(math.nextafter, (0, 23), (-1, inf)))
    # too large for a float
    outside.append(("distance = 10**400", _with(rng, distance=10**400), 400, "distance"))
    last = _rows(rng, LIMIT)
    last[-1]["distance"] = 12
    fields = {
        "an unknown field in the last row": {
            "rows": [*_rows(rng), _rows(rng, 1)[0] | {"carrier_code": "UA"}]
        },
        "a row without its hour": _with(rng, hour=...),
        "a row without its distance": _with(rng, distance=...),
        "a row with minute instead of hour": _with(rng, hour=..., minute=9),
        "a row with the key 9 instead of hour": {"rows": [*_rows(rng), {"distance": 700, 9: 9}]},
        "a row with miles instead of distance": _with(rng, distance=..., miles=700),
        "an empty row": {"rows": [*_rows(rng), {}]},
    }
    shapes = {
        "a payload without rows": {"flights": _rows(rng)},
        "a payload with Rows instead of rows": {"Rows": _rows(rng)},
        "a payload that is a list of 101 rows": _rows(rng, LIMIT + 1),
        "a payload that is None": None,
        "a payload that is a text": "rows",
        "rows that are None": {"rows": None},
        "rows that are a dict": {"rows": {}},
        "rows that are one row, without a list": {"rows": _rows(rng)[0]},
        "rows that are an empty text": {"rows": ""},
        "rows that are a number": {"rows": 3},
        "rows that are a tuple of 101": {"rows": tuple(_rows(rng, LIMIT + 1))},
        "a row that is a list": {"rows": [*_rows(rng), [700, 9]]},
        "a row that is a text": {"rows": ["distance", *_rows(rng)]},
        "a row that is a set": {"rows": [*_rows(rng), set(FIELDS)]},
        "a row that is None": {"rows": [None]},
    }
    many = {
        "101 rows": {"rows": _rows(rng, LIMIT + 1)},
        "101 rows, the last one None": {"rows": [*_rows(rng, LIMIT), None]},
        "101 numbers": {"rows": list(range(LIMIT + 1))},
        "300 rows": {"rows": _rows(rng, 1) * 300},
    }
    return {
        "valid requests are accepted: 200": [(what, payload, 200, "") for what, payload in good.items()],
        "NaN and infinity are refused: 400": wrong("distance", nan, inf) + wrong("hour", nan, inf),
        "True is not a number: 400": wrong("hour", True, False) + wrong("distance", True),
        "numbers out of range are refused: 400": [
            *outside,
            ("100 rows, the last one wrong", {"rows": last}, 400, "distance"),
        ],
        "text and None are not numbers: 400": wrong("distance", "700", None, [700])
        + wrong("hour", "9", None),
        "unknown and missing fields are refused: 400": [
            (what, payload, 400, "") for what, payload in fields.items()
        ],
        "anything other than a list of dicts is refused: 400": [
            (what, payload, 400, "") for what, payload in shapes.items()
        ],
        "more than 100 rows are too many: 413": [(what, payload, 413, "") for what, payload in many.items()],
    }


@exercise(
    "5.7",
    "Debug the door",
    answers=("door",),
    points=4,
    minutes=8,
    objective="5.d",
    edition=2,
    kind=Function("payload", returns=Several(Number(integer=True), Text(), names=("status", "reason"))),
    hints=(
        "Look at the five payloads above. For each 200 of `leaky_door`, ask what the model would have predicted.",
        "NaN is neither below 50 nor above 5000. Test for what is right, `50 <= value <= 5000`, and refuse the rest.",
        "`isinstance(True, int)` is True in Python, so test for `bool` first. Also count the rows before you look at the first one.",
    ),
)
def door(answer, rng, expect):
    """`door(payload)`: (status, reason)."""
    silent = ""
    for rule, sent in draw_payloads(rng).items():
        told = ""
        for what, payload, status, name in sent:
            got, reason = answer(payload)
            if got != status and not told:
                told = f"{what}: the status is {got}"
            elif got == status and name and not silent and _named(reason) != {name}:
                silent = f"for {what} it is {reason!r}"
        with expect.defining() if rule in _DEFINING else contextlib.nullcontext():
            expect.true(not told, rule, told)
    expect.true(not silent, "the reason names the field whose value is wrong, and not the other", silent)


def _named(reason):
    return {name for name in FIELDS if name in reason}


_DEFINING = (
    "valid requests are accepted: 200",
    "NaN and infinity are refused: 400",
    "True is not a number: 400",
)


@door.inputs
def payloads(rng):
    def row(distance=700, hour=9, **more):
        return {"distance": distance, "hour": hour, **more}

    nan, inf = float("nan"), float("inf")
    values = (
        nan,
        inf,
        -inf,
        True,
        False,
        None,
        "9",
        [9],
        8.5,
        -0.5,
        0,
        23,
        23.5,
        24,
        49,
        50,
        50.0,
        5000,
        5001,
    )
    yield ({"rows": [row(distance=nan)]},)
    for value in values:
        for name in FIELDS:
            yield ({"rows": [row(), row(**{name: value}), row()]},)
    for n in (0, 1, 99, 100, 101, 102, 5000):
        yield ({"rows": [row()] * n},)
        yield ({"rows": [row()] * n + [row(hour=99)]},)
    for rows in (
        None,
        "",
        "ab",
        3,
        {},
        row(),
        [None],
        [[700, 9]],
        [{}],
        ["ab"],
        [row(more=1)],
        [{"hour": 3}],
        [{"distance": 300}],
    ):
        yield ({"rows": rows},)
    for payload in (None, [], [row()], "rows", 7, {}, {"flights": [row()]}):
        yield (payload,)


def _sent(seen):
    """(payload, status given, status that is right) of each call that gave a pair."""
    return [
        (call.given[0], call.output[0], right_door(call.given[0])[0])
        for call in seen.calls
        if isinstance(call.output, tuple | list) and len(call.output) == 2
    ]


def _values(payload):
    """All values of a payload's rows, where it has such."""
    rows = payload.get("rows") if isinstance(payload, dict) else None
    return (
        [value for row in rows if isinstance(row, dict) for value in row.values()]
        if isinstance(rows, list)
        else []
    )


def _let_in(seen, odd):
    """Whether all wrong payloads of this odd kind were let in, and there were some."""
    found = [
        got == 200 for payload, got, want in _sent(seen) if want == 400 and any(map(odd, _values(payload)))
    ]
    return bool(found) and all(found)


def _let_in_some(seen, odd):
    """Whether a wrong payload of this odd kind was let in."""
    return any(
        got == 200 and want == 400 and any(map(odd, _values(payload))) for payload, got, want in _sent(seen)
    )


def _is_text(value):
    return isinstance(value, str)


def _is_nan(value):
    return isinstance(value, float) and value != value


def _far_off(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and (value < -1 or value > 1e6)


def _no_hour(value):
    return isinstance(value, int) and not isinstance(value, bool) and value in (-1, 24)


@door.misconception(
    "you answered an invalid request with 5xx. That code means that our service is broken, so it may wake somebody up and start a rollback. Answer 400 with a reason that helps the sender.",
    when=lambda seen: any(isinstance(got, int | float) and 500 <= got < 600 for _, got, _ in _sent(seen)),
)
def our_own_fault(payload):
    status, reason = right_door(payload)
    return (500, "something went wrong") if status == 400 else (status, reason)


@door.misconception(
    "you let every wrong value in, either unchanged or replaced by a plausible one. Then the sender gets a meaningless prediction and does not notice the bug. Refuse the request, and say why.",
    when=lambda seen: (
        len(_sent(seen)) > 10 and all(got == 200 for _, got, want in _sent(seen) if want == 400)
    ),
)
def default_instead(payload):
    status, reason = right_door(payload)
    return (status, reason) if status == 413 else (200, "ok, with defaults")


@door.misconception(
    "you tested whether a value is too small or too large. NaN is neither, so it gets through. Test whether the value is in the allowed range: `50 <= value <= 5000`.",
    when=lambda seen: (
        _let_in(seen, _is_nan) and not any(_let_in_some(seen, odd) for odd in (_far_off, _no_hour, _is_text))
    ),
)
def nan_slips_through(payload):
    status, reason = right_door(payload)
    return (200, "ok") if status == 400 and any(map(_is_nan, _values(payload))) else (status, reason)


@door.misconception(
    "you let True in as the number 1. In Python, True is an int, so a yes in the field `hour` passes as one o'clock. Test for `bool` first.",
    when=lambda seen: (
        _bool_hours_let_in(seen) and not any(_let_in(seen, odd) for odd in (_is_nan, _far_off, _no_hour))
    ),
)
def true_is_one(payload):
    status, reason = right_door(payload)
    return (200, "ok") if _bool_hour(payload) else (status, reason)


def _bool_hour(payload):
    rows = payload.get("rows") if isinstance(payload, dict) else None
    return isinstance(rows, list) and any(
        isinstance(row, dict) and isinstance(row.get("hour"), bool) for row in rows
    )


def _bool_hours_let_in(seen):
    found = [got == 200 for payload, got, _ in _sent(seen) if _bool_hour(payload)]
    return bool(found) and all(found)


@door.misconception(
    "you refused values that are exactly at a limit. Both ranges include their ends, and 100 rows are still allowed. Check `<` and `<=`.",
    when=lambda seen: (
        any(got != 200 and _at_a_limit(payload) for payload, got, want in _sent(seen) if want == 200)
        and any(got == 200 and want == 200 for _, got, want in _sent(seen))
        and all(got == 200 or _at_a_limit(payload) for payload, got, want in _sent(seen) if want == 200)
    ),
)
def limits_refused(payload):
    status, reason = right_door(payload)
    return (
        (400, "distance or hour at its limit") if status == 200 and _at_a_limit(payload) else (status, reason)
    )


def _at_a_limit(payload):
    return len(payload["rows"]) == LIMIT or any(
        row["distance"] in (50, 5000) or row["hour"] in (0, 23) for row in payload["rows"]
    )


@door.alternative
def with_exceptions(payload):
    try:
        rows = payload["rows"]
        if type(rows) is not list:
            raise TypeError("rows is no list")
        if len(rows) > LIMIT:
            return 413, "too many rows"
        for row in rows:
            if sorted(row.keys()) != sorted(FIELDS):
                raise ValueError("unknown or missing field")
            for name, low, high in (("distance", 50, 5000), ("hour", 0, 23)):
                if type(row[name]) not in (int, float):
                    raise ValueError(f"{name} is no number")
                if not low <= row[name] <= high:
                    raise ValueError(f"{name} is out of range")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return 400, str(error)
    return 200, "welcome"


door.alternative(right_door)
