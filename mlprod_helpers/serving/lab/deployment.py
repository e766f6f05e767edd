"""One version of a lab: a model, and what its service does."""

from pathlib import Path

from mlprod_helpers.serving.service.config import ServiceConfig

_LABS_OWN = frozenset(["model", "version", "log", "port", "parent_pid", "lifetime_s", "watch_stdin"])


class Deployment:
    """One version of a lab: a model, and what its service does.

    Parameters
    ----------
    model : a fitted model that `save_model` takes, or the folder (str, Path) that it wrote
    features : list of `Feature` (not needed for a folder)
    settings : further fields of `ServiceConfig`: workers, batching, limits, faults, redact ... Without `workers`, a lab gives it one worker
        and micro-batches. What one version redacts, the lab's router does not log either: see `Lab`.

    >>> Deployment("models/v1", workers=2, limits={"queue": 10}).settings["workers"]
    2
    """

    def __init__(self, model, features=None, **settings):
        if own := _LABS_OWN & set(settings):
            raise ValueError(f"{sorted(own)[0]!r} is the lab's own business: leave it out.")
        self.is_folder = isinstance(model, str | Path)
        if not self.is_folder and features is None:
            raise ValueError(
                "A model needs its features: Deployment(model, [Feature('distance', low=0), ...])."
            )
        config = ServiceConfig(model="", **settings)
        self.model, self.features, self.settings = model, features, settings
        self.redact = config.redact

    @classmethod
    def of(cls, given):
        """Deployment, from a `Deployment`, or a mapping or named tuple of a model, features and settings."""
        if isinstance(given, cls):
            return given
        if hasattr(given, "_asdict"):
            given = given._asdict()
        if isinstance(given, dict) and "model" in given:
            return cls(**given)
        raise ValueError(
            f"A version is Deployment(model, features) or a mapping with a model, not {type(given).__name__}."
        )
