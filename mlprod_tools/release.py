"""`mlprod release`: the learners' copy of the course, without solutions, known right answers and authors' tools.

What is in it follows from the checkout alone, so that two releases of one state are the same bytes. The checks are in it, since
lessons run them; they hold reference code (INSTRUCTORS.md says so).
"""

import ast
import json
import re
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path, PurePosixPath

from mlprod_helpers.lesson import progress
from mlprod_tools import zips

ROOT = Path(__file__).resolve().parents[1]
MARK = ".mlprod-release"  # stands in each bundle: a folder with it may be replaced
# unless one of these is in it: somebody works there
USED = (".git", ".venv", f"notebooks/{progress.FILE}")
FILES = (
    "LICENSE",
    "LICENSE-TEXT",
    "constraints.txt",
    "datasets/README.md",
    "datasets/SHA256SUMS",
    "docs/glossary.md",
)
ONLY_FOR_AUTHORS = {
    "alternative",
    "inputs",
    "acceptable",
    "survives",
}  # what an exercise file registers for the audit
READ_FROM_OUTSIDE = {"EDITION", "EXERCISES", "NEEDS", "NEXT", "TITLE", "__all__"}
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")


def add_options(parser):
    """The options of `mlprod release`."""
    parser.add_argument("target", metavar="DIR", help="a new folder, or a file that ends in .zip")
    parser.add_argument(
        "--lessons", default="", metavar="01-04", help="only these: 01-04, or 01,05,06 (default: all)"
    )


def chosen(text, known):
    """The lessons that `--lessons` names.

    Parameters
    ----------
    text : str
        Numbers and ranges, such as "01-04,06"; all lessons where it is empty.
    known : sequence of str
        The lessons that there are.

    Raises
    ------
    ValueError
        If the text names no lesson, or one that there is not.

    Examples
    --------
    >>> chosen("1-2,04", ["00", "01", "02", "03", "04"])
    ['01', '02', '04']
    """
    if not text.strip():
        return list(known)
    wanted = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,2})\s*(?:-\s*(\d{1,2})\s*)?", part)
        if not match:
            raise ValueError(f"`{part.strip()}` is no lesson and no range; write 01-04, or 01,05,06")
        first, last = int(match[1]), int(match[2] or match[1])
        wanted |= {f"{number:02d}" for number in range(first, last + 1)}
    if missing := sorted(wanted - set(known)):
        raise ValueError(f"there is no lesson {', '.join(missing)}; the lessons are {', '.join(known)}")
    return [lesson for lesson in known if lesson in wanted]


def main(options):
    """Make the bundle. Exit status 1, and nothing changed, where it cannot be made."""
    from mlprod_tools.build import no_checkout

    if why := no_checkout(ROOT):
        print(f"mlprod release: {why}", file=sys.stderr)
        return 1
    target = Path(options.target)
    try:
        files = bundle(chosen(options.lessons, lessons(ROOT)), ROOT)
        write(files, target)
    except (ValueError, OSError) as error:
        print(f"mlprod release: {error}", file=sys.stderr)
        return 1
    print(
        f"{target}: {len(files)} files, {sum(map(len, files.values())) / 2**20:.1f} MB. Start it with `python start.py`."
    )
    return 0


def lessons(root):
    """The lessons of a checkout that have a learners' notebook."""
    return sorted(path.name[:2] for path in (root / "notebooks").glob("[0-9][0-9]_*.ipynb"))


def bundle(ids, root=ROOT):
    """The files of a release.

    Parameters
    ----------
    ids : sequence of str
        The lessons, such as ["00", "01"].
    root : Path
        The checkout.

    Returns
    -------
    dict
        Path in the bundle (with /) -> bytes, in order.
    """
    notebooks = {
        path.name: path for path in sorted((root / "notebooks").glob("*.ipynb")) if path.name[:2] in ids
    }
    files = {name: (root / name).read_bytes() for name in FILES if (root / name).exists()}
    for path in _data(root):
        files[f"datasets/{path.name}"] = path.read_bytes()
    files |= _package(root, ids)
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    address = project.get("tool", {}).get("mlprod", {}).get("repository", "")
    files["pyproject.toml"] = _pyproject(project).encode()
    files["environment.yml"] = _ENVIRONMENT.encode()
    files["start.py"] = (_START % {"first": f"notebooks/{min(notebooks)}"}).encode()
    files["README.md"] = _readme(notebooks, address).encode()
    files[MARK] = b"made by `mlprod release`, which may replace this folder\n"
    names = {*files, *(f"notebooks/{name}" for name in notebooks)}
    for name, path in notebooks.items():
        files[f"notebooks/{name}"] = _notebook(path, names, address).encode()
    return dict(sorted(files.items()))


def write(files, target):
    """Write a bundle whole or not at all; replaces an earlier bundle, and nothing else."""
    if target.suffix == ".zip":
        target.parent.mkdir(parents=True, exist_ok=True)
        zips.write(target, ((f"{target.stem}/{name}", content, 0o644) for name, content in files.items()))
        return
    if target.exists() and not (target / MARK).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"{target} holds something else than an earlier release; name a new folder")
    if used := [name for name in USED if (target / name).exists()]:
        raise ValueError(f"{target} is in use, since it holds {used[0]}; name a new folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        for name, content in files.items():
            path = work / "new" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if target.exists():
            target.rename(work / "old")
        (work / "new").rename(target)
    finally:
        if not target.exists() and (work / "old").exists():
            (work / "old").rename(target)
        shutil.rmtree(work, ignore_errors=True)


# ------------------------------------------------------------------ the package


def _data(root):
    return [path for path in sorted((root / "datasets").iterdir()) if path.suffix in (".gz", ".npz")]


def _package(root, ids):
    """The package without what only authors need: path -> bytes."""
    files = {}
    package = root / "mlprod_helpers"
    for path in sorted(package.rglob("*")):
        name = path.relative_to(root).as_posix()
        if not path.is_file() or "__pycache__" in path.parts or path.suffix in (".pyc", ".tmp"):
            continue
        if match := re.match(r"mlprod_helpers/exercises/lesson_(\d\d)/", name):
            if match[1] not in ids:
                continue
            if path.suffix == ".py" and path.name != "support.py":
                files[name] = learners_exercise(path.read_text(encoding="utf-8")).encode()
                continue
        files[name] = path.read_bytes()
    for lesson in ids:
        _drop_unused_support(files, f"mlprod_helpers/exercises/lesson_{lesson}/")
    return files


def learners_exercise(text):
    """An exercise file without its alternatives and what the audit alone reads.

    Parameters
    ----------
    text : str
        The file.

    Returns
    -------
    str
        The same lines but for those, and for private helpers and imports that nothing uses then.

    Examples
    --------
    >>> print(learners_exercise("import math\\n\\n\\n@area.alternative\\ndef other(r):\\n    return math.tau * r * r / 2\\n"))
    <BLANKLINE>
    """
    text = _without(text, [node for node in ast.parse(text).body if _is_for_authors(node)])
    return _used_alone(text, READ_FROM_OUTSIDE)


def _used_alone(text, wanted):
    """A module without private functions, constants and imports that neither it nor others (`wanted`) use."""
    while unused := _unused(ast.parse(text), wanted):
        text = _without(text, unused)
    return text


def _is_for_authors(node):
    """Whether a statement registers something that only the audit reads, perhaps in a loop."""
    calls = node.decorator_list if isinstance(node, ast.FunctionDef) else ast.walk(node)
    functions = [call.func if isinstance(call, ast.Call) else call for call in calls]
    return any(isinstance(each, ast.Attribute) and each.attr in ONLY_FOR_AUTHORS for each in functions)


def _unused(tree, wanted):
    """Functions, constants and (import, names that stay) that nothing in the module uses, unless they are wanted."""
    used = wanted | {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    found = []
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            kept = [each for each in node.names if (each.asname or each.name).split(".")[0] in used]
            if len(kept) < len(node.names):
                found.append((node, kept))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            outside = {
                getattr(each, "id", "")
                for other in tree.body
                if other is not node
                for each in ast.walk(other)
            }
            if not node.decorator_list and node.name not in outside | wanted:
                found.append(node)
        elif isinstance(node, ast.Assign) and _defined(node).isdisjoint(used):
            found.append(node)
    return found


def _without(text, nodes):
    """The text without the lines of these nodes and the comments right above them; of (import, names) the names stay."""
    lines = text.splitlines(keepends=True)
    for node in sorted(nodes, key=lambda each: -_node(each).lineno):
        kept = node[1] if isinstance(node, tuple) else []
        node = _node(node)
        first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))]) - 1
        while first and lines[first - 1].lstrip().startswith("#") and not kept:
            first -= 1
        new = []
        if kept:
            node.names = kept
            new = [ast.unparse(node) + "\n"]
        lines[first : node.end_lineno] = new
    return re.sub(r"\n{4,}", "\n\n\n", "".join(lines)).rstrip("\n") + "\n"


def _node(each):
    return each[0] if isinstance(each, tuple) else each


def _drop_unused_support(files, folder):
    """Public helpers of a lesson's support.py that only alternatives used."""
    name = folder + "support.py"
    if name not in files:
        return
    wanted = set()
    for other, content in files.items():
        if other.startswith(folder) and other != name:
            for node in ast.walk(ast.parse(content)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").endswith(".support"):
                    wanted |= {each.name for each in node.names}
    files[name] = _used_alone(files[name].decode(), wanted).encode()


def _defined(node):
    return {each.id for target in node.targets for each in ast.walk(target) if isinstance(each, ast.Name)}


# ------------------------------------------------------------------ notebooks and what stands around them


def _notebook(path, names, address):
    """A learners' notebook whose links lead to files of the bundle; others become plain text."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = _relinked("".join(cell["source"]), "notebooks", names).splitlines(keepends=True)
    if address:
        notebook["cells"].insert(0, _colab_cell(address))
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _relinked(text, folder, names):
    """
    >>> _relinked("see [01](01_x.ipynb) and [how](../INSTRUCTORS.md)", "notebooks", {"notebooks/01_x.ipynb"})
    'see [01](01_x.ipynb) and how'
    """

    def link(match):
        target = match[3].partition("#")[0]
        if not target or "://" in target or _within(folder, target) in names:
            return match[0]
        return match[2]

    return _LINK.sub(link, text)


def _within(folder, target):
    parts = []
    for part in (PurePosixPath(folder) / target).parts:
        if part == "..":
            parts = parts[:-1]
        else:
            parts.append(part)
    return "/".join(parts)


def _colab_cell(address):
    code = (
        "# only on Colab: install the course, then restart the session once\n"
        "import sys\n\n"
        'if "google.colab" in sys.modules:\n'
        "    import subprocess\n\n"
        f'    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "git+{address}"], check=True)'
    )
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": "install-on-colab",
        "metadata": {"jupyter": {"source_hidden": True}},
        "outputs": [],
        "source": code.splitlines(keepends=True),
    }


def _pyproject(project):
    about = project["project"]
    needs = "\n".join(f'    "{each}",' for each in about["dependencies"])
    return f"""[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{about["name"]}"
version = "{about["version"]}"
description = "{about["description"]}"
requires-python = "{about["requires-python"]}"
license = "{about["license"]}"
license-files = ["LICENSE", "LICENSE-TEXT"]
dependencies = [
{needs}
]

[tool.hatch.build.targets.wheel]
packages = ["mlprod_helpers"]

[tool.hatch.build.targets.wheel.force-include]
"datasets" = "mlprod_helpers/_datasets"

[tool.hatch.build.targets.wheel.shared-data]
"mlprod_helpers/lesson/jupyterlab_overrides.json" = "share/jupyter/lab/settings/overrides.json"
"""


_ENVIRONMENT = """# For conda and Binder: the same pins as `start.py`, from constraints.txt.
name: mlprod
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python=3.12
  - pip
  - pip:
      - -c constraints.txt
      - -e .
"""

_START = '''"""Make the environment in .venv on the first run, then open the first lesson. Options go to JupyterLab."""

import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIRST = "%(first)s"


def main():
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        sys.exit(f"The course needs Python 3.11 to 3.13; this is {sys.version.split()[0]}.")
    folder = HERE / ".venv"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = folder / ".installed"
    if not done.exists():
        print("Making .venv (about a minute) ...", flush=True)
        venv.create(folder, with_pip=True)
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", "constraints.txt", "-e", "."]
        subprocess.run(command, cwd=HERE, check=True)
        done.touch()
    sys.exit(subprocess.call([python, "-m", "jupyter", "lab", FIRST, *sys.argv[1:]], cwd=HERE))


if __name__ == "__main__":
    main()
'''


def _readme(notebooks, address):
    titles = "\n".join(f"- [{_title(path)}](notebooks/{name})" for name, path in notebooks.items())
    launch = ""
    if address:
        first = f"notebooks/{min(notebooks)}"
        from mlprod_tools.launch import links

        launch = (
            "\n## Without installing anything\n\n"
            + "\n".join(f"- [{name}]({link})" for name, link in links(address, first).items())
            + "\n"
        )
    return f"""# Production machine learning, on systems that run

You need Python 3.11, 3.12 or 3.13, and the network once. In this folder, run

```
python start.py
```

It makes an environment in `.venv` (about a minute), and opens the first lesson in JupyterLab. Later starts take a few seconds and need no network.
With conda: `conda env create -f environment.yml`, `conda activate mlprod`, `jupyter lab`.

{titles}

Run the cells from top to bottom. Write your answer into an exercise's cell, run it, and run the check below it. Terms are explained in the [glossary](docs/glossary.md).
Your progress is kept in `.mlprod-progress.json` beside the notebooks. To go on at another computer, copy that file and your notebooks. Solutions are not in this copy; your instructor has them.
{launch}
Code: BSD-3-Clause ([LICENSE](LICENSE)). Text and figures: CC BY 4.0 ([LICENSE-TEXT](LICENSE-TEXT)). Data: see [datasets/README.md](datasets/README.md).
"""


def _title(path):
    about = json.loads(path.read_text(encoding="utf-8"))["metadata"]["mlprod"]
    return f"{about['lesson']} {about['title']}"
