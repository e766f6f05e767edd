"""What FastAPI leaves to others, as pure ASGI middleware: a record of each request, and the guard in front of the application."""

import asyncio
import json
import time

from fastapi import Request

from mlprod_helpers.serving.headers import NAME, NAME_IN_WORDS, foreign, valid_name
from mlprod_helpers.serving.service.refusals import Refusal, response_to

# of two of these the router might take one, and the service the other
_ONCE = frozenset(("host", "origin", "content-type", "x-request-id", "x-user-id", "x-shadow", "x-api-key"))
_NAME = {"type": "string", "pattern": NAME}
_SHADOW = {"type": "string", "enum": ["0", "1"]}
#: what OpenAPI says about the headers that the `Guard` reads: read by FastAPI, they cost a fifth of a request
HEADERS = {
    "openapi_extra": {
        "parameters": [
            {"name": name, "in": "header", "required": False, "schema": schema}
            for name, schema in (("X-Request-Id", _NAME), ("X-User-Id", _NAME), ("X-Shadow", _SHADOW))
        ]
    }
}


class Record:
    """What is known about one request so far; the row of the log is made of it.

    `arrived` is in seconds since 1970; `rows` and `answers` are None until they are known.
    """

    __slots__ = (
        "answers",
        "arrived",
        "begin",
        "ids",
        "latency_ms",
        "own_id",
        "request_id",
        "rows",
        "shadow",
        "user",
    )

    def __init__(self, own_id):
        self.arrived, self.begin = time.time(), time.perf_counter()
        self.request_id = self.own_id = own_id
        self.user, self.shadow = None, False
        self.rows = self.ids = self.answers = self.latency_ms = None

    def forget_names(self):
        """Back to an id of the service's own: who may not ask may not write over another's row of the log."""
        self.request_id, self.user = self.own_id, None

    def stop_the_clock(self):
        """Milliseconds from the arrival to the first call of this method."""
        if self.latency_ms is None:
            self.latency_ms = round(1000 * (time.perf_counter() - self.begin), 3)
        return self.latency_ms


class Recorder:
    """Gives each request an id, starts its clock, and writes log and metrics before its answer leaves, whatever the answer is.

    `service` has `new_id()`, `begin(path)`, `record(path, record, status)`, `failed(error)` and `version`.
    """

    def __init__(self, app, service):
        self.app, self.service = app, service
        self._version = (b"x-version", service.version.encode())

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        service, path = self.service, scope["path"]
        record = Record(service.new_id())
        scope.setdefault("state", {})["record"] = record
        status = None

        async def send_recorded(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                service.record(path, record, status)
                message["headers"] += [self._version, (b"x-request-id", record.request_id.encode())]
            await send(message)

        service.begin(path)
        try:
            await self.app(scope, receive, send_recorded)
        except asyncio.CancelledError:  # the time of a drain is over
            if status is None:
                service.record(path, record, 503)
            raise
        except Exception as error:  # our own mistake is a request of the log, too
            if status is not None:
                raise
            service.failed(error)
            answer = response_to(Request(scope), Refusal(500, "internal"))
            await answer(scope, receive, send_recorded)


class Guard:
    """Refuses what must not reach the application: senders that are web pages or ask too often, headers that stand twice, and
    bodies that are too large, too slow, no JSON, or name a thing twice.

    Parameters
    ----------
    app : the ASGI application behind it; it gets the body whole
    limits : `config.Limits`
    rate : `access.RateLimit` or None, of requests to these paths
    takes_json : paths whose POST must have a JSON body
    """

    def __init__(self, app, limits, rate, takes_json):
        self.app, self.limits, self.rate, self.takes_json = app, limits, rate, takes_json

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            headers = _headers(scope)
            is_guarded = scope["path"] in self.takes_json
            wait = self.rate.wait((scope.get("client") or ("",))[0]) if is_guarded and self.rate else 0
            body = await self._body(
                headers, receive
            )  # read in any case: who is sending does not see a refusal
            if wait:
                raise Refusal(429, "too_many", headers={"Retry-After": str(int(wait) + 1)})
            if is_guarded and scope["method"] == "POST":
                _check_json(headers, body)
                _take_names(headers, scope["state"]["record"])
        except Refusal as refusal:
            await response_to(Request(scope), refusal)(scope, receive, send)
            return
        is_read = False

        async def receive_again():
            nonlocal is_read
            if is_read:
                return await receive()  # from now on only the client's leaving
            is_read = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, receive_again, send)

    async def _body(self, headers, receive):
        if "transfer-encoding" in headers:
            if "content-length" in headers:  # two ends of one body: request smuggling
                raise _closing(400, "two_lengths")
        elif "content-length" not in headers:
            return b""
        most = self.limits.body_bytes
        try:
            if int(headers.get("content-length", 0)) > most:
                if "expect" not in headers:  # who expects "100 Continue" sends nothing before
                    await _throw_away(receive, 16 * most)
                raise _closing(413, "too_large")
            async with asyncio.timeout(self.limits.body_s):
                parts, size, more = [], 0, True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _closing(400, "client_gone")
                    parts.append(message.get("body", b""))
                    size, more = size + len(parts[-1]), message.get("more_body", False)
                    if size > most:
                        await _throw_away(receive, 16 * most)
                        raise _closing(413, "too_large")
                return parts[0] if len(parts) == 1 else b"".join(parts)
        except TimeoutError:
            raise _closing(408, "too_slow") from None


def _closing(status, error, problems=()):
    """A refusal after which the rest of the body is not read: the connection is closed."""
    return Refusal(status, error, problems, {"Connection": "close"})


def _headers(scope):
    """The headers, a dict. Refused is what a page of somebody else sends from the browser of this machine, and what stands twice."""
    headers, twice = {}, None
    for key, value in scope["headers"]:
        name = key.decode("latin-1")
        if name in headers and name in _ONCE:
            twice = name.title()
        headers[name] = value.decode("latin-1")
    if refused := foreign(headers.get("host"), headers.get("origin")):
        status, error, where, what = refused
        raise _closing(status, error, [(where, what)])
    if twice is not None:
        raise _closing(400, "header_twice", [(twice, "stands twice: send it once")])
    return headers


def _take_names(headers, record):
    """Put the names that the sender gave into the record, or refuse them."""
    problems = []
    for header in ("X-Request-Id", "X-User-Id"):
        if (name := headers.get(header.lower())) is not None and not valid_name(name):
            problems.append((header, NAME_IN_WORDS))
    if (shadow := headers.get("x-shadow")) not in (None, "0", "1"):
        problems.append(("X-Shadow", "0 or 1"))
    if problems:
        raise Refusal(422, "invalid", problems)
    record.request_id = headers.get("x-request-id", record.own_id)
    record.user, record.shadow = headers.get("x-user-id"), shadow == "1"


def _check_json(headers, body):
    """Refuse what is not JSON by its header or in fact (NaN is none), and an object that names a thing twice: one reader would
    take the first value, another the last."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refusal(415, "content_type")
    try:
        json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refusal(400, "no_json") from None


def _object(pairs):
    unique = dict(pairs)
    if len(unique) < len(pairs):
        raise Refusal(422, "invalid", [("", "a name stands twice in one object: send it once")])
    return unique


def _no_constant(name):
    raise ValueError(f"{name} is no JSON.")


async def _throw_away(receive, most):
    """Read what still comes, within bounds, and forget it: an ordinary client reads the refusal when it has sent its body."""
    try:
        async with asyncio.timeout(0.5):
            while most > 0:
                message = await receive()
                most -= len(message.get("body", b""))
                if not message.get("more_body"):
                    return
    except TimeoutError:
        return


async def while_connected(work, receive):
    """The result of a coroutine; when the client leaves before, the work is cancelled, and the request refused with 400.

    `receive` is that of a request whose body has been read.
    """
    work, leaves = asyncio.ensure_future(work), asyncio.ensure_future(receive())
    try:
        await asyncio.wait({work, leaves}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done() and leaves.result()["type"] == "http.disconnect":
            raise Refusal(400, "client_gone")
        return await work
    finally:
        work.cancel()
        leaves.cancel()
