"""What nbval does not look at: guards over the stored solution notebooks.

nbval compares outputs that exist. It passes a cell without an execution count, does not ask for pictures, and would accept a wrong
answer in a lesson as long as it is wrong each time. These predicates close the gaps; each takes a notebook and yields sentences.
"""

import ast
import re

_IMAGE = re.compile(r'<img\b[^>]*\bsrc="data:image/png;base64,[A-Za-z0-9+/=]{200,}"')
_FULL = re.compile(r"· passed · ([\d.]+) of ([\d.]+) point")


def problems(notebook):
    """All sentences of all guards, for one solution notebook."""
    for guard in GUARDS:
        yield from guard(notebook)


def _code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def draws(source):
    """Whether a cell ends with a figure: `show(...)`, `plots.bars(...)`, `explore(...)`, `an_explorer(...)` or `result.plot(...)`.

    >>> draws("show(fig, alt='two lines that cross')"), draws("ax.plot(x, y); print(3)")
    (True, False)
    """
    last = (ast.parse(source).body or [None])[-1]
    if not isinstance(last, ast.Expr) or not isinstance(last.value, ast.Call):
        return False
    called = last.value.func
    if isinstance(called, ast.Attribute):
        return called.attr == "plot" or getattr(called.value, "id", "") == "plots"
    name = getattr(called, "id", "")
    return name in ("show", "explore") or name.endswith("_explorer")


def counts_run_from_one(notebook):
    """A cell that was not executed in order passes nbval without being compared."""
    counts = [cell.execution_count for cell in _code(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        cell = next(c for i, c in enumerate(_code(notebook), start=1) if c.execution_count != i)
        yield f"cell {cell.id}: execution count {cell.execution_count}; the counts of a fresh run are 1, 2, 3, ..."


def no_error_is_stored(notebook):
    """An error or a warning that is stored would be expected for ever."""
    for cell in _code(notebook):
        for output in cell.outputs:
            if output.output_type == "error":
                yield f"cell {cell.id}: a stored error, {output.ename}: {output.evalue}"
            elif output.output_type == "stream" and output.name == "stderr":
                yield f"cell {cell.id}: stored stderr: {output.text[:80]!r}"


def checks_show_full_points(notebook):
    """The lesson's own answers must be right."""
    for cell in _code(notebook):
        if not cell.metadata.get("mlprod", {}).get("check"):
            continue
        text = "\n".join(_plain(output) for output in cell.outputs)
        found = _FULL.search(text)
        if not found or found[1] != found[2]:
            yield f"cell {cell.id}: the check does not show full points: {text[:120]!r}"


def figures_have_pictures(notebook):
    """Where the source draws, a picture with alternative text is stored."""
    for cell in _code(notebook):
        if not draws(cell.source):
            continue
        html = "".join("".join(o.get("data", {}).get("text/html", "")) for o in cell.outputs)
        if not _IMAGE.search(html):
            yield f"cell {cell.id}: it draws a figure, but no picture is stored"
        elif re.search(r'<img\b(?![^>]*\balt="[^"]{20,}")', html):
            yield f"cell {cell.id}: a picture has no alternative text"


def nothing_is_left_out_silently(notebook):
    """A cell that prints must have an output, unless a tag says that it is not compared."""
    for cell in _code(notebook):
        if re.search(r"^print\(", cell.source, re.MULTILINE) and not cell.outputs:
            yield f"cell {cell.id}: it prints, but no output is stored"


def _plain(output):
    return "".join(output.get("data", {}).get("text/plain", "") or output.get("text", ""))


GUARDS = (
    counts_run_from_one,
    no_error_is_stored,
    checks_show_full_points,
    figures_have_pictures,
    nothing_is_left_out_silently,
)
