"""What a learner calls in a notebook: `Lesson("02")` with check, hint, solution, predict, progress, reset."""

import difflib
import hashlib
import json
import os
import re
import sys
from pathlib import Path

from mlprod_helpers.lesson import cells, contract, feedback
from mlprod_helpers.lesson.feedback import Message, points_text
from mlprod_helpers.lesson.outcome import Outcome
from mlprod_helpers.lesson.preview import value_text
from mlprod_helpers.lesson.progress import Progress, best_points, is_older, new_row
from mlprod_helpers.lesson.values import describe

TRIES_FOR_SOLUTION = 3
NO_PROOF = (
    "Points tell you what your answers do. They prove nothing to others: a check runs in your own Python, where a "
    "determined learner can read it."
)


class Lesson:
    """The exercises of one lesson, such as "02"; `LookupError` is raised where there is none.

    `edition` is the one that the notebook was made for. If the installed course is at another one, every check says
    so instead of judging answers to questions that have changed.
    """

    def __init__(self, lesson_id, edition=None):
        self.id, self.edition = _lesson_id(lesson_id), edition
        self._progress = Progress()
        self._contract = None
        self._watch = cells.watch()

    def __repr__(self):
        return f"Lesson({self.id!r})"

    def check(self, exercise_id):
        """Check the answers that this notebook holds for an exercise; feedback is shown as the cell's result.

        Points are no proof: a check runs in your own Python, where a determined learner can read it.
        """
        # the caller's globals are the notebook's names
        return self._check(exercise_id, sys._getframe(1).f_globals)

    def hint(self, exercise_id):
        """One more hint each time."""
        exercise = self._find(exercise_id)
        if isinstance(exercise, Message):
            return exercise
        with self._progress.change() as data:
            row = self._progress.exercise(data, exercise.id, exercise.edition)
            shown = row["hints"] = min(row["hints"] + 1, len(exercise.hints))
        more = len(exercise.hints) - shown
        then = f"There {'is' if more == 1 else 'are'} {more} more." if more else "That was the last hint."
        return self._say(
            f"Exercise {exercise.id} · hint {shown} of {len(exercise.hints)}",
            exercise.hints[shown - 1],
            then=then,
        )

    def solution(self, exercise_id):
        """The course's own answer, after success or three different tries."""
        exercise = self._find(exercise_id)
        if isinstance(exercise, Message):
            return exercise
        row = self._progress.read()["exercises"].get(exercise.id, new_row())
        tries = len(row["tries"])
        title = f"Exercise {exercise.id} · solution"
        passed = row["passed"] or bool(row["older"] and row["older"]["passed"])
        if not passed and tries < TRIES_FOR_SOLUTION:
            left = TRIES_FOR_SOLUTION - tries
            return self._say(
                title,
                f"It opens when the exercise is passed, or after {left} more different "
                f"{'try' if left == 1 else 'tries'} of yours.",
                then=f'Until then: `lesson.hint("{exercise.id}")`',
            )
        code = _published_solution(self.id, exercise.id)
        if not code:
            return self._say(title, "It is not in this copy of the course; your instructor has it.")
        return self._say(title, code=code)

    def predict(self, name, guess):
        """Record a guess before the reveal: a number, a text, a list, an array. It is not scored; the first guess stays."""
        if _is_open(guess):
            return self._say(
                "Your prediction", "Replace `...` by your guess and run the cell again. Nothing is scored."
            )
        key = f"{self.id}.{name}"
        with self._progress.change() as data:
            kept = data["predictions"].setdefault(key, _guess_text(guess))
        later = "" if kept == _guess_text(guess) else " Your first guess was kept."
        return self._say("Your prediction", f"Recorded: {kept}.{later}")

    def recall(self, name, truth):
        """Lay the recorded guess beside what happened."""
        guess = self._progress.read()["predictions"].get(f"{self.id}.{name}")
        predicted = f"You predicted {guess}." if guess is not None else "You made no prediction here."
        return self._say("Prediction and outcome", f"{predicted} It is {_guess_text(truth)}.")

    def progress(self):
        """This lesson exercise by exercise, the course so far, and what to do next."""
        loaded = self._load()
        if isinstance(loaded, Message):
            return loaded
        data = self._progress.read()
        rows, left = [], []
        for exercise in loaded.exercises.values():
            row = data["exercises"].get(exercise.id)
            mark = _mark_of(row, exercise)
            rows.append((mark, f"{exercise.id} {exercise.title} · {_points_of(row, exercise)}"))
            if mark != "done":
                left.append((mark, exercise))
        mine = sum(best_points(data["exercises"].get(key, new_row())) for key in loaded.exercises)
        everything = sum(best_points(row) for row in data["exercises"].values())
        course = [f"All lessons so far: {points_text(everything)} points."] if everything > mine else []
        still = f"{len(left)} of {len(rows)} exercises still open" if left else "all exercises done"
        title = f"Lesson {self.id} · {points_text(mine)} of {loaded.points} points · {still}"
        return self._say(title, *course, NO_PROOF, rows=rows, then=_next_step(left, loaded))

    def share(self, folder, alias):
        """Show this lesson's progress on the instructor's board, under an alias. It ends with the kernel, or with another call.

        Parameters
        ----------
        folder : str
            The shared folder that the instructor named.
        alias : str
            2 to 20 letters, digits or underscores; anything but your name.
        """
        title = "Sharing progress"
        if not (isinstance(alias, str) and re.fullmatch(r"\w{2,20}", alias)):
            return self._say(
                title, "An alias has 2 to 20 letters, digits or underscores, such as `blue_otter`."
            )
        where = Path(folder).expanduser()
        if not (where.is_dir() and os.access(where, os.W_OK)):
            return self._say(
                title,
                f"`{folder}` is no folder that this notebook can write to. Ask your instructor for its path.",
            )
        # two learners may choose the same alias; the board still sees two, and nobody's path
        mine = hashlib.sha256(f"{Path.home()} {Path.cwd()}".encode()).hexdigest()[:6]
        self._progress.shared = where.absolute() / f"{alias}-{mine}.json"
        with self._progress.change():
            pass
        return self._say(
            title,
            f"From now on the board shows as `{alias}` which exercises you tried and passed, and which misconceptions were seen. "
            "Your answers and predictions are not shared.",
        )

    def reset(self, exercise_id=None):
        """Forget this lesson's progress, or one exercise's. Your answers stay; the old progress file is kept as a copy."""
        if exercise_id is None:
            # exercises are "2.1", predictions "02.name"
            self._progress.reset(f"{int(self.id)}.", f"{self.id}.")
            return self._say(
                f"Lesson {self.id}", "Progress is reset. Your answers in the notebook were not touched."
            )
        exercise = self._find(exercise_id)
        if isinstance(exercise, Message):
            return exercise
        with self._progress.change() as data:
            data["exercises"].pop(exercise.id, None)
        return self._say(
            f"Exercise {exercise.id}", "Progress is reset. Your answer in the notebook was not touched."
        )

    def _check(self, exercise_id, namespace):
        from mlprod_helpers.lesson.checking import check

        exercise = self._find(exercise_id)
        if isinstance(exercise, Message):
            return _for_grader(exercise, None)
        verdict = check(exercise, namespace)
        self._progress.record(exercise, verdict, verdict.outcome is not Outcome.NOT_ATTEMPTED)
        message = feedback.of_verdict(verdict)
        if warning := self._stale(exercise.answers, namespace):
            message.paragraphs.append(warning)
        self._add_notice(message)
        return _for_grader(message, verdict)

    def _stale(self, names, namespace):
        """A sentence where an answer is left from an earlier run, because its cell's last run failed."""
        left_over = self._watch.stale(names, namespace) if self._watch else None
        if not left_over:
            return ""
        name, error, is_there = left_over
        judged = f" What was checked is the `{name}` of an earlier run." if is_there else ""
        return f"The last run of the cell that makes `{name}` stopped with a {error}.{judged} Repair that cell, run it and check again."

    def _load(self):
        """The contract, or a message if the notebook was made for another edition."""
        if self._contract is None:
            self._contract = contract.load(self.id)
        if self.edition is not None and self.edition != self._contract.edition:
            return Message(
                f"Lesson {self.id} · another edition of the course",
                paragraphs=[
                    f"This notebook was made for edition {self.edition} of the lesson, the installed course is at "
                    f"edition {self._contract.edition}, and its exercises have changed.",
                    "Open the notebook of the installed edition beside this one and copy your answers over; "
                    "your progress is kept.",
                    "With nbgrader: fetch the assignment again and copy your answers over. If it is still the old one, your "
                    "instructor releases it anew (`nbgrader generate_assignment`), or installs the course at the notebook's edition.",
                ],
            )
        return self._contract

    def _find(self, exercise_id):
        """The exercise, or a message that says what to do."""
        loaded = self._load()
        if isinstance(loaded, Message):
            return loaded
        asked = str(exercise_id)
        if asked in loaded.exercises:
            return loaded.exercises[asked]
        numbered = f"{int(self.id)}.{asked}"
        near = (
            [numbered]
            if numbered in loaded.exercises
            else difflib.get_close_matches(asked, loaded.exercises, 1, 0.5)
        )
        suggestion = f" Did you mean `{near[0]}`?" if near else ""
        return self._say(
            f"Lesson {self.id} has no exercise {asked}",
            f"Its exercises are {', '.join(loaded.exercises)}.{suggestion}",
            then="If the notebook is from an older version of the course, open the one that came with this version.",
        )

    def _say(self, title, *paragraphs, rows=(), code="", then=""):
        message = Message(title, rows=rows, paragraphs=paragraphs, code=code, then=then)
        self._add_notice(message)
        return message

    def _add_notice(self, message):
        if self._progress.notice:
            message.paragraphs.append(self._progress.notice)
            self._progress.notice = ""


def _for_grader(message, verdict):
    """Under nbgrader a check raises, or is worth its points as a plain number; elsewhere it is the message."""
    if not os.environ.get("NBGRADER_EXECUTION"):
        return message
    if verdict is None or verdict.outcome not in (Outcome.PASSED, Outcome.PARTLY):
        raise AssertionError(repr(message))
    return verdict.points


def _lesson_id(asked):
    """The two digits of a lesson."""
    text = str(asked) if type(asked) is int or isinstance(asked, str) else ""
    digits = text.strip().zfill(2)
    known = contract.lesson_ids()
    if not (text and len(digits) == 2 and digits.isascii() and digits.isdigit()):
        example = known[1] if len(known) > 1 else "02"
        raise LookupError(
            f'A lesson is named by its two digits in quotes, as in `Lesson("{example}")`, not by {describe(asked)}. '
            f"The lessons with exercises are {', '.join(map(repr, known))}."
        )
    if not contract.exists(digits):
        raise LookupError(
            f"There is no lesson {digits!r}. The lessons with exercises are {', '.join(map(repr, known))}."
        )
    return digits


def _mark_of(row, exercise):
    if not row or not (row["tries"] or best_points(row)):
        return "open"
    passed = row["passed"] if row["edition"] == exercise.edition else False
    return "done" if passed else "begun"


def _next_step(left, loaded):
    """One sentence: the first exercise that is not passed, or where the lesson's contract sends those who have passed all."""
    if not left:
        return f"Next: {loaded.next}" if loaded.next else ""
    mark, exercise = left[0]
    again = " again" if mark == "begun" else ""
    return f'Next: try exercise {exercise.id} ({exercise.title}){again}, and use `lesson.hint("{exercise.id}")` if you are stuck.'


def _points_of(row, exercise):
    got = best_points(row) if row else 0
    old = ", from an older edition: try it again" if row and is_older(row, exercise.edition) else ""
    return f"{points_text(got)} of {exercise.points}{old}"


def _is_open(guess):
    parts = (
        guess if isinstance(guess, list | tuple) else guess.values() if isinstance(guess, dict) else [guess]
    )
    return any(each is Ellipsis for each in parts)


def _guess_text(value):
    """A guess as it is kept and shown.

    >>> _guess_text(0.97412), _guess_text([1, 2.5]), _guess_text("up")
    ('0.9741', '[1, 2.5]', 'up')
    """
    return value[:200] if type(value) is str else value_text(value, most=200)


def _published_solution(lesson_id, exercise_id):
    """The code of the answer cells in the solution notebook next door, or ""."""
    try:
        here = Path.cwd()
    except OSError:  # the folder of the notebook was deleted
        here = Path(__file__).resolve().parent
    package = Path(__file__).resolve().parents[2]
    for folder in (here.parent / "solutions", here / "solutions", package / "solutions"):
        for path in sorted(folder.glob(f"{lesson_id}_*.ipynb")):
            try:
                notebook = json.loads(path.read_text(encoding="utf-8"))["cells"]
                sources = ["".join(cell["source"]) for cell in notebook if _answers(cell, exercise_id)]
            except (
                OSError,
                ValueError,
                LookupError,
                TypeError,
                AttributeError,
                RecursionError,
            ):  # no notebook of ours
                continue
            if sources:
                return "\n\n".join(sources)
    return ""


def _answers(cell, exercise_id):
    return cell.get("metadata", {}).get("mlprod", {}).get("exercise") == exercise_id
