"""What a router logs of the bodies that pass: one row of the request log for each model row."""

import contextlib
import json
import math

import pandas as pd

from mlprod_helpers.requestlog import COLUMNS, LogError

_MOST_ROWS = 1000  # a body of a megabyte holds 300,000 empty ones


def write_rows(log, request, answer, **fields):
    """Write one request; nothing that a client sent can keep it out of the log, and no log can fail it.

    Parameters
    ----------
    log : `RedactedLog`
    request : has `name` (rows of a request of many are called name.0, name.1, ..., at most 1,000 of them), `arrived` (seconds since
        1970), `user` (str or None) and `body` (bytes)
    answer : has `status` (int) and `body` (bytes)
    fields : further columns: version, latency_ms, served, attempts

    Returns
    -------
    int : rows that are incomplete: without features, or (a full disk) missing
    """
    time = pd.Timestamp(request.arrived, unit="s", tz="UTC")
    row = {"time": time, "status": answer.status, "user_id": request.user, **fields}
    incomplete, outputs_of = 0, answer.body if answer.status == 200 else b""
    for row_id, features, outputs in _model_rows(request.name, request.body, outputs_of):
        try:
            log.request(row_id, features=features, **row, **outputs)
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
