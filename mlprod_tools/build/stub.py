"""Take the answers out of a cell, by its syntax tree.

A region, from `### BEGIN SOLUTION` to `### END SOLUTION`, is made of whole statements that stand directly in the module
body or directly in a function body (a method's too, but not `__init__`'s), at most one region a function. Learners get

- in a function: `return ...`;
- in the module: `name = ...` for each of the exercise's answers that the region plainly assigns, one a line, with the
  contract's template in place of `...` where it has one (the cases of a choice). Other names of the region vanish.

Everything else (a class body, a part of a top-level `for` or `if`, a top-level `def`, a part of a statement) is a problem.
"""

import ast
import re
from dataclasses import dataclass

from mlprod_tools.build.source import comments

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
_NEARLY = re.compile(r"#+\s*(BEGIN|END)\s+SOLUTION\b", re.IGNORECASE)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_KEYWORDS = {
    ast.For: "for",
    ast.AsyncFor: "for",
    ast.While: "while",
    ast.If: "if",
    ast.With: "with",
    ast.AsyncWith: "with",
    ast.Try: "try",
    ast.TryStar: "try",
    ast.Match: "match",
}


@dataclass
class Region:
    """One region of a cell; lines count from 1 within the cell, markers included."""

    begin: int
    end: int
    statements: list
    chain: tuple = ()  # the classes and functions around it, from outside to inside

    @property
    def function(self):
        """The function whose body it stands in; None in the module body."""
        return self.chain[-1] if self.chain else None

    def __contains__(self, line):
        return self.begin <= line <= self.end


def find_regions(source, cell):
    """The regions of a code cell that the rule allows; the others are reported."""
    found = []
    for begin, end in _pairs(source, cell):
        region = _place(source, cell, begin, end)
        if region:
            found.append(region)
    seen = set()
    for region in found:
        if region.function is not None and id(region.function) in seen:
            name = region.function.name
            source.report(
                cell.first + region.begin - 1, f"`{name}` has two regions; a function has one at most", cell
            )
        seen.add(id(region.function))
    return found


def _pairs(source, cell):
    """(begin, end) of each region, as lines of the cell; unbalanced and nested markers are reported."""
    pairs, opened = [], None
    lines = cell.lines
    for line, column, text in comments(cell.code):
        if not _NEARLY.match(text):
            continue
        where = cell.first + line - 1
        if text.rstrip() not in (BEGIN, END):
            source.report(where, f"`{text.strip()}` is nearly a marker; write `{BEGIN}` or `{END}`", cell)
        elif lines[line - 1][:column].strip():
            source.report(where, f"`{text.rstrip()}` needs a line of its own", cell)
        elif text.rstrip() == BEGIN:
            if opened:
                source.report(
                    where, f"a region begins inside the one of line {cell.first + opened - 1}", cell
                )
            opened = line
        elif opened is None:
            source.report(where, f"`{END}` without `{BEGIN}`", cell)
        else:
            pairs.append((opened, line))
            opened = None
    if opened:
        source.report(cell.first + opened - 1, f"`{BEGIN}` without `{END}`", cell)
    return pairs


def _place(source, cell, begin, end):
    """Find the body that a region stands in, from the module inwards."""

    def refuse(message):
        source.report(cell.first + begin - 1, message, cell)

    body, chain = cell.tree.body, ()
    while True:
        touched = [node for node in body if _top(node) < end and begin < node.end_lineno]
        inside = [node for node in touched if begin < _top(node) and node.end_lineno < end]
        if len(touched) == len(inside):
            break
        if len(touched) > 1 or not isinstance(touched[0], _DEFINITIONS):
            return refuse(_why_cut(touched, chain))
        body, chain = touched[0].body, (*chain, touched[0])

    holder = chain[-1] if chain else None
    if not inside:
        return refuse("there is no whole statement between the markers")
    if isinstance(holder, ast.ClassDef):
        return refuse(f"the region stands in the body of class `{holder.name}`: put it into its methods")
    if holder is not None and holder.name == "__init__":
        return refuse(
            "the region stands in `__init__`, which cannot return `...`: put it into another method"
        )
    if {_indent(cell, begin), _indent(cell, end)} != {inside[0].col_offset}:
        return refuse("indent both markers like the statements between them")
    whole = next((node for node in inside if isinstance(node, _DEFINITIONS)), None)
    if holder is None and whole is not None:
        what = "class" if isinstance(whole, ast.ClassDef) else "def"
        return refuse(
            f"the region holds the top-level {what} `{whole.name}` as a whole: put the markers into its body, "
            "so that learners keep its head"
        )
    return Region(begin, end, inside, chain)


def _why_cut(cut, chain):
    where = f"in `{chain[-1].name}`" if chain else "at the top level"
    keyword = _KEYWORDS.get(type(cut[0]))
    if len(cut) > 1 or keyword is None:
        return f"the markers cut a statement {where}: put them around whole statements"
    return f"the region is a part of the `{keyword}` {where}: put the markers around all of it"


def _top(node):
    """The first line of a statement, its decorators included."""
    return min([node.lineno, *(item.lineno for item in getattr(node, "decorator_list", []))])


def _indent(cell, line):
    text = cell.lines[line - 1]
    return len(text) - len(text.lstrip())


def plainly_assigned(region):
    """The names that the statements of a region assign, in order: `a = 1`, `a, b = f()`, `a: int = 1`."""
    names = []
    for node in region.statements:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            targets = [node.target]
        for target in targets:
            parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
            names += [part.id for part in parts if isinstance(part, ast.Name)]
    return list(dict.fromkeys(names))


def without_answers(cell, regions, answers, templates):
    """The cell's source as learners get it."""
    lines = cell.lines
    for region in sorted(regions, key=lambda region: -region.begin):
        if region.function is None:
            named = [name for name in plainly_assigned(region) if name in answers]
            stub = "\n".join(f"{name} = {templates.get(name, '...')}" for name in named).split("\n")
        else:
            stub = [" " * _indent(cell, region.begin) + "return ..."]
        lines = lines[: region.begin - 1] + stub + lines[region.end :]
    return "\n".join(lines)


def without_markers(cell, regions):
    """The cell's source with its answers, and for each of its lines the line of the lesson's file."""
    dropped = {line for region in regions for line in (region.begin, region.end)}
    kept = [(line, i) for i, line in enumerate(cell.lines, start=1) if i not in dropped]
    return "\n".join(line for line, _ in kept), [cell.first + i - 1 for _, i in kept]
