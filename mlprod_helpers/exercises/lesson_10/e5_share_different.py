"""Exercise 10.5, Which features differ?"""

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Function, Mapping, Number, drawn_once, exercise

KEY = "request_id"


def _frame(rng, n, text=False):
    """A replay of `n` requests: quarters and whole numbers, so that differences are exact."""
    ids = rng.permutation(9 * n)[:n] + 1000
    return pd.DataFrame(
        {
            KEY: [f"{'rR'[name % 2]}{name // 2}" for name in ids] if text else ids,
            "distance": rng.integers(300, 10_000, n) / 4,
            "wind": rng.integers(-80, 80, n) / 4,
            "asked_at": rng.integers(1_357_000_000, 1_388_000_000, n).astype(float),  # seconds
        }
    )


def _share_different(served, replayed, atol):
    """The reference."""
    both = served.merge(replayed, on=KEY, suffixes=("", " replayed"))
    shares = {}
    for name in served.columns.drop(KEY):
        a, b = both[name], both[name + " replayed"]
        same = ((a - b).abs() <= atol) | (a.isna() & b.isna())
        shares[name] = float((~same).mean())
    return shares


def _mixed(rng, frame):
    """The same rows in another order."""
    return frame.iloc[rng.permutation(len(frame))].reset_index(drop=True)


def _off(rng, frame, name, by):
    """A copy in which some values of a column differ by one of `by`; the first rows differ by each of them in turn."""
    hit = rng.random(len(frame)) < rng.uniform(0.2, 0.6)
    hit[: len(by) + 1] = [True] * len(by) + [False]
    change = np.append(by, rng.choice(by, len(frame) - len(by)))
    return frame.assign(**{name: frame[name] + np.where(hit, change, 0.0)})


def _holes(rng, frame, name, where=None):
    """A copy in which some values of a column are missing."""
    hit = rng.random(len(frame)) < rng.uniform(0.2, 0.5)
    hit[:2] = True, False
    return frame.assign(**{name: frame[name].mask(hit if where is None else where)})


@drawn_once()
def draw_logs(rng):
    """what is asked -> (served, replayed, atol)."""
    n = int(rng.integers(60, 90))
    whole, other, small, fewer, gone, far = (_frame(rng, n + i, text=i % 2 == 1) for i in range(6))
    apart = rng.random(len(gone)) < 0.3
    apart[:2] = False, True
    both = _holes(rng, gone, "wind", where=apart)
    colder = _off(rng, both, "wind", [-2.0, 2.5])
    one = _holes(rng, _off(rng, small, "distance", [5.0, -6.0]), "distance")
    more = _frame(rng, 15).assign(request_id=[f"new{i}" for i in range(15)], wind=999.0)
    just = 0.5 + 2**-12  # above an `atol` of 0.5, and exact
    ends = _off(rng, _off(rng, whole, "distance", [-0.5, 0.5, -just, just]), "wind", [-0.25, 0.5])
    longer = pd.concat([_off(rng, fewer, "distance", [-9.0, 9.0]).iloc[3:], more], ignore_index=True)
    late = _off(rng, far, "asked_at", [2**-20, -0.25, 3.0])
    again = far.iloc[[0] * 20].assign(request_id=[f"new{i}" for i in range(20)], wind=0.0)
    alike = pd.concat([again, far], ignore_index=True)
    zeros = one.fillna({"distance": 0.0, "wind": 0.0})  # what a service without the value often sends
    fails = _holes(rng, _holes(rng, _off(rng, whole, "asked_at", [9.0, -1e6]), "wind"), "distance")
    return {
        "the same rows in the same order, some values off": (
            _off(rng, other, "wind", [-2.0, 3.0]),
            other,
            0.5,
        ),
        "the rows in another order": (_mixed(rng, _off(rng, other, "distance", [40.0, -7.5])), other, 0.5),
        "a value that is missing in both": (_mixed(rng, colder), both, 0.5),
        "values that are missing in the service only": (one, small, 0.5),
        "values that are missing in the replay only": (_mixed(rng, small), one, 0.5),
        "0 in the service where the replay has no value": (_mixed(rng, zeros), one, 0.5),
        "so large an `atol` that only missing values differ": (fails, _mixed(rng, whole), 1e12),
        "requests that only one of them has": (longer, _mixed(rng, fewer), 2.0),
        "a difference of exactly `atol`, and one just above it": (ends, whole, 0.5),
        "no tolerance, and large values": (late, far, 0.0),
        "values of the opposite sign, and requests that are alike": (
            _mixed(rng, alike.assign(wind=-alike["wind"])),
            alike,
            0.5,
        ),
        "other features, in another order": (
            _renamed(_mixed(rng, _off(rng, whole, "wind", [0.25, 0.5, -4.0])))[
                ["miles", KEY, "speed", "second"]
            ],
            _renamed(whole)[["speed", "miles", KEY, "second"]],
            0.25,
        ),
    }


def _renamed(frame):
    frame = frame.rename(columns={"distance": "miles", "wind": "speed", "asked_at": "second"})
    return frame.astype({"second": int})


@exercise(
    "10.5",
    "Which features differ?",
    answers=("share_different",),
    points=4,
    minutes=9,
    objective="10.c",
    kind=Function("served", "replayed", "atol", returns=Mapping(values=Number())),
    hints=(
        "First bring together the two rows of each request. Then compare them feature by feature.",
        '`served.merge(replayed, on="request_id", suffixes=("", " replayed"))` keeps the requests that both frames have. Comparisons with NaN are always False.',
        "For each feature, values are the same if `(a - b).abs() <= atol`, or if `a.isna() & b.isna()`. The share is the mean of the rest.",
    ),
)
def share_different(answer, rng, expect):
    """`share_different(served, replayed, atol)`: feature -> share of the common requests in which it differs."""
    plain = ("the same rows in the same order, some values off", "other features, in another order")
    for what, (served, replayed, atol) in draw_logs(rng).items():
        want = _share_different(served, replayed, atol)
        if what in plain:
            _ask(expect, answer, served, replayed, atol, want, what)
        else:
            with expect.defining():
                _ask(expect, answer, served, replayed, atol, want, what)


def _ask(expect, answer, served, replayed, atol, want, what):
    got = answer(served, replayed, atol)
    if set(got) != set(want):
        expect.true(False, what, "its keys are not exactly the features")
        return
    off = [name for name in want if not abs(got[name] - want[name]) <= 1e-6]
    told = ""
    if off:
        value, right = got[off[0]], want[off[0]]
        side = "too large" if value > right else "too small" if value < right else "not a number"
        told = f'"{off[0]}" is {value:.3g}, {side}'
    expect.true(not off, what, told)


@share_different.inputs
def _logs(rng):
    nan = np.nan
    yield (
        pd.DataFrame({KEY: [7, 8, 9], "miles": [200.0, nan, 900.0], "wind": [5.0, nan, 3.0]}),
        pd.DataFrame({KEY: [9, 7, 8], "miles": [900.0, 322.0, nan], "wind": [3.0, 5.0, 4.0]}),
        0.1,
    )
    for _ in range(25):
        n = int(rng.integers(1, 12))
        ids = rng.permutation(30)
        served, replayed = (
            pd.DataFrame(
                {
                    KEY: rng.permutation(ids[start : start + n]),
                    "x": rng.choice([0.0, 0.25, 0.5, 1.0, nan], n),
                    "y": rng.choice([1e6, 1e6 + 1, -2.0], n),
                    "z": rng.choice([3, 4], n),
                }
            )
            for start in (0, int(rng.integers(0, n)))
        )
        yield served, replayed[[KEY, "z", "y", "x"]], float(rng.choice([0.0, 0.25, 1.0]))


def _by_id(served, replayed, how="inner"):
    """(features, served values, replayed values), each a frame with one row a request."""
    names = list(served.columns.drop(KEY))
    a, b = served.set_index(KEY)[names], replayed.set_index(KEY)[names]
    ids = a.index.intersection(b.index) if how == "inner" else a.index.union(b.index)
    return a.reindex(ids), b.reindex(ids)


def _shares(unlike):
    return {name: float(share) for name, share in unlike.mean().items()}


@share_different.misconception(
    "you compared the rows by their position. The log and the replay are in different orders, so you compared different requests. Match the rows by `request_id` first.",
)
def by_position(served, replayed, atol):
    n = min(len(served), len(replayed))
    names = list(served.columns.drop(KEY))
    a, b = (frame[names].head(n).reset_index(drop=True) for frame in (served, replayed))
    return _shares(~((a - b).abs() <= atol) & ~(a.isna() & b.isna()))


@share_different.misconception(
    "you counted a value that is missing in both as different. NaN is not equal to itself, so such rows look different. Treat two missing values as equal.",
)
def missing_never_equal(served, replayed, atol):
    a, b = _by_id(served, replayed)
    return _shares(~((a - b).abs() <= atol))


@share_different.misconception(
    "you did not count values that are missing on one side only. A difference from NaN is NaN, and NaN is not above `atol`. Ask which differences are small enough, not which are too large.",
)
def missing_in_one_lost(served, replayed, atol):
    a, b = _by_id(served, replayed)
    return _shares((a - b).abs() > atol)


@share_different.misconception(
    "you dropped the rows with a missing value before you compared. A value that is missing only in the service is a difference. Keep these rows, and count them.",
)
def incomplete_rows_dropped(served, replayed, atol):
    a, b = _by_id(served, replayed)
    shares = {}
    for name in a:
        gap = (a[name] - b[name]).abs().dropna()
        shares[name] = float((gap > atol).mean()) if len(gap) else 0.0
    return shares


@share_different.misconception(
    "you filled in 0 for missing values before you compared. Many services send 0 when a value is missing, and you can no longer see this difference. Compare the values first, and look for missing ones with `isna()`.",
)
def zero_before_comparing(served, replayed, atol):
    return _share_different(served.fillna(0), replayed.fillna(0), atol)


@share_different.misconception(
    "you counted requests that only one side has. They show that the log or the replay is incomplete, not that a feature differs. Leave them out.",
)
def unmatched_counted(served, replayed, atol):
    a, b = _by_id(served, replayed, how="outer")
    here = pd.Series(a.index.isin(served[KEY]) & a.index.isin(replayed[KEY]), index=a.index)
    unlike = ~((a - b).abs() <= atol) & ~(a.isna() & b.isna())
    return _shares(unlike.where(here, True))


@share_different.misconception(
    "you divided by all rows of the log. Requests without a replay cannot differ, so they make every share too small. Divide by the number of requests that both have.",
)
def of_all_served(served, replayed, atol):
    a, b = _by_id(served, replayed)
    unlike = ~((a - b).abs() <= atol) & ~(a.isna() & b.isna())
    return {name: float(unlike[name].sum() / len(served)) for name in unlike}


@share_different.misconception(
    "you allowed a relative difference as well. `np.isclose` adds `rtol` times the value to the tolerance. For times in seconds since 1970, this allows differences of hours. Set `rtol=0`, or compare with `atol` yourself.",
)
def relative_tolerance(served, replayed, atol):
    a, b = _by_id(served, replayed)
    close = np.isclose(a.astype(float), b.astype(float), atol=atol, equal_nan=True)
    return _shares(pd.DataFrame(~close, columns=a.columns))


@share_different.misconception(
    "you looked only at values that are too large in the service. Values that are too small differ as well. Use the absolute difference.",
)
def too_large_only(served, replayed, atol):
    a, b = _by_id(served, replayed)
    return _shares(((a - b) > atol) | (a.isna() != b.isna()))


@share_different.misconception(
    "you counted a difference of exactly `atol`. Only a larger difference counts. Check `<` and `<=`.",
)
def atol_itself(served, replayed, atol):
    a, b = _by_id(served, replayed)
    return _shares(~((a - b).abs() < atol) & (a != b) & ~(a.isna() & b.isna()))


@share_different.alternative
def row_by_row(served, replayed, atol):
    replay = {row[KEY]: row for row in replayed.to_dict("records")}
    counts, n = {name: 0 for name in served if name != KEY}, 0
    for row in served.to_dict("records"):
        other = replay.get(row[KEY])
        if other is None:
            continue
        n += 1
        for name in counts:
            a, b = row[name], other[name]
            if pd.isna(a) or pd.isna(b):
                counts[name] += pd.isna(a) != pd.isna(b)
            else:
                counts[name] += abs(a - b) > atol
    return {name: count / n for name, count in counts.items()}


@share_different.alternative
def with_isclose(served, replayed, atol):
    a, b = _by_id(served, replayed)
    close = np.isclose(a.astype(float), b.astype(float), rtol=0, atol=atol, equal_nan=True)
    return dict(zip(a.columns, 1 - close.mean(axis=0), strict=True))


@share_different.alternative
def in_long_form(served, replayed, atol):
    long = [frame.melt(KEY, var_name="feature") for frame in (served, replayed)]
    pairs = long[0].merge(long[1], on=[KEY, "feature"])
    gap = (pairs["value_x"] - pairs["value_y"]).abs()
    missing = pairs["value_x"].isna().astype(int) + pairs["value_y"].isna()
    pairs["unlike"] = (gap > atol) | (missing == 1)
    return pairs.groupby("feature")["unlike"].mean()
