"""Exercise 1.6, Debug a drift alarm."""

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Frame, Function, exercise


def _late_log(rng):
    """A log as it stands after some days: label is missing where it has not come; hard cases come late.

    The days begin anywhere and have gaps, their rows differ in number, and of two of them no label has come.
    """
    first, length = int(rng.integers(30, 60)), int(rng.integers(16, 26))
    gaps = rng.choice(np.arange(2, length - 8), size=2, replace=False)
    days = first + np.delete(np.arange(length), gaps)
    day = np.repeat(days, rng.integers(20, 60, len(days)))
    hard = rng.random(len(day))
    label = rng.normal(100, 20, len(day)) + 60 * hard
    error = rng.normal(0, 2 + 14 * hard + (day >= np.median(days)) * 6)
    label_day = day + np.floor(rng.exponential(0.5 + 4 * hard))
    log = pd.DataFrame(
        {
            "day": day,
            "prediction": (label - error).round(1),
            "label": label.round(1),
            "label_day": label_day,
        }
    )
    silent = [days[-1], days[int(rng.integers(3, len(days) - 6))]]
    out = (label_day > days[-1]) | np.isin(day, silent)
    log.loc[out, ["label", "label_day"]] = np.nan
    return log.sample(frac=1, random_state=int(rng.integers(1000)))


def _error_by_day(log):
    error = (log["label"] - log["prediction"]).abs()
    return pd.DataFrame(
        {"error": error.groupby(log["day"]).mean(), "missing": log["label"].isna().groupby(log["day"]).mean()}
    )


def _by_day(got, days):
    """`error` and `missing` of an answer as arrays over `days`, which stand in its index or in a column `day`."""
    index = got["day"] if "day" in got.columns else got.index
    place = {day: i for i, day in enumerate(index.tolist())}
    columns = (
        pd.to_numeric(got[name], errors="coerce").astype(float).to_numpy() for name in ("error", "missing")
    )
    return tuple(
        np.array([column[place[day]] if day in place else np.nan for day in days]) for column in columns
    )


def _days_of(got):
    return (got["day"] if "day" in got.columns else got.index).tolist()


@exercise(
    "1.6",
    "Debug a drift alarm",
    answers=("error_by_day",),
    points=4,
    minutes=7,
    objective="1.b",
    edition=2,
    kind=Function("log", returns=Frame(columns=("error", "missing")), may_change=("log",)),
    hints=(
        "Look at three lines of the colleague's function: the one that fills, the one that groups, and the one that counts.",
        "`mean` skips missing values by itself, so there is nothing to fill.",
        '`log["label"].isna().groupby(log["day"]).mean()` is the share of each day\'s rows that have no label yet.',
    ),
)
def error_by_day(answer, rng, expect):
    """`error_by_day(log)`: by day of the prediction, the mean absolute error known so far, and the share of rows without a label."""
    log = _late_log(rng)
    want, got = _error_by_day(log), answer(log)
    days, found = want.index.tolist(), _days_of(got)
    absent, extra = len(set(days) - set(found)), len(set(found) - set(days))
    expect.true(
        sorted(found, key=repr) == sorted(days, key=repr) or (len(found) == len(days) and not absent),
        "one row for each day of the log, and no other",
        f"{absent} days are missing, {extra} are not in the log, {len(found) - len(set(found))} are there twice",
    )
    error, missing = _by_day(got, days)
    dark = want["error"].isna().to_numpy()
    late = ~dark & (np.arange(len(days)) >= len(days) - 6)
    early = ~dark & ~late
    expect.close(error[early], want["error"].to_numpy()[early], "error of the earlier days")
    with expect.defining():
        expect.close(
            error[late], want["error"].to_numpy()[late], "error of the last days, as far as it is known"
        )
        expect.close(
            missing[~dark], want["missing"].to_numpy()[~dark], "share of rows whose label has not arrived"
        )
    expect.true(
        bool(np.isnan(error[dark]).all()) and bool((missing[dark] == 1).all()),
        "two days without any label: error NaN, missing 1",
        f"error {', '.join(f'{each:.3g}' for each in error[dark])}, "
        f"missing {', '.join(f'{each:.3g}' for each in missing[dark])}",
    )
    done = log.dropna(subset=["label"]).assign(day=lambda rows: rows["day"] + 7)
    want, got = _error_by_day(done), answer(done)
    error, missing = _by_day(got, want.index.tolist())
    with expect.defining():
        expect.true(
            _agree(error, want["error"]) and _agree(missing, want["missing"]),
            "a log in which every label has arrived: missing is 0 on every day",
            "`error` is off" if _agree(missing, want["missing"]) else "`missing` is not 0 everywhere",
        )
    few = pd.DataFrame(
        {
            "day": [-2, 9, -2, -2],
            "prediction": [10, 3, 10, 10],
            "label": [4.0, 0, 4, 10],
            "label_day": [1.0, 12, 1, -2],
        }
    )
    error, missing = _by_day(answer(few), [-2, 9])
    expect.true(
        _agree(error, [4, 3]) and _agree(missing, [0, 0]),
        "four rows: day -2 has errors of 6, 6 and 0 minutes, and day 9 has one row, whose label of 0 arrived on day 12",
        f"error {error[0]:.3g} and {error[1]:.3g}, missing {missing[0]:.3g} and {missing[1]:.3g}",
    )
    error, missing = _by_day(answer(few.assign(label=np.nan, label_day=np.nan)), [-2, 9])
    expect.true(
        bool(np.isnan(error).all()) and _agree(missing, [1, 1]),
        "the same rows before any label has arrived: error NaN, missing 1 on both days",
    )


def _agree(got, want):
    return bool(np.allclose(got, np.asarray(want, dtype=float), rtol=1e-6, equal_nan=True))


@error_by_day.inputs
def _logs_of_days(rng):
    day = np.repeat(np.arange(20), 8)
    label = rng.normal(100, 20, len(day)).round(1)
    log = pd.DataFrame(
        {
            "day": day,
            "prediction": label - rng.normal(0, 9, len(day)).round(1),
            "label": label,
            "label_day": day + 1.0,
        }
    )
    yield (log.assign(label=log["label"].where(day + np.arange(len(day)) % 5 < 19)),)
    yield (log,)
    yield (log.iloc[::-3],)
    yield (log[log["day"].isin([3, 4, 11])],)
    yield (log.assign(label=np.nan, label_day=np.nan),)
    yield (log.assign(label=log["label"].where(log["day"] != 7), day=log["day"] + 400),)
    yield (log.iloc[:1],)
    yield (log.iloc[:1].assign(label=np.nan, label_day=np.nan),)


def _reported(seen):
    """(log, error by day, missing by day, the same as they should be) of the first call."""
    log = seen.calls[0].given[0]
    want = _error_by_day(log)
    return log, *_by_day(seen.calls[0].output, want.index.tolist()), want


def _like(got, want):
    """Whether two columns agree, and say something."""
    want = np.asarray(want, dtype=float)
    return _agree(got, want) and not np.isnan(want).all()


@error_by_day.misconception(
    "you counted each error on the day on which its label arrived. Then a bad Monday shows up as a bad Thursday. Group the "
    "errors by the day of the prediction, `day`.",
    when=lambda seen: (
        lambda log, error, missing, want: _like(error, by_arrival(log)["error"].reindex(want.index))
    )(*_reported(seen)),
)
def by_arrival(log):
    error = (log["label"] - log["prediction"]).abs()
    found = pd.DataFrame({"error": error.groupby(log["label_day"]).mean()})
    return found.assign(missing=log["label"].isna().groupby(log["day"]).mean())


@error_by_day.misconception(
    "you counted rows without a label as errors of zero, for example by filling the labels with predictions. This makes "
    "the model look better than it is, because the real errors are not known yet. Leave these rows out of the mean.",
    when=lambda seen: (lambda log, error, missing, want: _like(error, praises_itself(log)["error"]))(
        *_reported(seen)
    ),
)
def praises_itself(log):
    filled = log["label"].fillna(log["prediction"])
    error = (filled - log["prediction"]).abs().groupby(log["day"]).mean()
    return pd.DataFrame({"error": error, "missing": log["label"].isna().groupby(log["day"]).mean()})


@error_by_day.misconception(
    "you averaged the errors with their signs, so that positive and negative errors cancel out. Ten minutes too many and "
    "ten too few are two errors of ten minutes. Take the absolute value of each error before you take the mean.",
    when=lambda seen: (lambda log, error, missing, want: _like(abs(error), abs(signed(log)["error"])))(
        *_reported(seen)
    ),
)
def signed(log):
    error = (log["label"] - log["prediction"]).groupby(log["day"]).mean()
    return pd.DataFrame({"error": error, "missing": log["label"].isna().groupby(log["day"]).mean()})


@error_by_day.misconception(
    "you kept what the colleague's function does. It fills the missing labels, counts errors on the day of arrival, and "
    "reports that nothing is missing. Fix all three.",
)
def not_repaired(log):
    error = (log["label"].fillna(log["prediction"]) - log["prediction"]).abs()
    by_arrival = error.groupby(log["label_day"].fillna(log["day"])).mean()
    return pd.DataFrame({"error": by_arrival, "missing": 0.0})


@error_by_day.misconception(
    "you dropped the rows without a label before you counted them. Labels that arrive early belong to the easy cases, so "
    "`missing` has to say how many labels have not arrived. Count before you drop.",
    when=lambda seen: (
        lambda log, error, missing, want: (
            _like(error, want["error"])
            and bool((missing[want["error"].notna()] == 0).all())
            and bool(np.isnan(missing[want["error"].isna()]).all())
        )
    )(*_reported(seen)),
)
def dropped_in_silence(log):
    return _error_by_day(log.dropna(subset=["label"]))


@error_by_day.misconception(
    "you counted the missing labels. A count says little, because busy days have more rows. Divide it by the day's number "
    "of rows.",
    when=lambda seen: (lambda log, error, missing, want: _like(missing, counted(log)["missing"]))(
        *_reported(seen)
    ),
)
def counted(log):
    found = _error_by_day(log)
    return found.assign(missing=log["label"].isna().groupby(log["day"]).sum())


@error_by_day.misconception(
    "you returned the share of labels that have arrived. You need the share that is missing, so you are one step away.",
    when=lambda seen: (lambda log, error, missing, want: _like(missing, 1 - want["missing"]))(
        *_reported(seen)
    ),
)
def share_known(log):
    found = _error_by_day(log)
    return found.assign(missing=1 - found["missing"])


@error_by_day.alternative
def day_by_day(log):
    rows = []
    for day in log["day"].unique():
        of_day = log[log["day"] == day]
        known = of_day.dropna(subset=["label"])
        errors = abs(known["prediction"] - known["label"])
        rows.append(
            {
                "day": day,
                "error": errors.mean() if len(known) else float("nan"),
                "missing": 1 - len(known) / len(of_day),
            }
        )
    return pd.DataFrame(rows)


@error_by_day.alternative
def with_bincount(log):
    days, at = np.unique(log["day"].to_numpy(), return_inverse=True)
    known = log["label"].notna().to_numpy()
    error = np.abs(log["prediction"] - log["label"]).to_numpy()
    rows, labels = np.bincount(at), np.bincount(at[known], minlength=len(days))
    total = np.bincount(at[known], error[known], minlength=len(days))
    with np.errstate(invalid="ignore"):
        return pd.DataFrame({"error": total / labels, "missing": 1 - labels / rows}, index=days)
