"""Exercises of lesson 01, drift types: what changed, which monitor shows it, since when, and what to do."""

from mlprod_helpers.exercises.lesson_01.e1_monitors import monitors
from mlprod_helpers.exercises.lesson_01.e2_conditional_change import conditional_change
from mlprod_helpers.exercises.lesson_01.e3_diagnose import diagnose
from mlprod_helpers.exercises.lesson_01.e4_regime import regime
from mlprod_helpers.exercises.lesson_01.e5_onsets import onsets
from mlprod_helpers.exercises.lesson_01.e6_error_by_day import error_by_day
from mlprod_helpers.exercises.lesson_01.e7_tickets import tickets
from mlprod_helpers.exercises.lesson_01.e8_triage import triage

TITLE = "Drift types"
NEEDS = ("00",)
EDITION = 2
NEXT = "Go on with lesson 02, where a classifier finds the difference between two tables."
EXERCISES = (
    monitors,
    conditional_change,
    diagnose,
    regime,
    onsets,
    error_by_day,
    tickets,
    triage,
)
