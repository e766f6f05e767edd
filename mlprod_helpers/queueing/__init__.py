"""Requests, servers, and the line between them: why latency explodes before a service is full.

Arrivals (`poisson`, `diurnal`) and laws of the service time (`Constant`, `Exponential`, `Lognormal`,
`Measured`) go into `simulate`; closed forms (`erlang_c`, `mmc`, `md1`, `mgc`, `little`) stand beside it. `plan_capacity`
says how many servers a target needs and why. Times are seconds, rates are requests a second.

The same traffic, answered by one server, by two, and by one that is twice as fast:

>>> one, two, fast = mmc(0.8, 1.0), mmc(0.8, 1.0, servers=2), mmc(0.8, 0.5)
>>> round(one.wait / two.wait, 1)  # a second server cuts the mean wait to a 21st
21.0
>>> fast.wait > two.wait, fast.latency < two.latency  # the fast one: a longer wait, an earlier end
(True, True)
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
