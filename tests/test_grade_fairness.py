"""Grader and notebook agree on what an answer is worth. `python -m mlprod_tools.grade.fairness` tries thousands of answers."""

import contextlib
import random
from dataclasses import replace

import numpy as np
import pytest

from mlprod_helpers.lesson import contract
from mlprod_tools.grade import fairness, marking, sandbox, submissions

WHY_NOT = sandbox.why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no isolation: {WHY_NOT}")
LESSONS = contract.lesson_ids()


@pytest.fixture(scope="module", autouse=True)
def workers():
    yield
    marking.close()


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_lessons_own_answers_get_full_marks_on_another_seed(lesson):
    (path,) = (fairness.ROOT / "solutions").glob(f"{lesson}_*.ipynb")
    (handed,) = submissions.find(path)
    marks = marking.grade(submissions.read(handed), seed=1).marks
    assert [mark.exercise for mark in marks] == list(contract.load(lesson).exercises)
    assert [(mark.exercise, mark.points, mark.fault) for mark in marks if mark.points != mark.of] == []
    assert all(mark.isolated and not mark.notes for mark in marks)


@pytest.mark.parametrize("lesson", LESSONS)
def test_an_untouched_notebook_gets_nothing(lesson):
    (path,) = (fairness.ROOT / "notebooks").glob(f"{lesson}_*.ipynb")
    (handed,) = submissions.find(path)
    marks = marking.grade(submissions.read(handed), seed=1).marks
    assert {(mark.points, mark.outcome) for mark in marks} == {(0, "not attempted")}


@pytest.mark.parametrize("lesson", LESSONS)
def test_wrong_answers_get_the_same_marks_and_the_same_feedback_in_both(lesson):
    """One misconception, one alternative and one mutant of two exercises a lesson."""
    exercises = list(contract.load(lesson).exercises.values())
    dice = random.Random(lesson)
    for exercise in dice.sample(exercises, 2):
        exercise = replace(exercise, seconds=fairness.SECONDS)
        made = list(fairness.cases(lesson, exercise, fairness._solution(lesson, exercise.id), 1))
        kinds = {
            kind: [each for each in made if each.kind == kind]
            for kind in ("misconception", "alternative", "mutant")
        }
        with contextlib.ExitStack() as stack:
            jobs = marking.Jobs(marking._workers(True), stack)
            for case in (dice.choice(each) for each in kinds.values() if each):
                grader, notebook = fairness.judged_by_both(exercise, case.answer, 7, jobs)
                assert fairness.agree(case, grader, notebook), (exercise.id, case.name, grader, notebook)


def test_the_graders_inputs_are_not_the_notebooks():
    from mlprod_helpers.lesson.checking import seed_of

    draws = {float(marking.rng_of(seed, "2.4").uniform()) for seed in (0, 1, 2**62)} | {
        float(np.random.default_rng(seed_of("2.4")).uniform())
    }
    assert len(draws) == 4
