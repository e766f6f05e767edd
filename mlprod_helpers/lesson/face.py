"""What a learner calls in a notebook: `Lesson("02")` with check, hint, solution, predict, progress, course, reset."""

import difflib
import json
import sys
from pathlib import Path

from mlprod_helpers.lesson import buttons, cells, contract, course, feedback, graders, sharing
from mlprod_helpers.lesson.feedback import Message
from mlprod_helpers.lesson.outcome import Outcome
from mlprod_helpers.lesson.preview import value_text
from mlprod_helpers.lesson.progress import Progress, new_row
from mlprod_helpers.lesson.values import describe


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
        graders.keep_stderr_apart()

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
        if not passed and tries < course.TRIES_FOR_SOLUTION:
            left = course.TRIES_FOR_SOLUTION - tries
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

    def predict(self, name, guess, choices=()):
        """Record a guess before the reveal: a number, a text, a list, an array. It is not scored; the first guess stays.

        While the guess is `...`, each of `choices` is a button where there are widgets. Any other guess can be written in the cell.
        """
        title, key = "Your prediction", f"{self.id}.{name}"
        kept = self._progress.read()["predictions"].get(key)
        if not _is_open(guess):
            return self._predicted(key, guess)
        if kept is not None:
            return self._say(title, f"Recorded: {kept}.")
        such_as = f", such as {_or([f'`{each!r}`' for each in choices])}," if choices else ""
        message = self._say(
            title, f"Replace `...` with your guess{such_as} and run the cell again. Nothing is scored."
        )
        if not (choices and buttons.can_be_pressed()):
            return message
        presses = [
            buttons.Button(
                lambda each=each: _guess_text(each),
                f"Record this guess for: {name}",
                lambda each=each: self._predicted(key, each),
            )
            for each in choices
        ]
        return buttons.WithButtons(message, presses, "Or press your guess:")

    def _predicted(self, key, guess):
        with self._progress.change() as data:
            kept = data["predictions"].setdefault(key, _guess_text(guess))
        later = "" if kept == _guess_text(guess) else " Your first guess was kept."
        return self._say("Your prediction", f"Recorded: {kept}.{later}")

    def recall(self, name, truth):
        """Lay the recorded guess beside what happened."""
        guess = self._progress.read()["predictions"].get(f"{self.id}.{name}")
        predicted = f"You predicted {guess}." if guess is not None else "You made no prediction here."
        return self._say("Prediction and outcome", f"{predicted} The outcome is {_guess_text(truth)}.")

    def progress(self):
        """This lesson exercise by exercise, the course so far, and what to do next."""
        loaded = self._load()
        if isinstance(loaded, Message):
            return loaded
        return self._noticed(course.lesson_message(loaded, self._progress.read()))

    def course(self):
        """The map of the course: points of each lesson, where you are stuck, and what to do next."""
        return self._noticed(course.course_message(self._progress.read()))

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
        try:
            self._progress.shared = sharing.target(folder, alias, ".json")
        except sharing.CannotShare as reason:
            return self._say(title, str(reason))
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
            return self._reset(
                f"Lesson {self.id}",
                "Your answers in the notebook were",
                lambda key: course.belongs(key, self.id),
            )
        exercise = self._find(exercise_id)
        if isinstance(exercise, Message):
            return exercise
        return self._reset(
            f"Exercise {exercise.id}", "Your answer in the notebook was", lambda key: key == exercise.id
        )

    def _reset(self, title, answers, is_forgotten):
        try:
            kept = self._progress.reset(is_forgotten)
        except OSError as error:
            return self._say(
                title,
                f"Nothing was reset, because no copy of the progress file can be kept ({error.strerror}).",
            )
        copy = f" The old progress file is kept as `{kept}`." if kept else ""
        return self._say(title, f"Progress is reset. {answers} not touched.{copy}")

    def _check(self, exercise_id, namespace):
        from mlprod_helpers.lesson.checking import check

        exercise = self._find(exercise_id)
        if isinstance(exercise, Message):
            return graders.result(exercise, None) if graders.is_running() else exercise
        verdict = check(exercise, namespace, graders.rng_of(exercise.id))
        self._progress.record(exercise, verdict, verdict.outcome is not Outcome.NOT_ATTEMPTED)
        message = feedback.of_verdict(verdict)
        if warning := self._stale(exercise.answers, namespace):
            message.paragraphs.append(warning)
        self._noticed(message)
        if graders.is_running():
            return graders.result(message, verdict)
        message.then = _calls(exercise.id, verdict.outcome)
        return self._with_help(message, exercise) if buttons.can_be_pressed() else message

    def _with_help(self, message, exercise):
        """The message with a button for the next hint and one for the solution."""
        return buttons.WithButtons(
            message,
            [
                buttons.Button(
                    lambda: self._hint_label(exercise),
                    f"Show the next hint for exercise {exercise.id}",
                    lambda: self.hint(exercise.id),
                ),
                buttons.Button(
                    lambda: "Solution",
                    f"Show the course's own answer to exercise {exercise.id}",
                    lambda: self.solution(exercise.id),
                ),
            ],
        )

    def _hint_label(self, exercise):
        shown = self._progress.read()["exercises"].get(exercise.id, new_row())["hints"]
        return f"Hint {min(shown + 1, len(exercise.hints))} of {len(exercise.hints)}"

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

    def _say(self, title, *paragraphs, code="", then=""):
        return self._noticed(Message(title, paragraphs=paragraphs, code=code, then=then))

    def _noticed(self, message):
        """The message, with what is to be said of the progress file added to it."""
        if self._progress.notice:
            message.paragraphs.append(self._progress.notice)
            self._progress.notice = ""
        return message


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


def _calls(exercise_id, outcome):
    """What to call next, in words: there may be no buttons."""
    hint, solution = f'`lesson.hint("{exercise_id}")`', f'`lesson.solution("{exercise_id}")`'
    if outcome is Outcome.PASSED:
        return f"To compare: {solution}"
    if outcome is Outcome.NOT_ATTEMPTED:
        return f"Stuck? {hint}"
    return f"Next: {hint}. After {course.TRIES_FOR_SOLUTION} different answers: {solution}"


def _is_open(guess):
    parts = (
        guess if isinstance(guess, list | tuple) else guess.values() if isinstance(guess, dict) else [guess]
    )
    return any(each is Ellipsis for each in parts)


def _or(words):
    """
    >>> _or(["0.2", "0.5", "0.8"])
    '0.2, 0.5 or 0.8'
    """
    return " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]


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
