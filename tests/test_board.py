"""The class board: what it shows, what it leaves out, and that it renews itself in a real browser."""

import datetime
import json
import re
import shutil
import subprocess
import sys

import pytest

from mlprod_helpers.lesson import contract, face
from mlprod_helpers.lesson.progress import new_row
from mlprod_tools import __main__, board
from mlprod_tools.browser import chromium, missing

NOW = datetime.datetime(2027, 3, 1, 10, 0, tzinfo=datetime.UTC)


def row(passed=False, first="2027-03-01T09:30:00+00:00", last="2027-03-01T09:50:00+00:00", **more):
    made = new_row(edition=99) | {
        "tries": ["a", "b"],
        "first": first,
        "last": last,
        "passed": passed,
        "possible": 4,
    }
    return made | more


def share(folder, alias, **rows):
    rows = {key.replace("_", "."): value for key, value in rows.items()}
    path = folder / f"{alias}-0a1b2c.json"
    path.write_text(json.dumps({"version": 2, "exercises": rows}))
    return path


def test_a_learner_is_seen_by_alias_with_what_is_done_and_begun(tmp_path):
    share(tmp_path, "blue_otter", e0_1=row(True))
    share(tmp_path, "red_fox")
    (tmp_path / "blue_otter-0a1b2c.json").write_text(
        json.dumps({"version": 2, "exercises": {"0.1": row(True), "0.2": row(False)}})
    )
    text = board.page(board.read(tmp_path), NOW, watching=False)
    assert "2 learners" in text and 'title="blue_otter, 0.1 The error so far: done"' in text
    assert re.search(r'title="blue_otter, 0\.2 [^"]*: begun"', text)
    assert re.search(r'title="red_fox, 0\.1 [^"]*: open"', text)
    assert "location.reload" not in text


def test_what_was_passed_in_an_older_edition_is_shown_as_tried():
    everybody = board.Class({"otter": {"0.1": row(True, edition=1), "0.3": row(True)}})
    text = board.page(everybody, NOW, watching=False)
    assert re.search(r'title="otter, 0\.1 [^"]*: begun"', text)
    assert re.search(r'title="otter, 0\.3 [^"]*: done"', text)


def test_who_is_stuck_longest_comes_first_and_who_went_on_is_not_stuck():
    everybody = board.Class(
        {
            "went_on": {"0.1": row(), "0.2": row(True, last="2027-03-01T09:55:00+00:00")},
            "short": {"0.2": row(first="2027-03-01T09:50:00+00:00")},
            "long": {"0.1": row(True, last="2027-03-01T09:10:00+00:00"), "0.3": row()},
        }
    )
    assert [(each.alias, each.exercise, each.minutes) for each in board.stuck(everybody, NOW)] == [
        ("long", "0.3", 30),
        ("short", "0.2", 10),
    ]


def test_a_misconception_counts_once_a_learner_and_shows_its_sentence():
    exercise = contract.load("00").exercises["0.1"]
    name, text = exercise.misconceptions[0].name, exercise.misconceptions[0].text
    everybody = board.Class(
        {
            "a": {"0.1": row(misconceptions={name: 7})},
            "b": {"0.1": row(misconceptions={name: 1, "of an older course": 1})},
        }
    )
    assert board.misconceptions(everybody) == [(2, "0.1", text)]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"exercises": 1}',
        "[" * 100_000,
        '{"exercises": {"0.1": 5}}',
        '{"exercises": {"0.1": {"tries": "x"}}}',
    ],
)
def test_a_broken_file_does_no_harm(tmp_path, content):
    share(tmp_path, "fine")
    (tmp_path / "odd-123456.json").write_text(content)
    everybody = board.read(tmp_path)
    assert "fine" in everybody.learners
    board.page(everybody, NOW, watching=True)


def test_bytes_that_are_no_text_and_a_folder_called_json_do_no_harm(tmp_path):
    (tmp_path / "odd.json").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder.json").mkdir()
    assert sorted(board.read(tmp_path).unreadable) == ["folder.json", "odd.json"]


def test_an_alias_is_shown_as_text_and_never_as_html(tmp_path):
    share(tmp_path, "<script>alert(1)<", **{"0_1": row()})
    assert "<script>alert" not in board.page(board.read(tmp_path), NOW, watching=False)


def test_two_learners_with_one_alias_stay_two(tmp_path):
    for end in ("aaaaaa", "bbbbbb"):
        (tmp_path / f"otter-{end}.json").write_text('{"version": 2, "exercises": {}}')
    assert list(board.read(tmp_path).learners) == ["otter", "otter (2)"]


def test_one_line_shares_exercises_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("MLPROD_PROGRESS", str(tmp_path / "mine.json"))
    shared = tmp_path / "shared"
    shared.mkdir()
    lesson = face.Lesson("00")
    lesson.predict("a secret guess", 41)
    assert "From now on" in repr(lesson.share(str(shared), "blue_otter"))
    lesson._check("0.3", {"terms": dict.fromkeys("abcde", "a")})
    (path,) = shared.iterdir()
    data = json.loads(path.read_text())
    assert set(data) == {"version", "exercises"} and data["exercises"]["0.3"]["tries"]
    assert str(tmp_path) not in path.read_text() and "41" not in json.dumps(
        data["exercises"].get("predictions", "")
    )
    assert list(board.read(shared).learners) == ["blue_otter"]
    assert path.stat().st_mode & 0o444 == 0o444, "the instructor's board runs as another user"


@pytest.mark.parametrize("alias", ["", "x", "../up", "a b", "n" * 21, None])
def test_an_alias_that_would_not_be_a_file_name_is_refused(tmp_path, alias):
    assert "An alias has" in repr(face.Lesson("00").share(str(tmp_path), alias))
    assert list(tmp_path.iterdir()) == []


def test_a_learner_without_a_home_can_share(tmp_path, monkeypatch):
    # as in a container whose user is in no list of users
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    assert "From now on" in repr(face.Lesson("00").share(str(tmp_path), "blue_otter"))
    assert "is no folder" in repr(face.Lesson("00").share("~nobody/shared", "blue_otter"))


def test_a_shared_folder_that_goes_away_does_not_stop_the_lesson(tmp_path, monkeypatch):
    monkeypatch.setenv("MLPROD_PROGRESS", str(tmp_path / "mine.json"))
    shared = tmp_path / "shared"
    shared.mkdir()
    lesson = face.Lesson("00")
    lesson.share(str(shared), "blue_otter")
    shutil.rmtree(shared)
    assert "not attempted" in repr(lesson._check("0.3", {}))
    assert "is no folder" in repr(lesson.share(str(shared), "blue_otter"))


def test_without_a_folder_it_says_what_to_do(tmp_path, capsys):
    assert __main__.main(["board", str(tmp_path / "none")]) == 1
    assert "make it" in capsys.readouterr().err


@pytest.fixture
def watched(tmp_path):
    """A folder of 60 learners, some broken, and a process that watches it."""
    for i in range(60):
        share(tmp_path, f"learner_{i}", **{"0_1": row(i % 2 == 0), "0_2": row(i % 3 == 0)})
    for i in range(5):
        (tmp_path / f"broken-{i}.json").write_text("{" * i)
    command = [sys.executable, "-m", "mlprod_tools", "board", str(tmp_path), "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert "60 learners" in process.stdout.readline()
        yield tmp_path
        process.terminate()


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_in_a_browser_the_page_follows_the_files_of_60_learners_without_a_request(watched):
    from playwright.sync_api import expect

    with chromium() as browser:
        page = browser.new_page()
        requests = []
        page.on("request", lambda request: requests.append(request.url))
        page.goto((watched / board.PAGE).as_uri())
        expect(page.locator("table.map tr")).to_have_count(62)  # a head, 60 learners, a sum
        assert "5 files could not be read" in page.inner_text("body")
        before = page.locator('i[title^="learner_1, 0.1"]').get_attribute("class")
        share(watched, "learner_1", **{"0_1": row(True)})
        (watched / "broken-0.json").write_text("worse")
        page.wait_for_selector('i.done[title^="learner_1, 0.1"]', timeout=10_000)
        assert before == "begun"
        assert all(url.startswith("file:") for url in requests)


def test_the_page_can_be_kept_out_of_the_shared_folder(tmp_path, capsys):
    share(tmp_path, "otter", **{"0_1": row()})
    page = tmp_path / "mine" / "who.html"
    assert __main__.main(["board", str(tmp_path), "--page", str(page)]) == 0
    assert "who.html: 1 learner. Open it" in capsys.readouterr().out
    assert "otter" in page.read_text() and not (tmp_path / board.PAGE).exists()
