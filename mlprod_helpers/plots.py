"""Figures in one house style (`house.mplstyle`), each with a text alternative.

A figure becomes a PNG with an opaque background, readable in light and dark themes, inside an `<img>` with alt text.
matplotlib is imported only when something is drawn, and its backend does not matter.
"""

from __future__ import annotations

import base64
import html
import io
import re
import sys
from pathlib import Path

import numpy as np

BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
RED = "#D55E00"
PURPLE = "#CC79A7"
SKY = "#56B4E9"
GREY = "#737373"
# Okabe and Ito, "Color universal design" (2008): color-blind readers can tell them apart
COLORS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY)
REFERENCE, CURRENT = BLUE, ORANGE

PAPER = "#FBFAF7"
INK = "#1F2933"
SOFT_INK = "#565E68"
RULE = "#DDDAD2"
DIMMED = '<style>[data-jp-theme-light="false"] .mlprod-figure{filter:brightness(.82)}</style>'
DPI = 110  # pixels of the screen per inch of the figure: 10 point text is 15 pixels high

_STYLE_SHEET = Path(__file__).with_name("house.mplstyle")


def figure(ncols=1, nrows=1, *, size=None, title=None, layout="constrained", **kw):
    """Make an empty figure in the house style, to draw on and hand to `show`: (Figure, Axes or array of Axes).

    It sets matplotlib's `rcParams`, so figures made later in the same notebook have the style too.

    Parameters
    ----------
    ncols, nrows : int. Panels beside and below each other.
    size : (float, float), optional. Width and height in inches of 110 pixels.
    title : str, optional. Headline of the whole figure; a single panel rather has its own (`ax.set_title`).
    layout : str or None. matplotlib's layout engine; None leaves the margins to you and draws faster.
    **kw : Passed on to `matplotlib.figure.Figure.subplots`: `sharex`, `width_ratios` ...

    >>> fig, ax = figure()
    >>> _ = ax.plot([1, 2, 4, 8])
    >>> show(fig, alt="A line that doubles at each step, from 1 to 8.")
    Figure: A line that doubles at each step, from 1 to 8.
    """
    from matplotlib import style
    from matplotlib.figure import Figure as MatplotlibFigure

    style.use(_STYLE_SHEET)
    size = size or (7.4 if ncols == 1 else 8.6, 3.3 * nrows)
    fig = MatplotlibFigure(figsize=size, layout=layout)
    if title:
        fig.suptitle(title, x=0.012, ha="left")
    return fig, fig.subplots(nrows, ncols, **kw)


class Figure:
    """A picture with its text alternative, which every plot of the course returns.

    `fig` is a matplotlib figure, drawn when the picture is first needed. `alt` is a sentence or two that say what
    to notice; `ValueError` is raised if it says nothing, because it is very short or a file name.
    """

    def __init__(self, fig, alt):
        self.alt = _checked_alt(alt)
        self.figure = fig
        self._png = None

    @classmethod
    def from_png(cls, png, alt):
        """Return a Figure of PNG bytes that are drawn already."""
        made = cls(None, alt)
        made._png = png
        return made

    @property
    def png(self):
        """The picture as PNG bytes: the same bytes for the same drawing and matplotlib."""
        if self._png is None:
            self._png = _png_of(self.figure)
        return self._png

    def html(self):
        """The picture as one `<img>`, nothing to fetch; JupyterLab's dark themes dim its light paper."""
        width, height = (int.from_bytes(self.png[i : i + 4], "big") for i in (16, 20))  # PNG header
        # width and height keep the page from jumping while the picture is decoded
        return (
            f'{DIMMED}<img alt="{html.escape(self.alt)}" width="{width}" height="{height}" class="mlprod-figure" decoding="sync" '
            'style="max-width:100%;height:auto;border-radius:6px" '
            f'src="data:image/png;base64,{base64.b64encode(self.png).decode()}">'
        )

    def close(self):
        """Draw the picture now and let go of the matplotlib figure."""
        self.png  # noqa: B018
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is not None and self.figure is not None:
            pyplot.close(self.figure)
        self.figure = None
        return self

    def __repr__(self):
        return f"Figure: {self.alt}"

    def _repr_mimebundle_(self, **_):
        return {"text/html": self.html(), "text/plain": repr(self)}


def show(fig, *, alt=None):
    """End a plotting cell: draw the figure and return it with its text alternative.

    `fig` is a matplotlib figure or axes, or a ready `Figure`, which keeps its own text if `alt` is not given. `alt`
    says what to notice: "Error doubles after 9 February", not "line chart of errors".
    """
    if isinstance(fig, Figure):
        if alt is not None:
            fig.alt = _checked_alt(alt)
        return fig.close()
    if alt is None:
        raise ValueError('A figure needs a text alternative: show(fig, alt="what to notice in it").')
    return Figure(getattr(fig, "figure", None) or fig, alt).close()


class Still:
    """A figure whose axes, ticks and titles are drawn once, so that each new picture takes a few milliseconds.

    Explorers set the data of a few artists and ask for the next picture.

    Parameters
    ----------
    fig : matplotlib.figure.Figure. With fixed limits and ticks.
    moving : sequence of artists. What will change, drawn in this order. Everything else stays as it is.

    >>> fig, ax = figure(layout=None)
    >>> _ = ax.set(xlim=(0, 1), ylim=(0, 1))
    >>> [line] = ax.plot([0, 1], [0, 1])
    >>> still = Still(fig, [line])
    >>> line.set_ydata([0, 0.5])
    >>> still.picture("A straight line that climbs from zero to one half.")
    Figure: A straight line that climbs from zero to one half.
    """

    def __init__(self, fig, moving):
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        self.moving = list(moving)
        for artist in self.moving:
            artist.set_animated(True)
        self._canvas = FigureCanvasAgg(fig)
        self._canvas.draw()
        self._background = self._canvas.copy_from_bbox(fig.bbox)

    def picture(self, alt):
        """Draw the moving artists as they are now. A thread beside the learner's cells may call it."""
        self._canvas.restore_region(self._background)
        for artist in self.moving:
            artist.draw(self._canvas.get_renderer())
        return Figure.from_png(_encode(np.asarray(self._canvas.buffer_rgba())), alt)


def _png_of(fig):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(fig)
    fig.dpi = DPI
    if fig.get_facecolor()[3] != 1:  # a transparent figure would vanish on one of the two themes
        fig.set_facecolor(PAPER)
    canvas.draw()
    return _encode(np.asarray(canvas.buffer_rgba()))


def _encode(rgba):
    """Pixels to PNG bytes with a palette of 256 colors: a third of the size, no date and no program name inside."""
    from PIL import Image

    height, width, _ = rgba.shape
    # the palette comes from every seventh pixel, staggered from row to row: each line is met, at a third of the time
    stride = next(prime for prime in (7, 11, 13) if width % prime)
    some = np.ascontiguousarray(rgba.reshape(-1, 4)[::stride])
    palette = Image.frombuffer("RGBA", (len(some), 1), some).convert("RGB")
    palette = palette.quantize(256, method=Image.Quantize.FASTOCTREE)
    flat = Image.frombuffer("RGBA", (width, height), rgba).convert("RGB")
    packed = io.BytesIO()
    flat.quantize(palette=palette, dither=Image.Dither.NONE).save(packed, "PNG", compress_level=5)
    return packed.getvalue()


def _checked_alt(alt):
    if not isinstance(alt, str):
        raise ValueError(f"The text alternative of a figure is a sentence, not {type(alt).__name__}.")
    alt = " ".join(alt.split())
    if re.search(r"\.(png|jpe?g|svg|gif|webp|pdf)$", alt, re.IGNORECASE):
        raise ValueError(f"{alt!r} is a file name. Say in a sentence what to notice in the figure.")
    if len(alt) < 25 or len(alt.split()) < 4:
        raise ValueError(f"{alt!r} is too short for a text alternative. Say in a sentence what to notice.")
    return alt


# --- words and shades -------------------------------------------------------------------------------------------


def say(number):
    """Write a number for a sentence: three significant digits, no exponent.

    >>> [say(x) for x in (0.81234, 12.61, 336776, -0.00004, 5, float("nan"))]
    ['0.812', '12.6', '336,776', '0', '5', 'missing']
    """
    number = float(number)
    if not np.isfinite(number):
        return "missing" if np.isnan(number) else ("infinite" if number > 0 else "minus infinite")
    if abs(number) < 5e-4:
        return "0"
    if abs(number) >= 100:
        return f"{number:,.0f}"
    digits = max(0, 2 - int(np.floor(np.log10(abs(number)))))
    text = f"{number:.{min(digits, 3)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(share):
    """Write a share for a sentence.

    >>> percent(0.3456), percent(0.0052), percent(0)
    ('35%', '0.5%', '0%')
    """
    return f"{100 * share:.0f}%" if share == 0 or share >= 0.095 else f"{100 * share:.1f}%"


def ink(color):
    """Darken a color until words in it have a contrast of 4.5 on our paper (WCAG 2.2, 1.4.3).

    >>> ink(BLUE) == BLUE.lower(), ink(ORANGE)
    (True, '#9a6a00')
    """
    from matplotlib.colors import to_hex, to_rgb

    shade = np.array(to_rgb(color))
    while _contrast(shade, to_rgb(PAPER)) < 4.5:
        shade = shade * 0.98
    return to_hex(shade)


def _contrast(one, other):
    def luminance(rgb):
        rgb = np.asarray(rgb)
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


# --- ready drawings ---------------------------------------------------------------------------------------------


def _panel(ax, title, **labels):
    """The axes to draw on: the ones given, or those of a new figure."""
    if ax is None:
        ax = figure()[1]
    if title:
        ax.set_title(title)
    ax.set(**{key: text for key, text in labels.items() if text})
    return ax


def name_colors(ax, names_colors):
    """Write `{name: color}` in one line between title and axes, each name in its color."""
    from matplotlib.patches import Patch

    ax.legend(
        handles=[Patch(color=color, label=name) for name, color in names_colors.items()],
        labelcolor=[ink(color) for color in names_colors.values()],
        loc="lower left",
        bbox_to_anchor=(-0.006, 0.99),
        ncols=len(names_colors),
        borderpad=0.1,
        handlelength=0.8,
        handleheight=0.8,
        handletextpad=0.5,
        columnspacing=1.4,
        frameon=False,
        fontsize=9.5,
    )
    if ax.get_title(loc="left"):
        ax.set_title(ax.get_title(loc="left"), loc="left", pad=25)  # room for the line


def over_time(frame, *, onset=None, ylabel="", xlabel="", title="", colors=None, ax=None, alt=None):
    """Draw one or more series over time, with the moments at which something changes.

    Parameters
    ----------
    frame : DataFrame, Series or dict of lists. One line a column, over the index (numbers or times, increasing).
    onset : dict, optional. Name -> index value: moments to mark.
    ylabel, xlabel, title : str
    colors : dict, optional. Column -> color, for those that should not take the next of the palette.
    ax : Axes, optional. Where to draw; a new figure if not given.
    alt : str, optional. The text alternative; it is worked out of the frame if not given.

    >>> over_time({"frozen": [8, 8, 8, 12, 12, 12]}, onset={"winds turn": 3}, ylabel="error (minutes)")
    Figure: error (minutes) over 6 points from 0 to 5. frozen: mean 8 before winds turn (3), 12 from then on.
    """
    import pandas as pd

    frame = pd.DataFrame(frame)
    if frame.empty:
        raise ValueError("There is nothing to draw over time: the frame has no rows or no columns.")
    if not frame.index.is_monotonic_increasing:
        raise ValueError("Time runs backwards in this frame: sort its index first (frame.sort_index()).")
    is_time = isinstance(frame.index, pd.DatetimeIndex)
    marks = {name: pd.Timestamp(at) if is_time else at for name, at in (onset or {}).items()}
    ax = _panel(ax, title, xlabel=xlabel, ylabel=ylabel)
    palette = iter(np.resize([c for c in COLORS if c not in (colors or {}).values()], len(frame.columns)))
    shades = {name: (colors or {}).get(name) or str(next(palette)) for name in frame.columns}
    when = frame.index.to_numpy()
    for name, color in shades.items():
        ax.plot(when, frame[name].to_numpy(dtype=float), color=color, marker="o" if len(frame) == 1 else None)
    for name, at in marks.items():
        at = np.datetime64(at) if is_time else at
        ax.axvline(at, color=INK, linewidth=1, linestyle=(0, (3, 3)))
        ax.annotate(
            name,
            (at, 1),
            xycoords=("data", "axes fraction"),
            xytext=(4, -2),
            textcoords="offset points",
            va="top",
        )
    ax.margins(y=0.12)
    _name_ends(ax, frame, {name: ink(color) for name, color in shades.items()})
    return Figure(ax.figure, alt or _over_time_in_words(frame, marks, ylabel or title))


def _name_ends(ax, frame, shades):
    """Write each line's name at its right end, pushed apart where ends are close."""
    ends = {name: column[np.isfinite(column.to_numpy(dtype=float))] for name, column in frame.items()}
    ends = dict(sorted(((n, c.iloc[-1]) for n, c in ends.items() if len(c)), key=lambda end: end[1]))
    low, high = ax.get_ylim()
    gap = (high - low) * 0.19 / ax.figure.get_size_inches()[1]  # a line of text is about 0.17 inches high
    at = np.array(list(ends.values()), dtype=float)
    for _ in range(50):  # few lines: relaxing is enough
        crowded = np.clip(gap - np.diff(at), 0, None) / 2
        if crowded.sum() < gap / 100:
            break
        at -= np.append(crowded, 0)
        at += np.append(0, crowded)
    for (name, _), y in zip(ends.items(), at, strict=True):
        ax.annotate(
            str(name),
            (1, y),
            xycoords=("axes fraction", "data"),
            xytext=(5, 0),
            textcoords="offset points",
            color=shades[name],
            va="center",
            fontweight="bold",
            annotation_clip=False,
        )


def _over_time_in_words(frame, marks, what):
    import pandas as pd

    def moment(at):
        if not isinstance(at, pd.Timestamp):
            return say(at) if isinstance(at, int | float | np.number) else str(at)
        return f"{at:%Y-%m-%d}" if at == at.normalize() else f"{at:%Y-%m-%d %H:%M}"

    span = f"from {moment(frame.index[0])} to {moment(frame.index[-1])}"
    sentences = [f"{what or 'Values'} over {say(len(frame))} points {span}."]
    for name, column in frame.items():
        column = column.dropna()
        if column.empty:
            sentences.append(f"{name}: all missing.")
            continue
        if marks:
            word, at = next(iter(marks.items()))
            before, after = column[column.index < at].mean(), column[column.index >= at].mean()
            sentences.append(
                f"{name}: mean {say(before)} before {word} ({moment(at)}), {say(after)} from then on."
            )
        else:
            lowest = f"{say(column.min())} ({moment(column.idxmin())})"
            highest = f"{say(column.max())} ({moment(column.idxmax())})"
            ends = f"starts at {say(column.iloc[0])}, ends at {say(column.iloc[-1])}"
            sentences.append(f"{name}: {ends}, lowest {lowest}, highest {highest}.")
    later = [f"{word} ({moment(at)})" for word, at in list(marks.items())[1:]]
    return " ".join(sentences + ([f"Also marked: {', '.join(later)}."] if later else []))


def bars(values, *, highlight=(), xlabel="", title="", ax=None):
    """Draw a few named numbers (a dict or Series) as bars, the largest first, each with its value.

    Parameters
    ----------
    highlight : str or sequence of str. Names to draw in red, the others in blue.
    xlabel, title : str
    ax : Axes, optional. Where to draw; a new figure if not given.

    >>> bars({"distance": 0.31, "origin": 0.05, "hour": 0.0}, xlabel="importance")
    Figure: Bars of importance: distance 0.31, origin 0.05, hour 0.
    """
    import pandas as pd

    values = pd.Series(values, dtype=float)
    if values.empty:
        raise ValueError("There are no bars to draw.")
    values = values.sort_values(ascending=False, kind="stable")
    highlight = {highlight} if isinstance(highlight, str) else set(highlight)
    if unknown := highlight - set(values.index):
        raise ValueError(f"No bar is called {sorted(unknown)}; there are {list(values.index)}.")
    if ax is None:
        ax = figure(size=(7.4, 0.75 + 0.34 * len(values) + 0.3 * bool(xlabel)))[1]
    ax = _panel(ax, title, xlabel=xlabel)
    at = np.arange(len(values))
    lengths = values.where(
        np.isfinite(values), 0
    )  # what is missing or infinite stands in words, without a bar
    ax.barh(at, lengths, height=0.66, color=[RED if name in highlight else BLUE for name in values.index])
    for y, number in zip(at, values, strict=True):
        below = number < 0
        ax.annotate(
            say(number),
            (lengths.iloc[y], y),
            xytext=(-5 if below else 5, 0),
            textcoords="offset points",
            ha="right" if below else "left",
            va="center",
        )
    ax.set_yticks(at, [str(name) for name in values.index])
    ax.tick_params(axis="y", labelcolor=INK, labelsize=9.5)
    ax.invert_yaxis()
    # the numbers stand at the bars: no grid, no ticks
    ax.grid(False)
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    ax.spines["left"].set_visible(False)
    ax.axvline(0, color=SOFT_INK, linewidth=0.8)
    low, high = min(lengths.min(), 0), max(lengths.max(), 0)
    room = 0.13 * (high - low) or 1  # for the number beyond the longest bar
    ax.set_xlim(low - 1.6 * room * (low < 0), high + room)
    return Figure(ax.figure, _bars_in_words(values, highlight, xlabel or title))


def _bars_in_words(values, highlight, what):
    parts = [f"{name} {say(number)}" for name, number in values.items()]
    if len(parts) > 8:
        parts = [*parts[:6], f"... ({len(parts) - 7} more)", parts[-1]]
    text = f"Bars of {what or 'values'}: {', '.join(parts)}."
    return text + (f" Highlighted: {', '.join(sorted(map(str, highlight)))}." if highlight else "")
