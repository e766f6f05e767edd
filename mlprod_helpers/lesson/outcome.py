"""What a check comes to: the one contract between the check, its feedback, progress and a grader."""

import enum
from dataclasses import dataclass, field


class Outcome(enum.Enum):
    NOT_ATTEMPTED = "not attempted"
    PASSED = "passed"
    PARTLY = "partly"
    FAILED = "not yet"
    RAISED = "stopped by an error"


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    `note` is the feedback on a misconception, `partial` says that only one of its cases was seen; `fault` is set when the
    check itself broke. `seen` holds the calls.
    """

    exercise: object
    outcome: Outcome
    points: float
    lines: tuple = ()
    note: str = ""
    misconception: str = ""
    digest: str = ""
    fault: str = ""
    partial: bool = False
    seen: object = field(default=None, repr=False, compare=False)
