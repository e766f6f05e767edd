"""One request on its way through the service: what is known about it, and how its body is read, once and strictly."""

import asyncio
import json
import time
from dataclasses import dataclass, field

from fastapi import Request
from fastapi.routing import APIRoute

from mlprod_helpers.serving.headers import NAME, NAME_IN_WORDS, valid_name
from mlprod_helpers.serving.service.refusals import Refusal

_NAME = {"type": "string", "pattern": NAME}
_SHADOW = {"type": "string", "enum": ["0", "1"]}
#: what OpenAPI says about the headers that `JsonRoute` reads: read by FastAPI, they would cost a fifth of a request
HEADERS = {
    "openapi_extra": {
        "parameters": [
            {"name": name, "in": "header", "required": False, "schema": schema}
            for name, schema in (("X-Request-Id", _NAME), ("X-User-Id", _NAME), ("X-Shadow", _SHADOW))
        ]
    }
}


@dataclass(slots=True)
class Record:
    """What is known about one request so far; the row of the log is made of it.

    `arrived` is in seconds since 1970; `rows`, their `ids` and `answers` are None until they are known. `raw` has the fields of the
    rows as they were sent, where the service computes the features in `rows` from them.
    """

    own_id: str
    arrived: float = field(default_factory=time.time)
    begin: float = field(default_factory=time.perf_counter)
    request_id: str = ""
    user: str | None = None
    shadow: bool = False
    rows: list | None = None
    raw: list | None = None
    ids: list | None = None
    answers: list | None = None
    latency_ms: float | None = None

    def __post_init__(self):
        self.request_id = self.own_id

    def forget_names(self):
        """Back to an id of the service's own: nobody may write over another's row of the log."""
        self.request_id, self.user = self.own_id, None

    def take_names(self, headers):
        """Take the names that the sender gave (headers by lower-case name), or refuse them."""
        request_id, user = headers.get("x-request-id"), headers.get("x-user-id")
        shadow = headers.get("x-shadow", "0")
        problems = [
            (header, NAME_IN_WORDS)
            for header, name in (("X-Request-Id", request_id), ("X-User-Id", user))
            if name is not None and not valid_name(name)
        ]
        if shadow not in ("0", "1"):
            problems.append(("X-Shadow", "0 or 1"))
        if problems:
            raise Refusal(422, "invalid", problems)
        if request_id is not None:
            self.request_id = request_id
        self.user, self.shadow = user, shadow == "1"

    def stop_the_clock(self):
        """Milliseconds from the arrival to the first call of this method."""
        if self.latency_ms is None:
            self.latency_ms = round(1000 * (time.perf_counter() - self.begin), 3)
        return self.latency_ms


class JsonRoute(APIRoute):
    """A route that takes, where it takes a body, strict JSON only, and the names of request and user from the headers."""

    def get_route_handler(self):
        handle = super().get_route_handler()
        if self.body_field is None:
            return handle

        async def handle_json(request):
            headers = request.state.headers
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                raise Refusal(415, "content_type")
            request = JsonRequest(request.scope, request.receive)
            await request.json()
            request.state.record.take_names(headers)
            return await handle(request)

        return handle_json


class JsonRequest(Request):
    """A request whose JSON names nothing twice in one object (one reader would take the first value, another the last) and holds no NaN."""

    async def json(self):
        if not hasattr(self, "_json"):
            try:
                body = (await self.body()).decode()
                self._json = json.loads(body, object_pairs_hook=_unique, parse_constant=_no_constant)
            except (ValueError, RecursionError):
                raise Refusal(400, "no_json") from None
        return self._json


def _unique(pairs):
    unique = dict(pairs)
    if len(unique) < len(pairs):
        raise Refusal(422, "invalid", [("", "a name stands twice in one object: send it once")])
    return unique


def _no_constant(name):
    raise ValueError(f"{name} is not JSON.")


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
