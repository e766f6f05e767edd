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
