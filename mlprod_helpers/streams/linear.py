"""Where rows and labels come from: normal features, and a label that a straight line explains but for noise.

`Linear` holds the settings, `Law` makes the rows. A position says how far the line has turned, in half turns: one float, or
one a row. 0 is the concept as it began; drifts move it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, owens_t


@dataclass(frozen=True)
class Linear:
    """Normal features, and a label that a straight line explains but for noise (a probit model).

    x ~ N(0, I); y = 1 where a drawn direction w of x plus normal noise passes a threshold. P(y = 1 | x) is smooth,
    so classes overlap, probabilities can be calibrated, and a prior shift is not a covariate shift in disguise.
    Concept drift turns w in a drawn plane. With latent correlation rho between the old and the new score and h =
    Phi^-1(prior), labels differ in 4 T(h, sqrt((1 - rho) / (1 + rho))) of the rows, T being Owen's function.

    Parameters
    ----------
    prior : float in (0, 1). P(y = 1) before any drift; exact.
    noise : float
        Share of rows whose label is not the one that the line says. With ``prior=0.5`` this is the error of the best
        possible model. At most 2 prior (1 - prior), where x says nothing.

    Source: D. B. Owen, "Tables for computing bivariate normal probabilities", Annals of Mathematical Statistics 27
    (1956).
    """

    prior: float = 0.5
    noise: float = 0.1

    def __post_init__(self):
        if not 0 < self.prior < 1:
            raise ValueError(f"prior={self.prior!r} is P(y = 1): give a number between 0 and 1, such as 0.2")
        if not 0 <= self.noise < 2 * self.prior * (1 - self.prior):
            raise ValueError(
                f"noise={self.noise!r} is the share of labels off the line: from 0 to below "
                f"{2 * self.prior * (1 - self.prior):.3g} with prior={self.prior!r}"
            )


class Law:
    """A concept with its directions drawn: x ~ N(0, I), and a score along w, turned within the plane of w and v."""

    def __init__(self, concept, n_features, rng):
        self.concept, self.n_features = concept, n_features
        self.w, self.v = _plane(rng.standard_normal(n_features), rng.standard_normal(n_features))
        self.h = ndtri(concept.prior)
        # correlation of the noise-free score with the noisy one: it leaves `noise` of the labels off the line
        self.rho = _correlation(self.h, concept.noise)
        self.tau = math.sqrt(1 - self.rho**2)

    def labels(self, x, noise, position):
        """The labels of these rows, bool (n,); `noise` is standard normal, one number a row, or None."""
        angle = np.multiply(position, np.pi)
        score = _turned(x, self.w, self.v, np.cos(angle), np.sin(angle))
        if noise is not None:
            score *= self.rho
            score += self.tau * noise
        return score > -self.h

    def step(self, size):
        """How far the position moves when the label of this share of rows changes; negative: the other way round."""
        if self.n_features < 2:
            raise ValueError("a line needs at least 2 features to turn: give n_features=2 or more")
        share = abs(size)
        lowest = self.tau**2 - self.rho**2  # correlation of the two scores after half a turn
        most = _disagreement(self.h, lowest)
        if share > most + 1e-12:
            raise ValueError(
                f"size={share:g}: turning the line changes at most {most:.3f} of the labels with "
                f"prior={self.concept.prior:g} and noise={self.concept.noise:g}; ask for less"
            )
        correlation = _correlation(self.h, min(share, most))
        angle = math.acos(np.clip((correlation - self.tau**2) / self.rho**2, -1, 1))
        return math.copysign(angle / np.pi, size)


def _plane(first, second):
    """Two orthogonal unit vectors that span the plane of two vectors."""
    w = first / np.linalg.norm(first)
    v = second - (second @ w) * w
    length = np.linalg.norm(v)
    return w, (v / length if length > 1e-9 else np.zeros_like(w))


def _turned(x, w, v, cosine, sine):
    """Each row's coordinate along w turned towards v (n,)."""
    score = x @ w
    if np.isscalar(sine) and sine == 0:
        return score if cosine > 0 else -score
    score *= cosine
    score += sine * (x @ v)
    return score


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
