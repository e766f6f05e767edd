"""Exercises of lesson 05, deployment checklist: from a queue to a record whose promises are replayed."""

from mlprod_helpers.exercises.lesson_05.e1_scenarios import scenarios
from mlprod_helpers.exercises.lesson_05.e2_safe_rate import safe_rate
from mlprod_helpers.exercises.lesson_05.e3_servers_needed import servers_needed
from mlprod_helpers.exercises.lesson_05.e4_ways import ways
from mlprod_helpers.exercises.lesson_05.e5_cloud_and_edge import cloud_and_edge
from mlprod_helpers.exercises.lesson_05.e6_safe_entry import safe_entry
from mlprod_helpers.exercises.lesson_05.e7_door import door
from mlprod_helpers.exercises.lesson_05.e8_record import record

TITLE = "Deployment checklist"
NEEDS = ()
EDITION = 4
NEXT = "Go on with lesson 06 to release a new version safely, or with lesson 07 to decide how much a model may do alone."
EXERCISES = (
    scenarios,
    safe_rate,
    servers_needed,
    ways,
    cloud_and_edge,
    safe_entry,
    door,
    record,
)
