"""Exercise 0.1, The error so far."""

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Function, Number, exercise
from mlprod_helpers.requestlog import as_of


def _log(rng):
    """Air times of two days: late labels, a few that never arrive, rows in no order, two versions, a column that is mostly empty.

    The labels of the first day are almost three weeks old on the second. Predictions and errors are multiples of half a minute, so they repeat.
    """
    n = int(rng.integers(100, 140))
    hours = rng.uniform(0, 14, n) - 480 * (rng.random(n) < 0.25)
    time = pd.Timestamp("2013-02-12 06:00", tz="UTC") + pd.to_timedelta(hours, unit="h")
    air_time = rng.uniform(40, 300, n).round()
    arrival = time + pd.to_timedelta(air_time + rng.uniform(20, 90, n), unit="min")
    log = pd.DataFrame(
        {
            "time": time,
            "version": rng.choice(["v1", "v2"], n, p=[0.7, 0.3]),
            "prediction": (air_time + rng.normal(4, 9, n)).round() + rng.choice([0, 0.5], n),
            "label": air_time,
            "label_time": arrival.floor("s") + pd.Timedelta(seconds=0.5),
            "served": rng.random(n) < 0.8,
            "clicked": np.where(rng.random(n) < 0.8, np.nan, 1.0),
        }
    ).sort_values("label_time")
    log = log.iloc[[0, 1, 2, 2, *range(4, n)]].set_axis(range(n))
    log["request_id"] = np.arange(n)  # the only difference between the third row and the fourth
    # neither may be left out: the first label took days to arrive and its error is large, the error of the second is zero
    log.loc[0, "time"] -= pd.Timedelta(days=2)
    log.loc[:1, "prediction"] = log.loc[:1, "label"].add([90.0, 0.0])
    never = [4, *rng.choice(np.arange(60, n), size=3, replace=False)]  # the first of them is an old request
    log.loc[never, "label"], log.loc[never, "label_time"] = np.nan, pd.NaT
    # the earliest labels at both ends: no row is idle
    return log.iloc[[0, *rng.permutation(np.arange(2, n)), 1]].set_axis(rng.permutation(n))


def _known_error(log, now):
    errors = [
        abs(label - prediction)
        for label, prediction, arrived in zip(log["label"], log["prediction"], log["label_time"], strict=True)
        if arrived <= now
    ]
    return sum(errors) / len(errors) if errors else float("nan")


@exercise(
    "0.1",
    "The error so far",
    answers=("error_so_far",),
    points=2,
    minutes=4,
    objective="0.b",
    edition=2,
    kind=Function("log", "now", returns=Number(), may_change=("log",)),
    hints=(
        "Which rows had a label at `now`? Compare `label_time` with `now`.",
        "Keep those rows. Take `label - prediction`, drop the sign with `.abs()`, and take the mean.",
        '`known = log[log["label_time"] <= now]` gives the rows you need. The mean of an empty column is already NaN.',
    ),
)
def error_so_far(answer, rng, expect):
    """`error_so_far(log, now)`: mean absolute error in minutes over the labels that have arrived."""
    log = _log(rng)
    with expect.defining():
        for hour in rng.integers([9, 13, 17], [13, 17, 20]):
            now = pd.Timestamp("2013-02-12", tz="UTC") + pd.Timedelta(hours=int(hour))
            expect.close(
                answer(log, now), _known_error(log, now), f"the error known on the last day at {hour}:00"
            )
    arrivals = log["label_time"].dropna().sort_values()
    for now in arrivals.iloc[[0, rng.integers(5, 50)]]:
        expect.close(
            answer(log, now),
            _known_error(log, now),
            f"{now:%d %B %H:%M:%S}, the moment at which a label arrives: that label counts",
        )
    early = arrivals.iloc[0] - pd.Timedelta(seconds=0.25)
    expect.nan(answer(log, early), "just before the first label arrives, there is no error: NaN")
    expect.nan(answer(log.iloc[:0], now), "a log without rows: NaN")


@error_so_far.inputs
def _logs(rng):
    zone = "UTC"
    tiny = pd.DataFrame(
        {
            "time": pd.to_datetime(["2013-02-12 06:00", "2013-02-12 06:30", "2013-02-12 07:00"]).tz_localize(
                zone
            ),
            "request_id": ["r1", "r2", "r3"],
            "version": "v1",
            "prediction": [50.0, 90.0, 200.0],
            "label": [53.0, 83.0, 230.0],
            "label_time": pd.to_datetime(
                ["2013-02-12 07:30", "2013-02-12 08:30", "2013-02-12 11:15"]
            ).tz_localize(zone),
        }
    )
    for moment in ("09:00", "11:15", "07:30", "06:30", "23:00"):
        yield tiny, pd.Timestamp(f"2013-02-12 {moment}", tz=zone)
    yield tiny.iloc[:0], pd.Timestamp("2013-02-12 09:00", tz=zone)
    gone = tiny.assign(
        label=[53.0, np.nan, np.nan], label_time=tiny["label_time"].where([True, False, False])
    )
    yield gone, pd.Timestamp("2013-02-12 12:00", tz=zone)
    yield gone.iloc[1:], pd.Timestamp("2013-02-12 12:00", tz=zone)
    many = pd.concat([tiny] * 50, ignore_index=True)
    many["label"] += rng.normal(0, 30, len(many)).round(2)
    many["clicked"], many["request_id"] = np.nan, np.arange(len(many))
    yield many.iloc[::-1], pd.Timestamp("2013-02-12 08:30", tz=zone)
    yield many.sample(frac=1, random_state=1), pd.Timestamp("2013-02-12 10:00", tz=zone)


@error_so_far.misconception(
    "you used all labels of the log, even those that arrive after `now`. At `now`, nobody knows these labels. Keep only the rows with `label_time <= now`."
)
def with_tomorrows_answers(log, now):
    return (log["label"] - log["prediction"]).abs().mean()


@error_so_far.misconception(
    "you averaged the errors with their signs, so that positive and negative errors cancel out. A prediction that is "
    "ten minutes too long and one that is ten minutes too short are both wrong by ten minutes. Take the absolute "
    "value of each error before you take the mean.",
    when=lambda seen: all(
        np.isclose(abs(call.output), abs(signed(*call.given)), equal_nan=True) for call in seen.calls
    ),
)
def signed(log, now):
    known = log[log["label_time"] <= now]
    return (known["prediction"] - known["label"]).mean()


@error_so_far.misconception(
    "you chose the rows by `time`, the time of the request. Some of these planes are still in the air. A label is not known before its `label_time`."
)
def by_request_time(log, now):
    asked = log[log["time"] <= now]
    return (asked["label"] - asked["prediction"]).abs().mean()


@error_so_far.misconception(
    "you counted a prediction without a label as an error of zero. That makes the mean too small, because an unknown error is not zero. "
    "Leave these rows out of the mean."
)
def unknown_is_zero(log, now):
    known = log["label_time"] <= now
    return (log["label"] - log["prediction"]).abs().where(known, 0).mean()


@error_so_far.misconception(
    "you left out a label that arrives exactly at `now`. At that moment it is known. Compare with `<=` instead of `<`."
)
def not_at_the_moment_itself(log, now):
    known = log[log["label_time"] < now]
    return (known["label"] - known["prediction"]).abs().mean()


@error_so_far.alternative
def through_as_of(log, now):
    seen = as_of(log, now)
    return (
        float(np.nanmean(np.abs(seen["label"] - seen["prediction"])))
        if seen["label"].notna().any()
        else np.nan
    )


@error_so_far.alternative
def in_a_loop(log, now):
    errors = []
    for row in log.itertuples():
        if row.label_time <= now:
            errors.append(abs(row.label - row.prediction))
    return sum(errors) / len(errors) if errors else float("nan")
