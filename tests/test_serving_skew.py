"""The features of the real service: the function of the training computes them, and the log alone shows when it does not."""

import pandas as pd
import pytest
from sklearn.linear_model import Ridge

from mlprod_helpers import requestlog
from mlprod_helpers.datasets import load_flights
from mlprod_helpers.features import parity, replay
from mlprod_helpers.features.eta import flight_features, flight_requests
from mlprod_helpers.requestlog import LogError, RequestLog
from mlprod_helpers.serving import (
    Faults,
    Feature,
    ServiceConfig,
    ask,
    refusal,
    save_model,
    start,
)
from mlprod_helpers.serving.lab.demo import eta_models
from mlprod_helpers.serving.service.app import create_app
from mlprod_helpers.serving.service.faults import skewed
from mlprod_helpers.serving.service.models import ModelError

FEATURES = ["distance", "hour", "zone"]


@pytest.fixture(scope="module")
def eta():
    return eta_models()


@pytest.fixture(scope="module")
def folder(eta, tmp_path_factory):
    """A saved model whose service computes the features."""
    folder = tmp_path_factory.mktemp("model")
    save_model(eta.v1.model, folder, version="v1", features=eta.v1.features, prepare="flight")
    return str(folder)


@pytest.fixture(scope="module")
def flights():
    """500 flights of the whole year, summer and winter time."""
    return load_flights().dropna(subset=["air_time"]).sample(500, random_state=0)


def served(folder, flights, path, **settings):
    """The answers and the log of a real service that was asked about flights, some of them together."""
    config = ServiceConfig(model=folder, log=str(path), lifetime_s=60, **settings)
    rows = flight_requests(flights).to_dict("records")
    with start(config) as service:
        service.ready()
        answers = [ask(service.url, "/predict", {"features": row}) for row in rows[:50]]
        answers.append(ask(service.url, "/predict", {"rows": rows[50:]}))
    assert {answer.status for answer in answers} == {200}
    predictions = [answer.body["prediction"] for answer in answers[:-1]] + answers[-1].body["predictions"]
    return predictions, requestlog.read(path)


needs_services = pytest.mark.skipif(refusal() is not None, reason=str(refusal()))


@needs_services
def test_the_service_and_the_training_compute_the_same_features(eta, folder, flights, tmp_path):
    predictions, log = served(folder, flights, tmp_path / "log.jsonl")
    assert requestlog.features(log) == FEATURES and len(log) == 500
    report = parity(log, replay(log, flight_features), FEATURES)
    assert (report["rows"] == 500).all() and (report["share_different"] == 0).all()
    # nothing but the log and the training's own rows: the numbers are those of the model in the notebook
    trained_on = flight_features(flight_requests(flights))
    assert predictions == pytest.approx(eta.v1.model.predict(trained_on))


@needs_services
@pytest.mark.parametrize(
    ("skew", "shares", "causes"),
    [
        (
            "zone",
            {"hour": 1.0, "distance": 0.0, "zone": 0.0},
            {"hour": "shifted by 4 or 5 hours (modulo 24)"},
        ),
        ("unit", {"distance": 1.0, "hour": 0.0}, {"distance": "factor 1.61"}),
    ],
)
def test_a_skewed_copy_is_named_by_the_report_from_the_log_alone(
    folder, flights, tmp_path, skew, shares, causes
):
    _, log = served(folder, flights, tmp_path / "log.jsonl", faults=Faults(skew=skew))
    assert (log["status"] == 200).all()  # no request fails
    report = parity(log, replay(log, flight_features), FEATURES).set_index("feature")
    assert {name: report["share_different"][name] for name in shares} == shares
    assert {name: report["likely_cause"][name] for name in causes} == causes
    if skew == "unit":
        assert report["share_different"]["zone"] > 0.5  # computed from the distance


def test_the_copy_is_right_but_for_its_skew(flights):
    rows = flight_requests(flights).to_dict("records")
    assert skewed(rows, None) == flight_features(pd.DataFrame(rows)).to_dict("records")


def test_old_and_new_rows_in_one_log_are_one_table_and_the_new_ones_are_replayed():
    log, fields = RequestLog(), {"distance": 1400.0, "departure": 1372681800}
    log.request("r1", time="2013-01-01 05:15Z", version="v1", features={"hour": 8}, latency_ms=1.0)
    log.request(
        "r2", time="2013-01-01 05:16Z", version="v1", features={"hour": 12}, latency_ms=1.0, raw=fields
    )
    table = log.read()
    with pytest.raises(ValueError, match="only its features were logged"):
        replay(table.drop(columns="raw"), flight_features)
    assert table["raw"].tolist()[1] == fields and table["raw"].isna().tolist() == [True, False]
    assert replay(table, flight_features).to_dict("records") == [
        {"request_id": "r2", "distance": 1400.0, "hour": 8, "zone": 2}
    ]
    with pytest.raises(LogError, match="'raw', row 1.*is no dict"):
        requestlog.validate(table.assign(raw=[None, "distance"]))


@needs_services
def test_a_redacted_field_is_in_no_column_of_the_log(folder, flights, tmp_path):
    _, log = served(folder, flights, tmp_path / "log.jsonl", redact=("distance",))
    assert requestlog.features(log) == ["hour", "zone"]
    assert {tuple(fields) for fields in log["raw"]} == {("departure",)}


def test_what_a_model_does_not_fit_is_refused(eta, folder, tmp_path):
    with pytest.raises(ModelError, match="computes.*but the model takes"):
        save_model(
            Ridge().fit([[1.0], [2.0]], [1.0, 2.0]),
            tmp_path,
            version="v1",
            features=[Feature("distance")],
            prepare="flight",
        )
    with pytest.raises(ValueError, match="(?s)prepare.*'flight'"):
        save_model(eta.v1.model, tmp_path, version="v1", features=eta.v1.features, prepare="train")
    save_model(eta.v1.model, tmp_path, version="v1", features=eta.v1.features)
    with pytest.raises(ValueError, match="saved with prepare"):
        create_app(ServiceConfig(model=str(tmp_path), faults=Faults(skew="zone")))
