"""What the parts of the grader hand to each other: answers, submissions, marks. Plain data; a mark travels as JSON.

`submissions` finds the answers, `marking` turns a submission into marks, `ledger` keeps them, `reports` and `exports` show them.
"""

from dataclasses import asdict, dataclass

NOT_ISOLATED = "NOT ISOLATED"
MISSING = "not in the submission"
BY_HAND = "for you to grade"  # the course cannot judge this answer: other edition, or a check that broke


@dataclass(frozen=True)
class Answer:
    """The code that answers one exercise.

    `source` is the cell (or cells, joined) that defines the answer, as the learner wrote it; `needs` are the cells that it
    uses, in the order of the document. `edition` is the lesson's edition in the notebook's metadata; None if it has none.
    """

    lesson: str
    exercise: str
    edition: int | None
    source: str
    needs: tuple = ()
    notes: tuple = ()


@dataclass(frozen=True)
class Submission:
    """All that one learner handed in. `digest` names its content; `lessons` are those found, also where no answer was.

    `answers` holds at most one for each exercise. `notes` are sentences for the learner and the instructor.
    """

    learner: str
    path: str
    digest: str
    lessons: tuple = ()
    answers: tuple = ()
    notes: tuple = ()


@dataclass(frozen=True)
class Mark:
    """What one learner gets for one exercise.

    `points` is None where a person has to decide (`outcome` is `BY_HAND`). `outcome` is else the text of an `Outcome`, or
    `MISSING`. `fault` says what broke in a check: the course's fault.
    """

    lesson: str
    exercise: str
    points: float | None
    of: float
    outcome: str
    feedback_text: str
    feedback_html: str
    misconceptions: tuple = ()
    notes: tuple = ()
    isolated: bool = True
    fault: str = ""

    def to_dict(self):
        """The mark as JSON data."""
        return asdict(self) | {"misconceptions": list(self.misconceptions), "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, data):
        """The mark that `to_dict` was made from."""
        return cls(**data | {"misconceptions": tuple(data["misconceptions"]), "notes": tuple(data["notes"])})


@dataclass(frozen=True)
class Graded:
    """One submission's marks, one for each exercise of each lesson that was graded, in their order.

    `key` names what was graded with what: the submission's content, the course's version and the seed.
    """

    learner: str
    path: str
    key: str
    marks: tuple = ()
    notes: tuple = ()
    isolated: bool = True

    @property
    def points(self):
        """The points of all marks; those for a person to grade count as none so far."""
        return sum(mark.points or 0 for mark in self.marks)

    def to_dict(self):
        """The marks as JSON data."""
        return asdict(self) | {"marks": [mark.to_dict() for mark in self.marks], "notes": list(self.notes)}

    @classmethod
    def from_dict(cls, data):
        """The marks that `to_dict` was made from."""
        marks = tuple(Mark.from_dict(each) for each in data["marks"])
        return cls(**data | {"marks": marks, "notes": tuple(data["notes"])})
