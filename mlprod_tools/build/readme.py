"""The figures of the README's table of lessons follow from the lessons: minutes, exercises, points and what comes before."""

import re

from mlprod_tools.build.notebook import write_text
from mlprod_tools.build.source import Problem

ROW = re.compile(r"^\| (\d\d) \|([^|]*)\|([^|]*)\|[^|]*\|[^|]*\|[^|]*\|$", re.MULTILINE)


def with_figures(text, pairs):
    """The README's text with the figures of each lesson.

    Parameters
    ----------
    text : str
    pairs : sequence of Pair or None
        What was made of each lesson; None of one with problems. Rows of other lessons stay as they are.
    """
    made = {pair.solution.metadata["mlprod"]["lesson"]: pair for pair in pairs if pair is not None}

    def row(match):
        if match[1] not in made:
            return match[0]
        about, contract = made[match[1]].solution.metadata["mlprod"], made[match[1]].contract
        figures = (
            f"{about['minutes']} / {about['express']}",
            f"{len(contract.exercises)} ({contract.points} points)",
            ", ".join(about["needs"]) or "none",
        )
        return f"| {match[1]} |{match[2]}|{match[3]}| {' | '.join(figures)} |"

    return ROW.sub(row, text)


def update(path, pairs, write):
    """Write the figures into the README at `path`, or with `write=False` only say that they differ. Returns the problems."""
    if not path.exists():
        return []
    old = path.read_text(encoding="utf-8")
    new = with_figures(old, pairs)
    if new == old:
        return []
    if write:
        write_text(path, new)
        return []
    line = next(
        i for i, (a, b) in enumerate(zip(old.splitlines(), new.splitlines(), strict=True), 1) if a != b
    )
    return [Problem(path.name, line, "has other figures than the lesson; run `mlprod build`")]
