"""Controls above the picture of a pure function."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral, Real

from mlprod_helpers import plots
from mlprod_helpers.explore.page import at_home


@dataclass(frozen=True)
class Slider:
    """A number to move.

    Parameters
    ----------
    low, high, step, start : float or int
        The range, the distance of two settings, and where it stands first; all integers make an integer slider.
    label : str, optional. What it is called; the argument's name if not given.
    unit : str, optional. It follows the label and each value: "sd", "minutes".

    >>> Slider(0, 3, 0.1, 1.2, label="shift", unit="sd").start
    1.2
    """

    low: float
    high: float
    step: float
    start: float
    label: str = ""
    unit: str = ""

    def __post_init__(self):
        if not (self.low <= self.start <= self.high and 0 < self.step <= self.high - self.low):
            raise ValueError(
                f"No slider runs from {self.low} to {self.high} in steps of {self.step} and starts at {self.start}."
            )

    @property
    def decimals(self):
        """How many decimals a value has; None if all values are integers."""
        if all(isinstance(x, Integral) for x in (self.low, self.high, self.step, self.start)):
            return None
        return max(0, -math.floor(math.log10(self.step) + 1e-9))


@dataclass(frozen=True)
class Choice:
    """One of a few things to choose; numbers in rising order become a slider that stops at them.

    Parameters
    ----------
    options : sequence. What can be chosen.
    start : object, optional. What is chosen first; the first option if not given.
    label : str, optional. What is chosen here; the argument's name if not given.
    unit : str, optional. It follows the label and each value.

    >>> Choice(["sudden", "gradual"]).start
    'sudden'
    """

    options: tuple
    start: object = None
    label: str = ""
    unit: str = ""

    def __post_init__(self):
        object.__setattr__(self, "options", tuple(self.options))
        if not self.options:
            raise ValueError("A choice needs at least one option.")
        if self.start is None:
            object.__setattr__(self, "start", self.options[0])
        if self.start not in self.options:
            raise ValueError(f"{self.start!r} is not one of the options {list(self.options)}.")

    @property
    def ordered(self):
        """Whether the options are numbers, each above the one before."""
        return all(map(_is_number, self.options)) and all(low < high for low, high in pairwise(self.options))


def _is_number(value):
    return isinstance(value, Real) and not isinstance(value, bool)


def explore(fn, /, **controls):
    """Sliders above the picture of a pure function.

    Parameters
    ----------
    fn : callable
        `fn(**values)` returns a `plots.Figure` and depends on nothing but its arguments. It should take well below
        100 ms, so that the picture follows the slider (see `plots.Still`).
    **controls : One an argument of `fn`: a `Slider` for a number, a `Choice` for one of a few things.

    Returns
    -------
    Explorer : End a cell with it.

    Raises
    ------
    ValueError, TypeError
        For controls that make no sense and for a function that returns no `plots.Figure`. What the function raises for its
        first picture is raised, too; a later failure is shown in place of the picture, and the sliders stay alive.

    >>> def powers(exponent):
    ...     fig, ax = plots.figure()
    ...     ax.plot([x**exponent for x in range(5)])
    ...     return plots.show(fig, alt=f"The power {exponent} of the numbers 0 to 4.")
    >>> explore(powers, exponent=Slider(1, 4, 1, 2))
    Explorer with exponent: 2. The power 2 of the numbers 0 to 4.
    """
    return Explorer(fn, controls)


def mimebundle(widget, html, plain):
    """The live view of a widget, with the static forms that are shown where no kernel runs."""
    live = widget._repr_mimebundle_() or {}
    view = "application/vnd.jupyter.widget-view+json"
    static = {"text/html": html, "text/plain": plain}
    return static | {view: live[view]} if view in live else static


class Explorer:
    """A live widget over a pure function, with a static picture for where no kernel runs; `explore` makes it.

    Attributes
    ----------
    values : dict. Where the controls stand.
    figure : plots.Figure or None. The picture of these values; None while the function fails for them.
    """

    def __init__(self, fn, controls):
        if not controls:
            raise ValueError("An explorer needs at least one control, such as shift=Slider(0, 3, 0.1, 1).")
        for name, control in controls.items():
            if not isinstance(control, Slider | Choice):
                raise TypeError(f"{name}={control!r} is no control: give a Slider or a Choice.")
        self._fn, self._controls = fn, controls
        self._live, self._moving, self._failure = None, False, ""
        self.values = {name: control.start for name, control in controls.items()}
        self.figure = self._drawn()  # a failure here is the author's: let it be seen

    @property
    def widget(self):
        """The ipywidgets box of controls, reset button and picture, made when first asked for."""
        if self._live is None:
            self._live = self._make_widget()
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

    def _make_widget(self):
        import ipywidgets

        width = f"{0.55 * max(len(self._title(name)) for name in self._controls):.1f}em"
        self._inputs = {name: self._make_input(name, width) for name in self._controls}
        for control in self._inputs.values():
            control.observe(self._on_move, names="value")
        reset = ipywidgets.Button(
            description="Reset",
            tooltip="Put all controls back to where they started",
            layout={"width": "auto", "flex": "none"},
        )
        reset.on_click(lambda _: self.reset())
        self._picture = ipywidgets.HTML(value=self._shown(), layout={"margin": "6px 0 0"})
        wide = {"flex": "1 1 30em", "max_width": "42em", "min_width": "0"}
        row = {"flex_flow": "row wrap", "align_items": "flex-end"}
        controls = ipywidgets.HBox(
            [ipywidgets.VBox(list(self._inputs.values()), layout=wide), reset], layout=row
        )
        return at_home(ipywidgets.VBox([controls, self._picture]))

    def _make_input(self, name, width):
        import ipywidgets

        control = self._controls[name]
        common = {
            "value": self.values[name],
            "description": self._title(name),
            "tooltip": self._title(name),
            "style": {"description_width": width},
            "layout": {"width": "auto"},
        }
        if isinstance(control, Choice) and not control.ordered:
            return ipywidgets.Dropdown(options=control.options, **common)
        if isinstance(control, Choice):
            stops = [(f"{option:,}", option) for option in control.options]
            made = ipywidgets.SelectionSlider(options=stops, continuous_update=True, **common)
            return made.add_class("mlprod-stops")  # the browser counts its stops: 0, 1, 2
        decimals = control.decimals
        whole = decimals is None
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
        values = {name: self._clean(name, control.value) for name, control in self._inputs.items()}
        if values == self.values and self.figure is not None:
            return
        self.values = values
        try:
            self.figure, self._failure = self._drawn(), ""
        except Exception as error:  # whatever the function raises: the next move may work again
            self.figure, self._failure = None, f"{type(error).__name__}: {error}"
        self._picture.value = self._shown()

    def _clean(self, name, value):
        """The value as the step writes it: 0.3, where a browser counts to 0.30000000000000004."""
        decimals = getattr(self._controls[name], "decimals", None)
        return value if decimals is None else round(value, decimals)

    def _shown(self):
        """The picture, or why there is none."""
        if self.figure is not None:
            return self.figure.html()
        return f"<p><strong>No picture with {html.escape(self._settings())}.</strong> {html.escape(self._failure)}</p>"

    def _settings(self):
        """Where the controls stand, in words."""
        settings = []
        for name, value in self.values.items():
            control = self._controls[name]
            told = f"{value:.10g}" if _is_number(value) else value
            space = "" if control.unit[:1] in ("", "%") else " "
            settings.append(f"{control.label or name.replace('_', ' ')}: {told}{space}{control.unit}")
        return "; ".join(settings)

    def __repr__(self):
        return f"Explorer with {self._settings()}. {self.figure.alt if self.figure else self._failure}"

    def _repr_mimebundle_(self, **_):
        note = f"<p><em>Explorer with {html.escape(self._settings())}. Run the cell to move its controls.</em></p>"
        return mimebundle(self.widget, f"<div>{self._shown()}{note}</div>", repr(self))
