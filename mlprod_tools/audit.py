"""`mlprod audit`: try every exercise with right, wrong and nonsensical answers, on many seeds.

For each exercise and seed: the stub is not attempted; the lesson's solution and each alternative pass with full points; each
misconception fails and draws its own feedback, not another's; garbage is never passed and never breaks the check.
"""

import contextlib
import io
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np

LEAST_MISCONCEPTIONS, LEAST_ALTERNATIVES = 3, 2
QUICK = {"right": 10, "wrong": 3, "garbage": 1}


@dataclass
class Row:
    """What the audit of one exercise found."""

    id: str
    title: str
    misconceptions: int
    alternatives: int
    garbage: int = 0
    slowest: float = 0.0  # CPU seconds of the slowest check of a right answer
    faults: list = field(default_factory=list)


def solved(path):
    """Run a lesson's code and keep each exercise's answers as they are when its check comes.

    Parameters
    ----------
    path : Path
        The lesson source.

    Returns
    -------
    dict
        Exercise id -> {name: answer}.
    """
    from mlprod_helpers.lesson import contract
    from mlprod_tools.build import source

    lesson = source.read(path)
    found, scope = {}, {"__name__": "__main__"}
    exercises = contract.load(lesson.header["lesson"]).exercises
    for cell in lesson.code_cells:
        if cell.check and cell.check in exercises:
            names = exercises[cell.check].answers
            found[cell.check] = {name: scope[name] for name in names if name in scope}
            continue
        code = "\n" * (cell.first - 1) + cell.code  # errors name the line of the lesson
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(code, str(path), "exec"), scope)
    return found


def stub_of(exercise):
    """What a learner's notebook defines before anything is answered."""
    from mlprod_helpers.lesson.kinds import Function

    names = zip(exercise.answers, exercise.kinds, strict=True)
    return {
        name: (lambda *arguments: ...) if isinstance(kind, Function) else eval(kind.template())
        for name, kind in names
    }


def audit_exercise(exercise, solution, counts):
    """Audit one exercise.

    Parameters
    ----------
    exercise : Exercise
    solution : dict or None
        The lesson's own answers: name -> value.
    counts : dict
        How many seeds for "right", "wrong" and "garbage" answers.
    """
    row = Row(exercise.id, exercise.title, len(exercise.misconceptions), len(exercise.alternatives))
    if row.misconceptions < LEAST_MISCONCEPTIONS:
        row.faults.append(f"has {row.misconceptions} misconceptions; {LEAST_MISCONCEPTIONS} is the least")
    if row.alternatives < LEAST_ALTERNATIVES:
        row.faults.append(
            f"has {row.alternatives} alternative right answers; {LEAST_ALTERNATIVES} is the least"
        )
    if not solution:
        row.faults.append("no answer of the lesson was found")
    for seed in range(counts["right"]):
        _audit_right(row, exercise, solution, seed)
    for seed in range(counts["wrong"]):
        _audit_misconceptions(row, exercise, seed)
    for seed in range(counts["garbage"]):
        _audit_nothing(row, exercise, seed)
        _audit_garbage(row, exercise, solution or {}, seed)
    return row


def _check(exercise, answers, seed):
    from mlprod_helpers.lesson.checking import check

    return check(exercise, answers, np.random.default_rng([seed, *exercise.id.encode()]))


def _audit_right(row, exercise, solution, seed):
    right = {"the lesson's solution": lambda: solution} if solution else {}
    for make in exercise.alternatives:
        right[f"alternative {make.__name__}"] = lambda make=make: exercise.answers_of(make)
    for what, make in right.items():
        begin = time.process_time()
        verdict = _check(exercise, make(), seed)
        row.slowest = max(row.slowest, time.process_time() - begin)
        if verdict.outcome.name != "PASSED" or verdict.points != exercise.points:
            wrong = [line.what + ": " + line.note for line in verdict.lines if not line.ok]
            row.faults.append(
                f"seed {seed}: {what} is {verdict.outcome.value}: {wrong or verdict.note} {verdict.fault}"
            )


def _audit_misconceptions(row, exercise, seed):
    for wrong in exercise.misconceptions:
        verdict = _check(exercise, exercise.answers_of(wrong.make), seed)
        if verdict.outcome.name in ("PASSED", "NOT_ATTEMPTED"):
            row.faults.append(f"seed {seed}: misconception {wrong.name} is {verdict.outcome.value}")
        elif verdict.fault:
            row.faults.append(f"seed {seed}: misconception {wrong.name} breaks the check: {verdict.fault}")
        elif verdict.misconception != wrong.name:
            drawn = verdict.misconception or "none"
            row.faults.append(f"seed {seed}: misconception {wrong.name} draws the feedback of {drawn}")


def _audit_nothing(row, exercise, seed):
    for what, answers in (("the stub", stub_of(exercise)), ("a cell never run", {})):
        verdict = _check(exercise, answers, seed)
        if verdict.outcome.name != "NOT_ATTEMPTED":
            row.faults.append(f"seed {seed}: {what} is {verdict.outcome.value}")


def _audit_garbage(row, exercise, solution, seed):
    from mlprod_helpers.lesson.kinds import Function
    from mlprod_tools import garbage

    count = 0
    for name, kind in zip(exercise.answers, exercise.kinds, strict=True):
        for what, answer in garbage.answers(name, isinstance(kind, Function)):
            count += 1
            try:
                # the other answers are right: nothing else may be what fails
                verdict = _check(exercise, {**solution, name: answer}, seed)
            except Exception as error:
                row.faults.append(f"seed {seed}: {what}: the check raised {type(error).__name__}: {error}")
                continue
            if verdict.outcome.name == "PASSED":
                row.faults.append(f"seed {seed}: {what}: passed")
            elif verdict.fault:
                row.faults.append(f"seed {seed}: {what}: the check broke: {verdict.fault}")
    row.garbage = count


def audit_lesson(path, counts, only=None):
    """The rows of one lesson. `only`: a set of exercise ids."""
    from mlprod_helpers.lesson import contract

    os.environ["MLPROD_PROGRESS"] = "memory"
    answers = solved(path)
    exercises = contract.load(Path(path).stem[:2]).exercises.values()
    return [
        audit_exercise(each, answers.get(each.id), counts)
        for each in exercises
        if not only or each.id in only
    ]


def _counts(args):
    if args.quick:
        return QUICK
    return dict.fromkeys(QUICK, args.seeds)


def _line(row):
    state = "ok" if not row.faults else f"{len(row.faults)} faults"
    return (
        f"  {row.id:<5} {row.title[:38]:<38} {row.misconceptions:>6} {row.alternatives:>6} {row.garbage:>8} "
        f"{1000 * row.slowest:>8.0f}  {state}"
    )


def main(args):
    """Audit the chosen lessons; exit status 1 on any fault."""
    counts = _counts(args)
    root = Path(__file__).resolve().parents[1]
    paths = sorted((root / "lessons").glob("[0-9][0-9]_*.py"))
    only = set(args.exercise or ())
    lessons = set(args.lesson or ()) | {f"{int(each.split('.')[0]):02d}" for each in only}
    paths = [path for path in paths if not lessons or path.stem[:2] in lessons]
    if not paths:
        print(f"There is no such lesson in {root / 'lessons'}.", file=sys.stderr)
        return 1
    print(f"  {'':<5} {'exercise':<38} {'wrong':>6} {'right':>6} {'garbage':>8} {'CPU ms':>8}", flush=True)
    rows = []
    workers = min(os.cpu_count() or 1, len(paths))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        for path, found in zip(paths, pool.map(_work, [(path, counts, only) for path in paths]), strict=True):
            print(path.stem)
            for row in found:
                print(_line(row), flush=True)
            rows += found
    faults = [(row.id, fault) for row in rows for fault in row.faults]
    for exercise_id, fault in faults:
        print(f"{exercise_id}: {fault}")
    print(
        f"audit: {len(rows)} exercises, {sum(row.misconceptions for row in rows)} misconceptions, "
        f"{sum(row.garbage for row in rows)} garbage answers, {counts['right']} seeds: {len(faults)} faults"
    )
    return 1 if faults or not rows else 0


def _work(task):
    # one thread a worker: two cores are shared
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MPLBACKEND", "agg")
    return audit_lesson(*task)
