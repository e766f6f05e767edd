"""`mlprod evidence`: what a class learned, from ten cases before the course and ten after it.

- cases.py: the cases in two parallel forms, with their key;
- notebooks.py: the two notebooks in which learners answer them;
- hand_in.py: from the files that they hand in to scored tests;
- gain.py: the gain of the class, by case and by misconception.
"""

import csv
import io
import json
import sys
from pathlib import Path

from mlprod_helpers.lesson import contract
from mlprod_tools.pages import count_of

__all__ = ["add_options", "main"]
_SHOWN = 10  # misconceptions in the text; all are in --json


def add_options(parser):
    """The options of `mlprod evidence`."""
    parser.description = "Learners answer ten cases before the course and ten after it. This compares the two, for the learners who did both."
    parser.add_argument(
        "folder",
        metavar="DIR",
        nargs="?",
        help="the shared folder with what learners handed in; with --make, where the notebooks go",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--make", action="store_true", help="write the two notebooks for learners, and their texts, into DIR"
    )
    what.add_argument(
        "--key",
        action="store_true",
        help="print all cases with the right answers, to discuss after the second test",
    )
    what.add_argument("--csv", action="store_true", help="print a row for each learner, not the summary")
    what.add_argument("--json", action="store_true", help="print all figures as JSON, not the summary")
    parser.add_argument(
        "--share",
        metavar="DIR",
        help="with --make: the shared folder, such as /tmp/board (default: beside the notebook)",
    )


def main(options):
    """Do what the options ask for. Exit status 1 where that is not possible."""
    try:
        if options.share is not None and not options.make:
            raise ValueError("--share says where learners hand in, so it needs --make")
        if options.key:
            print(key(), end="")
            return 0
        if options.folder is None:
            raise ValueError("name a folder, or see `mlprod evidence --help`")
        folder = Path(options.folder)
        if not folder.is_dir():
            raise ValueError(f"there is no folder {folder}")
        if options.make:
            _make(folder, options.share or ".")
            return 0
        _report(folder, options)
    except (ValueError, OSError) as error:
        print(f"mlprod evidence: {error}", file=sys.stderr)
        return 1
    return 0


def _make(folder, shared):
    from mlprod_tools.evidence import notebooks

    for path in notebooks.write(folder, shared):
        print(path)
    print("Learners need the third file beside each of the two notebooks.")


def _report(folder, options):
    from mlprod_tools.evidence import gain, hand_in

    handed_in = hand_in.read(folder)
    if options.json:
        data = gain.evidence(handed_in).as_dict()
        data["skipped"] = [{"file": _shown(name), "why": why} for name, why in handed_in.skipped]
        print(json.dumps(data, indent=1))
    elif options.csv:
        print(as_csv(handed_in), end="")
        print(*_skipped(handed_in), sep="\n", end="", file=sys.stderr)
    else:
        print(as_text(handed_in, gain.evidence(handed_in)), end="")


def as_csv(handed_in):
    """A row for each learner: alias, first form, points before and after, gain; empty where a test is missing."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("alias", "first_form", "before", "after", "gain"))
    for alias in sorted(handed_in.before.keys() | handed_in.after.keys()):
        before, after = handed_in.before.get(alias), handed_in.after.get(alias)
        first = before.form if before else {"A": "B", "B": "A"}[after.form]
        points = [f"{test.points:g}" if test else "" for test in (before, after)]
        change = f"{after.points - before.points:g}" if before and after else ""
        table.writerow((alias, first, *points, change))
    return text.getvalue()


def as_text(handed_in, found):
    """The report of a class.

    Parameters
    ----------
    handed_in : HandedIn
    found : Evidence
        Of the same class.
    """
    halves = (
        f": {found.a_first} began with form A, {found.paired - found.a_first} with form B"
        if found.paired
        else ""
    )
    lines = [f"{count_of(found.paired, 'learner')} handed in both tests{halves}."]
    if found.only_before or found.only_after:
        lines.append(
            f"Only the test before: {found.only_before}. Only the one after: {found.only_after}. They are in none of the figures below."
        )
    lines += _skipped(handed_in)
    if found.paired:
        lines += ["", *_gain(found), "", *_cases(found), "", *_misconceptions(found), "", *_LIMITS]
    return "\n".join(lines) + "\n"


_LIMITS = (
    "There is no control group. The figures say how the answers changed between the two tests, not that the course is the cause.",
    "Learners who took only one test may differ from those who took both.",
)


def _gain(found):
    from mlprod_tools.evidence.gain import FEW, FEWEST

    lines = [
        f"Points of ten: {found.before:.1f} before, {found.after:.1f} after. Mean gain: {found.gain:+.1f}."
    ]
    if found.interval:
        low, high = found.interval
        lines.append(f"95% interval of the mean gain: {low:+.1f} to {high:+.1f}.")
    elif found.paired < FEWEST:
        lines.append(f"No interval: it takes at least {FEWEST} learners with both tests.")
    else:
        lines.append("No interval: all gains are equal, so nothing says how much they vary.")
    if found.paired < FEW:
        lines.append(f"These are fewer than {FEW} learners. A single one can change the picture.")
    if found.gain_by_halves is None:
        lines.append(
            "All began with the same form. If one form is harder than the other, that is part of the gain."
        )
    elif 2 * found.a_first != found.paired:
        within = found.interval_by_halves
        lines.append(
            f"The halves are unequal. If both counted the same, the mean gain would be {found.gain_by_halves:+.1f}"
            + (f" ({within[0]:+.1f} to {within[1]:+.1f})" if within else "")
            + ". In this figure a difference between the forms cancels."
        )
    return lines


def _cases(found):
    rows = [
        (f"{row.number}", row.lesson, f"{row.right_before}", f"{row.right_after}", row.idea)
        for row in found.cases
    ]
    return [
        f"Right answers of {count_of(found.paired, 'learner')}, case by case:",
        *_table(("case", "lesson", "before", "after", "idea"), rows),
    ]


def _misconceptions(found):
    from mlprod_tools.evidence.gain import after_holm

    seen = [row for row in found.misconceptions if row.before or row.after]
    if not seen:
        return ["No learner chose an option of a misconception."]
    texts = _sentences()
    rows = [
        (
            *(f"{n}" for n in (row.before, row.after, row.gone, row.new)),
            f"{row.p:.3f}",
            f"{row.exercise} {row.name}",
        )
        for row in seen[:_SHOWN]
    ]
    lines = [
        "Learners who chose the option of a misconception, before and after; those in whom it is gone, those in whom it is new:",
        *_table(("before", "after", "gone", "new", "p", "misconception"), rows),
    ]
    if len(seen) > _SHOWN:
        lines.append(f"and {len(seen) - _SHOWN} rarer ones: see --json")
    first = seen[0]
    lines.append(
        f'The course says on {first.exercise} {first.name}: "It looks like {texts[first.exercise, first.name]}"'
    )
    count = len(found.misconceptions)
    lines.append(
        f"p is from the exact McNemar test of gone against new. These are {count} tests, so a small p here and there is to be "
        f"expected. After Holm's correction, {after_holm([row.p for row in found.misconceptions])} of them stay below 0.05."
    )
    return lines


def _sentences():
    """(exercise, name) -> the feedback of each misconception of the course."""
    return {
        (each.id, wrong.name): wrong.text
        for lesson in contract.lesson_ids()
        for each in contract.load(lesson).exercises.values()
        for wrong in each.misconceptions
    }


def _table(head, rows):
    """Columns as wide as they must be; numbers to the right, the last column to the left."""
    widths = [max(len(row[k]) for row in (head, *rows)) for k in range(len(head) - 1)]
    return [
        "  ".join(["", *(cell.rjust(width) for cell, width in zip(row[:-1], widths, strict=True)), row[-1]])
        for row in (head, *rows)
    ]


def _skipped(handed_in):
    return [f"Left out: {_shown(name)}, {why}." for name, why in handed_in.skipped]


def _shown(name):
    """A file name without what could steer a terminal."""
    return "".join(each if each.isprintable() else "?" for each in name)


def key():
    """All cases with their right answers, and the misconception behind each wrong option, as Markdown."""
    from mlprod_tools.evidence.cases import CASES, FORMS
    from mlprod_tools.evidence.cases import options as options_of

    parts = ["# Ten cases: the key\n"]
    for form in FORMS:
        parts.append(f"## Form {form}\n")
        for number, case in enumerate(CASES, 1):
            parts.append(f"### {form}{number} · {case.idea} (lesson {case.lesson})\n")
            parts.append(case.version(form).text + "\n")
            for letter, (text, wrong) in options_of(number, form).items():
                about = "**right**" if wrong is None else " ".join(case.misconceptions[wrong])
                parts.append(f"- {letter} · {text} ({about})")
            parts.append("")
    return "\n".join(parts)
