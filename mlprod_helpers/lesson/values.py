"""The one codec: what an answer, an argument or a result may be, as plain JSON data.

Notebook and grader pass every value through `encode` and `decode`, so a check sees copies of plain types only: a hostile
object, a view on the learner's data or a subclass with surprises never reaches it.

>>> decode(encode({"auc": 0.75, "columns": ("carrier", "hour")}))
{'auc': 0.75, 'columns': ('carrier', 'hour')}
"""

import base64
import datetime as dt
import decimal
import fractions
import math
import types

import numpy as np
import pandas as pd

MAX_BYTES = 64 * 2**20  # an answer of this course is a few megabytes at most
MAX_ITEMS = 1_000_000
MAX_DEPTH = 20

_PLAIN_DTYPES = "biufmM"
_INTEGERS = (int, np.integer)


class Unsupported(TypeError):
    """A value that cannot travel; the message says what it is and what to use instead."""


def encode(value):
    """Turn `value` into JSON data.

    A value is a number, str, bytes, None, Ellipsis, timestamp, timedelta or date; a list, tuple, set or dict of values; a numpy
    array; a pandas Series, Index or DataFrame. A `Fraction` or a `Decimal` travels as a float. `Unsupported` is raised for
    anything else (functions, estimators, generators, ...), and for what is larger than 64 MiB.
    """
    return value if is_itself(value) else _Encoder().encode(value, 0)


def is_itself(value):
    """Whether `value` is a short scalar that travels as it is: nothing can change it, and most arguments are one."""
    kind = type(value)  # not isinstance: an object may claim another class
    if kind is float:
        return value - value == 0
    if kind is int:
        return value.bit_length() <= 1024
    return value is None or kind is bool or (kind is str and len(value) <= 1000)


def decode(data):
    """The value that `encode` was given; arrays and frames are fresh, writable copies."""
    return _DECODERS[data["type"]](data) if isinstance(data, dict) else data


def copy(value):
    """A deep copy made of plain types."""
    return decode(encode(value))


def type_name(value):
    """The name of the type of `value`, as Python has it: not by an attribute, which an object may make up."""
    return type.__dict__["__name__"].__get__(type(value))


def describe(value):
    """What `value` is, in the words a learner would use.

    >>> describe(np.zeros((3, 2)))
    'an array of shape (3, 2)'
    """
    try:
        return _described(value)
    except Exception:  # an object whose own methods fail
        return f"an object of type `{type_name(value)}`"


def _described(value):
    kind = type(value)  # not isinstance: an object may claim another class
    if value is None or value is Ellipsis or kind in (bool, np.bool_):
        return "`...`" if value is Ellipsis else f"`{value}`"
    if issubclass(kind, str):
        text = str.__str__(value)
        return f"the text {text!r}" if len(text) <= 40 else f"a text of {len(text)} characters"
    if issubclass(kind, (int, np.integer)):
        return f"the number {int(value)}" if abs(int(value)) < 10**12 else "a very large number"
    if issubclass(kind, (float, np.floating)):
        return "NaN (not a number)" if math.isnan(value) else f"the number {float(value):.6g}"
    if issubclass(kind, np.ndarray):
        return f"an array of shape {value.shape}"
    if issubclass(kind, pd.Series):
        return f"a pandas Series with {_count(len(value), 'value')}"
    if issubclass(kind, pd.DataFrame):
        return f"a DataFrame of shape {value.shape}"
    if kind is types.GeneratorType:
        return "a generator"
    if issubclass(kind, type):
        return f"the class `{type.__dict__['__name__'].__get__(value)}`"
    if kind in (types.FunctionType, types.BuiltinFunctionType, types.MethodType):
        return "a function"
    if issubclass(kind, (dict, list, tuple, set, frozenset)):
        return f"a {type_name(value)} with {_count(len(value), 'item')}"
    return f"an object of type `{type_name(value)}`"


def _count(n, noun):
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def close(a, b, *, rtol=1e-6, atol=1e-9):
    """Whether two decoded values are the same up to rounding; NaN equals NaN, a list equals a tuple or an array.

    >>> close([1.0, float("nan")], np.array([1.0, np.nan]))
    True
    >>> close(["yes", "no"], np.array(["yes", "no"]))
    True
    >>> close({"a": 1}, {"a": 2})
    False
    """
    a, b = (each.item() if isinstance(each, np.ndarray) and each.ndim == 0 else each for each in (a, b))
    if isinstance(a, pd.DataFrame) or isinstance(b, pd.DataFrame):
        return _close_frames(a, b, rtol, atol)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(close(a[key], b[key], rtol=rtol, atol=atol) for key in a)
    if _is_listing(a) or _is_listing(b):
        return _is_listing(a) and _is_listing(b) and _close_listings(a, b, rtol, atol)
    if isinstance(a, int | float) and isinstance(b, int | float):
        return _close_numbers(a, b, rtol, atol)
    if _is_missing(a) or _is_missing(b):
        return _is_missing(a) and _is_missing(b)
    if isinstance(a, str) and isinstance(b, str):  # numpy's texts have a type of their own
        return bool(a == b)
    return type(a) is type(b) and a == b


def _is_missing(value):
    return value is None or value is pd.NaT or value is pd.NA


def _is_listing(value):
    return isinstance(value, list | tuple | np.ndarray | pd.Series | pd.Index)


def _close_numbers(a, b, rtol, atol):
    if isinstance(a, bool) != isinstance(b, bool):
        return False
    try:
        a, b = float(a), float(b)
    except OverflowError:
        return a == b
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return math.isclose(a, b, rel_tol=rtol, abs_tol=atol)


def _close_listings(a, b, rtol, atol):
    if len(a) != len(b):
        return False
    numbers = _as_floats(a), _as_floats(b)
    if numbers[0] is not None and numbers[1] is not None:
        return numbers[0].shape == numbers[1].shape and np.allclose(
            *numbers, rtol=rtol, atol=atol, equal_nan=True
        )
    # item by item: a tuple may hold frames, which numpy cannot line up
    return all(close(x, y, rtol=rtol, atol=atol) for x, y in zip(a, b, strict=True))


def _as_floats(values):
    try:
        array = np.asarray(values)
        return array.astype(float) if array.dtype.kind in "biuf" else None
    except (TypeError, ValueError):
        return None


def _close_frames(a, b, rtol, atol):
    return (
        isinstance(a, pd.DataFrame)
        and isinstance(b, pd.DataFrame)
        and a.shape == b.shape
        and list(a.columns) == list(b.columns)
        and all(close(a.iloc[:, i], b.iloc[:, i], rtol=rtol, atol=atol) for i in range(a.shape[1]))
    )


class _Encoder:
    def __init__(self):
        self.items = self.bytes = 0

    def encode(self, value, depth):
        if depth > MAX_DEPTH:
            raise Unsupported("it is nested too deeply (does a list contain itself?)")
        self._count(1)
        kind = type(value)  # not isinstance: an object may claim another class
        if value is None or kind is bool or (kind is float and value - value == 0):  # most of what there is
            return value
        if value is Ellipsis or value is pd.NaT or value is pd.NA:
            return {"type": "..." if value is Ellipsis else str(value)}
        method = _PLAIN.get(kind)  # quicker to ask
        for kinds, other in () if method else _ENCODERS:
            if issubclass(kind, kinds):
                method = other
                break
        if method is None:
            raise Unsupported(f"it is {describe(value)}, which is not plain data{_advice(value)}")
        return method(self, value, depth + 1)

    def _count(self, n):
        self.items += n
        if self.items > MAX_ITEMS:
            raise Unsupported(f"it has more than {MAX_ITEMS:,} items: use a numpy array")

    def _room(self, n_bytes):
        self.bytes += n_bytes
        if self.bytes > MAX_BYTES:
            raise Unsupported(f"it is larger than {MAX_BYTES // 2**20} MiB")

    def number(self, value, depth):
        if isinstance(value, np.bool_):
            return bool(value)
        if isinstance(value, _INTEGERS):
            value = int(value)
            # json has no size limit for integers, Python's text conversion has
            return value if value.bit_length() <= 1024 else {"type": "int", "text": hex(value)}
        value = float(value)
        return value if math.isfinite(value) else {"type": "float", "text": repr(value)}

    def text(self, value, depth):
        self._room(str.__len__(value))
        return str.__str__(value)

    def binary(self, value, depth):
        """The key of a log, for example, which exercise 5.6 gets."""
        self._room(len(value))
        return {"type": "bytes", "data": base64.b64encode(value).decode()}

    def moment(self, value, depth):
        """A date or time, or a duration."""
        if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            return {"type": "date", "text": value.isoformat()}
        kind = pd.Timedelta if isinstance(value, dt.timedelta | np.timedelta64) else pd.Timestamp
        value = kind(value)
        return {"type": "NaT"} if value is pd.NaT else {"type": kind.__name__, "text": value.isoformat()}

    def listing(self, value, depth):
        if type(value) in (list, tuple) and self._are_themselves(value):
            return {"type": type(value).__name__, "items": list(value)}
        # by the methods of the plain type: those of a subclass may do anything, and for ever
        for name, kind in _LISTINGS.items():
            if issubclass(type(value), kind):
                items = [self.encode(item, depth) for item in kind.__iter__(value)]
                return {"type": name, "items": sorted(items, key=repr) if "set" in name else items}

    def _are_themselves(self, items):
        """Whether all items travel as they are, which is found in one go: a log or a season's history has many."""
        kinds = set(map(type, items)) - {type(None)}
        if not kinds <= _SCALARS:
            return False
        if kinds == {float}:
            plain = math.isfinite(sum(filter(None, items)))
        else:
            plain = kinds <= {str} or all(map(is_itself, items))
        if plain:
            self._count(len(items))
            self._room(sum(len(item) for item in items if type(item) is str) if str in kinds else 0)
        return plain

    def mapping(self, value, depth):
        pairs = []
        for key, item in dict.items(value):
            if type(key) is str:  # a column or a metric: nearly every key
                self._count(1)
                self._room(len(key))
            else:
                key = self.encode(key, depth)
            pairs.append([key, self.encode(item, depth)])
        return {"type": "dict", "pairs": pairs}

    def array(self, value, depth):
        value = np.asarray(value)
        self._room(value.nbytes)
        about = {"dtype": value.dtype.str, "shape": list(value.shape)}
        if value.dtype.kind in _PLAIN_DTYPES:
            raw = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
            return {"type": "array", **about, "data": raw}
        if value.dtype.kind in "OUT":
            items = value.ravel().tolist()
            if value.dtype.kind == "U":  # plain texts, whose room is taken
                self._count(len(items))
            elif not self._are_themselves(items):
                items = [self.encode(item, depth) for item in items]
            return {"type": "objects", **about, "items": items}
        raise Unsupported(f"it is an array of dtype {value.dtype}, which is not plain data")

    def column(self, value, depth):
        """One pandas column, or one level of an index, without its name."""
        dtype = value.dtype
        if isinstance(dtype, np.dtype):
            return self.array(value.to_numpy(), depth)
        values = value.array
        if isinstance(dtype, pd.CategoricalDtype):
            return {
                "type": "category",
                "codes": self.array(np.asarray(values.codes), depth),
                "categories": self.column(dtype.categories, depth),
                "ordered": bool(dtype.ordered),
            }
        if isinstance(dtype, pd.DatetimeTZDtype):
            naive = values.tz_convert("UTC").tz_localize(None)
            return {"type": "zoned", "zone": str(dtype.tz), "data": self.array(np.asarray(naive), depth)}
        if pd.api.types.is_extension_array_dtype(dtype):
            items, is_missing = np.asarray(values, dtype=object).tolist(), values.isna()
            if is_missing.any():
                items = [None if gone else item for item, gone in zip(items, is_missing, strict=True)]
            if not self._are_themselves(items):
                items = [self.encode(item, depth) for item in items]
            return {"type": "extension", "dtype": str(dtype), "items": items}
        raise Unsupported(f"it has a column of dtype {dtype}, which is not plain data")

    def index(self, value, depth):
        names = [self.encode(name, depth) for name in value.names]
        if isinstance(value, pd.RangeIndex):
            return {"type": "rangeindex", "names": names, "range": [value.start, value.stop, value.step]}
        levels = [value.get_level_values(i) for i in range(value.nlevels)]
        kind = "multiindex" if isinstance(value, pd.MultiIndex) else "index"
        return {"type": kind, "names": names, "levels": [self.column(level, depth) for level in levels]}

    def series(self, value, depth):
        name, index = self.encode(value.name, depth), self.index(value.index, depth)
        return {"type": "series", "name": name, "index": index, "column": self.column(value, depth)}

    def frame(self, value, depth):
        return {
            "type": "frame",
            "columns": self.index(value.columns, depth),
            "index": self.index(value.index, depth),
            "data": [self.column(column, depth) for _, column in value.items()],
        }


def _advice(value):
    if isinstance(value, types.GeneratorType | map | filter | zip):
        return ": turn it into a list with list(...)"
    if isinstance(value, type):
        return ": was it called?"
    if hasattr(type(value), "predict"):
        return ": return its predictions, or its name"
    if hasattr(type(value), "to_dict"):
        return ": give what its `to_dict()` returns"
    return ""


_SCALARS = {bool, int, float, str}
_LISTINGS = {"tuple": tuple, "list": list, "range": range, "set": set, "frozenset": frozenset}
_PLAIN = {
    **dict.fromkeys((float, int), _Encoder.number),
    **dict.fromkeys((list, tuple), _Encoder.listing),
    str: _Encoder.text,
    dict: _Encoder.mapping,
}
_ENCODERS = (
    (str, _Encoder.text),
    (bytes, _Encoder.binary),
    ((int, float, np.integer, np.floating, np.bool_, fractions.Fraction, decimal.Decimal), _Encoder.number),
    ((dt.date, np.datetime64, dt.timedelta, np.timedelta64), _Encoder.moment),
    (tuple(_LISTINGS.values()), _Encoder.listing),
    (dict, _Encoder.mapping),
    (np.ndarray, _Encoder.array),
    (pd.Series, _Encoder.series),
    (pd.DataFrame, _Encoder.frame),
    (pd.Index, _Encoder.index),
)


def _items(data):
    return [decode(item) if type(item) is dict else item for item in data["items"]]


def _mapping(data):
    return {
        key if type(key) is str else decode(key): decode(item) if type(item) is dict else item
        for key, item in data["pairs"]
    }


def _array(data):
    raw = base64.b64decode(data["data"])
    return np.frombuffer(raw, dtype=np.dtype(data["dtype"])).reshape(data["shape"]).copy()


def _objects(data):
    if data["dtype"] != "|O":
        return np.array(_items(data), dtype=str).reshape(data["shape"])
    array = np.empty(len(data["items"]), dtype=object)
    array[:] = _items(data)
    return array.reshape(data["shape"])


def _category(data):
    categories = pd.Index(decode(data["categories"]))
    return pd.Categorical.from_codes(decode(data["codes"]), categories=categories, ordered=data["ordered"])


def _zoned(data):
    return pd.Series(decode(data["data"])).dt.tz_localize("UTC").dt.tz_convert(data["zone"]).array


def _extension(data):
    return pd.array(_items(data), dtype=data["dtype"])


def _index(data):
    names = [decode(name) for name in data["names"]]
    if data["type"] == "rangeindex":
        return pd.RangeIndex(*data["range"], name=names[0])
    levels = [decode(level) for level in data["levels"]]
    if data["type"] == "multiindex":
        return pd.MultiIndex.from_arrays(levels, names=names)
    return pd.Index(levels[0], name=names[0])


def _series(data):
    return pd.Series(decode(data["column"]), index=_index(data["index"]), name=decode(data["name"]))


def _frame(data):
    columns = map(decode, data["data"])
    frame = pd.DataFrame(
        dict(enumerate(columns)), index=_index(data["index"])
    )  # by position: names may repeat
    frame.columns = _index(data["columns"])
    return frame


_DECODERS = {
    "...": lambda data: Ellipsis,
    "NaT": lambda data: pd.NaT,
    "<NA>": lambda data: pd.NA,
    "int": lambda data: int(data["text"], 16),
    "float": lambda data: float(data["text"]),
    "bytes": lambda data: base64.b64decode(data["data"]),
    "date": lambda data: dt.date.fromisoformat(data["text"]),
    "Timestamp": lambda data: pd.Timestamp(data["text"]),
    "Timedelta": lambda data: pd.Timedelta(data["text"]),
    "list": _items,
    "range": _items,
    "tuple": lambda data: tuple(_items(data)),
    "set": lambda data: set(_items(data)),
    "frozenset": lambda data: frozenset(_items(data)),
    "dict": _mapping,
    "array": _array,
    "objects": _objects,
    "category": _category,
    "zoned": _zoned,
    "extension": _extension,
    "index": _index,
    "multiindex": _index,
    "rangeindex": _index,
    "series": _series,
    "frame": _frame,
}
