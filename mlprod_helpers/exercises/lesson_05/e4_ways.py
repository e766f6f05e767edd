"""Exercise 5.4, Realtime or batch, twice."""

from mlprod_helpers.lesson.contract import Choice, exercise

SERVICES = {
    "eta": "predicted when the plane leaves the gate; labels arrive after hours; winds change within weeks",
    "letter": "three destinations for each subscriber, mailed on Monday at 6; bookings follow within months",
    "fraud": "each card payment waits for the answer; charge-backs are known after 60 days",
    "security": "waiting time at security, shown when the app opens; sensors give the label ten minutes later, and it is useful for an hour",
    "banners": "picks a banner for each page view; clicks arrive within seconds, and the news changes every hour",
    "roster": "staff needed tomorrow, printed at 22:00; shortages are reported at the end of the month",
    "fares": "tomorrow's fares are printed at midnight; each booking is a label that may not be stored, and it is useful for days",
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
        "Ask two questions. Serving: is somebody waiting for an answer to inputs that were not known in advance? Training: when does the label arrive, and for how long is it useful?",
        "Learning from each label at once pays off if labels arrive soon and quickly go out of date, or must not be stored. Otherwise retrain from stored rows.",
    ),
)
def ways(answer, rng, expect):
    """Seven services: training, then serving."""
    expect.cases(answer, WAY_OF)


@ways.misconception(
    "you gave both questions the same answer. A service that answers at once may be trained once a month, and one that prints at midnight may learn all day. Decide about training and serving separately."
)
def one_decision():
    return WAY_OF | {"eta": "realtime+realtime", "fraud": "realtime+realtime", "fares": "batch+batch"}


@ways.misconception(
    "you let a model learn in real time from labels that arrive late. A label that takes 60 days can wait for the next retraining. Look at when each label arrives."
)
def learning_from_nothing():
    return WAY_OF | {"fraud": "realtime+realtime"}


@ways.misconception(
    "you let a service answer at once although nobody waits. A thousand rows in one call cost about as much as one row alone. "
    "Which inputs are known the evening before?"
)
def realtime_for_a_letter():
    return WAY_OF | {"letter": "batch+realtime", "roster": "batch+realtime"}


@ways.misconception(
    "you made predictions ahead of time although their inputs are not known yet. The departure and the payment exist only when the request arrives. When is each input known?"
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
