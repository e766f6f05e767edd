"""Exercises of lesson 04, handling drift: from a half-life to a policy that decides when and how to retrain."""

from mlprod_helpers.exercises.lesson_04.e1_fading import fading
from mlprod_helpers.exercises.lesson_04.e2_forecast import forecast
from mlprod_helpers.exercises.lesson_04.e3_split import split
from mlprod_helpers.exercises.lesson_04.e4_choose import choose
from mlprod_helpers.exercises.lesson_04.e5_serve import serve
from mlprod_helpers.exercises.lesson_04.e6_click_rates import click_rates
from mlprod_helpers.exercises.lesson_04.e7_new_mix import new_mix
from mlprod_helpers.exercises.lesson_04.e8_policy import policy

TITLE = "Handling drift"
NEEDS = ("03",)
EDITION = 2
NEXT = "Go on with lesson 05, where you get a model ready for deployment."
EXERCISES = (
    fading,
    forecast,
    split,
    choose,
    serve,
    click_rates,
    new_mix,
    policy,
)
