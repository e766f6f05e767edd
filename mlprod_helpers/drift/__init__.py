"""How different are two samples?"""

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
from mlprod_helpers.drift.report import DriftReport, benjamini_hochberg, drift_report, flag, holm

__all__ = [
    "DriftReport",
    "DriftTest",
    "benjamini_hochberg",
    "chi_square",
    "drift_report",
    "equivalents",
    "false_alarm_rate",
    "flag",
    "holm",
    "jensen_shannon",
    "ks",
    "psi",
    "psi_null",
    "psi_of_shift",
    "psi_under_no_drift",
    "shift_of_ks",
    "shift_of_psi",
    "wasserstein",
]
