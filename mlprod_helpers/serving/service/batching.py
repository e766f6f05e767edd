"""How waiting requests become one call of the model: a bounded queue, threads, and answers that find their own way home."""

import asyncio
import contextlib
import threading
from collections import deque
from itertools import accumulate
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
        self._queue, self._is_gathering, self._is_closed = deque(), False, False
        lock = threading.Lock()
        self._work = threading.Condition(lock)  # here free workers wait for a request
        self._company = threading.Condition(lock)  # here the one worker waits that is filling a batch
        self._workers = self._alive = workers
        self._busy = 0
        self._done, self._is_told, self._loop = deque(), False, None
        self._ended = None
        for i in range(workers):
            threading.Thread(target=self._run, name=f"model-{i}", daemon=True).start()

    @property
    def is_free(self):
        """Does nobody wait, and is there a worker without work?"""
        return not self._queue and self._busy < self._workers

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
        if not rows or len(rows) != len(ids):
            raise ValueError(
                f"{len(rows)} rows with {len(ids)} ids: give one id a row, and one row at least."
            )
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        one = _Waiting(rows, ids, loop.create_future(), timeout)
        self._line_up(one)
        timer = None if timeout is None else loop.call_at(one.latest, self._give_up, one)
        try:
            return await one.future
        except asyncio.CancelledError:
            self._leave(one)
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
        self._loop = self._loop or asyncio.get_running_loop()
        with self._work:
            self._is_closed = True
            if self._ended is None:
                self._ended = self._loop.create_future()
                if not self._alive:
                    self._ended.set_result(None)
            if not drain:
                self._turn_away()
            self._work.notify_all()
            self._company.notify_all()
        if drain:
            await asyncio.wait([self._ended], timeout=timeout)
            with self._work:
                self._turn_away()
        self._deliver()

    # ------------------------------------------------------------------------ in the event loop's thread

    def _line_up(self, one):
        n = len(one.rows)
        with self._work:
            if self._is_closed:
                raise Closed("The service ends.")
            if self.waiting + n > self._limit and not (n > self._limit and self.is_free):
                raise QueueFull(f"{self.waiting} rows wait already.")
            self._queue.append(one)
            self.waiting += n
            if not self._is_gathering:
                self._work.notify()
            elif self.waiting >= self._enough:
                self._company.notify()

    def _give_up(self, one):
        if not one.future.done():
            one.future.set_exception(TimedOut("The answer was not there in time."))
            self._leave(one)

    def _leave(self, one):
        with self._work:
            if one in self._queue:
                self._queue.remove(one)
                self.waiting -= len(one.rows)

    def _turn_away(self):
        for one in self._queue:
            _fail(one.future, Closed("The service ends."))
        self._queue.clear()
        self.waiting = 0

    def _deliver(self):
        self._is_told = False  # first: whoever finishes from now on tells again
        while self._done:
            future, answers, error = self._done.popleft()
            if error is not None:
                _fail(future, error)
            elif not future.done():
                future.set_result(answers)

    def _end(self):
        if not self._ended.done():
            self._ended.set_result(None)

    # ------------------------------------------------------------------------ in the workers' threads

    def _run(self):
        batch = self._take()
        while batch:
            self._compute(batch)
            batch = self._take(batch)
        with self._work:
            self._alive -= 1
            last = not self._alive
        if last:
            self._tell(self._end)

    def _take(self, finished=()):
        """The requests of the next call; None at the end."""
        with self._work:
            if finished:
                self._busy -= 1
                self.in_work -= sum(len(one.rows) for one in finished)
            while True:
                if self._queue and not self._is_gathering:
                    if self._wait_s:
                        self._gather()
                    if batch := self._first():
                        return batch
                elif self._is_closed and not self._queue:
                    return None
                else:
                    self._work.wait()

    def _gather(self):
        """Wait until there is enough for one call, or the first has waited long enough. One worker at a time does this."""
        self._is_gathering = True
        while self._queue and self.waiting < self._enough and not self._is_closed:
            left = self._queue[0].arrived + self._wait_s - monotonic()
            if left <= 0:
                break
            self._company.wait(left)
        self._is_gathering = False
        self._work.notify()  # who found the batch being filled may have stayed free

    def _first(self):
        """The requests at the head of the queue that fit into one call; whose time is over is left out."""
        batch, n = [], 0
        while self._queue and (not n or n + len(self._queue[0].rows) <= self._max_rows):
            one = self._queue.popleft()
            self.waiting -= len(one.rows)
            if self._is_wanted(one):
                batch.append(one)
                n += len(one.rows)
        if batch:
            self._busy += 1
            self.in_work += n
        return batch

    def _is_wanted(self, one):
        if one.latest is not None and one.latest <= monotonic():  # the loop may not have noticed yet
            self._finish(one, None, TimedOut("The answer was not there in time."))
            return False
        return not one.future.done()

    def _compute(self, batch):
        if len(batch) == 1:
            self._answer(batch[0])
            return
        rows = [row for one in batch for row in one.rows]
        ends = list(accumulate(len(one.rows) for one in batch))
        try:
            answers = self._ask(rows, [name for one in batch for name in one.ids])
            parts = [answers[end - len(one.rows) : end] for one, end in zip(batch, ends, strict=True)]
        except BaseException:  # SystemExit too: a worker that is gone would leave everybody waiting
            for one in batch:
                if self._is_wanted(one):
                    self._answer(one)
        else:
            for one, part in zip(batch, parts, strict=True):
                self._finish(one, part, None)

    def _answer(self, one):
        try:
            self._finish(one, self._ask(one.rows, one.ids), None)
        except Exception as error:
            self._finish(one, None, error)
        except BaseException as error:
            self._finish(one, None, RuntimeError(f"The model ended with {type(error).__name__}."))

    def _ask(self, rows, ids):
        answers = self._call(rows, ids)
        if len(answers) != len(rows):
            raise RuntimeError(f"The model gave {len(answers)} answers to {len(rows)} rows.")
        return answers

    def _finish(self, one, answers, error):
        self._done.append((one.future, answers, error))
        if not self._is_told:  # one wake-up of the loop for all that is done until it comes
            self._is_told = True
            self._tell(self._deliver)

    def _tell(self, what):
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(what)


class _Waiting:
    __slots__ = ("arrived", "future", "ids", "latest", "rows")

    def __init__(self, rows, ids, future, timeout):
        self.rows, self.ids, self.future = rows, ids, future
        self.arrived = monotonic()
        self.latest = None if timeout is None else self.arrived + timeout


def _fail(future, error):
    if not future.done():
        if isinstance(error, StopIteration):  # a future cannot carry it
            error = RuntimeError("The model ended with StopIteration.")
        future.set_exception(error)
