"""A batch model, corrected between two trainings by the residuals that come in late."""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone, is_regressor
from sklearn.utils.validation import check_is_fitted

from mlprod_helpers.requestlog.numbers import as_floats


class ResidualStream:
    """Running means of residuals: one a band, and one over all rows for bands without labels yet.

    An exponentially weighted moving average (EWMA): each residual r moves the correction c by `a * (r - c)`; after
    `half_life` residuals half of the old correction is left. It starts at 0, since a batch model's residuals
    average to 0 where it was trained; a band that comes up later starts where the global correction is.

    Parameters
    ----------
    half_life : float. In residuals of the same band.
    """

    def __init__(self, half_life):
        if not half_life > 0:
            raise ValueError(f"half_life={half_life!r} must be a positive number of labels.")
        self.step = 1 - 0.5 ** (1 / half_life)
        self.overall = 0.0
        self.by_band = {}

    def correction(self, bands):
        """What to add to the predictions of rows in these bands, shape (n,)."""
        return np.array([self.by_band.get(band, self.overall) for band in bands], dtype=float)

    def learn(self, bands, residuals):
        """Take in residuals (label minus prediction of the batch model), in the order of their arrival."""
        step, by_band, overall = self.step, self.by_band, self.overall
        for band, residual in zip(bands, residuals, strict=True):
            before = by_band.get(band, overall)
            by_band[band] = before + step * (residual - before)
            overall += step * (residual - overall)
        self.overall = overall


def bands_of(X, band):
    """The band of each row as a list, shape (n,): from a column, or one band for all."""
    if band is None:
        return [0] * len(X)
    if not hasattr(X, "columns"):
        raise ValueError(f"band={band!r} names a column, so X must be a DataFrame.")
    if band not in X.columns:
        raise ValueError(f"band={band!r} is no column; there are: {', '.join(map(str, X.columns))}.")
    bands = np.asarray(X[band])
    # a missing band is a band of its own: NaN is not equal to itself, so it would start anew each time
    return [None if gap else value for value, gap in zip(bands.tolist(), pd.isna(bands), strict=True)]


class HybridModel(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """A batch regressor plus a stream: yesterday's residuals correct today's predictions.

    `fit` trains the batch model, rarely and on much data. `partial_fit` takes in rows whose labels have arrived and
    moves a correction for each band of rows, an EWMA of label minus batch prediction. `predict` adds the two. A
    band without a label yet is served with the global correction. `fit` forgets the corrections: they belonged to
    the old batch model.

    Parameters
    ----------
    estimator : regressor. The batch model; it is cloned, not touched.
    band : str or None. The column of X whose values share a correction. None: one correction for all.
    half_life : float
        In labels of a band: after so many half of the old correction is left. Short follows faster, long is calmer:
        where nothing drifts the squared error grows by about `1 / (2.9 * half_life)`.

    Attributes
    ----------
    estimator_ : the fitted batch model
    stream_ : ResidualStream. `stream_.by_band` and `stream_.overall` are the corrections now, in units of y.

    Source: Roberts, "Control chart tests based on geometric moving averages", Technometrics 1 (1959), for the EWMA.

    >>> import pandas as pd
    >>> from sklearn.linear_model import LinearRegression
    >>> X = pd.DataFrame({"miles": [100.0, 200.0, 300.0, 400.0]})
    >>> model = HybridModel(LinearRegression(), half_life=1).fit(X, [20, 40, 60, 80])
    >>> _ = model.partial_fit(X, [30, 50, 70, 90])     # headwind: 10 minutes more, on every flight
    >>> model.predict(X.head(1)).round(3)
    array([29.375])
    """

    def __init__(self, estimator, *, band=None, half_life=50):
        self.estimator = estimator
        self.band = band
        self.half_life = half_life

    def fit(self, X, y, **fit_params):
        """Train the batch model (`fit_params` such as `sample_weight` go to it), and start with no correction."""
        if not is_regressor(self.estimator):
            raise ValueError("HybridModel corrects numbers, so the estimator must be a regressor.")
        stream = ResidualStream(self.half_life)
        bands_of(X, self.band)  # a wrong band shows now, not at the first label
        self.estimator_ = clone(self.estimator).fit(X, y, **fit_params)
        self.stream_ = stream
        return self

    def predict(self, X):
        """The batch prediction plus the correction of each row's band, shape (n,)."""
        check_is_fitted(self)
        return self.estimator_.predict(X) + self.stream_.correction(bands_of(X, self.band))

    def partial_fit(self, X, y):
        """Learn from rows whose labels have arrived, in the order of their arrival; a missing label is refused."""
        check_is_fitted(self, msg="Call fit before partial_fit: the stream corrects a batch model.")
        y = as_floats(y, "y")
        if y.shape != (len(X),):
            raise ValueError(f"X has {len(X)} rows, y has shape {y.shape}: give one label a row.")
        if not np.isfinite(y).all():
            raise ValueError("y has missing labels: pass only the rows whose label has arrived.")
        if len(y):
            self.stream_.learn(bands_of(X, self.band), (y - self.estimator_.predict(X)).tolist())
        return self
