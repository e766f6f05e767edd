"""The README's picture shows what a learner has: a learner notebook, a misconception, no grader's buttons."""

import json

from mlprod_tools import pictures


def test_the_picture_shows_an_exercise_with_a_wrong_answer():
    cells = pictures.answered().cells
    assert f"### Exercise {pictures.EXERCISE}" in cells[2].source
    assert cells[-1].source == f'lesson.check("{pictures.EXERCISE}")'
    assert [cell.source for cell in cells if cell.get("metadata", {}).get("mlprod", {}).get("exercise")] == [
        pictures.ANSWER
    ]


def test_jupyterlab_runs_without_the_buttons_of_nbgrader(tmp_path):
    pictures._settings(tmp_path)
    (config,) = tmp_path.rglob("page_config.json")
    assert json.loads(config.read_text(encoding="utf-8"))["disabledExtensions"] == {"@jupyter/nbgrader": True}
