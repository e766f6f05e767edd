"""The lab in a notebook's kernel: an interrupted cell, a restarted and a killed kernel leave nothing."""

import json
import time
from pathlib import Path

import pytest
import stand_in_service as doubles

from mlprod_helpers.serving import processes

START = f"""
import json, sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
import stand_in_service as doubles
def show(lab):
    pids, ports, folder = doubles.traces(lab)
    print("traces " + json.dumps([pids, ports, str(folder)]), flush=True)
"""


class Notebook:
    """A kernel, and what its cells print."""

    def __init__(self):
        manager = pytest.importorskip("jupyter_client.manager")
        self.manager, self.client = manager.start_new_kernel(kernel_name="python3", startup_timeout=120)
        self.run(START)

    def send(self, code):
        return self.client.execute(code)

    def traces(self, cell, seconds=120):
        """What the cell tells of its lab; it may go on running."""
        text = self._until(cell, lambda text: "traces " in text and text.endswith("\n"), seconds)
        pids, ports, folder = json.loads(text.split("traces ")[1].splitlines()[0])
        return pids, ports, folder

    def run(self, code, seconds=120):
        """All that a cell prints, the name of its error included."""
        return self._until(self.send(code), lambda text: False, seconds)

    def _until(self, cell, is_enough, seconds):
        text, end = "", time.monotonic() + seconds
        while time.monotonic() < end:
            message = self.client.get_iopub_msg(timeout=seconds)
            if message["parent_header"].get("msg_id") != cell:
                continue
            content = message["content"]
            text += content.get("text", "") or content.get("ename", "")
            idle = message["msg_type"] == "status" and content["execution_state"] == "idle"
            if idle or is_enough(text):
                return text
        raise AssertionError(f"the cell has not ended: {text}")

    def end(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def notebook():
    one = Notebook()
    yield one
    one.end()


def left(started):
    """As the next lab finds it: the folder of a kernel that was killed is cleared by then."""
    pids, ports, folder = started
    there = doubles.left(pids, ports, None)
    processes.clear_old_folders()
    return there + doubles.left([], [], folder)


def test_an_interrupted_cell(notebook):
    cell = notebook.send("with doubles.StandInLab() as lab:\n    show(lab)\n    time.sleep(120)")
    started = notebook.traces(cell)
    notebook.manager.interrupt_kernel()
    assert "KeyboardInterrupt" in notebook._until(cell, lambda text: False, 60)
    assert doubles.left(*started) == []


def test_an_interrupted_load_in_a_lab_of_several_cells(notebook):
    started = notebook.traces(notebook.send("lab = doubles.StandInLab().start()\nshow(lab)"))
    cell = notebook.send("print('load', flush=True)\nlab.open_loop([{'distance': 8}], rate=20, duration=300)")
    notebook._until(cell, lambda text: "load" in text, 60)
    time.sleep(0.5)
    notebook.manager.interrupt_kernel()
    assert "KeyboardInterrupt" in notebook._until(cell, lambda text: False, 60)
    assert "200" in notebook.run("print(lab.ask({'distance': 8}).status)")  # the lab itself goes on
    counted = "a = len(lab.log()); time.sleep(1); print(len(lab.log()) - a)"
    assert notebook.run(counted).strip() == "0"  # the load does not
    assert "closed" in notebook.run("lab.close(); print('closed')")
    assert doubles.left(*started) == []


def test_the_same_cell_run_again_ends_the_lab_before(notebook):
    first = notebook.traces(notebook.send("lab = doubles.StandInLab().start()\nshow(lab)"))
    second = notebook.traces(notebook.send("lab = doubles.StandInLab().start()\nshow(lab)"))
    assert doubles.left(*first) == []
    assert all(doubles.is_alive(pid) for pid in second[0])
    notebook.run("lab.close()")
    assert doubles.left(*second) == []


def test_a_restarted_kernel(notebook):
    started = notebook.traces(notebook.send("lab = doubles.StandInLab().start()\nshow(lab)"))
    notebook.manager.restart_kernel(now=False)
    notebook.client.wait_for_ready(timeout=120)
    assert left(started) == []
    notebook.run(START)


def test_a_killed_kernel(notebook):
    started = notebook.traces(notebook.send("lab = doubles.StandInLab().start()\nshow(lab)"))
    notebook.manager.signal_kernel(9)
    assert left(started) == []
