"""What to do about drift: forget, retrain, correct, hold back, estimate.

`recency_weights` and `effective_rows` say how much an old row counts; `evaluate_over_time` and `compare` what each
way of retraining would have done with late labels. `HybridModel` corrects a batch model by late residuals,
`AnomalyGate` holds back rows unlike the training data. `estimate_performance` fills the time until labels come;
`reweigh` and `estimate_prior` help where only the mix of classes changed.
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
