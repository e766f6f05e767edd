"""Read a lesson: its header, its cells, and where each of them stands in the file.

jupytext splits the text into cells; this module adds what jupytext does not keep, the line numbers, since an error
without its line costs an author minutes. What is wrong is collected as `Problem`s, so that one run names them all.
"""

import ast
import io
import re
import tokenize
from dataclasses import dataclass, field
from pathlib import Path

MARKER = re.compile(r"# ?%%+(\s|$)")  # what jupytext takes as the start of a cell
FILE_NAME = re.compile(r"(\d\d)_[a-z0-9_]+$")
EXERCISE_ID = re.compile(r"\d+\.\d+$")
OWN_KEYS = ("exercise", "check", "tags", "collapsed")
JUPYTER_KEYS = (
    "jupyter",
    "slideshow",
    "editable",
    "deletable",
)  # known to JupyterLab, passed on
FORMAT_KEYS = (
    "lines_to_next_cell",
    "lines_to_end_of_cell_marker",
    "cell_marker",
)  # jupytext's memory of the layout

HEADER = {  # key -> (type, what it is)
    "lesson": (str, 'the two digits of the file name, in quotes: lesson: "02"'),
    "title": (str, "one line"),
    "express": (
        (dict, str),
        'the sections and exercises of the express path: {sections: [Title, Title], exercises: ["5.2"]}, or all',
    ),
    "needs": (list, 'lessons that should come before, such as ["00", "01"], or []'),
    "ideas": (list, "at most four new ideas, or []"),
    "topics": (list, "what `mlprod agenda --topics` finds it by, such as [drift], or []"),
}


@dataclass(frozen=True, order=True)
class Problem:
    """Something that an author has to repair, and where.

    >>> print(Problem("lessons/02_x.py", 17, "two answers have the id 2.3", "answer-2-3"))
    lessons/02_x.py:17: two answers have the id 2.3 (cell answer-2-3)
    """

    path: str
    line: int
    message: str
    cell: str = ""

    def __str__(self):
        return f"{self.path}:{self.line}: {self.message}" + (f" (cell {self.cell})" if self.cell else "")


@dataclass
class Cell:
    """One cell of a lesson; line `i` of `lines` stands in line `first + i` of the file."""

    kind: str  # "markdown" or "code"
    source: str
    first: int
    id: str
    metadata: dict = field(
        default_factory=dict
    )  # what goes to the notebook as it is: tags and JupyterLab's own
    exercise: str = ""
    check: str = ""
    collapsed: bool = False  # JupyterLab shows only the first line, until a reader opens it
    tree: ast.Module | None = None  # of a code cell; None where it does not parse

    @property
    def lines(self):
        return self.source.split("\n")

    @property
    def code(self):
        return self.source if self.kind == "code" else ""

    @property
    def owner(self):
        """The exercise that this cell belongs to, as answer or check; empty for a cell of the lecture."""
        return self.exercise or self.check


@dataclass
class Source:
    """A lesson as it is written."""

    path: Path
    shown: str  # the path as messages show it
    header: dict = field(default_factory=dict)
    cells: list = field(default_factory=list)
    problems: list = field(default_factory=list)
    head: list = field(default_factory=list)  # the lines of the header

    def line_of(self, key, word=""):
        """The line of the header that has a key, or of that key's value the one with `word`."""
        begin = next(
            (i for i, line in enumerate(self.head) if re.match(rf"#\s.*?\b{re.escape(key)}\s*:", line)), 0
        )
        return next((i for i in range(begin, len(self.head)) if word in self.head[i]), begin) + 1

    def report(self, line, message, cell=None):
        """Note a problem at a line of the file."""
        self.problems.append(Problem(self.shown, line, message, cell.id if cell else ""))

    @property
    def code_cells(self):
        return [cell for cell in self.cells if cell.kind == "code"]

    @property
    def parses(self):
        """Whether there are cells and all code can be read."""
        return bool(self.cells) and all(cell.tree is not None for cell in self.code_cells)


def read(path, root=None):
    """Read a lesson source.

    Parameters
    ----------
    path : Path
    root : Path, optional
        Messages name the file relative to it.

    Returns
    -------
    Source
        Without cells where the file could not be understood; `problems` then says why.
    """
    path = Path(path)
    shown = path.relative_to(root).as_posix() if root and path.is_relative_to(root) else path.as_posix()
    found = Source(path, shown)
    if not FILE_NAME.match(path.stem):
        found.report(1, f'a lesson is called like 02_adversarial_validation.py, not "{path.name}"')
    if problem := undecodable(path, shown):
        found.problems.append(problem)
        return found
    text = path.read_text(encoding="utf-8")
    try:
        parse(text)
    except SyntaxError as error:
        found.report(error.lineno or 1, f"this is not Python: {error.msg}")
        return found
    except ValueError as error:  # a zero byte
        found.report(text[: text.find("\0")].count("\n") + 1, f"this is not Python: {error}")
        return found
    found.header = _read_header(found, text)
    _read_cells(found, text)
    return found


def undecodable(path, shown=None):
    """The problem of a file that is not UTF-8, or None."""
    content = Path(path).read_bytes()
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return Problem(
            shown or str(path),
            line,
            f"this is not UTF-8: byte {content[error.start]:#04x}; save the file as UTF-8",
        )
    return None


def parse(code):
    """The syntax tree of code that may await at its top level, as notebook cells may."""
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return compile(code, "lesson", "exec", flags=flags, dont_inherit=True)


def comments(code):
    """The comments of Python code: (line, column, text), never a look-alike inside a string."""
    tokens = tokenize.generate_tokens(io.StringIO(code + "\n").readline)
    return [(*token.start, token.string) for token in tokens if token.type == tokenize.COMMENT]


def _read_header(source, text):
    import yaml

    lines = text.split("\n")
    last = _header_end(lines) - 1
    if last < 0:
        source.report(1, "the lesson has no header: YAML in comments between two lines `# ---`")
        return {}
    try:
        whole = yaml.safe_load("\n".join(line[1:].removeprefix(" ") for line in lines[1:last])) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        source.report(
            2 + (mark.line if mark else 0), f"the header is not YAML: {getattr(error, 'problem', error)}"
        )
        return {}
    header = whole.get("mlprod") if isinstance(whole, dict) else None
    if not isinstance(header, dict):
        source.report(1, "the header has no section `mlprod:`")
        return {}

    source.head = lines[:last]
    for message, key in _header_faults(header, source.path.stem):
        source.report(source.line_of(key), message)
    return header


def _header_end(lines):
    """How many lines the header takes; 0 without one."""
    rules = [i for i, line in enumerate(lines) if line.rstrip() == "# ---"]
    return rules[1] + 1 if len(rules) > 1 and rules[0] == 0 else 0


def _header_faults(header, stem):
    for key, (kind, meaning) in HEADER.items():
        if key not in header:
            yield f"the header lacks `{key}`: {meaning}", "mlprod"
        elif not isinstance(header[key], kind) or isinstance(header[key], bool):
            yield f"`{key}: {header[key]}` should be {meaning}", key
    for key in header:
        if key not in HEADER:
            yield f"the header has an unknown key `{key}`; known are {', '.join(HEADER)}", str(key)
    if isinstance(header.get("lesson"), str) and not stem.startswith(header["lesson"] + "_"):
        yield f'the header says lesson "{header["lesson"]}", the file name says "{stem[:2]}"', "lesson"
    if isinstance(header.get("ideas"), list) and len(header["ideas"]) > 4:
        yield f"a lesson has at most four new ideas, this one has {len(header['ideas'])}", "ideas"
    needs = header.get("needs")
    if isinstance(needs, list) and not all(isinstance(item, str) for item in needs):
        yield 'the lessons in `needs` are strings: ["00", "01"]', "needs"
    yield from _express_faults(header.get("express"))


def _express_faults(express):
    if isinstance(express, str) and express != "all":
        yield f"`express: {express}` should be {HEADER['express'][1]}", "express"
    if not isinstance(express, dict):
        return
    if set(express) != {"sections", "exercises"}:
        yield f"`express` has the keys sections and exercises, not {', '.join(map(str, express))}", "express"
        return
    for key, example in (("sections", "[The title of a section]"), ("exercises", '["5.2", "5.3"]')):
        if not isinstance(express[key], list) or not all(isinstance(each, str) for each in express[key]):
            yield f"`{key}` is a list of texts: {key}: {example}", key


def _read_cells(source, text):
    import jupytext

    # without comment_magics=False a comment such as `# more rows` would become the shell command `more rows`
    form = {"extension": ".py", "format_name": "percent", "comment_magics": False}
    lines = text.split("\n")
    body = "\n".join(lines[_header_end(lines) :]).lstrip("\n")  # the header is read above
    try:
        cells = jupytext.reads(body, fmt=form).cells
    except Exception as error:  # jupytext has no error class of its own
        source.report(1, f"jupytext cannot read this file: {error}")
        return
    starts = [line for line, column, comment in comments(text) if column == 0 and MARKER.match(comment)]
    if len(starts) != len(cells):
        first = starts[0] if starts else 1
        source.report(
            first,
            "there is text between the header and the first `# %%`, or a cell that cannot be told apart",
        )
        return
    for i, (start, cell) in enumerate(zip(starts, cells, strict=True)):
        end = starts[i + 1] - 1 if i + 1 < len(starts) else len(lines)
        source.cells.append(_cell(source, cell, i + 1, start, lines[start:end]))


def _cell(source, cell, position, start, lines):
    """One cell, from jupytext's cell and the lines of the file below its marker, which stands in line `start`."""
    keys = dict(cell.metadata)
    collapsed = keys.pop("collapsed", False)
    exercise, check = str(keys.pop("exercise", "")), str(keys.pop("check", ""))
    text = cell.source.lstrip("\n")
    in_string = "cell_marker" in keys  # Markdown between quotes begins a line further down
    first = start + 1 + len(cell.source) - len(text) + in_string
    made = Cell(cell.cell_type, text.rstrip("\n"), first, f"cell-{position:03d}")
    if exercise or check:
        made.id = f"{'answer' if exercise else 'check'}-{(exercise or check).replace('.', '-')}"
    made.exercise, made.check, made.collapsed = exercise, check, collapsed is True
    made.metadata = {key: value for key, value in keys.items() if key == "tags" or key in JUPYTER_KEYS}
    for key in keys:
        if key not in (*OWN_KEYS, *JUPYTER_KEYS, *FORMAT_KEYS):
            source.report(start, f"`{key}` is not known here; after `# %%` stand {', '.join(OWN_KEYS)}", made)
    if exercise and check:
        source.report(start, "one cell cannot be an answer and its check", made)
    if made.kind == "raw":
        source.report(start, "raw cells are not used: write Markdown or code", made)
    if collapsed is not False:
        for message in _collapsed_faults(made):
            source.report(start, message, made)
    if made.kind != "code":
        if made.owner:
            source.report(start, "answers and checks are code cells", made)
        if made.kind == "markdown" and not made.source.strip():
            source.report(start, "this cell is empty", made)
        return made

    lines = lines[made.first - start - 1 :]
    if not made.source.strip():
        source.report(start, "this cell is empty: it would have no execution count", made)
    elif made.lines != lines[: len(made.lines)]:
        source.report(
            start, "jupytext reads other lines than the file has: is there a `# %%` inside brackets?", made
        )
    try:
        made.tree = parse(made.code)
    except SyntaxError as error:
        source.report(
            made.first + (error.lineno or 1) - 1, f"this cell is not Python on its own: {error.msg}", made
        )
    return made


def _collapsed_faults(cell):
    if not cell.collapsed:
        yield "write `collapsed=true`, or leave it out"
    if cell.kind != "code":
        yield "only a code cell is collapsed; text is folded by `<details>`"
    elif cell.owner:
        yield "answers and checks are never collapsed"
    elif not cell.source.startswith("#"):
        yield "a collapsed cell begins with a comment: JupyterLab shows its first line as the label"
