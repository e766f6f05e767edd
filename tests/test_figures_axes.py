"""The pictures of the explorers can be read: axes say what they show, and the text alternative has numbers of the drawing."""

import re

import numpy as np
import pytest

from mlprod_helpers import explore, plots

# the others draw data that a lesson hands over
EXPLORERS = (
    "adversarial_explorer",
    "alarm_explorer",
    "drift_explorer",
    "load_explorer",
    "measured_latency_explorer",
    "paging_explorer",
    "rollout_explorer",
    "skew_explorer",
)
UNITS = r"\(.+\)|%|\bms\b|minutes|thousands|\bshare\b|\busers\b|sd\b|PSI|column"


@pytest.fixture(params=EXPLORERS)
def drawn(request, monkeypatch):
    """(matplotlib figure, text alternative) of what an explorer shows first."""
    seen, picture = [], plots.Still.picture

    def noted(self, alt):
        seen.append((self._canvas.figure, alt))
        return picture(self, alt)

    monkeypatch.setattr(plots.Still, "picture", noted)
    getattr(explore, request.param)()._repr_mimebundle_()
    assert seen
    return seen[0]


def names_of_ticks(ax):
    return [text.get_text() for text in ax.get_xticklabels() if text.get_text()]


def is_number(text):
    return re.fullmatch(r"[-−]?[\d.,]+%?", text) is not None


def test_each_axis_of_numbers_says_what_it_shows(drawn):
    for ax in drawn[0].axes:
        title = ax.get_title(loc="left") or ax.get_title()
        assert ax.get_ylabel() or title, "neither a y label nor a title"
        if any(is_number(name) for name in names_of_ticks(ax)):
            assert ax.get_xlabel(), f"{title}: numbers below the axis, and no label"
        # months, weekdays and the panels above another one need no label of their own


def test_each_label_of_numbers_has_a_unit_or_names_a_share_or_count(drawn):
    for ax in drawn[0].axes:
        for label in (ax.get_xlabel(), ax.get_ylabel()):
            assert not label or re.search(UNITS, label), label


def test_the_text_alternative_has_a_number_of_the_drawing(drawn):
    fig, alt = drawn
    values = np.concatenate([np.asarray(v, dtype=float).ravel() for ax in fig.axes for v in plotted(ax)])
    values = np.concatenate([values, 100 * values])  # a share is said in percent
    words = " ".join(text.get_text() for ax in fig.axes for text in ax.texts)
    said = [number for number in re.findall(r"\d[\d,]*(?:\.\d+)?", alt) if len(number.strip(",")) > 1]
    assert any(is_near(values, number) or number in words for number in said), (said, words)


def plotted(ax):
    """What lines, points and bars of one panel show."""
    for line in ax.lines:
        yield from line.get_data(orig=False)
    for points in ax.collections:
        yield points.get_offsets()
    for bar in ax.patches:
        if hasattr(bar, "get_height"):
            yield [bar.get_height(), bar.get_width()]


def is_near(values, number):
    number = number.strip(",").replace(",", "")
    step = 10.0 ** -len(number.partition(".")[2])
    return bool(np.any(np.abs(values - float(number)) <= 0.51 * step))


def test_a_number_that_is_not_drawn_is_not_found():
    assert is_near(np.array([8.47]), "8.5")
    assert not is_near(np.array([8.47]), "8.6")
