"""What the learner sees of an exercise: check, hint, solution, progress."""

from mlprod_helpers.lesson.face import Lesson

__all__ = ["Lesson"]
