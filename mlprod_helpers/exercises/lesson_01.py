"""Exercises of lesson 01, drift types: what moved, which monitor can see it, since when, and what to do."""

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

EDITION = 1


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
    from sklearn.ensemble import HistGradientBoostingRegressor

    from mlprod_helpers.datasets import load_flights, load_weather

    model = HistGradientBoostingRegressor(max_iter=40, categorical_features="from_dtype", random_state=0)

    def served(rows, inputs, target, trained, held_out):
        model.fit(rows.loc[trained, inputs], rows.loc[trained, target])
        rows = rows.assign(prediction=model.predict(rows[inputs]), label=rows[target])
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


def _binned(rng, shares, means, n):
    """A frame with x inside bins of width 10 and y around the mean of its bin."""
    bins = rng.choice(len(shares), size=n, p=shares)
    x = 10 * bins + rng.uniform(0.5, 9.5, n)
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
    kind=Function("reference", "current", "edges", returns=Number()),
    hints=(
        "`by_bin` gives size and mean of y for each bin, once for each table. Which difference do you want, and which sizes are its weights?",
        "A bin with rows in only one of the tables has nothing to compare: keep those where both sizes are above 0.",
        "`change = new['mean'] - old['mean']` over the shared bins, then its mean weighted by `new['size']`; NaN if there is no shared bin.",
    ),
)
def conditional_change(answer, rng, expect):
    """`conditional_change(reference, current, edges)`: how far y moved at the same x, on average over the current rows."""
    edges = [0, 10, 20, 30, 40]
    old, new = rng.permutation([0.15, 0.2, 0.25, 0.4]), rng.permutation([0.1, 0.2, 0.2, 0.5])
    if np.array_equal(old.argsort(), new.argsort()):
        new = new[::-1]
    law = np.sort(rng.uniform(20, 60, 4))
    bent = law + rng.permutation([0.0, 4.0, -7.0, 12.0])
    gap = new.copy()
    gap[3] = 0
    worlds = (
        ("only the mix of x moved", _binned(rng, old, law, 400), _binned(rng, new, law, 300)),
        ("the law moved, the mix did not", _binned(rng, old, law, 400), _binned(rng, old, law - 6, 300)),
        (
            "both moved, the law not everywhere alike",
            _binned(rng, old, law, 400),
            _binned(rng, new, bent, 250),
        ),
        (
            "a region that the reference has never seen",
            _binned(rng, gap / gap.sum(), law, 400),
            _binned(rng, new, law + 8, 300),
        ),
    )
    for what, reference, current in worlds:
        want = _inside_bins(reference, current, edges)
        expect.close(answer(reference, current, edges), want, what)
    low, high = (_binned(rng, shares, law, 200) for shares in ([0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]))
    expect.nan(answer(low, high, edges), "no bin has rows of both tables: unknown, so NaN")


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


def _world(rng, kind, swap, n=20_000):
    """Two tables of counts, rows x, columns y, of a world in which this kind of drift happened.

    With `swap` a concept drift leaves P(y) nearly as it was.
    """
    p_x = np.full(4, 0.25) + rng.permutation([-0.03, -0.01, 0.01, 0.03])
    p_y = rng.permutation([0.25, 0.4, 0.6, 0.75]) + rng.uniform(-0.03, 0.03, 4)
    lowest, highest = int(p_y.argmin()), int(p_y.argmax())
    new_x, new_y = p_x.copy(), p_y.copy()
    if kind == "covariate":
        donor, taker = rng.permutation([lowest, highest])
        new_x[[donor, taker]] += [-0.14, 0.14]
    elif kind == "prior":
        odds = np.exp(rng.choice([-1, 1]) * rng.uniform(1.25, 1.45))
        joint = np.column_stack([p_x * (1 - p_y), p_x * p_y * odds])
        joint /= joint.sum()
        new_x, new_y = joint.sum(axis=1), joint[:, 1] / joint.sum(axis=1)
    elif kind == "concept":
        if swap:
            new_y[[lowest, highest]] = p_y[[highest, lowest]]
        else:
            changed = rng.choice([lowest, highest])
            new_y[changed] = 1 - p_y[changed]
    else:  # crumbs: significant at this n, and of no weight
        new_x += rng.permutation([-0.02, 0.0, 0.0, 0.02])
        new_y += rng.choice([-1, 1], 4) * 0.012
    return _counts(rng, p_x, p_y, n), _counts(rng, new_x, new_y, n)


def _counts(rng, p_x, p_y, n):
    joint = np.column_stack([p_x * (1 - p_y), p_x * p_y])
    counts = rng.multinomial(n, joint.ravel() / joint.sum()).reshape(4, 2)
    return pd.DataFrame(counts, index=list("abcd"), columns=["no", "yes"])


@exercise(
    "1.3",
    "Diagnose from tables",
    answers=("diagnose",),
    points=4,
    minutes=9,
    objective="1.a",
    kind=Function("reference", "current", returns=Text(options=TYPES)),
    hints=(
        "Divide a table by the sums of its rows, and by the sums of its columns: which of the two is P(y | x)?",
        "Ask first whether P(y | x) stands. If it does, only one question is left. If not, ask whether P(x | y) does.",
        "`given_x = table.div(table.sum(axis=1), axis=0)`, and `(given_x_now - given_x_then).abs().to_numpy().max() > 0.05`.",
    ),
)
def diagnose(answer, rng, expect):
    """`diagnose(reference, current)` on 24 drawn pairs of tables, six of each kind."""
    told = {
        "concept": "6 worlds whose law moved",
        "covariate": "6 worlds in which the mix of x moved, and nothing else",
        "prior": "6 worlds in which the mix of y moved, and nothing else",
        "none": "6 worlds in which no share moved by more than 0.05",
    }
    right = dict.fromkeys(told, 0)
    for i in rng.permutation(24):
        kind, swap = list(told)[i % 4], i % 8 < 4
        right[kind] += answer(*_world(rng, kind, swap)) == kind
    for kind, what in told.items():
        expect.within(right[kind], 5, 6, f"{what}: at least 5 recognized", show=True)


def _moved(reference, current):
    """Which of P(x), P(y), P(y | x), P(x | y) moved by more than 0.05?"""
    r, c = np.asarray(reference, dtype=float), np.asarray(current, dtype=float)
    changes = {
        "x": c.sum(1) / c.sum() - r.sum(1) / r.sum(),
        "y": c.sum(0) / c.sum() - r.sum(0) / r.sum(),
        "y|x": c / c.sum(1, keepdims=True) - r / r.sum(1, keepdims=True),
        "x|y": c / c.sum(0) - r / r.sum(0),
    }
    return {name: bool(np.abs(change).max() > 0.05) for name, change in changes.items()}


@diagnose.misconception(
    "every table whose P(x) moved was called covariate. A prior shift moves P(x) too: more ill people bring more fever. "
    "Ask which conditional stands, P(y | x) or P(x | y).",
    when=lambda seen: _rights(seen) == (True, True, False, True) and "prior" not in _named(seen),
)
def inputs_first(reference, current):
    moved = _moved(reference, current)
    if moved["x"]:
        return "covariate"
    return "concept" if moved["y|x"] else "none"


@diagnose.misconception(
    "P(y) decided alone. The mix of labels can move because the mix of x moved, and it can stay while the law is turned "
    "upside down. Neither needs the other: look at P(y | x).",
    when=lambda seen: not _rights(seen)[0] and not _rights(seen)[1] and _rights(seen)[3],
)
def labels_decide(reference, current):
    moved = _moved(reference, current)
    if moved["y"]:
        return "concept"
    return "covariate" if moved["x"] else "none"


@diagnose.misconception(
    "every significant difference was called drift. With 20,000 rows each crumb is significant; the task asks how large it is.",
    when=lambda seen: not _rights(seen)[3] and "none" not in _named(seen) and len(_named(seen)) > 1,
)
def by_pvalue(reference, current):
    from scipy.stats import chi2_contingency

    r, c = np.asarray(reference), np.asarray(current)
    law = min(chi2_contingency(np.array([r[i], c[i]])).pvalue for i in range(4))
    mix = min(chi2_contingency(np.array([r[:, j], c[:, j]])).pvalue for j in range(2))
    if law >= 0.05:
        return "covariate"
    return "prior" if mix >= 0.05 else "concept"


@diagnose.misconception(
    "the two conditionals changed places: dividing by the sums over x gives P(x | y). Check one by hand: in P(y | x) each row of the "
    "table adds up to 1.",
    when=lambda seen: not _rights(seen)[1] and not _rights(seen)[2] and _rights(seen)[0] and _rights(seen)[3],
)
def swapped_conditionals(reference, current):
    moved = _moved(reference, current)
    if not moved["x|y"]:
        return "covariate" if moved["x"] else "none"
    return "concept" if moved["y|x"] else "prior"


def _rights(seen):
    """Whether concept, covariate, prior and none are recognized."""
    return tuple(ok for _, ok, *_ in seen.verdicts)


def _named(seen):
    return set(seen.outputs)


@diagnose.alternative
def in_plain_loops(reference, current):
    tables = [table.to_numpy().tolist() for table in (reference, current)]
    whole = [sum(map(sum, table)) for table in tables]
    labels = [[sum(row[j] for row in table) for j in range(2)] for table in tables]
    inputs = law = within = 0
    for i in range(4):
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
    if max(law, within, inputs) < 0.05:
        return "none"
    if law < 0.05:
        return "covariate"
    return "prior" if within < 0.05 else "concept"


# ------------------------------------------------------------------ 1.4 four patterns


@exercise(
    "1.4",
    "Four patterns",
    answers=("regime",),
    points=3,
    minutes=6,
    objective="1.c",
    kind=Function("n", "pattern", "start", "width", "seed", returns=Array(ndim=1)),
    hints=(
        "`t = np.arange(n)` and `way = np.clip((t - start) / width, 0, 1)` are what gradual and incremental have in common. What differs?",
        "Gradual: at row t the new regime has the chance `way[t]`, and each row is old or new. `rng.random(n) < way` draws that.",
        "Recurring: `(t - start) // width` counts the seasons since the start; the even ones are new.",
    ),
)
def regime(answer, rng, expect):
    """`regime(n, pattern, start, width, seed)`: for each of n rows where it stands between old (0) and new (1)."""
    n = 4000
    t = np.arange(n)
    start, width = int(rng.integers(700, 1300)), int(rng.integers(500, 900))
    got = {
        pattern: answer(n, pattern, start, width, int(rng.integers(1000))).astype(float)
        for pattern in ("sudden", "gradual", "incremental", "recurring")
    }
    expect.equal(
        got["sudden"], (t >= start).astype(float), f"sudden: all new from row {start}, all old before"
    )
    gradual = got["gradual"]
    complete = len(gradual) == n
    expect.true(
        complete and bool(np.isin(gradual, [0, 1]).all()),
        "gradual: each row is either old or new",
        "some rows are in between",
    )
    thirds = np.array_split(gradual[start : start + width], 3) if complete else []
    shares = [float(part.mean()) for part in thirds] or [float("nan")] * 3
    outside = complete and not gradual[:start].any() and bool((gradual[start + width :] == 1).all())
    expect.true(
        outside
        and all(
            abs(share - wanted) < 0.13 for share, wanted in zip(shares, (1 / 6, 1 / 2, 5 / 6), strict=True)
        ),
        "gradual: the share of new rows grows evenly from 0 to 1 within `width`",
        "it does not",
    )
    expect.close(
        got["incremental"],
        np.clip((t - start) / width, 0, 1),
        "incremental: the regime itself moves, through states in between",
        atol=2.5 / width,
    )
    expect.equal(
        got["recurring"],
        ((t >= start) & ((t - start) // width % 2 == 0)).astype(float),
        "recurring: `width` rows new, `width` rows old, and so on",
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


def _pattern_outputs(seen):
    return dict(
        zip(("sudden", "gradual", "incremental", "recurring"), map(np.asarray, seen.outputs), strict=True)
    )


@regime.misconception(
    "incremental was made as a mixture. Gradual: old and new rows take turns. Incremental: the regime itself moves, and in the middle of the way "
    "each row is of a regime that was never there before.",
    when=lambda seen: bool(np.isin(_pattern_outputs(seen)["incremental"], [0, 1]).all()),
)
def incremental_as_mixture(n, pattern, start, width, seed):
    return _regime(n, "gradual" if pattern == "incremental" else pattern, start, width, seed)


@regime.misconception(
    "gradual was made as a slow change of the regime. In a gradual drift there are two regimes and nothing in between; what grows is the share of "
    "rows that come from the new one.",
    when=lambda seen: not np.isin(_pattern_outputs(seen)["gradual"], [0, 1]).all(),
)
def gradual_in_between(n, pattern, start, width, seed):
    return _regime(n, "incremental" if pattern == "gradual" else pattern, start, width, seed)


@regime.misconception(
    "the new regime never went away again. Recurring means that the old one comes back, season after season.",
    when=lambda seen: bool((_pattern_outputs(seen)["recurring"][1400:] == 1).all()),
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
    kind=Mapping(keys=("A", "B", "C"), values=Number(low=0, high=N_SEALED)),
    hints=(
        "The onset is the first row that can be touched by the new regime, not the row at which you are sure.",
        "B climbs for a while. Where does it leave its old level?",
        "The horizontal axis of C is the tick at which the label came. Of which row was that label?",
    ),
)
def onsets(answer, rng, expect):
    """`onsets`: the onset of three sealed streams, read from figures; the seal gives the truth."""
    slack = {"A": 500, "B": 1000, "C": 500}
    for name, within in slack.items():
        start = sealed_drift(name).start
        expect.within(
            answer[name], start - within, start + within, f"stream {name}: within {within} rows of its onset"
        )


def _off(seen):
    """How far each answer is from the truth, A, B, C; wrong ones only in hundreds that count."""
    return [float(got) - float(want) for _, _, got, want in seen.verdicts]


def _starts():
    return {name: sealed_drift(name).start for name in SEALED}


@onsets.misconception(
    "C was read as it stands. Its errors are drawn at the tick at which the label came: the row itself was served earlier, by the label's delay.",
    when=lambda seen: abs(_off(seen)[2] - LATE) <= 600,
)
def delay_forgotten():
    return _starts() | {"C": _starts()["C"] + LATE}


@onsets.misconception(
    "the delay was added to C. Labels come after their rows: go back in time.",
    when=lambda seen: abs(_off(seen)[2] - 2 * LATE) <= 600,
)
def delay_on_the_wrong_side():
    return _starts() | {"C": _starts()["C"] + 2 * LATE}


@onsets.misconception(
    "B's onset was put into the climb or at its end. In the middle half of the rows are new already; the onset is where the mixture begins.",
    when=lambda seen: seen.verdicts[0][1] and 1000 < _off(seen)[1] < sealed_drift("B").width + 1000,
)
def middle_of_the_ramp():
    return _starts() | {"B": _starts()["B"] + sealed_drift("B").width // 2}


@onsets.misconception(
    "the moment of being sure was given, when the new level had settled. That is when you noticed; it began earlier. The difference is called detection delay.",
    when=lambda seen: 500 < _off(seen)[0] < 3000,
)
def when_noticed():
    return {name: start + 1200 for name, start in _starts().items()}


@onsets.alternative
def as_seen_in_hundreds():
    return {name: round(start, -2) for name, start in _starts().items()}


@onsets.alternative
def as_a_series():
    return pd.Series(_starts(), dtype=float) + 200.0


# ------------------------------------------------------------------ 1.6 debug a drift alarm


def _late_log(rng, days=20, rows=40):
    """A log as it stands after `days` days: label is missing where it has not come; hard cases come late."""
    day = np.repeat(np.arange(days), rows)
    hard = rng.random(len(day))
    label = rng.normal(100, 20, len(day)) + 60 * hard
    error = rng.normal(0, 2 + 14 * hard + (day >= days // 2) * 6)
    label_day = day + np.floor(rng.exponential(0.5 + 4 * hard)).astype(int)
    log = pd.DataFrame(
        {
            "day": day,
            "prediction": (label - error).round(1),
            "label": label.round(1),
            "label_day": label_day.astype(float),
        }
    )
    log.loc[day == days - 1, "label_day"] = float(days)  # of the last day nothing is known yet
    return log.mask((log["label_day"] >= days).to_numpy()[:, None] & log.columns.isin(["label", "label_day"]))


def _error_by_day(log):
    error = (log["label"] - log["prediction"]).abs()
    return pd.DataFrame(
        {"error": error.groupby(log["day"]).mean(), "missing": log["label"].isna().groupby(log["day"]).mean()}
    )


@exercise(
    "1.6",
    "Debug a drift alarm",
    answers=("error_by_day",),
    points=4,
    minutes=7,
    objective="1.b",
    kind=Function("log", returns=Frame(columns=("error", "missing"))),
    hints=(
        "Three lines of the colleague's function need a look: the one that fills, the one that groups, the one that counts.",
        "`mean` skips missing values by itself: there is nothing to fill.",
        '`log["label"].isna().groupby(log["day"]).mean()` is the share of a day\'s rows that nobody can judge yet.',
    ),
)
def error_by_day(answer, rng, expect):
    """`error_by_day(log)`: by day of the prediction, the mean absolute error known so far and the share of rows not yet known."""
    days = int(rng.integers(16, 24))
    log = _late_log(rng, days)
    want, got = _error_by_day(log), answer(log.sample(frac=1, random_state=int(rng.integers(1000))))
    if "day" in got.columns:
        got = got.set_index("day")
    every = got.index.is_unique and set(range(days)) <= set(got.index)
    expect.true(
        every, "one row for each day on which predictions were made", "some days are missing, or there twice"
    )
    got = (
        got.reindex(range(days))
        if got.index.is_unique
        else pd.DataFrame(np.nan, range(days), ["error", "missing"])
    )
    error, missing = (
        pd.to_numeric(got[name], errors="coerce").astype(float).to_numpy() for name in ("error", "missing")
    )
    split = days - 6
    expect.close(error[:split], want["error"].to_numpy()[:split], "error of the earlier days")
    expect.close(
        error[split:-1], want["error"].to_numpy()[split:-1], "error of the last days, as far as it is known"
    )
    expect.close(missing[:-1], want["missing"].to_numpy()[:-1], "share of rows whose label has not come")
    expect.true(
        bool(np.isnan(error[-1])) and missing[-1] == 1,
        "the last day, without any label: error NaN, missing 1",
        "something else is there",
    )


@error_by_day.misconception(
    "errors were booked on the day on which the label came. The error belongs to the day of the prediction; otherwise a bad Monday shows up as a bad Thursday.",
    atol=1e-6,
)
def by_arrival(log):
    error = (log["label"] - log["prediction"]).abs()
    found = pd.DataFrame({"error": error.groupby(log["label_day"]).mean()})
    return found.assign(missing=log["label"].isna().groupby(log["day"]).mean())


@error_by_day.misconception(
    "missing labels were filled with predictions. Such rows have error zero: the monitor praises the model for what nobody knows yet.",
    atol=1e-6,
)
def praises_itself(log):
    filled = log["label"].fillna(log["prediction"])
    error = (filled - log["prediction"]).abs().groupby(log["day"]).mean()
    return pd.DataFrame({"error": error, "missing": log["label"].isna().groupby(log["day"]).mean()})


@error_by_day.misconception(
    "rows without a label were thrown away before anybody counted them. Fast labels are the easy cases: say how many are still out.",
    when=lambda seen: bool((pd.to_numeric(seen.outputs[0]["missing"]).fillna(0) == 0).all()),
)
def dropped_in_silence(log):
    return _error_by_day(log.dropna(subset=["label"]))


@error_by_day.misconception(
    "the missing labels were counted. A number means little when busy days have more rows: give the share of the day's rows.",
    when=lambda seen: pd.to_numeric(seen.outputs[0]["missing"]).max() > 1,
)
def counted(log):
    found = _error_by_day(log)
    return found.assign(missing=log["label"].isna().groupby(log["day"]).sum())


@error_by_day.misconception(
    "the share that is known was given where the share that is missing was asked for. You are one step away.",
    when=lambda seen: seen.outputs[0]["missing"].iloc[0] > seen.outputs[0]["missing"].iloc[-1],
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
    day = log["day"].to_numpy()
    known = log["label"].notna().to_numpy()
    error = np.abs(log["prediction"] - log["label"]).to_numpy()
    rows, labels = np.bincount(day), np.bincount(day[known], minlength=day.max() + 1)
    total = np.bincount(day[known], error[known], minlength=day.max() + 1)
    with np.errstate(invalid="ignore"):
        return pd.DataFrame({"error": total / labels, "missing": 1 - labels / rows})


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

WEEKS, ROWS, FEW, DELAY = 14, 400, 20, 2
_REFERENCE, _BINS = 1600, 5
INCIDENTS = ("concept", "covariate", "prior", "fault", "nothing")
ACTIONS = ("wait", "repair", "reweight", "retrain")
CURES = {"fault": ("repair",), "concept": ("retrain",), "prior": ("reweight", "retrain")}
PRICE = {"wait": 0, "repair": 1, "reweight": 1, "retrain": 4}
HARM, WRONG_REWEIGHT, LEARNED_THE_BUG = 3, 4, 6


def weekly_reports(kind, random_state):
    """What one service's monitors report over 14 weeks in which one thing may happen, and in which week it does.

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
    (14, None, True)
    """
    rng = np.random.default_rng(random_state)
    onset = int(rng.integers(4, 8))
    start = _REFERENCE + onset * ROWS
    drifts, faults = [], []
    if kind == "concept":
        drifts = [Drift("concept", "sudden", start, size=float(rng.uniform(0.25, 0.35)))]
    elif kind == "covariate":
        drifts = [Drift("covariate", "sudden", start, size=float(rng.uniform(0.8, 1.2)), features=0)]
    elif kind == "prior":
        size = float(rng.choice([-1, 1]) * rng.uniform(0.22, 0.28))
        drifts = [Drift("prior", "sudden", start, size=size)]
    elif kind == "fault" and rng.random() < 0.5:
        faults = [UnitChange("x0", 1.8, 3.2, start=start)]
    elif kind == "fault":
        faults = [MissingValues("x0", start=start, share=float(rng.uniform(0.25, 0.5)))]
    stream = make_stream(
        _REFERENCE + WEEKS * ROWS,
        drifts=drifts,
        faults=faults,
        n_features=2,
        concept=Linear(noise=0.15),
        random_state=int(rng.integers(2**31)),
    )
    few = rng.choice(WEEKS - DELAY, size=2, replace=False)
    model = _Frozen(stream.X[:_REFERENCE], stream.y[:_REFERENCE])
    reports = []
    for week in range(WEEKS):
        first = _REFERENCE + week * ROWS
        rows = slice(first, first + (FEW if week in few else ROWS))
        reports.append((model.at_once(stream.X[rows]), model.with_labels(stream.X[rows], stream.y[rows])))
    unknown = dict.fromkeys(reports[0][1])
    late = [unknown] * DELAY + [known for _, known in reports[:-DELAY]]
    return [
        {"week": week, **now, **then} for week, ((now, _), then) in enumerate(zip(reports, late, strict=True))
    ], onset


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
        ratio = np.nanstd(X, axis=0) / self.sd
        return {
            "rows": len(X),
            "missing": float(np.isnan(X).mean(axis=0).max()),
            "inputs": float(np.abs((np.nanmean(X, axis=0) - self.mean) / self.sd).max()),
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


@exercise(
    "1.8",
    "Which remedy?",
    answers=("triage",),
    points=6,
    minutes=12,
    objective="1.d",
    kind=Function(
        "report",
        "memory",
        returns=Several(Text(options=ACTIONS), Mapping(), names=("the action", "the memory")),
    ),
    hints=(
        "Go through the questions of the tickets in order: broken pipe, too few rows, and then which of P(x), P(y | x), P(x | y) stands.",
        "What needs no label: `missing` and `spread`. What needs labels is None in the first two weeks: ask for that before you compare.",
        "Read the limits off the tables above: where does `law` stand in quiet weeks, and where after a change? Does `within` move in a prior shift?",
        "If `law` moved and `within` did not, the mix of labels moved. If both did, the law did. If only inputs moved, nothing needs a remedy.",
    ),
)
def triage(answer, rng, expect):
    """`triage(report, memory)` on 15 drawn streams, three of each kind, in drawn order."""
    cost, waiting, knowing = ({kind: 0 for kind in INCIDENTS} for _ in range(3))
    for kind in rng.permutation(np.repeat(INCIDENTS, 3)):
        reports, onset = weekly_reports(str(kind), rng)
        cost[kind] += _cost(answer, kind, reports, onset)
        waiting[kind] += _cost(_waiting, kind, reports, onset)
        knowing[kind] += _cost(_knowing(kind, onset), kind, reports, onset)
    told = {
        "fault": "3 streams with a broken pipe",
        "concept": "3 streams whose law moves",
        "prior": "3 streams whose mix of labels moves",
    }
    for kind, what in told.items():
        limit = (7 * waiting[kind] + 3 * knowing[kind]) // 10
        expect.within(
            cost[kind],
            0,
            limit,
            f"{what}: costs at most {limit} (always waiting {waiting[kind]}, knowing the truth {knowing[kind]})",
            show=True,
        )
    expect.within(
        cost["covariate"] + cost["nothing"],
        0,
        8,
        "6 streams in which the law stands and the model is right: costs at most 8 (always waiting 0)",
        show=True,
    )


def _decisions(seen):
    """(report, action) of each call."""
    return [(call.given[0], call.output[0]) for call in seen.calls if not call.error]


def _taken(seen):
    return {action for _, action in _decisions(seen)}


@triage.misconception(
    "waiting were free. Nothing is spent on needless work, and each real incident runs on to the end.",
    when=lambda seen: _taken(seen) == {"wait"},
)
def never(report, memory):
    return "wait", memory


@triage.misconception(
    "every alarm were answered by a retraining. On a broken pipe the model learns the bug, on moved inputs it learns what it knew already, "
    "and before the new labels have come there is nothing to learn from.",
    when=lambda seen: "retrain" in _taken(seen) <= {"wait", "retrain"} and len(seen.verdicts) == 4,
)
def always_retrain(report, memory):
    alarm = report["inputs"] > 0.3 or report["missing"] > 0.1 or (report["error"] or 0) > 1.5
    return ("retrain" if alarm and report["rows"] > 100 else "wait"), memory


@triage.misconception(
    "only the inputs were looked at. A concept drift leaves them as they are, so these streams ran on to the end, and harmless shifts of the inputs were treated.",
    when=lambda seen: (
        not seen.verdicts[1][1]
        and all(
            action != "retrain"
            for report, action in _decisions(seen)
            if report["inputs"] < 0.25 and report["missing"] < 0.1
        )
    ),
)
def inputs_only(report, memory):
    if report["missing"] > 0.1 or report["spread"] > 1.5:
        return "repair", memory
    return ("reweight" if report["inputs"] > 0.3 and report["rows"] > 100 else "wait"), memory


@triage.misconception(
    "twenty rows were believed. In such a week every measure jumps about; look at the number of rows, and of labeled rows, before you act.",
    when=lambda seen: any(
        action in ("reweight", "retrain") and report["labeled_rows"] == FEW
        for report, action in _decisions(seen)
    ),
)
def believes_twenty_rows(report, memory):
    if report["missing"] > 0.1 or report["spread"] > 1.5:
        return "repair", memory
    if report["law"] is not None and report["law"] > 0.08:
        return ("retrain" if report["within"] > 0.21 else "reweight"), memory
    return "wait", memory


@triage.misconception(
    "measures were compared before there were any. `labels`, `error`, `law`, `within` and `labeled_rows` are None in the first two weeks: "
    "the labels are not there yet. Ask for that first, and decide what to do without them.",
    when=lambda seen: any(call.error == "TypeError" and call.given[0]["week"] < DELAY for call in seen.calls),
)
def reads_what_is_not_there(report, memory):
    if report["labeled_rows"] < 100:
        return "wait", memory
    return ("retrain" if report["law"] > 0.08 else "wait"), memory


@triage.misconception(
    "inputs that move had to be treated. Where the law stands and the model knows it, moved inputs are no damage: see whether `law` moved as well.",
    when=lambda seen: (
        not seen.verdicts[3][1]
        and any(
            action in ("reweight", "retrain") and report["inputs"] > 0.5 and (report["law"] or 0) < 0.07
            for report, action in _decisions(seen)
        )
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
    when=lambda seen: len(seen.verdicts) == 4 and not seen.verdicts[0][1] and "repair" not in _taken(seen),
)
def forgets_the_pipe(report, memory):
    if report["law"] is None or report["labeled_rows"] < 100:
        return "wait", memory
    if report["law"] > 0.08:
        return ("retrain" if report["within"] > 0.21 else "reweight"), memory
    return "wait", memory


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
