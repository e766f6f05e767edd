"""A mutant is right by the statement, whatever the check says; a check that only has to pass ends at its first failing line."""

from stand_in_exercises import asks

from mlprod_helpers.lesson.contract import Boolean, Function, Number
from mlprod_tools.equivalence import Right, passes


def longest(texts):
    return max(map(len, texts), default=0)


def new_exercise():
    """An exercise on `longest`, and the list of inputs that its check has asked for."""
    asked = []

    @asks("1.1", ("longest",), Function("texts", returns=Number(integer=True)))
    def checked(answer, rng, expect):
        for n in (1, 4, 9):
            texts = ["x" * int(k) for k in rng.integers(1, 20, n)]
            asked.append(n)
            expect.equal(answer(texts), longest(texts), "a list")

    return checked, asked


def without_empty(texts):
    return max(map(len, texts))


def test_an_answer_that_fails_where_the_check_never_looks_is_no_right_one():
    for by_judge in (True, False):
        checked, _ = new_exercise()
        if by_judge:
            checked.acceptable(lambda answer, rng: answer(["a", "bc"]) == 2 and answer([]) == 0)
        else:
            checked.inputs(lambda rng: [(["a", "bc"],), ([],)])
        right = Right(checked, {"longest": longest})
        assert passes(checked, {"longest": without_empty}, None)
        assert right.is_equivalent({"longest": lambda texts: len(max(texts, key=len, default=""))})
        assert not right.is_equivalent({"longest": without_empty})


def test_a_right_answer_is_asked_once_for_all_its_mutants():
    checked, _ = new_exercise()
    checked.inputs(lambda rng: [(["a", "bc"],), ([],)])
    calls = []
    right = Right(checked, {"longest": lambda texts: calls.append(1) or longest(texts)})
    assert right.is_equivalent({"longest": longest})
    so_far = len(calls)
    assert right.is_equivalent({"longest": longest}) and len(calls) == so_far > 0


def test_a_check_that_only_has_to_pass_ends_at_the_first_line_that_does_not_hold():
    checked, asked = new_exercise()
    assert passes(checked, {"longest": longest}, 1) and asked == [1, 4, 9]
    assert not passes(checked, {"longest": lambda texts: 99}, 1) and asked == [1, 4, 9, 1]


def test_an_answer_beside_a_function_counts_too():
    @asks("1.1", ("is_even", "limit"), (Function("n", returns=Boolean()), Number()))
    def checked(answer, rng, expect):
        expect.equal(answer.is_even(3), False, "three")
        expect.close(answer.limit, 7, "the limit", atol=2)

    checked.inputs(lambda rng: [("is_even", (n,)) for n in (0, 3)])
    right = Right(checked, {"is_even": lambda n: n % 2 == 0, "limit": 7})
    assert right.is_equivalent({"is_even": lambda n: not n % 2, "limit": 7})
    assert not right.is_equivalent({"is_even": lambda n: not n % 2, "limit": 6.5})
    assert passes(checked, {"is_even": lambda n: not n % 2, "limit": 6.5}, None)
