"""One version of a lab: a model, and what its service does."""

from pathlib import Path

from mlprod_helpers.serving.service.config import ServiceConfig

_SET_BY_LAB = frozenset(["model", "version", "log", "redact", "lifetime_s"])


class Deployment:
    """One version of a lab: a model, and what its service does.

    Parameters
    ----------
    model : a fitted model that `save_model` takes, or the folder (str, Path) that it wrote
    features : list of `Feature` (not needed for a folder)
    prepare : str or None, how the service computes these features from the fields of a request; see `save_model`
    settings : further fields of `ServiceConfig`: workers, batching, limits, faults ... Without `workers`, a lab gives it one worker
        and micro-batches.

    >>> Deployment("models/v1", workers=2, limits={"queue": 10}).settings["workers"]
    2
    """

    def __init__(self, model, features=None, *, prepare=None, **settings):
        if wrong := _SET_BY_LAB & set(settings):
            raise ValueError(f"{sorted(wrong)[0]!r} is set by the lab: leave it out.")
        self.is_folder = isinstance(model, str | Path)
        if not self.is_folder and features is None:
            raise ValueError(
                "A model needs its features: Deployment(model, [Feature('distance', low=0), ...])."
            )
        ServiceConfig(model="", **settings)  # wrong settings are an error now
        self.model, self.features, self.prepare, self.settings = model, features, prepare, settings

    @classmethod
    def of(cls, version):
        """Deployment, from a `Deployment` or from (model, features), as the models of `demo.eta_models`."""
        if isinstance(version, cls):
            return version
        if isinstance(version, tuple):
            return cls(*version)
        raise ValueError(f"A version is Deployment(model, features), not {type(version).__name__}.")
