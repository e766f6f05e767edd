"""The marks as other systems take them: `grades.csv`, Moodle, Canvas, Gradescope.

Sources, as of 2026: Moodle's offline grading worksheet and zip of feedback files (mod/assign/feedback/offline and .../file), its
gradebook import by CSV; Canvas's gradebook import (lib/gradebook_importer.rb); Gradescope's autograder specification. An exercise
that a person has to grade never counts as zero anywhere: the total is left open.
"""

import csv
import hashlib
import html
import io
import json
import re
import zipfile
from dataclasses import dataclass, field

from mlprod_helpers.lesson import contract
from mlprod_helpers.lesson.feedback import points_text
from mlprod_tools import zips
from mlprod_tools.build.notebook import write_text
from mlprod_tools.grade import submissions
from mlprod_tools.grade.marks import BY_HAND, NOT_ISOLATED

# text that a spreadsheet would take for a formula
_FORMULA = re.compile(r"^\s*[=+\-@\t\r\n|%]")


@dataclass
class Total:
    """One learner's points: by exercise and lesson, None where a person still has to grade."""

    learner: str
    path: str
    exercises: dict = field(default_factory=dict)
    lessons: dict = field(default_factory=dict)
    by_hand: tuple = ()
    notes: tuple = ()
    isolated: bool = True

    @property
    def points(self):
        return None if self.by_hand else sum(self.exercises.values())

    @property
    def points_so_far(self):
        return sum(each or 0 for each in self.exercises.values())


def lessons_of(run, everybody):
    """The lessons of a class: those that were asked for, else those that somebody handed in."""
    return list(run["lessons"]) or sorted({mark.lesson for graded in everybody() for mark in graded.marks})


def total_of(graded, lessons):
    """The Total of a Graded; a lesson that was not handed in earns nothing."""
    given = {mark.exercise: mark for mark in graded.marks}
    found = Total(graded.learner, graded.path, notes=graded.notes, isolated=graded.isolated)
    for lesson in lessons:
        points = []
        for key in contract.load(lesson).exercises:
            mark = given.get(key)
            points.append(0 if mark is None else mark.points)
            found.exercises[key] = points[-1]
        found.lessons[lesson] = None if None in points else sum(points)
    found.by_hand = tuple(key for key, points in found.exercises.items() if points is None)
    return found


def write(out, run, everybody):
    """Write all files for other systems into a folder.

    Parameters
    ----------
    out : Path
    run : dict
        Of the ledger's first line.
    everybody : callable
        `everybody()` iterates over the Graded of all learners, in order.
    """
    lessons = lessons_of(run, everybody)

    def totals():
        for graded in everybody():
            yield total_of(graded, lessons)

    write_text(out / "grades.csv", grades_csv(totals(), lessons))
    write_text(out / "moodle.csv", moodle_csv(totals, lessons))
    write_text(out / "canvas.csv", canvas_csv(totals(), lessons))
    for graded in everybody():
        text = json.dumps(gradescope(graded, lessons), indent=1, ensure_ascii=True) + "\n"
        write_text(out / "gradescope" / f"{file_name(graded.learner)}.json", text)


def file_name(learner):
    """A learner's name as a file's name: no other learner has it, on any system.

    >>> file_name("ana"), file_name("../Ana")
    ('ana', 'Ana-229dec')
    """
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,39}", learner) and learner not in _RESERVED:
        return learner
    plain = re.sub(r"[^A-Za-z0-9_]+", "-", learner).strip("-")[:40]
    return f"{plain}-{hashlib.sha256(learner.encode('utf-8', 'backslashreplace')).hexdigest()[:6]}".lstrip(
        "-"
    )


_RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{k}" for port in ("com", "lpt") for k in range(10))}


def cell(value):
    """A value as it may stand in a CSV that a spreadsheet opens: no formula, one line.

    >>> cell("=1+1"), cell(2.5), cell(None)
    ("'=1+1", '2.5', '')
    """
    if value is None:
        return ""
    if isinstance(value, int | float):
        return points_text(value)
    text = re.sub(r"[\r\n\x00]+", " ", str(value).encode("utf-8", "backslashreplace").decode())
    return f"'{text}" if _FORMULA.match(text) else text


def _csv(rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([cell(each) for each in row] for row in rows)
    return text.getvalue()


def possible(lessons):
    """The most points of some lessons."""
    return sum(contract.load(lesson).points for lesson in lessons)


# ------------------------------------------------------------------ for people


def grades_csv(totals, lessons):
    """One row a learner: total, each lesson, each exercise. What a person has to grade is empty, and named in `to_grade`."""
    exercises = [key for lesson in lessons for key in contract.load(lesson).exercises]
    head = [
        "learner",
        "points",
        "of",
        "to_grade",
        "isolated",
        *(f"lesson_{lesson}" for lesson in lessons),
        *exercises,
        "notes",
    ]
    rows = [head]
    for each in totals:
        rows.append(
            [
                each.learner,
                each.points,
                possible(lessons),
                " ".join(each.by_hand),
                "yes" if each.isolated else NOT_ISOLATED,
                *(each.lessons[lesson] for lesson in lessons),
                *(each.exercises[key] for key in exercises),
                " ".join(each.notes),
            ]
        )
    return _csv(rows)


# ------------------------------------------------------------------ Moodle


def moodle_csv(totals, lessons):
    """Moodle's offline grading worksheet where submissions came from Moodle, else a table for its gradebook import.

    `totals` is called once or twice. In a worksheet, a row without a grade leaves the grade in Moodle as it is.
    """
    if any(submissions.identity(each.path).system == "moodle" for each in totals()):
        return _csv(_worksheet(totals(), lessons))
    rows = [["Username", *(f"Lesson {lesson}" for lesson in lessons), "Total"]]
    rows += [[each.learner, *(each.lessons[lesson] for lesson in lessons), each.points] for each in totals()]
    return _csv(rows)


def _worksheet(totals, lessons):
    yield ["Identifier", "Full name", "Grade", "Maximum grade", "Last modified (grade)", "Feedback comments"]
    for each in totals:
        who = submissions.identity(each.path)
        if who.system == "moodle":
            comment = html.escape(comment_of(each, lessons))
            yield [f"Participant {who.id}", who.name, each.points, possible(lessons), "", comment]


def comment_of(total, lessons):
    """One line on a learner's points."""
    parts = [
        f"Lesson {lesson}: {_points_or_open(total.lessons[lesson])} of {contract.load(lesson).points} points."
        for lesson in lessons
    ]
    if total.by_hand:
        parts.append(f"Exercises that a person still grades: {', '.join(total.by_hand)}.")
    if not total.isolated:
        parts.append(f"{NOT_ISOLATED}.")
    return " ".join(parts)


def _points_or_open(points):
    return "open" if points is None else points_text(points)


def moodle_feedback(out, pages):
    """Write the zip that Moodle takes by "Upload multiple feedback files in a zip".

    Parameters
    ----------
    out : Path
    pages : iterable of (Graded, text)

    Returns
    -------
    bool
        Whether there was anybody of Moodle; else there is no file.
    """
    path = out / "moodle_feedback.zip"
    draft = out / ".moodle_feedback.zip.new"
    n_pages = 0
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        for graded, text in pages:
            who = submissions.identity(graded.path)
            if who.system == "moodle":
                # Moodle reads the number between the first two underscores
                name = re.sub(r"[^\w -]|_", " ", submissions.label(who.name)).strip(" .") or "Participant"
                entry = zips.entry(f"{name}_{who.id}_assignsubmission_file/feedback.html")
                archive.writestr(entry, text)
                n_pages += 1
    if n_pages:
        draft.replace(path)
    else:
        draft.unlink()
        path.unlink(missing_ok=True)
    return bool(n_pages)


# ------------------------------------------------------------------ Canvas


def canvas_csv(totals, lessons):
    """Canvas's gradebook import: one assignment a lesson, found by its title, else made or chosen on import.

    Learners of a Canvas download have their number in the column ID; others are found by their login.
    """
    rows = [
        [
            "Student",
            "ID",
            "SIS User ID",
            "SIS Login ID",
            "Section",
            *(f"Lesson {lesson}" for lesson in lessons),
        ],
        ["    Points Possible", "", "", "", "", *(contract.load(lesson).points for lesson in lessons)],
    ]
    for each in totals:
        who = submissions.identity(each.path)
        is_known = who.system == "canvas" and who.id.isdigit()
        about = [who.name, who.id, "", "", ""] if is_known else [each.learner, "", "", each.learner, ""]
        rows.append([*about, *(each.lessons[lesson] for lesson in lessons)])
    return _csv(rows)


# ------------------------------------------------------------------ Gradescope


def gradescope(graded, lessons):
    """One learner's `results.json` for Gradescope: a test for each exercise. One that a person has to grade has no score."""
    given = {mark.exercise: mark for mark in graded.marks}
    total = total_of(graded, lessons)
    tests = []
    for lesson in lessons:
        for key, exercise in contract.load(lesson).exercises.items():
            mark = given.get(key)
            test = {
                "number": key,
                "name": exercise.title,
                "output": _output(mark),
                "output_format": "text",
                "visibility": "visible",
            }
            if mark is None or mark.points is not None:
                points = mark.points if mark else 0
                test |= {"score": points, "max_score": exercise.points}
                test["status"] = "passed" if points == exercise.points else "failed"
            tests.append(test)
    words = [*graded.notes]
    if total.by_hand:
        words.append(f"Exercises that a person still grades: {', '.join(total.by_hand)}.")
    return {
        "score": total.points_so_far,
        "output": "\n".join(_plain(each) for each in words) or "All exercises were graded.",
        "output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
        "extra_data": {"isolated": graded.isolated, "key": graded.key},
    }


def _output(mark):
    if mark is None:
        return "This lesson is not in the submission."
    return _plain("\n".join([mark.feedback_text, *mark.notes]))


def _plain(text):
    """Text that can be shown everywhere."""
    return (
        text.encode("utf-8", "backslashreplace")
        .decode()
        .replace("\r\n", "\n")
        .replace("\r", "\n")
        .replace("\0", "")
    )


def is_by_hand(mark):
    return mark.outcome == BY_HAND or mark.points is None
