"""One request at a time, from plain code: what a notebook's cell asks a service or the router."""

import http.client
import json
import os
from typing import NamedTuple
from urllib.parse import urlsplit

import pandas as pd

from mlprod_helpers.serving.headers import loopback, valid_name


class Answer(NamedTuple):
    """What came back.

    `status` is the HTTP status, 0 when nobody answered (as in the tables of `load`); `body` what the JSON says (a dict), or the
    text if it is none; `headers` a dict with names in lower case, such as `x-version`, `x-request-id`, `retry-after`.
    """

    status: int
    body: object
    headers: dict


def ask(url, path, body=None, *, user=None, headers=None, timeout=15.0):
    """GET, or POST when there is a body.

    Parameters
    ----------
    url : str, http://127.0.0.1:PORT and nothing else
    path : str, such as "/readyz"
    body : plain data, sent as JSON; or bytes, sent as they are (to see what a service says to those); None: GET
    user : str or None, the header X-User-Id
    headers : dict, further headers; one that is given here replaces the usual one
    timeout : float, seconds

    Returns
    -------
    Answer : status 0 and the kind of the error in `body["error"]` when nobody answered.

    >>> ask("http://127.0.0.1:9", "/healthz").status
    0
    """
    port = int(loopback(url).rsplit(":", 1)[1])
    if not path.startswith("/") or urlsplit(path).netloc:
        raise ValueError(f"path is {path!r}, but it begins with one slash: /predict")
    sent = {} if body is None else {"Content-Type": "application/json"}
    sent |= own_headers()
    if user is not None:
        if not valid_name(str(user)):
            raise ValueError(
                f"The user {user!r} cannot stand in a header: use 1 to 64 of A-Z a-z 0-9 . _ : -"
            )
        sent["X-User-Id"] = str(user)
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body, default=_text)
    door = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        door.request("GET" if body is None else "POST", path, body, sent | dict(headers or {}))
        answer = door.getresponse()
        text = answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, {"error": type(error).__name__}, {})
    finally:
        door.close()
    got = {name.lower(): value for name, value in answer.getheaders()}
    try:
        return Answer(answer.status, json.loads(text), got)
    except ValueError:
        return Answer(answer.status, text, got)


def own_headers():
    """The API key, where the environment has one."""
    key = os.environ.get("MLPROD_API_KEY")
    return {"X-API-Key": key} if key else {}


def metrics_table(text):
    """Prometheus text as a table: `name`, `labels` (a dict), `value`, one row a sample.

    >>> metrics_table('# TYPE up gauge\\nup{job="v1"} 1\\n')
      name          labels  value
    0   up  {'job': 'v1'}    1.0
    """
    from prometheus_client.parser import text_string_to_metric_families

    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return pd.DataFrame(
        [(s.name, dict(s.labels), float(s.value)) for s in samples], columns=["name", "labels", "value"]
    )


async def send_labels(url, pairs, in_flight=16):
    """POST (request id, truth) pairs to `/label`, so many at a time. A list of (status, body), 0 where nobody answered."""
    import asyncio

    import aiohttp

    gate = asyncio.Semaphore(in_flight)
    async with aiohttp.ClientSession(headers=own_headers(), trust_env=False) as session:

        async def one(name, value):
            body = {"request_id": name, "label": _plain(value)}
            try:
                async with gate, session.post(f"{loopback(url)}/label", json=body) as answer:
                    return answer.status, await answer.json(content_type=None)
            except (aiohttp.ClientError, OSError, ValueError):
                return 0, {}

        return await asyncio.gather(*(one(name, value) for name, value in pairs))


def _text(value):
    return value.item() if hasattr(value, "item") else str(value)


def _plain(value):
    return value.item() if hasattr(value, "item") else value
