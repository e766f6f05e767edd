"""The fingerprint of a training run: same data, code and settings, same text."""

from __future__ import annotations

import hashlib
import inspect
import json

import pandas as pd


def fingerprint(data, code, settings):
    """Twelve characters that change when data, code or settings of a training run change.

    Parameters
    ----------
    data : DataFrame. The rows in the order in which they are trained on; the index does not count.
    code : function, or str with its source. The features and the training.
    settings : dict of plain values, in any order.

    Returns
    -------
    str : the first 12 hexadecimal digits of a SHA-256.

    Notes
    -----
    Versions of libraries and the seed are not seen unless they are among the settings.

    >>> table = pd.DataFrame({"miles": [200, 300]})
    >>> one = fingerprint(table, "def f(x): return 2 * x", {"seed": 1, "window": "2h"})
    >>> one == fingerprint(table.copy(), "def f(x): return 2 * x", {"window": "2h", "seed": 1})
    True
    >>> one == fingerprint(table * 1.609, "def f(x): return 2 * x", {"seed": 1, "window": "2h"})
    False
    """
    seen = hashlib.sha256()
    kinds = [(str(name), str(dtype)) for name, dtype in data.dtypes.items()]
    rows = pd.util.hash_pandas_object(data, index=False).to_numpy()
    text = code if isinstance(code, str) else inspect.getsource(code)
    for part in (
        json.dumps(kinds).encode(),
        rows.tobytes(),
        text.encode(),
        json.dumps(settings, sort_keys=True).encode(),
    ):
        seen.update(len(part).to_bytes(8, "big"))
        seen.update(part)
    return seen.hexdigest()[:12]
