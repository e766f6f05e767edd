"""Exercise 8.4, They searched again."""

import itertools

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Function, Number, exercise


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
        "First keep the rows that are searches: `page` is 1, and each `request_id` occurs once.",
        'Then, for each search, when does the same user search next? `groupby("user_id")["time"].shift(-1)`.',
        "The difference in seconds is `.dt.total_seconds()`. Compare it with the window and take the mean.",
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
        _ask_redo(expect, answer, log, window, "some users look at pages 2, 3 and 4")
        log = _searches(rng, quick=quick, retries=0.4, window=window)
        _ask_redo(expect, answer, log, window, "the client sent some requests twice")
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
    log = _searches(rng, window=window, waits=[window + 0.2, window + 0.5, window + 0.8])
    _ask_redo(
        expect,
        answer,
        log,
        window + 0.5,
        "a window that is half a second longer: some search again 0.3 s before it ends",
    )
    log = _searches(rng, quick=0.0, window=window)
    _ask_redo(expect, answer, log, window, "nobody searches again within the window")


def _ask_redo(expect, answer, log, window_s, what):
    rows = f"{len(log)} rows, {log['request_id'].nunique()} ids, {log['user_id'].nunique()} users"
    what = f"{what} (window {window_s} s; {rows})"
    expect.close(answer(log, window_s), _redo(log, window_s), what, atol=6e-4)  # three decimals are enough


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
    "you counted the next page of results as another search. A user who opens page 2 is still looking at the same results. Keep only rows with `page` 1.",
)
def next_page(log, window_s):
    return _redo(log, window_s, pages=True)


@redo_rate.misconception(
    "you counted resent requests as new searches. A resent request is the same search with the same `request_id`. Keep only the first row of each id.",
)
def client_retry(log, window_s):
    return _redo(log, window_s, retries=True)


@redo_rate.misconception(
    "you counted any later search as a repeated one. Tomorrow the same user may look for something new. Compare the time between the two searches with `window_s`.",
)
def no_window(log, window_s):
    return _redo(log, window_s, window=False)


@redo_rate.misconception(
    "you took the next search in the log, whoever made it. Many people search at the same time. Look for the next search of the same user, with `groupby`.",
)
def any_user(log, window_s):
    return _redo(log, window_s, users=False)


@redo_rate.misconception(
    "you used `.seconds`, which leaves out whole days. For a wait of a day and ten seconds, it gives 10. Use `.total_seconds()`.",
)
def seconds_of_the_day(log, window_s):
    return _redo(log, window_s, days=False)


@redo_rate.misconception(
    "you divided by all rows. Second pages and resent requests are not searches. Divide by the number of searches.",
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
