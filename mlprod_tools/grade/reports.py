"""Pages for people: one for each learner with the feedback that the notebook would have shown, and one on the whole class."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from mlprod_helpers.lesson import contract
from mlprod_helpers.lesson.feedback import COLORS, points_text
from mlprod_helpers.lesson.outcome import Outcome
from mlprod_tools.build.notebook import write_text
from mlprod_tools.grade import exports
from mlprod_tools.grade.marks import BY_HAND, MISSING, NOT_ISOLATED
from mlprod_tools.pages import HEAD, count_of, escaped, shown, table

MOST_ROWS = 200  # of a list on the class page
OUTCOMES = (*(each.value for each in Outcome), MISSING, BY_HAND)
# the order of a bar, from full points to none
ORDER = (
    *(
        each.value
        for each in (Outcome.PASSED, Outcome.PARTLY, Outcome.FAILED, Outcome.RAISED, Outcome.NOT_ATTEMPTED)
    ),
    MISSING,
    BY_HAND,
)
SHADES = {each.value: color for each, color in COLORS.items()} | {
    Outcome.RAISED.value: "#882255",
    MISSING: "#BBBBBB",
    BY_HAND: "#56B4E9",
}
DARK = (Outcome.RAISED.value,)  # shades that want white numbers
# no script, no foreign content, whatever a submission holds
_HEAD = (
    HEAD
    + "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
)
_STYLE = """
:root{color-scheme:light dark}
@media(prefers-color-scheme:dark){:root{--jp-layout-color2:#24272b;--jp-content-font-color1:#e6e6e6}}
body{font:16px/1.45 system-ui,sans-serif;margin:1.5em auto;max-width:60em;padding:0 1em}
h1{font-size:1.4em}h2{font-size:1.15em;margin-top:1.8em}h3{font-size:1em;margin-bottom:.3em}
table{border-collapse:collapse}td,th{padding:.15em .7em .15em 0;text-align:left;vertical-align:top}
td.n{text-align:right}.warn{border:2px solid #D55E00;padding:.4em .8em;font-weight:600}.note{margin:.2em 0 .2em 1em}
.key i{display:inline-block;width:1em;height:1em;margin-right:.3em;vertical-align:-.1em}.key span{margin-right:1.2em;white-space:nowrap}
svg text{font:12px system-ui,sans-serif;fill:currentColor}
"""


def write(out, run, everybody):
    """Write the pages into a folder; `everybody()` iterates over the Graded of all learners, in order."""
    lessons = exports.lessons_of(run, everybody)

    def written():
        for graded in everybody():
            page = learner_page(graded, lessons)
            write_text(out / "feedback" / f"{exports.file_name(graded.learner)}.html", page)
            yield graded, page

    exports.moodle_feedback(out, written())
    write_text(out / "class.html", class_page(summary(everybody(), lessons), lessons))


def _page(title, parts):
    return (
        "\n".join(
            [
                f"{_HEAD}<title>{escaped(title)}</title><style>{_STYLE}</style>",
                f"<h1>{escaped(title)}</h1>",
                *parts,
            ]
        )
        + "\n"
    )


# ------------------------------------------------------------------ one learner


def learner_page(graded, lessons):
    """The page of one learner: points, notes, and each exercise's feedback."""
    total = exports.total_of(graded, lessons)
    given = {mark.exercise: mark for mark in graded.marks}
    parts = [_not_isolated()] if not graded.isolated else []
    parts.append(
        f"<p><b>{points_text(total.points_so_far)} of {exports.possible(lessons)} points{' so far' if total.by_hand else ''}.</b></p>"
    )
    if total.by_hand:
        parts.append(f"<p>A person still grades {escaped(', '.join(total.by_hand))}.</p>")
    parts += [f"<p class=note>{shown(note)}</p>" for note in graded.notes if note != NOT_ISOLATED]
    for lesson in lessons:
        loaded = contract.load(lesson)
        points = total.lessons[lesson]
        open_points = "open" if points is None else points_text(points)
        parts.append(f"<h2>Lesson {lesson} · {open_points} of {loaded.points} points</h2>")
        marks = [given[key] for key in loaded.exercises if key in given]
        if not marks:
            parts.append("<p>This lesson is not in the submission.</p>")
        for mark in marks:
            parts.append(
                f"<h3>{escaped(mark.exercise)} {escaped(loaded.exercises[mark.exercise].title)}</h3>{mark.feedback_html}"
            )
            parts += [f"<p class=note>{shown(note)}</p>" for note in mark.notes]
    return _page(graded.learner, parts)


def _not_isolated():
    return f"<p class=warn>{NOT_ISOLATED}: learners' code ran without the sandbox, so these points prove nothing.</p>"


# ------------------------------------------------------------------ the class


@dataclass
class Summary:
    """What a class did: counts by exercise, and who needs a look."""

    n_learners: int = 0
    outcomes: dict = field(default_factory=lambda: defaultdict(Counter))
    points: Counter = field(default_factory=Counter)  # of each exercise, all learners together
    misconceptions: Counter = field(default_factory=Counter)
    shares: list = field(default_factory=list)  # of the points, of each learner
    by_hand: list = field(default_factory=list)
    faults: Counter = field(default_factory=Counter)
    notes: list = field(default_factory=list)
    isolated: bool = True


def summary(everybody, lessons):
    """The Summary of all Graded."""
    found = Summary()
    most = exports.possible(lessons)
    keys = [key for lesson in lessons for key in contract.load(lesson).exercises]
    for graded in everybody:
        found.n_learners += 1
        found.isolated &= graded.isolated
        given = {mark.exercise: mark for mark in graded.marks}
        for key in keys:
            mark = given.get(key)
            found.outcomes[key][mark.outcome if mark else MISSING] += 1
            if mark is None:
                continue
            found.points[key] += mark.points or 0
            found.misconceptions.update((key, name) for name in mark.misconceptions)
            if mark.points is None:
                found.by_hand.append((graded.learner, key, mark.fault))
            if mark.fault:
                found.faults[key, mark.fault] += 1
            found.notes += [(graded.learner, key, note) for note in mark.notes]
        found.shares.append(exports.total_of(graded, lessons).points_so_far / most if most else 0)
        found.notes += [(graded.learner, "", note) for note in graded.notes if note != NOT_ISOLATED]
    return found


def class_page(found, lessons):
    """The page on the class: how each exercise went, which misconceptions were seen, who needs a look."""
    parts = [] if found.isolated else [_not_isolated()]
    mean = sum(found.shares) / len(found.shares) if found.shares else 0
    parts.append(
        f"<p>{count_of(found.n_learners, 'learner')}, {len(found.outcomes)} exercises. On average {mean:.0%} of the points.</p>"
    )
    parts.append("<h2>Points</h2>" + histogram(found.shares))
    parts.append("<h2>Exercises</h2>" + _key())
    for lesson in lessons:
        parts.append(f"<h3>Lesson {lesson}</h3>" + bars(found, contract.load(lesson)))
    parts += _misconceptions(found)
    parts += _list(
        "The course's own faults",
        ("exercise", "what broke", "learners"),
        [(key, fault, n) for (key, fault), n in found.faults.most_common()],
    )
    parts += _list(
        "For you to grade",
        ("learner", "exercise", "why"),
        [
            (name, key, "the check broke" if fault else "the notebook is of another edition")
            for name, key, fault in found.by_hand
        ],
    )
    parts += _list("Notes", ("learner", "exercise", "note"), found.notes)
    return _page("Class report", parts)


def _key():
    shown = "".join(
        f"<span><i style='background:{SHADES[each]}'></i>{escaped(each)}</span>" for each in ORDER
    )
    return f"<p class=key>{shown}</p>"


def bars(found, lesson):
    """A stacked bar for each exercise of a lesson, as SVG with its numbers in words."""
    rows, high = [], 24
    for k, (key, exercise) in enumerate(lesson.exercises.items()):
        counts = found.outcomes[key]
        share = found.points[key] / (exercise.points * found.n_learners) if found.n_learners else 0
        words = ", ".join(f"{counts[each]} {each}" for each in ORDER if counts[each])
        at, top = 330.0, k * high
        parts = [f"<g><title>{escaped(f'{key} {exercise.title}: {words}')}</title>"]
        shown = exercise.title if len(exercise.title) <= 40 else exercise.title[:38] + "..."
        parts.append(f"<text x='0' y='{top + 15}'>{escaped(f'{key} {shown}')}</text>")
        for each in ORDER:
            width = 420 * counts[each] / found.n_learners if found.n_learners else 0
            if width:
                parts.append(
                    f"<rect x='{at:.1f}' y='{top + 3}' width='{width:.1f}' height='16' fill='{SHADES[each]}'/>"
                )
                if width >= 22:
                    ink = "#fff" if each in DARK else "#000"
                    parts.append(
                        f"<text x='{at + 4:.1f}' y='{top + 15}' style='fill:{ink}'>{counts[each]}</text>"
                    )
            at += width
        parts.append(f"<text x='760' y='{top + 15}'>{share:.0%} of points</text></g>")
        rows.append("".join(parts))
    label = f"How each exercise of lesson {lesson.lesson} went; the numbers stand in the bars"
    return (
        f"<svg role='img' aria-label='{escaped(label)}' viewBox='0 0 860 {high * len(rows)}' width='100%'>"
        f"{''.join(rows)}</svg>"
    )


def histogram(shares):
    """How many learners have how large a share of the points, as SVG with its numbers in words."""
    counts = Counter(min(int(10 * share), 9) for share in shares)
    most = max(counts.values(), default=1)
    parts, words = [], []
    for k in range(10):
        high = 90 * counts[k] / most
        span = f"{10 * k}-{10 * k + 10}%"
        words.append(f"{span}: {counts[k]}")
        parts.append(f"<g><title>{span}: {count_of(counts[k], 'learner')}</title>")
        parts.append(
            f"<rect x='{k * 60 + 4}' y='{110 - high:.1f}' width='52' height='{high:.1f}' fill='#0072B2'/>"
        )
        if counts[k]:
            parts.append(
                f"<text x='{k * 60 + 30}' y='{105 - high:.1f}' text-anchor='middle'>{counts[k]}</text>"
            )
        parts.append(f"<text x='{k * 60 + 30}' y='126' text-anchor='middle'>{span}</text></g>")
    label = "Learners by their share of the points. " + "; ".join(words)
    return f"<svg role='img' aria-label='{escaped(label)}' viewBox='0 0 604 132' width='100%' style='max-width:44em'>{''.join(parts)}</svg>"


def _misconceptions(found):
    texts = {}
    for key, _ in found.misconceptions:
        lesson = f"{int(key.partition('.')[0]):02d}"
        texts |= {(key, each.name): each.text for each in contract.load(lesson).exercises[key].misconceptions}
    ordered = sorted(found.misconceptions.items(), key=lambda item: (-item[1], item[0]))
    rows = [(count, key, f"It looks like {texts.get((key, name), name)}") for (key, name), count in ordered]
    return _list("Misconceptions", ("learners", "exercise", "the feedback that they saw"), rows)


def _list(title, head, rows):
    if not rows:
        return []
    more = f"<p>and {len(rows) - MOST_ROWS} more</p>" if len(rows) > MOST_ROWS else ""
    return [table(title, head, rows[:MOST_ROWS]) + more]
