"""Exercises of lesson 00, start here: two warm-ups and a placement quiz."""

from mlprod_helpers.exercises.lesson_00.e1_error_so_far import error_so_far
from mlprod_helpers.exercises.lesson_00.e2_slow_pages import slow_pages
from mlprod_helpers.exercises.lesson_00.e3_placement import placement

EDITION = 2
EXERCISES = (
    error_so_far,
    slow_pages,
    placement,
)
