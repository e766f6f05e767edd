"""What a model takes in and gives out: its features, and the pydantic models of requests and answers made of them."""

import math
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    create_model,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from mlprod_helpers.requestlog import COLUMNS

LARGEST = 1e15  # no measured thing is larger; sums and products of such numbers are still finite
MOST_UNKNOWN = 20  # unknown names in one object; of more, only the count is reported
_Bound = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
_Category = Annotated[str, Field(max_length=256)]
_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
class Feature:
    """One input of a model, and which values are allowed.

    Parameters
    ----------
    name : str, 1 to 64 characters; not a column of the request log
    kind : "number", "integer" or "category"
    low, high : numbers or None, the smallest and largest value; None: -1e15 and 1e15
    categories : the texts that a category may be, 1 or more

    >>> Feature("distance", low=0, high=6000).meaning
    'a number from 0 to 6000'
    """

    name: Annotated[str, Field(min_length=1, max_length=64)]
    kind: Literal["number", "integer", "category"] = "number"
    low: _Bound | None = None
    high: _Bound | None = None
    categories: Annotated[tuple[_Category, ...], Field(strict=False, min_length=1)] | None = None

    @model_validator(mode="after")
    def _check(self):
        if self.name in COLUMNS:
            raise ValueError(f"{self.name!r} is a column of the request log: give the feature another name.")
        if (self.kind == "category") != (self.categories is not None):
            raise ValueError(
                f"{self.name!r}: kind='category' goes with categories=[...], and only with them."
            )
        if self.kind == "category" and (self.low, self.high) != (None, None):
            raise ValueError(f"{self.name!r} is a category: it has categories, not low and high.")
        if self.bounds[0] > self.bounds[1]:
            raise ValueError(f"{self.name!r} has low={self.low!r} above high={self.high!r}.")
        return self

    @property
    def bounds(self):
        """(smallest, largest) value that is allowed."""
        return value_range(self.low, self.high)

    @property
    def meaning(self):
        """What is allowed, in words for refusals."""
        if self.kind == "category":
            shown = ", ".join(map(repr, self.categories[:20]))
            more = f" or one of {len(self.categories) - 20} more" if len(self.categories) > 20 else ""
            return f"one of {shown}{more}"
        what = "a whole number" if self.kind == "integer" else "a number"
        return f"{what} from {self.bounds[0]:.16g} to {self.bounds[1]:.16g}"

    def annotation(self):
        """The type of its values, for pydantic."""
        low, high = self.bounds
        if self.kind == "category":
            return Literal[self.categories]
        if self.kind == "integer":
            whole = Field(strict=True, ge=math.ceil(low), le=math.floor(high))
            return Annotated[int, whole, BeforeValidator(_to_integer)]
        return Annotated[float, Field(strict=True, ge=low, le=high, allow_inf_nan=False)]


def _to_integer(value):
    """5.0 is a whole number in JSON; "5" and true are not."""
    return int(value) if type(value) is float and value.is_integer() else value


def value_range(low, high):
    """The smallest and the largest value that is allowed."""
    return (-LARGEST if low is None else low), (LARGEST if high is None else high)


def check_features(features):
    """The features as a tuple, each name once."""
    features = tuple(features)
    if not features or not all(isinstance(one, Feature) for one in features):
        raise ValueError("Give the model's inputs as a list of Feature, in the order in which it takes them.")
    names = [one.name for one in features]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"Two features are called {twice[0]!r}.")
    return features


def valid_row(features):
    """One row that is allowed, to try a model with.

    >>> valid_row([Feature("distance", low=50), Feature("origin", "category", categories=["EWR", "JFK"])])
    {'distance': 50.0, 'origin': 'EWR'}
    """
    row = {}
    for one in features:
        low, high = one.bounds
        row[one.name] = one.categories[0] if one.kind == "category" else float(max(low, min(high, 1)))
    return row


def predict_body(features, most_rows):
    """The type of the body of `/predict`: one row under `features`, or 1 to `most_rows` rows under `rows`.

    >>> from pydantic import TypeAdapter
    >>> body = TypeAdapter(predict_body([Feature("distance", low=0, high=6000)], most_rows=100))
    >>> rows_of(body.validate_python({"features": {"distance": 1400}}))
    [{'distance': 1400.0}]
    """
    # a TypedDict, because the names of features are free: "class", "json", "a b"
    row = TypedDict("Row", {one.name: one.annotation() for one in features})
    row.__pydantic_config__ = _STRICT
    row = Annotated[row, BeforeValidator(_mostly_known({one.name for one in features}))]
    rows = Annotated[list[row], BeforeValidator(_few(most_rows)), Field(min_length=1, max_length=most_rows)]
    known = BeforeValidator(_mostly_known({"features", "rows"}))
    one = Annotated[create_model("OneRow", __config__=_STRICT, features=(row, ...)), known, Tag("features")]
    many = Annotated[create_model("ManyRows", __config__=_STRICT, rows=(rows, ...)), known, Tag("rows")]
    return Annotated[
        one | many,
        Discriminator(lambda body: "rows" if type(body) is dict and "rows" in body else "features"),
    ]


def rows_of(body):
    """The rows of a validated body of `/predict`, a list of dicts."""
    return body.rows if hasattr(body, "rows") else [body.features]


class Answer(BaseModel):
    """The answer to one row; the prediction is null where the model gives no finite number."""

    request_id: str
    prediction: float | None
    version: str
    latency_ms: float


class Answers(BaseModel):
    """The answers to many rows, in their order."""

    request_id: str
    request_ids: list[str]
    predictions: list[float | None]
    version: str
    latency_ms: float


def label_body(low=None, high=None):
    """The model of the body of `/label`: a request and its label, a number from `low` to `high`.

    >>> label_body(low=0, high=1440)(request_id="r1", label=227).label
    227.0
    """
    # a row of a request of many has its number after the request's id
    name = Annotated[str, Field(strict=True, min_length=1, max_length=72)]
    low, high = value_range(low, high)
    label = Annotated[float, Field(strict=True, ge=low, le=high, allow_inf_nan=False)]
    label_model = create_model("Label", __config__=_STRICT, request_id=name, label=label)
    return Annotated[label_model, BeforeValidator(_mostly_known({"request_id", "label"}))]


class Learned(BaseModel):
    """The answer to a label: the request, the version that answered it, and whether its model learned from it."""

    request_id: str
    version: str
    learned: bool


def _mostly_known(names):
    """Refuse an object with many unknown names before each of them becomes an error of its own."""

    def check(value):
        if type(value) is dict and len(value) - len(names) > MOST_UNKNOWN:
            count = len(value) - sum(name in value for name in names)
            raise PydanticCustomError("too_many_unknown", f"{count} fields that are not known here")
        return value

    return check


def _few(most):
    """Refuse too many rows, or none, before any of them is looked at."""

    def check(rows):
        if type(rows) is list and not 1 <= len(rows) <= most:
            raise PydanticCustomError("count_of_rows", f"1 to {most} rows")
        return rows

    return check
