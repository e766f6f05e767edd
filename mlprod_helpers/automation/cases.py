"""The log of cases that all degrees of automation are tried on."""

import numpy as np
import pandas as pd

from mlprod_helpers.queueing import poisson
from mlprod_helpers.requestlog.numbers import as_floats


def uniform_cases(rate, duration=None, *, n=None, random_state=None):
    """A constructed log: a calibrated model whose probability of "yes" is uniform, so that its confidence is uniform from 0.5 to 1.

    Parameters
    ----------
    rate : float, cases a second, arriving on their own (Poisson)
    duration : float, seconds; or `n`, a number of cases
    random_state : int, Generator or None

    Returns
    -------
    DataFrame : `seconds`, `confidence`, `model_right`

    >>> cases = uniform_cases(0.1, n=1000, random_state=0)
    >>> cases[["confidence", "model_right"]].mean().round(2).to_list()
    [0.74, 0.76]
    """
    rng = np.random.default_rng(random_state)
    seconds = poisson(rate, duration, n=n, random_state=rng)
    confidence = rng.uniform(0.5, 1.0, len(seconds))
    return pd.DataFrame(
        {
            "seconds": seconds,
            "confidence": confidence,
            "model_right": rng.random(len(seconds)) < confidence,
        }
    )


def as_cases(cases):
    """Cases that are fit to be simulated, or an error that says what is wrong with them."""
    if not cases.columns.is_unique:
        raise ValueError("The cases have several columns of one name: rename them.")
    for name in ("seconds", "confidence", "model_right"):
        if name not in cases.columns:
            raise ValueError(
                f"The cases have no column {name!r}: name time in seconds, confidence and whether the model is right "
                "`seconds`, `confidence`, `model_right`."
            )
    if cases.empty:
        raise ValueError("There are no cases.")
    seconds = as_floats(cases["seconds"], "seconds")
    if not np.isfinite(seconds).all() or (np.diff(seconds) < 0).any():
        raise ValueError("The cases run backwards in time or lack one: sort them by `seconds` first.")
    if np.isnan(as_floats(cases["confidence"], "confidence")).any():
        raise ValueError("A confidence is missing: fill it with 0, so that the case goes to a person.")
    if cases["model_right"].isna().any() or not np.isin(cases["model_right"].to_numpy(), (0, 1)).all():
        raise ValueError("model_right is True or False for each case.")
    return cases
