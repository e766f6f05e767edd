"""How good is a classifier while its labels are still missing?"""

from dataclasses import dataclass

import numpy as np

from mlprod_helpers.requestlog.numbers import as_floats


@dataclass(frozen=True)
class PerformanceEstimate:
    """The result of `estimate_performance`.

    Attributes
    ----------
    value : float. The expected accuracy, 0 to 1.
    sd : float
        How far the realized accuracy will scatter around it although the assumption holds, since labels are drawn.
    """

    value: float
    sd: float


def estimate_performance(p):
    """The accuracy that the model's own probabilities promise, before any label is in.

    A row is decided as 1 if p >= 0.5. That decision is right with probability max(p, 1 - p); the mean of these is
    the expected accuracy: confidence-based performance estimation (CBPE) in its simplest form.

    **It holds as long as p is `P(y = 1 | x)` on the new rows.** That survives covariate shift, if p is right for
    every kind of row, and not only on average. It fails under concept drift: the probabilities promise what was
    true of the old concept. It fails under prior shift until p is corrected (`reweigh`). So it cannot replace
    labels; it fills the time until they arrive.

    Parameters
    ----------
    p : array-like of float, shape (n,). Calibrated probabilities of class 1 on rows without labels.

    Source: Bialek, Kuberski, Perrakis and Bifet, arXiv 2401.08348 (2024), on CBPE and its limits under covariate
        shift.

    >>> estimate = estimate_performance([0.9, 0.8, 0.3, 0.2])
    >>> round(estimate.value, 4), round(estimate.sd, 4)
    (0.8, 0.1969)
    """
    p = as_floats(p, "p")
    if p.ndim != 1 or not len(p):
        raise ValueError(f"p must be one probability a row, shape (n,) with n > 0, not {p.shape}.")
    if not (p.min() >= 0 and p.max() <= 1):
        raise ValueError("p must be probabilities between 0 and 1, none missing.")
    flagged = p >= 0.5
    value = (p[flagged].sum() + (1 - p[~flagged]).sum()) / len(p)
    return PerformanceEstimate(float(value), float(np.sqrt((p * (1 - p)).sum()) / len(p)))
