"""The parts of a deployment record: what is promised, what proves it, what was decided, what happens when it breaks."""

import math
from dataclasses import field
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PlainValidator, model_validator

from mlprod_helpers.checklist.fields import (
    Amount,
    Condition,
    Number,
    Positive,
    RecordError,
    Share,
    Text,
    Whole,
    as_list,
    list_of,
    model,
    wrong,
)
from mlprod_helpers.checklist.measures import METRICS, SIMULATED, convert, in_words
from mlprod_helpers.names import nearest_name
from mlprod_helpers.queueing import Constant, Exponential, Lognormal, Measured, poisson, simulate
from mlprod_helpers.queueing.laws import as_law

SOURCES = ("simulation", "log", "measurement", "calculation")
STRATEGIES = ("big bang", "shadow", "canary", "blue-green", "A/B test")
LAWS = {law.__name__: law for law in (Constant, Exponential, Lognormal, Measured)}


@model
class Evidence:
    """A figure that somebody computed, and how to compute it again.

    Parameters
    ----------
    figure : float, the figure to be compared with a threshold; of several draws the worst one
    unit : str, such as "s", "ms", "MB", "share", "QPS", "EUR"
    source : "simulation", "log", "measurement" or "calculation"
    how : str, one sentence that says what was run
    conditions : dict of name to number, text or list: load (`rate`, requests a second), `servers`, `seeds`, machine
    draws : sequence of float, the figure of each draw (seed, hour, day), if there were several

    Raises
    ------
    RecordError : a figure that is missing or infinite: it proves nothing.

    >>> Evidence(0.18, "s", "measurement", how="wrk against staging", conditions={"rate": 40})
    Evidence(0.18 s, measurement, rate 40: wrk against staging)
    """

    figure: Number
    unit: Text = ""
    source: Literal[SOURCES] = "measurement"
    how: Text = ""
    conditions: dict[str, Condition] = field(default_factory=dict, hash=False)
    draws: Annotated[tuple[Number, ...], BeforeValidator(as_list)] = ()

    @model_validator(mode="after")
    def _is_whole(self):
        if self.draws and not min(self.draws) <= self.figure <= max(self.draws):
            raise wrong(
                f"has the figure {self.figure:g}, outside of its own draws, {min(self.draws):g} to "
                f"{max(self.draws):g}. Compute it from them."
            )
        return self

    def __str__(self):
        repeats = f"worst of {len(self.draws)} draws" if len(self.draws) > 1 else ""
        load = [f"{key} {_shorten(value)}" for key, value in self.conditions.items()]
        text = ", ".join(filter(None, [in_words(self.figure, self.unit), repeats, self.source, *load]))
        return f"{text}: {self.how}" if self.how else text

    def __repr__(self):
        return f"Evidence({self})"


def _shorten(value):
    if isinstance(value, list):
        return f"{value[0]}..{value[-1]} ({len(value)})" if len(value) > 3 else "/".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@model
class Claim:
    """A promise that can be broken: a metric, its threshold and unit, and the evidence for it.

    Parameters
    ----------
    text : str, the promise in words; made from the rest when empty
    metric : str, one of `METRICS` (see there for the meaning) or any other name
    at_most, at_least : float, the threshold; one of the two
    unit : str, unit of the threshold
    evidence : Evidence or None
    share : float, in which share of the draws (hours, seeds) it has to hold

    >>> claim = Claim(metric="p99", at_most=200, unit="ms", evidence=Evidence(0.25, "s", how="load test of 1 May"))
    >>> print(claim)
    99% of the answers come within 200 ms
    >>> claim.holds, claim.figure
    (False, 250.0)
    >>> print(Claim("fast enough").holds)  # no threshold, no evidence: neither true nor false
    None
    """

    text: Text = ""
    metric: Text = ""
    at_most: Number | None = None
    at_least: Number | None = None
    unit: Text = ""
    evidence: Evidence | None = None
    share: Share = 0.95

    @model_validator(mode="after")
    def _promises_one_thing(self):
        if not self.text and not self.metric:
            raise wrong("says nothing: give a text, or a metric with a threshold.")
        if self.at_most is not None and self.at_least is not None:
            raise wrong("has two thresholds: make it two claims.")
        return self

    @property
    def threshold(self):
        """The threshold in the claim's unit; None without one."""
        return self.at_least if self.at_most is None else self.at_most

    def meets(self, value, unit):
        """Whether a value in `unit` keeps the promise."""
        value = convert(value, unit, self.unit)
        return value <= self.at_most if self.at_most is not None else value >= self.at_least

    @property
    def comparable(self):
        """Whether there are a threshold and evidence in a unit of the same kind."""
        if self.threshold is None or self.evidence is None:
            return False
        try:
            convert(1, self.evidence.unit, self.unit)
        except ValueError:
            return False
        return True

    @property
    def figure(self):
        """The figure of the evidence in the claim's unit; None if it cannot be compared."""
        return convert(self.evidence.figure, self.evidence.unit, self.unit) if self.comparable else None

    @property
    def kept(self):
        """In which share of the draws the promise was kept; None if that cannot be said."""
        if not self.comparable:
            return None
        draws = self.evidence.draws or (self.evidence.figure,)
        return float(np.mean([self.meets(draw, self.evidence.unit) for draw in draws]))

    @property
    def holds(self):
        """True or False by the evidence; None if that cannot be said."""
        return None if self.kept is None else self.kept >= self.share

    def __str__(self):
        if self.text:
            return self.text
        meaning = METRICS[self.metric].meaning if self.metric in METRICS else self.metric
        if self.threshold is None:
            return meaning
        figure = in_words(self.threshold, self.unit)
        if meaning.endswith("within") and self.at_most is not None:
            return f"{meaning} {figure}"
        return f"{meaning}: at {'least' if self.at_most is None else 'most'} {figure}"


@model
class Decision:
    """One of a few ways to do it, with the reason, and claims that the reason rests on.

    >>> Decision("realtime", why="The display asks when the plane leaves the gate.").choice
    'realtime'
    """

    choice: Text = ""
    why: Text = ""
    claims: list_of(Claim) = ()


@model
class Alert:
    """A metric that crosses a threshold for some minutes: what a monitor tells, and what starts a rollback.

    `metric` is one as in `Claim`; `above` or `below` is the threshold in `unit`; `tells` is who hears of it.

    >>> print(Alert("p99", above=400, unit="ms", minutes=5, tells="on call"))
    p99 above 400 ms for 5 minutes (tells on call)
    """

    metric: Text
    above: Number | None = None
    below: Number | None = None
    unit: Text = ""
    minutes: Amount = 5.0
    tells: Text = ""

    @model_validator(mode="after")
    def _watches_one_thing(self):
        if not self.metric:
            raise wrong("watches no metric: name it.")
        if self.above is not None and self.below is not None:
            raise wrong(f"on {self.metric} has two thresholds: make it two alerts.")
        return self

    @property
    def threshold(self):
        """The threshold in the alert's unit; None without one."""
        return self.below if self.above is None else self.above

    def fires(self, value, unit):
        """Whether a value in `unit` is beyond the threshold."""
        value = convert(value, unit, self.unit)
        return value > self.above if self.above is not None else value < self.below

    def __str__(self):
        if self.threshold is None:
            return f"{self.metric} (no threshold)"
        side = "above" if self.above is not None else "below"
        figure = in_words(self.threshold, self.unit)
        tells = f" (tells {self.tells})" if self.tells else ""
        return f"{self.metric} {side} {figure} for {self.minutes:g} minutes{tells}"


def _are_shares(steps):
    if any(step > 1 for step in steps):
        raise wrong(f"has {steps}, but these are shares of the traffic: from 0 to 1, so 5% is 0.05.")
    return steps


@model
class Rollout:
    """How a new version reaches the users: a strategy, its shares of the traffic, and how long each is watched.

    >>> print(Rollout("canary", steps=(0.05, 0.25, 1.0), minutes=30))
    canary: 5%, 25%, 100% of the traffic, 30 minutes each
    """

    strategy: Literal[("", *STRATEGIES)] = ""
    steps: Annotated[tuple[Amount, ...], BeforeValidator(as_list), AfterValidator(_are_shares)] = ()
    minutes: Amount | None = None
    why: Text = ""

    def __str__(self):
        shares = ", ".join(in_words(step, "share") for step in self.steps)
        shares = f"{shares} of the traffic" if shares else ""
        watched = f"{self.minutes:g} minutes{' each' if shares else ''}" if self.minutes is not None else ""
        detail = ", ".join(filter(None, [shares, watched]))
        return f"{self.strategy or 'not decided'}{': ' if detail else ''}{detail}"


@model
class Rollback:
    """The way back: what starts it, within how many minutes the old version answers again, who does it, and how.

    >>> Rollback(triggers=Alert("error_rate", above=2, unit="%"), within=5, owner="on call", how="route to v1").within
    5.0
    """

    triggers: list_of(Alert) = ()
    within: Amount | None = None
    owner: Text = ""
    how: Text = ""

    def __str__(self):
        when = " or ".join(map(str, self.triggers)) or "no trigger"
        within = "no time stated" if self.within is None else f"within {self.within:g} minutes"
        return f"{when}; {within}; {self.owner or 'nobody'}"


def _read_law(value):
    """A law of the service time: itself, a number of seconds, or what `_write_law` wrote."""
    if isinstance(value, dict):
        entries = dict(value)
        kind = entries.pop("law", None)
        if kind not in LAWS:
            raise wrong(f"has the law {kind!r}: {nearest_name(kind, LAWS)}")
        try:
            return LAWS[kind](**entries)
        except TypeError as error:
            raise wrong(f"is no {kind}: {error}.") from None
    try:
        return as_law(value)
    except TypeError:
        laws = ", ".join(LAWS)
        raise wrong(f"is {value!r}, but it is a law of queueing ({laws}) or a number of seconds.") from None


def _write_law(law):
    if isinstance(law, Measured):
        return {"law": "Measured", "seconds": law.seconds.tolist()}
    entries = {"law": type(law).__name__, "mean": float(law.mean)}
    return entries | ({"cv": float(law.cv)} if isinstance(law, Lognormal) else {})


@model
class Sizing:
    """The traffic that a service was sized for, and the servers that answer it.

    Parameters
    ----------
    rate : float, requests a second in the busiest hour
    servers : int
    service : a law of the service time in seconds (`Constant`, `Exponential`, `Lognormal`, `Measured`) or a number
    seconds : float, the length of the window in which the claims have to hold

    >>> sizing = Sizing(rate=40.0, servers=4, service=Lognormal(0.05, cv=1.0))
    >>> sizing.run(random_state=0)
    QueueResult(12043 requests, 4 servers: 50% busy, mean wait 0.00416 s, p50 0.0391 s, p99 0.249 s)
    """

    rate: Amount
    servers: Annotated[Whole, Field(ge=1)]
    service: Annotated[object, PlainValidator(_read_law), PlainSerializer(_write_law)]
    seconds: Positive = 300.0

    def run(self, random_state=None, *, rate=None, service=None):
        """One window of this traffic as a `QueueResult`: Poisson arrivals, answered by these servers.

        `rate` and `service` take the place of those that are stated.
        """
        rng = np.random.default_rng(random_state)
        arrivals = poisson(self.rate if rate is None else rate, self.seconds, random_state=rng)
        return simulate(
            arrivals, self.service if service is None else service, self.servers, random_state=rng
        )

    def __str__(self):
        law = type(self.service).__name__
        law = {"Constant": "always", "Measured": "measured, mean"}.get(law, law.lower())
        servers = f"{self.servers} server{'s' if self.servers > 1 else ''}"
        milliseconds = 1000 * self.service.mean
        return f"{self.rate:g} requests a second, {servers}, service time {law} {milliseconds:.3g} ms"


def figure_of(run, metric):
    """A metric of a simulated run, in the unit of `METRICS`; NaN when no request says anything about it.

    >>> run = simulate([0.0, 1.0, 2.0], service=3.0)
    >>> figure_of(run, "p99"), figure_of(run, "utilization"), round(figure_of(run, "throughput"), 3)
    (7.0, 1.0, 0.333)
    """
    if metric.startswith("p") and metric[1:].replace(".", "", 1).isdigit():
        return run.percentile(float(metric[1:]))
    if metric == "throughput":  # answers for each second of all servers' work
        busy = run.utilization * (run.end - run.arrival[0]) if len(run) else 0.0
        return float(len(run) / busy) if busy > 0 else math.nan
    if metric not in SIMULATED:
        raise RecordError(f"A simulated run does not know {metric!r}: {nearest_name(metric, SIMULATED)}.")
    return float(getattr(run, metric))
