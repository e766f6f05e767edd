"""Answers that no exercise asks for. A check must refuse every one of them without raising.

Each entry makes its value afresh, since checks may be given things that can be used only once.
"""

import copy

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


PLAIN_CONSTANTS = (0, 1, 0.5, -1, True, False, "", [])
MOST_OUTPUTS = 6  # of the solution's, tried as constants


def constants(exercise, solution):
    """Answers that do not look at what they are asked: each earns little, whatever the exercise.

    Parameters
    ----------
    exercise : Exercise
    solution : dict
        Right answers: name -> value. What they return in one check is tried as constants too.

    Yields
    ------
    (str, dict)
        What it is, and the answers: name -> value, all of them constant.
    """
    from mlprod_helpers.lesson.kinds import Choice, Function

    kinds = dict(zip(exercise.answers, exercise.kinds, strict=True))
    choices = {name: kind for name, kind in kinds.items() if isinstance(kind, Choice)}
    functions = {name: kind for name, kind in kinds.items() if isinstance(kind, Function)}
    if choices:
        rest = {name: _constant(kind, 0) for name, kind in kinds.items() if name not in choices}
        for option in dict.fromkeys(option for kind in choices.values() for option in kind.options):
            picked = {name: _one_option(kind, option) for name, kind in choices.items()}
            yield f"{option!r} for every case", {**rest, **picked}
        return
    for value in PLAIN_CONSTANTS:
        yield f"{value!r} always", {name: _constant(kind, value) for name, kind in kinds.items()}
    if not functions:
        return
    outputs = {name: _distinct_outputs(exercise, solution, name) for name in functions}
    for i in range(max(map(len, outputs.values()))):
        chosen = {name: found[min(i, len(found) - 1)] for name, found in outputs.items() if found}
        made = {name: _constant(kind, chosen.get(name, 0)) for name, kind in kinds.items()}
        yield f"output {i + 1} of the solution always", made
        if all(_is_policy(kind) for kind in functions.values()):
            made = {name: _action(chosen[name]) for name in functions if name in chosen}
            yield f"action {i + 1} of the solution always, its memory handed on", made
    for i in range(max(len(kind.params) for kind in functions.values())):
        echo = {name: _echo(min(i, len(kind.params) - 1)) for name, kind in functions.items() if kind.params}
        others = {name: _constant(kind, 0) for name, kind in kinds.items() if name not in echo}
        params = dict.fromkeys(
            kind.params[min(i, len(kind.params) - 1)] for kind in functions.values() if kind.params
        )
        yield f"argument {i + 1} ({', '.join(params)}) handed back", {**others, **echo}


def _one_option(kind, option):
    return dict.fromkeys(kind.cases, option if option in kind.options else kind.options[0])


def _constant(kind, value):
    from mlprod_helpers.lesson.kinds import Function

    return (lambda *arguments: copy.deepcopy(value)) if isinstance(kind, Function) else copy.deepcopy(value)


def _echo(i):
    return lambda *arguments: arguments[i]


def _is_policy(kind):
    return len(kind.params) == 2 and kind.params[1] == "memory"


def _action(output):
    action = output[0] if isinstance(output, tuple | list) else output
    return lambda observation, memory: (action, memory)


def _distinct_outputs(exercise, solution, name):
    """The first results of the solution that differ from each other, in one check."""
    from mlprod_helpers.lesson import values
    from mlprod_helpers.lesson.checking import check

    found = []
    for call in check(exercise, solution).seen.calls:
        fresh = call.name == name and not call.error and call.output is not None
        if fresh and not any(values.close(call.output, each) for each in found):
            found.append(call.output)
        if len(found) == MOST_OUTPUTS:
            break
    return found


def answers(name, is_function):
    """All garbage for one answer: (what, answer) pairs."""
    yield from ((f"{name} is {what}", make()) for what, make in VALUES.items())
    if not is_function:
        yield f"{name} is a lambda", lambda: None
        return
    yield from ((f"{name} is {what}", function) for what, function in FUNCTIONS.items())
    for what, make in VALUES.items():
        yield f"{name} returns {what}", lambda *arguments, make=make: make()
