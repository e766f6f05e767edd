"""A service's rows of the request log, with redaction."""

import pandas as pd

from mlprod_helpers.names import nearest_name
from mlprod_helpers.requestlog import LogError, RequestLog
from mlprod_helpers.serving.redaction import Redaction


class EventLog:
    """Rows of a service for `requestlog`.

    Parameters
    ----------
    path : str or None; None: nothing is kept
    version : str
    names : names of the features
    redact : see `Redaction`
    failed : called without arguments when a row could not be written

    Raises
    ------
    ValueError : a name in `redact` that is no feature, or "user_id" without a key in `MLPROD_LOG_KEY`.
    """

    def __init__(self, path, *, version, names, redact, failed):
        self._version, self._failed = version, failed
        known = [*names, "user_id"]
        if unknown := [name for name in redact if name not in known]:
            raise ValueError(f"redact={unknown[0]!r} is no feature: {nearest_name(unknown[0], known)}.")
        self._redaction = Redaction(redact)
        self._log = None if path is None else RequestLog(path)

    def request(self, record, status):
        """Write a `requests.Record`, one row a model row."""
        if self._log is None:
            return
        fields = {
            "version": self._version,
            "time": pd.Timestamp(int(1e6 * record.arrived), unit="us", tz="UTC"),
            "status": status,
            "served": not record.shadow,
            "latency_ms": record.stop_the_clock(),
        }
        if record.user is not None:
            fields["user_id"] = self._redaction.user(record.user)
        try:
            if record.rows is None:
                self._log.request(record.request_id, **fields)
                return
            for i, (request_id, row) in enumerate(zip(record.ids, record.rows, strict=True)):
                prediction = None if record.answers is None else record.answers[i]
                answer = {} if prediction is None else {"prediction": prediction}
                self._log.request(request_id, features=self._redaction.shown(row), **fields, **answer)
        except (LogError, OSError):
            self._failed()

    def label(self, request_id, label):
        """Write the label of a request. False: it could not be written."""
        try:
            if self._log is not None:
                self._log.label(request_id, label)
        except (LogError, OSError):
            self._failed()
            return False
        return True

    def close(self):
        if self._log is not None:
            self._log.close()
