"""The catalog of what can happen in a season: how it comes about, in which metric it shows, and what helps.

Every entry is data; `world` makes the incidents with the faults of `mlprod_helpers.faults`, and the report teaches with
their words.
"""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """One kind of incident.

    `title` in words; `metric` in which it shows first; `team` that can repair it (None: nobody needs to be called); `days`
    that it lasts if nobody does anything (shortest, longest); `repair` days until a called team has repaired it; `tell`,
    what one could have seen; `help`, what helps.
    """

    title: str
    metric: str
    team: str | None
    days: tuple[int, int]
    repair: int
    tell: str
    help: str


KINDS = {
    "new_route": Kind(
        "A new terminal opens: flights to the Caribbean that the model has never seen",
        "new_route_share",
        None,
        (70, 70),
        0,
        "The share of requests for destinations without training data rises from nothing, and the error of these flights "
        "is three times as high as elsewhere.",
        "Send the new destinations to people until their labels are there, then retrain.",
    ),
    "feed_outage": Kind(
        "The feed of distances is down for one airport",
        "missing_share",
        "data",
        (5, 8),
        1,
        "The share of missing inputs rises on the first day; the error follows two days later, when the labels arrive.",
        "Roll the distance back to the route's usual one, call the data team, and leave these days out of training.",
    ),
    "unit_change": Kind(
        "One airport sends kilometers instead of miles",
        "distance_off_share",
        "data",
        (5, 8),
        1,
        "No value is missing. The share of requests with another distance than the route usually has rises on the first "
        "day, and the typical ratio of the two is 1.61.",
        "Roll the distance back to the route's usual one, call the data team, and leave these days out of training.",
    ),
    "stuck_feature": Kind(
        "The wind forecast repeats the same value each day",
        "wind_unchanged_days",
        "data",
        (14, 20),
        1,
        "Every value is possible, and none is missing. Only the number of days without any change of the wind grows.",
        "Roll the wind back, and call the data team.",
    ),
    "skew": Kind(
        "A deploy of the serving code takes headwind for tailwind",
        "mismatch_share",
        "ml",
        (20, 28),
        2,
        "From the day of the deploy on, the inputs of the service differ from those that training computes for the same "
        "requests: the wind has the other sign.",
        "Roll the code back. Retraining does not help, because training computes the right inputs.",
    ),
    "slow_dependency": Kind(
        "The service that says how far a flight goes answers slowly",
        "latency_p95",
        "platform",
        (5, 8),
        1,
        "Latency and timeouts rise on the first day, while requests need no second attempt more often than before.",
        "Roll the distance back to the route's usual one, so that nobody waits for it, and call the platform team.",
    ),
    "retry_storm": Kind(
        "Displays repeat failed requests, and the repeats keep the servers too busy",
        "attempts",
        "platform",
        (4, 7),
        1,
        "The attempts per request rise together with failures and latency.",
        "Limit the attempts to one, and call the platform team.",
    ),
    "router": Kind(
        "The router loses users of every second version",
        "rollout",
        "platform",
        (20, 28),
        1,
        "During a rollout the new version gets fewer requests than its weight says. No metric of the remaining requests "
        "shows it, because the lost ones are in no log.",
        "Compare the counts with the weights, abort the rollout, and call the platform team.",
    ),
    "label_outage": Kind(
        "The reports of flights that land early or in time do not arrive, so most labels are missing",
        "labels_share",
        "airlines",
        (18, 24),
        2,
        "The share of labels that arrived falls. What is left are the slow flights: the predictions seem too low, and a model "
        "that is trained on these labels predicts too much.",
        "Call the airlines, and do not retrain on the labels that are left.",
    ),
    "reviewers": Kind(
        "Most of the people who review are ill",
        "late_reviews",
        "staffing",
        (10, 14),
        3,
        "Flights that were sent to people are answered too late.",
        "Automate fully until the people are back.",
    ),
    "leak": Kind(
        "A new field of the request brings mail addresses into the log",
        "personal_in_sample",
        "privacy",
        (7, 10),
        1,
        "A search of a sample of the log finds mail addresses.",
        "Call the people for privacy at once.",
    ),
    "holiday": Kind(
        "A long weekend: more requests, and more of them for long flights",
        "requests",
        None,
        (3, 4),
        0,
        "Requests and distances are unusual, the error is not, and the calendar says why.",
        "Nothing. The calendar explains the alerts.",
    ),
}


class Release(NamedTuple):
    """One kind of candidate that the team offers. Its gain is simulated: a share of each flight's error that it removes.

    `gain` share of the error that it removes; `noise` minutes of error that it adds; `slow_ms` that it takes longer; `silent` share of
    LaGuardia's flights that it does not answer; `title`, what it is, in words.
    """

    title: str
    gain: float = 0.0
    noise: float = 0.0
    slow_ms: float = 0.0
    silent: float = 0.0

    @property
    def is_good(self):
        """Whether it should reach everybody."""
        return not (self.noise or self.slow_ms or self.silent)


RELEASES = {
    "good": Release("a candidate that is better", gain=0.12),
    "worse": Release("a candidate that is worse than its report says", noise=9.0),
    "slow": Release("a candidate that is better, but too slow", gain=0.12, slow_ms=260.0),
    "one_airport": Release("a candidate that fails for one airport only", gain=0.15, silent=0.14),
}
