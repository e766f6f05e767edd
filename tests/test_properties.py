"""One list of properties for every public function that reads data, and for every judge, detector, distance and metric.

Members are found from the public names of the rooms: who adds one gives it a row in `CALLS` (or says in `WITHOUT_DATA` that
it reads none), a judge an instance in `JUDGES`. What holds of all:

- no input is changed, and the same input gives the same result;
- every odd column (`COLUMNS`) gets a documented result, or an error of our own: an error is our own if our code raises it,
  since pandas' and numpy's words say nothing of what to do;
- nothing to read, constants, infinite and missing values and single rows never give a silent wrong number;
- unit and direction are stated.
"""

import copy
import inspect
import re
import traceback
import warnings
from decimal import Decimal
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import stand_in_rollout

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
    rollout,
)
from mlprod_helpers.drift.tables import stack

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


# ---------------------------------------------------------------- members that read one column

DISTANCES = [
    function
    for function in (getattr(drift, name) for name in drift.__all__)
    if inspect.isfunction(function)
    and list(inspect.signature(function).parameters)[:2] == ["reference", "current"]
]
OF_COLUMNS = [drift.psi, drift.chi_square, drift.ks]  # the other distances compare tables
FAULTS = [
    faults.MissingValues("x", share=0.5),
    faults.UnitChange("x", 2.0),
    faults.StuckSensor("x", start=1),
    faults.MisalignedJoin("x"),
    faults.NewCategory("x", "zz"),
    faults.EncodingBug("x"),
    faults.FeedOutage("x"),
]
LOG_FAULTS = [faults.SlowDependency(), faults.RetryStorm(), faults.RedoSurge()]

# "room.name", or "room.name: which input" -> what to call with a column
CALLS = {
    **{
        f"drift.{f.__name__}: {role}": (lambda c, f=f, swap=swap: f(*((c, FLOATS) if swap else (FLOATS, c))))
        for f in OF_COLUMNS
        for role, swap in (("reference", True), ("current", False))
    },
    "drift.drift_report": lambda c: drift.drift_report(c.to_frame("x"), FLOATS.to_frame("x")),
    "drift.drift_report: with itself": lambda c: drift.drift_report(c.to_frame("x"), c.to_frame("x")),
    "drift.psi_over_time": lambda c: drift.psi_over_time(
        c.to_frame("x"), c.to_frame("x"), np.arange(len(c)) % 3
    ),
    "drift.psi_over_time: by": lambda c: drift.psi_over_time(FLOATS.to_frame("x"), FLOATS.to_frame("x"), c),
    "drift.adversarial_validation": lambda c: drift.adversarial_validation(
        c.to_frame("x"), FLOATS.to_frame("x"), cv=2, random_state=0, estimator=quick()
    ),
    "drift.adversarial_validation: with itself": lambda c: (
        drift.adversarial_validation(
            c.to_frame("x"), c.to_frame("x"), cv=2, random_state=0, estimator=quick()
        ).importances
    ),
    "drift.flag": lambda c: drift.flag(c),
    "drift.shift_of_auc": lambda c: drift.shift_of_auc(c),
    "detectors.detect": lambda c: detectors.detect(c),
    "detectors.detect: times": lambda c: detectors.detect(np.zeros(len(c)), times=c),
    "detectors.errors_of: labels": lambda c: detectors.errors_of(pd.DataFrame({"y": c, "prediction": 1.0})),
    "detectors.errors_of: predictions": lambda c: detectors.errors_of(
        pd.DataFrame({"y": 1.0, "prediction": c})
    ),
    "detectors.errors_of: times": lambda c: detectors.errors_of(
        pd.DataFrame({"y": 1.0, "prediction": 1.0, "label_time": c})
    ),
    "detectors.score_alarms": lambda c: detectors.score_alarms(c, [1]),
    "adaptation.recency_weights": lambda c: adaptation.recency_weights(c, 3),
    "adaptation.effective_rows": lambda c: adaptation.effective_rows(c),
    "adaptation.reweigh": lambda c: adaptation.reweigh(c, 0.5, 0.2),
    "adaptation.estimate_prior": lambda c: adaptation.estimate_prior(c, 0.5),
    "adaptation.estimate_performance": lambda c: adaptation.estimate_performance(c),
    "adaptation.AnomalyGate: fit": fit_gate,
    "adaptation.AnomalyGate: admits": use_gate,
    "adaptation.evaluate_over_time: labels": lambda c: backtest(y=c),
    "adaptation.evaluate_over_time: times": lambda c: backtest(time=c),
    **{
        f"requestlog.as_log: {name}": (lambda c, name=name: requestlog.as_log(log_with(name, c)))
        for name in (*requestlog.COLUMNS, "x")
    },
    "requestlog.as_of": lambda c: requestlog.as_of(log_with("time", c), "2024-01-01 02:00Z"),
    "requestlog.served": lambda c: requestlog.served(log_with("served", c)),
    **{
        f"monitoring.measure: {metric.name} of {column}": (
            lambda c, metric=metric, column=column: monitoring.measure(log_with(column, c), [metric])
        )
        for metric in monitoring.METRICS.values()
        for column in metric.needs or ["time"]
        if not metric.name.startswith(
            ("score_p", "share_", "latency_p5", "latency_p95")
        )  # quantile_of, class_share
    },
    "monitoring.mean_of": lambda c: monitoring.measure(log_with("x", c), [monitoring.mean_of("x")]),
    "monitoring.quantile_of": lambda c: monitoring.measure(
        log_with("x", c), [monitoring.quantile_of("x", 0.9)]
    ),
    "monitoring.latency": lambda c: monitoring.measure(log_with("latency_ms", c), [monitoring.latency(0.5)]),
    "monitoring.class_share": lambda c: monitoring.measure(
        log_with("prediction", c), [monitoring.class_share("a")]
    ),
    "monitoring.measure: one segment": lambda c: monitoring.measure(
        log_with("x", c), [monitoring.METRICS["error_rate"].only("x", "a")]
    ),
    "monitoring.states": lambda c: monitoring.states(monitoring.Rule("x", above=1, below=-1), measured(c)),
    "monitoring.evaluate": lambda c: monitoring.evaluate(
        monitoring.Rule("x", above=1, for_="1h"), measured(c)
    ),
    "monitoring.choose_threshold": lambda c: monitoring.choose_threshold(
        pd.Series(
            np.resize(c.to_numpy(), 500) if len(c) else c,
            pd.date_range("2024", periods=500 if len(c) else 0, freq="1h", tz="UTC"),
        ),
        per="hour_of_day",
    ),
    "monitoring.burn_rates": lambda c: monitoring.burn_rates(
        measured(c)["x"], pd.Series(9.0, HOURS[: len(c)]), monitoring.ErrorBudget(0.99), ["2h"]
    ),
    "monitoring.wilson": lambda c: monitoring.wilson(c, 100),
    "automation.risk_coverage": lambda c: automation.risk_coverage(c, np.ones(len(c))),
    "automation.risk_coverage: truth": lambda c: automation.risk_coverage(np.linspace(0, 1, len(c)), c),
    "automation.operating_point": lambda c: automation.operating_point(c, np.ones(len(c)), 0.5),
    "automation.safe_points": lambda c: automation.safe_points(c, np.ones(len(c)), 0.1),
    "automation.cost_curve": lambda c: automation.cost_curve(c, np.ones(len(c)), 0.01),
    **{
        f"faults.apply: {fault.kind}": (lambda c, fault=fault: faults.apply(frame_of(c), fault, 0)[0])
        for fault in FAULTS
    },
    **{
        f"faults.apply: {fault.kind} of {name}": (
            lambda c, f=fault, n=name: faults.apply(log_with(n, c), f, 0)[0]
        )
        for fault in LOG_FAULTS
        for name in ("time", "latency_ms", "clicked")
    },
    "checklist.k_anonymity": lambda c: checklist.k_anonymity(frame_of(c), ["x", "y"]),
    "checklist.segment_errors": lambda c: checklist.segment_errors(c, ["UA"] * len(c), range(len(c))),
    "checklist.from_trials": lambda c: checklist.from_trials(c, "tried"),
    "checklist.redact": lambda c: [
        checklist.redact({"x": value}, pseudonyms=["x"], key=b"0123456789abcdef") for value in c
    ],
    "queueing.simulate": lambda c: queueing.simulate(c, 1.0),
    "queueing.simulate: service": lambda c: queueing.simulate(np.arange(len(c)), c),
    "queueing.autoscale": lambda c: queueing.autoscale(c, 1.0),
    "queueing.autoscale: service": lambda c: queueing.autoscale(np.arange(len(c)), c),
    "queueing.mean_level": lambda c: queueing.mean_level(c, c, [0, 1, 2]),
    "queueing.Measured": lambda c: queueing.Measured(c).sample(3, 0),
    "rollout.z_score": lambda c: rollout.z_score(FLOATS, c),
    "rollout.shift": lambda c: rollout.shift(FLOATS, c),
    "rollout.bucket": lambda c: rollout.bucket(c),
}

# Public functions that read settings, single numbers, or what another function of the room made.
WITHOUT_DATA = {
    "drift": "auc_of_shift default_estimator equivalents false_alarm_rate psi_null psi_of_shift psi_under_no_drift "
    "shift_of_ks shift_of_psi",
    "detectors": "detection_delay draw_errors make_detector tradeoff",
    "adaptation": "compare",
    "monitoring": "duration duration_text evaluate_burn grouped judge "
    "prometheus_series service_log to_prometheus",
    "requestlog": "columns features read validate write",
    "automation": "aurc cheapest_safe_point chow_threshold compare_degrees from_name joint_accuracy ladder plot_degrees "
    "simulate_triage uniform_cases upper_bound who_does_what",
    "checklist": "batch_timing coarse convert find_personal from_groups from_leaks from_model from_segments from_sizing mask "
    "measured model_bytes peak_memory pseudonym rare_groups replay_record",
    "queueing": "capacity_curve diurnal erlang_c md1_percentile mgc mmc mmc_percentile plan_capacity poisson",
    "rollout": "compare crossing design_effect msprt obrien_fleming operating_characteristics peeking pocock replay "
    "requests_needed route sample_ratio traffic",
    "faults": "",
}


def public(room):
    """name -> object of the public names of a room."""
    module = import_module(f"mlprod_helpers.{room}")
    own = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    names = getattr(
        module, "__all__", [n for n, v in own.items() if getattr(v, "__module__", "") == module.__name__]
    )
    return {name: getattr(module, name) for name in names}


@pytest.mark.parametrize("room", WITHOUT_DATA)
def test_no_public_function_is_forgotten(room):
    members = {name.split(":")[0].removeprefix(f"{room}.") for name in CALLS if name.startswith(f"{room}.")}
    functions = {name for name, value in public(room).items() if inspect.isfunction(value)}
    assert functions - members - set(WITHOUT_DATA[room].split()) == set(), "give each a row in CALLS"


def test_distances_are_found_by_their_arguments():
    tables = [drift.psi_over_time, drift.drift_report, drift.adversarial_validation]
    assert set(DISTANCES) == {*OF_COLUMNS, *tables}, "add the new one to OF_COLUMNS, or here"


# ---------------------------------------------------------------- any column


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


@pytest.mark.parametrize("name", CALLS)
def test_every_function_answers_or_says_what_is_wrong_with_any_column(name):
    failures = []
    for kind, column in COLUMNS.items():
        given = copy.deepcopy(column)
        try:
            result = tried(CALLS[name], given)
            pd.testing.assert_series_equal(given, column)
            if kind in ("floats with gaps", "Int64", "mixed", "text"):  # a sample: twice the time otherwise
                assert str(result) == str(tried(CALLS[name], given)), "another result the second time"
        except Exception as error:
            failures.append(f"{kind}: {type(error).__name__} {str(error)[:150]}")
    assert not failures, "\n".join(failures)


# ---------------------------------------------------------------- distances

READABLE = [kind for kind, column in COLUMNS.items() if len(column) and kind not in ("lists", "complex")]


@pytest.mark.parametrize("distance", OF_COLUMNS)
@pytest.mark.parametrize("kind", READABLE)
def test_equal_samples_have_no_distance(distance, kind):
    try:
        result = distance(COLUMNS[kind], COLUMNS[kind])
    except ValueError as error:
        assert distance is drift.ks and re.search("needs numbers|only missing", str(error))
        return
    for value, none in ((result.statistic, 0), (result.effect_size, 0), (result.pvalue, 1)):
        assert np.isnan(value) or value == none  # chi-square of names or of one row has nothing to test


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("role", ["reference", "current"])
def test_an_empty_sample_is_refused_and_named(distance, role):
    samples = {"reference": FLOATS, "current": FLOATS, role: FLOATS[:0]}
    more = {}
    if distance not in OF_COLUMNS:
        samples = {name: sample.to_frame("x") for name, sample in samples.items()}
    if distance is drift.psi_over_time:
        more = {"by": np.zeros(len(samples["current"]))}
    with pytest.raises(ValueError, match=f"{role} (has no rows|is empty)"):
        distance(**samples, **more)


@pytest.mark.parametrize("distance", OF_COLUMNS)
def test_what_is_infinite_or_missing_counts(distance):
    rng = np.random.default_rng(0)
    many, other = (pd.Series(rng.normal(size=400)) for _ in range(2))
    assert distance(many, other).pvalue > 0.01
    assert distance(many, other.where(other < 0, np.inf)).pvalue < 1e-6
    gaps = distance(many, other.where(rng.random(400) < 0.5))
    assert gaps.missing_current > 150 and gaps.n_current == 400
    assert (
        gaps.pvalue < 1e-6 or distance is drift.ks
    )  # which compares the observed values, and counts the others


@pytest.mark.parametrize("kind", READABLE)
def test_a_report_never_calls_quiet_what_it_could_not_read(kind):
    for reference, current in ((COLUMNS[kind], FLOATS), (FLOATS, COLUMNS[kind])):
        row = drift.drift_report(reference.to_frame("x"), current.to_frame("x")).table.loc["x"]
        few = min(reference.notna().sum(), current.notna().sum())
        if few == 0:
            assert row["verdict"] in ("untested", "drift")  # drift: the values are gone
        if row["test"] == "type" or kind == "infinite":
            assert row["verdict"] == "drift" or row["effect_size"] < 0.2 or row["pvalue"] > 0.05


@pytest.mark.parametrize("kind", READABLE)
def test_all_distances_agree_on_which_columns_can_be_compared(kind):
    """One function decides the kind of a column: what the report calls another type, all others refuse."""
    for other in ("floats", "bool", "text", "dates", "durations"):
        reference, current = COLUMNS[kind].to_frame("x"), COLUMNS[other].to_frame("x")
        another_type = drift.drift_report(reference, current).table.loc["x", "test"] == "type"
        calls = [
            lambda a=reference, b=current: drift.psi(a["x"], b["x"]),
            lambda a=reference, b=current: drift.chi_square(a["x"], b["x"]),
            lambda a=reference, b=current: drift.psi_over_time(a, b, np.zeros(len(b))),
            lambda a=reference, b=current: stack(a, b),  # what adversarial validation trains on
        ]
        refused = [
            str(tried(lambda _, call=call: call(), None)).find("convert one of them") >= 0 for call in calls
        ]
        assert refused == [another_type] * len(calls), other


@pytest.mark.parametrize(
    "function", [*DISTANCES, *(getattr(drift, n) for n in ("flag", "shift_of_auc", "auc_of_shift"))]
)
def test_unit_and_direction_of_a_distance_are_stated(function):
    stated = function.__doc__ + (
        drift.AdversarialValidation.__doc__ if function is drift.adversarial_validation else ""
    )
    assert re.search(r"Returns\n", stated) and ">>>" in stated
    assert re.search(r"standard deviation|no unit|True|probability", stated), "in which unit is the result?"
    assert re.search(r"0 for|0.5 (is|for)|largest|larger|further|flagged", stated), (
        "what is more, what is less?"
    )


# ---------------------------------------------------------------- detectors


@pytest.mark.parametrize("name", detectors.DETECTORS)
@pytest.mark.parametrize(
    "errors", [[], [0], [1], [0] * 300, [1] * 300], ids=["empty", "0", "1", "zeros", "ones"]
)
def test_a_detector_is_silent_where_nothing_changes(name, errors):
    assert len(detectors.detect(errors, name).alarms) == 0


@pytest.mark.parametrize("name", detectors.DETECTORS)
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf, None, "late"])
def test_a_detector_refuses_errors_that_are_missing_infinite_or_text(name, odd):
    with pytest.raises(ValueError, match="only after its label has come"):
        detectors.detect(pd.Series([0, 1, odd], dtype=object), name)


@pytest.mark.parametrize("name", detectors.DETECTORS)
def test_a_detector_is_deterministic_and_states_its_unit_and_direction(name):
    rng = np.random.default_rng(0)
    falling = (rng.random(800) < np.repeat([0.8, 0.1], 400)).astype(int)
    before = falling.copy()
    down, again, up = (detectors.detect(errors, name).alarms for errors in (falling, falling, 1 - falling))
    pd.testing.assert_frame_equal(down, again)
    assert (falling == before).all() and len(up)
    stated = detectors.DETECTORS[name]
    assert ("both directions" in stated) == (len(down) > 0)
    assert ("increases only" in stated) == (len(down) == 0)
    if "0/1 errors" in stated:
        with pytest.raises(ValueError, match="0/1 errors only"):
            detectors.detect([0.2, 3.5], name)
    else:
        assert len(detectors.detect(np.where(falling, 0.0, 30.0) + rng.random(800), name).alarms)


# ---------------------------------------------------------------- judges

OFF = rollout.ThresholdJudge({"mean_abs_error": (None, 1)})
JUDGES = {  # each reads the error of predictions, and fails at an increase
    rollout.ThresholdJudge: [
        OFF,
        rollout.ThresholdJudge({"mean_abs_error": (None, 1)}, relative="difference"),
    ],
    rollout.ZTestJudge: [
        rollout.ZTestJudge("abs_error"),
    ],
    rollout.GroupSequentialJudge: [rollout.GroupSequentialJudge("abs_error", total=100, looks=2)],
    rollout.MSPRTJudge: [rollout.MSPRTJudge("abs_error", tau=1.0)],
    rollout.MannWhitneyJudge: [rollout.MannWhitneyJudge("abs_error", direction="increase")],
    rollout.AllOf: [rollout.AllOf(OFF, rollout.ZTestJudge("abs_error"))],
    rollout.BySegment: [rollout.BySegment("x", OFF)],
}
EVERY_JUDGE = [judge for judges in JUDGES.values() for judge in judges]


def predicted(stable, canary):
    """The log of two versions with these predictions, and its metrics."""
    log = stand_in_rollout.predicted(stable, canary, x={"v1": 1, "v2": 1})
    return log, rollout.Metrics.from_log(log, "v1", "v2")


def answers(seed, odd=None, shift=0.0):
    """Predictions around the truth; `odd` in place of all of them."""
    good = stand_in_rollout.answers(seed) + shift
    return good.astype(object) if odd is None else np.full(len(good), odd, dtype=object)


def test_no_judge_is_forgotten():
    kinds = {v for v in public("rollout").values() if inspect.isclass(v) and issubclass(v, rollout.Judge)}
    assert kinds - {rollout.Judge} == set(JUDGES), "give each kind an instance in JUDGES"


@pytest.mark.parametrize("judge", EVERY_JUDGE, ids=repr)
def test_a_judge_passes_the_good_fails_the_worse_and_changes_nothing(judge):
    log, metrics = predicted(answers(0), answers(1))
    before = log.copy()
    assert judge(metrics) == judge(metrics) and judge(metrics).outcome == "pass"
    pd.testing.assert_frame_equal(log, before)
    assert judge(predicted(answers(0), answers(1, shift=3.0))[1]).outcome == "fail"
    assert judge(predicted(answers(0, shift=0.5), answers(1))[1]).outcome == "pass"  # better is no failure


@pytest.mark.parametrize("judge", EVERY_JUDGE, ids=repr)
@pytest.mark.parametrize(
    ("stable", "canary", "outcomes"),
    [
        pytest.param([], [], {"nodata"}, id="empty"),
        pytest.param([1.0], [9.0], {"nodata"}, id="one row"),
        pytest.param(list(answers(0)), [9.0] * 5, {"nodata"}, id="few rows of the canary"),
        pytest.param(answers(0, 1.0), answers(1, 1.0), {"pass", "nodata"}, id="constant"),
        pytest.param(answers(0), answers(1, np.nan), {"fail"}, id="canary missing"),
        pytest.param(answers(0), answers(1, "no answer"), {"fail"}, id="canary text"),
        pytest.param(answers(0), answers(1, np.inf), {"fail"}, id="canary infinite"),
        pytest.param(answers(0, np.nan), answers(1, np.nan), {"fail", "nodata"}, id="both missing"),
        pytest.param(answers(0, np.inf), answers(1, np.inf), {"fail", "nodata"}, id="both infinite"),
    ],
)
def test_a_judge_never_passes_on_what_it_could_not_read(judge, stable, canary, outcomes):
    verdict = judge(predicted(stable, canary)[1])
    assert verdict.outcome in outcomes and verdict.reason
    if outcomes == {"nodata"} and stable:
        assert re.search(r"\b\d+\b", verdict.reason)  # how many rows there are


@pytest.mark.parametrize("kind", JUDGES)
def test_a_judge_states_its_unit_and_direction(kind):
    assert kind.__doc__ and re.search(r"direction|[Rr]ange|fails", kind.__doc__)
    for judge in JUDGES[kind]:
        words = judge(predicted(answers(0), answers(1, shift=3.0))[1]).reason
        assert re.search(r"error", words) and re.search(r"\d", words)  # what was measured, and how much


# ---------------------------------------------------------------- metrics

MAKERS = {  # public functions that make a metric
    "mean_of": lambda: monitoring.mean_of("x", unit="min"),
    "quantile_of": lambda: monitoring.quantile_of("x", 0.5, unit="min"),
    "latency": lambda: monitoring.latency(0.5),
    "class_share": lambda: monitoring.class_share("a"),
}
METRICS = {**monitoring.METRICS, **{name: make() for name, make in MAKERS.items()}}
OF_ROWS = {
    "throughput",
    "missing_rows",
    "missing_outputs",
    "out_of_range",
    "new_categories",
}  # rows, seen or not


def log_of(metric, values):
    """A log of one hour in which every column that a metric reads holds these values."""
    time = pd.date_range("2024-01-01", periods=len(values), freq="1min", tz="UTC")
    return pd.DataFrame({"time": time, **{name: values for name in metric.needs}})


def test_no_metric_is_forgotten():
    returns_metric = [
        name
        for name, value in public("monitoring").items()
        if inspect.isfunction(value)
        and (value.__doc__ or "").lower().find("metric") >= 0
        and inspect.getsource(value).count("Metric(")
    ]
    assert set(returns_metric) <= set(MAKERS), "give each an example in MAKERS"


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_states_its_unit_direction_and_meaning(name):
    metric = METRICS[name]
    assert metric.unit and metric.direction in ("up", "down", "both")
    assert metric.meaning or name in MAKERS


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("n", [1, 40])
def test_a_metric_of_missing_values_is_missing_and_of_constants_is_a_number(name, n):
    metric = METRICS[name]
    nothing, zero = (None, "") if metric.needs == ("query",) else (np.nan, 0.0)
    log = log_of(metric, [nothing] * n)
    before = log.copy()
    missing = monitoring.measure(log, [metric]).iloc[0, 1]
    pd.testing.assert_frame_equal(log, before)
    assert np.isnan(missing) or name in OF_ROWS
    value = monitoring.measure(log_of(metric, [zero] * n), [metric]).iloc[0, 1]
    assert np.isfinite(value) or (np.isnan(value) and n == 1)
    if metric.unit == "share":
        assert np.isnan(value) or 0 <= value <= 1


@pytest.mark.parametrize("name", METRICS)
def test_a_log_without_rows_has_no_metric(name):
    result = tried(lambda log: monitoring.measure(log, [METRICS[name]]), log_of(METRICS[name], np.zeros(0)))
    assert isinstance(result, str) or result.empty


# a share counts rows; what a quantile says of infinite values is in test_monitoring_metrics
OF_VALUES = [
    name
    for name, metric in METRICS.items()
    if metric.unit != "share"
    and metric.needs not in ((), ("query",))
    and not re.search("_p\\d|quantile|latency", name)
]


@pytest.mark.parametrize("name", OF_VALUES)
def test_an_infinite_value_is_seen_in_a_metric(name):
    log = log_of(METRICS[name], np.r_[np.inf, np.zeros(39)])
    result = tried(lambda log: monitoring.measure(log, [METRICS[name]]), log)
    assert isinstance(result, str) or not np.isfinite(result.iloc[0, 1])
