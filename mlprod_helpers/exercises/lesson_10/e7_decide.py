"""Exercise 10.7, Serve, fill or refuse."""

import math

from mlprod_helpers.lesson.contract import Function, Names, Raised, Several, Text, exercise

ACTIONS = ("serve", "fill", "refuse")

CONTRACT = {
    "distance": {"kind": "number", "low": 50, "high": 5000, "missing": False, "max_age": None, "fill": None},
    "origin": {"kind": "text", "low": None, "high": None, "missing": False, "max_age": None, "fill": None},
    "wind": {"kind": "number", "low": 0, "high": 150, "missing": True, "max_age": 60, "fill": 9.5},
    "recent_error": {"kind": "number", "low": -1, "high": 3, "missing": False, "max_age": 30, "fill": 0},
    "gate": {"kind": "text", "low": None, "high": None, "missing": True, "max_age": 90, "fill": ""},
    "temperature": {
        "kind": "number",
        "low": None,
        "high": 130,
        "missing": False,
        "max_age": 120,
        "fill": 55.3,
    },
}

ALL_GOOD, ENDS, FILLED, MIXED, ABSENT, MISSING_OK, KINDS, NAN, BOOL, INFINITE, AGE, ZERO, EVERY, OTHER = (
    "a good row is served",
    "both ends of a range are allowed",
    "a broken column with a fill is filled",
    "a row is refused if one of several broken columns has no fill",
    "a value that is not in the row is missing, like None",
    "a missing value is not broken if its rule allows it",
    "a text is not a number, and a number is not a text",
    "NaN is missing",
    "True is not a number",
    "infinity is not a number",
    "only a value older than `max_age` is too old",
    "a fill of 0, or an empty text, is a fill",
    "every broken column is listed",
    "another contract, other columns",
)
_DEFINING = (ALL_GOOD, MIXED, NAN, AGE, EVERY)


def _broken(row, age, contract):
    """The reference: the columns that break their rule."""
    return [name for name, rule in contract.items() if not _keeps(row.get(name), age[name], rule)]


def _keeps(value, age, rule):
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return rule["missing"]
    if rule["max_age"] is not None and age > rule["max_age"]:
        return False
    if rule["kind"] == "text":
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isinf(value):
        return False
    low, high = rule["low"], rule["high"]
    return (low is None or value >= low) and (high is None or value <= high)


def _action(broken, contract):
    if not broken:
        return "serve"
    return "fill" if all(contract[name]["fill"] is not None for name in broken) else "refuse"


def _right(row, age, contract):
    broken = _broken(row, age, contract)
    return _action(broken, contract), broken


def draw_rows(rng):
    """what is asked -> list of (row, age, contract)."""

    def good():
        return {
            "distance": round(float(rng.uniform(80, 4900)), 1),
            "origin": str(rng.choice(["EWR", "JFK", "LGA"])),
            "wind": int(rng.integers(1, 140)),
            "recent_error": round(float(rng.uniform(-0.3, 0.4)), 3),
            "gate": str(rng.choice(["B7", "A12", "C3"])),
            "temperature": round(float(rng.uniform(-10, 99)), 1),
        }

    def fresh():
        return {name: int(rng.integers(0, 30)) for name in CONTRACT}

    def row(without=(), age=(), contract=CONTRACT, **change):
        changed = {name: value for name, value in {**good(), **change}.items() if name not in without}
        return changed, {**fresh(), **dict(age)}, contract

    backwards = dict(reversed(CONTRACT.items()))  # columns with a fill come first
    between = {
        name: CONTRACT[name] for name in ("wind", "distance", "recent_error", "origin", "gate", "temperature")
    }
    now = {name: {**rule, "max_age": 0} for name, rule in CONTRACT.items()}
    week = {name: {**rule, "max_age": 10_080} for name, rule in CONTRACT.items()}
    at_once = dict.fromkeys(CONTRACT, 0)
    below = {"kind": "number", "low": -5, "high": 0, "missing": False, "max_age": None, "fill": -2.5}
    nan, inf = float("nan"), float("inf")
    mirrored = {name: {**rule, "missing": not rule["missing"]} for name, rule in CONTRACT.items()}
    other = {
        "rooms": {"kind": "number", "low": 1, "high": None, "missing": False, "max_age": 7.5, "fill": 3},
        "town": {"kind": "text", "low": None, "high": None, "missing": False, "max_age": 9, "fill": None},
    }
    return {
        ALL_GOOD: [row(), row(), row(seats=None), row(age={"distance": 9000, "origin": 9000})],
        ENDS: [
            row(distance=50),
            row(distance=5000),
            row(wind=0, recent_error=-1),
            row(wind=150, recent_error=3),
            ({"change": 0, "lift": -5}, {"change": 1, "lift": 1}, {"change": below, "lift": below}),
        ],
        FILLED: [
            row(recent_error=None),
            row(wind=-1),
            row(wind=150.0001),
            row(temperature=130.1),
            row(recent_error=3.25, temperature=None),
            ({"change": 0.5, "lift": -3}, {"change": 1, "lift": 1}, {"change": below, "lift": below}),
        ],
        MIXED: [
            row(distance=None, wind=-4),
            row(distance=49.9999),
            row(distance=5000.5),
            row(origin=None, recent_error=7),
            row(wind=999, temperature=None, origin=3),
            row(distance=None, wind=-4, contract=backwards),
            row(origin=7, temperature=131, contract=backwards),
            row(wind=-4, distance=20, temperature=131, contract=between),
        ],
        ABSENT: [row(without=["distance"]), row(without=["recent_error"]), row(without=["wind", "gate"])],
        MISSING_OK: [
            row(wind=None),
            row(gate=None),
            row(wind=nan, gate=None),
            row(gate=nan),
            row(wind=None, age={"wind": 600}),
            row(wind=None, temperature=None),
        ],
        KINDS: [
            row(distance="700"),
            row(origin=7),
            row(wind="calm"),
            row(gate=12),
            row(wind=[5, 7]),
            row(gate=["B7"]),
            row(wind={}, gate={"name": "B7"}),
            row(origin=b"JFK", gate=("B7",)),
            row(origin="nan", gate="12"),
            row(origin="None"),
        ],
        NAN: [row(distance=nan), row(recent_error=nan), row(origin=nan), row(temperature=nan, wind=nan)],
        BOOL: [row(recent_error=True), row(wind=False), row(gate=True), row(temperature=True)],
        INFINITE: [
            row(temperature=-inf),
            row(wind=inf),
            row(distance=inf),
            row(temperature=-1e12),
            ({"rooms": inf, "town": "Bern"}, {"rooms": 1, "town": 1}, other),
        ],
        AGE: [
            row(age={"wind": 60, "recent_error": 30}),
            row(age={"wind": 60.001}),
            row(age={"recent_error": 31}),
            row(age={"gate": 91, "temperature": 120}),
            row(age={"gate": 90, "temperature": 121}),
            row(age={"wind": 10_081, "gate": 10_080}, contract=week),
            row(age=at_once, contract=now),
            row(age={**at_once, "wind": 1}, contract=now),
            row(age={**at_once, "gate": 0.5}, contract=now),
        ],
        ZERO: [
            row(recent_error=nan),
            row(gate=8),
            row(recent_error=-1.5, gate=True),
            row(age={"recent_error": 55, "gate": 500}),
        ],
        EVERY: [
            row(distance=1, origin=None, wind=-1, recent_error=9, gate=3, temperature=inf),
            row(wind=-1, recent_error=None, age={"temperature": 900}),
            row(recent_error=nan, origin=nan),
            row(without=list(CONTRACT)),
            row(wind=-1, recent_error=9, age={"wind": 61, "recent_error": 31}),
            row(wind="calm", gate=3, age={"wind": 61, "gate": 91}),
        ],
        OTHER: [
            (
                {"rooms": 10**15, "town": "Villa del Rosario, Norte de Santander"},
                {"rooms": 7.5, "town": 9},
                other,
            ),
            ({"rooms": 0, "town": ""}, {"rooms": 8, "town": 2}, other),
            ({"rooms": 4, "town": "Bern"}, {"rooms": 1, "town": 10}, other),
            (row(distance=None, origin=None)[0], fresh(), mirrored),
            (row(wind=None)[0], fresh(), mirrored),
            (row(distance=7)[0], fresh(), mirrored),
            ({}, {}, {}),
        ],
    }


@exercise(
    "10.7",
    "Serve, fill or refuse",
    answers=("decide",),
    points=5,
    minutes=10,
    objective="10.d",
    kind=Function(
        "row",
        "age",
        "contract",
        returns=Several(Text(options=ACTIONS), Names(repeats=True), names=("action", "broken columns")),
    ),
    hints=(
        "Go through the contract, not through the row. A column that the row does not have is missing, and `row.get(name)` gives None for it.",
        "Check in this order: missing, too old, wrong kind, out of range. NaN is missing, True does not count as a number, and neither does infinity.",
        'Collect all broken columns first. Then fill only if `contract[name]["fill"] is not None` for every one of them.',
    ),
)
def decide(answer, rng, expect):
    """`decide(row, age, contract)`: (action, broken columns)."""
    for what, asked in draw_rows(rng).items():
        told = ""
        for row, age, contract in asked:
            want, wrong = _right(row, age, contract)
            try:
                action, broken = answer(row, age, contract)
            except Raised as reason:  # the call has only long dicts to show
                reason.call = f"`decide` for {_shown(row, age, contract, wrong)}"
                raise
            if (action, broken) != (want, sorted(wrong)) and not told:
                off = [name for name in contract if broken.count(name) != wrong.count(name)] or wrong
                told = f"for {_shown(row, age, contract, off)} it gives {action!r} and {broken}"
        if what in _DEFINING:
            with expect.defining():
                expect.true(not told, what, told)
        else:
            expect.true(not told, what, told)


def _shown(row, age, contract, names):
    """The columns in question, with their rules, in a few words."""
    parts = []
    for name in names[:2]:
        value = f"{name} = {row[name]!r}, {age[name]} minutes old" if name in row else f"no {name}"
        rule = ", ".join(f"{key} {limit!r}" for key, limit in contract[name].items())
        parts.append(f"{value} (rule: {rule})")
    return " and ".join(parts) or "a row that breaks no rule"


@decide.inputs
def _rows(rng):
    rules = {
        "distance": CONTRACT["distance"],
        "recent_error": CONTRACT["recent_error"],
    }
    yield {"distance": 733, "recent_error": float("nan")}, {"distance": 900, "recent_error": 5}, rules
    values = (
        None,
        float("nan"),
        float("inf"),
        -float("inf"),
        True,
        False,
        "",
        "7",
        [1],
        0,
        1,
        -1,
        2.5,
        5,
        5.5,
    )
    for _ in range(400):
        contract, row, age = {}, {}, {}
        for name in ("a", "b", "c")[: int(rng.integers(1, 4))]:
            number = bool(rng.random() < 0.7)
            contract[name] = {
                "kind": "number" if number else "text",
                "low": [None, 0, -1][int(rng.integers(3))] if number else None,
                "high": [None, 5, 2.5][int(rng.integers(3))] if number else None,
                "missing": bool(rng.random() < 0.5),
                "max_age": [None, 10, 0][int(rng.integers(3))],
                "fill": [None, 1 if number else "x", 0 if number else ""][int(rng.integers(3))],
            }
            age[name] = [0, 10, 10.5, 300][int(rng.integers(4))]
            if rng.random() < 0.85:
                row[name] = (
                    values[int(rng.integers(len(values)))] if rng.random() < 0.6 else 1 if number else "y"
                )
        if rng.random() < 0.3:
            row["unknown"] = None
        yield row, age, contract


def _with(keeps=_keeps, action=_action):
    """A wrong version that differs in one part."""

    def wrong(row, age, contract):
        broken = [name for name, rule in contract.items() if not keeps(row.get(name), age[name], rule)]
        return action(broken, contract), broken

    return wrong


def _is_nan(value):
    return isinstance(value, float) and math.isnan(value)


@decide.misconception(
    "you tested whether a number is too small or too large. NaN is neither, so it goes to the model. Treat NaN as a missing value before you look at the range.",
)
def nan_slips_through(row, age, contract):
    return _with(
        lambda v, old, rule: _keeps(
            1e-9 if _is_nan(v) and rule["kind"] == "number" else v, old, _open(rule, v)
        )
    )(row, age, contract)


def _open(rule, value):
    """A rule without a range where the value is NaN: no comparison with NaN holds."""
    return {**rule, "low": None, "high": None} if _is_nan(value) else rule


@decide.misconception(
    "you accepted True as the number 1. In Python a bool is an int, so a switch in the wrong field looks like a measurement. Test for `bool` first.",
)
def true_is_one(row, age, contract):
    return _with(
        lambda v, old, rule: _keeps(
            int(v) if isinstance(v, bool) and rule["kind"] == "number" else v, old, rule
        )
    )(row, age, contract)


@decide.misconception(
    "you filled a row as soon as one broken column had a fill. The others then go to the model as they are. Fill only if every broken column has one.",
)
def any_fill(row, age, contract):
    def action(broken, contract):
        if not broken:
            return "serve"
        return "fill" if any(contract[name]["fill"] is not None for name in broken) else "refuse"

    return _with(action=action)(row, age, contract)


@decide.misconception(
    "you treated a fill of 0 as no fill. In Python 0 and an empty text count as false. Compare with None: `is not None`.",
)
def zero_is_no_fill(row, age, contract):
    def action(broken, contract):
        if not broken:
            return "serve"
        return "fill" if all(contract[name]["fill"] for name in broken) else "refuse"

    return _with(action=action)(row, age, contract)


@decide.misconception(
    "you refused values that are exactly at an end of the range. Both ends are allowed. Check `<` and `<=`.",
)
def ends_refused(row, age, contract):
    def keeps(value, old, rule):
        is_end = isinstance(value, int | float) and not isinstance(value, bool)
        return _keeps(value, old, rule) and not (is_end and value in (rule["low"], rule["high"]))

    return _with(keeps)(row, age, contract)


@decide.misconception(
    "you did not look at the age. A value from a feed that stopped hours ago looks perfectly normal. Compare `age` with `max_age`.",
)
def any_age(row, age, contract):
    return _with(lambda value, old, rule: _keeps(value, 0, rule))(row, age, contract)


@decide.misconception(
    "you stopped at the first broken column. Then the action depends on the order of the columns, and the team finds the faults only one by one. Collect all of them.",
)
def first_one_only(row, age, contract):
    broken = _broken(row, age, contract)[:1]
    return _action(broken, contract), broken


@decide.misconception(
    "you let the first broken column decide between filling and refusing. A later one may have no fill, and then the row cannot be filled. Look at all broken columns.",
)
def first_one_decides(row, age, contract):
    broken = _broken(row, age, contract)
    return _action(broken[:1], contract), broken


@decide.misconception(
    "you listed a column twice when it is both too old and outside its kind or range. The list says which columns are broken, so each of them belongs there once.",
)
def once_for_each_fault(row, age, contract):
    broken = []
    for name in _broken(row, age, contract):
        value, rule = row.get(name), contract[name]
        is_there = value is not None and not _is_nan(value)
        too_old = is_there and rule["max_age"] is not None and age[name] > rule["max_age"]
        broken += [name] * (1 + (too_old and not _keeps(value, 0, rule)))
    return _action(broken, contract), broken


@decide.misconception(
    "you called every missing value broken. The model was trained with some of them missing, and it can use such a row. Look at `missing` in the rule.",
)
def none_may_be_missing(row, age, contract):
    return _with(lambda value, old, rule: _keeps(value, old, {**rule, "missing": False}))(row, age, contract)


@decide.misconception(
    "you checked only the columns that the row has. A column that is left out is missing, as if it were None. Go through the contract, not through the row.",
)
def only_what_is_there(row, age, contract):
    there = {name: rule for name, rule in contract.items() if name in row}
    return _right(row, age, there)


@decide.misconception(
    'you refused every row that breaks the contract. Where the contract names a fill, a slightly worse answer is better than none. Return "fill" for such rows.',
)
def never_fills(row, age, contract):
    broken = _broken(row, age, contract)
    return ("refuse" if broken else "serve"), broken


@decide.alternative
def rule_by_rule(row, age, contract):
    broken = []
    for name, rule in contract.items():
        value = row.get(name)
        if value is None or value != value:
            if not rule["missing"]:
                broken.append(name)
            continue
        if rule["max_age"] is not None and age[name] > rule["max_age"]:
            broken.append(name)
        elif rule["kind"] == "text":
            if type(value) is not str:
                broken.append(name)
        elif type(value) not in (int, float) or not math.isfinite(value):
            broken.append(name)
        else:
            ends = [end for end in (rule["low"], value, rule["high"]) if end is not None]
            if ends != sorted(ends):
                broken.append(name)
    if any(contract[name]["fill"] is None for name in broken):
        return "refuse", broken
    return ("fill" if broken else "serve"), broken


@decide.alternative
def with_open_ends(row, age, contract):
    def keeps(name, kind, low, high, missing, max_age):
        value = row.get(name)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return missing
        if age[name] > (math.inf if max_age is None else max_age):
            return False
        if kind == "text":
            return isinstance(value, str)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return max(-1e300, -1e300 if low is None else low) <= value <= (1e300 if high is None else high)

    broken = [
        name
        for name, rule in contract.items()
        if not keeps(name, *(rule[key] for key in ("kind", "low", "high", "missing", "max_age")))
    ]
    fills = [contract[name]["fill"] is not None for name in broken]
    return ("serve", "fill")[bool(broken)] if all(fills) else "refuse", broken
