"""What does the router cost, and does it lose, misroute or delay anybody?

    python benchmarks/bench_router.py [--requests 4000] [--runs 5]

Everything on 127.0.0.1; the upstreams are tiny aiohttp services, in processes of their own, as the router is. Measured:

1. CPU time that the router's process adds to a request, with and without its request log, beside what the stand-in needs for
   the same load sent straight to it (from psutil, median of the runs, alternating). Where HAProxy is installed, its process
   too, as a plain sticky proxy without a log.
2. 40 plans swapped in and 5 blue-green switches while an open loop sends requests: failed ones, and ones that another version
   answered than the plan named in the answer says for this user. Then the split at a weight of 20%, a user a request.
3. The client's median latency while every request is to be copied to a shadow that never answers, against no copies, in
   alternating half seconds under one open loop.

Ends with status 1 when a target is missed.
"""

import argparse
import asyncio
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import psutil
from measured import record

from mlprod_helpers.requestlog import read
from mlprod_helpers.serving.lab.load import closed_loop, open_loop
from mlprod_helpers.serving.router.plan import RoutePlan, RouterConfig
from mlprod_helpers.serving.router.process import RouterProcess

CPU_MS = 0.6
DELAY = 0.10
ERRORS = 3.0  # standard errors
LIFETIME = 600
ROWS = [{"distance": float(d)} for d in range(100, 200)]
STAND_IN = """
import asyncio, json, os, sys
from aiohttp import web
name, hang, lifetime, parent = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), os.getppid()
async def predict(request):
    if request.method == "GET":
        return web.Response()  # /readyz
    reply = json.loads(await request.read())
    if hang:
        await asyncio.sleep(hang)
    body = json.dumps({"prediction": reply["features"]["distance"] / 8, "version": name})
    return web.Response(body=body.encode(), content_type="application/json")
async def main():
    runner = web.ServerRunner(web.Server(predict, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
    print(runner.addresses[0][1], flush=True)
    for _ in range(int(2 * lifetime)):
        await asyncio.sleep(0.5)
        if os.getppid() != parent:
            break
asyncio.run(main())
"""
HAPROXY = """
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
frontend router
  bind fd@{listening}
  default_backend models
backend models
  balance hdr(X-User-Id)
  hash-type consistent
  server v1 {upstream}
"""


@contextmanager
def stand_in(name, hang=0.0):
    """(process id, address) of a tiny service that ends with the block, with this process, or after `LIFETIME`."""
    process = subprocess.Popen(
        [sys.executable, "-c", STAND_IN, name, str(hang), str(LIFETIME)], stdout=subprocess.PIPE, text=True
    )
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("The stand-in did not start.")
        yield process.pid, f"http://127.0.0.1:{int(line)}"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def find_haproxy():
    """The path of HAProxy, or None; Debian puts it where only root looks."""
    return shutil.which("haproxy", path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))


@contextmanager
def haproxy(folder, upstream):
    """(process id, address) of an HAProxy in front of one upstream; it ends with the block, or after `LIFETIME`."""
    settings = folder / "haproxy.cfg"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        settings.write_text(
            HAPROXY.format(listening=listening.fileno(), upstream=upstream.removeprefix("http://"))
        )
        process = subprocess.Popen(
            ["timeout", str(LIFETIME), find_haproxy(), "-db", "-f", str(settings)],
            pass_fds=[listening.fileno()],
            stderr=subprocess.DEVNULL,
        )
        try:
            while not (children := psutil.Process(process.pid).children()):  # of `timeout`
                time.sleep(0.01)
            yield children[0].pid, f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def cpu_ms(pid, url, n):
    """CPU milliseconds a request that a process spends on answering a load, and how many of it were answered."""
    closed_loop(url, ROWS, testers=8, n=100, random_state=0)  # connections and imports are there
    process = psutil.Process(pid)
    before = process.cpu_times()
    table = closed_loop(url, ROWS, testers=8, n=n, random_state=1)
    after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    return 1000 * spent / n, int((table["status"] == 200).sum())


def cost(folder, n, runs):
    """CPU milliseconds a request of each run: the stand-in's, the router's without and with its log."""
    results = {}
    with ExitStack() as stack:
        pid, url = stack.enter_context(stand_in("v1"))
        plan = RoutePlan(upstreams={"v1": url}, stable="v1")
        bare, logged = (
            stack.enter_context(RouterProcess(RouterConfig(plan=plan, log=log, lifetime_s=LIFETIME)))
            for log in (None, str(folder / "cost.jsonl"))
        )
        doors = [
            ("stand-in", pid, url),
            ("router", bare.pid, bare.url),
            ("router, with log", logged.pid, logged.url),
        ]
        if find_haproxy():
            doors.append(("HAProxy", *stack.enter_context(haproxy(folder, url))))
        for _ in range(runs):
            for name, who, door in doors:
                spent, answered = cpu_ms(who, door, n)
                if answered != n:
                    raise RuntimeError(f"{name}: only {answered} of {n} requests were answered.")
                results.setdefault(name, []).append(spent)
    return {name: (float(np.median(of)), min(of), max(of)) for name, of in results.items()}


def swaps(folder, n):
    """Plans swapped under an open loop: what happened to the requests."""
    rate = 350
    weights = [*range(2, 82, 2), 100, 0, 100, 0, 100]  # the last 5: everybody at once, there and back

    async def run(router):
        load = asyncio.ensure_future(
            asyncio.to_thread(open_loop, router.url, ROWS, rate=rate, n=n, users=500, random_state=0)
        )
        plan = router.plan
        plans = {0: plan}
        for weight in weights:
            await asyncio.sleep(0.9 * n / rate / len(weights))
            plan = await asyncio.to_thread(router.apply, plan.weighted({"v1": 100 - weight, "v2": weight}))
            plans[plan.generation] = plan
        over = load.done()
        return await load, plans, over

    with stand_in("v1") as (_, v1), stand_in("v2") as (_, v2):
        plan = RoutePlan(upstreams={"v1": v1, "v2": v2}, stable="v1", canary="v2")
        log = folder / "swaps.jsonl"
        with RouterProcess(RouterConfig(plan=plan, log=str(log), lifetime_s=LIFETIME)) as router:
            table, plans, over = asyncio.run(run(router))
            if over:
                raise RuntimeError("The load was over before the last plan: the swaps were not under load.")
            router.apply(plan.replace(weight=20, salt="split"))
            users = [f"user-{i}" for i in range(n)]
            split = open_loop(router.url, ROWS, rate=rate, n=n, users=users, random_state=1)
        rows = len(read(log))
    answered = table[table["status"] == 200]
    expected = [
        plans[g].version_of(user) for g, user in zip(answered["plan"], answered["user_id"], strict=True)
    ]
    share = (split["version"] == "v2").mean()
    return {
        "plans": int(answered["plan"].nunique()),
        "failed": int((table["status"] != 200).sum() + (split["status"] != 200).sum()),
        "misrouted": int((answered["version"] != expected).sum()),
        "share": 100 * share,
        "errors": (share - 0.2) / np.sqrt(0.2 * 0.8 / n),
        "unlogged": len(table) + len(split) - rows,
    }


def shadow(pairs, rate=200, period=0.5):
    """Under one open loop, half a second without copies, half a second with all requests to be copied to a shadow that hangs, and so on.

    An answer names its plan, so each request is known to be of one kind or the other. Copies time out after 2 s, so in a half second
    with copies again. Latency counts from sending: the generator's own lateness would hide a part of the difference.
    """

    async def run(router):
        n = int(rate * period * 2 * pairs)
        load = asyncio.ensure_future(
            asyncio.to_thread(open_loop, router.url, ROWS, rate=rate, n=n, timeout=5.0, random_state=0)
        )
        plan, kinds = router.plan, {}
        for mirror in (0.0, 100.0) * pairs:
            plan = await asyncio.to_thread(router.apply, plan.replace(mirror=mirror))
            kinds[plan.generation] = mirror
            await asyncio.sleep(period)
        return await load, kinds

    with stand_in("v1") as (_, v1), stand_in("v2", hang=LIFETIME) as (_, v2):
        plan = RoutePlan(upstreams={"v1": v1, "v2": v2}, stable="v1", canary="v2")
        with RouterProcess(RouterConfig(plan=plan, lifetime_s=LIFETIME)) as router:
            closed_loop(router.url, ROWS, testers=2, n=200, random_state=0)
            table, kinds = asyncio.run(run(router))
            reply = [line for line in router.metrics().splitlines() if line.startswith("router_copies_total")]
    latency = 1000 * (table["finish"] - table["sent"])
    parts = [latency[table["plan"] == generation].to_numpy() for generation in sorted(kinds)]
    without, hanging = np.concatenate(parts[::2]), np.concatenate(parts[1::2])
    return {
        "without": float(np.median(without)),
        "hanging": float(np.median(hanging)),
        "standard error": ratio_error(parts),
        "failed": int((table["status"] != 200).sum()),
        "requests": (len(without), len(hanging)),
        "copies": {line.split('"')[1]: int(float(line.split()[-1])) for line in reply},
    }


def ratio_error(parts, times=500):
    """Standard error of the ratio of two medians: bootstrap of whole pairs of half seconds, since what else the machine does comes and
    goes in stretches."""
    rng, pairs, ratios = np.random.default_rng(0), len(parts) // 2, []
    for _ in range(times):
        drawn = rng.integers(pairs, size=pairs)
        without, hanging = (np.median(np.concatenate([parts[2 * i + k] for i in drawn])) for k in (0, 1))
        ratios.append(hanging / without)
    return float(np.std(ratios))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    n, runs = options.requests, options.runs
    if not 800 <= n <= 20_000 or not 1 <= runs <= 20:
        parser.error("800 to 20,000 requests, 1 to 20 runs")
    with tempfile.TemporaryDirectory() as folder:
        spent = cost(Path(folder), n // 2, runs)
        swapped = swaps(Path(folder), n)
    copied = shadow(8 * runs)
    print("CPU ms a request: median (lowest to highest)")
    for name, (middle, low, high) in spent.items():
        print(f"  {name:18} {middle:.3f} ({low:.3f} to {high:.3f})")
    slower = copied["hanging"] / copied["without"] - 1
    print(f"{swapped['plans']} plans answered; share of v2 {swapped['share']:.2f}% at a weight of 20%")
    print(
        f"p50 without copies {copied['without']:.3f} ms, with a hanging shadow {copied['hanging']:.3f} ms"
        f" (ratio +- {copied['standard error']:.3f}); requests {copied['requests']}, copies {copied['copies']}\n"
    )
    added = spent["router, with log"][0]
    record(
        "router with its log, added to a request",
        CPU_ms=added,
        failed=swapped["failed"],
        misrouted=swapped["misrouted"],
        p50_with_a_hanging_shadow_in_percent=100 * slower,
    )
    rows = [
        ("router's CPU added to a request", f"{added:.3f} ms", f"<= {CPU_MS} ms", added <= CPU_MS),
        (f"failed of {2 * n}, 45 plan swaps", swapped["failed"], "0", swapped["failed"] == 0),
        ("failed beside a hanging shadow", copied["failed"], "0", copied["failed"] == 0),
        ("misrouted", swapped["misrouted"], "0", swapped["misrouted"] == 0),
        ("without a row in the log", swapped["unlogged"], "0", swapped["unlogged"] == 0),
        (
            "split beside its weight",
            f"{swapped['errors']:+.2f} s.e.",
            f"within {ERRORS:g}",
            abs(swapped["errors"]) <= ERRORS,
        ),
        ("p50 with a hanging shadow", f"{100 * slower:+.1f}%", f"< {100 * DELAY:.0f}%", slower < DELAY),
    ]
    for what, seen, target, good in rows:
        print(f"{what:36} {seen!s:>12}   {target:12} {'met' if good else 'MISSED'}")
    return 0 if all(good for *_, good in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
