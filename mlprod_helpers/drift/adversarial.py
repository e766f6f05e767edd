"""Can a classifier tell which of two tables a row is from?

Rows are scored out of fold: on 2 x 500 rows in which nothing differs, the AUC of boosted trees on their own training rows is
near 1. Identical rows stay in one fold where they are copies (see `tables.repeats_of`), otherwise a table compared with
itself has an AUC far below 0.5.
"""

import warnings
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from mlprod_helpers.drift.distances import rank_auc, shift_of_auc
from mlprod_helpers.drift.tables import repeats_of, stack, suspects_of
from mlprod_helpers.drift.threads import few_threads

LARGEST_RATIO = 100.0  # a reference row counts for at most so many, before weights are scaled to mean one
WELL_COVERED = 0.5  # below this share of the current rows, weights are called of little use
SCORED_ROWS = 5_000  # of each fold, for the importances
SHUFFLES = 5  # of each column in each fold, for the importances


# ---------------------------------------------------------------- the classifier


def default_estimator(n_rows, n_columns, random_state=None):
    """The boosted trees that `adversarial_validation` trains when it is given no estimator.

    Trees see what a linear model cannot (a correlation that flips), take missing values and categories as they are,
    and do not care about units. Three settings differ from scikit-learn's. With more than ten columns each split
    looks at half of them, which finds the few that drifted with less noise. Above 10,000 training rows trees are
    added (at most 300) until a tenth of the rows, held out, says stop. In small tables a leaf may be small, as 20
    rows would leave no split at all.

    >>> default_estimator(1_000, 20).max_iter, default_estimator(1_000_000, 20).max_iter
    (100, 300)
    """
    # scikit-learn is imported where it is used: those who only want a PSI do not wait for it
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=300 if n_rows > 12_500 else 100,  # four fifths of it are trained on
        max_features=0.5 if n_columns > 10 else 1.0,
        min_samples_leaf=int(np.clip(n_rows // 4, 2, 20)),
        random_state=random_state,
    )


# ---------------------------------------------------------------- the result


@dataclass(frozen=True, eq=False, repr=False)
class AdversarialValidation:
    """The result of `adversarial_validation`.

    Attributes
    ----------
    auc : float. Mean over the folds of the AUC on held-out rows: 0.5 is guessing, 1 is never wrong.
    scores : array of shape (current rows,)
        How foreign each current row is: the chance, out of fold, that such a row is a current one if both tables were
        equally large. 0.5 fits both tables equally well.
    reference_scores : array of shape (reference rows,). The same for the reference rows.
    suspects : dict
        Column -> why it looks like an id, a time stamp or another name of its table. Found before training.
    notes : tuple of str. What to know before the numbers are used.
    fold_aucs : array of shape (folds,)
    fold : array of shape (rows,). The fold in which each row was held out: reference rows first, then current ones.
    importances : pandas.Series. Column -> AUC lost on held-out rows when the column is shuffled, largest first.
    weights : array of shape (reference rows,)
        Density ratio p(current) / p(reference), mean one, for `sample_weight`.
    effective_sample_size : float. How many equally weighted reference rows the weights are worth.
    coverage : float
        Share of the current rows that the reference rows can stand for, about: the mean of the density ratio before it
        is scaled, at most 1. Where it is small, no weights help, whatever their effective sample size.
    shift : float. The shift of one normal column, in standard deviations, that gives this AUC; NaN below 0.5.
    """

    auc: float
    scores: np.ndarray
    reference_scores: np.ndarray
    suspects: dict
    notes: tuple
    fold_aucs: np.ndarray
    fold: np.ndarray
    columns: list
    _X: object = field(repr=False)
    _models: list = field(repr=False)
    _seed: int = field(repr=False)

    @property
    def shift(self):
        return shift_of_auc(self.auc)

    @cached_property
    def importances(self):
        with few_threads(self._X.size):
            return _importances(self._X, self._labels, self.fold, self._models, self.columns, self._seed)

    @cached_property
    def weights(self):
        ratio = _density_ratio(self.reference_scores)
        return ratio / ratio.mean()

    @property
    def coverage(self):
        return min(1.0, float(_density_ratio(self.reference_scores).mean()))

    @property
    def effective_sample_size(self):
        return float(
            self.weights.sum() ** 2 / (self.weights @ self.weights)
        )  # Kish, "Survey sampling" (1965)

    @property
    def _labels(self):
        return np.repeat([0, 1], [len(self.reference_scores), len(self.scores)])

    def _coverage_in_words(self):
        return (
            f", which cover {self.coverage:.0%} of the current ones" if self.coverage < WELL_COVERED else ""
        )

    def __repr__(self):
        rows = f"{len(self.reference_scores):,} reference and {len(self.scores):,} current rows"
        n_columns = f"{len(self.columns)} column{'s' * (len(self.columns) != 1)}"
        lines = [f"Adversarial validation of {rows}, {n_columns}, {len(self._models)} folds"]
        meaning = "below 0.5: no distance" if np.isnan(self.shift) else f"as a shift of {self.shift:.2f} sd"
        lines.append(f"  AUC       {self.auc:.4f} ({meaning} in one normal column)")
        share = self.effective_sample_size / len(self.weights)
        lines.append(f"  weights   worth {share:.0%} of the reference rows" + self._coverage_in_words())
        lines += [f"  suspect   {name}: {why}" for name, why in self.suspects.items()]
        lines += [f"  note      {note}" for note in self.notes]
        return "\n".join(lines)


def _density_ratio(balanced_scores):
    odds = np.divide(
        balanced_scores,
        1 - balanced_scores,
        out=np.full(len(balanced_scores), np.inf),
        where=balanced_scores < 1,
    )
    ratio = np.minimum(odds, LARGEST_RATIO)
    return ratio if ratio.any() else np.ones(len(ratio))


def _importances(X, labels, fold, models, columns, seed):
    rng = np.random.default_rng(seed)
    lost = np.zeros((len(models), len(columns)))
    for k, model in enumerate(models):
        rows = _thinned(np.flatnonzero(fold == k), labels, rng)
        held_out, truth = _rows(X, rows), labels[rows]
        base = rank_auc(truth, model.predict_proba(held_out)[:, 1])
        shuffles = [rng.permutation(len(rows)) for _ in range(SHUFFLES)]
        for j in range(len(columns)):
            aucs = [
                rank_auc(truth, model.predict_proba(_with_shuffled(held_out, j, order))[:, 1])
                for order in shuffles
            ]
            lost[k, j] = base - np.mean(aucs)
    index = pd.Index(columns, name="column", tupleize_cols=False)
    importances = pd.Series(lost.mean(axis=0), index=index, name="importance")
    return importances.sort_values(ascending=False, kind="stable")


def _thinned(rows, labels, rng):
    """At most `SCORED_ROWS` of a fold's rows, with as many of each table as chance will have it, but some of both."""
    if len(rows) <= SCORED_ROWS:
        return rows
    parts = [rows[labels[rows] == label] for label in (0, 1)]
    kept = [
        rng.choice(p, min(len(p), max(50, SCORED_ROWS * len(p) // len(rows))), replace=False) for p in parts
    ]
    return np.sort(np.concatenate(kept))


def _with_shuffled(X, j, order):
    X = X.copy()
    if isinstance(X, pd.DataFrame):
        X.isetitem(j, X.iloc[order, j].array)
    else:
        X[:, j] = X[order, j]
    return X


# ---------------------------------------------------------------- the procedure


def adversarial_validation(
    reference, current, *, estimator=None, cv=5, random_state=None
) -> AdversarialValidation:
    """How well can a classifier tell current rows from reference rows it has not seen?

    The AUC is the mean over the folds, not that of all scores pooled: each fold has a model of its own, and pooled
    scores read too low in small tables. An AUC sees inputs only. It is blind to a change of the answers, and to any
    change that its classifier cannot see.

    Parameters
    ----------
    reference, current : DataFrame or array of shape (rows, columns)
        What a model was trained on, and what it meets now: the same columns, without the target. Text, categories,
        booleans, times and missing values are welcome.
    estimator : scikit-learn classifier with `predict_proba`, optional
        `default_estimator` otherwise. From arrays it gets arrays, from DataFrames a DataFrame: categories and text as
        dtype `category` with whole numbers for levels (text of more than 250 levels as its alphabetical rank), times
        as seconds since 1970, booleans as 0 and 1. Put an imputer before one that takes no missing values.
    cv : int, or splitter, or list of (train, test) rows
        Number of folds. A scikit-learn splitter, or its splits, is used as it is: no guard against repeated rows.
    random_state : int, Generator or None. The same int gives exactly the same result.

    Returns
    -------
    AdversarialValidation

    Raises
    ------
    ValueError : for tables without rows or columns, with different columns, or with fewer rows than folds.

    Warns
    -----
    UserWarning : when no column varies, and when the AUC is clearly below 0.5 although repeated rows were looked
    after.

    Sources: Bickel, Bruckner and Scheffer, "Discriminative learning under covariate shift", JMLR 10 (2009), for the
    weights; Pan et al., "Adversarial validation approach to concept drift problem" (2020), for its use.

    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> old = pd.DataFrame({"miles": rng.normal(size=300), "route": rng.choice(["BOS", "MIA"], 300)})
    >>> new = pd.DataFrame({"miles": rng.normal(size=300), "route": rng.choice(["MIA", "SEA"], 300)})
    >>> result = adversarial_validation(old, new, random_state=0)
    >>> result.importances.index[0], result.suspects
    ('route', {})
    """
    table = stack(reference, current)
    labels, rng = table.labels, np.random.default_rng(random_state)
    n_rows = np.bincount(labels)
    guarded = isinstance(cv, int | np.integer)
    if guarded:
        _enough_rows(n_rows, cv)
    # NaN is a value too: it may be in one table only
    constant = [bool(((c == c[0]) | (np.isnan(c) & np.isnan(c[0]))).all()) for c in table.values.T]
    if all(constant):
        warnings.warn(
            "No column varies: each holds one and the same value in both tables, so there is nothing to learn.",
            stacklevel=2,
        )
    suspects = suspects_of(table)
    X = table.frame() if table.from_frames and (table.levels or estimator is not None) else table.values
    estimator = default_estimator(*table.values.shape) if estimator is None else estimator
    repeats = repeats_of(table) if guarded else None

    splits = _deal_folds(labels, repeats, cv, rng) if guarded else _given_splits(cv, table.values, labels)
    with few_threads(table.values.size):
        fold, probability, models = _out_of_fold(estimator, X, labels, splits, rng)
    fold_aucs = _fold_aucs(labels, probability, fold)
    auc = float(fold_aucs.mean())
    balanced = _balanced(probability, n_rows)
    notes = _notes_on_repeats(repeats, fold) if guarded else []
    notes += _notes_on(auc, balanced[labels == 0], n_rows, guarded)
    return AdversarialValidation(
        auc=auc,
        scores=balanced[labels == 1],
        reference_scores=balanced[labels == 0],
        suspects=suspects,
        notes=tuple(notes),
        fold_aucs=fold_aucs,
        fold=fold,
        columns=table.columns,
        _X=X,
        _models=models,
        _seed=int(rng.integers(2**63)),
    )


def _given_splits(cv, values, labels):
    from sklearn.model_selection import check_cv

    splits = list(check_cv(cv, labels, classifier=True).split(values, labels))
    tested = np.concatenate([np.arange(len(labels))[test] for _, test in splits])
    if not np.array_equal(np.sort(tested), np.arange(len(labels))):
        raise ValueError("cv must hold out each row exactly once, as StratifiedKFold does.")
    return splits


def _enough_rows(n_rows, cv):
    if isinstance(cv, bool) or cv < 2:
        raise ValueError(f"cv must be at least 2 folds, got {cv}.")
    for role, n in zip(("reference", "current"), n_rows, strict=True):
        if n < cv:
            rows = "1 row" if n == 1 else f"{n} rows"
            raise ValueError(f"{role} has {rows}, fewer than cv={cv} folds: pass more rows or a smaller cv.")


def _deal_folds(labels, repeats, cv, rng):
    """Folds of nearly the same size and share of each table; with identical rows in one fold if need be."""
    if repeats.keep_together:
        in_current = np.bincount(repeats.group, weights=labels).astype(int)
        in_reference = np.bincount(repeats.group) - in_current
        fold = _dealt(in_reference, in_current, cv, rng)[repeats.group]
        if all(len(np.unique(fold[labels == label])) == cv for label in (0, 1)):
            return _splits_of(fold, cv)
    return _splits_of(_dealt(1 - labels, labels, cv, rng), cv)


def _dealt(in_reference, in_current, cv, rng):
    """Shuffle, sort by what a group holds, and deal like cards."""
    order = np.lexsort((rng.permutation(len(in_current)), in_reference, in_current))
    fold = np.empty(len(order), dtype=int)
    fold[order] = np.arange(len(order)) % cv
    return fold


def _splits_of(fold, cv):
    return [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(cv)]


def _out_of_fold(estimator, X, labels, splits, rng):
    """The fold of each row, its probability of being current, and the models."""
    fold, probability, models = np.empty(len(labels), dtype=int), np.empty(len(labels)), []
    for k, (train, test) in enumerate(splits):
        model = _fresh(estimator, rng).fit(_without_empty_columns(_rows(X, train)), labels[train])
        if not hasattr(model, "predict_proba"):
            raise TypeError(
                f"{type(model).__name__} has no predict_proba: wrap it in sklearn's CalibratedClassifierCV."
            )
        probability[test] = model.predict_proba(_rows(X, test))[:, 1]
        fold[test] = k
        models.append(model)
    return fold, probability, models


def _fresh(estimator, rng):
    """A clone, seeded where it asks for a seed and has none."""
    from sklearn.base import clone

    model = clone(estimator)
    open_seeds = [
        name
        for name, value in model.get_params().items()
        if value is None and (name == "random_state" or name.endswith("__random_state"))
    ]
    return model.set_params(**{name: int(rng.integers(2**31)) for name in open_seeds})


def _rows(X, rows):
    return X.iloc[rows] if isinstance(X, pd.DataFrame) else X[rows]


def _without_empty_columns(X):
    """Zeros where all is missing: boosted trees cannot bin a column without a value, and nothing is lost."""
    is_frame = isinstance(X, pd.DataFrame)
    empty = np.flatnonzero(X.isna().all() if is_frame else np.isnan(X).all(axis=0))
    if len(empty):
        X = X.copy()
    for j in empty:
        if is_frame:
            X.isetitem(j, pd.Series(0.0, index=X.index).astype(X.dtypes.iloc[j]))
        else:
            X[:, j] = 0
    return X


def _fold_aucs(labels, probability, fold):
    aucs = []
    for k in range(fold.max() + 1):
        truth = labels[fold == k]
        aucs.append(rank_auc(truth, probability[fold == k]) if 0 < truth.sum() < len(truth) else np.nan)
    aucs = np.array(aucs)
    if np.isnan(aucs).any():
        raise ValueError(
            "A fold of cv holds rows of one table only: its AUC is not defined. Use stratified folds."
        )
    return aucs


def _balanced(probability, n_rows):
    """The probability of being current if both tables were equally large."""
    n_reference, n_current = n_rows
    current, reference = probability * n_reference, (1 - probability) * n_current
    return current / (current + reference)


def _notes_on_repeats(repeats, fold):
    if not repeats.keep_together:
        return []
    held_out_as_one = len(np.unique([repeats.group, fold], axis=1).T) == len(np.unique(repeats.group))
    done = (
        "Identical rows are kept in one fold."
        if held_out_as_one
        else "There are too few different rows to keep identical ones in one fold."
    )
    return [f"{repeats.why} {done}"]


def _notes_on(auc, reference_scores, n_rows, guarded):
    notes = []
    # Mann and Whitney's; where nothing differs, out-of-fold AUCs were seen to spread up to 1.7 times as far
    spread = np.sqrt((n_rows.sum() + 1) / (12 * n_rows[0] * n_rows[1]))
    if auc < 0.5 - 6 * spread:
        notes.append(
            f"An AUC of {auc:.2f}, clearly below 0.5, is no 'less than no drift': rows of the two tables belong "
            "together (copies, neighbors in time, a balanced design). Keep what belongs together in one fold: "
            "cv=list(StratifiedGroupKFold().split(rows, labels, groups))."
        )
        if guarded:
            warnings.warn(notes[-1], stacklevel=3)
    covered = _density_ratio(reference_scores).mean()
    if covered < WELL_COVERED:
        notes.append(
            f"The reference rows stand for about {covered:.0%} of the current ones, the others have no counterpart: "
            "weights cannot make up for them."
        )
    return notes
