"""Every link inside the repository leads somewhere, and the syllabus says where each topic really is."""

import importlib
import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from mlprod_tools.site import heading_slug

ROOT = Path(__file__).resolve().parents[1]
TEXTS = sorted(
    path
    for folder in (".", "docs", "datasets", "site")
    for path in (ROOT / folder).glob("*.md")
    if path.name != "index.md"  # its links are those of the pages, and Sphinx follows them
)
NOTEBOOKS = sorted(path for folder in ("notebooks", "solutions") for path in (ROOT / folder).glob("*.ipynb"))
LESSONS = sorted((ROOT / "lessons").glob("*.py"))
LINK = re.compile(r"(?<!`)\[[^\]\n]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+?)\s*$", re.MULTILINE)
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def markdown_of(path):
    """The Markdown of a text, a lesson or a notebook, without its blocks of code."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells)
    elif path.suffix == ".py":
        text = "\n".join(line[2:] for line in text.splitlines() if line.startswith("# "))
    return FENCE.sub("", text)


def anchors_of(path):
    """What stands behind `#` in a link: as GitHub names headings, and in notebooks as JupyterLab does."""
    lesson = ROOT / "lessons" / f"{path.stem}.py"  # what the notebook is built from
    text = markdown_of(lesson if path.suffix == ".ipynb" and lesson.exists() else path)
    headings = [re.sub(r"[`*]", "", heading) for heading in HEADING.findall(text)]
    if path.suffix == ".md":
        return {heading_slug(heading) for heading in headings}
    return {heading.replace(" ", "-") for heading in headings}


def broken(path):
    """(link, why) of each link of a file that leads nowhere."""
    for link in LINK.findall(markdown_of(path)):
        if re.match(r"[a-z]+:", link):
            continue  # an address elsewhere
        name, _, anchor = link.partition("#")
        target = (path.parent / unquote(name)).resolve() if name else path
        if not target.exists():
            yield link, "no such file"
        elif anchor and unquote(anchor) not in anchors_of(target):
            yield link, "no such heading"


@pytest.mark.parametrize(
    "path", [*TEXTS, *LESSONS, *NOTEBOOKS], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_every_link_leads_somewhere(path):
    assert list(broken(path)) == []


def test_a_dead_link_and_a_dead_anchor_are_found(tmp_path):
    text = tmp_path / "a.md"
    text.write_text(
        "# One two\n\n[a](#one-two) [b](#one) [c](b.md) [d](https://example.org)\n", encoding="utf-8"
    )
    assert list(broken(text)) == [("#one", "no such heading"), ("b.md", "no such file")]


# ------------------------------------------------------------------------------------------ the syllabus

SYLLABUS = (ROOT / "docs" / "syllabus.md").read_text(encoding="utf-8")
ROW = re.compile(
    r"^\| (?P<topic>[^|]+) \| \[(?P<lesson>\d\d) (?P<section>[^]]+)\]\((?P<link>[^)]+)\) "
    r"\| (?P<exercises>[\d., ]+) \| `(?P<name>[\w.]+)` \|$",
    re.MULTILINE,
)
ROWS = [match.groupdict() for match in ROW.finditer(SYLLABUS)]
# what the course is about, in the words that a row has to use
MISSION = (
    *("concept drift", "covariate shift", "prior shift", "Data drift: meaning, identification, solution"),
    *("Adversarial validation", "Anomaly detection", "by weights", "by a hybrid"),
    *("Checklist: latency", "Checklist: realtime or batch", "Checklist: cloud, edge", "Checklist: logging"),
    *("Checklist: security", "privacy", "Scenarios", "shadow", "Canary", "Blue-green", "A model behind HTTP"),
    *("AI assistance", "partial and full automation", "Software metrics", "Input metrics", "Output metrics"),
)


def test_every_row_of_the_syllabus_can_be_read():
    lines = [line for line in SYLLABUS.splitlines() if re.match(r"\| (?!topic|---)", line)]
    assert len(ROWS) == len(lines)


@pytest.mark.parametrize("topic", MISSION)
def test_each_topic_of_the_mission_has_a_row(topic):
    assert any(topic in row["topic"] for row in ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["topic"])
def test_a_topic_is_where_the_syllabus_says(row):
    notebook = (ROOT / "docs" / row["link"].partition("#")[0]).resolve()
    assert notebook.name.startswith(row["lesson"])
    assert unquote(row["link"].partition("#")[2]) == row["section"].replace(" ", "-")
    text = markdown_of(notebook)
    for exercise in row["exercises"].split(", "):
        assert re.search(rf"^### Exercise {re.escape(exercise)} · ", text, re.MULTILINE), exercise


@pytest.mark.parametrize("name", sorted({row["name"] for row in ROWS}))
def test_what_implements_a_topic_can_be_imported(name):
    parts = name.split(".")
    thing = importlib.import_module(f"mlprod_helpers.{parts[0]}")
    for i, part in enumerate(parts[1:], 2):
        if not hasattr(thing, part):
            importlib.import_module(".".join(["mlprod_helpers", *parts[:i]]))
        thing = getattr(thing, part)


def test_every_exercise_of_the_course_practises_a_topic():
    listed = {exercise for row in ROWS for exercise in row["exercises"].split(", ")}
    there = {
        exercise
        for path in LESSONS
        for exercise in re.findall(
            r"^# ### Exercise (\d+\.\d+) · ", path.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert there - listed == set()
