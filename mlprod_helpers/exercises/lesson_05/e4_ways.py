"""Exercise 5.4, Realtime or batch, twice."""

from mlprod_helpers.lesson.contract import Choice, exercise

SERVICES = {
    "eta": "asked when the plane leaves the gate; labels after hours; winds change within weeks",
    "letter": "three destinations for each subscriber, mailed on Monday at 6; bookings follow within months",
    "fraud": "each card payment waits for it; charge-backs are known after 60 days",
    "security": "minutes at security, shown when the app opens; sensors give the label ten minutes later, habits last an hour",
    "banners": "picks a banner for each page view; clicks come within seconds, the news change by the hour",
    "roster": "staff for tomorrow, printed at 22:00; who was missing is reported at the end of the month",
    "fares": "tomorrow's fares are printed at midnight; each booking is a label, may not be stored, and counts for days",
}

WAYS = ("batch+batch", "batch+realtime", "realtime+batch", "realtime+realtime")

WAY_OF = {
    "eta": "batch+realtime",
    "letter": "batch+batch",
    "fraud": "batch+realtime",
    "security": "realtime+realtime",
    "banners": "realtime+realtime",
    "roster": "batch+batch",
    "fares": "realtime+batch",
}


@exercise(
    "5.4",
    "Realtime or batch, twice",
    answers=("ways",),
    points=3,
    minutes=5,
    objective="5.a",
    kind=Choice(SERVICES, options=WAYS),
    hints=(
        "Two questions each. Serving: does somebody wait, with inputs that were not known before? Training: when does the label come, and for how long is it worth something?",
        "Each label at once pays where labels come fast and age fast, or cannot be kept. Else retrain from stored rows.",
    ),
)
def ways(answer, rng, expect):
    """Seven services: training, then serving."""
    expect.cases(answer, WAY_OF)


@ways.misconception(
    "both questions got the same answer. A service that answers at once may well be trained once a month, and one that prints at midnight may learn all day: decide twice."
)
def one_decision():
    return WAY_OF | {"eta": "realtime+realtime", "fraud": "realtime+realtime", "fares": "batch+batch"}


@ways.misconception(
    "a model is to learn from labels that are not there. After 60 days a label tells what was true two months ago, and it can wait for the next retraining."
)
def learning_from_nothing():
    return WAY_OF | {"fraud": "realtime+realtime"}


@ways.misconception(
    "a service answers at once although nobody waits. A thousand rows in one call cost about what one costs alone: where the "
    "inputs are known the evening before, predict them all together."
)
def realtime_for_a_letter():
    return WAY_OF | {"letter": "batch+realtime", "roster": "batch+realtime"}


@ways.misconception(
    "predictions are made ahead although their inputs are not known yet. The gate, the payment and the page view exist only at the moment of the question."
)
def ahead_of_the_question():
    return WAY_OF | {"eta": "batch+batch", "fraud": "batch+batch"}


@ways.alternative
def from_two_sets():
    learns_at_once, somebody_waits = (
        {"security", "banners", "fares"},
        {"eta", "fraud", "security", "banners"},
    )
    name = {True: "realtime", False: "batch"}
    return {key: f"{name[key in learns_at_once]}+{name[key in somebody_waits]}" for key in SERVICES}


@ways.alternative
def other_order():
    return dict(sorted(WAY_OF.items()))
