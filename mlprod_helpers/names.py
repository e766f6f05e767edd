"""The end of an error message about an unknown name."""

import difflib


def nearest_name(word, names):
    """Say which of the known names was probably meant, or list all of them.

    Parameters
    ----------
    word : object. The unknown name.
    names : iterable. The known names.

    >>> nearest_name("graduel", ["sudden", "gradual"])
    "did you mean 'gradual'?"
    >>> nearest_name("soon", ["sudden", "gradual"])
    "use one of 'sudden', 'gradual'"
    """
    near = difflib.get_close_matches(str(word).lower(), [str(name) for name in names], n=1)
    return f"did you mean {near[0]!r}?" if near else "use one of " + ", ".join(repr(name) for name in names)
