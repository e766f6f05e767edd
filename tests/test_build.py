"""The builder: what it makes of a lesson, and what it says about a faulty one.

Each fault is one edit of a tiny lesson that is right; the test states the line and the sentence it must draw.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from stand_in_exercises import NUMBER, asks

from mlprod_helpers.lesson.contract import LessonContract
from mlprod_tools import __main__ as command_line
from mlprod_tools import build
from mlprod_tools.build import Builder, digest, execute, figures, notebook, source, stub

HEADER = """\
# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "02"
#   title: A tiny lesson
#   express: {sections: [Twice or more], exercises: ["2.1"]}
#   needs: ["01"]
#   ideas: [doubling]
#   topics: []
# ---

"""

LESSON = (
    HEADER
    + '''\
# %% [markdown] tags=["express"]
# # A tiny lesson

# %%
class Lesson:
    """Stands in for the real one, so that the kernel starts in half a second."""

    def __init__(self, lesson_id):
        self.id = lesson_id

    def check(self, exercise_id):
        return f"checked {exercise_id}"


lesson = Lesson("02")

# %% [markdown]
# ### Exercise 2.1 · Low and high
# *Core · 2 points · 3 minutes*

# %% exercise="2.1"
numbers = [3, 1, 2]
### BEGIN SOLUTION
ordered = sorted(numbers)
low, high = ordered[0], ordered[-1]
### END SOLUTION

# %% check="2.1"
lesson.check("2.1")

# %% [markdown]
# ## Twice or more
#
# ### Exercise 2.2 · Twice
# *Stretch · 3 points · 5 minutes*

# %% exercise="2.2"
def twice(x):
    """Two times x."""
    ### BEGIN SOLUTION
    result = 2 * x
    return result
    ### END SOLUTION


# %% check="2.2"
lesson.check("2.2")

# %% tags=["nbval-ignore-output"]
total = sum(numbers)
print("a total:")
print(total)
'''
)


def exercise(id, title, answers, points, minutes):
    decorate = asks(id, answers, (NUMBER,) * len(answers), title=title, points=points, minutes=minutes)
    return decorate(lambda answer, rng, expect: None)


def contract():
    exercises = [
        exercise("2.1", "Low and high", ("low", "high"), 2, 3),
        exercise("2.2", "Twice", ("twice",), 3, 5),
    ]
    return LessonContract("02", 7, {each.id: each for each in exercises})


class Desk:
    """A repository with one lesson, and a builder of it."""

    def __init__(self, root):
        self.root, self.contract = root, contract()
        self.checks = {"2.1": "one", "2.2": "two"}
        self.builder = Builder(root, lambda lesson_id: (self.contract, self.checks))
        self.lesson = root / "lessons" / "02_tiny.py"
        self.learner = root / "notebooks" / "02_tiny.ipynb"
        self.solution = root / "solutions" / "02_tiny.ipynb"
        for folder in ("lessons", "notebooks", "solutions"):
            (root / folder).mkdir()
        self.write(LESSON)

    def write(self, text):
        self.text = text
        self.lesson.write_text(text, encoding="utf-8")

    def edit(self, old, new, count=1):
        assert old in self.text, f"the tiny lesson has no {old!r}"
        self.write(self.text.replace(old, new, count))

    def make(self):
        pair, problems = self.builder.make(self.lesson)
        assert not problems, [str(problem) for problem in problems]
        return pair

    def faults(self):
        pair, problems = self.builder.make(self.lesson)
        assert (pair is None) == bool(problems)
        assert all(problem.path == "lessons/02_tiny.py" for problem in problems)
        return [(problem.line, problem.message) for problem in problems]

    def line(self, snippet, nth=1):
        """The line of the file in which a snippet begins."""
        at = [match.start() for match in re.finditer(re.escape(snippet), self.text)][nth - 1]
        return self.text[:at].count("\n") + 1

    def assert_fault(self, snippet, message, nth=1):
        """Just one problem, at the line of the snippet, with this sentence in it."""
        faults = self.faults()
        assert [(line, message in text) for line, text in faults] == [(self.line(snippet, nth), True)], faults


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def ran_by_hand(monkeypatch):
    """Replace the kernel by a list of the notebooks that were executed."""
    runs = []

    def fake(made, folder, progress):
        code = [cell for cell in made.cells if cell.cell_type == "code"]
        for count, cell in enumerate(code, start=1):
            cell.execution_count = count
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"run {len(runs)}\n")]
        runs.append(made)

    monkeypatch.setattr(execute, "execute", fake)
    return runs


def by_id(made):
    return {cell.id: cell for cell in made.cells}


# what learners get


def test_learners_get_return_ellipsis_in_a_function_and_a_template_or_an_ellipsis_for_each_other_answer(desk):
    desk.contract.exercises["2.1"].template = lambda: {
        "low": '{\n    "a": ...,  # the first\n}',
        "high": "...",
    }
    cells = by_id(desk.make().learner)
    assert cells["answer-2-2"].source == 'def twice(x):\n    """Two times x."""\n    return ...'
    low = 'low = {\n    "a": ...,  # the first\n}'
    assert cells["answer-2-1"].source == f"numbers = [3, 1, 2]\n{low}\nhigh = ..."


def test_learners_get_no_outputs_no_answers_and_no_markers(desk):
    made = desk.make().learner
    text = notebook.to_text(made)
    assert all(
        cell.outputs == [] and cell.execution_count is None for cell in made.cells if cell.cell_type == "code"
    )
    assert not [word for word in ("SOLUTION", "sorted", "2 * x", "digest") if word in text]


def test_solutions_keep_the_answers_without_markers(desk):
    cells = by_id(desk.make().solution)
    assert cells["answer-2-1"].source.split("\n")[1:] == [
        "ordered = sorted(numbers)",
        "low, high = ordered[0], ordered[-1]",
    ]
    assert "    result = 2 * x\n    return result" in cells["answer-2-2"].source
    assert not [cell.id for cell in cells.values() if "SOLUTION" in cell.source]


def test_comments_that_look_like_shell_commands_stay_comments(desk):
    desk.edit("total = sum", "# more numbers, please\n# ls\ntotal = sum")
    assert "# more numbers, please\n# ls\n" in desk.make().learner.cells[-1].source


def test_a_marker_inside_a_string_is_no_marker(desk):
    desk.edit('print("a total:")', 'print("""\n### BEGIN SOLUTION\n# %% not a cell\n""")')
    assert "# %% not a cell" in desk.make().learner.cells[-1].source


# the notebooks as files


def test_ids_come_from_position_and_exercise(desk):
    assert [cell.id for cell in desk.make().learner.cells] == [
        "cell-001", "cell-002", "cell-003", "answer-2-1", "check-2-1", "cell-006", "answer-2-2", "check-2-2", "cell-009",
    ]  # fmt: skip


def test_metadata_names_the_lesson_and_no_machine(desk):
    pair = desk.make()
    for made in (pair.learner, pair.solution):
        nbformat.validate(made)
        assert set(made.metadata) == {"kernelspec", "language_info", "mlprod"}
        assert made.metadata.kernelspec.name == "python3"
        assert "version" not in made.metadata.language_info
    assert pair.learner.metadata.mlprod == {
        "lesson": "02", "title": "A tiny lesson", "minutes": 9, "express": 4, "needs": ["01"], "ideas": ["doubling"], "topics": [],
        "edition": 7,
    }  # fmt: skip
    assert pair.learner.cells[0].metadata == {"tags": ["express"]}
    assert pair.learner.cells[-1].metadata == {"tags": ["nbval-ignore-output"]}


def test_nbgrader_metadata_fits_its_schema(desk):
    kinds = {
        "schema_version": int,
        "grade": bool,
        "locked": bool,
        "solution": bool,
        "task": bool,
        "grade_id": str,
    }
    graded = []
    for cell in desk.make().learner.cells:
        meta = cell.metadata.get("nbgrader")
        if not cell.id.startswith(("answer", "check")):
            assert meta is None
            continue
        # schema 3 knows these keys and no others; points stand in graded cells only
        assert {key: type(value) for key, value in meta.items() if key != "points"} == kinds
        assert meta.schema_version == 3 and not meta.task
        assert re.fullmatch(r"[a-zA-Z0-9_\-]+", meta.grade_id)
        assert ("points" in meta) == meta.grade == meta.locked == (not meta.solution)
        graded.append((meta.grade_id, meta.solution, meta.get("points")))
    assert graded == [
        ("answer-2-1", True, None), ("check-2-1", False, 2), ("answer-2-2", True, None), ("check-2-2", False, 3),
    ]  # fmt: skip


def test_own_keys_stand_outside_of_nbgraders(desk):
    cells = by_id(desk.make().learner)
    assert cells["answer-2-2"].metadata.mlprod == {"exercise": "2.2"}
    assert cells["check-2-2"].metadata.mlprod == {"check": "2.2"}


def test_a_rebuild_without_a_change_is_the_same_byte_for_byte(desk, monkeypatch):
    runs = ran_by_hand(monkeypatch)
    assert desk.builder.build() == []
    before = [path.read_bytes() for path in (desk.learner, desk.solution)]
    stamps = [os.stat(path).st_mtime_ns for path in (desk.learner, desk.solution)]
    assert desk.builder.build() == []
    assert [path.read_bytes() for path in (desk.learner, desk.solution)] == before
    assert [os.stat(path).st_mtime_ns for path in (desk.learner, desk.solution)] == stamps
    assert len(runs) == 1
    assert b"\r" not in before[0] and before[0].endswith(b"}\n")


# only changed lessons are executed


def test_prose_is_built_without_executing(desk, monkeypatch, capsys):
    runs = ran_by_hand(monkeypatch)
    desk.builder.build()
    desk.edit("# # A tiny lesson", "# # A tiny lesson\n# with a new sentence")
    assert desk.builder.build() == []
    assert len(runs) == 1
    stored = nbformat.read(desk.solution, as_version=4)
    assert "new sentence" in stored.cells[0].source
    assert stored.cells[-1].outputs[0].text == "run 0\n"
    assert "not executed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "change",
    [
        lambda desk: desk.edit("result = 2 * x", "result = x + x"),
        lambda desk: desk.edit('tags=["nbval-ignore-output"]', 'tags=["other"]'),
        lambda desk: desk.checks.update({"2.2": "other feedback"}),
        lambda desk: desk.solution.write_text(desk.solution.read_text().replace("print(total)", "print(0)")),
        lambda desk: desk.solution.write_text(desk.solution.read_text().replace('"execution_count": 2', '"execution_count": null')),
        lambda desk: desk.solution.write_text("not a notebook"),
        lambda desk: desk.solution.unlink(),
    ],
    ids=["code", "tags", "contract", "edited", "count", "broken", "missing"],
)  # fmt: skip
def test_what_outputs_follow_from_executes_again(desk, monkeypatch, change):
    runs = ran_by_hand(monkeypatch)
    desk.builder.build()
    change(desk)
    assert desk.builder.build() == []
    assert len(runs) == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [("result = 2 * x", "result = (2 *  x)"), ("print(total)", "print(total)  # all of them")],
)
def test_other_spaces_and_comments_execute_nothing(desk, monkeypatch, old, new):
    runs = ran_by_hand(monkeypatch)
    desk.builder.build()
    desk.edit(old, new)
    assert desk.builder.build() == []
    assert len(runs) == 1
    assert new in desk.solution.read_text()
    assert desk.builder.check() == []


CHECK = """
LIMIT = 3

@exercise("2.1", "Twice", hints=("Add it to itself.",), points=2)
def twice(answer, rng, expect):
    expect.close(answer(LIMIT), doubled(LIMIT))

@twice.misconception("It was squared.")
def squared(x):
    return x ** 2
"""
SUPPORT = """
def doubled(x):
    return 2 * x

def halved(x):
    return x / 2
"""


@pytest.mark.parametrize(
    ("text", "support", "same"),
    [
        (CHECK.replace("Add it to itself.", "What is x + x?"), SUPPORT, True),
        (CHECK.replace("It was squared.", "You squared it.") + "\n\n# a comment\n", SUPPORT, True),
        (CHECK, SUPPORT.replace("x / 2", "x * 0.5"), True),
        (CHECK, SUPPORT.replace("2 * x", "x + x"), False),
        (CHECK.replace("LIMIT = 3", "LIMIT = 4"), SUPPORT, False),
        (CHECK.replace("points=2", "points=3"), SUPPORT, False),
    ],
)
def test_the_digest_of_a_check_covers_what_a_right_answer_shows(text, support, same):
    assert (digest.of_check("twice", text, support) == digest.of_check("twice", CHECK, SUPPORT)) == same


def test_force_executes_all(desk, monkeypatch):
    runs = ran_by_hand(monkeypatch)
    desk.builder.build()
    desk.builder.build(force=True)
    assert len(runs) == 2


# --check


def checked(desk, folder=None):
    problems = [str(problem) for problem in desk.builder.check()]
    return [text for text in problems if folder is None or text.startswith(folder)]


@pytest.fixture
def built(desk, monkeypatch):
    desk.runs = ran_by_hand(monkeypatch)
    assert desk.builder.build() == []
    return desk


def alter(path, change):
    made = nbformat.read(path, as_version=4)
    change(made)
    path.write_text(nbformat.writes(made) + "\n", encoding="utf-8")


def test_check_is_silent_on_a_fresh_build_and_ignores_outputs(built):
    assert checked(built) == []
    alter(built.solution, lambda made: made.cells[-1].update(outputs=[], execution_count=99))
    before = built.solution.read_bytes()
    assert checked(built) == []
    assert built.solution.read_bytes() == before and len(built.runs) == 1


def test_check_names_file_and_cell_of_an_edited_source(built):
    alter(built.learner, lambda made: made.cells[-1].update(source="total = 0"))
    assert checked(built) == [
        'notebooks/02_tiny.ipynb:1: cell cell-009 differs: it has "total = 0", '
        'should have "total = sum(numbers)"; run `mlprod build`'
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda made: made.cells[4].metadata.nbgrader.update(points=9), 'cell check-2-1 differs: it has "points": 9'),
        (lambda made: made.cells[0].metadata.pop("tags"), 'cell cell-001 differs: it has "metadata": {}'),
        (lambda made: made.metadata.mlprod.update(edition=6), 'differs: it has "edition": 6'),
        (lambda made: made.metadata.mlprod.digest.update(code="0"), 'differs: it has "code": "0"'),
        (lambda made: made.cells.pop(0), "cell cell-001 is missing"),
        (lambda made: made.cells.append(nbformat.v4.new_code_cell("1", id="extra")), "cell extra is not in the lesson"),
        (lambda made: made.cells.insert(0, made.cells.pop(1)), "has its cells in another order"),
        (lambda made: made.cells[1].update(cell_type="markdown"), "cell cell-002 differs"),
    ],
)  # fmt: skip
def test_check_finds_changed_metadata_and_cells(built, change, message):
    made = nbformat.read(built.solution, as_version=4)
    change(made)
    built.solution.write_text(json.dumps(made), encoding="utf-8")
    found = checked(built)
    assert len(found) == 1 and found[0].startswith(f"solutions/02_tiny.ipynb:1: {message}"), found


def test_check_sees_a_lesson_that_was_not_built(built):
    built.edit("# # A tiny lesson", "# # Another headline")
    assert [text.split(":")[0] for text in checked(built)] == [
        "notebooks/02_tiny.ipynb",
        "solutions/02_tiny.ipynb",
    ]
    built.learner.unlink()
    built.solution.write_text("{}")
    assert "is missing" in checked(built, "notebooks")[0]
    assert "cannot be read as a notebook" in checked(built, "solutions")[0]


def test_notebooks_without_a_lesson_are_named(built):
    for folder in ("notebooks", "solutions"):
        (built.root / folder / "07_gone.ipynb").write_text("{}")
    expected = ["notebooks/07_gone.ipynb", "solutions/07_gone.ipynb"]
    assert [problem.path for problem in built.builder.check()] == expected
    assert [problem.path for problem in built.builder.build()] == expected
    assert built.builder.check(["02"]) == []


def test_the_command_tells_by_its_exit_status(built, monkeypatch, capsys):
    monkeypatch.setattr(build, "installed_contract", lambda lesson_id: (built.contract, built.checks))
    root = ["--root", str(built.root)]
    assert command_line.main(["build", "--check", *root]) == 0
    built.edit("print(total)", "print(total + 1)")
    assert command_line.main(["build", "--check", *root]) == 1
    assert "cell cell-009 differs" in capsys.readouterr().err
    assert command_line.main(["build", "--lesson", "02", *root]) == 0
    assert command_line.main(["build", "--check", "--lesson", "2_nothing", *root]) == 1
    assert "there is no lesson '2_nothing'; there are 02" in capsys.readouterr().err


def test_the_test_command_passes_its_arguments_on(monkeypatch):
    seen = []
    monkeypatch.setattr("mlprod_tools.testing.main", lambda options: seen.append(options.arguments) or 0)
    monkeypatch.setattr("mlprod_tools.audit.main", lambda options: seen.append(options.seeds) or 3)
    assert command_line.main(["test", "tests/a.py", "-x", "-k", "drift"]) == 0
    assert command_line.main(["audit", "--lesson", "02", "--seeds", "5"]) == 3
    assert seen == [["tests/a.py", "-x", "-k", "drift"], 5]
    with pytest.raises(SystemExit):
        command_line.main(["audit", "--sedes", "5"])


# faults: the header


@pytest.mark.parametrize(
    ("old", "new", "snippet", "message"),
    [
        ("#   title: A tiny lesson\n", "", "# mlprod:", "the header lacks `title`"),
        ("#   express: {", "#   minutes: 9\n#   express: {", "#   minutes", "unknown key `minutes`"),
        ('"02"', "02", "#   lesson", "in quotes"),
        ('"02"', '"03"', "#   lesson", 'the header says lesson "03", the file name says "02"'),
        ("needs: [", "neds: [", "#   neds", "unknown key `neds`"),
        ('["01"]', "[1]", "#   needs", "are strings"),
        ("[doubling]", "[a, b, c, d, e]", "#   ideas", "at most four new ideas"),
        ("express: {", "express: some #", "#   express", "`express: some` should be the sections"),
        (
            "sections: [",
            "section: [",
            "#   express",
            "has the keys sections and exercises, not section, exercises",
        ),
        ('exercises: ["2.1"]', "exercises: [2.1]", "#   express", "`exercises` is a list of texts"),
        ("[Twice or more]", "[Thrice]", "#   express", "the lesson has no section `## Thrice`"),
        ('["2.1"]', '["2.9"]', "#   express", "the lesson has no exercise 2.9"),
        (
            '[Twice or more], exercises: ["2.1"]',
            '[], exercises: ["2.2"]',
            "#   express",
            "2.2 stands in the section 'Twice or more'",
        ),
        ("# mlprod:\n", "# other:\n", "# ---", "no section `mlprod:`"),
        ("#   title: A", "#   title: [A", "#   express", "the header is not YAML"),
        ("# ---\n\n# %%", "\n# %%", "# ---", "no header"),
    ],
)
def test_faulty_headers(desk, old, new, snippet, message):
    desk.edit(old, new)
    assert any((desk.line(snippet), True) == (line, message in text) for line, text in desk.faults()), (
        desk.faults()
    )


def test_placeholders_become_minutes_and_the_express_path(desk):
    desk.edit(
        "# # A tiny lesson",
        "# # A tiny lesson\n#\n# {{minutes}} = {{reading}} + {{exercises}}. {{express}}\n#\n#"
        + " word" * 300,
    )
    for made in (desk.make().learner, desk.make().solution):
        assert (
            "10 = 2 + 8. **Express path, 5 minutes:** the opening (exercise 2.1) and *Twice or more*."
            in made.cells[0].source
        )
    desk.edit("{{minutes}}", "{{hours}}")
    desk.assert_fault("{{hours}}", "there is no placeholder {{hours}}")


def test_an_express_path_that_is_too_long(desk):
    desk.contract.exercises["2.1"].minutes = 46
    desk.edit("3 minutes", "46 minutes")
    desk.assert_fault("#   express", "the express path takes 47 minutes, more than 45")
    desk.contract.exercises["2.1"].minutes, desk.contract.exercises["2.2"].minutes = 3, 50
    desk.edit("46 minutes", "3 minutes")
    desk.edit("5 minutes", "50 minutes")
    assert desk.faults() == []
    desk.edit('express: {sections: [Twice or more], exercises: ["2.1"]}', "express: all")
    desk.assert_fault("#   express", "the express path takes 54 minutes, more than 45")


def test_a_collapsed_cell_hides_its_code_and_shows_its_comment(desk):
    desk.edit(
        '# %% tags=["nbval-ignore-output"]\n', '# %% tags=["nbval-ignore-output"] collapsed=true\n# a sum\n'
    )
    for made in (desk.make().learner, desk.make().solution):
        assert made.cells[-1].metadata == {
            "jupyter": {"source_hidden": True},
            "tags": ["nbval-ignore-output", "hide-input"],
        }
    desk.edit("# a sum\n", "")
    desk.assert_fault("# %% tags=[", "a collapsed cell begins with a comment")


@pytest.mark.parametrize(
    ("old", "message"),
    [
        ('# %% exercise="2.2"', "answers and checks are never collapsed"),
        ('# %% check="2.2"', "answers and checks are never collapsed"),
        ('# %% [markdown] tags=["express"]', "only a code cell is collapsed"),
    ],
)
def test_what_is_not_collapsed(desk, old, message):
    desk.edit(old, old + " collapsed=true")
    desk.assert_fault(old, message)


def test_a_file_name_that_is_no_lessons(desk):
    odd = desk.lesson.rename(desk.lesson.with_name("tiny.py"))
    assert any("a lesson is called like" in text.message for text in source.read(odd).problems)


# faults: markers and regions


@pytest.mark.parametrize(
    ("old", "new", "snippet", "nth", "message"),
    [
        ("### END SOLUTION\n\n# %%", "\n# %%", "### BEGIN", 1, "`### BEGIN SOLUTION` without `### END SOLUTION`"),
        ("numbers = [3, 1, 2]", "### END SOLUTION\nnumbers = [3, 1, 2]", "### END", 1, "without `### BEGIN SOLUTION`"),
        ("ordered = ", "### BEGIN SOLUTION\nordered = ", "### BEGIN", 2, "a region begins inside the one of line"),
        ("### BEGIN SOLUTION\nordered", "# begin solution\nordered", "# begin", 1, "nearly a marker"),
        ("ordered = sorted(numbers)", "low = high = 1  ### BEGIN SOLUTION", "low = high", 1, "needs a line of its own"),
    ],
)  # fmt: skip
def test_faulty_markers(desk, old, new, snippet, nth, message):
    desk.edit(old, new)
    line = desk.line(snippet, nth)
    assert any(at == line and message in text for at, text in desk.faults()), desk.faults()


def region(code, answers=("a",)):
    """Build a cell of one exercise; its regions' faults, as (line within the cell, message)."""
    made = source.Source(None, "x.py")
    cell = source.Cell("code", code, 1, "answer-1-1", exercise="1.1", tree=source.parse(code))
    regions = stub.find_regions(made, cell)
    faults = [(problem.line, problem.message) for problem in made.problems]
    return faults or stub.without_answers(cell, regions, answers, {})


BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


@pytest.mark.parametrize(
    ("code", "line", "message"),
    [
        (f"class A:\n    {BEGIN}\n    a = 1\n    {END}", 2, "in the body of class `A`"),
        (f"class A:\n    def __init__(self):\n        {BEGIN}\n        self.a = 1\n        {END}", 3, "stands in `__init__`"),
        (f"for i in range(3):\n    {BEGIN}\n    a = i\n    {END}", 2, "a part of the `for` at the top level"),
        (f"if True:\n    a = 2\nelse:\n    {BEGIN}\n    a = 1\n    {END}\n    b = 1", 4, "a part of the `if` at the top level"),
        (f"def f():\n    with x:\n        {BEGIN}\n        return 1\n        {END}\n        y", 3, "a part of the `with` in `f`"),
        (f"{BEGIN}\ndef a():\n    return 1\n{END}", 1, "the top-level def `a` as a whole"),
        (f"{BEGIN}\n@decorated\nclass A:\n    x = 1\n{END}", 1, "the top-level class `A` as a whole"),
        (f"a = [\n    {BEGIN}\n    1,\n    {END}\n]", 2, "the markers cut a statement at the top level"),
        (f"def f():\n    return (\n        {BEGIN}\n        1\n        {END}\n    )", 3, "the markers cut a statement in `f`"),
        (f"{BEGIN}\na = [\n    1,\n    {END}\n]", 1, "the markers cut a statement"),
        (f"def f():\n    x = 1\n    {BEGIN}\n    return x\n\n\ny = 1\n{END}", 3, "the markers cut a statement"),
        (f"def f():\n    x = 1\n    {BEGIN}\n    return x\n{END}", 3, "indent both markers"),
        (f"def f():\n    x = 1\n{BEGIN}\n    return x\n{END}", 3, "indent both markers"),
        (f"a = 1\n{BEGIN}\n# nothing here\n{END}", 2, "no whole statement"),
        (f"def f():\n    x = 1\n    {BEGIN}\n    {END}", 3, "no whole statement"),
        (f"def f(\n    {BEGIN}\n    x,\n    {END}\n):\n    return x", 2, "no whole statement"),
        (f"def f(x):\n    {BEGIN}\n    y = 1\n    {END}\n    z = 2\n    {BEGIN}\n    return z\n    {END}", 6, "`f` has two regions"),
    ],
)  # fmt: skip
def test_regions_that_the_rule_forbids(code, line, message):
    found = region(code)
    assert len(found) == 1 and found[0][0] == line and message in found[0][1], found


@pytest.mark.parametrize(
    ("code", "stubbed"),
    [
        (f"def f(x):\n    {BEGIN}\n    if x:\n        return 1\n    return 2\n    {END}\n    # after\ny = 1",
         "def f(x):\n    return ...\n    # after\ny = 1"),
        (f"def f(x):\n    {BEGIN}\n    def g():\n        return x\n\n    return g()\n    {END}", "def f(x):\n    return ..."),
        (f"def f(x):\n    def g():\n        {BEGIN}\n        return x\n        {END}\n\n    return g()",
         "def f(x):\n    def g():\n        return ...\n\n    return g()"),
        (f"{BEGIN}\na = 1\n{END}\nc = 2\n{BEGIN}\nb = 3\n{END}", "a = ...\nc = 2\nb = ..."),
        (f"{BEGIN}\n[b, a] = 1, 2\na, *rest = 1, 2\n{END}", "b = ...\na = ..."),
        (f"{BEGIN}\na: int = 1\nb = top = 3\n{END}", "a = ...\nb = ..."),
        (f"{BEGIN}\na = b = 3\nfor n in ordered:\n    b = max(b, n)\n{END}", "a = ...\nb = ..."),
        (f"from math import pi\n\n\n@staticmethod\ndef f(x):\n    {BEGIN}\n    return x\n    {END}\n\n\nprint(f(1))",
         "from math import pi\n\n\n@staticmethod\ndef f(x):\n    return ...\n\n\nprint(f(1))"),
        (f"class F:\n    def __init__(self):\n        self.seen = 0\n\n    def of(self, x):\n        {BEGIN}\n        self.seen += 1\n"
         f"        return x\n        {END}\n\n    async def again(self, x):\n        if x is None:\n            return None\n"
         f"        {BEGIN}\n        return x\n        {END}",
         "class F:\n    def __init__(self):\n        self.seen = 0\n\n    def of(self, x):\n        return ...\n\n"
         "    async def again(self, x):\n        if x is None:\n            return None\n        return ..."),
    ],
)  # fmt: skip
def test_regions_that_the_rule_allows(code, stubbed):
    assert region(code, answers=("a", "b")) == stubbed
    source.parse(stubbed)


# faults: answers, checks, contract


def test_a_check_without_an_exercise(desk):
    desk.edit('# %% exercise="2.2"', "# %%")
    faults = dict(desk.faults())
    assert "a check without its exercise" in faults[desk.line('# %% check="2.2"')]
    assert "no cell has the answer of 2.2" in faults[1]
    assert "a region in a cell that is no exercise" in faults[desk.line("    ### BEGIN")]


CHECK_21, CHECK_22 = '# %% check="2.1"\nlesson.check("2.1")\n', '# %% check="2.2"\nlesson.check("2.2")\n'


@pytest.mark.parametrize(
    ("edits", "snippet", "message"),
    [
        ([(CHECK_22, "")], '# %% exercise="2.2"', "an exercise without its check"),
        ([(CHECK_21, ""), ('# %% exercise="2.1"', f'{CHECK_21}\n# %% exercise="2.1"')], '# %% check="2.1"',
         "stands before its exercise"),
        ([("# %% tags=", f"{CHECK_22}\n# %% tags=")], '# %% check="2.2"', "two checks have the id 2.2; the first is in line"),
        ([("low, high = ordered[0]", "low, top = ordered[0]")], "numbers = [3",
         "the contract of 2.1 names `high`, which this cell does not define"),
        ([("low, high = ordered[0], ordered[-1]", "low = 1\nfor high in ordered:\n    pass")], "for high in",
         "does not plainly assign `high`"),
        ([("low, high = ordered[0], ordered[-1]\n### END SOLUTION", "low = 1\n### END SOLUTION\nhigh = 3")], "high = 3",
         "`high` is defined outside of a region"),
        ([("result = 2 * x", "result = low * x")], "result = low", "this needs `low`, the learner's answer to 2.1"),
        ([("### END SOLUTION\n", "### END SOLUTION\nprint(low, high)\nprint(len(ordered))\n")], "print(len(ordered))",
         "this needs `ordered`, which stands between the markers"),
    ],
)  # fmt: skip
def test_an_answer_and_its_check_that_do_not_fit_together(desk, edits, snippet, message):
    for old, new in edits:
        desk.edit(old, new)
    desk.assert_fault(snippet, message, nth=desk.text.count(snippet))


def test_a_lesson_and_a_contract_that_do_not_fit_together(desk):
    forgotten = exercise("2.9", "Forgotten", ("gone",), 1, 1)
    twice = desk.contract.exercises.pop("2.2")
    desk.assert_fault('# %% exercise="2.2"', "the contract has no exercise 2.2; it has 2.1")
    desk.contract.exercises.update({"2.2": twice, "2.9": forgotten})
    desk.assert_fault("# ---", "no cell has the answer of 2.9")
    del desk.contract.exercises["2.9"]
    twice.answers = ("twice", "low")
    assert any("both call their answer `low`" in text for _, text in desk.faults())


def test_an_answer_that_the_contract_does_not_name(desk):
    desk.edit("def twice(x):", "def double(x):")
    messages = [text for _, text in desk.faults()]
    assert "the contract of 2.2 does not name `double`; its answers are twice" in messages
    assert "the contract of 2.2 names `twice`, which this cell does not define" in messages
    assert dict(desk.faults())[desk.line("    ### BEGIN")].startswith("the contract of 2.2 does not name")


@pytest.mark.parametrize(
    ("old", "new", "snippet", "message"),
    [
        ('lesson.check("2.2")', 'lesson.check("2.1")', 'lesson.check("2.1")', "belongs into a cell"),
        ('lesson.check("2.2")', "lesson.hint('2.2')", "lesson.hint", 'should call lesson.check("2.2")'),
        ("print(total)", 'lesson.check("2.2")', None, "belongs into a cell that says"),
        ('Lesson("02")', 'Lesson("03")', 'Lesson("03")', 'this is lesson "02", not "03"'),
        ('exercise="2.2"', 'exercise="2-2"', '# %% exercise="2-2"', "is not the id of an exercise"),
        ('exercise="2.2"', 'exercice="2.2"', '# %% exercice="2.2"', "`exercice` is not known here"),
        ('# %% tags=["nbval', '# %% A title tags=["nbval', "# %% A title", "`title` is not known here"),
        ("### Exercise 2.2 · Twice", "### Exercise 2.2 · Double", "### Exercise 2.2", "'Double', the contract 'Twice'"),
        ("### Exercise 2.2 · Twice", "### Twice", '# %% exercise="2.2"', "headline `### Exercise 2.2 · Twice`"),
        ("3 points", "4 points", "# *Stretch", "the text of 2.2 says 4 points, the contract 3"),
        ("5 minutes", "6 minutes", "# *Stretch", "the text of 2.2 says 6 minutes, the contract 5"),
        ("print(total)\n", "print(total)\n\n# %%\n", None, "this cell is empty"),
        ("print(total)\n", "print(total\n", None, "this is not Python"),
        ("# # A tiny lesson", "# # A tiny lesson\n\n# %%\nx = await 1 +", None, "this is not Python"),
        ("print(total)\n", "print(\n# %%\n    total\n)\n", "print(", "this cell is not Python on its own"),
        ('Lesson("02")', 'Lesson("02", edition=6)', 'Lesson("02", edition', "the contract is at edition 7, not 6"),
    ],
)  # fmt: skip
def test_faulty_cells(desk, old, new, snippet, message):
    desk.edit(old, new)
    faults = desk.faults()
    lines = [line for line, text in faults if message in text]
    assert lines, faults
    assert snippet is None or desk.line(snippet, desk.text.count(snippet)) in lines, faults


def test_a_contract_that_cannot_be_loaded(desk):
    def broken(lesson_id):
        raise LookupError(f"there is no lesson {lesson_id}")

    desk.builder.contract_of = broken
    desk.assert_fault("# ---", "the contract cannot be loaded: LookupError: there is no lesson 02")


def test_all_faults_of_a_lesson_are_named_at_once_in_order(desk):
    desk.edit("title: A tiny", "titel: A tiny")
    desk.edit("print(total)", "plt.show()\nprint(twice(3))")
    desk.edit("### END SOLUTION\n\n# %%", "\n# %%")
    lines = [line for line, _ in desk.faults()]
    assert len(lines) >= 5 and lines == sorted(lines)
    assert desk.builder.build() and not desk.learner.exists() and not desk.solution.exists()


# faults: names that learners do not have


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print(low)", "this needs `low`, the learner's answer to 2.1"),
        ("twice(2)", "this needs `twice`, the learner's answer to 2.2"),
        ("f = lambda: twice(2)", "this needs `twice`"),
        ("def f(x=low):\n    return x", "this needs `low`"),
        ("def f():\n    return [high for _ in range(3)]", "this needs `high`"),
        ('print(f"{low:.2f}")', "this needs `low`"),
        ("numbers[low:]", "this needs `low`"),
        ("low += 1", "this needs `low`"),
        ("del high", "this needs `high`"),
        ("print(ordered)", "this needs `ordered`, which only the answer to 2.1 makes"),
        ("def f():\n    return ordered", "this needs `ordered`"),
        ("class A:\n    b = ordered", "this needs `ordered`"),
        ("low = 1", "this overwrites `low`, the learner's answer to 2.1"),
        ("for twice in numbers:\n    pass", "this overwrites `twice`"),
        ("import math as high", "this overwrites `high`"),
    ],
)
def test_a_lecture_cell_that_needs_an_answer(desk, code, message):
    desk.edit("print(total)", code)
    faults = desk.faults()
    assert any(message in text for _, text in faults), faults
    assert {line for line, _ in faults} <= {desk.line(code), desk.line(code) + 1}


@pytest.mark.parametrize(
    "code",
    [
        "def f(low, twice=1):\n    high = low\n    return high, twice",
        "[low for low in numbers]",
        "{high: ordered for high, ordered in enumerate(numbers)}",
        "ordered = 3\nprint(ordered)",
        "for ordered in numbers:\n    print(ordered)",
        "with open('x') as ordered:\n    ordered.read()",
        "lambda low: low + 1",
        "numbers.low",
        "dict(low=1)",
        "def f():\n    return ordered\n\n\nordered = 1",
        "try:\n    pass\nexcept ValueError as ordered:\n    print(ordered)",
        "match numbers:\n    case [ordered, *_]:\n        print(ordered)",
        "if (ordered := 3) > 2:\n    print(ordered)",
        "from math import pi as ordered\n\nordered",
    ],
)
def test_names_of_its_own_are_no_need(desk, code):
    desk.edit("print(total)", code)
    assert desk.faults() == []


def test_a_name_that_the_lecture_makes_again_is_no_need_any_more(desk):
    desk.edit("print(total)", "ordered = 5\n\n# %%\nprint(ordered)")
    assert desk.faults() == []


def test_an_import_in_a_region_that_the_lecture_has_too_is_no_secret(desk):
    desk.edit("ordered = sorted", "import math\n\nordered = sorted")
    desk.edit("print(total)", "print(math.pi)")
    desk.assert_fault("print(math.pi)", "this needs `math`, which only the answer to 2.1 makes")
    desk.edit("lesson = Lesson(", "import math\n\nlesson = Lesson(")
    assert desk.faults() == []


# faults: figures without words


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("plt.show()", "plt.show()"),
        ("plt.hist(numbers)", "`plt.hist()` shows a bare figure"),
        ("frame.plot.scatter('x', 'y')", "`frame.plot.scatter()` shows a bare figure"),
        ("frame['x'].plot(kind='bar')", "shows a bare figure"),
        ("frame.hist()", "`frame.hist()` shows a bare figure"),
        ("show(fig)", "`show(...)` without an alternative text"),
        ("show(fig, alt='')", "`show(...)` without an alternative text"),
        ("show(fig, alt=None)", "`show(...)` without an alternative text"),
        ("plots.show(fig)", "`show(...)` without an alternative text"),
        ("plots.Figure(fig)", "`Figure(...)` without an alternative text"),
    ],
)
def test_a_figure_without_words(desk, code, message):
    desk.edit("print(total)", code)
    desk.assert_fault(code, message)


@pytest.mark.parametrize(
    "code",
    [
        "fig, ax = figure()\nax.hist(numbers)\nframe.plot(ax=ax, kind='bar')\nshow(fig, alt='three bars')",
        "result.plot()",
        "show(fig, f'AUC {total}')",
        "plt.close()",
    ],
)
def test_a_figure_with_words(desk, code):
    desk.edit("print(total)", code)
    assert desk.faults() == []


def test_lines_are_right_below_blank_ones(desk):
    desk.edit("# # A tiny lesson", "#\n#\n# # A tiny lesson\n# ![](a.png)")
    desk.edit("total = sum", "\n\nplt.show()\ntotal = sum")
    assert [line for line, _ in desk.faults()] == [desk.line("# ![]"), desk.line("plt.show")]


@pytest.mark.parametrize("image", ["![](a.png)", '<img src="a.png">', '<img src="a.png" alt=" ">'])
def test_an_image_without_words_in_prose(desk, image):
    desk.edit("# # A tiny lesson", f"# # A tiny lesson\n# {image}")
    desk.assert_fault(f"# {image}", "without an alternative text")


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"data": {"image/png": "..."}}, "a picture without an alternative text"),
        ({"data": {"image/png": "...", "text/html": "<b>x</b>"}}, "a picture without an alternative text"),
        ({"data": {"text/html": "<img src='data:,'>"}}, "an <img> without"),
        ({"data": {"text/html": ["<p>", "<img alt='' src='data:,'>"]}}, "an <img> without"),
        ({"data": {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "x"}}, "no still picture"),
        ({"data": {"text/plain": "<object object at 0x7f3a2b1c4d50>"}}, "the address of an object"),
        (
            {"output_type": "stream", "name": "stdout", "text": "<A at 0x7f3a2b1c4d50>"},
            "the address of an object",
        ),
        ({"output_type": "stream", "name": "stderr", "text": "careful\n"}, "writes to stderr: careful"),
        ({"output_type": "error", "ename": "ValueError", "evalue": "no"}, "stores an error: ValueError: no"),
    ],
)
def test_faulty_outputs(output, message):
    found = figures.output_faults([{"output_type": "display_data"} | output])
    assert len(found) == 1 and message in found[0]


def test_outputs_with_words_are_fine():
    html = {"text/html": "<img alt='two curves' src='data:,'>", "text/plain": "Figure: two curves"}
    assert figures.output_faults([{"output_type": "display_data", "data": html}]) == []


# execution


def test_outputs_are_tidied():
    widget = "application/vnd.jupyter.widget-view+json"
    outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="a\n"),
        nbformat.v4.new_output("stream", name="stdout", text="b\n"),
        nbformat.v4.new_output("display_data", {widget: {"model_id": "1f"}, "text/html": "<img alt='x'>"}),
        nbformat.v4.new_output("stream", name="stdout", text="c\n"),
    ]
    cell = nbformat.v4.new_code_cell(
        "x", outputs=outputs, metadata={"execution": {"iopub.status.busy": "now"}}
    )
    made = nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {}})
    notebook.tidy_outputs(made)
    assert [output.get("text") for output in cell.outputs] == ["a\nb\n", None, "c\n"]
    assert list(cell.outputs[1].data) == ["text/html"]
    assert cell.metadata == {} and made.metadata == {}


def test_the_kernel_has_the_same_environment_everywhere(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    made = execute.kernel_environment()
    assert "MPLBACKEND" not in made
    expected = {"MLPROD_PROGRESS": "memory", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    assert expected.items() <= made.items()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_is_one_line_on_a_terminal_and_few_lines_elsewhere():
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        progress = execute.Progress("02_tiny", 25, stream)
        for number in range(1, 26):
            progress.at(number)
        progress.end()
    assert "\n" not in terminal.getvalue() and "\r02_tiny: cell 25 of 25" in terminal.getvalue()
    assert pipe.getvalue().count("\n") == 4 and pipe.getvalue().endswith("02_tiny: cell 25 of 25\n")


def test_a_lesson_is_executed_and_an_error_keeps_the_old_notebook(desk):
    assert desk.builder.build() == []
    stored = nbformat.read(desk.solution, as_version=4)
    nbformat.validate(stored)
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4, 5, 6]
    assert by_id(stored)["check-2-2"].outputs[0].data["text/plain"] == "'checked 2.2'"
    assert [output.text for output in code[-1].outputs] == ["a total:\n6\n"]
    assert stored.metadata == desk.make().solution.metadata
    assert desk.builder.check() == []
    before = desk.solution.read_bytes(), desk.learner.read_bytes()

    # the line is the lesson's, although the markers above it are gone from the notebook
    desk.edit("### END SOLUTION\n\n# %%", '### END SOLUTION\n{}["missing"]\n\n# %%')
    (problem,) = desk.builder.build()
    assert (problem.line, problem.cell) == (desk.line('{}["missing"]'), "answer-2-1")
    assert problem.message == "KeyError: 'missing'"
    assert str(problem).startswith(
        f"lessons/02_tiny.py:{problem.line}: KeyError: 'missing' (cell answer-2-1)"
    )
    assert (desk.solution.read_bytes(), desk.learner.read_bytes()) == before


def test_an_output_without_words_is_refused(desk, monkeypatch):
    def draws(made, folder, progress):
        made.cells[-1].outputs = [nbformat.v4.new_output("display_data", {"image/png": "..."})]

    monkeypatch.setattr(execute, "execute", draws)
    (problem,) = desk.builder.build()
    assert (
        problem.line == desk.line("total = sum")
        and "a picture without an alternative text" in problem.message
    )
    assert not desk.solution.exists() and not desk.learner.exists()


# ---- outside of a checkout -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The packages as a wheel installs them, without lessons beside them."""
    site = tmp_path_factory.mktemp("site-packages")
    root = Path(command_line.__file__).resolve().parents[1]
    for name in ("mlprod_tools", "mlprod_helpers"):
        shutil.copytree(
            root / name, site / name, ignore=shutil.ignore_patterns("__pycache__", "*.csv*", "*.parquet")
        )
    return site


def run_in(folder, packages, *arguments):
    command = [sys.executable, "-m", "mlprod_tools", *arguments]
    environment = os.environ | {"PYTHONPATH": str(packages)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("arguments", [["build", "--check"], ["test"], ["audit"]])
def test_outside_of_a_checkout_a_command_ends_with_a_sentence(installed, tmp_path, arguments):
    ran = run_in(tmp_path, installed, *arguments)
    assert ran.returncode == 1
    assert (
        "there are no lessons in" in ran.stderr and "checkout" in ran.stderr and "Traceback" not in ran.stderr
    )
    assert len(ran.stderr.strip().splitlines()) == 1


def test_a_lesson_that_is_not_utf8_is_named_with_file_and_line(tmp_path, capsys):
    path = tmp_path / "lessons" / "02_tiny.py"
    path.parent.mkdir()
    path.write_bytes(LESSON.encode().replace(b"# # A tiny lesson", b"# # A tiny lesson \xe9"))
    line = 1 + LESSON[: LESSON.index("# # A tiny")].count("\n")
    assert command_line.main(["build", "--check", "--root", str(tmp_path)]) == 1
    assert f"lessons/02_tiny.py:{line}: this is not UTF-8: byte 0xe9" in capsys.readouterr().err
    path.write_bytes(LESSON.encode() + b"\0")
    assert command_line.main(["build", "--check", "--root", str(tmp_path)]) == 1
    assert "lessons/02_tiny.py" in capsys.readouterr().err


def test_the_audit_names_a_lesson_that_is_not_utf8(installed, tmp_path):
    site = tmp_path / "checkout"
    shutil.copytree(installed, site)
    (site / "lessons").mkdir()
    (site / "lessons" / "02_tiny.py").write_bytes(b"x = 1\ny = '\xe9'\n")
    ran = run_in(tmp_path, site, "audit")
    assert ran.returncode == 1 and "lessons/02_tiny.py:2: this is not UTF-8" in ran.stderr
