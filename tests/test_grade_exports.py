"""What other systems take: each file is read here as its system reads it, by the documentation of that system."""

import contextlib
import csv
import io
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import grade_class
import psutil
import pytest
from stand_in_service import until

from mlprod_helpers.lesson import contract
from mlprod_tools.grade import autograder, exports, reports, sandbox
from mlprod_tools.grade.marks import BY_HAND, MISSING, NOT_ISOLATED, Graded, Mark

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema comes with the extra `dev`")
LESSON = contract.load("06")
MOST = LESSON.points
RUN = {"seed": 1, "isolated": True, "lessons": ["06"], "course": "x"}
HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "  =1",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a,b\"c'd",
    "../../etc/passwd",
    "CON",
    "x" * 300,
    "\ud800",
    "é中\u202e",
]


def mark(exercise, points, outcome="passed", **more):
    words = {
        "feedback_text": f"Exercise {exercise} · {outcome}",
        "feedback_html": f"<div>Exercise {exercise}</div>",
    }
    return Mark("06", exercise, points, LESSON.exercises[exercise].points, outcome, **words | more)


def full(learner, path=None, **more):
    marks = tuple(mark(key, each.points) for key, each in LESSON.exercises.items())
    return Graded(learner, path or learner, "key", more.pop("marks", marks), **more)


def open_one(learner, path=None):
    """Somebody of whom one exercise is for a person to grade."""
    marks = tuple(
        mark(key, None, BY_HAND, fault="ValueError: oh") if key == "6.3" else mark(key, each.points)
        for key, each in LESSON.exercises.items()
    )
    return full(learner, path, marks=marks)


def rows(text):
    return list(csv.reader(io.StringIO(text)))


def table(text):
    return list(csv.DictReader(io.StringIO(text)))


def written(tmp_path, *everybody, run=RUN):
    exports.write(tmp_path, run, lambda: iter(everybody))
    return {
        path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8")
        for path in tmp_path.rglob("*")
        if path.is_file()
    }


# ------------------------------------------------------------------ grades.csv


def test_grades_csv_has_a_row_for_everybody_and_a_column_for_each_exercise(tmp_path):
    marks = (mark("6.1", 1.5, "partly"), mark("6.2", 4))
    found = table(written(tmp_path, full("ana"), full("bob", marks=marks, notes=("Said.",)))["grades.csv"])
    assert [row["learner"] for row in found] == ["ana", "bob"]
    assert found[0]["points"] == found[0]["of"] == found[0]["lesson_06"] == str(MOST)
    assert (found[1]["points"], found[1]["6.1"], found[1]["6.3"], found[1]["notes"]) == (
        "5.5",
        "1.5",
        "0",
        "Said.",
    )


def test_what_a_person_has_to_grade_is_nowhere_a_zero(tmp_path):
    files = written(
        tmp_path, open_one("ana", "Ana_1_assignsubmission_file_"), open_one("bob", "bob_2_3_x.ipynb")
    )
    for row in table(files["grades.csv"]):
        assert (row["points"], row["lesson_06"], row["6.3"], row["to_grade"]) == ("", "", "", "6.3")
    assert table(files["moodle.csv"])[0]["Grade"] == ""
    assert table(files["canvas.csv"])[2]["Lesson 06"] == ""
    for name in ("ana", "bob"):
        result = json.loads(files[f"gradescope/{name}.json"])
        (test,) = [each for each in result["tests"] if each["number"] == "6.3"]
        assert "score" not in test and "max_score" not in test
        assert "6.3" in result["output"]


def test_without_isolation_every_file_says_so(tmp_path):
    marks = full("ana").marks
    files = written(
        tmp_path,
        full("ana", "Ana_1_assignsubmission_file_", marks=marks, notes=(NOT_ISOLATED,), isolated=False),
    )
    assert table(files["grades.csv"])[0]["isolated"] == NOT_ISOLATED
    assert NOT_ISOLATED in files["moodle.csv"]
    assert NOT_ISOLATED in json.loads(files["gradescope/ana.json"])["output"]


def test_no_cell_is_a_formula_and_every_name_survives(tmp_path):
    files = written(tmp_path, *(full(name, notes=(name,)) for name in HOSTILE))
    for name, text in files.items():
        if name.endswith(".csv"):
            cells = [cell for row in rows(text) for cell in row]
            assert not [cell for cell in cells if re.match(r"\s*[=+\-@|%]", cell)]
            assert not [cell for cell in cells if "\n" in cell or "\r" in cell]
    found = [row["learner"] for row in table(files["grades.csv"])]
    assert len(found) == len(HOSTILE)
    assert found[0] == "'" + HOSTILE[0]


def test_file_names_are_harmless_and_differ(tmp_path):
    names = [*HOSTILE, "ana", "Ana", "ANA", "a/b", "a\\b", "a b", "a-b", ".", "..", "", "con"]
    files = [exports.file_name(name) for name in names]
    assert len({name.lower() for name in files}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,60}", name) for name in files)
    assert "con" not in files
    assert exports.file_name("ana") == "ana"


# ------------------------------------------------------------------ Moodle


def offline_import(text, enrolled, most):
    """What Moodle's offline grading worksheet import does with a file: participant -> grade.

    After mod/assign/feedback/offline: importgradeslib.php finds columns by their exact names, locallib.php skips rows.
    """
    head, *body = rows(text)
    at = {name: head.index(name) for name in ("Identifier", "Grade", "Last modified (grade)")}
    assert "Feedback comments" in head
    grades = {}
    for row in body:
        identifier = int(row[at["Identifier"]][len("Participant ") :])
        grade = row[at["Grade"]]
        if identifier in enrolled and grade != "" and 0 <= float(grade) <= most:
            grades[identifier] = float(grade)
    return grades


def test_moodle_takes_the_worksheet(tmp_path):
    files = written(
        tmp_path,
        full("Ana (11)", "Ana Alvarez_11_assignsubmission_file_"),
        full("Bo (12)", "Bo Li_12_assignsubmission_file_06.ipynb", marks=(mark("6.1", 1.5, "partly"),)),
        open_one("Cy (13)", "Participant_13_assignsubmission_file"),
        full("stray"),
    )
    assert offline_import(files["moodle.csv"], {11, 12, 13}, MOST) == {11: MOST, 12: 1.5}
    assert [row["Full name"] for row in table(files["moodle.csv"])] == ["Ana Alvarez", "Bo Li", "Participant"]


def test_without_a_moodle_download_its_gradebook_import_has_a_column_to_map(tmp_path):
    found = table(written(tmp_path, full("ana"), full("bob"))["moodle.csv"])
    assert found[0] == {"Username": "ana", "Lesson 06": str(MOST), "Total": str(MOST)}


def feedback_import(archive, participants):
    """What "Upload multiple feedback files in a zip" does: participant -> file name. After mod/assign/feedback/file/importziplib.php."""
    found = {}
    for path in archive.namelist():
        parts = path.split("/")
        while parts:
            info = parts.pop(0).split("_", 4)
            if len(info) < 4 or not info[1].isdigit() or int(info[1]) not in participants:
                continue
            assert (info[2], info[3]) == ("assignsubmission", "file")
            parts.insert(0, info[4] if len(info) == 5 else "")
            found[int(info[1])] = "/".join(parts).strip("/")
            break
    return found


def test_moodle_takes_the_zip_of_feedback_pages(tmp_path):
    everybody = [
        full("Ana (11)", "Ana Alvarez_11_assignsubmission_file_"),
        full("Bo (12)", "B_o ../<L>i_12_assignsubmission_file_06.ipynb"),
        full("stray"),
    ]
    reports.write(tmp_path, RUN, lambda: iter(everybody))
    with zipfile.ZipFile(tmp_path / "moodle_feedback.zip") as archive:
        assert feedback_import(archive, {11, 12}) == {11: "feedback.html", 12: "feedback.html"}
        assert not [name for name in archive.namelist() if ".." in name or name.startswith("/")]
        assert b"35 of 35 points" in archive.read(archive.namelist()[0])
    reports.write(tmp_path, RUN, lambda: iter(everybody[2:]))
    assert not (tmp_path / "moodle_feedback.zip").exists()


# ------------------------------------------------------------------ Canvas


def gradebook_import(text, students, logins):
    """What Canvas's gradebook import does with a file: (assignment, user) -> grade. After lib/gradebook_importer.rb."""
    head, possible, *body = rows(text)
    assert len(head) > 3 and "Student" in head[0] and "ID" in head[1]
    n_about = 3
    if re.search(r"SIS\s+User\s+ID", head[2]) and re.search(r"SIS\s+Login\s+ID", head[3]):
        n_about += 2
    assert "Section" in head[n_about - 1], "the last column about the student"
    others = re.compile(
        "Current Score|Current Points|Final Score|Final Points|Final Grade|Current Grade|Override"
    )
    assignments = [name for name in head[n_about:] if not others.search(name)]
    assert "Points Possible" in possible[0]
    grades = {}
    for row in body:
        user = int(row[1]) if row[1] and int(row[1]) in students else logins.get(row[3])
        assert user is not None, f"a new student would be made of {row[0]}"
        for name in assignments:
            if row[head.index(name)].strip():
                grades[name, user] = float(row[head.index(name)])
    return {name: float(possible[head.index(name)]) for name in assignments}, grades


def test_canvas_takes_its_gradebook_file(tmp_path):
    files = written(
        tmp_path,
        full("alvarezana (77)", "alvarezana_LATE_77_4711_06.ipynb"),
        full("ana.alvarez", "ana.alvarez"),
        open_one("li (78)", "li_78_4712_06.ipynb"),
    )
    assignments, grades = gradebook_import(files["canvas.csv"], {77, 78}, {"ana.alvarez": 5})
    assert assignments == {"Lesson 06": MOST}
    assert grades == {("Lesson 06", 77): MOST, ("Lesson 06", 5): MOST}


# ------------------------------------------------------------------ Gradescope

VISIBILITY = {"enum": ["hidden", "after_due_date", "after_published", "visible"]}
FORMAT = {"enum": ["text", "html", "simple_format", "md", "ansi"]}
# gradescope-autograders.readthedocs.io, "Autograder Specifications", output format
RESULTS = {
    "type": "object",
    "additionalProperties": False,
    "required": ["tests"],
    "properties": {
        "score": {"type": "number"},
        "execution_time": {"type": "number"},
        "output": {"type": "string"},
        "output_format": FORMAT,
        "test_output_format": FORMAT,
        "test_name_format": FORMAT,
        "visibility": VISIBILITY,
        "stdout_visibility": VISIBILITY,
        "extra_data": {"type": "object"},
        "leaderboard": {"type": "array"},
        "tests": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "score": {"type": "number"},
                    "max_score": {"type": "number"},
                    "status": {"enum": ["passed", "failed"]},
                    "name": {"type": "string"},
                    "name_format": FORMAT,
                    "number": {"type": "string"},
                    "output": {"type": "string"},
                    "output_format": FORMAT,
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "visibility": VISIBILITY,
                    "extra_data": {"type": "object"},
                },
            },
        },
    },
}


@pytest.mark.parametrize(
    "graded",
    [full("ana"), open_one("ana"), full("ana", marks=(mark("6.1", 0, MISSING),)), full("ana", marks=())],
)
def test_gradescope_takes_the_results(tmp_path, graded):
    text = written(tmp_path, graded)["gradescope/ana.json"]
    result = json.loads(text)
    jsonschema.validate(result, RESULTS)
    assert result["score"] == sum(test.get("score", 0) for test in result["tests"])
    assert [test["number"] for test in result["tests"]] == list(LESSON.exercises)
    assert all(test["output_format"] == "text" for test in result["tests"]), (
        "what learners wrote is shown as text"
    )
    assert "\r" not in text


def test_the_autograder_holds_its_scripts_at_the_root_and_the_course(tmp_path):
    autograder.write(tmp_path / "a.zip", ["05", "06"], seed=42)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        names = archive.namelist()
        modes = {info.filename: stat.S_IMODE(info.external_attr >> 16) for info in archive.infolist()}
        run = archive.read("run_autograder").decode()
        archive.extractall(tmp_path / "source")
    assert modes["setup.sh"] == modes["run_autograder"] == 0o755
    assert {"course/pyproject.toml", "course/constraints.txt", "course/mlprod_tools/grade/worker.py"} <= set(
        names
    )
    assert not [
        name
        for name in names
        if name.startswith(("course/solutions", "course/lessons")) or "__pycache__" in name
    ]
    assert '"--seed", "42"' in run and '"--lessons", "05,06"' in run
    for script in ("setup.sh", "run_autograder"):
        assert (tmp_path / "source" / script).read_text().startswith("#!/usr/bin/env bash\n")
        subprocess.run(["bash", "-n", str(tmp_path / "source" / script)], check=True)


@pytest.fixture
def gradescope(tmp_path):
    """The script as Gradescope runs it, with its paths moved here: a function that runs it, with bwrap or without."""
    script = autograder.scripts(["00"], 3)["run_autograder"].replace(
        "/autograder", str(tmp_path / "autograder")
    )
    for name in ("results", "submission"):
        (tmp_path / "autograder" / name).mkdir(parents=True)
    (tmp_path / "run_autograder").write_text(script.replace("/opt/course/bin/python", sys.executable))

    def run(has_bwrap=True):
        path = os.environ["PATH"] if has_bwrap else "/nowhere"
        script = f"PATH={path} exec -a run_autograder /bin/bash {tmp_path / 'run_autograder'}"
        if not has_bwrap:  # the script's own tools are found all the same
            tools = tmp_path / "tools"
            tools.mkdir()
            for tool in ("chmod", "mktemp", "mkdir", "cp", "rm"):
                (tools / tool).symlink_to(shutil.which(tool))
            script = script.replace("/nowhere", str(tools))
        done = subprocess.run(
            ["bash", "-c", script], cwd=tmp_path / "autograder", capture_output=True, text=True
        )
        place = tmp_path / "autograder" / "results" / "results.json"
        return done, json.loads(place.read_text()) if place.exists() else None

    return run


@pytest.mark.parametrize("has_bwrap", [True, False])
def test_gradescopes_script_grades_all_that_is_handed_in_as_one_learners(tmp_path, gradescope, has_bwrap):
    submission = tmp_path / "autograder" / "submission"
    (submission / "my homework (2).ipynb").write_text(grade_class.notebook("00"))
    (submission / "notes").mkdir()
    (submission / "notes" / "more.ipynb").write_text("no notebook")
    (submission / "=1+1.ipynb").write_text(grade_class.notebook("00", 0))
    has_bwrap = has_bwrap and not sandbox.why_not()
    done, results = gradescope(has_bwrap)
    assert done.returncode == 0, done.stdout + done.stderr
    jsonschema.validate(results, RESULTS)
    assert results["score"] == contract.load("00").points
    assert (NOT_ISOLATED in results["output"]) is not has_bwrap
    assert ("bwrap" in done.stdout) is not has_bwrap
    (said,) = re.findall(r"^(\S+)/out: grades.csv", done.stdout, re.MULTILINE)
    assert not Path(said).exists()


def test_a_failure_of_the_autograder_is_gradescopes_to_report_and_no_zero(tmp_path, gradescope):
    (tmp_path / "autograder" / "submission").rmdir()
    done, results = gradescope()
    assert done.returncode and results is None


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become somebody else"
)
def test_without_a_sandbox_roots_learners_run_as_a_user_without_rights(tmp_path, monkeypatch):
    """As in Gradescope's container, where code that stays root could read the checks and write its own results."""
    monkeypatch.setattr(sandbox, "_others_can_read_python", lambda: True)
    secret = tmp_path / "results"
    secret.mkdir(mode=0o700)
    source = f"""
import os
x = [os.getuid() != 0, os.geteuid() != 0, os.getgroups()]
for attempt in (lambda: os.listdir({str(secret)!r}), lambda: open({str(secret / "results.json")!r}, "w"), lambda: os.setuid(0)):
    try:
        attempt(); x.append(True)
    except OSError:
        x.append(False)
if not os.fork():
    os.setsid()
    if not os.fork():
        while True: pass
    os._exit(0)
"""
    with contextlib.closing(sandbox.Sandbox(isolated=False)) as worker:
        user = worker._options()["user"]
        with worker.job() as job:
            asked = {"do": "begin", "needs": [], "source": source, "kinds": {"x": None}}
            reply = job.ask(asked | {"seconds": 2.0, "setup": 8.0, "dice": 1}, 60)
        assert sandbox.decode(reply["names"]["x"]["value"]) == [True, True, [], False, False, False]
        # what left its group is ended too; a killed process ends when it is next on a core
        until(lambda: not _runs_as(user), 10)


def _runs_as(user):
    return [
        each
        for each in psutil.process_iter(["uids", "status"])
        if each.info["uids"] and each.info["uids"].real == user and each.info["status"] != "zombie"
    ]


# ------------------------------------------------------------------ pages


def pages(tmp_path, *everybody, run=RUN):
    reports.write(tmp_path, run, lambda: iter(everybody))
    return {
        path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8")
        for path in tmp_path.rglob("*.html")
    }


def test_a_learners_page_shows_points_feedback_and_notes(tmp_path):
    marks = (
        mark("6.1", 1, "partly", feedback_html="<div>not yet</div>", notes=("The last one counts.",)),
        mark("6.2", None, BY_HAND),
    )
    page = pages(tmp_path, full("ana", marks=marks, notes=("`<x>.ipynb` is no zip.",)))["feedback/ana.html"]
    for words in (
        "1 of 35 points so far",
        "<div>not yet</div>",
        "The last one counts.",
        "<code>&lt;x&gt;.ipynb</code> is no zip",
        "A person still grades 6.2",
    ):
        assert words in page
    assert NOT_ISOLATED not in page


def test_nothing_of_a_learner_is_markup_on_any_page(tmp_path):
    everybody = []
    for name in HOSTILE:
        bad = mark("6.1", None, BY_HAND, fault=name, notes=(name,), misconceptions=(name,))
        everybody.append(full(name, marks=(bad,), notes=(name,)))
    found = pages(tmp_path, *everybody)
    assert len(found) == len(HOSTILE) + 1
    for page in found.values():
        assert "<script" not in page and "<img" not in page
        assert "default-src 'none'" in page, "the browser itself runs nothing on it"
        page.encode()


def test_without_isolation_every_page_says_so(tmp_path):
    found = pages(tmp_path, full("ana", notes=(NOT_ISOLATED,), isolated=False), run=RUN | {"isolated": False})
    assert len(found) == 2 and all(NOT_ISOLATED in page for page in found.values())


def test_the_class_page_counts_outcomes_misconceptions_and_faults(tmp_path):
    wrong = next(iter(LESSON.exercises["6.1"].misconceptions))
    everybody = [
        full("ana"),
        full("bob", marks=(mark("6.1", 0, "not yet", misconceptions=(wrong.name,)),)),
        full("cy", marks=(mark("6.1", 0, "not yet", misconceptions=(wrong.name,)),)),
        open_one("dora"),
    ]
    found = reports.summary(everybody, ["06"])
    assert found.outcomes["6.1"] == {"passed": 2, "not yet": 2}
    assert found.outcomes["6.3"] == {"passed": 1, MISSING: 2, BY_HAND: 1}
    assert found.misconceptions == {("6.1", wrong.name): 2}
    page = pages(tmp_path, *everybody)["class.html"]
    assert "4 learners" in page and "ValueError: oh" in page and "dora" in page
    assert "<td>dora</td><td>6.3</td><td>the check broke</td>" in page
    assert page.count("<svg role='img' aria-label=") == 2
    assert wrong.text.split("`")[0].replace("'", "&#x27;").replace('"', "&quot;")[:30] in page


def test_a_class_of_nobody_who_handed_in_anything_still_has_its_pages(tmp_path):
    empty = full("ana", marks=(), notes=("No notebook was found.",))
    assert "No notebook was found." in pages(tmp_path, empty, run=RUN | {"lessons": []})["class.html"]
    files = written(Path(tmp_path / "x"), empty, run=RUN | {"lessons": []})
    assert table(files["grades.csv"])[0]["points"] == "0"
