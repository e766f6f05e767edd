"""The driver: carries a rollout's decisions to a real router. Controller and judges are those of `rollout`, unchanged.

Every interval it reads the request log, shows the judge what is known, and sets the weights that the controller decides.
"""

import json
import threading
import time
from pathlib import Path
from typing import NamedTuple

from mlprod_helpers.requestlog import LogError, RequestLog
from mlprod_helpers.rollout import Metrics

LAG_S = 0.05  # answers that are just being written are left to the next check: each is judged once
JUDGED_EVENTS = 50_000  # the last ones of the log


class Tick(NamedTuple):
    """What one look of the driver led to: when (seconds since 1970), the decision, the verdict (None: no check was due), and what
    went wrong (None: nothing)."""

    time: float
    decision: object
    verdict: str | None
    problem: str | None


class Driver:
    """Drives one rollout.

    Parameters
    ----------
    controller : `rollout.Controller`
    backend : has `set_weights({version: percent}, mirror=percent)`
    log : path of the request log that the judge reads

    `history` is a list of `Tick`. A log that cannot be read, or a router that does not answer, stops nothing: it is the tick's
    `problem`, and the next tick tries again. What a judge raises, `tick` and `run` raise.
    """

    def __init__(self, controller, backend, log):
        self.controller, self.backend = controller, backend
        self.history = []
        self._tail = LogTail(log, JUDGED_EVENTS)
        self._set, self._last, self._stop = None, -float("inf"), threading.Event()

    def tick(self, now=None):
        """Look once, act if something is due. Returns the `Tick`."""
        now = max(time.time() - LAG_S if now is None else now, self._last)
        self._last, problem, metrics = now, None, None
        try:
            due = self.controller.next_event
            if due is not None and now >= due:
                metrics = self._metrics()
        except (OSError, LogError) as error:
            problem = f"the log cannot be read: {error}"
        if problem is None:
            before = self.controller.state.checked
            decision = self.controller.step(now, metrics)
            checked = self.controller.state.checked
            verdict = self.controller.state.verdict if checked not in (None, before) else None
        else:
            decision, verdict = self.controller.decision, None
        problem = self._carry_out(decision) or problem
        self.history.append(Tick(now, decision, verdict, problem))
        return self.history[-1]

    def run(self, duration, every=None):
        """Tick for `duration` seconds, or until the rollout is over or `stop` is called. `every` is seconds between two ticks (a tenth
        of the interval)."""
        every = min(0.5, self.controller.plan.interval / 10) if every is None else every
        end = time.monotonic() + duration
        while not self._stop.is_set() and time.monotonic() < end:
            if self.tick().problem is None and self.controller.over:
                break
            self._stop.wait(every)

    def stop(self):
        """End `run`; the weights stay as they are."""
        self._stop.set()

    def _metrics(self):
        versions = self.controller.stable, self.controller.canary
        return Metrics.from_log(self._tail.read(), *versions, origin="1970-01-01 00:00Z")

    def _carry_out(self, decision):
        wanted = dict(decision.weights), float(self.controller.state.mirror)
        if wanted == self._set:
            return None
        try:
            self.backend.set_weights(wanted[0], mirror=wanted[1])
        except (OSError, ValueError) as error:
            return f"the router was not reached: {error}"
        self._set = wanted
        return None


class LogTail:
    """The last events that were added to a log since this was made; only new bytes are read, and malformed events are left out."""

    def __init__(self, path, max_events):
        self._path, self._max = Path(path), max_events
        self._at = self._path.stat().st_size if self._path.exists() else 0
        self._rest, self._lines = b"", []

    def read(self):
        """The events so far as a request log."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._at)
                new = file.read()
            self._at += len(new)
            *whole, self._rest = (self._rest + new).split(b"\n")
            self._lines += [event for line in whole if (event := _event(line)) is not None]
            self._lines = self._lines[-self._max :]
        known = {name for kind, name, _ in self._lines if kind == "request"}
        return RequestLog.from_lines(  # without labels of older requests
            line for kind, name, line in self._lines if kind == "request" or name in known
        ).read()


def _event(line):
    """(kind, request id, line), or None for a line that is no event: a service may have been killed while it wrote."""
    try:
        event = json.loads(line)
        name = event["request_id"]
        # a row without what every writer here says would change the kind of a whole column
        whole = event["event"] != "request" or {"version", "served", "status"} <= event.keys()
        return (event["event"], name, line.decode()) if whole and isinstance(name, str | int) else None
    except (ValueError, KeyError, TypeError):
        return None
