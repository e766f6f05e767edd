"""Where a learner's files go that the instructor reads: a shared folder, under an alias."""

import hashlib
import os
import re
from pathlib import Path


class CannotShare(Exception):
    """The alias or the folder will not do. The message is a sentence for the learner."""


def is_alias(text):
    """Whether something is 2 to 20 letters, digits or underscores.

    >>> is_alias("blue_otter"), is_alias("blue otter")
    (True, False)
    """
    return isinstance(text, str) and bool(re.fullmatch(r"\w{2,20}", text))


def target(folder, alias, ending):
    """The file for what an alias shares.

    Parameters
    ----------
    folder : str
        The shared folder; it has to exist.
    alias : str
        2 to 20 letters, digits or underscores.
    ending : str
        How the name ends, such as ".json".

    Returns
    -------
    Path
        Two learners who chose the same alias get different names, and a name tells nobody's path.

    Raises
    ------
    CannotShare
    """
    if not is_alias(alias):
        raise CannotShare("An alias has 2 to 20 letters, digits or underscores, such as `blue_otter`.")
    where = Path(os.path.expanduser(folder)) if isinstance(folder, str | Path) else None
    if where is None or not (where.is_dir() and os.access(where, os.W_OK)):
        raise CannotShare(
            f"`{folder}` is no folder that this notebook can write to. Ask your instructor for its path."
        )
    # unlike Path.home(), it does not raise where the user has no home
    mine = hashlib.sha256(f"{os.path.expanduser('~')} {Path.cwd()}".encode()).hexdigest()[:6]
    return where.absolute() / f"{alias}-{mine}{ending}"
