"""What the HTML pages for instructors share: the board, the class page, the feedback. Everything is escaped."""

import html
import re

HEAD = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
)


def escaped(value):
    """Escape; half a character, as a learner's text may hold, cannot be sent to a browser."""
    return html.escape(str(value).encode("utf-8", "backslashreplace").decode())


def shown(value):
    """The same for a sentence: what it has in backticks becomes code.

    >>> shown("`x<y` is no name")
    '<code>x&lt;y</code> is no name'
    """
    return re.sub(r"`([^`\n]+)`", r"<code>\1</code>", escaped(value))


def table(title, head, rows):
    """A table under a headline.

    >>> table("Tries", ("learner", "tries"), [("ana", 2)])
    '<h2>Tries</h2><table><tr><th scope=col>learner</th><th scope=col>tries</th></tr><tr><td>ana</td><td>2</td></tr></table>'
    """
    cells = "".join(f"<th scope=col>{escaped(each)}</th>" for each in head)
    body = "".join("<tr>" + "".join(f"<td>{shown(each)}</td>" for each in row) + "</tr>" for row in rows)
    return f"<h2>{escaped(title)}</h2><table><tr>{cells}</tr>{body}</table>"


def count_of(number, one, many=""):
    """A number with its noun.

    >>> count_of(1, "learner"), count_of(2, "try", "tries")
    ('1 learner', '2 tries')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"
