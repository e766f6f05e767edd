"""Exercise 2.6, AUC 1.0: panic?"""

import contextlib

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Function, Names, exercise


def _logged(rng, n, kinds, late):
    """One table of the log: each column of one of the kinds below; `late` for the current table."""
    make = {
        "counter": lambda: np.arange(n) + 70_000 + 9_000 * late,
        "clock": lambda: (
            # both tables are of the same days, to the minute they have nothing in common
            pd.Timestamp("2013-02-01 00:06" if late else "2013-02-01").as_unit("us")
            + pd.to_timedelta(rng.permutation(n) * 13, unit="min").as_unit("us")
        ),
        "pair": lambda: rng.choice(
            np.arange(229, 2400, 97) + late, n
        ),  # one value for each airport pair, like a mileage
        "warmer": lambda: rng.normal(41 + 26 * late, 9, n).round().astype(int),
        "busier": lambda: rng.poisson(20 + 13 * late, n),
        "same": lambda: rng.integers(5, 23, n),
        # a time and an id can come back too
        "slot": lambda: pd.Timestamp("2013-02-01") + pd.to_timedelta(rng.integers(0, 96, n), unit="h"),
        "device": lambda: rng.choice(np.arange(40) * 113 + 70_001, n),
        "wait": lambda: rng.exponential(22, n).round().astype(int),
        "new": lambda: rng.choice(
            ["AA", "B6", "DL", "UA", "VX"], n, p=[0.3, 0.3, 0.2, 0.2 - 0.15 * late, 0.15 * late]
        ),
        # 19 of 400 current rows have a value of the reference: just under 5%; or 20: exactly 5%; 35 of 701: 4.99%
        "few back": lambda: (
            "c" + pd.Series(_coming_back(rng, n, late, 19 if n == 400 else n // 20)).astype(str)
        ),
        "some back": lambda: _coming_back(rng, n, late, 20 if n == 400 else round(0.06 * n)),
        # nearly all rows have the new version now, but the old one still occurs
        "newer": lambda: rng.permutation(np.r_[np.full(n - 12 * late, 7 + late), np.full(12 * late, 7)]),
        # one of many values is left: hardly any reference row has it, but every current row
        "narrow": lambda: np.full(n, 31) if late else np.r_[np.arange(n - 1) % 97 + 40, 31],
        # most values are new, most rows are not
        "common": lambda: rng.permutation(
            np.r_[np.zeros(n // 2, int), np.arange(n - n // 2) + 10 + 5_000 * late]
        ),
    }
    return pd.DataFrame({name: make[kind]() for name, kind in kinds.items()})


def _coming_back(rng, n, late, rows):
    """A code that is new in all but `rows` of the current rows; at 5%, each row of either table counts.

    The first and the last reference row have values of their own, which come back once; of 400 current rows the first
    and the last come back. Elsewhere it is the last rows that do: a sample from one end misleads.
    """
    if not late:
        return np.r_[9_000, 10_000 + np.arange(n - 2) % 60, 9_001]
    new, back = rng.integers(50_000, 50_060, n - rows), rng.integers(10_000, 10_009, rows)
    back[1:3] = 9_000, 9_001
    if n != 400:
        return np.r_[new, back]
    return np.r_[back[0], rng.permutation(np.r_[new, back[1:-1]]), back[-1]]


_NAMES = {
    "counter": ("request_id", "ticket", "row"),
    "clock": ("created_at", "time", "logged"),
    "pair": ("distance", "route_miles", "gate_code"),
    "warmer": ("temp", "apron_temp", "dewp"),
    "busier": ("queue_time", "planes_ahead"),
    "same": ("hour", "paid_bags"),
    "slot": ("scheduled", "slot_start"),
    "device": ("scanner_id", "belt_id"),
    "wait": ("idle_minutes", "taxi_out"),
    "new": ("carrier", "airline"),
    "few back": ("crew_code", "pairing"),
    "some back": ("tail_number", "plane"),
    "newer": ("app_version", "schema"),
    "narrow": ("runway", "desk"),
    "common": ("remark", "voucher"),
}

_NAMING = {"counter", "clock", "pair", "few back", "newer"}


def _recurring(reference, current):
    """Share of the current rows, per column, whose value the reference has too."""
    return pd.Series({name: current[name].isin(reference[name]).mean() for name in reference.columns})


@exercise(
    "2.6",
    "AUC 1.0: panic?",
    answers=("names_its_table",),
    seconds=15,
    points=3,
    minutes=6,
    edition=2,
    objective="2.d",
    kind=Function("reference", "current", returns=Names()),
    hints=(
        "What do a counter, a time stamp and a mileage have in common that a temperature lacks, even in a much warmer summer?",
        "Take one column. Of the rows in `current`, what share has a value that occurs in `reference` at all?",
        "`current[name].isin(reference[name]).mean()` is close to 0 for a column that names its table, and much larger for a measurement that moved.",
    ),
)
def names_its_table(answer, rng, expect):
    """`names_its_table(reference, current)`: columns whose values hardly ever occur in both tables."""
    honest = ["warmer", "busier", "same", "slot", "device", "wait", "new"]
    drawn = (
        ("a counter and a mileage", ["counter", "pair"], [], 0),
        (
            "a counter, a mileage and a clock that shows other minutes of the same days",
            ["counter", "clock", "pair"],
            [],
            0,
        ),
        ("none, and numbers are stored as 5 in one table, as 5.0 in the other", [], [], 0),
        (
            "one with values of the reference in 19 of 400 rows, and another one in 20",
            ["few back"],
            ["some back"],
            400,
        ),
        ("one with values of the reference in the last 35 of 701 rows", ["few back"], [], 701),
        (
            "none, and one with values of the reference in the last 12 of 200 rows, some of which repeat",
            [],
            ["some back"],
            200,
        ),
        (
            "one that is nearly always new; in another one half of the rows share one value",
            ["newer"],
            ["common"],
            400,
        ),
        ("none, and one that has a single value now", [], ["narrow"], 400),
    )
    for what, naming, more, rows in drawn:
        chosen = list(rng.permutation([*honest, *naming, *more]))
        if what == "a counter and a mileage":
            chosen.sort(key=["counter", *honest, "pair"].index)  # at both ends
        kinds = {str(rng.choice(_NAMES[kind])): str(kind) for kind in chosen}
        n, m = int(rng.integers(250, 390)), rows or int(rng.integers(250, 390))
        n = 1_100 if "narrow" in more else n
        reference, current = _logged(rng, n, kinds, 0), _logged(rng, m, kinds, 1)
        if "5.0" in what:
            current = current.astype(dict.fromkeys(current.select_dtypes("number"), float))
        if "repeat" in what:
            current = current.iloc[[*range(m - 8), *[m - 1] * 8]].reset_index(drop=True)
        want = [name for name, kind in kinds.items() if kind in _NAMING]
        with expect.defining() if naming or more or "5.0" in what else contextlib.nullcontext():
            expect.same_set(
                answer(reference, current), want, f"a log with columns that name their table: {what}"
            )
    hour = int(rng.integers(5, 23))
    reference = pd.DataFrame({"hour": [hour], "ticket": [7]})
    current = pd.DataFrame({"hour": [hour, hour], "ticket": [8, 9]})
    with expect.defining():
        expect.same_set(answer(reference, current), ["ticket"], "one row of reference and two of current")


@names_its_table.inputs
def _tables_with_names(rng):
    yield (
        pd.DataFrame({"distance": [184, 184, 1010], "hour": [6, 7, 8], "request": [1, 2, 3]}),
        pd.DataFrame({"distance": [187, 1013], "hour": [6, 9], "request": [4, 5]}),
    )
    for back in (0, 1, 4, 5, 6, 60, 100):  # of 100 rows
        current = pd.DataFrame(
            {"a": [1] * back + [2] * (100 - back), "b": ["x"] * (100 - back) + ["y"] * back}
        )
        yield pd.DataFrame({"a": [1, 1, 3], "b": ["x", "z", "z"]}), current
        yield pd.DataFrame({"a": [1] * 50 + list(range(10, 60)), "b": ["y"] * 100}), current
    times = pd.Series(pd.date_range("2013-02-01", periods=50, freq="h"))
    yield (
        pd.DataFrame({"t": times, "c": range(50)}),
        pd.DataFrame({"t": times + pd.Timedelta("1h"), "c": range(50)}),
    )
    yield pd.DataFrame({"t": times}), pd.DataFrame({"t": times + pd.Timedelta("300D")})
    yield pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [2, 2, 2, 2, 5]})
    yield pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [2.0, 1.0]})


def _chosen_wrongly(seen):
    """Of each call: honest columns that were chosen, naming columns that were not, and the tables."""
    for (reference, current), output in zip(seen.arguments, seen.outputs, strict=True):
        recurring = _recurring(reference, current)
        naming = set(recurring.index[recurring < 0.05])
        yield set(output) - naming, naming - set(output), reference, current


def _moved_columns(reference, current):
    """Measurements whose mean moved by more than one standard deviation."""
    numbers = reference.select_dtypes("number").columns
    moved = (current[numbers].mean() - reference[numbers].mean()).abs() > reference[numbers].std()
    recurring = _recurring(reference, current)
    return {name for name in numbers if moved[name] and recurring[name] >= 0.05}


def _chose_what_moved(seen):
    """Whether every measurement that moved was chosen, and hardly another one."""
    found = [(_moved_columns(a, b), extra, left) for extra, left, a, b in _chosen_wrongly(seen)]
    return all(moved and moved <= extra and len(extra - moved) <= 2 for moved, extra, _ in found)


@names_its_table.misconception(
    "you left out every column that differs. The temperature really changed. If you take it away, you hide the change that "
    "you wanted to find. Leave out only columns with values that do not occur in the other table.",
    when=_chose_what_moved,
)
def all_that_drifted(reference, current):
    found = []
    for name in reference.columns:
        values_of = [
            pd.to_numeric(frame[name]) if frame[name].dtype.kind != "O" else None
            for frame in (reference, current)
        ]
        if str(reference[name].dtype) in ("str", "object", "category"):
            continue
        a, b = (np.asarray(column, dtype=float) for column in values_of)
        if abs(a.mean() - b.mean()) > a.std() or not set(a) & set(b):
            found.append(name)
    return found


@names_its_table.misconception(
    "you took only columns without repeated values. Every flight on the same route has the same mileage, and it still "
    "gives the pair of airports away. Ask which values occur in both tables.",
)
def only_unique(reference, current):
    return [name for name in reference.columns if reference[name].is_unique and current[name].is_unique]


@names_its_table.misconception(
    "you chose columns by their names. In these logs `ticket` is a counter, while `idle_minutes` and `queue_time` are "
    "measurements. Look at the values.",
)
def by_the_sound(reference, current):
    words = ("id", "time", "row", "hour", "distance")
    return [name for name in reference.columns if any(word in name for word in words)]


@names_its_table.alternative
def with_sets(reference, current):
    found = []
    for name in reference.columns:
        common = set(reference[name]) & set(current[name])
        if sum(value in common for value in current[name]) / len(current) < 0.05:
            found.append(name)
    return found


@names_its_table.alternative
def with_counts(reference, current):
    found = []
    for name in current:
        counts = current[name].value_counts()
        shared = counts[counts.index.isin(reference[name].unique())].sum()
        if 20 * shared < len(current):
            found.append(name)
    return found
