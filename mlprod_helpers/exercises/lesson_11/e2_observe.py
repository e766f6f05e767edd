"""Exercise 11.2, Observe what is unusual."""

from mlprod_helpers.lesson.contract import Function, Mapping, Text, exercise

NAMES = ("error_mean", "requests", "latency_p95", "labels_share", "distance_mean", "attempts", "error_bias")


def _side(value, low, high):
    if value is None:
        return ""
    return "high" if value > high else "low" if value < low else ""


def _truth(history, usual, mornings):
    out = {}
    for name, values in history.items():
        sides = [_side(value, *usual[name]) for value in values[-3:]]
        if sides and sides[-1] and sides.count(sides[-1]) >= mornings.get(name, 1):
            out[name] = sides[-1]
    return out


def _value(rng, low, high, where):
    width = high - low
    if where == "unknown":
        return None
    if where in ("top", "bottom"):
        return high if where == "top" else low
    start = {"in": low + 0.1 * width, "high": high + 0.1 * width, "low": low - 0.9 * width}[where]
    return round(float(start + rng.uniform(0, 0.8) * width), 1)


def _case(rng, rows, needs):
    """(history, usual, mornings): `rows` says where each of the last mornings lies, in words."""
    history, usual, mornings = {}, {}, {}
    for name, row, need in zip(rng.permutation(NAMES).tolist(), rows, needs, strict=False):
        low = round(float(rng.uniform(5 if "unknown" in row else -20, 80)), 1)  # 0 stands for nothing unknown
        high = low + round(float(rng.uniform(5, 40)), 1)
        usual[name] = [low, high]
        history[name] = [_value(rng, low, high, where) for where in row.split()]
        if need:
            mornings[name] = need
    return history, {name: usual[name] for name in rng.permutation(list(usual)).tolist()}, mornings


def _zeros(rng):
    """0 as a value and as a limit. Where 0 is a limit, the value of this morning is beyond it."""
    low, high, small = (round(float(rng.uniform(*limits)), 2) for limits in ((0.8, 0.9), (1, 2), (0.1, 0.5)))
    rows = {
        "labels_share": ([1.0, 0.0], [low, 1.0]),
        "requests": ([0, 4000, 0], [3000, 7000]),
        "error_bias": ([-low, 0.0], [-high, -small]),
        "distance_mean": ([0, -small, 0], [-high, -low]),
        "attempts": ([small, -small], [0, high]),
        "latency_p95": ([-small, small], [-high, 0]),
        "error_mean": ([small, 0], [-low, low]),
    }
    names = rng.permutation(list(rows)).tolist()
    history, usual = ({name: rows[name][part] for name in names} for part in (0, 1))
    return history, usual, {"requests": 2, "distance_mean": 2}


CASES = (
    (("in in high", "in in low", "in in in"), (0, 0, 0), "unusual this morning, and no `mornings` given"),
    (
        ("in high high", "in in high", "high in high", "low low low", "in low low"),
        (2, 2, 2, 3, 3),
        "two or three mornings are needed",
    ),
    (("high high high in", "low low low in in"), (2, 1), "unusual before, but not this morning"),
    (
        ("high high high in in high", "low low in in low", "high high in high in high", "high in in in high"),
        (2, 2, 2, 2),
        "only the last three mornings count",
    ),
    (("low in high", "high low low", "low low high"), (2, 2, 2), "high on one morning, low on another"),
    (
        (
            "high high unknown",
            "in unknown high",
            "high unknown high",
            "unknown unknown unknown",
            "in unknown low",  # 0 would be low
            "low low unknown",
        ),
        (1, 2, 2, 1, 2, 2),
        "some values are unknown",
    ),
    (
        ("high in unknown high", "low unknown unknown low", "in in in unknown high"),
        (2, 2, 1),
        "an unknown value is one of the last three",
    ),
    (
        ("in in top", "in in bottom", "top top high", "bottom bottom low", "high high top", "low low bottom"),
        (1, 1, 2, 2, 1, 1),
        "a value at a limit",
    ),
    (("high", "low low", "high high"), (1, 2, 3), "fewer than three mornings are known"),
    (
        ("high high high", "low low low", "high in high", "low low low", "in high high"),
        (2, 2, 1, 1, 0),
        "unusual on more mornings than needed",
    ),
)


@exercise(
    "11.2",
    "Observe what is unusual",
    answers=("observe",),
    points=4,
    minutes=7,
    objective="11.b",
    kind=Function("history", "usual", "mornings", returns=Mapping(values=Text(options=("high", "low")))),
    hints=(
        "Work on one metric at a time. First decide for each of its last three values whether it is high, low, or neither.",
        "`values[-3:]` also works if there are fewer than three. Test `value is None` before you compare.",
        'Take the side of this morning\'s value. If it is not "", count how often the same side occurs in the last three, and compare with `mornings.get(name, 1)`.',
    ),
)
def observe(answer, rng, expect):
    """`observe(history, usual, mornings)`: metric -> "high" or "low"."""
    for number, (rows, needs, what) in enumerate(CASES):
        given = _case(rng, rows, needs)
        if number in (1, 3, 4):
            with expect.defining():
                expect.equal(answer(*given), _truth(*given), what)
        else:
            expect.equal(answer(*given), _truth(*given), what)
    given = _zeros(rng)
    expect.equal(answer(*given), _truth(*given), "0 as a value or as a limit")
    quiet = int(rng.integers(11, 15))
    history = {"error_mean": [5.0] * quiet + [12.004], "requests": [3000] * quiet + [2999]}
    given = history, {"error_mean": [1.0, 12.0], "requests": [3000, 7000]}, {}
    expect.equal(answer(*given), _truth(*given), "a little outside, after many usual values")


@observe.inputs
def _statement(rng):
    example = {"requests": [4000, 9000], "error_mean": [7.0, 13.0, 9.5, 12.5]}
    yield example, {"requests": [3000, 7000], "error_mean": [1.0, 12.0]}, {"error_mean": 2}
    yield {}, {}, {}
    yield {"requests": [None]}, {"requests": [3000, 7000]}, {}
    places = ["in", "high", "low", "unknown", "top", "bottom"]
    for _ in range(60):
        rows = [
            " ".join(rng.choice(places, int(rng.integers(1, 7)), p=[0.3, 0.3, 0.2, 0.1, 0.05, 0.05]))
            for _ in NAMES
        ]
        yield _case(rng, rows, rng.integers(0, 4, len(NAMES)).tolist())
    for _ in range(5):
        yield _zeros(rng)


def _with(history, usual, mornings, last=3, side=_side, same=True, need=True):
    """The answer with one of its rules changed."""
    out = {}
    for name, values in history.items():
        sides = [side(value, *usual[name]) for value in values[-last:]]
        count = sides.count(sides[-1]) if same else sum(bool(each) for each in sides)
        if sides[-1] and count >= (mornings.get(name, 1) if need else 1):
            out[name] = sides[-1]
    return out


@observe.misconception(
    "you looked at this morning only. A single noisy value then counts as much as a lasting change. Use `mornings` to see how often the value must be unusual.",
)
def this_morning_only(history, usual, mornings):
    return _with(history, usual, mornings, need=False)


@observe.misconception(
    "you counted unusual values in the whole history. An incident that ended last week then keeps its metric on the list. Only the last three mornings count.",
)
def in_all_history(history, usual, mornings):
    return _with(history, usual, mornings, last=1000)


@observe.misconception(
    "you counted high and low values together. A value that is too low today and too high tomorrow is noise, not evidence of one change. Count the side of this morning.",
)
def both_sides_together(history, usual, mornings):
    return _with(history, usual, mornings, same=False)


@observe.misconception(
    "you took an unknown value for 0. A missing label says nothing about the error, and 0 is often far outside the usual range. Skip values that are None.",
)
def unknown_is_zero(history, usual, mornings):
    return _with(history, usual, mornings, side=lambda value, low, high: _side(value or 0, low, high))


@observe.misconception(
    "you counted a value at the limit as unusual. The limits belong to the usual range, so a share that is always 0 would be reported every morning.",
)
def limits_are_outside(history, usual, mornings):
    def side(value, low, high):
        return "" if value is None else "high" if value >= high else "low" if value <= low else ""

    return _with(history, usual, mornings, side=side)


@observe.misconception(
    "you asked for exactly the number in `mornings`. An incident that lasts one morning longer then drops off the list. The number is the least that is needed.",
)
def exactly_so_many(history, usual, mornings):
    out = {}
    for name, values in history.items():
        sides = [_side(value, *usual[name]) for value in values[-3:]]
        if sides[-1] and sides.count(sides[-1]) == mornings.get(name, 1):
            out[name] = sides[-1]
    return out


@observe.misconception(
    "you took 0 for an unknown value. If the share of labels is 0, all labels are missing, and that is what the team must hear of. Compare with None.",
)
def zero_is_unknown(history, usual, mornings):
    return _with(history, usual, mornings, side=lambda value, low, high: _side(value or None, low, high))


@observe.misconception(
    "you removed the unknown values before you took the last three. Then values from earlier mornings count as recent ones. Take the last three first.",
)
def unknown_removed_first(history, usual, mornings):
    known = {
        name: [value for value in values if value is not None]
        for name, values in history.items()
        if values[-1] is not None
    }
    return _with(known, usual, mornings)


@observe.alternative
def by_counting(history, usual, mornings):
    out = {}
    for name in history:
        low, high = usual[name]
        known = [value for value in history[name][-3:] if value is not None]
        now = history[name][-1]
        if now is None:
            continue
        for word, n in (
            ("high", sum(value > high for value in known) * (now > high)),
            ("low", sum(value < low for value in known) * (now < low)),
        ):
            if n and n >= mornings.get(name, 1):
                out[name] = word
    return out


@observe.alternative
def with_pandas(history, usual, mornings):
    import pandas as pd

    out = {}
    for name, values in history.items():
        low, high = usual[name]
        recent = pd.Series(values[-3:], dtype=float)
        for word, mask in (("high", recent > high), ("low", recent < low)):
            if mask.iloc[-1] and mask.sum() >= mornings.get(name, 1):
                out[name] = word
    return out
