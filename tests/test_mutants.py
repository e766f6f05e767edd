"""Mutants find what a check overlooks, and a right answer written otherwise is none."""

import ast
import inspect

import pytest
from stand_in_exercises import asks

from mlprod_helpers.lesson.contract import Function, Number
from mlprod_tools import equivalence, mutants
from mlprod_tools.audit import MOST_REPLAYED, Row, Solved, _audit_misconceptions


def late_share(delays, limit):
    known = [delay for delay in delays if delay == delay]
    return sum(delay > limit for delay in known) / len(known) if known else 0.0


def new_exercise(draw):
    """An exercise on `late_share` whose check draws its inputs with `draw(rng)`."""
    kind = Function("delays", "limit", returns=Number())

    @asks("1.1", ("late_share",), kind)
    def checked(answer, rng, expect):
        for delays, limit in draw(rng):
            expect.close(answer(delays, limit), late_share(delays, limit), "a case")

    @checked.inputs
    def _statement(rng):
        yield [1.0, 20.0, 30.0], 15.0
        yield [15.0, 15.0, 16.0], 15.0
        yield [float("nan"), 16.5], 15.5
        yield [float("nan")], 3.0
        yield [], 3.0
        yield list(rng.uniform(0, 60, 30)), 30.0

    return checked


def try_all(checked, **options):
    code = inspect.getsource(late_share)
    return mutants.try_exercise(checked, Solved({"late_share": late_share}, code, {}), seeds=10, **options)


def weak(rng):
    yield list(rng.uniform(0, 60, 30)), 15.0


def strong(rng):
    yield list(rng.uniform(0, 60, 30)), 15.0
    yield [15.0, 15.0, 16.0, 2.0, float("nan")], 15.0
    yield [float("nan"), 9.0], 2.0
    yield [float("nan")], 3.0
    yield [], 2.0
    yield [3.0], 2.0
    yield [1.0, 9.0], 2.0


def test_a_check_without_the_edge_cases_lets_mutants_pass():
    survivors = "\n".join(try_all(new_exercise(weak)).survivors)
    assert "`delay > limit` -> `delay >= limit`" in survivors
    assert "drops `if delay == delay`" in survivors
    assert "begins with `limit = 15.0`" in survivors


def test_a_check_with_a_case_for_each_rule_lets_none_pass():
    report = try_all(new_exercise(strong))
    assert report.survivors == [] and report.faults == []
    assert report.dead > 10


def test_a_version_that_does_the_same_on_every_allowed_input_counts_as_equivalent():
    checked = new_exercise(weak)

    @checked.inputs
    def _no_ties(rng):
        yield list(rng.uniform(0, 60, 30)), 15.0

    report = try_all(checked)
    assert report.equivalent > 2 and "`delay > limit` -> `delay >= limit`" not in "\n".join(report.survivors)
    assert report.made == report.dead + report.equivalent + report.lived


def test_a_survivor_with_a_written_reason_is_excused_and_an_idle_reason_is_a_fault():
    checked = new_exercise(weak)
    name = try_all(checked).survivors[0]
    checked.survives(name, "the statement leaves it open.")
    checked.survives("solution: `1` -> `2`", "no such mutant lives.")
    report = try_all(checked)
    assert [each for each, _ in report.excused] == [name] and name not in report.survivors
    assert any("does not survive" in fault for fault in report.faults)


def test_an_exercise_without_inputs_is_a_fault():
    checked = new_exercise(strong)
    checked.drawn_inputs = None
    assert "nothing tells" in try_all(checked).faults[0]


def test_a_sample_is_the_same_each_time_and_no_larger_than_asked():
    first, second = (try_all(new_exercise(weak), sample=4) for _ in range(2))
    assert first.survivors == second.survivors and first.made <= 4


@pytest.mark.parametrize("seed", [0, MOST_REPLAYED])
def test_two_misconceptions_that_do_the_same_are_a_fault_and_others_are_not(seed):
    checked = new_exercise(strong)

    @checked.misconception("you counted the missing ones as well.")
    def of_all(delays, limit):
        return sum(delay > limit for delay in delays) / max(len(delays), 1)

    @checked.misconception("you counted those in time.", when=lambda seen: True)
    def in_time(delays, limit):
        return sum(delay <= limit for delay in delays) / max(len(delays), 1)

    row = Row("1.1", "", 2, 0)
    _audit_misconceptions(row, checked, seed)
    assert row.faults == []

    @checked.misconception("the same once more.")
    def again(delays, limit):
        return of_all(delays, limit)

    _audit_misconceptions(row, checked, seed)
    assert len(row.faults) == 2


def test_an_endless_mutant_is_stopped_and_dead():
    code = (
        "def late_share(delays, limit):\n    k = 0\n    while k < len(delays):\n        k += 1\n    return k"
    )

    @asks("1.1", ("late_share",), Function("delays", "limit", returns=Number()), seconds=0.3)
    def checked(answer, rng, expect):
        for n in (0, 3, 7):
            expect.close(answer([1.0] * n, 1.0), n, "a length")

    @checked.inputs
    def _statement(rng):
        yield [1.0, 2.0], 1.0

    scope = {}
    exec(code, scope)
    before = equivalence.SECONDS
    equivalence.SECONDS = 0.5
    try:
        report = mutants.try_exercise(checked, Solved({"late_share": scope["late_share"]}, code, {}), seeds=4)
    finally:
        equivalence.SECONDS = before
    assert report.survivors == []


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("x = a < b", "`a < b` -> `a <= b`"),
        ("x = a and b", "`a and b` -> `a or b`"),
        ("x = f(a, b)", "`f(a, b)` -> `f(b, a)`"),
        ("x = np.std(a, ddof=1)", "`np.std(a, ddof=1)` -> `np.std(a)`"),
        ("x = frame.dropna()", "`frame.dropna()` -> `frame`"),
        ("x = ~np.isnan(a)", "`np.isnan(a)` -> `np.isnan(a) & False`"),
        ("x = range(20)", "`20` -> `19`"),
        ("x = [b for b in c if b]", "drops `if b`"),
        ("x = 'pass'", "`'pass'` -> `'fail'`"),
    ],
)
def test_each_kind_of_slip_is_among_them(code, what):
    names = [mutant.name for mutant in mutants.mutants(ast.parse(code), source="s", options=("pass", "fail"))]
    assert f"s: {what}" in names


def test_every_mutant_compiles_and_has_a_name_of_its_own():
    found = list(mutants.mutants(ast.parse(inspect.getsource(late_share)), source="s"))
    assert len({mutant.name for mutant in found}) == len(found) > 8
    for mutant in found:
        compile(mutant.tree, "<mutant>", "exec")


def test_a_changed_docstring_is_no_mistake():
    assert (
        list(mutants.mutants(ast.parse('def f(x):\n    """Text."""'), source="s", options=("Text.",))) == []
    )
