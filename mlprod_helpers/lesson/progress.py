"""What a learner has done so far: one small JSON file beside the notebooks, never lost, never fatal.

Version 2 of the file: `exercises` has a row for each exercise that was tried (see `new_row`), `predictions` has texts. A file of
version 1 is read as version 2 whose rows are of edition 1. What cannot be read is kept as a copy beside the file; where the file
cannot be read or written at all, progress is kept in memory and written as soon as that is possible again.
"""

import contextlib
import datetime
import json
import os
import shutil
import stat
import time
from pathlib import Path

from mlprod_helpers.files import write_text
from mlprod_helpers.lesson import graders

FILE = ".mlprod-progress.json"
VARIABLE = "MLPROD_PROGRESS"  # "memory" keeps progress in the process, anything else names the file
VERSION = 2
LONGEST_WAIT = 2.0  # seconds for another notebook that writes
MOST_BYTES = 10 * 2**20
MOST_TRIES = 100
ABANDONED = 3600  # seconds after which a half-written file is of a process that ended

try:  # two notebooks may be open at once
    import fcntl
except ImportError:  # not on Windows: a lost race there costs one attempt's count
    fcntl = None


def empty():
    """The progress of somebody who begins."""
    return {"version": VERSION, "exercises": {}, "predictions": {}}


def new_row(edition=1):
    """What is known of an exercise: best points, the digests of different tries, hints shown, how often each misconception was seen.

    `edition` is the exercise's when the points were earned; `older` holds what was earned in an earlier one. Times are UTC.
    """
    return {
        "edition": edition,
        "points": 0,
        "possible": 0,
        "passed": False,
        "tries": [],
        "hints": 0,
        "first": None,
        "last": None,
        "misconceptions": {},
        "older": None,
    }


def best_points(row):
    """The points that count: old ones stay until an attempt at the new edition earns as many."""
    return max(row["points"], row["older"]["points"] if row["older"] else 0)


def state(row, edition):
    """How far an exercise of this edition is: "open", "begun" or "done".

    What was passed in an older edition has to be checked again.
    """
    if not row or not (row["tries"] or best_points(row)):
        return "open"
    return "done" if row["passed"] and row["edition"] >= edition else "begun"


def is_older(row, edition):
    """Whether the points that count are from an older edition of the exercise."""
    if row["edition"] < edition:
        return row["points"] > 0
    return bool(row["older"]) and row["older"]["points"] > row["points"]


class Progress:
    """Reads the file afresh before each change and writes it whole, so that notebooks side by side keep each other's rows."""

    def __init__(self, path=None):
        # a grader's run is nobody's progress, and leaves no file among what it grades
        own = path or os.environ.get(VARIABLE) or FILE
        chosen = "memory" if graders.is_running() else own
        self.notice = ""  # said once, by whoever shows the next message
        self._has_said = False
        self._unsaved = None  # what could not be written yet
        self._gone = set()  # (room, key) of what was forgotten meanwhile
        self._memory = empty()
        self.path = None
        self.shared = None  # where a copy goes that the instructor's board reads
        if str(chosen) == "memory":
            return
        try:
            self.path = Path(chosen).absolute()
        except OSError:  # the folder of the notebook was deleted
            self._say_why("the folder of this notebook does not exist any more")

    def read(self):
        """The progress as it is now."""
        if self.path is None:
            return self._memory
        return self._read()[0]

    @contextlib.contextmanager
    def change(self):
        """`with progress.change() as data:` edits the data and writes it."""
        with self._changing() as (data, _):
            yield data

    @contextlib.contextmanager
    def _changing(self, keep=""):
        """The data to edit, and the name of the copy if `keep` says why one is kept first. Without that copy, it raises OSError."""
        if self.path is None:
            yield self._memory, ""
            self._share(self._memory)
            return
        with self._locked():
            aside = self._copied_aside(keep) if keep and self._is_file() else ""
            data, is_readable = self._read()
            before = {(room, key) for room in ("exercises", "predictions") for key in data[room]}
            yield data, aside
            after = {(room, key) for room in ("exercises", "predictions") for key in data[room]}
            # a file that cannot be read may hold the points of other lessons: it is not written over
            if is_readable and self._write(data):
                self._unsaved, self._gone, self._has_said = None, set(), False
            else:
                self._unsaved = data
                self._gone = (self._gone | (before - after)) - after
        self._share(data)

    def exercise(self, data, exercise_id, edition=1):
        """The row of one exercise; what was earned in an older edition is laid aside in it."""
        row = data["exercises"].setdefault(exercise_id, new_row(edition))
        if row["edition"] < edition:
            if row["points"]:
                older = {key: row[key] for key in ("edition", "points", "passed")}
                row["older"] = max(row["older"] or older, older, key=lambda each: each["points"])
            row.update(edition=edition, points=0, passed=False)
        return row

    def record(self, exercise, verdict, attempted):
        """Enter a check's verdict."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with self.change() as data:
            row = self.exercise(data, exercise.id, exercise.edition)
            row["possible"] = exercise.points
            if not attempted:
                return
            row["first"], row["last"] = row["first"] or now, now
            row["points"] = max(row["points"], verdict.points)
            row["passed"] = row["passed"] or verdict.points == exercise.points
            if verdict.digest not in row["tries"]:
                row["tries"] = [*row["tries"], verdict.digest][-MOST_TRIES:]
                if name := verdict.misconception:
                    row["misconceptions"][name] = row["misconceptions"].get(name, 0) + 1

    def reset(self, is_forgotten):
        """Forget what has a key for which `is_forgotten(key)` is true.

        Returns
        -------
        str
            The name of the copy of the old file, which stays beside the new one; "" where there was no file.

        Raises
        ------
        OSError
            If there is a file and it cannot be copied. Nothing is forgotten then.
        """
        with self._changing(keep="before-reset") as (data, aside):
            for room in ("exercises", "predictions"):
                data[room] = {key: row for key, row in data[room].items() if not is_forgotten(key)}
        return aside

    def _is_file(self):
        try:
            return stat.S_ISREG(os.stat(self.path).st_mode)
        except OSError:
            return False

    def _read(self):
        """The data, what is unsaved included, and whether the file may be written."""
        data, is_readable = self._load()
        if self._unsaved is not None:
            for room, key in self._gone:
                data[room].pop(key, None)
            _merge(data, self._unsaved)
        return data, is_readable

    def _load(self):
        try:
            text = self._text()
        except FileNotFoundError:
            return empty(), True
        except OSError as error:
            self._say_why(error.strerror or "it is not a file")
            return empty(), False
        except ValueError:  # too large
            return empty(), self._begin_anew(empty(), "The progress file is too large to be read")
        try:
            stored = json.loads(text.decode("utf-8"))
            if not isinstance(stored, dict) or not isinstance(stored.get("exercises", {}), dict):
                raise ValueError("not a progress file")
        except (ValueError, RecursionError):
            return empty(), self._begin_anew(empty(), "The progress file could not be read")
        version = stored.get("version", 1)
        if version not in (1, 2) or isinstance(version, bool):
            self._say_why("it was written by another version of the course")
            return empty(), False
        data, odd = cleaned(stored)
        if odd:
            return data, self._begin_anew(
                data, f"In the progress file, {', '.join(odd)} could not be read in full"
            )
        return data, True

    def _text(self):
        # not blocking: something in place of the file may never answer
        handle = os.open(self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError("not a file")
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ValueError("too large")
        return text

    @contextlib.contextmanager
    def _locked(self):
        """One writer at a time. A lock that is refused, or held for long, costs one attempt's count at most: go on."""
        handle = None
        if fcntl is not None:
            with contextlib.suppress(OSError):
                path = self.path.with_name(self.path.name + ".lock")
                handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o644)
                self._wait_for(handle)
        try:
            yield
        finally:
            if handle is not None:
                os.close(handle)

    @staticmethod
    def _wait_for(handle):
        end = time.monotonic() + LONGEST_WAIT
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except (BlockingIOError, PermissionError):
                if time.monotonic() > end:
                    return
                time.sleep(0.02)

    def _share(self, data):
        """Renew the copy for the board: the exercises, no predictions. Where that fails, the lesson goes on."""
        if self.shared is not None:
            with contextlib.suppress(OSError):
                # readable by all: the board runs as another user
                write_whole(self.shared, {"version": VERSION, "exercises": data["exercises"]}, mode=0o644)

    def _write(self, data):
        """Write the file whole; False where that is not possible now."""
        try:
            write_whole(Path(os.path.realpath(self.path)), data)  # a link stays a link
            return True
        except OSError as error:
            self._say_why(error.strerror or "writing fails")
            return False

    def _begin_anew(self, data, why):
        """Write `data` in place of a file that cannot be read, so that the next reading finds nothing odd; a copy of it stays."""
        name = self._copy_aside("broken")
        if not (name and self._write(data)):
            return False
        self.notice = f"{why}. A copy was kept as `{name}`."
        return True

    def _copy_aside(self, reason):
        """Keep a copy of the file. Returns its name, or "" where that is not possible."""
        try:
            return self._copied_aside(reason)
        except OSError as error:
            self._say_why(error.strerror or "no copy of it can be made")
            return ""

    def _copied_aside(self, reason):
        target = Path(os.path.realpath(self.path))
        aside = _free_name(target, reason)
        shutil.copyfile(target, aside)
        return aside.name

    def _say_why(self, why):
        """Go on in memory: a folder that cannot be written must not stop the lesson."""
        if not self._has_said:
            self._has_said = True
            self.notice = (
                f"Progress is kept for this session only: `{self.path or FILE}` cannot be used ({why})."
            )


def _free_name(path, reason):
    k = 1
    while (aside := path.with_name(f"{path.name}.{reason}-{k}")).exists():
        k += 1
    return aside


def write_whole(target, data, mode=0o600):
    """Write a file whole or not at all, and remove half-written ones of processes that ended; `mode` says who may read it."""
    for left in target.parent.glob(f"{target.name}*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > ABANDONED:
                left.unlink()
    write_text(target, json.dumps(data, indent=1, sort_keys=True), mode)


def cleaned(stored):
    """The data in the form of version 2, and the keys of rows that were odd."""
    data, odd = empty(), []
    for key, row in stored.get("exercises", {}).items():
        if not isinstance(row, dict):
            odd.append(key)
            continue
        clean = _clean_row(row)
        if any(name in row and row[name] != clean[name] for name in clean):
            odd.append(key)
        data["exercises"][key] = clean
    predictions = stored.get("predictions", {})
    if isinstance(predictions, dict):
        kept = {key: text for key, text in predictions.items() if isinstance(text, str)}
        data["predictions"] = kept
        odd += [key for key in predictions if key not in kept]
    else:
        odd.append("predictions")
    return data, odd


def _clean_row(row):
    """A row with a value of the right type for each key: what is odd is as if it were not there."""
    clean = new_row()
    checks = {
        "edition": lambda x: type(x) is int and 1 <= x < 1000,
        "points": _is_amount,
        "possible": _is_amount,
        "passed": lambda x: type(x) is bool,
        "tries": lambda x: isinstance(x, list) and all(isinstance(each, str) for each in x),
        "hints": lambda x: type(x) is int and 0 <= x < 1000,
        "first": lambda x: x is None or isinstance(x, str),
        "last": lambda x: x is None or isinstance(x, str),
        "misconceptions": lambda x: (
            isinstance(x, dict) and all(type(n) is int and n >= 0 for n in x.values())
        ),
        "older": lambda x: (
            x is None
            or (
                isinstance(x, dict)
                and type(x.get("edition")) is int
                and _is_amount(x.get("points"))
                and type(x.get("passed")) is bool
            )
        ),
    }
    for key, is_fine in checks.items():
        if key in row and is_fine(row[key]):
            clean[key] = row[key]
    return clean


def _is_amount(value):
    return type(value) in (int, float) and 0 <= value < 10_000


def _merge(data, unsaved):
    """Enter what could not be written into what the file has meanwhile."""
    for key, unsaved_row in unsaved["exercises"].items():
        row = data["exercises"].get(key)
        if row is None or row["edition"] < unsaved_row["edition"]:
            data["exercises"][key] = unsaved_row
            continue
        if row["edition"] == unsaved_row["edition"]:
            row["points"] = max(row["points"], unsaved_row["points"])
            row["passed"] = row["passed"] or unsaved_row["passed"]
        row["tries"] = list(dict.fromkeys([*row["tries"], *unsaved_row["tries"]]))
        row["hints"] = max(row["hints"], unsaved_row["hints"])
        row["first"] = min(filter(None, (row["first"], unsaved_row["first"])), default=None)
        row["last"] = max(filter(None, (row["last"], unsaved_row["last"])), default=None)
        for name, count in unsaved_row["misconceptions"].items():
            row["misconceptions"][name] = max(count, row["misconceptions"].get(name, 0))
    for key, text in unsaved["predictions"].items():
        data["predictions"].setdefault(key, text)
