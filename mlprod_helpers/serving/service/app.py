"""The service's HTTP side: FastAPI, with the few endpoints as plain ASGI functions, because a request is a millisecond.

What it promises stands in the package's docstring, and as OpenAPI under `/openapi.json`.
"""

import asyncio
import contextlib
import json
import secrets
import time
from collections import OrderedDict

from fastapi import FastAPI
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from starlette.routing import Route

from mlprod_helpers.serving.service.batching import Batcher, QueueFull, TimedOut
from mlprod_helpers.serving.service.config import check_version, valid_name
from mlprod_helpers.serving.service.exchange import Ask, Refusal, has_large_body, is_json, told_of
from mlprod_helpers.serving.service.limits import (
    ApiKey,
    Gone,
    TokenBuckets,
    TooLarge,
    TooSlow,
    read_body,
    throw_away,
    unless_gone,
)
from mlprod_helpers.serving.service.log import EventLog
from mlprod_helpers.serving.service.models import ModelCard, Predictor, load_model
from mlprod_helpers.serving.service.openapi import document
from mlprod_helpers.serving.service.schema import BodySchema, LabelSchema, Refused
from mlprod_helpers.serving.service.telemetry import Telemetry

_JSON = (b"content-type", b"application/json")


class _Kept:
    """What is remembered of an answered row: itself while something is to be learned from it, and its label."""

    __slots__ = ("is_corrected", "label", "row")

    def __init__(self, row):
        self.row, self.label, self.is_corrected = row, None, False


class Service:
    """One model behind HTTP: its state, and the endpoints as ASGI functions.

    Attributes: `state` ("starting", "ready" or "draining"), `card`, `version`, `telemetry`, `model` (the Predictor).
    """

    def __init__(self, config):
        self.config, self.state = config, "starting"
        self.card = ModelCard.read(config.model)
        self.version = config.version or self.card.version
        check_version(self.version)
        self.telemetry = Telemetry(self.version, self.card.features, classes=self.card.classes)
        self.telemetry.describe(self.card)
        self.telemetry.ready(0)
        names = [one.name for one in self.card.features]
        self.log = EventLog(
            config.log,
            version=self.version,
            names=names,
            share=config.features_share,
            redact=config.redact,
            failed=self.telemetry.unlogged,
        )
        limits = config.limits
        self.body = BodySchema(self.card.features, rows=limits.rows)
        self.label_body = LabelSchema(self.card.classes, low=config.label_low, high=config.label_high)
        self._buckets = TokenBuckets(limits.rate_per_s, limits.burst, limits.clients)
        self.key = ApiKey()
        self.model = self._call = self._batcher = self._faulty = None
        self._kept = OrderedDict()  # request id -> _Kept
        self._prefix, self._count = secrets.token_hex(4), 0
        self._version_header = (b"x-version", self.version.encode())

    # ------------------------------------------------------------------------------- start and end

    def _load(self):
        from mlprod_helpers.serving.service.faults import Faulty

        model, card = load_model(self.config.model)
        predictor = call = Predictor(model, card)
        predictor.warm_up()
        if self.config.faults != type(self.config.faults)():
            self._faulty = call = Faulty(call, self.config.faults)
            self._faulty.load()
        return predictor, call

    async def start(self):
        """Load the model in a thread, so that `/healthz` and `/readyz` answer meanwhile."""
        self.model, call = await asyncio.to_thread(self._load)
        self._call = self.telemetry.timed(call)
        if self.config.workers:
            batching = self.config.batching
            self._batcher = Batcher(
                self._call,
                workers=self.config.workers,
                max_rows=batching.max_rows,
                wait_s=batching.wait_ms / 1000,
                queue=self.config.limits.queue,
            )
        if self.state == "starting":
            self.state = "ready"
            self.telemetry.ready(1)

    def drain(self):
        """From now on `/readyz` says 503; requests are still answered."""
        self.state = "draining"
        self.telemetry.ready(0)

    async def close(self):
        """End waiting requests and threads, close the log."""
        if self._faulty is not None:
            self._faulty.close()
        if self._batcher is not None:
            await self._batcher.close(drain=False)
        self.log.close()

    # ------------------------------------------------------------------------------------ /predict

    async def predict(self, scope, receive, send):
        """`POST /predict`: one log row a model row, written before the answer leaves."""
        ask = Ask(scope, self._new_name())
        telemetry, refusal, answers = self.telemetry, None, None
        telemetry.in_flight += 1
        try:
            answers = await self._answers(ask, scope, receive)
            status = 200
        except Refusal as found:
            refusal, status = found, found.status
        except Gone:
            refusal = Refusal(400, "client_gone", close=True)
            status = 400
        except asyncio.CancelledError:  # the drain's time is over
            self._finish(ask, 503, None)
            raise
        except Exception as error:  # our own mistake is a request of the log too
            telemetry.failed(error)
            refusal, status = Refusal(500, "internal"), 500
        finally:
            telemetry.in_flight -= 1
        latency = self._finish(ask, status, answers)
        if refusal is not None:
            await self._refuse(send, refusal, ask.name, receive)
            return
        await self._send(send, 200, told_of(ask, answers, self.version, latency), ask.name)

    def _finish(self, ask, status, answers):
        seconds = time.perf_counter() - ask.begin
        latency = round(1000 * seconds, 3)
        self.log.requests(ask, ask.rows, answers, status, latency)
        self.telemetry.answered(status, seconds)
        return latency

    async def _answers(self, ask, scope, receive):
        if scope["method"] != "POST":
            raise Refusal(405, "method", headers=[(b"allow", b"POST")], close=has_large_body(ask.head))
        body = await self._body(ask, scope, receive)
        try:
            rows, ask.many = self.body.parse(body)
        except Refused as found:
            self.telemetry.refused(found.problems)
            raise Refusal(found.status, found.error, found.detail) from None
        name = ask.name
        ask.ids = [f"{name}.{i}" for i in range(len(rows))] if ask.many else [name]
        ask.rows = rows
        self.telemetry.took_in(rows)
        try:
            if self._batcher is None:
                answers = self._call(rows, ask.ids)
            else:
                at_once = self._batcher.is_free
                answers = self._batcher.submit(rows, ask.ids, self.config.limits.timeout_s)
                answers = await (answers if at_once else unless_gone(answers, receive))
        except Gone:
            raise
        except QueueFull:
            raise Refusal(503, "queue_full", headers=[(b"retry-after", b"1")]) from None
        except TimedOut:
            raise Refusal(504, "timeout") from None
        except Exception as error:
            self.telemetry.failed(error)
            raise Refusal(500, "model_failed") from None
        self.telemetry.gave_out(answers)
        self._remember(ask.ids, rows)
        return answers

    def _remember(self, ids, rows):
        if not self.config.remember:
            return
        kept, learns = self._kept, self.config.learn and self.model.learns
        for name, row in zip(ids, rows, strict=True):
            if (known := kept.get(name)) is None:
                kept[name] = _Kept(row if learns else None)
                continue
            kept.move_to_end(name)  # sent again: a label that it has stands, and does not teach twice
            if known.label is None:
                known.row = row if learns else None
        while len(kept) > self.config.remember:
            kept.popitem(last=False)

    # -------------------------------------------------------------------------------------- /label

    async def label(self, scope, receive, send):
        """`POST /label`: the truth about a request that was answered here. It may be corrected once: whoever may send labels
        would else rewrite the past for ever. The same label again changes nothing."""
        ask = Ask(scope, self._new_name())
        try:
            if scope["method"] != "POST":
                raise Refusal(405, "method", headers=[(b"allow", b"POST")], close=has_large_body(ask.head))
            told = await self._label(ask, scope, receive)
        except (Refusal, Gone) as found:
            refusal = found if isinstance(found, Refusal) else Refusal(400, "client_gone", close=True)
            self.telemetry.labeled(refusal.status)
            await self._refuse(send, refusal, ask.name, receive)
            return
        self.telemetry.labeled(200)
        await self._send(send, 200, told, ask.name)

    async def _label(self, ask, scope, receive):
        body = await self._body(ask, scope, receive)
        try:
            name, label = self.label_body.parse(body)
        except Refused as found:
            raise Refusal(found.status, found.error, found.detail) from None
        if name not in self._kept:
            raise Refusal(404, "unknown_request")
        kept = self._kept[name]
        told = {"request_id": name, "version": self.version, "learned": False}
        if kept.label is not None and kept.label == label:
            return told  # sent again
        if kept.is_corrected:
            raise Refusal(
                409, "label_stands", [{"where": "label", "what": "was corrected once, and now stands"}]
            )
        if not self.log.label(name, label):
            raise Refusal(503, "log_failed", headers=[(b"retry-after", b"1")])
        kept.is_corrected, kept.label = kept.label is not None, label
        row, kept.row = kept.row, None  # a correction does not teach
        if row is not None:
            if self._batcher is None:
                self.model.learn(row, label)
            else:  # the model may be busy in a thread
                await asyncio.to_thread(self.model.learn, row, label)
        return told | {"learned": row is not None}

    # ---------------------------------------------------------------------------- what both need

    async def _body(self, ask, scope, receive):
        """The body, when key, rate, headers, state and size allow it."""
        head, limits = ask.head, self.config.limits
        ask.check_sender()
        if self.key.needed or limits.rate_per_s is not None:
            self._let_in(head, scope)
        self._read_head(ask, head)
        if (
            "transfer_encoding" in head and "content_length" in head
        ):  # two ends of one body: request smuggling
            raise Refusal(400, "two_lengths", close=True)
        if self._call is None:  # "starting"; or "draining" before the model was there
            raise Refusal(503, "not_ready", headers=[(b"retry-after", b"1")], close=has_large_body(head))
        if not is_json(head.get("content_type", b"")):
            raise Refusal(415, "content_type", close=has_large_body(head))
        if int(head.get("content_length", 0)) > limits.body_bytes:
            # who expects "100 Continue" sends nothing before
            raise Refusal(413, "too_large", close=True, comes="expect" not in head)
        try:
            return await read_body(receive, limits.body_bytes, limits.body_s)
        except TooLarge:
            raise Refusal(413, "too_large", close=True, comes=True) from None
        except TooSlow:
            raise Refusal(408, "too_slow", close=True) from None

    def _let_in(self, head, scope):
        client = (scope.get("client") or ("",))[0]
        if self.config.limits.trust_forwarded and "x_forwarded_for" in head:
            client = head["x_forwarded_for"].rpartition(b",")[2].strip()[:64]
        wait = self._buckets.wait(client)  # before the key: keys cannot be tried out at any rate
        if wait:
            seconds = str(int(wait) + 1).encode()
            raise Refusal(429, "too_many", headers=[(b"retry-after", seconds)], close=has_large_body(head))
        if not self.key.allows(head.get("x_api_key", b"")):
            scheme = [(b"www-authenticate", b"ApiKey")]
            raise Refusal(401, "no_key", headers=scheme, close=has_large_body(head))

    def _read_head(self, ask, head):
        wrong = []
        for key, where in (("x_request_id", "X-Request-Id"), ("x_user_id", "X-User-Id")):
            if key in head:
                text = head[key].decode("latin-1")
                if not valid_name(text):
                    wrong.append({"where": where, "what": "1 to 64 of A-Z a-z 0-9 . _ : -"})
                elif key == "x_user_id":
                    ask.user = text
                else:
                    ask.name = text
        if "x_shadow" in head:
            if head["x_shadow"] not in (b"0", b"1"):
                wrong.append({"where": "X-Shadow", "what": "0 or 1"})
            ask.shadow = head["x_shadow"] == b"1"
        if wrong:
            raise Refusal(422, "invalid", wrong, close=has_large_body(head))

    def _new_name(self):
        self._count += 1
        return f"{self._prefix}-{self._count}"

    # ------------------------------------------------------------------------------ the small ones

    async def healthz(self, scope, receive, send):
        """Alive: the process can answer."""
        await self._get(scope, receive, send, lambda: (200, {"state": "alive"}))

    async def readyz(self, scope, receive, send):
        """Ready: send requests here."""
        await self._get(
            scope, receive, send, lambda: (200 if self.state == "ready" else 503, {"state": self.state})
        )

    async def about(self, scope, receive, send):
        """Which model this is."""
        await self._get(scope, receive, send, lambda: (200, self.card.to_dict() | {"version": self.version}))

    async def metrics(self, scope, receive, send):
        """Prometheus' text format."""
        await self._get(scope, receive, send, lambda: (200, self.telemetry.text()))

    async def openapi(self, scope, receive, send):
        """This API as OpenAPI."""
        await self._get(scope, receive, send, lambda: (200, scope["app"].openapi()))

    async def nothing_here(self, scope, receive, send):
        """Any other path."""
        if scope["type"] != "http":  # no websockets here
            await send({"type": "websocket.close", "code": 1000})
            return
        close = has_large_body(Ask(scope, "").head)
        await self._refuse(send, Refusal(404, "no_such_path", close=close), self._new_name(), receive)

    async def _get(self, scope, receive, send, content):
        ask = Ask(scope, "")
        try:
            ask.check_sender()
            if scope["method"] != "GET":
                close = has_large_body(ask.head)
                raise Refusal(405, "method", headers=[(b"allow", b"GET")], close=close)
        except Refusal as refusal:
            await self._refuse(send, refusal, self._new_name(), receive)
            return
        status, told = content()
        headers = [(b"retry-after", b"1")] if status == 503 else ()
        await self._send(send, status, told, None, headers)

    async def _refuse(self, send, refusal, name, receive):
        headers = refusal.headers
        if refusal.close:
            headers = [*headers, (b"connection", b"close")]
        if refusal.comes:
            await throw_away(receive, 16 * self.config.limits.body_bytes, 0.5)
        told = {"error": refusal.error, "request_id": name, "detail": refusal.detail}
        await self._send(send, refusal.status, told, name, headers)

    async def _send(self, send, status, told, name, headers=()):
        if type(told) is bytes:
            body, kind = told, (b"content-type", CONTENT_TYPE_PLAIN_0_0_4.encode())
        else:
            body, kind = json.dumps(told, separators=(",", ":")).encode(), _JSON
        head = [kind, (b"content-length", str(len(body)).encode()), self._version_header, *headers]
        if name is not None:
            head.append((b"x-request-id", name.encode()))
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})


class _Endpoint:
    """A plain ASGI function as a route's endpoint: FastAPI's own would parse what is parsed here."""

    def __init__(self, function):
        self._function = function

    async def __call__(self, scope, receive, send):
        await self._function(scope, receive, send)


def create_app(config):
    """The application for a `ServiceConfig`; its `state.service` is the `Service`.

    The model is loaded when the server starts it (ASGI's lifespan), in the background: until then `/readyz` says 503. What
    cannot be loaded is an error in `state.loading`, a task.

    Raises
    ------
    ModelError : no model in the folder.
    ValueError : the config does not fit the model.
    """
    service = Service(config)

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
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.service = service
    for path, name in (
        ("/predict", "predict"),
        ("/label", "label"),
        ("/healthz", "healthz"),
        ("/readyz", "readyz"),
        ("/version", "about"),
        ("/metrics", "metrics"),
        ("/openapi.json", "openapi"),
    ):
        endpoint = getattr(service, name)
        app.router.routes.append(Route(path, _Endpoint(endpoint), include_in_schema=False))
    app.router.default = service.nothing_here
    app.openapi = lambda: document(service)
    return app
