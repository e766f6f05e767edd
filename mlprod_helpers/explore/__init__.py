"""Explorers: sliders above the picture of a pure function.

An explorer is live where a kernel runs, and a picture with its text alternative everywhere else: on a web page, in a
notebook that is only read, in the outputs that tests compare. `controls` holds what all of them are made of, every other
file one subject.
"""

from mlprod_helpers.explore.adversarial import adversarial_explorer
from mlprod_helpers.explore.alarms import alarm_explorer, alarm_tradeoff
from mlprod_helpers.explore.arrivals import arrivals_explorer
from mlprod_helpers.explore.automation import automation_explorer
from mlprod_helpers.explore.controls import Choice, Slider, explore
from mlprod_helpers.explore.drift import drift_explorer
from mlprod_helpers.explore.features import skew_explorer
from mlprod_helpers.explore.latency import measured_latency_explorer
from mlprod_helpers.explore.live import cockpit
from mlprod_helpers.explore.load import load_explorer
from mlprod_helpers.explore.on_call import on_call_cockpit
from mlprod_helpers.explore.paging import paging_explorer
from mlprod_helpers.explore.record import record_form
from mlprod_helpers.explore.rollouts import rollout_explorer

__all__ = [
    "Choice",
    "Slider",
    "adversarial_explorer",
    "alarm_explorer",
    "alarm_tradeoff",
    "arrivals_explorer",
    "automation_explorer",
    "cockpit",
    "drift_explorer",
    "explore",
    "load_explorer",
    "measured_latency_explorer",
    "on_call_cockpit",
    "paging_explorer",
    "record_form",
    "rollout_explorer",
    "skew_explorer",
]
