"""What a model takes in and gives out: its features, and the pydantic models of requests and answers made of them."""

import math
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal, NotRequired

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    create_model,
)
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from mlprod_helpers.names import nearest_name
from mlprod_helpers.requestlog import COLUMNS

KINDS = ("number", "integer", "category")
LARGEST = 1e15  # no measured thing is larger; sums and products of such numbers are still finite
MOST_UNKNOWN = 20  # names in one object; more are counted, and are no errors of their own


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

    def annotation(self):
        """The type of its values, for pydantic."""
        return self._annotation() if self.required else NotRequired[self._annotation() | None]

    def _annotation(self):
        if self.kind == "category":
            return Literal[self.categories]
        low, high = self.bounds
        if self.kind == "integer":
            whole = Field(strict=True, ge=math.ceil(low), le=math.floor(high))
            return Annotated[int, whole, BeforeValidator(_whole)]
        return Annotated[float, Field(strict=True, ge=low, le=high, allow_inf_nan=False)]


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


def predict_body(features, most_rows):
    """The type of `/predict`'s body: one row under `features`, or 1 to `most_rows` rows under `rows`.

    >>> from pydantic import TypeAdapter
    >>> body = TypeAdapter(predict_body([Feature("distance", low=0, high=6000)], most_rows=100))
    >>> rows_of(body.validate_python({"features": {"distance": 1400}}))
    [{'distance': 1400.0}]
    """
    # a TypedDict, since a feature may be called whatever its data call it: "class", "json", "a b"
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


def predict_answers(card):
    """(model of the answer to one row, to many) for a `ModelCard`; a classifier with probabilities also gives scores."""
    prediction = float | None
    if card.classes is not None:
        prediction = Annotated[Any, WithJsonSchema({"enum": [*card.classes, None]})]
    score = Annotated[float, Field(ge=0, le=1)] | None
    scored = card.method == "predict_proba"
    one = {"prediction": (prediction, ...)} | ({"score": (score, ...)} if scored else {})
    many = {"request_ids": (list[str], ...), "predictions": (list[prediction], ...)}
    many |= {"scores": (list[score], ...)} if scored else {}
    common = {"version": (str, ...), "latency_ms": (float, ...)}
    return tuple(
        create_model(name, request_id=(str, ...), **fields, **common)
        for name, fields in (("Answer", one), ("Answers", many))
    )


def label_body(classes, low=None, high=None):
    """The model of `/label`'s body: which request, and its truth, a number from `low` to `high` or one of `classes`.

    >>> label_body(None, low=0, high=1440)(request_id="r1", label=227).label
    227.0
    """
    if classes is not None and (low, high) != (None, None):
        raise ValueError("label_low and label_high are for a model of numbers: this one has classes.")
    # a row of a request of many has a place after the request's name
    name = Annotated[str, Field(strict=True, min_length=1, max_length=72)]
    low, high = label_range(low, high)
    label = Annotated[float, Field(strict=True, ge=low, le=high, allow_inf_nan=False)]
    if classes is not None:
        label = Annotated[Any, AfterValidator(_one_of(classes)), WithJsonSchema({"enum": list(classes)})]
    label_model = create_model("Label", __config__=_STRICT, request_id=(name, ...), label=(label, ...))
    return Annotated[label_model, BeforeValidator(_mostly_known({"request_id", "label"}))]


def label_range(low, high):
    """The smallest and the largest label that is taken."""
    return (-LARGEST if low is None else low), (LARGEST if high is None else high)


class Learned(BaseModel):
    """The answer to a label: the request, the version that answered it, and whether its model learned from it."""

    request_id: str
    version: str
    learned: bool


_STRICT = ConfigDict(extra="forbid")


def _mostly_known(names):
    """Refuse an object with more than `MOST_UNKNOWN` names besides, before each of them becomes an error."""

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


def _one_of(classes):
    def check(label):
        same = [one for one in classes if one == label and isinstance(one, bool) == isinstance(label, bool)]
        if not same:
            raise PydanticCustomError("literal_error", "one of the model's classes")
        return same[0]

    return check
