"""What a lab has started, and how it ends, whatever ends it."""

import atexit
import contextlib
import os
import shutil
import threading
import time
import weakref

from mlprod_helpers.serving.processes import LabError, refusal

_OPEN = weakref.WeakSet()


class Resources:
    """Services, a router, rollouts and a folder. It does not know its lab, so that a forgotten lab is garbage.

    Waits are waits for events, never `Thread.join`: interrupted, that takes a thread that runs for one that has ended.
    """

    def __init__(self, folder):
        self.folder, self.services, self.router, self.rollouts = folder, {}, None, []
        self._pid, self._lock, self._over = os.getpid(), threading.RLock(), False
        self._plans = threading.Lock()
        self._starting, self._errors, self._closer, self._gone = {}, {}, None, threading.Event()
        _OPEN.add(self)

    # --------------------------------------------------------------------------------- the beginning

    def launch(self, name, work):
        """Start something in a thread of its own; all of them at a time."""

        def guarded():
            try:
                work()
            except BaseException as error:
                self._errors[name] = error
            finally:
                self._starting[name].set()

        self._starting[name] = threading.Event()
        threading.Thread(target=guarded, name=f"mlprod-start-{name}", daemon=True).start()

    def wait(self, name, end):
        """Until it is there; its error as a LabError."""
        while not self._starting[name].wait(0.05):
            for failed, error in list(self._errors.items()):
                raise _as_lab_error(failed, error)
            if time.monotonic() > end:
                raise LabError(f"{name} was not ready in time: given up. Is this machine very busy?")
        if name in self._errors:
            raise _as_lab_error(name, self._errors[name])

    def keep_service(self, version, process):
        with self._lock:
            late = self._over
            if not late:
                self.services[version] = process
        if late:  # the lab was closed while this one was being started
            _end(process)
            raise LabError("The lab is closed.")
        return process

    def keep_router(self, router):
        with self._lock:
            late = self._over
            if not late:
                self.router = router
        if late:
            _end(router)
            raise LabError("The lab is closed.")

    # -------------------------------------------------------------------------------------- the plan

    def change(self, make):
        """Put `make(plan in force)` into force; nobody's change in between is lost. Returns the RoutePlan."""
        with self._plans:
            return self.router.apply(make(self.router.plan))

    def set_weights(self, weights, mirror=0.0):
        """See `Router.set_weights`."""
        with self._plans:
            return self.router.set_weights(weights, mirror=mirror)

    # --------------------------------------------------------------------------------------- the end

    def close(self, wait=True):
        """End everything. In a thread of its own, so that nothing that interrupts a cell leaves half of it."""
        if os.getpid() != self._pid:
            return  # a forked child: nothing here is its own
        with self._lock:
            if self._closer is None:
                self._closer = threading.Thread(target=self.close_now, name="mlprod-close", daemon=True)
                self._closer.start()
        interrupted = None
        while wait and not self._gone.is_set():
            try:
                self._gone.wait(0.1)
            except KeyboardInterrupt as error:
                interrupted = error
        if interrupted is not None:
            raise interrupted

    def close_now(self):
        try:
            self._end_all()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)
            _OPEN.discard(self)
            self._gone.set()

    def _end_all(self):
        with self._lock:
            self._over = True
            services, router = list(self.services.values()), self.router
        for one in self.rollouts:
            one._stop.set()
            one._driver._stop.set()
        for process in [*services, *([router] if router is not None else [])]:
            _end(process)
        for started in self._starting.values():
            started.wait(20.0)
        for one in self.rollouts:
            with contextlib.suppress(Exception):
                one.stop()


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
