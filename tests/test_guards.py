"""The guards over solutions/ hold, and they bite: each kind of rot turns the run red."""

import base64
import copy
import io
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from PIL import Image, ImageDraw

from mlprod_helpers import plots
from mlprod_tools import guards, testing

ROOT = Path(__file__).resolve().parents[1]
SOLUTIONS = sorted((ROOT / "solutions").glob("*.ipynb"))


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_stored_solutions_are_sound(path):
    assert list(guards.problems(nbformat.read(path, 4))) == []


@pytest.fixture
def notebook():
    """A sound solution notebook to spoil."""
    return copy.deepcopy(nbformat.read(SOLUTIONS[0], 4))


def first(notebook, test):
    return next(cell for cell in notebook.cells if cell.cell_type == "code" and test(cell))


def found(notebook):
    return " ".join(guards.problems(notebook))


def test_a_stripped_count_is_found(notebook):
    first(notebook, lambda cell: cell.execution_count == 3).execution_count = None
    assert "execution count None" in found(notebook)


def test_a_removed_plot_is_found(notebook):
    cell = first(notebook, lambda cell: guards.draws(cell.source))
    cell.outputs[0]["data"]["text/html"] = cell.outputs[0]["data"]["text/html"].split("base64,")[0] + '"/>'
    assert "no picture is stored" in found(notebook)
    cell.outputs = []
    assert "no picture is stored" in found(notebook)


def test_a_missing_alternative_text_is_found(notebook):
    cell = first(notebook, lambda cell: guards.draws(cell.source))
    html = cell.outputs[0]["data"]["text/html"]
    cell.outputs[0]["data"]["text/html"] = html.replace("alt=", "data-was=")
    assert "no alternative text" in found(notebook)


def test_a_wrong_answer_in_a_lesson_is_found(notebook):
    cell = first(notebook, lambda cell: cell.metadata.get("mlprod", {}).get("check"))
    data = cell.outputs[0]["data"]
    data["text/plain"] = data["text/plain"].replace("passed · 2 of 2", "partly · 1 of 2")
    assert "does not show full points" in found(notebook)


def test_stored_errors_and_warnings_are_found(notebook):
    cell = first(notebook, lambda cell: cell.outputs)
    cell.outputs.append(nbformat.v4.new_output("error", ename="KeyError", evalue="'x'", traceback=[]))
    cell.outputs.append(nbformat.v4.new_output("stream", name="stderr", text="FutureWarning: ..."))
    assert "a stored error, KeyError" in found(notebook) and "stored stderr" in found(notebook)


def test_a_lost_printout_is_found(notebook):
    first(notebook, lambda cell: cell.source.startswith("print(") or "\nprint(" in cell.source).outputs = []
    assert "no output is stored" in found(notebook)


# ---- nbval itself ---------------------------------------------------------------------------------------------------


def drawing(at, **saved):
    """A line at a height, as PNG in base64."""
    image = Image.new("RGB", (128, 96), plots.PAPER)
    ImageDraw.Draw(image).line([(0, at), (128, at)], fill=plots.BLUE, width=3)
    image.save(png := io.BytesIO(), "PNG", **saved)
    return base64.b64encode(png.getvalue()).decode()


def small_notebook(path, *, printed="0.9741", hidden_result="", alt="the lines cross at week nine", drawn=40):
    cell = nbformat.v4.new_code_cell("print(round(0.974123, 4))", id="number", execution_count=1)
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=printed + "\n")]
    silent = nbformat.v4.new_code_cell("3 + 4;", id="silent", execution_count=2)
    silent.outputs = (
        []
        if not hidden_result
        else [nbformat.v4.new_output("execute_result", data={"text/plain": hidden_result}, execution_count=2)]
    )
    picture = nbformat.v4.new_code_cell(
        'from IPython.display import HTML\nHTML(\'<img alt="the lines cross at week nine" '
        f'src="data:image/png;base64,{drawing(40, compress_level=1)}">\')',
        id="picture",
        execution_count=3,
    )
    html = f'<img alt="{alt}" src="data:image/png;base64,{drawing(drawn)}">'
    picture.outputs = [
        nbformat.v4.new_output(
            "execute_result",
            data={"text/html": html, "text/plain": "<IPython.core.display.HTML object>"},
            execution_count=3,
        )
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell, silent, picture]), path)


def nbval(folder):
    options = [str(ROOT / part) if part.startswith("tests/") else part for part in testing.nbval_options()]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "conftest",
        *options,
        str(folder),
    ]
    # the notebooks stand outside the repository, where its conftest.py would not be found
    env = testing.environment() | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


def test_nbval_passes_sound_outputs_and_fails_on_a_changed_number_text_or_picture(tmp_path):
    small_notebook(tmp_path / "sound.ipynb")  # the picture's bytes differ, and it looks the same
    small_notebook(tmp_path / "number.ipynb", printed="0.9742")
    small_notebook(tmp_path / "result.ipynb", hidden_result="7")
    small_notebook(tmp_path / "text.ipynb", alt="the lines never cross")
    small_notebook(tmp_path / "moved.ipynb", drawn=44)
    run = nbval(tmp_path)
    failed = sorted(
        line.split()[1].split("::")[0] for line in run.stdout.splitlines() if line.startswith("FAILED")
    )
    assert failed == ["moved.ipynb", "number.ipynb", "result.ipynb", "text.ipynb"], run.stdout[-3000:]
    assert "4 failed, 11 passed" in run.stdout
    assert "Picture 1 of 1: it differs most around" in run.stdout


def test_the_tests_of_nbgrader_run_once_in_an_environment_of_its_own(monkeypatch, tmp_path):
    place = testing.NBGRADER.relative_to(ROOT).as_posix()
    install = f'{place} --compile-bytecode --no-build-isolation -c constraints.txt -e ".[nbgrader]"'
    assert install in (ROOT / ".ci" / "run").read_text(), "with the course: nbgrader's kernels import it"
    monkeypatch.setattr(testing, "NBGRADER", tmp_path / "python")
    without = [command for _, command in testing.steps()]
    assert not [command for command in without if "tests/test_nbgrader.py" in command]
    (tmp_path / "python").touch()
    found = [command for _, command in testing.steps() if "tests/test_nbgrader.py" in command]
    assert [command[0] for command in found] == [sys.executable, str(tmp_path / "python")]
    assert "--ignore" in found[0]


def test_slowest_lists_ten_tests_and_ten_cells_and_changes_nothing_else():
    plain, listing = dict(testing.steps()), dict(testing.steps(with_slowest=True))
    added = {name: " ".join(part for part in listing[name] if part not in plain[name]) for name in plain}
    assert {name: what for name, what in added.items() if what} == {
        "unit tests, doctests, guards, notebooks as learners open them": "--durations 10",
        "stored outputs against a fresh run": "--durations 10",
    }


def test_every_step_of_the_test_command_exists(monkeypatch, tmp_path):
    (tmp_path / "python").touch()
    monkeypatch.setattr(testing, "NBGRADER", tmp_path / "python")
    names = [name for name, _ in testing.steps()]
    assert len(names) == len(set(names)) == 8
    for _, command in testing.steps():
        paths = [
            part
            for part in command
            if part.endswith((".py", ".md", ".cfg")) or part in ("solutions", "lessons")
        ]
        assert all((ROOT / part).exists() for part in paths)
