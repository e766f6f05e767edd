"""People in the loop: how many, how fast, how often wrong, how tired, and how far they follow a suggestion."""

from dataclasses import dataclass, field

import numpy as np

from mlprod_helpers.queueing import Exponential
from mlprod_helpers.queueing.laws import Law

MEMORY = 7200.0  # seconds over which work makes tired


@dataclass(frozen=True)
class Reviewers:
    """Those who look at cases. A queue in front of `count` equal reviewers, first come first served.

    Parameters
    ----------
    count : int, how many work at the same time
    service : a law of `queueing` or a number of seconds: how long one case takes
    error : float, how often a rested reviewer is wrong without any suggestion
    fatigue : float. What is added to that probability when the reviewers have worked without a pause for two hours; in
        proportion to the share of that time in which they worked.
    follow_right, follow_wrong : float from 0 to 1. How often does a reviewer whose own answer differs from the shown
        suggestion take the suggestion, when it is right, and when it is wrong? Equal: they cannot tell. A higher
        `follow_wrong`: its errors persuade (anchoring).

    Raises
    ------
    ValueError : for counts, shares and times that make no sense.

    >>> Reviewers(3, service=60.0, error=0.05).mean_seconds
    60.0
    """

    count: int = 1
    service: object = field(default_factory=lambda: Exponential(60.0))
    error: float = 0.05
    fatigue: float = 0.0
    follow_right: float = 0.7
    follow_wrong: float = 0.7

    def __post_init__(self):
        if isinstance(self.count, bool) or int(self.count) != self.count or self.count < 1:
            raise ValueError(
                f"There are {self.count} reviewers, but a queue needs a whole number of them, 1 or more."
            )
        if not isinstance(self.service, Law) and not (
            np.isscalar(self.service) and 0 < self.service < np.inf
        ):
            raise ValueError(
                f"service is {self.service!r}, but it is a law such as queueing.Exponential(60) or seconds above 0."
            )
        for name in ("error", "fatigue", "follow_right", "follow_wrong"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but it is a share, from 0 to 1.")

    @property
    def mean_seconds(self):
        """Mean seconds a case, without a suggestion."""
        return float(self.service.mean) if isinstance(self.service, Law) else float(self.service)

    @property
    def cv(self):
        """Coefficient of variation of the time a case takes."""
        return float(self.service.cv) if isinstance(self.service, Law) else 0.0


@dataclass(frozen=True)
class Costs:
    """What things cost, all in the same currency.

    Parameters
    ----------
    error : of one wrong decision, whoever made it
    review : of one case that a person looks at
    delay : of one hour in which one case waits for its decision or is being decided

    >>> Costs(error=20, review=1)
    Costs(error=20, review=1, delay=0.0)
    """

    error: float = 20.0
    review: float = 1.0
    delay: float = 0.0

    def __post_init__(self):
        for name in ("error", "review", "delay"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(
                    f"{name} costs {getattr(self, name)}, but a cost is a finite number, 0 or more."
                )


def joint_accuracy(human, model, follow_right, follow_wrong=None):
    """How often is a person right who sees a model's suggestion, if the two err independently?

    Where both agree nothing changes. Where only the model is right, the person follows it with probability
    `follow_right`; where only the person is right, they are led astray with probability `follow_wrong` (as
    `follow_right` if not given: the person cannot tell good advice from bad). `human` and `model` say how often
    each is right alone.

    Source: a construction. For what is found in experiments see M. Vaccaro, A. Almaatouq, T. Malone, "When
    combinations of humans and AI are useful", Nature Human Behaviour 8 (2024), doi 10.1038/s41562-024-02024-1.

    >>> round(joint_accuracy(0.85, 0.90, 0.7), 3)  # between the two
    0.885
    >>> round(joint_accuracy(0.85, 0.90, 0.5, 0.95), 3)  # below both: its errors persuade
    0.837
    """
    follow_wrong = follow_right if follow_wrong is None else follow_wrong
    for name, value in (
        ("human", human),
        ("model", model),
        ("follow_right", follow_right),
        ("follow_wrong", follow_wrong),
    ):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}, but it is a share, from 0 to 1.")
    both, model_only, human_only = human * model, (1 - human) * model, human * (1 - model)
    return both + model_only * follow_right + human_only * (1 - follow_wrong)
