"""One request at a time, from plain code: what a notebook's cell asks a service or the router."""

import http.client
import json
import os
from typing import NamedTuple

from mlprod_helpers.serving.headers import loopback, valid_name


class Answer(NamedTuple):
    """An HTTP response.

    `status` is 0 when nobody answered; `body` is the JSON as a dict, or else the text; the names of `headers` are in lower case.
    """

    status: int
    body: object
    headers: dict


def ask(url, path, body=None, *, method=None, user=None, headers=None, timeout=15.0):
    """Send one request: GET, or POST when there is a body.

    Parameters
    ----------
    url : str, http://127.0.0.1:PORT and nothing else
    path : str, such as "/readyz"
    body : plain data, sent as JSON; or bytes, sent as they are
    method : str, instead of GET or POST
    user : str or None, the header X-User-Id
    headers : dict, further headers; they replace the usual ones
    timeout : float, seconds

    Returns
    -------
    Answer : with status 0, and the kind of the error in `body["error"]`, when nobody answered

    >>> ask("http://127.0.0.1:9", "/healthz").status
    0
    """
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError(f"path is {path!r}, but it begins with one slash: /predict")
    if user is not None and not valid_name(str(user)):
        raise ValueError(f"The user {user!r} cannot stand in a header: use 1 to 64 of A-Z a-z 0-9 . _ : -")
    sent = api_key() | ({} if user is None else {"X-User-Id": str(user)})
    if body is not None:
        sent["Content-Type"] = "application/json"
        if not isinstance(body, bytes):
            body = json.dumps(body, default=plain)
    method = method or ("GET" if body is None else "POST")
    connection = http.client.HTTPConnection(loopback(url).removeprefix("http://"), timeout=timeout)
    try:
        connection.request(method, path, body, sent | (headers or {}))
        response = connection.getresponse()
        text = response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, {"error": type(error).__name__}, {})
    finally:
        connection.close()
    received = {name.lower(): value for name, value in response.getheaders()}
    try:
        return Answer(response.status, json.loads(text), received)
    except ValueError:
        return Answer(response.status, text, received)


def api_key():
    """The header with the API key, where the environment has one."""
    key = os.environ.get("MLPROD_API_KEY")
    return {"X-API-Key": key} if key else {}


def plain(value):
    """A NumPy scalar as Python's own, anything else as text: the `default` of `json.dumps`."""
    return value.item() if hasattr(value, "item") else str(value)
