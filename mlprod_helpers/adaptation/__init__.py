"""What to do about drift: forget, retrain, correct, hold back, estimate.

| question | name |
| --- | --- |
| How much should an old row count? | `recency_weights`, `effective_rows` |
| What would each way of retraining have done, with labels that come late? | `evaluate_over_time`, `compare` |
| Can late residuals correct a batch model between two trainings? | `HybridModel` |
| Which rows are unlike the training data, and whom does it cost to refuse them? | `AnomalyGate` |
| How good is the model while labels are still missing? | `estimate_performance` |
| Only the mix of classes changed: what now? | `reweigh`, `estimate_prior` |
"""

from mlprod_helpers.adaptation.estimation import PerformanceEstimate, estimate_performance
from mlprod_helpers.adaptation.evaluation import compare, evaluate_over_time
from mlprod_helpers.adaptation.gate import AnomalyGate
from mlprod_helpers.adaptation.hybrid import HybridModel
from mlprod_helpers.adaptation.priors import estimate_prior, reweigh
from mlprod_helpers.adaptation.recency import effective_rows, recency_weights

__all__ = [
    "AnomalyGate",
    "HybridModel",
    "PerformanceEstimate",
    "compare",
    "effective_rows",
    "estimate_performance",
    "estimate_prior",
    "evaluate_over_time",
    "recency_weights",
    "reweigh",
]
