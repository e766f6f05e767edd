"""A service as a process: it starts, answers, logs, drains, and ends with its parent, its time or its model."""

import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlprod_helpers import requestlog
from mlprod_helpers.serving.config import ServiceConfig
from mlprod_helpers.serving.processes import refusal

pytest.importorskip("fastapi", reason="the service needs fastapi")
pytest.importorskip("skops", reason="models are saved with skops")

from mlprod_helpers.serving.client import ask
from mlprod_helpers.serving.models import save_model
from mlprod_helpers.serving.run import start
from mlprod_helpers.serving.schema import Feature

if reason := refusal():
    pytest.skip(reason, allow_module_level=True)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    fitted = make_pipeline(StandardScaler(), Ridge(alpha=1e-6)).fit(
        [[100.0], [900.0], [2500.0]], [20, 120, 320]
    )
    save_model(fitted, folder, version="v1", features=[Feature("distance", low=0, high=6000)])
    return str(folder)


def test_a_request_is_answered_and_logged_and_the_service_drains(model, tmp_path):
    log = tmp_path / "log.jsonl"
    with start(ServiceConfig(model=model, log=str(log), drain_s=0.0)) as service:
        service.ready()
        answer = ask(service.url, "/predict", {"features": {"distance": 900}}, user="ben")
        assert answer.status == 200
        assert answer.body["prediction"] == pytest.approx(120, abs=0.1)
        table = requestlog.read(log)  # written before the answer left
        assert table["request_id"].tolist() == [answer.body["request_id"]]
        assert table["user_id"].tolist() == ["ben"]
        assert table["distance"].tolist() == [900]
        assert service.drain() == 0
        assert service.state() == "gone"
