"""One strategy, run over the rows as they came: what was known when, which model served which row."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone, is_regressor
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from mlprod_helpers.adaptation.hybrid import ResidualStream, bands_of
from mlprod_helpers.adaptation.recency import Clock, effective_rows
from mlprod_helpers.drift.threads import few_threads
from mlprod_helpers.requestlog.numbers import as_floats


class Training(NamedTuple):
    """What the model of one period was trained on."""

    rows: int
    effective_rows: float
    is_new: bool  # trained at this period's start, not kept from before


class BackTest:
    """The rows in numbers, and what was known when."""

    def __init__(
        self, model, frame, schedule, delay, features, target, time, label_time, band, retrain_every
    ):
        features = [features] if isinstance(features, str) else list(features)
        _check_columns(frame, [*features, target, time, *([label_time] if label_time else [])])
        if not len(frame):
            raise ValueError("frame has no rows.")
        if retrain_every < 1 or retrain_every != int(retrain_every):
            raise ValueError(f"retrain_every={retrain_every!r} must be a whole number from 1.")
        self.model, self.frame, self.band, self.retrain_every = model, frame, band, int(retrain_every)
        self.X, self.y, self.time_name = frame[features], frame[target], time
        if is_regressor(model):
            self.y = _labels_of_numbers(self.y)
        self.clock = Clock(frame[time], f"the times in {time!r}")
        self.times = self.clock.times
        self.label_times = self._label_times(delay, label_time)
        self.has_label = self.y.notna().to_numpy() & (self.label_times < self.clock.never)
        self.y_values = self.y.to_numpy()
        self.moments = self.clock.numbers(schedule, "the moments of the schedule")
        self.take = _taker(model, self.X)
        if len(self.moments) < 2 or (np.diff(self.moments) <= 0).any():
            raise ValueError("schedule needs at least two moments, in ascending order.")
        self.period = np.searchsorted(self.moments, self.times, side="right") - 1  # -1: history
        self.period[self.times >= self.moments[-1]] = len(self.moments) - 1  # after the end
        self.schedule = pd.Series(list(schedule))

    def _label_times(self, delay, label_time):
        if label_time is None:
            delay = 0 if delay is None else self.clock.span(delay, "delay")
            if not 0 <= delay < np.inf:
                raise ValueError("delay must not be negative, missing or infinite.")
            return self.times + delay
        if delay is not None:
            raise ValueError("Give delay or label_time, not both.")
        arrival = self.clock.numbers(self.frame[label_time], f"the label times in {label_time!r}", True)
        if (arrival < self.times).any():
            raise ValueError(
                f"{(arrival < self.times).sum()} labels arrive before their row: correct their times."
            )
        return arrival

    def known_at(self, moment):
        """Positions of the rows that a model may learn from at this moment, in the order of the frame."""
        return np.flatnonzero(self.has_label & (self.times < moment) & (self.label_times <= moment))

    def run(self, strategy, method):
        """Predictions of all rows in the schedule, and for each period what the model in use was trained on."""
        with few_threads(self.X.size):
            return self._run(strategy, method)

    def _run(self, strategy, method):
        prediction = np.full(len(self.frame), np.nan)
        trainings, fitted = [], None
        for i in range(len(self.moments) - 1):
            due = i % self.retrain_every == 0 and strategy.kind not in ("frozen", "hybrid")
            trained = self._train(strategy, i) if due or i == 0 else None
            if trained:
                fitted, training = trained
            else:
                training = trainings[-1]._replace(is_new=False)
            trainings.append(training)
            rows = np.flatnonzero(self.period == i)
            if len(rows) and strategy.kind != "hybrid":
                prediction[rows] = _predict(fitted, self.take(rows), method)
        if strategy.kind == "hybrid":
            self._stream(fitted, float(strategy.span), prediction)
        return prediction, trainings

    def _train(self, strategy, i):
        """A new model and its Training; None when no known row counts, so that the old model stays."""
        moment = self.moments[i]
        known = self.known_at(moment)
        weights = strategy.weights(self.times[known], moment, self.clock)
        used = weights > 0
        if not used.any():
            if i == 0:
                raise ValueError(
                    f"strategy {strategy.name!r} has no label to learn from at the first moment, "
                    f"{self.schedule[0]}: start the schedule later."
                )
            return None
        rows, weights = known[used], weights[used]
        model = _fit(self.model, self.take(rows), self.y.iloc[rows].infer_objects(), weights, strategy.name)
        return model, Training(len(rows), effective_rows(weights), True)

    def _stream(self, fitted, half_life, prediction):
        """The hybrid's predictions, event by event: a label corrects only what is predicted after it came."""
        if not is_regressor(self.model):
            raise ValueError("The hybrid corrects numbers, so the model must be a regressor.")
        first, last = self.moments[0], self.moments[-1]
        served = np.flatnonzero((self.times >= first) & (self.times < last))
        # labels that the batch model has not seen, its last days' included
        late = (self.label_times > first) | (self.times >= first)
        learned = np.flatnonzero(self.has_label & late & (self.label_times < last))
        rows = np.union1d(served, learned)
        if not len(rows):
            return
        base = np.full(len(self.frame), np.nan)
        base[rows] = fitted.predict(self.take(rows))
        bands = bands_of(self.frame, self.band)
        residual = np.full(len(self.frame), np.nan)
        residual[learned] = self.y_values[learned].astype(float) - base[learned]
        stream = ResidualStream(half_life)
        # at one instant: labels that had to wait, then predictions, then labels that came at once
        at = np.concatenate([self.label_times[learned], self.times[served]])
        rank = np.concatenate(
            [np.where(self.label_times[learned] > self.times[learned], 0, 2), np.ones(len(served))]
        )
        events = np.concatenate([learned, served])
        for which in np.lexsort([rank, at]).tolist():
            row = events[which]
            if which < len(learned):
                stream.learn([bands[row]], [residual[row]])
            else:
                prediction[row] = base[row] + stream.by_band.get(bands[row], stream.overall)


def _check_columns(frame, names):
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(f"frame must be a DataFrame, not {type(frame).__name__}.")
    if not frame.columns.is_unique:
        raise ValueError("frame has several columns of one name: rename them.")
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ValueError(f"frame has no column {missing}; there are: {', '.join(map(str, frame.columns))}.")


def _labels_of_numbers(labels):
    numbers = as_floats(labels, f"the labels in {labels.name!r}")
    if np.isinf(numbers).any():
        raise ValueError(
            f"{np.isinf(numbers).sum()} labels in {labels.name!r} are infinite: leave them missing."
        )
    return (
        labels
        if labels.dtype.kind in "iuf" and isinstance(labels.dtype, np.dtype)
        else pd.Series(numbers, labels.index)
    )


def _taker(model, X):
    """A function that takes rows of X by position, as the model wants them."""
    plain = type(model).__module__.startswith(("sklearn.linear_model", "sklearn.tree"))
    if plain and not hasattr(model, "estimator") and all(pd.api.types.is_numeric_dtype(t) for t in X.dtypes):
        # such a model knows no names, and checking a DataFrame takes it longer than fitting
        values = X.to_numpy(dtype=float, na_value=np.nan)
        return values.__getitem__
    return X.iloc.__getitem__


def _fit(model, X, y, weights, name):
    fresh = clone(model)
    if (weights == weights[0]).all():
        return fresh.fit(X, y)
    last = fresh.steps[-1] if isinstance(fresh, Pipeline) else ("", fresh)
    if not has_fit_parameter(last[1], "sample_weight") and not has_fit_parameter(last[1], "fit_params"):
        raise ValueError(f"strategy {name!r} weights its rows, but the model's fit takes no sample_weight.")
    key = f"{last[0]}__sample_weight" if last[0] else "sample_weight"
    return fresh.fit(X, y, **{key: weights})


def _predict(fitted, X, method):
    if method == "predict":
        return fitted.predict(X)
    probabilities = fitted.predict_proba(X)
    if probabilities.shape[1] == 1:  # it was trained on one class: it is sure of it
        return np.full(len(probabilities), float(fitted.classes_[0] == 1))
    if probabilities.shape[1] > 2:
        raise ValueError(
            f"The model knows {probabilities.shape[1]} classes; two are needed for probabilities."
        )
    return probabilities[:, 1]
