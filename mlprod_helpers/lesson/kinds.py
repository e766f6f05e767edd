"""What kind of thing an answer is. A kind refuses garbage, in the learner's words, before a check computes anything.

>>> Number().take("0.8", "`auc`")
Traceback (most recent call last):
...
mlprod_helpers.lesson.kinds.Refused: `auc` is the text '0.8', but a single number is expected: remove the quotes.
"""

import inspect
import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.values import describe

LONGEST_COMMENT = 96  # of the line that lists the options of a choice


class Refused(Exception):
    """An answer of the wrong kind. The message is a sentence for the learner."""


def _refuse(name, value, wanted, advice=""):
    ending = f": {advice}." if advice else "."
    raise Refused(f"{name} is {describe(value)}, but {wanted} is expected{ending}")


def _items(value):
    """The items of anything list-like, else None."""
    if isinstance(value, np.ndarray | pd.Series | pd.Index):
        return list(value.tolist())
    return list(value) if isinstance(value, list | tuple | set | frozenset) else None


class Kind:
    """Base of all kinds: `take(value, name)` returns the value in its usual form or raises `Refused`."""

    def untouched(self, value):
        """Whether the learner has not begun: the value is still `...`."""
        return value is Ellipsis

    def template(self):
        """The expression that stands in the learner's cell before an answer."""
        return "..."


@dataclass(frozen=True)
class Number(Kind):
    """A single number, within `low` and `high` if given; NaN is not within them. numpy's scalars count; True and False do not."""

    low: float | None = None
    high: float | None = None
    integer: bool = False

    def take(self, value, name):
        wanted = "a whole number" if self.integer else "a single number"
        if isinstance(value, pd.Series | np.ndarray | pd.DataFrame | np.number) and np.ndim(value) == 0:
            value = value.item()
        if isinstance(value, pd.Series):
            _refuse(name, value, wanted, "take one value out of it, with .iloc[0] or by a sum or a mean")
        if isinstance(value, str):
            _refuse(name, value, wanted, "remove the quotes")
        if isinstance(value, bool) or not isinstance(value, int | float):
            _refuse(name, value, wanted)
        try:
            number = float(value)
        except OverflowError:
            _refuse(name, value, wanted)
        if np.isnan(number):
            if self.low is None and self.high is None:
                return number
            _refuse(name, value, wanted)
        if self.integer and not number.is_integer():  # infinity is not whole
            _refuse(name, value, wanted)
        if self.low is not None and number < self.low:
            raise Refused(f"{name} is {describe(value)}; it cannot be below {self.low:g}.")
        if self.high is not None and number > self.high:
            raise Refused(f"{name} is {describe(value)}; it cannot be above {self.high:g}.")
        return int(value) if self.integer else number


@dataclass(frozen=True)
class Boolean(Kind):
    """True or False."""

    def take(self, value, name):
        if not isinstance(value, bool):
            _refuse(name, value, "`True` or `False`")
        return value


@dataclass(frozen=True)
class Text(Kind):
    """A string, one of `options` if given."""

    options: tuple = ()

    def take(self, value, name):
        if not isinstance(value, str):
            _refuse(name, value, "a text")
        if self.options and value not in self.options:
            options = _listed(self.options, len(self.options))
            raise Refused(f"{name} is {describe(value)}; choose one of {options}.")
        return value


class Choice(Kind):
    """One of `options` for each of at least five `cases` (key -> what the case is)."""

    def __init__(self, cases, options):
        self.cases, self.options = dict(cases), tuple(options)
        if len(self.cases) < 5:
            raise ValueError("a choice needs at least five cases, so that guessing fails")

    def untouched(self, value):
        return value is Ellipsis or (
            isinstance(value, dict) and bool(value) and all(choice is Ellipsis for choice in value.values())
        )

    def template(self):
        # all of them: what is not shown cannot be chosen
        options = _wrapped("each is one of", [_quoted(option) for option in self.options])
        rows = "".join(f"    {_quoted(key)}: ...,  # {text}\n" for key, text in self.cases.items())
        if len(options) == 1:
            return f"{{  # {options[0]}\n{rows}}}"
        comments = "".join(f"    # {line}\n" for line in options)
        return f"{{\n{comments}{rows}}}"

    def take(self, value, name):
        if not isinstance(value, dict):
            _refuse(name, value, "a dict with one choice for each case")
        unknown = [key for key in value if key not in self.cases]
        if unknown:
            raise Refused(
                f"{name} has the unknown case {describe(unknown[0])}; the cases are {_listed(self.cases)}."
            )
        missing = [key for key in self.cases if value.get(key, Ellipsis) is Ellipsis]
        if missing:
            raise Refused(f"{name} has no choice yet for {_listed(missing)}.")
        for key, choice in value.items():
            if not (isinstance(choice, str) and choice in self.options):
                raise Refused(
                    f"{name}[{_quoted(key)}] is {describe(choice)}; choose one of "
                    f"{_listed(self.options, len(self.options))}."
                )
        return {key: value[key] for key in self.cases}


@dataclass(frozen=True)
class Names(Kind):
    """Names whose order does not matter, as a list of strings; what stands there twice counts once, except with `repeats`."""

    options: tuple | None = None
    repeats: bool = False

    def take(self, value, name):
        items = _items(value)
        if items is None or not all(isinstance(item, str) for item in items):
            _refuse(name, value, "a list of names")
        if self.options is not None:
            unknown = [item for item in items if item not in self.options]
            if unknown:
                raise Refused(f"{name} has {describe(unknown[0])}; the names are {_listed(self.options)}.")
        return sorted(items if self.repeats else set(items))


@dataclass(frozen=True)
class Order(Kind):
    """All of `steps`, each once, in an order."""

    steps: tuple

    def take(self, value, name):
        items = _items(value) if not isinstance(value, set | frozenset) else None
        if items is None:
            _refuse(name, value, "a list of steps, in order")
        unknown = [item for item in items if item not in self.steps]
        if unknown:
            raise Refused(
                f"{name} has the unknown step {describe(unknown[0])}; the steps are {_listed(self.steps)}."
            )
        missing = [step for step in self.steps if step not in items]
        if missing:
            raise Refused(f"{name} leaves out {_listed(missing)}.")
        if len(items) != len(self.steps):
            raise Refused(f"{name} names a step twice.")
        return items


@dataclass(frozen=True)
class Array(Kind):
    """A numpy array, or what numpy can read as one; `dtype` is "number", "bool" or "text"."""

    ndim: int | None = None
    dtype: str = "number"
    length: int | None = None

    def take(self, value, name):
        wanted, allowed = {
            "number": ("an array of numbers", "biuf"),
            "bool": ("an array of `True` and `False`", "b"),
            "text": ("an array of texts", "UOT"),
        }[self.dtype]
        if not isinstance(value, np.ndarray | list | tuple | pd.Series | pd.Index | pd.DataFrame):
            _refuse(name, value, wanted)
        try:
            array = np.asarray(value)
            if array.dtype == object and self.dtype == "number":
                if any(isinstance(each, str | bytes) for each in array.flat):
                    raise TypeError("numpy would read texts as numbers")
                array = array.astype(float)
        except (ValueError, TypeError):
            _refuse(name, value, wanted, "its rows differ in length or hold something else than numbers")
        if array.dtype.kind not in allowed and array.size:
            raise Refused(f"{name} holds values of type {array.dtype}, but {wanted} is expected.")
        if self.ndim is not None and array.ndim != self.ndim:
            raise Refused(f"{name} has shape {array.shape}; {self.ndim} dimension(s) are expected.")
        if self.length is not None and len(array) != self.length:
            raise Refused(f"{name} has {len(array)} values; {self.length} are expected.")
        return array


@dataclass(frozen=True)
class Frame(Kind):
    """A DataFrame, with at least these `columns` if given."""

    columns: tuple = ()

    def take(self, value, name):
        if not isinstance(value, pd.DataFrame):
            _refuse(name, value, "a DataFrame")
        missing = [column for column in self.columns if column not in value.columns]
        if missing:
            raise Refused(f"{name} has no column {_listed(missing)}.")
        return value


@dataclass(frozen=True)
class Mapping(Kind):
    """A dict, with at least these `keys` if given; its values are of kind `values` if given.

    With `in_order` a list with one value for each of `keys`, in their order, is as good.
    """

    keys: tuple = ()
    values: Kind | None = None
    in_order: bool = False

    def take(self, value, name):
        if self.in_order and isinstance(value, list | tuple | np.ndarray) and len(value) == len(self.keys):
            items = value.tolist() if isinstance(value, np.ndarray) else value
            value = dict(zip(self.keys, items, strict=True))
        if isinstance(value, pd.Series):
            value = value.to_dict()
        if not isinstance(value, dict):
            _refuse(name, value, "a dict")
        missing = [key for key in self.keys if key not in value]
        if missing:
            raise Refused(f"{name} has no key {_listed(missing)}.")
        if self.values is None:
            return value
        return {key: self.values.take(item, f"{name}[{key!r}]") for key, item in value.items()}


@dataclass(frozen=True)
class Sequence(Kind):
    """A list or tuple whose items are of kind `items`."""

    items: Kind

    def take(self, value, name):
        items = _items(value) if not isinstance(value, set | frozenset) else None
        if items is None:
            _refuse(name, value, "a list")
        return [self.items.take(item, f"{name}[{i}]") for i, item in enumerate(items)]


class Several(Kind):
    """A tuple of results, one kind each."""

    def __init__(self, *kinds, names=()):
        self.kinds, self.names = kinds, tuple(names) or tuple(f"value {i + 1}" for i in range(len(kinds)))

    def take(self, value, name):
        wanted = f"a tuple of {len(self.kinds)} ({', '.join(self.names)})"
        array = isinstance(value, np.ndarray) and value.ndim > 0
        if (not isinstance(value, tuple | list) and not array) or len(value) != len(self.kinds):
            _refuse(name, value, wanted)
        return tuple(
            kind.take(item, f"{part} of {name}")
            for kind, item, part in zip(self.kinds, value, self.names, strict=True)
        )


class Function(Kind):
    """A function of these parameters whose results are of kind `returns`.

    `may_change` names the parameters that are the learner's own: a policy's memory, or a log that a statement lets one
    add columns to. Changing any other is reported.
    """

    def __init__(self, *params, returns, may_change=()):
        self.params, self.returns, self.may_change = params, returns, frozenset(may_change)
        if unknown := self.may_change - set(params):
            raise ValueError(f"may_change names {sorted(unknown)}, which are no parameters of {params}")

    def take(self, value, name):
        if isinstance(value, type):
            _refuse(name, value, "a function")
        if not callable(value):
            advice = "did the `def` line go missing?" if value is not None else ""
            raise Refused(
                f"{name} is {describe(value)}, but a function is expected{': ' + advice if advice else '.'}"
            )
        if inspect.isgeneratorfunction(value) or inspect.iscoroutinefunction(value):
            raise Refused(f"{name} uses `yield` or `async`: use a plain function that ends with `return`.")
        try:
            signature = inspect.signature(value)
        except (TypeError, ValueError):  # some built-in functions have none
            return value
        try:
            signature.bind(*self.params)
        except TypeError:
            raise Refused(
                f"{name} takes {_arguments(signature)}, but it is called with {len(self.params)}: "
                f"({', '.join(self.params)})."
            ) from None
        return value


def _arguments(signature):
    names = list(signature.parameters)
    return "no argument" if not names else f"({', '.join(names)})"


def _quoted(text):
    return json.dumps(text, ensure_ascii=False) if isinstance(text, str) else repr(text)


def _wrapped(begins, names):
    """A list of names in lines that break between two of them."""
    lines = [begins]
    for i, name in enumerate(names):
        name += "," if i + 1 < len(names) else ""
        if len(lines[-1]) + len(name) < LONGEST_COMMENT:
            lines[-1] += f" {name}"
        else:
            lines.append(name)
    return lines


def _listed(names, most=8):
    names = [_quoted(name) for name in names]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
