"""Whether the figure that a cell draws now is the one that is stored: nbval compares text, this compares pictures.

Two machines may draw the same figure with glyphs hinted differently, or with axes a pixel away. So both pictures are blurred
a little, and each pixel may look like any of its neighbors in the other one. What is left is measured as matplotlib's own
image tests do it, by the root mean square, but tile by tile: in a mean over the whole figure a moved point would get lost.
"""

import base64
import io
import re

import numpy as np

TILE = 32  # pixels: about two letters wide
# RMS of the worst tile, of 255. Measured on figures in the house style: at most 20 for text without any hinting, 26 and more for a line
# that moves by two pixels (tests/test_figures.py)
TOLERANCE = 23
BLUR = 1  # pixels
_PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")


def pictures(outputs):
    """The PNG bytes of all pictures inside the outputs of a cell, in order."""
    for output in outputs:
        for value in output.get("data", {}).values():
            if isinstance(value, str):
                yield from (base64.b64decode(found) for found in _PICTURE.findall(value))


def changes(stored, fresh):
    """A sentence for each picture of a cell's fresh outputs that does not look like the stored one."""
    stored, fresh = list(pictures(stored)), list(pictures(fresh))
    if len(stored) != len(fresh):
        yield f"{len(fresh)} pictures are drawn, {len(stored)} are stored."
        return
    for number, (old, new) in enumerate(zip(stored, fresh, strict=True), start=1):
        if old == new:
            continue
        if problem := change(old, new):
            yield f"Picture {number} of {len(stored)}: {problem}"


def change(stored, fresh):
    """What differs between two pictures (PNG bytes), or None if they look the same."""
    stored, fresh = _opened(stored), _opened(fresh)
    if stored.size != fresh.size:
        return f"it is {fresh.width} by {fresh.height} pixels now and {stored.width} by {stored.height} as stored."
    error = worst_tiles(stored, fresh)
    if error.max() <= TOLERANCE:
        return None
    row, column = np.unravel_index(error.argmax(), error.shape)
    return (
        f"it differs most around x = {(column + 0.5) * TILE:.0f}, y = {(row + 0.5) * TILE:.0f} pixels from the top left "
        f"(RMS {error.max():.0f}, tolerance {TOLERANCE}), in {np.sum(error > TOLERANCE)} of {error.size} tiles."
    )


def worst_tiles(one, other):
    """The RMS of each tile, whichever of two pictures of one size is looked for in the other: (rows, columns)."""
    return np.maximum(_not_found(one, other), _not_found(other, one))


def _opened(png):
    from PIL import Image, ImageFilter

    return Image.open(io.BytesIO(png)).convert("RGB").filter(ImageFilter.GaussianBlur(BLUR))


def _not_found(picture, among):
    """How far each pixel is from the range of the nine pixels around its place in the other picture, in its worst channel, as RMS of tiles."""
    from PIL import ImageFilter

    low, high = (np.asarray(among.filter(kind(3))) for kind in (ImageFilter.MinFilter, ImageFilter.MaxFilter))
    pixels = np.asarray(picture)
    far = (pixels.astype(float) - np.clip(pixels, low, high)) ** 2
    height, width = far.shape[:2]
    far = np.pad(far.max(axis=2), ((0, -height % TILE), (0, -width % TILE)))
    return np.sqrt(far.reshape(-(-height // TILE), TILE, -1, TILE).mean(axis=(1, 3)))


# ------------------------------------------------------------------------------------------- what a figure says

# a unit, or a word that says that shares or counts are meant
UNITS = (
    r"\(.+\)|%|, s$|\b(ms|share|shares|sd|PSI|AUC|minutes?|hours?|days?|years?|weeks?|months?|miles|dollars|rows?|users|requests|thousands|"
    r"column|error|probability|accuracy|PR-AUC|alarms|cost|shuffles|looks?|tries|z-score|cases|brightness|CTR)\b"
)


def described(fig, alt):
    """What a matplotlib figure says in words: plain data, so that a kernel can hand it to a test."""
    from matplotlib.dates import DateLocator

    fig.canvas.draw()  # ticks get their texts
    panels = [
        {
            "title": ax.get_title(loc="left") or ax.get_title(),
            "labels": [ax.get_xlabel(), ax.get_ylabel()],
            "ticks": [
                # a year below an axis of dates is no number
                [] if isinstance(axis.get_major_locator(), DateLocator) else _texts(axis)
                for axis in (ax.xaxis, ax.yaxis)
            ],
        }
        for ax in fig.axes
        if ax.axison
    ]
    return {"title": fig.get_suptitle(), "alt": alt, "panels": panels}


def _texts(axis):
    return [text.get_text() for text in axis.get_ticklabels() if text.get_visible() and text.get_text()]


def unclear(figure):
    """A sentence for each thing that a described figure leaves open: title, axes, units, a number in its text alternative."""
    panels = figure["panels"]
    name = figure["title"] or (panels[0]["title"] if panels else "") or figure["alt"][:40]
    if not figure["title"] and not any(panel["title"] for panel in panels):
        yield f"{name!r} has no title."
    if not re.search(r"\d", figure["alt"]):
        yield f"{name!r}: its text alternative has no number."
    for panel in panels:
        where = panel["title"] or name
        for axis, label, ticks in zip("xy", panel["labels"], panel["ticks"], strict=True):
            has_numbers = any(re.fullmatch(r"[-−]?[\d.,]+", tick) for tick in ticks)
            # a title may say what bars show: "Whole rows: AUC 0.83"
            if (
                has_numbers
                and not label
                and not (axis == "y" and panel["title"])
                and not re.search("PSI|AUC|%", where)
            ):
                yield f"{where!r}: numbers on the {axis} axis, and no label."
            if has_numbers and label and not re.search(UNITS, label):
                yield f"{where!r}: the label {label!r} has no unit."
            if any(re.fullmatch(r"[-−]?\d{5,}", tick) for tick in ticks):
                yield f"{where!r}: {ticks[-1]} on the {axis} axis needs a comma."
