"""A gate that holds back rows unlike the training data, and says whom it costs."""

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from mlprod_helpers.drift.columns import kinds_of
from mlprod_helpers.requestlog.numbers import as_floats

_HOLDOUT = 0.3  # share of the training rows that set the threshold


class AnomalyGate(BaseEstimator):
    """Holds back rows that are unlike the training data: before retraining, or before serving.

    A row is as strange as its strangest part. The numeric columns are taken together: robustly scaled, long tails
    pulled in, then the Mahalanobis distance, so that a distance in kilometers is seen although each value alone is
    ordinary. Each categorical column, and each column's missingness, counts by how rare the value is. Both are
    expressed as a tail share: which share of the training rows is at least as strange. The threshold comes from
    training rows that were set aside, so new rows of the same kind are flagged at most at the chosen rate. An
    isolation forest, which cuts one column at a time, misses faults that break how columns go together
    (`benchmarks/bench_adaptation.py`).

    It sees single rows. It does not see that a whole batch is shifted by one row, or a rare mix of common values:
    for that, compare the batch with a reference (adversarial validation).

    Parameters
    ----------
    false_flags : float. Share of ordinary rows that may be held back, in (0, 1).
    random_state : int, Generator or None. Which rows are set aside.

    Attributes
    ----------
    threshold_ : float. Rows with a lower score (see `score_samples`) are held back.

    Source: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World (2005), for the threshold from rows
        set aside.

    >>> rng = np.random.default_rng(0)
    >>> miles = rng.uniform(100, 2000, 3000)
    >>> flights = pd.DataFrame({"miles": miles, "minutes": 20 + miles / 8 + rng.normal(0, 5, 3000),
    ...                         "dest": rng.choice(["IAH", "MIA"], 3000)})
    >>> gate = AnomalyGate(random_state=0).fit(flights)
    >>> new = pd.DataFrame({"miles": [1000, 1609, 1000], "minutes": [145, 145, 145.0], "dest": ["MIA", "MIA", "XNA"]})
    >>> gate.admits(new)
    array([ True, False, False])
    """

    def __init__(self, false_flags=0.01, *, random_state=None):
        self.false_flags = false_flags
        self.random_state = random_state

    def fit(self, X, y=None):
        """Learn what is ordinary from training rows, shape (n, d); `y` is ignored.

        Columns of numbers, whatever dtype holds them, go together; all others (text, category, bool) count as
        categories. Dates are refused, and infinite values: they are no example of what is ordinary. In new rows
        they are strange.
        """
        if not 0 < self.false_flags < 1:
            raise ValueError(f"false_flags={self.false_flags!r} must lie between 0 and 1.")
        if not isinstance(X, pd.DataFrame):
            raise ValueError(
                f"X must be a DataFrame, not {type(X).__name__}: columns are told apart by name and type."
            )
        if not X.columns.is_unique:
            raise ValueError("X has several columns of one name: rename them.")
        kinds = {c: kinds_of(X[c], X[c])[0] for c in X.columns}
        if dates := [c for c in X.columns if kinds[c] in ("datetime", "timedelta")]:
            raise ValueError(f"{dates} hold dates, and each new date is one never seen: leave them out.")
        n_held = int(len(X) * _HOLDOUT)
        rank = int(np.floor((n_held + 1) * self.false_flags))
        if rank < 1:
            raise ValueError(
                f"{n_held} rows set aside cannot set a rate of {self.false_flags:g}: "
                f"give at least {int(np.ceil(1 / self.false_flags / _HOLDOUT))} training rows."
            )
        order = np.random.default_rng(self.random_state).permutation(len(X))
        held, kept = X.iloc[order[:n_held]], X.iloc[order[n_held:]]
        self.columns_ = list(X.columns)
        self.numeric_ = [
            c for c in X.columns if kinds[c] == "number" or (kinds[c] == "missing" and is_numeric_dtype(X[c]))
        ]
        if np.isinf(_floats(X[self.numeric_])).any(axis=None):
            raise ValueError("X has infinite values: replace them, or leave their rows out.")
        self._learn_categories(kept)
        self._learn_numbers(kept)
        # a new ordinary row is equally likely at any rank among these: flagged with at most the chosen probability
        self.threshold_ = float(np.sort(self.score_samples(held))[rank - 1])
        return self

    def score_samples(self, X):
        """How ordinary each row is: log10 of the tail share of its strangest part, shape (n,).

        -2 means: only one training row in 100 has a part as strange. -inf: a category never seen.
        """
        with np.errstate(divide="ignore"):
            return np.log10(self._tails(X).min(axis=1).to_numpy())

    def admits(self, X):
        """True where a row may pass, bool of shape (n,)."""
        return self.score_samples(X) >= self.threshold_

    def cost(self, X, by):
        """Whom the gate refuses: a DataFrame with the share of rows held back in each segment, the most refused first.

        `by` names the segment of each row, shape (n,). Columns: `rows, refused, share_refused`, and
        `of_all_refused`, the segment's part of all that was refused.
        """
        segment = np.asarray(by)
        if segment.shape != (len(X),):
            raise ValueError(f"by must be one segment a row: it has shape {segment.shape} for {len(X)} rows.")
        table = pd.DataFrame({"segment": segment, "refused": ~self.admits(X)})
        table = table.groupby("segment", observed=True, dropna=False)["refused"].agg(
            rows="size", refused="sum"
        )
        table["share_refused"] = table["refused"] / table["rows"]
        table["of_all_refused"] = table["refused"] / max(table["refused"].sum(), 1)
        return table.sort_values(["share_refused", "rows"], ascending=False, kind="stable")

    def _learn_categories(self, kept):
        """For each value of a category: the share of rows whose value is at most as frequent."""
        self.rarity_ = {}
        for column in kept.columns:
            share = _as_categories(kept[column], column in self.numeric_).value_counts(normalize=True)
            self.rarity_[column] = share.map(lambda s, share=share: share[share <= s].sum())

    def _learn_numbers(self, kept):
        values = _floats(kept[self.numeric_])
        self.center_ = values.median().fillna(0.0)
        spread = (values.quantile(0.75) - values.quantile(0.25)) / 1.349
        # half of the values are the same: fall back on the standard deviation; a constant keeps its unit
        self.scale_ = spread.where(spread > 0, values.std()).fillna(0.0).replace(0.0, 1.0)
        scaled = self._scaled(kept)
        self.mean_ = scaled.mean(axis=0)
        covariance = np.atleast_2d(np.cov(scaled.T)) if self.numeric_ else np.empty((0, 0))
        # columns that determine each other leave directions without spread; a constant may not move at all
        self.precision_ = np.linalg.inv(covariance + 1e-6 * np.eye(len(covariance)))
        self.distances_ = np.sort(self._distances(scaled))

    def _scaled(self, X):
        values = _floats(X[self.numeric_])
        return np.arcsinh(((values - self.center_) / self.scale_).fillna(0.0).to_numpy())

    def _distances(self, scaled):
        moved = scaled - self.mean_
        infinite = np.isinf(moved).any(axis=1)
        moved = np.where(infinite[:, None], 0.0, moved)
        return np.where(infinite, np.inf, ((moved @ self.precision_) * moved).sum(axis=1))

    def _tails(self, X):
        """The tail share of each part of each row, one column a part."""
        check_is_fitted(self, "rarity_")
        if not isinstance(X, pd.DataFrame):
            raise ValueError(f"X must be a DataFrame, not {type(X).__name__}.")
        missing = [c for c in self.columns_ if c not in X.columns]
        if missing:
            raise ValueError(f"X lacks columns that the gate was fitted on: {missing}.")
        parts = {}
        for column, rarity in self.rarity_.items():
            categories = _as_categories(X[column], column in self.numeric_)
            parts[column] = categories.map(rarity).fillna(0.0).to_numpy(dtype=float)
        if self.numeric_:
            n = len(self.distances_)
            farther = n - np.searchsorted(self.distances_, self._distances(self._scaled(X)), side="left")
            parts["numbers"] = (farther + 1) / (n + 1)
        return pd.DataFrame(parts, index=X.index)


def _floats(frame):
    """Numbers as float64, missing ones as NaN; text is refused."""
    values = {name: as_floats(frame[name], f"the column {name!r}") for name in frame}
    return pd.DataFrame(values, index=frame.index, columns=frame.columns)


def _as_categories(column, numeric):
    """A category's values as text; of a number only whether it is there."""
    if numeric:
        return pd.Series(np.where(column.isna(), "missing", "there"), index=column.index)
    return column.astype(object).where(column.notna(), "(missing)").astype(str)
