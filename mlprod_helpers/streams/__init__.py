"""Streams of data in which the world changes, with the truth under seal.

`make_stream` draws rows in order of time. `Drift` says what changes (concept, covariate, prior) and along which
course (sudden, gradual, incremental, recurring). Whoever holds the stream can look at inputs, labels and time; what
was done to it stays sealed until `Stream.reveal`. So an exercise can ask what happened, and check it on a fresh
seed.
"""

from mlprod_helpers.streams.drifts import KINDS, PATTERNS, Drift, draw_drift
from mlprod_helpers.streams.linear import Linear
from mlprod_helpers.streams.stream import Stream, make_stream
from mlprod_helpers.streams.truth import Truth

__all__ = [
    "KINDS",
    "PATTERNS",
    "Drift",
    "Linear",
    "Stream",
    "Truth",
    "draw_drift",
    "make_stream",
]
