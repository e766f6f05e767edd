"""What a router logs of the bodies that pass: one row of the request log for each model row."""

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
    log : `RequestLog`
    name : str, the request's id; rows of a request of many are called name.0, name.1, ..., at most 1,000 of them
    body, answer : bytes, of the request and of the answer
    status : int, of the answer
    time : float, when the request arrived, seconds since 1970
    user : str or None
    redaction : `Redaction` or None, what of features and user is not written
    fields : further columns: version, latency_ms, served, attempts

    Returns
    -------
    int : rows that are incomplete: without features, or (a full disk) missing

    >>> from mlprod_helpers.requestlog import RequestLog
    >>> log = RequestLog()
    >>> body, answer = b'{"rows": [{"distance": 1400}, {"distance": 187}]}', b'{"predictions": [175.0, 23.4]}'
    >>> write_rows(log, "r1", body, 200, answer, time=1e9, version="v1", latency_ms=2.0)
    0
    >>> log.read()[["request_id", "distance", "prediction"]].values.tolist()
    [['r1.0', 1400, 175.0], ['r1.1', 187, 23.4]]
    """
    row = {"time": pd.Timestamp(time, unit="s", tz="UTC"), "status": status, **fields}
    redaction = redaction or Redaction()
    if user is not None:
        row["user_id"] = redaction.user(user)
    incomplete = 0
    for row_id, features, outputs in _model_rows(name, body, answer if status == 200 else b""):
        try:
            log.request(row_id, features=redaction.shown(features), **row, **outputs)
        except (LogError, ValueError, TypeError, RecursionError):
            incomplete += 1
            with contextlib.suppress(OSError):
                log.request(row_id, **row)
        except OSError:
            incomplete += 1
    return incomplete


def _model_rows(name, body, answer):
    """(request id, features, prediction and score) of each model row of a request."""
    request, answer = json_object(body), json_object(answer)
    rows = request.get("rows")
    if not isinstance(rows, list) or not rows:
        outputs = {key: answer[key] for key, is_valid in _OUTPUTS.items() if is_valid(answer.get(key))}
        return [(name, _features(request.get("features")), outputs)]
    table = [(f"{name}.{i}", _features(row), {}) for i, row in enumerate(rows[:_MOST_ROWS])]
    for key, is_valid in _OUTPUTS.items():
        values = answer.get(f"{key}s")
        if isinstance(values, list) and len(values) == len(rows):
            for (_, _, outputs), value in zip(table, values, strict=False):
                if is_valid(value):
                    outputs[key] = value
    return table


def json_object(body):
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


# with one text among the scores no judge could read the log, and a broken canary would stay
_OUTPUTS = {"prediction": _is_plain, "score": _is_number}
