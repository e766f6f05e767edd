"""Ten cases before and after a course: they are shown and recorded, never judged. The right answers are not in this package.

`mlprod evidence --make` writes the notebooks that use this, with their texts in a file beside them; `mlprod evidence` reads what
learners hand in. Who gets which form first follows from the alias alone.
"""

import hashlib
import json
from pathlib import Path

from mlprod_helpers.lesson import sharing
from mlprod_helpers.lesson.feedback import Message
from mlprod_helpers.lesson.progress import write_whole

VERSION = 1
TEXTS = "ten_cases.json"  # beside the notebooks
COUNT = 10
WHEN = ("before", "after")
ENDING = ".cases"  # not .json: the board reads those
UNKNOWN = "?"
_SEED = "ten cases"


def form_of(alias, when):
    """The form that an alias gets: half of all aliases begin with A, the others with B.

    Parameters
    ----------
    alias : str
        Upper and lower case are the same.
    when : str
        "before" or "after".

    Returns
    -------
    str

    Examples
    --------
    >>> form_of("blue_otter", "before"), form_of("Blue_Otter", "after")
    ('B', 'A')
    """
    is_odd = hashlib.sha256(f"{_SEED} {alias.casefold()}".encode()).digest()[0] % 2
    return "AB"[is_odd ^ (when == "after")]


class TenCases:
    """The test of one learner, before or after the course; its texts are in `ten_cases.json` beside the notebook.

    Parameters
    ----------
    when : str
        "before" or "after".

    Raises
    ------
    FileNotFoundError
        If the texts are not there.
    """

    def __init__(self, when):
        if when not in WHEN:
            raise ValueError(f'a test is "before" or "after" the course, not {when!r}')
        self.when = when
        if not Path(TEXTS).is_file():
            raise FileNotFoundError(f"{TEXTS} has to stand beside this notebook. Ask your instructor for it.")
        self._forms = json.loads(Path(TEXTS).read_text(encoding="utf-8"))
        self._alias = self._target = None
        self._answers = {}

    def __repr__(self):
        return f"TenCases({self.when!r})"

    def share(self, folder, alias):
        """Choose where the answers go, and under which alias. Nothing is written before `hand_in`.

        Parameters
        ----------
        folder : str
            The shared folder that the instructor named; "." is the folder of this notebook.
        alias : str
            2 to 20 letters, digits or underscores; anything but your name. The same in both tests.
        """
        self._alias = self._target = None
        title = f"The test {self.when} the course"
        if alias is ...:
            return Message(
                title,
                paragraphs=[
                    "Replace `...` by an alias in quotes, such as `blue_otter`, and run all cells. Choose anything but your name.",
                    "Use the same alias in both tests, and on the board.",
                ],
            )
        try:
            target = sharing.target(folder, alias, f"-{self.when}{ENDING}")
        except sharing.CannotShare as reason:
            return Message(title, paragraphs=[str(reason)])
        others = [path for path in _of_alias(target.parent, alias, self.when) if path != target]
        if others:
            return Message(
                title,
                paragraphs=[
                    f"`{alias}` has handed in this test already, from another folder. If that was you, you are done. If not, choose "
                    "another alias."
                ],
            )
        self._alias, self._target = alias, target
        says = [
            f"Your alias is `{alias}`. Now run the cells below. What you choose is recorded when you hand in."
        ]
        if self.when == "after" and not _of_alias(target.parent, alias, "before"):
            says.append(
                f"There is no first test of `{alias}` in this folder. If you used another alias then, use it now. If you did "
                "not take the first test, or took it elsewhere, just go on."
            )
        return Message(title, paragraphs=says)

    def case(self, number, letter):
        """Show a case; a letter in place of `...` is the answer, which can be changed until `hand_in`."""
        if self._alias is None:
            return Message(
                f"Case {number} of {COUNT}", paragraphs=["Choose an alias first, in the cell above."]
            )
        case = self._forms[form_of(self._alias, self.when)][number - 1]
        rows = {**case["options"], UNKNOWN: "I don't know"}
        chosen = letter.strip().lower() if isinstance(letter, str) else letter
        self._answers.pop(number, None)
        if chosen is ...:
            note = 'Replace `...` in this cell by a letter, such as `"b"`, and run it again.'
        elif isinstance(chosen, str) and chosen in rows:
            self._answers[number] = chosen
            note = f"Your answer is **{chosen}**. You can change it until you hand in."
        else:
            note = 'This is none of the options. Write one of the letters, or `"?"`, in quotes.'
        options = "\n".join(f"- **{each}** · {text}" for each, text in rows.items())
        return _Markdown(f"**Case {number} of {COUNT}.** {case['text']}\n\n{options}\n\n{note}")

    def hand_in(self):
        """Record the ten answers. The first ones stay."""
        title = f"The test {self.when} the course"
        if self._alias is None:
            return Message(title, paragraphs=["Choose an alias first, in the cell above."])
        if self._target.exists():
            return Message(
                title, paragraphs=["It was handed in already. The answers that you gave then are kept."]
            )
        missing = [str(number) for number in range(1, COUNT + 1) if number not in self._answers]
        if missing:
            return Message(
                title,
                paragraphs=[
                    f"Nothing is recorded yet. Still without an answer: {', '.join(missing)}. Choose `?` where you don't know."
                ],
            )
        data = {
            "version": VERSION,
            "alias": self._alias,
            "when": self.when,
            "form": form_of(self._alias, self.when),
            "edition": self._forms["edition"],
            "answers": {str(number): letter for number, letter in sorted(self._answers.items())},
        }
        try:
            write_whole(self._target, data, mode=0o644)  # readable by all: the instructor is another user
        except OSError as error:
            return Message(
                title,
                paragraphs=[
                    f"Nothing is recorded: the file cannot be written ({error.strerror}). Tell your instructor, then run this "
                    "cell again."
                ],
            )
        return Message(
            title,
            paragraphs=[
                f"Recorded in `{self._target.name}`. It holds your alias and ten letters.",
                "Your instructor shows the answers after the second test.",
            ],
        )


class _Markdown:
    """Text that a notebook sets as Markdown."""

    def __init__(self, text):
        self.text = text

    def __repr__(self):
        return self.text

    def _repr_markdown_(self):
        return self.text


def _of_alias(folder, alias, when):
    """The files that somebody has handed in under an alias."""
    ending = f"-{when}{ENDING}"
    try:
        paths = sorted(folder.iterdir())
    except OSError:  # it may be written, but not listed
        return []
    return [
        path
        for path in paths
        if path.name.endswith(ending) and path.name.partition("-")[0].casefold() == alias.casefold()
    ]
