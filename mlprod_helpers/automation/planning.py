"""Which threshold is the cheapest when the people behind it are few and get tired?"""

import numpy as np
import pandas as pd

from mlprod_helpers.automation.reviewers import Costs, Reviewers
from mlprod_helpers.automation.selective import _pairs
from mlprod_helpers.queueing import mgc


def cost_curve(confidence, correct, rate, reviewers=None, costs=None, *, thresholds=None):
    """What does a case cost at each threshold, once the reviewers' queue has settled?

    What is not automated arrives at the reviewers: load = rate x (1 - coverage) x mean service time / reviewers.
    Waiting grows with it as in an M/G/c queue (`queueing.mgc`), and so does fatigue. At a load of 1 and above the
    cost is infinite.

    Parameters
    ----------
    confidence, correct : arrays of n cases
    rate : float, cases a second
    reviewers : Reviewers; they see no suggestion
    costs : Costs
    thresholds : array; 0.5 to 1.01 in steps of 0.01 if not given (above 1 nothing is automated)

    Returns
    -------
    DataFrame : index threshold; columns coverage, risk, load, wait (seconds), human_error, and the cost of a case:
        errors, reviews, delay, cost

    >>> from mlprod_helpers.automation import Costs, Reviewers, uniform_cases
    >>> cases = uniform_cases(1 / 60, n=20_000, random_state=0)
    >>> costs = Costs(error=20, review=1, delay=3)
    >>> for count in (3, 2, 1):  # the fewer people, the lower the threshold
    ...     curve = cost_curve(cases["confidence"], cases["model_right"], 1 / 30, Reviewers(count, 60.0), costs)
    ...     print(count, float(curve["cost"].idxmin()))
    3 0.9
    2 0.9
    1 0.73
    """
    reviewers, costs = reviewers or Reviewers(), costs or Costs()
    confidence, correct = _pairs(confidence, correct)
    if not 0 < rate < np.inf:
        raise ValueError(f"rate is {rate}, but cases arrive at a finite number above 0 a second.")
    if thresholds is None:
        thresholds = np.round(np.arange(0.5, 1.015, 0.01), 2)
    thresholds = np.asarray(thresholds, dtype=float)
    order = np.sort(confidence)
    wrong = np.sort(confidence[~correct])
    coverage = 1 - np.searchsorted(order, thresholds) / len(order)
    automated_wrong = (len(wrong) - np.searchsorted(wrong, thresholds)) / len(order)
    left = 1 - coverage
    load = rate * left * reviewers.mean_seconds / reviewers.count
    wait = np.array(
        [mgc(rate * each, reviewers.mean_seconds, reviewers.cv, reviewers.count).wait for each in left]
    )
    human_error = np.minimum(reviewers.error + reviewers.fatigue * np.minimum(load, 1), 1)
    errors = costs.error * (automated_wrong + left * human_error)
    with np.errstate(invalid="ignore"):
        waiting = np.where(left > 0, left * (wait + reviewers.mean_seconds), 0.0)
        delay = np.where(load < 1, costs.delay * waiting / 3600, np.inf)
    table = pd.DataFrame(
        {
            "coverage": coverage,
            "risk": np.divide(
                automated_wrong, coverage, out=np.full(len(thresholds), np.nan), where=coverage > 0
            ),
            "load": load,
            "wait": wait,
            "human_error": human_error,
            "errors": errors,
            "reviews": costs.review * left,
            "delay": delay,
        },
        index=pd.Index(thresholds, name="threshold"),
    )
    table["cost"] = table[["errors", "reviews", "delay"]].sum(axis=1)
    return table
