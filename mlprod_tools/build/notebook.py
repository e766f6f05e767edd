"""Make the two notebooks of a lesson, compare and write them.

Everything in them follows from the lesson's text and its contract: cell ids come from a cell's position or from its
exercise, no metadata names a machine, a version or a time. So a rebuild without a change is byte for byte the same.
"""

import difflib
import json
from dataclasses import dataclass

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from mlprod_helpers import files
from mlprod_tools.build.digest import of_code
from mlprod_tools.build.minutes import fill
from mlprod_tools.build.stub import without_answers, without_markers

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
_WIDGET = "application/vnd.jupyter.widget-view+json"


@dataclass
class Pair:
    """What is built from one lesson. `lines[cell id][i]` is the file's line of line `i` of a code cell in `solution`."""

    learner: nbformat.NotebookNode
    solution: nbformat.NotebookNode
    lines: dict
    contract: object


def make_pair(source, regions, contract, checks, minutes):
    """Both notebooks of a lesson, without outputs.

    Parameters
    ----------
    source : Source
        Without problems.
    regions : dict
        Cell id -> the regions of that cell.
    contract : Contract
    checks : dict
        Exercise id -> the digest of its check, for feedback in the outputs comes from it.
    minutes : Minutes
        What the lesson takes.
    """
    about = {key: source.header[key] for key in ("lesson", "title", "needs", "ideas", "topics")}
    about |= {"edition": contract.edition, "minutes": minutes.full, "express": minutes.express}
    learner, solution, lines = empty(about), empty(about), {}
    for cell in source.cells:
        exercise = contract.exercises.get(cell.owner)
        metadata = {**cell.metadata, **_exercise_metadata(cell, exercise)}
        if cell.collapsed:
            metadata["jupyter"] = {**metadata.get("jupyter", {}), "source_hidden": True}
            metadata["tags"] = [*metadata.get("tags", []), "hide-input"]
        if cell.kind == "markdown":
            text = fill(cell.source, minutes)
            for notebook in (learner, solution):
                notebook.cells.append(new_markdown_cell(text, id=cell.id, metadata=metadata))
            continue
        own = regions.get(cell.id, [])
        answers, templates = (exercise.answers, exercise.template()) if exercise else ((), {})
        stub = without_answers(cell, own, answers, templates)
        solved, lines[cell.id] = without_markers(cell, own)
        learner.cells.append(new_code_cell(stub, id=cell.id, metadata=metadata))
        solution.cells.append(new_code_cell(solved, id=cell.id, metadata=metadata))
    code = [cell for cell in solution.cells if cell.cell_type == "code"]
    solution.metadata["mlprod"]["digest"] = {"code": of_code(code), **checks}
    return Pair(learner, solution, lines, contract)


def empty(about):
    """A notebook without cells; `about` stands in its metadata as `mlprod`."""
    made = new_notebook(metadata={"kernelspec": KERNEL, "language_info": LANGUAGE, "mlprod": about})
    made.nbformat_minor = 5
    return nbformat.from_dict(json.loads(json.dumps(made)))  # no part is shared between notebooks


def _exercise_metadata(cell, exercise):
    if exercise is None:
        return {}
    own = {"exercise": cell.exercise} if cell.exercise else {"check": cell.check}
    grader = {
        "grade": False,
        "grade_id": cell.id,
        "locked": False,
        "schema_version": 3,
        "solution": True,
        "task": False,
    }
    if cell.check:
        grader |= {"grade": True, "locked": True, "points": exercise.points, "solution": False}
    return {"mlprod": own, "nbgrader": grader}


def read_notebook(path):
    """A notebook from a file; None where there is none or it cannot be read."""
    try:
        return nbformat.read(path, as_version=4)
    except (OSError, ValueError, AttributeError, KeyError, nbformat.ValidationError):
        return None


def reuse_outputs(solution, old):
    """Copy the outputs of the last build, if they still belong to this lesson. Returns whether they did."""
    if old is None or old.metadata.get("mlprod", {}).get("digest") != solution.metadata["mlprod"]["digest"]:
        return False
    new_cells, old_cells = (
        [cell for cell in notebook.cells if cell.cell_type == "code"] for notebook in (solution, old)
    )
    if of_code(new_cells) != of_code(old_cells):  # somebody edited the notebook
        return False
    if [cell.execution_count for cell in old_cells] != list(range(1, len(old_cells) + 1)):
        return False
    for new, stored in zip(new_cells, old_cells, strict=True):
        new.execution_count, new.outputs = stored.execution_count, stored.outputs
    return True


def tidy_outputs(notebook):
    """Take out of the outputs what differs between runs and machines, in place.

    Streams that were cut by chance become one again. The link to a live widget goes, as it is dead in a stored notebook
    and JupyterLab would show an error instead of the still picture beside it.
    """
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)
        kept = []
        for output in cell.outputs:
            same = (
                kept
                and output.output_type == kept[-1].output_type == "stream"
                and output.name == kept[-1].name
            )
            if same:
                kept[-1].text += output.text
                continue
            if "text/html" in output.get("data", {}):
                output.data.pop(_WIDGET, None)
            kept.append(output)
        cell.outputs = kept
    notebook.metadata.pop("widgets", None)


def to_text(notebook):
    """The notebook as it stands in its file."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT).rstrip("\n") + "\n"


def write_text(path, text):
    """Write a file. Returns whether its bytes changed."""
    if path.exists() and path.read_bytes() == text.encode("utf-8"):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, text)
    return True


def differences(expected, stored):
    """What differs between a notebook and its lesson, outputs and execution counts aside: (cell id, message)s."""
    wanted, found = _parts(expected), _parts(stored)
    for id in dict.fromkeys([*wanted, *found]):
        if id not in found:
            yield id, "is missing"
        elif id not in wanted:
            yield id, "is not in the lesson"
        elif wanted[id] != found[id]:
            yield id, f"differs: {_first_difference(wanted[id], found[id])}"
    if wanted.keys() == found.keys() and list(wanted) != list(found):
        yield "", "has its cells in another order"


def _parts(notebook):
    """Cell id -> the lines of its JSON; the notebook's own metadata stand under ""."""
    parts = {"": {key: notebook[key] for key in ("metadata", "nbformat", "nbformat_minor")}}
    for cell in notebook.cells:
        part = {key: value for key, value in cell.items() if key not in ("outputs", "execution_count")}
        parts[cell.get("id", "?")] = part | {"source": cell.source.split("\n")}
    return {id: json.dumps(part, indent=1, sort_keys=True).split("\n") for id, part in parts.items()}


def _first_difference(wanted, found):
    """The first line that differs, as the notebook has it and as the lesson says."""
    for tag, i, i_end, j, j_end in difflib.SequenceMatcher(None, wanted, found, autojunk=False).get_opcodes():
        if tag != "equal":
            there = wanted[i].strip(" ,") if i < i_end else "nothing"
            here = found[j].strip(" ,") if j < j_end else "nothing"
            return f"it has {here}, should have {there}"
