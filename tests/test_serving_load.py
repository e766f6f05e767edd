"""The load generator: the law of its arrivals, latency from the due moment, and what it refuses."""

import _thread
import asyncio
import json
import threading

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mlprod_helpers.serving.lab import load

ROWS = [{"distance": 100.0}, {"distance": 200.0}]


class Server:
    """Answers one request at a time, and stands still from the first request on for `stall` seconds."""

    def __init__(self, stall=0.0):
        self.stall, self.seen, self.lock = stall, [], asyncio.Lock()

    async def __aenter__(self):
        from aiohttp import web

        async def answer(request):
            self.seen.append((request.headers.get("X-User-Id"), json.loads(await request.read())))
            async with self.lock:
                if self.stall:
                    stall, self.stall = self.stall, 0.0
                    await asyncio.sleep(stall)
            return web.json_response({"prediction": 2.0, "version": "v1"})

        self.runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *error):
        await self.runner.cleanup()


def test_arrivals_follow_the_poisson_law():
    async def run(seed):
        async with Server() as server:
            return await load.open_loop_async(server.url, ROWS, rate=2000.0, duration=0.3, random_state=seed)

    counts, gaps = [], []
    for seed in range(4):
        due = asyncio.run(run(seed))["due"].to_numpy()
        counts += np.histogram(due, bins=np.arange(0, 0.301, 0.005))[0].tolist()
        gaps += np.diff(due).tolist()
    assert stats.kstest(gaps, "expon", args=(0, 1 / 2000)).pvalue > 0.001
    expected = stats.poisson(10)
    edges = [-np.inf, 5, 7, 8, 9, 10, 11, 12, 14, np.inf]
    share = np.diff(expected.cdf(edges))
    observed = np.histogram(counts, bins=[-0.5, *(e + 0.5 for e in edges[1:-1]), 1000])[0]
    assert stats.chisquare(observed, share * len(counts)).pvalue > 0.001
    regular = np.full(len(gaps), 1 / 2000)  # the test would see a generator that is not Poisson
    assert stats.kstest(regular, "expon", args=(0, 1 / 2000)).pvalue < 1e-6


def test_a_stalled_server_shows_the_queue_to_the_open_loop_only():
    async def run():
        async with Server(stall=0.6) as server:
            opened = await load.open_loop_async(server.url, ROWS, due=np.arange(0, 0.6, 0.02))
        async with Server(stall=0.6) as server:
            return opened, await load.closed_loop_async(server.url, ROWS, n=30)

    opened, closed = asyncio.run(run())
    # who was due at t waited until the pause was over: 0.6 - t at least
    assert (opened["latency_ms"] / 1000 >= 0.6 - opened["due"] - 0.01).all()
    assert (opened["latency_ms"] > 250).sum() >= 17  # every one of the first 0.35 s
    assert (closed["latency_ms"] > 250).sum() == 1  # coordinated omission: only the one that hung
    np.testing.assert_allclose(opened["latency_ms"], 1000 * (opened["finish"] - opened["due"]))


def test_a_generator_that_is_late_counts_from_the_due_moment():
    async def run():
        async with Server() as server:
            asyncio.get_running_loop().call_later(0.05, __import__("time").sleep, 0.3)  # the generator hangs
            return await load.open_loop_async(server.url, ROWS, due=[0.0, 0.1, 0.2])

    table = asyncio.run(run())
    assert table["sent"].iloc[1] - table["due"].iloc[1] > 0.2
    assert table["latency_ms"].iloc[1] > 200


def test_what_has_no_answer_is_a_row_too():
    async def run():
        async with Server(stall=2.0) as server:
            return await load.open_loop_async(
                server.url, ROWS, due=[0.0, 0.01, 0.02, 0.03], timeout=0.2, in_flight=3
            )

    table = asyncio.run(run())
    assert (table["status"] == load.NOT_ANSWERED).all()
    assert table["error"].tolist() == ["timeout"] * 3 + ["not sent: too many in flight"]


@pytest.mark.parametrize(
    "url", ["http://example.org:80", "http://10.0.0.1:80", "http://127.0.0.1:80/x", "file:///etc"]
)
def test_other_machines_are_refused(url):
    for test in (load.open_loop, load.closed_loop):
        with pytest.raises(ValueError, match="refused"):
            test(url, ROWS, n=1, **({"rate": 1.0} if test is load.open_loop else {}))


def test_bounds():
    url = "http://127.0.0.1:9"
    for wrong in ({"rate": 1e6, "duration": 10}, {"rate": 1.0, "duration": 3600}, {"due": [0.0, 7200.0]}):
        with pytest.raises(ValueError, match="at most"):
            load.open_loop(url, ROWS, **wrong)
    with pytest.raises(ValueError, match="how long"):
        load.closed_loop(url, ROWS)
    with pytest.raises(ValueError, match="header"):
        load.open_loop(url, ROWS, due=[0.0], users=["a\r\nX: 1"])
    with pytest.raises(ValueError, match="rows"):
        load.open_loop(url, pd.DataFrame(), due=[0.0])


def test_from_plain_code_where_a_loop_already_runs():
    async def cell():  # a notebook's kernel
        return load.open_loop("http://127.0.0.1:9", ROWS, due=[0.0], timeout=1.0)

    table = asyncio.run(cell())
    assert table["status"].tolist() == [load.NOT_ANSWERED] and "Error" in table["error"].iloc[0]


def test_an_interrupted_cell_ends_the_load(monkeypatch):
    async def send(*_):
        _thread.interrupt_main()
        await asyncio.sleep(600)

    monkeypatch.setattr(load, "_send", send)
    before = threading.active_count()
    with pytest.raises(KeyboardInterrupt):
        load.open_loop("http://127.0.0.1:9", ROWS, due=[0.0])
    assert threading.active_count() == before
