"""The deployment checklist as a record: what was decided, what is promised, and the evidence for each promise.

A `Record` answers the rows of the checklist (`ROWS`). Promises are claims with a metric, a threshold and a unit;
evidence comes from simulations over several seeds, measurements, and searches for people in a log. `record.lint()`
says what is missing or contradicted, `replay_record` draws the traffic again, `record.runbook()` is the text for
whoever is on call.
"""

from mlprod_helpers.checklist.evidence import (
    batch_timing,
    from_model,
    from_sizing,
    from_trials,
    measured,
    model_bytes,
    peak_memory,
)
from mlprod_helpers.checklist.fields import RecordError
from mlprod_helpers.checklist.measures import METRICS, convert
from mlprod_helpers.checklist.parts import (
    STRATEGIES,
    Alert,
    Claim,
    Decision,
    Evidence,
    Rollback,
    Rollout,
    Sizing,
)
from mlprod_helpers.checklist.privacy import (
    coarse,
    find_personal,
    from_groups,
    from_leaks,
    k_anonymity,
    mask,
    pseudonym,
    rare_groups,
    redact,
)
from mlprod_helpers.checklist.record import Record
from mlprod_helpers.checklist.replay import replay_record
from mlprod_helpers.checklist.rows import CLAIMS, ROWS
from mlprod_helpers.checklist.segments import from_segments, segment_errors

__all__ = [
    "CLAIMS",
    "METRICS",
    "ROWS",
    "STRATEGIES",
    "Alert",
    "Claim",
    "Decision",
    "Evidence",
    "Record",
    "RecordError",
    "Rollback",
    "Rollout",
    "Sizing",
    "batch_timing",
    "coarse",
    "convert",
    "find_personal",
    "from_groups",
    "from_leaks",
    "from_model",
    "from_segments",
    "from_sizing",
    "from_trials",
    "k_anonymity",
    "mask",
    "measured",
    "model_bytes",
    "peak_memory",
    "pseudonym",
    "rare_groups",
    "redact",
    "replay_record",
    "segment_errors",
]
