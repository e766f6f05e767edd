"""Exercise 10.1, Known when the request came?"""

from mlprod_helpers.lesson.contract import Choice, exercise

ANSWERS = ("known", "not yet", "depends")

COLUMNS = {
    "A": "the scheduled hour",
    "B": "this flight's own arrival delay",
    "C": "wind of the last full hour",
    "D": "miles between the airports",
    "E": "mean air time of the route over the whole year",
    "F": "mean air time of the route in the last month",
    "G": "delays of the last ten minutes",
    "H": "number of delayed flights of this day",
}

RIGHT = {
    "A": "known",
    "B": "not yet",
    "C": "depends",
    "D": "known",
    "E": "not yet",
    "F": "known",
    "G": "depends",
    "H": "not yet",
}


@exercise(
    "10.1",
    "Known when the request came?",
    answers=("known_then",),
    points=3,
    minutes=4,
    objective="10.a",
    kind=Choice(COLUMNS, options=ANSWERS),
    hints=(
        "The request arrives at the scheduled departure. For each column, ask when the last value that goes into it came into existence, not which day the row is about.",
        "A value that existed before the request can still be on its way. In such cases, it depends on the feed.",
        "A mean over a period is complete only after the period has ended.",
    ),
)
def known_then(answer, rng, expect):
    """Eight columns of a training row, and whether the service knew them."""
    expect.cases(answer, RIGHT)


@known_then.misconception(
    "you counted everything in the row as known. The table was completed later, so it also contains what happened after the request. Ask when each value came into existence.",
)
def all_known():
    return dict.fromkeys(RIGHT, "known")


@known_then.misconception(
    "you counted as known what happens only after the request. The table was completed later, so it contains such values too. Ask when each value came into existence.",
)
def later_is_known():
    return RIGHT | {"B": "known", "H": "known"}


@known_then.misconception(
    "you counted a mean over the year as known, because it is the same for each flight of the route. In March, most of the year's flights had not left yet. A mean is known only once its last value is known.",
)
def the_year_is_history():
    return RIGHT | {"E": "known"}


@known_then.misconception(
    "you asked when things happened, not when they were reported. The wind was measured and the flights left before the request, but the reports may still be on their way.",
)
def reports_without_delay():
    return RIGHT | {"C": "known", "G": "known"}


@known_then.misconception(
    "you counted this flight's own delay as something that the service may know. At the scheduled departure, the plane has not landed. No feed can report its arrival yet, however fast it is.",
)
def its_own_delay():
    return RIGHT | {"B": "depends"}


@known_then.misconception(
    "you counted a number for the whole day as known, or as dependent on the feed. It includes this evening's flights. No feed reports them before they happen.",
)
def the_day_so_far():
    return RIGHT | {"H": "depends"}


@known_then.misconception(
    "you counted a mean of past flights as unknown. The month ended two days ago, so all of its air times have been reported. The service can use a mean of past values.",
)
def no_mean_is_known():
    return RIGHT | {"F": "not yet"}


@known_then.misconception(
    "you counted a value that comes from a feed as unknown. It existed at the time of the request, and a feed that is fast enough has already reported it.",
)
def feeds_are_too_late():
    return RIGHT | {"C": "not yet", "G": "not yet"}


@known_then.alternative
def from_h_to_a():
    return dict(reversed(RIGHT.items()))


@known_then.alternative
def answer_by_answer():
    letters = {"known": "ADF", "not yet": "BEH", "depends": "CG"}
    return {letter: answer for answer, shown in letters.items() for letter in shown}
