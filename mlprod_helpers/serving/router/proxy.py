"""The router: a small reverse proxy that gives every user their version of the model.

`Router` runs in an event loop; `process.RouterProcess` is one in a process of its own, with the same `plan`, `apply`
and `set_weights`. `driver.Driver` turns a rollout's decisions into weights of either.

- Sticky: `rollout.route` decides by the user's name (`X-User-Id`), with the same buckets as the simulator.
- Copies to a canary (`mirror`) start when the client's answer has gone out, on a bounded number of background tasks over
  connections of their own: when these are taken, a copy is dropped and counted. A copy without an answer takes one place away, an
  answered one gives it back, so a canary that hangs soon gets one copy at a time, and all of them again when it has recovered.
- It asks each upstream's `/readyz` several times a second. One that says 503 (it loads, or is being drained) gets nothing: its users
  go to the other version, and where none is ready the answer is 503 with Retry-After. One that does not answer at all is still tried,
  so that the log, and the judge who reads it, sees that it is gone.
- A request is tried again only where that is safe: when nothing reached the upstream, or on a path where asking twice
  gives the same answer. First the same version (a connection that broke), then the other one. An answer is an answer: a 500 goes back.
  A timeout is not tried again.
- Every request to `/predict` is a row of the router's own request log (one a model row); a try that failed and was made
  again elsewhere is a row with `served` False, so that a judge sees what the client did not. `redact` says what of users
  and features is not written. What the router itself refuses has
  the version "router". `POST /label` goes to every version and is a label event once one has taken it.
- Requests of foreign pages (Host, Origin) and those with two users are refused, as a service does.
- The router names each request itself (`X-Request-Id` in the answer): a client's own id could stand twice in the log.

The answer carries `X-Version`, `X-Router-Plan` (the generation of the plan that decided) and `X-Request-Id`. A second port is
for the operator: `GET /metrics`, `GET /healthz`, and with `Authorization: Bearer TOKEN` `GET /plan`, `PUT /plan`, `POST /drain`.
"""

import asyncio
import hmac
import json
import random
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from mlprod_helpers.requestlog import LogError, RequestLog
from mlprod_helpers.serving.headers import foreign, valid_name
from mlprod_helpers.serving.processes import HOST
from mlprod_helpers.serving.redaction import Redaction
from mlprod_helpers.serving.router.plan import RoutePlan
from mlprod_helpers.serving.router.rows import write_rows

HOP_BY_HOP = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",  # codespell:ignore te
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
    ]
)
_OURS = frozenset(
    ["host", "origin", "content-length", "expect", "x-request-id", "x-shadow", "x-forwarded-for"]
)
_BACK = frozenset(["content-length", "x-request-id", "x-version", "x-router-plan", "date", "server"])
_AUTO = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
_SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
# by then the client has read its answer; a copy that starts at once would take the processor from it
_COPY_AFTER_S = 0.005
_READY_S = 0.15  # between two questions; a service that is being drained still answers for half a second
_ASK_S = 1.0  # for the answer to that question
_MOST_LABELS = 100_000  # remembered, so that one that is sent again is no second line
_LABEL_S = 0.25  # how long a label that the stable version took waits for the canary


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: object
    body: bytes


class _Meters:
    """The router's own metrics; the children of each label are kept, because looking them up costs more than counting."""

    def __init__(self):
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        of = {"registry": self.registry}
        kinds = ("version", "code")
        self._requests = Counter("router_requests", "Requests answered, by version and code", kinds, **of)
        self._seconds = Histogram(
            "router_request_duration_seconds",
            "From arrival to answer",
            ("version",),
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
            **of,
        )
        self.retries = Counter(
            "router_retries", "Tries made again, by the version that failed", ("version",), **of
        )
        self.copies = Counter("router_copies", "Shadow copies, by what became of them", ("outcome",), **of)
        self.swaps = Counter("router_plan_swaps", "Plans taken over", **of)
        self.unlogged = Counter("router_unlogged", "Rows that the log refused", **of)
        self.weight = Gauge("router_weight_percent", "Percent of the users, by version", ("version",), **of)
        self.in_flight = Gauge("router_in_flight", "Requests being answered, by version", ("version",), **of)
        self._kept = {}

    def answered(self, version, code, seconds):
        kept = self._kept.get((version, code))
        if kept is None:
            kept = self._requests.labels(version, str(code)), self._seconds.labels(version)
            self._kept[version, code] = kept
        kept[0].inc()
        kept[1].observe(seconds)


class Router:
    """The router in the running event loop: `async with Router(RouterConfig(plan=plan)) as router: ...`

    Attributes: `url` and `control_url`, `token`, `plan`, `in_flight` (version -> requests being answered), `meters`.

    Raises ValueError where users are to be hashed in the log, and `MLPROD_LOG_KEY` is no key.
    """

    def __init__(self, config):
        self.config = config
        self.token = config.token or secrets.token_urlsafe(24)
        self.meters = _Meters()
        self.in_flight = {}
        self._redaction = Redaction(config.redact)
        self._log = None if config.log is None else RequestLog(config.log)
        self._rng = random.Random(0)
        self._prefix, self._count, self._now = secrets.token_hex(4), 0, 0
        self._tasks, self._sending, self._runners, self._watch = set(), set(), [], None
        self._places = config.copies
        self._ready, self._labels = {}, OrderedDict()  # url -> does it take requests? request id -> its label
        self._plan = config.plan
        self._show_weights()

    # --------------------------------------------------------------------------------- start and end

    async def __aenter__(self):
        await self.start()
        return self

    async def __aexit__(self, *error):
        await self.stop()

    async def start(self):
        """Listen on both ports."""
        config = self.config
        self._session = self._client(0, config.timeout_s)
        self._shadow = self._client(config.copies, config.copy_s)
        try:
            self.port = await self._listen(self._handle, config.port, config.body_bytes)
            self.control_port = await self._listen(self._control, config.control_port, 65_536)
            self._watch = asyncio.ensure_future(self._keep_checking())
        except BaseException:  # a port that is taken
            await self.stop()
            raise
        self.url, self.control_url = f"http://{HOST}:{self.port}", f"http://{HOST}:{self.control_port}"

    async def stop(self, grace=2.0):
        """Take no new connection, let requests in flight end, drop the copies."""
        for runner in self._runners:
            await runner.cleanup()
        tasks = [*self._tasks, *self._sending, *([self._watch] if self._watch else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()
        await self._shadow.close()
        if self._log is not None:
            self._log.close()

    def _client(self, limit, seconds):
        return aiohttp.ClientSession(
            # shorter than an upstream keeps an idle connection: it should not close one that is being used
            connector=aiohttp.TCPConnector(limit=limit, keepalive_timeout=2.0, use_dns_cache=False),
            timeout=aiohttp.ClientTimeout(total=seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=_AUTO,
            trust_env=False,
        )

    async def _listen(self, handler, port, body_bytes):
        loop = asyncio.get_running_loop()

        def request(message, payload, protocol, writer, task):
            return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=body_bytes)

        runner = web.ServerRunner(
            # a compressed body goes on as it came: unpacked here, it would not be what its header says
            web.Server(handler, request_factory=request, access_log=None, auto_decompress=False),
            shutdown_timeout=2.0,
        )
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, HOST, port, backlog=1024).start()
        return runner.addresses[0][1]

    # -------------------------------------------------------------------------------- who is ready

    async def _keep_checking(self):
        while True:
            urls = list(self._plan.upstreams.values())
            await asyncio.gather(*map(self._check_ready, urls))
            self._ready = {url: self._ready[url] for url in urls if url in self._ready}
            await asyncio.sleep(_READY_S)

    async def _check_ready(self, url):
        try:
            async with self._session.get(
                f"{url.rstrip('/')}/readyz", timeout=aiohttp.ClientTimeout(total=_ASK_S)
            ) as answer:
                self._ready[url] = answer.status != 503
        except (aiohttp.ClientError, OSError, TimeoutError):
            self._ready[url] = True  # dead or too busy to say: a try will show it

    async def _is_ready(self, plan, version):
        url = plan.upstreams[version]
        if url not in self._ready:  # new in the plan
            await self._check_ready(url)
        return self._ready[url]

    async def _first_ready(self, plan, user):
        """The version for this user, the other one while it is not ready, or None."""
        chosen = plan.version_of(user)
        for version in (chosen, plan.other(chosen) if self.config.failover else None):
            if version is not None and await self._is_ready(plan, version):
                return version
        return None

    # ------------------------------------------------------------------------------------- the plan

    @property
    def plan(self):
        """The plan in force."""
        return self._plan

    def apply(self, plan):
        """Take over another plan, whole. Returns it with its generation; requests that are under way keep theirs."""
        self._plan = plan.replace(generation=self._plan.generation + 1)
        self.meters.swaps.inc()
        self._show_weights()
        return self._plan

    def set_weights(self, weights, mirror=0.0):
        """What a driver calls: {version: percent of the users}, and percent of the requests to copy."""
        return self.apply(self._plan.weighted(weights, mirror))

    async def drain(self, version, timeout=10.0):
        """Send a version no new requests, wait until it has answered those it has. Returns how many are left: 0, or more
        after `timeout` seconds."""
        self.apply(self._plan.replace(draining=(*self._plan.draining, version)))
        end = time.monotonic() + min(timeout, 600.0)
        while (left := self.in_flight.get(version, 0)) and time.monotonic() < end:
            await asyncio.sleep(0.01)
        return left

    def _show_weights(self):
        plan = self._plan
        self.meters.weight.clear()  # a version that is gone has no weight
        for version in plan.upstreams:
            share = (
                plan.weight if version == plan.canary else 100 - plan.weight if version == plan.stable else 0
            )
            self.meters.weight.labels(version).set(share)
            self.meters.in_flight.labels(version).set_function(
                lambda version=version: self.in_flight.get(version, 0)
            )

    # --------------------------------------------------------------------------------- one request

    async def _handle(self, request):
        arrived, begin = time.time(), time.perf_counter()
        self._count += 1
        name = f"{self._prefix}-{self._count}"
        path = request.path
        if path not in _PATHS or not request.raw_path.startswith("/"):  # it may name another host
            return self._refuse(request, name, arrived, begin, 404, "no_such_path")
        if request.method not in _PATHS[path]:
            return self._refuse(request, name, arrived, begin, 405, "method")
        if refused := _foreign(request.headers):
            return self._refuse(request, name, arrived, begin, *refused)
        if self._now >= self.config.in_flight:
            return self._refuse(request, name, arrived, begin, 503, "too_many_requests")
        self._now += 1
        try:
            body = await self._body(request)
            if isinstance(body, tuple):
                return self._refuse(request, name, arrived, begin, *body)
            if path == "/label":
                return await self._label(request, name, body)
            return await self._forward(request, name, body, arrived, begin)
        finally:
            self._now -= 1

    async def _body(self, request):
        if (request.content_length or 0) > self.config.body_bytes:
            return 413, "too_large"
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        if not request.body_exists:
            return b""
        try:
            async with asyncio.timeout(self.config.body_s):
                return await request.read()
        except TimeoutError:
            return 408, "too_slow"
        except web.HTTPRequestEntityTooLarge:
            return 413, "too_large"
        except web.RequestPayloadError:
            return 400, "broken_body"

    async def _forward(self, request, name, body, arrived, begin):
        plan = self._plan
        user = request.headers.get("X-User-Id")
        user = user if user and valid_name(user) else None
        version = await self._first_ready(plan, user)
        if version is None:
            return self._refuse(request, name, arrived, begin, 503, "not_ready")
        headers = _onward(request, name)
        tries, failed, answer = [version], {}, None
        may_repeat = request.method in _SAFE or request.path in self.config.retry_paths
        while True:
            version, started = tries[-1], time.perf_counter()
            answer, unsent = await self._try(self._session, plan, version, request, headers, body)
            if isinstance(answer, _Answer):
                break
            following = self._next_try(plan, tries, answer, unsent, may_repeat)
            if following is not None and not await self._is_ready(plan, following):
                following = None
            if following is None:
                answer = _as_answer(answer, name)
                break
            self.meters.retries.labels(version).inc()
            failed[version] = failed.get(version, (0, 0.0))[0] + 1, 1000 * (time.perf_counter() - started)
            tries.append(following)
        seconds = time.perf_counter() - begin
        self.meters.answered(version, answer.status, seconds)
        if request.path == "/predict":
            about = (name, user, arrived, body)
            for lost, (count, latency) in failed.items():
                if lost != version:  # the judge shall see what the client did not
                    self._write(lost, about, _Answer(502, None, b""), latency, count, served=False)
            self._write(version, about, answer, 1000 * seconds, len(tries))
            self._copy(plan, version, request, headers, about)
        drop = _dropped(answer.headers, _BACK)
        back = CIMultiDict(
            (key, value) for key, value in (answer.headers or {}).items() if key.lower() not in drop
        )
        back["X-Request-Id"], back["X-Version"], back["X-Router-Plan"] = name, version, str(plan.generation)
        return web.Response(status=answer.status, headers=back, body=answer.body)

    async def _try(self, session, plan, version, request, headers, body):
        """(answer, None), or (what went wrong, did nothing reach the upstream?)."""
        self.in_flight[version] = self.in_flight.get(version, 0) + 1
        try:
            url = _target(plan.upstreams[version], request.raw_path)
            async with session.request(
                request.method, url, data=body or None, headers=headers, allow_redirects=False
            ) as response:
                if (response.content_length or 0) > self.config.answer_bytes:
                    return "too_large_answer", False
                answer = await response.read()
                if len(answer) > self.config.answer_bytes:
                    return "too_large_answer", False
                return _Answer(response.status, response.headers, answer), None
        except aiohttp.ClientConnectorError:
            return "no_connection", True
        except TimeoutError:  # of connecting, too: who is gone refuses at once, and who is slow is not gone
            return "timeout", False
        except (aiohttp.ClientError, OSError):
            return "broken_connection", False
        finally:
            self.in_flight[version] -= 1

    def _next_try(self, plan, tries, problem, unsent, may_repeat):
        if len(tries) >= 3 or problem in ("timeout", "too_large_answer") or not (unsent or may_repeat):
            return None
        version = tries[-1]
        if problem == "broken_connection" and tries.count(version) == 1 and len(set(tries)) == 1:
            return version  # often only an idle connection that was closed
        other = plan.other(version) if self.config.failover else None
        return None if other in tries else other

    def _refuse(self, request, name, arrived, begin, status, problem):
        seconds = time.perf_counter() - begin
        self.meters.answered("router", status, seconds)
        answer = _Answer(status, None, _problem(problem, name))
        if request.path == "/predict":
            self._write("router", (name, None, arrived, b""), answer, 1000 * seconds, 1)
        headers = {"Content-Type": "application/json", "X-Request-Id": name, "X-Version": "router"}
        if status == 503:
            headers["Retry-After"] = "1"
        response = web.Response(status=status, headers=headers, body=answer.body)
        if status in (408, 413):
            response.force_close()  # the rest of the body is not read
        return response

    # ------------------------------------------------------------------------------- labels and copies

    async def _label(self, request, name, body):
        """To every version: each one that remembers the request may learn from it. The answer of the stable one, if it took
        the label, does not wait long for a canary that hangs."""
        plan, headers = self._plan, _onward(request, name)
        asked, skipped = {}, False
        for version in (plan.stable, plan.canary):
            if version is not None and not await self._is_ready(plan, version):
                skipped = True
            elif version is not None:
                work = self._try(self._session, plan, version, request, headers, body)
                asked[version] = asyncio.ensure_future(work)
                self._sending.add(asked[version])
                asked[version].add_done_callback(self._sending.discard)
        answers = {}
        if plan.stable in asked:
            answers[plan.stable] = _as_answer((await asked[plan.stable])[0], name)
        if plan.canary in asked:
            is_taken = answers and answers[plan.stable].status < 300
            patience = _LABEL_S if is_taken and len(self._sending) <= self.config.in_flight else None
            await asyncio.wait([asked[plan.canary]], timeout=patience)
            if asked[plan.canary].done():
                answers[plan.canary] = _as_answer(asked[plan.canary].result()[0], name)
        if skipped and all(
            answer.status == 404 for answer in answers.values()
        ):  # who is not ready may know it
            return self._refuse(request, name, time.time(), time.perf_counter(), 503, "not_ready")
        # who refuses the label itself (422) says more than who does not remember the request (404)
        ranks = {name: (300 <= answer.status != 422, answer.status) for name, answer in answers.items()}
        version = min(ranks, key=ranks.get)
        best = answers[version]
        self.meters.answered(version, best.status, 0.0)
        if best.status < 300 and self._log is not None:
            try:
                label = json.loads(body)
                self._write_label(label["request_id"], label["label"])
            except (LogError, OSError, ValueError, KeyError, TypeError, RecursionError):
                self.meters.unlogged.inc()
        headers = {"Content-Type": "application/json", "X-Request-Id": name, "X-Version": version}
        return web.Response(status=best.status, headers=headers, body=best.body)

    def _write_label(self, request_id, label):
        if self._labels.get(request_id) == label:
            return  # sent again
        self._log.label(request_id, label)
        self._labels[request_id] = label
        while len(self._labels) > _MOST_LABELS:
            self._labels.popitem(last=False)

    def _copy(self, plan, version, request, headers, about):
        """Start a copy, if this request gets one; never wait for it."""
        if not plan.mirror or version != plan.stable or plan.canary in plan.draining:
            return
        if not self._ready.get(plan.upstreams[plan.canary], True):
            return
        if self._rng.random() >= plan.mirror / 100:
            return
        if len(self._tasks) >= self._places:
            self.meters.copies.labels("dropped").inc()
            return
        task = asyncio.get_running_loop().create_task(self._shadow_copy(plan, request, headers, about))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _shadow_copy(self, plan, request, headers, about):
        await asyncio.sleep(_COPY_AFTER_S)
        name, user, _, body = about
        arrived, begin = time.time(), time.perf_counter()
        headers = headers.copy()
        headers["X-Shadow"] = "1"
        answer, _ = await self._try(self._shadow, plan, plan.canary, request, headers, body)
        outcome = "answered"
        if isinstance(answer, _Answer):
            self._places = min(self._places + 1, self.config.copies)
        else:
            self._places = max(self._places - 1, 1)
            outcome, answer = answer, _as_answer(answer, name)
        self.meters.copies.labels(outcome).inc()
        about = (name, user, arrived, body)
        self._write(plan.canary, about, answer, 1000 * (time.perf_counter() - begin), 1, served=False)

    # ------------------------------------------------------------------------------------------ the log

    def _write(self, version, about, answer, latency, attempts, served=True):
        """See `bodies.write_rows`."""
        if self._log is None:
            return
        name, user, arrived, body = about
        self.meters.unlogged.inc(
            write_rows(
                self._log,
                name,
                body,
                answer.status,
                answer.body,
                time=arrived,
                user=user,
                redaction=self._redaction,
                version=version,
                latency_ms=round(latency, 3),
                served=served,
                attempts=attempts,
            )
        )

    # ----------------------------------------------------------------------------------- the operator

    async def _control(self, request):
        if refused := _foreign(request.headers):
            return web.json_response({"error": refused[1]}, status=refused[0])
        if request.method == "GET" and request.path == "/healthz":
            return web.json_response({"state": "alive"})
        if request.method == "GET" and request.path == "/metrics":
            from prometheus_client import generate_latest
            from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

            return web.Response(
                body=generate_latest(self.meters.registry), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
            )
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if not hmac.compare_digest(given, f"Bearer {self.token}".encode()):
            return web.json_response({"error": "token"}, status=401)
        try:
            if request.method == "GET" and request.path == "/plan":
                return web.json_response(self.plan.model_dump() | {"in_flight": self.in_flight})
            if request.method == "PUT" and request.path == "/plan":
                plan = self.apply(RoutePlan.model_validate(json.loads(await request.read())))
                return web.json_response(plan.model_dump())
            if request.method == "POST" and request.path == "/weights":
                order = json.loads(await request.read())
                plan = self.set_weights(order["weights"], order.get("mirror", 0.0))
                return web.json_response(plan.model_dump())
            if request.method == "POST" and request.path == "/drain":
                order = json.loads(await request.read())
                return web.json_response(
                    {"left": await self.drain(order["version"], order.get("timeout", 10.0))}
                )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            return web.json_response({"error": str(error)}, status=422)
        return web.json_response({"error": "no_such_path"}, status=404)


_PATHS = {
    "/predict": ("POST",),
    "/label": ("POST",),
    "/version": ("GET",),
    "/healthz": ("GET",),
    "/readyz": ("GET",),
}


def _foreign(headers):
    """(status, what is wrong) of a request that a page of others sent, or that has two users; None: nothing."""
    host, origin = (headers.get(name) for name in ("Host", "Origin"))
    if refused := foreign(host, origin):
        return refused[:2]
    twice = any(len(headers.getall(name, ())) > 1 for name in ("Host", "Origin", "X-User-Id", "Content-Type"))
    return (400, "header_twice") if twice else None


def _target(base, raw_path):
    from yarl import URL

    return URL(base.rstrip("/") + raw_path, encoded=True)


def _dropped(headers, ours):
    """Headers that end here: those of one connection, those that `Connection` names, and those that are set anew."""
    named = (headers or {}).get("Connection", "")
    if not named or named.lower() in ("keep-alive", "close"):
        return HOP_BY_HOP | ours
    return HOP_BY_HOP | ours | {part.strip().lower() for part in named.split(",")}


def _onward(request, name):
    drop = _dropped(request.headers, _OURS)
    headers = CIMultiDict((key, value) for key, value in request.headers.items() if key.lower() not in drop)
    headers["X-Request-Id"], headers["X-Forwarded-For"] = name, request.remote or HOST
    return headers


def _problem(problem, name):
    return json.dumps({"error": problem, "request_id": name, "detail": []}).encode()


def _as_answer(outcome, name):
    """The outcome of a try as an answer: its own, or 502 or 504 for what went wrong."""
    if isinstance(outcome, _Answer):
        return outcome
    status = 504 if outcome == "timeout" else 502
    return _Answer(status, {"Content-Type": "application/json"}, _problem(outcome, name))
