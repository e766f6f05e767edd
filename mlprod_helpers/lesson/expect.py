"""Named expectations: what a check says of an answer, line by line."""

import contextlib
import math
from dataclasses import dataclass

import numpy as np

from mlprod_helpers.lesson import values
from mlprod_helpers.lesson.preview import arguments_text, entries_text, entry_text, holds_dicts, value_text

MOST_WITHOUT_DEFINING = 0.25
MOST_CHARACTERS = 160  # of a line of feedback, the lesson's own words aside
MOST_OF_DICTS = 300  # the same for a call with dicts


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

    Where one that is defining does not hold, the answer earns a quarter of the points at most. Cases of a choice count above
    what one option for all of them would get. A line that fails tells the call and what came back, if `seen` has it.
    """

    def __init__(self, seen=None):
        self.lines = []
        self.cases_seen = None
        self._is_defining = False
        self._seen = seen
        self._reported = 0  # calls that are older than the last line

    def _add(self, what, ok, note="", got=None, want=None, tell=True):
        ok = bool(ok)
        if self._seen is not None:
            if not ok and tell:
                result = _result_of(self._call_of(got), got, f"{what} {note}", _odd_one(got, want))
                note = ", ".join(part for part in (result, note) if part)
            self._reported = len(self._seen.calls)
        self.lines.append(Line(what, ok, "" if ok else note, got, want, self._is_defining))
        return ok

    def _call_of(self, got):
        """The call that this line is about: the one that gave `got`, or the only one since the last line."""
        calls = self._seen.calls
        if not isinstance(got, bool | int | str) and got is not None:
            for call in reversed(calls):
                parts = call.taken if isinstance(call.taken, tuple) else ()
                if call.taken is got or any(part is got for part in parts):
                    return call
        latest = calls[self._reported :]
        return latest[0] if len(latest) == 1 and not latest[0].error else None

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

    def close(self, got, want, what, *, rtol=1e-6, atol=1e-9):
        """Numbers or arrays that agree up to rounding; says "too large" or "too small" where that helps."""
        ok = values.close(_plain(got), _plain(want), rtol=rtol, atol=atol)
        return self._add(what, ok, _direction(got, want), got, want)

    def equal(self, got, want, what, *, show=False):
        """Exactly the same value."""
        ok = values.close(_plain(got), _plain(want), rtol=0, atol=0)
        note = f"expected {_short(want)}, got {_short(got)}" if show else _direction(got, want)
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
        return self._add(what, ok, "is not NaN", got, math.nan)

    def same_set(self, got, want, what):
        """The same names, in any order; says how many are missing or too many, not which."""
        got, want = set(got), set(want)
        missing, extra = len(want - got), len(got - want)
        note = " and ".join(
            text for n, text in ((missing, f"{missing} missing"), (extra, f"{extra} too many")) if n
        )
        return self._add(what, got == want, note, sorted(got, key=repr), sorted(want, key=repr))

    def cases(self, got, want):
        """A choice: one expectation a case. The feedback tells how many are right, never which."""
        self.cases_seen = (dict(got), dict(want))
        for key in want:
            self._add(f"case {key}", got[key] == want[key], "", got[key], want[key], tell=False)

    @property
    def held(self):
        return sum(line.ok for line in self.lines)

    @property
    def share(self):
        """The share of the points that the expectations are worth, 0 to 1."""
        held = self.held
        if self.cases_seen:
            got, want = self.cases_seen
            right = sum(got[key] == want[key] for key in want)
            held += len(want) * above_constant(right, want) - right
        share = held / len(self.lines)
        missed = any(line.defining and not line.ok for line in self.lines)
        return min(share, MOST_WITHOUT_DEFINING) if missed else share


def above_constant(right, want):
    """The share of a choice that `right` cases are worth: nothing for as many as one option everywhere would get.

    >>> above_constant(3, {"a": "up", "b": "up", "c": "down", "d": "flat"})
    0.5
    """
    options = list(want.values())
    most = max(options.count(option) for option in options)
    return float(right == len(want)) if most == len(want) else max(0.0, (right - most) / (len(want) - most))


def _result_of(call, got, line, about=None):
    """What was called and came back, as far as there is room for it; nothing if `line` has the value already."""
    plain = _plain(got)
    if call is None:
        is_number = isinstance(plain, float) or (isinstance(plain, int) and not isinstance(plain, bool))
        text = value_text(plain)
        return f"got {text}" if is_number and text not in line else ""
    output = _output_text(call.output, about)
    room = (MOST_OF_DICTS if holds_dicts(call.given) else MOST_CHARACTERS) - len(line) + 1
    for given in _given_texts(call.given, about):
        text = (
            f"returned {output}"
            if f"{call.name}({given})" in line
            else f"`{call.name}({given})` returned {output}"
        )
        if len(text) <= room:
            return text
    return f"returned {output}" if len(output) + 9 <= max(room, 30) else ""


def _given_texts(given, about):
    """The arguments of a call in ever fewer characters."""
    if about is not None and holds_dicts(given):
        yield entries_text(given, about)
    for most in (None, 100, 60, 30):
        yield arguments_text(given, most)


def _output_text(output, about):
    """The result; of a dict that is too long, what it has for the entry that the line is about."""
    text = value_text(output)
    if not isinstance(output, dict) or about is None or text != values.describe(output):
        return text
    return entry_text(output, about) or f"nothing for {about!r}"


def _odd_one(got, want):
    """The first key for which two dicts differ, or the first text that only one of two lists has; None if there is none."""
    if isinstance(got, dict) and isinstance(want, dict):
        odd = [
            key
            for key in (*want, *got)
            if key not in got or key not in want or not values.close(got[key], want[key], rtol=0, atol=0)
        ]
    elif all(isinstance(each, list | tuple) for each in (got, want)):
        texts, others = ([each for each in side if isinstance(each, str)] for side in (want, got))
        odd = [each for each in (*texts, *others) if (each in texts) != (each in others)]
    else:
        odd = []
    return odd[0] if odd else None


def _plain(value):
    """numpy scalars as Python's own, so that 1 and np.int64(1) agree."""
    return value.item() if isinstance(value, np.generic) else value


def _short(value):
    return value_text(_plain(value))


def _direction(got, want):
    got, want = _plain(got), _plain(want)
    if isinstance(got, bool) or isinstance(want, bool):
        return ""
    if isinstance(got, int | float) and isinstance(want, int | float):
        if math.isnan(got):
            return "is NaN"
        if math.isnan(want):
            return "is a number where there is none to give"
        return "too large" if got > want else "too small"
    return _difference(got, want)


def _difference(got, want):
    shapes = np.shape(got) if np.ndim(got) else None, np.shape(want) if np.ndim(want) else None
    if None not in shapes:
        if isinstance(got, list | tuple) and len(shapes[0]) == len(shapes[1]) == 1 and len(got) != len(want):
            return f"has {len(got)} item{'s' * (len(got) != 1)}, expected {len(want)}"
        if shapes[0] != shapes[1]:
            return f"has shape {shapes[0]}, expected {shapes[1]}"
        try:
            numbers = np.asarray(got, float), np.asarray(want, float)
            off = ~np.isclose(*numbers, equal_nan=True)
            first = tuple(int(i) for i in np.argwhere(off)[0]) if off.any() else ()
            # which True is wrong would say what is right there
            tells = first and np.asarray(want).dtype != bool and np.asarray(got).dtype != bool
            where = _first_off(first, *(array[first] for array in numbers)) if tells else ""
            return f"{int(off.sum())} of {off.size} values differ{where}"
        except (TypeError, ValueError):
            return "some values differ"
    return ""


def _first_off(place, got, want):
    at = place[0] if len(place) == 1 else place
    if math.isnan(got):
        return f", the first at {at}, where NaN stands and a number is expected"
    return f", the first at {at}, where {value_text(float(got))} is {_direction(float(got), float(want)).removeprefix('is ')}"


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
