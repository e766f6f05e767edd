"""One request to the service: what came with it, why it is refused, what goes back."""

import time

_WANTED = {
    name.encode(): name.replace("-", "_")
    for name in (
        *("x-request-id", "x-user-id", "x-shadow", "x-api-key", "x-forwarded-for"),
        *("content-type", "content-length", "transfer-encoding", "expect"),
    )
}


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
    `rows` are dicts, None before they are checked; `head` holds the headers that count here, as bytes.
    """

    __slots__ = ("arrived", "begin", "head", "ids", "many", "name", "rows", "shadow", "user")

    def __init__(self, scope, name):
        self.arrived, self.begin = time.time(), time.perf_counter()
        self.name, self.user, self.shadow = name, None, False
        self.rows = self.ids = None
        self.many = False
        self.head = head = {}
        for key, value in scope["headers"]:
            if key in _WANTED:
                head[_WANTED[key]] = value


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
