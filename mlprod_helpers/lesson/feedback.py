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
# in the color of the text, so that it is seen in both themes; the words beside it say the same
_BAR = (
    '<span aria-hidden="true" style="display:inline-block;flex:none;vertical-align:middle;width:{width}em;height:.8em;'
    'border:1px solid;border-radius:.4em;overflow:hidden"><span style="display:block;height:100%;'
    'width:{percent}%;background:currentColor"></span></span>'
)


class Message:
    """Something to show: a title, paragraphs and list rows, as HTML and as plain text.

    A row is a mark and a text, and may have a share from 0 to 1 as its third part, which becomes a bar. `share` is the title's.
    """

    def __init__(self, title, *, rows=(), paragraphs=(), code="", color=NEUTRAL, then="", share=None):
        self.title, self.share = _showable(title), share
        self.rows = [(mark, _showable(text), *bar) for mark, text, *bar in rows]
        self.paragraphs = [_showable(text) for text in paragraphs if text]
        self.code, self.color, self.then = code, color, then

    def __repr__(self):
        bar = [] if self.share is None else [f"{bar_text(self.share, 40)} {int(100 * self.share)}%"]
        rows = [
            f"  {mark:<5} " + "".join(f"{bar_text(share)} " for share in shares) + text
            for mark, text, *shares in self.rows
        ]
        code = ["", *("    " + line for line in self.code.splitlines()), ""] if self.code else []
        then = [self.then] if self.then else []
        return "\n".join([self.title, *bar, *rows, *self.paragraphs, *code, *then])

    def _repr_html_(self):
        rows = "".join(_row_html(*row) for row in self.rows)
        parts = [f'<div style="{_BOX.format(color=self.color)}"><b>{_inline(self.title)}</b>']
        if self.share is not None:
            parts.append(
                f'<div style="margin:.4em 0">{_bar_html(self.share, 20)} {int(100 * self.share)}%</div>'
            )
        if rows:
            parts.append(f'<ul style="list-style:none;padding-left:.5em;margin:.4em 0">{rows}</ul>')
        parts += [f'<p style="margin:.4em 0">{_stressed(text)}</p>' for text in self.paragraphs]
        if self.code:
            parts.append(f'<pre style="margin:.5em 0;white-space:pre-wrap">{html.escape(self.code)}</pre>')
        if self.then:
            parts.append(f'<p style="margin:.4em 0">{_inline(self.then)}</p>')
        return "".join([*parts, "</div>"])


def bar_text(share, width=10):
    """A bar of characters: full only at 1, empty only at 0.

    >>> bar_text(0), bar_text(0.01), bar_text(0.99), bar_text(1)
    ('[..........]', '[#.........]', '[#########.]', '[##########]')
    """
    filled = int(share * width) or int(share > 0)
    return f"[{'#' * filled}{'.' * (width - filled)}]"


def _row_html(mark, text, share=None):
    if share is None:
        return f"<li><b>{_inline(mark)}</b> &nbsp;{_inline(text)}</li>"
    return (
        f'<li style="display:flex;align-items:center;gap:.6em"><b style="flex:none;width:3.5em">{_inline(mark)}</b>'
        f"{_bar_html(share)}<span>{_inline(text)}</span></li>"
    )


def _bar_html(share, width=6):
    return _BAR.format(width=width, percent=int(100 * share))


def _showable(text):
    """Half a character, as a learner's text may hold, cannot be sent to a browser."""
    return str(text).encode("utf-8", "backslashreplace").decode()


def _inline(text):
    """Escape, and set `code` as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(str(text), quote=False))


def _stressed(text):
    """As `_inline`, and set *words* in italics, but not the stars of a product or of code."""
    parts = re.split(r"(<code>.*?</code>)", _inline(text), flags=re.S)
    parts[::2] = [
        re.sub(r"(?<![\w*])\*(\w(?:[^*]*\w)?)\*(?![\w*])", r"<em>\1</em>", part) for part in parts[::2]
    ]
    return "".join(parts)


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
        more = f"and {len(hidden)} more"
        rows = [*rows[:MOST_LINES], ("...", f"{more}, {wrong} of them not met") if wrong else ("ok", more)]
    looks = "In the case that is not right, it looks like" if verdict.partial else "It looks like"
    note = f"{looks} {verdict.note}" if verdict.note else ""
    then = "" if outcome is Outcome.PASSED else f'Next: `lesson.hint("{exercise.id}")`'
    return Message(f"{title} · {score}", rows=rows, paragraphs=[note], color=COLORS[outcome], then=then)
