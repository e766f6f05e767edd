"""The course as pages and on paper: every page in a browser, in both themes and on a narrow screen; every handout's tags.

The pages are made once; without the extra `site` these tests are skipped, the others of this file are not.
"""

import json
from pathlib import Path

import pytest

from mlprod_tools import browser, handouts, site
from mlprod_tools.__main__ import main as run

ROOT = Path(__file__).resolve().parents[1]
LESSONS = sorted(path.stem for path in (ROOT / "solutions").glob("*.ipynb"))
THEMES = ("light", "dark")
NARROW = 360  # pixels, of a small phone

# axe-core's rules that a page may break, and why
ALLOWED = {}

# contrast is most of axe's work, and style sheets repeat themselves: of all text with the same colors and the same font,
# three places are left to see
HIDE_REPEATED = """() => {
    const times = {}, rare = new Map();
    const backdrop = box => { for (; box; box = box.parentElement) {
        const color = getComputedStyle(box).backgroundColor;
        if (color !== 'rgba(0, 0, 0, 0)') return color;
    } };
    for (const box of document.querySelectorAll('body *')) {
        if (![...box.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim())) continue;
        const style = getComputedStyle(box);
        const looks = [style.color, backdrop(box), style.fontSize, style.fontWeight, style.opacity].join();
        times[looks] = (times[looks] || 0) + 1;
        rare.set(box, times[looks] <= 3);
    }
    for (const box of document.querySelectorAll('body *'))
        if (![box, ...box.querySelectorAll('*')].some(part => rare.get(part))) box.style.visibility = 'hidden';
}"""

# each word of code has a box of its own for its color; no other rule needs these, and they are two thirds of a lesson's boxes
PLAIN_CODE = """() => {
    window.codes = [...document.querySelectorAll('pre')].map(code => [code, code.innerHTML]);
    for (const [code] of codes) code.textContent = code.textContent;
}"""
COLORED_CODE = "() => { for (const [code, words] of codes) code.innerHTML = words; }"

# text that ends right of a narrow screen, outside of boxes that scroll by themselves
CUT_OFF = """width => [...document.querySelectorAll('article :is(p, li, h1, h2, h3, h4, summary)')].filter(text => {
    for (let box = text; box.tagName !== 'ARTICLE'; box = box.parentElement)
        if (['auto', 'scroll'].includes(getComputedStyle(box).overflowX)) return false;
    return text.getBoundingClientRect().right > width + 1;
}).map(text => text.textContent.trim().slice(0, 60))"""


# --------------------------------------------------------------------------------------- the sources


def solution(stem):
    return json.loads((ROOT / "solutions" / f"{stem}.ipynb").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    site.gather(folder)
    return folder


@pytest.mark.parametrize("stem", LESSONS)
def test_a_page_folds_every_answer_and_all_collapsed_code(stem):
    cells = site.lesson_page(solution(stem), stem)["cells"]
    answers = [cell for cell in cells if "exercise" in cell["metadata"].get("mlprod", {})]
    collapsed = [cell for cell in cells if cell["metadata"].get("jupyter", {}).get("source_hidden")]
    assert answers
    assert all("hide-input" in cell["metadata"]["tags"] for cell in answers + collapsed)


def test_launch_links_follow_from_the_repository_and_none_is_invented():
    first = site.lesson_page(solution(LESSONS[1]), LESSONS[1])["cells"][0]["source"]
    assert "http" not in first
    first = site.lesson_page(solution(LESSONS[1]), LESSONS[1], "https://github.com/o/n")["cells"][0]["source"]
    assert f"https://mybinder.org/v2/gh/o/n/HEAD?urlpath=lab%2Ftree%2Fnotebooks%2F{LESSONS[1]}.ipynb" in first
    assert f"https://colab.research.google.com/github/o/n/blob/HEAD/notebooks/{LESSONS[1]}.ipynb" in first


def test_the_first_page_and_the_sidebar_list_every_lesson(sources):
    text = (sources / "index.md").read_text(encoding="utf-8")
    assert [stem for stem in LESSONS if f"](notebooks/{stem}.ipynb)" not in text] == []
    assert [stem for stem in LESSONS if f"<notebooks/{stem}>" not in text] == []


def test_the_command_prints_handouts_only_if_asked(monkeypatch, tmp_path, capsys):
    done = []
    monkeypatch.setattr(site, "missing", lambda: "")
    monkeypatch.setattr(browser, "missing", lambda: "")
    monkeypatch.setattr(
        site, "make", lambda output, with_handouts: done.append(("pages", with_handouts)) or 0
    )
    monkeypatch.setattr(handouts, "print_pages", lambda *_: done.append("printed") or [])
    assert run(["site", "-o", str(tmp_path)]) == 0
    assert done == [("pages", False)]
    assert run(["site", "-o", str(tmp_path), "--handouts"]) == 0
    assert done[1:] == [("pages", True), "printed"]
    assert "index.html" in capsys.readouterr().out


def test_printed_handouts_are_linked_from_the_first_page():
    lesson = ("01_drift_types", {"lesson": "01", "title": "Drift types", "ideas": [], "minutes": 85})
    assert "handouts/" not in site.index([lesson])
    text = site.index([lesson], with_handouts=True)
    assert 'href="handouts/01_drift_types.pdf"' in text
    assert 'href="handouts/card_drift.pdf"' in text


def test_every_room_of_the_package_has_a_page_but_the_answers_do_not(sources):
    rooms = {path.parent.name for path in (ROOT / "mlprod_helpers").glob("*/__init__.py")} - {"exercises"}
    assert {path.stem for path in (sources / "api").glob("*.rst")} >= rooms
    assert not (sources / "api" / "exercises.rst").exists()


def test_a_section_without_a_table_is_named(sources):
    with pytest.raises(LookupError, match=r"00_start_here.ipynb has no table in its section 'Nowhere'"):
        site.table_of(sources / "notebooks" / "00_start_here.ipynb", "Nowhere")


# ---------------------------------------------------------------------------------- pages in a browser


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The folder of the pages, made without a warning."""
    if why := site.missing() or browser.missing():
        pytest.skip(why)
    output = tmp_path_factory.mktemp("site")
    assert site.make(output) == 0, "Sphinx has warnings, see above"
    return output / "html"


@pytest.fixture(scope="module")
def visits(pages):
    """(page, theme) -> what is wrong there, by kind."""
    tool = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe comes with the extra `ci`"
    )
    names = [path.relative_to(pages).as_posix() for path in sorted(pages.rglob("*.html"))]
    names = [name for name in names if not name.startswith("_static/")]  # parts of the theme's templates
    found = {}
    with browser.served(pages) as address, browser.chromium() as chromium:
        for theme in THEMES:
            page = watched(chromium.new_context(color_scheme=theme))
            for name in names:
                found[name, theme] = visit(page, f"{address}/{name}", tool.Axe(), only_colors=theme == "dark")
    return found


def watched(context):
    """A page that notes errors and requests to other machines."""
    page = context.new_page()
    page.errors, page.foreign = [], []
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on(
        "request",
        lambda request: page.foreign.append(request.url) if browser.is_foreign(request.url) else None,
    )
    return page


def visit(page, address, axe, only_colors):
    """Open a page, wide and narrow, and return what is wrong by kind; of axe's rules, only that of colors depends on the theme."""
    page.errors.clear()
    page.foreign.clear()
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto(address)
    report = []
    if not only_colors:
        page.evaluate(PLAIN_CODE)
        report += look(axe, page, {"rules": {"color-contrast": {"enabled": False}}})
        page.evaluate(COLORED_CODE)
    report += look_at_colors(axe, page)
    page.set_viewport_size({"width": NARROW, "height": 780})
    return {
        "theme": page.evaluate("document.documentElement.dataset.theme"),
        "axe": [
            f"{each['id']}: {node['html'][:150]}"
            for each in report
            if each["id"] not in ALLOWED
            for node in each["nodes"]
        ],
        "width": page.evaluate("document.documentElement.scrollWidth"),
        "cut": page.evaluate(CUT_OFF, NARROW),
        "errors": list(page.errors),
        "foreign": list(page.foreign),
    }


def look(axe, page, rules):
    # without `preload`, which would fetch style sheets by paths that do not exist
    options = {"resultTypes": ["violations"], "preload": False, **rules}
    return axe.run(page, None, options).response["violations"]


def look_at_colors(axe, page):
    page.evaluate(HIDE_REPEATED)
    return look(axe, page, {"runOnly": ["color-contrast"]})


@pytest.mark.skipif(bool(browser.missing()), reason=browser.missing())
def test_repeated_text_hides_no_color_that_cannot_be_read():
    tool = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe comes with the extra `ci`"
    )
    words = "".join(f"<p>Plain words, <b>{n}</b></p>" for n in range(9))
    pale = '<p>Plain words, <b style="color: #bbb">pale</b></p>'
    grey = '<div style="background: #555"><p>Plain words on grey</p></div>'
    with browser.chromium() as chromium:
        page = chromium.new_page()
        for body, faults in ((words, 0), (words + pale, 1), (words + grey, 1), (9 * pale, 3)):
            page.set_content(
                f"<html lang='en'><title>A page</title><body style='background: #fff'>{body}</body></html>"
            )
            nodes = [node for each in look_at_colors(tool.Axe(), page) for node in each["nodes"]]
            assert len(nodes) == faults, nodes


def faults_of(visits, kind):
    return {key: found[kind] for key, found in visits.items() if found[kind]}


def test_every_page_loads_without_an_error(visits):
    assert {f"notebooks/{stem}.html" for stem in LESSONS} < {name for name, _ in visits}
    assert faults_of(visits, "errors") == {}


def test_no_page_asks_another_machine_for_anything(visits):
    assert faults_of(visits, "foreign") == {}


def test_pages_follow_the_theme_of_the_system(visits):
    assert [key for key, found in visits.items() if found["theme"] != key[1]] == []


def test_axe_finds_nothing_to_mend_in_either_theme(visits):
    assert faults_of(visits, "axe") == {}


def test_no_page_scrolls_sideways_on_a_narrow_screen_and_no_text_is_cut_off(visits):
    assert {key: found["width"] for key, found in visits.items() if found["width"] > NARROW} == {}
    assert faults_of(visits, "cut") == {}


def test_the_search_finds_a_term(pages):
    with browser.served(pages) as address, browser.chromium() as chromium:
        page = chromium.new_page()
        page.goto(f"{address}/search.html?q=half-life")
        page.wait_for_selector("#search-results li a", timeout=30_000)
        assert page.locator("#search-results a", has_text="Handling drift").count() >= 1


# ----------------------------------------------------------------------------------------- on paper


@pytest.fixture(scope="module")
def printed(pages, tmp_path_factory):
    """Name -> reader of the PDFs of one lesson and of the cards."""
    pypdf = pytest.importorskip("pypdf", reason="pypdf comes with the extra `ci`")
    names = ["notebooks/04_handling_drift", *(f"cards/{name}" for name in site.CARDS)]
    made = handouts.print_pages(pages, names, tmp_path_factory.mktemp("handouts"))
    return {path.stem: pypdf.PdfReader(path) for path in made}


def test_a_handout_is_tagged_and_says_its_language(printed):
    for reader in printed.values():
        catalog = reader.trailer["/Root"]
        assert catalog["/MarkInfo"]["/Marked"]
        assert "/StructTreeRoot" in catalog
        assert catalog["/Lang"] == "en"


def test_a_card_has_one_page(printed):
    assert {name: len(reader.pages) for name, reader in printed.items() if name.startswith("card_")} == {
        "card_checklist": 1,
        "card_drift": 1,
    }


def test_folded_parts_are_open_on_paper(printed):
    text = "".join(page.extract_text() for page in printed["04_handling_drift"].pages)
    assert "return np.where(age >= 0, 0.5 ** (np.maximum(age, 0) / half_life), 0.0)" in text
    assert "Klinkenberg" in text  # the sources stand in a folded part of the text
