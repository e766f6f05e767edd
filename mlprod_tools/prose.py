"""What a learner reads in a lesson: its blocks of text, their sentences and words, and the lines of its code.

- A block is a paragraph, a list item, a row of a table, a heading or a label (the line of points and minutes, the summary of
  a `<details>`). Each list item is a paragraph of its own. Rows, headings and labels have words, but no sentences.
- A word is what stands between spaces and holds a letter or a digit. A code span, a formula and a placeholder are one word each.
- A sentence ends with a full stop, a question mark, an exclamation mark or a semicolon, and with its paragraph. Abbreviations,
  decimal points and code spans end none.
- A code line is a line of a code cell that is neither blank nor only a comment. Answers and checks do not count, nor does the stub
  that learners complete: the time for them is in the exercise's minutes. A fenced block in the text counts as code.
- Text in `<details>` and the code of collapsed cells is folded, and counted separately.
"""

import ast
import re
from dataclasses import dataclass, field
from functools import cached_property

from mlprod_tools.build.source import comments
from mlprod_tools.build.stub import BEGIN, END

FACTS = re.compile(r"^\*(.*\d+ points?.*)\*\s*$")
EXERCISE = re.compile(r"Exercise (\d+\.\d+) · (.+)")
_HEADING = re.compile(r"(#{1,6})\s+(.*)")
_ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+")
_RULE = re.compile(r"\s*\|?[\s:|-]+\|?\s*$")
_ENDS = re.compile(r"([.!?]+|;)[\"'”’)\]]*(?=\s|$)")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"“])(?:e\.g|i\.e|vs|etc|cf|approx|resp|incl|Fig|fig|No|no|Dr|Mr|Mrs|St|a\.m|p\.m|[A-Z])$"
)


@dataclass
class Block:
    """A piece of text that starts in line `line` of the lesson."""

    kind: str  # "paragraph", "item", "row", "heading" or "label"
    line: int
    raw: str
    folded: bool = False
    quoted: bool = False
    level: int = 0  # of a heading

    @cached_property
    def marked(self):
        """The text with one word for each code span, formula, link and placeholder; emphasis is still marked."""
        return one_word_each(self.raw)

    @property
    def plain(self):
        return self.marked.replace("*", "")

    @property
    def words(self):
        return count_words(self.plain)

    @cached_property
    def sentences(self):
        """(line, text, number of words) of each sentence."""
        if self.kind not in ("paragraph", "item"):
            return []
        text, found = self.plain, []
        for begin, end in _spans(text):
            part = text[begin:end]
            if words := count_words(part):
                line = self.line + text[: begin + len(part) - len(part.lstrip())].count("\n")
                found.append((line, " ".join(part.split()), words))
        return found


@dataclass
class CellText:
    """A cell as a learner meets it: its blocks, or how many lines of code it shows."""

    cell: object
    blocks: list = field(default_factory=list)
    code: int = 0
    folded_code: int = 0


def texts(source):
    """The cells of a lesson as learners meet them.

    Parameters
    ----------
    source : mlprod_tools.build.source.Source

    Returns
    -------
    list of CellText
    """
    return [_cell_text(cell) for cell in source.cells]


def one_word_each(text):
    """Text in which each code span, formula and placeholder is one word; line ends stay.

    >>> one_word_each("Call `f(x, y)` with $a + b$, see [the guide](x.md).")
    'Call Xcode with Xmath, see the guide.'
    """

    def instead(word):
        return lambda match: word + "\n" * match[0].count("\n")

    text = re.sub(r"<!--.*?-->", instead(""), text, flags=re.DOTALL)
    text = re.sub(r"(`+)(?!`).*?(?<!`)\1(?!`)", instead("Xcode"), text, flags=re.DOTALL)
    text = re.sub(r"\$\$.*?\$\$|(?<![\\\w])\$[^$\n]+\$", instead("Xmath"), text, flags=re.DOTALL)
    text = re.sub(r"\{\{express\}\}", "", text)  # its sentence follows from the header
    text = re.sub(r"\{\{\w+\}\}", "Xnumber", text)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", instead(""), text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"</?[a-z][^>]*>", instead(""), text)


def count_words(text):
    """How many words.

    >>> count_words("75% of 3.5 – 4 out-of-fold rows")
    6
    """
    return sum(any(char.isalnum() for char in word) for word in text.split())


def split_sentences(text):
    """The sentences of a paragraph without markup.

    >>> split_sentences("It grew, e.g. by 3.5 points; then it fell. Why?")
    ['It grew, e.g. by 3.5 points;', 'then it fell.', 'Why?']
    """
    return [" ".join(text[begin:end].split()) for begin, end in _spans(text)]


def _spans(text):
    begin = 0
    for match in _ENDS.finditer(text):
        if _is_end(text, match):
            yield begin, match.end()
            begin = match.end()
    if text[begin:].strip():
        yield begin, len(text)


def _is_end(text, match):
    if match[1] == ";":
        return True
    after = text[match.end() :].lstrip(" \n\"'“‘([")
    if after[:1].islower():
        return False
    return not (match[1] == "." and _ABBREVIATION.search(text[: match.start()]))


def _cell_text(cell):
    if cell.kind == "markdown":
        return _read_markdown(cell)
    found = CellText(cell)
    if not cell.owner:
        lines = count_code(cell.source)
        found.code, found.folded_code = (0, lines) if cell.collapsed else (lines, 0)
    return found


def count_code(code):
    """How many lines are neither blank nor only a comment.

    >>> count_code("# why\\n\\nx = 1  # one\\n")
    1
    """
    only = {line for line, column, _ in comments(code) if not code.split("\n")[line - 1][:column].strip()}
    return sum(bool(text.strip()) and i not in only for i, text in enumerate(code.split("\n"), 1))


def _read_markdown(cell):
    """The blocks of a Markdown cell, line by line."""
    found = CellText(cell)
    current, folded, fenced = None, False, False
    for number, line in enumerate(cell.lines, cell.first):
        quoted = line.startswith(">")
        text = line.lstrip(">").removeprefix(" ") if quoted else line
        if text.lstrip().startswith("```"):
            current, fenced = None, not fenced
            continue
        if fenced:
            found.code += bool(text.strip()) and not folded
            found.folded_code += bool(text.strip()) and folded
            continue
        if "<details" in text:
            current, folded = None, True
            text = re.sub(r"<details[^>]*>", "", text)
        closes = "</details>" in text
        text = text.replace("</details>", "")
        if "<summary" in text:
            inner = re.search(r"<summary[^>]*>(.*?)(?:</summary>|$)", text)
            found.blocks.append(Block("label", number, inner[1]))  # what is always seen of a folded text
            current, text = None, text[inner.end() :]
        kind, level, body = _kind_of(text)
        if kind == "more":
            if current is None:
                current = Block("paragraph", number, body, folded, quoted)
                found.blocks.append(current)
            else:
                current.raw += "\n" + body
        elif kind:
            block = Block(kind, number, body, folded, quoted, level)
            found.blocks.append(block)
            current = block if kind == "item" else None
        else:
            current = None
        if closes:
            current, folded = None, False
    return found


def _kind_of(text):
    """(kind, level, text) of a line; "more" goes on with the block before it, "" ends that."""
    if not text.strip() or re.fullmatch(r"\s*(-{3,}|\*{3,})\s*", text):
        return "", 0, ""
    if heading := _HEADING.match(text):
        return "heading", len(heading[1]), heading[2]
    if text.lstrip().startswith("|"):
        return ("", 0, "") if _RULE.match(text) else ("row", 0, text.replace("|", " | "))
    if FACTS.match(text):
        return "label", 0, text
    if item := _ITEM.match(text):
        return "item", 0, text[item.end() :]
    return "more", 0, text


def helper_names(source):
    """The names that a lesson imports from the course's package, outside of answers: name -> line; `Lesson` aside."""
    found = {}
    for cell in source.code_cells:
        hidden = hidden_lines(cell)
        for node in ast.walk(cell.tree) if cell.tree else ():
            if not isinstance(node, ast.Import | ast.ImportFrom) or node.lineno in hidden:
                continue
            for item in node.names:
                module = node.module or "" if isinstance(node, ast.ImportFrom) else item.name
                name = item.asname or item.name
                if module.split(".")[0] == "mlprod_helpers" and name != "Lesson":
                    found.setdefault(name, cell.first + node.lineno - 1)
    return found


def hidden_lines(cell):
    """The lines of a cell that learners do not get: those of its answer."""
    hidden, inside = set(), False
    for number, line in enumerate(cell.lines, 1):
        inside = inside or line.strip() == BEGIN
        if inside:
            hidden.add(number)
        inside = inside and line.strip() != END
    return hidden
