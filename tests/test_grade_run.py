"""`mlprod grade` as a whole: the same marks in every way of running, whatever stops it, and nobody lost."""

import contextlib
import csv
import html
import io
import json
import os
import random
import signal
import subprocess
import sys
import time

import grade_class
import psutil
import pytest

from mlprod_tools.__main__ import main
from mlprod_tools.grade import ledger, marking, run, sandbox
from mlprod_tools.grade.marks import NOT_ISOLATED

WRONG = {
    "0.1": "def error_so_far(log, now):\n    return (log['label'] - log['prediction']).abs().mean()",
    "0.2": "def slow_pages(n_requests, slow_share):\n    return n_requests * slow_share",
    "0.3": 'terms = {"auc": "b", "p_value": "f", "p99": "a", "calibration": "h", "out_of_fold": "d"}',
}
ISOLATION = [] if not sandbox.why_not() else ["--not-isolated"]


def a_class(folder, count=6):
    """Learners who all hand in something else: full, half, nothing, wrong."""
    texts = [grade_class.notebook("00"), grade_class.notebook("00", 0.5), grade_class.notebook("00", 0)]
    texts.append(grade_class.with_answers("00", WRONG))
    for k in range(count):
        path = folder / f"learner{k:02d}" / "start.ipynb"
        path.parent.mkdir(parents=True)
        data = json.loads(texts[k % len(texts)])
        for cell in data["cells"]:
            if cell["id"] == "answer-0-2" and k % len(texts) != 2:
                cell["source"] = "".join(cell["source"]) + f"\n# {k}\nslow_pages.number = {k}\n"
        path.write_text(json.dumps(data))
    return folder


@pytest.fixture
def here(monkeypatch):
    """Without a sandbox, and counting what is marked: the tests that use it are about what stands around the marking."""
    marked = []

    def grade(submission, *arguments):
        marked.append(submission.learner)
        return grade_class.mark_here(submission, *arguments)

    monkeypatch.setattr(marking, "grade", grade)
    return marked


def grade(*arguments, status=0):
    words = [str(each) for each in arguments]
    said, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        assert main(["grade", *words]) == status, said.getvalue() + errors.getvalue()
    return said.getvalue() + errors.getvalue()


def marks(out):
    """learner -> what counts of the marks in a ledger."""
    _, everybody = ledger.read(out / "grades.jsonl")
    return {each.learner: each.to_dict() for each in everybody}


def files(out):
    """All reports: name -> content."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.suffix != ".jsonl"
    }


QUICK = ("--not-isolated", "--jobs", 1)


def test_one_command_makes_the_ledger_and_all_reports(tmp_path, here):
    said = grade(a_class(tmp_path / "in"), "-o", tmp_path / "out", *QUICK)
    assert "graded 6 of 6" in said and NOT_ISOLATED in said
    names = set(files(tmp_path / "out"))
    assert {
        "grades.csv",
        "moodle.csv",
        "canvas.csv",
        "class.html",
        "feedback/learner00.html",
        "gradescope/learner00.json",
    } <= names
    with open(tmp_path / "out" / "grades.csv", newline="") as file:
        found = list(csv.DictReader(file))
    points = [float(row["points"]) for row in found]
    assert points[:3] == [*points[4:], 0] == [9, 4, 0]
    assert 3 < points[3] < 5  # what a wrong answer gets right by luck hangs on the seed
    assert [row["isolated"] for row in found] == [NOT_ISOLATED] * 6


def test_the_same_seed_gives_the_same_files_in_any_order_and_by_any_number_of_shards(tmp_path, here):
    folder = a_class(tmp_path / "in")
    grade(folder, "-o", tmp_path / "one", "--seed", 5, *QUICK)
    for shard in ("3/3", "1/3", "2/3"):
        said = grade(folder, "-o", tmp_path / "parts", "--seed", 5, "--shard", shard, *QUICK)
        assert "merge" in said
    grade("merge", tmp_path / "parts")
    assert files(tmp_path / "one") == files(tmp_path / "parts")
    grade("merge", tmp_path / "parts", "-o", tmp_path / "elsewhere")
    assert files(tmp_path / "one") == files(tmp_path / "elsewhere")


def test_without_a_seed_one_is_drawn_and_kept_for_resume(tmp_path, here):
    folder = a_class(tmp_path / "in", 2)
    grade(folder, "-o", tmp_path / "a", *QUICK)
    grade(folder, "-o", tmp_path / "b", *QUICK)
    seeds = [ledger.read(tmp_path / name / "grades.jsonl")[0]["seed"] for name in ("a", "b")]
    assert seeds[0] != seeds[1]
    grade(folder, "-o", tmp_path / "a", "--resume", *QUICK)
    assert ledger.read(tmp_path / "a" / "grades.jsonl")[0]["seed"] == seeds[0]


def test_resume_grades_only_what_is_new_or_changed(tmp_path, here):
    folder = a_class(tmp_path / "in", 3)
    grade(folder, "-o", tmp_path / "out", *QUICK)
    assert here == ["learner00", "learner01", "learner02"]
    a_class(tmp_path / "more", 4)
    (tmp_path / "more" / "learner03").rename(folder / "learner03")
    (folder / "learner02" / "start.ipynb").write_text(grade_class.notebook("00"))
    del here[:]
    grade(folder, "-o", tmp_path / "out", "--resume", *QUICK)
    assert here == ["learner02", "learner03"]
    assert marks(tmp_path / "out")["learner02"]["marks"][0]["points"] == 2
    del here[:]
    grade(folder, "-o", tmp_path / "out", "--resume", *QUICK)
    assert here == []


def test_another_version_of_the_course_grades_anew(tmp_path, here, monkeypatch):
    folder = a_class(tmp_path / "in", 2)
    grade(folder, "-o", tmp_path / "out", *QUICK)
    monkeypatch.setattr(run, "course_version", lambda: "newer")
    grade(folder, "-o", tmp_path / "out", "--resume", *QUICK)
    assert len(here) == 4


def test_a_second_run_into_one_folder_is_refused_and_changes_nothing(tmp_path, here):
    folder = a_class(tmp_path / "in", 2)
    grade(folder, "-o", tmp_path / "out", *QUICK)
    before = (tmp_path / "out" / "grades.jsonl").read_bytes()
    assert "--resume" in grade(folder, "-o", tmp_path / "out", *QUICK, status=1)
    assert "another --seed" in grade(
        folder, "-o", tmp_path / "out", "--resume", "--seed", 1, *QUICK, status=1
    )
    assert (tmp_path / "out" / "grades.jsonl").read_bytes() == before


def test_a_grader_that_breaks_on_one_submission_says_so_and_resume_tries_again(tmp_path, here, monkeypatch):
    folder, whole = a_class(tmp_path / "in", 3), marking.grade

    def broken(submission, *arguments):
        if submission.learner == "learner01":
            raise RuntimeError("the sandbox is gone")
        return whole(submission, *arguments)

    monkeypatch.setattr(marking, "grade", broken)
    said = grade(folder, "-o", tmp_path / "out", *QUICK, status=1)
    assert "not graded: learner01: RuntimeError: the sandbox is gone" in said
    assert set(marks(tmp_path / "out")) == {"learner00", "learner02"}
    monkeypatch.setattr(marking, "grade", whole)
    grade(folder, "-o", tmp_path / "out", "--resume", *QUICK)
    assert len(marks(tmp_path / "out")) == 3


def test_lessons_that_were_asked_for_count_also_where_nobody_handed_them_in(tmp_path, here):
    folder = a_class(tmp_path / "in", 1)
    grade(folder, "-o", tmp_path / "out", "--lessons", "00-01", *QUICK)
    with open(tmp_path / "out" / "grades.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["points"], row["of"], row["lesson_01"]) == ("9", "39", "0")


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["in"], "-o OUT"),
        (["nowhere", "-o", "out"], "there is no nowhere"),
        (["in", "in", "-o", "out"], "give one folder"),
        (["in", "-o", "out", "--shard", "1/2"], "same --seed"),
        (["in", "-o", "out", "--shard", "3/2", "--seed", "1"], "from 1/8 to 8/8"),
        (["in", "-o", "out", "--lessons", "77"], "no lesson 77"),
        (["in", "-o", "out", "--backend", "dask"], "--scheduler"),
        (["merge"], "merge needs"),
        (["merge", "in"], "no ledger"),
        (["autograder", "x.tar"], "new zip"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(tmp_path, here, monkeypatch, arguments, reason):
    a_class(tmp_path / "in", 1)
    monkeypatch.chdir(tmp_path)
    said = grade(*arguments, *QUICK, status=1)
    assert reason in said
    assert "Traceback" not in said


def test_without_bwrap_it_refuses_and_says_what_to_do(tmp_path, here, monkeypatch):
    monkeypatch.setattr(sandbox, "why_not", lambda: "`bwrap` is not installed")
    said = grade(a_class(tmp_path / "in", 1), "-o", tmp_path / "out", status=1)
    assert "cannot be isolated here: `bwrap` is not installed" in said and "--not-isolated" in said
    assert not (tmp_path / "out").exists()


def test_merge_refuses_what_does_not_belong_together(tmp_path, here):
    folder = a_class(tmp_path / "in", 4)
    for shard, seed in (("1/2", 1), ("2/2", 2)):
        grade(folder, "-o", tmp_path / shard[0], "--shard", shard, "--seed", seed, *QUICK)
    assert "differ in the seed" in grade(
        "merge", tmp_path / "1", tmp_path / "2", "-o", tmp_path / "out", status=1
    )
    assert "shard 2/2 is missing" in grade("merge", tmp_path / "1", status=1)
    assert not (tmp_path / "out" / "grades.csv").exists()
    a_class(tmp_path / "more", 5)
    (tmp_path / "more" / "learner04").rename(folder / "learner04")
    grade(folder, "-o", tmp_path / "3", "--shard", "2/2", "--seed", 1, *QUICK)
    assert "or the class" in grade("merge", tmp_path / "1", tmp_path / "3", "-o", tmp_path / "out", status=1)
    assert "came or went" in grade(
        folder, "-o", tmp_path / "1", "--shard", "1/2", "--seed", 1, "--resume", *QUICK, status=1
    )


def test_a_hostile_class_is_graded_to_the_end(tmp_path, here):
    folder = a_class(tmp_path / "in", 1)
    names = [
        "=cmd|' &calc'!A1",
        "<script>alert(1)<",
        "a\nb",
        "\u202eana",
        "_9_assignsubmission_file_",
        "x" * 200,
    ]
    for name in names:
        (folder / name).mkdir()
        (folder / name / "06.ipynb").write_text(
            "[[[[" if "a" in name else '{"cells": [{"cell_type": "code", "source": "x"}]}'
        )
    grade(folder, "-o", tmp_path / "out", *QUICK)
    assert len(marks(tmp_path / "out")) == 7
    assert marks(tmp_path / "out")["learner00"]["marks"][0]["points"] == 2


def test_no_page_shows_an_answer(tmp_path, here):
    for learner, text in (
        ("ana", grade_class.notebook("00", 0)),
        ("bob", grade_class.with_answers("00", WRONG)),
    ):
        (tmp_path / "in" / learner).mkdir(parents=True)
        (tmp_path / "in" / learner / "x.ipynb").write_text(text)
    grade(tmp_path / "in", "-o", tmp_path / "out", *QUICK)
    solved = json.loads(grade_class.notebook("00"))
    code = "".join(
        "".join(cell["source"]) + "\n" for cell in solved["cells"] if cell["id"].startswith("answer-")
    )
    lines = [line.strip() for line in code.splitlines() if "return" in line or "terms = " in line]
    assert len(lines) == 3
    for name, content in files(tmp_path / "out").items():
        if name.endswith((".html", ".json")):
            assert not [line for line in lines if line in html.unescape(content.decode())], name


def test_the_progress_line_says_how_far_and_how_long():
    shown = run.Progress(4)
    shown._done = 1
    assert shown.text(100) == "graded 1 of 4 [#####...............], 5 min left"
    shown._done = 4
    assert shown.text(100) == "graded 4 of 4 [####################]"


# ------------------------------------------------------------------ with the real sandbox


def start(folder, out, *more):
    command = [
        sys.executable,
        "-m",
        "mlprod_tools",
        "grade",
        str(folder),
        "-o",
        str(out),
        "--seed",
        "11",
        *ISOLATION,
        *more,
    ]
    return subprocess.Popen(
        command,
        cwd=grade_class.ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process, seconds=300):
    _, said = process.communicate(timeout=seconds)
    assert process.returncode == 0, said
    return said


def lines_of(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_and_resume(folder, out, kills, total, rng):
    """Grade `folder` in spite of `kills` times `kill -9`, spread over the run. Returns the processes that were left over."""
    left = set()
    for k in range(kills):
        before = lines_of(out / "grades.jsonl")
        process = start(folder, out, *(["--resume"] if k else []), "--jobs", "2")
        family = [psutil.Process(process.pid)]
        goal = max(before, 1) + rng.randint(1, max(1, (total - before) // (kills - k + 1)))
        deadline = time.monotonic() + 120
        while (
            process.poll() is None and lines_of(out / "grades.jsonl") < goal and time.monotonic() < deadline
        ):
            with contextlib.suppress(psutil.NoSuchProcess):
                family = family[:1] + family[0].children(recursive=True)
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.4))
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()
        psutil.wait_procs(family, timeout=20)
        left |= {each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE}
        # what stood in the ledger stands there still
        assert lines_of(out / "grades.jsonl") >= before
    finish(start(folder, out, "--resume", "--jobs", "2"))
    return left


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="kills process trees as Linux has them")
def test_kills_lose_nobody_grade_nobody_twice_and_change_no_mark(tmp_path):
    """Two kills among 8 submissions; MLPROD_GRADE_KILLS=60,10 makes it 60 submissions and ten kills."""
    count, kills = (int(each) for each in os.environ.get("MLPROD_GRADE_KILLS", "8,2").split(","))
    folder = a_class(tmp_path / "in", count)
    finish(start(folder, tmp_path / "whole"), 600)
    left = kill_and_resume(folder, tmp_path / "killed", kills, count, random.Random(7))
    assert not left, "processes outlive the grader"
    _, everybody = ledger.read(tmp_path / "killed" / "grades.jsonl")
    learners = [each.learner for each in everybody]
    assert sorted(learners) == sorted(path.name for path in folder.iterdir()), (
        "nobody is lost, nobody graded twice"
    )
    assert marks(tmp_path / "killed") == marks(tmp_path / "whole")
    assert files(tmp_path / "killed") == files(tmp_path / "whole")


def test_marks_are_the_same_on_one_core_and_on_two(tmp_path):
    folder = a_class(tmp_path / "in", 4)
    for jobs in ("1", "2"):
        finish(start(folder, tmp_path / jobs, "--jobs", jobs))
    assert marks(tmp_path / "1") == marks(tmp_path / "2")
    points = [sum(mark["points"] for mark in each["marks"]) for each in marks(tmp_path / "1").values()]
    assert points[:3] == [9, 4, 0] and 3 < points[3] < 5
