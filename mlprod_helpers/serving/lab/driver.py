"""The driver: carries a rollout's decisions to a real router. Controller and judges are those of `rollout`, unchanged.

Every interval it reads the request log, shows the judge what is known, and sets the weights that the controller decides.
"""

import contextlib
import json
from pathlib import Path

from mlprod_helpers.requestlog import RequestLog
from mlprod_helpers.rollout import Metrics


class Driver:
    """Drives one rollout.

    Parameters
    ----------
    controller : `rollout.Controller`
    backend : has `set_weights({version: percent}, mirror=percent)`
    log : Path of the request log that the judge reads; what it holds already is left out

    `history` is a list of (seconds since 1970, decision), one a look. A router that does not answer stops nothing: the next tick
    tries again. `tick` raises what a judge raises.
    """

    def __init__(self, controller, backend, log):
        self.controller, self.backend = controller, backend
        self.history = []
        self._log, self._set, self._last = LogTail(log), None, -float("inf")

    def tick(self, now):
        """Look once, and act if something is due at `now` (seconds since 1970)."""
        self._last = now = max(now, self._last)  # a clock may be set back
        metrics, due = None, self.controller.next_event
        if due is not None and now >= due:
            metrics = Metrics.from_log(self._log.read(), self.controller.stable, self.controller.canary)
        decision = self.controller.step(now, metrics)
        wanted = dict(decision.weights), float(self.controller.state.mirror)
        if wanted != self._set:
            with contextlib.suppress(OSError, ValueError):
                self.backend.set_weights(wanted[0], mirror=wanted[1])
                self._set = wanted
        self.history.append((now, decision))


class LogTail:
    """What is added to a log from now on."""

    def __init__(self, path):
        self._path = Path(path)
        self._begin = self._path.stat().st_size if self._path.exists() else 0

    def read(self):
        """The events so far as a request log, without malformed ones, a line that is being written, and labels of older requests."""
        events = []
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._begin)
                *lines, _ = file.read().split(b"\n")
            events = [event for line in lines if (event := _event(line)) is not None]
        known = {name for kind, name, _ in events if kind == "request"}
        lines = [line for kind, name, line in events if kind == "request" or name in known]
        return RequestLog.from_lines(lines).read()


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
