"""What a class gained between two tests: the mean with its interval, by case, and by misconception."""

import math
from dataclasses import asdict, dataclass

import numpy as np
from scipy.stats import binomtest, t

from mlprod_tools.evidence.cases import CASES, UNKNOWN

CONFIDENCE = 0.95
FEW = 10  # learners, below which one of them can change the picture
FEWEST = 3  # below this, no interval


@dataclass(frozen=True)
class CaseRow:
    """How many of the paired learners were right, and how many did not know."""

    number: int
    lesson: str
    idea: str
    right_before: int
    right_after: int
    unknown_before: int
    unknown_after: int


@dataclass(frozen=True)
class MisconceptionRow:
    """How many of the paired learners chose the option of a misconception; `p` is the exact McNemar test of gone against new."""

    exercise: str
    name: str
    before: int
    after: int
    gone: int
    new: int
    p: float


@dataclass(frozen=True)
class Evidence:
    """A class in numbers. Points are of ten; `interval` and what follows from too few learners is None."""

    paired: int
    only_before: int
    only_after: int
    a_first: int
    before: float | None
    after: float | None
    gain: float | None
    interval: tuple | None
    gain_by_halves: float | None
    interval_by_halves: tuple | None
    cases: tuple
    misconceptions: tuple

    def as_dict(self):
        """Plain data for JSON."""
        return asdict(self)


def interval(gains):
    """The mean of some gains and its 95% t interval.

    Parameters
    ----------
    gains : sequence of float
        One for each learner.

    Returns
    -------
    tuple
        (mean, (low, high)). The mean is None without learners. There is no interval, but None, below three learners, and where
        all gains are equal: nothing then says how much others would vary.

    Examples
    --------
    >>> mean, (low, high) = interval([1, 2, 3])
    >>> round(mean, 2), round(low, 2), round(high, 2)
    (2.0, -0.48, 4.48)
    """
    if len(gains) == 0:
        return None, None
    mean = float(np.mean(gains))
    if len(gains) < FEWEST or min(gains) == max(gains):
        return mean, None
    error = float(np.std(gains, ddof=1)) / math.sqrt(len(gains))
    reach = float(t.ppf((1 + CONFIDENCE) / 2, len(gains) - 1)) * error
    return mean, (mean - reach, mean + reach)


def interval_by_halves(first, second):
    """The same with each half of the class counted alike, so that a difference between the forms cancels exactly.

    Parameters
    ----------
    first, second : sequence of float
        The gains of those who began with form A, and with form B.

    Returns
    -------
    tuple
        (mean, (low, high)), both None where a half is empty. The spread is taken to be the same in both halves; there is no
        interval below four learners, and where it is zero.

    Examples
    --------
    >>> mean, (low, high) = interval_by_halves([1, 2, 3], [5])
    >>> round(mean, 2), round(low, 2), round(high, 2)
    (3.5, 1.02, 5.98)
    """
    if not (len(first) and len(second)):
        return None, None
    mean = float(np.mean(first) + np.mean(second)) / 2
    freedom = len(first) + len(second) - 2
    squares = sum(float(np.var(half)) * len(half) for half in (first, second))
    if freedom < FEWEST - 1 or squares == 0:
        return mean, None
    error = math.sqrt(squares / freedom * (1 / len(first) + 1 / len(second))) / 2
    reach = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * error
    return mean, (mean - reach, mean + reach)


def mcnemar(gone, new):
    """The two-sided p-value of the exact McNemar test.

    Parameters
    ----------
    gone, new : int
        How many changed one way, and the other way.

    Returns
    -------
    float
        How often a split at least as uneven as this would come up if both ways were equally likely; 1.0 if nobody changed.

    Examples
    --------
    >>> mcnemar(6, 0), mcnemar(0, 0)
    (0.03125, 1.0)
    """
    return float(binomtest(gone, gone + new, 0.5).pvalue) if gone + new else 1.0


def after_holm(p_values):
    """How many of several tests stay below 0.05 when Holm's method corrects for their number.

    >>> after_holm([0.001, 0.04, 0.5])
    1
    """
    held = 0
    for k, p in enumerate(sorted(p_values)):
        if p > (1 - CONFIDENCE) / (len(p_values) - k):
            break
        held += 1
    return held


def evidence(handed_in):
    """What the tests of a class say.

    Parameters
    ----------
    handed_in : HandedIn

    Returns
    -------
    Evidence
    """
    pairs = [(handed_in.before[alias], handed_in.after[alias]) for alias in handed_in.paired]
    gains = [after.points - before.points for before, after in pairs]
    gain, within = interval(gains)
    halves = [
        [gain for gain, (before, _) in zip(gains, pairs, strict=True) if before.form == form] for form in "AB"
    ]
    by_halves, within_by_halves = interval_by_halves(*halves)
    return Evidence(
        paired=len(pairs),
        only_before=len(handed_in.before) - len(pairs),
        only_after=len(handed_in.after) - len(pairs),
        a_first=len(halves[0]),
        before=float(np.mean([before.points for before, _ in pairs])) if pairs else None,
        after=float(np.mean([after.points for _, after in pairs])) if pairs else None,
        gain=gain,
        interval=within,
        gain_by_halves=by_halves,
        interval_by_halves=within_by_halves,
        cases=tuple(_case_row(number, case, pairs) for number, case in enumerate(CASES, 1)),
        misconceptions=tuple(_misconception_rows(pairs)),
    )


def _case_row(number, case, pairs):
    found = [[test.found[number - 1] for test in tests] for tests in zip(*pairs, strict=True)] or [[], []]
    right = [some.count("") for some in found]
    unknown = [some.count(UNKNOWN) for some in found]
    return CaseRow(number, case.lesson, case.idea, *right, *unknown)


def _misconception_rows(pairs):
    """All misconceptions of the cases, those that most learners had before first."""
    rows = []
    for case in CASES:
        for each in case.misconceptions:
            held = [(each in before.found, each in after.found) for before, after in pairs]
            gone, new = held.count((True, False)), held.count((False, True))
            both = held.count((True, True))
            rows.append(MisconceptionRow(*each, gone + both, new + both, gone, new, mcnemar(gone, new)))
    return sorted(rows, key=lambda row: (-row.before, -row.after))
