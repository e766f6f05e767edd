"""SIGKILL at the worst moment: what is left of the log."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pandas as pd
import pytest
from stand_in_service import LONG, save_ridge

from mlprod_helpers.requestlog import LogWarning, RequestLog, read
from mlprod_helpers.serving import ServiceConfig, ask, open_loop, refusal, start

ROWS = [{"distance": float(d)} for d in range(100, 200)]
# starts a writer for each line of standard input; forked, because importing pandas twenty times costs half a minute
WRITERS = """
import os, sys, threading, time
from mlprod_helpers.serving.redaction import RedactedLog
from mlprod_helpers.serving.service.log import write_record
from mlprod_helpers.serving.service.requests import Record
def work(path, session):
    log = RedactedLog(path, ())
    def write(thread):
        i = 0
        while True:
            note = "x" * (1_000_000 if i % 3 == 2 else 100)  # a long line is long in the making
            record = Record(f"{session}-{thread}-{i}")
            record.ids, record.user, record.answers = [record.request_id], "ana", [227.0]
            record.rows = [{"distance": 1400.0, "note": note}]
            write_record(log, record, 200, "v1")
            i += 1
    for thread in range(2):
        threading.Thread(target=write, args=(thread,)).start()
    time.sleep(30)
    os._exit(9)
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        work(sys.argv[1], line.strip())
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def parts(data):
    """The lines of a log's bytes; the last one is what stands after the last end of a line."""
    return data.split(b"\n")


def is_whole(line):
    try:
        return json.loads(line)["event"] == "request"
    except (ValueError, KeyError, TypeError):
        return False


def in_the_middle_of_a_line(path, size, delay):
    """Wait until a file has more bytes than that, for a moment, and then for the next long line to begin."""
    end = time.monotonic() + LONG
    while not path.exists() or path.stat().st_size <= size:
        assert time.monotonic() < end, f"{path} does not grow"
        time.sleep(0.0005)
    time.sleep(delay)
    size = path.stat().st_size
    while (now := path.stat().st_size) - size < 4096 and time.monotonic() < end:
        size = now


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here: writers are not killed twenty times")
def test_a_writer_killed_at_any_moment_breaks_its_last_line_at_most(tmp_path):
    path, rng, kills = tmp_path / "log.jsonl", np.random.default_rng(0), 20
    writers = subprocess.Popen(
        [sys.executable, "-c", WRITERS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    broken, before = 0, 0
    try:
        for session in range(kills):
            writers.stdin.write(f"s{session}\n")
            writers.stdin.flush()
            pid = int(writers.stdout.readline())
            in_the_middle_of_a_line(path, before, rng.uniform(0, 0.01))
            os.kill(pid, signal.SIGKILL)
            assert int(writers.stdout.readline()) == -signal.SIGKILL
            data = path.read_bytes()
            *lines, last = parts(data[before:])
            if session and data[before - 1 : before] != b"\n":
                assert lines[0] == b""  # the new writer has ended the broken line
                del lines[0]
            assert all(map(is_whole, lines)), f"after kill {session + 1}"
            assert last == b"" or not is_whole(last)
            broken += last != b""
            before = len(data)
    finally:
        writers.stdin.close()
        writers.wait(LONG)
        writers.stdout.close()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        log = read(path)
    assert len(log.attrs["problems"]) == sum(issubclass(w.category, LogWarning) for w in caught) == broken
    seen = {}
    for name in log["request_id"]:
        session, thread, i = name.split("-")
        seen.setdefault((session, thread), []).append(int(i))
    assert {session for session, _ in seen} == {f"s{i}" for i in range(kills)}
    for numbers in seen.values():  # nothing in the middle is missing
        assert sorted(numbers) == list(range(len(numbers)))


def test_wherever_the_last_line_ends_the_reader_reports_it_and_the_next_writer_starts_a_new_one(tmp_path):
    whole = tmp_path / "whole.jsonl"
    with RequestLog(whole) as log:
        log.request("r1", version="v1", prediction=227.0, features={"distance": 1400.0, "to": "Zürich"})
        log.request("r2", version="v1", prediction=227.0, features={"distance": 1400.0, "to": "Zürich"})
    data = whole.read_bytes()
    second = data.index(b"\n") + 1
    for end in range(second + 1, len(data)):
        path = tmp_path / "cut.jsonl"
        path.write_bytes(data[:end])
        is_cut = end < len(data) - 1  # only the end of the line is missing: the event is all there
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LogWarning)
            table = read(path)
            assert table["request_id"].tolist() == (["r1"] if is_cut else ["r1", "r2"])
            assert len(table.attrs["problems"]) == is_cut
            if is_cut:
                assert "line 2" in table.attrs["problems"][0] and "last" in table.attrs["problems"][0]
            with RequestLog(path) as log:
                log.request("r3", version="v1", prediction=1.0)
            table = read(path)
        assert table["request_id"].iloc[-1] == "r3" and len(table) == (2 if is_cut else 3)
        assert len(table.attrs["problems"]) == is_cut


def test_who_shares_the_file_with_a_killed_writer_loses_nothing(tmp_path):
    path = tmp_path / "shared.jsonl"
    with RequestLog(path) as one, RequestLog(path) as other:
        one.request("r1", version="v1", features={"to": '{"event": "request"'})
        other.request("r2", version="v2")
        data = path.read_bytes()
        for end in range(data.index(b"\n") + 2, len(data) - 1):
            path.write_bytes(data[:end])
            one.request("r3", version="v1", features={"to": '{"event": "request"'})
            with pytest.warns(LogWarning, match="line 2: not a whole event.*another process"):
                assert read(path)["request_id"].tolist() == ["r1", "r3"]


# ------------------------------------------------------------------------------------- real services


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    if reason := refusal():
        pytest.skip(reason)
    return save_ridge(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("settings", [{}, {"workers": 2, "batch_rows": 16}])
def test_a_service_killed_under_load_has_logged_whatever_it_answered(model, tmp_path, settings):
    path, answered, many = tmp_path / "log.jsonl", [], []

    def ask_many(url):
        while (answer := ask(url, "/predict", {"rows": ROWS * 2})).status in (200, 503):  # dead: 0
            many.extend(answer.body.get("request_ids", ()))

    def ask_one_by_one(url, over):
        answered.append(open_loop(url, ROWS, rate=300, n=3000, random_state=0, stop=over))

    for _ in range(3):
        size, over = path.stat().st_size if path.exists() else 0, threading.Event()
        with start(ServiceConfig(model=model, log=str(path), lifetime_s=60, **settings)) as service:
            service.ready()
            threads = [
                threading.Thread(target=ask_many, args=(service.url,)),
                threading.Thread(target=ask_one_by_one, args=(service.url, over)),
            ]
            for thread in threads:
                thread.start()
            end = time.monotonic() + LONG
            while path.stat().st_size < size + 700_000:
                assert time.monotonic() < end, "the log does not grow"
                time.sleep(0.002)
            assert service.kill() == -signal.SIGKILL
            over.set()
            for thread in threads:
                thread.join(LONG)
                assert not thread.is_alive()
    *lines, _ = path.read_bytes().split(b"\n")
    assert sum(not is_whole(line) for line in lines if line) <= 2  # ended by the services that came later
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LogWarning)
        log = read(path)
    assert len(log.attrs["problems"]) <= 3
    names = set(log["request_id"])
    good = pd.concat(answered).query("status == 200")
    assert len(good) and set(good["request_id"]) <= names
    assert many and set(many) <= names
