"""How long a lesson takes: reading by its words and lines, exercises by their contract; nobody writes these numbers by hand.

The header says what the express path is, and the Markdown of a lesson has placeholders that the builder fills in:

- `{{reading}}`, `{{exercises}}` and their sum `{{minutes}}`, in whole minutes;
- `{{express}}`, a sentence with the minutes, sections and exercises of the express path.

A section of the express path is read as a whole; of its exercises, only those that the header names are done. The opening, which
is everything before the first `##`, belongs to it always.
"""

import re
from dataclasses import dataclass, field

from mlprod_tools import prose

WORDS_A_MINUTE, LINES_A_MINUTE = 200, 12
MOST_EXPRESS = 45
_PLACEHOLDER = re.compile(r"\{\{([a-z_]+)\}\}")


@dataclass
class Section:
    """A `##` section of a lesson: what there is to read in it, and its exercises. The opening has no title."""

    title: str
    words: int = 0
    code: int = 0
    exercises: list = field(default_factory=list)

    @property
    def reading(self):
        return reading_minutes(self.words, self.code)


@dataclass
class Minutes:
    """The minutes of a lesson, whole ones; `sentence` describes its express path."""

    reading: int
    exercises: int
    express: int
    sentence: str

    @property
    def full(self):
        return self.reading + self.exercises


def reading_minutes(words, code):
    """Minutes for reading `words` words and `code` lines of code."""
    return words / WORDS_A_MINUTE + code / LINES_A_MINUTE


def sections(source):
    """The sections of a lesson in order, the opening first."""
    found = [Section("")]
    for cell in prose.texts(source):
        for block in cell.blocks:
            if block.kind == "heading":
                if block.level == 2:
                    found.append(Section(block.raw.strip()))
                if headline := prose.EXERCISE.match(block.raw):
                    found[-1].exercises.append(headline[1])
            if not block.folded:
                found[-1].words += block.words
        found[-1].code += cell.code
    return found


def of_lesson(source, contract):
    """The minutes of a lesson; what is wrong with its express path or its placeholders is reported.

    Parameters
    ----------
    source : Source
    contract : Contract

    Returns
    -------
    Minutes
    """
    parts = sections(source)
    reading = round(reading_minutes(sum(part.words for part in parts), sum(part.code for part in parts)))
    exercises = sum(each.minutes for each in contract.exercises.values())
    made = Minutes(reading, exercises, reading + exercises, "There is no shorter path through this lesson.")
    express = source.header.get("express")
    if isinstance(express, dict) and not source.problems:
        _add_express(made, source, contract, parts, express)
    if made.express > MOST_EXPRESS:
        message = f"the express path takes {made.express} minutes, more than {MOST_EXPRESS}"
        source.report(source.line_of("express"), message)
    for cell in source.cells:
        for number, line in enumerate(cell.lines if cell.kind == "markdown" else (), cell.first):
            for match in _PLACEHOLDER.finditer(line):
                if match[1] not in _values(made):
                    source.report(
                        number,
                        f"there is no placeholder {match[0]}; known are {', '.join(_values(made))}",
                        cell,
                    )
    return made


def fill(text, minutes):
    """The text of a Markdown cell with the figures in place of its placeholders."""
    return _PLACEHOLDER.sub(lambda match: str(_values(minutes)[match[1]]), text)


def _values(minutes):
    return {
        "minutes": minutes.full,
        "reading": minutes.reading,
        "exercises": minutes.exercises,
        "express": minutes.sentence,
    }


def _add_express(made, source, contract, parts, express):
    """Enter the express path of the header."""
    by_title = {part.title: part for part in parts[1:]}
    chosen, wanted = [parts[0]], express["exercises"]
    for title in express["sections"]:
        if title in by_title:
            chosen.append(by_title[title])
        else:
            source.report(source.line_of("sections", title), f"the lesson has no section `## {title}`")
    for id in wanted:
        where = next((part for part in parts if id in part.exercises), None)
        if id not in contract.exercises or where is None:
            source.report(source.line_of("exercises", id), f"the lesson has no exercise {id}")
        elif where not in chosen:
            message = f"exercise {id} stands in the section {where.title!r}, which is not on the express path"
            source.report(source.line_of("exercises", id), message)
    reading = sum(part.reading for part in chosen)
    work = sum(contract.exercises[id].minutes for id in wanted if id in contract.exercises)
    made.express = round(reading + work)
    named = [_named(part, [id for id in part.exercises if id in wanted]) for part in chosen]
    made.sentence = f"**Express path, {made.express} minutes:** {_listed([name for name in named if name])}."


def _named(part, exercises):
    """A section as the sentence names it; the opening is named only for its exercises."""
    if not (part.title or exercises):
        return ""
    title = f"*{part.title}*" if part.title else "the opening"
    if not exercises:
        return title
    return f"{title} (exercise{'s' if len(exercises) > 1 else ''} {_listed(exercises)})"


def _listed(names):
    """
    >>> _listed(["a", "b", "c"]), _listed(["a"])
    ('a, b and c', 'a')
    """
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
