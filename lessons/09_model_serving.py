# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "09"
#   title: Model serving
#   minutes: 85
#   express: 45
#   needs: ["06"]
#   ideas: [the open loop, refusing in time, ready is not alive, the closed control loop]
# ---

# %% [markdown]
# # Model serving: what stands around the model
#
# > **The load test says p99 = 1 ms, the users say 9 s. It is the same server, in the same 100 seconds.** Once in these 100 seconds it paused for 10. The tester waited with it, and so it sent almost nothing in that time. The users came all the same.
#
# This lesson is about the service around the model: what happens to a request between the door and the log, when to refuse one, when to restart a process, and how a release is watched by a program. And some of what you measure about it is wrong, if you measure it the
# usual way.

# %% [markdown]
# ## What you will do
#
# In 85 minutes (about 20 of reading and running, 65 of exercises) you will
#
# - **a** follow a request from the door to the log, and write a handler that survives hostile ones,
# - **b** measure what users wait, which a closed loop cannot see,
# - **c** batch what waits, and refuse in time what would wait too long,
# - **d** tell *alive* from *ready*,
# - **e** close the loop, from the log to an automatic rollback, and take a shift that is scored on five afternoons.
#
# You need lesson 06 (canary, shadow, judge). **Express, 45 minutes:** *One pause in a hundred seconds* with exercise 9.1, *The life of a request* with 9.2, *Full is too late* with 9.5, *Alive or ready?* with 9.6, *A canary, and the way back* with 9.7.
#
# All traffic in this lesson is simulated: no process is started and no port opened. Flights, predictions and truths are real; the moments of the requests, their latencies and failures are drawn.

# %%
from mlprod_helpers import Lesson

lesson = Lesson("09", edition=1)

# %% [markdown]
# ## One pause in a hundred seconds
#
# A server answers each request in one millisecond. At second 45 it stops for ten: its disk is full, its memory is being cleaned, its virtual machine moves house. Then it goes on.
#
# A **load test** wants to know what users will feel. The usual one sends a request, waits for the answer, sends the next: a **closed loop**. Users do not wait for each other: 100 of them a second click when they like. That is an
# **open loop**.
#
# p99 is the time that 99 of 100 requests stay below. The closed loop finds 1 millisecond. What do the users find?

# %%
lesson.predict("p99 of the users, in seconds", ...)  # replace ... by a number

# %%
from mlprod_helpers.queueing import load_test

tested = load_test("closed", service=0.001, pause_start=45, pause=10, duration=100)
lived = load_test("open", service=0.001, pause_start=45, pause=10, duration=100, rate=100, random_state=0)
for name, requests in {"the test": tested, "the users": lived}.items():
    slow = (requests["latency"] > 0.1).sum()
    print(
        f"{name}: {len(requests):,} requests, {slow:,} above 0.1 s, p99 {requests['latency'].quantile(0.99):.3f} s"
    )
lesson.recall("p99 of the users, in seconds", round(lived["latency"].quantile(0.99), 1))

# %%
from mlprod_helpers import plots
from mlprod_helpers.plots import show

fig, axes = plots.figure(ncols=2, size=(8.6, 2.7), sharey=True)
for ax, (name, requests) in zip(
    axes, {"closed: the test": tested, "open: the users": lived}.items(), strict=True
):
    near = requests[requests["due"].between(40, 60)]
    ax.plot(
        near["due"], near["latency"], ".", markersize=3, color=plots.BLUE if ax is axes[0] else plots.ORANGE
    )
    ax.set(title=name, xlabel="second at which it was due", xlim=(40, 60), ylim=(-0.3, 10.5))
axes[0].set(ylabel="latency, s")
show(
    fig,
    alt="Latency against the time at which a request was due, seconds 40 to 60. Closed loop: one single request of 10 seconds, all others near 0. "
    "Open loop: whoever comes at the beginning of the pause waits 10 seconds, later ones less and less, down to 0 at its end.",
)

# %% [markdown]
# On the left the pause is one point of 90,000: a test that sends nothing while the server is down finds that nothing went wrong. On the right it is a tenth of all users. Gil Tene, who wrote the first load generators that do better, calls this **coordinated omission**: the
# test omits its samples just when they would be bad.
#
# **A worked example: when did the wait begin?** Three requests of a tester who wanted to send one each second. The second answer took long, so the third request left late. From the sending on it took 0.1 seconds. But it was *due* at second 2:

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
# Write `p99(due, sent, finish, timeout)`: the 99th percentile of what users waited, in seconds. The first three are arrays of times in seconds, one value a request. `finish` is NaN where nobody answered: that user gave up after `timeout` seconds.

# %%
import numpy as np


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
# ## The life of a request
#
# A **request** is a text that comes in, a **response** a status and a text that go back. The first digit of the **status** says whose turn it is: 2xx, answered. 4xx, the sender's fault: the same request will never work. 5xx, the service's fault: try again, perhaps elsewhere.
#
# Between the door and the answer lie ten steps. They are shuffled here:
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
# Put the ten steps into an order that you can defend. Several are right.

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
# Not because people are bad. Somebody's script sends miles as text, a form sends an empty field, a scanner tries all doors of the internet. Each such request gets a 4xx, does not reach the model, and nothing of it is repeated in the answer: it may have been private, or a script that the next screen would run.
# The rules belong into one place, a *schema*: names, types, ranges, and no other field.
#
# What the model itself is read from is an input, too. `pickle`, which `joblib.dump` uses as well, can run any code while it loads. Look at what this harmless-looking file does:

# %%
import os
import pickle
import tempfile


class Harmless:
    """Pickle calls whatever this says, with these arguments."""

    def __reduce__(self):
        return exec, ("print('this ran while the file was loaded')",)


pickle.loads(pickle.dumps(Harmless()))

# %% [markdown]
# *skops* writes a list of types and numbers instead, and loads only types that you name. Loading the same object:

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
# ### Exercise 9.3 · The handler
# *5 points · 9 minutes*
#
# Write one yourself, so that you know what a framework does for you: `handle(body)` gets the text of a request and returns `(status, reply)`, the reply being a dict.
#
# - A valid body is a JSON object with exactly `distance` (a number of miles from 50 to 5000), `origin` ("EWR", "JFK" or "LGA") and `hour` (a whole number from 0 to 23). Then: status 200 and `{"eta": ...}`, from `eta_model(distance, origin, hour)`.
# - Whatever the sender did wrong: a 4xx (400, 413 and 422 are usual) and `{"error": "..."}`, without what was sent. A body of more than 2,000 characters is refused before it is read.
# - `eta_model` gives NaN for flights as it has never seen. That is not the sender's fault: a 5xx with an `error`.

# %%
import json
import math

from mlprod_helpers.exercises.lesson_09 import eta_model

print(
    eta_model(1400, "JFK", 8),
    eta_model(2400, "LGA", 8),
    "and Python reads",
    json.loads("NaN"),
    isinstance(True, int),
)


# %% exercise="9.3"
def handle(body):
    """(status, reply) for the text of one request."""
    ### BEGIN SOLUTION
    if len(body) > 2000:
        return 413, {"error": "the body is longer than 2,000 characters"}
    try:
        given = json.loads(body)
    except ValueError:
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
# ## Batch or one by one
#
# Around each answer stand connection, HTTP, JSON, checks, log and metrics, for each request anew; with a small model they take far more time than the model itself. Where answers may be old, a nightly batch does this once for all rows. Realtime is worth its price where the input is known only now.
#
# ### Waiting a little to save a lot
#
# That is **micro-batching**: requests that come within a few milliseconds go to the model together. Each waits a little, all save the fixed part. It pays where a call has a large fixed cost (a graphics card, a big table) and many requests come at once; with a small model and little traffic it only adds the wait.
#
# ### Exercise 9.4 · Debug the micro-batcher
# *5 points · 9 minutes*
#
# A colleague wrote this one. A request is a dict with `id`, `time` (seconds) and `distance`; they come sorted by time. `eta_batch(distances)` is the model: a list of etas for a list of miles, and a `ValueError` if any of them is bad.

# %%
from mlprod_helpers.exercises.lesson_09 import eta_batch


def colleagues_batches(requests, max_size, max_wait):
    """One dict a request: id, status, eta, time of the answer. It has three faults."""
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
# Look at who got which eta (800 miles are 120 minutes), at r5, and at r1. Then write `serve_in_batches(requests, max_size, max_wait)`:
#
# - a batch is answered as soon as it has `max_size` requests, or `max_wait` seconds after its first request came, whichever is earlier; the model itself takes no time here;
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
# Lesson 05 showed what a queue does to latency while the server can keep up. A closed loop never shows what happens when *more comes than can be served*, since its testers wait politely. Users do not.
#
# ### When more comes than can be served
#
# Then the queue grows for as long as it lasts. With 20 % too much for ten minutes, the last one waits for two minutes, and long before that nobody reads the answer any more. The server works all the time, on requests whose users have left. It helps to refuse some **at once**: 503, with the header `Retry-After`. That is called load shedding.
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
# Without a limit everybody is served, and hardly anybody in time. Without a queue, requests that come a moment too early are sent away although the server will be free in an instant. In between lies a number that you can compute. (And those who are sent away must not come back at once: retries are load, too. Clients wait twice as long after
# each refusal, with some randomness, so that they do not all come back together. That is *backoff with jitter*.)
#
# ### Exercise 9.5 · When to say no
# *Core · 4 points · 7 minutes*
#
# Write `queue_limit(service, servers, target)`: how many requests may wait, at most, so that even the last of them is answered within `target` seconds? Each service takes exactly `service` seconds; `servers` of them work side by side. Nobody should be refused who could be answered in time.


# %% exercise="9.5"
def queue_limit(service, servers, target):
    """How many requests may wait."""
    ### BEGIN SOLUTION
    return int((target - service) * servers / service)
    ### END SOLUTION


# %% check="9.5"
lesson.check("9.5")

# %% [markdown]
# ## Alive or ready?
#
# Somebody has to notice when a process is in trouble, at night, for hundreds of them. So each service answers two questions of a machine:
#
# - `GET /healthz`, *are you alive?* If the answer does not come, several times in a row, the process is **restarted**. Kubernetes calls it the liveness probe.
# - `GET /readyz`, *should you get requests now?* While the answer is 503, the router sends none: the replica (one of several equal processes) is **out of rotation**, and is left in peace. The readiness probe.
#
# They look alike, and confusing them is a classic way to turn a small trouble into an outage. A model that needs 40 seconds to load is alive from the first second and ready after 40. Restarted for not being ready, it would never be.
#
# A process that is told to end (SIGTERM) has four duties, in this order: say *not ready*, so that the router stops sending; go on answering until it has noticed; finish what is in flight; only then end. That is **draining**.
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
# v2 gets 20 % of the users and fails for one request in twenty; v1 fails for one in two hundred. A program looks at the log ten times and may roll back. This is what it sees at one look, one row a *try*: `version`, `served` (did a user get this answer?), `status`, `attempts`.

# %%
from mlprod_helpers.exercises.lesson_09 import draw_watch, watch

watches = draw_watch(np.random.default_rng(1))
titles = list(watches)
first = watches[titles[1]][0]
first.groupby(["version", "served", "status"]).size().rename("tries").to_frame()

# %% [markdown]
# In this rollout the router **retries**: when v2 fails, it asks v1, and the user sees no error. The failed try stands in the log all the same, with `served` False. So do copies that go to another version in the shadow (lesson 06): they are not served either, and their failures are nobody's harm.
#
# **A worked example: a loop that is never sure.** It rolls back at the third failure of v2, whatever v1 does:


# %%
def third_failure(window, memory):
    """Counts v2's failed tries, also those that were not served."""
    failed = memory.get("failed", 0) + int(((window["version"] == "v2") & (window["status"] >= 500)).sum())
    return ("rollback" if failed >= 3 else "continue"), {"failed": failed}


for title in titles:
    look, failed = watch(third_failure, watches[title])
    ending = "stays" if look is None else f"is rolled back at look {look}"
    print(f"{title}\n    v2 {ending}; {failed} of its tries have failed")

# %% [markdown]
# It finds the bad version early. It also sends a good one home after some failures that are no more than usual, and goes back in an outage that hits v1 just as much.
#
# ### Exercise 9.7 · Close the loop
# *Core · 5 points · 10 minutes*
#
# Write `on_tick(window, memory)`: it returns `("continue", memory)` or `("rollback", memory)`. `window` is a table as above, the tries since the last look; `memory` is a dict of yours, empty at first, that comes back at the next look. The five rollouts above are drawn anew: a bad v2 must go before 15 of its tries have failed,
# with and without retries; a good one must stay, also when a failing v3 gets copies, and when the network is down for both.


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
# ## Your shift
#
# Last, all of it together, with the clocks of the real world: status and latency are known at once, **labels come late**. Five afternoons of 90 seconds each (take them for minutes), a look every three seconds. The flights are those of July; v1 is a model of January and February, and a better v2 is one of April to June:
#
# | afternoon | v2 |
# | --- | --- |
# | good | answers better, as fast |
# | slow | answers better, but 0.3 s later |
# | fails | answers as before, fails for 5 % |
# | wrong | as fast, but answers worse: only labels tell |
# | burst | answers better; for some time *both* versions are slow |
#
# An answer is no good when it failed, came later than 150 ms or was more than 20 minutes off. **The cost** counts requests that went wrong and need not have: those harmed by v2, and those that a better v2 would have saved. What users have at the end they keep three times as long.

# %%
from mlprod_helpers.exercises.lesson_09 import costs, draw_shift

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
# Write `shift(observation, memory)` -> `(weight, memory)`: the percent of the users that get v2 until the next look. An observation is a dict: `tick`, `weight`, and for `stable` (v1) and `canary` (v2) a dict with `requests`, `errors` and `p50` (ms; `None` without requests) since the last look, and `labels` (how many have come so far) and `off` (the share of
# these whose answer was more than 20 minutes off; `None` without labels).
#
# To pass, no afternoon may cost more than a twentieth of the big bang, or 35 % of never releasing. Try it: `costs(shift, afternoons)`.


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
# | failure behind retries | users see none, v2 fails as before | count tries, not answers | roll back on tries |
# | promoted before the truth | labels come late | labels against requests | wait, at a weight that you can afford |
#
# | here | elsewhere |
# | --- | --- |
# | open loop, latency from the due moment | wrk2 and k6 (`constant-arrival-rate`); Locust and ab are closed loops |
# | alive, ready, draining | Kubernetes: liveness and readiness probe, `preStop` |
# | micro-batching, `max_size`, `max_wait` | dynamic batching: NVIDIA Triton `max_queue_delay_microseconds`, BentoML, Ray Serve |
# | queue limit, 503 | Envoy: circuit breaker, overload manager; load shedding |
# | one look of the loop | Flagger: metric analysis; Argo Rollouts: AnalysisRun on Prometheus |
# | river, evidently, MLflow | learn, compare and register models; serving them under load is another subject |
#
# **Left out on purpose:** how many servers a promise needs (lesson 05), plans and judges (lesson 06), models that learn from late labels (lesson 04).
#
# **Sources.** G. Tene, How NOT to Measure Latency, 2013. Kubernetes documentation, probes and pod lifecycle. B. Beyer et al., *Site Reliability Engineering*, 2016, chapters on overload and cascading failures.

# %%
lesson.progress()
