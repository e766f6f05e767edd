"""Exercises of lesson 08, monitoring metrics: what to measure, what is normal, and whom to wake."""

from mlprod_helpers.exercises.lesson_08.e1_watch import watch
from mlprod_helpers.exercises.lesson_08.e2_missing_rows import missing_rows
from mlprod_helpers.exercises.lesson_08.e3_ctr import ctr
from mlprod_helpers.exercises.lesson_08.e4_page_open import page_open
from mlprod_helpers.exercises.lesson_08.e5_thresholds import thresholds
from mlprod_helpers.exercises.lesson_08.e6_p99 import p99
from mlprod_helpers.exercises.lesson_08.e7_causes import causes
from mlprod_helpers.exercises.lesson_08.e8_plan import plan

TITLE = "Monitoring metrics"
NEEDS = ("00",)
EDITION = 3
NEXT = "Go on with lesson 09, where you run and monitor a real service, but do lesson 06 first if you have not done it yet."
EXERCISES = (
    watch,
    missing_rows,
    ctr,
    page_open,
    thresholds,
    p99,
    causes,
    plan,
)
