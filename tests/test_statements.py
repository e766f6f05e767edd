"""Statements hold everything that is needed: what a learner's notebook shows of an exercise names each option, key and shape that its
kind wants, and each function and cell that it speaks of exists."""

import ast
import builtins
import json
import re
from functools import cache
from pathlib import Path

import pytest

from mlprod_helpers.lesson import contract
from mlprod_helpers.lesson.kinds import (
    Array,
    Choice,
    Frame,
    Function,
    Mapping,
    Names,
    Order,
    Sequence,
    Several,
    Text,
)
from mlprod_tools.build import Builder, source
from mlprod_tools.build.names import needs_and_bindings

ROOT = Path(__file__).resolve().parents[1]
LESSONS = sorted((ROOT / "lessons").glob("[0-9][0-9]_*.py"))
EXERCISES = [
    (path, exercise) for path in LESSONS for exercise in contract.load(path.stem[:2]).exercises.values()
]
each_exercise = pytest.mark.parametrize(
    ("path", "exercise"), EXERCISES, ids=[exercise.id for _, exercise in EXERCISES]
)
SHAPES = {  # kind -> how a statement may name it
    Mapping: r"\bdicts?\b|\bmapping\b|to_dict",
    Frame: r"\bDataFrames?\b|\btables?\b|\bframes?\b",
    Array: r"\barrays?\b|\blists?\b|\bnumbers\b|\bvalues\b",
    Sequence: r"\blists?\b|\bpairs?\b|\border\b|\bsequence\b",
}
_CELLS = r"\b(?:(?:next|following) cell|cells? (?:just )?(?:below|above|before|after)|cell that follows)\b"


@cache
def learner(path):
    """The cells of a learner's notebook, made from its lesson."""
    pair, problems = Builder(ROOT).make(path)
    assert not problems
    return pair.learner.cells


def place(path, exercise):
    """The position of an exercise's first answer cell in the notebook."""
    cells = learner(path)
    return next(i for i, cell in enumerate(cells) if about(cell).get("exercise") == exercise.id)


def about(cell):
    return cell.metadata.get("mlprod", {})


def of_exercise(path, exercise, until="answer"):
    """The cells of an exercise, from its headline to its answer or its check: (whole cell of the headline, what follows it there, the rest)."""
    cells, answer = learner(path), place(path, exercise)
    headline = re.compile(rf"^#+ Exercise {re.escape(exercise.id)} .*", re.MULTILINE)
    begin = max(i for i in range(answer) if headline.search(cells[i].source))
    check = next(i for i, cell in enumerate(cells) if about(cell).get("check") == exercise.id)
    whole = cells[begin].source
    rest = cells[begin + 1 : answer if until == "answer" else check]
    return whole, headline.split(whole)[-1], rest


def statement(path, exercise):
    """The Markdown of an exercise: from its headline to its answer cell."""
    _, first, rest = of_exercise(path, exercise)
    return "\n".join([first, *(cell.source for cell in rest if cell.cell_type == "markdown")])


def visible(path, exercise):
    """All that a learner sees of an exercise before it is checked: the text around the headline, cells between, answer cells."""
    first, _, rest = of_exercise(path, exercise, until="check")
    return "\n".join([first, *(cell.source for cell in rest)])


def shown(path, exercise):
    """What the cells of an exercise print, as the solution notebook has it."""
    *_, cells = of_exercise(path, exercise, until="check")
    ids = {cell.id for cell in cells}
    solution = json.loads((ROOT / "solutions" / f"{path.stem}.ipynb").read_text(encoding="utf-8"))
    printed = [cell.get("outputs") for cell in solution["cells"] if cell.get("id") in ids]
    return json.dumps(printed)


def kinds_within(kind):
    """A kind and the kinds of its parts."""
    yield kind
    parts = []
    if isinstance(kind, Function):
        parts = [kind.returns]
    elif isinstance(kind, Several):
        parts = kind.kinds
    elif isinstance(kind, Mapping):
        parts = [kind.values]
    elif isinstance(kind, Sequence):
        parts = [kind.items]
    for part in parts:
        if part is not None:
            yield from kinds_within(part)


def words_wanted(kind):
    """The texts that an answer of this kind has to contain."""
    if isinstance(kind, Choice):
        return [*kind.options, *kind.cases]
    if isinstance(kind, Text | Names):
        return kind.options or ()
    if isinstance(kind, Order):
        return kind.steps
    if isinstance(kind, Mapping):
        return kind.keys
    if isinstance(kind, Frame):
        return kind.columns
    return ()


def is_named(word, text):
    return re.search(rf"(?<![A-Za-z0-9_]){re.escape(str(word))}(?![A-Za-z0-9_])", text) is not None


@each_exercise
def test_each_option_key_and_column_is_visible(path, exercise):
    text = visible(path, exercise)
    if any(isinstance(kind, Names) for kind in exercise.kinds):  # columns of a table that is shown
        text += shown(path, exercise)
    wanted = [word for kind in exercise.kinds for part in kinds_within(kind) for word in words_wanted(part)]
    assert [word for word in wanted if not is_named(word, text)] == []


@each_exercise
def test_each_choice_shows_all_options_where_the_answer_is_written(path, exercise):
    answer = learner(path)[place(path, exercise)].source
    for kind in exercise.kinds:
        if isinstance(kind, Choice):
            assert [option for option in kind.options if f'"{option}"' not in answer] == []


@each_exercise
def test_the_shape_of_an_answer_is_named(path, exercise):
    text = visible(path, exercise)
    missing = [
        type(part).__name__
        for kind in exercise.kinds
        for part in kinds_within(kind)
        if type(part) in SHAPES and not re.search(SHAPES[type(part)], text, re.IGNORECASE)
    ]
    assert missing == []


@each_exercise
def test_each_answer_and_parameter_is_named(path, exercise):
    text = visible(path, exercise)
    for name, kind in zip(exercise.answers, exercise.kinds, strict=True):
        assert is_named(name, statement(path, exercise)) or is_named(name, text), name
        for parameter in kind.params if isinstance(kind, Function) else ():
            assert is_named(parameter, text), parameter


def defined_in(path):
    """The names that a learner's notebook defines somewhere, and those of Python itself."""
    names = set(dir(builtins))
    for cell in learner(path):
        if cell.cell_type == "code":
            tree = source.parse(cell.source)
            names |= {binding.name for binding in needs_and_bindings(tree)[1]}
            names |= {
                node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)
            }
            names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return names


@each_exercise
def test_what_a_statement_calls_exists(path, exercise):
    """`name(...)` in a statement is defined in the notebook, or is the exercise's own answer."""
    known = defined_in(path) | set(exercise.answers)
    calls = re.findall(r"`([A-Za-z_]\w*)\(", statement(path, exercise))
    assert [name for name in calls if name not in known] == []


@each_exercise
def test_a_promised_cell_is_there(path, exercise):
    """ "The cell below" of a statement is a code cell between it and the check, other than the answer itself; "above", one before it."""
    cells, answer = learner(path), place(path, exercise)
    for phrase in re.findall(_CELLS, statement(path, exercise), re.IGNORECASE):
        if re.search("above|before", phrase):
            assert any(cell.cell_type == "code" for cell in cells[:answer])
            continue
        end = next(i for i, cell in enumerate(cells) if about(cell).get("check") == exercise.id)
        begin = max(
            i
            for i in range(answer)
            if cells[i].cell_type == "markdown" and re.search(re.escape(phrase), cells[i].source)
        )
        own = [
            cell
            for cell in cells[begin + 1 : end]
            if cell.cell_type == "code" and not about(cell).get("exercise")
        ]
        writes = re.search(
            r"(?:write|fill|answer|complete|edit)[^.]*" + re.escape(phrase),
            statement(path, exercise),
            re.IGNORECASE,
        )
        assert own or writes, phrase


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_outside_of_exercises_too_a_promised_cell_is_there(path):
    cells = learner(path)
    for i, cell in enumerate(cells):
        if cell.cell_type == "markdown" and re.search(
            r"\b(?:next cell|cell below)\b", cell.source, re.IGNORECASE
        ):
            assert any(each.cell_type == "code" for each in cells[i + 1 : i + 4]), cell.source[:200]
