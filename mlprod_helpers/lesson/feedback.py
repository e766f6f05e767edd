"""How a verdict looks: HTML that follows JupyterLab's theme, and the same as plain text."""

import html
import re

from mlprod_helpers.lesson.outcome import Outcome

MOST_LINES = 10
# text and background are always set together, so that both themes stay readable; the words carry the meaning, not the color
_BOX = (
    "border-left:5px solid {color};padding:.5em 1em;margin:.3em 0;max-width:52em;"
    "background:var(--jp-layout-color2,#f3f4f6);color:var(--jp-content-font-color1,#1b1f24)"
)
COLORS = {
    Outcome.PASSED: "#009E73",
    Outcome.PARTLY: "#E69F00",
    Outcome.FAILED: "#D55E00",
    Outcome.RAISED: "#D55E00",
    Outcome.NOT_ATTEMPTED: "#7F7F7F",
}
NEUTRAL = "#0072B2"


class Message:
    """Something to show: a title, paragraphs and list rows, as HTML and as plain text."""

    def __init__(self, title, *, rows=(), paragraphs=(), code="", color=NEUTRAL, then=""):
        self.title = _showable(title)
        self.rows = [(mark, _showable(text)) for mark, text in rows]
        self.paragraphs = [_showable(text) for text in paragraphs if text]
        self.code, self.color, self.then = code, color, then

    def __repr__(self):
        rows = [f"  {mark:<5} {text}" for mark, text in self.rows]
        code = ["", *("    " + line for line in self.code.splitlines()), ""] if self.code else []
        return "\n".join([self.title, *rows, *self.paragraphs, *code, *([self.then] if self.then else [])])

    def _repr_html_(self):
        rows = "".join(f"<li><b>{_inline(mark)}</b> &nbsp;{_inline(text)}</li>" for mark, text in self.rows)
        parts = [f'<div style="{_BOX.format(color=self.color)}"><b>{_inline(self.title)}</b>']
        if rows:
            parts.append(f'<ul style="list-style:none;padding-left:.5em;margin:.4em 0">{rows}</ul>')
        parts += [f'<p style="margin:.4em 0">{_inline(text)}</p>' for text in self.paragraphs]
        if self.code:
            parts.append(f'<pre style="margin:.5em 0;white-space:pre-wrap">{html.escape(self.code)}</pre>')
        if self.then:
            parts.append(f'<p style="margin:.4em 0">{_inline(self.then)}</p>')
        return "".join([*parts, "</div>"])


def _showable(text):
    """Half a character, as a learner's text may hold, cannot be sent to a browser."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def _inline(text):
    """Escape, and set `code` as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(str(text), quote=False))


def points_text(points):
    """
    >>> points_text(1.5), points_text(2.0)
    ('1.5', '2')
    """
    return f"{points:g}"


def of_verdict(verdict):
    """The feedback on one check."""
    exercise, outcome = verdict.exercise, verdict.outcome
    score = (
        f"{points_text(verdict.points)} of {exercise.points} {'point' if exercise.points == 1 else 'points'}"
    )
    title = f"Exercise {exercise.id} · {outcome.value}"
    if outcome is Outcome.NOT_ATTEMPTED:
        return Message(title, paragraphs=[verdict.note], color=COLORS[outcome])
    rows = [
        ("ok" if line.ok else "not", line.what + (f": {line.note}" if line.note else ""))
        for line in verdict.lines
    ]
    if len(rows) > MOST_LINES:
        # what does not hold is what the learner needs to see
        rows.sort(key=lambda row: row[0] == "ok")
        hidden = rows[MOST_LINES:]
        wrong = sum(mark == "not" for mark, _ in hidden)
        rows = [*rows[:MOST_LINES], ("...", f"and {len(hidden)} more, {wrong} of them not met")]
    looks = "In the case that is not right, it looks like" if verdict.partial else "It looks like"
    note = f"{looks} {verdict.note}" if verdict.note else ""
    then = "" if outcome is Outcome.PASSED else f'Next: `lesson.hint("{exercise.id}")`'
    return Message(f"{title} · {score}", rows=rows, paragraphs=[note], color=COLORS[outcome], then=then)
