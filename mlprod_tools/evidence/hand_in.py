"""What learners have handed in: files to scored tests. Whatever cannot be used is named, with the reason."""

import functools
import json
import stat
from dataclasses import dataclass, field

from mlprod_helpers.lesson import sharing
from mlprod_helpers.lesson.checking import check
from mlprod_helpers.lesson.contract import Choice, Exercise
from mlprod_helpers.lesson.kinds import Refused
from mlprod_helpers.lesson.ten_cases import COUNT, ENDING, VERSION, WHEN, form_of
from mlprod_tools.evidence.cases import CASES, EDITION, LETTERS, UNKNOWN, options

MOST_BYTES = 10_000


@dataclass(frozen=True)
class Scored:
    """One test of one learner: points of ten, and for each case the (exercise, name) of the misconception, "" if right, "?" if unknown."""

    alias: str
    form: str
    points: float
    found: tuple


@dataclass
class HandedIn:
    """A class: "before" and "after" -> alias -> Scored, and (file, why) of what was left out."""

    before: dict = field(default_factory=dict)
    after: dict = field(default_factory=dict)
    skipped: list = field(default_factory=list)

    @property
    def paired(self):
        """The aliases with both tests, in order."""
        return sorted(self.before.keys() & self.after.keys())


@functools.cache
def exercise(form):
    """A form as an exercise: the same kind and check as in the lessons, one point a case, and no hint."""
    right = {
        str(number): next(letter for letter, (_, wrong) in options(number, form).items() if wrong is None)
        for number in range(1, COUNT + 1)
    }
    texts = {str(number): case.version(form).text for number, case in enumerate(CASES, 1)}

    def judge(answer, rng, expect):
        for number, letter in right.items():
            expect.true(answer[number] == letter, f"case {number}")

    kind = Choice(texts, options=(*LETTERS, UNKNOWN))
    return Exercise(form, f"Ten cases, form {form}", ("answers",), COUNT, 15, (kind,), judge, hints=())


def score(alias, form, answers):
    """Score ten letters.

    Parameters
    ----------
    alias : str
    form : str
        "A" or "B".
    answers : dict
        "1" to "10" -> letter, or "?".

    Returns
    -------
    Scored

    Raises
    ------
    Refused
        If these are not ten answers.
    """
    taken = exercise(form).kinds[0].take(answers, "`answers`")
    verdict = check(exercise(form), {"answers": taken})
    found = tuple(_meaning(int(number), form, letter) for number, letter in taken.items())
    return Scored(alias, form, verdict.points, found)


def _meaning(number, form, letter):
    if letter == UNKNOWN:
        return UNKNOWN
    index = options(number, form)[letter][1]
    return "" if index is None else CASES[number - 1].misconceptions[index]


def read(folder):
    """The tests that were handed in to a folder.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    HandedIn
        The same for any order of the files. Two files with one alias count once if they are equal, else not at all.
    """
    found, tests = HandedIn(), {}
    for path in sorted(folder.glob(f"*{ENDING}")):
        try:
            when, scored = _read_one(path)
        except _Unusable as reason:
            found.skipped.append((path.name, str(reason)))
            continue
        tests.setdefault((when, scored.alias), []).append((path.name, scored))
    for (when, alias), several in sorted(tests.items()):
        if len({scored for _, scored in several}) > 1:
            names = [name for name, _ in several]
            found.skipped += [(name, f"{len(names)} different tests have this alias") for name in names]
            continue
        getattr(found, when)[alias] = several[0][1]
        found.skipped += [(name, f"the same as {several[0][0]}, which counts") for name, _ in several[1:]]
    found.skipped.sort()
    return found


class _Unusable(Exception):
    """Why a file is left out."""


def _read_one(path):
    data = _data(path)
    if data.get("version") != VERSION or isinstance(data["version"], bool):
        raise _Unusable("it was written by another version of the course")
    alias, when = data.get("alias"), data.get("when")
    if not sharing.is_alias(alias) or when not in WHEN:
        raise _Unusable("it has no alias, or does not say whether it is from before or after the course")
    if data.get("edition") != EDITION or isinstance(data["edition"], bool):
        raise _Unusable("its cases are of another edition")
    if data.get("form") != form_of(alias, when):
        raise _Unusable("its form is not the one that this alias gets")
    try:
        return when, score(alias.casefold(), data["form"], data.get("answers"))
    except Refused:
        raise _Unusable("it does not hold ten answers") from None


def _data(path):
    """What a file holds, if that is a dict."""
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):  # a pipe would never end
            raise _Unusable("it is not a file")
        if about.st_size > MOST_BYTES:
            raise _Unusable("it is too large")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _Unusable(f"it cannot be opened ({error.strerror})") from None
    except (ValueError, RecursionError):
        raise _Unusable("it is broken or cut off") from None
    if not isinstance(data, dict):
        raise _Unusable("it holds something else than a test")
    return data
