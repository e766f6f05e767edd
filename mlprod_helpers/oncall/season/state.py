"""All that changes while a season is played: the state that `day`, `measuring` and `doing` read and write."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import numpy as np

from mlprod_helpers.oncall.catalog import Release
from mlprod_helpers.oncall.costs import COSTS
from mlprod_helpers.oncall.metrics import METRICS
from mlprod_helpers.oncall.season.rollouts import Version
from mlprod_helpers.oncall.season.world import BEFORE, TRAINED_UNTIL, USUAL

# minutes: in a label outage only the reports of flights that are slower than expected by so much arrive
CENSORED = 5.0
LABELS = 2  # mornings after a day until its labels are there


@dataclass
class State:
    """The service and its team on a day; `world` never changes.

    `starts` and `ends`, kind of incident -> its first day, and the day on which it is over, which a repair brings forward;
    `stack`, the versions that have served, the last one serves; `candidates`, name -> {"version", "shown"}; `off`, features that
    are rolled back; `sums`, what models are trained on, as if nothing broke on days that are to come; `records`, day -> what was
    logged; `history`, metric -> a value each morning; `ledger`, a dict of dollars by cost for each day, `today` the current one;
    `harm`, dollars by incident; `good` of `total` requests got a usable answer.
    """

    world: object
    day: int = -USUAL
    starts: dict = field(default_factory=dict)
    ends: dict = field(default_factory=dict)
    stack: list = field(default_factory=list)
    candidates: dict = field(default_factory=dict)
    rollout: object = None
    alerts: object = None
    usual: dict = field(default_factory=dict)
    off: set = field(default_factory=set)
    gates: dict = field(default_factory=dict)
    retries: int = 3
    automation: dict = field(default_factory=lambda: {"degree": "partial", "threshold": 12.0, "always": ()})
    pages: list = field(default_factory=list)
    messages: list = field(default_factory=list)
    deploys: list = field(default_factory=list)
    sums: object = None
    records: dict = field(default_factory=dict)
    history: dict = field(default_factory=lambda: {name: [] for name in METRICS})
    ledger: list = field(default_factory=list)
    today: dict = field(default_factory=dict)
    harm: dict = field(default_factory=dict)
    timeline: list = field(default_factory=list)
    good: int = 0
    total: int = 0

    def __post_init__(self):
        self.ends = {event.kind: event.end for event in self.world.script.events}
        self.starts = {event.kind: event.start for event in self.world.script.events}
        self.stack = [Version("m0", self.world.first, Release("the first model"), TRAINED_UNTIL)]
        self.sums = copy.deepcopy(self.world.clean)

    def copy(self):
        """A state that goes on for itself, in the same world."""
        return copy.deepcopy(self, {id(self.world): self.world})

    @property
    def serving(self):
        """The version that serves."""
        return self.stack[-1]

    def is_on(self, kind):
        """Whether an incident is there today, by the script and what was repaired."""
        return kind in self.starts and self.starts[kind] <= self.day < self.ends[kind]

    def pay(self, cost, amount):
        """Charge an amount of a cost to today."""
        self.today[cost] = self.today.get(cost, 0.0) + COSTS[cost].dollars * float(amount)

    def blame(self, kind, dollars):
        """Say that an incident cost so much."""
        self.harm[kind] = self.harm.get(kind, 0.0) + float(dollars)

    def note(self, what, text, day=None):
        """Add a line to the timeline."""
        self.timeline.append({"day": self.day if day is None else day, "what": what, "text": text})

    def forget_costs(self):
        """Begin the accounts anew: the season begins."""
        self.ledger, self.today, self.harm, self.good, self.total = [], {}, {}, 0, 0


def label_mornings(state, part):
    """The morning on which the label of each flight is there."""
    known = np.full(part.stop - part.start, state.day + LABELS)
    if state.is_on("label_outage"):
        quick = state.world.flights.air_time[part] < state.world.fresh[part] + CENSORED
        known = np.where(quick, np.maximum(known, state.ends["label_outage"] + 1), known)
    return known


def put_day(state, day, rows):
    """Add a day to what models are trained on."""
    flights, record = state.world.flights, state.records[day]
    dest, air_time = flights.dest[record["part"]], flights.air_time[record["part"]]
    state.sums.put(day + BEFORE, dest[rows], record["distance"][rows], record["wind"][rows], air_time[rows])
