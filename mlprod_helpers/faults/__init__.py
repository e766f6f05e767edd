"""Faults of data on its way, and of a service as its log shows them.

A fault is not drift: the world stays as it was, and only the pipe that carries its data breaks. Each fault is a
small frozen dataclass that says what breaks, where and when. `apply` breaks a copy and hands the truth over in a
closed `Seal`. Besides its own settings each takes those of `Fault`: window (`start`, `end`), `share` and `where`. A
new one subclasses `Fault` with a `kind` and `change(data, hit, rng)`; `hit` marks the rows to break.
"""

from mlprod_helpers.faults.base import Fault, Incident, Seal, apply
from mlprod_helpers.faults.frames import MisalignedJoin, MissingValues, NewCategory, StuckSensor, UnitChange
from mlprod_helpers.faults.images import DarkCamera, ImageGain
from mlprod_helpers.faults.logs import (
    ClickDrop,
    EncodingBug,
    FeedOutage,
    HiddenClickDrop,
    LogOutage,
    MemoryLeak,
    MissingOutputs,
    RedoSurge,
    RetryStorm,
    SlowDependency,
)
from mlprod_helpers.faults.skew import FutureLeak, OtherCodes, OtherZone, StaleFeature

__all__ = [
    "ClickDrop",
    "DarkCamera",
    "EncodingBug",
    "Fault",
    "FeedOutage",
    "FutureLeak",
    "HiddenClickDrop",
    "ImageGain",
    "Incident",
    "LogOutage",
    "MemoryLeak",
    "MisalignedJoin",
    "MissingOutputs",
    "MissingValues",
    "NewCategory",
    "OtherCodes",
    "OtherZone",
    "RedoSurge",
    "RetryStorm",
    "Seal",
    "SlowDependency",
    "StaleFeature",
    "StuckSensor",
    "UnitChange",
    "apply",
]
