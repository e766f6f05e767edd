"""What goes wrong with data on its way: one place for the whole course.

A fault is not drift. The world stays as it was, only the pipe that carries its data breaks. So the remedy is
to repair the pipe; a model that is retrained on broken rows learns the bug.

Each fault is a small frozen dataclass that says what breaks, where and when. `apply` breaks a copy and hands
the truth over in a closed `Seal`; opened, it is one `Incident` for each fault, in the order given.

>>> import pandas as pd
>>> from mlprod_helpers import faults
>>> frame = pd.DataFrame({"km": [100.0, 200.0, 300.0, 400.0]})
>>> broken, seal = faults.apply(frame, [faults.UnitChange("km", 0.621, start=2)])
>>> broken["km"].round(1).tolist()
[100.0, 200.0, 186.3, 248.4]
>>> seal
Seal(closed; reveal() opens it)
>>> seal.reveal()
(Incident(unit_change of km, rows 2 to 4, 2 rows hit, factor 0.621, offset 0.0),)

A new fault subclasses `Fault`: its own settings, a `kind`, and `change(data, hit, rng)`. `hit` marks the rows
inside the window; `change` gets a copy, returns the broken data, and may add or drop rows. Window, share,
filter, seal and errors come with the base class.

========  ========================================================================================
a table   MissingValues, UnitChange, StuckSensor (a stuck feature), MisalignedJoin, NewCategory
a camera  ImageGain (images), DarkCamera (a column of brightness figures)
a log     FeedOutage, LogOutage, EncodingBug, SlowDependency, MemoryLeak, RetryStorm, MissingOutputs,
          ClickDrop, HiddenClickDrop, RedoSurge
========  ========================================================================================
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

__all__ = [
    "ClickDrop",
    "DarkCamera",
    "EncodingBug",
    "Fault",
    "FeedOutage",
    "HiddenClickDrop",
    "ImageGain",
    "Incident",
    "LogOutage",
    "MemoryLeak",
    "MisalignedJoin",
    "MissingOutputs",
    "MissingValues",
    "NewCategory",
    "RedoSurge",
    "RetryStorm",
    "Seal",
    "SlowDependency",
    "StuckSensor",
    "UnitChange",
    "apply",
]
