"""Exercises of lesson 07, degrees of automation: who decides, how far a model may be trusted, and when to step down."""

from mlprod_helpers.exercises.lesson_07.e1_degrees import degrees
from mlprod_helpers.exercises.lesson_07.e2_joint import joint
from mlprod_helpers.exercises.lesson_07.e3_coverage_at import coverage_at
from mlprod_helpers.exercises.lesson_07.e4_decide import decide
from mlprod_helpers.exercises.lesson_07.e5_cheapest import cheapest
from mlprod_helpers.exercises.lesson_07.e6_report import report
from mlprod_helpers.exercises.lesson_07.e7_safe_threshold import safe_threshold
from mlprod_helpers.exercises.lesson_07.e8_policy import policy

TITLE = "Degrees of automation"
NEEDS = ("05",)
EDITION = 2
NEXT = "Go on with lesson 08, where you choose what to monitor and when to wake somebody."
EXERCISES = (
    degrees,
    joint,
    coverage_at,
    decide,
    cheapest,
    report,
    safe_threshold,
    policy,
)
