"""Exercises of lesson 06, deployment strategies: who meets a new version, who judges it, and what it costs."""

from mlprod_helpers.exercises.lesson_06.e1_harm import harm
from mlprod_helpers.exercises.lesson_06.e2_rollouts import rollouts
from mlprod_helpers.exercises.lesson_06.e3_route import route
from mlprod_helpers.exercises.lesson_06.e4_split_check import split_check
from mlprod_helpers.exercises.lesson_06.e5_judge import judge
from mlprod_helpers.exercises.lesson_06.e6_bars import bars
from mlprod_helpers.exercises.lesson_06.e7_views_needed import views_needed
from mlprod_helpers.exercises.lesson_06.e8_plan_and_judge import plan_and_judge

TITLE = "Deployment strategies"
NEEDS = ("05",)
EDITION = 3
NEXT = "Go on with lesson 09, where you run a canary against a real service on your own machine."
EXERCISES = (
    harm,
    rollouts,
    route,
    split_check,
    judge,
    bars,
    views_needed,
    plan_and_judge,
)
