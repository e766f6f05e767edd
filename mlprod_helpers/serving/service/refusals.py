"""Requests that get no answer: one exception, one body, and pydantic's errors in plain words."""

from fastapi import HTTPException
from fastapi.responses import JSONResponse
from pydantic import BaseModel

MOST_PROBLEMS = 20  # a body with a thousand wrong rows does not get an answer of a megabyte
BUSY = {"Retry-After": "1"}
_BODY = {"features": 'must be an object; or send "rows"', "rows": "must be a list of rows"}
_OUT_OF_RANGE = ("greater_than_equal", "less_than_equal", "finite_number", "literal_error")
_STARLETTE = {404: "no_such_path", 405: "method"}  # its own refusals, in one word


class Problem(BaseModel):
    """One thing that is wrong, and where. It repeats nothing that was sent."""

    where: str
    what: str


class RefusalBody(BaseModel):
    """The body of each answer that is not 2xx."""

    error: str
    request_id: str
    detail: list[Problem]


class Refusal(HTTPException):
    """A request that is not served: the HTTP status, the error in one word, and (where, what) pairs that explain it."""

    def __init__(self, status, error, problems=(), headers=None):
        super().__init__(status, error, headers)
        self.problems = list(problems)


def response_to(record, error):
    """The answer to a request (its `Record`) whose handling raised an HTTPException."""
    if error.status_code in (401, 429):
        record.forget_names()
    content = {
        "error": error.detail if isinstance(error, Refusal) else _STARLETTE.get(error.status_code, "refused"),
        "request_id": record.request_id,
        "detail": [{"where": where, "what": what} for where, what in getattr(error, "problems", ())],
    }
    return JSONResponse(content, error.status_code, error.headers)


def explain(errors, meanings):
    """(reason, where, what) of the first 20 of pydantic's errors in a request; `meanings` says in words what a field may be.

    The reason is "missing", "unknown", "out_of_range", "rows" or "type".
    """
    return list(dict.fromkeys(_explained(one, meanings) for one in errors[:MOST_PROBLEMS]))


def _explained(error, meanings):
    kind, (_, *place) = error["type"], error["loc"]
    if place and place[0] in _BODY:
        del place[0]  # which of the two kinds of body it is
    where = ".".join(map(str, place))
    if kind in ("too_many_unknown", "count_of_rows"):
        return "unknown" if "unknown" in kind else "rows", where, error["msg"]
    if kind == "extra_forbidden":  # its name is the sender's
        return "unknown", ".".join(map(str, place[:-1])), "a field that is not known here"
    name = place[-1] if place else None
    if len(place) == 1 and name in _BODY:
        if kind == "missing":
            return "missing", where, 'is missing: send "features" or "rows"'
        return "type", where, _BODY[name]
    if name not in meanings:
        return "type", where, "must be an object"
    if kind == "missing":
        return "missing", where, f"is missing: {meanings[name]}"
    return "out_of_range" if kind in _OUT_OF_RANGE else "type", where, f"must be {meanings[name]}"
