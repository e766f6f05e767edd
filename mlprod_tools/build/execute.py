"""Run a solution notebook from its first cell to its last, in a kernel of its own."""

import os
import re

TIMEOUT = 120  # seconds a cell may take, as for nbval
_COLOR = re.compile(r"\x1b\[[0-9;]*m")


class CellFailed(Exception):
    """A cell raised, took too long or lost its kernel; `line` counts within the cell, from 1."""

    def __init__(self, cell_id, line, message):
        super().__init__(message)
        self.cell_id, self.line, self.message = cell_id, line, message


class Progress:
    """Says how far a lesson is: in one line on a terminal, else in a few plain lines."""

    def __init__(self, name, total, stream):
        self.name, self.total, self.stream = name, total, stream
        self.live = self.stream.isatty()

    def at(self, number):
        """Cell `number` of `total` begins."""
        text = f"{self.name}: cell {number} of {self.total}"
        if self.live:
            self.stream.write(f"\r{text} ")
        elif number in (1, self.total) or number % 10 == 0:
            self.stream.write(text + "\n")
        self.stream.flush()

    def end(self):
        """Clear the line, so that what follows stands alone."""
        if self.live:
            self.stream.write("\r\x1b[K")
            self.stream.flush()


def execute(notebook, folder, progress):
    """Execute a notebook in place.

    Parameters
    ----------
    notebook : NotebookNode
    folder : Path
        Where its kernel starts: beside the notebook, as JupyterLab does.
    progress : Progress

    Raises
    ------
    CellFailed
        At the first cell that fails; the notebook is then useless.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    metadata = dict(notebook.metadata)
    at = {"index": code[0] if code else 0}

    def begins(cell, cell_index):
        if cell.cell_type == "code":
            at["index"] = cell_index
            progress.at(code.index(cell_index) + 1)

    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        coalesce_streams=True,
        store_widget_state=False,
        on_cell_start=begins,
        extra_arguments=["--log-level=ERROR"],  # no notes of the kernel between the lines of progress
    )
    folder.mkdir(parents=True, exist_ok=True)
    try:
        client.execute(env=kernel_environment())
    except CellExecutionError as error:
        cell = notebook.cells[at["index"]]
        message = f"{error.ename}: {_COLOR.sub('', error.evalue)}".rstrip(": ")
        raise CellFailed(cell.id, _line_in_cell(error, cell), message) from None
    except CellTimeoutError:
        raise CellFailed(notebook.cells[at["index"]].id, 1, f"took longer than {TIMEOUT} s") from None
    except RuntimeError as error:  # the kernel died, or did not answer
        raise CellFailed(notebook.cells[at["index"]].id, 1, str(error)) from None
    finally:
        progress.end()
    notebook.metadata.clear()
    notebook.metadata.update(metadata)  # nbclient notes the exact version of Python


def kernel_environment():
    """The environment of a lesson's kernel: the same on every machine, plots as in JupyterLab, progress in memory."""
    environment = {
        key: value for key, value in os.environ.items() if key != "MPLBACKEND"
    }  # the kernel's own: inline
    return environment | {"MLPROD_PROGRESS": "memory", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


def _line_in_cell(error, cell):
    """The last line of the traceback that is in the cell itself."""
    text = _COLOR.sub("", error.traceback)
    count = cell.get("execution_count")
    lines = re.findall(rf"Cell In\[{count if count else '[0-9]+'}\], line (\d+)", text)
    return int(lines[-1]) if lines else 1
