"""The log of cases that all degrees of automation are tried on."""

import numpy as np
import pandas as pd

from mlprod_helpers.queueing import poisson
from mlprod_helpers.requestlog.numbers import as_floats


def cases_of(log, *, confidence="score"):
    """A request log with truths as cases: one row a case, in the order of time.

    Parameters
    ----------
    log : DataFrame with `time`, `prediction`, `label` and the column of confidences. Other columns are kept; `served` rows
        only. Rows without a label are refused: nobody could say what a wrong decision on them costs. A missing prediction
        is a wrong one.
    confidence : str

    Returns
    -------
    DataFrame : `seconds` since the first case, `confidence`, `model_right`, and the other columns

    >>> log = pd.DataFrame({"time": pd.to_datetime(["2013-01-01 05:00Z", "2013-01-01 05:01Z"]), "score": [0.9, 0.6],
    ...                     "prediction": [3, 4], "label": [3, 5]})
    >>> cases_of(log)[["seconds", "confidence", "model_right"]]
       seconds  confidence  model_right
    0      0.0         0.9         True
    1     60.0         0.6        False
    """
    for name in ("time", "prediction", "label", confidence):
        if name not in log.columns:
            raise ValueError(f"The log has no column {name!r}; it has {list(log.columns)}.")
    if "served" in log.columns:
        log = log[log["served"].eq(True).to_numpy(dtype=bool, na_value=False)]
    if log.empty:
        raise ValueError("The log has no served row.")
    if log["label"].isna().any():
        raise ValueError("Some rows have no label yet: leave them out, log[log['label'].notna()].")
    if log["time"].isna().any():
        raise ValueError("Some rows have no time: leave them out, log[log['time'].notna()].")
    given = log["prediction"].notna().to_numpy()
    text = [any(isinstance(value, str) for value in log.loc[given, name]) for name in ("prediction", "label")]
    if given.any() and text[0] != text[1]:
        raise ValueError(
            "Only one of prediction and label is text: convert it, or every answer counts as wrong."
        )
    log = log.sort_values("time", kind="stable", ignore_index=True)
    times = log["time"]
    seconds = (
        (times - times.iloc[0]).dt.total_seconds()
        if pd.api.types.is_datetime64_any_dtype(times)
        else as_floats(times, "time")
    )
    own = {
        "seconds": seconds,
        "confidence": pd.Series(as_floats(log[confidence], confidence)),
        "model_right": log["prediction"].eq(log["label"]).to_numpy(dtype=bool, na_value=False),
    }
    return as_cases(pd.DataFrame(own).join(log.drop(columns=[*set(own) & set(log.columns)])))


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
                f"The cases have no column {name!r}; make them with cases_of(log), or name time in seconds, confidence and "
                "whether the model is right `seconds`, `confidence`, `model_right`."
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
    if "human_error" in cases.columns and not cases["human_error"].between(0, 1).all():
        raise ValueError("human_error is a probability, from 0 to 1, for each case.")
    return cases
