"""Who may know whom, and what an import costs."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "mlprod_helpers"
# a room knows rooms to its left only
ORDER = (
    *(
        "files",
        "names",
        "datasets",
        "requestlog",
        "faults",
        "streams",
        "queueing",
        "drift",
        "detectors",
        "adaptation",
        "features",
        "monitoring",
    ),
    *("rollout", "automation", "checklist", "serving", "oncall"),
)
RANK = {room: rank for rank, room in enumerate(ORDER)}
DRAWING = {"plots", "explore"}
NOTEBOOK = {"IPython", "ipywidgets", "ipykernel", "nbformat", "nbclient", "traitlets"}


def modules():
    return sorted(
        path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE
    )


def room_of(path):
    part = path.relative_to(PACKAGE).parts[0]
    return part.removesuffix(".py")


def imports(path):
    """(name of the module, whether the import stands inside a function)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = {id(node) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for node in ast.walk(f)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in inside) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: name the module in full"
            if node.module == "mlprod_helpers":
                yield from ((f"mlprod_helpers.{alias.name}", id(node) in inside) for alias in node.names)
            else:
                yield node.module, id(node) in inside


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_room_knows_rooms_to_its_left_only(path):
    room = room_of(path)
    for name, is_lazy in imports(path):
        top, *rest = name.split(".")
        assert top != "mlprod_tools", f"{room} must not know the tools"
        if top in NOTEBOOK:
            assert room == "explore" or (room == "lesson" and is_lazy), f"{room} knows {top}"
        if top == "matplotlib":
            assert room in DRAWING, f"{room} draws by itself; put the drawing into plots"
        if top != "mlprod_helpers" or not rest or rest[0] == room:
            continue
        known = rest[0]
        if room == "lesson":
            allowed = known in ("exercises", "files")
        elif room == "exercises":
            allowed = known in RANK or rest[:2] == ["lesson", "contract"]
        elif room == "plots":
            allowed = False
        elif room == "explore":
            allowed = known in RANK or known == "plots"
        else:
            assert room in RANK, f"{room} is a new room: give it a place in ORDER"
            allowed = (known in RANK and RANK[known] < RANK[room]) or (known == "plots" and is_lazy)
        assert allowed, f"{room} may not know {known}"


def test_no_file_knows_itself_by_way_of_others():
    # a package's __init__ only passes names on: what stands behind them is what counts
    files = {".".join(path.with_suffix("").relative_to(PACKAGE.parent).parts): path for path in modules()}
    graph = {}
    for name, path in files.items():
        if path.name != "__init__.py":
            nodes = [
                node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
            ]
            targets = {target for node in nodes for target in (node.module, *_members(node))}
            graph[name] = targets & files.keys()
    graphlib.TopologicalSorter(graph).prepare()  # a CycleError names the files of a circle


def _members(node):
    return [f"{node.module}.{alias.name}" for alias in node.names]


@pytest.mark.parametrize(
    "path", sorted((PACKAGE / "serving").rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_service_and_router_do_not_know_each_other_and_the_lab_knows_both(path):
    rooms, parts = {"service", "router", "lab"}, path.relative_to(PACKAGE / "serving").parts
    allowed = rooms if parts[0] == "lab" else {parts[0]}
    for name, _ in imports(path):
        known = name.removeprefix("mlprod_helpers.serving.").split(".")[0]
        assert known not in rooms or not name.startswith("mlprod_helpers.serving.") or known in allowed, name


def test_a_lesson_does_not_import_exercises():
    for path in sorted((PACKAGE.parent / "lessons").glob("*.py")):
        assert not [name for name, _ in imports(path) if name.startswith("mlprod_helpers.exercises")], (
            path.name
        )


def loaded_by(statement):
    code = f"import sys, pandas; before = set(sys.modules); {statement}; print(*(set(sys.modules) - before))"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()


def test_the_first_line_of_a_lesson_is_light():
    for statement in ("import mlprod_helpers", "from mlprod_helpers import Lesson; Lesson('00')"):
        heavy = {"sklearn", "matplotlib", "scipy", "ipywidgets", "IPython", "river"} & set(
            loaded_by(statement)
        )
        assert heavy == set(), f"{statement} loads {heavy}"
