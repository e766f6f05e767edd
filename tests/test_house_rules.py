"""Each lesson keeps each house rule, as `mlprod count --faults` finds them."""

from pathlib import Path

import pytest

from mlprod_tools import count, glossary

ROOT = Path(__file__).resolve().parents[1]
LESSONS = {lesson.id: lesson for lesson in count.read_lessons(ROOT)}


@pytest.mark.parametrize("lesson", list(LESSONS))
@pytest.mark.parametrize("rule", count.RULES, ids=lambda rule: rule.__name__)
def test_a_lesson_keeps_the_rule(lesson, rule):
    assert [f"{line}: {message}" for line, message in rule(LESSONS[lesson])] == []


def test_every_term_of_the_glossary_is_used_in_a_lesson():
    text = "\n".join(block.marked.replace("*", "") for lesson in LESSONS.values() for block in lesson.blocks)
    assert [term for term, entry in glossary.read(ROOT).items() if not entry.pattern.search(text)] == []
