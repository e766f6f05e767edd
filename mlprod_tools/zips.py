"""Zips whose bytes depend on their content alone, and that nobody ever sees half of."""

import tempfile
import zipfile
from pathlib import Path

_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_UNIX = 3


def entry(name, mode=0o644):
    """A file's entry: the same on each machine and day."""
    made = zipfile.ZipInfo(name, _TIME)
    made.external_attr, made.compress_type, made.create_system = mode << 16, zipfile.ZIP_DEFLATED, _UNIX
    return made


def write(target, files):
    """Write a zip whole or not at all.

    Parameters
    ----------
    target : path, in a folder that exists
    files : iterable of (name, bytes, mode), in the order of the zip

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(Path(folder, "x.zip"), [("run", b"echo", 0o755)])
    ...     zipfile.ZipFile(Path(folder, "x.zip")).namelist()
    ['run']
    """
    target = Path(target).absolute()
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}-", delete=False) as made:
        try:
            with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, content, mode in files:
                    archive.writestr(entry(name, mode), content)
            made.close()
            Path(made.name).chmod(0o644)
            Path(made.name).replace(target)
        except BaseException:
            Path(made.name).unlink(missing_ok=True)
            raise
