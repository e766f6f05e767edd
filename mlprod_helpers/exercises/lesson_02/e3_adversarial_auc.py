"""Exercise 2.3, Out-of-fold AUC."""

import numpy as np
import pandas as pd

from mlprod_helpers.drift.distances import rank_auc
from mlprod_helpers.lesson.contract import Function, Number, exercise

NOISE_ROWS = 173, 167  # with 90 columns, a model trained on half of these rows knows them by heart


def _out_of_fold(reference, current, method="predict_proba", shuffle=True):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict

    X = pd.concat([reference, current], ignore_index=True).to_numpy()
    s = np.repeat([0, 1], [len(reference), len(current)])
    folds = StratifiedKFold(5, shuffle=True, random_state=0) if shuffle else KFold(5)
    scores = cross_val_predict(LogisticRegression(), X, s, cv=folds, method=method)
    return s, scores[:, 1] if method == "predict_proba" else scores


def _own_out_of_fold_auc(reference, current):
    """Fisher's linear discriminant in five folds: what logistic regression finds here, in a tenth of its time."""
    X = np.vstack([reference, current])
    s = np.repeat([0, 1], [len(reference), len(current)])
    scores = np.empty(len(s))
    fold = np.concatenate([np.arange(len(reference)), np.arange(len(current))]) % 5
    for k in range(5):
        train = fold != k
        old, new = X[train & (s == 0)], X[train & (s == 1)]
        spread = (np.cov(old.T) * len(old) + np.cov(new.T) * len(new)) / train.sum()
        direction = np.linalg.solve(spread, new.mean(axis=0) - old.mean(axis=0))
        scores[~train] = (X[~train] - (old.mean(axis=0) + new.mean(axis=0)) / 2) @ direction
    return rank_auc(s, scores)


@exercise(
    "2.3",
    "Out-of-fold AUC",
    answers=("adversarial_auc",),
    seconds=20,
    points=4,
    minutes=8,
    edition=2,
    objective="2.a",
    kind=Function("reference", "current", returns=Number(low=0, high=1)),
    hints=(
        "There are four steps. Stack the tables, label the rows 0 and 1, score each row with a model that has not seen it, and compute the AUC.",
        '`cross_val_predict(..., method="predict_proba")[:, 1]` gives the scores. Shuffle the rows before you split them into folds, because they are sorted by table.',
        "`folds = StratifiedKFold(5, shuffle=True, random_state=0)`, then `roc_auc_score(s, scores)`.",
    ),
)
def adversarial_auc(answer, rng, expect):
    """`adversarial_auc(reference, current)`: AUC of out-of-fold scores for "this row is from current"."""
    while True:  # until the noise is typical, so that other classifiers agree on it
        reference, current = (_normals(rng, n, 90) for n in NOISE_ROWS)
        if 0.45 < _own_out_of_fold_auc(reference, current) < 0.54:
            break
    nothing = answer(reference, current)
    with expect.defining():
        expect.within(nothing, 0.37, 0.63, "nothing differs, 90 columns")
    reference, current = (
        pd.concat([_few_values(rng, n, 0)[["parts"]], _pair_of_columns(rng, n, shift)], axis=1)
        for n, shift in ((311, 0), (293, 0.5))
    )
    together = answer(reference, current)
    with expect.defining():
        expect.within(together, 0.83, 1, "two of three columns tell the tables apart, but only together")
    # the first column tells them apart, and above the last two: each of the columns is needed somewhere
    while True:  # until the second column alone is of no use, nor are the rows without those that repeat
        reference, current = _few_values(rng, 1050, 0), _few_values(rng, 300, 0)
        current["calls"] = _few_values(rng, 300, 1.4)["calls"]
        alone = rank_auc(
            np.repeat([0, 1], [1050, 300]), np.concatenate([reference["parts"], current["parts"]])
        )
        if (
            abs(alone - 0.5) < 0.004
            and _own_out_of_fold_auc(reference.drop_duplicates(), current.drop_duplicates()) < 0.4
        ):
            break
    # sorted, so that pairs of rows with the same number mislead
    uneven = answer(*(table.sort_values("calls", ignore_index=True) for table in (reference, current)))
    with expect.defining():
        low = 0.63 if _is_of_labels(uneven) else 0.51
        expect.within(uneven, low, 0.76, "columns with few values, 3.5 times as many reference rows, sorted")
    while True:
        reference, current = _few_values(rng, 840, 0), _few_values(rng, 240, 0)
        if 0.46 < _own_out_of_fold_auc(reference, current) < 0.53:
            break
    # sorted in opposite orders: they differ if split without shuffling, or cut to the shorter length
    reference = reference.sort_values(["calls", "parts"], ascending=False, ignore_index=True)
    current = current.sort_values(["calls", "parts"], ignore_index=True)
    # a fold that takes every second, third, fourth, fifth or tenth row finds the opposite of the other folds
    reference, current = reference.assign(wave=_wave(rng, 840)), current.assign(wave=-_wave(rng, 240))
    with expect.defining():
        expect.within(
            answer(reference, current),
            0.38,
            0.62,
            "nothing differs, 3.5 times as many reference rows, both tables in a certain order",
        )
    reference = _normals(rng, 90, 20)
    twins = answer(reference, reference + 0.05 * rng.normal(size=reference.shape))
    # the best of the folds may reach 1 where a classifier can tell them apart
    part = _is_of_a_part(nothing, *NOISE_ROWS) and (together > 0.999 or _is_of_a_part(together, 311, 293))
    with expect.defining():
        expect.within(
            twins,
            0,
            0.49
            if twins == 0.5
            else 0.56,  # a few classifiers come close to 0.5, but hit it only if it was set
            "each row has a twin with nearly the same values in the other table, so the AUC is below 0.5",
        )
        expect.true(not part, "each row is scored", "these are AUCs of a part of the rows")


def _normals(rng, n, columns):
    return pd.DataFrame(rng.normal(size=(n, columns)), columns=[f"x{i}" for i in range(columns)])


def _pair_of_columns(rng, n, shift):
    """Two columns that go together; one moves up and one down, each by less than its spread hides.

    What they share has the same mean and spread in each table: naive Bayes, which weighs each column alone, finds the shift too.
    """
    common = rng.normal(size=n)
    common = (common - common.mean()) / common.std()
    own = 0.2 * rng.normal(size=(n, 2)) + [shift, -shift]
    return pd.DataFrame(common[:, None] + own, columns=["x0", "x1"])


def _few_values(rng, n, shift):
    """Two columns of whole numbers: a fully grown tree has graded scores too."""
    return pd.DataFrame(
        {
            "calls": rng.binomial(5, 0.35 + 0.12 * shift, n).astype(float),
            "parts": rng.binomial(3, 0.35 + 0.12 * shift, n).astype(float),
        }
    )


def _wave(rng, n):
    """A column that nearly repeats after 30 rows; over 30 rows, it has each value as often as its opposite."""
    patterns = [1, -1], [1, -1, 0], [1, -1, 1, -1, 0]
    return sum(np.resize(pattern, n) for pattern in patterns) + 0.6 * rng.normal(size=n)


def _is_of_labels(auc):
    """Whether this may be the AUC of predicted labels for 1,050 against 300 rows.

    It is (1 + tp / 300 - fp / 1050) / 2, a whole number of 4,200ths; so is a mean over folds that divide both tables evenly.
    """
    return np.isfinite(auc) and abs(4200 * auc - round(4200 * auc)) < 1e-6


def _is_of_a_part(auc, n, m):
    """Whether this is the AUC of a usual hold-out of n and m rows, and cannot be that of all of them.

    An AUC counts halves of pairs: times 2 n m it is a whole number.
    """

    def counts(a, b):
        pairs = 2 * auc * a * b
        if not np.isfinite(pairs):
            return False
        return abs(pairs - round(pairs)) < 1e-6

    if counts(n, m):
        return False
    totals = {
        round(share * (n + m)) + extra
        for share in (0.1, 0.2, 0.25, 0.3, 1 / 3, 0.4, 0.5)
        for extra in (-1, 0, 1)
    }
    return any(counts(a, total - a) for total in totals for a in range(1, total))


@adversarial_auc.acceptable
def _is_out_of_fold(answer, rng):
    """About one half where nothing differs, near the best AUC where a column moved, at any sizes."""
    nothing = [answer(_normals(rng, 120, 20), _normals(rng, 120, 20)) for _ in range(3)]
    moved = [
        (
            answer(_few_values(rng, n, 0), _few_values(rng, m, 1)),
            answer(_few_values(rng, n, 1), _few_values(rng, m, 0)),
        )
        for n, m in ((400, 400), (900, 260))
    ]
    pair = answer(_pair_of_columns(rng, 200, 0), _pair_of_columns(rng, 200, 0.5))
    ordered = answer(
        _few_values(rng, 600, 0).sort_values(["calls", "parts"]),
        _few_values(rng, 200, 0).sort_values(["calls", "parts"], ascending=False),
    )
    table = _normals(rng, 80, 20)
    inside = abs(np.mean(nothing) - 0.5) < 0.1 and all(0.57 < auc < 0.78 for both in moved for auc in both)
    inside = inside and abs(ordered - 0.5) < 0.16
    return inside and pair > 0.75 and _twins_below(answer, rng, table) and not _is_of_a_part(pair, 200, 200)


def _twins_below(answer, rng, table):
    return answer(table, table + 0.05 * rng.normal(size=table.shape)) < 0.49


def _adversarial_outputs(seen):
    """The five AUCs of the check, in its order."""
    nothing, together, uneven, uneven_nothing, twins = (float(output) for output in seen.outputs)
    return nothing, together, uneven, uneven_nothing, twins


def _looks_in_sample(seen):
    nothing, together, uneven, *_ = _adversarial_outputs(seen)
    rounded = all(output in (0, 1) for output in seen.outputs)
    # where columns have few values, no row can be known by heart: an AUC near 1 has another reason
    return (
        nothing > 0.65
        and together > 0.75
        and uneven < 0.9
        and not rounded
        and not _is_of_a_part(nothing, *NOISE_ROWS)
    )


def _looks_like_accuracy(seen):
    _, _, uneven, uneven_nothing, _ = _adversarial_outputs(seen)
    return 0.76 < uneven < 0.82 and 0.76 < uneven_nothing < 0.8


def _looks_like_labels(seen):
    nothing, together, uneven, uneven_nothing, _ = _adversarial_outputs(seen)
    level = 0.36 < nothing < 0.64 and together > 0.7 and 0.49 < uneven < 0.6 and 0.45 < uneven_nothing < 0.55
    return level and _is_of_labels(uneven)


def _looks_mended(seen):
    nothing, together, uneven, uneven_nothing, twins = _adversarial_outputs(seen)
    right = 0.5 <= nothing < 0.64 and together > 0.75 and 0.6 < uneven < 0.76 and 0.5 <= uneven_nothing < 0.62
    return right and twins >= 0.5


def _looks_like_the_first_column(seen):
    _, together, uneven, *_ = _adversarial_outputs(seen)
    return together < 0.3 and uneven < 0.4


def _looks_unshuffled(seen):
    nothing, together, _, uneven_nothing, _ = _adversarial_outputs(seen)
    return (
        nothing < 0.36
        and together > 0.3
        and 0.02 < uneven_nothing < 0.25
        and not _is_of_a_part(nothing, *NOISE_ROWS)
    )


@adversarial_auc.misconception(
    "you computed the accuracy, not the AUC. If 7 of 9 rows are from one table, a classifier that always names this table "
    "is 78% accurate and has learned nothing. Use `roc_auc_score`, which gives 0.5 for guessing, whatever the sizes.",
    when=_looks_like_accuracy,
)
def accuracy(reference, current):
    s, said = _out_of_fold(reference, current, method="predict")
    return float((s == said).mean())


@adversarial_auc.misconception(
    "you used the scores of the wrong class, that of the reference. `predict_proba` has one column for each class, in the order 0, 1. Take the "
    "second one, which says how likely a row is to be from the current table.",
    when=_looks_like_the_first_column,
)
def the_first_column(reference, current):
    s, scores = _out_of_fold(reference, current)
    return rank_auc(s, -scores)


@adversarial_auc.misconception(
    "you scored rows with a model that was trained on them. It has learned these rows by heart, so it finds a difference "
    "even where nothing differs. Score each row with a model that has not seen it.",
    when=_looks_in_sample,
)
def in_sample(reference, current):
    from sklearn.linear_model import LogisticRegression

    X = pd.concat([reference, current], ignore_index=True).to_numpy()
    s = np.repeat([0, 1], [len(reference), len(current)])
    return rank_auc(s, LogisticRegression().fit(X, s).decision_function(X))


@adversarial_auc.misconception(
    "you split the rows into folds without shuffling. They are sorted by table, so each fold holds mostly rows of one table. The model that "
    "scores this fold has seen too few rows of that table. Shuffle, and keep the share of each table the same in every fold.",
    when=_looks_unshuffled,
)
def unshuffled(reference, current):
    s, scores = _out_of_fold(reference, current, shuffle=False)
    return rank_auc(s, scores)


@adversarial_auc.misconception(
    "you ranked the rows by predicted labels, 0 or 1. This loses the order of rows with the same label and lowers the AUC. Use "
    "scores, such as the second column of `predict_proba`.",
    when=_looks_like_labels,
)
def hard_labels(reference, current):
    from sklearn.metrics import roc_auc_score

    return roc_auc_score(*_out_of_fold(reference, current, method="predict"))


@adversarial_auc.misconception(
    "you changed a value below 0.5. When rows have twins in the other table, their labels mislead the model, and such a value is the "
    "only sign of it. Return the AUC as it is.",
    when=_looks_mended,
)
def at_least_a_half(reference, current):
    return max(0.5, rank_auc(*_out_of_fold(reference, current)))


@adversarial_auc.alternative
def with_a_tree(reference, current):
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold
    from sklearn.tree import DecisionTreeClassifier

    X = np.concatenate([reference.to_numpy(), current.to_numpy()])
    s = np.array([0] * len(reference) + [1] * len(current))
    scores = {}
    for train, out in StratifiedKFold(5, shuffle=True, random_state=7).split(X, s):
        tree = DecisionTreeClassifier(random_state=0).fit(X[train], s[train])
        scores |= dict(zip(out.tolist(), tree.predict_proba(X[out])[:, 1], strict=True))
    return roc_auc_score(s, [scores[row] for row in range(len(s))])


@adversarial_auc.alternative
def mean_over_folds(reference, current):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    X = np.vstack([reference, current])
    s = np.r_[np.zeros(len(reference)), np.ones(len(current))]
    folds = StratifiedKFold(5, shuffle=True, random_state=3)
    return cross_val_score(LogisticRegression(), X, s, cv=folds, scoring="roc_auc").mean()


@adversarial_auc.alternative
def in_a_loop(reference, current):
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.metrics import roc_auc_score

    X = pd.concat([reference.assign(Set=0), current.assign(Set=1)]).sample(frac=1, random_state=1)
    s = X.pop("Set").to_numpy()
    scores = np.zeros(len(s))
    for fold in range(4):
        out = np.arange(len(s)) % 4 == fold
        model = LinearDiscriminantAnalysis().fit(X[~out], s[~out])
        scores[out] = model.predict_proba(X[out])[:, 1]
    return float(roc_auc_score(s, scores))


adversarial_auc.survives(
    "alternative mean_over_folds: `5` -> `6`",
    "Six folds are as good as five, but the bounds on drawn tables are narrow.",
)
