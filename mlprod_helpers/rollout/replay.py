"""The same requests, the same luck, another plan: what would each rollout have cost?

Every version's answer to every request is drawn before any plan runs. A plan decides who meets which answer, never what the
answer is. So two plans differ by their decisions alone, and the harm of a version is exact: the requests that went wrong
with it and would not have with the old one.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from mlprod_helpers.names import nearest_name
from mlprod_helpers.requestlog import as_log, features
from mlprod_helpers.rollout.controller import DEGRADED, OVER, Controller
from mlprod_helpers.rollout.judges import FAIL
from mlprod_helpers.rollout.metrics import Metrics, Rows
from mlprod_helpers.rollout.plans import Plan
from mlprod_helpers.rollout.routing import bucket
from mlprod_helpers.rollout.sequential import user_codes
from mlprod_helpers.rollout.versions import luck, outcomes

_SERVERS = 10  # of a full fleet
_ACTIONS = ("promote", "abort")


def replay(trace, versions, plan, judge, random_state=None, *, slow_ms=np.inf, operator=None):
    """Run one rollout over a trace of requests. A full fleet has 10 servers, and fleets are rounded up to whole servers.

    Parameters
    ----------
    trace : DataFrame of n requests, what `traffic` makes. The rollout starts with the first request.
    versions : (stable, canary), two `Version`
    plan : BigBang, Shadow, Canary or BlueGreen
    judge : see `Controller`
    random_state : int, Generator or None. The luck of each request; equal for all plans of the same seed.
    slow_ms : float. A latency above it is as bad for a user as a failed request (status 500 and above).
    operator : dict or None, seconds -> "promote" or "abort": what somebody does by hand

    >>> from mlprod_helpers.queueing import poisson
    >>> from mlprod_helpers.rollout import Behavior, BigBang, Canary, ThresholdJudge, Version, traffic
    >>> trace = traffic(poisson(20, duration=3600, random_state=0), users=2000, random_state=0)
    >>> versions = Version("v1"), Version("v2", Behavior(error_rate=0.08))
    >>> judge = ThresholdJudge({"error_rate": (None, 0.02)}, min_requests=30)
    >>> replay(trace, versions, Canary(step_weight=5, max_weight=50), judge, random_state=0)
    RolloutResult(Canary: Degraded, 18 users harmed, detected after 0.5 min, rolled back after 5.5 min)
    """
    return _World(trace, versions, random_state, slow_ms).run(plan, judge, operator)


def compare(trace, versions, plans, judge, random_state=None):
    """Several plans (a dict of name to plan) over the same requests and the same luck: `.table`, `.results`, `.plot()`.

    The rest is as for `replay`.
    """
    world = _World(trace, versions, random_state, np.inf)
    return Comparison({name: world.run(plan, judge, None) for name, plan in plans.items()})


class _World:
    """A trace with every version's answer to every request: what is the same for all plans."""

    def __init__(self, trace, versions, random_state, slow_ms):
        self.trace = trace
        self.stable, self.canary = versions
        seconds = (self.trace["time"] - self.trace["time"].iloc[0]) / pd.Timedelta(seconds=1)
        self.seconds = seconds.to_numpy(dtype=float)
        self.chance = luck(len(self.trace), np.random.default_rng(random_state))
        self.place = bucket(self.trace["user_id"])
        self.user = user_codes(self.trace["user_id"])
        known = {"time": self.seconds, "user_id": self.user}
        self.answers, self.rows, bad = {}, {}, {}
        for role, version in (("stable", self.stable), ("canary", self.canary)):
            answer = outcomes(version, self.trace, self.seconds, self.chance)
            bad[role] = (answer["status"] >= 500) | (answer["latency_ms"] > slow_ms)
            self.answers[role], self.rows[role] = answer, Rows(known | answer, trace[features(trace)], None)
        self.worse, self.better = bad["canary"] & ~bad["stable"], bad["stable"] & ~bad["canary"]

    def run(self, plan, judge, operator):
        if not isinstance(plan, Plan):
            raise TypeError(f"A plan is BigBang, Shadow, Canary or BlueGreen, not {plan!r}.")
        hands = _operator(operator)
        n, end = len(self.seconds), float(self.seconds[-1])
        by_canary, copied, by_stable = (np.zeros(n, dtype=bool) for _ in range(3))
        taken = np.zeros(n, dtype=bool)
        answered = self.rows["stable"].answered(by_stable), self.rows["canary"].answered(taken)
        metrics = Metrics(*answered, (self.stable.name, self.canary.name))
        controller = Controller(plan, judge, self.stable.name, self.canary.name)
        now, first, steps = 0.0, 0, []
        while True:
            decision = controller.step(now, metrics)
            verdict = controller.state.verdict if controller.state.checked == now else None
            for action in hands.pop(now, ()):
                decision = getattr(controller, action)(now)
            state = controller.state
            steps.append((now, state, verdict, decision.reason, controller.capacity))
            times = [time for time in (controller.next_event, *hands) if time is not None]
            following = min(times, default=np.inf)
            last = n if following > end else int(np.searchsorted(self.seconds, following))
            part = slice(first, last)
            by_canary[part] = self.place[part] < state.weight / 100
            by_stable[part] = ~by_canary[part]
            copied[part] = (self.chance["copy"][part] < state.mirror / 100) & by_stable[part]
            taken[part] = by_canary[part] | copied[part]
            if last == n:
                return RolloutResult(plan, steps, end, self, by_canary, copied)
            now, first = following, last


@dataclass(frozen=True, repr=False, eq=False)
class RolloutResult:
    """What a rollout did and cost. Times are seconds since its start; NaN where something never happened.

    A request is harmed when it went wrong and the old version would have done it right; a user is harmed by one such
    request. Helped is the other way round. Shadow copies harm nobody.
    """

    plan: Plan
    _steps: list
    end: float
    _world: _World = field(repr=False)
    _by_canary: np.ndarray = field(repr=False)
    _copied: np.ndarray = field(repr=False)

    @property
    def phase(self):
        """Progressing, Paused, Degraded or Healthy at the end of the trace."""
        return self._steps[-1][1].phase

    @property
    def reason(self):
        """Why it ended as it did, in words."""
        return self._steps[-1][3]

    @cached_property
    def timeline(self):
        """Each decision: DataFrame with index `seconds`; columns `weight` (percent), `phase`, `failed` (checks so far),
        `verdict` of the check made now (missing when there was none), `reason`."""
        rows = [
            {
                "seconds": now,
                "weight": float(state.weight),
                "phase": state.phase,
                "failed": state.failed,
                "verdict": verdict,
                "reason": reason,
            }
            for now, state, verdict, reason, _ in self._steps
        ]
        return pd.DataFrame(rows).set_index("seconds")

    @cached_property
    def log(self):
        """The request log of the rollout, with shadow copies; valid by `requestlog.validate`."""
        served = self._frame("stable", ~self._by_canary, True), self._frame("canary", self._by_canary, True)
        frames = [*served, self._frame("canary", self._copied, False)]
        log = pd.concat([frame for frame in frames if len(frame)], ignore_index=True)
        return as_log(log.iloc[np.argsort(log["time"], kind="stable")])

    def _frame(self, role, rows, served):
        """The rows of the log that one version answered."""
        world = self._world
        answer = {name: values[rows] for name, values in world.answers[role].items()}
        version = world.stable.name if role == "stable" else world.canary.name
        return world.trace[rows].assign(version=version, served=served, **answer)

    @cached_property
    def _harmed(self):
        return self._by_canary & self._world.worse

    @property
    def requests_harmed(self):
        """Requests that went wrong and would have gone well with the old version."""
        return int(self._harmed.sum())

    @property
    def users_harmed(self):
        """Different users with at least one harmed request."""
        return len(np.unique(self._world.user[self._harmed]))

    @property
    def requests_helped(self):
        """Requests that went well and would have gone wrong with the old version: what waiting costs."""
        return int((self._by_canary & self._world.better).sum())

    @property
    def final_weight(self):
        """Percent of the users that have the new version in the end."""
        return float(self._steps[-1][1].weight)

    @property
    def gain(self):
        """Requests that would go better, less those that would go worse, if everybody had the new version all the time."""
        return int(self._world.better.sum()) - int(self._world.worse.sum())

    @property
    def requests_exposed(self):
        """Requests that users sent to the new version."""
        return int(self._by_canary.sum())

    @property
    def started_to_hurt(self):
        """Seconds until the new version first did worse, to a user or to a shadow copy."""
        hurt = (self._by_canary | self._copied) & self._world.worse
        return float(self._world.seconds[hurt.argmax()]) if hurt.any() else np.nan

    @property
    def time_to_detect(self):
        """Seconds from the first harm, or harmed copy, to the first failed check after it."""
        begin = self.started_to_hurt
        return next(
            (now - begin for now, _, verdict, *_ in self._steps if verdict == FAIL and now >= begin), np.nan
        )

    @property
    def time_to_roll_back(self):
        """Seconds from the first harm, or harmed copy, until nobody, and no copy, goes to the new version any more."""
        begin = self.started_to_hurt
        back = (
            now - begin
            for now, state, *_ in self._steps
            if state.phase == DEGRADED and state.stage == OVER and now >= begin
        )
        return next(back, np.nan)

    @property
    def time_to_promote(self):
        """Seconds from the start until everybody had the new version."""
        return next((now for now, state, *_ in self._steps if state.weight == 100), np.nan)

    @property
    def rolled_back(self):
        """True when users went, or are going, back to the old version, or the shadow was ended by failed checks."""
        return self.phase == DEGRADED

    @property
    def server_hours(self):
        """Infrastructure: hours of servers that both fleets took until the end of the trace."""
        times = [*(now for now, *_ in self._steps), self.end]
        fleets = [self._fleet(capacity) for *_, capacity in self._steps]
        return float(np.dot(np.diff(times).clip(min=0), fleets) / 3600)

    @property
    def extra_server_hours(self):
        """Of these, what one fleet without a rollout would not have taken."""
        return self.server_hours - _SERVERS * self.end / 3600

    def _fleet(self, capacity):
        return int(sum(np.ceil(share * _SERVERS - 1e-9) for share in capacity.values()))

    def over_time(self, window=60.0):
        """The rollout in windows of `window` seconds.

        Returns
        -------
        DataFrame : index `seconds` (begin of the window); columns `weight` (percent of the users, at its end), `stable_bad`,
            `canary_bad` (failed share of the requests that each answered, copies included; missing without requests),
            `users_harmed` and `requests_harmed` (so far)
        """
        if not window > 0:
            raise ValueError(f"window is {window}, but it is a number of seconds above 0.")
        world = self._world
        which = (world.seconds // window).astype(int)
        count = which[-1] + 1
        table = pd.DataFrame(index=pd.Index(np.arange(count) * window, name="seconds"))
        weights = self.timeline["weight"].groupby(level=0).last()
        at = np.searchsorted(weights.index, table.index + window, side="left") - 1
        table["weight"] = weights.to_numpy()[at]
        for role, mine in (("stable", ~self._by_canary), ("canary", self._by_canary | self._copied)):
            asked = np.bincount(which[mine], minlength=count)
            failed = np.bincount(which[mine & (world.answers[role]["status"] >= 500)], minlength=count)
            table[f"{role}_bad"] = np.where(asked > 0, failed / np.maximum(asked, 1), np.nan)
        harmed = np.flatnonzero(self._harmed)
        first = harmed[np.unique(world.user[harmed], return_index=True)[1]]
        for name, rows in (("users_harmed", first), ("requests_harmed", harmed)):
            table[name] = np.bincount(which[rows], minlength=count).cumsum()
        return table

    def plot(self, window=60.0):
        """Weight, failed requests of both versions, and harm, over time."""
        from mlprod_helpers import plots

        table = self.over_time(window)
        title = f"{type(self.plan).__name__}: {self.phase}, {self.users_harmed} users harmed"
        fig, (top, middle, bottom) = plots.figure(nrows=3, sharex=True, size=(7.4, 5.6), title=title)
        self._draw(top, bottom, table, window, plots.CURRENT, plots.RED)
        names = (self._world.stable.name, self._world.canary.name)
        colors = dict(zip(names, (plots.REFERENCE, plots.CURRENT), strict=True))
        for name, role in zip(names, ("stable", "canary"), strict=True):
            middle.plot((table.index + window / 2) / 60, 100 * table[f"{role}_bad"], color=colors[name])
        plots.name_colors(middle, colors)
        middle.set_ylabel("failed (%)")
        middle.set_ylim(bottom=0)
        highest = table["weight"].max()
        return plots.show(
            fig,
            alt=f"{self} The new version had at most {highest:g}% of the users. How it ended: {self.reason}",
        )

    def _draw(self, above, below, table, window, color, color_of_harm):
        """Weight and harm as steps over minutes."""
        weights = self.timeline["weight"]
        minutes = np.append(weights.index, self.end) / 60
        above.step(minutes, np.append(weights, weights.iloc[-1]), where="post", color=color)
        above.set_ylim(-4, 104)
        above.set_ylabel("new version (%)")
        harmed = np.append(0, table["users_harmed"])  # counted at the end of each window
        below.plot(np.append(0, table.index + window).clip(max=self.end) / 60, harmed, color=color_of_harm)
        below.set_ylim(0, max(1, below.get_ylim()[1]))
        below.set_ylabel("users harmed")
        below.set_xlabel("minutes since the start of the rollout")

    def __str__(self):
        parts = [f"{type(self.plan).__name__}: {self.phase}", f"{self.users_harmed} users harmed"]
        for word, seconds in (
            ("detected after", self.time_to_detect),
            ("rolled back after", self.time_to_roll_back),
            ("promoted after", self.time_to_promote),
        ):
            if not np.isnan(seconds):
                parts.append(f"{word} {seconds / 60:.1f} min")
        return ", ".join(parts) + "."

    def __repr__(self):
        return f"RolloutResult({str(self)[:-1]})"


@dataclass(frozen=True, repr=False, eq=False)
class Comparison:
    """Several rollouts of the same version over the same requests: `results` is name -> RolloutResult."""

    results: dict

    @cached_property
    def table(self):
        """One row a plan: `phase`, `users_harmed`, `requests_harmed`, `requests_helped`, minutes to `detect`, `roll_back` and
        `promote` (missing where it never happened), `extra_server_hours`."""
        rows = {
            name: {
                "phase": result.phase,
                "users_harmed": result.users_harmed,
                "requests_harmed": result.requests_harmed,
                "requests_helped": result.requests_helped,
                "detect": result.time_to_detect / 60,
                "roll_back": result.time_to_roll_back / 60,
                "promote": result.time_to_promote / 60,
                "extra_server_hours": result.extra_server_hours,
            }
            for name, result in self.results.items()
        }
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("plan")

    def plot(self, window=60.0):
        """Draw the share of users with the new version and the users harmed over time, one line a plan, until all is decided."""
        from mlprod_helpers import plots

        fig, (above, below) = plots.figure(nrows=2, sharex=True, size=(7.4, 5.2))
        colors = dict(zip(self.results, np.resize(plots.COLORS, len(self.results)), strict=True))
        ends = []
        for name, result in self.results.items():
            color, table = str(colors[name]), result.over_time(window)
            result._draw(above, below, table, window, color, color)
            still = table.index[table["users_harmed"] < result.users_harmed]  # harm is still growing
            ends += [result.timeline.index[-1], *still[-1:]]
        decided = min(1.35 * max(ends), max(result.end for result in self.results.values())) / 60
        harmed = {name: result.users_harmed for name, result in self.results.items()}
        below.set_yscale("symlog", linthresh=10)  # 20 and 700 in one picture
        ticks = [0, *(10**k for k in range(1, 6) if 10**k < 2 * max(harmed.values()))]
        below.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
        below.set(xlim=(0, decided), ylim=(-0.8, 3 * max(10, *harmed.values())))
        for name, count in harmed.items():
            at = (0.99 * decided, count)
            ink = plots.ink(str(colors[name]))
            below.annotate(f"{name} {count:,}", at, (0, 3), textcoords="offset points", color=ink, ha="right")
        most, least = max(harmed, key=harmed.get), min(harmed, key=harmed.get)
        above.set_title(
            f"{most[:1].upper()}{most[1:]} harms {harmed[most]:,} users, {least} {harmed[least]:,}"
        )
        plots.name_colors(above, {name: str(color) for name, color in colors.items()})
        return plots.show(
            fig,
            alt=f"The same requests under {len(self.results)} plans. Users harmed in the end: "
            f"{', '.join(f'{name} {count}' for name, count in harmed.items())}.",
        )

    def __repr__(self):
        return f"Comparison({', '.join(f'{name}: {r.users_harmed} users harmed' for name, r in self.results.items())})"


def _operator(operator):
    """seconds -> actions, checked."""
    hands = {}
    for time, action in (operator or {}).items():
        if action not in _ACTIONS:
            raise ValueError(f"An operator cannot {action!r}: {nearest_name(action, _ACTIONS)}.")
        if not time >= 0:
            raise ValueError(f"An operator acts after the start, not at {time} seconds.")
        hands.setdefault(float(time), []).append(action)
    return hands
