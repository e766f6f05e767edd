"""What the README and lesson 00 say of the course is what the lessons say of themselves."""

import re
from pathlib import Path

import pytest

from mlprod_tools.build import Builder, readme, source

ROOT = Path(__file__).resolve().parents[1]
LESSONS = {path.stem[:2]: source.read(path).header for path in sorted((ROOT / "lessons").glob("*.py"))}
README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows(text):
    """Lesson id -> cells of its row in a Markdown table."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"(?:# )?\| (\d\d)\b(.*)\|$", line)
        if match:
            found[match[1]] = [cell.strip() for cell in match[2].strip().removeprefix("|").split("|")]
    return found


def test_the_readme_lists_every_lesson_that_is_there():
    assert list(rows(README)) == list(LESSONS)


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_row_of_the_readme_has_the_lesson_s_title(lesson):
    assert LESSONS[lesson]["title"] in rows(README)[lesson][0]


def test_the_figures_of_the_readme_are_those_that_a_build_writes(tmp_path):
    pairs = [Builder(ROOT).make(path)[0] for path in sorted((ROOT / "lessons").glob("*.py"))]
    assert readme.with_figures(README, pairs) == README
    copy = tmp_path / "README.md"
    wrong = re.sub(r"(?m)^(\| 01 \|[^|]*\|[^|]*\|).*", r"\1 8 / 4 | 7 (3 points) | none |", README)
    assert wrong != README
    copy.write_text(wrong, encoding="utf-8")
    (problem,) = readme.update(copy, pairs, write=False)
    assert copy.read_text(encoding="utf-8") == wrong
    assert "| 01 |" in wrong.splitlines()[problem.line - 1]
    assert readme.update(copy, pairs, write=True) == []
    assert copy.read_text(encoding="utf-8") == README


def test_the_map_in_lesson_00_is_that_of_the_readme():
    text = (ROOT / "lessons" / "00_start_here.py").read_text(encoding="utf-8")
    here = rows(text)
    assert list(here) == [lesson for lesson in LESSONS if lesson != "00"]
    for lesson, cells in here.items():
        assert cells[0] == LESSONS[lesson]["title"]
        assert cells[-1] == (", ".join(LESSONS[lesson]["needs"]) or "none")


def test_the_two_commands_and_the_files_that_the_readme_names_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([a-z]+)", README, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link


def test_each_benchmark_that_the_readme_cites_has_its_figures_in_the_results():
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8")
    cited = set(re.findall(r"`(bench_\w+\.py)`", README))
    assert cited and cited <= set(re.findall(r"(?m)^## (bench_\w+\.py)$", results))
