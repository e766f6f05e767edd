"""`mlprod agenda`: a timed plan of a workshop, from what the built notebooks say of themselves."""

import datetime
import hashlib
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

from mlprod_tools.release import ROOT, chosen

BREAK = 10  # minutes
WORK = 60  # minutes of work after which people need a break, about


@dataclass(frozen=True)
class About:
    """What a lesson's notebook says of itself."""

    lesson: str
    title: str
    full: int
    express: int
    needs: tuple
    topics: tuple
    objectives: tuple


@dataclass(frozen=True)
class Row:
    """A stretch of time: a lesson or a part of one, or a break. Minutes from the beginning."""

    begin: int
    minutes: int
    what: str
    detail: tuple = ()


@dataclass
class Plan:
    """A workshop: its rows, what participants do before it, and what to leave out first when time runs short."""

    minutes: int
    rows: list
    before: list
    cuts: list = field(default_factory=list)

    @property
    def spare(self):
        """Minutes that are left for questions."""
        return self.minutes - _end(self.rows)


def add_options(parser):
    """The options of `mlprod agenda`."""
    parser.add_argument(
        "--minutes", type=int, required=True, help="how long the workshop is, breaks included"
    )
    parser.add_argument("--lessons", default="", metavar="01-04", help="these lessons: 01-04, or 01,05,06")
    parser.add_argument(
        "--topics", default="", metavar="drift,monitoring", help="the lessons on these topics"
    )
    parser.add_argument("--format", choices=("text", "markdown", "ics"), default="text")
    parser.add_argument(
        "--start", metavar="2027-03-01T09:00", help="local time of the beginning; .ics needs it"
    )


def main(options):
    """Print the plan. Exit status 1 where it does not fit, with what would."""
    try:
        start = datetime.datetime.fromisoformat(options.start) if options.start else None
        if options.format == "ics" and start is None:
            raise ValueError("a calendar needs a beginning, such as --start 2027-03-01T09:00")
        known = read(ROOT)
        wanted = _wanted(known, options.lessons, options.topics)
        plan = make(known, options.minutes, wanted)
    except ValueError as error:
        print(f"mlprod agenda: {error}", file=sys.stderr)
        return 1
    print({"text": as_text, "markdown": as_markdown, "ics": as_ics}[options.format](plan, start), end="")
    return 0


def read(root):
    """The lessons of a checkout or a release: id -> About."""
    found = {}
    for path in sorted((Path(root) / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        about = notebook["metadata"]["mlprod"]
        texts = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
        section = next((text for text in texts if "## What you will do" in text), "")
        objectives = re.findall(r"^- \*\*[a-z]\*\* (.*?)[,.;]?(?: and)?$", section, re.MULTILINE)
        found[about["lesson"]] = About(
            about["lesson"],
            about["title"],
            about["minutes"],
            about["express"],
            tuple(about["needs"]),
            tuple(about.get("topics", ())),
            tuple(objectives),
        )
    return found


def _wanted(known, lessons, topics):
    """The lessons asked for, in order; all of them, as a pool to choose from, where nothing is asked."""
    if lessons and topics:
        raise ValueError("name lessons or topics, not both")
    if lessons:
        return chosen(lessons, list(known))
    if not topics:
        return None
    there = sorted({topic for about in known.values() for topic in about.topics})
    asked = [topic.strip().lower() for topic in topics.split(",")]
    if unknown := [topic for topic in asked if topic not in there]:
        raise ValueError(f"there is no topic {', '.join(unknown)}; the topics are {', '.join(there)}")
    return [about.lesson for about in known.values() if set(asked) & set(about.topics)]


def make(known, minutes, wanted=None):
    """A plan that fits.

    Parameters
    ----------
    known : dict
        Lesson id -> About.
    minutes : int
        How long the workshop is, breaks included.
    wanted : list of str, optional
        All of these must be in it. By default as many lessons as fit, from the first on.

    Returns
    -------
    Plan
        Each lesson by its express path, and by its full path from the first on while that fits.

    Raises
    ------
    ValueError
        If the lessons do not fit; the message says what would.
    """
    if wanted is None:
        wanted = _that_fit(known, list(known), minutes)
        if not wanted:
            first = next(iter(known.values()))
            raise ValueError(
                f"{minutes} minutes are too short for any lesson; {first.title} takes {first.express}"
            )
    short = _end(_rows(known, wanted, ()))
    if short > minutes:
        fits = _that_fit(known, wanted, minutes)
        instead = (
            f"in {minutes} minutes fit --lessons {','.join(fits)}"
            if fits
            else f"the shortest of them takes {min(known[lesson].express for lesson in wanted)} minutes"
        )
        raise ValueError(
            f"the express paths of {', '.join(wanted)} take {short} minutes with breaks, {short - minutes} too many; {instead}"
        )
    full = []
    for lesson in wanted:
        longer = known[lesson].full > known[lesson].express
        if longer and _end(_rows(known, wanted, (*full, lesson))) <= minutes:
            full.append(lesson)
    rows = _rows(known, wanted, full)
    return Plan(minutes, rows, _before(known, wanted), _cuts(known, wanted, full))


def _that_fit(known, lessons, minutes):
    """The first lessons whose express paths fit together."""
    fits = list(lessons)
    while _end(_rows(known, fits, ())) > minutes:
        fits.pop()
    return fits


def _end(rows):
    return rows[-1].begin + rows[-1].minutes if rows else 0


def _rows(known, lessons, full):
    """Blocks of work with a break after about an hour; a long lesson is cut in halves."""
    blocks = []
    for lesson in lessons:
        about = known[lesson]
        minutes = about.full if lesson in full else about.express
        way = ", full path" if lesson in full else ", express path" if about.express < about.full else ""
        name, detail = f"{lesson} {about.title}{way}", about.objectives
        if minutes > WORK + 15:
            half = minutes // 2
            blocks += [(f"{name}, first half", half, detail), (f"{name}, second half", minutes - half, ())]
        else:
            blocks.append((name, minutes, detail))
    rows, now, worked = [], 0, 0
    for name, minutes, detail in blocks:
        if worked and worked + minutes > WORK + 15:
            rows.append(Row(now, BREAK, "Break"))
            now, worked = now + BREAK, 0
        rows.append(Row(now, minutes, name, detail))
        now, worked = now + minutes, worked + minutes
    return rows


def _before(known, lessons):
    """What participants need and the plan does not hold, in order."""
    needed, todo = set(), list(lessons)
    while todo:
        for lesson in known[todo.pop()].needs:
            if lesson not in needed and lesson not in lessons and lesson in known:
                needed.add(lesson)
                todo.append(lesson)
    return [known[lesson] for lesson in sorted(needed)]


def _cuts(known, lessons, full):
    """What to leave out first, and how many minutes that gives back."""
    cuts = [
        f"{lesson} {known[lesson].title}: express instead of full path, {known[lesson].full - known[lesson].express} minutes"
        for lesson in reversed(full)
    ]
    for lesson in reversed(lessons[1:]):
        cuts.append(
            f"{lesson} {known[lesson].title}: leave it for self-study, {known[lesson].express} minutes"
        )
    return cuts


def _clock(start, minutes):
    if start is None:
        return f"{minutes // 60}:{minutes % 60:02d}"
    return (start + datetime.timedelta(minutes=minutes)).strftime("%H:%M")


def as_text(plan, start=None):
    """The plan as plain text; times of the day where `start` is given, else from 0:00."""
    lines = [f"Workshop of {plan.minutes} minutes", ""]
    if plan.before:
        lines += ["Before the workshop:"]
        lines += [f"  {each.lesson} {each.title} ({each.express} minutes)" for each in plan.before] + [""]
    for row in plan.rows:
        lines.append(f"{_clock(start, row.begin):>5}  {row.minutes:>3} min  {row.what}")
        lines += [f"{'':16}- {_plain(each)}" for each in row.detail]
    if plan.spare:
        lines.append(f"{_clock(start, _end(plan.rows)):>5}  {plan.spare:>3} min  Questions")
    if plan.cuts:
        lines += ["", "If time runs short, leave out in this order:", *(f"  {cut}" for cut in plan.cuts)]
    return "\n".join(lines) + "\n"


def _plain(text):
    """Without the marks of emphasis and code, which mean nothing outside of Markdown."""
    return text.replace("*", "").replace("`", "")


def as_markdown(plan, start=None):
    """The plan as a Markdown page with a table."""
    lines = [f"# Workshop of {plan.minutes} minutes", ""]
    if plan.before:
        names = ", ".join(f"{each.lesson} {each.title} ({each.express} minutes)" for each in plan.before)
        lines += [f"**Before the workshop:** {names}", ""]
    lines += ["| from | minutes | what | you will |", "| --- | --- | --- | --- |"]
    for row in plan.rows:
        lines.append(f"| {_clock(start, row.begin)} | {row.minutes} | {row.what} | {'; '.join(row.detail)} |")
    if plan.spare:
        lines.append(f"| {_clock(start, _end(plan.rows))} | {plan.spare} | Questions | |")
    if plan.cuts:
        lines += ["", "If time runs short, leave out in this order:", ""]
        lines += [f"{i}. {cut}" for i, cut in enumerate(plan.cuts, 1)]
    return "\n".join(lines) + "\n"


def as_ics(plan, start):
    """The plan as an iCalendar file (RFC 5545), in floating local time; the same plan gives the same bytes."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//mlprod//agenda//EN"]
    for row in plan.rows:
        begin = start + datetime.timedelta(minutes=row.begin)
        end = begin + datetime.timedelta(minutes=row.minutes)
        key = hashlib.sha256(f"{begin.isoformat()} {row.what}".encode()).hexdigest()[:24]
        lines += [
            "BEGIN:VEVENT",
            f"UID:{key}@mlprod",
            f"DTSTAMP:{start:%Y%m%dT%H%M%S}Z",
            f"DTSTART:{begin:%Y%m%dT%H%M%S}",
            f"DTEND:{end:%Y%m%dT%H%M%S}",
            f"SUMMARY:{_escaped(row.what)}",
        ]
        if row.detail:
            lines.append(f"DESCRIPTION:{_escaped(_plain(chr(10).join(row.detail)))}")
        lines.append("END:VEVENT")
    lines.append("END:VCALENDAR")
    return "".join(_folded(line) + "\r\n" for line in lines)


def _escaped(text):
    for old, new in (("\\", "\\\\"), (";", "\\;"), (",", "\\,"), ("\n", "\\n")):
        text = text.replace(old, new)
    return text


def _folded(line):
    """At most 75 bytes a line, as the format wants; a character is never cut."""
    parts, now = [], ""
    for character in line:
        if len((now + character).encode()) > 75 - bool(parts):
            parts.append(now)
            now = ""
        now += character
    return "\r\n ".join([*parts, now])
