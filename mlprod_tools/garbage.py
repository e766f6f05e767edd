"""Answers that no exercise asks for. A check must refuse every one of them without raising.

Each entry makes its value afresh, since checks may be given things that can be used only once.
"""

import numpy as np
import pandas as pd


def _contains_itself():
    items = []
    items.append(items)
    return items


class Awkward:
    """An object whose comparison and conversion fail."""

    def __eq__(self, other):
        raise RuntimeError("no comparison")

    __hash__ = object.__hash__

    def __array__(self, *args, **kwargs):
        raise RuntimeError("no array")

    def __bool__(self):
        raise RuntimeError("no truth value")


VALUES = {
    "None": lambda: None,
    "text": lambda: "0.8",
    "empty text": lambda: "",
    "NaN": lambda: float("nan"),
    "infinite": lambda: float("inf"),
    "minus infinite": lambda: float("-inf"),
    "huge number": lambda: 10**400,
    "complex": lambda: 1j,
    "bytes": lambda: b"0.8",
    "empty list": list,
    "empty dict": dict,
    "long list": lambda: [0] * 1_000_001,
    "list of itself": _contains_itself,
    "mixed list": lambda: [1, "a", None],
    "dict of nonsense": lambda: {1: None, None: 1},
    "wrong shape": lambda: np.zeros((2, 3, 4)),
    "huge array": lambda: np.zeros(10**8),
    "array of NaN": lambda: np.full(7, np.nan),
    "array of objects": lambda: np.array([None, object()], dtype=object),
    "empty frame": pd.DataFrame,
    "strange frame": lambda: pd.DataFrame({0: ["a"], "x": [np.nan]}),
    "series": lambda: pd.Series(["a", None]),
    "missing time": lambda: pd.NaT,
    "missing value": lambda: pd.NA,
    "awkward object": Awkward,
    "class": lambda: Awkward,
    "generator": lambda: (i for i in range(3)),
    "module": lambda: np,
}


def _mutating(*arguments):
    for argument in arguments:
        if isinstance(argument, pd.DataFrame):
            argument.drop(columns=argument.columns[:1], inplace=True)
        elif isinstance(argument, np.ndarray) and argument.size:
            argument[...] = argument.ravel()[0]
        elif isinstance(argument, list | dict):
            argument.clear()
    return 0.0


def _raising(*arguments):
    raise ValueError("an answer that raises")


def _leaving(*arguments):
    raise SystemExit(3)


def _endless(*arguments):
    return _endless(*arguments)


def _generating(*arguments):
    yield 1


def _printing(*arguments):
    print("0.8")


FUNCTIONS = {
    "raising": _raising,
    "leaving": _leaving,
    "endless recursion": _endless,
    "generating": _generating,
    "printing": _printing,
    "mutating": _mutating,
    "echoing": lambda *arguments: arguments[0] if arguments else 0,
    "function of nothing": lambda: 0.5,
    "returning a function": lambda *arguments: _raising,
}


def answers(name, is_function):
    """All garbage for one answer: (what, answer) pairs."""
    yield from ((f"{name} is {what}", make()) for what, make in VALUES.items())
    if not is_function:
        yield f"{name} is a lambda", lambda: None
        return
    yield from ((f"{name} is {what}", function) for what, function in FUNCTIONS.items())
    for what, make in VALUES.items():
        yield f"{name} returns {what}", lambda *arguments, make=make: make()
