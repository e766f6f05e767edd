"""Who handed in what: folders, zips and flat files as Moodle, Canvas, nbgrader and people lay them out.

Nothing is ever unpacked to the disk, no symbolic link is followed, and what is read has a limit. Whose a file is follows from the
first part of its path alone, which learners do not choose in Moodle, Canvas and nbgrader.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
import struct
import subprocess
import sys
import tempfile
import unicodedata
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from mlprod_helpers.lesson import contract
from mlprod_tools.grade import answers, slim
from mlprod_tools.grade.marks import Submission

ROOT = Path(__file__).resolve().parents[2]
SMALL = 4 * 2**20  # a larger notebook is read in a process of its own
MOST_BYTES = 256 * 2**20  # of one notebook
MOST_MEMORY = 2 * 2**30  # to read one
MOST_TOTAL = 2**30  # of all that is read for one learner
MOST_CODE = 3 * slim.MOST_CODE  # of all notebooks of one learner, copies included
MOST_ENTRIES = 20_000  # of one zip
MOST_DIRECTORY = 16 * 2**20  # bytes of one zip's table of contents
MOST_NOTEBOOKS = 200  # of one learner
MOST_LEVELS = 12  # of folders
MOST_ZIPS = 3  # of zips within zips
_AROUND = ("submitted", "inbound", "submissions")
_SKIPPED = re.compile(r"^(?:\.|__MACOSX$|Thumbs\.db$)", re.IGNORECASE)

# Moodle, "Download all submissions": with folders, without, and with the name hidden
_MOODLE = re.compile(r"^(?P<name>.+?)_(?P<id>\d+)_assignsubmission_[a-z]+(?:_.*)?$", re.DOTALL)
# Canvas, "Download Submissions": sortable name, perhaps LATE, user, file, its name
_CANVAS = re.compile(r"^(?P<name>[^\s/]+?)(?:_LATE)?_(?P<id>\d+)_\d+_.+$", re.DOTALL)
_CANVAS_HIDDEN = re.compile(r"^(?P<name>anon)(?:_LATE)?_(?P<id>[A-Za-z0-9]{5})_\d+_.+$", re.DOTALL)
# nbgrader's exchange, inbound/: learner, assignment, time, and sometimes a random text
_INBOUND = re.compile(
    r"^(?P<name>.+)\+(?P<task>[^+]+)\+(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^+]*)(?:\+[^+]*)?$", re.DOTALL
)

_BROKEN = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,  # an encrypted entry
    NotImplementedError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
)


class Unreadable(Exception):
    """Something that a learner handed in cannot be read; the message ends a sentence that names it."""


@dataclass(frozen=True)
class Handed:
    """Where the files of one learner are. `places` are (path on the disk, names within zips)."""

    learner: str
    path: str
    places: tuple = ()
    notes: tuple = ()


@dataclass(frozen=True)
class Identity:
    """Who a learner is to the system that the files came from: "moodle", "canvas" or ""."""

    system: str
    name: str
    id: str


def identity(path):
    """The Identity that the first part of a path stands for.

    >>> identity("Ana Alvarez_123_assignsubmission_file_")
    Identity(system='moodle', name='Ana Alvarez', id='123')
    >>> identity("alvarezana_LATE_77_4711_06_deployment_strategies-1.ipynb")
    Identity(system='canvas', name='alvarezana', id='77')
    """
    if match := _MOODLE.match(path):
        return Identity("moodle", match["name"], match["id"])
    if match := _CANVAS_HIDDEN.match(path) or _CANVAS.match(path):
        return Identity("canvas", match["name"], match["id"])
    return Identity("", path, "")


def find(submissions):
    """Everybody who handed in, by name.

    Parameters
    ----------
    submissions : path
        A folder, a zip of one, or one notebook.

    Returns
    -------
    list of Handed

    Raises
    ------
    ValueError
        If there is nothing that can be graded.
    """
    root = Path(submissions)
    if not root.exists():
        raise ValueError(f"there is no {root}")
    entries = (
        _entries_of_zip(root)
        if root.is_file() and root.suffix.lower() == ".zip"
        else _entries_of_folder(root)
    )
    people = _Class(root)
    for parts, place, problem in entries:
        people.add(parts, place, problem)
    found = people.everybody()
    if not found:
        raise ValueError(f"{root} holds no folder, no zip and no notebook of a learner")
    return found


class _Class:
    """Collects the files of each learner."""

    def __init__(self, root):
        self._root = root
        self._names = sorted(
            (path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")), key=len, reverse=True
        )
        self._people = {}  # key -> [name, path, places, notes]
        self._inbound = {}  # (key, task) -> (time, places)

    def add(self, parts, place, problem):
        parts = _unwrapped(parts)
        is_folder = place is None and not problem
        if parts[0] in _AROUND and len(parts) == 1 and is_folder:
            return
        if any(_SKIPPED.match(part) for part in parts):
            return
        first, is_flat = parts[0], len(parts) == 1
        who, stem = identity(first), Path(first).stem
        suffix = Path(parts[-1]).suffix.lower()
        if who.system:
            key, name = (who.system, who.id), f"{who.name} ({who.id})"
        elif match := _INBOUND.match(first):
            key, name = ("", match["name"]), match["name"]
            if suffix in (".ipynb", ".zip") and not problem:
                self._later(key, match, place)
                self._person(key, name, first)
                return
        elif is_flat and not is_folder:
            if suffix not in (".ipynb", ".zip") and not problem:
                return
            name = stem if suffix == ".zip" else self._learner_of(stem)
            key = ("", name)
        else:
            key, name = ("", first), first
        person = self._person(key, name, first)
        if problem:
            person[3].append(f"`{label(parts[-1])}` {problem}, so it was left out.")
        elif suffix in (".ipynb", ".zip") and place is not None:
            person[2].append(place)

    def _person(self, key, name, path):
        return self._people.setdefault(key, [name, path, [], []])

    def _later(self, key, match, place):
        """Of several submissions of one assignment, the latest counts."""
        time, _ = self._inbound.get((key, match["task"]), ("", []))
        if match["time"] > time:
            self._inbound[key, match["task"]] = (match["time"], [place])
        elif match["time"] == time:
            self._inbound[key, match["task"]][1].append(place)

    def _learner_of(self, stem):
        """The learner's part of a file's name such as `ana_06_deployment_strategies`; the folder's name where there is none."""
        for name in self._names:
            stem = stem.replace(name, "")
        return stem.strip(" _-.+") or self._root.stem

    def everybody(self):
        for (key, _), (_, places) in self._inbound.items():
            self._people[key][2] += places
        found, taken = [], set()
        for key, (name, path, places, notes) in sorted(
            self._people.items(), key=lambda item: (str(item[1][0]), item[0])
        ):
            learner = label(name)
            if learner in taken:  # names that differ in what cannot be shown
                learner += (
                    " #" + hashlib.sha256(repr(key).encode("utf-8", "backslashreplace")).hexdigest()[:6]
                )
            taken.add(learner)
            places = sorted(set(places), key=lambda each: _natural(repr(each)))
            if len(places) > MOST_NOTEBOOKS:
                notes = [
                    *notes,
                    f"There are {len(places)} notebooks and zips; only {MOST_NOTEBOOKS} were read.",
                ]
            found.append(Handed(learner, path, tuple(places[:MOST_NOTEBOOKS]), tuple(notes)))
        return found


def _unwrapped(parts):
    """Without the folders that nbgrader and people put around a class."""
    while len(parts) > 1 and parts[0] in _AROUND:
        parts = parts[1:]
    return parts


def label(text):
    """A name as it can be shown anywhere: printable, on one line, not longer than 80 characters.

    >>> label("ana\\n\\u202egnp.exe")
    'ana??gnp.exe'
    """
    shown = "".join(
        "?" if unicodedata.category(each)[0] == "C" or each in "\u2028\u2029" else each for each in text
    )
    return shown if len(shown) <= 80 else shown[:60] + "..." + hashlib.sha256(shown.encode()).hexdigest()[:8]


def _natural(text):
    """Sorts `x-2` before `x-10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d{1,15})", text)]


# ------------------------------------------------------------------ where the files are


def _entries_of_folder(root):
    """(parts of the path, place or None for a folder, problem) of everything under a folder, or of one file."""
    if root.is_file():
        yield (root.name,), (str(root), ()), ""
        return
    waiting = [(root, ())]
    while waiting:
        folder, parts = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                children = sorted(listing, key=lambda each: each.name)
        except OSError as error:
            yield (*parts, ""), None, f"cannot be opened ({error.strerror})"
            continue
        for child in children:
            here = (*parts, child.name)
            if child.is_symlink():
                yield here, None, "is a symbolic link"
            elif child.is_dir(follow_symlinks=False):
                yield here, None, ""
                if len(here) >= MOST_LEVELS:
                    yield here, None, "has too many folders within each other"
                else:
                    waiting.append((Path(child.path), here))
            elif child.is_file(follow_symlinks=False):
                yield here, (child.path, ()), ""
            else:
                yield here, None, "is no regular file"


def _entries_of_zip(root):
    """The same of a zip that holds a class."""
    with root.open("rb") as file, _opened_zip(file, root.name) as archive:
        names = [info for info in archive.infolist()]
    wrapped = {info.filename.split("/")[0] for info in names} == {root.stem}
    for info in names:
        parts, problem = _safe_parts(info)
        parts = parts[1:] if wrapped else parts
        if parts:
            yield parts, None if info.is_dir() else (str(root), (info.filename,)), problem


def _safe_parts(info):
    """(parts of a zip entry's path, what is wrong with it)."""
    mode = info.external_attr >> 16
    parts = tuple(part for part in info.filename.replace("\\", "/").split("/") if part not in ("", "."))
    problem = ""
    if stat.S_ISLNK(mode):
        problem = "is a symbolic link"
    elif ".." in parts or info.filename.startswith(("/", "\\")) or re.match(r"^[A-Za-z]:", info.filename):
        problem = "has a path that leads out of its zip"
        parts = tuple(part for part in parts if part != "..")
    return parts, problem


@contextlib.contextmanager
def _opened_zip(file, name):
    """The archive in an open file; its table of contents is looked at before it is read."""
    try:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 2**16 - 22))
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or at + 22 > len(tail):
            raise Unreadable("is no zip")
        n_entries, n_bytes = struct.unpack("<HL", tail[at + 10 : at + 16])
        if n_bytes > MOST_DIRECTORY or n_entries > MOST_ENTRIES:
            raise Unreadable(f"has too many entries ({n_entries:,})")
        file.seek(0)
        with zipfile.ZipFile(file) as archive:
            if len(archive.filelist) > MOST_ENTRIES:
                raise Unreadable(f"has too many entries ({len(archive.filelist):,})")
            yield archive
    except Unreadable as error:
        raise ValueError(f"{name} {error}") from None
    except zipfile.BadZipFile:
        raise ValueError(f"{name} is no zip that can be read") from None


# ------------------------------------------------------------------ reading what one learner handed in


def read(handed):
    """The Submission of one learner. Whatever cannot be read is a note, never an error.

    Parameters
    ----------
    handed : Handed
    """
    reader = _Reader(list(handed.notes))
    for place in handed.places:
        reader.place(*place)
    if not reader.notebooks and not handed.places:
        reader.notes.append("No notebook was found.")
    lessons, found, notes = _answers_of(reader.notebooks)
    notes = (*reader.notes, *notes)
    content = [lessons, [[a.exercise, a.edition, a.source, a.needs, a.notes] for a in found], notes]
    digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
    return Submission(handed.learner, handed.path, digest, tuple(lessons), tuple(found), notes)


@dataclass(frozen=True)
class _Notebook:
    name: str
    lesson: str
    edition: int | None
    cells: tuple


class _Reader:
    """Reads notebooks and zips of one learner, within limits."""

    def __init__(self, notes):
        self.notes, self.notebooks = notes, []
        self._left, self._code_left = MOST_TOTAL, MOST_CODE

    def place(self, path, inner):
        name = label(inner[-1] if inner else os.path.basename(path))
        try:
            with _opened(path) as file:
                self._file(file, name, list(inner), MOST_ZIPS + 1)
        except (*_BROKEN, Unreadable) as error:
            self._note(name, error)

    def _file(self, file, name, inner, zips_left):
        if inner:  # an entry of the class's own zip
            with zipfile.ZipFile(file) as archive:
                info = archive.getinfo(inner[0])
                self._entry(archive, info, zips_left)
        elif name.lower().endswith(".zip"):
            self._zip(file, name, zips_left)
        else:
            self._notebook(file, name)

    def _entry(self, archive, info, zips_left):
        name = label(info.filename.replace("\\", "/").rsplit("/", 1)[-1])
        try:
            with archive.open(info) as entry:
                if not name.lower().endswith(".zip"):
                    self._notebook(entry, name)
                    return
                with tempfile.SpooledTemporaryFile(max_size=16 * 2**20) as copy:
                    for chunk in self._chunks(entry, self._left):
                        copy.write(chunk)
                    self._zip(copy, name, zips_left)
        except (*_BROKEN, Unreadable) as error:
            self._note(name, error)

    def _zip(self, file, name, zips_left):
        if zips_left <= 1:
            raise Unreadable("is a zip within too many others")
        try:
            with _opened_zip(file, name) as archive:
                for info in sorted(archive.infolist(), key=lambda each: _natural(each.filename)):
                    self._within(archive, info, zips_left - 1)
        except ValueError as error:
            self.notes.append(f"{str(error).replace(name, f'`{name}`', 1)}.")

    def _within(self, archive, info, zips_left):
        parts, problem = _safe_parts(info)
        is_ours = info.filename.lower().endswith((".ipynb", ".zip"))
        if info.is_dir() or not parts or not is_ours or any(_SKIPPED.match(part) for part in parts):
            return
        if problem:
            self.notes.append(f"`{label(parts[-1])}` {problem}, so it was left out.")
        elif len(self.notebooks) >= MOST_NOTEBOOKS:
            raise Unreadable(f"has more than {MOST_NOTEBOOKS} notebooks")
        else:
            self._entry(archive, info, zips_left)

    def _notebook(self, file, name):
        start = b"".join(self._chunks(file, SMALL, is_cut=True))
        if len(start) <= SMALL:
            try:
                about = slim.slim(start)
            except ValueError as error:
                raise Unreadable(str(error)) from None
        else:
            about = self._in_another_process(start, file)
        self._code_left -= about["size"]
        if self._code_left < 0:
            raise Unreadable("was left out: all these notebooks together have more code than is read")
        if about["cut"]:
            self.notes.append(f"`{name}` has more code than is read ({slim.MOST_CODE:,} characters).")
        if about["lesson"] not in contract.lesson_ids():
            self.notes.append(f"`{name}` belongs to no lesson of the installed course.")
            return
        cells = tuple(answers.Cell(*cell) for cell in about["cells"])
        self.notebooks.append(_Notebook(name, about["lesson"], about["edition"], cells))

    def _in_another_process(self, start, file):
        command = [sys.executable, "-I", "-S", slim.__file__, str(MOST_MEMORY)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as child:
            try:
                with contextlib.suppress(BrokenPipeError):
                    child.stdin.write(start)
                    for chunk in self._chunks(file, MOST_BYTES - len(start)):
                        child.stdin.write(chunk)
                with contextlib.suppress(BrokenPipeError):
                    child.stdin.close()
                about = json.loads(
                    child.stdout.read() or '{"error": "needs too much time or memory to be read"}'
                )
            finally:
                child.kill()
        if "error" in about:
            raise Unreadable(about["error"])
        return about

    def _chunks(self, file, most, is_cut=False):
        """The content in pieces, counted; `most` bytes of it, one more where it is cut there."""
        total = 0
        while self._left > 0 and total <= most and (chunk := file.read(min(2**20, most + 1 - total))):
            total += len(chunk)
            self._left -= len(chunk)
            yield chunk
            if total > most:
                if is_cut:
                    return
                raise Unreadable(
                    f"is larger than {MOST_BYTES // 2**20} MB: clear its outputs and save it again"
                )
        if self._left <= 0:
            raise Unreadable(f"is too much: one learner may hand in {MOST_TOTAL // 2**20} MB")

    def _note(self, name, error):
        if isinstance(error, Unreadable):
            reason = str(error)
        elif isinstance(error, OSError) and error.strerror:
            reason = f"cannot be opened ({error.strerror})"
        elif isinstance(error, RuntimeError) and "password" in str(error):
            reason = "is encrypted"
        else:
            reason = "cannot be read: it is damaged"
        self.notes.append(f"`{name}` {reason}.")


@contextlib.contextmanager
def _opened(path):
    """A regular file of a learner, also where somebody changes it meanwhile into a link or a pipe."""
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    handle = os.open(path, flags)
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise Unreadable("is no regular file")
        yield file


# ------------------------------------------------------------------ from notebooks to answers


def _answers_of(notebooks):
    """(lessons, answers, notes) of all notebooks of one learner."""
    own_names = {path.stem for path in (ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    # a file with the lesson's own name counts for more than its copies
    ordered = sorted(notebooks, key=lambda each: (Path(each.name).stem in own_names, _natural(each.name)))
    found, notes, lessons = {}, [], []
    for notebook in ordered:
        exercises = list(contract.load(notebook.lesson).exercises.values())
        if notebook.lesson not in lessons:
            lessons.append(notebook.lesson)
        for answer in answers.find(notebook.cells, exercises, notebook.lesson, notebook.edition):
            found.setdefault(answer.exercise, []).append((notebook.name, answer))
        for answer in _of_other_lessons(notebook):
            found.setdefault(answer.exercise, []).append((notebook.name, answer))
            if answer.lesson not in lessons:
                lessons.append(answer.lesson)
    chosen = []
    for lesson in sorted(lessons):
        names = [each.name for each in ordered if each.lesson == lesson]
        if len(names) > 1:
            listed = ", ".join(f"`{name}`" for name in names[:4]) + (", ..." if len(names) > 4 else "")
            notes.append(
                f"There are {len(names)} notebooks of lesson {lesson} ({listed}): of each exercise, the answer in the last one counts."
            )
        for exercise in contract.load(lesson).exercises.values():
            given = found.get(exercise.id, [])
            tried = [answer for _, answer in given if answers.is_attempted(answer, exercise.answers)]
            if given:
                chosen.append((tried or [answer for _, answer in given])[-1])
    return sorted(lessons), chosen, notes


def _of_other_lessons(notebook):
    """Answers whose cells were copied here from another lesson's notebook: by the exercise in their metadata."""
    ids = {cell.exercise for cell in notebook.cells if cell.exercise}
    others = sorted({f"{int(each.partition('.')[0]):02d}" for each in ids} - {notebook.lesson})
    for lesson in others:
        if contract.exists(lesson):
            exercises = [each for key, each in contract.load(lesson).exercises.items() if key in ids]
            found = answers.find(notebook.cells, exercises, lesson, None)
            names = {each.id: each.answers for each in exercises}
            yield from (each for each in found if answers.is_attempted(each, names[each.exercise]))
