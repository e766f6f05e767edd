"""Find the answer to each exercise in a notebook's code, and what it needs: by reading, without running anything.

An answer is found by its name, wherever it stands. Of its cell, and of the cells that it needs, only the statements are taken that
make the names in question: a print, a slow plot or a failing lecture cell is never run. Blank lines take the place of what is
left out, so that line numbers are the learner's.
"""

import ast
import builtins
import functools
import re
import symtable
from dataclasses import dataclass

from mlprod_tools.grade.marks import Answer

MOST_CHARACTERS = 100_000  # of a cell: nobody writes as much by hand
# methods that show a value and leave it as it is
_SHOWS = frozenset(
    (
        "plot",
        "head",
        "tail",
        "describe",
        "info",
        "show",
        "hist",
        "boxplot",
        "scatter",
        "sample",
        "check",
        "hint",
        "progress",
    )
)
_SEEDS = frozenset(
    ("seed", "set_state", "setstate")
)  # on a module, the one kind of call that answers may hang on
# what finds or makes names that a reader of the code cannot see: then the whole cell is taken
_DYNAMIC = frozenset(("exec", "eval", "globals", "locals", "vars", "setattr", "get_ipython", "__import__"))
_RUNS_CODE = re.compile(r"%%(?:time|capture|prun)\b")
_LINE_MAGIC = re.compile(r"^(\s*)%(?:time|prun)\s+(?=\S)")


@dataclass(frozen=True)
class Cell:
    """A code cell: its number in the notebook, the exercise that its metadata names (or ""), and its code."""

    number: int
    exercise: str
    source: str


@dataclass(frozen=True)
class Statement:
    """A statement at the top level of a cell: its lines, the names it makes for sure or perhaps, and those it uses now and later."""

    first: int
    last: int
    makes: frozenset
    may_make: frozenset  # bound under a condition, or changed in place
    uses: frozenset
    uses_later: frozenset  # in the bodies of functions
    stubs: frozenset  # those of `makes` that are still `...`
    gives: frozenset = frozenset()  # (function, name): what is handed to a function, which may change it
    calls: frozenset = frozenset()  # names whose methods are called for their effect, such as `log.append(1)`
    kind: str = ""  # "import" or "function"
    is_dynamic: bool = False
    makes_any: bool = False  # from x import *


@dataclass(frozen=True)
class Parsed:
    """A cell's code without what only IPython understands; `error` is the reason where it is no Python."""

    text: str
    statements: tuple = ()
    error: str = ""


def find(cells, exercises, lesson, edition):
    """The answers in a notebook, one at most for each exercise, in the order of `exercises`.

    Parameters
    ----------
    cells : sequence of Cell
    exercises : sequence of Exercise
    lesson : str
    edition : int or None. That of the notebook.

    Returns
    -------
    list of Answer
    """
    parsed = [_parse(cell.source) for cell in cells]
    code = _Code(parsed)
    found = (_answer(code, cells, exercise, lesson, edition) for exercise in exercises)
    return [answer for answer in found if answer is not None]


def is_attempted(answer, names):
    """Whether one of the names is more than a stub in this answer."""
    statements = [each for text in (*answer.needs, answer.source) for each in _parse(text).statements]
    made = {name for each in statements for name in (each.makes | each.may_make) - each.stubs}
    return bool(made & set(names)) or any(each.is_dynamic for each in statements)


def _answer(code, cells, exercise, lesson, edition):
    """The Answer to one exercise, or None where the notebook has nothing for it."""
    labelled = [i for i, cell in enumerate(cells) if cell.exercise == exercise.id]
    chosen, notes = set(), []
    for name in exercise.answers:
        places = code.definitions(name)
        if not places:
            continue
        attempts = [place for place in places if not code.is_stub(place, name)] or places
        chosen.add(attempts[-1][0])
        in_cells = sorted({cell for cell, _ in attempts})
        if len(in_cells) > 1:
            others = ", ".join(str(cells[i].number) for i in in_cells[:-1])
            notes.append(
                f"`{name}` is defined in cells {others} and {cells[in_cells[-1]].number}: the last one counts."
            )
        elif attempts[-1] != places[-1]:
            number = cells[attempts[-1][0]].number
            notes.append(
                f"`{name}` is still `...` in cell {cells[places[-1][0]].number}: the answer in cell {number} counts."
            )
    notes += _broken_later(code, cells, exercise, chosen, labelled)
    if not chosen:
        # such as a cell that is no Python, or one that makes its names by `exec`
        chosen = set(labelled[-1:]) or {i for i in range(len(cells)) if code.mentions(i, exercise.answers)}
        if not chosen:
            return None
        chosen = {max(chosen)}
    return _with_needs(code, sorted(chosen), exercise, lesson, edition, notes)


def _broken_later(code, cells, exercise, chosen, labelled):
    """A note where a cell after the one that counts would define the answer, but is no Python."""
    if not chosen:
        return []
    later = [
        i
        for i, parsed in enumerate(code.parsed)
        if i > max(chosen) and parsed.error and (i in labelled or code.mentions(i, exercise.answers))
    ]
    return [
        f"Cell {cells[i].number} cannot be run ({code.parsed[i].error}): an earlier cell counts."
        for i in later
    ]


def _with_needs(code, chosen, exercise, lesson, edition, notes):
    last = chosen[-1]
    taken = code.needed(set(exercise.answers), chosen)
    in_whole = {
        i for i in chosen if code.parsed[i].error or any(s.is_dynamic for s in code.parsed[i].statements)
    }
    for i in in_whole:
        taken |= {(i, k) for k in range(len(code.parsed[i].statements))}
    if in_whole:  # the rest of the notebook may be what such a cell reads
        for i in in_whole:
            for k, statement in enumerate(code.parsed[i].statements):
                taken |= code.needed(statement.uses | statement.uses_later, [i], before=(i, k))
    text = {
        i: code.parsed[i].text if i in in_whole else code.text_of(i, {k for j, k in taken if j == i})
        for i in sorted({i for i, _ in taken} | set(chosen))
    }
    needs = tuple(part for i, part in text.items() if i not in chosen and i < last)
    # a helper that stands below its answer is made before it is called
    below = tuple(part for i, part in text.items() if i not in chosen and i > last)
    source = "\n\n".join(text[i] for i in chosen)
    return Answer(lesson, exercise.id, edition, source, needs + below, tuple(notes))


class _Code:
    """The statements of a notebook in document order, by (cell, statement)."""

    def __init__(self, parsed):
        self.parsed = parsed
        self.places = [(i, k) for i, cell in enumerate(parsed) for k in range(len(cell.statements))]
        self._makers = {}
        for place in self.places:
            statement = self.at(place)
            given = {name for _, name in statement.gives}
            for name in statement.makes | statement.may_make | statement.calls | given:
                self._makers.setdefault(name, []).append(place)
        self._any = [place for place in self.places if self.at(place).makes_any]

    def at(self, place):
        i, k = place
        return self.parsed[i].statements[k]

    def definitions(self, name):
        """Where a name is bound, in order; a change in place is none."""
        return [place for place in self._makers.get(name, ()) if self._binds(place, name)]

    def _binds(self, place, name):
        statement = self.at(place)
        return name in statement.makes or (name in statement.may_make and name not in statement.uses)

    def is_stub(self, place, name):
        return name in self.at(place).stubs

    def mentions(self, i, names):
        """Whether a cell that cannot be read seems to define one of the names."""
        if not (self.parsed[i].error or any(s.is_dynamic for s in self.parsed[i].statements)):
            return False
        words = "|".join(map(re.escape, names))
        return (
            re.search(
                rf"^\s*(?:(?:async\s+)?def\s+)?(?:{words})\s*[=(\[:]", self.parsed[i].text, re.MULTILINE
            )
            is not None
        )

    def needed(self, names, cells, before=None):
        """The places of the statements that make `names` as they are after the last of `cells`, and of all that these need."""
        end = before or (max(cells), len(self.parsed[max(cells)].statements))
        taken, asked = set(), set()
        waiting = [(name, end) for name in names]
        while waiting:
            name, until = waiting.pop()
            if (name, until) in asked:
                continue
            asked.add((name, until))
            for place in self._makers_of(name, until):
                if place in taken:
                    continue
                taken.add(place)
                statement = self.at(place)
                waiting += [(each, place) for each in statement.uses]
                waiting += [(each, end) for each in statement.uses_later]
        return taken

    def _makers_of(self, name, until):
        """The last statement before `until` that makes a name for sure, and those after it that may change it."""
        found, known = [], self._makers.get(name, ())
        kind = next((self.at(place).kind for place in reversed(known) if name in self.at(place).makes), "")
        known = [place for place in known if self._may_matter(place, name, kind)]
        real = [place for place in known if not self.is_stub(place, name)] or known
        for place in reversed([place for place in real if place < until]):
            found.append(place)
            if name in self.at(place).makes:
                return found
        if found and not any(self._binds(place, name) for place in found):
            found = []  # changed, never made: it comes from elsewhere
        if not found and not hasattr(builtins, name):
            found = [place for place in self._any if place < until]
            later = [place for place in real if place >= until and self._binds(place, name)]
            found += later[:1]
        return found

    def _may_matter(self, place, name, kind):
        """Whether a statement makes or changes a name; a call on a module, or one that is given a function, hardly does."""
        statement = self.at(place)
        if name in statement.makes | statement.may_make:
            return True
        if kind:
            return False
        return name in statement.calls or any(
            given == name and self._is_function(function) for function, given in statement.gives
        )

    def _is_function(self, name):
        return any(self.at(place).kind == "function" for place in self._makers.get(name, ()))

    def text_of(self, i, statements):
        """The text of a cell with only these statements; other lines are blank."""
        parsed = self.parsed[i]
        keep = set()
        for k in statements:
            keep |= set(range(parsed.statements[k].first, parsed.statements[k].last + 1))
        lines = parsed.text.split("\n")
        return "\n".join(line if n in keep else "" for n, line in enumerate(lines, start=1)).rstrip("\n")


# ------------------------------------------------------------------ reading code


@functools.lru_cache(maxsize=4096)  # most cells of a class are the lesson's own
def _parse(source):
    text = without_magics(source)
    if len(text) > MOST_CHARACTERS:
        return Parsed("", error=f"it has more than {MOST_CHARACTERS:,} characters")
    try:
        tree = ast.parse(text)
        return Parsed(text, tuple(_statement(node) for node in tree.body))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else type(error).__name__
        return Parsed(text, error=reason or "SyntaxError")


def without_magics(source):
    """The code of a cell as Python has it: lines for IPython or the shell are left out, `%%time` runs what is below it.

    >>> without_magics("%matplotlib inline\\n%time x = 1\\n!ls")
    '\\nx = 1\\n'
    """
    text = source.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), 0)
    if lines[first].startswith("%%"):
        if not _RUNS_CODE.match(lines[first]):
            return ""
        lines[first] = ""
    try:
        ast.parse("\n".join(lines))
        return "\n".join(lines)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "\n".join(_without_magic(line) for line in lines)


def _without_magic(line):
    if _LINE_MAGIC.match(line):
        return _LINE_MAGIC.sub(r"\1", line)
    bare = line.strip()
    is_magic = bare.startswith(("%", "!")) or re.match(r"\w[\w, ]*=\s*[%!]", bare)
    is_help = not bare.startswith("#") and re.fullmatch(r"\??\??[\w.]+\??\??", bare) and "?" in bare
    return "" if is_magic or is_help else line


def _statement(node):
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])
    bound = _Bound()
    bound.visit(node)
    now, later = _names(node)
    is_compound = isinstance(
        node, ast.If | ast.For | ast.AsyncFor | ast.While | ast.With | ast.AsyncWith | ast.Try | ast.Match
    )
    is_weak = is_compound or isinstance(node, ast.AugAssign)
    may_make = set(bound.changes) | (bound.names if is_weak else set())
    if isinstance(node, ast.Delete):
        may_make |= bound.names
    makes = set() if is_weak or isinstance(node, ast.Delete) else bound.names
    calls = {
        each.func.id
        for each in ast.walk(node)
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)
    }
    return Statement(
        first,
        node.end_lineno,
        frozenset(makes),
        frozenset(may_make - makes),
        frozenset(now),
        frozenset(later),
        frozenset(makes if _is_stub(node) else ()),
        frozenset(bound.gives),
        frozenset(bound.calls - makes),
        _kind(node),
        is_dynamic=bool(calls & _DYNAMIC),
        makes_any=isinstance(node, ast.ImportFrom) and any(each.name == "*" for each in node.names),
    )


class _Bound(ast.NodeVisitor):
    """The names that a statement binds in the notebook, and those whose objects it changes; bodies of functions aside."""

    def __init__(self):
        self.names, self.changes, self.calls, self.gives = set(), set(), set(), set()

    def visit_FunctionDef(self, node):
        self.names.add(node.name)

    visit_AsyncFunctionDef = visit_ClassDef = visit_FunctionDef

    def visit_Lambda(self, node):
        return

    def visit_ListComp(self, node):
        for each in ast.walk(node):  # := binds outside of it
            if isinstance(each, ast.NamedExpr):
                self.names.add(each.target.id)

    visit_SetComp = visit_DictComp = visit_GeneratorExp = visit_ListComp

    def visit_Name(self, node):
        if isinstance(node.ctx, ast.Store | ast.Del):
            self.names.add(node.id)

    def visit_Import(self, node):
        self.names |= {(each.asname or each.name.split(".")[0]) for each in node.names}

    def visit_ImportFrom(self, node):
        self.names |= {each.asname or each.name for each in node.names if each.name != "*"}

    def visit_Attribute(self, node):
        self._change(node)

    visit_Subscript = visit_Attribute

    def _change(self, node):
        if isinstance(node.ctx, ast.Store | ast.Del) and (root := _root(node)):
            self.changes.add(root)
        self.generic_visit(node)

    def visit_Expr(self, node):
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        if isinstance(call, ast.Call):
            if isinstance(call.func, ast.Attribute):
                if call.func.attr in _SEEDS and (root := _root(call.func)):
                    self.changes.add(root)
                elif call.func.attr not in _SHOWS and (root := _root(call.func)):
                    self.calls.add(root)
            elif isinstance(call.func, ast.Name):
                self.gives |= {(call.func.id, each.id) for each in call.args if isinstance(each, ast.Name)}
        self.generic_visit(node)


def _root(node):
    """The name at the left end of `a.b[c].d()`."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _names(node):
    """(names that a statement reads when it runs, names that its functions read when they are called)."""
    table = symtable.symtable(ast.unparse(node), "cell", "exec")
    now = {each.get_name() for each in table.get_symbols() if each.is_referenced()}
    later, classes = set(), set()
    waiting = [(child, False) for child in table.get_children()]
    while waiting:
        scope, is_within = waiting.pop()
        is_function = scope.get_type() == "function" and scope.get_name() not in (
            "listcomp",
            "setcomp",
            "dictcomp",
            "genexpr",
        )
        is_later = is_within or (is_function and scope.get_name() != "lambda")
        names = {each.get_name() for each in scope.get_symbols() if each.is_global() and each.is_referenced()}
        (later if is_later else classes).update(names)
        waiting += [(child, is_later) for child in scope.get_children()]
    return now | classes, later


def _kind(node):
    if isinstance(node, ast.Import | ast.ImportFrom):
        return "import"
    return "function" if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else ""


def _is_stub(node):
    """Whether the statement leaves an answer open, as in `x = ...`, `d = {"a": ...}` or a function that returns `...`."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        body = [
            each
            for each in node.body
            if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))
        ]
        if not body:  # a docstring, or `...` alone
            return True
        first = body[0]
        return (
            len(body) == 1
            and isinstance(first, ast.Return)
            and first.value is not None
            and _is_open(first.value)
        )
    if isinstance(node, ast.Assign | ast.AnnAssign):
        return node.value is not None and _is_open(node.value)
    return False


def _is_open(value):
    if isinstance(value, ast.Dict):
        return bool(value.values) and all(_is_open(each) for each in value.values)
    if isinstance(value, ast.List | ast.Tuple):
        return bool(value.elts) and all(_is_open(each) for each in value.elts)
    return isinstance(value, ast.Constant) and value.value is Ellipsis
