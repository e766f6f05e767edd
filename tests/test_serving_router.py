"""The router: sticky users, whole plans, copies that cost nobody anything, retries where they are safe, a log that a judge can read."""

import asyncio
import contextlib
import gzip
import json
import shutil
import socket
import subprocess
import threading
from types import SimpleNamespace

import aiohttp
import numpy as np
import pytest
from stand_in_service import Upstream, in_a_loop

from mlprod_helpers.requestlog import read
from mlprod_helpers.rollout import Metrics, bucket, route
from mlprod_helpers.serving import LabError, open_loop
from mlprod_helpers.serving.headers import loopback
from mlprod_helpers.serving.redaction import RedactedLog
from mlprod_helpers.serving.router import proxy
from mlprod_helpers.serving.router.plan import RoutePlan, RouterConfig
from mlprod_helpers.serving.router.process import RouterProcess
from mlprod_helpers.serving.router.rows import write_rows
from mlprod_helpers.serving.router.upstreams import Answer

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


@contextlib.asynccontextmanager
async def routed(*upstreams, log=None, plan=None, **config):
    """A router in front of these `Upstream`s (or addresses)."""
    async with contextlib.AsyncExitStack() as stack:
        urls = [
            one if isinstance(one, str) else (await stack.enter_async_context(one)).url for one in upstreams
        ]
        settings = RouterConfig(plan=plan_of(*urls, **(plan or {})), log=log, **config)
        yield await stack.enter_async_context(proxy.Router(settings))


async def post(router, user="ana", body=BODY, path="/predict", **headers):
    headers = {"X-User-Id": user, "Content-Type": "application/json", **headers}
    async with (
        aiohttp.ClientSession() as session,
        session.post(router.url + path, data=json.dumps(body), headers=headers) as answer,
    ):
        return answer.status, answer.headers.copy(), await answer.read()


async def get(url, **headers):
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status, await answer.text()


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


@in_a_loop
async def test_headers_of_one_connection_end_here_and_the_log_has_the_row(tmp_path):
    own = {"Connection": "X-Secret", "X-Secret": "1", "X-Mine": "2", "X-Shadow": "1"}
    v1 = Upstream("v1")
    async with routed(v1, log=tmp_path / "log") as router:
        code, headers, _ = await post(router, **own)
    assert code == 200 and headers["X-Version"] == "v1" and headers["X-Own"] == "kept"
    assert "Keep-Alive" not in headers
    received = v1.seen[0][1]
    assert received["X-Mine"] == "2" and not {"X-Secret", "Upgrade", "X-Shadow"} & set(received)
    row = read(tmp_path / "log").iloc[0]
    assert (row["request_id"], row["user_id"], row["distance"]) == (headers["X-Request-Id"], "ana", 1400)
    assert (row["prediction"], row["version"], row["status"], row["served"]) == (1.5, "v1", 200, True)


@in_a_loop
async def test_what_is_too_large_nowhere_slow_or_too_much_is_refused_and_logged(tmp_path, monkeypatch):
    monkeypatch.setattr(proxy, "BODY_BYTES", 1000)
    monkeypatch.setattr(proxy, "IN_FLIGHT", 1)
    monkeypatch.setattr(proxy, "ANSWER_S", 1.0)
    v1 = Upstream("v1", hang=5)
    async with routed(v1, log=tmp_path / "log") as router:
        assert (await post(router, body={"features": {"x": "y" * 2000}}))[0] == 413
        assert (await post(router, path="/admin"))[0] == 404
        assert (await get(router.url + "/predict"))[0] == 405
        slow = asyncio.ensure_future(post(router))
        while not v1.seen:
            await asyncio.sleep(0.001)
        code, headers, _ = await post(router)
        assert (code, headers["Retry-After"], (await slow)[0]) == (503, "1", 504)
    assert len(v1.seen) == 1  # a timeout is not tried again
    refused = {"router": [405, 413, 503], "v1": [504]}
    assert read(tmp_path / "log").groupby("version")["status"].apply(sorted).to_dict() == refused


@in_a_loop
async def test_a_client_that_waits_for_permission_gets_it_once(monkeypatch):
    monkeypatch.setattr(proxy, "BODY_S", 0.5)
    expects = head("Expect: 100-continue", "Connection: close", length=len(RAW))
    v1 = Upstream("v1")
    async with routed(v1) as router:
        whole = await by_hand(router, expects, RAW)
        never = await by_hand(router, expects, RAW[:5])
        silent = await by_hand(router, head(length=len(RAW)))
        large = await by_hand(router, head("Expect: 100-continue", length=10_000_000))
    assert status(large[0]) == 413  # it is not asked to send that
    assert whole[0] == never[0] == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert status(whole[1]) == 200 and b"100 Continue" not in whole[1]
    assert status(never[1]) == status(silent[0]) == 408
    assert [body for _, _, body in v1.seen] == [RAW]  # half a body reaches nobody
    assert "Expect" not in v1.seen[0][1]


@in_a_loop
async def test_a_body_may_be_as_large_as_the_limit_and_not_one_byte_larger(tmp_path, monkeypatch):
    monkeypatch.setattr(proxy, "BODY_BYTES", 100)
    v1, answers = Upstream("v1"), []
    async with routed(v1, log=tmp_path / "log") as router:
        for n in (100, 101):
            chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (n, b"x" * n)
            answers += await by_hand(router, head("Connection: close", length=n) + b"x" * n)
            answers += await by_hand(router, head("Connection: close", "Transfer-Encoding: chunked") + chunk)
        # the length alone is enough: not one byte of the body is asked for
        answers += await by_hand(router, head(length=10_000_000))
    expected = [200, 200, 413, 413, 413]
    assert [status(answer) for answer in answers] == expected
    assert [len(body) for _, _, body in v1.seen] == [100, 100]
    assert read(tmp_path / "log")["status"].tolist() == expected


@in_a_loop
async def test_what_is_hostile_in_http_itself_is_refused_or_goes_on_as_it_came():
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
    async with routed(v1) as router:
        for data, expected in requests:
            assert status((await by_hand(router, data))[0]) == expected, data
    assert [body for _, _, body in v1.seen] == [RAW, packed]  # the router unpacks nothing


@in_a_loop
async def test_another_page_and_a_request_with_two_users_are_refused_and_reach_no_service():
    v1 = Upstream("v1")
    async with routed(v1) as router:
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
        assert (await get(f"{router.control_url}/metrics", Host="example.org"))[0] == 421
    assert len(v1.seen) == 6


# ------------------------------------------------------------------------------------------ the log

FIELDS = {"latency_ms": 1.0, "served": True, "attempts": 1}


def write(log, name, body, answer, version):
    """Write a request with a body and its answer as the router does."""
    request = SimpleNamespace(name=name, arrived=1e9, user="ana", body=body)
    return write_rows(log, request, Answer(200, {}, answer), version=version, **FIELDS)


def log_of(*pairs):
    """A log with a good row of v1, and v2's answers: pairs of (body, answer)."""
    log = RedactedLog(None, ())
    write(log, "good", RAW, b'{"prediction": 175.0, "score": 0.5}', "v1")
    for i, (body, answer) in enumerate(pairs):
        write(log, f"r{i}", body, answer, "v2")
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

    log = RedactedLog(None, ())
    monkeypatch.setattr(log, "_append", full)
    body = b'{"rows": [{"distance": 1}, {"distance": 2}]}'
    assert write(log, "r1", body, b'{"predictions": [1, 2]}', "v1") == 2


@in_a_loop
async def test_the_log_hides_what_is_redacted_of_answers_lost_tries_copies_and_refusals(
    tmp_path, monkeypatch
):
    body = {"rows": [{"distance": 1400, "zone": 2}, {"distance": 187, "zone": 7}]}
    monkeypatch.setenv("MLPROD_LOG_KEY", "sixteen characters at least")
    v2, log, redact = Upstream("v2", status=422), tmp_path / "log", ["zone", "user_id"]
    async with routed(Upstream("v1"), v2, log=log, plan={"mirror": 100}, redact=redact) as router:
        for _ in range(10):
            await post(router, user="ana-maria", body=body)
        await copies_are_done(router)
        router.apply(plan_of(dead(), v2.url))
        await post(router, user="ana-maria", body=body)
    assert "zone" not in log.read_text() and "ana-maria" not in log.read_text()
    table = read(log)
    assert table["user_id"].nunique() == 1 and table["user_id"].notna().all()
    kinds = set(zip(table["version"], table["served"], strict=True))
    assert kinds == {("v1", True), ("v1", False), ("v2", False), ("v2", True)}


# ------------------------------------------------------------------------------------------ retries


@pytest.mark.parametrize("problem", ["nobody listens", "connection cut"])
@in_a_loop
async def test_a_dead_canary_is_seen_by_the_judge_and_not_by_the_user(tmp_path, problem):
    canary, tries = (dead(), 1) if problem == "nobody listens" else (Upstream("v2", status="cut"), 2)
    async with routed(Upstream("v1"), canary, log=tmp_path / "log", plan={"weight": 100}) as router:
        code, headers, _ = await post(router)
    assert code == 200 and headers["X-Version"] == "v1"
    log = read(tmp_path / "log").set_index("version")
    assert log.loc["v2", ["served", "status"]].tolist() == [False, 502]
    assert log.loc["v1", ["served", "status", "attempts"]].tolist() == [True, 200, tries + 1]


@in_a_loop
async def test_neither_a_label_nor_a_request_with_an_answer_is_sent_twice():
    v1, v2 = Upstream("v1", status="cut"), Upstream("v2", status=500)
    async with routed(v1, v2, plan={"weight": 100}) as router:
        assert (await post(router))[0] == 500
        assert (len(v1.seen), len(v2.seen)) == (0, 1)
        await label(router)
    assert (len(v1.seen), len(v2.seen)) == (1, 2)


@in_a_loop
async def test_a_version_that_is_only_slow_to_connect_is_not_gone():
    """Its queue of connections is full for more than a second; then it takes them again."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            full = stack.enter_context(socket.socket())
            full.setblocking(False)
            full.connect_ex(listener.getsockname())
        async with routed(f"http://127.0.0.1:{listener.getsockname()[1]}", Upstream("v2")) as router:
            asked = asyncio.ensure_future(post(router))
            await asyncio.sleep(1.5)
            async with Upstream("v1", listener=listener):
                code, headers, _ = await asked
    assert (code, headers["X-Version"]) == (200, "v1")


# ------------------------------------------------------------------------------------- who is not ready


@pytest.mark.filterwarnings("ignore:.*a label for request")
@in_a_loop
async def test_a_version_that_is_not_ready_gets_nothing_and_its_users_do_not_notice(tmp_path):
    v1, v2, plan = Upstream("v1"), Upstream("v2", ready=False), {"weight": 100, "mirror": 100}
    async with routed(v1, v2, log=tmp_path / "log", plan=plan) as router:
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
    log = read(tmp_path / "log")
    assert set(log[log["version"] == "v2"]["status"]) == {200}  # no try has failed


# -------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize(
    ("v1", "v2", "answered"),
    [
        *((200, 200, "v1"), (404, 200, "v2"), (200, 404, "v1"), (404, 404, "v1"), (500, 404, "v2")),
        *((404, 422, "v2"), (422, 404, "v1"), (422, 200, "v2")),  # 422 says what is wrong with the label
    ],
)
@in_a_loop
async def test_a_label_goes_to_both_versions_and_the_better_answer_back(v1, v2, answered, tmp_path):
    one, two, log = Upstream("v1", v1), Upstream("v2", v2), tmp_path / "log"
    async with routed(one, two, log=log) as router:
        code, headers, _ = await label(router)
    assert (code, headers["X-Version"]) == ({"v1": v1, "v2": v2}[answered], answered)
    assert (len(one.seen), len(two.seen)) == (1, 1)
    assert log.read_text().count('"label": 227.0') == (200 in (v1, v2))


@in_a_loop
async def test_a_label_that_is_sent_again_is_one_line_of_the_log_and_a_correction_a_second(tmp_path):
    async with routed(Upstream("v1"), Upstream("v2"), log=tmp_path / "log") as router:
        for value in (227.0, 227.0, 230.0, 230.0):
            await label(router, label=value)
    labels = [json.loads(line)["label"] for line in (tmp_path / "log").read_text().splitlines()]
    assert labels == [227.0, 230.0]


@in_a_loop
async def test_a_label_does_not_wait_for_a_canary_that_hangs(monkeypatch):
    monkeypatch.setattr(proxy, "ANSWER_S", 600)
    v2 = Upstream("v2", hang=600)
    async with routed(Upstream("v1"), v2) as router:
        assert (await label(router))[0] == 200
    assert len(v2.seen) == 1


# -------------------------------------------------------------------------------------------- copies


@in_a_loop
async def test_no_request_waits_for_a_shadow_that_hangs_and_copies_are_bounded(monkeypatch):
    monkeypatch.setattr(proxy, "COPIES", 5)
    monkeypatch.setattr(proxy, "COPY_S", 20.0)
    v2 = Upstream("v2", hang=30)
    async with routed(Upstream("v1"), v2, plan={"mirror": 100}) as router:
        for _ in range(20):  # had one of them waited, the time would be over
            assert (await post(router))[0] == 200
        assert len(router._copies) == 5
        assert router.meters.copies.labels("dropped")._value.get() == 15
    assert len(v2.seen) <= 5


@in_a_loop
async def test_a_shadow_that_hangs_is_asked_less_and_fully_again_when_it_answers(monkeypatch):
    monkeypatch.setattr(proxy, "COPIES", 4)
    monkeypatch.setattr(proxy, "COPY_S", 0.1)
    v2, places = Upstream("v2", hang=30), []
    async with routed(Upstream("v1"), v2, plan={"mirror": 100}) as router:
        for v2.hang in (30, 0):
            for _ in range(6):
                for _ in range(4):
                    await post(router)
                await copies_are_done(router)
            places.append(router._places)
        timeouts = router.meters.copies.labels("timeout")._value.get()
    assert places == [1, 4]
    assert 4 <= timeouts < 24  # without fewer places, all of the 24 would have been copied


@in_a_loop
async def test_a_copy_is_logged_as_one_that_nobody_saw(tmp_path):
    v2 = Upstream("v2", status=500)
    async with routed(Upstream("v1"), v2, log=tmp_path / "log", plan={"mirror": 100}) as router:
        assert (await post(router))[0] == 200
        await copies_are_done(router)
    assert v2.seen[0][1]["X-Shadow"] == "1"
    log = read(tmp_path / "log").set_index("version")
    assert log["served"].to_dict() == {"v1": True, "v2": False}
    assert log["status"].to_dict() == {"v1": 200, "v2": 500} and log["request_id"].nunique() == 1


# --------------------------------------------------------------------------------------- under load


@in_a_loop
async def test_plan_swaps_and_blue_green_switches_lose_and_misroute_nobody(tmp_path):
    over, settings = threading.Event(), {"rate": 100, "duration": 60, "users": 500, "random_state": 0}
    async with routed(Upstream("v1"), Upstream("v2"), log=tmp_path / "log") as router:
        load = asyncio.ensure_future(asyncio.to_thread(open_loop, router.url, ROWS, stop=over, **settings))
        plans = {0: router.plan}
        for weight in (*range(4, 82, 4), 100, 0, 100, 0, 100):
            await asyncio.sleep(0.06)
            plan = router.apply(router.plan.weighted({"v1": 100 - weight, "v2": weight}))
            plans[plan.generation] = plan
        over.set()
        table = await load
    assert len(plans) == 26 and table["plan"].nunique() > 8
    assert table.loc[table["status"] != 200, "status"].value_counts().to_dict() == {}
    expected = [plans[g].version_of(user) for g, user in zip(table["plan"], table["user_id"], strict=True)]
    assert (table["version"] == expected).all()
    log = read(tmp_path / "log")
    assert len(log) == len(table) and set(log["request_id"]) == set(table["request_id"])


@in_a_loop
async def test_draining_waits_for_answers_and_sends_nothing_new():
    v1 = Upstream("v1", hang=1.0)
    async with routed(v1, Upstream("v2")) as router:
        first = asyncio.ensure_future(post(router))
        while not router.in_flight["v1"]:
            await asyncio.sleep(0.005)
        left, second = await asyncio.gather(router.drain("v1"), post(router))
        assert ((await first)[1]["X-Version"], second[1]["X-Version"], left) == ("v1", "v2", 0)
    assert len(v1.seen) == 1


@in_a_loop
async def test_the_metrics_count_answers_and_refusals_and_prometheus_reads_them(monkeypatch):
    monkeypatch.setattr(proxy, "BODY_BYTES", 1000)
    plan = {"weight": 50, "mirror": 100}
    async with routed(Upstream("v1"), Upstream("v2", status="cut"), plan=plan) as router:
        for i in range(10):
            await post(router, user=f"u{i}")
        await post(router, body={"features": {"x": "y" * 2000}})
        router.apply(plan_of(router.plan.upstreams["v1"]))  # a version that is gone has no weight
        _, text = await get(router.control_url + "/metrics")
    assert 'router_requests_total{code="200",version="v1"} 10.0' in text
    assert 'router_requests_total{code="413",version="router"} 1.0' in text
    assert 'router_weight_percent{version="v1"} 100.0' in text and 'weight_percent{version="v2"' not in text
    if promtool := shutil.which("promtool"):
        subprocess.run([promtool, "check", "metrics"], input=text, text=True, timeout=30, check=True)


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


def test_a_wrong_config_ends_it_with_exit_code_2(tmp_path, monkeypatch):
    monkeypatch.delenv("MLPROD_LOG_KEY", raising=False)
    plan = plan_of(dead())
    with pytest.raises(LabError, match="nowhere.*exit code 2"):
        RouterProcess(RouterConfig(plan=plan, log=str(tmp_path / "nowhere" / "log")))
    with pytest.raises(ValueError, match="set MLPROD_LOG_KEY in the environment: 16"):
        RouterProcess(RouterConfig(plan=plan, redact=["user_id"]))
