"""Monitoring: what to measure of a running service, when to wake somebody, and how good the alerts are.

`measure` makes the table that everything else reads: one row a window of time, one column a `Metric`. `METRICS`
holds the ready metrics by name, in three families: software (does it run?), input (what comes in?) and output (what
goes out, and what do users do with it?). `Rule` and `evaluate` turn the table into alerts, and `judge` compares
alerts with incidents.
"""

from mlprod_helpers.monitoring.budget import (
    SRE_WORKBOOK,
    BurnRule,
    ErrorBudget,
    burn_rates,
    evaluate_burn,
)
from mlprod_helpers.monitoring.evaluation import Verdict, grouped, judge
from mlprod_helpers.monitoring.metrics import (
    METRICS,
    Metric,
    class_share,
    latency,
    mean_of,
    measure,
    quantile_of,
    wilson,
)
from mlprod_helpers.monitoring.plan import Finding, MonitoringPlan, Row
from mlprod_helpers.monitoring.prometheus import prometheus_series, to_prometheus
from mlprod_helpers.monitoring.quiet import CLASSES, SERVICE_SCHEMA, service_log
from mlprod_helpers.monitoring.rules import Rule, duration, duration_text, evaluate, states
from mlprod_helpers.monitoring.schema import Field
from mlprod_helpers.monitoring.thresholds import choose_threshold
from mlprod_helpers.monitoring.windows import Windows

__all__ = [
    "CLASSES",
    "METRICS",
    "SERVICE_SCHEMA",
    "SRE_WORKBOOK",
    "BurnRule",
    "ErrorBudget",
    "Field",
    "Finding",
    "Metric",
    "MonitoringPlan",
    "Row",
    "Rule",
    "Verdict",
    "Windows",
    "burn_rates",
    "choose_threshold",
    "class_share",
    "duration",
    "duration_text",
    "evaluate",
    "evaluate_burn",
    "grouped",
    "judge",
    "latency",
    "mean_of",
    "measure",
    "prometheus_series",
    "quantile_of",
    "service_log",
    "states",
    "to_prometheus",
    "wilson",
]
