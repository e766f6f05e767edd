"""The load generator: the law of its arrivals, latency from the due moment, and what it refuses."""

import _thread
import asyncio
import threading
import time

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from stand_in_service import StandIn

from mlprod_helpers.serving.lab import load

ROWS = [{"distance": 100.0}, {"distance": 200.0}]
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def load_at(monkeypatch):
    """`open_loop` with requests that are due at given moments."""

    def run(url, due, **settings):
        monkeypatch.setattr(load, "poisson", lambda *_, **__: np.asarray(due))
        return load.open_loop(url, ROWS, rate=1.0, n=len(due), **settings)

    return run


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


def test_a_stalled_server_shows_the_queue_to_the_open_loop_only(load_at):
    with StandIn(stall_s=0.6) as server:
        opened = load_at(server.url, np.arange(0, 0.6, 0.02))
    with StandIn(stall_s=0.6) as server:
        closed = load.closed_loop(server.url, ROWS, n=30)
    # a user who was due at t waited until the pause was over: 0.6 - t at least
    assert (opened["latency_ms"] / 1000 >= 0.6 - opened["due"] - 0.01).all()
    assert (opened["latency_ms"] > 250).sum() >= 17  # every one of the first 0.35 s
    assert (closed["latency_ms"] > 250).sum() == 1  # coordinated omission: only the one that hung
    np.testing.assert_allclose(opened["latency_ms"], 1000 * (opened["finish"] - opened["due"]))


def test_a_generator_that_is_late_counts_from_the_due_moment(load_at, monkeypatch):
    send = load._send

    async def slow_send(session, url, body, user, due, begin):
        if due == 0.0:
            time.sleep(0.4)  # the generator hangs
        return await send(session, url, body, user, due, begin)

    monkeypatch.setattr(load, "_send", slow_send)
    table = load_at(NOWHERE, [0.0, 0.1, 0.2])
    assert table["sent"].iloc[1] - table["due"].iloc[1] > 0.2
    assert table["latency_ms"].iloc[1] > 200


def test_what_has_no_answer_is_a_row_too(load_at):
    with StandIn(stall_s=1.0) as server:
        table = load_at(server.url, [0.0, 0.01, 0.02, 0.03], timeout=0.2, in_flight=3)
    assert (table["status"] == load.NOT_ANSWERED).all()
    assert table["error"].tolist() == ["timeout"] * 3 + ["not sent: too many in flight"]


@pytest.mark.parametrize(
    ("url", "settings", "says"),
    [
        *((url, {}, "refused") for url in ("http://example.org:80", "http://10.0.0.1:80", "file:///etc")),
        (NOWHERE, {"n": None, "rate": 1e6, "duration": 10}, "at most"),
        (NOWHERE, {"n": None, "duration": 3600}, "at most"),
        (NOWHERE, {"rate": 1e-4}, "at most"),
        (NOWHERE, {"users": ["a\r\nX: 1"]}, "header"),
        (NOWHERE, {"rows": pd.DataFrame()}, "rows"),
    ],
)
def test_other_machines_and_what_is_out_of_bounds_are_refused(url, settings, says):
    with pytest.raises(ValueError, match=says):
        load.open_loop(url, **{"rows": ROWS, "rate": 1.0, "n": 1, "random_state": 0} | settings)


def test_a_closed_loop_needs_an_end_and_this_machine():
    with pytest.raises(ValueError, match="how long"):
        load.closed_loop(NOWHERE, ROWS)
    with pytest.raises(ValueError, match="refused"):
        load.closed_loop("http://127.0.0.1:80/x", ROWS, n=1)


def test_it_works_where_a_loop_is_already_running():
    async def cell():  # a notebook's kernel
        return load.open_loop(NOWHERE, ROWS, rate=100.0, n=1, timeout=1.0)

    table = asyncio.run(cell())
    assert table["status"].tolist() == [load.NOT_ANSWERED] and "Error" in table["error"].iloc[0]


def test_an_interrupted_cell_ends_the_load(monkeypatch):
    async def send(*_):
        _thread.interrupt_main()
        await asyncio.sleep(600)

    monkeypatch.setattr(load, "_send", send)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        load.open_loop(NOWHERE, ROWS, rate=100.0, n=1)
    time.sleep(0.1)
    assert threading.active_count() == before
