"""Alert rules do what a plain loop over the windows does; verdicts and budgets are those of the definitions."""

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers.exercises.lesson_08 import page_open
from mlprod_helpers.monitoring import shops
from mlprod_helpers.monitoring.budget import SRE_WORKBOOK, BurnRule, ErrorBudget, evaluate_burn
from mlprod_helpers.monitoring.evaluation import grouped, judge
from mlprod_helpers.monitoring.plan import MonitoringPlan, Row
from mlprod_helpers.monitoring.rules import Rule, duration, duration_text, evaluate, states
from mlprod_helpers.monitoring.thresholds import choose_threshold


def frame(values):
    index = pd.date_range("2024-01-01", periods=len(values), freq="1h", tz="UTC")
    return pd.DataFrame({"x": np.asarray(values, dtype=float)}, index)


def by_loop(rule, values):
    """Prometheus' state machine, look by look."""
    held, states_so_far = 0, []
    for value in values:
        held = held + 1 if value > rule.above else 0
        states_so_far.append(held > rule.for_ / pd.Timedelta("1h"))
    return states_so_far


@pytest.mark.parametrize("hours", range(4))
def test_states_are_those_of_a_loop(hours):
    rng = np.random.default_rng(hours)
    values = rng.integers(0, 6, 2000).astype(float)
    values[rng.random(2000) < 0.1] = np.nan
    rule = Rule("x", above=2.5, for_=f"{hours}h")
    assert states(rule, frame(values))[rule.name].tolist() == by_loop(rule, values)


@pytest.mark.parametrize(
    ("rule", "every", "values", "published"),
    [
        # Prometheus, manager_test.go, TestAlertingRule: both instances
        (Rule("x", below=100, for_="1m"), "5min", [75, 85, 95, 105, 105, 95, 85], "-ff---f"),
        (Rule("x", below=100, for_="1m"), "5min", [80, 90, 100, 110, 120, 130, 140], "-f-----"),
        # alerting_test.go, TestPendingAndKeepFiringFor
        (Rule("x", above=50, for_="1m"), "1min", [75, 10, 10, 10], "----"),
        # promtool, unittest.yml, InstanceDown: pending at 0 and 4 min, firing at 5 min
        (Rule("x", below=1, for_="5m"), "1min", [0] * 8, "-----fff"),
    ],
)
def test_alerts_fire_when_those_of_prometheus_own_suite_do(rule, every, values, published):
    index = pd.date_range("2024-01-01", periods=len(values), freq=every, tz="UTC")
    fires = states(rule, pd.DataFrame({"x": values}, index, dtype=float))[rule.name]
    assert "".join("f" if on else "-" for on in fires) == published


@pytest.mark.parametrize(
    ("text", "milliseconds", "written"),
    [  # prometheus/common, time_test.go, TestParseDuration; whole weeks are written as days here
        ("0w", 0, "0s"),
        ("0s", 0, "0s"),
        ("324ms", 324, "324ms"),
        ("3s", 3_000, "3s"),
        ("5m", 300_000, "5m"),
        ("1h", 3_600_000, "1h"),
        ("4d", 345_600_000, "4d"),
        ("4d1h", 349_200_000, "4d1h"),
        ("14d", 1_209_600_000, "14d"),
        ("3w", 1_814_400_000, "21d"),
        ("3w2d1h", 1_990_800_000, "23d1h"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_durations_mean_what_prometheus_says(text, milliseconds, written):
    assert duration(text) == pd.Timedelta(milliseconds, "ms")
    assert duration_text(duration(text)) == written


@pytest.mark.parametrize(
    "text", ["1", "1y1m1d", "d", "294y", "200y10400w", "107675d", "2584200h", "", "-3s", "-1w"]
)
def test_durations_that_prometheus_refuses_are_refused(text):  # time_test.go, TestParseBadDuration
    with pytest.raises(ValueError, match="duration"):
        duration(text)


def test_incidents_are_caught_late_or_missed_and_pages_true_or_false():
    measured = frame(np.zeros(168))
    at = measured.index
    incidents = pd.DataFrame(
        {"kind": list("abcd"), "start": at[[10, 40, 70, 72]], "end": at[[12, 50, 80, 90]]}
    )
    measured.loc[at[[12, 46, 75, 100]], "x"] = 9  # known an hour later
    measured.loc[at[75:85], "x"] = 9
    measured.loc[at[150], "x"] = 7
    rules = [Rule("x", above=8), Rule("x", above=5, severity="ticket", name="Ticket")]
    verdict = judge(evaluate(rules, measured), incidents, measured, deadline="4h", grace="1h")
    assert verdict.incidents["outcome"].tolist() == ["caught", "late", "late", "caught"]
    assert (verdict.incidents["delay"] / pd.Timedelta("1h")).tolist() == [3, 7, 6, 4]
    assert verdict.alerts["true"].tolist() == [True, True, True, False]  # the ticket is no page
    assert (verdict.caught, verdict.late, verdict.missed, verdict.false_pages) == (2, 2, 0, 1)
    strict = judge(evaluate(rules, measured), incidents, measured, deadline="4h")
    assert strict.incidents["outcome"].tolist() == ["missed", "late", "late", "caught"]


def test_alerts_that_overlap_are_one_page():
    measured = frame([0, 9, 9, 0, 9, 0]).assign(y=[0.0, 0, 9, 9, 0, 0])
    rules = [Rule("x", above=5, owner="a"), Rule("y", above=5, owner="a")]
    pages = grouped(evaluate(rules, measured))
    assert pages["start"].dt.hour.tolist() == [2, 5] and pages["end"].dt.hour.tolist() == [5, 6]
    other = [rules[0], Rule("y", above=5, owner="b")]
    assert len(grouped(evaluate(other, measured))) == 3


def test_chosen_thresholds_ring_as_often_as_asked_on_fresh_weeks():
    pages = []
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(size=8 * 168)
        both = frame(100 + 30 * np.sin(np.arange(len(noise)) * 2 * np.pi / 24) + 5 * noise)
        rule = Rule("x", above=choose_threshold(both["x"][: 4 * 168], pages_per_week=1))
        pages.append(len(evaluate(rule, both[4 * 168 :])) / 4)
    assert 0.4 < np.mean(pages) < 1.6


def test_the_workbook_s_rules_use_up_the_parts_of_the_budget_that_it_names():
    rows = [(rule.burn_rate, rule.long / pd.Timedelta("1h"), rule.severity) for rule in SRE_WORKBOOK]
    assert rows == [(14.4, 1, "page"), (6, 6, "page"), (1, 72, "ticket")]
    assert [round(rule.consumed, 9) for rule in SRE_WORKBOOK] == [0.02, 0.05, 0.1]
    assert all(rule.long == 12 * rule.short for rule in SRE_WORKBOOK)
    # its table of burn rates, and the detection times of its first alerts
    budget = ErrorBudget(0.999)
    assert [round(budget.burn_rate(share), 9) for share in (0.001, 0.002, 0.01, 1)] == [1, 2, 10, 1000]
    assert BurnRule(36, "1h", "5m").consumed == pytest.approx(0.05)
    times = [BurnRule(1, long, "5m").detection_time(budget, 1.0) for long in ("10m", "36h")]
    assert [time.total_seconds() for time in times] == pytest.approx([0.6, 130], abs=0.5)


@pytest.mark.parametrize("seed", range(5))
def test_pages_open_and_close_in_the_minutes_of_exercise_8_4(seed):
    rng = np.random.default_rng(seed)
    burn = np.repeat(rng.choice([0, 5, 20, 80], 40), rng.integers(1, 60, 40))
    requests = rng.poisson(500, len(burn))
    bad = rng.binomial(requests, 0.005 * burn)
    index = pd.date_range("2025-01-06", periods=len(burn), freq="min", tz="UTC")
    alerts = evaluate_burn(
        pd.Series(bad, index), pd.Series(requests, index), ErrorBudget(0.995), SRE_WORKBOOK[:2]
    )
    ends = index + pd.Timedelta("1min")
    is_open = np.zeros(len(burn), bool)
    for alert in alerts.itertuples():
        is_open |= (ends >= alert.start) & ~(ends >= alert.end)
    alternatives = page_open.alternatives
    assert is_open.any() and all(
        np.array_equal(is_open, right(bad, requests, 0.995)) for right in alternatives
    )


def test_the_short_window_ends_a_page_soon_after_the_repair():
    index = pd.date_range("2025-03-03", periods=300, freq="min", tz="UTC")
    bad, total = pd.Series(0, index), pd.Series(1000, index)
    bad.iloc[60:85] = 200
    open_for = {
        short: evaluate_burn(bad, total, ErrorBudget(0.995), BurnRule(14.4, "1h", short)).loc[0, "end"]
        - index[85]
        for short in ("1h", "5m")
    }
    assert open_for == {"1h": pd.Timedelta("39min"), "5m": pd.Timedelta("4min")}


def test_a_plan_is_linted():
    quiet = frame(np.tile([0.0] * 20 + [9.0] * 4, 14))
    hot = Rule("x", above=5, name="Hot")
    plan = MonitoringPlan("s", [Row("", hot), Row("dark"), Row("y", Rule("y", below=1, owner="a"), "b")])
    assert [finding.problem for finding in plan.lint(quiet)] == [
        *("no problem", "no owner", "no action", "pages daily", "no metric", "not measured")
    ]


def test_a_false_alert_on_another_metric_notices_no_incident_of_a_shop():
    rng = np.random.default_rng(3)
    month, incidents = shops.draw_month(rng)
    pulse = month.assign(cpu=[float(hour % 2) for hour in range(len(month))])  # an alert in each other hour
    *_, table = shops.score([{"metric": "cpu", "above": 0.5}], pulse, incidents)
    assert (table["outcome"] == "missed").all()
