"""Models on disk: saved with skops, loaded without running foreign code, known by version and checksum."""

import contextlib
import copy
import hashlib
import threading
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mlprod_helpers.files import write_json
from mlprod_helpers.serving.headers import NAME, NAME_IN_WORDS, check_version, valid_name
from mlprod_helpers.serving.service.schema import Feature, check_features

#: what is trusted besides the types that skops itself knows as harmless
TRUSTED = (
    "mlprod_helpers.adaptation.hybrid.HybridModel",
    "mlprod_helpers.adaptation.hybrid.ResidualStream",
    "numpy.dtype",  # in imputers; read from an array without pickle
)
CARD = "card.json"
_Name = Annotated[str, Field(pattern=NAME)]
_LINEAR_STEPS = ("sklearn.preprocessing.", "sklearn.impute.", "sklearn.linear_model.", "sklearn.pipeline")


class ModelError(RuntimeError):
    """A model that cannot be saved or loaded. The message says why, and what to do."""


class ModelCard(BaseModel):
    """What is known about a saved model; `card.json` in its folder.

    Parameters
    ----------
    name, version : str
    checksum : str, SHA-256 of the model's file, hexadecimal
    features : tuple of `Feature`, in the order in which the model takes them
    created : str, UTC
    takes : "array" or "frame". A row reaches a linear pipeline of numbers as an array in a third of the time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _Name
    version: _Name
    checksum: str
    features: Annotated[tuple[Feature, ...], AfterValidator(check_features)]
    created: str
    takes: Literal["array", "frame"] = "frame"

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


def save_model(model, folder, *, version, features, name="model"):
    """Write a fitted model and its card into a folder; the old model counts until all is on disk.

    Parameters
    ----------
    model : fitted scikit-learn regressor or `HybridModel`, of parts that skops trusts: linear models, scalers, encoders,
        imputers; no trees and no neighbors, because skops cannot check their compiled parts
    folder : str or Path; created if necessary
    version : str, 1 to 64 of A-Z a-z 0-9 . _ : -
    features : list of `Feature` in the order of the columns that the model was fitted with
    name : str, what the model is

    Returns
    -------
    ModelCard

    Raises
    ------
    ModelError : a type in the model that `load_model` would not trust, or features unlike the model's.

    >>> import tempfile
    >>> from sklearn.linear_model import Ridge
    >>> model = Ridge().fit([[100.0], [2000.0]], [20.0, 280.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     card = save_model(model, folder, version="v1", features=[Feature("distance", low=0)])
    ...     loaded, _ = load_model(folder)
    >>> card.version, card.takes, loaded.predict([[1000.0]]).round()
    ('v1', 'array', array([143.]))
    """
    import skops.io

    features = check_features(features)
    try:
        check_version(version)
    except ValueError as error:
        raise ModelError(f"version={version!r}: {error}") from None
    if not valid_name(name):
        raise ModelError(f"name={name!r}: use {NAME_IN_WORDS}")
    _check_fitted(model, features)
    try:
        data = skops.io.dumps(model)
    except Exception as error:  # skops raises many kinds
        raise ModelError(f"skops cannot save this {type(model).__name__} ({error}).") from None
    _check_types(data)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    checksum = hashlib.sha256(data).hexdigest()
    card = ModelCard(
        name=name,
        version=version,
        checksum=checksum,
        features=features,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        takes="array" if _is_linear(model, features) else "frame",
    )
    draft = folder / f".{_file(checksum)}"
    draft.write_bytes(data)
    draft.replace(folder / _file(checksum))
    write_json(folder / CARD, card.model_dump(mode="json"), mode=0o644)  # from now on the new model counts
    for old in folder.glob("[0-9a-f]" * 16 + ".skops"):  # other names are somebody's own
        if old.name != _file(checksum):
            old.unlink(missing_ok=True)
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
    path = Path(folder, _file(card.checksum))
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
        self._model, self.card = (_without_names(model) if card.takes == "array" else model), card
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
        row = {}
        for one in self.card.features:
            low, high = one.bounds
            row[one.name] = one.categories[0] if one.kind == "category" else float(max(low, min(high, 1)))
        try:
            self([row])
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise ModelError(f"The model cannot answer a valid row ({reason}).") from None

    def learn(self, row, label):
        """Let the hybrid learn from one row (a dict) and its label."""
        X = self._table([row])
        with self._lock:
            self._model.partial_fit(X, [label])

    def _table(self, rows):
        if self.card.takes == "array":
            table = np.array([self._get(row) for row in rows], dtype=float)
            return table.reshape(len(rows), len(self._names))
        import pandas as pd

        return pd.DataFrame(rows, columns=self._names)


def _file(checksum):
    return f"{checksum[:16]}.skops"


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


def _check_fitted(model, features):
    from sklearn.base import is_classifier
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except (NotFittedError, TypeError) as error:
        raise ModelError(f"{error}") from None
    if is_classifier(model):
        raise ModelError("The service is for models of numbers: this one is a classifier.")
    inner = getattr(model, "estimator_", model)  # a hybrid's batch model
    expected = getattr(inner, "feature_names_in_", None)
    names = [one.name for one in features]
    if expected is not None and list(expected) != names:
        raise ModelError(
            f"The model was fitted with the columns {list(expected)}, but features says {names}."
        )
    count = getattr(inner, "n_features_in_", len(names))
    if count != len(names):
        raise ModelError(f"The model takes {count} columns, but features names {len(names)}.")


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
