"""Exercise 1.4, Four patterns."""

from itertools import combinations

import numpy as np

from mlprod_helpers.lesson.contract import Array, Function, exercise
from mlprod_helpers.streams import Drift


def _increases(got, start, width, slack=1e-6):
    """Whether it grows linearly over `width` rows, or begins one row off; then it may end one row off, too, or as stated."""
    t = np.arange(len(got)) - start
    slopes = t / width, (t + 1) / width, (t - 1) / width, (t + 1) / (width + 1), (t - 1) / max(width - 1, 1)
    return any(np.abs(got - np.clip(slope, 0, 1)).max(initial=0) < slack for slope in slopes)


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
        "Gradual and incremental both use `t = np.arange(n)` and `way = np.clip((t - start) / width, 0, 1)`. What is the difference?",
        "Gradual: row t is new with the probability `way[t]`, and each row is old or new. `rng.random(n) < way` draws that.",
        "Recurring: `(t - start) // width` numbers the blocks of `width` rows from 0. Blocks with an even number are new.",
    ),
)
def regime(answer, rng, expect):
    """`regime(n, pattern, start, width, seed)`: the state of each of n rows, from old (0) to new (1)."""

    def states(n, pattern, start, width, seed=0):
        return answer(n, pattern, start, width, seed).astype(float)

    _check_mixture(states, rng, expect)
    n, start, width = int(rng.integers(900, 1200)), int(rng.integers(300, 400)), int(rng.integers(40, 130))
    block = width // 3  # many blocks, the last of them new and cut off
    n += block // 2 - (n - start) % (2 * block)
    t = np.arange(n)
    with expect.defining():
        got = states(n, "incremental", start, width)
        expect.true(
            len(got) == n and _increases(got, start, width),
            f"incremental: the number itself increases linearly from 0 at row {start} to 1 at row {start + width}",
            ", ".join(
                f"row {at} is at {got[at]:.4g}" for at in (start, start + 1, start + width - 1, start + width)
            )
            if len(got) == n
            else f"it has {len(got)} rows",
        )
    expect.equal(
        states(n, "sudden", start, width),
        (t >= start).astype(float),
        f"sudden: all rows are new from row {start} on, and old before",
    )
    expect.equal(
        states(n, "recurring", start, block),
        ((t >= start) & ((t - start) // block % 2 == 0)).astype(float),
        f"recurring: {block} rows are new, {block} rows are old, and so on to the end",
    )
    for pattern in ("sudden", "recurring"):
        wanted = [1, 1, 1, 1, 1] if pattern == "sudden" else [1, 0, 1, 0, 1]
        expect.equal(
            states(5, pattern, 0, 1), np.array(wanted, float), f"{pattern} from row 0 on, width 1, 5 rows"
        )
    late = {
        pattern: states(n, pattern, n + 5, width)
        for pattern in ("sudden", "gradual", "incremental", "recurring")
    }
    wrong = [pattern for pattern, each in late.items() if len(each) != n or each.any()]
    expect.true(
        not wrong,
        f"a start after the last row (n={n}, start={n + 5}): all {n} rows are old",
        f"not with {', '.join(wrong)}",
    )
    unfinished, short = states(n, "incremental", n - width, 4 * width), states(5, "incremental", 0, 1)
    expect.true(
        len(unfinished) == n and _increases(unfinished, n - width, 4 * width) and _increases(short, 0, 1),
        f"incremental, from row 0 on with width 1, and not finished at the last row (n={n}, start={n - width}, width={4 * width}): there the last row is a quarter of the way from old to new",
        f"there the last of {len(unfinished)} rows is at {unfinished[-1]:.3g}; with n=5, start=0, width=1 the rows are at {', '.join(f'{each:.3g}' for each in short)}"
        if len(unfinished)
        else "no row",
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
    short = np.mean([states(6, "gradual", 0, 2, seed) for seed in range(100)], axis=0)
    cut = states(800, "gradual", 400, 1600)[400:].mean()
    expect.true(
        outside and all(even) and _increases(short, 0, 2, slack=0.2) and cut < 0.25,
        f"gradual: the share of new rows grows evenly from 0 to 1, whether it takes {width:,} rows, 2 rows, or more rows than there are",
        f"in the tenths of the way it is {', '.join(f'{share:.2f}' for share in tenths)}"
        + ("" if outside else "; before it some rows are new, or after it some are old")
        + f"; with start=0, width=2 it is {', '.join(f'{share:.2f}' for share in short)}"
        + f"; with n=800, start=400, width=1600 it is {cut:.2f} in the last 400 rows",
    )
    first = int(rng.integers(1, 1000))
    seeds = first, first + 1, first + 2, first + 1000, 0
    once = {seed: states(300, "gradual", 20, 250, seed) for seed in seeds}
    unlike = next(
        (seed for seed in seeds if not np.array_equal(once[seed], states(300, "gradual", 20, 250, seed))),
        None,
    )
    alike = next(
        (pair for pair in combinations(seeds, 2) if np.array_equal(*(once[seed] for seed in pair))), None
    )
    expect.true(
        unlike is None and alike is None,
        "gradual: the same seed draws the same rows, another seed draws others",
        f"two calls with seed {unlike} differ"
        if alike is None
        else f"seeds {alike[0]} and {alike[1]} give the same rows",
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
            "recurring": (t >= start) & ((t - start) // width % 2 == 0),
        }
        got = np.asarray(answer(n, pattern, start, width, seed), dtype=float)
        if got.shape != (n,) or not (
            np.array_equal(got, wanted[pattern]) if pattern in wanted else _increases(got, start, width)
        ):
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
    "you made the incremental pattern a mixture of old and new rows. That is a gradual drift. In an incremental drift the "
    "number itself grows, and halfway through, each row is in between.",
    when=lambda seen: _mixes(seen, "incremental"),
)
def incremental_as_mixture(n, pattern, start, width, seed):
    return _regime(n, "gradual" if pattern == "incremental" else pattern, start, width, seed)


@regime.misconception(
    "you let the number itself grow in the gradual pattern. A gradual drift has two regimes and nothing in between. What "
    "grows is the probability that a row is new.",
    when=lambda seen: _creeps(seen, "gradual") and not _mixes(seen, "incremental"),
)
def gradual_in_between(n, pattern, start, width, seed):
    return _regime(n, "incremental" if pattern == "gradual" else pattern, start, width, seed)


@regime.misconception(
    "your new regime never ends. In a recurring drift the old regime comes back: `width` rows are new, the next `width` "
    "rows are old, and so on.",
    when=lambda seen: (
        bool((_course(seen, "recurring")[2][_course(seen, "recurring")[0] + 1 :] == 1).all())
        and not _course(seen, "recurring")[2][0]
    ),
)
def recurring_stays(n, pattern, start, width, seed):
    return _regime(n, "sudden" if pattern == "recurring" else pattern, start, width, seed)


@regime.misconception("your change comes one row late. Row `start` itself already belongs to the new regime.")
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
