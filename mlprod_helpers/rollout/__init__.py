"""Rollouts: how a new version meets its users, who decides whether it stays, and what it costs when it should not have.

A plan (`BigBang`, `Shadow`, `Canary`, `BlueGreen`) says who gets the new version when; a judge (`ThresholdJudge`,
`MannWhitneyJudge`, `GroupSequentialJudge`, `MSPRTJudge` ...) says whether it is worse; the `Controller` turns both into
weights, one check after the other. `replay` runs any plan over the same requests with the same luck and counts the harm;
`compare` lays plans side by side. The controller has no clock, so it drives a real router just as well. `to_flagger`,
`to_argo` and `to_haproxy` of a plan write it in the words of these tools.

>>> from mlprod_helpers.queueing import poisson
>>> trace = traffic(poisson(20, duration=3600, random_state=0), users=5000, random_state=0)
>>> versions = Version("v1"), Version("v2", Behavior(error_rate=0.08))
>>> judge = ThresholdJudge({"error_rate": (None, 0.02)}, min_requests=30)
>>> plans = [BigBang(redeploy=300), BlueGreen(), Canary(step_weight=5, max_weight=50), Shadow()]
>>> compare(trace, versions, plans, judge, random_state=0).table[["phase", "users_harmed", "roll_back"]].round(1)
              phase  users_harmed  roll_back
plan
BigBang    Degraded           952       11.0
BlueGreen  Degraded           546        6.0
Canary     Degraded            25        5.6
Shadow     Degraded             0        6.0
"""

from mlprod_helpers.rollout.controller import Controller, Decision
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
    "shift",
    "traffic",
    "z_score",
]
