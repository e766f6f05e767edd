"""Prior shift: the mix of the classes changed, each class still looks as before."""

import numpy as np

from mlprod_helpers.requestlog.numbers import as_floats

__all__ = ["estimate_prior", "reweigh"]

_ROUNDS = 10_000  # at most
_TOLERANCE = 1e-8  # the estimate stands when no share moves by more


def reweigh(p, prior_old, prior_new):
    """The probabilities that a model would give if it had been trained under the new mix of classes.

    Right under prior shift alone: `P(x | y)` stays, `P(y)` changes. Bayes' rule then multiplies the odds by the
    ratio of the prior odds. (Multiplying the probability itself can give 1.4.)

    Parameters
    ----------
    p : array-like of float, shape (n,) or (n, k)
        Calibrated probabilities under the old mix: of class 1, or of each of k classes.
    prior_old, prior_new : float, or array-like of float, shape (k,)
        Share of class 1, or of each class, when the model was trained and now. An old prior of 0 or 1 is refused.

    Source: Elkan, "The foundations of cost-sensitive learning", IJCAI (2001), theorem 2.

    >>> reweigh([0.5, 0.9], prior_old=0.5, prior_new=0.1).round(4)
    array([0.1, 0.5])
    """
    table, binary = _table(p)
    old = _prior(prior_old, table.shape[1], "prior_old", binary)
    new = _prior(prior_new, table.shape[1], "prior_new", binary)
    if not (old > 0).all():
        raise ValueError(
            "prior_old has a class of share 0: the model never saw it, so nothing can be reweighed."
        )
    return _back(_reweighed(table, old, new), binary)


def estimate_prior(p, prior_old):
    """The mix of classes now, without labels, from the model's probabilities on new rows.

    Expectation-maximization: reweigh the probabilities to the current guess, take their mean as the next guess. It
    climbs the likelihood of the new rows, and is right under prior shift alone with calibrated probabilities. Under
    concept or covariate shift it answers all the same, and wrongly.

    Parameters
    ----------
    p : array-like of float, shape (n,) or (n, k). Calibrated probabilities on the new rows, under the old mix.
    prior_old : float, or array-like of float, shape (k,). Share of class 1, or of each class, in training.

    Raises
    ------
    ValueError : as `reweigh`, and for an empty `p`.
    RuntimeError : when the estimate still moves after 10,000 rounds.

    Source: Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities:
        a simple
    procedure", Neural Computation 14 (2002).

    Half of the old rows were of class 1; now it is every fifth.

    >>> rng = np.random.default_rng(0)
    >>> y = rng.random(20_000) < 0.2
    >>> x = rng.normal(2.0 * y)                      # each class looks as before
    >>> p = 1 / (1 + np.exp(-(2 * x - 2)))           # the right model for equal shares
    >>> round(estimate_prior(p, prior_old=0.5), 2), round(float(p.mean()), 2)
    (0.2, 0.33)
    """
    table, binary = _table(p)
    if not len(table):
        raise ValueError("p is empty: there are no rows to estimate the mix from.")
    old = _prior(prior_old, table.shape[1], "prior_old", binary)
    if not (old > 0).all():
        raise ValueError(
            "prior_old has a class of share 0: the model never saw it, so it cannot be estimated."
        )
    guess = old
    for _ in range(_ROUNDS):
        before, guess = guess, _reweighed(table, old, guess).mean(axis=0)
        if np.abs(guess - before).max() <= _TOLERANCE:
            return float(guess[1]) if binary else guess
    raise RuntimeError(f"The estimate still moves after {_ROUNDS:,} rounds: use more rows.")


def _table(p):
    """Probabilities with one column a class; the flag says that only class 1 was given."""
    p = as_floats(p, "p")
    if p.ndim not in (1, 2):
        raise ValueError(f"p must have shape (n,) or (n, k), not {p.shape}.")
    if p.size and not (p.min() >= 0 and p.max() <= 1):
        raise ValueError("p must be probabilities between 0 and 1, none missing.")
    if p.ndim == 1:
        return np.column_stack([1 - p, p]), True
    if p.size and not np.allclose(p.sum(axis=1), 1, atol=1e-6):
        raise ValueError("each row of p must sum to 1: one column a class.")
    return p, False


def _prior(prior, n_classes, name, binary):
    """A prior as shares of all classes."""
    shares = as_floats(prior, name)
    if binary and shares.ndim == 0:
        shares = np.array([1 - shares, shares])
    if shares.shape != (n_classes,):
        wanted = "one number, the share of class 1" if binary else f"{n_classes} shares, one a class"
        raise ValueError(f"{name} must be {wanted}.")
    if not (shares.min() >= 0 and shares.max() <= 1 and np.isclose(shares.sum(), 1)):
        raise ValueError(f"{name}={prior!r} must be shares between 0 and 1 that sum to 1.")
    return shares


def _reweighed(table, old, new):
    weighed = table * (new / old)
    total = weighed.sum(axis=1, keepdims=True)
    # a row that is certain of a class that is gone: it stays as it was
    return np.divide(weighed, total, out=table.copy(), where=total > 0)


def _back(table, binary):
    return table[:, 1] if binary else table
