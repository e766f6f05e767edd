"""Alert rules do what a plain loop over the windows does; verdicts and budgets are those of the definitions."""

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers.monitoring.budget import SRE_WORKBOOK, ErrorBudget
from mlprod_helpers.monitoring.plan import MonitoringPlan, Row
from mlprod_helpers.monitoring.rules import Rule, evaluate, states
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


def test_chosen_thresholds_ring_as_often_as_asked_on_fresh_weeks():
    pages = []
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(size=8 * 168)
        both = frame(100 + 30 * np.sin(np.arange(len(noise)) * 2 * np.pi / 24) + 5 * noise)
        rule = Rule("x", above=choose_threshold(both["x"][: 4 * 168], pages_per_week=1))
        pages.append(len(evaluate(rule, both[4 * 168 :])) / 4)
    assert 0.4 < np.mean(pages) < 1.6


def test_the_burn_rates_of_the_workbook():
    budget = ErrorBudget(0.999)
    assert [round(rule.consumed(budget), 9) for rule in SRE_WORKBOOK] == [0.02, 0.05, 0.1]
    assert budget.downtime() == pd.Timedelta("43.2min") == budget.exhausted_in(1000)


def test_a_plan_is_linted_and_comes_back_whole():
    quiet = frame(np.tile([0.0] * 20 + [9.0] * 4, 14))
    hot = Rule("x", above=5, name="Hot")
    plan = MonitoringPlan("s", [Row("", hot), Row("dark"), Row("y", Rule("y", below=1, owner="a"), "b")])
    assert [finding.problem for finding in plan.lint(quiet)] == [
        *("no problem", "no owner", "no action", "pages daily", "no metric", "not measured")
    ]
    assert MonitoringPlan.from_dict(plan.to_dict()) == plan


def test_a_threshold_of_zero_comes_back_from_its_dict():
    rule = Rule("x", above=0, for_="2h")
    assert rule.to_dict() == {"metric": "x", "above": 0.0, "for_": "2h", "severity": "page", "name": "XHigh"}
    assert Rule.from_dict(rule.to_dict()) == rule
