"""What FastAPI leaves to others, as pure ASGI middleware: a record of each request, and the guard in front of the application."""

import asyncio
from time import monotonic

from mlprod_helpers.serving.headers import foreign
from mlprod_helpers.serving.service.refusals import Refusal, response_to
from mlprod_helpers.serving.service.requests import Record

# of two of these the router might take one, and the service the other
_ONCE = frozenset(("host", "origin", "content-type", "x-request-id", "x-user-id", "x-shadow", "x-api-key"))


class Recorder:
    """Gives each request an id, starts its clock, and writes log and metrics before its answer leaves, whatever the answer is.

    `service` has `new_id()`, `begin(path)`, `finish(path, record, status)`, `failed(error)` and `version`.
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
                service.finish(path, record, status)
                message["headers"] += [self._version, (b"x-request-id", record.request_id.encode())]
            await send(message)

        service.begin(path)
        try:
            await self.app(scope, receive, send_recorded)
        except asyncio.CancelledError:  # the time of a drain is over
            if status is None:
                service.finish(path, record, 503)
            raise
        except Exception as error:  # a bug of the service is a row of the log, too
            if status is not None:
                raise
            service.failed(error)
            await response_to(record, Refusal(500, "internal"))(scope, receive, send_recorded)


class Guard:
    """Refuses what must not reach the application: senders that are web pages or ask too often, headers that are sent twice, and bodies
    that are too large or too slow.

    Parameters
    ----------
    app : the ASGI application behind it; it gets the body whole
    limits : `config.Limits`
    rate : `access.RateLimit` or None, of requests to these paths
    paths : paths whose rate is limited
    """

    def __init__(self, app, limits, rate, paths):
        self.app, self.limits, self.rate, self.paths = app, limits, rate, paths

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            headers = scope["state"]["headers"] = _checked_headers(scope)
            is_limited = self.rate and scope["path"] in self.paths
            client = (scope.get("client") or ("",))[0]
            wait = self.rate.wait(client, monotonic()) if is_limited else 0
            # in any case: a client that still sends reads no refusal
            body = await self._body(headers, receive)
            if wait:
                raise Refusal(429, "too_many", headers={"Retry-After": str(int(wait) + 1)})
        except Refusal as refusal:
            await response_to(scope["state"]["record"], refusal)(scope, receive, send)
            return
        whole = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive_body():
            return whole.pop() if whole else await receive()  # afterwards only the client's leaving

        await self.app(scope, receive_body, send)

    async def _body(self, headers, receive):
        if "transfer-encoding" in headers:
            if "content-length" in headers:  # two ends of one body: request smuggling
                raise _closing(400, "two_lengths")
        elif "content-length" not in headers:
            return b""
        most = self.limits.body_bytes
        try:
            if int(headers.get("content-length", 0)) > most:
                if "expect" not in headers:  # a client that expects "100 Continue" sends nothing before
                    await _discard(receive, 16 * most)
                raise _closing(413, "too_large")
            async with asyncio.timeout(self.limits.body_s):
                body, more = bytearray(), True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _closing(400, "client_gone")
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > most:
                        await _discard(receive, 16 * most)
                        raise _closing(413, "too_large")
                return bytes(body)
        except TimeoutError:
            raise _closing(408, "too_slow") from None


def _closing(status, error, problems=()):
    """A refusal after which the rest of the body is not read: the connection is closed."""
    return Refusal(status, error, problems, {"Connection": "close"})


def _checked_headers(scope):
    """The headers as a dict; refused is what another page sends from a browser on this machine, and what is sent twice."""
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


async def _discard(receive, most):
    """Read what still comes, within bounds: an ordinary client reads the refusal only when it has sent its body."""
    try:
        async with asyncio.timeout(0.5):
            while most > 0:
                message = await receive()
                most -= len(message.get("body", b""))
                if not message.get("more_body"):
                    return
    except TimeoutError:
        return
