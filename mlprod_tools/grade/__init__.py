"""A grader for a whole class: `mlprod grade`."""

import argparse
import sys

from mlprod_tools.grade.marks import NOT_ISOLATED

_USAGE = """mlprod grade SUBMISSIONS -o OUT [options]
       mlprod grade merge OUT [OUT ...] -o OUT
       mlprod grade autograder FILE.zip [--lessons 05,06]"""


def add_options(parser):
    """The options of `mlprod grade`."""
    parser.usage = _USAGE
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "SUBMISSIONS is a folder or zip as Moodle, Canvas or nbgrader make it, one folder or zip a learner, or flat files.\n"
        "`merge` puts the ledgers of several shards together; `autograder` makes the zip that Gradescope runs."
    )
    parser.add_argument("what", nargs="+", metavar="SUBMISSIONS", help="what learners handed in")
    parser.add_argument(
        "-o", "--out", metavar="OUT", help="a folder for grades.csv, the ledger and the reports"
    )
    parser.add_argument(
        "--lessons",
        default="",
        metavar="05,06",
        help="only these, also for those who handed in fewer (default: what there is)",
    )
    parser.add_argument(
        "--seed",
        type=_seed,
        metavar="N",
        help="what checks draw their inputs from (default: a new one, kept in the ledger)",
    )
    parser.add_argument("--resume", action="store_true", help="go on after a stop, or grade what is new")
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="processes on this machine (default: one a core)"
    )
    parser.add_argument(
        "--shard",
        default="",
        metavar="I/N",
        help="only this part of the class, for batch schedulers; needs --seed",
    )
    parser.add_argument(
        "--backend", choices=("local", "dask"), default="local", help="dask: on a cluster that exists"
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="of the Dask cluster, such as tcp://10.0.0.1:8786"
    )
    parser.add_argument(
        "--not-isolated",
        action="store_true",
        help=f"run learners' code without bwrap; every report says {NOT_ISOLATED}",
    )


def _seed(text):
    number = int(text)
    if not 0 <= number < 2**63:
        raise ValueError
    return number


def main(options):
    """Grade, merge, or make the autograder. Exit status 1 where something could not be done."""
    try:
        if options.what[0] == "merge":
            return _merge(options)
        if options.what[0] == "autograder":
            return _autograder(options)
        return _grade(options)
    except (
        ValueError,
        OSError,
        RuntimeError,
    ) as error:  # the last where processes of the grader die over and over
        print(f"mlprod grade: {error}", file=sys.stderr)
        return 1


def _lessons(options):
    from mlprod_helpers.lesson import contract
    from mlprod_tools.release import chosen

    return tuple(chosen(options.lessons, contract.lesson_ids())) if options.lessons.strip() else ()


def _grade(options):
    from mlprod_tools.grade import run, sandbox

    if len(options.what) > 1 or not options.out:
        raise ValueError(f"give one folder or zip of submissions and -o OUT\nusage: {_USAGE}")
    if options.shard and options.seed is None:
        raise ValueError("all shards need the same --seed")
    if (options.backend == "dask") != bool(options.scheduler):
        raise ValueError("--backend dask and --scheduler ADDRESS belong together")
    if not options.not_isolated and (why := sandbox.why_not()):
        raise ValueError(f"learners' code cannot be isolated here: {why}. See --not-isolated.")
    chosen = run.Options(
        seed=options.seed,
        isolated=not options.not_isolated,
        lessons=_lessons(options),
        shard=options.shard,
        resume=options.resume,
        jobs=options.jobs,
        scheduler=options.scheduler,
    )
    try:
        failed = run.grade(options.what[0], options.out, chosen, sys.stderr)
    except KeyboardInterrupt:
        print("\nmlprod grade: stopped; go on by --resume", file=sys.stderr)
        return 1
    if options.not_isolated:
        print(f"{NOT_ISOLATED}: learners' code ran without the sandbox.", file=sys.stderr)
    for each in failed:
        print(f"mlprod grade: not graded: {each}", file=sys.stderr)
    made = (
        "the ledger of this shard; `mlprod grade merge` makes the reports"
        if options.shard
        else "grades.csv, class.html, feedback/"
    )
    print(f"{options.out}: {made}")
    return 1 if failed else 0


def _merge(options):
    from mlprod_tools.grade import run

    places = options.what[1:]
    if not places or not (options.out or len(places) == 1):
        raise ValueError(f"merge needs the folders of the shards, and -o OUT\nusage: {_USAGE}")
    count = run.merge(places, options.out or places[0])
    print(f"{options.out or places[0]}: {count} submissions")
    return 0


def _autograder(options):
    from mlprod_tools.grade import autograder

    if len(options.what) != 2 or not options.what[1].endswith(".zip"):
        raise ValueError(f"autograder needs the name of a new zip\nusage: {_USAGE}")
    autograder.write(options.what[1], _lessons(options), options.seed)
    print(f"{options.what[1]}: upload it to Gradescope under Configure Autograder")
    return 0
