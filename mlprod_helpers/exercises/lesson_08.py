"""Exercises of lesson 08, monitoring metrics: what to measure, what is normal, and whom to wake."""

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

EDITION = 1

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


def _flights(rng, n, holes=(), codes=(), twice=0.0):
    """A frame of flights: `holes` are (column, share) of NaN, `codes` of placeholders; `twice` empties two columns."""
    frame = pd.DataFrame(
        {
            "distance": rng.integers(80, 2500, n).astype(float),
            "delay": rng.choice([0.0, 5.0, 12.0, -3.0], n, p=[0.4, 0.3, 0.2, 0.1]),
            "carrier": rng.choice(["UA", "B6", "DL"], n).astype(object),
            "label": np.where(rng.random(n) < 0.7, np.nan, rng.normal(10, 5, n)),
        }
    )
    for column, share in holes:
        frame.loc[_some(rng, n, share), column] = np.nan
    for column, share in codes:
        frame.loc[_some(rng, n, share), column] = CODES[column][-1]
    both = _some(rng, n, twice)
    frame.loc[both, ["distance", "delay"]] = np.nan
    return frame


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
    kind=Function("frame", "required", "codes", returns=Number()),
    hints=(
        "First a table of True and False, one cell a value: is it missing? Then the question of rows.",
        "A row counts once, however many of its values are missing: `.any(axis=1)`.",
        "`frame[required].isna()`, and for each column that has codes also `frame[column].isin(values)`.",
    ),
)
def missing_rows(answer, rng, expect):
    """`missing_rows(frame, required, codes)`: the share of rows in which a required value is missing."""
    a, b, c = (float(x) for x in rng.uniform(0.05, 0.25, 3))
    n = int(rng.integers(120, 200))
    cases = (
        (
            _flights(rng, n, holes=[("distance", a), ("delay", b), ("carrier", c)]),
            "holes here and there, in three columns",
        ),
        (_flights(rng, n, holes=[("delay", 1.0)]), "one column is empty altogether"),
        (_flights(rng, n, twice=a + 0.1), "two holes in the same rows"),
        (
            _flights(rng, n, codes=[("distance", a), ("carrier", b)]),
            "placeholders instead of holes, and a delay of 0 minutes",
        ),
        (
            _flights(rng, n, holes=[("delay", c)], codes=[("distance", b)], twice=a),
            "holes and placeholders together",
        ),
        (_flights(rng, n), "every required value is there; many labels are still to come"),
    )
    for frame, what in cases:
        want = _missing(frame).any(axis=1).mean()
        expect.close(answer(frame, REQUIRED, CODES), float(want), what)


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
    for column, values in codes.items():
        clean[column] = clean[column].where(~clean[column].isin(values))
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
    for (views, clicks), what in cases:
        hits = views["request_id"].isin(clicks["request_id"]).sum()
        got_rate, *got = answer(views, clicks)
        expect.close(got_rate, float(hits / len(views)), f"{what}: the rate")
        expect.close(
            np.array(got), np.array(_wilson(hits, len(views))), f"{what}: the interval", rtol=2e-3, atol=1e-4
        )


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
def by_scipy(views, clicks):
    from scipy.stats import binomtest

    hits = len(set(views["request_id"]) & set(clicks["request_id"]))
    interval = binomtest(hits, len(views)).proportion_ci(0.95, method="wilson")
    return hits / len(views), float(interval.low), float(interval.high)


# ------------------------------------------------------------------ 8.4 they searched again


def _searches(rng, users=25, *, quick=0.3, pages=0.0, retries=0.0, tomorrow=0.0, window=60):
    """A log of searches: per user a few, `quick` of them again within the window, the rest much later."""
    rows, number = [], 0
    start = pd.Timestamp("2025-03-03 08:00", tz="UTC")
    for user in range(users):
        at = float(rng.uniform(0, 20_000))
        for _ in range(int(rng.integers(2, 6))):
            number += 1
            name = f"r{number:04d}"
            rows.append((at, name, f"u{user:02d}", 1))
            if rng.random() < retries:
                rows.append((at + float(rng.uniform(1, 0.4 * window)), name, f"u{user:02d}", 1))
            if rng.random() < pages:
                number += 1
                rows.append((at + float(rng.uniform(2, 0.4 * window)), f"r{number:04d}", f"u{user:02d}", 2))
            draw = rng.random()
            if draw < quick:
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
    cases = (
        (_searches(rng, quick=quick, window=window), "searches by many users at the same time"),
        (_searches(rng, quick=quick, pages=0.5, window=window), "some look at page 2"),
        (
            _searches(rng, quick=quick, retries=0.4, window=window),
            "some requests were sent twice by the client",
        ),
        (_searches(rng, quick=0.2, tomorrow=0.4, window=window), "some come back a day later"),
        (_searches(rng, quick=0.0, window=window), "nobody searches again within the window"),
    )
    for log, what in cases:
        expect.close(answer(log, window), _redo(log, window), what)


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
    busy = np.clip(np.sin((of_day - rng.uniform(5.5, 6.5)) / 24 * 2 * np.pi), 0, None)
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
    kind=Function("history", returns=Array(ndim=1, length=HOURS_OF_WEEK)),
    hints=(
        "What is usual on a Tuesday at 10? Not what is usual at all. And what happened in the incident is usual nowhere.",
        "Twelve values tell the usual one well, and their spread badly. The spread in percent is the same at all hours: use all of them together for it.",
        "`usual` = median of each hour of the week; `spread` = standard deviation of `np.log(value / usual)` over all quiet hours; the limit is `usual * np.exp(4 * spread)`.",
    ),
)
def thresholds(answer, rng, expect):
    """`thresholds(history)`: for each hour of the week, the p99 above which somebody is called."""
    usual, history, incident = draw_history(rng)
    limits = np.asarray(answer(history), float)
    if not np.isfinite(limits).all():
        expect.true(False, "168 limits, each a number", "some are missing or infinite")
        return
    fresh = quiet_weeks(rng, usual, 40)
    pages = float((fresh > limits).sum() / 40)
    expect.within(pages, 0, 1.25, f"40 fresh quiet weeks: {pages:.1f} pages a week (wanted: about 1 at most)")
    doubled = 2 * quiet_weeks(rng, usual, 40) > limits
    night = usual <= np.quantile(usual, 0.4)
    for hours, what in (
        (~night, "by day and evening"),
        (night, "at night and in the quiet hours"),
        (np.isin(np.arange(HOURS_OF_WEEK), incident), "in the hours of the week in which the incident was"),
    ):
        share = float(doubled[:, hours].mean())
        expect.within(share, 0.8, 1, f"p99 doubles {what}: noticed in {share:.0%} of the hours (wanted 80 %)")


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
    when=lambda seen: seen.verdicts[3][2] < 0.4 < min(seen.verdicts[1][2], seen.verdicts[2][2]),
)
def incident_left_in(history):
    return _by_hour(history, lambda x: x.mean() + 4.5 * x.std())


@thresholds.misconception(
    "the spread of each hour were known. Each was estimated from twelve values, and one hour in a hundred looks calmer than it is; with 168 hours that is enough to page each week. Take the spread from all hours together, or leave more room.",
    when=lambda seen: (
        not seen.verdicts[0][1] and all(ok for _, ok, *_ in seen.verdicts[1:]) and not _is_the_record(seen)
    ),
)
def three_sd_of_each(history):
    return _by_hour(history[~history["incident"]], lambda x: x.mean() + 2.7 * x.std())


def _is_the_record(seen):
    history, limits = seen.calls[0].given[0], np.asarray(seen.outputs[0], float)
    return any(
        np.allclose(limits, _by_hour(rows, np.max)) for rows in (history, history[~history["incident"]])
    )


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


def _counts(rng, sizes, medians, timeouts):
    """Requests of each server by bucket of latency, and how many had no answer."""
    edges = np.array([0, *EDGES])
    rows = []
    for n, median in zip(sizes, medians, strict=True):
        times = np.minimum(median * np.exp(0.5 * rng.normal(size=n)), 4999)
        rows.append(np.histogram(times, edges)[0])
    return np.array(rows), np.array(timeouts)


def _smallest_edge(counts, none=0):
    total = counts.sum() + none
    reached = np.flatnonzero(np.cumsum(counts) >= 0.99 * total)
    return EDGES[reached[0]] if len(reached) else math.inf


@exercise(
    "8.6",
    "The dashboard's p99",
    answers=("p99",),
    points=3,
    minutes=6,
    objective="8.d",
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
    cases = (
        (_counts(rng, calm, [60, 65, 60, 62], [0, 0, 0, 0]), "four servers alike"),
        (_counts(rng, [*calm[:3], 40], [60, 60, 60, 1300], [0, 0, 0, 0]), "an idle server is slow"),
        (_counts(rng, calm, [60, 60, 700, 60], [0, 0, 0, 0]), "one of the busy servers is slow"),
        (
            _counts(rng, calm, [60, 60, 60, 60], [0, 0, busy // 2, 0]),
            "one server often gives no answer at all",
        ),
        (_counts(rng, calm, [60, 250, 60, 60], [0, busy // 120, 0, 0]), "a few requests have no answer"),
    )
    for (counts, timeouts), what in cases:
        want = _smallest_edge(counts.sum(axis=0), timeouts.sum())
        expect.equal(answer(counts, list(EDGES), timeouts), want, what)


@p99.misconception(
    "percentiles could be averaged. The mean of the servers' p99 belongs to no request; add up what can be added, the counts.",
)
def mean_of_p99(counts, edges, timeouts):
    return float(np.mean([_smallest_edge(row) for row in counts]))


@p99.misconception(
    "weights would repair the average. Percentiles do not average, weighted or not: which request is the 99th of 100 depends on all of them together.",
)
def weighted_mean(counts, edges, timeouts):
    return float(np.average([_smallest_edge(row) for row in counts], weights=counts.sum(axis=1)))


@p99.misconception(
    "the worst server spoke for all. It is an upper bound: one idle server with forty requests decides what thousands are said to have waited.",
)
def worst_server(counts, edges, timeouts):
    return float(max(_smallest_edge(row, none) for row, none in zip(counts, timeouts, strict=True)))


@p99.misconception(
    "only answers had a latency. Those who never got one waited the longest: leave them out, and the worse it gets the better it looks.",
)
def answered_only(counts, edges, timeouts):
    return float(_smallest_edge(counts.sum(axis=0)))


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
_START = pd.Timestamp("2024-01-01 00:00Z")


def draw_month(rng, incidents=True, days=28):
    """(measured, table of incidents): a month of the search by the hour, with one-hour blips that pass by themselves."""
    log = service_log(days, rate=0.03, start=_START, random_state=rng)
    for day in rng.choice(days - 2, 10, replace=False):
        log = _blip(log, _START + pd.Timedelta(days=int(day), hours=int(rng.integers(0, 24))), rng)
    rows = []
    slots = np.arange(1, days - 3, 4)[: len(KINDS)] if incidents else []
    for day, kind in zip(slots, rng.permutation(list(KINDS)), strict=bool(incidents)):
        begin = _START + pd.Timedelta(days=int(day), hours=int(rng.integers(0, 48)))
        end = begin + pd.Timedelta(hours=int(rng.integers(16, 30)))
        log = _break(log, str(kind), (log["time"] >= begin) & (log["time"] < end), rng)
        rows.append((str(kind), begin, end))
    measured = measure(log, [METRICS[name] for name in WATCHED], "1h").iloc[: 24 * days]
    return measured, pd.DataFrame(rows, columns=["kind", "start", "end"])


def _blip(log, begin, rng):
    hit = (log["time"] >= begin) & (log["time"] < begin + pd.Timedelta(hours=1))
    hit &= rng.random(len(log)) < 0.5
    return log.assign(latency_ms=log["latency_ms"].mask(hit, 1200.0), status=log["status"].mask(hit, 503))


def _break(log, kind, hit, rng):
    luck = pd.Series(rng.random(len(log)), log.index)
    if kind == "slow answers":
        return log.assign(latency_ms=log["latency_ms"].mask(hit & (luck < 0.4), 1500.0))
    if kind == "errors":
        failed = hit & (luck < 0.35)
        return log.assign(status=log["status"].mask(failed, 500), clicked=log["clicked"] & ~failed)
    if kind == "feed outage":
        return log.assign(price=log["price"].mask(hit & (luck < rng.uniform(0.5, 0.9))))
    if kind == "dark camera":
        return log.assign(brightness=log["brightness"].mask(hit, log["brightness"] * rng.uniform(0.45, 0.6)))
    if kind == "empty answers":
        return log.assign(prediction=log["prediction"].mask(hit & (luck < rng.uniform(0.3, 0.6))))
    again = log[hit & (luck < 0.5) & (log["page"] == 1)].copy()
    again["request_id"] = again["request_id"] + 10_000_000 + int(rng.integers(1000)) * 1_000_000
    again["time"] = again["time"] + pd.to_timedelta(rng.integers(5, 60, len(again)), unit="s")
    fewer = log.assign(clicked=log["clicked"] & ~(hit & (luck < 0.5)))
    return pd.concat([fewer, again.assign(clicked=False)]).sort_values("time", ignore_index=True)


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
    false = pages.false_pages / pages.weeks
    return verdict.caught, verdict.late, verdict.missed, false, verdict.incidents


@exercise(
    "8.8",
    "The plan",
    answers=("plan",),
    points=8,
    minutes=15,
    core=True,
    objective="8.e",
    kind=Function("reference", returns=Sequence(items=Mapping(keys=("metric",)))),
    hints=(
        "One rule for each problem that you want to know of. Which metric shows a dark camera, and on which side? Which shows a result that nobody wanted?",
        "The one-hour blips pass by themselves. With `for_` a rule fires only if the condition still holds.",
        '`choose_threshold(reference["latency_p95"], "above", per="hour_of_day", pages_per_week=0.2, for_="2h", margin=100)` gives 24 limits; use them as `"above"`, with the same `for_`.',
    ),
)
def plan(answer, rng, expect):
    """`plan(reference)` -> a list of rules, as dicts; judged on two drawn months with six incidents each."""
    reference, _ = draw_month(rng, incidents=False)
    rules = answer(reference)
    try:
        readable = rules_of(rules)
        unknown = [rule.metric for rule in readable if rule.metric not in WATCHED]
        if unknown:
            raise ValueError(f"there is no metric {unknown[0]!r}")
        if not 1 <= len(readable) <= 40:
            raise ValueError(f"it has {len(readable)} rules; 1 to 40 are read")
    except Exception as error:
        expect.true(False, "the rules can be read", str(error).strip("'\"") or type(error).__name__)
        return
    found = [score(rules, *draw_month(rng)) for _ in range(2)]
    table = pd.concat([each[-1] for each in found])
    for family in ("software", "input", "output"):
        own = table[table["kind"].map(KINDS) == family]
        kinds = ", ".join(kind for kind, name in KINDS.items() if name == family)
        rung = int((own["outcome"] != "missed").sum())
        expect.true(
            rung >= len(own) - 1 if family == "output" else rung == len(own),
            f"{family} ({kinds}): {rung} of {len(own)} noticed",
        )
    in_time = int((table["outcome"] == "caught").sum())
    expect.within(in_time, 10, 12, f"{in_time} of 12 noticed within 5 hours (wanted: at least 10)")
    false = float(np.mean([each[3] for each in found]))
    expect.within(false, 0, 1, f"{false:.1f} false pages a week (wanted: at most 1)")


def _rules(seen):
    return next(call.output for call in seen.calls)


def _kept(seen):
    return [ok for _, ok, *_ in seen.verdicts]


def _for(rule):
    return duration(rule.get("for_", 0))


def _three_sd(reference, names, for_="0h", k=3):
    rules = []
    for name in names:
        values = reference[name]
        low, high = values.mean() - k * values.std(), values.mean() + k * values.std()
        rules.append({"metric": name, "above": float(high), "below": float(low), "for_": for_})
    return rules


def _good(reference, for_="2h", per_week=0.2, per="hour_of_day"):
    margins = {
        "latency_p95": (100, "above"),
        "error_rate": (0.08, "above"),
        "missing_rows": (0.12, "above"),
        "brightness": (18, "below"),
        "missing_outputs": (0.08, "above"),
        "redo_rate": (0.1, "above"),
    }
    rules = []
    for name, (margin, side) in margins.items():
        limit = choose_threshold(
            reference[name], side, per=per, pages_per_week=per_week, for_=for_, margin=margin
        )
        rules.append({"metric": name, side: limit, "for_": for_})
    return rules


@plan.misconception(
    "no page were the best page. Nobody was woken, and the incidents were noticed by customers.",
    when=lambda seen: len(_kept(seen)) == 5 and not any(_kept(seen)[:3]) and _kept(seen)[4],
)
def never(reference):
    return _three_sd(reference, ["cpu"], k=40)


@plan.misconception(
    "everything that can be measured should page. With so many rules luck alone rings again and again, and the true pages drown: begin with the problems, and take one metric for each.",
    when=lambda seen: len(_kept(seen)) == 5 and len(_rules(seen)) > 9 and not _kept(seen)[4],
)
def every_metric(reference):
    return _three_sd(reference, WATCHED, k=2)


@plan.misconception(
    "who watches the inputs sees everything. Empty answers and bad results come from perfect inputs: look at what goes out, too.",
    when=lambda seen: len(_kept(seen)) == 5 and _kept(seen)[1] and not _kept(seen)[2] and _kept(seen)[4],
)
def inputs_only(reference):
    return [rule for rule in _good(reference) if rule["metric"] in ("missing_rows", "brightness")]


@plan.misconception(
    "a running service were a working one. Machine and network are well watched, what comes in and goes out is not.",
    when=lambda seen: len(_kept(seen)) == 5 and _kept(seen)[0] and not _kept(seen)[1],
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
        and len(_rules(seen)) <= 9
        and min(_for(rule) for rule in _rules(seen)) < pd.Timedelta("1h")
    ),
)
def without_for(reference):
    return [rule | {"for_": "0h"} for rule in _good(reference)]


@plan.alternative
def by_the_hour_of_day(reference):
    return _good(reference, for_="2h", per_week=0.25)


@plan.alternative
def by_hand(reference):
    usual = reference.median()
    return [
        {"metric": "latency_p95", "above": 600.0, "for_": "2h"},
        {"metric": "error_rate", "above": 0.12, "for_": "2h"},
        {"metric": "missing_rows", "above": 0.2, "for_": "2h"},
        {"metric": "brightness", "below": 0.78 * float(usual["brightness"]), "for_": "2h"},
        {"metric": "missing_outputs", "above": 0.1, "for_": "2h"},
        {"metric": "redo_rate", "above": 0.18, "for_": "2h"},
    ]


@plan.alternative
def by_quantiles(reference):
    rules = []
    for name in ("latency_p95", "error_rate", "missing_rows", "missing_outputs", "redo_rate"):
        top = float(reference[name].quantile(0.97))
        rules.append({"metric": name, "above": 1.4 * top + 0.05, "for_": "2h"})
    low = float(reference["brightness"].quantile(0.005))
    return [*rules, {"metric": "brightness", "below": 0.97 * low, "for_": "2h"}]
