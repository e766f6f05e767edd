"""Rollouts: how a new version meets its users, who decides whether it stays, and what it costs when it should not have.

A plan (`BigBang`, `Shadow`, `Canary`, `BlueGreen`) says who gets the new version when; a judge says whether it is
worse; the `Controller` turns both into weights, one check after the other. `replay` runs any plan over the same
requests with the same luck and counts the harm; `compare` lays plans side by side. The controller has no clock, so
it drives a real router just as well. `to_flagger`, `to_argo` and `to_haproxy` of a plan write it in the words of
these tools.
"""

from mlprod_helpers.rollout.controller import Controller, Decision
from mlprod_helpers.rollout.experiment import SampleRatio, sample_ratio
from mlprod_helpers.rollout.judges import (
    AllOf,
    BySegment,
    GroupSequentialJudge,
    Judge,
    Judgment,
    MannWhitneyJudge,
    MSPRTJudge,
    ThresholdJudge,
    ZTestJudge,
    shift,
)
from mlprod_helpers.rollout.metrics import Metrics
from mlprod_helpers.rollout.plans import BigBang, BlueGreen, Canary, Plan, Shadow
from mlprod_helpers.rollout.replay import Comparison, RolloutResult, compare, replay
from mlprod_helpers.rollout.routing import bucket, route
from mlprod_helpers.rollout.sequential import (
    crossing,
    design_effect,
    msprt,
    obrien_fleming,
    operating_characteristics,
    peeking,
    pocock,
    requests_needed,
    z_score,
)
from mlprod_helpers.rollout.versions import Behavior, Symptom, Version, traffic

__all__ = [
    "AllOf",
    "Behavior",
    "BigBang",
    "BlueGreen",
    "BySegment",
    "Canary",
    "Comparison",
    "Controller",
    "Decision",
    "GroupSequentialJudge",
    "Judge",
    "Judgment",
    "MSPRTJudge",
    "MannWhitneyJudge",
    "Metrics",
    "Plan",
    "RolloutResult",
    "SampleRatio",
    "Shadow",
    "Symptom",
    "ThresholdJudge",
    "Version",
    "ZTestJudge",
    "bucket",
    "compare",
    "crossing",
    "design_effect",
    "msprt",
    "obrien_fleming",
    "operating_characteristics",
    "peeking",
    "pocock",
    "replay",
    "requests_needed",
    "route",
    "sample_ratio",
    "shift",
    "traffic",
    "z_score",
]
