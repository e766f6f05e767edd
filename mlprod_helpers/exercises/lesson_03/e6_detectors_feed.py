"""Exercise 3.6, Repair a detector's feed."""

import itertools
import math

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Function, Number, Sequence, exercise


def _late_log(rng, n, before, after, unlabeled):
    """A log of n answers whose error rate goes from `before` to `after` in the middle; a share of the labels is not there yet."""
    wrong = rng.random(n) < np.where(np.arange(n) < n // 2, before, after)
    label = rng.integers(0, 2, n).astype(float)
    waited = rng.lognormal(4.2, 0.9, n) + 60 * wrong  # what is hard to judge takes longer
    time = int(rng.integers(100, 900)) + np.arange(n)
    frame = pd.DataFrame(
        {
            "time": time,
            "prediction": np.where(wrong, 1 - label, label).astype(int),
            "label": label,
            "label_time": time + waited,
        }
    )
    frame.loc[rng.choice(n, round(unlabeled * n), replace=False), ["label", "label_time"]] = np.nan
    return frame


def _feed(
    log,
    allowed,
    limit,
    *,
    by="label_time",
    polarity=True,
    reset=True,
    stamp="label_time",
    fill=False,
    at_limit=False,
    lowest=0.0,
    skip=0,
    again=0.0,
):
    """The detector of the exercise with its possible faults.

    `fill`: a missing label counts as different. `at_limit`: a sum equal to the limit raises an alarm. `lowest`: where the
    sum stops falling. `skip`: rows left out at the beginning. `again`: where the sum begins anew.
    """
    order = np.argsort(log[by].to_numpy(), kind="stable")  # NaN goes to the end
    label = log["label"].to_numpy()[order]
    wrong = log["prediction"].to_numpy()[order] != label
    stamps = log[stamp].to_numpy()[order]
    if not fill:
        known = ~np.isnan(label)
        wrong, stamps = wrong[known], stamps[known]
    steps = np.where(wrong == polarity, 1 - allowed, -allowed)
    found, total = [], 0.0
    for step, when in zip(steps[skip:].tolist(), stamps[skip:].tolist(), strict=True):
        total = max(lowest, total + step)
        if total > limit or (at_limit and total == limit):
            found.append(when)
            if reset:
                total = again
    return found


def _as_hits(log):
    """The log with each missing label filled as if the prediction had been right, known at once."""
    return log.fillna({"label": log["prediction"], "label_time": log["time"]})


@exercise(
    "3.6",
    "Repair a detector's feed",
    answers=("alarms",),
    points=4,
    minutes=7,
    edition=2,
    objective="3.d",
    kind=Function("log", "allowed", "limit", returns=Sequence(Number())),
    hints=(
        "What does the detector add up when a prediction is right? It should grow when the model fails.",
        "When does an error become known? Put the rows in that order, and leave out those without a label.",
        "After an alarm, start again from zero. An alarm is raised when the label arrives, not when the request came.",
    ),
)
def detectors_feed(answer, rng, expect):
    """`alarms(log, allowed, limit)`: the times at which the detector raises an alarm."""
    draws = (
        (0.08, 0.08, 0, "a quiet log"),
        (
            0.08,
            float(rng.uniform(0.4, 0.5)),
            0,
            "the error rate jumps in the middle, every label has arrived",
        ),
        (0.08, float(rng.uniform(0.3, 0.4)), 0.3, "three rows in ten still have no label"),
        (1, 1, 0, "every answer is wrong"),
        (0.4, 0.4, 1, "no label has arrived yet"),
    )
    settings = zip(rng.permutation([0.125, 0.1875, 0.25]), rng.permutation([6, 7, 8]), strict=True)
    for (before, after, unlabeled, what), (allowed, errors) in zip(draws, itertools.cycle(settings)):
        allowed = float(allowed)
        limit = float(errors * (1 - allowed))  # that many errors in a row just reach it
        while True:
            log = _late_log(rng, int(rng.integers(400, 600)), before, after, unlabeled)
            want = _feed(log, allowed, limit)
            if before == 1:  # the last label of this log is the one that rings
                log = log[log["label_time"] <= want[-1]].reset_index(drop=True)
            if _decides(log, allowed, limit, want, what):
                break
        got = [float(t) for t in answer(log, allowed, limit)]
        expect.equal(len(got), len(want), f"{what}: the number of alarms", show=len(want) == 0)
        if want:
            with expect.defining():
                expect.true(
                    len(got) == len(want) and np.allclose(got, want, equal_nan=True),
                    f"{what}: the times of the alarms",
                    _first_difference(got, want),
                )
    log = _late_log(rng, 60, 0.5, 0.5, 0)
    for allowed, limit in ((0.0, 0.0), (0.75, 0.375)):
        got, want = [float(t) for t in answer(log, allowed, limit)], _feed(log, allowed, limit)
        expect.true(
            len(got) == len(want) and np.allclose(got, want),
            f"allowed {allowed:g} and limit {limit:g}: the times of the alarms",
            _first_difference(got, want),
        )


def _decides(log, allowed, limit, want, what):
    """Whether no fault that the log can reveal gives the right times by luck; a quiet log must stay quiet."""
    if what == "a quiet log" or not log["label"].notna().any():
        return not want
    if log["label"].isna().any():
        return _feed(_as_hits(log), allowed, limit) != want
    faults = [{"at_limit": True}, {"by": "time"}, {"lowest": -math.inf}]
    faults += [{part: value} for part in ("lowest", "again") for value in (allowed, -allowed)]
    if what == "every answer is wrong":
        faults = [{"skip": 1}]
    return all(_feed(log, allowed, limit, **fault) != want for fault in faults)


def _first_difference(got, want):
    """Where two lists of times part, without the time that is right."""
    pairs = itertools.zip_longest(got, want)
    first = next((i for i, (a, b) in enumerate(pairs) if a is None or b is None or not np.isclose(a, b)), 0)
    said = f"yours is at {got[first]:.1f}" if first < len(got) else "yours end before it"
    when = (
        ""
        if first >= len(want) or first >= len(got)
        else (", too early" if got[first] < want[first] else ", too late")
    )
    return f"they differ from alarm {first + 1} on: {said}{when}"


@detectors_feed.inputs
def _logs_and_limits(rng):
    def log_of(rows):
        return pd.DataFrame(rows, columns=["time", "prediction", "label", "label_time"]).astype(
            {"label": float, "label_time": float}
        )

    # four errors, the last one known first; then a hit; one row is still open
    few = [(0, 1, 0, 20), (1, 0, 1, 21), (2, 1, 0, 22), (3, 0, 1, 5), (4, 1, 1, 6), (5, 1, np.nan, np.nan)]
    yield log_of(few), 0.25, 1.25
    yield log_of(few), 0.25, 1.5  # the sum is just the limit once
    yield log_of(few), 0.0, 1.0
    yield log_of(few), 0.5, 100.0
    yield log_of(few[-1:]), 0.25, 1.0
    yield log_of([]), 0.25, 1.0
    for n in (40, 400, 2_000):
        rate = rng.uniform(0, 0.9, 4)[np.arange(n) * 4 // n]
        wrong, waited = rng.random(n) < rate, rng.permutation(n) + rng.uniform(0, 0.5)
        label = rng.integers(0, 2, n).astype(float)
        arrives = np.arange(n) + waited * np.pi
        open_ = rng.random(n) < 0.2
        prediction = np.where(wrong, 1 - label, label).astype(int)
        yield (
            log_of(
                list(
                    zip(
                        np.arange(n),
                        prediction,
                        np.where(open_, np.nan, label),
                        np.where(open_, np.nan, arrives),
                        strict=True,
                    )
                )
            ),
            0.25,
            3.0,
        )


def _many_alarms(seen):
    """A quiet log that is right, several times too many alarms after the change, and some where the answer is right."""
    count = {
        what: (ok, got, want) for what, ok, got, want in seen.verdicts if what.endswith("number of alarms")
    }
    (quiet, *_), (_, got, want), *_ = count.values()
    log, found = seen.calls[1].given[0], seen.calls[1].output
    hits = log[log["prediction"] == log["label"]]
    return quiet and got > 3 * want and np.isin(found, hits[["time", "label_time"]]).any()


@detectors_feed.misconception(
    "you have not changed the colleague's code yet. Begin with what the detector adds up: at the moment, the sum grows while the model is "
    "right."
)
def as_found(log, allowed, limit):
    return _feed(log, allowed, limit, by="time", polarity=False, reset=False, stamp="time", fill=True)


@detectors_feed.misconception(
    "you add up errors now, but left the rest as it was. The detector still reads in the order of the requests, with labels that had not arrived yet, and it never goes back to zero after an alarm."
)
def polarity_only(log, allowed, limit):
    return _feed(log, allowed, limit, by="time", reset=False, stamp="time", fill=True)


@detectors_feed.misconception(
    "you still add up right answers. So the sum grows fastest while the model is right. Add 1 for a wrong prediction and 0 for a right one."
)
def fed_with_hits(log, allowed, limit):
    return _feed(log, allowed, limit, polarity=False)


@detectors_feed.misconception(
    "you read the rows in the order of the requests. The detector then uses labels that had not arrived yet. Sort by the time at "
    "which the label arrived."
)
def in_order_of_requests(log, allowed, limit):
    return _feed(log, allowed, limit, by="time")


@detectors_feed.misconception(
    "you read the rows in the order of the requests, and dated the alarms by the request. This looks fast in a back-test, "
    "but in production these labels have not arrived yet. Use `label_time` for both."
)
def dated_by_request(log, allowed, limit):
    return _feed(log, allowed, limit, by="time", stamp="time")


@detectors_feed.misconception(
    "you let the sum go on after an alarm. It stays above the limit, so one change raises hundreds of alarms. Start again from zero after an alarm.",
    when=_many_alarms,
)
def never_reset(log, allowed, limit):
    return _feed(log, allowed, limit, reset=False)


@detectors_feed.misconception(
    "you dated the alarm by the time of the request. Nobody could know about the error at that time. The alarm is raised when that request's "
    "label arrives."
)
def stamped_with_request(log, allowed, limit):
    return _feed(log, allowed, limit, stamp="time")


@detectors_feed.misconception(
    "you counted a row without a label as an error. In pandas a missing label differs from every prediction. It is unknown, "
    "not wrong, so leave it out."
)
def missing_is_wrong(log, allowed, limit):
    return _feed(log, allowed, limit, fill=True)


@detectors_feed.alternative
def with_numpy(log, allowed, limit):
    known = log[log["label"].notna()].sort_values("label_time")
    steps = (known["prediction"] != known["label"]).to_numpy().astype(float) - allowed
    found, start = [], 0
    while start < len(steps):
        sums = np.cumsum(steps[start:])
        above = sums - np.minimum(np.minimum.accumulate(sums), 0)
        over = np.flatnonzero(above > limit)
        if not len(over):
            break
        found.append(known["label_time"].iloc[start + over[0]])
        start += over[0] + 1
    return found


@detectors_feed.alternative
def as_events(log, allowed, limit):
    events = sorted(
        (when, p != y)
        for when, p, y in zip(log["label_time"], log["prediction"], log["label"], strict=True)
        if not math.isnan(when)
    )
    found, total = [], 0.0
    for when, wrong in events:
        total += wrong - allowed
        if total < 0:
            total = 0.0
        elif total > limit:
            found, total = [*found, when], 0.0
    return np.array(found)
