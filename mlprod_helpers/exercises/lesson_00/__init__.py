"""Exercises of lesson 00, start here: two warm-ups and a placement quiz."""

from mlprod_helpers.exercises.lesson_00.e1_error_so_far import error_so_far
from mlprod_helpers.exercises.lesson_00.e2_slow_pages import slow_pages
from mlprod_helpers.exercises.lesson_00.e3_placement import placement

TITLE = "Start here"
NEEDS = ()
EDITION = 2
NEXT = "Go on with lesson 01 to see what can change around a model, or with lesson 05 if you are about to deploy one."
EXERCISES = (
    error_so_far,
    slow_pages,
    placement,
)
