"""The kinds of field that a record is made of, and the one error that says what is wrong with a value.

pydantic checks and words the faults; `model` makes a pydantic dataclass that raises them as a short `RecordError`.
"""

import functools
import inspect
from dataclasses import fields
from numbers import Real
from typing import Annotated

import numpy as np
from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, Strict, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError


class RecordError(ValueError):
    """A record that cannot be: the message says where and what is wrong."""


def wrong(message):
    """The error for a validator to raise: the place of the value stands before `message` in the sentence."""
    return PydanticCustomError("wrong", message)


def _as_number(value):
    """Numbers of numpy and Python are floats; a truth value is none, and stays what it is."""
    return float(value) if isinstance(value, Real) and not isinstance(value, bool) else value


def as_whole(value):
    """A whole number of numpy or Python, 20.0 as well, as an int; anything else stays what it is."""
    value = _as_number(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_condition(value):
    """A condition of evidence as plain data, so that it survives JSON unchanged."""
    if isinstance(value, list | tuple | range | set | frozenset | np.ndarray):
        return [_as_condition(item) for item in value]
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not np.isfinite(value):
        raise wrong(f"is {value}: give a finite number.")
    return value


def as_list(value):
    """An array or a Series as the list that pydantic expects."""
    return value.tolist() if hasattr(value, "tolist") else value


Text = Annotated[str, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False), BeforeValidator(_as_number)]
Share = Annotated[Number, Field(gt=0, le=1)]
Amount = Annotated[Number, Field(ge=0)]
Positive = Annotated[Number, Field(gt=0)]
Whole = Annotated[int, Strict(), BeforeValidator(as_whole)]
Condition = Annotated[JsonValue, BeforeValidator(_as_condition)]


def list_of(kind):
    """A tuple of `kind`; a single one is taken as a tuple of one."""
    return Annotated[
        tuple[kind, ...], BeforeValidator(lambda value: (value,) if isinstance(value, kind) else value)
    ]


def model(cls, **config):
    """A pydantic dataclass, frozen unless it is configured otherwise, whose faults are raised as `RecordError`."""
    cls = dataclass(cls, frozen=not config, config=ConfigDict(extra="forbid", **config))
    names = [field.name for field in fields(cls)]
    for method in ("__init__", "__setattr__"):
        setattr(cls, method, _raising(getattr(cls, method), cls.__name__, names))
    # the docstring says what a value may be, so help() shows names and defaults alone
    parameters = inspect.signature(cls).parameters.values()
    cls.__signature__ = inspect.Signature([one.replace(annotation=one.empty) for one in parameters])
    return cls


def _raising(function, subject, names):
    @functools.wraps(function)
    def call(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except ValidationError as error:
            raise RecordError(in_sentences(error, subject, names)) from None

    return call


def in_sentences(error, subject="Record", names=()):
    """What pydantic found, one sentence a fault, each with its place such as `latency[0].unit`.

    pydantic counts positional arguments; `names`, the fields of `subject` in their order, gives them back their names.
    """
    return " ".join(_sentence(fault, subject, names) for fault in error.errors(include_url=False))


def _sentence(fault, subject, names):
    where, text = list(fault["loc"]), fault["msg"]
    if where and isinstance(where[0], int) and where[0] < len(names):
        where[0] = names[where[0]]
    place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where).removeprefix(".")
    place = place if subject == "Record" and place else f"{subject}.{place}".removesuffix(".")
    if fault["type"] == "wrong":
        return f"{place} {text}" if text.endswith((".", "?")) else f"{place} {text}."
    if fault["type"] == "value_error":  # raised by a part, such as a law of the service time
        return f"{place}: {fault['ctx']['error']}"
    if text.startswith("Input should"):
        return f"{place} {text.removeprefix('Input ')}, and it is {fault['input']!r:.60}."
    return f"{place}: {text}."
