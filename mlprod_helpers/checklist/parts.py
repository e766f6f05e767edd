"""The parts of a deployment record: what is promised, what proves it, what was decided, what happens when it breaks."""

import math
from dataclasses import dataclass, field
from numbers import Real

import numpy as np

from mlprod_helpers.checklist.measures import METRICS, SIMULATED, convert, in_words
from mlprod_helpers.names import nearest_name
from mlprod_helpers.queueing import Batch, Constant, Exponential, Lognormal, Measured, poisson, simulate

SOURCES = ("simulation", "log", "measurement", "calculation")
STRATEGIES = ("big bang", "shadow", "canary", "blue-green", "A/B test")


class RecordError(ValueError):
    """A record that cannot be: the message says where, what is wrong, and what to do."""


def need_number(value, name, *, low=None, finite=True, optional=False):
    """`value` as a float, or a `RecordError` that names the field."""
    if value is None and optional:
        return None
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real) or math.isnan(value):
        raise RecordError(f"{name} is {value!r}, but it is a number.")
    if finite and math.isinf(value):
        raise RecordError(f"{name} is {value!r}, but it is a finite number.")
    if low is not None and value < low:
        raise RecordError(f"{name} is {value!r}, but it cannot be below {low:g}.")
    return float(value)


def need_text(value, name):
    if not isinstance(value, str):
        raise RecordError(f"{name} is {value!r}, but it is a text.")
    return str(value)


def need_one_of(value, options, name):
    """`value`, one of `options` or still empty."""
    if need_text(value, name) and value not in options:
        raise RecordError(f"{name} is {value!r}: {nearest_name(value, options)}.")
    return value


def need_all(items, kind, name):
    """A tuple of instances of `kind`; a single one is taken as a tuple of one."""
    items = (items,) if isinstance(items, kind) else items
    if not isinstance(items, list | tuple):
        raise RecordError(f"{name} is {items!r}, but it is a list of {kind.__name__}(...).")
    for item in items:
        if not isinstance(item, kind):
            raise RecordError(f"{name} holds {item!r}, but it is a list of {kind.__name__}(...).")
    return tuple(items)


def _plain(value, name):
    """A condition as plain data: it has to survive JSON unchanged."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return need_number(value, name)
    if isinstance(value, list | tuple | range | set | frozenset | np.ndarray):
        return [_plain(item, name) for item in value]
    raise RecordError(f"{name} is {value!r}: give a number, a text, or a list of them.")


@dataclass(frozen=True)
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
    RecordError : a figure that is missing (NaN): nothing was measured, so it proves nothing.

    >>> Evidence(0.18, "s", "measurement", how="wrk against staging", conditions={"rate": 40})
    Evidence(0.18 s, measurement, rate 40: wrk against staging)
    """

    figure: float
    unit: str = ""
    source: str = "measurement"
    how: str = ""
    conditions: dict = field(default_factory=dict)
    draws: tuple = ()

    def __post_init__(self):
        put = object.__setattr__
        put(self, "figure", need_number(self.figure, "The figure of the evidence", finite=False))
        need_text(self.unit, "The unit of the evidence")
        if not need_one_of(self.source, SOURCES, "The source of the evidence"):
            raise RecordError(f"The evidence has no source: {nearest_name('', SOURCES)}.")
        need_text(self.how, "`how` of the evidence")
        if not isinstance(self.conditions, dict):
            raise RecordError(f"conditions is {self.conditions!r}, but it is a dict, such as {{'rate': 40}}.")
        conditions = {
            str(key): _plain(value, f"The condition {key!r}") for key, value in self.conditions.items()
        }
        put(self, "conditions", conditions)
        if isinstance(self.draws, str) or np.ndim(self.draws) != 1:
            raise RecordError("draws is a list of figures, one a draw.")
        put(self, "draws", tuple(need_number(x, "A draw of the evidence", finite=False) for x in self.draws))
        if self.draws and not min(self.draws) <= self.figure <= max(self.draws):
            raise RecordError(
                f"The figure {self.figure:g} lies outside of its own draws, "
                f"{min(self.draws):g} to {max(self.draws):g}. Compute it from them."
            )

    def __hash__(self):
        return hash((self.figure, self.unit, self.source, self.how, self.draws))

    def __str__(self):
        many = f"worst of {len(self.draws)} draws" if len(self.draws) > 1 else ""
        load = [f"{key} {_short(value)}" for key, value in self.conditions.items()]
        told = ", ".join(filter(None, [in_words(self.figure, self.unit), many, self.source, *load]))
        return f"{told}: {self.how}" if self.how else told

    def __repr__(self):
        return f"Evidence({self})"


def _short(value):
    if isinstance(value, list):
        return f"{value[0]}..{value[-1]} ({len(value)})" if len(value) > 3 else "/".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
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
    99 % of the answers come within 200 ms
    >>> claim.holds, claim.figure
    (False, 250.0)
    >>> print(Claim("fast enough").holds)  # no threshold, no evidence: neither true nor false
    None
    """

    text: str = ""
    metric: str = ""
    at_most: float | None = None
    at_least: float | None = None
    unit: str = ""
    evidence: Evidence | None = None
    share: float = 0.95

    def __post_init__(self):
        put = object.__setattr__
        for name in ("text", "metric", "unit"):
            need_text(getattr(self, name), f"{name} of a claim")
        if not self.text and not self.metric:
            raise RecordError("A claim says something: give a text, or a metric with a threshold.")
        label = self.text or self.metric
        for name in ("at_most", "at_least"):
            put(
                self,
                name,
                need_number(getattr(self, name), f"{name} of the claim {label!r}", optional=True),
            )
        if self.at_most is not None and self.at_least is not None:
            raise RecordError(f"The claim {label!r} has two thresholds: make it two claims.")
        if self.evidence is not None and not isinstance(self.evidence, Evidence):
            raise RecordError(
                f"The evidence of the claim {label!r} is {self.evidence!r}, but it is Evidence(...), or made "
                "by a helper such as from_sizing(...), from_log(...), measured(...)."
            )
        put(self, "share", need_number(self.share, "share of a claim", low=0))
        if not 0 < self.share <= 1:
            raise RecordError(f"share is {self.share}, but it is above 0 and at most 1.")

    @property
    def threshold(self):
        """The threshold in the claim's unit; None without one."""
        return self.at_least if self.at_most is None else self.at_most

    def meets(self, value, unit=None):
        """Whether a value (in `unit`, the claim's own if not given) keeps the promise."""
        value = convert(value, self.unit if unit is None else unit, self.unit)
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


@dataclass(frozen=True)
class Decision:
    """One of a few ways to do it, with the reason, and claims that the reason rests on.

    >>> Decision("realtime", why="The display asks when the plane leaves the gate.").choice
    'realtime'
    """

    choice: str = ""
    why: str = ""
    claims: tuple = ()

    def __post_init__(self):
        need_text(self.choice, "choice of a decision")
        need_text(self.why, "why of a decision")
        object.__setattr__(self, "claims", need_all(self.claims, Claim, "claims of a decision"))


@dataclass(frozen=True)
class Alert:
    """A metric that crosses a threshold for some minutes: what a monitor tells, and what starts a rollback.

    Parameters
    ----------
    metric : str, as in `Claim`
    above, below : float, the threshold; one of the two
    unit : str
    minutes : float, for how long before anything happens
    tells : str, who hears of it

    >>> print(Alert("p99", above=400, unit="ms", minutes=5, tells="on call"))
    p99 above 400 ms for 5 minutes (tells on call)
    """

    metric: str
    above: float | None = None
    below: float | None = None
    unit: str = ""
    minutes: float = 5.0
    tells: str = ""

    def __post_init__(self):
        put = object.__setattr__
        if not need_text(self.metric, "metric of an alert"):
            raise RecordError("An alert watches a metric: name it.")
        for name in ("above", "below"):
            put(
                self,
                name,
                need_number(getattr(self, name), f"{name} of the alert on {self.metric}", optional=True),
            )
        if self.above is not None and self.below is not None:
            raise RecordError(f"The alert on {self.metric} has two thresholds: make it two alerts.")
        need_text(self.unit, "unit of an alert")
        need_text(self.tells, "tells of an alert")
        put(self, "minutes", need_number(self.minutes, "minutes of an alert", low=0))

    @property
    def threshold(self):
        """The threshold in the alert's unit; None without one."""
        return self.below if self.above is None else self.above

    def fires(self, value, unit):
        """Whether a value beyond the threshold has been seen."""
        value = convert(value, unit, self.unit)
        return value > self.above if self.above is not None else value < self.below

    def __str__(self):
        if self.threshold is None:
            return f"{self.metric} (no threshold)"
        side = "above" if self.above is not None else "below"
        told = f" (tells {self.tells})" if self.tells else ""
        return (
            f"{self.metric} {side} {in_words(self.threshold, self.unit)} for {self.minutes:g} minutes{told}"
        )


@dataclass(frozen=True)
class Rollout:
    """How a new version reaches the users: a strategy, its shares of the traffic, and how long each is watched.

    >>> print(Rollout("canary", steps=(0.05, 0.25, 1.0), minutes=30))
    canary: 5 %, 25 %, 100 % of the traffic, 30 minutes each
    """

    strategy: str = ""
    steps: tuple = ()
    minutes: float | None = None
    why: str = ""

    def __post_init__(self):
        put = object.__setattr__
        need_one_of(self.strategy, STRATEGIES, "strategy of the rollout")
        if isinstance(self.steps, str) or np.ndim(self.steps) != 1:
            raise RecordError(
                "steps of the rollout is a list of shares of the traffic, such as (0.05, 0.25, 1.0)."
            )
        steps = tuple(need_number(step, "A step of the rollout", low=0) for step in self.steps)
        if any(step > 1 for step in steps):
            raise RecordError(f"The steps {steps} are shares of the traffic: from 0 to 1, so 5 % is 0.05.")
        put(self, "steps", steps)
        put(self, "minutes", need_number(self.minutes, "minutes of the rollout", low=0, optional=True))
        need_text(self.why, "why of the rollout")

    def __str__(self):
        shares = ", ".join(in_words(step, "share") for step in self.steps)
        shares = f"{shares} of the traffic" if shares else ""
        watched = f"{self.minutes:g} minutes{' each' if shares else ''}" if self.minutes is not None else ""
        told = ", ".join(filter(None, [shares, watched]))
        return f"{self.strategy or 'not decided'}{': ' if told else ''}{told}"


@dataclass(frozen=True)
class Rollback:
    """The way back: what starts it, within how many minutes the old version answers again, who does it, and how.

    >>> Rollback(triggers=Alert("error_rate", above=2, unit="%"), within=5, owner="on call", how="route to v1").within
    5.0
    """

    triggers: tuple = ()
    within: float | None = None
    owner: str = ""
    how: str = ""

    def __post_init__(self):
        put = object.__setattr__
        put(self, "triggers", need_all(self.triggers, Alert, "triggers of the rollback"))
        put(
            self, "within", need_number(self.within, "within (minutes) of the rollback", low=0, optional=True)
        )
        need_text(self.owner, "owner of the rollback")
        need_text(self.how, "how of the rollback")


@dataclass(frozen=True)
class Sizing:
    """The traffic that a service was sized for, and the servers that answer it.

    Parameters
    ----------
    rate : float, requests a second in the busiest hour
    servers : int
    service : a law of the service time in seconds (`Constant`, `Exponential`, `Lognormal`, `Measured`) or a number
    seconds : float, the length of the window in which the claims have to hold
    batch, timeout, queue_limit : as in `queueing.simulate`

    >>> sizing = Sizing(rate=40.0, servers=4, service=Lognormal(0.05, cv=1.0))
    >>> sizing.run(random_state=0)
    QueueResult(12043 requests, 4 servers: 50 % busy, mean wait 0.00416 s, p50 0.0391 s, p99 0.249 s)
    """

    rate: float
    servers: int
    service: object
    seconds: float = 300.0
    batch: Batch | None = None
    timeout: float | None = None
    queue_limit: int | None = None

    def __post_init__(self):
        put = object.__setattr__
        put(self, "rate", need_number(self.rate, "rate of the sizing (requests a second)", low=0))
        servers = need_number(self.servers, "servers of the sizing", low=1)
        if servers != int(servers):
            raise RecordError(f"servers is {self.servers!r}, but there is no part of a server.")
        put(self, "servers", int(servers))
        if isinstance(self.service, Real):
            put(self, "service", Constant(need_number(self.service, "service time in seconds", low=0)))
        if type(self.service) not in LAWS.values():
            raise RecordError(
                f"service is {self.service!r}, but it is a law of queueing ({', '.join(LAWS)}) or a number of seconds."
            )
        put(self, "seconds", need_number(self.seconds, "seconds of the sizing", low=1e-9))
        if self.batch is not None and not isinstance(self.batch, Batch):
            raise RecordError(f"batch is {self.batch!r}, but it is queueing.Batch(...) or None.")

    def __eq__(self, other):
        return isinstance(other, Sizing) and sizing_to_dict(self) == sizing_to_dict(other)

    def __hash__(self):
        return hash((self.rate, self.servers, self.seconds))

    def run(self, random_state=None, *, rate=None, service=None):
        """One window of this traffic: arrivals of a Poisson process, answered by these servers.

        Parameters
        ----------
        random_state : int, Generator or None
        rate, service : instead of those that are stated

        Returns
        -------
        QueueResult
        """
        rng = np.random.default_rng(random_state)
        arrivals = poisson(self.rate if rate is None else rate, self.seconds, random_state=rng)
        return simulate(
            arrivals,
            self.service if service is None else service,
            self.servers,
            batch=self.batch,
            timeout=self.timeout,
            queue_limit=self.queue_limit,
            random_state=rng,
        )


LAWS = {law.__name__: law for law in (Constant, Exponential, Lognormal, Measured)}


def sizing_to_dict(sizing):
    """A sizing as plain data."""
    law = sizing.service
    if isinstance(law, Measured):
        service = {"law": "Measured", "seconds": law.seconds.tolist()}
    else:
        service = {"law": type(law).__name__, "mean": float(law.mean)}
        if isinstance(law, Lognormal):
            service["cv"] = float(law.cv)
    batch = sizing.batch
    if batch is not None:
        batch = {"max_size": batch.max_size, "max_wait": batch.max_wait, "marginal": batch.marginal}
    return {
        "rate": sizing.rate,
        "servers": sizing.servers,
        "service": service,
        "seconds": sizing.seconds,
        "batch": batch,
        "timeout": sizing.timeout,
        "queue_limit": sizing.queue_limit,
    }


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
        return float((~run.dropped).sum() / busy) if busy > 0 else math.nan
    if metric not in SIMULATED:
        raise RecordError(f"A simulated run does not know {metric!r}: {nearest_name(metric, SIMULATED)}.")
    return float(getattr(run, metric))
