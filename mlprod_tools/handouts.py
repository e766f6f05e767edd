"""`mlprod handouts`: each lesson and two cards as PDF, printed from the pages by the machine's own Chromium.

Folded parts are opened, since paper has none. The PDFs are tagged, so that a screen reader finds headings, tables and the
text of the figures.
"""

import sys
from pathlib import Path

from mlprod_tools import browser, site


def add_options(parser):
    """The options of `mlprod handouts`."""
    parser.add_argument(
        "-o", "--output", default="build/handouts", metavar="DIR", help="default: build/handouts"
    )
    parser.add_argument(
        "--pages", default="", metavar="DIR", help="pages that `mlprod site` made (default: make them)"
    )
    parser.add_argument("--lesson", nargs="+", default=[], metavar="02", help="only these lessons")


def main(options):
    """Print all handouts. Exit status 1 where something is missing."""
    if why := browser.missing() or ("" if options.pages else site.missing()):
        print(f"mlprod handouts: {why}", file=sys.stderr)
        return 1
    pages = Path(options.pages)
    if not options.pages:
        if status := site.make(Path("build/site")):
            return status
        pages = Path("build/site/html")
    for path in print_pages(pages, names(pages, options.lesson), Path(options.output)):
        print(f"{path} ({path.stat().st_size // 1024} kB)")
    return 0


def names(pages, lessons=()):
    """The pages to print, such as "cards/drift": all lessons or those named, and the cards."""
    found = sorted((Path(pages) / "notebooks").glob("*.html"))
    chosen = [path.stem for path in found if not lessons or path.name[:2] in lessons]
    return [f"notebooks/{stem}" for stem in chosen] + [f"cards/{name}" for name in site.CARDS]


def print_pages(pages, names, output):
    """Print pages of the site to PDF.

    Parameters
    ----------
    pages : Path
        The folder of the site.
    names : list of str
        Pages in it, such as "cards/drift".
    output : Path
        The folder of the PDFs; it is made.

    Yields
    ------
    Path
        Each PDF, as soon as it is written.
    """
    output.mkdir(parents=True, exist_ok=True)
    with browser.served(pages) as address, browser.chromium() as chromium:
        context = chromium.new_context(color_scheme="light", viewport={"width": 800, "height": 1100})
        page = context.new_page()
        for name in names:
            kind, stem = name.split("/")
            page.goto(f"{address}/{name}.html")
            page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
            page.evaluate(f"document.documentElement.classList.add('{kind}-on-paper')")
            target = output / f"{'card_' if kind == 'cards' else ''}{stem}.pdf"
            page.pdf(
                path=target,
                format="A4",
                landscape=kind == "cards",
                tagged=True,
                outline=True,
                print_background=True,
                display_header_footer=kind != "cards",
                header_template="<span></span>",
                footer_template=FOOTER,
                margin=MARGINS[kind],
            )
            yield target


FOOTER = (
    "<div style='font-size:8px;width:100%;padding:0 14mm;display:flex;justify-content:space-between;color:#444'>"
    "<span class=title></span><span><span class=pageNumber></span> of <span class=totalPages></span></span></div>"
)
MARGINS = {
    "notebooks": {"top": "14mm", "bottom": "16mm", "left": "14mm", "right": "14mm"},
    "cards": {"top": "9mm", "bottom": "9mm", "left": "10mm", "right": "10mm"},
}
