"""Who may ask, and how often: the key, a FastAPI dependency, and the rate, which the `Guard` checks before it reads a body."""

import hmac
import os
from collections import OrderedDict
from typing import Annotated

from fastapi import Security
from fastapi.security import APIKeyHeader

from mlprod_helpers.serving.service.refusals import Refusal

KEY_NAME = "MLPROD_API_KEY"
MOST_CLIENTS = 10_000  # whose rates are remembered
_header = APIKeyHeader(name="X-API-Key", auto_error=False)


class RateLimit:
    """One token bucket a client, its address: `burst` requests at once, then `rate` a second.

    >>> limit = RateLimit(rate=10, burst=2)
    >>> [limit.wait("ben", now) for now in (0.0, 0.0, 0.0, 0.2)]
    [0.0, 0.0, 0.1, 0.0]
    """

    def __init__(self, rate, burst):
        self.rate, self.burst = rate, burst
        self._buckets = OrderedDict()  # client -> (tokens, when); the least recent client is forgotten first

    def wait(self, client, now):
        """Seconds until this client may ask again at `now` (seconds on any clock); 0.0: now, and one token is taken."""
        tokens, since = self._buckets.pop(client, (self.burst, now))
        tokens = min(self.burst, tokens + (now - since) * self.rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self.rate
        self._buckets[client] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)
        return wait


class ApiKey:
    """The key in the header `X-API-Key`, compared in a time that says nothing about how much of a guess is right; else 401.

    Raises
    ------
    ValueError : the key cannot stand in a header as it is.
    """

    def __init__(self, key):
        if not (key.isascii() and key.isprintable() and key == key.strip()):
            raise ValueError(
                f"{KEY_NAME} has letters beyond ASCII, or blanks at an end: no header can carry it. Take another key."
            )
        self._key = key.encode()

    async def __call__(self, given: Annotated[str | None, Security(_header)]):
        if not hmac.compare_digest((given or "").encode(errors="replace"), self._key):
            raise Refusal(401, "no_key", headers={"WWW-Authenticate": "ApiKey"})


def key_of_environment():
    """The `ApiKey` that `MLPROD_API_KEY` names; None: none is needed. An empty one counts as none."""
    key = os.environ.get(KEY_NAME)
    return ApiKey(key) if key else None
