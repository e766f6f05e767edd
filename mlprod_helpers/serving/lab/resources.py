"""What a lab has started, and how it ends, whatever ends it."""

import atexit
import contextlib
import os
import shutil
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

from mlprod_helpers.serving.processes import LabError

_OPEN = weakref.WeakSet()


class Resources:
    """Services, a router and a folder. It does not know its lab, so that a forgotten lab is garbage.

    `pool` starts processes, all at a time.
    """

    def __init__(self, folder):
        self.folder, self.services, self.router = folder, {}, None
        self.pool = ThreadPoolExecutor(thread_name_prefix="mlprod-start")
        self._pid, self._lock, self._is_over = os.getpid(), threading.Lock(), False
        self._plan_lock = threading.Lock()
        self._closing, self._closed = None, threading.Event()
        _OPEN.add(self)

    def keep(self, process, version=None):
        """Keep the process of a version, or the router (None), and end it with the lab."""
        with self._lock:
            is_late = self._is_over
            if version is None:
                self.router = process
            else:
                self.services[version] = process
        if is_late:  # the lab was closed while this one was being started
            _end(process)
            raise LabError("The lab is closed.")
        return process

    def change(self, make):
        """Put `make(plan in force)` into force; nobody's change in between is lost. Returns the RoutePlan."""
        with self._plan_lock:
            return self.router.apply(make(self.router.plan))

    def close(self, wait=True):
        """End everything. In a thread of its own, so that nothing that interrupts a cell leaves half of it."""
        if os.getpid() != self._pid:
            return  # a forked child: nothing here is its own
        with self._lock:
            if self._closing is None:
                self._closing = threading.Thread(target=self.close_now, name="mlprod-close", daemon=True)
                self._closing.start()
        interrupt = None
        while (
            wait and not self._closed.is_set()
        ):  # not Thread.join: an interrupted one takes the thread for ended
            try:
                self._closed.wait(0.1)
            except KeyboardInterrupt as error:
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def close_now(self):
        """End everything in this thread."""
        try:
            with self._lock:
                self._is_over = True
                processes = [*self.services.values(), self.router]
            for process in filter(None, processes):
                _end(process)
            self.pool.shutdown()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            _OPEN.discard(self)
            self._closed.set()


def _end(process):
    """Stop it; if that fails, kill it."""
    try:
        process.stop()
    except Exception:
        with contextlib.suppress(Exception):
            process.kill()


@atexit.register
def _close_all():
    for resources in list(_OPEN):
        if resources._pid == os.getpid():
            resources.close_now()
