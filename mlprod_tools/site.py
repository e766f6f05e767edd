"""`mlprod site`: the course as web pages, by Sphinx, from what is built: nothing is executed, and nothing is loaded from elsewhere.

The sources are gathered in one folder that is laid out like the repository, so that links between pages stay as they are written.
Lessons are the notebooks of `solutions/` with folded answers; each room of the package gets a page from its docstrings.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from urllib.parse import unquote

from mlprod_tools import launch

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    *("INSTRUCTORS.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *("docs/glossary.md", "docs/syllabus.md", "datasets/README.md"),
)
HIDDEN_ROOMS = {"exercises"}  # they hold the answers

_ANCHOR = re.compile(r"(\]\([^)\s#]+\.ipynb)#([^)\s]+)\)")
_PANDAS = re.compile(r"<style scoped>.*?</style>\s*", re.DOTALL)
_DIMMED = re.compile(r"<style>\[data-jp-theme-light.*?</style>")


def add_options(parser):
    """The options of `mlprod site`."""
    parser.add_argument("-o", "--output", default="build/site", metavar="DIR", help="default: build/site")
    parser.add_argument("--handouts", action="store_true", help="also print the handouts, and link them")


def main(options):
    """Make the pages. Exit status of Sphinx, which takes each warning as an error."""
    from mlprod_tools import browser, handouts

    output = Path(options.output)
    if why := missing() or (browser.missing() if options.handouts else ""):
        print(f"mlprod site: {why}", file=sys.stderr)
        return 1
    if status := make(output, options.handouts):
        return status
    html = output / "html"
    if options.handouts:
        for path in handouts.print_pages(html, handouts.names(html), html / "handouts"):
            print(f"mlprod site: printed {path}")
    print(f"mlprod site: open {html / 'index.html'}")
    return 0


def missing():
    """What has to be installed first; empty where nothing is missing."""
    from importlib.util import find_spec

    absent = [name for name in ("sphinx", "myst_nb", "sphinx_book_theme") if find_spec(name) is None]
    return f"{', '.join(absent)} missing: run `make site`, which installs the extra `site`" if absent else ""


def make(output, with_handouts=False):
    """Gather the sources in `output/source` and write `output/html`. Returns Sphinx's exit status."""
    source = Path(output) / "source"
    shutil.rmtree(source, ignore_errors=True)
    gather(source, with_handouts)
    options = ["-W", "--keep-going", "-q", "-E", "-j2", "-c", ROOT / "site", "-d", Path(output) / "doctrees"]
    command = [sys.executable, "-m", "sphinx", *options, source, Path(output) / "html"]
    return subprocess.run(command, cwd=ROOT).returncode


def gather(source, with_handouts=False):
    """Write all sources of the pages below the folder `source`."""
    notebooks = sorted((ROOT / "solutions").glob("[0-9][0-9]_*.ipynb"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    address = project["tool"]["mlprod"]["repository"]
    lessons = []
    for path in notebooks:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        lessons.append((path.stem, notebook["metadata"]["mlprod"]))
        _write(source / "notebooks" / path.name, json.dumps(lesson_page(notebook, path.stem, address)))
        _copy(f"notebooks/{path.name}", source / "learner" / path.name)
    for name in PAGES:
        _write(source / name, slugs_for_anchors((ROOT / name).read_text(encoding="utf-8")))
    _copy("datasets/SHA256SUMS", source / "datasets/SHA256SUMS")
    for name, text in (*cards(source), *api_pages()):
        _write(source / name, text)
    _write(source / "index.md", index(lessons, with_handouts))


def index(lessons, with_handouts=False):
    """The first page: a table of the lessons, and what the sidebar lists."""
    rows = ["| no. | lesson | you will meet | minutes |", "| --- | --- | --- | --- |"]
    for stem, about in lessons:
        ideas, minutes = ", ".join(about["ideas"]), about["minutes"]
        rows.append(
            f"| {about['lesson']} | [{about['title']}](notebooks/{stem}.ipynb) | {ideas} | {minutes} |"
        )
    text = (ROOT / "site" / "index.md").read_text(encoding="utf-8")
    text = text.replace("{{lessons}}", "\n".join(rows))
    cards = [f"- [{title}](cards/{name}.md)" for name, title in CARDS.items()]
    if with_handouts:  # printed after the pages, so Sphinx does not know them
        files = [*(stem for stem, _ in lessons), *(f"card_{name}" for name in CARDS)]
        links = " · ".join(f'<a href="handouts/{name}.pdf">{name}</a>' for name in files)
        cards.append(f"- PDFs with the answers: {links}")
    text = text.replace("{{handouts}}", "\n".join(cards))
    lists = {
        "Lessons": [f"{about['lesson']} {about['title']} <notebooks/{stem}>" for stem, about in lessons],
        "Reference": ["docs/glossary", *(f"cards/{name}" for name in CARDS), "datasets/README"],
        "Teaching": ["INSTRUCTORS", "docs/syllabus", "CONTRIBUTING", "CHANGELOG"],
        "The package": ["Overview <api/index>", *(f"api/{name}" for name in rooms())],
    }
    for caption, names in lists.items():
        text += f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(names) + "\n```\n"
    return text


# ------------------------------------------------------------------------------------------------- a lesson


def lesson_page(notebook, stem, address=""):
    """A solution notebook as the pages show it: answers and collapsed code folded, outputs that follow the theme."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            _fold(cell)
            for output in cell["outputs"]:
                if "text/html" in output.get("data", {}):
                    output["data"]["text/html"] = tidy("".join(output["data"]["text/html"]))
    first = notebook["cells"][0]
    first["source"] = "".join(first["source"]) + "\n\n" + _ways_in(stem, address)
    return notebook


def _ways_in(stem, address):
    links = launch.links(address, f"notebooks/{stem}.ipynb")
    opens = "".join(f" · [open in {name}]({link})" for name, link in links.items())
    return f"{{download}}`Notebook without answers <../learner/{stem}.ipynb>`{opens}"


def _fold(cell):
    """Fold a cell of an answer, and one that JupyterLab collapses; its comment says what is inside."""
    metadata, source = cell["metadata"], "".join(cell["source"])
    exercise = metadata.get("mlprod", {}).get("exercise")
    tags = metadata.setdefault("tags", [])
    if exercise:
        prompt = f"An answer to exercise {exercise}"
        tags.append("hide-input")
    elif "hide-input" in tags:
        comment = source.split("\n", 1)[0]
        prompt = f"Code: {comment.removeprefix('# ')}" if comment.startswith("# ") else "Code"
    else:
        return
    metadata["mystnb"] = {"code_prompt_show": prompt, "code_prompt_hide": prompt}


def tidy(html):
    """The HTML of an output without what a page or a screen reader stumbles over.

    >>> tidy('<table border="1" class="dataframe"><th></th><td>1</td></table>')
    '<table class="dataframe"><td></td><td>1</td></table>'
    """
    html = _DIMMED.sub("", _PANDAS.sub("", html))
    return html.replace(' border="1"', "").replace("<th></th>", "<td></td>")


# ---------------------------------------------------------------------------------------- cards, the package

CARDS = {"checklist": "The deployment checklist on one page", "drift": "Drift on one page"}


def cards(source):
    """(name, text) of each one-page card, from the tables and rows that the course itself uses."""
    from mlprod_helpers.checklist.rows import ROWS

    rows = ["| done | row | question | answer |", "| --- | --- | --- | --- |"]
    for row in ROWS.values():
        rows.append(f"| ☐ | **{row.title}** | {row.question} | {' · '.join(row.options)} |")
    yield (
        "cards/checklist.md",
        f"# {CARDS['checklist']}\n\nEach promise has a metric, a threshold, a unit and evidence. Lesson 05 explains the rows, and "
        "`mlprod_helpers.checklist` checks them.\n\n" + "\n".join(rows) + "\n",
    )
    parts = [
        ("The types", "01_drift_types", "The types at a glance"),
        ("The patterns in time", "01_drift_types", "How drift develops over time"),
        ("What to do", "04_handling_drift", "At a glance"),
    ]
    text = f"# {CARDS['drift']}\n\nNumbers in parentheses are lessons.\n"
    for title, stem, section in parts:
        text += f"\n## {title}\n\n{table_of(source / 'notebooks' / f'{stem}.ipynb', section)}\n"
    yield "cards/drift.md", text


def table_of(path, section):
    """The first Markdown table in a section of a notebook. Raises LookupError where there is none."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    match = re.search(rf"^## {re.escape(section)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    table = re.search(r"^\|.*\n\|[ :|-]+\n(?:\|.*(?:\n|\Z))+", match[1] if match else "", re.MULTILINE)
    if not table:
        raise LookupError(f"{path.name} has no table in its section {section!r}")
    return table[0]


def rooms():
    """The names of the package's rooms and modules that have a page."""
    found = (ROOT / "mlprod_helpers").iterdir()
    return sorted(
        path.stem
        for path in found
        if not path.name.startswith("_")
        and path.stem not in HIDDEN_ROOMS
        and (path.suffix == ".py" or (path / "__init__.py").exists())
    )


def api_pages():
    """(name, text) of a page for each room of the package, from its docstrings."""
    rows = ["| import from | what it is |", "| --- | --- |"]
    for name in rooms():
        package = ROOT / "mlprod_helpers" / name
        path = package / "__init__.py" if package.is_dir() else package.with_suffix(".py")
        about = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]
        rows.append(f"| [`mlprod_helpers.{name}`]({name}.rst) | {about} |")
    yield (
        "api/index.md",
        "# The package\n\nWhat the lessons import, room by room, from the docstrings.\n\n"
        + "\n".join(rows)
        + "\n",
    )
    for name in rooms():
        title = f"``{name}``"
        directive = f".. automodule:: mlprod_helpers.{name}\n"
        if (ROOT / "mlprod_helpers" / name).is_dir():  # its `__all__` passes names on
            directive += "   :imported-members:\n"
        yield f"api/{name}.rst", f"{title}\n{'=' * len(title)}\n\n{directive}"


def heading_slug(heading):
    """The anchor of a heading in a Markdown page, as GitHub and these pages name it.

    >>> heading_slug("Drift, or a fault?")
    'drift-or-a-fault'
    """
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def slugs_for_anchors(text):
    """A text whose links into notebooks have the anchors of these pages, not those of JupyterLab.

    >>> slugs_for_anchors("[a](../notebooks/01_b.ipynb#Drift,-or-a-fault?)")
    '[a](../notebooks/01_b.ipynb#drift-or-a-fault)'
    """
    return _ANCHOR.sub(lambda match: f"{match[1]}#{heading_slug(unquote(match[2]))})", text)


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _copy(name, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / name, target)
