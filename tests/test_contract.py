"""The register of exercises: nothing hides behind a name that stands twice."""

import importlib
import re
from pathlib import Path

import pytest

from mlprod_helpers.lesson import contract
from mlprod_helpers.lesson.contract import Number, exercise

FILES = sorted((Path(__file__).parents[1] / "mlprod_helpers" / "exercises").glob("lesson_*/e*.py"))
HERE = Path(__file__).name


def made(id="9.1", answer="one", name="one"):
    def check(answer, rng, expect): ...

    check.__name__ = name
    return exercise(id, "T", answers=(answer,), points=1, minutes=1, kind=Number(), hints=("h",))(check)


def test_a_lesson_names_its_exercises_in_their_order():
    assert list(contract.register("09", (made("9.10", "b"), made("9.2", "a")))) == ["9.2", "9.10"]


@pytest.mark.parametrize(
    ("exercises", "message"),
    [
        ((made(), made(answer="two")), "exercise 9.1 is defined twice"),
        ((made(), made("9.2")), "the answer one belongs to exercise 9.1"),
        ((made("8.1"),), "exercise 8.1 at"),
        ((made, made()), "is no exercise"),
    ],
)
def test_what_stands_twice_is_refused_with_both_places(exercises, message):
    with pytest.raises(ValueError, match=message) as refused:
        contract.register("09", exercises)
    assert str(refused.value).count(HERE) == (0 if callable(exercises[0]) else len(exercises))


def test_a_misconception_that_is_named_like_its_exercise_is_refused_with_both_places():
    one = made()

    def add():
        @one.misconception("t")
        def one_wrong():
            return 2

        return one_wrong

    add()
    with pytest.raises(ValueError, match="one_wrong at") as refused:
        add()
    assert str(refused.value).count(HERE) == 2

    def one_again():
        return 1

    one_again.__name__ = "one"
    for decorate in (one.misconception("t"), one.alternative):
        with pytest.raises(ValueError, match="9.1: one at"):
            decorate(one_again)
    assert len(one.misconceptions) == 1 and one.alternatives == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_each_file_holds_the_exercise_that_it_is_named_after(file):
    number, _, name = file.stem.removeprefix("e").partition("_")
    module = importlib.import_module(f"mlprod_helpers.exercises.{file.parent.name}.{file.stem}")
    found = contract.load(file.parent.name.removeprefix("lesson_")).exercises
    id = f"{int(file.parent.name[-2:])}.{number}"
    assert id in found, f"{file.name} is not in EXERCISES of {file.parent.name}/__init__.py"
    assert found[id] is getattr(module, name) and found[id].check.__name__ == name


@pytest.mark.parametrize("lesson_id", contract.lesson_ids())
def test_each_lesson_says_in_a_sentence_where_to_go_next(lesson_id):
    assert re.fullmatch(r"[A-Z][^.!?]+\.", contract.load(lesson_id).next)
