"""The glossary: one entry a term, each of one sentence with an example."""

import re
from pathlib import Path

import pytest

from mlprod_helpers.lesson import contract
from mlprod_tools import count, glossary, prose

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / glossary.FILE).read_text(encoding="utf-8")
TERMS = glossary.read(ROOT)


def test_every_line_that_begins_bold_is_an_entry_and_no_term_comes_twice():
    bold = [line for line in TEXT.splitlines() if line.startswith("**")]
    assert [line for line in bold if not glossary.ENTRY.match(line)] == []
    assert len(bold) == len({glossary.order(term) for term in TERMS})


def test_the_entries_are_in_alphabetical_order():
    found = [glossary.order(term) for term in TERMS]
    assert found == sorted(found)


@pytest.mark.parametrize("term", TERMS)
def test_an_entry_is_one_sentence_with_an_example(term):
    entry = TERMS[term]
    assert re.match(r"[A-Z0-9].*\.$", entry.sentence)
    assert len(prose.split_sentences(entry.sentence)) == 1
    assert prose.count_words(entry.sentence) <= count.MOST_IN_SENTENCE
    assert "for example" in entry.sentence
    assert not re.search(r"\d %", entry.sentence)
    assert set(entry.lessons) <= set(contract.lesson_ids())


def test_words_with_a_plain_meaning_are_terms():
    assert set(TERMS) >= glossary.EVERYDAY


@pytest.mark.parametrize(
    ("term", "text", "found"),
    [
        ("canary", "two Canaries", True),
        ("request log", "The request-log", True),
        ("request log", "requests log", False),
        ("AUC", "AUCs", True),
        ("CI", "the ci job", False),
        ("P(y | x)", "the law P(y | x) stays", True),
        ("out-of-fold", "an out of fold score", True),
        ("page", "homepage", False),
    ],
)
def test_a_term_is_found_in_its_usual_forms(term, text, found):
    entry = glossary.Entry(term, ("00",), "", 1)
    assert bool(entry.pattern.search(text)) is found
