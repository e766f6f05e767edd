"""Exercise 0.2, One slow answer in a hundred."""

import numpy as np

from mlprod_helpers.lesson.contract import Function, Number, exercise


@exercise(
    "0.2",
    "One slow answer in a hundred",
    answers=("slow_pages",),
    points=2,
    minutes=3,
    objective="0.c",
    edition=2,
    kind=Function("n_requests", "slow_share", returns=Number()),
    hints=(
        "A web page is fast only if every one of its requests is fast.",
        "How likely is it that all `n_requests` are fast? All other web pages are slow.",
    ),
)
def slow_pages(answer, rng, expect):
    """`slow_pages(n_requests, slow_share)`: share of pages that wait for at least one slow answer."""
    few, more, many = (int(rng.integers(low, high)) for low, high in ((2, 10), (10, 60), (310, 350)))
    with expect.defining():
        for n, most in ((many, 0.0009), (more, 0.05), (few, 0.4)):  # so that no share is close to 1
            share = round(float(rng.uniform(most / 3, most)), 5)
            expect.close(
                answer(n, share),
                1 - (1 - share) ** n,
                f"a page of {n} requests, {share:.3%} slow",
                rtol=1e-9,
            )
    expect.close(answer(1, share), share, f"a page of one request, {share:.3%} slow")
    expect.close(answer(few, 0.0), 0.0, "no answer is slow, so no page is")
    expect.close(answer(few, 1.0), 1.0, "every answer is slow, so every page is")


@slow_pages.inputs
def _pages(rng):
    yield 20, 0.01
    for n in (1, 2, 7, 100, 1000):
        for share in (0.0, 0.001, 0.01, 0.3, 1.0):
            yield n, share


@slow_pages.misconception(
    "you gave a web page the same chance of being slow as a single request. But a page has to wait for the slowest of all "
    "its requests. How likely is it that all of them are fast?"
)
def like_one_request(n_requests, slow_share):
    return slow_share


@slow_pages.misconception(
    "you added up the shares of slow answers. A web page with two slow answers is then counted twice. If 1% of the answers "
    "are slow, a page of 200 requests would come to 200%. Start from the chance that all answers are fast."
)
def added_up(n_requests, slow_share):
    return n_requests * slow_share


@slow_pages.misconception(
    "you returned the share of fast web pages. You need the share of slow ones. All other pages are slow, so you are one step away."
)
def the_fast_ones(n_requests, slow_share):
    return (1 - slow_share) ** n_requests


@slow_pages.alternative
def one_request_after_the_other(n_requests, slow_share):
    slow = 0.0
    for _ in range(n_requests):
        slow += (1 - slow) * slow_share
    return slow


@slow_pages.alternative
def with_logarithms(n_requests, slow_share):
    return 1.0 if slow_share == 1 else -np.expm1(n_requests * np.log1p(-slow_share))
