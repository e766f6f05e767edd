"""Tests that may look more than once: what peeking costs, and two ways to look often and stay honest.

A test at 5% that is repeated at every look is no test at 5%. A group-sequential test raises its bar for a planned number
of looks; an always-valid test allows a look at any moment, for more data.

>>> round(peeking(1), 3), round(peeking(5), 3)
(0.05, 0.142)
"""

import functools

import numpy as np
import pandas as pd

from mlprod_helpers.requestlog.numbers import as_floats

ALPHA = 0.05  # false alarms of each test, of all its looks together


def crossing(bounds, *, drift=0.0):
    """How probable is it that a z statistic has left its bounds by look 1, 2, ... K, equally spaced?

    `bounds` are K positive z values: the test stops at look k when `|z|` reaches bounds[k]. `drift` is the mean of z
    at the last look if it is reached, 0 for no difference. The integral is done look by look over the values that
    have stayed inside: exact, not simulated. Both bounds count, with a drift too; tables of sample sizes count only
    the one that the drift leads to.

    Source: P. Armitage, C. K. McPherson, B. C. Rowe, Repeated significance tests on accumulating data, JRSS A 132
    (1969).

    >>> crossing([1.96] * 5).round(3)
    array([0.05 , 0.083, 0.107, 0.126, 0.142])
    >>> crossing([1.96], drift=2.8).round(2)  # the sample size for 80% power
    array([0.8])
    """
    bounds = np.asarray(bounds, dtype=float)
    if not (bounds > 0).all():
        raise ValueError(f"bounds are {bounds.tolist()}, but each is the |z| that stops the test: above 0.")
    times = np.arange(1, len(bounds) + 1) / len(bounds)
    # doubling the nodes changes no digit that is printed
    nodes, weights = _nodes(64 + 4 * len(times))
    # the sum B(t) = z sqrt(t) has independent steps of variance dt and mean drift dt
    values, mass, stopped, before = np.array([0.0]), np.array([1.0]), [], 0.0
    for bound, time in zip(bounds, times, strict=True):
        step = time - before
        edge = min(bound * np.sqrt(time), 9.0 + abs(drift))
        at = edge * nodes
        density = np.exp(-((at[:, None] - values - drift * step) ** 2) / (2 * step)) / np.sqrt(
            2 * np.pi * step
        )
        values, mass, before = at, (density @ mass) * weights * edge, time
        stopped.append(1.0 - mass.sum())
    return np.array(stopped)


_nodes = functools.lru_cache(32)(np.polynomial.legendre.leggauss)


def peeking(looks):
    """How often does a test at a level of 5% raise a false alarm when it is repeated at each of some equally spaced looks?

    >>> [round(peeking(looks), 3) for looks in (1, 2, 5, 10)]
    [0.05, 0.083, 0.142, 0.193]
    """
    return float(crossing([_z(ALPHA)] * _looks(looks))[-1])


def pocock(looks, alpha=ALPHA):
    """The same bar at each look, raised so that all looks together err in `alpha` of the cases.

    >>> pocock(5).round(3)
    array([2.413, 2.413, 2.413, 2.413, 2.413])

    Source: S. J. Pocock, Biometrika 64 (1977).
    """
    return _solve(np.ones(_looks(looks)), alpha)


def obrien_fleming(looks, alpha=ALPHA):
    """A bar that is very high at first and nearly that of a single test at the end.

    >>> obrien_fleming(5).round(3)
    array([4.562, 3.226, 2.634, 2.281, 2.04 ])

    Source: P. C. O'Brien, T. R. Fleming, Biometrics 35 (1979).
    """
    looks = _looks(looks)
    return _solve(np.sqrt(looks / np.arange(1, looks + 1)), alpha)


def msprt(difference, variance, tau):
    """The mixture likelihood ratio of an always-valid test: stop when it reaches 1 / alpha, whenever you look.

    It weighs "no difference" (of canary minus stable, with this variance) against differences of a typical size
    `tau`, in the unit of the metric (normal with mean 0 and that deviation). The always-valid p-value is 1 over the
    largest ratio so far.

    Source: R. Johari, P. Koomen, L. Pekelis, D. Walsh, Always valid inference, Operations Research 70 (2022),
    equation 9.

    >>> round(float(msprt(0.0, 0.01, 0.1)), 3), round(float(msprt(0.4, 0.01, 0.1)), 1)
    (0.707, 38.6)
    """
    variance = np.asarray(variance, dtype=float)
    if not 0 < tau < np.inf:
        raise ValueError(f"tau is {tau}, but it is the size of a difference that matters: above 0, finite.")
    total = variance + tau**2
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = np.sqrt(variance / total) * _exp(tau**2 * np.square(difference) / (2 * variance * total))
    # without any variance there is nothing to weigh yet; what is no number stays none
    alone = np.where(np.equal(difference, 0), 0.0, np.inf)
    return np.where(np.isnan(variance + difference), np.nan, np.where(variance > 0, ratio, alone))


def z_score(stable, canary, users=None):
    """(z, difference, its variance): the difference of two means in standard errors, canary minus stable.

    The variance is pooled, as for no difference; z is 0 when both are constant and equal. Requests of one user are
    no independent draws. With `users` (a pair of arrays of names, one a request; a missing name is a user of their
    own) the variance counts users, by the delta method: the sums of each user's residuals say how alike two
    requests of one user are, and that covariance is added for every pair of requests that a user has in one version
    (and subtracted where a user has met both). With one request a user nothing changes.

    Source: A. Deng, U. Knoblich, J. Lu, Applying the delta method in metric analytics, KDD 2018, section 3.

    >>> z, difference, _ = z_score([0] * 99 + [1], [0] * 90 + [1] * 10)
    >>> round(z, 2), round(difference, 2)
    (2.79, 0.09)
    >>> z, *_ = z_score([0] * 99 + [1], [0] * 90 + [1] * 10, users=(range(100), [f"user {i // 10}" for i in range(100)]))
    >>> round(z, 2)  # one user had all ten errors: that is hardly evidence
    1.19
    """
    stable, canary = finite(stable, "stable"), finite(canary, "canary")
    values = np.concatenate([stable, canary])
    values = (
        values - values[0]
    )  # two subtractions: offsets of 1e9 cost no digits, equal values give exactly 0
    residuals = values - values.mean()
    scale = np.abs(residuals).max() or 1.0  # squares of 1e200 are infinite, those of 1e-200 are 0
    residuals = residuals / scale
    difference = residuals[len(stable) :].mean() - residuals[: len(stable)].mean()
    variance = _variance(residuals, len(stable), _codes(users, len(stable), len(canary)))
    z = float(difference / np.sqrt(variance)) if variance > 0 else 0.0
    with np.errstate(over="ignore"):
        return z, float(difference * scale), float(variance * np.square(scale))


def design_effect(stable, canary, users):
    """How many times is the variance of canary minus stable what it would be if all requests were independent?

    For users with N requests each and a correlation r between two of them it is about 1 + (N - 1) r; it is 1 where
    nothing varies. The arguments are those of `z_score`. Source: L. Kish, Survey Sampling (1965), section 5.4.

    >>> each, user = np.random.default_rng(0), np.repeat(np.arange(1000), 20)  # 19 requests more, correlation 0.05: 1.95
    >>> values = each.normal(0, 0.95**0.5, 20_000) + each.normal(0, 0.05**0.5, 1000)[user]
    >>> round(design_effect(values[:10_000], values[10_000:], (user[:10_000], user[10_000:])), 1)
    1.9
    """
    clustered, alone = (z_score(stable, canary, of)[2] for of in (users, None))
    return clustered / alone if alone > 0 else 1.0


def _variance(residuals, n, users):
    """The variance of the difference of two means, from the residuals of n stable requests and the others."""
    both, m = len(residuals), len(residuals) - n
    squares = (residuals**2).sum()
    variance = squares / both * (1 / n + 1 / m)
    if users is None:
        return variance
    of_stable, of_canary = (
        np.bincount(part, minlength=users.max() + 1).astype(float) for part in (users[:n], users[n:])
    )
    of_both = of_stable + of_canary
    pairs = (of_both**2).sum() - both
    if not pairs:  # one request a user
        return variance
    # residuals add up to 0, which takes away one user of them: k / (k - 1)
    k = np.count_nonzero(of_both)
    correction = k / max(k - 1, 1)
    covariance = ((np.bincount(users, weights=residuals) ** 2).sum() * correction - squares) / pairs
    alike = ((of_stable / n - of_canary / m) ** 2).sum() - (1 / n + 1 / m)
    return variance + min(max(covariance, 0.0), squares / both) * alike


def user_codes(users):
    """Each request's user as a whole number from 0; a missing user is one of their own.

    >>> user_codes(["ana", None, "ben", "ana", None]).tolist()
    [0, 3, 1, 0, 6]
    """
    codes, names = pd.factorize(pd.Series(users))
    return np.where(codes < 0, len(names) + np.arange(len(codes)), codes)


def _codes(users, n, m):
    """The users of both versions as whole numbers from 0."""
    if users is None:
        return None
    stable, canary = users
    if (len(stable), len(canary)) != (n, m):
        raise ValueError(
            f"users names {len(stable)} and {len(canary)} requests, but there are {n} of stable and {m} of canary: "
            "give (stable's users, canary's users), one name a request."
        )
    if all(isinstance(part, np.ndarray) and part.dtype == np.int64 for part in users):  # as in `Metrics`
        return pd.factorize(np.concatenate(users))[0]
    return user_codes(pd.concat(pd.Series(part, dtype=None if len(part) else object) for part in users))


def finite(values, name):
    """The values as floats; refused where one of them is missing or infinite, or where there are none."""
    values = as_floats(values, name)
    if not len(values):
        raise ValueError(f"{name} has no values: give one number a request, at least one.")
    if bad := int((~np.isfinite(values)).sum()):
        raise ValueError(
            f"{bad} of {len(values)} values of {name} are missing or infinite: leave them out, and count them."
        )
    return values


def requests_needed(p, q, *, power=0.8):
    """How many requests does each arm need to tell rate `q` (new version) from rate `p` (old version), both arms equal?

    Both rates lie strictly between 0 and 1. `power` is the probability to find the difference; the two-sided test
    errs in 5% of the cases. A canary that gets few requests waits for its own arm to fill; then about half as many
    canary requests do, since the stable arm is much larger.

    >>> requests_needed(0.0043, 0.0052)
    91617
    """
    if not (0 < p < 1 and 0 < q < 1) or p == q:
        raise ValueError(f"Rates {p} and {q}: give two different shares between 0 and 1 (0.43% is 0.0043).")
    from scipy.special import ndtri

    mean = (p + q) / 2
    under_none, under_some = np.sqrt(2 * mean * (1 - mean)), np.sqrt(p * (1 - p) + q * (1 - q))
    return int(np.ceil(((_z(ALPHA) * under_none + ndtri(power) * under_some) / (q - p)) ** 2))


def operating_characteristics(*, runs=20_000, random_state=None):
    """What does each way of looking cost, and what does it find? Simulated on counts of failed requests, at a level of 5%.

    The stable version fails in 10% of the requests, the bad one in 11.5%. Both arms get as many requests as give a single
    test 80% power. The always-valid test looks 100 times, the others 5 times.

    Returns
    -------
    DataFrame : index `test`; columns `false_positives`, `power`, `requests` (mean share of the requests that an arm had
        when a bad version was stopped, or all of them)

    >>> operating_characteristics(runs=2000, random_state=0).round(2)
                              false_positives  power  requests
    test
    one look at the end                  0.05   0.79      1.00
    peeking, 5 looks                     0.14   0.85      0.59
    Pocock, 5 looks                      0.05   0.70      0.71
    O'Brien-Fleming, 5 looks             0.05   0.79      0.80
    mSPRT, 100 checks                    0.01   0.52      0.79
    """
    looks, checks, p, effect = 5, 100, 0.1, 0.015
    requests = requests_needed(p, p + effect)
    rng = np.random.default_rng(random_state)
    at = checks // looks * np.arange(1, looks + 1) - 1
    sizes = np.diff((np.arange(checks + 1) * requests) // checks)
    n = sizes.cumsum()
    rates, share = {}, {}
    for rate in (p, p + effect):
        # one arm after the other, in 32 bits: 20,000 runs of 100 checks are 8 MB each
        stable, canary = (
            rng.binomial(sizes, q, size=(runs, checks)).cumsum(axis=1, dtype=np.int32) for q in (p, rate)
        )
        z, difference, variance = _z_of_counts(n, stable, canary)
        ratio = msprt(difference, variance, effect)
        single = np.abs(z[:, -1:]) >= _z(ALPHA)
        crossed = {
            "one look at the end": (single, [checks - 1]),
            f"peeking, {looks} looks": (np.abs(z[:, at]) >= _z(ALPHA), at),
            f"Pocock, {looks} looks": (np.abs(z[:, at]) >= pocock(looks), at),
            f"O'Brien-Fleming, {looks} looks": (np.abs(z[:, at]) >= obrien_fleming(looks), at),
            f"mSPRT, {checks} checks": (ratio >= 1 / ALPHA, np.arange(checks)),
        }
        for name, (stops, when) in crossed.items():
            stopped = stops.any(axis=1)
            rates.setdefault(name, []).append(stopped.mean())
            share[name] = (
                np.where(stopped, n[np.asarray(when)[stops.argmax(axis=1)]], requests).mean() / requests
            )
    table = pd.DataFrame.from_dict(rates, orient="index", columns=["false_positives", "power"])
    return table.assign(requests=pd.Series(share)).rename_axis("test")


def _z_of_counts(n, stable, canary):
    """As `z_score`, from the failed requests of two arms of n requests each; arrays."""
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = canary / n - stable / n
        mean = (stable + canary) / (n + n)
        variance = np.maximum(mean - mean**2, 0.0) * (1 / n + 1 / n)
        z = np.where(variance > 0, difference / np.sqrt(variance), 0.0)
    return z, difference, variance


def _solve(shape, alpha):
    """The multiple of `shape` that a null statistic crosses with probability `alpha`."""
    from scipy.optimize import brentq

    # with one look it is the single test's bar, with many a little more; alpha split among the looks is too high a bar
    low, high = _z(alpha) / shape[-1] * 0.999, _z(alpha / len(shape)) * 1.001
    return brentq(lambda times: crossing(times * shape)[-1] - alpha, low, high) * shape


def _z(alpha):
    from scipy.special import ndtri

    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}, but it is the probability of a false alarm: 0.05 for 5%.")
    return float(ndtri(1 - alpha / 2))


def _looks(looks):
    if int(looks) != looks or looks < 1:
        raise ValueError(f"{looks} looks: give a whole number from 1.")
    return int(looks)


def _exp(value):
    return np.exp(np.minimum(value, 700.0))  # e^710 is infinite
