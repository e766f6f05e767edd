"""A faulty model: the faults that were asked for, on the requests that their ids choose, and an end to all waiting. And wrong settings."""

import threading

import numpy as np
import pytest

from mlprod_helpers.serving.router.plan import RouterConfig
from mlprod_helpers.serving.service import faults as module
from mlprod_helpers.serving.service.config import Faults, Limits, ServiceConfig
from mlprod_helpers.serving.service.faults import Faulty, InjectedError

IDS = [f"r{i}" for i in range(4000)]


def double(rows, ids):
    return [row * 2 for row in rows]


def fails(faulty, name, row=1):
    try:
        faulty([row], [name])
    except InjectedError:
        return True
    return False


class Clock:
    """An event to wait on that notes for how long, and does not wait."""

    def __init__(self):
        self.waited = []

    def wait(self, seconds):
        self.waited.append(seconds)


def test_without_faults_it_is_the_model():
    rows, ids = [1, 2], ["a", "b"]
    answers = [1.5, "late"]
    assert Faulty(lambda *given: answers if given == (rows, ids) else None, Faults())(rows, ids) is answers


def test_the_errors_have_their_share_and_the_id_alone_decides():
    faulty, again, more, other = (
        Faulty(double, Faults(error_rate=rate, random_state=seed))
        for rate, seed in ((0.05, 0), (0.05, 0), (0.3, 0), (0.05, 1))
    )
    hit = np.array([fails(faulty, name) for name in IDS])
    assert abs(hit.mean() - 0.05) < 3 * np.sqrt(0.05 * 0.95 / len(IDS))
    order = np.random.default_rng(0).permutation(len(IDS))  # in another order, whatever the row is
    assert [fails(again, IDS[i], row=int(i)) for i in order] == hit[order].tolist()
    assert all(fails(more, name) for name, failed in zip(IDS, hit, strict=True) if failed)
    assert [fails(other, name) for name in IDS] != hit.tolist()
    assert fails(Faulty(double, Faults(error_rate=1.0)), "a")


def test_the_delay_of_a_call_is_constant_or_exponential():
    faulty = Faulty(double, Faults(delay_ms=20))
    faulty._end = clock = Clock()
    faulty([1, 2, 3], ["a", "b", "c"])
    assert clock.waited == [0.02]
    faulty = Faulty(double, Faults(delay_ms=20, delay_law="exponential"))
    faulty._end = clock = Clock()
    for name in IDS:
        faulty([1], [name])
    waited = np.array(clock.waited)
    assert abs(waited.mean() - 0.02) < 4 * 0.02 / np.sqrt(len(IDS))
    assert abs((waited > 0.04).mean() - np.exp(-2)) < 4 * np.sqrt(np.exp(-2) / len(IDS))
    assert (waited >= 0).all()


def test_all_waiting_ends_with_close():
    faulty, answers = Faulty(double, Faults(delay_ms=3_600_000, start_s=3600)), []
    thread = threading.Thread(target=lambda: answers.append(faulty([1], ["a"])), daemon=True)
    thread.start()
    thread.join(0.05)
    assert thread.is_alive() and not answers
    faulty.close()
    thread.join(60)
    assert answers == [[2]]
    assert faulty([2], ["b"]) == [4]  # and no later call waits
    faulty.load()


def test_pauses_lie_on_a_grid_from_the_first_call_and_hold_up_everybody(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(module, "monotonic", lambda: now[0])
    faulty = Faulty(double, Faults(pause_every_s=100, pause_s=10))
    faulty._end = clock = Clock()
    waits = {}
    for seconds in (0, 50, 99, 100, 103, 111, 150, 205, 206, 216, 299, 300, 1050, 1055, 1061, 1100):
        now[0] = 1000.0 + seconds
        clock.waited.clear()
        faulty([1], ["a"])
        if clock.waited:
            waits[seconds] = clock.waited[0]
    assert waits == {100: 10, 103: 7, 205: 5, 206: 4, 300: 10, 1100: 10}


def test_the_bias_moves_numbers_and_leaves_missing_answers():
    answers = [1.0, 2.5, None]
    assert Faulty(lambda rows, ids: answers, Faults(bias=0.5))([0] * 3, [""] * 3) == [1.5, 3.0, None]


# ------------------------------------------------------------------------------------------- settings

PLAN = {"upstreams": {"v1": "http://127.0.0.1:1"}, "stable": "v1"}


@pytest.mark.parametrize(
    ("kind", "given", "says"),
    [
        (
            ServiceConfig,
            {"model": "m", "limits": {"queu_e": 3}},
            "queu_e\n  Extra inputs",
        ),
        (ServiceConfig, {"model": "m", "redact": "zone"}, "redact"),
        (ServiceConfig, {"model": "m", "workers": True}, "workers"),
        (Limits, {"queue": "5"}, "queue"),
        (Limits, {"body_s": float("nan")}, "body_s"),
        (Faults, {"error_rate": -1}, "error_rate"),
        (ServiceConfig, {"model": "m", "batch_rows": 8}, "set workers"),
        (
            ServiceConfig,
            {"model": "m", "label_low": 5, "label_high": 1},
            "label_low=5.0 is above label_high=1.0",
        ),
    ],
)
def test_wrong_settings_say_what_is_wrong(kind, given, says):
    with pytest.raises(ValueError, match=says):
        kind(**given)


def test_what_is_written_is_read():
    service = ServiceConfig(model="m", redact=["zone"], limits={"rows": 5}, faults={"error_rate": 0.1})
    assert ServiceConfig.model_validate_json(service.model_dump_json()) == service
    assert service.redact == ("zone",)
    router = RouterConfig(plan=PLAN)
    assert RouterConfig.model_validate_json(router.model_dump_json()) == router
