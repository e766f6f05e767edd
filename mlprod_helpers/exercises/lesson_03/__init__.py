"""Exercises of lesson 03, detecting drift: from the law of a quiet week to an alarm that a team will still read."""

from mlprod_helpers.exercises.lesson_03.e1_false_alarm_rate import false_alarm_rate
from mlprod_helpers.exercises.lesson_03.e2_psi_by_hand import psi_by_hand
from mlprod_helpers.exercises.lesson_03.e3_flag import flag
from mlprod_helpers.exercises.lesson_03.e4_read_the_report import read_the_report
from mlprod_helpers.exercises.lesson_03.e5_compared_with_what import compared_with_what
from mlprod_helpers.exercises.lesson_03.e6_detectors_feed import detectors_feed
from mlprod_helpers.exercises.lesson_03.e7_score_a_detector import score_a_detector
from mlprod_helpers.exercises.lesson_03.e8_alarm_policy import alarm_policy

TITLE = "Detecting drift"
NEEDS = ("02",)
EDITION = 2
NEXT = "Go on with lesson 04, which shows what to do once you have found drift."
EXERCISES = (
    false_alarm_rate,
    psi_by_hand,
    flag,
    read_the_report,
    compared_with_what,
    detectors_feed,
    score_a_detector,
    alarm_policy,
)
