"""Progress is never lost and never fatal: odd files, full disks, held locks and links end in one notice, not in a traceback."""

import errno
import json
import os
import stat
import subprocess
import sys
import time

import pytest
from stand_in_exercises import asks, use_lesson

from mlprod_helpers.lesson import face, progress

fcntl = pytest.importorskip("fcntl", reason="locks, pipes and links are POSIX")


def half(edition):
    @asks(points=4, edition=edition)
    def check(answer, rng, expect):
        expect.close(answer, 0.5, "a half")
        expect.true(answer > 0, "above nothing")

    @check.misconception("the whole were asked")
    def whole():
        return 1.0

    return check


@pytest.fixture
def file(monkeypatch, tmp_path):
    """The progress file's path; lesson 99 has exercise 99.1 of edition 1."""
    use_lesson(monkeypatch, half(1))
    monkeypatch.setenv(progress.VARIABLE, str(tmp_path / "progress.json"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "progress.json"


def attempt(x=0.5, lesson=None):
    return repr((lesson or face.Lesson("99"))._check("99.1", {"x": x}))


def rows(file):
    return json.loads(file.read_text())["exercises"]


def write(file, **content):
    file.write_text(json.dumps(content))


OTHER = {"points": 3, "possible": 3, "passed": True, "tries": ["a"], "hints": 1}  # lesson 02's, version 1


def test_a_row_has_edition_times_misconceptions_and_points(file):
    attempt(1.0)
    attempt(1.0)
    first = rows(file)["99.1"]
    assert first["points"] == 2 and not first["passed"] and len(first["tries"]) == 1
    assert first["misconceptions"] == {"whole": 1}, "the same answer again is no new try"
    attempt()
    row = rows(file)["99.1"]
    assert row["edition"] == 1 and row["points"] == 4 and row["passed"] and len(row["tries"]) == 2
    assert row["first"] == first["first"] <= row["last"] and row["first"].endswith("+00:00")
    assert json.loads(file.read_text())["version"] == 2


def test_version_1_is_migrated(file):
    write(
        file, version=1, exercises={"2.1": OTHER, "99.1": {**OTHER, "points": 2}}, predictions={"02.a": "5"}
    )
    shown = attempt(1.0)
    assert "progress file" not in shown
    found = json.loads(file.read_text())
    assert found["version"] == 2 and found["predictions"] == {"02.a": "5"}
    assert found["exercises"]["2.1"] == {**progress.new_row(), **OTHER}
    assert found["exercises"]["99.1"]["hints"] == 1


def test_points_of_an_older_edition_stay_and_are_marked(file, monkeypatch):
    attempt()
    use_lesson(monkeypatch, half(2))
    lesson = face.Lesson("99")
    said = repr(lesson.progress())
    assert "4 of 4, from an older edition: try it again" in said and "begun 99.1" in said
    assert "Lesson 99 · 4 of 4 points" in said
    attempt(1.0, lesson)
    assert "4 of 4, from an older edition" in repr(lesson.progress())
    row = rows(file)["99.1"]
    assert row["edition"] == 2 and row["points"] == 2 and row["older"]["points"] == 4
    assert "solution" in repr(lesson.solution("99.1")) and "opens when" not in repr(lesson.solution("99.1"))
    attempt(0.5, lesson)
    said = repr(lesson.progress())
    assert "done  99.1" in said and "older edition" not in said


def test_progress_shows_no_time_and_says_what_points_are_not(file):
    attempt()
    said = repr(face.Lesson("99").progress())
    assert "20" not in said.replace("99", "") and "They prove nothing" in said


@pytest.mark.parametrize("version", [3, "2", None, 2.5, [], True])
def test_an_unknown_version_is_left_alone(file, version):
    write(file, version=version, exercises={"2.1": OTHER}, predictions={})
    before = file.read_text()
    lesson = face.Lesson("99")
    assert "another version of the course" in attempt(0.5, lesson)
    assert "another version" not in attempt(0.5, lesson), "one notice"
    assert "4 of 4 points" in repr(lesson.progress()) and file.read_text() == before


@pytest.mark.parametrize(
    "content", [{}, {"version": 2}, {"version": 1, "exercises": {}}, {"version": 2, "predictions": {}}]
)
def test_missing_keys_are_filled_in(file, content):
    write(file, **content)
    assert "progress" not in attempt()
    assert rows(file)["99.1"]["points"] == 4


ODD = {
    "points": ["3", None, float("nan"), -1, True, 10**400],
    "tries": [None, [1]],
    "hints": ["1"],
    "passed": [1],
    "edition": [0, "2"],
    "misconceptions": [[], {"a": "b"}],
    "older": [{"points": 1}, 3],
    "first": [5],
}


@pytest.mark.parametrize(
    "row", [None, 3, "x", [], *({key: value} for key, values in ODD.items() for value in values)]
)
def test_an_odd_row_costs_no_other_row(file, row):
    write(file, version=2, exercises={"2.1": OTHER, "3.1": row, "99.1": row}, predictions={})
    before = file.read_text()
    lesson = face.Lesson("99")
    shown = attempt(0.5, lesson)
    assert "3.1" in shown and "A copy was kept as `progress.json.broken-1`" in shown and "4 of 4" in shown
    assert (file.parent / "progress.json.broken-1").read_text() == before
    assert rows(file)["2.1"]["points"] == 3 and rows(file)["99.1"]["points"] == 4
    assert "copy" not in attempt(0.5, lesson) and not (file.parent / "progress.json.broken-2").exists()
    assert "Lesson 99 · 4 of 4" in repr(lesson.progress()) and "All lessons so far: 7" in repr(
        lesson.progress()
    )


def test_odd_predictions_cost_no_points(file):
    write(file, version=2, exercises={"2.1": OTHER}, predictions={"99.a": None, "99.b": "5"})
    lesson = face.Lesson("99")
    assert "no prediction" in repr(lesson.recall("a", 1)) and "predicted 5" in repr(lesson.recall("b", 1))
    write(file, version=2, exercises={"2.1": OTHER}, predictions=[1])
    attempt()
    assert rows(file)["2.1"]["points"] == 3


NO_PROGRESS = [
    *(b"", b"{", b"null", b"[]", b"3", b'"x"', b"\xff\xfe\x00", b'{"exercises": []}', b'{"exercises": null}'),
    *(b"[" * 200_000, b'{"a":' * 100_000, b"9" * 10_000, b"\0" * 100, b" " * (11 * 2**20)),
]


@pytest.mark.parametrize("text", NO_PROGRESS, ids=lambda text: f"{text[:8]!r} {len(text)}")
def test_what_is_no_progress_file_is_set_aside(file, text):
    file.write_bytes(text)
    lesson = face.Lesson("99")
    shown = attempt(0.5, lesson)
    assert "4 of 4 points" in shown and "`progress.json.broken-1`" in shown
    assert (file.parent / "progress.json.broken-1").read_bytes() == text
    assert "broken" not in attempt(0.5, lesson) and rows(file)["99.1"]["points"] == 4


def test_a_lock_that_another_process_holds_is_waited_for_briefly(file, monkeypatch):
    monkeypatch.setattr(progress, "LONGEST_WAIT", 0.3)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import fcntl, sys, time\n"
            f"handle = open({str(file) + '.lock'!r}, 'w')\n"
            "fcntl.flock(handle, fcntl.LOCK_EX)\n"
            "print('held', flush=True)\n"
            "time.sleep(60)\n",
        ],
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        begin = time.monotonic()
        assert "4 of 4 points" in attempt()
        assert time.monotonic() - begin < 10 and rows(file)["99.1"]["points"] == 4
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ESTALE])
def test_a_refused_lock_as_on_nfs_stops_nothing(file, monkeypatch, code):
    def refused(*args):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(progress.fcntl, "flock", refused)
    assert "session only" not in attempt() and rows(file)["99.1"]["points"] == 4


def test_a_pipe_in_place_of_the_lock_stops_nothing(file):
    os.mkfifo(str(file) + ".lock")
    attempt()
    assert rows(file)["99.1"]["points"] == 4


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_something_else_in_place_of_the_file_is_left_alone(file, make):
    make(file)
    lesson = face.Lesson("99")
    shown = attempt(0.5, lesson)
    assert "4 of 4 points" in shown and "for this session only" in shown
    assert "session only" not in attempt(0.5, lesson) and "4 of 4" in repr(lesson.progress())
    lesson.reset()
    assert "0 of 4" in repr(lesson.progress())
    assert not stat.S_ISREG(file.stat().st_mode)


def test_a_deleted_working_directory_stops_nothing(monkeypatch, tmp_path, file):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.delenv(progress.VARIABLE)
    gone.rmdir()
    lesson = face.Lesson("99")
    assert "for this session only" in attempt(0.5, lesson)
    assert "4 of 4" in repr(lesson.progress()) and "your instructor has it" in repr(lesson.solution("99.1"))


def test_a_folder_that_is_deleted_later_stops_nothing(monkeypatch, tmp_path, file):
    folder = tmp_path / "later"
    folder.mkdir()
    monkeypatch.setenv(progress.VARIABLE, str(folder / "progress.json"))
    lesson = face.Lesson("99")
    attempt(1.0, lesson)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert "for this session only" in attempt(0.5, lesson)
    assert "4 of 4" in repr(lesson.progress())


def fails(code):
    def failing(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    return failing


def test_in_a_read_only_folder_stored_points_are_kept_and_shown(file, monkeypatch):
    write(file, version=2, exercises={"2.1": {**progress.new_row(), **OTHER}}, predictions={})
    before = file.read_text()
    monkeypatch.setattr("tempfile.mkstemp", fails(errno.EROFS))
    lesson = face.Lesson("99")
    assert "for this session only" in attempt(0.5, lesson)
    assert "All lessons so far: 7 points" in repr(lesson.progress())
    assert "session only" not in attempt(0.5, lesson) and file.read_text() == before


@pytest.mark.parametrize("call", ["os.fsync", "os.replace", "json.dumps"])
def test_a_full_disk_that_is_free_again_loses_nothing(file, monkeypatch, call):
    attempt(1.0)
    lesson = face.Lesson("99")
    with monkeypatch.context() as full:
        full.setattr(f"mlprod_helpers.lesson.progress.{call}", fails(errno.ENOSPC))
        assert "No space left" in attempt(0.5, lesson)
        lesson.predict("a", 5)
        assert "No space left" not in repr(lesson.hint("99.1"))
    # meanwhile another notebook wrote
    found = json.loads(file.read_text())
    found["exercises"]["2.1"] = OTHER
    file.write_text(json.dumps(found))
    attempt(1.0, lesson)
    row = rows(file)["99.1"]
    assert row["points"] == 4 and row["passed"] and row["hints"] == 1 and len(row["tries"]) == 2
    assert rows(file)["2.1"]["points"] == 3
    assert json.loads(file.read_text())["predictions"] == {"99.a": "5"}
    assert [path.name for path in file.parent.glob("*.tmp")] == []


def test_what_was_reset_on_a_full_disk_does_not_come_back(file, monkeypatch):
    attempt()
    lesson = face.Lesson("99")
    with monkeypatch.context() as full:
        full.setattr("mlprod_helpers.lesson.progress.os.fsync", fails(errno.ENOSPC))
        lesson.reset("99.1")
        assert "0 of 4" in repr(lesson.progress())
    lesson.predict("a", 1)
    assert rows(file) == {}


def test_a_link_stays_a_link(file):
    target = file.parent / "elsewhere" / "real.json"
    target.parent.mkdir()
    target.write_text(json.dumps({"version": 1, "exercises": {"2.1": OTHER}, "predictions": {}}))
    file.symlink_to(target)
    attempt()
    assert file.is_symlink() and set(rows(target)) == {"2.1", "99.1"}
    target.write_text("{")
    assert "`real.json.broken-1`" in attempt()
    assert file.is_symlink() and set(rows(target)) == {"99.1"}


def test_links_that_lead_nowhere_or_in_circles_stop_nothing(file):
    file.symlink_to(file.parent / "no folder" / "x.json")
    assert "for this session only" in attempt()
    file.unlink()
    file.symlink_to(file)
    assert "for this session only" in attempt() and file.is_symlink()


def test_half_written_files_of_ended_processes_are_removed_and_those_of_others_kept(file):
    old, new = file.parent / "progress.json-abc.tmp", file.parent / "progress.json-def.tmp"
    other = file.parent / "other.tmp"
    for path in (old, new, other):
        path.write_text("{")
        os.utime(path, (0, 0) if path is not new else None)
    attempt()
    assert not old.exists() and new.exists() and other.exists()


def test_two_processes_at_once_lose_no_row(file):
    code = (
        "import sys\n"
        "from mlprod_helpers.lesson.progress import Progress\n"
        "progress = Progress()\n"
        "for i in range(15):\n"
        "    with progress.change() as data:\n"
        "        progress.exercise(data, f'{sys.argv[1]}.{i}')['points'] = 1\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(n)]) for n in (5, 6)]
    assert [process.wait() for process in running] == [0, 0]
    assert len(rows(file)) == 30


def test_memory_writes_nothing(file, monkeypatch):
    monkeypatch.setenv(progress.VARIABLE, "memory")
    attempt()
    assert list(file.parent.iterdir()) == []
