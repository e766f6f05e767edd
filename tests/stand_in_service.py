"""Doubles for the tests of `serving`: services without a model as processes and in the loop, labs of them, and what tests share."""

import asyncio
import functools
import json
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil

from mlprod_helpers.serving import Deployment, Feature, Lab, ask, save_model

LONG = 60.0  # seconds, a guard and not a bound: nothing here takes long
# a service in few lines: it starts in a tenth of a second, stands still at its first request, and fails for a share of the request ids
CODE = """
import hashlib, json, os, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
name, words, (share, start_s, stall_s) = sys.argv[1], sys.argv[2], map(float, sys.argv[3:])
if words:
    sys.exit(words)
lock, stalls = threading.Lock(), [stall_s]
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def say(self, status, content):
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", "Content-Length": len(body)}.items():
            self.send_header(key, str(value))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        if self.path == "/metrics":
            self.say(200, '# TYPE requests_total counter\\nrequests_total{version="%s",code="200"} 7\\n' % name)
        else:
            ready = time.time() > begin + start_s
            self.say(200 if ready or self.path != "/readyz" else 503, {"state": "ready" if ready else "starting"})
    def do_POST(self):
        given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with lock:
            time.sleep(stalls.pop() if stalls else 0.0)
        if self.path == "/label":
            return self.say(200, {"request_id": given["request_id"], "version": name, "learned": name == "v2"})
        request_id = self.headers.get("X-Request-Id", "none")
        if hashlib.blake2b(request_id.encode()).digest()[0] < 256 * share:
            return self.say(500, {"error": "model"})
        if "rows" in given:
            return self.say(200, {"predictions": [row["distance"] / 8 for row in given["rows"]], "version": name})
        self.say(200, {"prediction": given["features"]["distance"] / 8, "version": name, "request_id": request_id})
    def log_message(self, *_):
        pass
class Server(ThreadingHTTPServer):
    daemon_threads, request_queue_size = True, 128
begin = time.time()
server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
os._exit(4)
"""


class StandIn:
    """One process with the manners of `ServiceProcess`."""

    def __init__(self, version="v1", words="", share=0.0, start_s=0.0, stall_s=0.0):
        arguments = [version, words, str(share), str(start_s), str(stall_s)]
        self.version = version
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", CODE, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if words else None,
            text=True,
            start_new_session=True,
        )
        line = self.process.stdout.readline()
        if not line:
            reason = self.process.stderr.read()
            self.stop()
            raise RuntimeError(reason.strip())
        self.pid, self.port = self.process.pid, int(line)
        self.url = f"http://127.0.0.1:{self.port}"

    def ready(self, timeout=10.0):
        until(lambda: ask(self.url, "/readyz").status == 200, timeout)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.kill()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()

    drain = stop

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stop()


class StandInLab(Lab):
    """A lab of stand-ins; `stand_ins` are settings of a `StandIn` by version."""

    def __init__(self, versions=("v1", "v2"), stand_ins=(), **settings):
        served = {name: Deployment("no model") for name in versions}
        super().__init__(served, **{"show": None, **settings})
        self._stand_ins = dict(stand_ins)

    def _start_service(self, config):
        return StandIn(config.version, **self._stand_ins.get(config.version, {}))


class Upstream:
    """A service in this event loop: it notes what it is asked, and answers as it was made."""

    def __init__(self, name, status=200, hang=0.0, ready=True, listener=None):
        self.name, self.status, self.hang, self.ready, self.listener = name, status, hang, ready, listener
        self.seen, self.checks = [], 0

    async def __aenter__(self):
        from aiohttp import web

        async def answer(request):
            if request.path == "/readyz":
                self.checks += 1
                return web.json_response({}, status=200 if self.ready else 503)
            self.seen.append((request.path, request.headers.copy(), await request.read()))
            await asyncio.sleep(self.hang)
            if self.status == "cut":
                request.transport.abort()
            body = {"prediction": 1.5, "version": self.name}
            status = 200 if self.status == "cut" else self.status
            return web.json_response(
                body, status=status, headers={"X-Own": "kept", "Keep-Alive": "timeout=5"}
            )

        server = web.Server(answer, access_log=None, auto_decompress=False)
        self.runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await self.runner.setup()
        if self.listener is None:
            await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        else:
            await web.SockSite(self.runner, self.listener).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *error):
        await self.runner.cleanup()


def save_ridge(folder):
    """A model of one feature, saved; returns the folder as text."""
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), Ridge(alpha=1e-6))
    model.fit([[100.0], [900.0], [2500.0]], [20, 120, 320])
    save_model(model, folder, version="v1", features=[Feature("distance", low=0, high=6000)])
    return str(folder)


def save_flights(folder):
    """A model of two numbers and a category, saved; returns the folder as text."""
    import numpy as np
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    rng, n = np.random.default_rng(0), 200
    X = pd.DataFrame({"distance": rng.uniform(0, 6000, n), "hour": rng.integers(0, 24, n).astype(float)})
    X["origin"] = rng.choice(["EWR", "JFK", "LGA"], n)
    parts = [("numbers", "passthrough", ["distance", "hour"]), ("names", OneHotEncoder(), ["origin"])]
    model = make_pipeline(ColumnTransformer(parts), Ridge()).fit(X, X["distance"] / 8)
    save_model(model, folder, version="v1", features=FLIGHT_FEATURES)
    return str(folder)


FLIGHT_FEATURES = [
    Feature("distance", low=0, high=6000),
    Feature("hour", "integer", low=0, high=23),
    Feature("origin", "category", categories=("EWR", "JFK", "LGA")),
]


def in_a_loop(test):
    """Run an asynchronous test, for two minutes at most."""

    @functools.wraps(test)
    def run(**given):
        asyncio.run(asyncio.wait_for(test(**given), 2 * LONG))

    return run


def until(is_true, seconds=60.0):
    """Wait until it is true."""
    end = time.monotonic() + seconds
    while not is_true():
        if time.monotonic() > end:
            raise TimeoutError("it never came to be")
        time.sleep(0.01)


def logged(path):
    """How often each request is in a log, as it was written: one line a row, all of them whole."""
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    return Counter(line["request_id"] for line in lines if line["event"] == "request")


def memory_mb(process):
    return psutil.Process(process.pid).memory_info().rss / 2**20


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_in_use(port):
    """Does anybody listen on this port?"""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def traces(lab):
    """(processes, ports, folder) of a running lab."""
    processes = [*lab.services.values(), lab.router]
    ports = [one.port for one in processes] + [int(lab.router.control_url.rsplit(":", 1)[1])]
    return [one.pid for one in processes], ports, lab.folder


def left(pids, ports, folder, seconds=60.0):
    """What is still there after at most so many seconds: processes, ports, the folder."""
    end = time.monotonic() + seconds
    while True:
        there = [pid for pid in pids if is_alive(pid)] + [port for port in ports if is_in_use(port)]
        there += [folder] if folder is not None and Path(folder).exists() else []
        if not there or time.monotonic() > end:
            return there
        time.sleep(0.05)
