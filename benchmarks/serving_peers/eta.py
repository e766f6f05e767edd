"""The model that every server in this folder answers with, and its input."""

import numpy as np

NAMES = ("distance", "hour", "zone")


def model():
    """A scaler and a ridge regression on 2,000 drawn flights; the same in every process."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.uniform(90, 2500, 2000), rng.integers(5, 23, 2000), rng.integers(0, 6, 2000)])
    truth = 20 + rows[:, 0] / 8 + rng.normal(0, 10, 2000)
    return make_pipeline(StandardScaler(), Ridge()).fit(rows, truth)


def array(features):
    """One row, as the model takes it."""
    return np.array([[features[name] for name in NAMES]], dtype=float)
