"""What a benchmark measured, for `make bench`: one line of JSON for each figure, where results.py asked for them."""

import json
import os
from pathlib import Path

VARIABLE = "MLPROD_MEASURED"  # the file that lines are added to


def record(name, size=None, seconds=None, **figures):
    """Write down one comparison.

    Parameters
    ----------
    name : str
        What was compared with what, such as "queue against SimPy".
    size : int, optional
        Rows, requests or learners.
    seconds : float, optional
        Our own CPU seconds, from which results.py tells how the cost grows.
    **figures : float
        Ratios and other figures of this run; `_` in a name is printed as a space.
    """
    if path := os.environ.get(VARIABLE):
        line = {"name": name, "size": size, "seconds": seconds, "figures": figures}
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
