"""What it costs to grade a lesson, against nbgrader's autograde and Otter's: CPU seconds of all processes, at three sizes.

    .venv/bin/uv venv --python .venv/bin/python .venv-peers-grade
    .venv/bin/uv pip install --python .venv-peers-grade/bin/python -c constraints.txt -r benchmarks/requirements-grade.txt
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/bench_grade.py                    lesson 03; peers 2, 4, 8; ours 21, 81, 321
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/bench_grade.py --lesson 06 --answers-only
    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/bench_grade.py --course 50 --jobs 2     all lessons for 50 learners, time and memory

A third of the submissions is the solution, a third has every other answer, a third is untouched. Ours runs on one process in the
sandbox (`--jobs 1`), and starting its worker is counted. The peers run with `MLPROD_LIVE=no`; nbgrader's release of the assignment is
not counted, nor is Otter's making of its zip. Otter runs without a container, in one process for all submissions, and its tests call
the same checks. Both execute the whole notebook; `--answers-only` takes the lecture out of theirs, to show how much of it is that.
The exponent is the slope of log CPU over log size, both beyond a run with a single submission: 1 is linear.
"""

import argparse
import contextlib
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import nbformat
import numpy as np
from measured import record

from mlprod_helpers.lesson import contract
from mlprod_tools.grade import answers, ledger

ROOT = Path(__file__).resolve().parents[1]
PEER = ROOT / ".venv-peers-grade" / "bin" / "python"
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "MLPROD_PROGRESS": "memory",
    "MLPROD_LIVE": "no",
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
}

PEER_PATH = {"PATH": os.pathsep.join([str(PEER.parent), os.environ.get("PATH", "")])}


# what `mlprod grade` does, and how large it is when all is graded and the reports, which load all lessons, are not yet written;
# bwrap does not hand on what its processes took, so the worker says it
_SCRIPT = """
import time
import psutil
from mlprod_tools.grade import marking, run
write = run.write_reports
def write_reports(*arguments):
    print(psutil.Process().memory_info().rss)
    write(*arguments)
run.write_reports = write_reports
failed = run.grade({folder!r}, {out!r}, run.Options(seed=1, jobs={jobs}))
assert not failed, failed
print(time.process_time() + marking.worker_cpu())
"""


# as `otter run` does it, but for all submissions in one process, which spares it some seconds each
_OTTER = """
import sys
from pathlib import Path
from otter.api import grade_submission
total = 0
for path in sorted(Path("submitted").iterdir()):
    total += grade_submission(str(path), "autograder.zip", quiet=True).total
Path("points").write_text(str(total))
"""

_OTTER_TEST = """
from otter.test_files import test_case

OK_FORMAT = False
name = "q{number}"
points = {points}


@test_case(points={points})
def test(env):
    from mlprod_helpers.lesson import contract
    from mlprod_helpers.lesson.checking import check

    exercise = contract.load({lesson!r}).exercises[{exercise!r}]
    assert check(exercise, env).points == exercise.points
"""


def children_cpu():
    """CPU seconds of all processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def notebooks(lesson, n, answers_only=False):
    """`n` submissions of a lesson, as (file name, notebook)."""
    (name,) = (path.name for path in (ROOT / "notebooks").glob(f"{lesson}_*.ipynb"))
    solved = nbformat.read(ROOT / "solutions" / name, 4)
    right = {cell.id: cell.source for cell in solved.cells if cell.id.startswith("answer-")}
    for i in range(n):
        made = nbformat.read(ROOT / "notebooks" / name, 4)
        for j, cell in enumerate(each for each in made.cells if each.id in right):
            if i % 3 == 0 or (i % 3 == 1 and j % 2 == 0):
                cell.source = right[cell.id]
        if answers_only:
            made.cells = without_lecture(made.cells, lesson)
        yield name, made


def without_lecture(cells, lesson):
    """Answers, checks, the cell that makes `lesson`, and of the others only what answers need, in front of them."""
    code = [
        answers.Cell(i, cell.metadata.get("mlprod", {}).get("exercise", ""), cell.source)
        for i, cell in enumerate(cells)
        if cell.cell_type == "code"
    ]
    found = answers.find(code, contract.load(lesson).exercises.values(), lesson, None)
    needed = dict.fromkeys(text for answer in found for text in answer.needs)
    kept = [cell for cell in cells if cell.id.startswith(("answer-", "check-")) or "= Lesson(" in cell.source]
    return [*kept[:1], *map(nbformat.v4.new_code_cell, needed), *kept[1:]]


def of_ours(folder, lessons, n, jobs):
    """(CPU seconds, wall seconds, memory, points) of `mlprod grade`."""
    for lesson in lessons:
        for i, (name, made) in enumerate(notebooks(lesson, n)):
            place = folder / "submitted" / f"learner{i:04d}"
            place.mkdir(parents=True, exist_ok=True)
            nbformat.write(made, place / name)
    script = _SCRIPT.format(folder=str(folder / "submitted"), out=str(folder / "out"), jobs=jobs)
    begin = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", script], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    memory = _Memory(process.pid)
    said, took = process.stdout.read().split(), time.monotonic() - begin
    if process.wait():
        raise SystemExit("mlprod grade failed")
    memory.graded, used = int(said[0]) / 2**20, float(said[1])
    _, everybody = ledger.read(folder / "out" / ledger.NAME)
    return used, took, memory, sum(graded.points for graded in everybody)


class _Memory:
    """Watches a process: MB of it over time, and of all its processes together the most MB and the CPU seconds."""

    def __init__(self, pid):
        self.own, self.most_together, self.cpu, self.graded = [], 0.0, 0.0, 0.0
        self._pid = pid
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        import psutil

        try:
            process = psutil.Process(self._pid)
            while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                self.own.append(process.memory_info().rss / 2**20)
                together = used = 0.0
                for each in [process, *process.children(recursive=True)]:
                    with contextlib.suppress(psutil.Error):  # a job that has just ended
                        together += each.memory_full_info().pss  # what forks share is counted once
                        used += sum(each.cpu_times()[:4])  # with that of its children that have ended
                self.most_together = max(self.most_together, together / 2**20)
                self.cpu = max(self.cpu, used)
                time.sleep(2)
        except psutil.Error:
            return


def of_nbgrader(folder, lesson, n, answers_only):
    """(CPU seconds, points) of `nbgrader autograde`."""
    (folder / "source" / "task").mkdir(parents=True)
    name, source = next(notebooks(lesson, 3, answers_only))
    for cell in source.cells:
        if cell.id.startswith("answer-"):
            cell.source = "..."
    nbformat.write(source, folder / "source" / "task" / name)
    (folder / "nbgrader_config.py").write_text(
        "c = get_config()\nc.CourseDirectory.course_id = 'bench'\nc.ClearSolutions.enabled = False\n"
        "c.ExecutePreprocessor.timeout = 600\n"
    )
    _peer(folder, "-m", "nbgrader", "generate_assignment", "task")
    for i, (_, made) in enumerate(notebooks(lesson, n, answers_only)):
        place = folder / "submitted" / f"learner{i:04d}" / "task"
        place.mkdir(parents=True)
        nbformat.write(made, place / name)
    before = children_cpu()
    _peer(folder, "-m", "nbgrader", "autograde", "task")
    cpu = children_cpu() - before
    _peer(folder, "-m", "nbgrader", "export", "--to", str(folder / "grades.csv"))
    rows = [line.split(",") for line in (folder / "grades.csv").read_text().splitlines()]
    column = rows[0].index("score")
    return cpu, sum(float(row[column]) for row in rows[1:])


def of_otter(folder, lesson, n, answers_only):
    """(CPU seconds, points) of Otter's grading, without a container."""
    (folder / "tests").mkdir()
    for key, exercise in contract.load(lesson).exercises.items():
        number = key.replace(".", "_")
        text = _OTTER_TEST.format(number=number, points=exercise.points, lesson=lesson, exercise=key)
        (folder / "tests" / f"q{number}.py").write_text(text)
    _peer(folder, "-m", "otter", "generate", "--tests-dir", "tests", "--no-requirements", "--no-environment")
    (folder / "submitted").mkdir()
    for i, (_, made) in enumerate(notebooks(lesson, n, answers_only)):
        # its tests stand in for the notebook's own checks, so nothing is checked twice
        made.cells = [cell for cell in made.cells if not cell.id.startswith("check-")]
        nbformat.write(made, folder / "submitted" / f"learner{i:04d}.ipynb")
    before = children_cpu()
    _peer(folder, "-c", _OTTER)
    return children_cpu() - before, float((folder / "points").read_text())


def _peer(folder, *arguments):
    done = subprocess.run(
        [PEER, *arguments], cwd=folder, env=ENVIRONMENT | PEER_PATH, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)[:60]} failed:\n{done.stderr[-2000:]}")


def exponent(sizes, seconds):
    """The slope of log seconds over log sizes, beyond those of the first size, which is 1."""
    more = [(n - 1, used - seconds[0]) for n, used in zip(sizes, seconds, strict=True) if n > 1]
    return float(np.polyfit(*np.log(more).T, 1)[0])


PEERS = {"nbgrader autograde": of_nbgrader, "Otter": of_otter}


def compare(lesson, sizes, peer_sizes, answers_only):
    """Print what all cost, and how many times cheaper ours is."""
    ours = []
    for n in [1, *sizes]:
        with tempfile.TemporaryDirectory() as folder:
            cpu, wall, _, points = of_ours(Path(folder), [lesson], n, 1)
        ours.append(cpu)
        record(f"mlprod grade, lesson {lesson}", n, cpu)
        _tell("mlprod grade", lesson, n, cpu, points, f"{wall:.0f} s wall")
    each = (ours[-1] - ours[0]) / (sizes[-1] - 1)
    print(
        f"ours: exponent {exponent([1, *sizes], ours):.2f}; {ours[0] - each:.1f} s to start and {each:.3f} s for each"
    )
    for name, peer in PEERS.items() if peer_sizes else ():
        theirs = []
        for n in [1, *peer_sizes]:
            with tempfile.TemporaryDirectory() as folder:
                cpu, points = peer(Path(folder), lesson, n, answers_only)
            theirs.append(cpu)
            _tell(name, lesson, n, cpu, points)
        one = theirs[-1] / peer_sizes[-1]
        record(f"{name}, lesson {lesson}", exponent=exponent([1, *peer_sizes], theirs))
        print(f"{name}: exponent {exponent([1, *peer_sizes], theirs):.2f}")
        for n, cpu in zip(sizes, ours[1:], strict=True):
            record(f"a lesson graded by {name}, against ours", n, times_our_CPU_time=one / (cpu / n))
            print(f"ours with {n} submissions is {one / (cpu / n):.0f} times cheaper a lesson than {name}")


def _tell(name, lesson, n, cpu, points, more=""):
    parts = f"{n:4d} submissions, {cpu:7.1f} CPU s, {cpu / n:6.3f} each", more, f"{points:g} points"
    print(f"{name}, lesson {lesson}: {', '.join(filter(None, parts))}", flush=True)


def course(n, jobs, lessons):
    """Print what some lessons cost for a class of `n`, and for 500."""
    with tempfile.TemporaryDirectory() as folder:
        cpu, wall, memory, points = of_ours(Path(folder), lessons, n, jobs)
    first = max(memory.own[: len(memory.own) // 3 + 1])
    print(f"{n} learners, {len(lessons)} lessons, {jobs} processes: {wall:.0f} s wall, {points:g} points")
    cpu = cpu if jobs == 1 else memory.cpu  # of joblib's processes it is seen from outside, every two seconds
    print(f"{cpu:.0f} CPU s, {cpu / n / len(lessons):.3f} a graded lesson")
    print(
        f"memory of the parent: {first:.0f} MB in the first third, {memory.graded:.0f} MB when all is graded, "
        f"{max(memory.own):.0f} MB with the reports"
    )
    print(f"memory of all processes, what they share counted once: {memory.most_together:.0f} MB at most")
    print(f"projected for 500 learners: {wall / n * 500 / 60:.0f} min, {cpu / n * 500 / 60:.0f} min of CPU")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lesson", default="03")
    parser.add_argument("--sizes", type=int, nargs="+", default=[21, 81, 321])
    parser.add_argument("--peers", type=int, nargs="*", default=[2, 4, 8], help="sizes; none: ours alone")
    parser.add_argument("--answers-only", action="store_true", help="spare the peers the lecture")
    parser.add_argument("--course", type=int, metavar="N", help="all lessons, for N learners; no comparison")
    parser.add_argument("--lessons", nargs="+", metavar="00", help="with --course, these alone")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    if options.course:
        course(options.course, options.jobs, options.lessons or contract.lesson_ids())
    else:
        if options.peers and not PEER.exists():
            sys.exit("The peers are not installed. " + "\n".join(__doc__.splitlines()[2:4]))
        compare(options.lesson, options.sizes, options.peers, options.answers_only)


if __name__ == "__main__":
    main()
