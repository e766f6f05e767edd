"""The contract of an exercise: what is asked, how it is checked, which wrong and right answers are known.

Each stands in a file of its own, `mlprod_helpers/exercises/lesson_NN/eK_name.py`, and in the lesson's `EXERCISES`; `mlprod new
exercise` writes a first one. This file knows kinds and values, no subject and no display.
"""

import importlib
import importlib.util
import inspect
import sys
from dataclasses import dataclass, field
from types import SimpleNamespace

from mlprod_helpers.lesson.kept import drawn_once
from mlprod_helpers.lesson.kinds import (  # what the exercise modules import from here
    Array,
    Boolean,
    Choice,
    Frame,
    Function,
    Kind,
    Mapping,
    Names,
    Number,
    Order,
    Refused,
    Sequence,
    Several,
    Text,
)

__all__ = [
    "Array",
    "Boolean",
    "Choice",
    "Exercise",
    "Frame",
    "Function",
    "Kind",
    "LessonContract",
    "Mapping",
    "Misconception",
    "Names",
    "Number",
    "Order",
    "Raised",
    "Refused",
    "Sequence",
    "Several",
    "Text",
    "drawn_once",
    "exercise",
    "lesson_ids",
    "load",
]


@dataclass(frozen=True)
class Misconception:
    """A wrong answer that people really give, and the sentence that helps them.

    `make` is the wrong function itself where the answer is a function, else it takes no argument and returns the wrong
    answer. A learner's answer matches when its outputs are the same within `atol`, or when `when(seen)` says so.
    """

    name: str
    text: str
    make: object
    when: object = None
    atol: float = 1e-9


@dataclass
class Exercise:
    """One exercise. `kinds` runs parallel to `answers`."""

    id: str
    title: str
    answers: tuple
    points: int
    minutes: int
    kinds: tuple
    check: object
    hints: tuple
    objective: str = ""
    edition: int = 1
    seconds: float = 5.0
    misconceptions: list = field(default_factory=list)
    alternatives: list = field(default_factory=list)
    drawn_inputs: object = None
    judge: object = None
    atol: float = 1e-6
    survivors: dict = field(default_factory=dict)

    def misconception(self, text, *, when=None, atol=1e-9):
        """Register the decorated function as a wrong answer that draws the feedback `text`."""

        def register(make):
            self._refuse_twice(make)
            self.misconceptions.append(Misconception(make.__name__, text, make, when, atol))
            return make

        return register

    def alternative(self, make):
        """Register the decorated function as a right answer that is written differently from the lesson's."""
        self._refuse_twice(make)
        self.alternatives.append(make)
        return make

    def inputs(self, generate=None, *, atol=1e-6):
        """Register `generate(rng)`: it yields inputs that the *statement* allows, to tell a wrong answer from one that is only written otherwise.

        Each input is a tuple of arguments; where the exercise has several answers, a pair (name of the function, arguments).
        The first input is the visible example of the notebook. Then come ties, empty and missing values, renamed columns,
        extreme sizes: whatever the statement speaks of. Never the draws of the check. Two answers are the same when they
        return the same within `atol`, or both raise, on every input.
        """

        def register(generate):
            self.drawn_inputs, self.atol = generate, atol
            return generate

        return register if generate is None else register(generate)

    def acceptable(self, judge):
        """Register `judge(answer, rng)`: whether an answer is right by the statement alone, where many different ones are.

        For answers that are scored by consequences, and for numbers with a tolerance. It uses nothing of the check.
        """
        self.judge = judge
        return judge

    def survives(self, mutant, reason):
        """Say why a wrong answer of `mlprod audit --mutants` may pass: `mutant` as the audit prints it, `reason` a sentence."""
        self.survivors[mutant] = reason

    def _refuse_twice(self, make):
        """A second function of one name would hide the first one, or the exercise itself, from Python."""
        for other in (self.check, *(each.make for each in self.misconceptions), *self.alternatives):
            if other.__name__ == make.__name__:
                raise ValueError(
                    f"exercise {self.id}: {make.__name__} at {_place(make)} is already the name of what stands at "
                    f"{_place(other)}; rename one of them"
                )

    def answers_of(self, make):
        """The answers (name -> value) that a misconception or an alternative stands for."""
        if len(self.answers) == 1 and isinstance(self.kinds[0], Function):
            return {self.answers[0]: make}
        value = make()
        return dict(value) if len(self.answers) > 1 else {self.answers[0]: value}

    def template(self):
        """What stands in the learner's cell for each answer that is not a function: name -> expression."""
        return {name: kind.template() for name, kind in zip(self.answers, self.kinds, strict=True)}


def exercise(id, title, *, answers, points, minutes, kind, hints, objective="", edition=1, seconds=5.0):
    """Decorate a check function `(answer, rng, expect)`; it becomes an `Exercise`.

    Parameters
    ----------
    id : str. Lesson and number, such as "2.4".
    answers : tuple of str. The names that the learner defines.
    points, minutes : int
    kind : Kind or tuple of Kind. One for each answer.
    hints : sequence of str. From a nudge to almost the answer; at least one.
    edition : int. Grows when an answer that was given before may now score differently.
    seconds : float
        How long the learner's functions may run in one check, all calls together, before they are stopped.
    """
    answers = (answers,) if isinstance(answers, str) else tuple(answers)
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if len(kinds) != len(answers):
        raise ValueError(f"exercise {id}: {len(answers)} answers but {len(kinds)} kinds")
    if not hints:
        raise ValueError(f"exercise {id}: at least one hint is needed")

    def decorate(check):
        decorated = Exercise(
            id, title, answers, points, minutes, kinds, check, tuple(hints), objective, edition, seconds
        )
        decorated.__doc__ = check.__doc__
        return decorated

    return decorate


def _place(function):
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else repr(function)


@dataclass(frozen=True)
class LessonContract:
    """All exercises of one lesson, and its edition: a number that grows when an old notebook no longer fits.

    `next` is the sentence that says where to go when all exercises are passed, `needs` are the lessons that come before it.
    """

    lesson: str
    edition: int
    exercises: dict
    next: str = ""
    title: str = ""
    needs: tuple = ()

    @property
    def points(self):
        return sum(each.points for each in self.exercises.values())


def _module_name(lesson_id):
    return f"mlprod_helpers.exercises.lesson_{lesson_id}"


def lesson_ids():
    """The lessons that have exercises, in order.

    >>> "02" in lesson_ids()
    True
    """
    import pkgutil

    import mlprod_helpers.exercises as room

    names = (module.name for module in pkgutil.iter_modules(room.__path__))
    return sorted(name.removeprefix("lesson_") for name in names if name.startswith("lesson_"))


def exists(lesson_id):
    """Whether there is such a lesson; does not import it."""
    if not (isinstance(lesson_id, str) and lesson_id.isalnum()):  # dots would name another module
        return False
    return importlib.util.find_spec(_module_name(lesson_id)) is not None


def load(lesson_id):
    """The contract of one lesson, by its id such as "02".

    Raises
    ------
    LookupError : if there is no such lesson.
    """
    if not exists(lesson_id):
        raise LookupError(f"there is no lesson {lesson_id!r}; the lessons are {', '.join(lesson_ids())}")
    name = _module_name(lesson_id)
    module = sys.modules.get(name) or importlib.import_module(name)
    exercises = register(lesson_id, module.EXERCISES)
    return LessonContract(
        lesson_id,
        module.EDITION,
        exercises,
        getattr(module, "NEXT", ""),
        getattr(module, "TITLE", ""),
        getattr(module, "NEEDS", ()),
    )


def register(lesson_id, exercises):
    """The exercises of a lesson by id, in their order.

    Raises
    ------
    ValueError
        If one is no exercise or another lesson's, or if two have the same id or ask for the same answer; with both places.
    """
    by_id, owners = {}, {}
    for each in exercises:
        if not isinstance(each, Exercise):
            raise ValueError(f"lesson {lesson_id}: {each!r} in EXERCISES is no exercise")
        if int(each.id.partition(".")[0]) != int(lesson_id):
            raise ValueError(
                f"lesson {lesson_id}: exercise {each.id} at {_place(each.check)} is another lesson's"
            )
        if each.id in by_id:
            raise ValueError(
                f"exercise {each.id} is defined twice, at {_place(by_id[each.id].check)} and {_place(each.check)}"
            )
        for name in each.answers:
            if name in owners:
                raise ValueError(
                    f"the answer {name} belongs to exercise {owners[name].id} at {_place(owners[name].check)} "
                    f"and to {each.id} at {_place(each.check)}"
                )
            owners[name] = each
        by_id[each.id] = each
    return dict(sorted(by_id.items(), key=lambda item: [int(part) for part in item[0].split(".")]))


class Raised(Exception):
    """The learner's own code raised `error`; `said` is what there is to tell of it."""

    def __init__(self, error, call, said):
        super().__init__(call)
        self.error, self.call, self.said = error, call, said


def bundle(values):
    """The `answer` that a check gets: the value itself, or a namespace when there are several."""
    return next(iter(values.values())) if len(values) == 1 else SimpleNamespace(**values)
