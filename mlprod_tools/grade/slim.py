"""What the grader needs of a notebook file: its lesson and its code cells, not its outputs.

Also a program of its own (`slim.py BYTES-OF-MEMORY`, notebook on stdin, result on stdout): a large file is read in another process, within limits.
"""

import json
import re
import sys

MOST_CELLS = 3000
MOST_CODE = 1_000_000  # characters of all cells together; the course's own notebooks have 30,000 at most
SHORT = 30  # characters that a statement counts as, at least: finding what it needs takes its time
SECONDS = 120
_LESSON = re.compile(r"\bLesson\(\s*[\"']?(\d{1,2})[\"']?\s*(?:,\s*(?:edition\s*=\s*)?(\d{1,4}))?\s*\)")
_CHECK = re.compile(r"\bcheck\(\s*[\"'](\d{1,2})\.\d{1,2}[\"']\s*\)")


def slim(data):
    """A notebook's lesson, edition and code cells.

    Parameters
    ----------
    data : bytes
        The file.

    Returns
    -------
    dict
        `lesson` (two digits, or ""), `edition` (int or None), `cells` (lists of number, exercise and source), `size` of the
        code, and `cut`, whether there was more code than is read.

    Raises
    ------
    ValueError
        If it is no notebook. The message ends a sentence that names the file.
    """
    try:
        notebook = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("is no notebook: it is not valid JSON") from None
    cells = _cells(notebook)
    about = _dict(_dict(_dict(notebook).get("metadata")).get("mlprod"))
    found, room = [], MOST_CODE
    for number, cell in enumerate(cells, start=1):
        source = _source(cell)
        if source is None or not source.strip():
            continue
        room -= max(len(source), SHORT * (source.count("\n") + source.count(";") + 1))
        if room < 0 or len(found) == MOST_CELLS:
            break
        exercise = _dict(_dict(cell.get("metadata")).get("mlprod")).get("exercise")
        is_id = isinstance(exercise, str) and re.fullmatch(r"\d{1,2}\.\d{1,2}", exercise)
        found.append([number, exercise if is_id else "", source])
    lesson, edition = about.get("lesson"), about.get("edition")
    if not (isinstance(lesson, str) and re.fullmatch(r"\d\d", lesson)):
        lesson, edition = _by_its_code(found)
    is_number = type(edition) is int and 0 < edition < 10_000
    return {
        "lesson": lesson,
        "edition": edition if is_number else None,
        "cells": found,
        "size": MOST_CODE - max(room, 0),
        "cut": room < 0 or len(found) == MOST_CELLS,
    }


def _cells(notebook):
    if isinstance(notebook, dict):
        cells = notebook.get("cells")
        if cells is None and isinstance(notebook.get("worksheets"), list):  # notebooks of before 2015
            cells = [cell for sheet in notebook["worksheets"] for cell in _dict(sheet).get("cells") or []]
        if isinstance(cells, list):
            return cells
    raise ValueError("is no notebook: it has no list of cells")


def _dict(value):
    return value if isinstance(value, dict) else {}


def _source(cell):
    """The code of a cell; None where it is no code cell."""
    if not isinstance(cell, dict) or cell.get("cell_type") != "code":
        return None
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list) and all(isinstance(part, str) for part in source):
        source = "".join(source)
    return source if isinstance(source, str) else None


def _by_its_code(cells):
    """(lesson, edition) of a notebook that lost its metadata, by what its cells call."""
    for _, _, source in cells:
        if match := _LESSON.search(source):
            return match[1].zfill(2), int(match[2]) if match[2] else None
    for _, exercise, source in cells:
        if match := _CHECK.search(source):
            return match[1].zfill(2), None
        if exercise:
            return exercise.partition(".")[0].zfill(2), None
    return "", None


def main():
    try:
        import resource

        most = int(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    except (ImportError, ValueError, OSError):  # Windows, or lower limits already
        pass
    try:
        answer = slim(sys.stdin.buffer.read())
    except ValueError as error:
        answer = {"error": str(error)}
    except MemoryError:
        answer = {"error": "needs too much memory to be read"}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
