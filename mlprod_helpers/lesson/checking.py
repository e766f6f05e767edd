"""The one check function: takes the learner's names, returns a verdict. Notebook and grader both call it."""

import contextlib
import enum
import io
import re
import traceback
import warnings
import zlib
from dataclasses import dataclass, field

import numpy as np

from mlprod_helpers.lesson import values
from mlprod_helpers.lesson.contract import bundle
from mlprod_helpers.lesson.expect import Expect, Line, pattern
from mlprod_helpers.lesson.kinds import Choice, Function, Refused


class Outcome(enum.Enum):
    NOT_ATTEMPTED = "not attempted"
    PASSED = "passed"
    PARTLY = "partly"
    FAILED = "not yet"
    RAISED = "stopped by an error"


@dataclass(frozen=True)
class Verdict:
    """What a check found. `note` is the feedback on a misconception; `fault` is set when the check itself broke."""

    exercise: object
    outcome: Outcome
    points: float
    lines: tuple = ()
    note: str = ""
    misconception: str = ""
    digest: str = ""
    fault: str = ""


@dataclass
class Seen:
    """What happened during one check: the calls (name, arguments, result or exception) and the expectations."""

    values: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)
    lines: list = field(default_factory=list)
    cases: tuple | None = None

    @property
    def outputs(self):
        return [call.output for call in self.calls]

    @property
    def verdicts(self):
        return [(line.what, line.ok, line.got, line.want) for line in self.lines]


@dataclass(frozen=True)
class Call:
    name: str
    arguments: list
    output: object = None
    error: str = ""

    @property
    def given(self):
        """The arguments as the answer got them."""
        return values.decode(self.arguments)


class NotAttempted(Exception):
    """An answer is still `...`, or its cell was never run."""


class Raised(Exception):
    """The learner's own code raised `error`."""

    def __init__(self, error, call):
        super().__init__(call)
        self.error, self.call = error, call


class Answer:
    """A learner's function behind glass: it gets copies, and its results are copied and checked for their kind."""

    def __init__(self, name, function, kind, seen):
        self._name, self._function, self._kind, self._seen = name, function, kind, seen
        self.changed_arguments = False

    def __call__(self, *arguments):
        name = f"`{self._name}({_preview(arguments)})`"
        sent = values.encode(list(arguments))
        copies = values.decode(sent)
        said = io.StringIO()
        try:
            with quiet(said):
                result = self._function(*copies)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a learner's exit() must not end the kernel
            self._seen.calls.append(Call(self._name, sent, error=type(error).__name__))
            raise Raised(error, name) from None
        if result is Ellipsis:
            raise NotAttempted(f"`{self._name}` still returns `...`.")
        try:
            output = values.copy(result)
            changed = self._changes(sent, values.encode(copies))
        except values.Unsupported as error:
            raise Refused(f"{name} returns something that cannot be checked: {error}.") from None
        except Exception:  # an object whose own methods fail
            raise Refused(f"{name} returns {type(result).__name__}, which is not plain data.") from None
        self._seen.calls.append(Call(self._name, sent, output))
        if output is None:
            printed = (
                " It printed something: `print` shows a value, `return` hands it over."
                if said.getvalue()
                else ""
            )
            raise Refused(f"{name} returns None.{printed or ' Does every path end with `return`?'}")
        self.changed_arguments |= changed
        return self._kind.returns.take(output, name)

    def _changes(self, sent, left):
        """Whether an argument that is not the learner's own came back changed."""
        pairs = zip(self._kind.params, sent["items"], left["items"], strict=False)
        return any(before != after for name, before, after in pairs if name not in self._kind.may_change)


@contextlib.contextmanager
def quiet(said=None):
    """Keep the learner's printing and warnings out of the check."""
    said = said or io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def seed_of(exercise_id):
    """The seed a notebook's check draws from: fixed, so that feedback is the same each time. A grader draws its own."""
    return zlib.crc32(exercise_id.encode())


def check(exercise, namespace, rng=None):
    """Check the answers that `namespace` holds.

    Parameters
    ----------
    exercise : Exercise
    namespace : mapping of name -> object
        Where the learner's names live; it is not changed.
    rng : numpy.random.Generator, optional
        Where the check draws its inputs from. Default: the fixed seed of the exercise.

    Returns
    -------
    Verdict
        Never raises, KeyboardInterrupt aside.
    """
    rng = np.random.default_rng(seed_of(exercise.id)) if rng is None else rng
    seen, expect = Seen(), Expect()
    raised = None
    try:
        answers = _collect(exercise, namespace, seen)
        with quiet():
            exercise.check(bundle(answers), rng, expect)
        for name, answer in answers.items():
            if isinstance(answer, Answer) and answer.changed_arguments:
                expect.true(
                    False,
                    f"`{name}` leaves its arguments as they were",
                    "it changed one: work on a copy, `x = x.copy()`",
                )
    except NotAttempted as reason:
        return Verdict(exercise, Outcome.NOT_ATTEMPTED, 0, note=str(reason))
    except Refused as reason:
        expect.lines.append(Line(str(reason), False))
        raised = Outcome.FAILED
    except Raised as reason:
        expect.lines.append(Line(_explain(reason), False))
        raised = Outcome.RAISED
    except Exception as error:
        return _broken(exercise, error, seen)
    if not expect.lines:
        return _broken(exercise, AssertionError("the check expected nothing"), seen)
    return _judge(exercise, expect, seen, raised)


def _broken(exercise, error, seen):
    last = traceback.extract_tb(error.__traceback__)[-1:] or [None]
    where = f" ({last[0].name}, line {last[0].lineno})" if last[0] else ""
    line = Line("The check could not read this answer. Compare its shape with the task.", False)
    fault = _scrub(f"{type(error).__name__}: {error}{where}")
    return Verdict(exercise, Outcome.FAILED, 0, (line,), digest=_digest(seen), fault=fault)


def _collect(exercise, namespace, seen):
    """name -> value of the right kind, functions behind glass."""
    missing = [name for name in exercise.answers if name not in namespace]
    kinds = dict(zip(exercise.answers, exercise.kinds, strict=True))
    present = {name: namespace[name] for name in exercise.answers if name not in missing}
    untouched = [name for name, value in present.items() if _untouched(kinds[name], value)]
    if len(missing) == len(exercise.answers):
        raise NotAttempted(f"`{missing[0]}` does not exist yet: run the cell above first.")
    if len(missing) + len(untouched) == len(exercise.answers):
        raise NotAttempted(
            f"`{untouched[0]}` is still `...`: replace it by your answer and run the cell again."
        )
    for name in missing:
        raise Refused(f"`{name}` does not exist yet: run the cell above first.")
    for name in untouched:
        raise Refused(f"`{name}` is still `...`: replace it by your answer and run the cell again.")
    return {name: _take(kinds[name], name, value, seen) for name, value in present.items()}


def _untouched(kind, value):
    try:
        return bool(kind.untouched(value))
    except Exception:  # an object whose comparison fails is an answer, if a strange one
        return False


def _take(kind, name, value, seen):
    if isinstance(kind, Function):
        try:
            function = kind.take(value, f"`{name}`")
        except Refused:
            raise
        except Exception:
            raise Refused(f"`{name}` is not a function that can be called.") from None
        return Answer(name, function, kind, seen)
    try:
        plain = values.copy(value)
    except values.Unsupported as error:
        raise Refused(f"`{name}` cannot be checked: {error}.") from None
    except Exception:
        raise Refused(
            f"`{name}` is an object of type `{type(value).__name__}`, which is not plain data."
        ) from None
    seen.values[name] = plain
    if plain is None:
        raise Refused(
            f"`{name}` is None: was a value assigned, or is it the result of something that returns nothing?"
        )
    return kind.take(plain, f"`{name}`")


def _judge(exercise, expect, seen, stopped):
    seen.lines, seen.cases = expect.lines, expect.cases_seen
    complete = stopped is None and expect.held == len(expect.lines)
    if complete:
        return Verdict(exercise, Outcome.PASSED, exercise.points, tuple(expect.lines), digest=_digest(seen))
    # a check that stopped has not looked at everything: no points for the part it saw
    share = 0 if stopped else expect.share
    points = int(2 * exercise.points * share) / 2
    outcome = stopped or (Outcome.PARTLY if points else Outcome.FAILED)
    found = _misconception(exercise, seen)
    note = found.text if found else ""
    lines = _summed_up(expect, seen)
    return Verdict(exercise, outcome, points, lines, note, found.name if found else "", digest=_digest(seen))


def _summed_up(expect, seen):
    lines = list(expect.lines)
    if seen.cases:
        got, want = seen.cases
        right = sum(got[key] == want[key] for key in want)
        lines = [line for line in lines if not line.what.startswith("case ")]
        lines.insert(0, Line(f"{right} of {len(want)} cases are right", right == len(want)))
    common = pattern(lines)
    if common:
        first = next(i for i, line in enumerate(lines) if not line.ok)
        lines[first] = Line(lines[first].what, False, f"{lines[first].note}, {common}".strip(", "))
    return tuple(lines)


def _misconception(exercise, seen):
    """The misconception that gives what this answer gave, if there is one."""
    if seen.cases:
        return _choice_misconception(exercise, seen)
    for candidate in exercise.misconceptions:
        try:
            with quiet():
                same = candidate.when(seen) if candidate.when else _replays(exercise, candidate, seen)
        except Exception:
            same = False
        if same:
            return candidate
    return None


def _choice_misconception(exercise, seen):
    """The misconception whose wrong choices were all made; of several the one with most of them."""
    got, want = seen.cases
    best, most = None, 0
    for candidate in exercise.misconceptions:
        wrong = {
            key: choice
            for key, choice in exercise.answers_of(candidate.make)[_choice_name(exercise)].items()
            if choice != want.get(key)
        }
        if len(wrong) > most and all(got.get(key) == choice for key, choice in wrong.items()):
            best, most = candidate, len(wrong)
    return best


def _choice_name(exercise):
    return next(
        name for name, kind in zip(exercise.answers, exercise.kinds, strict=True) if isinstance(kind, Choice)
    )


def _replays(exercise, candidate, seen):
    wrong = exercise.answers_of(candidate.make)
    for name, value in seen.values.items():
        if not values.close(values.copy(wrong[name]), value, atol=candidate.atol):
            return False
    for call in seen.calls:
        try:
            with quiet():
                output = values.copy(wrong[call.name](*values.decode(call.arguments)))
        except Exception as error:
            if type(error).__name__ != call.error:
                return False
            continue
        if call.error or not values.close(output, call.output, atol=candidate.atol):
            return False
    return bool(seen.values or seen.calls)


def _digest(seen):
    """A short name for this answer: two tries with the same results count as one."""
    text = repr(
        (
            values.encode(seen.values),
            [(call.name, values.encode(call.output), call.error) for call in seen.calls],
        )
    )
    return f"{zlib.crc32(text.encode()):08x}"


def _preview(arguments):
    parts = []
    for argument in arguments:
        if isinstance(argument, bool | int | float | str | np.generic) or argument is None:
            plain = argument.item() if isinstance(argument, np.generic) else argument
            text = f"{plain:.6g}" if isinstance(plain, float) else repr(plain)
            parts.append(text if len(text) <= 20 else text[:17] + "...")
        else:
            parts.append("...")
    return ", ".join(parts)


def _explain(raised):
    """One sentence on an exception: where in the learner's own cell, and what Python says."""
    error = raised.error
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_learners(frame.filename)]
    where = f" in line {own[-1].lineno} of its cell, `{(own[-1].line or '').strip()}`" if own else ""
    said = _scrub(str(error).strip().split("\n")[0])[:200]
    return f"{raised.call} stops{where}: {type(error).__name__}{': ' + said if said else ''}"


def _is_learners(filename):
    # ipykernel compiles cells into files named after it; other shells use a name in angle brackets
    return "ipykernel_" in filename or filename.startswith(("<ipython-input", "<cell", "<stdin"))


def _scrub(text):
    """Without memory addresses: feedback is the same each time."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)
