"""A rollout of real services: `rollout`'s controller and judge, unchanged, move the router's weights while users come and go."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait

import pandas as pd

from mlprod_helpers.rollout import Controller
from mlprod_helpers.rollout.controller import DEGRADED
from mlprod_helpers.serving.lab.driver import Driver, LogTail
from mlprod_helpers.serving.lab.load import NOT_ANSWERED, open_loop

LAG_S = 0.05  # answers that are just being written are left to the next check: each is judged once


def run_rollout(lab, plan, judge, rows, *, duration, **load):
    """Drive a rollout from a lab's stable version to its canary while an open loop of users runs; returns the `LiveRollout`.

    An interrupted cell, and a judge that raises, end the load; the weights stay as they are. Parameters: see `Lab.rollout`.
    """
    log, controller = lab.folder / "log-router.jsonl", Controller(plan, judge, lab.stable, lab.canary)
    driver, tries = Driver(controller, lab, log), LogTail(log)
    begin, over = time.time(), threading.Event()
    with ThreadPoolExecutor(1, "mlprod-rollout") as pool:
        users = pool.submit(open_loop, lab.url, rows, duration=duration, stop=over, **load)
        try:
            while not users.done():
                driver.tick(time.time() - LAG_S)
                wait([users], timeout=min(0.5, plan.interval / 10))
        finally:
            over.set()
    return LiveRollout(controller, driver.history, begin, duration, users.result(), tries.read())


class LiveRollout:
    """What a rollout under load led to. `Lab.rollout` returns it.

    Attributes
    ----------
    table : DataFrame, what users got, one row a request, as `open_loop` gives it
    tries : DataFrame, the router's log since the rollout began, one row a try: also tries that failed and were made again
        elsewhere, and shadow copies (`served` False)
    history : list of (seconds since 1970, decision), one a look
    decision : the controller's last one: weights, phase, reason
    stable, canary : str, the names
    """

    def __init__(self, controller, history, begin, duration, table, tries):
        self.stable, self.canary = controller.stable, controller.canary
        self.history, self.decision = history, controller.decision
        self.begin, self.duration, self.table, self.tries = begin, duration, table, tries
        self._is_switched = controller.state.switched is not None

    @property
    def rolled_back(self):
        """True when the controller took the users back to the stable version."""
        return self.decision.phase == DEGRADED

    @property
    def promoted(self):
        """True when everybody has the canary, and nothing took it back."""
        return self._is_switched and not self.rolled_back

    @property
    def answered(self):
        """Requests by the version that answered the user: {version: n}. A request that nobody answered is in none."""
        return self.summary()["requests"].to_dict()

    @property
    def failed(self):
        """Answers with a 5xx, by the version that gave them to a user: {version: n}."""
        return self.summary()["failed"].to_dict()

    @property
    def failed_tries(self):
        """Tries with a 5xx in the router's log, by version, also those that no user saw: {version: n}."""
        return self.summary()["failed_tries"].to_dict()

    @property
    def harmed(self):
        """Failed answers that users got from the canary beyond the stable version's rate of failures: a float, 0 or more."""
        answered, failed = self.answered, self.failed
        usual = failed[self.stable] / max(answered[self.stable], 1)
        return max(0.0, failed[self.canary] - usual * answered[self.canary])

    @property
    def rollback(self):
        """Seconds from the start to the rollback; None: there was none."""
        back = (at for at, decision in self.history if decision.phase == DEGRADED)
        return next((max(0.0, at - self.begin) for at in back), None)

    @property
    def time_to_roll_back(self):
        """Seconds from the canary's first failed try to the rollback; None where one of them is missing."""
        first, back = min(self._failed_at(self.canary), default=None), self.rollback
        return None if first is None or back is None else max(0.0, back - first)

    def summary(self):
        """One row a version: `users` (names that it answered), `requests`, `failed`, `failed_%`, `p50_ms`, `p99_ms` (from the due
        moment), `failed_tries` (also those that no user saw)."""
        rows = {}
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
                "failed_tries": len(self._failed_at(name)),
            }
        counts = dict.fromkeys(("users", "requests", "failed", "failed_tries"), int)
        return pd.DataFrame(rows).T.astype(counts)

    def plot(self):
        """The canary's weight, and failed tries of both versions so far, over seconds."""
        from mlprod_helpers import plots

        fig, (above, below) = plots.figure(nrows=2, sharex=True, size=(7.4, 4.4), title=self._how())
        end = max([self.duration, *(at - self.begin for at, _ in self.history)])
        weights = [(max(0.0, at - self.begin), one.weights[self.canary]) for at, one in self.history]
        if weights:
            above.step(*zip(*weights, (end, weights[-1][1]), strict=True), where="post", color=plots.CURRENT)
        above.set(ylabel=f"users of {self.canary} (%)", ylim=(-4, 104))
        colors = {self.stable: plots.REFERENCE, self.canary: plots.CURRENT}
        for name, color in colors.items():
            at = sorted(self._failed_at(name))
            below.step([0, *at, end], [*range(len(at) + 1), len(at)], where="post", color=color)
        plots.name_colors(below, colors)
        below.set(ylabel="failed tries so far", xlabel="time (s)")
        below.yaxis.get_major_locator().set_params(integer=True)
        return plots.show(fig, alt=f"{self} {self.decision.reason}")

    def __repr__(self):
        answered, failed = self.answered, self.failed
        return (
            f"{self._how()}: {failed[self.canary]:,} of its {answered[self.canary]:,} answers had failed, "
            f"{failed[self.stable]:,} of {answered[self.stable]:,} of {self.stable}."
        )

    def _how(self):
        how = "rolled back" if self.rolled_back else "promoted" if self.promoted else "still open"
        return f"{self.canary} was {how}"

    def _failed_at(self, version):
        """Seconds from the start to each failed try of a version."""
        tries = self.tries
        failed = tries[(tries["version"] == version) & (tries["status"] >= 500)] if len(tries) else tries
        return [max(0.0, time.timestamp() - self.begin) for time in failed["time"]]
