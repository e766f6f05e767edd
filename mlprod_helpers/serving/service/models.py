"""Models on disk: saved with skops, loaded without running foreign code, known by version and checksum."""

import contextlib
import copy
import hashlib
import threading
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict

from mlprod_helpers.serving.headers import check_version
from mlprod_helpers.serving.service.prepare import PREPARATIONS
from mlprod_helpers.serving.service.schema import Feature, check_features, valid_row

#: what is trusted besides the types that skops itself knows as harmless
TRUSTED = (
    "mlprod_helpers.adaptation.hybrid.HybridModel",
    "mlprod_helpers.adaptation.hybrid.ResidualStream",
    "numpy.dtype",  # in imputers; read from an array without pickle
)
MODEL, CARD = "model.skops", "card.json"
_LINEAR_STEPS = ("sklearn.preprocessing.", "sklearn.impute.", "sklearn.linear_model.", "sklearn.pipeline")


class ModelError(RuntimeError):
    """A model that cannot be saved or loaded. The message says why, and what to do."""


class ModelCard(BaseModel):
    """What is known about a saved model; `card.json` in its folder.

    Parameters
    ----------
    version : str
    checksum : str, SHA-256 of the model's file, hexadecimal
    features : tuple of `Feature`, in the order in which the model takes them
    prepare : str or None, the name in `PREPARATIONS` of how the service computes the features; None: requests have them
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[str, AfterValidator(check_version)]
    checksum: str
    features: Annotated[tuple[Feature, ...], AfterValidator(check_features)]
    prepare: Literal[*PREPARATIONS] | None = None

    @property
    def fields(self):
        """What a request has: the features, or what they are computed from."""
        return self.features if self.prepare is None else PREPARATIONS[self.prepare].fields

    @classmethod
    def read(cls, folder):
        """The card in a model's folder."""
        path = Path(folder, CARD)
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise ModelError(f"There is no model in {folder}: save one with save_model(...).") from None
        except (OSError, ValueError) as error:
            raise ModelError(f"{path} is not the card of a model ({error}): save the model again.") from None


def save_model(model, folder, *, version, features, prepare=None):
    """Write a fitted model and its card into a folder.

    Parameters
    ----------
    model : fitted scikit-learn regressor or `HybridModel`, of parts that skops trusts: linear models, scalers, encoders,
        imputers; no trees and no neighbors, because skops cannot check their compiled parts
    folder : str or Path; created if necessary
    version : str, 1 to 64 of A-Z a-z 0-9 . _ : -
    features : list of `Feature` in the order of the columns that the model was fitted with
    prepare : str or None, how the service computes these features from the fields of a request, a name in `PREPARATIONS`; None:
        requests have the features themselves

    Returns
    -------
    ModelCard

    Raises
    ------
    ModelError : a type in the model that `load_model` would not trust, features unlike the model's, or no answer to a valid row.
    ValueError : a wrong version, features or `prepare`.

    >>> import tempfile
    >>> from sklearn.linear_model import Ridge
    >>> model = Ridge().fit([[100.0], [2000.0]], [20.0, 280.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     card = save_model(model, folder, version="v1", features=[Feature("distance", low=0)])
    ...     loaded, _ = load_model(folder)
    >>> card.version, loaded.predict([[1000.0]]).round()
    ('v1', array([143.]))
    """
    import skops.io
    from sklearn.base import is_classifier

    if is_classifier(model):
        raise ModelError("The service is for models of numbers: this one is a classifier.")
    card = ModelCard(version=version, checksum="", features=features, prepare=prepare)
    _check_columns(model, card.features)
    if prepare is not None:
        _check_prepared(prepare, card.features)
    Predictor(model, card).warm_up()
    try:
        data = skops.io.dumps(model)
    except Exception as error:  # skops raises many kinds
        raise ModelError(f"skops cannot save this {type(model).__name__} ({error}).") from None
    _check_types(data)
    card = card.model_copy(update={"checksum": hashlib.sha256(data).hexdigest()})
    Path(folder).mkdir(parents=True, exist_ok=True)
    Path(folder, MODEL).write_bytes(data)
    Path(folder, CARD).write_text(card.model_dump_json(indent=2))
    return card


def load_model(folder):
    """(model, card) of a folder that `save_model` wrote.

    The checksum is compared before anything is unpacked, and only types that skops knows as harmless, or that `TRUSTED` names, are
    created. A pickle would run whatever code its writer put in.

    Raises
    ------
    ModelError : no model there, another file than the card says, or a type that is not trusted (named).
    """
    import skops.io

    card = ModelCard.read(folder)
    path = Path(folder, MODEL)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}): save the model again.") from None
    if hashlib.sha256(data).hexdigest() != card.checksum:
        raise ModelError(f"{path} is not the file that its card describes: its checksum differs.")
    _check_types(data)
    try:
        model = skops.io.loads(data, trusted=list(TRUSTED))
    except Exception as error:
        raise ModelError(f"{path} cannot be loaded ({error}).") from None
    return model, card


class Predictor:
    """A loaded model as a service calls it: rows in, plain answers out, and labels that a hybrid learns from.

    Called with rows (a list of dicts, checked by `schema.predict_body`), it returns a list with one number a row, or None where the
    model gives no finite number.
    """

    def __init__(self, model, card):
        # a row reaches a linear pipeline of numbers as an array in a third of the time
        self._takes_array = _is_linear(model, card.features)
        self._model, self.card = (_without_names(model) if self._takes_array else model), card
        self._names = [one.name for one in card.features]
        self._get = itemgetter(*self._names)
        self.learns = callable(getattr(model, "partial_fit", None)) and hasattr(model, "stream_")
        self._lock = threading.Lock() if self.learns else contextlib.nullcontext()

    def __call__(self, rows, ids=None):
        X = self._table(rows)
        with self._lock:
            output = np.asarray(self._model.predict(X))
        if output.shape != (len(rows),):
            raise ModelError(f"The model gave shape {output.shape} for {len(rows)} rows.")
        if np.isfinite(output).all():
            return output.tolist()
        return [answer if np.isfinite(answer) else None for answer in output.tolist()]

    def warm_up(self):
        """Answer one valid row: the first call is the slowest, and a model that cannot answer should say so now."""
        try:
            self([valid_row(self.card.features)])
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise ModelError(f"The model cannot answer a valid row ({reason}).") from None

    def learn(self, row, label):
        """Let the hybrid learn from one row (a dict) and its label."""
        X = self._table([row])
        with self._lock:
            self._model.partial_fit(X, [label])

    def _table(self, rows):
        if self._takes_array:
            table = np.array([self._get(row) for row in rows], dtype=float)
            return table.reshape(len(rows), len(self._names))
        import pandas as pd

        return pd.DataFrame(rows, columns=self._names)


def _check_types(data):
    import skops.io

    try:
        foreign = sorted(set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED))
    except Exception as error:
        raise ModelError(f"This is no file of skops ({error}).") from None
    if foreign:
        raise ModelError(
            f"The model holds {', '.join(foreign[:5])}: not trusted, since loading it could run code. "
            "Take linear models, scalers, encoders and imputers (no trees or neighbors), and a column's name instead of a function."
        )


def _check_columns(model, features):
    """The order of columns, which a model that gets arrays cannot check itself."""
    inner = getattr(model, "estimator_", model)  # a hybrid's batch model
    expected, names = getattr(inner, "feature_names_in_", None), [one.name for one in features]
    if expected is not None and list(expected) != names:
        raise ModelError(
            f"The model was fitted with the columns {list(expected)}, but features says {names}."
        )


def _check_prepared(prepare, features):
    how = PREPARATIONS[prepare]
    computed, names = list(how.rows([valid_row(how.fields)])[0]), [one.name for one in features]
    if computed != names:
        raise ModelError(f"prepare={prepare!r} computes {computed}, but the model takes {names}.")


def _is_linear(model, features):
    """Does it only scale and sum numbers, so that the columns' names make no difference?"""
    from sklearn.base import BaseEstimator

    if any(one.kind == "category" for one in features) or getattr(model, "stream_", None) is not None:
        return False
    return all(
        isinstance(part, BaseEstimator) and type(part).__module__.startswith(_LINEAR_STEPS)
        for part in _parts(model)
        if part != "passthrough"
    )


def _parts(model):
    yield model
    for _, step in getattr(model, "steps", ()):
        yield from _parts(step)


def _without_names(model):
    """A copy that takes arrays without a warning for each row."""
    model = copy.deepcopy(model)
    for part in _parts(model):
        vars(part).pop("feature_names_in_", None) if hasattr(part, "__dict__") else None
    return model
