"""Exercises of lesson 08, monitoring metrics: what to measure, what is normal, and whom to wake."""

import contextlib
import itertools
import math
import statistics

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import (
    Array,
    Choice,
    Function,
    Mapping,
    Number,
    Sequence,
    Several,
    exercise,
)
from mlprod_helpers.monitoring import Rule, choose_threshold, duration, evaluate, grouped, judge
from mlprod_helpers.monitoring.metrics import METRICS, measure
from mlprod_helpers.monitoring.quiet import service_log

EDITION = 2

# ------------------------------------------------------------------ 8.1 brainstorm, then match

TO_WATCH = (
    "accuracy",
    "cpu",
    "memory",
    "p99_latency",
    "error_rate",
    "missing_rows",
    "mean_length",
    "brightness",
    "out_of_range",
    "new_categories",
    "missing_outputs",
    "redo_rate",
    "class_share",
)
PROBLEMS = {
    "feed": "the weather feed stops: its columns arrive empty; labels come in six weeks",
    "lamp": "the lamp above a camera dies slowly: accuracy will fall, but later",
    "encoding": 'titles pass through a wrong encoding: "é" becomes two or more characters',
    "units": "a partner sends kilometers for miles: Honolulu is 8,019 from New York, was 4,983",
    "airline": "a new airline begins to fly: the model has never met its code",
    "empty": 'the service is idle and quick: it answers with status 200 and no content: ""',
    "leak": "each thousand requests leave 10 MB behind; in four days the process is killed",
    "database": "every answer still comes, and is right; one in fifty waits 3 s for the database",
    "search": "the results are not what people meant: they try other words, and nobody complains",
    "bag": 'after a release the model calls every image "bag", quickly and politely',
}
RIGHT_METRICS = {
    "feed": "missing_rows",
    "lamp": "brightness",
    "encoding": "mean_length",
    "units": "out_of_range",
    "airline": "new_categories",
    "empty": "missing_outputs",
    "leak": "memory",
    "database": "p99_latency",
    "search": "redo_rate",
    "bag": "class_share",
}


@exercise(
    "8.1",
    "Brainstorm, then match",
    answers=("watch",),
    points=4,
    minutes=8,
    core=True,
    objective="8.a",
    kind=Choice(PROBLEMS, options=TO_WATCH),
    hints=(
        "For each problem: what is the first thing in the log, or in the process, that differs from yesterday?",
        "Who needs labels is late. Who looks at the machine does not see what is in the answers. Who looks at the answers does not see what is in the inputs.",
        "Each of ten metrics fits exactly one problem; three of the thirteen fit none.",
    ),
)
def watch(answer, rng, expect):
    """Ten problems, and the metric that shows each first and most directly."""
    expect.cases(answer, RIGHT_METRICS)


@watch.misconception(
    "accuracy would tell. It needs labels, and those come in weeks or never: what is broken today shows today in the inputs and outputs themselves."
)
def accuracy_will_tell():
    return RIGHT_METRICS | {"feed": "accuracy", "lamp": "accuracy", "bag": "accuracy"}


@watch.misconception(
    "a healthy machine were a healthy service. It is fast, idle and useless: look at what it answers.",
)
def machine_is_fine():
    return RIGHT_METRICS | {"empty": "cpu", "bag": "cpu"}


@watch.misconception(
    "what fails reports itself. Status 200 only says that an answer came, not that something was in it.",
)
def errors_report_themselves():
    return RIGHT_METRICS | {"empty": "error_rate", "database": "error_rate"}


@watch.misconception(
    "a wrong value were a missing one. Every field is filled, and filled with a number that cannot be.",
)
def wrong_is_missing():
    return RIGHT_METRICS | {"units": "missing_rows"}


@watch.misconception(
    "people who are not served complain. Most just try again: that is what can be counted, without a single label.",
)
def people_complain():
    return RIGHT_METRICS | {"search": "accuracy"}


@watch.misconception(
    "what is slow were what is busy. A process that waits for somebody else uses no processor at all: ask how long the slowest answers take.",
)
def slow_is_busy():
    return RIGHT_METRICS | {"database": "cpu", "leak": "cpu"}


@watch.alternative
def from_the_last_to_the_first():
    return dict(reversed(RIGHT_METRICS.items()))


@watch.alternative
def metric_by_metric():
    shows = {metric: problem for problem, metric in RIGHT_METRICS.items()}
    return {shows[metric]: metric for metric in TO_WATCH if metric in shows}


# ------------------------------------------------------------------ 8.2 rows with missing values

REQUIRED = ["distance", "delay", "carrier"]
CODES = {"distance": [0], "carrier": ["", "N/A"]}
OFFERS = ["price", "title"]  # of another sender's table
OFFER_CODES = {"price": [-1, 0, -999], "title": ["?"]}


def _flights(rng, n, holes=(), codes=(), twice=0.0):
    """A frame of flights: `holes` are (column, share) of missing values, `codes` of placeholders; `twice` empties two columns."""
    frame = pd.DataFrame(
        {
            "distance": rng.integers(80, 2500, n).astype(float),
            "delay": rng.choice([0.0, 5.0, 12.0, -3.0], n, p=[0.4, 0.3, 0.2, 0.1]),
            "carrier": rng.choice(["UA", "B6", "DL"], n).astype(object),
            "label": np.where(rng.random(n) < 0.7, np.nan, rng.normal(10, 5, n)),
        }
    )
    for column, share in holes:
        frame.loc[_some(rng, n, share), column] = None if column == "carrier" else np.nan
    for column, share in codes:
        rows = np.flatnonzero(_some(rng, n, share))
        for i, row in enumerate(rows):  # each of the column's codes in turn
            frame.loc[row, column] = CODES[column][i % len(CODES[column])]
    both = _some(rng, n, twice)
    frame.loc[both, ["distance", "delay"]] = np.nan
    return frame


def _offers(rng, n, share):
    """A frame with other columns, in which some prices and titles are codes."""
    price = rng.choice([9.5, 20.0, 35.0], n)
    price = np.where(_some(rng, n, share), rng.choice(OFFER_CODES["price"], n), price)
    title = rng.choice(["lamp", "", "0"], n).astype(object)  # these are titles; only "?" and None are not
    title[_some(rng, n, share / 2)] = "?"
    title[_some(rng, n, share / 2)] = None
    stars = rng.choice([0, 3, 5], n)
    return pd.DataFrame({"title": title, "stars": stars, "price": price, "note": np.full(n, np.nan)})


def _some(rng, n, share):
    return rng.permutation(n) < round(share * n)


def _missing(frame, required=REQUIRED, codes=CODES):
    cells = frame[required].isna()
    for column, values in codes.items():
        if column in cells:
            cells[column] |= frame[column].isin(values)
    return cells


@exercise(
    "8.2",
    "Rows with missing values",
    answers=("missing_rows",),
    points=3,
    minutes=5,
    objective="8.b",
    edition=2,
    kind=Function("frame", "required", "codes", returns=Number()),
    hints=(
        "First a table of True and False, one cell a value: is it missing? Then the question of rows.",
        "A row counts once, however many of its values are missing: `.any(axis=1)`.",
        "`frame[required].isna()`, and for each column that has codes also `frame[column].isin(values)`.",
    ),
)
def missing_rows(answer, rng, expect):
    """`missing_rows(frame, required, codes)`: the share of rows in which a required value is missing."""
    a, b, c = (float(x) for x in rng.uniform(0.08, 0.25, 3))
    n = int(rng.integers(120, 200))
    flights = (
        (
            _flights(rng, n, holes=[("distance", a), ("delay", b), ("carrier", c)]),
            "missing values here and there, in three columns",
        ),
        (_flights(rng, n, holes=[("delay", 1.0)]), "one column is completely empty"),
        (_flights(rng, n, twice=a + 0.1), "two missing values in the same rows"),
        (
            _flights(rng, n, codes=[("distance", a), ("carrier", b)]),
            "placeholders instead of missing values, and delays of 0 minutes",
        ),
        (
            _flights(rng, n, holes=[("delay", c)], codes=[("distance", b)], twice=a),
            "missing values and placeholders together",
        ),
        (_flights(rng, n), "every required value is there; many labels are still to come"),
    )
    first, *defining, last = flights
    _ask_missing(expect, answer, first[0], REQUIRED, CODES, first[1])
    with expect.defining():
        for frame, what in defining:
            _ask_missing(expect, answer, frame, REQUIRED, CODES, what)
    _ask_missing(expect, answer, last[0], REQUIRED, CODES, last[1])
    offers = _offers(rng, n + 7, a + b)
    _ask_missing(expect, answer, offers, OFFERS, OFFER_CODES, "other columns, other codes")
    holes = _flights(rng, n + 3, holes=[("distance", a), ("carrier", b)], codes=[("carrier", c)])
    _ask_missing(expect, answer, holes, ["carrier"], {}, "one required column, no codes")


def _ask_missing(expect, answer, frame, required, codes, what):
    want = float(_missing(frame, required, codes).any(axis=1).mean())
    of_rows = f"; {round(want * len(frame))} of {len(frame)} rows" if want in (0, 1) else ""
    expect.close(answer(frame, list(required), codes), want, f"{what} ({len(frame)} rows{of_rows})")


@missing_rows.inputs
def _tables(rng):
    small = pd.DataFrame(
        {"distance": [200.0, 0.0, np.nan, 900.0], "carrier": ["UA", "DL", "B6", "N/A"], "label": [np.nan] * 4}
    )
    yield small, ["distance", "carrier"], {"distance": [0], "carrier": ["", "N/A"]}
    yield small, ["distance"], {"distance": [0]}
    yield small, ["carrier", "distance"], {}
    yield small.head(1), ["distance"], {"distance": [0]}
    yield small.assign(carrier=[None, "", "0", "nan"]), ["carrier"], {"carrier": [""]}
    for _ in range(20):
        n = int(rng.integers(1, 30))
        frame = pd.DataFrame(
            {
                "w": rng.choice([1.0, 2.0, -1.0, np.nan], n),
                "x": rng.choice([0.0, 3.0, np.inf], n),
                "y": rng.choice(np.array(["a", "b", "", None], dtype=object), n),
                "z": rng.choice([5, 6, 7], n),
            }
        )
        required = rng.permutation(["w", "x", "y", "z"])[: int(rng.integers(1, 5))].tolist()
        codes = {"w": [-1], "y": ["", "b"], "z": [6, 7]}
        yield frame, required, {name: values for name, values in codes.items() if name in required}


@missing_rows.misconception(
    "cells were counted. One empty column of three is a third of the cells and every single row: none of them can be used.",
)
def share_of_cells(frame, required, codes):
    return float(_missing(frame, required, codes).to_numpy().mean())


@missing_rows.misconception(
    "the columns' shares were added up. Two holes in one row are still one row.",
)
def columns_added(frame, required, codes):
    return float(_missing(frame, required, codes).mean().sum())


@missing_rows.misconception(
    "only NaN were missing. Many senders write a 0 or an empty text where they know nothing; the schema says which.",
)
def only_nan(frame, required, codes):
    return float(frame[required].isna().any(axis=1).mean())


@missing_rows.misconception(
    "every column had to be there. Labels come later by design: a monitor that counts them is always red.",
)
def every_column(frame, required, codes):
    return float(_missing(frame, list(frame.columns), codes).any(axis=1).mean())


@missing_rows.misconception(
    "a code meant the same in each column. A delay of 0 minutes is a punctual flight, a distance of 0 is none.",
)
def codes_everywhere(frame, required, codes):
    bad = [value for values in codes.values() for value in values]
    cells = frame[required].isna() | frame[required].isin(bad)
    return float(cells.any(axis=1).mean())


@missing_rows.misconception(
    "a row had to be empty altogether. One missing value is enough to make the model guess.",
)
def whole_row_empty(frame, required, codes):
    return float(_missing(frame, required, codes).all(axis=1).mean())


@missing_rows.alternative
def replace_the_codes_first(frame, required, codes):
    clean = frame[required].copy()
    for column in required:
        clean[column] = clean[column].where(~clean[column].isin(codes.get(column, [])))
    return 1 - len(clean.dropna()) / len(clean)


@missing_rows.alternative
def row_by_row(frame, required, codes):
    hit = 0
    for row in frame[required].to_dict("records"):
        hit += any(pd.isna(value) or value in codes.get(name, []) for name, value in row.items())
    return hit / len(frame)


# ------------------------------------------------------------------ 8.3 CTR with honesty

Z95 = statistics.NormalDist().inv_cdf(0.975)


def _wilson(hits, n, z=Z95):
    p = hits / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(max(p * (1 - p) / n + z * z / (4 * n * n), 0))
    return middle - half, middle + half


def _clicks(rng, n, rate, twice=0.0, other=0):
    """Views (one row a request) and click events of a day, some of them doubled, some of another list."""
    ids = rng.choice(90_000, n + other, replace=False) + 10_000
    views = pd.DataFrame({"request_id": ids[:n], "user_id": rng.integers(0, max(n // 3, 1), n)})
    hit = rng.choice(ids[:n], min(n, round(rate * n)), replace=False)
    again = rng.choice(hit, round(twice * len(hit)), replace=True) if len(hit) else hit
    events = np.concatenate([hit, again, ids[n:]])
    return views, pd.DataFrame({"request_id": rng.permutation(events)})


@exercise(
    "8.3",
    "CTR with honesty",
    answers=("ctr",),
    points=4,
    minutes=7,
    objective="8.b",
    edition=2,
    kind=Function(
        "views", "clicks", returns=Several(Number(), Number(), Number(), names=("rate", "low", "high"))
    ),
    hints=(
        "Which views were clicked at least once? `views` has one row for each; `clicks` may have several, or some that are not yours.",
        '`views["request_id"].isin(clicks["request_id"])` is True once for each clicked view.',
        "Hits and views are all that Wilson's formula needs. With 0 hits its lower end is 0, its upper end is not.",
    ),
)
def ctr(answer, rng, expect):
    """`ctr(views, clicks)` -> (rate, low, high): clicked views by views, with Wilson's 95 % interval."""
    n = int(rng.integers(300, 500))
    rate = float(rng.uniform(0.03, 0.08))
    few = int(rng.integers(15, 60))
    cases = (
        (_clicks(rng, n, rate), f"a day with {n} views"),
        (_clicks(rng, n, 2 * rate, twice=0.6), "impatient fingers: some views were clicked twice"),
        (_clicks(rng, n, rate, other=int(rng.integers(10, 30))), "clicks of another list in the same log"),
        (_clicks(rng, few, 0), f"0 clicks of {few} views"),
        (_clicks(rng, 3, 1.0), "3 clicks of 3 views"),
    )
    with expect.defining():
        for (views, clicks), what in cases[1:4]:
            _ask_ctr(expect, answer, views, clicks, what)
    for (views, clicks), what in (cases[0], cases[4]):
        _ask_ctr(expect, answer, views, clicks, what)


def _ask_ctr(expect, answer, views, clicks, what):
    hits = views["request_id"].isin(clicks["request_id"]).sum()
    got_rate, *got = answer(views, clicks)
    counts = f"{len(views)} views of {views['user_id'].nunique()} people, {len(clicks)} click events"
    expect.close(got_rate, float(hits / len(views)), f"{what}: the rate ({counts})")
    for got_end, want_end, side in zip(got, _wilson(hits, len(views)), ("low", "high"), strict=True):
        expect.close(got_end, want_end, f"{what}: the interval's {side} end", rtol=2e-3, atol=1e-4)


@ctr.inputs(atol=1e-4)
def _days(rng):
    views = pd.DataFrame({"request_id": [11, 12, 13, 14], "user_id": [1, 1, 2, 3]})
    yield views, pd.DataFrame({"request_id": [12, 12, 14, 99]})
    yield views, pd.DataFrame({"request_id": np.array([], dtype=int)})
    yield views.head(1), pd.DataFrame({"request_id": [11, 11, 11]})
    yield views, pd.DataFrame({"request_id": [98, 99]})
    for _ in range(20):
        n = int(rng.integers(1, 300))
        ids = rng.permutation(3 * n)
        views = pd.DataFrame({"request_id": ids[:n], "user_id": rng.integers(0, max(n // 4, 1), n)})
        yield views, pd.DataFrame({"request_id": rng.choice(ids, int(rng.integers(0, 2 * n)))})


def _rated(hits, n, interval=_wilson):
    return (float(hits / n), *(float(end) for end in interval(hits, n)))


@ctr.misconception(
    "clicks were divided by people. A click-*through* rate asks: of the times it was shown, how often was it clicked?",
)
def by_users(views, clicks):
    hits = int(views["request_id"].isin(clicks["request_id"]).sum())
    return _rated(min(hits, views["user_id"].nunique()), views["user_id"].nunique())


@ctr.misconception(
    "each click event were a clicked view. Who taps twice was shown it once: two clicks of one view would be a rate of 200 %.",
)
def each_event(views, clicks):
    hits = int(clicks["request_id"].isin(views["request_id"]).sum())
    return _rated(hits, len(views))


@ctr.misconception(
    "all clicks in the log belonged to these views. Count those whose request is among them.",
)
def of_any_list(views, clicks):
    return _rated(int(clicks["request_id"].nunique()), len(views))


def _normal(hits, n):
    p = hits / n
    half = Z95 * math.sqrt(p * (1 - p) / n)
    return p - half, p + half


@ctr.misconception(
    "the usual p ± 1.96 standard errors were good enough. With 0 of 40 it claims to know for certain that nobody ever clicks; small rates need Wilson's interval.",
)
def normal_interval(views, clicks):
    return _rated(int(views["request_id"].isin(clicks["request_id"]).sum()), len(views), _normal)


@ctr.misconception(
    "the rate were the middle of the interval. The interval leans to 1/2, the rate itself stays hits by views.",
)
def middle_as_rate(views, clicks):
    low, high = _wilson(int(views["request_id"].isin(clicks["request_id"]).sum()), len(views))
    return (low + high) / 2, low, high


@ctr.alternative
def by_merging(views, clicks):
    once = clicks.drop_duplicates("request_id").assign(hit=1)
    hit = views.merge(once, on="request_id", how="left")["hit"].fillna(0)
    n, hits = len(hit), float(hit.sum())
    z2 = 1.96**2
    middle = (hits + z2 / 2) / (n + z2)
    half = 1.96 / (n + z2) * math.sqrt(hits * (n - hits) / n + z2 / 4)
    return hits / n, middle - half, middle + half


@ctr.alternative
def by_the_quadratic(views, clicks):
    hits, n = len(set(views["request_id"]) & set(clicks["request_id"])), len(views)
    rate, z2 = hits / n, 1.96**2
    # both ends p solve (rate - p)^2 = z^2 p (1 - p) / n
    low, high = sorted(np.roots([1 + z2 / n, -(2 * rate + z2 / n), rate * rate]).real)
    return rate, low, high


# ------------------------------------------------------------------ 8.4 they searched again


def _searches(rng, users=16, *, quick=0.3, pages=0.0, retries=0.0, tomorrow=0.0, window=60, waits=None):
    """A log of searches: per user a few, `quick` of them again within the window, the rest much later; or after `waits` seconds."""
    rows, number = [], 0
    start = pd.Timestamp("2025-03-03 08:00", tz="UTC")
    for user in range(users):
        at = float(rng.uniform(0, 20_000)) if waits is None else float(rng.integers(0, 20_000))
        for _ in range(int(rng.integers(2, 6))):
            number += 1
            name = f"r{number:04d}"
            rows.append((at, name, f"u{user:02d}", 1))
            if rng.random() < retries:
                rows.append((at + float(rng.uniform(1, 0.4 * window)), name, f"u{user:02d}", 1))
            if rng.random() < pages:
                number += 1
                page = int(rng.integers(2, 5))
                rows.append(
                    (at + float(rng.uniform(2, 0.4 * window)), f"r{number:04d}", f"u{user:02d}", page)
                )
            draw = rng.random()
            if waits is not None:
                at += float(rng.choice(waits))
            elif draw < quick:
                at += float(rng.uniform(0.5, 0.95)) * window
            elif draw < quick + tomorrow:
                at += 86_400 + float(rng.uniform(0.1, 0.9)) * window
            else:
                at += float(rng.uniform(1.3, 40)) * window
    frame = pd.DataFrame(rows, columns=["time", "request_id", "user_id", "page"])
    frame = frame.sort_values("time", ignore_index=True)
    frame["time"] = start + pd.to_timedelta(frame["time"].round(3), unit="s")
    return frame


def _redo(log, window_s, *, pages=False, retries=False, users=True, window=True, days=True, of_all=False):
    rows = log if pages else log[log["page"] == 1]
    if not retries:
        rows = rows.drop_duplicates("request_id")
    rows = rows.sort_values("time", kind="stable")
    times = rows.groupby("user_id")["time"] if users else rows["time"]
    wait = times.shift(-1) - rows["time"]
    seconds = wait.dt.total_seconds() if days else wait.dt.seconds
    redone = seconds.notna() if not window else seconds <= window_s
    return float(redone.sum() / (len(log) if of_all else len(rows)))


@exercise(
    "8.4",
    "They searched again",
    answers=("redo_rate",),
    points=4,
    minutes=8,
    objective="8.b",
    edition=2,
    kind=Function("log", "window_s", returns=Number()),
    hints=(
        "First keep the rows that are searches: page 1, and each `request_id` once.",
        'Then, for each search, when does the same user search next? `groupby("user_id")["time"].shift(-1)`.',
        "The difference in seconds is `.dt.total_seconds()`; compare it with the window, and take the mean.",
    ),
)
def redo_rate(answer, rng, expect):
    """`redo_rate(log, window_s)`: share of the searches that the same user soon searched again."""
    window = int(rng.integers(40, 120))
    quick = float(rng.uniform(0.25, 0.5))
    by_many = _searches(rng, quick=quick, window=window)
    with expect.defining():
        _ask_redo(expect, answer, by_many, window, "searches by many users at the same time")
        log = _searches(rng, quick=quick, pages=0.5, window=window)
        _ask_redo(expect, answer, log, window, "some look at pages 2, 3 and 4")
        log = _searches(rng, quick=quick, retries=0.4, window=window)
        _ask_redo(expect, answer, log, window, "some requests were sent twice by the client")
        log = _sent_again(rng, window)
        _ask_redo(
            expect,
            answer,
            log,
            window,
            "the client sends a request again, and again, also after the next search",
        )
        log = _searches(rng, quick=0.2, tomorrow=0.4, window=window)
        _ask_redo(expect, answer, log, window, "some come back a day later")
    _ask_redo(
        expect, answer, by_many, 20 * window, "the first log, and a window that is twenty times as long"
    )
    log = _searches(rng, window=window, waits=[window - 1, window, window, window + 1])
    _ask_redo(expect, answer, log, window, "many search again after exactly `window_s` seconds")
    log = _searches(rng, window=window, waits=[0.5 * window, window + 0.4, window + 0.4])
    _ask_redo(expect, answer, log, window, "many search again 0.4 seconds after the window has passed")
    log = _searches(rng, quick=0.0, window=window)
    _ask_redo(expect, answer, log, window, "nobody searches again within the window")


def _ask_redo(expect, answer, log, window_s, what):
    rows = f"{len(log)} rows, {log['request_id'].nunique()} ids, {log['user_id'].nunique()} users"
    expect.close(answer(log, window_s), _redo(log, window_s), f"{what} (window {window_s} s; {rows})")


def _sent_again(rng, window):
    """Each user searches twice, less or more than the window apart; the client repeats the first request before and after the second."""
    rows = []
    for user in range(int(rng.integers(15, 25))):
        at = float(rng.uniform(0, 20_000))
        gap = float(rng.choice([0.9, 1.2])) * window
        rows += [(at, f"r{user}a", f"u{user}"), (at + gap, f"r{user}b", f"u{user}")]
        rows += [(at + part * gap, f"r{user}a", f"u{user}") for part in (0.3, 0.6, 1.2)]
    frame = pd.DataFrame(rows, columns=["time", "request_id", "user_id"]).assign(page=1)
    frame = frame.sort_values("time", ignore_index=True)
    start = pd.Timestamp("2025-03-03 08:00", tz="UTC")
    frame["time"] = start + pd.to_timedelta(frame["time"].round(3), unit="s")
    return frame


@redo_rate.inputs
def _logs(rng):
    def log(*rows):
        frame = pd.DataFrame(rows, columns=["time", "request_id", "user_id", "page"])
        frame["time"] = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(frame["time"], unit="s")
        return frame

    yield log((0, 1, 7, 1), (5, 2, 8, 1), (20, 3, 7, 2), (50, 4, 7, 1), (60, 4, 7, 1)), 60
    yield log((0, 1, 7, 1)), 60
    yield log((0, 1, 7, 1), (60, 2, 7, 1), (120.5, 3, 7, 1), (86_500, 4, 7, 1)), 60
    yield log((0, 1, 7, 1), (50, 1, 7, 1), (80, 2, 7, 1), (100, 3, 7, 3), (150, 4, 7, 1)), 60
    for _ in range(30):
        n = int(rng.integers(1, 40))
        time = np.sort(rng.choice(400, n, replace=False) * float(rng.choice([0.5, 1, 30])))
        ids = np.sort(rng.integers(0, n, n))
        users = pd.Series(rng.integers(0, 4, n)).groupby(ids).transform("first").to_numpy()
        page = pd.Series(rng.choice([1, 1, 1, 2, 3], n)).groupby(ids).transform("first").to_numpy(copy=True)
        page[0] = 1
        yield log(*zip(time, ids, users, page, strict=True)), int(rng.choice([1, 10, 60, 3600]))


@redo_rate.misconception(
    "the next page were another search. Who turns to page 2 is interested; it is who starts again that was not served.",
)
def next_page(log, window_s):
    return _redo(log, window_s, pages=True)


@redo_rate.misconception(
    "what the client sent again after a timeout were the user's wish. The same `request_id` twice is one search; count such retries as a software metric.",
)
def client_retry(log, window_s):
    return _redo(log, window_s, retries=True)


@redo_rate.misconception(
    "any later search were a redo. Tomorrow's search is a new wish: that is what the window is for.",
)
def no_window(log, window_s):
    return _redo(log, window_s, window=False)


@redo_rate.misconception(
    "the next search in the log were the same user's. Many people search at the same time: follow each one.",
)
def any_user(log, window_s):
    return _redo(log, window_s, users=False)


@redo_rate.misconception(
    "days did not count. `.seconds` of a day and ten seconds is 10: `.total_seconds()` is the whole of it.",
)
def seconds_of_the_day(log, window_s):
    return _redo(log, window_s, days=False)


@redo_rate.misconception(
    "the share were one of all rows. Second pages and resent requests are no searches, so they belong in neither number.",
)
def of_all_rows(log, window_s):
    return _redo(log, window_s, of_all=True)


@redo_rate.alternative
def user_by_user(log, window_s):
    redone = searches = 0
    for _, own in log[log["page"] == 1].drop_duplicates("request_id").groupby("user_id"):
        times = sorted(own["time"])
        searches += len(times)
        redone += sum((b - a).total_seconds() <= window_s for a, b in itertools.pairwise(times))
    return redone / searches


@redo_rate.alternative
def in_one_loop(log, window_s):
    last, seen, redone = {}, set(), 0
    for row in log.sort_values("time").itertuples():
        if row.page != 1 or row.request_id in seen:
            continue
        seen.add(row.request_id)
        if row.user_id in last and (row.time - last[row.user_id]) <= pd.Timedelta(seconds=window_s):
            redone += 1
        last[row.user_id] = row.time
    return redone / len(seen)


# ------------------------------------------------------------------ 8.5 thresholds from quiet weeks

HOURS_OF_WEEK = 168
_NOISE = 0.12
WEEKS = 12


def usual_latency(rng):
    """The usual p99 (ms) of each hour of a week, Monday 0:00 first: busy days, quiet nights, quieter weekends."""
    hour = np.arange(HOURS_OF_WEEK)
    of_day, day = hour % 24, hour // 24
    busy = np.clip(np.sin((of_day - rng.uniform(8, 9)) / 24 * 2 * np.pi), 0, None)
    busy = busy * np.where(day >= 5, 0.35, 1) * rng.uniform(0.95, 1.05, 7)[day]
    return rng.uniform(80, 120) * (1 + rng.uniform(3.0, 4.0) * busy)


def quiet_weeks(rng, usual, weeks):
    """Values (weeks, 168): the usual ones with noise."""
    return usual * np.exp(_NOISE * rng.normal(size=(weeks, HOURS_OF_WEEK)))


def draw_history(rng):
    """(usual, history, hours of the incident): twelve weeks with one incident of 30 hours in them."""
    usual = usual_latency(rng)
    values = quiet_weeks(rng, usual, WEEKS).ravel()
    begin = int(rng.integers(3, WEEKS - 2)) * HOURS_OF_WEEK + int(rng.integers(0, 120))
    values[begin : begin + 30] *= 6
    time = pd.date_range("2025-01-06", periods=len(values), freq="h", tz="UTC", unit="us")
    hours = np.arange(len(values))
    hit = (hours >= begin) & (hours < begin + 30)
    history = pd.DataFrame({"time": time, "p99_ms": values.round(1), "incident": hit})
    return usual, history, np.unique(hours[hit] % HOURS_OF_WEEK)


@exercise(
    "8.5",
    "Thresholds from quiet weeks",
    answers=("thresholds",),
    points=5,
    minutes=9,
    core=True,
    objective="8.c",
    edition=2,
    kind=Function("history", returns=Array(ndim=1, length=HOURS_OF_WEEK)),
    hints=(
        "What is usual on a Tuesday at 10? Not what is usual at all. And what happened in the incident is usual nowhere.",
        "Twelve values tell the usual one well, and their spread badly. The spread in percent is the same at all hours: use all of them together for it.",
        "`usual` = median of each hour of the week; `spread` = standard deviation of `np.log(value / usual)` over all quiet hours; the limit is `usual * np.exp(4 * spread)`.",
    ),
)
def thresholds(answer, rng, expect):
    """`thresholds(history)`: for each hour of the week, the p99 above which somebody is called."""
    pages, noticed = [], []
    for factor in (1.0, float(rng.uniform(3, 5))):  # two services, the second one slower
        usual, history, incident = draw_history(rng)
        usual, history = factor * usual, history.assign(p99_ms=(factor * history["p99_ms"]).round(1))
        limits = np.asarray(answer(history), float)
        if not np.isfinite(limits).all():
            expect.true(False, "168 limits, each a number", "some are missing or infinite")
            return
        pages.append(float((quiet_weeks(rng, usual, 40) > limits).sum() / 40))
        doubled = 2 * quiet_weeks(rng, usual, 40) > limits
        night = usual <= np.quantile(usual, 0.4)
        hit = np.isin(np.arange(HOURS_OF_WEEK), incident)
        noticed.append([float(doubled[:, hours].mean()) for hours in (~night, night, hit)])
    most = max(pages)
    day, quiet, again = np.min(noticed, axis=0)
    with expect.defining():
        what = f"two services, 40 fresh quiet weeks each: up to {most:.1f} pages a week (wanted: about 1 at most)"
        expect.within(most, 0, 1.25, what)
        _ask_doubled(expect, day, "by day and evening")
        _ask_doubled(expect, quiet, "at night and in the quiet hours")
    _ask_doubled(expect, again, "in the hours of the week in which the incident was")


def _ask_doubled(expect, share, what):
    expect.within(share, 0.8, 1, f"p99 doubles {what}: noticed in {share:.0%} of the hours (wanted: 80 %)")


@thresholds.acceptable
def _calls_seldom_and_notices(answer, rng):
    """Exact chances instead of drawn weeks, on average: log(value / usual) is normal with sd `_NOISE`."""
    normal = statistics.NormalDist()
    pages, noticed = [], []
    for _ in range(6):
        usual, history, incident = draw_history(rng)
        limits = np.asarray(answer(history), float)
        if limits.shape != (HOURS_OF_WEEK,) or not (np.isfinite(limits) & (limits > 0)).all():
            return False
        above = np.log(limits / usual)
        pages.append(sum(normal.cdf(-each / _NOISE) for each in above))
        caught = np.array([normal.cdf((math.log(2) - each) / _NOISE) for each in above])
        night = usual <= np.quantile(usual, 0.4)
        noticed.append([caught[~night].mean(), caught[night].mean(), caught[incident].mean()])
    return np.mean(pages) <= 1.25 and np.mean(noticed, axis=0).min() >= 0.8


def _of_week(history):
    return history["time"].dt.day_of_week * 24 + history["time"].dt.hour


def _by_hour(history, fn):
    return history.groupby(_of_week(history))["p99_ms"].apply(fn).to_numpy()


@thresholds.misconception(
    "one limit fitted all hours. Then the busiest hours page each week, or a night in which everything takes twice as long stays below it: compare like hours with like.",
    when=lambda seen: np.ptp(np.asarray(seen.outputs[0], float)) < 1e-6,
)
def one_for_all(history):
    quiet = history.loc[~history["incident"], "p99_ms"]
    return np.full(HOURS_OF_WEEK, quiet.mean() + 3 * quiet.std())


@thresholds.misconception(
    "the record of twelve weeks were a limit. In any new week one hour in thirteen breaks its record, by luck alone.",
    when=lambda seen: _is_the_record(seen),
)
def the_record(history):
    return _by_hour(history[~history["incident"]], np.max)


@thresholds.misconception(
    "days did not differ. On Saturdays the limits of the weekdays let twice the usual pass: a week has 168 hours, not 24.",
    when=lambda seen: _repeats_daily(seen),
)
def by_hour_of_day(history):
    quiet = history[~history["incident"]]
    of_day = quiet.groupby(quiet["time"].dt.hour)["p99_ms"]
    return np.tile((of_day.mean() + 3 * of_day.std()).to_numpy(), 7)


@thresholds.misconception(
    "the incident were a part of normal. It stretched the limits of just those hours in which it happened: next time nobody would notice.",
    when=lambda seen: not seen.verdicts[3][1] and _stretched_by_the_incident(seen),
)
def incident_left_in(history):
    return _by_hour(history, lambda x: x.mean() + 4.5 * x.std())


@thresholds.misconception(
    "the spread of each hour were known. Each was estimated from twelve values. A limit of 2.7 such spreads is passed in one new hour of 80, not of 290; with 168 hours that is two pages a week. Take the spread from all hours together, or leave more room.",
    when=lambda seen: (
        not seen.verdicts[0][1]
        and all(ok for _, ok, *_ in seen.verdicts[1:])
        and not _is_the_record(seen)
        and np.std(_above_usual(seen)) > 0.06
    ),
)
def three_sd_of_each(history):
    return _by_hour(history[~history["incident"]], lambda x: x.mean() + 2.7 * x.std())


def _is_the_record(seen):
    history, limits = seen.calls[0].given[0], np.asarray(seen.outputs[0], float)
    return any(
        np.allclose(limits, _by_hour(rows, np.max)) for rows in (history, history[~history["incident"]])
    )


def _above_usual(seen):
    """How far each limit is above what is usual at its hour, as a logarithm: (168,)."""
    history, limits = seen.calls[0].given[0], np.asarray(seen.outputs[0], float)
    return np.log(limits / _by_hour(history[~history["incident"]], np.median))


def _stretched_by_the_incident(seen):
    """Are the limits of the incident's hours half as high again as the others, measured by what is usual?"""
    history, above = seen.calls[0].given[0], _above_usual(seen)
    hit = np.isin(np.arange(HOURS_OF_WEEK), _of_week(history[history["incident"]]))
    return np.median(above[hit]) > np.median(above[~hit]) + math.log(1.5)


def _repeats_daily(seen):
    limits = np.asarray(seen.outputs[0], float).reshape(7, 24)
    return np.ptp(limits) > 1e-6 and np.allclose(limits, limits[0])


@thresholds.alternative
def four_sd_of_each(history):
    quiet = history[~history["incident"]]
    return _by_hour(quiet, lambda x: x.mean() + 4.2 * x.std())


@thresholds.alternative
def half_as_much_again(history):
    quiet = history[~history["incident"]].assign(hour=_of_week)
    return quiet.pivot_table(index="hour", values="p99_ms", aggfunc="median")["p99_ms"].mul(1.55).tolist()


@thresholds.alternative
def robust_with_the_incident(history):
    values = np.log(history["p99_ms"].to_numpy().reshape(-1, HOURS_OF_WEEK))
    usual = np.median(values, axis=0)
    spread = 1.4826 * np.median(np.abs(values - usual))
    return np.exp(usual + 4 * spread)


# ------------------------------------------------------------------ 8.6 a p99 of many servers

EDGES = [50.0, 100.0, 200.0, 300.0, 500.0, 800.0, 1200.0, 2000.0, 5000.0]
COARSE = [80.0, 250.0, 1000.0, 9000.0]


def _counts(rng, sizes, medians, timeouts, edges=EDGES):
    """Requests of each server by bucket of latency, and how many had no answer."""
    rows = []
    for n, median in zip(sizes, medians, strict=True):
        times = np.minimum(median * np.exp(0.5 * rng.normal(size=n)), edges[-1] - 1)
        rows.append(np.histogram(times, np.array([0, *edges]))[0])
    return np.array(rows), np.array(timeouts)


def _exactly(rng, without=False):
    """Three servers, 1,000 or 2,000 requests, of which exactly 99 % are within an edge that is not the last."""
    total = 1000 * int(rng.integers(1, 3))
    reached = int(rng.integers(2, 6))
    slow = total // 100
    counts = np.zeros((3, len(EDGES)), dtype=int)
    parts = rng.multinomial(
        total - slow - 3 * (reached + 1), np.full(3 * (reached + 1), 1 / (3 * (reached + 1)))
    )
    counts[:, : reached + 1] = 1 + parts.reshape(3, reached + 1)
    if without:
        return counts, np.array([0, slow, 0])
    counts[1, reached + 1 + int(rng.integers(0, 3))] = slow
    return counts, np.zeros(3, dtype=int)


def _one_short(rng):
    """Two servers; a whole number of requests is never exactly 99 %, and within one edge one is lacking."""
    total = 1000 * int(rng.integers(1, 3)) + 50
    need = -(-99 * total // 100)
    counts = np.zeros((2, len(EDGES)), dtype=int)
    counts[:, 2] = 200, need - 1 - 200
    counts[0, 5] = total - need + 1
    return counts, np.zeros(2, dtype=int)


def _smallest_edge(counts, none=0, edges=EDGES):
    total = counts.sum() + none
    reached = np.flatnonzero(100 * np.cumsum(counts) >= 99 * total)
    return edges[reached[0]] if len(reached) else math.inf


@exercise(
    "8.6",
    "The dashboard's p99",
    answers=("p99",),
    points=3,
    minutes=6,
    objective="8.d",
    edition=2,
    kind=Function("counts", "edges", "timeouts", returns=Number()),
    hints=(
        "Which 99 %? 99 % of all requests, whichever server answered them. What can be added up, percentiles or counts?",
        "Add the servers' counts bucket by bucket. `np.cumsum` then tells how many requests took at most each edge.",
        "The total has the requests without an answer in it. If 99 % of that is never reached, the answer is `np.inf`.",
    ),
)
def p99(answer, rng, expect):
    """`p99(counts, edges, timeouts)`: the smallest edge below which 99 % of all requests were answered."""
    busy = int(rng.integers(6000, 9000))
    calm = [busy, busy, busy // 2, busy // 2]
    cases = [
        (*_counts(rng, calm, [60, 65, 60, 62], [0, 0, 0, 0]), EDGES, "four servers alike"),
        (
            *_counts(rng, [*calm[:3], 40], [60, 60, 60, 1300], [0, 0, 0, 0]),
            EDGES,
            "an idle server is slow",
        ),
        (*_counts(rng, calm, [60, 60, 700, 60], [0, 0, 0, 0]), EDGES, "one of the busy servers is slow"),
        (
            *_counts(rng, calm, [60, 60, 60, 60], [0, 0, busy // 2, 0]),
            EDGES,
            "one server often gives no answer at all",
        ),
        (*_late_edge(rng, busy), EDGES, "a few requests have no answer"),
        (
            *_counts(rng, [busy // 4] * 6, [60, 60, 60, 60, 60, 600], [0, 3, 0, 0, 0, busy // 250], COARSE),
            COARSE,
            "six servers and four other edges",
        ),
        (*_exactly(rng), EDGES, "exactly 99 % of the requests are within one edge"),
        (*_one_short(rng), EDGES, "one request more within an edge, and it would be 99 %"),
        (*_exactly(rng, without=True), EDGES, "exactly 99 % are within one edge, the others have no answer"),
    ]
    for number, (counts, timeouts, edges, what) in enumerate(cases):
        with expect.defining() if number in (1, 2, 3) else contextlib.nullcontext():
            _ask_p99(expect, answer, counts, timeouts, edges, what)


def _ask_p99(expect, answer, counts, timeouts, edges, what):
    want = _smallest_edge(counts.sum(axis=0), timeouts.sum(), edges)
    got = answer(counts, list(edges), timeouts)
    servers = f"{counts.sum(axis=1).tolist()} answered, {timeouts.tolist()} not"
    side = "is NaN" if got != got else f"returned {got:g}, which is too {'large' if got > want else 'small'}"
    expect.true(got == want, f"{what}: {servers}", side)


def _late_edge(rng, busy):
    """Four servers; with the requests that have no answer the 99 % are reached one edge later than without."""
    while True:
        counts, none = _counts(
            rng, [busy, busy, busy // 2, busy // 2], [60, 250, 60, 60], [busy // 80, 0, 0, busy // 80]
        )
        total = counts.sum(axis=0)
        if _smallest_edge(total) != _smallest_edge(total, none.sum()):
            return counts, none
        busy += 100


@p99.inputs
def _histograms(rng):
    yield np.array([[900, 90, 10], [10, 20, 70]]), [50, 100, 500], [0, 0]
    yield np.array([[99, 1]]), [10, 20], [0]
    yield np.array([[99, 0]]), [10, 20], [1]
    yield np.array([[98, 0], [0, 1]]), [10, 20], [0, 1]
    yield np.array([[0, 0], [0, 5]]), [10, 20], [0, 0]
    yield np.array([[5, 0], [0, 0]]), [10, 20], [400, 0]
    for _ in range(40):
        servers, buckets = int(rng.integers(1, 5)), int(rng.integers(1, 7))
        counts = rng.integers(0, 40, (servers, buckets)) * rng.choice([1, 5, 100], buckets)
        counts[0, 0] += 1
        none = rng.integers(0, 3, servers) * int(rng.choice([0, 1, 20]))
        yield counts, np.cumsum(rng.integers(1, 300, buckets)).tolist(), none


@p99.misconception(
    "percentiles could be averaged. The mean of the servers' p99 belongs to no request; add up what can be added, the counts.",
)
def mean_of_p99(counts, edges, timeouts):
    return float(np.mean([_smallest_edge(row, edges=edges) for row in counts]))


@p99.misconception(
    "weights would repair the average. Percentiles do not average, weighted or not: which request is the 99th of 100 depends on all of them together.",
)
def weighted_mean(counts, edges, timeouts):
    each = [_smallest_edge(row, edges=edges) for row in counts]
    return float(np.average(each, weights=counts.sum(axis=1)))


@p99.misconception(
    "the worst server spoke for all. It is an upper bound: one idle server with forty requests decides what thousands are said to have waited.",
)
def worst_server(counts, edges, timeouts):
    return float(max(_smallest_edge(row, none, edges) for row, none in zip(counts, timeouts, strict=True)))


@p99.misconception(
    "only answers had a latency. Those who never got one waited the longest: leave them out, and the worse it gets the better it looks.",
)
def answered_only(counts, edges, timeouts):
    return float(_smallest_edge(counts.sum(axis=0), edges=edges))


@p99.alternative
def by_counting_up(counts, edges, timeouts):
    total = int(np.sum(counts)) + int(np.sum(timeouts))
    so_far = 0
    for edge, column in zip(edges, np.asarray(counts).T, strict=True):
        so_far += int(column.sum())
        if so_far >= 0.99 * total:
            return edge
    return float("inf")


@p99.alternative
def by_sorting(counts, edges, timeouts):
    column = np.concatenate([np.sum(counts, axis=0), [np.sum(timeouts)]])
    values = np.repeat([*edges, np.inf], column)
    return float(values[math.ceil(0.99 * len(values)) - 1])


# ------------------------------------------------------------------ 8.7 read the dashboards

CAUSES = (
    "nothing",
    "broken feed",
    "dark camera",
    "slow dependency",
    "more visitors",
    "worse model",
    "other visitors",
    "other photos",
)
BOARDS = {letter: f"dashboard {letter}" for letter in "ABCDEFGH"}
RIGHT_CAUSES = {
    "A": "slow dependency",
    "B": "other visitors",
    "C": "broken feed",
    "D": "other photos",
    "E": "nothing",
    "F": "worse model",
    "G": "more visitors",
    "H": "dark camera",
}


def draw_boards(random_state=0, days=6, rate=0.15):
    """One measured log (3-hour windows) for each of the eight dashboards: letter -> DataFrame. The trouble, if any, comes on day 4."""
    rng = np.random.default_rng(random_state)
    break_log = {
        "slow dependency": _slow_dependency,
        "other visitors": _other_visitors,
        "broken feed": _broken_feed,
        "other photos": _other_photos,
        "nothing": lambda log, late, rng: log,
        "worse model": lambda log, late, rng: _fewer_clicks(log, late, 0.55, rng),
        "more visitors": _more_visitors,
        "dark camera": lambda log, late, rng: log.assign(
            brightness=log["brightness"] * np.where(late, 0.62, 1)
        ),
    }
    start = pd.Timestamp("2024-01-02 00:00Z")  # a Tuesday: the last two days are a weekend
    found = {}
    for letter, cause in RIGHT_CAUSES.items():
        log = service_log(days, rate=rate, start=start, random_state=rng)
        late = log["time"] >= start + pd.Timedelta(days=3, hours=9)
        found[letter] = measure(break_log[cause](log, late, rng), _panels(), "3h").iloc[: 8 * days]
    return found


def _panels():
    ready = METRICS
    kinds = [ready["brightness"].only("prediction", name) for name in ("shirts", "coats")]
    ctrs = [ready["ctr"].only("device", name) for name in ("phone", "desktop")]
    names = ("throughput", "missing_rows", "latency_p95", "error_rate", "brightness", "ctr")
    return [*(ready[name] for name in names), *kinds, *ctrs]


def _hours_since(log, late):
    since = (log["time"] - log["time"][late].min()).dt.total_seconds() / 3600
    return since.clip(lower=0).where(late, 0).to_numpy()


def _slow_dependency(log, late, rng):
    """Waits grow for twelve hours; from 1.5 s on clients send again and again, and some time out."""
    hours = _hours_since(log, late)
    wait = np.where(late, 60 + 45 * np.minimum(hours, 18), 0) * rng.lognormal(0, 0.6, len(log))
    latency = log["latency_ms"] + wait
    again = np.where(latency > 900, rng.integers(2, 5, len(log)), 1)
    failed = latency > 1900
    return log.assign(
        latency_ms=latency.clip(upper=2000),
        attempts=np.maximum(log["attempts"], again),
        status=log["status"].where(~failed, 504),
        clicked=log["clicked"] & ~failed,
    )


def _other_visitors(log, late, rng):
    """A campaign on desktops: their part grows, each device clicks as before, even a little more."""
    move = (late & (log["device"] == "phone")).to_numpy() & (rng.random(len(log)) < 0.75)
    device = log["device"].mask(move, "desktop")
    clicked = log["clicked"] & ~(move & (rng.random(len(log)) < 0.48))
    return log.assign(device=device, clicked=clicked)


def _broken_feed(log, late, rng):
    """The price feed is gone; results without a price are clicked less."""
    log = log.assign(price=log["price"].mask(late & (rng.random(len(log)) < 0.7)))
    return _fewer_clicks(log, late, 0.85, rng)


def _other_photos(log, late, rng):
    """Winter comes: more photos of coats, which are darker. Each class looks as before."""
    move = late.to_numpy() & (log["prediction"] == "shirts").to_numpy() & (rng.random(len(log)) < 0.8)
    move |= late.to_numpy() & (log["prediction"] == "dresses").to_numpy() & (rng.random(len(log)) < 0.8)
    darker = np.where(log["prediction"] == "shirts", 52, 40)
    return log.assign(
        brightness=np.where(move, log["brightness"] - darker, log["brightness"]),
        category=log["category"].mask(move, "coats"),
        prediction=log["prediction"].mask(move, "coats"),
    )


def _fewer_clicks(log, late, kept, rng):
    return log.assign(clicked=log["clicked"] & ~(late & (rng.random(len(log)) > kept)))


def _more_visitors(log, late, rng):
    """A campaign brings three times the visitors; the servers queue some hours later, and then fail."""
    copies = [log]
    for number in range(1, 3):
        more = log[late].copy()
        more["request_id"] = more["request_id"] + number * 10_000_000
        more["time"] = more["time"] + pd.to_timedelta(rng.uniform(0, 600, len(more)).round(), unit="s")
        copies.append(more)
    log = pd.concat(copies).sort_values("time", kind="stable", ignore_index=True)
    late = log["time"] >= log["time"].iloc[0].normalize() + pd.Timedelta(days=3, hours=9)
    hours = _hours_since(log, late)
    wait = 22 * np.clip(hours - 9, 0, 24) * rng.lognormal(0, 0.7, len(log))
    latency = log["latency_ms"] + wait
    failed = latency > 1900
    return log.assign(
        latency_ms=latency.clip(upper=2000),
        status=log["status"].where(~failed, 504),
        clicked=log["clicked"] & ~failed,
    )


@exercise(
    "8.7",
    "Read eight dashboards",
    answers=("causes",),
    points=4,
    minutes=7,
    objective="8.d",
    kind=Choice(BOARDS, options=CAUSES),
    hints=(
        "Do not look for the loudest panel. Which one moved first?",
        "Where a total moved, look at its parts. If no part moved, the mix did.",
        "Each of the eight causes occurs once. Begin with the one in which nothing moves but the weekend.",
    ),
)
def causes(answer, rng, expect):
    """Eight dashboards of the shop's search, and what happened on each."""
    expect.cases(answer, RIGHT_CAUSES)


@causes.misconception(
    "the loudest panel were the cause. Requests went up *after* the answers had become slow: clients that wait too long send again. Put the panels in the order of time.",
)
def loudest_panel():
    return RIGHT_CAUSES | {"A": "more visitors"}


@causes.misconception(
    "fewer clicks meant a worse model. Look at the devices: where each part clicks as before and only the whole falls, the parts have changed their size.",
)
def ctr_is_the_model():
    return RIGHT_CAUSES | {"B": "worse model"}


@causes.misconception(
    "darker photos meant a darker camera. Look at the classes: where each is as bright as before, people send photos of something else.",
)
def brightness_is_the_camera():
    return RIGHT_CAUSES | {"D": "dark camera"}


@causes.misconception(
    "every movement were an incident. Weekends come every week.",
)
def weekend_as_incident():
    return RIGHT_CAUSES | {"E": "more visitors"}


@causes.misconception(
    "clicks told the cause. Here an input broke in the same hour, and clicks followed.",
)
def clicks_before_inputs():
    return RIGHT_CAUSES | {"C": "worse model"}


@causes.misconception(
    "slow answers came first. Here the visitors came, and hours later the servers no longer kept up: the order is the other way round in a dashboard nearby.",
)
def queue_as_dependency():
    return RIGHT_CAUSES | {"G": "slow dependency"}


@causes.alternative
def from_h_to_a():
    return dict(reversed(RIGHT_CAUSES.items()))


@causes.alternative
def cause_by_cause():
    shows = {cause: letter for letter, cause in RIGHT_CAUSES.items()}
    return {shows[cause]: cause for cause in CAUSES}


# ------------------------------------------------------------------ 8.8 the plan

WATCHED = (
    *("throughput", "latency_p95", "error_rate", "memory_mb", "cpu"),
    *("missing_rows", "brightness", "input_length"),
    *("missing_outputs", "redo_rate", "ctr", "score_mean"),
)
KINDS = {
    "slow answers": "software",
    "errors": "software",
    "feed outage": "input",
    "dark camera": "input",
    "empty answers": "output",
    "bad results": "output",
}
DEADLINE = "5h"
MOST_FALSE = 3  # pages a week
AGAIN = 12  # hours after which an open page wakes somebody again
_START = pd.Timestamp("2024-01-01 00:00Z")
_BY_WEEKDAY = np.array([0.92, 0.90, 0.90, 0.92, 1.00, 1.20, 1.16])  # traffic, Monday first
# What is usual in one shop, and what is usual in another: a limit that fits both does not exist.
LEVELS = {
    "latency_p95": (140.0, 1100.0),
    "brightness": (70.0, 190.0),
    "error_rate": (0.002, 0.03),
    "missing_rows": (0.005, 0.15),
    "missing_outputs": (0.002, 0.06),
    "redo_rate": (0.03, 0.14),
    "ctr": (0.05, 0.16),
    "input_length": (12.0, 40.0),
    "score_mean": (0.6, 0.8),
    "memory_mb": (400.0, 3000.0),
}


def draw_shops(rng):
    """Two shops: metric -> its usual level, where one has a low level the other has a high one; and `rate`, searches a second."""
    first, second = {"rate": rng.uniform(0.03, 0.06)}, {"rate": rng.uniform(0.03, 0.06)}
    for name, levels in LEVELS.items():
        low, high = levels * rng.uniform(0.9, 1.1, 2)
        first[name], second[name] = (low, high) if rng.random() < 0.5 else (high, low)
    return first, second


def draw_month(rng, shop=None, *, incidents=True, days=28):
    """(measured, table of incidents): a month of a shop's search by the hour, with one-hour blips that pass by themselves."""
    shop = draw_shops(rng)[0] if shop is None else shop
    hours = np.arange(24 * days)
    of_day = hours % 24
    load = (1 + 0.67 * np.cos(2 * np.pi * (of_day - 20) / 24)) * _BY_WEEKDAY[hours // 24 % 7]
    n = rng.poisson(3600 * shop["rate"] * load)
    share = {name: np.full(len(hours), level) for name, level in shop.items()}
    share["brightness"] *= 1 + 0.1 * np.cos(2 * np.pi * (of_day - 13) / 24)
    share["latency_p95"] *= 0.79 / (1 - 0.6 * (0.1 + 0.25 * load))  # waiting grows with the load
    begins = rng.choice(days - 2, 20, replace=False) * 24 + rng.integers(0, 24, 20)
    share["latency_p95"][begins] *= 4
    share["error_rate"][begins] += 0.5
    rows = []
    slots = np.arange(1, days - 3, 4)[: len(KINDS)] if incidents else []
    for day, kind in zip(slots, rng.permutation(list(KINDS)), strict=bool(incidents)):
        begin = int(day) * 24 + int(rng.integers(0, 48))
        end = begin + int(rng.integers(16, 30))
        _break(share, str(kind), slice(begin, end), rng)
        rows.append((str(kind), *(_START + pd.Timedelta(hours=hour) for hour in (begin, end))))
    measured = pd.DataFrame(_measured(share, n, load, rng), _START + pd.to_timedelta(hours, unit="h"))
    return measured[list(WATCHED)], pd.DataFrame(rows, columns=["kind", "start", "end"])


def _break(share, kind, hit, rng):
    """One incident: what it changes is far from usual in each of its hours."""
    if kind == "slow answers":
        share["latency_p95"][hit] *= rng.uniform(2.5, 4)
    elif kind == "errors":
        share["error_rate"][hit] += rng.uniform(0.25, 0.45)
    elif kind == "feed outage":
        share["missing_rows"][hit] += rng.uniform(0.5, 0.8)
    elif kind == "dark camera":
        share["brightness"][hit] *= rng.uniform(0.45, 0.6)
    elif kind == "empty answers":
        share["missing_outputs"][hit] += rng.uniform(0.3, 0.6)
    else:  # bad results: people search again
        share["redo_rate"][hit] += rng.uniform(0.3, 0.4)
        share["ctr"][hit] *= 0.6


def _measured(share, n, load, rng):
    """The metrics of each hour, as `n` requests show them."""
    some = np.maximum(n, 1)
    luck = {name: rng.normal(size=len(n)) / np.sqrt(some) for name in WATCHED}
    counted = ("error_rate", "missing_rows", "missing_outputs", "redo_rate", "ctr")
    return {
        **{name: rng.binomial(some, np.minimum(share[name], 1)) / some for name in counted},
        "throughput": n / 3600,
        "latency_p95": share["latency_p95"] * np.exp(0.95 * luck["latency_p95"]),
        "memory_mb": share["memory_mb"] * (1 + 0.05 * load + 0.1 * luck["memory_mb"]),
        "cpu": 0.13 + 0.2 * load + 0.07 * luck["cpu"],
        "brightness": share["brightness"] * (1 + 0.3 * luck["brightness"]),
        "input_length": share["input_length"] * (1 + 0.5 * luck["input_length"]),
        "score_mean": share["score_mean"] * (1 + 0.25 * luck["score_mean"]),
    }


def rules_of(plan):
    """The learner's dicts as rules; all page, all are owned by the same rota."""
    return [
        Rule.from_dict(
            {"owner": "search on-call"} | dict(each) | {"severity": "page", "name": f"rule {number}"}
        )
        for number, each in enumerate(plan, 1)
    ]


def score(plan, measured, incidents):
    """(caught, late, missed, false pages a week, table of the incidents) of a list of rules, as dicts, over one month."""
    alerts = evaluate(rules_of(plan), measured)
    verdict = judge(alerts, incidents, measured, deadline=DEADLINE, grace="1h")
    pages = judge(grouped(alerts), incidents, measured, deadline=DEADLINE, grace="1h")
    false = (pages.false_pages + _woken_again(pages.alerts, incidents, measured.index)) / pages.weeks
    return verdict.caught, verdict.late, verdict.missed, false, verdict.incidents


def _woken_again(pages, incidents, hours):
    """How often a page that stays open outside of every incident wakes somebody once more: each twelve hours."""
    quiet = np.ones(len(hours), dtype=bool)
    for start, end in zip(incidents["start"], incidents["end"], strict=True):
        begin, stop = hours.searchsorted([start, end + pd.Timedelta("2h")])
        quiet[begin:stop] = False
    so_far = np.append(0, np.cumsum(quiet))
    ends = pages["end"].fillna(hours[-1])
    begin, stop = hours.searchsorted(pages["start"]), hours.searchsorted(ends)
    return int(((so_far[stop] - so_far[np.minimum(begin, stop)]) // AGAIN).sum())


@exercise(
    "8.8",
    "The plan",
    answers=("plan",),
    points=8,
    minutes=15,
    core=True,
    objective="8.e",
    edition=2,
    kind=Function("reference", returns=Sequence(items=Mapping(keys=("metric",)))),
    hints=(
        "One rule for each problem that you want to know of. Which metric shows a dark camera, and on which side? Which shows a result that nobody wanted?",
        "The one-hour blips pass by themselves. With `for_` a rule fires only if the condition still holds.",
        '`choose_threshold(reference["latency_p95"], "above", per="hour_of_day", pages_per_week=0.2, for_="2h")` gives 24 limits; use them as `"above"`, with the same `for_`. A `margin` that is part of the usual level keeps luck out.',
    ),
)
def plan(answer, rng, expect):
    """`plan(reference)` -> a list of rules, as dicts; judged on a month with six incidents in each of two shops."""
    tables, false, by_rule = [], [], pd.Series(dtype=int)
    for number, shop in enumerate(draw_shops(rng), 1):
        reference, _ = draw_month(rng, shop, incidents=False)
        rules = answer(reference)
        if why := _unreadable(rules):
            expect.true(False, "the rules can be read", why)
            return
        month, incidents = draw_month(rng, shop)
        *_, of_month, table = score(rules, month, incidents)
        tables.append(table.assign(shop=number))
        false.append(of_month)
        if of_month > MOST_FALSE / 2:
            by_rule = by_rule.add(_false_alerts(rules, month, incidents), fill_value=0)
    table = pd.concat(tables, ignore_index=True)
    for family in ("software", "input", "output"):
        own = table[table["kind"].map(KINDS) == family]
        kinds = ", ".join(kind for kind, name in KINDS.items() if name == family)
        rung = int((own["outcome"] != "missed").sum())
        expect.true(
            rung >= len(own) - 1 if family == "output" else rung == len(own),
            f"{family} ({kinds}): {rung} of {len(own)} noticed",
            _in_words(own[own["outcome"] == "missed"]),
        )
    in_time, weekly = int((table["outcome"] == "caught").sum()), float(np.mean(false))
    with expect.defining():
        expect.true(
            in_time >= 10,
            f"{in_time} of 12 noticed within 5 hours (wanted: at least 10)",
            _in_words(table[table["outcome"] == "late"]),
        )
        loudest = by_rule.sort_values(ascending=False).head(3)
        expect.true(
            weekly <= MOST_FALSE,
            f"{weekly:.1f} false pages a week, mean of the two shops (wanted: at most {MOST_FALSE})",
            "most of them from " + ", ".join(f"{name} ({count:.0f})" for name, count in loudest.items()),
        )


def _unreadable(rules):
    """Why these rules cannot be read, or ""."""
    try:
        readable = rules_of(rules)
    except Exception as error:
        return str(error).strip("'\"") or type(error).__name__
    unknown = [rule.metric for rule in readable if rule.metric not in WATCHED]
    if unknown:
        return f"there is no metric {unknown[0]!r}"
    return "" if 1 <= len(readable) <= 40 else f"it has {len(readable)} rules; 1 to 40 are read"


def _false_alerts(rules, measured, incidents):
    """Alerts outside of every incident, by metric."""
    alerts = judge(evaluate(rules_of(rules), measured), incidents, measured, grace="1h").alerts
    return alerts.loc[~alerts["true"], "metric"].value_counts()


def _in_words(table):
    """Incidents that were missed or late, for the feedback."""
    said = []
    for row in table.itertuples():
        when = "missed" if row.outcome == "missed" else f"after {row.delay / pd.Timedelta('1h'):.0f} hours"
        said.append(f"{row.kind} in shop {row.shop} {when}")
    return ", ".join(said)


@plan.acceptable
def _wakes_for_incidents(answer, rng):
    """Six shops, each with its own month; the statement's limits with a little room for the luck of single months."""
    noticed, in_time, false = [], [], []
    for _ in range(3):
        for shop in draw_shops(rng):
            reference, _ = draw_month(rng, shop, incidents=False)
            rules = answer(reference)
            if _unreadable(rules):
                return False
            month, incidents = draw_month(rng, shop)
            caught, late, _, of_month, _ = score(rules, month, incidents)
            noticed.append((caught + late) / len(incidents))
            in_time.append(caught / len(incidents))
            false.append(of_month)
    return np.mean(noticed) > 11 / 12 - 0.02 and np.mean(in_time) > 10 / 12 and np.mean(false) <= MOST_FALSE


def _metrics(seen):
    return {rule.get("metric") for rule in _rules(seen)}


def _rules(seen):
    return next(call.output for call in seen.calls)


def _kept(seen):
    return [ok for _, ok, *_ in seen.verdicts]


def _for(rule):
    return duration(rule.get("for_", 0))


_OF_FAMILY = {
    "software": {"throughput", "latency_p95", "error_rate", "memory_mb", "cpu"},
    "input": {"missing_rows", "brightness", "input_length"},
    "output": {"missing_outputs", "redo_rate", "ctr", "score_mean"},
}


def _three_sd(reference, names, for_="0h", k=3):
    rules = []
    for name in names:
        values = reference[name]
        low, high = values.mean() - k * values.std(), values.mean() + k * values.std()
        rules.append({"metric": name, "above": float(high), "below": float(low), "for_": for_})
    return rules


def _good(reference, for_="2h", per_week=0.2, per="hour_of_day"):
    """One rule for each problem; the margin is a part of the usual level, or of the share that may still get worse."""
    sides = dict.fromkeys(
        ("latency_p95", "error_rate", "missing_rows", "missing_outputs", "redo_rate"), "above"
    )
    rules = []
    for name, side in (sides | {"brightness": "below"}).items():
        usual = float(reference[name].median())
        margin = {"latency_p95": 0.5 * usual, "brightness": 0.25 * usual}.get(name, 0.1)
        limit = choose_threshold(
            reference[name], side, per=per, pages_per_week=per_week, for_=for_, margin=margin
        )
        rules.append({"metric": name, side: limit, "for_": for_})
    return rules


@plan.misconception(
    "no page were the best page. Nobody was woken, and the incidents were noticed by customers.",
    when=lambda seen: (
        len(_kept(seen)) == 5
        and all("0 of 4 noticed" in what for what, *_ in seen.verdicts[:3])
        and "0.0 false" in seen.verdicts[4][0]
    ),
)
def never(reference):
    return _three_sd(reference, ["cpu"], k=40)


@plan.misconception(
    "everything that can be measured should page. With so many rules luck alone rings again and again, and the true pages drown: begin with the problems, and take one metric for each.",
    when=lambda seen: len(_kept(seen)) == 5 and len(_metrics(seen)) > 9 and not _kept(seen)[4],
)
def every_metric(reference):
    return _three_sd(reference, WATCHED, k=2)


@plan.misconception(
    "who watches the inputs sees everything. Empty answers and bad results come from perfect inputs: look at what goes out, too.",
    when=lambda seen: (
        len(_kept(seen)) == 5
        and _kept(seen)[1]
        and not _kept(seen)[2]
        and not _metrics(seen) & _OF_FAMILY["output"]
    ),
)
def inputs_only(reference):
    return [rule for rule in _good(reference) if rule["metric"] in ("missing_rows", "brightness")]


@plan.misconception(
    "a running service were a working one. Machine and network are well watched, what comes in and goes out is not.",
    when=lambda seen: len(_kept(seen)) == 5 and _kept(seen)[0] and _metrics(seen) <= _OF_FAMILY["software"],
)
def software_only(reference):
    return [rule for rule in _good(reference) if rule["metric"] in ("latency_p95", "error_rate")]


@plan.misconception(
    "patience cost nothing. With so long a `for_` each page is true, and comes when the damage is done.",
    when=lambda seen: (
        len(_kept(seen)) == 5
        and not _kept(seen)[3]
        and min(_for(rule) for rule in _rules(seen)) >= pd.Timedelta("5h")
    ),
)
def too_patient(reference):
    return _good(reference, for_="8h")


@plan.misconception(
    "each bad hour were an incident. Blips pass by themselves: by the time somebody is at the desk there is nothing to see. Ask that the condition holds for a while (`for_`).",
    when=lambda seen: (
        len(_kept(seen)) == 5
        and not _kept(seen)[4]
        and len(_metrics(seen)) <= 9
        and any(
            _for(rule) < pd.Timedelta("1h")
            for rule in _rules(seen)
            if rule.get("metric") in ("latency_p95", "error_rate")
        )
    ),
)
def without_for(reference):
    return [rule | {"for_": "0h"} for rule in _good(reference)]


@plan.misconception(
    "one set of numbers fitted every service. The two shops here differ by a factor of eight in latency, and one has brighter photos: take each limit from `reference`.",
    when=lambda seen: (
        len(_kept(seen)) == 5
        and len(seen.outputs) == 2
        and seen.outputs[0] == seen.outputs[1]
        and len(_metrics(seen)) >= 4
    ),
)
def numbers_by_heart(reference):
    shares = ("error_rate", "missing_rows", "missing_outputs", "redo_rate")
    limits = {"latency_p95": 600.0} | dict.fromkeys(shares, 0.2)
    rules = [{"metric": name, "above": limit, "for_": "2h"} for name, limit in limits.items()]
    return [*rules, {"metric": "brightness", "below": 80.0, "for_": "2h"}]


@plan.alternative
def by_the_hour_of_day(reference):
    return _good(reference, for_="2h", per_week=0.25)


@plan.alternative
def by_the_course_alone(reference):
    sides = {"brightness": "below"}
    rules = []
    for name in ("latency_p95", "error_rate", "missing_rows", "brightness", "missing_outputs", "redo_rate"):
        side = sides.get(name, "above")
        limit = choose_threshold(reference[name], side, per="hour_of_day", pages_per_week=0.2, for_="2h")
        rules.append({"metric": name, side: limit, "for_": "2h"})
    return rules


@plan.alternative
def by_hand(reference):
    usual = reference.median()
    rules = [{"metric": "latency_p95", "above": 1.9 * float(usual["latency_p95"]), "for_": "2h"}]
    rules += [{"metric": "brightness", "below": 0.72 * float(usual["brightness"]), "for_": "2h"}]
    for name in ("error_rate", "missing_rows", "missing_outputs", "redo_rate"):
        rules.append({"metric": name, "above": float(usual[name]) + 0.15, "for_": "2h"})
    return rules


@plan.alternative
def by_quantiles(reference):
    rules = []
    for name in ("error_rate", "missing_rows", "missing_outputs", "redo_rate"):
        rules.append({"metric": name, "above": 0.08 + float(reference[name].quantile(0.95)), "for_": "2h"})
    top = float(reference["latency_p95"].quantile(0.95))
    low = float(reference["brightness"].quantile(0.005))
    rules.append({"metric": "latency_p95", "above": 1.2 * top, "for_": "2h"})
    return [*rules, {"metric": "brightness", "below": 0.95 * low, "for_": "2h"}]
