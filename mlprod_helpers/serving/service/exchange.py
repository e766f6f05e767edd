"""One request to the service: what came with it, why it is refused, what goes back."""

import time

_WANTED = {
    name.encode(): name.replace("-", "_")
    for name in (
        *("x-request-id", "x-user-id", "x-shadow", "x-api-key", "x-forwarded-for"),
        *("content-type", "content-length", "transfer-encoding", "expect", "host", "origin"),
    )
}
# of two of these the router might take one, and the service the other
_ONCE = frozenset(("host", "origin", "content_type", "x_request_id", "x_user_id", "x_shadow", "x_api_key"))


class Refusal(Exception):
    """A request that gets no answer: HTTP status, one word, details and further headers.

    `close`: the connection is closed after it. `comes`: the rest of the body is on its way, and is read first.
    """

    def __init__(self, status, error, detail=(), headers=(), close=False, comes=False):
        super().__init__(error)
        self.status, self.error, self.detail = status, error, list(detail)
        self.headers, self.close, self.comes = list(headers), close, comes


class Ask:
    """One request: what is known about it so far.

    `arrived` is in seconds since 1970, `begin` of the monotonic clock; `name` the request's id, `ids` those of its rows;
    `rows` are dicts, None before they are checked; `head` holds the headers that count here, as bytes; `twice` a header that
    stands twice and may not, or None.
    """

    __slots__ = ("arrived", "begin", "head", "ids", "many", "name", "rows", "shadow", "twice", "user")

    def __init__(self, scope, name):
        self.arrived, self.begin = time.time(), time.perf_counter()
        self.name, self.user, self.shadow = name, None, False
        self.rows = self.ids = None
        self.many, self.twice = False, None
        self.head = head = {}
        for key, value in scope["headers"]:
            if key in _WANTED:
                name = _WANTED[key]
                if name in head and name in _ONCE:
                    self.twice = name
                head[name] = value

    def check_sender(self):
        """Refuse what a page of somebody else sends from the browser of this machine, and headers that stand twice."""
        wrong = foreign(self.head.get("host"), self.head.get("origin"))
        if wrong is None and self.twice is not None:
            wrong = 400, "header_twice", self.twice.replace("_", "-").title(), "stands twice: send it once"
        if wrong is not None:
            status, error, where, what = wrong
            detail = [{"where": where, "what": what}]
            raise Refusal(status, error, detail, close=has_large_body(self.head))


def foreign(host, origin):
    """What is wrong with a request's Host and Origin (bytes or None): (status, error, where, what), or None.

    Any page can make a browser send requests to 127.0.0.1. It cannot hide where it comes from: its own address is the Origin,
    and where its name was made to lead here (DNS rebinding), the Host. A name without a dot is no page of the internet.

    >>> foreign(b"127.0.0.1:8001", None), foreign(b"localhost:8001", b"http://localhost:8001")
    (None, None)
    >>> foreign(b"127.0.0.1:8001", b"https://example.org")[:2], foreign(b"example.org:8001", None)[:2]
    ((403, 'foreign_origin'), (421, 'foreign_host'))
    """
    if host is not None and not _is_here(host):
        return 421, "foreign_host", "Host", "is not this machine: ask http://127.0.0.1 or http://localhost"
    if origin is not None and origin.lower() != b"http://" + (host or b"").lower():
        return (
            403,
            "foreign_origin",
            "Origin",
            "is another page, and pages of others may not ask this service",
        )
    return None


def _is_here(host):
    name = host.lower()
    name = name.partition(b"]")[0] + b"]" if name.startswith(b"[") else name.partition(b":")[0]
    return name in (b"127.0.0.1", b"[::1]") or not (b"." in name or b":" in name)


def told_of(ask, answers, version, latency):
    """The body of a 200, a dict."""
    scored = type(answers[0]) is tuple
    told = {"request_id": ask.name}
    if ask.many:
        told["request_ids"] = ask.ids
        told["predictions"] = [answer[0] for answer in answers] if scored else answers
        if scored:
            told["scores"] = [answer[1] for answer in answers]
    else:
        told["prediction"] = answers[0][0] if scored else answers[0]
        if scored:
            told["score"] = answers[0][1]
    return told | {"version": version, "latency_ms": latency}


def is_json(content_type):
    """Does this header (bytes) say JSON?

    >>> is_json(b"application/json; charset=utf-8"), is_json(b"text/plain")
    (True, False)
    """
    return content_type == b"application/json" or (
        content_type.partition(b";")[0].strip().lower() == b"application/json"
    )


def has_large_body(head):
    """Would the rest of this request hold up the connection? Then it is closed after the answer."""
    return "transfer_encoding" in head or "expect" in head or int(head.get("content_length", 0)) > 65_536
