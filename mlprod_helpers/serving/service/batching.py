"""How waiting requests become one call of the model: a bounded queue in the event loop, and threads that call the model."""

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate
from time import monotonic


class QueueFull(Exception):
    """There is no place for these rows: refuse them now, while that is cheap."""


class TimedOut(Exception):
    """The answer was not there in time."""


class Batcher:
    """Threads that take rows from one queue, first come, first served.

    The rows of a request stay together. Whole requests share a call as long as they have `max_rows` rows or fewer between them; a
    larger request is a call of its own. When a call with several requests fails, each request is tried again by itself, so that a bad
    row fails only the request it came in.

    Parameters
    ----------
    call : `call(rows, ids) -> answers`, a sequence with one answer a row; it runs in several threads at once with `workers` > 1
    workers : int, threads
    max_rows : int, the most rows that requests share in one call
    queue : int, the most rows that wait. A larger request is accepted only when nobody waits and a worker is free.

    `waiting` is the number of rows in the queue.

    >>> async def three_clients():
    ...     batcher = Batcher(lambda rows, ids: [row["x"] * 2 for row in rows], workers=1, max_rows=8)
    ...     return await asyncio.gather(*(batcher.submit([{"x": x}], [f"r{x}"]) for x in range(3)))
    >>> asyncio.run(three_clients())
    [[0], [2], [4]]
    """

    def __init__(self, call, *, workers, max_rows=1, queue=256):
        self._call, self._max_rows, self._limit = call, max_rows, queue
        # queue and counts belong to the event loop; threads only get batches and give back outcomes
        self._queue, self.waiting, self._idle = deque(), 0, workers
        self._threads, self._is_closed = ThreadPoolExecutor(workers, "model"), False

    @property
    def is_free(self):
        """Does nobody wait, and is a worker idle?"""
        return not self._queue and self._idle > 0

    async def submit(self, rows, ids, timeout=None):
        """The answers to these rows, in their order.

        A task that is cancelled here (its client is gone), or whose timeout passes, gives up its place in the queue and is not
        computed any more; a call that is running goes on.

        Parameters
        ----------
        rows, ids : lists of equal length, 1 or more
        timeout : float or None, seconds until the answer must be there

        Raises
        ------
        QueueFull, TimedOut, and whatever `call` raised for these rows.
        """
        n = len(rows)
        if self._is_closed:
            raise QueueFull("The service ends.")
        if self.waiting + n > self._limit and not (n > self._limit and self.is_free):
            raise QueueFull(f"{self.waiting} rows wait already.")
        request = _Waiting(rows, ids, timeout)
        self._queue.append(request)
        self.waiting += n
        self._dispatch()
        try:
            async with asyncio.timeout(timeout) as deadline:
                return await request.future
        except TimeoutError:
            if deadline.expired():
                raise TimedOut("The answer was not there in time.") from None
            raise  # the model's own
        finally:
            if request in self._queue:
                self._queue.remove(request)
                self.waiting -= n

    def close(self):
        """Turn away those who wait (`QueueFull`) and end the threads; calls that are running end by themselves."""
        self._is_closed = True
        for request in self._queue:
            request.finish(None, QueueFull("The service ends."))
        self._queue.clear()
        self.waiting = 0
        self._threads.shutdown(wait=False)

    def _dispatch(self):
        """Hand out batches while workers are idle."""
        while self._idle and self._queue:
            if batch := self._next_batch():
                self._idle -= 1
                loop = asyncio.get_running_loop()
                call = loop.run_in_executor(self._threads, self._outcomes, batch)
                call.add_done_callback(partial(self._deliver, batch))

    def _next_batch(self):
        """The requests at the head of the queue that fit into one call, without those whose time is over."""
        batch, n = [], 0
        while self._queue and (not n or n + len(self._queue[0].rows) <= self._max_rows):
            request = self._queue.popleft()
            self.waiting -= len(request.rows)
            if not request.is_unwanted():
                batch.append(request)
                n += len(request.rows)
        return batch

    def _deliver(self, batch, call):
        self._idle += 1
        for request, outcome in zip(batch, call.result(), strict=True):
            request.finish(*outcome)
        self._dispatch()

    def _outcomes(self, batch):
        """In a thread, (answers, error) of each request: of one call for all, or of a call for each when that one fails."""
        rows = [row for request in batch for row in request.rows]
        try:
            answers = self._call(rows, [name for request in batch for name in request.ids])
            if len(answers) != len(rows):
                raise RuntimeError(f"The model gave {len(answers)} answers to {len(rows)} rows.")
            ends = accumulate(len(request.rows) for request in batch)
            return [
                (answers[end - len(request.rows) : end], None)
                for end, request in zip(ends, batch, strict=True)
            ]
        except BaseException as error:  # SystemExit too: without its worker everybody would wait
            if len(batch) == 1:
                return [(None, error)]
        too_late = None, TimedOut()  # nobody waits for it
        return [too_late if one.is_unwanted() else self._outcomes([one])[0] for one in batch]


class _Waiting:
    __slots__ = ("deadline", "future", "ids", "rows")

    def __init__(self, rows, ids, timeout):
        self.rows, self.ids, self.future = rows, ids, asyncio.get_running_loop().create_future()
        self.deadline = None if timeout is None else monotonic() + timeout

    def is_unwanted(self):
        """Has its client left, or its time passed, even where the loop was too busy to notice?"""
        return self.future.done() or (self.deadline is not None and self.deadline <= monotonic())

    def finish(self, answers, error):
        if self.future.done():
            return
        if error is None:
            self.future.set_result(answers)
        elif isinstance(error, Exception) and not isinstance(error, StopIteration):
            self.future.set_exception(error)
        else:  # what would end the event loop, or cannot stand in a future
            self.future.set_exception(RuntimeError(f"The model ended with {type(error).__name__}."))
