"""A season played by hand in a real JupyterLab: mornings, choices, keyboard, both themes."""

import os
from pathlib import Path

import nbformat
import pytest
import test_browser as browsing

from mlprod_tools.browser import chromium

pytestmark = browsing.pytestmark
CELL = (
    "from mlprod_helpers.explore import on_call_cockpit\nfrom mlprod_helpers.oncall import Season\n"
    "cockpit = on_call_cockpit(Season(3))\ncockpit"
)
WAIT = 90_000  # ms, on a busy machine


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A notebook with a cockpit, run once."""
    folder, own = tmp_path_factory.mktemp("duty"), tmp_path_factory.mktemp("jupyter")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, folder / "duty.ipynb")
    with browsing.jupyterlab(folder, own) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.errors, page.foreign = [], []
        page.on("console", lambda said: page.errors.append(said.text) if said.type == "error" else None)
        page.on(
            "request",
            lambda sent: (
                None if sent.url.startswith((address, "data:", "blob:")) else page.foreign.append(sent.url)
            ),
        )
        page.goto(f"{address}/lab/tree/duty.ipynb")
        browsing.until(
            page, "window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell')", timeout=WAIT
        )
        browsing.until(
            page, f"{browsing.PANEL}.sessionContext?.session?.kernel?.status === 'idle'", timeout=WAIT
        )
        page.wait_for_timeout(700)  # a kernel dialog would hang behind an earlier run
        page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_selector(".widget-html-content img", timeout=WAIT)
        yield page


def alt(page):
    return page.locator(".widget-html-content img").first.get_attribute("alt")


def press(page, name):
    """Press a button and wait until the picture is that of another morning."""
    before = alt(page)
    page.get_by_role("button", name=name, exact=True).click()
    browsing.until(
        page,
        "before => document.querySelector('.widget-html-content img').alt !== before",
        arg=before,
        timeout=WAIT,
    )


def today(page):
    return page.locator(".widget-html-content [role=status]").last.inner_text()


def shoot(page, name):
    if folder := os.environ.get("MLPROD_SCREENSHOTS"):
        page.screenshot(path=Path(folder, f"{name}.png"), full_page=False)


def test_ten_mornings_are_played_by_mouse_and_keyboard(page):
    assert alt(page).startswith("Day 0:")
    for day in range(1, 9):
        press(page, "Next morning")
        assert alt(page).startswith(f"Day {day}:")
    page.get_by_role("button", name="Call staffing").focus()
    page.keyboard.press("Enter")
    browsing.until(
        page,
        "[...document.querySelectorAll('[role=status]')].some(box => box.textContent.includes('page staffing'))",
        timeout=WAIT,
    )
    assert page.evaluate("document.activeElement.textContent") == "Call staffing"  # focus stays
    assert today(page) == "Today: page staffing."
    press(page, "Next morning")
    assert (
        "Most of the people who review are ill"
        in page.locator(".widget-html-content table").first.inner_text()
    )
    press(page, "Until something happens")
    assert int(alt(page).split()[1].rstrip(":")) >= 10


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_its_words_can_be_read_in_both_themes(page, theme):
    page.evaluate(f"window.jupyterapp.commands.execute('apputils:change-theme', {{theme: '{theme}'}})")
    browsing.until(page, f"document.body.dataset.jpThemeName === '{theme}'")
    page.wait_for_timeout(500)
    colors = page.evaluate(
        """[...document.querySelectorAll('.widget-html-content [style*="background"] :is(td, th, strong)')]
           .map(text => [getComputedStyle(text).color,
                         getComputedStyle(text.closest('div[style*="background"]')).backgroundColor])"""
    )
    assert len(colors) >= 10
    assert all(browsing.contrast(*pair) >= 4.5 for pair in colors), colors
    shoot(page, f"on_call_{theme.split()[1].lower()}")


def test_nothing_is_cut_off_in_a_narrow_window(page):
    page.set_viewport_size({"width": 900, "height": 1000})
    page.wait_for_timeout(500)
    cut = page.evaluate(
        "[...document.querySelectorAll('.jupyter-button')].filter(b => b.scrollWidth > b.clientWidth + 1).map(b => b.textContent)"
    )
    assert cut == []
    shoot(page, "on_call_narrow")


def test_no_error_and_no_request_elsewhere(page):
    assert page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert page.errors == [] and page.foreign == []
