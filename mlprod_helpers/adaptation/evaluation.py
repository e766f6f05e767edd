"""Back-tests that do not travel in time: predict first, learn after, and only from labels that have arrived."""

import numpy as np
import pandas as pd

from mlprod_helpers.adaptation.backtest import BackTest
from mlprod_helpers.adaptation.strategies import as_strategies
from mlprod_helpers.drift.distances import rank_auc


def _auc(y, p):
    """NaN in a period with one class alone."""
    positive = np.asarray(y) == 1
    return rank_auc(positive, p) if 0 < positive.sum() < len(positive) else np.nan


# name -> (function of labels and predictions, what the model must give)
METRICS = {"mae": (lambda y, p: np.abs(y - p).mean(), "predict"), "auc": (_auc, "predict_proba")}


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
    retrain_every=1,
):
    """What each way of retraining would have scored, period by period, with labels that come late.

    At each moment of the schedule a strategy may train a new model; it then predicts all rows up to the next
    moment, and only afterwards are they scored (prequential evaluation: test, then train). A row can be learned
    from at a moment t when it happened before t **and** its label arrived by t.

    Parameters
    ----------
    model : estimator. Cloned for each training. It needs `sample_weight` for recency weights only; pipelines work.
    frame : DataFrame, shape (n, ...)
        One row a prediction, in any order. Rows without a label are predicted, but neither learned nor scored.
    schedule : array-like of dates or numbers, shape (k + 1,)
        The moments of retraining, ascending; the last one ends the evaluation. Rows before the first are history.
    delay : duration, optional
        How long each label takes: '1D' or a timedelta, or a number if times are numbers. Default: labels are there
        at once.
    features : list of str. The columns that the model may see.
    target, time : str. The columns with the label and with the moment at which the row was predicted.
    label_time : str, optional
        The column with the moment at which each label arrived, in place of `delay`; a missing one never arrives.
    strategies : str or sequence of str
        "frozen" (never retrained), "all_history", "window 28D" (rows of the last 28 days), "recency 14D" (weights
        with a half-life of 14 days), "hybrid 50" (frozen, corrected by `HybridModel` with a half-life of 50 labels).
    band : str, optional. Bands of the hybrid: a column of `frame`.
    metric : {"mae", "auc"}. "auc" asks the model for the probability of class 1.
    retrain_every : int. Retrain at every so manyth moment only: cheaper, while errors stay as fine as the schedule.

    Returns
    -------
    DataFrame
        One row a period and strategy: `period, start, end, strategy, rows` (scored), `retrained` (a new model at its
        start), `trained_on` (rows with weight in the model in use), `effective_rows` (what they are worth, see
        `effective_rows`), and the metric under its name (NaN where it is not defined, as in an empty period).

    Source: Grzenda, Gomes and Bifet, "Delayed labelling evaluation for data streams", Data Mining and Knowledge
        Discovery 34 (2020).

    The truth moves after 100 days; labels take 5 days.

    >>> from sklearn.dummy import DummyRegressor
    >>> days = pd.DataFrame({"day": range(200), "x": 0.0})
    >>> days["y"] = np.where(days["day"] < 100, 1.0, 3.0)
    >>> errors = evaluate_over_time(DummyRegressor(), days, [50, 100, 150, 200], delay=5, features=["x"], target="y",
    ...                             time="day", strategies=["frozen", "window 70"])
    >>> errors.pivot(index="period", columns="strategy", values="mae").round(2)
    strategy  frozen  window 70
    period
    0            0.0       0.00
    1            2.0       2.00
    2            2.0       0.61
    """
    if metric not in METRICS:
        raise ValueError(f"metric {metric!r} is unknown: use one of {', '.join(METRICS)}.")
    score, method = METRICS[metric]
    if not hasattr(model, method):
        raise ValueError(f"The model has no {method}, which this metric needs.")
    test = BackTest(model, frame, schedule, delay, features, target, time, label_time, band, retrain_every)
    pieces = []
    for strategy in as_strategies(strategies, test.clock):
        prediction, trainings = test.run(strategy, method)
        pieces.append(_scored(test, strategy.name, prediction, trainings, score, metric))
    return pd.concat(pieces, ignore_index=True).sort_values("period", kind="stable", ignore_index=True)


def compare(errors, against=None):
    """The result of `evaluate_over_time` in one row a strategy.

    Each strategy has the metric's mean over the periods (NaN where it lacks a value in some period that another
    has), `difference` to the strategy `against` (the first by default), `share_better` (in which share of the
    periods it was better), `trainings`, and `trained_on` (mean number of rows in the model).

    >>> errors = pd.DataFrame({"period": [0, 0, 1, 1], "strategy": ["a", "b"] * 2, "retrained": True,
    ...                        "trained_on": 10, "mae": [1.0, 0.5, 1.0, 1.25]})
    >>> compare(errors)
                mae  difference  share_better  trainings  trained_on
    strategy
    a         1.000       0.000           0.0          2        10.0
    b         0.875      -0.125           0.5          2        10.0
    """
    metric = errors.columns[-1]
    table = errors.pivot(index="period", columns="strategy", values=metric)
    table = table[list(dict.fromkeys(errors["strategy"]))].dropna(how="all")
    against = table.columns[0] if against is None else against
    if against not in table:
        raise ValueError(f"against={against!r} was not evaluated; there are: {', '.join(table.columns)}.")
    gain = table.sub(table[against], axis=0) * (1 if metric == "auc" else -1)
    return pd.DataFrame(
        {
            metric: table.mean(skipna=False),
            "difference": table.mean(skipna=False) - table[against].mean(skipna=False),
            "share_better": (gain > 0).mean(),
            "trainings": errors.groupby("strategy")["retrained"].sum(),
            "trained_on": errors.groupby("strategy")["trained_on"].mean(),
        }
    ).loc[table.columns]


def _scored(test, name, prediction, trainings, score, metric):
    """One row a period."""
    records = []
    for i, training in enumerate(trainings):
        rows = np.flatnonzero((test.period == i) & test.has_label)
        records.append(
            {
                "period": i,
                "start": test.schedule[i],
                "end": test.schedule[i + 1],
                "strategy": name,
                "rows": len(rows),
                "retrained": training.is_new,
                "trained_on": training.rows,
                "effective_rows": training.effective_rows,
                metric: float(score(test.y_values[rows], prediction[rows])) if len(rows) else np.nan,
            }
        )
    return pd.DataFrame(records)
