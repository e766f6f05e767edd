"""The batcher: first come, first served; nobody's answer lost, doubled or swapped; a full queue that says so."""

import asyncio
import threading

import numpy as np
import pytest
from stand_in_service import LONG, in_a_loop

from mlprod_helpers.serving.service.batching import Batcher, QueueFull, TimedOut


class Gate:
    """A model that notes its calls and, while it is shut, does not return. A negative row is one that it cannot compute."""

    def __init__(self, is_open=True):
        self.calls, self.entered, self.open = [], threading.Semaphore(0), threading.Event()
        self._lock = threading.Lock()
        if is_open:
            self.open.set()

    def __call__(self, rows, ids):
        with self._lock:
            self.calls.append(list(ids))
        self.entered.release()
        assert self.open.wait(LONG)
        if min(rows) < 0:
            raise ValueError(f"no model for {min(rows)}")
        return [row * 2 for row in rows]

    @property
    def asked(self):
        return [name for call in self.calls for name in call]


async def blocked(**settings):
    """A batcher of one worker, its shut gate, and the request that the worker has in its hands."""
    gate = Gate(is_open=False)
    batcher = Batcher(gate, workers=1, **settings)
    task = asyncio.create_task(batcher.submit([1], ["first"]))
    await asyncio.to_thread(gate.entered.acquire)
    return batcher, gate, task


async def submitted(batcher, *requests):
    """Tasks for requests, pairs of rows and ids, that have come as far as they can."""
    tasks = [asyncio.create_task(batcher.submit(rows, ids)) for rows, ids in requests]
    await settle()
    return tasks


async def settle():
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("max_rows", [1, 7])
@in_a_loop
async def test_one_worker_computes_in_the_order_of_arrival(max_rows):
    batcher, gate, first = await blocked(max_rows=max_rows, queue=1000)
    tasks = await submitted(batcher, *(([i], [f"r{i}"]) for i in range(300)))
    gate.open.set()
    assert await asyncio.gather(first, *tasks) == [[2], *([2 * i] for i in range(300))]
    assert gate.asked == ["first", *(f"r{i}" for i in range(300))]
    sizes = [len(call) for call in gate.calls[1:]]
    assert sizes == [1] * 300 if max_rows == 1 else sizes == [7] * 42 + [6]


@pytest.mark.parametrize("workers, max_rows", [(1, 1), (4, 1), (1, 16), (4, 16)])
@in_a_loop
async def test_every_row_is_answered_once_and_by_its_own_answer(workers, max_rows):
    sizes, gate = np.random.default_rng(0).integers(1, 6, 2000), Gate()
    batcher = Batcher(gate, workers=workers, max_rows=max_rows, queue=10_000)

    async def client(k):
        for i in range(k, len(sizes), 40):
            rows = [int(i * 10 + j) for j in range(sizes[i])]
            answers = await batcher.submit(rows, [f"{i}.{j}" for j in range(sizes[i])])
            assert answers == [row * 2 for row in rows]

    await asyncio.gather(*(client(k) for k in range(40)))
    assert sorted(gate.asked) == sorted(f"{i}.{j}" for i in range(len(sizes)) for j in range(sizes[i]))
    assert batcher.waiting == 0
    if max_rows > 1:
        assert max(map(len, gate.calls)) <= max_rows


@in_a_loop
async def test_rows_of_one_request_stay_together_and_a_large_request_is_a_call_of_its_own():
    batcher, gate, _ = await blocked(max_rows=4)
    sizes = {"a": 3, "b": 2, "c": 2, "d": 9, "e": 1}
    tasks = await submitted(batcher, *((list(range(n)), [name] * n) for name, n in sizes.items()))
    gate.open.set()
    answers = await asyncio.gather(*tasks)
    assert ["".join(sorted(set(call))) for call in gate.calls[1:]] == ["a", "bc", "d", "e"]
    assert answers[3] == [2 * i for i in range(9)]


@in_a_loop
async def test_the_queue_holds_exactly_as_many_rows_as_it_may():
    batcher, gate, first = await blocked(queue=5)  # that one is in work, so it does not count
    tasks = await submitted(batcher, ([0], ["x"]), ([1] * 3, ["x"] * 3))
    with pytest.raises(QueueFull, match="4 rows wait"):
        await batcher.submit([1, 2], ["a", "b"])
    tasks += await submitted(batcher, ([9], ["last place"]))
    for _ in range(3):
        with pytest.raises(QueueFull, match="5 rows wait"):
            await batcher.submit([1], ["a"])
    assert batcher.waiting == 5
    gate.open.set()
    await asyncio.gather(first, *tasks)
    assert await batcher.submit([4], ["after"]) == [8]
    assert len(gate.asked) == 7


@in_a_loop
async def test_a_request_larger_than_the_queue_is_taken_when_it_need_not_wait():
    batcher, gate, first = await blocked(queue=3)
    with pytest.raises(QueueFull):
        await batcher.submit(list(range(10)), ["x"] * 10)
    gate.open.set()
    await first
    assert len(await batcher.submit(list(range(10)), ["x"] * 10)) == 10


@pytest.mark.parametrize("max_rows", [1, 100])
@in_a_loop
async def test_a_bad_row_fails_its_own_request_only(max_rows):
    batcher, gate, _ = await blocked(max_rows=max_rows)
    requests = [[1], [-1], [2, 3], [4, -5], [6]]
    tasks = await submitted(batcher, *((rows, ["x"] * len(rows)) for rows in requests))
    gate.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [answers[i] for i in (0, 2, 4)] == [[2], [4, 6], [12]]
    assert [str(answers[i]) for i in (1, 3)] == ["no model for -1", "no model for -5"]
    assert await batcher.submit([8], ["after"]) == [16]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration, MemoryError])
@in_a_loop
async def test_whatever_the_model_raises_the_worker_goes_on(error):
    def call(rows, ids):
        if rows[0] < 0:
            raise error
        return rows

    batcher = Batcher(call, workers=1)
    with pytest.raises((RuntimeError, MemoryError)):
        await batcher.submit([-1], ["a"])
    assert await batcher.submit([1], ["b"]) == [1]


@pytest.mark.parametrize("answers", [[], [1, 2], None, {"a": 1, "b": 2}])
@in_a_loop
async def test_a_model_with_the_wrong_number_of_answers_is_an_error(answers):
    with pytest.raises((RuntimeError, TypeError)):
        await Batcher(lambda rows, ids: answers, workers=1).submit([1], ["a"])


@in_a_loop
async def test_who_timed_out_or_left_is_not_computed_and_gives_up_the_place():
    batcher, gate, first = await blocked(max_rows=8, queue=3)
    late = asyncio.create_task(batcher.submit([1], ["late"], timeout=0.5))
    left, stays = await submitted(batcher, ([2], ["left"]), ([3], ["stays"]))
    assert batcher.waiting == 3
    left.cancel()
    with pytest.raises(TimedOut):
        await late
    assert batcher.waiting == 1
    new = await submitted(batcher, *(([i], [f"new{i}"]) for i in range(2)))
    gate.open.set()
    await asyncio.gather(first, stays, *new)
    assert left.cancelled() and gate.asked == ["first", "stays", "new0", "new1"]


@in_a_loop
async def test_a_deadline_that_the_loop_has_not_noticed_counts_too():
    batcher, gate, first = await blocked()
    late = asyncio.create_task(batcher.submit([1], ["late"], timeout=0.01))
    await settle()
    threading.Event().wait(0.05)  # the loop is held up, as by somebody's slow code
    gate.open.set()
    with pytest.raises(TimedOut):
        await late
    await first
    assert gate.asked == ["first"]


@in_a_loop
async def test_a_timeout_in_work_ends_the_wait_and_not_the_worker():
    gate = Gate(is_open=False)
    batcher = Batcher(gate, workers=1)
    with pytest.raises(TimedOut):
        await batcher.submit([1], ["slow"], timeout=0.01)
    gate.open.set()
    assert await batcher.submit([2], ["next"]) == [4]


@in_a_loop
async def test_an_end_turns_away_who_waits_and_lets_calls_and_threads_end():
    before = set(threading.enumerate())
    batcher, gate, first = await blocked()
    waiting = await submitted(batcher, *(([i], ["x"]) for i in range(5)))
    batcher.close()
    with pytest.raises(QueueFull, match="ends"):
        await batcher.submit([1], ["late"])
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    gate.open.set()
    assert {str(answer) for answer in answers} == {"The service ends."}
    assert (await first, gate.asked) == ([2], ["first"])
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("model_"):
            thread.join(LONG)
            assert not thread.is_alive()


@in_a_loop
async def test_many_clients_come_leave_and_fail_while_it_ends():
    """Nobody hangs, and everybody gets one of the few outcomes that can be."""
    fates = np.random.default_rng(1).choice(["stays", "leaves", "late", "bad"], 3000, p=[0.7, 0.1, 0.1, 0.1])
    gate = Gate()
    batcher = Batcher(gate, workers=3, max_rows=5, queue=64)

    async def client(i, fate):
        row = -1 - i if fate == "bad" else i
        seconds = 1e-4 if fate == "late" else LONG
        try:
            async with asyncio.timeout(0.0005 if fate == "leaves" else None):
                return await batcher.submit([row], [str(i)], timeout=seconds)
        except (QueueFull, TimedOut, ValueError, TimeoutError) as error:
            return "ends" if "ends" in str(error) else type(error).__name__

    tasks = []
    for i, fate in enumerate(fates):
        tasks.append(asyncio.create_task(client(i, fate)))
        if not i % 20:
            await asyncio.sleep(0.0005)
        if i == 2500:
            batcher.close()
    answers = await asyncio.gather(*tasks)
    good = {i for i, answer in enumerate(answers) if answer == [2 * i]}
    outcomes = {answer for i, answer in enumerate(answers) if i not in good}
    assert outcomes <= {"QueueFull", "ends", "TimedOut", "ValueError", "TimeoutError"}
    assert len(good) > 500 and {str(i) for i in good} <= set(gate.asked)
    failed = {i for i, answer in enumerate(answers) if answer == "ValueError"}
    assert failed <= set(np.flatnonzero(fates == "bad"))
    assert "ends" in answers[2501:] and batcher.waiting == 0
