"""Files that are replaced as a whole, so that nobody ever reads half of one."""

import os
import tempfile
from pathlib import Path


def write_text(path, text, mode=0o644):
    """Write a text; until the last byte is on disk the old file stands.

    Parameters
    ----------
    path : str or Path, in a folder that exists.
    text : str. It is written as UTF-8, line ends as they are.
    mode : int. Who may read and write the file.

    Returns
    -------
    Path

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(Path(folder, "plan.json"), "{}").read_text()
    '{}'
    """
    path = Path(path)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(draft, mode)
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return path
