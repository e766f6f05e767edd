"""How different are two samples?"""

from mlprod_helpers.drift.adversarial import (
    AdversarialValidation,
    adversarial_validation,
    auc_of_shift,
    default_estimator,
    effective_sample_size,
    shift_of_auc,
)
from mlprod_helpers.drift.distances import (
    DriftTest,
    chi_square,
    equivalents,
    false_alarm_rate,
    jensen_shannon,
    ks,
    psi,
    psi_null,
    psi_of_shift,
    psi_under_no_drift,
    shift_of_ks,
    shift_of_psi,
    wasserstein,
)
from mlprod_helpers.drift.over_time import psi_over_time
from mlprod_helpers.drift.report import DriftReport, benjamini_hochberg, drift_report, flag, holm

__all__ = [
    "AdversarialValidation",
    "DriftReport",
    "DriftTest",
    "adversarial_validation",
    "auc_of_shift",
    "benjamini_hochberg",
    "chi_square",
    "default_estimator",
    "drift_report",
    "effective_sample_size",
    "equivalents",
    "false_alarm_rate",
    "flag",
    "holm",
    "jensen_shannon",
    "ks",
    "psi",
    "psi_null",
    "psi_of_shift",
    "psi_over_time",
    "psi_under_no_drift",
    "shift_of_auc",
    "shift_of_ks",
    "shift_of_psi",
    "wasserstein",
]
