"""Help within reach: buttons where a front end has widgets, the calls in words everywhere else; guesses that come back."""

import ast
import os
from pathlib import Path

import pytest
from stand_in_exercises import asks, use_lesson

from mlprod_helpers.lesson import buttons, face, progress

LESSONS = sorted((Path(__file__).resolve().parents[1] / "lessons").glob("*.py"))


@asks(points=2, hints=("Think of a half.", "It is 0.5."))
def half(answer, rng, expect):
    expect.close(answer, 0.5, "a half")


class Shell:
    """IPython as a front end talks to it: each request names its cell."""

    def __init__(self, **metadata):
        self.metadata = metadata

    def get_parent(self):
        return {"metadata": self.metadata}


@pytest.fixture
def lesson(monkeypatch, tmp_path):
    use_lesson(monkeypatch, half)
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "progress.json"))
    monkeypatch.chdir(tmp_path)
    return face.Lesson("99")


@pytest.fixture
def front_end(monkeypatch):
    monkeypatch.setattr(buttons, "running_shell", lambda: Shell(cellId="abc"))


def pressable(shown):
    """The buttons by what they say, and the answer below them."""
    row, answer = shown.widget().children
    made = [each for each in row.children if hasattr(each, "click")]
    return {each.description: each for each in made}, answer


# ------------------------------------------------------------------------------------------ where there are buttons


def test_a_front_end_has_buttons_and_nothing_else_has(monkeypatch):
    def can(shell):
        monkeypatch.setattr(buttons, "running_shell", lambda: shell)
        return buttons.can_be_pressed()

    assert can(Shell(cellId="abc"))
    assert not can(None), "plain Python"
    assert not can(object()), "a terminal"
    assert not can(Shell()), "a program that executes notebooks, such as the builder and nbval"
    monkeypatch.setenv("NBGRADER_EXECUTION", "validate")
    assert not can(Shell(cellId="abc")), "a grader"


def test_where_there_are_no_buttons_the_calls_are_words(lesson):
    said = repr(lesson._check("99.1", {"x": 1.0}))
    assert said.endswith('Next: `lesson.hint("99.1")`. After 3 different answers: `lesson.solution("99.1")`')
    assert repr(lesson._check("99.1", {})).endswith('Stuck? `lesson.hint("99.1")`')
    assert repr(lesson._check("99.1", {"x": 0.5})).endswith('To compare: `lesson.solution("99.1")`')


def test_buttons_change_no_word_of_the_feedback(lesson, front_end, monkeypatch):
    live = lesson._check("99.1", {"x": 1.0})
    monkeypatch.setattr(buttons, "running_shell", lambda: None)
    still = lesson._check("99.1", {"x": 1.0})
    assert type(live) is not type(still)
    assert (repr(live), live._repr_html_()) == (repr(still), still._repr_html_())


def test_the_feedback_is_an_output_of_its_own_above_the_buttons(lesson, front_end, monkeypatch):
    sent = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: sent.append(data))
    lesson._check("99.1", {"x": 1.0})._ipython_display_()
    feedback, live = sent
    assert set(feedback) == {"text/html", "text/plain"} and "not yet" in feedback["text/plain"]
    assert live["text/plain"] == "Run the cell to see its buttons: Hint 1 of 2, Solution"
    assert "application/vnd.jupyter.widget-view+json" in live and "Hint 1 of 2" in live["text/html"]


def test_widgets_that_fail_cost_no_feedback(lesson, front_end, monkeypatch):
    sent = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: sent.append(data))
    monkeypatch.setattr("ipywidgets.Button", None)
    lesson._check("99.1", {"x": 1.0})._ipython_display_()
    assert len(sent) == 1 and "not yet" in sent[0]["text/plain"]


# ------------------------------------------------------------------------------------------ what the buttons do


def test_each_press_shows_the_next_hint_and_says_which_comes_then(lesson, front_end):
    made, answer = pressable(lesson._check("99.1", {"x": 1.0}))
    hint = made["Hint 1 of 2"]
    assert answer.layout.display == "none"
    hint.click()
    assert "Think of a half." in answer.value and "0.5" not in answer.value and answer.layout.display is None
    assert hint.description == "Hint 2 of 2"
    hint.click()
    hint.click()
    assert answer.value.count("Think of a half.") == answer.value.count("It is 0.5.") == 1
    assert lesson._progress.read()["exercises"]["99.1"]["hints"] == 2
    assert 'role="status"' in answer.value


def test_the_solution_opens_after_three_different_answers(lesson, front_end):
    for x in (1.0, 2.0):
        made, answer = pressable(lesson._check("99.1", {"x": x}))
        made["Solution"].click()
        assert "It opens when the exercise is passed" in answer.value
    made, answer = pressable(lesson._check("99.1", {"x": 3.0}))
    made["Solution"].click()
    assert "opens when" not in answer.value and "your instructor has it" in answer.value


def test_each_button_says_for_which_exercise_it_is(lesson, front_end):
    made, _ = pressable(lesson._check("99.1", {"x": 1.0}))
    assert all("exercise 99.1" in each.tooltip for each in made.values())


# ------------------------------------------------------------------------------------------ guesses


def test_a_guess_can_be_pressed_and_the_first_one_stays(lesson, front_end):
    made, answer = pressable(lesson.predict("share", ..., choices=[0.25, "a half"]))
    assert list(made) == ["0.25", "a half"]
    made["0.25"].click()
    assert "Recorded: 0.25." in answer.value
    made["a half"].click()
    assert "Recorded: 0.25. Your first guess was kept." in answer.value
    assert "You predicted 0.25. The outcome is 0.5." in repr(lesson.recall("share", 0.5))
    assert repr(lesson.predict("share", ..., choices=[0.25, "a half"])).endswith("Recorded: 0.25.")


def test_a_guess_can_be_written_where_there_are_no_buttons(lesson):
    said = repr(lesson.predict("share", ..., choices=[0.25, "a half"]))
    assert "Replace `...` with your guess, such as `0.25` or `'a half'`, and run the cell again." in said
    assert "Recorded: 0.4." in repr(lesson.predict("share", 0.4, choices=[0.25, "a half"]))
    assert lesson._progress.read()["exercises"] == {}, "nothing is scored"


def test_a_guess_without_choices_has_no_buttons(lesson, front_end):
    assert "Replace `...` with your guess and run" in repr(lesson.predict("share", ...))


def calls(tree, name):
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == f"lesson.{name}"
    ]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_each_prediction_of_a_lesson_has_choices_and_comes_back_on_the_page(path):
    guesses, shown = {}, []
    for cell in path.read_text(encoding="utf-8").split("\n# %%"):
        _, _, code = cell.partition("\n")
        if "markdown" in cell.partition("\n")[0] or not ("lesson.predict" in code or "lesson.recall" in code):
            continue
        tree = ast.parse(code)
        for call in calls(tree, "predict"):
            choices = [ast.literal_eval(word.value) for word in call.keywords if word.arg == "choices"]
            guesses[call.args[0].value] = choices[0] if choices else []
        printed = [
            each
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
            for each in calls(node, "recall")
        ]
        shown += [call.args[0].value for call in [*calls(tree.body[-1], "recall"), *printed]]
    assert all(len(set(choices)) >= 3 for choices in guesses.values()), guesses
    assert sorted(set(shown)) == sorted(guesses)


# ------------------------------------------------------------------------------------------ reset


def test_a_reset_names_the_copy_that_it_keeps(lesson, tmp_path):
    lesson._check("99.1", {"x": 1.0})
    before = (tmp_path / "progress.json").read_text()
    said = repr(lesson.reset("99.1"))
    assert "The old progress file is kept as `progress.json.before-reset-1`." in said
    assert (tmp_path / "progress.json.before-reset-1").read_text() == before
    assert "progress.json.before-reset-2" in repr(lesson.reset())


def test_without_a_copy_nothing_is_reset(lesson, monkeypatch):
    lesson._check("99.1", {"x": 1.0})

    def full(*_):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("shutil.copyfile", full)
    said = repr(lesson.reset())
    assert (
        "Nothing was reset, because no copy of the progress file can be kept (No space left on device)"
        in said
    )
    assert "99.1" in lesson._progress.read()["exercises"]


def test_in_memory_a_reset_has_no_copy_to_name(lesson, monkeypatch):
    monkeypatch.setenv(progress.VARIABLE, "memory")
    assert repr(face.Lesson("99").reset()).endswith("Your answers in the notebook were not touched.")
