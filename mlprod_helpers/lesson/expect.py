"""Named expectations: what a check says of an answer, line by line."""

import contextlib
import math
from dataclasses import dataclass

import numpy as np

from mlprod_helpers.lesson import values

MOST_WITHOUT_DEFINING = 0.25


@dataclass(frozen=True)
class Line:
    """One expectation: what was asked, whether it holds, and a note for the learner."""

    what: str
    ok: bool
    note: str = ""
    got: object = None
    want: object = None
    defining: bool = False


class Expect:
    """Collects expectations. Points follow the share that holds; each counts the same.

    Where one that is defining does not hold, the answer earns a quarter of the points at most.
    """

    def __init__(self):
        self.lines = []
        self.cases_seen = None
        self._is_defining = False

    def _add(self, what, ok, note="", got=None, want=None):
        self.lines.append(Line(what, bool(ok), "" if ok else note, got, want, self._is_defining))
        return bool(ok)

    @contextlib.contextmanager
    def defining(self):
        """`with expect.defining():` holds the expectations that the exercise is about; without them the rest earns little."""
        self._is_defining = True
        try:
            yield
        finally:
            self._is_defining = False

    def true(self, condition, what, why=""):
        """`condition` holds; `why` is told where it does not."""
        return self._add(what, condition, why, got=bool(condition), want=True)

    def close(self, got, want, what, *, rtol=1e-6, atol=1e-9, show=False):
        """Numbers or arrays that agree up to rounding; says "too large" or "too small" where that helps."""
        ok = values.close(_plain(got), _plain(want), rtol=rtol, atol=atol)
        note = f"expected {_short(want)}, got {_short(got)}" if show else _direction(got, want)
        return self._add(what, ok, note, got, want)

    def equal(self, got, want, what, *, show=False):
        """Exactly the same value."""
        ok = values.close(_plain(got), _plain(want), rtol=0, atol=0)
        note = f"expected {_short(want)}, got {_short(got)}" if show else _difference(got, want)
        return self._add(what, ok, note, got, want)

    def within(self, got, low, high, what, *, show=False):
        """A number from `low` to `high`."""
        number = float(got)
        note = "is NaN" if math.isnan(number) else "too small" if number < low else "too large"
        if show:
            note += f": got {_short(number)}, expected {_short(low)} to {_short(high)}"
        return self._add(what, low <= number <= high, note, got, (low + high) / 2)

    def nan(self, got, what):
        """NaN: there is no number to give."""
        ok = isinstance(got, float) and math.isnan(got)
        return self._add(what, ok, f"is {values.describe(got)}", got, math.nan)

    def same_set(self, got, want, what):
        """The same names, in any order; says how many are missing or too many, not which."""
        got, want = set(got), set(want)
        missing, extra = len(want - got), len(got - want)
        note = " and ".join(
            text for n, text in ((missing, f"{missing} missing"), (extra, f"{extra} too many")) if n
        )
        return self._add(what, got == want, note, sorted(got, key=repr), sorted(want, key=repr))

    def same_frame(self, got, want, what):
        """A DataFrame with the same columns, rows and values."""
        if list(got.columns) != list(want.columns):
            note = "its columns differ from what is asked"
        elif len(got) != len(want):
            note = f"it has {len(got)} rows"
        else:
            note = "some values differ"
        return self._add(what, values.close(got, want), note, got, want)

    def cases(self, got, want):
        """A choice: one expectation a case. The feedback tells how many are right, never which."""
        self.cases_seen = (dict(got), dict(want))
        for key in want:
            self._add(f"case {key}", got[key] == want[key], "", got[key], want[key])

    def raises(self, call, exceptions, what):
        """Calling `call()` raises one of `exceptions`."""
        from mlprod_helpers.lesson.checking import Raised

        try:
            got = call()
        except Raised as raised:
            ok = isinstance(raised.error, exceptions)
            return self._add(what, ok, f"raises {type(raised.error).__name__} instead", "raised", "raised")
        return self._add(what, False, "raises nothing", got, "raised")

    @property
    def held(self):
        return sum(line.ok for line in self.lines)

    @property
    def share(self):
        """The share of the points that the expectations are worth, 0 to 1."""
        share = self.held / len(self.lines)
        missed = any(line.defining and not line.ok for line in self.lines)
        return min(share, MOST_WITHOUT_DEFINING) if missed else share


def _plain(value):
    """numpy scalars as Python's own, so that 1 and np.int64(1) agree."""
    return value.item() if isinstance(value, np.generic) else value


def _short(value):
    value = _plain(value)
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else f"{value:.4g}"
    text = repr(value.tolist() if isinstance(value, np.ndarray) else value)
    return text if len(text) <= 60 else text[:57] + "..."


def _direction(got, want):
    got, want = _plain(got), _plain(want)
    if isinstance(got, bool | int | float) and isinstance(want, bool | int | float):
        if math.isnan(got):
            return "is NaN"
        if math.isnan(want):
            return "is a number where there is none to give"
        return "too large" if got > want else "too small"
    return _difference(got, want)


def _difference(got, want):
    shapes = np.shape(got) if np.ndim(got) else None, np.shape(want) if np.ndim(want) else None
    if None not in shapes:
        if shapes[0] != shapes[1]:
            return f"has shape {shapes[0]}, expected {shapes[1]}"
        try:
            off = ~np.isclose(np.asarray(got, float), np.asarray(want, float), equal_nan=True)
            return f"{int(off.sum())} of {off.size} values differ"
        except (TypeError, ValueError):
            return "some values differ"
    return ""


def pattern(lines):
    """What the wrong numbers have in common, as half a sentence, or "".

    >>> pattern([Line("a", False, got=2.0, want=1.0), Line("b", False, got=6.0, want=3.0), Line("c", False, got=1.0, want=0.5)])
    'by the same factor each time'
    """
    pairs = [(_plain(line.got), _plain(line.want)) for line in lines if not line.ok]
    pairs = [pair for pair in pairs if all(type(x) in (int, float) and math.isfinite(x) for x in pair)]
    wants = {want for _, want in pairs}
    if len(pairs) < 3 or len(wants) < 3 or 0 in wants:
        return ""
    factors = [got / want for got, want in pairs]
    if max(factors) - min(factors) < 1e-6 * max(map(abs, factors)):
        return "by the same factor each time"
    gaps = [got - want for got, want in pairs]
    if max(gaps) - min(gaps) < 1e-6 * max(map(abs, gaps)):
        return "by the same amount each time"
    return ""
