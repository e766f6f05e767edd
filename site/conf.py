"""How Sphinx makes the course's pages. `mlprod site` gathers the sources first, see `mlprod_tools/site.py`."""

import os
import re
import tomllib
from html import escape
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.addnodes import pending_xref

ROOT = Path(__file__).resolve().parents[1]

project = "Production machine learning"
author = "the authors of the course"
project_copyright = "the authors; code BSD-3-Clause, text and figures CC BY 4.0"
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb", ".rst": "restructuredtext"}
exclude_patterns = ["learner"]  # only offered for download

# the notebooks are built and proven elsewhere, here they are only shown
nb_execution_mode = "off"
nb_ipywidgets_js = {}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

default_role = "literal"  # single backticks, as in Markdown
napoleon_use_ivar = True  # attributes as one list
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
add_module_names = False
toc_object_entries_show_parents = "hide"

repository = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mlprod"][
    "repository"
]

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["static", "../docs/social.png"]
html_css_files = ["site.css"]
templates_path = ["templates"]
html_baseurl = os.environ.get("SITE_ADDRESS", "")  # the workflow that publishes the pages knows it
html_context = {"default_mode": "auto", "html_baseurl": html_baseurl}
html_favicon = "static/icon.svg"
html_copy_source = False
html_show_sphinx = False
html_sidebars = {"**": ["home.html", "search-button-field.html", "sbt-sidebar-nav.html"]}
html_theme_options = {
    "navbar_persistent": [],  # the sidebar has the search
    "home_page_in_toc": True,
    "search_bar_text": "Search the course",
    "show_toc_level": 2,
    "repository_url": repository,
    "use_repository_button": bool(repository),
    "use_download_button": False,
    "use_fullscreen_button": False,
    "extra_footer": "Figures on these pages stand still. They move in the notebooks.",
}


FIELD = re.compile(r"( *[\w*, ]+ : .+?)\. ([A-Z0-9`\"(].*)")
TYPES = {each.__doc__ for each in (bool, dict, float, int, list, str, tuple)}
LISTS = {"Parameters", "Returns", "Yields", "Raises", "Attributes"}
RULER = re.compile(r" +=+( +=+)+")


def mathml(node):
    """The MathML of a formula: browsers draw it themselves, so no page needs a script for it."""
    formula = node.astext()
    drawn = convert(formula, display="block" if node.tagname == "math_block" else "inline")
    return drawn.replace("<math ", f'<math alttext="{escape(formula)}" ', 1)


def visit_inline(translator, node):
    """Write an inline formula."""
    translator.body.append(mathml(node))
    raise nodes.SkipNode


def visit_block(translator, node):
    """Write a formula that stands by itself; a narrow screen scrolls it, by keyboard too."""
    translator.body.append(f'<div class="formula" tabindex="0">{mathml(node)}</div>')
    raise nodes.SkipNode


def setup(app):
    """Register the formulas and what the template asks for."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    # before napoleon
    app.connect("autodoc-process-docstring", tidy_docstring, priority=100)
    app.connect("autodoc-skip-member", skip_what_scikit_learn_adds)
    app.connect("doctree-read", unlink_words)
    app.connect("doctree-read", name_corners)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def tidy_docstring(app, what, name, obj, options, lines):
    """Turn what our docstrings write into what napoleon reads.

    A line `name : type. What it is.` becomes a type with a description, a table below a type stands alone, a Markdown
    table is shown as it is written, and what follows the last list gets a headline.
    """
    if (
        "\n".join(lines).strip() in TYPES
    ):  # a property that overrides a plain value inherits the text of its type
        lines.clear()
    shown, in_list, in_source = [], False, False
    for before, line, after in zip(["", *lines], lines, [*lines[1:], ""], strict=False):
        in_source = line.startswith("Source") or (in_source and line)
        line = line.lstrip() if in_source else line  # sources hang
        indent, row = _indent(line), line.startswith("| ")
        if line and set(line) == {"-"}:
            in_list = before in LISTS
        elif in_list and line and not (before or indent or " : " in line or set(after) == {"-"}):
            in_list = False
            shown += ["Examples", "--------"] if line.startswith(">>>") else ["Notes", "-----"]
        if row and not before.startswith("| "):
            shown += ["::", ""]
        if before.startswith("| ") and line and not row:
            shown.append("")
        if match := FIELD.fullmatch(line):
            shown += [match[1], f"{indent}    {match[2]}"]
        elif RULER.fullmatch(line) and before and len(_indent(before)) < len(indent):
            shown += [f"{indent}Its columns:", "", line]
        else:
            shown.append(f"    {line}" if row else line)
    lines[:] = shown


def _indent(line):
    return line[: len(line) - len(line.lstrip())]


def skip_what_scikit_learn_adds(app, what, name, obj, skip, options):
    """Leave out the methods that scikit-learn adds to each estimator, such as `set_fit_request`."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def unlink_words(app, doctree):
    """Types in docstrings are words, such as "array": none is a link to whatever attribute has that name."""
    for node in list(doctree.findall(pending_xref)):
        if node["refdomain"] == "py":
            node.replace_self(node.children)


def name_corners(app, doctree):
    """Say something in the empty corner of a table, for those who listen to it."""
    for head in doctree.findall(nodes.thead):
        for entry in head.findall(nodes.entry):
            if not entry.astext().strip():
                entry.children = []
                entry += nodes.paragraph("", "", nodes.inline("", "what", classes=["only-heard"]))
