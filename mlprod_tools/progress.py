"""`mlprod progress`: the map of the course in a terminal, from a progress file; or forget a lesson, keeping a copy of the file."""

import os
import sys
from pathlib import Path

from mlprod_helpers.lesson import contract, course
from mlprod_helpers.lesson.progress import FILE, VARIABLE, Progress


def add_options(parser):
    """The options of `mlprod progress`."""
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help=f"the progress file (default: {FILE} here or in notebooks/)",
    )
    parser.add_argument("--lesson", metavar="02", help="one lesson, exercise by exercise")
    parser.add_argument(
        "--reset",
        nargs="?",
        const="all",
        metavar="02",
        help="forget this lesson, or everything; a copy of the old file stays beside the new one",
    )


def main(options):
    """Show progress, or reset it. Returns the exit status."""
    path = Path(options.file) if options.file else found()
    if not path.is_file():
        print(f"mlprod progress: there is no progress file {path}; its name is {FILE}", file=sys.stderr)
        return 1
    try:
        lessons = {
            key: contract.load(f"{key:0>2}")
            for key in (options.lesson, options.reset)
            if key not in (None, "all")
        }
    except LookupError as error:
        print(f"mlprod progress: {error.args[0]}", file=sys.stderr)
        return 1
    progress = Progress(path)
    if options.reset is not None:
        return _reset(progress, lessons.get(options.reset))
    data = progress.read()
    print(
        course.lesson_message(lessons[options.lesson], data)
        if options.lesson
        else course.course_message(data)
    )
    if progress.notice:
        print(progress.notice)
    return 0


def found():
    """Where the progress file is, as far as this folder tells."""
    named = os.environ.get(VARIABLE)
    if named and named != "memory":
        return Path(named)
    return next(
        (path for path in (Path(FILE), Path("notebooks", FILE)) if path.exists()), Path("notebooks", FILE)
    )


def _reset(progress, lesson):
    """Forget one lesson, or everything where it is None."""
    try:
        kept = progress.reset(lambda key: lesson is None or course.belongs(key, lesson.lesson))
    except OSError as error:
        print(f"mlprod progress: nothing was reset, no copy can be kept: {error.strerror}", file=sys.stderr)
        return 1
    if progress.notice:
        print(f"mlprod progress: {progress.notice}", file=sys.stderr)
        return 1
    print(
        f"{f'Lesson {lesson.lesson}' if lesson else 'The whole course'} is reset. The old file is kept as {kept}."
    )
    return 0
