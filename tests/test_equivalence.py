"""An answer that gives check and judge the same as a right one needs no run of its own; any difference asks them."""

import pytest
from stand_in_exercises import asks

from mlprod_helpers.lesson.contract import Boolean, Function, Number
from mlprod_tools.equivalence import Right, passes


def longest(texts):
    return max(map(len, texts), default=0)


def new_exercise(kind=None):
    """An exercise on `longest`, and the list of inputs that its check and its judge have asked for."""
    asked = []

    @asks("1.1", ("longest",), kind or Function("texts", returns=Number(integer=True)))
    def checked(answer, rng, expect):
        for n in (1, 4, 9):
            texts = ["x" * int(k) for k in rng.integers(1, 20, n)]
            asked.append(n)
            expect.equal(answer(texts), longest(texts), "a list")

    @checked.acceptable
    def _judge(answer, rng):
        texts = ["y" * int(k) for k in rng.integers(0, 20, 30)]
        asked.append("judge")
        return answer(list(texts)) == longest(texts) and answer([]) == 0

    return checked, asked


def same(texts):
    found = 0
    for text in texts:
        found = max(found, len(text))
    return found


def test_an_answer_that_gives_the_same_is_told_without_a_run():
    checked, asked = new_exercise()
    right = Right(checked, {"longest": longest})
    assert right.is_echoed_to_the_check({"longest": longest}) and right.is_equivalent({"longest": longest})
    so_far = list(asked)
    assert right.is_echoed_to_the_check({"longest": same}) and right.is_equivalent({"longest": same})
    assert asked == so_far


def empties(texts):
    found = same(texts)
    texts.clear()
    return found


def remembers(texts, calls=[]):  # noqa: B006
    calls.append(1)
    return same(texts) + (len(calls) > 2)


def fails(texts):
    raise ValueError("no")


@pytest.mark.parametrize("other", [empties, remembers, fails, lambda texts: -same(texts)])
def test_an_answer_that_differs_in_one_call_is_not_told_by_its_echo(other):
    checked, _ = new_exercise()
    right = Right(checked, {"longest": longest})
    assert not right.is_echoed_to_the_check({"longest": other})
    assert not passes(checked, {"longest": other}, None)


def test_a_value_of_another_type_is_not_the_same():
    checked, asked = new_exercise(Function("texts", returns=Number()))
    right = Right(checked, {"longest": longest})
    assert right.is_equivalent({"longest": longest})
    so_far = len(asked)
    assert right.is_equivalent({"longest": lambda texts: float(same(texts))}) and len(asked) > so_far


def test_an_answer_that_fails_where_the_check_never_looks_is_judged():
    checked, _ = new_exercise()
    right = Right(checked, {"longest": longest})
    without_empty = {"longest": lambda texts: max(map(len, texts))}
    assert right.is_echoed_to_the_check(without_empty) and not right.is_equivalent(without_empty)


def test_a_check_that_only_has_to_pass_ends_at_the_first_line_that_does_not_hold():
    checked, asked = new_exercise()
    assert passes(checked, {"longest": longest}, 1) and asked == [1, 4, 9]
    assert not passes(checked, {"longest": lambda texts: 99}, 1) and asked == [1, 4, 9, 1]


def test_an_answer_beside_a_function_counts_too():
    @asks("1.1", ("is_even", "limit"), (Function("n", returns=Boolean()), Number()))
    def checked(answer, rng, expect):
        expect.equal(answer.is_even(3), False, "three")
        expect.close(answer.limit, 7, "the limit", atol=2)

    right = Right(checked, {"is_even": lambda n: n % 2 == 0, "limit": 7})
    assert right.is_echoed_to_the_check({"is_even": lambda n: not n % 2, "limit": 7})
    assert not right.is_echoed_to_the_check({"is_even": lambda n: not n % 2, "limit": 6.5})
