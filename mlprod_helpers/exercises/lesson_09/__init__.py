"""Exercises of lesson 09, model serving: what a request meets between the door and the log, and who decides when it goes wrong."""

from mlprod_helpers.exercises.lesson_09.e1_p99 import p99
from mlprod_helpers.exercises.lesson_09.e2_life import life
from mlprod_helpers.exercises.lesson_09.e3_handle import handle
from mlprod_helpers.exercises.lesson_09.e4_serve_in_batches import serve_in_batches
from mlprod_helpers.exercises.lesson_09.e5_queue_limit import queue_limit
from mlprod_helpers.exercises.lesson_09.e6_care import care
from mlprod_helpers.exercises.lesson_09.e7_on_tick import on_tick
from mlprod_helpers.exercises.lesson_09.e8_shift import shift

TITLE = "Model serving"
NEEDS = ("06",)
EDITION = 2
NEXT = "Go on with lesson 10, where a model is right in the notebook and wrong in the service, but do lesson 01 first if you have not done it yet."
EXERCISES = (
    p99,
    life,
    handle,
    serve_in_batches,
    queue_limit,
    care,
    on_tick,
    shift,
)
