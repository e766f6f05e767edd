"""Exercise 4.4, Choose the half-life."""

import numpy as np
import pandas as pd

from mlprod_helpers.lesson.contract import Function, Number, drawn_once, exercise

CANDIDATES = (0.5, 3, 16, 64, 256)

DAYS, FIRST, SERIES = 100, 20, 200  # days a series, the first day that is predicted, series drawn at once
AT_ONCE = 2  # mistakes that one series reveals: more series are harder to pass by luck


def _draw(rng):
    """Series of daily labels (SERIES, DAYS): levels that stand still or wander, before and after a break, with jumps or wild days."""
    day, shape = np.arange(DAYS), (SERIES, DAYS)
    before, after = np.exp(rng.uniform(np.log(0.005), np.log(3), (2, SERIES, 1)))
    steps = rng.normal(0, 1, shape) * np.where(day < rng.integers(5, 90, (SERIES, 1)), before, after)
    jumps = _rare(rng, shape, 0.04, 6) * (rng.uniform(size=(SERIES, 1)) < 0.4)
    wild = _rare(rng, shape, 0.03, 12) * (rng.uniform(size=(SERIES, 1)) < 0.3)
    wild += _rare(rng, shape, 0.3, 40) * np.isin(day, (0, FIRST - 2, FIRST - 1, DAYS - 2))  # at the edges
    trend = day * rng.normal(0, 0.5, (SERIES, 1)) * (rng.uniform(size=(SERIES, 1)) < 0.2)
    return ((steps + jumps).cumsum(axis=1) + rng.normal(0, 1, shape) + wild + trend).round(3)


def _rare(rng, shape, share, size):
    return (rng.uniform(size=shape) < share) * rng.normal(0, size, shape)


def _levels(y, half_lives, adjust=True, alike=False):
    """What each half-life predicts for each day from all days before: (series, half-lives, days), day 0 missing."""
    keep = 0.5 ** (1 / np.array(half_lives, float))
    top, bottom = np.zeros((len(y), len(keep))), np.zeros(len(keep))
    levels = np.full((len(y), len(keep), y.shape[1]), np.nan)
    for day in range(1, y.shape[1]):
        new = 1 if adjust or day == 1 else 1 - keep
        top, bottom = keep * top + new * y[:, day - 1, None], keep * bottom + new
        less = alike * (1 - keep)  # of the newest day's weight
        levels[:, :, day] = (top - less * y[:, day - 1, None]) / (bottom - less)
    return levels


def _levels_of_last(days, y, half_lives):
    """The same, but from the last `days` days before only; missing where there are fewer."""
    weights = 0.5 ** (np.arange(days)[::-1] / np.array(half_lives, float)[:, None])
    windows = np.lib.stride_tricks.sliding_window_view(y[:, :-1], days, axis=1)
    levels = np.full((len(y), len(weights), y.shape[1]), np.nan)
    levels[:, :, days:] = np.einsum("sdw,hw->shd", windows, weights / weights.sum(axis=1, keepdims=True))
    return levels


def _score(levels, y, first=FIRST):
    """Mean absolute error from day `first` on, for each series and half-life."""
    return np.abs(levels[:, :, first:] - y[:, None, first:]).mean(axis=2)


def _other_scores(y, half_lives):
    """What the score would be with one mistake each: (series, half-lives)."""
    levels, backwards = _levels(y, half_lives), y[:, ::-1]
    errors = np.abs(levels - y[:, None, :])
    signed, center = levels[:, :, FIRST:] - y[:, None, FIRST:], np.array(half_lives, float)
    late = np.abs(levels[:, :, FIRST:-1] - y[:, None, FIRST + 1 :])
    return {
        "on the last 50 days": errors[:, :, 50:].mean(axis=2),
        "on the last 20 days": errors[:, :, 80:].mean(axis=2),
        "from day 30 on": errors[:, :, 30:].mean(axis=2),
        "on days 20 to 49": errors[:, :, FIRST:50].mean(axis=2),
        "on days 20 to 79": errors[:, :, FIRST:80].mean(axis=2),
        "without the last day": errors[:, :, FIRST:-1].mean(axis=2),
        "from day 1 on": errors[:, :, 1:].mean(axis=2),
        "from day 10 on": errors[:, :, 10:].mean(axis=2),
        "on every fifth day": errors[:, :, FIRST::5].mean(axis=2),
        "without the longest candidate": np.where(
            center == center.max(), np.inf, errors[:, :, FIRST:].mean(axis=2)
        ),
        "by the median error": np.median(errors[:, :, FIRST:], axis=2),
        "by the largest error": errors[:, :, FIRST:].max(axis=2),
        "by the mean of signed errors": np.abs(signed.mean(axis=2)),
        "by the standard deviation of signed errors": signed.std(axis=2),
        "from day 19 on": errors[:, :, FIRST - 1 :].mean(axis=2),
        "from day 21 on": errors[:, :, FIRST + 1 :].mean(axis=2),
        "without day 0": _score(_levels(y[:, 1:], half_lives), y[:, 1:], FIRST - 1),
        "with levels that start at the value of day 0 (`adjust=False`)": _score(
            _levels(y, half_lives, adjust=False), y
        ),
        "with the candidates as centers of mass (`com`)": _score(
            _levels(y, np.log(2) / np.log1p(1 / center)), y
        ),
        "with levels that are a day late": late.mean(axis=2),
        "with weights of 1/e after a half-life": _score(_levels(y, np.log(2) * np.array(half_lives)), y),
        "with half-lives that are too long": _score(_levels(y, 1.16 * np.array(half_lives)), y),
        "with the days in reverse": _score(_levels(backwards, half_lives), backwards),
        "with equal weights for the newest two days": _score(_levels(y, half_lives, alike=True), y),
        "with levels of the last 10 days": _score(_levels_of_last(10, y, half_lives), y),
        "with levels of the last 20 days": _score(_levels_of_last(20, y, half_lives), y),
    }


def _telling(rng, half_lives):
    """Series with a clear winner that each of the other scores misses at least once: (which miss it, series, index of the winner)."""
    missing = None
    for _ in range(20):
        y = _draw(rng)
        errors = (_levels(y, half_lives) - y[:, None, :])[:, :, FIRST:]
        scores = np.abs(errors).mean(axis=2), (errors**2).mean(axis=2)
        winner = scores[0].argmin(axis=1)
        ahead = [np.divide(*np.sort(score, axis=1)[:, 1::-1].T) > 1.01 for score in scores]
        clear = (winner == scores[1].argmin(axis=1)) & ahead[0] & ahead[1]
        others = _other_scores(y, half_lives)
        missing = list(others) if missing is None else missing
        while missing:
            told = clear & np.array([others[what].argmin(axis=1) != winner for what in missing])
            best = told.sum(axis=0).argmax()
            names = [what for what, tells in zip(missing, told[:, best], strict=True) if tells][:AT_ONCE]
            if not names:
                break
            yield names, y[best], winner[best]
            missing = [what for what in missing if what not in names]
        if not missing:
            return


@drawn_once()
def _told(rng, *half_lives):
    return list(_telling(rng, half_lives))


@exercise(
    "4.4",
    "Choose the half-life",
    answers=("choose",),
    points=4,
    minutes=9,
    objective="4.b",
    edition=2,
    kind=Function("y", "candidates", returns=Number()),
    hints=(
        "For each candidate, find out how large its daily errors would have been in the past.",
        "Predict day 20 from days 0 to 19, day 21 from days 0 to 20, and so on. The mean absolute error of these predictions is the candidate's score.",
        "`level(y[:day], half_life)` predicts day `day`. Return the candidate with the smallest mean of `abs(y[day] - level(...))`.",
    ),
)
def choose(answer, rng, expect):
    """`choose(y, candidates)`: the half-life that would have predicted the past best, walking forward."""
    candidates = [round(c * rng.uniform(0.9, 1.1), 2) for c in rng.permutation(CANDIDATES)]
    with expect.defining():
        for number, (what, y, winner) in enumerate(_told(rng, *candidates)):
            turned = np.roll(candidates, number - winner).tolist()  # the winner first, then second, and so on
            half_life = answer(y, turned)
            if half_life not in candidates:
                told = f"you returned {half_life:g} for the candidates {turned}"
                expect.true(False, "the answer is one of `candidates`", told)
                return
            score = dict(zip(candidates, _score(_levels(y[None], candidates), y[None])[0], strict=True))
            more = score[half_life] / score[candidates[winner]] - 1
            expect.true(
                bool(half_life == candidates[winner]),
                f"where another candidate would win {_listed(what)}",
                f"you chose {half_life:g}; from day {FIRST} on, the mean absolute error of the best candidate is smaller by {100 * more / (1 + more):.0f}%",
            )


def _listed(parts):
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}, or {parts[-1]}"


@choose.acceptable
def predicts_the_past_best(answer, rng):
    """By the statement alone: the winner of the walk forward, in series of each kind; close races do not count."""
    return all(answer(y.copy(), list(CANDIDATES)) == winner for y, winner in _races(rng))


@drawn_once()
def _races(rng):
    """Series with a clear winner of `CANDIDATES`."""
    races = []
    for speed, quiet, noise in 6 * (
        (2.5, 0, 1),
        (0.65, 0, 1),
        (0.1, 0, 3),
        (0.0, 0, 1),
        (2.5, 30, 1),
        (2.5, 60, 1),
    ):
        steps = rng.normal(0, speed, 100)
        steps[:quiet] = 0
        y = pd.Series(steps.cumsum() + rng.normal(0, noise, 100))
        y[rng.integers(0, 100, 2)] += rng.normal(0, 10, 2)
        if rng.uniform() < 0.5:
            y = y[::-1].reset_index(drop=True)
        errors = {h: (y.ewm(halflife=h).mean().shift() - y)[20:].abs() for h in CANDIDATES}
        by_size = sorted(CANDIDATES, key=lambda h: errors[h].mean())
        by_square = sorted(CANDIDATES, key=lambda h: (errors[h] ** 2).mean())
        close = errors[by_size[1]].mean() < 1.02 * errors[by_size[0]].mean()
        if by_size[0] == by_square[0] and not close:
            races.append((y.to_numpy(), by_size[0]))
    return races


def _picks(pick):
    """Recognizes an answer that ignores the data: each time the candidate that `pick` takes."""
    return lambda seen: (
        len(seen.calls) > 5 and all(float(call.output) == pick(call.given[1]) for call in seen.calls)
    )


@choose.misconception(
    "you chose the shortest half-life each time. It follows every change of the labels, and most changes are noise. "
    "Check that you do not use the label of a day to predict the same day.",
    when=_picks(min),
)
def the_shortest(y, candidates):
    return min(candidates)


@choose.misconception(
    "you chose the longest half-life each time. It cannot follow a level that moves. Check that you predict each day only from the days before it, in their order.",
    when=_picks(max),
)
def the_longest(y, candidates):
    return max(candidates)


@choose.misconception(
    "you chose the middle half-life for every series. The best half-life depends on how fast the level moves. Compute the error of each candidate on the past days of `y`.",
    when=_picks(lambda candidates: sorted(candidates)[len(candidates) // 2]),
)
def the_middle_one(y, candidates):
    return sorted(candidates)[len(candidates) // 2]


@choose.alternative
def running_sums(y, candidates):
    def score(half_life):
        keep, top, bottom, total = 0.5 ** (1 / half_life), 0.0, 0.0, 0.0
        for day, value in enumerate(y):
            if day >= 20:
                total += abs(value - top / bottom)
            top, bottom = keep * top + value, keep * bottom + 1
        return total

    return min(candidates, key=score)


@choose.alternative
def squared_errors_with_pandas(y, candidates):
    series = pd.Series(y)
    scores = {
        half_life: ((series.ewm(halflife=half_life).mean().shift() - series)[20:] ** 2).mean()
        for half_life in candidates
    }
    return float(pd.Series(scores).idxmin())


@choose.alternative
def with_matrices(y, candidates):
    day = np.arange(len(y))
    age = day[:, None] - day[None, :]
    errors = []
    for half_life in candidates:
        weights = np.where(age > 0, 0.5 ** (np.maximum(age, 1) / half_life), 0.0)[20:]
        errors.append(np.abs(weights @ y / weights.sum(axis=1) - y[20:]).mean())
    return candidates[int(np.argmin(errors))]
