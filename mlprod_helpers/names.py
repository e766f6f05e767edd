"""What an error says about an unknown name."""

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


def need_columns(frame, names):
    """Refuse a frame that lacks one of these columns.

    Raises
    ------
    KeyError : for the first column that is not there, with the nearest name.

    >>> import pandas as pd
    >>> need_columns(pd.DataFrame({"distance": [1]}), ["distance"])
    """
    for name in names:
        if name not in frame.columns:
            raise KeyError(f"no column {name!r}: {nearest_name(name, frame.columns)}")
