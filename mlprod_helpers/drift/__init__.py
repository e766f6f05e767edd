"""How different are two samples?"""

from mlprod_helpers.drift.adversarial import (
    AdversarialValidation,
    adversarial_validation,
    default_estimator,
)
from mlprod_helpers.drift.distances import (
    DriftTest,
    auc_of_shift,
    chi_square,
    equivalents,
    false_alarm_rate,
    ks,
    psi,
    psi_null,
    psi_of_shift,
    psi_under_no_drift,
    shift_of_auc,
    shift_of_ks,
    shift_of_psi,
)
from mlprod_helpers.drift.over_time import psi_over_time
from mlprod_helpers.drift.report import DriftReport, drift_report, flag

__all__ = [
    "AdversarialValidation",
    "DriftReport",
    "DriftTest",
    "adversarial_validation",
    "auc_of_shift",
    "chi_square",
    "default_estimator",
    "drift_report",
    "equivalents",
    "false_alarm_rate",
    "flag",
    "ks",
    "psi",
    "psi_null",
    "psi_of_shift",
    "psi_over_time",
    "psi_under_no_drift",
    "shift_of_auc",
    "shift_of_ks",
    "shift_of_psi",
]
