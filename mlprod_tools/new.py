"""`mlprod new exercise 6.9 "Title"`: the two skeletons of an exercise, its contract and its place in the lesson."""

import ast
import re
import sys
from pathlib import Path

from mlprod_tools.build import find_root, no_checkout

CONTRACT = '''\
"""Exercise {id}, {title}{stop}"""

import numpy as np

from mlprod_helpers.lesson.contract import Function, Number, exercise


@exercise(
    "{id}",
    "{title}",
    answers=("{name}",),
    points=1,
    minutes=3,
    kind=Function("values", returns=Number()),
    hints=("The first nudge.",),
)
def {name}(answer, rng, expect):
    """`{name}(values)`: what it returns."""
    for n in rng.integers(5, 50, size=3):
        values = rng.normal(size=n)
        expect.close(answer(values), values.mean(), f"{{n}} drawn values")


@{name}.inputs
def _statement(rng):
    yield (np.array([1.0, 2.0, 6.0]),)  # first the example that the notebook shows
    yield (np.array([4.0]),)
    yield (rng.normal(size=100),)


@{name}.misconception("the values were added up: divide by how many there are.")
def total(values):
    return np.sum(values)


@{name}.misconception("half of the values are above the median, but it is not the mean.")
def middle(values):
    return np.median(values)


@{name}.misconception("the last value is only one of them.")
def last(values):
    return values[-1]


@{name}.alternative
def with_a_loop(values):
    return sum(float(each) for each in values) / len(values)


@{name}.alternative
def with_numpy(values):
    return np.average(values)
'''

PLACE = '''
# %% [markdown]
# ### Exercise {id} · {title}
# *1 point · 3 minutes*
#
# Write `{name}(values)`: the mean of `values`.


# %% exercise="{id}"
def {name}(values):
    """The mean of `values`."""
    ### BEGIN SOLUTION
    return values.mean()
    ### END SOLUTION


# %% check="{id}"
lesson.check("{id}")
'''


def add_options(parser):
    """Add the options of `mlprod new` to an argparse parser."""
    what = parser.add_subparsers(dest="what", required=True, metavar="exercise")
    exercise = what.add_parser("exercise", help="both skeletons of a new exercise")
    exercise.add_argument("id", metavar="6.9", help="lesson and number")
    exercise.add_argument("title", help="as the headline has it")
    exercise.add_argument("--name", help="what the learner defines (default: from the title)")
    exercise.add_argument(
        "--root", type=Path, help="the repository (default: the one around the current folder)"
    )


def main(options):
    """Write the skeletons, or nothing. Returns the exit status."""
    from mlprod_tools.build.notebook import write_text  # nbformat: not for the other commands

    root = find_root(options.root)
    try:
        if why := no_checkout(root):
            raise ValueError(why)
        files = skeletons(root, options.id, options.title, options.name)
    except ValueError as error:
        print(f"new: {error}", file=sys.stderr)
        return 1
    for path, text in files.items():
        write_text(path, text)
        print(f"written: {path.relative_to(root).as_posix()}")
    print(
        f"Now make it yours, then: mlprod audit --exercise {options.id} --seeds 20 --mutants; make notebooks"
    )
    return 0


def skeletons(root, id, title, name=None):
    """The files that a new exercise adds or changes.

    Parameters
    ----------
    root : Path
    id, title : str
        Such as "6.9" and "Judge the judge".
    name : str, optional
        What the learner defines; made from the title if not given.

    Returns
    -------
    dict
        Path -> its new text.

    Raises
    ------
    ValueError
        If the id or the name is taken or not valid, or there is no such lesson.
    """
    match = re.fullmatch(r"(\d{1,2})\.([1-9]\d?)", id)
    if not match:
        raise ValueError(f"{id!r} is no id of an exercise; write lesson and number, such as 6.9")
    number = f"{int(match[1]):02d}"
    if not re.search(r"\w", title) or any(character in title for character in '"\\\n'):
        raise ValueError("the title needs a word, and no quotation mark, backslash or line break")
    name = name or "_".join(re.findall(r"[a-z0-9]+", title.lower()))
    if not name.isidentifier():
        raise ValueError(f"{name!r} is no name in Python; give one with --name")
    lesson = next((root / "lessons").glob(f"{number}_*.py"), None)
    folder = root / "mlprod_helpers" / "exercises" / f"lesson_{number}"
    if lesson is None or not (folder / "__init__.py").exists():
        raise ValueError(f"there is no lesson {number} in {root / 'lessons'}")
    for path in sorted(folder.glob("e*.py")):
        taken, _, theirs = path.stem.removeprefix("e").partition("_")
        if taken == match[2] or theirs == name:
            raise ValueError(
                f"{path.name} is already there; take another {'number' if taken == match[2] else 'name'}"
            )
    module = f"e{match[2]}_{name}"
    words = {
        "id": f"{int(number)}.{match[2]}",
        "title": title,
        "name": name,
        "stop": "" if title[-1] in ".?!" else ".",
    }
    return {
        folder / f"{module}.py": CONTRACT.format(**words),
        folder / "__init__.py": _registered(
            (folder / "__init__.py").read_text(encoding="utf-8"), number, module, name
        ),
        lesson: _with_place(lesson.read_text(encoding="utf-8"), PLACE.format(**words)),
    }


def _registered(text, number, module, name):
    """The lesson's `__init__.py` with one more import and one more name in `EXERCISES`."""
    tree = ast.parse(text)
    line = max(node.end_lineno for node in tree.body if isinstance(node, ast.ImportFrom))
    lines = text.splitlines()
    lines.insert(line, f"from mlprod_helpers.exercises.lesson_{number}.{module} import {name}")
    text = "\n".join(lines) + "\n"
    return re.sub(r"(EXERCISES = \([^)]*?),?\s*\)", rf"\1,\n    {name},\n)", text)


def _with_place(text, place):
    """The lesson with the new cells behind its last check."""
    checks = list(re.finditer(r'^# %% check="[^"]*"\n(?:(?!# %%).*\n)*', text, re.MULTILINE))
    end = checks[-1].end() if checks else len(text)
    return text[:end].rstrip("\n") + "\n" + place + "\n" + text[end:].lstrip("\n")
