"""What is written to a request log and what never is: `Redaction`, of services and routers, and a service's `EventLog`."""

import os
from hashlib import blake2b

import pandas as pd

from mlprod_helpers.names import nearest_name
from mlprod_helpers.requestlog import LogError, RequestLog

KEY_NAME = "MLPROD_LOG_KEY"


class Redaction:
    """What of a request may stand in a log; the same rules for services and routers.

    Parameters
    ----------
    share : float, the share of requests whose features are written, drawn by request id: a service and its router draw
        the same ones
    redact : features that are never written; "user_id" is written as a keyed hash

    Raises
    ------
    ValueError : "user_id" without a key in `MLPROD_LOG_KEY`.

    >>> redaction = Redaction(redact=["zone"])
    >>> redaction.shown({"distance": 1400, "zone": 2}), redaction.user("ben"), redaction.is_drawn("r1")
    ({'distance': 1400}, 'ben', True)
    """

    def __init__(self, *, share=1.0, redact=()):
        self._share, self._hidden = share, frozenset(redact) - {"user_id"}
        self._key = _key() if "user_id" in redact else None

    def user(self, name):
        """A user's name as the log has it."""
        if name is None or self._key is None:
            return name
        from mlprod_helpers.checklist.privacy import pseudonym  # who hides nobody does not wait for it

        return pseudonym(name, self._key)

    def is_drawn(self, name):
        """Are the features of the request of this id written?"""
        if self._share >= 1:
            return True
        place = int.from_bytes(blake2b(f"features:{name}".encode(), digest_size=8).digest(), "big") / 2**64
        return place < self._share

    def shown(self, row):
        """The features of a row (dict) that may be written."""
        return {k: v for k, v in row.items() if k not in self._hidden} if self._hidden else row


class EventLog:
    """Rows of a service for `requestlog`, with sampling and redaction.

    Parameters
    ----------
    path : str or None; None: nothing is kept
    version : str
    names : names of the features
    share, redact : see `Redaction`
    failed : called without arguments when a row could not be written

    Raises
    ------
    ValueError : a name in `redact` that is no feature, or "user_id" without a key in `MLPROD_LOG_KEY`.
    """

    def __init__(self, path, *, version, names, share=1.0, redact=(), failed=lambda: None):
        self._version, self._failed = version, failed
        known = [*names, "user_id"]
        if unknown := [name for name in redact if name not in known]:
            raise ValueError(f"redact={unknown[0]!r} is no feature: {nearest_name(unknown[0], known)}.")
        self._redaction = Redaction(share=share, redact=redact)
        self._log = None if path is None else RequestLog(path)

    def requests(self, about, rows, answers, status, latency_ms):
        """Write one row a model row.

        Parameters
        ----------
        about : has `arrived` (seconds since 1970), `name` (the request's id), `ids` (of its rows), `user` or None, `shadow`
        rows : list of dicts, or None: there are none that could be read
        answers : list, one a row, or None
        """
        if self._log is None:
            return
        fields = {
            "version": self._version,
            "time": pd.Timestamp(int(1e6 * about.arrived), unit="us", tz="UTC"),
            "status": status,
            "served": not about.shadow,
            "latency_ms": latency_ms,
        }
        if about.user is not None:
            fields["user_id"] = self._redaction.user(about.user)
        try:
            if rows is None:
                self._log.request(about.name, **fields)
                return
            is_drawn = self._redaction.is_drawn(about.name)
            for i, name in enumerate(about.ids):
                said = {} if answers is None else as_columns(answers[i])
                shown = self._redaction.shown(rows[i]) if is_drawn else None
                self._log.request(name, features=shown, **fields, **said)
        except (LogError, OSError):
            self._failed()

    def label(self, request_id, label):
        """Write that the truth about a request became known. False: it could not be written."""
        try:
            if self._log is not None:
                self._log.label(request_id, label)
        except (LogError, OSError):
            self._failed()
            return False
        return True

    def close(self):
        """Close the file."""
        if self._log is not None:
            self._log.close()


def as_columns(answer):
    """An answer of a `Predictor` as columns of the log: the prediction, and the score of a classifier."""
    prediction, score = answer if type(answer) is tuple else (answer, None)
    if prediction is None:
        return {}
    return {"prediction": prediction} if score is None else {"prediction": prediction, "score": score}


def _key():
    key = os.environ.get(KEY_NAME, "").encode()
    if len(key) < 16:
        raise ValueError(
            f"To write users as a keyed hash, set {KEY_NAME} in the environment: 16 random characters or more."
        )
    return key
