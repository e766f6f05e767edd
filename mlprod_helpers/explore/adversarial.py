"""Two samples, a shift and a flipped correlation (lesson 02)."""

from __future__ import annotations

import functools
import math

import numpy as np

from mlprod_helpers import plots
from mlprod_helpers.explore.controls import Slider, explore

_ROWS = 300  # in each of the two samples
_FOLDS = 5
_SEED = 8


def best_auc(shift, correlation):
    """What AUC does the best possible classifier reach between these two samples?

    Two columns, normal with spread 1. The reference is centered at (0, 0) with the given correlation, the current
    sample at (shift, 0) with minus that correlation, strictly between -1 and 1. The best score is the likelihood
    ratio (Neyman and Pearson 1933), a quadratic form in normal variables; the probability that a current row
    outscores a reference row follows from its characteristic function (Gil-Pelaez 1951, "Note on the inversion
    theorem", Biometrika 38). It is Phi(shift / sqrt 2) without correlation, (1 + |correlation|) / 2 without shift.

    >>> round(best_auc(0, 0.8), 4), round(best_auc(1.19, 0), 4), round(best_auc(1.19, 0.8), 4)
    (0.9, 0.8, 0.9328)
    """
    if shift == 0 and correlation == 0:
        return 0.5
    # Along the diagonals (sum and difference of the columns, over sqrt 2) both samples have independent columns
    # with variances (wide, narrow) and (narrow, wide). The difference of two log likelihood ratios, current minus
    # reference, is then a sum over standard normal z of constant + slope z + curve z^2.
    wide, narrow = 1 + correlation, 1 - correlation
    away = shift / math.sqrt(2)
    constant, slopes, curves = 0.0, [], []
    for own, foreign in ((wide, narrow), (narrow, wide)):  # variance in the reference, in the current sample
        for center, variance, sign in ((away, foreign, 1), (0.0, own, -1)):
            # log ratio at x = center + sqrt(variance) z: x^2 / (2 own) - (x - away)^2 / (2 foreign)
            spread = math.sqrt(variance)
            constant += sign * (center**2 / own - (center - away) ** 2 / foreign) / 2
            slopes.append(sign * spread * (center / own - (center - away) / foreign))
            curves.append(sign * variance * (1 / own - 1 / foreign) / 2)
    return 0.5 + _gil_pelaez(constant, np.array(slopes), np.array(curves)) / math.pi


def _gil_pelaez(constant, slopes, curves):
    """The integral of Im(characteristic function(t)) / t over t > 0."""
    from scipy.integrate import quad

    def integrand(t):
        flat = 1 - 2j * t * curves
        log_cf = 1j * t * constant - np.sum(0.5 * np.log(flat) + (t * slopes) ** 2 / (2 * flat))
        return np.exp(log_cf).imag / t

    return quad(integrand, 0, np.inf, limit=400, epsabs=1e-9)[0]


def samples(z_reference, z_current, shift, correlation):
    """Two samples (reference, current) as in `best_auc`, from standard normal rows: they move as the arguments do."""
    rest = math.sqrt(1 - correlation**2)
    reference = np.column_stack(
        [z_reference[:, 0], correlation * z_reference[:, 0] + rest * z_reference[:, 1]]
    )
    current = np.column_stack(
        [z_current[:, 0] + shift, -correlation * z_current[:, 0] + rest * z_current[:, 1]]
    )
    return reference, current


def _out_of_fold(features, is_current):
    """Out-of-fold scores of logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import PredefinedSplit, cross_val_predict

    model = LogisticRegression(solver="newton-cholesky", tol=1e-8)
    folds = PredefinedSplit(np.arange(len(features)) % _FOLDS)
    return cross_val_predict(model, features, is_current, cv=folds, method="decision_function")


@functools.cache
def _drawn():
    """The standard normal rows of both samples."""
    return np.random.default_rng(_SEED).standard_normal((2, _ROWS, 2))


def _best_curve(shift, correlation):
    """ROC curve of the likelihood ratio, over points that fill both normal distributions evenly."""
    reference, current = samples(_even_normal(), _even_normal(), shift, correlation)

    def log_ratio(x):  # up to a factor and a constant
        away = x[:, 0] - shift
        flip = 2 * correlation * x[:, 1] * (x[:, 0] + away)
        return x[:, 0] ** 2 - away**2 - flip

    return _roc_points(np.repeat([0, 1], len(reference)), np.r_[log_ratio(reference), log_ratio(current)])


def _roc_points(is_current, scores):
    """False and true positive rates, and the area under the curve."""
    from sklearn.metrics import roc_auc_score, roc_curve

    return *roc_curve(is_current, scores)[:2], roc_auc_score(is_current, scores)


@functools.cache
def _even_normal():
    """4,000 points that fill the normal distribution of the plane evenly (Roberts 2018, the R2 sequence)."""
    from scipy.stats import norm

    golden = 1.324717957244746  # x^3 = x + 1
    return norm.ppf((0.5 + np.arange(1, 4001)[:, None] * [1 / golden, 1 / golden**2]) % 1)


@functools.cache
def _adversarial_still():
    """The part of the picture that stays, and the artists that move."""
    fig, (left, right) = plots.figure(ncols=2, size=(8.6, 3.9), layout=None, width_ratios=[1.25, 1])
    fig.subplots_adjust(left=0.065, right=0.985, bottom=0.135, top=0.84, wspace=0.2)
    left.set_title(f"Can you tell the two samples apart? ({_ROWS} rows each)", pad=25)
    left.set(xlim=(-3.8, 6.4), ylim=(-3.8, 3.8), xlabel="first column", ylabel="second column")
    left.set_xticks(range(-3, 7))
    left.grid(True, axis="both")
    clouds = [
        left.plot([], [], "o", markersize=3.6, markeredgewidth=0, color=color, alpha=0.6)[0]
        for color in (plots.REFERENCE, plots.CURRENT)
    ]
    plots.name_colors(left, {"reference": plots.REFERENCE, "current": plots.CURRENT})
    right.set_title("Higher curve: easier to tell apart", pad=25)
    right.set(
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        xlabel="share of reference rows taken for current",
        ylabel="share of current rows found",
    )
    right.plot([0, 1], [0, 1], color=plots.GREY, linewidth=1, linestyle=(0, (2, 3)))
    right.grid(True, axis="both")
    right.axhspan(0.02, 0.335, 0.5, 0.985, color=plots.PAPER, zorder=1)  # no grid behind the numbers
    right.text(0.97, 0.275, "AUC", ha="right", color=plots.SOFT_INK)
    curves, numbers = [], []
    for i, (name, (color, width)) in enumerate(_LOOKS.items()):
        style = (0, (4, 2)) if name == "best possible" else "-"
        curves.append(right.plot([], [], color=color, linewidth=width, linestyle=style)[0])
        words = {"ha": "right", "color": plots.ink(color), "fontweight": "bold"}
        right.text(0.84, 0.19 - 0.075 * i, name, **words)
        numbers.append(right.text(0.97, 0.19 - 0.075 * i, "", **words))
    # the best curve on top: thin dashes that a good score nearly covers
    return plots.Still(fig, [*clouds, *reversed(curves), *numbers]), clouds, curves, numbers


_LOOKS = {  # score -> color, width of its curve
    "best possible": (plots.INK, 1.2),
    "quadratic": (plots.GREEN, 2),
    "linear": (plots.PURPLE, 2),
}


def adversarial_picture(shift, correlation):
    """Can a classifier tell two samples apart, and how close does it come to the best possible one?

    Left the two samples, right the out-of-fold ROC curves (5 folds) of two logistic
    regressions, one on the two columns, one on their squares and product as well, beside the curve of the likelihood
    ratio, which knows how the samples were made.

    Parameters
    ----------
    shift : float. How far the mean of the first column moves, in standard deviations.
    correlation : float, strictly between -1 and 1
        Correlation of the two columns in the reference; the current sample has minus this.

    >>> adversarial_picture(shift=0, correlation=0)
    Figure: Two samples of 300 rows; first column shifted by 0 sd, correlation 0 in both. Out-of-fold AUC:
    logistic regression with squares and product 0.49, linear logistic regression 0.51; best possible 0.50. There is
    nothing to find.
    """
    best = best_auc(shift, correlation)
    drawn = samples(*_drawn(), shift, correlation)
    rows, is_current = np.vstack(drawn), np.repeat([0, 1], _ROWS)
    curved = np.column_stack([rows, rows**2, rows[:, 0] * rows[:, 1]])
    points = {
        "best possible": (*_best_curve(shift, correlation)[:2], best),
        "quadratic": _roc_points(is_current, _out_of_fold(curved, is_current)),
        "linear": _roc_points(is_current, _out_of_fold(rows, is_current)),
    }
    still, clouds, curves, numbers = _adversarial_still()
    for cloud, sample in zip(clouds, drawn, strict=True):
        cloud.set_data(*sample.T)
    for (fpr, tpr, auc), curve, number in zip(points.values(), curves, numbers, strict=True):
        curve.set_data(fpr, tpr)
        number.set_text(f"{auc:.2f}")
    return still.picture(
        _adversarial_in_words(shift, correlation, {name: auc for name, (*_, auc) in points.items()})
    )


def _adversarial_in_words(shift, correlation, aucs):
    if correlation:
        together = (
            f"correlation {correlation:+.3g} in the reference and {-correlation:+.3g} in the current sample"
        )
    else:
        together = "correlation 0 in both"
    text = (
        f"Two samples of {_ROWS} rows; first column shifted by {shift:.3g} sd, {together}. Out-of-fold AUC: logistic "
        f"regression with squares and product {aucs['quadratic']:.2f}, linear logistic regression "
        f"{aucs['linear']:.2f}; best possible {aucs['best possible']:.2f}."
    )
    if not shift and not correlation:
        return f"{text} There is nothing to find."
    if not shift:
        return f"{text} The linear one sees nothing: each column on its own is the same in both samples."
    if not correlation:
        return f"{text} A shift alone is all that the linear one needs."
    return f"{text} The linear one sees the shift, not the flip of the correlation."


def adversarial_explorer():
    """Two sliders, shift and correlation, above `adversarial_picture`; it begins with two samples that do not differ.

    >>> adversarial_explorer().values
    {'shift': 0.0, 'correlation': 0.0}
    """
    return explore(
        adversarial_picture,
        shift=Slider(0.0, 3.0, 0.1, 0.0, label="shift of the first column", unit="sd"),
        correlation=Slider(0.0, 0.9, 0.1, 0.0, label="flip of the correlation"),
    )
