"""Models on disk, and what a request may hold: nothing foreign is loaded, nothing wrong reaches the model."""

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter, ValidationError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVR

from mlprod_helpers.adaptation import HybridModel
from mlprod_helpers.serving.service import models as on_disk
from mlprod_helpers.serving.service.models import ModelCard, ModelError, Predictor, load_model, save_model
from mlprod_helpers.serving.service.refusals import explain
from mlprod_helpers.serving.service.schema import Feature, predict_body, rows_of

DISTANCE = Feature("distance", low=0, high=6000)
HOUR = Feature("hour", "integer", low=0, high=23)
ORIGIN = Feature("origin", "category", categories=["EWR", "JFK", "LGA"])
NUMBERS = (DISTANCE, HOUR)


@pytest.fixture
def flights():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"distance": rng.uniform(100, 2500, 80), "hour": rng.integers(5, 23, 80)})
    return X, X["distance"] / 8 + 20 + X["hour"]


def linear(flights):
    return make_pipeline(StandardScaler(), Ridge()).fit(*flights)


def test_a_model_comes_back_as_it_was_saved(flights, tmp_path):
    saved = save_model(linear(flights), tmp_path / "deep" / "v1", version="v1", features=NUMBERS)
    model, card = load_model(tmp_path / "deep" / "v1")
    assert card == saved == ModelCard.read(tmp_path / "deep" / "v1")
    assert (card.version, card.features) == ("v1", NUMBERS)
    assert np.array_equal(model.predict(flights[0]), linear(flights).predict(flights[0]))


def test_another_file_than_the_card_describes_is_not_unpacked(flights, tmp_path, monkeypatch):
    save_model(linear(flights), tmp_path, version="v1", features=NUMBERS)
    (file,) = tmp_path.glob("*.skops")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(on_disk, "_check_types", lambda data: pytest.fail("it was opened"))
    with pytest.raises(ModelError, match="checksum differs"):
        load_model(tmp_path)


def halved(X):
    return X / 2


def test_a_foreign_type_is_named_when_saving_and_when_loading(flights, tmp_path, monkeypatch):
    model = make_pipeline(FunctionTransformer(halved), Ridge()).fit(*flights)
    with pytest.raises(ModelError, match="halved.*not trusted"):
        save_model(model, tmp_path, version="v1", features=NUMBERS)
    assert not list(tmp_path.iterdir())
    with monkeypatch.context() as careless:
        careless.setattr(on_disk, "_check_types", lambda data: None)
        save_model(model, tmp_path, version="v1", features=NUMBERS)
    with pytest.raises(ModelError, match="halved.*not trusted"):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"features": NUMBERS[::-1]}, "fitted with the columns"),
        ({"features": (DISTANCE, HOUR, ORIGIN)}, "fitted with the columns"),
        ({"model": Ridge()}, "cannot answer a valid row.*not fitted"),
        ({"model": Ridge().fit([[1.0], [2.0]], [1, 2])}, "cannot answer a valid row.*2 features"),
        ({"model": LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0]], [0, 1])}, "is a classifier"),
    ],
)
def test_a_model_that_could_not_be_served_is_refused_when_it_is_saved(flights, tmp_path, change, says):
    given = {"model": linear(flights), "version": "v1", "features": NUMBERS} | change
    with pytest.raises(ModelError, match=says):
        save_model(given.pop("model"), tmp_path, **given)


def test_a_folder_without_a_model_says_what_to_do(tmp_path):
    with pytest.raises(ModelError, match="save one with save_model"):
        load_model(tmp_path)
    (tmp_path / "card.json").write_text('{"version": "v1"}')
    with pytest.raises(ModelError, match="not the card of a model"):
        load_model(tmp_path)


# --------------------------------------------------------------------------------------- the predictor


def predictor(model, features, folder):
    save_model(model, folder, version="v1", features=features)
    return Predictor(*load_model(folder))


@pytest.mark.filterwarnings("error")  # such as: X does not have valid feature names
@pytest.mark.parametrize("make", [lambda: make_pipeline(StandardScaler(), Ridge()), SVR])
def test_rows_get_the_model_s_own_answers(flights, tmp_path, make):
    X, y = flights
    model = make().fit(X, y)
    call = predictor(model, NUMBERS, tmp_path)
    rows = [{"hour": int(h), "distance": d} for d, h in X.head(5).to_numpy()]  # in any order
    answers = call(rows, ["r"] * 5)
    assert answers == pytest.approx(model.predict(X.head(5)))
    assert type(answers[0]) is float


def test_categories_reach_the_model(tmp_path):
    X = pd.DataFrame({"origin": ["EWR", "JFK", "LGA"]})
    model = make_pipeline(OneHotEncoder(), Ridge(alpha=1e-9)).fit(X, [1.0, 2.0, 3.0])
    call = predictor(model, [ORIGIN], tmp_path)
    assert call([{"origin": "LGA"}, {"origin": "EWR"}]) == pytest.approx([3, 1], abs=1e-3)


@pytest.mark.filterwarnings("ignore:overflow")
def test_what_is_no_finite_number_is_no_answer(flights, tmp_path):
    model = linear(flights)
    model[-1].coef_ = np.array([1e308, 1e308])
    call = predictor(model, NUMBERS, tmp_path)
    assert call([{"distance": 6000.0, "hour": 23}]) == [None]


def test_a_hybrid_is_saved_with_what_it_has_learned_and_learns_on(flights, tmp_path):
    X, y = flights
    X = X.assign(zone=(X["distance"] // 500).astype(int))
    hybrid = HybridModel(make_pipeline(StandardScaler(), Ridge()), band="zone", half_life=2).fit(X, y)
    hybrid.partial_fit(X, y + 30)
    call = predictor(hybrid, (*NUMBERS, Feature("zone", "integer", low=0, high=9)), tmp_path)
    rows = X.head(3).to_dict("records")
    assert call.learns
    assert call(rows) == pytest.approx(hybrid.predict(X.head(3)))
    before = call(rows[:1])[0]
    call.learn(rows[0], before + 100)
    assert call(rows[:1])[0] > before + 10
    assert not predictor(linear(flights), NUMBERS, tmp_path / "fixed").learns


# ------------------------------------------------------------------------------------------- the schema


FEATURES = [DISTANCE, HOUR, ORIGIN, Feature("wind")]
BODY = TypeAdapter(predict_body(FEATURES, 3))
GOOD = {"distance": 1400, "hour": 5, "origin": "JFK", "wind": -3}


def problems(body, schema=BODY):
    """What is wrong with a body that is refused: (reason, where, what)."""
    with pytest.raises(ValidationError) as refused:
        schema.validate_python(body)
    errors = [one | {"loc": ("body", *one["loc"])} for one in refused.value.errors()]
    return explain(errors, {one.name: one.meaning for one in FEATURES})


def test_one_row_and_many_are_taken():
    row = {"distance": 1400.0, "hour": 5, "origin": "JFK", "wind": -3.0}
    assert rows_of(BODY.validate_python({"features": GOOD})) == [row]
    many = BODY.validate_python({"rows": [GOOD, GOOD | {"wind": 2}]})
    assert rows_of(many) == [row, row | {"wind": 2.0}]
    # JSON has one kind of number
    assert rows_of(BODY.validate_python({"features": GOOD | {"hour": 5.0}})) == [row]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"distance": -1}, "out_of_range"),
        ({"distance": 6000.001}, "out_of_range"),
        ({"distance": float("inf")}, "out_of_range"),
        ({"distance": True}, "type"),
        ({"distance": "1400"}, "type"),
        ({"distance": None}, "type"),
        ({"distance": [1]}, "type"),
        ({"hour": 24}, "out_of_range"),
        ({"hour": 5.5}, "type"),
        ({"hour": False}, "type"),
        ({"origin": "ORD"}, "out_of_range"),
        ({"origin": 3}, "out_of_range"),
        ({"wind": 1e16}, "out_of_range"),
        ({"secret": 1}, "unknown"),
        ({"distance": 10**400}, "type"),
    ],
)
@pytest.mark.parametrize("many", [False, True])
def test_a_wrong_value_is_refused_and_not_repeated(change, reason, many):
    row, name = GOOD | change, next(iter(change))
    ((kind, where, what),) = problems({"rows": [GOOD, row]} if many else {"features": row})
    place = "rows.1" if many else "features"
    assert (kind, where) == (reason, place if name == "secret" else f"{place}.{name}")
    assert "secret" not in what


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"name": "label"}, "is a column of the request log"),
        ({"name": ""}, "at least 1 character"),
        ({"name": "x", "kind": "numeric"}, "'number', 'integer' or 'category'"),
        ({"name": "x", "kind": "category"}, "goes with categories"),
        ({"name": "x", "kind": "category", "categories": [1]}, "valid string"),
        ({"name": "x", "categories": ["a"]}, "goes with categories"),
        ({"name": "x", "low": 2, "high": 1}, "above high"),
        ({"name": "x", "low": float("nan")}, "low"),
    ],
)
def test_a_wrong_feature_says_what_to_do(given, says):
    with pytest.raises(ValueError, match=says):
        Feature(**given)
