"""Rollout plans: how a new version gets its users when every check passes. A plan only says; the controller acts.

Weights and times add up as decimals do: eight steps of 0.1% are 0.8%, not 0.7999999999999999%.
"""

from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import pairwise
from numbers import Real
from typing import ClassVar

import pandas as pd

from mlprod_helpers.names import nearest_name
from mlprod_helpers.rollout.exports import Exports


@dataclass(frozen=True, kw_only=True)
class Plan(Exports):
    """What all plans share. Times are seconds, weights percent of the users.

    Parameters
    ----------
    interval : float, seconds between two checks
    threshold : int, the failed check that ends it, in a row or not: 1 rolls back after the first (Flagger's
        `threshold`; Argo's `failureLimit` counts failures that are allowed, one less, and by default those of one
        metric)
    watch : float, seconds for which the judge goes on checking after everybody has the new version; 0: it stops there
    keep_old : float, seconds for which the old version stays up after that, ready to take all users back at once
    redeploy : float, seconds to bring an old version back that is gone
    """

    strategy: ClassVar[str] = ""
    interval: float = 60.0
    threshold: int = 5
    watch: float = 0.0
    keep_old: float = 0.0
    redeploy: float = 600.0

    def __post_init__(self):
        if not _is_number(self.interval) or not 0 < self.interval < float("inf"):
            raise ValueError(
                f"interval is {self.interval!r}, but checks are some seconds apart: give more than 0."
            )
        if not _is_number(self.threshold) or self.threshold % 1 or self.threshold < 1:
            raise ValueError(
                f"threshold is {self.threshold!r}, but it counts failed checks: a whole number from 1."
            )
        for name in ("watch", "keep_old", "redeploy"):
            _seconds(getattr(self, name), name)

    # what the controller asks: seconds before the first user, share of copied requests meanwhile, the ramp
    rehearsal = 0.0
    mirror = 0.0

    def next_weight(self, weight):
        """The weight after a passed check at `weight`, or None: everybody gets the new version now."""
        return None

    def schedule(self):
        """The rollout in which every check passes: a Series of the canary's weight (percent) over seconds.

        >>> Canary(step_weights=[1, 10, 50], interval=60).schedule().to_dict()
        {0.0: 1, 60.0: 10, 120.0: 50, 180.0: 100}
        """
        time, weight, steps = 0.0, 0, {}
        if self.rehearsal:
            steps[time] = 0
            time += self.rehearsal
        while (following := self.next_weight(weight)) is not None:
            steps[time] = weight = following
            time = add(time, self.interval)
        return pd.Series(steps | {time: 100}, name="weight").rename_axis("seconds")

    def to_dict(self):
        """The plan as plain data, for JSON.

        >>> Canary(step_weight=5, max_weight=20).to_dict()["strategy"]
        'canary'
        """
        plain = {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }
        return {"strategy": self.strategy} | plain

    @staticmethod
    def from_dict(plain):
        """The plan that `to_dict` wrote.

        >>> Plan.from_dict({"strategy": "blue_green", "keep_old": 60})
        BlueGreen(interval=60.0, threshold=5, watch=1800.0, keep_old=60, redeploy=600.0, preview=0.0, copies=0.0)
        """
        fields = dict(plain)
        strategy = fields.pop("strategy", None)
        if strategy not in _STRATEGIES:
            raise ValueError(
                f"There is no strategy {strategy!r}: {nearest_name(str(strategy), _STRATEGIES)}."
            )
        kind = _STRATEGIES[strategy]
        if unknown := sorted(set(fields) - set(kind.__dataclass_fields__)):
            raise ValueError(
                f"{kind.__name__} has no setting {unknown[0]!r}: {nearest_name(unknown[0], kind.__dataclass_fields__)}."
            )
        return kind(**fields)


@dataclass(frozen=True, kw_only=True)
class BigBang(Plan):
    """Everybody at once, in place: no control group, and the old version is gone. The judge watches afterwards.

    >>> BigBang().schedule().to_dict()
    {0.0: 100}
    """

    strategy: ClassVar[str] = "big_bang"
    watch: float = 1800.0

    def __post_init__(self):
        super().__post_init__()
        if self.keep_old:
            raise ValueError(
                "A big bang replaces the old version, so keep_old is 0. With an old one kept, it is BlueGreen."
            )


@dataclass(frozen=True, kw_only=True)
class BlueGreen(Plan):
    """A second full fleet (green) beside the old one (blue), then all users in one switch.

    While blue is kept, a rollback is one switch back; once it is scaled down, a rollback is a redeploy.

    Parameters
    ----------
    keep_old : float, seconds from the switch to the scale-down of blue (Argo Rollouts: scaleDownDelaySeconds, 30)
    preview : float, seconds for which green is up before the switch
    copies : float, percent of the requests that green gets as shadow copies meanwhile; 0: nothing to judge before the switch
    interval, threshold, watch, redeploy : see `Plan`

    >>> BlueGreen(preview=300).schedule().to_dict()
    {0.0: 0, 300.0: 100}
    """

    strategy: ClassVar[str] = "blue_green"
    watch: float = 1800.0
    keep_old: float = 600.0
    preview: float = 0.0
    copies: float = 0.0

    def __post_init__(self):
        super().__post_init__()
        _percent(self.copies, "copies")
        _seconds(self.preview, "preview")

    @property
    def rehearsal(self):
        return self.preview

    @property
    def mirror(self):
        return self.copies


@dataclass(frozen=True, kw_only=True)
class Shadow(Plan):
    """Copies of requests to the new version; nobody sees its answers. Ends paused: users still have the old one.

    Parameters
    ----------
    duration : float, seconds
    share : float, percent of the requests that are copied
    interval, threshold : see `Plan`

    >>> Shadow(duration=600).schedule().to_dict()
    {0.0: 0, 600.0: 0}
    """

    strategy: ClassVar[str] = "shadow"
    duration: float = 1800.0
    share: float = 100.0

    def __post_init__(self):
        super().__post_init__()
        _percent(self.share, "share")
        _seconds(self.duration, "duration")
        if not self.duration or not self.share:
            raise ValueError(
                f"A shadow of {self.duration} seconds and {self.share}% shows nothing: give more than 0."
            )

    @property
    def rehearsal(self):
        return self.duration

    @property
    def mirror(self):
        return self.share

    def schedule(self):
        """A shadow never gets a user: weight 0 all the time."""
        return pd.Series({0.0: 0, float(self.duration): 0}, name="weight").rename_axis("seconds")


@dataclass(frozen=True, kw_only=True)
class Canary(Plan):
    """A few users first, more after each passed check, then all of them.

    The terms and rules are Flagger's: the first step is taken at once, each further one after a passed check; a check that
    passes at `max_weight` or above promotes. A last step may go past `max_weight`.

    Parameters
    ----------
    step_weight : float, percent of the users added at each step (10 if no steps are given)
    step_weights : sequence of float instead: the weights themselves, rising; the last one is the highest before promotion,
        at most 100 (Flagger takes more for 100)
    max_weight : float, percent; with `step_weight` only (50)
    interval, threshold, watch, keep_old, redeploy : see `Plan`

    Source: Flagger, pkg/controller/scheduler.go (`nextStepWeight`, `runCanary`); its documentation, "Deployment strategies".

    >>> float(Canary(step_weight=2, max_weight=50, interval=60).schedule().index[-1] / 60)  # minutes until promotion
    25.0
    >>> Canary(step_weight=20, max_weight=50).schedule().tolist()  # past max_weight, then everybody
    [20, 40, 60, 100]
    """

    strategy: ClassVar[str] = "canary"
    step_weight: float | None = None
    step_weights: tuple | None = None
    max_weight: float | None = None

    def __post_init__(self):
        super().__post_init__()
        if self.step_weights is not None:
            self._check_steps()
            return
        step = 10 if self.step_weight is None else self.step_weight
        highest = 50 if self.max_weight is None else self.max_weight
        for name, value in (("step_weight", step), ("max_weight", highest)):
            if not _is_number(value) or not 0 < value <= 100:
                raise ValueError(f"{name} is {value!r}, but it is a percentage above 0, at most 100.")
            object.__setattr__(self, name, _plain(value))
        if highest > _MOST_STEPS * step:
            raise ValueError(
                f"step_weight {step} would take more than {_MOST_STEPS} steps to {highest}%: take larger ones."
            )

    def _check_steps(self):
        if self.step_weight is not None or self.max_weight is not None:
            raise ValueError(
                "Give step_weight with max_weight, or step_weights alone: its last weight is the highest."
            )
        if isinstance(self.step_weights, str) or not hasattr(self.step_weights, "__iter__"):
            raise ValueError(
                f"step_weights is {self.step_weights!r}: give a list of percentages, [1, 10, 50]."
            )
        steps = tuple(self.step_weights)
        numbers = bool(steps) and all(map(_is_number, steps))
        if not numbers or not all(a < b for a, b in pairwise((0, *steps))) or steps[-1] > 100:
            raise ValueError(
                f"step_weights is {list(steps)}, but a ramp rises: percentages above 0, each larger than the one "
                "before, the last at most 100."
            )
        object.__setattr__(self, "step_weights", tuple(map(_plain, steps)))

    def next_weight(self, weight):
        if self.step_weights is not None:
            return next((step for step in self.step_weights if step > weight), None)
        return None if weight >= self.max_weight else min(add(weight, self.step_weight), 100)


_STRATEGIES = {kind.strategy: kind for kind in (BigBang, Shadow, Canary, BlueGreen)}


_MOST_STEPS = 10_000


def add(one, other):
    """Their sum as decimals have it; whole numbers stay whole.

    >>> add(0.1, 0.2), add(0.3, -100), add(10, 5)
    (0.3, -99.7, 15)
    """
    exact = _decimal(one) + _decimal(other)
    return int(exact) if isinstance(one, int) and isinstance(other, int) else float(exact)


def _decimal(value):
    return Decimal(str(_plain(value)))


def _plain(value):
    """A number as JSON has it."""
    return value if isinstance(value, int) else float(value)


def _is_number(value):
    return isinstance(value, Real | Decimal) and not isinstance(value, bool) and value == value


def _percent(value, name):
    if not _is_number(value) or not 0 <= value <= 100:
        raise ValueError(f"{name} is {value!r}, but it is a percentage, from 0 to 100.")


def _seconds(value, name):
    if not _is_number(value) or not 0 <= value < float("inf"):
        raise ValueError(f"{name} is {value!r}, but it is a finite number of seconds, 0 or more.")
