"""Monitoring: what to measure of a running service, when to wake somebody, and what one looks at.

Everything is worked out of the request log. A `Metric` says what is counted, in which unit, and which direction is bad;
`measure` makes the table that thresholds, alerts and the dashboard read: one row a window of time, one column a metric.

>>> log = service_log(days=2, random_state=0)
>>> table = measure(log, ["throughput", "latency_p99", "missing_rows", "ctr"], every="12h", intervals=True)
>>> table[["ctr", "ctr_low", "ctr_high"]].round(3)
                             ctr  ctr_low  ctr_high
time
2024-01-01 00:00:00+00:00  0.108    0.098     0.120
2024-01-01 12:00:00+00:00  0.115    0.107     0.123
2024-01-02 00:00:00+00:00  0.117    0.106     0.129
2024-01-02 12:00:00+00:00  0.111    0.104     0.119

Metrics come in three families: software (does it run?), input (what comes in?), output (what goes out, and what do users
do with it?). `METRICS` holds the ready ones by name:

========  ===============================================================================================
software  latency_p50, latency_p95, latency_p99 (ms; failed and timed-out requests included), throughput
          (requests/s, attempts counted), error_rate, retry_rate, server_load, memory_mb, cpu
input     input_length, missing_rows (sentinels as `SERVICE_SCHEMA` says), brightness, out_of_range,
          new_categories, repeated_values
output    missing_outputs, redo_rate, ctr, share_bags ... share_shoes, score_mean, score_p10/p50/p90
========  ===============================================================================================

For other columns make them: `latency`, `mean_of`, `quantile_of`, `input_length`, `share_missing`, `share_out_of_range`,
`share_new_categories`, `repeated_values`, `class_share`, `redo_rate`; for one segment `METRICS["ctr"].only("device", "phone")`.
One's own is `Metric(name, family, unit, direction, compute, needs)`; `compute` gets a `Windows` and returns one number a window:

>>> widest = Metric("widest", "software", "ms", "up", lambda windows: windows.max("latency_ms") - windows.mean("latency_ms"))
>>> len(measure(log, [widest]))
48

The p99 of several servers is worked out of their `LatencyHistogram`s, which add up; `measure_process` measures the memory
and the processor time of one's own process. `service_log` is a quiet month of a product search, to learn what is normal; `faults` breaks it (see `mlprod_helpers.faults`).

The other half reads that table: `Rule` and `evaluate` (alerts), `choose_threshold`, `judge` (against sealed incidents),
`ErrorBudget`, `MonitoringPlan`; `to_prometheus` says a plan as Prometheus' alerting rules.
"""

from mlprod_helpers.monitoring.budget import (
    SRE_WORKBOOK,
    BurnRule,
    ErrorBudget,
    burn_rates,
    burn_rule,
    evaluate_burn,
)
from mlprod_helpers.monitoring.evaluation import Verdict, grouped, incident_table, judge, tradeoff
from mlprod_helpers.monitoring.histogram import BOUNDS_MS, LatencyHistogram
from mlprod_helpers.monitoring.metrics import (
    METRICS,
    Metric,
    brightness,
    class_share,
    input_length,
    latency,
    mean_of,
    measure,
    quantile_of,
    redo_rate,
    redone_searches,
    repeated_values,
    share_missing,
    share_new_categories,
    share_out_of_range,
    wilson,
)
from mlprod_helpers.monitoring.plan import Finding, MonitoringPlan, Row
from mlprod_helpers.monitoring.process import ProcessUse, measure_process, memory_mb, sample_process
from mlprod_helpers.monitoring.prometheus import prometheus_series, to_prometheus, write_prometheus
from mlprod_helpers.monitoring.quiet import CLASSES, SERVICE_SCHEMA, service_log
from mlprod_helpers.monitoring.rules import Rule, duration, duration_text, evaluate, states
from mlprod_helpers.monitoring.schema import (
    Field,
    missing_cells,
    missing_rows,
    new_category_rows,
    out_of_range_rows,
)
from mlprod_helpers.monitoring.thresholds import choose_threshold
from mlprod_helpers.monitoring.windows import Share, Windows

__all__ = [
    "BOUNDS_MS",
    "CLASSES",
    "METRICS",
    "SERVICE_SCHEMA",
    "SRE_WORKBOOK",
    "BurnRule",
    "ErrorBudget",
    "Field",
    "Finding",
    "LatencyHistogram",
    "Metric",
    "MonitoringPlan",
    "ProcessUse",
    "Row",
    "Rule",
    "Share",
    "Verdict",
    "Windows",
    "brightness",
    "burn_rates",
    "burn_rule",
    "choose_threshold",
    "class_share",
    "duration",
    "duration_text",
    "evaluate",
    "evaluate_burn",
    "grouped",
    "incident_table",
    "input_length",
    "judge",
    "latency",
    "mean_of",
    "measure",
    "measure_process",
    "memory_mb",
    "missing_cells",
    "missing_rows",
    "new_category_rows",
    "out_of_range_rows",
    "prometheus_series",
    "quantile_of",
    "redo_rate",
    "redone_searches",
    "repeated_values",
    "sample_process",
    "service_log",
    "share_missing",
    "share_new_categories",
    "share_out_of_range",
    "states",
    "to_prometheus",
    "tradeoff",
    "wilson",
    "write_prometheus",
]
