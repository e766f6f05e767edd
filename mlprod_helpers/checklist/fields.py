"""The kinds of field that a record is made of, and the one error that says what is wrong with a value.

pydantic checks; `RecordError` says what it found, one sentence a fault. `model` makes a pydantic dataclass that raises it.
"""

import functools
import inspect
import math
from dataclasses import fields
from numbers import Real
from typing import Annotated

import numpy as np
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs, PydanticCustomError

from mlprod_helpers.names import nearest_name


class RecordError(ValueError):
    """A record that cannot be: the message says where, what is wrong, and what to do."""


def wrong(message):
    """The error for a validator to raise: the place of the value stands before `message` in the sentence."""
    return PydanticCustomError("wrong", message)


# --------------------------------------------------------------------------------------------- kinds of field


def _as_number(value):
    """Numbers of numpy and Python are floats; a truth value is none, and stays what it is."""
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else value


def _as_whole(value):
    value = _as_number(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_figure(value):
    value = float(value) if isinstance(value, str) and value in ("inf", "-inf") else _as_number(value)
    if isinstance(value, float) and math.isnan(value):
        raise wrong("is nan, but it is a number: nothing was measured, so it proves nothing.")
    return value


def as_list(value):
    """An array or a Series as the list that pydantic expects."""
    return value.tolist() if isinstance(value, np.ndarray) or hasattr(value, "to_numpy") else value


def _as_condition(value):
    """A condition of evidence as plain data: it has to survive JSON unchanged."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, list | tuple | range | set | frozenset | np.ndarray):
        return [_as_condition(item) for item in value]
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise wrong(f"is {value!r}: give a finite number, a text, or a list of them.")


Text = Annotated[str, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False), BeforeValidator(_as_number)]
Share = Annotated[Number, Field(gt=0, le=1)]
Amount = Annotated[Number, Field(ge=0)]
Positive = Annotated[Number, Field(gt=0)]
Whole = Annotated[int, Strict(), BeforeValidator(_as_whole)]
# a figure may be infinite: the latency of a request that was never answered. JSON has no such number, so it is a text.
Figure = Annotated[
    float,
    Strict(),
    BeforeValidator(_as_figure),
    PlainSerializer(lambda value: str(value) if math.isinf(value) else value),
]
Condition = Annotated[object, BeforeValidator(_as_condition)]


def one_of(options):
    """A validator of texts: one of `options`, or still empty."""

    def check(value):
        if value and value not in options:
            raise wrong(f"is {value!r}: {nearest_name(value, options)}")
        return value

    return AfterValidator(check)


def list_of(kind):
    """A tuple of `kind`; a single one is taken as a tuple of one."""

    def read(value):
        if isinstance(value, kind):
            return (value,)
        if isinstance(value, list | tuple):
            return value
        raise wrong(f"is {value!r:.80}, but it is a list of {kind.__name__}(...)")

    return Annotated[tuple[kind, ...], BeforeValidator(read)]


# ------------------------------------------------------------------------------------- models and functions


def model(cls, **config):
    """A pydantic dataclass, frozen unless it is configured otherwise, whose faults are told as `RecordError`."""
    subject = f"the {cls.__name__.lower()}"
    cls._know_entries = model_validator(mode="before")(classmethod(_know_entries))
    cls = dataclass(cls, frozen=not config, config=ConfigDict(extra="forbid", **config))
    for method in ("__init__", "__setattr__"):
        setattr(cls, method, _told_of(subject, _names(cls))(getattr(cls, method)))
    cls.__signature__ = _without_annotations(cls)
    return cls


def _names(cls):
    return [field.name for field in fields(cls)]


def _without_annotations(call):
    """The signature as a learner reads it: the docstring says what a value may be, pydantic's own words do not."""
    signature = inspect.signature(call)
    parameters = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)


def _know_entries(cls, data):
    """Refuse an entry that the model does not have, and name the one that was probably meant."""
    given = data.kwargs if isinstance(data, ArgsKwargs) else data
    for name in given if isinstance(given, dict) else ():
        if name not in _names(cls):
            raise wrong(f"has the unknown entry {name!r}: {nearest_name(name, _names(cls))}")
    return data


def _told_of(subject, names):
    """A decorator: `ValidationError` becomes a `RecordError` about `subject`, whose positional values have `names`."""

    def decorate(function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            try:
                return function(*args, **kwargs)
            except ValidationError as error:
                raise RecordError(in_sentences(error, subject, names)) from None

        return call

    return decorate


# ------------------------------------------------------------------------------------------------- sentences

_IS_A = {
    "string_type": "a text",
    "float_type": "a number",
    "int_type": "a whole number",
    "finite_number": "a finite number",
    "dict_type": "a dict with names as keys",
    "tuple_type": "a list",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number from {ge:g} up",
    "less_than_equal": "a number up to {le:g}",
}
_MADE_BY = {
    "Record": "a dict with names as keys",
    "Evidence": "Evidence(...), or made by a helper such as from_sizing(...), from_trials(...), measured(...)",
    "Decision": "Decision(choice, why) or the text of its choice",
}


def in_sentences(error, subject="the record", names=()):
    """What pydantic found, one sentence a fault.

    Parameters
    ----------
    error : pydantic.ValidationError
    subject : str, what was made, such as "the claim"
    names : sequence of str, the entries of the subject in their order, since pydantic counts positional values

    Returns
    -------
    str
    """
    return " ".join(_sentence(fault, subject, names) for fault in error.errors(include_url=False))


def _sentence(fault, subject, names):
    kind, value, about, where = fault["type"], fault["input"], fault.get("ctx", {}), list(fault["loc"])
    if kind == "unexpected_positional_argument":
        return f"{_place([], subject)} has {len(names)} entries at most, and {value!r:.80} is one more."
    if where and isinstance(where[0], int):
        where[0] = names[where[0]]
    if "missing" in kind:
        return f"{_place(where[:-1], subject)} has no entry {where[-1]!r}: give one."
    place = _place(where, subject)
    if kind == "wrong":
        text = f"{place} {fault['msg']}"
    elif kind == "value_error":  # raised by what the value is made of, such as a law of the service time
        text = f"{place}: {about['error']}"
    elif kind.startswith("dataclass"):
        made = about["class_name"]
        text = f"{place} is {value!r:.80}, but it is {_MADE_BY.get(made, f'{made}(...)')}"
    elif kind in _IS_A:
        text = f"{place} is {value!r:.80}, but it is {_IS_A[kind].format(**about)}"
    else:
        text = f"{place}: {fault['msg']}"
    return text if text.endswith((".", "?")) else f"{text}."


def _place(where, subject):
    """The place as one would write it: ("latency", 0, "unit") is latency[0].unit."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where).removeprefix(".")
    if not path:
        return subject[0].upper() + subject[1:]
    return path if subject == "the record" else f"{path} of {subject}"
