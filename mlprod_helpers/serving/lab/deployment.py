"""One version of a lab: a model, and what its service does."""

from pathlib import Path

from mlprod_helpers.serving.service.config import ServiceConfig

_SET_BY_LAB = frozenset(["model", "version", "log", "port", "parent_pid", "lifetime_s", "watch_stdin"])


class Deployment:
    """One version of a lab: a model, and what its service does.

    Parameters
    ----------
    model : a fitted model that `save_model` takes, or the folder (str, Path) that it wrote
    features : list of `Feature` (not needed for a folder)
    settings : further fields of `ServiceConfig`: workers, batching, limits, faults, redact ... Without `workers`, a lab gives it one worker
        and micro-batches.

    >>> Deployment("models/v1", workers=2, limits={"queue": 10}).settings["workers"]
    2
    """

    def __init__(self, model, features=None, **settings):
        if wrong := _SET_BY_LAB & set(settings):
            raise ValueError(f"{sorted(wrong)[0]!r} is set by the lab: leave it out.")
        self.is_folder = isinstance(model, str | Path)
        if not self.is_folder and features is None:
            raise ValueError(
                "A model needs its features: Deployment(model, [Feature('distance', low=0), ...])."
            )
        config = ServiceConfig(model="", **settings)
        self.model, self.features, self.settings = model, features, settings
        self.redact = config.redact

    @classmethod
    def of(cls, version):
        """Deployment, from a `Deployment` or from what has its parameters in `_asdict()`, as the models of `demo.eta_models`."""
        if isinstance(version, cls):
            return version
        if hasattr(version, "_asdict"):
            return cls(**version._asdict())
        raise ValueError(f"A version is Deployment(model, features), not {type(version).__name__}.")
