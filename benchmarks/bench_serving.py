"""What does a request cost the service, do its waits follow queueing theory, and what do micro-batches bring?

    .venv/bin/uv venv --python .venv/bin/python .venv-peers-serving
    .venv/bin/uv pip install --python .venv-peers-serving/bin/python -r benchmarks/requirements-serving.txt
    .venv/bin/python benchmarks/bench_serving.py [--requests 500] [--runs 5] [--seconds 4]

Everything on 127.0.0.1, each server in processes of its own. Measured:

1. CPU time of one `POST /predict` of one row (a scaler and a linear model, the input an array; log and metrics on) of a server's
   whole process tree, against FastAPI with prometheus-client and the same model, and against BentoML, MLServer and LitServe as they
   come. Rounds alternate, so that a busy machine slows down all; ratios are medians over rounds. A server's answers are checked.
2. Mean latency under an open loop at loads of .5 and .8, for a service time that is constant and one that is exponential,
   beside theory (Pollaczek-Khinchine) and a simulation of the same arrivals, both with the service time that the service
   itself measured in the same round (`model_call_seconds`; from the throughput at saturation it would hold the load
   generator's share of the processor) and the way there and back at a load of .1. Medians of six rounds. Shown, without a
   target; the load of the machine stands beside it, since a busy one stops a service for moments of which no formula knows.
3. Requests a second that a pipeline with one-hot columns answers with and without micro-batches, under 64 testers. Shown.

About one minute on a quiet machine. Ends with status 1 when a target is missed, or a server's answer is wrong.
"""

import argparse
import asyncio
import json
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy

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

from mlprod_helpers import queueing
from mlprod_helpers.serving import Feature, ServiceConfig, closed_loop, open_loop, save_model, start
from mlprod_helpers.serving.client import ask
from mlprod_helpers.serving.lab.requests import metrics_table

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "serving_peers"))
from eta import NAMES, array, model  # noqa: E402

RATIO = 1.3
TESTERS = 8
SERVICE_MS, ROUNDS = 10.0, 4  # of the waiting test
LIFETIME = 1800
PEER = HERE.parent / ".venv-peers-serving/bin/python"
FEATURES = [
    Feature("distance", low=0, high=6000),
    Feature("hour", kind="integer", low=0, high=23),
    Feature("zone", kind="integer", low=0, high=12),
]
ROWS = [{"distance": 100.0 + 17 * i, "hour": 5 + i % 18, "zone": i % 6} for i in range(100)]
SERVICE, BARE = "this service", "bare FastAPI"


def plain(row):
    """The body of most servers."""
    return {"features": row}


def v2(row):
    """The body of the V2 protocol."""
    data = [row[name] for name in NAMES]
    return {"inputs": [{"name": "rows", "shape": [1, 3], "datatype": "FP64", "data": data}]}


SERVERS = {  # name -> (python, file, path, body, the prediction in an answer)
    BARE: (sys.executable, "bare.py", "/predict", plain, lambda reply: reply["prediction"]),
    "BentoML": (PEER, "bento.py", "/predict", plain, lambda reply: reply["prediction"]),
    "MLServer": (PEER, "v2.py", "/v2/models/eta/infer", v2, lambda reply: reply["outputs"][0]["data"][0]),
    "LitServe": (PEER, "lit.py", "/predict", plain, lambda reply: reply["prediction"]),
}


# --------------------------------------------------------------------------------------- what a request costs


@contextmanager
def peer(name, folder):
    """(process id, address) of another server; its whole tree ends with the block."""
    python, file, path, *_ = SERVERS[name]
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    environment = {
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    with (folder / f"{file}.txt").open("wb") as output:
        process = subprocess.Popen(
            [str(python), str(HERE / "serving_peers" / file), str(port)],
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield process.pid, f"http://127.0.0.1:{port}{path}"
    finally:
        family = tree(process.pid)
        for one in family:
            one.kill()
        psutil.wait_procs(family, 5)
        process.wait()


def tree(pid):
    """A process and all below it."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def cpu_seconds(pid):
    """Seconds of CPU that a tree has used so far."""
    return sum(sum(one.cpu_times()[:2]) for one in tree(pid))


async def ask_all(url, bodies, n):
    """n requests by `TESTERS` testers: the texts of the answers. An answer that is no 200 is an error."""
    import aiohttp

    answers, numbers = [None] * n, iter(range(n))
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=30), headers=headers
    ) as session:

        async def tester():
            for i in numbers:
                async with session.post(url, data=bodies[i % len(bodies)]) as answer:
                    answers[i] = await answer.read()
                    if answer.status != 200:
                        raise RuntimeError(f"{url}: {answer.status} {answers[i][:200]!r}")

        await asyncio.gather(*(tester() for _ in range(TESTERS)))
    return answers


def wait_until_it_answers(name, url, body, seconds=90.0):
    """The first requests fail while a server loads."""
    import aiohttp

    end = time.monotonic() + seconds
    while True:
        try:
            return asyncio.run(ask_all(url, [body], 1))
        except (aiohttp.ClientError, RuntimeError, OSError, TimeoutError) as error:
            if time.monotonic() > end:
                raise SystemExit(f"{name} does not answer: {error}") from None
            time.sleep(0.5)


def cost(folder, n, runs):
    """CPU milliseconds a request of each server, one figure a round; 0.0 for those that are not installed."""
    expected = [float(model().predict(array(row))[0]) for row in ROWS]
    save_model(model(), folder / "model", version="v1", features=FEATURES)
    results = {}
    with ExitStack() as stack:
        config = ServiceConfig(model=folder / "model", log=folder / "log.jsonl", lifetime_s=LIFETIME)
        service = stack.enter_context(start(config)).ready()
        running = {SERVICE: (service.pid, f"{service.url}/predict", plain, lambda reply: reply["prediction"])}
        for name, (python, _, _, body, prediction) in SERVERS.items():
            if Path(python).exists():
                running[name] = (*stack.enter_context(peer(name, folder)), body, prediction)
        for name, (_, url, body, _) in running.items():
            wait_until_it_answers(name, url, json.dumps(body(ROWS[0])).encode())
        for i in range(runs + 1):
            names = list(running)
            for name in names[i % len(names) :] + names[: i % len(names)]:
                pid, url, body, prediction = running[name]
                bodies = [json.dumps(body(row)).encode() for row in ROWS]
                before = cpu_seconds(pid)
                answers = asyncio.run(ask_all(url, bodies, n))
                spent = 1000 * (cpu_seconds(pid) - before) / n
                if i:  # the first round warms up, and is where answers are compared
                    results.setdefault(name, []).append(spent)
                    continue
                got = [prediction(json.loads(answer)) for answer in answers[: len(ROWS)]]
                if not np.allclose(got, expected):
                    raise SystemExit(f"{name} answers wrongly: {got[0]} for {expected[0]}")
        rows = (folder / "log.jsonl").read_bytes().count(b"\n")
    sent = 1 + (runs + 1) * n
    if rows != sent:
        raise SystemExit(f"{rows} rows in the log for {sent} requests.")
    return results


# ------------------------------------------------------------------------------------ how long a request waits


def waits(folder, seconds):
    """Mean latency in ms at two loads: (law, load, service time, measured, theory, simulation of the same arrivals, way)."""
    save_model(model(), folder / "model", version="v1", features=FEATURES)
    table, way = [], None
    for law, cv in (("constant", 0.0), ("exponential", 1.0)):
        faults = {"delay_ms": SERVICE_MS, "delay_law": law}
        config = ServiceConfig(model=folder / "model", workers=1, faults=faults, lifetime_s=LIFETIME)
        with start(config) as service:
            service.ready()
            closed_loop(service.url, ROWS, n=50, random_state=0)
            before = calls(service)
            closed_loop(service.url, ROWS, n=200, random_state=1)
            mean = called(service, before)
            if way is None:
                # what is not the queue's: HTTP, the load generator, threads that wake up. A load of .1 hardly waits
                rounds = one_load(service, law, cv, 0.1 / mean, seconds)
                way = np.median([seen - simulated for _, seen, _, simulated in rounds])
            for load in (0.5, 0.8):
                rounds = one_load(service, law, cv, load / mean, seconds)
                took, seen, theory, simulated = np.median(rounds, axis=0)
                figures = took, seen, theory + way, simulated + way, way
                table.append((law, load, *(1000 * figure for figure in figures)))
    return table


def calls(service):
    """(how many calls of the model, their seconds) so far, as the service counts them."""
    reply = metrics_table(ask(service.url, "/metrics").body).set_index("name")["value"]
    return reply["model_call_seconds_count"], reply["model_call_seconds_sum"]


def called(service, before):
    """The mean service time since `before`, in seconds."""
    (n, seconds), (n_before, seconds_before) = calls(service), before
    return (seconds - seconds_before) / (n - n_before)


def one_load(service, law, cv, rate, seconds):
    """One row a round: service time inside the service, mean latency measured, by theory, and simulated for the same moments."""
    results = []
    for i in range(ROUNDS):
        before = calls(service)
        duration = 2 * seconds / ROUNDS
        seen = open_loop(service.url, ROWS, rate=rate, duration=duration, timeout=30.0, random_state=i)
        if len(lost := seen[seen["status"] != 200]):
            raise SystemExit(f"Not answered in the waiting test: {lost[['due', 'status', 'error']]}")
        mean, due = called(service, before), seen["due"].to_numpy()
        drawn = queueing.Constant(mean) if law == "constant" else queueing.Exponential(mean)
        simulated = np.mean(
            [queueing.simulate(due, drawn, random_state=1000 + k).mean_latency for k in range(20)]
        )
        results.append(
            (mean, seen["latency_ms"].mean() / 1000, queueing.mgc(rate, mean, cv).latency, simulated)
        )
    return results


def batches(folder, seconds):
    """{rows of a call: (requests a second, CPU ms a request, median latency in ms)} of a pipeline on a table under 64 testers."""
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rows = pd.DataFrame(ROWS * 10)
    parts = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["hour", "zone"]), (StandardScaler(), ["distance"])
    )
    pipeline = make_pipeline(parts, Ridge()).fit(rows, rows["distance"] / 8)
    save_model(pipeline, folder / "table", version="v1", features=FEATURES)
    results = {}
    for most in (1, 32):
        config = ServiceConfig(model=folder / "table", workers=1, batch_rows=most, lifetime_s=LIFETIME)
        with start(config) as service:
            service.ready()
            closed_loop(service.url, ROWS, testers=64, n=200, random_state=0)
            before = cpu_seconds(service.pid)
            seen = closed_loop(service.url, ROWS, testers=64, duration=seconds, random_state=1)
            spent = 1000 * (cpu_seconds(service.pid) - before) / len(seen)
            if (seen["status"] != 200).any():
                raise SystemExit("A request of the batching test was not answered.")
        results[most] = len(seen) / seen["finish"].max(), spent, seen["latency_ms"].median()
    return results


# ------------------------------------------------------------------------------------------------- the report


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    if (
        not 100 <= options.requests <= 20_000
        or not 1 <= options.runs <= 30
        or not 2 <= options.seconds <= 120
    ):
        parser.error("100 to 20,000 requests, 1 to 30 runs, 2 to 120 seconds")
    if not PEER.exists():
        print("BentoML, MLServer and LitServe are not installed (see the head of this file): not compared.\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spent = cost(folder, options.requests, options.runs)
        waited = waits(folder, options.seconds)
        batched = batches(folder, options.seconds / 2)
    print("CPU ms a request: median (lowest to highest), and times bare FastAPI")
    for who, rounds in spent.items():
        times = ratio(rounds, spent[BARE])
        record(f"one request of {who}, against bare FastAPI", of_its_CPU_time=times)
        print(f"  {who:14} {np.median(rounds):.3f} ({min(rounds):.3f} to {max(rounds):.3f})   {times:.2f}")
    tell_waits(waited)
    print("\na pipeline with one-hot columns under 64 testers")
    (one, *_), *_, (many, *_) = batched.values()
    record("micro-batches of a pipeline with one-hot columns, 64 testers", times_the_throughput=many / one)
    for most, (rate, cpu, middle) in batched.items():
        print(
            f"  at most {most:2} rows a call: {rate:6.0f} requests/s, {cpu:.2f} CPU ms each, p50 {middle:.0f} ms"
        )
    print()
    times = ratio(spent[SERVICE], spent[BARE])
    rows = [("CPU a request / bare FastAPI", f"{times:.2f}", f"<= {RATIO}", times <= RATIO)]
    for who in spent:
        if who not in (SERVICE, BARE):
            times = ratio(spent[SERVICE], spent[who])
            rows.append((f"CPU a request / {who}", f"{times:.2f}", "< 1", times < 1))
    for what, seen, target, good in rows:
        print(f"{what:32} {seen:>8}   {target:8} {'met' if good else 'MISSED'}")
    return 0 if all(good for *_, good in rows) else 1


def tell_waits(waited):
    print(
        f"\nmean latency in ms, one worker; {os.cpu_count()} processors, load of the last minute {os.getloadavg()[0]:.1f}"
    )
    print("  service time          load  measured  theory  simulated  (of which way)  measured / theory")
    for law, load, mean, measured, theory, simulated, way in waited:
        record(f"mean latency, {law} service time, load {load}", measured_over_theory=measured / theory)
        print(
            f"  {law:12} {mean:6.2f}   {load:.1f}  {measured:8.1f}  {theory:6.1f}  {simulated:9.1f}  ({way:.1f})  "
            f"{measured / theory:.2f}"
        )


def ratio(times, of):
    """Median over the rounds: what a busy machine does to one of a round it does to the other."""
    return float(np.median(np.array(times) / np.array(of)))


if __name__ == "__main__":
    sys.exit(main())
