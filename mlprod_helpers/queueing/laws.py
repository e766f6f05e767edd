"""How long one request keeps a server busy: laws of the service time, in seconds."""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri

from mlprod_helpers.requestlog.numbers import as_floats


class Law:
    """A law of service times: `mean` (s) and `cv` (standard deviation / mean)."""

    def sample(self, n, random_state=None):
        """`n` service times in seconds."""
        return self._sample(n, np.random.default_rng(random_state))

    def percentile(self, q):
        """The service time in seconds that `q` percent of the requests do not exceed."""
        raise NotImplementedError


@dataclass(frozen=True)
class Constant(Law):
    """Every request takes equally long: `mean` seconds.

    >>> Constant(0.05).sample(3)
    array([0.05, 0.05, 0.05])
    """

    mean: float
    cv: float = field(default=0.0, init=False)

    def __post_init__(self):
        _positive(self.mean, "mean")

    def _sample(self, n, rng):
        return np.full(n, float(self.mean))

    def percentile(self, q):
        return float(self.mean)


@dataclass(frozen=True)
class Exponential(Law):
    """Many short, few long ones, without memory: the M of M/M/c. `mean` in seconds.

    >>> Exponential(2.0).percentile(99).round(2)
    np.float64(9.21)
    """

    mean: float
    cv: float = field(default=1.0, init=False)

    def __post_init__(self):
        _positive(self.mean, "mean")

    def _sample(self, n, rng):
        return rng.exponential(self.mean, size=n)

    def percentile(self, q):
        return -self.mean * np.log1p(-q / 100)


@dataclass(frozen=True)
class Lognormal(Law):
    """The shape of most measured latencies: never near 0, with a long tail. `mean` in seconds, `cv` its spread.

    >>> law = Lognormal(0.05, cv=1.5)
    >>> times = law.sample(1_000_000, random_state=0)
    >>> times.mean().round(3), (times.std() / times.mean()).round(1)
    (np.float64(0.05), np.float64(1.5))
    """

    mean: float
    cv: float = 1.0

    def __post_init__(self):
        _positive(self.mean, "mean")
        _positive(self.cv, "cv")

    @property
    def _log(self):
        """Mean and standard deviation of the logarithm."""
        sigma = np.sqrt(np.log1p(self.cv**2))
        return np.log(self.mean) - sigma**2 / 2, sigma

    def _sample(self, n, rng):
        return rng.lognormal(*self._log, size=n)

    def percentile(self, q):
        mu, sigma = self._log
        return np.exp(mu + sigma * ndtri(q / 100))


class Measured(Law):
    """Service times that were measured, drawn again at random. Seconds, waiting not included.

    >>> law = Measured([0.1, 0.1, 0.4])
    >>> round(law.mean, 3), round(law.cv, 3)
    (0.2, 0.707)
    """

    def __init__(self, seconds):
        seconds = as_floats(seconds, "seconds").ravel()
        if len(seconds) == 0:
            raise ValueError("No service time was measured: at least one is needed.")
        if not (np.isfinite(seconds).all() and (seconds >= 0).all() and seconds.any()):
            raise ValueError("Measured service times are finite seconds, 0 or more: drop the missing ones.")
        self.seconds = seconds
        self.mean = float(seconds.mean())
        self.cv = float(seconds.std() / seconds.mean())

    def __eq__(self, other):
        return isinstance(other, Measured) and np.array_equal(self.seconds, other.seconds)

    def __hash__(self):
        return hash((len(self.seconds), self.mean))

    def __repr__(self):
        return f"Measured({len(self.seconds)} times, mean={self.mean:.4g}, cv={self.cv:.3g})"

    def _sample(self, n, rng):
        return rng.choice(self.seconds, size=n)

    def percentile(self, q):
        return float(np.percentile(self.seconds, q, method="inverted_cdf"))


def as_law(service):
    """A law as it is; a number becomes `Constant`.

    >>> as_law(0.05)
    Constant(mean=0.05, cv=0.0)
    """
    if isinstance(service, Law):
        return service
    if np.isscalar(service) and not isinstance(service, str | bool):
        return Constant(float(service))
    raise TypeError(
        f"service is {service!r}, but it is a law (Constant, Exponential, Lognormal, Measured) or a number of seconds."
    )


def _positive(value, name):
    if not 0 < value < np.inf:
        raise ValueError(f"{name} is {value}, but it is a finite number above 0.")
