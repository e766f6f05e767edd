"""Exercise 4.3, Debug the back-test."""

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Array, Function, Several, exercise


def _flown(rng, n=60):
    """A small log in no order: requests over 30 days, labels that come hours to days later, some never."""
    time = rng.uniform(500, 530, n).round(2)
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
    objective="4.a",
    edition=2,
    kind=Function(
        "log",
        "start",
        "end",
        returns=Several(Array(ndim=1, dtype="bool"), Array(ndim=1, dtype="bool"), names=("train", "test")),
    ),
    hints=(
        "Imagine that the time is `start`. Which labels are already in the log?",
        "`train` depends on one column only, and `test` depends only on the other.",
        "If a label never arrived, `label_time` is NaN. A comparison with NaN is False, which is right here.",
    ),
)
def split(answer, rng, expect):
    """`split(log, start, end)`: masks of the rows to train on at `start` and to test on until `end`."""
    for number in range(2):
        log = _flown(rng, n=int(rng.integers(40, 80)))
        start = float(rng.integers(508, 516)) if not number else round(float(rng.uniform(508, 520)), 2)
        end = round(start + float(rng.uniform(3, 5)) + 3 * number, 2)
        edges = pd.DataFrame(
            [
                (start - 1.0, start),  # a label that arrives at `start` itself
                (start, start + 0.5),  # a request at `start` itself
                (end, end + 0.5),  # the first request of the next model
                (start - 2.0, np.nan),  # an old request whose label never came
                ((start + end) / 2, np.nan),  # and one in the test
                (start - 0.5, (start + end) / 2),  # a label that arrives during the test
                (start - 0.01, end + 3.0),  # and one long after it
                (start - 0.5, start + 0.001),  # a label that just misses `start`
                (start - 0.1, start - 0.05),  # a quick label just before `start`
                (start - 400, start - 399),  # an old row counts like any other
            ],
            columns=["time", "label_time"],
        )
        order = rng.permutation(len(log) + len(edges))
        log = pd.concat([log, edges], ignore_index=True).iloc[order]  # the index is in no order either
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
    "you trained on all requests before `start`. Some of their labels had not arrived by then, so no model could have learned from them. Look at `label_time`."
)
def by_request_time(log, start, end):
    return (log["time"] < start).to_numpy(), _split(log, start, end)[1]


@split.misconception(
    "you trained on labels that arrive during the test. The model would learn answers that it has to predict. Which labels have arrived by `start`?"
)
def learned_during_the_test(log, start, end):
    return (log["label_time"] <= end).to_numpy(), _split(log, start, end)[1]


@split.misconception(
    "you trained on every row that is not tested, including later ones. A service cannot learn from the future. Which labels have arrived by `start`?"
)
def the_rest(log, start, end):
    test = _split(log, start, end)[1]
    return ~test, test


@split.misconception(
    "you chose the test rows by the time of their label. The test covers the requests between `start` and `end`, and their labels may come later. Look at `time`."
)
def tested_by_label_time(log, start, end):
    return _split(log, start, end)[0], ((log["label_time"] >= start) & (log["label_time"] < end)).to_numpy()


@split.misconception(
    "you kept the given code as it is. It confuses the labels known at `start` with the requests that the model answers. Check each line for this."
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
