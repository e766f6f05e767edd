"""Do grader and notebook agree? Each answer that the course knows is judged by both, on the same seeds.

    python -m mlprod_tools.grade.fairness --pairs 5000

tries the lesson's solutions, alternatives, misconceptions and mutants of the right answers. Outcome, points, misconception and
the text of the feedback must be the same; the text aside for answers that use Python's own `hash`, which no two processes share.
"""

import argparse
import ast
import contextlib
import functools
import inspect
import io
import linecache
import os
import random
import subprocess
import sys
import textwrap
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mlprod_helpers.lesson import contract, feedback
from mlprod_helpers.lesson.checking import check
from mlprod_helpers.lesson.kinds import Function
from mlprod_helpers.lesson.limit import Clock
from mlprod_tools import mutants
from mlprod_tools.grade import marking, scale, submissions
from mlprod_tools.grade.marks import Answer

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 20.0  # of all calls of a check: on a busy machine a limit of time alone makes a difference
SEEDS = 5


@dataclass(frozen=True)
class Case:
    """An answer to try: what it is ("solution", "alternative", "misconception", "mutant"), its name and its code."""

    kind: str
    name: str
    answer: Answer


def cases(lesson, exercise, solution, n_mutants):
    """The Cases of one exercise; of its mutants only some, always the same."""
    yield Case("solution", "solution", solution)
    options, visible = mutants._options(exercise), mutants._visible(exercise)
    trees = [("solution", ast.parse(solution.source), solution.needs)]
    for kind, makes in (
        ("alternative", exercise.alternatives),
        ("misconception", [each.make for each in exercise.misconceptions]),
    ):
        for make in makes:
            tree = ast.parse(textwrap.dedent(inspect.getsource(make)))
            tree.body[0].decorator_list = []
            needs = _module_of(make)
            answer = _as_answer(lesson, exercise, make.__name__, tree, needs)
            yield Case(kind, make.__name__, answer)
            if kind == "alternative":
                trees.append((make.__name__, tree, needs))
    made = []
    for name, tree, needs in trees:
        with contextlib.suppress(SyntaxError, ValueError):
            for mutant in mutants.mutants(tree, source=name, options=options, visible=visible):
                made.append((mutant, None if name == "solution" else name, needs))
    for mutant, name, needs in random.Random(exercise.id).sample(made, min(n_mutants, len(made))):
        yield Case("mutant", mutant.name, _as_answer(lesson, exercise, name, mutant.tree, needs))


def _as_answer(lesson, exercise, name, tree, needs):
    """The answer that a function of an exercise's file stands for; the code itself without a name."""
    lines = [ast.unparse(tree)]
    if name is not None and len(exercise.answers) == 1 and isinstance(exercise.kinds[0], Function):
        lines.append(f"{exercise.answers[0]} = {name}")
    elif name is not None and len(exercise.answers) == 1:
        lines.append(f"{exercise.answers[0]} = {name}()")
    elif name is not None:
        lines.append(f"globals().update({name}())")
    return Answer(lesson, exercise.id, None, "\n".join(lines), tuple(needs))


@functools.cache
def _module_of(make):
    """The file that a function stands in, and what it shares with others: there are no exercises in the sandbox."""
    file = Path(inspect.getsourcefile(make))
    shared = file.with_name("support.py")
    return tuple(path.read_text(encoding="utf-8") for path in (shared, file) if path.exists())


def judged_by_both(exercise, answer, seed, jobs):
    """((outcome, points, misconception, feedback) of the grader, those of the notebook)."""
    verdict, _ = marking.judge(exercise, answer, marking.rng_of(seed, exercise.id), jobs)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        namespace = _run(answer)
    here = check(exercise, namespace, marking.rng_of(seed, exercise.id))
    return _told(verdict), _told(here)


def agree(case, grader, notebook):
    """Whether the two are the same, as far as they can be."""
    if "hash(" in case.answer.source:
        return grader[:3] == notebook[:3]
    return grader == notebook


def _told(verdict):
    return (
        verdict.outcome.value,
        verdict.points,
        verdict.misconception,
        repr(feedback.of_verdict(verdict)),
        verdict.fault,
    )


def _run(answer):
    """The names that a notebook holds after its cells were run."""
    random.seed(7919 * marking.DICE + 1)
    np.random.seed(7919 * marking.DICE + 1)  # noqa: NPY002 (what the answers' own dice are in the grader)
    scope = {"__name__": "__main__", "display": print}
    for name, source in [
        *((f"<cell needed {i}>", need) for i, need in enumerate(answer.needs, 1)),
        ("<cell>", answer.source),
    ]:
        linecache.cache[name] = len(source), None, source.splitlines(True), name
        with contextlib.suppress(Exception):
            code = compile(source, name, "exec")
            Clock(30.0).run(functools.partial(exec, code, scope))
    return scope


def try_exercise(n_seeds, n_mutants, isolated, job):
    """(how many pairs of each kind, disagreements) of one exercise; `job` is (lesson, exercise's id)."""
    lesson, exercise_id = job
    exercise = replace(contract.load(lesson).exercises[exercise_id], seconds=SECONDS)
    counts, found = Counter(), []
    with contextlib.ExitStack() as stack:
        jobs = marking.Jobs(marking._workers(isolated), stack)
        for case in cases(lesson, exercise, _solution(lesson, exercise_id), n_mutants):
            for seed in range(n_seeds):
                grader, notebook = judged_by_both(exercise, case.answer, seed, jobs)
                counts[case.kind] += 1
                if not agree(case, grader, notebook):
                    found.append((exercise_id, case.kind, case.name, seed, grader, notebook))
                if "was stopped" in grader[3]:
                    break  # an endless mutant: once is enough
    return counts, found


@functools.cache
def _solutions(lesson):
    (path,) = (ROOT / "solutions").glob(f"{lesson}_*.ipynb")
    (handed,) = submissions.find(path)
    return {answer.exercise: answer for answer in submissions.read(handed).answers}


def _solution(lesson, exercise_id):
    return _solutions(lesson)[exercise_id]


def main(argv=None):
    """Exit status 1 if they disagree on anything."""
    parser = argparse.ArgumentParser(prog="fairness", description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=5000, help="at least so many (answer, seed) pairs")
    parser.add_argument("--lesson", nargs="+", default=contract.lesson_ids(), metavar="02")
    parser.add_argument("--jobs", type=int)
    options = parser.parse_args(argv)
    work = [(lesson, key) for lesson in options.lesson for key in contract.load(lesson).exercises]
    known = sum(
        1 + len(each.alternatives) + len(each.misconceptions)
        for lesson in options.lesson
        for each in contract.load(lesson).exercises.values()
    )
    n_mutants = max(1, -(-(options.pairs // SEEDS - known) // len(work)) + 2)
    counts, found = Counter(), []
    function = functools.partial(try_exercise, SEEDS, n_mutants, True)
    for (_, exercise_id), (tried, disagree) in scale.spread(function, work, jobs=options.jobs):
        counts += tried
        found += disagree
        print(f"{exercise_id}: {tried.total()} pairs, {len(disagree)} disagreements", flush=True)
        for _, kind, name, seed, grader, notebook in disagree:
            print(f"  {kind} {name}, seed {seed}\n    grader:   {grader}\n    notebook: {notebook}")
    told = ", ".join(f"{n} of {kind}s" for kind, n in sorted(counts.items()))
    print(f"{counts.total()} pairs ({told}): {len(found)} disagreements")
    return 1 if found else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # as in the worker: else answers that use `hash` differ
        again = [sys.executable, "-m", "mlprod_tools.grade.fairness", *sys.argv[1:]]
        sys.exit(subprocess.run(again, env=os.environ | {"PYTHONHASHSEED": "0"}).returncode)
    from mlprod_tools.grade import fairness  # by its name, so that other processes find it

    sys.exit(fairness.main())
