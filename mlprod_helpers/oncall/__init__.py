"""Ten weeks on call for the service that predicts flight times: the capstone's flight simulator.

`Season(random_state)` holds the real flights, the displays that ask for them and a sealed script of incidents. `step`
plays one morning by hand, `play` all of them with a policy, and both lead to a `Report`. A policy is a function
(observation, memory) -> (actions, memory) of plain data. `COSTS` says what everything costs; it was fixed before any policy
existed and stays as it is.
"""

from mlprod_helpers.oncall.actions import ACTIONS, JUDGES, TEAMS, in_words, read
from mlprod_helpers.oncall.catalog import KINDS, RELEASES
from mlprod_helpers.oncall.costs import COSTS, Cost, cost_table
from mlprod_helpers.oncall.metrics import METRICS
from mlprod_helpers.oncall.policies import do_nothing, naive_runbook, retrain_daily
from mlprod_helpers.oncall.report import Report
from mlprod_helpers.oncall.steps import (
    act,
    alert,
    diagnose,
    observe,
    policy_of,
    reference,
    verify,
)

__all__ = [
    "ACTIONS",
    "COSTS",
    "FIVES",
    "JUDGES",
    "KINDS",
    "METRICS",
    "RELEASES",
    "TEAMS",
    "Cost",
    "Report",
    "Season",
    "act",
    "alert",
    "closed",
    "cost_of",
    "cost_table",
    "diagnose",
    "do_nothing",
    "in_words",
    "naive_runbook",
    "observe",
    "oracle",
    "policy_of",
    "read",
    "reference",
    "retrain_daily",
    "scale",
    "verify",
]


def __getattr__(name):
    # the simulation is not there where learners' code is graded
    if name in ("FIVES", "Season", "closed", "cost_of", "oracle", "scale"):
        from mlprod_helpers.oncall import season

        return getattr(season, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
