"""From a submission to its marks: a pure function of the submission, the course and a seed, wherever and in whatever order it runs.

The check runs here, in the grader's own process, with inputs drawn here. The learner's code runs in a sandbox and gets nothing but
the arguments of each call.
"""

import atexit
import contextlib
import threading
import time
import zlib

import numpy as np

from mlprod_helpers.lesson import contract, feedback
from mlprod_helpers.lesson.checking import check_with
from mlprod_helpers.lesson.kinds import Function
from mlprod_helpers.lesson.limit import MOST_WALL, Clock, TimeIsUp
from mlprod_helpers.lesson.outcome import Outcome, Verdict
from mlprod_helpers.lesson.owner import Reply
from mlprod_tools.grade import sandbox
from mlprod_tools.grade.marks import BY_HAND, MISSING, NOT_ISOLATED, Graded, Mark

SETUP_SECONDS = 30.0  # that the cells which an answer needs may run, and then the answer's own
SLACK = 5.0  # seconds, for a busy machine
MOST_ROUNDS = 20  # times an exercise's seconds, that this side waits for all calls of a check together
TRIES = 2  # with a sandbox that breaks
HERE, THERE = 0, 1  # the two workers
DICE = 12_345  # of a job's own `random`: it has nothing to do with what the checks draw from


def grade(submission, seed=0, isolated=True, lessons=None):
    """All marks of one submission.

    Parameters
    ----------
    submission : Submission
    seed : int
        What the checks draw their inputs from. Learners of one run all get the same inputs, and none of them the notebook's.
    isolated : bool
        Whether the learner's code runs behind `bwrap`. Without, every mark says so.
    lessons : sequence of str, optional
        Only these; by default those that the submission has.

    Returns
    -------
    Graded
        Its `key` is for the caller to fill in.
    """
    answers = {answer.exercise: answer for answer in submission.answers}
    marks = []
    with _ONE_AT_A_TIME:
        workers = _workers(isolated)
        for lesson in lessons or submission.lessons:
            marks += _grade_lesson(contract.load(lesson), answers, seed, workers, isolated)
    notes = submission.notes if isolated else (NOT_ISOLATED, *submission.notes)
    return Graded(submission.learner, submission.path, "", tuple(marks), tuple(notes), isolated)


def rng_of(seed, exercise_id):
    """What a check of a run draws from."""
    return np.random.default_rng([seed, zlib.crc32(exercise_id.encode()), 0x6D6C])


@atexit.register
def close():
    """End the workers of this process."""
    for pair in _PAIRS.values():
        for each in pair:
            each.close()
    _PAIRS.clear()


def worker_cpu():
    """CPU seconds that the workers of this process and their jobs took so far."""
    return sum(each.cpu for pair in _PAIRS.values() for each in pair)


_PAIRS = {}
_ONE_AT_A_TIME = threading.Lock()  # a check redirects what is printed, and keeps the process's dice


def _workers(isolated):
    """The sandboxes of this process: the worker, and the one that is "another process"."""
    if isolated not in _PAIRS:
        _PAIRS[isolated] = sandbox.Sandbox(HERE, isolated), sandbox.Sandbox(THERE, isolated)
    return _PAIRS[isolated]


def _grade_lesson(lesson, answers, seed, workers, isolated):
    with contextlib.ExitStack() as stack:
        jobs = Jobs(workers, stack)
        for exercise in lesson.exercises.values():
            answer = answers.get(exercise.id)
            if answer is None:
                text = "No answer to this exercise was found in the submission."
                yield _by_rule(lesson, exercise, MISSING, 0, text, (), isolated)
            elif answer.edition is not None and answer.edition != lesson.edition:
                text = (
                    f"This notebook was made for edition {answer.edition} of lesson {lesson.lesson}, and the course that grades "
                    f"it is at edition {lesson.edition}. Its exercises have changed, so a person has to grade this answer."
                )
                yield _by_rule(lesson, exercise, BY_HAND, None, text, answer.notes, isolated)
            else:
                yield _mark(lesson, exercise, answer, seed, jobs, isolated)


def _by_rule(lesson, exercise, outcome, points, text, notes, isolated, fault=""):
    shown = feedback.Message(f"Exercise {exercise.id} · {outcome}", paragraphs=[text])
    return Mark(
        lesson.lesson,
        exercise.id,
        points,
        exercise.points,
        outcome,
        repr(shown),
        shown._repr_html_(),
        notes=tuple(notes),
        isolated=isolated,
        fault=fault,
    )


def _mark(lesson, exercise, answer, seed, jobs, isolated):
    verdict, stopped = judge(exercise, answer, rng_of(seed, exercise.id), jobs)
    notes = (*answer.notes, *stopped)
    if verdict.fault:
        text = "The check of this exercise broke on this answer. That is the course's fault, and a person has to grade it."
        return _by_rule(lesson, exercise, BY_HAND, None, text, notes, isolated, verdict.fault)
    return mark_of(lesson.lesson, exercise, verdict, notes, isolated)


def mark_of(lesson, exercise, verdict, notes, isolated):
    """The Mark for what a check says of an answer to an exercise of this lesson ("02")."""
    shown = feedback.of_verdict(verdict)
    return Mark(
        lesson,
        exercise.id,
        verdict.points,
        exercise.points,
        verdict.outcome.value,
        repr(shown),
        shown._repr_html_(),
        (verdict.misconception,) if verdict.misconception else (),
        notes,
        isolated,
    )


def judge(exercise, answer, rng, jobs):
    """What the check says of an answer, and sentences on its cells that stopped.

    Parameters
    ----------
    exercise : Exercise
    answer : Answer
    rng : numpy.random.Generator
    jobs : Jobs
    """
    state = rng.bit_generator.state
    limit = 2 * (_patience(exercise) + MOST_WALL * 2 * SETUP_SECONDS + sandbox.START_SECONDS)
    for last in (False, True):
        rng.bit_generator.state = state
        owner = Distant(exercise, answer, jobs)
        try:
            verdict = Clock(limit).run(lambda owner=owner: check_with(exercise, lambda: owner, rng))
        except TimeIsUp:
            verdict = _broke(exercise, f"the check did not end within {limit:g} s")
        if owner.broke is None:
            return verdict, owner.stopped
        jobs.give_up()
        if last:
            return _broke(exercise, f"the sandbox broke: {owner.broke}"), owner.stopped


def _patience(exercise):
    return MOST_ROUNDS * exercise.seconds + 10 * SLACK


def _broke(exercise, why):
    return Verdict(exercise, Outcome.FAILED, 0, fault=why)


class Jobs:
    """The learner's processes while a lesson is graded: at most one in each worker, and a new one where one ended."""

    def __init__(self, workers, stack):
        self._workers, self._stack = workers, stack
        self._jobs = [None, None]

    def of(self, place):
        """(the job in this worker, whether it is new)."""
        job = self._jobs[place]
        if job is not None and not job.ended:
            return job, False
        self._jobs[place] = self._stack.enter_context(self._workers[place].job())
        return self._jobs[place], True

    def give_up(self):
        """Forget jobs of workers that broke."""
        self._stack.close()
        self._jobs = [None, None]
        for worker in self._workers:
            worker.close()


class Distant:
    """The owner of a learner's answers, in a sandbox; see `mlprod_helpers.lesson.owner`, whose face it has."""

    def __init__(self, exercise, answer, jobs):
        self.seconds = exercise.seconds
        self.stopped = ()
        self.broke = None
        self._kinds = dict(zip(exercise.answers, exercise.kinds, strict=True))
        self._answer, self._jobs = answer, jobs
        # the worker's own clock is the limit of honest code; this one ends what fools it. Where the machine is busy, a
        # thousand short calls take long without anybody's fault
        self._left = _patience(exercise)
        self._begun = [None, None]
        self._found = None

    def forget(self):
        """Nothing: the next exercise begins anew anyway."""

    def has(self, name):
        """Whether there is such an answer."""
        return name in self._names()

    def untouched(self, name):
        """Whether the learner has not begun."""
        found, kind = self._names()[name], self._kinds[name]
        if isinstance(kind, Function):
            return bool(found.get("untouched"))
        reply = _reply(found)
        with contextlib.suppress(Exception):
            return reply.status == "value" and bool(kind.untouched(reply.value))
        return False

    def refusal(self, name):
        """Why an answer is no function of the right parameters, or ""."""
        return _short(self._names()[name].get("refusal"))

    def read(self, name):
        """The answer itself."""
        return _reply(self._names()[name])

    def call(self, name, sent, process=0):
        """Call a function with encoded arguments, in the second worker if another process is asked for."""
        place = THERE if process else HERE
        asked = {"do": "call", "name": name, "arguments": sent, "process": process}
        try:
            job = self._begin(place)
            begin = time.monotonic()
            try:
                one = MOST_WALL * self.seconds + SLACK
                return _reply(job.ask(asked, max(min(one, self._left), 0.01)))
            finally:
                self._left -= time.monotonic() - begin
        except sandbox.Ended as end:
            return _ended(end.why)

    def _names(self):
        if self._found is None:
            try:
                self._begin(HERE)
            except sandbox.Ended as end:
                # the cell itself ended its process
                gone = {"status": "died", "text": _WHY[end.why]}
                self._found = {name: dict(gone) for name in self._kinds}
                self.stopped = (f"The cell of this answer {_WHY[end.why]}",)
        return self._found

    def _begin(self, place):
        """The job in this worker, with the learner's cells run."""
        try:
            job, _ = self._jobs.of(place)
        except sandbox.SandboxError as error:
            self.broke = str(error)
            raise
        if self._begun[place] is job:
            return job
        if self._begun[place] is not None:  # it ended; what it did may have been the reason
            raise sandbox.Ended(self._begun[place].ended or "died")
        self._begun[place] = job
        kinds = {
            name: [kind.params, sorted(kind.may_change)] if isinstance(kind, Function) else None
            for name, kind in self._kinds.items()
        }
        asked = {
            "do": "begin",
            "needs": list(self._answer.needs),
            "source": self._answer.source,
            "kinds": kinds,
            "seconds": self.seconds,
            "setup": SETUP_SECONDS,
            "dice": DICE + place,
        }
        reply = job.ask(asked, MOST_WALL * 2 * SETUP_SECONDS + SLACK)
        if place == HERE:
            names = reply.get("names")
            found = names if isinstance(names, dict) else {}
            self._found = {name: found[name] for name in self._kinds if isinstance(found.get(name), dict)}
            self.stopped = tuple(_stopped(reply.get("stopped")))
        return job


_WHY = {
    "late": "did not end in time and was stopped.",
    "memory": "needed too much memory and was stopped.",
    "died": "ended its whole process, so the check could not go on.",
    "forged": "gave no readable result, so the check could not go on.",
    "over": "ended its whole process, so the check could not go on.",
}


def _ended(why):
    if why == "late":
        return Reply("late", error="TimeIsUp")
    return Reply("died", text=_WHY[why], error="Died")


def _stopped(given):
    for each in given if isinstance(given, list) else ():
        if isinstance(each, list) and len(each) == 3 and all(isinstance(part, str) for part in each):
            where = "The cell of this answer" if each[0] == "<cell>" else "A cell that this answer needs"
            said = " ".join(_short(each[2]).split())[:200]
            how = f"stopped with a {_short(each[1])[:60]}" + (f": {said.rstrip('.')}" if said else "")
            yield f"{where} {'was stopped: it ran too long' if each[1] == 'TimeIsUp' else how}."


_STATUSES = {"value", "open", "raised", "late", "unsupported", "odd", "endless", "died"}


def _reply(data):
    """A reply from the sandbox, as far as it makes sense."""
    status = data.get("status")
    if status not in _STATUSES:
        return Reply("died", text=_WHY["forged"], error="Died")
    text, error = _short(data.get("text")), _short(data.get("error"))
    place = data.get("place")
    if not (
        isinstance(place, list) and len(place) == 2 and type(place[0]) is int and isinstance(place[1], str)
    ):
        place = None
    reply = Reply(status, text=text, error=error, place=place and (place[0], place[1][:300]))
    if status == "value":
        try:
            reply.value = sandbox.decode(data.get("value"))
        except (ValueError, TypeError, LookupError, RecursionError, MemoryError, OverflowError):
            return Reply("odd", error="data that cannot be read")
        reply.printed, reply.changed = bool(data.get("printed")), bool(data.get("changed"))
    elif status == "raised":
        reply.exception = type(error if error.isidentifier() else "Exception", (Exception,), {})(text)
    return reply


def _short(text):
    return text[:1000].encode("utf-8", "backslashreplace").decode() if isinstance(text, str) else ""
