"""What a season cost, what was missed, what was done for nothing, and what one could have seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mlprod_helpers.files import write_text
from mlprod_helpers.oncall.catalog import KINDS, RELEASES
from mlprod_helpers.oncall.costs import COSTS
from mlprod_helpers.oncall.postmortem import post_mortem

NOTHING = "nothing found"


@dataclass(frozen=True)
class Report:
    """The result of `Season.play`: all money in dollars.

    Attributes
    ----------
    random_state, days : int, the season and how many of its days were played
    cost : float, of the whole season
    by_cause : dict, name of a cost -> dollars
    by_incident : dict, kind of incident, "drift", or candidate -> dollars that it cost, as far as that can be told apart
    by_day : list of dicts, one a day: name of a cost -> dollars
    timeline : list of dicts "day", "what" ("incident", "alert", "action", "rollout", "lost"), "text"
    incidents : list of dicts "kind", "title", "start", "end", "ended", "noticed" (first alert in its metric), "answered"
        (first action that helps), "cost"; one an incident of the script that had begun
    missed, for_nothing : lists of texts
    debrief : list of dicts "title", "day", "metric", "visible" (the first morning on which the metric was unusual, or None),
        "seen", "help", one an incident
    """

    random_state: int
    days: int
    cost: float
    by_cause: dict
    by_incident: dict
    by_day: list
    timeline: list
    incidents: list
    missed: list
    for_nothing: list
    debrief: list
    first_date: str

    @classmethod
    def of(cls, state, random_state):
        """The report of a season as far as it was played, from its `State`."""
        days = state.day
        by_day = [{name: round(value, 2) for name, value in day.items()} for day in state.ledger]
        by_cause = {name: round(sum(day.get(name, 0.0) for day in state.ledger), 2) for name in COSTS}
        incidents = [_incident(state, event) for event in state.world.script.events if event.start < days]
        begun = [{"day": one["start"], "what": "incident", "text": one["title"] + "."} for one in incidents]
        return cls(
            random_state,
            days,
            round(sum(by_cause.values()), 2),
            by_cause,
            {name: round(value, 2) for name, value in sorted(state.harm.items(), key=lambda item: -item[1])},
            by_day,
            sorted([*begun, *(dict(one) for one in state.timeline)], key=lambda one: one["day"]),
            incidents,
            _missed(state, incidents),
            _for_nothing(state),
            [_lesson(state, one) for one in incidents],
            state.world.date(0),
        )

    def table(self):
        """The cost by cause as a DataFrame: index cause; columns dollars and share, the largest first."""
        table = pd.DataFrame({"dollars": pd.Series(self.by_cause)}).sort_values(
            "dollars", ascending=False, kind="stable"
        )
        return table.assign(share=(table["dollars"] / max(self.cost, 1e-9)).round(3)).round(3)

    def post_mortem(self):
        """A blameless post-mortem of the most expensive incident and a summary of the others, as Markdown to edit."""
        return post_mortem(self)

    def save_post_mortem(self, path="post_mortem.md"):
        """Write the post-mortem to a new file for you to edit; returns its Path.

        FileExistsError if there is such a file: what you have written stays.
        """
        path = Path(path)
        if path.exists():
            raise FileExistsError(f"{path} is there already, perhaps with your edits. Give another name.")
        return write_text(path, self.post_mortem())

    def plot(self):
        """The dollars of each day, over the incidents and what answered them."""
        from mlprod_helpers.oncall.pictures import season_picture

        return season_picture(self)

    def __str__(self):
        worst = [f"  {name:<16}{value:>10,.0f}" for name, value in self.by_cause.items() if value]
        return "\n".join(
            [
                f"Season {self.random_state}, {self.days} days from {self.first_date}: {self.cost:,.0f} dollars",
                *worst,
                f"Missed: {'; '.join(self.missed) or 'nothing'}.",
                f"Done for nothing: {'; '.join(self.for_nothing) or 'nothing'}.",
            ]
        )


# what counts as an answer to an incident: the start of an action's words
_ANSWERS = {
    "new_route": ("retrain", "automation"),
    "feed_outage": ("page data", "roll back distance", "gate distance"),
    "unit_change": ("page data", "roll back distance", "gate distance"),
    "stuck_feature": ("page data", "roll back wind"),
    "skew": ("roll back code", "page ml"),
    "slow_dependency": ("page platform", "roll back distance"),
    "retry_storm": ("page platform", "limit retries"),
    "router": ("page platform", "abort"),
    "label_outage": ("page airlines",),
    "reviewers": ("automation", "page staffing"),
    "leak": ("page privacy",),
    "holiday": (),
}


def _incident(state, event):
    kind = KINDS[event.kind]
    ended = min(state.ends[event.kind], state.day)
    noticed = [
        one["day"]
        for one in state.timeline
        if one["what"] == "alert"
        and one["text"].startswith(kind.metric + " ")
        and event.start < one["day"] <= event.end
    ]
    answered = [
        one["day"]
        for one in state.timeline
        if one["what"] == "action"
        and one["text"].startswith(_ANSWERS[event.kind] or ("\0",))
        and event.start < one["day"] <= event.end
    ]
    return {
        "kind": event.kind,
        "title": kind.title,
        "origin": event.origin if event.kind in ("feed_outage", "unit_change") else "",
        "start": event.start,
        "end": event.end,
        "ended": ended,
        "noticed": min(noticed, default=None),
        "answered": min(answered, default=None),
        "cost": round(state.harm.get(event.kind, 0.0), 2),
    }


def _missed(state, incidents):
    missed = [
        f"{one['title']} (day {one['start']})"
        for one in incidents
        if one["answered"] is None and one["kind"] != "holiday" and one["start"] < state.day - 1
    ]
    stack = {version.name for version in state.stack}
    missed += [
        f"{offer.version}, {RELEASES[offer.kind].title}, reached everybody"
        for offer in state.world.script.offers
        if offer.version in stack and offer.kind != "good"
    ]
    missed += [
        f"{offer.version}, {RELEASES[offer.kind].title}, was not used"
        for offer in state.world.script.offers
        if offer.version not in stack and offer.kind == "good" and offer.day < state.day - 7
    ]
    return missed


def _for_nothing(state):
    pages = [
        f"page to {page['team']} on day {page['day']}" for page in state.pages if page["status"] == NOTHING
    ]
    rolled = []
    for what, kinds in (
        ("wind", ("stuck_feature",)),
        ("distance", ("feed_outage", "unit_change", "slow_dependency")),
        ("code", ("skew",)),
    ):
        for one in state.timeline:
            if one["what"] == "action" and one["text"] == f"roll back {what}":
                near = [
                    event
                    for event in state.world.script.events
                    if event.kind in kinds and event.start <= one["day"] <= event.end
                ]
                if not near:
                    rolled.append(f"roll back {what} on day {one['day']}")
    return pages + rolled


def _lesson(state, one):
    kind = KINDS[one["kind"]]
    return {
        "title": kind.title,
        "day": one["start"],
        "metric": kind.metric,
        "visible": _first_outside(state, kind.metric, one["start"], one["ended"]),
        "seen": kind.tell,
        "help": kind.help,
    }


def _first_outside(state, metric, start, end):
    """The first morning after the onset on which the metric was outside of its usual range, or None."""
    if metric not in state.history:
        return None
    low, high = state.usual[metric]
    before = len(state.history[metric]) - 1 - state.day  # mornings of the history before day 0
    for morning in range(start + 1, min(end + 3, state.day + 1)):
        value = state.history[metric][before + morning]
        if value is not None and not low <= value <= high:
            return morning
    return None
