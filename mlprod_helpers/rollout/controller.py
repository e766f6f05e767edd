"""The controller: a state machine that turns judgments into weights. It has no clock, no log and no router of its own, so
the same controller replays a trace in a second and drives a real router for an hour.

Phases are those of Argo Rollouts: Progressing, Paused (waits for data, or at a shadow's end for an operator), Degraded
(aborted: users are back on the old version, or on their way), Healthy (done). Steps, failed checks and promotion follow
Flagger.
"""

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from mlprod_helpers.rollout.judges import FAIL, NODATA, as_judgment
from mlprod_helpers.rollout.plans import add

PROGRESSING, PAUSED, DEGRADED, HEALTHY = "Progressing", "Paused", "Degraded", "Healthy"
# what the state machine is doing: nothing yet; copies or warm-up without users; the ramp; everybody, still watched;
# waiting for the old version to come back; a shadow that has ended; nothing any more
IDLE, REHEARSAL, RAMP, WATCH = "idle", "rehearsal", "ramp", "watch"
REDEPLOY, ENDED, OVER = "redeploy", "ended", "over"

_BY_HAND = "an operator asked for it"


class Decision(NamedTuple):
    """What to do now: percent of the users by version, the phase, and why, in words."""

    weights: dict
    phase: str
    reason: str


@dataclass(frozen=True)
class State:
    """All that a controller remembers."""

    stage: str = IDLE
    phase: str = HEALTHY
    reason: str = "Not started: everybody has the old version."
    weight: float = 0  # of the canary, percent of the users
    mirror: float = 0  # copies to the canary, percent of the requests
    failed: int = 0
    verdict: str | None = None  # of the last check
    checked: float | None = None  # when that was
    now: float = -math.inf
    started: float | None = None
    since: float | None = None  # last check that had enough data: the judge's window begins here
    next_check: float | None = None
    switched: float | None = None  # when everybody got the new version
    back_at: float | None = None  # when a redeployed old version is up


class Controller:
    """Carries out a plan, one check after the other.

    Call `step(now, metrics)` as often as you like, at least once an interval: it acts when a check is due. Where a judge has
    too little data, the rollout pauses: the weight stays, nothing is counted, and it goes on when there is enough. Argo also
    limits measurements that are inconclusive or end in an error; here only failures count, and an error of the judge is raised.

    Parameters
    ----------
    plan : BigBang, Shadow, Canary or BlueGreen
    judge : `judge(metrics) -> Judgment`, or "pass", "fail", "nodata", or (outcome, reason)
    stable, canary : str, the names of the versions, used in weights and reasons

    Source: Flagger, pkg/controller/scheduler.go (`advanceCanary`); Argo Rollouts, docs/features/bluegreen.md and analysis.md.

    >>> from mlprod_helpers.rollout.plans import Canary
    >>> controller = Controller(Canary(step_weight=20, max_weight=40, threshold=2), judge=lambda metrics: metrics)
    >>> controller.step(0, None).weights
    {'stable': 80, 'canary': 20}
    >>> controller.step(60, "pass").weights
    {'stable': 60, 'canary': 40}
    >>> controller.step(120, ("nodata", "3 requests of canary, 50 needed")).reason
    'Paused at 40%: 3 requests of canary, 50 needed. Without evidence nothing passes.'
    >>> controller.step(180, "pass")
    Decision(weights={'stable': 0, 'canary': 100}, phase='Healthy', reason='Promoted: the check at 40% passed, everybody gets canary.')
    """

    def __init__(self, plan, judge, stable="stable", canary="canary"):
        if stable == canary:
            raise ValueError(f"Both versions are called {stable!r}: a rollout goes from one to another.")
        if not callable(judge):
            raise TypeError(f"{judge!r} is no judge: a judge is called with metrics and gives a verdict.")
        self.plan, self.judge, self.stable, self.canary = plan, judge, stable, canary
        self.state = State()

    # -------------------------------------------------------------------------------------- what happened

    def step(self, now, metrics=None):
        """Act on what is known at `now`, and return the `Decision` (weights, phase, reason).

        `now` is in seconds on any clock that does not run backwards. `metrics` is what the judge judges; it is only
        asked when a check is due.
        """
        state = self._at(now)
        if state.stage == IDLE:
            return self._become(self._begin(state))
        if state.stage == REDEPLOY:
            return self._become(self._restored(state) if now >= state.back_at else state)
        if state.stage in (OVER, ENDED) or now < state.next_check:
            return self._become(state)
        state = replace(state, next_check=now + self.plan.interval)
        if state.stage == REHEARSAL and not state.mirror:  # nobody, nothing to judge
            return self._become(self._advance(state, "the new version is up"))
        if state.failed >= self.plan.threshold:
            why = f"{state.failed} of {self.plan.threshold} failed checks. The last: {_last(state.reason)}"
            return self._become(self._roll_back(state, why))
        return self._become(self._check(state, metrics))

    def promote(self, now):
        """Give everybody the new version now, without further checks before it (Argo: promote --full)."""
        state = self._at(now)
        if state.stage not in (REHEARSAL, RAMP, ENDED):
            raise ValueError(f"There is nothing to promote: {state.reason}")
        return self._become(self._promote(state, _BY_HAND))

    def abort(self, now):
        """Take all users back to the old version: at once if it is still up, after a redeploy if it is gone."""
        state = self._at(now)
        if state.stage in (IDLE, REDEPLOY) or (state.stage == OVER and not state.weight):
            raise ValueError(f"There is nothing to abort: {state.reason}")
        return self._become(self._roll_back(state, _BY_HAND))

    # ------------------------------------------------------------------------------------------ what is

    @property
    def decision(self):
        """The last decision again."""
        weight = self.state.weight
        weights = {self.stable: add(100, -weight), self.canary: weight}
        return Decision(weights, self.state.phase, self.state.reason)

    @property
    def next_event(self):
        """The moment (seconds) at which `step` has something to do, or the old version goes; None when nothing will come."""
        state, times = self.state, []
        if state.stage in (REHEARSAL, RAMP, WATCH):
            times.append(state.next_check)
        if state.stage == REDEPLOY:
            times.append(state.back_at)
        elif state.switched is not None and state.now < state.switched + self.plan.keep_old:
            times.append(state.switched + self.plan.keep_old)
        return min(times, default=None)

    @property
    def over(self):
        """True when no further step will change anything by itself."""
        return self.state.stage in (OVER, ENDED)

    @property
    def capacity(self):
        """How large a fleet each version needs now, as shares of a full one: {version: share}."""
        state = self.state
        if state.stage == REDEPLOY:
            return {self.stable: 1.0, self.canary: 1.0}
        if state.switched is not None:
            return {self.stable: 1.0 if self._old_is_up(state) else 0.0, self.canary: 1.0}
        if state.stage in (IDLE, OVER, ENDED):
            return {self.stable: 1.0, self.canary: 0.0}
        warm = state.stage == REHEARSAL and self.plan.strategy == "blue_green"
        return {self.stable: 1.0, self.canary: 1.0 if warm else max(state.weight, state.mirror) / 100}

    # ------------------------------------------------------------------------------- the state machine

    def _at(self, now):
        if not self.state.now <= now < math.inf:
            raise ValueError(f"now is {now}, after {self.state.now}: time does not run backwards.")
        return replace(self.state, now=now)

    def _become(self, state):
        self.state = state
        return self.decision

    def _begin(self, state):
        now, plan = state.now, self.plan
        state = replace(state, phase=PROGRESSING, started=now, since=now, next_check=now + plan.interval)
        if plan.rehearsal:
            checks = now + (min(plan.interval, plan.rehearsal) if plan.mirror else plan.rehearsal)
            what = (
                f"{plan.mirror:g}% of the requests are copied to it" if plan.mirror else "nobody uses it yet"
            )
            return replace(
                state,
                stage=REHEARSAL,
                mirror=plan.mirror,
                next_check=checks,
                reason=f"Started: {self.canary} is up, {what}.",
            )
        weight = plan.next_weight(0)
        if weight is None:
            return self._promote(state, "the plan has no steps")
        return replace(
            state, stage=RAMP, weight=weight, reason=f"Started: {weight:g}% of the users get {self.canary}."
        )

    def _check(self, state, metrics):
        view = metrics
        if hasattr(metrics, "at"):
            view = metrics.at(state.now, since=state.since, start=state.started)
        judgment = as_judgment(self.judge(view))
        state = replace(state, verdict=judgment.outcome, checked=state.now)
        if judgment.outcome == NODATA:
            why = judgment.reason or "the judge has too little data"
            reason = f"Paused at {_at(state)}: {why}. Without evidence nothing passes."
            return replace(state, phase=PAUSED, reason=reason)
        state = replace(state, since=state.now)
        if judgment.outcome == FAIL:
            why = judgment.reason or "the judge gave no reason"
            state = replace(state, failed=state.failed + 1, phase=PROGRESSING)
            if judgment.critical:
                return self._roll_back(state, why)
            count = f"{state.failed} of {self.plan.threshold}"
            return replace(state, reason=f"Halted at {_at(state)}: check failed ({count}): {why}.")
        return self._advance(state, judgment.reason)

    def _advance(self, state, why):
        """After a passed check."""
        now, plan = state.now, self.plan
        why = f" ({why})" if why else ""
        state = replace(state, phase=PROGRESSING)
        if state.stage == REHEARSAL:
            end = state.started + plan.rehearsal
            if now < end:
                soon = min(state.next_check, end)
                return replace(state, next_check=soon, reason=f"Check passed{why}: the rehearsal goes on.")
            if plan.strategy == "shadow":
                reason = f"The shadow has ended without a rollback{why}: users still have {self.stable}. Promote or abort."
                return replace(state, stage=ENDED, mirror=0, phase=PAUSED, reason=reason)
            return self._promote(state, f"the rehearsal is over{why}")
        if state.stage == WATCH:
            if now >= state.switched + plan.watch:
                return replace(
                    state, stage=OVER, phase=HEALTHY, reason=f"Done: {self.canary} has passed its watch{why}."
                )
            return replace(
                state, reason=f"Check passed{why}: everybody has {self.canary}, the watch goes on."
            )
        following = plan.next_weight(state.weight)
        if following is None:
            return self._promote(state, f"the check at {state.weight:g}% passed{why}")
        return replace(
            state,
            weight=following,
            reason=f"Check passed{why}: {following:g}% of the users get {self.canary}.",
        )

    def _promote(self, state, why):
        watched = self.plan.watch > 0
        return replace(
            state,
            stage=WATCH if watched else OVER,
            phase=PROGRESSING if watched else HEALTHY,
            weight=100,
            mirror=0,
            failed=0,
            since=state.now,
            switched=state.now,
            next_check=state.now + self.plan.interval,
            reason=f"Promoted: {why}, everybody gets {self.canary}.",
        )

    def _roll_back(self, state, why):
        state = replace(state, phase=DEGRADED, mirror=0)
        if self._old_is_up(state):
            reason = f"Rolled back to {self.stable} at once: {why}."
            return replace(state, stage=OVER, weight=0, switched=None, reason=reason)
        minutes = self.plan.redeploy / 60
        reason = f"Rolling back: {why}. {self.stable} is gone, its redeploy takes {minutes:g} min."
        return replace(state, stage=REDEPLOY, back_at=state.now + self.plan.redeploy, reason=reason)

    def _restored(self, state):
        reason = f"Rolled back: {self.stable} is up again after a redeploy. {_last(state.reason)}."
        return replace(state, stage=OVER, weight=0, switched=None, reason=reason)

    def _old_is_up(self, state):
        return state.switched is None or state.now < state.switched + self.plan.keep_old


def _at(state):
    if state.stage == REHEARSAL:
        return f"{state.mirror:g}% copies" if state.mirror else "0%"
    return f"{state.weight:g}%"


def _last(reason):
    """What failed, out of the reason of a halt."""
    return reason.split("): ", 1)[-1].removesuffix(".")
