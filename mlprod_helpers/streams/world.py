"""Draws the rows of a stream: the law, and how far each drift has gone at each row."""

from __future__ import annotations

import numpy as np

from mlprod_helpers.streams.linear import Law

# every purpose has random numbers of its own: one more drift, delay or fault leaves all other draws alone
LAW, DRIFT, ROWS, DELAY, FAULTS = range(5)
BLOCK = 2**14  # rows at a time: what the processor's cache holds


def child(entropy, *key):
    """The random numbers of one purpose."""
    # numpy's fastest bit generator: a quarter off the time of a row
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(entropy, spawn_key=key)))


class World:
    """The law, and how far each drift has gone at each row. Draws the rows."""

    def __init__(self, concept, n_features, n_samples, drifts, entropy):
        self.entropy, self.drifts, self.n = entropy, drifts, n_samples
        self.law = Law(concept, n_features, child(entropy, LAW))
        self.levels = [self._level(drift, child(entropy, DRIFT, i)) for i, drift in enumerate(drifts)]
        self.position = self._sum("concept", self.law.step)
        self.shifts = [
            (self._direction(drift, child(entropy, DRIFT, i, 1)), self.levels[i])
            for i, drift in enumerate(drifts)
            if drift.kind == "covariate"
        ]
        self.odds = self._odds()

    def _level(self, drift, rng):
        """How far the row's regime is from old (0) to new (1): shares, but a draw where the two are mixed."""
        level = np.zeros(self.n)
        share = drift.new_share(
            np.arange(drift.start, self.n if drift.end is None else min(drift.end, self.n))
        )
        level[drift.start : drift.start + len(share)] = (
            rng.random(len(share)) < share if drift.pattern == "gradual" else share
        )
        if drift.end is not None:
            level[drift.end :] = 1
        return level

    def _sum(self, kind, step=float):
        """Sizes x levels of all drifts of a kind: 0.0, or one float a row."""
        total = 0.0
        for drift, level in zip(self.drifts, self.levels, strict=True):
            if drift.kind == kind:
                total = total + step(drift.size) * level
        return total

    def _direction(self, drift, rng):
        """The way that the mean of x goes, (n_features,): length `size` in standard deviations."""
        d = self.law.n_features
        if drift.features is None:
            way = rng.standard_normal(d)
        else:
            for j in drift.features:
                if not 0 <= j < d:
                    raise ValueError(
                        f"features: there is no column {j}; the stream has the columns 0 to {d - 1}"
                    )
            way = np.zeros(d)
            way[list(drift.features)] = 1.0
        return way / np.linalg.norm(way) * drift.size

    def _odds(self):
        """Factor on the odds of y = 1: 1.0, or one float a row."""
        if not any(drift.kind == "prior" for drift in self.drifts):
            return 1.0
        start = self.law.concept.prior
        target = start + self._sum("prior")
        low, high = target.min(), target.max()
        if low <= 0 or high >= 1:
            far = high if high >= 1 else low
            raise ValueError(
                f"the prior drift brings P(y = 1) from {start:.3g} to {far:.3g}, outside (0, 1): "
                f"sizes may add up to more than {-start:.3g} and less than {1 - start:.3g}"
            )
        return target / (1 - target) * (1 - start) / start

    def rows(self):
        """All rows: x (n, d) and y (n,)."""
        x, y = self._draw(None, self.n, 0)
        if not np.isscalar(self.odds):
            self._redraw(x, y)
        return x, y

    def _draw(self, rows, m, round_):
        """Fresh x and label for these m rows (None: all), from the law of their tick."""
        features, noises = (child(self.entropy, ROWS, round_, part) for part in (0, 1))
        x, y = np.empty((m, self.law.n_features)), np.empty(m, np.int64)
        for start in range(0, m, BLOCK):
            block = slice(start, min(start + BLOCK, m))
            here = block if rows is None else rows[block]
            drawn = x[block]
            features.standard_normal(out=drawn)
            for way, level in self.shifts:
                for j in np.flatnonzero(way):
                    drawn[:, j] += way[j] * level[here]
            noise = noises.standard_normal(len(drawn)) if self.law.concept.noise else None
            y[block] = self.law.labels(drawn, noise, self._position(here))
        return x, y

    def _position(self, rows):
        """Where the concept stands at these rows: one float where it stands still, else one a row."""
        if np.isscalar(self.position):
            return self.position
        position = self.position[rows]
        return float(position[0]) if (position == position[0]).all() else position

    def _redraw(self, x, y):
        """Bring the class mix to its target: keep a row by its label, else draw it again."""
        pending, fresh_x, fresh_y, round_ = np.flatnonzero(self.odds != 1), None, None, 0
        while len(pending):
            label = y[pending] if fresh_y is None else fresh_y
            odds = self.odds[pending]
            chance = np.where(label, np.minimum(odds, 1), np.minimum(1 / odds, 1))
            kept = child(self.entropy, ROWS, round_, 2).random(len(pending)) < chance
            if fresh_y is not None:
                x[pending[kept]], y[pending[kept]] = fresh_x[kept], fresh_y[kept]
            pending, round_ = pending[~kept], round_ + 1
            fresh_x, fresh_y = self._draw(pending, len(pending), round_)
