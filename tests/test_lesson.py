"""The exercise engine: every learner mistake draws a sentence that helps, and nothing raises out of a check."""

import json
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from stand_in_exercises import asks, use_lesson

from mlprod_helpers.lesson import face, feedback, progress, values
from mlprod_helpers.lesson.checking import Outcome, check
from mlprod_helpers.lesson.contract import (
    Array,
    Choice,
    Frame,
    Function,
    Mapping,
    Names,
    Number,
    Sequence,
    Several,
    Text,
)
from mlprod_helpers.lesson.expect import Line
from mlprod_helpers.lesson.kinds import Refused
from mlprod_helpers.lesson.outcome import Verdict


@asks(
    "99.1",
    ("mean_of",),
    Function("frame", "column", returns=Number()),
    title="Mean of a column",
    points=2,
    hints=("Add up.", "Divide by the number of rows."),
)
def mean_of(answer, rng, expect):
    for _ in range(3):
        frame = pd.DataFrame({"x": rng.normal(5, 1, size=8)})
        expect.close(answer(frame, "x"), frame["x"].mean(), "the mean of a drawn column")
    expect.nan(answer(pd.DataFrame({"x": []}, dtype=float), "x"), "an empty column has no mean")


@mean_of.misconception("the sum was not divided by the number of rows")
def total(frame, column):
    return frame[column].sum() if len(frame) else float("nan")


@mean_of.misconception("the middle value was taken")
def median(frame, column):
    return frame[column].median()


@asks(
    "99.2",
    ("guess",),
    Choice({key: f"case {key}" for key in "abcde"}, options=("up", "down", "flat")),
    points=5,
)
def guess(answer, rng, expect):
    expect.cases(answer, {"a": "up", "b": "down", "c": "flat", "d": "up", "e": "down"})


@guess.misconception("a was read upside down")
def a_down():
    return {"a": "down", "b": "down", "c": "flat", "d": "up", "e": "down"}


@guess.misconception("everything was read upside down")
def all_down():
    return {"a": "down", "b": "up", "c": "flat", "d": "down", "e": "up"}


@asks("99.3", ("share", "names"), (Number(low=0, high=1), Names()))
def two(answer, rng, expect):
    expect.equal(answer.share, 0.25, "share", show=True)
    expect.same_set(answer.names, ["x", "y"], "names")


def right(frame, column):
    return frame[column].mean()


def said(answer, ex=mean_of, name="mean_of"):
    return check(ex, {name: answer})


def text(verdict):
    return repr(feedback.of_verdict(verdict))


def test_right_answer_passes_with_full_points():
    verdict = said(right)
    assert (verdict.outcome, verdict.points) == (Outcome.PASSED, 2)
    assert all(line.ok for line in verdict.lines) and len(verdict.lines) == 4


def test_the_stub_and_the_missing_name_are_not_attempted():
    assert said(lambda frame, column: ...).outcome is Outcome.NOT_ATTEMPTED
    missing = check(mean_of, {})
    assert missing.outcome is Outcome.NOT_ATTEMPTED and "run the cell above" in text(missing)
    stub = check(guess, {"guess": dict.fromkeys("abcde", ...)})
    assert stub.outcome is Outcome.NOT_ATTEMPTED and "`guess` is still `...`" in text(stub)


def test_a_misconception_draws_its_own_sentence():
    verdict = said(lambda frame, column: float(np.sum(frame[column])) if len(frame) else np.nan)
    assert verdict.misconception == "total" and "by the same factor each time" in text(verdict)
    assert said(median).misconception == "median"
    assert "It looks like the middle value was taken" in text(said(median))


def test_points_follow_the_share_that_holds():
    verdict = said(lambda frame, column: frame[column].mean() if len(frame) else 0.0)
    assert (verdict.outcome, verdict.points) == (Outcome.PARTLY, 1.5)
    assert "1.5 of 2 points" in text(verdict)


def raising(frame, column):
    return frame["no such column"].mean()


def printing(frame, column):
    print(frame[column].mean())


def mutating(frame, column):
    frame[column] = 0.0
    return 0.0


def leaving(frame, column):
    raise SystemExit(1)


class Hostile:
    def __getattribute__(self, name):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("answer", "outcome", "sentence"),
    [
        (lambda frame, column: None, Outcome.FAILED, "returns None. Does every path end with `return`?"),
        (printing, Outcome.FAILED, "`return` hands it over"),
        (lambda frame, column: "5.0", Outcome.FAILED, "remove the quotes"),
        (
            lambda frame, column: frame[column],
            Outcome.FAILED,
            "is a pandas Series with 8 values, but a single number",
        ),
        (lambda frame, column: frame.to_numpy(), Outcome.FAILED, "an array of shape (8, 1)"),
        (lambda frame, column: np.nan, Outcome.FAILED, "is NaN"),
        (lambda frame, column: (x for x in frame[column]), Outcome.FAILED, "list(...)"),
        (lambda frame, column: Hostile(), Outcome.FAILED, "not plain data"),
        (lambda frame: 1.0, Outcome.FAILED, "takes (frame), but it is called with 2: (frame, column)"),
        (5.0, Outcome.FAILED, "but a function is expected"),
        (None, Outcome.FAILED, "but a function is expected"),
        (Hostile, Outcome.FAILED, "the class `Hostile`"),
        (raising, Outcome.RAISED, "KeyError: 'no such column'"),
        (leaving, Outcome.RAISED, "SystemExit"),
        (mutating, Outcome.FAILED, "leaves its arguments as they were"),
        (lambda frame, column: np.zeros(10**8), Outcome.FAILED, "larger than 64 MiB"),
        (lambda frame, column: 10**400, Outcome.FAILED, "a very large number"),
    ],
)
def test_each_mistake_has_its_sentence(answer, outcome, sentence, capsys):
    verdict = said(answer)
    assert verdict.outcome is outcome or (outcome is Outcome.FAILED and verdict.outcome is Outcome.PARTLY)
    assert sentence in text(verdict)
    assert not verdict.fault
    assert capsys.readouterr() == ("", "")


def test_numpy_scalars_are_numbers_and_the_learners_frame_stays():
    frame = pd.DataFrame({"x": [1.0]})
    assert (
        said(lambda f, c: np.float32(0) + np.float64(f[c].mean()) if len(f) else np.float64("nan")).outcome
        is Outcome.PASSED
    )
    assert check(two, {"share": np.float64(0.25), "names": np.array(["y", "x"])}).outcome is Outcome.PASSED
    assert frame.equals(pd.DataFrame({"x": [1.0]}))


def test_an_exception_is_shown_by_the_line_in_the_learners_cell():
    cell = "def mean_of(frame, column):\n    rows = 0\n    return 1 / rows\n"
    scope = {}
    exec(compile(cell, "<cell 1>", "exec"), scope)
    verdict = said(scope["mean_of"])
    assert verdict.outcome is Outcome.RAISED
    assert "in line 3 of its cell" in text(verdict) and "ZeroDivisionError: division by zero" in text(verdict)


def test_choices_are_counted_and_never_named():
    wrong = {"a": "down", "b": "down", "c": "flat", "d": "up", "e": "flat"}
    verdict = check(guess, {"guess": wrong})
    assert (
        "3 of 5 cases are right" in text(verdict) and verdict.points == 1.5
    )  # two for one option everywhere
    assert verdict.misconception == "a_down"
    assert "case a" not in text(verdict) and "up" not in text(verdict).replace("upside", "")
    # of two patterns that fit, the one that explains more
    assert check(guess, {"guess": all_down()}).misconception == "all_down"
    assert 'no choice yet for "e"' in text(check(guess, {"guess": {**wrong, "e": ...}}))
    assert "choose one of" in text(check(guess, {"guess": {**wrong, "e": "sideways"}}))


def test_one_open_answer_of_two_is_named():
    verdict = check(two, {"share": 0.25, "names": ...})
    assert verdict.outcome is Outcome.FAILED and "`names` is still `...`" in text(verdict)
    assert "expected 0.25, got 0.5" in text(check(two, {"share": 0.5, "names": ["x", "y"]}))
    assert "1 missing and 1 too many" in text(check(two, {"share": 0.25, "names": ["x", "z"]}))


def test_a_broken_check_is_our_fault_and_says_so_quietly():
    @asks()
    def broken(answer, rng, expect):
        raise ZeroDivisionError("in the check")

    verdict = check(broken, {"x": 1})
    assert verdict.outcome is Outcome.FAILED and "ZeroDivisionError" in verdict.fault and verdict.points == 0


def test_a_check_that_expects_nothing_never_passes():
    @asks()
    def empty(answer, rng, expect):
        pass

    assert check(empty, {"x": 1}).outcome is Outcome.FAILED


def test_feedback_is_the_same_each_time_escaped_and_without_an_address():
    def odd(frame, column):
        raise ValueError(f"cannot <use> {object()}")

    assert text(said(odd)) == text(said(odd))
    assert "0x" not in text(said(odd))
    html = feedback.of_verdict(said(odd))._repr_html_()
    assert "background:" in html and "color:" in html and "&lt;use&gt;" in html and "<use>" not in html


def test_kinds_take_what_learners_mean():
    assert Array(ndim=1).take(pd.Series([1, 2]), "`a`").tolist() == [1, 2]
    assert Several(Number(), Names()).take((1, {"b", "a"}), "`f`") == (1.0, ["a", "b"])
    assert Frame(columns=("x",)).take(pd.DataFrame({"x": [1]}), "`f`").shape == (1, 1)


def test_texts_of_numbers_are_no_array_of_numbers_however_they_are_held():
    texts = ["1", "2"]
    for value in (texts, np.array(texts), np.array(texts, dtype=object), pd.Series(texts), [1, "2"]):
        with pytest.raises(Refused, match="numbers"):
            Array().take(value, "`a`")
    assert Array().take(pd.Series([1, Fraction(1, 2)]), "`a`").tolist() == [1, 0.5]


def test_infinity_is_refused_where_a_whole_number_is_expected():
    for value in (float("inf"), -float("inf"), 2.5):
        with pytest.raises(Refused, match="whole number"):
            Number(integer=True).take(value, "`n`")
    assert Number(integer=True).take(3.0, "`n`") == 3


# ---- the face -------------------------------------------------------------------------------------------------------


@pytest.fixture
def lesson(monkeypatch, tmp_path):
    use_lesson(monkeypatch, mean_of, guess, two, edition=2, after="Rest.")
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "progress.json"))
    monkeypatch.chdir(tmp_path)
    return face.Lesson("99")


def answer_with(lesson, exercise_id, **names):
    return repr(lesson._check(exercise_id, names))


def test_check_reads_the_callers_names(lesson):
    scope = {"lesson": lesson, "guess": a_down()}
    assert "3 of 5 points" in repr(eval('lesson.check("99.2")', scope))


def test_hints_come_one_by_one_and_the_solution_after_three_different_tries(lesson, tmp_path):
    assert "hint 1 of 2" in repr(lesson.hint("99.1")) and "hint 2 of 2" in repr(lesson.hint("99.1"))
    assert "hint 2 of 2" in repr(lesson.hint("99.1"))
    assert "after 3 more different tries" in repr(lesson.solution("99.1"))
    for _ in range(3):
        answer_with(lesson, "99.1", mean_of=median)
    answer_with(lesson, "99.1", mean_of=lambda frame, column: ...)
    assert "after 2 more different tries" in repr(lesson.solution("99.1"))
    answer_with(lesson, "99.1", mean_of=total)
    answer_with(lesson, "99.1", mean_of=raising)
    assert "your instructor has it" in repr(lesson.solution("99.1"))
    cell = {
        "cell_type": "code",
        "metadata": {"mlprod": {"exercise": "99.1"}},
        "source": ["def mean_of(f, c): ..."],
    }
    (tmp_path / "solutions").mkdir()
    (tmp_path / "solutions" / "99_x.ipynb").write_text(json.dumps({"cells": [cell]}))
    assert "def mean_of(f, c)" in repr(lesson.solution("99.1"))


def test_wrong_ids_suggest_the_nearest(lesson):
    assert "Did you mean `99.2`?" in repr(lesson.check("2"))
    assert "Did you mean `99.1`?" in repr(lesson.hint("99.11"))
    assert "older version" in repr(lesson.check("9.7"))
    with pytest.raises(LookupError, match="no lesson '77'"):
        face.Lesson("77")


def test_a_better_try_is_never_lost(lesson):
    answer_with(lesson, "99.2", guess=a_down())
    answer_with(lesson, "99.2", guess=all_down())
    again = face.Lesson("99")
    assert "Lesson 99 · 3 of 8 points" in repr(again.progress())
    assert "begun 99.2" in repr(again.progress())


def test_progress_says_what_is_open_and_what_to_do_next(lesson):
    assert "3 of 3 exercises still open" in repr(lesson.progress())
    assert repr(lesson.progress()).endswith(
        'Next: try exercise 99.1 (Mean of a column), and use `lesson.hint("99.1")` if you are stuck.'
    )
    answer_with(lesson, "99.1", mean_of=median)
    assert "Next: try exercise 99.1 (Mean of a column) again" in repr(lesson.progress())
    answer_with(lesson, "99.1", mean_of=right)
    assert "2 of 3 exercises still open" in repr(lesson.progress())
    for each in lesson._load().exercises.values():
        with lesson._progress.change() as data:
            lesson._progress.exercise(data, each.id, each.edition).update(
                passed=True, points=each.points, tries=["x"]
            )
    assert "8 of 8 points · all exercises done" in repr(lesson.progress())
    assert repr(lesson.progress()).endswith("Next: Rest.")


def test_reset_keeps_a_copy_and_leaves_other_lessons_alone(lesson, tmp_path):
    with lesson._progress.change() as data:
        data["exercises"]["2.1"] = {"points": 3, "possible": 3, "passed": True, "tries": ["a"], "hints": 0}
    answer_with(lesson, "99.2", guess=a_down())
    lesson.predict("auc", 0.5)
    lesson.reset()
    rows = json.loads((tmp_path / "progress.json").read_text())
    assert list(rows["exercises"]) == ["2.1"] and rows["predictions"] == {}
    assert "99.2" in (tmp_path / "progress.json.before-reset-1").read_text()


def test_predictions_come_back_and_the_first_one_stays(lesson):
    assert "Replace `...`" in repr(lesson.predict("auc", ...))
    lesson.predict("auc", 0.5)
    assert "first guess was kept" in repr(lesson.predict("auc", 0.97))
    assert "You predicted 0.5. The outcome is 0.9741." in repr(lesson.recall("auc", 0.97412))
    assert "no prediction" in repr(lesson.recall("other", 1))


def test_nbgrader_gets_errors_and_plain_numbers(lesson, monkeypatch):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    assert lesson._check("99.1", {"mean_of": right}) == 2
    assert lesson._check("99.2", {"guess": a_down()}) == 3
    for wrong in ({}, {"mean_of": raising}, {"mean_of": lambda frame, column: None}):
        with pytest.raises(AssertionError, match="Exercise 99.1"):
            lesson._check("99.1", wrong)
    with pytest.raises(AssertionError, match="no exercise 9.7"):
        lesson._check("9.7", {})


def test_an_argument_that_is_the_learners_own_may_be_changed_and_no_other():
    @asks(
        answers=("count",),
        kind=Function("row", "memory", returns=Several(Number(), Mapping()), may_change=("memory",)),
    )
    def counting(answer, rng, expect):
        expect.equal(answer({"x": 1}, {"n": 2})[0], 3, "one more")

    def in_place(row, memory):
        memory["n"] += 1
        return memory["n"], memory

    def in_the_row(row, memory):
        row["x"] = memory["n"] + 1
        return row["x"], memory

    assert check(counting, {"count": in_place}).outcome is Outcome.PASSED
    found = check(counting, {"count": in_the_row})
    assert found.outcome is not Outcome.PASSED and "leaves its arguments" in found.lines[-1].what
    with pytest.raises(ValueError, match="no parameters"):
        Function("row", returns=Number(), may_change=("memory",))


def test_a_list_in_the_order_of_the_keys_is_as_good_as_a_dict_where_the_contract_says_so():
    three = Mapping(keys=("A", "B"), values=Number(), in_order=True)
    assert (
        three.take(np.array([1, 2.5]), "it")
        == three.take([1, 2.5], "it")
        == three.take({"A": 1, "B": 2.5}, "it")
        == {"A": 1, "B": 2.5}
    )
    with pytest.raises(Refused):
        three.take([1, 2, 3], "it")
    with pytest.raises(Refused):
        Mapping(keys=("A", "B"), values=Number()).take([1, 2], "it")


# ---- answers left from an earlier run -----------------------------------------------------------------------------------


@pytest.fixture
def shell(lesson):
    from IPython.core.interactiveshell import InteractiveShell

    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shell.user_ns["Lesson"] = face.Lesson
    shell.run_cell("lesson = Lesson('99')")
    yield shell
    InteractiveShell.clear_instance()


RIGHT = "def mean_of(frame, column):\n    return frame[column].mean()"


def checked_in(shell, exercise_id="99.1"):
    return repr(shell.run_cell(f"lesson.check('{exercise_id}')").result)


def test_a_cell_with_a_syntax_error_is_told_with_the_check_of_the_old_function(shell):
    shell.run_cell(RIGHT)
    assert "passed" in checked_in(shell) and "last run" not in checked_in(shell)
    shell.run_cell("def mean_of(frame, column)\n    return 1")
    said = checked_in(shell)
    assert "stopped with a SyntaxError" in said and "the `mean_of` of an earlier run" in said
    shell.run_cell(RIGHT)
    assert "last run" not in checked_in(shell)


def test_a_cell_that_raises_before_its_def_is_told_and_one_that_raises_after_it_is_not(shell):
    shell.run_cell(RIGHT)
    shell.run_cell("1 / 0\n" + RIGHT)
    assert "stopped with a ZeroDivisionError" in checked_in(shell)
    shell.run_cell(RIGHT + "\n1 / 0")
    assert "last run" not in checked_in(shell)


def test_a_first_cell_that_failed_is_told_too_and_plain_answers_as_well(shell):
    shell.run_cell("guess = {'a': ")
    said = checked_in(shell, "99.2")
    assert "does not exist yet" in said and "Error" in said and "an earlier run" not in said
    shell.run_cell("guess = dict.fromkeys('abcde', 'up')")
    shell.run_cell("guess = dict.fromkeys('abcde', nonsense)")
    assert "stopped with a NameError" in checked_in(shell, "99.2")


def test_the_hooks_are_registered_once_a_shell(shell):
    shell.run_cell("Lesson('99'); Lesson('99')")
    names = [
        call.__self__.__class__.__name__
        for call in shell.events.callbacks["post_run_cell"]
        if hasattr(call, "__self__")
    ]
    assert names.count("Watch") == 1


# ---- small mistakes with the lesson itself ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../x", "", "02_adversarial", 1.0, None, True, "x", "०२", ["02"], -1, 100])
def test_what_is_no_lesson_is_told_what_a_lessons_name_is(name):
    with pytest.raises(LookupError, match="two digits|no lesson"):
        face.Lesson(name)


def test_a_number_finds_its_lesson():
    assert [face.Lesson(name).id for name in (1, "1", "01", " 01 ")] == ["01"] * 4


def test_predictions_may_be_arrays_lists_and_series(lesson):
    for name, guess in {"a": np.array([1.0, 2.0]), "b": [1.0, 2.0], "c": pd.Series([1.0, 2.0])}.items():
        assert "Recorded: [1, 2]." in repr(lesson.predict(name, guess))
        assert "You predicted [1, 2]. The outcome is [1, 3]." in repr(
            lesson.recall(name, np.array([1.0, 3.0]))
        )
    assert "an array of 500 values" in repr(lesson.predict("d", np.zeros(500)))
    assert "Replace `...`" in repr(lesson.predict("e", [1, ...]))
    assert "Recorded: up." in repr(lesson.predict("f", "up"))
    assert "first guess was kept" in repr(lesson.predict("a", np.array([2.0, 2.0])))


def test_an_old_notebook_is_told_so_and_what_to_do_with_nbgrader_too(lesson, monkeypatch):
    old = face.Lesson("99", edition=1)
    for words in ("for edition 1", "at edition 2", "copy your answers over", "fetch the assignment"):
        assert words in " ".join(repr(old.check("99.1")).split())
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(AssertionError, match="edition 2"):
        old._check("99.1", {})


# ---- notes, points and lines ---------------------------------------------------------------------------------------------


def test_one_option_everywhere_earns_nothing_and_draws_no_note():
    for option in ("up", "down", "flat"):
        verdict = check(guess, {"guess": dict.fromkeys("abcde", option)})
        assert verdict.points == 0 and not verdict.misconception


def test_a_single_wrong_case_is_told_by_its_idea():
    one_of_all_down = {"a": "up", "b": "down", "c": "flat", "d": "down", "e": "down"}
    verdict = check(guess, {"guess": one_of_all_down})
    assert verdict.misconception == "all_down" and verdict.partial
    assert "In the case that is not right, it looks like everything was read" in text(verdict)


def two_alike(**options):
    @asks("99.4", ("double",), Function("x", returns=Number()), points=4)
    def double(answer, rng, expect):
        for x in (1.0, 2.0, 3.0):
            expect.close(answer(x), 2 * x, f"double({x:g})")

    @double.misconception("the number itself were asked", **options)
    def same(x):
        return x

    @double.misconception("one were enough", **options)
    def also_same(x):
        return 1.0 * x

    @double.misconception("half were asked", when=lambda seen: seen.outputs[0] < 1)
    def half(x):
        return x / 2

    return double


def test_where_two_mistakes_explain_an_answer_neither_is_told():
    assert not said(lambda x: x, two_alike(), "double").misconception
    assert not said(lambda x: x, two_alike(when=lambda seen: True), "double").misconception
    assert said(lambda x: 0.9 * x, two_alike(), "double").misconception == "half"


def test_an_exact_replay_counts_for_more_than_a_guess_at_it():
    assert said(lambda x: x / 2, two_alike(when=lambda seen: True), "double").misconception == "half"


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: None,
        lambda x: "0.1",
        lambda x: 1 / 0,
        lambda x: float("nan"),
        lambda x: float("-inf"),
        lambda x: x / 2 if x < 2 else 1 / 0,
    ],
)
def test_what_could_not_be_read_accuses_nobody(answer):
    ex = two_alike(when=lambda seen: True)
    assert not said(answer, ex, "double").misconception and not said(answer, ex, "double").fault


def test_a_failing_line_shows_the_call_and_what_came_back():
    shown = text(said(lambda x: x + 1, two_alike(), "double"))
    assert "not   double(2): returned 3, too small" in shown
    shown = text(said(lambda frame, column: 7.0))
    assert "`mean_of(a 8 x 1 DataFrame, 'x')` returned 7, too large" in shown
    assert "expected" not in shown, "never the wanted value"
    assert all(len(line) < 200 for line in shown.splitlines())


def test_a_small_input_is_shown_whole():
    @asks("99.5", ("largest",), Function("values", "by", returns=Number()))
    def largest(answer, rng, expect):
        expect.equal(answer(np.array([3, 1]), {"a": 1.5}), 3, "the largest")

    assert "`largest([3, 1], {'a': 1.5})` returned 1, too small" in text(
        said(lambda v, by: min(v), largest, "largest")
    )


def test_of_long_dicts_the_entry_that_is_wrong_is_shown():
    many = {f"metric_{i}": [i, i + 1] for i in range(8)}

    @asks("99.5", ("sums",), Function("pairs", "limits", returns=Mapping(values=Number())))
    def sums(answer, rng, expect):
        want = {name: sum(pair) for name, pair in many.items()}
        expect.equal(answer(many, {"metric_5": 3}), want, "eight sums")

    def wrong(pairs, limits):
        return {name: 0 if name == "metric_5" else sum(pair) for name, pair in pairs.items()}

    def lost(pairs, limits):
        return {name: sum(pair) for name, pair in pairs.items() if name != "metric_5"}

    call = "`sums({'metric_5': [5, 6], ...}, {'metric_5': 3})`"
    assert f"{call} returned {{'metric_5': 0, ...}}" in text(said(wrong, sums, "sums"))
    assert f"{call} returned nothing for 'metric_5'" in text(said(lost, sums, "sums"))


def test_of_a_list_the_number_of_items_is_told_and_the_entry_that_is_missing():
    runbook = {f"cause {i}": {"signs": [f"sign {i}", f"sign {i + 1}"]} for i in range(8)}

    @asks("99.5", ("causes",), Function("signs", "runbook", returns=Sequence(Text())))
    def causes(answer, rng, expect):
        expect.equal(answer(["sign 3"], runbook), ["cause 2", "cause 3"], "two causes")

    assert (
        "`causes(['sign 3'], {'cause 2': {'signs': ['sign 2', 'sign 3']}, ...})` returned ['cause 3'], has 1 item, expected 2"
        in text(said(lambda signs, runbook: ["cause 3"], causes, "causes"))
    )


# ---- another process -----------------------------------------------------------------------------------------------------

PROCESSES = {
    "global": "dice = {}\ndef f(x):\n    return dice.setdefault(x, random.random())",
    "number": "n = 0\ndef f(x):\n    global n\n    n += 1\n    return n",
    "default": "def f(x, dice={}):\n    return dice.setdefault(x, random.random())",
    "attribute": "def f(x):\n    f.d = getattr(f, 'd', {})\n    return f.d.setdefault(x, np.random.random())",
    "cache": "@functools.cache\ndef g(x):\n    return random.random()\ndef f(x):\n    return g(x)",
    "class": "class D:\n    d = {}\ndef f(x):\n    return D.d.setdefault(x, random.random())",
    "object": "class D: pass\no = D()\no.d = []\ndef f(x):\n    o.d.append(x)\n    return len(o.d)",
    "globals": "def f(x):\n    return globals().setdefault(f'd{x}', random.random())",
    "hash": "def f(x):\n    return hash(str(x)) % 1000",
    "generator": "r = np.random.default_rng(0)\nd = {}\ndef f(x):\n    return d.setdefault(x, r.random())",
    "closure": "def make():\n    d = {}\n    return lambda x: d.setdefault(x, random.random())\nf = make()",
    "array": "a = np.zeros(9)\ndef f(x):\n    a[x] = a[x] or random.random()\n    return a[x]",
}


@asks("99.6", ("f",), Function("x", returns=Number()))
def everywhere(answer, rng, expect):
    here = {x: answer(x) for x in (1, 2, 3)}
    there = {x: answer.in_another_process(x) for x in (3, 1, 2)}
    expect.equal(there, here, "in another process")
    expect.equal({x: answer(x) for x in (2, 1, 3)}, here, "again")


def scope_of(code):
    import functools
    import random

    scope = {"__name__": "__main__", "random": random, "np": np, "functools": functools}
    exec(code, scope)
    return scope


@pytest.mark.parametrize("how", PROCESSES)
def test_what_a_process_remembers_or_rolls_is_not_there_in_another(how):
    scope = scope_of(PROCESSES[how])
    for _ in range(2):  # nor does a check find what an earlier check left
        verdict = check(everywhere, {"f": scope["f"]})
        assert not verdict.lines[0].ok and not verdict.fault
        assert verdict.lines[1].ok == (how not in ("number", "object", "cache"))


def test_what_depends_on_its_arguments_alone_is_the_same_everywhere():
    import hashlib

    code = "table = {1: 5}\ndef f(x):\n    return table.get(x, 0) + hash(x) + len(hashlib.sha256(b'x').hexdigest())"
    scope = scope_of(code) | {"hashlib": hashlib}
    exec(code, scope)
    assert check(everywhere, {"f": scope["f"]}).outcome is Outcome.PASSED
    assert scope["table"] == {1: 5}


def test_a_check_leaves_the_learners_memory_and_dice_as_they_were():
    import random

    scope = scope_of(
        "seen = []\nn = 0\ndef f(x):\n    global n\n    n += 1\n    seen.append(x)\n    return random.random()"
    )
    seen, dice = scope["seen"], random.getstate()
    check(everywhere, {"f": scope["f"]})
    assert scope["seen"] is seen and seen == [] and scope["n"] == 0 and random.getstate() == dice
    assert hash("x") == "x".__hash__()


def test_a_mask_is_told_by_its_count_and_numbers_by_the_first_that_differs():
    from mlprod_helpers.lesson.expect import Expect

    expect = Expect()
    expect.equal([True, False], [False, False], "a mask")
    expect.close(np.array([1.0, 2.5]), np.array([1.0, 2.0]), "numbers")
    assert expect.lines[0].note == "1 of 2 values differ"
    assert expect.lines[1].note == "1 of 2 values differ, the first at 1, where 2.5 is too large"


# ---------------------------------------------------------------------------------------------- the codec

TIMES = pd.date_range("2013-01-01", periods=3, tz="America/New_York")
FRAME = pd.DataFrame(
    {
        "number": [1.5, np.nan, 3.0],
        "whole": pd.array([1, None, 3], dtype="Int64"),
        "text": ["a", None, "b"],
        "kind": pd.Categorical(["x", "y", "x"], categories=["y", "x"], ordered=True),
        "zoned": TIMES,
        "naive": TIMES.tz_localize(None),
        "mixed": [1, "a", None],
    }
)
VALUES = {
    "frame": FRAME,
    "frame by text": FRAME.set_index("kind"),
    "frame by two columns": FRAME.set_index(["number", "zoned"]),
    "series": FRAME["zoned"].rename("when"),
    "range index": pd.RangeIndex(2, 8, 3, name="row"),
    "array": np.arange(6.0).reshape(2, 3),
    "array of texts": np.array(["a", "bb"]),
    "nested": {"a": [1, (2.5, None)], ("b", 1): {True}, "c": [..., float("inf"), 10**400]},
    "bytes": b"key",
    "moments": [pd.Timestamp("2013-01-01", tz="UTC"), pd.Timedelta("1h"), pd.NaT],
}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_comes_back_from_json_as_it_was(name):
    value = VALUES[name]
    back = values.decode(json.loads(json.dumps(values.encode(value), allow_nan=False)))
    assert type(back) is type(value)
    if isinstance(value, pd.DataFrame):
        pd.testing.assert_frame_equal(back, value)
    elif isinstance(value, pd.Series):
        pd.testing.assert_series_equal(back, value)
    elif isinstance(value, pd.Index):
        pd.testing.assert_index_equal(back, value, exact=True)
    elif isinstance(value, np.ndarray):
        np.testing.assert_array_equal(back, value, strict=True)
    else:
        assert repr(back) == repr(value)


def test_emphasis_is_set_in_italics_but_no_product_and_no_code():
    message = feedback.Message(
        "Note", paragraphs=["do *not* follow 2*x*3, a * b * c or `p*q*r`; *all of them*"]
    )
    assert (
        "do <em>not</em> follow 2*x*3, a * b * c or <code>p*q*r</code>; <em>all of them</em>"
        in message._repr_html_()
    )


@pytest.mark.parametrize(
    ("wrong", "last"),
    [(0, "ok    and 3 more"), (2, "ok    and 3 more"), (12, "...   and 3 more, 2 of them not met")],
)
def test_what_is_left_out_of_long_feedback_is_counted(wrong, last):
    lines = [Line(f"case {i}", i >= wrong) for i in range(13)]
    assert f"\n  {last}" in text(Verdict(mean_of, Outcome.PARTLY, 1, lines=lines))
