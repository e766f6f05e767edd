"""Record real runs of the lab for those who cannot run one: services, router and load of this machine, about twelve minutes.

    python datasets/record_serving.py                 all five; says what would be written
    python datasets/record_serving.py pause latency   only these
    python datasets/record_serving.py --write         put the files here, with their checksums

| name | what ran |
| --- | --- |
| pause | one service, stopped (SIGSTOP) from second 45 to 55 of 100: a closed loop, an open loop of 100 a second, and a tester with a schedule |
| canary_fails | five rollouts at 20 % of the users, 60 requests a second for 75 seconds, never rolled back |
| shift | five afternoons of 90 seconds at 20 requests a second; v2 gets a copy of every request |
| latency | a service with one worker and 20 ms service time, constant and exponential, at six loads |
| overload | one with 10 ms at 1.3 times what it can do, with and without a queue limit |

A run is never the same twice: recorded again, figures and bytes differ, verdicts should not
(`tests/test_serving_recorded.py`). Then also put the new sizes and checksums into README.md. A quiet machine helps.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy

import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd

from mlprod_helpers.datasets import load_flights
from mlprod_helpers.requestlog import read
from mlprod_helpers.rollout import bucket
from mlprod_helpers.serving import Deployment, Faults, Feature, Lab, Limits
from mlprod_helpers.serving.processes import HOST
from mlprod_helpers.serving.router.plan import RouterConfig
from mlprod_helpers.serving.router.process import RouterProcess

sys.path.insert(0, str(Path(__file__).resolve().parent))
import build

HERE = Path(__file__).resolve().parent
FEATURES = [Feature("distance", low=0, high=6000), Feature("hour", "integer", low=0, high=23)]
USERS, WEIGHT = 600, 20


def flights(first, last):
    """(rows, air times in minutes) of some months."""
    found = load_flights().dropna(subset=["air_time"])
    found = found[found["month"].between(first, last)]
    return found[["distance", "hour"]].reset_index(drop=True), found["air_time"].to_numpy()


def model(first, last):
    """Air time from distance and hour, of some months."""
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LinearRegression()).fit(*flights(first, last))


def served(months=(1, 2), workers=4, limits=None, **faults):
    return Deployment(
        model(*months), FEATURES, workers=workers, limits=limits or Limits(), faults=Faults(**faults)
    )


def lab(versions):
    return Lab(versions, show=None, redact=(), lifetime_s=600, timeout=120)


def together(work, cases):
    """Runs that hardly need a processor, side by side."""
    with ThreadPoolExecutor(len(cases)) as pool:
        return dict(zip(cases, pool.map(work, cases), strict=True))


# ------------------------------------------------------------------------------------------ pause

PAUSE, LENGTH, RATE = (45.0, 10.0), 100.0, 100.0


def pause(_=None):
    rows = flights(7, 7)[0]
    tables = together(lambda case: paused(case, rows), ["open", "scheduled"])
    tables["closed"] = paused("closed", rows)
    return loads(tables)


def paused(case, rows):
    """One service, stopped for ten seconds; the load goes straight to it."""
    with lab({"v1": served(workers=0)}) as one:
        for _ in range(50):
            one.ask(dict(rows.iloc[0]), to="v1")
        service = one.services["v1"]
        timer = threading.Timer(PAUSE[0], stopped, [service.pid, PAUSE[1]])
        timer.start()
        if case == "open":
            table = one.open_loop(
                rows, to="v1", rate=RATE, duration=LENGTH, random_state=0, timeout=60, in_flight=5000
            )
        elif case == "closed":
            table = one.closed_loop(rows, to="v1", duration=LENGTH, timeout=60)
        else:
            table = on_schedule(service.url, rows, np.arange(0, 80, 1 / RATE))
        timer.join()
    return table


def stopped(pid, seconds):
    os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(pid, signal.SIGCONT)


def on_schedule(url, rows, due):
    """One tester who sends one request after the other, none before it is due."""
    door = http.client.HTTPConnection(HOST, int(url.rsplit(":", 1)[1]), timeout=60)
    begin, out = time.perf_counter(), []
    bodies = [json.dumps({"features": row}) for row in rows.to_dict("records")]
    for i, moment in enumerate(due):
        time.sleep(max(0.0, moment - (time.perf_counter() - begin)))
        sent = time.perf_counter() - begin
        try:
            door.request("POST", "/predict", bodies[i % len(bodies)], {"Content-Type": "application/json"})
            answer = door.getresponse()
            answer.read()
            status = answer.status
        except (
            OSError,
            http.client.HTTPException,
        ):  # the service closes connections that were idle for its pause
            status = 0
            door.close()
        out.append((moment, sent, time.perf_counter() - begin, status))
    door.close()
    return pd.DataFrame(out, columns=["due", "sent", "finish", "status"])


# ---------------------------------------------------------------------------------- canary_fails

CANARY_S, CANARY_RATE = 75.0, 60.0
OUTAGE = (30.0, 42.0)


def canary_fails():
    cases = ["fails", "retried", "good", "copies", "outage"]
    return logs(together(canary, cases))


def canary(case):
    """20 % of the users have v2 all the time. v1 fails for one request in 200, v2 for one in 20, or as v1."""
    share = 0.05 if case in ("fails", "retried") else 0.005
    versions = {"v1": served(error_rate=0.005), "v2": served(error_rate=share, random_state=1)}
    if case == "copies":
        versions["v3"] = served(error_rate=0.5, random_state=2)
    rows = flights(7, 7)[0]
    started = [float("inf")]

    def lost(name, status):
        """The network to both loses three requests in ten for some seconds."""
        now = time.monotonic() - started[0]
        return OUTAGE[0] <= now < OUTAGE[1] and bucket([name], "network")[0] < 0.3

    with lab(versions) as one, Broken() as broken, ExitStack() as stack:
        urls, copies = {name: service.url for name, service in one.services.items()}, None
        if case == "retried":  # v2's process breaks where it would say 500: the router may ask elsewhere
            urls["v2"] = broken.before(urls["v2"], lambda name, status: status == 500)
        if case == "outage":
            urls |= {name: broken.before(urls[name], lost, cut=False) for name in ("v1", "v2")}
        if case == "copies":  # a second router before v1 sends the copies to v3
            copies = one.folder / "copies.jsonl"
            config = RouterConfig(
                plan=one.plan.replace(canary="v3", mirror=100), log=str(copies), lifetime_s=300
            )
            urls["v1"] = stack.enter_context(RouterProcess(config)).url
        one.router.apply(one.plan.replace(upstreams=urls, canary="v2", weight=WEIGHT))
        started[0], start = time.monotonic(), time.time()
        one.open_loop(rows, rate=CANARY_RATE, duration=CANARY_S, users=USERS, random_state=len(case))
        log = one.log()
        if copies is not None:
            time.sleep(1.0)  # the last of them
            found = read(copies)
            log = pd.concat([log, found[found["version"] == "v3"]], ignore_index=True)
    return since(log, start)


class Broken:
    """Listeners in front of services that lose answers."""

    def __init__(self):
        self._loop, self._open = asyncio.new_event_loop(), []
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def before(self, url, is_broken, cut=True):
        """The address of one that asks the service, and then, if `is_broken(request id, status)`, cuts the connection, so that the router
        tries again, or (with `cut` False) answers with 502, which is final."""
        return asyncio.run_coroutine_threadsafe(self._listen(url, is_broken, cut), self._loop).result()

    async def _listen(self, url, is_broken, cut):
        import aiohttp
        from aiohttp import web

        session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))

        async def pass_on(request):
            if request.path == "/readyz":
                return web.Response()
            body, headers = await request.read(), {"Content-Type": "application/json"}
            names = ("X-Request-Id", "X-User-Id", "X-Shadow")
            headers |= {name: request.headers[name] for name in names if name in request.headers}
            async with session.post(url + request.path, data=body, headers=headers) as answer:
                content = await answer.read()
            if is_broken(headers["X-Request-Id"], answer.status):
                if not cut:
                    return web.Response(status=502)
                request.transport.abort()
            return web.Response(status=answer.status, body=content, content_type="application/json")

        runner = web.ServerRunner(web.Server(pass_on, access_log=None), shutdown_timeout=0.5)
        await runner.setup()
        await web.TCPSite(runner, HOST, 0).start()
        self._open.append((runner, session))
        return f"http://{HOST}:{runner.addresses[0][1]}"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _close(self):
        for runner, session in self._open:
            await runner.cleanup()
            await session.close()


# ----------------------------------------------------------------------------------------- shift

SHIFT_S, SHIFT_RATE, BURST = 90.0, 20.0, (20.0, 32.0)


def shift():
    return logs(together(afternoon, ["good", "slow", "fails", "wrong", "burst"]))


def afternoon(case):
    """v1 answers everybody, v2 gets a copy of every request: both answers to each are in the log."""
    work = {"delay_ms": 10.0, "delay_law": "exponential"}
    spring = case in ("good", "slow", "burst")
    faulty = {
        "slow": {"delay_ms": 310.0, "delay_law": "constant"},
        "fails": {"error_rate": 0.056},
        "wrong": {"bias": 15.0},
    }
    old = work | ({"error_rate": 0.006} if case == "fails" else {})
    new = work | {"random_state": 1} | faulty.get(case, {})
    workers = 1 if case == "burst" else 16
    versions = {
        "v1": served(workers=workers, **old),
        "v2": served((4, 6) if spring else (1, 2), workers=workers, **new),
    }
    rows, truth = flights(7, 7)
    drawn = np.random.default_rng(len(case)).permutation(len(rows))[: int(1.2 * SHIFT_S * SHIFT_RATE)]
    rows, truth = rows.iloc[drawn].reset_index(drop=True), truth[drawn]
    with lab(versions) as one:
        one.set_weights({"v1": 100, "v2": 0}, mirror=100)
        start = time.time()
        crowds = []
        if case == "burst":  # a crowd of 40 that asks again as soon as it is answered, at both
            for version in ("v1", "v2"):
                crowd = threading.Timer(
                    BURST[0],
                    one.closed_loop,
                    [rows],
                    {"testers": 40, "duration": BURST[1] - BURST[0], "to": version},
                )
                crowd.start()
                crowds.append(crowd)
        table = one.open_loop(rows, rate=SHIFT_RATE, duration=SHIFT_S, users=USERS, random_state=len(case))
        for crowd in crowds:
            crowd.join()
        time.sleep(2.5)  # the last copies
        log = one.log()
    label = dict(zip(table["request_id"], truth[: len(table)], strict=True))
    log["label"] = log["request_id"].map(label)
    return since(log, start)


# --------------------------------------------------------------------------- latency and overload

SERVICE_MS, PAIRS = 20.0, ((0.2, 0.8), (0.35, 0.9), (0.5, 0.65))
SECONDS = {0.2: 60, 0.35: 60, 0.5: 80, 0.65: 80, 0.8: 120, 0.9: 150}
QUANTILES = {"mean_ms": None, "p50_ms": 0.5, "p90_ms": 0.9, "p95_ms": 0.95, "p99_ms": 0.99}


def latency():
    cases = [(law, loads) for law in ("constant", "exponential") for loads in PAIRS]
    table = pd.concat(together(at_loads, cases).values(), ignore_index=True)
    return table.sort_values(["case", "load"], ignore_index=True)


def at_loads(case):
    """Latency at two loads. The worker's own time is measured before: with four testers there is always somebody next, so the
    gaps between two answers are what it needs."""
    law, loads = case
    rows, out = flights(7, 7)[0], []
    with lab({"v1": served(workers=1, delay_ms=SERVICE_MS, delay_law=law)}) as one:
        one.closed_loop(rows, to="v1", testers=4, duration=2)
        gaps = 1000 * np.diff(np.sort(one.closed_loop(rows, to="v1", testers=4, duration=20)["finish"]))
        alone = one.closed_loop(rows, to="v1", duration=5)["latency_ms"]
        for load in loads:
            rate, seconds, seed = 1000 * load / gaps.mean(), SECONDS[load], round(100 * load)
            table = one.open_loop(
                rows, to="v1", rate=rate, duration=seconds + 2, random_state=seed, timeout=60
            )
            table = table[table["due"] > 2]["latency_ms"]
            said = {name: table.mean() if q is None else table.quantile(q) for name, q in QUANTILES.items()}
            measured = {"service_ms": gaps.mean(), "service_sd_ms": gaps.std(), "alone_ms": alone.mean()}
            out.append({"case": law, "load": load, "rate": rate, "requests": len(table)} | measured | said)
    return pd.DataFrame(out).round(3)


def overload():
    return loads(together(overloaded, ["no_limit", "limit"]))


def overloaded(case):
    """1.3 times what one worker can do, for 20 seconds. How much that is, eight testers have found out before."""
    limits = Limits(queue=20 if case == "limit" else 10_000, timeout_s=60)
    rows = flights(7, 7)[0]
    with lab({"v1": served(workers=1, limits=limits, delay_ms=SERVICE_MS / 2)}) as one:
        most = len(one.closed_loop(rows, to="v1", testers=8, duration=4)) / 4
        return one.open_loop(rows, to="v1", rate=1.3 * most, duration=20, random_state=0, timeout=60)


# -------------------------------------------------------------------------------------- the files


def since(log, start):
    """A log's rows by seconds since the start; requests numbered in the order in which they came."""
    log = log.sort_values("time", kind="stable").reset_index(drop=True)
    log["second"] = log["time"].map(lambda time: time.timestamp()) - start
    return log[log["second"] >= 0].assign(request=lambda rows: pd.factorize(rows["request_id"])[0])


def logs(by_case):
    """Logs in whole units: `step` in the number of the request and `gap` (0.01 s) to the row before, latency in ms."""
    parts = []
    for case, log in by_case.items():
        part = pd.DataFrame(
            {
                "case": case,
                "step": log["request"].diff().fillna(log["request"]).astype(int),
                "gap": np.diff((100 * log["second"]).round().astype(int), prepend=0),
                "user": log["user_id"].str.removeprefix("u"),
                "version": log["version"],
                "served": log["served"].astype(int),
                "status": log["status"],
                "attempts": log["attempts"].fillna(1).astype(int) if "attempts" in log else 1,
                "latency_ms": log["latency_ms"].round().astype(int),
            }
        )
        if "label" in log:
            part["prediction"] = log["prediction"].round(1)
            part["label"] = log["label"].astype(int)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def loads(by_case):
    """Load tables in units of 0.05 ms: the gap to the request before (closed loop: to its end), how late it left, how long it took."""
    parts = []
    for case, table in by_case.items():
        ticks = (table[["due", "sent", "finish"]] * TICKS).round().astype(int)
        before = ticks["finish"] if case == "closed" else ticks["due"]
        parts.append(
            pd.DataFrame(
                {
                    "case": case,
                    "gap": ticks["due"] - before.shift(fill_value=0),
                    "late": ticks["sent"] - ticks["due"],
                    "took": ticks["finish"] - ticks["sent"],
                    "status": table["status"],
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


TICKS = 20_000  # a second


RECORDINGS = {
    "pause": pause,
    "canary_fails": canary_fails,
    "shift": shift,
    "latency": latency,
    "overload": overload,
}


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"recordings: {', '.join(RECORDINGS)}")
    parser.add_argument("--write", action="store_true", help="replace the shipped files")
    parser.add_argument("--to", type=Path, default=HERE, help="another folder than this one")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in RECORDINGS]:
        parser.error(f"no recording is called {unknown[0]}; there are {', '.join(RECORDINGS)}")
    for name in options.names or RECORDINGS:
        begin = time.monotonic()
        table = RECORDINGS[name]()
        content, filename = build.encode(table), f"serving_{name}.csv.gz"
        what = f"{len(table):,} x {table.shape[1]}, {len(content):,} bytes, {time.monotonic() - begin:.0f} s"
        if options.write:
            (options.to / filename).write_bytes(content)
            build.write_sums(options.to, build.read_sums(options.to) | {filename: build.sha256(content)})
        print(f"{name:<14} {what}{', written' if options.write else ''}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
