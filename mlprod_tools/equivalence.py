"""Whether an answer is right: by the check, and by the statement.

A right answer is run once, and what it gives in each call is kept. Check, judge and generator are deterministic, so an answer
that gives the same in each of these calls gets the same verdict. Most equivalent mutants need no run of their own.
"""

import contextlib
import functools
import io
import marshal
import signal
from dataclasses import replace

import numpy as np

from mlprod_helpers.lesson import elsewhere, values
from mlprod_helpers.lesson.checking import check, quiet
from mlprod_helpers.lesson.contract import bundle
from mlprod_helpers.lesson.kinds import Function, Refused
from mlprod_helpers.lesson.owner import Owner

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
        kinds = zip(exercise.answers, exercise.kinds, strict=True)
        self._functions = [name for name, kind in kinds if isinstance(kind, Function)]

    def is_echoed_to_the_check(self, answers):
        """Whether the check with the notebook's own seed gets the same from these answers."""
        if self._checked is None or not self._has_equal_values(answers, exact=True):
            return False
        exercise = self.exercise
        owner = Owner(answers, dict(zip(exercise.answers, exercise.kinds, strict=True)), exercise.seconds)
        with elsewhere.dice_kept(), stopped_after(SECONDS):
            try:
                return all(
                    _gives(owner.call(call.name, call.arguments, call.process), result)
                    for call, result in self._checked
                )
            finally:
                owner.forget()
        return False

    @functools.cached_property
    def _checked(self):
        """The calls of the check and their results; None where it does not pass, or counts on an exception."""
        found = verdict(without_notes(self.exercise), self.answers, None)
        if found is None or found.outcome.name != "PASSED" or any(call.error for call in found.seen.calls):
            return None
        return [(call, _data(call.output)) for call in found.seen.calls]

    def is_equivalent(self, answers):
        """Whether these answers are right by the statement alone: by the exercise's judge, or on the inputs of its generator."""
        if self.exercise.judge:
            return self._is_echoed_to_the_judge(answers) or _is_acceptable(self.exercise, answers)
        return self._has_equal_values(answers) and all(
            _same(self.exercise, result, result_of(answers[name], arguments))
            for name, arguments, result in self._results
        )

    @functools.cached_property
    def _results(self):
        if self.exercise.drawn_inputs is None:
            return []
        return [
            (name, arguments, result_of(self.answers[name], arguments))
            for seed in range(EQUIVALENCE_SEEDS)
            for name, arguments in inputs_of(self.exercise, seed)
        ]

    def _has_equal_values(self, answers, *, exact=False):
        """Whether the answers that are no functions are the same."""
        atol = 0 if exact else self.exercise.atol
        names = [name for name in self.answers if name not in self._functions]
        return all(values.close(answers[name], self.answers[name], rtol=atol, atol=atol) for name in names)

    def _is_echoed_to_the_judge(self, answers):
        if self._judged is None or not self._has_equal_values(answers, exact=True):
            return False
        with stopped_after(60 * SECONDS), _quiet():
            try:
                return all(
                    _outcome(answers[name], values.decode(marshal.loads(sent))) == outcome
                    for name, sent, outcome in self._judged
                )
            except Exception:
                return False
        return False

    @functools.cached_property
    def _judged(self):
        """The judge's calls on all seeds: (name, arguments, arguments afterwards and result). None where they are no plain data."""
        calls = []
        recorded = {name: self._recorded(name, calls) for name in self._functions}
        acceptable = _is_acceptable(self.exercise, self.answers | recorded)
        return calls if acceptable and None not in calls else None

    def _recorded(self, name, calls):
        def call(*arguments):
            calls.append(None)  # stays if anything here raises
            place = len(calls) - 1
            sent = _data(list(arguments))
            result = self.answers[name](*arguments)
            calls[place] = name, sent, _data([list(arguments), result])
            return result

        return call


def _outcome(function, arguments):
    """The arguments as a call leaves them, and its result."""
    result = function(*arguments)
    return _data([arguments, result])


def _data(value):
    """Bytes that are equal where the codec makes the same of two values, of the same types."""
    return marshal.dumps(
        values.encode(value), 2
    )  # a later version tells apart what is one object and what is two


def _gives(reply, result):
    return reply.status == "value" and not reply.changed and _data(reply.value) == result


def _is_acceptable(exercise, answers):
    """What the exercise's judge says."""
    for seed in range(EQUIVALENCE_SEEDS):
        with _quiet():
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
            with _quiet():
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


@contextlib.contextmanager
def _quiet():
    with quiet(io.StringIO()), np.errstate(all="ignore"):
        yield
