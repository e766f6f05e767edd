"""When should a model keep quiet? Risk against coverage, Chow's rule, and thresholds that are safe and not only lucky.

A case is automated when the model's confidence reaches a threshold. Coverage is the share of the cases that are
automated, risk the share of wrong answers among those.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from mlprod_helpers.requestlog.numbers import as_floats


@dataclass(frozen=True, repr=False, eq=False)
class RiskCoverage:
    """The risk-coverage curve; made by `risk_coverage`.

    Attributes
    ----------
    threshold : array of the different confidences, falling: automate what is at least as confident
    coverage, risk : arrays. Share automated at that threshold, share wrong among them
    accepted, errors : arrays. The same as counts
    aurc : float, area under the curve (mean risk over all coverages); the less, the better the model knows what it knows
    """

    threshold: np.ndarray
    accepted: np.ndarray
    errors: np.ndarray

    @property
    def coverage(self):
        return self.accepted / self.accepted[-1]

    @property
    def risk(self):
        return self.errors / self.accepted

    @property
    def aurc(self):
        n = int(self.accepted[-1])
        ranks = np.arange(1, n + 1)
        # equal confidences have no order: their errors come in evenly
        return float(
            (np.interp(ranks, np.append(0, self.accepted), np.append(0, self.errors)) / ranks).mean()
        )

    def plot(self, *, max_risk=None):
        """Risk over coverage, and up to its 95% upper bound at each threshold, taken alone (see `upper_bound`)."""
        from mlprod_helpers import plots

        fig, ax = plots.figure()
        bound = upper_bound(self.errors, self.accepted)
        ax.fill_between(
            100 * self.coverage, 100 * self.risk, 100 * bound, color=plots.SKY, alpha=0.35, linewidth=0
        )
        ax.plot(100 * self.coverage, 100 * self.risk, color=plots.BLUE)
        top = 115 * float(self.risk[-1])
        if max_risk is not None:
            ax.axhline(100 * max_risk, color=plots.INK, linewidth=1, linestyle="--")
            at = (100, 100 * max_risk)
            ax.annotate(
                f"{max_risk:.0%} wrong", at, (-2, 3), textcoords="offset points", ha="right", fontsize=9
            )
            kept = self.coverage[self.risk <= max_risk].max(initial=0)
            ax.set_title(f"{kept:.0%} of the cases can be automated at a measured risk of {max_risk:.0%}")
            top = max(top, 150 * max_risk)
        ax.set(xlim=(0, 100), ylim=(0, max(top, 1)))
        ax.set(xlabel="coverage: automated cases (%)", ylabel="risk: wrong among them (%)")
        plots.name_colors(ax, {"measured": plots.BLUE, "up to its 95% bound": plots.SKY})
        half = int(np.searchsorted(self.coverage, 0.5))
        return plots.Figure(
            fig,
            f"A curve shows how the risk depends on the coverage. If {plots.percent(self.coverage[half])} of the cases are automated, "
            f"{plots.percent(self.risk[half])} of the automated answers are wrong. If all are automated, {plots.percent(self.risk[-1])} are wrong. "
            f"The upper bound lies far above the curve where few cases are automated.",
        )

    def __repr__(self):
        return (
            f"RiskCoverage({int(self.accepted[-1]):,} cases, {self.risk[-1]:.3f} wrong if all are automated, "
            f"AURC {self.aurc:.4f})"
        )


def risk_coverage(confidence, correct):
    """How often is the model wrong where it is most confident, and what share of the cases is that?

    Parameters
    ----------
    confidence : array of n numbers; only their order counts here. A missing one is refused: such a case goes to a person
    correct : array of n booleans: was the model right? A missing one is refused: leave out what nobody has looked at

    Returns
    -------
    RiskCoverage : one point for each different confidence; equal ones come together, since no threshold parts them

    Source: R. El-Yaniv, Y. Wiener, "On the foundations of noise-free selective classification", JMLR 11 (2010); AURC after
    Y. Geifman, G. Uziel, R. El-Yaniv, "Bias-reduced uncertainty estimation for deep neural classifiers", ICLR 2019.

    >>> curve = risk_coverage([0.9, 0.8, 0.8, 0.6], [True, True, False, False])
    >>> curve.threshold, curve.coverage, curve.risk.round(2)
    (array([0.9, 0.8, 0.6]), array([0.25, 0.75, 1.  ]), array([0.  , 0.33, 0.5 ]))
    """
    confidence, correct = _pairs(confidence, correct)
    order = np.argsort(-confidence, kind="stable")
    sorted_confidence = confidence[order]
    last = np.append(np.diff(sorted_confidence) != 0, True)  # the last of each group of equals
    wrong = np.cumsum(~correct[order])
    return RiskCoverage(sorted_confidence[last], np.flatnonzero(last) + 1, wrong[last])


def chow_threshold(cost_error, cost_human):
    """From which confidence on is it cheaper to let the model decide?

    A case left to the model costs (1 - confidence) x `cost_error` on average, a case given to a person
    `cost_human`, waiting included. It holds for calibrated confidences only.

    Source: C. K. Chow, "On optimum recognition error and reject tradeoff", IEEE Transactions on Information Theory
    16 (1970).

    >>> chow_threshold(cost_error=20, cost_human=1)
    0.95
    """
    if not 0 < cost_error < np.inf:
        raise ValueError(f"cost_error is {cost_error}, but an error costs a finite number above 0.")
    if not 0 <= cost_human < np.inf:
        raise ValueError(f"cost_human is {cost_human}, but it is a finite number, 0 or more.")
    return float(np.clip(1 - cost_human / cost_error, 0.0, 1.0))


def upper_bound(errors, n):
    """How large may the true error rate be, after `errors` wrong ones of `n`? The bound is 95% sure; 1 where n is 0.

    Source: C. J. Clopper, E. S. Pearson, Biometrika 26 (1934). One-sided. With no error at all it is about 3 / n.

    >>> round(upper_bound(0, 12), 3), round(upper_bound(0, 300), 3), round(upper_bound(3, 300), 3)
    (0.221, 0.01, 0.026)
    """
    from scipy.special import betaincinv

    errors, n = np.asarray(errors, dtype=float), np.asarray(n, dtype=float)
    if (errors < 0).any() or (errors > n).any():
        raise ValueError("Among n cases there are 0 to n errors.")
    some = n > errors
    bound = np.where(some, betaincinv(errors + 1, np.where(some, n - errors, 1), 0.95), 1.0)
    return float(bound) if bound.ndim == 0 else bound


class Point(NamedTuple):
    """What one threshold does to one sample."""

    threshold: float
    coverage: float
    risk: float  # NaN when nothing is automated
    bound: float  # upper confidence bound of the risk


def operating_point(confidence, correct, threshold):
    """What an old threshold does to new cases: a `Point` whose bound holds with 95%.

    >>> operating_point([0.9, 0.8, 0.7, 0.6], [True, True, False, True], 0.8).coverage
    0.5
    """
    confidence, correct = _pairs(confidence, correct)
    automated = confidence >= threshold
    n, errors = int(automated.sum()), int((~correct[automated]).sum())
    risk = errors / n if n else np.nan
    return Point(float(threshold), n / len(confidence), risk, upper_bound(errors, n))


def safe_points(confidence, correct, max_risk):
    """Which thresholds keep the risk at or below `max_risk`, and surely so, although many are tried?

    The thresholds 0.50, 0.51, ..., 0.99 are tested from the strictest on, and the first one that fails ends the row
    ("fixed sequence"): then all that passed hold together with a probability of 95%. Those with so few automated
    cases that even a handful of errors could not be told from too many are not asked.

    Parameters
    ----------
    confidence, correct : arrays of n, from cases that were not used to fit or calibrate the model
    max_risk : float, the safety floor: highest share of wrong automated decisions

    Returns
    -------
    DataFrame : index threshold, strictest first; columns coverage, accepted, errors, risk, bound, safe

    Source: A. N. Angelopoulos et al., "Learn then test: calibrating predictive algorithms to achieve risk control",
    Annals of Applied Statistics 19 (2025), arXiv 2110.01052.

    >>> rng = np.random.default_rng(0)
    >>> confidence = rng.uniform(0.5, 1, 4000)
    >>> table = safe_points(confidence, rng.random(4000) < confidence, max_risk=0.05)
    >>> float(table.index[table["safe"]].min())  # calibrated and uniform: 0.90 would do if one knew it
    0.93
    """
    confidence, correct = _pairs(confidence, correct)
    if not 0 < max_risk < 1:
        raise ValueError(f"max_risk is {max_risk}, but a risk to keep lies between 0 and 1, such as 0.02.")
    grid = np.round(np.arange(0.99, 0.495, -0.01), 2)
    order = np.sort(confidence)
    accepted = len(order) - np.searchsorted(order, grid)
    right = np.sort(confidence[correct])
    errors = accepted - (len(right) - np.searchsorted(right, grid))
    bound = upper_bound(errors, accepted)
    # enough cases to pass with a third of the allowed errors: it looks at confidences only, so nothing is picked by luck
    asked = upper_bound(np.floor(max_risk / 3 * accepted), accepted) <= max_risk
    failed = np.cumsum(asked & (bound > max_risk)) > 0
    return pd.DataFrame(
        {
            "coverage": accepted / len(confidence),
            "accepted": accepted,
            "errors": errors,
            "risk": np.divide(errors, accepted, out=np.full(len(grid), np.nan), where=accepted > 0),
            "bound": bound,
            "safe": asked & ~failed,
        },
        index=pd.Index(grid, name="threshold"),
    )


def _pairs(confidence, correct):
    confidence, correct = as_floats(confidence, "confidence"), as_floats(correct, "correct")
    if confidence.ndim != 1 or confidence.shape != correct.shape:
        raise ValueError(
            f"confidence has shape {confidence.shape} and correct {correct.shape}, but both have one entry a case."
        )
    if not len(confidence):
        raise ValueError("There are no cases.")
    if np.isnan(confidence).any():
        raise ValueError("A confidence is missing: a case without one goes to a person, leave it out here.")
    if np.isnan(correct).any():
        raise ValueError(
            f"The truth of {np.isnan(correct).sum()} cases is missing: leave them out, for nobody knows whether the "
            "model was right there."
        )
    if not np.isin(correct, (0, 1)).all():
        raise ValueError("correct says whether the model was right: True or False for each case.")
    return confidence, correct.astype(bool)
