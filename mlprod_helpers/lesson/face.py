"""What a learner calls in a notebook: `Lesson("02")` with check, hint, solution, predict, progress, reset."""

import difflib
import json
import os
import sys
from pathlib import Path

from mlprod_helpers.lesson import contract, feedback
from mlprod_helpers.lesson.feedback import Message, points_text
from mlprod_helpers.lesson.progress import Progress

TRIES_FOR_SOLUTION = 3


class Lesson:
    """The exercises of one lesson.

    Parameters
    ----------
    lesson_id : str
        Such as "02".
    edition : int, optional
        The edition that the notebook was made for. If the installed course is at another one, every check says so
        instead of judging answers to questions that have changed.

    Raises
    ------
    LookupError
        If there is no such lesson.
    """

    def __init__(self, lesson_id, edition=None):
        lesson_id = f"{lesson_id:02d}" if isinstance(lesson_id, int) else str(lesson_id)
        if not contract.exists(lesson_id):
            known = ", ".join(repr(each) for each in contract.lesson_ids())
            raise LookupError(f"There is no lesson {lesson_id!r}. The lessons with exercises are {known}.")
        self.id, self.edition = lesson_id, edition
        self._progress = Progress()
        self._contract = None

    def __repr__(self):
        return f"Lesson({self.id!r})"

    def check(self, exercise_id):
        """Check the answers that this notebook holds for an exercise; feedback is shown as the cell's result."""
        # the caller's globals are the notebook's names
        return self._check(exercise_id, sys._getframe(1).f_globals)

    def hint(self, exercise_id):
        """One more hint each time."""
        exercise = self._find(exercise_id)
        if isinstance(exercise, Message):
            return exercise
        with self._progress.change() as data:
            row = self._progress.exercise(data, exercise.id)
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
        row = self._progress.read()["exercises"].get(exercise.id, {"passed": False, "tries": []})
        tries = len(row["tries"])
        title = f"Exercise {exercise.id} · solution"
        if not row["passed"] and tries < TRIES_FOR_SOLUTION:
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
        """Record a guess before the reveal. It is not scored; the first guess stays."""
        if guess is Ellipsis:
            return self._say(
                "Your prediction", "Replace `...` by your guess and run the cell again. Nothing is scored."
            )
        key = f"{self.id}.{name}"
        with self._progress.change() as data:
            kept = data["predictions"].setdefault(key, _json_text(guess))
        later = "" if kept == _json_text(guess) else " Your first guess was kept."
        return self._say("Your prediction", f"Recorded: {kept}.{later}")

    def recall(self, name, truth):
        """Lay the recorded guess beside what happened."""
        guess = self._progress.read()["predictions"].get(f"{self.id}.{name}")
        said = f"You predicted {guess}." if guess is not None else "You made no prediction here."
        return self._say("Prediction and outcome", f"{said} It is {_json_text(truth)}.")

    def progress(self):
        """This lesson exercise by exercise, and the course so far."""
        found = self._load()
        if isinstance(found, Message):
            return found
        data = self._progress.read()
        rows = []
        for exercise in found.exercises.values():
            row = data["exercises"].get(exercise.id)
            mark = "open" if not row or not row["tries"] else "done" if row["passed"] else "begun"
            got = points_text(row["points"]) if row else "0"
            rows.append((mark, f"{exercise.id} {exercise.title} · {got} of {exercise.points}"))
        mine = sum(data["exercises"].get(key, {"points": 0})["points"] for key in found.exercises)
        everything = sum(row["points"] for row in data["exercises"].values())
        course = [f"All lessons so far: {points_text(everything)} points."] if everything > mine else []
        return self._say(
            f"Lesson {self.id} · {points_text(mine)} of {found.points} points", *course, rows=rows
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
        from mlprod_helpers.lesson.checking import Outcome, check

        exercise = self._find(exercise_id)
        if isinstance(exercise, Message):
            return _for_grader(exercise, None)
        verdict = check(exercise, namespace)
        with self._progress.change() as data:
            row = self._progress.exercise(data, exercise.id)
            row["possible"] = exercise.points
            if verdict.outcome is not Outcome.NOT_ATTEMPTED:
                row["points"] = max(row["points"], verdict.points)
                row["passed"] = row["passed"] or verdict.outcome is Outcome.PASSED
                if verdict.digest not in row["tries"]:
                    row["tries"].append(verdict.digest)
        message = feedback.of_verdict(verdict)
        self._add_notice(message)
        return _for_grader(message, verdict)

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
                ],
            )
        return self._contract

    def _find(self, exercise_id):
        """The exercise, or a message that says what to do."""
        found = self._load()
        if isinstance(found, Message):
            return found
        asked = str(exercise_id)
        if asked in found.exercises:
            return found.exercises[asked]
        numbered = f"{int(self.id)}.{asked}"
        near = (
            [numbered]
            if numbered in found.exercises
            else difflib.get_close_matches(asked, found.exercises, 1, 0.5)
        )
        suggestion = f" Did you mean `{near[0]}`?" if near else ""
        return self._say(
            f"Lesson {self.id} has no exercise {asked}",
            f"Its exercises are {', '.join(found.exercises)}.{suggestion}",
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
    from mlprod_helpers.lesson.checking import Outcome

    if not os.environ.get("NBGRADER_EXECUTION"):
        return message
    if verdict is None or verdict.outcome not in (Outcome.PASSED, Outcome.PARTLY):
        raise AssertionError(repr(message))
    return verdict.points


def _json_text(value):
    value = value.item() if hasattr(value, "item") else value
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _published_solution(lesson_id, exercise_id):
    """The code of the answer cells in the solution notebook next door, or ""."""
    here = Path.cwd()
    package = Path(__file__).resolve().parents[2]
    for folder in (here.parent / "solutions", here / "solutions", package / "solutions"):
        for path in sorted(folder.glob(f"{lesson_id}_*.ipynb")):
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            found = ["".join(cell["source"]) for cell in cells if _answers(cell, exercise_id)]
            if found:
                return "\n\n".join(found)
    return ""


def _answers(cell, exercise_id):
    return cell.get("metadata", {}).get("mlprod", {}).get("exercise") == exercise_id
