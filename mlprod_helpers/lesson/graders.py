"""What a check does where nbgrader runs the notebook: it returns a number or raises, and keeps out of the cell what would cost points.

nbgrader reads a check's cell thus: an error or anything on stderr is zero, a number is that many points, anything else is full points.
"""

import os
import secrets
import sys
import textwrap
import zlib

import numpy as np

from mlprod_helpers.lesson.cells import running_shell
from mlprod_helpers.lesson.outcome import Outcome

VARIABLE = "NBGRADER_EXECUTION"  # "autograde", or "validate" where learners try their own notebook
SEED = "MLPROD_SEED"
BY_HAND = "MLPROD_BY_HAND"  # set by `mlprod_tools.nbgrader`, which then leaves the cell to a person
_WIDTH = 80  # nbgrader's `validate` cuts off longer lines
_DRAWN = secrets.randbits(64)


class NotPassed(AssertionError):
    """A check that earns no points; a notebook shows its message alone, without the frames of the course's own files."""

    def _render_traceback_(self):
        return [
            part
            for line in str(self).splitlines()
            for part in textwrap.wrap(line, _WIDTH, subsequent_indent="  ", drop_whitespace=False) or [""]
        ]


class NotGraded(NotPassed):
    """A check that cannot judge the answer, for no fault of the learner's: a person has to."""


class _Unreadable:
    """A result that nbgrader cannot take, so that it reports this submission and gives no grade, where an error would be a zero."""

    def __init__(self, reason):
        self._reason = reason

    def _repr_mimebundle_(self, **_):
        return {"text/plain": {self._reason: ""}}

    def __repr__(self):
        return self._reason


def is_running():
    """Whether nbgrader runs this notebook."""
    return bool(os.environ.get(VARIABLE))


def rng_of(exercise_id):
    """What a check draws from when marks are made: other inputs than the learner has seen. None elsewhere.

    `MLPROD_SEED` in the environment gives the same inputs to everybody; without it, each kernel draws a seed of its own.
    """
    if os.environ.get(VARIABLE) != "autograde":
        return None
    text = os.environ.get(SEED)
    seed = zlib.crc32(text.encode()) if text else _DRAWN
    return np.random.default_rng([seed, zlib.crc32(exercise_id.encode())])


def keep_stderr_apart():
    """Show what is written to stderr as if it were printed: a handler that the learner installed must not cost points."""
    for stream in (sys.stderr, sys.__stderr__):
        if is_running() and getattr(stream, "name", "") == "stderr" and hasattr(stream, "pub_thread"):
            stream.name = "stdout"


def result(message, verdict):
    """The message as nbgrader takes it: it is shown, and the points are returned as a number, or it is raised.

    Parameters
    ----------
    message : Message
    verdict : Verdict or None
        None where the exercise is unknown, or the notebook is of another edition.
    """
    if verdict is None:
        return not_graded(message)
    if verdict.fault:
        message.paragraphs.append(
            f"The check of this exercise broke. That is the course's fault: {verdict.fault}"
        )
        return not_graded(message)
    _drop_hooks()
    if verdict.outcome not in (Outcome.PASSED, Outcome.PARTLY):
        raise NotPassed(repr(message))
    if running_shell() is not None:
        from IPython.display import display

        display(message)
    return verdict.points


def not_graded(message):
    """Say that a person has to grade this; it must never become a zero."""
    if (
        os.environ.get(VARIABLE) == "autograde"
        and not os.environ.get(BY_HAND)
        and running_shell() is not None
    ):
        return _Unreadable(f"NOT GRADED. {' '.join(repr(message).split())}")
    raise NotGraded(repr(message))


def _drop_hooks():
    """Forget what the learner registered to run after each cell: it would run in the check's cell, and fail or print there."""
    shell = running_shell()
    if shell is not None:
        for event in ("post_execute", "post_run_cell"):
            for hook in list(shell.events.callbacks[event]):
                if getattr(hook, "__module__", None) == "__main__":
                    shell.events.unregister(event, hook)
