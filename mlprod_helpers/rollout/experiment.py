"""Is the split of an experiment honest? Counts of users are tested before any metric is read.

A metric that only the remaining users have says nothing about the users that a version lost.
"""

from typing import NamedTuple

import numpy as np


class SampleRatio(NamedTuple):
    """How well the counts of users fit the planned split: what `sample_ratio` returns.

    `chi_square` is the statistic, `p_value` the chance that a fair split fits as badly or worse, and `of_planned`
    maps each version to its counted users divided by its planned users (below 1: too few).
    """

    chi_square: float
    p_value: float
    of_planned: dict


def sample_ratio(counts, weights):
    """Does the number of users of each version fit the planned split?

    A sample ratio mismatch is a split whose counts differ from the plan by more than chance explains. A usual
    threshold is a p-value below 0.001, since every experiment is tested.

    Parameters
    ----------
    counts : dict or Series, version -> number of users that were seen. Count users if users were split: requests of
        one user are not independent.
    weights : dict or Series, version -> planned weight, above 0; only the ratios matter.

    Returns
    -------
    SampleRatio
        `chi_square`, `p_value` and `of_planned`.

    Raises
    ------
    ValueError
        If there are fewer than two versions, the names differ, a count is no whole number from 0, a weight is not
        above 0, or nobody was seen.

    Source: A. Fabijan et al., Diagnosing Sample Ratio Mismatch in Online Controlled Experiments, KDD 2019.

    >>> result = sample_ratio({"v1": 44_000, "v2": 45_000}, {"v1": 50, "v2": 50})
    >>> round(result.chi_square, 2), round(result.p_value, 4)
    (11.24, 0.0008)
    >>> {version: round(share, 3) for version, share in result.of_planned.items()}
    {'v1': 0.989, 'v2': 1.011}
    """
    from scipy.special import chdtrc

    counts, weights = dict(counts), dict(weights)
    if len(weights) < 2 or set(counts) != set(weights):
        raise ValueError(
            f"Counts of {sorted(map(str, counts))} and weights of {sorted(map(str, weights))}: give both for the same "
            "versions, at least two; a version without users has the count 0."
        )
    seen, planned = (np.array([each[name] for name in weights], dtype=float) for each in (counts, weights))
    if not (np.isfinite(seen) & (seen >= 0) & (seen == np.round(seen))).all() or not seen.sum():
        raise ValueError(
            f"Counts are {seen.tolist()}: give whole numbers of users, not shares, at least one above 0."
        )
    if not (np.isfinite(planned) & (planned > 0)).all():
        raise ValueError(f"Weights are {planned.tolist()}: give numbers above 0, for example 95 and 5.")
    planned = planned / planned.sum() * seen.sum()
    chi_square = float(((seen - planned) ** 2 / planned).sum())
    return SampleRatio(
        chi_square,
        float(chdtrc(len(weights) - 1, chi_square)),
        dict(zip(weights, (seen / planned).tolist(), strict=True)),
    )
