"""The stream: rows in order of time, labels that may come late, and a truth under seal."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from numbers import Integral, Real

import numpy as np
import pandas as pd

from mlprod_helpers import faults as faults_module
from mlprod_helpers.faults import Fault, Seal
from mlprod_helpers.streams.drifts import Drift
from mlprod_helpers.streams.linear import Linear
from mlprod_helpers.streams.truth import Truth
from mlprod_helpers.streams.world import DELAY, FAULTS, World, child

_95TH = 1.6448536269514722  # 95th percentile of the standard normal


class Stream:
    """Rows in order of time. Made by `make_stream`.

    Attributes
    ----------
    n_samples, n_features : int
    concept : Linear. The settings of the concept before any drift.
    X : array of float (n_samples, n_features)
    y : array of int (n_samples,). Classes 0 and 1.
    time : array of int (n_samples,). The row number: one row arrives a tick.
    label_time : array of int (n_samples,) or None
        The tick at which the label is known; None without `label_delay`.

    Arrays are read-only, so that nothing changes the stream by accident; `frame` gives copies.
    """

    def __init__(self, x, y, label_time, concept, seal):
        self.concept = concept
        self.n_samples, self.n_features = x.shape
        self.X, self.y, self.label_time = x, y, label_time
        self._seal = seal
        for array in (x, y, label_time):
            if array is not None:
                array.flags.writeable = False

    @cached_property
    def time(self):
        time = np.arange(self.n_samples)
        time.flags.writeable = False
        return time

    def frame(self):
        """All rows as a DataFrame that is yours to change.

        Returns
        -------
        DataFrame (n_samples rows) : Columns time, x0, x1, ..., y and, with a label delay, label_time.

        >>> make_stream(3, n_features=1, random_state=0, label_delay=10).frame().columns.tolist()
        ['time', 'x0', 'y', 'label_time']
        """
        return _frame_of(self.X, self.y, self.label_time)

    def reveal(self):
        """Break the seal: the `Truth` of what drifted, when, along which course and how far. It prints itself in words.

        >>> make_stream(1000, drifts=[Drift("prior", "sudden", 400)], random_state=0).reveal()
        Sealed truth of 1,000 rows, Linear(prior=0.5, noise=0.1)
          0: prior drift, sudden: row 400, size 0.2 (change of P(y = 1))
        """
        return self._seal.reveal()

    def __len__(self):
        return self.n_samples

    def __repr__(self):
        late = "" if self.label_time is None else ", labels come late"
        shape = f"{self.n_samples:,} rows, {self.n_features} features"
        return f"Stream({shape}, {self.concept!r}{late}; truth sealed)"


def make_stream(
    n_samples,
    *,
    drifts: Drift | Iterable[Drift] = (),
    n_features=5,
    random_state=None,
    concept=Linear(),  # noqa: B008 - frozen
    label_delay=None,
    faults: Fault | Iterable[Fault] = (),
):
    """A stream of rows in which the world may change, with the truth under seal.

    Parameters
    ----------
    n_samples : int. Rows; a million takes a fraction of a second.
    drifts : Drift or sequence of Drift
        They compose. Sizes add up: a concept drift goes on from where the one before it went, a covariate drift moves
        the mean once more, a prior drift adds to P(y = 1). Where a prior drift meets others, it multiplies the odds
        of y = 1 by the factor that alone would bring P(y = 1) from its start to start + size. Rows are redrawn until
        their label fits, so P(x | y) stands exactly.
    n_features : int. Columns.
    random_state : int, Generator or None
        The same seed gives the same rows. Up to the onset they are also those of the stream without the drift, and
        the first rows of a longer stream are those of a shorter one.
    concept : Linear. How labels follow from x before any drift.
    label_delay : float or (float, float), optional
        Ticks until the label is known: the same for all rows, or (median, 95th percentile) of a log-normal delay.
        Rounded up to whole ticks.
    faults : Fault or sequence of Fault
        What breaks on the way, after labels are made: see `mlprod_helpers.faults`. Columns are x0, x1, ...

    Raises
    ------
    ValueError, TypeError, KeyError
        For a drift that begins after the end, a size that the concept cannot take, a P(y = 1) outside (0, 1), an
        unknown name.

    >>> drifts = [Drift("concept", "gradual", 3000, 1000), Drift("covariate", "sudden", 7000)]
    >>> stream = make_stream(10_000, drifts=drifts, random_state=7)
    >>> stream
    Stream(10,000 rows, 5 features, Linear(prior=0.5, noise=0.1); truth sealed)
    >>> stream.reveal().onsets
    (3000, 7000)
    """
    n_samples = _count(n_samples, "n_samples", "rows")
    n_features = _count(n_features, "n_features", "columns")
    drifts = _drifts(drifts, n_samples)
    faults = (faults,) if isinstance(faults, Fault) else tuple(faults)
    if not isinstance(concept, Linear):
        raise TypeError(f"concept={concept!r} is no concept: give one such as Linear(prior=0.2)")
    entropy = np.random.default_rng(random_state).integers(2**63, size=2).tolist()

    world = World(concept, n_features, n_samples, drifts, entropy)
    x, y = world.rows()
    label_time = _label_times(label_delay, n_samples, child(entropy, DELAY))
    if not faults:
        return Stream(x, y, label_time, concept, Seal(Truth(n_samples, drifts, concept, label_delay)))

    frame = _frame_of(x, y, label_time)
    broken, incidents = faults_module.apply(frame, faults, child(entropy, FAULTS))
    if len(broken) != n_samples:
        raise ValueError(
            "a fault added or dropped rows; in a stream rows stay: apply it to stream.frame() instead"
        )
    truth = Truth(n_samples, drifts, concept, label_delay, incidents.reveal())
    seen = broken[_names(n_features)].to_numpy(dtype=float).copy()
    delay = None if label_time is None else broken["label_time"].to_numpy().copy()
    return Stream(seen, broken["y"].to_numpy().copy(), delay, concept, Seal(truth))


# --- small things ---------------------------------------------------------------------------------


def _names(n_features):
    return [f"x{j}" for j in range(n_features)]


def _frame_of(x, y, label_time):
    frame = pd.DataFrame(x, columns=_names(x.shape[1]))
    frame.insert(0, "time", np.arange(len(y)))
    frame["y"] = y
    if label_time is not None:
        frame["label_time"] = label_time
    return frame


def _count(number, name, what):
    if isinstance(number, bool) or not isinstance(number, Integral) or number < 1:
        raise ValueError(f"{name}={number!r} is the number of {what}: a whole number of at least 1")
    return int(number)


def _drifts(drifts, n_samples):
    drifts = (drifts,) if isinstance(drifts, Drift) else tuple(drifts)
    for drift in drifts:
        if not isinstance(drift, Drift):
            raise TypeError(
                f"drifts holds {drift!r}: make each with Drift(kind, pattern, start, width, size)"
            )
        if drift.start >= n_samples:
            raise ValueError(
                f"a drift starts at row {drift.start:,}, but the stream ends at row {n_samples - 1:,}: "
                "start earlier or ask for more rows"
            )
    return drifts


def _label_times(delay, n_samples, rng):
    """The tick at which each label is known (n,), or None."""
    if delay is None:
        return None
    pair = isinstance(delay, (tuple, list))
    numbers = tuple(delay) if pair else (delay,)
    if any(isinstance(number, bool) or not isinstance(number, Real) for number in numbers):
        raise TypeError(f"label_delay={delay!r}: give ticks, such as 200, or (median, 95th percentile)")
    if pair and not (len(numbers) == 2 and 0 < numbers[0] < numbers[1] < np.inf):
        raise ValueError(
            f"label_delay={delay!r}: a pair is (median, 95th percentile), positive, the second larger"
        )
    if not 0 <= numbers[0] < np.inf:
        raise ValueError(
            f"label_delay={delay!r}: a label cannot be known before its row; give 0 or more ticks"
        )
    time = np.arange(n_samples)
    if not pair:
        return time + int(np.ceil(numbers[0]))
    spread = np.log(numbers[1] / numbers[0]) / _95TH
    return time + np.ceil(numbers[0] * np.exp(spread * rng.standard_normal(n_samples))).astype(np.int64)
