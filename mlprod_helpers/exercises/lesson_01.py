"""Exercises of lesson 01, drift types: what moved, which monitor can see it, since when, and what to do."""

import contextlib
from functools import cache
from itertools import pairwise

import numpy as np
import pandas as pd

from mlprod_helpers.faults import MissingValues, UnitChange
from mlprod_helpers.lesson.contract import (
    Array,
    Choice,
    Frame,
    Function,
    Mapping,
    Number,
    Several,
    Text,
    exercise,
)
from mlprod_helpers.streams import Drift, Linear, draw_drift, make_stream

EDITION = 2


# ------------------------------------------------------------------ 1.1 predict the monitors

SILENT, ALARM = "silent", "alarm"
TWO_SERVICES = {
    "display inputs": SILENT,
    "display predictions": SILENT,
    "display labels": SILENT,
    "display error": ALARM,
    "hygrometer inputs": ALARM,
    "hygrometer predictions": ALARM,
    "hygrometer labels": SILENT,
    "hygrometer error": ALARM,
}


@cache
def _two_services():
    """service -> (rows kept for comparison, July and August), with inputs, predictions, labels and errors."""
    # one tree, not a boosted hundred: on a busy machine with many threads those take seconds
    from sklearn.tree import DecisionTreeRegressor

    from mlprod_helpers.datasets import load_flights, load_weather

    def served(rows, inputs, target, trained, held_out):
        X = rows[inputs].apply(lambda column: column.cat.codes if column.dtype == "category" else column)
        tree = DecisionTreeRegressor(min_samples_leaf=5, random_state=0)
        tree.fit(X[trained].to_numpy(float), rows.loc[trained, target])
        rows = rows.assign(prediction=tree.predict(X.to_numpy(float)), label=rows[target])
        rows["error"] = (rows["label"] - rows["prediction"]).abs()
        return rows[held_out], rows[rows["month"].isin([7, 8])]

    flights = load_flights().dropna(subset=["air_time"])
    early, odd = flights["date"] < "2013-02-12", flights["day"] % 2 == 1
    display = served(
        flights, ["distance", "hour", "carrier", "origin"], "air_time", early & odd, early & ~odd
    )
    weather = load_weather().dropna(subset=["temp", "dewp", "humid"])
    early, odd = weather["month"] <= 3, weather["day"] % 2 == 1
    hygrometer = served(weather, ["temp", "dewp"], "humid", early & odd, early & ~odd)
    return {"display": (*display, ["distance", "hour"]), "hygrometer": (*hygrometer, ["temp", "dewp"])}


@exercise(
    "1.1",
    "Predict the monitors",
    answers=("monitors",),
    points=2,
    minutes=4,
    core=True,
    objective="1.b",
    kind=Choice(
        {
            "display inputs": "flights: mean distance and mean hour",
            "display predictions": "flights: mean predicted air time",
            "display labels": "flights: mean air time",
            "display error": "flights: mean absolute error",
            "hygrometer inputs": "weather: mean temperature and mean dew point",
            "hygrometer predictions": "weather: mean predicted humidity",
            "hygrometer labels": "weather: mean humidity",
            "hygrometer error": "weather: mean absolute error",
        },
        options=(SILENT, ALARM),
    ),
    hints=(
        "Take the monitors one by one. Who would have to change for this mean to move: the passengers' plans, the wind, the season?",
        "A frozen model is a fixed function. When can the mean of its outputs move?",
        "Nine minutes of tailwind are a lot for one flight. Are they a lot beside the spread of air times, from 20 minutes to 11 hours? "
        "And humidity is relative: does muggy July hold a larger percentage than January?",
    ),
)
def monitors(answer, rng, expect):
    """Two services, four monitors each; the truth is computed on 45 drawn days of July and August."""
    truth = {}
    for service, (before, now, inputs) in _two_services().items():
        days = rng.choice(62, size=45, replace=False)
        now = now[((now["month"] - 7) * 31 + now["day"] - 1).isin(days)]
        moved = (
            (now.mean(numeric_only=True) - before.mean(numeric_only=True)) / before.std(numeric_only=True)
        ).abs()
        loud = {
            "inputs": moved[inputs].max() > 0.5,
            "predictions": moved["prediction"] > 0.5,
            "labels": moved["label"] > 0.5,
            "error": now["error"].mean() > 1.5 * before["error"].mean(),
        }
        truth |= {f"{service} {name}": ALARM if alarm else SILENT for name, alarm in loud.items()}
    expect.cases(answer, {case: truth[case] for case in TWO_SERVICES})


@monitors.misconception(
    "the display's inputs were expected to move because its error does. Distances and hours are a timetable: the wind "
    "does not ask for it. Ask for each input by itself whether anybody changed it."
)
def error_means_inputs():
    return TWO_SERVICES | {"display inputs": ALARM}


@monitors.misconception(
    "the display's predictions were expected to notice. A frozen model is a fixed function: the same inputs get the same "
    "predictions, whatever the wind does. Its output can only move as far as its inputs do."
)
def model_notices():
    return TWO_SERVICES | {"display predictions": ALARM}


@monitors.misconception(
    "whatever the error sees was expected in the mean of the labels too. That mean is spread wide by short and long flights: "
    "compare a few minutes of wind with the difference between Boston and Honolulu."
)
def labels_follow_error():
    return TWO_SERVICES | {"display labels": ALARM}


@monitors.misconception(
    "the hygrometer's error was expected to stay, since the law of humidity is physics and does not change. The law stands; but what does a "
    "model trained on winter know of 30 degrees?"
)
def standing_law_standing_error():
    return TWO_SERVICES | {"hygrometer error": SILENT}


@monitors.misconception(
    "the labels were expected to go where inputs and predictions go. They are made by the world, not by the model: "
    "relative humidity depends on temperature and dew point together."
)
def labels_follow_inputs():
    return TWO_SERVICES | {"hygrometer labels": ALARM}


@monitors.alternative
def from_a_list():
    loud = ["display error", "hygrometer inputs", "hygrometer predictions", "hygrometer error"]
    return {case: ALARM if case in loud else SILENT for case in TWO_SERVICES}


@monitors.alternative
def in_another_order():
    return dict(sorted(TWO_SERVICES.items(), reverse=True))


# ------------------------------------------------------------------ 1.2 same inputs, other answers?


def _binned(rng, edges, shares, means, n):
    """A frame with x inside the bins, never on an edge, and y around the mean of its bin."""
    shares = np.asarray(shares, float)
    wanted = np.flatnonzero(
        shares
    )  # a bin with a share has a row at least, and not many more where that is tiny
    bins = np.concatenate([wanted, rng.choice(len(shares), size=n - len(wanted), p=shares / shares.sum())])
    low, width = np.asarray(edges[:-1])[bins], np.diff(edges)[bins]
    x = low + width * rng.uniform(0.02, 0.98, n)
    return pd.DataFrame({"x": x, "y": np.asarray(means)[bins] + rng.normal(0, 1, n)})


def _inside_bins(reference, current, edges):
    """Reference implementation: (sum of weights x changes) / sum of weights over shared bins."""
    total = rows = 0.0
    for low, high in pairwise(edges):
        old = reference["y"][(reference["x"] > low) & (reference["x"] <= high)]
        new = current["y"][(current["x"] > low) & (current["x"] <= high)]
        if len(old) and len(new):
            total, rows = total + len(new) * (new.mean() - old.mean()), rows + len(new)
    return total / rows if rows else float("nan")


@exercise(
    "1.2",
    "Same inputs, other answers?",
    answers=("conditional_change",),
    points=4,
    minutes=8,
    core=True,
    objective="1.a",
    edition=2,
    kind=Function("reference", "current", "edges", returns=Number(), may_change=("reference", "current")),
    hints=(
        "`by_bin` gives size and mean of y for each bin, once for each table. Which difference do you want, and which sizes are its weights?",
        "A bin with rows in only one of the tables has nothing to compare: keep those where both sizes are above 0.",
        "`change = new['mean'] - old['mean']` over the shared bins, then its mean weighted by `new['size']`; NaN if there is no shared bin.",
    ),
)
def conditional_change(answer, rng, expect):
    """`conditional_change(reference, current, edges)`: how far y moved at the same x, on average over the current rows."""
    bins = int(rng.integers(5, 9))
    edges = np.cumsum(rng.uniform(3, 15, bins + 1)).round(1).tolist()
    old = rng.permutation(np.linspace(1, 3, bins))
    new = np.roll(old, 1) * rng.uniform(0.8, 1.2, bins)
    law = rng.permutation(np.linspace(20, 60, bins))
    bent = law + rng.permutation(np.linspace(-8, 14, bins))
    new[new.argmin()] = 1e-6  # a bin with a single row counts as well, in either table
    once = old.copy()
    once[old.argmax()] = 1e-6
    here, there = np.ones(bins), np.ones(bins)
    here[-1] = there[0] = 0
    worlds = (
        ("only the mix of x moved", (old, law, 400), (new, law, 300)),
        ("the law moved, the mix did not", (old, law, 400), (old, law - 6, 300)),
        ("both moved, the law not everywhere alike", (once, law, 400), (new, bent, 250)),
        ("a region that the reference has never seen", (old * here, law, 400), (new, bent, 300)),
        ("a region from which nothing comes any more", (old, law, 400), (new * there, bent, 300)),
    )
    with expect.defining():
        for what, then, now in worlds[:3]:
            reference, current = _binned(rng, edges, *then), _binned(rng, edges, *now)
            expect.close(answer(reference, current, edges), _inside_bins(reference, current, edges), what)
    for what, then, now in worlds[3:]:
        reference, current = _binned(rng, edges, *then), _binned(rng, edges, *now)
        expect.close(answer(reference, current, edges), _inside_bins(reference, current, edges), what)
    left, right = np.arange(bins) < bins // 2, np.arange(bins) >= bins // 2
    low, high = (_binned(rng, edges, side, law, 200) for side in (left, right))
    expect.nan(answer(low, high, edges), "no bin has rows of both tables: unknown, so NaN")


@conditional_change.inputs
def _tables_of_x_and_y(rng):
    usual = list(range(0, 1001, 250))
    shares, law = np.array([0.4, 0.3, 0.2, 0.1]), np.array([40.0, 90.0, 130.0, 160.0])
    yield (
        _binned(rng, usual, shares, law, 60),
        _binned(rng, usual, shares[::-1], law - 9, 80),
        usual,
    )
    for empty_then, empty_now in (((), ()), ((0,), ()), ((), (3,)), ((1,), (2,)), ((0, 1), (2, 3))):
        then, now = shares.copy(), shares[::-1].copy()
        then[list(empty_then)] = now[list(empty_now)] = 0
        yield (
            _binned(rng, usual, then, law, 50),
            _binned(rng, usual, now, law + np.array([0, 5, -9, 30]), 90),
            usual,
        )
    yield _binned(rng, [0.0, 1.0], [1], [5], 7), _binned(rng, [0.0, 1.0], [1], [9], 3), [0.0, 1.0]
    many = np.cumsum(rng.uniform(1, 9, 31)).tolist()
    yield (
        _binned(rng, many, rng.uniform(1, 2, 30), rng.normal(0, 9, 30), 40),
        _binned(rng, many, rng.uniform(1, 2, 30), rng.normal(0, 9, 30), 70),
        many,
    )


@conditional_change.misconception(
    "the two overall means were compared (bins cut at each table's own quantiles come to the same). They move as soon as "
    "the mix of x moves, also where every answer stays the same. Compare inside the bins first.",
    atol=0.5,
)
def overall(reference, current, edges):
    return current["y"].mean() - reference["y"].mean()


def _by_bin(frame, edges):
    return frame.groupby(pd.cut(frame["x"], edges), observed=False)["y"].agg(["size", "mean"])


@conditional_change.misconception(
    "a bin without rows in one of the tables was counted as no change. Nothing to compare means unknown, not unchanged: "
    "leave it out, of the weights as well."
)
def empty_is_unchanged(reference, current, edges):
    old, new = _by_bin(reference, edges), _by_bin(current, edges)
    change = (new["mean"] - old["mean"]).fillna(0)
    return float((change * new["size"]).sum() / new["size"].sum())


@conditional_change.misconception(
    "each bin had one vote, the crowded and the nearly empty. The question is what today's rows feel, so each bin counts as "
    "often as the current table has rows in it."
)
def unweighted(reference, current, edges):
    return float((_by_bin(current, edges)["mean"] - _by_bin(reference, edges)["mean"]).mean())


@conditional_change.misconception(
    "the bins were weighted by the reference rows. That answers how the old mix would feel today; "
    "the question is what the current rows feel."
)
def weighted_by_the_past(reference, current, edges):
    old, new = _by_bin(reference, edges), _by_bin(current, edges)
    shared = (old["size"] > 0) & (new["size"] > 0)
    change, size = (new["mean"] - old["mean"])[shared], old["size"][shared]
    return float((change * size).sum() / size.sum()) if shared.any() else float("nan")


@conditional_change.misconception(
    "the difference was taken the wrong way round. A change is the current value minus the reference."
)
def backwards(reference, current, edges):
    return -_inside_bins(reference, current, edges)


@conditional_change.alternative
def row_by_row(reference, current, edges):
    """Each current row minus the reference mean of its bin, then the mean of all."""
    bins = pd.cut(reference["x"], edges, labels=False)
    known = reference["y"].groupby(bins).mean()
    expected = pd.cut(current["x"], edges, labels=False).map(known)
    return float((current["y"] - expected).mean())


@conditional_change.alternative
def with_numpy(reference, current, edges):
    k = len(edges) - 1
    sums = []
    for frame in (reference, current):
        at = np.digitize(frame["x"], edges) - 1
        sums.append((np.bincount(at, minlength=k), np.bincount(at, frame["y"], minlength=k)))
    (n_old, y_old), (n_new, y_new) = sums
    both = (n_old > 0) & (n_new > 0)
    if not both.any():
        return float("nan")
    change = y_new[both] / n_new[both] - y_old[both] / n_old[both]
    return np.average(change, weights=n_new[both])


# ------------------------------------------------------------------ 1.3 diagnose from tables

TYPES = ("concept", "covariate", "prior", "none")


LIMIT, MARGIN = 0.05, 0.002
"""A share moved if it changed by more than the limit; no share in the check comes closer to it than the margin."""


def _changes(reference, current):
    """The largest change of a share of P(x), P(y | x) and P(x | y)."""
    r, c = np.asarray(reference, dtype=float), np.asarray(current, dtype=float)
    changes = {
        "x": c.sum(1) / c.sum() - r.sum(1) / r.sum(),
        "y|x": c / c.sum(1, keepdims=True) - r / r.sum(1, keepdims=True),
        "x|y": c / c.sum(0) - r / r.sum(0),
    }
    return {name: float(np.abs(change).max()) for name, change in changes.items()}


def _change_of_y(reference, current):
    """The largest change of a share of P(y)."""
    r, c = np.asarray(reference, dtype=float), np.asarray(current, dtype=float)
    return float(np.abs(c.sum(0) / c.sum() - r.sum(0) / r.sum()).max())


def _by_the_rules(reference, current):
    changes = _changes(reference, current)
    if changes["y|x"] <= LIMIT:
        return "covariate" if changes["x"] > LIMIT else "none"
    return "prior" if changes["x|y"] <= LIMIT else "concept"


def _moved_joint(rng, kind, variant, p_x, p_y):
    """P(x) and P(y = yes | x) after a drift of this kind; the variants are what one rule alone can tell apart."""
    new_x, new_y, k = p_x.copy(), p_y.copy(), len(p_x)
    size = rng.uniform(0.05, 0.16) if variant % 2 else rng.uniform(0.05, 0.08)
    one = k - 1 if variant % 4 == 0 else int(rng.integers(k))
    if kind == "none":
        new_x += rng.permutation(np.linspace(-1, 1, k)) * rng.uniform(0, 0.05)
        new_y += rng.choice([-1, 1], k) * rng.uniform(0, 0.05, k)
    elif kind == "covariate":
        new_x += np.where(np.arange(k) == one, -size, size / (k - 1)) * (1 if variant // 2 % 2 else -1)
    elif kind == "prior":
        size = rng.uniform(0.3, 1.4) if variant % 2 else rng.uniform(0.2, 0.3)
        odds = np.exp(size if variant // 2 % 2 else -size)
        new_x, new_y = _of_columns(p_x * (1 - p_y), p_x * p_y * odds)
    elif variant % 5 == 0:  # the law of half of the rows, and P(y) with it
        new_y[k // 2 :] += rng.choice([-1, 1]) * rng.uniform(0.2, 0.35)
    elif variant % 5 == 1:  # the law of two rows, while P(y) stands
        new_y[one] += rng.choice([-1, 1]) * 2 * size
        other = (one + 1) % k
        new_y[other] -= (new_y[one] - p_y[one]) * p_x[one] / p_x[other]
    elif variant % 5 == 2:  # both
        new_x += np.where(np.arange(k) == one, -size, size / (k - 1))
        new_y[rng.integers(k)] += rng.choice([-1, 1]) * 2 * size
    else:  # only the "yes" look different, or only the "no"
        no, yes = p_x * (1 - p_y), p_x * p_y
        column = yes if variant % 5 == 3 else no
        column += np.where(np.arange(k) == one, -size, size / (k - 1)) * column.sum()
        new_x, new_y = _of_columns(no, yes)
    return new_x, new_y


def _of_columns(no, yes):
    joint = np.column_stack([no, yes])
    joint = joint / joint.sum()
    return joint.sum(axis=1), joint[:, 1] / joint.sum(axis=1)


def _world(rng, kind, variant):
    """Two tables of counts, rows x, columns y, in which this kind of drift happened; every second one close to the limit."""
    while True:
        k = int(rng.integers(2, 7)) if variant % 2 else int(rng.integers(5, 8))
        p_x = rng.uniform(0.7, 1.3, k)
        spread = 0.05 if kind == "prior" and variant % 3 == 0 else 0.3  # then P(x) hardly moves
        p_x, p_y = p_x / p_x.sum(), 0.5 + rng.uniform(-0.1, 0.1) + rng.uniform(-spread, spread, k)
        new_x, new_y = _moved_joint(rng, kind, variant, p_x, p_y)
        if min(new_x.min(), new_y.min(), p_y.min()) < 0.02 or max(new_y.max(), p_y.max()) > 0.98:
            continue
        names = [f"{letter}{k}" for letter in rng.permutation(list("abcdefg"))[:k]]
        tables = [
            _counts(rng, *shares, int(rng.integers(10_000, 40_000)))
            for shares in ((p_x, p_y), (new_x, new_y))
        ]
        if _clear(kind, variant, tables):
            return [pd.DataFrame(table, index=names, columns=["no", "yes"]) for table in tables]


def _clear(kind, variant, tables):
    """Whether the rules give this kind, no share is too close to the limit, and the limit itself is asked for often enough."""
    changes = _changes(*tables)
    if _by_the_rules(*tables) != kind or any(abs(change - LIMIT) < MARGIN for change in changes.values()):
        return False
    if kind == "none":
        return max(changes.values()) > 0.04 and (variant % 2 == 0 or changes["y|x"] > 0.035)
    decides = {"covariate": ("x",), "prior": ("y|x",), "concept": ("y|x", "x|y")}[kind]
    if kind == "prior" and variant % 3 == 0 and changes["x"] > LIMIT:
        return False
    if kind == "concept" and variant % 5 == 0:
        return _change_of_y(*tables) > LIMIT
    return variant % 2 == 1 or min(changes[name] for name in decides) < 0.07


def _counts(rng, p_x, p_y, n):
    joint = np.column_stack([p_x * (1 - p_y), p_x * p_y])
    return rng.multinomial(n, joint.ravel() / joint.sum()).reshape(-1, 2)


TOLD = {
    "concept": "8 worlds whose law moved",
    "covariate": "8 worlds in which the mix of x moved, and nothing else",
    "prior": "8 worlds in which the mix of y moved, and nothing else",
    "none": "8 worlds in which no share moved by more than 0.05",
}


@exercise(
    "1.3",
    "Diagnose from tables",
    answers=("diagnose",),
    points=4,
    minutes=9,
    objective="1.a",
    edition=2,
    kind=Function("reference", "current", returns=Text(options=TYPES), may_change=("reference", "current")),
    hints=(
        "Divide a table by the sums of its rows, and by the sums of its columns: which of the two is P(y | x)?",
        "Ask first whether P(y | x) stands. If it does, only one question is left. If not, ask whether P(x | y) does.",
        "`given_x = table.div(table.sum(axis=1), axis=0)`, and `(given_x_now - given_x_then).abs().to_numpy().max() > 0.05`.",
    ),
)
def diagnose(answer, rng, expect):
    """`diagnose(reference, current)` on 32 drawn pairs of tables, eight of each kind."""
    right = dict.fromkeys(TOLD, 0)
    for i in rng.permutation(32):
        kind = list(TOLD)[i % 4]
        right[kind] += answer(*_world(rng, kind, int(i) // 4)) == kind
    expect.within(right["concept"], 8, 8, f"{TOLD['concept']}: all recognized", show=True)
    with expect.defining():
        for kind in ("covariate", "prior", "none"):
            expect.within(right[kind], 8, 8, f"{TOLD[kind]}: all recognized", show=True)


@diagnose.inputs
def _pairs_of_tables(rng):
    visible = pd.DataFrame(
        {"no": [5200, 6100, 4700], "yes": [400, 1200, 2400]}, index=["dark", "middle", "bright"]
    )
    for rows in ([1, 1, 1], [1.4, 1, 0.8], [0.9, 1.05, 1.02]):
        for columns in ([1, 1], [0.6, 2], [0.95, 1.1]):
            for cells in ([[1, 1]] * 3, [[1, 1.6], [1, 1], [1.2, 0.8]], [[1.03, 1], [1, 1.02], [1, 1]]):
                now = visible * np.array(rows)[:, None] * np.array(columns) * np.array(cells)
                if all(abs(change - LIMIT) > MARGIN for change in _changes(visible, now.round()).values()):
                    yield visible, now.round().astype(int)
    for _ in range(30):
        k = int(rng.integers(2, 9))
        then = rng.integers(300, 3000, (k, 2))
        now = then * np.exp(rng.normal(0, rng.choice([0.02, 0.08, 0.2]), (k, 2)))
        now = now * np.exp(
            rng.normal(0, rng.choice([0, 0.2]), (k, 1)) + rng.normal(0, rng.choice([0, 0.3]), (1, 2))
        )
        tables = [pd.DataFrame(table, columns=["no", "yes"]) for table in (then, now.round().astype(int))]
        if all(abs(change - LIMIT) > MARGIN for change in _changes(*tables).values()):
            yield tuple(tables)


def _told(seen):
    """(the right diagnosis, whether P(x) moved, whether P(y) moved, what was said) of each pair of tables."""
    rows = []
    for call in seen.calls:
        then, now = call.given
        x, y = _changes(then, now)["x"] > LIMIT, _change_of_y(then, now) > LIMIT
        rows.append((_by_the_rules(then, now), x, y, call.output))
    return rows


def _said(seen, kind):
    """What was said of the worlds of this kind."""
    return [said for truth, _, _, said in _told(seen) if truth == kind]


def _every(said, word):
    return bool(said) and all(each == word for each in said)


@diagnose.misconception(
    "every table whose P(x) moved was called covariate. A prior shift moves P(x) too: more ill people bring more fever. "
    "Ask which conditional stands, P(y | x) or P(x | y).",
    when=lambda seen: (
        _every([said for _, x, _, said in _told(seen) if x], "covariate")
        and not _every(seen.outputs, "covariate")
    ),
)
def inputs_first(reference, current):
    changes = _changes(reference, current)
    if changes["x"] > LIMIT:
        return "covariate"
    return "concept" if changes["y|x"] > LIMIT else "none"


@diagnose.misconception(
    "P(y) decided alone. The mix of labels can move because the mix of x moved, and it can stay while the law is turned "
    "upside down. Neither needs the other: look at P(y | x).",
    when=lambda seen: (
        len({y for _, _, y, _ in _told(seen)}) == 2
        and all((said in ("concept", "prior")) == y for truth, _, y, said in _told(seen) if truth != "none")
    ),
)
def labels_decide(reference, current):
    if _change_of_y(reference, current) > LIMIT:
        return "concept"
    return "covariate" if _changes(reference, current)["x"] > LIMIT else "none"


@diagnose.misconception(
    "differences too small to count were called drift. With 10,000 rows and more each crumb is significant, so a p-value does not help; "
    "the task asks whether a share changed by more than 0.05.",
    when=lambda seen: (
        "none" not in seen.outputs
        and len(set(seen.outputs)) > 1
        and sum(said == "concept" for said in _said(seen, "concept")) >= 7
    ),
)
def by_pvalue(reference, current):
    from scipy.stats import chi2_contingency

    r, c = np.asarray(reference), np.asarray(current)
    law = min(chi2_contingency(np.array([r[i], c[i]])).pvalue for i in range(len(r)))
    mix = min(chi2_contingency(np.array([r[:, j], c[:, j]])).pvalue for j in range(2))
    if law >= 0.05:
        return "covariate"
    return "prior" if mix >= 0.05 else "concept"


@diagnose.misconception(
    "the two conditionals changed places: dividing by the sums over x gives P(x | y). Check one by hand: in P(y | x) each row of the "
    "table adds up to 1.",
    when=lambda seen: _every(_said(seen, "covariate"), "prior") and "prior" not in _said(seen, "prior"),
)
def swapped_conditionals(reference, current):
    changes = _changes(reference, current)
    if changes["x|y"] <= LIMIT:
        return "covariate" if changes["x"] > LIMIT else "none"
    return "concept" if changes["y|x"] > LIMIT else "prior"


@diagnose.alternative
def in_plain_loops(reference, current):
    tables = [table.to_numpy().tolist() for table in (reference, current)]
    whole = [sum(map(sum, table)) for table in tables]
    labels = [[sum(row[j] for row in table) for j in range(2)] for table in tables]
    inputs = law = within = 0
    for i in range(len(tables[0])):
        then, now = (table[i] for table in tables)
        inputs = max(inputs, abs(sum(now) / whole[1] - sum(then) / whole[0]))
        for j in range(2):
            law = max(law, abs(now[j] / sum(now) - then[j] / sum(then)))
            within = max(within, abs(now[j] / labels[1][j] - then[j] / labels[0][j]))
    if law <= 0.05:
        return "covariate" if inputs > 0.05 else "none"
    return "prior" if within <= 0.05 else "concept"


@diagnose.alternative
def with_normalized_arrays(reference, current):
    r, c = reference.to_numpy(), current.to_numpy()
    law = abs(c[:, 1] / c.sum(1) - r[:, 1] / r.sum(1)).max()
    within = abs(c / c.sum(0) - r / r.sum(0)).max()
    inputs = abs(c.sum(1) / c.sum() - r.sum(1) / r.sum()).max()
    names = {(False, False): "none", (False, True): "covariate"}
    return names.get((law >= 0.05, inputs >= 0.05)) or ("prior" if within < 0.05 else "concept")


# ------------------------------------------------------------------ 1.4 four patterns


@exercise(
    "1.4",
    "Four patterns",
    answers=("regime",),
    points=3,
    minutes=6,
    objective="1.c",
    edition=2,
    kind=Function("n", "pattern", "start", "width", "seed", returns=Array(ndim=1)),
    hints=(
        "`t = np.arange(n)` and `way = np.clip((t - start) / width, 0, 1)` are what gradual and incremental have in common. What differs?",
        "Gradual: at row t the new regime has the chance `way[t]`, and each row is old or new. `rng.random(n) < way` draws that.",
        "Recurring: `(t - start) // width` counts the seasons since the start; the even ones are new.",
    ),
)
def regime(answer, rng, expect):
    """`regime(n, pattern, start, width, seed)`: for each of n rows where it stands between old (0) and new (1)."""

    def states(n, pattern, start, width, seed=0):
        return answer(n, pattern, start, width, seed).astype(float)

    _check_mixture(states, rng, expect)
    n, start, width = int(rng.integers(900, 1200)), int(rng.integers(300, 400)), int(rng.integers(40, 130))
    t = np.arange(n)
    with expect.defining():
        expect.close(
            states(n, "incremental", start, width),
            np.clip((t - start) / width, 0, 1),
            "incremental: the regime itself moves, through states in between",
            atol=1.5 / width,
        )
    expect.equal(
        states(n, "sudden", start, width),
        (t >= start).astype(float),
        f"sudden: all new from row {start}, all old before",
    )
    expect.equal(
        states(n, "recurring", start, width),
        ((t >= start) & ((t - start) // width % 2 == 0)).astype(float),
        f"recurring: {width} rows new, {width} rows old, and so on",
    )
    for pattern in ("sudden", "recurring"):
        wanted = [1, 1, 1, 1, 1] if pattern == "sudden" else [1, 0, 1, 0, 1]
        expect.equal(
            states(5, pattern, 0, 1), np.array(wanted, float), f"{pattern} from row 0 on, width 1, 5 rows"
        )
    late = [states(n, pattern, n + 5, width) for pattern in ("sudden", "gradual", "incremental", "recurring")]
    expect.true(
        all(len(each) == n and not each.any() for each in late),
        "a start behind the last row: all rows are old",
        "some are not",
    )
    unfinished = states(n, "incremental", n - width, 4 * width)
    expect.true(
        len(unfinished) == n and abs(unfinished[-1] - 0.25) < 1.5 / width,
        "a change that is not finished at the last row: it stops on its way",
        "it does not",
    )


def _check_mixture(states, rng, expect):
    """The gradual pattern, on so many rows that a curved ramp shows."""
    n, start, width = 12_000, int(rng.integers(3000, 3500)), int(rng.integers(4000, 4200))
    gradual = states(n, "gradual", start, width, int(rng.integers(1000)))
    complete = len(gradual) == n
    with expect.defining():
        expect.true(
            complete and bool(np.isin(gradual, [0, 1]).all()) and 0 < gradual.mean() < 1,
            "gradual: each row is either old or new",
            "some rows are in between, or all are the same" if complete else f"it has {len(gradual)} rows",
        )
    way = gradual[start : start + width] if complete else np.full(10, np.nan)
    tenths = [float(part.mean()) for part in np.array_split(way, 10)]
    outside = complete and not gradual[:start].any() and bool((gradual[start + width :] == 1).all())
    even = [
        abs(tenths[0] - 0.05) < 0.05,
        abs(tenths[9] - 0.95) < 0.05,
        abs(np.mean(tenths[:4]) - 0.2) < 0.045,
        abs(np.mean(tenths[6:]) - 0.8) < 0.045,
        abs(np.mean(tenths) - 0.5) < 0.035,
    ]
    expect.true(
        outside and all(even),
        f"gradual: the share of new rows grows evenly from 0 to 1 within {width:,} rows",
        f"in the tenths of the way it is {', '.join(f'{share:.2f}' for share in tenths)}"
        + ("" if outside else "; before it some rows are new, or after it some are old"),
    )
    first, second = rng.choice(1000, size=2, replace=False).tolist()
    once, again, other = (states(300, "gradual", 20, 250, seed) for seed in (first, first, second))
    expect.true(
        np.array_equal(once, again) and not np.array_equal(once, other),
        "gradual: the same seed draws the same rows, another seed others",
        "it does not",
    )


@regime.inputs
def _courses(rng):
    for pattern in ("recurring", "sudden", "incremental"):
        yield 6, pattern, 1, 2, 0
        yield 1, pattern, 0, 1, 3
        for _ in range(12):
            n = int(rng.integers(1, 60))
            yield n, pattern, int(rng.integers(0, 70)), int(rng.integers(1, 40)), int(rng.integers(100))


@regime.acceptable
def _draws_by_the_statement(answer, rng):
    """Whether each pattern is as the statement says; of gradual, whose rows are drawn, the shares over many seeds."""
    for n, pattern, start, width, seed in _courses(rng):
        t = np.arange(n)
        wanted = {
            "sudden": t >= start,
            "incremental": np.clip((t - start) / width, 0, 1),
            "recurring": (t >= start) & ((t - start) // width % 2 == 0),
        }[pattern]
        got = np.asarray(answer(n, pattern, start, width, seed), dtype=float)
        slack = 1.5 / width if pattern == "incremental" else 0
        if got.shape != (n,) or np.abs(got - wanted).max() > slack:
            return False
    runs = np.array([np.asarray(answer(60, "gradual", 10, 30, seed), dtype=float) for seed in range(600)])
    again = np.asarray(answer(60, "gradual", 10, 30, 0), dtype=float)
    share = np.clip((np.arange(60) - 10) / 30, 0, 1)
    return bool(
        np.isin(runs, [0, 1]).all()
        and np.array_equal(runs[0], again)
        and np.abs(runs.mean(axis=0) - share).max() < 0.12
    )


def _regime(n, pattern, start, width, seed):
    t = np.arange(n)
    way = np.clip((t - start) / width, 0, 1)
    if pattern == "sudden":
        return (t >= start).astype(float)
    if pattern == "gradual":
        return (np.random.default_rng(seed).random(n) < way).astype(float)
    if pattern == "incremental":
        return way
    return ((t >= start) & ((t - start) // width % 2 == 0)).astype(float)


def _course(seen, pattern):
    """(start, width, states) of the first call for this pattern in which all of its course is seen."""
    for call in seen.calls:
        n, name, start, width, _ = call.given
        if name == pattern and start > 0 and start + 2 * width < n and len(call.output) == n:
            return start, width, np.asarray(call.output, dtype=float)
    raise LookupError(pattern)


def _creeps(seen, pattern):
    """Whether a course was made in which the state itself grows, by way of states in between."""
    start, width, states = _course(seen, pattern)
    way = states[start : start + width]
    return bool(
        ((way > 0) & (way < 1)).mean() > 0.5 and way[: width // 3].mean() < way[-(width // 3) :].mean()
    )


def _mixes(seen, pattern):
    """Whether a course of 0 and 1 was made whose share of 1 grows."""
    start, width, states = _course(seen, pattern)
    way = states[start : start + width]
    early, late = way[: width // 3].mean(), way[-(width // 3) :].mean()
    return bool(np.isin(states, [0, 1]).all()) and 0 < early < late < 1


@regime.misconception(
    "incremental was made as a mixture. Gradual: old and new rows take turns. Incremental: the regime itself moves, and in the middle of the way "
    "each row is of a regime that was never there before.",
    when=lambda seen: _mixes(seen, "incremental"),
)
def incremental_as_mixture(n, pattern, start, width, seed):
    return _regime(n, "gradual" if pattern == "incremental" else pattern, start, width, seed)


@regime.misconception(
    "gradual was made as a slow change of the regime. In a gradual drift there are two regimes and nothing in between; what grows is the share of "
    "rows that come from the new one.",
    when=lambda seen: _creeps(seen, "gradual") and not _mixes(seen, "incremental"),
)
def gradual_in_between(n, pattern, start, width, seed):
    return _regime(n, "incremental" if pattern == "gradual" else pattern, start, width, seed)


@regime.misconception(
    "the new regime never went away again. Recurring means that the old one comes back, season after season.",
    when=lambda seen: (
        bool((_course(seen, "recurring")[2][_course(seen, "recurring")[0] + 1 :] == 1).all())
        and not _course(seen, "recurring")[2][0]
    ),
)
def recurring_stays(n, pattern, start, width, seed):
    return _regime(n, "sudden" if pattern == "recurring" else pattern, start, width, seed)


@regime.misconception("the change came one row late. At `t = start` the new regime already holds.")
def one_row_late(n, pattern, start, width, seed):
    return _regime(n, pattern, start + 1, width, seed)


@regime.alternative
def in_a_loop(n, pattern, start, width, seed):
    rng = np.random.default_rng(seed)
    rows = []
    for t in range(n):
        if t < start:
            rows.append(0.0)
        elif pattern == "sudden":
            rows.append(1.0)
        elif pattern == "recurring":
            rows.append(float((t - start) // width % 2 == 0))
        else:
            way = min((t - start) / width, 1.0)
            rows.append(way if pattern == "incremental" else float(rng.random() < way))
    return rows


@regime.alternative
def with_drift(n, pattern, start, width, seed):
    share = Drift("concept", pattern, start, 0 if pattern == "sudden" else width).new_share(np.arange(n))
    return np.random.default_rng(seed).binomial(1, share) if pattern == "gradual" else share


# ------------------------------------------------------------------ 1.5 read the onset

N_SEALED, LATE = 20_000, 2_500
SEALED = {"A": ("sudden", 9, None), "B": ("gradual", 7, None), "C": ("sudden", 2, LATE)}
"""Stream -> pattern, seed, label delay in rows."""


SLACK = {"A": 500, "B": 1000, "C": 500}
"""Stream -> how many rows an answer may be off."""


def sealed_drift(name):
    """The drift of the sealed stream "A", "B" or "C"."""
    pattern, seed, _ = SEALED[name]
    return draw_drift(N_SEALED, seed, kinds=["concept"], patterns=[pattern])


@exercise(
    "1.5",
    "Read the onset",
    answers=("onsets",),
    points=3,
    minutes=4,
    objective="1.c",
    edition=2,
    kind=Mapping(keys=("A", "B", "C"), values=Number(low=0, high=N_SEALED), in_order=True),
    hints=(
        "The onset is the first row that can be touched by the new regime, not the row at which you are sure.",
        "B climbs for a while. Where does it leave its old level?",
        "The horizontal axis of C is the tick at which the label came. Of which row was that label?",
    ),
)
def onsets(answer, rng, expect):
    """`onsets`: the onset of three sealed streams, read from figures; the seal gives the truth."""
    for name, slack in SLACK.items():
        start = sealed_drift(name).start
        what = f"stream {name}: within {slack:,} rows of its onset"
        if name == "A":
            expect.within(answer[name], start - slack, start + slack, what)
            continue
        with expect.defining():
            expect.within(answer[name], start - slack, start + slack, what)


@onsets.acceptable
def _as_near_as_asked(answer, rng):
    """Whether each onset is as near to the sealed one as the statement asks."""
    read = dict(zip("ABC", answer, strict=True)) if isinstance(answer, list | tuple) else answer
    return all(abs(read[name] - sealed_drift(name).start) <= slack for name, slack in SLACK.items())


def _off(seen):
    """How far each answer is from the truth, A, B, C."""
    return [float(got) - float(want) for _, _, got, want in seen.verdicts]


def _starts():
    return {name: sealed_drift(name).start for name in SEALED}


@onsets.misconception(
    "C was read as it stands. Its errors are drawn at the tick at which the label came: the row itself was served earlier, by the label's delay.",
    when=lambda seen: seen.verdicts[0][1] and abs(_off(seen)[2] - LATE) <= 600,
)
def delay_forgotten():
    return _starts() | {"C": _starts()["C"] + LATE}


@onsets.misconception(
    "the delay was added to C. Labels come after their rows: go back in time.",
    when=lambda seen: seen.verdicts[0][1] and abs(_off(seen)[2] - 2 * LATE) <= 600,
)
def delay_on_the_wrong_side():
    return _starts() | {"C": _starts()["C"] + 2 * LATE}


@onsets.misconception(
    "B's onset was put into the climb or at its end. In the middle half of the rows are new already; the onset is where the mixture begins.",
    when=lambda seen: (
        seen.verdicts[0][1] and seen.verdicts[2][1] and 1000 < _off(seen)[1] < sealed_drift("B").width + 1000
    ),
)
def middle_of_the_ramp():
    return _starts() | {"B": _starts()["B"] + sealed_drift("B").width // 2}


@onsets.misconception(
    "the moment of being sure was given, when the new level had settled. That is when you noticed; it began earlier. The difference is called detection delay.",
    when=lambda seen: all(500 < off < 2200 for off in (_off(seen)[0], _off(seen)[2])) and _off(seen)[1] > 500,
)
def when_noticed():
    return {name: start + 1200 for name, start in _starts().items()}


@onsets.alternative
def as_seen_in_hundreds():
    return {name: round(start, -2) for name, start in _starts().items()}


@onsets.alternative
def as_a_series():
    return pd.Series(_starts(), dtype=float) + 200.0


@onsets.alternative
def as_a_list():
    return [round(start / 250) * 250 for start in _starts().values()]


# ------------------------------------------------------------------ 1.6 debug a drift alarm


def _late_log(rng):
    """A log as it stands after some days: label is missing where it has not come; hard cases come late.

    The days begin anywhere and have gaps, their rows differ in number, and of two of them no label has come.
    """
    first, length = int(rng.integers(30, 60)), int(rng.integers(16, 26))
    gaps = rng.choice(np.arange(2, length - 8), size=2, replace=False)
    days = first + np.delete(np.arange(length), gaps)
    day = np.repeat(days, rng.integers(20, 60, len(days)))
    hard = rng.random(len(day))
    label = rng.normal(100, 20, len(day)) + 60 * hard
    error = rng.normal(0, 2 + 14 * hard + (day >= np.median(days)) * 6)
    label_day = day + np.floor(rng.exponential(0.5 + 4 * hard))
    log = pd.DataFrame(
        {
            "day": day,
            "prediction": (label - error).round(1),
            "label": label.round(1),
            "label_day": label_day,
        }
    )
    silent = [days[-1], days[int(rng.integers(3, len(days) - 6))]]
    out = (label_day > days[-1]) | np.isin(day, silent)
    log.loc[out, ["label", "label_day"]] = np.nan
    return log.sample(frac=1, random_state=int(rng.integers(1000)))


def _error_by_day(log):
    error = (log["label"] - log["prediction"]).abs()
    return pd.DataFrame(
        {"error": error.groupby(log["day"]).mean(), "missing": log["label"].isna().groupby(log["day"]).mean()}
    )


def _by_day(got, days):
    """`error` and `missing` of an answer as arrays over `days`, which stand in its index or in a column `day`."""
    index = got["day"] if "day" in got.columns else got.index
    place = {day: i for i, day in enumerate(index.tolist())}
    columns = (
        pd.to_numeric(got[name], errors="coerce").astype(float).to_numpy() for name in ("error", "missing")
    )
    return tuple(
        np.array([column[place[day]] if day in place else np.nan for day in days]) for column in columns
    )


def _days_of(got):
    return (got["day"] if "day" in got.columns else got.index).tolist()


@exercise(
    "1.6",
    "Debug a drift alarm",
    answers=("error_by_day",),
    points=4,
    minutes=7,
    objective="1.b",
    edition=2,
    kind=Function("log", returns=Frame(columns=("error", "missing")), may_change=("log",)),
    hints=(
        "Three lines of the colleague's function need a look: the one that fills, the one that groups, the one that counts.",
        "`mean` skips missing values by itself: there is nothing to fill.",
        '`log["label"].isna().groupby(log["day"]).mean()` is the share of a day\'s rows that nobody can judge yet.',
    ),
)
def error_by_day(answer, rng, expect):
    """`error_by_day(log)`: by day of the prediction, the mean absolute error known so far and the share of rows not yet known."""
    log = _late_log(rng)
    want, got = _error_by_day(log), answer(log)
    days, found = want.index.tolist(), _days_of(got)
    absent, extra = len(set(days) - set(found)), len(set(found) - set(days))
    expect.true(
        sorted(found, key=repr) == sorted(days, key=repr) or (len(found) == len(days) and not absent),
        "one row for each day of the log, and no other",
        f"{absent} days are missing, {extra} are not in the log, {len(found) - len(set(found))} are there twice",
    )
    error, missing = _by_day(got, days)
    dark = want["error"].isna().to_numpy()
    late = ~dark & (np.arange(len(days)) >= len(days) - 6)
    early = ~dark & ~late
    expect.close(error[early], want["error"].to_numpy()[early], "error of the earlier days")
    with expect.defining():
        expect.close(
            error[late], want["error"].to_numpy()[late], "error of the last days, as far as it is known"
        )
        expect.close(
            missing[~dark], want["missing"].to_numpy()[~dark], "share of rows whose label has not come"
        )
    expect.true(
        bool(np.isnan(error[dark]).all()) and bool((missing[dark] == 1).all()),
        "two days without any label: error NaN, missing 1",
        f"error {', '.join(f'{each:.3g}' for each in error[dark])}, "
        f"missing {', '.join(f'{each:.3g}' for each in missing[dark])}",
    )
    done = log.dropna(subset=["label"]).assign(day=lambda rows: rows["day"] + 7)
    want, got = _error_by_day(done), answer(done)
    error, missing = _by_day(got, want.index.tolist())
    with expect.defining():
        expect.true(
            _agree(error, want["error"]) and _agree(missing, want["missing"]),
            "a log in which every label has come: missing is 0 on every day",
            "something else is there",
        )


def _agree(got, want):
    return bool(np.allclose(got, np.asarray(want, dtype=float), rtol=1e-6, equal_nan=True))


@error_by_day.inputs
def _logs_of_days(rng):
    day = np.repeat(np.arange(20), 8)
    label = rng.normal(100, 20, len(day)).round(1)
    log = pd.DataFrame(
        {
            "day": day,
            "prediction": label - rng.normal(0, 9, len(day)).round(1),
            "label": label,
            "label_day": day + 1.0,
        }
    )
    yield (log.assign(label=log["label"].where(day + np.arange(len(day)) % 5 < 19)),)
    yield (log,)
    yield (log.iloc[::-3],)
    yield (log[log["day"].isin([3, 4, 11])],)
    yield (log.assign(label=np.nan, label_day=np.nan),)
    yield (log.assign(label=log["label"].where(log["day"] != 7), day=log["day"] + 400),)
    yield (log.iloc[:1],)
    yield (log.iloc[:1].assign(label=np.nan, label_day=np.nan),)


def _reported(seen):
    """(log, error by day, missing by day, the same as they should be) of the first call."""
    log = seen.calls[0].given[0]
    want = _error_by_day(log)
    return log, *_by_day(seen.calls[0].output, want.index.tolist()), want


def _like(got, want):
    """Whether two columns agree, and say something."""
    want = np.asarray(want, dtype=float)
    return _agree(got, want) and not np.isnan(want).all()


@error_by_day.misconception(
    "errors were booked on the day on which the label came. The error belongs to the day of the prediction; otherwise a bad Monday shows up as a bad Thursday.",
    when=lambda seen: (
        lambda log, error, missing, want: _like(error, by_arrival(log)["error"].reindex(want.index))
    )(*_reported(seen)),
)
def by_arrival(log):
    error = (log["label"] - log["prediction"]).abs()
    found = pd.DataFrame({"error": error.groupby(log["label_day"]).mean()})
    return found.assign(missing=log["label"].isna().groupby(log["day"]).mean())


@error_by_day.misconception(
    "rows without a label were counted as if their error were zero, as when labels are filled with predictions: "
    "the monitor praises the model for what nobody knows yet.",
    when=lambda seen: (lambda log, error, missing, want: _like(error, praises_itself(log)["error"]))(
        *_reported(seen)
    ),
)
def praises_itself(log):
    filled = log["label"].fillna(log["prediction"])
    error = (filled - log["prediction"]).abs().groupby(log["day"]).mean()
    return pd.DataFrame({"error": error, "missing": log["label"].isna().groupby(log["day"]).mean()})


@error_by_day.misconception(
    "the colleague's function were still at work: it fills the missing labels, books errors on the day of arrival and calls nothing missing.",
)
def not_repaired(log):
    error = (log["label"].fillna(log["prediction"]) - log["prediction"]).abs()
    by_arrival = error.groupby(log["label_day"].fillna(log["day"])).mean()
    return pd.DataFrame({"error": by_arrival, "missing": 0.0})


@error_by_day.misconception(
    "rows without a label were thrown away before anybody counted them. Fast labels are the easy cases: say how many are still out.",
    when=lambda seen: (
        lambda log, error, missing, want: (
            _like(error, want["error"])
            and bool((missing[want["error"].notna()] == 0).all())
            and bool(np.isnan(missing[want["error"].isna()]).all())
        )
    )(*_reported(seen)),
)
def dropped_in_silence(log):
    return _error_by_day(log.dropna(subset=["label"]))


@error_by_day.misconception(
    "the missing labels were counted. A number means little when busy days have more rows: give the share of the day's rows.",
    when=lambda seen: (lambda log, error, missing, want: _like(missing, counted(log)["missing"]))(
        *_reported(seen)
    ),
)
def counted(log):
    found = _error_by_day(log)
    return found.assign(missing=log["label"].isna().groupby(log["day"]).sum())


@error_by_day.misconception(
    "the share that is known was given where the share that is missing was asked for. You are one step away.",
    when=lambda seen: (lambda log, error, missing, want: _like(missing, 1 - want["missing"]))(
        *_reported(seen)
    ),
)
def share_known(log):
    found = _error_by_day(log)
    return found.assign(missing=1 - found["missing"])


@error_by_day.alternative
def day_by_day(log):
    rows = []
    for day in sorted(log["day"].unique()):
        of_day = log[log["day"] == day]
        known = of_day.dropna(subset=["label"])
        errors = abs(known["prediction"] - known["label"])
        rows.append(
            {
                "day": day,
                "error": errors.mean() if len(known) else float("nan"),
                "missing": 1 - len(known) / len(of_day),
            }
        )
    return pd.DataFrame(rows)


@error_by_day.alternative
def with_bincount(log):
    days, at = np.unique(log["day"].to_numpy(), return_inverse=True)
    known = log["label"].notna().to_numpy()
    error = np.abs(log["prediction"] - log["label"]).to_numpy()
    rows, labels = np.bincount(at), np.bincount(at[known], minlength=len(days))
    total = np.bincount(at[known], error[known], minlength=len(days))
    with np.errstate(invalid="ignore"):
        return pd.DataFrame({"error": total / labels, "missing": 1 - labels / rows}, index=days)


# ------------------------------------------------------------------ 1.7 nine tickets

NINE = {
    "airport": "covariate",
    "jet stream": "concept",
    "flu": "prior",
    "kilometers": "fault",
    "campaign": "covariate",
    "fraud": "concept",
    "december": "concept",
    "forty rows": "nothing",
    "chatbot": "fault",
}


@exercise(
    "1.7",
    "Nine tickets",
    answers=("tickets",),
    points=4,
    minutes=5,
    core=True,
    objective="1.a",
    kind=Choice(
        {
            "airport": "flights to a new, far airport; on the known routes the error is as before",
            "jet stream": "same routes, same hours; each flight west takes longer than predicted",
            "flu": "three times as many are ill; among the ill, and among the healthy, symptoms are as ever",
            "kilometers": "since Tuesday's release all distances are 1.609 times as long, and so is their spread",
            "campaign": "younger users come; users of the same age behave as before",
            "fraud": "payments look as ever; those that used to be honest now turn out to be stolen",
            "december": "same weekdays, same prices, three weeks of higher sales; last December it was the same",
            "forty rows": "a holiday week with 40 requests instead of 4,000; the error is 12 % up",
            "chatbot": "since noon the field 'age' is empty in a third of the rows; in the others all is as before",
        },
        options=("concept", "covariate", "prior", "fault", "nothing"),
    ),
    hints=(
        "Ask in this order: is the pipe broken? Are there enough rows to say anything? Which of P(x), P(y | x), P(x | y) stands?",
        "'Users of the same age behave as before' says that P(y | x) stands. 'Among the ill, symptoms are as ever' says that P(x | y) does.",
        "Something that comes back each year is still a change of one of the three, as long as the model has no input for it.",
    ),
)
def tickets(answer, rng, expect):
    """Nine incident tickets, five diagnoses."""
    expect.cases(answer, NINE)


@tickets.misconception(
    "a change of units were a covariate shift. The numbers moved, the world did not: the pipe is broken. Repair it; a model that is retrained now learns the bug.",
)
def unit_is_covariate():
    return NINE | {"kilometers": "covariate"}


@tickets.misconception(
    "an empty field were a change of the people behind it. Nobody's age became unknown at noon: a sender stopped filling it in."
)
def gap_is_covariate():
    return NINE | {"chatbot": "covariate"}


@tickets.misconception(
    "the flu season were a new law. Ask: among the ill, do symptoms look as before? If P(x | y) stands, only the mix of ill and healthy moved."
)
def flu_is_concept():
    return NINE | {"flu": "concept"}


@tickets.misconception(
    "more ill people were a plain change of the inputs. They come with other symptoms on average, but not at random: the mix of y moved, and drew x along."
)
def flu_is_covariate():
    return NINE | {"flu": "covariate"}


@tickets.misconception(
    "what comes back each year were nothing. For three weeks the same inputs have other answers; that it will return tells you the pattern, recurring, and that a calendar column can learn it."
)
def december_is_nothing():
    return NINE | {"december": "nothing"}


@tickets.misconception(
    "an error that went up were a proof by itself. With 40 rows the mean error of a healthy model is 12 % up or down in many weeks: count the rows before you look for a cause."
)
def small_week_is_drift():
    return NINE | {"forty rows": "concept"}


@tickets.misconception(
    "new rows meant a new law. Where the same x has the same answer as before, the law stands; there is only more of a region that the model hardly knows."
)
def new_rows_new_law():
    return NINE | {"airport": "concept", "campaign": "concept"}


@tickets.alternative
def from_groups():
    groups = {
        "concept": ["jet stream", "fraud", "december"],
        "covariate": ["airport", "campaign"],
        "prior": ["flu"],
        "fault": ["kilometers", "chatbot"],
        "nothing": ["forty rows"],
    }
    return {ticket: word for word, some in groups.items() for ticket in some}


@tickets.alternative
def in_alphabetical_order():
    return dict(sorted(NINE.items()))


# ------------------------------------------------------------------ 1.8 which remedy?

WEEKS, ROWS, FEW, DELAY = 18, 400, 20, 2
_REFERENCE, _BINS = 1600, 5
LATE_KEYS = ("labels", "error", "law", "within", "labeled_rows")
INCIDENTS = ("concept", "covariate", "prior", "fault", "nothing")
ACTIONS = ("wait", "repair", "reweight", "retrain")
CURES = {"fault": ("repair",), "concept": ("retrain",), "prior": ("reweight", "retrain")}
PRICE = {"wait": 0, "repair": 1, "reweight": 1, "retrain": 10}
HARM, WRONG_REWEIGHT, LEARNED_THE_BUG = 3, 4, 6


def weekly_reports(kind, random_state):
    """What one service's monitors report over 18 weeks in which one thing may happen, and in which week it does.

    Parameters
    ----------
    kind : {"concept", "covariate", "prior", "fault", "nothing"}
    random_state : int or Generator

    Returns
    -------
    (list of dict, int)
        One report a week, oldest first, and the week of the onset, 4 to 7. `labels`, `error`, `law`, `within` and
        `labeled_rows` are those of the requests of two weeks before, None in the first two weeks.

    Examples
    --------
    >>> reports, onset = weekly_reports("concept", 0)
    >>> len(reports), reports[0]["law"], reports[onset + 2]["law"] > reports[onset + 1]["law"] + 0.1
    (18, None, True)
    """
    rng = np.random.default_rng(random_state)
    reports, onset = _draw_service(rng, kind, lost=rng.random() < 0.5, sign=int(rng.choice([-1, 1])))
    return list(reports), onset


def _draw_service(rng, kind, lost, sign):
    """As `weekly_reports`, of a fault that loses values or changes a unit, of a prior shift up or down.

    The reports come one by one: a case that is cured early costs no time.
    """
    onset = int(rng.integers(4, 8))
    start = _REFERENCE + onset * ROWS
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
        _REFERENCE + WEEKS * ROWS,
        drifts=drifts,
        faults=faults,
        n_features=2,
        concept=Linear(noise=0.15),
        random_state=int(rng.integers(2**31)),
    )
    few = rng.choice(WEEKS - DELAY, size=2, replace=False)
    return _week_by_week(stream, few), onset


def _week_by_week(stream, few):
    model = _Frozen(stream.X[:_REFERENCE], stream.y[:_REFERENCE])

    def rows(week):
        first = _REFERENCE + week * ROWS
        rows = slice(first, first + (FEW if week in few else ROWS))
        return stream.X[rows], stream.y[rows]

    for week in range(WEEKS):
        late = dict.fromkeys(LATE_KEYS) if week < DELAY else model.with_labels(*rows(week - DELAY))
        yield {"week": week, **model.at_once(rows(week)[0]), **late}


class _Frozen:
    """A linear model fitted once, and what it compares later weeks with."""

    def __init__(self, X, y):
        self.mean, self.sd = X.mean(axis=0), X.std(axis=0)
        self.weights = np.linalg.lstsq(np.column_stack([np.ones(len(X)), X]), y.astype(float), rcond=None)[0]
        score = self.score(X)
        self.positive, self.label = (score > 0.5).mean(), y.mean()
        self.error = ((score > 0.5) != y).mean()
        self.edges = np.quantile(score, np.arange(1, _BINS) / _BINS)
        bins = np.searchsorted(self.edges, score)
        self.law = np.bincount(bins, y, minlength=_BINS) / np.bincount(bins, minlength=_BINS)
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
        rows = np.bincount(bins, minlength=_BINS)
        there = rows > 0
        gap = np.abs(np.bincount(bins, y, minlength=_BINS)[there] / rows[there] - self.law[there])
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


def _cost(policy, kind, reports, onset):
    """What a policy costs on one stream; an effective remedy ends it."""
    total, memory = 0, {}
    for report in reports:
        action, memory = policy(report, memory)
        total += PRICE[action]
        trouble = kind in CURES and report["week"] >= onset
        # a retrained model needs labels of the new regime
        informed = action != "retrain" or report["week"] >= onset + DELAY
        if trouble:
            total += HARM
            if action in CURES[kind] and informed:
                break
        if action == "reweight":
            total += WRONG_REWEIGHT
        if action == "retrain" and trouble and kind == "fault":
            total += LEARNED_THE_BUG
    return total


def _knowing(kind, onset):
    """The policy that has seen the truth."""

    def policy(report, memory):
        late = {"fault": 0, "prior": DELAY, "concept": DELAY}
        due = kind in CURES and report["week"] == onset + late[kind]
        return (CURES[kind][0] if due else "wait"), memory

    return policy


def _waiting(report, memory):
    return "wait", memory


def _costs(answer, rng, kind, lost, sign):
    """What the answer, always waiting and the one who knows the truth cost on one drawn service."""
    reports, onset = _draw_service(rng, kind, lost, sign)
    weeks = [{"week": week} for week in range(WEEKS)]  # all that the last two read
    return (
        _cost(answer, kind, reports, onset),
        _cost(_waiting, kind, weeks, onset),
        _cost(_knowing(kind, onset), kind, weeks, onset),
    )


@exercise(
    "1.8",
    "Which remedy?",
    answers=("triage",),
    points=6,
    minutes=12,
    objective="1.d",
    edition=2,
    kind=Function(
        "report",
        "memory",
        returns=Several(Text(options=ACTIONS), Mapping(), names=("the action", "the memory")),
        may_change=("report", "memory"),
    ),
    hints=(
        "Go through the questions of the tickets in order: broken pipe, too few rows, and then which of P(x), P(y | x), P(x | y) stands.",
        "What needs no label: `missing` and `spread`. What needs labels is None in the first two weeks: ask for that before you compare.",
        "Read the limits off the tables above: where does `law` stand in quiet weeks, and where after a change? Does `within` move in a prior shift?",
        "If `law` moved and `within` did not, the mix of labels moved. If both did, the law did. If only inputs moved, nothing needs a remedy.",
    ),
)
def triage(answer, rng, expect):
    """`triage(report, memory)` on 15 drawn streams, in drawn order; each cure is needed in some of them."""
    bills = {name: [0, 0, 0] for name in (*MORE, "quiet")}
    for i in rng.permutation(len(STREAMS)):
        name, kind, lost, sign = STREAMS[i]
        bills[name] = [
            sum(pair) for pair in zip(bills[name], _costs(answer, rng, kind, lost, sign), strict=True)
        ]
    told = {
        "lost": "2 services whose pipe loses values",
        "unit": "2 services whose pipe changes a unit",
        "concept": "3 services whose law moves",
        "prior": "4 services whose mix of labels moves",
    }
    for name, what in told.items():
        yours, waiting, knowing = bills[name]
        limit = knowing + MORE[name] * SERVICES[name]
        with expect.defining() if name in ("concept", "prior") else contextlib.nullcontext():
            expect.true(
                yours <= limit,
                f"{what}: at most {limit}",
                f"you {yours}, always waiting {waiting}, knowing the truth {knowing}",
            )
    with expect.defining():
        expect.true(
            bills["quiet"][0] <= QUIET_LIMIT,
            f"4 services in which the law stands and the model is right: at most {QUIET_LIMIT}",
            f"you {bills['quiet'][0]}, always waiting 0, knowing the truth 0",
        )


SERVICES = {"lost": 2, "unit": 2, "concept": 3, "prior": 4}
MORE = {"lost": 12, "unit": 12, "concept": 7, "prior": 7}
"""What a policy may cost a service, beyond the one who knows the truth. Retraining in a prior shift costs 9 more."""
QUIET_LIMIT = 15
STREAMS = (
    *[("lost", "fault", True, 1)] * 2,
    *[("unit", "fault", False, 1)] * 2,
    *[("concept", "concept", True, 1)] * 3,
    *[("prior", "prior", True, 1), ("prior", "prior", True, -1)] * 2,
    *[("quiet", "covariate", True, 1), ("quiet", "nothing", True, 1)] * 2,
)
"""Line of the bill, kind, whether a fault loses values, direction of a prior shift: each of them is asked for."""


@triage.acceptable
def _cheap_enough(answer, rng):
    """Whether the answer costs, over many services, no more than the statement allows, kind by kind."""
    bills = {}
    for name, kind, lost, sign in STREAMS * 4:
        bills[name] = np.add(bills.get(name, 0), _costs(answer, rng, kind, lost, sign))
    near = all(bills[name][0] <= bills[name][2] + 4 * SERVICES[name] * more for name, more in MORE.items())
    return bool(near and bills["quiet"][0] <= 4 * QUIET_LIMIT)


def _decisions(seen):
    """(report, action) of each call."""
    return [(call.given[0], call.output[0]) for call in seen.calls if not call.error]


def _taken(seen):
    return {action for _, action in _decisions(seen)}


def _pipe_broken(report):
    return report["missing"] > 0.1 or (report["rows"] == ROWS and report["spread"] > 1.5)


def _law_moved(report):
    return report["labeled_rows"] == ROWS and report["law"] > 0.08


def _needless(seen):
    """How often a model was retrained or reweighted, by what spoke against it."""
    found = dict.fromkeys(("pipe", "few rows", "inputs", "nothing"), 0)
    for report, action in _decisions(seen):
        if action not in ("reweight", "retrain"):
            continue
        if _pipe_broken(report):
            found["pipe"] += 1
        elif report["labeled_rows"] == FEW:
            found["few rows"] += 1
        elif report["labeled_rows"] is None or report["law"] < 0.07:
            found["inputs" if report["inputs"] > 0.3 and report["rows"] == ROWS else "nothing"] += 1
    return found


def _answers(seen, action, asks):
    """The share of the full reports for which `asks` that drew this action; 0 where there is none."""
    drawn = [taken == action for report, taken in _decisions(seen) if report["rows"] == ROWS and asks(report)]
    return sum(drawn) / max(len(drawn), 1)


def _calm(report):
    """A full report that gives nothing to do."""
    quiet = report["labeled_rows"] is None or (
        report["labeled_rows"] == ROWS and report["law"] < 0.07 and report["error"] < 1.3
    )
    return not _pipe_broken(report) and report["inputs"] < 0.2 and quiet


def _acts_on_inputs_alone(seen):
    """Whether inputs that moved were treated although nothing was wrong with the labels that were known."""
    return any(
        action in ("reweight", "retrain") and report["inputs"] > 0.3 and abs(report["labels"] or 0) < 0.1
        for report, action in _decisions(seen)
        if report["rows"] == ROWS and not _pipe_broken(report)
    )


def _treats_a_quiet_law(seen):
    """Whether a law that moved under inputs that stand was ever answered by a retraining or reweighting."""
    return any(
        action in ("reweight", "retrain") and _law_moved(report) and report["inputs"] < 0.25
        for report, action in _decisions(seen)
    )


@triage.misconception(
    "waiting were free. Nothing is spent on needless work, and each real incident runs on to the end.",
    when=lambda seen: _taken(seen) == {"wait"},
)
def never(report, memory):
    return "wait", memory


@triage.misconception(
    "every alarm were answered by a retraining. On a broken pipe the model learns the bug, on moved inputs it learns what it knew already, "
    "and before the new labels have come there is nothing to learn from.",
    when=lambda seen: (
        _taken(seen) == {"wait", "retrain"}
        and _acts_on_inputs_alone(seen)
        and _answers(seen, "retrain", _pipe_broken) > 0.6
        and _answers(seen, "retrain", _calm) < 0.1
    ),
)
def always_retrain(report, memory):
    alarm = report["inputs"] > 0.3 or report["missing"] > 0.1 or (report["error"] or 0) > 1.5
    return ("retrain" if alarm and report["rows"] > 100 else "wait"), memory


@triage.misconception(
    "only the inputs were looked at. A concept drift leaves them as they are, so these services ran on to the end, and harmless shifts of the inputs were treated.",
    when=lambda seen: (
        not _treats_a_quiet_law(seen) and _acts_on_inputs_alone(seen) and "repair" in _taken(seen)
    ),
)
def inputs_only(report, memory):
    if report["missing"] > 0.1 or report["spread"] > 1.5:
        return "repair", memory
    return ("reweight" if report["inputs"] > 0.3 and report["rows"] > 100 else "wait"), memory


@triage.misconception(
    "twenty rows were believed. In such a week every measure jumps about; look at the number of rows, and of labeled rows, before you act.",
    when=lambda seen: (
        _needless(seen)["few rows"] >= 2 and _most(seen) == "few rows" and _treats_a_quiet_law(seen)
    ),
)
def believes_twenty_rows(report, memory):
    if report["missing"] > 0.1 or report["spread"] > 1.5:
        return "repair", memory
    if report["law"] is not None and report["law"] > 0.08:
        return ("retrain" if report["within"] > 0.21 else "reweight"), memory
    return "wait", memory


def _most(seen):
    """What spoke against more than half of the needless work, "" where nothing did."""
    found = _needless(seen)
    return next((why for why, n in found.items() if 2 * n > sum(found.values())), "")


@triage.misconception(
    "inputs that move had to be treated. Where the law stands and the model knows it, moved inputs are no damage: see whether `law` moved as well.",
    when=lambda seen: (
        _most(seen) == "inputs"
        and _acts_on_inputs_alone(seen)
        and _treats_a_quiet_law(seen)
        and "repair" in _taken(seen)
    ),
)
def treats_every_shift(report, memory):
    if report["missing"] > 0.1 or report["spread"] > 1.5:
        return "repair", memory
    if report["rows"] < 100 or report["law"] is None or report["labeled_rows"] < 100:
        return "wait", memory
    if report["inputs"] > 0.5:
        return "retrain", memory
    if report["law"] > 0.08:
        return ("retrain" if report["within"] > 0.21 else "reweight"), memory
    return "wait", memory


@triage.misconception(
    "nobody looked at the pipe first. Missing values and a changed spread need no label and no model: see them before anything is learned from these rows.",
    when=lambda seen: (
        "repair" not in _taken(seen) and _treats_a_quiet_law(seen) and not _needless(seen)["inputs"]
    ),
)
def forgets_the_pipe(report, memory):
    if report["law"] is None or report["labeled_rows"] < 100:
        return "wait", memory
    if report["law"] > 0.08:
        return ("retrain" if report["within"] > 0.21 else "reweight"), memory
    return "wait", memory


@triage.misconception(
    "a new mix of labels was answered by a retraining. That works, at ten times the price: where `within` stands, the classes look as before, "
    "and the odds can be corrected without a new model.",
    when=lambda seen: (
        _taken(seen) == {"wait", "repair", "retrain"}
        and sum(_needless(seen).values()) <= 1
        and any(
            action == "retrain" and _law_moved(report) and report["within"] < 0.15
            for report, action in _decisions(seen)
        )
    ),
)
def retrains_a_new_mix(report, memory):
    if report["missing"] > 0.1 or report["spread"] > 1.5:
        return "repair", memory
    if report["labeled_rows"] is None or report["labeled_rows"] < 100:
        return "wait", memory
    return ("retrain" if report["law"] > 0.08 else "wait"), memory


@triage.alternative
def with_a_second_look(report, memory):
    """Acts when two full reports in a row say the same."""
    if ROWS not in (report["rows"], report["labeled_rows"]):
        return "wait", memory
    finding = "wait"
    if report["rows"] == ROWS and (report["missing"] > 0.05 or not 0.7 < report["spread"] < 1.45):
        finding = "repair"
    elif report["labeled_rows"] != ROWS:
        return "wait", memory
    elif report["law"] > 0.075:
        moved = abs(report["labels"]) > 0.15
        finding = "reweight" if moved and report["within"] < 0.27 else "retrain"
    last = memory.get("last", "wait")
    return (finding if finding == last else "wait"), {"last": finding}


@triage.alternative
def by_the_error(report, memory):
    """The error, not the law, tells a concept drift; labels tell a prior shift."""
    known = report["labeled_rows"] is not None and report["labeled_rows"] == ROWS
    if report["rows"] == ROWS and (report["missing"] > 0 or abs(np.log(report["spread"])) > 0.4):
        return "repair", memory
    if known and report["error"] > 1.6:
        return "retrain", memory
    if known and abs(report["labels"]) > 0.15 and report["within"] < 0.27 and report["law"] > 0.065:
        return "reweight", memory
    return "wait", memory
