"""`mlprod count` measures what a learner reads, and finds where a lesson breaks a house rule."""

import json
from types import SimpleNamespace

import pytest

from mlprod_helpers.lesson.contract import Function, Number
from mlprod_tools import __main__ as command_line
from mlprod_tools import count, glossary, prose
from mlprod_tools.build import source

HEADER = """\
# ---
# mlprod:
#   lesson: "02"
#   title: T
#   express: all
#   needs: []
#   ideas: []
#   topics: []
# ---
"""


def lesson(tmp_path, body):
    path = tmp_path / "02_tiny.py"
    path.write_text(HEADER + "\n" + body, encoding="utf-8")
    found = source.read(path, tmp_path)
    assert not found.problems
    return count.Lesson(found, SimpleNamespace(exercises={}))


def markdown(*lines):
    return "# %% [markdown]\n" + "\n".join(f"# {line}".rstrip() for line in lines) + "\n\n"


def messages(rule, found):
    return [message for _, message in rule(found)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It grew; then it fell.", ["It grew;", "then it fell."]),
        ("Use a mean, e.g. of 3.5 points, vs. the median.", None),
        ("Is it? It is!", ["Is it?", "It is!"]),
        ("It asks “why?” and goes on.", None),
        ("(It grew. It fell.) Then nothing.", ["(It grew.", "It fell.)", "Then nothing."]),
        ("Xcode works. Xcode fails.", ["Xcode works.", "Xcode fails."]),
        ("No end", None),
    ],
)
def test_sentences_end_where_a_reader_pauses(text, expected):
    assert prose.split_sentences(text) == (expected or [text])


def test_a_code_span_a_formula_a_link_and_a_placeholder_end_no_sentence(tmp_path):
    text = "Call `f(x). g; h` with $a; b$ from [the guide](https://x.org/a;b), in {{minutes}} minutes."
    (block,) = lesson(tmp_path, markdown(text)).blocks
    assert [words for *_, words in block.sentences] == [10]


def test_tables_headings_and_labels_have_words_but_no_sentences(tmp_path):
    found = lesson(
        tmp_path,
        markdown(
            "# One heading", "", "| a. | b. |", "| --- | --- |", "| c. | d. |", "", "*4 points · 12 minutes*"
        ),
    )
    assert found.figures["words"] == 2 + 4 + 4
    assert found.figures["sentences"] == found.figures["longest sentence"] == 0


def test_an_item_is_a_paragraph_whose_sentences_stay_out_of_the_mean(tmp_path):
    found = lesson(tmp_path, markdown("One two.", "", "- " + "word " * 33, "  and more", "- short")).figures
    assert (found["mean sentence"], found["longest sentence"], found["longest paragraph"]) == (2, 35, 35)


def test_details_and_collapsed_cells_count_separately(tmp_path):
    body = markdown(
        "One.",
        "",
        "<details><summary>Why two words</summary>",
        "",
        "Five words are in here.",
        "",
        "</details>",
        "",
        "Two.",
    )
    body += "# %% collapsed=true\n# drawing\nx = 1\ny = 2\n\n# %%\n# why\nz = 3\n"
    found = lesson(tmp_path, body).figures
    assert (found["words"], found["folded words"]) == (5, 5)
    assert (found["code lines"], found["folded code lines"]) == (1, 2)


def test_answers_and_checks_are_no_code_of_the_lecture(tmp_path):
    body = '# %% exercise="2.1"\ndef f(x):\n    """Doc."""\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION\n\n'
    body += '# %% check="2.1"\nlesson.check("2.1")\n'
    assert lesson(tmp_path, body).figures["code lines"] == 0


def test_a_fault_names_the_line_of_its_sentence(tmp_path):
    found = lesson(tmp_path, markdown("Short.", "Short too.", "Word " * 33 + "end."))
    ((line, message),) = count.long_sentences(found)
    assert (line, message[:22]) == (14, "a sentence of 34 words")


def test_imports_from_the_package_count_once_a_name_and_not_in_answers(tmp_path):
    body = "# %%\nfrom mlprod_helpers import Lesson, plots\nfrom mlprod_helpers.drift import psi\nimport numpy as np\n\n"
    body += "# %% collapsed=true\n# drawing\nfrom mlprod_helpers import plots\n\n"
    body += '# %% exercise="2.1"\n### BEGIN SOLUTION\nfrom mlprod_helpers.drift import ks\n\nf = ks\n### END SOLUTION\n'
    assert sorted(prose.helper_names(lesson(tmp_path, body).source)) == ["plots", "psi"]


def test_a_skipped_heading_and_a_spaced_percentage_are_faults(tmp_path):
    found = lesson(
        tmp_path,
        markdown("# One", "### Three", "", "It is 75 % or 75%.")
        + "# %%\nprint(f'{1:.0f} %', 'about 5 %', 7 % 3, '%d %s')\n",
    )
    assert len(messages(count.skipped_levels, found)) == 1
    assert len(messages(count.spaced_percent, found)) == 3


def test_a_long_statement_without_a_list_is_a_fault(tmp_path):
    facts = ["### Exercise 2.1 · T", "*1 point · 3 minutes*", ""]
    long = markdown(*facts, "One. Two. Three. Four.")
    assert len(messages(count.statements, lesson(tmp_path, long))) == 1
    listed = markdown(*facts, "One. Two. Three.", "", "- Four.")
    assert messages(count.statements, lesson(tmp_path, listed)) == []


@pytest.mark.parametrize(
    ("lines", "faults"),
    [
        (["### Exercise 2.1 · T", "*1 point · 3 minutes*"], 0),
        (["#### Exercise 2.1 · T", "*1 point · 3 minutes*"], 1),
        (["### Exercise 2.1 · T", "*Core · 1 point · 3 minutes*"], 2),
        (["### Exercise 2.1 · T", "Text."], 1),
        (["## Stretch: more"], 0),
        (["## More (stretch)"], 1),
    ],
)
def test_labels_are_the_same_everywhere(tmp_path, lines, faults):
    assert len(messages(count.labels, lesson(tmp_path, markdown(*lines)))) == faults


TERMS = {
    term: glossary.Entry(term, ("01",), "", 1)
    for term in ("canary", "SLO", "service level objective", "page")
}


@pytest.mark.parametrize(
    ("text", "unbold", "unknown"),
    [
        ("A **canary** is small. Canaries end early.", 0, 0),
        ("A canary is small. A **canary** ends early.", 1, 0),
        ("A **service level objective** (SLO) is a promise.", 0, 0),
        ("The SLO holds.", 1, 0),
        ("Turn the page.", 0, 0),
        ("A **dodo** is gone.", 0, 1),
        ("**What next?** **Note:** **a** stays.", 0, 0),
        ("The NASA flies.", 0, 1),
        ("**Sources.** JASA, on the canary.", 0, 0),
    ],
)
def test_terms_are_bold_at_their_first_use_and_known(tmp_path, text, unbold, unknown):
    found = lesson(tmp_path, markdown(text))
    found.glossary = TERMS
    assert len(messages(count.unbold_terms, found)) == unbold
    assert len(messages(count.unknown_terms, found) + messages(count.unknown_acronyms, found)) == unknown


def test_objectives_announce_terms_before_they_are_explained(tmp_path):
    found = lesson(
        tmp_path,
        markdown(
            "## What you will do", "", "- run a canary", "", "## Canaries", "", "A **canary** is small."
        ),
    )
    found.glossary = TERMS
    assert messages(count.unbold_terms, found) == []


def test_a_function_with_a_list_of_conditions_needs_an_example(tmp_path):
    text = markdown("### Exercise 2.1 · T", "*1 point · 3 minutes*", "", "Write it:", "", "- one,", "- two.")
    cell = '# %% exercise="2.1"\ndef f(x):\n    """Doc."""\n    ### BEGIN SOLUTION\n    return 1  # example\n    ### END SOLUTION\n'
    kinds = (Function("x", returns=Number()),)
    for body, faults in [
        (text + cell, 1),
        (text.replace("two", "two, for example 3") + cell, 0),
        (text + cell.replace("Doc.", ">>> f(1)"), 0),
    ]:
        found = lesson(tmp_path, body)
        found.contract.exercises["2.1"] = SimpleNamespace(kinds=kinds, minutes=3)
        assert len(messages(count.examples, found)) == faults


OBJECTIVES = markdown(
    "## What you will do", "", "{{minutes}} minutes, see the [glossary](../docs/glossary.md)."
)
WORK = markdown("## At work") + "# %%\n" + "x = 1\n" * 10 + "\n"
RECAP = markdown("## Recap", *["<details><summary>Why?</summary>", "", "So.", "", "</details>", ""] * 3)
LAST = markdown("## Where you are") + "# %%\nlesson.progress()\n"


@pytest.mark.parametrize(
    ("body", "rule", "faults"),
    [
        (OBJECTIVES, count.objectives, 0),
        (OBJECTIVES.replace("{{minutes}}", "80"), count.objectives, 1),
        (OBJECTIVES.replace("../docs", "docs"), count.objectives, 1),
        (markdown("## A section") + "# %%\nx = 1\n", count.experiments, 1),
        (
            markdown("## A section", "", "*Change this and run again:* x.") + "# %%\nx = 1\n",
            count.experiments,
            0,
        ),
        (markdown("## A section without code"), count.experiments, 0),
        (WORK + RECAP + LAST, count.ends, 0),
        (WORK + LAST + RECAP, count.ends, 1),
        (WORK.replace("x = 1\n", "", 1) + RECAP + LAST, count.ends, 1),
        (WORK.replace("x = 1", "from mlprod_helpers import plots", 1) + RECAP + LAST, count.ends, 1),
        (
            WORK.replace("x = 1", "from mlprod_helpers.datasets import load_flights", 1) + RECAP + LAST,
            count.ends,
            0,
        ),
        (WORK + RECAP.replace("<summary>Why?</summary>", "", 1) + LAST, count.ends, 1),
        (WORK + RECAP + LAST.replace("progress", "check"), count.ends, 1),
    ],
)
def test_the_frame_of_a_lesson(tmp_path, body, rule, faults):
    assert len(messages(rule, lesson(tmp_path, body))) == faults


def test_the_command_prints_a_column_for_each_lesson_and_fails_on_faults(capsys):
    assert command_line.main(["count", "--lesson", "00", "01", "--sentences"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["00", "01"] and "words: " in out
    assert command_line.main(["count", "--lesson", "00", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["00"]["words"] > 500
    assert command_line.main(["count", "--lesson", "77"]) == 1
    assert "there is no lesson 77" in capsys.readouterr().err


def test_faults_give_the_exit_status(tmp_path, monkeypatch, capsys):
    found = lesson(tmp_path, markdown("It is 75 %."))
    monkeypatch.setattr(count, "read_lessons", lambda root, wanted: [found])
    assert command_line.main(["count", "--faults"]) == 1
    assert "02_tiny.py:12: write 75%, not 75 %" in capsys.readouterr().out
    assert command_line.main(["count"]) == 0
