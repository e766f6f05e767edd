"""Exercise 0.2, One slow answer in a hundred."""

import numpy as np

from mlprod_helpers.lesson.contract import Function, Number, exercise


@exercise(
    "0.2",
    "One slow answer in a hundred",
    answers=("slow_pages",),
    points=2,
    minutes=3,
    core=True,
    objective="0.c",
    edition=2,
    kind=Function("n_requests", "slow_share", returns=Number()),
    hints=(
        "A page is fast only if every one of its requests is fast.",
        "How likely is it that all `n_requests` are fast? The rest of the pages are slow.",
    ),
)
def slow_pages(answer, rng, expect):
    """`slow_pages(n_requests, slow_share)`: share of pages that wait for at least one slow answer."""
    few, more = rng.choice(np.arange(2, 60), size=2, replace=False)
    with expect.defining():
        for n in (few, more, rng.integers(100, 300)):
            share = round(float(rng.uniform(0.002, 0.05)), 3)
            expect.close(
                answer(int(n), share),
                1 - (1 - share) ** int(n),
                f"a page of {n} requests, {share:.1%} slow",
                rtol=1e-9,
            )
    one = round(float(rng.uniform(0.01, 0.4)), 3)
    expect.close(answer(1, one), one, f"a page of one request, {one:.1%} slow")
    expect.close(answer(int(few), 0.0), 0.0, "no answer is slow: no page is")
    expect.close(answer(int(few), 1.0), 1.0, "every answer is slow: every page is")


@slow_pages.inputs
def _pages(rng):
    yield 20, 0.01
    for n in (1, 2, 7, 100, 1000):
        for share in (0.0, 0.001, 0.01, 0.3, 1.0):
            yield n, share


@slow_pages.misconception(
    "a page were as lucky as a single request. It has to wait for the slowest of all its requests."
)
def like_one_request(n_requests, slow_share):
    return slow_share


@slow_pages.misconception(
    "the shares were added up. A page with two slow answers is one slow page; with 200 requests the sum would be 200 %."
)
def added_up(n_requests, slow_share):
    return n_requests * slow_share


@slow_pages.misconception(
    "the fast pages were counted. You are one step away: the slow pages are the others."
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
