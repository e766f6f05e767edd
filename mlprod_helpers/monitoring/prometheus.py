"""A monitoring plan as Prometheus' alerting rules, in its names and its base units."""

import json
import re
from decimal import Decimal

from mlprod_helpers.monitoring.metrics import METRICS
from mlprod_helpers.monitoring.rules import duration_text
from mlprod_helpers.names import nearest_name

# unit -> (base unit, how many of them, what the name of a metric may end with because of that unit)
BASE_UNITS = {
    "ms": ("seconds", "1e-3", "_ms"),
    "MB": ("bytes", "1e6", "_mb"),
    "share": ("ratio", "1", "_rate"),
    "requests/s": ("requests_per_second", "1", ""),
    "characters": ("characters", "1", ""),
}
_NAME = re.compile(r"(?P<base>[^\[\]]+?)(?P<labels>(?:\[[^\[\]=]+=[^\[\]]*\])*)")


def to_prometheus(plan):
    """Write a plan's alerting rules as the plain data of a Prometheus rule file.

    Thresholds are in base units. Severity and owner become labels, problem and action annotations. A rule here looks once a
    window and Prometheus once an evaluation interval, so the series has to hold the figure of the last full window. Rows
    without a rule are left out: `plan.lint()` names them.

    Parameters
    ----------
    plan : MonitoringPlan, whose rules watch metrics of `METRICS`

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        For a threshold by the hour and a metric whose unit is not known.

    Source: Prometheus, "Alerting rules", "Metric and label naming" (prometheus.io/docs, version 2.42).

    >>> from mlprod_helpers.monitoring import MonitoringPlan, Row, Rule
    >>> slow = Rule("latency_p99", above=250, for_="2h", owner="search-oncall")
    >>> plan = MonitoringPlan("search", [Row("answers are slow", slow, "roll back")])
    >>> rule = to_prometheus(plan)["groups"][0]["rules"][0]
    >>> rule["alert"], rule["expr"], rule["for"]
    ('LatencyP99High', 'search_latency_p99_seconds > 0.25', '2h')
    >>> rule["labels"]
    {'severity': 'page', 'owner': 'search-oncall'}
    """
    rules = []
    for row in plan.rows:
        if row.rule is None:
            continue
        series, factor = prometheus_series(row.rule.metric, plan.service)
        rules.append(_alert(row, series, factor))
    return {"groups": [{"name": plan.service or "monitoring", "rules": rules}]}


def prometheus_series(metric, service=""):
    """Name a column of the measured frame as Prometheus does, and say how many base units its unit has.

    The name begins with the service and ends with the base unit; a segment becomes labels.

    >>> prometheus_series("memory_mb", "search")
    ('search_memory_bytes', Decimal('1E+6'))
    >>> prometheus_series("error_rate[device=phone]")
    ('error_ratio{device="phone"}', Decimal('1'))
    """
    parts = _NAME.fullmatch(metric)
    units = {"rows": ""} | {name: each.unit for name, each in METRICS.items()}
    base = parts["base"] if parts else metric
    if base not in units:
        raise ValueError(f"The unit of {metric!r} is not known: {nearest_name(base, units)}")
    suffix, factor, ending = BASE_UNITS.get(units[base], ("", "1", ""))
    name = _slug(f"{service}_{base.removesuffix(ending)}")
    if suffix and not name.endswith(f"_{suffix}"):
        name += f"_{suffix}"
    labels = [each.split("=", 1) for each in parts["labels"][1:-1].split("][") if each]
    inside = ",".join(f"{_slug(column)}={_quoted(value)}" for column, value in labels)
    return name + (f"{{{inside}}}" if inside else ""), Decimal(factor)


def _alert(row, series, factor):
    rule = row.rule
    plain = {"alert": rule.name, "expr": _expression(rule, series, factor)}
    if rule.for_:
        plain["for"] = duration_text(rule.for_)
    labels = {"severity": rule.severity, "owner": rule.owner}
    notes = {"summary": ": ".join(filter(None, (row.problem, rule.condition))), "action": row.action}
    plain["labels"] = {name: _no_template(text) for name, text in labels.items() if text}
    plain["annotations"] = {name: _no_template(text) for name, text in notes.items() if text}
    return plain


def _expression(rule, series, factor):
    terms = []
    for side, sign in (("above", ">"), ("below", "<")):
        threshold = getattr(rule, side)
        if isinstance(threshold, tuple):
            raise ValueError(
                f"{rule.name} has {len(threshold)} thresholds by the hour, but an alerting rule of Prometheus has one: "
                f"give {side}= a number, or write one rule for the day and one for the night by hand."
            )
        if threshold is not None:
            terms.append(f"{series} {sign} {_number(threshold, factor)}")
    return " or ".join(terms)


def _number(value, factor):
    """A threshold in base units, without the noise of binary fractions.

    >>> _number(250.3, Decimal("1e-3")), _number(900.0, Decimal("1e6"))
    ('0.2503', '900000000')
    """
    return repr(float(Decimal(repr(value)) * factor)).removesuffix(".0")


def _slug(text):
    text = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")
    return f"_{text}" if text[:1].isdigit() else text


def _quoted(text):
    return json.dumps(text, ensure_ascii=False)


def _no_template(text):
    """Prometheus reads labels and annotations as templates: braces are to stay braces."""
    return text.replace("{{", '{{"{{"}}')
