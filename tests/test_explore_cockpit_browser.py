"""The cockpit flown by keyboard and mouse in a real JupyterLab: load, ramp, a killed canary, rollback, both themes."""

import nbformat
import pytest
import test_browser as browsing

from mlprod_helpers.serving import refusal
from mlprod_tools.browser import chromium

NO_LAB = refusal()
pytestmark = [browsing.pytestmark, pytest.mark.skipif(bool(NO_LAB), reason=str(NO_LAB))]

CELLS = (
    "from mlprod_helpers.serving import Lab\nfrom mlprod_helpers.explore import cockpit\nlab = Lab(lifetime_s=300).start()",
    "cockpit(lab)",
)
BUSY = "import time\nfor _ in range(80):\n    time.sleep(0.1)\nlab.close()"
WAIT = 90_000  # ms, on a busy machine


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A notebook with a lab and a cockpit over it, run once."""
    folder, own = tmp_path_factory.mktemp("pilot"), tmp_path_factory.mktemp("jupyter")
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in (*CELLS, BUSY)]
    )
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, folder / "cockpit.ipynb")
    with browsing.jupyterlab(folder, own) as address, chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 1100})
        page.errors = []
        page.on(
            "console", lambda message: page.errors.append(message.text) if message.type == "error" else None
        )
        page.goto(f"{address}/lab/tree/cockpit.ipynb")
        browsing.until(
            page, "window.jupyterapp && document.querySelector('.jp-Notebook .jp-Cell')", timeout=WAIT
        )
        idle = f"{browsing.PANEL}.sessionContext?.session?.kernel?.status === 'idle'"
        browsing.until(page, idle, timeout=WAIT)
        page.wait_for_timeout(700)  # a kernel dialog would hang behind an earlier run
        for place in range(len(CELLS)):
            run(page, place)
            browsing.until(page, f"window.ran && {idle}", timeout=WAIT)
        page.wait_for_selector(".widget-html-content img", timeout=WAIT)
        yield page


def run(page, place):
    """Begin to run one cell; `window.ran` tells when it is done."""
    page.evaluate(
        f"void ({browsing.PANEL}.content.activeCellIndex = {place}, window.ran = false, "
        "window.jupyterapp.commands.execute('notebook:run-cell').then(() => window.ran = true))"
    )


def shows(page, text):
    """Wait until a text of the cockpit, or of its picture, says so."""
    browsing.until(
        page,
        "text => [...document.querySelectorAll('.widget-html-content')].some(box => (box.textContent + "
        "(box.querySelector('img')?.alt ?? '')).includes(text))",
        arg=text,
        timeout=WAIT,
    )


def test_a_canary_is_ramped_killed_and_rolled_back_from_the_page(page):
    page.get_by_role("button", name="Start load").focus()
    page.keyboard.press("Enter")
    shows(page, "Load: 40 requests a second.")
    page.locator(".widget-hslider", has_text="users of v2").locator(".noUi-handle").focus()
    page.keyboard.press("PageUp")  # noUiSlider's big step
    shows(page, "% of the users, and copies of 0% of the requests.")
    page.keyboard.press("End")
    shows(page, "canary, 100% of the users")
    shows(page, "v2: 1")
    page.get_by_role("button", name="Kill service").click()
    shows(page, "✕ dead")
    shows(page, "tried again")
    page.get_by_role("button", name="Roll back").click()
    shows(page, "Rolled back: v1 has all users again.")
    shows(page, "stable, 100% of the users")


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_its_words_can_be_read_in_both_themes(page, theme):
    page.evaluate(f"window.jupyterapp.commands.execute('apputils:change-theme', {{theme: '{theme}'}})")
    browsing.until(page, f"document.body.dataset.jpThemeName === '{theme}'")
    page.wait_for_timeout(500)
    colors = page.evaluate(
        """[...document.querySelectorAll('.widget-html-content [style*="background"] :is(td, th, caption, pre, strong, span)')]
           .map(text => [getComputedStyle(text).color,
                         getComputedStyle(text.closest('div[style*="background"]')).backgroundColor])"""
    )
    assert len(colors) >= 20
    assert all(browsing.contrast(*pair) >= 4.5 for pair in colors), colors


def test_it_goes_on_while_a_cell_runs_and_ends_with_the_lab(page):
    before = page.locator(".widget-html-content img").first.get_attribute("alt")
    run(page, len(CELLS))
    browsing.until(
        page,
        f"before => {browsing.PANEL}.sessionContext.session.kernel.status === 'busy' && "
        "document.querySelector('.widget-html-content img').alt !== before",
        arg=before,
        timeout=WAIT,
    )
    shows(page, "The lab has ended. The picture stands still.")
    assert page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert page.get_by_role("button", name="Roll back").is_disabled()
    assert page.errors == []
