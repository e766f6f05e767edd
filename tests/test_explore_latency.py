"""The latency explorer sets what was measured beside what the queue's formula says."""

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers import serving
from mlprod_helpers.explore import latency, measured_latency_explorer, measured_latency_picture


@pytest.fixture
def runs(monkeypatch):
    """Recordings in which the mean is a tenth above, and the p99 a fifth below what the formula says."""
    tables = {}
    for law, spread in (("constant", 0.0), ("exponential", 12.0)):
        loads = (0.2, 0.5, 0.8, 0.9)
        mean, p99 = np.transpose([latency.predicted_latency(load, law, 12.0, spread) for load in loads])
        table = {"load": loads, "service_ms": 12.0, "service_sd_ms": spread, "requests": 3000}
        tables[law] = pd.DataFrame(table | {"mean_ms": 1.1 * mean, "p99_ms": 0.8 * p99}).iloc[::-1]
    monkeypatch.setattr(serving, "load_recorded", lambda name: tables)
    for cached in (latency._runs, latency._still):
        monkeypatch.setattr(latency, cached.__name__, cached.__wrapped__)


def test_the_prediction_is_pollaczek_and_khinchines():
    mean, p99 = latency.predicted_latency(0.8, "constant", 12.0)
    assert mean == pytest.approx(12 * (1 + 0.8 / (2 * (1 - 0.8))))
    assert p99 > mean
    mean, _ = latency.predicted_latency(0.8, "constant", 12.0, service_sd_ms=6.0)
    assert mean == pytest.approx(12 * (1 + 0.8 * (1 + 0.5**2) / (2 * (1 - 0.8))))
    mean, p99 = latency.predicted_latency(0.8, "exponential", 12.0)
    assert (mean, p99) == (pytest.approx(12 / (1 - 0.8)), pytest.approx(np.log(100) * 60))


def test_the_picture_states_measured_and_predicted(runs):
    constant = measured_latency_picture(80, "constant").alt
    assert "mean 39.6 ms measured, 36 ms predicted (10% above)" in constant
    exponential = measured_latency_picture(80, "exponential").alt
    assert "mean 66 ms measured, 60 ms predicted (10% above)" in exponential
    assert f"{np.log(100) * 60:.0f} ms predicted (20% below)" in exponential


@pytest.mark.parametrize(("load", "nearest"), [(20, 20), (34, 20), (35, 20), (36, 50), (70, 80), (99, 90)])
def test_the_nearest_recorded_load_is_shown(load, nearest, runs):
    assert f"At load {nearest}%" in measured_latency_picture(load, "constant").alt


def test_the_shipped_recordings_are_shown_under_both_laws():
    explorer = measured_latency_explorer()
    for law in ("constant", "exponential"):
        explorer.set(law=law)
        assert f"At load 80%, {law} service times of" in explorer.figure.alt
