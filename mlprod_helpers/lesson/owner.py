"""The side that owns the learner's objects: it runs their code on copies and answers with plain data only.

In a notebook this is the same process as the check. A grader has another `Owner` in a sandbox and talks to it by JSON; the check
sees no difference.
"""

import contextlib
import io
import re
import traceback
import types
import warnings
from dataclasses import dataclass, field

import numpy as np

from mlprod_helpers.lesson import elsewhere, values
from mlprod_helpers.lesson.kinds import Function, Refused
from mlprod_helpers.lesson.limit import Clock, TimeIsUp

MOST_PRINTED = 2**16  # characters of a call's printing that are kept


@dataclass
class Reply:
    """What came of a call, or of reading an answer.

    `status` is "value"; "open" for `...`; "raised"; "late" where the call did not end; "unsupported", "odd" and "endless" where
    its result cannot be read; "died" where the process ended with it. `text` is what Python, or the codec, says of it,
    `error` the type's name, `place` the (line, text) in the learner's cell.
    """

    status: str
    value: object = None
    text: str = ""
    error: str = ""
    place: tuple | None = None
    printed: bool = False
    changed: bool = False
    exception: object = field(default=None, repr=False)


class Owner:
    """The learner's names in this process.

    Parameters
    ----------
    namespace : dict
        Name -> object. It is not changed.
    kinds : dict
        Name of an answer -> its kind.
    seconds : float
        How long the learner's functions may run, all calls together.
    """

    copy = staticmethod(values.copy)  # a worker sends `values.encode` instead

    def __init__(self, namespace, kinds, seconds):
        self.seconds = seconds
        self._kinds = kinds
        self._values = {name: namespace[name] for name in kinds if name in namespace}
        self._clock = Clock(seconds, is_learners)
        self._functions = tuple(
            value
            for name, value in self._values.items()
            if isinstance(kinds[name], Function) and isinstance(value, FUNCTIONS)
        )
        self._began = elsewhere.Kept(*self._functions)

    def forget(self):
        """The learner's functions remember nothing of the calls any more."""
        self._began.restore()

    def has(self, name):
        """Whether there is such an answer."""
        return name in self._values

    def untouched(self, name):
        """Whether the learner has not begun: the answer is still `...`."""
        try:
            return bool(self._clock.run(lambda: self._kinds[name].untouched(self._values[name])))
        except KeyboardInterrupt:
            raise
        except BaseException:  # an object whose comparison fails is an answer, if a strange one
            return False

    def refusal(self, name):
        """Why an answer is no function of the right parameters, in the learner's words, or ""."""
        try:
            self._values[name] = self._clock.run(
                lambda: self._kinds[name].take(self._values[name], f"`{name}`")
            )
        except KeyboardInterrupt:
            raise
        except Refused as reason:
            return str(reason)
        except BaseException:
            return f"`{name}` is not a function that can be called."
        return ""

    def read(self, name):
        """The answer itself, as a `Reply`."""
        return self._plain(self._values[name])

    def call(self, name, sent, process=0):
        """Call a function with encoded arguments.

        A `process` above 0 is another one, freshly started: nothing is there that earlier calls left behind, the hashes of texts
        are others, and so are the dice.
        """
        if not process:
            return self._call(name, sent)
        with elsewhere.another_process(self._began, self._functions, process):
            return self._call(name, sent)

    def _call(self, name, sent):
        copies = [values.decode(each) for each in sent]
        printed = _Printed()
        try:
            with quiet(printed):
                result = self._clock.run(lambda: self._values[name](*copies))
        except KeyboardInterrupt:
            raise
        except TimeIsUp:
            return Reply("late", error="TimeIsUp", place=self._clock.place)
        except BaseException as error:  # a learner's exit() must not end the kernel
            return _raised(error)
        if result is Ellipsis:
            return Reply("open")
        reply = self._plain(result)
        if reply.status == "value":
            reply.printed = printed.any
            reply.changed = self._has_changed(name, copies, sent)
        return reply

    def _plain(self, value):
        """A copy of `value` of plain types; objects whose own methods fail, lie or do not end have none."""
        if type(value) in (
            bool,
            int,
            float,
            str,
            type(None),
            np.float64,
        ):  # nothing of these is the learner's
            try:
                return Reply("value", self.copy(value))
            except values.Unsupported as error:  # a huge text
                return Reply("unsupported", text=str(error))
        try:
            with quiet():
                return Reply("value", self._clock.run(lambda: self.copy(value)))
        except KeyboardInterrupt:
            raise
        except values.Unsupported as error:
            return Reply("unsupported", text=str(error))
        except TimeIsUp:
            return Reply("endless")
        except BaseException:
            return Reply("odd", error=values.type_name(value))

    def _has_changed(self, name, copies, sent):
        """Whether an argument was changed that is not the function's own."""
        kind = self._kinds[name]
        fixed = [i for i, param in enumerate(kind.params) if param not in kind.may_change]
        try:
            return any(
                values.encode(copies[i]) != sent[i]
                for i in fixed
                if i < len(sent) and not values.is_itself(sent[i])
            )
        except (values.Unsupported, ValueError, TypeError, AttributeError):  # something odd was put into it
            return True


FUNCTIONS = types.FunctionType | types.MethodType | type(elsewhere._cached)


class _Printed(io.StringIO):
    """Keeps no more than the beginning of what is printed, and whether there was anything."""

    any = False

    def write(self, text):
        self.any = self.any or bool(text)
        room = MOST_PRINTED - self.tell()
        super().write(text[: max(room, 0)])
        return len(text)


@contextlib.contextmanager
def quiet(output=None):
    """Keep the learner's printing and warnings out of the check."""
    output = output or _Printed()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _raised(error):
    own = [frame for frame in frames_of(error) if is_learners(frame.filename)]
    place = (own[-1].lineno, (own[-1].line or "").strip()) if own else None
    text = scrub(message_of(error).strip().split("\n")[0])[:200]
    return Reply("raised", text=text, error=values.type_name(error), place=place, exception=error)


def frames_of(error):
    """The frames that an exception came through."""
    try:
        # not by the attribute: a class may have one of its own
        return traceback.extract_tb(BaseException.__traceback__.__get__(error))
    except Exception:
        return []


def message_of(error):
    """What an exception says; nothing where saying it fails or does not end."""
    try:
        with quiet():
            return str.__str__(Clock(1.0).run(lambda: str(error)))
    except KeyboardInterrupt:
        raise
    except BaseException:
        return ""


def is_learners(filename):
    """Whether this is the file name of a cell."""
    # ipykernel compiles cells into files named after it; other shells use a name in angle brackets
    return "ipykernel_" in filename or filename.startswith(("<ipython-input", "<cell", "<stdin"))


def scrub(text):
    """Without memory addresses, as feedback is the same each time; and as text that can be shown everywhere."""
    text = re.sub(r" at 0x[0-9a-fA-F]+", "", text)
    return text.encode("utf-8", "backslashreplace").decode()
