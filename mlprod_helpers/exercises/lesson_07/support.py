"""What several exercises of lesson 07 share."""

import numpy as np

NAMES = ("human only", "shadow", "assistance", "partial", "full")


def overconfident(rng, n, worse=1.0, levels=None):
    """(confidence, correct): uniform from 0.5 to 1; wrong `worse` times as often as the confidence says."""
    confidence = rng.uniform(0.5, 1.0, n)
    if levels:
        confidence = np.round(confidence * levels) / levels
    return confidence, rng.random(n) >= np.minimum(worse * (1 - confidence), 0.95)


def by_threshold(confidence, correct):
    """[(threshold, coverage, risk)] from the strictest threshold on; equal confidences together."""
    rows = []
    for threshold in np.unique(confidence)[::-1]:
        taken = confidence >= threshold
        rows.append((float(threshold), float(taken.mean()), float((~correct[taken]).mean())))
    return rows


GRID = np.round(np.arange(0.5, 1.015, 0.01), 2)
