"""The request log of services and routers: what of a request is not written."""

import os

from mlprod_helpers.requestlog import RequestLog

KEY_NAME = "MLPROD_LOG_KEY"


class RedactedLog(RequestLog):
    """A request log without some of what a request holds.

    Parameters
    ----------
    path : as for `RequestLog`
    redact : features that are never written; "user_id" is written as a keyed hash

    Raises
    ------
    ValueError : "user_id" without a key in `MLPROD_LOG_KEY`.

    >>> log = RedactedLog(None, ["zone"])
    >>> log.request("r1", version="v1", features={"distance": 1400, "zone": 2}, user_id="ben")
    >>> log.read()[["user_id", "distance"]].values.tolist(), "zone" in log.lines()[0]
    ([['ben', 1400]], False)
    """

    def __init__(self, path, redact):
        self._key, self._hidden = key_for_users(redact), frozenset(redact)
        super().__init__(path)

    def request(self, request_id, *, features=None, raw=None, user_id=None, **fields):
        """Write one row; see `RequestLog.request`."""
        if user_id is not None:
            fields["user_id"] = user_id if self._key is None else self._pseudonym(user_id)
        if raw is not None:
            fields["raw"] = self._shown(raw)
        super().request(request_id, features=self._shown(features or {}), **fields)

    def _pseudonym(self, name):
        from mlprod_helpers.checklist.privacy import pseudonym  # heavy, and not needed where nobody is hidden

        return pseudonym(name, self._key)

    def _shown(self, row):
        return {key: value for key, value in row.items() if key not in self._hidden}


def key_for_users(redact):
    """The key, bytes, for users as a keyed hash; None where they are written as they are."""
    if "user_id" not in redact:
        return None
    key = os.environ.get(KEY_NAME, "").encode()
    if len(key) < 16:
        raise ValueError(
            f"To write users as a keyed hash, set {KEY_NAME} in the environment: 16 random characters or more."
        )
    return key
