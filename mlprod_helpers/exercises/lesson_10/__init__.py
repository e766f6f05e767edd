"""Exercises of lesson 10, training and serving: what was known, which path is wrong, and labels that never come."""

from mlprod_helpers.exercises.lesson_10.e1_known_then import known_then
from mlprod_helpers.exercises.lesson_10.e2_latest_known import latest_known
from mlprod_helpers.exercises.lesson_10.e3_mean_known import mean_known
from mlprod_helpers.exercises.lesson_10.e4_features_of import features_of
from mlprod_helpers.exercises.lesson_10.e5_share_different import share_different
from mlprod_helpers.exercises.lesson_10.e6_skews import skews
from mlprod_helpers.exercises.lesson_10.e7_decide import decide
from mlprod_helpers.exercises.lesson_10.e8_explore import explore

TITLE = "Training and serving"
NEEDS = ("01",)
EDITION = 1
NEXT = "Go on with lesson 11, where you are on call for ten weeks, but do lessons 04, 06 and 08 first if you have not done them yet."
EXERCISES = (
    known_then,
    latest_known,
    mean_known,
    features_of,
    share_different,
    skews,
    decide,
    explore,
)
