"""Faults of a camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from mlprod_helpers.faults.base import Fault
from mlprod_helpers.faults.frames import ColumnFault


def _check_gain(gain):
    if not (np.isfinite(gain) and gain >= 0) or gain == 1:
        raise ValueError(f"gain={gain!r}: 0 is black, 1 changes nothing; give a number such as 0.4")


@dataclass(frozen=True)
class ImageGain(Fault):
    """A camera's gain falls or rises: every pixel is multiplied by it and cut off at white.

    Whole-number pixels are rounded down, as a camera's converter does, and cut at the largest value of the dtype
    (255 for uint8). Floats are not cut: their white is not known.

    Parameters
    ----------
    gain : float. 1 is the healthy camera, 0.25 a dark one.
    start, end, share : See `Fault`. Rows are images: the first axis of the array, shape (n, ...).

    >>> from mlprod_helpers.faults import apply
    >>> images = np.full((3, 2, 2), 101, dtype=np.uint8)
    >>> broken, _ = apply(images, [ImageGain(0.5, start=1)])
    >>> broken.mean(axis=(1, 2)).tolist()
    [101.0, 50.0, 50.0]
    """

    kind: ClassVar[str] = "image_gain"
    gain: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        _check_gain(self.gain)
        if self.where is not None:
            raise ValueError("images have no columns to filter by: drop `where`, use start and end")

    def change(self, data, hit, rng):
        if not isinstance(data, np.ndarray):
            raise TypeError(
                f"image_gain dims an array of images, shape (n, ...), not a {type(data).__name__}"
            )
        dimmed = data[hit] * float(self.gain)
        if np.issubdtype(data.dtype, np.integer):
            dimmed = np.minimum(dimmed, np.iinfo(data.dtype).max)
        data[hit] = dimmed.astype(data.dtype)
        return data


@dataclass(frozen=True)
class DarkCamera(ColumnFault):
    """A camera's gain falls, seen in a column that holds the mean brightness of each image: value x gain, cut at 255.

    Parameters
    ----------
    columns : str or tuple of str
    gain : float. 1 is the healthy camera, 0.25 a dark one.

    >>> from mlprod_helpers.faults import apply
    >>> frame = pd.DataFrame({"brightness": [100.0, 120.0, 80.0]})
    >>> apply(frame, DarkCamera("brightness", 0.5, start=1))[0]["brightness"].tolist()
    [100.0, 60.0, 40.0]
    """

    kind: ClassVar[str] = "dark_camera"
    gain: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        _check_gain(self.gain)

    def change_column(self, column, hit):
        if not pd.api.types.is_numeric_dtype(column):
            raise TypeError(f"column {column.name!r} is {column.dtype}: brightness is a number")
        return (column * float(self.gain)).clip(upper=255).where(hit, column)
