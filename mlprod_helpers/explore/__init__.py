"""Explorers: sliders above the picture of a pure function.

An explorer is live where a kernel runs, and a picture with its text alternative everywhere else: on a web page, in a
notebook that is only read, in the outputs that tests compare. `controls` holds what all of them are made of, every other
file one subject.
"""

from mlprod_helpers.explore.adversarial import (
    adversarial_explorer,
    adversarial_picture,
    adversarial_samples,
    best_auc,
)
from mlprod_helpers.explore.alarms import alarm_explorer, alarm_picture, alarm_tradeoff
from mlprod_helpers.explore.arrivals import arrivals_explorer
from mlprod_helpers.explore.automation import automation_explorer, automation_picture
from mlprod_helpers.explore.cockpit import cockpit_picture, cockpit_state
from mlprod_helpers.explore.controls import Choice, Explorer, Slider, explore
from mlprod_helpers.explore.drift import drift_explorer, drift_picture
from mlprod_helpers.explore.latency import measured_latency_explorer, measured_latency_picture
from mlprod_helpers.explore.live import cockpit
from mlprod_helpers.explore.load import load_explorer, load_picture
from mlprod_helpers.explore.paging import paging_explorer, paging_picture
from mlprod_helpers.explore.record import RecordForm, record_form
from mlprod_helpers.explore.rollouts import rollout_explorer, rollout_picture

__all__ = [
    "Choice",
    "Explorer",
    "RecordForm",
    "Slider",
    "adversarial_explorer",
    "adversarial_picture",
    "adversarial_samples",
    "alarm_explorer",
    "alarm_picture",
    "alarm_tradeoff",
    "arrivals_explorer",
    "automation_explorer",
    "automation_picture",
    "best_auc",
    "cockpit",
    "cockpit_picture",
    "cockpit_state",
    "drift_explorer",
    "drift_picture",
    "explore",
    "load_explorer",
    "load_picture",
    "measured_latency_explorer",
    "measured_latency_picture",
    "paging_explorer",
    "paging_picture",
    "record_form",
    "rollout_explorer",
    "rollout_picture",
]
