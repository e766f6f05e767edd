"""Explorers: sliders above the picture of a pure function.

An explorer is live where a kernel runs, and a picture with its text alternative everywhere else: on a web page, in a
notebook that is only read, in the outputs that tests compare.
"""

from __future__ import annotations

import functools
import html
import math
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from mlprod_helpers import plots


@dataclass(frozen=True)
class Slider:
    """A number to move.

    Parameters
    ----------
    low, high, step : float or int
        The range and the distance of two settings; all integers make an integer slider.
    start : float, optional
        Where it stands first; `low` if not given.
    label : str, optional
        What it is called; the argument's name if not given.
    unit : str, optional
        Said after the label and after each value: "sd", "minutes".

    Examples
    --------
    >>> Slider(0, 3, 0.1, 1.2, label="shift", unit="sd").start
    1.2
    """

    low: float
    high: float
    step: float
    start: float | None = None
    label: str = ""
    unit: str = ""

    def __post_init__(self):
        numbers = [self.low, self.high, self.step, self.low if self.start is None else self.start]
        if not all(isinstance(x, Real) and not isinstance(x, bool) and math.isfinite(x) for x in numbers):
            raise ValueError(f"A slider needs finite numbers (low, high, step, start): got {tuple(numbers)}.")
        if not self.low < self.high or not 0 < self.step <= self.high - self.low:
            raise ValueError(f"No slider runs from {self.low} to {self.high} in steps of {self.step}.")
        if not self.low <= numbers[3] <= self.high:
            raise ValueError(f"A slider from {self.low} to {self.high} cannot start at {self.start}.")
        object.__setattr__(self, "start", numbers[3])


@dataclass(frozen=True)
class Choice:
    """One of a few things to choose.

    Parameters
    ----------
    options : sequence
        What can be chosen.
    start : object, optional
        What is chosen first; the first option if not given.
    label : str, optional
        What is chosen here; the argument's name if not given.

    Examples
    --------
    >>> Choice(["sudden", "gradual"]).start
    'sudden'
    """

    options: tuple
    start: object = None
    label: str = ""
    unit = ""

    def __post_init__(self):
        object.__setattr__(self, "options", tuple(self.options))
        if not self.options:
            raise ValueError("A choice needs at least one option.")
        if self.start is None:
            object.__setattr__(self, "start", self.options[0])
        if self.start not in self.options:
            raise ValueError(f"{self.start!r} is not one of the options {list(self.options)}.")


def explore(fn, /, **controls):
    """Sliders above the picture of a pure function.

    Parameters
    ----------
    fn : callable
        `fn(**values)` returns a `plots.Figure` and depends on nothing but its arguments. It should take well below
        100 ms, so that the picture follows the slider (see `plots.Still`).
    **controls
        One an argument of `fn`: `(low, high, step)` or `(low, high, step, start)` or `Slider(...)` for a number,
        a list or `Choice(...)` for one of a few things.

    Returns
    -------
    Explorer
        End a cell with it.

    Raises
    ------
    ValueError, TypeError
        For controls that make no sense, and for a function whose first picture fails. A later failure is shown in
        place of the picture and the sliders stay alive.

    Examples
    --------
    >>> def powers(exponent):
    ...     fig, ax = plots.figure()
    ...     ax.plot([x**exponent for x in range(5)])
    ...     return plots.show(fig, alt=f"The power {exponent} of the numbers 0 to 4.")
    >>> explore(powers, exponent=(1, 4, 1, 2))
    Explorer at exponent 2: The power 2 of the numbers 0 to 4.
    """
    return Explorer(fn, {name: _control(name, given) for name, given in controls.items()})


def _control(name, given):
    if isinstance(given, Slider | Choice):
        return given
    if isinstance(given, tuple) and len(given) in (3, 4):
        return Slider(*given)
    if isinstance(given, list):
        return Choice(given)
    raise TypeError(
        f"{name}={given!r} is no control. Give (low, high, step) or (low, high, step, start) for a slider, "
        "a list for a choice."
    )


class Explorer:
    """What `explore` returns: a live widget with a static picture for where nothing runs.

    Attributes
    ----------
    values : dict
        Where the controls stand.
    figure : plots.Figure or None
        The picture of these values; None while the function fails for them.
    """

    def __init__(self, fn, controls):
        if not controls:
            raise ValueError("An explorer needs at least one control, such as shift=(0, 3, 0.1).")
        self._fn, self._controls = fn, controls
        self._live, self._moving, self._failure = None, False, ""
        self.values = {name: control.start for name, control in controls.items()}
        self.figure = self._drawn()  # a failure here is the author's: let it be seen

    @property
    def widget(self):
        """The ipywidgets box of controls, reset button and picture, made when first asked for."""
        if self._live is None:
            self._live = self._made_widget()
        return self._live

    def set(self, **values):
        """Move controls by name, as a learner would by hand."""
        if unknown := set(values) - set(self._controls):
            raise ValueError(f"No control is called {sorted(unknown)}; there are {sorted(self._controls)}.")
        self.widget  # noqa: B018
        self._move(values)

    def reset(self):
        """Put each control back to where it started."""
        self.set(**{name: control.start for name, control in self._controls.items()})

    def _drawn(self):
        figure = self._fn(**self.values)
        if not isinstance(figure, plots.Figure):
            raise TypeError(
                f"{getattr(self._fn, '__name__', 'The function')} returned {type(figure).__name__}; "
                "an explorer draws what plots.show(fig, alt=...) returns."
            )
        return figure

    def _made_widget(self):
        import ipywidgets

        width = f"{0.55 * max(len(self._title(name)) for name in self._controls):.1f}em"
        self._inputs = {name: self._made_input(name, width) for name in self._controls}
        for made in self._inputs.values():
            made.observe(self._on_move, names="value")
        reset = ipywidgets.Button(
            description="Reset",
            tooltip="Put all controls back to where they started",
            icon="undo",
            layout={"width": "auto", "align_self": "flex-end"},
        )
        reset.on_click(lambda _: self.reset())
        self._picture = ipywidgets.HTML(value=self._shown(), layout={"margin": "6px 0 0"})
        controls = ipywidgets.VBox(list(self._inputs.values()), layout={"width": "min(100%, 42em)"})
        return ipywidgets.VBox([ipywidgets.HBox([controls, reset]), self._picture])

    def _made_input(self, name, width):
        import ipywidgets

        control = self._controls[name]
        common = {
            "value": self.values[name],
            "description": self._title(name),
            "tooltip": self._title(name),
            "style": {"description_width": width},
            "layout": {"width": "auto"},
        }
        if isinstance(control, Choice):
            return ipywidgets.Dropdown(options=control.options, **common)
        numbers = (control.low, control.high, control.step, control.start)
        whole = all(isinstance(x, Integral) for x in numbers)
        decimals = 0 if whole else max(0, -math.floor(math.log10(control.step) + 1e-9))
        # the browser sends the newest value only once the kernel is idle again: dragging never piles up pictures
        return (ipywidgets.IntSlider if whole else ipywidgets.FloatSlider)(
            min=control.low,
            max=control.high,
            step=control.step,
            readout_format="d" if whole else f".{decimals}f",
            continuous_update=True,
            **common,
        )

    def _title(self, name):
        control = self._controls[name]
        return (control.label or name.replace("_", " ")) + (f" ({control.unit})" if control.unit else "")

    def _on_move(self, change):
        if not self._moving:
            self._move({})

    def _move(self, values):
        """Set several controls and draw once."""
        self._moving = True
        try:
            for name, value in values.items():
                self._inputs[name].value = value
        finally:
            self._moving = False
        wanted = {name: made.value for name, made in self._inputs.items()}
        if wanted == self.values and self.figure is not None:
            return
        self.values = wanted
        try:
            self.figure, self._failure = self._drawn(), ""
        except Exception as error:  # whatever the function raises: the next move may work again
            self.figure, self._failure = None, f"{type(error).__name__}: {error}"
        self._picture.value = self._shown()

    def _shown(self):
        """The picture, or why there is none."""
        if self.figure is not None:
            return self.figure.html()
        return (
            f"<p><strong>No picture at {html.escape(self._told())}.</strong> {html.escape(self._failure)}</p>"
        )

    def _told(self):
        """Where the controls stand, in words."""
        told = []
        for name, value in self.values.items():
            control = self._controls[name]
            number = isinstance(value, Real) and not isinstance(value, bool)
            told.append(
                f"{control.label or name.replace('_', ' ')} {f'{value:.10g}' if number else value}"
                + (f" {control.unit}" if control.unit else "")
            )
        return ", ".join(told)

    def __repr__(self):
        return f"Explorer at {self._told()}: {self.figure.alt if self.figure else self._failure}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        told = f"<p><em>Explorer at {html.escape(self._told())}. Run the cell to move its controls.</em></p>"
        live = self.widget._repr_mimebundle_() or {}
        view = "application/vnd.jupyter.widget-view+json"
        return {key: live[key] for key in (view,) if key in live} | {
            "text/html": f"<div>{self._shown()}{told}</div>",
            "text/plain": repr(self),
        }


# --- two samples, a shift and a flipped correlation ------------------------------------------------------------

_ROWS = 300  # in each of the two samples
_FOLDS = 5
_SEED = 8


def best_auc(shift, correlation):
    """What AUC does the best possible classifier reach between these two samples?

    Two columns, normal with spread 1. The reference is centered at (0, 0) with the given correlation, the current
    sample at (shift, 0) with minus that correlation. The best score is the likelihood ratio (Neyman and Pearson
    1933), a quadratic form in normal variables; the probability that a current row outscores a reference row follows
    from its characteristic function (Gil-Pelaez 1951, "Note on the inversion theorem", Biometrika 38).

    Parameters
    ----------
    shift : float
        Difference of the means of the first column, in standard deviations.
    correlation : float, strictly between -1 and 1

    Returns
    -------
    float
        Phi(shift / sqrt 2) without correlation, (1 + |correlation|) / 2 without shift.

    Raises
    ------
    ValueError
        When the correlation is not strictly between -1 and 1.

    Examples
    --------
    >>> round(best_auc(0, 0.8), 4), round(best_auc(1.19, 0), 4), round(best_auc(1.19, 0.8), 4)
    (0.9, 0.8, 0.9328)
    """
    if not -1 < correlation < 1:
        raise ValueError(f"A correlation lies strictly between -1 and 1 here, not at {correlation}.")
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


def adversarial_samples(shift, correlation, *, rows=_ROWS, random_state=_SEED):
    """Two samples with two columns, from one fixed draw: the same rows move as the arguments do.

    Parameters
    ----------
    shift, correlation : float
        As in `best_auc`.
    rows : int
        Rows of each sample.
    random_state : int, Generator or None

    Returns
    -------
    (reference, current)
        Arrays of shape (rows, 2).

    Examples
    --------
    >>> reference, current = adversarial_samples(0, 0.8)
    >>> reference.shape, np.corrcoef(reference.T)[0, 1] > 0.7, np.corrcoef(current.T)[0, 1] < -0.7
    ((300, 2), np.True_, np.True_)
    """
    rng = np.random.default_rng(random_state)
    return _moved(rng.standard_normal((rows, 2)), rng.standard_normal((rows, 2)), shift, correlation)


def _moved(z_reference, z_current, shift, correlation):
    rest = math.sqrt(1 - correlation**2)
    reference = np.column_stack(
        [z_reference[:, 0], correlation * z_reference[:, 0] + rest * z_reference[:, 1]]
    )
    current = np.column_stack(
        [z_current[:, 0] + shift, -correlation * z_current[:, 0] + rest * z_current[:, 1]]
    )
    return reference, current


def _out_of_fold(features, is_current):
    """Out-of-fold scores of logistic regression with scikit-learn's default penalty (C=1), all folds at once.

    Newton's method on a few columns: a tenth of the time of five calls of `fit`, the same scores (a test compares).
    """
    rows = np.column_stack([np.ones(len(features)), features])
    fold = np.arange(len(rows)) % _FOLDS
    trains = (fold != np.arange(_FOLDS)[:, None]).astype(float)
    penalty = np.diag([0.0] + [1.0] * features.shape[1])
    weights = np.zeros((_FOLDS, rows.shape[1]))
    for _ in range(25):
        p = 1 / (1 + np.exp(-weights @ rows.T))
        slope = ((p - is_current) * trains) @ rows + weights @ penalty
        curve = (rows.T * (p * (1 - p) * trains)[:, None, :]) @ rows + penalty
        step = np.linalg.solve(curve, slope[:, :, None])[:, :, 0]
        weights -= step
        if np.abs(step).max() < 1e-8:
            break
    return np.sum(rows * weights[fold], axis=1)


def _best_curve(shift, correlation):
    """ROC curve of the likelihood ratio, over points that fill both normal distributions evenly."""
    reference, current = _moved(_even_normal(), _even_normal(), shift, correlation)

    def log_ratio(x):  # up to a factor and a constant
        away = x[:, 0] - shift
        flip = 2 * correlation * x[:, 1] * (x[:, 0] + away)
        return x[:, 0] ** 2 - away**2 - flip

    return plots.roc_points(
        np.repeat([0, 1], len(reference)), np.r_[log_ratio(reference), log_ratio(current)]
    )


@functools.cache
def _even_normal():
    """4,000 points that fill the normal distribution of the plane evenly (Roberts 2018, the R2 sequence)."""
    from scipy.stats import norm

    golden = 1.324717957244746  # x^3 = x + 1
    return norm.ppf((0.5 + np.arange(1, 4001)[:, None] * [1 / golden, 1 / golden**2]) % 1)


@functools.cache
def _adversarial_still():
    """The standing part of the picture and the artists that move."""
    fig, (left, right) = plots.figure(ncols=2, size=(8.6, 3.9), layout=None, width_ratios=[1.25, 1])
    fig.subplots_adjust(left=0.065, right=0.985, bottom=0.135, top=0.84, wspace=0.2)
    left.set_title(f"Two samples, {_ROWS} rows each", pad=25)
    left.set(xlim=(-3.8, 6.4), ylim=(-3.8, 3.8), xlabel="first column", ylabel="second column")
    left.set_xticks(range(-3, 7))
    left.grid(True, axis="both")
    clouds = [
        left.plot([], [], "o", markersize=3.6, markeredgewidth=0, color=color, alpha=0.6)[0]
        for color in (plots.REFERENCE, plots.CURRENT)
    ]
    plots.name_colors(left, {"reference": plots.REFERENCE, "current": plots.CURRENT})
    right.set_title("ROC of logistic regression, out of fold", pad=25)
    right.set(
        xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel="false positive rate", ylabel="true positive rate"
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


def adversarial_picture(shift=0.0, correlation=0.8):
    """Can a classifier tell two samples apart, and how close does it come to the best possible one?

    Left the two samples of `adversarial_samples`, right the out-of-fold ROC curves (5 folds) of two logistic
    regressions, one on the two columns, one on their squares and product as well, beside the curve of the likelihood
    ratio, which knows how the samples were made.

    Parameters
    ----------
    shift : float
        How far the mean of the first column moves, in standard deviations.
    correlation : float, strictly between -1 and 1
        Correlation of the two columns in the reference; the current sample has minus this.

    Returns
    -------
    plots.Figure

    Examples
    --------
    >>> adversarial_picture(shift=0, correlation=0)
    Figure: Two samples of 300 rows; first column shifted by 0 sd, correlation 0 in both. Out-of-fold AUC:
    logistic regression with squares and product 0.49, linear logistic regression 0.51; best possible 0.50. There is
    nothing to find.
    """
    best = best_auc(shift, correlation)
    samples = adversarial_samples(shift, correlation)
    rows, is_current = np.vstack(samples), np.repeat([0, 1], _ROWS)
    curved = np.column_stack([rows, rows**2, rows[:, 0] * rows[:, 1]])
    points = {
        "best possible": (*_best_curve(shift, correlation)[:2], best),
        "quadratic": plots.roc_points(is_current, _out_of_fold(curved, is_current)),
        "linear": plots.roc_points(is_current, _out_of_fold(rows, is_current)),
    }
    still, clouds, curves, numbers = _adversarial_still()
    for cloud, sample in zip(clouds, samples, strict=True):
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
    """Two sliders, shift and correlation, above `adversarial_picture`.

    Returns
    -------
    Explorer

    Examples
    --------
    >>> adversarial_explorer().values
    {'shift': 0.0, 'correlation': 0.8}
    """
    return explore(
        adversarial_picture,
        shift=Slider(0.0, 3.0, 0.1, 0.0, label="shift of the first column", unit="sd"),
        correlation=Slider(0.0, 0.9, 0.1, 0.8, label="flip of the correlation"),
    )


# --- a weekly alarm: false pages against delay -----------------------------------------------------------------

_LARGE_REFERENCE = 10_000  # rows
_LIMITS = np.round(np.geomspace(0.01, 1, 81), 4)  # the curves run over these
_FEWEST, _LONGEST = 0.01, 104.0  # false pages a year, weeks: what the axes show


def alarm_tradeoff(threshold, rows=100, columns=20, weeks_in_a_row=1, shift=0.5):
    """How often does a weekly PSI alarm cry wolf, and how long does it take to see a shift?

    A column alarms in a week in which its PSI (ten bins) is above the threshold. A page goes out when the same column has
    alarmed so many weeks in a row; its count then begins anew. Columns are independent, the reference has 10,000 rows.

    Parameters
    ----------
    threshold : float or array
        Limit of the PSI.
    rows, columns : int
        Rows a week, columns watched.
    weeks_in_a_row : int
        Alarming weeks of one column that make a page.
    shift : float
        How far one normal column moves, in standard deviations.

    Returns
    -------
    (float or array, float or array)
        Weeks with a false page in a year in which nothing changes; mean weeks from the onset to the page about the column
        that moved, the week of the onset included.

    Notes
    -----
    A PSI without drift is chi-square times (1/n + 1/m) (`drift.psi_null`), with drift it is non-central chi-square. The mean
    wait for k alarming weeks in a row is the sum of p^-i for i = 1 ... k (Feller, "An Introduction to Probability Theory", XIII.7).

    Examples
    --------
    >>> pages, weeks = alarm_tradeoff(0.1)
    >>> print(round(pages), round(weeks, 2))
    52 1.0
    >>> pages, weeks = alarm_tradeoff(0.1, rows=1_000)
    >>> print(round(pages), round(weeks, 2))
    0 1.0
    """
    from scipy.stats import ncx2

    from mlprod_helpers.drift import psi_null, psi_of_shift

    unit = 1 / _LARGE_REFERENCE + 1 / rows
    quiet = psi_null(_LARGE_REFERENCE, rows).sf(threshold)
    moved = ncx2.sf(np.asarray(threshold) / unit, 9, psi_of_shift(shift) / unit)

    def wait(p):
        p = np.maximum(p, 1e-60)
        return sum(p**-i for i in range(1, weeks_in_a_row + 1))

    return -52 * np.expm1(columns * np.log1p(-1 / wait(quiet))), wait(moved)


@functools.cache
def _alarm_still():
    """The standing part of the picture and the artists that move."""
    fig, axes = plots.figure(ncols=2, size=(8.6, 3.6), layout=None)
    fig.subplots_adjust(left=0.075, right=0.985, bottom=0.15, top=0.86, wspace=0.2)
    titles = ("False pages in a quiet year", "Weeks until it is seen")
    ranges = ((_FEWEST * 0.8, 80), (0.8, _LONGEST * 1.3))
    ticks = ((0.01, 0.1, 1, 10, 52), (1, 2, 4, 12, 52, 104))
    moving = []
    for ax, title, limits, marks, color in zip(
        axes, titles, ranges, ticks, (plots.RED, plots.BLUE), strict=True
    ):
        ax.set_title(title)
        ax.set(xscale="log", yscale="log", xlim=(0.01, 1), ylim=limits, xlabel="PSI that alarms")
        ax.set_xticks([0.01, 0.03, 0.1, 0.25, 1], ["0.01", "0.03", "0.1", "0.25", "1"])
        ax.set_yticks(marks, [f"{mark:g}" for mark in marks])
        ax.minorticks_off()
        for usual in (0.1, 0.25):
            ax.axvline(usual, color=plots.GREY, linewidth=0.9, linestyle=(0, (2, 3)))
        [curve] = ax.plot([], [], color=color)
        [dot] = ax.plot([], [], "o", color=plots.INK, markersize=8)
        words = ax.text(
            1, 1.035, "", transform=ax.transAxes, ha="right", fontweight="bold", color=plots.ink(color)
        )
        moving += [curve, dot, words]
    return plots.Still(fig, moving), moving


def alarm_picture(threshold=0.1, rows=100, columns=20, weeks_in_a_row=1, shift=0.5):
    """False pages and delay of a weekly PSI alarm side by side, over the threshold; a dot marks the chosen one.

    Parameters
    ----------
    threshold, rows, columns, weeks_in_a_row, shift
        As for `alarm_tradeoff`.

    Returns
    -------
    plots.Figure

    Examples
    --------
    >>> alarm_picture(threshold=0.3, rows=200)
    Figure: PSI above 0.3 alarms; 200 rows a week, 20 columns, page after 1 week. A quiet year has fewer than 0.01 false pages;
    a shift of 0.5 sd in one column is seen after 2.6 weeks on average.
    """
    settings = {"rows": rows, "columns": columns, "weeks_in_a_row": weeks_in_a_row, "shift": shift}
    still, (left, pages_dot, pages_words, right, weeks_dot, weeks_words) = _alarm_still()
    pages, weeks = alarm_tradeoff(_LIMITS, **settings)
    left.set_data(_LIMITS, np.maximum(pages, _FEWEST))
    right.set_data(_LIMITS, np.minimum(weeks, _LONGEST))
    pages, weeks = (float(number) for number in alarm_tradeoff(threshold, **settings))
    pages_dot.set_data([threshold], [max(pages, _FEWEST)])
    weeks_dot.set_data([threshold], [min(weeks, _LONGEST)])
    few = f"fewer than {_FEWEST:g}" if pages < _FEWEST else f"{pages:.2g}" if pages < 10 else f"{pages:.0f}"
    late = "more than two years" if weeks > _LONGEST else f"{weeks:.1f} weeks"
    pages_words.set_text(f"{few} a year")
    weeks_words.set_text(late)
    return still.picture(
        f"PSI above {threshold:g} alarms; {rows:,} rows a week, {columns} columns, page after {weeks_in_a_row} "
        f"week{'' if weeks_in_a_row == 1 else 's in a row of the same column'}. A quiet year has {few} false pages; a shift of {shift:g} sd in one "
        f"column is seen after {late}{'' if weeks > _LONGEST else ' on average'}."
    )


def alarm_explorer():
    """Threshold, rows, columns, weeks in a row and the size of the shift above `alarm_picture`.

    Returns
    -------
    Explorer

    Examples
    --------
    >>> alarm_explorer().values["threshold"]
    0.1
    """
    return explore(
        alarm_picture,
        threshold=Slider(0.02, 0.6, 0.02, 0.1, label="PSI that alarms"),
        rows=Choice([100, 200, 500, 1_000, 5_000], label="rows a week"),
        columns=Slider(1, 50, 1, 20, label="columns watched"),
        weeks_in_a_row=Slider(1, 4, 1, 1, label="weeks in a row until a page"),
        shift=Slider(0.1, 1.5, 0.1, 0.5, label="shift of one column", unit="sd"),
    )


# --- a form over a deployment record ---------------------------------------------------------------------------

_TEXT, _NUMBER = "text", "number"
_FORM = {  # row of the record -> its entries in the form: attribute, what it is called, kind
    "sizing": (("rate", "requests a second", _NUMBER), ("servers", "servers", _NUMBER)),
    "rollout": (
        ("strategy", "strategy", "strategy"),
        ("minutes", "minutes a step", _NUMBER),
        ("why", "why", _TEXT),
    ),
    "rollback": (("within", "within minutes", _NUMBER), ("owner", "who", _TEXT), ("how", "how", _TEXT)),
}


def record_form(record):
    """A form over a deployment record: what is typed into it is in the record, and what is missing stands below.

    Decisions, texts, the load, rollout and rollback are edited here. Claims with their evidence, alerts and a new
    sizing are computed, so they are set in code; `refresh` then shows them.

    Parameters
    ----------
    record : checklist.Record; changed in place

    Returns
    -------
    RecordForm
        End a cell with it.

    Examples
    --------
    >>> from mlprod_helpers.checklist import Record
    >>> record = Record("ETA of departing flights")
    >>> form = record_form(record)
    >>> form.set("serving.choice", "realtime")
    >>> record.serving.choice, form.message
    ('realtime', '')
    """
    return RecordForm(record)


class RecordForm:
    """What `record_form` returns: live widgets over a record, with its state as a static table where nothing runs.

    Attributes
    ----------
    record : checklist.Record
    message : str
        Why the last entry was refused; empty when it was taken.
    """

    def __init__(self, record):
        self.record, self.message = record, ""
        self._live, self._inputs, self._reading = None, {}, False

    @property
    def widget(self):
        """The ipywidgets box, made when first asked for."""
        if self._live is None:
            self._live = self._made_widget()
        return self._live

    def entries(self):
        """The names of the form's entries, such as "owner", "serving.choice", "rollback.within"."""
        return [name for name, *_ in self._entries()]

    def set(self, name, value):
        """Type a value into an entry, as a learner would by hand. A number may be a text; an empty one is missing."""
        if name not in self.entries():
            raise ValueError(f"The form has no entry {name!r}; there are {self.entries()}.")
        self.widget  # noqa: B018
        shown = _typed(value)
        if self._inputs[name].value == shown:
            return
        self._inputs[name].value = shown

    def refresh(self, _=None):
        """Show what the record holds now, after it was changed in code."""
        self.widget  # noqa: B018
        self.message = ""
        self._show()

    def _entries(self):
        """(name, title, kind or options) of each entry."""
        from mlprod_helpers.checklist import ROWS, STRATEGIES

        for row, about in ROWS.items():
            if about.options:
                yield f"{row}.choice", about.title, about.options
                yield f"{row}.why", f"{about.title}: why", _TEXT
            elif row in _FORM:
                for attribute, title, kind in _FORM[row]:
                    if row != "sizing" or self.record.sizing is not None:
                        kind = STRATEGIES if kind == "strategy" else kind
                        yield f"{row}.{attribute}", f"{about.title}: {title}", kind
            elif isinstance(getattr(self.record, row), str):
                yield row, about.title, _TEXT

    def _made_widget(self):
        import ipywidgets

        width = f"{0.55 * max(len(title) for _, title, _ in self._entries()):.1f}em"
        for name, title, kind in self._entries():
            common = {
                "description": title,
                "tooltip": title,
                "value": _typed(self._value(name)),
                "style": {"description_width": width},
                "layout": {"width": "min(100%, 60em)"},
            }
            if isinstance(kind, tuple):
                made = ipywidgets.Dropdown(options=[("not decided", ""), *((o, o) for o in kind)], **common)
            else:  # a number too: it may be missing; taken when the learner leaves the entry
                made = ipywidgets.Text(continuous_update=False, **common)
            made.observe(lambda change, name=name, kind=kind: self._on_entry(name, kind), names="value")
            self._inputs[name] = made
        again = ipywidgets.Button(
            description="Read the record again", tooltip="Show changes made in code", layout={"width": "auto"}
        )
        again.on_click(self.refresh)
        self._state = ipywidgets.HTML(value=self._html())
        return ipywidgets.VBox([*self._inputs.values(), again, self._state])

    def _value(self, name):
        row, _, attribute = name.partition(".")
        held = getattr(self.record, row)
        return getattr(held, attribute) if attribute else held

    def _on_entry(self, name, kind):
        if self._reading:
            return
        try:
            self._write(
                name, _read_number(self._inputs[name].value) if kind == _NUMBER else self._inputs[name].value
            )
            self.message = ""
        except ValueError as error:  # the record refuses it: say why, and show what it still holds
            self.message = str(error)
        self._show()

    def _write(self, name, value):
        from dataclasses import replace

        row, _, attribute = name.partition(".")
        setattr(
            self.record, row, replace(getattr(self.record, row), **{attribute: value}) if attribute else value
        )

    def _show(self):
        """Bring each entry and the state below in line with the record."""
        self._reading = True
        try:
            for name, made in self._inputs.items():
                if name.startswith("sizing.") and self.record.sizing is None:
                    made.disabled = True
                else:
                    made.disabled, made.value = False, _typed(self._value(name))
        finally:
            self._reading = False
        self._state.value = self._html()

    def _html(self):
        from mlprod_helpers.checklist import CLAIMS

        def cell(text, tag="td"):
            return f'<{tag} style="text-align: left; vertical-align: top">{html.escape(str(text))}</{tag}>'

        findings = self.record.lint()
        rows = [
            f"<tr>{cell(row.title, 'th')}{cell(row.says or 'nothing yet')}"
            f"{cell(f'{row.findings} to repair' if row.findings else 'complete')}</tr>"
            for row in self.record.table().itertuples()
        ]
        head = "".join(cell(name, "th") for name in ("Row", "What the record says", "State"))
        told = "".join(f"<li>{html.escape(str(finding))}</li>" for finding in findings)
        told = f"<ul>{told}</ul>" if told else f"<p>{html.escape(str(findings))}</p>"
        refused = f"<p><strong>Not taken:</strong> {html.escape(self.message)}</p>" if self.message else ""
        code = f"<p><em>Set in code: sizing, claims ({', '.join(CLAIMS)}), triggers and alerts.</em></p>"
        return f"{refused}<table><tr>{head}</tr>{''.join(rows)}</table>{told}{code}"

    def __repr__(self):
        return f"Form over {self.record!r}\n{self.record.lint()}"

    def _repr_mimebundle_(self, include=None, exclude=None):
        live = self.widget._repr_mimebundle_() or {}
        view = "application/vnd.jupyter.widget-view+json"
        return {key: live[key] for key in (view,) if key in live} | {
            "text/html": f"<div>{self._html()}<p><em>Run the cell to fill in the form.</em></p></div>",
            "text/plain": repr(self),
        }


def _typed(value):
    """A value as it stands in an entry."""
    return "" if value is None else f"{value:.10g}" if isinstance(value, Real) else str(value)


def _read_number(text):
    if not text.strip():
        return None
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number. Write it with digits, such as 2.5.") from None


# --- a drift, composed, and what four monitors see of it --------------------------------------------------------------

_STREAM_ROWS, _ONSET, _WIDTH, _STREAM_SEED = 6000, 2400, 1200, 4
_A_POINT = 150  # rows that make one point of a line
_LARGEST = {"concept": 0.4, "covariate": 2.0, "prior": 0.35}
_PANELS = {  # title -> (limits, words for the horizontal axis)
    "inputs: means of x0 to x4, sd": ((-0.75, 2.35), "row"),
    "predictions: share of 1": ((0, 1), "row"),
    "labels: share of 1": ((0, 1), "tick at which the label came"),
    "error rate": ((0, 0.6), "tick at which the label came"),
}


@functools.cache
def _drifting(kind, pattern, size):
    """The stream, and 0 or 1 said for each of its rows by a model that was fitted on the first 2,000."""
    from mlprod_helpers.streams import Drift, make_stream

    drift = Drift(
        kind,
        pattern,
        _ONSET,
        0 if pattern == "sudden" else _WIDTH,
        size,
        features=0 if kind == "covariate" else None,
    )
    stream = make_stream(_STREAM_ROWS, drifts=drift, random_state=_STREAM_SEED)
    rows = np.column_stack([np.ones(_STREAM_ROWS), stream.X])
    weights = np.linalg.lstsq(rows[:2000], stream.y[:2000].astype(float), rcond=None)[0]
    return stream, drift, (rows @ weights > 0.5).astype(float)


@functools.cache
def _monitors_still():
    """The standing part of the picture and its lines, panel by panel."""
    fig, axes = plots.figure(ncols=2, nrows=2, size=(8.6, 4.9), layout=None)
    fig.subplots_adjust(left=0.055, right=0.975, bottom=0.1, top=0.93, hspace=0.5, wspace=0.13)
    lines = []
    for ax, (title, (limits, xlabel)) in zip(axes.flat, _PANELS.items(), strict=True):
        ax.set_title(title)
        ax.set(xlim=(0, _STREAM_ROWS + 2000), ylim=limits, xlabel=xlabel)
        ax.axvline(_ONSET, color=plots.GREY, linewidth=1.2, linestyle=(0, (2, 3)))
        colors = (
            (plots.ORANGE, plots.BLUE, plots.GREEN, plots.PURPLE, plots.SKY)
            if "inputs" in title
            else (plots.RED if "error" in title else plots.BLUE,)
        )
        lines.append([ax.plot([], [], color=color)[0] for color in colors])
    return plots.Still(fig, [line for panel in lines for line in panel]), lines


def drift_picture(kind="concept", pattern="sudden", strength=80, delay=0):
    """What do the four monitors see of a drift: inputs, predictions, labels, error?

    A stream of 6,000 rows from `make_stream`, a frozen linear model fitted on the first 2,000, and a drift from row 2,400 on.

    Parameters
    ----------
    kind : {"concept", "covariate", "prior"}
    pattern : {"sudden", "gradual", "incremental", "recurring"}
        The change, or a season, takes 1,200 rows.
    strength : float
        Percent of the largest size on offer: concept 0.4, covariate 2 sd (of x0), prior 0.35.
    delay : int
        Ticks until a label is known: labels and errors are drawn where they are known.

    Returns
    -------
    plots.Figure

    Examples
    --------
    >>> drift_picture("concept", "sudden", 100)
    Figure: concept drift, sudden: row 2,400, size 0.4 (share of rows whose label changes). Before it and under the new regime:
    farthest input moved by 0.06 sd, predictions 0.52 and 0.50, labels 0.51 and 0.49, error rate 0.10 and 0.44.
    """
    stream, drift, said = _drifting(kind, pattern, round(_LARGEST[kind] * strength / 100, 4))
    y = stream.y.astype(float)
    wrong = (said != y).astype(float)
    still, lines = _monitors_still()
    at = np.arange(_A_POINT / 2, _STREAM_ROWS, _A_POINT)
    for panel, (values, late) in enumerate(((stream.X, 0), (said, 0), (y, delay), (wrong, delay))):
        means = values.reshape(len(at), _A_POINT, -1).mean(axis=1)
        for line, column in zip(lines[panel], means.T, strict=True):
            line.set_data(at + late, column)
    new = drift.new_share(stream.time) == 1
    old = stream.time < _ONSET
    farthest = np.abs(stream.X[new].mean(axis=0) - stream.X[old].mean(axis=0)).max()
    compared = ", ".join(
        f"{name} {values[old].mean():.2f} and {values[new].mean():.2f}"
        for name, values in (("predictions", said), ("labels", y), ("error rate", wrong))
    )
    late = f" Labels come {delay:,} ticks late." if delay else ""
    return still.picture(
        f"{drift}. Before it and under the new regime: farthest input moved by {farthest:.2f} sd, {compared}.{late}"
    )


def drift_explorer():
    """Compose a drift above `drift_picture`.

    Returns
    -------
    Explorer

    Examples
    --------
    >>> drift_explorer().values
    {'kind': 'concept', 'pattern': 'sudden', 'strength': 80, 'delay': 0}
    """
    from mlprod_helpers.streams import KINDS, PATTERNS

    return explore(
        drift_picture,
        kind=Choice(tuple(KINDS)),
        pattern=Choice(tuple(PATTERNS)),
        strength=Slider(10, 100, 10, 80, unit="% of the largest"),
        delay=Slider(0, 2000, 250, 0, label="labels come late by", unit="ticks"),
    )


# --- lesson 05: load and servers against latency -----------------------------------------------------------------

_SERVICE_MS = 50  # mean service time of the explorer
_LOADS = np.arange(2, 98)  # %
_LONGEST_MS = 2000


@functools.cache
def _latencies(servers):
    """p50 and p99 in ms at each of `_LOADS`."""
    from mlprod_helpers.queueing import mmc_percentile

    return [
        [_SERVICE_MS * mmc_percentile(q, load / 100 * servers, 1.0, servers) for load in _LOADS]
        for q in (50, 99)
    ]


@functools.cache
def _load_still():
    """The standing part of the picture and the artists that move."""
    fig, ax = plots.figure(layout=None)
    fig.subplots_adjust(left=0.09, right=0.98, bottom=0.15, top=0.9)
    ax.set(xlim=(0, 100), ylim=(0, _LONGEST_MS), xlabel="load of each server, %", ylabel="latency, ms")
    moving = []
    for name, color in (("p50", plots.BLUE), ("p99", plots.ORANGE)):
        [curve] = ax.plot([], [], color=color, label=name)
        [dot] = ax.plot([], [], "o", color=color, markersize=8)
        moving += [curve, dot]
    ax.legend(loc="upper left")
    words = ax.text(1, 1.03, "", transform=ax.transAxes, ha="right", fontweight="bold")
    return plots.Still(fig, [*moving, words]), moving, words


def load_picture(load=80, servers=1):
    """p50 and p99 of the latency against the load, exact for exponential service times of 50 ms (M/M/c).

    Parameters
    ----------
    load : int, share of the time in which each server works, in percent, 2 to 97
    servers : int

    Returns
    -------
    plots.Figure

    Examples
    --------
    >>> load_picture(80, servers=1)
    Figure: 1 server at 80 % load, 16 requests a second: p50 173 ms, p99 1,151 ms.
    >>> load_picture(80, servers=16)
    Figure: 16 servers at 80 % load, 256 requests a second: p50 40 ms, p99 237 ms.
    """
    still, moving, words = _load_still()
    now = [values[load - _LOADS[0]] for values in _latencies(servers)]
    for (curve, dot), values, at in zip((moving[:2], moving[2:]), _latencies(servers), now, strict=True):
        curve.set_data(_LOADS, values)
        dot.set_data([load], [at])  # above the frame it is not drawn, and said
    many = f"{servers} server{'s' if servers > 1 else ''} at {load} % load"
    rate = load / 100 * servers * 1000 / _SERVICE_MS
    p50, p99 = (f"{value:,.0f} ms" for value in now)
    words.set_text(f"p50 {p50}, p99 {p99}")
    return still.picture(f"{many}, {rate:g} requests a second: p50 {p50}, p99 {p99}.")


def load_explorer():
    """Load and number of servers above `load_picture`.

    Returns
    -------
    Explorer

    Examples
    --------
    >>> load_explorer().values
    {'load': 80, 'servers': 1}
    """
    return explore(
        load_picture,
        load=Slider(5, 97, 1, 80, label="load", unit="%"),
        servers=Slider(1, 16, 1, 1, label="servers"),
    )
