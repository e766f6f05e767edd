"""The load generator: the law of its arrivals, latency from the due moment, and what it refuses."""

import _thread
import asyncio
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlprod_helpers.serving.lab import load

ROWS = [{"distance": 100.0}, {"distance": 200.0}]
NOWHERE = "http://127.0.0.1:9"


@contextmanager
def server(stall=0.0):
    """The address of one that answers one request at a time, and pauses at the first one."""
    lock, stalls = threading.Lock(), [stall]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                time.sleep(stalls.pop() if stalls else 0.0)
            body = b'{"prediction": 2.0, "version": "v1"}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads, block_on_close, request_queue_size = True, False, 128

    with Server(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def test_arrivals_follow_the_poisson_law():
    counts, gaps = [], []
    for seed in range(4):
        due = load.open_loop(NOWHERE, ROWS, rate=2000.0, duration=0.3, random_state=seed)["due"].to_numpy()
        counts += np.histogram(due, bins=np.arange(0, 0.301, 0.005))[0].tolist()
        gaps += np.diff(due).tolist()
    assert stats.kstest(gaps, "expon", args=(0, 1 / 2000)).pvalue > 0.001
    edges = [-np.inf, 5, 7, 8, 9, 10, 11, 12, 14, np.inf]
    share = np.diff(stats.poisson(10).cdf(edges))
    observed = np.histogram(counts, bins=[-0.5, *(e + 0.5 for e in edges[1:-1]), 1000])[0]
    assert stats.chisquare(observed, share * len(counts)).pvalue > 0.001


def test_a_stalled_server_shows_the_queue_to_the_open_loop_only():
    with server(stall=0.6) as url:
        opened = load.open_loop(url, ROWS, due=np.arange(0, 0.6, 0.02))
    with server(stall=0.6) as url:
        closed = load.closed_loop(url, ROWS, n=30)
    # a user who was due at t waited until the pause was over: 0.6 - t at least
    assert (opened["latency_ms"] / 1000 >= 0.6 - opened["due"] - 0.01).all()
    assert (opened["latency_ms"] > 250).sum() >= 17  # every one of the first 0.35 s
    assert (closed["latency_ms"] > 250).sum() == 1  # coordinated omission: only the one that hung
    np.testing.assert_allclose(opened["latency_ms"], 1000 * (opened["finish"] - opened["due"]))


def test_a_generator_that_is_late_counts_from_the_due_moment(monkeypatch):
    send = load._send

    async def slow_send(session, url, body, user, due, begin):
        if due == 0.0:
            time.sleep(0.4)  # the generator hangs
        return await send(session, url, body, user, due, begin)

    monkeypatch.setattr(load, "_send", slow_send)
    table = load.open_loop(NOWHERE, ROWS, due=[0.0, 0.1, 0.2])
    assert table["sent"].iloc[1] - table["due"].iloc[1] > 0.2
    assert table["latency_ms"].iloc[1] > 200


def test_what_has_no_answer_is_a_row_too():
    with server(stall=1.0) as url:
        table = load.open_loop(url, ROWS, due=[0.0, 0.01, 0.02, 0.03], timeout=0.2, in_flight=3)
    assert (table["status"] == load.NOT_ANSWERED).all()
    assert table["error"].tolist() == ["timeout"] * 3 + ["not sent: too many in flight"]


@pytest.mark.parametrize(
    ("url", "settings", "says"),
    [
        *(
            (url, {"due": [0.0]}, "refused")
            for url in ("http://example.org:80", "http://10.0.0.1:80", "file:///etc")
        ),
        (NOWHERE, {"rate": 1e6, "duration": 10}, "at most"),
        (NOWHERE, {"rate": 1.0, "duration": 3600}, "at most"),
        (NOWHERE, {"due": [0.0, 7200.0]}, "at most"),
        (NOWHERE, {"due": [1.0, 0.0]}, "sorted"),
        (NOWHERE, {"due": [0.0], "users": ["a\r\nX: 1"]}, "header"),
        (NOWHERE, {"due": [0.0], "rows": pd.DataFrame()}, "rows"),
    ],
)
def test_other_machines_and_what_is_out_of_bounds_are_refused(url, settings, says):
    with pytest.raises(ValueError, match=says):
        load.open_loop(url, **({"rows": ROWS} | settings))


def test_a_closed_loop_needs_an_end_and_this_machine():
    with pytest.raises(ValueError, match="how long"):
        load.closed_loop(NOWHERE, ROWS)
    with pytest.raises(ValueError, match="refused"):
        load.closed_loop("http://127.0.0.1:80/x", ROWS, n=1)


def test_it_works_where_a_loop_is_already_running():
    async def cell():  # a notebook's kernel
        return load.open_loop(NOWHERE, ROWS, due=[0.0], timeout=1.0)

    table = asyncio.run(cell())
    assert table["status"].tolist() == [load.NOT_ANSWERED] and "Error" in table["error"].iloc[0]


def test_an_interrupted_cell_ends_the_load(monkeypatch):
    async def send(*_):
        _thread.interrupt_main()
        await asyncio.sleep(600)

    monkeypatch.setattr(load, "_send", send)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        load.open_loop(NOWHERE, ROWS, due=[0.0])
    time.sleep(0.1)
    assert threading.active_count() == before
