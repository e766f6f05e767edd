"""Whose a file is, and which cell answers which exercise: layouts of other systems, copies, moves, and files made to do harm."""

import io
import json
import os
import stat
import struct
import time
import zipfile
from pathlib import Path

import pytest

from mlprod_helpers.lesson import contract
from mlprod_helpers.lesson.checking import check
from mlprod_tools.grade import answers, slim, submissions

ROOT = Path(__file__).resolve().parents[1]
NAME = "06_deployment_strategies"


def book(*cells, lesson="06", edition=3, **about):
    """A notebook's text; a cell is its code, or (exercise, code)."""
    made = []
    for cell in cells:
        exercise, source = cell if isinstance(cell, tuple) else ("", cell)
        metadata = {"mlprod": {"exercise": exercise}} if exercise else {}
        made.append(
            {
                "cell_type": "code",
                "metadata": metadata,
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
        )
    metadata = {"mlprod": {"lesson": lesson, "edition": edition}} if lesson else {}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata, "cells": made, **about})


def lay(root, files):
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def zipped(files):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return made.getvalue()


def read_all(root):
    return {each.learner: submissions.read(each) for each in submissions.find(root)}


def only(root):
    (found,) = read_all(root).values()
    return found


def sources(submission):
    return {each.exercise: each.source.strip() for each in submission.answers}


HARM = "def harm(steps, rate, old_error, new_error):\n    return 1"
BOOK = book(("6.1", HARM))


# ------------------------------------------------------------------ layouts


@pytest.mark.parametrize(
    "files, learners",
    [
        ({"ana/06.ipynb": BOOK, "bob/week 1/renamed.ipynb": BOOK}, ["ana", "bob"]),
        ({"ana.zip": zipped({"deep/down/x.ipynb": BOOK})}, ["ana"]),
        (
            {f"ana_{NAME}.ipynb": BOOK, f"{NAME}-bob.ipynb": BOOK, "cy.ipynb": BOOK, "list.csv": "x"},
            ["ana", "bob", "cy"],
        ),
        (
            {
                "Ana Alvarez_123_assignsubmission_file_/06.ipynb": BOOK,
                "Ana Alvarez_124_assignsubmission_file/sub/06.ipynb": BOOK,
                "Bo Li_7_assignsubmission_file_06.ipynb": BOOK,
                "Participant_9_assignsubmission_file/06.zip": zipped({"06.ipynb": BOOK}),
            },
            ["Ana Alvarez (123)", "Ana Alvarez (124)", "Bo Li (7)", "Participant (9)"],
        ),
        (
            {
                f"alvarezana_LATE_12_900_{NAME}-1.ipynb": BOOK,
                "li_bo_13_901_05.ipynb": book(("5.2", "def safe_rate(curve, target): return 1"), lesson="05"),
                f"li_bo_13_902_{NAME}.ipynb": BOOK,
                "anon_a1B2c_903_06.ipynb": BOOK,
            },
            ["alvarezana (12)", "anon (a1B2c)", "li_bo (13)"],
        ),
        ({"submitted/ana/week1/06.ipynb": BOOK, "submitted/bob/week1/06.ipynb": BOOK}, ["ana", "bob"]),
        (
            {
                "__MACOSX/._06.ipynb": "x",
                ".DS_Store": "x",
                "ana/.ipynb_checkpoints/06-checkpoint.ipynb": "x",
                "ana/06.ipynb": BOOK,
            },
            ["ana"],
        ),
    ],
    ids=["folders", "zips", "flat", "moodle", "canvas", "nbgrader", "what systems leave behind"],
)
def test_each_layout_gives_its_learners_and_their_answers(tmp_path, files, learners):
    found = read_all(lay(tmp_path / "class", files))
    assert sorted(found) == learners
    for submission in found.values():
        assert sources(submission)["6.1"] == HARM
        assert submission.notes == ()


def test_a_zip_of_a_class_reads_as_its_folder_does(tmp_path):
    files = {
        "Ana Alvarez_123_assignsubmission_file_/06.ipynb": BOOK,
        "Bo Li_7_assignsubmission_file_/mine.zip": zipped({"06.ipynb": BOOK}),
    }
    lay(tmp_path / "class", files)
    (tmp_path / "flat.zip").write_bytes(zipped(files))
    (tmp_path / "term.zip").write_bytes(zipped({f"term/{name}": text for name, text in files.items()}))
    seen = [
        {name: each.digest for name, each in read_all(tmp_path / where).items()}
        for where in ("class", "flat.zip", "term.zip")
    ]
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0]) == 2


def test_of_the_exchange_of_nbgrader_the_latest_submission_counts(tmp_path):
    early, late = book(("6.1", HARM)), book(("6.1", HARM.replace("1", "2")))
    lay(
        tmp_path,
        {
            "inbound/a+b+week1+2026-03-02 10:00:00.123456 UTC+Zm9v/06.ipynb": late,
            "inbound/a+b+week1+2026-03-01 10:00:00.123456 UTC+YmFy/06.ipynb": early,
            "inbound/a+b+week1+2026-03-02 10:00:00.123456 UTC+Zm9v/timestamp.txt": "x",
        },
    )
    found = read_all(tmp_path)
    assert list(found) == ["a+b"]
    assert "return 2" in sources(found["a+b"])["6.1"]


def test_one_notebook_alone_can_be_graded(tmp_path):
    lay(tmp_path / "ana", {f"{NAME}.ipynb": BOOK})
    assert list(read_all(tmp_path / "ana")) == ["ana"]
    assert list(read_all(tmp_path / "ana" / f"{NAME}.ipynb")) != []


def test_an_empty_folder_is_refused_and_a_learner_without_a_notebook_is_not_lost(tmp_path):
    with pytest.raises(ValueError, match="holds no"):
        submissions.find(tmp_path)
    lay(tmp_path, {"ana/essay.pdf": "x"})
    assert only(tmp_path).notes == ("No notebook was found.",)


def test_the_digest_follows_the_answers_and_nothing_else(tmp_path):
    import_and_answer = ["import numpy as np", ("6.1", HARM.replace("1", "np.sum(steps)"))]
    texts = {
        "same": book(*import_and_answer),
        "printed": book("print('noise')", *import_and_answer, "harm.plot()"),
        "other": book(*import_and_answer[:1], ("6.1", HARM)),
    }
    found = {name: only(lay(tmp_path / name, {"ana/06.ipynb": text})).digest for name, text in texts.items()}
    assert found["same"] == found["printed"] != found["other"]


# ------------------------------------------------------------------ notebooks


@pytest.mark.parametrize(
    "text",
    [
        BOOK,
        book("from mlprod_helpers import Lesson\nlesson = Lesson('06', edition=3)", HARM, lesson=None),
        book(HARM, 'lesson.check("6.1")', lesson=None),
    ],
    ids=["metadata", "its first cell", "its checks"],
)
def test_a_renamed_notebook_is_known_by_what_it_says(tmp_path, text):
    found = only(lay(tmp_path, {"ana/Untitled7.ipynb": text}))
    assert found.lessons == ("06",)
    assert sources(found)["6.1"] == HARM


def test_cells_as_one_text_or_as_lines_and_old_notebooks_are_read(tmp_path):
    lines = json.loads(BOOK)
    lines["cells"][0]["source"] = HARM.splitlines(keepends=True)
    old = {
        "nbformat": 3,
        "metadata": lines["metadata"],
        "worksheets": [{"cells": [{"cell_type": "code", "input": HARM}]}],
    }
    for name, text in {"a": json.dumps(lines), "b": json.dumps(old), "c": "\ufeff" + BOOK}.items():
        assert sources(only(lay(tmp_path / name, {"ana/06.ipynb": text})))["6.1"] == HARM


@pytest.mark.parametrize("lesson", contract.lesson_ids())
def test_the_answers_of_a_solution_pass_alone_with_what_they_need(tmp_path, lesson):
    (path,) = (ROOT / "solutions").glob(f"{lesson}_*.ipynb")
    found = only(lay(tmp_path, {"ana/x.ipynb": path.read_bytes()}))
    exercises = contract.load(lesson).exercises
    assert [each.exercise for each in found.answers] == list(exercises)
    for answer in found.answers:
        names = {"__name__": "__main__"}
        for text in (*answer.needs, answer.source):
            exec(compile(text, "<cell>", "exec"), names)
        assert check(exercises[answer.exercise], names).points == exercises[answer.exercise].points
        lines = [line for text in answer.needs for line in text.splitlines() if line.strip()]
        assert len(lines) <= 30, "a lesson's experiments are not needed for an answer"


# ------------------------------------------------------------------ which cell counts


def answer_of(*cells, exercise="6.1", lesson="06"):
    exercises = contract.load(lesson).exercises
    made = [
        answers.Cell(k, *(cell if isinstance(cell, tuple) else ("", cell)))
        for k, cell in enumerate(cells, start=1)
    ]
    return {each.exercise: each for each in answers.find(made, list(exercises.values()), lesson, 3)}.get(
        exercise
    )


def test_of_two_definitions_the_last_one_counts_and_the_report_says_so():
    found = answer_of(("6.1", HARM), "harm = lambda *args: 2")
    assert found.source == "harm = lambda *args: 2"
    assert found.notes == ("`harm` is defined in cells 1 and 2: the last one counts.",)


def test_a_stub_that_was_left_behind_hides_no_answer():
    stub = HARM.replace("return 1", "return ...")
    found = answer_of(HARM, ("6.1", stub))
    assert "return 1" in found.source
    assert found.notes == ("`harm` is still `...` in cell 2: the answer in cell 1 counts.",)
    assert answer_of(("6.1", stub)).source == stub


def test_a_moved_cell_is_found_without_its_metadata():
    assert answer_of("x = 1", HARM).source == HARM
    assert answer_of("x = 1") is None


def test_a_split_cell_is_put_together():
    found = answer_of(
        ("6.7", "def views_needed(p, lift, power):\n    return K"),
        "K = 3",
        ("6.7", "def hours_needed(views, rate, percent):\n    return views_needed(1, 1, 1)"),
        exercise="6.7",
    )
    assert [text.strip() for text in found.needs] == ["K = 3"]
    assert "def views_needed" in found.source and "def hours_needed" in found.source


def test_two_answers_in_one_cell_serve_two_exercises():
    both = HARM + "\n\ndef judge(stable, canary):\n    return harm"
    assert "def judge" not in answer_of(both).source
    assert answer_of(both, exercise="6.5").source.lstrip().startswith("def harm")


def test_a_cell_copied_into_another_lesson_still_answers(tmp_path):
    other = book(("6.1", HARM), ("5.2", "def safe_rate(curve, target):\n    return 1"), lesson="05")
    found = only(lay(tmp_path, {"ana/05.ipynb": other}))
    assert found.lessons == ("05", "06")
    assert [(each.exercise, each.edition) for each in found.answers] == [("5.2", 3), ("6.1", None)]


def test_of_several_notebooks_of_a_lesson_each_answer_is_the_last_attempt(tmp_path):
    files = {
        f"ana/{NAME}.ipynb": book(("6.1", HARM)),
        f"ana/{NAME}-Copy1.ipynb": book(
            ("6.1", HARM.replace("1", "2")), ("6.5", "def judge(stable, canary):\n    return 0")
        ),
    }
    found = only(lay(tmp_path, files))
    assert "return 1" in sources(found)["6.1"], "the file with the lesson's own name is no copy"
    assert "6.5" in sources(found)
    assert "There are 2 notebooks of lesson 06" in found.notes[0]


def test_lines_keep_their_numbers_and_only_what_is_needed_stays():
    found = answer_of(
        "%matplotlib inline\nimport numpy as np\n\nnp.zeros(3)\nraise SystemExit",
        "limit = 3\nlimits = [1]\nlimits.append(limit)\nlimits.plot()",
        ("6.1", f"print('slow')\n{HARM.replace('1', 'np.sum(limits)')}\nassert harm(1, 2, 3, 4)"),
    )
    assert found.needs == ("\nimport numpy as np", "limit = 3\nlimits = [1]\nlimits.append(limit)")
    assert found.source == "\n" + HARM.replace("1", "np.sum(limits)")


@pytest.mark.parametrize(
    "cells, kept",
    [
        (["a = 1", "a += 2", "a = a + 1"], ["a = 1", "a += 2", "a = a + 1"]),
        (["a = 1", "a = 2"], ["a = 2"]),
        (["a = {}", "for k in range(3):\n    a[k] = k"], ["a = {}", "for k in range(3):\n    a[k] = k"]),
        (
            ["a = []", "def fill(x):\n    x.append(1)", "fill(a)"],
            ["a = []", "def fill(x):\n    x.append(1)", "fill(a)"],
        ),
        (["a = []", "show(a)", "a.head()"], ["a = []"]),
        (
            ["try:\n    a = f()\nexcept NameError:\n    a = 1"],
            ["try:\n    a = f()\nexcept NameError:\n    a = 1"],
        ),
        (["from math import *", "a = pi"], ["from math import *", "a = pi"]),
        (["a, b = 1, 2", "b = a"], ["a, b = 1, 2"]),
        (
            ["import random", "random.seed(3)", "a = random.random()"],
            ["import random", "random.seed(3)", "a = random.random()"],
        ),
        (
            ["a = 1", "class A:\n    x = 3", "A.x = 4", "a = A.x"],
            ["class A:\n    x = 3", "A.x = 4", "a = A.x"],
        ),
    ],
)
def test_what_an_answer_needs(cells, kept):
    found = answer_of(*cells, ("6.1", HARM.replace("return 1", "return a")))
    assert list(found.needs) == kept


def test_a_helper_below_its_answer_is_made_before_the_answer_is_called():
    assert (
        answer_of(("6.1", HARM.replace("return 1", "return help_me()")), "def help_me():\n    return 1").needs
        != ()
    )


def test_magics_are_no_python_and_do_no_harm():
    assert answer_of(("6.1", "%%time\n" + HARM)).source == "\n" + HARM
    assert (
        answer_of(("6.1", "!pip install x\n" + HARM + "\nharm?\n%timeit harm(1,1,1,1)")).source == "\n" + HARM
    )
    assert answer_of(("6.1", "%%bash\nharm = 1")).source == ""


def test_a_cell_that_is_no_python_is_handed_on_as_it_is():
    assert answer_of(("6.1", "def harm(steps)\n    return 1")).source == "def harm(steps)\n    return 1"
    found = answer_of(("6.1", HARM), "def harm(:\n    return 2")
    assert found.source == HARM
    assert found.notes == ("Cell 2 cannot be run (invalid syntax): an earlier cell counts.",)


def test_names_made_by_exec_are_not_lost():
    text = "code = 'harm = lambda *a: 1'\nexec(code)"
    assert answer_of(("6.1", text)).source == text


def test_a_nonsensical_cell_breaks_nothing():
    for text in (
        "(" * 50_000,
        "-" * 50_000 + "1",
        "x=" + "lambda:" * 5000 + "1",
        "\ud800 = 1",
        "a\0b",
        "if x:\n pass\n" + "elif x:\n pass\n" * 5000,
    ):
        assert answer_of(text, ("6.1", HARM)).source == HARM


# ------------------------------------------------------------------ files made to do harm


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b"[1]", "no list of cells"),
        (b'{"cells": 3}', "no list of cells"),
        (
            b'{"cells": [null, 1, {"cell_type": "code", "source": 7}, {"cell_type": "code", "metadata": 1}]}',
            "no lesson",
        ),
        (book("x = 1", lesson="77").encode(), "no lesson"),
        (book("x = 1", lesson="../../etc").encode(), "no lesson"),
    ],
)
def test_a_malformed_notebook_is_a_note(tmp_path, content, reason):
    found = only(lay(tmp_path, {"ana/06.ipynb": content}))
    assert found.lessons == found.answers == ()
    assert len(found.notes) == 1 and reason in found.notes[0] and "`06.ipynb`" in found.notes[0]


def test_a_notebook_of_100_mb_is_read_without_its_outputs(tmp_path):
    output = {"output_type": "stream", "name": "stdout", "text": "x" * 104_000_000}
    data = json.loads(BOOK)
    data["cells"][0]["outputs"] = [output]
    lay(tmp_path, {"ana/06.ipynb": json.dumps(data)})
    begin = time.monotonic()
    assert sources(only(tmp_path))["6.1"] == HARM
    assert time.monotonic() - begin < 60


def test_what_needs_too_much_memory_or_is_too_much_code_is_a_note(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "MOST_MEMORY", 300 * 2**20)
    brackets = b"[" + b"[]," * 6_000_000 + b"0]"  # 18 MB that would be 400 MB in memory
    code = book(HARM + "\n" + "x = 1\n" * 2_000_000).encode()
    reasons = ("too much memory", "more code than is read")
    for k, (content, reason) in enumerate(zip((brackets, code), reasons, strict=True)):
        found = only(lay(tmp_path / str(k), {"ana/06.ipynb": content}))
        assert len(found.notes) == 1 and reason in found.notes[0]
        assert not found.answers


def test_code_that_would_take_hours_to_look_through_is_a_note(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "MOST_CODE", 2 * slim.MOST_CODE)
    monkeypatch.setattr(slim, "SHORT", 3000)  # or this test would take as long as it may
    short = book(*["x;" * 9000] * 100)  # under a million characters, but 900,000 statements
    found = only(lay(tmp_path, {"ana/1.ipynb": BOOK, **{f"ana/{k}.ipynb": short for k in range(2, 6)}}))
    cut = [note for note in found.notes if "more code than is read (1" in note]
    left_out = [note for note in found.notes if "left out: all these notebooks together" in note]
    assert len(cut) == 1 and len(left_out) == 3
    assert sources(found)["6.1"] == HARM


def test_a_larger_notebook_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "SMALL", 1000)
    monkeypatch.setattr(submissions, "MOST_BYTES", 5000)
    assert "larger than" in only(lay(tmp_path, {"ana/06.ipynb": BOOK + " " * 6000})).notes[0]


def test_a_zip_bomb_is_a_note(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "MOST_TOTAL", 20 * 2**20)
    bomb = zipped({"06.ipynb": b" " * 50 * 2**20, "b.zip": zipped({"a.ipynb": b" " * 50 * 2**20})})
    assert len(bomb) < 200_000
    found = only(lay(tmp_path, {"ana.zip": bomb}))
    assert found.notes and all("is too much" in note for note in found.notes), found.notes


def test_a_zip_that_lies_about_its_sizes_is_a_note(tmp_path):
    honest = bytearray(zipped({"06.ipynb": BOOK}))
    size = struct.pack("<L", len(BOOK))
    lied = bytes(honest).replace(size, struct.pack("<L", 10))
    assert lied != bytes(honest)
    found = only(lay(tmp_path, {"ana.zip": lied}))
    assert len(found.notes) == 1 and "damaged" in found.notes[0]


def test_zips_within_zips_end_somewhere(tmp_path):
    inner = BOOK.encode()
    name = "06.ipynb"
    for _ in range(6):
        inner, name = zipped({name: inner}), "more.zip"
    assert "too many others" in only(lay(tmp_path, {"ana.zip": inner})).notes[0]


def test_too_many_entries_are_a_note(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "MOST_ENTRIES", 50)
    found = only(lay(tmp_path, {"ana.zip": zipped({f"{k}.txt": "x" for k in range(60)})}))
    assert found.notes == ("`ana.zip` has too many entries (60).",)


def test_paths_that_lead_out_of_a_zip_are_left_out(tmp_path):
    evil = zipped({"../../bob/06.ipynb": BOOK, "/etc/06.ipynb": BOOK, "C:\\06.ipynb": BOOK})
    found = read_all(lay(tmp_path / "in", {"ana.zip": evil}))
    assert list(found) == ["ana"]
    assert len(found["ana"].notes) == 3 and not found["ana"].answers
    assert os.listdir(tmp_path) == ["in"], "nothing is written anywhere"


def test_links_in_folders_and_zips_are_not_followed(tmp_path):
    lay(tmp_path, {"secret/06.ipynb": BOOK, "class/ana/x.txt": ""})
    (tmp_path / "class" / "ana" / "06.ipynb").symlink_to(tmp_path / "secret" / "06.ipynb")
    (tmp_path / "class" / "bob").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "class" / "ana" / "pipe.ipynb")
    info = zipfile.ZipInfo("06.ipynb")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "class" / "cy.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    found = read_all(tmp_path / "class")
    assert {name: each.answers for name, each in found.items()} == {"ana": (), "bob": (), "cy": ()}
    assert "symbolic link" in " ".join(found["ana"].notes) and "no regular file" in " ".join(
        found["ana"].notes
    )
    assert "symbolic link" in found["bob"].notes[0] and "symbolic link" in found["cy"].notes[0]


def test_encrypted_and_damaged_zips_are_notes(tmp_path):
    locked = bytearray(zipped({"06.ipynb": BOOK}))
    for marker, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        locked[locked.find(marker) + at] |= 1
    found = read_all(
        lay(
            tmp_path,
            {"ana.zip": bytes(locked), "bob.zip": b"no zip", "cy.zip": zipped({"06.ipynb": BOOK})[:-30]},
        )
    )
    assert found["ana"].notes == ("`06.ipynb` is encrypted.",)
    assert found["bob"].notes == ("`bob.zip` is no zip.",)
    assert len(found["cy"].notes) == 1


def test_hostile_names_are_shown_harmlessly_and_nobody_takes_the_place_of_another(tmp_path):
    names = [
        "=cmd|'/c calc'!A1",
        "<script>alert(1)<",
        "a\nb",
        "a\rb",
        "x" * 200,
        "\u202egnp.ana",
        "Ana_9_assignsubmission_file_",
    ]
    for name in names:
        lay(tmp_path, {f"{name}/06.ipynb": BOOK})
    os.mkdir(os.fsencode(tmp_path) + b"/\xff\xfe")
    # a folder within one's own folder does not make one somebody else
    lay(tmp_path, {"eve/Ana_9_assignsubmission_file_/06.ipynb": book(("6.1", HARM + "00"))})
    found = read_all(tmp_path)
    assert len(found) == len(names) + 2
    assert all(learner.isprintable() and len(learner) <= 100 for learner in found)
    assert sources(found["Ana (9)"])["6.1"] == HARM


def test_code_beyond_all_measure_is_cut_and_said_so(tmp_path, monkeypatch):
    monkeypatch.setattr(slim, "MOST_CODE", 500)
    found = only(lay(tmp_path, {"ana/06.ipynb": book(("6.1", HARM), "x = 1\n" * 500)}))
    assert sources(found)["6.1"] == HARM
    assert "more code than is read" in found.notes[0]
