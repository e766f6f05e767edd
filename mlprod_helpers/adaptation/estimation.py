"""How good is a classifier while its labels are still missing?"""

from dataclasses import dataclass

import numpy as np

from mlprod_helpers.requestlog.numbers import as_floats

__all__ = ["METRICS", "PerformanceEstimate", "estimate_performance"]

METRICS = ("accuracy", "precision", "recall", "f1", "brier", "auc")


@dataclass(frozen=True)
class PerformanceEstimate:
    """What `estimate_performance` found.

    Attributes
    ----------
    metric : str
    value : float
        The expected value of the metric; NaN where it is not defined (precision when nothing is flagged).
    sd : float
        How far the realized value will scatter around it although the assumption holds: labels are drawn.
    n : int
        Number of rows.
    """

    metric: str
    value: float
    sd: float
    n: int

    def z(self, realized):
        """The realized value's distance from the estimate, in standard deviations: beyond 3 the assumption broke."""
        return (realized - self.value) / self.sd if self.sd > 0 else float("nan")


def estimate_performance(p, metric="accuracy", *, threshold=0.5, decision=None):
    """The performance that the model's own probabilities promise, before any label is in.

    If a row has probability p, then the decision "1" is right with probability p and the decision "0" with
    probability 1 - p. Adding these up estimates the whole confusion matrix: confidence-based performance
    estimation (CBPE) in its simplest form.

    **It holds as long as p is `P(y = 1 | x)` on the new rows.** That survives covariate shift, if p is right for
    every kind of row, and not only on average. It fails under concept drift: the probabilities promise what was true
    of the old concept, and nothing in the inputs says otherwise. It fails under prior shift until p is corrected
    (`reweigh`). So it cannot replace labels; it fills the time until they arrive.

    Parameters
    ----------
    p : array-like of float, shape (n,)
        Calibrated probabilities of class 1 on rows without labels.
    metric : {"accuracy", "precision", "recall", "f1", "brier", "auc"}
        "auc" ranks the rows by p.
    threshold : float
        Rows with `p >= threshold` are decided as 1.
    decision : array-like of bool, shape (n,), optional
        The decisions that were really served, in place of the threshold (a shadow model's, or an uncalibrated
        model's own, with p calibrated afterwards).

    Returns
    -------
    PerformanceEstimate
        With the expected value and the scatter of the realized one (delta method).

    Raises
    ------
    ValueError
        For an unknown metric, an empty p, values outside [0, 1], a decision of another length.

    References
    ----------
    Bialek, Kuberski, Perrakis and Bifet, arXiv 2401.08348 (2024), on CBPE and its limits under covariate shift; Garg
    et al., "Leveraging unlabeled data to predict out-of-distribution performance", ICLR (2022), on why no method can be
    right under every shift.

    Examples
    --------
    >>> estimate = estimate_performance([0.9, 0.8, 0.3, 0.2])
    >>> round(estimate.value, 4), round(estimate.sd, 4)
    (0.8, 0.1969)
    >>> round(estimate_performance([0.9, 0.8, 0.3, 0.2], "recall").value, 4)
    0.7727
    """
    p = as_floats(p, "p")
    if p.ndim != 1 or not len(p):
        raise ValueError(f"p must be one probability a row, shape (n,) with n > 0, not {p.shape}.")
    if not (p.min() >= 0 and p.max() <= 1):
        raise ValueError("p must be probabilities between 0 and 1, none missing.")
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r} is unknown; choose one of {', '.join(METRICS)}.")
    flagged = p >= threshold if decision is None else as_floats(decision, "decision")
    if not np.isin(flagged, (0, 1)).all():
        raise ValueError("decision is True or False for each row, none missing.")
    flagged = flagged.astype(bool)
    if flagged.shape != p.shape:
        raise ValueError(f"decision has shape {flagged.shape}, p has {p.shape}: one decision a row.")
    value, slope = (
        _brier(p) if metric == "brier" else _auc(p) if metric == "auc" else _counts(p, flagged, metric)
    )
    sd = float(np.sqrt((p * (1 - p) * np.square(slope)).sum()))
    return PerformanceEstimate(metric, float(value), sd, len(p))


# Each of these returns the expected value and its slope: how much the metric moves when one row's label turns from
# 0 to 1. A label has variance p (1 - p), so the slopes give the scatter.


def _counts(p, flagged, metric):
    """Metrics of the form (a + b * hits) / (c + d * positives): hits are the true positives."""
    n, n_flagged, hits, positives = len(p), flagged.sum(), p[flagged].sum(), p.sum()
    if metric == "accuracy":  # right = flagged positives + unflagged negatives
        return (hits + (1 - p[~flagged]).sum()) / n, np.where(flagged, 1, -1) / n
    if metric == "precision":
        top, bottom, top_slope, bottom_slope = hits, n_flagged, flagged, 0.0
    elif metric == "recall":
        top, bottom, top_slope, bottom_slope = hits, positives, flagged, 1.0
    else:
        top, bottom, top_slope, bottom_slope = 2 * hits, n_flagged + positives, 2 * flagged, 1.0
    if bottom == 0:
        return np.nan, np.full(n, np.nan)
    return top / bottom, (top_slope - top / bottom * bottom_slope) / bottom


def _brier(p):
    return (p * (1 - p)).mean(), (1 - 2 * p) / len(p)


def _auc(p):
    """Each row is p of a positive and 1 - p of a negative; a row is never paired with itself; ties count half."""
    _, group = np.unique(p, return_inverse=True)
    positive = np.bincount(group, weights=p)
    negative = np.bincount(group, weights=1 - p)
    negative_below = np.cumsum(negative) - negative / 2
    positive_above = p.sum() - np.cumsum(positive) + positive / 2
    self_pairs = (p * (1 - p)).sum()
    wins = (positive * negative_below).sum() - self_pairs / 2
    pairs = p.sum() * (1 - p).sum() - self_pairs
    if pairs <= 1e-12:
        return np.nan, np.full(len(p), np.nan)
    auc = wins / pairs
    # without the row itself: its own half win is not there
    wins_slope = (negative_below[group] - (1 - p) / 2) - (positive_above[group] - p / 2)
    pairs_slope = ((1 - p).sum() - (1 - p)) - (p.sum() - p)
    return auc, (wins_slope - auc * pairs_slope) / pairs
