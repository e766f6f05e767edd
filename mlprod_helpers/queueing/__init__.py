"""Requests, servers, and the line between them: why latency explodes before a service is full.

Arrivals (`poisson`, `diurnal`) and laws of the service time (`Constant`, `Exponential`, `Lognormal`, `Measured`) go
into `simulate`, or into `autoscale`, where the number of servers follows the queue; closed forms (`erlang_c`, `mmc`,
`mgc`) stand beside them. `plan_capacity` says how many servers a target needs and why. Times are
seconds, rates are requests a second.
"""

from mlprod_helpers.queueing.arrivals import diurnal, poisson
from mlprod_helpers.queueing.capacity import CapacityPlan, capacity_curve, plan_capacity
from mlprod_helpers.queueing.laws import Constant, Exponential, Lognormal, Measured
from mlprod_helpers.queueing.scaling import Scaled, autoscale
from mlprod_helpers.queueing.simulation import QueueResult, mean_level, simulate
from mlprod_helpers.queueing.theory import (
    Steady,
    erlang_c,
    md1_percentile,
    mgc,
    mmc,
    mmc_percentile,
)

__all__ = [
    "CapacityPlan",
    "Constant",
    "Exponential",
    "Lognormal",
    "Measured",
    "QueueResult",
    "Scaled",
    "Steady",
    "autoscale",
    "capacity_curve",
    "diurnal",
    "erlang_c",
    "md1_percentile",
    "mean_level",
    "mgc",
    "mmc",
    "mmc_percentile",
    "plan_capacity",
    "poisson",
    "simulate",
]
