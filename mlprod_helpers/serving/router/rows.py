"""What a router reads from the bodies that pass: one row of the request log for each model row."""

import contextlib
import json
import math

import pandas as pd

from mlprod_helpers.requestlog import COLUMNS, LogError
from mlprod_helpers.serving.redaction import Redaction

_MOST_ROWS = 1000  # a body of a megabyte holds 300,000 empty ones


def write_rows(log, name, body, status, answer, *, time, user=None, redaction=None, **fields):
    """Write one request; nothing that a client sent can keep it out of the log, and no log can fail it.

    Parameters
    ----------
    log : RequestLog
    name : str, the request's id; of a request of many the rows are called name.0, name.1, ...;
        the first 1,000 are written
    body, answer : bytes, of the request and of what came back
    status : int, of the answer
    time : float, when the request arrived, seconds since 1970
    user : str or None
    redaction : eventlog.Redaction, what of features and user is written (None: all)
    fields : further columns: version, latency_ms, served, attempts

    Returns
    -------
    int : rows that are not there as they should be: without features, or (a full disk) not at all

    >>> from mlprod_helpers.requestlog import RequestLog
    >>> log = RequestLog()
    >>> body, answer = b'{"rows": [{"distance": 1400}, {"distance": 187}]}', b'{"predictions": [175.0, 23.4]}'
    >>> write_rows(log, "r1", body, 200, answer, time=1e9, version="v1", latency_ms=2.0)
    0
    >>> log.read()[["request_id", "distance", "prediction"]].values.tolist()
    [['r1.0', 1400, 175.0], ['r1.1', 187, 23.4]]
    """
    row = {"time": pd.Timestamp(time, unit="s", tz="UTC"), "status": status, **fields}
    redaction = Redaction() if redaction is None else redaction
    if user is not None:
        row["user_id"] = redaction.user(user)
    refused = 0
    for place, sent, answered in _rows(name, body, answer if status == 200 else b""):
        features = redaction.shown(sent)
        try:
            log.request(place, features=features, **row, **answered)
        except (LogError, ValueError, TypeError, RecursionError):
            refused += 1
            with contextlib.suppress(OSError):
                log.request(place, **row)
        except OSError:
            refused += 1
    return refused


def _rows(name, body, answer):
    """(request id, features, what was answered) of each model row of a request."""
    sent, answered = as_object(body), as_object(answer)
    rows = sent.get("rows")
    if not isinstance(rows, list) or not rows:
        columns = {key: answered[key] for key, fits in _ANSWERS.items() if fits(answered.get(key))}
        return [(name, _features(sent.get("features")), columns)]
    table = []
    for place, row in enumerate(rows[:_MOST_ROWS]):
        columns = {}
        for key, fits in _ANSWERS.items():
            many = answered.get(f"{key}s")
            if isinstance(many, list) and len(many) == len(rows) and fits(many[place]):
                columns[key] = many[place]
        table.append((f"{name}.{place}", _features(row), columns))
    return table


def as_object(body):
    """The JSON object in a body; an empty one when there is none."""
    try:
        content = json.loads(body) if body else {}
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _features(row):
    if not isinstance(row, dict) or len(row) > 200:
        return {}
    return {
        key: value for key, value in row.items() if len(key) <= 64 and key not in COLUMNS and _is_plain(value)
    }


def _is_plain(value):
    if isinstance(value, str):
        return len(value) <= 256
    return isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


# one text among the scores, and no judge could read the log any more: a broken canary would stay
_ANSWERS = {"prediction": _is_plain, "score": _is_number}
