"""Exercises of lesson 02, adversarial validation: from the feature "Set" to a decision that is scored by its cost."""

import contextlib
import math

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from scipy.special import ndtr
from scipy.stats import norm, rankdata

from mlprod_helpers.lesson.contract import (
    Array,
    Choice,
    Frame,
    Function,
    Names,
    Number,
    Several,
    Text,
    exercise,
)

EDITION = 2


def _arguments(seen):
    """The arguments of each call that the check made."""
    return [call.given for call in seen.calls]


def _auc(s, scores):
    """ROC-AUC from ranks; rows with equal scores share their rank."""
    n_current = s.sum()
    pairs = n_current * (len(s) - n_current)
    return float((rankdata(scores)[s == 1].sum() - n_current * (n_current + 1) / 2) / pairs)


# ------------------------------------------------------------------ 2.1 the feature "Set"


def _requests(rng, n, start):
    """A few requests of the display with their air time, under an index that begins at `start`."""
    distance = rng.integers(90, 2600, n)
    return pd.DataFrame(
        {
            "distance": distance,
            "carrier": rng.choice(["AA", "B6", "DL", "UA"], n),
            "hour": rng.integers(5, 23, n),
            "air_time": (distance / 7.5 + rng.normal(20, 6, n)).round(),
        },
        index=np.arange(start, start + n),
    )


@exercise(
    "2.1",
    'The feature "Set"',
    answers=("make_set",),
    points=2,
    minutes=4,
    edition=2,
    objective="2.a",
    kind=Function(
        "reference", "current", "target", returns=Several(Frame(), Array(ndim=1), names=("X", "s"))
    ),
    hints=(
        "Two things come back: a table with the rows of both, and an array that says where each row came from.",
        "`pd.concat` puts tables below each other, `drop(columns=...)` removes a column, `np.repeat([0, 1], [n, m])` makes the labels.",
    ),
)
def make_set(answer, rng, expect):
    """`make_set(reference, current, target)`: the rows of both without the target, and 0 or 1 for each."""
    for told, target, labeled in (
        ("labels in both tables", "air_time", True),
        ("no labels yet in the current table", "air_time", False),
        ("rows that repeat, missing values, another target, columns in another order", "delay", False),
    ):
        n, m = (int(k) for k in rng.choice(np.arange(8, 30), size=2, replace=False))
        reference, current = _requests(rng, n, 0), _requests(rng, m, int(rng.integers(0, n)))
        if target == "delay":  # here the air time is an input
            for table in (reference, current):
                table.insert(0, "delay", rng.normal(8, 20, len(table)).round())
                table["air_time"] = table["air_time"].mask(rng.random(len(table)) < 0.2)
                table.loc[table.index[3], "carrier"] = None
                table.iloc[-2:] = table.iloc[:2].to_numpy()
            current = current[current.columns[::-1]]
        if not labeled:
            current = current.drop(columns=target)
        X, s = answer(reference, current, target)
        inputs = [name for name in reference.columns if name != target]
        with expect.defining():
            expect.true(
                set(X.columns) == set(inputs),
                f"`X` has the inputs as its columns ({told})",
                f"its columns are {', '.join(str(name) for name in X.columns)}"[:200],
            )
        with expect.defining() if target == "delay" else contextlib.nullcontext():
            expect.true(
                set(inputs) <= set(X.columns)
                and len(X) == n + m
                and _cells(X, inputs) == [*_cells(reference, inputs), *_cells(current, inputs)],
                f"`X` holds every row, reference first ({told})",
                f"it has {len(X)} rows, {n + m} came in"
                if len(X) != n + m
                else "values or their order differ",
            )
        with expect.defining() if labeled else contextlib.nullcontext():
            expect.equal(
                s.astype(float), np.repeat([0.0, 1.0], [n, m]), f"`s` tells where each row came from ({told})"
            )


def _cells(table, names):
    """The rows as tuples; None where a value is missing."""
    rows = table[names].astype(object)
    return [tuple(row) for row in rows.where(rows.notna(), None).to_numpy().tolist()]


@make_set.acceptable
def _keeps_every_row(answer, rng):
    """All rows of both tables in their order, all columns but the target, and a label for each."""
    for n, m, target, labeled in ((3, 2, "air_time", True), (1, 40, "hour", False), (60, 1, "y", False)):
        reference, current = _requests(rng, n, 5), _requests(rng, m, 5)
        for table in (reference, current):
            table["y"] = np.nan
            table.iloc[-1] = table.iloc[0]
        current = current[current.columns[::-1]]
        current = current if labeled else current.drop(columns=target)
        X, s = answer(reference.copy(), current.copy(), target)
        names = [name for name in reference.columns if name != target]
        if set(X.columns) != set(names) or _cells(X, names) != [
            *_cells(reference, names),
            *_cells(current, names),
        ]:
            return False
        if np.asarray(s, dtype=float).tolist() != [0.0] * n + [1.0] * m:
            return False
    return True


def _columns_added(seen):
    """Columns of X that neither table has, as (column, s)."""
    for (reference, current, _), (X, s) in zip(_arguments(seen), seen.outputs, strict=True):
        for name in X.columns:
            if name not in reference.columns and name not in current.columns:
                yield X[name], np.asarray(s)


def _is_the_set(column, s):
    return column.nunique() == 2 and abs(np.corrcoef(column.astype(float), s)[0, 1]) > 0.999


@make_set.misconception(
    "the set itself stayed in `X`. A classifier would read its answer off that column: AUC 1.0 for any two tables, also for two equal ones.",
    when=lambda seen: any(_is_the_set(column, s) for column, s in _columns_added(seen)),
)
def set_left_in(reference, current, target):
    both = pd.concat([reference.assign(Set=0), current.assign(Set=1)]).drop(columns=target)
    return both, both["Set"].to_numpy()


@make_set.misconception(
    "the old row numbers became a column. They tell which file a row was in, and nothing about the world: let the index go.",
    when=lambda seen: any(not _is_the_set(column, s) for column, s in _columns_added(seen)),
)
def index_kept(reference, current, target):
    both = pd.concat([reference, current]).drop(columns=target).reset_index()
    return both, np.repeat([0, 1], [len(reference), len(current)])


@make_set.misconception(
    "the target stayed in `X`. Fresh requests have no label yet; whether the label is there would already separate the tables.",
    when=lambda seen: any(
        target in X.columns and set(reference.columns) <= set(X.columns)
        for (reference, _, target), (X, _) in zip(_arguments(seen), seen.outputs, strict=True)
    ),
)
def target_kept(reference, current, target):
    return pd.concat([reference, current], ignore_index=True), np.repeat(
        [0, 1], [len(reference), len(current)]
    )


@make_set.misconception(
    "0 and 1 were swapped. The current rows are what we look for, so they are the positive class: 1.",
    when=lambda seen: (
        bool(seen.outputs)
        and all(
            np.array_equal(np.asarray(s, dtype=float), np.repeat([1.0, 0.0], [len(a), len(b)]))
            for (a, b, _), (_, s) in zip(_arguments(seen), seen.outputs, strict=True)
        )
    ),
)
def swapped(reference, current, target):
    X = pd.concat([reference, current], ignore_index=True).drop(columns=target)
    return X, np.repeat([1, 0], [len(reference), len(current)])


@make_set.alternative
def by_a_column(reference, current, target):
    both = pd.concat([reference.assign(Set=False), current.assign(Set=True)])
    s = both.pop("Set")
    return both[[name for name in both if name != target]], s


@make_set.alternative
def with_numpy(reference, current, target):
    names = [name for name in reference.columns if name != target]
    rows = {name: np.concatenate([reference[name], current[name]]) for name in names}
    return pd.DataFrame(rows), np.r_[np.zeros(len(reference)), np.ones(len(current))]


# ------------------------------------------------------------------ 2.2 predict seven AUCs

LOW, GUESS, MIDDLE, HIGH = "below 0.4", "about 0.5", "0.6 to 0.9", "above 0.95"
SEVEN = {
    "halves": GUESS,
    "copy": LOW,
    "number": HIGH,
    "slipped": HIGH,
    "weather": HIGH,
    "airports": MIDDLE,
    "digits": MIDDLE,
}


@exercise(
    "2.2",
    "Predict seven AUCs",
    answers=("guesses",),
    points=3,
    minutes=4,
    core=True,
    objective="2.b",
    kind=Choice(
        {
            "halves": "the flights of May, dealt at random into two tables",
            "copy": "one of these halves against an exact copy of itself",
            "number": "the two halves, with a running number: 1 to 1440 in one, 1441 to 2879 in the other",
            "slipped": "the flights of May against themselves, three columns slipped by one row",
            "weather": "January and February against July and August, with the hour's weather",
            "airports": "flights from LaGuardia against Kennedy: distance in hundreds of miles, and hour",
            "digits": "8 x 8 pictures of digits: first half of the file against the second half",
        },
        options=(LOW, GUESS, MIDDLE, HIGH),
    ),
    hints=(
        "Ask of each pair: given one row, what would let you say which table it came from?",
        "Below 0.5 means worse than guessing. When would a classifier learn the wrong table for a row that it has not seen?",
        "Who wrote the digits at the beginning of the file, and who those at its end?",
    ),
)
def seven(answer, rng, expect):
    """Seven pairs of tables, four ranges."""
    expect.cases(answer, SEVEN)


@seven.misconception(
    "a slipped join could not be seen, since every column keeps exactly its values. It is the pairs that are wrong: "
    "a carrier beside a city that it does not serve. A monitor that looks at one column at a time is blind to it."
)
def slip_unseen():
    return SEVEN | {"slipped": GUESS}


@seven.misconception(
    "the two halves of a file were random halves. Files have an order: here a few writers follow each other, and each has a hand of their own."
)
def file_order_is_random():
    return SEVEN | {"digits": GUESS}


@seven.misconception(
    "a copy gave an AUC of 0.5. Each row's twin is in the other table, and when the row is left out its twin is still there to learn "
    "from, with the other label. So every row is taken for the wrong table."
)
def copy_is_even():
    return SEVEN | {"copy": GUESS}


@seven.misconception(
    "winter and summer were hard to tell apart once the weather is there. Temperature alone tells January from July. Whether that matters "
    "for the model is another question, and a better one."
)
def seasons_overlap():
    return SEVEN | {"weather": MIDDLE}


@seven.misconception(
    "a running number said nothing because the world did not change. The classifier is not asked about the world, only about the table: "
    "any number above 1440 gives it away."
)
def number_is_harmless():
    return SEVEN | {"number": GUESS}


@seven.alternative
def from_groups():
    groups = {
        LOW: ["copy"],
        GUESS: ["halves"],
        MIDDLE: ["airports", "digits"],
        HIGH: ["number", "slipped", "weather"],
    }
    return {case: word for word, cases in groups.items() for case in cases}


@seven.alternative
def backwards():
    return dict(reversed(SEVEN.items()))


# ------------------------------------------------------------------ 2.3 out-of-fold AUC


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
    return _auc(s, scores)


@exercise(
    "2.3",
    "Out-of-fold AUC",
    answers=("adversarial_auc",),
    seconds=20,
    points=4,
    minutes=8,
    core=True,
    edition=2,
    objective="2.a",
    kind=Function("reference", "current", returns=Number(low=0, high=1)),
    hints=(
        "Four steps: put the tables below each other, label the rows 0 and 1, score each row by a model that has not seen it, compare scores with labels.",
        '`cross_val_predict(..., method="predict_proba")[:, 1]` gives the scores. Shuffle the folds: the rows come table by table.',
        "`folds = StratifiedKFold(5, shuffle=True, random_state=0)`, then `roc_auc_score(s, scores)`.",
    ),
)
def adversarial_auc(answer, rng, expect):
    """`adversarial_auc(reference, current)`: AUC of out-of-fold scores for "this row is from current"."""
    while True:  # an ordinary draw of nothing: other classifiers agree on it
        reference, current = _normals(rng, 113, 30), _normals(rng, 107, 30)
        if 0.45 < _own_out_of_fold_auc(reference, current) < 0.54:
            break
    nothing = answer(reference, current)
    with expect.defining():
        expect.within(nothing, 0.37, 0.63, "nothing differs, 30 columns")
    reference, current = (
        pd.concat([_few_values(rng, n, 0)[["parts"]], _pair_of_columns(rng, n, shift)], axis=1)
        for n, shift in ((157, 0), (149, 0.5))
    )
    together = answer(reference, current)
    with expect.defining():
        expect.within(together, 0.75, 1, "two of three columns tell the tables apart, but only together")
    reference, current = _few_values(rng, 1050, 0), _few_values(rng, 300, 1)
    uneven = answer(reference, current)
    with expect.defining():
        expect.within(uneven, 0.6, 0.76, "columns with few values, 3.5 times as many reference rows")
    while True:
        reference, current = _few_values(rng, 525, 0), _few_values(rng, 150, 0)
        if 0.46 < _own_out_of_fold_auc(reference, current) < 0.53:
            break
    # cut without shuffling, or at the length of the shorter table, they differ
    reference = reference.sort_values(["calls", "parts"], ascending=False, ignore_index=True)
    current = current.sort_values(["calls", "parts"], ignore_index=True)
    with expect.defining():
        expect.within(
            answer(reference, current),
            0.38,
            0.62,
            "nothing differs, 3.5 times as many reference rows, both tables sorted by their values",
        )
    reference = _normals(rng, 90, 20)
    copy = answer(reference, reference.copy())
    part = _is_of_a_part(nothing, 113, 107) and _is_of_a_part(together, 157, 149)
    with expect.defining():
        expect.within(
            copy,
            0,
            0.56,
            "a table against a copy of itself: no row is easy to place, so no AUC above one half",
        )
        expect.true(not part, "each row is scored once", "these are AUCs of a part of the rows")


def _normals(rng, n, columns):
    return pd.DataFrame(rng.normal(size=(n, columns)), columns=[f"x{i}" for i in range(columns)])


def _pair_of_columns(rng, n, shift):
    """Two columns that go together; one moves up and one down, each by less than its spread hides."""
    common = rng.normal(size=n)
    own = 0.25 * rng.normal(size=(n, 2)) + [shift, -shift]
    return pd.DataFrame(common[:, None] + own, columns=["x0", "x1"])


def _few_values(rng, n, shift):
    """Two columns of whole numbers: a fully grown tree has graded scores too."""
    return pd.DataFrame(
        {
            "calls": rng.binomial(5, 0.35 + 0.12 * shift, n).astype(float),
            "parts": rng.binomial(3, 0.35 + 0.12 * shift, n).astype(float),
        }
    )


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
        round(share * (n + m)) + extra for share in (0.1, 0.2, 0.25, 0.3, 1 / 3, 0.4, 0.5) for extra in (0, 1)
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
    inside = abs(np.mean(nothing) - 0.5) < 0.08 and all(0.59 < auc < 0.77 for both in moved for auc in both)
    inside = inside and abs(ordered - 0.5) < 0.14
    return inside and pair > 0.75 and answer(table, table.copy()) < 0.56 and not _is_of_a_part(pair, 200, 200)


def _adversarial_outputs(seen):
    """The five AUCs of the check, in its order."""
    nothing, together, uneven, uneven_nothing, copy = (float(output) for output in seen.outputs)
    return nothing, together, uneven, uneven_nothing, copy


def _looks_in_sample(seen):
    nothing, together, *_ = _adversarial_outputs(seen)
    return nothing > 0.64 and together > 0.75 and not _is_of_a_part(nothing, 113, 107)


def _looks_like_accuracy(seen):
    _, _, uneven, uneven_nothing, _ = _adversarial_outputs(seen)
    return 0.76 < uneven < 0.82 and 0.76 < uneven_nothing < 0.8


def _looks_like_labels(seen):
    nothing, together, uneven, uneven_nothing, _ = _adversarial_outputs(seen)
    return 0.36 < nothing < 0.64 and together > 0.7 and 0.49 < uneven < 0.6 and 0.45 < uneven_nothing < 0.55


def _looks_like_the_first_column(seen):
    _, together, uneven, *_ = _adversarial_outputs(seen)
    return together < 0.3 and uneven < 0.4


def _looks_unshuffled(seen):
    nothing, together, *_ = _adversarial_outputs(seen)
    return nothing < 0.36 and together > 0.3


@adversarial_auc.misconception(
    "accuracy was taken for AUC. When 7 of 9 rows are from one table, saying so for each row is 78 % accurate and has learned nothing. "
    "The baseline of the AUC is 0.5, whatever the sizes.",
    when=_looks_like_accuracy,
)
def accuracy(reference, current):
    s, said = _out_of_fold(reference, current, method="predict")
    return float((s == said).mean())


@adversarial_auc.misconception(
    "the scores pointed at the reference. `predict_proba` has one column a class, in the order 0, 1: take the one that says how likely a row is to be from the current table.",
    when=_looks_like_the_first_column,
)
def the_first_column(reference, current):
    s, scores = _out_of_fold(reference, current)
    return _auc(s, -scores)


@adversarial_auc.misconception(
    "rows were scored by a model that was trained on them. It found a difference where there is none: it had learned these very rows by heart. "
    "Score each row by a model that has not seen it. (If you do, see whether the label is among the columns of `X`.)",
    when=_looks_in_sample,
)
def in_sample(reference, current):
    from sklearn.linear_model import LogisticRegression

    X = pd.concat([reference, current], ignore_index=True).to_numpy()
    s = np.repeat([0, 1], [len(reference), len(current)])
    return _auc(s, LogisticRegression().fit(X, s).decision_function(X))


@adversarial_auc.misconception(
    "the folds were cut without shuffling. The rows come table by table, so a fold is one table, and the model was trained with too little of it: "
    'it says "the other one". Shuffle, and keep the shares of both tables in each fold.',
    when=_looks_unshuffled,
)
def unshuffled(reference, current):
    s, scores = _out_of_fold(reference, current, shuffle=False)
    return _auc(s, scores)


@adversarial_auc.misconception(
    "hard labels, 0 or 1, were ranked. They throw the order of the rows away, and with it a part of the area: the AUC needs scores, "
    "such as the second column of `predict_proba`.",
    when=_looks_like_labels,
)
def hard_labels(reference, current):
    from sklearn.metrics import roc_auc_score

    return roc_auc_score(*_out_of_fold(reference, current, method="predict"))


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
    scores = np.empty(len(s))
    for fold in range(4):
        out = np.arange(len(s)) % 4 == fold
        model = LinearDiscriminantAnalysis().fit(X[~out], s[~out])
        scores[out] = model.predict_proba(X[out])[:, 1]
    return float(roc_auc_score(s, scores))


# ------------------------------------------------------------------ 2.4 what is 0.8 in plain units?


@exercise(
    "2.4",
    "What is 0.8 in plain units?",
    answers=("shift_of",),
    points=2,
    minutes=4,
    edition=2,
    objective="2.b",
    kind=Function("auc", returns=Number()),
    hints=(
        "A row of each table is drawn, and their difference is looked at. What is the variance of a difference?",
        "AUC = Phi(d / sqrt(2)), where Phi is `norm.cdf`. Solve for d; `norm.ppf` undoes `norm.cdf`.",
    ),
)
def shift_of(answer, rng, expect):
    """`shift_of(auc)`: distance of two normal columns in standard deviations."""
    aucs = [*rng.choice(np.arange(0.55, 0.96, 0.01), size=4, replace=False).round(2), 0.501, 0.999]
    for auc in aucs:
        expect.close(answer(float(auc)), math.sqrt(2) * norm.ppf(auc), f"shift_of({auc:g})", rtol=1e-5)
    expect.close(answer(0.5), 0.0, "an AUC of 0.5 is no shift at all", atol=1e-6)
    with expect.defining():
        for low in (round(float(rng.uniform(0.1, 0.45)), 2), 0.499):
            expect.nan(answer(low), f"shift_of({low:g}): below 0.5 there is no distance, so NaN")


@shift_of.inputs
def _aucs(rng):
    for auc in (0.8, 0.5, 0.49, 0.0, 0.501, 0.56, 0.999, *rng.random(10)):
        yield (float(auc),)


@shift_of.misconception(
    "the spread of one row was used. Two rows are compared, and their difference has variance 2, not 1."
)
def without_root_two(auc):
    return float(norm.ppf(auc)) if auc >= 0.5 else math.nan


@shift_of.misconception(
    "the AUC was stretched to run from 0 to 1. That is the Gini coefficient, the same number in other clothes: it is not a distance, and it ends at 1."
)
def gini(auc):
    return 2 * auc - 1 if auc >= 0.5 else math.nan


@shift_of.misconception(
    "an AUC below 0.5 were a shift in the other direction. The classifier may choose its direction freely, so there is no less than no difference: "
    "below 0.5, suspect repeated rows or the folds."
)
def negative_shift(auc):
    return math.sqrt(2) * float(norm.ppf(auc))


@shift_of.misconception(
    "AUC = Phi(d * sqrt(2)) was solved. The difference of two rows spreads wider than one row, so it hides the shift: d is divided by sqrt(2) inside Phi."
)
def root_two_upside_down(auc):
    return float(norm.ppf(auc)) / math.sqrt(2) if auc >= 0.5 else math.nan


@shift_of.alternative
def by_bisection(auc):
    if auc < 0.5:
        return float("nan")
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if ndtr(middle / 2**0.5) < auc else (low, middle)
    return low


@shift_of.alternative
def with_another_sd(auc):
    return norm(scale=np.sqrt(2)).ppf(auc) if auc >= 0.5 else np.nan


# ------------------------------------------------------------------ 2.5 a p-value for the whole procedure


def _quick_scores(X, s):
    """The lesson's `quick_scores`: fits on all rows and scores the same rows."""
    return X @ (X[s == 1].mean(axis=0) - X[s == 0].mean(axis=0))


def _whole_procedure(X, s, n_permutations, rng):
    """AUC of the data, and the AUC after each shuffle of the labels; the whole procedure for all shuffles at once."""
    labels = np.vstack([s, rng.permuted(np.tile(s, (n_permutations, 1)), axis=1)])
    n_current, n_reference = s.sum(), (1 - s).sum()
    scores = (labels @ X / n_current - (1 - labels) @ X / n_reference) @ X.T
    ranks = 1 + scores.argsort(axis=1).argsort(axis=1)
    aucs = ((ranks * labels).sum(axis=1) - n_current * (n_current + 1) / 2) / (n_current * n_reference)
    return aucs[0], aucs[1:]


@exercise(
    "2.5",
    "A p-value that holds",
    answers=("pvalue",),
    seconds=20,
    points=3,
    minutes=8,
    edition=2,
    objective="2.c",
    kind=Function("X", "s", "n_permutations", "seed", returns=Number(low=0, high=1)),
    hints=(
        "If nothing has changed, the labels 0 and 1 are arbitrary. So shuffle `s`, and do again everything that was done with the true `s`.",
        "The whole procedure is two lines: `scores = quick_scores(X, s)`, `auc_of(s, scores)`. Both need the shuffled labels.",
        "Count how often chance gave at least the observed AUC. The observed table is one of the `n_permutations + 1` arrangements: (1 + count) / (1 + n_permutations).",
    ),
)
def pvalue(answer, rng, expect):
    """`pvalue(X, s, n_permutations, seed)`: permutation test of the whole procedure."""
    n_permutations = int(rng.integers(55, 65))
    sizes = ((20, 20), (26, 14), (12, 30))
    for number, (n, m) in enumerate(sizes, 1):
        s = rng.permutation(np.repeat([0, 1], [n, m]))
        while True:  # until it is an ordinary draw of nothing
            X = rng.normal(size=(n + m, 10))
            if number == 3:  # nearly the same column ten times: less to learn by heart
                X = 0.1 * X + rng.normal(size=(n + m, 1))
            observed, null = _whole_procedure(X, s, 300, rng)
            want = (1 + (null >= observed).sum()) / 301
            if 0.2 < want < (0.4 if number == 3 else 0.8):
                break
        seeds = [int(seed) for seed in rng.choice(10_000, 5 if number == 2 else 1, replace=False)]
        got = [answer(X, s, n_permutations, seed) for seed in seeds]
        slack = 4.5 * math.sqrt(want * (1 - want) * (1 / n_permutations / len(seeds) + 1 / 300)) + 0.01
        with expect.defining():
            expect.within(
                np.mean(got),
                want - slack,
                want + slack,
                f"nothing differs, {n} against {m} rows{', columns that go together' if number == 3 else ''}: chance alone does as much",
            )
        if number == 1:
            expect.true(
                answer(X, s, n_permutations, seeds[0]) == got[0],
                "the same seed gives the same p-value",
                "a second call gives another one",
            )
        if number == 2:
            expect.true(len(set(got)) > 1, "another seed gives other shuffles", "five seeds give one p-value")
    # six rows, one column: one shuffle in three gives just the observed AUC, 1, and counts
    order = rng.permutation(6)
    X = (np.array([0.0, 1, 2, 7, 8, 9]) + rng.uniform(0, 0.5, 6))[order, None]
    got = answer(X, np.repeat([0, 1], [5, 1])[order], 400, int(rng.integers(1000)))
    with expect.defining():
        expect.within(got, 0.23, 0.44, "5 against 1 row, AUC 1: some shuffles do exactly as well")
    s = np.repeat([0, 1], 20)
    X = rng.normal(size=(40, 10))
    X[s == 1] += 1.5
    for few in (n_permutations, 19):
        got = answer(X, s, few, int(rng.integers(1000)))
        with expect.defining():
            expect.close(got, 1 / (few + 1), f"everything differs: no shuffle of {few} comes near")


@pvalue.acceptable
def _is_a_permutation_p(answer, rng):
    """Close to many shuffles of the whole procedure, in steps of 1/(n + 1), never 0, and fixed by its seed."""
    for n, m, columns, shift in ((20, 20, 10, 0), (30, 10, 4, 0), (15, 25, 6, 0.3), (20, 20, 10, 2)):
        s = rng.permutation(np.repeat([0, 1], [n, m]))
        X = rng.normal(size=(n + m, columns)) + shift * s[:, None]
        if columns == 6:
            X[:, 1:] = X[:, :1] + 0.1 * X[:, 1:]
        observed, null = _whole_procedure(X, s, 2_000, rng)
        want = (1 + (null >= observed).sum()) / 2_001
        got = [answer(X.copy(), s.copy(), 60, seed) for seed in (1, 2, 3, 4, 4)]
        if got[3] != got[4] or (0.2 < want < 0.8 and len(set(got)) == 1):
            return False
        if not all(p > 0 and math.isclose(p * 61, round(p * 61), abs_tol=1e-6) for p in got):
            return False
        if abs(np.mean(got[:4]) - want) > 4 * math.sqrt(want * (1 - want) / 240) + 0.015:
            return False
    return True


def _pvalues_seen(seen):
    """p-values where nothing differs, and where everything does."""
    outputs = [float(output) for output in seen.outputs]
    return outputs[:-3], outputs[-1]


def _shuffles_labels_alone(seen):
    """Whether the p-values are those of scores that stay while the labels are shuffled."""
    for call in seen.calls[:-2]:
        X, s, n, _ = call.given
        scores, rng = _quick_scores(X, s), np.random.default_rng(0)
        null = np.array([_auc(rng.permutation(s), scores) for _ in range(200)])
        want = (1 + (null >= _auc(s, scores)).sum()) / 201
        if abs(call.output - want) > 4 * math.sqrt(want * (1 - want) * (1 / n + 1 / 200)) + 0.02:
            return False
    return _varies(seen)


def _varies(seen):
    """Whether calls that differ in nothing but the seed gave different p-values."""
    return (
        len({call.output for call in seen.calls if len(call.given[1]) == 40 and call.given[1].sum() == 14})
        > 1
    )


@pvalue.misconception(
    "only the labels were shuffled, and the scores stayed those of the true labels. Then the null does not know how well your procedure learns rows by heart. "
    "Fit again after each shuffle: the whole procedure, from the beginning.",
    when=_shuffles_labels_alone,
)
def scores_stay(X, s, n_permutations, seed):
    rng = np.random.default_rng(seed)
    scores = _quick_scores(X, s)
    null = np.array([_auc(rng.permutation(s), scores) for _ in range(n_permutations)])
    return (1 + (null >= _auc(s, scores)).sum()) / (1 + n_permutations)


@pvalue.misconception(
    "the shuffles alone were counted. A p-value of 0 would claim certainty from a few shuffles: the table that was observed is itself one of the possible "
    "arrangements, so it counts above and below.",
    when=lambda seen: _pvalues_seen(seen)[1] == 0 and min(_pvalues_seen(seen)[0]) > 0,
)
def without_the_observed(X, s, n_permutations, seed):
    observed, null = _whole_procedure(X, s, n_permutations, np.random.default_rng(seed))
    return (null >= observed).mean()


@pvalue.misconception(
    "the wrong tail was counted. Two tables that differ have a large AUC; ask how often chance does at least as well.",
    when=lambda seen: _pvalues_seen(seen)[1] > 0.9 and max(_pvalues_seen(seen)[0]) < 0.9 and _varies(seen),
)
def the_wrong_tail(X, s, n_permutations, seed):
    observed, null = _whole_procedure(X, s, n_permutations, np.random.default_rng(seed))
    return (1 + (null <= observed).sum()) / (1 + n_permutations)


@pvalue.alternative
def shuffling_rows(X, s, n_permutations, seed):
    rng = np.random.default_rng([seed, 7])
    at_least = 1
    for _ in range(n_permutations):
        rows = X[rng.permutation(len(X))]  # moving the rows under the labels is the same thing
        at_least += _auc(s, _quick_scores(rows, s)) >= _auc(s, _quick_scores(X, s))
    return at_least / (n_permutations + 1)


@pvalue.alternative
def by_ranks(X, s, n_permutations, seed):
    observed, null = _whole_procedure(X, s, n_permutations, np.random.default_rng(seed + 1))
    everything = np.sort(np.append(null, observed))
    return float(1 - np.searchsorted(everything, observed) / len(everything))


# ------------------------------------------------------------------ 2.6 AUC 1.0: panic?


def _logged(rng, n, kinds, late):
    """One table of the log: each column of one of the kinds below; `late` for the current table."""
    make = {
        "counter": lambda: np.arange(n) + 70_000 + 9_000 * late,
        "clock": lambda: (
            pd.Timestamp("2013-07-01" if late else "2013-02-01").as_unit("us")
            + pd.to_timedelta(rng.permutation(n) * 13, unit="min").as_unit("us")
        ),
        "pair": lambda: rng.choice(
            np.arange(229, 2400, 97) + late, n
        ),  # one value an airport pair, as mileage is
        "warmer": lambda: rng.normal(41 + 26 * late, 9, n).round().astype(int),
        "busier": lambda: rng.poisson(20 + 13 * late, n),
        "same": lambda: rng.integers(5, 23, n),
        "wait": lambda: rng.exponential(22, n).round().astype(int),
        "new": lambda: rng.choice(
            ["AA", "B6", "DL", "UA", "VX"], n, p=[0.3, 0.3, 0.2, 0.2 - 0.15 * late, 0.15 * late]
        ),
        # of 400 current rows 19 have a value of before: just fewer than 5 %; or 20: just not
        "few back": lambda: _coming_back(rng, n, late, 19 if n == 400 else round(0.043 * n)),
        "some back": lambda: _coming_back(rng, n, late, 20 if n == 400 else round(0.06 * n)),
        # nearly all have the new version now; all of before is still seen
        "newer": lambda: rng.permutation(np.r_[np.full(n - 12 * late, 7 + late), np.full(12 * late, 7)]),
        # one of many values is left: hardly a row of before has it, every row of now
        "narrow": lambda: np.full(n, 31) if late else rng.permutation(np.r_[31, np.arange(n - 1) % 97 + 40]),
        # most values are new, most rows are not
        "common": lambda: rng.permutation(
            np.r_[np.zeros(n // 2, int), np.arange(n - n // 2) + 10 + 5_000 * late]
        ),
    }
    return pd.DataFrame({name: make[kind]() for name, kind in kinds.items()})


def _coming_back(rng, n, late, rows):
    """A code that is new in all but `rows` of the current rows; at 5 %, each row of either table counts.

    The first and the last reference row have values of their own, which come back once; of 400 current rows the first
    and the last come back. Elsewhere it is the last rows that do: a sample from one end misleads.
    """
    if not late:
        return np.r_[9_000, 10_000 + np.arange(n - 2) % 60, 9_001]
    new, back = rng.integers(50_000, 50_060, n - rows), rng.integers(10_000, 10_009, rows)
    back[1:3] = 9_000, 9_001
    if n != 400:
        return np.r_[new, back]
    return np.r_[back[0], rng.permutation(np.r_[new, back[1:-1]]), back[-1]]


_NAMES = {
    "counter": ("request_id", "ticket", "row"),
    "clock": ("created_at", "time", "logged"),
    "pair": ("distance", "route_miles", "gate_code"),
    "warmer": ("temp", "apron_temp", "dewp"),
    "busier": ("queue_time", "planes_ahead"),
    "same": ("hour", "paid_bags"),
    "wait": ("idle_minutes", "taxi_out"),
    "new": ("carrier", "airline"),
    "few back": ("crew_code", "pairing"),
    "some back": ("tail_number", "plane"),
    "newer": ("app_version", "schema"),
    "narrow": ("runway", "desk"),
    "common": ("remark", "voucher"),
}
_NAMING = {"counter", "clock", "pair", "few back", "newer"}


def _recurring(reference, current):
    """Share of the current rows, per column, whose value the reference has too."""
    return pd.Series({name: current[name].isin(reference[name]).mean() for name in reference.columns})


@exercise(
    "2.6",
    "AUC 1.0: panic?",
    answers=("names_its_table",),
    seconds=15,
    points=3,
    minutes=6,
    edition=2,
    objective="2.d",
    kind=Function("reference", "current", returns=Names()),
    hints=(
        "What have a counter, a time stamp and a mileage in common, that a temperature has not, even when the summer is much warmer?",
        "Take one column. Of the rows in `current`, what share has a value that occurs in `reference` at all?",
        "`current[name].isin(reference[name]).mean()`: close to 0 for a name of the table, far above for a measurement that moved.",
    ),
)
def names_its_table(answer, rng, expect):
    """`names_its_table(reference, current)`: columns whose values hardly ever occur in both tables."""
    honest = ["warmer", "busier", "same", "wait", "new"]
    drawn = (
        ("a counter and a mileage", ["counter", "pair"], [], 0),
        ("a counter, a clock and a mileage", ["counter", "clock", "pair"], [], 0),
        ("none", [], [], 0),
        (
            "one whose values come back in 19 of 400 rows, and another one in 20",
            ["few back"],
            ["some back"],
            400,
        ),
        ("one whose values come back in the last 30 of 700 rows", ["few back"], [], 700),
        ("none, and one whose values come back in the last 12 of 200 rows", [], ["some back"], 200),
        (
            "one that is nearly always new; in another one half of the rows share one value",
            ["newer"],
            ["common"],
            400,
        ),
        ("none, and one that has a single value now", [], ["narrow"], 400),
    )
    for what, naming, more, rows in drawn:
        chosen = list(rng.permutation([*honest, *naming, *more]))
        if what == "a counter and a mileage":
            chosen.sort(key=["counter", *honest, "pair"].index)  # at both ends
        kinds = {str(rng.choice(_NAMES[kind])): str(kind) for kind in chosen}
        n, m = int(rng.integers(250, 390)), rows or int(rng.integers(250, 390))
        reference, current = _logged(rng, n, kinds, 0), _logged(rng, m, kinds, 1)
        want = [name for name, kind in kinds.items() if kind in _NAMING]
        with expect.defining() if naming or more else contextlib.nullcontext():
            expect.same_set(
                answer(reference, current), want, f"a log with columns that name their table: {what}"
            )


@names_its_table.inputs
def _tables_with_names(rng):
    yield (
        pd.DataFrame({"distance": [184, 184, 1010], "hour": [6, 7, 8], "request": [1, 2, 3]}),
        pd.DataFrame({"distance": [187, 1013], "hour": [6, 9], "request": [4, 5]}),
    )
    for back in (0, 1, 4, 5, 6, 60, 100):  # of 100 rows
        current = pd.DataFrame(
            {"a": [1] * back + [2] * (100 - back), "b": ["x"] * (100 - back) + ["y"] * back}
        )
        yield pd.DataFrame({"a": [1, 1, 3], "b": ["x", "z", "z"]}), current
        yield pd.DataFrame({"a": [1] * 50 + list(range(10, 60)), "b": ["y"] * 100}), current
    times = pd.Series(pd.date_range("2013-02-01", periods=50, freq="h"))
    yield (
        pd.DataFrame({"t": times, "c": range(50)}),
        pd.DataFrame({"t": times + pd.Timedelta("1h"), "c": range(50)}),
    )
    yield pd.DataFrame({"t": times}), pd.DataFrame({"t": times + pd.Timedelta("300D")})
    yield pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [2, 2, 2, 2, 5]})


def _chosen_wrongly(seen):
    """Of each call: honest columns that were chosen, naming columns that were not, and the tables."""
    for (reference, current), output in zip(_arguments(seen), seen.outputs, strict=True):
        recurring = _recurring(reference, current)
        naming = set(recurring.index[recurring < 0.05])
        yield set(output) - naming, naming - set(output), reference, current


def _moved_columns(reference, current):
    """Measurements whose mean moved by more than one standard deviation."""
    numbers = reference.select_dtypes("number").columns
    moved = (current[numbers].mean() - reference[numbers].mean()).abs() > reference[numbers].std()
    recurring = _recurring(reference, current)
    return {name for name in numbers if moved[name] and recurring[name] >= 0.05}


def _chose_what_moved(seen):
    """Whether every measurement that moved was chosen, and hardly another one."""
    found = [(_moved_columns(a, b), extra, left) for extra, left, a, b in _chosen_wrongly(seen)]
    return all(moved and moved <= extra and len(extra - moved) <= 2 for moved, extra, _ in found)


@names_its_table.misconception(
    "every column that differs was left out. The temperature really changed: take it away and you have silenced the smoke detector because it rang.",
    when=_chose_what_moved,
)
def all_that_drifted(reference, current):
    found = []
    for name in reference.columns:
        values_of = [
            pd.to_numeric(frame[name]) if frame[name].dtype.kind != "O" else None
            for frame in (reference, current)
        ]
        if str(reference[name].dtype) in ("str", "object", "category"):
            continue
        a, b = (np.asarray(column, dtype=float) for column in values_of)
        if abs(a.mean() - b.mean()) > a.std() or not set(a) & set(b):
            found.append(name)
    return found


@names_its_table.misconception(
    "only columns without any repeated value were taken for names. A mileage repeats all the time, once a flight, and yet belongs to one pair of airports: "
    "it is an id in disguise. Ask which values occur in both tables.",
)
def only_unique(reference, current):
    return [name for name in reference.columns if reference[name].is_unique and current[name].is_unique]


@names_its_table.misconception(
    "columns were chosen by the sound of their names. In these logs `ticket` counts, and `idle_minutes` and `queue_time` measure: look at the values.",
)
def by_the_sound(reference, current):
    words = ("id", "time", "row", "hour", "distance")
    return [name for name in reference.columns if any(word in name for word in words)]


@names_its_table.alternative
def with_sets(reference, current):
    found = []
    for name in reference.columns:
        common = set(reference[name]) & set(current[name])
        if sum(value in common for value in current[name]) / len(current) < 0.05:
            found.append(name)
    return found


@names_its_table.alternative
def with_counts(reference, current):
    found = []
    for name in current:
        counts = current[name].value_counts()
        shared = counts[counts.index.isin(reference[name].unique())].sum()
        if 20 * shared < len(current):
            found.append(name)
    return found


# ------------------------------------------------------------------ 2.7 the foreign rows


def _flown(rng, n, far=0.0):
    """Distance, air time, fuel and hour of n flights: the first three go together. `far` moves the distances."""
    distance = rng.uniform(200, 2400, n) + far
    air_time = distance / 7.5 + 18 + rng.normal(0, 5, n)
    fuel = 0.02 * air_time + 1.1 + rng.normal(0, 0.15, n)
    return pd.DataFrame(
        {"distance": distance, "air_time": air_time, "fuel": fuel, "hour": rng.integers(5, 23, n)}
    )


def _slipped(rng, n):
    """Flights whose air time and fuel are those of other flights; each value on its own is an ordinary one."""
    rows = _flown(rng, 6 * n)
    others = rng.permutation(6 * n)
    rows[["air_time", "fuel"]] = rows[["air_time", "fuel"]].to_numpy()[others]
    really = (
        rows["air_time"] - rows["distance"] / 7.5 - 18
    ).abs() > 60  # by luck some pairs fit all the same
    return rows[really].head(n)


@exercise(
    "2.7",
    "The foreign rows",
    answers=("foreign",),
    points=4,
    minutes=9,
    edition=2,
    objective="2.d",
    kind=Function("reference", "current", returns=Array(ndim=1, dtype="bool")),
    hints=(
        "Learn from `reference` alone what is normal, as one number a row: how far is this row from the others?",
        "Mahalanobis distance: `z = X - center`, then `(z @ np.linalg.inv(covariance) * z).sum(axis=1)`. It knows which values go together.",
        "The limit is the 99 % quantile of that number over the reference rows: about 1 % of ordinary rows lie above it, whatever is in `current`.",
    ),
)
def foreign(answer, rng, expect):
    """`foreign(reference, current)`: True for the rows of current that are unlike the reference."""
    reference = _flown(rng, 1200)

    def mixture(n_own, n_slipped, n_far):
        rows = pd.concat([_flown(rng, n_own), _slipped(rng, n_slipped), _flown(rng, n_far, far=4000)])
        what = np.repeat(["own", "slipped", "far"], [n_own, n_slipped, n_far])
        order = rng.permutation(len(rows))
        return rows.iloc[order].reset_index(drop=True), what[order]

    def flagged(rows):
        mask = answer(reference, rows)
        return mask if len(mask) == len(rows) else np.zeros(len(rows), dtype=bool)

    mask = answer(reference, _flown(rng, 7))
    expect.equal(len(mask), 7, "one True or False for each row of current", show=True)
    clean, _ = mixture(1000, 0, 0)
    with expect.defining():
        expect.within(
            flagged(clean).mean(), 0, 0.04, "nothing is foreign: at most 4 % are flagged", show=True
        )
        for share, sizes in (("one row in ten", (900, 50, 50)), ("one row in two", (600, 300, 300))):
            rows, what = mixture(*sizes)
            mask = flagged(rows)
            for kind, low, high, told in (
                ("own", 0, 0.04, "at most 4 % of the others are flagged"),
                ("far", 0.9, 1, "at least 90 % of the very long flights are found"),
                ("slipped", 0.8, 1, "at least 80 % of the slipped rows are found"),
            ):
                found = mask[what == kind].mean()
                said = f"{share} is foreign: {told}"
                expect.within(found, low, high, said, show=True)


@foreign.acceptable
def _finds_the_foreign(answer, rng):
    """The statement's three shares, on tables of other sizes than the check's."""
    for n, n_slipped, n_far in ((400, 0, 0), (800, 60, 60), (500, 250, 250)):
        reference, own = _flown(rng, 1500), _flown(rng, n)
        slipped, far = _slipped(rng, n_slipped), _flown(rng, n_far, far=4000)
        mask = np.asarray(answer(reference, pd.concat([own, slipped, far], ignore_index=True)))
        if mask.shape != (n + n_slipped + n_far,) or mask.dtype != bool or mask[:n].mean() > 0.04:
            return False
        parts = np.split(mask[n:], [n_slipped])
        if n_far and not (parts[0].mean() >= 0.8 and parts[1].mean() >= 0.9):
            return False
    return True


def _foreign_shares(seen):
    """What the check measured, by the words it used."""
    return {what: float(got) for what, _, got, _ in seen.verdicts if not what.startswith("one True or")}


def _found(seen, share, which):
    return next(
        got for what, got in _foreign_shares(seen).items() if what.startswith(share) and which in what
    )


def _false_flags(seen):
    return next(got for what, got in _foreign_shares(seen).items() if what.startswith("nothing"))


def _flags_each_tenth(seen):
    shares = [np.mean(mask) for mask in seen.outputs[1:]]
    return max(shares) - min(shares) < 0.03 and min(shares) > 0.02 and max(shares) < 0.8


def _is_inverted(seen):
    lost = [_found(seen, "one row in two", kind) < 0.5 for kind in ("slipped", "very long")]
    return _false_flags(seen) > 0.9 and all(lost)


def _learned_from_current(seen):
    """Finds slipped rows while they are few, loses them when they are many."""
    few, many = (_found(seen, share, "slipped") for share in ("one row in ten", "one row in two"))
    return (
        _false_flags(seen) <= 0.04 and few - many > 0.25 and _found(seen, "one row in two", "very long") < 0.3
    )


def _looks_at_columns(seen):
    return (
        _false_flags(seen) <= 0.04
        and _found(seen, "one row in two", "very long") >= 0.7
        and _found(seen, "one row in two", "slipped") < 0.8
    )


def _distances(fitted, rows):
    z = (rows - fitted.mean()).to_numpy()
    return (z @ np.linalg.inv(np.cov(fitted.to_numpy().T)) * z).sum(axis=1)


@foreign.misconception(
    "a fixed share of the rows were flagged, foreign or not. When nothing is foreign you still send every tenth flight to a person. Set the limit by what the "
    "reference rows reach among themselves.",
    when=_flags_each_tenth,
)
def each_tenth(reference, current):
    distance = _distances(reference, current)
    return distance > np.quantile(distance, 0.9)


@foreign.misconception(
    "True and False were swapped: nearly all ordinary rows are flagged. scikit-learn's novelty detectors say 1 for an ordinary row and -1 for a strange one.",
    when=_is_inverted,
)
def the_ordinary_ones(reference, current):
    return _distances(reference, current) <= np.quantile(_distances(reference, reference), 0.99)


@foreign.misconception(
    "the current rows helped to define what is normal. Once the foreign rows are many, they are the norm. Learn normal from the reference alone.",
    when=_learned_from_current,
)
def fitted_on_current(reference, current):
    distance = _distances(current, current)
    return distance > 18.5


@foreign.misconception(
    "the columns were not looked at together. In a slipped row every value is ordinary, and the combination is not: a short flight with the air time of a long one. "
    "Use a distance that knows which values go together.",
    when=_looks_at_columns,
)
def column_by_column(reference, current):
    z = (current - reference.mean()) / reference.std()
    return (z.abs() > 3).any(axis=1).to_numpy()


@foreign.alternative
def far_from_neighbors(reference, current):
    # whitened, then the distance to the fifth nearest reference row
    center = reference.mean().to_numpy()
    whiten = np.linalg.inv(np.linalg.cholesky(np.cov(reference.to_numpy().T))).T
    known, new = (reference.to_numpy() - center) @ whiten, (current.to_numpy() - center) @ whiten
    tree = cKDTree(known)
    limit = np.quantile(tree.query(known, k=6)[0][:, 5], 0.99)
    return tree.query(new, k=5)[0][:, 4] > limit


@foreign.alternative
def with_a_covariance_model(reference, current):
    from sklearn.covariance import EmpiricalCovariance

    model = EmpiricalCovariance().fit(reference.to_numpy())
    limit = np.quantile(model.mahalanobis(reference.to_numpy()), 0.99)
    return list(model.mahalanobis(current.to_numpy()) > limit)


@foreign.alternative
def residuals_and_range(reference, current):
    def parts(rows):
        return np.column_stack(
            [
                (rows["air_time"] - rows["distance"] / 7.5).to_numpy(),
                (rows["fuel"] - 0.02 * rows["air_time"]).to_numpy(),
                rows["distance"].to_numpy(),
            ]
        )

    known = parts(reference)
    low, high = known.min(axis=0), known.max(axis=0)
    new = parts(current)
    return ((new < low) | (new > high)).any(axis=1)


# ------------------------------------------------------------------ 2.8 act or leave it?

ACTIONS = ("ignore", "repair", "reweight", "retrain", "gate")
EFFORT = {
    "ignore": 0.0,
    "repair": 1.5,
    "reweight": 0.2,
    "retrain": 1.5,
    "gate": 1.0,
}  # minutes of error that it is worth
BY_HAND = 20.0  # a flight that a person answers costs as much as 20 minutes of error
N_ROWS = 400
SLACK = 0.1  # a share of the best action's cost, for luck and for an action that does no harm
SITUATIONS = {
    "quiet": "nothing changed",
    "number": "nothing changed, but a column names its table",
    "nearby": "the inputs moved a little",
    "far": "the inputs moved far, no labels yet",
    "far_labeled": "the inputs moved far, labels are there",
    "answers": "the answers changed, the inputs did not",
    "slipped": "a join slipped",
    "slipped_labeled": "a join slipped, labels are there",
}
NOISY = ("quiet", "number", "nearby", "far")  # drawn more often: in these luck could decide


def _air_time(distance, wind, by_distance=1.0, detour=0.0):
    """The law of the small world, minutes: it curves, so a line through it is right only where it was fitted."""
    return 150 + 60 * by_distance * distance + 9 * distance**2 - 40 * wind + detour


def _inputs(rng, n, shift):
    """Distance and head wind, standardized; they go together."""
    distance = rng.normal(shift, 1, n)
    return np.column_stack([distance, 0.85 * distance + math.sqrt(1 - 0.85**2) * rng.normal(size=n)])


def _line(rows, y, weight=None):
    """Least squares with a constant; returns a function of rows."""
    design = np.column_stack([np.ones(len(rows)), rows])
    root = np.ones(len(rows)) if weight is None else np.sqrt(weight)
    coefficients = np.linalg.lstsq(design * root[:, None], y * root, rcond=None)[0]
    return lambda new: np.column_stack([np.ones(len(new)), new]) @ coefficients


def _log_ratio(reference, current):
    """Two normal distributions fitted; returns log density of current over that of reference, a function of rows."""
    fits = [
        (rows.mean(axis=0), np.linalg.inv(np.cov(rows.T)), np.linalg.slogdet(np.cov(rows.T))[1])
        for rows in (reference, current)
    ]

    def ratio(new):
        (m0, p0, d0), (m1, p1, d1) = fits
        return 0.5 * (
            ((new - m0) @ p0 * (new - m0)).sum(axis=1) - ((new - m1) @ p1 * (new - m1)).sum(axis=1) + d0 - d1
        )

    return ratio


def _case(rng, kind):
    """One situation: (report, cost of each action). The world is drawn, the report measured, the costs counted."""
    shift = {
        "nearby": rng.uniform(0.7, 0.95),
        "far": rng.uniform(4.0, 4.8),
        "far_labeled": rng.uniform(4.0, 4.8),
    }.get(kind, 0.0)
    law = {"by_distance": rng.uniform(1.3, 1.5), "detour": rng.uniform(15, 25)} if kind == "answers" else {}
    labels = (
        int(rng.integers(150, 300))
        if kind in ("far_labeled", "answers", "slipped_labeled")
        else int(rng.integers(0, 5))
    )
    if kind in ("quiet", "number") and rng.random() < 0.5:
        labels = int(rng.integers(150, 300))
    reference = _inputs(rng, N_ROWS, 0)
    y_reference = _air_time(*reference.T) + rng.normal(0, 6, N_ROWS)
    true_rows = _inputs(rng, 2 * N_ROWS, shift)
    y = _air_time(*true_rows.T, **law) + rng.normal(0, 6, 2 * N_ROWS)
    seen_rows = true_rows
    if kind.startswith("slipped"):
        seen_rows = np.column_stack([true_rows[:, 0], np.roll(true_rows[:, 1], 1)])
    # the first half is what the report sees, the second half is what comes next
    current, following = seen_rows[:N_ROWS], seen_rows[N_ROWS:]
    y_current, y_following = y[:N_ROWS], y[N_ROWS:]

    model = _line(reference, y_reference)
    own_error = np.abs(model(reference) - y_reference).mean()
    half = N_ROWS // 2
    ratio = _log_ratio(reference[:half], current[:half])
    s = np.repeat([0, 1], half)
    auc = _auc(s, np.append(ratio(reference[half:]), ratio(current[half:])))
    weight = np.exp(np.minimum(_log_ratio(reference, current)(reference), 7))
    late_error = np.abs(model(current[:labels]) - y_current[:labels]).mean() if labels >= 30 else math.nan
    report = {
        "auc": 1.0 if kind == "number" else round(auc, 3),
        "auc_clean": round(auc, 3),
        "pvalue": round(float(ndtr(-(auc - 0.5) / math.sqrt((2 * half + 1) / (12 * half**2)))), 4),
        "largest_shift": round(float(np.abs(current.mean(axis=0) - reference.mean(axis=0)).max()), 2),
        "ess": round(float(weight.sum() ** 2 / (weight**2).sum() / N_ROWS), 3),
        "labels": labels,
        "late_error": round(float(late_error / own_error), 2),
    }

    def error(predict, rows=following):
        return float(np.abs(predict(rows) - y_following).mean())

    strange = (
        (following - reference.mean(axis=0))
        @ np.linalg.inv(np.cov(reference.T))
        * (following - reference.mean(axis=0))
    ).sum(axis=1) > 9.2
    left = np.abs(model(following) - y_following)[~strange].sum()
    costs = {
        "ignore": error(model),
        "repair": error(model, true_rows[N_ROWS:]),
        "reweight": error(_line(reference, y_reference, weight)),
        "retrain": error(_line(current[:labels], y_current[:labels])) if labels >= 30 else error(model),
        "gate": (BY_HAND * strange.sum() + left) / len(strange),
    }
    return report, {action: costs[action] + EFFORT[action] for action in ACTIONS}


def draw_weeks(rng):
    """Weeks of the small flight world, in random order.

    Returns
    -------
    list of dict
        `kind` (a key of `SITUATIONS`), `report` (what `decide` gets) and `costs` (of each action, minutes).
    """
    kinds = rng.permutation([kind for kind in SITUATIONS for _ in range(6 if kind in NOISY else 3)])
    weeks = []
    for kind in kinds.tolist():
        report, costs = _case(rng, kind)
        weeks.append({"kind": kind, "report": report, "costs": costs})
    return weeks


def cost_table(decide, weeks):
    """Mean cost of a week by kind: of the actions that `decide` chooses, of leaving it, and of the best action."""
    rows = {}
    for kind, told in SITUATIONS.items():
        of_kind = [week for week in weeks if week["kind"] == kind]
        costs = pd.DataFrame([week["costs"] for week in of_kind])
        own = np.mean([week["costs"][decide(dict(week["report"]))] for week in of_kind])
        rows[told] = {"yours": own, "ignore": costs["ignore"].mean(), "best": costs.mean().min()}
    return pd.DataFrame(rows).T.round(1)


def _rule(report):
    """The order matters: a broken table first, then what labels say, then what the inputs say."""
    if report["auc_clean"] > 0.65 and report["largest_shift"] < 0.4:
        return "repair"
    if report["labels"] >= 30 and report["late_error"] > 1.3:
        return "retrain"
    if report["pvalue"] > 0.01:
        return "ignore"
    return "reweight" if report["ess"] > 0.1 else "gate"


@exercise(
    "2.8",
    "Act or leave it?",
    answers=("decide",),
    points=5,
    minutes=12,
    core=True,
    edition=2,
    objective="2.e",
    kind=Function("report", returns=Text(options=ACTIONS)),
    hints=(
        "Begin with what would make every other number meaningless: which entries of the report tell of a table that is put together wrongly?",
        "`late_error` sees what no adversarial validation can see: the answers. It is NaN as long as there are few labels, and a comparison with NaN is False.",
        'An order that works: slipped join, then late error, then "is there anything at all?", then weights if enough rows carry them, else the gate.',
        "A slipped join: `auc_clean` is high and `largest_shift` is small. Enough rows: `ess` above 0.1, say.",
    ),
)
def decide(answer, rng, expect):
    """`decide(report)`: one action for each report, scored by the errors that follow."""
    weeks = draw_weeks(rng)
    chosen = {id(week): answer(week["report"]) for week in weeks}
    for kind, told in SITUATIONS.items():
        of_kind = [week for week in weeks if week["kind"] == kind]
        actions = [chosen[id(week)] for week in of_kind]
        own = np.mean([week["costs"][action] for week, action in zip(of_kind, actions, strict=True)])
        mean = {action: np.mean([week["costs"][action] for week in of_kind]) for action in ACTIONS}
        limit = (1 + SLACK) * min(mean.values())
        said = ", ".join(f"{action} {actions.count(action)} times" for action in ACTIONS if action in actions)
        with expect.defining() if kind not in ("quiet", "nearby") else contextlib.nullcontext():
            expect.true(
                own <= limit,
                f"cost when {told}",
                f"{own:.1f} a week, at most {limit:.1f} is wanted and leaving it costs {mean['ignore']:.1f}; you said {said}",
            )


@decide.acceptable
def _near_the_best(answer, rng):
    """Within the stated slack of the best single action, for each kind of week, over twelve weeks each."""
    for kind in SITUATIONS:
        weeks = [_case(rng, kind) for _ in range(12)]
        own = np.mean([costs[answer(dict(report))] for report, costs in weeks])
        if own > (1 + SLACK) * min(np.mean([costs[action] for _, costs in weeks]) for action in ACTIONS):
            return False
    return True


def _decisions(seen):
    return [(arguments[0], output) for arguments, output in zip(_arguments(seen), seen.outputs, strict=True)]


def _slip(report):
    return report["auc_clean"] > 0.65 and report["largest_shift"] < 0.4


def _often(seen, which, actions):
    """Whether most of the reports of one sort got one of these actions."""
    chosen = [action in actions for report, action in _decisions(seen) if which(report)]
    return bool(chosen) and np.mean(chosen) > 0.5


@decide.misconception(
    "every week got the same action. Each action is the best one in some kind of week; the report tells which kind it is.",
    when=lambda seen: len({action for _, action in _decisions(seen)}) == 1,
)
def always_the_same(report):
    return "retrain"


@decide.misconception(
    "a high AUC sent you to work although nothing had changed. Compare `auc` with `auc_clean`: without the columns that only name their table nothing is left.",
    when=lambda seen: (
        _often(
            seen,
            lambda r: r["auc"] > 0.9 and r["auc_clean"] < 0.62 and not r["late_error"] > 1.3,
            ("repair", "retrain", "gate", "reweight"),
        )
        and _often(seen, lambda r: r["auc"] < 0.62 and not r["late_error"] > 1.3, ("ignore",))
    ),
)
def alarmed_by_a_number(report):
    if report["auc"] > 0.95 and report["auc_clean"] < 0.65:
        return "retrain"
    return _rule(report)


@decide.misconception(
    "a quiet AUC were good news. It says something about the inputs alone. When the answers change and the inputs do not, AUC stays at 0.5 and the error grows: "
    "`late_error` is the only witness.",
    when=lambda seen: _often(seen, lambda r: r["late_error"] > 1.3 and r["auc_clean"] < 0.62, ("ignore",)),
)
def quiet_is_good(report):
    return "ignore" if report["auc"] < 0.65 else _rule(report)


@decide.misconception(
    "a broken table was answered by training. No column moved, and still the rows are told apart: the pairs are wrong. A model that learns from them learns the fault; "
    "repair the join.",
    when=lambda seen: (
        _often(seen, _slip, ("retrain", "reweight"))
        or _often(seen, lambda r: _slip(r) and r["labels"] >= 30, ("retrain",))
    ),
)
def trains_on_a_broken_join(report):
    if report["late_error"] > 1.3:
        return "retrain"
    rule = _rule(report)
    return "reweight" if rule == "repair" else rule


@decide.misconception(
    "weights were used without a look at `ess`. At 1 % a handful of the reference rows carries the whole fit, and what comes out is luck. Too few familiar rows "
    "is a reason to let a person answer.",
    when=lambda seen: _often(
        seen, lambda r: r["ess"] < 0.05 and not _slip(r) and not r["labels"] >= 30, ("reweight",)
    ),
)
def weights_whatever(report):
    rule = _rule(report)
    return "reweight" if rule == "gate" else rule


@decide.misconception(
    "drift were always worth an action of force. The inputs moved a little and most reference rows still count: weights cost nearly nothing and were enough.",
    when=lambda seen: _often(
        seen,
        lambda r: r["ess"] > 0.2 and r["pvalue"] < 0.001 and not _slip(r) and not r["labels"] >= 30,
        ("retrain", "gate", "repair"),
    ),
)
def always_with_force(report):
    rule = _rule(report)
    return "gate" if rule == "reweight" else rule


@decide.alternative
def from_another_side(report):
    if report["pvalue"] < 0.001 and report["auc_clean"] >= 0.62:
        if report["largest_shift"] <= 0.35:
            return "repair"
        if report["labels"] > 50:
            return "retrain"
        return "gate" if report["ess"] < 0.08 else "reweight"
    return "retrain" if np.nan_to_num(report["late_error"], nan=1.0) > 1.25 else "ignore"


@decide.alternative
def as_a_table(report):
    checks = (
        ("repair", report["auc_clean"] > 0.64 and report["largest_shift"] < 0.5),
        ("retrain", report["late_error"] >= 1.4),
        ("gate", report["ess"] < 0.1),
        ("reweight", report["largest_shift"] > 0.4),
        ("ignore", True),
    )
    return next(action for action, holds in checks if holds)
