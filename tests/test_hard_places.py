"""The course in places that are hard on it: odd folder names, no network, no home, read-only notebooks, a full disk, a killed kernel."""

import functools
import importlib.metadata
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

from mlprod_tools import release, testing

ROOT = Path(__file__).resolve().parents[1]
SOLUTION = (
    ROOT / "solutions/05_deployment_checklist.ipynb"
)  # a lesson that starts no service and draws figures

EXECUTE = """
import sys, nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], 4)
NotebookClient(notebook, timeout=120).execute()
nbformat.write(notebook, sys.stdout)
"""

# a user may have a network without a way out, and mounts that nobody else sees
ALONE = ["unshare", "--map-root-user", "--net", "--mount", "sh", "-ec"]
READ_ONLY = (
    'ip link set lo up; mount --bind "$0" "$0"; mount -o remount,ro,bind "$0"; cd "$0/notebooks"; exec "$@"'
)
SMALL_DISK = 'mount -t tmpfs -o size=64k small "$0"; cd "$0"; exec "$@"'


@functools.cache
def can_be_alone():
    with_mount = [*ALONE, "ip link set lo up; mount -t tmpfs -o size=64k small /mnt"]
    return (
        shutil.which("unshare") is not None and not subprocess.run(with_mount, capture_output=True).returncode
    )


def be_alone():
    if not can_be_alone():
        pytest.skip("unshare may not make a network and mounts of its own here")


def course(folder):
    """A release of one lesson, with the right answers in its notebook."""
    release.write(release.bundle([SOLUTION.stem[:2]]), folder)
    shutil.copy(SOLUTION, folder / "notebooks")
    return folder


def run(command, folder, **variables):
    environment = testing.environment() | {"PYTHONPATH": str(folder)} | variables
    del environment["MLPROD_PROGRESS"]
    done = subprocess.run(
        command,
        cwd=folder / "notebooks",
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def verdicts(notebook):
    """What each check says first, such as "Exercise 0.1 · 4 of 4 points"."""
    checks = [cell for cell in notebook.cells if cell.metadata.get("mlprod", {}).get("check")]
    return [_plain(cell).strip().splitlines()[0] for cell in checks]


def _plain(cell):
    return "".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs)


def test_in_a_folder_with_spaces_and_other_letters_all_checks_pass_and_progress_is_kept(tmp_path):
    folder = course(tmp_path / "Cours été, 学 (2)")
    notebook = nbformat.reads(run([sys.executable, "-c", EXECUTE, SOLUTION.name], folder), 4)
    assert verdicts(notebook) == verdicts(nbformat.read(SOLUTION, 4))
    rows = json.loads((folder / "notebooks/.mlprod-progress.json").read_text(encoding="utf-8"))["exercises"]
    assert len(rows) == len(verdicts(notebook)) and all(row["passed"] for row in rows.values())


def test_offline_on_read_only_notebooks_and_without_a_home_all_checks_pass(tmp_path):
    be_alone()
    folder = course(tmp_path / "course")
    command = [*ALONE, READ_ONLY, str(folder), sys.executable, "-c", EXECUTE, SOLUTION.name]
    notebook = nbformat.reads(run(command, folder, HOME="/proc/nobody"), 4)
    assert verdicts(notebook) == verdicts(nbformat.read(SOLUTION, 4))
    said = [_plain(cell) for cell in notebook.cells if "outputs" in cell]
    assert sum("for this session only" in text for text in said) == 1, "said once, not after each check"
    assert "Read-only file system" in "".join(said)


FILL = """
import json, pathlib
from mlprod_helpers.lesson.progress import Progress
def attempt(exercise_id):
    with progress.change() as data:
        progress.exercise(data, exercise_id)["points"] = 1
progress, filler = Progress("progress.json"), pathlib.Path("filler")
attempt("1.1")
with filler.open("wb", buffering=0) as file:
    try:
        while file.write(bytes(4096)):
            pass
    except OSError:
        pass
attempt("1.2")
stored = list(json.loads(pathlib.Path("progress.json").read_text())["exercises"])
seen = list(progress.read()["exercises"])
drafts = [path.name for path in pathlib.Path().glob("*.tmp")]
filler.unlink()
attempt("1.3")
later = list(json.loads(pathlib.Path("progress.json").read_text())["exercises"])
print(json.dumps([stored, seen, drafts, later, progress.notice]))
"""


def test_on_a_disk_that_is_really_full_the_file_stays_whole_and_later_gets_everything(tmp_path):
    be_alone()
    command = [*ALONE, SMALL_DISK, str(tmp_path), sys.executable, "-c", FILL]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    stored, seen, drafts, later, notice = json.loads(done.stdout)
    assert (stored, seen, drafts, later) == (["1.1"], ["1.1", "1.2"], [], ["1.1", "1.2", "1.3"])
    assert "for this session only" in notice and "No space left" in notice


SAVE = """
import os, signal, sys
from mlprod_helpers.lesson.progress import Progress
progress = Progress("progress.json")
if len(sys.argv) > 2:
    setattr(os, sys.argv[2], lambda *arguments: os.kill(os.getpid(), signal.SIGKILL))
with progress.change() as data:
    progress.exercise(data, sys.argv[1])["points"] = 1
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills are POSIX")
@pytest.mark.parametrize("call", ["fsync", "chmod", "replace"])
def test_a_kernel_killed_in_the_middle_of_a_save_leaves_the_old_file_and_no_lock(tmp_path, call):
    def save(*arguments):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", SAVE, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, timeout=60).returncode

    def rows():
        return list(json.loads((tmp_path / "progress.json").read_text())["exercises"])

    assert save("1.1") == 0
    before = (tmp_path / "progress.json").read_bytes()
    assert save("1.2", call) == -signal.SIGKILL
    assert (tmp_path / "progress.json").read_bytes() == before
    (draft,) = tmp_path.glob("*.tmp")
    os.utime(draft, (0, 0))
    assert save("1.3") == 0 and rows() == ["1.1", "1.3"]
    assert not draft.exists(), "the half-written file of a process that ended is removed"


def test_the_wheel_alone_checks_an_exercise_in_an_empty_environment(tmp_path):
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("a wheel is built from a checkout")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=True)
    (site,) = (tmp_path / "env").glob("[lL]ib/**/site-packages")
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    # the dependencies, without the links in their folder that lead to this checkout
    others = Path(importlib.metadata.distribution("pandas").locate_file(""))
    (site / "dependencies.pth").write_text(f"{others}\n", encoding="utf-8")
    (python,) = (tmp_path / "env").glob("*/python")
    code = (
        "import mlprod_helpers; print(mlprod_helpers.__file__); from mlprod_helpers.lesson import Lesson; "
        "print(Lesson('00').check('0.1')); from mlprod_helpers.datasets import load_titles; print(len(load_titles())); "
        "from mlprod_tools import doctor; print(*doctor.check_packages(), *doctor.check_offline(), sep='\\n')"
    )
    without = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    environment = {key: value for key, value in testing.environment().items() if key not in without}
    said = subprocess.run(
        [python, "-c", code], cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8"
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith(str(site)) and "\n4284\n" in said.stdout
    assert "Exercise 0.1 · not attempted" in said.stdout
    assert "no pinned versions to compare" in said.stdout and "data files are here" in said.stdout
