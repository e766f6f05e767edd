"""The batcher: first come, first served; nobody's answer lost, doubled or swapped; a full queue that says so."""

import asyncio
import threading

import numpy as np
import pytest

from mlprod_helpers.serving.service.batching import Batcher, Closed, QueueFull, TimedOut

LONG = 60.0


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


def run(scenario):
    async def bounded():
        async with asyncio.timeout(LONG):
            return await scenario()

    return asyncio.run(bounded())


async def blocked(gate, batcher, name="first"):
    """A request that a worker has in its hands."""
    task = asyncio.create_task(batcher.submit([1], [name]))
    await asyncio.to_thread(gate.entered.acquire)
    return task


async def settle():
    """Let the tasks that were just made come as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


# ------------------------------------------------------------------------------------ order and conservation


@pytest.mark.parametrize("max_rows", [1, 7])
def test_one_worker_computes_in_the_order_of_arrival(max_rows):
    async def scenario():
        gate = Gate(is_open=False)
        batcher = Batcher(gate, workers=1, max_rows=max_rows, queue=1000)
        first = await blocked(gate, batcher)
        names = [f"r{i}" for i in range(300)]
        tasks = [asyncio.create_task(batcher.submit([i], [name])) for i, name in enumerate(names)]
        await settle()
        gate.open.set()
        answers = await asyncio.gather(*tasks)
        await first
        batcher.close()
        return gate, names, answers

    gate, names, answers = run(scenario)
    assert gate.asked == ["first", *names]
    assert answers == [[2 * i] for i in range(300)]
    sizes = [len(call) for call in gate.calls[1:]]
    assert sizes == [1] * 300 if max_rows == 1 else sizes == [7] * 42 + [6]


@pytest.mark.parametrize("workers, max_rows", [(1, 1), (4, 1), (1, 16), (4, 16)])
def test_every_row_is_answered_once_and_by_its_own_answer(workers, max_rows):
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 6, 2000)

    async def scenario():
        gate = Gate()
        batcher = Batcher(gate, workers=workers, max_rows=max_rows, queue=10_000)

        async def client(k):
            for i in range(k, len(sizes), 40):
                rows = [int(i * 10 + j) for j in range(sizes[i])]
                answers = await batcher.submit(rows, [f"{i}.{j}" for j in range(sizes[i])])
                assert answers == [row * 2 for row in rows]

        await asyncio.gather(*(client(k) for k in range(40)))
        batcher.close()
        return gate, batcher

    gate, batcher = run(scenario)
    assert sorted(gate.asked) == sorted(f"{i}.{j}" for i in range(len(sizes)) for j in range(sizes[i]))
    assert batcher.waiting == batcher.in_work == 0
    if max_rows > 1:
        assert max(map(len, gate.calls)) <= max_rows


def test_rows_of_one_request_stay_together_and_a_large_request_is_a_call_of_its_own():
    async def scenario():
        gate = Gate(is_open=False)
        batcher = Batcher(gate, workers=1, max_rows=4)
        tasks = [await blocked(gate, batcher)]
        for name, n in (("a", 3), ("b", 2), ("c", 2), ("d", 9), ("e", 1)):
            names = [f"{name}{i}" for i in range(n)]
            tasks.append(asyncio.create_task(batcher.submit(list(range(n)), names)))
        await settle()
        gate.open.set()
        answers = await asyncio.gather(*tasks)
        batcher.close()
        return ["".join(sorted({name[0] for name in call})) for call in gate.calls[1:]], answers

    calls, answers = run(scenario)
    assert calls == ["a", "bc", "d", "e"]
    assert answers[4] == [2 * i for i in range(9)]


# ------------------------------------------------------------------------------------------- the queue


def test_the_queue_holds_exactly_as_many_rows_as_it_may():
    async def scenario():
        gate = Gate(is_open=False)
        batcher = Batcher(gate, workers=1, queue=5)
        tasks = [await blocked(gate, batcher)]  # in work, so it does not count
        tasks += [asyncio.create_task(batcher.submit([i] * n, ["x"] * n)) for i, n in enumerate((1, 3))]
        await settle()
        with pytest.raises(QueueFull, match="4 rows wait"):
            await batcher.submit([1, 2], ["a", "b"])
        tasks.append(asyncio.create_task(batcher.submit([9], ["last place"])))
        await settle()
        for _ in range(3):
            with pytest.raises(QueueFull, match="5 rows wait"):
                await batcher.submit([1], ["a"])
        seen = batcher.waiting, batcher.in_work
        gate.open.set()
        await asyncio.gather(*tasks)
        again = await batcher.submit([4], ["after"])
        batcher.close()
        return seen, again, len(gate.asked)

    assert run(scenario) == ((5, 1), [8], 7)


def test_a_request_larger_than_the_queue_is_taken_when_it_need_not_wait():
    async def scenario():
        gate = Gate()
        batcher = Batcher(gate, workers=1, queue=3)
        alone = await batcher.submit(list(range(10)), ["x"] * 10)
        gate.open.clear()
        gate.entered.acquire()
        first = await blocked(gate, batcher)
        with pytest.raises(QueueFull):
            await batcher.submit(list(range(10)), ["x"] * 10)
        gate.open.set()
        await first
        batcher.close()
        return len(alone)

    assert run(scenario) == 10


# ------------------------------------------------------------------------------------------ bad rows


@pytest.mark.parametrize("max_rows", [1, 100])
def test_a_bad_row_fails_its_own_request_only(max_rows):
    async def scenario():
        gate = Gate(is_open=False)
        batcher = Batcher(gate, workers=1, max_rows=max_rows)
        first = await blocked(gate, batcher)
        rows = [[1], [-1], [2, 3], [4, -5], [6]]
        tasks = [
            asyncio.create_task(batcher.submit(r, [f"{i}.{j}" for j in range(len(r))]))
            for i, r in enumerate(rows)
        ]
        await settle()
        gate.open.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        await first
        after = await batcher.submit([8], ["after"])
        batcher.close()
        return answers, after

    answers, after = run(scenario)
    assert [answers[i] for i in (0, 2, 4)] == [[2], [4, 6], [12]] and after == [16]
    assert [str(answers[i]) for i in (1, 3)] == ["no model for -1", "no model for -5"]


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, StopIteration, MemoryError])
def test_whatever_the_model_raises_the_worker_goes_on(error):
    def call(rows, ids):
        if rows[0] < 0:
            raise error
        return rows

    async def scenario():
        batcher = Batcher(call, workers=1)
        with pytest.raises((RuntimeError, MemoryError)):
            await batcher.submit([-1], ["a"])
        answer = await batcher.submit([1], ["b"])
        batcher.close()
        return answer

    assert run(scenario) == [1]


@pytest.mark.parametrize("answers", [[], [1, 2], None, {"a": 1, "b": 2}])
def test_a_model_with_the_wrong_number_of_answers_is_an_error(answers):
    async def scenario():
        batcher = Batcher(lambda rows, ids: answers, workers=1)
        with pytest.raises((RuntimeError, TypeError)):
            await batcher.submit([1], ["a"])
        batcher.close()

    run(scenario)


# ------------------------------------------------------------------- clients that do not wait any more


def test_who_timed_out_or_left_is_not_computed_and_gives_up_the_place():
    async def scenario():
        gate = Gate(is_open=False)
        batcher = Batcher(gate, workers=1, max_rows=8, queue=3)
        first = await blocked(gate, batcher)
        late = asyncio.create_task(batcher.submit([1], ["late"], timeout=0.5))
        left = asyncio.create_task(batcher.submit([2], ["left"]))
        stays = asyncio.create_task(batcher.submit([3], ["stays"], timeout=LONG))
        await settle()
        assert batcher.waiting == 3
        left.cancel()
        with pytest.raises(TimedOut):
            await late
        with pytest.raises(asyncio.CancelledError):
            await left
        waiting = batcher.waiting
        new = [asyncio.create_task(batcher.submit([i], [f"new{i}"])) for i in range(2)]
        await settle()
        gate.open.set()
        await asyncio.gather(first, stays, *new)
        batcher.close()
        return waiting, gate.asked

    assert run(scenario) == (1, ["first", "stays", "new0", "new1"])


def test_a_deadline_that_the_loop_has_not_noticed_counts_too():
    async def scenario():
        gate = Gate(is_open=False)
        batcher = Batcher(gate, workers=1)
        first = await blocked(gate, batcher)
        late = asyncio.create_task(batcher.submit([1], ["late"], timeout=0.01))
        await settle()
        threading.Event().wait(0.05)  # the loop is held up, as by somebody's slow code
        gate.open.set()
        with pytest.raises(TimedOut):
            await late
        await first
        batcher.close()
        return gate.asked

    assert run(scenario) == ["first"]


def test_a_timeout_in_work_ends_the_wait_and_not_the_worker():
    async def scenario():
        gate = Gate(is_open=False)
        batcher = Batcher(gate, workers=1)
        with pytest.raises(TimedOut):
            await batcher.submit([1], ["slow"], timeout=0.01)
        gate.open.set()
        answer = await batcher.submit([2], ["next"])
        batcher.close()
        return answer, batcher.in_work

    assert run(scenario) == ([4], 0)


# --------------------------------------------------------------------------------------------- the end


def test_an_end_turns_away_who_waits_and_lets_calls_and_threads_end():
    async def scenario():
        gate = Gate(is_open=False)
        batcher = Batcher(gate, workers=2)
        tasks = [await blocked(gate, batcher, name) for name in ("first", "second")]
        waiting = [asyncio.create_task(batcher.submit([i], ["x"])) for i in range(5)]
        await settle()
        batcher.close()
        with pytest.raises(Closed):
            await batcher.submit([1], ["late"])
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        gate.open.set()
        return {type(answer) for answer in answers}, await asyncio.gather(*tasks), gate.asked

    assert run(scenario) == ({Closed}, [[2], [2]], ["first", "second"])
    for thread in threading.enumerate():
        if thread.name.startswith("model-"):  # on its last line
            thread.join(LONG)
            assert not thread.is_alive()


def test_many_clients_come_leave_and_fail_while_it_ends():
    """Nobody hangs, and everybody gets one of the few outcomes that can be."""
    rng = np.random.default_rng(1)
    fates = rng.choice(["stays", "leaves", "late", "bad"], 3000, p=[0.7, 0.1, 0.1, 0.1])

    async def scenario():
        gate = Gate()
        batcher = Batcher(gate, workers=3, max_rows=5, queue=64)

        async def client(i, fate):
            row = -1 - i if fate == "bad" else i
            seconds = 1e-4 if fate == "late" else LONG
            try:
                async with asyncio.timeout(0.0005 if fate == "leaves" else None):
                    return await batcher.submit([row], [str(i)], timeout=seconds)
            except (QueueFull, TimedOut, ValueError, TimeoutError) as error:
                return type(error).__name__

        tasks = []
        for i, fate in enumerate(fates):
            tasks.append(asyncio.create_task(client(i, fate)))
            if not i % 20:
                await asyncio.sleep(0.0005)
            if i == 2500:
                batcher.close()
        answers = await asyncio.gather(*tasks)
        return answers, gate, batcher

    answers, gate, batcher = run(scenario)
    good = [i for i, answer in enumerate(answers) if answer == [2 * i]]
    assert {str(answer) for i, answer in enumerate(answers) if i not in set(good)} <= {
        *("QueueFull", "Closed", "TimedOut", "ValueError", "TimeoutError"),
    }
    assert len(good) > 500 and {str(i) for i in good} <= set(gate.asked)
    assert {i for i, answer in enumerate(answers) if answer == "ValueError"} <= set(
        np.flatnonzero(fates == "bad")
    )
    assert "Closed" in answers[2501:] and batcher.waiting == batcher.in_work == 0
