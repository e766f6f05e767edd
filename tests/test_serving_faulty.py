"""A faulty model: the faults that were asked for, on the requests that their ids choose, and an end to all waiting."""

import asyncio
import threading
import time

import numpy as np
import pytest

from mlprod_helpers.serving.service.batching import Batcher
from mlprod_helpers.serving.service.config import Faults
from mlprod_helpers.serving.service.faults import Faulty, InjectedError

IDS = [f"r{i}" for i in range(20_000)]


def double(rows, ids):
    return [row * 2 for row in rows]


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
    faulty, again = (Faulty(double, Faults(error_rate=0.05)) for _ in range(2))
    hit = np.array([faulty.is_hit(name) for name in IDS[:4000]])
    assert abs(hit.mean() - 0.05) < 3 * np.sqrt(0.05 * 0.95 / 4000)
    order = np.random.default_rng(0).permutation(4000)
    told = np.zeros(4000, dtype=bool)
    for i in order:  # in another order, in another copy, whatever the row is
        try:
            again([int(i)], [IDS[i]])
        except InjectedError:
            told[i] = True
    assert (told == hit).all()
    other = Faulty(double, Faults(error_rate=0.05, random_state=1))
    assert [other.is_hit(name) for name in IDS[:4000]] != hit.tolist()


def test_a_higher_rate_only_adds_rows_and_hangs_are_drawn_apart_from_errors():
    few, many = (Faulty(double, Faults(error_rate=rate, hang_rate=rate)) for rate in (0.1, 0.3))
    for what in ("error", "hang"):
        hit = [(few.is_hit(name, what), many.is_hit(name, what)) for name in IDS[:2000]]
        assert (True, False) not in hit
    both = np.mean([many.is_hit(name) and many.is_hit(name, "hang") for name in IDS[:2000]])
    assert abs(both - 0.09) < 3 * np.sqrt(0.09 * 0.91 / 2000)


def test_rates_of_0_and_1_hit_nobody_and_everybody():
    assert Faulty(double, Faults(error_rate=0.0))([1], ["a"]) == [2]
    for name in IDS[:100]:
        with pytest.raises(InjectedError):
            Faulty(double, Faults(error_rate=1.0))([1], [name])


def test_in_a_batch_only_the_request_with_the_row_that_is_hit_fails():
    faulty = Faulty(double, Faults(error_rate=0.2))

    async def scenario():
        batcher = Batcher(faulty, workers=1, max_rows=50, wait_s=0.001)
        told = await asyncio.gather(
            *(batcher.submit([i], [IDS[i]]) for i in range(200)), return_exceptions=True
        )
        await batcher.close()
        return told

    told = asyncio.run(scenario())
    for i, answer in enumerate(told):
        assert isinstance(answer, InjectedError) if faulty.is_hit(IDS[i]) else answer == [2 * i]


def test_the_delay_is_a_call_s_constant_or_exponential():
    clock = Clock()
    faulty = Faulty(double, Faults(delay_ms=20))
    faulty._end = clock
    faulty([1, 2, 3], ["a", "b", "c"])
    assert clock.waited == [0.02]
    faulty = Faulty(double, Faults(delay_ms=20, delay_law="exponential"))
    faulty._end = clock = Clock()
    for name in IDS[:4000]:
        faulty([1], [name])
    waited = np.array(clock.waited)
    assert abs(waited.mean() - 0.02) < 4 * 0.02 / np.sqrt(4000)
    assert abs((waited > 0.04).mean() - np.exp(-2)) < 4 * np.sqrt(np.exp(-2) / 4000)
    assert (waited >= 0).all()


def test_a_hang_holds_its_call_and_ends_with_close():
    faulty = Faulty(double, Faults(hang_rate=1.0, hang_s=3600.0))
    told = []
    thread = threading.Thread(target=lambda: told.append(faulty([1], ["a"])), daemon=True)
    thread.start()
    thread.join(0.05)
    assert thread.is_alive() and not told
    faulty.close()
    thread.join(60)
    assert told == [[2]]
    assert faulty([2], ["b"]) == [4]  # and no later one hangs


def test_a_batcher_drains_once_the_hang_is_over():
    faulty = Faulty(double, Faults(hang_rate=1.0, hang_s=3600.0))

    async def scenario():
        batcher = Batcher(faulty, workers=2)
        tasks = [asyncio.create_task(batcher.submit([i], ["a"])) for i in range(10)]
        await asyncio.sleep(0.01)
        faulty.close()
        async with asyncio.timeout(60):
            await batcher.close()
            return await asyncio.gather(*tasks)

    assert asyncio.run(scenario()) == [[2 * i] for i in range(10)]


def test_pauses_lie_on_a_grid_from_the_first_call_and_hold_up_everybody(monkeypatch):
    from mlprod_helpers.serving.service import faults as module

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
    assert waits == {100: 10, 103: 7, 205: 10, 206: 9, 300: 10, 1050: 10, 1055: 5, 1100: 10}


def test_the_bias_moves_numbers_and_leaves_the_rest():
    def answer(given):
        return Faulty(lambda rows, ids: given, Faults(bias=0.5))([0] * len(given), [""] * len(given))

    assert answer([1, 2.5, "late", None, True]) == [1.5, 3.0, "late", None, True]
    assert np.isnan(answer([np.nan])[0])
    assert answer(np.array([1.0, 2.0])).tolist() == [1.5, 2.5]
    assert answer(np.array([1, 2])).tolist() == [1.5, 2.5]
    assert answer(np.array(["a", "b"])).tolist() == ["a", "b"]


def test_loading_takes_longer_and_can_be_ended():
    faulty = Faulty(double, Faults(start_s=0.05))
    begin = time.monotonic()
    faulty.load()
    assert time.monotonic() - begin >= 0.05
    slow = Faulty(double, Faults(start_s=3600.0))
    slow.close()
    slow.load()  # would outlast the test
