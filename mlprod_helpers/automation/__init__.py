"""From human only to full automation: who decides, who sees what, what it costs, and how far a model may be trusted.

The five degrees (`HumanOnly`, `Shadow`, `Assistance`, `Partial`, `Full`) are policies over one log of cases:
`simulate_triage` runs one, `compare_degrees` lays them side by side with the same luck. `risk_coverage`,
`chow_threshold` and `safe_points` choose a threshold, `cost_curve` adds the reviewers' queue, `operating_point`
checks an old threshold on new data.
"""

from mlprod_helpers.automation.cases import uniform_cases
from mlprod_helpers.automation.degrees import (
    DEGREES,
    Assistance,
    Degree,
    Full,
    HumanOnly,
    Partial,
    Shadow,
    from_name,
    ladder,
    who_does_what,
)
from mlprod_helpers.automation.planning import cost_curve
from mlprod_helpers.automation.reviewers import Costs, Reviewers, joint_accuracy
from mlprod_helpers.automation.selective import (
    Point,
    RiskCoverage,
    chow_threshold,
    operating_point,
    risk_coverage,
    safe_points,
    upper_bound,
)
from mlprod_helpers.automation.triage import (
    Ladder,
    TriageResult,
    compare_degrees,
    simulate_triage,
)

__all__ = [
    "DEGREES",
    "Assistance",
    "Costs",
    "Degree",
    "Full",
    "HumanOnly",
    "Ladder",
    "Partial",
    "Point",
    "Reviewers",
    "RiskCoverage",
    "Shadow",
    "TriageResult",
    "chow_threshold",
    "compare_degrees",
    "cost_curve",
    "from_name",
    "joint_accuracy",
    "ladder",
    "operating_point",
    "risk_coverage",
    "safe_points",
    "simulate_triage",
    "uniform_cases",
    "upper_bound",
    "who_does_what",
]
