"""Whether an answer is right: by the check, and by the statement."""

import contextlib
import functools
import signal
from dataclasses import replace

import numpy as np

from mlprod_helpers.lesson import values
from mlprod_helpers.lesson.checking import check, quiet
from mlprod_helpers.lesson.contract import bundle
from mlprod_helpers.lesson.kinds import Function, Refused

EQUIVALENCE_SEEDS = 10
SECONDS = 2.0  # of the processor: an endless loop is a frequent mutant


class Right:
    """A right answer of an exercise, to compare its mutants with.

    Parameters
    ----------
    exercise : Exercise
    answers : dict
        name -> value.
    """

    def __init__(self, exercise, answers):
        self.exercise, self.answers = exercise, answers

    def is_equivalent(self, answers):
        """Whether these answers are right by the statement alone: by the exercise's judge, or on the inputs of its generator."""
        if self.exercise.judge:
            return _is_acceptable(self.exercise, answers)
        return self._has_equal_values(answers) and all(
            _same(self.exercise, result, result_of(answers[name], arguments))
            for name, arguments, result in self._results
        )

    @functools.cached_property
    def _results(self):
        """What this answer gives: (name of the function, arguments, result), found out once for all mutants."""
        if self.exercise.drawn_inputs is None:
            return []
        return [
            (name, arguments, result_of(self.answers[name], arguments))
            for seed in range(EQUIVALENCE_SEEDS)
            for name, arguments in inputs_of(self.exercise, seed)
        ]

    def _has_equal_values(self, answers):
        """Whether the answers that are no functions are the same."""
        kinds = zip(self.exercise.answers, self.exercise.kinds, strict=True)
        names = [name for name, kind in kinds if not isinstance(kind, Function)]
        atol = self.exercise.atol
        return all(values.close(answers[name], self.answers[name], atol=atol) for name in names)


def _is_acceptable(exercise, answers):
    """What the exercise's judge says."""
    for seed in range(EQUIVALENCE_SEEDS):
        with quiet():
            try:
                right = exercise.judge(bundle(answers), np.random.default_rng([7, seed]))
            except Exception:  # it raises on an input that the statement allows
                return False
            if not right:
                return False
    return True


def inputs_of(exercise, seed):
    """(name of the function, arguments) of each input that the exercise's generator yields."""
    functions = [
        name
        for name, kind in zip(exercise.answers, exercise.kinds, strict=True)
        if isinstance(kind, Function)
    ]
    for each in exercise.drawn_inputs(np.random.default_rng([7, seed])):
        yield (functions[0], tuple(each)) if len(functions) == 1 else (each[0], tuple(each[1]))


def result_of(function, arguments):
    """A copy of what a function returns, or its exception."""
    with stopped_after(SECONDS):
        try:
            with quiet():
                return values.copy(function(*values.copy(list(arguments))))
        except Exception as error:
            return error
    return TimeoutError("endless")


def _same(exercise, a, b):
    if isinstance(a, Exception) or isinstance(b, Exception):
        return isinstance(a, Exception) and isinstance(b, Exception)
    return values.close(a, b, atol=exercise.atol, rtol=max(exercise.atol, 1e-6))


def passes(exercise, answers, seed):
    """Whether a check passes; None where it did not end. With `seed` None it is the notebook's own."""
    found = verdict(_hasty(exercise), answers, seed)
    return None if found is None else found.outcome.name == "PASSED"


def verdict(exercise, answers, seed):
    """The verdict of one check; None where it did not end."""
    rng = None if seed is None else np.random.default_rng([seed, *exercise.id.encode()])
    with stopped_after(SECONDS):
        return check(exercise, answers, rng)
    return None


def without_notes(exercise):
    """The exercise as it is checked where only the points count: to look for the misconception takes longest."""
    return replace(exercise, misconceptions=[])


def _hasty(exercise):
    """The exercise as it is checked where only passing counts: the check ends at the first line that does not hold."""

    def hasty(answer, rng, expect):
        expect.lines = _UpToAFault()
        exercise.check(answer, rng, expect)

    return replace(exercise, misconceptions=[], check=hasty)


class _UpToAFault(list):
    """The lines of a check. The first one that does not hold ends it, as if the answer had been refused."""

    is_over = False

    def append(self, line):
        super().append(line)
        if not (line.ok or self.is_over):
            self.is_over = True
            raise Refused(line.what)


@contextlib.contextmanager
def stopped_after(seconds):
    """End the body after so many seconds of the processor, which others may be using too."""

    class TooLong(BaseException):
        pass

    def stop(*_):
        raise TooLong

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds, 0.2)
    try:
        yield
    except TooLong:
        pass
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
