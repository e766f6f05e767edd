"""The sealed script of a season: which incidents begin when, and which candidates the team offers."""

from __future__ import annotations

from dataclasses import dataclass, field

from mlprod_helpers.oncall.catalog import KINDS, RELEASES

DAYS = 70
FIRST, LAST = (
    70,
    290,
)  # first day of a season, counted from 1 January: there is a history before, and a season after
SLOTS = (4, 14, 24, 34, 44, 54)  # an incident, or two at once, begins in each of these weeks
OFFERS = (3, 18, 33, 48)  # days around which the team offers a candidate


@dataclass(frozen=True)
class Event:
    """An incident of the script: its kind, its first day, the day after its last one if nobody does anything, its place."""

    kind: str
    start: int
    end: int
    origin: str = ""


@dataclass(frozen=True)
class Offer:
    """A candidate of the script: its name, its kind, and the day on which it is offered."""

    version: str
    kind: str
    day: int


@dataclass(frozen=True)
class Script:
    """All that will happen."""

    first_day: int
    events: tuple = field(default=())
    offers: tuple = field(default=())

    def on(self, day):
        """The incidents that the script has on a day, if nobody does anything."""
        return [event for event in self.events if event.start <= day < event.end]


def draw_script(rng):
    """The script of a season, drawn by a Generator.

    Six weeks hold an incident each, of different kinds; with a chance of 60% one of them holds two at once. Of the four
    candidates two or three are better than what serves.

    >>> import numpy as np
    >>> script = draw_script(np.random.default_rng(0))
    >>> len(script.offers), len(script.events) in (6, 7)
    (4, True)
    """
    first_day = int(rng.integers(FIRST, LAST + 1))
    twice = rng.random() < 0.6
    kinds = rng.permutation(list(KINDS))[: len(SLOTS) + twice].tolist()
    slots = [*SLOTS, *([int(rng.choice(SLOTS[1:]))] if twice else [])]
    events = []
    for kind, slot in zip(kinds, slots, strict=True):
        start = slot + int(rng.integers(0, 5))
        if kind == "router":  # it shows in a rollout only, so it begins before a candidate comes
            start = max(0, min(OFFERS, key=lambda day: abs(day - start)) - 1)
        shortest, longest = KINDS[kind].days
        end = min(start + int(rng.integers(shortest, longest + 1)), DAYS)
        events.append(Event(kind, start, end, str(rng.choice(["EWR", "JFK", "LGA"]))))
    events.sort(key=lambda event: event.start)
    return Script(first_day, tuple(events), tuple(_offers(rng)))


def _offers(rng):
    bad = [kind for kind in RELEASES if kind != "good"]
    kinds = rng.permutation(["good", "good", *rng.permutation(bad)[:2]])
    for number, (kind, day) in enumerate(zip(kinds, OFFERS, strict=True), start=1):
        yield Offer(f"c{number}", str(kind), day + int(rng.integers(0, 4)))
