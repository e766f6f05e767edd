"""Every lesson in a real JupyterLab, as a learner uses it: run all, answers and their feedback, a hint, explorers, themes, restart.

Each one runs from a release of its own. Its kernel has no network if users may make network namespaces here.

`MLPROD_SCREENSHOTS=folder` keeps the pictures of the pages in one folder.
"""

import ast
import builtins
import inspect
import json
import os
import re
import sys
import tempfile
import textwrap
from pathlib import Path
from types import SimpleNamespace

import nbformat
import psutil
import pytest
import test_browser as browsing
import test_learner_notebooks as learner

from mlprod_helpers.lesson import contract
from mlprod_helpers.lesson.checking import check
from mlprod_helpers.lesson.kinds import Function
from mlprod_helpers.serving import refusal
from mlprod_tools.browser import chromium, is_foreign

pytestmark = browsing.pytestmark

NOTEBOOKS = learner.NOTEBOOKS
THEMES = ("JupyterLab Dark", "JupyterLab Light")  # the last one stays
PANEL = browsing.PANEL
IDLE = f"{PANEL}.sessionContext?.session?.kernel?.status === 'idle'"
WAIT = 300_000  # ms, on a busy machine
NO_LAB = refusal()


# --- what is typed ------------------------------------------------------------------------------------------------------


def attempts_of(lesson):
    """One exercise of a lesson that is a function: (exercise, name -> source of a wrong answer and of a misconception, its text).

    Both come from the contract, so that nothing here has to follow when an exercise changes.
    """
    for exercise in contract.load(lesson).exercises.values():
        if len(exercise.answers) == 1 and isinstance(exercise.kinds[0], Function):
            [name] = exercise.answers
            wrong, mistaken = wrong_source(exercise, name), misconception(exercise, name)
            if wrong and mistaken:
                return exercise, {"wrong": wrong, "misconception": mistaken[0]}, mistaken[1]
    raise AssertionError(f"Lesson {lesson} has no function whose misconception can be typed.")


def wrong_source(exercise, name):
    """A function that always returns the same and that no misconception explains."""
    for value in (0, -1):
        verdict = check(exercise, {name: lambda *_, value=value: value}, None)
        if verdict.outcome.name == "FAILED" and not verdict.misconception:
            return f"def {name}(*_):\n    return {value}"
    return None


def misconception(exercise, name):
    """The source of a misconception that needs nothing of its module, under the learner's name, and its feedback."""
    for each in exercise.misconceptions:
        [function, *_] = ast.parse(textwrap.dedent(inspect.getsource(each.make))).body
        if not isinstance(function, ast.FunctionDef) or needs(function) - {"np", "pd"}:
            continue
        function.name, function.decorator_list = name, []
        source = f"import numpy as np\nimport pandas as pd\n\n{ast.unparse(function)}"
        exec(source, scope := {})
        if check(exercise, {name: scope[name]}, None).misconception == each.name:
            return source, each.text
    return None


def needs(function):
    """Names that a function takes from its module."""
    names = [node for part in function.body for node in ast.walk(part) if isinstance(node, ast.Name)]
    own = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    own |= {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    own |= {node.name for node in ast.walk(function) if isinstance(node, ast.FunctionDef)}
    return {node.id for node in names} - own - set(dir(builtins))


# --- the page -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """One JupyterLab over a release of each lesson, and a browser that notes what it asks for."""
    folder, own = tmp_path_factory.mktemp("course"), tmp_path_factory.mktemp("jupyter")
    shots = Path(os.environ.get("MLPROD_SCREENSHOTS") or tmp_path_factory.mktemp("screenshots"))
    shots.mkdir(parents=True, exist_ok=True)
    learner.startup(own / "ipython")
    command = learner.without_network([sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"])
    kernel = own / "data/kernels/python3/kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text(json.dumps({"argv": command, "display_name": "Python 3", "language": "python"}))
    with (
        tempfile.TemporaryDirectory() as run,  # its path is short, as the paths of sockets must be
        browsing.jupyterlab(
            folder,
            own,
            folder / ".mlprod-progress.json",
            ["--KernelManager.transport=ipc"],
            JUPYTER_PATH=own / "data",
            JUPYTER_RUNTIME_DIR=run,
        ) as address,
        chromium() as browser,
    ):
        context = browser.new_context(viewport={"width": 1280, "height": 1000})
        asked = []
        context.on("request", lambda request: asked.append(request.url))
        context.on("page", lambda page: page.on("websocket", lambda socket: asked.append(socket.url)))
        yield SimpleNamespace(address=address, context=context, folder=folder, asked=asked, shots=shots)


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=[path.stem[:2] for path in NOTEBOOKS])
def lesson(lab, request):
    """A lesson in the browser, everything run once."""
    lab.asked.clear()
    opened = OpenLesson(lab, request.param)
    opened.run_all()
    yield opened
    opened.page.evaluate(f"{PANEL}.sessionContext.shutdown()")
    opened.page.close()


class OpenLesson:
    """A lesson's page, and what a learner does on it."""

    def __init__(self, lab, path):
        self.id, self._lab = path.stem[:2], lab
        self.file = learner.prepare(path, lab.folder / self.id)
        self.exercise, self.attempts, self.mistake = attempts_of(self.id)
        solved = nbformat.read(browsing.ROOT / "solutions" / path.name, 4)
        [right] = [cell.source for cell in solved.cells if cell.id == self.cell_id("answer")]
        self.attempts["right"] = right
        self.page = lab.context.new_page()
        place = self.file.relative_to(lab.folder).as_posix()
        self.page.goto(f"{lab.address}/lab/workspaces/{self.id}/tree/{place}")  # no tab of another lesson
        self.is_open()

    def cell_id(self, kind):
        return f"{kind}-{self.exercise.id.replace('.', '-')}"

    def is_open(self):
        """Wait until the notebook and its kernel are there: a dialog of the kernel would hang behind an earlier run."""
        browsing.until(
            self.page, "window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell')", timeout=WAIT
        )
        self.page.evaluate(
            f"async () => {{ await {PANEL}.context.ready; await {PANEL}.sessionContext.ready; }}"
        )
        browsing.until(self.page, IDLE, timeout=WAIT)

    def run_all(self):
        self.page.evaluate(
            "void (window.ran = false, window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => window.ran = true))"
        )
        browsing.until(self.page, f"window.ran && {IDLE}", timeout=WAIT)

    def place(self, found):
        """Index of the one cell for which a JavaScript condition over its `model` holds."""
        return self.page.evaluate(f"{PANEL}.content.widgets.findIndex(({{model}}) => {found})")

    def cell(self, place):
        return self.page.locator(".jp-Notebook .jp-Cell").nth(place)

    def count(self):
        return self.page.locator(".jp-Notebook .jp-Cell").count()

    def run(self, place, source=None):
        """Run one cell with the keyboard, after typing a new text into it."""
        editor = self.cell(place).locator(".cm-content")
        editor.scroll_into_view_if_needed()
        editor.click()
        if source is not None:
            self.page.keyboard.press("Control+a")
            self.page.keyboard.insert_text(source)
        model = f"{PANEL}.content.widgets[{place}].model"
        self.page.evaluate(f"{model}.executionCount = null")
        self.page.keyboard.press("Control+Enter")
        browsing.until(self.page, f"{model}.executionCount && {IDLE}", timeout=WAIT)

    def said(self, place, text):
        """The output of a cell, as soon as it holds this text."""
        outputs = f"document.querySelectorAll('.jp-Notebook .jp-Cell')[{place}].querySelector('.jp-Cell-outputArea')"
        browsing.until(self.page, f"text => {outputs}.textContent.includes(text)", arg=text, timeout=WAIT)
        return self.page.evaluate(f"{outputs}.textContent")

    def wear(self, theme):
        self.page.evaluate(
            f"window.jupyterapp.commands.execute('apputils:change-theme', {{theme: '{theme}'}})"
        )
        browsing.until(
            self.page,
            "theme => document.body.dataset.jpThemeName === theme && getComputedStyle(document.body)"
            ".getPropertyValue('--jp-layout-color0') && document.querySelector('.jp-ThemedContainer, body')",
            arg=theme,
            timeout=WAIT,
        )

    def shot(self, what):
        self.page.screenshot(path=self._lab.shots / f"{self.id}-{what}.png", animations="disabled")


# --- what a learner does ------------------------------------------------------------------------------------------------


def test_run_all_ends_without_an_error_and_every_check_says_not_attempted(lesson):
    notebook = nbformat.from_dict(lesson.page.evaluate(f"{PANEL}.content.model.toJSON()"))
    learner.has_run_untouched(notebook, lesson.file)
    assert lesson.page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
    texts = lesson.page.evaluate(
        "[...document.querySelectorAll('.jp-OutputArea-output img')].map(image => image.alt)"
    )
    assert texts and all(len(each) > 40 for each in texts)


def test_wrong_mistaken_and_right_answers_draw_three_feedbacks_and_a_hint_is_one_click_away(lesson):
    exercise, feedback = lesson.exercise, {}
    answer, asked = (lesson.place(f"model.id === '{lesson.cell_id(kind)}'") for kind in ("answer", "check"))
    for kind, heading in (("wrong", "not yet"), ("misconception", ""), ("right", "passed")):
        lesson.run(answer, lesson.attempts[kind])
        lesson.run(asked)
        feedback[kind] = lesson.said(asked, f"Exercise {exercise.id} · {heading}")
        if kind == "wrong":
            lesson.cell(asked).get_by_role("button", name=f"Hint 1 of {len(exercise.hints)}").click()
            lesson.said(asked, re.split("[`*_]", exercise.hints[0])[0])
    assert len(set(feedback.values())) == 3
    assert [kind for kind, text in feedback.items() if "It looks like" in text] == ["misconception"]
    assert re.split("[`*_]", lesson.mistake)[0] in feedback["misconception"]
    points = f"{exercise.points:g} of {exercise.points:g} points"
    assert points in feedback["right"] and points not in feedback["wrong"] + feedback["misconception"]


def test_a_control_of_each_explorer_moves_picture_and_text_and_keeps_its_keys(lesson):
    if lesson.id == "11":  # its cockpit has buttons only: test_explore_on_call_browser.py plays it
        cockpit = lesson.page.locator(".mlprod-widgets", has=lesson.page.get_by_text("Next morning"))
        before = picture(cockpit)
        cockpit.get_by_role("button", name="Next morning", exact=True).click()
        assert picture_changes(lesson.page, cockpit, before)
        return
    boxes = lesson.page.locator(
        ".mlprod-widgets", has=lesson.page.get_by_role("button", name="Reset", exact=True)
    )
    assert boxes.count() >= 1
    for place in range(boxes.count()):
        box, cells = boxes.nth(place), lesson.count()
        active = f"{PANEL}.content.activeCellIndex"
        for control in box.locator("[role=slider], select").all():
            control.scroll_into_view_if_needed()
            control.focus()
            if control.evaluate("each => each.role") == "slider":
                assert control.get_attribute("aria-label") and control.get_attribute("aria-valuetext")
                value, least, most = (
                    float(control.get_attribute(f"aria-value{of}")) for of in ("now", "min", "max")
                )
                assert least <= value <= most
                key = "ArrowLeft" if value == most else "ArrowRight"
            else:
                last = control.evaluate("each => each.selectedIndex === each.options.length - 1")
                key = "ArrowUp" if last else "ArrowDown"
            before, at = picture(box), lesson.page.evaluate(active)
            for each in ("b", "x", key):
                lesson.page.keyboard.press(each)
            assert (lesson.count(), lesson.page.evaluate(active)) == (cells, at)
            if picture_changes(lesson.page, box, before):
                break
        else:
            raise AssertionError(f"no control of explorer {place} moves its picture and its text")
        lesson.shot(f"explorer-{place}")
        box.get_by_role("button", name="Reset", exact=True).click()


def picture(box):
    return box.locator("img").first.evaluate("image => [image.src, image.alt]")


def picture_changes(page, box, before):
    """Whether both the picture and its text change within some seconds."""
    from playwright.sync_api import TimeoutError

    try:
        browsing.until(
            page,
            "([box, [src, alt]]) => { const image = box.querySelector('img'); return image && image.src !== src && image.alt !== alt }",
            arg=[box.element_handle(), before],
            timeout=20_000,
        )
    except TimeoutError:
        return False
    return True


def test_feedback_can_be_read_in_both_themes(lesson):
    lesson.cell(lesson.place(f"model.id === '{lesson.cell_id('check')}'")).scroll_into_view_if_needed()
    for theme in THEMES:
        lesson.wear(theme)
        colors = lesson.page.evaluate(
            """[...document.querySelectorAll('.jp-RenderedHTMLCommon div[style*="border-left"]')].map(box => {
                const style = getComputedStyle(box); return [style.color, style.backgroundColor]; })"""
        )
        assert len(colors) >= 3
        assert all(browsing.contrast(*pair) >= 4.5 for pair in colors), (theme, colors)
        lesson.shot(theme.split()[1].lower())


def test_after_a_restart_explorers_say_why_they_stand_still_and_nothing_is_left_running(lesson):
    before = {each.pid for each in left_running()}
    if lesson.id == "09" and not NO_LAB:
        assert len(before) >= 3, "the lab's services and its router"
    lesson.page.evaluate(f"{PANEL}.sessionContext.session.kernel.restart()")
    lines = lesson.page.locator(".mlprod-stopped")
    lines.first.wait_for(state="visible", timeout=WAIT)
    assert all("Run this cell again" in line or "run the cells" in line for line in lines.all_inner_texts())
    psutil.wait_procs([psutil.Process(pid) for pid in before if psutil.pid_exists(pid)], timeout=WAIT / 1000)
    assert not [pid for pid in before if psutil.pid_exists(pid)]
    assert lesson.page.locator(".mlprod-light > *").locator("visible=true").count() == 0  # no "ready"


def left_running():
    """The processes that the notebook's cells have started; one kernel runs at a time."""
    kernels = [
        each
        for each in psutil.Process().children(recursive=True)
        if "ipykernel_launcher" in " ".join(each.cmdline())
    ]
    return [child for kernel in kernels for child in kernel.children(recursive=True)]


def test_progress_is_kept_when_the_page_is_loaded_again_with_a_new_kernel(lesson):
    lesson.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    browsing.until(lesson.page, f"!{PANEL}.context.model.dirty", timeout=WAIT)
    lesson.page.reload()
    lesson.is_open()
    assert (
        lesson.attempts["right"].splitlines()[0]
        in lesson.cell(lesson.place(f"model.id === '{lesson.cell_id('answer')}'"))
        .locator(".cm-content")
        .inner_text()
    )
    lesson.run(lesson.place("model.sharedModel.source.includes('Lesson(\"')"))
    last = lesson.place("model.sharedModel.source.trim() === 'lesson.progress()'")
    lesson.run(last)
    lesson.said(
        last,
        f"{lesson.exercise.id} {lesson.exercise.title} · {lesson.exercise.points:g} of {lesson.exercise.points:g}",
    )
    lesson.shot("progress")


def test_no_request_leaves_this_machine(lesson, lab):
    assert len(lab.asked) > 50
    assert [address for address in lab.asked if is_foreign(address)] == []
