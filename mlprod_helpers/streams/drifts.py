"""What can drift, and along which course: `Drift` and the share of the new regime over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from mlprod_helpers.names import nearest_name

KINDS = {
    "concept": "share of rows whose label changes",
    "covariate": "standard deviations along one direction",
    "prior": "change of P(y = 1)",
}
"""The kinds of drift, each with the unit of its size."""

PATTERNS = ("sudden", "gradual", "incremental", "recurring")
"""The patterns of drift; `Drift` says what they mean."""

_USUAL_SIZE = {"concept": 0.3, "covariate": 1.0, "prior": 0.2}


@dataclass(frozen=True)
class Drift:
    """One change of the world: what drifts, along which course, from which row on, how fast and how far.

    Parameters
    ----------
    kind : {"concept", "covariate", "prior"}. What changes, and what stays as it was:

        - concept: P(y | x) changes, P(x) stays.
        - covariate: P(x) changes, P(y | x) stays.
        - prior (also called label shift): P(y) changes, P(x | y) stays.
    pattern : {"sudden", "gradual", "incremental", "recurring"}
        sudden: from `start` on all is new. gradual: rows of the old and the new regime are mixed, and the share of
        the new grows in a straight line. incremental: there is one regime, and it moves through states in between
        (for a prior shift that is the same law). recurring: `width` rows new, `width` rows old, and so on.
    start : int. The first row that can be touched, counted from 0.
    width : int. Rows that the change takes; for "recurring" the length of one season. 0 for "sudden".
    size : float, optional. How far it goes. The sign is a direction; 0 is refused, since it is no drift.

        - concept: share of the rows that would carry another label if the new concept held (default 0.3).
        - covariate: distance between the old and the new mean of x, in standard deviations of a single feature
          (default 1).
        - prior: change of P(y = 1), in probability (default 0.2).
    features : int or sequence of int, optional
        Only for covariate: the columns that move, all by the same amount, so that the whole distance is `size`. By
        default a direction over all columns is drawn.

    Source: J. Gama et al., "A survey on concept drift adaptation", ACM Computing Surveys 46 (2014);
    J. G. Moreno-Torres et al., "A unifying view on dataset shift in classification", Pattern Recognition 45 (2012).

    >>> drift = Drift("concept", "gradual", start=2000, width=1000, size=0.25)
    >>> drift.new_share([1999, 2000, 2500, 3000]).tolist()
    [0.0, 0.0, 0.5, 1.0]
    """

    kind: str
    pattern: str = "sudden"
    start: int = 0
    width: int = 0
    size: float | None = None
    features: int | Sequence[int] | None = None

    def __post_init__(self):
        for name, known in (("kind", KINDS), ("pattern", PATTERNS)):
            value = getattr(self, name)
            if value not in known:
                raise ValueError(f"{name}={value!r} is unknown: {nearest_name(value, known)}")
        for name in ("start", "width"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, Integral):
                raise TypeError(f"{name}={value!r} counts rows: give a whole number, such as n_samples // 2")
            if value < 0:
                raise ValueError(f"{name}={value!r} counts rows: it cannot be negative")
            object.__setattr__(self, name, int(value))
        if self.pattern == "sudden" and self.width:
            raise ValueError(
                f"a sudden drift takes no rows, width={self.width:,}: drop width or use pattern='gradual'"
            )
        if self.pattern != "sudden" and not self.width:
            raise ValueError(
                f"how many rows does a {self.pattern} drift take? Give width, or use pattern='sudden'"
            )
        size = _USUAL_SIZE[self.kind] if self.size is None else self.size
        if isinstance(size, bool) or not isinstance(size, Real) or not np.isfinite(size):
            raise TypeError(f"size={size!r} is no number; its unit is: {KINDS[self.kind]}")
        if size == 0:
            raise ValueError("size=0 is no drift: leave it out, or say how far it goes")
        if self.kind == "prior" and abs(size) >= 1:
            raise ValueError(f"size={size!r}: P(y = 1) can change by less than 1 either way, such as 0.2")
        object.__setattr__(self, "size", float(size))
        if self.features is not None:
            if self.kind != "covariate":
                raise ValueError(
                    f"`features` is for covariate drift; a {self.kind} drift touches the labels of all rows"
                )
            chosen = (self.features,) if isinstance(self.features, Integral) else tuple(self.features)
            if not chosen:
                raise ValueError("`features` is empty: name at least one column number, or leave it out")
            object.__setattr__(self, "features", tuple(dict.fromkeys(int(j) for j in chosen)))

    @property
    def end(self):
        """The row from which on the new regime holds alone; None for recurring, which never settles."""
        return None if self.pattern == "recurring" else self.start + self.width

    @property
    def unit(self):
        """The unit of `size` in words."""
        return KINDS[self.kind]

    def new_share(self, t):
        """The share of the new regime at row `t`, or at each of an array of rows.

        It is 0 or 1 for sudden and recurring, the probability that a row is new for gradual, and for incremental,
        where nothing is mixed, the part of the way that the regime has moved.

        >>> Drift("prior", "recurring", start=10, width=5).new_share([9, 10, 15, 20]).tolist()
        [0.0, 1.0, 0.0, 1.0]
        """
        age = np.asarray(t) - self.start
        if self.pattern == "sudden":
            share = age >= 0
        elif self.pattern == "recurring":
            share = (age >= 0) & (age // self.width % 2 == 0)
        else:
            share = np.clip(age / self.width, 0, 1)
        return np.asarray(share, dtype=float)[()]

    def __str__(self):
        if self.end is None:
            when = f"from row {self.start:,}, seasons of {self.width:,} rows"
        elif self.width:
            when = f"rows {self.start:,} to {self.end:,}"
        else:
            when = f"row {self.start:,}"
        where = "" if self.features is None else " of " + ", ".join(f"x{j}" for j in self.features)
        return f"{self.kind} drift{where}, {self.pattern}: {when}, size {self.size:g} ({self.unit})"


def draw_drift(n_samples, random_state=None, *, kinds=tuple(KINDS), patterns=PATTERNS):
    """A drift drawn at random that can be found in `n_samples` rows (100 at least): not too early, late or small.

    `start` is between 30% and 60% of the rows, `width` between 10% and 20%; sizes are 0.2 to 0.4 (concept), 0.8
    to 1.6 (covariate) and 0.15 to 0.3 (prior), the last two with either sign. `kinds` and `patterns` say what to
    draw from.

    >>> drift = draw_drift(10_000, 1, patterns=["gradual"])
    >>> drift.pattern, 3000 <= drift.start < 6000
    ('gradual', True)
    """
    if n_samples < 100:
        raise ValueError(f"n_samples={n_samples!r}: nobody can find a drift in fewer than 100 rows")
    rng = np.random.default_rng(random_state)
    kind, pattern = str(rng.choice(list(kinds))), str(rng.choice(list(patterns)))
    low, high = {"concept": (0.2, 0.4), "covariate": (0.8, 1.6), "prior": (0.15, 0.3)}[kind]
    start, width = (int(n_samples * rng.uniform(*span)) for span in ((0.3, 0.6), (0.1, 0.2)))
    size = round(float(rng.uniform(low, high)), 2)
    sign = rng.choice([-1, 1]) if kind != "concept" else 1
    return Drift(kind, pattern, start, 0 if pattern == "sudden" else width, size * float(sign))
