"""A service's weekly reports while one thing may change: a concept, the inputs, the labels' shares, or a fault in the feed."""

import numpy as np

from mlprod_helpers.faults import MissingValues, UnitChange
from mlprod_helpers.streams import Drift, Linear, make_stream

WEEKS, ROWS, FEW, DELAY = 18, 400, 20, 2
REFERENCE, BINS = 1600, 5
LATE_KEYS = ("labels", "error", "law", "within", "labeled_rows")
INCIDENTS = ("concept", "covariate", "prior", "fault", "nothing")


def weekly_reports(kind, random_state):
    """What one service's monitors report over 18 weeks in which one thing may happen in week 4 to 7, and when.

    `kind` is "concept", "covariate", "prior", "fault" or "nothing". There is one dict a week, oldest first;
    `labels`, `error`, `law`, `within` and `labeled_rows` are those of the requests of two weeks before, None in the
    first two weeks.

    >>> reports, onset = weekly_reports("concept", 0)
    >>> len(reports), reports[0]["law"], reports[onset + 2]["law"] > reports[onset + 1]["law"] + 0.1
    (18, None, True)
    """
    rng = np.random.default_rng(random_state)
    reports, onset = draw_service(rng, kind, lost=rng.random() < 0.5, sign=int(rng.choice([-1, 1])))
    return list(reports), onset


def draw_service(rng, kind, lost, sign, weeks_to_shorten=2):
    """As `weekly_reports`, of a fault that loses values or changes a unit, of a prior shift up or down.

    The two weeks with few rows are drawn; of more than two drawn ones, those whose few rows are the most misleading.

    The reports come one by one: a case that is cured early costs no time.
    """
    onset = int(rng.integers(4, 8))
    start = REFERENCE + onset * ROWS
    drifts, faults = [], []
    if kind == "concept":
        drifts = [Drift("concept", "sudden", start, size=float(rng.uniform(0.25, 0.35)))]
    elif kind == "covariate":
        drifts = [Drift("covariate", "sudden", start, size=float(rng.uniform(0.8, 1.2)), features=0)]
    elif kind == "prior":
        drifts = [Drift("prior", "sudden", start, size=sign * float(rng.uniform(0.22, 0.28)))]
    elif kind == "fault" and lost:
        faults = [MissingValues("x0", start=start, share=float(rng.uniform(0.25, 0.5)))]
    elif kind == "fault":
        faults = [UnitChange("x0", 1.8, 3.2, start=start)]
    stream = make_stream(
        REFERENCE + WEEKS * ROWS,
        drifts=drifts,
        faults=faults,
        n_features=2,
        concept=Linear(noise=0.15),
        random_state=int(rng.integers(2**31)),
    )
    drawn = rng.choice(WEEKS - DELAY, size=weeks_to_shorten, replace=False)
    return week_by_week(stream, drawn), onset


def week_by_week(stream, drawn):
    model = Frozen(stream.X[:REFERENCE], stream.y[:REFERENCE])

    def rows(week, n):
        first = REFERENCE + week * ROWS
        return stream.X[first : first + n], stream.y[first : first + n]

    few = drawn
    if len(drawn) > 2:
        few = sorted(drawn, key=lambda week: model.with_labels(*rows(week, FEW))["law"])[-2:]
    size = [FEW if week in few else ROWS for week in range(WEEKS)]

    for week in range(WEEKS):
        late = (
            dict.fromkeys(LATE_KEYS)
            if week < DELAY
            else model.with_labels(*rows(week - DELAY, size[week - DELAY]))
        )
        yield {"week": week, **model.at_once(rows(week, size[week])[0]), **late}


class Frozen:
    """A linear model fitted once, and what it compares later weeks with."""

    def __init__(self, X, y):
        self.mean, self.sd = X.mean(axis=0), X.std(axis=0)
        self.weights = np.linalg.lstsq(np.column_stack([np.ones(len(X)), X]), y.astype(float), rcond=None)[0]
        score = self.score(X)
        self.positive, self.label = (score > 0.5).mean(), y.mean()
        self.error = ((score > 0.5) != y).mean()
        self.edges = np.quantile(score, np.arange(1, BINS) / BINS)
        bins = np.searchsorted(self.edges, score)
        self.law = np.bincount(bins, y, minlength=BINS) / np.bincount(bins, minlength=BINS)
        self.inside = [score[y == label].mean() for label in (0, 1)]
        self.spread = score.std()

    def score(self, X):
        return self.weights[0] + np.where(np.isnan(X), self.mean, X) @ self.weights[1:]

    def at_once(self, X):
        """What can be said without labels."""
        gaps = np.isnan(X)
        # numpy's nan functions are slow on small tables
        mean, sd = (np.nanmean, np.nanstd) if gaps.any() else (np.mean, np.std)
        ratio = sd(X, axis=0) / self.sd
        return {
            "rows": len(X),
            "missing": float(gaps.mean(axis=0).max()),
            "inputs": float(np.abs((mean(X, axis=0) - self.mean) / self.sd).max()),
            "spread": float(ratio[np.argmax(np.abs(np.log(ratio)))]),
            "predictions": float((self.score(X) > 0.5).mean() - self.positive),
        }

    def with_labels(self, X, y):
        """What can be said once the labels of these rows have come."""
        score = self.score(X)
        bins = np.searchsorted(self.edges, score)
        rows = np.bincount(bins, minlength=BINS)
        there = rows > 0
        gap = np.abs(np.bincount(bins, y, minlength=BINS)[there] / rows[there] - self.law[there])
        inside = [
            abs(score[y == label].mean() - self.inside[label]) for label in (0, 1) if (y == label).any()
        ]
        return {
            "labels": float(y.mean() - self.label),
            "error": float(((score > 0.5) != y).mean() / self.error),
            "law": float(gap @ rows[there] / len(y)),
            "within": float(max(inside) / self.spread),
            "labeled_rows": len(y),
        }
