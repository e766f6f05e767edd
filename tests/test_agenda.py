"""A workshop's plan fits, has breaks, and says what to prepare and what to leave out."""

import datetime

import pytest

from mlprod_tools import __main__, agenda
from mlprod_tools.agenda import About


def lesson(number, full=90, express=45, needs=(), topics=("drift",)):
    return About(number, f"Lesson {number}", full, express, needs, topics, ("say why, and when",))


@pytest.fixture
def known():
    made = [
        lesson("00", 25, 25, topics=()),
        lesson("01", needs=("00",)),
        lesson("02", needs=("01",)),
        lesson("05", topics=("deployment",)),
        lesson("06", needs=("05",), topics=("deployment",)),
    ]
    return {about.lesson: about for about in made}


@pytest.mark.parametrize("minutes", [30, 60, 90, 120, 180, 240, 300, 480])
def test_a_plan_never_takes_longer_than_there_is(known, minutes):
    plan = agenda.make(known, minutes)
    ends = [row.begin + row.minutes for row in plan.rows]
    assert ends[-1] + plan.spare == minutes and plan.spare >= 0
    assert [row.begin for row in plan.rows] == [0, *ends[:-1]]


def test_nobody_works_much_longer_than_an_hour_without_a_break(known):
    worked = 0
    for row in agenda.make(known, 480).rows:
        worked = 0 if row.what == "Break" else worked + row.minutes
        assert worked <= 75


def test_what_does_not_fit_is_refused_with_what_would(known):
    with pytest.raises(
        ValueError, match=r"155 minutes with breaks, 65 too many; in 90 minutes fit --lessons 01$"
    ):
        agenda.make(known, 90, ["01", "02", "05"])
    with pytest.raises(ValueError, match="the shortest of them takes 45 minutes"):
        agenda.make(known, 30, ["01"])
    with pytest.raises(ValueError, match="too short for any lesson"):
        agenda.make(known, 10)


def test_time_that_is_left_goes_to_full_paths_from_the_first_on(known):
    plan = agenda.make(known, 160, ["05", "06"])
    assert [row.what for row in plan.rows if row.what != "Break"] == [
        "05 Lesson 05, full path, first half",
        "05 Lesson 05, full path, second half",
        "06 Lesson 06, express path",
    ]
    assert plan.cuts[0] == "05 Lesson 05: express instead of full path, 45 minutes"


def test_what_is_needed_and_not_in_the_plan_is_work_for_before(known):
    assert [each.lesson for each in agenda.make(known, 60, ["02"]).before] == ["00", "01"]
    assert agenda.make(known, 60, ["05"]).before == []


def test_topics_choose_lessons_and_an_unknown_one_is_named(known):
    assert agenda._wanted(known, "", "deployment") == ["05", "06"]
    with pytest.raises(ValueError, match="no topic cooking; the topics are deployment, drift"):
        agenda._wanted(known, "", "cooking")
    with pytest.raises(ValueError, match="not both"):
        agenda._wanted(known, "01", "drift")


def test_a_calendar_has_an_event_a_row_and_lines_of_75_bytes(known):
    start = datetime.datetime(2027, 3, 1, 9, 0)
    plan = agenda.make(known, 240, ["01", "02"])
    text = agenda.as_ics(plan, start)
    assert text.count("BEGIN:VEVENT") == len(plan.rows) and text == agenda.as_ics(plan, start)
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    assert (
        "DTSTART:20270301T090000\r\n" in text
        and "SUMMARY:01 Lesson 01\\, full path\\, first half\r\n" in text
    )
    assert "DESCRIPTION:say why\\, and when\r\n" in text
    uids = [line for line in text.split("\r\n") if line.startswith("UID")]
    assert len(set(uids)) == len(plan.rows)


def test_the_course_itself_makes_plans_in_each_form(capsys):
    for form in ("text", "markdown", "ics"):
        assert (
            __main__.main(
                [
                    "agenda",
                    "--minutes",
                    "240",
                    "--topics",
                    "drift",
                    "--format",
                    form,
                    "--start",
                    "2027-03-01T09:00",
                ]
            )
            == 0
        )
        said = capsys.readouterr().out
        assert "Drift types" in said and ("09:00" in said or "T090000" in said)
    assert __main__.main(["agenda", "--minutes", "180", "--format", "ics"]) == 1
    assert "--start" in capsys.readouterr().err


def test_each_lesson_says_its_objectives_and_a_topic():
    for about in agenda.read(agenda.ROOT).values():
        assert about.lesson == "00" or (len(about.objectives) >= 3 and about.topics), about.lesson


def test_marks_of_markdown_are_only_in_the_markdown():
    plan = agenda.Plan(40, [agenda.Row(0, 40, "x", ("say *what* and `why`",))], [])
    assert "- say what and why" in agenda.as_text(plan)
    assert "say *what* and `why`" in agenda.as_markdown(plan)
    assert "DESCRIPTION:say what and why" in agenda.as_ics(plan, datetime.datetime(2027, 3, 1, 9))
