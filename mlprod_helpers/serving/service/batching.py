"""How waiting requests become one call of the model: a bounded queue, threads, and answers that find their own way home."""

import asyncio
import contextlib
import threading
from collections import deque
from itertools import accumulate
from queue import SimpleQueue
from time import monotonic


class QueueFull(Exception):
    """There is no place for these rows: shed them now, while that is cheap, and let the client come again."""


class Closed(QueueFull):
    """The batcher is ending and takes nothing more."""


class TimedOut(Exception):
    """The answer was not there in time."""


class Batcher:
    """Threads that take rows from one queue, first come, first served.

    The rows of a request stay together. Whole requests share a call as long as they have `max_rows` rows or fewer between them; a
    request that alone has more is one call of its own. When a call with several requests fails, each of them is asked again by itself, so
    that a bad row fails only the request it came in.

    Parameters
    ----------
    call : `call(rows, ids) -> answers`, a sequence with one answer a row; it runs in several threads at once with `workers` > 1
    workers : int, threads, 1 or more
    max_rows : int, the most rows that requests share in one call; 1: every request is a call of its own
    wait_s : float, seconds that a request waits for company, counted from when it came. 0 takes what is there.
    queue : int, the most rows that wait; those in work do not count. A request of more rows than that is taken only when
        nobody waits and a worker is free.

    `waiting` is the number of rows in the queue, `in_work` that of rows in calls.

    >>> async def three_clients():
    ...     batcher = Batcher(lambda rows, ids: [row["x"] * 2 for row in rows], workers=1, max_rows=8)
    ...     answers = await asyncio.gather(*(batcher.submit([{"x": x}], [f"r{x}"]) for x in range(3)))
    ...     await batcher.close()
    ...     return answers
    >>> asyncio.run(three_clients())
    [[0], [2], [4]]
    """

    def __init__(self, call, *, workers, max_rows=1, wait_s=0.0, queue=256):
        for name, value in (("workers", workers), ("max_rows", max_rows), ("queue", queue)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}={value!r} must be a whole number from 1.")
        if not wait_s >= 0:
            raise ValueError(f"wait_s={wait_s!r} must be a number of seconds, 0 or more.")
        self.waiting, self.in_work = 0, 0
        self._call, self._max_rows, self._wait_s, self._limit = call, max_rows, wait_s, queue
        self._enough = min(max_rows, queue)  # a full queue brings no more company
        # the queue and all counts belong to the event loop; threads only take batches and give back outcomes
        self._queue, self._workers, self._idle = deque(), workers, workers
        self._batches, self._loop, self._alarm, self._ended = SimpleQueue(), None, None, None
        for i in range(workers):  # daemons: a model that hangs must not keep the process alive
            threading.Thread(target=self._work, name=f"model-{i}", daemon=True).start()

    @property
    def is_free(self):
        """Does nobody wait, and is there a worker without work?"""
        return not self._queue and self._idle > 0

    async def submit(self, rows, ids, timeout=None):
        """The answers to these rows, in their order.

        Who cancels the task that waits here (its client is gone), or whose `timeout` passes, gives up the place in the queue
        and is not computed any more; a call that is running is not stopped.

        Parameters
        ----------
        rows, ids : lists of equal length, 1 or more
        timeout : float or None, seconds until the answer must be there

        Raises
        ------
        QueueFull, TimedOut, and whatever `call` raised for these rows.
        """
        n = len(rows)
        if not n or n != len(ids):
            raise ValueError(f"{n} rows with {len(ids)} ids: give one id a row, and one row at least.")
        if self._ended is not None:
            raise Closed("The service ends.")
        if self.waiting + n > self._limit and not (n > self._limit and self.is_free):
            raise QueueFull(f"{self.waiting} rows wait already.")
        loop = self._loop = asyncio.get_running_loop()
        request = _Waiting(rows, ids, loop.create_future(), timeout)
        self._queue.append(request)
        self.waiting += n
        timer = None if timeout is None else loop.call_later(timeout, self._give_up, request)
        self._dispatch()
        try:
            return await request.future
        except asyncio.CancelledError:
            self._leave(request)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    async def close(self, drain=True, timeout=None):
        """End: nothing more is taken (`Closed`).

        With `drain` those who wait still get their answers, for `timeout` seconds at most (None: as long as it takes); without,
        or after that, they get `Closed`. Calls that are running end by themselves, they cannot be stopped: this waits for them
        with `drain`, until the timeout.
        """
        if self._ended is None:
            self._ended = asyncio.Event()
        if drain:
            self._dispatch()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._ended.wait()
        for request in self._queue:
            request.finish(None, Closed("The service ends."))
        self._queue.clear()
        self.waiting = 0
        self._dispatch()

    # ------------------------------------------------------------------------ in the event loop

    def _dispatch(self):
        """Hand out batches as long as there are workers without work, and requests that need not wait for company."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        while self._idle and self._queue:
            left = self._queue[0].arrived + self._wait_s - monotonic()
            if left > 0 and self.waiting < self._enough and self._ended is None:
                self._alarm = self._loop.call_later(left, self._dispatch)
                return
            if batch := self._first():
                self._idle -= 1
                self.in_work += sum(len(request.rows) for request in batch)
                self._batches.put(batch)
        if self._ended is not None and not self._queue and self._idle == self._workers:
            self._ended.set()
            for _ in range(self._workers):
                self._batches.put(None)

    def _first(self):
        """The requests at the head of the queue that fit into one call; whose time is over is left out."""
        batch, n = [], 0
        while self._queue and (not n or n + len(self._queue[0].rows) <= self._max_rows):
            request = self._queue.popleft()
            self.waiting -= len(request.rows)
            if request.is_late():  # the loop may have been held up
                request.finish(None, TimedOut("The answer was not there in time."))
            elif not request.future.done():
                batch.append(request)
                n += len(request.rows)
        return batch

    def _give_up(self, request):
        request.finish(None, TimedOut("The answer was not there in time."))
        self._leave(request)

    def _leave(self, request):
        if request in self._queue:
            self._queue.remove(request)
            self.waiting -= len(request.rows)

    def _deliver(self, batch, outcomes):
        self._idle += 1
        self.in_work -= sum(len(request.rows) for request in batch)
        for request, outcome in zip(batch, outcomes, strict=True):
            request.finish(*outcome)
        self._dispatch()

    # ------------------------------------------------------------------------ in the workers' threads

    def _work(self):
        while (batch := self._batches.get()) is not None:
            outcomes = self._outcomes(batch)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._deliver, batch, outcomes)

    def _outcomes(self, batch):
        """(answers, error) of each request: of one call for all, or of a call for each when that one fails."""
        rows = [row for request in batch for row in request.rows]
        try:
            answers = self._ask(rows, [name for request in batch for name in request.ids])
            ends = accumulate(len(request.rows) for request in batch)
            return [
                (answers[end - len(request.rows) : end], None)
                for end, request in zip(ends, batch, strict=True)
            ]
        except BaseException as error:  # SystemExit too: a worker that is gone would leave everybody waiting
            if len(batch) == 1:
                return [(None, error)]
        outcomes = []
        for request in batch:
            unwanted = request.future.done() or request.is_late()
            timed_out = None, TimedOut("The answer was not there in time.")
            outcomes += [timed_out] if unwanted else self._outcomes([request])
        return outcomes

    def _ask(self, rows, ids):
        answers = self._call(rows, ids)
        if len(answers) != len(rows):
            raise RuntimeError(f"The model gave {len(answers)} answers to {len(rows)} rows.")
        return answers


class _Waiting:
    __slots__ = ("arrived", "future", "ids", "latest", "rows")

    def __init__(self, rows, ids, future, timeout):
        self.rows, self.ids, self.future = rows, ids, future
        self.arrived = monotonic()
        self.latest = None if timeout is None else self.arrived + timeout

    def is_late(self):
        return self.latest is not None and self.latest <= monotonic()

    def finish(self, answers, error):
        if self.future.done():
            return
        if error is None:
            self.future.set_result(answers)
        elif isinstance(error, Exception) and not isinstance(error, StopIteration):
            self.future.set_exception(error)
        else:  # what would end the event loop, or cannot stand in a future
            self.future.set_exception(RuntimeError(f"The model ended with {type(error).__name__}."))
