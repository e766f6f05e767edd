"""Figures: one style, one text alternative each, small and equal on every run."""

import io
import itertools
import os
import subprocess
import sys
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from mlprod_helpers import plots

ALT = "A line that climbs from zero to one."


def line(alt=ALT):
    fig, ax = plots.figure()
    ax.plot([0, 1])
    ax.set_title("A line")
    return plots.show(fig, alt=alt)


def pixels(figure):
    return np.asarray(Image.open(io.BytesIO(figure.png)).convert("RGB")).astype(int)


def img_of(html):
    tags = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, attrs):
            tags.append((tag, dict(attrs)))

    Reader().feed(html)
    [(style, _), (tag, attrs)] = tags
    assert (style, tag) == ("style", "img")
    return attrs


# --- the picture ------------------------------------------------------------------------------------------------


def test_importing_is_light_and_drawing_needs_no_pyplot():
    code = (
        "import sys; from mlprod_helpers import plots; assert 'matplotlib' not in sys.modules; "
        "fig, ax = plots.figure(); ax.plot([1, 2]); plots.show(fig, alt='A line that climbs from one to two.').png; "
        "assert 'matplotlib.pyplot' not in sys.modules and 'ipywidgets' not in sys.modules"
    )
    # a backend that does not exist: nothing may ask for it
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"MPLBACKEND": "module://no_such_backend"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr


def test_same_drawing_gives_the_same_bytes_without_date_or_program_name():
    png = line().png
    assert png == line().png
    assert not any(chunk in png for chunk in (b"tEXt", b"iTXt", b"zTXt", b"tIME"))


def test_picture_is_small_and_has_the_promised_size():
    rng = np.random.default_rng(0)
    fig, axes = plots.figure(ncols=2)
    for ax in axes:
        ax.scatter(*rng.normal(size=(2, 300)))
        ax.scatter(*rng.normal(size=(2, 300)))
    figure = plots.show(fig, alt="Two scatters of two samples that lie on top of each other.")
    assert len(figure.png) <= 40_000
    attrs = img_of(figure.html())
    assert (
        (int(attrs["width"]), int(attrs["height"])) == Image.open(io.BytesIO(figure.png)).size == (946, 363)
    )


def test_paper_is_opaque_even_when_the_figure_is_transparent():
    fig, ax = plots.figure()
    ax.plot([0, 1])
    fig.set_facecolor("none")
    figure = plots.show(fig, alt=ALT)
    assert "transparency" not in Image.open(io.BytesIO(figure.png)).info
    np.testing.assert_allclose(pixels(figure)[2, 2], np.array(to_rgb(plots.PAPER)) * 255, atol=2)


def test_style_holds_whatever_the_learner_set_for_their_own_figures():
    house = line().png
    with matplotlib.rc_context(
        {"text.color": "white", "lines.linewidth": 9, "font.size": 30, "axes.titlesize": 40}
    ):
        assert line().png == house


def test_thin_lines_keep_their_color_in_the_palette():
    fig, ax = plots.figure(size=(7, 3))
    for y, color in enumerate(plots.COLORS):
        ax.axhline(y, color=color, linewidth=0.8, antialiased=False)
    shown = pixels(plots.show(fig, alt="Seven thin lines, one in each color of the palette."))
    for color in plots.COLORS:
        distance = np.abs(shown - np.array(to_rgb(color)) * 255).max(axis=2)
        assert (distance <= 6).sum() > 300, color


def test_show_closes_the_figure_and_takes_axes_pyplot_figures_and_ready_ones():
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots()
    ax.plot([0, 1])
    figure = plots.show(fig, alt=ALT)
    assert figure.figure is None and not plt.get_fignums()
    assert plots.show(plots.figure()[1], alt=ALT).png[:4] == b"\x89PNG"
    ready = plots.bars({"a": 1, "b": 2}, xlabel="importance")
    assert plots.show(ready).alt.startswith("Bars of importance")
    assert plots.show(ready, alt="Column b matters twice as much as a.").alt.startswith("Column b")


def test_still_draws_only_what_moves_and_forgets_what_it_drew_before():
    def still_and_line():
        fig, ax = plots.figure(layout=None)
        ax.set(xlim=(0, 1), ylim=(0, 1))
        [moving] = ax.plot([], [], color=plots.BLUE)
        return plots.Still(fig, [moving]), moving

    still, moving = still_and_line()
    drawn = []
    for y in (0.2, 0.9, 0.2):
        moving.set_data([0.1, 0.9], [y, y])
        drawn.append(still.picture(ALT).png)
    assert drawn[0] == drawn[2] != drawn[1]
    other, moving = still_and_line()
    moving.set_data([0.1, 0.9], [0.9, 0.9])
    assert other.picture(ALT).png == drawn[1]


# --- the text alternative ---------------------------------------------------------------------------------------


def test_bundle_has_an_escaped_alt_and_plain_text():
    alt = 'Errors "before" & after <9 February>: twice as large.'
    bundle = line(alt)._repr_mimebundle_()
    attrs = img_of(bundle["text/html"])
    assert attrs["alt"] == alt
    assert attrs["src"].startswith("data:image/png;base64,")
    assert "max-width:100%" in attrs["style"]
    assert bundle["text/plain"] == f"Figure: {alt}"


@pytest.mark.parametrize(
    ("alt", "says"),
    [
        ("", "too short"),
        ("Figure", "too short"),
        ("averyveryverylongsinglewordisnosentence", "too short"),
        ("my very nice figure of drift.png", "file name"),
        (None, r"show\(fig, alt="),
        (3, "sentence"),
    ],
)
def test_alt_that_says_nothing_is_refused(alt, says):
    fig, _ = plots.figure()
    with pytest.raises(ValueError, match=says):
        plots.show(fig, alt=alt)


# --- colors -----------------------------------------------------------------------------------------------------

# what people without green or red cones see, in linear light (Machado, Oliveira and Fernandes 2009, severity 1)
DEUTERANOPIA = [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
]
PROTANOPIA = [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
]


@pytest.mark.parametrize(
    "vision", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["all cones", "no green", "no red"]
)
def test_colors_stay_apart_for_color_blind_readers(vision):
    def seen(color):
        linear = np.asarray(vision) @ np.array([((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)])
        return np.clip(linear, 0, 1) ** (1 / 2.2)

    for one, other in itertools.combinations(plots.COLORS, 2):
        assert np.linalg.norm(seen(one) - seen(other)) > 0.1, (one, other)
    assert np.linalg.norm(seen(plots.REFERENCE) - seen(plots.CURRENT)) > 0.5


def test_words_in_color_have_enough_contrast_on_the_paper():
    for color in (*plots.COLORS, plots.INK, plots.SOFT_INK):
        assert plots._contrast(to_rgb(plots.ink(color)), to_rgb(plots.PAPER)) >= 4.5
    assert plots.ink(plots.INK) == plots.INK.lower()


# --- ready drawings ---------------------------------------------------------------------------------------------


def test_over_time_compares_before_and_after_the_first_mark():
    days = pd.date_range("2013-02-01", periods=6)
    frame = pd.DataFrame({"frozen": [8.0, 8, 8, 12, 12, np.nan], "fresh": 7.0}, index=days)
    alt = plots.over_time(
        frame, onset={"blizzard": "2013-02-04", "thaw": "2013-02-06"}, ylabel="error (minutes)"
    ).alt
    assert alt == (
        "error (minutes) over 6 points from 2013-02-01 to 2013-02-06. frozen: mean 8 before blizzard (2013-02-04), 12 "
        "from then on. fresh: mean 7 before blizzard (2013-02-04), 7 from then on. Also marked: thaw (2013-02-06)."
    )


def test_over_time_without_mark_tells_ends_and_extremes():
    alt = plots.over_time(pd.Series([3.0, 1, 5, 4], name="p99")).alt
    assert "p99: starts at 3, ends at 4, lowest 1 (1), highest 5 (2)" in alt


def test_over_time_refuses_unsorted_and_empty_frames():
    with pytest.raises(ValueError, match="sort its index"):
        plots.over_time(pd.Series([1.0, 2.0], index=[2, 1]))
    with pytest.raises(ValueError, match="nothing to draw"):
        plots.over_time(pd.DataFrame())


def test_names_at_line_ends_do_not_cover_each_other():
    ends = {f"line {i}": [0.0, 1 + i / 1000] for i in range(4)}
    figure = plots.over_time(ends)
    figure.figure.draw_without_rendering()
    names = [text for text in figure.figure.axes[0].texts if text.get_text().startswith("line")]
    boxes = sorted((text.get_window_extent() for text in names), key=lambda box: box.y0)
    assert len(boxes) == 4
    for lower, upper in itertools.pairwise(boxes):
        assert upper.y0 >= lower.y1 - 2


def test_bars_are_sorted_labeled_and_highlighted():
    figure = plots.bars({"hour": 0.0, "distance": 0.31, "origin": -0.05}, highlight="distance", xlabel="loss")
    assert figure.alt == "Bars of loss: distance 0.31, hour 0, origin -0.05. Highlighted: distance."
    ax = figure.figure.axes[0]
    assert [text.get_text() for text in ax.texts] == ["0.31", "0", "-0.05"]
    colors = [bar.get_facecolor()[:3] for bar in ax.patches]
    assert colors == [to_rgb(plots.RED), to_rgb(plots.BLUE), to_rgb(plots.BLUE)]
    with pytest.raises(ValueError, match=r"No bar is called \['dist'\]"):
        plots.bars({"distance": 1}, highlight="dist")
    with pytest.raises(ValueError, match="no bars"):
        plots.bars({})


def test_what_is_missing_or_infinite_is_said_not_drawn():
    assert (
        plots.bars({"a": np.inf, "b": 2.0, "c": np.nan}, xlabel="wait").alt
        == "Bars of wait: a infinite, b 2, c missing."
    )
    assert plots.bars({"a": np.nan, "b": -np.inf}).png[:4] == b"\x89PNG"
    assert (
        plots.over_time({"wait": [1.0, np.inf], "none": [np.nan, np.nan]}, ylabel="minutes").png[:4]
        == b"\x89PNG"
    )


def test_drawings_fit_into_one_figure_and_take_a_text_of_their_own():
    fig, (left, right) = plots.figure(ncols=2)
    first = plots.bars({"a": 1, "b": 2}, ax=left)
    second = plots.over_time({"error": [1.0, 2, 3]}, ax=right, alt="The error grows by one each day.")
    assert first.figure is second.figure is fig
    assert second.alt == "The error grows by one each day."


@pytest.mark.parametrize("size", [(7.4, 4.6), (6.1, 3.3), (5, 2.55)])
def test_any_size_in_inches_can_be_drawn(size):
    fig, _ = plots.figure(size=size)
    shown = plots.show(fig, alt="an empty figure of an odd size in inches")
    assert shown.png.startswith(b"\x89PNG")
