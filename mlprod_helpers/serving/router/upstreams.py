"""The router's client side: it sends requests to the services behind it, and knows which of them are ready."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from mlprod_helpers.serving.processes import HOST

READY_EVERY_S = 0.15  # between two checks; a service that is being drained still answers for half a second
READY_TIMEOUT_S = 1.0
_HOP_BY_HOP = frozenset(
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
_SET_ANEW = frozenset(
    ["host", "origin", "content-length", "expect", "x-request-id", "x-shadow", "x-forwarded-for"]
)
_SET_ANEW_BACK = frozenset(["content-length", "x-request-id", "x-version", "x-router-plan", "date", "server"])


@dataclass(frozen=True)
class Answer:
    """What goes back to the client."""

    status: int
    headers: object
    body: bytes

    @classmethod
    def of_problem(cls, status, problem, request_id):
        """An answer of the router's own, with the body of a service's refusals."""
        body = json.dumps({"error": problem, "request_id": request_id, "detail": []}).encode()
        return cls(status, {"Content-Type": "application/json"}, body)


class UpstreamError(Exception):
    """A try without an answer: the problem in one word."""

    def __init__(self, problem):
        super().__init__(problem)
        self.problem = problem

    def answer(self, request_id):
        """502, or 504 for a timeout."""
        return Answer.of_problem(504 if self.problem == "timeout" else 502, self.problem, request_id)


class Upstreams:
    """Two clients (one for requests, one for shadow copies), and what is known about the services.

    `in_flight` counts the requests that each version has not answered yet.
    """

    def __init__(self, timeout_s, copies, copy_s):
        self.in_flight = Counter()
        self._session, self._shadow = _client(0, timeout_s), _client(copies, copy_s)
        self._ready = {}  # url -> does it take requests?

    async def close(self):
        await self._session.close()
        await self._shadow.close()

    async def send(self, plan, version, request, headers, body, shadow=False):
        """The `Answer` of a version to a request, or an `UpstreamError`."""
        self.in_flight[version] += 1
        try:
            url = URL(plan.upstreams[version].rstrip("/") + request.raw_path, encoded=True)
            session = self._shadow if shadow else self._session
            async with session.request(
                request.method, url, data=body or None, headers=headers, allow_redirects=False
            ) as response:
                return Answer(response.status, response.headers, await response.read())
        except aiohttp.ClientConnectorError:
            raise UpstreamError("no_connection") from None
        except TimeoutError:  # also of connecting: a dead process refuses at once, and a slow one is not dead
            raise UpstreamError("timeout") from None
        except (aiohttp.ClientError, OSError):
            raise UpstreamError("broken_connection") from None
        finally:
            self.in_flight[version] -= 1

    # -------------------------------------------------------------------------------- who is ready

    async def keep_checking(self, current_plan):
        """Ask the services of the plan in force, again and again, whether they are ready."""
        while True:
            urls = list(current_plan().upstreams.values())
            await asyncio.gather(*map(self._check, urls))
            self._ready = {url: self._ready[url] for url in urls if url in self._ready}
            await asyncio.sleep(READY_EVERY_S)

    async def _check(self, url):
        timeout = aiohttp.ClientTimeout(total=READY_TIMEOUT_S)
        try:
            async with self._session.get(f"{url.rstrip('/')}/readyz", timeout=timeout) as answer:
                self._ready[url] = answer.status != 503
        except (aiohttp.ClientError, OSError, TimeoutError):
            self._ready[url] = True  # dead or too busy to answer: a try will show it, in the log too

    async def is_ready(self, plan, version):
        """Does it take requests?"""
        url = plan.upstreams[version]
        if url not in self._ready:  # new in the plan
            await self._check(url)
        return self._ready[url]

    def seems_ready(self, plan, version):
        """The same as far as it is known, without a check."""
        return self._ready.get(plan.upstreams[version], True)


def _client(limit, seconds):
    return aiohttp.ClientSession(
        # shorter than a service keeps an idle connection, which it might close at the moment of use
        connector=aiohttp.TCPConnector(limit=limit, keepalive_timeout=2.0, use_dns_cache=False),
        timeout=aiohttp.ClientTimeout(total=seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        trust_env=False,
    )


def headers_to_service(request, request_id):
    """The headers of a client's request as the service gets them."""
    headers = _end_to_end(request.headers, _SET_ANEW)
    headers["X-Request-Id"], headers["X-Forwarded-For"] = request_id, request.remote or HOST
    return headers


def headers_to_client(answer, request_id, version, plan):
    """The headers of a service's answer as the client gets them."""
    headers = _end_to_end(answer.headers, _SET_ANEW_BACK)
    headers["X-Request-Id"], headers["X-Version"] = request_id, version
    headers["X-Router-Plan"] = str(plan.generation)
    return headers


def _end_to_end(headers, set_anew):
    """Without the headers of one connection, those that `Connection` names, and those that are set anew."""
    named = {part.strip().lower() for part in headers.get("Connection", "").split(",")}
    drop = _HOP_BY_HOP | set_anew | named
    return CIMultiDict((key, value) for key, value in headers.items() if key.lower() not in drop)
