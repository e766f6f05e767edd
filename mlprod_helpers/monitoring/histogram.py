"""Latencies as counts in buckets: what servers can add up, unlike their percentiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlprod_helpers.requestlog.numbers import as_floats

# a factor of 2 ** (1 / 4) from bucket to bucket: no quantile is off by more than 19 %
BOUNDS_MS = tuple(float(bound) for bound in np.round(2 ** np.arange(0, 16.25, 0.25), 3))


@dataclass(frozen=True, eq=False)
class LatencyHistogram:
    """How many requests took how long, in buckets with fixed bounds.

    The p99 of all servers is not the mean of their p99s, weighted or not. But counts add up: merge the histograms first
    (`+`), then ask for the quantile.

    Parameters
    ----------
    bounds : array (k,), upper bound of each bucket in milliseconds, rising; a value on a bound belongs below it
    counts : array of int (k + 1,), the last one above all bounds

    Source: Prometheus' histograms and its function histogram_quantile.

    >>> quick = LatencyHistogram.of([20.0] * 990 + [30.0] * 10)
    >>> slow = LatencyHistogram.of([900.0] * 100)
    >>> round((quick.quantile(0.99) + slow.quantile(0.99)) / 2)  # the mean of two p99s is nobody's
    522
    >>> round((quick + slow).quantile(0.99))  # one in eleven requests is slow
    1006
    """

    bounds: np.ndarray
    counts: np.ndarray

    def __post_init__(self):
        bounds, counts = np.asarray(self.bounds, dtype=float), np.asarray(self.counts)
        if bounds.ndim != 1 or not len(bounds) or (np.diff(bounds) <= 0).any() or bounds[0] <= 0:
            raise ValueError("bounds are rising numbers of milliseconds above 0, at least one.")
        if counts.shape != (len(bounds) + 1,) or (counts < 0).any():
            raise ValueError(
                f"{len(bounds)} bounds need {len(bounds) + 1} counts of 0 or more: one more for what is above all bounds."
            )
        object.__setattr__(self, "bounds", bounds)
        object.__setattr__(self, "counts", counts)

    @classmethod
    def of(cls, latencies_ms, bounds=BOUNDS_MS):
        """The histogram of an array of latencies in milliseconds, 0 or more; missing ones are refused."""
        values = as_floats(latencies_ms, "latencies_ms")
        if np.isnan(values).any() or (values < 0).any():
            raise ValueError(
                "A latency is a number of milliseconds, 0 or more. A request without an answer counts with the time after "
                "which it was given up."
            )
        bucket = np.searchsorted(bounds, values, side="left")
        return cls(np.asarray(bounds), np.bincount(bucket, minlength=len(bounds) + 1))

    @property
    def total(self):
        """How many requests."""
        return int(self.counts.sum())

    def __add__(self, other):
        if not isinstance(other, LatencyHistogram):
            return NotImplemented
        if not np.array_equal(self.bounds, other.bounds):
            raise ValueError("Only histograms with the same bounds add up: agree on them before you measure.")
        return LatencyHistogram(self.bounds, self.counts + other.counts)

    def __radd__(self, other):
        return self if other == 0 else NotImplemented  # so that sum() works

    def quantile(self, q):
        """The q-quantile in milliseconds, as if requests lay evenly in their bucket; NaN without any.

        Above the last bound nothing is known: the last bound is returned.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"q is {q}, but a quantile is a share from 0 to 1: the 99th percentile is 0.99.")
        if not self.total:
            return float("nan")
        rank, up_to = q * self.total, np.cumsum(self.counts)
        bucket = int(np.searchsorted(up_to, max(rank, 1e-12)))
        if bucket >= len(self.bounds):
            return float(self.bounds[-1])
        low = self.bounds[bucket - 1] if bucket else 0.0
        inside = (rank - (up_to[bucket] - self.counts[bucket])) / self.counts[bucket]
        return float(low + inside * (self.bounds[bucket] - low))
