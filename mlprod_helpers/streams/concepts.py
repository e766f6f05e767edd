"""Where rows and labels come from: the laws behind a stream, and how far each of them moves for a given size.

A concept is a small frozen dataclass of settings. `bind` draws what is random about it (weights, directions)
and returns the law that makes rows. A law knows its position: 0 is the concept as it began, and drifts move
it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import ClassVar

import numpy as np
from scipy.special import ndtr, ndtri, owens_t

from mlprod_helpers.names import nearest_name

_KNOTS = 2**14  # of the table from swept share to angle: steps of 0.00006
_CUBE_POINTS = 2**16  # that measure it


def concept_of(name):
    """The concept of that name; a concept itself passes through.

    >>> concept_of("sea")
    SEA(variant=0, noise=0.0)
    """
    if not isinstance(name, str):
        if isinstance(name, tuple(CONCEPTS.values())):
            return name
        raise TypeError(f"concept={name!r} is neither a name nor a concept such as SEA(variant=1)")
    if name not in CONCEPTS:
        raise ValueError(f"concept={name!r} is unknown: {nearest_name(name, CONCEPTS)}")
    return CONCEPTS[name]()


@dataclass(frozen=True)
class Linear:
    """Normal features, and a label that a straight line explains but for noise (a probit model). The default.

    x ~ N(0, I); y = 1 where a drawn direction w of x plus normal noise passes a threshold. P(y = 1 | x) is
    smooth, so classes overlap, probabilities can be calibrated, and a prior shift is not a covariate shift in
    disguise.

    Parameters
    ----------
    prior : float in (0, 1)
        P(y = 1) before any drift; exact.
    noise : float
        Share of rows whose label is not the one that the line says. With ``prior=0.5`` this is the error of
        the best possible model. At most 2 prior (1 - prior), where x says nothing.

    Notes
    -----
    Concept drift turns w in a drawn plane. With latent correlation rho between the old and the new score and
    h = Phi^-1(prior), labels differ in 4 T(h, sqrt((1 - rho) / (1 + rho))) of the rows, T being Owen's
    function; without noise and with ``prior=0.5`` this is angle / pi.

    References
    ----------
    D. B. Owen, "Tables for computing bivariate normal probabilities", Annals of Mathematical Statistics 27
    (1956).
    """

    prior: float = 0.5
    noise: float = 0.1
    usual_features: ClassVar[int] = 5

    def __post_init__(self):
        if not 0 < self.prior < 1:
            raise ValueError(f"prior={self.prior!r} is P(y = 1): give a number between 0 and 1, such as 0.2")
        if not 0 <= self.noise < 2 * self.prior * (1 - self.prior):
            raise ValueError(
                f"noise={self.noise!r} is the share of labels off the line: from 0 to below "
                f"{2 * self.prior * (1 - self.prior):.3g} with prior={self.prior!r}"
            )

    def bind(self, n_features, rng):
        """The law with its directions drawn."""
        return _LinearLaw(self, n_features, rng)


@dataclass(frozen=True)
class Regression:
    """Normal features, and a number as target: a drawn direction of x plus normal noise.

    y = w'x + noise * e with |w| = 1, x ~ N(0, I) and e ~ N(0, 1): without noise y has mean 0 and standard
    deviation 1. Concept drift turns w by 2 arcsin(size / 2); its size is at most 2. There is no prior shift.

    Parameters
    ----------
    noise : float
        Standard deviation of the noise: the root-mean-square error of the best possible model.
    """

    noise: float = 0.5
    usual_features: ClassVar[int] = 5

    def __post_init__(self):
        if not (np.isfinite(self.noise) and self.noise >= 0):
            raise ValueError(f"noise={self.noise!r} is a standard deviation: give 0 or more")

    def bind(self, n_features, rng):
        """The law with its directions drawn."""
        return _RegressionLaw(self, n_features, rng)


@dataclass(frozen=True)
class SEA:
    """The SEA concepts of Street and Kim, with the variants of river's `synth.SEA`.

    Three features, uniform on [0, 10]; y = 1 where x0 + x1 > threshold; x2 says nothing. Concept drift moves
    the threshold: a positive size raises it, a negative one lowers it.

    Parameters
    ----------
    variant : {0, 1, 2, 3}
        Threshold 8, 9, 7 or 9.5.
    noise : float in [0, 0.5)
        Share of labels that are flipped, as in river. The paper flips about 10 %.

    References
    ----------
    W. N. Street and Y. Kim, "A streaming ensemble algorithm (SEA) for large-scale classification", KDD 2001.
    """

    variant: int = 0
    noise: float = 0.0
    usual_features: ClassVar[int] = 3
    thresholds: ClassVar[tuple[float, ...]] = (8.0, 9.0, 7.0, 9.5)

    def __post_init__(self):
        if isinstance(self.variant, bool) or self.variant not in range(4):
            raise ValueError(
                f"variant={self.variant!r}: SEA has the variants 0, 1, 2, 3 (thresholds 8, 9, 7, 9.5)"
            )
        _check_flips(self.noise)

    def bind(self, n_features, rng):
        """The law; SEA draws nothing."""
        return _SEALaw(self, n_features, rng)

    @staticmethod
    def size_between(old, new):
        """The size of the concept drift from one variant to another.

        >>> round(SEA.size_between(0, 1), 3)
        0.085
        """
        return _sum_cdf(SEA.thresholds[new]) - _sum_cdf(SEA.thresholds[old])


@dataclass(frozen=True)
class Hyperplane:
    """The rotating hyperplane of Hulten, Spencer and Domingos.

    Features uniform on the unit cube; y = 1 where w'x > sum(w) / 2, with weights drawn uniformly from [0, 1],
    so half of the rows are positive. Concept drift moves the weights of the first `n_drift_features` columns,
    each up or down (drawn), which turns the plane. river's `synth.Hyperplane` adds `mag_change` to these
    weights at every row: here an incremental drift whose size is said in labels instead.

    Parameters
    ----------
    n_drift_features : int
        Columns whose weights move, as in river (default 2).
    noise : float in [0, 0.5)
        Share of labels that are flipped; 5 % as in the paper.

    References
    ----------
    G. Hulten, L. Spencer and P. Domingos, "Mining time-changing data streams", KDD 2001.
    """

    n_drift_features: int = 2
    noise: float = 0.05
    usual_features: ClassVar[int] = 10

    def __post_init__(self):
        if not isinstance(self.n_drift_features, Integral) or self.n_drift_features < 1:
            raise ValueError(
                f"n_drift_features={self.n_drift_features!r}: at least one column's weight has to move"
            )
        _check_flips(self.noise)

    def bind(self, n_features, rng):
        """The law with its weights drawn."""
        return _HyperplaneLaw(self, n_features, rng)


CONCEPTS = {"linear": Linear, "sea": SEA, "hyperplane": Hyperplane, "regression": Regression}


def _check_flips(noise):
    if not 0 <= noise < 0.5:
        raise ValueError(f"noise={noise!r} is the share of flipped labels: from 0 to below 0.5")


# --- laws -----------------------------------------------------------------------------------------
#
# What make_stream asks of a law: prior, feature_sd, features(rng, x) that fills x, noise(rng, m),
# labels(x, noise, position), expected(x, position), step(size). A position is a float or one float a row.


class _Law:
    prior = None
    feature_sd = 1.0
    dtype = np.int64

    def __init__(self, concept, n_features, rng):
        self.concept, self.n_features = concept, n_features

    def check(self, position):
        """Complain about positions that the concept cannot take."""


class _NormalRotation(_Law):
    """x ~ N(0, I) and a score: one direction of x, turned within the plane of w and v."""

    def __init__(self, concept, n_features, rng):
        super().__init__(concept, n_features, rng)
        self.w, self.v = _plane(rng.standard_normal(n_features), rng.standard_normal(n_features))

    def features(self, rng, x):
        rng.standard_normal(out=x)

    def noise(self, rng, m):
        return rng.standard_normal(m) if self.concept.noise else None

    def score(self, x, position):
        angle = np.multiply(position, np.pi)  # position: half turns
        return _turned(x, self.w, self.v, np.cos(angle), np.sin(angle))

    def step(self, size):
        if self.n_features < 2:
            raise ValueError("a line needs at least 2 features to turn: give n_features=2 or more")
        return math.copysign(self.angle_for(abs(size)) / np.pi, size)


class _LinearLaw(_NormalRotation):
    def __init__(self, concept, n_features, rng):
        super().__init__(concept, n_features, rng)
        self.prior, self.h = concept.prior, ndtri(concept.prior)
        # correlation of the noise-free score with the noisy one: it leaves `noise` of the labels off the line
        self.rho = _correlation(self.h, concept.noise)
        self.tau = math.sqrt(1 - self.rho**2)

    def labels(self, x, noise, position):
        score = self.score(x, position)
        if noise is not None:
            score *= self.rho
            score += self.tau * noise
        return score > -self.h

    def expected(self, x, position):
        z = self.rho * self.score(x, position) + self.h
        return ndtr(z / self.tau) if self.tau else (z > 0).astype(float)

    def angle_for(self, share):
        lowest = self.tau**2 - self.rho**2  # correlation of the two scores after half a turn
        most = _disagreement(self.h, lowest)
        if share > most + 1e-12:
            raise ValueError(
                f"size={share:g}: turning the line changes at most {most:.3f} of the labels with "
                f"prior={self.concept.prior:g} and noise={self.concept.noise:g}; ask for less"
            )
        correlation = _correlation(self.h, min(share, most))
        return math.acos(np.clip((correlation - self.tau**2) / self.rho**2, -1, 1))


class _RegressionLaw(_NormalRotation):
    dtype = np.float64

    def labels(self, x, noise, position):
        y = self.score(x, position)
        if noise is not None:
            y += self.concept.noise * noise
        return y

    def expected(self, x, position):
        return self.score(x, position)

    def angle_for(self, size):
        if size > 2:
            raise ValueError(
                f"size={size:g}: E[y | x] can move by at most 2 of its standard deviations (full reversal)"
            )
        return 2 * math.asin(size / 2)


class _Flipped(_Law):
    """Labels without doubt, some of which are flipped."""

    def noise(self, rng, m):
        return rng.random(m) if self.concept.noise else None

    def labels(self, x, noise, position):
        clean = self.clean(x, position)
        return clean if noise is None else clean ^ (noise < self.concept.noise)

    def expected(self, x, position):
        return np.where(self.clean(x, position), 1 - self.concept.noise, self.concept.noise)

    def step(self, size):
        if abs(size) > 1:
            raise ValueError(f"size={size:g}: a concept drift changes at most all labels, size 1")
        return size


class _SEALaw(_Flipped):
    feature_sd = 10 / math.sqrt(12)

    def __init__(self, concept, n_features, rng):
        if n_features != 3:
            raise ValueError(f"n_features={n_features}: SEA has 3 features; leave n_features out")
        super().__init__(concept, n_features, rng)
        self.below = _sum_cdf(SEA.thresholds[concept.variant])  # share of rows under the threshold
        self.prior = self.below * concept.noise + (1 - self.below) * (1 - concept.noise)

    def features(self, rng, x):
        rng.random(out=x)
        x *= 10

    def check(self, position):
        low, high = self.below + np.min(position), self.below + np.max(position)
        if low <= 0 or high >= 1:
            raise ValueError(
                f"size: {self.below:.3g} of the rows lie under the threshold of {self.concept!r}, so a "
                f"concept drift can raise it by less than {1 - self.below:.3g} or lower it by less than "
                f"{self.below:.3g} in all"
            )

    def clean(self, x, position):
        return x[:, 0] + x[:, 1] > _sum_quantile(self.below + position)


class _HyperplaneLaw(_Flipped):
    prior = 0.5
    feature_sd = 1 / math.sqrt(12)

    def __init__(self, concept, n_features, rng):
        super().__init__(concept, n_features, rng)
        moving = concept.n_drift_features
        if n_features < 2 or moving > n_features:
            raise ValueError(
                f"n_features={n_features}: a hyperplane turns with at least 2 features, "
                f"and n_drift_features={moving} of them"
            )
        directions = np.zeros(n_features)
        self.weights = rng.random(n_features)
        directions[:moving] = rng.choice([-1.0, 1.0], moving)
        self.w, self.v = _plane(self.weights, directions)
        self.circle = None  # made when the plane turns

    def features(self, rng, x):
        rng.random(out=x)

    def clean(self, x, position):
        return _turned(x, self.w, self.v, *self.direction(position), center=0.5) > 0

    def direction(self, position):
        """Cosine and sine of the angle at which the turning plane has passed over this share of the cube."""
        if np.isscalar(position) and position == 0:
            return 1.0, 0.0
        if self.circle is None:
            half = _swept_angles(self.w, self.v)
            angles = np.concatenate([half, half + np.pi])
            self.circle = np.cos(angles), np.sin(angles)
        knot = np.rint(np.multiply(position, _KNOTS)).astype(np.int64) % (2 * _KNOTS)
        return self.circle[0][knot], self.circle[1][knot]


def _plane(first, second):
    """Two orthogonal unit vectors that span the plane of two vectors."""
    w = first / np.linalg.norm(first)
    v = second - (second @ w) * w
    length = np.linalg.norm(v)
    return w, (v / length if length > 1e-9 else np.zeros_like(w))


def _turned(x, w, v, cosine, sine, center=0.0):
    """Each row's coordinate along w turned towards v, measured from the center (n,)."""
    score = x @ w
    if center:
        score -= center * w.sum()
    if np.isscalar(sine) and sine == 0:
        return score if cosine > 0 else -score
    score *= cosine
    score += sine * (x @ v - center * v.sum())
    return score


def _swept_angles(w, v):
    """Angles in [0, pi) at which 0, 1/K, ... (K-1)/K of the unit cube has changed sides.

    A row changes sides when the plane passes over it. Rows are spread evenly over the cube by a Kronecker
    sequence (M. Roberts, "The unreasonable effectiveness of quasirandom sequences", 2018), so sizes hold
    within 0.002.
    """
    root = 1.5
    for _ in range(60):  # x^(d + 1) = x + 1
        root = (1 + root) ** (1 / (len(w) + 1))
    steps = root ** -np.arange(1.0, len(w) + 1)
    met = []
    for numbers in np.split(np.arange(1, _CUBE_POINTS + 1), 16):
        x = np.outer(numbers, steps)
        x -= np.rint(x)  # into the cube, its center at 0
        met.append(np.arctan2(x @ v, x @ w))
    met = np.sort((np.concatenate(met) - np.pi / 2) % np.pi)
    return np.interp(np.arange(_KNOTS) / _KNOTS, np.linspace(0, 1, len(met)), met)


def _sum_cdf(total):
    """P(x0 + x1 <= total) for two uniforms on [0, 10]."""
    return total**2 / 200 if total <= 10 else 1 - (20 - total) ** 2 / 200


def _sum_quantile(share):
    """The inverse of `_sum_cdf`, for arrays too."""
    return np.where(share <= 0.5, np.sqrt(200 * share), 20 - np.sqrt(200 * (1 - share)))


def _disagreement(h, correlation):
    """P that two standard normals with this correlation lie on different sides of h."""
    return (
        4 * owens_t(h, math.sqrt(max(1 - correlation, 0) / (1 + correlation)))
        if correlation > -1
        else 2 * ndtr(-abs(h))
    )


def _correlation(h, share):
    """The correlation at which two standard normals disagree about h in `share` of the cases."""
    if h == 0:
        return math.cos(math.pi * share)
    if share <= 0:
        return 1.0
    low, high = -1.0, 1.0  # disagreement falls as the correlation grows
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _disagreement(h, middle) > share else (low, middle)
    return (low + high) / 2
