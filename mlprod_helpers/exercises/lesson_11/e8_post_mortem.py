"""Exercise 11.8, A post-mortem from the log alone."""

import numpy as np

from mlprod_helpers.lesson.contract import Function, Number, Several, Text, drawn_once, exercise
from mlprod_helpers.oncall.cases import ALARMS, draw_case


def _daily(log):
    """metric -> Series over the days, True where the fault shows."""
    by_day = log.groupby("day")
    off = (log["distance"] / log["usual_distance"] - 1).abs() > 0.1
    wind = by_day["wind"].first()
    return {
        "feed outage": log["distance"].isna().groupby(log["day"]).mean() > 0.1,
        "unit change": off.groupby(log["day"]).mean() > 0.1,
        "stuck feature": wind.diff() == 0,
        "label outage": log["label"].isna().groupby(log["day"]).mean() > 0.2,
        "retry storm": by_day["attempts"].mean() > 1.4,
        "slow dependency": by_day["latency_ms"].mean() > 200,
    }


def _truth(log, causes=tuple(ALARMS)):
    shown = _daily(log)
    for cause in causes:
        if shown[cause].any():
            return cause, int(shown[cause].idxmax()), ALARMS[cause]
    raise ValueError("nothing found")


@drawn_once()
def _cases(rng):
    """A log of each cause with gaps between day 7 and the onset, and a log whose incident begins on day 7."""
    last = {"stuck feature": 16}
    cases = [draw_case(rng, cause, last.get(cause) or int(rng.integers(8, 16))) for cause in ALARMS]
    cases.append(draw_case(rng, str(rng.choice(list(ALARMS))), 7))
    return [cases[i] for i in rng.permutation(len(cases))]


@exercise(
    "11.8",
    "A post-mortem from the log alone",
    answers=("post_mortem",),
    points=6,
    minutes=10,
    objective="11.e",
    kind=Function(
        "log",
        returns=Several(
            Text(options=tuple(ALARMS)),
            Number(integer=True),
            Text(options=tuple(ALARMS.values())),
            names=("cause", "onset", "alarm"),
        ),
    ),
    hints=(
        "Do not begin with the error. Compute one number a day for each of the six alarms, for example `log['distance'].isna().groupby(log['day']).mean()`.",
        "A few missing values, repeated attempts and one day with large errors are in every log. Ask for a share that lasts: a tenth for distances, a fifth for labels.",
        "For the wind: `log.groupby('day')['wind'].first().diff() == 0`. A retry storm makes answers slow too, so test the attempts before the latency. `idxmax` gives the first day that is True.",
    ),
)
def post_mortem(answer, rng, expect):
    """`post_mortem(log)`: (cause, onset, alarm), of seven logs with an incident each."""
    for log, (cause, onset, alarm) in _cases(rng):
        told, day, metric = answer(log)
        with expect.defining():
            expect.equal(told, cause, "a log: the cause")
            expect.equal(day, onset, "the same log: the first day with the fault")
        expect.equal(metric, alarm, "the same log: the alarm that was missing")


@post_mortem.acceptable
def _finds_them(answer, rng):
    """By the statement alone: cause, onset and alarm of 28 sealed logs."""
    logs = [each for _ in range(4) for each in _cases(rng)]
    return all(tuple(answer(log.copy())) == truth for log, truth in logs)


def _error(log):
    return (log["prediction"] - log["label"]).abs().groupby(log["day"]).mean()


@post_mortem.misconception(
    "you took the first day with a large error for the onset. The error is high on one day of every log, by chance, and some incidents never raise it. Look for the day on which the fault itself begins.",
)
def day_of_the_error(log):
    cause, _, alarm = _truth(log)
    return cause, int((_error(log) > 8).idxmax()), alarm


@post_mortem.misconception(
    "you took every slow log for a slow dependency. When displays repeat their requests, the answers become slow as well. Look at the attempts before you look at the latency.",
)
def slow_before_storm(log):
    return _truth(log, ("feed outage", "unit change", "stuck feature", "label outage", "slow dependency"))


@post_mortem.misconception(
    "you took the first gap for the onset. Every log has a few missing values and repeated attempts. Ask from which day on a clear share of the flights is affected.",
)
def first_gap(log):
    cause, onset, alarm = _truth(log)
    any_day = {
        "feed outage": log["distance"].isna(),
        "label outage": log["label"].isna(),
        "retry storm": log["attempts"] > 1,
    }
    if cause in any_day:
        onset = int(log.loc[any_day[cause], "day"].min())
    return cause, onset, alarm


@post_mortem.misconception(
    "you took the day before the fault for the onset. The onset is the first day on which the value is wrong: for a stuck wind, the first day with the same value as the day before.",
)
def day_before(log):
    cause, onset, alarm = _truth(log)
    return cause, onset - 1, alarm


@post_mortem.misconception(
    "you took a missing distance and a wrong distance for the same cause. In one log the values do not arrive, in the other they arrive in another unit. Their alarms differ.",
)
def missing_is_off(log):
    cause, onset, _ = _truth(log)
    cause = "unit change" if cause == "feed outage" else cause
    return cause, onset, ALARMS[cause]


@post_mortem.alternative
def by_largest_change(log):
    days = np.sort(log["day"].unique())
    rows = [log[log["day"] == day] for day in days]
    shares = {
        "feed outage": [part["distance"].isna().mean() for part in rows],
        "unit change": [(part["distance"] > 1.3 * part["usual_distance"]).mean() for part in rows],
        "label outage": [part["label"].isna().mean() for part in rows],
        "retry storm": [(part["attempts"] > 1).mean() for part in rows],
    }
    for cause, share in shares.items():
        late = [day for day, value in zip(days, share, strict=True) if value > 0.17]
        if late:
            return cause, int(late[0]), ALARMS[cause]
    wind = [part["wind"].iloc[0] for part in rows]
    same = [int(day) for day, now, before in zip(days[1:], wind[1:], wind[:-1], strict=True) if now == before]
    if same:
        return "stuck feature", same[0], "wind_unchanged_days"
    slow = [int(day) for day, part in zip(days, rows, strict=True) if part["latency_ms"].median() > 190]
    return "slow dependency", slow[0], "latency_p95"


@post_mortem.alternative
def with_one_table(log):
    daily = (
        log.assign(
            missing_share=log["distance"].isna(),
            distance_off_share=(log["distance"] - log["usual_distance"]).abs() > 0.2 * log["usual_distance"],
            labels_share=log["label"].isna(),
        )
        .groupby("day")[
            ["missing_share", "distance_off_share", "labels_share", "attempts", "latency_ms", "wind"]
        ]
        .mean()
    )
    first = log.groupby("day")["wind"].first()
    flags = {
        "attempts": daily["attempts"] > 1.35,
        "latency_p95": daily["latency_ms"] > 180,
        "missing_share": daily["missing_share"] > 0.15,
        "distance_off_share": daily["distance_off_share"] > 0.15,
        "labels_share": daily["labels_share"] > 0.25,
        "wind_unchanged_days": first == first.shift(),
    }
    causes = {alarm: cause for cause, alarm in ALARMS.items()}
    for alarm, flag in flags.items():
        if flag.any():
            return causes[alarm], int(flag[flag].index[0]), alarm
    raise ValueError("nothing found")
