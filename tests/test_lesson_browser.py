"""Help within reach, in a real JupyterLab: buttons for hint, solution and a guess, by mouse and by keyboard, in both themes."""

import os

import nbformat
import pytest
import test_browser as browsing

from mlprod_tools.browser import chromium

pytestmark = browsing.pytestmark

WRONG = "def slow_pages(n_requests, slow_share):\n    return {}"
CELLS = (
    'from mlprod_helpers import Lesson\nlesson = Lesson("00")',
    'lesson.predict("share of slow pages", ..., choices=[0.01, 0.05, 0.2, 0.5])',
    WRONG.format("n_requests * slow_share"),
    'lesson.check("0.2")',
    "lesson.progress()",
    "lesson.course()",
)
PREDICT, ANSWER, CHECK, COURSE = 1, 2, 3, 5
WAIT = 90_000  # ms, on a busy machine
IDLE = f"{browsing.PANEL}.sessionContext?.session?.kernel?.status === 'idle'"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A few cells of lesson 00, run once; the solutions are next door."""
    course, own = tmp_path_factory.mktemp("course"), tmp_path_factory.mktemp("jupyter")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    lesson = nbformat.read(browsing.ROOT / "notebooks" / browsing.NAME, 4)
    notebook.cells += [cell for cell in lesson.cells if "## Recap" in cell.source]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, course / "mine.ipynb")
    before = os.environ.pop("MLPROD_PROGRESS", None)
    with browsing.jupyterlab(course, own) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        page.errors, page.course = [], course
        page.on(
            "console", lambda message: page.errors.append(message.text) if message.type == "error" else None
        )
        page.goto(f"{address}/lab/tree/mine.ipynb")
        browsing.until(
            page, "window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell')", timeout=WAIT
        )
        browsing.until(page, IDLE, timeout=WAIT)
        page.wait_for_timeout(700)  # a kernel dialog would hang behind an earlier run
        for place in range(len(CELLS)):
            run(page, place)
        yield page
    if before is not None:
        os.environ["MLPROD_PROGRESS"] = before


def run(page, place):
    """Run one cell to its end."""
    page.evaluate(
        f"void ({browsing.PANEL}.content.activeCellIndex = {place}, window.ran = false, "
        "window.jupyterapp.commands.execute('notebook:run-cell').then(() => window.ran = true))"
    )
    browsing.until(page, f"window.ran && {IDLE}", timeout=WAIT)


def cell(page, place):
    return page.locator(".jp-Notebook .jp-Cell").nth(place)


def shows(page, place, text):
    cell(page, place).locator(".jp-OutputArea").get_by_text(text).first.wait_for(timeout=WAIT)


def write(page, place, source):
    """Put a text into a cell, and run it."""
    page.evaluate(
        f"source => {browsing.PANEL}.content.widgets[{place}].model.sharedModel.setSource(source)", source
    )
    run(page, place)


def test_hints_come_one_by_one_with_the_keyboard_and_keep_the_focus(page):
    hint = cell(page, CHECK).get_by_role("button", name="Hint 1 of 2")
    hint.focus()
    page.keyboard.press("Enter")
    shows(page, CHECK, "A web page is fast only if every one of its requests is fast.")
    page.keyboard.press("Space")
    shows(page, CHECK, "That was the last hint.")
    assert page.evaluate("document.activeElement.textContent") == "Hint 2 of 2"
    assert page.locator(".jp-Notebook .jp-Cell").count() == len(CELLS) + 1, "no key went past the button"


def test_the_solution_is_one_click_away_and_opens_after_a_right_answer(page):
    cell(page, CHECK).get_by_role("button", name="Solution").click()
    shows(page, CHECK, "It opens when the exercise is passed, or after 2 more different tries of yours.")
    write(page, ANSWER, WRONG.format("1 - (1 - slow_share) ** n_requests"))
    run(page, CHECK)
    shows(page, CHECK, "Exercise 0.2 · passed · 2 of 2 points")
    cell(page, CHECK).get_by_role("button", name="Solution").click()
    shows(page, CHECK, "def slow_pages(n_requests, slow_share):")


def test_a_guess_is_pressed_and_comes_back(page):
    cell(page, PREDICT).get_by_role("button", name="0.05").click()
    shows(page, PREDICT, "Recorded: 0.05.")
    write(page, PREDICT, 'lesson.recall("share of slow pages", 0.18)')
    shows(page, PREDICT, "You predicted 0.05. The outcome is 0.18.")
    write(page, PREDICT, CELLS[PREDICT])
    shows(page, PREDICT, "Recorded: 0.05.")
    assert cell(page, PREDICT).get_by_role("button", name="0.5").count() == 0


def test_the_recap_is_opened_with_mouse_or_keyboard_and_needs_no_widget(page):
    questions = cell(page, len(CELLS)).locator("details", has_text="Why")
    first, last = questions.first, questions.last
    first.locator("summary").click()
    last.locator("summary").focus()
    page.keyboard.press("Enter")
    assert first.get_attribute("open") is not None and last.get_attribute("open") is not None


def test_the_map_says_what_is_begun_and_what_comes_next(page):
    run(page, COURSE)
    shows(page, COURSE, "Your course · 2 of ")
    shows(page, COURSE, "00 Start here · 2 of 9 points")
    shows(page, COURSE, "Next: go on with lesson 00 (Start here) at exercise 0.1.")


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_buttons_answers_and_bars_can_be_seen_in_both_themes(page, theme):
    page.evaluate(f"window.jupyterapp.commands.execute('apputils:change-theme', {{theme: '{theme}'}})")
    browsing.until(page, f"document.body.dataset.jpThemeName === '{theme}'")
    page.wait_for_timeout(500)
    words = page.evaluate(
        """[...document.querySelectorAll('.jp-OutputArea button, .widget-html-content div[style*="border-left"]')].map(box => {
            const style = getComputedStyle(box); return [style.color, style.backgroundColor]; })"""
    )
    assert len(words) >= 3 and all(browsing.contrast(*pair) >= 4.5 for pair in words), words
    bars = page.evaluate(
        """[...document.querySelectorAll('span[aria-hidden] > span')].map(bar => [getComputedStyle(bar).backgroundColor,
            getComputedStyle(bar.closest('div[style*="border-left"]')).backgroundColor])"""
    )
    assert len(bars) >= 10 and all(browsing.contrast(*pair) >= 3 for pair in bars), bars


def test_nothing_went_wrong_on_the_page(page):
    assert page.errors == []


def test_buttons_stay_while_the_kernel_runs_and_feedback_stays_without_it(page):
    opened_again(page)
    cell(page, CHECK).get_by_role("button", name="Solution").wait_for(timeout=WAIT)
    page.evaluate(f"{browsing.PANEL}.sessionContext.shutdown()")
    opened_again(page)
    browsing.until(
        page,
        "[...document.querySelectorAll('.jupyter-widgets')].some(box => box.textContent.includes('model not found'))",
        timeout=WAIT,
    )
    assert not page.get_by_text("Error displaying widget").first.is_visible()
    assert page.get_by_text("Exercise 0.2 · passed · 2 of 2 points").is_visible()
    assert page.get_by_text('lesson.solution("0.2")').first.is_visible()


def opened_again(page):
    """Save the notebook and load the page anew."""
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    browsing.until(page, f"!{browsing.PANEL}.context.model.dirty", timeout=WAIT)
    page.reload()
    browsing.until(page, "window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell')", timeout=WAIT)
