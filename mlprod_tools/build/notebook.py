"""Make the two notebooks of a lesson, compare and write them.

Everything in them follows from the lesson's text and its contract: cell ids come from a cell's position or from its
exercise, no metadata names a machine, a version or a time. So a rebuild without a change is byte for byte the same.
"""

import difflib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

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
    learner, solution, lines = _empty(about), _empty(about), {}
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
        answers = exercise.answers if exercise else ()
        stub = without_answers(cell, own, answers, _templates(exercise))
        solved, lines[cell.id] = without_markers(cell, own)
        learner.cells.append(new_code_cell(stub, id=cell.id, metadata=metadata))
        solution.cells.append(new_code_cell(solved, id=cell.id, metadata=metadata))
    code = [cell for cell in solution.cells if cell.cell_type == "code"]
    solution.metadata["mlprod"]["digest"] = {"code": of_code(code), **checks}
    return Pair(learner, solution, lines, contract)


def _empty(about):
    made = new_notebook(metadata={"kernelspec": KERNEL, "language_info": LANGUAGE, "mlprod": about})
    made.nbformat_minor = 5
    return nbformat.from_dict(json.loads(json.dumps(made)))  # no part is shared between notebooks


def _templates(exercise):
    template = getattr(exercise, "template", None)
    return template() if template else {}


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
    """Write a file whole or not at all. Returns whether its bytes changed."""
    path = Path(path)
    data = text.encode("utf-8")
    if path.exists() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(name, 0o644)  # mkstemp makes it private
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return True


def differences(expected, stored):
    """What differs between a notebook and its lesson, outputs and execution counts aside: (cell id, message)s."""
    ours, theirs = dict(expected.metadata), dict(stored.metadata)
    ours["mlprod"], our_digest = _without_digest(ours)
    theirs["mlprod"], their_digest = _without_digest(theirs)
    for key in sorted({*our_digest, *their_digest}):
        if our_digest.get(key) != their_digest.get(key):
            yield (
                "",
                f"was executed for {'other code' if key == 'code' else f'another check of exercise {key}'}",
            )
    for key in sorted({*ours, *theirs}):
        if ours.get(key) != theirs.get(key):
            yield "", f"metadata `{key}` {_how(ours.get(key), theirs.get(key))}"
    for key in ("nbformat", "nbformat_minor"):
        if expected[key] != stored[key]:
            yield "", f"{key} is {stored[key]}, should be {expected[key]}"
    stored_cells = {cell.get("id"): cell for cell in stored.cells}
    expected_ids = [cell.id for cell in expected.cells]
    for cell in expected.cells:
        found = stored_cells.get(cell.id)
        if found is None:
            yield cell.id, "is missing"
            continue
        if found.cell_type != cell.cell_type:
            yield cell.id, f"is a {found.cell_type} cell, should be {cell.cell_type}"
        if found.source != cell.source:
            yield cell.id, f"has another source: {_first_difference(cell.source, found.source)}"
        for key in sorted({*cell.metadata, *found.metadata}):
            if cell.metadata.get(key) != found.metadata.get(key):
                yield cell.id, f"metadata `{key}` {_how(cell.metadata.get(key), found.metadata.get(key))}"
    for cell in stored.cells:
        if cell.get("id") not in expected_ids:
            yield cell.get("id", "?"), "is not in the lesson"
    common = [cell.id for cell in stored.cells if cell.get("id") in expected_ids]
    if common != [id for id in expected_ids if id in stored_cells]:
        yield "", "the cells are in another order"


def _without_digest(metadata):
    about = dict(metadata.get("mlprod") or {})
    stored = about.pop("digest", {})
    return about or None, stored if isinstance(stored, dict) else {"code": stored}


def _how(expected, stored):
    if stored is None:
        return "is missing"
    if expected is None:
        return "should not be there"
    return f"is {json.dumps(stored, sort_keys=True)}, should be {json.dumps(expected, sort_keys=True)}"


def _first_difference(expected, stored):
    """The first line that differs, as the notebook has it and as the lesson says."""
    ours, theirs = expected.split("\n"), stored.split("\n")
    for tag, i, i_end, j, j_end in difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        if tag != "equal":
            here = repr(theirs[j]) if j < j_end else "nothing"
            there = repr(ours[i]) if i < i_end else "nothing"
            return f"line {j + 1} is {here}, should be {there}"
    return "it differs in its line ends"
