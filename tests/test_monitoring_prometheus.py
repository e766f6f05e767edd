"""Prometheus takes the rules that a plan writes, and raises the same alerts at the same minutes as `evaluate`."""

import json
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers.monitoring.metrics import METRICS
from mlprod_helpers.monitoring.plan import MonitoringPlan, Row
from mlprod_helpers.monitoring.prometheus import prometheus_series, to_prometheus
from mlprod_helpers.monitoring.rules import Rule, evaluate

MINUTE = pd.Timedelta("1min")
TEXTS = {"owner": "search-oncall"}
RULES = {
    "at once": Rule("latency_p99", above=250, **TEXTS),
    "for": Rule("latency_p99", above=250, for_="2m", **TEXTS),
    "for is no multiple": Rule("latency_p99", above=250, for_="2m1ms", **TEXTS),
    "below": Rule("latency_p99", below=150, name="Too fast?", severity="ticket", **TEXTS),
    "out of range": Rule("latency_p99", above=350, below=100, for_="1m", **TEXTS),
}


@pytest.fixture
def promtool():
    path = shutil.which("promtool")
    if path is None:
        pytest.skip("promtool is not installed: Prometheus' own reading of the rules is not checked")

    def run(*arguments):
        return subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, timeout=60)

    return run


def measured_ms(seed, windows=60):
    """Latencies that cross every threshold often, stay there for a while, and are missing at times."""
    rng = np.random.default_rng(seed)
    values = rng.choice([50.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0], windows)
    held = rng.random(windows) < 0.5
    held[0] = False
    values = pd.Series(values).where(~held).ffill().to_numpy(copy=True)
    values[rng.random(windows) < 0.2] = np.nan
    index = pd.date_range("2024-01-01", periods=windows, freq="1min", tz="UTC")
    return pd.DataFrame({"latency_p99": values}, index)


def unit_tests(rule, annotations, measured, alerts):
    """promtool's unit-test file: the frame as a series in seconds, and at each minute the alerts that `evaluate` raised."""
    # window k is known when it has passed: look k is minute k of the test
    looks = measured.index + MINUTE
    samples = ["stale" if np.isnan(ms) else repr(ms / 1000) for ms in measured["latency_p99"]]
    expected = []
    for minute, now in enumerate(looks):
        fires = ((alerts["start"] <= now) & ~(alerts["end"] <= now)).any()
        labels = {"severity": rule.severity, "owner": rule.owner, "instance": "a"}
        alert = {"exp_labels": labels, "exp_annotations": annotations}
        expected.append(
            {"eval_time": f"{minute}m", "alertname": rule.name, "exp_alerts": [alert] * int(fires)}
        )
    series = [
        {"series": 'search_latency_p99_seconds{instance="a"}', "values": " ".join(samples)},
        {"series": 'search_latency_p99_seconds{instance="b"}', "values": f"0.2x{len(looks) - 1}"},
    ]
    test = {"interval": "1m", "input_series": series, "alert_rule_test": expected}
    return {"rule_files": ["rules.json"], "evaluation_interval": "1m", "tests": [test]}


def side_by_side(promtool, folder, rule, measured, alerts):
    plan = MonitoringPlan("search", [Row("answers are {{slow}}", rule, "roll back")])
    (folder / "rules.json").write_text(json.dumps(to_prometheus(plan)))
    annotations = {"summary": f"answers are {{{{slow}}}}: {rule.condition}", "action": "roll back"}
    (folder / "tests.json").write_text(json.dumps(unit_tests(rule, annotations, measured, alerts)))
    return promtool("test", "rules", folder / "tests.json")


@pytest.mark.parametrize("kind", RULES)
def test_prometheus_raises_the_alerts_that_evaluate_raises(kind, promtool, tmp_path):
    rule, rang = RULES[kind], 0
    for seed in range(3):
        measured = measured_ms(seed)
        alerts = evaluate(rule, measured)
        rang += len(alerts)
        checked = side_by_side(promtool, tmp_path, rule, measured, alerts)
        assert checked.returncode == 0, checked.stdout + checked.stderr
    assert rang > 1


def test_a_frame_that_stays_in_bounds_fires_nowhere(promtool, tmp_path):
    measured = measured_ms(0).clip(upper=250)  # the threshold itself is not out of bounds
    alerts = evaluate(RULES["for"], measured)
    assert alerts.empty
    checked = side_by_side(promtool, tmp_path, RULES["for"], measured, alerts)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("column", ["start", "end"])
def test_an_alert_expected_one_minute_late_fails(column, promtool, tmp_path):
    measured = measured_ms(1)
    alerts = evaluate(RULES["for"], measured)
    alerts.loc[0, column] += MINUTE
    checked = side_by_side(promtool, tmp_path, RULES["for"], measured, alerts)
    assert checked.returncode != 0
    assert "FAILED" in checked.stdout + checked.stderr


def test_every_ready_metric_makes_a_rule_that_promtool_accepts(promtool, tmp_path):
    names = [*METRICS, "rows", 'ctr[device=ph"one]', "ctr[device=phone][country=de]"]
    rows = [Row(f'is "{name}" ok? {{{{ $value }}}}', Rule(name, above=-0.5, below=-1)) for name in names]
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(to_prometheus(MonitoringPlan("2nd shop: search", rows))))
    checked = promtool("check", "rules", path)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(names)} rules found" in checked.stdout


def test_base_units_and_names():
    assert {
        name: prometheus_series(name)[0] for name in ("error_rate", "throughput", "cpu", "brightness")
    } == {
        "error_rate": "error_ratio",
        "throughput": "throughput_requests_per_second",
        "cpu": "cpu_ratio",
        "brightness": "brightness",
    }
    plan = MonitoringPlan("s", [Row("", Rule("memory_mb", above=0.3))])
    assert to_prometheus(plan)["groups"][0]["rules"][0]["expr"] == "s_memory_bytes > 300000"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule("ctr", below=[0.1] * 168), "168 thresholds by the hour"),
        (Rule("latency_p98", above=1), "did you mean 'latency_p9"),
        (Rule("a[b", above=1), "unit of"),
    ],
)
def test_what_cannot_be_said_is_refused(rule, words):
    with pytest.raises(ValueError, match=words):
        to_prometheus(MonitoringPlan("", [Row("", rule)]))
