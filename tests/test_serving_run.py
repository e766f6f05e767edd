"""A service as a process: it starts, answers, logs, drains, and ends with its parent, its time or its model."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sklearn.ensemble import BaggingRegressor
from sklearn.linear_model import Ridge

sys.path.insert(0, str(Path(__file__).parent))
from stand_in_service import is_in_use, save_ridge, until

from mlprod_helpers import requestlog
from mlprod_helpers.serving import Feature, LabError, ask, refusal, save_model, start
from mlprod_helpers.serving.processes import HOST
from mlprod_helpers.serving.service.__main__ import main
from mlprod_helpers.serving.service.config import Faults, Limits, ServiceConfig

if reason := refusal():
    pytest.skip(reason, allow_module_level=True)

LONG = 60.0  # a guard, not a bound: nothing here takes long
BODY = {"features": {"distance": 900}}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_ridge(tmp_path_factory.mktemp("model"))


def launch(config, path, **settings):
    """A service as an operator starts it, without `ServiceProcess`; (process, what it announced)."""
    Path(path).write_text(config.model_dump_json())
    process = subprocess.Popen(
        [sys.executable, "-m", "mlprod_helpers.serving.service", "--config", path],
        stdout=subprocess.PIPE,
        text=True,
        **settings,
    )
    line = process.stdout.readline()
    return process, json.loads(line) if line else None


def until_ready(url):
    until(lambda: ask(url, "/readyz").status == 200)


def test_requests_in_flight_are_answered_when_the_service_drains(model, tmp_path):
    log, answers = tmp_path / "log.jsonl", []
    config = ServiceConfig(
        model=model,
        log=str(log),
        workers=4,
        drain_s=LONG,  # the second order to drain does not wait for it
        faults=Faults(delay_ms=1500),
    )
    with start(config) as service:
        service.ready()
        asking = [
            threading.Thread(target=lambda: answers.append(ask(service.url, "/predict", BODY, user="ben")))
            for _ in range(3)
        ]
        for thread in asking:
            thread.start()
        until(lambda: "in_flight 3.0" in ask(service.url, "/metrics").body)
        service.process.stdin.write(b"drain\n")
        service.process.stdin.flush()
        until(lambda: service.state() != "ready")
        answers.append(ask(service.url, "/predict", BODY, user="ben"))  # still taken
        assert service.drain() == 0
        for thread in asking:
            thread.join(LONG)
        assert [answer.status for answer in answers] == [200] * 4
        assert answers[0].body["prediction"] == pytest.approx(120, abs=0.1)
        assert service.state() == "gone" and not is_in_use(service.port)
    table = requestlog.read(log)
    assert sorted(table["request_id"]) == sorted(answer.body["request_id"] for answer in answers)
    assert set(table["user_id"]) == {"ben"} and set(table["distance"]) == {900}


def test_a_model_that_prints_does_not_stand_still_when_nobody_reads(tmp_path):
    chatty = BaggingRegressor(Ridge(), n_estimators=1).fit([[100.0], [900.0]], [20, 120])
    save_model(chatty.set_params(verbose=100), tmp_path, version="v1", features=[Feature("distance", low=0)])
    with start(ServiceConfig(model=str(tmp_path), drain_s=0.0)) as service:
        service.ready()
        # what a pipe holds, 64 KB, is full after fewer
        assert {ask(service.url, "/predict", BODY).status for _ in range(700)} == {200}


def test_a_refused_body_closes_its_connection_and_the_answer_is_read(model):
    limits = Limits(body_bytes=10_000, body_s=0.2)
    with start(ServiceConfig(model=model, limits=limits, drain_s=0.0)) as service:
        service.ready()
        large = ask(service.url, "/predict", b" " * 300_000)  # sends all of it before it reads
        assert (large.status, large.headers["connection"]) == (413, "close")
        with socket.create_connection((HOST, service.port), timeout=LONG) as door:
            head = f"POST /predict HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
            door.sendall(f'{head}Content-Length: 100\r\n\r\n{{"features"'.encode())
            received = b""
            while part := door.recv(4096):  # until the service closes
                received += part
        assert received.startswith(b"HTTP/1.1 408 ") and b"connection: close" in received.lower()
        with socket.create_connection((HOST, service.port), timeout=LONG) as door:
            door.sendall(f"{head}Expect: 100-continue\r\nContent-Length: 10001\r\n\r\n".encode())
            assert door.recv(4096).startswith(b"HTTP/1.1 413 ")  # it is not asked to send that
        door = http.client.HTTPConnection(HOST, service.port, timeout=LONG)
        for body, status in (
            (b"{", 400),
            (json.dumps(BODY).encode(), 200),
        ):  # an ordinary refusal does not close
            door.request("POST", "/predict", body, {"Content-Type": "application/json"})
            answer = door.getresponse()
            assert answer.status == status and answer.read()
        door.close()
        assert service.stop() == 0


def test_sigterm_drains_with_exit_code_0(model, tmp_path):
    process, announced = launch(
        ServiceConfig(model=model, log=str(tmp_path / "log"), drain_s=0.0), tmp_path / "config.json"
    )
    try:
        until_ready(announced["url"])
        assert ask(announced["url"], "/predict", BODY).status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(LONG) == 0
        assert process.stdout.read() == ""  # one line, and no more
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.skipif(os.name == "nt", reason="another way to end a process")
def test_a_service_ends_with_its_parent_even_while_its_model_hangs(model, tmp_path):
    """The parent is killed, so it can tell nobody; the model stands in the event loop, so that cannot notice either."""
    config = ServiceConfig(model=model, drain_s=0.0, faults=Faults(delay_ms=1000 * LONG), lifetime_s=LONG)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    code = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-m', 'mlprod_helpers.serving.service', '--config', sys.argv[1]], stdin=subprocess.DEVNULL)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "config.json")], stdout=subprocess.PIPE, text=True
    )
    try:
        announced = json.loads(parent.stdout.readline())
        until_ready(announced["url"])
        ask(announced["url"], "/predict", BODY, timeout=0.2)
        assert ask(announced["url"], "/healthz", timeout=0.2).status == 0
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    until(lambda: not is_in_use(announced["port"]))


def test_exit_codes_say_why_it_ended(model, tmp_path):
    """Parent gone (standard input closed): 4; lifetime over: 5; both started at once, for they take their time."""
    orphan = start(ServiceConfig(model=model))
    process, _ = launch(ServiceConfig(model=model, lifetime_s=0.2), tmp_path / "short.json")
    try:
        orphan.process.stdin.close()
        assert orphan.process.wait(LONG) == 4
        assert process.wait(LONG) == 5
    finally:
        assert orphan.kill() == 4
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_drain_does_not_wait_for_ever_and_what_it_gives_up_is_logged(model, tmp_path):
    """The model hangs in a thread. The service's log names the request that got no answer."""
    log = tmp_path / "log.jsonl"
    config = ServiceConfig(
        model=model,
        log=str(log),
        workers=1,
        drain_s=0.0,
        drain_timeout_s=0.2,
        faults=Faults(delay_ms=600_000),
    )
    with start(config) as service:
        service.ready()
        asking = threading.Thread(target=ask, args=(service.url, "/predict", BODY))
        asking.start()
        until(lambda: "in_flight 1.0" in ask(service.url, "/metrics").body)
        assert service.drain() == 0
        asking.join(LONG)
    assert requestlog.read(log)["status"].tolist() == [503]


def test_a_model_that_cannot_be_loaded_ends_it_with_exit_code_3(model, tmp_path):
    with pytest.raises(LabError, match=r"no model in .*exit code 3"):
        start(ServiceConfig(model=str(tmp_path)))
    broken = tmp_path / "broken"
    broken.mkdir()
    card = json.loads(Path(model, "card.json").read_text())
    (broken / "card.json").write_text(json.dumps(card))
    (broken / f"{card['checksum'][:16]}.skops").write_bytes(b"something else")
    with start(ServiceConfig(model=str(broken))) as service:
        with pytest.raises(LabError, match=r"checksum differs.*exit code 3"):
            service.ready(LONG)
        assert service.exit_code == 3


def test_a_wrong_config_ends_it_with_exit_code_2(model, tmp_path, capsys):
    path = tmp_path / "config.json"
    path.write_text('{"model": "m", "worker": 1}')
    assert main(["--config", str(path)]) == 2
    assert "workers" in capsys.readouterr().err
    path.write_text(ServiceConfig(model=model, log=tmp_path / "nowhere" / "log.jsonl").model_dump_json())
    assert main(["--config", str(path)]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_a_port_that_is_taken_ends_it_with_exit_code_2(model):
    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LabError, match=rf"Port {port} is not to be had.*exit code 2"):
            start(ServiceConfig(model=model, port=port))
