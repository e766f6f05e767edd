"""`grades.jsonl`: what has been graded, one line a submission, written so that a kill at any moment loses nothing that stood there.

The first line names the run: its seed, the course's version, whether it was isolated. Each other line is one `Graded`. A line counts
as soon as it ends; half a line, which a kill may leave, is cut off when the ledger is opened again.
"""

import contextlib
import json
import os
import secrets

from mlprod_tools.grade.marks import Graded

NAME = "grades.jsonl"
VERSION = 1


class LedgerError(ValueError):
    """A ledger cannot be used. The message says why, and what to do."""


def part_name(shard):
    """The ledger's name in a folder that several machines share.

    >>> part_name("2/4"), part_name("")
    ('grades-2-of-4.jsonl', 'grades.jsonl')
    """
    return f"grades-{shard.replace('/', '-of-')}.jsonl" if shard else NAME


class Ledger:
    """A ledger that is open for writing; nobody else can write to it meanwhile.

    Parameters
    ----------
    path : Path
    run : dict
        What names the run; its `seed` may be None, which draws one.
    resume : bool
        Go on with the ledger that is there.

    Raises
    ------
    LedgerError
        If there is one and `resume` is False, if it belongs to another run, or if somebody else writes to it.
    """

    def __init__(self, path, run, resume=False):
        self.path = path
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b", buffering=0)
        try:
            self._lock()
            self._open(dict(run), resume)
        except BaseException:
            self._file.close()
            raise

    def _lock(self):
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LedgerError(f"{self.path} is in use: another `mlprod grade` writes to it") from None

    def _open(self, run, resume):
        is_new = self.path.stat().st_size == 0
        if not is_new and not resume:
            raise LedgerError(
                f"{self.path} is there already: go on with it by --resume, or name another folder"
            )
        header, self._places, whole = ({}, {}, 0) if is_new else _index(self._file, self.path)
        if not is_new:
            self._file.truncate(whole)
        if header:
            if run["seed"] is None:
                run["seed"] = header["run"]["seed"]
            for key, what in (("seed", "--seed"), ("isolated", "--not-isolated"), ("lessons", "--lessons")):
                if run.get(key) != header["run"].get(key):
                    raise LedgerError(
                        f"{self.path} was begun with another {what} ({header['run'].get(key)}): give the same, or name another folder"
                    )
        else:
            if run["seed"] is None:
                run["seed"] = secrets.randbits(48)
            self._write({"ledger": VERSION, "run": run})
        self.run = header["run"] if header else run

    def keys(self, learner):
        """The keys under which this learner has been graded."""
        return frozenset(self._places.get(learner, {}))

    def add(self, graded):
        """Write one submission's marks; when this returns they are on the disk."""
        if graded.key in self.keys(graded.learner):
            return
        place = self._write({"graded": graded.to_dict()})
        self._places.setdefault(graded.learner, {})[graded.key] = place

    def _write(self, row):
        line = json.dumps(row, ensure_ascii=True).encode() + b"\n"
        place = self._file.seek(0, os.SEEK_END)
        try:
            left = memoryview(line)
            while left:
                left = left[self._file.write(left) :]
            os.fsync(self._file.fileno())
        except OSError:  # such as a full disk: no half line stays
            with contextlib.suppress(OSError):
                self._file.truncate(place)
            raise
        return place

    def get(self, learner, key):
        """The Graded of this key, or None."""
        place = self._places.get(learner, {}).get(key)
        if place is None:
            return None
        self._file.seek(place)
        with os.fdopen(os.dup(self._file.fileno()), "rb") as lines:
            lines.seek(place)
            return Graded.from_dict(json.loads(lines.readline())["graded"])

    def close(self):
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _index(file, path):
    """(first line, learner -> key -> where its line begins, length of the whole lines)."""
    header, places, begin = {}, {}, 0
    with os.fdopen(os.dup(file.fileno()), "rb") as lines:
        lines.seek(0)
        for number, line in enumerate(lines, start=1):
            row = _row(line)
            if row is None:
                if line.endswith(b"\n"):
                    raise LedgerError(f"{path}, line {number}, is no line of a ledger: was the file edited?")
                break  # a kill cut it
            if number == 1:
                header = row
                if header.get("ledger") != VERSION:
                    raise LedgerError(f"{path} is no ledger of this version of the course")
            else:
                places.setdefault(row["graded"]["learner"], {})[row["graded"]["key"]] = begin
            begin += len(line)
    return header, places, begin


def _row(line):
    if not line.endswith(b"\n"):
        return None
    try:
        row = json.loads(line)
        return (
            row
            if isinstance(row, dict) and ("ledger" in row or isinstance(row["graded"]["key"], str))
            else None
        )
    except (ValueError, LookupError, TypeError):
        return None


def read(path):
    """(run, iterator of Graded) of a finished or half-written ledger.

    Raises
    ------
    LedgerError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            header, places, _ = _index(file, path)
    except OSError as error:
        raise LedgerError(f"{path} cannot be read: {error.strerror}") from None
    if not header:
        raise LedgerError(f"{path} is empty")
    return header["run"], _graded(path, sorted(place for keys in places.values() for place in keys.values()))


def _graded(path, places):
    with path.open("rb") as file:
        for place in places:
            file.seek(place)
            yield Graded.from_dict(json.loads(file.readline())["graded"])
