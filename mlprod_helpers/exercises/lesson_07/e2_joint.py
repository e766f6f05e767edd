"""Exercise 7.2, Better together?"""

from mlprod_helpers.lesson.contract import Function, Number, exercise


@exercise(
    "7.2",
    "Better together?",
    answers=("joint",),
    points=3,
    minutes=6,
    objective="7.b",
    edition=2,
    kind=Function("both", "model_only", "human_only", "follow_right", "follow_wrong", returns=Number()),
    hints=(
        "Three kinds of cases can end well: both are right, only the model is, or only the person is.",
        "Where only the model is right, the person must follow. Where only the person is right, they must *not* follow.",
        "The third part is `human_only * (1 - follow_wrong)`.",
    ),
)
def joint(answer, rng, expect):
    """`joint(...)`: how often a person who sees the suggestion is right."""
    with expect.defining():
        # of the cases in which only one is right, `part` is the share in which it is the model; near a half, errors that
        # persuade make the pair worse than either alone; at 0.25 the person is better alone, and at 0.65 the model
        for what, part in (("errors persuade", 0.45), ("wary of errors", 0.25), ("another team", 0.65)):
            both, one = (float(x) for x in rng.dirichlet([8, 4, 1])[:2])
            model_only = one * (part + float(rng.uniform(0, 0.1)))
            human_only = one - model_only
            low, high = float(rng.uniform(0.1, 0.35)), float(rng.uniform(0.6, 0.95))
            right, wrong = (low, high) if what == "errors persuade" else (high, low)
            want = both + model_only * right + human_only * (1 - wrong)
            expect.close(answer(both, model_only, human_only, right, wrong), want, what)
    both, model_only, human_only = (float(x) for x in rng.dirichlet([8, 2, 2, 1])[:3])
    expect.close(answer(both, model_only, human_only, 0.0, 0.0), both + human_only, "nobody ever follows")
    expect.close(
        answer(both, model_only, human_only, 1.0, 1.0), both + model_only, "everybody always follows"
    )
    # a person who tells good suggestions from bad ones, and is never right where the model is
    expect.close(
        answer(0.0, model_only, human_only, 1.0, 0.0),
        model_only + human_only,
        "only right suggestions are followed",
    )
    expect.close(answer(both, model_only, human_only, 0.0, 1.0), both, "only wrong suggestions are followed")
    expect.close(answer(0.0, 0.0, 0.0, 0.5, 0.5), 0.0, "neither is ever right")
    expect.close(answer(1.0, 0.0, 0.0, 0.5, 0.5), 1.0, "both are always right")


@joint.inputs
def joint_inputs(rng):
    yield 0.765, 0.135, 0.085, 0.7, 0.7
    yield 0.765, 0.135, 0.085, 0.5, 0.95
    yield 0.0, 0.0, 0.0, 1.0, 1.0
    yield 1.0, 0.0, 0.0, 0.3, 0.6
    for _ in range(20):
        yield (*(float(x) for x in rng.dirichlet([2, 1, 1, 1])[:3]), *(float(x) for x in rng.random(2)))


@joint.misconception(
    "you took the better of the two. That would need people who always know when to follow. Use both `follow_right` and `follow_wrong`.",
)
def as_the_better(both, model_only, human_only, follow_right, follow_wrong):
    return both + max(model_only, human_only)


@joint.misconception(
    "you took the mean of the two. The result depends on whom the person follows when the two differ. Replace the coin's 0.5 with the two shares.",
)
def as_the_mean(both, model_only, human_only, follow_right, follow_wrong):
    return both + (model_only + human_only) / 2


@joint.misconception(
    "you used `follow_right` for wrong suggestions as well. Persuasive errors are followed more often. Use `follow_wrong` where only the person is right.",
)
def one_way_of_following(both, model_only, human_only, follow_right, follow_wrong):
    return both + model_only * follow_right + human_only * (1 - follow_right)


@joint.misconception(
    "you counted a wrong suggestion that is followed as a success. Where only the person is right, the case ends well if they do *not* follow. How often is that?",
)
def following_always_helps(both, model_only, human_only, follow_right, follow_wrong):
    return both + model_only * follow_right + human_only * follow_wrong


@joint.alternative
def from_what_goes_wrong(both, model_only, human_only, follow_right, follow_wrong):
    neither = 1 - both - model_only - human_only
    return 1 - neither - model_only * (1 - follow_right) - human_only * follow_wrong


@joint.alternative
def from_the_person(both, model_only, human_only, follow_right, follow_wrong):
    alone = both + human_only
    return alone + follow_right * model_only - follow_wrong * human_only
