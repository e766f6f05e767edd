"""Stop code that does not end: a clock for the calls of one check.

On the main thread a timer signal interrupts the code, `time.sleep` included. On other threads, and where there is no such
signal (Windows), a watchdog raises in the thread at its next line of Python. Neither can interrupt one long call into C,
such as `sum(range(10**12))`; it is stopped when the call returns.
"""

import ast
import ctypes
import linecache
import signal
import sys
import threading
import time

AGAIN = 0.05  # seconds between two tries: code may catch the first
MOST_WALL = 4  # on a busy machine code may take this many times its seconds, if it computes at all


class TimeIsUp(BaseException):
    """Raised inside code that ran for too long. No `Exception`, so that few handlers catch it."""


class _Insistent(TimeIsUp):
    """Made in the thread that it is raised in, so that it can go on to raise there."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        _insist(_frames_within(sys._getframe(1)))


class Clock:
    """The time that code may still take: `seconds` for all calls of `run` together.

    Seconds of the wall; where the processor is shared with others, code that computes gets up to four times as
    many. `place` is where the code was when it was stopped: the line in the learner's cell and its text, the loop's
    head if it was in one.
    """

    def __init__(self, seconds, is_own=None):
        self.seconds = self._left = seconds
        self.place = None
        self._is_own = is_own
        self._begin = self._cpu = 0.0
        self._running = False

    def run(self, call):
        """The result of `call()`.

        Raises
        ------
        TimeIsUp : if it was stopped, also where the code caught the exception and went on.
        """
        if self._running:  # a call within a call is on the clock already
            return call()
        if self._left <= 0:
            raise TimeIsUp
        self._begin, self._cpu = time.monotonic(), time.process_time()
        self._running = True
        try:
            if hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread():
                return self._with_alarm(call)
            return self._with_watchdog(call)
        finally:
            self._running = False
            wall, cpu = time.monotonic() - self._begin, time.process_time() - self._cpu
            self._left -= wall if cpu < 0.05 * wall else min(wall, max(cpu, wall / MOST_WALL))

    def _is_over(self):
        wall, cpu = time.monotonic() - self._begin, time.process_time() - self._cpu
        if wall < self._left:
            return False
        waits = cpu < 0.05 * wall
        return waits or cpu >= 0.8 * self._left or wall >= MOST_WALL * self._left

    def _with_alarm(self, call):
        fired = 0

        def stop(signum, frame):
            nonlocal fired
            chain = _frames_within(frame)
            if not chain or not self._is_over():
                return
            fired += 1
            if fired == 1:
                self.place = self._place(chain)
            else:
                _insist(chain)
            raise TimeIsUp

        tracing = sys.gettrace()
        handler = signal.signal(signal.SIGALRM, stop)
        waiting, interval = signal.setitimer(signal.ITIMER_REAL, max(self._left, 0.001), AGAIN)
        try:
            result = _guarded(call)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)
            if waiting:  # somebody else's alarm
                left = waiting - (time.monotonic() - self._begin)
                signal.setitimer(signal.ITIMER_REAL, max(left, 0.001), interval)
            if sys.gettrace() is not tracing:
                sys.settrace(tracing)
        if fired:
            raise TimeIsUp
        return result

    def _with_watchdog(self, call):
        thread, over, lock, fired = threading.get_ident(), threading.Event(), threading.Lock(), False

        def watch():
            nonlocal fired
            wait = max(self._left, 0.001)
            while not over.wait(wait):
                wait = AGAIN
                with lock:
                    chain = _frames_within(sys._current_frames().get(thread))
                    if over.is_set() or not chain or not self._is_over():
                        continue
                    if not fired:
                        self.place = self._place(chain)
                    _raise_in(thread, _Insistent if fired else TimeIsUp)
                    fired = True

        tracing = sys.gettrace()
        threading.Thread(target=watch, daemon=True).start()
        try:
            result = _guarded(call)
        finally:
            while not over.is_set():
                try:
                    with lock:
                        over.set()
                        _raise_in(thread, None)
                except TimeIsUp:  # it was on its way
                    over.clear()
            if sys.gettrace() is not tracing:
                sys.settrace(tracing)
        if fired:
            raise TimeIsUp
        return result

    def _place(self, chain):
        """(line, text) of the loop that the learner's code is in, else of its innermost line; None without code of theirs."""
        own = [frame for frame in reversed(chain) if self._is_own and self._is_own(frame.f_code.co_filename)]
        if not own:
            return None
        loop = None
        for frame in own:
            for kind, line in _loops_around(frame):
                if loop is None or kind == "while":
                    loop = frame, line
            if loop:
                break
        frame, line = loop or (own[-1], own[-1].f_lineno)
        return line, linecache.getline(frame.f_code.co_filename, line).strip()


def _guarded(call):
    # this frame marks where the code on the clock begins
    return call()


def _frames_within(frame):
    """The frames from `frame` out to the guarded call; none if it is over."""
    chain = []
    while frame is not None:
        if frame.f_code is _guarded.__code__:
            return chain
        chain.append(frame)
        frame = frame.f_back
    return []


def _insist(chain):
    """Raise at the next line too: a bare `except:` caught the first, and the line after it is outside of that `try`."""
    if chain:
        for frame in chain:
            frame.f_trace = _raise_within
        sys.settrace(_raise_within)


def _raise_within(frame, event, argument):
    # the event of an exception comes before it is caught, still within the `try`
    if event != "exception" and _frames_within(frame):
        raise TimeIsUp
    return _raise_within


def _raise_in(thread, error):
    target = ctypes.py_object(error) if error is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), target)


def _loops_around(frame):
    """(kind, line) of the loops around a frame's line, from outside to inside."""
    try:
        tree = ast.parse("".join(linecache.getlines(frame.f_code.co_filename)))
    except (SyntaxError, ValueError, RecursionError):
        return []
    code, line = frame.f_code, frame.f_lineno
    functions = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name == code.co_name
        and node.lineno <= code.co_firstlineno + len(node.decorator_list)
        and node.lineno <= line <= node.end_lineno
    ]
    within = functions[-1] if functions else tree
    loops = [
        node
        for node in ast.walk(within)
        if isinstance(node, ast.While | ast.For | ast.AsyncFor) and node.lineno <= line <= node.end_lineno
    ]
    loops.sort(key=lambda node: (node.lineno, -node.end_lineno))
    return [("while" if isinstance(node, ast.While) else "for", node.lineno) for node in loops]
