"""The router: sticky users, whole plans, copies that cost nobody anything, retries where they are safe, a log that a judge can read."""

import asyncio
import contextlib
import gzip
import json
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import aiohttp
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from stand_in_service import Upstream, is_alive, save_ridge, until

from mlprod_helpers.requestlog import RequestLog, read
from mlprod_helpers.rollout import Metrics, bucket, route
from mlprod_helpers.serving import Faults, LabError, ServiceConfig, open_loop, start
from mlprod_helpers.serving.headers import loopback
from mlprod_helpers.serving.router import proxy
from mlprod_helpers.serving.router.__main__ import main
from mlprod_helpers.serving.router.plan import RoutePlan, RouterConfig
from mlprod_helpers.serving.router.process import RouterProcess
from mlprod_helpers.serving.router.rows import write_rows

ROWS = [{"distance": float(d)} for d in range(100, 200)]
BODY = {"features": {"distance": 1400}}
RAW = json.dumps(BODY).encode()


def plan_of(v1, v2=None, **fields):
    """A plan of one version, or of two."""
    if v2 is None:
        return RoutePlan(upstreams={"v1": v1}, stable="v1", **fields)
    return RoutePlan(upstreams={"v1": v1, "v2": v2}, stable="v1", canary="v2", **fields)


def dead():
    """An address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def with_router(use, *upstreams, log=None, plan=None, **config):
    """The result of `await use(router)`, for a router in front of these `Upstream`s (or addresses)."""

    async def work():
        async with contextlib.AsyncExitStack() as stack, asyncio.timeout(60):
            urls = [
                one if isinstance(one, str) else (await stack.enter_async_context(one)).url
                for one in upstreams
            ]
            routes = plan_of(*urls, **(plan or {}))
            config_ = RouterConfig(plan=routes, log=None if log is None else str(log), **config)
            return await use(await stack.enter_async_context(proxy.Router(config_)))

    return asyncio.run(work())


async def post(router, user="ana", body=BODY, path="/predict", **headers):
    headers = {"X-User-Id": user, "Content-Type": "application/json", **headers}
    async with (
        aiohttp.ClientSession() as session,
        session.post(router.url + path, data=json.dumps(body), headers=headers) as answer,
    ):
        return answer.status, answer.headers.copy(), await answer.read()


def label(router, **fields):
    return post(router, path="/label", body={"request_id": "r1", "label": 227.0} | fields)


async def copies_are_done(router):
    while router._copies:
        await asyncio.sleep(0.01)


async def by_hand(router, head, *parts):
    """What the router sends on one connection: after each head that it sends goes the next part; the last answer is whole."""
    reader, writer = await asyncio.open_connection("127.0.0.1", router.port)
    writer.write(head)
    answers = []
    for part in parts:
        answers.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(part)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split()[0])
    answers.append(head + await reader.readexactly(length))
    writer.close()
    return answers


def head(*lines, host="router", path="/predict", length=None):
    lines = [f"POST {path} HTTP/1.1", f"Host: {host}", "Content-Type: application/json", *lines]
    lines += [] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def status(answer):
    return int(answer.split()[1])


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
    own = {"Connection": "X-Secret", "X-Secret": "1", "X-Mine": "2", "X-Shadow": "1"}
    v1 = Upstream("v1")
    code, headers, _ = with_router(lambda router: post(router, **own), v1, log=tmp_path / "log")
    assert code == 200 and headers["X-Version"] == "v1" and headers["X-Own"] == "kept"
    assert "Keep-Alive" not in headers
    received = v1.seen[0][1]
    assert received["X-Mine"] == "2" and not {"X-Secret", "Upgrade", "X-Shadow"} & set(received)
    row = read(tmp_path / "log").iloc[0]
    assert (row["request_id"], row["user_id"], row["distance"]) == (headers["X-Request-Id"], "ana", 1400)
    assert (row["prediction"], row["version"], row["status"], row["served"]) == (1.5, "v1", 200, True)


def test_what_is_too_large_nowhere_slow_or_too_much_is_refused_and_logged(tmp_path, monkeypatch):
    monkeypatch.setattr(proxy, "BODY_BYTES", 1000)
    monkeypatch.setattr(proxy, "IN_FLIGHT", 1)
    v1 = Upstream("v1", hang=5)

    async def use(router):
        large = await post(router, body={"features": {"x": "y" * 2000}})
        nowhere = await post(router, path="/admin")
        async with aiohttp.ClientSession() as session, session.get(router.url + "/predict") as answer:
            method = answer.status
        slow = asyncio.ensure_future(post(router))
        while not v1.seen:
            await asyncio.sleep(0.001)
        shed = await post(router)
        return [large[0], nowhere[0], method, (await slow)[0], shed[0]], shed[1]["Retry-After"]

    statuses, after = with_router(use, v1, log=tmp_path / "log", timeout_s=1.0)
    assert statuses == [413, 404, 405, 504, 503] and after == "1"
    assert len(v1.seen) == 1  # a timeout is not tried again
    refused = {"router": [405, 413, 503], "v1": [504]}
    assert read(tmp_path / "log").groupby("version")["status"].apply(sorted).to_dict() == refused


def test_a_client_that_waits_for_permission_gets_it_once(monkeypatch):
    monkeypatch.setattr(proxy, "BODY_S", 0.5)
    expects = head("Expect: 100-continue", "Connection: close", length=len(RAW))
    v1 = Upstream("v1")

    async def use(router):
        whole = await by_hand(router, expects, RAW)
        never = await by_hand(router, expects, RAW[:5])
        silent = await by_hand(router, head(length=len(RAW)))
        return whole, never, silent, await by_hand(router, head("Expect: 100-continue", length=10_000_000))

    whole, never, silent, large = with_router(use, v1)
    assert status(large[0]) == 413  # it is not asked to send that
    assert whole[0] == never[0] == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert status(whole[1]) == 200 and b"100 Continue" not in whole[1]
    assert status(never[1]) == status(silent[0]) == 408
    assert [body for _, _, body in v1.seen] == [RAW]  # half a body reaches nobody
    assert "Expect" not in v1.seen[0][1]


def test_a_body_may_be_as_large_as_the_limit_and_not_one_byte_larger(tmp_path, monkeypatch):
    monkeypatch.setattr(proxy, "BODY_BYTES", 100)
    v1 = Upstream("v1")

    async def use(router):
        answers = []
        for n in (100, 101):
            chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (n, b"x" * n)
            answers += await by_hand(router, head("Connection: close", length=n) + b"x" * n)
            answers += await by_hand(router, head("Connection: close", "Transfer-Encoding: chunked") + chunk)
        # the length alone is enough: not one byte of the body is asked for
        return [*answers, *await by_hand(router, head(length=10_000_000))]

    expected = [200, 200, 413, 413, 413]
    assert [status(answer) for answer in with_router(use, v1, log=tmp_path / "log")] == expected
    assert [len(body) for _, _, body in v1.seen] == [100, 100]
    assert read(tmp_path / "log")["status"].tolist() == expected


def test_what_is_hostile_in_http_itself_is_refused_or_goes_on_as_it_came():
    packed = gzip.compress(RAW)
    close, n = "Connection: close", len(RAW)
    requests = [
        (head("Transfer-Encoding: chunked", length=n) + b"0\r\n\r\n", 400),  # two lengths
        (head(close, "Content-Encoding: gzip", length=n) + RAW, 200),  # not what it says
        (head(close, "Content-Encoding: gzip", length=len(packed)) + packed, 200),
        (head(close, "Transfer-Encoding: chunked") + b"none\r\n", 400),
        (head(close, length=n, path="http://example.org/predict") + RAW, 404),
        (head(close, length=n, path="http://127.0.0.1:1/predict") + RAW, 404),
    ]
    v1 = Upstream("v1")

    async def use(router):
        return [status((await by_hand(router, data))[0]) for data, _ in requests]

    assert with_router(use, v1) == [expected for _, expected in requests]
    assert [body for _, _, body in v1.seen] == [RAW, packed]  # the router unpacks nothing


def test_another_page_and_a_request_with_two_users_are_refused_and_reach_no_service():
    v1 = Upstream("v1")

    async def use(router):
        own = f"127.0.0.1:{router.port}"
        cases = [
            ("example.org", [], 421),
            ("10.0.0.1:80", [], 421),
            (own, ["Origin: http://example.org"], 403),
            (own, ["Origin: null"], 403),
            (own, ["Origin: http://localhost:8888"], 403),
            (own, ["X-User-Id: ana", "X-User-Id: ben"], 400),
            (own, [], 200),
            (own, [f"Origin: http://{own}"], 200),
            (f"localhost:{router.port}", [], 200),
        ]
        for host, lines, expected in cases:
            for path in ("/predict", "/label"):
                data = head(*lines, "Connection: close", host=host, path=path, length=len(RAW)) + RAW
                assert status((await by_hand(router, data))[0]) == expected, (host, lines, path)
        url, headers = f"{router.control_url}/metrics", {"Host": "example.org"}
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            return answer.status

    assert with_router(use, v1) == 421
    assert len(v1.seen) == 6


# ------------------------------------------------------------------------------------------ the log

WHEN = {"time": 1e9, "latency_ms": 1.0, "served": True, "attempts": 1, "user": "ana"}


def log_of(*pairs):
    """A log with a good row of v1, and v2's answers: pairs of (body, answer)."""
    log = RequestLog()
    write_rows(log, "good", RAW, 200, b'{"prediction": 175.0, "score": 0.5}', version="v1", **WHEN)
    for i, (body, answer) in enumerate(pairs):
        write_rows(log, f"r{i}", body, 200, answer, version="v2", **WHEN)
    return log.read()


@pytest.mark.parametrize("score", ['"high"', "true", "[1]", "1" + "0" * 400, "null", "NaN"])
def test_a_score_that_is_no_number_does_not_keep_the_judge_from_the_log(score):
    one, many = (
        f'{{"prediction{s}": {p}, "score{s}": {q}}}'.encode()
        for s, p, q in (("", 3, score), ("s", [3], f"[{score}]"))
    )
    table = log_of((RAW, one), (b'{"rows": [{"distance": 1}]}', many))
    assert table["score"].isna().tolist() == [False, True, True]
    assert Metrics.from_log(table, "v1", "v2", origin="1970-01-01 00:00Z")


@pytest.mark.parametrize(
    "features",
    [
        {"distance": "far"},
        {"distance": 10**400},
        {"": 1},
        {"status": "x", "label": 3, "time": "noon", "served": 2},
        {"\ud800": "\ud800", "a\0": "\0", "b": '\n{"event": "request"}'},
        {"class": 1, "self": 2, "event": 3, "features": 4, "index": 5},
        {f"x{i}": i for i in range(500)},
        {"deep": [[[[1]]]]},
    ],
    ids=str,
)
def test_no_features_keep_the_judge_from_the_log(features):
    bodies = ({"features": features}, {"rows": [features]}, {"rows": features}, [features])
    table = log_of(*((json.dumps(body).encode(), b'{"prediction": 3}') for body in bodies))
    assert len(table) == 1 + len(bodies)
    assert Metrics.from_log(table, "v1", "v2", origin="1970-01-01 00:00Z")


def test_a_full_disk_is_counted_and_fails_nobody(monkeypatch):
    def full(line):
        raise OSError(28, "No space left on device")

    log = RequestLog()
    monkeypatch.setattr(log, "_append", full)
    body = b'{"rows": [{"distance": 1}, {"distance": 2}]}'
    assert write_rows(log, "r1", body, 200, b'{"predictions": [1, 2]}', version="v1", **WHEN) == 2


def test_the_log_hides_what_is_redacted_of_answers_lost_tries_copies_and_refusals(tmp_path, monkeypatch):
    body = {"rows": [{"distance": 1400, "zone": 2}, {"distance": 187, "zone": 7}]}
    monkeypatch.setenv("MLPROD_LOG_KEY", "sixteen characters at least")
    v2 = Upstream("v2", status=422)

    async def use(router):
        for _ in range(10):
            await post(router, user="ana-maria", body=body)
        await copies_are_done(router)
        router.apply(plan_of(dead(), v2.url))
        await post(router, user="ana-maria", body=body)

    log = tmp_path / "log"
    with_router(use, Upstream("v1"), v2, log=log, plan={"mirror": 100}, redact=["zone", "user_id"])
    assert "zone" not in log.read_text() and "ana-maria" not in log.read_text()
    table = read(log)
    assert table["user_id"].nunique() == 1 and table["user_id"].notna().all()
    kinds = set(zip(table["version"], table["served"], strict=True))
    assert kinds == {("v1", True), ("v1", False), ("v2", False), ("v2", True)}


# ------------------------------------------------------------------------------------------ retries


@pytest.mark.parametrize("problem", ["nobody listens", "connection cut"])
def test_a_dead_canary_is_seen_by_the_judge_and_not_by_the_user(tmp_path, problem):
    canary, tries = (dead(), 1) if problem == "nobody listens" else (Upstream("v2", status="cut"), 2)
    code, headers, _ = with_router(post, Upstream("v1"), canary, log=tmp_path / "log", plan={"weight": 100})
    assert code == 200 and headers["X-Version"] == "v1"
    log = read(tmp_path / "log").set_index("version")
    assert log.loc["v2", ["served", "status"]].tolist() == [False, 502]
    assert log.loc["v1", ["served", "status", "attempts"]].tolist() == [True, 200, tries + 1]


@pytest.mark.parametrize(("answer", "paths", "expected"), [("cut", (), 502), (500, ("/predict",), 500)])
def test_neither_an_unsafe_request_nor_one_with_an_answer_is_sent_twice(answer, paths, expected):
    v1, v2 = Upstream("v1"), Upstream("v2", status=answer)
    assert with_router(post, v1, v2, plan={"weight": 100}, retry_paths=paths)[0] == expected
    assert (len(v1.seen), len(v2.seen)) == (0, 1)


def test_a_version_that_is_only_slow_to_connect_is_not_gone():
    """Its queue of connections is full for more than a second; then it takes them again."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            full = stack.enter_context(socket.socket())
            full.setblocking(False)
            full.connect_ex(listener.getsockname())

        async def use(router):
            asked = asyncio.ensure_future(post(router))
            await asyncio.sleep(1.5)
            async with Upstream("v1", listener=listener):
                return await asked

        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        code, headers, _ = with_router(use, url, Upstream("v2"))
    assert (code, headers["X-Version"]) == (200, "v1")


# ------------------------------------------------------------------------------------- who is not ready


@pytest.mark.filterwarnings("ignore:.*a label for request")
def test_a_version_that_is_not_ready_gets_nothing_and_its_users_do_not_notice(tmp_path):
    v1, v2 = Upstream("v1"), Upstream("v2", ready=False)

    async def use(router):
        assert [(await post(router))[1]["X-Version"] for _ in range(5)] == ["v1"] * 5
        assert ((await label(router))[0], v2.seen) == (200, [])
        v2.ready, checks = True, v2.checks
        while v2.checks < checks + 2:
            await asyncio.sleep(0.01)
        assert [(await post(router))[1]["X-Version"] for _ in range(5)] == ["v2"] * 5
        v1.ready = v2.ready = False
        while (await post(router))[0] == 200:
            await asyncio.sleep(0.01)
        code, headers, _ = await post(router)
        assert (code, headers["Retry-After"], headers["X-Version"]) == (503, "1", "router")
        sent = len(v1.seen), len(v2.seen)
        assert ((await label(router))[0], len(v1.seen), len(v2.seen)) == (503, *sent)

    with_router(use, v1, v2, log=tmp_path / "log", plan={"weight": 100, "mirror": 100})
    log = read(tmp_path / "log")
    assert set(log[log["version"] == "v2"]["status"]) == {200}  # no try has failed


def test_a_real_service_that_still_loads_gets_nothing_until_it_is_ready(tmp_path):
    model, log = save_ridge(tmp_path / "model"), tmp_path / "v2"
    config = ServiceConfig(model=model, log=str(log), faults=Faults(start_s=2.0), lifetime_s=120)

    async def use(router):
        versions = []
        while not versions or versions[-1] != "v2":
            code, headers, _ = await post(router)
            assert code == 200
            versions.append(headers["X-Version"])
            await asyncio.sleep(0.02)
        return versions

    with start(config) as service:
        assert service.state() == "starting"
        versions = with_router(use, Upstream("v1"), service.url, plan={"weight": 100})
    assert versions[0] == "v1" and len(versions) > 5
    assert read(log)["status"].tolist() == [200]  # it has refused nobody


# -------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("v1", "v2", "answered"),
    [
        *((200, 200, "v1"), (404, 200, "v2"), (200, 404, "v1"), (404, 404, "v1"), (500, 404, "v2")),
        *((404, 422, "v2"), (422, 404, "v1"), (422, 200, "v2")),  # 422 says what is wrong with the label
    ],
)
def test_a_label_goes_to_both_versions_and_the_better_answer_back(v1, v2, answered, tmp_path):
    one, two, log = Upstream("v1", v1), Upstream("v2", v2), tmp_path / "log"
    code, headers, _ = with_router(label, one, two, log=log)
    assert (code, headers["X-Version"]) == ({"v1": v1, "v2": v2}[answered], answered)
    assert (len(one.seen), len(two.seen)) == (1, 1)
    assert log.read_text().count('"label": 227.0') == (200 in (v1, v2))


def test_a_label_that_is_sent_again_is_one_line_of_the_log_and_a_correction_a_second(tmp_path):
    async def use(router):
        for value in (227.0, 227.0, 230.0, 230.0):
            await label(router, label=value)

    with_router(use, Upstream("v1"), Upstream("v2"), log=tmp_path / "log")
    labels = [json.loads(line)["label"] for line in (tmp_path / "log").read_text().splitlines()]
    assert labels == [227.0, 230.0]


def test_a_label_does_not_wait_for_a_canary_that_hangs():
    v2 = Upstream("v2", hang=600)
    assert with_router(label, Upstream("v1"), v2, timeout_s=600)[0] == 200
    assert len(v2.seen) == 1


# -------------------------------------------------------------------------------------------- copies


def test_no_request_waits_for_a_shadow_that_hangs_and_copies_are_bounded(monkeypatch):
    monkeypatch.setattr(proxy, "COPIES", 5)
    monkeypatch.setattr(proxy, "COPY_S", 20.0)
    v2 = Upstream("v2", hang=30)

    async def use(router):
        statuses = [(await post(router))[0] for _ in range(20)]  # had one waited, the time would be over
        return statuses, len(router._copies), router.meters.copies.labels("dropped")._value.get()

    assert with_router(use, Upstream("v1"), v2, plan={"mirror": 100}) == ([200] * 20, 5, 15)
    assert len(v2.seen) <= 5


def test_a_shadow_that_hangs_is_asked_less_and_fully_again_when_it_answers(monkeypatch):
    monkeypatch.setattr(proxy, "COPIES", 4)
    monkeypatch.setattr(proxy, "COPY_S", 0.1)
    v2 = Upstream("v2", hang=30)

    async def use(router):
        places = []
        for v2.hang in (30, 0):
            for _ in range(6):
                for _ in range(4):
                    await post(router)
                await copies_are_done(router)
            places.append(router._places)
        return places, router.meters.copies.labels("timeout")._value.get()

    places, timeouts = with_router(use, Upstream("v1"), v2, plan={"mirror": 100})
    assert places == [1, 4]
    assert 4 <= timeouts < 24  # without fewer places, all of the 24 would have been copied


def test_a_copy_is_logged_as_one_that_nobody_saw(tmp_path):
    v2 = Upstream("v2", status=500)

    async def use(router):
        code = (await post(router))[0]
        await copies_are_done(router)
        return code

    assert with_router(use, Upstream("v1"), v2, log=tmp_path / "log", plan={"mirror": 100}) == 200
    assert v2.seen[0][1]["X-Shadow"] == "1"
    log = read(tmp_path / "log").set_index("version")
    assert log["served"].to_dict() == {"v1": True, "v2": False}
    assert log["status"].to_dict() == {"v1": 200, "v2": 500} and log["request_id"].nunique() == 1


# --------------------------------------------------------------------------------------- under load


def test_plan_swaps_and_blue_green_switches_lose_and_misroute_nobody(tmp_path):
    async def use(router):
        over, settings = threading.Event(), {"rate": 200, "duration": 60, "users": 500, "random_state": 0}
        load = asyncio.ensure_future(asyncio.to_thread(open_loop, router.url, ROWS, stop=over, **settings))
        plans = {0: router.plan}
        for weight in (*range(4, 82, 4), 100, 0, 100, 0, 100):
            await asyncio.sleep(0.06)
            plan = router.set_weights({"v1": 100 - weight, "v2": weight})
            plans[plan.generation] = plan
        over.set()
        return await load, plans

    table, plans = with_router(use, Upstream("v1"), Upstream("v2"), log=tmp_path / "log")
    assert len(plans) == 26 and table["plan"].nunique() > 8
    assert table.loc[table["status"] != 200, "status"].value_counts().to_dict() == {}
    expected = [plans[g].version_of(user) for g, user in zip(table["plan"], table["user_id"], strict=True)]
    assert (table["version"] == expected).all()
    log = read(tmp_path / "log")
    assert len(log) == len(table) and set(log["request_id"]) == set(table["request_id"])


def test_draining_waits_for_answers_and_sends_nothing_new():
    v1 = Upstream("v1", hang=1.0)

    async def use(router):
        first = asyncio.ensure_future(post(router))
        while not router.in_flight["v1"]:
            await asyncio.sleep(0.005)
        left, second = await asyncio.gather(router.drain("v1", timeout=5), post(router))
        return (await first)[1]["X-Version"], second[1]["X-Version"], left

    assert with_router(use, v1, Upstream("v2")) == ("v1", "v2", 0)
    assert len(v1.seen) == 1


# ---------------------------------------------------------------------------------- its own process


def test_the_control_port_wants_the_token():
    plan = plan_of(dead())
    with RouterProcess(RouterConfig(plan=plan, lifetime_s=30)) as router:
        assert router.plan == plan
        for guess in ("guessed", "\xe9"):
            router.token = guess
            with pytest.raises(ValueError, match="401"):
                router.apply(plan)
        assert "router_plan_swaps_total 0.0" in router.metrics()


def test_a_wrong_config_ends_it_with_exit_code_2(tmp_path, capfd, monkeypatch):
    monkeypatch.delenv("MLPROD_LOG_KEY", raising=False)
    plan, path = plan_of(dead()), tmp_path / "config.json"
    with pytest.raises(LabError, match="nowhere.*exit code 2"):
        RouterProcess(RouterConfig(plan=plan, log=str(tmp_path / "nowhere" / "log")))
    with pytest.raises(ValueError, match="set MLPROD_LOG_KEY in the environment: 16"):
        RouterProcess(RouterConfig(plan=plan, redact=["user_id"]))
    hashed = RouterConfig(plan=plan, redact=["user_id"], parent_pid=0).model_dump_json()
    for text, reason in ((hashed, "MLPROD_LOG_KEY"), ('{"plan": {}, "time_s": 1}', "time_s")):
        path.write_text(text)
        assert main(["--config", str(path)]) == 2
        assert reason in capfd.readouterr().err


def test_the_router_ends_after_its_lifetime_and_with_any_process():
    other = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    plan = plan_of(dead())
    try:
        with (
            RouterProcess(RouterConfig(plan=plan, lifetime_s=0.3)) as short,
            RouterProcess(RouterConfig(plan=plan, lifetime_s=60, parent_pid=other.pid)) as router,
        ):
            assert short.process.wait(60) == 5
            assert router.plan == plan
            other.kill()
            assert router.process.wait(60) == 4
    finally:
        other.kill()
        other.communicate()


def test_a_router_does_not_outlive_a_killed_parent():
    code = (
        "import sys; from mlprod_helpers.serving import RouterConfig, RouterProcess;"
        f"p = RouterProcess(RouterConfig(plan={plan_of(dead()).model_dump()!r}, lifetime_s=60));"
        "print(p.pid, flush=True); sys.stdin.read()"
    )
    pipes = {"stdout": subprocess.PIPE, "stdin": subprocess.PIPE, "text": True}
    parent = subprocess.Popen([sys.executable, "-c", code], **pipes)
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    until(lambda: not is_alive(pid))


def test_the_metrics_count_answers_and_refusals_and_prometheus_reads_them(monkeypatch):
    monkeypatch.setattr(proxy, "BODY_BYTES", 1000)

    async def use(router):
        for i in range(10):
            await post(router, user=f"u{i}")
        await post(router, body={"features": {"x": "y" * 2000}})
        router.apply(plan_of(router.plan.upstreams["v1"]))  # a version that is gone has no weight
        async with aiohttp.ClientSession() as session, session.get(router.control_url + "/metrics") as answer:
            return await answer.text()

    text = with_router(use, Upstream("v1"), Upstream("v2", status="cut"), plan={"weight": 50, "mirror": 100})
    assert 'router_requests_total{code="200",version="v1"} 10.0' in text
    assert 'router_requests_total{code="413",version="router"} 1.0' in text
    assert 'router_weight_percent{version="v1"} 100.0' in text and 'weight_percent{version="v2"' not in text
    if promtool := shutil.which("promtool"):
        subprocess.run([promtool, "check", "metrics"], input=text, text=True, timeout=30, check=True)
