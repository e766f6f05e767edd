"""`mlprod build`: from lessons/NN_name.py to the two notebooks of each lesson.

- `solutions/NN_name.ipynb`: with the answers, executed from the first cell to the last, outputs stored;
- `notebooks/NN_name.ipynb`: what learners open: answers taken out (stub.py has the rule), no outputs.

A lesson is built only when nothing in it is wrong; every fault is named at once, by file and line. Only lessons whose code or checks
changed are executed again (digest.py): prose is built without a kernel, and what a change in the helpers does is found by nbval.

Built notebooks carry nbgrader's metadata. The answers are out already, so an instructor turns off the step that would take them
out: `nbgrader generate_assignment --ClearSolutions.enabled=False`.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from mlprod_tools.build.source import Problem

__all__ = ["Builder", "Problem", "add_options", "main"]


def add_options(parser):
    """Add the options of `mlprod build` to an argparse parser."""
    parser.add_argument(
        "--lesson", nargs="+", default=[], metavar="02", help="only these lessons (default: all)"
    )
    parser.add_argument(
        "--check", action="store_true", help="compare without executing or writing; status 1 if they differ"
    )
    parser.add_argument("--force", action="store_true", help="execute unchanged lessons too")
    parser.add_argument("--root", type=Path, default=None, help="the repository (default: where you are)")


def main(options):
    """Run `mlprod build`; `options` has `lesson`, `check`, `force`, `root`. Returns the exit status."""
    root = find_root(options.root)
    if why := no_checkout(root):
        print(f"build: {why}", file=sys.stderr)
        return 1
    builder = Builder(root, installed_contract)
    problems = (
        builder.check(options.lesson) if options.check else builder.build(options.lesson, force=options.force)
    )
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        print(f"build: {len(problems)} problem{'s' if len(problems) > 1 else ''}", file=sys.stderr)
    return 1 if problems else 0


def find_root(root=None):
    """The repository: what is asked for, the folder above with a `lessons/`, or where this package stands."""
    if root is not None:
        return Path(root).resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "lessons").is_dir():
            return folder
    return Path(__file__).resolve().parents[2]


def no_checkout(root):
    """A sentence if `root` is no checkout of the course, else ""."""
    if any((root / "lessons").glob("[0-9][0-9]_*.py")):
        return ""
    return f"there are no lessons in {root / 'lessons'}: run this in a checkout of the course's repository."


def installed_contract(lesson_id):
    """The contract of a lesson, and the digest of each exercise's check."""
    import inspect

    from mlprod_helpers.lesson import contract
    from mlprod_tools.build.digest import of_check

    loaded, checks = contract.load(lesson_id), {}
    for exercise in loaded.exercises.values():
        file = Path(inspect.getfile(exercise.check))
        support = file.with_name("support.py")
        checks[exercise.id] = of_check(
            exercise.check.__name__,
            file.read_text(encoding="utf-8"),
            support.read_text(encoding="utf-8") if support.exists() else "",
        )
    return loaded, checks


@dataclass
class Builder:
    """Builds the notebooks of a repository.

    Parameters
    ----------
    root : Path
        The folder with `lessons/`, `notebooks/` and `solutions/`.
    contract_of : callable, optional
        Lesson id -> (contract, digest of each exercise's check).
    """

    root: Path
    contract_of: object = installed_contract

    def build(self, lessons=(), force=False):
        """Build lessons (all, if none are named). Returns the problems; a lesson that has some is left as it was."""
        from mlprod_tools.build import readme

        paths, problems = self._paths(lessons)
        pairs = []
        for path in paths:
            pair, found = self.make(path)
            problems += found or self._build_one(path, pair, force)
            pairs.append(pair)
        if not lessons:
            problems += self._leftovers()
        return problems + readme.update(self.root / "README.md", pairs, write=not problems)

    def check(self, lessons=()):
        """Compare the stored notebooks with what the lessons would make. Returns the problems; writes nothing."""
        from mlprod_tools.build import readme
        from mlprod_tools.build.notebook import differences, read_notebook

        paths, problems = self._paths(lessons)
        pairs = []
        for path in paths:
            pair, found = self.make(path)
            problems += found
            pairs.append(pair)
            if pair is None:
                continue
            faults = 0
            for folder, expected in (("notebooks", pair.learner), ("solutions", pair.solution)):
                shown = f"{folder}/{path.stem}.ipynb"
                stored = read_notebook(self.root / shown)
                if stored is None:
                    there = (self.root / shown).exists()
                    found = [("", "cannot be read as a notebook" if there else "is missing")]
                else:
                    found = list(differences(expected, stored))
                faults += len(found)
                for cell, message in found:
                    where = f"cell {cell} " if cell else ""
                    problems.append(Problem(shown, 1, f"{where}{message}; run `mlprod build`"))
            if not faults:
                print(f"{path.stem}: both notebooks are as the lesson says")
        if not lessons:
            problems += self._leftovers()
        return problems + readme.update(self.root / "README.md", pairs, write=False)

    def make(self, path):
        """Both notebooks of a lesson, not executed, or None; and the problems."""
        from mlprod_tools.build import figures, minutes, pairs, source, stub
        from mlprod_tools.build.notebook import make_pair

        lesson = source.read(path, self.root)
        if not lesson.cells and not lesson.problems:
            lesson.report(1, "the lesson has no cells")
        contract, checks = None, {}
        if isinstance(lesson.header.get("lesson"), str):
            try:
                contract, checks = self.contract_of(lesson.header["lesson"])
            except Exception as error:  # whatever goes wrong while somebody's module is imported
                lesson.report(1, f"the contract cannot be loaded: {type(error).__name__}: {error}")
        if not lesson.parses:
            return None, sorted(set(lesson.problems))
        regions = {cell.id: stub.find_regions(lesson, cell) for cell in lesson.code_cells}
        if contract is not None:
            pairs.check_pairs(lesson, contract)
            for cell in lesson.code_cells:
                pairs.check_answers(lesson, cell, regions[cell.id], contract)
            pairs.check_needs(lesson, regions, contract)
        takes = minutes.of_lesson(lesson, contract) if contract is not None and not lesson.problems else None
        for cell in lesson.cells:
            found = (
                figures.missing_alt(cell.tree)
                if cell.kind == "code"
                else figures.markdown_faults(cell.source)
            )
            for line, message in found:
                lesson.report(cell.first + line - 1, message, cell)
        if lesson.problems or contract is None:
            return None, sorted(set(lesson.problems))
        return make_pair(lesson, regions, contract, checks, takes), []

    def _build_one(self, path, pair, force):
        from mlprod_tools.build.notebook import read_notebook, reuse_outputs, to_text, write_text

        target = self.root / "solutions" / f"{path.stem}.ipynb"
        run = force or not reuse_outputs(pair.solution, read_notebook(target))
        if run:
            problems = self._execute(path, pair)
            if problems:
                return problems
        changed = write_text(target, to_text(pair.solution))
        changed |= write_text(self.root / "notebooks" / target.name, to_text(pair.learner))
        code = sum(cell.cell_type == "code" for cell in pair.solution.cells)
        done = f"{code} cells executed" if run else "not executed, its code has not changed"
        print(f"{path.stem}: {done}, {'written' if changed else 'the same as before'}")
        return []

    def _execute(self, path, pair):
        from mlprod_tools.build.execute import CellFailed, Progress, execute
        from mlprod_tools.build.figures import output_faults
        from mlprod_tools.build.notebook import tidy_outputs

        shown = f"lessons/{path.name}"
        total = sum(cell.cell_type == "code" for cell in pair.solution.cells)
        try:
            execute(pair.solution, self.root / "solutions", Progress(path.stem, total, sys.stdout))
        except CellFailed as error:
            line = pair.lines[error.cell_id][min(error.line, len(pair.lines[error.cell_id])) - 1]
            return [Problem(shown, line, error.message, error.cell_id)]
        problems = [
            Problem(shown, pair.lines[cell.id][0], f"this cell {message}", cell.id)
            for cell in pair.solution.cells
            if cell.cell_type == "code"
            for message in output_faults(cell.outputs)
        ]
        tidy_outputs(pair.solution)
        return problems

    def _paths(self, lessons):
        every = sorted(path for path in (self.root / "lessons").glob("*.py") if not path.name.startswith("_"))
        if not lessons:
            return every, []
        paths, problems = [], []
        for name in lessons:
            wanted = Path(name).stem
            found = [path for path in every if path.stem == wanted or path.stem.split("_")[0] == wanted]
            paths += found
            if not found:
                known = ", ".join(path.stem.split("_")[0] for path in every)
                problems.append(
                    Problem("lessons", 1, f"there is no lesson {name!r}; there are {known or 'none'}")
                )
        return list(dict.fromkeys(paths)), problems

    def _leftovers(self):
        """Notebooks that no lesson makes."""
        known = {path.stem for path in (self.root / "lessons").glob("*.py")}
        return [
            Problem(
                f"{folder}/{path.name}",
                1,
                f"there is no lessons/{path.stem}.py: remove this notebook or write its lesson",
            )
            for folder in ("notebooks", "solutions")
            for path in sorted((self.root / folder).glob("*.ipynb"))
            if path.stem not in known
        ]
