"""What INSTRUCTORS.md says can be done: its commands run, and what it says of a lesson stands in that lesson."""

import re
import shlex
from pathlib import Path

import pytest

from mlprod_helpers import explore
from mlprod_helpers.lesson import contract
from mlprod_tools import __main__
from mlprod_tools.build import source

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "INSTRUCTORS.md").read_text(encoding="utf-8")
LESSONS = {path.stem[:2]: path for path in sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))}
SECTIONS = {match[1]: match[0] for match in re.finditer(r"(?m)^### (\d\d) (?:.*\n)+?(?=##|\Z)", TEXT)}
PARTS = ["What it is for.", "Questions.", "Where learners get stuck.", "Show live.", "Adapt it."]


def code(text):
    """Code spans, and the lines of fenced blocks."""
    fenced = re.findall(r"(?ms)^ *```\n(.*?)^ *```", text)
    spans = re.findall(r"`([^`\n]+(?:\n +[^`\n]+)?)`", re.sub(r"(?ms)^ *```\n.*?^ *```", "", text))
    return [*spans, *(line.strip() for block in fenced for line in block.splitlines())]


COMMANDS = [
    re.sub(r" +> \S+$", "", line).partition("mlprod ")[2]
    for line in code(TEXT)
    if re.match(r"(\.venv/bin/)?mlprod ", line)
]


def test_each_lesson_has_a_section_with_its_title():
    titles = re.findall(r"(?m)^### (\d\d) (.+)$", TEXT)
    assert titles == [(lesson, source.read(path).header["title"]) for lesson, path in LESSONS.items()]


@pytest.mark.parametrize("lesson", SECTIONS)
def test_a_section_has_its_parts_and_two_or_three_questions(lesson):
    assert re.findall(r"(?m)^- \*\*(.+?)\*\*", SECTIONS[lesson]) == PARTS
    asked = SECTIONS[lesson].partition("**Questions.**")[2].partition("\n- **")[0]
    assert 2 <= len(re.findall(r"(?s)(?<!\*)\*[^*]+\?\*", asked)) <= 3


@pytest.mark.parametrize("lesson", SECTIONS)
def test_an_exercise_that_a_section_names_exists_and_has_misconceptions(lesson):
    named = re.findall(rf"(?<![\d.]){int(lesson)}\.\d+(?![\d%])", SECTIONS[lesson])
    exercises = contract.load(lesson).exercises
    assert len(named) >= 3 and set(named) <= set(exercises)
    stuck = SECTIONS[lesson].partition("get stuck.**")[2].partition("\n- **")[0]
    assert all(exercises[each].misconceptions for each in re.findall(r"In\s+(\d+\.\d+)", stuck))


@pytest.mark.parametrize("lesson", SECTIONS)
def test_what_a_section_quotes_as_code_stands_in_the_lesson(lesson):
    there = LESSONS[lesson].read_text(encoding="utf-8")
    for each in code(SECTIONS[lesson]):
        assert re.match(r"[\w.]+", each)[0] in there, each
        assert not each.endswith("_explorer") or hasattr(explore, each), each


def test_the_commands_are_those_of_mlprod_with_options_that_it_knows(capsys):
    assert {command.split()[0] for command in COMMANDS} >= {
        "agenda",
        "doctor",
        "release",
        "board",
        "evidence",
    }
    for command in COMMANDS:
        parser, words = __main__._parser(), shlex.split(command)
        if len(words) == 1 and words != ["doctor"]:
            words.append("--help")  # only its name
            with pytest.raises(SystemExit, match="^0$"):
                parser.parse_args(words)
        else:
            parser.parse_args(words)


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("agenda -")])
def test_a_plan_that_is_shown_fits(command, capsys):
    assert __main__.main(shlex.split(command)) == 0


def test_each_link_leads_to_a_file():
    for target in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (ROOT / target).exists(), target
