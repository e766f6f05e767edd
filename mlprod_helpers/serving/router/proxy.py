"""The router: a small reverse proxy that gives every user their version of the model.

- Sticky: `rollout.route` decides by the user's name (`X-User-Id`), with the same buckets as the simulator.
- A shadow copy starts when the client's answer has gone out, as one of a bounded number of tasks; when these are busy it is dropped. Each copy
  without an answer takes one place away and each answered one gives it back, so a canary that hangs soon gets one copy at a time.
- A version that is not ready gets nothing: its users go to the other one, and where none is ready the answer is 503.
- What only reads, a prediction too, is tried again when a connection breaks: first at the same version, then at the other one. A 500 is
  an answer, and a timeout is final. A label is never sent twice to the same version.
- Every request to `/predict` is logged, one row a model row; a failed try that was made again elsewhere is a row with `served` False. What
  the router itself refuses has the version "router". `POST /label` goes to every version and is logged once one has taken it.
- The router names each request itself (`X-Request-Id`): a client's own id could be in the log twice.

A second port is for the operator: `GET /metrics`, and, with the token, `GET` and `PUT /plan`, `POST /drain`.
"""

import asyncio
import hmac
import json
import random
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from aiohttp import web

from mlprod_helpers.requestlog import LogError
from mlprod_helpers.serving.headers import foreign, valid_name
from mlprod_helpers.serving.processes import HOST
from mlprod_helpers.serving.redaction import RedactedLog
from mlprod_helpers.serving.router.meters import Meters
from mlprod_helpers.serving.router.plan import RoutePlan
from mlprod_helpers.serving.router.rows import json_object, write_rows
from mlprod_helpers.serving.router.upstreams import (
    Answer,
    UpstreamError,
    Upstreams,
    headers_to_client,
    headers_to_service,
)

BODY_BYTES = 1_000_000  # of a request (413 above)
BODY_S = 5.0  # in which it must arrive (408)
IN_FLIGHT = 512  # requests at a time (503 above)
ANSWER_S = 10.0  # in which a service must have answered, the connection included (504)
DRAIN_S = 10.0  # that requests in flight have when a version is drained
COPIES, COPY_S = 64, 2.0  # shadow copies at a time, and seconds that one may take
COPY_AFTER_S = 0.005  # by then the client has read its answer: a copy must not take the processor from it
LABEL_S = 0.25  # how long a label that the stable version took waits for the canary
REMEMBERED_LABELS = 100_000  # so that a label that is sent again is not logged twice
PATHS = {
    "/predict": ("POST",),
    "/label": ("POST",),
    "/version": ("GET",),
    "/healthz": ("GET",),
    "/readyz": ("GET",),
}


@dataclass(slots=True)
class _Request:
    """A client's request: the router's name for it, when it arrived (seconds since 1970), and what was read of it."""

    http: web.BaseRequest
    name: str
    arrived: float = field(default_factory=time.time)
    begin: float = field(default_factory=time.perf_counter)
    user: str | None = None
    body: bytes = b""
    headers: object = None

    @property
    def seconds(self):
        return time.perf_counter() - self.begin


class Router:
    """The router in the running event loop: `async with Router(RouterConfig(plan=plan)) as router: ...`

    `process.RouterProcess` is one in a process of its own. Attributes: `url` and `control_url`, `plan`, `in_flight` (version -> requests
    being answered), `meters`.

    Raises
    ------
    ValueError : users are to be hashed in the log, and `MLPROD_LOG_KEY` is not a key.
    """

    def __init__(self, config):
        self.config, self.meters = config, Meters()
        self._log = None if config.log is None else RedactedLog(config.log, config.redact)
        self._random = random.Random(0)
        self._prefix, self._count, self._now = secrets.token_hex(4), 0, 0
        self._copies, self._labels, self._runners, self._checks = set(), set(), [], None
        self._places = COPIES  # for shadow copies
        self._logged_labels = OrderedDict()  # request id -> its label
        self._plan = config.plan

    # --------------------------------------------------------------------------------- start and end

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *error):
        await self.stop()

    async def start(self):
        """Listen on both ports."""
        self._upstreams = Upstreams(ANSWER_S, COPIES, COPY_S)
        self.in_flight = self._upstreams.in_flight
        self.meters.show(self._plan, self.in_flight)
        self.port = await self._listen(self._handle, BODY_BYTES)
        self.control_port = await self._listen(self._control, 65_536)
        self.url, self.control_url = f"http://{HOST}:{self.port}", f"http://{HOST}:{self.control_port}"
        self._checks = asyncio.ensure_future(self._upstreams.keep_checking(lambda: self._plan))

    async def stop(self):
        """Take no new connection, let requests in flight end, drop the copies."""
        for runner in self._runners:
            await runner.cleanup()
        tasks = [*self._copies, *self._labels, self._checks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._upstreams.close()
        if self._log is not None:
            self._log.close()

    async def _listen(self, handler, body_bytes):
        loop = asyncio.get_running_loop()

        def request(message, payload, protocol, writer, task):
            return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=body_bytes)

        runner = web.ServerRunner(
            # a compressed body goes on as it came: unpacked, it would not be what its header says
            web.Server(handler, request_factory=request, access_log=None, auto_decompress=False),
            shutdown_timeout=2.0,
        )
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, HOST, 0, backlog=1024).start()
        return runner.addresses[0][1]

    # ------------------------------------------------------------------------------------- the plan

    @property
    def plan(self):
        """The plan in force."""
        return self._plan

    def apply(self, plan):
        """Put another plan into force, whole. Returns it with its generation; requests that are under way keep theirs."""
        self._plan = plan.replace(generation=self._plan.generation + 1)
        self.meters.swaps.inc()
        self.meters.show(self._plan, self.in_flight)
        return self._plan

    async def drain(self, version):
        """Send a version no new requests, wait until it has answered those it has. Returns how many are left: 0, or more
        after `DRAIN_S` seconds."""
        self.apply(self._plan.replace(draining=(*self._plan.draining, version)))
        end = time.monotonic() + DRAIN_S
        while (left := self.in_flight[version]) and time.monotonic() < end:
            await asyncio.sleep(0.01)
        return left

    # --------------------------------------------------------------------------------- one request

    async def _handle(self, http):
        self._count += 1
        request = _Request(http, f"{self._prefix}-{self._count}")
        if http.path not in PATHS or not http.raw_path.startswith("/"):  # it may name another host
            return self._refuse(request, 404, "no_such_path")
        if http.method not in PATHS[http.path]:
            return self._refuse(request, 405, "method")
        if refused := _foreign(http.headers):
            return self._refuse(request, *refused)
        if self._now >= IN_FLIGHT:
            return self._refuse(request, 503, "too_many_requests")
        self._now += 1
        try:
            if refused := await _read_body(request):
                return self._refuse(request, *refused)
            user = http.headers.get("X-User-Id")
            request.user = user if user and valid_name(user) else None
            request.headers = headers_to_service(http, request.name)
            return await (self._label(request) if http.path == "/label" else self._forward(request))
        finally:
            self._now -= 1

    async def _forward(self, request):
        plan = self._plan
        version = await self._first_ready(plan, request.user)
        if version is None:
            return self._refuse(request, 503, "not_ready")
        tries, failed = [version], {}
        while True:
            version, started = tries[-1], time.perf_counter()
            try:
                answer = await self._send(plan, version, request)
                break
            except UpstreamError as error:
                following = _next_version(plan, tries, error.problem)
                if following is None or not await self._upstreams.is_ready(plan, following):
                    answer = error.answer(request.name)
                    break
            self.meters.retries.labels(version).inc()
            count, _ = failed.get(version, (0, 0.0))
            failed[version] = count + 1, time.perf_counter() - started
            tries.append(following)
        self.meters.answered(version, answer.status, seconds := request.seconds)
        if request.http.path == "/predict":
            failed.pop(version, None)
            for other, (count, lost_s) in failed.items():  # a judge must see what the client did not
                self._write(request, other, Answer(502, {}, b""), lost_s, attempts=count, served=False)
            self._write(request, version, answer, seconds, attempts=len(tries))
            self._copy(plan, version, request)
        headers = headers_to_client(answer, request.name, version, plan)
        return web.Response(status=answer.status, headers=headers, body=answer.body)

    def _send(self, plan, version, request):
        return self._upstreams.send(plan, version, request.http, request.headers, request.body)

    async def _first_ready(self, plan, user):
        """The version for this user, the other one while it is not ready, or None."""
        chosen = plan.version_of(user)
        for version in (chosen, plan.other(chosen)):
            if version is not None and await self._upstreams.is_ready(plan, version):
                return version
        return None

    def _refuse(self, request, status, problem):
        self.meters.answered("router", status, seconds := request.seconds)
        answer = Answer.of_problem(status, problem, request.name)
        if request.http.path == "/predict":
            self._write(request, "router", answer, seconds)
        headers = {**answer.headers, "X-Request-Id": request.name, "X-Version": "router"}
        if status == 503:
            headers["Retry-After"] = "1"
        response = web.Response(status=status, headers=headers, body=answer.body)
        if status in (408, 413):
            response.force_close()  # the rest of the body is not read
        return response

    # ------------------------------------------------------------------------------- labels and copies

    async def _label(self, request):
        """To every version that is ready: each one that remembers the request may learn from it. The answer of the stable one, if
        it took the label, does not wait long for a canary that hangs."""
        plan, answers, sent, skipped = self._plan, {}, {}, False
        for version in filter(None, (plan.stable, plan.canary)):
            if await self._upstreams.is_ready(plan, version):
                sent[version] = task = asyncio.ensure_future(self._answer_to_label(plan, version, request))
                self._labels.add(task)
                task.add_done_callback(self._labels.discard)
            else:
                skipped = True
        for version, task in sent.items():
            is_taken = any(answer.status < 300 for answer in answers.values())
            patience = LABEL_S if is_taken and len(self._labels) <= IN_FLIGHT else None
            await asyncio.wait([task], timeout=patience)
            if task.done():
                answers[version] = task.result()
        if skipped and all(answer.status == 404 for answer in answers.values()):
            return self._refuse(request, 503, "not_ready")  # the one that is not ready may know the request
        # a refusal of the label itself (422) says more than that of an unknown request (404)
        ranks = {name: (300 <= answer.status != 422, answer.status) for name, answer in answers.items()}
        version = min(ranks, key=ranks.get)
        answer = answers[version]
        self.meters.answered(version, answer.status, 0.0)
        if answer.status < 300 and self._log is not None:
            self._write_label(request.body)
        headers = {"Content-Type": "application/json", "X-Request-Id": request.name, "X-Version": version}
        return web.Response(status=answer.status, headers=headers, body=answer.body)

    async def _answer_to_label(self, plan, version, request):
        try:
            return await self._send(plan, version, request)
        except UpstreamError as error:
            return error.answer(request.name)

    def _write_label(self, body):
        label = json_object(body)
        try:
            request_id, value = label["request_id"], label["label"]
            if self._logged_labels.get(request_id) == value:
                return  # sent again
            self._log.label(request_id, value)
        except (LogError, OSError, ValueError, KeyError, TypeError):
            self.meters.unlogged.inc()
            return
        self._logged_labels[request_id] = value
        if len(self._logged_labels) > REMEMBERED_LABELS:
            self._logged_labels.popitem(last=False)

    def _copy(self, plan, version, request):
        """Start a shadow copy, if this request gets one; never wait for it."""
        if not plan.mirror or version != plan.stable or plan.canary in plan.draining:
            return
        is_chosen = (
            self._upstreams.seems_ready(plan, plan.canary) and self._random.random() < plan.mirror / 100
        )
        if is_chosen and len(self._copies) >= self._places:
            self.meters.copies.labels("dropped").inc()
        elif is_chosen:
            task = asyncio.get_running_loop().create_task(self._shadow_copy(plan, request))
            self._copies.add(task)
            task.add_done_callback(self._copies.discard)

    async def _shadow_copy(self, plan, request):
        await asyncio.sleep(COPY_AFTER_S)
        copy = _Request(request.http, request.name, user=request.user, body=request.body)
        headers = request.headers.copy()
        headers["X-Shadow"] = "1"
        try:
            answer = await self._upstreams.send(plan, plan.canary, copy.http, headers, copy.body, shadow=True)
            self._places, outcome = min(self._places + 1, COPIES), "answered"
        except UpstreamError as error:
            self._places, outcome = max(self._places - 1, 1), error.problem
            answer = error.answer(copy.name)
        self.meters.copies.labels(outcome).inc()
        self._write(copy, plan.canary, answer, copy.seconds, served=False)

    def _write(self, request, version, answer, seconds, attempts=1, served=True):
        """Log one try."""
        if self._log is not None:
            fields = {"latency_ms": round(1000 * seconds, 3), "attempts": attempts, "served": served}
            incomplete = write_rows(self._log, request, answer, version=version, **fields)
            self.meters.unlogged.inc(incomplete)

    # ----------------------------------------------------------------------------------- the operator

    async def _control(self, request):
        if refused := _foreign(request.headers):
            return web.json_response({"error": refused[1]}, status=refused[0])
        order = f"{request.method} {request.path}"
        if order == "GET /metrics":
            from prometheus_client import generate_latest
            from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

            headers = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
            return web.Response(body=generate_latest(self.meters.registry), headers=headers)
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if not hmac.compare_digest(given, f"Bearer {self.config.token}".encode()):
            return web.json_response({"error": "token"}, status=401)
        try:
            body = json.loads(await request.read() or b"{}")
            match order:
                case "GET /plan":
                    answer = self.plan.model_dump()
                case "PUT /plan":
                    answer = self.apply(RoutePlan.model_validate(body)).model_dump()
                case "POST /drain":
                    answer = {"left": await self.drain(body["version"])}
                case _:
                    return web.json_response({"error": "no_such_path"}, status=404)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            return web.json_response({"error": str(error)}, status=422)
        return web.json_response(answer)


def _next_version(plan, tries, problem):
    """Who is tried after these tries, or None."""
    if len(tries) >= 3 or problem == "timeout":
        return None
    if problem == "broken_connection" and len(tries) == 1:
        return tries[0]  # often only an idle connection that was closed
    other = plan.other(tries[-1])
    return None if other in tries else other


async def _read_body(request):
    """Read the body into the request; returns (status, problem) if that cannot be done, else None."""
    http = request.http
    if (http.content_length or 0) > BODY_BYTES:
        return 413, "too_large"
    if http.headers.get("Expect", "").lower() == "100-continue":
        await http.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        http.writer.output_size = 0
    try:
        if http.body_exists:
            async with asyncio.timeout(BODY_S):
                request.body = await http.read()
    except TimeoutError:
        return 408, "too_slow"
    except web.HTTPRequestEntityTooLarge:
        return 413, "too_large"
    except web.RequestPayloadError:
        return 400, "broken_body"
    return None


def _foreign(headers):
    """(status, problem) of a request that another page sent, or that has two users; None: nothing is wrong."""
    if refused := foreign(headers.get("Host"), headers.get("Origin")):
        return refused[:2]
    twice = any(len(headers.getall(name, ())) > 1 for name in ("Host", "Origin", "X-User-Id", "Content-Type"))
    return (400, "header_twice") if twice else None
