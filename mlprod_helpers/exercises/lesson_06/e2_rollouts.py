"""Exercise 6.2, Which rollout?"""

from mlprod_helpers.lesson.contract import Choice, exercise

STRATEGIES = ("shadow", "canary", "blue_green", "ab_test")

RELEASES = {
    "pipeline": "features are computed by new code; its answers should equal the old ones",
    "ranking": "a new order of hotels: does it really bring more bookings?",
    "framework": "a new web framework: it may crash or be slow at 50 requests a second; no servers for copies or a second fleet",
    "format": "page and service change their common format in one night; old and new do not mix",
    "fares": "a model that sets prices in real time; its damage must be stopped while few are hit",
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
        "Ask of each release: must users meet it to find out? If not, copies will do.",
        'If they must: is the question "is it better, and by how much?" or "must I stop?" And can two versions live side by side at all?',
        "With 40 requests a night a percentage of the users is nobody.",
    ),
)
def rollouts(answer, rng, expect):
    """Seven releases, four ways to release them."""
    expect.cases(answer, RIGHT_ROLLOUTS)


@rollouts.misconception(
    "an A/B test were a safe way to release. It asks which of two versions is better and runs until that is known; a canary asks whether to stop, as soon as it can."
)
def ab_for_safety():
    return RIGHT_ROLLOUTS | {"framework": "ab_test", "fares": "ab_test"}


@rollouts.misconception(
    "copies could tell whether users like a list. They never saw it, so nobody could book from it."
)
def shadow_for_bookings():
    return RIGHT_ROLLOUTS | {"ranking": "shadow"}


@rollouts.misconception(
    "two versions could always live side by side. Where they write what the other cannot read, a canary breaks both: switch all at once, and keep the old ones warm."
)
def canary_of_a_format():
    return RIGHT_ROLLOUTS | {"format": "canary"}


@rollouts.misconception(
    "a canary worked at any traffic. A share of almost nothing is nothing: nobody would be judged for weeks."
)
def canary_of_forty():
    return RIGHT_ROLLOUTS | {"nightly": "canary"}


@rollouts.misconception(
    "users had to meet a version before it can be judged. Where the truth comes by itself, a copy of the request is enough: its answer is compared later, and nobody saw it."
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
