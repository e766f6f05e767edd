"""Monitoring: alert rules over measured windows, thresholds, verdicts on incidents, error budgets, and the plan."""

from mlprod_helpers.monitoring.budget import (
    SRE_WORKBOOK,
    BurnRule,
    ErrorBudget,
    burn_rates,
    burn_rule,
    evaluate_burn,
)
from mlprod_helpers.monitoring.evaluation import Verdict, grouped, incident_table, judge, tradeoff
from mlprod_helpers.monitoring.plan import Finding, MonitoringPlan, Row
from mlprod_helpers.monitoring.rules import Rule, duration, duration_text, evaluate, states
from mlprod_helpers.monitoring.thresholds import choose_threshold

__all__ = [
    "SRE_WORKBOOK",
    "BurnRule",
    "ErrorBudget",
    "Finding",
    "MonitoringPlan",
    "Row",
    "Rule",
    "Verdict",
    "burn_rates",
    "burn_rule",
    "choose_threshold",
    "duration",
    "duration_text",
    "evaluate",
    "evaluate_burn",
    "grouped",
    "incident_table",
    "judge",
    "states",
    "tradeoff",
]
