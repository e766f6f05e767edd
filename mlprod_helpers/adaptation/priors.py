"""Prior shift: the mix of the classes changed, each class still looks as before."""

import numpy as np

from mlprod_helpers.requestlog.numbers import as_floats

_ROUNDS = 10_000  # at most
_TOLERANCE = 1e-8  # the estimate stays when the share moves by no more


def reweigh(p, prior_old, prior_new):
    """The probabilities that a model would give if it had been trained under the new mix of classes.

    Right under prior shift alone: `P(x | y)` stays, `P(y)` changes. Bayes' rule then multiplies the odds by the
    ratio of the prior odds. (Multiplying the probability itself can give 1.4.)

    Parameters
    ----------
    p : array-like of float, shape (n,). Calibrated probabilities of class 1 under the old mix.
    prior_old, prior_new : float
        Share of class 1 when the model was trained and now. An old share of 0 or 1 is refused.

    Source: Elkan, "The foundations of cost-sensitive learning", IJCAI (2001), theorem 2.

    >>> reweigh([0.5, 0.9], prior_old=0.5, prior_new=0.1).round(4)
    array([0.1, 0.5])
    """
    return _reweighed(_probabilities(p), _old_share(prior_old), _share(prior_new, "prior_new"))


def estimate_prior(p, prior_old):
    """The mix of classes now, without labels, from the model's probabilities on new rows.

    Expectation-maximization: reweigh the probabilities to the current guess, take their mean as the next guess. It
    climbs the likelihood of the new rows, and is right under prior shift alone with calibrated probabilities. Under
    concept or covariate shift it answers all the same, and wrongly.

    Parameters
    ----------
    p : array-like of float, shape (n,). Calibrated probabilities of class 1 on the new rows, under the old mix.
    prior_old : float. Share of class 1 in training.

    Raises
    ------
    ValueError : as `reweigh`, and for an empty `p`.
    RuntimeError : when the estimate still moves after 10,000 rounds.

    Source: Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities: a
        simple procedure", Neural Computation 14 (2002).

    Half of the old rows were of class 1; now it is every fifth.

    >>> rng = np.random.default_rng(0)
    >>> y = rng.random(20_000) < 0.2
    >>> x = rng.normal(2.0 * y)                      # each class looks as before
    >>> p = 1 / (1 + np.exp(-(2 * x - 2)))           # the right model for equal shares
    >>> round(estimate_prior(p, prior_old=0.5), 2), round(float(p.mean()), 2)
    (0.2, 0.33)
    """
    p, old = _probabilities(p), _old_share(prior_old)
    if not len(p):
        raise ValueError("p is empty: there are no rows to estimate the mix from.")
    guess = old
    for _ in range(_ROUNDS):
        before, guess = guess, float(_reweighed(p, old, guess).mean())
        if abs(guess - before) <= _TOLERANCE:
            return guess
    raise RuntimeError(f"The estimate still moves after {_ROUNDS:,} rounds: use more rows.")


def _probabilities(p):
    p = as_floats(p, "p")
    if p.ndim != 1:
        raise ValueError(f"p must be one probability a row, shape (n,), not {p.shape}.")
    if p.size and not (p.min() >= 0 and p.max() <= 1):
        raise ValueError("p must be probabilities between 0 and 1, none missing.")
    return p


def _share(prior, name):
    share = as_floats(prior, name)
    if share.ndim:
        raise ValueError(f"{name} must be one number, the share of class 1.")
    if not 0 <= share <= 1:
        raise ValueError(f"{name}={prior!r} must be a share between 0 and 1.")
    return float(share)


def _old_share(prior):
    share = _share(prior, "prior_old")
    if share in (0, 1):
        raise ValueError(f"prior_old={share:g}: the model saw one class only, so nothing can be reweighed.")
    return share


def _reweighed(p, old, new):
    of_1, of_0 = p * (new / old), (1 - p) * ((1 - new) / (1 - old))
    total = of_1 + of_0
    # a row that is certain of a class that is gone: it stays as it was
    return np.divide(of_1, total, out=p.copy(), where=total > 0)
