"""What `Stream.reveal` returns: the truth that exercises are checked against."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, eq=False, repr=False)
class Truth:
    """What was done to a stream. It prints itself in words.

    Attributes
    ----------
    n_samples : int. Rows of the stream.
    drifts : tuple of Drift
        In the order in which they were given, each with kind, pattern, start, end, width, size and unit.
    concept : Linear. The concept before any drift.
    label_delay : float, (float, float) or None. As given to `make_stream`, in ticks.
    incidents : tuple of Incident. What the faults did; see `mlprod_helpers.faults`.

    >>> from mlprod_helpers.streams import Drift, make_stream
    >>> make_stream(1000, drifts=Drift("concept", "recurring", 300, 100), random_state=0).reveal().onsets
    (300,)
    """

    n_samples: int
    drifts: tuple
    concept: object
    label_delay: object = None
    incidents: tuple = ()

    @property
    def onsets(self):
        """The first row of each drift."""
        return tuple(drift.start for drift in self.drifts)

    def __repr__(self):
        lines = [f"Sealed truth of {self.n_samples:,} rows, {self.concept!r}"]
        lines += [f"  {i}: {drift}" for i, drift in enumerate(self.drifts)] or ["  nothing drifts"]
        if self.label_delay is not None:
            lines.append(f"  labels come late: {self.label_delay!r} ticks")
        lines += [f"  fault: {incident}" for incident in self.incidents]
        return "\n".join(lines)
