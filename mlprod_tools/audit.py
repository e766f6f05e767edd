"""`mlprod audit`: try every exercise with right, wrong and nonsensical answers, on many seeds.

For each exercise and seed: the stub is not attempted; the lesson's solution and each alternative pass with full points; each
misconception fails and draws its own feedback, not another's; garbage is never passed, never breaks the check and draws no note (unless it is
the misconception itself); a
constant answer earns a quarter of the points at most. The notebook's own seed is one of the seeds.

With `--mutants` also: small wrong versions of every right answer do not pass (mutants.py). With `--notes`: which wrong answers draw each
note, so that an author sees false accusations.
"""

import ast
import contextlib
import functools
import gc
import io
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

LEAST_MISCONCEPTIONS, LEAST_ALTERNATIVES = 3, 2
QUICK = {"right": 10, "wrong": 3, "garbage": 1}
MOST_GARBAGE_SEEDS = 10  # nearly all is refused for its kind, whatever was drawn
MOST_REPLAYED = 10  # seeds on which a misconception is compared with itself: that it does the same twice does not depend on luck
QUICK_MUTANTS = 3  # an exercise
MOST_SURVIVORS = 0.05
MOST_FOR_A_CONSTANT = 0.25


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
    mutants: object = None  # mutants.Report
    seconds: float = 0.0  # CPU, of all


@dataclass
class Solved:
    """How a lesson answers an exercise: the answers, the code of the answer cells, and the names that the code finds."""

    answers: dict
    code: str
    scope: dict


def solved(path):
    """Run a lesson's code and keep each exercise's answers as they are when its check comes.

    Parameters
    ----------
    path : Path
        The lesson source.

    Returns
    -------
    dict
        Exercise id -> Solved.
    """
    from mlprod_helpers.lesson import contract
    from mlprod_tools.build import source

    lesson = source.read(path)
    found, scope, before = {}, {"__name__": "__main__"}, {}
    exercises = contract.load(lesson.header["lesson"]).exercises
    for cell, code in _needed_code(lesson):
        if cell.check and cell.check in exercises:
            names = exercises[cell.check].answers
            answers = {name: scope[name] for name in names if name in scope}
            own = [other for other in lesson.code_cells if other.exercise == cell.check]
            text = "\n\n".join(other.code for other in own)
            found[cell.check] = Solved(answers, text, before.get(cell.check, {}))
            continue
        if cell.exercise:
            before.setdefault(cell.exercise, dict(scope))
        ast.increment_lineno(code, cell.first - 1)  # errors name the line of the lesson
        with contextlib.redirect_stdout(io.StringIO()):
            exec(compile(code, str(path), "exec"), scope)
    return found


def _needed_code(lesson):
    """(cell, its code) of the answers, and before them only the statements that they need: figures are not drawn."""
    from mlprod_tools.build.names import needs_and_bindings

    wanted, found = set(), []
    for cell in reversed(lesson.code_cells):
        kept = []
        for statement in reversed(ast.parse(cell.code).body if not cell.check else []):
            needs, bindings = needs_and_bindings(ast.Module([statement], []))
            if cell.exercise or wanted & ({each.name for each in bindings} | _changed_by(statement)):
                wanted |= {each.name for each in needs}
                kept.insert(0, statement)
        if kept or cell.check:
            found.append((cell, ast.Module(kept, [])))
    return reversed(found)


def _changed_by(statement):
    """Names of objects that a statement may change in place."""
    changed = [node.value for node in ast.walk(statement) if _is_stored_into(node)]
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        changed.append(statement.value.func)
    return {name.id for node in changed for name in ast.walk(node) if isinstance(name, ast.Name)}


def _is_stored_into(node):
    return isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load)


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
    for seed in range(max(counts.values())):  # all answers with one seed: what was drawn for it is kept
        if seed < counts["right"]:
            _audit_right(row, exercise, solution, seed)
        if seed < counts["wrong"]:
            _audit_misconceptions(row, exercise, seed)
        if seed < counts["garbage"]:
            _audit_nothing(row, exercise, seed)
            _audit_garbage(row, exercise, solution or {}, seed)
            _audit_constants(row, exercise, solution or {}, seed)
    return row


def _check(exercise, answers, seed):
    """One check; seed 0 is the notebook's own."""
    from mlprod_helpers.lesson.checking import check

    return check(exercise, answers, np.random.default_rng([seed, *exercise.id.encode()]) if seed else None)


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
        alone = seed >= MOST_REPLAYED and _without_itself(exercise, wrong)
        verdict = _check(alone or exercise, exercise.answers_of(wrong.make), seed)
        if verdict.outcome.name in ("PASSED", "NOT_ATTEMPTED"):
            row.faults.append(f"seed {seed}: misconception {wrong.name} is {verdict.outcome.value}")
        elif verdict.fault:
            row.faults.append(f"seed {seed}: misconception {wrong.name} breaks the check: {verdict.fault}")
        elif verdict.misconception != ("" if alone else wrong.name):
            drawn = verdict.misconception or "none"
            row.faults.append(f"seed {seed}: misconception {wrong.name} draws the feedback of {drawn}")


def _without_itself(exercise, wrong):
    """The exercise with the other misconceptions, none of which may do the same; None for a choice, where each case counts."""
    from mlprod_helpers.lesson.kinds import Choice

    if any(isinstance(kind, Choice) for kind in exercise.kinds):
        return None
    others = [replace(each, when=None) for each in exercise.misconceptions if each is not wrong]
    return replace(exercise, misconceptions=others)


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
            elif verdict.misconception and not _is_exactly(exercise, verdict.misconception):
                row.faults.append(f"seed {seed}: {what} draws the note of {verdict.misconception}")
    row.garbage = count


def _is_exactly(exercise, name):
    """Whether a note is drawn by the same outputs alone: garbage such as an empty list may be the misconception itself."""
    return any(each.name == name and each.when is None for each in exercise.misconceptions)


def _audit_constants(row, exercise, solution, seed):
    from mlprod_tools import garbage
    from mlprod_tools.equivalence import without_notes

    exercise = without_notes(exercise)
    for what, answers in garbage.constants(exercise, solution):
        verdict = _check(exercise, answers, seed)
        if verdict.points > MOST_FOR_A_CONSTANT * exercise.points:
            row.faults.append(f"seed {seed}: {what} earns {verdict.points:g} of {exercise.points} points")


@functools.lru_cache(1)
def _solved(path):
    return solved(path)


def audit_one(path, exercise_id, counts, *, mutants=False, sample=None, skip_answers=False, notes=False):
    """The row of one exercise.

    Parameters
    ----------
    path : Path
        The lesson source.
    exercise_id : str
    counts : dict
        How many seeds for "right", "wrong" and "garbage" answers.
    mutants : bool
        Try mutants too; `sample` of them where it is given.
    skip_answers : bool
        Try nothing but mutants.
    notes : bool
        Find which mutants draw each note.
    """
    from mlprod_helpers.lesson import contract
    from mlprod_tools.mutants import try_exercise

    os.environ["MLPROD_PROGRESS"] = "memory"
    begin = time.process_time()
    exercise = contract.load(Path(path).stem[:2]).exercises[exercise_id]
    own = _solved(path).get(exercise_id)
    if skip_answers:
        row = Row(exercise.id, exercise.title, len(exercise.misconceptions), len(exercise.alternatives))
    else:
        with contextlib.redirect_stdout(io.StringIO()):  # some answers print
            row = audit_exercise(exercise, own.answers if own else None, counts)
    if mutants and own:
        row.mutants = try_exercise(
            exercise, own, seeds=counts["right"] if sample is None else 0, sample=sample, notes=notes
        )
        row.faults += row.mutants.faults
    row.seconds = time.process_time() - begin
    return row


def _exercises(path, only):
    """Ids of the exercises of a lesson; of those in `only` where it is not empty."""
    from mlprod_helpers.lesson import contract

    return [each for each in contract.load(path.stem[:2]).exercises if not only or each in only]


def _counts(args):
    if args.quick:
        return QUICK
    return {"right": args.seeds, "wrong": args.seeds, "garbage": min(args.seeds, MOST_GARBAGE_SEEDS)}


def _line(row):
    state = "ok" if not row.faults else f"{len(row.faults)} faults"
    report = row.mutants
    tried = f"{report.wrong:>6} {report.lived:>6}" if report else f"{'':>13}"
    return (
        f"  {row.id:<5} {row.title[:38]:<38} {row.misconceptions:>6} {row.alternatives:>6} {row.garbage:>8} "
        f"{1000 * row.slowest:>8.0f} {row.seconds:>6.0f} {tried}  {state}"
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
    chosen = {
        "mutants": args.mutants or args.only_mutants or args.quick,
        "sample": QUICK_MUTANTS if args.quick else args.sample,
        "skip_answers": args.only_mutants,
        "notes": args.notes,
    }
    print(
        f"  {'':<5} {'exercise':<38} {'wrong':>6} {'right':>6} {'garbage':>8} {'CPU ms':>8} {'all s':>6} {'mutants':>6} {'lived':>5}",
        flush=True,
    )
    rows = []
    # one task for an exercise's answers and one for its mutants, not one for a lesson: some take ten times as long as others
    tasks = [
        (path, counts, each, part)
        for path in paths
        for each in _exercises(path, only)
        for part in _parts(chosen)
    ]
    with ProcessPoolExecutor(os.cpu_count() or 1, mp_context=get_context("spawn")) as pool:
        # the last lessons first: a season on call takes longest, and no core shall wait for it at the end
        done = {}
        for task in reversed(tasks):
            done.setdefault(task[2], []).insert(0, pool.submit(_work, task))
        for path in paths:
            print(path.stem)
            found = []
            for each in _exercises(path, only):
                found.append(_together([part.result() for part in done[each]]))
                print(_line(found[-1]), flush=True)
            rows += found
            if chosen["sample"] is None:  # a few mutants make no share
                _too_many(path, found)
    faults = [(row.id, fault) for row in rows for fault in row.faults]
    if args.notes:
        _print_notes(rows)
    for exercise_id, fault in faults:
        print(f"{exercise_id}: {fault}")
    reports = [row.mutants for row in rows if row.mutants]
    tried = (
        f"{sum(each.wrong for each in reports)} mutants of which {sum(each.lived for each in reports)} pass, "
    )
    print(
        f"audit: {len(rows)} exercises, {sum(row.misconceptions for row in rows)} misconceptions, "
        f"{sum(row.garbage for row in rows)} garbage answers, {tried if reports else ''}"
        f"{counts['right']} seeds: {len(faults)} faults"
    )
    return 1 if faults or not rows else 0


def _parts(chosen):
    """The options of each task of an exercise: its answers, and its mutants."""
    answers = [] if chosen["skip_answers"] else [chosen | {"mutants": False}]
    return answers + ([chosen | {"skip_answers": True}] if chosen["mutants"] else [])


def _together(rows):
    """One row of an exercise's parts; the mutants come last."""
    first, *rest = rows
    for row in rest:
        first.mutants = row.mutants
        first.faults += row.faults
        first.seconds += row.seconds
    return first


def _too_many(path, rows):
    """A fault where more mutants of a lesson pass than a written reason can excuse."""
    reports = [row.mutants for row in rows if row.mutants]
    wrong, lived = sum(each.wrong for each in reports), sum(each.lived for each in reports)
    if len(reports) > 1 and lived > MOST_SURVIVORS * wrong:
        rows[-1].faults.append(f"{lived} of {wrong} mutants of lesson {path.stem[:2]} pass: more than 5 %")


def _print_notes(rows):
    """Each note, and the mutants that draw it."""
    for row in rows:
        for name, drawn_by in sorted(row.mutants.notes.items() if row.mutants else ()):
            print(f"{row.id}: the note of {name} is drawn by")
            print("\n".join(f"    {mutant}" for mutant in sorted(drawn_by)))


def _work(task):
    # one thread a worker: two cores are shared
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("MPLBACKEND", "agg")
    # the calls of a check are many small objects without cycles, and looking for those takes long
    gc.set_threshold(100_000, 50, 50)
    path, counts, exercise_id, chosen = task
    return audit_one(path, exercise_id, counts, **chosen)
