"""Each notebook as a learner opens it: in a release of its lesson alone, without a network, Run All ends without an error."""

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from mlprod_helpers.lesson import contract
from mlprod_tools import figures, release, testing

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def run(path, folder):
    """Execute a notebook from a release of its lesson alone, offline where a user may have a network of their own."""
    release.write(release.bundle([path.stem[:2]]), folder / "course")
    command = [sys.executable, "-c", EXECUTE, path.name]
    if _has_own_network():
        command = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]
    # live cells are run and compared in solutions/; here they do as where no service can be started
    startup = folder / "ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "figures.py").write_text(NOTED)
    environment = testing.environment() | {
        "MLPROD_LIVE": "no",
        "PYTHONPATH": str(folder / "course"),
        "IPYTHONDIR": str(folder / "ipython"),
        "FIGURES": str(folder / "figures.jsonl"),
    }
    done = subprocess.run(
        command, cwd=folder / "course/notebooks", env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return nbformat.reads(done.stdout, 4)


EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, timeout=120).execute()
print(nbformat.writes(notebook))
"""


# in the kernel: each figure of the course, described as soon as it is made
NOTED = """
import json, os
from mlprod_helpers import plots
from mlprod_tools import figures

open(os.environ["FIGURES"], "a").close()  # lesson 10 draws an explorer alone

def noted(self, fig, alt, made=plots.Figure.__init__):
    made(self, fig, alt)
    if fig is not None:
        with open(os.environ["FIGURES"], "a") as file:
            file.write(json.dumps(figures.described(fig, alt)) + chr(10))

plots.Figure.__init__ = noted
"""


@functools.cache
def _has_own_network():
    tried = ["unshare", "-rn", "ip", "link", "set", "lo", "up"]
    return shutil.which("unshare") is not None and subprocess.run(tried, capture_output=True).returncode == 0


def plain(cell):
    return "".join(
        output.get("data", {}).get("text/plain", output.get("text", "")) for output in cell.outputs
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_an_untouched_notebook_runs_and_every_check_says_not_attempted(path, tmp_path):
    notebook = run(path, tmp_path)
    checks = [cell for cell in notebook.cells if cell.metadata.get("mlprod", {}).get("check")]
    assert {cell.metadata["mlprod"]["check"] for cell in checks} == set(
        contract.load(path.stem[:2]).exercises
    )
    for cell in checks:
        assert f"Exercise {cell.metadata['mlprod']['check']} · not attempted" in plain(cell)
    stderr = [o.text for cell in notebook.cells for o in cell.get("outputs", []) if o.get("name") == "stderr"]
    assert stderr == []
    seen = [json.loads(line) for line in (tmp_path / "figures.jsonl").read_text().splitlines()]
    assert [problem for figure in seen for problem in figures.unclear(figure)] == []
    beside = [item.name for item in (tmp_path / "course/notebooks").iterdir()]
    assert beside == [path.name], "a notebook leaves nothing beside it"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_answer_and_no_output(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in notebook.cells)
    assert "SOLUTION" not in path.read_text(encoding="utf-8")
    solution = nbformat.read(ROOT / "solutions" / path.name, 4)
    for mine, theirs in zip(notebook.cells, solution.cells, strict=True):
        is_answer = bool(mine.metadata.get("mlprod", {}).get("exercise"))
        assert (mine.source != theirs.source) == is_answer, mine.id


def test_there_is_a_notebook_for_every_lesson():
    lessons = [path.stem for path in sorted((ROOT / "lessons").glob("*.py"))]
    assert [path.stem for path in NOTEBOOKS] == lessons
    assert [name[:2] for name in lessons] == contract.lesson_ids()
