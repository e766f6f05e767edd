"""Classes for the tests of the grader: notebooks of learners who did all, half, or nothing, and marks without a sandbox."""

import json
from pathlib import Path

from mlprod_helpers.lesson import contract
from mlprod_helpers.lesson.checking import check
from mlprod_tools.grade.marking import mark_of, rng_of
from mlprod_tools.grade.marks import MISSING, NOT_ISOLATED, Graded, Mark

ROOT = Path(__file__).resolve().parents[1]


def notebook(lesson, answered=1.0):
    """A learner's notebook with this share of its answer cells filled in, as text."""
    (empty,) = (ROOT / "notebooks").glob(f"{lesson}_*.ipynb")
    (full,) = (ROOT / "solutions").glob(f"{lesson}_*.ipynb")
    made, solved = (json.loads(path.read_text(encoding="utf-8")) for path in (empty, full))
    right = {cell["id"]: cell["source"] for cell in solved["cells"]}
    answers = [cell for cell in made["cells"] if "exercise" in cell["metadata"].get("mlprod", {})]
    for cell in answers[: round(answered * len(answers))]:
        cell["source"] = right[cell["id"]]
    return json.dumps(made)


def with_answers(lesson, sources):
    """A learner's notebook whose answer cells have these sources: exercise -> code."""
    made = json.loads(notebook(lesson, 0))
    for cell in made["cells"]:
        exercise = cell["metadata"].get("mlprod", {}).get("exercise")
        cell["source"] = sources.get(exercise, cell["source"])
    return json.dumps(made)


def mark_here(submission, seed=0, isolated=True, lessons=None):
    """The marks of a submission without any sandbox: for tests of what stands around the marking, with code that we wrote."""
    answers = {each.exercise: each for each in submission.answers}
    marks = []
    for lesson in lessons or submission.lessons:
        for exercise in contract.load(lesson).exercises.values():
            answer = answers.get(exercise.id)
            if answer is None:
                marks.append(
                    Mark(
                        lesson,
                        exercise.id,
                        0,
                        exercise.points,
                        MISSING,
                        "missing",
                        "<p>missing</p>",
                        isolated=isolated,
                    )
                )
                continue
            names = {"__name__": "__main__"}
            for text in (*answer.needs, answer.source):
                exec(compile(text, "<cell>", "exec"), names)
            verdict = check(exercise, names, rng_of(seed, exercise.id))
            marks.append(mark_of(lesson, exercise, verdict, answer.notes, isolated))
    notes = submission.notes if isolated else (NOT_ISOLATED, *submission.notes)
    return Graded(submission.learner, submission.path, "", tuple(marks), tuple(notes), isolated)
