"""The map of the course: what is done, where somebody is stuck, and what comes next by the prerequisites."""

from pathlib import Path

import pytest
import yaml
from stand_in_exercises import asks

from mlprod_helpers.lesson import contract, course, feedback
from mlprod_helpers.lesson.progress import empty, new_row
from mlprod_tools import __main__ as cli

ROOT = Path(__file__).resolve().parents[1]
NEEDS = {"00": (), "01": ("00",), "02": ("01",), "05": (), "06": ("05",)}


def made(number, needs):
    exercises = {}
    for k in (1, 2):

        @asks(f"{int(number)}.{k}", points=4)
        def check(answer, rng, expect):
            expect.true(answer, "yes")

        exercises[check.id] = check
    return contract.LessonContract(number, 1, exercises, "Rest.", f"Title {number}", needs)


@pytest.fixture(autouse=True)
def small_course(monkeypatch):
    lessons = {number: made(number, needs) for number, needs in NEEDS.items()}
    monkeypatch.setattr(contract, "lesson_ids", lambda: list(lessons))
    monkeypatch.setattr(contract, "exists", lambda lesson_id: lesson_id in lessons)
    monkeypatch.setattr(contract, "load", lambda lesson_id: lessons[lesson_id])


def progressed(**rows):
    """Progress with some rows: `e1_2=4` are four points in exercise 1.2, `e1_2=[1, 5]` one point after five answers."""
    data = empty()
    for key, value in rows.items():
        points, tries = value if isinstance(value, list) else (value, 1)
        data["exercises"][key[1:].replace("_", ".")] = new_row() | {
            "points": points,
            "passed": points == 4,
            "tries": [str(k) for k in range(tries)],
        }
    return data


def said(**rows):
    return repr(course.course_message(progressed(**rows)))


def marks(**rows):
    """Lesson -> the word before it."""
    return {text[:2]: mark for mark, text, _ in course.course_message(progressed(**rows)).rows}


def test_somebody_who_begins_is_sent_to_the_first_lesson():
    assert marks() == {"00": "ready", "01": "later", "02": "later", "05": "ready", "06": "later"}
    text = said()
    assert text.startswith("Your course · 0 of 40 points · 0 of 5 lessons done\n[...")
    assert "  later [..........] 02 Title 02 · 0 of 8 points, after lesson 01" in text
    assert text.endswith("Next: begin lesson 00 (Title 00) at exercise 0.1. You can also begin lesson 05.")


def test_half_of_the_points_open_the_lessons_that_need_it():
    assert marks(e0_1=3)["01"] == "later" and marks(e0_1=4)["01"] == "ready"
    text = said(e0_1=4)
    assert "begun [#####.....] 00 Title 00 · 4 of 8 points" in text
    assert "Next: begin lesson 01 (Title 01) at exercise 1.1. You can also begin lesson 05." in text


def test_what_was_begun_comes_before_what_is_new():
    assert "Next: go on with lesson 05 (Title 05) at exercise 5.1." in said(e0_1=4, e0_2=4, e5_1=2)


def test_a_lesson_may_be_begun_before_what_it_needs():
    assert marks(e2_1=1)["02"] == "begun"
    assert "after" not in next(line for line in said(e2_1=1).splitlines() if "02 Title" in line)


def test_where_somebody_is_stuck_is_said():
    assert "stuck" not in said(e0_1=[1, 2])
    assert "You seem to be stuck at 0.1 (3 different answers) and 5.2 (7 different answers)." in said(
        e0_1=[1, 3], e5_2=[0, 7]
    )
    assert "stuck" not in said(e0_1=[4, 9]), "passed in the end"


def test_what_is_left_is_finished_and_then_the_course_is_done():
    half = {f"e{n}_1": 4 for n in (0, 1, 2, 5, 6)}
    assert said(**half).endswith("Next: finish lesson 00 (Title 00) at exercise 0.2.")
    text = said(**half, **{f"e{n}_2": 4 for n in (0, 1, 2, 5, 6)})
    assert "40 of 40 points · 5 of 5 lessons done" in text and f"[{'#' * 40}] 100%" in text
    assert text.endswith("You have passed every exercise of the course.")


def test_a_copy_with_some_lessons_only_waits_for_no_others(monkeypatch):
    monkeypatch.setattr(contract, "lesson_ids", lambda: ["01", "06"])
    assert marks() == {"01": "ready", "06": "ready"}


def test_a_bar_is_full_at_the_end_only_and_says_nothing_to_a_screen_reader():
    message = feedback.Message("Title", share=0.999, rows=[("done", "text", 1)])
    assert repr(message).splitlines()[1] == f"[{'#' * 39}.] 99%"
    html = message._repr_html_()
    assert html.count('aria-hidden="true"') == 2 and "width:99%" in html and "width:100%" in html


def test_the_lessons_message_has_a_bar_for_its_points():
    text = repr(course.lesson_message(contract.load("00"), progressed(e0_1=2)))
    assert text.splitlines()[:2] == [
        "Lesson 00 · 2 of 8 points · 2 of 2 exercises still open",
        f"[{'#' * 10}{'.' * 30}] 25%",
    ]


# ------------------------------------------------------------------------------------------ `mlprod progress`


@pytest.fixture
def file(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLPROD_PROGRESS", raising=False)
    from mlprod_helpers.lesson.progress import FILE, write_whole

    (tmp_path / "notebooks").mkdir()
    write_whole(tmp_path / "notebooks" / FILE, progressed(e0_1=4, e5_1=1))
    return tmp_path / "notebooks" / FILE


def test_the_map_is_shown_in_a_terminal_from_above_the_notebooks(file, capsys):
    assert cli.main(["progress"]) == 0
    assert capsys.readouterr().out == repr(course.course_message(progressed(e0_1=4, e5_1=1))) + "\n"


def test_one_lesson_is_shown_exercise_by_exercise(file, capsys):
    assert cli.main(["progress", str(file), "--lesson", "5"]) == 0
    assert "begun 5.1 A stand-in · 1 of 4" in capsys.readouterr().out


def test_a_lesson_is_forgotten_and_the_old_file_stays(file, capsys):
    before = file.read_text()
    assert cli.main(["progress", "--reset", "05"]) == 0
    aside = f"{file.name}.before-reset-1"
    assert capsys.readouterr().out == f"Lesson 05 is reset. The old file is kept as {aside}.\n"
    assert '"5.1"' not in file.read_text() and '"0.1"' in file.read_text()
    assert file.with_name(aside).read_text() == before
    assert cli.main(["progress", "--reset"]) == 0
    assert '"0.1"' not in file.read_text() and "The whole course is reset." in capsys.readouterr().out


def test_a_file_or_lesson_that_is_not_there_is_named(file, capsys):
    assert cli.main(["progress", "none.json"]) == 1
    assert "there is no progress file none.json" in capsys.readouterr().err
    assert cli.main(["progress", "--lesson", "77"]) == 1
    assert "77" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------ the real course


def test_contract_and_header_of_each_lesson_agree(monkeypatch):
    monkeypatch.undo()
    for path in sorted((ROOT / "lessons").glob("*.py")):
        lines = path.read_text(encoding="utf-8").split("# ---\n")[1].splitlines()
        header = yaml.safe_load("\n".join(line[2:] for line in lines))["mlprod"]
        loaded = contract.load(header["lesson"])
        assert (loaded.title, list(loaded.needs)) == (header["title"], header["needs"]), path.name
