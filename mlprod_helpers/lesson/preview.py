"""Values in a few characters, as feedback shows what was asked and what came back: rounded, so that every processor prints the same."""

import math

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.values import describe

MOST = 60  # characters of one value
FEW = 6  # items that are shown one by one


def value_text(value, digits=4, most=MOST):
    """A value on one line; what is longer than `most` characters is described instead.

    >>> value_text([0.123456, 2.0]), value_text(np.arange(100))
    ('[0.1235, 2]', 'an array of 100 values')
    >>> value_text({"week": 3, "psi": np.zeros(10)})
    "{'week': 3, 'psi': an array of 10 values}"
    """
    try:
        text = _text(value, digits)
        return text if text is not None and len(text) <= most else _summary(value)
    except Exception:  # half a frame, an odd index
        return describe(value)


def arguments_text(arguments, most=None):
    """The arguments of a call, shorter where they would not fit into one line, or with dicts into two.

    >>> arguments_text([0.83, "x", np.zeros((30, 2))])
    "0.83, 'x', a 30 x 2 array"
    """
    most = most or (240 if holds_dicts(arguments) else 100)
    for width in (max(MOST, most // 2), 30, 20):
        text = ", ".join(value_text(each, 6, width) for each in arguments)
        if len(text) <= most or not any(_is_scalar(each) for each in arguments):
            break
    if len(text) <= most:
        return text
    return ", ".join("..." if not _is_scalar(each) else value_text(each, 6, 20) for each in arguments)[:most]


def entries_text(arguments, about, most=100):
    """The arguments of a call that has dicts: in full if there is room, and otherwise with the one entry that a line is `about`.

    >>> entries_text([{"a": 1}, 2], "a")
    "{'a': 1}, 2"
    >>> entries_text([dict.fromkeys("abcdefgh", 1), 2], "b")
    "{'b': 1, ...}, 2"
    """
    full = [_text(each, 6) for each in arguments]
    if None in full or len(", ".join(full)) > most:
        full = [entry_text(each, about) or value_text(each, 6, most) for each in arguments]
    return ", ".join(full)


def holds_dicts(arguments):
    """Whether one of them is a dict, or a list of dicts: an abridged one says nothing of the case."""
    firsts = [each[0] if isinstance(each, list | tuple) and each else each for each in arguments]
    return any(isinstance(each, dict) for each in firsts)


def entry_text(value, about):
    """The entry of a dict that a line is about, or "".

    >>> entry_text({"a": [1, 2], "b": [3, 4]}, "b"), entry_text({"a": [1, 2]}, "a"), entry_text({"a": [1, 2]}, "b")
    ("{'b': [3, 4], ...}", "{'a': [1, 2]}", '')
    """
    if not isinstance(value, dict) or about not in value:
        return ""
    text = _text({about: value[about]}, 6)
    return text[:-1] + ", ...}" if len(value) > 1 else text


def _is_scalar(value):
    return value is None or isinstance(value, bool | int | float | str | np.generic)


def _number_text(value, digits):
    """A number with this many digits, and with all digits before the decimal point unless it is huge.

    >>> _number_text(11_750.4, 4), _number_text(0.123456, 4), _number_text(1e12, 4)
    ('11750', '0.1235', '1e+12')
    """
    if math.isnan(value):
        return "NaN"
    return f"{value:.0f}" if 10**digits - 1 < abs(value) < 1e9 else f"{value:.{digits}g}"


def _text(value, digits):
    """The value written out, or None if it has too many parts."""
    value = value.item() if isinstance(value, np.generic) and not isinstance(value, np.datetime64) else value
    if isinstance(value, float):
        return _number_text(value, digits)
    if isinstance(value, pd.Timestamp):
        return str(value)
    if isinstance(value, bool | int | str) or value is None:
        return repr(value)
    if isinstance(value, pd.DataFrame):
        if len(value) > 4 or value.shape[1] > 4:
            return None
        columns = (f"{name}={_text(value[name], digits)}" for name in value.columns)
        return f"DataFrame({', '.join(columns)})"
    if isinstance(value, np.ndarray | pd.Series | pd.Index):
        if value.size > MOST:
            return None
        value = value.tolist()
    if isinstance(value, dict):
        if len(value) > FEW:
            return None
        entries = (f"{_text(k, digits)}: {_text(v, digits) or _summary(v)}" for k, v in value.items())
        return "{" + ", ".join(entries) + "}"
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        if len(items) > FEW:
            return None
        parts = [_text(each, digits) for each in items]
        if None in parts:
            return None
        joined = ", ".join(parts)
        if isinstance(value, tuple):
            return f"({joined}{',' if len(parts) == 1 else ''})"
        return f"[{joined}]" if isinstance(value, list) else f"{{{joined}}}"
    return str(value) if value is pd.NaT or value is pd.NA else None


def _summary(value):
    if isinstance(value, pd.DataFrame) or (isinstance(value, np.ndarray) and value.ndim == 2):
        rows, columns = value.shape
        return f"a {rows} x {columns} {'DataFrame' if isinstance(value, pd.DataFrame) else 'array'}"
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return f"an array of {len(value)} values"
    if isinstance(value, str):
        return repr(value[:17] + "...")
    return describe(value)
