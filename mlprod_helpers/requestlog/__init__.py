"""The request log: the one table that every service writes, simulated or real.

One row is one request, answered by one version of the model. The key is `(request_id, version)`: a shadow copy of a
request is a second row with `served` False. Times are UTC. Columns that a service does not have are absent, and
every column that is not in `COLUMNS` is a feature. On disk the log is a file of JSON lines (`request`, `label`,
`click`) that only grows; `read` joins them, and `as_of` hides what was not yet known at some moment.
"""

from mlprod_helpers.requestlog.events import LogWarning, RequestLog, read
from mlprod_helpers.requestlog.table import (
    COLUMNS,
    KEY,
    LogError,
    as_log,
    as_of,
    features,
    served,
    validate,
)

__all__ = [
    "COLUMNS",
    "KEY",
    "LogError",
    "LogWarning",
    "RequestLog",
    "as_log",
    "as_of",
    "features",
    "read",
    "served",
    "validate",
]
