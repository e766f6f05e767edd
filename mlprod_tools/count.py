"""`mlprod count`: how long each lesson is, and where it breaks a house rule (prose.py says what is counted).

The rules are functions `(Lesson) -> (line, message)s` in `RULES`; `mlprod count --faults` lists what they find, and the
tests hold each lesson to each of them.
"""

import ast
import inspect
import itertools
import json
import re
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mlprod_tools import glossary, prose
from mlprod_tools.build import source as sources
from mlprod_tools.build.minutes import of_lesson as minutes_of
from mlprod_tools.build.source import Problem

MOST_WORDS, MOST_FOLDED_WORDS, MOST_CODE = 2700, 600, 200
MOST_IN_SENTENCE, MEAN_BELOW, MOST_IN_PARAGRAPH = 32, 18, 90
MOST_IN_CELL, MOST_HELPERS = 15, 15
LEAST_AT_WORK, MOST_AT_WORK = 10, 25
STATEMENT_WORDS, STATEMENT_SENTENCES = 70, 3
LEAST_MINUTES, MOST_MINUTES = 75, 95

OBJECTIVES, LINK = "What you will do", "[glossary](../docs/glossary.md)"
TRY = "*Change this and run again:*"
RECAP_QUESTIONS = 3
ENDS = ("At work", "Recap", "Where you are")
BOLD = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*", re.DOTALL)
ACRONYM = re.compile(r"(?<![\w.-])[A-Z][A-Z0-9]*[A-Z][A-Z0-9]*s?\b(?![.-]?\w)")
NO_ACRONYMS = {  # airports and carriers, units, currencies, and words that everybody knows
    *("EWR", "JFK", "LGA", "BOS", "MIA", "XNA", "CLT", "ORD", "SFO", "LAX", "ATL", "MVY", "HNL", "UA", "DL"),
    *("MB", "GB", "KB", "EUR", "USD", "UTC", "US", "USA", "UK", "NYC", "OK"),
}


@dataclass
class Section:
    """A part of a lesson: its blocks and its code cells."""

    title: str
    line: int
    blocks: list = field(default_factory=list)
    code: list = field(default_factory=list)  # CellText of each

    def says(self, text):
        """Whether this stands somewhere in its text."""
        return any(text in block.raw for block in self.blocks)


@dataclass
class Lesson:
    """A lesson as the rules see it."""

    source: sources.Source
    contract: object
    glossary: dict = field(default_factory=dict)  # term -> Entry, see glossary.py

    @cached_property
    def cells(self):
        return prose.texts(self.source)

    @cached_property
    def blocks(self):
        return [block for cell in self.cells for block in cell.blocks]

    @cached_property
    def visible(self):
        return [block for block in self.blocks if not block.folded]

    @cached_property
    def running(self):
        """Paragraphs and items in which a reader meets terms: not the objectives, which only announce them, nor the sources."""
        return [
            block
            for section in self.sections
            for block in section.blocks
            if block.kind in ("paragraph", "item")
            and section.title != OBJECTIVES
            and not block.raw.startswith("**Sources")
        ]

    @cached_property
    def sections(self):
        """The opening, then each `##` section."""
        found = [Section("", 1)]
        for cell in self.cells:
            for block in cell.blocks:
                if block.kind == "heading" and block.level == 2:
                    found.append(Section(block.raw.strip(), block.line))
                found[-1].blocks.append(block)
            if cell.cell.kind == "code":
                found[-1].code.append(cell)
        return found

    def section(self, title):
        """The section with this title, an empty one if there is none."""
        return next((section for section in self.sections if section.title == title), Section(title, 1))

    @cached_property
    def files(self):
        """The files of the lesson's exercises."""
        files = [Path(inspect.getfile(each.check)) for each in self.contract.exercises.values()]
        support = [file.with_name("support.py") for file in files[:1]]
        return files + [file for file in support if file.exists()]

    @property
    def id(self):
        return self.source.path.stem[:2]

    @cached_property
    def figures(self):
        """What `mlprod count` prints, as a dict."""
        sentences = [each for block in self.visible if block.kind == "paragraph" for each in block.sentences]
        everywhere = [words for block in self.blocks for _, _, words in block.sentences]
        text = [block.words for block in self.blocks if block.kind in ("paragraph", "item")]
        lecture = [cell.code for cell in self.cells if cell.cell.kind == "code"]
        words = sum(block.words for block in self.visible)
        code = sum(cell.code for cell in self.cells)
        takes = minutes_of(self.source, self.contract)
        return {
            "words": words,
            "folded words": sum(block.words for block in self.blocks if block.folded),
            "sentences": len(sentences),
            "longest sentence": max(everywhere, default=0),
            "mean sentence": round(sum(words for *_, words in sentences) / max(1, len(sentences)), 1),
            "longest paragraph": max(text, default=0),
            "code lines": code,
            "folded code lines": sum(cell.folded_code for cell in self.cells),
            "longest cell": max(lecture, default=0),
            "helper names": len(prose.helper_names(self.source)),
            "reading minutes": takes.reading,
            "exercise minutes": takes.exercises,
            "full minutes": takes.full,
            "express minutes": takes.express,
        }


# ------------------------------------------------------------------------------------------------------------ the rules


def long_sentences(lesson):
    """A sentence has at most 32 words."""
    for block in lesson.blocks:
        for line, text, words in block.sentences:
            if words > MOST_IN_SENTENCE:
                yield line, f"a sentence of {words} words: {_begin(text)}"


def mean_sentence(lesson):
    """The sentences of the visible paragraphs have fewer than 18 words on average."""
    mean = lesson.figures["mean sentence"]
    if mean >= MEAN_BELOW:
        yield 1, f"its sentences have {mean} words on average, not below {MEAN_BELOW}"


def long_paragraphs(lesson):
    """A paragraph or a list item has at most 90 words."""
    for block in lesson.blocks:
        if block.kind in ("paragraph", "item") and block.words > MOST_IN_PARAGRAPH:
            yield block.line, f"a paragraph of {block.words} words"


def length(lesson):
    """A lesson has at most 2,700 words, 600 more that are folded, and 200 visible lines of code."""
    limits = {"words": MOST_WORDS, "folded words": MOST_FOLDED_WORDS, "code lines": MOST_CODE}
    for name, most in limits.items():
        if lesson.figures[name] > most:
            yield 1, f"{lesson.figures[name]} {name}, more than {most}"


def long_cells(lesson):
    """A cell of the lecture has at most 15 visible lines, the one with public tools 25."""
    for section in lesson.sections:
        for cell in section.code:
            if cell.code > (MOST_AT_WORK if section.title == "At work" else MOST_IN_CELL):
                yield cell.cell.first, f"a cell of {cell.code} lines"


def helper_names(lesson):
    """A lesson imports at most 15 names from the course's package."""
    found = prose.helper_names(lesson.source)
    if len(found) > MOST_HELPERS:
        yield 1, f"{len(found)} helper names: {', '.join(sorted(found))}"


def skipped_levels(lesson):
    """No level of the headings is skipped."""
    last = 0
    for block in lesson.blocks:
        if block.kind == "heading":
            if block.level > last + 1:
                yield block.line, f"a heading of level {block.level} after one of level {last}"
            last = block.level


def spaced_percent(lesson):
    """A percentage is written 75%, in the text, in what the code shows and in the exercises."""
    for block in lesson.blocks:
        for match in re.finditer(r"(?:\d|Xmath|Xcode|Xnumber) %", block.marked):
            line = block.line + block.marked[: match.start()].count("\n")
            yield line, f"write 75%, not 75 %: {_around(block.marked, match)}"
    for cell in lesson.source.code_cells:
        for line in _spaced_strings(cell.tree) if cell.tree else ():
            yield cell.first + line - 1, "write 75%, not 75 %, in this text"
    for file in lesson.files:
        for line in _spaced_strings(ast.parse(file.read_text(encoding="utf-8"))):
            yield 1, f"write 75%, not 75 %, in exercises/{file.parent.name}/{file.name}:{line}"


def _spaced_strings(tree):
    """The lines of the texts in code that show a percentage with a space."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = zip(node.values, node.values[1:], strict=False)
            if any(isinstance(a, ast.FormattedValue) and _begins_with_percent(b) for a, b in parts):
                yield node.lineno
        elif isinstance(node, ast.Constant) and re.search(r"\d %(?![\w(.-])", str(node.value)):
            yield node.lineno


def feedback_texts(lesson):
    """In hints and in the feedback on misconceptions, too, a sentence has at most 32 words."""
    for exercise in lesson.contract.exercises.values():
        texts = [*exercise.hints, *(each.text for each in exercise.misconceptions)]
        for text in texts:
            for sentence in prose.split_sentences(prose.one_word_each(text)):
                if (words := prose.count_words(sentence)) > MOST_IN_SENTENCE:
                    yield 1, f"exercise {exercise.id} says a sentence of {words} words: {_begin(sentence)}"


def statements(lesson):
    """What an exercise asks for is a list as soon as it is more than three sentences or 70 words."""
    for exercise, blocks in exercise_texts(lesson).items():
        if any(block.kind == "item" for block in blocks):
            continue
        for block in blocks:
            sentences = len(block.sentences)
            if block.words > STATEMENT_WORDS or sentences > STATEMENT_SENTENCES:
                yield (
                    block.line,
                    f"the statement of {exercise} has {sentences} sentences and {block.words} words in one paragraph, and no list",
                )


def examples(lesson):
    """A function that is asked for with a list of conditions has an example of input and output."""
    from mlprod_helpers.lesson.contract import Function

    stubs = {}
    for cell in lesson.source.code_cells:
        hidden = prose.hidden_lines(cell)
        shown = [line for i, line in enumerate(cell.lines, 1) if i not in hidden]
        stubs[cell.exercise] = stubs.get(cell.exercise, "") + "\n".join(shown)
    for id, blocks in exercise_texts(lesson).items():
        known = lesson.contract.exercises.get(id)
        if known is None or not any(isinstance(kind, Function) for kind in known.kinds):
            continue
        text = " ".join(block.raw for block in blocks) + stubs.get(id, "")
        if any(block.kind == "item" for block in blocks) and not re.search(r"(?i)example|>>>", text):
            yield blocks[0].line, f"the statement of {id} has no example of input and output"


def objectives(lesson):
    """The objectives give the minutes and the express path, and link the glossary."""
    section = lesson.section(OBJECTIVES)
    for text in (LINK, "{{minutes}}", "{{express}}"):
        if not section.says(text) and not (
            text == "{{express}}" and lesson.source.header.get("express") == "all"
        ):
            yield section.line, f"the section `## {OBJECTIVES}` does not have {text}"


def experiments(lesson):
    """Each section with code invites the reader to change a value and run it again."""
    for section in lesson.sections[1:]:
        if section.title in (OBJECTIVES, *ENDS) or not any(cell.code for cell in section.code):
            continue
        if not section.says(TRY):
            yield section.line, f"the section {section.title!r} has no line {TRY}"


def ends(lesson):
    """A lesson ends with work by public tools, three questions and the learner's progress."""
    titles = [section.title for section in lesson.sections]
    if [title for title in titles if title in ENDS] != list(ENDS) or titles[-1] != ENDS[-1]:
        yield lesson.sections[-1].line, f"the last sections are not {', '.join(ENDS)}"
        return
    work, recap, last = (lesson.section(title) for title in ENDS)
    lines = sum(cell.code for cell in work.code)
    if len(work.code) != 1 or not LEAST_AT_WORK <= lines <= MOST_AT_WORK:
        yield (
            work.line,
            f"`At work` has one cell of {LEAST_AT_WORK} to {MOST_AT_WORK} lines, not {len(work.code)} of {lines}",
        )
    for cell in work.code:
        for node in ast.walk(cell.cell.tree):
            module = getattr(node, "module", None) or "" if isinstance(node, ast.ImportFrom) else ""
            if module.startswith("mlprod_helpers") and module != "mlprod_helpers.datasets":
                yield (
                    cell.cell.first + node.lineno - 1,
                    f"`At work` uses public tools and the data, not {module}",
                )
    questions = sum(block.kind == "label" for block in recap.blocks)  # the summary of each <details>
    if questions != RECAP_QUESTIONS:
        yield recap.line, f"`Recap` has {RECAP_QUESTIONS} questions with folded answers, not {questions}"
    if not last.code or last.code[-1].cell.source.strip() != "lesson.progress()":
        yield last.line, "the last cell is lesson.progress()"


def labels(lesson):
    """An exercise is announced by its headline, points and minutes; what may be left out is called `Stretch: ...`."""
    for cell in lesson.cells:
        for block, after in itertools.zip_longest(cell.blocks, cell.blocks[1:]):
            if block.kind == "label" and re.search(r"(?i)\b(core|stretch)\b", block.raw):
                yield block.line, "a label gives points and minutes only: *4 points · 12 minutes*"
            if block.kind != "heading":
                continue
            if re.search(r"(?i)\bstretch\b", block.raw) and not block.raw.startswith("Stretch: "):
                yield block.line, "a stretch section is called `## Stretch: ...`"
            if not block.raw.startswith("Exercise "):
                continue
            if block.level != 3 or not prose.EXERCISE.match(block.raw):
                yield block.line, "an exercise is announced as `### Exercise 5.2 · Title`"
            if not (after and re.fullmatch(r"\*\d+ points? · \d+ minutes?\*", after.raw.strip())):
                yield block.line, "below the headline stands a line such as *4 points · 12 minutes*"


def unbold_terms(lesson):
    """A term of the glossary is bold where a lesson uses it first."""
    running = [block for block in lesson.running if not block.folded]
    for term, entry in lesson.glossary.items():
        if entry.everyday and lesson.id not in entry.lessons:
            continue
        pattern = entry.pattern
        for block in running:
            match = pattern.search(_without_emphasis(block.marked))
            if match is None:
                continue
            if not _is_bold(block.marked, pattern):
                yield block.line, f"“{term}” is used first here, and is not bold and explained"
            break


def unknown_terms(lesson):
    """A bold term of the running text is in the glossary."""
    for block in lesson.running:
        if block.quoted:
            continue
        for match in BOLD.finditer(block.marked):
            term = " ".join(match[1].replace("*", "").split())
            if re.search(r"[.:?!]$", term) or len(term) == 1 or not re.search(r"[A-Za-z]", term):
                continue
            if block.marked[match.end() :][:1] in (":",) or "Xcode" in term or "Xnumber" in term:
                continue
            if not any(entry.pattern.fullmatch(term) for entry in lesson.glossary.values()):
                line = block.line + block.marked[: match.start()].count("\n")
                yield line, f"the bold “{term}” is not in the glossary"


def unknown_acronyms(lesson):
    """An acronym is in the glossary."""
    seen = set()
    for block in lesson.running:
        for match in ACRONYM.finditer(block.plain):
            word = match[0].removesuffix("s")
            if word in NO_ACRONYMS or word in seen or word.startswith("X"):
                continue
            seen.add(word)
            if not any(entry.pattern.search(word) for entry in lesson.glossary.values()):
                line = block.line + block.plain[: match.start()].count("\n")
                yield line, f"{word} is not in the glossary"


def minutes(lesson):
    """The full path takes 75 to 95 minutes; lesson 00 is shorter."""
    full = lesson.figures["full minutes"]
    if lesson.id != "00" and not LEAST_MINUTES <= full <= MOST_MINUTES:
        yield 1, f"the full path takes {full} minutes, not {LEAST_MINUTES} to {MOST_MINUTES}"


RULES = (
    long_sentences,
    mean_sentence,
    long_paragraphs,
    length,
    long_cells,
    helper_names,
    skipped_levels,
    spaced_percent,
    feedback_texts,
    statements,
    examples,
    objectives,
    experiments,
    ends,
    labels,
    unbold_terms,
    unknown_terms,
    unknown_acronyms,
    minutes,
)


def exercise_texts(lesson):
    """Exercise id -> the visible paragraphs and items from its headline to its answer cell."""
    found, current = {}, None
    for cell in lesson.cells:
        if cell.cell.exercise:
            current = None
        for block in cell.blocks:
            if block.kind == "heading":
                match = prose.EXERCISE.match(block.raw)
                current = match[1] if match else None
                if match:
                    found[current] = []
            elif current and not block.folded and block.kind in ("paragraph", "item"):
                found[current].append(block)
    return found


def faults(lesson, rules=RULES):
    """The house rules that a lesson breaks.

    Returns
    -------
    list of Problem
    """
    shown = lesson.source.shown
    return sorted({Problem(shown, line, message) for rule in rules for line, message in rule(lesson)})


def _begin(text):
    words = text.split()
    return " ".join(words[:8]) + (" …" if len(words) > 8 else "")


def _around(text, match):
    return " ".join(text[max(0, match.start() - 15) : match.end() + 15].split())


def _begins_with_percent(node):
    return isinstance(node, ast.Constant) and re.match(r" %(?!\w)", str(node.value)) is not None


def _without_emphasis(text):
    return text.replace("*", "")


def _is_bold(marked, pattern):
    """Whether the first use of a term in a block is bold, or stands in brackets right after a bold term."""
    first = pattern.search(_without_emphasis(marked)).start()
    spans = []
    for match in BOLD.finditer(marked):
        bracket = re.match(r"\s*\([^)]*\)", marked[match.end() :])
        end = match.end() + (bracket.end() if bracket else 0)
        spans.append(tuple(len(_without_emphasis(marked[:at])) for at in (match.start(), end)))
    return any(begin <= first < end for begin, end in spans)


# ------------------------------------------------------------------------------------------------------- command line


def add_options(parser):
    """Add the options of `mlprod count` to an argparse parser."""
    parser.add_argument("--lesson", nargs="+", default=[], metavar="02", help="only these lessons")
    parser.add_argument("--faults", action="store_true", help="list where a lesson breaks a house rule")
    parser.add_argument("--sentences", action="store_true", help="list the sentences, the longest first")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument("--root", type=Path, default=None, help="the repository (default: where you are)")


def read_lessons(root, wanted=()):
    """The lessons of a repository, all if none are named."""
    from mlprod_helpers.lesson import contract

    terms = glossary.read(root) if (root / glossary.FILE).exists() else {}
    paths = sorted((root / "lessons").glob("[0-9][0-9]_*.py"))
    found = []
    for path in paths:
        if wanted and path.stem[:2] not in wanted and path.stem not in wanted:
            continue
        found.append(Lesson(sources.read(path, root), contract.load(path.stem[:2]), terms))
    return found


def main(options):
    """Run `mlprod count`. Returns the exit status: 1 with `--faults` where there are some."""
    from mlprod_tools.build import find_root, no_checkout

    root = find_root(options.root)
    lessons = [] if no_checkout(root) else read_lessons(root, options.lesson)
    if not lessons:
        asked = f"there is no lesson {' or '.join(options.lesson)}"
        print(f"count: {no_checkout(root) or asked}", file=sys.stderr)
        return 1
    figures = {lesson.id: lesson.figures for lesson in lessons}
    if options.json:
        print(json.dumps(figures, indent=1))
    else:
        print(_table(figures))
    if options.sentences:
        for lesson in lessons:
            every = [each for block in lesson.blocks for each in block.sentences]
            for line, text, words in sorted(every, key=lambda each: -each[2]):
                print(f"{lesson.source.shown}:{line}: {words} words: {text}")
    found = [problem for lesson in lessons for problem in faults(lesson)] if options.faults else []
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


def _table(figures):
    """One row a figure, one column a lesson."""
    names = list(next(iter(figures.values()), {}))
    lines = [" " * 18 + "".join(f"{id:>7}" for id in figures)]
    lines += [f"{name:<18}" + "".join(f"{each[name]:>7,}" for each in figures.values()) for name in names]
    return "\n".join(lines)
