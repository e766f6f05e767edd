"""What the headers of a request may hold: names of users, requests and versions, and the hosts that may ask."""

import re
from urllib.parse import urlsplit

NAME = r"^[A-Za-z0-9._:-]{1,64}$"
NAME_IN_WORDS = "1 to 64 of A-Z a-z 0-9 . _ : -"
_is_name = re.compile(NAME.removesuffix("$") + r"\Z").match


def valid_name(text):
    """Can this be a name in a header, a log and a metric?

    >>> valid_name("r-1:a"), valid_name("two words"), valid_name("")
    (True, False, False)
    """
    return isinstance(text, str) and _is_name(text) is not None


def check_version(name):
    """The name of a version, or a ValueError: it goes into headers, logs, metrics and file names.

    >>> check_version("Router")
    Traceback (most recent call last):
    ValueError: A version cannot be called 'Router': the router's own rows of the log have this name.
    """
    if not valid_name(name) or not name.strip("."):
        raise ValueError(f"A version is called {name!r}: use {NAME_IN_WORDS}")
    if name.lower() == "router":
        raise ValueError(
            f"A version cannot be called {name!r}: the router's own rows of the log have this name."
        )
    return name


def foreign(host, origin):
    """What is wrong with a request's Host and Origin (texts or None): (status, error, where, what), or None.

    Any web page can make a browser send requests to 127.0.0.1, but its address is then the Origin, or, with DNS rebinding, the Host.

    >>> foreign("127.0.0.1:8001", None), foreign("localhost:8001", "http://localhost:8001")
    (None, None)
    >>> foreign("127.0.0.1:8001", "https://example.org")[:2], foreign("example.org:8001", None)[:2]
    ((403, 'foreign_origin'), (421, 'foreign_host'))
    """
    if host is not None and not _is_here(host.lower()):
        return 421, "foreign_host", "Host", "is not this machine: ask http://127.0.0.1 or http://localhost"
    if origin is not None and origin.lower() != f"http://{host or ''}".lower():
        what = "is another page, and pages of others may not ask this service"
        return 403, "foreign_origin", "Origin", what
    return None


def _is_here(host):
    name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    return name in ("127.0.0.1", "[::1]") or not ("." in name or ":" in name)


def loopback(url):
    """The address, if it is on this machine: http://127.0.0.1:PORT and nothing else.

    >>> loopback("http://127.0.0.1:8001/")
    'http://127.0.0.1:8001'
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme == "http" and parts.hostname == "127.0.0.1" and parts.port and "@" not in url
    except (ValueError, TypeError, AttributeError):
        good = False
    if not good or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"{url!r} is refused: only http://127.0.0.1:PORT, so that no other machine is hit.")
    return f"http://127.0.0.1:{parts.port}"
