"""An instructor can hand the built notebooks to nbgrader as they are: its own tools release and score every lesson."""

import ast
import copy
import json
import os
import re
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pytest

from mlprod_helpers import serving
from mlprod_helpers.lesson import contract, graders, progress
from mlprod_helpers.lesson.checking import check
from mlprod_tools import testing
from mlprod_tools.build.names import needs_and_bindings

pytest.importorskip("nbgrader", reason="nbgrader has an environment of its own: see .ci/run")
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")

ROOT = Path(__file__).resolve().parents[1]


class Course:
    """A course folder with one assignment, and nbgrader's own tools on it."""

    def __init__(self, root, lesson, keep=lambda cell: True, configured=True):
        from nbgrader.apps import NbGraderAPI
        from traitlets.config import Config

        from mlprod_tools.nbgrader import configure

        (path,) = (ROOT / "notebooks").glob(f"{lesson}_*.ipynb")
        self.root, self.name = root, path.stem
        config = Config()
        config.ClearSolutions.enabled = False
        if configured:
            configure(config)
        else:
            os.environ.pop(graders.BY_HAND, None)
        config.CourseDirectory.root = str(root)
        config.Exchange.root = str(root / "exchange")
        self.api = NbGraderAPI(config=config)
        (root / "source" / "task").mkdir(parents=True)
        book = nbformat.read(path, 4)
        book.cells = [cell for cell in book.cells if keep(cell)]
        nbformat.write(book, root / "source" / "task" / path.name)
        result = self.api.generate_assignment("task", create=True)
        assert result["success"], result.get("log", "")[-3000:] + result.get("error", "")[-3000:]
        self.released = nbformat.read(root / "release" / "task" / path.name, 4)

    def submit(self, student, answers, first="", keep=lambda cell: True):
        """Hand in the released notebook with these answers: cell id -> code; `first` goes on the setup cell."""
        book = copy.deepcopy(self.released)
        book.cells = [cell for cell in book.cells if keep(cell)]
        for cell in book.cells:
            cell.source = answers.get(cell.id, cell.source)
            if "Lesson(" in cell.source and cell.cell_type == "code":
                cell.source += f"\n{first}"
        folder = self.root / "submitted" / student / "task"
        folder.mkdir(parents=True)
        nbformat.write(book, folder / f"{self.name}.ipynb")

    def autograde(self, student):
        return self.api.autograde("task", student, create=True)

    def grades(self, student):
        """exercise -> grade as nbgrader's data base has it."""
        with self.api.gradebook as gradebook:
            notebook = gradebook.find_submission_notebook(self.name, "task", student)
            return {
                each.name.removeprefix("check-").replace("-", "."): each.to_dict() | {"score": each.score}
                for each in notebook.grades
            }

    def scores(self, student):
        return {exercise: grade["score"] for exercise, grade in self.grades(student).items()}

    def outputs(self, student, exercise):
        """The outputs of a check's cell in the autograded notebook."""
        book = nbformat.read(self.root / "autograded" / student / "task" / f"{self.name}.ipynb", 4)
        (cell,) = [cell for cell in book.cells if cell.id == f"check-{exercise.replace('.', '-')}"]
        return cell.outputs


@pytest.fixture(scope="module", autouse=True)
def environment():
    before = dict(os.environ)
    os.environ.update(testing.environment())
    os.environ.pop(progress.VARIABLE, None)  # graders keep no progress by themselves
    os.environ[graders.SEED] = "a term's seed"
    yield
    os.environ.clear()
    os.environ.update(before)


def right_answers(lesson):
    """cell id -> the lesson's own answer."""
    (path,) = (ROOT / "solutions").glob(f"{lesson}_*.ipynb")
    return {cell.id: cell.source for cell in nbformat.read(path, 4).cells if cell.id.startswith("answer-")}


def is_needed(cell):
    """Answers, checks and the cell that makes `lesson`: what costs little time."""
    return cell.cell_type == "code" and (
        cell.id.startswith(("answer-", "check-")) or "Lesson(" in cell.source
    )


def answers_can_run(notebook):
    """Whether a cell is an answer, a check, or one that binds a name that they need: a lesson without most of its lecture."""
    wanted, kept = set(), set()
    for cell in reversed([cell for cell in notebook.cells if cell.cell_type == "code"]):
        needs, bindings = needs_and_bindings(ast.parse(cell.source))
        if is_needed(cell) or wanted & {each.name for each in bindings}:
            wanted |= {each.name for each in needs}
            kept.add(cell.id)
    return lambda cell: cell.id in kept


def worked(result):
    assert result["success"], result.get("log", "")[-3000:] + result.get("error", "")[-3000:]


# ------------------------------------------------------------------ every lesson


@pytest.mark.parametrize("lesson", contract.lesson_ids())
def test_a_lesson_scores_full_half_and_nothing(tmp_path, lesson):
    course, right = Course(tmp_path, lesson), right_answers(lesson)
    exercises = contract.load(lesson).exercises
    some = dict(list(right.items())[::2])
    course.submit("all", right)
    (path,) = (ROOT / "solutions").glob(f"{lesson}_*.ipynb")
    course.submit("some", some, keep=answers_can_run(nbformat.read(path, 4)))  # the lecture has run once
    course.submit("none", {}, keep=is_needed)
    for student in ("all", "some", "none"):
        worked(course.autograde(student))
    assert course.scores("all") == {key: each.points for key, each in exercises.items()}
    answered = {cell.removeprefix("answer-").replace("-", ".") for cell in some}
    assert course.scores("some") == {
        key: each.points if key in answered else 0 for key, each in exercises.items()
    }
    assert course.scores("none") == dict.fromkeys(exercises, 0)
    assert not any(
        grade["needs_manual_grade"]
        for student in ("all", "some", "none")
        for grade in course.grades(student).values()
    )
    left = {path.name for path in (tmp_path / "autograded").rglob("*") if path.is_file()}
    assert left == {f"{course.name}.ipynb"}, "no progress file, no lock"


# ------------------------------------------------------------------ what a check leaves in its cell


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Lesson 00 without its lecture, and submissions that nbgrader has graded."""
    course, right = Course(tmp_path_factory.mktemp("course"), "00", keep=is_needed), right_answers("00")
    partly = right | {
        "answer-0-3": 'terms = {"auc": "b", "p_value": "f", "p99": "a", "calibration": "h", "out_of_fold": "d"}',
        "answer-0-1": "def error_so_far(log, now):\n    return 'many'",
    }
    course.submit("partly", partly)
    noisy = right | {
        "answer-0-2": "import logging, os, sys\nlogging.basicConfig(stream=sys.stderr)\nkept = sys.stderr\n"
        + right["answer-0-2"].replace(
            "return",
            "logging.warning('loud'); print('louder', file=kept); os.write(2, b'loudest'); os.system('echo more >&2'); return",
        )
        + "\nfrom IPython import get_ipython\n"
        "get_ipython().events.register('post_run_cell', lambda result: print('after', file=sys.stderr))\n"
        "get_ipython().events.register('pre_run_cell', lambda info: print('before', file=sys.stderr))\n"
        "def fails(): 1 / 0\nget_ipython().events.register('post_execute', fails)"
    }
    course.submit("noisy", noisy)
    course.submit("memorised", right | {"answer-0-2": memorised()})
    course.submit("old", right, first='lesson = Lesson("00", edition=1)')
    for student in ("partly", "noisy", "memorised", "old"):
        worked(course.autograde(student))
    return course


def memorised():
    """Code that answers 0.2 for the notebook's own draws, and for no others."""
    exercise = contract.load("00").exercises["0.2"]
    verdict = check(
        exercise, {"slow_pages": lambda n_requests, slow_share: 1 - (1 - slow_share) ** n_requests}
    )
    assert verdict.points == 2
    seen = {tuple(call.given): call.output for call in verdict.seen.calls}
    code = f"def slow_pages(n_requests, slow_share):\n    return {seen!r}.get((n_requests, slow_share), 0.5)"
    names = {}
    exec(code, names)
    assert check(exercise, names).points == 2
    return code


def test_partial_credit_is_a_number_beside_its_feedback(start):
    assert start.scores("partly") == {"0.1": 0, "0.2": 2, "0.3": 3.5}
    shown, number = start.outputs("partly", "0.3")
    assert shown.output_type == "display_data" and "4 of 5 cases are right" in shown.data["text/html"]
    assert number.output_type == "execute_result" and float(number.data["text/plain"]) == 3.5


def test_full_credit_shows_its_feedback_too(start):
    shown, number = start.outputs("partly", "0.2")
    assert "passed" in shown.data["text/plain"] and float(number.data["text/plain"]) == 2


def test_failing_feedback_begins_with_the_message_and_shows_no_code_of_the_course(start):
    (error,) = start.outputs("partly", "0.1")
    lines = "\n".join(error.traceback).split("\n")
    assert lines[0] == "Exercise 0.1 · not yet · 0 of 2 points"
    assert all(len(line) <= 80 for line in lines)
    assert not re.search(r"mlprod_helpers|Traceback|raise ", "\n".join(lines))


def test_validate_shows_its_first_line_whole(start, tmp_path):
    from nbgrader.validator import Validator

    shutil.copy(start.root / "submitted" / "partly" / "task" / f"{start.name}.ipynb", tmp_path / "x.ipynb")
    failed = Validator().validate(str(tmp_path / "x.ipynb"))["failed"]
    assert len(failed) == 2
    assert failed[0]["raw_error"].startswith("Exercise 0.1 · not yet · 0 of 2 points\n")
    assert not [path for path in tmp_path.iterdir() if "progress" in path.name]


def test_what_a_learners_handlers_write_to_stderr_costs_nothing(start):
    assert start.scores("noisy")["0.2"] == 2
    assert start.scores("noisy")["0.3"] == 5
    kinds = {(each.output_type, each.get("name")) for each in start.outputs("noisy", "0.2")}
    assert ("stream", "stderr") not in kinds and not [kind for kind in kinds if kind[0] == "error"]


def test_marks_come_from_other_draws_than_the_learners_own(start):
    assert start.scores("memorised")["0.2"] < 2


# ------------------------------------------------------------------ another edition


def test_another_edition_is_for_a_person_to_grade_and_says_why(start):
    for grade in start.grades("old").values():
        assert grade["auto_score"] is None and grade["needs_manual_grade"]
    (error,) = start.outputs("old", "0.1")
    assert error.traceback[0].startswith("Lesson 00 · another edition")
    assert "made for edition 1" in " ".join(" ".join(error.traceback).split())


def test_without_the_courses_configuration_another_edition_stops_autograding_with_its_reason(tmp_path):
    course = Course(tmp_path, "00", keep=is_needed, configured=False)
    course.submit("old", right_answers("00"), first='lesson = Lesson("00", edition=1)')
    result = course.autograde("old")
    assert not result["success"]
    assert "NOT GRADED" in result["log"] and "made for edition 1" in result["log"]
    assert all(grade["needs_manual_grade"] for grade in course.grades("old").values()), "no zero is final"


# ------------------------------------------------------------------ the parts, without nbgrader


def test_a_seed_of_the_term_is_the_same_for_everybody_and_no_learners(monkeypatch):
    monkeypatch.setenv(graders.VARIABLE, "autograde")
    draws = []
    for seed in ("spring", "spring", "autumn"):
        monkeypatch.setenv(graders.SEED, seed)
        draws.append(graders.rng_of("6.1").random())
    assert draws[0] == draws[1] != draws[2]
    monkeypatch.delenv(graders.SEED)
    assert isinstance(graders.rng_of("6.1"), np.random.Generator)
    monkeypatch.setenv(graders.VARIABLE, "validate")
    assert graders.rng_of("6.1") is None, "learners who validate see what their notebook shows"


def test_no_service_starts_under_a_grader(monkeypatch):
    monkeypatch.setenv(graders.VARIABLE, "autograde")
    assert "grader" in serving.refusal()


def test_a_check_that_breaks_is_no_zero(monkeypatch):
    from mlprod_helpers.lesson import feedback
    from mlprod_helpers.lesson.outcome import Outcome, Verdict

    exercise = contract.load("00").exercises["0.1"]
    verdict = Verdict(exercise, Outcome.FAILED, 0, fault="KeyError: oh")
    monkeypatch.setenv(graders.VARIABLE, "autograde")
    with pytest.raises(graders.NotGraded, match="KeyError: oh"):
        graders.result(feedback.of_verdict(verdict), verdict)
    made = graders._Unreadable("NOT GRADED. why")._repr_mimebundle_()
    with pytest.raises(nbformat.ValidationError, match="NOT GRADED"):
        nbformat.v4.new_output("execute_result", data=json.loads(json.dumps(made)), execution_count=1)
