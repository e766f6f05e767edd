"""The service's HTTP side: what is answered, refused, logged, counted and learned."""

import asyncio
import contextlib
import json
import shutil
import subprocess
import time

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from mlprod_helpers import requestlog
from mlprod_helpers.rollout import bucket
from mlprod_helpers.serving.service.config import Faults, Limits, ServiceConfig

pytest.importorskip("fastapi", reason="the service needs fastapi")
pytest.importorskip("skops", reason="models are saved with skops")
pytest.importorskip("httpx", reason="httpx asks the application without a server")

import httpx

from mlprod_helpers.serving.lab.demo import FEATURES, eta_models
from mlprod_helpers.serving.service import access
from mlprod_helpers.serving.service.app import create_app
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
    return {name: str(base / name) for name in ("v1", "hybrid")}


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log.jsonl"


@contextlib.asynccontextmanager
async def served(config, ready=True):
    """The application started as a server would, and a client of it."""
    app = create_app(config)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        if ready:
            await app.state.loading
        client.service = app.state.service
        yield client


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 60))


def with_service(config, use, ready=True):
    """The result of `await use(client)` with a service of this config."""

    async def work():
        async with served(config, ready) as client:
            return await use(client)

    return run(work())


def rows_of(log):
    return requestlog.read(log)


# ------------------------------------------------------------------------------------------- answers


def test_one_row_is_answered_and_logged(folders, log):
    async def use(client):
        answer = await client.post("/predict", json=BODY, headers={"X-User-Id": "ben", "X-Request-Id": "r:1"})
        assert log.read_text().count("\n") == 1  # before the answer was here
        return answer

    answer = with_service(ServiceConfig(model=folders["v1"], version="v7", log=str(log)), use)
    content = answer.json()
    assert (answer.status_code, list(content)) == (200, ["request_id", "prediction", "version", "latency_ms"])
    assert (content["request_id"], content["version"], answer.headers["X-Request-Id"]) == ("r:1", "v7", "r:1")
    assert content["prediction"] == pytest.approx(eta_models().v1.model.predict(pd.DataFrame([ROW]))[0])
    (row,) = rows_of(log).to_dict("records")
    expected = ROW | {"request_id": "r:1", "user_id": "ben", "version": "v7", "served": True, "status": 200}
    expected |= {"prediction": content["prediction"], "latency_ms": content["latency_ms"]}
    assert {name: row[name] for name in expected} == expected
    assert abs(row["time"].timestamp() - time.time()) < 60


def test_many_rows_are_answered_at_once_and_logged_one_by_one(folders, log):
    rows = [ROW | {"distance": d} for d in (200, 800, 1400)]

    async def use(client):
        one_by_one = [
            (await client.post("/predict", json={"features": row})).json()["prediction"] for row in rows
        ]
        return one_by_one, await client.post("/predict", json={"rows": rows}, headers={"X-Shadow": "1"})

    one_by_one, answer = with_service(ServiceConfig(model=folders["v1"], log=str(log)), use)
    content = answer.json()
    assert content["predictions"] == pytest.approx(one_by_one)
    assert content["request_ids"] == [f"{content['request_id']}.{i}" for i in range(3)]
    copies = rows_of(log).query("not served")
    assert copies["request_id"].tolist() == content["request_ids"]
    assert copies["distance"].tolist() == [200, 800, 1400]


# ------------------------------------------------------------------------------------------ refusals

SECRET = "s3cret-of-the-sender"


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"content": SECRET}, 400, "no_json"),
        ({"method": "GET"}, 405, "method"),
        ({"method": "DELETE"}, 405, "method"),
        ({"content": b" " * 3000 + SECRET.encode()}, 413, "too_large"),
        ({"headers": {"Content-Type": "text/plain"}}, 415, "content_type"),
        ({"headers": {}}, 415, "content_type"),
        ({"content": json.dumps({"features": ROW | {SECRET: 1}})}, 422, "invalid"),
        ({"content": json.dumps({"features": ROW | {"hour": SECRET}})}, 422, "invalid"),
        ({"content": json.dumps({SECRET: ROW})}, 422, "invalid"),
        ({"headers": JSON | {"X-User-Id": SECRET + "!"}}, 422, "invalid"),
        ({"headers": JSON | {"X-Request-Id": SECRET * 5}}, 422, "invalid"),
        ({"headers": JSON | {"X-Shadow": SECRET}}, 422, "invalid"),
    ],
)
def test_a_refusal_says_why_repeats_nothing_and_is_logged(folders, log, change, status, error):
    sent = {"method": "POST", "content": json.dumps(BODY), "headers": JSON} | change

    async def use(client):
        return await client.request(url="/predict", **sent)

    config = ServiceConfig(model=folders["v1"], log=str(log), limits=Limits(body_bytes=2000))
    answer = with_service(config, use)
    content = answer.json()
    assert (answer.status_code, content["error"], list(content)) == (
        status,
        error,
        ["error", "request_id", "detail"],
    )
    assert SECRET not in answer.text + str(answer.headers) + log.read_text()
    assert answer.headers["X-Request-Id"] == content["request_id"]
    assert (answer.headers.get("Connection") == "close") == (status == 413)
    (row,) = rows_of(log).to_dict("records")
    assert (row["request_id"], row["status"]) == (content["request_id"], status)


def test_a_body_in_parts_is_put_together_and_counted(folders):
    async def parts(size):
        for start in range(0, len(body), size):
            yield body[start : start + size]

    body = json.dumps(BODY).encode()

    async def use(client):
        fits = await client.post("/predict", content=parts(5), headers=JSON)
        client.service.config.limits.__dict__["body_bytes"] = len(body) - 1
        return fits, await client.post("/predict", content=parts(5), headers=JSON)

    fits, large = with_service(ServiceConfig(model=folders["v1"], limits=Limits(body_bytes=1000)), use)
    assert (fits.status_code, large.status_code) == (200, 413)


def test_each_client_has_a_rate_of_its_own(folders, log):
    async def use(client):
        async def ask(i, name):
            client._transport.client = (name, 1)
            body = json.dumps(BODY) if i != 1 else "no JSON"  # whatever is sent counts
            headers = JSON | {"X-Request-Id": f"r{i}"}
            return await client.post("/predict", content=body, headers=headers)

        return [await ask(i, name) for i, name in enumerate("aaab")]

    limits = Limits(rate_per_s=0.5, burst=2)
    answers = with_service(ServiceConfig(model=folders["v1"], log=str(log), limits=limits), use)
    assert [answer.status_code for answer in answers] == [200, 400, 429, 200]
    assert 1 <= int(answers[2].headers["Retry-After"]) <= 2
    log = rows_of(log)
    assert log["status"].tolist() == [200, 400, 429, 200]
    # who asks too often cannot write under another's request id
    assert log["request_id"].str.startswith("r").tolist() == [True, False, False, True]


def test_a_key_is_needed_when_the_environment_has_one(folders, log, monkeypatch):
    monkeypatch.setenv("MLPROD_API_KEY", "open sesame")

    async def use(client):
        keys = (None, "open sesam", "open sesame")
        answers = [
            await client.post(
                path, json=BODY, headers=({} if key is None else {"X-API-Key": key}) | {"X-Request-Id": "r1"}
            )
            for path in ("/predict", "/label")
            for key in keys
        ]
        return answers, await client.get("/readyz")

    answers, ready = with_service(ServiceConfig(model=folders["v1"], log=str(log)), use)
    assert [answer.status_code for answer in answers] == [401, 401, 200, 401, 401, 422]
    assert ready.status_code == 200
    # who has no key cannot write under another's request id
    assert rows_of(log).query("request_id == 'r1'")["status"].tolist() == [200]
    assert len(rows_of(log)) == 3


def test_keys_are_compared_in_constant_time(monkeypatch):
    seen = []
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: seen.append((a, b)) or a == b)
    run(access.ApiKey("key")("key"))
    with pytest.raises(Refusal):
        run(access.ApiKey("key")("kex"))
    assert seen == [(b"key", b"key"), (b"kex", b"key")]
    monkeypatch.setenv("MLPROD_API_KEY", "")
    assert access.key_of_environment() is None
    for key in ("schlüssel", "two\nlines", " blank"):
        with pytest.raises(ValueError, match="no header can carry it"):
            access.ApiKey(key)


# -------------------------------------------------------------------------------- states and overload


def test_while_it_loads_it_is_alive_but_not_ready(folders, log):
    async def use(client):
        async def look():
            answers = [await client.get("/healthz"), await client.get("/readyz")]
            return [*answers, await client.post("/predict", json=BODY)]

        starting = await look()
        while (await client.get("/readyz")).status_code != 200:
            if client.service._faulty is not None:
                client.service._faulty.close()
            await asyncio.sleep(0.01)
        ready = await look()
        client.service.drain()
        return starting, ready, await look()

    config = ServiceConfig(model=folders["v1"], log=str(log), faults=Faults(start_s=600))
    looks = with_service(config, use, ready=False)
    assert [[answer.status_code for answer in look] for look in looks] == [
        [200, 503, 503],
        [200, 200, 200],
        [200, 503, 200],
    ]
    assert [look[1].json()["state"] for look in looks] == ["starting", "ready", "draining"]
    assert looks[0][2].headers["Retry-After"] == "1"
    assert rows_of(log)["status"].tolist() == [503, 200, 200]


def test_a_service_that_drains_before_its_model_is_there_is_not_ready(folders, log):
    async def use(client):
        client.service.drain()
        return await client.post("/predict", json=BODY)

    config = ServiceConfig(model=folders["v1"], log=str(log), faults=Faults(start_s=600))
    answer = with_service(config, use, ready=False)
    assert (answer.status_code, answer.json()["error"]) == (503, "not_ready")


def test_a_full_queue_sheds_and_a_slow_model_times_out(folders, log):
    async def use(client):
        asks = [asyncio.ensure_future(client.post("/predict", json=BODY)) for _ in range(6)]
        return await asyncio.gather(*asks), (await client.get("/healthz")).status_code

    config = ServiceConfig(
        model=folders["v1"],
        log=str(log),
        workers=1,
        limits=Limits(queue=2, timeout_s=0.4),
        faults=Faults(delay_ms=60_000),
    )
    answers, health = with_service(config, use)
    statuses = sorted(answer.status_code for answer in answers)
    assert set(statuses) == {503, 504} and statuses.count(504) <= 3  # one in work, two in the queue
    assert all(answer.headers["Retry-After"] == "1" for answer in answers if answer.status_code == 503)
    assert {answer.json()["error"] for answer in answers} == {"queue_full", "timeout"}
    assert health == 200
    assert sorted(rows_of(log)["status"]) == statuses


@pytest.mark.parametrize("workers", [0, 2])
def test_a_model_that_fails_is_a_500_of_this_request_alone(folders, log, workers):
    async def use(client):
        asks = [client.post("/predict", json=BODY, headers={"X-Request-Id": f"r{i}"}) for i in range(40)]
        answers = await asyncio.gather(*asks)
        hit = (bucket([f"r{i}" for i in range(40)], "0:error") < 0.3).tolist()
        return answers, hit, (await client.get("/metrics")).text

    config = ServiceConfig(model=folders["v1"], log=str(log), workers=workers, faults=Faults(error_rate=0.3))
    answers, hit, metrics = with_service(config, use)
    assert 0 < sum(hit) < 40
    assert [answer.status_code == 500 for answer in answers] == hit
    assert f'model_errors_total{{error="InjectedError"}} {sum(hit)}.0' in metrics
    assert (rows_of(log)["status"] == 500).sum() == sum(hit)


def test_a_missing_output_is_null_and_counted(folders, log):
    async def use(client):
        client.service._call = lambda rows, ids: [None for _ in rows]
        one = await client.post("/predict", json=BODY)
        many = await client.post("/predict", json={"rows": [ROW, ROW]})
        return one.json()["prediction"], many.json()["predictions"], (await client.get("/metrics")).text

    one, many, metrics = with_service(ServiceConfig(model=folders["v1"], log=str(log)), use)
    assert (one, many) == (None, [None, None])
    assert "missing_outputs_total 3.0" in metrics
    assert rows_of(log)["status"].tolist() == [200] * 3 and "prediction" not in rows_of(log)


def test_what_nobody_thought_of_is_a_500_and_logged(folders, log):
    async def use(client):
        client.service._call = lambda rows, ids: [SECRET]  # no number: it cannot be counted
        return await client.post("/predict", json=BODY)

    answer = with_service(ServiceConfig(model=folders["v1"], log=str(log)), use)
    assert (answer.status_code, answer.json()["error"]) == (500, "internal")
    assert SECRET not in answer.text
    assert rows_of(log)["status"].tolist() == [500]


# ---------------------------------------------------------------------------------- labels that come


@pytest.mark.parametrize("workers", [0, 1])
def test_the_hybrid_learns_while_it_serves(folders, log, workers):
    async def use(client):
        first = (await client.post("/predict", json=BODY)).json()
        label = {"request_id": first["request_id"], "label": first["prediction"] + 100}
        content = [await client.post("/label", json=label) for _ in range(2)]
        return first, content, (await client.post("/predict", json=BODY)).json()

    config = ServiceConfig(model=folders["hybrid"], log=str(log), workers=workers)
    first, (content, again), then = with_service(config, use)
    assert content.json() == {"request_id": first["request_id"], "version": "hybrid", "learned": True}
    assert again.json()["learned"] is False  # the same label does not teach twice
    step = 1 - 0.5 ** (1 / 50)
    assert then["prediction"] - first["prediction"] == pytest.approx(100 * step)
    assert rows_of(log)["label"].tolist()[0] == pytest.approx(first["prediction"] + 100)


def test_a_label_may_be_corrected_once_and_is_not_rewritten_for_ever(folders, log):
    async def use(client):
        async def label(value):
            answer = await client.post("/label", json={"request_id": "r1", "label": value})
            return answer.status_code, answer.json().get("learned", answer.json().get("error"))

        async def ask():
            return (await client.post("/predict", json=BODY, headers={"X-Request-Id": "r1"})).status_code

        await ask()
        content = [await label(value) for value in (200.0, 200.0, 210.0, 210.0, 220.0, 200.0)]
        return content, await ask(), [await label(value) for value in (230.0, 210.0)]

    content, again, then = with_service(ServiceConfig(model=folders["hybrid"], log=str(log)), use)
    stands = (409, "label_stands")
    assert content == [(200, True), (200, False), (200, False), (200, False), stands, stands]
    # asking again under the same id opens nothing
    assert (again, then) == (200, [stands, (200, False)])
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["label"] for line in lines if line["event"] == "label"] == [200.0, 210.0]


@pytest.mark.parametrize("name", ["router", "Router", "..", ".", "two words"])
def test_reserved_names_are_no_versions(folders, name, tmp_path):
    from mlprod_helpers.serving import Deployment, Lab, RoutePlan

    for make in (
        lambda: ServiceConfig(model=folders["v1"], version=name),
        lambda: RoutePlan(upstreams={name: "http://127.0.0.1:1"}, stable=name),
        lambda: Lab({name: Deployment("m")}),
        lambda: save_model(
            LinearRegression().fit([[0.0], [1.0]], [0, 1]), tmp_path, version=name, features=[Feature("a")]
        ),
    ):
        with pytest.raises((ValueError, ModelError), match="version|called"):
            make()


def test_the_service_time_is_measured_in_the_service_without_the_wait_for_it(folders):
    async def use(client):
        await asyncio.gather(*(client.post("/predict", json=BODY) for _ in range(10)))
        lines = (await client.get("/metrics")).text.splitlines()
        content = dict(line.split() for line in lines if line[:1] != "#" and "{" not in line)
        return int(float(content["model_call_seconds_count"])), float(content["model_call_seconds_sum"])

    faults = {"delay_ms": 20}
    count, seconds = with_service(ServiceConfig(model=folders["v1"], workers=1, faults=faults), use)
    assert count == 10 and 0.2 <= seconds < 0.6  # with the waits it would be 1.1 s


def test_predictions_stay_whole_while_labels_come(folders):
    async def use(client):
        async def label(content):
            body = {"request_id": content["request_id"], "label": content["prediction"] + 50}
            return (await client.post("/label", json=body)).json()["learned"]

        learned = []
        for _ in range(6):
            asked = await asyncio.gather(*(client.post("/predict", json=BODY) for _ in range(10)))
            again = asyncio.gather(*(client.post("/predict", json=BODY) for _ in range(10)))
            learned += await asyncio.gather(*(label(one.json()) for one in asked))
            assert {one.status_code for one in await again} == {200}
        return learned, client.service.model._model.stream_.by_band

    learned, bands = with_service(ServiceConfig(model=folders["hybrid"], workers=2), use)
    assert learned == [True] * 60
    assert list(bands) == [2] and bands[2] > 20


@pytest.mark.parametrize(
    ("most", "model", "status", "learned"),
    [
        (100, "v1", 200, False),  # remembered, but this model does not learn
        (2, "hybrid", 404, None),
    ],
)
def test_what_is_remembered_is_bounded(folders, log, monkeypatch, most, model, status, learned):
    monkeypatch.setattr("mlprod_helpers.serving.service.app.REMEMBERED", most)

    async def use(client):
        first = (await client.post("/predict", json=BODY)).json()["request_id"]
        await client.post("/predict", json={"rows": [ROW, ROW]})
        answer = await client.post("/label", json={"request_id": first, "label": 200})
        return answer, len(client.service._remembered)

    answer, kept = with_service(ServiceConfig(model=folders[model], log=str(log)), use)
    assert (answer.status_code, answer.json().get("learned")) == (status, learned)
    assert kept == min(3, most)
    assert ("label" in rows_of(log)) == (status == 200)


def test_wrong_labels_are_refused(folders, log):
    async def use(client):
        name = (await client.post("/predict", json=BODY)).json()["request_id"]
        bodies = (
            {"request_id": name, "label": "late"},
            {"request_id": name},
            {"request_id": "no", "label": 1},
        )
        return [(await client.post("/label", json=body)).status_code for body in bodies]

    assert with_service(ServiceConfig(model=folders["v1"], log=str(log)), use) == [422, 422, 404]
    assert "label" not in rows_of(log)


def test_a_label_out_of_range_is_refused_described_and_teaches_nothing(folders, log):
    async def use(client):
        first = (await client.post("/predict", json=BODY)).json()
        answers = [
            await client.post("/label", json={"request_id": first["request_id"], "label": label})
            for label in (1e15, -0.5, 1440.5, 1440)
        ]
        then = (await client.post("/predict", json=BODY)).json()
        return first, answers, then, (await client.get("/openapi.json")).json()

    eta = eta_models().hybrid._asdict()
    limits = {name: eta[name] for name in ("label_low", "label_high")}
    assert limits == {"label_low": 0, "label_high": 1440}
    config = ServiceConfig(model=folders["hybrid"], log=str(log), **limits)
    first, (*refused, taken), then, document = with_service(config, use)
    for answer in refused:
        what = "must be the truth, a number from 0 to 1440"
        assert answer.status_code == 422
        assert answer.json()["detail"] == [{"where": "label", "what": what}]
    assert taken.json()["learned"] is True and abs(then["prediction"] - first["prediction"]) < 30
    described = document["components"]["schemas"]["Label"]["properties"]["label"]
    assert described == {"type": "number", "minimum": 0, "maximum": 1440, "title": "Label"}
    assert rows_of(log)["label"].dropna().tolist() == [1440]


@pytest.mark.parametrize("label", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1.01e15"])
def test_without_a_range_no_label_is_taken_that_is_not_finite(folders, label):
    async def use(client):
        name = (await client.post("/predict", json=BODY)).json()["request_id"]
        body = f'{{"request_id": "{name}", "label": {label}}}'
        return await client.post("/label", content=body, headers=JSON)

    answer = with_service(ServiceConfig(model=folders["hybrid"]), use)
    assert answer.status_code == (400 if label.endswith(("NaN", "Infinity")) else 422)


# ------------------------------------------------------------------------------------- log and metrics


def test_redacted_features_are_not_written_and_users_as_a_keyed_hash(folders, log, monkeypatch):
    async def use(client):
        for user in ("ben", "ben", "ana"):
            await client.post("/predict", json=BODY, headers={"X-User-Id": user})

    config = ServiceConfig(model=folders["v1"], log=str(log), redact=["distance", "user_id"])
    with pytest.raises(ValueError, match="MLPROD_LOG_KEY"):
        create_app(config)
    monkeypatch.setenv("MLPROD_LOG_KEY", "sixteen characters at least")
    with_service(config, use)
    table = rows_of(log)
    assert "ben" not in log.read_text() and "1400" not in log.read_text()
    assert table["user_id"].nunique() == 2 and table["hour"].tolist() == [9, 9, 9]
    with pytest.raises(ValueError, match="no feature.*distance"):
        create_app(ServiceConfig(model=folders["v1"], redact=["distanc"]))


def test_a_log_that_cannot_be_written_is_counted_and_answers_go_on(folders, log, monkeypatch):
    async def use(client):
        monkeypatch.setattr("os.write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
        answer = await client.post("/predict", json=BODY)
        monkeypatch.undo()
        return answer, (await client.get("/metrics")).text

    answer, metrics = with_service(ServiceConfig(model=folders["v1"], log=str(log)), use)
    assert answer.status_code == 200
    assert "log_failures_total 1.0" in metrics


def promtool(*arguments, **settings):
    """What promtool says: (exit code, all that it wrote)."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool (Debian's package prometheus) is not installed")
    done = subprocess.run(
        [tool, *arguments], capture_output=True, text=True, timeout=60, check=False, **settings
    )
    return done.returncode, done.stdout + done.stderr


def some_metrics(folder):
    async def use(client):
        for body in (
            BODY,
            {"rows": [ROW, ROW | {"distance": 200}]},
            {"features": ROW | {"hour": 99}},
            {"x": 1},
        ):
            await client.post("/predict", json=body)
        await client.post("/label", json={"request_id": "no", "label": 1})
        answer = await client.get("/metrics")
        return answer.headers["Content-Type"], answer.text

    return with_service(ServiceConfig(model=folder), use)


def test_metrics_count_software_inputs_and_outputs(folders):
    kind, text = some_metrics(folders["v1"])
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
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


def test_promtool_accepts_the_metrics(folders):
    _, text = some_metrics(folders["v1"])
    assert promtool("check", "metrics", input=text) == (0, "")


# --------------------------------------------------------------------------------------------- OpenAPI


def test_openapi_describes_bodies_and_answers_as_they_are(folders):
    jsonschema = pytest.importorskip("jsonschema", reason="checks answers against their schema")
    bodies = [
        BODY,
        {"rows": [ROW]},
        {"features": {}},
        {"rows": []},
        {"features": ROW | {"hour": 5.0}},
        {"rows": [ROW], "x": 1},
    ]

    async def use(client):
        document = (await client.get("/openapi.json")).json()
        return document, [await client.post("/predict", json=body) for body in bodies]

    document, answers = with_service(ServiceConfig(model=folders["v1"]), use)
    post = document["paths"]["/predict"]["post"]

    def valid(content, value):
        schema = content["application/json"]["schema"] | {"components": document["components"]}
        return jsonschema.Draft202012Validator(schema).is_valid(value)

    for body, answer in zip(bodies, answers, strict=True):
        assert valid(post["requestBody"]["content"], body) == (answer.status_code == 200), body
        assert valid(post["responses"][str(answer.status_code)]["content"], answer.json()), answer.text
    assert {"400", "405", "408", "413", "415", "422", "500", "503", "504"} <= set(post["responses"])
    assert "401" not in post["responses"]  # no key is needed here
