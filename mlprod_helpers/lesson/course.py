"""How far a learner is: in one lesson, exercise by exercise, and in the whole course, with what to do next.

Which lessons come before which is in their contracts (`NEEDS`). A lesson that is needed counts as known once half of its points
are earned: nobody has to finish every exercise before going on.
"""

from dataclasses import dataclass

from mlprod_helpers.lesson import contract
from mlprod_helpers.lesson.feedback import Message, points_text
from mlprod_helpers.lesson.progress import best_points, is_older, new_row, state

TRIES_FOR_SOLUTION = 3  # different answers; somebody who has not passed by then is stuck
NO_PROOF = (
    "Your points tell you how you are doing. They prove nothing to anyone else, because a check runs in "
    "your own Python, where a determined learner can read it."
)


@dataclass(frozen=True)
class Standing:
    """How far a learner is in one lesson. `marks` maps each exercise to "open", "begun" or "done"; `stuck` to the number of tries."""

    lesson: contract.LessonContract
    points: float
    marks: dict
    stuck: dict

    @property
    def share(self):
        return self.points / self.lesson.points

    @property
    def is_done(self):
        return all(mark == "done" for mark in self.marks.values())

    @property
    def is_begun(self):
        return any(mark != "open" for mark in self.marks.values())

    @property
    def is_known(self):
        return self.share >= 0.5

    @property
    def first_open(self):
        """The exercise to go on with; None if all are done."""
        return next((key for key, mark in self.marks.items() if mark != "done"), None)


def standing(loaded, data):
    """How far somebody is in a lesson.

    Parameters
    ----------
    loaded : LessonContract
    data : dict
        The progress, as `Progress.read()` returns it.

    Returns
    -------
    Standing
    """
    rows = data["exercises"]
    marks = {each.id: state(rows.get(each.id), each.edition) for each in loaded.exercises.values()}
    stuck = {
        key: len(rows[key]["tries"])
        for key, mark in marks.items()
        if mark == "begun" and not rows[key]["passed"] and len(rows[key]["tries"]) >= TRIES_FOR_SOLUTION
    }
    points = sum(best_points(rows.get(key, new_row())) for key in loaded.exercises)
    return Standing(loaded, points, marks, stuck)


def belongs(key, lesson_id):
    """Whether a key of the progress file is this lesson's: exercises are "2.1", predictions "02.name".

    >>> belongs("2.1", "02"), belongs("02.auc", "02"), belongs("12.1", "02")
    (True, True, False)
    """
    return key.startswith((f"{int(lesson_id)}.", f"{lesson_id}."))


# --- one lesson -----------------------------------------------------------------------------------------------------------


def lesson_message(loaded, data):
    """A lesson exercise by exercise, the points of the course so far, and what to do next."""
    mine = standing(loaded, data)
    rows = [
        (mine.marks[each.id], f"{each.id} {each.title} · {_points_of(data['exercises'].get(each.id), each)}")
        for each in loaded.exercises.values()
    ]
    left = sum(mark != "done" for mark in mine.marks.values())
    still = f"{left} of {len(rows)} exercises still open" if left else "all exercises done"
    everything = sum(best_points(row) for row in data["exercises"].values())
    course = [f"All lessons so far: {points_text(everything)} points."] if everything > mine.points else []
    return Message(
        f"Lesson {loaded.lesson} · {points_text(mine.points)} of {loaded.points} points · {still}",
        share=min(1, mine.share),
        rows=rows,
        paragraphs=[*course, NO_PROOF],
        then=_next_exercise(mine),
    )


def _points_of(row, exercise):
    got = best_points(row) if row else 0
    old = ", from an older edition: try it again" if row and is_older(row, exercise.edition) else ""
    return f"{points_text(got)} of {exercise.points}{old}"


def _next_exercise(mine):
    """One sentence: the first exercise that is not passed, or where the lesson's contract sends those who have passed all."""
    if mine.is_done:
        return f"Next: {mine.lesson.next}" if mine.lesson.next else ""
    exercise = mine.lesson.exercises[mine.first_open]
    again = " again" if mine.marks[exercise.id] == "begun" else ""
    return f'Next: try exercise {exercise.id} ({exercise.title}){again}, and use `lesson.hint("{exercise.id}")` if you are stuck.'


# --- the course -----------------------------------------------------------------------------------------------------------


def course_message(data):
    """The map of the course: each lesson's points, where somebody is stuck, and what to do next."""
    all_of_them = [standing(contract.load(each), data) for each in contract.lesson_ids()]
    known = {each.lesson.lesson: each.is_known for each in all_of_them}
    missing = {
        each.lesson.lesson: [need for need in each.lesson.needs if not known.get(need, True)]
        for each in all_of_them
    }
    rows = [
        (
            mark_of(each, missing[each.lesson.lesson]),
            _line(each, missing[each.lesson.lesson]),
            min(1, each.share),
        )
        for each in all_of_them
    ]
    points = sum(each.points for each in all_of_them)
    possible = sum(each.lesson.points for each in all_of_them)
    done = sum(each.is_done for each in all_of_them)
    return Message(
        f"Your course · {points_text(points)} of {possible} points · {done} of {len(all_of_them)} lessons done",
        share=min(1, points / possible),
        rows=rows,
        paragraphs=[_where_stuck(all_of_them)],
        then=_next_lesson(all_of_them, missing),
    )


def mark_of(each, missing):
    """One word for a lesson: "done", "begun", "ready", or "later" where lessons that it needs are missing."""
    if each.is_done:
        return "done"
    if each.is_begun:
        return "begun"
    return "later" if missing else "ready"


def _line(each, missing):
    lesson = each.lesson
    after = f", after {_lessons(missing)}" if missing and not each.is_begun else ""
    return f"{lesson.lesson} {lesson.title} · {points_text(each.points)} of {lesson.points} points{after}"


def _where_stuck(all_of_them):
    stuck = [
        f"{key} ({tries} different answers)" for each in all_of_them for key, tries in each.stuck.items()
    ]
    if not stuck:
        return ""
    return f"You seem to be stuck at {_and(stuck)}. Use `lesson.hint` in that lesson, or `lesson.solution`, which is open now."


def _next_lesson(all_of_them, missing):
    """What to do next: go on with what was begun, else begin the first lesson whose needs are met."""
    begun = [each for each in all_of_them if each.is_begun and not each.is_known]
    ready = [each for each in all_of_them if not each.is_begun and not missing[each.lesson.lesson]]
    unfinished = [each for each in all_of_them if not each.is_done]
    if not unfinished:
        return "You have passed every exercise of the course."
    if begun:
        first, says = begun[0], "go on with"
    elif ready:
        first, says = ready[0], "begin"
    else:
        first, says = unfinished[0], "finish"
    others = [each.lesson.lesson for each in ready if each is not first]
    also = f" You can also begin {_lessons(others)}." if others else ""
    return f"Next: {says} lesson {first.lesson.lesson} ({first.lesson.title}) at exercise {first.first_open}.{also}"


def _lessons(ids):
    return f"lesson{'s' if len(ids) > 1 else ''} {_and(ids)}"


def _and(words):
    """
    >>> _and(["01", "05", "08"])
    '01, 05 and 08'
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
