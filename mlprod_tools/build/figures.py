"""No figure without words: what a lesson draws carries an alternative text.

Before execution the code is read (`missing_alt`); afterwards the outputs are (`output_faults`), since only then is it
known what a cell really shows.
"""

import ast
import re
from html.parser import HTMLParser

_SHOWS = {"show": 1, "Figure": 1}  # call -> position of its alternative text
_PANDAS_OPTIONS = {
    "kind",
    "x",
    "y",
    "ax",
    "subplots",
    "figsize",
    "title",
    "grid",
    "legend",
    "style",
    "bins",
    "color",
}
_PICTURES = ("image/png", "image/jpeg", "image/svg+xml")
_MARKDOWN_IMAGE = re.compile(r"!\[\s*\]\(")
_ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")
_WIDGET = "application/vnd.jupyter.widget-view+json"


def missing_alt(tree):
    """(line, message) of each place in a cell that draws without an alternative text.

    >>> list(missing_alt(ast.parse("frame.plot.hist()")))
    [(1, '`frame.plot.hist()` shows a bare figure: end the cell with show(fig, alt="what to notice")')]
    """
    shown = False
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        short = name.split(".")[-1]
        if name in ("plt.show", "pyplot.show", "matplotlib.pyplot.show"):
            yield node.lineno, 'plt.show() shows a figure without words: use show(fig, alt="what to notice")'
        elif name in _SHOWS or (short in _SHOWS and name.split(".")[0] == "plots"):
            shown = True
            if not _has_alt(node, _SHOWS[short]):
                yield (
                    node.lineno,
                    f'`{short}(...)` without an alternative text: {short}(fig, alt="what to notice")',
                )
    if not shown:
        for node in tree.body:
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _is_bare_plot(node.value):
                what = ast.unparse(node.value.func)
                yield (
                    node.lineno,
                    f'`{what}()` shows a bare figure: end the cell with show(fig, alt="what to notice")',
                )


def _has_alt(call, position):
    given = [keyword.value for keyword in call.keywords if keyword.arg == "alt"] or call.args[
        position : position + 1
    ]
    if any(keyword.arg is None for keyword in call.keywords):  # **options: cannot be known before it runs
        return True
    return bool(given) and not (isinstance(given[0], ast.Constant) and not str(given[0].value or "").strip())


def _is_bare_plot(call):
    """`plt.hist(...)`, `frame.plot.scatter(...)`, `frame.plot(kind="bar")`; a result's own `plot()` has its words."""
    parts = ast.unparse(call.func).split(".")
    if parts[0] in ("plt", "pyplot") and parts[-1] not in (
        "close",
        "rcdefaults",
        "switch_backend",
        "show",
        "ioff",
        "ion",
    ):
        return True
    if len(parts) > 2 and parts[-2] == "plot":
        return True
    if parts[-1] in ("hist", "boxplot") and isinstance(call.func, ast.Attribute):
        return True
    return (
        parts[-1] == "plot" and len(parts) > 1 and any(word.arg in _PANDAS_OPTIONS for word in call.keywords)
    )


def markdown_faults(text):
    """(line within the cell, message) of each image in Markdown that has no words."""
    for number, line in enumerate(text.split("\n"), start=1):
        if _MARKDOWN_IMAGE.search(line):
            yield number, "an image without an alternative text: ![what to notice](...)"
    for number in _images_without_alt(text):
        yield number, 'an <img> without an alternative text: alt="what to notice"'


def output_faults(outputs):
    """Messages about what an executed cell shows.

    >>> output_faults([{"output_type": "display_data", "data": {"image/png": "...", "text/plain": "<Figure>"}}])
    ['shows a picture without an alternative text: end the cell with show(fig, alt="what to notice")']
    """
    found = []
    for output in outputs:
        if output["output_type"] == "error":
            found.append(f"stores an error: {output['ename']}: {output['evalue']}")
        if output["output_type"] == "stream":
            if output["name"] == "stderr":
                found.append(f"writes to stderr: {_text(output['text']).strip()[:200]}")
            elif _ADDRESS.search(_text(output["text"])):
                found.append("prints the address of an object, which is another one on each run")
            continue
        data = output.get("data", {})
        if _ADDRESS.search(_text(data.get("text/plain", ""))):
            found.append("shows the address of an object, which is another one on each run")
        html = _text(data.get("text/html", ""))
        if any(kind in data for kind in _PICTURES) and "<img" not in html:
            found.append(
                'shows a picture without an alternative text: end the cell with show(fig, alt="what to notice")'
            )
        if list(_images_without_alt(html)):
            found.append("shows an <img> without an alternative text")
        if _WIDGET in data and not html:
            found.append("shows a widget that has no still picture (text/html): use explore(...)")
    return found


def _text(value):
    return value if isinstance(value, str) else "".join(value)


def _images_without_alt(html):
    finder = _ImageFinder()
    finder.feed(html)
    return finder.lines


class _ImageFinder(HTMLParser):
    def __init__(self):
        super().__init__()
        self.lines = []

    def handle_starttag(self, tag, attrs):
        if tag == "img" and not (dict(attrs).get("alt") or "").strip():
            self.lines.append(self.getpos()[0])
