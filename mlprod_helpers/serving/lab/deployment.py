"""One version of a lab: a model, and what its service does."""

from pathlib import Path

from mlprod_helpers.serving.service.config import ServiceConfig

_OURS = frozenset(
    ["model", "version", "log", "port", "ready_file", "parent_pid", "lifetime_s", "watch_stdin"]
)


class Served:
    """One version of a lab: a model, and what its service does.

    Parameters
    ----------
    model : a fitted model that `save_model` takes, or the folder (str, Path) that it wrote
    features : list of `Feature` (not needed for a folder)
    settings : further fields of `ServiceConfig`: workers, batching, limits, faults, learn, features_share, redact ... What one
        version redacts, the lab's router does not log either: see `Lab`.

    >>> Served("models/v1", workers=2, limits={"queue": 10}).settings["workers"]
    2
    """

    def __init__(self, model, features=None, **settings):
        if ours := _OURS & set(settings):
            raise ValueError(f"{sorted(ours)[0]!r} is the lab's own business: leave it out.")
        self.is_folder = isinstance(model, str | Path)
        if not self.is_folder and features is None:
            raise ValueError("A model needs its features: Served(model, [Feature('distance', low=0), ...]).")
        ServiceConfig.from_dict({"model": "", **settings})
        self.model, self.features, self.settings = model, features, settings

    @classmethod
    def of(cls, given):
        """Served, from a `Served`, a `ServiceConfig`, or a mapping or named tuple of a model, features and settings."""
        if isinstance(given, cls):
            return given
        if isinstance(given, ServiceConfig):
            default = ServiceConfig(model=given.model)
            own = {n: getattr(given, n) for n in given.__dataclass_fields__ if n not in _OURS}
            return cls(given.model, **{n: v for n, v in own.items() if v != getattr(default, n)})
        if hasattr(given, "_asdict"):
            given = given._asdict()
        if isinstance(given, dict) and "model" in given:
            return cls(**given)
        raise ValueError(
            f"A version is Served(model, features) or a mapping with a model, not {type(given).__name__}."
        )
