"""From human only to full automation: who decides, who sees what, what it costs, and how far a model may be trusted.

The five degrees (`HumanOnly`, `Shadow`, `Assistance`, `Partial`, `Full`) are policies over one log of cases: `simulate_triage` runs
one, `compare_degrees` lays them side by side with the same luck. `risk_coverage`, `chow_threshold` and `safe_points` choose a
threshold, `cost_curve` adds the reviewers' queue, `operating_point` checks an old threshold on new data.

Fewer reviewers move the cheapest threshold, and too few of them make every cautious one endless:

>>> cases = uniform_cases(1 / 30, n=20_000, random_state=0)
>>> for count in (3, 1):
...     curve = cost_curve(cases["confidence"], cases["model_right"], 1 / 30, Reviewers(count, 60.0), Costs(delay=3))
...     print(count, "reviewers:", float(curve["cost"].idxmin()), round(curve.loc[0.9, "cost"], 2))
3 reviewers: 0.9 1.87
1 reviewers: 0.73 inf
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
