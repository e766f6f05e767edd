"""Small exercises for tests, and a lesson that is made of them."""

from mlprod_helpers.lesson import contract
from mlprod_helpers.lesson.contract import Number, exercise

NUMBER = Number()


def asks(id="99.1", answers=("x",), kind=NUMBER, **settings):
    """Decorate a check, with settings that seldom matter."""
    usual = {"title": "A stand-in", "points": 1, "minutes": 1, "hints": ("-",)}
    return exercise(id, answers=answers, kind=kind, **usual | settings)


def use_lesson(monkeypatch, *exercises, edition=1, after=""):
    """Make these exercises the course's only lesson; its number is theirs."""
    number = exercises[0].id.partition(".")[0]
    made = contract.LessonContract(number, edition, {each.id: each for each in exercises}, after)
    monkeypatch.setattr(contract, "exists", lambda lesson_id: lesson_id == number)
    monkeypatch.setattr(contract, "load", lambda lesson_id: made)
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)
