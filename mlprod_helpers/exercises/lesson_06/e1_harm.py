"""Exercise 6.1, Count the harm."""

import statistics

import numpy as np

from mlprod_helpers.lesson.contract import Function, Number, exercise


def _harm(steps, rate, old_error, new_error):
    return sum(60 * minutes * percent / 100 for minutes, percent in steps) * rate * (new_error - old_error)


@exercise(
    "6.1",
    "Count the harm",
    answers=("harm",),
    points=3,
    minutes=5,
    objective="6.a",
    edition=2,
    kind=Function("steps", "rate", "old_error", "new_error", returns=Number()),
    hints=(
        "How many requests does the new version get in one step? Turn minutes into seconds, and percentages into fractions.",
        "How many of these requests fail only because of the new version?",
        "Add up `minutes * 60 * percent / 100` over the steps, as the worked example does. Multiply the sum by the rate and by the difference of the two error rates.",
    ),
)
def harm(answer, rng, expect):
    """`harm(steps, rate, old_error, new_error)`: how many more requests fail than with the old version alone."""
    rate = int(rng.integers(100, 600)) + 0.5
    # with more digits than a rounded difference keeps
    old, new = round(float(rng.uniform(0.005, 0.03)), 5), round(float(rng.uniform(0.06, 0.2)), 5)
    late = int(rng.integers(70, 200))
    # no whole minutes, no whole seconds
    minutes = rng.integers(2, 15, 4) + rng.choice([0.37, 0.62, 0.81], 4)
    ramp = list(zip(minutes.round(2).tolist(), (0.5, 5, 20, 50), strict=True))
    plans = (
        ([(2, 100)], "everybody for 2 minutes"),
        ([(40, 5)], "one user in twenty for 40 minutes"),
        (ramp, "a ramp of four steps of different lengths"),
        (
            [(10, 0), ramp[1], ramp[1], (late, 100)],
            f"a step at 0%, two equal steps, then everybody for {late} minutes",
        ),
        ([(6, 50), (6, 10)], "fewer users in the second step"),
        ([(3, 100), (late, 10)], "everybody for 3 minutes, then only one user in ten"),
        ([(0.37, 1)], "one user in a hundred for 22.2 seconds"),
        ([(5, percent) for percent in range(5, 101, 5)], "twenty steps of 5 minutes, each 5% higher"),
    )
    with expect.defining():
        for steps, what in plans:
            expect.close(answer(steps, rate, old, new), _harm(steps, rate, old, new), what)
    expect.close(
        answer(ramp, rate, old, old), 0.0, "a version that is no worse than the old one harms nobody"
    )
    expect.close(answer(ramp, rate, old, 0.0), _harm(ramp, rate, old, 0.0), "a new version that never fails")
    expect.close(
        answer(ramp, rate, 0.0, 1.0),
        _harm(ramp, rate, 0.0, 1.0),
        "an old version that never fails, a new one that always does",
    )
    slow = round(float(rng.uniform(0.2, 0.8)), 2)
    expect.close(answer(ramp, slow, old, new), _harm(ramp, slow, old, new), "less than one request a second")
    expect.close(answer([], rate, old, new), 0.0, "a plan without steps harms nobody")


@harm.inputs
def harm_inputs(rng):
    yield [(2, 100)], 20, 0.01, 0.06
    yield [(10, 5), (10, 20)], 20, 0.01, 0.06
    yield [], 20, 0.01, 0.06
    yield [(7, 0)], 20, 0.01, 0.06
    yield [(5, 10), (5, 10)], 3, 0.2, 0.1
    yield [(0.5, 0.25), (30, 100), (1, 3)], 0.5, 0.0, 1.0
    for _ in range(10):
        steps = [(int(rng.integers(1, 90)), float(rng.integers(0, 101))) for _ in range(rng.integers(1, 8))]
        yield steps, float(rng.uniform(0.1, 500)), float(rng.uniform(0, 0.3)), float(rng.uniform(0, 0.3))


@harm.misconception(
    "you used the last weight for the whole time. Each step has its own minutes and its own weight. Look at the worked example: it adds up the steps."
)
def last_weight_all_the_time(steps, rate, old_error, new_error):
    minutes = sum(minutes for minutes, _ in steps)
    return _harm([(minutes, steps[-1][1])] if steps else [], rate, old_error, new_error)


@harm.misconception(
    "you counted every failure of the new version as harm. Some of these requests would have failed with the old version too. Subtract the old error rate."
)
def all_its_errors(steps, rate, old_error, new_error):
    return _harm(steps, rate, 0, new_error)


@harm.misconception(
    "you treated a percentage as a fraction. That counts 5% of the users as five times all of them. Divide the percentages of the steps by 100."
)
def percent_as_share(steps, rate, old_error, new_error):
    return 100 * _harm(steps, rate, old_error, new_error)


@harm.misconception(
    "you multiplied minutes by a rate that is given per second. So the harm is 60 times too small. Turn the minutes into seconds first."
)
def minutes_as_seconds(steps, rate, old_error, new_error):
    return _harm(steps, rate, old_error, new_error) / 60


@harm.misconception(
    "you took the plain mean of the weights. A long step counts more than a short one. Multiply each weight by its own minutes, then add up."
)
def mean_of_the_weights(steps, rate, old_error, new_error):
    if not steps:
        return 0.0
    mean = statistics.mean(percent for _, percent in steps)
    return _harm([(sum(minutes for minutes, _ in steps), mean)], rate, old_error, new_error)


@harm.alternative
def with_numpy(steps, rate, old_error, new_error):
    minutes, percent = np.array(steps, dtype=float).reshape(-1, 2).T
    return float(minutes @ percent) * 0.6 * rate * (new_error - old_error)


@harm.alternative
def in_a_loop(steps, rate, old_error, new_error):
    wrong = 0.0
    for minutes, percent in steps:
        requests = rate * minutes * 60 * percent / 100
        wrong += requests * new_error - requests * old_error
    return wrong
