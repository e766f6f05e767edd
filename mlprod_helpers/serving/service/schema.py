"""What a model takes in: its features, and the check of a request's body against them."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Annotated, Literal, NotRequired

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json
from typing_extensions import TypedDict

from mlprod_helpers.names import nearest_name
from mlprod_helpers.requestlog import COLUMNS

KINDS = ("number", "integer", "category")
LARGEST = 1e15  # no measured thing is larger; sums and products of such numbers are still finite
MOST_PROBLEMS = 20  # a body with a thousand wrong rows does not get an answer of a megabyte


@dataclass(frozen=True)
class Feature:
    """One input of a model, and which values are taken.

    Parameters
    ----------
    name : str, 1 to 64 characters; no name of the request log's own columns
    kind : "number", "integer" or "category"
    low, high : numbers or None, the smallest and largest value taken; None: -1e15 and 1e15
    categories : the texts that a category may be, 1 or more
    required : bool. False: it may be left out or null, and the model gets NaN.

    >>> Feature("distance", low=0, high=6000).meaning
    'a number from 0 to 6000'
    """

    name: str
    kind: str = "number"
    low: float | None = None
    high: float | None = None
    categories: tuple | None = None
    required: bool = True

    def __post_init__(self):
        if not isinstance(self.name, str) or not 1 <= len(self.name) <= 64 or not self.name.isprintable():
            raise ValueError(f"A feature's name is a text of 1 to 64 characters, not {self.name!r}.")
        if self.name in COLUMNS:
            raise ValueError(
                f"A feature cannot be called {self.name!r}: the log has a column of this name. Rename it."
            )
        if self.kind not in KINDS:
            raise ValueError(f"kind of {self.name!r} is {self.kind!r}: {nearest_name(self.kind, KINDS)}.")
        if self.kind == "category":
            self._check_categories()
            return
        if self.categories is not None:
            raise ValueError(f"{self.name!r} has categories, so its kind is 'category', not {self.kind!r}.")
        for side in ("low", "high"):
            value = getattr(self, side)
            if value is not None and (isinstance(value, bool) or not abs(value) <= LARGEST):
                raise ValueError(f"{side}={value!r} of {self.name!r} is a number from -1e15 to 1e15.")
        if self.bounds[0] > self.bounds[1]:
            raise ValueError(f"{self.name!r} has low={self.low!r} above high={self.high!r}.")

    def _check_categories(self):
        if self.low is not None or self.high is not None:
            raise ValueError(f"{self.name!r} is a category: it has categories, not low and high.")
        if not self.categories or isinstance(self.categories, str):
            raise ValueError(f"{self.name!r} is a category: name the texts in categories=[...].")
        if wrong := [c for c in self.categories if not isinstance(c, str) or len(c) > 256]:
            raise ValueError(f"The categories of {self.name!r} are texts of at most 256, not {wrong[0]!r}.")
        object.__setattr__(self, "categories", tuple(self.categories))

    @property
    def bounds(self):
        """(smallest, largest) value that is taken."""
        low, high = self.low, self.high
        return (-LARGEST if low is None else low, LARGEST if high is None else high)

    @property
    def meaning(self):
        """What is taken, in words; it stands in refusals."""
        if self.kind == "category":
            shown = ", ".join(map(repr, self.categories[:20]))
            more = f" or one of {len(self.categories) - 20} more" if len(self.categories) > 20 else ""
            return f"one of {shown}{more}"
        what = "a whole number" if self.kind == "integer" else "a number"
        return f"{what} from {self.bounds[0]:.16g} to {self.bounds[1]:.16g}"

    def to_dict(self):
        """Plain values, ready for JSON."""
        return asdict(self) | {"categories": None if self.categories is None else list(self.categories)}

    def json_schema(self):
        """The same as JSON Schema, for OpenAPI."""
        if self.kind == "category":
            plain = {"type": "string", "enum": list(self.categories)}
        else:
            low, high = self.bounds
            if self.kind == "integer":
                low, high = math.ceil(low), math.floor(high)
            plain = {"type": self.kind, "minimum": low, "maximum": high}
        return plain if self.required else {"anyOf": [plain, {"type": "null"}]}

    def _annotation(self):
        if self.kind == "category":
            kind = Literal[self.categories]
        else:
            low, high = self.bounds
            limits = Field(strict=True, ge=low, le=high)
            kind = (
                Annotated[int, BeforeValidator(_whole), limits]
                if self.kind == "integer"
                else Annotated[float, limits, Field(allow_inf_nan=False)]
            )
        return kind if self.required else NotRequired[kind | None]


def _whole(value):
    """5.0 is a whole number in JSON; "5" and true are none."""
    return int(value) if type(value) is float and value.is_integer() else value


def check_features(features):
    """The features as a tuple, each name once."""
    features = tuple(features)
    if not features or not all(isinstance(one, Feature) for one in features):
        raise ValueError("Give the model's inputs as a list of Feature, in the order in which it takes them.")
    names = [one.name for one in features]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"Two features are called {twice[0]!r}.")
    return features


class Refused(ValueError):
    """A body that is not taken: `status` 400 or 422, `error` in one word, `problems` as (kind, where, what).

    `where` and `what` are our own words: nothing that was sent is repeated.
    """

    def __init__(self, status, error, problems=()):
        super().__init__(error)
        self.status, self.error, self.problems = status, error, list(problems)

    @property
    def detail(self):
        """What an answer says about it."""
        return [{"where": where, "what": what} for _, where, what in self.problems]


class BodySchema:
    """The check of `/predict`'s body: one row in `features`, or many in `rows`.

    Parameters
    ----------
    features : list of `Feature`
    rows : int, the most rows of one request

    >>> schema = BodySchema([Feature("distance", low=0, high=6000)], rows=100)
    >>> schema.parse(b'{"features": {"distance": 1400}}')
    ([{'distance': 1400.0}], False)
    >>> schema.parse(b'{"features": {"distance": -1}}')
    Traceback (most recent call last):
    mlprod_helpers.serving.service.schema.Refused: invalid
    """

    def __init__(self, features, *, rows):
        self.features, self.most_rows = check_features(features), rows
        self._meaning = {one.name: one.meaning for one in self.features}
        row = TypedDict("Row", {one.name: one._annotation() for one in self.features})
        row.__pydantic_config__ = ConfigDict(extra="forbid")
        one, many = TypedDict("One", {"features": row}), TypedDict("Many", {"rows": list[row]})
        for body in (one, many):
            body.__pydantic_config__ = ConfigDict(extra="forbid")
        self._one = TypeAdapter(one).validator.validate_python
        self._many = TypeAdapter(many).validator.validate_python

    def parse(self, body):
        """(rows as dicts, were they many?) of a body; Refused with 400 if it is no JSON, with 422 if it does not fit."""
        found = parse_json(body)
        many = "rows" in found
        given = found["rows"] if many else [found.get("features")]
        if many and isinstance(given, list) and not 1 <= len(given) <= self.most_rows:
            raise Refused(422, "invalid", [("rows", "rows", f"1 to {self.most_rows} rows")])
        # before they are checked: each name that is not known would become an error of its own
        rows = [row for row in given if type(row) is dict] if isinstance(given, list) else []
        _refuse_many_unknown([(found, ("features", "rows")), *((row, self._meaning) for row in rows)])
        try:
            rows = self._many(found)["rows"] if many else [self._one(found)["features"]]
        except ValidationError as error:
            raise Refused(422, "invalid", self._problems(error)) from None
        _refuse_twice(body, len(found) + sum(map(len, rows)))
        return rows, many

    def _problems(self, error):
        return [self._problem(one["type"], one["loc"]) for one in _first_errors(error)]

    def _problem(self, kind, place):
        if kind == "extra_forbidden":  # its name is the sender's
            return "unknown", ".".join(map(str, place[:-1])), "a field that is not known here"
        where = ".".join(map(str, place))
        if place[-1] in self._meaning and len(place) > 1:
            what = self._meaning[place[-1]]
            if kind == "missing":
                return "missing", where, f"is missing: {what}"
            return _kind(kind), where, f"must be {what}"
        if kind == "missing":
            return "missing", where, 'is missing: send "features" or "rows"'
        return "type", where, "must be a list of rows" if place[-1] == "rows" else "must be an object"

    def json_schema(self):
        """The body as JSON Schema."""
        row = {
            "type": "object",
            "properties": {one.name: one.json_schema() for one in self.features},
            "required": [one.name for one in self.features if one.required],
            "additionalProperties": False,
        }
        rows = {"type": "array", "items": row, "minItems": 1, "maxItems": self.most_rows}
        return {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {name: inner},
                    "required": [name],
                    "additionalProperties": False,
                }
                for name, inner in (("features", row), ("rows", rows))
            ]
        }


def _first_errors(error):
    return error.errors(include_url=False, include_context=False, include_input=False)[:MOST_PROBLEMS]


def _refuse_many_unknown(objects):
    """Refuse (object, known names) pairs that have more than `MOST_PROBLEMS` names besides."""
    if sum(max(len(found) - len(known), 0) for found, known in objects) > MOST_PROBLEMS:
        count = sum(len(found) - sum(name in found for name in known) for found, known in objects)
        raise Refused(422, "invalid", [("unknown", "", f"{count} fields that are not known here")])


def _refuse_twice(body, names):
    """Refuse a body in which a name stands twice: one reader would take the first value, another the last.

    `names` is how many were read: as many as there are colons, unless one stands twice or a text holds one.
    """
    if body.count(":" if isinstance(body, str) else b":") == names:
        return

    def unique(pairs):
        if len(dict(pairs)) < len(pairs):
            raise Refused(422, "invalid", [("twice", "", "a name stands twice in one object: send it once")])

    json.loads(body, object_pairs_hook=unique)


def parse_json(body):
    """The object that a body holds; NaN and Infinity are no JSON."""
    try:
        found = from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError:
        raise Refused(400, "no_json") from None
    if type(found) is not dict:
        raise Refused(422, "invalid", [("type", "", "must be an object")])
    return found


class LabelSchema:
    """The check of `/label`'s body: which request, and its truth.

    Parameters
    ----------
    classes : what a classifier's label may be; None: a number
    low, high : numbers or None, the smallest and largest number taken; None: -1e15 and 1e15

    >>> schema = LabelSchema(None, low=0, high=1440)
    >>> schema.parse(b'{"request_id": "r1", "label": 227.0}')
    ('r1', 227.0)
    >>> schema.parse(b'{"request_id": "r1", "label": 1e15}')
    Traceback (most recent call last):
    mlprod_helpers.serving.service.schema.Refused: invalid
    """

    def __init__(self, classes, *, low=None, high=None):
        if classes is not None and (low, high) != (None, None):
            raise ValueError("label_low and label_high are for a model of numbers: this one has classes.")
        self.classes = classes
        self.bounds = (-LARGEST if low is None else low, LARGEST if high is None else high)
        low, high = self.bounds
        self._meaning = {
            "request_id": "must be a request's id, a text",
            "label": f"must be the truth, a number from {low:.16g} to {high:.16g}"
            if classes is None
            else "must be the truth, one of the model's classes",
        }
        label = (
            Annotated[float, Field(strict=True, ge=low, le=high, allow_inf_nan=False)]
            if classes is None
            else str | bool | int | float
        )
        # rows of a request of many have a place after the name
        name = Annotated[str, Field(strict=True, min_length=1, max_length=72)]
        fields = {"request_id": name, "label": label}
        body = TypedDict("Label", fields)
        body.__pydantic_config__ = ConfigDict(extra="forbid")
        self._check = TypeAdapter(body).validator.validate_python

    def parse(self, body):
        """(request id, label) of a body; `Refused` as for `BodySchema.parse`."""
        found = parse_json(body)
        _refuse_many_unknown([(found, self._meaning)])
        try:
            told = self._check(found)
        except ValidationError as error:
            raise Refused(
                422,
                "invalid",
                [
                    (_kind(one["type"]), place, self._meaning[place])
                    if (place := one["loc"][0]) in self._meaning
                    else ("unknown", "", "a field that is not known here")
                    for one in _first_errors(error)
                ],
            ) from None
        _refuse_twice(body, len(found))
        label = told["label"]
        if self.classes is not None:
            same = [
                one
                for one in self.classes
                if one == label and isinstance(one, bool) == isinstance(label, bool)
            ]
            if not same:
                raise Refused(
                    422, "invalid", [("out_of_range", "label", "must be one of the model's classes")]
                )
            label = same[0]
        return told["request_id"], label

    def json_schema(self):
        """The body as JSON Schema."""
        label = (
            {"type": "number", "minimum": self.bounds[0], "maximum": self.bounds[1]}
            if self.classes is None
            else {"enum": list(self.classes)}
        )
        return {
            "type": "object",
            "properties": {"request_id": {"type": "string", "minLength": 1, "maxLength": 72}, "label": label},
            "required": ["request_id", "label"],
            "additionalProperties": False,
        }


def _kind(problem):
    outside = ("greater_than_equal", "less_than_equal", "finite_number", "literal_error")
    return "out_of_range" if problem in outside else "type"
