"""What a lab has started, and how it ends, whatever ends it."""

import atexit
import contextlib
import os
import shutil
import threading
import time
import weakref
from concurrent.futures import wait

from mlprod_helpers.serving.lab.threads import in_thread
from mlprod_helpers.serving.processes import LabError, refusal

_OPEN = weakref.WeakSet()


class Resources:
    """Services, a router, rollouts and a folder. It does not know its lab, so that a forgotten lab is garbage.

    It waits for events, never with `Thread.join`: interrupted, that takes a running thread for one that has ended.
    """

    def __init__(self, folder):
        self.folder, self.services, self.router, self.rollouts = folder, {}, None, []
        self._pid, self._lock, self._is_over = os.getpid(), threading.RLock(), False
        self._plan_lock = threading.Lock()
        self._starting, self._closing, self._closed = {}, None, threading.Event()
        _OPEN.add(self)

    # --------------------------------------------------------------------------------- the beginning

    def launch(self, name, start):
        """Start something in a thread of its own; all of them at a time."""
        self._starting[name] = in_thread(f"mlprod-start-{name}", start)

    def wait(self, name, end):
        """Wait until it has started; an error of any start is raised as a LabError."""
        while not self._starting[name].done():
            wait([self._starting[name]], timeout=0.05)
            for other, started in self._starting.items():
                if started.done() and started.exception() is not None:
                    raise _as_lab_error(other, started.exception())
            if time.monotonic() > end:
                raise LabError(f"{name} was not ready in time: given up. Is this machine very busy?")
        if (error := self._starting[name].exception()) is not None:
            raise _as_lab_error(name, error)

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

    # -------------------------------------------------------------------------------------- the plan

    def change(self, make):
        """Put `make(plan in force)` into force; nobody's change in between is lost. Returns the RoutePlan."""
        with self._plan_lock:
            return self.router.apply(make(self.router.plan))

    def set_weights(self, weights, mirror=0.0):
        """See `Router.set_weights`."""
        with self._plan_lock:
            return self.router.set_weights(weights, mirror=mirror)

    # --------------------------------------------------------------------------------------- the end

    def close(self, wait=True):
        """End everything. In a thread of its own, so that nothing that interrupts a cell leaves half of it."""
        if os.getpid() != self._pid:
            return  # a forked child: nothing here is its own
        with self._lock:
            if self._closing is None:
                self._closing = threading.Thread(target=self.close_now, name="mlprod-close", daemon=True)
                self._closing.start()
        interrupt = None
        while wait and not self._closed.is_set():
            try:
                self._closed.wait(0.1)
            except KeyboardInterrupt as error:
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def close_now(self):
        """End everything in this thread."""
        try:
            self._end_all()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            _OPEN.discard(self)
            self._closed.set()

    def _end_all(self):
        with self._lock:
            self._is_over = True
            processes = [*self.services.values(), self.router]
        for rollout in self.rollouts:
            rollout.stop_soon()
        for process in filter(None, processes):
            _end(process)
        wait(self._starting.values(), timeout=20.0)
        for rollout in self.rollouts:
            with contextlib.suppress(Exception):
                rollout.stop()


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


def _as_lab_error(name, error):
    if isinstance(error, OSError):
        return LabError(refusal() or f"{name} could not be started: {error.strerror or error}.")
    if isinstance(error, LabError):
        return error if name in str(error) else LabError(f"{name}: {error}")
    if isinstance(error, RuntimeError):
        return LabError(f"{name} did not start: {error}")
    return error
