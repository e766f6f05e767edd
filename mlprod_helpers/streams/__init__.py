"""Streams of data in which the world changes, with the truth under seal.

`make_stream` draws rows in order of time. `Drift` says what changes (concept, covariate, prior) and along
which course (sudden, gradual, incremental, recurring). Whoever holds the stream can look at inputs, labels
and time; what was done to it stays sealed until `Stream.reveal`. So an exercise can ask what happened, and
check it on a fresh seed.

The concepts are a normal one with soft labels (`Linear`, the default), a numeric target (`Regression`), and
two of the literature (`SEA`, `Hyperplane`).

>>> from mlprod_helpers.streams import Drift, make_stream
>>> stream = make_stream(10_000, drifts=[Drift("concept", "sudden", start=6000, size=0.3)], random_state=0)
>>> for batch in stream.batches(5000):
...     print(len(batch))
5000
5000
>>> stream.reveal()
Sealed truth of 10,000 rows, Linear(prior=0.5, noise=0.1)
  0: concept drift, sudden: row 6,000, size 0.3 (share of rows whose label changes)
"""

from mlprod_helpers.streams.concepts import CONCEPTS, SEA, Hyperplane, Linear, Regression
from mlprod_helpers.streams.drifts import KINDS, PATTERNS, Drift, draw_drift
from mlprod_helpers.streams.stream import Stream, make_stream, street_kim
from mlprod_helpers.streams.truth import Truth

__all__ = [
    "CONCEPTS",
    "KINDS",
    "PATTERNS",
    "SEA",
    "Drift",
    "Hyperplane",
    "Linear",
    "Regression",
    "Stream",
    "Truth",
    "draw_drift",
    "make_stream",
    "street_kim",
]
