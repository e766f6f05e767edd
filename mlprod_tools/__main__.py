"""The command line: `mlprod agenda | audit | board | build | count | doctor | evidence | grade | handouts | new | pictures | progress | release | site | test`, also as `python -m mlprod_tools`."""

import argparse
import importlib
import sys


def _parser():
    from mlprod_tools import (
        agenda,
        board,
        build,
        count,
        doctor,
        evidence,
        grade,
        handouts,
        new,
        pictures,
        progress,
        release,
        site,
    )

    parser = argparse.ArgumentParser(prog="mlprod", description="What authors and instructors run.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    board.add_options(
        commands.add_parser("board", help="a page on who is where, from the progress that learners share")
    )

    build.add_options(commands.add_parser("build", help="make notebooks/ and solutions/ from lessons/"))

    agenda.add_options(commands.add_parser("agenda", help="a timed plan of a workshop"))

    audit = commands.add_parser("audit", help="try every exercise with right, wrong and nonsensical answers")
    audit.add_argument("--lesson", nargs="+", default=[], metavar="02", help="only these lessons")
    audit.add_argument("--exercise", nargs="+", default=[], metavar="2.3", help="only these exercises")
    audit.add_argument(
        "--seeds",
        type=int,
        default=50,
        help="how many seeds for each answer, at most 10 for nonsense (default: 50)",
    )
    audit.add_argument(
        "--quick", action="store_true", help="fewer seeds and a few mutants, as `make test` does"
    )
    audit.add_argument(
        "--mutants", action="store_true", help="try small wrong versions of every right answer too"
    )
    audit.add_argument("--only-mutants", action="store_true", help="try mutants and nothing else")
    audit.add_argument(
        "--sample", type=int, metavar="N", help="with --mutants: only N an exercise, the same each time"
    )
    audit.add_argument("--notes", action="store_true", help="with --mutants: list those that draw each note")

    count.add_options(
        commands.add_parser("count", help="how long the lessons are, and where they break a house rule")
    )

    doctor.add_options(commands.add_parser("doctor", help="is this machine ready for the course?"))

    evidence.add_options(
        commands.add_parser("evidence", help="what a class learned: ten cases before, ten after")
    )

    grade.add_options(commands.add_parser("grade", help="grade a whole class"))

    handouts.add_options(commands.add_parser("handouts", help="print lessons and cards to PDF"))

    new.add_options(commands.add_parser("new", help="write the skeletons of a new exercise"))

    pictures.add_options(commands.add_parser("pictures", help="take the pictures of README and pages again"))

    progress.add_options(commands.add_parser("progress", help="how far you are in the course"))

    release.add_options(commands.add_parser("release", help="make the copy that learners get"))

    site.add_options(commands.add_parser("site", help="make the course as web pages"))

    test = commands.add_parser(
        "test", help="run every check that CI runs", epilog="Other arguments go to pytest's unit tests."
    )
    test.add_argument("--slowest", action="store_true", help="list the ten slowest tests and cells too")
    return parser


def main(argv=None):
    """Run one command. Returns the exit status.

    Parameters
    ----------
    argv : list of str, optional
        What stands behind `mlprod` on the command line.
    """
    parser = _parser()
    options, rest = parser.parse_known_args(argv)
    if options.command == "test":
        options.arguments = rest
    elif rest:
        parser.error(f"unknown: {' '.join(rest)}")
    if options.command == "audit" and (problems := _unreadable()):
        print(*problems, sep="\n", file=sys.stderr)
        return 1
    # imported here: `--help` needs none of them
    module = {"test": "testing"}.get(options.command, options.command)
    return importlib.import_module(f"mlprod_tools.{module}").main(options)


def _unreadable():
    """What keeps the lessons of this checkout from being read."""
    from pathlib import Path

    from mlprod_tools.build import no_checkout, source

    root = Path(__file__).resolve().parents[1]
    if why := no_checkout(root):
        return [f"audit: {why}"]
    lessons = sorted((root / "lessons").glob("[0-9][0-9]_*.py"))
    found = (source.undecodable(path, path.relative_to(root).as_posix()) for path in lessons)
    return [problem for problem in found if problem]


if __name__ == "__main__":
    sys.exit(main())
