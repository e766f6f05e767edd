"""Exercise 1.3, Diagnose from tables."""

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Function, Text, exercise

TYPES = ("concept", "covariate", "prior", "none")

LIMIT, MARGIN = 0.05, 0.002

# worlds of these variants have one share just above the limit: a limit that is a little off gives another answer
CLOSE = {("covariate", 6): "x", ("prior", 6): "y|x", ("concept", 4): "x|y"}


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
    one = {0: k - 1, 2: 0}.get(variant % 4, int(rng.integers(k)))  # the last row alone, or the first
    if kind == "none":
        # in two worlds, neighbors change in the same direction: added up, these changes would count
        steps, size = np.linspace(-1, 1, k), rng.uniform(0, 0.05)
        new_x += steps * rng.uniform(0.04, 0.047) if variant % 4 == 2 else rng.permutation(steps) * size
        new_y += rng.choice([-1, 1], k) * rng.uniform(0, 0.05, k)
    elif kind == "covariate" and variant % 4 == 1:  # so little, and y so clear from x, that P(x | y) stands
        size = rng.uniform(0.053, 0.06)
        new_x += np.where(np.arange(k) == one, -size, size / (k - 1)) * rng.choice([-1, 1])
    elif kind == "covariate":
        if variant == 6:
            size = rng.uniform(0.052, 0.055)
        new_x += np.where(np.arange(k) == one, -size, size / (k - 1)) * (1 if variant // 2 % 2 else -1)
    elif kind == "prior":
        size = rng.uniform(0.3, 1.4) if variant % 2 else rng.uniform(0.2, 0.3)
        if variant == 6:
            size = rng.uniform(0.21, 0.22)
        odds = np.exp(size if variant // 2 % 2 else -size)
        no, yes = p_x * (1 - p_y), p_x * p_y
        if variant == 4:  # the classes look a little different too: only added up, the changes count
            yes += np.r_[np.full(k - 2, 0.076 / (k - 2)), -0.03, -0.046] * yes.sum()
            no += np.r_[np.full(k - 1, -0.02 / (k - 1)), 0.02] * no.sum()
        new_x, new_y = _of_columns(no, yes * odds)
    elif variant % 5 == 0:  # the law of half of the rows, and P(y) with it
        new_y[k // 2 :] += rng.choice([-1, 1]) * rng.uniform(0.2, 0.35)
    elif variant % 5 == 1:  # the law of two rows, while P(y) stands
        new_y[one] += rng.choice([-1, 1]) * 2 * size
        other = (one + 1) % k
        new_y[other] -= (new_y[one] - p_y[one]) * p_x[one] / p_x[other]
    elif variant % 5 == 2:  # both
        new_x += np.where(np.arange(k) == one, -size, size / (k - 1))
        new_y[one] += rng.choice([-1, 1]) * 2 * size
    else:  # only the "yes" look different, or only the "no"
        no, yes = p_x * (1 - p_y), p_x * p_y
        column = yes if variant % 5 == 3 else no
        if variant == 4:
            size = rng.uniform(0.052, 0.055)
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
        if kind == "covariate" and variant % 4 == 1:
            p_y = 0.5 + rng.permutation(np.linspace(-0.4, 0.4, k))
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
    if (kind, variant) in CLOSE:
        return changes[CLOSE[kind, variant]] < LIMIT + 0.0048
    if kind == "prior" and variant == 4:
        return changes["x|y"] > 0.045
    if kind == "none":
        if variant % 2 == 0 and (changes["x|y"] > LIMIT) == (variant % 4 == 0):
            return False  # P(x | y) moves in two of these worlds, though neither P(x) nor P(y | x) does
        return max(changes.values()) > 0.04 and (variant % 2 == 0 or changes["y|x"] > 0.035)
    if kind == "covariate" and variant % 4 == 1 and changes["x|y"] > LIMIT:
        return False
    decides = {"covariate": ("x",), "prior": ("y|x",), "concept": ("y|x", "x|y")}[kind]
    if kind == "prior" and variant in (1, 7) and changes["x"] < LIMIT:
        return False
    if kind == "prior" and variant == 2 and _change_of_y(*tables) > LIMIT:
        return False
    if kind == "prior" and variant % 3 == 0 and changes["x"] > LIMIT:
        return False
    if kind == "concept" and variant % 5 == 0:
        return _change_of_y(*tables) > LIMIT
    return variant % 2 == 1 or min(changes[name] for name in decides) < 0.07


def _counts(rng, p_x, p_y, n):
    joint = np.column_stack([p_x * (1 - p_y), p_x * p_y])
    return rng.multinomial(n, joint.ravel() / joint.sum()).reshape(-1, 2)


TOLD = {
    "concept": "8 pairs of tables in which the relation changed",
    "covariate": "8 pairs in which the mix of x changed, and the relation did not",
    "prior": "8 pairs in which the mix of y changed, and each class looks the same as before",
    "none": "8 pairs in which neither P(x) nor P(y | x) changed by more than 0.05",
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
        "Divide a table by the sums of its rows, and by the sums of its columns. Which of the two is P(y | x)?",
        "Ask first whether P(y | x) stayed the same. If it did, only one question is left. If not, ask whether P(x | y) did.",
        "Calculate `given_x = table.div(table.sum(axis=1), axis=0)` for both tables. P(y | x) changed if `(given_x_now - given_x_then).abs().to_numpy().max() > 0.05`.",
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
    "you called every change of P(x) a covariate shift. But a prior shift changes P(x), too: if more people are ill, more "
    "people have a fever. Ask which of P(y | x) and P(x | y) stayed the same.",
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
    "you used P(y) to decide. But P(y) can change although the relation stays the same, because the mix of x changed. It "
    "can also stay the same while the relation is reversed. Look at P(y | x) instead.",
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
    "you reported a drift where the difference is too small to count. With 10,000 rows and more, almost every difference "
    "is significant, so a p-value does not help. Ask whether a share changed by more than 0.05.",
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
    "you swapped P(y | x) and P(x | y). Dividing by the sums over x gives P(x | y). Check one table by hand: in P(y | x), "
    "each row adds up to 1.",
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
