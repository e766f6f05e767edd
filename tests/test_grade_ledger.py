"""The ledger: nothing is lost to a kill, nothing stands in it twice, and nobody mixes two runs in one."""

import json

import pytest

from mlprod_tools.grade import ledger
from mlprod_tools.grade.marks import Graded, Mark

RUN = {"seed": 7, "isolated": True, "lessons": [], "course": "1", "class": "x"}


def graded(learner, key="k", points=1.0):
    mark = Mark("06", "6.1", points, 3, "passed", "text", "<p>text</p>", ("careless",), ("note",), True, "")
    return Graded(learner, f"{learner}/\udcff.ipynb", key, (mark,), ("said",), True)


def test_what_was_added_is_read_back_as_it_was(tmp_path):
    path = tmp_path / "out" / "grades.jsonl"
    with ledger.Ledger(path, RUN) as book:
        book.add(graded("ana"))
        book.add(graded("bob", points=None))
        assert book.get("ana", "k") == graded("ana")
        assert book.get("ana", "other") is None
    run, everybody = ledger.read(path)
    assert run == RUN
    assert list(everybody) == [graded("ana"), graded("bob", points=None)]


def test_a_submission_stands_in_it_once(tmp_path):
    with ledger.Ledger(tmp_path / "l", RUN) as book:
        for _ in range(3):
            book.add(graded("ana"))
        book.add(graded("ana", key="later"))
        assert book.keys("ana") == {"k", "later"}
        assert book.keys("nobody") == set()
    assert len((tmp_path / "l").read_text().splitlines()) == 3


@pytest.mark.parametrize("cut", [1, 2, 20, 300])
def test_half_a_line_is_cut_off_and_graded_again(tmp_path, cut):
    path = tmp_path / "l"
    with ledger.Ledger(path, RUN) as book:
        book.add(graded("ana"))
        book.add(graded("bob"))
    path.write_bytes(path.read_bytes()[:-cut])
    assert [each.learner for each in ledger.read(path)[1]] == ["ana"]
    with ledger.Ledger(path, RUN, resume=True) as book:
        assert book.keys("ana") and not book.keys("bob")
        book.add(graded("bob"))
    assert [each.learner for each in ledger.read(path)[1]] == ["ana", "bob"]


def test_a_kill_before_the_first_line_ends_is_a_new_run(tmp_path):
    path = tmp_path / "l"
    path.write_bytes(b'{"ledger": 1, "run"')
    with ledger.Ledger(path, RUN, resume=True) as book:
        book.add(graded("ana"))
    assert ledger.read(path)[0] == RUN


def test_an_edited_ledger_is_refused(tmp_path):
    path = tmp_path / "l"
    with ledger.Ledger(path, RUN) as book:
        book.add(graded("ana"))
        book.add(graded("bob"))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + "oh no\n" + lines[2])
    with pytest.raises(ledger.LedgerError, match="line 2"):
        ledger.Ledger(path, RUN, resume=True)
    path.write_text(json.dumps({"ledger": 99, "run": RUN}) + "\n")
    with pytest.raises(ledger.LedgerError, match="no ledger of this version"):
        ledger.Ledger(path, RUN, resume=True)


def test_one_that_is_there_is_not_gone_on_with_by_chance(tmp_path):
    ledger.Ledger(tmp_path / "l", RUN).close()
    with pytest.raises(ledger.LedgerError, match="--resume"):
        ledger.Ledger(tmp_path / "l", RUN)


@pytest.mark.parametrize("other", [{"seed": 8}, {"isolated": False}, {"lessons": ["05"]}])
def test_another_run_does_not_go_on_with_it(tmp_path, other):
    ledger.Ledger(tmp_path / "l", RUN).close()
    with pytest.raises(ledger.LedgerError, match="begun with another"):
        ledger.Ledger(tmp_path / "l", RUN | other, resume=True)


def test_a_seed_is_drawn_once_and_kept(tmp_path):
    with ledger.Ledger(tmp_path / "l", RUN | {"seed": None}) as book:
        first = book.run["seed"]
    with ledger.Ledger(tmp_path / "l", RUN | {"seed": None}, resume=True) as book:
        assert book.run["seed"] == first
    with ledger.Ledger(tmp_path / "m", RUN | {"seed": None}) as book:
        assert book.run["seed"] != first


def test_two_graders_do_not_write_to_one_ledger(tmp_path):
    pytest.importorskip("fcntl")
    with ledger.Ledger(tmp_path / "l", RUN), pytest.raises(ledger.LedgerError, match="in use"):
        ledger.Ledger(tmp_path / "l", RUN, resume=True)


def test_a_full_disk_leaves_no_half_line(tmp_path):
    class Full:
        """A file on a disk with room for ten bytes more."""

        def __init__(self, file):
            self._file, self._room = file, 10

        def __getattr__(self, name):
            return getattr(self._file, name)

        def write(self, data):
            if not self._room:
                raise OSError(28, "No space left on device")
            written = self._file.write(data[: self._room])
            self._room -= written
            return written

    with ledger.Ledger(tmp_path / "l", RUN) as book:
        book.add(graded("ana"))
        file, book._file = book._file, Full(book._file)
        with pytest.raises(OSError, match="No space"):
            book.add(graded("bob"))
        book._file = file
        book.add(graded("cy"))
    assert [each.learner for each in ledger.read(tmp_path / "l")[1]] == ["ana", "cy"]


def test_only_its_owner_may_read_it(tmp_path):
    ledger.Ledger(tmp_path / "l", RUN).close()
    assert (tmp_path / "l").stat().st_mode & 0o077 == 0
