"""`mlprod board`: one HTML page on who is where, from the progress files that learners share. No server, no names, no network.

Learners opt in with `lesson.share(folder, alias)`, which copies their progress into a shared folder.
"""

import datetime
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mlprod_helpers.lesson import contract, progress
from mlprod_tools.build.notebook import write_text
from mlprod_tools.pages import HEAD, count_of, escaped, table

POLL = 0.2  # seconds between two looks at the folder
RELOAD = 700  # milliseconds after which the page reads itself again
PAGE = "board.html"
MOST_ROWS = 10


@dataclass(frozen=True)
class Stuck:
    """Somebody who has tried an exercise and not passed it."""

    alias: str
    exercise: str
    minutes: int
    tries: int


@dataclass
class Class:
    """What the shared files say: alias -> rows by exercise, and the files that could not be read."""

    learners: dict = field(default_factory=dict)
    unreadable: list = field(default_factory=list)


def add_options(parser):
    """The options of `mlprod board`."""
    parser.add_argument("folder", metavar="DIR", help="the shared folder")
    parser.add_argument(
        "--page", metavar="FILE", help="where to write the page (default: board.html in the shared folder)"
    )
    parser.add_argument(
        "--watch", action="store_true", help="go on until Ctrl-C, and renew the page on each change"
    )


def main(options):
    """Write the page, and with --watch renew it whenever a file changes."""
    folder = Path(options.folder)
    if not folder.is_dir():
        print(
            f"mlprod board: there is no folder {folder}; make it, and tell learners to share into it",
            file=sys.stderr,
        )
        return 1
    page_file = Path(options.page) if options.page else folder / PAGE
    try:
        made = update(folder, page_file, watching=options.watch)
        print(f"{page_file}: {count_of(made, 'learner')}. Open it in a browser.", flush=True)
        before = state(folder)
        while options.watch:
            time.sleep(POLL)
            now = state(folder)
            if now != before:
                update(folder, page_file, watching=True)
                before = now
    except KeyboardInterrupt:
        update(folder, page_file, watching=False)
    except OSError as error:
        print(f"mlprod board: {page_file} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return 0


def state(folder):
    """What changes whenever a shared file does."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            about = path.stat()
        except OSError:  # it was replaced right now
            continue
        found.append((path.name, about.st_mtime_ns, about.st_size, about.st_ino))
    return found


def update(folder, page_file, *, watching, now=None):
    """Write the page from the files as they are. Returns the number of learners."""
    everybody = read(folder)
    now = now or datetime.datetime.now(datetime.UTC)
    write_text(page_file, page(everybody, now, watching=watching))
    return len(everybody.learners)


def read(folder):
    """The progress of everybody who shares into a folder.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    Class
        A file that cannot be read, for now or for ever, is counted and does no harm.
    """
    found = Class()
    for path in sorted(folder.glob("*.json")):
        try:
            if path.stat().st_size > progress.MOST_BYTES:
                raise ValueError("too large")
            data = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(data, dict) or not isinstance(data.get("exercises"), dict):
                raise ValueError("no progress file")
            rows = progress.cleaned(data)[0]["exercises"]
        except (OSError, ValueError, RecursionError):
            found.unreadable.append(path.name)
            continue
        alias, k = path.stem.rpartition("-")[0] or path.stem, 1
        name = alias
        while name in found.learners:
            k += 1
            name = f"{alias} ({k})"
        found.learners[name] = rows
    return found


def stuck(everybody, now):
    """Who has worked on an exercise without passing it, the longest first; one row a learner, their latest exercise.

    Parameters
    ----------
    everybody : Class
    now : datetime
        With a time zone.

    Returns
    -------
    list of Stuck
    """
    found = []
    for alias, rows in everybody.learners.items():
        tried = [
            (row["last"], key) for key, row in rows.items() if row["tries"] and row["first"] and row["last"]
        ]
        if not tried:
            continue
        _, key = max(tried)
        row = rows[key]
        since = _time(row["first"])
        if row["passed"] or since is None:
            continue
        minutes = max(0, int((now - since).total_seconds() // 60))
        found.append(Stuck(alias, key, minutes, len(row["tries"])))
    return sorted(found, key=lambda each: (-each.minutes, each.alias))


def _time(text):
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def misconceptions(everybody):
    """(how many learners, exercise, its sentence) of each misconception that was seen, the commonest first."""
    counts = Counter()
    for rows in everybody.learners.values():
        for key, row in rows.items():
            counts.update((key, name) for name, count in row["misconceptions"].items() if count)
    texts = {(each.id, wrong.name): wrong.text for each in _exercises() for wrong in each.misconceptions}
    found = [(count, key, texts[key, name]) for (key, name), count in counts.items() if (key, name) in texts]
    return sorted(found, key=lambda each: (-each[0], each[1], each[2]))


def _exercises():
    return [each for lesson in contract.lesson_ids() for each in contract.load(lesson).exercises.values()]


_STYLE = """
:root{color-scheme:light dark;--done:#009e73;--begun:#e69f00;--open:#8884}
body{font:16px/1.4 system-ui,sans-serif;margin:1.5em;max-width:90em}
h1{font-size:1.4em}h2{font-size:1.1em;margin-top:1.6em}
table{border-collapse:collapse}td,th{padding:.15em .5em;text-align:left;vertical-align:top}
.map{display:block;overflow-x:auto}.map td{padding:0}.map th{font-weight:400;font-size:.85em;white-space:nowrap}
.map i{display:block;width:2.1em;height:1.35em;border:1px solid #8886;text-align:center;font-style:normal;font-size:.85em}
.done{background:var(--done);color:#fff}.begun{background:var(--begun);color:#000}.open{background:var(--open)}
"""
_MARK = {"done": "✓", "begun": "…", "open": ""}


def page(everybody, now, *, watching):
    """The page as HTML; it reads itself again while the folder is watched."""
    seen = {key for rows in everybody.learners.values() for key in rows}
    lessons = {key.partition(".")[0] for key in seen}
    exercises = [each for each in _exercises() if each.id.partition(".")[0] in lessons]
    parts = [
        HEAD,
        f"<title>Class board</title><style>{_STYLE}</style>",
        f"<h1>{count_of(len(everybody.learners), 'learner')}</h1>",
    ]
    if everybody.unreadable:
        count = len(everybody.unreadable)
        parts.append(
            f"<p>{count_of(count, 'file')} could not be read and {'is' if count == 1 else 'are'} left out.</p>"
        )
    if not everybody.learners:
        parts.append(
            "<p>Nobody shares progress yet. In a notebook: <code>lesson.share(folder, alias)</code></p>"
        )
    parts += _heat_map(everybody, exercises) if exercises else []
    waiting = stuck(everybody, now)[:MOST_ROWS]
    if waiting:
        rows = [
            (
                each.alias,
                each.exercise,
                count_of(each.minutes, "minute"),
                count_of(each.tries, "try", "tries"),
            )
            for each in waiting
        ]
        parts.append(
            table(
                "Longest on one exercise without passing it",
                ("learner", "exercise", "since the first try", "different answers"),
                rows,
            )
        )
    common = misconceptions(everybody)[:MOST_ROWS]
    if common:
        rows = [(str(count), key, f"It looks like {text}") for count, key, text in common]
        parts.append(
            table("Commonest misconceptions", ("learners", "exercise", "the feedback that they saw"), rows)
        )
    parts.append(f"<p>As of {now:%H:%M:%S} UTC.</p>")
    if watching:
        # the place on the page is kept: browsers restore it when a page loads itself again
        parts.append(f"<script>setTimeout(()=>location.reload(),{RELOAD})</script>")
    return "\n".join(parts) + "\n"


def _heat_map(everybody, exercises):
    head = "".join(f"<th scope=col>{each.id}</th>" for each in exercises)
    lines = [f"<h2>Who is where</h2><table class=map><tr><th></th>{head}</tr>"]
    for alias in sorted(everybody.learners):
        rows = everybody.learners[alias]
        cells = ""
        for each in exercises:
            what = progress.state(rows.get(each.id), each.edition)
            title = escaped(f"{alias}, {each.id} {each.title}: {what}")
            cells += f'<td><i class={what} title="{title}">{_MARK[what]}</i></td>'
        lines.append(f"<tr><th scope=row>{escaped(alias)}</th>{cells}</tr>")
    passed = [
        sum(progress.state(rows.get(each.id), each.edition) == "done" for rows in everybody.learners.values())
        for each in exercises
    ]
    share = "".join(f"<td><i>{100 * count // len(everybody.learners)}%</i></td>" for count in passed)
    lines.append(f"<tr><th scope=row>passed</th>{share}</tr></table>")
    lines.append("<p>✓ passed, … tried, empty: not tried yet.</p>")
    return lines
