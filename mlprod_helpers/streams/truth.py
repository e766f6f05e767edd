"""What `Stream.reveal` returns: the truth that exercises are checked against."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mlprod_helpers.names import nearest_name
from mlprod_helpers.streams.drifts import KINDS


class Truth:
    """What was done to a stream.

    Attributes
    ----------
    drifts : tuple of Drift
        In the order in which they were given, each with kind, pattern, start, end, width, size and unit.
    concept : Linear, SEA, Hyperplane or Regression
        The concept before any drift.
    label_delay : float, (float, float) or None
        As given to `make_stream`.
    incidents : tuple of Incident
        What the faults did; see `mlprod_helpers.faults`.
    X, y : arrays
        Rows and labels before any fault.

    Examples
    --------
    >>> from mlprod_helpers.streams import Drift, make_stream
    >>> truth = make_stream(1000, drifts=Drift("concept", "recurring", 300, 100), random_state=0).reveal()
    >>> truth.onsets, truth.kinds
    ((300,), ('concept',))
    """

    def __init__(self, drifts, concept, label_delay, world, x, y, incidents=()):
        self.drifts, self.concept, self.label_delay, self.incidents = drifts, concept, label_delay, incidents
        self.X, self.y = x, y
        self._world = world

    @property
    def n_samples(self):
        """Rows of the stream."""
        return len(self.y)

    @property
    def onsets(self):
        """The first row of each drift."""
        return tuple(drift.start for drift in self.drifts)

    @property
    def kinds(self):
        """The kind of each drift."""
        return tuple(drift.kind for drift in self.drifts)

    def new_share(self, t, kind=None):
        """How far each drift has gone at row `t`: see `Drift.new_share`.

        Parameters
        ----------
        t : int or array of int, shape (m,)
        kind : {"concept", "covariate", "prior"}, optional
            Only drifts of this kind.

        Returns
        -------
        array of float, shape (n_drifts,) or (n_drifts, m)
        """
        if kind is not None and kind not in KINDS:
            raise ValueError(f"kind={kind!r} is unknown: {nearest_name(kind, KINDS)}")
        chosen = [drift.new_share(t) for drift in self.drifts if kind in (None, drift.kind)]
        return np.array(chosen).reshape(len(chosen), *np.shape(t))

    def levels(self):
        """How far each drift has gone for each row as it was really drawn.

        Returns
        -------
        array of float, shape (n_drifts, n_samples)
            For a gradual drift 0 or 1: whether the row came from the old regime or from the new one.
        """
        return np.array(self._world.levels).reshape(len(self.drifts), self.n_samples)

    def oracle(self):
        """What a model would predict that knows the law of every row: no model can do better.

        Returns
        -------
        array of float, shape (n_samples,)
            P(y = 1 | x) under the regime that the row came from, or E[y | x] for `Regression`; faults left
            out.
        """
        return self._world.oracle(self.X)

    def table(self):
        """The drifts as a DataFrame: kind, pattern, start, end, width, size, unit; one row a drift."""
        columns = ["kind", "pattern", "start", "end", "width", "size", "unit"]
        rows = [[getattr(drift, name) for name in columns] for drift in self.drifts]
        return pd.DataFrame(rows, columns=columns).astype({"end": "Int64"})

    def plot(self):
        """Above what a monitor could see, below what was done.

        Returns
        -------
        plots.Figure
        """
        from mlprod_helpers import plots

        window = max(self.n_samples // 50, 1)
        frame = pd.DataFrame(self.X, columns=[f"x{j}" for j in range(self.X.shape[1])])
        before = frame[: min(self.onsets, default=self.n_samples) or None]
        rolling = ((frame - before.mean()) / before.std()).rolling(window).mean()
        rows = np.linspace(0, self.n_samples - 1, min(self.n_samples, 400)).astype(int)

        fig, (seen, inputs, done) = plots.figure(nrows=3, sharex=True, size=(7.4, 6.2))
        seen.plot(rows, pd.Series(self.y).rolling(window).mean()[rows], color=plots.BLUE)
        seen.set_title(f"Labels: mean of y over {window:,} rows")
        inputs.plot(rows, rolling.iloc[rows], color=plots.GREY, alpha=0.8, linewidth=1.2)
        inputs.set_title("Inputs: mean of each feature, in standard deviations")
        for i, drift in enumerate(self.drifts):
            color = plots.COLORS[(i + 1) % len(plots.COLORS)]
            done.plot(rows, drift.new_share(rows), color=color, label=f"{drift.kind}, {drift.pattern}")
            for ax in (seen, inputs, done):
                ax.axvline(drift.start, color=color, linestyle=":", linewidth=1.2)
        for incident in self.incidents:
            done.axvspan(incident.start, incident.end, color=plots.GREY, alpha=0.25, label=incident.kind)
        done.set_title("Truth: how far each drift has gone")
        done.set_xlabel("row")
        done.set_ylim(-0.05, 1.05)
        if self.drifts or self.incidents:
            done.legend(loc="upper left", bbox_to_anchor=(0, -0.25), ncols=3)
        return plots.show(fig, alt=self._in_words())

    def _in_words(self):
        happened = [str(drift) for drift in self.drifts] + [str(incident) for incident in self.incidents]
        return f"Labels and inputs of {self.n_samples:,} rows over time, and the truth: " + (
            "; ".join(happened) or "nothing drifts"
        )

    def __repr__(self):
        lines = [f"Sealed truth of {self.n_samples:,} rows, {self.concept!r}"]
        lines += [f"  {i}: {drift}" for i, drift in enumerate(self.drifts)] or ["  nothing drifts"]
        if self.label_delay is not None:
            lines.append(f"  labels come late: {self.label_delay!r} ticks")
        lines += [f"  fault: {incident}" for incident in self.incidents]
        return "\n".join(lines)
