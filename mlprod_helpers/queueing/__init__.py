"""Requests, servers, and the line between them: why latency explodes before a service is full.

Arrivals (`poisson`, `diurnal`) and laws of the service time (`Constant`, `Exponential`, `Lognormal`, `Measured`) go
into `simulate`; closed forms (`erlang_c`, `mmc`, `md1`, `mgc`, `little`) stand beside it. `plan_capacity` says how
many servers a target needs and why. Times are seconds, rates are requests a second.
"""

from mlprod_helpers.queueing.arrivals import diurnal, poisson
from mlprod_helpers.queueing.capacity import CapacityPlan, capacity_curve, plan_capacity
from mlprod_helpers.queueing.laws import Constant, Exponential, Lognormal, Measured
from mlprod_helpers.queueing.simulation import Batch, QueueResult, mean_level, simulate
from mlprod_helpers.queueing.theory import (
    Steady,
    erlang_c,
    little,
    md1,
    md1_percentile,
    mgc,
    mmc,
    mmc_percentile,
)

__all__ = [
    "Batch",
    "CapacityPlan",
    "Constant",
    "Exponential",
    "Lognormal",
    "Measured",
    "QueueResult",
    "Steady",
    "capacity_curve",
    "diurnal",
    "erlang_c",
    "little",
    "md1",
    "md1_percentile",
    "mean_level",
    "mgc",
    "mmc",
    "mmc_percentile",
    "plan_capacity",
    "poisson",
    "simulate",
]
