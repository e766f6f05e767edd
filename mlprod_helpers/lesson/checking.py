"""The one check function: takes the learner's names, returns a verdict. Notebook and grader both call it."""

import contextlib
import functools
import zlib
from dataclasses import dataclass, field

import numpy as np

from mlprod_helpers.lesson import elsewhere, values
from mlprod_helpers.lesson.cells import running_shell
from mlprod_helpers.lesson.contract import Raised, bundle
from mlprod_helpers.lesson.expect import Expect, Line, pattern
from mlprod_helpers.lesson.kinds import Choice, Function, Refused
from mlprod_helpers.lesson.limit import Clock
from mlprod_helpers.lesson.outcome import Outcome, Verdict
from mlprod_helpers.lesson.owner import FUNCTIONS, Owner, frames_of, message_of, quiet, scrub
from mlprod_helpers.lesson.preview import arguments_text


@dataclass
class Seen:
    """What happened during one check: the calls (name, arguments, result or exception) and the expectations."""

    values: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)
    lines: list = field(default_factory=list)
    cases: tuple | None = None
    processes: int = 0
    damaged: bool = False  # an argument was changed

    @property
    def arguments(self):
        """Of each call, the arguments as the answer got them."""
        return [call.given for call in self.calls]

    @property
    def outputs(self):
        return [call.output for call in self.calls]

    @property
    def has_output(self):
        """Whether there is anything to tell a misconception by: more than NaN and nothing."""
        given = [*self.values.values(), *(call.output for call in self.calls if not call.error)]
        return any(_says_something(each) for each in given)

    @property
    def verdicts(self):
        return [(line.what, line.ok, line.got, line.want) for line in self.lines]


def _says_something(value):
    if isinstance(value, float | np.floating):
        return bool(np.isfinite(value))
    return value is not None


@dataclass(frozen=True)
class Call:
    """One call of the learner's function; `taken` is its result as the check got it."""

    name: str
    arguments: list
    output: object = None
    error: str = ""
    process: int = 0
    taken: object = field(default=None, repr=False, compare=False)

    @property
    def given(self):
        """The arguments as the answer got them."""
        return [values.decode(each) for each in self.arguments]


class CallText:
    """How a call is written in feedback, such as `share(3, 'x')`. Most calls need no words, so they are made when they are asked for."""

    def __init__(self, name, arguments):
        self._name, self._arguments = name, arguments

    def __str__(self):
        return f"`{self._name}({arguments_text(self._arguments)})`"


class NotAttempted(Exception):
    """An answer is still `...`, or its cell was never run."""


class Stopped(Exception):
    """The learner's own code did not end in time, or ended its process. The message is a sentence for the learner."""


class Answer:
    """A learner's function behind glass: it gets copies, and its results are copied and checked for their kind."""

    def __init__(self, name, owner, kind, seen):
        self._name, self._owner, self._kind, self._seen = name, owner, kind, seen
        self.changed_arguments = False

    def __call__(self, *arguments):
        return self._call(arguments, process=0)

    def in_another_process(self, *arguments):
        """The call as a freshly started process would answer it.

        Nothing is there that earlier calls left behind (in globals, default arguments, attributes, closures, caches), the
        hashes of texts are others, and so is the state of `random` and `numpy.random`. Each call is a process of its own.
        """
        self._seen.processes += 1
        return self._call(arguments, process=self._seen.processes)

    def _call(self, arguments, process):
        name = CallText(self._name, arguments)
        sent = [values.encode(each) for each in arguments]
        reply = self._owner.call(self._name, sent, process)
        note = functools.partial(self._note, sent, process)
        if reply.status == "value" and reply.value is not None:
            self.changed_arguments |= reply.changed
            output = reply.value
            try:
                taken = _taken(self._kind.returns, output, name)
            except Refused:
                note(output)
                raise
            note(output, taken=taken)
            return taken
        if reply.status == "raised":
            note(error=reply.error)
            raise Raised(reply.exception, str(name), reply)
        if reply.status in ("late", "died"):
            note(error=reply.error)
            raise Stopped(
                f"{name} {reply.text}"
                if reply.status == "died"
                else _too_long(name, reply.place, self._owner.seconds)
            )
        if reply.status == "open":
            raise NotAttempted(f"`{self._name}` still returns `...`.")
        _plain(reply, name, f"{name} returns", self._owner.seconds)
        note()
        printed = (
            " It printed something: `print` shows a value, `return` hands it over." if reply.printed else ""
        )
        raise Refused(f"{name} returns None.{printed or ' Does every path end with `return`?'}")

    def _note(self, sent, process, output=None, error="", taken=None):
        self._seen.calls.append(Call(self._name, sent, output, error, process, taken))


def _plain(reply, name, begins, seconds):
    """The value of a reply, or what is said of it where it is none."""
    if reply.status == "value":
        return reply.value
    if reply.status == "unsupported":
        what = "something that cannot be checked" if begins.endswith("returns") else "cannot be checked"
        raise Refused(f"{begins} {what}: {reply.text}.")
    if reply.status == "endless":
        raise Stopped(f"{name} cannot be read: after {seconds:g} s its content had not ended.")
    if reply.status == "died":
        raise Stopped(f"{name} {reply.text}")
    what = reply.error if begins.endswith("returns") else f"is an object of type `{reply.error}`"
    raise Refused(f"{begins} {what}, which is not plain data.")


def _taken(kind, value, name):
    try:
        return kind.take(value, name)
    except (ValueError, TypeError, ArithmeticError, AttributeError, LookupError):
        # such as an array of missing values within a list of steps
        raise Refused(
            f"{name} is {values.describe(value)}, which cannot be read as an answer here."
        ) from None


def _too_long(name, place, seconds):
    if place is None:
        return f"{name} was stopped: the calls of this check may take {seconds:g} s together."
    line, text = place
    loop = text.startswith(("while", "for", "async for"))
    where = (
        f"in the loop of line {line} of its cell, `{text}`"
        if loop
        else f"in line {line} of its cell, `{text}`"
    )
    asks = " Does this loop end?" if loop else ""
    return f"{name} was stopped after {seconds:g} s, {where}.{asks}"


def seed_of(exercise_id):
    """The seed a notebook's check draws from: fixed, so that feedback is the same each time. A grader draws its own."""
    return zlib.crc32(exercise_id.encode())


def check(exercise, namespace, rng=None):
    """Check the answers that `namespace` (name -> object, not changed) holds, and return a `Verdict`; it never raises.

    `rng` is where the check draws its inputs from, by default with the fixed seed of the exercise.
    """
    kinds = dict(zip(exercise.answers, exercise.kinds, strict=True))
    # made on the check's side of the guard: an answer may be anything
    return check_with(exercise, lambda: Owner(namespace, kinds, exercise.seconds), rng)


def check_with(exercise, make_owner, rng=None):
    """Check the answers that an owner (see owner.py) has: the same check for those in this process and for those in a sandbox."""
    rng = np.random.default_rng(seed_of(exercise.id)) if rng is None else rng
    seen = Seen()
    try:
        with elsewhere.dice_kept(), _no_exit():
            owner = make_owner()
            try:
                return _checked(exercise, owner, rng, seen)
            finally:
                owner.forget()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return _broken(exercise, error, seen)


def _checked(exercise, owner, rng, seen):
    expect, stopped = Expect(seen), None
    try:
        answers = _collect(exercise, owner, seen)
        with quiet():
            exercise.check(bundle(answers), rng, expect)
        for name, answer in answers.items():
            if isinstance(answer, Answer) and answer.changed_arguments:
                seen.damaged = True
                expect.true(
                    False,
                    f"`{name}` leaves its arguments as they were",
                    "it changed one: work on a copy, `x = x.copy()`",
                )
    except NotAttempted as reason:
        return Verdict(exercise, Outcome.NOT_ATTEMPTED, 0, note=str(reason), seen=seen)
    except Refused as reason:
        expect.lines.append(Line(str(reason), False))
        stopped = Outcome.FAILED
    except Raised as reason:
        expect.lines.append(Line(_explain(reason), False))
        stopped = Outcome.RAISED
    except Stopped as reason:
        expect.lines.append(Line(str(reason), False))
        stopped = Outcome.RAISED
    if not expect.lines:
        raise AssertionError("the check expected nothing")
    return _judge(exercise, expect, seen, stopped)


@contextlib.contextmanager
def _no_exit():
    """IPython's `exit` ends the kernel after the cell; within a check it raises as Python's own does."""
    shell = running_shell()
    if shell is None:
        yield
        return

    def ask_exit():
        raise SystemExit

    own = vars(shell).get("ask_exit")
    shell.ask_exit = ask_exit
    try:
        yield
    finally:
        if own is None:
            del shell.ask_exit
        else:
            shell.ask_exit = own


def _broken(exercise, error, seen):
    frames = frames_of(error)
    where = f" ({frames[-1].name}, line {frames[-1].lineno})" if frames else ""
    line = Line("The check could not read this answer. Compare its shape with the task.", False)
    fault = scrub(f"{values.type_name(error)}: {message_of(error)}{where}")
    return Verdict(exercise, Outcome.FAILED, 0, (line,), digest=_digest(seen), fault=fault, seen=seen)


def _collect(exercise, owner, seen):
    """name -> value of the right kind, functions behind glass."""
    missing = [name for name in exercise.answers if not owner.has(name)]
    kinds = dict(zip(exercise.answers, exercise.kinds, strict=True))
    present = [name for name in exercise.answers if name not in missing]
    untouched = [name for name in present if owner.untouched(name)]
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
    return {name: _take(kinds[name], name, owner, seen) for name in present}


def _take(kind, name, owner, seen):
    if isinstance(kind, Function):
        if why := owner.refusal(name):
            raise Refused(why)
        return Answer(name, owner, kind, seen)
    plain = _plain(owner.read(name), f"`{name}`", f"`{name}`", owner.seconds)
    seen.values[name] = plain
    if plain is None:
        raise Refused(
            f"`{name}` is None: was a value assigned, or is it the result of something that returns nothing?"
        )
    return _taken(kind, plain, f"`{name}`")


def _judge(exercise, expect, seen, stopped):
    seen.lines, seen.cases = expect.lines, expect.cases_seen
    complete = stopped is None and expect.held == len(expect.lines)
    if complete:
        digest = _digest(seen)
        return Verdict(
            exercise, Outcome.PASSED, exercise.points, tuple(expect.lines), digest=digest, seen=seen
        )
    # a check that stopped has not looked at everything: no points for the part it saw
    share = 0 if stopped else expect.share
    points = int(2 * exercise.points * share) / 2
    outcome = stopped or (Outcome.PARTLY if points else Outcome.FAILED)
    # what was refused, raised, stopped or damaged its arguments was not read: it accuses nobody
    unread = stopped or seen.damaged or not seen.has_output
    matched, partial = (None, False) if unread else _misconception(exercise, seen)
    return Verdict(
        exercise,
        outcome,
        points,
        _summed_up(expect, seen),
        note=matched.text if matched else "",
        misconception=matched.name if matched else "",
        digest=_digest(seen),
        partial=partial,
        seen=seen,
    )


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
    """The one misconception that explains this answer, and whether only a part of it was seen; None where several do.

    One that gives exactly what this answer gave counts for more than one whose `when` holds.
    """
    if seen.cases:
        return _choice_misconception(exercise, seen)
    clock = Clock(exercise.seconds)
    matched = [
        each
        for each in exercise.misconceptions
        if _holds(functools.partial(_replays, exercise, each, seen), clock)
    ]
    if not matched:
        described = [each for each in exercise.misconceptions if each.when]
        matched = [each for each in described if _holds(functools.partial(each.when, seen), clock)]
    return (matched[0], False) if len(matched) == 1 else (None, False)


def _holds(question, clock):
    try:
        with quiet():
            return bool(clock.run(question))
    except KeyboardInterrupt:
        raise
    except BaseException:  # asked of an answer that it does not fit
        return False


def _choice_misconception(exercise, seen):
    """The misconception whose wrong choices were all made, if they are half of what is wrong; of several the one with most of them.

    Where one case alone is wrong: the only misconception that has this choice among its own.
    """
    got, want = seen.cases
    wrong = {key for key in want if got.get(key) != want[key]}
    whole, part = [], []
    for candidate in exercise.misconceptions:
        choices = exercise.answers_of(candidate.make)[_choice_name(exercise)]
        mistakes = {key for key in want if choices.get(key) != want[key]}
        made = {key for key in mistakes if got.get(key) == choices.get(key)}
        alike = len(set(choices.values())) == 1  # "always" this option does not explain another one
        if mistakes and made == mistakes and (made == wrong if alike else 2 * len(made) >= len(wrong)):
            whole.append((len(made), candidate))
        elif len(wrong) == 1 and made == wrong and not alike:
            part.append(candidate)
    if len(set(got.values())) == 1:  # one option everywhere is no opinion
        whole, part = [each for each in whole if each[0] == len(wrong)], []
    most = max((n for n, _ in whole), default=0)
    best = [candidate for n, candidate in whole if n == most]
    if best:
        return (best[0], False) if len(best) == 1 else (None, False)
    return (part[0], True) if len(part) == 1 else (None, False)


def _choice_name(exercise):
    return next(
        name for name, kind in zip(exercise.answers, exercise.kinds, strict=True) if isinstance(kind, Choice)
    )


def _replays(exercise, candidate, seen):
    wrong = exercise.answers_of(candidate.make)
    for name, value in seen.values.items():
        if not values.close(values.copy(wrong[name]), value, atol=candidate.atol):
            return False
    functions = [each for each in wrong.values() if isinstance(each, FUNCTIONS)]
    began = elsewhere.Kept(*functions)
    try:
        return all(
            _replays_call(wrong[call.name], call, candidate.atol, began, functions) for call in seen.calls
        )
    finally:
        began.restore()


def _replays_call(function, call, atol, began, functions):
    """Whether `function` gives what was given in this call, in a process of its own if that was asked."""
    try:
        with contextlib.ExitStack() as stack:
            if call.process:
                stack.enter_context(elsewhere.another_process(began, functions, call.process))
            output = values.copy(function(*call.given))
    except Exception as error:
        return type(error).__name__ == call.error
    return not call.error and values.close(output, call.output, atol=atol)


def _digest(seen):
    """A short name for this answer: two tries with the same results count as one."""
    given = [(name, values.encode(value)) for name, value in seen.values.items()]
    text = repr((given, [(call.name, values.encode(call.output), call.error) for call in seen.calls]))
    return f"{zlib.crc32(text.encode('utf-8', 'backslashreplace')):08x}"


def _explain(raised):
    """One sentence on an exception: where in the learner's own cell, and what Python says."""
    said = raised.said
    where = f" in line {said.place[0]} of its cell, `{said.place[1]}`" if said.place else ""
    return f"{raised.call} stops{where}: {said.error}{': ' + said.text if said.text else ''}"
