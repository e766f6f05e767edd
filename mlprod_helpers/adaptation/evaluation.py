"""Back-tests that do not travel in time: predict first, learn after, and only from labels that have arrived."""

import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.base import clone, is_regressor
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

from mlprod_helpers.adaptation.hybrid import ResidualStream, bands_of
from mlprod_helpers.adaptation.recency import Clock, effective_rows
from mlprod_helpers.adaptation.strategies import as_strategies

__all__ = ["compare", "evaluate_over_time", "predict_over_time"]

# name -> (function of labels and predictions, what the model must give)
METRICS = {
    "mae": (metrics.mean_absolute_error, "predict"),
    "rmse": (metrics.root_mean_squared_error, "predict"),
    "error_rate": (metrics.zero_one_loss, "predict"),
    "accuracy": (metrics.accuracy_score, "predict"),
    "log_loss": (lambda y, p: metrics.log_loss(y, p, labels=[0, 1]), "predict_proba"),
    "brier": (metrics.brier_score_loss, "predict_proba"),
    "auc": (metrics.roc_auc_score, "predict_proba"),
}
HIGHER_IS_BETTER = ("accuracy", "auc")


def evaluate_over_time(
    model,
    frame,
    schedule,
    delay=None,
    *,
    features,
    target,
    time="time",
    label_time=None,
    strategies=("frozen", "all_history"),
    band=None,
    metric="mae",
    method=None,
    retrain_every=1,
):
    """What each way of retraining would have scored, period by period, with labels that come late.

    At each moment of the schedule a strategy may train a new model; it then predicts all rows up to the next moment,
    and only afterwards are they scored (prequential evaluation: test, then train). A row can be learned from at a
    moment t when it happened before t **and** its label arrived by t.

    Parameters
    ----------
    model : estimator
        Cloned for each training. It needs `sample_weight` for recency weights only; pipelines work.
    frame : DataFrame, shape (n, ...)
        One row a prediction, in any order. Rows without a label are predicted, but neither learned nor scored.
    schedule : array-like of dates or numbers, shape (k + 1,)
        The moments of retraining, ascending; the last one ends the evaluation. Rows before the first are history.
        For example `pd.date_range("2013-02-11", "2013-12-30", freq="7D")`.
    delay : duration, str or array-like, optional
        How long a label takes: '1D' or a timedelta (a number if times are numbers), the same for all rows; or the
        name of a column with durations; or an array of durations, shape (n,). A missing one never arrives.
        Default: labels are there at once.
    features : list of str
        The columns that the model may see.
    target, time : str
        The columns with the label and with the moment at which the row was predicted.
    label_time : str, optional
        The column with the moment at which the label arrived, in place of `delay`.
    strategies : sequence or mapping
        "frozen" (never retrained), "all_history", "window 28D" (rows of the last 28 days), "recency 14D" (weights
        with a half-life of 14 days), "hybrid 50" (frozen, corrected by an EWMA of late residuals with a half-life
        of 50 labels, see `HybridModel`), or a function `(known, now) -> weights`. `known` are the rows whose labels
        have arrived, with a column "prediction" that says what this strategy had served (NaN before the schedule);
        weight 0 leaves a row out; None keeps the model. A mapping gives them other names.
    band : str or callable, optional
        Bands of the hybrid: a column of `frame`, or a function of `frame`.
    metric : {"mae", "rmse", "error_rate", "accuracy", "log_loss", "brier", "auc"} or callable
        A callable takes labels and predictions of one period.
    method : {"predict", "predict_proba"}, optional
        What is predicted; "predict_proba" gives the probability of class 1. Default: what the metric needs.
    retrain_every : int
        Retrain at every so manyth moment only: cheaper, while errors stay as fine as the schedule.

    Returns
    -------
    DataFrame
        One row a period and strategy: `period, start, end, strategy, rows` (scored), `trained_on` (rows with weight
        in the model in use), `effective_rows` (see `effective_rows`), and the metric under its name (NaN where it
        is not defined, as in an empty period).

    Raises
    ------
    ValueError
        For unknown columns or strategies, negative delays, a schedule that does not ascend, no label at its first
        moment, a model that takes no weights with a strategy that needs them.

    References
    ----------
    Dawid, "Prequential analysis", in Encyclopedia of Statistical Sciences (1984); Gama, Sebastião and Rodrigues, "On
    evaluating stream learning algorithms", Machine Learning 90 (2013); Grzenda, Gomes and Bifet, "Delayed labelling
    evaluation for data streams", Data Mining and Knowledge Discovery 34 (2020).

    Examples
    --------
    The truth moves after 100 days; labels take 5 days.

    >>> from sklearn.dummy import DummyRegressor
    >>> days = pd.DataFrame({"day": range(200), "x": 0.0})
    >>> days["y"] = np.where(days["day"] < 100, 1.0, 3.0)
    >>> errors = evaluate_over_time(DummyRegressor(), days, [50, 100, 150, 200], delay=5, features=["x"], target="y",
    ...                             time="day", strategies=["frozen", "all_history", "window 70"])
    >>> errors.pivot(index="period", columns="strategy", values="mae").round(2)
    strategy  all_history  frozen  window 70
    period
    0                0.00     0.0       0.00
    1                2.00     2.0       2.00
    2                1.37     2.0       0.61
    """
    score, needed = _metric(metric)
    test = _BackTest(model, frame, schedule, delay, features, target, time, label_time, band, retrain_every)
    method = _method(model, method or needed)
    name = metric if isinstance(metric, str) else getattr(metric, "__name__", "error")
    pieces = []
    for strategy in as_strategies(strategies, test.clock):
        prediction, trainings = test.run(strategy, method)
        pieces.append(test.score(strategy.name, prediction, trainings, score, name))
    return pd.concat(pieces, ignore_index=True).sort_values("period", kind="stable", ignore_index=True)


def predict_over_time(
    model,
    frame,
    schedule,
    delay=None,
    *,
    features,
    target,
    time="time",
    label_time=None,
    strategies=("frozen", "all_history"),
    band=None,
    method="predict",
    retrain_every=1,
):
    """The predictions that each strategy would have served; parameters as in `evaluate_over_time`.

    Returns
    -------
    DataFrame, shape (n, number of strategies)
        On the index of `frame`; NaN for rows outside the schedule.

    Examples
    --------
    >>> from sklearn.dummy import DummyRegressor
    >>> days = pd.DataFrame({"day": range(6), "x": 0.0, "y": [1.0, 1, 1, 5, 5, 5]})
    >>> predict_over_time(DummyRegressor(), days, [2, 4, 6], features=["x"], target="y", time="day",
    ...                   strategies=["all_history", "window 2"])
       all_history  window 2
    0          NaN       NaN
    1          NaN       NaN
    2          1.0       1.0
    3          1.0       1.0
    4          2.0       3.0
    5          2.0       3.0
    """
    test = _BackTest(model, frame, schedule, delay, features, target, time, label_time, band, retrain_every)
    method = _method(model, method)
    served = {s.name: test.run(s, method)[0] for s in as_strategies(strategies, test.clock)}
    return pd.DataFrame(served, index=frame.index)


def compare(errors, against=None, *, higher_is_better=None):
    """The result of `evaluate_over_time` in one row a strategy.

    Parameters
    ----------
    errors : DataFrame
        From `evaluate_over_time`.
    against : str, optional
        A strategy to compare the others with. Default: the first.
    higher_is_better : bool, optional
        Default: by the metric's name; False for a metric of one's own.

    Returns
    -------
    DataFrame, index = strategy
        The metric's mean over the periods (each counts the same), `difference` to `against`, `share_better` (in how
        many of the periods it was better than `against`), `trained_on` (mean number of rows in the model).

    Examples
    --------
    >>> errors = pd.DataFrame({"period": [0, 0, 1, 1], "strategy": ["a", "b"] * 2, "trained_on": 10,
    ...                        "mae": [1.0, 0.5, 1.0, 1.25]})
    >>> compare(errors)
                mae  difference  share_better  trained_on
    strategy
    a         1.000       0.000           0.0        10.0
    b         0.875      -0.125           0.5        10.0
    """
    metric = errors.columns[-1]
    table = errors.pivot(index="period", columns="strategy", values=metric)
    table = table[list(dict.fromkeys(errors["strategy"]))].dropna(how="all")
    against = table.columns[0] if against is None else against
    if against not in table:
        raise ValueError(f"against={against!r} was not evaluated; there are: {', '.join(table.columns)}.")
    if higher_is_better is None:
        higher_is_better = metric in HIGHER_IS_BETTER
    gain = table.sub(table[against], axis=0) * (1 if higher_is_better else -1)
    return pd.DataFrame(
        {
            metric: table.mean(),
            "difference": table.mean() - table[against].mean(),
            "share_better": (gain > 0).mean(),
            "trained_on": errors.groupby("strategy")["trained_on"].mean(),
        }
    ).loc[table.columns]


class _BackTest:
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
        self.clock = Clock(frame[time], f"the times in {time!r}")
        self.times = self.clock.times
        self.label_times = self._label_times(delay, label_time)
        self.has_label = self.y.notna().to_numpy() & (self.label_times < self.clock.never)
        self.y_values = self.y.to_numpy()
        self.moments = self.clock.numbers(schedule, "the moments of the schedule")
        if len(self.moments) < 2 or (np.diff(self.moments) <= 0).any():
            raise ValueError("schedule needs at least two moments, in ascending order.")
        self.period = np.searchsorted(self.moments, self.times, side="right") - 1  # -1: history
        self.period[self.times >= self.moments[-1]] = len(self.moments) - 1  # after the end
        self.schedule = pd.Series(list(schedule))

    def _label_times(self, delay, label_time):
        if label_time is not None:
            if delay is not None:
                raise ValueError("Give delay or label_time, not both.")
            arrival = self.clock.numbers(self.frame[label_time], f"the label times in {label_time!r}", True)
        else:
            arrival = self._delayed(delay)
        if (arrival < self.times).any():
            raise ValueError(
                f"{(arrival < self.times).sum()} labels arrive before their row: delays must not be negative."
            )
        return arrival

    def _delayed(self, delay):
        if delay is None:
            return self.times
        if isinstance(delay, str) and delay in self.frame.columns:
            delays = self.clock.spans(self.frame[delay], f"the delays in {delay!r}")
        elif np.ndim(delay) == 1:
            delays = self.clock.spans(delay, "delay")
            if len(delays) != len(self.times):
                raise ValueError(f"delay has {len(delays)} values for {len(self.times)} rows.")
        else:
            return self.times + self.clock.span(delay, "delay")
        came = np.isfinite(delays)
        return np.where(
            came, self.times + np.where(came, delays, 0).astype(self.times.dtype), self.clock.never
        )

    def known_at(self, moment):
        """Positions of the rows that a model may learn from at this moment, in the order of the frame."""
        return np.flatnonzero(self.has_label & (self.times < moment) & (self.label_times <= moment))

    def run(self, strategy, method):
        """Predictions of all rows in the schedule, and for each period what the model in use was trained on."""
        prediction = np.full(len(self.frame), np.nan)
        trainings, fitted = [], None
        for i, moment in enumerate(self.moments[:-1]):
            if fitted is None or (i % self.retrain_every == 0 and strategy.kind not in ("frozen", "hybrid")):
                fitted, training = self._train(strategy, i, moment, prediction, fitted) or (
                    fitted,
                    trainings[-1],
                )
            trainings.append(training)
            rows = np.flatnonzero(self.period == i)
            if len(rows) and strategy.kind != "hybrid":
                prediction[rows] = _predict(fitted, self.X.iloc[rows], method)
        if strategy.kind == "hybrid":
            self._stream(fitted, float(strategy.span), prediction)
        return prediction, trainings

    def _train(self, strategy, i, moment, prediction, fitted):
        """A new model and (rows, effective rows), or None when the old one stays."""
        known = self.known_at(moment)
        if fitted is None and not len(known):
            raise ValueError(
                f"No label has arrived at the first moment, {self.schedule[i]}: start the schedule later."
            )

        def seen():
            if "prediction" in self.frame.columns:
                raise ValueError("Rename the column 'prediction': own strategies get theirs under this name.")
            return self.frame.iloc[known].assign(prediction=prediction[known]), self.schedule[i]

        weights = strategy.weights(seen, self.times[known], moment, self.clock)
        if weights is None or not weights.any():
            if fitted is None:
                raise ValueError(f"strategy {strategy.name!r} has no row to train its first model on.")
            return None
        used = weights > 0
        rows, weights = known[used], weights[used]
        model = _fit(self.model, self.X.iloc[rows], self.y.iloc[rows], weights, strategy.name)
        return model, (len(rows), effective_rows(weights))

    def _stream(self, fitted, half_life, prediction):
        """The hybrid's predictions, event by event: a label corrects only what is predicted after it came."""
        if not is_regressor(self.model):
            raise ValueError("The hybrid corrects numbers, so the model must be a regressor.")
        first, last = self.moments[0], self.moments[-1]
        served = np.flatnonzero((self.times >= first) & (self.times < last))
        # labels that the batch model has not seen, its last days' included
        late = (
            self.has_label & ((self.label_times > first) | (self.times >= first)) & (self.label_times < last)
        )
        learned = np.flatnonzero(late)
        rows = np.union1d(served, learned)
        if not len(rows):
            return
        base = np.full(len(self.frame), np.nan)
        base[rows] = fitted.predict(self.X.iloc[rows])
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

    def score(self, name, prediction, trainings, score, metric):
        records = []
        for i, (trained_on, effective) in enumerate(trainings):
            rows = np.flatnonzero((self.period == i) & self.has_label)
            records.append(
                {
                    "period": i,
                    "start": self.schedule[i],
                    "end": self.schedule[i + 1],
                    "strategy": name,
                    "rows": len(rows),
                    "trained_on": trained_on,
                    "effective_rows": effective,
                    metric: _score(score, self.y_values[rows], prediction[rows]),
                }
            )
        return pd.DataFrame(records)


def _check_columns(frame, names):
    if not isinstance(frame, pd.DataFrame):
        raise ValueError(f"frame must be a DataFrame, not {type(frame).__name__}.")
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ValueError(f"frame has no column {missing}; there are: {', '.join(map(str, frame.columns))}.")


def _metric(metric):
    if callable(metric):
        return metric, "predict"
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r} is unknown: use one of {', '.join(METRICS)}, or a function.")
    return METRICS[metric]


def _method(model, method):
    if method not in ("predict", "predict_proba"):
        raise ValueError(f"method {method!r} is unknown: use 'predict' or 'predict_proba'.")
    if not hasattr(model, method):
        raise ValueError(f"The model has no {method}, which this metric needs.")
    return method


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
    if probabilities.shape[1] != 2:
        raise ValueError(
            f"The model knows {probabilities.shape[1]} classes; two are needed for probabilities."
        )
    return probabilities[:, 1]


def _score(score, y, prediction):
    if not len(y):
        return np.nan
    if score is metrics.roc_auc_score and len(np.unique(y)) < 2:
        return np.nan
    return float(score(y, prediction))
