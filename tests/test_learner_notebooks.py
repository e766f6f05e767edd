"""Each notebook as a learner opens it: in a release of its lesson alone, without a network, Run All ends without an error.

Where there is a browser, test_browser_lessons.py runs them in JupyterLab, with `prepare` and `has_run_untouched`. The rest run here.
"""

import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from mlprod_helpers.lesson import contract
from mlprod_tools import browser, figures, release, testing

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# in a browser, live cells start services; here they do what they do where none can be started
RUN_HERE = [path for path in NOTEBOOKS if browser.missing() or "if LIVE:" in path.read_text(encoding="utf-8")]


def prepare(path, folder):
    """Write a release of one notebook's lesson, whose kernels note their figures; returns the notebook's place there."""
    release.write(release.bundle([path.stem[:2]]), folder / "course")
    return folder / "course/notebooks" / path.name


def startup(ipython):
    """Write what `IPYTHONDIR` has to hold for that; returns the folder."""
    file = ipython / "profile_default/startup/figures.py"
    file.parent.mkdir(parents=True)
    file.write_text(NOTED)
    return ipython


# in the kernel: the released course, and each figure of it, described as soon as it is made
NOTED = """
import json, os, sys

course = os.path.dirname(os.getcwd())
sys.path.insert(0, course)
os.environ["PYTHONPATH"] = course  # for the services that live cells start

from mlprod_helpers import plots
from mlprod_tools import figures

noting = os.path.join(os.path.dirname(course), "figures.jsonl")
open(noting, "a").close()  # lesson 10 draws an explorer alone

def noted(self, fig, alt, made=plots.Figure.__init__):
    made(self, fig, alt)
    if fig is not None:
        with open(noting, "a") as file:
            file.write(json.dumps(figures.described(fig, alt)) + chr(10))

plots.Figure.__init__ = noted
"""


def without_network(command):
    """The same command, without a network if users may make network namespaces here; its process stays the same."""
    if not _has_own_network():
        return command
    return ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]


@functools.cache
def _has_own_network():
    tried = ["unshare", "-rn", "ip", "link", "set", "lo", "up"]
    return shutil.which("unshare") is not None and subprocess.run(tried, capture_output=True).returncode == 0


def has_run_untouched(notebook, place):
    """Assert what holds after Run All: no check is attempted, nothing is on stderr, every figure is clear, nothing lies beside it."""
    checks = [cell for cell in notebook.cells if cell.metadata.get("mlprod", {}).get("check")]
    assert {cell.metadata["mlprod"]["check"] for cell in checks} == set(
        contract.load(place.stem[:2]).exercises
    )
    for cell in checks:
        assert f"Exercise {cell.metadata['mlprod']['check']} · not attempted" in plain(cell)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert [output for output in outputs if output["output_type"] == "error"] == []
    assert ["".join(output["text"]) for output in outputs if output.get("name") == "stderr"] == []
    seen = [json.loads(line) for line in (place.parents[2] / "figures.jsonl").read_text().splitlines()]
    assert [problem for figure in seen for problem in figures.unclear(figure)] == []
    beside = {item.name for item in place.parent.iterdir()} - {".ipynb_checkpoints"}
    assert beside == {place.name}, "a notebook leaves nothing beside it"


def plain(cell):
    return "".join(
        "".join(output.get("data", {}).get("text/plain", output.get("text", ""))) for output in cell.outputs
    )


EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, timeout=120).execute()
print(nbformat.writes(notebook))
"""


@pytest.mark.parametrize("path", RUN_HERE, ids=lambda path: path.stem)
def test_an_untouched_notebook_runs_and_every_check_says_not_attempted(path, tmp_path):
    place = prepare(path, tmp_path)
    environment = testing.environment() | {
        "MLPROD_LIVE": "no",
        "IPYTHONDIR": str(startup(tmp_path / "ipython")),
    }
    done = subprocess.run(
        without_network([sys.executable, "-c", EXECUTE, path.name]),
        cwd=place.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    has_run_untouched(nbformat.reads(done.stdout, 4), place)


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
