"""The service's HTTP side: what is answered, refused, logged, counted and learned."""

import asyncio
import contextlib
import json
import shutil
import subprocess
import time

import httpx
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from stand_in_service import in_a_loop

from mlprod_helpers import requestlog
from mlprod_helpers.rollout import bucket
from mlprod_helpers.serving.lab.demo import FEATURES, eta_models
from mlprod_helpers.serving.service import access
from mlprod_helpers.serving.service.app import create_app
from mlprod_helpers.serving.service.config import Faults, Limits, ServiceConfig
from mlprod_helpers.serving.service.models import ModelError, save_model
from mlprod_helpers.serving.service.refusals import Refusal
from mlprod_helpers.serving.service.schema import Feature

ROW = {"distance": 1400, "hour": 9, "zone": 2}
BODY = {"features": ROW}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Saved models by name."""
    base, eta = tmp_path_factory.mktemp("models"), eta_models()
    for name in ("v1", "hybrid"):
        save_model(getattr(eta, name).model, base / name, version=name, features=FEATURES)
    return {name: base / name for name in ("v1", "hybrid")}


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log.jsonl"


@contextlib.asynccontextmanager
async def served(model, ready=True, **config):
    """The application started as a server would, and a client of it."""
    app = create_app(ServiceConfig(model=model, **config))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        if ready:
            await app.state.loading
        client.service = app.state.service
        yield client


async def predict(client, **headers):
    return await client.post("/predict", json=BODY, headers=headers)


async def label(client, request_id, value):
    """The status of the answer, and whether it was learned or the error."""
    answer = await client.post("/label", json={"request_id": request_id, "label": value})
    return answer.status_code, answer.json().get("learned", answer.json().get("error"))


# ------------------------------------------------------------------------------------------- answers


@in_a_loop
async def test_one_row_is_answered_and_logged(folders, log):
    async with served(folders["v1"], version="v7", log=log) as client:
        answer = await predict(client, **{"X-User-Id": "ben", "X-Request-Id": "r:1"})
        assert log.read_text().count("\n") == 1  # before the answer was here
    content = answer.json()
    assert (answer.status_code, list(content)) == (200, ["request_id", "prediction", "version", "latency_ms"])
    assert (content["request_id"], content["version"], answer.headers["X-Request-Id"]) == ("r:1", "v7", "r:1")
    assert content["prediction"] == pytest.approx(eta_models().v1.model.predict(pd.DataFrame([ROW]))[0])
    (row,) = requestlog.read(log).to_dict("records")
    expected = ROW | {"request_id": "r:1", "user_id": "ben", "version": "v7", "served": True, "status": 200}
    expected |= {"prediction": content["prediction"], "latency_ms": content["latency_ms"]}
    assert {name: row[name] for name in expected} == expected
    assert abs(row["time"].timestamp() - time.time()) < 60


@in_a_loop
async def test_many_rows_are_answered_at_once_and_logged_one_by_one(folders, log):
    rows = [ROW | {"distance": d} for d in (200, 800, 1400)]
    async with served(folders["v1"], log=log) as client:
        one_by_one = [await client.post("/predict", json={"features": row}) for row in rows]
        answer = await client.post("/predict", json={"rows": rows}, headers={"X-Shadow": "1"})
    content = answer.json()
    assert content["predictions"] == pytest.approx([one.json()["prediction"] for one in one_by_one])
    assert content["request_ids"] == [f"{content['request_id']}.{i}" for i in range(3)]
    copies = requestlog.read(log).query("not served")
    assert copies["request_id"].tolist() == content["request_ids"]
    assert copies["distance"].tolist() == [200, 800, 1400]


# ------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(("spare", "status"), [(0, 200), (-1, 413)])
@in_a_loop
async def test_a_body_in_parts_is_put_together_and_counted(folders, spare, status):
    async def parts():
        for start in range(0, len(body), 5):
            yield body[start : start + 5]

    body = json.dumps(BODY).encode()
    async with served(folders["v1"], limits=Limits(body_bytes=len(body) + spare)) as client:
        assert (await client.post("/predict", content=parts(), headers=JSON)).status_code == status


@in_a_loop
async def test_each_client_has_a_rate_of_its_own(folders, log):
    answers = []
    async with served(folders["v1"], log=log, limits=Limits(rate_per_s=0.5, burst=2)) as client:
        for i, name in enumerate("aaab"):
            client._transport.client = (name, 1)
            body = json.dumps(BODY) if i != 1 else "no JSON"  # whatever is sent counts
            headers = JSON | {"X-Request-Id": f"r{i}"}
            answers.append(await client.post("/predict", content=body, headers=headers))
    assert [answer.status_code for answer in answers] == [200, 400, 429, 200]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 2
    table = requestlog.read(log)
    assert table["status"].tolist() == [200, 400, 429, 200]
    # who asks too often cannot write under another's request id
    assert table["request_id"].str.startswith("r").tolist() == [True, False, False, True]


@in_a_loop
async def test_a_key_is_needed_when_the_environment_has_one(folders, log, monkeypatch):
    monkeypatch.setenv("MLPROD_API_KEY", "open sesame")
    statuses = []
    async with served(folders["v1"], log=log) as client:
        for path in ("/predict", "/label"):
            for key in ({}, {"X-API-Key": "open sesam"}, {"X-API-Key": "open sesame"}):
                answer = await client.post(path, json=BODY, headers=key | {"X-Request-Id": "r1"})
                statuses.append(answer.status_code)
        assert (await client.get("/readyz")).status_code == 200
    assert statuses == [401, 401, 200, 401, 401, 422]
    # who has no key cannot write under another's request id
    table = requestlog.read(log)
    assert len(table) == 3 and table.query("request_id == 'r1'")["status"].tolist() == [200]


@in_a_loop
async def test_keys_are_compared_in_constant_time(monkeypatch):
    seen = []
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: seen.append((a, b)) or a == b)
    await access.ApiKey("key")("key")
    with pytest.raises(Refusal):
        await access.ApiKey("key")("kex")
    assert seen == [(b"key", b"key"), (b"kex", b"key")]
    monkeypatch.setenv("MLPROD_API_KEY", "")
    assert access.key_of_environment() is None
    for key in ("schlüssel", "two\nlines", " blank"):
        with pytest.raises(ValueError, match="no header can carry it"):
            access.ApiKey(key)


# -------------------------------------------------------------------------------- states and overload


@in_a_loop
async def test_while_it_loads_it_is_alive_but_not_ready(folders, log):
    async def look():
        alive, ready = await client.get("/healthz"), await client.get("/readyz")
        answer = await predict(client)
        return ready.json()["state"], [alive.status_code, ready.status_code, answer.status_code], answer

    async with served(folders["v1"], ready=False, log=log, faults=Faults(start_s=600)) as client:
        state, statuses, answer = await look()
        assert (state, statuses, answer.headers["Retry-After"]) == ("starting", [200, 503, 503], "1")
        while (await client.get("/readyz")).status_code != 200:
            if client.service._faulty is not None:
                client.service._faulty.close()
            await asyncio.sleep(0.01)
        assert (await look())[:2] == ("ready", [200, 200, 200])
        client.service.drain()
        assert (await look())[:2] == ("draining", [200, 503, 200])
    assert requestlog.read(log)["status"].tolist() == [503, 200, 200]


@in_a_loop
async def test_a_service_that_drains_before_its_model_is_there_is_not_ready(folders):
    async with served(folders["v1"], ready=False, faults=Faults(start_s=600)) as client:
        client.service.drain()
        answer = await predict(client)
    assert (answer.status_code, answer.json()["error"]) == (503, "not_ready")


@in_a_loop
async def test_a_full_queue_sheds_and_a_slow_model_times_out(folders, log):
    limits, faults = Limits(queue=2, timeout_s=0.4), Faults(delay_ms=60_000)
    async with served(folders["v1"], log=log, workers=1, limits=limits, faults=faults) as client:
        answers = await asyncio.gather(*(predict(client) for _ in range(6)))
        assert (await client.get("/healthz")).status_code == 200
    statuses = sorted(answer.status_code for answer in answers)
    assert set(statuses) == {503, 504} and statuses.count(504) <= 3  # one in work, two in the queue
    assert all(answer.headers["Retry-After"] == "1" for answer in answers if answer.status_code == 503)
    assert {answer.json()["error"] for answer in answers} == {"queue_full", "timeout"}
    assert sorted(requestlog.read(log)["status"]) == statuses


@pytest.mark.parametrize("workers", [0, 2])
@in_a_loop
async def test_a_model_that_fails_is_a_500_of_this_request_alone(folders, log, workers):
    names = [f"r{i}" for i in range(40)]
    async with served(folders["v1"], log=log, workers=workers, faults=Faults(error_rate=0.3)) as client:
        answers = await asyncio.gather(*(predict(client, **{"X-Request-Id": name}) for name in names))
        metrics = (await client.get("/metrics")).text
    hit = (bucket(names, "0:error") < 0.3).tolist()
    assert 0 < sum(hit) < 40
    assert [answer.status_code == 500 for answer in answers] == hit
    assert f'model_errors_total{{error="InjectedError"}} {sum(hit)}.0' in metrics
    assert (requestlog.read(log)["status"] == 500).sum() == sum(hit)


@in_a_loop
async def test_a_missing_output_is_null_and_counted(folders, log):
    async with served(folders["v1"], log=log) as client:
        client.service._call = lambda rows, ids: [None for _ in rows]
        assert (await predict(client)).json()["prediction"] is None
        many = await client.post("/predict", json={"rows": [ROW, ROW]})
        assert many.json()["predictions"] == [None, None]
        assert "missing_outputs_total 3.0" in (await client.get("/metrics")).text
    table = requestlog.read(log)
    assert table["status"].tolist() == [200] * 3 and "prediction" not in table


@in_a_loop
async def test_what_nobody_thought_of_is_a_500_and_logged(folders, log):
    async with served(folders["v1"], log=log) as client:
        client.service._call = lambda rows, ids: ["no number"]  # it cannot be counted
        answer = await predict(client)
    assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    assert "no number" not in answer.text
    assert requestlog.read(log)["status"].tolist() == [500]


@in_a_loop
async def test_the_service_time_is_measured_in_the_service_without_the_wait_for_it(folders):
    async with served(folders["v1"], workers=1, faults={"delay_ms": 20}) as client:
        await asyncio.gather(*(predict(client) for _ in range(10)))
        lines = (await client.get("/metrics")).text.splitlines()
    content = dict(line.split() for line in lines if line[:1] != "#" and "{" not in line)
    assert float(content["model_call_seconds_count"]) == 10
    assert 0.2 <= float(content["model_call_seconds_sum"]) < 0.6  # with the waits it would be 1.1 s


# ---------------------------------------------------------------------------------- labels that come


@pytest.mark.parametrize("workers", [0, 1])
@in_a_loop
async def test_the_hybrid_learns_while_it_serves(folders, log, workers):
    async with served(folders["hybrid"], log=log, workers=workers) as client:
        first = (await predict(client)).json()
        truth = first["prediction"] + 100
        assert await label(client, first["request_id"], truth) == (200, True)
        assert await label(client, first["request_id"], truth) == (200, False)  # it does not teach twice
        then = (await predict(client)).json()
    assert then["prediction"] - first["prediction"] == pytest.approx(100 * (1 - 0.5 ** (1 / 50)))
    assert requestlog.read(log)["label"].tolist()[0] == pytest.approx(truth)


@in_a_loop
async def test_a_label_may_be_corrected_once_and_is_not_rewritten_for_ever(folders, log):
    stands = (409, "label_stands")
    async with served(folders["hybrid"], log=log) as client:
        await predict(client, **{"X-Request-Id": "r1"})
        answers = [await label(client, "r1", value) for value in (200.0, 200.0, 210.0, 210.0, 220.0, 200.0)]
        assert answers == [(200, True), (200, False), (200, False), (200, False), stands, stands]
        # asking again under the same id opens nothing
        assert (await predict(client, **{"X-Request-Id": "r1"})).status_code == 200
        assert [await label(client, "r1", value) for value in (230.0, 210.0)] == [stands, (200, False)]
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["label"] for line in lines if line["event"] == "label"] == [200.0, 210.0]


@in_a_loop
async def test_predictions_stay_whole_while_labels_come(folders):
    learned = []
    async with served(folders["hybrid"], workers=2) as client:
        for _ in range(6):
            asked = await asyncio.gather(*(predict(client) for _ in range(10)))
            again = asyncio.gather(*(predict(client) for _ in range(10)))
            truths = [(one.json()["request_id"], one.json()["prediction"] + 50) for one in asked]
            learned += await asyncio.gather(*(label(client, *truth) for truth in truths))
            assert {one.status_code for one in await again} == {200}
        bands = client.service.model._model.stream_.by_band
    assert learned == [(200, True)] * 60
    assert list(bands) == [2] and bands[2] > 20


@pytest.mark.parametrize(
    ("most", "model", "expected"),
    [
        (100, "v1", (200, False)),  # remembered, but this model does not learn
        (2, "hybrid", (404, "unknown_request")),
    ],
)
@in_a_loop
async def test_what_is_remembered_is_bounded(folders, log, monkeypatch, most, model, expected):
    monkeypatch.setattr("mlprod_helpers.serving.service.app.REMEMBERED", most)
    async with served(folders[model], log=log) as client:
        first = (await predict(client)).json()["request_id"]
        await client.post("/predict", json={"rows": [ROW, ROW]})
        assert await label(client, first, 200) == expected
        assert len(client.service._remembered) == min(3, most)
    assert ("label" in requestlog.read(log)) == (expected[0] == 200)


@in_a_loop
async def test_a_label_out_of_range_is_refused_described_and_teaches_nothing(folders, log):
    limits = eta_models().hybrid.settings
    assert limits == {"label_low": 0, "label_high": 1440}
    async with served(folders["hybrid"], log=log, **limits) as client:
        first = (await predict(client)).json()
        for value in (1e15, -0.5, 1440.5):
            body = {"request_id": first["request_id"], "label": value}
            answer = await client.post("/label", json=body)
            what = "must be the truth, a number from 0 to 1440"
            assert answer.status_code == 422
            assert answer.json()["detail"] == [{"where": "label", "what": what}]
        assert await label(client, first["request_id"], 1440) == (200, True)
        then = (await predict(client)).json()
        document = (await client.get("/openapi.json")).json()
    assert abs(then["prediction"] - first["prediction"]) < 30
    described = document["components"]["schemas"]["Label"]["properties"]["label"]
    assert described == {"type": "number", "minimum": 0, "maximum": 1440, "title": "Label"}
    assert requestlog.read(log)["label"].dropna().tolist() == [1440]


@pytest.mark.parametrize("name", ["router", "Router", "..", ".", "two words"])
def test_reserved_names_are_no_versions(folders, name, tmp_path):
    from mlprod_helpers.serving import Deployment, Lab, RoutePlan

    model = LinearRegression().fit([[0.0], [1.0]], [0, 1])
    for make in (
        lambda: ServiceConfig(model=folders["v1"], version=name),
        lambda: RoutePlan(upstreams={name: "http://127.0.0.1:1"}, stable=name),
        lambda: Lab({name: Deployment("m")}),
        lambda: save_model(model, tmp_path, version=name, features=[Feature("a")]),
    ):
        with pytest.raises((ValueError, ModelError), match="version|called"):
            make()


# ------------------------------------------------------------------------------------- log and metrics


@in_a_loop
async def test_redacted_features_are_not_written_and_users_as_a_keyed_hash(folders, log, monkeypatch):
    redact = ["distance", "user_id"]
    monkeypatch.delenv("MLPROD_LOG_KEY", raising=False)  # a lab of another test has set it
    with pytest.raises(ValueError, match="MLPROD_LOG_KEY"):
        create_app(ServiceConfig(model=folders["v1"], log=log, redact=redact))
    monkeypatch.setenv("MLPROD_LOG_KEY", "sixteen characters at least")
    async with served(folders["v1"], log=log, redact=redact) as client:
        for user in ("ben", "ben", "ana"):
            await predict(client, **{"X-User-Id": user})
    table = requestlog.read(log)
    assert "ben" not in log.read_text() and "1400" not in log.read_text()
    assert table["user_id"].nunique() == 2 and table["hour"].tolist() == [9, 9, 9]
    with pytest.raises(ValueError, match="no feature.*distance"):
        create_app(ServiceConfig(model=folders["v1"], redact=["distanc"]))


@in_a_loop
async def test_a_log_that_cannot_be_written_is_counted_and_answers_go_on(folders, log, monkeypatch):
    async with served(folders["v1"], log=log) as client:
        with monkeypatch.context() as full:
            full.setattr("os.write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
            assert (await predict(client)).status_code == 200
        assert "log_failures_total 1.0" in (await client.get("/metrics")).text


@in_a_loop
async def test_metrics_count_software_inputs_and_outputs_and_prometheus_reads_them(folders):
    wrong = [{"features": ROW | {"hour": 99}}, {"x": 1}]
    async with served(folders["v1"]) as client:
        for body in (BODY, {"rows": [ROW, ROW | {"distance": 200}]}, *wrong):
            await client.post("/predict", json=body)
        await label(client, "no", 1)
        answer = await client.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    values = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    expected = {
        'requests_total{code="200",version="v1"}': 2,
        'requests_total{code="422",version="v1"}': 2,
        'request_duration_seconds_count{version="v1"}': 4,
        'labels_total{code="404"}': 1,
        "in_flight": 0,
        "ready": 1,
        "rows_total": 3,
        'feature_value_sum{feature="distance"}': 3000,
        'feature_value_count{feature="distance"}': 3,
        'feature_refused_total{feature="hour",reason="out_of_range"}': 1,
        "missing_outputs_total": 0,
        "prediction_count": 3,
        "log_failures_total": 0,
    }
    assert {name: float(values[name]) for name in expected} == expected
    assert float(values["process_resident_memory_bytes"]) > 1e7
    assert float(values["process_cpu_seconds_total"]) > 0
    if promtool := shutil.which("promtool"):
        subprocess.run([promtool, "check", "metrics"], input=answer.text, text=True, timeout=60, check=True)
