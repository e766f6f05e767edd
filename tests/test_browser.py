"""A learner's first hour in a real JupyterLab: Run All, wrong answer, right answer, a slider, both themes."""

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

from mlprod_tools import testing
from mlprod_tools.browser import chromium, missing

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

ROOT = Path(__file__).resolve().parents[1]
NAME = "00_start_here.ipynb"
WRONG = 'terms = {"auc": "b", "p_value": "f", "p99": "a", "calibration": "h", "out_of_fold": "d"}'
PANEL = "window.jupyterapp.shell.currentWidget"


def until(page, condition, arg=None, timeout=30_000):
    """Wait until a JavaScript condition holds in a page; ten looks a second, since one at each frame keeps a core busy with drawing."""
    page.wait_for_function(condition, arg=arg, timeout=timeout, polling=100)


@contextlib.contextmanager
def jupyterlab(folder, own, progress="memory", options=(), **variables):
    """A JupyterLab over `folder` on a free port of 127.0.0.1, with settings of its own; `progress` is a file, or "memory".

    `options` go to its command, `variables` to its environment.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tracker = own / "settings/@jupyterlab/notebook-extension/tracker.jupyterlab-settings"
    tracker.parent.mkdir(parents=True)
    tracker.write_text('{"windowingMode": "none"}')  # cells out of sight are rendered too
    settings = {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    settings |= {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "run", "IPYTHONDIR": "ipython"}
    env = testing.environment() | {key: str(own / value) for key, value in settings.items()}
    env |= {"MLPROD_PROGRESS": str(progress)} | {key: str(value) for key, value in variables.items()}
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
    command += [f"--ServerApp.root_dir={folder}", *options]
    with open(own / "log", "w") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(240):
            assert server.poll() is None, (own / "log").read_text()[-2000:]
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/api", timeout=2)
                break
            time.sleep(0.25)
        yield address
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Lesson 00 open in a browser, everything run once; one answer is a misconception, one is right."""
    folder, own = tmp_path_factory.mktemp("learner"), tmp_path_factory.mktemp("jupyter")
    notebook = nbformat.read(ROOT / "notebooks" / NAME, 4)
    solved = {cell.id: cell.source for cell in nbformat.read(ROOT / "solutions" / NAME, 4).cells}
    for cell in notebook.cells:
        if cell.id == "answer-0-3":
            cell.source = WRONG
        elif cell.id == "answer-0-2":
            cell.source = solved[cell.id]
    nbformat.write(notebook, folder / NAME)
    before = os.environ.pop("MLPROD_PROGRESS", None)
    with jupyterlab(folder, own) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(f"{address}/lab/tree/{NAME}")
        until(page, "window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell')", timeout=90_000)
        until(page, f"{PANEL}.sessionContext?.session?.kernel?.status === 'idle'", timeout=90_000)
        page.wait_for_timeout(700)  # a kernel dialog would hang behind an earlier Run All
        page.evaluate(
            "void (window.ran = false, window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => window.ran = true))"
        )
        until(page, f"window.ran && {PANEL}.sessionContext.session.kernel.status === 'idle'", timeout=120_000)
        yield page
    if before is not None:
        os.environ["MLPROD_PROGRESS"] = before


def text(page):
    return page.evaluate(
        "[...document.querySelectorAll('.jp-OutputArea-output')].map(output => output.textContent).join('\\n')"
    )


def test_run_all_ends_without_an_error_and_each_answer_has_its_feedback(page):
    said = text(page)
    assert page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert "Exercise 0.1 · not attempted" in said
    assert "Exercise 0.2 · passed · 2 of 2 points" in said
    assert "Exercise 0.3 · partly · 3.5 of 5 points" in said
    assert "It looks like you read ROC-AUC as a share of rows" in said


@pytest.mark.skipif(shutil.which("make") is None, reason="no make is installed")
def test_make_lab_prints_an_address_that_opens_the_first_lesson():
    recipe = subprocess.run(
        ["make", "-n", "lab", "ARGS=--no-browser"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    [line] = [line for line in recipe.stdout.splitlines() if "jupyter lab" in line]
    options = dict(word.split("=", 1) for word in shlex.split(line) if "=" in word)
    assert "--no-browser" in line
    opened = options["--LabApp.default_url"].removeprefix("/lab/tree/")
    assert Path(options["--ServerApp.root_dir"], opened) == ROOT / "notebooks" / NAME


def test_no_news_popup_covers_the_first_lesson(page):
    assert page.locator(".Toastify__toast").count() == 0


def test_every_picture_says_what_to_notice(page):
    texts = page.evaluate(
        "[...document.querySelectorAll('.jp-OutputArea-output img')].map(image => image.alt)"
    )
    assert len(texts) >= 2 and all(len(each) > 40 for each in texts)


def test_a_slider_moves_the_picture_and_its_text(page):
    picture = page.locator(".widget-html-content img").first
    before = picture.get_attribute("alt")
    handle = page.locator(".noUi-handle").first
    handle.scroll_into_view_if_needed()
    handle.focus()
    page.keyboard.press("ArrowRight")
    until(
        page,
        "before => document.querySelector('.widget-html-content img').alt !== before",
        arg=before,
        timeout=10_000,
    )


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_feedback_can_be_read_in_both_themes(page, theme):
    page.evaluate(f"window.jupyterapp.commands.execute('apputils:change-theme', {{theme: '{theme}'}})")
    until(page, f"document.body.dataset.jpThemeName === '{theme}'")
    page.wait_for_timeout(500)
    colors = page.evaluate(
        """[...document.querySelectorAll('.jp-RenderedHTMLCommon div[style*="border-left"]')].map(box => {
            const style = getComputedStyle(box); return [style.color, style.backgroundColor]; })"""
    )
    assert len(colors) >= 3
    assert all(contrast(*pair) >= 4.5 for pair in colors), colors


def contrast(one, other):
    """WCAG 2 contrast of two CSS colors."""

    def luminance(color):
        channels = [float(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
