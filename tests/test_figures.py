"""A stored figure and a fresh one are held against each other: what a reader sees must be the same, pixels need not be."""

import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

from mlprod_helpers import plots
from mlprod_tools import figures


def drawn(moved=0.0, dot=0.0, color=plots.BLUE, size=None):
    """Two lines and a point; a move by 0.03 is about two pixels."""
    fig, ax = plots.figure(size=size)
    days = np.arange(100)
    ax.plot(days, np.sin(days / 9) + moved, color=color)
    ax.plot(days, np.cos(days / 9), color=plots.ORANGE)
    ax.plot([50], [0.5 + dot], "o", markersize=5, color=plots.GREY)
    ax.set(xlabel="days since the start", ylabel="error (minutes)", ylim=(-1.5, 1.5))
    ax.set_title("Errors double after the wind turns on 9 February")
    return fig


def png(fig):
    return plots.Figure(fig, "Two lines that wave, and one point.").png


def output(*pngs):
    html = "".join(plots.Figure.from_png(one, "Two lines that wave, and one point.").html() for one in pngs)
    return {"output_type": "display_data", "data": {"text/html": html, "text/plain": "Figure"}}


def test_the_same_drawing_looks_the_same():
    assert figures.change(png(drawn()), png(drawn())) is None


@pytest.mark.parametrize(
    "change",
    [
        {"moved": 0.03},
        {"moved": 0.2},
        {"dot": 0.1},
        {"dot": -0.4},
        {"color": plots.RED},
        {"color": plots.PURPLE},
    ],
    ids=str,
)
def test_a_moved_line_a_moved_point_and_another_color_are_found(change):
    said = figures.change(png(drawn()), png(drawn(**change)))
    assert "it differs most around x =" in said


def test_the_words_of_another_title_are_found():
    fig = drawn()
    fig.axes[0].set_title("Errors halve after the wind turns on 9 February")
    assert figures.change(png(drawn()), png(fig))


def test_glyphs_without_hinting_are_tolerated():
    stored = png(drawn())
    fig = drawn()
    with matplotlib.rc_context({"text.hinting": "none"}):
        fresh = png(fig)
    assert fresh != stored, "the hinting changes some pixels"
    assert figures.change(stored, fresh) is None


def test_a_drawing_that_lies_one_pixel_aside_is_tolerated():
    stored = png(drawn())
    shifted = Image.fromarray(
        np.roll(np.asarray(Image.open(io.BytesIO(stored)).convert("RGB")), 1, axis=(0, 1))
    )
    shifted.save(fresh := io.BytesIO(), "PNG")
    assert figures.change(stored, fresh.getvalue()) is None


def test_another_size_and_another_number_of_pictures_are_said():
    small, usual = png(drawn(size=(6, 3))), png(drawn())
    assert "660 by 330 pixels now and" in figures.change(usual, small)
    assert list(figures.changes([output(usual)], [output(usual), output(usual)])) == [
        "2 pictures are drawn, 1 are stored."
    ]


def test_each_picture_of_a_cell_is_compared_in_its_place():
    one, other = png(drawn()), png(drawn(moved=0.5))
    text = {"output_type": "stream", "name": "stdout", "text": "two figures\n"}
    assert list(figures.changes([text, output(one, other)], [text, output(one, other)])) == []
    [said] = figures.changes([text, output(one, other)], [text, output(one, one)])
    assert said.startswith("Picture 2 of 2: it differs most")
    assert len(list(figures.changes([output(one), output(other)], [output(other), output(one)]))) == 2


# ------------------------------------------------------------------------------------------- what a figure says


def labeled(xlabel="day", ylabel="error (minutes)", title="The error doubles"):
    fig, ax = plots.figure(title=title)
    ax.plot([10_000, 90_000], [1.0, 2.0])
    ax.ticklabel_format(useOffset=False, style="plain")
    ax.set(xlabel=xlabel, ylabel=ylabel)
    ax.xaxis.set_major_formatter("{x:,.0f}")
    return fig


def test_a_figure_with_title_labels_units_and_a_number_in_words_is_clear():
    assert list(figures.unclear(figures.described(labeled(), "The error rises from 1 to 2 minutes."))) == []


@pytest.mark.parametrize(
    ("changed", "alt", "said"),
    [
        ({"title": None}, "From 1 to 2.", "has no title"),
        ({}, "The error rises.", "no number"),
        ({"xlabel": ""}, "From 1 to 2.", "numbers on the x axis, and no label"),
        ({"ylabel": "loss"}, "From 1 to 2.", "'loss' has no unit"),
    ],
)
def test_what_a_figure_leaves_open_is_named(changed, alt, said):
    [problem] = figures.unclear(figures.described(labeled(**changed), alt))
    assert said in problem


def test_a_large_number_without_a_comma_is_named():
    fig = labeled()
    fig.axes[0].xaxis.set_major_formatter("{x:.0f}")
    [problem] = figures.unclear(figures.described(fig, "From 1 to 2."))
    assert "needs a comma" in problem
