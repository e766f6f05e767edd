"""Exercises of lesson 04, handling drift: from a half-life to a policy that decides when and how to retrain."""

import math

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
    Text,
    exercise,
)

EDITION = 2


# ------------------------------------------------------------------ 4.1 half-life


def _agree(got, want):
    """Whether two rows of numbers are the same up to rounding."""
    return np.shape(got) == np.shape(want) and np.allclose(got, want, rtol=1e-6, atol=1e-9)


def _first_odd(got, want):
    """Where two rows of numbers of one length differ first; None if they do not."""
    if np.shape(got) != np.shape(want):
        return None
    odd = ~np.isclose(got, want, rtol=1e-6, atol=1e-9)
    return int(odd.argmax()) if odd.any() else None


def _lengths(got, want):
    return f"{len(got)} values came back, and {len(want)} were asked for" if len(got) != len(want) else ""


def _fading(times, half_life, now):
    age = now - np.asarray(times, dtype=float)
    return np.where(age >= 0, 0.5 ** (np.maximum(age, 0) / half_life), 0.0)


@exercise(
    "4.1",
    "Half-life",
    answers=("fading",),
    points=2,
    minutes=5,
    core=True,
    objective="4.b",
    edition=2,
    kind=Function("times", "half_life", "now", returns=Array(ndim=1)),
    hints=(
        "First the age of each row. What is left after one half-life? After two?",
        "`0.5 ** (age / half_life)`. Then think of the rows after `now`: their age is negative.",
        "`np.where(age >= 0, ..., 0)` gives 0 where a row was not there yet.",
    ),
)
def fading(answer, rng, expect):
    """`fading(times, half_life, now)`: weights that halve with each half-life of age, 0 for rows after now."""
    half_life, now = float(rng.integers(5, 40)), float(rng.integers(200, 300))

    def compare(times, what):
        got, want = answer(times, half_life, now), _fading(times, half_life, now)
        at = _first_odd(got, want)
        told = f"a row of age {now - times[at]:.2f} days got {got[at]:.4g}" if at is not None else ""
        expect.true(_agree(got, want), what, told or _lengths(got, want))

    with expect.defining():
        compare(now - half_life * np.array([3.0, 2.0, 1.0, 0.0]), "rows of age 3, 2, 1 and 0 half-lives")
        busy = np.sort(np.r_[rng.uniform(0, now, 6), np.full(5, now - half_life)])
        compare(busy, "a busy day among quiet ones")
        mixed = rng.permutation(np.r_[rng.uniform(0, now, 8), rng.uniform(now, now + 30, 2), now])
        compare(mixed, "rows that are not in order")
        compare(
            np.r_[now - half_life, now + 0.01, now + rng.uniform(1, 30, 3)], "rows after `now` get no weight"
        )


@fading.inputs
def moments(rng):
    yield np.array([0.0, 40, 300, 380, 400]), 365.0, 400.0
    yield np.array([400, 0, 380, 401, 40]), 30, 400
    yield np.array([5.0]), 2.0, 5.0
    yield np.array([5.0, 5.0, 5.001]), 0.5, 5.0
    for n in (1, 2, 7, 50):
        yield rng.uniform(-50, 150, n), float(rng.uniform(0.2, 80)), float(rng.uniform(0, 100))
        yield rng.integers(0, 20, n), 3, 10


@fading.misconception(
    "the weight was exp(-age / half_life). At an age of one half-life that leaves 0.37, and half is what the name promises."
)
def natural_decay(times, half_life, now):
    age = now - np.asarray(times)
    return np.where(age >= 0, np.exp(-np.maximum(age, 0) / half_life), 0.0)


@fading.misconception(
    "rows were counted in place of days. Then one busy day pushes the whole past away. Age is time, not the number of rows that came since."
)
def by_row_number(times, half_life, now):
    n = len(times)
    return 0.5 ** ((n - 1 - np.arange(n)) / half_life)


@fading.misconception(
    "rows after `now` weigh more than 1. A model that is trained now cannot have seen them at all."
)
def future_rows_count_most(times, half_life, now):
    return 0.5 ** ((now - np.asarray(times)) / half_life)


@fading.misconception(
    "the half-life was used as a window: all or nothing. A weight fades; it is never cut off."
)
def as_a_window(times, half_life, now):
    age = now - np.asarray(times)
    return ((age >= 0) & (age <= half_life)).astype(float)


@fading.alternative
def by_a_loop(times, half_life, now):
    weights = []
    for time in times:
        weights.append(0.0 if time > now else 2 ** ((time - now) / half_life))
    return weights


@fading.alternative
def with_pandas(times, half_life, now):
    age = now - pd.Series(times)
    return np.exp(-math.log(2) * age / half_life).where(age >= 0, 0.0).to_numpy()


# ------------------------------------------------------------------ 4.2 will recency help?

RECENT, ALL = "recency", "all history"
SITUATIONS = {
    "riders": RECENT,
    "air_time": RECENT,
    "late": ALL,
    "stable": ALL,
    "inputs": ALL,
    "fault": ALL,
    "winter": ALL,
}


@exercise(
    "4.2",
    "Will forgetting help?",
    answers=("forecast",),
    points=3,
    minutes=4,
    core=True,
    objective="4.a",
    kind=Choice(
        {
            "riders": "riders at the station; year after year, more people ride",
            "air_time": "minutes in the air; the winds turn with the seasons",
            "late": "is this flight more than 15 minutes late? a tree, weekly for ten months",
            "stable": "a law that never changes, with noisy labels",
            "inputs": "the inputs wander, the law stays, the model has the right form",
            "fault": "a drift long ago; the labels of the last three days are in the wrong unit",
            "winter": "tomorrow the second winter begins; there is no input for the season",
        },
        options=(RECENT, ALL),
    ),
    hints=(
        "Ask two questions of each: is an old row still true? And is a recent row at least as true?",
        "Forgetting is paid for in rows. Where old rows are still true, it buys nothing.",
        "In which two cases are the newest rows the least like what comes next?",
    ),
)
def forecast(answer, rng, expect):
    """Seven situations: recency weights or all history?"""
    expect.cases(answer, SITUATIONS)


@forecast.misconception(
    "forgetting was expected to help always, or do no harm. It costs rows: where nothing drifts, you pay and get nothing."
)
def always_forget():
    return dict.fromkeys(SITUATIONS, RECENT)


@forecast.misconception(
    "last winter was forgotten just before winter. When a concept comes back, the old rows are the ones that fit."
)
def forget_last_winter():
    return SITUATIONS | {"winter": RECENT}


@forecast.misconception(
    "the newest rows were trusted because they are new. After a fault they are the broken ones."
)
def trust_the_newest():
    return SITUATIONS | {"fault": RECENT}


@forecast.misconception(
    "a change of the inputs was taken for a change of the law. A model of the right form has learned the law from old rows as well as from new ones."
)
def inputs_are_the_law():
    return SITUATIONS | {"inputs": RECENT}


@forecast.misconception(
    "old rows were kept to be safe. Where the law itself moves, they are not more data, they are data about another world."
)
def never_forget():
    return dict.fromkeys(SITUATIONS, ALL)


@forecast.alternative
def from_the_few():
    return {case: RECENT if case in ("riders", "air_time") else ALL for case in SITUATIONS}


@forecast.alternative
def backwards():
    return dict(reversed(SITUATIONS.items()))


# ------------------------------------------------------------------ 4.3 debug the back-test


def _flown(rng, n=60):
    """A small log in no order: requests over 30 days, labels that come hours to days later, some never."""
    time = rng.uniform(0, 30, n).round(2)
    label_time = time + rng.exponential(2.0, n).round(2) + 0.01
    label_time[rng.random(n) < 0.1] = np.nan
    return pd.DataFrame({"time": time, "label_time": label_time})


def _split(log, start, end):
    train = (log["label_time"] <= start).to_numpy()
    test = ((log["time"] >= start) & (log["time"] < end)).to_numpy()
    return train, test


@exercise(
    "4.3",
    "Debug the back-test",
    answers=("split",),
    points=3,
    minutes=7,
    core=True,
    objective="4.a",
    edition=2,
    kind=Function(
        "log",
        "start",
        "end",
        returns=Several(Array(ndim=1, dtype="bool"), Array(ndim=1, dtype="bool"), names=("train", "test")),
    ),
    hints=(
        "Stand at the moment `start`. Which rows' labels can you read off the log?",
        "`train` is a condition on one column only; `test` is a condition on the other.",
        "A label that never came is missing in `label_time`; a comparison with NaN is False, and that is right here.",
    ),
)
def split(answer, rng, expect):
    """`split(log, start, end)`: masks of the rows to train on at `start` and to test on until `end`."""
    for number in range(2):
        log = _flown(rng, n=int(rng.integers(40, 80)))
        start = float(rng.integers(8, 16)) if not number else round(float(rng.uniform(8, 20)), 2)
        end = round(start + float(rng.uniform(3, 8)), 2)
        edges = pd.DataFrame(
            [
                (start - 1.0, start),  # a label that arrives at `start` itself
                (start, start + 0.5),  # a request at `start` itself
                (end, end + 0.5),  # the first request of the next model
                (start - 2.0, np.nan),  # an old request whose label never came
                ((start + end) / 2, np.nan),  # and one in the test
                (start - 0.5, (start + end) / 2),  # a label that arrives during the test
                (start - 0.5, end + 3.0),  # and one long after it
            ],
            columns=["time", "label_time"],
        )
        order = rng.permutation(len(log) + len(edges))
        log = pd.concat([log, edges], ignore_index=True).iloc[order].reset_index(drop=True)
        found = dict(zip(("train", "test"), answer(log, start, end), strict=True))
        wanted = dict(zip(("train", "test"), _split(log, start, end), strict=True))
        words = {
            "train": "train on the rows whose label is there at `start`",
            "test": "test on the requests from `start` until before `end`",
        }
        with expect.defining():
            for name, mask in found.items():
                right = np.array_equal(mask, wanted[name])
                told = "" if right else _odd_row(log, start, end, name, mask, wanted[name])
                expect.true(right, f"log {number + 1}: {words[name]}", told)


def _odd_row(log, start, end, name, got, want):
    """A row that is in a mask where it should not be, or the other way round."""
    if len(got) != len(want):
        return f"`{name}` has {len(got)} values for {len(want)} rows"
    at = int(np.argmax(np.asarray(got) != want))
    row, stands = log.iloc[at], "is in" if got[at] else "is not in"
    label = row["label_time"]
    told = ", whose label never came," if np.isnan(label) else f" with its label at {label:g}"
    return f"start {start:g}, end {end:g}: the request at {row['time']:g}{told} {stands} `{name}`"


@split.inputs
def logs(rng):
    times = [0.0, 3.0, 8.0, 9.0, 10.0, 12.0, 15.0, 16.0]
    labels = [1.0, 10.0, np.nan, 10.5, 11.0, 15.0, 15.5, np.nan]
    yield pd.DataFrame({"time": times, "label_time": labels}), 10.0, 15.0
    yield pd.DataFrame({"time": times, "label_time": labels}), 9.0, 9.5
    for n in (1, 3, 40):
        time = rng.integers(0, 30, n).astype(float)
        label = time + rng.integers(1, 9, n)
        label[rng.random(n) < 0.2] = np.nan
        yield pd.DataFrame({"time": time, "label_time": label}), 10.0, 15.0
        yield pd.DataFrame({"label_time": label, "time": time}), 20.0, 21.0


@split.misconception(
    "the rows before `start` were taken. They had happened by then, but not all of their labels were there: a model trained then could not have used them."
)
def by_request_time(log, start, end):
    return (log["time"] < start).to_numpy(), _split(log, start, end)[1]


@split.misconception("labels that arrive during the test were learned before it. Predict first, learn after.")
def learned_during_the_test(log, start, end):
    return (log["label_time"] <= end).to_numpy(), _split(log, start, end)[1]


@split.misconception(
    "each row that is not tested is trained on, also those that come later. Between past and future a model only has to fill a gap; production has no future to lean on."
)
def the_rest(log, start, end):
    test = _split(log, start, end)[1]
    return ~test, test


@split.misconception(
    "test rows were chosen by when their label came. The test asks what users got between `start` and `end`, so the request's time counts; its label may be late."
)
def tested_by_label_time(log, start, end):
    return _split(log, start, end)[0], ((log["label_time"] >= start) & (log["label_time"] < end)).to_numpy()


@split.misconception(
    "the colleague's code was kept as it is. Ask of each of its lines: what is known at `start`, and whom does this model answer?"
)
def the_colleagues(log, start, end):
    test = (log["label_time"] >= start) & (log["label_time"] < end)
    return ((log["time"] < end) & ~test).to_numpy(), test.to_numpy()


@split.alternative
def with_numpy(log, start, end):
    time, label_time = log["time"].to_numpy(), log["label_time"].to_numpy()
    known = ~np.isnan(label_time)
    train = np.zeros(len(log), dtype=bool)
    train[known] = (label_time[known] <= start) & (time[known] < start)
    return train, (start <= time) & (time < end)


@split.alternative
def row_by_row(log, start, end):
    train, test = [], []
    for row in log.itertuples():
        train.append(bool(row.label_time <= start))
        test.append(bool(start <= row.time < end))
    return train, test


# ------------------------------------------------------------------ 4.4 choose the half-life

CANDIDATES = (0.5, 3, 16, 64, 256)
N_PAST, N_NEXT, STREAMS = 100, 400, 5


def _level(rng, speed, n):
    """Daily labels: a level that wanders by `speed` a day, in units of the noise."""
    return rng.normal(0, speed, n).cumsum() + rng.normal(0, 1, n)


def _wakes_up(rng, n, quiet=30):
    """A level that stands still at first, and then wanders fast."""
    steps = rng.normal(0, rng.uniform(2, 3), n)
    steps[:quiet] = 0
    return steps.cumsum() + rng.normal(0, 1, n)


def _walk(y, half_life, first):
    """Mean absolute error from day `first` on, each day predicted by the weighted mean of the days before."""
    keep, top, bottom, errors = 0.5 ** (1 / half_life), 0.0, 0.0, []
    for day, value in enumerate(y):
        if day >= first:
            errors.append(abs(value - top / bottom))
        top, bottom = keep * top + value, keep * bottom + 1
    return float(np.mean(errors))


def _telling(draw, short, factor):
    """A stream whose past days tell that a `short` half-life predicts it better than a long one: not all that wander do."""
    for _ in range(100):
        y = draw()
        if _walk(y[:N_PAST], CANDIDATES[-1], 20) > factor * _walk(y[:N_PAST], short, 20):
            break
    return y


@exercise(
    "4.4",
    "Choose the half-life",
    answers=("choose",),
    points=4,
    minutes=9,
    objective="4.b",
    edition=2,
    kind=Function("y", "candidates", returns=Number()),
    hints=(
        "For each candidate: what would it have cost, day by day, if you had used it in the past?",
        "Predict day 20 from days 0 to 19, day 21 from days 0 to 20, and so on. The mean absolute error of these predictions is the candidate's score.",
        "`level(y[:day], half_life)` predicts day `day`. Return the candidate with the smallest mean of `abs(y[day] - level(...))`.",
    ),
)
def choose(answer, rng, expect):
    """`choose(y, candidates)`: the half-life that would have predicted the past best, walking forward."""
    n = N_PAST + N_NEXT
    worlds = (
        (
            "a level that wanders fast",
            lambda: _telling(lambda: _level(rng, rng.uniform(2, 3), n), 0.5, 2.0),
            20,
        ),
        (
            "a level that wanders a little",
            lambda: _telling(lambda: _level(rng, rng.uniform(0.5, 0.8), n), 3, 1.3),
            25,
        ),
        ("a level that stands still", lambda: _level(rng, 0.0, n), 7),
        (
            "a level that wanders fast from day 30 on",
            lambda: _telling(lambda: _wakes_up(rng, n), 0.5, 2.0),
            25,
        ),
    )
    with expect.defining():
        for what, draw, percent in worlds:
            chosen, best, picked = [], [], []
            for _ in range(STREAMS):
                y = draw()
                candidates = [round(c * rng.uniform(0.9, 1.1), 2) for c in rng.permutation(CANDIDATES)]
                half_life = answer(y[:N_PAST].round(3), candidates)
                if half_life not in candidates:
                    told = f"you returned {half_life:g} for the candidates {candidates}"
                    expect.true(False, f"{what}: the answer is one of `candidates`", told)
                    break
                errors = {c: _walk(y, c, N_PAST) for c in candidates}
                chosen.append(errors[half_life])
                best.append(min(errors.values()))
                picked.append(f"{half_life:g}")
            else:
                regret = sum(chosen) / sum(best) - 1
                expect.true(
                    regret <= percent / 100,
                    f"{what}: on the {N_NEXT} days after, the error is at most {percent} % above the best candidate's",
                    f"it is {100 * regret:.0f} % above; you chose {', '.join(picked)} days",
                )


@choose.acceptable
def predicts_well(answer, rng):
    """By the statement alone: what it chooses loses little on the days that follow, in worlds of each kind."""
    for speed, quiet, most in ((2.5, 0, 1.3), (0.65, 0, 1.4), (0.0, 0, 1.1), (2.5, 30, 1.4)):
        lost = []
        for _ in range(8):
            steps = rng.normal(0, speed, 500)
            steps[:quiet] = 0
            y = steps.cumsum() + rng.normal(0, 1, 500)
            picked = answer(y[:100], [0.5, 3, 16, 64, 256])
            ahead = {
                h: (pd.Series(y).ewm(halflife=h).mean().shift() - y)[100:].abs().mean()
                for h in (0.5, 3, 16, 64, 256)
            }
            lost.append(ahead.get(picked, math.inf) / min(ahead.values()))
        if np.mean(lost) > most:
            return False
    return True


def _picks(pick):
    """Recognizes an answer that ignores the data: each time the candidate that `pick` takes."""
    return lambda seen: (
        len(seen.calls) > STREAMS and all(float(call.output) == pick(call.given[1]) for call in seen.calls)
    )


@choose.misconception(
    "the shortest half-life was taken each time. It follows each wiggle, and most wiggles are noise: the curve is U-shaped. "
    "(It also wins whenever a day is predicted with its own label among the rows: predict first, learn after.)",
    when=_picks(min),
)
def the_shortest(y, candidates):
    return min(candidates)


@choose.misconception(
    "the longest half-life was taken each time, as shuffled cross-validation likes to do: it cannot see time, so more rows always look better.",
    when=_picks(max),
)
def the_longest(y, candidates):
    return max(candidates)


@choose.misconception(
    "the middle half-life was taken for every stream. How fast to forget depends on how fast the world moves, and the past can tell you.",
    when=_picks(lambda candidates: sorted(candidates)[len(candidates) // 2]),
)
def the_middle_one(y, candidates):
    return sorted(candidates)[len(candidates) // 2]


@choose.alternative
def running_sums(y, candidates):
    return min(candidates, key=lambda half_life: _walk(y, half_life, 20))


@choose.alternative
def squared_errors_with_pandas(y, candidates):
    series = pd.Series(y)
    scores = {
        half_life: ((series.ewm(halflife=half_life).mean().shift() - series)[20:] ** 2).mean()
        for half_life in candidates
    }
    return float(pd.Series(scores).idxmin())


@choose.alternative
def with_matrices(y, candidates):
    day = np.arange(len(y))
    age = day[:, None] - day[None, :]
    errors = []
    for half_life in candidates:
        weights = np.where(age > 0, 0.5 ** (np.maximum(age, 1) / half_life), 0.0)[10:]
        errors.append(np.abs(weights @ y / weights.sum(axis=1) - y[10:]).mean())
    return candidates[int(np.argmin(errors))]


# ------------------------------------------------------------------ 4.5 batch and stream


def _events(rng, n=60):
    """Requests and late labels in the order in which they happen; one band appears only in the second half."""
    names = ["near", "far", "islands", "ocean", "north", "south", "7", "Z"]
    *bands, new = (str(name) for name in rng.permutation(names)[:4])
    shifts = dict(zip((*bands, new), (2.0, 8.0, 20.0, 30.0), strict=True))
    waiting, events = [], []
    for i in range(n):
        band = new if i >= n // 2 and rng.random() < 0.3 else str(rng.choice(bands))
        batch = float(rng.integers(60, 300))
        events.append(["request", band, batch])
        y = round(batch + shifts[band] + rng.normal(0, 3), 2)
        waiting.append((i + int(rng.integers(1, 9)), ["label", band, batch, y]))
        events += [label for due, label in waiting if due <= i]
        waiting = [(due, label) for due, label in waiting if due > i]
    return events


def _serve(events, step, sign=1, start="overall", bands=True):
    overall, by_band, served = 0.0, {}, []
    for kind, band, batch, *label in events:
        band = band if bands else "all"
        if kind == "request":
            served.append(batch + sign * by_band.get(band, overall if start == "overall" else 0.0))
        else:
            residual = label[0] - batch
            before = by_band.get(band, overall if start == "overall" else 0.0)
            by_band[band] = before + step * (residual - before)
            overall += step * (residual - overall)
    return served


@exercise(
    "4.5",
    "Batch and stream",
    answers=("serve",),
    points=4,
    minutes=11,
    objective="4.c",
    edition=2,
    kind=Function("events", "step", returns=Sequence(Number())),
    hints=(
        "Keep two things while you walk through the events: one correction for all rows, and a dict with one a band.",
        "A request is answered with `batch` plus its band's correction. A label moves two corrections by `step * (residual - correction)`, with `residual = y - batch`.",
        "`by_band.get(band, overall)` is the correction of a band, and where a new band starts.",
    ),
)
def serve(answer, rng, expect):
    """`serve(events, step)`: what each request is answered: the batch prediction plus a running correction."""
    step = round(float(rng.uniform(0.1, 0.4)), 2)

    def compare(events, what):
        got, want = answer(events, step), _serve(events, step)
        expect.true(_agree(got, want), what, _first_difference(events, got, want))

    first = [["request", "short", 100.0], ["label", "short", 100.0, 110.0], ["request", "short", 100.0]]
    compare(first, "one request, its label, one more request")
    two = [["label", "short", 100.0, 110.0], ["label", "long", 300.0, 340.0], ["request", "short", 90.0]]
    compare(two, "a label of another band leaves a band as it was")
    zero = [["label", "short", 100.0, 100.0], ["label", "long", 300.0, 340.0], ["request", "short", 90.0]]
    compare(zero, "a correction of 0 is a band's own as well")
    with expect.defining():
        other = [*first, ["label", "short", 80.0, 100.0], ["request", "long", 300.0]]
        compare(other, "a band without a label yet gets the correction of all rows")
        begins = [
            *other,
            ["label", "long", 300.0, 340.0],
            ["request", "long", 200.0],
            ["request", "new", 50.0],
        ]
        compare(begins, "a band starts from the correction of all rows as it was before its first label")
        compare(_events(rng), "a morning of requests and late labels")


def _first_difference(events, got, want):
    """Which request was answered wrongly first."""
    asked = [(at, event) for at, event in enumerate(events) if event[0] == "request"]
    at = _first_odd(got, want)
    if at is None:
        return _lengths(got, want)
    place, event = asked[at]
    before = ", ".join(map(str, events[max(0, place - 2) : place]))
    after = f" after {before}" if before else ""
    return f"{event} was answered {got[at]:.4g}{after}; {want[at]:.4g} is right"


@serve.inputs
def mornings(rng):
    yield [["request", "short", 100.0], ["label", "short", 100.0, 108.0], ["request", "short", 100.0]], 0.25
    yield [], 0.5
    yield [["label", "a", 1.0, 2.0], ["label", "a", 1.0, 4.0], ["label", "b", 1.0, 0.0]], 0.3
    for n in (1, 2, 10, 40):
        yield _events(rng, n), float(rng.uniform(0.01, 1.0))


@serve.misconception(
    "the correction was taken off. If flights take longer than predicted, the residual is positive: y minus prediction is what to add."
)
def subtracted(events, step):
    return _serve(events, step, sign=-1)


@serve.misconception(
    "a new band starts at 0. All other bands may know already that the wind has turned: until a band has a label of its own, the correction of all rows is the best guess."
)
def new_band_at_zero(events, step):
    return _serve(events, step, start="zero")


@serve.misconception(
    "there is one correction for all bands. Wind adds minutes with the miles: long flights then get too little and short ones too much."
)
def one_for_all(events, step):
    return _serve(events, step, bands=False)


@serve.misconception(
    "only the newest residual counts. One flight is mostly noise; move a part of the way, `step`, towards it."
)
def last_residual(events, step):
    return _serve(events, 1.0)


@serve.misconception(
    "a new band starts from a correction that has already learned the band's own first label, so this label counts twice. Take the correction of all rows as it was before."
)
def first_label_twice(events, step):
    overall, by_band, served = 0.0, {}, []
    for kind, band, batch, *label in events:
        if kind == "request":
            served.append(batch + by_band.get(band, overall))
        else:
            overall += step * (label[0] - batch - overall)
            before = by_band.get(band, overall)
            by_band[band] = before + step * (label[0] - batch - before)
    return served


@serve.misconception(
    "residuals are added up without end. The correction moves towards the residual, by `step` of what is still missing, and stops when it is there."
)
def summed_up(events, step):
    overall, by_band, served = 0.0, {}, []
    for kind, band, batch, *label in events:
        if kind == "request":
            served.append(batch + by_band.get(band, overall))
        else:
            by_band[band] = by_band.get(band, overall) + step * (label[0] - batch)
            overall += step * (label[0] - batch)
    return served


@serve.alternative
def weighted_means(events, step):
    overall, by_band, served = 0.0, {}, []
    for event in events:
        band, batch = event[1], event[2]
        if band not in by_band and event[0] == "label":
            by_band[band] = overall
        if event[0] == "label":
            residual = event[3] - batch
            by_band[band] = (1 - step) * by_band[band] + step * residual
            overall = (1 - step) * overall + step * residual
        else:
            served.append(batch + (by_band.get(band, overall)))
    return served


@serve.alternative
def with_a_class(events, step):
    class Stream:
        def __init__(self):
            self.c = {None: 0.0}

        def correction(self, band):
            return self.c[band] if band in self.c else self.c[None]

        def learn(self, band, residual):
            for key in (band, None):
                self.c[key] = self.correction(key) + step * (residual - self.correction(key))

    stream, served = Stream(), []
    for kind, band, batch, *y in events:
        if kind == "label":
            stream.learn(band, y[0] - batch)
        else:
            served.append(batch + stream.correction(band))
    return np.array(served)


# ------------------------------------------------------------------ 4.6 a recommender


def _views(rng, n_items, now, n=150):
    """Views of items before `now`, in no order; `click_time` is missing where no click has come by then."""
    time = rng.uniform(0, now, n).round(1)
    item = rng.integers(0, n_items - 1, n)  # the last item was never shown
    click = time + rng.exponential(15, n).round(1) + 0.1
    click[(rng.random(n) > 0.3) | (click > now)] = np.nan
    return pd.DataFrame({"item": item, "time": time, "click_time": click})


def _rates(batch, views, now, window, strength, at_once=False):
    decided = views["click_time"].notna() | (views["time"] <= now - window) | at_once
    n = len(batch)
    counted = np.bincount(views.loc[decided, "item"], minlength=n)
    clicks = np.bincount(views.loc[views["click_time"].notna(), "item"], minlength=n)
    return (clicks + strength * np.asarray(batch)) / (counted + strength)


@exercise(
    "4.6",
    "A recommender with quick labels",
    answers=("click_rates",),
    points=3,
    minutes=9,
    objective="4.c",
    edition=2,
    kind=Function("batch", "views", "now", "window", "strength", returns=Array(ndim=1)),
    hints=(
        "Two counts for each item: its clicks, and its views that are decided.",
        "Decided is a view that has a click, and a view that is at least `window` minutes old.",
        "`np.bincount(views[decided]['item'], minlength=len(batch))` counts the views. Then add `strength` imagined views with the batch rate.",
    ),
)
def click_rates(answer, rng, expect):
    """`click_rates(batch, views, now, window, strength)`: each item's click rate, shrunk towards the batch rate."""
    n_items, now, window = (
        int(rng.integers(5, 12)),
        float(rng.integers(310, 500)),
        float(rng.integers(20, 90)),
    )
    batch = rng.uniform(0.02, 0.3, n_items).round(3)
    views, strength = _views(rng, n_items, now), round(float(rng.uniform(10, 40)), 2)

    def compare(views, what):
        got, want = answer(batch, views, now, window, strength), _rates(batch, views, now, window, strength)
        expect.true(_agree(got, want), what, _wrong_item(views, now, window, got, want))

    def views_of_one(*rows):
        return pd.DataFrame(
            [(1, now - age, click) for age, click in rows], columns=["item", "time", "click_time"]
        )

    compare(views.iloc[:0], "nothing shown yet: the batch rates")
    with expect.defining():
        nan = np.nan
        compare(views_of_one((5.0, now - 4.0)), "one view with a click, four minutes ago")
        late = views_of_one((window + 30, now - 5.0), (window + 40, nan))
        compare(late, "a click that came after the window counts as well")
        compare(
            views_of_one((5.0, nan), (window + 9, nan)), "two views without a click, one of them too young"
        )
        compare(
            views_of_one((window, nan), (window - 0.5, nan)),
            "a view without a click counts from the window's last minute on",
        )
        compare(views, "150 views of a catalogue")


def _wrong_item(views, now, window, got, want):
    """An item whose rate is off, and what is known of it."""
    at = _first_odd(got, want)
    if at is None:
        return _lengths(got, want)
    own = views[views["item"] == at]
    clicked, old = own["click_time"].notna(), own["time"] <= now - window
    side = "too low" if got[at] < want[at] else "too high" if got[at] > want[at] else "no rate"
    return (
        f"item {at} got {got[at]:.4g}, which is {side}. It has views with a click: {clicked.sum()}, without one and at least "
        f"{window:g} minutes old: {(old & ~clicked).sum()}, without one and younger: {(~old & ~clicked).sum()}"
    )


@click_rates.inputs
def catalogues(rng):
    seen = pd.DataFrame({"item": [0, 0, 1], "time": [10.0, 95.0, 55.0], "click_time": [12.0, np.nan, np.nan]})
    yield np.array([0.1, 0.1, 0.2]), seen, 100.0, 45.0, 20.0
    yield np.array([0.1, 0.1, 0.2]), seen.iloc[:0], 100.0, 45.0, 20.0
    for n in (1, 5, 100):
        time = rng.integers(0, 100, n).astype(float)
        click = np.where(rng.random(n) < 0.4, np.minimum(time + rng.integers(1, 30, n), 100), np.nan)
        views = pd.DataFrame({"item": rng.integers(0, 6, n), "time": time, "click_time": click})
        yield rng.uniform(0.01, 0.4, 7), views, 100.0, float(rng.integers(1, 60)), float(rng.uniform(0.5, 50))


@click_rates.misconception(
    "clicks were divided by views as they are. One click on one view then ranks first for ever, and an item that was never shown has no rate at all. "
    "Add imagined views with the batch rate."
)
def raw_rate(batch, views, now, window, strength):
    return _rates(batch, views, now, window, 1e-12)


@click_rates.misconception(
    "each view without a click counted as a no at once. The people of the last minutes are still looking: wait for the click window."
)
def no_at_once(batch, views, now, window, strength):
    return _rates(batch, views, now, window, strength, at_once=True)


@click_rates.misconception(
    "recent views were left out altogether, their clicks too. A click is a yes as soon as it is there; only a no has to wait."
)
def clicks_wait_too(batch, views, now, window, strength):
    old = views[views["time"] <= now - window]
    return _rates(batch, old, now, window, strength)


@click_rates.misconception(
    "the stream's rate and the batch rate were averaged half and half. How much a stream may say depends on how many views it has."
)
def half_and_half(batch, views, now, window, strength):
    seen = np.bincount(views["item"], minlength=len(batch)) > 0
    return np.where(seen, (_rates(batch, views, now, window, 1e-12) + batch) / 2, batch)


@click_rates.alternative
def with_groupby(batch, views, now, window, strength):
    views = views.assign(click=views["click_time"].notna())
    views = views[views["click"] | (now - views["time"] >= window)]
    counts = views.groupby("item")["click"].agg(["sum", "size"]).reindex(range(len(batch)), fill_value=0)
    return (counts["sum"] + strength * np.asarray(batch)) / (counts["size"] + strength)


@click_rates.alternative
def view_by_view(batch, views, now, window, strength):
    yes, no = [0] * len(batch), [0] * len(batch)
    for item, time, click_time in views.to_numpy():
        if click_time == click_time:
            yes[int(item)] += 1
        elif time + window <= now:
            no[int(item)] += 1
    return [(y + strength * b) / (y + n + strength) for b, y, n in zip(batch, yes, no, strict=True)]


# ------------------------------------------------------------------ 4.7 the mix changed


def _reweighed(p, old, new):
    p = np.asarray(p, dtype=float)
    yes, no = p * new / old, (1 - p) * (1 - new) / (1 - old)
    return yes / (yes + no)


@exercise(
    "4.7",
    "The mix changed, not the disease",
    answers=("new_mix",),
    points=3,
    minutes=6,
    objective="4.d",
    edition=2,
    kind=Function("p", "prior_old", "prior_new", returns=Array(ndim=1)),
    hints=(
        "Odds are p / (1 - p). Bayes' rule: odds after the evidence = odds before it x a factor that the evidence gives. The evidence stays.",
        "Multiply the odds of p by the new prior odds, divide by the old ones.",
        "Back from odds: p = odds / (1 + odds).",
    ),
)
def new_mix(answer, rng, expect):
    """`new_mix(p, prior_old, prior_new)`: probabilities corrected for another share of class 1, by odds."""
    old, new = round(rng.uniform(0.05, 0.3), 2), round(rng.uniform(0.4, 0.8), 2)
    p = rng.permutation(np.r_[rng.uniform(0.05, 0.95, 5).round(3), 0.95, 0.004])
    expect.close(answer(p, old, old), p, "the same mix: nothing changes")
    expect.close(answer(np.array([old]), old, new), [new], "a row that says nothing: its p was the old share")
    with expect.defining():
        for before, after, what in (
            (old, new, "more of class 1 than before"),
            (new, old, "less of class 1 than before"),
        ):
            got, want = answer(p, before, after), _reweighed(p, before, after)
            at = _first_odd(got, want)
            told = f"p = {p[at]:g} became {got[at]:.4g}" if at is not None else _lengths(got, want)
            expect.true(_agree(got, want), f"{what}: from {before:g} to {after:g}", told)


@new_mix.inputs
def mixes(rng):
    yield np.array([0.1, 0.2, 0.5]), 0.2, 0.5
    yield np.array([0.5]), 0.5, 0.01
    yield np.array([1e-6, 1 - 1e-6]), 0.3, 0.6
    for n in (1, 4, 30):
        yield rng.uniform(0.001, 0.999, n), float(rng.uniform(0.01, 0.99)), float(rng.uniform(0.01, 0.99))


@new_mix.misconception(
    "the probability itself was multiplied. That can give 1.4, which is no probability, and it forgets that the other class changes too. Multiply the odds."
)
def probability_times_ratio(p, prior_old, prior_new):
    return np.asarray(p) * prior_new / prior_old


@new_mix.misconception(
    "the probability itself was multiplied, and what came out above 1 was cut off. Certain is not the same as likely: multiply the odds, and nothing has to be cut."
)
def multiplied_and_cut(p, prior_old, prior_new):
    return np.clip(np.asarray(p) * prior_new / prior_old, 0, 1)


@new_mix.misconception(
    "the new mix was divided out where it should come in: more late flights made each flight less likely to be late."
)
def upside_down(p, prior_old, prior_new):
    return _reweighed(p, prior_new, prior_old)


@new_mix.misconception(
    "the difference of the shares was added. Rows near 0 or 1 have hardly any room to move; odds respect that."
)
def added(p, prior_old, prior_new):
    return np.asarray(p) + prior_new - prior_old


@new_mix.misconception(
    "the probabilities stayed as they were. The ranking is still fine, but 0.3 no longer means that 30 of 100 such flights are late."
)
def unchanged(p, prior_old, prior_new):
    return np.asarray(p, dtype=float)


@new_mix.alternative
def by_log_odds(p, prior_old, prior_new):
    def logit(share):
        return np.log(share) - np.log1p(-share)

    return 1 / (1 + np.exp(-(logit(np.asarray(p)) + logit(prior_new) - logit(prior_old))))


@new_mix.alternative
def one_by_one(p, prior_old, prior_new):
    factor = prior_new / (1 - prior_new) / (prior_old / (1 - prior_old))
    return [share * factor / (1 + share * (factor - 1)) for share in p]


# ------------------------------------------------------------------ 4.8 when to retrain

ACTIONS = ("keep", "retrain 1", "retrain 4", "retrain 12", "retrain all", "rollback")
KINDS = ("quiet", "slow", "sudden", "recurring", "fault")
N_HISTORY, N_WEEKS, N_BANDS = 12, 44, 10
SIGMA, ROWS = 8.0, 60  # minutes of noise in a label; labels a week
FAULT = 30.0  # minutes that a broken label is off
HELD_BACK = 0.2  # of the newest week: from here on there is nothing good to learn
PRICE = 1.0  # one training costs as much as one minute of error for a week


def draw_season(rng, kind):
    """One season of 12 weeks of history and 44 live weeks.

    Returns
    -------
    dict
        `level` (true minutes to add, a week and a band), `mean` (what a week's labels say), `broken` and `repaired`
        (the fault's weeks and when they were put right), `held_back`, `noise` (of the measured error).
    """
    n = N_HISTORY + N_WEEKS
    week = np.arange(n)
    start = N_HISTORY + int(rng.integers(6, 13))
    shape = np.zeros(n)
    if kind == "slow":
        shape = rng.uniform(14, 18) * np.clip((week - N_HISTORY) / N_WEEKS, 0, 1)
    elif kind == "sudden":
        shape = rng.uniform(9, 12) * (week >= start)
    elif kind == "recurring":
        shape = rng.uniform(9, 12) * ((week >= start) & (week < start + int(rng.integers(12, 17))))
    direction = rng.choice([-1.0, 1.0], N_BANDS) * rng.uniform(0.8, 1.2, N_BANDS)
    level = shape[:, None] * direction / np.sqrt(np.square(direction).mean())
    broken = (week >= start) & (week < start + 4) & (kind == "fault")
    held_back = rng.uniform(0.0, 0.03, n)
    held_back[broken] = rng.uniform(0.3, 0.6, broken.sum())
    return {
        "kind": kind,
        "level": level,
        "mean": level + rng.normal(0, SIGMA / math.sqrt(ROWS / N_BANDS), level.shape),
        "broken": broken,
        "repaired": start + 5,
        "held_back": held_back.round(3),
        "noise": np.sqrt(rng.chisquare(ROWS, n) / ROWS),
    }


def draw_seasons(rng):
    """Two seasons of each kind."""
    return [draw_season(rng, kind) for kind in KINDS for _ in range(2)]


def _labels(season, now):
    """What the labels say that are there at week `now`: all but the last week's; broken ones until they are repaired."""
    known = season["mean"][: now - 1]
    if season["kind"] == "fault" and now < season["repaired"]:
        known = known + FAULT * season["broken"][: now - 1, None]
    return known


def _trained(season, now, action):
    known = _labels(season, now)
    weeks = action.removeprefix("retrain ")
    newest = known if weeks == "all" else known[-int(weeks) :]
    return newest.sum(axis=0) / len(newest)


def _excess(level, model):
    """Minutes of error above what a perfect model would have."""
    gap = level - model
    if gap.ndim == 1:  # many small calls: several times as fast
        return math.sqrt(SIGMA**2 + gap.dot(gap) / len(gap)) - SIGMA
    return np.sqrt(SIGMA**2 + np.square(gap).mean(axis=-1)) - SIGMA


def play(policy, season):
    """Play one season; returns its cost in minutes: error above the unavoidable, week by week, plus trainings."""
    model = previous = _trained(season, N_HISTORY, "retrain all")
    trained_at, memory, cost, errors = N_HISTORY, {}, 0.0, []
    for past in range(N_HISTORY - 6, N_HISTORY):
        errors.append(_measured(season, past, model))
    for now in range(N_HISTORY, N_HISTORY + N_WEEKS):
        observation = {
            "week": now - N_HISTORY,
            "errors": errors[-7:-1],
            "held_back": season["held_back"][now - 7 : now - 1].tolist(),
            "age": now - trained_at,
        }
        action, memory = policy(observation, memory)
        if action == "rollback":
            model, previous = previous, model
        elif action != "keep":
            model, previous = _trained(season, now, action), model
            trained_at, cost = now, cost + PRICE
        errors.append(_measured(season, now, model))
        cost += _excess(season["level"][now], model)
    return float(cost)


def _measured(season, week, model):
    """The week's error as its labels show it, in minutes."""
    said = season["level"][week] + FAULT * season["broken"][week]
    return round(float((SIGMA + _excess(said, model)) * season["noise"][week]), 2)


def frozen(observation, memory):
    """The baseline that never trains again."""
    return "keep", memory


def all_history(observation, memory):
    """The baseline that trains on everything, every week."""
    return "retrain all", memory


def oracle_cost(season, ahead=6):
    """The cost of someone who knows the truth of the next six weeks, and picks each week's best action."""
    model = previous = _trained(season, N_HISTORY, "retrain all")
    cost = 0.0
    for now in range(N_HISTORY, N_HISTORY + N_WEEKS):
        choices = [(0.0, model, previous), (0.0, previous, model)]
        choices += [(PRICE, _trained(season, now, action), model) for action in ACTIONS[1:5]]
        future = season["level"][now : now + ahead]
        models = np.array([candidate for _, candidate, _ in choices])
        totals = _excess(future[None], models[:, None]).sum(axis=1) + [price for price, *_ in choices]
        price, model, previous = choices[int(totals.argmin())]
        cost += price + _excess(season["level"][now], model)
    return float(cost)


def cost_by_kind(policy, seasons):
    """The cost of a policy in minutes, summed over the seasons of each kind."""
    costs = dict.fromkeys(KINDS, 0.0)
    for season in seasons:
        costs[season["kind"]] += play(policy, season)
    return costs


@exercise(
    "4.8",
    "When to retrain, and on what",
    answers=("policy",),
    points=6,
    minutes=14,
    core=True,
    objective="4.e",
    edition=2,
    kind=Function(
        "observation",
        "memory",
        returns=Several(Text(options=ACTIONS), Mapping(), names=("action", "memory")),
        may_change=("memory",),
    ),
    hints=(
        "Three questions each week: are the newest rows sound? Is the error high, and not just this once? How much data is there about the world as it is now?",
        "Two weeks in a row at 9.5 minutes or more are seldom chance when 8 is normal. After a training wait until its first errors are known.",
        "Training on 1 week is noisy, on all of it slow. And while `held_back` is high, nothing that you train will be good.",
    ),
)
def policy(answer, rng, expect):
    """`policy(observation, memory)`: keep, retrain or roll back, week by week, in ten seasons."""
    seasons = draw_seasons(rng)
    on_the_fault = []

    def watched(observation, memory):
        action, memory = answer(observation, memory)
        if action.startswith("retrain") and observation["held_back"][-1] >= HELD_BACK:
            on_the_fault.append((action, observation["week"], observation["held_back"][-1]))
        return action, memory

    costs = cost_by_kind(watched, seasons)
    cold, warm = cost_by_kind(frozen, seasons), cost_by_kind(all_history, seasons)
    best = dict.fromkeys(KINDS, 0.0)
    for season in seasons:
        best[season["kind"]] += oracle_cost(season)
    total, low, high, oracle = (sum(found.values()) for found in (costs, cold, warm, best))
    better = min(low, high)
    limit = oracle + 0.5 * (better - oracle)
    rows = {"you": costs, "frozen": cold, "all history, weekly": warm, "oracle": best}
    table = "; ".join(
        f"{name} {sum(found.values()):.0f} (" + ", ".join(f"{kind} {found[kind]:.0f}" for kind in KINDS) + ")"
        for name, found in rows.items()
    )
    with expect.defining():
        expect.true(
            total < better, f"cheaper than both baselines: below {better:.0f} minutes", f"the costs: {table}"
        )
        expect.true(
            total <= limit,
            f"at least half of the way from the better baseline to the oracle: at most {limit:.0f} minutes",
            f"it costs {total:.0f}" if total >= better else f"the costs: {table}",
        )
        expect.true(
            costs["quiet"] <= 0.42 * warm["quiet"],
            "quiet seasons: at most 42 % of what weekly training costs",
            f"it costs {costs['quiet']:.0f} of {warm['quiet']:.0f} minutes",
        )
        expect.true(
            costs["fault"] <= cold["fault"] + 36,
            "fault seasons: at most 36 minutes more than leaving the model alone",
            f"it costs {costs['fault']:.0f} against {cold['fault']:.0f} minutes",
        )
        told = ""
        if on_the_fault:
            action, week, share = on_the_fault[0]
            told = f'"{action}" in week {week}, when {share:.0%} of the newest rows were held back'.replace(
                "%", " %"
            )
        expect.true(
            not on_the_fault, "no training while the gate holds back a fifth of the newest rows or more", told
        )


@policy.acceptable
def pays(answer, rng):
    """By the statement alone, on twenty seasons of its own."""
    sound = []

    def watched(observation, memory):
        action, memory = answer(observation, memory)
        sound.append(observation["held_back"][-1] < 0.2 or not action.startswith("retrain"))
        return action, memory

    costs, cold, warm, best = ({kind: 0.0 for kind in KINDS} for _ in range(4))
    for kind in KINDS * 4:
        season = draw_season(rng, kind)
        for found, player in ((costs, watched), (cold, frozen), (warm, all_history)):
            found[kind] += play(player, season)
        best[kind] += oracle_cost(season)
    total, oracle = sum(costs.values()), sum(best.values())
    half = 0.5 * (min(sum(cold.values()), sum(warm.values())) + oracle)
    return (
        all(sound)
        and total <= half
        and costs["quiet"] <= 0.42 * warm["quiet"]
        and costs["fault"] <= cold["fault"] + 72
    )


def _steps(seen):
    """(observation, action) of each call."""
    return [(call.given[0], call.output[0]) for call in seen.calls if call.output]


def _share(seen, fits):
    steps = _steps(seen)
    return sum(fits(observation, action) for observation, action in steps) / max(len(steps), 1)


@policy.misconception(
    "the model was never trained again. That is the cheapest choice while nothing happens, and by far the dearest afterwards.",
    when=lambda seen: _share(seen, lambda _, action: action == "keep") == 1,
)
def keep_for_ever(observation, memory):
    return "keep", memory


@policy.misconception(
    "everything was trained on all history, again and again. In quiet months that is cost without gain, and after a change the old weeks outvote the new ones for half a year.",
    when=lambda seen: _share(seen, lambda _, action: action == "retrain all") > 0.1,
)
def all_history_each_week(observation, memory):
    return "retrain all", memory


@policy.misconception(
    "after each alarm only the newest week was used. Sixty rows for ten bands: the new model is so noisy that it rings the alarm itself.",
    when=lambda seen: (
        sum(action == "retrain 1" for _, action in _steps(seen))
        > 0.7 * sum(action.startswith("retrain") for _, action in _steps(seen))
        > 0
    ),
)
def newest_week_only(observation, memory):
    errors, gate = observation["errors"], observation["held_back"]
    return ("retrain 1" if errors[-1] > 8.4 and gate[-1] < 0.2 else "keep"), memory


@policy.misconception(
    "the model was trained nearly every week, whether there was a reason or not. Each training has its price, and a young model is not yet a better one.",
    when=lambda seen: _share(seen, lambda _, action: action.startswith("retrain")) > 0.6,
)
def four_weeks_each_week(observation, memory):
    return "retrain 4", memory


@policy.misconception(
    "the model was trained on the rows that the gate holds back. It has learned the broken unit, and serves it after the feed is repaired. Ask the gate before you train.",
    when=lambda seen: any(
        action.startswith("retrain") and observation["held_back"][-1] > 0.2
        for observation, action in _steps(seen)
    ),
)
def trains_on_the_fault(observation, memory):
    errors = observation["errors"]
    high = min(errors[-2:]) > 9.4 and observation["age"] >= 4
    return ("retrain 4" if high else "keep"), memory


@policy.alternative
def every_four_weeks_behind_the_gate(observation, memory):
    due = observation["age"] >= 5 and max(observation["held_back"][-1:]) < 0.1
    return ("retrain 4" if due else "keep"), memory


@policy.alternative
def two_high_weeks(observation, memory):
    sound = observation["held_back"][-1] < 0.2 and max(observation["held_back"][-2:]) < 0.2
    high = np.mean(observation["errors"][-2:]) > 9.3
    return ("retrain 4" if sound and high and observation["age"] >= 3 else "keep"), memory


@policy.alternative
def evidence_that_adds_up(observation, memory):
    gate, errors = observation["held_back"], observation["errors"]
    total = memory.get("total", 0.0)
    total = 0.0 if gate[-1] > 0.1 else max(0.0, total + errors[-1] - 8.7)
    if total > 2.2 and observation["age"] >= 3:
        return "retrain 4", {"total": 0.0}
    return "keep", {"total": total}


choose.survives(
    "alternative with_matrices: `weights.sum(axis=1)` -> `weights.sum()`",
    "The choice is judged: the shortest wins wherever the level moves, and where it stands still luck decides.",
)
