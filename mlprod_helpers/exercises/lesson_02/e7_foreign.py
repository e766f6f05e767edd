"""Exercise 2.7, The foreign rows."""

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from mlprod_helpers.lesson.contract import Array, Function, exercise


def _flown(rng, n, far=0.0, speed=7.5):
    """Distance, air time, fuel and hour of n flights: the first three go together. `far` moves the distances."""
    distance = rng.uniform(200, 2400, n) + far
    air_time = distance / speed + 18 + rng.normal(0, 5, n)
    fuel = 0.02 * air_time + 1.1 + rng.normal(0, 0.15, n)
    return pd.DataFrame(
        {"distance": distance, "air_time": air_time, "fuel": fuel, "hour": rng.integers(5, 23, n)}
    )


def _slipped(rng, n, speed=7.5):
    """Flights whose air time and fuel are those of other flights; each value on its own is an ordinary one."""
    rows = _flown(rng, 6 * n, speed=speed)
    others = rng.permutation(6 * n)
    rows[["air_time", "fuel"]] = rows[["air_time", "fuel"]].to_numpy()[others]
    really = (rows["air_time"] - rows["distance"] / speed - 18).abs() > 60  # by chance some pairs still fit
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
        "Learn from `reference` alone what is normal. You need one number for each row: how far is it from the ordinary rows?",
        "The Mahalanobis distance takes correlations into account. With `z = X - center` it is `(z @ np.linalg.inv(covariance) * z).sum(axis=1)`.",
        "Take the 99% quantile of that number over the reference rows as the limit. About 1% of ordinary rows lie above it, whatever is in `current`.",
    ),
)
def foreign(answer, rng, expect):
    """`foreign(reference, current)`: True for the rows of current that are unlike the reference."""
    reference = _flown(rng, 1200)

    def mixture(n_own, n_slipped, n_far, speed=7.5):
        parts = [
            _flown(rng, n_own, speed=speed),
            _slipped(rng, n_slipped, speed),
            _flown(rng, n_far, far=4000, speed=speed),
        ]
        rows = pd.concat(parts)
        what = np.repeat(["own", "slipped", "far"], [n_own, n_slipped, n_far])
        order = rng.permutation(len(rows))
        return rows.iloc[order].reset_index(drop=True), what[order]

    def flagged(rows, known=reference):
        mask = answer(known, rows)
        return mask if len(mask) == len(rows) else np.zeros(len(rows), dtype=bool)

    rows, what = mixture(6, 0, 1)
    mask = answer(reference, rows)
    expect.equal(len(mask), 7, "one True or False for each row of current", show=True)
    with expect.defining():
        expect.true(
            len(mask) == 7 and mask[what == "far"].all(),
            "seven flights: the one above 4,000 miles is found",
            "it is not flagged",
        )
    clean, _ = mixture(1000, 0, 0)
    with expect.defining():
        expect.within(flagged(clean).mean(), 0, 0.04, "nothing is foreign: at most 4% are flagged", show=True)
        for share, sizes, speed in (
            ("one row in fifty", (980, 0, 20), 7.5),
            ("one row in ten", (900, 50, 50), 7.5),
            ("one row in two", (600, 300, 300), 7.5),
            ("slower planes in both tables, one row in five", (480, 60, 60), 4.0),
        ):
            rows, what = mixture(*sizes, speed)
            mask = flagged(rows, reference if speed == 7.5 else _flown(rng, 1200, speed=speed))
            for kind, low, high, told in (
                ("own", 0, 0.04, "at most 4% of the others are flagged"),
                ("far", 0.9, 1, "at least 90% of the flights above 4,000 miles are found"),
                (
                    "slipped",
                    0.8,
                    1,
                    "at least 80% of the rows with the air time and fuel of another flight are found",
                ),
            ):
                if kind not in what:
                    continue
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
    if any(len(mask) != len(rows) for (_, rows), mask in zip(seen.arguments, seen.outputs, strict=True)):
        return False
    return max(shares) - min(shares) < 0.03 and min(shares) > 0.02 and max(shares) < 0.8


def _is_inverted(seen):
    lost = [_found(seen, "one row in two", kind) < 0.5 for kind in ("of another flight", "above 4,000")]
    return _false_flags(seen) > 0.9 and all(lost)


def _learned_from_current(seen):
    """Finds slipped rows while they are few, loses them when they are many."""
    few, many = (_found(seen, share, "of another flight") for share in ("one row in ten", "one row in two"))
    return (
        _false_flags(seen) <= 0.04
        and few - many > 0.25
        and _found(seen, "one row in two", "above 4,000") < 0.3
        and not _flags_each_tenth(seen)
    )


def _looks_at_columns(seen):
    return (
        _false_flags(seen) <= 0.04
        and _found(seen, "one row in two", "above 4,000") >= 0.7
        and _found(seen, "one row in two", "of another flight") < 0.8
        and all(_is_a_box(rows, mask) for (_, rows), mask in zip(seen.arguments, seen.outputs, strict=True))
    )


def _is_a_box(rows, mask):
    """Whether each flagged row is outside the range of the others in some column, as if each column had its own limits."""
    mask = np.asarray(mask)
    if len(mask) != len(rows) or mask.all():
        return False
    ordinary = rows[~mask]
    outside = ((rows < ordinary.min()) | (rows > ordinary.max())).any(axis=1).to_numpy()
    return bool(outside[mask].all())


def _distances(fitted, rows):
    z = (rows - fitted.mean()).to_numpy()
    return (z @ np.linalg.inv(np.cov(fitted.to_numpy().T)) * z).sum(axis=1)


@foreign.misconception(
    "you flagged about the same share of the rows each time. Then just as many flights go to a person when nothing is foreign. Compute the "
    "same number for the reference rows, and take the limit from those.",
    when=_flags_each_tenth,
)
def each_tenth(reference, current):
    distance = _distances(reference, current)
    return distance > np.quantile(distance, 0.9)


@foreign.misconception(
    "you swapped True and False, because nearly all ordinary rows are flagged. scikit-learn's novelty detectors return 1 "
    "for an ordinary row and -1 for a strange one. Flag the strange ones.",
    when=_is_inverted,
)
def the_ordinary_ones(reference, current):
    return _distances(reference, current) <= np.quantile(_distances(reference, reference), 0.99)


@foreign.misconception(
    "you used the current rows to define what is normal. If many rows are foreign, they become the norm. Learn what is "
    "normal from the reference alone.",
    when=_learned_from_current,
)
def fitted_on_current(reference, current):
    distance = _distances(current, current)
    return distance > 18.5


@foreign.misconception(
    "you flagged only rows with an extreme value in some column. In a slipped row, each value is ordinary and only the combination is not, such as a "
    "short flight with the air time of a long one. Measure how far a row is from the reference, and take correlations into account.",
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
            [*(rows[b] - np.polyval(line, rows[a]) for (a, b), line in lines.items()), rows["distance"]]
        )

    pairs = (("distance", "air_time"), ("air_time", "fuel"))
    lines = {(a, b): np.polyfit(reference[a], reference[b], 1) for a, b in pairs}
    known = parts(reference)
    low, high = known.min(axis=0), known.max(axis=0)
    new = parts(current)
    return ((new < low) | (new > high)).any(axis=1)
