"""The machine's own Chromium, driven by Playwright: for tests, handouts and pictures. It sees this machine only."""

import contextlib
import functools
import http.server
import shutil
import threading
from importlib.util import find_spec
from urllib.parse import urlsplit

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# quiet start without a sandbox of its own, as containers need it
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
]


def missing():
    """What has to be installed first; empty where nothing is missing."""
    if find_spec("playwright") is None:
        return "playwright is missing: it comes with the extras `ci` and `site`"
    return "" if CHROMIUM else "no Chromium is installed (Debian: apt install chromium)"


@contextlib.contextmanager
def chromium():
    """A browser; it ends with the block."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def served(folder):
    """The address of a folder's files on a free port of 127.0.0.1."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def is_foreign(address):
    """Whether a request leaves this machine.

    >>> is_foreign("https://cdn.example.org/a.js"), is_foreign("http://127.0.0.1:80/"), is_foreign("data:image/png;base64,AA")
    (True, False, False)
    """
    parts = urlsplit(address)
    return parts.scheme not in ("data", "blob", "about") and parts.hostname not in ("127.0.0.1", "localhost")
