"""Odd inputs through every public function: a documented result or an error of our own, nothing changed, the same again.

An error is our own if our code raises it: pandas' and numpy's words say nothing of what to do.
"""

import copy
import traceback
import warnings
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers import (
    adaptation,
    automation,
    checklist,
    detectors,
    drift,
    faults,
    monitoring,
    queueing,
    requestlog,
)

N = 40
RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(size=N).round(3)
WHEN = pd.Series(pd.date_range("2024-01-01", periods=N, freq="17min", tz="UTC"))


def with_gaps(values):
    return [None if i % 5 == 0 else value for i, value in enumerate(values)]


COLUMNS = {
    "floats": pd.Series(NUMBERS),
    "floats with gaps": pd.Series(NUMBERS).where(NUMBERS > -1),
    "float32": pd.Series(NUMBERS, dtype="float32"),
    "Float64": pd.Series(pd.array(with_gaps(NUMBERS), dtype="Float64")),
    "objects": pd.Series(with_gaps(NUMBERS), dtype=object),
    "decimals": pd.Series([Decimal(str(v)) for v in NUMBERS], dtype=object),
    "far from zero": pd.Series(1e9 + NUMBERS),
    "infinite": pd.Series(np.where(NUMBERS > 1, np.inf, np.where(NUMBERS < -1, -np.inf, NUMBERS))),
    "constant": pd.Series(np.ones(N)),
    "mostly zeros": pd.Series(np.where(RNG.random(N) < 0.9, 0, 1.5)),
    "zeros and ones": pd.Series(RNG.integers(0, 2, N)),
    "shares": pd.Series(RNG.random(N)),
    "negative integers": pd.Series(-RNG.integers(1, 9, N)),
    "Int64": pd.Series(pd.array(with_gaps(range(N)), dtype="Int64")),
    "huge integers": pd.Series([2**63 + i for i in range(N)], dtype="uint64"),
    "beyond 64 bits": pd.Series([10**30 + i for i in range(N)], dtype=object),
    "nothing but NaN": pd.Series(np.full(N, np.nan)),
    "nothing but None": pd.Series([None] * N, dtype=object),
    "nothing but NaT": pd.Series([pd.NaT] * N),
    "bool": pd.Series(NUMBERS > 0),
    "boolean": pd.Series(pd.array(with_gaps(NUMBERS > 0), dtype="boolean")),
    "bool objects": pd.Series(with_gaps((NUMBERS > 0).tolist()), dtype=object),
    "text": pd.Series(RNG.choice(["a", "b", "c"], N)),
    "string": pd.Series(pd.array(with_gaps(RNG.choice(["a", "b"], N)), dtype="string")),
    "text of numbers": pd.Series([str(v) for v in NUMBERS]),
    "mixed": pd.Series(["a", 1, None, 2.5] * (N // 4), dtype=object),
    "lists": pd.Series([[1, 2]] * N),
    "category": pd.Series(pd.Categorical(with_gaps(RNG.choice(["a", "b"], N)), categories=["z", "b", "a"])),
    "category of numbers": pd.Series(pd.Categorical(RNG.integers(0, 4, N))),
    "dates": pd.Series(pd.date_range("2024-01-01", periods=N)),
    "dates with gaps": pd.Series(pd.to_datetime(with_gaps(pd.date_range("2024-01-01", periods=N)))),
    "dates in Tokyo": WHEN.dt.tz_convert("Asia/Tokyo"),
    "unsorted dates": WHEN.sample(frac=1, random_state=0).reset_index(drop=True),
    "far dates": pd.Series(pd.to_datetime(["9999-12-31"] * N).astype("datetime64[s]")),
    "text of dates": WHEN.dt.strftime("%Y-%m-%d"),
    "periods": pd.Series(pd.period_range("2020-01", periods=N, freq="M")),
    "durations": pd.Series(pd.to_timedelta(NUMBERS, unit="h")),
    "complex": pd.Series(NUMBERS * 1j),
    "empty": pd.Series([], dtype=float),
    "empty objects": pd.Series([], dtype=object),
    "one row": pd.Series([1.5]),
    "one missing row": pd.Series([np.nan]),
    "twice the same index": pd.Series(NUMBERS, index=[0, 0] * (N // 2)),
    "several levels of index": pd.Series(
        NUMBERS, index=pd.MultiIndex.from_product([range(N // 2), list("ab")])
    ),
}


def log_with(name, column, *, as_time="time"):
    times = WHEN[: len(column)] if len(column) <= N else WHEN
    log = pd.DataFrame(
        {
            "time": times.array,
            "request_id": range(len(column)),
            "version": "v1",
            "user_id": np.arange(len(column)) % 7,
            "status": 200,
            "latency_ms": 10.0,
            "attempts": 1,
            "prediction": 1.0,
            "score": 0.5,
            "clicked": False,
            "label": 1.0,
            "label_time": (times + pd.Timedelta("1h")).array,
        }
    )
    return log.assign(**{name: column.array})


FLOATS = COLUMNS["floats"]
HOURS = pd.date_range("2024-01-01", periods=N, freq="1h", tz="UTC")


def measured(column):
    return pd.DataFrame({"x": column.array}, index=HOURS[: len(column)])


def frame_of(column):
    return pd.DataFrame({"x": column.array, "y": 1.0})


def quick():
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=3, categorical_features="from_dtype")


def fit_gate(column):
    frame = pd.DataFrame({"x": column.array, "y": np.arange(len(column)) % 7})
    gate = adaptation.AnomalyGate(0.1, random_state=0).fit(frame)
    return gate.admits(frame), gate.cost(frame, by=frame["y"])


def use_gate(column):
    gate = adaptation.AnomalyGate(0.1, random_state=0).fit(pd.DataFrame({"x": FLOATS}))
    return gate.admits(pd.DataFrame({"x": column}))


def backtest(**columns):
    from sklearn.dummy import DummyRegressor

    n = len(next(iter(columns.values())))
    frame = pd.DataFrame({"time": np.arange(n), "x": 0.0, "y": 1.0})
    frame = frame.assign(**{name: column.array for name, column in columns.items()})
    return adaptation.evaluate_over_time(
        DummyRegressor(),
        frame,
        [10, 20, 30],
        features=["x"],
        target="y",
        strategies=["frozen", "all_history"],
    )


ONE_COLUMN = {
    **{
        f"{f.__name__} of {role}": (lambda c, f=f, swap=swap: f(*((c, FLOATS) if swap else (FLOATS, c))))
        for f in (drift.psi, drift.ks, drift.chi_square)
        for role, swap in (("reference", True), ("current", False))
    },
    "psi with itself": lambda c: drift.psi(c, c),
    "chi_square with itself": lambda c: drift.chi_square(c, c),
    "drift_report": lambda c: drift.drift_report(c.to_frame("x"), FLOATS.to_frame("x")),
    "drift_report with itself": lambda c: drift.drift_report(c.to_frame("x"), c.to_frame("x")),
    "psi_over_time": lambda c: drift.psi_over_time(c.to_frame("x"), c.to_frame("x"), np.arange(len(c)) % 3),
    "psi_over_time by": lambda c: drift.psi_over_time(FLOATS.to_frame("x"), FLOATS.to_frame("x"), c),
    "adversarial_validation": lambda c: drift.adversarial_validation(
        c.to_frame("x"), FLOATS.to_frame("x"), cv=2, random_state=0, estimator=quick()
    ),
    "adversarial_validation with itself": lambda c: (
        drift.adversarial_validation(c.to_frame("x"), c.to_frame("x"), cv=2, random_state=0).importances
    ),
    "flag": drift.flag,
    "shift_of_auc": drift.shift_of_auc,
    **{
        f"as_log {name}": (lambda c, name=name: requestlog.as_log(log_with(name, c)))
        for name in requestlog.COLUMNS
    },
    "as_log of a feature": lambda c: requestlog.as_log(log_with("x", c)),
    "as_of": lambda c: requestlog.as_of(log_with("time", c), "2024-01-01 02:00Z"),
    "served": lambda c: requestlog.served(log_with("served", c)),
    **{
        f"measure {name}": (lambda c, name=name: monitoring.measure(log_with(name, c)))
        for name in (
            "time",
            "status",
            "latency_ms",
            "attempts",
            "prediction",
            "clicked",
            "score",
            "user_id",
            "served",
        )
    },
    "mean_of": lambda c: monitoring.measure(log_with("x", c), [monitoring.mean_of("x")]),
    "quantile_of": lambda c: monitoring.measure(log_with("x", c), [monitoring.quantile_of("x", 0.9)]),
    "repeated_values": lambda c: monitoring.measure(log_with("price", c), ["repeated_values"]),
    "class_share": lambda c: monitoring.measure(log_with("prediction", c), [monitoring.class_share("a")]),
    "input_length": lambda c: monitoring.measure(log_with("query", c), ["input_length"]),
    "only": lambda c: monitoring.measure(log_with("x", c), [monitoring.METRICS["error_rate"].only("x", "a")]),
    "missing_rows": lambda c: monitoring.missing_rows(c.to_frame("x"), {"x": monitoring.Field((-999, ""))}),
    "out_of_range_rows": lambda c: monitoring.out_of_range_rows(
        c.to_frame("x"), {"x": monitoring.Field(low=0)}
    ),
    "new_category_rows": lambda c: monitoring.new_category_rows(
        c.to_frame("x"), {"x": monitoring.Field(known=("a",))}
    ),
    "states": lambda c: monitoring.states(monitoring.Rule("x", above=1, below=-1), measured(c)),
    "evaluate": lambda c: monitoring.evaluate(monitoring.Rule("x", above=1, for_="1h"), measured(c)),
    "choose_threshold": lambda c: monitoring.choose_threshold(
        pd.Series(
            np.resize(c.to_numpy(), 500) if len(c) else c,
            pd.date_range("2024", periods=500 if len(c) else 0, freq="1h", tz="UTC"),
        ),
        per=None,
    ),
    "burn_rates": lambda c: monitoring.burn_rates(
        measured(c)["x"], pd.Series(9.0, HOURS[: len(c)]), monitoring.ErrorBudget(0.99), ["2h"]
    ),
    "wilson": lambda c: monitoring.wilson(c, 100),
    "detect": lambda c: detectors.detect(c),
    "detect times": lambda c: detectors.detect(np.zeros(len(c)), times=c),
    "errors_of labels": lambda c: detectors.errors_of(pd.DataFrame({"y": c, "prediction": 1.0})),
    "errors_of predictions": lambda c: detectors.errors_of(pd.DataFrame({"y": 1.0, "prediction": c})),
    "errors_of times": lambda c: detectors.errors_of(
        pd.DataFrame({"y": 1.0, "prediction": 1.0, "label_time": c})
    ),
    "score_alarms": lambda c: detectors.score_alarms(c, [1]),
    "recency_weights": lambda c: adaptation.recency_weights(c, 3),
    "effective_rows": adaptation.effective_rows,
    "reweigh": lambda c: adaptation.reweigh(c, 0.5, 0.2),
    "estimate_prior": lambda c: adaptation.estimate_prior(c, 0.5),
    "estimate_performance": adaptation.estimate_performance,
    "AnomalyGate.fit": fit_gate,
    "AnomalyGate.admits": use_gate,
    "evaluate_over_time labels": lambda c: backtest(y=c),
    "evaluate_over_time times": lambda c: backtest(time=c),
    "risk_coverage": lambda c: automation.risk_coverage(c, np.ones(len(c))),
    "risk_coverage truth": lambda c: automation.risk_coverage(np.linspace(0, 1, len(c)), c),
    "operating_point": lambda c: automation.operating_point(c, np.ones(len(c)), 0.5),
    "safe_points": lambda c: automation.safe_points(c, np.ones(len(c)), 0.1),
    "cost_curve": lambda c: automation.cost_curve(c, np.ones(len(c)), 0.01),
    "cases_of": lambda c: automation.cases_of(log_with("score", c)),
    "cases_of predictions": lambda c: automation.cases_of(log_with("prediction", c)),
    "cases_of times": lambda c: automation.cases_of(log_with("time", c)),
    "shadow_report": lambda c: automation.shadow_report(
        pd.DataFrame({"human": c, "prediction": c, "label": c, "kind": "a"}), "kind"
    ),
    "shadow_report strata": lambda c: automation.shadow_report(
        pd.DataFrame({"human": 1, "prediction": 1, "label": 1, "kind": c}), "kind"
    ),
    **{
        f"fault {fault.kind}": (lambda c, fault=fault: faults.apply(frame_of(c), fault, 0)[0])
        for fault in (
            faults.MissingValues("x", share=0.5),
            faults.UnitChange("x", 2.0),
            faults.StuckSensor("x", start=1),
            faults.MisalignedJoin("x"),
            faults.NewCategory("x", "zz"),
            faults.EncodingBug("x"),
            faults.FeedOutage("x"),
        )
    },
    **{
        f"fault {fault.kind} of {name}": (lambda c, f=fault, n=name: faults.apply(log_with(n, c), f, 0)[0])
        for fault in (faults.SlowDependency(), faults.RetryStorm(), faults.RedoSurge())
        for name in ("time", "latency_ms", "clicked")
    },
    "k_anonymity": lambda c: checklist.k_anonymity(frame_of(c), ["x", "y"]),
    "k_anonymity of users": lambda c: checklist.k_anonymity(frame_of(c), ["y"], user="x"),
    "measured": lambda c: checklist.measured(c, "s", "tried"),
    "from_trials": lambda c: checklist.from_trials(c, "tried"),
    "from_log times": lambda c: checklist.from_log(log_with("time", c), every="1h"),
    "from_log latencies": lambda c: checklist.from_log(log_with("latency_ms", c)),
    "from_log statuses": lambda c: checklist.from_log(log_with("status", c), "error_rate"),
    "redact": lambda c: [checklist.redact({"x": v}, pseudonyms=["x"], key=b"0123456789abcdef") for v in c],
    "simulate": lambda c: queueing.simulate(c, 1.0),
    "simulate service": lambda c: queueing.simulate(np.arange(len(c)), c),
    "mean_level": lambda c: queueing.mean_level(c, c, [0, 1, 2]),
    "Measured": lambda c: queueing.Measured(c).sample(3, 0),
}


def same(one, other):
    return str(one) == str(other)


def tried(call, column):
    """The result, or the error as text; a failed assertion for an error that is not our own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call(column)
        except (ValueError, TypeError, KeyError) as error:
            where = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
            if "mlprod_helpers" not in where.parts:
                raise AssertionError(f"{type(error).__name__} from {where.name}: {error}") from error
            return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("name", ONE_COLUMN)
def test_every_function_answers_or_says_what_is_wrong_with_any_column(name):
    call, failures = ONE_COLUMN[name], []
    for kind, column in COLUMNS.items():
        given = copy.deepcopy(column)
        try:
            found = tried(call, given)
            pd.testing.assert_series_equal(given, column)
            if kind in ("floats with gaps", "Int64", "mixed", "text"):  # a sample: twice the time otherwise
                assert same(found, tried(call, given)), "another result the second time"
        except Exception as error:
            failures.append(f"{kind}: {type(error).__name__} {str(error)[:150]}")
    assert not failures, "\n".join(failures)
