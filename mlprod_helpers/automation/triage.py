"""The same cases, the same luck, another degree of automation: who decides, how late, how often wrong, at what cost?

Every case brings its luck along: how long a person would take, whether they would be right alone, whether they would follow
a suggestion. A policy decides who looks at what, never how it turns out; so two policies differ by their decisions alone.
"""

import heapq
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from mlprod_helpers.automation.cases import as_cases
from mlprod_helpers.automation.degrees import Degree
from mlprod_helpers.automation.reviewers import MEMORY, Costs, Reviewers
from mlprod_helpers.queueing import mean_level, simulate
from mlprod_helpers.queueing.laws import as_law

HOUR = 3600.0


def simulate_triage(cases, policy, reviewers=None, costs=None, random_state=None, *, tick=HOUR, signals=()):
    """Send cases to a model or to people, and count what it costs.

    The model's answer takes no time. Audited cases keep the model's decision; the person judges them blind, in the
    same queue. A policy that is a function observes a dict: `hour` (hours since second 0), `cases` and `automated`
    (arrived in the last tick, decided by the model among them), `backlog` (waiting now), `audits` and
    `disagreements` (audits finished in the last tick, those in which the person did not agree with the model), and
    the signals (None without a case). It holds nothing that was not known by then.

    Parameters
    ----------
    cases : DataFrame with `seconds` (arrival, sorted), `confidence` (0 to 1), `model_right`
    policy : a degree (`HumanOnly()`, `Shadow()`, `Assistance()`, `Partial(0.9)`, `Full()`), or a function
        `(observation, memory) -> (degree, memory)` that is asked once a tick; `memory` is None at first
    reviewers : Reviewers
    costs : Costs
    random_state : int, Generator or None. Equal seeds: each case has the same luck with every policy and every number
        of reviewers.
    tick : float, seconds between two questions to a policy that is a function
    signals : names of columns whose mean over the last tick the policy observes, such as "brightness"

    >>> from mlprod_helpers.automation import Costs, Partial, Reviewers, uniform_cases
    >>> cases = uniform_cases(1 / 60, duration=200_000, random_state=0)
    >>> simulate_triage(cases, Partial(0.9), Reviewers(2), Costs(error=20, review=1), random_state=0)
    TriageResult(3,356 cases: 20% automated, 4.9% wrong, reviewers 40% busy, 0.203 waiting on average, cost 1.785 a case)
    """
    world = _World(as_cases(cases), reviewers or Reviewers(), costs or Costs(), random_state)
    if isinstance(policy, Degree):
        return world.run(policy)
    if not callable(policy):
        raise TypeError(
            f"policy is {policy!r}, but it is a degree such as Partial(0.9), or a function (observation, memory) -> (degree, memory)."
        )
    return world.run_by_ticks(policy, tick, signals)


class _World:
    """Cases with their luck: what is the same for all policies."""

    def __init__(self, cases, reviewers, costs, random_state):
        self.cases, self.reviewers, self.costs = cases, reviewers, costs
        rng = np.random.default_rng(random_state)
        n = len(cases)
        self.seconds = cases["seconds"].to_numpy(dtype=float)
        self.confidence = cases["confidence"].to_numpy(dtype=float)
        self.model_right = cases["model_right"].to_numpy(dtype=bool)
        self.alone, self.follow, self.audit = rng.random((3, n))
        self.service = as_law(reviewers.service).sample(n, rng)

    def routes(self, degree, part=slice(None)):
        """For a part of the cases: which are automated, which audited, where a suggestion is shown."""
        automated = np.asarray(degree.automates(self.confidence[part]), dtype=bool)
        audited = automated & (self.audit[part] < degree.audit_share)
        return automated, audited, ~automated & degree.assisted

    def person_right(self, rows, shown, busy):
        """Whether the people who look at these cases are right, given how busy they were before."""
        own = self.alone[rows] >= self.reviewers.error + self.reviewers.fatigue * busy
        model = self.model_right[rows]
        follow = np.where(model, self.reviewers.follow_right, self.reviewers.follow_wrong)
        led = shown & (own != model) & (self.follow[rows] < follow)
        return np.where(led, model, own)

    def run(self, degree):
        automated, audited, shown = self.routes(degree)
        rows = np.flatnonzero(~automated | audited)
        queue = simulate(self.seconds[rows], self.service[rows], self.reviewers.count)
        begin, end = queue.left_queue, queue.left_queue + queue.service
        busy = _busy_share(begin, begin, end, self.reviewers)
        right = self.person_right(rows, shown[rows], busy)
        return self.result(automated, audited, shown, rows, begin, end, right)

    def run_by_ticks(self, policy, tick, signals):
        if not 0 < tick < np.inf:
            raise ValueError(f"tick is {tick}, but it is a finite number of seconds above 0.")
        n = len(self.seconds)
        columns = {name: self.cases[name].to_numpy(dtype=float) for name in signals}
        automated, audited, shown = (np.zeros(n, dtype=bool) for _ in range(3))
        rows, begin, end, right = np.zeros(0, int), np.zeros(0), np.zeros(0), np.zeros(0, bool)
        free = [-np.inf] * self.reviewers.count
        steps, memory, first = [], None, 0
        starts = tick * np.arange(np.floor(self.seconds[0] / tick), np.floor(self.seconds[-1] / tick) + 1)
        before = slice(0, 0)
        for now in starts:
            done = audited[rows] & (end <= now) & (end > now - tick)
            observation = {
                "hour": now / HOUR,
                "cases": before.stop - before.start,
                "automated": int(automated[before].sum()),
                "backlog": int((begin > now).sum()),
                "audits": int(done.sum()),
                "disagreements": int((right[done] != self.model_right[rows[done]]).sum()),
            }
            some = before.stop > before.start
            observation |= {
                name: float(each[before].mean()) if some else None for name, each in columns.items()
            }
            degree, memory = _answered(policy(dict(observation), memory))
            last = int(np.searchsorted(self.seconds, now + tick))
            part = slice(first, last)
            automated[part], audited[part], shown[part] = self.routes(degree, part)
            fresh = np.flatnonzero(~automated[part] | audited[part]) + first
            began = _first_free(free, self.seconds[fresh], self.service[fresh])
            rows, begin = np.append(rows, fresh), np.append(begin, began)
            end = np.append(end, began + self.service[fresh])
            # who begins before these do decides how busy the reviewers have been: all of that is known by now
            recent = end > (began[0] if len(began) else 0) - MEMORY
            busy = _busy_share(began, begin[recent], end[recent], self.reviewers)
            right = np.append(right, self.person_right(fresh, shown[fresh], busy))
            steps.append(
                observation | {"degree": degree.name, "threshold": getattr(degree, "threshold", np.nan)}
            )
            first, before = last, part
        return self.result(automated, audited, shown, rows, begin, end, right, pd.DataFrame(steps))

    def result(self, automated, audited, shown, rows, begin, end, right, steps=None):
        n = len(self.seconds)
        person, wait, delay = (np.full(n, np.nan) for _ in range(3))
        person[rows], wait[rows], delay[rows] = right, begin - self.seconds[rows], end - self.seconds[rows]
        table = self.cases.assign(
            automated=automated,
            audited=audited,
            shown=shown,
            wait=wait,
            delay=np.where(automated, 0.0, delay),
            human_right=pd.array(person, dtype="Float64").astype("boolean"),
            right=np.where(automated, self.model_right, person == 1),
        )
        return TriageResult(table, self.reviewers, self.costs, np.sort(rows), end - begin, steps)


@dataclass(frozen=True, repr=False, eq=False)
class TriageResult:
    """What became of each case. Made by `simulate_triage`.

    Attributes
    ----------
    cases : DataFrame, the cases with `automated`, `audited`, `shown` (the suggestion), `wait` (seconds in the
        reviewers' queue; missing if nobody looked), `delay` (seconds until the decision; 0 if automated),
        `human_right` (of those who looked), `right` (the decision)
    steps : DataFrame or None, one row a tick: what the policy observed and what it chose
    """

    cases: pd.DataFrame
    reviewers: Reviewers
    costs: Costs
    _rows: np.ndarray
    _work: np.ndarray
    steps: pd.DataFrame | None = None

    @property
    def coverage(self):
        """Share of the cases that the model decided."""
        return float(self.cases["automated"].mean())

    @property
    def error_rate(self):
        """Share of wrong decisions, whoever made them."""
        return float(1 - self.cases["right"].mean())

    @property
    def automated_risk(self):
        """Share of wrong ones among the automated decisions; NaN if there are none."""
        taken = self.cases.loc[self.cases["automated"], "right"]
        return float(1 - taken.mean()) if len(taken) else np.nan

    @property
    def human_error_rate(self):
        """Share of wrong ones among the people's decisions; NaN if there are none."""
        left = self.cases.loc[~self.cases["automated"], "right"]
        return float(1 - left.mean()) if len(left) else np.nan

    @property
    def span(self):
        """Seconds from the first to the last arrival."""
        return float(self.cases["seconds"].iloc[-1] - self.cases["seconds"].iloc[0])

    @property
    def load(self):
        """Work that arrived for each reviewer, per time: 1 and more is overload."""
        return float(self._work.sum() / (self.span * self.reviewers.count)) if self.span > 0 else np.nan

    @property
    def mean_backlog(self):
        """Waiting cases, mean from the first to the last arrival."""
        if not len(self._rows) or self.span == 0:
            return 0.0
        came = self.cases["seconds"].to_numpy()[self._rows]
        left = came + self.cases["wait"].to_numpy()[self._rows]
        return float(mean_level(came, left, self.cases["seconds"].iloc[[0, -1]].to_numpy())[0])

    @cached_property
    def parts(self):
        """What a case costs on average, by cause: errors, reviews, delay."""
        looked = ~self.cases["automated"] | self.cases["audited"]
        return pd.Series(
            {
                "errors": self.costs.error * self.error_rate,
                "reviews": self.costs.review * float(looked.mean()),
                "delay": self.costs.delay * float(self.cases["delay"].mean()) / HOUR,
            }
        )

    @property
    def cost(self):
        """What a case costs on average."""
        return float(self.parts.sum())

    @property
    def summary(self):
        """The figures of one run in a row."""
        names = ("coverage", "error_rate", "automated_risk", "human_error_rate", "load", "mean_backlog")
        delay = float(self.cases["delay"].mean()) / HOUR
        return pd.Series(
            {name: getattr(self, name) for name in names} | {"delay_hours": delay, "cost": self.cost}
        )

    def over_time(self, window=HOUR):
        """Coverage, errors, backlog and cost in windows of `window` seconds.

        A case belongs to the window in which it arrived; `backlog` is the mean number that wait.

        Returns
        -------
        DataFrame : index `hour` (begin of the window); columns cases, coverage, error_rate, automated_risk, backlog, cost
        """
        if not window > 0:
            raise ValueError(f"window is {window}, but it is a number of seconds above 0.")
        seconds = self.cases["seconds"].to_numpy()
        edges = window * np.arange(np.floor(seconds[0] / window), np.floor(seconds[-1] / window) + 2)
        index = np.searchsorted(edges, seconds, side="right") - 1
        count, right, automated = len(edges) - 1, self.cases["right"], self.cases["automated"]

        def per_window(values):
            return np.bincount(index, weights=values, minlength=count)

        cases, taken = per_window(np.ones(len(seconds))), per_window(automated)
        looked = ~automated | self.cases["audited"]
        each = (
            self.costs.error * ~right
            + self.costs.review * looked
            + self.costs.delay / HOUR * self.cases["delay"]
        )
        came = seconds[self._rows]
        left = came + self.cases["wait"].to_numpy()[self._rows]
        with np.errstate(invalid="ignore"):
            return pd.DataFrame(
                {
                    "cases": cases.astype(int),
                    "coverage": taken / cases,
                    "error_rate": per_window(~right) / cases,
                    "automated_risk": per_window(~right & automated) / taken,
                    "backlog": mean_level(came, left, edges),
                    "cost": per_window(each) / cases,
                },
                index=pd.Index(edges[:-1] / HOUR, name="hour"),
            )

    def plot(self, *, max_risk=None):
        """Coverage, errors among the automated, backlog, in windows of six hours."""
        from mlprod_helpers import plots

        window = 6 * HOUR
        table = self.over_time(window)
        fig, (top, middle, below) = plots.figure(nrows=3, sharex=True, size=(7.4, 6.2))
        for ax, name, what, color in (
            (top, "coverage", "automated (%)", plots.GREEN),
            (middle, "automated_risk", "wrong among them (%)", plots.RED),
            (below, "backlog", "waiting cases", plots.BLUE),
        ):
            scale = 1 if name == "backlog" else 100
            ax.step(table.index, scale * table[name], where="post", color=color)
            ax.set(ylabel=what, ylim=(0, None), xlim=(0, table.index[-1] + window / HOUR))
        if max_risk is not None:
            middle.axhline(100 * max_risk, color=plots.INK, linewidth=1, linestyle="--")
            at = (0, 100 * max_risk)
            middle.annotate(f"limit {max_risk:.0%}", at, (4, 3), textcoords="offset points", fontsize=9)
            above = table["automated_risk"] > max_risk
            when = f"from hour {above.idxmax():.0f} on" if above.any() else "never"
            top.set_title(f"Above the limit of {max_risk:.0%} wrong {when}")
        below.set(xlabel="hour", xticks=np.arange(0, table.index[-1] + 24, 24))
        worst = table["automated_risk"].max()
        errors = (
            f"In the worst six hours, {plots.percent(worst)} of the automated answers are wrong."
            if np.isfinite(worst)
            else "The model decides no case."
        )
        return plots.show(
            fig,
            alt=f"Three lines show {table.index[-1] - table.index[0]:.0f} hours. The model decides {plots.percent(table['coverage'].iloc[0])} of the cases at first and "
            f"{plots.percent(table['coverage'].iloc[-1])} at the end. {errors} The six-hour mean of the waiting cases is never above {table['backlog'].max():,.0f}.",
        )

    def __repr__(self):
        many = len(self.cases)
        return (
            f"TriageResult({many:,} case{'s' if many > 1 else ''}: {100 * self.coverage:.0f}% automated, {100 * self.error_rate:.1f}% wrong, "
            f"reviewers {100 * self.load:.0f}% busy, {self.mean_backlog:.3g} waiting on average, cost {self.cost:.4g} a case)"
        )


@dataclass(frozen=True, repr=False, eq=False)
class Ladder:
    """Several policies over the same cases. Made by `compare_degrees`.

    Attributes
    ----------
    results : dict, name -> TriageResult
    """

    results: dict

    @property
    def table(self):
        """One row a policy; see `TriageResult.summary`."""
        return pd.DataFrame({name: run.summary for name, run in self.results.items()}).T.rename_axis("degree")


def compare_degrees(cases, policies, reviewers=None, costs=None, random_state=None, **kw):
    """Several policies over the same cases with the same luck, as a `Ladder`.

    `policies` is a dict of name to degree or function; `ladder()` makes one of each degree. The rest is as for
    `simulate_triage`, with an integer seed or None.

    >>> from mlprod_helpers.automation import Costs, Reviewers, ladder, uniform_cases
    >>> cases = uniform_cases(1 / 60, duration=200_000, random_state=0)
    >>> compare_degrees(cases, ladder(0.9), Reviewers(2), Costs(error=20, review=1), random_state=0).table["cost"].round(2)
    degree
    human only    2.05
    shadow        2.05
    assistance    4.98
    partial       1.78
    full          5.20
    Name: cost, dtype: float64
    """
    if isinstance(random_state, np.random.Generator) or random_state is None:
        # one seed for all of them, or each would meet other luck
        random_state = int(np.random.default_rng(random_state).integers(1 << 32))
    return Ladder(
        {
            name: simulate_triage(cases, policy, reviewers, costs, random_state, **kw)
            for name, policy in policies.items()
        }
    )


def _answered(answer):
    try:
        degree, memory = answer
    except (TypeError, ValueError):
        raise TypeError(f"The policy returned {answer!r}, but it returns (degree, memory).") from None
    if not isinstance(degree, Degree):
        raise TypeError(
            f"The policy chose {degree!r}, but a degree is one such as Partial(0.9) or HumanOnly()."
        )
    return degree, memory


def _first_free(free, arrivals, service):
    """When each case is begun, first come first served; `free` (a heap of when each reviewer is free) is moved on."""
    began = []
    for at, takes in zip(arrivals.tolist(), service.tolist(), strict=True):
        start = at if at > free[0] else free[0]
        heapq.heapreplace(free, start + takes)
        began.append(start)
    return np.array(began)


def _busy_share(at, begin, end, reviewers):
    """Which share of the last `MEMORY` seconds did the reviewers work, on average, at each of these moments?"""
    if not reviewers.fatigue or not len(at):
        return np.zeros(len(at))

    until = np.concatenate([at, at - MEMORY])
    now, earlier = np.split(_sum_since(begin, until) - _sum_since(end, until), 2)
    return np.clip((now - earlier) / (MEMORY * reviewers.count), 0, 1)


def _sum_since(times, until):
    times = np.sort(times)
    origin = times[0] if len(times) else 0.0  # sums of seconds since 1970 would swallow the differences
    times, until = times - origin, until - origin
    before = np.searchsorted(times, until)
    return until * before - np.append(0.0, np.cumsum(times))[before]
