"""Files that are replaced as a whole, so that nobody ever reads half of one."""

import json
import os
import tempfile
from pathlib import Path


def write_json(path, data, *, mode=None):
    """Write plain data as JSON; until the last byte is on disk the old file stands.

    Parameters
    ----------
    path : str or Path, in a folder that exists.
    data : plain data. NaN and infinity are refused: they are no JSON.
    mode : int, optional. Who may read it, such as ``0o644``; its owner alone if not given.

    Returns
    -------
    Path

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_json(Path(folder, "plan.json"), {"weight": 5}).read_text()
    '{\\n  "weight": 5\\n}\\n'
    """
    path = Path(path)
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            os.chmod(draft, mode)
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return path
