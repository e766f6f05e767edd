"""The router: sticky users, whole plans, copies that cost nobody anything, retries where they are safe, a rollback that happens."""

import asyncio
import contextlib
import gzip
import json
import shutil
import signal
import socket
import subprocess
import sys
import time

import aiohttp
import numpy as np
import psutil
import pytest

from mlprod_helpers.requestlog import read
from mlprod_helpers.rollout import Canary, Controller, MSPRTJudge, bucket, route
from mlprod_helpers.serving.lab.driver import Driver
from mlprod_helpers.serving.lab.load import open_loop_async
from mlprod_helpers.serving.router.plan import RoutePlan, RouterConfig, loopback
from mlprod_helpers.serving.router.process import RouterProcess, main
from mlprod_helpers.serving.router.proxy import Router

ROWS = [{"distance": float(d)} for d in range(100, 200)]
SERVICE = """
import asyncio, json, sys
from aiohttp import web
name, delay = sys.argv[1], float(sys.argv[2])
async def predict(request):
    told = await request.json()
    await asyncio.sleep(delay)
    return web.json_response({"prediction": told["features"]["distance"] / 8, "version": name})
async def main():
    app = web.Application(); app.router.add_post("/predict", predict)
    runner = web.AppRunner(app, access_log=None); await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


class Stand:
    """A stand-in for a model service, in this loop."""

    def __init__(self, name, status=200, hang=0.0, ready=True, door=None):
        self.name, self.status, self.hang, self.seen = name, status, hang, []
        self.ready, self.asked, self.door = ready, 0, door

    async def __aenter__(self):
        from aiohttp import web

        async def answer(request):
            if request.path == "/readyz":
                self.asked += 1
                return web.json_response({}, status=200 if self.ready else 503)
            self.seen.append((request.path, request.headers.copy(), await request.read()))
            if self.hang:
                await asyncio.sleep(self.hang)
            if self.status == "cut":
                request.transport.abort()
            return web.json_response(
                {"prediction": 1.5, "version": self.name},
                status=200 if self.status == "cut" else self.status,
                headers={"X-Own": "kept", "Keep-Alive": "timeout=5"},
            )

        self.runner = web.ServerRunner(
            web.Server(answer, access_log=None, auto_decompress=False), shutdown_timeout=0.1
        )
        await self.runner.setup()
        if self.door is None:
            await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        else:
            await web.SockSite(self.runner, self.door).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *error):
        await self.runner.cleanup()


def plan_of(v1, v2, **fields):
    return RoutePlan(upstreams={"v1": v1, "v2": v2}, stable="v1", canary="v2", **fields)


def dead():
    """An address where nobody listens."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as door:
        return f"http://127.0.0.1:{door.getsockname()[1]}"


async def post(router, user="ana", body=None, path="/predict", **headers):
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            router.url + path,
            data=json.dumps(body or {"features": {"distance": 1400}}),
            headers={"X-User-Id": user, "Content-Type": "application/json", **headers},
        ) as answer,
    ):
        return answer.status, answer.headers.copy(), await answer.read()


async def status_of(router, data):
    reader, writer = await asyncio.open_connection("127.0.0.1", router.port)
    writer.write(data)
    async with asyncio.timeout(10):
        said = await reader.read()
    writer.close()
    return int(said.split()[1])


# --------------------------------------------------------------------------------------------- plans


def test_the_router_has_the_buckets_of_the_simulator():
    users = [f"u{i}" for i in range(2000)]
    for weight, salt in ((5, ""), (37.5, "release 8"), (100, "")):
        plan = plan_of("http://127.0.0.1:1", "http://127.0.0.1:2", weight=weight, salt=salt)
        by_router = np.array([plan.version_of(user) == "v2" for user in users])
        assert (by_router == (bucket(users, salt) < weight / 100)).all()
        assert (by_router == route(np.array(users), weight, salt)).all()


def test_a_plan_does_not_change_and_wrong_ones_are_refused():
    plan = plan_of("http://127.0.0.1:1", "http://127.0.0.1:2")
    with pytest.raises(ValueError, match="frozen"):
        plan.weight = 5
    with pytest.raises(TypeError):
        plan.upstreams["v3"] = "http://127.0.0.1:3"
    assert RoutePlan.model_validate_json(plan.model_dump_json()) == plan
    for wrong in ({"weight": 101}, {"stable": "v3"}, {"canary": "v1"}, {"draining": ("v1", "v2")}):
        with pytest.raises(ValueError):
            RoutePlan(**plan.model_dump() | wrong)
    for url in (
        "http://example.org:80",
        "https://127.0.0.1:1",
        "http://127.0.0.1.org:1",
        "http://a@127.0.0.1:1",
    ):
        with pytest.raises(ValueError, match="refused"):
            loopback(url)


# ------------------------------------------------------------------------------------- one request


def test_headers_of_one_connection_end_here_and_the_log_has_the_row(tmp_path):
    async def run():
        async with Stand("v1") as v1, Stand("v2") as v2:
            config = RouterConfig(plan=plan_of(v1.url, v2.url), log=str(tmp_path / "log.jsonl"))
            async with Router(config) as router:
                status, headers, _ = await post(
                    router,
                    Connection="X-Secret",
                    **{"X-Secret": "1", "X-Mine": "2", "X-Shadow": "1"},
                )
                return status, headers, v1.seen

    status, headers, seen = asyncio.run(run())
    assert status == 200 and headers["X-Version"] == "v1" and headers["X-Own"] == "kept"
    assert "Keep-Alive" not in headers
    got = seen[0][1]
    assert got["X-Mine"] == "2" and not {"X-Secret", "Upgrade", "X-Shadow"} & set(got)
    row = read(tmp_path / "log.jsonl").iloc[0]
    assert (row["request_id"], row["user_id"], row["distance"]) == (headers["X-Request-Id"], "ana", 1400)
    assert (row["prediction"], row["version"], row["status"], row["served"]) == (1.5, "v1", 200, True)


def test_what_the_router_refuses(tmp_path):
    async def run():
        async with Stand("v1", hang=5) as v1, aiohttp.ClientSession() as session:
            plan = RoutePlan(upstreams={"v1": v1.url}, stable="v1")
            config = RouterConfig(
                plan=plan, log=str(tmp_path / "log"), body_bytes=1000, timeout_s=1.0, in_flight=1
            )
            async with Router(config) as router:
                large = await post(router, body={"features": {"x": "y" * 2000}})
                nowhere = await post(router, path="/admin")
                async with session.get(router.url + "/predict") as got:
                    method = got.status
                slow = asyncio.ensure_future(post(router))
                while not v1.seen:
                    await asyncio.sleep(0.001)
                shed = await post(router)
                statuses = [large[0], nowhere[0], method, (await slow)[0], shed[0]]
                return statuses, shed[1]["Retry-After"], len(v1.seen)

    statuses, after, asked = asyncio.run(run())
    assert statuses == [413, 404, 405, 504, 503] and after == "1"
    assert asked == 1  # a timeout is not tried again
    log = read(tmp_path / "log")
    refused = {"router": [405, 413, 503], "v1": [504]}
    assert log.groupby("version")["status"].apply(sorted).to_dict() == refused


async def by_hand(router, head, *parts):
    """What the router says on one connection: after each head that it sends goes the next part; the last answer is whole."""
    reader, writer = await asyncio.open_connection("127.0.0.1", router.port)
    writer.write(b"POST /predict HTTP/1.1\r\nHost: router\r\n" + head + b"\r\n\r\n")
    said = []
    async with asyncio.timeout(10):
        for part in parts:
            said.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(part)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split()[0])
        said.append(head + await reader.readexactly(length))
    writer.close()
    return said


def test_a_client_that_waits_for_permission_gets_it_once(tmp_path):
    body = b'{"features": {"distance": 1400}}'

    async def run():
        async with Stand("v1") as v1:
            config = RouterConfig(plan=RoutePlan(upstreams={"v1": v1.url}, stable="v1"), body_s=1.0)
            async with Router(config) as router:
                head = f"Expect: 100-continue\r\nContent-Length: {len(body)}\r\nConnection: close".encode()
                whole = await by_hand(router, head, body)
                seen = len(v1.seen)
                never = await by_hand(router, head, body[:5])
                silent = await by_hand(router, head.split(b"\r\n", 1)[1])
                large = await by_hand(router, b"Expect: 100-continue\r\nContent-Length: 10000000")
                return whole, never, silent, large, seen, v1.seen

    whole, never, silent, large, seen, all_seen = asyncio.run(run())
    assert large[0].startswith(b"HTTP/1.1 413 ")  # it is not asked to send that
    assert whole[0] == never[0] == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert whole[1].startswith(b"HTTP/1.1 200 ") and b"100 Continue" not in whole[1]
    for late in (never[1], silent[0]):
        assert late.startswith(b"HTTP/1.1 408 ") and b'"too_slow"' in late
    assert seen == len(all_seen) == 1 and all_seen[0][2] == body  # half a body reaches nobody
    assert "Expect" not in all_seen[0][1]


def test_a_body_may_be_as_large_as_the_limit_and_not_one_byte_larger(tmp_path):
    def chunked(n):
        return b"%x\r\n%s\r\n0\r\n\r\n" % (n, b"x" * n)

    async def run():
        async with Stand("v1") as v1:
            config = RouterConfig(
                plan=RoutePlan(upstreams={"v1": v1.url}, stable="v1"),
                log=str(tmp_path / "log"),
                body_bytes=100,
            )
            async with Router(config) as router:
                said = []
                for n in (100, 101):
                    known = b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (n, b"x" * n)
                    unknown = b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(n)
                    said += [(await by_hand(router, head))[0] for head in (known, unknown)]
                # the length alone is enough: not one byte of the body is asked for
                said += await by_hand(router, b"Content-Length: 10000000")
                return [int(answer.split()[1]) for answer in said], [len(body) for _, _, body in v1.seen]

    assert asyncio.run(run()) == ([200, 200, 413, 413, 413], [100, 100])
    assert read(tmp_path / "log")["status"].tolist() == [200, 200, 413, 413, 413]


def test_what_is_hostile_in_http_itself_is_refused_or_goes_on_as_it_came(tmp_path):
    body = b'{"features": {"distance": 1400}}'
    plain = b"Connection: close\r\nContent-Length: %d" % len(body)
    packed = gzip.compress(body)
    heads = {
        "two lengths": b"Transfer-Encoding: chunked\r\n" + plain + b"\r\n\r\n0\r\n\r\n",
        "not what it says": b"Content-Encoding: gzip\r\n" + plain + b"\r\n\r\n" + body,
        "packed": b"Connection: close\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
        + packed,
        "no chunk": b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n",
    }

    async def run():
        async with Stand("v1") as v1:
            config = RouterConfig(
                plan=RoutePlan(upstreams={"v1": v1.url}, stable="v1"), log=str(tmp_path / "log")
            )
            async with Router(config) as router:
                statuses = {}
                for name, data in heads.items():
                    statuses[name] = await status_of(router, b"POST /predict HTTP/1.1\r\nHost: r\r\n" + data)
                for host in (b"http://example.org", b"http://127.0.0.1:1"):
                    line = b"POST %s/predict HTTP/1.1\r\nHost: r\r\n" % host
                    statuses[host] = await status_of(router, line + plain + b"\r\n\r\n" + body)
                return list(statuses.values()), [sent for _, _, sent in v1.seen]

    statuses, sent = asyncio.run(run())
    assert statuses == [400, 200, 200, 400, 404, 404]
    assert sent == [body, packed]  # the router unpacks nothing


def test_hostile_features_do_not_keep_a_request_out_of_the_log(tmp_path):
    bodies = [
        {"features": {"status": 7, "version": "v9"}},
        {"features": {"a": [1, {}]}},
        {"rows": [{"a": 1}, 3]},
        {"x": 1e308},
    ]

    async def run():
        async with Stand("v1") as v1:
            plan = RoutePlan(upstreams={"v1": v1.url}, stable="v1")
            async with Router(RouterConfig(plan=plan, log=str(tmp_path / "log"))) as router:
                return [(await post(router, body=body))[0] for body in bodies]

    assert asyncio.run(run()) == [200] * 4
    assert len(read(tmp_path / "log")) == 5  # one of them has two model rows


# ------------------------------------------------------------------------------------------ retries


@pytest.mark.parametrize("problem", ["nobody listens", "connection cut"])
def test_a_dead_canary_is_seen_by_the_judge_and_not_by_the_user(tmp_path, problem):
    async def run():
        async with Stand("v1") as v1, Stand("v2", status="cut") as v2:
            canary = dead() if problem == "nobody listens" else v2.url
            config = RouterConfig(plan=plan_of(v1.url, canary, weight=100), log=str(tmp_path / "log"))
            async with Router(config) as router:
                return await post(router)

    status, headers, _ = asyncio.run(run())
    assert status == 200 and headers["X-Version"] == "v1"
    log = read(tmp_path / "log").set_index("version")
    tries = 1 if problem == "nobody listens" else 2
    assert log.loc["v2", ["served", "status"]].tolist() == [False, 502]
    assert log.loc["v1", ["served", "status", "attempts"]].tolist() == [True, 200, tries + 1]


def test_an_unsafe_request_that_may_have_arrived_is_not_sent_twice_and_an_answer_is_an_answer():
    async def run():
        async with Stand("v1") as v1, Stand("v2", status="cut") as cut, Stand("v2", status=500) as bad:
            answers = []
            for v2, paths in ((cut, ()), (bad, ("/predict",))):
                async with Router(
                    RouterConfig(plan=plan_of(v1.url, v2.url, weight=100), retry_paths=paths)
                ) as router:
                    answers.append((await post(router))[0])
            return answers, len(cut.seen), len(bad.seen), len(v1.seen)

    assert asyncio.run(run()) == ([502, 500], 1, 1, 0)


# ------------------------------------------------------------------------------------- who is not ready


@pytest.mark.filterwarnings("ignore:.*a label for request")
def test_a_replica_that_is_not_ready_gets_nothing_and_its_users_do_not_notice(tmp_path):
    async def run():
        async with Stand("v1") as v1, Stand("v2", ready=False) as v2:
            config = RouterConfig(
                plan=plan_of(v1.url, v2.url, weight=100, mirror=100), log=str(tmp_path / "log")
            )
            async with Router(config) as router:
                away = [(await post(router))[1]["X-Version"] for _ in range(5)]
                told, sent = (await label(router))[0], len(v2.seen)
                v2.ready, asked = True, v2.asked
                while v2.asked < asked + 2:
                    await asyncio.sleep(0.01)
                back = [(await post(router))[1]["X-Version"] for _ in range(5)]
                v1.ready = v2.ready = False
                while (await post(router))[0] == 200:
                    await asyncio.sleep(0.01)
                none = await post(router)
                seen = len(v1.seen), len(v2.seen)
                later = (
                    (await post(router))[0],
                    (await label(router))[0],
                    (len(v1.seen), len(v2.seen)) == seen,
                )
                return away, told, sent, back, (none[0], none[1]["Retry-After"], none[1]["X-Version"]), later

    away, told, sent, back, none, later = asyncio.run(run())
    assert (away, told, sent) == (["v1"] * 5, 200, 0)
    assert back == ["v2"] * 5
    assert none == (503, "1", "router") and later == (503, 503, True)
    log = read(tmp_path / "log")
    assert set(log[log["version"] == "v2"]["status"]) == {200}  # no try has failed


def test_a_real_service_that_still_loads_gets_nothing_until_it_is_ready(tmp_path):
    pytest.importorskip("fastapi")
    from sklearn.linear_model import LinearRegression

    from mlprod_helpers.serving import Faults, Feature, ServiceConfig, save_model, start

    distances = np.arange(50.0)[:, None]
    features = [Feature("distance", low=0)]
    save_model(
        LinearRegression().fit(distances, distances[:, 0]), tmp_path / "m", version="v2", features=features
    )
    config = ServiceConfig(
        model=str(tmp_path / "m"), log=str(tmp_path / "v2"), faults=Faults(start_s=2.0), lifetime_s=120
    )

    async def run(url):
        async with Stand("v1") as v1:
            config = RouterConfig(plan=plan_of(v1.url, url, weight=100), log=str(tmp_path / "log"))
            async with Router(config) as router, asyncio.timeout(60):
                versions = []
                while not versions or versions[-1] != "v2":
                    status, headers, _ = await post(router)
                    assert status == 200
                    versions.append(headers["X-Version"])
                    await asyncio.sleep(0.02)
                return versions

    with start(config) as service:
        assert service.state() == "starting"
        versions = asyncio.run(run(service.url))
    assert versions[0] == "v1" and len(versions) > 5
    assert read(tmp_path / "v2")["status"].tolist() == [200]  # it has refused nobody
    assert read(tmp_path / "log")["attempts"].max() == 1 if "attempts" in read(tmp_path / "log") else True


def test_a_page_of_others_and_a_request_with_two_users_are_refused_and_reach_no_service():
    good = b'{"features": {"distance": 1400}}'
    head = b"POST %s HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n%s\r\n\r\n"

    async def run():
        async with Stand("v1") as v1, Stand("v2") as v2, contextlib.AsyncExitStack() as stack:
            router = await stack.enter_async_context(
                Router(RouterConfig(plan=plan_of(v1.url, v2.url, mirror=100)))
            )
            own = b"Host: 127.0.0.1:%d" % router.port
            lines = {
                b"Host: example.org": 421,
                b"Host: 10.0.0.1:80": 421,
                own + b"\r\nOrigin: http://example.org": 403,
                own + b"\r\nOrigin: null": 403,
                own + b"\r\nOrigin: http://localhost:8888": 403,
                own + b"\r\nX-User-Id: ana\r\nX-User-Id: ben": 400,
                own: 200,
                own + b"\r\nOrigin: http://127.0.0.1:%d" % router.port: 200,
                b"Host: localhost:%d" % router.port: 200,
            }
            got = {}
            for line in lines:
                for path in (b"/predict", b"/label"):
                    status = await status_of(router, head % (path, len(good), line) + good)
                    got.setdefault(line, set()).add(status)
            control = aiohttp.ClientSession()
            async with (
                control,
                control.get(f"{router.control_url}/metrics", headers={"Host": "example.org"}) as answer,
            ):
                foreign = answer.status
            return got, {line: {status} for line, status in lines.items()}, len(v1.seen), foreign

    got, expected, seen, foreign = asyncio.run(run())
    assert got == expected and seen == 6 and foreign == 421


# -------------------------------------------------------------------------------------------- labels


def label(router, **told):
    return post(router, path="/label", body={"request_id": "r1", "label": 227.0} | told)


@pytest.mark.parametrize(
    ("v1", "v2", "answered"),
    [
        (200, 200, "v1"),
        (404, 200, "v2"),
        (200, 404, "v1"),
        (404, 404, "v1"),
        (500, 404, "v2"),
        (404, 422, "v2"),  # it says what is wrong with the label
        (422, 404, "v1"),
        (422, 200, "v2"),
    ],
)
def test_a_label_goes_to_both_versions_and_the_better_answer_back(v1, v2, answered, tmp_path):
    async def run():
        async with Stand("v1", v1) as one, Stand("v2", v2) as two:
            config = RouterConfig(plan=plan_of(one.url, two.url), log=str(tmp_path / "log"))
            async with Router(config) as router:
                status, headers, _ = await label(router)
                return status, headers["X-Version"], len(one.seen), len(two.seen)

    assert asyncio.run(run()) == ({"v1": v1, "v2": v2}[answered], answered, 1, 1)
    labels = (tmp_path / "log").read_text().count('"label": 227.0')
    assert labels == (200 in (v1, v2))  # one event, when one has taken it


def test_a_label_that_is_told_again_is_one_line_of_the_log_and_a_correction_a_second(tmp_path):
    async def run():
        async with Stand("v1") as v1, Stand("v2") as v2:
            config = RouterConfig(plan=plan_of(v1.url, v2.url), log=str(tmp_path / "log"))
            async with Router(config) as router:
                for value in (227.0, 227.0, 230.0, 230.0):
                    await label(router, label=value)

    asyncio.run(run())
    told = [json.loads(line)["label"] for line in (tmp_path / "log").read_text().splitlines()]
    assert told == [227.0, 230.0]


def test_a_label_does_not_wait_for_a_canary_that_hangs():
    async def run():
        async with Stand("v1") as v1, Stand("v2", hang=600) as v2:
            config = RouterConfig(plan=plan_of(v1.url, v2.url, mirror=100), timeout_s=600)
            async with Router(config) as router, asyncio.timeout(60):
                return (await label(router))[0], len(v2.seen)

    assert asyncio.run(run()) == (200, 1)


# -------------------------------------------------------------------------------------------- copies


def test_no_request_waits_for_a_hanging_shadow_and_copies_are_bounded(tmp_path):
    async def run():
        async with Stand("v1") as v1, Stand("v2", hang=30) as v2:
            config = RouterConfig(
                plan=plan_of(v1.url, v2.url, mirror=100), log=str(tmp_path / "log"), copies=5, copy_s=20.0
            )
            async with Router(config) as router:
                begin = time.monotonic()
                statuses = [(await post(router))[0] for _ in range(20)]
                return statuses, time.monotonic() - begin, len(v2.seen), len(router._tasks), router.meters

    statuses, seconds, copies, open_tasks, meters = asyncio.run(run())
    assert statuses == [200] * 20 and seconds < 20  # had one of them waited, it would be 20 s at least
    assert copies <= open_tasks == 5
    assert meters.copies.labels("dropped")._value.get() == 15


def test_a_shadow_that_hangs_is_asked_less_and_fully_again_when_it_answers():
    async def run():
        async with Stand("v1") as v1, Stand("v2", hang=30) as v2:
            config = RouterConfig(plan=plan_of(v1.url, v2.url, mirror=100), copies=4, copy_s=0.1)
            async with Router(config) as router:
                places = []
                for hang in (30, 0):
                    v2.hang = hang
                    for _ in range(6):
                        for _ in range(4):
                            await post(router)
                        while router._tasks:
                            await asyncio.sleep(0.01)
                    places.append(router._places)
                return places, router.meters.copies.labels("timeout")._value.get()

    places, timeouts = asyncio.run(run())
    assert places == [1, 4]
    assert 4 <= timeouts < 24  # without fewer places, all of the 24 would have been copied


def test_a_copy_is_logged_as_one_that_nobody_saw(tmp_path):
    async def run():
        async with Stand("v1") as v1, Stand("v2", status=500) as v2:
            config = RouterConfig(plan=plan_of(v1.url, v2.url, mirror=100), log=str(tmp_path / "log"))
            async with Router(config) as router:
                status = (await post(router))[0]
                while router._tasks:
                    await asyncio.sleep(0.01)
                return status, v2.seen[0][1]["X-Shadow"]

    assert asyncio.run(run()) == (200, "1")
    log = read(tmp_path / "log").set_index("version")
    assert log["served"].to_dict() == {"v1": True, "v2": False} and log["status"].to_dict() == {
        "v1": 200,
        "v2": 500,
    }
    assert log["request_id"].nunique() == 1


def test_the_log_hides_what_is_redacted_of_answers_lost_tries_copies_and_refusals(tmp_path, monkeypatch):
    body = {"rows": [{"distance": 1400, "zone": 2}, {"distance": 187, "zone": 7}]}
    monkeypatch.setenv("MLPROD_LOG_KEY", "sixteen characters at least")

    async def run():
        async with Stand("v1") as v1, Stand("v2", status=422) as v2:
            config = RouterConfig(
                plan=plan_of(v1.url, v2.url, mirror=100),
                log=str(tmp_path / "log"),
                redact=["zone", "user_id"],
            )
            async with Router(RouterConfig.model_validate_json(config.model_dump_json())) as router:
                for _ in range(40):
                    await post(router, user="ana-maria", body=body)
                router.apply(plan_of(dead(), v2.url))
                await post(router, user="ana-maria", body=body)
                async with asyncio.timeout(30):
                    while len(v2.seen) < 41:
                        await asyncio.sleep(0.01)
                await asyncio.sleep(0.1)

    asyncio.run(run())
    text = (tmp_path / "log").read_text()
    assert "zone" not in text and "ana-maria" not in text
    log = read(tmp_path / "log")
    assert log["user_id"].nunique() == 1 and log["user_id"].notna().all()
    assert set(zip(log["version"], log["served"], strict=True)) >= {
        ("v1", True),
        ("v1", False),
        ("v2", False),
    }


def test_a_router_that_hashes_users_needs_a_key(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("MLPROD_LOG_KEY", raising=False)
    config = RouterConfig(plan=RoutePlan(upstreams={"v1": dead()}, stable="v1"), redact=["user_id"])
    with pytest.raises(ValueError, match="set MLPROD_LOG_KEY in the environment: 16"):
        RouterProcess(config)
    (tmp_path / "config.json").write_text(json.dumps(config.model_dump(mode="json") | {"parent_pid": 0}))
    assert main(["--config", str(tmp_path / "config.json")]) == 2
    assert "set MLPROD_LOG_KEY in the environment: 16" in capsys.readouterr().err


# --------------------------------------------------------------------------------------- under load


def test_plan_swaps_and_blue_green_switches_lose_and_misroute_nobody(tmp_path):
    async def run():
        async with Stand("v1") as v1, Stand("v2") as v2:
            config = RouterConfig(plan=plan_of(v1.url, v2.url), log=str(tmp_path / "log"))
            async with Router(config) as router:
                load = asyncio.ensure_future(
                    open_loop_async(router.url, ROWS, rate=400, n=1200, users=500, random_state=0)
                )
                plans, weights = {0: router.plan}, [*range(2, 82, 2), 100, 0, 100, 0, 100]
                for weight in weights:
                    await asyncio.sleep(0.05)
                    plan = router.set_weights({"v1": 100 - weight, "v2": weight})
                    plans[plan.generation] = plan
                return await load, plans

    table, plans = asyncio.run(run())
    assert len(plans) == 46 and table["plan"].nunique() > 20
    assert (table["status"] == 200).all()
    expected = [plans[g].version_of(user) for g, user in zip(table["plan"], table["user_id"], strict=True)]
    assert (table["version"] == expected).all()
    log = read(tmp_path / "log")
    assert len(log) == 1200 and set(log["request_id"]) == set(table["request_id"])


def test_a_version_that_is_only_slow_to_connect_is_not_gone():
    """Its queue of connections is full for more than a second; then it takes them again."""

    async def run():
        with socket.socket() as door:
            door.bind(("127.0.0.1", 0))
            door.listen(0)
            for _ in range(3):
                full = socket.socket()
                full.setblocking(False)
                waiting.append(full)
                full.connect_ex(door.getsockname())
            async with Stand("v2") as v2:
                plan = plan_of(f"http://127.0.0.1:{door.getsockname()[1]}", v2.url)
                async with Router(RouterConfig(plan=plan)) as router:
                    asked = asyncio.ensure_future(post(router))
                    await asyncio.sleep(1.5)
                    async with Stand("v1", door=door):
                        return await asked

    waiting = []
    try:
        status, headers, _ = asyncio.run(run())
    finally:
        for one in waiting:
            one.close()
    assert (status, headers["X-Version"]) == (200, "v1")


def test_the_split_is_that_of_the_weight():
    async def run():
        async with (
            Stand("v1") as v1,
            Stand("v2") as v2,
            Router(RouterConfig(plan=plan_of(v1.url, v2.url, weight=20))) as router,
        ):
            users = [f"user-{i}" for i in range(600)]
            return await open_loop_async(router.url, ROWS, rate=500, n=600, users=users, random_state=1)

    share = (asyncio.run(run())["version"] == "v2").mean()
    assert abs(share - 0.2) <= 3 * np.sqrt(0.2 * 0.8 / 600)


def test_draining_waits_for_answers_and_sends_nothing_new():
    async def run():
        async with (
            Stand("v1", hang=1.0) as v1,
            Stand("v2") as v2,
            Router(RouterConfig(plan=plan_of(v1.url, v2.url))) as router,
        ):
            first = asyncio.ensure_future(post(router))
            while not router.in_flight.get("v1"):
                await asyncio.sleep(0.005)
            left, second = await asyncio.gather(router.drain("v1", timeout=5), post(router))
            assert first.done() or await first
            return (await first)[1]["X-Version"], second[1]["X-Version"], left, len(v1.seen)

    assert asyncio.run(run()) == ("v1", "v2", 0, 1)


def service(name, delay=0.0):
    process = subprocess.Popen(
        [sys.executable, "-c", SERVICE, name, str(delay)], stdout=subprocess.PIPE, text=True
    )
    return process, f"http://127.0.0.1:{int(process.stdout.readline())}"


def test_a_killed_canary_harms_nobody_and_is_rolled_back(tmp_path):
    (one, v1), (two, v2) = service("v1"), service("v2")
    interval = 0.5
    try:
        config = RouterConfig(plan=plan_of(v1, v2), log=str(tmp_path / "log"), lifetime_s=60)
        with RouterProcess(config) as router:
            plan = Canary(step_weights=[30], interval=interval, threshold=1)
            waits = lambda metrics: judge(metrics) if judge(metrics).outcome == "fail" else "nodata"  # noqa: E731
            judge = MSPRTJudge(tau=0.2, min_requests=5)
            driver = Driver(Controller(plan, waits, "v1", "v2"), router, tmp_path / "log")

            async def run():
                load = asyncio.ensure_future(
                    open_loop_async(router.url, ROWS, rate=150, n=600, users=300, random_state=0)
                )
                driver.start(20, every=0.05)
                await asyncio.sleep(1.3)
                two.kill()
                killed = time.time()
                return await load, killed

            table, killed = asyncio.run(run())
            driver.stop()
            assert router.plan.weight == 0, driver.history[-3:]
            assert 'router_retries_total{version="v2"}' in router.metrics()
    finally:
        for process in (one, two):
            process.kill()
            process.wait()
            process.stdout.close()
    assert (table["status"] != 200).sum() <= 0.001 * len(table)
    assert (table["version"] == "v2").any()
    back = next(tick for tick in driver.history if tick.decision.phase == "Degraded")
    checks = [tick for tick in driver.history if tick.verdict is not None and tick.time > killed]
    assert back in checks[:2], [tick.decision.reason for tick in checks]


# ---------------------------------------------------------------------------------- its own process


def test_the_control_port_wants_the_token(tmp_path):
    plan = RoutePlan(upstreams={"v1": dead()}, stable="v1")
    with RouterProcess(RouterConfig(plan=plan, lifetime_s=30)) as router:
        assert router.plan == plan
        router.token = "guessed"
        with pytest.raises(ValueError, match="401"):
            router.apply(plan)
        router.token = "\xe9"
        with pytest.raises(ValueError, match="401"):
            router.apply(plan)
        assert "router_plan_swaps_total 0.0" in router.metrics()


def test_a_version_that_is_gone_has_no_weight():
    async def run():
        async with Router(RouterConfig(plan=plan_of(dead(), dead(), weight=40))) as router:
            before = weights(router)
            router.apply(RoutePlan(upstreams={"v2": dead()}, stable="v2"))
            return before, weights(router)

    def weights(router):
        samples = [sample for metric in router.meters.weight.collect() for sample in metric.samples]
        return {sample.labels["version"]: sample.value for sample in samples}

    assert asyncio.run(run()) == ({"v1": 60, "v2": 40}, {"v2": 100})


def test_where_one_port_is_taken_the_other_is_given_back():
    import socket

    from mlprod_helpers.serving.processes import in_use

    async def run():
        with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as free:
            ports = {"port": free.getsockname()[1], "control_port": taken.getsockname()[1]}
            free.close()
            with pytest.raises(OSError):
                await Router(
                    RouterConfig(plan=RoutePlan(upstreams={"v1": dead()}, stable="v1"), **ports)
                ).start()
            return in_use(ports["port"])

    assert asyncio.run(run()) is False


def test_a_wrong_config_is_told_with_exit_code_2(tmp_path, capfd):
    plan = RoutePlan(upstreams={"v1": dead()}, stable="v1")
    with pytest.raises(RuntimeError, match="nowhere.*exit code 2"):
        RouterProcess(RouterConfig(plan=plan, log=str(tmp_path / "nowhere" / "log")))
    (tmp_path / "config.json").write_text('{"plan": {"stable": "v1", "upstreams": {}}, "time_s": 1}')
    assert main(["--config", str(tmp_path / "config.json")]) == 2
    assert "time_s" in capfd.readouterr().err


def test_the_router_ends_with_any_process():
    other = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    plan = RoutePlan(upstreams={"v1": dead()}, stable="v1")
    try:
        with RouterProcess(RouterConfig(plan=plan, lifetime_s=60, parent_pid=other.pid)) as router:
            with pytest.raises(subprocess.TimeoutExpired):
                router.process.wait(1.2)  # it looks twice a second
            assert router.plan == plan
            other.kill()
            assert router.process.wait(60) == 4
    finally:
        other.kill()
        other.communicate()


def test_prometheus_reads_the_metrics(tmp_path):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: Prometheus' own reading of the metrics is not checked")

    async def run():
        async with Stand("v1") as v1, Stand("v2", status="cut") as v2:
            plan = plan_of(v1.url, v2.url, weight=50, mirror=100)
            async with Router(RouterConfig(plan=plan, body_bytes=1000)) as router:
                for i in range(10):
                    await post(router, user=f"u{i}")
                await post(router, body={"features": {"x": "y" * 2000}})
                async with (
                    aiohttp.ClientSession() as session,
                    session.get(router.control_url + "/metrics") as got,
                ):
                    return await got.text()

    text = asyncio.run(run())
    assert 'router_requests_total{code="200",version="v1"} 10.0' in text
    assert 'router_requests_total{code="413",version="router"} 1.0' in text
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=30
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_process_ends_by_itself(tmp_path):
    plan = RoutePlan(upstreams={"v1": dead()}, stable="v1")
    with RouterProcess(RouterConfig(plan=plan, lifetime_s=0.3)) as router:
        assert router.process.wait(60) == 5
    code = (
        "import sys; from mlprod_helpers.serving.router.process import *;"
        f"p = RouterProcess(RouterConfig(plan={plan.model_dump()!r}, lifetime_s=60));"
        "print(p.pid, flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return  # in a container nobody may bury it
        except psutil.NoSuchProcess:
            return
        time.sleep(0.1)
    pytest.fail("the router has outlived its parent")


ODD = {
    "a label from before its request": {"event": "label", "time": "2020-01-01T00:00:00Z", "label": 1.0},
    "a text as label": {"event": "label", "time": "2100-01-01T00:00:00Z", "label": "late"},
    "a status that is none": {"event": "request", "version": "v2", "served": True, "status": 7},
    "a latency below 0": {
        "event": "request",
        "version": "v2",
        "served": True,
        "status": 200,
        "latency_ms": -5.0,
    },
    "an id that is a fraction": {
        "event": "request",
        "version": "v2",
        "served": True,
        "status": 200,
        "request_id": 7.5,
    },
    "an id that is a list": {
        "event": "request",
        "version": "v2",
        "served": True,
        "status": 200,
        "request_id": ["r"],
    },
    "a prediction that is text": {
        "event": "request",
        "version": "v2",
        "served": True,
        "status": 200,
        "prediction": "?",
    },
    "no status": {"event": "request", "version": "v2", "served": True},
    "no served": {"event": "request", "version": "v2", "status": 200},
    "another request of the same name": {"event": "request", "version": "v2", "served": True, "status": 200},
}


@pytest.mark.filterwarnings("ignore::mlprod_helpers.requestlog.LogWarning")
@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_a_rollout_keeps_its_sight_when_the_log_has_one_odd_event(odd, tmp_path):
    from mlprod_helpers.requestlog import RequestLog

    class Backend:
        def set_weights(self, weights, mirror):
            pass

    log, seen = RequestLog(tmp_path / "log"), []

    def judge(metrics):
        seen.append({role: told["requests"] for role, told in metrics.summary(window="all").items()})
        return ("fail", "bad") if seen[-1]["canary"] else "nodata"

    controller = Controller(Canary(step_weights=[50], interval=60, threshold=1), judge, "v1", "v2")
    driver = Driver(controller, Backend(), tmp_path / "log")
    begin = time.time()
    driver.tick(begin)
    for i in range(20):
        log.request(f"r{i}", version=f"v{1 + i % 2}", time=_at(begin + 1 + i), latency_ms=5.0, prediction=1.0)
        log.label(f"r{i}", 1.0, time=_at(begin + 2 + i))
    with (tmp_path / "log").open("a") as file:
        file.write(
            json.dumps({"time": str(_at(begin + 3)), "request_id": "r3", "latency_ms": 5.0} | odd) + "\n"
        )
    tick = driver.tick(begin + 61)
    assert (tick.verdict, tick.problem) == ("fail", None)
    assert seen[0]["stable"] == 10 and 9 <= seen[0]["canary"] <= 10
    log.request("r20", version="v2", time=_at(begin + 62), latency_ms=5.0)
    assert len(driver._tail.read()) >= 20  # it is not looked for again
    log.close()


def _at(seconds):
    import pandas as pd

    return pd.Timestamp(seconds, unit="s", tz="UTC")
