"""The request log: the one table that every service writes, simulated or real.

One row is one request, answered by one version of the model. The key is `(request_id, version)`: a shadow copy of a
request is a second row with `served` False. Times are UTC. Columns that a service does not have are absent, and every
column that is not in `COLUMNS` is a feature. A label is missing until its `label_time`; `as_of` hides what was not
yet known at some moment, so that nobody judges a model by answers from the future.

In memory the log is a plain DataFrame. On disk it is a file of JSON lines that only grows: an event when a request was
answered (`request`), when its truth arrived (`label`), when the user clicked (`click`). `read` joins them.

>>> log = RequestLog()  # RequestLog("requests.jsonl") keeps the lines in a file instead
>>> log.request("r1", time="2013-01-01 10:15Z", version="v1", features={"distance": 1400}, prediction=200.0, latency_ms=12)
>>> log.request("r2", time="2013-01-01 10:20Z", version="v1", features={"distance": 187}, prediction=40.0, latency_ms=9)
>>> log.label("r1", 227.0, time="2013-01-01 14:22Z")
>>> table = log.read()
>>> table[["request_id", "distance", "prediction", "status", "latency_ms", "label"]]
  request_id  distance  prediction  status  latency_ms  label
0         r1      1400       200.0     200        12.0  227.0
1         r2       187        40.0     200         9.0    NaN
>>> as_of(table, "2013-01-01 12:00Z")["label"].isna().all()  # at noon the plane was in the air
np.True_
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
