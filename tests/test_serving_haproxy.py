"""HAProxy as the router: the same users, plans, log and rollback as with the own one."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from mlprod_helpers.requestlog import read
from mlprod_helpers.rollout import Canary, Controller, MSPRTJudge
from mlprod_helpers.serving import haproxy
from mlprod_helpers.serving.client import ask
from mlprod_helpers.serving.driver import Driver
from mlprod_helpers.serving.haproxy import HAProxy, find_haproxy
from mlprod_helpers.serving.load import closed_loop, open_loop
from mlprod_helpers.serving.processes import LabError
from mlprod_helpers.serving.routes import RoutePlan, RouterConfig

needs_haproxy = pytest.mark.skipif(
    find_haproxy() is None, reason="haproxy is not installed: the optional router is not tried"
)
ROWS = [{"distance": float(d)} for d in range(100, 200)]
SERVICE = """
import asyncio, json, os, sys
from aiohttp import web
name, delay, parent = sys.argv[1], float(sys.argv[2]), os.getppid()
async def answer(request):
    if request.method == "GET":
        return web.Response()
    told = json.loads(await request.read())
    await asyncio.sleep(delay)
    if request.path == "/label":
        return web.json_response({"request_id": told["request_id"], "version": name, "learned": False})
    if "rows" in told:
        return web.json_response({"predictions": [row["distance"] / 8 for row in told["rows"]]})
    return web.json_response({"prediction": told["features"]["distance"] / 8, "shadow": request.headers.get("X-Shadow")})
async def main():
    runner = web.ServerRunner(web.Server(answer, access_log=None)); await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    for _ in range(600):
        await asyncio.sleep(0.1)
        if os.getppid() != parent:
            return
asyncio.run(main())
"""


@contextlib.contextmanager
def services(*names, delay=0.0):
    """Their processes, and {name: address}."""
    running = {
        name: subprocess.Popen(
            [sys.executable, "-c", SERVICE, name, str(delay)], stdout=subprocess.PIPE, text=True
        )
        for name in names
    }
    try:
        urls = {
            name: f"http://127.0.0.1:{int(process.stdout.readline())}" for name, process in running.items()
        }
        yield running, urls
    finally:
        for process in running.values():
            process.kill()
            process.wait()
            process.stdout.close()


def plan_of(urls, **fields):
    return RoutePlan(upstreams=urls, stable="v1", canary="v2", **fields)


@needs_haproxy
def test_every_user_has_the_bucket_of_the_simulator():
    users = [f"u{i}" for i in range(150)] + ["A-z.0:9_", "x" * 64]
    with services("v1", "v2") as (_, urls), HAProxy(plan_of(urls)) as router:
        for weight, salt in ((37.5, ""), (5, "Größe 8, neu"), (50, "a long one " * 30), (100, "")):
            plan = router.apply(plan_of(urls, weight=weight, salt=salt))
            table = closed_loop(router.url, ROWS, testers=4, n=len(users), users=users)
            assert (table["status"] == 200).all() and (table["plan"] == plan.generation).all()
            expected = [plan.version_of(user) for user in table["user_id"]]
            assert table["version"].tolist() == expected
            assert weight == 100 or len(set(expected)) == 2
        nobody = closed_loop(router.url, ROWS, n=20, users=[None] * 20)
        assert set(nobody["version"]) == {"v1"}


@needs_haproxy
def test_forty_changes_of_weights_fail_and_misroute_nobody_and_the_split_is_that_of_the_weight(tmp_path):
    log = tmp_path / "log.jsonl"
    weights = [*range(2, 82, 2), 100, 0, 100, 0, 100]
    with (
        services("v1", "v2") as (_, urls),
        HAProxy(RouterConfig(plan=plan_of(urls), log=str(log))) as router,
    ):
        plans, over = {0: router.plan}, threading.Event()

        def change():
            for weight in weights:
                over.wait(0.05)
                plan = router.set_weights({"v1": 100 - weight, "v2": weight})
                plans[plan.generation] = plan

        thread = threading.Thread(target=change)
        thread.start()
        table = open_loop(router.url, ROWS, rate=300, n=1200, users=500, random_state=0)
        thread.join()
        router.set_weights({"v1": 80, "v2": 20})
        users = [f"user-{i}" for i in range(600)]
        split = open_loop(router.url, ROWS, rate=400, n=600, users=users, random_state=1)
    assert len(plans) == 46 and table["plan"].nunique() > 20
    assert (table["status"] == 200).all() and (split["status"] == 200).all()
    expected = [plans[g].version_of(user) for g, user in zip(table["plan"], table["user_id"], strict=True)]
    assert table["version"].tolist() == expected
    share = (split["version"] == "v2").mean()
    assert abs(share - 0.2) <= 3 * np.sqrt(0.2 * 0.8 / 600)
    rows = read(log).set_index("request_id")  # after the end, the log is complete
    assert set(rows.index) == {*table["request_id"], *split["request_id"]} and len(rows) == 1800
    by_client = table.set_index("request_id")
    rows = rows.loc[by_client.index]
    assert (rows["version"] == by_client["version"]).all()
    assert (rows["user_id"] == by_client["user_id"]).all()
    assert (rows["prediction"] == by_client["prediction"]).all() and (
        rows["distance"] == 8 * rows["prediction"]
    ).all()


@needs_haproxy
def test_a_killed_canary_harms_nobody_and_is_rolled_back(tmp_path):
    log, interval = tmp_path / "log.jsonl", 0.5
    judge = MSPRTJudge(tau=0.2, min_requests=5)

    def waits(metrics):
        verdict = judge(metrics)
        return verdict if verdict.outcome == "fail" else "nodata"

    with (
        services("v1", "v2") as (running, urls),
        HAProxy(RouterConfig(plan=plan_of(urls), log=str(log))) as router,
    ):
        plan = Canary(step_weights=[30], interval=interval, threshold=1)
        driver = Driver(Controller(plan, waits, "v1", "v2"), router, log).start(20, every=0.05)
        killed = []

        def kill():
            running["v2"].kill()
            killed.append(time.time())

        timer = threading.Timer(1.3, kill)
        timer.start()
        table = open_loop(router.url, ROWS, rate=150, n=600, users=300, random_state=0)
        timer.join()
        driver.stop()
        assert router.plan.weight == 0, driver.history[-3:]
    assert (table["status"] != 200).sum() <= 0.001 * len(table)
    assert (table["version"] == "v2").any()
    back = next(tick for tick in driver.history if tick.decision.phase == "Degraded")
    checks = [tick for tick in driver.history if tick.verdict is not None and tick.time > killed[0]]
    assert back in checks[:2], [tick.decision.reason for tick in checks]
    lost = read(log).query("version == 'v2' and not served")
    assert len(lost) and set(lost["status"]) <= {502, 503}  # what the judge saw, and no user


@needs_haproxy
def test_the_log_hides_what_is_redacted(tmp_path, monkeypatch):
    log = tmp_path / "log.jsonl"
    body = {"features": {"distance": 1400, "zone": 2}}
    monkeypatch.delenv("MLPROD_LOG_KEY", raising=False)
    with services("v1", "v2") as (_, urls):
        config = RouterConfig(plan=plan_of(urls), log=str(log), redact=["zone", "user_id"])
        with pytest.raises(ValueError, match="set MLPROD_LOG_KEY in the environment: 16"):
            HAProxy(config)
        monkeypatch.setenv("MLPROD_LOG_KEY", "sixteen characters at least")
        with HAProxy(config) as router:
            assert ask(router.url, "/predict", body, user="ana-maria").status == 200
        with HAProxy(replace(config, redact=(), features_share=0.0)) as router:
            assert ask(router.url, "/predict", body, user="ben").status == 200
    first, second = map(json.loads, log.read_text().splitlines())
    assert first["features"] == {"distance": 1400} and first["user_id"] not in (None, "ana-maria")
    assert not second.get("features") and second["user_id"] == "ben"


@needs_haproxy
def test_rows_refusals_and_labels_are_those_of_the_own_router(tmp_path):
    log = tmp_path / "log.jsonl"
    with services("v1", "v2") as (_, urls):
        config = RouterConfig(plan=plan_of(urls, weight=100), log=str(log), body_bytes=1000, body_s=0.3)
        with HAProxy(config) as router:
            one = ask(
                router.url,
                "/predict",
                {"features": {"distance": 1400}},
                user="ana",
                headers={"X-Shadow": "1"},
            )
            many = ask(router.url, "/predict", {"rows": [{"distance": 8}, {"distance": 16}]})
            hostile = ask(router.url, "/predict", {"features": {"distance": 8, "status": 7, "time": None}})
            large = ask(router.url, "/predict", {"features": {"x": "y" * 2000}})
            others = [ask(router.url, "/admin"), ask(router.url, "/predict"), ask(router.url, "/readyz")]
            with socket.create_connection(("127.0.0.1", router.port)) as slow:
                slow.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
                late = slow.recv(100)
            name = one.headers["x-request-id"]
            labels = [
                ask(router.url, "/label", {"request_id": name, "label": 170.0}),
                ask(router.url, "/label", {"request_id": many.headers["x-request-id"] + ".1", "label": 2.5}),
            ]
    assert one.status == 200 and one.headers["x-version"] == "v2" and one.body["shadow"] is None
    assert [answer.status for answer in others] == [404, 405, 200]
    assert (
        large.status == 413 and large.body["error"] == "too_large" and large.headers["x-version"] == "router"
    )
    assert late.startswith(b"HTTP/1.1 408 ")
    assert [label.body["version"] for label in labels] == ["v2", "v1"]  # each where its request was answered
    rows = read(log).set_index("request_id")
    row = rows.loc[name]
    assert (row["user_id"], row["distance"], row["prediction"], row["label"]) == ("ana", 1400, 175.0, 170.0)
    assert (row["version"], row["status"], row["served"]) == ("v2", 200, True)
    of_many = many.headers["x-request-id"]
    assert rows.loc[[f"{of_many}.0", f"{of_many}.1"], "prediction"].tolist() == [1.0, 2.0]
    assert rows.loc[f"{of_many}.1", "label"] == 2.5
    assert rows.loc[hostile.headers["x-request-id"], "distance"] == 8
    assert sorted(rows.loc[rows["version"] == "router", "status"]) == [405, 408, 413]


@needs_haproxy
def test_a_draining_version_ends_its_requests_and_gets_no_new_ones_and_may_move():
    with services("v1", "v2", delay=0.4) as (_, urls), HAProxy(plan_of(urls)) as router:
        first = []
        thread = threading.Thread(
            target=lambda: first.append(ask(router.url, "/predict", {"features": {"distance": 8}}))
        )
        thread.start()
        end = time.monotonic() + 60
        while not router._statistics()["v1"]["scur"] and time.monotonic() < end:
            time.sleep(0.01)
        assert router.drain("v1", timeout=10) == 0
        thread.join()
        second = ask(router.url, "/predict", {"features": {"distance": 8}})
        assert (first[0].status, first[0].headers["x-version"]) == (200, "v1")
        assert second.headers["x-version"] == "v2"
        with services("v1") as (_, moved):
            router.apply(replace(router.plan, upstreams=urls | moved, draining=("v2",)))
            third = ask(router.url, "/predict", {"features": {"distance": 8}})
            assert (third.status, third.headers["x-version"]) == (200, "v1")
        assert (
            'haproxy_server_http_responses_total{proxy="models",server="v2",code="2xx"} 1' in router.metrics()
        )


@needs_haproxy
def test_the_end_waits_for_requests_in_flight_and_their_rows(tmp_path):
    log, answers = tmp_path / "log", []
    with services("v1", delay=0.5) as (_, urls):
        router = HAProxy(RouterConfig(plan=RoutePlan(upstreams=urls, stable="v1"), log=str(log)))
        thread = threading.Thread(
            target=lambda: answers.append(ask(router.url, "/predict", {"features": {"distance": 8}}))
        )
        thread.start()
        end = time.monotonic() + 60
        while not router._statistics()["v1"]["scur"] and time.monotonic() < end:
            time.sleep(0.01)
        router.stop()
        thread.join()
    assert [answer.status for answer in answers] == [200]
    assert read(log)["prediction"].tolist() == [1.0]


@needs_haproxy
def test_a_label_or_a_request_that_must_not_be_sent_twice_is_not():
    """A version that takes the request and cuts the connection: again at the other one, but only on a path where that is safe."""
    door, seen = socket.create_server(("127.0.0.1", 0)), []

    def cut():
        while True:
            try:
                connection = door.accept()[0]
            except OSError:
                return
            with connection:
                got = connection.recv(65_536)
                if got.startswith(b"GET"):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                else:
                    seen.append(got)

    thread = threading.Thread(target=cut, daemon=True)
    thread.start()
    statuses = []
    try:
        with services("v1") as (_, urls):
            urls = urls | {"v2": f"http://127.0.0.1:{door.getsockname()[1]}"}
            for paths in (("/predict",), ()):
                with HAProxy(RouterConfig(plan=plan_of(urls, weight=100), retry_paths=paths)) as router:
                    answer = ask(router.url, "/predict", {"features": {"distance": 8}}, user="ana")
                    statuses.append((answer.status, answer.headers["x-version"], len(seen)))
    finally:
        door.shutdown(socket.SHUT_RDWR)
        door.close()
        thread.join(5)
    assert statuses[0][:2] == (200, "v1")
    assert statuses[1][:2] == (502, "v2") and statuses[1][2] == statuses[0][2] + 1


@needs_haproxy
def test_changes_of_two_threads_are_counted_one_by_one():
    plan = plan_of({"v1": "http://127.0.0.1:1", "v2": "http://127.0.0.1:2"})
    with HAProxy(plan) as router:
        changes = [
            threading.Thread(
                target=lambda: [router.set_weights({"v1": 100 - w, "v2": w}) for w in range(15)], daemon=True
            )
            for _ in range(2)
        ]
        for thread in changes:
            thread.start()
        for thread in changes:
            thread.join()
        assert router.plan.generation == 30
        assert ask(router.url, "/predict", {"features": {}}).headers["x-router-plan"] == "30"


@needs_haproxy
def test_what_it_cannot_do_is_said():
    plan = plan_of({"v1": "http://127.0.0.1:1", "v2": "http://127.0.0.1:2"})
    with pytest.raises(ValueError, match="no shadow copies"):
        HAProxy(replace(plan, mirror=5))
    with HAProxy(plan) as router:
        with pytest.raises(ValueError, match="no shadow copies"):
            router.set_weights({"v1": 100, "v2": 0}, mirror=100)
        with pytest.raises(ValueError, match="versions v1, v2"):
            router.apply(RoutePlan(upstreams={"v1": "http://127.0.0.1:1"}, stable="v1"))
        assert router.plan.generation == 0  # what was refused has changed nothing
        answer = ask(router.url, "/predict", {"features": {}})
        assert answer.status == 503 and answer.headers["retry-after"] == "1"
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", router.port)) != 0
    assert not router.folder.exists()


def test_a_machine_without_it_is_told(monkeypatch):
    monkeypatch.setattr(haproxy, "find_haproxy", lambda: None)
    with pytest.raises(LabError, match="apt install haproxy"):
        HAProxy(plan_of({"v1": "http://127.0.0.1:1", "v2": "http://127.0.0.1:2"}))


@needs_haproxy
def test_it_ends_by_itself_and_with_its_parent():
    plan = plan_of({"v1": "http://127.0.0.1:1", "v2": "http://127.0.0.1:2"})
    with HAProxy(RouterConfig(plan=plan, lifetime_s=0.3)) as router:
        assert router.process.wait(60) == 5
    code = (
        "import sys; from mlprod_helpers.serving.haproxy import *;"
        f"p = HAProxy(RoutePlan.from_dict({plan.to_dict()!r}));"
        "print(f'[{p.pid}, {p.port}]', flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    pid, port = json.loads(parent.stdout.readline())
    os.kill(pid, 0)
    parent.send_signal(signal.SIGKILL)
    parent.communicate()
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return
        time.sleep(0.05)
    pytest.fail("HAProxy has outlived its parent")
