"""What a window, a rule and a curve say of missing and infinite values, other zones and few rows."""

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers.automation import (
    Full,
    cases_of,
    risk_coverage,
    safe_points,
    shadow_report,
    simulate_triage,
)
from mlprod_helpers.checklist import pseudonym, redact
from mlprod_helpers.faults import NewCategory, apply
from mlprod_helpers.monitoring import (
    METRICS,
    Field,
    Rule,
    choose_threshold,
    class_share,
    evaluate,
    mean_of,
    measure,
    missing_rows,
    new_category_rows,
    out_of_range_rows,
    quantile_of,
    states,
)
from mlprod_helpers.queueing import mean_level

HOUR = pd.date_range("2024-01-01", periods=4, freq="1min", tz="UTC")


def one_window(metric, **columns):
    return measure(pd.DataFrame({"time": HOUR, **columns}), [metric]).iloc[0, 1]


# ---------------------------------------------------------------- infinite values


def test_of_infinite_values_the_mean_and_the_quantile_are_infinite():
    inf = np.inf
    assert one_window(mean_of("x"), x=[inf, 1, 1, 1]) == inf
    assert one_window(mean_of("x"), x=[-inf, 1, 1, np.nan]) == -inf
    assert np.isnan(one_window(mean_of("x"), x=[inf, -inf, 1, 1]))
    assert one_window(quantile_of("x", 0.5), x=[1, 1, inf, inf]) == inf
    assert one_window(quantile_of("x", 0.5), x=[-inf, -inf, 1, 1]) == -inf
    assert one_window(quantile_of("x", 0.5), x=[1, 1, 1, inf]) == 1
    assert one_window(quantile_of("x", 1.0), x=[1, 1, 1, inf]) == inf


def test_a_rule_fires_at_an_infinite_metric_and_says_so():
    index = pd.date_range("2024-01-01", periods=3, freq="1h", tz="UTC")
    measured = pd.DataFrame({"x": [1.0, np.inf, -np.inf]}, index)
    assert states(Rule("x", above=10), measured)["XHigh"].tolist() == [False, True, False]
    assert states(Rule("x", below=-10), measured)["XLow"].tolist() == [False, False, True]
    assert "inf at worst" in evaluate(Rule("x", above=10), measured)["reason"][0]


# ---------------------------------------------------------------- missing values


@pytest.mark.parametrize(
    "store", [lambda x: pd.array(x, dtype="Int64"), lambda x: np.array(x, dtype=object), list]
)
def test_a_request_without_a_status_counts_neither_as_failed_nor_as_answered(store):
    assert one_window(METRICS["error_rate"], status=store([200, 500, None, 200])) == pytest.approx(1 / 3)


@pytest.mark.parametrize("dtype", ["boolean", object, "float64"])
def test_a_click_that_nobody_knows_of_does_not_count(dtype):
    clicked = pd.Series([True, False, None, True], dtype=object).astype(dtype)
    assert one_window(METRICS["ctr"], clicked=clicked) == pytest.approx(2 / 3)


def test_text_is_no_click():
    with pytest.raises(ValueError, match="'clicked'.*neither True nor False"):
        one_window(METRICS["ctr"], clicked=["True", "False", "False", "False"])
    with pytest.raises(ValueError, match="the column 'x' must be numbers, but 'a' is none"):
        one_window(mean_of("x"), x=["a", 1, 2, 3])


def test_segments_classes_and_sentinels_of_nullable_columns():
    device = pd.array(["phone", None, "web", "phone"], dtype="string")
    assert one_window(mean_of("x").only("d", "phone"), x=[1, 2, 3, 5], d=device) == 3
    assert one_window(mean_of("x").only("d", None), x=[1, 2, 3, 5], d=device) == 2
    assert one_window(class_share("phone"), prediction=device) == pytest.approx(2 / 3)
    frame = pd.DataFrame({"n": pd.array([1, None, -999, 7], dtype="Int64"), "d": device})
    assert missing_rows(frame, {"n": Field(missing=(-999,))}).tolist() == [False, True, True, False]
    assert out_of_range_rows(frame, {"n": Field((-999,), 0, 5)}).tolist() == [False, False, False, True]
    assert new_category_rows(frame, {"d": Field(known=("phone",))}).tolist() == [False, False, True, False]
    users = pd.array([1, 1, None, 2], dtype="Int64")
    pages = pd.array([1, 1, 1, None], dtype="Int64")
    assert one_window(METRICS["redo_rate"], user_id=users, request_id=range(4), page=pages) == 0.5


def test_two_columns_of_one_name_are_refused():
    log = pd.DataFrame({"time": HOUR, "x": 1.0})
    with pytest.raises(ValueError, match="several columns of one name"):
        measure(pd.concat([log, log[["x"]]], axis=1), [mean_of("x")])


# ---------------------------------------------------------------- few rows, zeros, zones


def test_hours_are_those_of_utc_whatever_the_zone_of_the_frame():
    index = pd.date_range("2024-01-01", periods=4 * 168, freq="1h", tz="UTC")
    busy = pd.Series(100.0 * (index.hour == 9) + np.random.default_rng(0).normal(0, 1, len(index)), index)
    there = busy.tz_convert("Asia/Kolkata")
    for per in ("hour_of_day", "hour_of_week"):
        limit = choose_threshold(busy, per=per)
        assert choose_threshold(there, per=per) == limit
        rule = Rule("x", above=limit)
        ours, theirs = (states(rule, x.to_frame("x"))["XHigh"].to_numpy() for x in (busy, there))
        assert (ours == theirs).all()


def test_a_metric_that_is_mostly_zero_gets_a_threshold_that_its_own_quiet_weeks_pass():
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-01-01", periods=6 * 168, freq="1h", tz="UTC")
    rare = pd.Series(np.where(rng.random(len(index)) < 0.9, 0, rng.exponential(1, len(index))), index)
    limit = choose_threshold(rare[: 4 * 168], per="hour_of_day", pages_per_week=1)
    new = evaluate(Rule("x", above=limit), rare[4 * 168 :].to_frame("x"))
    assert min(limit) > 0 and len(new) <= 6


# ---------------------------------------------------------------- automation and queues


@pytest.mark.parametrize("function", [risk_coverage, lambda c, r: safe_points(c, r, 0.1)])
def test_a_curve_needs_the_truth_of_every_case(function):
    for truth in (pd.array([True, None], dtype="boolean"), [True, None], [1.0, np.nan], np.array([1, pd.NA])):
        with pytest.raises(ValueError, match="truth of 1 cases is missing"):
            function([0.9, 0.8], truth)
    with pytest.raises(ValueError, match="confidence is missing"):
        function(pd.array([0.9, None], dtype="Float64"), [True, True])
    assert function(pd.array([0.9, 0.8], dtype="Float64"), pd.array([1, 0], dtype="Int64")) is not None


def test_cases_of_a_log_with_missing_values():
    log = pd.DataFrame(
        {
            "time": HOUR,
            "score": pd.array([0.9, 0.8, 0.7, 0.6], dtype="Float64"),
            "prediction": [1, None, 2, 3],
            "label": pd.array([1, 1, 2, 4], dtype="Int64"),
        }
    )
    assert cases_of(log)["model_right"].tolist() == [True, False, True, False]
    with pytest.raises(ValueError, match="text"):
        cases_of(log.assign(prediction=["1", "1", "2", "4"]))
    with pytest.raises(ValueError, match="no time"):
        cases_of(log.assign(time=[*HOUR[:3], pd.NaT]))
    with pytest.raises(ValueError, match="confidence is missing"):
        cases_of(log.assign(score=pd.array([0.9, None, 0.7, 0.6], dtype="Float64")))
    with pytest.raises(ValueError, match="one name"):
        simulate_triage(pd.concat([cases_of(log)] * 2, axis=1), Full())


def test_a_shadow_report_says_what_it_left_out():
    log = pd.DataFrame(
        {
            "human": [1, None, 0, 1],
            "prediction": [1, 1, None, 1],
            "label": [1, 1, 0, 1],
            "saw": [False, False, False, None],
            "kind": ["a", "a", None, "a"],
        }
    )
    report = shadow_report(log, by="kind")
    assert report.not_blind == 1 and report.without_human == 1
    assert report.table.loc["a", "cases"] == 1 and report.table.loc["(missing)", "model"] == 0


def test_the_level_of_a_queue_does_not_depend_on_when_the_clock_began():
    rng = np.random.default_rng(0)
    begin = np.sort(rng.uniform(0, 1000, 200_000))
    end, edges = begin + rng.exponential(1, len(begin)), np.linspace(0, 1000, 11)
    late = mean_level(begin + 1.7e9, end + 1.7e9, edges + 1.7e9)
    assert late == pytest.approx(mean_level(begin, end, edges), rel=1e-5)


def test_one_user_has_one_pseudonym_whether_the_id_is_whole_or_a_float():
    key = b"0123456789abcdef"
    assert pseudonym(7, key) == pseudonym(7.0, key) == pseudonym(np.int64(7), key) == pseudonym("7", key)
    assert redact({"u": np.nan}, pseudonyms=["u"], key=key) == {"u": None}
    with pytest.raises(ValueError, match="names nobody"):
        pseudonym(None, key)


def test_a_new_category_can_come_among_numbers():
    frame = pd.DataFrame({"x": pd.array([1, None, 3], dtype="Int64")})
    assert apply(frame, NewCategory("x", "zz", start=2))[0]["x"].tolist()[2] == "zz"
