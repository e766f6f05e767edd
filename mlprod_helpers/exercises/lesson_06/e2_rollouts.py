"""Exercise 6.2, Which rollout?"""

from mlprod_helpers.lesson.contract import Choice, exercise

STRATEGIES = ("shadow", "canary", "blue_green", "ab_test")

RELEASES = {
    "pipeline": "features are computed by new code; its answers should equal the old ones",
    "ranking": "a new order of hotels: does it really bring more bookings?",
    "framework": "a new web framework: it may crash or be slow at 50 requests a second; no servers for copies or a second fleet",
    "format": "the web page and the service change their common format in one night; old and new do not mix",
    "fares": "a model that sets prices in real time; a bad one must be stopped while it has met few users",
    "late": "a new ETA model, labels after three hours; no display may show a bad time to find out",
    "nightly": "40 requests a night, and a way back within seconds is wanted",
}

RIGHT_ROLLOUTS = {
    "pipeline": "shadow",
    "ranking": "ab_test",
    "framework": "canary",
    "format": "blue_green",
    "fares": "canary",
    "late": "shadow",
    "nightly": "blue_green",
}


@exercise(
    "6.2",
    "Which rollout?",
    answers=("rollouts",),
    points=4,
    minutes=4,
    objective="6.a",
    kind=Choice(RELEASES, options=STRATEGIES),
    hints=(
        "Ask for each release: must users meet it to find out? If not, copies of the requests are enough.",
        'If they must, is the question "how much better is it?" or "must I stop?" Can the two versions run side by side at all?',
        "With 40 requests a night, how many requests does 5% of the users send?",
    ),
)
def rollouts(answer, rng, expect):
    """Seven releases, four ways to release them."""
    expect.cases(answer, RIGHT_ROLLOUTS)


@rollouts.misconception(
    "you chose an A/B test to be safe. It asks which version is better, and it runs until that is known. To stop harm early, look for the row of the table in which few users meet the version at first."
)
def ab_for_safety():
    return RIGHT_ROLLOUTS | {"framework": "ab_test", "fares": "ab_test"}


@rollouts.misconception(
    "you used copies to find out what users like. Users never see the answers of a shadow, so nobody can book from its list. Which strategy measures what users prefer?"
)
def shadow_for_bookings():
    return RIGHT_ROLLOUTS | {"ranking": "shadow"}


@rollouts.misconception(
    "you let two versions run side by side that cannot read each other's data. A canary would break both. Which strategy switches all users at once and keeps the old version ready?"
)
def canary_of_a_format():
    return RIGHT_ROLLOUTS | {"format": "canary"}


@rollouts.misconception(
    "you chose a canary for a service with hardly any traffic. A few percent of 40 requests tell the judge nothing for weeks. Which strategy shows it all the traffic and has a quick way back?"
)
def canary_of_forty():
    return RIGHT_ROLLOUTS | {"nightly": "canary"}


@rollouts.misconception(
    "you let users meet a version that can be judged without them. The right answer arrives by itself, or the old answer is the right one. Which strategy compares answers that nobody sees?"
)
def canary_where_copies_do():
    return RIGHT_ROLLOUTS | {"late": "canary", "pipeline": "canary"}


@rollouts.alternative
def listed_backwards():
    return dict(reversed(RIGHT_ROLLOUTS.items()))


@rollouts.alternative
def by_strategy():
    groups = {
        "shadow": ("pipeline", "late"),
        "canary": ("framework", "fares"),
        "blue_green": ("format", "nightly"),
        "ab_test": ("ranking",),
    }
    return {release: name for name, releases in groups.items() for release in releases}
