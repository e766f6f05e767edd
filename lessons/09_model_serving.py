# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "09"
#   title: Model serving
#   express: {sections: [One pause in a hundred seconds, A service of your own, Refuse requests before the queue gets too long, "Alive or ready?", A canary and its rollback], exercises: ["9.1", "9.5", "9.6", "9.7"]}
#   needs: ["06"]
#   ideas: [the open loop, refusing in time, ready is not alive, the closed control loop]
#   topics: [deployment, serving]
# ---

# %% [markdown]
# # Model serving: what surrounds the model
#
# > **A service stops for 10 of 100 seconds. A load test runs throughout and reports that 99 of 100 answers came within a millisecond. The number is right, but it says nothing
# > about how long users waited.**

# %% [markdown]
# ## What you will do
#
# In about {{minutes}} minutes ({{reading}} of reading, {{exercises}} of exercises) you will
#
# - **a** start a real model service, and write a function that survives hostile requests,
# - **b** measure how long users wait,
# - **c** batch requests, and refuse some before the queue gets too long,
# - **d** tell whether a process is *alive* and whether it is *ready*,
# - **e** write a program that rolls back a bad version, and another that releases a good one.
#
# You need lesson 06. All terms are in the [glossary](../docs/glossary.md).
#
# {{express}}
#
# Run all cells, even in sections that you skip.
#
# Some cells start real services on your computer.

# %%
from mlprod_helpers import Lesson

lesson = Lesson("09", edition=2)

# %% [markdown]
# ## One pause in a hundred seconds
#
# A model service answers requests ("how long is this flight?") in about a millisecond. At second 45 of a test, it stops for ten seconds.
#
# A **load test** should find out how long users wait. In a **closed loop**, the tester waits for each answer before it sends the next request. Real users do not wait for each
# other. An **open loop** imitates them: here it sends 100 requests a second at random times. We recorded both loops on the same real service, with the same pause.
#
# The **p99**, the 99th **percentile**, is the latency (time to the answer) that 99 of 100 requests do not exceed. In the closed loop, the p99 is under a millisecond. What is it in the open loop?

# %%
lesson.predict("p99 of the users, in seconds", ..., choices=[0.001, 0.1, 1, 10])

# %%
from mlprod_helpers import serving

tested = serving.load_recorded("pause", "closed")  # one row per request; times in seconds since the start
lived = serving.load_recorded("pause", "open")
for name, requests in {"the test": tested, "the users": lived}.items():
    slow, p99_ms = (requests["latency_ms"] > 100).sum(), requests["latency_ms"].quantile(0.99)
    print(f"{name}: {len(requests):,} requests, {slow:,} above 0.1 s, p99 {p99_ms:,.1f} ms")
lesson.recall("p99 of the users, in seconds", round(lived["latency_ms"].quantile(0.99) / 1000, 1))

# %%
from mlprod_helpers.serving.lab import pictures

pictures.loops(tested, lived)

# %% [markdown]
# This is **coordinated omission**: the closed loop leaves out requests exactly when they would be slow.
#
# *Change this and run again:* replace `0.99` by `0.9` in both places above. Can you still see the pause in the users' latency?
#
# Here, a request is due every second. The second answer is slow, so the tester sends the third request late.

# %%
import numpy as np
import pandas as pd

three = pd.DataFrame({"due": [0.0, 1.0, 2.0], "sent": [0.0, 1.0, 4.5], "finish": [0.1, 4.5, 4.6]})
# latency counted from two moments
three.assign(from_sent=three["finish"] - three["sent"], from_due=three["finish"] - three["due"])

# %% [markdown]
# **Measure latency from the moment the request was due.** The third user waited 2.6 seconds, not 0.1.
#
# ### Exercise 9.1 · How long did users wait?
# *4 points · 7 minutes*
#
# Write `p99(due, sent, finish, timeout)`. It returns the 99th percentile of the users' waiting times, in seconds.


# %% exercise="9.1"
def p99(due, sent, finish, timeout):
    """Return the waiting time that 99 of 100 users do not exceed.

    Parameters
    ----------
    due, sent, finish : NumPy arrays
        When each request was due, sent and answered, in seconds. There is at least one request.
        `finish` is NaN if no answer came within `timeout` seconds after `due`, so `finish - due` never exceeds `timeout`.
    timeout : float
        Users without an answer gave up this many seconds after `due`.

    Returns
    -------
    float
        Seconds. The result may be up to 3% off.

    Example: the result for the three requests above is about 3.5.
    """
    ### BEGIN SOLUTION
    waited = np.where(np.isnan(finish), timeout, finish - due)
    return np.quantile(waited, 0.99)
    ### END SOLUTION


# %% check="9.1"
lesson.check("9.1")

# %% [markdown]
# ## A service of your own
#
# A client and a service communicate over **HTTP**. The client sends a request such as `POST /predict`, and the service returns an answer with a **status code** such as 200. Both
# can contain **JSON**, text such as `{"distance": 1400}`.
#
# A **lab** starts one or more services. Each is a process with a model that predicts flight times. A **router** in front of them sends each user to one version
# of the model. These processes stop when the `with` block ends.
#
# <details><summary>More terms, and what to do if services cannot start</summary>
#
# - A process is a running program with its own memory, such as the kernel of your notebook.
# - A signal is a short message from the operating system to a process, such as the request to end.
# - A port is a number that identifies a service on a computer. `127.0.0.1:8000` is port 8000 of your own computer.
# - A `GET` request only asks for something. A `POST` request also sends data, called its body. A header is extra information about a request or an answer, such as its id.
#
# If your computer does not let you open ports or start processes, the next cell tells you. The cells that need a service then use a recording or show nothing. Their output is in
# the folder `solutions`.
#
# </details>

# %% tags=["nbval-ignore-output"]
import json
import tempfile
import time

from IPython.display import display

from mlprod_helpers.serving.client import ask
from mlprod_helpers.serving.lab.demo import eta_models

eta = eta_models()  # three models of the time in the air (v1, v2, hybrid), inputs (rows) and labels
LIVE = serving.refusal() is None  # refusal() gives the reason if no lab can be started
print(serving.refusal() or "Services can be started here.")

# %% [markdown]
# We repeat the experiment live for eight seconds. This service stops for one second in every five:

# %%
if LIVE:
    pausing = serving.Deployment(*eta.v1, faults=serving.Faults(pause_every_s=5, pause_s=1))
    with serving.Lab({"v1": pausing}) as lab:
        tested = lab.closed_loop(eta.rows, testers=1, duration=8)
        lived = lab.open_loop(eta.rows, rate=100, duration=8, random_state=0)

for name, requests in {"the test": tested, "the users": lived}.items():
    slowest = requests["latency_ms"].quantile(0.99)
    verdict = "below 0.2 s" if slowest < 200 else "above 0.5 s" if slowest > 500 else "in between"
    print(f"{name}: p99 is {verdict}")

# %% [markdown]
# *Change this and run again:* set `pause_every_s=100`, so that the service does not stop. Do the results agree now?

# %% [markdown]
# ## The life of a request
#
# We send one request as the user Ben. What traces does it leave?

# %%
if LIVE:
    with serving.Lab({"v1": eta.v1}) as lab:
        answer = lab.ask({"distance": 1400, "hour": 8, "zone": 2}, user="ben")
        logged = {"router": lab.tail(1)[0], "v1": lab.tail(1, "v1")[0]}
        metrics = lab.metrics("v1")

    print("status", answer.status, "by", answer.headers["x-version"])
    print(f"{answer.body['prediction']:.0f} minutes for 1,400 miles")
    ids = {answer.body["request_id"], answer.headers["x-request-id"]}
    ids |= {line["request_id"] for line in logged.values()}
    print("ids in body, header and both logs:", len(ids))
    print("a log names the user:", any(line["user_id"] == "ben" for line in logged.values()))
    count = metrics[metrics["name"] == "requests_total"].iloc[0]
    print("counted:", count["labels"], int(count["value"]))

# %% tags=["nbval-ignore-output"] collapsed=true
# The whole answer, its line in the log, and some of the metrics
if LIVE:
    print(json.dumps(answer.body, indent=2))
    print(json.dumps(logged["v1"], indent=2))
    interesting = ["requests_total", "request_duration_seconds_sum", "in_flight", "rows_total"]
    print(metrics[metrics["name"].isin(interesting)].to_string(index=False))

# %% [markdown]
# You can find the log line for an answer by its id. The service logs a **pseudonym**, a hash computed with a secret key, instead of Ben's name. It can also leave out features,
# which is called **redaction**.
#
# *Change this and run again:* send 2,800 miles as `user="ann"`. Which lines of the output change?
#
# The status code of an error says who has to act: the sender (**4xx**) or the service (**5xx**).
#
# <details><summary>Which status codes does the service use?</summary>
#
# | status | meaning | what the sender should do |
# | --- | --- | --- |
# | 4xx | The request is unreadable (400), is too large (413), breaks a rule (422) or exceeds the rate limit (429). | Correct it, or slow down. |
# | 5xx | The service failed (500), gave the router no valid answer (502), is full or not ready (503), or is too slow (504). | Try again later. |
#
# </details>
#
# ### Exercise 9.2 · The life of a request
# *3 points · 4 minutes*
#
# Write a list with these ten steps in a valid order.
#
# | step | what happens |
# | --- | --- |
# | `"predict"` | ask the model |
# | `"record"` | write id, status and latency to the log |
# | `"size"` | refuse a body that is too large |
# | `"respond"` | send status and answer |
# | `"parse"` | read the body as JSON |
# | `"clock"` | start the clock |
# | `"queue"` | wait for a free place, or refuse with 503 |
# | `"plausible"` | check that the answer is finite and in range |
# | `"validate"` | check fields, types and ranges |
# | `"id"` | give the request an id, or use the caller's |
#
# Several orders are right. In each,
#
# - the request has an id and the clock is running before any step can refuse the request,
# - the size is checked before the body is parsed,
# - parsing comes before validation, and validation comes before prediction,
# - only requests with a place reach the model,
# - an answer is checked before it is sent or recorded.

# %% exercise="9.2"
### BEGIN SOLUTION
life = [
    *("id", "clock", "size", "parse", "validate"),
    *("queue", "predict", "plausible", "respond", "record"),
]
### END SOLUTION

# %% check="9.2"
lesson.check("9.2")

# %% [markdown]
# ## Hostile requests
#
# Suppose a faulty client sends the distance as text. Its request gets a 4xx and does not reach the model. The error message does not repeat the input, which may be private
# or contain malicious code. All rules (names, types, ranges, no other field) are in one place, the *schema*. Here are some hostile requests:

# %%
flight = {"distance": 1400, "hour": 8, "zone": 2}
hostile = {
    "valid flight": json.dumps({"features": flight}),
    "not JSON": "<script>alert(1)</script>",
    "distance as text": json.dumps({"features": flight | {"distance": "far"}}),
    "-5 miles": json.dumps({"features": flight | {"distance": -5}}),
    "NaN miles": json.dumps({"features": flight | {"distance": float("nan")}}),
    "True as the hour": json.dumps({"features": flight | {"hour": True}}),
    "extra field": json.dumps({"features": flight | {"password": "hunter2"}}),
    "5,000 rows": json.dumps({"rows": [flight] * 5000}),
    "2 MB": " " * 2_000_000,
}

# %% collapsed=true
# Send each of these to a service, then one request more than its rate limit allows
if LIVE:
    said = {}
    limits = serving.Limits(rate_per_s=0.1, burst=len(hostile))  # all at once, then one every ten seconds
    with serving.Lab({"v1": serving.Deployment(*eta.v1, limits=limits)}) as lab:
        url = lab.services["v1"].url
        for what, body in (hostile | {"one too many": hostile["valid flight"]}).items():
            answer = ask(url, "/predict", body.encode())
            rules = [f"{one['where']}: {one['what']}" for one in answer.body.get("detail", [])]
            said[what] = answer.status, answer.body.get("error", ""), "; ".join(rules)
        log = lab.log("v1")
    print(len(said), "requests sent,", len(log), "lines in the log")
    table = pd.DataFrame(said, index=["status", "error", "broken rule"]).T
    with pd.option_context("display.max_colwidth", None):
        display(table)

# %% [markdown]
# *Change this and run again:* add `"hour 24": json.dumps({"features": flight | {"hour": 24}})`. Which rule does it break?
#
# <details><summary>How the service does this, and what else protects it</summary>
#
# The service is an ordinary **FastAPI** application (`mlprod_helpers/serving/service/app.py`). The schema is a **pydantic** model. Before it is applied, code called *middleware*
# checks the size of the body and the request rate. The tool *schemathesis* tests the service with thousands of odd requests.
#
# Access keys are compared with `hmac.compare_digest`. It takes the same time wherever the first wrong character is. With `==`, the time could reveal
# how many leading characters of a guess are correct.
#
# </details>
#
# A model file is an input, too. A file in Python's **pickle** format can run any code while it is loaded:

# %%
import os
import pickle


class Harmless:
    """Pickle calls the function that `__reduce__` returns, with the returned arguments."""

    def __reduce__(self):
        return exec, ("print('this ran while the file was loaded')",)


pickle.loads(pickle.dumps(Harmless()))

# %% [markdown]
# The library *skops* loads only types that it considers safe or that you trust:

# %% collapsed=true
# Save the same object with skops, then try to load it
import skops.io

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "model.skops")
    skops.io.dump(Harmless(), path)
    unknown = skops.io.get_untrusted_types(file=path)
    try:
        skops.io.load(path)
    except skops.io.exceptions.UntrustedTypesFoundException as error:
        print(type(error).__name__, "because of", [name.rsplit(".", 1)[-1] for name in unknown])

# %% collapsed=true
# A card stores the version, the features and a checksum of a model file. Load the file, add a byte, and load it again
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    card = serving.save_model(eta.v1.model, folder, version="v1", features=eta.v1.features)
    model, _ = serving.load_model(folder)
    print(card.version, [feature.name for feature in card.features], "loaded:", type(model).__name__)
    file = next(Path(folder).glob("*.skops"))
    file.write_bytes(file.read_bytes() + b"!")
    try:
        serving.load_model(folder)
    except RuntimeError as error:
        print("not loaded:", "checksum differs" if "checksum differs" in str(error) else error)

# %% [markdown]
# ### Exercise 9.3 · The handler
# *5 points · 9 minutes*
#
# Write `handle(body)`. It gets the body of a request as a string and returns `(status, reply)`, a number and a dict.
#
# - For a valid body, return 200 and `{"eta": ...}`. The eta is the estimated time in the air in minutes, `eta_model(distance, origin, hour)`.
# - For every mistake by the sender, return a 4xx and `{"error": "..."}` with a non-empty message. The message may name a field, but must not repeat a value.
# - Refuse a body of more than 2,000 characters before you parse it as JSON.
# - `eta_model` returns NaN for flights that it does not know. This is not the sender's mistake, so return a 5xx with an `error` and no `eta`.
# - `handle` never raises an exception, not even for `"[" * 1900`.

# %%
import math

from mlprod_helpers.serving.lab.eta_handlers import eta_batch, eta_model

print("usual:", eta_model(1400, "JFK", 8), "| never seen:", eta_model(2400, "LGA", 8))
print("json.loads reads NaN as", json.loads("NaN"), "| is True an int?", isinstance(True, int))


# %% exercise="9.3"
def handle(body):
    """Answer one request.

    Parameters
    ----------
    body : str
        A valid body is a JSON object with exactly three fields:
        `distance` is a number of miles from 50 to 5000,
        `origin` is "EWR", "JFK" or "LGA", and `hour` is a whole number from 0 to 23.
        The bounds are allowed. The values true, "800" and NaN are not valid numbers, and 8.5 is not a valid hour.

    Returns
    -------
    (status, reply) : a number and a dict
        You may round the eta to whole minutes.

    Example: for {"distance": 1400, "origin": "JFK", "hour": 8}, return (200, {"eta": 195.0}).
    """
    ### BEGIN SOLUTION
    if len(body) > 2000:
        return 413, {"error": "the body is longer than 2,000 characters"}
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):  # not JSON, or a thousand nested lists
        return 400, {"error": "the body is not JSON"}
    if not isinstance(given, dict) or set(given) != {"distance", "origin", "hour"}:
        return 422, {"error": "an object with distance, origin and hour is expected"}
    distance, origin, hour = given["distance"], given["origin"], given["hour"]
    if type(distance) not in (int, float) or not 50 <= distance <= 5000:
        return 422, {"error": "distance: a number of miles from 50 to 5000 is expected"}
    if type(hour) is not int or not 0 <= hour <= 23:
        return 422, {"error": "hour: a whole number from 0 to 23 is expected"}
    if origin not in ("EWR", "JFK", "LGA"):
        return 422, {"error": "origin: EWR, JFK or LGA is expected"}
    eta = eta_model(distance, origin, hour)
    if not math.isfinite(eta):
        return 500, {"error": "the model has no answer for this flight"}
    return 200, {"eta": eta}
    ### END SOLUTION


# %% check="9.3"
lesson.check("9.3")

# %% [markdown]
# ## Where the milliseconds go
#
# We measure a request's time at four points: in the model, in the service, at a client of the service, and at a client of the router. If a request goes through the router, what share of its time is spent in the model?

# %%
lesson.predict("the model's share of a request through the router, in percent", ..., choices=[5, 20, 50, 90])

# %% collapsed=true
# Measure the median time of a call
from mlprod_helpers.serving.service.models import Predictor  # the model as the service calls it


def median_ms(call, inputs):
    """Median time of a call, in milliseconds."""
    took = []
    for one in inputs:
        begin = time.perf_counter()
        call(one)
        took.append(1000 * (time.perf_counter() - begin))
    return np.median(took)


# %% collapsed=true
# Time 300 flights in four ways, 1,000 flights in one request, and 16 testers of a slow model
if LIVE:
    thousand = eta.rows.head(1000).to_dict("records")
    steps = {"the model": median_ms(Predictor(model, card), [[row] for row in thousand[:300]])}
    with serving.Lab({"v1": eta.v1}) as lab:
        direct = lab.closed_loop(eta.rows, to="v1", n=300)
        steps["noted by the service"] = lab.log("v1")["latency_ms"].median()
        steps["seen by a client"] = direct["latency_ms"].median()
        steps["through the router"] = lab.closed_loop(eta.rows, n=300)["latency_ms"].median()
        together = median_ms(lambda rows: lab.ask(rows, to="v1"), [thousand] * 3)

    print(" < ".join(sorted(steps, key=steps.get)))
    share = steps["the model"] / steps["through the router"]
    print("the model takes less than half of that time:", share < 0.5)
    one_by_one = 1000 * steps["seen by a client"]
    print("1,000 rows at once: less than a tenth of one by one:", together < one_by_one / 10)

    slow_call = serving.Deployment(
        *eta.v1, faults=serving.Faults(delay_ms=20)
    )  # each call to the model takes 20 ms longer
    with serving.Lab({"v1": slow_call}) as lab:
        lab.closed_loop(eta.rows, to="v1", testers=16, n=320)
        counted = lab.metrics("v1").set_index("name")["value"]
    rows_a_call = counted["rows_total"] / counted["model_call_seconds_count"]
    print("16 testers of a slow model: more than 4 rows per call:", rows_a_call > 4)

# %% tags=["nbval-ignore-output"] collapsed=true
# The measured times, which differ from computer to computer
if LIVE:
    print(lesson.recall("the model's share of a request through the router, in percent", round(100 * share)))
    print(pd.Series(steps, name="ms").round(2).to_string())
    print(f"1,000 rows: {together:.0f} ms in one request, {one_by_one:.0f} ms one by one")

# %% [markdown]
# Each request also needs time for HTTP, JSON, checks and the log. Sending a thousand rows in one request saves most of this time.
#
# *Change this and run again:* set `testers=1` in the cell that begins with "Time 300 flights". Are there still more than four rows per call?
#
# ### Micro-batching
#
# In **micro-batching**, requests that arrive within a few milliseconds go to the model together, like those of the 16 testers above. This saves time if each call has a
# large fixed cost and many requests arrive at once. Otherwise users only wait longer.
#
# ### Exercise 9.4 · Debug the micro-batcher
# *5 points · 9 minutes*
#
# A colleague wrote the next cell. The model `eta_batch(distances)` takes a list of distances in miles and returns a list of etas. It raises a `ValueError` if any distance is
# bad.


# %%
def colleagues_batches(requests, max_size, max_wait):
    """Return a dict for each request: id, status, eta, time of the answer. This code has three faults."""
    answers, batch = [], []
    for request in requests:
        batch.append(request)
        if len(batch) == max_size:
            try:
                etas, status = eta_batch([each["distance"] for each in batch]), 200
            except ValueError:
                etas, status = [None] * len(batch), 500
            for each, eta in zip(sorted(batch, key=lambda one: one["id"]), etas, strict=True):
                answers.append({"id": each["id"], "status": status, "eta": eta, "time": request["time"]})
            batch = []
    return answers


# %%
evening = [
    {"id": "r7", "time": 0.00, "distance": 800},
    {"id": "r2", "time": 0.01, "distance": 1600},
    {"id": "r5", "time": 0.02, "distance": 400},
    {"id": "r9", "time": 0.03, "distance": -5},
    {"id": "r1", "time": 9.00, "distance": 240},
]
pd.DataFrame(colleagues_batches(evening, max_size=2, max_wait=0.05))

# %% [markdown]
# A flight of 800 miles takes 120 minutes. Which request got the eta of r7, why did r5 fail, and why is r1 missing?
#
# Write `serve_in_batches(requests, max_size, max_wait)` without these faults.
#
# - A batch is answered as soon as it has `max_size` requests, and at the latest `max_wait` seconds after its first request. A request that arrives exactly at this deadline
#   still joins the batch.
# - Each request in a batch gets its own eta and status 200.
# - A request with a bad distance does not join a batch. It is answered at its own `time` with status 422 and eta `None`. To test a distance, call `eta_batch([distance])`.


# %% exercise="9.4"
def serve_in_batches(requests, max_size, max_wait):
    """Answer requests in batches.

    Parameters
    ----------
    requests : list of dicts like `evening`, sorted by `time` (in seconds); it may be empty
    max_size : int, at least 1
    max_wait : float, seconds, above 0

    Returns
    -------
    list of dicts, one for each request, in any order
        `id`, `status`, `eta` and `time`, the time of the answer. Assume that the model takes no time.

    Example: with max_size=2 and max_wait=0.05, request r5 of `evening` is answered at 0.07
    with an eta of 70 minutes, and r1 is answered at 9.05.
    """
    ### BEGIN SOLUTION
    answers, batch = [], []

    def close(time):
        etas = eta_batch([each["distance"] for each in batch])
        for each, eta in zip(batch, etas, strict=True):
            answers.append({"id": each["id"], "status": 200, "eta": eta, "time": time})
        batch.clear()

    for request in requests:
        if batch and request["time"] > batch[0]["time"] + max_wait:
            close(batch[0]["time"] + max_wait)
        try:
            eta_batch([request["distance"]])
        except ValueError:
            answers.append({"id": request["id"], "status": 422, "eta": None, "time": request["time"]})
            continue
        batch.append(request)
        if len(batch) == max_size:
            close(request["time"])
    if batch:
        close(batch[0]["time"] + max_wait)
    return answers
    ### END SOLUTION


# %% check="9.4"
lesson.check("9.4")

# %% [markdown]
# ## Refuse requests before the queue gets too long
#
# The **load** is the share of time in which a service is busy. The **service time** is how long a request takes, not counting its time in the queue. The next figure compares the
# measured latency with the latency predicted from these two:

# %%
from mlprod_helpers import explore

explore.measured_latency_explorer()

# %% collapsed=true
# How far is the measured mean latency from the predicted one?
for law, found in serving.load_recorded("latency").items():
    off = 100 * (found["mean_ms"] / found["predicted_ms"] - 1)
    calm = found["load"] < 0.7
    print(f"{law}: {off[calm].min():+.0f} to {off[calm].max():+.0f}% at loads up to 65%,", end=" ")
    print(f"{off[~calm].min():+.0f} to {off[~calm].max():+.0f}% at 80 and 90%")

# %% [markdown]
# The predicted curves have the right shape, but do not match every measurement.

# %% [markdown]
# ### When too many requests arrive
#
# An overloaded server spends its time on requests from users who have already given up. It helps to refuse some requests *at once*, with status 503. This is called **load
# shedding**. The aim is a high **goodput**: the part of the **throughput** (answers per second) that arrives in time. Here, 120 requests a second arrive at a server that can handle only 100:

# %%
from mlprod_helpers import queueing

rush = queueing.poisson(
    120, duration=60, random_state=0
)  # 120 a second; the server needs 10 ms for each, so it can handle 100
table = {}
for limit in (0, 5, 20, 50, None):
    run = queueing.simulate(rush, 0.010, 1, queue_limit=limit)
    in_time = ~run.dropped & (run.latency <= 0.25)
    table["no limit" if limit is None else limit] = {
        "refused (%)": 100 * run.dropped.mean(),
        "p99 of the others (s)": np.quantile(run.latency[~run.dropped], 0.99),
        "answered within 0.25 s (%)": 100 * in_time.mean(),
    }
pd.DataFrame(table).T.rename_axis("places in the queue").round(2)

# %% collapsed=true
# The same for a recording of a real service: 20 seconds at 1.3 times its capacity
table = {}
recorded = serving.load_recorded("overload")
for name, run in {"no limit": recorded["no_limit"], "20 places": recorded["limit"]}.items():
    answered = run[run["status"] == 200]
    table[name] = {
        "refused (%)": 100 * (run["status"] == 503).mean(),
        "p99 of the others (s)": answered["latency_ms"].quantile(0.99) / 1000,
        "answered within 0.25 s (%)": 100 * (answered["latency_ms"] <= 250).sum() / len(run),
    }
pd.DataFrame(table).T.round(2)

# %% [markdown]
# A limit of 50 is no better than none: just as few answers arrive in time. Having no queue is bad, too.
#
# *Change this and run again:* change the 120 requests a second to 90. Is a limit still needed?
#
# <details><summary>What should a refused client do?</summary>
#
# Retries add to the load. In *exponential backoff with jitter*, a client waits twice as long after each refusal, and varies the time at random so that clients do not all return
# together.
#
# </details>
#
# <details><summary>Why not start more servers?</summary>
#
# An autoscaler starts them when the queue is long, but they must load their model first. The next cell simulates an hour. Within five minutes, traffic grows from 10 to 40
# requests a second. A server needs half a second for each. Every 15 seconds, the autoscaler adjusts the number of servers. It aims for one per unanswered request, up to 30.
#
# </details>

# %% collapsed=true
# Let the number of servers follow the queue: means of five simulated hours
rates = [10] * 20 + [16, 22, 28, 34] + [40] * 11 + [10] * 25  # requests a second, minute by minute
rows = []
for seed in range(5):
    rng = np.random.default_rng(seed)
    rush = np.concatenate(
        [60 * i + queueing.poisson(rate, 60, random_state=rng) for i, rate in enumerate(rates)]
    )
    fixed = queueing.simulate(rush, 0.5, 24)
    rows.append(("24 servers all the time", fixed.p99, 24 * fixed.end / 60))
    for delay in (0, 60, 300):
        run = queueing.autoscale(rush, 0.5, servers=8, most=30, target=1, every=15, delay=delay)
        rows.append((f"8 to 30, ready after {delay} s", np.quantile(run.latency, 0.99), run.server_s / 60))
table = pd.DataFrame(rows, columns=["servers", "p99 (s)", "minutes of servers"])
table.groupby("servers", sort=False).mean().round({"p99 (s)": 1, "minutes of servers": -1})

# %% [markdown]
# The autoscaler saves a third of the server time. But if servers need five minutes to load, the p99 exceeds a minute. So it does not replace a queue limit.
#
# ### Exercise 9.5 · When to say no
# *4 points · 7 minutes*
#
# Write `queue_limit(service, servers, target)`. It returns the largest number of requests that may wait in the queue if every accepted request is to be answered in
# time.
#
# - This must hold even in the worst case: all servers have just begun a request, and the queue fills up at once.
# - A request that is being served does not count as waiting.


# %% exercise="9.5"
def queue_limit(service, servers, target):
    """Return the largest number of requests that may wait.

    Parameters
    ----------
    service : float
        The exact time in seconds that a server needs for a request.
    servers : int
        The number of servers.
    target : float
        An answer is in time if it comes at most this many seconds after the request arrived.

    Returns
    -------
    int
        0 if even a request that does not wait is answered too late.

    Example: queue_limit(0.010, 1, 0.055) is 4. If five requests arrive together, one is served
    at once and four wait. The last answer comes after 0.05 s.
    """
    ### BEGIN SOLUTION
    # 2.9999999999 means 3: the difference is a rounding error
    rounds = math.floor(target / service + 1e-9)  # all servers finish together, in the worst case
    return max(servers * (rounds - 1), 0)
    ### END SOLUTION


# %% check="9.5"
lesson.check("9.5")

# %% [markdown]
# ## Alive or ready?
#
# The platform that runs a service, such as Kubernetes, checks it with two kinds of small requests, called **probes**:
#
# - `GET /healthz` checks **liveness**: does the process work at all? If it fails to answer several times in a row, the platform restarts it.
# - `GET /readyz` checks **readiness**: should the process get requests now? While it answers 503, it is out of rotation: it gets no requests, but is not restarted.
#
# Suppose a model needs 40 seconds to load. If the platform restarted processes that are not ready, this one might never finish loading.
#
# **Draining** begins with **SIGTERM**, the signal that asks a process to end. The process reports that it is not ready, but keeps answering until the router has noticed. Then it
# finishes its open requests and ends:

# %% collapsed=true
# Send three requests to a service
from threading import Thread


def statuses(service):
    """Return the status codes of three requests."""
    one_flight = {"features": {"distance": 1400, "hour": 8, "zone": 2}}
    bodies = {"/healthz": None, "/readyz": None, "/predict": one_flight}
    return {path: ask(service.url, path, body).status for path, body in bodies.items()}


# %%
if LIVE:
    states = {}
    with tempfile.TemporaryDirectory() as folder:
        serving.save_model(eta.v1.model, folder, version="v1", features=eta.v1.features)
        config = serving.ServiceConfig(model=folder, faults=serving.Faults(start_s=2), drain_s=3)
        with serving.start(config) as service:
            states["it loads its model"] = statuses(service)
            service.ready()  # waits until it is ready
            states["it is ready"] = statuses(service)
            Thread(target=service.drain).start()  # ask it to end, in the background
            while service.state() == "ready":
                time.sleep(0.02)
            states["it drains"] = statuses(service)
    print("exit code", service.exit_code)
    display(pd.DataFrame(states).T)

# %% [markdown]
# *Change this and run again:* set `start_s=4`. Which of the nine status codes change?
#
# ### Exercise 9.6 · Alive or ready?
# *4 points · 4 minutes*
#
# The answer cell lists eight states of a *replica*, one of several identical processes. For each state, should the platform `"restart"` the replica, take it
# `"out_of_rotation"`, or `"leave"` it alone?

# %% exercise="9.6"
### BEGIN SOLUTION
care = {
    "loading": "out_of_rotation",
    "stuck": "restart",
    "draining": "out_of_rotation",
    "database": "leave",
    "overload": "leave",
    "checksum": "out_of_rotation",
    "pause": "leave",
    "leak": "restart",
}
### END SOLUTION

# %% check="9.6"
lesson.check("9.6")

# %% [markdown]
# For `"database"`, the only wrong answer is `"restart"`. For `"leak"`, it is `"leave"`.
#
# <details><summary>Slow starts in Kubernetes</summary>
#
# Kubernetes has a third probe. Until its `startupProbe` succeeds, it checks neither liveness nor readiness. The probe below runs every 5 seconds. After 24 failures, Kubernetes
# restarts the process, so loading must take less than 120 seconds:
#
# ```yaml
# startupProbe:
#   httpGet: {path: /readyz, port: 8000}
#   periodSeconds: 5
#   failureThreshold: 24
# ```
#
# </details>

# %% [markdown]
# ## A canary and its rollback
#
# In a **canary**, a few users get v2 first. As in lesson 06, we use a plan and a judge, but now with a real router. The plan gives v2 10% of the users, and 10% more after each
# check. The judge rolls v2 back if it fails too often. `MSPRTJudge` allows any number of checks. Set its `tau` to an unacceptable increase in the error rate. Here v2 fails for one request in twenty:

# %%
from mlprod_helpers import rollout

if LIVE:
    with serving.Lab(
        {"v1": eta.v1, "v2": serving.Deployment(*eta.v2, faults=serving.Faults(error_rate=0.05))}
    ) as lab:
        plan = rollout.Canary(step_weight=10, max_weight=50, interval=2, threshold=1, watch=20, keep_old=20)
        judge = rollout.MSPRTJudge(metric="error", tau=0.05, min_requests=50)
        run = lab.rollout(plan, judge, eta.rows, rate=100, duration=20, random_state=0)
        counted = lab.metrics("v2")
    print("rolled back:", run.rolled_back)
    print("users saw failures of v2:", run.failed["v2"] > 0, "| of v1:", run.failed["v1"] > 0)
    if run.rolled_back:
        after = run.table[run.table["sent"] > run.rollback + 1]  # one second later
        print("then v2 gets", (after["version"] == "v2").sum(), "requests;", end=" ")
        print((after["status"] >= 500).sum(), "of all requests fail")

# %% tags=["nbval-ignore-output"] collapsed=true
# What happened second by second, and what it cost
if LIVE:
    print(run.decision.reason)
    if run.rolled_back:
        print(f"{run.time_to_roll_back:.1f} s after v2's first failure")
    expected = 0.05 * run.answered["v2"]  # 5% of v2's answers
    print(f"harm: {run.harmed:.0f} failed answers, {expected:.1f} expected")
    display(run.plot(), run.summary().round(1))

# %% [markdown]
# *Harm* counts failures that users would not have seen with v1.
#
# *Change this and run again:* set `error_rate=0`. Is v2 still rolled back?

# %% collapsed=true
# Apply an alert rule to the router's log, and compare the failures with those in v2's own metrics
from mlprod_helpers import monitoring

tries = run.tries if LIVE else serving.load_recorded("canary_fails", "fails")
rate = monitoring.METRICS["error_rate"].only("version", "v2")
table = monitoring.measure(tries, [rate], every="2s")
alerts = monitoring.evaluate([monitoring.Rule(rate.name, above=0.01, owner="eta-oncall")], table)
print("alert:", alerts["rule"].iloc[0] if len(alerts) else None)
if LIVE:
    codes = counted[counted["name"] == "requests_total"]
    failures = codes["value"][[labels["code"] == "500" for labels in codes["labels"]]].sum()
    print("/metrics and log agree on v2's failures:", failures == run.failed_tries["v2"])

# %% [markdown]
# ### A rollback program of your own
#
# Your program looks at the router's log ten times, and decides whether to roll v2 back. Each row is one *try*: the router asks one version for an answer. `served` says
# whether a user got this answer. In the next cell, v2 fails for one request in twenty, and v1 for one in two hundred.

# %%
from mlprod_helpers.serving.lab.watch import draw_watch, watch

watches = draw_watch(np.random.default_rng(1))
titles = list(watches)
first = watches[titles[1]][0]
first.groupby(["version", "served", "status"]).size().rename("tries").to_frame()

# %% [markdown]
# Here the router makes **retries**: when v2 fails, the router asks v1, and the user sees no error. For the failed try, `served` is False. A **shadow** version gets only
# copies of requests. For these tries, `served` is False, too, but their failures harm nobody.
#
# This worked example rolls v2 back at its second failure:


# %%
def second_failure(window, memory):
    """Count v2's failed tries, including those that were not served."""
    bad = window[(window["version"] == "v2") & (window["status"] >= 500)]
    failed = memory.get("failed", 0) + len(bad)
    return ("rollback" if failed >= 2 else "continue"), {"failed": failed}


for title in titles:
    look, failed = watch(second_failure, watches[title])
    ending = "stays" if look is None else f"is rolled back at look {look}"
    print(f"{title}\n    v2 {ending}; its failed tries: {failed}")

# %% [markdown]
# This program rolls back a bad version early. But it also rolls back a good version, and one that fails only because of a network outage.
#
# ### Exercise 9.7 · Close the loop
# *5 points · 10 minutes*
#
# Write `on_tick(window, memory)`. It is called at each look and returns `("continue", memory)` or `("rollback", memory)`.
#
# - A bad v2 must be rolled back before 15 of its tries have failed, with and without retries.
# - A good v2 must stay, even if a failing v3 gets copies of requests, or if the network is down for v1 and v2. In one rollout, v2 has more users than v1.


# %% exercise="9.7"
def on_tick(window, memory):
    """Decide whether to roll v2 back.

    Parameters
    ----------
    window : DataFrame like `first`
        The tries since the last look, with `version`, `served`, `status` (500 or more means failed)
        and `attempts` (how many tries the request has had so far: before the router asks v1,
        it asks v2 twice, but writes one row for both). A version may be missing.
    memory : dict
        Empty at the first look. Later, the `memory` that you returned at the previous look.
        You may change it in place.

    Returns
    -------
    ("continue" or "rollback", memory)

    Example: return ("continue", memory) at a first look without failures.
    """
    ### BEGIN SOLUTION
    memory = {"v1": 0, "v1 failed": 0, "v2": 0, "v2 failed": 0, **memory}
    for version in ("v1", "v2"):
        tries = window[window["version"] == version]
        memory[version] += len(tries)
        memory[f"{version} failed"] += int((tries["status"] >= 500).sum())
    usual = memory["v1 failed"] / max(memory["v1"], 1)
    failed, rate = memory["v2 failed"], memory["v2 failed"] / max(memory["v2"], 1)
    if failed >= 6 and rate > 3 * usual:
        return "rollback", memory
    return "continue", memory
    ### END SOLUTION


# %% check="9.7"
lesson.check("9.7")

# %% [markdown]
# ### Stretch: shadow, blue-green and the cockpit
#
# First, a slow shadow version gets copies of all requests. Then all users move to v2 at once, in a **blue-green** release. Do they notice anything?

# %% collapsed=true
# Run a slow shadow version, then make a blue-green release while requests keep coming
if LIVE:
    slow = serving.Deployment(*eta.v2, workers=16, faults=serving.Faults(delay_ms=300))
    with serving.Lab({"v1": eta.v1, "slow": slow, "v2": eta.v2}) as lab:
        plan = rollout.Shadow(duration=5, interval=1)
        shadow = lab.rollout(plan, judge, eta.rows, rate=30, duration=5, random_state=0)
        lab.roles("v1", "v2")
        plan = rollout.BlueGreen(preview=3, copies=100, interval=1, watch=2)
        green = lab.rollout(plan, judge, eta.rows, rate=100, duration=8, random_state=0)

    copies = shadow.tries[~shadow.tries["served"]]
    users = shadow.table
    print("shadow: copies took 0.3 s:", copies["latency_ms"].median() >= 300, end=" | ")
    print("half of the users below 0.1 s:", users["latency_ms"].median() < 100)
    print("answered by slow:", (users["version"] == "slow").sum(), end=" | ")
    print("failed:", (users["status"] != 200).sum())
    users = green.table
    print("blue-green:", users["version"].iloc[0], "->", users["version"].iloc[-1], end=" | ")
    print("failed:", (users["status"] != 200).sum())

# %% [markdown]
# The cockpit is an interactive control panel. You can change the load and v2's share of users, or stop v2 at once with the signal **SIGKILL**:

# %% tags=["nbval-ignore-output"]
mine = serving.Lab(show=None).start() if LIVE else None
explore.cockpit(mine)

# %% [markdown]
# ## Handling data drift
#
# A model trained on winter flights now has to predict autumn flights. Labels arrive late, in `POST /label` requests that contain the id of the original request. The
# **hybrid** of lesson 04 is a batch model (trained on stored rows) plus a running correction that learns from these labels during service.


# %% collapsed=true
# Send 600 flights, 50 at a time, to v1 and to a hybrid of the same model
def off_by(table, truth):
    """Return the mean absolute error of the predictions in a table, in minutes."""
    return np.abs(table["prediction"].to_numpy() - truth.to_numpy()).mean()


if LIVE:
    portions, late = {}, None
    with serving.Lab({"v1": eta.v1, "hybrid": eta.hybrid}) as lab:
        for start in range(0, 600, 50):
            rows, truth = eta.rows[start : start + 50], eta.labels[start : start + 50]
            plain = lab.closed_loop(rows, to="v1", n=50)
            hybrid = lab.closed_loop(rows, to="hybrid", n=50)
            portions[f"{start + 1} to {start + 50}"] = off_by(plain, truth), off_by(hybrid, truth)
            if late is not None:
                lab.late_labels(*late, in_flight=1)  # labels of the previous 50 flights
            late = hybrid, truth
    off = pd.DataFrame(portions, index=["v1", "hybrid"]).T.rename_axis("flights")
    display(off.iloc[[0, 1, 2, 5, 8, 11]].round(1))
    print("mean error of the last 300 flights, minutes:", off.iloc[6:].mean().round(1).to_dict())

# %% [markdown]
# After the first labels, the hybrid's error falls below v1's, without retraining. The hybrid learns the **residual**, the label minus the prediction of its batch
# model. This residual differs between versions:

# %% collapsed=true
# The same 600 flights without a service: v2's error, corrected in three ways
rows, truth = eta.rows[:600], eta.labels[:600]
v1_residual = truth - eta.v1.model.predict(rows)
v2_residual = truth - eta.v2.model.predict(rows)
corrected_by = {
    "nothing": v2_residual,
    "its own mean residual": v2_residual - v2_residual.mean(),
    "the mean residual of v1": v2_residual - v1_residual.mean(),
}
print(f"mean residual, minutes: v1 {v1_residual.mean():.1f}, v2 {v2_residual.mean():.1f}")
off = {name: rest.abs().mean() for name, rest in corrected_by.items()}
pd.Series(off, name="mean error of v2 (min)").rename_axis("corrected by").round(1).to_frame()

# %% [markdown]
# With v1's correction, v2 is worse than without one. So only the version that gave the answer should learn from its label.
#
# *Change this and run again:* correct v2 by a quarter of v1's mean residual. This happens to help. Why can't you rely on it?
#
# ## Your shift
#
# Status and latency are known at once. Labels arrive 10 to 25 seconds later, and the first few can mislead you. We recorded five "afternoons" of 90 seconds each. Every three
# seconds, you choose v2's share of users:
#
# | afternoon | what v2 does |
# | --- | --- |
# | good | It predicts better than v1, but is slow for three seconds. |
# | slow | It predicts better than v1, but takes 0.3 s longer. |
# | fails | It predicts as well as v1, but fails for 5% of the requests. |
# | wrong | It is as fast as v1, but predicts worse. |
# | burst | It predicts slightly better. For some seconds both versions fail, and later both are slow. |
#
# An answer is bad if it is an error, takes longer than 150 ms, or is more than 20 minutes off. The cost is the number of bad answers that the better version would have avoided.
# The cost also includes three more such afternoons, on which v2 keeps its last share.
#
# A **big bang** gives v2 to all users immediately. The next program does so three seconds later, at its first look. The table compares both with no release:

# %%
from mlprod_helpers.serving.lab.shift import costs, draw_shift

afternoons = draw_shift(np.random.default_rng(1))


def at_once(observation, memory):
    """Give v2 to all users, whatever is observed."""
    return 100, memory


table = pd.DataFrame(
    costs(at_once, afternoons), index=["big bang from the first look", "big bang", "never release"]
)
table.T.sort_index()

# %% [markdown]
# *Change this and run again:* return 20 instead of 100. On which afternoons does this cost more, and on which less?
#
# ### Exercise 9.8 · Your shift
# *7 points · 14 minutes*
#
# Write `shift(observation, memory)`. It returns `(weight, memory)`.
#
# - The `weight` is the percentage of users (0 to 100) who get v2 until the next look.
# - On each afternoon, your cost may be at most 5% of the cost of the big bang or 35% of the cost of never releasing v2, whichever is higher.


# %% exercise="9.8"
def shift(observation, memory):
    """Choose the percentage of users who get v2 until the next look.

    Parameters
    ----------
    observation : dict
        `tick` is the number of the look, and `weight` is the current weight.
        `stable` (for v1) and `canary` (for v2) are two dicts with these figures:
        `requests`, `errors` and `p50` (median latency in ms, None without requests) since the last look,
        `labels`, the number of labels so far, and
        `off`, the share of these labels that were more than 20 minutes off the prediction (None without labels).
    memory : dict
        Empty at the first look of an afternoon. Later, the `memory` that you returned at the previous look.
        You may change it in place.

    Returns
    -------
    (weight from 0 to 100, memory)

    Example: `return 20, memory` gives v2 to a fifth of the users. `costs(shift, afternoons)` lists
    three costs for each afternoon: yours, that of the big bang, and that of never releasing v2.
    """
    ### BEGIN SOLUTION
    memory = {"n": 0, "failed": 0, "stable n": 0, "stable failed": 0, "slow": 0, "final": -1, **memory}
    if memory["final"] >= 0:
        return memory["final"], memory
    new, old = observation["canary"], observation["stable"]
    memory["n"] += new["requests"]
    memory["failed"] += new["errors"]
    memory["stable n"] += old["requests"]
    memory["stable failed"] += old["errors"]
    rate = memory["failed"] / max(memory["n"], 1)
    usual = memory["stable failed"] / max(memory["stable n"], 1)
    slow = new["p50"] is not None and new["p50"] > 2 * old["p50"] + 20
    memory["slow"] = memory["slow"] + 1 if slow else 0
    if (memory["failed"] >= 5 and rate > 3 * usual) or memory["slow"] >= 2:
        memory["final"] = 0  # fails, or keeps people waiting: both are known at once
    elif new["labels"] >= 150:
        memory["final"] = 100 if new["off"] < old["off"] - 0.05 else 0
    return (memory["final"] if memory["final"] >= 0 else 20), memory
    ### END SOLUTION


# %% check="9.8"
lesson.check("9.8")

# %% [markdown]
# ## What you have seen
#
# | failure | how to see it | what to do |
# | --- | --- | --- |
# | coordinated omission | measure latency from when a request was due | test in an open loop |
# | a queue that is too long | watch the goodput | limit the queue |
# | drift during service | watch the error once labels arrive | send the labels to a hybrid |
# | failures hidden by retries | count tries, not answers | roll back if too many tries fail |
# | v2 released too early | count the labels so far | keep v2's share small until there are enough |
#
# <details><summary>Names in other tools, topics left out, and sources</summary>
#
# | here | elsewhere |
# | --- | --- |
# | open loop | wrk2, k6 (`constant-arrival-rate`); Locust and ab use closed loops |
# | alive, ready, draining | Kubernetes: liveness and readiness probe, `preStop` |
# | `autoscale` | Kubernetes: HorizontalPodAutoscaler; KEDA, Knative |
# | `/predict`, a card | KServe, MLServer, BentoML, LitServe, MLflow models |
# | schema, limits, redaction | pydantic, FastAPI; NGINX `limit_req`, Envoy rate limits |
# | micro-batching | Triton `max_queue_delay_microseconds`, BentoML, Ray Serve |
# | queue limit, 503 | Envoy: circuit breaker, overload manager |
# | one look of a rollback program | Flagger: metric analysis; Argo Rollouts: AnalysisRun |
#
# Other lessons cover the number of servers for a latency target (05), plans and judges (06), the hybrid (04), and metrics and alerts (08). This course does not
# cover encryption, user permissions, clusters or hardware accelerators.
#
# **Sources.** G. Tene, How NOT to Measure Latency, 2013. Kubernetes documentation, probes and pod lifecycle. B. Beyer et al., *Site Reliability Engineering*, 2016, chapters on
# overload and cascading failures.
#
# </details>

# %% [markdown]
# ## At work
#
# **FastAPI** serves a model and checks requests against a schema. Its default answer with status 422 repeats the input, so replace this answer in a real service.

# %%
import http.client

import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter
from pydantic import BaseModel, ConfigDict, Field


class Flight(BaseModel):
    model_config = ConfigDict(extra="forbid")  # no other field
    distance: float = Field(ge=50, le=5000, allow_inf_nan=False)


app, answered = FastAPI(), Counter("answered", "Requests with an answer", registry=CollectorRegistry())


@app.post("/predict")
def predict(flight: Flight) -> dict:
    answered.inc()
    return {"eta": 20 + flight.distance / 8}


if LIVE:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))  # port=0: any free one
    Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.01)
    client = http.client.HTTPConnection(*server.servers[0].sockets[0].getsockname())
    for body in ('{"distance": 800}', '{"distance": -5}', "miles: 800"):
        client.request("POST", "/predict", body, {"Content-Type": "application/json"})
        response = client.getresponse()
        print(response.status, json.loads(response.read()).get("eta"))
    server.should_exit = True
    print("answered:", int(answered.collect()[0].samples[0].value))

# %% [markdown]
# ## Recap
#
# <details><summary>Why does a closed loop miss the pause?</summary>
#
# It waits for the server's answer and sends nothing during the pause. Measure latency from the moment a request was due.
#
# </details>
#
# <details><summary>When is a process restarted, and when is it taken out of rotation?</summary>
#
# A process that hangs is restarted, because a new one would work better. A process that is still loading its model cannot handle requests yet, so it is taken out of rotation.
#
# </details>
#
# <details><summary>Why does a rollback program count tries and not answers?</summary>
#
# When a try fails, the router may ask another version, so users see no error. Each failure still costs a second try.
#
# </details>

# %% [markdown]
# ## Where you are

# %%
lesson.progress()
