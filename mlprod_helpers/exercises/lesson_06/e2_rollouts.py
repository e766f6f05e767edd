"""Exercise 6.2, Which rollout?"""

from mlprod_helpers.lesson.contract import Choice, exercise

STRATEGIES = ("shadow", "canary", "blue_green", "ab_test")

RELEASES = {
    "pipeline": "new code computes the features; its answers should equal the old ones",
    "ranking": "a new order of hotels; the question is whether it brings more bookings",
    "framework": "a new web framework, which may crash or be slow at 50 requests a second; there are no servers for copies or a second fleet",
    "format": "the web page and the service change their common format in one night; old and new cannot work together",
    "fares": "a model that sets prices in real time; a bad one must be stopped while few users have it",
    "late": "a new ETA model, with labels after three hours; no display may show a bad time during the test",
    "nightly": "a service with 40 requests a night that must be able to go back within seconds",
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
        "For each release, ask whether users must see its answers before you can judge it. If not, copies of the requests are enough.",
        "If they must, do you want to know how much better the new version is, or only whether to stop? Can the two versions run side by side at all?",
        "With 40 requests a night, how many requests does 5% of the users send?",
    ),
)
def rollouts(answer, rng, expect):
    """Seven releases, four ways to release them."""
    expect.cases(answer, RIGHT_ROLLOUTS)


@rollouts.misconception(
    "you chose an A/B test to be safe. It runs until we know which version is better. To stop harm early, look for the strategy that finds faults while only a few users have the new version."
)
def ab_for_safety():
    return RIGHT_ROLLOUTS | {"framework": "ab_test", "fares": "ab_test"}


@rollouts.misconception(
    "you used a shadow to find out what users like. Users never see the answers of a shadow, so nobody can book from its list. Which strategy measures what users prefer?"
)
def shadow_for_bookings():
    return RIGHT_ROLLOUTS | {"ranking": "shadow"}


@rollouts.misconception(
    "you let two versions run side by side that cannot read each other's data. A canary would break both. Which strategy switches all users at once and keeps the old version ready?"
)
def canary_of_a_format():
    return RIGHT_ROLLOUTS | {"format": "canary"}


@rollouts.misconception(
    "you chose a canary for a service with hardly any traffic. A few percent of 40 requests a night are too few for the judge, even after weeks. Which strategy gives the judge all the traffic and can go back quickly?"
)
def canary_of_forty():
    return RIGHT_ROLLOUTS | {"nightly": "canary"}


@rollouts.misconception(
    "you gave users a version that you can judge without them. The label arrives later, or the old answer is the right one. Which strategy compares answers that nobody sees?"
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
