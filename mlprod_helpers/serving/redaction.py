"""What of a request is not logged: the same rules for services and routers."""

import os

KEY_NAME = "MLPROD_LOG_KEY"


class Redaction:
    """What of a request may be logged.

    Parameters
    ----------
    redact : features that are never written; "user_id" is written as a keyed hash

    Raises
    ------
    ValueError : "user_id" without a key in `MLPROD_LOG_KEY`.

    >>> redaction = Redaction(["zone"])
    >>> redaction.shown({"distance": 1400, "zone": 2}), redaction.user("ben")
    ({'distance': 1400}, 'ben')
    """

    def __init__(self, redact=()):
        self._hidden = frozenset(redact) - {"user_id"}
        self._key = _key() if "user_id" in redact else None

    def user(self, name):
        """A user's name as the log has it."""
        if name is None or self._key is None:
            return name
        from mlprod_helpers.checklist.privacy import pseudonym  # heavy, and not needed where nobody is hidden

        return pseudonym(name, self._key)

    def shown(self, row):
        """The features of a row (dict) that may be written."""
        return {k: v for k, v in row.items() if k not in self._hidden} if self._hidden else row


def _key():
    key = os.environ.get(KEY_NAME, "").encode()
    if len(key) < 16:
        raise ValueError(
            f"To write users as a keyed hash, set {KEY_NAME} in the environment: 16 random characters or more."
        )
    return key
