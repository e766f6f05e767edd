"""`mlprod new exercise`: skeletons that run, and nothing written where something is wrong."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mlprod_helpers.lesson.contract import Exercise
from mlprod_tools import __main__ as command_line
from mlprod_tools.build import source

ROOT = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path):
    for folder in ("lessons", "mlprod_helpers/exercises"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def texts(root):
    return {path: path.read_text(encoding="utf-8") for path in sorted(root.rglob("*.py"))}


def new(root, *arguments):
    return command_line.main(["new", "exercise", *arguments, "--root", str(root)])


def test_both_skeletons_fit_together(checkout):
    before = texts(checkout)
    assert new(checkout, "7.9", "Say it twice") == 0
    after = texts(checkout)
    folder = checkout / "mlprod_helpers" / "exercises" / "lesson_07"
    file = folder / "e9_say_it_twice.py"
    lesson = next((checkout / "lessons").glob("07_*.py"))
    changed = {path for path in after if after[path] != before.get(path)}
    assert changed == {file, folder / "__init__.py", lesson}

    made = {}
    exec(compile(after[file], file.name, "exec"), made)
    exercise = made["say_it_twice"]
    assert isinstance(exercise, Exercise) and exercise.id == "7.9" and exercise.answers == ("say_it_twice",)
    assert "    say_it_twice,\n)" in after[folder / "__init__.py"]

    read = source.read(lesson, checkout)
    assert not read.problems
    assert [cell.check for cell in read.cells if cell.check][-2:] == ["7.8", "7.9"]
    for old in before[lesson].splitlines():
        assert old in after[lesson]
    ruff = [sys.executable, "-m", "ruff", "format", "--check", *map(str, changed)]
    assert subprocess.run(ruff, cwd=checkout).returncode == 0


def test_a_title_that_is_a_question_gets_no_full_stop(checkout):
    assert new(checkout, "7.9", "How late is it?", "--name", "late") == 0
    file = checkout / "mlprod_helpers" / "exercises" / "lesson_07" / "e9_late.py"
    assert file.read_text(encoding="utf-8").startswith('"""Exercise 7.9, How late is it?"""\n')


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("7.8", "Again"), "is already there; take another number"),
        (("7.9", "Policy", "--name", "policy"), "is already there; take another name"),
        (("17.1", "Far"), "there is no lesson 17"),
        (("seven", "Far"), "is no id of an exercise"),
        (("7.9", "2 ways"), "is no name in Python"),
        (("7.9", 'A "title"'), "the title needs a word"),
    ],
)
def test_nothing_is_written_when_something_is_wrong(checkout, capsys, arguments, message):
    before = texts(checkout)
    assert new(checkout, *arguments) == 1
    assert message in capsys.readouterr().err
    assert texts(checkout) == before
