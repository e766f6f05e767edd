"""A rollout of real services: `rollout`'s controller and judge, unchanged, move the router's weights while users come and go."""

import math
import threading
import time

import numpy as np
import pandas as pd

from mlprod_helpers.rollout import Controller
from mlprod_helpers.rollout.controller import DEGRADED
from mlprod_helpers.serving.lab.driver import Driver, _Tail
from mlprod_helpers.serving.lab.load import MAX_REQUESTS, NOT_ANSWERED, _table, open_loop


class LiveRollout:
    """One rollout under load. `Lab.rollout` makes it, waits for it, and gives it back.

    Attributes
    ----------
    table : DataFrame, what users got, one row a request, as `open_loop` gives it (no row before the load has ended)
    tries : DataFrame, the router's log since the rollout began, one row a try: also tries that failed and were made again
        elsewhere, and shadow copies (`served` False); can be read while the rollout runs
    history : list of `driver.Tick` (time in seconds since 1970, decision, verdict, problem), one a look
    controller : the `rollout.Controller`; `decision` is its last: weights, phase, reason
    stable, canary : str, the names
    """

    def __init__(self, plan, judge, backend, url, log, rows, *, stable, canary, every=None, **load):
        self.stable, self.canary, self.duration = stable, canary, load["duration"]
        self.controller = Controller(plan, judge, stable, canary)
        self.table = _table([])
        self._tail = _Tail(log, MAX_REQUESTS)
        self._driver = Driver(self.controller, backend, log)
        self._every, self._error = every, None
        self._stop, self._ended = threading.Event(), threading.Event()
        self._url, self._rows, self._load = url, rows, load
        self.begin = time.time()
        self._thread = threading.Thread(target=self._work, name="mlprod-rollout", daemon=True)

    # ------------------------------------------------------------------------------------- while it runs

    def start(self):
        """Begin; returns at once."""
        self.begin = time.time()
        self._thread.start()
        self._driver.start(self.duration, self._every)
        return self

    def wait(self, timeout=None):
        """Wait for the end of the load (at most `timeout` seconds). An interrupted cell, and a judge that raises, end the rollout;
        weights stay as they are."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        try:
            while self.running and time.monotonic() < end:
                if self._driver.error is not None:
                    raise self._driver.error
                self._ended.wait(
                    0.1
                )  # not join: an interrupted join takes a thread that runs for one that has ended
        except BaseException:
            self.stop()
            raise
        for error in (self._driver.error, self._error):
            if error is not None:
                raise error
        return self

    def stop(self):
        """End load and driver now; the weights stay as they are."""
        self._stop.set()
        self._driver.stop()
        self._ended.wait(15.0)

    @property
    def running(self):
        """True from the making until the load has ended."""
        return not self._ended.is_set()

    def _work(self):
        try:
            self.table = open_loop(self._url, self._rows, stop=self._stop, **self._load)
        except Exception as error:
            self._error = error
        finally:
            self._driver.stop()
            self._tail.read()  # the file goes with the lab
            self._ended.set()

    # -------------------------------------------------------------------------------------- what became of it

    @property
    def history(self):
        return self._driver.history

    @property
    def decision(self):
        return self.controller.decision

    @property
    def rolled_back(self):
        """True when the controller took the users back to the stable version."""
        return self.controller.state.phase == DEGRADED

    @property
    def promoted(self):
        """True when everybody has the canary, and nothing took it back."""
        return not self.rolled_back and self.controller.state.switched is not None

    @property
    def tries(self):
        return self._tail.read()

    @property
    def answered(self):
        """Requests by the version that answered the user: {version: n}. A request that nobody answered is in none."""
        return self._by_version(self.table["status"] != NOT_ANSWERED)

    @property
    def failed(self):
        """Answers with a 5xx, by the version that gave them to a user: {version: n}."""
        return self._by_version(self.table["status"] >= 500)

    @property
    def failed_tries(self):
        """Tries with a 5xx in the router's log, by version, also those that no user saw: {version: n}."""
        tries = self.tries
        bad = tries["version"][tries["status"] >= 500] if len(tries) else []
        return {name: int(np.sum(bad == name)) for name in (self.stable, self.canary)}

    @property
    def harmed(self):
        """Failed answers that users got from the canary beyond the stable version's rate of failures: a float, 0 or more."""
        answered, failed = self.answered, self.failed
        usual = failed[self.stable] / max(answered[self.stable], 1)
        return max(0.0, failed[self.canary] - usual * answered[self.canary])

    @property
    def first_failure(self):
        """Seconds from the start to the canary's first failed try; None: none has failed."""
        tries = self.tries
        bad = tries[(tries["version"] == self.canary) & (tries["status"] >= 500)] if len(tries) else tries
        return None if not len(bad) else max(0.0, bad["time"].min().timestamp() - self.begin)

    @property
    def rollback(self):
        """Seconds from the start to the rollback; None: there was none."""
        ticks = (tick.time for tick in self.history if tick.decision.phase == DEGRADED)
        return next((max(0.0, at - self.begin) for at in ticks), None)

    @property
    def time_to_roll_back(self):
        """Seconds from the canary's first failed try to the rollback; None where one of them is missing."""
        first, back = self.first_failure, self.rollback
        return None if first is None or back is None else max(0.0, back - first)

    def summary(self):
        """One row a version: `users` (names that it answered), `requests`, `failed`, `failed_%`, `p50_ms`, `p99_ms` (from the due
        moment), `failed_tries` (also those that no user saw)."""
        tries, rows = self.failed_tries, {}
        for name in (self.stable, self.canary):
            mine = self.table[(self.table["version"] == name) & (self.table["status"] != NOT_ANSWERED)]
            bad, waited = int((mine["status"] >= 500).sum()), mine["latency_ms"]
            rows[name] = {
                "users": mine["user_id"].nunique(),
                "requests": len(mine),
                "failed": bad,
                "failed_%": 100 * bad / len(mine) if len(mine) else np.nan,
                "p50_ms": waited.median(),
                "p99_ms": waited.quantile(0.99),
                "failed_tries": tries[name],
            }
        return pd.DataFrame(rows).T.astype(
            dict.fromkeys(("users", "requests", "failed", "failed_tries"), int)
        )

    def plot(self):
        """The canary's weight, and failed tries of both versions so far, over seconds."""
        from mlprod_helpers import plots

        fig, (above, below) = plots.figure(nrows=2, sharex=True, size=(7.4, 4.2))
        end = max([self.duration, *(tick.time - self.begin for tick in self.history)])
        weights = [(max(0.0, t.time - self.begin), t.decision.weights[self.canary]) for t in self.history]
        if weights:
            above.step(*zip(*weights, (end, weights[-1][1]), strict=True), where="post", color=plots.CURRENT)
        above.set(ylabel=f"users of {self.canary} (%)", ylim=(-4, 104))
        tries, colors = (
            self.tries,
            dict(zip((self.stable, self.canary), (plots.REFERENCE, plots.CURRENT), strict=True)),
        )
        for name, color in colors.items():
            bad = tries[(tries["version"] == name) & (tries["status"] >= 500)] if len(tries) else []
            at = np.sort([when.timestamp() - self.begin for when in bad["time"]]) if len(bad) else np.empty(0)
            below.step([0, *at, end], [*range(len(at) + 1), len(at)], where="post", color=color)
        plots.name_colors(below, colors)
        below.set(ylabel="failed tries so far", xlabel="seconds")
        below.yaxis.get_major_locator().set_params(integer=True)
        return plots.show(fig, alt=f"{self} {self.decision.reason}")

    def __str__(self):
        answered, failed = self.answered, self.failed
        how = "rolled back" if self.rolled_back else "promoted" if self.promoted else "still open"
        return (
            f"{self.canary} was {how}: {failed[self.canary]} of its {answered[self.canary]} answers had failed, "
            f"{failed[self.stable]} of {answered[self.stable]} of {self.stable}."
        )

    def __repr__(self):
        return f"LiveRollout({'runs' if self.running else str(self)[:-1]})"

    def _by_version(self, which):
        versions = self.table.loc[which, "version"]
        return {name: int((versions == name).sum()) for name in (self.stable, self.canary)}
