# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3 (ipykernel), language: python, name: python3}
# mlprod:
#   lesson: "06"
#   title: Deployment strategies
#   express: {sections: ["One trace, four strategies", 'A judge that can say "no data"', The plan and the judge], exercises: ["6.1", "6.5", "6.8"]}
#   needs: ["05"]
#   ideas: [exposure, the honest split, a judge that knows "no data", peeking and power]
#   topics: [deployment]
# ---

# %% [markdown]
# # Deployment strategies
#
# > **A new version crashed on half of its requests. Every check of its rollout passed, and after three minutes all users had it.**
#
# It happened at night, with about one request a minute. The checks found no errors, because the new version had not yet received any requests.
#
# A **rollout** gives a new version to users in steps. A **judge** compares the two versions after each step and says pass, fail or "no data".

# %% [markdown]
# ## What you will do
#
# In about {{minutes}} minutes ({{reading}} of reading, {{exercises}} of exercises) you will
#
# - **a** choose how to release a version, and count the harm,
# - **b** split users so that each always gets the same version, and check the split,
# - **c** write a judge that waits for data,
# - **d** say how long a rollout must run, and what looking too early costs,
# - **e** combine a plan and a judge for versions you have not seen.
#
# You need lesson 05. All terms are in the [glossary](../docs/glossary.md).
#
# {{express}}

# %%
from mlprod_helpers import Lesson

lesson = Lesson("06", edition=3)

# %% [markdown]
# ## Sixty thousand views
#
# A fashion shop chose the items on its page with two policies: `random` picks any item, and `bts` has learned from earlier clicks. A view is one item shown to one visitor, and `percent` is clicks per 100 views.

# %%
from mlprod_helpers import datasets

clicks = datasets.load_clicks()
rates = clicks.groupby("policy", observed=True)["click"].agg(["size", "sum", "mean"]).loc[["random", "bts"]]
rates.columns = ["views", "clicks", "percent"]
rates["percent"] *= 100
rates.round(3)

# %% [markdown]
# `bts` got a fifth more clicks. **Could that be luck?** If the policy made no difference, chance alone split the 287 clicks between the two groups. So we shuffle the clicks and count again.
#
# In what share of the shuffles is the gap between the groups at least as large as in the data, in either direction?

# %%
lesson.predict("shuffles with a gap as large", ..., choices=[0.01, 0.05, 0.1, 0.5])

# %%
import numpy as np
import pandas as pd

rng = np.random.default_rng(0)
views, total = int(rates.loc["bts", "views"]), int(rates["clicks"].sum())
# a shuffle deals the clicks to two groups with equally many views
to_random = rng.hypergeometric(views, views, total, size=200_000)
gaps = 100 * (total - 2 * to_random) / views
seen = rates.loc["bts", "percent"] - rates.loc["random", "percent"]
as_large = np.abs(gaps) >= seen - 1e-9
lesson.recall("shuffles with a gap as large", round(float(as_large.mean()), 2))

# %%
from mlprod_helpers.rollout import pictures

pictures.shuffled_gaps(gaps, seen)

# %% [markdown]
# This share is the **p-value**: how often chance alone produces such a gap. Here it is large, so the gain may be luck.
#
# **Most rollouts cannot detect a change of a fifth.** They detect faults: errors, slow answers, nonsense.
#
# *Change this and run again:* after loading, add `clicks = clicks[clicks["campaign"] == "men"]`, which keeps one of three campaigns.
# Then p is 0.04. Is that convincing if you try all three?

# %% [markdown]
# ## One trace, four strategies
#
# The **ETA** (estimated time of arrival) service predicts the air time of flights. Its old version fails on 1% of the requests, the new one on 6%. We try four strategies:
#
# - **Big bang**: all users get the new version at once. To go back, we redeploy the old version, which takes 10 minutes.
# - **Blue-green**: a second full **fleet** of servers (green) starts next to the old one (blue). Then all users switch. While blue runs, they can be switched back at once.
# - **Canary**: a few users get it first, and more after each passed check.
# - **Shadow**: the new version gets copies of the requests, and its answers are only logged.
#
# The judge checks once a minute and fails a version with more than 3% errors. It waits for at least 100 requests to the new version. The second failed check ends the rollout.
#
# All four get the same requests. **Which one harms the most users?**

# %%
lesson.predict("most users harmed", ..., choices=["big bang", "blue-green", "canary", "shadow"])

# %%
from mlprod_helpers import queueing, rollout

airports = {"EWR": 0.5, "JFK": 0.38, "LGA": 0.12}
arrivals = queueing.poisson(20, duration=5400, random_state=0)  # 20 requests a second for 90 minutes
trace = rollout.traffic(arrivals, users=5000, segments={"origin": airports}, random_state=0)
v1 = rollout.Version("v1", rollout.Behavior(error_rate=0.01))
v2 = rollout.Version("v2", rollout.Behavior(error_rate=0.06))
plans = {
    "big bang": rollout.BigBang(interval=60, threshold=2, redeploy=600),
    "blue-green": rollout.BlueGreen(interval=60, threshold=2, keep_old=600),
    "canary": rollout.Canary(step_weights=[5, 10, 25, 50], interval=60, threshold=2),
    "shadow": rollout.Shadow(interval=60, threshold=2),
}

# %%
simple_judge = rollout.ThresholdJudge({"error_rate": (None, 0.03)}, min_requests=100)
four = rollout.compare(trace, (v1, v2), plans, simple_judge, random_state=1)
lesson.recall("most users harmed", four.table["users_harmed"].idxmax())

# %% [markdown]
# A request counts as **harm** if it fails but would not have failed with the old version. The columns `detect` and `roll_back` are the minutes from the first harm to detection and to rollback.
# `extra_server_hours` are the server hours beyond those of one fleet. The `phase` **Degraded** means that the release was **aborted**: all users were sent back.

# %%
four.table[["phase", "users_harmed", "requests_harmed", "detect", "roll_back", "extra_server_hours"]].round(1)

# %%
four.plot()

# %% [markdown]
# Big bang takes ten minutes longer to roll back than blue-green. The canary harms far fewer users than either.
#
# Each decision is logged with its reason. The rollback comes one check after the last failed one, as in the rollout tool Flagger:

# %%
for second, reason in four.results["canary"].timeline["reason"].items():
    print(f"{second / 60:3.0f} min  {reason}")

# %% [markdown]
# *Change this and run again:* set `error_rate=0.03` for `v2`, exactly the judge's threshold. Which strategy harms the most users now?
#
# ### Exposure
#
# The **exposure** is the share of users who get the new version, multiplied by the time. 5% for 40 minutes is as much as 100% for 2 minutes. So a slow canary that nobody watches can do as much harm
# as a big bang. This worked example adds up steps of `(minutes, percent)`:


# %%
def exposure(steps):
    """Seconds of the full traffic that the new version got."""
    return sum(60 * minutes * percent / 100 for minutes, percent in steps)


exposure([(2, 100)]), exposure([(40, 5)]), exposure([(10, 5), (10, 20)])


# %% collapsed=true
# Do 5% for 40 minutes cause as much harm as 100% for 2 minutes? The judge passes everything, and an operator stops both
def asleep(metrics):
    """A judge that passes everything."""
    return "pass"


all_at_once, few = rollout.BlueGreen(watch=0, keep_old=3600), rollout.Canary(step_weights=[5], interval=5000)
exposed = {}
for name, release, second in (("100% for 2 min", all_at_once, 120), ("5% for 40 min", few, 2400)):
    run = rollout.replay(trace, (v1, v2), release, asleep, 1, operator={second: "abort"})
    exposed[name] = [run.requests_exposed, run.requests_harmed, run.users_harmed]
pd.DataFrame(exposed, index=["requests exposed", "requests harmed", "users harmed"])

# %% [markdown]
# ### Exercise 6.1 · Count the harm
# *3 points · 5 minutes*
#
# Write `harm(steps, rate, old_error, new_error)`. It returns how many *more* requests fail, on average, than with the old version.
#
# - `steps` is a list of `(minutes, percent)`. The numbers may be fractions, and the list may be empty.
# - `rate` is in requests a second, such as 0.5. `old_error` and `new_error` are fractions: 0.06 is 6%.
# - If the new version fails less often, the result is negative. Do not round.


# %% exercise="6.1"
def harm(steps, rate, old_error, new_error):
    """Expected number of requests that fail because of the new version.

    >>> round(harm([(2, 100)], 20, 0.01, 0.06))
    120
    """
    ### BEGIN SOLUTION
    seconds = sum(60 * minutes * percent / 100 for minutes, percent in steps)
    return seconds * rate * (new_error - old_error)
    ### END SOLUTION


# %% check="6.1"
lesson.check("6.1")

# %% [markdown]
# ## Rolling back
#
# **A quick rollback is possible only for a while.** Two fleets are expensive, so blue is eventually shut down. Here a fault appears after 15 minutes:

# %%
late_fault = rollout.Symptom(error_rate=0.2, after=900)  # seconds
leak = rollout.Version("v2", rollout.Behavior(error_rate=0.01, symptoms=late_fault))
kept = {
    f"blue kept {minutes} min": rollout.BlueGreen(keep_old=60 * minutes, watch=2400, threshold=2)
    for minutes in (10, 30)
}
late = rollout.compare(trace, (v1, leak), kept, simple_judge, random_state=1)
late.table[["users_harmed", "detect", "roll_back"]].round(1)

# %% [markdown]
# *Change this and run again:* keep blue for 15 minutes instead of 10. Is that enough?
#
# <details><summary>Can data block a rollback?</summary>
#
# v1 may not be able to read the rows that v2 has written, for example if v2 renamed a column. So change a schema in three releases: write both names, then read the new one, then drop the old one.
#
# </details>
#
# ### Which rollout for what?
#
# An **A/B test** asks which version is better and by how much. A canary asks whether to stop.
#
# | strategy | what it finds | what it costs |
# | --- | --- | --- |
# | big bang | faults, after they reach all users | a slow rollback |
# | blue-green | faults, after they reach all users for a short time | a second fleet |
# | canary | faults, after they reach a few users | time |
# | shadow | errors, slow or changed answers; not what users like | a second fleet |
# | A/B test | what users prefer, if half of them try it | weeks |
#
# ### Exercise 6.2 · Which rollout?
# *4 points · 4 minutes*
#
# Choose the best strategy for each release.

# %% exercise="6.2"
### BEGIN SOLUTION
rollouts = {
    "pipeline": "shadow",
    "ranking": "ab_test",
    "framework": "canary",
    "format": "blue_green",
    "fares": "canary",
    "late": "shadow",
    "nightly": "blue_green",
}
### END SOLUTION

# %% check="6.2"
lesson.check("6.2")

# %% [markdown]
# ## Who gets the canary?
#
# We could draw 5% of the *requests* at random for the canary. After 40 minutes, what share of the 5,000 users has met both versions?

# %%
lesson.predict("users who meet both versions", ..., choices=[0.05, 0.1, 0.4, 0.9])

# %%
first_40 = trace[trace["time"] < trace["time"].iloc[0] + pd.Timedelta(minutes=40)]
drawn = np.random.default_rng(2).random(len(first_40)) < 0.05
met = pd.Series(drawn).groupby(first_40["user_id"].to_numpy()).agg(["min", "max"])
lesson.recall("users who meet both versions", round(float((met["max"] & ~met["min"]).mean()), 2))

# %% [markdown]
# For these users, the ETA of a flight jumps between requests. In a **sticky split** the same user always gets the same version. We turn each user's name into a number from 0 to 100, and the users with the lowest
# numbers get the canary.
#
# *Change this and run again:* draw 1% of the requests (`< 0.01`). Do only a fifth as many users meet both versions?
#
# A *hash* turns a string into digits that look random, but are the same each time:

# %%
import hashlib


def lucky_number(name):
    """A whole number from 0 to 9 for each name, always the same one."""
    digest = hashlib.sha256(name.encode()).hexdigest()  # 64 digits, 0 to 9 and a to f
    return int(digest[:8], 16) % 10


print({name: lucky_number(name) for name in ("ana", "ben", "cem", "dia")})
pd.Series([lucky_number(f"user {i}") for i in range(10_000)]).value_counts().sort_index().to_list()

# %% [markdown]
# ### Exercise 6.3 · A sticky split
# *4 points · 8 minutes*
#
# Write `route(user_id, weight, salt)`. It returns `True` if this user gets the new version, else `False`.
#
# - `user_id` is a string. `weight` is a whole number from 0 (nobody) to 100 (everybody). Each extra point adds about 1% of the users.
# - The same arguments give the same answer in every process and on every machine.
# - When the weight grows, no user goes back to the old version.
# - `salt` is a string, such as the name of the release. With another salt, each user gets an unrelated number.


# %% exercise="6.3"
def route(user_id, weight, salt):
    """True if this user gets the new version.

    >>> route("ana", 0, "release 7"), route("ana", 100, "release 7")
    (False, True)
    """
    ### BEGIN SOLUTION
    digest = hashlib.sha256(f"{salt}:{user_id}".encode()).hexdigest()
    place = int(digest[:8], 16) / 16**8 * 100
    return place < weight
    ### END SOLUTION


# %% check="6.3"
lesson.check("6.3")

# %% [markdown]
# ## Count the users first
#
# In a fair experiment, only the version differs between the groups. Here v2 crashes for users with old phones (4%) before anything is logged. Such users rarely return:

# %%
dice = np.random.default_rng(4)
users = pd.DataFrame(
    {"version": dice.choice(["v1", "v2"], 100_000), "old_phone": dice.random(100_000) < 0.04}
)
users["returned"] = dice.random(100_000) < np.where(users["old_phone"], 0.05, 0.30)
logged = users[(users["version"] == "v1") | ~users["old_phone"]]
split = logged.groupby("version")["returned"].agg(["size", "mean"])
split.round(3)

# %% [markdown]
# v2 seems to win, because the users it lost are missing from its mean. **How often is a fair 50:50 split at least as uneven as this one?**

# %%
lesson.predict("fair splits at least as uneven", ..., choices=[0.0, 0.01, 0.1, 0.5])

# %%
ratio = rollout.sample_ratio(split["size"], {"v1": 50, "v2": 50})
lesson.recall("fair splits at least as uneven", round(ratio.p_value, 3))

# %%
ratio

# %% [markdown]
# A **sample ratio mismatch** means that the counts differ from the plan more than chance can explain. The **chi-square test** finds it: it adds up (counted − planned)² / planned over the versions.
# Ignore all metrics until the counts pass this test. The usual threshold is p < 0.001.
#
# *Change this and run again:* let only 1% have old phones (`< 0.01`). Does the test find the loss?
#
# ### Exercise 6.4 · A router that loses users
# *4 points · 8 minutes*
#
# Write `split_check(log, weights)`. It returns two values.
#
# - `log` has one row per request, with the columns `user_id` and `version`.
# - `weights` is a dict from version to planned percentage of the users. A version may have no row in the log.
# - The first value is the p-value of the chi-square test for the *users*. A relative error of 5% is allowed.
# - The second value is `"none"` if p is at least 0.001. Otherwise it is the version with the smallest ratio of counted to planned users.


# %% exercise="6.4"
def split_check(log, weights):
    """(p-value, the version that loses users or "none").

    For example, with 900 users of v1 and 100 of v2:

    >>> split_check(log, {"v1": 90, "v2": 10})
    (1.0, "none")
    """
    ### BEGIN SOLUTION
    from scipy.stats import chisquare

    users = log.groupby("version")["user_id"].nunique().reindex(list(weights), fill_value=0)
    planned = users.sum() * pd.Series(weights) / 100
    p_value = chisquare(users, planned).pvalue
    return p_value, "none" if p_value >= 0.001 else (users / planned).idxmin()
    ### END SOLUTION


# %% check="6.4"
lesson.check("6.4")

# %% [markdown]
# ## A judge that can say "no data"
#
# A judge can go wrong in three ways.
#
# **First: it counts "no data" as a pass.** In the night rollout, the canary gets 5%, 10%, then 20% of the users:

# %%
night = rollout.traffic(queueing.poisson(1 / 60, duration=5400, random_state=3), users=200, random_state=3)
broken = rollout.Version("v2", rollout.Behavior(error_rate=0.5))
ramp = rollout.Canary(step_weights=[5, 10, 20], interval=60, threshold=1)


def rash_judge(metrics):
    """Fails above 3% errors. Without requests it sees no errors."""
    errors = metrics.values("error", "canary")
    return "fail" if len(errors) and errors.mean() > 0.03 else "pass"


for name, judged in {"rash": rash_judge, "patient": simple_judge}.items():
    run = rollout.replay(night, (v1, broken), ramp, judged, 1)
    print(f"{name}: {run.phase}, {run.requests_exposed} of {len(night)} requests. {run.reason}")

# %% [markdown]
# The rollout with the rash judge **promotes** the version: all users get it. With the patient judge, it pauses, so people can decide. **A judge needs "no data" as a third outcome.**
#
# **Second: it compares with the wrong thing.** Between minutes 5 and 10 the network fails for both versions. At other times v2 fails less often:

# %%
outage = rollout.Symptom(error_rate=0.3, after=300, until=600)
old = rollout.Version("v1", rollout.Behavior(error_rate=0.02, symptoms=outage))
better = rollout.Version("v2", rollout.Behavior(error_rate=0.01, symptoms=outage))
careful = rollout.Canary(step_weights=[5, 10, 25, 50], interval=180, threshold=1)
difference = rollout.ThresholdJudge({"error_rate": (None, 0.02)}, relative="difference", min_requests=100)
for name, judged in {"below 3%": simple_judge, "at most 2 points above v1": difference}.items():
    run = rollout.replay(trace, (old, better), careful, judged, 1)
    print(f"{name}: {run.phase}. {run.reason}")

# %% [markdown]
# With a fixed threshold, every outage looks like a fault of the release. Compare with the old version in the same minutes.
#
# **Third: it looks only at the overall mean.** v2 crashes on half of the flights from LGA, and is better elsewhere. `BySegment` judges each **segment**, a part of the requests such as one airport:

# %%
local = rollout.Symptom(error_rate=0.5, where={"origin": "LGA"})
one_airport = rollout.Version("v2", rollout.Behavior(error_rate=0.01, symptoms=local))
usual = rollout.Version("v1", rollout.Behavior(error_rate=0.04))
relative = rollout.ThresholdJudge({"error_rate": (None, 0.08)}, relative="difference", min_requests=50)
for name, judged in {
    "all requests": relative,
    "each airport": rollout.BySegment("origin", relative),
}.items():
    run = rollout.replay(trace, (usual, one_airport), careful, judged, 1)
    print(f"{name}: {run.phase}, {run.users_harmed} users harmed. {run.reason}")

# %% [markdown]
# *Change this and run again:* let v2 crash at `"EWR"`, which has half of the requests. Does the overall mean show it now?
#
# ### Exercise 6.5 · Write the judge
# *5 points · 9 minutes*
#
# Write `judge(stable, canary)`. It returns `(outcome, reason)`, two strings. **p99** is the time in ms that 99% of the requests do not exceed.
#
# - The outcome is `"fail"` if *any* airport with at least 100 canary requests fails. An airport fails if its new error rate is more than 2 percentage points above the old one, or its p99 is more than 1.5 times the old one. Exactly 2 points or 1.5 times is allowed.
# - Otherwise it is `"nodata"` if any airport has fewer than 100 canary requests, whatever their results.
# - Otherwise it is `"pass"`.
# - The reason for a failure names at least one airport, and only airports that fail. Other reasons are up to you.


# %% exercise="6.5"
def judge(stable, canary):
    """(outcome, reason), the outcome one of "pass", "fail", "nodata".

    stable (the old version) and canary (the new one) are dicts from airport to summary. Both have the same airports,
    with any names and in any order. A summary is a dict with requests and errors (counts) and latency_p99 (in ms, None
    without requests). The old version has at least 100 requests at each airport. For example, with error rates of 1.9% and 7.5%:

    >>> stable = {"JFK": {"requests": 360, "errors": 7, "latency_p99": 212.0}}
    >>> canary = {"JFK": {"requests": 120, "errors": 9, "latency_p99": 230.0}}
    >>> judge(stable, canary)
    ("fail", "JFK: more errors")
    """
    ### BEGIN SOLUTION
    waiting = []
    for airport, new in canary.items():
        before = stable[airport]
        if new["requests"] < 100:
            waiting.append(f"{airport} has {new['requests']} requests")
            continue
        worse = new["errors"] / new["requests"] - before["errors"] / before["requests"]
        if worse > 0.02:
            return "fail", f"{airport}: error rate {100 * worse:.1f} points above the old version's"
        if new["latency_p99"] > 1.5 * before["latency_p99"]:
            return "fail", f"{airport}: p99 is {new['latency_p99']} ms, before {before['latency_p99']} ms"
    if waiting:
        return "nodata", ", ".join(waiting) + "; 100 are needed"
    return "pass", "each airport is within limits"
    ### END SOLUTION


# %% check="6.5"
lesson.check("6.5")

# %% [markdown]
# ### Try it
#
# Choose a fault, a plan, and how many requests the judge needs from an airport. It leaves out airports with fewer requests.
# Try the fault *one airport* with 100 requests. Which airport is never checked?

# %%
from mlprod_helpers.explore import rollout_explorer

rollout_explorer()

# %% [markdown]
# <details><summary>What you can find here</summary>
#
# With 40 requests, the good version is rolled back by chance. This happened once in 12 other simulations of the traffic. With 100 requests, the fault at LGA gets through, because LGA never has 100 requests before a check passes.
# With 300, the canary pauses again and again: in 7 of the 12 simulations, the rollout was not finished after 50 minutes. Also try the fault *after 20 minutes*. Nobody checks the canary after its promotion, so a later fault is missed.
#
# </details>

# %% [markdown]
# ## Looking often
#
# The **standard error** is the typical size of a difference that arises by chance alone. A **z-score** is the measured difference divided by it. For equal versions, |z| is above 1.96 in 5% of the cases *if you look once*.
#
# A judge compares two *equal* versions five times, each time on more data. It rolls back as soon as |z| is above 1.96. **In what share of the rollouts is it wrong?**

# %%
lesson.predict("false rollbacks with five looks", ..., choices=[0.01, 0.05, 0.15, 0.25])

# %%
looks, rollouts_drawn = 5, 20_000
steps_of_data = np.random.default_rng(5).normal(size=(rollouts_drawn, looks))
z = steps_of_data.cumsum(axis=1) / np.sqrt(np.arange(1, looks + 1))
beyond = np.abs(z) > 1.96
lesson.recall("false rollbacks with five looks", round(float(beyond.any(axis=1).mean()), 2))

# %%
pictures.looks(z)

# %% [markdown]
# One rollout in seven is stopped although nothing is wrong. Testing repeatedly as data come in is called **peeking**. But if you look only at the end, a bad version harms users until then. So look often, and raise the bar
# for |z| until only 5% of the rollouts of equal versions cross it.
#
# *Change this and run again:* set `looks = 20`. How many of the 60 lines cross the bar now?
#
# ### Exercise 6.6 · The impatient judge
# *4 points · 9 minutes*
#
# A colleague's judge uses this bar:


# %%
def colleagues_bars(looks):
    """|z| beyond which to roll back, at each look."""
    return [1.96] * looks


# %% [markdown]
# Repair it: write `bars(looks)`, which returns a list or array of bars, one per look.
#
# - `looks` is the number of equally spaced looks, at least 1. The judge stops at the first |z| above its bar.
# - *All looks together* stop 3% to 6% of the versions that equal the old one.
# - For a bad version, z is 3 on average at the last look. Compare with the constant bar that causes 5% false rollbacks: your bars must stop at least 90% as many bad versions.
# - For a very bad version, this average is 6. With three or more looks, your bars stop at least 60% of its rollouts by look `0.6 * looks` (rounded up).
# - You may simulate.
#
# For example, `bars(1)` may return `[1.96]`.


# %% exercise="6.6"
def bars(looks):
    """The bar for |z| at each look: a list or array with one number per look."""
    ### BEGIN SOLUTION
    steps = np.random.default_rng(0).normal(size=(20_000, looks))
    z_of_looks = steps.cumsum(axis=1) / np.sqrt(np.arange(1, looks + 1))
    largest = np.abs(z_of_looks).max(axis=1)
    return np.full(looks, np.quantile(largest, 0.95))
    ### END SOLUTION


# %% check="6.6"
lesson.check("6.6")

# %% [markdown]
# ### An A/A test
#
# An **A/A test** compares a version with itself, so every alarm is false. Here are 1,000 tests with 100 users per group. Each user sends 20 requests. Two results of the same user have a correlation of 0.05.

# %% collapsed=true
# False alarms if requests are counted, and if users are counted
dice, alarms, effects = np.random.default_rng(6), [], []
users = [np.repeat(np.arange(100), 20), np.repeat(np.arange(100, 200), 20)]
for _ in range(1_000):
    # a beta distribution with a + b = 19 gives the requests of one user a correlation of 1 / (19 + 1)
    arms = [dice.binomial(1, np.repeat(dice.beta(1.9, 17.1, size=100), 20)) for _ in range(2)]
    z_requests, z_users = rollout.z_score(*arms)[0], rollout.z_score(*arms, users=users)[0]
    alarms.append([abs(z_requests) > 1.96, abs(z_users) > 1.96])
    effects.append(rollout.design_effect(*arms, users))
print(f"variance with users over variance without: {np.mean(effects):.2f} on average")
pd.Series(np.mean(alarms, axis=0), index=["requests counted", "users counted"], name="false alarms").round(3)

# %% [markdown]
# Users were split, so users must be compared: they are the **unit of analysis**.
#
# <details><summary>Why are there so many false alarms, and which bars are common?</summary>
#
# Correlated requests from the same user make the variance larger by a factor, the **design effect**: 1 + (requests per user − 1) × correlation = 1.95. So the bar of 1.96 is really only 1.40 standard errors from zero. In theory 16% of the tests cross it, which is close to the share above. The course's `ZTestJudge` compares users if the log has a column `user_id`.
#
# *Pocock's* bar is the same at each look. *O'Brien and Fleming's* bar is very high at first and nearly 1.96 at the end. The *mSPRT* (mixture sequential probability ratio test) lets you look at any time.
#
# The next cell tries each test on 4,000 rollouts of equal versions and 4,000 of a bad one. `false_positives` is the share of the equal versions that are stopped, and `power` is the share of the bad ones that are stopped. `requests` is the share of the planned requests that had arrived when the bad version was stopped. Among the tests with 5% false positives, those that stop earlier find the bad version less often.
#
# </details>

# %% collapsed=true
# False rollbacks, power and requests used, for five tests
rollout.operating_characteristics(runs=4_000, random_state=0).round(2)

# %% [markdown]
# ## How long must it run?
#
# The **power** of a test is the chance that it finds a difference that really exists. To detect a change of a rate from $p$ to $q$, each version (each *arm*) needs about
#
# $$n \approx \frac{(z_{0.975} + z_{\text{power}})^2 \, \bigl(p(1-p) + q(1-q)\bigr)}{(q-p)^2}$$
#
# requests. $z_{0.975} = 1.96$ is the bar. $z_{\text{power}}$ is how far z must be above this bar on average: 0.84 for a power of 80%.

# %%
cases = {
    "errors 1% to 6%": (0.01, 0.06),
    "errors 1% to 2%": (0.01, 0.02),
    "errors 1% to 1.2%": (0.01, 0.012),
    "clicks 5% to 6.05%": (0.05, 0.0605),
}
needed = pd.Series({name: rollout.requests_needed(p, q) for name, (p, q) in cases.items()})
pd.DataFrame({"requests an arm": needed, "hours at one a second": (needed / 3600).round(1)})

# %% [markdown]
# A large difference shows within minutes, a small one only after half a day.
#
# *Change this and run again:* replace 0.012 with 0.011. How many times as many requests do you need for half the difference?
#
# ### Exercise 6.7 · How long must it run?
# *4 points · 6 minutes*
#
# Write two functions:
#
# - `views_needed(p, lift, power)` returns the views that *one* arm needs. `p` and `power` are fractions. `lift` is the relative change of the rate: 0.21 is 21% more, −0.1 is 10% less. A result within 5% of the formula is enough.
# - `hours_needed(views, rate, percent)` returns the hours that a canary needs for that many views. `rate` is the total views a second. `percent` is the canary's share: 5 is 5%. Do not round.
#
# Then try `views_needed(0.0043, 0.21, 0.8)`.

# %%
from statistics import NormalDist


# %% exercise="6.7"
def views_needed(p, lift, power):
    """Views that one arm needs.

    >>> round(views_needed(0.01, 1, 0.8))
    2319
    """
    ### BEGIN SOLUTION
    q = p * (1 + lift)
    z_bar, z_power = NormalDist().inv_cdf(0.975), NormalDist().inv_cdf(power)
    return (z_bar + z_power) ** 2 * (p * (1 - p) + q * (1 - q)) / (q - p) ** 2
    ### END SOLUTION


def hours_needed(views, rate, percent):
    """Hours until the canary has its views.

    >>> round(hours_needed(2319, 20, 5), 3)
    0.644
    """
    ### BEGIN SOLUTION
    return views / (rate * percent / 100) / 3600
    ### END SOLUTION


# %% check="6.7"
lesson.check("6.7")

# %% [markdown]
# A canary with one view a second needs 25 hours to detect a gain like the shop's. **A canary finds faults within minutes. An A/B test needs days to find out what users like.** It also watches **guardrail metrics**, such as errors and latency, which must not get worse even if clicks rise. To compare two rankings, **interleaving** needs
# fewer users: each list mixes the items of both.

# %% [markdown]
# ## The plan and the judge
#
# The service gets 5 requests a second, and its old version fails on 5% of them. We try your plan and your judge on five versions. The judge is not told which is which:
#
# | version | what it does |
# | --- | --- |
# | good | fails on about 2% |
# | good but noisy | fails less often, but p99 rises from 200 to 320 ms; an outage hits both versions |
# | bad | fails on about 20% |
# | slow | fails less often, but takes four times as long |
# | bad for one airport | fails on about 40% at the smallest airport (12% of the requests), less often elsewhere |
#
# A request goes wrong when it fails or takes longer than 500 ms. A rollout lasts one hour. Afterwards, users keep their version for three more hours.
# A rollout's cost is how many more requests go wrong in these four hours than if all users had the better version. Here are three simple choices:

# %%
from mlprod_helpers.rollout import rehearsal

world = rehearsal.draw_world(np.random.default_rng(1))


def example_plan():
    """Three small steps, a minute each, then all users."""
    return {"strategy": "canary", "step_weights": [1, 2, 3], "interval": 60}


def never_looks(stable, canary):
    """A judge that passes everything. It has the same arguments as yours."""
    return "pass", "no look"


names = ["1, 2, 3%, nobody looks", "big bang", "never release"]
pd.DataFrame(rehearsal.costs(example_plan, never_looks, world), index=names).T

# %%
hour = rehearsal.rehearse(example_plan, never_looks, world, "bad")  # one hour with the bad version
first = hour.over_time(60)["weight"].head(4).to_list()
print("weight in the first minutes:", first, "percent;", hour)

# %% [markdown]
# *Change this and run again:* set `interval` to 300. What does the good version cost now?
#
# ### Exercise 6.8 · The plan and the judge
# *7 points · 14 minutes*
#
# Write `plan()`, which returns a dict with the keys below, and `release_judge(stable, canary)`.
#
# `release_judge` takes and returns the same as `judge` in 6.5. Its summaries cover the time since the last check that had enough data. They also have `latency_p50` (half of the requests are faster) and `error_rate`, both `None` without requests.
#
# We try *good* in two different hours, *good but noisy* and *bad for one airport* in three, and the others in one. Each rollout is scored:
#
# - The cost limit is 5% of the big bang's cost or 35% of the cost of never releasing, whichever is higher.
# - If *good* or *bad* exceeds its limit, you get at most a quarter of the points.
#
# `example_plan` and `never_looks` have the right form. Try `rehearsal.costs(plan, release_judge, world)`. `rehearsal.rehearse(plan, release_judge, world, "good").plot()` shows one hour.


# %% exercise="6.8"
def plan():
    """The plan, as a dict.

    Keys of every plan:
        strategy: "canary", "blue_green", "big_bang" or "shadow"
        interval: seconds between two checks, at least 60
        threshold: number of failed checks that ends the rollout; the rollback comes one check later
    Keys of a canary:
        step_weights: list of percentages (or give step_weight and max_weight)
    Keys of blue_green:
        preview: seconds before the switch
        copies: percentage of the requests that is copied until then
        keep_old: seconds after the switch during which the old fleet is kept
    Key of every strategy but the canary:
        watch: seconds after the switch during which the judge checks; stable has no requests then
    """
    ### BEGIN SOLUTION
    return {"strategy": "canary", "step_weights": [10, 25, 50], "interval": 300, "threshold": 1}
    ### END SOLUTION


def release_judge(stable, canary):
    """(outcome, reason) from summaries by airport; the outcome is "pass", "fail" or "nodata"."""
    ### BEGIN SOLUTION
    for airport, new in canary.items():
        before = stable[airport]
        n, m = before["requests"], new["requests"]
        if min(n, m) < 15:
            return "nodata", f"{airport}: {m} requests of the new version"
        both = (before["errors"] + new["errors"]) / (n + m)
        luck = (both * (1 - both) * (1 / n + 1 / m)) ** 0.5
        worse = new["error_rate"] - before["error_rate"]
        # three airports, some checks, two good versions: 3.5 keeps luck out
        if worse > 3.5 * luck:
            return "fail", f"{airport}: {100 * worse:.0f} points more errors than the old version"
        if new["latency_p50"] > 2 * before["latency_p50"]:
            return "fail", f"{airport}: half of the answers take longer than {new['latency_p50']:.0f} ms"
    return "pass", "no airport is worse than luck explains"
    ### END SOLUTION


# %% check="6.8"
lesson.check("6.8")

# %% [markdown]
# A good judge waits for data, compares both versions in the same minutes, checks each segment, and allows for chance.

# %% collapsed=true
# A plan written for Flagger and HAProxy, and why it cannot be written for Argo Rollouts
small_steps = rollout.Canary(step_weight=10, max_weight=50, interval=60, threshold=2)
print(small_steps.to_flagger("eta")["spec"]["analysis"])
try:
    small_steps.to_argo("eta")
except ValueError as error:
    print("Argo Rollouts:", error)
print(small_steps.to_haproxy())

# %% [markdown]
# ## What you have seen
#
# | failure | how to see it | what to do |
# | --- | --- | --- |
# | users who meet both versions | count them | hash of user and release |
# | promoted without data | count the requests of each check | pause |
# | one version loses users | test the counts of users | find the cause first |
# | too many alarms | A/A test | compare users, not requests |
#
# <details><summary>Other names, and sources</summary>
#
# | here | elsewhere |
# | --- | --- |
# | `Canary(step_weight, max_weight, interval, threshold)` | Flagger: `stepWeight`, `maxWeight`, `interval`, `threshold`; Argo Rollouts: `setWeight`, `pause`, `analysis` |
# | Progressing, Paused, Degraded, Healthy; abort, promote | the same in Argo Rollouts |
# | `keep_old` of blue-green | Argo Rollouts: `scaleDownDelaySeconds` |
# | shadow | mirroring (Istio, Flagger), dark launch; MLflow and cloud platforms: shadow or champion/challenger |
# | judge, `nodata` | Argo: AnalysisRun with `Inconclusive`; Kayenta: Pass, High, Low, Nodata (`MannWhitneyJudge`) |
# | error rate, p99 of a version | Prometheus: `rate(...{code=~"5.."}[1m])`, `histogram_quantile(0.99, ...)` |
# | split by user and salt | feature flags: bucketing; A/B platforms: experiment seed |
#
# `Plan.from_dict(plan())` from `mlprod_helpers.rollout` can write your plan for other tools: `to_flagger("eta")`, `to_argo("eta")`, `to_haproxy()`. If a tool lacks something that the plan needs, the method raises an error.
#
# This lesson leaves out a real router (lesson 09), the mathematics of tests that allow a look at any time (see `msprt`), and Kayenta's rank test (`MannWhitneyJudge`).
#
# **Sources.** Y. Saito et al., Open Bandit Dataset and Pipeline, arXiv 2008.07146 (sample in *obp* 0.4.1, Apache-2.0; the terms of the full data, "for research uses", were not
# examined further). P. Armitage et al., *JRSS A* 132, 1969. S. J. Pocock, *Biometrika* 64, 1977. P. C. O'Brien, T. R. Fleming, *Biometrics* 35, 1979. R. Johari
# et al., Always Valid Inference, *Operations Research* 70, 2022. A. Fabijan et al., *KDD* 2019. Documentation of Flagger, Argo Rollouts and Kayenta. R. Kohavi, D. Tang, Y. Xu, *Trustworthy Online
# Controlled Experiments*, 2020.
#
# </details>

# %% [markdown]
# ## At work
#
# Here only the data come from the course. *scipy* compares the clicks by campaign, and Flagger shifts the traffic.

# %%
import json

from scipy.stats import fisher_exact

from mlprod_helpers.datasets import load_clicks

shown = load_clicks().groupby(["campaign", "policy"], observed=True)["click"].agg(["size", "sum"])
campaigns = list(shown.index.unique("campaign"))
for campaign in campaigns:
    (n_old, old_clicks), (n_new, new_clicks) = shown.loc[(campaign, "random")], shown.loc[(campaign, "bts")]
    table = [[new_clicks, n_new - new_clicks], [old_clicks, n_old - old_clicks]]
    p = fisher_exact(table, alternative="less").pvalue  # is the new one worse?
    enough = min(old_clicks, new_clicks) >= 30
    verdict = "nodata" if not enough else "fail" if p < 0.05 / len(campaigns) else "pass"
    print(f"{campaign}: {old_clicks} clicks before, {new_clicks} now, p = {p:.2f}: {verdict}")

success = {"name": "request-success-rate", "thresholdRange": {"min": 99}, "interval": "1m"}
analysis = {"interval": "5m", "threshold": 2, "stepWeight": 10, "maxWeight": 50, "metrics": [success]}
canary_of_flagger = {"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "metadata": {"name": "eta"}}
print(json.dumps(canary_of_flagger | {"spec": {"analysis": analysis}}, indent=1))

# %% [markdown]
# ## Recap
#
# <details><summary>A check passed, but the new version had answered only three requests. What now?</summary>
#
# Do not count the check as passed. Wait for more traffic, or copy requests to a shadow.
#
# </details>
#
# <details><summary>Errors rise during a rollout. Is the new version the cause?</summary>
#
# Compare the new version with the old one in the same minutes, in each segment. If both fail equally often, the cause is probably an outage.
#
# </details>
#
# <details><summary>Why not test once a minute and stop as soon as |z| is above 1.96?</summary>
#
# Each look is another chance of a false alarm. With five looks, 14% of equal versions are rolled back. Raise the bar until only 5% of them are ever rolled back.
#
# </details>

# %% [markdown]
# ## Where you are

# %%
lesson.progress()
