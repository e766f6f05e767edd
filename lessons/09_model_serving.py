# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "09"
#   title: Model serving
#   minutes: 95
#   express: 45
#   needs: ["06"]
#   ideas: [the open loop, refusing in time, ready is not alive, the closed control loop]
#   topics: [deployment, serving]
# ---

# %% [markdown]
# # Model serving: what stands around the model
#
# > **The load test says: 99 of 100 answers come within a millisecond. The users say: within 9 seconds. It is the same service, with the same trouble: one pause of 10 seconds in 100.** The tester waited with it, and sent nothing in that time. The users came all the same.
#
# This lesson is about the service around the model: what happens to a request between the door and the log, when to refuse one, when to restart a process, and how a release is watched by a program. And some of what you measure about it is wrong, if you measure it the
# usual way.

# %% [markdown]
# ## What you will do
#
# In 95 minutes (about 30 of reading and running, 65 of exercises) you will
#
# - **a** start a real model service, follow a request from the door to the log, and write a handler that survives hostile ones,
# - **b** measure what users wait, which a closed loop cannot see,
# - **c** batch what waits, and refuse in time what would wait too long,
# - **d** tell *alive* from *ready*,
# - **e** close the loop, from the log to an automatic rollback, and take a shift that is scored on five afternoons.
#
# You need lesson 06 (canary, shadow, judge). **Express, 45 minutes:** *One pause in a hundred seconds* with exercise 9.1, *A service of your own*, *The life of a request* with 9.2 (not the hostile ones), *Full is too late* with 9.5, *Alive or ready?* with 9.6, *A canary, and the way back* with 9.7 (not shadow and blue-green).
#
# Some cells start real services on this machine. They are unscored, bounded in time (all together two minutes), and reachable from this machine only. What is scored is computed or recorded, and does not depend on how fast your machine is.

# %%
from mlprod_helpers import Lesson

lesson = Lesson("09", edition=2)

# %% [markdown]
# ## One pause in a hundred seconds
#
# A model service is a program that waits for **requests** ("how long is this flight?") and answers each. This one needs about a millisecond. At second 45 it stops for ten: its disk is full, its memory is being cleaned, its virtual machine moves house. (Here the operating system was asked to stop it, and after ten seconds to let it go on.) Then it goes on.
#
# A **load test** wants to know what users will feel. The usual one sends a request, waits for the answer, sends the next: a **closed loop**. Users do not wait for each other: 100 of them a second click when they like. That is an **open loop**. Each was run on the same real service, with the same pause, for 100 seconds, and recorded.
#
# The **latency** of a request is the time until its answer is there; **p99** is the latency that 99 of 100 requests stay below. The closed loop finds less than a millisecond. What do the users find?

# %%
lesson.predict("p99 of the users, in seconds", ...)  # replace ... by a number

# %%
from mlprod_helpers.serving.lab.recorded import load_recorded

tested = load_recorded("pause", "closed")  # one row a request; times in seconds since the start
lived = load_recorded("pause", "open")
for name, requests in {"the test": tested, "the users": lived}.items():
    slow, p99_ms = (requests["latency_ms"] > 100).sum(), requests["latency_ms"].quantile(0.99)
    print(f"{name}: {len(requests):,} requests, {slow:,} above 0.1 s, p99 {p99_ms:,.1f} ms")
lesson.recall("p99 of the users, in seconds", round(lived["latency_ms"].quantile(0.99) / 1000, 1))

# %%
import numpy as np

from mlprod_helpers import plots
from mlprod_helpers.plots import show

fig, axes = plots.figure(ncols=2, size=(8.6, 2.7), sharey=True)
loops = [("closed: the test", tested, plots.BLUE), ("open: the users", lived, plots.ORANGE)]
for ax, (name, requests, color) in zip(axes, loops, strict=True):
    near = requests[requests["due"].between(40, 60)]
    waits = near["latency_ms"] / 1000
    ax.scatter(near["due"], waits, s=np.where(waits > 0.1, 15, 3), color=color)
    ax.set(title=name, xlabel="second at which it was due", xlim=(40, 60), ylim=(-0.3, 10.5))
axes[0].set(ylabel="latency, s")
show(
    fig,
    alt="Latency against the time at which a request was due, seconds 40 to 60. "
    "Closed loop: one single request of 10 seconds, all others near 0. "
    "Open loop: whoever comes at the beginning of the pause waits 10 seconds, later ones "
    "less and less; soon after its end all are near 0 again.",
)

# %% [markdown]
# On the left the pause is one point among tens of thousands: a test that sends nothing while the service is down finds that nothing went wrong. On the right it is a tenth of all users. Gil Tene, who wrote a load generator that does better (wrk2), calls this **coordinated omission**: the
# test omits its samples just when they would be bad.
#
# **A worked example: when did the wait begin?** Three requests of a tester who wanted to send one each second, at 0, 1 and 2. The answer to the second took long, so the third was sent late, at 4.5. From the sending on it took 0.1 seconds. But it was *due* at second 2:

# %%
import pandas as pd

three = pd.DataFrame({"due": [0.0, 1.0, 2.0], "sent": [0.0, 1.0, 4.5], "finish": [0.1, 4.5, 4.6]})
three.assign(from_sent=three["finish"] - three["sent"], from_due=three["finish"] - three["due"])

# %% [markdown]
# A user who wanted an answer at second 2 had it at 4.6. **Latency counts from the moment at which the request was due.**
#
# ### Exercise 9.1 · What did users wait?
# *Core · 4 points · 7 minutes*
#
# Write `p99(due, sent, finish, timeout)`: the 99th percentile of what users waited, in seconds.
#
# - `due`, `sent` and `finish` are NumPy arrays of times in seconds, one value a request, as in the table above. There is at least one request.
# - `finish` is NaN where nobody answered. That user waited from `due` on and gave up `timeout` seconds later.
# - Any usual definition of a percentile is fine: the result may differ by 3 %.

# %%
import json


# %% exercise="9.1"
def p99(due, sent, finish, timeout):
    """The time that 99 of 100 users did not wait longer than, in seconds."""
    ### BEGIN SOLUTION
    waited = np.where(np.isnan(finish), timeout, finish - due)
    return np.quantile(waited, 0.99)
    ### END SOLUTION


# %% check="9.1"
lesson.check("9.1")

# %% [markdown]
# ## A service of your own
#
# That was a recording. Now your own. The words of the trade first:
#
# | word | meaning |
# | --- | --- |
# | process | a running program with memory of its own; your notebook's kernel is one |
# | signal | what the operating system tells a process: SIGTERM, please end; SIGKILL, ended at once; SIGSTOP and SIGCONT, stop and go on |
# | port | a process listens at a numbered door of its machine; `127.0.0.1:8000` is door 8000 of *this* machine, an address that no other machine can reach |
# | HTTP | how web programs talk: a request comes in (`POST /predict`), a response goes back |
# | GET, POST | GET only asks; POST brings something along, in the *body* of the request |
# | JSON | text that looks like Python's dicts and lists, `{"distance": 1400}`; most bodies are JSON |
# | header | a line *about* the request or response, beside its body: an id, a user's name |
# | status | a number of three digits in the response, such as 200, "fine" |
#
# A **lab** starts *services*, each a process with a model of flight times inside and HTTP around it, and in front of them a *router*: a process that takes all requests and sends each user to one version. All of it listens on 127.0.0.1 only, and all of it is gone when the `with` block ends, however it ends.
#
# Where a machine allows no ports or processes, the next cell says so. The live cells then go on with the recording, or show nothing; what they print elsewhere stands in the folder `solutions`. (Set the environment variable `MLPROD_LIVE=no` if you want it so.)

# %% tags=["nbval-ignore-output"]
import tempfile
import time

from IPython.display import display

from mlprod_helpers.serving import Deployment, Faults, Lab, Limits, refusal, save_model
from mlprod_helpers.serving.lab.client import ask
from mlprod_helpers.serving.lab.demo import eta_models

eta = eta_models()  # of the estimated time in the air: v1, v2, hybrid; with flights, rows and labels
LIVE = refusal() is None  # refusal() says why there can be no lab
print(refusal() or "Services can be started here.")

# %% [markdown]
# The experiment again, shorter. `Deployment` is a model as a service runs it, here with a fault built in: it stops for one second every five. First a tester loads it for eight seconds in a closed loop, then 100 users a second for eight seconds in an open one:

# %%
if LIVE:
    pausing = Deployment(*eta.v1, faults=Faults(pause_every_s=5, pause_s=1))
    with Lab({"v1": pausing}) as lab:
        tested = lab.closed_loop(eta.rows, testers=1, duration=8)
        lived = lab.open_loop(eta.rows, rate=100, duration=8, random_state=0)

for name, requests in {"the test": tested, "the users": lived}.items():
    slowest = requests["latency_ms"].quantile(0.99)
    verdict = "below 0.2 s" if slowest < 200 else "above 0.5 s" if slowest > 500 else "in between"
    print(f"{name}: p99 is {verdict}")

# %% [markdown]
# The same again, with nothing simulated: the test sees nothing of the pauses, the users do.

# %% [markdown]
# ## The life of a request
#
# Ask the service once, as the user Ben, and see what this leaves behind:

# %%
if LIVE:
    with Lab({"v1": eta.v1}) as lab:
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

# %% [markdown]
# One id, wherever you look. In full: the log has a line of JSON for each request, in the columns that the simulators of this course write; `GET /metrics` gives sums that a monitoring system collects every few seconds:

# %% tags=["nbval-ignore-output"]
if LIVE:
    print(json.dumps(answer.body, indent=2))
    print(json.dumps(logged["v1"], indent=2))
    interesting = ["requests_total", "request_duration_seconds_sum", "in_flight", "rows_total"]
    print(metrics[metrics["name"].isin(interesting)].to_string(index=False))

# %% [markdown]
# Who complains about an answer names its id, and you find the line: what was asked, which version answered, after how long. The line does not name Ben. A lab writes users as **pseudonyms**, keyed hashes as in lesson 05: the same user is always the same `user_id`, and without the key nobody can tell who that is. Features can be left out of the log as well; both are called **redaction**.
#
# The first digit of the **status** says whose turn it is:
#
# | status | meaning | what the sender should do |
# | --- | --- | --- |
# | 2xx | answered (200) | nothing |
# | 4xx | the sender's fault: cannot be read (400), too large (413), read, but breaks a rule (422), too many from you (429) | repair it; the same request fails again (after a 429: slow down) |
# | 5xx | the service's fault: it broke (500), gave the router no proper answer (502), is not ready or full (503), took too long (504) | try again later, perhaps elsewhere |
#
# Between the door and the log lie ten steps. They are shuffled here (*in flight* is what has come in and is not yet answered):
#
# | step | what happens |
# | --- | --- |
# | `"predict"` | compute the features and ask the model |
# | `"record"` | write id, version, status and latency to log and metrics |
# | `"size"` | refuse a body that is too large |
# | `"respond"` | send the status and the answer |
# | `"parse"` | read the body as JSON |
# | `"clock"` | start the clock; one more request is in flight |
# | `"queue"` | wait for a free place, or refuse with 503 |
# | `"plausible"` | is the answer a finite number in range? |
# | `"validate"` | check fields, types and ranges |
# | `"id"` | give the request an id, or take the caller's |
#
# ### Exercise 9.2 · The life of a request
# *Core · 3 points · 4 minutes*
#
# Put the ten steps into an order, as a list. Several are right. An order is right if
#
# - whatever may be refused already has an id, and its time is being measured;
# - nothing is read that is too large, and nothing reaches the model that was not read, checked and let in;
# - users and the record get only answers that were looked at.

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
# ### What comes in is hostile
#
# Mostly not because people are bad. Somebody's script sends miles as text, a form sends an empty field, a scanner tries all doors of the internet. Each such request gets a 4xx, does not reach the model, and nothing of it is repeated in the answer: it may have been private, or a script that the next screen would run.
#
# The rules belong into one place, a *schema*: names, types, ranges, and no other field. Your service has one. Be hostile:

# %%
flight = {"distance": 1400, "hour": 8, "zone": 2}
hostile = {
    "a flight": json.dumps({"features": flight}),
    "no JSON": "<script>alert(1)</script>",
    "text for miles": json.dumps({"features": flight | {"distance": "far"}}),
    "-5 miles": json.dumps({"features": flight | {"distance": -5}}),
    "NaN miles": json.dumps({"features": flight | {"distance": float("nan")}}),
    "True for an hour": json.dumps({"features": flight | {"hour": True}}),
    "one field more": json.dumps({"features": flight | {"password": "hunter2"}}),
    "5,000 rows": json.dumps({"rows": [flight] * 5000}),
    "2 MB": " " * 2_000_000,
}

# %%
if LIVE:
    said = {}
    limits = Limits(rate_per_s=0.1, burst=len(hostile))  # so many at once, then one in ten seconds
    with Lab({"v1": Deployment(*eta.v1, limits=limits)}) as lab:
        url = lab.services["v1"].url
        for what, body in (hostile | {"one too many": hostile["a flight"]}).items():
            answer = ask(url, "/predict", body.encode())
            rules = [f"{one['where']}: {one['what']}" for one in answer.body.get("detail", [])]
            said[what] = answer.status, answer.body.get("error", ""), "; ".join(rules)
        log = lab.log("v1")
    print(len(said), "requests sent,", len(log), "lines in the log")
    table = pd.DataFrame(said, index=["status", "error", "broken rule"]).T
    with pd.option_context("display.max_colwidth", None):
        display(table)

# %% [markdown]
# Each is refused by the rule that it breaks, repeats nothing, and stands in the log. (JSON knows no NaN: the request is unreadable, 400, although Python's own reader takes it.) A few tries are not all: *schemathesis* is a tool that reads the schema and sends thousands of such requests; this service is tested with it.
#
# The service is an ordinary **FastAPI** application, and its source is short enough to read: open `mlprod_helpers/serving/service/app.py`. The schema is a *pydantic* model, made of the features that the model was saved with. What an endpoint needs first, such as a key, is a *dependency*; what comes before all of it, such as the size of the body or the rate of a client, is *middleware*. The endpoint itself is then a few lines, in essence:
#
# ```python
# app = FastAPI(lifespan=lifespan)  # loads the model when the server starts
# app.add_middleware(Guard, limits=limits, rate=RateLimit(5, burst=20))
#
# @app.post("/predict", dependencies=[Depends(ApiKey(key))])
# async def predict(body: PredictBody, request: Request) -> Answer | Answers:
#     answers = await service.predict(request.state.record, request.receive)  # the queue, the micro-batch, the model
#     return Answer(prediction=answers[0], ...)
# ```
#
# FastAPI writes the API's description from these types. While a lab runs, `/docs` below the address of a service (`lab.services["v1"].url`) shows it in a browser; the page loads its style sheet from the internet.
#
# There are limits on *how many*, too: requests a second from one client (429, the last line of the table), rows that wait (503), seconds that an answer may take (504). And `/predict` wants a key when the environment sets one. It is compared with `hmac.compare_digest`, which takes equally long for a wrong first and a wrong last letter: `==` stops at the first difference, and its time can tell an attacker how far a guess is right.
#
# The file of the model is an input, too. `pickle`, which `joblib.dump` uses as well, can run any code while it loads. Look at what this harmless-looking one does:

# %%
import os
import pickle


class Harmless:
    """Pickle calls whatever this says, with these arguments."""

    def __reduce__(self):
        return exec, ("print('this ran while the file was loaded')",)


pickle.loads(pickle.dumps(Harmless()))

# %% [markdown]
# *skops* writes a list of types and numbers instead, and loads only types that it knows as harmless, or that you name. The same object:

# %%
import skops.io

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "model.skops")
    skops.io.dump(Harmless(), path)
    unknown = skops.io.get_untrusted_types(file=path)
    try:
        skops.io.load(path)
    except skops.io.exceptions.UntrustedTypesFoundException as error:
        print(type(error).__name__, "because of", [name.rsplit(".", 1)[-1] for name in unknown])

# %% [markdown]
# So your services save their models with skops. Beside the model lies a *card*: its version, its features with their ranges, and a checksum of the file (a short number computed from all its bytes; one byte changed, and it is another). A file that does not fit its card is not loaded:

# %%
from pathlib import Path

from mlprod_helpers.serving import load_model

with tempfile.TemporaryDirectory() as folder:
    card = save_model(eta.v1.model, folder, version="v1", features=eta.v1.features)
    model, _ = load_model(folder)
    print(card.version, [feature.name for feature in card.features], "loaded:", type(model).__name__)
    file = next(Path(folder).glob("*.skops"))
    file.write_bytes(file.read_bytes() + b"!")
    try:
        load_model(folder)
    except RuntimeError as error:
        print("not loaded:", "checksum differs" if "checksum differs" in str(error) else error)

# %% [markdown]
# ### Exercise 9.3 · The handler
# *5 points · 9 minutes*
#
# Write one yourself, so that you know what a framework does for you: `handle(body)` gets the text of a request and returns `(status, reply)`, the reply being a dict.
#
# - A valid body is a JSON object with exactly `distance` (a number of miles from 50 to 5000), `origin` ("EWR", "JFK" or "LGA") and `hour` (a whole number from 0 to 23). The bounds are allowed, and a distance may have decimals. Then: status 200 and `{"eta": ...}`, from `eta_model(distance, origin, hour)`; you may round it to whole minutes.
# - Whatever the sender did wrong: a 4xx (400, 413 and 422 are usual) and `{"error": "..."}`, a text that is not empty. It may name a field, but it must not repeat a value that was sent. `True`, a number in quotes, NaN and half an hour are wrong.
# - A body of more than 2,000 characters is refused before it is read as JSON; exactly 2,000 are allowed.
# - `eta_model` gives NaN for flights of a kind that it has never seen. The body is valid, so that is not the sender's fault: a 5xx with an `error` and without an `eta`. (Some clients send every 5xx again, here in vain. If the model's limits are known beforehand, they belong into the schema, and such a flight gets a 422.)
# - `handle` itself never raises: a framework would turn that into a 500.

# %%
import math

from mlprod_helpers.serving.lab.eta_handlers import eta_model

print("usual:", eta_model(1400, "JFK", 8), "| never seen:", eta_model(2400, "LGA", 8))
print("json.loads reads NaN as", json.loads("NaN"), "| is True an int?", isinstance(True, int))


# %% exercise="9.3"
def handle(body):
    """(status, reply) for the text of one request."""
    ### BEGIN SOLUTION
    if len(body) > 2000:
        return 413, {"error": "the body is longer than 2,000 characters"}
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):  # a text that is no JSON, or a thousand lists in one another
        return 400, {"error": "this is no JSON"}
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
# The same 300 flights, four times: the model called here in the notebook, the time that the service itself notes down, the answer as a client sees it, and the answer through the router. Which takes longest is no surprise. How much of it is the model?

# %%
lesson.predict(
    "the model's share of a request through the router, in percent", ...
)  # replace ... by a number

# %%
from mlprod_helpers.serving.service.models import Predictor  # the model as the service calls it


def median_ms(call, inputs):
    """Median time of a call, in milliseconds."""
    took = []
    for one in inputs:
        begin = time.perf_counter()
        call(one)
        took.append(1000 * (time.perf_counter() - begin))
    return np.median(took)


# %%
if LIVE:
    thousand = eta.rows.head(1000).to_dict("records")
    steps = {"the model": median_ms(Predictor(model, card), [[row] for row in thousand[:300]])}
    with Lab({"v1": eta.v1}) as lab:
        direct = lab.closed_loop(eta.rows, to="v1", n=300)
        steps["noted by the service"] = lab.log("v1")["latency_ms"].median()
        steps["seen by a client"] = direct["latency_ms"].median()
        steps["through the router"] = lab.closed_loop(eta.rows, n=300)["latency_ms"].median()
        together = median_ms(lambda rows: lab.ask(rows, to="v1"), [thousand] * 3)

    print(" < ".join(sorted(steps, key=steps.get)))
    share = steps["the model"] / steps["through the router"]
    print("the model is less than half of it:", share < 0.5)
    one_by_one = 1000 * steps["seen by a client"]
    print("1,000 rows at once: less than a tenth of one by one:", together < one_by_one / 10)

    slow_call = Deployment(*eta.v1, faults=Faults(delay_ms=20))  # each call of the model costs 20 ms more
    with Lab({"v1": slow_call}) as lab:
        lab.closed_loop(eta.rows, to="v1", testers=16, n=320)
        counted = lab.metrics("v1").set_index("name")["value"]
    rows_a_call = counted["rows_total"] / counted["model_call_seconds_count"]
    print("16 testers, an expensive call: more than 4 rows a call:", rows_a_call > 4)

# %% tags=["nbval-ignore-output"]
if LIVE:
    lesson.recall("the model's share of a request through the router, in percent", round(100 * share))
    print(pd.Series(steps, name="ms").round(2).to_string())
    print(f"1,000 rows: {together:.0f} ms in one request, {one_by_one:.0f} ms one by one")

# %% [markdown]
# Around each answer stand connection, HTTP, JSON, checks, log and metrics, for each request anew; with a small model they take more time than the model itself. So a faster model would hardly be noticed here, while the way through a router is.
#
# **Batch or one by one?** A thousand rows in one request pay for all of this once. Where answers may be some hours old, a nightly batch does so. Realtime is worth its price where the input is known only now.
#
# ### Waiting a little to save a lot
#
# That is **micro-batching**: requests that come within a few milliseconds go to the model together. Each waits a little, all save the fixed part. The last line above shows it: while the model was busy with one call, requests gathered, and the next call took them all (a lab's services have one worker and take up to 32 rows at a time). It pays where a call has a large fixed cost (a graphics card, a big table) and many requests come at once; with a small model and little traffic it only adds the wait.
#
# ### Exercise 9.4 · Debug the micro-batcher
# *5 points · 9 minutes*
#
# A colleague wrote this one. A request is a dict with `id`, `time` (seconds) and `distance`; they come sorted by time. `eta_batch(distances)` is the model: a list of etas for a list of miles, and a `ValueError` if any of them is bad.

# %%
from mlprod_helpers.serving.lab.eta_handlers import eta_batch


def colleagues_batches(requests, max_size, max_wait):
    """One dict a request: id, status, eta, time of the answer. This code has three faults."""
    answers, batch = [], []
    for request in requests:
        batch.append(request)
        if len(batch) == max_size:
            try:
                etas, status = eta_batch([each["distance"] for each in batch]), 200
            except ValueError:
                etas, status = [None] * len(batch), 500
            by_name = sorted(batch, key=lambda each: each["id"])
            for each, eta in zip(by_name, etas, strict=True):
                answers.append({"id": each["id"], "status": status, "eta": eta, "time": request["time"]})
            batch = []
    return answers


evening = [
    {"id": "r7", "time": 0.00, "distance": 800},
    {"id": "r2", "time": 0.01, "distance": 1600},
    {"id": "r5", "time": 0.02, "distance": 400},
    {"id": "r9", "time": 0.03, "distance": -5},
    {"id": "r1", "time": 9.00, "distance": 240},
]
pd.DataFrame(colleagues_batches(evening, max_size=2, max_wait=0.05))

# %% [markdown]
# Look at who got which eta (800 miles are 120 minutes), at r5, which has done nothing wrong, and at r1, which is not there. Then write `serve_in_batches(requests, max_size, max_wait)`:
#
# - it returns a list of dicts with `id`, `status`, `eta` and `time`, one for each request, in any order; without requests the list is empty;
# - a batch is answered as soon as it has `max_size` requests (one at least), or `max_wait` seconds (more than 0) after its first request came, whichever is earlier; a request that comes exactly then still joins it; the model itself takes no time here;
# - each request gets its own eta, with status 200;
# - a request with a bad distance gets status 422 and eta `None` at its own time, and no place in a batch. (`eta_batch([distance])` tells you.)


# %% exercise="9.4"
def serve_in_batches(requests, max_size, max_wait):
    """One dict a request: id, status, eta, time of the answer."""
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
# ## Full is too late
#
# Lesson 05 computed what a queue does to latency. Does a real service obey? The explorer has measurements of one, at six **loads** (the share of the time in which it is busy). From its measured service time `queueing` predicts the rest:

# %%
from mlprod_helpers.explore import measured_latency_explorer

measured_latency_explorer()

# %% [markdown]
# How far is the measured mean from the predicted one, in this recording?

# %%
for law, found in load_recorded("latency").items():
    off = 100 * (found["mean_ms"] / found["predicted_ms"] - 1)
    calm = found["load"] < 0.7
    print(f"{law}: {off[calm].min():+.0f} to {off[calm].max():+.0f} % at loads up to 65 %,", end=" ")
    print(f"{off[~calm].min():+.0f} to {off[~calm].max():+.0f} % at 80 and 90 %")

# %% [markdown]
# The formula has the shape of the curve: flat, then steep. It does not have every value. Close to 100 % even minutes are too short to see the long-run mean. There one run may lie a third off. The machine also had other work to do, above all to play the testers, and the formula knows nothing of that; a second recording gives other differences. How much service times differ matters, too: by theory, with exponential ones the mean time in the queue is twice that with constant ones.
#
# ### Throughput against latency
#
# **Throughput** is the answers a second. One worker of 10 milliseconds can give 100 at most. A closed loop and an open one ask for more and more of it:

# %%
if LIVE:
    runs = {}
    with Lab({"v1": Deployment(*eta.v1, workers=1, faults=Faults(delay_ms=10))}) as lab:
        for n in (1, 4, 16):
            run = lab.closed_loop(eta.rows, to="v1", testers=n, duration=3)
            runs[f"closed loop, testers: {n}"] = run
        for n in (40, 80, 160):
            run = lab.open_loop(eta.rows, to="v1", rate=n, duration=3, random_state=0)
            runs[f"open loop, users a second: {n}"] = run

# %%
if LIVE:
    rate = {name: (run["status"] == 200).sum() / run["finish"].max() for name, run in runs.items()}
    wait = {name: run["latency_ms"].median() for name, run in runs.items()}
    measured = pd.DataFrame({"answers a second": rate, "median latency (ms)": wait})
    rates, waits = measured["answers a second"], measured["median latency (ms)"]
    print("more than 100 answers a second, ever:", rates.max() > 100)
    print("16 testers wait at least twice as long as 4:", waits.iloc[2] > 2 * waits.iloc[1])
    print("longest wait:", waits.idxmax())

# %% tags=["nbval-ignore-output"]
if LIVE:
    display(measured.round(0))

# %% [markdown]
# Beyond the limit nobody gets more answers, only longer waits. In the closed loop the wait is bounded: 16 testers are 16 requests at most, since each waits politely before it asks again. So a closed loop can never ask for more than the service gives, and its curve ends where the trouble begins. Users do not wait politely: in the open loop each second adds to the queue.
#
# ### When more comes than can be served
#
# Then the queue grows for as long as it lasts. With 20 % too much for ten minutes, the last one waits for two minutes, and long before that nobody reads the answer any more. The server works all the time, on requests whose users have left. It helps to refuse some **at once**: status 503, with the header `Retry-After` (seconds to stay away). That is called **load shedding**.
# What counts is the **goodput**: answers in time.

# %%
from mlprod_helpers.queueing import poisson, simulate

rush = poisson(120, duration=60, random_state=0)  # 120 a second; the server manages 100 of 10 ms each
table = {}
for limit in (0, 5, 20, 50, None):
    run = simulate(rush, 0.010, 1, queue_limit=limit)
    in_time = ~run.dropped & (run.latency <= 0.25)
    table["no limit" if limit is None else limit] = {
        "refused (%)": 100 * run.dropped.mean(),
        "p99 of the others (s)": np.quantile(run.latency[~run.dropped], 0.99),
        "answered within 0.25 s (%)": 100 * in_time.mean(),
    }
pd.DataFrame(table).T.rename_axis("places in the queue").round(2)

# %% [markdown]
# No limit and a limit of 50 are equally useless, and no queue at all is a bad idea as well. And a real service? One worker of 10 milliseconds, 20 seconds at 1.3 times what it can do, without a limit and with one of 20 waiting rows, recorded:

# %%
table = {}
recorded = load_recorded("overload")
for name, run in {"no limit": recorded["no_limit"], "20 places": recorded["limit"]}.items():
    answered = run[run["status"] == 200]
    table[name] = {
        "refused (%)": 100 * (run["status"] == 503).mean(),
        "p99 of the others (s)": answered["latency_ms"].quantile(0.99) / 1000,
        "answered within 0.25 s (%)": 100 * (answered["latency_ms"] <= 250).sum() / len(run),
    }
pd.DataFrame(table).T.round(2)

# %% [markdown]
# Without a limit everybody is served, and hardly anybody in time. With no place to wait, requests that come a moment too early are sent away although the server will be free in an instant. In between lies a number that you can compute.
#
# (And those who are sent away must not come back at once: retries are load, too. Clients wait twice as long after each refusal, with some randomness, so that they do not all come back together. That is *backoff with jitter*.)
#
# ### Exercise 9.5 · When to say no
# *Core · 4 points · 7 minutes*
#
# Write `queue_limit(service, servers, target)`. It returns a whole number: the largest queue that is safe. How many requests may wait, at most, so that nobody who is let in is ever answered later than `target` seconds after coming?
#
# - A server takes exactly `service` seconds for a request, and `servers` of them work side by side. The requests that they are working on do not count as waiting.
# - *Ever* includes the worst moment: all servers have just begun a request, and the queue fills at once.
# - To be answered exactly after `target` seconds is in time. If even an empty queue is too much, return 0.
#
# One server, `service = 0.010`, `target = 0.055`: the fifth answer of a burst comes after 0.05 s, the sixth after 0.06 s. One of the five is being served, so 4 may wait.


# %% exercise="9.5"
def queue_limit(service, servers, target):
    """How many requests may wait."""
    ### BEGIN SOLUTION
    # 2.9999999999 is 3 that was lost in rounding
    rounds = math.floor(target / service + 1e-9)  # all servers finish together, in the worst case
    return max(servers * (rounds - 1), 0)
    ### END SOLUTION


# %% check="9.5"
lesson.check("9.5")

# %% [markdown]
# ## Alive or ready?
#
# Somebody has to notice when a process is in trouble, at night, for hundreds of them. So each service answers two questions of a machine:
#
# - `GET /healthz`, *are you alive?* If the answer does not come, several times in a row, the process is **restarted**. Kubernetes, the platform that most run such processes on, calls it the liveness probe.
# - `GET /readyz`, *should you get requests now?* While the answer is 503, the router sends none: the replica (one of several equal processes) is **out of rotation**, and is left in peace. That is the readiness probe.
#
# They look alike, and confusing them is a classic way to turn a small trouble into an outage. A model that needs 40 seconds to load is alive from the first second and ready after 40. Restarted for not being ready, it would never be.
#
# A process that is told to end (the signal SIGTERM) has four duties, in this order: say *not ready*, so that the router stops sending; go on answering until the router has noticed; finish what is in flight; only then end. That is **draining**.
#
# Watch one from birth to death, without a lab. This one takes two seconds longer to load its model:

# %%
from threading import Thread

from mlprod_helpers.serving import ServiceConfig, start


def statuses(service):
    """Three questions, three statuses."""
    one_flight = {"features": {"distance": 1400, "hour": 8, "zone": 2}}
    questions = {"/healthz": None, "/readyz": None, "/predict": one_flight}
    return {path: ask(service.url, path, body).status for path, body in questions.items()}


# %%
if LIVE:
    states = {}
    with tempfile.TemporaryDirectory() as folder:
        save_model(eta.v1.model, folder, version="v1", features=eta.v1.features)
        with start(ServiceConfig(model=folder, faults=Faults(start_s=2), drain_s=3)) as service:
            states["it loads its model"] = statuses(service)
            service.ready()  # waits until it is
            states["it is ready"] = statuses(service)
            Thread(target=service.drain).start()  # "please end", beside what we do here
            while service.state() == "ready":
                time.sleep(0.02)
            states["it drains"] = statuses(service)
    print("exit code", service.exit_code)
    display(pd.DataFrame(states).T)

# %% [markdown]
# Alive all the time. While it loads it answers 503: come back later. While it drains it says *not ready*, and answers whoever comes all the same: the router needs a moment to notice. Exit code 0 means that it ended well.
#
# ### Exercise 9.6 · Alive or ready?
# *Core · 4 points · 4 minutes*
#
# One replica of several, in eight states. What should the platform do with it: `"restart"` it, take it `"out_of_rotation"`, or `"leave"` it as it is?

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
# The database that is down is the case people argue about. Some let readiness fail for it, and clients get the router's 503 instead of the service's own; others leave it, so that the service can say what is wrong, or answer from a cache. Both are right: what is wrong is to restart everything.

# %% [markdown]
# ## A canary, and the way back
#
# Plan and judge of lesson 06, unchanged, over the real router: v2 gets 10 % of the users, then 10 % more after each check that has seen enough requests, every two seconds. It fails for one request in twenty. The judge compares v2's failures with v1's, with a test that may be looked at as often as one likes (mSPRT, at the end of lesson 06). 100 requests a second, 20 seconds. Nobody watches:

# %%
from mlprod_helpers.rollout import Canary, MSPRTJudge

if LIVE:
    with Lab({"v1": eta.v1, "v2": Deployment(*eta.v2, faults=Faults(error_rate=0.05))}) as lab:
        plan = Canary(step_weight=10, max_weight=50, interval=2, threshold=1, watch=20, keep_old=20)
        judge = MSPRTJudge(metric="error", tau=0.05, min_requests=50)
        run = lab.rollout(plan, judge, eta.rows, rate=100, duration=20, random_state=0)
        counted = lab.metrics("v2")
    print("rolled back:", run.rolled_back)
    print("users met failures of v2:", run.failed["v2"] > 0, "| of v1:", run.failed["v1"] > 0)
    if run.rolled_back:
        after = run.table[run.table["sent"] > run.rollback + 1]  # one second later
        print("then v2 gets", (after["version"] == "v2").sum(), "requests;", end=" ")
        print((after["status"] >= 500).sum(), "of all requests fail")

# %% [markdown]
# What happened second by second, and what it cost. **Harm** is counted in requests: failures that users of v2 met, and would not have met with v1. (With so few requests it is easily half or twice what is expected.)

# %% tags=["nbval-ignore-output"]
if LIVE:
    print(run.decision.reason)
    if run.rolled_back:
        print(f"{run.time_to_roll_back:.1f} s after v2's first failure")
    expected = 0.05 * run.answered["v2"]  # 5 % of what v2 answered
    print(f"harm: {run.harmed:.0f} failed answers, {expected:.1f} expected")
    display(run.plot(), run.summary().round(1))

# %% [markdown]
# The judge read the same kind of log that the simulator of lesson 06 writes, and the controller moved real weights. What harm to expect is known beforehand, as in lesson 06: v2's requests until the rollback, times 5 %.
#
# **From log and metrics to an alert.** The judge guards a release; an alert guards every day. Its rule (lesson 08) reads the router's log in steps of two seconds. A monitoring system would not read the log but collect `/metrics`: do both count the same failures?

# %%
from mlprod_helpers.monitoring import METRICS, Rule, evaluate, measure

tries = run.tries if LIVE else load_recorded("canary_fails", "fails")
rate = METRICS["error_rate"].only("version", "v2")
table = measure(tries, [rate], every="2s")
alerts = evaluate([Rule(rate.name, above=0.01, owner="eta-oncall")], table)
print("alert:", alerts["rule"].iloc[0] if len(alerts) else None)
if LIVE:
    codes = counted[counted["name"] == "requests_total"]
    failures = codes["value"][[labels["code"] == "500" for labels in codes["labels"]]].sum()
    print("/metrics and log agree on v2's failures:", failures == run.failed_tries["v2"])

# %% [markdown]
# **A loop of your own.** In the next exercise the program that decides is yours. v2 gets 20 % of the users (in the last rollout most of them) and fails for one request in twenty; v1 fails for one in two hundred. A program looks at the log ten times and may roll back. This is what it sees at one look, one row a *try* of the router to get an answer, with `version`, `served` (did a user get this answer?) and `status`.

# %%
from mlprod_helpers.serving.lab.watch import draw_watch, watch

watches = draw_watch(np.random.default_rng(1))
titles = list(watches)
first = watches[titles[1]][0]
first.groupby(["version", "served", "status"]).size().rename("tries").to_frame()

# %% [markdown]
# In this rollout the router **retries**: when v2 fails, it asks v1, and the user sees no error. The failed try stands in the log all the same, with `served` False. So do copies that go to another version in the shadow (lesson 06): they are not served either, and their failures are nobody's harm.
#
# **A worked example: a loop in a hurry.** It rolls back at the second failure of v2, whatever v1 does:


# %%
def second_failure(window, memory):
    """Counts v2's failed tries, also those that were not served."""
    bad = window[(window["version"] == "v2") & (window["status"] >= 500)]
    failed = memory.get("failed", 0) + len(bad)
    return ("rollback" if failed >= 2 else "continue"), {"failed": failed}


for title in titles:
    look, failed = watch(second_failure, watches[title])
    ending = "stays" if look is None else f"is rolled back at look {look}"
    print(f"{title}\n    v2 {ending}; {failed} of its tries have failed")

# %% [markdown]
# It finds the bad version early. It also sends a good one home after two failures, which are no more than usual, and goes back in an outage that hits v1 just as much.
#
# ### Exercise 9.7 · Close the loop
# *Core · 5 points · 10 minutes*
#
# Write `on_tick(window, memory)`: it returns `("continue", memory)` or `("rollback", memory)`.
#
# - `window` is a table as above: the tries since the last look, one row each, with `version`, `served`, `status` (500 or more: it failed) and `attempts`. It may have no row of a version.
# - `memory` is a dict of yours. It is empty at the first look of a rollout, and what you return comes back at the next look. You may change it in place.
#
# The rollouts above are drawn anew. A bad v2 must go before 15 of its tries have failed, with and without retries. A good one must stay, also when a failing v3 gets copies, and when the network is down for both; in one of these v2 has more users than v1.


# %% exercise="9.7"
def on_tick(window, memory):
    """("continue" or "rollback", what to remember)."""
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
# ### Shadow and blue-green, under load
#
# Two other ways of lesson 06, on real processes. First a **shadow**: a version named slow gets a copy of every request and takes 0.3 seconds for each. Do users feel it? Then **blue-green**: v2 stands ready, and everybody goes there at once, in the middle of the traffic. Does anybody see an error?

# %%
from mlprod_helpers.rollout import BlueGreen, Shadow

if LIVE:
    slow = Deployment(*eta.v2, workers=16, faults=Faults(delay_ms=300))
    with Lab({"v1": eta.v1, "slow": slow, "v2": eta.v2}) as lab:
        plan = Shadow(duration=5, interval=1)
        shadow = lab.rollout(plan, judge, eta.rows, rate=30, duration=5, random_state=0)
        lab.roles("v1", "v2")
        plan = BlueGreen(preview=3, copies=100, interval=1, watch=2)
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
# Users do not wait for a copy, since it starts when the answer has gone out, and nobody lost a request in the switch: each request reads the router's plan once, so it sees the old one or the new one and never half of both.
#
# ### The cockpit
#
# All of it by hand, if you like: change load and weights, kill the canary with SIGKILL (no farewell at all), and look who notices. The cockpit shows a lab of its own, which stays open while you go on. *Close* or `mine.close()` ends it, its ten minutes do, and so does the end of the kernel; run the cell again for another one.

# %% tags=["nbval-ignore-output"]
from mlprod_helpers.explore import cockpit

mine = Lab(show=None).start() if LIVE else None
cockpit(mine)

# %% [markdown]
# ## Handling data drift
#
# The service meets flights of autumn, and its model was trained in winter, when planes to the west fly against a strong jet stream. The batch model cannot know. But each flight lands, and then its **label**, the true time, is there: `POST /label` with the request's id tells the service. The hybrid of lesson 04, a batch model plus a running correction for each band of distance, learns from it
# while it serves.
#
# 600 flights, in portions of 50, to a plain v1 and to a hybrid around the same model. Labels come late: those of a portion arrive when the next one has been answered.


# %%
def off_by(table, truth):
    """Mean absolute error of the answers of a load table, in minutes."""
    return np.abs(table["prediction"].to_numpy() - truth.to_numpy()).mean()


if LIVE:
    portions, late = {}, None
    with Lab({"v1": eta.v1, "hybrid": eta.hybrid}) as lab:
        for first in range(0, 600, 50):
            rows, truth = eta.rows[first : first + 50], eta.labels[first : first + 50]
            plain = lab.closed_loop(rows, to="v1", n=50)
            hybrid = lab.closed_loop(rows, to="hybrid", n=50)
            portions[f"{first + 1} to {first + 50}"] = off_by(plain, truth), off_by(hybrid, truth)
            if late is not None:
                lab.late_labels(*late, in_flight=1)  # of the portion before
            late = hybrid, truth
    off = pd.DataFrame(portions, index=["v1", "hybrid"]).T.rename_axis("flights")
    display(off.iloc[[0, 1, 2, 5, 8, 11]].round(1))
    print("mean error of the last 300 flights, minutes:", off.iloc[6:].mean().round(1).to_dict())

# %% [markdown]
# The two begin alike. Once the first labels are there the hybrid's error falls below v1's, without a training and without a restart.
#
# **Whose label is it?** What a hybrid learns is the *residual*: the truth minus what its own batch model says. The truth about a flight is the same for all versions, the residual is not. The same 600 flights, without a service:

# %%
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
# The correction that v1 needs makes v2 worse than none. So the residuals of two versions must not be mixed in one stream: the label names the request's id, only the version that gave this answer learns from it (once), and it computes the residual itself, from the input that it has remembered. (It remembers a bounded number of requests; a label that comes later than that teaches nothing.)

# %% [markdown]
# ## Your shift
#
# Last, all of it together, with the clocks of the real world: status and latency are known at once, **labels come late**, here 10 to 25 seconds, and the first few of them can mislead. Five recorded afternoons of 90 seconds each (take them for minutes; the failures of both versions in one of them were added), a look every three seconds. The flights are those of July; v1 is a model of January and February, and a better v2 is one of April to June:
#
# | afternoon | v2 |
# | --- | --- |
# | good | answers better, as fast |
# | slow | answers better, but 0.3 s later |
# | fails | answers as before, fails for 5 % |
# | wrong | as fast, but answers worse: only labels tell |
# | burst | answers better; *both* versions fail for some seconds, and later both are slow for a while |
#
# An answer is no good when it failed, came later than 150 ms or was more than 20 minutes off. **The cost** counts requests that went wrong and need not have: those harmed by v2, and those that a better v2 would have saved. The weight at the end stays for three afternoons more, and they count too. (In the table, *big bang* gives v2 to everybody before the first look.)

# %%
from mlprod_helpers.serving.lab.shift import costs, draw_shift

afternoons = draw_shift(np.random.default_rng(1))


def at_once(observation, memory):
    """Everybody gets v2, and nobody looks."""
    return 100, memory


table = pd.DataFrame(
    costs(at_once, afternoons), index=["big bang from the first look", "big bang", "never release"]
)
table.T.sort_index()

# %% [markdown]
# ### Exercise 9.8 · Your shift
# *7 points · 14 minutes*
#
# Write `shift(observation, memory)` -> `(weight, memory)`: the percent of the users that get v2 until the next look, 0 to 100, and what you want to remember.
#
# - `observation` is a dict: `tick` (1, 2, ...), `weight` (the one in force), and for `stable` (v1) and `canary` (v2) a dict each.
# - In these, `requests`, `errors` and `p50` (ms; `None` without requests) are those since the last look. `labels` is how many labels have come so far, and `off` the share of these whose answer was more than 20 minutes off (`None` without labels).
# - `memory` is a dict of yours, empty at the first look of an afternoon. You may change it in place.
#
# To pass, no afternoon may cost more than a twentieth of the big bang or 35 % of never releasing, whichever is more. Try it: `costs(shift, afternoons)` gives for each your cost, that of the big bang and that of never releasing.


# %% exercise="9.8"
def shift(observation, memory):
    """(percent of the users that get v2, what to remember)."""
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
# | type of failure | meaning | how to see it | what to do |
# | --- | --- | --- | --- |
# | coordinated omission | the tester waits with the server | count from when a request was due | an open loop |
# | late refusal | the queue only decides how long all wait | goodput, p99 of those let in | a queue limit, 503 with Retry-After |
# | restart storm | not ready taken for dead | replicas that die together | liveness asks about the process alone |
# | drift while it serves | the law moves between two trainings | error of late labels | `POST /label` feeds a hybrid |
# | failure behind retries | users see none, v2 fails as before | count tries, not answers | roll back on tries |
# | promoted before the truth | labels come late | labels against requests | wait, at a weight that you can afford |
#
# | here | elsewhere |
# | --- | --- |
# | open loop, latency from the due moment | wrk2 and k6 (`constant-arrival-rate`); Locust and ab are closed loops |
# | alive, ready, draining | Kubernetes: liveness and readiness probe, `preStop` |
# | `/predict`, a card beside the model | KServe and MLServer (Open Inference Protocol), BentoML, LitServe, MLflow models |
# | schema with ranges | pydantic, FastAPI; schemathesis sends thousands of odd requests to it |
# | limits, redaction | API gateways (NGINX `limit_req`, Envoy rate limits); structured logging with filters |
# | micro-batching, `max_size`, `max_wait` | dynamic batching: NVIDIA Triton `max_queue_delay_microseconds`, BentoML, Ray Serve |
# | queue limit, 503 | Envoy: circuit breaker, overload manager; load shedding |
# | one look of the loop | Flagger: metric analysis; Argo Rollouts: AnalysisRun on Prometheus |
#
# **Left out on purpose:** how many servers a promise needs (lesson 05), plans and judges (lesson 06), the hybrid itself (lesson 04), metrics and alert rules (lesson 08). Not in this course: encryption (HTTPS), users and their rights, several machines, graphics cards. *river*, *evidently* and *MLflow* learn, compare and register models; serving them under load is another subject.
#
# **Sources.** G. Tene, How NOT to Measure Latency, 2013. Kubernetes documentation, probes and pod lifecycle. B. Beyer et al., *Site Reliability Engineering*, 2016, chapters on overload and cascading failures.

# %%
lesson.progress()
