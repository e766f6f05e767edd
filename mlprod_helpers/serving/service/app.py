"""The service: one model behind HTTP, as a FastAPI application.

`create_app` is the table of what can be asked; `Service` is the state behind it: the model, its queue, what it remembers.
"""

import asyncio
import contextlib
import functools
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Annotated

from fastapi import Body, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.exceptions import HTTPException

from mlprod_helpers.names import nearest_name
from mlprod_helpers.requestlog import LogError
from mlprod_helpers.serving.headers import check_version
from mlprod_helpers.serving.redaction import RedactedLog
from mlprod_helpers.serving.service.access import RateLimit, key_of_environment
from mlprod_helpers.serving.service.batching import Batcher, QueueFull, TimedOut
from mlprod_helpers.serving.service.config import Faults
from mlprod_helpers.serving.service.faults import Faulty, skewed
from mlprod_helpers.serving.service.log import write_record
from mlprod_helpers.serving.service.middleware import Guard, Recorder
from mlprod_helpers.serving.service.models import ModelCard, Predictor, load_model
from mlprod_helpers.serving.service.prepare import PREPARATIONS
from mlprod_helpers.serving.service.refusals import BUSY, Refusal, RefusalBody, explain, response_to
from mlprod_helpers.serving.service.requests import HEADERS, JsonRoute, while_connected
from mlprod_helpers.serving.service.schema import (
    Answer,
    Answers,
    Learned,
    label_body,
    predict_body,
    rows_of,
    valid_row,
    value_range,
)
from mlprod_helpers.serving.service.telemetry import Telemetry

REMEMBERED = 100_000  # rows that are kept for labels that come late


def create_app(config):
    """The application for a `ServiceConfig`; its `state.service` is the `Service`, `/docs` its description for people.

    The model is loaded in the background when the server starts (ASGI's lifespan): until then `/readyz` says 503. The task
    `state.loading` raises when the model cannot be loaded.

    Raises
    ------
    ModelError : no model in the folder.
    ValueError : the config does not fit the model.
    """
    service = Service(config)
    card, limits = service.card, config.limits
    PredictBody = predict_body(card.fields, limits.rows)
    Label = label_body(config.label_low, config.label_high)
    rate = None if limits.rate_per_s is None else RateLimit(limits.rate_per_s, limits.burst)
    key = key_of_environment()
    access = [] if key is None else [Depends(key)]
    statuses = [408, 413, 415, 422, 503, *([] if rate is None else [429]), *([] if key is None else [401])]

    @contextlib.asynccontextmanager
    async def lifespan(app):
        app.state.loading = asyncio.ensure_future(service.start())
        try:
            yield
        finally:
            app.state.loading.cancel()
            await service.close()

    app = FastAPI(
        title="Model service",
        version=service.version,
        lifespan=lifespan,
        redirect_slashes=False,
        responses=_refusals(400, 403, 405, 421),
    )
    app.state.service = service
    app.add_middleware(Guard, limits=limits, rate=rate, paths=("/predict", "/label"))
    app.add_middleware(Recorder, service=service)  # the last one that is added is the first to see a request
    app.router.route_class = JsonRoute

    @app.post("/predict", dependencies=access, responses=_refusals(*statuses, 500, 504), **HEADERS)
    async def predict(body: Annotated[PredictBody, Body()], request: Request) -> Answer | Answers:
        """Answer one row, or many."""
        record, many = request.state.record, hasattr(body, "rows")
        record.rows, record.ids = rows_of(body), [record.request_id]
        if many:
            record.ids = [f"{record.request_id}.{i}" for i in range(len(record.rows))]
        answers = await service.predict(record, request.receive)
        about = {
            "request_id": record.request_id,
            "version": service.version,
            "latency_ms": record.stop_the_clock(),
        }
        if many:
            return Answers(request_ids=record.ids, predictions=answers, **about)
        return Answer(prediction=answers[0], **about)

    @app.post("/label", dependencies=access, responses=_refusals(*statuses, 404, 409), **HEADERS)
    async def label(body: Annotated[Label, Body()]) -> Learned:
        """Take the truth about a request that was answered here. It may be corrected once, and the same again changes nothing."""
        has_learned = await service.learn(body.request_id, body.label)
        return Learned(request_id=body.request_id, version=service.version, learned=has_learned)

    @app.get("/healthz")
    async def alive() -> dict[str, str]:
        """Alive: the process can answer."""
        return {"state": "alive"}

    @app.get(
        "/readyz", responses={503: {"description": "Send no requests here now", "model": dict[str, str]}}
    )
    async def ready() -> dict[str, str]:
        """Ready: send requests here."""
        is_ready = service.state == "ready"
        return JSONResponse({"state": service.state}, 200 if is_ready else 503, None if is_ready else BUSY)

    @app.get("/version")
    async def version() -> dict:
        """Which model this is."""
        return card.model_dump(mode="json") | {"version": service.version}

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics():
        """What was counted, in Prometheus' text format."""
        return Response(service.telemetry.text(), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    @app.exception_handler(HTTPException)  # Starlette's own, such as 404, and every Refusal
    async def refuse(request, error):
        return response_to(request.state.record, error)

    @app.exception_handler(RequestValidationError)
    async def refuse_invalid(request, error):
        problems = explain(error.errors(), service.meanings)
        if request.url.path == "/predict":
            service.telemetry.observe_problems(problems)
        return response_to(
            request.state.record, Refusal(422, "invalid", [problem[1:] for problem in problems])
        )

    return app


class Service:
    """One model: loaded, asked through a queue, taught by labels, and what is counted and logged about it.

    Attributes: `state` ("starting", "ready" or "draining"), `card`, `version`, `telemetry`, `model` (the `Predictor`) and
    `meanings`, which says in words what each field may be.
    """

    def __init__(self, config):
        self.config, self.state = config, "starting"
        self.card = ModelCard.read(config.model)
        self.version = check_version(config.version or self.card.version)
        self.telemetry = Telemetry(self.version, self.card)
        self._log = self._open_log()
        low, high = value_range(config.label_low, config.label_high)
        label = f"the truth, a number from {low:.16g} to {high:.16g}"
        self.meanings = {"request_id": "a request's id, a text", "label": label}
        self.meanings |= {one.name: one.meaning for one in self.card.fields}
        self._prepare = self._preparation()
        self.model = self._call = self._batcher = self._faulty = None
        self._remembered = OrderedDict()  # id of a row -> _Remembered
        self._prefix, self._count = secrets.token_hex(4), 0

    def _open_log(self):
        known = [*(one.name for one in (*self.card.features, *self.card.fields)), "user_id"]
        if unknown := [name for name in self.config.redact if name not in known]:
            raise ValueError(f"redact={unknown[0]!r} is no feature: {nearest_name(unknown[0], known)}.")
        return None if self.config.log is None else RedactedLog(self.config.log, self.config.redact)

    def _preparation(self):
        """The function that computes the features of rows (list of dicts -> list of dicts), or None where requests have them."""
        name, skew = self.card.prepare, self.config.faults.skew
        if name is None:
            if skew is not None:
                raise ValueError(
                    "faults.skew is for a model that was saved with prepare=...: requests of this one have features."
                )
            return None
        return PREPARATIONS[name].rows if skew is None else functools.partial(skewed, skew=skew)

    # ------------------------------------------------------------------------------- start and end

    def _load(self):
        model, card = load_model(self.config.model)
        predictor = call = Predictor(model, card)
        predictor.warm_up()
        if self._prepare is not None:
            self._prepare([valid_row(card.fields)])
        if self.config.faults != Faults():
            self._faulty = call = Faulty(call, self.config.faults)
            self._faulty.load()
        return predictor, call

    async def start(self):
        """Load the model in a thread, so that `/healthz` and `/readyz` answer meanwhile."""
        self.model, call = await asyncio.to_thread(self._load)
        self._call = self.telemetry.timed(call)
        if self.config.workers:
            self._batcher = Batcher(
                self._call,
                workers=self.config.workers,
                max_rows=self.config.batch_rows,
                queue=self.config.limits.queue,
            )
        if self.state == "starting":
            self.state = "ready"
            self.telemetry.ready.set(1)

    def drain(self):
        """From now on `/readyz` says 503; requests are still answered."""
        self.state = "draining"
        self.telemetry.ready.set(0)

    async def close(self):
        """End waiting requests and threads, close the log."""
        if self._faulty is not None:
            self._faulty.close()
        if self._batcher is not None:
            self._batcher.close()
        if self._log is not None:
            self._log.close()

    # ------------------------------------------------------------------- what a request asks of it

    async def predict(self, record, receive):
        """The answers to the rows of a record; `receive` tells when the client has left. Raises `Refusal`."""
        if self._prepare is not None:
            self._compute_features(record)
        self._check_loaded()
        self.telemetry.observe_rows(record.rows)
        try:
            if self._batcher is None:
                answers = self._call(record.rows, record.ids)
            else:
                at_once = self._batcher.is_free
                work = self._batcher.submit(record.rows, record.ids, self.config.limits.timeout_s)
                answers = await (work if at_once else while_connected(work, receive))
        except Refusal:
            raise
        except QueueFull:
            raise Refusal(503, "queue_full", headers=BUSY) from None
        except TimedOut:
            raise Refusal(504, "timeout") from None
        except Exception as error:
            self.telemetry.errors.labels(type(error).__name__).inc()
            raise Refusal(500, "model_failed") from None
        self.telemetry.observe_answers(answers)
        self._remember(record)
        record.answers = answers
        return answers

    def _compute_features(self, record):
        record.raw, record.rows = record.rows, None
        try:
            record.rows = self._prepare(record.raw)
        except Exception as error:
            self.telemetry.errors.labels(type(error).__name__).inc()
            raise Refusal(500, "model_failed") from None

    async def learn(self, request_id, label):
        """Keep the truth about a row. Returns whether the model learned from it; raises `Refusal`."""
        self._check_loaded()
        if request_id not in self._remembered:
            raise Refusal(404, "unknown_request")
        known = self._remembered[request_id]
        if known.label is not None and known.label == label:
            return False  # sent again
        if known.is_corrected:  # otherwise a sender could rewrite the past for ever
            raise Refusal(409, "label_stands", [("label", "was corrected once, and now stands")])
        try:
            if self._log is not None:
                self._log.label(request_id, label)
        except (LogError, OSError):
            self.telemetry.unlogged.inc()
            raise Refusal(503, "log_failed", headers=BUSY) from None
        known.is_corrected, known.label = known.label is not None, label
        row, known.row = known.row, None  # a correction does not teach
        if row is None:
            return False
        if self._batcher is None:
            self.model.learn(row, label)
        else:  # the model may be busy in a thread
            await asyncio.to_thread(self.model.learn, row, label)
        return True

    def _check_loaded(self):
        if self._call is None:  # "starting"; or "draining" before the model was there
            raise Refusal(503, "not_ready", headers=BUSY)

    def _remember(self, record):
        known = self._remembered
        for request_id, row in zip(record.ids, record.rows, strict=True):
            row = row if self.model.learns else None
            if (before := known.get(request_id)) is None:
                known[request_id] = _Remembered(row)
                continue
            known.move_to_end(request_id)  # sent again: its label stays, and does not teach twice
            if before.label is None:
                before.row = row
        while len(known) > REMEMBERED:
            known.popitem(last=False)

    # --------------------------------------------------------- what the `Recorder` reports of each request

    def new_id(self):
        """An id for a request that brings none."""
        self._count += 1
        return f"{self._prefix}-{self._count}"

    def begin(self, path):
        """A request has arrived."""
        self.telemetry.in_flight += path == "/predict"

    def finish(self, path, record, status):
        """The answer is about to leave: write one log row a model row, and the metrics."""
        if path == "/predict":
            self.telemetry.in_flight -= 1
            try:
                if self._log is not None:
                    write_record(self._log, record, status, self.version)
            except (LogError, OSError):
                self.telemetry.unlogged.inc()
            self.telemetry.answered(status, record.stop_the_clock() / 1000)
        elif path == "/label":
            self.telemetry.labels.labels(status).inc()

    def failed(self, error):
        """The service itself has raised an error."""
        self.telemetry.errors.labels(type(error).__name__).inc()


@dataclass(slots=True)
class _Remembered:
    """What is kept of an answered row: itself while something can be learned from it, and its label."""

    row: dict | None
    label: object = None
    is_corrected: bool = False


def _refusals(*statuses):
    """What OpenAPI says about these statuses; FastAPI adds their names."""
    return {status: {"model": RefusalBody} for status in statuses}
