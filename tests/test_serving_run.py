"""A service as a process: it starts, answers, logs, drains, and ends with its parent, its time or its model."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sklearn.ensemble import BaggingRegressor
from sklearn.linear_model import Ridge
from stand_in_service import LONG, is_in_use, save_ridge, until

from mlprod_helpers import requestlog
from mlprod_helpers.serving import Feature, LabError, ask, refusal, save_model, start
from mlprod_helpers.serving.service.config import Faults, ServiceConfig

if reason := refusal():
    pytest.skip(reason, allow_module_level=True)

BODY = {"features": {"distance": 900}}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_ridge(tmp_path_factory.mktemp("model"))


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


@pytest.mark.filterwarnings("ignore:X has feature names")
def test_a_model_that_prints_does_not_stand_still_when_nobody_reads(tmp_path):
    chatty = BaggingRegressor(Ridge(), n_estimators=1).fit([[100.0], [900.0]], [20, 120])
    save_model(chatty.set_params(verbose=100), tmp_path, version="v1", features=[Feature("distance", low=0)])
    with start(ServiceConfig(model=str(tmp_path), drain_s=0.0)) as service:
        service.ready()
        # what a pipe holds, 64 KB, is full after fewer
        assert {ask(service.url, "/predict", BODY).status for _ in range(700)} == {200}


def test_sigterm_drains_with_exit_code_0(model, tmp_path):
    with start(ServiceConfig(model=model, log=str(tmp_path / "log"), drain_s=0.0)) as service:
        assert ask(service.ready().url, "/predict", BODY).status == 200
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(LONG) == 0
        assert service.process.stdout.read() == b""  # one line, and no more


@pytest.mark.skipif(os.name == "nt", reason="another way to end a process")
def test_a_service_ends_with_its_parent_even_while_its_model_hangs(model):
    """The parent is killed, so it can tell nobody; the model stands in the event loop, so that cannot notice either."""
    config = ServiceConfig(model=model, drain_s=0.0, faults=Faults(delay_ms=1000 * LONG), lifetime_s=LONG)
    # its standard input is that of the parent, and stays open
    code = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-m', 'mlprod_helpers.serving.service'])\n"
        "time.sleep(600)\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    parent = subprocess.Popen([sys.executable, "-c", code], **pipes)
    try:
        parent.stdin.write(config.model_dump_json() + "\n")
        parent.stdin.flush()
        announced = json.loads(parent.stdout.readline())
        until(lambda: ask(announced["url"], "/readyz").status == 200)
        ask(announced["url"], "/predict", BODY, timeout=0.2)
        assert ask(announced["url"], "/healthz", timeout=0.2).status == 0
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    until(lambda: not is_in_use(announced["port"]))
    parent.stdin.close()


def test_exit_codes_say_why_it_ended(model):
    """Parent gone (standard input closed): 4; lifetime over: 5."""
    with (
        start(ServiceConfig(model=model)) as orphan,
        start(ServiceConfig(model=model, lifetime_s=2.0)) as old,
    ):
        orphan.process.stdin.close()
        assert orphan.process.wait(LONG) == 4
        assert old.process.wait(LONG) == 5


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
    (broken / "card.json").write_text(Path(model, "card.json").read_text())
    (broken / "model.skops").write_bytes(b"something else")
    with start(ServiceConfig(model=str(broken))) as service:
        with pytest.raises(LabError, match=r"checksum differs.*exit code 3"):
            service.ready(LONG)
        assert service.exit_code == 3


def test_a_wrong_config_ends_it_with_exit_code_2(model, tmp_path):
    with pytest.raises(LabError, match="nowhere.*exit code 2"):
        start(ServiceConfig(model=model, log=tmp_path / "nowhere" / "log.jsonl"))
    command, config = [sys.executable, "-m", "mlprod_helpers.serving.service"], '{"model": "m", "worker": 1}'
    ended = subprocess.run(command, input=config, capture_output=True, text=True)
    assert ended.returncode == 2 and "worker" in ended.stderr
