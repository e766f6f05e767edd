"""The exercise engine: every learner mistake draws a sentence that helps, and nothing raises out of a check."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from mlprod_helpers.lesson import contract, face, feedback, progress
from mlprod_helpers.lesson.checking import Outcome, check
from mlprod_helpers.lesson.contract import (
    Array,
    Choice,
    Frame,
    Function,
    Mapping,
    Names,
    Number,
    Several,
    exercise,
)
from mlprod_helpers.lesson.kinds import Refused


@exercise(
    "99.1",
    "Mean of a column",
    answers=("mean_of",),
    points=2,
    minutes=3,
    core=True,
    kind=Function("frame", "column", returns=Number()),
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


@exercise(
    "99.2",
    "Five cases",
    answers=("guess",),
    points=5,
    minutes=3,
    kind=Choice({key: f"case {key}" for key in "abcde"}, options=("up", "down", "flat")),
    hints=("Look.",),
)
def guess(answer, rng, expect):
    expect.cases(answer, {"a": "up", "b": "down", "c": "flat", "d": "up", "e": "down"})


@guess.misconception("a was read upside down")
def a_down():
    return {"a": "down", "b": "down", "c": "flat", "d": "up", "e": "down"}


@guess.misconception("everything was read upside down")
def all_down():
    return {"a": "down", "b": "up", "c": "flat", "d": "down", "e": "up"}


@exercise(
    "99.3",
    "Two answers",
    answers=("share", "names"),
    points=1,
    minutes=1,
    kind=(Number(low=0, high=1), Names()),
    hints=("Count.",),
)
def two(answer, rng, expect):
    expect.close(answer.share, 0.25, "share", show=True)
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
    assert "This looks as if the middle value was taken" in text(said(median))


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


def test_an_object_whose_own_methods_fail_is_refused():
    assert said(Hostile()).outcome is Outcome.FAILED
    assert check(two, {"share": Hostile(), "names": Hostile()}).outcome is Outcome.FAILED


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
    @exercise("9.9", "Broken", answers=("x",), points=1, minutes=1, kind=Number(), hints=("-",))
    def broken(answer, rng, expect):
        raise ZeroDivisionError("in the check")

    verdict = check(broken, {"x": 1})
    assert verdict.outcome is Outcome.FAILED and "ZeroDivisionError" in verdict.fault and verdict.points == 0


def test_a_check_that_expects_nothing_never_passes():
    @exercise("9.9", "Empty", answers=("x",), points=1, minutes=1, kind=Number(), hints=("-",))
    def empty(answer, rng, expect):
        pass

    assert check(empty, {"x": 1}).outcome is Outcome.FAILED


def test_keyboard_interrupt_goes_through():
    def interrupted(frame, column):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        said(interrupted)


def test_feedback_is_the_same_each_time_and_has_no_address():
    def odd(frame, column):
        raise ValueError(f"cannot use {object()}")

    assert text(said(odd)) == text(said(odd))
    assert "0x" not in text(said(odd))
    html = feedback.of_verdict(said(odd))._repr_html_()
    assert "background:" in html and "color:" in html and "<script" not in html


def test_html_escapes_what_the_learner_wrote():
    def odd(frame, column):
        raise ValueError("<img src=x onerror=alert(1)>")

    assert "<img" not in feedback.of_verdict(said(odd))._repr_html_()


def test_kinds_take_what_learners_mean():
    assert Array(ndim=1).take(pd.Series([1, 2]), "`a`").tolist() == [1, 2]
    assert Several(Number(), Names()).take((1, {"b", "a"}), "`f`") == (1.0, ["a", "b"])
    assert Frame(columns=("x",)).take(pd.DataFrame({"x": [1]}), "`f`").shape == (1, 1)


def test_infinity_is_refused_where_a_whole_number_is_expected():
    for value in (float("inf"), -float("inf"), 2.5):
        with pytest.raises(Refused, match="whole number"):
            Number(integer=True).take(value, "`n`")
    assert Number(integer=True).take(3.0, "`n`") == 3


# ---- the face -------------------------------------------------------------------------------------------------------


@pytest.fixture
def lesson(monkeypatch, tmp_path):
    exercises = {ex.id: ex for ex in (mean_of, guess, two)}
    monkeypatch.setattr(contract, "exists", lambda lesson_id: lesson_id == "99")
    monkeypatch.setattr(contract, "load", lambda lesson_id: contract.LessonContract("99", 2, exercises))
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "progress.json"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
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


def test_an_old_notebook_is_told_so(lesson):
    old = face.Lesson("99", edition=1)
    assert "made for edition 1" in repr(old.check("99.1")) and "edition 2" in repr(old.check("99.1"))


def test_progress_is_kept_over_sessions_and_a_better_try_never_lost(lesson):
    answer_with(lesson, "99.2", guess=a_down())
    answer_with(lesson, "99.2", guess=all_down())
    again = face.Lesson("99")
    assert "Lesson 99 · 3 of 8 points" in repr(again.progress())
    assert "begun 99.2" in repr(again.progress())


def test_two_notebooks_side_by_side_keep_each_others_rows(lesson):
    other = face.Lesson("99")
    answer_with(lesson, "99.2", guess=a_down())
    answer_with(other, "99.1", mean_of=right)
    assert "5 of 8 points" in repr(lesson.progress())


def test_a_broken_progress_file_is_set_aside(lesson, tmp_path):
    (tmp_path / "progress.json").write_text('{"exercises": 3')
    shown = answer_with(lesson, "99.2", guess=a_down())
    assert "3 of 5 points" in shown and "progress.json.broken-1" in shown
    assert (tmp_path / "progress.json.broken-1").read_text() == '{"exercises": 3'
    assert "progress.json.broken" not in answer_with(lesson, "99.2", guess=a_down())


def test_reset_keeps_a_copy_and_leaves_other_lessons_alone(lesson, tmp_path):
    with lesson._progress.change() as data:
        data["exercises"]["2.1"] = {"points": 3, "possible": 3, "passed": True, "tries": ["a"], "hints": 0}
    answer_with(lesson, "99.2", guess=a_down())
    lesson.predict("auc", 0.5)
    lesson.reset()
    rows = json.loads((tmp_path / "progress.json").read_text())
    assert list(rows["exercises"]) == ["2.1"] and rows["predictions"] == {}
    assert "99.2" in (tmp_path / "progress.json.before-reset-1").read_text()


def test_memory_progress_writes_no_file(lesson, monkeypatch, tmp_path):
    monkeypatch.setenv(progress.VARIABLE, "memory")
    quiet = face.Lesson("99")
    answer_with(quiet, "99.2", guess=a_down())
    assert "3 of 8" in repr(quiet.progress()) and not list(tmp_path.glob("*.json*"))


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs POSIX paths")
def test_a_folder_that_cannot_be_written_does_not_stop_the_lesson(lesson, monkeypatch, tmp_path):
    blocked = tmp_path / "a file, not a folder"
    blocked.write_text("")
    monkeypatch.setenv(progress.VARIABLE, str(blocked / "progress.json"))
    shown = answer_with(face.Lesson("99"), "99.2", guess=a_down())
    assert "3 of 5 points" in shown and "for this session only" in shown


def test_predictions_come_back_and_the_first_one_stays(lesson):
    assert "Replace `...`" in repr(lesson.predict("auc", ...))
    lesson.predict("auc", 0.5)
    assert "first guess was kept" in repr(lesson.predict("auc", 0.97))
    assert "You predicted 0.5. It is 0.9741." in repr(lesson.recall("auc", 0.97412))
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
    @exercise(
        "99.9",
        "Count",
        answers=("count",),
        points=1,
        minutes=1,
        kind=Function(
            "row",
            "memory",
            returns=Several(Number(), Mapping(), names=("n", "memory")),
            may_change=("memory",),
        ),
        hints=("Add one.",),
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
    assert three.take([1, 2.5], "it") == three.take({"A": 1, "B": 2.5}, "it") == {"A": 1, "B": 2.5}
    with pytest.raises(Refused):
        three.take([1, 2, 3], "it")
    with pytest.raises(Refused):
        Mapping(keys=("A", "B"), values=Number()).take([1, 2], "it")
