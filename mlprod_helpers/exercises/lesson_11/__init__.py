"""Exercises of lesson 11, on call: the five steps of a policy, the whole policy, and a post-mortem."""

from mlprod_helpers.exercises.lesson_11.e1_mornings import mornings
from mlprod_helpers.exercises.lesson_11.e2_observe import observe
from mlprod_helpers.exercises.lesson_11.e3_alert import alert
from mlprod_helpers.exercises.lesson_11.e4_diagnose import diagnose
from mlprod_helpers.exercises.lesson_11.e5_act import act
from mlprod_helpers.exercises.lesson_11.e6_verify import verify
from mlprod_helpers.exercises.lesson_11.e7_on_call import on_call
from mlprod_helpers.exercises.lesson_11.e8_post_mortem import post_mortem

TITLE = "On call"
NEEDS = ("04", "06", "08")
EDITION = 1
NEXT = "You have reached the end of the course, so write a deployment record (lesson 05), a monitoring plan (lesson 08) and a runbook for a service of your own."
EXERCISES = (
    mornings,
    observe,
    alert,
    diagnose,
    act,
    verify,
    on_call,
    post_mortem,
)
