"""`mlprod pictures`: the README's pictures and the one that a link to the pages shows, taken of what a learner sees.

JupyterLab runs over a folder with one learner notebook and without nbgrader's buttons, which learners do not have.
"""

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import nbformat

from mlprod_tools import browser, testing

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = "02_adversarial_validation.ipynb"
EXERCISE = "2.4"
# a misconception: the spread of one row, where two rows are compared
ANSWER = '''def shift_of(auc):
    """Return the shift in standard deviations; NaN below 0.5."""
    return norm.ppf(auc) if auc >= 0.5 else np.nan'''
# lesson 11's cockpit on a morning with two incidents
COCKPIT = """from mlprod_helpers import oncall
from mlprod_helpers.explore import on_call_cockpit

pit = on_call_cockpit(oncall.Season(7))
while pit.season.day < 18:
    pit.step([])
pit"""
PANEL = "window.jupyterapp.shell.currentWidget"
WAIT = 90_000  # ms
CARD = """<!doctype html><html lang="en"><meta charset="utf-8"><style>
body {{ margin: 0; width: 1200px; height: 630px; background: #FBFAF7; color: #1F2933; font-family: sans-serif; overflow: hidden; }}
h1 {{ margin: 48px 60px 6px; font-size: 60px; }} p {{ margin: 0 60px 20px; font-size: 30px; color: #565E68; }}
img {{ display: block; margin: 0 0 0 20px; height: 420px; }}
</style><h1>Production machine learning</h1><p>A Jupyter course on models that meet live data</p>{figure}"""


def add_options(parser):
    """The options of `mlprod pictures`."""
    parser.add_argument("-o", "--output", default="docs", metavar="DIR", help="default: docs")


def main(options):
    """Take all pictures. Exit status 1 where something is missing."""
    if why := browser.missing():
        print(f"mlprod pictures: {why}", file=sys.stderr)
        return 1
    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    with browser.chromium() as chromium:
        social(chromium, output / "social.png")
        lesson(chromium, output / "lesson.png")
        cockpit(chromium, output / "on_call.png")
    print(f"mlprod pictures: social.png, lesson.png and on_call.png in {output}")
    return 0


def social(chromium, path):
    """The picture of a link: the title over the figure that opens lesson 04."""
    cells = json.loads((ROOT / "solutions" / "04_handling_drift.ipynb").read_text(encoding="utf-8"))["cells"]
    outputs = (
        "".join(each["data"].get("text/html", ""))
        for cell in cells
        for each in cell.get("outputs", [])
        if "data" in each
    )
    figure = next(html for html in outputs if "mlprod-figure" in html)
    page = chromium.new_page(viewport={"width": 1200, "height": 630})
    page.set_content(CARD.format(figure=figure))
    page.screenshot(path=path)
    page.close()


def lesson(chromium, path):
    """The README's picture of a lesson: an exercise in JupyterLab, answered by a misconception."""
    with opened(chromium, NOTEBOOK, answered()) as page:
        page.locator(".jp-OutputArea-output", has_text=f"Exercise {EXERCISE}").first.wait_for(timeout=WAIT)
        heading = page.locator("h3", has_text=f"Exercise {EXERCISE}")
        heading.evaluate("heading => heading.closest('.jp-Cell').scrollIntoView({block: 'start'})")
        page.wait_for_timeout(1000)  # the last output may still grow
        page.screenshot(path=path)


def cockpit(chromium, path):
    """The README's first picture: a morning on call."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(COCKPIT)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    with opened(chromium, "on_call.ipynb", notebook, height=1300) as page:
        page.get_by_role("button", name="Next morning").wait_for(timeout=WAIT)
        page.wait_for_timeout(1000)
        page.locator(".jp-OutputArea-output .jupyter-widgets").first.screenshot(path=path)


@contextlib.contextmanager
def opened(chromium, name, notebook, height=850):
    """A page with a notebook open in JupyterLab, all cells of which have begun to run."""
    with tempfile.TemporaryDirectory() as folder:
        learner, own = Path(folder, "learner"), Path(folder, "own")
        learner.mkdir()
        nbformat.write(notebook, learner / name)
        with jupyterlab(learner, own) as address:
            page = chromium.new_page(viewport={"width": 1180, "height": height})
            page.goto(f"{address}/lab/tree/{name}?reset")
            page.wait_for_function(
                "window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell')", timeout=WAIT
            )
            page.wait_for_function(
                f"{PANEL}.sessionContext?.session?.kernel?.status === 'idle'", timeout=WAIT
            )
            page.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")
            page.evaluate("window.jupyterapp.commands.execute('notebook:run-all-cells')")
            yield page
            page.close()


def answered():
    """The learner notebook from its first line to the chosen check, shortened to what that check needs."""
    whole = nbformat.read(ROOT / "notebooks" / NOTEBOOK, 4)
    name = EXERCISE.replace(".", "-")
    cells, places = whole.cells, {cell.id: i for i, cell in enumerate(whole.cells)}
    answer, check = places[f"answer-{name}"], places[f"check-{name}"]
    cells[answer].source = ANSWER
    statement = next(i for i in range(answer, -1, -1) if f"Exercise {EXERCISE}" in cells[i].source)
    start = next(cell for cell in cells if cell.source.startswith("from mlprod_helpers import Lesson"))
    imports = nbformat.v4.new_code_cell("import numpy as np")
    whole.cells = [start, imports, *cells[statement : check + 1]]
    return whole


@contextlib.contextmanager
def jupyterlab(folder, own):
    """The address of a JupyterLab over `folder`, as learners have it; its settings are below `own`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    _settings(own)
    settings = {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    settings |= {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "run", "IPYTHONDIR": "ipython"}
    env = testing.environment() | {key: str(own / value) for key, value in settings.items()}
    env.pop("MLPROD_PROGRESS")
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
    ]
    command += ["--ServerApp.port_retries=0", "--IdentityProvider.token=", "--expose-app-in-browser"]
    server = subprocess.Popen(
        [*command, f"--ServerApp.root_dir={folder}"],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(240):
            if server.poll() is not None:
                raise RuntimeError("JupyterLab does not start here; try `make lab`")
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/api", timeout=2)
                break
            time.sleep(0.25)
        yield address
    finally:
        server.terminate()
        server.wait(20)


def _settings(own):
    """Cells out of sight are rendered too, and nbgrader's buttons are off."""
    tracker = own / "settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings"
    tracker.parent.mkdir(parents=True)
    tracker.write_text('{"windowingMode": "none"}', encoding="utf-8")
    config = own / "config/labconfig/page_config.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"disabledExtensions": {"@jupyter/nbgrader": True}}), encoding="utf-8")
