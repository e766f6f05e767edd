"""The five degrees of automation: who decides, who looks, and who sees what.

Degrees of automation after R. Parasuraman, T. B. Sheridan, C. D. Wickens, "A model for types and levels of human
interaction with automation", IEEE Transactions on Systems, Man, and Cybernetics A 30 (2000), in the five steps that a
deployment takes.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from mlprod_helpers.names import nearest_name


@dataclass(frozen=True)
class Degree:
    """Base of the five degrees. `decides` and `sees` say in words what differs."""

    name: ClassVar[str]
    decides: ClassVar[str]
    sees: ClassVar[str]
    assisted: ClassVar[bool] = False  # do reviewers see the model's suggestion before they decide?
    audit_share = 0.0  # of the automated cases: those that a person also judges, blind

    def automates(self, confidence):
        """Which cases does the model decide? An array of n booleans for n confidences from 0 to 1."""
        return np.zeros(np.shape(confidence), dtype=bool)


@dataclass(frozen=True)
class HumanOnly(Degree):
    """A person decides each case; there is no model."""

    name: ClassVar[str] = "human only"
    decides: ClassVar[str] = "a person, every case"
    sees: ClassVar[str] = "the case; there is no prediction"


@dataclass(frozen=True)
class Shadow(Degree):
    """A person decides each case; the model's answer is logged, and nobody sees it."""

    name: ClassVar[str] = "shadow"
    decides: ClassVar[str] = "a person, every case"
    sees: ClassVar[str] = "the case alone; the prediction goes to the log"


@dataclass(frozen=True)
class Assistance(Degree):
    """A person decides each case and sees the model's suggestion first."""

    name: ClassVar[str] = "assistance"
    decides: ClassVar[str] = "a person, every case"
    sees: ClassVar[str] = "the case and the suggestion"
    assisted: ClassVar[bool] = True


@dataclass(frozen=True)
class Partial(Degree):
    """The model decides where its confidence reaches a threshold; a person decides the rest.

    Parameters
    ----------
    threshold : float, 0 or more; above 1 nothing is automated
    audit_share : float from 0 to 1. Share of the automated cases that a person also judges, blind.

    >>> Partial(0.9).automates([0.95, 0.9, 0.6]).tolist()
    [True, True, False]
    """

    name: ClassVar[str] = "partial"
    decides: ClassVar[str] = "the model if confident, otherwise a person"
    sees: ClassVar[str] = "the cases that they decide"
    threshold: float = 0.9
    audit_share: float = 0.0

    def __post_init__(self):
        if not self.threshold >= 0:
            raise ValueError(f"threshold is {self.threshold}, but a confidence to reach is 0 or more.")
        _check_share(self.audit_share)

    def automates(self, confidence):
        return np.asarray(confidence) >= self.threshold


@dataclass(frozen=True)
class Full(Degree):
    """The model decides each case. People see a share of them afterwards, if any.

    >>> Full(audit_share=0.05).automates([0.2, 0.9]).tolist()
    [True, True]
    """

    name: ClassVar[str] = "full"
    decides: ClassVar[str] = "the model, every case"
    sees: ClassVar[str] = "nothing, or a few cases afterwards"
    audit_share: float = 0.0

    def __post_init__(self):
        _check_share(self.audit_share)

    def automates(self, confidence):
        return np.ones(np.shape(confidence), dtype=bool)


def _check_share(share):
    if not 0 <= share <= 1:
        raise ValueError(f"audit_share is {share}, but a share is from 0 to 1.")


DEGREES = (HumanOnly, Shadow, Assistance, Partial, Full)


def ladder(threshold=0.9, *, audit_share=0.0):
    """One of each degree, from human only to full automation: name -> degree.

    >>> list(ladder())
    ['human only', 'shadow', 'assistance', 'partial', 'full']
    """
    partial = Partial(threshold, audit_share)
    return {each.name: each for each in (HumanOnly(), Shadow(), Assistance(), partial, Full(audit_share))}


def who_does_what():
    """Who decides and who sees what, one row a degree.

    >>> who_does_what().loc["shadow", "people see"]
    'the case alone; the prediction goes to the log'
    """
    rows = {each.name: {"decides": each.decides, "people see": each.sees} for each in DEGREES}
    return pd.DataFrame(rows).T.rename_axis("degree")


def from_name(name, threshold=1.0, *, audit_share=0.0):
    """The degree of that name; `threshold` matters for "partial", `audit_share` for "partial" and "full".

    >>> from_name("partial", 0.8, audit_share=0.02)
    Partial(threshold=0.8, audit_share=0.02)
    """
    degrees = ladder(threshold, audit_share=audit_share)
    if name not in degrees:
        raise ValueError(f"There is no degree {name!r}: {nearest_name(name, degrees)}.")
    return degrees[name]
