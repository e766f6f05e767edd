"""A rollout of real services: `rollout`'s controller and judge, unchanged, move the router's weights while users come and go."""

import threading
import time
from concurrent.futures import wait

import pandas as pd

from mlprod_helpers.rollout import Controller
from mlprod_helpers.rollout.controller import DEGRADED
from mlprod_helpers.serving.lab.driver import Driver, LogTail
from mlprod_helpers.serving.lab.load import MAX_REQUESTS, NOT_ANSWERED, load_table, open_loop
from mlprod_helpers.serving.lab.threads import in_thread


class LiveRollout:
    """One rollout under load. `Lab.rollout` makes it, waits for it, and returns it.

    Attributes
    ----------
    table : DataFrame, what users got, one row a request, as `open_loop` gives it (no row before the load has ended)
    tries : DataFrame, the router's log since the rollout began, one row a try: also tries that failed and were made again
        elsewhere, and shadow copies (`served` False); can be read while the rollout runs
    history : list of `driver.Tick` (time in seconds since 1970, decision, verdict, problem), one a look
    controller : the `rollout.Controller`; `decision` is its last: weights, phase, reason
    stable, canary : str, the names
    """

    def __init__(self, plan, judge, backend, url, log, rows, *, stable, canary, duration, every=None, **load):
        self.stable, self.canary, self.duration = stable, canary, duration
        self.controller = Controller(plan, judge, stable, canary)
        self.table = load_table([])
        self._tail = LogTail(log, MAX_REQUESTS)
        self._driver = Driver(self.controller, backend, log)
        self._stop = threading.Event()
        self.begin = time.time()

        def send():
            try:
                self.table = open_loop(url, rows, duration=duration, stop=self._stop, **load)
            finally:
                self._driver.stop()
                self._tail.read()  # the file goes with the lab

        self._load = in_thread("mlprod-rollout", send)
        self._driving = in_thread("mlprod-driver", lambda: self._driver.run(duration, every))

    # ------------------------------------------------------------------------------------- while it runs

    def wait(self):
        """Wait for the end of the load. An interrupted cell, and a judge that raises, end the rollout; weights stay as they are."""
        try:
            while self.running:
                wait([self._load], timeout=0.1)
                if self._driving.done():
                    self._driving.result()
            self._driving.result(10.0)
        except BaseException:
            self.stop()
            raise
        self._load.result()
        return self

    def stop(self):
        """End load and driver now; the weights stay as they are."""
        self.stop_soon()
        wait([self._load, self._driving], timeout=15.0)

    def stop_soon(self):
        """The same without waiting."""
        self._stop.set()
        self._driver.stop()

    @property
    def running(self):
        """Has the load not ended yet?"""
        return not self._load.done()

    # -------------------------------------------------------------------------------------- what it led to

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
        return {name: len(self._failed_at(name)) for name in (self.stable, self.canary)}

    @property
    def harmed(self):
        """Failed answers that users got from the canary beyond the stable version's rate of failures: a float, 0 or more."""
        answered, failed = self.answered, self.failed
        usual = failed[self.stable] / max(answered[self.stable], 1)
        return max(0.0, failed[self.canary] - usual * answered[self.canary])

    @property
    def first_failure(self):
        """Seconds from the start to the canary's first failed try; None: none has failed."""
        return min(self._failed_at(self.canary), default=None)

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
        failed_tries, rows = self.failed_tries, {}
        for name in (self.stable, self.canary):
            answered = self.table[(self.table["version"] == name) & (self.table["status"] != NOT_ANSWERED)]
            has_failed = answered["status"] >= 500
            rows[name] = {
                "users": answered["user_id"].nunique(),
                "requests": len(answered),
                "failed": has_failed.sum(),
                "failed_%": 100 * has_failed.mean(),
                "p50_ms": answered["latency_ms"].median(),
                "p99_ms": answered["latency_ms"].quantile(0.99),
                "failed_tries": failed_tries[name],
            }
        counts = dict.fromkeys(("users", "requests", "failed", "failed_tries"), int)
        return pd.DataFrame(rows).T.astype(counts)

    def plot(self):
        """The canary's weight, and failed tries of both versions so far, over seconds."""
        from mlprod_helpers import plots

        fig, (above, below) = plots.figure(nrows=2, sharex=True, size=(7.4, 4.2))
        end = max([self.duration, *(tick.time - self.begin for tick in self.history)])
        weights = [(max(0.0, t.time - self.begin), t.decision.weights[self.canary]) for t in self.history]
        if weights:
            above.step(*zip(*weights, (end, weights[-1][1]), strict=True), where="post", color=plots.CURRENT)
        above.set(ylabel=f"users of {self.canary} (%)", ylim=(-4, 104))
        colors = {self.stable: plots.REFERENCE, self.canary: plots.CURRENT}
        for name, color in colors.items():
            at = sorted(self._failed_at(name))
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

    def _failed_at(self, version):
        """Seconds from the start to each failed try of a version."""
        tries = self.tries
        failed = tries[(tries["version"] == version) & (tries["status"] >= 500)] if len(tries) else tries
        return [max(0.0, time.timestamp() - self.begin) for time in failed["time"]]

    def _by_version(self, which):
        versions = self.table.loc[which, "version"]
        return {name: int((versions == name).sum()) for name in (self.stable, self.canary)}
