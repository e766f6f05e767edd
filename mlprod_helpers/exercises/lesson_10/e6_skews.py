"""Exercise 10.6, Name the skew."""

from mlprod_helpers.lesson.contract import Choice, exercise

SKEWS = ("unit", "zone", "codes", "stale", "default", "leak")

FINDINGS = {
    "A": "distance: all differ, served is 1.61 times the replay",
    "B": "hour: all differ, by 5 in January, by 4 in July",
    "C": "carrier: each batch has its own pairs",
    "D": "wind: none differ just after each full hour, nearly all just before the next",
    "E": "visibility: 4% differ, always served as 10",
    "F": "recent error: the replay is closer to the label",
    "G": "temperature: all differ, except at 40 below zero",
    "H": "bookings: served is lower, most of all in early requests",
}

RIGHT = {
    "A": "unit",
    "B": "zone",
    "C": "codes",
    "D": "stale",
    "E": "default",
    "F": "leak",
    "G": "unit",
    "H": "leak",
}


@exercise(
    "10.6",
    "Name the skew",
    answers=("skews",),
    points=3,
    minutes=5,
    objective="10.c",
    kind=Choice(FINDINGS, options=SKEWS),
    hints=(
        "Ask which side is right, the service or the replay. In most cases a part of the service is wrong, but not in all.",
        "Is there one rule for all rows? A factor, perhaps with an amount added, points to a unit. An amount that changes with the season points to a zone.",
        "Could the service have known the replayed value when the request arrived? If not, the replay has a leak, and the service is right.",
    ),
)
def skews(answer, rng, expect):
    """Eight findings of a parity test, and the kind of skew behind each."""
    expect.cases(answer, RIGHT)


@skews.misconception(
    "you expected one factor from every change of units. Two temperature scales also differ by an added constant, so ratio and difference both vary. Ask which two scales agree at 40 below zero.",
)
def degrees_are_no_unit():
    return RIGHT | {"G": "zone"}


@skews.misconception(
    "you blamed the service for old values of `bookings`. It read what was booked when the request arrived. The replay read the finished table, which contains all later bookings.",
)
def the_service_is_late():
    return RIGHT | {"H": "stale"}


@skews.misconception(
    "you blamed the service for the recent error. The replay counts flights that had not landed when the request arrived, and no service can know these. The training data must change.",
)
def the_service_is_late_twice():
    return RIGHT | {"F": "stale", "H": "stale"}


@skews.misconception(
    "you mistook hourly values for a leak. The service knows less than the replay here, but it could have known more: the newer value was measured before the request. Ask what was known.",
)
def hourly_as_leak():
    return RIGHT | {"D": "leak"}


@skews.misconception(
    "you overlooked that the served value is the same in all rows that differ. Whatever the replay has there, the service has 10. Something fills in a value that is missing.",
    when=lambda seen: _only_wrong(seen, "E"),
)
def filled_in():
    return RIGHT | {"E": "stale"}


@skews.misconception(
    "you mistook a shift in hours for a unit. There is no factor, and the difference changes when the clocks change. Ask what has one value in January and another in July.",
    when=lambda seen: _only_wrong(seen, "B"),
)
def hours_as_unit():
    return RIGHT | {"B": "unit"}


def _only_wrong(seen, letter):
    return [what for what, ok, *_ in seen.verdicts if not ok] == [f"case {letter}"]


@skews.alternative
def from_h_to_a():
    return dict(reversed(RIGHT.items()))


@skews.alternative
def skew_by_skew():
    letters = {"unit": "AG", "zone": "B", "codes": "C", "stale": "D", "default": "E", "leak": "FH"}
    return {letter: skew for skew, shown in letters.items() for letter in shown}
