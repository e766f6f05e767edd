"""The marks are the same however a class is graded: in one process, on several of which one dies, in shards."""

import functools
import os
import signal

import pytest

from mlprod_tools.grade import fairness, marking, run, sandbox, scale, submissions

WHY_NOT = sandbox.why_not()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=f"no isolation: {WHY_NOT}")
JOB = run.Job(seed=5, isolated=True, lessons=(), course="test", grader=0)
GRADE = functools.partial(run.grade_one, JOB)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Six learners: lesson 00 untouched, solved, and with one wrong answer."""
    folder = tmp_path_factory.mktemp("class")
    (stub,) = (fairness.ROOT / "notebooks").glob("00_*.ipynb")
    (solved,) = (fairness.ROOT / "solutions").glob("00_*.ipynb")
    texts = [stub.read_text(encoding="utf-8"), solved.read_text(encoding="utf-8")]
    texts.append(texts[1].replace("label_time", "time"))
    for i in range(6):
        (folder / f"learner{i}").mkdir()
        (folder / f"learner{i}" / stub.name).write_text(texts[i % 3], encoding="utf-8")
    return [(handed, frozenset()) for handed in submissions.find(folder)]


@pytest.fixture(scope="module")
def alone(work):
    """The marks of a run in this process."""
    found = marks(scale.spread(GRADE, work, jobs=1))
    marking.close()
    assert sorted({sum(mark["points"] for mark in each["marks"]) for each in found.values()})[::2] == [0, 9]
    return found


def marks(results):
    found = {}
    for (handed, _), (_, graded, problem) in results:
        assert not problem, problem
        assert handed.learner not in found
        found[handed.learner] = graded.to_dict()
    return found


def test_on_two_processes_and_backwards(work, alone):
    assert marks(scale.spread(GRADE, work[::-1], jobs=2)) == alone


def test_in_shards(work, alone):
    found = {}
    for i in (1, 2, 3, 4):
        part = marks(scale.spread(GRADE, scale.shard(work, f"{i}/4"), jobs=1))
        assert not found.keys() & part.keys()
        found |= part
    marking.close()
    assert found == alone


@pytest.mark.parametrize("part", ["0/4", "5/4", "1", "a/b", "1/0", ""])
def test_what_is_no_shard_is_said(part):
    with pytest.raises(ValueError, match="3/8"):
        scale.shard("abc", part)


def _dies_once(place, item):
    """The first process that comes here dies."""
    try:
        os.close(os.open(place, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return item
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_of_the_grader_that_dies_is_replaced(tmp_path, capsys):
    function = functools.partial(_dies_once, str(tmp_path / "died"))
    done = list(scale.spread(function, range(8), jobs=2))
    assert sorted(done) == [(i, i) for i in range(8)]
    assert "done again" in capsys.readouterr().err
