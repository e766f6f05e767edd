"""Exercises of lesson 00, start here: two warm-ups and a placement quiz."""

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Choice, Function, Number, exercise
from mlprod_helpers.requestlog import as_of

EDITION = 2


def _day(rng):
    """A day's log in minutes: late labels, a few that never come, rows in no order, a column that is mostly empty."""
    n = int(rng.integers(60, 120))
    time = pd.Timestamp("2013-02-12 06:00", tz="UTC") + pd.to_timedelta(rng.uniform(0, 14, n), unit="h")
    air_time = rng.uniform(40, 300, n).round()
    log = pd.DataFrame(
        {
            "time": time,
            "request_id": np.arange(n),
            "version": "v1",
            "prediction": (air_time + rng.normal(4, 9, n)).round(1),
            "label": air_time,
            "label_time": (time + pd.to_timedelta(air_time + rng.uniform(20, 90, n), unit="min")).floor("s"),
            "clicked": np.where(rng.random(n) < 0.8, np.nan, 1.0),
        },
        index=rng.permutation(n),
    )
    first, *others, last = np.argsort(log["label_time"].to_numpy())[[0, *range(2, n), 1]]
    never = np.isin(np.arange(n), rng.choice(others[40:], size=4, replace=False))
    log = log.assign(label=log["label"].mask(never), label_time=log["label_time"].mask(never))
    return log.iloc[
        [first, *rng.permutation(others), last]
    ]  # the earliest labels at both ends: no row is idle


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
    core=True,
    objective="0.b",
    edition=2,
    kind=Function("log", "now", returns=Number(), may_change=("log",)),
    hints=(
        "Which rows had a label at `now`? Compare `label_time` with `now`.",
        "Keep those rows, take `label - prediction`, forget the sign, take the mean.",
        '`known = log[log["label_time"] <= now]`, and the mean of an empty column is NaN by itself.',
    ),
)
def error_so_far(answer, rng, expect):
    """`error_so_far(log, now)`: mean absolute error in minutes over the labels that have arrived."""
    log = _day(rng)
    with expect.defining():
        for hour in np.sort(rng.choice(np.arange(9, 20), size=3, replace=False)):
            now = pd.Timestamp("2013-02-12", tz="UTC") + pd.Timedelta(hours=int(hour))
            expect.close(answer(log, now), _known_error(log, now), f"the error known at {hour}:00")
    arrivals = log["label_time"].dropna().sort_values()
    for now in arrivals.iloc[rng.choice(np.arange(5, 30), size=2, replace=False)]:
        expect.close(
            answer(log, now),
            _known_error(log, now),
            f"{now:%H:%M:%S}, the moment at which a label arrives: that label counts",
        )
    dawn = pd.Timestamp("2013-02-12 05:00", tz="UTC")
    expect.nan(answer(log, dawn), "before the first label there is no error: NaN")
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
    "all labels of the day were used, also those that had not arrived. At `now` nobody knows them yet."
)
def with_tomorrows_answers(log, now):
    return (log["label"] - log["prediction"]).abs().mean()


@error_so_far.misconception(
    "errors above and below were allowed to cancel. Ten minutes early and ten minutes late are two errors, not none: "
    "take the absolute value of each first."
)
def signed(log, now):
    known = log[log["label_time"] <= now]
    return (known["prediction"] - known["label"]).mean()


@error_so_far.misconception(
    "the requests so far were chosen by `time`. Their planes may still be in the air: a label counts from its `label_time`."
)
def by_request_time(log, now):
    asked = log[log["time"] <= now]
    return (asked["label"] - asked["prediction"]).abs().mean()


@error_so_far.misconception(
    "a prediction without a label was counted as if it had no error. Unknown is not zero: leave these rows out of the mean."
)
def unknown_is_zero(log, now):
    known = log["label_time"] <= now
    return (log["label"] - log["prediction"]).abs().where(known, 0).mean()


@error_so_far.misconception(
    "a label that arrives exactly at `now` was left out. It has arrived: the comparison is `<=`."
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


@exercise(
    "0.2",
    "One slow answer in a hundred",
    answers=("slow_pages",),
    points=2,
    minutes=3,
    core=True,
    objective="0.c",
    edition=2,
    kind=Function("n_requests", "slow_share", returns=Number()),
    hints=(
        "A page is fast only if every one of its requests is fast.",
        "How likely is it that all `n_requests` are fast? The rest of the pages are slow.",
    ),
)
def slow_pages(answer, rng, expect):
    """`slow_pages(n_requests, slow_share)`: share of pages that wait for at least one slow answer."""
    few, more = rng.choice(np.arange(2, 60), size=2, replace=False)
    with expect.defining():
        for n in (few, more, rng.integers(100, 300)):
            share = round(float(rng.uniform(0.002, 0.05)), 3)
            expect.close(
                answer(int(n), share), 1 - (1 - share) ** int(n), f"a page of {n} requests, {share:.1%} slow"
            )
    one = round(float(rng.uniform(0.01, 0.4)), 3)
    expect.close(answer(1, one), one, f"a page of one request, {one:.1%} slow")
    expect.close(answer(int(few), 0.0), 0.0, "no answer is slow: no page is")
    expect.close(answer(int(few), 1.0), 1.0, "every answer is slow: every page is")


@slow_pages.inputs
def _pages(rng):
    yield 20, 0.01
    for n in (1, 2, 7, 100, 1000):
        for share in (0.0, 0.001, 0.01, 0.3, 1.0):
            yield n, share


@slow_pages.misconception(
    "a page were as lucky as a single request. It has to wait for the slowest of all its requests."
)
def like_one_request(n_requests, slow_share):
    return slow_share


@slow_pages.misconception(
    "the shares were added up. A page with two slow answers is one slow page; with 200 requests the sum would be 200 %."
)
def added_up(n_requests, slow_share):
    return n_requests * slow_share


@slow_pages.misconception(
    "the fast pages were counted. You are one step away: the slow pages are the others."
)
def the_fast_ones(n_requests, slow_share):
    return (1 - slow_share) ** n_requests


@slow_pages.alternative
def one_request_after_the_other(n_requests, slow_share):
    slow = 0.0
    for _ in range(n_requests):
        slow += (1 - slow) * slow_share
    return slow


@slow_pages.alternative
def with_logarithms(n_requests, slow_share):
    return 1.0 if slow_share == 1 else -np.expm1(n_requests * np.log1p(-slow_share))


PLACEMENT = {"auc": "c", "p_value": "f", "p99": "a", "calibration": "h", "out_of_fold": "d"}


@exercise(
    "0.3",
    "Where do you stand?",
    answers=("terms",),
    points=5,
    minutes=4,
    core=True,
    objective="0.d",
    kind=Choice(
        {
            "auc": "the ROC-AUC is 0.8",
            "p_value": "the p-value is 0.03",
            "p99": "the p99 of the latency is 200 ms",
            "calibration": "the scores are calibrated",
            "out_of_fold": "the predictions are out-of-fold",
        },
        options=tuple("abcdefgh"),
    ),
    hints=(
        "Say each term in plain words first, without looking at the statements.",
        "Each term has a five-line refresher below the quiz. Open the ones you are unsure of, then answer.",
    ),
)
def placement(answer, rng, expect):
    """Five terms, eight statements."""
    expect.cases(answer, PLACEMENT)


@placement.misconception(
    "ROC-AUC were a share of rows. It never sets a threshold: it takes pairs, one row of each class, and asks how often the "
    "right one has the higher score. Refresher: ROC-AUC."
)
def auc_is_accuracy():
    return PLACEMENT | {"auc": "b"}


@placement.misconception(
    "the p-value were the probability that nothing changed. It begins from the assumption that nothing changed and asks "
    "how rare data like these would then be. Refresher: p-value."
)
def p_value_of_the_hypothesis():
    return PLACEMENT | {"p_value": "g"}


@placement.misconception(
    "a percentile were an average. p99 is one line: 99 of 100 requests stay below it, and it says nothing of how far above "
    "the others are. Refresher: percentile."
)
def mean_of_the_slowest():
    return PLACEMENT | {"p99": "e"}


@placement.misconception(
    "calibrated meant accurate. A calibrated score keeps its word: among rows scored 0.8, 80 % are positive. A score that "
    "always says the base rate is calibrated and useless. Refresher: calibration."
)
def calibrated_is_accurate():
    return PLACEMENT | {"calibration": "b"}


@placement.alternative
def again():
    return dict(reversed(PLACEMENT.items()))


@placement.alternative
def from_pairs():
    return {
        term: letter
        for letter, term in zip("adcfh", ("p99", "out_of_fold", "auc", "p_value", "calibration"), strict=True)
    }
