"""What keeps one sender from taking the service from all others: size and time of a body, a rate a client, a key."""

import asyncio
import hmac
import os
import time
from collections import OrderedDict

KEY_NAME = "MLPROD_API_KEY"


class TooLarge(Exception):
    """The body has more bytes than the limit."""


class TooSlow(Exception):
    """The body was not there in time."""


class Gone(Exception):
    """The client has left before its body was there."""


class TokenBuckets:
    """One token bucket a client: `burst` requests at once, then `rate` a second. The least recent client is forgotten first.

    >>> buckets = TokenBuckets(rate=10, burst=2, clients=1000)
    >>> [buckets.wait("ben", now) for now in (0.0, 0.0, 0.0, 0.2)]
    [0.0, 0.0, 0.1, 0.0]
    """

    def __init__(self, rate, burst, clients):
        self.rate, self.burst, self.clients = rate, burst, clients
        self._left = OrderedDict()  # client -> (tokens, when)

    def wait(self, client, now=None):
        """Seconds until this client may ask again; 0.0: now, and one token is taken."""
        if self.rate is None:
            return 0.0
        now = time.monotonic() if now is None else now
        tokens, since = self._left.pop(client, (self.burst, now))
        tokens = min(self.burst, tokens + (now - since) * self.rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self.rate
        self._left[client] = (tokens if wait else tokens - 1, now)
        if len(self._left) > self.clients:
            self._left.popitem(last=False)
        return wait


class ApiKey:
    """The key that requests need when the environment has `MLPROD_API_KEY`; an empty one counts as none.

    Raises
    ------
    ValueError : the key cannot stand in a header as it is.

    >>> key = ApiKey("a long secret")
    >>> key.needed, key.allows(b"a long secret"), key.allows(b"")
    (True, True, False)
    """

    def __init__(self, key=None):
        key = os.environ.get(KEY_NAME) if key is None else key
        if key and not (key.isascii() and key.isprintable() and key == key.strip()):
            raise ValueError(
                f"{KEY_NAME} has letters beyond ASCII, or blanks at an end: no header can carry it. Take another key."
            )
        self._key = key.encode() if key else None

    @property
    def needed(self):
        """Is there a key?"""
        return self._key is not None

    def allows(self, given):
        """Is this (bytes) the key? The time that takes says nothing about how much of it is right."""
        return self._key is None or hmac.compare_digest(given, self._key)


async def read_body(receive, most, seconds):
    """The request's body, at most `most` bytes, within `seconds`. Raises TooLarge, TooSlow, Gone."""
    try:
        async with asyncio.timeout(seconds):
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body"):  # nearly always
                return _within(message.get("body", b""), most)
            parts, size = [], 0
            while message["type"] == "http.request":
                part = message.get("body", b"")
                size += len(part)
                if size > most:
                    raise TooLarge
                parts.append(part)
                if not message.get("more_body"):
                    return b"".join(parts)
                message = await receive()
            raise Gone
    except TimeoutError:
        raise TooSlow from None


def _within(body, most):
    if len(body) > most:
        raise TooLarge
    return body


async def unless_gone(work, receive):
    """The result of a coroutine, or Gone when the client leaves before it is there: then the work is cancelled.

    `receive` of a request whose body has been read.
    """
    work, leaves = asyncio.ensure_future(work), asyncio.ensure_future(receive())
    try:
        await asyncio.wait({work, leaves}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done() and leaves.result()["type"] == "http.disconnect":
            raise Gone
        return await work
    finally:
        work.cancel()
        leaves.cancel()


async def throw_away(receive, most, seconds):
    """Read what still comes, within bounds, and forget it: an ordinary client sees the refusal only when it has sent its body."""
    try:
        async with asyncio.timeout(seconds):
            while most > 0:
                message = await receive()
                most -= len(message.get("body", b""))
                if not message.get("more_body"):
                    return
    except TimeoutError:
        return
