"""An instructor can hand the built notebooks to nbgrader as they are: its own tools release and score them."""

import os
import shutil
from pathlib import Path

import nbformat
import pytest

from mlprod_tools import testing

pytest.importorskip("nbgrader", reason="nbgrader comes with the extra `ci`")

ROOT = Path(__file__).resolve().parents[1]
NAME = "00_start_here"


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course folder with lesson 00 released and three submissions graded."""
    from nbgrader.apps import NbGraderAPI
    from traitlets.config import Config

    root = tmp_path_factory.mktemp("course")
    config = Config()
    config.CourseDirectory.root = str(root)
    config.ClearSolutions.enabled = False  # the answers are out already
    config.Exchange.root = str(root / "exchange")
    api = NbGraderAPI(config=config)
    (root / "source" / "start").mkdir(parents=True)
    shutil.copy(ROOT / "notebooks" / f"{NAME}.ipynb", root / "source" / "start")
    before = dict(os.environ)
    os.environ.update(testing.environment())
    try:
        result = api.generate_assignment("start", create=True)
        assert result["success"], result.get("log", "")[-3000:] + result.get("error", "")[-3000:]
        submit(root, "untouched", {})
        solved = nbformat.read(ROOT / "solutions" / f"{NAME}.ipynb", 4)
        right = {cell.id: cell.source for cell in solved.cells if cell.id.startswith("answer-")}
        submit(root, "right", right)
        wrong = dict(right)
        wrong["answer-0-3"] = (
            'terms = {"auc": "b", "p_value": "f", "p99": "a", "calibration": "h", "out_of_fold": "d"}'
        )
        wrong["answer-0-1"] = (
            "def error_so_far(log, now):\n    return (log['label'] - log['prediction']).abs().mean()"
        )
        submit(root, "partly", wrong)
        for student in ("untouched", "right", "partly"):
            result = api.autograde("start", student, create=True)
            assert result["success"], result.get("log", "")[-3000:] + result.get("error", "")[-3000:]
    finally:
        os.environ.clear()
        os.environ.update(before)
    return api


def submit(root, student, answers):
    notebook = nbformat.read(root / "release" / "start" / f"{NAME}.ipynb", 4)
    for cell in notebook.cells:
        cell.source = answers.get(cell.id, cell.source)
    folder = root / "submitted" / student / "start"
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{NAME}.ipynb")


def scores(course, student):
    """check's grade id -> (score, most possible)."""
    with course.gradebook as gradebook:
        notebook = gradebook.find_submission_notebook(NAME, "start", student)
        return {grade.name: (grade.score, grade.max_score) for grade in notebook.grades}


def test_the_release_keeps_every_exercise(course):
    assert set(scores(course, "right")) == {"check-0-1", "check-0-2", "check-0-3"}


def test_right_answers_score_full_points(course):
    assert scores(course, "right") == {"check-0-1": (2, 2), "check-0-2": (2, 2), "check-0-3": (5, 5)}


def test_an_untouched_notebook_scores_nothing(course):
    assert [score for score, _ in scores(course, "untouched").values()] == [0, 0, 0]


def test_partly_right_answers_score_their_part(course):
    assert scores(course, "partly") == {"check-0-1": (0, 2), "check-0-2": (2, 2), "check-0-3": (3.5, 5)}
