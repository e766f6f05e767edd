"""Logs of two versions, v1 and v2, for judges: one request of each a second."""

import numpy as np
import pandas as pd

from mlprod_helpers.requestlog import as_log
from mlprod_helpers.rollout import Metrics

ORIGIN = "2013-01-01 05:00Z"


def seconds(n):
    """n moments, one a second."""
    return pd.Timestamp(ORIGIN) + pd.to_timedelta(np.arange(n), unit="s")


def log_of(stable, canary, **columns):
    """A log of two versions; values are error flags (0, 1), and columns have values by version."""
    rows = []
    for version, flags in (("v1", stable), ("v2", canary)):
        own = {
            "time": seconds(len(flags)),
            "request_id": [f"{version}-{i}" for i in range(len(flags))],
            "version": version,
            "status": np.where(np.asarray(flags) > 0, 500, 200),
            "latency_ms": 100.0,
        }
        rows.append(pd.DataFrame(own | {name: values[version] for name, values in columns.items()}))
    return as_log(pd.concat(rows, ignore_index=True))


def metrics_of(stable, canary, **columns):
    return Metrics.from_log(log_of(stable, canary, **columns), "v1", "v2", origin=ORIGIN)


def predicted(stable, canary, label=1.0, **columns):
    """A log of two versions with these predictions, whose truth is 1."""
    predictions = {"v1": stable, "v2": canary}
    columns |= {
        "prediction": predictions,
        "label": dict.fromkeys(predictions, label),
        "label_time": {version: seconds(len(values)) for version, values in predictions.items()},
    }
    return log_of(np.zeros(len(stable)), np.zeros(len(canary)), **columns)


def answers(seed, n=200):
    """n good predictions."""
    return 1 + np.random.default_rng(seed).normal(0, 0.1, n)
