"""Exercises of lesson 00, start here: two warm-ups and a placement quiz."""

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Choice, Function, Number, exercise
from mlprod_helpers.requestlog import as_of

EDITION = 1


def _day(rng, n=40):
    """A day's log with predictions and late labels, in minutes."""
    time = pd.Timestamp("2013-02-12 06:00", tz="UTC") + pd.to_timedelta(
        np.sort(rng.uniform(0, 14, n)), unit="h"
    )
    air_time = rng.uniform(40, 300, n).round()
    return pd.DataFrame(
        {
            "time": time,
            "request_id": np.arange(n),
            "version": "v1",
            "prediction": (air_time + rng.normal(4, 9, n)).round(1),
            "label": air_time,
            "label_time": time + pd.to_timedelta(air_time + rng.uniform(20, 90, n), unit="min"),
        }
    )


@exercise(
    "0.1",
    "The error so far",
    answers=("error_so_far",),
    points=2,
    minutes=4,
    core=True,
    objective="0.b",
    kind=Function("log", "now", returns=Number()),
    hints=(
        "Which rows had a label at `now`? Compare `label_time` with `now`.",
        "Keep those rows, take `label - prediction`, forget the sign, take the mean.",
        '`known = log[log["label_time"] <= now]`, and the mean of an empty column is NaN by itself.',
    ),
)
def error_so_far(answer, rng, expect):
    """`error_so_far(log, now)`: mean absolute error in minutes over the labels that have arrived."""
    log = _day(rng)
    for hour in np.sort(rng.choice(np.arange(9, 20), size=3, replace=False)):
        now = pd.Timestamp("2013-02-12", tz="UTC") + pd.Timedelta(hours=int(hour))
        known = log[log["label_time"] <= now]
        error = (known["label"] - known["prediction"]).abs().mean()
        expect.close(answer(log, now), float(error), f"the error known at {hour}:00")
    dawn = pd.Timestamp("2013-02-12 05:00", tz="UTC")
    expect.nan(answer(log, dawn), "before the first label there is no error: NaN")


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
    kind=Function("n_requests", "slow_share", returns=Number()),
    hints=(
        "A page is fast only if every one of its requests is fast.",
        "How likely is it that all `n_requests` are fast? The rest of the pages are slow.",
    ),
)
def slow_pages(answer, rng, expect):
    """`slow_pages(n_requests, slow_share)`: share of pages that wait for at least one slow answer."""
    for n in rng.choice(np.arange(2, 60), size=3, replace=False):
        share = round(float(rng.uniform(0.002, 0.05)), 3)
        expect.close(
            answer(int(n), share), 1 - (1 - share) ** int(n), f"a page of {n} requests, {share:.1%} slow"
        )
    expect.close(answer(1, 0.01), 0.01, "a page of one request")


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
    return -np.expm1(n_requests * np.log1p(-slow_share))


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
